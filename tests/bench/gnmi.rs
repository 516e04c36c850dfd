//! Mercury, the same rpcs by hand, and pygnmi on one simulated gNMI target, over mutual TLS, in turns.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mercury::schema::Schema;
use mercury::sim::gnmi::GnmiSpec;
use mercury::sim::{self, Switch, SwitchSpec};
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::attach::{PORTS, Turn, VLANS};
use crate::gnmi_hand::GnmiHand;
use crate::machine;
use crate::peers::{Authority, Peer, require};
use crate::python::Python;
use crate::service::{Service, Site};
use crate::table::{Samples, Table};

const ONE: &str = "eth101";
const IN_MEMORY: &str = "eth102";
const BY_HAND: &str = "eth103";
const BY_PYGNMI: &str = "eth104";

const COLD: usize = 10;
const WARM: usize = 400;
const ROUNDS: usize = 20;

/// The same change without Mercury: what is read before and after, and what is set, for each VLAN.
struct Change {
    orders: [Value; 2],
    turn: Turn,
}

async fn start(authority: &Authority) -> Switch {
    let single = [ONE, IN_MEMORY, BY_HAND, BY_PYGNMI].map(str::to_owned);
    let spec = SwitchSpec {
        ports: (1..=PORTS).map(|n| format!("eth{n}")).chain(single).collect(),
        vlans: VLANS.to_vec(),
        gnmi: Some(GnmiSpec { tls: Some(authority.target(Some(authority))), ..GnmiSpec::default() }),
        ..SwitchSpec::default()
    };
    let schema = Schema::builtin().expect("the subset is sound");
    sim::start(spec, Arc::clone(&schema), ([127, 0, 0, 1], 0).into()).await.expect("a free port")
}

/// How often each rpc has arrived.
fn count(switch: &Switch, name: &str) -> usize {
    switch.log().iter().filter(|logged| logged.rpc == name).count()
}

/// How many Sets have brought changes, with a timer or without.
fn sets(switch: &Switch) -> usize {
    count(switch, "gnmi-commit") + count(switch, "gnmi-set")
}

impl Change {
    /// Takes the operations from the service, which sends them once.
    fn learn(service: &mut Service, port: &str) -> Self {
        let mut order = |vlan| {
            let change = service.attach(port, vlan);
            let set: Value = serde_json::from_str(change["payload"].as_str().expect("text")).expect("JSON");
            let update = set["update"].as_array().into_iter().flatten();
            json!({
                "get": [
                    format!("/interfaces/interface[name={port}]"),
                    format!("/network-instances/network-instance[name=default]/vlans/vlan[vlan-id={vlan}]"),
                ],
                "delete": set["delete"].as_array().cloned().unwrap_or_default(),
                "update": update.map(|one| json!([one["path"], one["val"]])).collect::<Vec<_>>(),
            })
        };
        order(VLANS[0]);
        let second = order(VLANS[1]);
        let first = order(VLANS[0]);
        Self { orders: [first, second], turn: Turn::default() }
    }

    fn next(&mut self) -> &Value {
        &self.orders[self.turn.next()]
    }
}

/// Prints what one port takes, and many at once.
///
/// # Panics
/// If ports that are changed in one call do not go out in one Set.
pub fn measure(runtime: &Runtime) {
    if !require(&[Peer::PyGnmi]) {
        return;
    }
    let authority = Authority::new();
    let switch = runtime.block_on(start(&authority));
    let port = switch.gnmi_addr().expect("it is a gNMI target").port();
    let [certificate, key] = authority.issue("mercury");
    let device = format!(
        "address = \"127.0.0.1\"\nprofile = \"gnmi_openconfig\"\n[device.gnmi]\nport = {port}\nca = \"{}\"\n\
         client_certificate = \"{}\"\nclient_key = \"{}\"\n",
        authority.file().display(),
        certificate.display(),
        key.display()
    );
    let site = Site::with(&device, &machine::disk());
    let files = [authority.file(), certificate, key];
    let arguments = files.iter().map(|file| file.display().to_string());
    let mut pygnmi = Python::start("pygnmi_attach.py", [port.to_string()].into_iter().chain(arguments));
    let by_hand = || GnmiHand::open(runtime, port, files.each_ref().map(PathBuf::as_path));
    let mut service = Service::start(runtime, &site);
    service.attach(ONE, VLANS[0]);
    service.attach(IN_MEMORY, VLANS[0]);
    service.attach_all(PORTS, VLANS[0]);
    let [mut hand_change, mut pygnmi_change] =
        [BY_HAND, BY_PYGNMI].map(|port| Change::learn(&mut service, port));
    drop(service);
    let mut table = Table::default();
    let mut one = Turn::default();

    let [mut first, mut first_by_hand, mut first_by_pygnmi] = [(); 3].map(|()| Samples::default());
    for _ in 0..COLD {
        let mut service = Service::start(runtime, &site);
        first.time(|| service.attach(ONE, one.next_vlan()));
        first_by_hand.time(|| by_hand().attach(hand_change.next()));
        first_by_pygnmi.time(|| {
            pygnmi.order(&json!({}));
            pygnmi.order(pygnmi_change.next());
        });
    }
    table.row("attach over gNMI, mutual TLS, cold: first call, connects", &first);
    table.row("  by hand, connects", &first_by_hand);
    table.row("  by pygnmi, connects", &first_by_pygnmi);

    let in_memory_site = Site::with(&device, &machine::in_memory());
    let mut in_memory_service = Service::start(runtime, &in_memory_site);
    let mut in_memory_turn = Turn::default();
    let mut service = Service::start(runtime, &site);
    let [mut warm, mut in_memory, mut by_hands, mut by_pygnmi] = [(); 4].map(|()| Samples::default());
    let mut phases: Vec<(&str, Samples)> = ["queue", "lock", "plan", "journal", "stage", "commit", "confirm"]
        .map(|p| (p, Samples::default()))
        .into();
    let mut hand = by_hand();
    // The first of each connects.
    service.attach(ONE, one.next_vlan());
    in_memory_service.attach(IN_MEMORY, in_memory_turn.next_vlan());
    for _ in 0..WARM {
        let change = warm.time(|| service.attach(ONE, one.next_vlan()));
        for (phase, samples) in &mut phases {
            let took = change["timings"].as_array().into_iter().flatten();
            let millis = took.filter(|took| took["phase"] == **phase).find_map(|took| took["ms"].as_f64());
            samples.push(Duration::from_secs_f64(millis.expect("each phase ran") / 1e3));
        }
        in_memory.time(|| in_memory_service.attach(IN_MEMORY, in_memory_turn.next_vlan()));
        let before = switch.commits();
        by_hands.time(|| hand.attach(hand_change.next()));
        by_pygnmi.time(|| pygnmi.order(pygnmi_change.next()));
        assert_eq!(switch.commits(), before + 2, "each changes its port");
    }
    table.row("attach over gNMI, mutual TLS, warm", &warm);
    for (phase, samples) in &phases {
        table.row(format!("    of it {phase}"), samples);
    }
    table.row("  lock file in memory", &in_memory);
    table.row("  by hand: Get, Set with a timer, Get, confirm", &by_hands);
    table.row("  by pygnmi: Get, Set, Get", &by_pygnmi);

    let [mut at_once, mut in_one_call] = [(); 2].map(|()| Samples::default());
    let mut all = Turn::default();
    let mut most_sets = 0;
    for _ in 0..ROUNDS {
        let before = sets(&switch);
        at_once.push(service.attach_all(PORTS, all.next_vlan()).0);
        let between = sets(&switch);
        most_sets = most_sets.max(between - before);
        in_one_call.time(|| service.attach_links(PORTS, all.next_vlan()));
        assert_eq!(sets(&switch) - between, 1, "{PORTS} ports in one call are one Set");
    }
    table.row(format!("{PORTS} attaches at once over gNMI, until the last answer"), &at_once);
    table.row(format!("one call for {PORTS} ports"), &in_one_call);
    println!("{table}");

    let times = |of: &Samples, to: &Samples| of.p50().as_secs_f64() / to.p50().as_secs_f64();
    println!(
        "gNMI: warm is {:.2} times by hand ({:.2} with the lock file in memory), {:.2} times pygnmi",
        times(&warm, &by_hands),
        times(&in_memory, &by_hands),
        times(&warm, &by_pygnmi)
    );
    println!(
        "gNMI: {PORTS} attaches at once went out in at most {most_sets} Sets, one call for {PORTS} ports in 1"
    );
    println!("gNMI: resident memory of the service afterwards: {}\n", service.memory());
}
