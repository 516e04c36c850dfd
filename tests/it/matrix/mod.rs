//! Everything that can go wrong with a change, over simulated switches in memory and with paused
//! time, so a hang costs nothing. The simulator keeps its own stores and shares no planning code
//! with what is tested. This file is the laboratory; [`single`] is the matrix of one failing step,
//! the others are what goes on around it.

mod children;
mod crash;
mod forever;
mod groups;
mod joining;
mod kind;
mod lines;
mod networks;
mod others;
mod pairs;
mod quirks;
mod raw;
mod single;
mod sockets;
mod targets;
mod timers;
mod undo;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
pub use kind::Kind;
use mercury::device::{
    Credential, Device, GnmiEndpoint, HostKey, Inventory, NetconfHabits, Profile, Profiles, Security, Speaks,
};
use mercury::engine::Engine;
use mercury::intent::{Attach, Caller, Intent, PortName, PortVlans};
use mercury::report::{Call, Change, DeviceNames, Refusal, Target};
use mercury::rpc::ironic::NAMES;
use mercury::schema::Schema;
use mercury::sim::{FaultSpec, Nth, Personality, Switch, SwitchSpec, What};
use mercury::transaction::outcome::{Outcome, Phase};
use mercury::transport::gnmi::GnmiSession;
use mercury::transport::netconf::NetconfSession;
use mercury::transport::{Cause, Connector, Fault, Session, Timed};
use mercury::vlan::VlanId;
use mercury::world::World;
use tokio::time::Instant;

/// The caller's answer comes within this.
pub const BUDGET: Duration = Duration::from_secs(60);
pub const LOCK_WAIT: Duration = Duration::from_secs(10);

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

/// A simulated switch without SSH and without TCP.
struct InMemory {
    switch: Arc<Switch>,
    device: Arc<Device>,
    /// What it is reached through.
    parent: Option<Arc<Switch>>,
}

#[async_trait]
impl Connector for InMemory {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        if self.parent.as_ref().is_some_and(|parent| !is_in(&parent.running_xml(), "eth1", 100)) {
            return Err(Fault::NotSent(Cause::Closed("no route".to_owned())));
        }
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        let stream = Box::new(ours);
        match &self.device.profile.speaks {
            Speaks::Netconf(habits) => {
                self.switch.serve_stream(theirs);
                Ok(Box::new(NetconfSession::over(stream, habits, deadline).await?))
            }
            Speaks::Gnmi(habits) => {
                self.switch.serve_gnmi_stream(theirs);
                let session = GnmiSession::over(stream, &self.device, habits.clone(), deadline).await?;
                Ok(Box::new(session))
            }
            Speaks::Cli(_) => panic!("command lines are simulated over SSH"),
        }
    }
}

/// What is between the engine and its switches.
#[derive(Clone, Copy, PartialEq)]
pub enum Wire {
    Memory,
    /// Switches but the first are reached only while its eth1 is in VLAN 100.
    Behind,
    /// SSH, or TCP and no TLS for gNMI.
    Sockets,
}

/// An engine over simulated switches.
pub struct Lab {
    pub engine: Arc<Engine>,
    pub switches: BTreeMap<String, Arc<Switch>>,
    pub locks: tempfile::TempDir,
    wire: Wire,
    world: Arc<World>,
}

impl Lab {
    pub async fn one(kind: Kind) -> Self {
        Self::new(vec![spec("leaf1", kind)]).await
    }

    pub async fn new(specs: Vec<SwitchSpec>) -> Self {
        Self::with(specs, Wire::Memory, BUDGET, LOCK_WAIT).await
    }

    pub async fn with(
        specs: Vec<SwitchSpec>,
        wire: Wire,
        request_timeout: Duration,
        lock_wait: Duration,
    ) -> Self {
        Self::of(specs, wire, request_timeout, lock_wait, |_| {}).await
    }

    /// The same with profiles that are otherwise.
    pub async fn of(
        specs: Vec<SwitchSpec>,
        wire: Wire,
        request_timeout: Duration,
        lock_wait: Duration,
        otherwise: impl Fn(&mut Profile),
    ) -> Self {
        // Journals are synced again and again: in memory where there is such a place.
        let locks = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        let (mut switches, mut devices) = (BTreeMap::new(), BTreeMap::new());
        for (number, spec) in (1..).zip(specs) {
            let switch = mercury::sim::start(spec.clone(), SCHEMA.clone(), ([127, 0, 0, 1], 0).into());
            let switch = switch.await.unwrap();
            let mut device = device(&spec, number);
            otherwise(Arc::make_mut(&mut device.profile));
            if wire == Wire::Sockets {
                device.endpoint.address = switch.addr().ip().to_string();
                device.endpoint.port = switch.addr().port();
                device.endpoint.host_key = HostKey::Pinned(switch.host_key().to_owned());
                if let Some((gnmi, address)) = device.endpoint.gnmi.as_mut().zip(switch.gnmi_addr()) {
                    gnmi.port = address.port();
                }
            }
            devices.insert(spec.name.clone(), Arc::new(device));
            switches.insert(spec.name, Arc::new(switch));
        }
        let world = Arc::new(World {
            access: Default::default(),
            inventory: Inventory { devices, ..Inventory::default() },
            schema: SCHEMA.clone(),
            locks_dir: locks.path().to_owned(),
            request_timeout,
            lock_wait,
            queue_per_device: 64,
        });
        let engine = Arc::new(engine(&world, &switches, wire));
        Self { engine, switches, locks, wire, world }
    }

    /// As after a restart: nothing is known but what the journals hold.
    pub fn restart(&mut self) {
        self.engine = Arc::new(engine(&self.world, &self.switches, self.wire));
    }

    pub fn switch(&self, name: &str) -> &Switch {
        &self.switches[name]
    }

    /// The same configuration, loaded once more.
    pub fn another_world(&self) -> Arc<World> {
        Arc::new(World {
            access: Default::default(),
            inventory: self.world.inventory.clone(),
            schema: SCHEMA.clone(),
            locks_dir: self.world.locks_dir.clone(),
            ..*self.world
        })
    }

    pub fn leaf1(&self) -> &Switch {
        self.switch("leaf1")
    }

    pub async fn attach(&self, ports: &[(&str, &str)], vlan: i64) -> Change {
        self.engine.change(attach(ports, vlan)).await.unwrap()
    }

    /// The file of the only one.
    pub fn journal(&self) -> std::path::PathBuf {
        std::fs::read_dir(self.locks.path()).unwrap().next().unwrap().unwrap().path()
    }

    /// The content of all journals.
    pub fn journals(&self) -> String {
        let files = std::fs::read_dir(self.locks.path()).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }

    /// What is left of ours: a lock, a pending commit, an edit in a candidate, a journal. An open
    /// idle session is fine.
    pub async fn leftovers(&self) -> String {
        let mut left = String::new();
        for (name, switch) in &self.switches {
            // That a session was given up is noticed a little later.
            let given_up = Instant::now() + Duration::from_secs(5);
            while !switch.locks().is_empty() && Instant::now() < given_up {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if !switch.locks().is_empty() {
                left += &format!("locks of {name}: {:?}. ", switch.locks());
            }
            if switch.pending_commit() {
                left += &format!("a commit is pending on {name}. ");
            }
            if switch.candidate_is_dirty() {
                left += &format!("the candidate of {name} is dirty. ");
            }
        }
        match self.journals() {
            journal if journal.is_empty() => left,
            journal => left + "journal: " + journal.lines().last().unwrap_or_default(),
        }
    }
}

impl Lab {
    /// What is left and should not be. Where it is not known how a change ended, its journal has to be.
    pub async fn wrongly_left(&self, end: End) -> String {
        match (end, self.leftovers().await) {
            (End::Unknown, left) if left.starts_with("journal: ") => String::new(),
            (End::Unknown, left) => format!("no journal, and {left:?}"),
            (_, left) => left,
        }
    }
}

fn engine(world: &Arc<World>, switches: &BTreeMap<String, Arc<Switch>>, wire: Wire) -> Engine {
    let by_name = switches.clone();
    let connect = move |device: &Arc<Device>| -> Arc<dyn Connector> {
        match wire {
            Wire::Sockets => mercury::transport::connector(device),
            Wire::Memory | Wire::Behind => {
                let is_behind = wire == Wire::Behind && device.name != "leaf1";
                Arc::new(InMemory {
                    switch: by_name[&device.name].clone(),
                    device: device.clone(),
                    parent: is_behind.then(|| by_name["leaf1"].clone()),
                })
            }
        }
    };
    Engine::new(world.clone(), Arc::new(connect), 64)
}

/// Waits until the switch has seen this rpc so many times.
pub async fn seen(switch: &Switch, rpc: &str, times: usize) {
    let given_up = Instant::now() + BUDGET;
    while switch.log().iter().filter(|logged| logged.rpc == rpc).count() < times {
        assert!(Instant::now() < given_up, "{rpc} was not seen {times} times: {:?}", switch.log());
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

pub fn attach(ports: &[(&str, &str)], vlan: i64) -> Call {
    let vlans = PortVlans::Access { vlan: VlanId::new(vlan).unwrap() };
    call(ports, &vlans)
}

pub fn call(ports: &[(&str, &str)], vlans: &PortVlans) -> Call {
    let target = |(device, port): &(&str, &str)| Target {
        device: DeviceNames::switch(device),
        physical_network: None,
        level: 0,
        intent: Intent::Attach(Attach {
            port: PortName::new(port, "port_name").unwrap(),
            vlans: vlans.clone(),
            description: None,
            mtu: None,
            enabled: None,
            default_vlan: None,
        }),
    };
    whole(ports.iter().map(target).collect())
}

/// A call of these targets, told in full.
pub fn whole(targets: Vec<Target>) -> Call {
    Call {
        targets,
        caller: Caller { request_id: "req-matrix".to_owned(), ..Caller::default() },
        names: &NAMES,
        dry_run: false,
        detailed: true,
    }
}

fn device(spec: &SwitchSpec, port: u16) -> Device {
    let name = if spec.gnmi.is_some() { "gnmi_openconfig" } else { "netconf_openconfig" };
    let mut profile = Profile::clone(&Profiles::default().get(name).unwrap());
    if spec.gnmi.is_none() && spec.personality == Personality::AnyCommit {
        let habits = NetconfHabits { confirm: Some(Timed::AnyCommit), ..profile.netconf().unwrap().clone() };
        profile.speaks = Speaks::Netconf(habits);
    }
    let mut device = Device::stand_in(Arc::new(profile));
    device.name = spec.name.clone();
    (device.endpoint.address, device.endpoint.port) = ("in-memory".to_owned(), port);
    device.endpoint.credential = spec.password.clone().map_or(Credential::NotLoaded, Credential::Password);
    device.endpoint.gnmi = spec.gnmi.as_ref().map(|_| GnmiEndpoint {
        port,
        security: Security::Plaintext,
        shows_certificate: false,
    });
    device.allowed_vlans = "100-199".parse().unwrap();
    device.trunk_ports =
        spec.startup_xml.is_some().then(|| networks::UPLINK.to_owned()).into_iter().collect();
    device
}

pub fn spec(name: &str, kind: Kind) -> SwitchSpec {
    kind.spec(name)
}

/// How a change is to end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum End {
    Applied,
    RolledBack(Phase),
    Unknown,
}

pub fn end_of(change: &Change, at: usize) -> Option<End> {
    Some(match change.devices.get(at)?.outcome.as_ref()? {
        Outcome::Unchanged => return None,
        Outcome::Applied { .. } => End::Applied,
        Outcome::RolledBack { phase, .. } => End::RolledBack(*phase),
        Outcome::Unknown { .. } => End::Unknown,
    })
}

/// The wrong cells of a matrix, told together.
#[derive(Default)]
pub struct Wrong(Vec<String>, usize);

impl Wrong {
    /// One cell; `problem` is empty when it is right.
    pub fn cell(&mut self, name: &str, problem: &str) {
        self.1 += 1;
        if !problem.is_empty() {
            self.0.push(format!("{name}: {problem}"));
        }
    }

    #[track_caller]
    pub fn none(self) {
        assert!(self.1 > 0, "no cell was tried");
        println!("{} cells", self.1);
        assert!(self.0.is_empty(), "{} of {} cells:\n{}", self.0.len(), self.1, self.0.join("\n"));
    }
}

/// What the switch holds where nothing ever went wrong.
pub async fn sound(spec: &SwitchSpec, ports: &[(&str, i64)]) -> String {
    let mut spec = spec.clone();
    spec.quirks = Default::default();
    let lab = Lab::new(vec![spec]).await;
    for (port, vlan) in ports {
        assert_eq!(lab.attach(&[("leaf1", port)], *vlan).await.outcome, "applied");
    }
    lab.leaf1().running_xml()
}

/// The interfaces that differ, for people.
pub fn differences(found: &str, expected: &str) -> String {
    let entries = |xml: &str| -> Vec<String> { xml.split("<interface>").map(str::to_owned).collect() };
    let expected = entries(expected);
    let found = entries(found).into_iter().filter(|entry| !expected.contains(entry));
    found.collect::<Vec<_>>().join(" / ")
}

/// Whether an interface of `running` is in this VLAN as an access port.
pub fn is_in(running: &str, port: &str, vlan: u16) -> bool {
    let Some((_, entry)) = running.split_once(&format!("<interface><name>{port}</name>")) else {
        return false;
    };
    let entry = entry.split("</interface>").next().unwrap_or_default();
    entry.contains("<interface-mode>ACCESS<") && entry.contains(&format!("<access-vlan>{vlan}<"))
}
