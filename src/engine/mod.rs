//! The whole flow on one page: a call becomes requests, plans, payloads, a transaction, and the
//! words that the caller and the log get, which `describe` finds.

mod describe;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwap;
use async_trait::async_trait;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::address::requests;
use crate::audit;
use crate::device::Device;
use crate::intent::Request;
use crate::plan;
use crate::query;
use crate::report::{Call, Change, DeviceChange, Refusal};
use crate::transaction::outcome::{Outcome, Phase};
use crate::transaction::shared::{Level, Sessions, Shared, Stop};
use crate::transaction::turns::Turns;
use crate::transaction::worker::{Loan, Workers, broken_off};
use crate::transaction::{Budget, Participant, Report, jitter, journal, transact};
use crate::transport::{Connect, ReadSet};
use crate::world::World;

pub use describe::planned;
use describe::{describe, worst};

/// Turns calls into changes.
pub struct Engine {
    shared: Shared,
    workers: Workers,
    turns: Turns,
    generation: AtomicU64,
    /// Devices that an interrupted change was left of under another address, each with its journal.
    moved: ArcSwap<BTreeMap<String, PathBuf>>,
    /// How many calls are worked on, and how many recoveries.
    calls: watch::Sender<usize>,
    recoveries: watch::Sender<usize>,
}

impl Engine {
    /// An engine that may have `sessions` open at one time.
    pub fn new(world: Arc<World>, connect: Connect, sessions: usize) -> Self {
        let moved = ArcSwap::from_pointee(moved(&world));
        let newest = Arc::new(ArcSwap::new(world));
        let shared = Shared {
            newest,
            sessions: Sessions::new(sessions),
            stop: Stop::default(),
            settled: audit::settled,
        };
        let workers = Workers::new(connect, shared.clone());
        let (calls, recoveries) = (watch::Sender::new(0), watch::Sender::new(0));
        let (turns, generation) = (Turns::default(), AtomicU64::new(1));
        Self { shared, workers, turns, generation, moved, calls, recoveries }
    }

    /// What new requests are judged by.
    pub fn world(&self) -> Arc<World> {
        self.shared.newest.load_full()
    }

    /// Puts another configuration in the place of the present one. What runs keeps its own.
    pub fn replace(&self, world: Arc<World>) {
        self.moved.store(Arc::new(moved(&world)));
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
            let world = world.clone();
            async move {
                if let Err(why) = self.workers.recover(device, world).await {
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
        let mut requests = requests(&call, &world)?;
        if call.dry_run {
            let plans = requests.iter().map(|request| self.dry_run(request, &world, budget));
            let devices = futures_util::future::try_join_all(plans).await?;
            return Ok(Change { outcome: "planned", devices });
        }
        self.check_sessions(&requests)?;
        self.check_moved(&requests)?;
        let stop = &self.shared.stop;
        let turn = self.turns.take(&requests, world.queue_per_device, budget, stop).await?;
        let reports = match requests.len() {
            1 => {
                let request = requests.remove(0);
                let report = self.workers.change(request.clone(), world.clone(), budget).await?;
                vec![(request, report)]
            }
            _ => {
                // On its own task: a caller that goes away stops nothing.
                let all = together(self.workers.clone(), requests.clone(), world.clone(), budget);
                let in_turn = async move {
                    let _turn = turn;
                    all.await
                };
                match tokio::spawn(in_turn).await {
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

    /// A change of more switches than there may be sessions would wait for itself, with the first of
    /// them locked.
    fn check_sessions(&self, requests: &[Request]) -> Result<(), Refusal> {
        let names: BTreeSet<&str> = requests.iter().map(|request| request.device.name.as_str()).collect();
        let (needed, limit) = (names.len(), self.shared.sessions.limit());
        match names.last() {
            Some(last) if needed > limit => {
                let why = format!("the change takes {needed} sessions at one time, and {limit} may be open");
                Err(Refusal::Unreachable { device: (*last).to_owned(), why })
            }
            _ => Ok(()),
        }
    }

    /// What was left of a change under a device's old address is found by nobody under the new one.
    fn check_moved(&self, requests: &[Request]) -> Result<(), Refusal> {
        let moved = self.moved.load();
        for request in requests {
            let device = &request.device.name;
            if let Some(path) = moved.get(device).filter(|path| journal::holds(path)) {
                let why = format!(
                    "a change of it is in {}, from when it had another address or port, and under way or interrupted: \
                     wait for its end; if nobody finishes it, give the device that address and port again until this \
                     is done, or look at the device and empty the file",
                    path.display()
                );
                return Err(Refusal::Unreachable { device: device.clone(), why });
            }
        }
        Ok(())
    }

    async fn dry_run(
        &self,
        request: &Request,
        world: &Arc<World>,
        budget: Budget,
    ) -> Result<DeviceChange, Refusal> {
        let reads = |paths| ReadSet { paths, schema: world.schema.clone() };
        let reads = (reads(plan::consulted(request)), reads(query::state_of(request)));
        let live = self.workers.read(&request.device, world, reads, budget.deadline).await?;
        let change = planned(request, &live.running, world, Some(&live))?;
        tracing::info!(
            request_id = request.caller.request_id,
            user = request.caller.user,
            device = request.device.name,
            port = %request.intent.subject(),
            action = request.intent.verb(),
            before = change.before,
            after = change.after,
            transport = change.transport,
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
    if let Some((device, why)) = unreachable(&workers, &requests, &world, budget).await? {
        let report = |request: Request| {
            let own = request.device.name == device;
            let cause = if own { why.clone() } else { format!("{device}: {why}") };
            let report = Report::without_plan(Outcome::as_before(Phase::Connect, cause));
            (request, report)
        };
        return Ok(requests.into_iter().map(report).collect());
    }
    let loans = borrow(&workers, &devices, &world, budget).await?;
    let (mut parts, mut backs) = (Vec::new(), Vec::new());
    for (device, loan) in devices.iter().zip(loans) {
        let own = requests.iter().filter(|r| r.device.name == device.name).cloned().collect();
        parts.push(Participant::new(loan.lease, own).all_or_nothing());
        backs.push(loan.back);
    }
    let mut reports = Vec::new();
    let mut refused = Vec::new();
    for (part, back) in transact(parts, budget).await.into_iter().zip(backs) {
        let (done, _, lease) = part.finish();
        // A worker that ended meanwhile needs no session.
        drop(back.send(lease.give_back()));
        for done in done {
            match done.result {
                Ok(report) => reports.push((done.request, report)),
                Err(error) => refused.push((done.request, error)),
            }
        }
    }
    // A refusal says that nothing was changed.
    let is_known = |(_, report): &(Request, Report)| !matches!(report.outcome, Outcome::Unknown { .. });
    if reports.iter().all(is_known)
        && let Some((request, error)) = refused.pop()
    {
        return Err(Refusal::plan(&request.device, error));
    }
    reports.extend(refused.into_iter().map(|(request, error)| {
        let outcome = Outcome::as_before(Phase::Plan, error.to_string());
        (request, Report::without_plan(outcome))
    }));
    Ok(reports)
}

/// A device of several that has no session and gets none. Those that are reached only through a port
/// that changes first are not asked yet.
async fn unreachable(
    workers: &Workers,
    requests: &[Request],
    world: &Arc<World>,
    budget: Budget,
) -> Result<Option<(String, String)>, Refusal> {
    let at_once = requests.iter().filter(|request| request.level == 0);
    let devices: BTreeMap<&str, &Arc<Device>> =
        at_once.map(|request| (request.device.name.as_str(), &request.device)).collect();
    if devices.len() < 2 {
        return Ok(None);
    }
    let opened = devices.into_values().map(|device| async move {
        let opened = workers.warm(device, world.clone(), budget.forward).await;
        opened.map(|opened| opened.err().map(|why| (device.name.clone(), why)))
    });
    Ok(futures_util::future::try_join_all(opened).await?.into_iter().flatten().next())
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
            let (device, path) = (journal::owner(&path).unwrap_or_default(), path.display().to_string());
            match world.inventory.devices.contains_key(&device) {
                true => tracing::error!(
                    device,
                    path,
                    "an interrupted change of when it had another address or port"
                ),
                false => tracing::error!(
                    device,
                    path,
                    "an interrupted change of a device that is not in the inventory"
                ),
            }
        }
    }
}

/// Devices of the inventory that have a journal under another name than theirs.
fn moved(world: &World) -> BTreeMap<String, PathBuf> {
    let owned = |path: PathBuf| {
        let device = world.inventory.devices.get(&journal::owner(&path)?)?;
        let is_own =
            path.file_name().is_some_and(|name| name == journal::file_name(&device.endpoint).as_str());
        (!is_own).then(|| (device.name.clone(), path))
    };
    // Also what is under way: nobody knows yet how it ends.
    journal::open(&world.locks_dir).filter_map(owned).collect()
}

fn has_journal(world: &World, device: &Device) -> bool {
    journal::is_open(&world.locks_dir, &device.endpoint)
}
