//! The fault matrix: every phase, every way it can fail, every kind of promise. In memory and with
//! paused time, so a hang costs nothing; the simulator keeps its own stores and shares no planning
//! code with what is tested.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use mercury::device::{Credential, Device, Endpoint, HostKey, Inventory, OnDetach, Profile, Save};
use mercury::engine::Engine;
use mercury::intent::{Attach, Caller, Intent, ParameterNames, PortName, PortVlans};
use mercury::report::{Call, Change, Target};
use mercury::schema::Schema;
use mercury::sim::{FaultSpec, Nth, Personality, Switch, SwitchSpec, What};
use mercury::transaction::outcome::{Outcome, Phase};
use mercury::transport::netconf::NetconfSession;
use mercury::transport::{Connector, Fault, Session, Timed};
use mercury::vlan::VlanId;
use mercury::world::World;
use tokio::time::Instant;

pub static NAMES: ParameterNames = ParameterNames {
    device: "switch_id",
    port: "port_name",
    vlan: "native_vlan",
    tagged: "allowed_vlans",
    default_vlan: "default_vlan",
    description: "description",
};

/// A simulated switch without SSH.
struct InMemory {
    switch: Arc<Switch>,
    device: Arc<Device>,
}

#[async_trait]
impl Connector for InMemory {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        let (ours, theirs) = tokio::io::duplex(1 << 16);
        self.switch.serve_stream(theirs);
        let session = NetconfSession::over(Box::new(ours), &self.device.profile.netconf, deadline).await?;
        Ok(Box::new(session))
    }
}

/// An engine over simulated switches, in memory.
pub struct Lab {
    pub engine: Engine,
    pub switches: BTreeMap<String, Arc<Switch>>,
    pub locks: tempfile::TempDir,
}

impl Lab {
    pub async fn new(specs: Vec<SwitchSpec>) -> Self {
        let schema = Schema::builtin().unwrap();
        let locks = tempfile::tempdir().unwrap();
        let (mut switches, mut devices) = (BTreeMap::new(), BTreeMap::new());
        for (port, spec) in (1..).zip(specs) {
            let device = device(&spec, port);
            devices.insert(spec.name.clone(), Arc::new(device));
            let switch = mercury::sim::start(spec.clone(), schema.clone(), ([127, 0, 0, 1], 0).into());
            switches.insert(spec.name, Arc::new(switch.await.unwrap()));
        }
        let world = World {
            inventory: Inventory { devices },
            schema,
            locks_dir: locks.path().to_owned(),
            request_timeout: Duration::from_secs(60),
            lock_wait: Duration::from_secs(10),
            queue_per_device: 64,
        };
        let by_name = switches.clone();
        let connect = move |device: &Arc<Device>| {
            let switch = by_name[&device.name].clone();
            Arc::new(InMemory { switch, device: device.clone() }) as Arc<dyn Connector>
        };
        Self { engine: Engine::new(Arc::new(world), Arc::new(connect)), switches, locks }
    }

    pub fn switch(&self, name: &str) -> &Switch {
        &self.switches[name]
    }

    pub async fn attach(&self, ports: &[(&str, &str)], vlan: i64) -> Change {
        self.engine.change(attach(ports, vlan)).await.unwrap()
    }

    /// Nothing of ours is left: no lock, no pending commit, no edit in the candidate, no journal.
    pub fn assert_clean(&self, why: &str) {
        for (name, switch) in &self.switches {
            assert!(!switch.pending_commit(), "{why}: a commit is pending on {name}");
            assert!(!switch.candidate_is_dirty(), "{why}: the candidate of {name} is dirty");
        }
        for entry in std::fs::read_dir(self.locks.path()).unwrap() {
            let journal = std::fs::read_to_string(entry.unwrap().path()).unwrap();
            assert_eq!(journal, "", "{why}: the journal is not empty");
        }
    }

    /// No lock is held. An open idle session is fine.
    pub async fn assert_unlocked(&self, why: &str) {
        for (name, switch) in &self.switches {
            // A session that was given up is noticed by the switch when its task runs next.
            for _ in 0..100 {
                if switch.locks().is_empty() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            assert!(switch.locks().is_empty(), "{why}: locks left on {name}: {:?}", switch.locks());
        }
    }
}

pub fn attach(ports: &[(&str, &str)], vlan: i64) -> Call {
    let vlans = PortVlans::Access { vlan: VlanId::new(vlan).unwrap() };
    let target = |(device, port): &(&str, &str)| Target {
        switch_id: Some((*device).to_owned()),
        switch_info: None,
        intent: Intent::Attach(Attach {
            port: PortName::new(port, "port_name").unwrap(),
            vlans: vlans.clone(),
            description: None,
            mtu: None,
            enabled: None,
            default_vlan: None,
        }),
    };
    Call {
        targets: ports.iter().map(target).collect(),
        caller: Caller { request_id: "req-matrix".to_owned(), ..Caller::default() },
        names: &NAMES,
        dry_run: false,
    }
}

fn device(spec: &SwitchSpec, port: u16) -> Device {
    let profiles = Profile::builtin().unwrap();
    let mut profile = Profile::clone(&profiles["netconf_openconfig"]);
    if spec.personality == Personality::AnyCommit {
        profile.netconf.confirm = Some(Timed::AnyCommit);
    }
    Device {
        name: spec.name.clone(),
        mac_address: None,
        endpoint: Endpoint {
            address: "in-memory".to_owned(),
            port,
            username: "admin".to_owned(),
            credential: Credential::NotLoaded,
            host_key: HostKey::Pinned(String::new()),
        },
        profile: Arc::new(profile),
        allowed_vlans: "100-199".parse().unwrap(),
        idle_vlans: Default::default(),
        allowed_ports: None,
        protected_ports: Vec::new(),
        on_detach: OnDetach::Disable,
        create_missing_vlans: false,
        save: Save::Each,
    }
}

pub fn spec(name: &str, personality: Personality) -> SwitchSpec {
    SwitchSpec {
        name: name.to_owned(),
        personality,
        ports: (1..=48).map(|n| format!("eth{n}")).collect(),
        vlans: (100..=199).collect(),
        ..SwitchSpec::default()
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Applied,
    RolledBack(Phase),
}

const REJECT: &str = "operation-failed";

fn ways() -> Vec<What> {
    vec![
        What::Reject(REJECT.to_owned()),
        What::DropBefore,
        What::DropAfter,
        What::HangBefore,
        What::HangAfter,
        What::Close,
        What::Malformed,
        What::Doctype,
        What::NotXml,
    ]
}

/// Whether the switch did what the message asked before things went wrong.
fn has_effect(what: &What) -> bool {
    !matches!(what, What::Reject(_) | What::DropBefore | What::HangBefore)
}

/// The rpcs of one attach in order, with the phase they belong to.
fn steps(personality: Personality) -> Vec<(&'static str, u32, Phase)> {
    let start = [("lock", 1, Phase::Lock), ("get-config", 1, Phase::Lock)];
    let rest: &[_] = match personality {
        Personality::CandidatePersist | Personality::CandidateSession | Personality::AnyCommit => &[
            ("edit-config", 1, Phase::Stage),
            ("confirmed-commit", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("confirm", 1, Phase::Confirm),
            ("unlock", 1, Phase::Unlock),
        ],
        Personality::CandidatePlain => &[
            ("edit-config", 1, Phase::Stage),
            ("commit", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("unlock", 1, Phase::Unlock),
        ],
        Personality::Running => &[
            ("edit-config", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("unlock", 1, Phase::Unlock),
        ],
        Personality::RunningStartup => &[
            ("edit-config", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("copy-config", 1, Phase::Save),
            ("unlock", 1, Phase::Unlock),
        ],
    };
    start.iter().chain(rest).copied().collect()
}

/// How each cell must end.
fn expected(personality: Personality, rpc: &str, phase: Phase, what: &What) -> End {
    if *what == What::Close {
        // A connection that closes behind a good answer fails whatever is sent next.
        let steps = steps(personality);
        let own = steps.iter().position(|step| step.0 == rpc && step.2 == phase);
        return match steps.get(own.unwrap_or_default() + 1) {
            // Nothing of these had been sent yet.
            Some((_, _, phase @ (Phase::Lock | Phase::Confirm))) => End::RolledBack(*phase),
            Some((next, _, phase)) => expected(personality, next, *phase, &What::DropBefore),
            None => End::Applied,
        };
    }
    let is_timed = matches!(
        personality,
        Personality::CandidatePersist | Personality::CandidateSession | Personality::AnyCommit
    );
    let rejected = matches!(what, What::Reject(_));
    match phase {
        Phase::Lock | Phase::Stage => End::RolledBack(phase),
        Phase::Unlock => End::Applied,
        // A commit for good that took effect is found by reading back.
        Phase::Commit if !is_timed && has_effect(what) => End::Applied,
        Phase::Commit => End::RolledBack(Phase::Commit),
        Phase::Verify if !is_timed && !rejected => End::Applied,
        Phase::Verify => End::RolledBack(Phase::Verify),
        Phase::Confirm if has_effect(what) => End::Applied,
        // It was verified: whoever knows the id, or any commit, may still confirm it.
        Phase::Confirm if !rejected && personality != Personality::CandidateSession => End::Applied,
        Phase::Confirm => End::RolledBack(Phase::Confirm),
        Phase::Save if has_effect(what) => End::Applied,
        Phase::Save => End::RolledBack(Phase::Save),
        other => panic!("no such phase in the matrix: {other}"),
    }
}

fn end_of(change: &Change) -> Result<End, String> {
    match change.devices[0].outcome.as_ref() {
        Some(Outcome::Applied { .. }) => Ok(End::Applied),
        Some(Outcome::RolledBack { phase, .. }) => Ok(End::RolledBack(*phase)),
        other => Err(format!("{other:?}")),
    }
}

#[tokio::test(start_paused = true)]
async fn every_phase_fails_in_every_way_on_every_kind_of_switch() {
    let mut wrong = Vec::new();
    for personality in Personality::ALL {
        for (rpc, nth, phase) in steps(personality) {
            for what in ways() {
                let cell = format!("{} {rpc}@{nth} {what:?}", personality.name());
                let lab = Lab::new(vec![spec("leaf1", personality)]).await;
                let switch = lab.switch("leaf1");
                let before = switch.running_xml();
                // A lock that is refused once is tried again, so here it is refused throughout.
                let throughout = phase == Phase::Lock && matches!(what, What::Reject(_));
                let nth = if throughout { Nth::Every } else { Nth::Only(nth) };
                switch.inject(FaultSpec { rpc: rpc.to_owned(), nth, what: what.clone() });
                let change = lab.attach(&[("leaf1", "eth1")], 100).await;
                let running = switch.running_xml();
                let has_vlan = running.contains("<access-vlan>100</access-vlan>");
                let end = end_of(&change);
                let is_exact = match &end {
                    Ok(End::Applied) => has_vlan,
                    _ => running == before,
                };
                if end != Ok(expected(personality, rpc, phase, &what)) || !is_exact {
                    let outcome = &change.devices[0].outcome;
                    let expected = expected(personality, rpc, phase, &what);
                    wrong.push(format!("{cell}: {outcome:?}, expected {expected:?}, exact {is_exact}"));
                    continue;
                }
                if personality == Personality::RunningStartup {
                    assert_eq!(switch.startup_xml(), running, "{cell}: startup");
                }
                lab.assert_clean(&cell);
                lab.assert_unlocked(&cell).await;
                // The next change finds nothing in its way.
                switch.clear_faults();
                let next = lab.attach(&[("leaf1", "eth2")], 101).await;
                assert_eq!(next.outcome, "applied", "{cell}: the next change: {next:?}");
            }
        }
    }
    assert!(wrong.is_empty(), "{} cells:\n{}", wrong.len(), wrong.join("\n"));
}
