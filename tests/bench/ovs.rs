//! Mercury and networking-generic-switch on one Open vSwitch, in turns, and what a command costs there
//! at the least.

use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::runtime::Runtime;

use crate::attach::{PORTS, Target, VLANS};
use crate::machine;
use crate::ngs::{self, Ngs};
use crate::peers::{OpenVswitch, Peer, require};
use crate::service::{Service, Site};
use crate::table::{Samples, Table, millis};

const COLD: usize = 10;
const WARM: usize = 100;
const ONE_BY_NGS: usize = 10;
const ROUNDS: usize = 5;

/// A connection of OpenSSH's client that stays open. Dropping it closes it.
struct Plain {
    socket: String,
}

impl Plain {
    fn open(switch: &OpenVswitch) -> Self {
        let socket = switch.dir().join("plain").display().to_string();
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
            .args(["-o", &format!("UserKnownHostsFile={}", switch.known_hosts.display())])
            .args(["-f", "-N", "-M", "-S", &socket, "-p", &switch.port.to_string(), "-i"])
            .arg(&switch.key)
            .arg(format!("{}@127.0.0.1", switch.username));
        let opened = ssh.stdin(Stdio::null()).status().expect("ssh is installed");
        assert!(opened.success(), "ssh does not connect");
        Self { socket }
    }

    fn run(&self, command: &str) {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-S", &self.socket, "switch", command]);
        let ran = ssh.stdin(Stdio::null()).stdout(Stdio::null()).status().expect("ssh is installed");
        assert!(ran.success(), "{command}");
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-S", &self.socket, "-O", "exit", "switch"]);
        if let Err(why) = ssh.stderr(Stdio::null()).status() {
            eprintln!("ssh cannot be ended: {why}");
        }
    }
}

/// Prints what one port takes, and many at once.
pub fn measure(runtime: &Runtime) {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let ports: Vec<String> = (1..=PORTS).map(|n| format!("eth{n}")).collect();
    let names: Vec<&str> = ports.iter().map(String::as_str).collect();
    let switch = runtime.block_on(OpenVswitch::start(&names));
    let target = Target::open_vswitch(&switch);
    let Some(mut ngs) = Ngs::start(ngs::OVS, &target) else { return };
    let site = Site::new(&target, &machine::disk());
    // Of eth1, which Mercury and the other take turns with, and of eth2.
    let [mut vlans, mut others] = [(); 2].map(|()| VLANS.into_iter().cycle());
    let mut next = || vlans.next().expect("without end");
    let mut table = Table::default();

    let [mut cold, mut warm, mut by_ngs] = [(); 3].map(|()| Samples::default());
    for _ in 0..COLD {
        let mut service = Service::start(runtime, &site);
        cold.time(|| service.attach("eth1", next()));
    }
    let mut service = Service::start(runtime, &site);
    service.attach("eth1", next());
    let plain = Plain::open(&switch);
    let set = |vlan: u16| format!("ovs-vsctl set port eth2 vlan_mode=access tag={vlan} 'trunks=[]'");
    let [mut nothing, mut set_only, mut reads] = [(); 3].map(|()| Samples::default());
    for n in 0..WARM {
        warm.time(|| service.attach("eth1", next()));
        nothing.time(|| plain.run("true"));
        let vlan = others.next().expect("without end");
        set_only.time(|| plain.run(&set(vlan)));
        reads.time(|| plain.run("ovs-vsctl list port eth2 && ip -json link show"));
        if n % (WARM / ONE_BY_NGS) == 0 {
            let vlan = next();
            by_ngs.push(ngs.plug(&ports[..1], vlan).1);
        }
    }
    table.row("attach on Open vSwitch, cold: first call, connects", &cold);
    table.row("attach on Open vSwitch, warm", &warm);
    table.row("  networking-generic-switch", &by_ngs);
    table.row("  plain ssh, kept open: true", &nothing);
    table.row("  plain ssh, kept open: the set alone", &set_only);
    table.row("  plain ssh, kept open: the reads alone", &reads);

    let [mut all, mut all_by_ngs] = [(); 2].map(|()| Samples::default());
    let sets = || switch.commands().iter().filter(|command| command.contains(" set port ")).count();
    let mut most_sets = 0;
    let [theirs, ours] = VLANS;
    ngs.plug(&ports, theirs);
    for _ in 0..ROUNDS {
        let before = sets();
        all.push(service.attach_all(PORTS, ours).0);
        most_sets = most_sets.max(sets() - before);
        all_by_ngs.push(ngs.plug(&ports, theirs).1);
        assert!(ports.iter().all(|port| switch.port(port).tag == Some(theirs)), "a port was not plugged");
    }
    table.row(format!("{PORTS} attaches at once, until the last answer"), &all);
    table.row("  networking-generic-switch", &all_by_ngs);
    println!("{table}");

    verdict("Open vSwitch", (&by_ngs, &warm), (&all_by_ngs, &all));
    let least = millis(set_only.p50() + reads.p50());
    println!(
        "Open vSwitch: {PORTS} ports went out in at most {most_sets} commands; one set and one read by plain ssh: {least}\n"
    );
}

/// Prints how many times faster the second of each pair is: of one port, and of many.
pub fn verdict(switch: &str, one: (&Samples, &Samples), many: (&Samples, &Samples)) {
    let times = |(theirs, ours): (&Samples, &Samples)| ratio(theirs.p50(), ours.p50());
    let ok = |is: bool| if is { "ok" } else { "not met" };
    let (one, many) = (times(one), times(many));
    println!("{switch}: one port {one:.0} times faster; aim 50: {}", ok(one >= 50.0));
    println!("{switch}: {PORTS} ports {many:.0} times faster; aim 100: {}", ok(many >= 100.0));
}

fn ratio(time: Duration, to: Duration) -> f64 {
    time.as_secs_f64() / to.as_secs_f64()
}
