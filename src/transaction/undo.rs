//! Taking a change back, and finding out what a lost answer meant. Written once, for a transaction
//! that fails and for what an earlier process left in the journal.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::device::{Profile, Speaks};
use crate::plan::{Batch, WayBack};
use crate::slice::Slice;
use crate::transaction::journal::{Record, instant_of, unix_time_in};
use crate::transaction::lease::Lease;
use crate::transaction::outcome::{Outcome, Phase, Saved, Timings};
use crate::transaction::participant::{Failure, Participant, Reached};
use crate::transaction::shared::Ended;
use crate::transaction::{Apart, Budget, half_way, jitter};
use crate::transport::{Commit, Fault, ReadSet, Session, Store, Timed};

/// An open question about one device.
pub(super) struct Case<'a> {
    pub way_back: &'a WayBack,
    pub timed: Timed,
    pub persist_id: &'a str,
    /// The change was verified and its confirm was sent: drive it on instead of back.
    pub forward: bool,
    /// Finding the change on the device is an end, not something to undo.
    pub accepts_after: bool,
    /// From when on the device's timer may have run out, if it was not confirmed before.
    pub timer_from: Option<Instant>,
    /// A commit was sent and not refused; without one, running cannot have changed and no lock is
    /// needed to prove it.
    pub committed: bool,
    /// What was read back right after our commit, where our lock kept others out: ours, whatever it is.
    pub seen: Option<&'a Slice>,
    pub startup: Startup,
    /// The device refused to save the change, or was not asked: what it holds in startup is older.
    pub never_saved: bool,
}

/// What has to become of the startup datastore, where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Startup {
    Leave,
    /// It must hold what running ends as, and is not written again where it can be read.
    Check,
    /// What running ends as is copied to it, unless it is there.
    Save,
}

/// The answer to a [`Case`], from reading running under the lock.
#[derive(Debug)]
pub(super) enum Settled {
    Before,
    /// The same, after it was found there as a whole: nothing of it can be under way any more.
    TakenBack,
    After,
    /// After, and startup does not hold it.
    Unsaved,
    /// Somebody else changed these paths, so undoing would destroy their work.
    Neither(String),
    /// It could not be found out or not be brought to an end in the time there was.
    Open(String),
    /// The inverse may not be sent: trying again is of no use.
    Stuck(String),
    /// There is nothing to look at: what the device holds cannot be read.
    Blind,
}

impl Participant<'_> {
    pub(super) fn is_applied(&self) -> bool {
        self.outcome.as_ref().is_some_and(Outcome::is_success)
    }

    /// Where an answer was lost after which the change may stand, looks whether it stands.
    pub(super) async fn settle_forward(&mut self, budget: Budget) {
        let lost = self.failure.as_ref().is_some_and(|failure| failure.lost);
        let may_stand = match self.reached {
            Reached::Committed => self.timed == Timed::None,
            Reached::Confirming | Reached::Saving => true,
            _ => false,
        };
        let can_look = |batch: &Arc<Batch>| lost && may_stand && !batch.way_back.is_blind;
        let Some(batch) = self.batch.clone().filter(can_look) else { return };
        self.lease.drop_session().await;
        let case = Case {
            way_back: &batch.way_back,
            timed: self.timed,
            persist_id: &self.persist_id,
            forward: true,
            accepts_after: true,
            timer_from: self.timer_end,
            committed: true,
            seen: None,
            // A save that was sent and lost is not sent again.
            startup: match self.reached {
                _ if !self.lease.saves() => Startup::Leave,
                Reached::Saving => Startup::Check,
                _ => Startup::Save,
            },
            never_saved: false,
        };
        let started = Instant::now();
        // What is not found out by then is taken back, which takes time too.
        let until = budget.deadline - budget.deadline.saturating_duration_since(started) / 4;
        let settled = settle(&mut self.lease, &case, until).await;
        self.timings.0.push((Phase::Settle, started.elapsed()));
        if let (Settled::After, Some(session)) = (settled, &self.lease.session) {
            let promises = session.promises();
            let saved = match promises.startup {
                false if promises.keeps => Saved::WithCommit,
                false => Saved::No,
                true if self.lease.saves() => Saved::ToStartup,
                true => Saved::No,
            };
            self.outcome = Some(Outcome::Applied { saved, verified: true });
            self.reached = Reached::Finished;
        }
    }

    /// The one way back, from wherever this participant came to. `cause` is what stopped the
    /// transaction, here or on another device.
    pub(super) async fn undo(&mut self, cause: Option<&Failure>, budget: Budget) {
        if matches!(self.outcome, Some(Outcome::Unchanged)) {
            return;
        }
        let failure = self.failure.clone().or_else(|| cause.cloned());
        let (phase, why) = match &failure {
            Some(failure) => (failure.phase, failure.cause.clone()),
            None => (Phase::Undo, "another device of this change failed".to_owned()),
        };
        let batch = match self.batch.clone() {
            Some(batch) if self.reached >= Reached::Staged => batch,
            _ => {
                if self.reached == Reached::Locked {
                    self.unlock(budget).await;
                }
                // This one changed nothing. What the earlier one left is another matter.
                let is_unsettled = self.failure.as_ref().is_some_and(|own| own.phase == Phase::Recover);
                self.outcome = Some(match is_unsettled {
                    true => {
                        Outcome::Unknown { phase, cause: format!("{why}; of this change nothing was sent") }
                    }
                    false => Outcome::as_before(phase, why),
                });
                return;
            }
        };
        let started = Instant::now();
        // The journal says that it was verified: from here on that is no reason to keep it.
        if self.reached >= Reached::Confirming
            && let Err(error) = self.lease.write_journal(|journal| journal.phase(Phase::Undo, None))
        {
            tracing::error!(device = self.lease.device.name, error, "the undo is not in the journal");
        }
        self.let_go(budget).await;
        // A timed commit that was refused started no timer and changed nothing.
        let is_refused = |failure: &Failure| failure.phase == Phase::Commit && !failure.lost;
        let refused = self.timed != Timed::None && self.failure.as_ref().is_some_and(is_refused);
        let case = Case {
            way_back: &batch.way_back,
            timed: self.timed,
            persist_id: &self.persist_id,
            forward: false,
            accepts_after: false,
            timer_from: None,
            committed: self.reached >= Reached::Committed && !refused,
            seen: self.seen.as_ref(),
            startup: match self.reached >= Reached::Saving && self.lease.saves() {
                true => Startup::Save,
                false => Startup::Leave,
            },
            never_saved: self
                .failure
                .as_ref()
                .is_some_and(|failure| failure.phase == Phase::Save && !failure.lost),
        };
        let settled = settle(&mut self.lease, &case, budget.deadline).await;
        self.timings.0.push((Phase::Undo, started.elapsed()));
        // A lock that was got ends what was sent. Without one it may come late, and then stand until its
        // timer ends, if it has one.
        let is_lost =
            self.failure.as_ref().is_some_and(|failure| failure.lost && failure.phase == Phase::Commit);
        let may_come = is_lost && !self.locks;
        self.outcome = Some(match settled {
            Settled::Before if may_come => {
                let cause = format!(
                    "{why}; it was looked at and is as before, and what was sent may still take effect; it is \
                     looked at again on next use"
                );
                Outcome::Unknown { phase, cause }
            }
            Settled::Before | Settled::TakenBack => {
                self.is_as_before();
                Outcome::as_before(phase, why)
            }
            Settled::After | Settled::Unsaved => {
                Outcome::Unknown { phase, cause: format!("{why}; the change is still there") }
            }
            Settled::Neither(paths) => {
                self.lease.clear_journal();
                let cause =
                    format!("{why}; others changed {paths} meanwhile, so nothing was undone: look there");
                Outcome::Unknown { phase, cause }
            }
            Settled::Blind if self.may_have_acted(batch.payload.text()) => {
                self.lease.clear_journal();
                let cause =
                    format!("{why}; what it held before is not known, so nothing was undone: look there");
                Outcome::Unknown { phase, cause }
            }
            // That nothing which changes anything was taken is all the proof there is, and enough.
            Settled::Blind => {
                self.is_as_before();
                Outcome::RolledBack { phase, cause: why, compared: false }
            }
            Settled::Open(open) | Settled::Stuck(open) => {
                let cause =
                    format!("{why}; undoing: {open}; look at the device, it is tried again on next use");
                Outcome::Unknown { phase, cause }
            }
        });
    }

    /// Nothing is left to settle, and those who are not to blame may be tried apart.
    fn is_as_before(&mut self) {
        self.lease.clear_journal();
        if let Some(error_paths) = self.failure.as_ref().and_then(|failure| failure.blamed.clone()) {
            self.apart = Apart::Yes { error_paths };
        }
    }

    /// Whether something of these lines may have changed a device that cannot be looked at.
    fn may_have_acted(&self, lines: &str) -> bool {
        let Some(failure) = self.failure.as_ref().filter(|_| self.reached == Reached::Committed) else {
            return self.reached >= Reached::Committed;
        };
        match (&failure.blamed, &self.lease.device.profile.speaks) {
            _ if failure.lost || failure.phase != Phase::Commit => true,
            // Not sent.
            (None, _) => false,
            (Some(commands), Speaks::Cli(habits)) => match commands.as_slice() {
                [refused] => habits.may_have_acted(lines, refused),
                _ => true,
            },
            _ => true,
        }
    }

    /// Before looking afresh: give back what this session holds, so that nothing of it is in the way.
    async fn let_go(&mut self, budget: Budget) {
        let until = half_way(budget.deadline);
        let Some(session) = &mut self.lease.session else { return };
        let pending = (Reached::Committed..=Reached::Confirming).contains(&self.reached);
        // The device undoes it when the session that committed goes.
        let goes = self.timed == Timed::SessionBound && pending;
        if !goes {
            // Unlocked before anything is cancelled: netconfd cannot undo a commit while running is
            // locked, not even for the lock's owner, and answers ok all the same.
            match session.release(true, until).await {
                Ok(()) => return,
                Err(fault) => {
                    tracing::debug!(device = self.lease.device.name, %fault, "session given up before the undo");
                }
            }
        }
        self.lease.drop_session().await;
    }
}

impl Lease {
    /// Finishes what an earlier transaction left in the journal: cancel what is pending, lock,
    /// read, compare, undo. An error says why nothing new may be started.
    pub(super) async fn recover(
        &mut self,
        timings: &mut Timings,
        budget: Budget,
    ) -> Result<(), (Phase, String)> {
        let phase = Phase::Recover;
        let Some(record) = self.left_behind().map_err(|why| (phase, why))? else { return Ok(()) };
        let timed = self.timer_of(&record).map_err(|why| (phase, why))?;
        let was_verified = matches!(record.phase, Phase::Confirm | Phase::Save);
        let saves = record.phase == Phase::Save || record.phase == Phase::Undo && self.saves();
        let case = Case {
            way_back: &record.way_back,
            timed,
            persist_id: &record.persist_id,
            forward: false,
            accepts_after: was_verified,
            timer_from: record.timer_from.and_then(instant_of),
            committed: record.phase != Phase::Stage,
            seen: None,
            startup: if saves { Startup::Save } else { Startup::Leave },
            never_saved: false,
        };
        let started = Instant::now();
        let ways = self.keep_to(&record.transport).await;
        let settled = settle(self, &case, budget.forward).await;
        let locks = self.session.as_ref().is_some_and(|session| session.promises().locks);
        let may_come = record.phase == Phase::Commit && !locks;
        self.may_take(ways).await;
        timings.0.push((phase, started.elapsed()));
        let (device, requests) = (&record.device, record.request_ids.join(","));
        let (outcome, why) = match settled {
            Settled::Before if may_come => (
                "unknown",
                "an interrupted change is not on the switch; what was sent of it may still take effect".to_owned(),
            ),
            Settled::Before | Settled::TakenBack => {
                ("rolled_back", "an interrupted change was taken back; the switch is as before it".to_owned())
            }
            Settled::After | Settled::Unsaved => {
                ("applied", "an interrupted change had been confirmed; it stays".to_owned())
            }
            Settled::Neither(paths) => (
                "unknown",
                format!("an interrupted change was overtaken by others; nothing was undone: look at {paths}"),
            ),
            Settled::Blind => (
                "unknown",
                "an interrupted change may stand by half, and what the switch holds cannot be read: look there"
                    .to_owned(),
            ),
            Settled::Open(why) | Settled::Stuck(why) => {
                tracing::error!(device, requests, digest = record.digest, left_in = %record.phase,
                    outcome = "unknown", why, "an interrupted change could not be settled; it is tried again on next use");
                return Err((phase, format!("an earlier change is not settled yet: {why}")));
            }
        };
        // Somebody has to look at what is not known.
        match outcome {
            "unknown" => {
                tracing::error!(device, requests, digest = record.digest, left_in = %record.phase, outcome, "{why}");
            }
            _ => {
                tracing::warn!(device, requests, digest = record.digest, left_in = %record.phase, outcome, "{why}")
            }
        }
        (self.shared.settled)(&Ended { record: &record, outcome, why });
        self.clear_journal();
        Ok(())
    }
}

impl Lease {
    /// The device's timer that an earlier transaction may have left. Where the profile does not list its
    /// transport any more, or reads nothing over it, nobody can cancel it: it has to run out, or it would
    /// take later changes back.
    fn timer_of(&self, record: &Record) -> Result<Timed, String> {
        if record.timed == Timed::None || record.transport.is_empty() || self.reads_over(&record.transport) {
            return Ok(record.timed);
        }
        match record.timer_end.saturating_sub(unix_time_in(Duration::ZERO)) {
            0 => Ok(Timed::None),
            left => Err(format!(
                "an earlier change over {} is not settled yet, which its profile does not read by any more: \
                 its timer runs for {left} s at most",
                record.transport
            )),
        }
    }
}

/// Tries until `deadline` to bring a case to its end: reconnects, waits for locks, repairs.
pub(super) async fn settle(lease: &mut Lease, case: &Case<'_>, deadline: Instant) -> Settled {
    if case.way_back.is_blind {
        return Settled::Blind;
    }
    let mut pause = Duration::from_millis(20);
    let mut seen = Sightings::default();
    loop {
        let why = match attempt(lease, case, &mut seen, half_way(deadline)).await {
            Ok(Settled::Open(why)) => why,
            Ok(Settled::Before) if seen.was_there => return Settled::TakenBack,
            Ok(settled) => return settled,
            Err(fault) => {
                // Nothing that this attempt holds may be in the way of the next. Where there is no lock
                // to wait for, a session that is refused may be out of its mode.
                let is_free = match &mut lease.session {
                    Some(session) if session.promises().locks && matches!(fault, Fault::Rejected(_)) => {
                        session.release(true, half_way(deadline)).await.is_ok()
                    }
                    _ => false,
                };
                if !is_free {
                    lease.drop_session().await;
                }
                fault.to_string()
            }
        };
        let wait = jitter(pause);
        if Instant::now() + wait >= deadline {
            lease.drop_session().await;
            return Settled::Open(why);
        }
        tokio::time::sleep(wait).await;
        pause = (pause * 2).min(Duration::from_secs(1));
    }
}

/// What the attempts at one case have shown of the change so far.
#[derive(Default)]
struct Sightings {
    was_there: bool,
    /// It was pending, and the device said that it takes it back.
    was_cancelled: bool,
}

async fn attempt(
    lease: &mut Lease,
    case: &Case<'_>,
    seen: &mut Sightings,
    deadline: Instant,
) -> Result<Settled, Fault> {
    lease.connect(&mut Timings::default(), deadline).await?;
    let (schema, profile) = (lease.world.schema.clone(), lease.device.profile.clone());
    // The profile said otherwise when the change was begun: that it reads as nothing proves nothing.
    if profile.speaks.not_read().is_some() {
        return Ok(Settled::Blind);
    }
    let reads = ReadSet { paths: case.way_back.reads.iter().cloned().collect(), schema };
    let session = lease.session()?;
    let mut is_lapsing = false;
    if case.timed == Timed::Persist {
        let answer = match case.forward {
            true => session.confirm(case.persist_id, false, deadline).await,
            false => session.cancel(case.persist_id, deadline).await,
        };
        // What can be cancelled was there.
        seen.was_cancelled |= answer.is_ok() && !case.forward;
        seen.was_there |= seen.was_cancelled;
        // A lock is not given while something is put back.
        is_lapsing = answer.is_err() && !session.promises().locks && case.may_be_lapsing();
        // Its error tag decides nothing where a lock tells whether one is pending: devices say
        // different things when none is.
        match answer {
            Err(Fault::Rejected(errors)) if !session.may_be_pending(&errors) => {}
            answer => answer?,
        }
    }
    let running = match session.begin(&reads, deadline).await {
        Err(Fault::Rejected(errors)) if !case.committed => {
            let running = session.read(Store::Running, &reads, deadline).await?;
            let is_undone = case.way_back.is_undone(&running);
            return if is_undone { Ok(Settled::Before) } else { Err(Fault::Rejected(errors)) };
        }
        begun => begun?,
    };
    let is_seen = case.seen.is_some_and(|seen| running.same_as(seen));
    let running = case.way_back.but_for_gone(running, &profile);
    let is_after = running.same_as(&case.way_back.after);
    seen.was_there |= is_after;
    let off = case.way_back.off_the_way(&running);
    let mut end = if case.way_back.is_undone(&running) {
        keep(session, case, Settled::Before, &reads, deadline).await?
    } else if is_after && case.accepts_after && is_lapsing {
        Settled::Open("the device's timer has just ended, and it may be putting back what was".to_owned())
    } else if is_after && case.accepts_after && !seen.was_cancelled {
        keep(session, case, Settled::After, &reads, deadline).await?
    } else if is_after || is_seen || off.is_empty() {
        match case.way_back.undo_from(&running, &profile, &reads.schema) {
            Ok(payload) => repair(session, &payload, case, &reads, &profile, deadline).await?,
            Err(error) => Settled::Stuck(error.to_string()),
        }
    } else {
        let off: Vec<String> = off.iter().map(ToString::to_string).collect();
        Settled::Neither(off.join(", "))
    };
    let checks = case.startup != Startup::Leave && session.promises().startup;
    if checks && matches!(end, Settled::Before | Settled::After) {
        // A device that refuses every save still holds in startup what it held.
        let is_readable = session.promises().reads_startup;
        let is_saved = match is_readable {
            true => case.is_at(&end, &session.read(Store::Startup, &reads, deadline).await?),
            false => false,
        };
        match case.startup {
            _ if is_saved => {}
            // What cannot be looked at is made so: what runs by now is known.
            Startup::Check if is_readable => end = Settled::Unsaved,
            _ => match session.save(deadline).await {
                Err(Fault::Rejected(_)) if case.never_saved && !is_readable => {}
                saved => saved?,
            },
        }
    }
    session.release(true, deadline).await?;
    Ok(end)
}

/// How long after its timer's end a device may still be putting back what was.
const PUTTING_BACK: Duration = Duration::from_secs(60);

impl Case<'_> {
    /// Whether a change that is on the device, and not pending, may be about to go.
    fn may_be_lapsing(&self) -> bool {
        self.timer_from.is_some_and(|from| (from..from + PUTTING_BACK).contains(&Instant::now()))
    }

    /// Whether a datastore holds what the case ended as.
    fn is_at(&self, end: &Settled, found: &Slice) -> bool {
        match end {
            Settled::After => found.same_as(&self.way_back.after),
            _ => self.way_back.is_undone(found),
        }
    }
}

/// Makes sure that no timer changes what was found. Where any commit confirms, whether one still
/// runs cannot be asked; a commit of nothing ends it.
async fn keep(
    session: &mut Box<dyn Session>,
    case: &Case<'_>,
    end: Settled,
    reads: &ReadSet,
    deadline: Instant,
) -> Result<Settled, Fault> {
    if case.timed != Timed::AnyCommit || !case.committed {
        return Ok(end);
    }
    let answer = session.commit(&Commit::Plain, reads, deadline).await;
    answer.commit?;
    let is_kept = case.is_at(&end, &answer.running?);
    Ok(if is_kept { end } else { Settled::Open("the device's timer ran out meanwhile".to_owned()) })
}

/// Applies the inverse under the lock that `attempt` holds, and reads back.
async fn repair(
    session: &mut Box<dyn Session>,
    payload: &crate::render::Payload,
    case: &Case<'_>,
    reads: &ReadSet,
    profile: &Profile,
    deadline: Instant,
) -> Result<Settled, Fault> {
    let refused = |fault: Fault| match fault {
        Fault::Rejected(_) => Ok(Settled::Open(format!("the inverse was refused: {fault}"))),
        fault => Err(fault),
    };
    if let Err(fault) = session.stage(payload, &format!("{}-undo", case.persist_id), deadline).await {
        return refused(fault);
    }
    let answer = session.commit(&Commit::Plain, reads, deadline).await;
    if let Err(fault) = answer.commit {
        return refused(fault);
    }
    let running = case.way_back.but_for_gone(answer.running?, profile);
    Ok(if case.way_back.is_undone(&running) {
        Settled::Before
    } else {
        Settled::Open("the inverse was accepted and does not hold".to_owned())
    })
}
