//! `mercury serve` as it is released, and JSON-RPC over kept-alive HTTP connections.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::attach::Target;
use crate::load::{Connection, request};
use crate::machine;
use crate::peers::{Address, Serve};

/// The files that an operator would have written.
pub struct Site {
    _dir: TempDir,
    config: PathBuf,
}

/// A running service and a connection to it.
pub struct Service {
    process: Serve,
    config: PathBuf,
    connection: Connection,
    address: String,
}

impl Site {
    /// With the lock files in a new directory below `parent`.
    pub fn new(target: &Target, parent: &Path) -> Self {
        let device = format!(
            "address = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\nkey_file = \"{}\"\n\
             known_hosts = \"{}\"\nprofile = \"{}\"\n{}",
            target.port,
            target.username,
            target.key.display(),
            target.known_hosts.display(),
            target.profile,
            target.device
        );
        Self::with(&device, parent)
    }

    /// The same with these lines of the inventory, which say how the device is reached.
    pub fn with(device: &str, parent: &Path) -> Self {
        let dir = TempDir::with_prefix_in("mercury-bench-", parent).expect("a temporary directory");
        let config = dir.path().join("mercury.toml");
        let service = "[rpc]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n[inventory]\ndevices = \"devices.toml\"\n\
                       [locks]\ndir = \"locks\"\n[log]\nformat = \"json\"\n";
        let device = format!("[[device]]\nname = \"leaf1\"\nallowed_vlans = \"100-199\"\n{device}");
        fs::write(&config, service).expect("the directory is ours");
        fs::write(dir.path().join("devices.toml"), device).expect("the directory is ours");
        Self { _dir: dir, config }
    }

    pub fn config(&self) -> &Path {
        &self.config
    }
}

impl Service {
    pub fn start(runtime: &Runtime, site: &Site) -> Self {
        let process = runtime.block_on(Serve::start(site.config())).unwrap_or_else(|why| panic!("{why}"));
        let Address::Http(address) = process.address.clone() else { panic!("it listens on TCP") };
        let config = site.config.clone();
        Self { process, config, connection: Connection::open(&address), address }
    }

    /// Its resident memory.
    pub fn memory(&self) -> String {
        machine::resident(machine::process_with(&self.config).expect("it runs"))
    }

    /// Attaches one port, which must change it, and gives what became of it.
    pub fn attach(&mut self, port: &str, vlan: u16) -> Value {
        self.connection.send(&call(&[port.to_owned()], vlan));
        changed(self.connection.receive())
    }

    /// Attaches eth1, eth2, ... with one call for all.
    pub fn attach_links(&mut self, ports: u16, vlan: u16) {
        let ports: Vec<String> = (1..=ports).map(|n| format!("eth{n}")).collect();
        self.connection.send(&call(&ports, vlan));
        changed(self.connection.receive());
    }

    /// Attaches eth1, eth2, ... with one call each, over as many connections, all at once. Gives the
    /// time from the first request to the last answer, and in how many commits the log says they went.
    pub fn attach_all(&mut self, ports: u16, vlan: u16) -> (Duration, u64) {
        let calls: Vec<Vec<u8>> = (1..=ports).map(|n| call(&[format!("eth{n}")], vlan)).collect();
        let mut connections: Vec<_> = calls.iter().map(|_| Connection::open(&self.address)).collect();
        let logged = self.process.output().len();
        let started = Instant::now();
        for (connection, call) in connections.iter_mut().zip(&calls) {
            connection.send(call);
        }
        for connection in &mut connections {
            changed(connection.receive());
        }
        (started.elapsed(), self.commits_logged_since(logged, calls.len()))
    }

    /// Every line of a change tells how many changes its commit had.
    fn commits_logged_since(&self, from: usize, changes: usize) -> u64 {
        let groups = loop {
            let output = self.process.output();
            let lines = output[from..].lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let groups: Vec<u64> = lines.filter_map(|line| line["group"].as_u64()).collect();
            if groups.len() >= changes {
                break groups;
            }
            // The answers come over another pipe than the log.
            std::thread::sleep(Duration::from_millis(1));
        };
        let share = |group: &u64| 1.0 / *group as f64;
        groups.iter().map(share).sum::<f64>().round() as u64
    }
}

/// The one port's part of an answer, which must say that the port was changed.
fn changed(answer: &str) -> Value {
    let mut answer: Value = serde_json::from_str(answer).expect("JSON");
    assert_eq!(answer["result"]["outcome"], "applied", "{answer}");
    answer["result"]["devices"][0].take()
}

fn call(ports: &[String], vlan: u16) -> Vec<u8> {
    let link: Vec<_> = ports.iter().map(|port| json!({ "switch_id": "leaf1", "port_id": port })).collect();
    let call = json!({ "jsonrpc": "2.0", "id": ports[0], "method": "attach_port", "params": {
        "port": {
            "id": "0d2b1f6e-3a53-4f3b-9b44-8f4f4d1d2c11",
            "mac_address": "52:54:00:12:34:56",
            "binding:vnic_type": "baremetal",
            "binding:host_id": "node-1",
            "binding:profile": { "local_link_information": link },
        },
        "segment": { "id": "s1", "network_type": "vlan", "segmentation_id": vlan, "physical_network": "physnet1" },
    } });
    request(&call, None)
}
