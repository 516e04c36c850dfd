//! A worker per busy device: it owns the session and the queue, sends what waits together as one
//! commit, and lends the device to changes that span several.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use crate::device::Device;
use crate::intent::{Request, Subject};
use crate::report::Refusal;
use crate::slice::Slice;
use crate::transaction::lease::Lease;
use crate::transaction::outcome::{Outcome, Phase, Timings};
use crate::transaction::{Apart, Budget, Participant, Report, journal, transact};
use crate::transport::{Connector, Fault, Promises, ReadSet, Session, Store};
use crate::world::World;

/// Makes the way to a device; the tests put their own in.
pub type Connect = Arc<dyn Fn(&Arc<Device>) -> Arc<dyn Connector> + Send + Sync>;

/// All workers, by endpoint: two inventory entries with one endpoint are one device.
#[derive(Clone)]
pub struct Workers {
    connect: Connect,
    queues: Arc<Mutex<HashMap<String, Queue>>>,
}

#[derive(Clone)]
struct Queue {
    jobs: mpsc::UnboundedSender<Job>,
    waiting: Arc<AtomicUsize>,
}

enum Job {
    Change(Box<Pending>),
    Read(Reading),
    Lend(Lending),
    /// Finish what the journal holds.
    Recover {
        device: Arc<Device>,
        world: Arc<World>,
        budget: Budget,
        reply: oneshot::Sender<Result<(), String>>,
    },
}

struct Pending {
    request: Request,
    world: Arc<World>,
    budget: Budget,
    state: Arc<AtomicU8>,
    reply: oneshot::Sender<Result<Report, Refusal>>,
}

struct Reading {
    device: Arc<Device>,
    reads: ReadSet,
    deadline: Instant,
    reply: oneshot::Sender<Result<Live, Fault>>,
}

struct Lending {
    device: Arc<Device>,
    world: Arc<World>,
    reply: oneshot::Sender<Loan>,
}

/// A lease and the way to give it back.
pub struct Loan {
    pub lease: Lease,
    pub back: oneshot::Sender<Option<Box<dyn Session>>>,
}

/// What a device runs, read without a lock.
pub struct Live {
    pub running: Slice,
    pub transport: String,
    pub promises: Promises,
}

/// Less time than this is none.
const SHORT: Duration = Duration::from_secs(1);

const QUEUED: u8 = 0;
const STARTED: u8 = 1;
const WITHDRAWN: u8 = 2;

impl Workers {
    pub fn new(connect: Connect) -> Self {
        Self { connect, queues: Arc::default() }
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
        let waited = tokio::time::timeout_at(budget.deadline, &mut answer).await;
        let withdraw = || state.compare_exchange(QUEUED, WITHDRAWN, Ordering::AcqRel, Ordering::Acquire);
        let answer = match waited {
            Ok(answer) => answer,
            Err(_) if withdraw().is_ok() => return Ok(not_sent()),
            // It is being undone or settled, and that ends at the same deadline.
            Err(_) => answer.await,
        };
        answer.unwrap_or_else(|_| Ok(broken_off()))
    }

    /// Reads a device's running configuration on its warm session, behind what is queued.
    pub async fn read(&self, device: &Arc<Device>, reads: ReadSet, deadline: Instant) -> Result<Live, Fault> {
        let closed = |why: &str| Fault::NotSent(crate::transport::Cause::Closed(why.to_owned()));
        let (reply, answer) = oneshot::channel();
        let job = Job::Read(Reading { device: device.clone(), reads, deadline, reply });
        self.submit(device, job, None).map_err(|_| closed("its queue is full"))?;
        match tokio::time::timeout_at(deadline, answer).await {
            Ok(answer) => answer.map_err(|_| closed("its worker ended"))?,
            Err(_) => Err(Fault::NotSent(crate::transport::Cause::Deadline("waiting for the device"))),
        }
    }

    /// Borrows a device from its worker until the loan is given back or dropped.
    pub async fn lend(&self, device: &Arc<Device>, world: Arc<World>, until: Instant) -> Option<Loan> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Lend(Lending { device: device.clone(), world, reply });
        self.submit(device, job, None).ok()?;
        tokio::time::timeout_at(until, answer).await.ok()?.ok()
    }

    /// Finishes what an earlier process left in this device's journal.
    pub async fn recover(
        &self,
        device: &Arc<Device>,
        world: Arc<World>,
        budget: Budget,
    ) -> Result<(), String> {
        let (reply, answer) = oneshot::channel();
        let job = Job::Recover { device: device.clone(), world, budget, reply };
        self.submit(device, job, None).map_err(|refusal| refusal.to_string())?;
        answer.await.map_err(|_| "its worker ended".to_owned())?
    }

    fn submit(&self, device: &Arc<Device>, job: Job, limit: Option<usize>) -> Result<(), Refusal> {
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
            idle_limit: device.profile.netconf.idle_limit,
            workers: self.clone(),
            incoming,
            queue: VecDeque::new(),
            waiting: waiting.clone(),
            session: None,
        };
        tokio::spawn(worker.run());
        Queue { jobs, waiting }
    }
}

struct Worker {
    key: String,
    idle_limit: Duration,
    workers: Workers,
    incoming: mpsc::UnboundedReceiver<Job>,
    queue: VecDeque<Job>,
    waiting: Arc<AtomicUsize>,
    session: Option<Box<dyn Session>>,
}

impl Worker {
    async fn run(mut self) {
        while let Some(job) = self.next().await {
            match job {
                Job::Change(first) => {
                    let group = self.group_with(*first);
                    self.commit(group).await;
                }
                Job::Read(reading) => self.read(reading).await,
                Job::Lend(lending) => self.lend(lending).await,
                Job::Recover { device, world, budget, reply } => {
                    let mut lease = self.lease(device, world);
                    let result = recover(&mut lease, budget).await;
                    self.session = lease.give_back();
                    // Nobody may be waiting any more; the recovery itself is logged.
                    reply.send(result).unwrap_or_default();
                }
            }
        }
        if let Some(mut session) = self.session.take() {
            session.close().await;
        }
    }

    /// The next job; none when nothing came for the idle limit and the worker may go.
    async fn next(&mut self) -> Option<Job> {
        loop {
            if let Some(job) = self.queue.pop_front() {
                self.waiting.fetch_sub(1, Ordering::AcqRel);
                return Some(job);
            }
            match timeout(self.idle_limit, self.incoming.recv()).await {
                Ok(job) => self.queue.push_back(job?),
                Err(_) => {
                    let mut queues = self.workers.queues.lock().unwrap_or_else(PoisonError::into_inner);
                    if self.incoming.is_empty() {
                        queues.remove(&self.key);
                        return None;
                    }
                }
            }
        }
    }

    /// Everything that waits and can go out with `first`: one configuration, disjoint ports, in the
    /// order of arrival. What asks for a port of this group waits for the next. A network goes out
    /// alone: it touches what belongs to all.
    fn group_with(&mut self, first: Pending) -> Vec<Pending> {
        while let Ok(job) = self.incoming.try_recv() {
            self.queue.push_back(job);
        }
        let mut group = vec![first];
        let mut later = VecDeque::new();
        let mut blocked: Vec<Subject> = Vec::new();
        let is_port = |pending: &Pending| matches!(pending.request.intent.subject(), Subject::Port(_));
        let mut is_open = is_port(&group[0]);
        for job in self.queue.drain(..) {
            let job = match job {
                Job::Change(pending)
                    if is_open && is_port(&pending) && Arc::ptr_eq(&pending.world, &group[0].world) =>
                {
                    let port = pending.request.intent.subject();
                    let taken = group.iter().any(|member| member.request.intent.subject() == port);
                    if !taken && !blocked.contains(&port) {
                        self.waiting.fetch_sub(1, Ordering::AcqRel);
                        group.push(*pending);
                        continue;
                    }
                    blocked.push(port);
                    Job::Change(pending)
                }
                // Of another configuration: it waits, and what asks for its port after it waits behind it.
                Job::Change(pending) if is_port(&pending) => {
                    blocked.push(pending.request.intent.subject());
                    Job::Change(pending)
                }
                // What is no change of a port keeps its place: nothing behind it overtakes.
                other => {
                    is_open = false;
                    other
                }
            };
            later.push_back(job);
        }
        self.queue = later;
        group
    }

    async fn commit(&mut self, group: Vec<Pending>) {
        let mut groups = vec![group];
        while let Some(group) = groups.pop() {
            let group: Vec<Pending> = group.into_iter().filter_map(start).collect();
            let Some(first) = group.first() else { continue };
            let (device, world) = (first.request.device.clone(), first.world.clone());
            let budget = group.iter().map(|p| p.budget).min_by_key(|b| b.deadline).unwrap_or(first.budget);
            let lease = self.lease(device, world);
            let requests = group.iter().map(|pending| pending.request.clone()).collect();
            let ended = transact(vec![Participant::new(lease, requests)], budget).await;
            let Some(part) = ended.into_iter().next() else { continue };
            let (done, apart, lease) = part.finish();
            self.session = lease.give_back();
            let (mut again, mut in_time) = (Vec::new(), Vec::new());
            let splits = group.len() > 1 && apart != Apart::No;
            // Waiting for a lock ends a little before the time is over.
            let is_over = Instant::now() + SHORT >= budget.forward;
            for (pending, done) in group.into_iter().zip(done) {
                let failed = match &done.result {
                    Ok(Report { outcome: Outcome::RolledBack { phase, .. }, .. }) => Some(*phase),
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
        let result = async {
            if !self.session.as_ref().is_some_and(|session| session.is_open()) {
                let connector = (self.workers.connect)(&reading.device);
                self.session = Some(connector.open(reading.deadline).await?);
            }
            let none = || Fault::NotSent(crate::transport::Cause::Closed("no session".to_owned()));
            let session = self.session.as_mut().ok_or_else(none)?;
            let running = session.read(Store::Running, &reading.reads, reading.deadline).await?;
            Ok(Live { running, transport: session.describe(), promises: session.promises().clone() })
        };
        let result = result.await;
        // The reader may have given up.
        reading.reply.send(result).unwrap_or_default();
    }

    async fn lend(&mut self, lending: Lending) {
        let lease = self.lease(lending.device, lending.world);
        let (back, returned) = oneshot::channel();
        self.session = match lending.reply.send(Loan { lease, back }) {
            // A loan that is dropped instead of given back has no session any more.
            Ok(()) => returned.await.ok().flatten(),
            Err(loan) => loan.lease.give_back(),
        };
    }

    fn lease(&mut self, device: Arc<Device>, world: Arc<World>) -> Lease {
        let connector = (self.workers.connect)(&device);
        Lease::new(device, world, connector, self.session.take())
    }
}

async fn recover(lease: &mut Lease, budget: Budget) -> Result<(), String> {
    lease.lock_file(budget.forward).await.map_err(|error| error.to_string())?;
    lease.recover(&mut Timings::default(), budget).await.map_err(|(_, cause)| cause)
}

/// Answers what came too late or was withdrawn; the rest is started.
fn start(pending: Pending) -> Option<Pending> {
    let was = pending.state.swap(STARTED, Ordering::AcqRel);
    if was == WITHDRAWN {
        return None;
    }
    if Instant::now() >= pending.budget.forward {
        pending.answer(Ok(not_sent()));
        return None;
    }
    Some(pending)
}

impl Pending {
    fn answer(self, result: Result<Report, Refusal>) {
        // The caller may be gone; its change is logged where the answer is made.
        if self.reply.send(result).is_err() {
            tracing::debug!(request_id = self.request.caller.request_id, "nobody waits for this answer");
        }
    }
}

fn not_sent() -> Report {
    let cause = "the time was used up while waiting for the device; not sent".to_owned();
    Report::without_plan(Outcome::RolledBack { phase: Phase::Queue, cause })
}

/// The task that worked on it is gone, which is a defect; the journal holds what it left.
pub(crate) fn broken_off() -> Report {
    let cause = "the service failed while it worked on this; it is settled on next use".to_owned();
    Report::without_plan(Outcome::Unknown { phase: Phase::Undo, cause })
}

impl Report {
    fn without_plan(outcome: Outcome) -> Self {
        Self {
            plan: None,
            outcome,
            timings: Timings::default(),
            transport: "none".to_owned(),
            risks: Vec::new(),
            group: 0,
        }
    }
}

/// The parts to try apart: those that the device named each alone after the rest, else two halves.
fn split(mut members: Vec<Pending>, apart: &Apart) -> Vec<Vec<Pending>> {
    let Apart::Yes { error_paths } = apart else { return Vec::new() };
    if members.len() < 2 {
        return if members.is_empty() { Vec::new() } else { vec![members] };
    }
    let is_named = |pending: &Pending| {
        let port = pending.request.intent.subject();
        let quoted = [format!("'{port}'"), format!("\"{port}\"")];
        error_paths.iter().any(|path| quoted.iter().any(|name| path.contains(name)))
    };
    let (named, rest): (Vec<Pending>, Vec<Pending>) = members.drain(..).partition(is_named);
    if named.is_empty() || rest.is_empty() {
        let mut all: Vec<Pending> = named.into_iter().chain(rest).collect();
        let second = all.split_off(all.len() / 2);
        return vec![second, all];
    }
    // Taken from the back: the rest goes first.
    named.into_iter().map(|pending| vec![pending]).chain([rest]).collect()
}
