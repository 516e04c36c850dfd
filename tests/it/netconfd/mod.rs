//! The whole service against a NETCONF server that is not ours: `mercury serve` as a process,
//! JSON-RPC in, netconfd behind sshd at the other end. What the switch holds is always looked at
//! through OpenSSH's client, never through Mercury.

mod changes;
mod faults;
mod groups;
mod models;
mod processes;
mod refusals;
mod spanning_tree;
mod together;
mod vlans;

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use quick_xml::Reader;
use quick_xml::escape::unescape;
use quick_xml::events::Event as Xml;
use regex::Regex;
use serde_json::Value;
use tempfile::TempDir;

use crate::peers::{Event, Netconfd, Options, Proxy, RawClient, Shape};
use crate::service::{Service, port_id};

const BOTH: [Shape; 2] = [Shape::Candidate, Shape::RunningStartup];

const INTERFACES: &str = "http://openconfig.net/yang/interfaces";

/// An operator beside us: looks at a switch and changes it.
struct Operator {
    session: RawClient,
    shape: Shape,
}

impl Operator {
    async fn of(server: &Netconfd, shape: Shape) -> Self {
        Self { session: server.connect().await, shape }
    }

    /// The `<data>` that a datastore holds, to the byte as the server writes it, but for containers
    /// in which there is nothing left: they mean nothing (RFC 7950 7.5.1), and nobody deletes them.
    async fn data(&mut self, store: &str) -> String {
        let reply = self.session.get_config(store, "").await;
        let from = reply.find("<data").expect("a reply with data");
        let to = reply.rfind("</rpc-reply").expect("a whole reply");
        let mut data = reply[from..to].to_owned();
        for name in ["config", "switched-vlan", "ethernet", "interfaces"] {
            let empty =
                Regex::new(&format!(r"\s*<{name}(\s[^<>]*)?(/>|>\s*</{name}>)")).expect("an expression");
            data = empty.replace_all(&data, "").into_owned();
        }
        data
    }

    async fn running(&mut self) -> String {
        self.data("running").await
    }

    /// A port of running in words, as [`port`].
    async fn port(&mut self, name: &str) -> String {
        port(&self.running().await, name)
    }

    /// Merges configuration and makes it run and survive.
    async fn apply(&mut self, config: &str) {
        match self.shape {
            Shape::Candidate => {
                self.session.edit("candidate", config).await;
                self.session.ok("<commit/>").await;
            }
            Shape::RunningStartup => {
                self.session.edit("running", config).await;
                self.session.ok(SAVE).await;
            }
        }
    }

    /// Applies what an answer named as the inverse of its first port's change.
    async fn apply_inverse(&mut self, change: &Value) {
        self.apply(change["devices"][0]["inverse"].as_str().expect("an inverse")).await;
    }

    /// What must hold after every transaction: no lock, nothing pending, nothing in the candidate,
    /// and, where there is a startup datastore, it holds what runs.
    async fn assert_at_rest(&mut self) {
        let stores: &[&str] = match self.shape {
            Shape::Candidate => &["candidate", "running"],
            Shape::RunningStartup => &["running", "startup"],
        };
        // A candidate with changes of somebody else, or a pending commit, refuses the lock.
        for store in stores {
            let lock = format!("<lock><target><{store}/></target></lock>");
            // netconfd takes a moment to notice that a session is gone, and its lock with it.
            let patience = Instant::now() + Duration::from_secs(5);
            while !self.session.rpc(&lock).await.contains("<ok/>") {
                assert!(Instant::now() < patience, "{store} stays locked");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        for store in stores {
            self.session.ok(&format!("<unlock><target><{store}/></target></unlock>")).await;
        }
        let running = self.running().await;
        for store in stores {
            assert_eq!(self.data(store).await, running, "{store} differs from running");
        }
    }
}

const SAVE: &str = "<copy-config><target><startup/></target><source><running/></source></copy-config>";

/// An interface entry with `content` after its name, and the prefix `t` for its type.
fn interface(name: &str, content: &str) -> String {
    format!(
        "<interfaces xmlns=\"{INTERFACES}\" xmlns:t=\"urn:ietf:params:xml:ns:yang:iana-if-type\">\
         <interface><name>{name}</name>{content}</interface></interfaces>"
    )
}

/// An Ethernet port with further leaves of its `config` and further content after it.
fn ethernet(name: &str, leaves: &str, content: &str) -> String {
    let kind = "<type>t:ethernetCsmacd</type>";
    interface(name, &format!("<config><name>{name}</name>{kind}{leaves}</config>{content}"))
}

/// `ethernet/switched-vlan/config` with these leaves.
fn switched(leaves: &str) -> String {
    format!(
        "<ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
         <switched-vlan xmlns=\"http://openconfig.net/yang/vlan\"><config>{leaves}</config></switched-vlan>\
         </ethernet>"
    )
}

/// The leaves of one interface, by name: `access-vlan=100 enabled=true ...`, those of a list after
/// each other. Name and type are left out; nothing is left of an interface that is not there. Our own
/// descriptions are written IRONIC and NEUTRON.
fn port(data: &str, name: &str) -> String {
    let mut reader = Reader::from_str(data);
    let (mut above, mut text, mut entry) = (Vec::<String>::new(), String::new(), String::new());
    let mut leaves: BTreeMap<String, Vec<String>> = BTreeMap::new();
    loop {
        match reader.read_event().expect("netconfd writes XML") {
            Xml::Start(start) => {
                above.push(start.local_name().into_inner().to_owned());
                text.clear();
            }
            Xml::Text(more) => text.push_str(&more),
            Xml::GeneralRef(entity) => text.push_str(&format!("&{};", &*entity)),
            Xml::End(_) => {
                let value = unescape(text.trim()).expect("an entity of XML's own").into_owned();
                match above.as_slice() {
                    [.., parent, leaf] if parent == "interface" && leaf == "name" => entry = value,
                    [.., leaf] if entry == name && !value.is_empty() && leaf != "name" && leaf != "type" => {
                        leaves.entry(leaf.clone()).or_default().push(value);
                    }
                    _ => {}
                }
                if above.pop().is_some_and(|closed| closed == "interface") {
                    entry.clear();
                }
                text.clear();
            }
            Xml::Eof => break,
            _ => {}
        }
    }
    let words: Vec<String> =
        leaves.iter().map(|(leaf, values)| format!("{leaf}={}", values.join(","))).collect();
    let id = port_id(name);
    words
        .join(" ")
        .replace(&format!("Ironic Port {id}"), "IRONIC")
        .replace(&format!("Neutron Port {id}"), "NEUTRON")
}

/// A vendor's own module, which refuses what OpenConfig's allow.
const NARROW: &str = r#"module narrow {
  namespace "urn:narrow"; prefix n;
  import openconfig-interfaces { prefix oc-if; }
  deviation "/oc-if:interfaces/oc-if:interface/oc-if:config/oc-if:mtu" {
    deviate replace { type uint16 { range "68..9216"; } }
  }
}"#;

/// A server that takes no mtu above 9216; the directory has to be there when it starts.
fn narrow(shape: Shape) -> (TempDir, Options) {
    let own = TempDir::new().expect("a temporary directory");
    fs::write(own.path().join("narrow.yang"), NARROW).expect("the directory is ours");
    let mut options = Options::new(shape);
    options.yang.insert(0, own.path().to_owned());
    options.modules.push("narrow".to_owned());
    (own, options)
}

/// How many requests of these kinds came to the proxy.
fn requests(proxy: &Proxy, kinds: &[&str]) -> usize {
    let came = |event: &&Event| kinds.iter().any(|kind| **event == Event::request(kind));
    proxy.events().iter().filter(came).count()
}

/// Requests that change a switch.
const CHANGING: [&str; 4] = ["edit-config", "confirmed-commit", "confirm", "copy-config"];

/// A call that succeeds.
async fn call(service: &Service, method: &str, params: &Value) -> Value {
    let answer = service.call(method, params.clone()).await;
    answer.unwrap_or_else(|why| panic!("{method} {params}: {why:?}"))
}

/// Looks again and again until the switch holds `expected`, which nobody tells. Not often: netconfd
/// 2.13 looks at its timers only when it had nothing else to do for a second.
async fn becomes(operator: &mut Operator, expected: &str, within: Duration) {
    let started = Instant::now();
    while operator.running().await != expected {
        assert!(started.elapsed() < within, "still {}", operator.running().await);
        tokio::time::sleep(Duration::from_millis(1200)).await;
    }
}
