//! The device's own timer, which takes a commit back that nobody confirms: how long it runs, and that it
//! does not run out while other devices of the change take their time.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::transaction::outcome::Phase;
use crate::transaction::participant::Participant;
use crate::transaction::{Budget, Failed};
use crate::transport::Timed;

impl Participant<'_> {
    /// What outlives the rest of the budget by one unit of the device's clock.
    pub(super) fn timeout(&self, budget: Budget) -> Duration {
        if self.timed == Timed::None {
            return Duration::ZERO;
        }
        self.in_units(budget.deadline.saturating_duration_since(Instant::now())) + self.unit()
    }

    /// The commit's, which the profile may want shorter: if we die, the switch is sooner as before.
    pub(super) fn first_timeout(&self, budget: Budget) -> Duration {
        let longest = self.timeout(budget);
        match self.lease.device.profile.commit_timer() {
            Some(first) => self.in_units(first).min(longest),
            None => longest,
        }
    }

    fn unit(&self) -> Duration {
        self.lease.device.profile.timer_granularity().max(Duration::from_secs(1))
    }

    fn in_units(&self, time: Duration) -> Duration {
        let units = time.as_secs_f64() / self.unit().as_secs_f64();
        self.unit() * units.ceil() as u32
    }

    /// Commits, and does not let the timer run out while others of the change commit, or lengthen theirs.
    /// `done` counts those of `all` that have.
    pub(super) async fn commit_beside(
        &mut self,
        done: &watch::Sender<usize>,
        all: usize,
        budget: Budget,
    ) -> Result<(), Failed> {
        let committed = self.commit(budget).await;
        done.send_modify(|done| *done += 1);
        committed?;
        let mut others = done.subscribe();
        loop {
            let due = self.due(budget);
            tokio::select! {
                biased;
                // The sender is here, so it is never an error.
                () = async { drop(others.wait_for(|done| *done >= all).await) } => return Ok(()),
                () = sleep_until(due.unwrap_or(budget.deadline)), if due.is_some() => {}
            }
            done.send_modify(|done| *done -= 1);
            let prolonged = self.prolong(budget).await;
            done.send_modify(|done| *done += 1);
            prolonged?;
        }
    }

    /// When a shorter timer has to be lengthened: half of it is over. None: it need not be, or it has been
    /// and outlives the budget.
    fn due(&self, budget: Budget) -> Option<Instant> {
        let first = self.lease.device.profile.commit_timer()?;
        let end = self.timer_end.filter(|end| self.batch.is_some() && *end < budget.deadline)?;
        Some(end - first / 2)
    }

    /// Whether half of a timer that was made short is over.
    pub(super) fn is_due(&self, budget: Budget) -> bool {
        self.due(budget).is_some_and(|due| due <= Instant::now())
    }

    /// Lengthens a timer that was made short to what is left of the budget.
    pub(super) async fn prolong_if_short(&mut self, budget: Budget) -> Result<(), Failed> {
        if self.due(budget).is_some() { self.prolong(budget).await } else { Ok(()) }
    }

    async fn prolong(&mut self, budget: Budget) -> Result<(), Failed> {
        let (timeout, id) = (self.timeout(budget), self.persist_id.clone());
        let started = Instant::now();
        let answer = self.session()?.prolong(&id, timeout, budget.forward).await;
        self.timings.0.push((Phase::Confirm, started.elapsed()));
        match answer {
            Ok(()) => {
                self.timer_end = Some(started + timeout);
                Ok(())
            }
            Err(fault) => self.fault(Phase::Confirm, fault),
        }
    }

    /// Whether the timer leaves room for the confirm.
    pub(super) fn check_margin(&mut self, budget: Budget) -> Result<(), Failed> {
        let too_late = self.timer_end.is_some_and(|end| Instant::now() + Duration::from_secs(1) >= end);
        if self.batch.is_some() && (too_late || Instant::now() >= budget.forward) {
            return self.fail(Phase::Confirm, "too little time is left on the device's timer".to_owned());
        }
        Ok(())
    }
}
