//! What waits for one device, and what of it goes out together.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::device::Device;
use crate::intent::{Request, Subject};
use crate::report::Refusal;
use crate::transaction::lease::Live;
use crate::transaction::worker::{Loan, not_sent};
use crate::transaction::{Apart, Budget, Latecomers, Report};
use crate::transport::{Fault, ReadSet};
use crate::world::World;

pub(super) enum Job {
    Change(Box<Pending>),
    Read(Reading),
    Lend(Lending),
    /// Open a session, if there is none.
    Warm {
        device: Arc<Device>,
        world: Arc<World>,
        deadline: Instant,
        reply: oneshot::Sender<Result<(), Fault>>,
    },
    /// Finish what the journal holds.
    Recover {
        device: Arc<Device>,
        world: Arc<World>,
        /// Dropped when it begins.
        waits: Arc<()>,
        reply: oneshot::Sender<Result<(), String>>,
    },
}

pub(super) struct Pending {
    pub request: Request,
    pub world: Arc<World>,
    pub budget: Budget,
    pub state: Arc<AtomicU8>,
    pub reply: oneshot::Sender<Result<Report, Refusal>>,
}

pub(super) struct Reading {
    pub device: Arc<Device>,
    pub world: Arc<World>,
    pub running: ReadSet,
    pub state: ReadSet,
    pub deadline: Instant,
    pub reply: oneshot::Sender<Result<Live, Fault>>,
}

pub(super) struct Lending {
    pub device: Arc<Device>,
    pub world: Arc<World>,
    pub reply: oneshot::Sender<Loan>,
}

/// What becomes of a change that waits: it is begun by its worker, or taken back by its caller.
pub(super) const QUEUED: u8 = 0;
pub(super) const STARTED: u8 = 1;
pub(super) const WITHDRAWN: u8 = 2;

/// The jobs of one worker, in the order of arrival.
pub(super) struct Waiting {
    incoming: mpsc::UnboundedReceiver<Job>,
    received: VecDeque<Job>,
    /// How many there are, for those who add to them.
    count: Arc<AtomicUsize>,
}

impl Waiting {
    pub fn new(incoming: mpsc::UnboundedReceiver<Job>, count: Arc<AtomicUsize>) -> Self {
        Self { incoming, received: VecDeque::new(), count }
    }

    pub fn pop(&mut self) -> Option<Job> {
        let job = self.received.pop_front()?;
        self.count.fetch_sub(1, Ordering::AcqRel);
        Some(job)
    }

    /// Waits for something to [`Self::pop`]; false when nobody can send any more.
    pub async fn receive(&mut self) -> bool {
        let job = self.incoming.recv().await;
        let is_open = job.is_some();
        self.received.extend(job);
        is_open
    }

    /// Whether there is nothing that was not received yet.
    pub fn is_received(&self) -> bool {
        self.incoming.is_empty()
    }

    /// Begins everything that waits and can go out with `group`, which is not empty: one
    /// configuration, disjoint ports, in the order of arrival. What asks for a port of this group
    /// waits for the next. A network goes out alone: it touches what belongs to all.
    pub fn gather(&mut self, group: &mut Vec<Pending>, may_join: impl Fn(&Pending) -> bool) {
        while let Ok(job) = self.incoming.try_recv() {
            self.received.push_back(job);
        }
        let mut later = VecDeque::new();
        let is_port = |pending: &Pending| matches!(pending.request.intent.subject(), Subject::Port(_));
        let mut is_open = is_port(&group[0]);
        // Of the group, and of those that wait on: nothing overtakes them.
        let mut taken: BTreeSet<Subject> = group.iter().map(|pending| pending.request.key()).collect();
        for job in self.received.drain(..) {
            let job = match job {
                Job::Change(pending) if is_open && is_port(&pending) => {
                    let is_free = taken.insert(pending.request.key());
                    if is_free && Arc::ptr_eq(&pending.world, &group[0].world) && may_join(&pending) {
                        self.count.fetch_sub(1, Ordering::AcqRel);
                        group.extend(pending.start());
                        continue;
                    }
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
        self.received = later;
    }
}

impl Pending {
    /// Answers what comes too late and drops what was withdrawn; anything else has begun.
    pub fn start(self) -> Option<Self> {
        let begun = self.state.compare_exchange(QUEUED, STARTED, Ordering::AcqRel, Ordering::Acquire);
        if begun == Err(WITHDRAWN) {
            return None;
        }
        if Instant::now() >= self.budget.forward {
            self.answer(Ok(not_sent()));
            return None;
        }
        Some(self)
    }

    pub fn answer(self, result: Result<Report, Refusal>) {
        // The caller may be gone; its change is logged where the answer is made.
        if self.reply.send(result).is_err() {
            tracing::debug!(request_id = self.request.caller.request_id, "nobody waits for this answer");
        }
    }
}

/// A group that is under way and may still be joined.
pub(super) struct Joinable<'w> {
    pub waiting: &'w mut Waiting,
    pub group: &'w mut Vec<Pending>,
    /// When the first of the group must have its answer.
    pub deadline: Instant,
}

impl Latecomers for Joinable<'_> {
    /// Not who has less time than the group: it would be less time for all who are in it, and steps
    /// that they could still take would not be taken. It waits for the next group.
    fn take(&mut self) -> Vec<Request> {
        let deadline = self.deadline;
        let known = self.group.len();
        self.waiting.gather(self.group, |pending| pending.budget.deadline >= deadline);
        self.group[known..].iter().map(|pending| pending.request.clone()).collect()
    }
}

/// The parts of a group to try apart, the first of them last: those that the device named each
/// alone after the rest, else two halves.
pub(super) fn split(mut members: Vec<Pending>, apart: &Apart) -> Vec<Vec<Pending>> {
    let error_paths = match apart {
        Apart::No => return Vec::new(),
        Apart::Joined { after } => {
            let late = members.split_off(members.len().min(*after));
            return vec![late, members];
        }
        Apart::Yes { error_paths } => error_paths,
    };
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::device::sample;
    use crate::intent::{Caller, Detach, Intent, PortName};
    use crate::world::tests::world;

    /// A change of a port that came so long ago, and what its caller holds.
    fn pending(
        world: &Arc<World>,
        port: &str,
        ago: Duration,
    ) -> (Pending, oneshot::Receiver<Result<Report, Refusal>>) {
        let port = PortName::new(port, "p").unwrap();
        let request = Request {
            intent: Intent::Detach(Detach { port, default_vlan: None }),
            device: world.inventory.devices["leaf1"].clone(),
            physical_network: None,
            caller: Caller::default(),
            names: &crate::rpc::ports::NAMES,
            level: 0,
        };
        let budget = Budget::new(Instant::now() - ago, world.request_timeout, world.lock_wait);
        let (reply, answer) = oneshot::channel();
        let state = Arc::new(AtomicU8::new(QUEUED));
        (Pending { request, world: world.clone(), budget, state, reply }, answer)
    }

    fn queue(jobs: impl IntoIterator<Item = Pending>) -> Waiting {
        let (sender, incoming) = mpsc::unbounded_channel();
        let count = Arc::new(AtomicUsize::new(0));
        for job in jobs {
            count.fetch_add(1, Ordering::AcqRel);
            assert!(sender.send(Job::Change(Box::new(job))).is_ok());
        }
        Waiting::new(incoming, count)
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_less_time_than_the_group_waits_for_the_next() {
        let world = Arc::new(world(sample("leaf1")));
        let ago = |port, seconds| pending(&world, port, Duration::from_secs(seconds)).0;
        let mut waiting = queue([ago("eth2", 5), ago("eth3", 20), ago("eth3", 0), ago("eth4", 0)]);
        let mut group = vec![ago("eth1", 10)];
        let deadline = group[0].budget.deadline;
        let mut joinable = Joinable { waiting: &mut waiting, group: &mut group, deadline };
        let ports = |requests: Vec<Request>| -> Vec<String> {
            requests.iter().map(|request| request.intent.subject().to_string()).collect()
        };
        assert_eq!(ports(joinable.take()), ["eth2", "eth4"], "nobody overtakes the one that waits");
        assert!(joinable.take().is_empty());
        assert_eq!((group.len(), waiting.count.load(Ordering::Acquire)), (3, 2));
        // Who waits together from the first shares what time there is.
        let Some(Job::Change(first)) = waiting.pop() else { panic!("it waits") };
        let mut group = vec![ago("eth5", 0)];
        waiting.gather(&mut group, |_| true);
        assert_eq!((first.request.intent.subject().to_string(), group.len()), ("eth3".to_owned(), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn two_spellings_of_a_port_wait_for_each_other() {
        for ignores_case in [false, true] {
            let mut device = sample("leaf1");
            let mut profile = device.profile.as_ref().clone();
            profile.port_names_ignore_case = ignores_case;
            device.profile = profile.into();
            let world = Arc::new(world(device));
            let [first, other] = ["eth1", "ETH1"].map(|port| pending(&world, port, Duration::ZERO).0);
            let mut group = vec![first];
            queue([other]).gather(&mut group, |_| true);
            assert_eq!(group.len(), if ignores_case { 1 } else { 2 });
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_withdrawn_or_too_late_joins_nobody() {
        let world = Arc::new(world(sample("leaf1")));
        let first = pending(&world, "eth1", Duration::ZERO).0;
        let (withdrawn, gone) = pending(&world, "eth2", Duration::ZERO);
        withdrawn.state.store(WITHDRAWN, Ordering::Release);
        let state = withdrawn.state.clone();
        let (late, told) = pending(&world, "eth3", world.request_timeout);
        let mut waiting = queue([withdrawn, late]);
        let mut group = vec![first];
        waiting.gather(&mut group, |_| true);
        assert_eq!((group.len(), waiting.count.load(Ordering::Acquire)), (1, 0));
        assert!(gone.await.is_err(), "its caller has its answer");
        assert_eq!(state.load(Ordering::Acquire), WITHDRAWN);
        let told = told.await.unwrap().unwrap();
        assert!(told.outcome.to_string().contains("not sent"), "{told:?}");
    }
}
