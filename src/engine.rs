//! The whole flow on one page: a call becomes requests, plans, payloads, a transaction, and the
//! words that the caller and the log get.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::audit;
use crate::device::Device;
use crate::intent::{Caller, PortName, Request, Subject};
use crate::plan::{self, Batch, Plan, PlanError, Risk, openconfig, risk};
use crate::query;
use crate::render;
use crate::report::{self, Call, Change, DeviceChange, Refusal};
use crate::schema::Schema;
use crate::slice::Slice;
use crate::transaction::outcome::{Outcome, Timings};
use crate::transaction::shared::{Level, Sessions, Shared, Stop};
use crate::transaction::worker::{Connect, Live, Loan, Workers, broken_off};
use crate::transaction::{Budget, Participant, Report, jitter, journal, transact};
use crate::transport::ReadSet;
use crate::world::World;

/// Turns calls into changes.
pub struct Engine {
    shared: Shared,
    workers: Workers,
    generation: AtomicU64,
    /// How many calls are worked on, and how many recoveries.
    calls: watch::Sender<usize>,
    recoveries: watch::Sender<usize>,
}

impl Engine {
    /// An engine that may have `sessions` open at one time.
    pub fn new(world: Arc<World>, connect: Connect, sessions: usize) -> Self {
        let newest = Arc::new(ArcSwap::new(world));
        let shared = Shared { newest, sessions: Sessions::new(sessions), stop: Stop::default() };
        let workers = Workers::new(connect, shared.clone());
        let (calls, recoveries) = (watch::Sender::new(0), watch::Sender::new(0));
        Self { shared, workers, generation: AtomicU64::new(1), calls, recoveries }
    }

    /// What new requests are judged by.
    pub fn world(&self) -> Arc<World> {
        self.shared.newest.load_full()
    }

    /// Puts another configuration in the place of the present one. What runs keeps its own.
    pub fn replace(&self, world: Arc<World>) {
        self.shared.newest.store(world);
        self.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Says that the service ends, and how soon.
    pub fn stop(&self, level: Level) {
        self.shared.stop.raise(level);
    }

    /// Returns when no call is being worked on.
    pub async fn idle(&self) {
        AtWork::none(&self.calls).await;
    }

    /// Returns when no journal is being finished.
    pub async fn recovered(&self) {
        AtWork::none(&self.recoveries).await;
    }

    /// How many configurations there have been, this one included.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Relaxed)
    }

    /// The budget of sessions.
    pub fn sessions(&self) -> &Sessions {
        &self.shared.sessions
    }

    /// How many jobs wait for each busy device, by name.
    pub fn waiting(&self) -> BTreeMap<String, usize> {
        self.workers.waiting()
    }

    /// Finishes what earlier processes left in the journals. Devices that cannot be reached keep
    /// theirs; it is tried again before their next change.
    pub async fn recover(&self) {
        let _at_work = AtWork::begin(&self.recoveries);
        let world = self.world();
        let left = world.inventory.devices.values().filter(|device| has_journal(&world, device));
        let recoveries = left.map(|device| {
            let budget = Budget::new(Instant::now(), world.request_timeout, world.lock_wait);
            let world = world.clone();
            async move {
                if let Err(why) = self.workers.recover(device, world, budget).await {
                    tracing::error!(device = device.name, why, "not recovered; tried again on next use");
                }
            }
        });
        futures_util::future::join_all(recoveries).await;
        warn_of_strangers(&world);
    }

    /// A change judged by the newest configuration.
    pub async fn change(&self, call: Call) -> Result<Change, Refusal> {
        self.change_in(call, self.world()).await
    }

    /// rpc -> intent -> plan -> render -> transaction -> transport.
    pub async fn change_in(&self, call: Call, world: Arc<World>) -> Result<Change, Refusal> {
        let _at_work = AtWork::begin(&self.calls);
        let arrived = Instant::now();
        let budget = Budget::new(arrived, world.request_timeout, world.lock_wait);
        let requests = requests(&call, &world)?;
        if call.dry_run {
            let plans = requests.iter().map(|request| self.dry_run(request, &world, budget));
            let devices = futures_util::future::try_join_all(plans).await?;
            return Ok(Change { outcome: "planned", devices });
        }
        let reports = match requests.as_slice() {
            [request] => {
                let report = self.workers.change(request.clone(), world.clone(), budget).await?;
                vec![(request.clone(), report)]
            }
            _ => {
                // On its own task: a caller that goes away stops nothing.
                let all = together(self.workers.clone(), requests.clone(), world.clone(), budget);
                match tokio::spawn(all).await {
                    Ok(reports) => reports?,
                    Err(_) => requests.into_iter().map(|request| (request, broken_off())).collect(),
                }
            }
        };
        let mut devices = Vec::new();
        // Rendering what nobody reads costs as much as planning it did.
        let detailed = call.detailed || tracing::enabled!(tracing::Level::DEBUG);
        for (request, report) in reports {
            audit::record(&request, &report, arrived.elapsed());
            let change = describe(&request, report, &world.schema, detailed);
            // Ironic's form of the answer has no room for it.
            tracing::debug!(
                request_id = request.caller.request_id,
                device = change.device,
                port = %change.subject,
                inverse = change.inverse,
                "what takes this change back"
            );
            devices.push(change);
        }
        Ok(Change { outcome: worst(&devices), devices })
    }

    async fn dry_run(
        &self,
        request: &Request,
        world: &Arc<World>,
        budget: Budget,
    ) -> Result<DeviceChange, Refusal> {
        let reads = ReadSet { paths: openconfig::consulted(request), schema: world.schema.clone() };
        let live = self.workers.read(&request.device, world, reads, budget.deadline).await?;
        let change = planned(request, &live.running, &world.schema, Some(&live))?;
        tracing::info!(
            request_id = request.caller.request_id,
            user = request.caller.user,
            device = request.device.name,
            port = %request.intent.subject(),
            action = request.intent.verb(),
            before = change.before,
            after = change.after,
            digest = change.digest,
            outcome = "planned",
        );
        Ok(change)
    }
}

/// Counts as work until it is dropped.
struct AtWork(watch::Sender<usize>);

impl AtWork {
    fn begin(count: &watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count.clone())
    }

    async fn none(count: &watch::Sender<usize>) {
        // It fails only when the sender is gone, and with it all work.
        count.subscribe().wait_for(|count| *count == 0).await.map(drop).unwrap_or_default();
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Several ports that stand or fall together, on one device or several.
async fn together(
    workers: Workers,
    mut requests: Vec<Request>,
    world: Arc<World>,
    budget: Budget,
) -> Result<Vec<(Request, Report)>, Refusal> {
    requests.sort_by(|a, b| a.device.name.cmp(&b.device.name));
    let mut devices: Vec<Arc<Device>> = requests.iter().map(|r| r.device.clone()).collect();
    devices.dedup_by(|a, b| a.name == b.name);
    let loans = borrow(&workers, &devices, &world, budget).await?;
    let (mut parts, mut backs) = (Vec::new(), Vec::new());
    for (device, loan) in devices.iter().zip(loans) {
        let own = requests.iter().filter(|r| r.device.name == device.name).cloned().collect();
        parts.push(Participant::new(loan.lease, own).all_or_nothing());
        backs.push(loan.back);
    }
    let mut reports = Vec::new();
    let mut refused = None;
    for (part, back) in transact(parts, budget).await.into_iter().zip(backs) {
        let (done, _, lease) = part.finish();
        // A worker that ended meanwhile needs no session.
        drop(back.send(lease.give_back()));
        for done in done {
            match done.result {
                Ok(report) => reports.push((done.request, report)),
                Err(error) => refused = Some(Refusal::plan(&done.request.device, error)),
            }
        }
    }
    refused.map_or(Ok(reports), Err)
}

/// Leases in the order of the devices' names; after a bounded wait all are given back and tried
/// again, so that two calls cannot wait for each other for long.
async fn borrow(
    workers: &Workers,
    devices: &[Arc<Device>],
    world: &Arc<World>,
    budget: Budget,
) -> Result<Vec<Loan>, Refusal> {
    loop {
        let mut loans = Vec::new();
        let until = budget.forward.min(Instant::now() + budget.lock_wait);
        for device in devices {
            match workers.lend(device, world.clone(), until).await? {
                Some(loan) => loans.push(loan),
                None => break,
            }
        }
        if loans.len() == devices.len() {
            return Ok(loans);
        }
        let busy = devices[loans.len()].name.clone();
        drop(loans);
        if Instant::now() >= budget.forward {
            let why = "it was busy for all the time there was".to_owned();
            return Err(Refusal::Unreachable { device: busy, why });
        }
        tokio::time::sleep(jitter(Duration::from_millis(100))).await;
    }
}

#[async_trait]
impl crate::rpc::Engine for Engine {
    fn world(&self) -> Arc<World> {
        Engine::world(self)
    }

    async fn change(&self, call: Call, world: Arc<World>) -> Result<Change, Refusal> {
        self.change_in(call, world).await
    }

    async fn observe(
        &self,
        requests: &[Request],
        world: &Arc<World>,
    ) -> Result<BTreeMap<String, query::Seen>, Refusal> {
        let _at_work = AtWork::begin(&self.calls);
        query::observe(&self.workers, requests, world).await
    }

    fn is_stopping(&self) -> bool {
        self.shared.stop.level() >= Level::Drain
    }
}

/// Journals of devices that are not in the inventory any more: nobody can finish them but a person.
fn warn_of_strangers(world: &World) {
    let known: BTreeSet<String> =
        world.inventory.devices.values().map(|device| journal::file_name(&device.endpoint)).collect();
    for path in journal::left(&world.locks_dir) {
        if !path.file_name().is_some_and(|name| known.contains(&*name.to_string_lossy())) {
            let path = path.display().to_string();
            tracing::error!(path, "an interrupted change of a device that is not in the inventory");
        }
    }
}

fn has_journal(world: &World, device: &Device) -> bool {
    let path = world.locks_dir.join(journal::file_name(&device.endpoint));
    std::fs::metadata(path).is_ok_and(|file| file.len() > 0)
}

/// The device that is meant, if there is one and the caller may call this method on it.
pub fn device<'w>(
    names: &report::DeviceNames,
    parameter: &'static str,
    caller: &Caller,
    world: &'w World,
) -> Result<&'w Arc<Device>, Refusal> {
    let device = world.inventory.find_link(
        names.switch_id.as_deref(),
        names.switch_info.as_deref(),
        names.hostname.as_deref(),
    );
    let unknown = || Refusal::UnknownDevice { parameter, id: names.first().to_owned() };
    let device = device.ok_or_else(unknown)?;
    let Caller { principal, method, .. } = caller;
    if !world.access.allows(principal, method, &device.name) {
        let what = format!("{method} on {}", device.name);
        return Err(Refusal::Denied { who: principal.clone(), what });
    }
    Ok(device)
}

/// A target and its device, not yet held against the operator's limits.
pub fn addressed(call: &Call, target: &report::Target, world: &World) -> Result<Request, Refusal> {
    let device = device(&target.device, call.names.device, &call.caller, world)?.clone();
    Ok(Request {
        intent: target
            .intent
            .on_port(|port| PortName::new(&device.port_name(port.as_str()), call.names.port))?,
        device,
        caller: call.caller.clone(),
        names: call.names,
        level: target.level,
    })
}

/// A target of a call as the operator allows it.
pub fn request(call: &Call, target: &report::Target, world: &World) -> Result<Request, Refusal> {
    let request = addressed(call, target, world)?;
    let device = &request.device;
    if let Some(network) = &target.physical_network
        && !device.physical_networks.is_empty()
        && !device.physical_networks.contains(network)
    {
        let (parameter, device) = (call.names.physical_network, device.name.clone());
        return Err(Refusal::OtherNetwork { parameter, device, network: network.clone() });
    }
    request.check()?;
    match request.held_back() {
        Some(reason) if !call.dry_run => {
            Err(Refusal::Frozen { device: device.name.clone(), reason: reason.to_owned() })
        }
        _ => Ok(request),
    }
}

/// The devices that a call names, and whether the operator allows what it asks of each.
pub fn requests(call: &Call, world: &World) -> Result<Vec<Request>, Refusal> {
    let requests = call.targets.iter().map(|target| request(call, target, world));
    let requests: Vec<Request> = requests.collect::<Result<_, Refusal>>()?;
    // Two ways to name one switch end here; two intents for one port have no order.
    let key = |request: &Request| {
        let what = match request.intent.subject() {
            Subject::Port(port) => Ok(request.device.port_key(port.as_str())),
            Subject::Vlan(vlan) => Err(vlan),
        };
        (request.device.name.clone(), what)
    };
    let mut seen = BTreeSet::new();
    match requests.iter().find(|request| !seen.insert(key(request))) {
        Some(request) => {
            let device = request.device.name.clone();
            Err(match request.intent.subject() {
                Subject::Port(port) => Refusal::PortTwice { parameter: call.names.port, device, port },
                Subject::Vlan(_) => Refusal::DeviceTwice { parameter: call.names.device, device },
            })
        }
        None => Ok(requests),
    }
}

/// A plan as a reviewer reads it, with the payloads that would be sent. Without `live`, `before`
/// was assumed or given.
pub fn planned(
    request: &Request,
    before: &Slice,
    schema: &Schema,
    live: Option<&Live>,
) -> Result<DeviceChange, Refusal> {
    let plan = plan::plan(request, before, schema).map_err(|e| Refusal::plan(&request.device, e))?;
    let mut risks = plan.risks.clone();
    risks.extend(request.held_back().map(|reason| Risk::Frozen { reason: reason.to_owned() }));
    match live {
        Some(live) => risks.extend(risk::of_device(&live.promises)),
        None => risks.push(Risk::NotRead),
    }
    let transport = live.map_or("none (offline)".to_owned(), |live| live.transport.clone());
    // As a transaction would send them: guarded.
    Batch::new(&[&plan], &request.device, schema)
        .and_then(|_| device_change(&plan, schema, risks, transport))
        .map_err(|e| Refusal::plan(&request.device, e))
}

/// The answer. How it ended is told even where its plan cannot be shown.
fn describe(request: &Request, report: Report, schema: &Schema, detailed: bool) -> DeviceChange {
    let (device, subject) = (request.device.name.clone(), request.intent.subject());
    let bare = |transport| DeviceChange::new(device.clone(), subject.clone(), transport);
    let mut change = match &report.plan {
        Some(plan) if detailed => {
            let risks = plan.risks.iter().chain(&report.risks).cloned().collect();
            let shown = device_change(plan, schema, risks, report.transport.clone());
            shown.unwrap_or_else(|error| {
                tracing::error!(device = request.device.name, %error, "a plan that ran cannot be shown");
                bare(report.transport)
            })
        }
        _ => bare(report.transport),
    };
    change.outcome = Some(report.outcome);
    change.timings = report.timings;
    change
}

fn device_change(
    plan: &Plan,
    schema: &Schema,
    risks: Vec<Risk>,
    transport: String,
) -> Result<DeviceChange, PlanError> {
    let (before, after) = plan.summary();
    Ok(DeviceChange {
        device: plan.device.clone(),
        subject: plan.intent.subject(),
        outcome: None,
        before,
        after,
        diff: report::native_diff(&plan.before, &plan.after, schema)?,
        edits: plan.edits.clone(),
        payload: render::payload(&plan.edits, schema)?.text().to_owned(),
        inverse: render::payload(&plan.inverse(), schema)?.text().to_owned(),
        risks,
        transport,
        timings: Timings::default(),
        digest: plan.digest.clone(),
    })
}

fn worst(devices: &[DeviceChange]) -> &'static str {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Unchanged => 0,
        Outcome::Applied { .. } => 1,
        Outcome::RolledBack { .. } => 2,
        Outcome::Unknown { .. } => 3,
    };
    let outcomes = devices.iter().filter_map(|device| device.outcome.as_ref());
    outcomes.max_by_key(|outcome| rank(outcome)).map_or("unchanged", Outcome::word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Pattern, Principal, Rule};
    use crate::device::sample;
    use crate::intent::{Detach, Intent};
    use crate::plan::tests::SCHEMA;

    fn world() -> World {
        let mut leaf1 = sample("leaf1");
        leaf1.mac_address = "00:1c:73:aa:bb:01".parse().ok();
        let devices = [leaf1, sample("leaf2")].map(|device| (device.name.clone(), Arc::new(device)));
        World {
            access: Default::default(),
            inventory: crate::device::Inventory { devices: devices.into(), ..Default::default() },
            schema: SCHEMA.clone(),
            locks_dir: std::path::PathBuf::new(),
            request_timeout: Duration::from_secs(60),
            lock_wait: Duration::from_secs(10),
            queue_per_device: 1,
        }
    }

    #[test]
    fn rules_are_about_devices_however_they_are_called() {
        let patterns = |text: &str| vec![Pattern::new(text).unwrap()];
        let rule = Rule {
            users: patterns("ironic"),
            certificates: Vec::new(),
            methods: patterns("detach_port"),
            devices: patterns("leaf2"),
        };
        let world = World { access: Access::Rules(vec![rule]), ..world() };
        let ask = |user: &str, method: &str, switch: &str| {
            let port = PortName::new("eth1", "p").unwrap();
            let intent = Intent::Detach(Detach { port, default_vlan: None });
            let device = report::DeviceNames::switch(switch);
            let targets = vec![report::Target { device, physical_network: None, level: 0, intent }];
            let principal = Arc::new(Principal::User(user.to_owned()));
            let caller = Caller { principal, method: method.to_owned(), ..Caller::default() };
            let names = &crate::rpc::ports::NAMES;
            let call = Call { targets, caller, names, dry_run: true, detailed: true };
            requests(&call, &world).map(drop).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(ask("ironic", "detach_port", "leaf2"), Ok(()));
        let denied = |user: &str, method: &str| Err(format!("user `{user}` may not call {method} on leaf1"));
        assert_eq!(ask("ironic", "detach_port", "leaf1"), denied("ironic", "detach_port"));
        assert_eq!(ask("ironic", "detach_port", "001c.73aa.bb01"), denied("ironic", "detach_port"));
        assert!(
            ask("ironic", "attach_port", "leaf2").is_err() && ask("other", "detach_port", "leaf2").is_err()
        );
        assert!(ask("ironic", "detach_port", "leaf9").unwrap_err().contains("no device"));
    }

    #[test]
    fn a_port_is_renamed_before_it_is_checked() {
        let mut world = world();
        let mut leaf1 = sample("leaf1");
        leaf1.port_names = vec![crate::device::PortRename::new("^Eth([0-9])", "Ethernet$1").unwrap()];
        leaf1.protected_ports = vec!["Ethernet9".parse().unwrap()];
        let mut profile = leaf1.profile.as_ref().clone();
        profile.port_names_ignore_case = true;
        leaf1.profile = profile.into();
        world.inventory.devices.insert("leaf1".to_owned(), Arc::new(leaf1));
        let ask = |ports: &[&str]| {
            let target = |port: &&str| report::Target {
                device: report::DeviceNames::switch("leaf1"),
                physical_network: None,
                level: 0,
                intent: Intent::Detach(Detach {
                    port: PortName::new(port, "p").unwrap(),
                    default_vlan: None,
                }),
            };
            let targets = ports.iter().map(target).collect();
            let call = Call {
                targets,
                caller: Default::default(),
                names: &crate::rpc::ports::NAMES,
                dry_run: true,
                detailed: true,
            };
            let ports = |requests: Vec<Request>| requests[0].intent.subject().to_string();
            requests(&call, &world).map(ports).map_err(|error| error.to_string())
        };
        assert_eq!(ask(&["Eth1"]).as_deref(), Ok("Ethernet1"));
        assert!(ask(&["Eth9"]).unwrap_err().contains("port `Ethernet9` of leaf1 is protected"));
        assert!(ask(&["Eth1", "ETHERNET1"]).unwrap_err().contains("is named twice"));
        assert_eq!(ask(&["Eth1", "Eth2"]).as_deref(), Ok("Ethernet1"));
    }

    #[test]
    fn a_port_is_named_once_however_its_switch_is_called() {
        let target = |switch_id: Option<&str>, switch_info: Option<&str>, port: &str| report::Target {
            device: report::DeviceNames {
                switch_id: switch_id.map(str::to_owned),
                switch_info: switch_info.map(str::to_owned),
                hostname: None,
            },
            physical_network: None,
            level: 0,
            intent: Intent::Detach(Detach { port: PortName::new(port, "p").unwrap(), default_vlan: None }),
        };
        let by_mac = target(Some("001c.73aa.bb01"), None, "eth1");
        let ask = |other| {
            let targets = vec![by_mac.clone(), other];
            let call = Call {
                targets,
                caller: Default::default(),
                names: &crate::rpc::ports::NAMES,
                dry_run: true,
                detailed: true,
            };
            requests(&call, &world()).map(|requests| requests.len())
        };
        for same in [
            target(Some("leaf1"), None, "eth1"),
            target(None, Some("leaf1"), "eth1"),
            target(Some("00-1C-73-AA-BB-01"), Some("leaf1"), "eth1"),
        ] {
            let error = ask(same).unwrap_err().to_string();
            assert!(error.ends_with("port_id: port eth1 of leaf1 is named twice"), "{error}");
        }
        assert_eq!(ask(target(Some("leaf1"), None, "eth2")).unwrap(), 2);
        assert_eq!(ask(target(Some("leaf2"), None, "eth1")).unwrap(), 2);
    }
}
