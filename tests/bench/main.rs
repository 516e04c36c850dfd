//! `make bench`: what an attach costs, next to the same rpcs without Mercury, in one run.
//!
//! Everything that is compared runs in turns, one sample of each after the other, so that a busy
//! machine slows all of them alike. No number makes this fail; whether the aims are met is printed.

// The fixtures of the tests; a benchmark needs fewer of them.
#[allow(dead_code, unused_imports)]
#[path = "../it/peers/mod.rs"]
mod peers;

mod attach;
mod hand;
mod machine;
mod ncclient;
mod pure;
mod service;
mod table;

use std::sync::Arc;

use mercury::schema::Schema;
use mercury::sim::{self, Switch, SwitchSpec};
use peers::{Event, Netconfd, Peer, Shape, require};
use tokio::runtime::Runtime;

use attach::{PORTS, Target};
use service::{Service, Site};
use table::Table;

fn main() {
    if !require(&[Peer::Netconfd, Peer::Ncclient]) {
        return;
    }
    machine::describe();
    // The main thread measures and may block; the simulator and the fixtures run on the others.
    let runtime = Runtime::new().expect("a runtime");
    let mut table = Table::default();

    let server = runtime.block_on(Netconfd::start(Shape::Candidate));
    let target = Target::netconfd(&server);
    pure::measure(&mut table, Site::new(&target, &machine::disk()).config());
    let on_netconfd = attach::measure(&mut table, &runtime, &target, || None);
    let seen = commits_that_a_proxy_sees(&runtime);

    let switch = runtime.block_on(simulator(&server));
    let target = Target::simulator(&server, &switch);
    let on_simulator = attach::measure(&mut table, &runtime, &target, || Some(switch.commits()));

    println!("{table}");
    println!("ncclient waits about 0.1 s in every rpc by itself: its rows tell nothing about the switch.");
    println!("{PORTS} at once on netconfd once more, not timed, behind a proxy: it saw {seen} commits.\n");
    println!("{on_netconfd}{on_simulator}");
    machine::load();
}

/// The embedded simulator, with the ports and VLANs that are used.
async fn simulator(keys: &Netconfd) -> Switch {
    let authorized_key = std::fs::read_to_string(keys.key.with_extension("pub")).expect("made by ssh-keygen");
    let spec = SwitchSpec {
        ports: attach::ports(),
        vlans: attach::VLANS.to_vec(),
        authorized_key: Some(authorized_key),
        ..SwitchSpec::default()
    };
    let schema = Schema::builtin().expect("the subset is sound");
    let any = "127.0.0.1:0".parse().expect("an address");
    sim::start(spec, Arc::clone(&schema), any).await.expect("a free port")
}

/// What the log says about groups, checked by somebody who sees the wire. Not timed: the proxy is slow.
fn commits_that_a_proxy_sees(runtime: &Runtime) -> usize {
    let (server, proxy) = runtime.block_on(Netconfd::start_with_proxy(Shape::Candidate, Vec::new()));
    let site = Site::new(&Target::netconfd(&server), &machine::disk());
    let mut service = Service::start(runtime, &site);
    service.attach_all(PORTS, attach::VLANS[0]);
    let commits =
        || proxy.events().iter().filter(|event| **event == Event::request("confirmed-commit")).count();
    let before = commits();
    service.attach_all(PORTS, attach::VLANS[1]);
    commits() - before
}
