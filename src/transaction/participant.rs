//! One device's part in a transaction: its steps forward. Each step either succeeds or writes down
//! why not and how far it came; taking back is in [`super::undo`].

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::intent::Request;
use crate::path::Path;
use crate::plan::{self, Batch, Plan, PlanError, risk};
use crate::schema::Schema;
use crate::slice::Slice;
use crate::transaction::journal::{Record, unix_time_in};
use crate::transaction::lease::Lease;
use crate::transaction::outcome::{Outcome, Phase, Saved, Timings};
use crate::transaction::shared::Stop;
use crate::transaction::{Apart, Budget, Done, Failed, Report, half_way, jitter};
use crate::transport::{Cause, Commit, Fault, Promises, Session, Store, Timed};

/// Changes that came while their device was locked and read.
pub trait Latecomers: Send {
    /// Those that may go out with what is under way. They are in it from here on.
    fn take(&mut self) -> Vec<Request>;
}

/// How often those who came meanwhile are let in: no flood of them keeps the first from its commit.
const ROUNDS: usize = 2;

/// One device and the changes asked of it.
pub struct Participant<'l> {
    pub(super) lease: Lease,
    members: Vec<(Request, Option<Result<Plan, PlanError>>)>,
    is_one: bool,
    latecomers: Option<&'l mut dyn Latecomers>,
    pub(super) batch: Option<Arc<Batch>>,
    pub(super) persist_id: String,
    pub(super) reached: Reached,
    pub(super) failure: Option<Failure>,
    pub(super) outcome: Option<Outcome>,
    pub(super) apart: Apart,
    pub(super) timings: Timings,
    pub(super) seen: Option<Slice>,
    pub(super) timed: Timed,
    /// A lock keeps others out, and what was sent by a session that is gone.
    pub(super) locks: bool,
    /// What was read under the lock, and which paths.
    before: Slice,
    consulted: BTreeSet<Path>,
    /// When the device takes its commit back, unless it is confirmed.
    pub(super) timer_end: Option<Instant>,
}

/// How far a participant came; decides what has to be taken back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reached {
    Nothing,
    Locked,
    /// The candidate may hold our edit.
    Staged,
    /// Running may hold our change; with a timer it is pending.
    Committed,
    /// The confirm was sent.
    Confirming,
    Confirmed,
    /// The copy to startup was sent.
    Saving,
    Finished,
}

impl Reached {
    /// The step that was under way.
    fn phase(self) -> Phase {
        match self {
            Reached::Nothing => Phase::Queue,
            Reached::Locked => Phase::Lock,
            Reached::Staged => Phase::Stage,
            Reached::Committed => Phase::Commit,
            Reached::Confirming => Phase::Confirm,
            Reached::Confirmed | Reached::Saving => Phase::Save,
            Reached::Finished => Phase::Unlock,
        }
    }
}

/// Why a participant did not get further.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    pub phase: Phase,
    pub cause: String,
    pub lost: bool,
    /// Paths that a refusal named; `None` when no member is to blame.
    pub blamed: Option<Vec<String>>,
}

impl<'l> Participant<'l> {
    /// `members` ask for changes to the lease's device, of disjoint ports.
    pub fn new(lease: Lease, members: Vec<Request>) -> Self {
        Self {
            lease,
            members: members.into_iter().map(|request| (request, None)).collect(),
            is_one: false,
            latecomers: None,
            batch: None,
            persist_id: String::new(),
            reached: Reached::Nothing,
            failure: None,
            outcome: None,
            apart: Apart::No,
            timings: Timings::default(),
            seen: None,
            timed: Timed::None,
            locks: false,
            before: Slice::default(),
            consulted: BTreeSet::new(),
            timer_end: None,
        }
    }

    /// The members are one change: if one cannot be planned, none is carried out.
    pub fn all_or_nothing(mut self) -> Self {
        self.is_one = true;
        self
    }

    /// Lets those in who come before the plan is made.
    pub fn joined_by(mut self, latecomers: &'l mut dyn Latecomers) -> Self {
        self.latecomers = Some(latecomers);
        self
    }

    pub(super) fn stop(&self) -> Stop {
        self.lease.shared.stop.clone()
    }

    /// The service ends at once. The flight under way is given up, and its answer is as good as lost.
    pub(super) async fn interrupt(&mut self) {
        if self.outcome.is_some() {
            return;
        }
        self.lease.drop_session().await;
        if self.failure.is_none() {
            let phase = self.reached.phase();
            let cause = "the service was told to stop at once".to_owned();
            self.failure = Some(Failure { phase, cause, lost: true, blamed: None });
        }
    }

    /// The lowest level of its members: what others are reached through must not wait for them.
    pub(super) fn level(&self) -> u8 {
        self.members.iter().map(|(request, _)| request.level).min().unwrap_or_default()
    }

    /// Why this one failed, as the others that fail with it tell it.
    pub(super) fn failure_for_others(&self) -> Option<Failure> {
        let failure = self.failure.clone()?;
        Some(Failure { cause: format!("{}: {}", self.lease.device.name, failure.cause), ..failure })
    }

    /// What became of each member, whether they may be tried apart, and the lease.
    pub fn finish(self) -> (Vec<Done>, Apart, Lease) {
        let transport = self.lease.transport();
        let profile = self.lease.device.profile.clone();
        let session = self.lease.session.as_ref();
        let risks = session.map(|session| risk::of_device(session.promises(), &profile)).unwrap_or_default();
        let group =
            self.members.iter().filter(|(_, plan)| matches!(plan, Some(Ok(p)) if !p.is_empty())).count();
        let outcome = self.outcome;
        let timings = self.timings;
        let done = self.members.into_iter().map(|(request, plan)| {
            let report = |plan: Option<Plan>| {
                let unchanged = plan.as_ref().is_some_and(Plan::is_empty) && outcome.is_none();
                let outcome = if unchanged { Some(Outcome::Unchanged) } else { outcome.clone() };
                Report {
                    // A transaction that ended without a word would be a defect; it is not success.
                    outcome: outcome.unwrap_or(Outcome::Unknown {
                        phase: Phase::Queue,
                        cause: "the transaction ended without an outcome".to_owned(),
                    }),
                    plan,
                    timings: timings.clone(),
                    transport: transport.clone(),
                    profile: Some(profile.clone()),
                    risks: risks.clone(),
                    group,
                }
            };
            let result = match plan {
                None => Ok(report(None)),
                Some(Ok(plan)) if plan.is_empty() => {
                    Ok(Report { outcome: Outcome::Unchanged, ..report(Some(plan)) })
                }
                Some(Ok(plan)) => Ok(report(Some(plan))),
                Some(Err(error)) => Err(error),
            };
            Done { request, result }
        });
        (done.collect(), self.apart, self.lease)
    }

    /// The lock file, what an earlier process left in it, and a session.
    pub(super) async fn open(&mut self, budget: Budget) -> Result<(), Failed> {
        let until = budget.forward.min(Instant::now() + budget.lock_wait);
        let locked = Phase::Queue.timed(&mut self.timings, self.lease.lock_file(until)).await;
        if let Err(error) = locked {
            return self.fail(Phase::Queue, error.to_string());
        }
        if let Err((phase, cause)) = self.lease.recover(&mut self.timings, budget).await {
            return self.fail(phase, cause);
        }
        let opened = self.lease.connect(&mut self.timings, budget.forward).await;
        opened.or_else(|fault| self.fault(Phase::Connect, fault))
    }

    /// [lock, read]: waits a bounded time for a lock that someone else holds.
    pub(super) async fn begin(&mut self, budget: Budget) -> Result<(), Failed> {
        self.consulted = self.members.iter().flat_map(|(request, _)| plan::consulted(request)).collect();
        let reads = self.lease.read_set(self.consulted.clone());
        let started = Instant::now();
        let until = budget.forward.min(started + budget.lock_wait);
        let result = loop {
            let session = match self.lease.session() {
                Ok(session) => session,
                Err(fault) => break Err(fault),
            };
            match session.begin(&reads, budget.forward).await {
                Ok(before) => break Ok(before),
                // A lock that somebody else holds comes free.
                Err(Fault::Rejected(errors)) if session.promises().locks => {
                    let pause = jitter(Duration::from_millis(100));
                    if Instant::now() + pause >= until {
                        break Err(Fault::Rejected(errors));
                    }
                    tokio::time::sleep(pause).await;
                }
                // Nothing was asked of it yet that changes anything.
                Err(fault) => match self.lease.reopen(fault, &mut self.timings, budget.forward).await {
                    Ok(()) => {}
                    Err(fault) => break Err(fault),
                },
            }
        };
        self.timings.0.push((Phase::Lock, started.elapsed()));
        match result {
            Ok(before) => {
                self.lease.keep_to_this_way();
                let profile = &self.lease.device.profile;
                self.members.iter_mut().for_each(|(request, _)| request.adopt(profile));
                self.before = before;
                self.reached = Reached::Locked;
                Ok(())
            }
            Err(fault) => {
                // It answered, and what it said of one port may be all that is wrong.
                if matches!(fault, Fault::Lost(Cause::Malformed(_))) {
                    self.apart = Apart::Yes { error_paths: Vec::new() };
                }
                self.fault(Phase::Lock, fault)
            }
        }
    }

    /// Takes in who came meanwhile, and reads what was not read for the others. Where the device locks
    /// running, that is as if all had been read at once. Where its lock is the candidate's, others can
    /// change running in other ways before this reading as well as after it: the comparison after the
    /// commit tells.
    pub(super) async fn join(&mut self, budget: Budget) -> Result<(), Failed> {
        for _ in 0..ROUNDS {
            let after = self.members.len();
            let mut late = self.latecomers.as_mut().map(|latecomers| latecomers.take()).unwrap_or_default();
            if late.is_empty() {
                break;
            }
            late.iter_mut().for_each(|request| request.adopt(&self.lease.device.profile));
            let mut reads: BTreeSet<Path> = late.iter().flat_map(plan::consulted).collect();
            reads.retain(|path| self.consulted.insert(path.clone()));
            self.members.extend(late.into_iter().map(|request| (request, None)));
            let reads = self.lease.read_set(reads);
            let started = Instant::now();
            // What stays of the time is for those who were there before.
            let read = self.session()?.read(Store::Running, &reads, half_way(budget.forward)).await;
            self.timings.0.push((Phase::Lock, started.elapsed()));
            match read {
                Ok(running) => self.before.absorb(&running),
                Err(fault) => {
                    self.apart = Apart::Joined { after };
                    return self.fault(Phase::Lock, fault);
                }
            }
        }
        Ok(())
    }

    /// Plans every member against what was read under the lock. Of members that have nothing to do
    /// with each other, one that cannot be planned is answered and the others go on.
    pub(super) fn plan(&mut self) -> Result<(), Failed> {
        let started = Instant::now();
        let schema = self.lease.world.schema.clone();
        let newest = self.lease.shared.newest.load_full();
        let is_newest = Arc::ptr_eq(&newest, &self.lease.world);
        for (request, plan) in &mut self.members {
            // Waiting for the lock may have taken long enough for a protection to be added.
            let allowed = if is_newest { Ok(()) } else { newest.still_allows(request) };
            let planned = allowed.map_err(PlanError::from);
            *plan = Some(planned.and_then(|()| plan::plan(request, &self.before, &schema)));
        }
        if let Err(error) = self.batch_up(&schema) {
            return self.fail(Phase::Plan, error.to_string());
        }
        self.timings.0.push((Phase::Plan, started.elapsed()));
        let refused = self.members.iter().find_map(|(_, plan)| plan.as_ref()?.as_ref().err());
        match refused {
            Some(error) if self.is_one => {
                let cause = error.to_string();
                self.fail(Phase::Plan, cause)
            }
            _ => Ok(()),
        }
    }

    /// All plans as one change. One that cannot be rendered or reaches outside its request fails
    /// alone, not with those it happens to go out with.
    fn batch_up(&mut self, schema: &Schema) -> Result<(), PlanError> {
        let device = self.lease.device.clone();
        let batch = |plans: &[&Plan]| match plans {
            [] => Ok(None),
            plans => Batch::new(plans, &device, schema).map(|batch| Some(Arc::new(batch))),
        };
        let all = |this: &Self| batch(&this.plans().filter(|plan| !plan.is_empty()).collect::<Vec<_>>());
        self.batch = match all(self) {
            Err(_) if self.members.len() > 1 => {
                for (_, plan) in &mut self.members {
                    if let Some(Ok(alone)) = plan
                        && let Err(error) = batch(&[alone])
                    {
                        *plan = Some(Err(error));
                    }
                }
                all(self)?
            }
            batch => batch?,
        };
        Ok(())
    }

    fn plans(&self) -> impl Iterator<Item = &Plan> {
        self.members.iter().filter_map(|(_, plan)| plan.as_ref()?.as_ref().ok())
    }

    /// Journal, then `[edit]`.
    pub(super) async fn stage(&mut self, budget: Budget) -> Result<(), Failed> {
        let Some(batch) = self.batch.clone() else {
            self.unchanged(budget).await;
            return Ok(());
        };
        if Instant::now() >= budget.forward {
            return self.fail(Phase::Stage, "too little time is left to undo; not sent".to_owned());
        }
        let promises = self.promises()?;
        match new_id() {
            Ok(id) => self.persist_id = id,
            Err(error) => return self.fail(Phase::Journal, format!("no randomness for an id: {error}")),
        }
        (self.timed, self.locks) = (promises.timed, promises.locks);
        let timeout = self.timeout(budget);
        // Where nothing can be staged the commit is the first that is sent: one sync says both.
        let journaled = if promises.candidate { Phase::Stage } else { Phase::Commit };
        let record = Record {
            device: self.lease.device.name.clone(),
            request_ids: self.members.iter().map(|(r, _)| r.caller.request_id.clone()).collect(),
            phase: journaled,
            digest: batch.digest.clone(),
            transport: self.lease.device.profile.speaks.transport().to_owned(),
            timed: promises.timed,
            persist_id: self.persist_id.clone(),
            timer_end: unix_time_in(budget.deadline - Instant::now() + timeout),
            timer_from: None,
            before_hash: batch.way_back.before.digest(),
            after_hash: batch.way_back.after.digest(),
            inverse: batch.inverse.text().to_owned(),
            way_back: batch.way_back.clone(),
        };
        let started = Instant::now();
        if let Err(error) = self.lease.write_journal(|journal| journal.begin(&record)) {
            return self.fail(Phase::Journal, error);
        }
        self.timings.0.push((Phase::Journal, started.elapsed()));
        self.reached = Reached::Staged;
        let started = Instant::now();
        let id = self.persist_id.clone();
        let staged = self.session()?.stage(&batch.payload, &id, budget.forward).await;
        self.timings.0.push((Phase::Stage, started.elapsed()));
        staged.or_else(|fault| self.fault(Phase::Stage, fault))
    }

    /// [timed commit, read back], and the comparison with the plan.
    pub(super) async fn commit(&mut self, budget: Budget) -> Result<(), Failed> {
        let Some(batch) = self.batch.clone() else { return Ok(()) };
        if Instant::now() >= budget.forward {
            return self.fail(Phase::Commit, "too little time is left to undo; not sent".to_owned());
        }
        let how = match self.timed {
            Timed::None => Commit::Plain,
            _ => {
                let timeout = self.first_timeout(budget);
                self.timer_end = Some(Instant::now() + timeout);
                Commit::Timed { timeout, persist_id: self.persist_id.clone() }
            }
        };
        let promises = self.promises()?;
        match promises.candidate {
            true => self.enter(Phase::Commit, Reached::Committed)?,
            false => self.reached = Reached::Committed,
        }
        let reads = self.lease.read_set(batch.way_back.reads.clone());
        let started = Instant::now();
        // Where nobody is kept out, what is read back may be another's.
        let ours = |running: Slice| Some(running).filter(|_| promises.locks);
        let until = budget.forward.min(started + budget.lock_wait);
        let answer = loop {
            let answer = self.session()?.commit(&how, &reads, budget.forward).await;
            let pause = jitter(Duration::from_millis(100));
            // Someone holds running alone: the commit was refused, and the edit is still staged.
            let is_held = matches!(&answer.commit, Err(Fault::Rejected(errors)) if Fault::is_in_use(errors));
            let may_ask_again = is_held && promises.candidate && answer.running.is_ok();
            if !may_ask_again || Instant::now() + pause >= until {
                break answer;
            }
            tokio::time::sleep(pause).await;
        };
        self.timings.0.push((Phase::Commit, started.elapsed()));
        if let Err(fault) = answer.commit {
            self.seen = answer.running.ok().and_then(ours);
            return self.fault(Phase::Commit, fault);
        }
        match answer.running {
            _ if batch.way_back.is_blind => Ok(()),
            Err(fault) => self.fault(Phase::Verify, fault),
            Ok(running) if running.same_as(&batch.way_back.after) => Ok(()),
            Ok(running) => {
                let differ = running.differences(&batch.way_back.after);
                self.seen = ours(running);
                let paths: Vec<String> = differ.iter().map(ToString::to_string).collect();
                let mut cause =
                    format!("the device accepted the change and does not hold it: {}", paths.join(", "));
                // A refusal in words that the profile does not know is among them.
                let said = self.lease.session.as_mut().map(|session| session.said()).unwrap_or_default();
                if !said.is_empty() {
                    cause += &format!("; it said: {said}");
                }
                let failure = Failure { phase: Phase::Verify, cause, lost: false, blamed: Some(paths) };
                self.failure = Some(failure);
                Err(Failed)
            }
        }
    }

    /// `[confirm]`, with the unlock behind it when nothing has to be saved.
    pub(super) async fn confirm(&mut self, budget: Budget) -> Result<(), Failed> {
        if self.batch.is_none() {
            return Ok(());
        }
        let promises = self.promises()?;
        let saves = self.saves(&promises);
        if self.timed == Timed::None {
            self.reached = Reached::Confirmed;
        } else {
            self.enter(Phase::Confirm, Reached::Confirming)?;
            let id = self.persist_id.clone();
            let started = Instant::now();
            let confirmed = self.session()?.confirm(&id, !saves, half_way(budget.deadline)).await;
            self.timings.0.push((Phase::Confirm, started.elapsed()));
            confirmed.or_else(|fault| self.fault(Phase::Confirm, fault))?;
            self.timer_end = None;
            self.reached = Reached::Confirmed;
        }
        if !saves {
            let saved = if promises.startup || !promises.keeps { Saved::No } else { Saved::WithCommit };
            if self.timed == Timed::None {
                self.unlock(budget).await;
            }
            self.succeed(saved);
        }
        Ok(())
    }

    /// [save, unlock].
    pub(super) async fn save(&mut self, budget: Budget) -> Result<(), Failed> {
        if self.reached != Reached::Confirmed {
            return Ok(());
        }
        self.enter(Phase::Save, Reached::Saving)?;
        let started = Instant::now();
        let saved = self.session()?.save(half_way(budget.deadline)).await;
        self.timings.0.push((Phase::Save, started.elapsed()));
        saved.or_else(|fault| self.fault(Phase::Save, fault))?;
        self.unlock(budget).await;
        self.succeed(Saved::ToStartup);
        Ok(())
    }

    fn saves(&self, promises: &Promises) -> bool {
        promises.startup && self.lease.saves()
    }

    async fn unchanged(&mut self, budget: Budget) {
        self.unlock(budget).await;
        self.outcome = Some(Outcome::Unchanged);
        self.reached = Reached::Finished;
    }

    /// Nothing hangs on the answer: a lock that did not come off goes with the session.
    pub(super) async fn unlock(&mut self, budget: Budget) {
        let started = Instant::now();
        if let Some(session) = &mut self.lease.session
            && let Err(fault) = session.release(false, half_way(budget.deadline)).await
        {
            tracing::warn!(device = self.lease.device.name, %fault, "locks not released; closing the session");
            self.lease.drop_session().await;
        }
        self.timings.0.push((Phase::Unlock, started.elapsed()));
    }

    fn succeed(&mut self, saved: Saved) {
        let verified = self.batch.as_ref().is_none_or(|batch| !batch.way_back.is_blind);
        self.outcome = Some(Outcome::Applied { saved, verified });
        self.reached = Reached::Finished;
    }

    /// The whole transaction is applied: nothing of it will be taken back any more.
    pub(super) fn settled(&mut self) {
        let left = self.batch.as_ref().and_then(|_| self.lease.clear_journal());
        // Only of what is confirmed or saved does the journal say that it was verified.
        let is_saved = matches!(self.outcome, Some(Outcome::Applied { saved: Saved::ToStartup, .. }));
        if let Some(error) = left.filter(|_| self.timed == Timed::None && !is_saved) {
            let cause =
                format!("it stands, and may be taken back on next use while its journal is there: {error}");
            self.outcome = Some(Outcome::Unknown { phase: Phase::Journal, cause });
        }
    }

    fn enter(&mut self, phase: Phase, reached: Reached) -> Result<(), Failed> {
        let left = self.timer_end.map(|end| end.saturating_duration_since(Instant::now()));
        let timer_from = left.map(unix_time_in);
        if let Err(error) = self.lease.write_journal(|journal| journal.phase(phase, timer_from)) {
            return self.fail(phase, error);
        }
        self.reached = reached;
        Ok(())
    }

    pub(super) fn session(&mut self) -> Result<&mut Box<dyn Session>, Failed> {
        match &mut self.lease.session {
            Some(session) => Ok(session),
            None => Err(Failed),
        }
    }

    fn promises(&mut self) -> Result<Promises, Failed> {
        self.session().map(|session| session.promises().clone())
    }

    pub(super) fn fault(&mut self, phase: Phase, fault: Fault) -> Result<(), Failed> {
        let blamed = match &fault {
            Fault::Rejected(errors) if phase == Phase::Stage || phase == Phase::Commit => {
                Some(errors.iter().filter_map(|error| error.path.clone()).collect())
            }
            _ => None,
        };
        let lost = matches!(fault, Fault::Lost(_));
        self.failure = Some(Failure { phase, cause: fault.to_string(), lost, blamed });
        Err(Failed)
    }

    pub(super) fn fail(&mut self, phase: Phase, cause: String) -> Result<(), Failed> {
        self.failure = Some(Failure { phase, cause, lost: false, blamed: None });
        Err(Failed)
    }
}

/// 128 random bits: nobody else's confirm can name it by accident.
fn new_id() -> Result<String, getrandom::Error> {
    let mut bytes = [0u8; 16];
    getrandom::fill(&mut bytes)?;
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok(format!("mercury-{hex}"))
}
