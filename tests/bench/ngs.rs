//! networking-generic-switch, the driver that plugs Ironic's ports for Neutron.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{ChildStdin, ChildStdout, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::runtime::Runtime;

use crate::attach::{PORTS, Target, VLANS};
use crate::peers::process::{Process, command};
use crate::peers::{OpenVswitch, Peer, require};
use crate::table::{Samples, millis};

const ONE: usize = 10;
const ROUNDS: usize = 5;

/// What it calls Open vSwitch.
pub const OVS: &str = "netmiko_ovs_linux";

/// A Python process that waits for orders. Each of its calls connects anew, as it is by default.
pub struct Ngs {
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    _process: Process,
}

impl Ngs {
    /// None, and a line that says so, where it is not installed.
    pub fn start(device_type: &str, switch: &Target) -> Option<Self> {
        let python = checkout().join(".venv-ngs/bin/python");
        if !python.exists() {
            eprintln!("SKIPPED: {} is missing; run tests/peers/setup.sh bench", python.display());
            return None;
        }
        let mut ngs = command(python);
        ngs.args(["-I", "-W", "ignore"]).arg(checkout().join("tests/bench/ngs_attach.py"));
        ngs.args([device_type, &switch.port.to_string(), &switch.username]).arg(&switch.key);
        let mut process = Process::spawn(ngs.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = process.child().stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(process.child().stdout.take().expect("stdout is piped"));
        Some(Self { stdin, stdout, _process: process })
    }

    /// Plugs all `ports` at once: the time of each, and until the last.
    pub fn plug(&mut self, ports: &[String], vlan: u16) -> (Vec<Duration>, Duration) {
        writeln!(self.stdin, "{}", json!({ "ports": ports, "vlan": vlan })).expect("Python waits for orders");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("UTF-8");
        let answer: Value = serde_json::from_str(&answer).expect("networking-generic-switch plugs the ports");
        let seconds = |value: &Value| Duration::from_secs_f64(value.as_f64().expect("seconds"));
        let each = answer["seconds"].as_array().expect("one a port").iter().map(seconds);
        (each.collect(), seconds(&answer["until_last"]))
    }
}

/// Prints what one port takes, and many at once.
pub fn measure(runtime: &Runtime) {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let ports: Vec<String> = (1..=PORTS).map(|n| format!("sv{n}")).collect();
    let names: Vec<&str> = ports.iter().map(String::as_str).collect();
    let switch = runtime.block_on(OpenVswitch::start(&names));
    let Some(mut ngs) = Ngs::start(OVS, &Target::open_vswitch(&switch)) else { return };
    let [mut one, mut each, mut last] = [(); 3].map(|()| Samples::default());
    let mut vlans = VLANS.into_iter().cycle();
    let mut next = || vlans.next().expect("without end");
    for _ in 0..ONE {
        one.push(ngs.plug(&ports[..1], next()).1);
    }
    for _ in 0..ROUNDS {
        let vlan = next();
        let (seconds, until_last) = ngs.plug(&ports, vlan);
        seconds.into_iter().for_each(|took| each.push(took));
        last.push(until_last);
        assert!(ports.iter().all(|port| switch.port(port).tag == Some(vlan)), "a port was not plugged");
    }
    println!("\nnetworking-generic-switch 10.2.0 on Open vSwitch, each call with a connection of its own");
    let row = |what: &str, samples: &Samples| {
        println!("{what:40} p50 {:>9}  p99 {:>9}", millis(samples.p50()), millis(samples.percentile(99)));
    };
    row("one port", &one);
    row(&format!("{PORTS} ports at once, each of them"), &each);
    row(&format!("{PORTS} ports at once, until the last"), &last);
}

fn checkout() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
