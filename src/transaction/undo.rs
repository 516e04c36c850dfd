//! Who asks what became of a change, and what is told of the answer: a transaction that lost one or that
//! fails, and the next use of a device whose journal an earlier process left.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::device::Speaks;
use crate::plan::Batch;
use crate::transaction::journal::{Record, instant_of, unix_time_in};
use crate::transaction::lease::Lease;
use crate::transaction::outcome::{Outcome, Phase, Saved, Timings};
use crate::transaction::participant::{Failure, Participant, Reached};
use crate::transaction::settle::{Case, Settled, Startup, settle};
use crate::transaction::shared::Ended;
use crate::transaction::{Apart, Budget, half_way};
use crate::transport::Timed;

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
                _ => Startup::SaveChange,
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
        let startup = match record.phase {
            Phase::Save => Startup::Save,
            Phase::Undo if self.saves() => Startup::Save,
            Phase::Confirm if self.saves() => Startup::SaveChange,
            _ => Startup::Leave,
        };
        let case = Case {
            way_back: &record.way_back,
            timed,
            persist_id: &record.persist_id,
            forward: false,
            accepts_after: was_verified,
            timer_from: record.timer_from.and_then(instant_of),
            committed: record.phase != Phase::Stage,
            seen: None,
            startup,
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
