//! Carrying plans out on 1..N devices so that each ends as planned or as before.
//!
//! [`transact`] is the page to read: every step in order, and the one wrapper that undoes.

pub mod journal;
pub mod lease;
pub mod outcome;
mod participant;
mod queue;
mod settle;
pub mod shared;
mod timer;
pub mod turns;
mod undo;
pub mod worker;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::device::Profile;
use crate::intent::Request;
use crate::plan::{Plan, PlanError};
use outcome::{Outcome, Phase, Timings};
pub use participant::{Latecomers, Participant};
use shared::Level;

/// How much time a transaction has, and how much of it is kept for undoing and settling.
#[derive(Clone, Copy, Debug)]
pub struct Budget {
    /// When the caller must have its answer.
    pub deadline: Instant,
    /// When steps forward give up: a third of the budget is left.
    pub forward: Instant,
    /// How long a lock that someone else holds is waited for.
    pub lock_wait: Duration,
}

/// Half of what is left until `deadline`: the longest that one flight may take when others may have
/// to follow it.
fn half_way(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now) / 2
}

impl Budget {
    /// The budget of a request that arrived at `arrived` and has `total`, the queue included.
    pub fn new(arrived: Instant, total: Duration, lock_wait: Duration) -> Self {
        Self { deadline: arrived + total, forward: arrived + total * 2 / 3, lock_wait }
    }

    /// No longer than a lock is waited for.
    fn briefly(self) -> Self {
        Self { forward: self.forward.min(Instant::now() + self.lock_wait), ..self }
    }

    /// What the first of `steps`, at least one, may use up so that each has as much.
    fn shared_by(self, steps: u32) -> Self {
        let now = Instant::now();
        Self { deadline: now + self.deadline.saturating_duration_since(now) / steps, ..self }
    }
}

/// What became of one member of a transaction.
#[derive(Debug)]
pub struct Done {
    pub request: Request,
    pub result: Result<Report, PlanError>,
}

/// What became of a change whose plan could be made, or that failed before.
#[derive(Clone, Debug)]
pub struct Report {
    /// None when it failed before the device was read.
    pub plan: Option<Plan>,
    pub outcome: Outcome,
    pub timings: Timings,
    /// Which transport, and why.
    pub transport: String,
    /// The device's, in the way that was taken; none: it was not reached.
    pub profile: Option<Arc<Profile>>,
    /// What the device cannot promise.
    pub risks: Vec<crate::plan::Risk>,
    /// How many members went out in the same commit.
    pub group: usize,
}

/// Why the parts of a failed transaction may be tried apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Apart {
    /// They may not: it succeeded, or how the device is now is not known, or it was no member's fault.
    No,
    /// The device refused or changed something, or what it said of somebody's port makes no sense, and
    /// it is proven to be as before; the paths it named.
    Yes { error_paths: Vec<String> },
    /// Nothing was changed: reading failed for those who joined the first so many.
    Joined { after: usize },
}

/// Carries out all participants' changes, or none. Participants are sorted by device, so that two
/// transactions never wait for each other.
pub async fn transact(mut parts: Vec<Participant<'_>>, budget: Budget) -> Vec<Participant<'_>> {
    let Some(stop) = parts.first().map(Participant::stop) else { return parts };
    let done = tokio::select! {
        biased;
        done = forward(&mut parts, budget) => done,
        () = stop.reached(Level::AtOnce) => {
            join_all(parts.iter_mut().map(Participant::interrupt)).await;
            Err(Failed)
        }
    };
    if let Err(Failed) = done {
        // What a lost answer hides is found out first: it may have been a success.
        join_all(parts.iter_mut().map(|part| part.settle_forward(budget))).await;
        if !parts.iter().all(Participant::is_applied) {
            let cause = parts.iter().find_map(Participant::failure_for_others);
            // Children first: they are reached through what their parents take back.
            for (others, level) in (1..).zip(levels(&parts)).collect::<Vec<_>>().into_iter().rev() {
                let level = parts.iter_mut().filter(|part| part.level() == level);
                let own = budget.shared_by(others);
                join_all(level.map(|part| part.undo(cause.as_ref(), own))).await;
            }
            return parts;
        }
    }
    parts.iter_mut().for_each(Participant::settled);
    parts
}

/// Some participant failed; which and why is written in it.
struct Failed;

async fn forward(parts: &mut [Participant<'_>], budget: Budget) -> Result<(), Failed> {
    let is_alone = parts.len() == 1;
    let levels = levels(parts);
    for number in levels.iter().copied() {
        // A level is reached through what the one before it has committed, under that one's timer.
        let mut level: Vec<_> = parts.iter_mut().filter(|part| part.level() == number).collect();
        // Who waits for one of several devices keeps the others from their callers.
        let start = if is_alone { budget } else { budget.briefly() };
        for part in &mut level {
            part.open(start).await?;
            part.begin(start).await?;
            part.join(start).await?;
        }
        for part in &mut level {
            part.plan()?;
        }
        all(join_all(level.iter_mut().map(|part| part.stage(budget))).await)?;
        let (done, count) = (watch::Sender::new(0), level.len());
        all(join_all(level.iter_mut().map(|part| part.commit_beside(&done, count, budget))).await)?;
        if levels.last() != Some(&number) {
            // The next level takes its time.
            all(join_all(level.iter_mut().map(|part| part.prolong_if_short(budget))).await)?;
        }
    }
    if parts.iter().any(|part| part.is_due(budget)) {
        // Together, and all: no timer runs out while another is lengthened.
        all(join_all(parts.iter_mut().map(|part| part.prolong_if_short(budget))).await)?;
    }
    for part in parts.iter_mut() {
        part.check_margin(budget)?;
    }
    // From the first confirm on there is no cancel: each is driven to its end, then judged.
    all(join_all(parts.iter_mut().map(|part| part.confirm(budget))).await)?;
    all(join_all(parts.iter_mut().map(|part| part.save(budget))).await)
}

fn levels(parts: &[Participant<'_>]) -> BTreeSet<u8> {
    parts.iter().map(Participant::level).collect()
}

fn all(results: Vec<Result<(), Failed>>) -> Result<(), Failed> {
    results.into_iter().collect()
}

/// Half to one and a half of `base`, so that two waiters do not meet again and again.
pub(crate) fn jitter(base: Duration) -> Duration {
    let mut byte = [128u8];
    // Without randomness the pause is the base: still a pause.
    if getrandom::fill(&mut byte).is_err() {
        return base;
    }
    base / 2 + base * u32::from(byte[0]) / 256
}

impl Phase {
    /// Runs a step and notes how long it took.
    async fn timed<T>(self, timings: &mut Timings, step: impl Future<Output = T>) -> T {
        let started = Instant::now();
        let result = step.await;
        timings.0.push((self, started.elapsed()));
        result
    }
}
