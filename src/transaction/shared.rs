//! What the work on all devices shares: the newest configuration, how many sessions may be open,
//! and whether the service ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};

use crate::transaction::journal::Record;
use crate::transport::{Cause, Fault};
use crate::world::World;

/// Handed to every worker and every lease.
#[derive(Clone)]
pub struct Shared {
    /// Requests keep the world they came with; what protects a port is looked up in this one again.
    pub newest: Arc<ArcSwap<World>>,
    pub sessions: Sessions,
    pub stop: Stop,
    /// Is told how an interrupted change ended.
    pub settled: fn(&Ended<'_>),
}

/// How a change ended that an earlier transaction had left in the journal.
pub struct Ended<'a> {
    pub record: &'a Record,
    /// As [`Outcome::word`](super::outcome::Outcome::word) has it.
    pub outcome: &'static str,
    pub why: String,
}

/// How much of the work goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    #[default]
    Run,
    /// Nothing new begins; what waits is answered "nothing was sent", what is leased is finished.
    Drain,
    /// What is under way is taken back as far as the time goes.
    AtOnce,
}

/// Tells all work how far the end of the service has come; it never goes back.
#[derive(Clone, Debug, Default)]
pub struct Stop(watch::Sender<Level>);

impl Stop {
    pub fn raise(&self, level: Level) {
        self.0.send_if_modified(|now| {
            let rises = level > *now;
            *now = level.max(*now);
            rises
        });
    }

    pub fn level(&self) -> Level {
        *self.0.borrow()
    }

    /// Returns when `level` is reached, or never.
    pub async fn reached(&self, level: Level) {
        let reached = self.0.subscribe().wait_for(|now| *now >= level).await.is_ok();
        if !reached {
            std::future::pending::<()>().await;
        }
    }
}

/// The place that one session takes in the budget. A change keeps it from its first connection to
/// its end: who undoes must not wait behind who begins.
pub type Place = OwnedSemaphorePermit;

/// A limit of the sessions open at one time, over all devices.
#[derive(Clone, Debug)]
pub struct Sessions {
    places: Arc<Semaphore>,
    limit: usize,
    waiting: Arc<AtomicUsize>,
    wanted: Arc<Notify>,
}

impl Sessions {
    pub fn new(limit: usize) -> Self {
        let places = Arc::new(Semaphore::new(limit));
        Self { places, limit, waiting: Arc::default(), wanted: Arc::default() }
    }

    /// A free place, or one that an idle session is closed for.
    pub async fn place(&self, until: Instant) -> Result<Place, Fault> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        let waiting = Waiting(&self.waiting);
        waiting.0.fetch_add(1, Ordering::AcqRel);
        self.wanted.notify_one();
        let place = timeout_at(until, self.places.clone().acquire_owned()).await;
        place.ok().and_then(Result::ok).ok_or_else(|| {
            let why = format!("all {} sessions that the service may have open are in use", self.limit);
            Fault::NotSent(Cause::Closed(why))
        })
    }

    /// Whether somebody waits for a place.
    pub fn are_short(&self) -> bool {
        self.waiting.load(Ordering::Acquire) > 0
    }

    /// Returns when an idle session should make room; each call that waits wakes one.
    pub async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// Sessions open, being opened, or kept for a change that is under way.
    pub fn in_use(&self) -> usize {
        self.limit - self.places.available_permits()
    }

    pub fn limit(&self) -> usize {
        self.limit
    }
}

/// Counts down also when the waiting is given up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn who_waits_for_a_place_wakes_an_idle_session() {
        let sessions = Sessions::new(1);
        let taken = sessions.place(Instant::now()).await.unwrap();
        assert!(sessions.place(Instant::now() + Duration::from_secs(1)).await.is_err());
        assert!(!sessions.are_short(), "it gave up");
        let idle = async {
            sessions.wanted().await;
            drop(taken);
        };
        let (second, ()) = tokio::join!(sessions.place(Instant::now() + Duration::from_secs(1)), idle);
        assert_eq!((sessions.in_use(), second.is_ok()), (1, true));
    }

    #[tokio::test]
    async fn the_end_never_goes_back() {
        let stop = Stop::default();
        stop.raise(Level::AtOnce);
        stop.raise(Level::Drain);
        assert_eq!(stop.level(), Level::AtOnce);
        stop.reached(Level::Drain).await;
    }
}
