//! A worker per busy device: it owns the session and the queue, sends what waits together as one
//! commit, and lends the device to changes that span several.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, sleep_until, timeout};

use crate::device::Device;
use crate::intent::Request;
use crate::report::Refusal;
use crate::transaction::lease::{Lease, Live, Warm};
use crate::transaction::outcome::{Outcome, Phase, Timings};
use crate::transaction::queue::{
    Job, Joinable, Lending, Pending, QUEUED, Reading, WITHDRAWN, Waiting, split,
};
use crate::transaction::shared::{Level, Shared};
use crate::transaction::{Apart, Budget, Participant, Report, journal, transact};
use crate::transport::{Connect, Fault, ReadSet};
use crate::world::World;

/// All workers, by endpoint: two inventory entries with one endpoint are one device.
#[derive(Clone)]
pub struct Workers {
    connect: Connect,
    shared: Shared,
    queues: Arc<Mutex<HashMap<String, Queue>>>,
    /// The recoveries that wait, by the queue's key.
    recoveries: Arc<Mutex<HashMap<String, Weak<()>>>>,
}

#[derive(Clone)]
struct Queue {
    device: String,
    jobs: mpsc::UnboundedSender<Job>,
    waiting: Arc<AtomicUsize>,
}

/// A lease and the way to give it back.
pub struct Loan {
    pub lease: Lease,
    pub back: oneshot::Sender<Option<Warm>>,
}

/// Less time than this is none.
const SHORT: Duration = Duration::from_secs(1);

impl Workers {
    pub fn new(connect: Connect, shared: Shared) -> Self {
        Self { connect, shared, queues: Arc::default(), recoveries: Arc::default() }
    }

    /// How many jobs wait for each busy device, by name.
    pub fn waiting(&self) -> BTreeMap<String, usize> {
        let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        let waiting = |queue: &Queue| (queue.device.clone(), queue.waiting.load(Ordering::Acquire));
        queues.values().map(waiting).collect()
    }

    /// Changes one port; goes out with whatever else waits for this device.
    pub async fn change(
        &self,
        request: Request,
        world: Arc<World>,
        budget: Budget,
    ) -> Result<Report, Refusal> {
        let device = request.device.clone();
        let state = Arc::new(AtomicU8::new(QUEUED));
        let (reply, mut answer) = oneshot::channel();
        let limit = world.queue_per_device;
        let pending = Pending { request, world, budget, state: state.clone(), reply };
        self.submit(&device, Job::Change(Box::new(pending)), Some(limit))?;
        let waited = tokio::select! {
            biased;
            answer = &mut answer => Some(answer),
            () = sleep_until(budget.deadline) => None,
            () = self.shared.stop.reached(Level::Drain) => None,
        };
        let withdraw = || state.compare_exchange(QUEUED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
        let answer = match waited {
            Some(answer) => answer,
            None if withdraw().is_ok() && self.is_stopping() => return Err(Refusal::Stopping),
            None if state.load(Ordering::Acquire) == WITHDRAWN => return Ok(not_sent()),
            // It is being carried out, undone or settled, and that ends at the same deadline.
            None => answer.await,
        };
        answer.unwrap_or_else(|_| Ok(broken_off()))
    }

    /// Reads what a device runs and reports on its warm session, behind what is queued.
    pub async fn read(
        &self,
        device: &Arc<Device>,
        world: &Arc<World>,
        (running, state): (ReadSet, ReadSet),
        deadline: Instant,
    ) -> Result<Live, Refusal> {
        let (reply, answer) = oneshot::channel();
        let (to, world) = (device.clone(), world.clone());
        let limit = Some(world.queue_per_device);
        let reading = Reading { device: to, world, running, state, deadline, reply };
        self.submit(device, Job::Read(reading), limit)?;
        let live = self.told(answer, deadline).await?;
        live.map_err(|why| Refusal::Unreachable { device: device.name.clone(), why })
    }

    /// Has a session opened behind what is queued, so that a device that cannot be reached is found
    /// out while no other is held. Inside: why there is none.
    pub async fn warm(
        &self,
        device: &Arc<Device>,
        world: Arc<World>,
        deadline: Instant,
    ) -> Result<Result<(), String>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let limit = world.queue_per_device;
        let job = Job::Warm { device: device.clone(), world, deadline, reply };
        self.submit(device, job, Some(limit))?;
        self.told(answer, deadline).await
    }

    /// Borrows a device from its worker until the loan is given back or dropped; none: it was not
    /// free in time.
    pub async fn lend(
        &self,
        device: &Arc<Device>,
        world: Arc<World>,
        until: Instant,
    ) -> Result<Option<Loan>, Refusal> {
        let (reply, answer) = oneshot::channel();
        let limit = world.queue_per_device;
        self.submit(device, Job::Lend(Lending { device: device.clone(), world, reply }), Some(limit))?;
        Ok(self.answered(answer, until).await?.and_then(Result::ok))
    }

    /// Finishes what an earlier process left in this device's journal. Nothing, if somebody waits for
    /// that already.
    pub async fn recover(&self, device: &Arc<Device>, world: Arc<World>) -> Result<(), String> {
        let waits = Arc::new(());
        let key = journal::file_name(&device.endpoint);
        {
            let mut recoveries = self.recoveries.lock().unwrap_or_else(PoisonError::into_inner);
            if recoveries.get(&key).is_some_and(|other| other.strong_count() > 0) {
                return Ok(());
            }
            recoveries.insert(key, Arc::downgrade(&waits));
        }
        let (reply, answer) = oneshot::channel();
        let job = Job::Recover { device: device.clone(), world, waits, reply };
        self.submit(device, job, None).map_err(|refusal| refusal.to_string())?;
        answer.await.map_err(|_| "its worker ended".to_owned())?
    }

    /// What a worker answers; none: not in time.
    async fn answered<T>(
        &self,
        answer: oneshot::Receiver<T>,
        until: Instant,
    ) -> Result<Option<Result<T, RecvError>>, Refusal> {
        tokio::select! {
            biased;
            answer = answer => Ok(Some(answer)),
            () = sleep_until(until) => Ok(None),
            () = self.shared.stop.reached(Level::Drain) => Err(Refusal::Stopping),
        }
    }

    /// What a device says through its worker, or why nothing is known.
    async fn told<T>(
        &self,
        answer: oneshot::Receiver<Result<T, Fault>>,
        deadline: Instant,
    ) -> Result<Result<T, String>, Refusal> {
        Ok(match self.answered(answer, deadline).await? {
            Some(Ok(answer)) => answer.map_err(|fault| fault.to_string()),
            Some(Err(_)) => Err("its worker ended".to_owned()),
            None => Err("the time was used up while waiting for it".to_owned()),
        })
    }

    fn is_stopping(&self) -> bool {
        self.shared.stop.level() >= Level::Drain
    }

    fn submit(&self, device: &Arc<Device>, job: Job, limit: Option<usize>) -> Result<(), Refusal> {
        if self.is_stopping() {
            return Err(Refusal::Stopping);
        }
        let key = journal::file_name(&device.endpoint);
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // A worker leaves the map before it stops receiving, and the map is locked here; one that
        // is gone all the same was broken off, and its device must not be lost with it.
        if queues.get(&key).is_some_and(|queue| queue.jobs.is_closed()) {
            queues.remove(&key);
        }
        let queue = queues.entry(key.clone()).or_insert_with(|| self.spawn(key, device));
        let waiting = queue.waiting.fetch_add(1, Ordering::AcqRel);
        if limit.is_some_and(|limit| waiting >= limit) {
            queue.waiting.fetch_sub(1, Ordering::AcqRel);
            return Err(Refusal::Busy { device: device.name.clone(), waiting });
        }
        queue.jobs.send(job).map_err(|_| Refusal::Stopping)
    }

    fn spawn(&self, key: String, device: &Arc<Device>) -> Queue {
        let (jobs, incoming) = mpsc::unbounded_channel();
        let waiting = Arc::new(AtomicUsize::new(0));
        let worker = Worker {
            key,
            idle_limit: device.profile.ssh.idle_limit,
            workers: self.clone(),
            waiting: Waiting::new(incoming, waiting.clone()),
            warm: None,
        };
        tokio::spawn(worker.run());
        Queue { device: device.name.clone(), jobs, waiting }
    }
}

struct Worker {
    key: String,
    idle_limit: Duration,
    workers: Workers,
    waiting: Waiting,
    warm: Option<Warm>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(job) = self.next().await {
            match job {
                Job::Change(first) => self.commit(*first).await,
                Job::Read(reading) => self.read(reading).await,
                Job::Lend(lending) => self.lend(lending).await,
                Job::Warm { device, world, deadline, reply } => {
                    let lease = self.lease(device, world).await;
                    let open =
                        async |lease: &mut Lease| lease.connect(&mut Timings::default(), deadline).await;
                    self.ask(lease, reply, open).await;
                }
                Job::Recover { device, world, waits, reply } => {
                    drop(waits);
                    let (device, world) = self.newest(device, world);
                    let budget = Budget::new(Instant::now(), world.request_timeout, world.lock_wait);
                    let mut lease = self.lease(device, world).await;
                    let result = recover(&mut lease, budget).await;
                    self.warm = lease.give_back();
                    // Nobody may be waiting any more; the recovery itself is logged.
                    reply.send(result).unwrap_or_default();
                }
            }
        }
        self.close().await;
    }

    async fn close(&mut self) {
        if let Some(mut warm) = self.warm.take() {
            warm.close().await;
        }
    }

    /// The next job; none when nothing came for the idle limit and the worker may go.
    async fn next(&mut self) -> Option<Job> {
        loop {
            if let Some(job) = self.waiting.pop() {
                return Some(job);
            }
            if self.warm.is_some() && self.workers.shared.sessions.are_short() {
                self.close().await;
            }
            let next = tokio::select! {
                biased;
                received = timeout(self.idle_limit, self.waiting.receive()) => received,
                // Another device needs the place more.
                () = self.workers.shared.sessions.wanted(), if self.warm.is_some() => {
                    self.close().await;
                    continue;
                }
            };
            match next {
                Ok(true) => {}
                Ok(false) => return None,
                Err(_) => {
                    let mut queues = self.workers.queues.lock().unwrap_or_else(PoisonError::into_inner);
                    if self.waiting.is_received() {
                        queues.remove(&self.key);
                        return None;
                    }
                }
            }
        }
    }

    /// Sends `first` and what can go with it.
    async fn commit(&mut self, first: Pending) {
        let mut group = vec![first];
        self.waiting.gather(&mut group, |_| true);
        let mut groups = vec![group];
        let mut is_whole = true;
        while let Some(group) = groups.pop() {
            let mut group: Vec<Pending> = group.into_iter().filter_map(Pending::start).collect();
            let Some(first) = group.first() else { continue };
            let (device, world) = (first.request.device.clone(), first.world.clone());
            let budget = group.iter().map(|p| p.budget).min_by_key(|b| b.deadline).unwrap_or(first.budget);
            let lease = self.lease(device, world).await;
            let requests = group.iter().map(|pending| pending.request.clone()).collect();
            let mut part = Participant::new(lease, requests);
            let (waiting, deadline) = (&mut self.waiting, budget.deadline);
            let mut joinable = Joinable { waiting, group: &mut group, deadline };
            // The parts of a group that failed are tried as they are: one of them is to blame, and
            // ports that another has are not free.
            if std::mem::take(&mut is_whole) {
                part = part.joined_by(&mut joinable);
            }
            let ended = transact(vec![part], budget).await;
            let Some(part) = ended.into_iter().next() else { continue };
            let (done, apart, lease) = part.finish();
            self.warm = lease.give_back();
            let (mut again, mut in_time) = (Vec::new(), Vec::new());
            let splits = group.len() > 1 && apart != Apart::No;
            // Waiting for a lock ends a little before the time is over.
            let is_over = Instant::now() + SHORT >= budget.forward;
            for (pending, done) in group.into_iter().zip(done) {
                let failed = match &done.result {
                    Ok(Report { outcome: Outcome::RolledBack { phase, .. }, .. }) => Some(*phase),
                    Ok(Report { outcome: Outcome::Unknown { phase: Phase::Recover, .. }, .. }) => {
                        Some(Phase::Recover)
                    }
                    _ => None,
                };
                // The group waited no longer than the shortest time of its members.
                let waits_on = is_over && Instant::now() + SHORT < pending.budget.forward;
                if splits && failed.is_some() {
                    again.push(pending);
                } else if waits_on && failed.is_some_and(Phase::is_before_change) {
                    in_time.push(pending);
                } else {
                    let result = done.result.map_err(|e| Refusal::plan(&done.request.device, e));
                    pending.answer(result);
                }
            }
            groups.extend(Some(in_time).filter(|group| !group.is_empty()));
            groups.extend(split(again, &apart));
        }
    }

    async fn read(&mut self, reading: Reading) {
        let Reading { device, world, running, state, deadline, reply } = reading;
        let lease = self.lease(device, world).await;
        self.ask(lease, reply, async |lease: &mut Lease| lease.read(&running, &state, deadline).await).await;
    }

    /// Does what changes nothing, as long as somebody waits for it: whoever is next must not.
    async fn ask<T>(
        &mut self,
        mut lease: Lease,
        mut reply: oneshot::Sender<T>,
        work: impl AsyncFnOnce(&mut Lease) -> T,
    ) {
        let result = tokio::select! {
            biased;
            () = reply.closed() => None,
            result = work(&mut lease) => Some(result),
        };
        self.warm = lease.give_back();
        if let Some(result) = result {
            // Whoever asked may have given up.
            reply.send(result).unwrap_or_default();
        }
    }

    async fn lend(&mut self, lending: Lending) {
        let lease = self.lease(lending.device, lending.world).await;
        let (back, returned) = oneshot::channel();
        self.warm = match lending.reply.send(Loan { lease, back }) {
            // A loan that is dropped instead of given back has no session any more.
            Ok(()) => returned.await.ok().flatten(),
            Err(loan) => loan.lease.give_back(),
        };
    }

    /// The device as the newest configuration has it, if it is there: what waited long may find a better
    /// way to it.
    fn newest(&self, device: Arc<Device>, world: Arc<World>) -> (Arc<Device>, Arc<World>) {
        let newest = self.workers.shared.newest.load_full();
        match newest.inventory.devices.get(&device.name).cloned() {
            Some(now) if journal::file_name(&now.endpoint) == self.key => (now, newest),
            _ => (device, world),
        }
    }

    async fn lease(&mut self, device: Arc<Device>, world: Arc<World>) -> Lease {
        if self.warm.as_ref().is_some_and(|warm| !warm.is_of(&world)) {
            self.close().await;
        }
        let connect = self.workers.connect.clone();
        Lease::new(device, world, connect, self.warm.take(), self.workers.shared.clone())
    }
}

async fn recover(lease: &mut Lease, budget: Budget) -> Result<(), String> {
    lease.lock_file(budget.forward).await.map_err(|error| error.to_string())?;
    lease.recover(&mut Timings::default(), budget).await.map_err(|(_, cause)| cause)
}

pub(super) fn not_sent() -> Report {
    let cause = "the time was used up while waiting for the device; not sent".to_owned();
    Report::without_plan(Outcome::as_before(Phase::Queue, cause))
}

/// The task that worked on it is gone, which is a defect; the journal holds what it left.
pub(crate) fn broken_off() -> Report {
    let cause = "the service failed while it worked on this; it is settled on next use".to_owned();
    Report::without_plan(Outcome::Unknown { phase: Phase::Undo, cause })
}

impl Report {
    /// Of a change that was not sent, or of which no plan is left.
    pub(crate) fn without_plan(outcome: Outcome) -> Self {
        Self {
            plan: None,
            outcome,
            timings: Timings::default(),
            transport: "none".to_owned(),
            profile: None,
            risks: Vec::new(),
            group: 0,
        }
    }
}
