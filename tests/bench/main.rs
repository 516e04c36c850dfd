//! `make bench`: what an attach costs, next to the same rpcs without Mercury, in one run.
//!
//! Everything that is compared runs in turns, one sample of each after the other, so that a busy
//! machine slows all of them alike. No number makes this fail; whether the aims are met is printed.
//! `cargo bench --bench bench -- attach`, `-- upstream`, `-- ngs`, `-- ovs`, `-- ios` or `-- gnmi` measures one part alone.

// The fixtures of the tests; a benchmark needs fewer of them.
#[allow(dead_code, unused_imports)]
#[path = "../it/peers/mod.rs"]
mod peers;

mod at_once;
mod attach;
mod gnmi;
mod gnmi_hand;
mod hand;
mod ios;
mod load;
mod machine;
mod ncclient;
mod ngs;
mod ovs;
mod pure;
mod python;
mod service;
mod table;
mod upstream;

use std::process::ExitCode;
use std::sync::Arc;

use mercury::schema::Schema;
use mercury::sim::{self, Switch, SwitchSpec};
use peers::{Event, Netconfd, Peer, Shape, require};
use tokio::runtime::Runtime;

use attach::{PORTS, Target};
use service::{Service, Site};
use table::Table;

/// As the service has it, which this program is for a part of what is measured.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Cargo adds an option of its own.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", config] => return at_once::serve(config.into()),
        [] => measure(&["attach", "upstream", "ngs", "ovs", "ios", "gnmi"]),
        parts => measure(parts),
    }
    ExitCode::SUCCESS
}

fn measure(parts: &[&str]) {
    if !require(&[Peer::Netconfd, Peer::Ncclient]) {
        return;
    }
    machine::describe();
    // The main thread measures and may block; the simulator and the fixtures run on the others.
    let runtime = Runtime::new().expect("a runtime");
    let server = runtime.block_on(Netconfd::start(Shape::Candidate));
    let switch = runtime.block_on(simulator(&server));
    let simulated = Target::simulator(&server, &switch);
    if parts.contains(&"upstream") && require(&[Peer::Ironic]) {
        upstream::measure(&simulated);
    }
    if parts.contains(&"ngs") {
        ngs::measure(&runtime);
    }
    if parts.contains(&"ovs") {
        ovs::measure(&runtime);
    }
    if parts.contains(&"ios") {
        ios::measure(&runtime, &server);
    }
    if parts.contains(&"gnmi") {
        gnmi::measure(&runtime);
    }
    if parts.contains(&"attach") {
        measure_attaches(&runtime, &Target::netconfd(&server), &simulated, &switch);
    }
    machine::load();
}

fn measure_attaches(runtime: &Runtime, netconfd: &Target, simulated: &Target, switch: &Switch) {
    let mut table = Table::default();
    pure::measure(&mut table, Site::new(netconfd, &machine::disk()).config());
    let on_netconfd = attach::measure(&mut table, runtime, netconfd, || None);
    let seen = commits_that_a_proxy_sees(runtime);
    let on_simulator = attach::measure(&mut table, runtime, simulated, || Some(switch.commits()));

    println!("{table}");
    println!("ncclient waits about 0.1 s in every rpc by itself: its rows tell nothing about the switch.");
    println!("{PORTS} at once on netconfd once more, not timed, behind a proxy: it saw {seen} commits.\n");
    println!("{on_netconfd}{on_simulator}");
}

/// The embedded simulator, with the ports and VLANs that are used.
async fn simulator(keys: &Netconfd) -> Switch {
    let authorized_key = std::fs::read_to_string(keys.key.with_extension("pub")).expect("made by ssh-keygen");
    let spec = SwitchSpec {
        ports: attach::ports().into_iter().chain(upstream::more_ports()).collect(),
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
