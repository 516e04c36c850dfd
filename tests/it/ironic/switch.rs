//! The switches behind Mercury, and all that they hold, read past Mercury.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use mercury::schema::Schema;
use mercury::sim::gnmi::GnmiSpec;
use mercury::sim::{self, Personality, Quirks, SwitchSpec};
use quick_xml::Reader;
use quick_xml::events::Event as Xml;
use tokio::runtime::Handle;

use super::mercury::write;
use crate::peers::{Authority, Netconfd, OpenVswitch, RawClient, Shape, patiently, poll_pause};
use crate::service::login;

/// The VLAN that simulated switches refuse, although Mercury may use it.
pub const REFUSED: u16 = 209;

/// A switch behind Mercury. It has an uplink, which is no business of ours.
pub struct Switch {
    pub name: &'static str,
    /// What Ironic calls it.
    pub mac_address: String,
    peer: Peer,
    before: Lines,
    /// Ports that nodes are plugged into.
    used: Mutex<BTreeSet<String>>,
}

enum Peer {
    Netconfd(Box<Netconfd>),
    OpenVswitch(Box<OpenVswitch>),
    Simulated(Box<Simulated>),
}

/// One that can do wrong, lose its power, and come back.
struct Simulated {
    spec: SwitchSpec,
    address: SocketAddr,
    host_key: String,
    state: Mutex<State>,
    lab: Handle,
}

enum State {
    On(sim::Switch),
    /// With what it ran last.
    Off(String),
}

/// `interfaces/interface[eth1]/config/enabled=true`: a line a value.
pub type Lines = BTreeSet<String>;

/// What a port is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vlans {
    /// What it was in when no node had been plugged in.
    Untouched,
    /// The idle network: an access port that belongs to nobody.
    Idle(u16),
    Access(u16),
    Trunk(Option<u16>, Vec<u16>),
}

/// How a test looks at a switch: a NETCONF session of its own, or where the switch keeps it.
pub enum Look {
    Session(Box<RawClient>),
    Store,
}

pub const UPLINK: &str = "eth48";

/// The reserved VLAN that is nobody's, on an Open vSwitch.
const PARKED: u16 = 4095;

const PORTS: std::ops::RangeInclusive<u16> = 1..=16;

/// The configuration that a switch starts with.
fn startup() -> String {
    let port = |name: &str, leaves: &str, vlans: &str| {
        let vlans = match vlans {
            "" => String::new(),
            vlans => format!(
                "<ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\"><switched-vlan \
                 xmlns=\"http://openconfig.net/yang/vlan\"><config>{vlans}</config></switched-vlan></ethernet>"
            ),
        };
        format!(
            "<interface><name>{name}</name><config><name>{name}</name><type>t:ethernetCsmacd</type>{leaves}\
             </config>{vlans}</interface>"
        )
    };
    let ports: String =
        PORTS.map(|n| port(&format!("eth{n}"), "<mtu>9000</mtu><enabled>true</enabled>", "")).collect();
    let uplink = port(
        UPLINK,
        "<description>uplink</description>",
        "<interface-mode>TRUNK</interface-mode><native-vlan>7</native-vlan><trunk-vlans>100..399</trunk-vlans>",
    );
    format!(
        "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\" \
         xmlns:t=\"urn:ietf:params:xml:ns:yang:iana-if-type\">{ports}{uplink}</interfaces>"
    )
}

impl Switch {
    /// Debian's netconfd.
    pub async fn netconfd(name: &'static str, number: u8, shape: Shape) -> Self {
        let server = Netconfd::start(shape).await;
        let mut operator = server.connect().await;
        match shape {
            Shape::Candidate => {
                operator.edit("candidate", &startup()).await;
                operator.ok("<commit/>").await;
            }
            Shape::RunningStartup => {
                operator.edit("running", &startup()).await;
                operator
                    .ok("<copy-config><target><startup/></target><source><running/></source></copy-config>")
                    .await;
            }
        }
        Self::new(name, number, Peer::Netconfd(Box::new(server))).await
    }

    /// A simulated one that speaks NETCONF.
    pub async fn simulated(name: &'static str, number: u8, personality: Personality, dir: &Path) -> Self {
        let spec = SwitchSpec { personality, password: Some("secret".into()), ..SwitchSpec::default() };
        Self::simulation_of(spec, name, number, dir).await
    }

    /// A simulated one that speaks gNMI to whoever has a certificate of the authority's, and to nobody
    /// else: over SSH no login succeeds.
    pub async fn gnmi(name: &'static str, number: u8, authority: &Authority, dir: &Path) -> Self {
        authority.issue("mercury");
        let tls = Some(authority.target(Some(authority)));
        let gnmi = Some(GnmiSpec { tls, ..GnmiSpec::default() });
        Self::simulation_of(SwitchSpec { gnmi, ..SwitchSpec::default() }, name, number, dir).await
    }

    /// It runs on the calling runtime, also after it came back.
    async fn simulation_of(spec: SwitchSpec, name: &'static str, number: u8, dir: &Path) -> Self {
        let mut spec = SwitchSpec {
            name: name.to_owned(),
            quirks: Quirks { refuse: Some(REFUSED), ..Quirks::default() },
            vlans: (101..=106).chain(200..=209).chain(300..=309).collect(),
            startup_xml: Some(startup()),
            host_key: Some(sim::write_host_key(&dir.join(name)).expect("the directory is ours")),
            ..spec
        };
        let switch = boot(spec.clone(), ([127, 0, 0, 1], 0).into()).await;
        // Where it comes back.
        if let (Some(gnmi), Some(address)) = (&mut spec.gnmi, switch.gnmi_addr()) {
            gnmi.port = address.port();
        }
        let peer = Peer::Simulated(Box::new(Simulated {
            spec,
            address: switch.addr(),
            host_key: switch.host_key().to_owned(),
            state: Mutex::new(State::On(switch)),
            lab: Handle::current(),
        }));
        Self::new(name, number, peer).await
    }

    /// Open vSwitch, with machines on eth1 and eth2 one day and an uplink that carries every VLAN. An
    /// operator has parked the ports: one with nothing set would carry every VLAN, too.
    pub async fn open_vswitch(name: &'static str, number: u8) -> Self {
        let switch = OpenVswitch::start(&["eth1", "eth2", UPLINK]).await;
        for port in ["eth1", "eth2"] {
            switch.vsctl(&["set", "port", port, "vlan_mode=access", &format!("tag={PARKED}")]);
        }
        Self::new(name, number, Peer::OpenVswitch(Box::new(switch))).await
    }

    async fn new(name: &'static str, number: u8, peer: Peer) -> Self {
        let mac_address = format!("00:1c:73:00:00:{number:02x}");
        let mut switch =
            Self { name, mac_address, peer, before: Lines::new(), used: Mutex::new(BTreeSet::new()) };
        switch.before = switch.holds(&mut switch.look().await).await;
        switch
    }

    /// Its table in Mercury's inventory; a password is kept in `dir`.
    pub fn inventory(&self, dir: &Path) -> String {
        let reached = match &self.peer {
            Peer::Netconfd(server) => format!("{}profile = \"netconfd_openconfig\"\n", login(server)),
            Peer::OpenVswitch(switch) => format!(
                "address = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\nkey_file = \"{}\"\n\
                 known_hosts = \"{}\"\nprofile = \"ovs_linux\"\n",
                switch.port,
                switch.username,
                switch.key.display(),
                switch.known_hosts.display()
            ),
            Peer::Simulated(one) if let Some(gnmi) = &one.spec.gnmi => format!(
                "address = \"127.0.0.1\"\nprofile = \"gnmi_openconfig\"\n[device.gnmi]\nport = {}\n\
                 ca = \"ca.pem\"\nclient_certificate = \"mercury.pem\"\nclient_key = \"mercury.key\"\n",
                gnmi.port
            ),
            Peer::Simulated(one) => {
                let password = dir.join("password");
                write(&password, "secret\n");
                format!(
                    "address = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\npassword_file = \"{}\"\n\
                     host_key = \"{}\"\nprofile = \"netconf_openconfig\"\n",
                    one.address.port(),
                    one.spec.username,
                    password.display(),
                    one.host_key
                )
            }
        };
        format!("mac_address = \"{}\"\n{reached}", self.mac_address)
    }

    /// Directories to remove when the switch is gone.
    pub fn dir(&self) -> Option<&Path> {
        match &self.peer {
            Peer::Netconfd(server) => Some(server.dir()),
            Peer::OpenVswitch(switch) => Some(switch.dir()),
            Peer::Simulated(_) => None,
        }
    }

    /// Whoever plugs a node into a port looks after it from now on.
    pub fn plug(&self, port: &str) {
        assert!(self.used.lock().expect("not poisoned").insert(port.to_owned()), "{port} is taken");
    }

    pub async fn look(&self) -> Look {
        match &self.peer {
            Peer::Netconfd(server) => Look::Session(Box::new(server.connect().await)),
            Peer::OpenVswitch(_) | Peer::Simulated(_) => Look::Store,
        }
    }

    async fn holds(&self, look: &mut Look) -> Lines {
        let xml = match (look, &self.peer) {
            (Look::Session(session), _) => session.get_config("running", "").await,
            (Look::Store, Peer::Simulated(one)) => match &*one.state() {
                State::On(switch) => switch.running_xml(),
                State::Off(running) => running.clone(),
            },
            (Look::Store, Peer::OpenVswitch(switch)) => {
                return ["eth1", "eth2", UPLINK]
                    .map(|port| found(switch, port))
                    .into_iter()
                    .flatten()
                    .collect();
            }
            (Look::Store, Peer::Netconfd(_)) => unreachable!("made by look()"),
        };
        lines(&xml)
    }

    /// The real one that forwards.
    pub fn forwarding(&self) -> &OpenVswitch {
        match &self.peer {
            Peer::OpenVswitch(switch) => switch,
            _ => panic!("{} forwards nothing", self.name),
        }
    }

    /// The difference to these ports being in these VLANs and all else being as it was in the
    /// beginning; empty if there is none. Ports of other nodes are theirs to look at.
    pub async fn difference(&self, look: &mut Look, ports: &[(String, String, Vlans)]) -> Vec<String> {
        let found = self.holds(look).await;
        // Asked for after it was read: who was plugged in meanwhile may have changed it.
        let others: Vec<String> = {
            let used = self.used.lock().expect("not poisoned");
            let other = |name: &&String| ports.iter().all(|(port, ..)| port != *name);
            used.iter().filter(other).map(|name| entry(name)).collect()
        };
        let ours = |line: &&String| !others.iter().any(|entry| line.starts_with(entry.as_str()));
        let mut expected: Lines = self.before.iter().filter(ours).cloned().collect();
        for (port, description, vlans) in ports {
            expected.extend(port_lines(port, description, vlans));
        }
        let found: Lines = found.iter().filter(ours).cloned().collect();
        let missing = expected.difference(&found).map(|line| format!("missing {line}"));
        missing.chain(found.difference(&expected).map(|line| format!("not expected {line}"))).collect()
    }

    /// Makes it do wrong from now on: `edit-config@every:hang-before`.
    pub fn inject(&self, fault: &str) {
        self.simulation().on(|switch| switch.inject(fault.parse().expect("a fault")));
    }

    pub fn clear_faults(&self) {
        self.simulation().on(sim::Switch::clear_faults);
    }

    /// Its power is lost, and all its sessions.
    pub fn power_off(&self) {
        let one = self.simulation();
        let running = one.on(sim::Switch::running_xml);
        *one.state() = State::Off(running);
    }

    /// It is back, with what it ran last.
    pub async fn power_on(&self) {
        let one = self.simulation();
        let running = match &*one.state() {
            State::Off(running) => running.clone(),
            State::On(_) => panic!("{} is on", self.name),
        };
        let spec = SwitchSpec { startup_xml: Some(running), vlans: Vec::new(), ..one.spec.clone() };
        let switch = one.lab.spawn(boot(spec, one.address)).await.expect("no panic");
        *one.state() = State::On(switch);
    }

    fn simulation(&self) -> &Simulated {
        match &self.peer {
            Peer::Simulated(one) => one,
            Peer::Netconfd(_) | Peer::OpenVswitch(_) => panic!("{} is a real one", self.name),
        }
    }
}

impl Simulated {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn on<T>(&self, act: impl FnOnce(&sim::Switch) -> T) -> T {
        match &*self.state() {
            State::On(switch) => act(switch),
            State::Off(_) => panic!("{} is off", self.spec.name),
        }
    }
}

/// Nobody tells when a listener that was dropped has let go of its port.
async fn boot(spec: SwitchSpec, address: SocketAddr) -> sim::Switch {
    let schema = Schema::builtin().expect("the built-in modules");
    patiently("a switch to start", async {
        loop {
            match sim::start(spec.clone(), schema.clone(), address).await {
                Ok(switch) => return switch,
                Err(sim::SimError::Bind { .. }) => poll_pause().await,
                Err(why) => panic!("{why}"),
            }
        }
    })
    .await
}

/// How all lines of a port begin.
fn entry(port: &str) -> String {
    format!("interfaces/interface[{port}]/")
}

/// What `vlans` adds to a port's own lines.
fn port_lines(port: &str, description: &str, vlans: &Vlans) -> Lines {
    let (entry, config) = (entry(port), "ethernet/switched-vlan/config");
    let access =
        |vlan: &u16| vec![format!("{config}/interface-mode=ACCESS"), format!("{config}/access-vlan={vlan}")];
    let mut lines = match vlans {
        Vlans::Untouched => Vec::new(),
        Vlans::Idle(vlan) | Vlans::Access(vlan) => access(vlan),
        Vlans::Trunk(native, list) => {
            let native = native.iter().map(|vlan| format!("{config}/native-vlan={vlan}"));
            let list = list.iter().map(|vlan| format!("{config}/trunk-vlans={vlan}"));
            native.chain(list).chain([format!("{config}/interface-mode=TRUNK")]).collect()
        }
    };
    if !matches!(vlans, Vlans::Untouched | Vlans::Idle(_)) {
        lines.push(format!("config/description={description}"));
    }
    lines.iter().map(|line| format!("{entry}{line}")).collect()
}

/// The lines of a port of an Open vSwitch; none for one that is parked, or never was touched.
fn found(switch: &OpenVswitch, port: &str) -> Lines {
    let is = switch.port(port);
    let vlans = match (is.vlan_mode.as_deref(), is.tag) {
        (Some("access"), Some(PARKED)) | (None, None) => Vlans::Untouched,
        (Some("access"), Some(vlan)) => Vlans::Idle(vlan),
        (Some("trunk" | "native-untagged"), native) => Vlans::Trunk(native, is.trunks.into_iter().collect()),
        odd => panic!("{port} is {odd:?}"),
    };
    let kept = switch.vsctl(&["--if-exists", "get", "port", port, "external_ids:description"]);
    let description = kept.trim().trim_matches('"');
    let mut lines = port_lines(port, "", &vlans);
    lines.retain(|line| !line.ends_with("/config/description="));
    if !description.is_empty() {
        lines.insert(format!("{}config/description={description}", entry(port)));
    }
    lines
}

/// Every value of a configuration. Of namespaces nothing is left: their prefixes are the server's to
/// choose.
fn lines(xml: &str) -> Lines {
    const KEYS: [&str; 4] = ["name", "vlan-id", "index", "id"];
    let mut reader = Reader::from_str(xml);
    let (mut above, mut text, mut lines) = (Vec::<String>::new(), None, Lines::new());
    loop {
        match reader.read_event().expect("servers write XML") {
            Xml::Start(start) => {
                above.push(start.local_name().into_inner().to_owned());
                text = Some(String::new());
            }
            Xml::Text(more) => text.iter_mut().for_each(|text| text.push_str(&more)),
            Xml::End(_) => {
                let leaf = above.pop().expect("what ends has begun");
                // Only a leaf ends right after its text.
                let Some(value) = text.take().filter(|value| !value.trim().is_empty()) else { continue };
                // RFC 7950 7.8.5: an entry begins with its keys; they repeat leaves of its `config`.
                match above.last_mut() {
                    Some(list) if KEYS.contains(&leaf.as_str()) && list != "config" => {
                        list.push_str(&format!("[{value}]"));
                    }
                    _ => {
                        let place: Vec<&str> = above.iter().map(String::as_str).collect();
                        let place = place.join("/").replacen("rpc-reply/data/", "", 1);
                        let values = if leaf == "trunk-vlans" { range(&value) } else { vec![local(&value)] };
                        lines.extend(values.iter().map(|value| format!("{place}/{leaf}={value}")));
                    }
                }
            }
            Xml::Eof => return lines,
            _ => {}
        }
    }
}

/// The VLANs of `300..302`.
fn range(member: &str) -> Vec<String> {
    let (first, last) = member.split_once("..").unwrap_or((member, member));
    let id = |text: &str| text.parse::<u16>().expect("a VLAN");
    (id(first)..=id(last)).map(|vlan| vlan.to_string()).collect()
}

/// An identity without its prefix.
fn local(value: &str) -> String {
    value.rsplit(':').next().unwrap_or(value).to_owned()
}
