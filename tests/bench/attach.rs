//! Attaches on one switch: cold, warm, many at once.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use mercury::sim::Switch;
use mercury::sim::cli::CliSwitch;
use tokio::runtime::Runtime;

use crate::hand::Hand;
use crate::machine;
use crate::ncclient::Ncclient;
use crate::peers::{Netconfd, OpenVswitch};
use crate::service::{Service, Site};
use crate::table::{Samples, Table, millis};

/// How many ports are attached at once: eth1, eth2, ...
pub const PORTS: u16 = 48;
/// The VLANs that take turns, so that each attach changes something.
pub const VLANS: [u16; 2] = [100, 101];

const ONE: &str = "eth101";
const IN_MEMORY: &str = "eth102";
const BY_HAND: &str = "eth103";
const BY_NCCLIENT: &str = "eth104";

const COLD: usize = 10;
const WARM: usize = 400;
const NCCLIENT: usize = 10;
const ROUNDS: usize = 20;

/// A switch and the way to it.
pub struct Target {
    pub name: &'static str,
    pub port: u16,
    pub username: String,
    pub key: PathBuf,
    pub known_hosts: PathBuf,
    pub profile: &'static str,
    /// What the service reads besides the interface.
    more: &'static str,
    /// Further lines of its entry in `devices.toml`.
    pub device: &'static str,
}

/// What the aims are about, and what else a table of times cannot hold.
pub struct Verdict {
    name: &'static str,
    one: Duration,
    in_memory: Duration,
    by_hand: Duration,
    at_once: Duration,
    most_commits: u64,
    memory: String,
}

/// The VLANs of one port, in turn.
#[derive(Default)]
pub struct Turn(usize);

/// The same change without Mercury: its payloads, one for each VLAN, and what is read before and after.
struct Change {
    edits: [String; 2],
    filter: String,
    turn: Turn,
}

pub fn ports() -> Vec<String> {
    let single = [ONE, IN_MEMORY, BY_HAND, BY_NCCLIENT].map(str::to_owned);
    (1..=PORTS).map(|n| format!("eth{n}")).chain(single).collect()
}

/// A file that knows the host key of a simulated switch.
fn known_hosts(keys: &Netconfd, name: &str, port: u16, host_key: &str) -> PathBuf {
    let file = keys.dir().join(format!("known_hosts.{name}"));
    fs::write(&file, format!("[127.0.0.1]:{port} {host_key}\n")).expect("the directory is ours");
    file
}

impl Target {
    pub fn netconfd(server: &Netconfd) -> Self {
        Self {
            name: "netconfd",
            port: server.port,
            username: server.username.clone(),
            key: server.key.clone(),
            known_hosts: server.known_hosts.clone(),
            profile: "netconfd_openconfig",
            more: "",
            device: "",
        }
    }

    /// Open vSwitch.
    pub fn open_vswitch(switch: &OpenVswitch) -> Self {
        Self {
            name: "Open vSwitch",
            port: switch.port,
            username: switch.username.clone(),
            key: switch.key.clone(),
            known_hosts: switch.known_hosts.clone(),
            profile: "ovs_linux",
            more: "",
            device: "",
        }
    }

    /// A simulated Cisco IOS, which has its own names for the ports eth1, eth2, ...
    pub fn cisco_ios(keys: &Netconfd, switch: &CliSwitch) -> Self {
        let port = switch.addr().port();
        let known_hosts = known_hosts(keys, "cisco_ios", port, switch.host_key());
        Self {
            name: "simulated Cisco IOS",
            port,
            username: "admin".to_owned(),
            key: keys.key.clone(),
            known_hosts,
            profile: "cisco_ios",
            more: "",
            device: "[[device.port_names]]\nmatch = \"^eth([0-9]+)$\"\nrewrite = \"GigabitEthernet0/$1\"\n",
        }
    }

    /// The simulator, where the key of `keys` may log in.
    pub fn simulator(keys: &Netconfd, switch: &Switch) -> Self {
        let port = switch.addr().port();
        let known_hosts = known_hosts(keys, "simulator", port, switch.host_key());
        Self {
            name: "simulator",
            port,
            username: "admin".to_owned(),
            key: keys.key.clone(),
            known_hosts,
            profile: "netconf_openconfig",
            more: "<network-instances xmlns=\"http://openconfig.net/yang/network-instance\"><network-instance>\
                   <name>default</name><config><name/></config><vlans><vlan><vlan-id>100</vlan-id></vlan></vlans>\
                   </network-instance></network-instances>",
            device: "",
        }
    }
}

impl Turn {
    /// 1, 0, 1, ...: what was set up is [`VLANS`]`[0]`.
    pub fn next(&mut self) -> usize {
        self.0 += 1;
        self.0 % 2
    }

    pub fn next_vlan(&mut self) -> u16 {
        VLANS[self.next()]
    }
}

impl Change {
    /// Takes the payloads from the service, which sends them once.
    fn learn(service: &mut Service, port: &str, target: &Target) -> Self {
        service.attach(port, VLANS[0]);
        let mut sent = |vlan| service.attach(port, vlan)["payload"].as_str().expect("text").to_owned();
        let second = sent(VLANS[1]);
        let first = sent(VLANS[0]);
        let filter = format!(
            "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface><name>{port}</name>\
             </interface></interfaces>{}",
            target.more
        );
        Self { edits: [first, second], filter, turn: Turn::default() }
    }

    fn by_hand(&mut self, hand: &mut Hand) {
        let next = self.turn.next();
        hand.attach(&self.edits[next], &self.filter, &format!("access-vlan>{}<", VLANS[next]));
    }

    fn by_ncclient(&mut self, ncclient: &mut Ncclient) {
        let next = self.turn.next();
        ncclient.attach(&self.edits[next], &self.filter);
    }
}

/// Measures one switch. `commits` counts those that changed its configuration, where that can be seen.
pub fn measure(
    table: &mut Table,
    runtime: &Runtime,
    target: &Target,
    commits: impl Fn() -> Option<u64>,
) -> Verdict {
    let name = target.name;
    eprintln!("{name}");
    let site = Site::new(target, &machine::disk());
    let mut service = Service::start(runtime, &site);
    service.attach(ONE, VLANS[0]);
    service.attach(IN_MEMORY, VLANS[0]);
    service.attach_all(PORTS, VLANS[0]);
    let mut hand_change = Change::learn(&mut service, BY_HAND, target);
    let mut ncclient_change = Change::learn(&mut service, BY_NCCLIENT, target);
    drop(service);
    let mut ncclient = Ncclient::start(target);
    let mut one = Turn::default();

    let [mut start, mut first, mut by_hand, mut by_ncclient] = [(); 4].map(|()| Samples::default());
    for n in 0..COLD {
        let mut service = start.time(|| Service::start(runtime, &site));
        first.time(|| service.attach(ONE, one.next_vlan()));
        by_hand.time(|| hand_change.by_hand(&mut Hand::open(target)));
        if n < COLD / 2 {
            by_ncclient.time(|| {
                ncclient.connect();
                ncclient_change.by_ncclient(&mut ncclient);
            });
        }
    }
    table.row("mercury serve until it listens", &start);
    table.row(format!("attach on {name}, cold: first call, connects"), &first);
    table.row("  by hand over a new ssh -s", &by_hand);
    table.row("  by ncclient, connects", &by_ncclient);

    let in_memory_site = Site::new(target, &machine::in_memory());
    let mut in_memory_service = Service::start(runtime, &in_memory_site);
    let mut in_memory_turn = Turn::default();
    let mut service = Service::start(runtime, &site);
    let mut hand = Hand::open(target);
    let [mut warm, mut in_memory, mut by_hand, mut by_ncclient] = [(); 4].map(|()| Samples::default());
    let mut phases: Vec<(&str, Samples)> = ["queue", "lock", "plan", "journal", "stage", "commit", "confirm"]
        .map(|p| (p, Samples::default()))
        .into();
    // The first of each connects.
    service.attach(ONE, one.next_vlan());
    in_memory_service.attach(IN_MEMORY, in_memory_turn.next_vlan());
    for n in 0..WARM {
        let change = warm.time(|| service.attach(ONE, one.next_vlan()));
        for (phase, samples) in &mut phases {
            let took = change["timings"].as_array().into_iter().flatten();
            let millis = took.filter(|took| took["phase"] == **phase).find_map(|took| took["ms"].as_f64());
            let millis = millis.expect("each phase ran");
            samples.push(Duration::from_secs_f64(millis / 1e3));
        }
        in_memory.time(|| in_memory_service.attach(IN_MEMORY, in_memory_turn.next_vlan()));
        by_hand.time(|| hand_change.by_hand(&mut hand));
        if n % (WARM / NCCLIENT) == 0 {
            by_ncclient.time(|| ncclient_change.by_ncclient(&mut ncclient));
        }
    }
    table.row(format!("attach on {name}, warm"), &warm);
    for (phase, samples) in &phases {
        table.row(format!("    of it {phase}"), samples);
    }
    table.row("  lock file in memory", &in_memory);
    table.row("  by hand over a warm ssh -s", &by_hand);
    table.row("  by ncclient, warm", &by_ncclient);

    let mut at_once = Samples::default();
    let mut all = Turn::default();
    let mut most_commits = 0;
    for _ in 0..ROUNDS {
        let before = commits();
        let (took, logged) = service.attach_all(PORTS, all.next_vlan());
        at_once.push(took);
        let counted = commits().zip(before).map(|(after, before)| after - before);
        assert!(counted.is_none_or(|counted| counted == logged), "{logged} commits logged, not {counted:?}");
        most_commits = most_commits.max(logged);
    }
    table.row(format!("{PORTS} attaches at once on {name}, until the last answer"), &at_once);

    Verdict {
        name,
        one: warm.p50(),
        in_memory: in_memory.p50(),
        by_hand: by_hand.p50(),
        at_once: at_once.p50(),
        most_commits,
        memory: service.memory(),
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ratio = |time: Duration, to: Duration| time.as_secs_f64() / to.as_secs_f64();
        let ok = |is: bool| if is { "ok" } else { "not met" };
        let (disk, memory) = (ratio(self.one, self.by_hand), ratio(self.in_memory, self.by_hand));
        let (name, commits, many) = (self.name, self.most_commits, ratio(self.at_once, self.one));
        writeln!(f, "{name}: warm is {disk:.2} times by hand ({memory:.2} with the lock file in memory)")?;
        // The simulator answers faster than any switch: what Mercury adds is most of it.
        if name == "netconfd" {
            writeln!(f, "    aim 1.3: {} ({})", ok(disk <= 1.3), ok(memory <= 1.3))?;
        }
        writeln!(f, "{name}: {PORTS} at once took at most {commits} commits; aim 3: {}", ok(commits <= 3))?;
        let at_once = millis(self.at_once);
        writeln!(
            f,
            "{name}: {PORTS} at once took {at_once}, {many:.1} times one; aim 3: {}",
            ok(many <= 3.0)
        )?;
        writeln!(f, "{name}: resident memory of the service afterwards: {}", self.memory)
    }
}
