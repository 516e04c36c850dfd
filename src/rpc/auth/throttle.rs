//! Slows down who guesses passwords: attempts from one address go one after the other, and after a
//! few that failed each waits longer. Other addresses never wait for it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use super::Origin;

/// Failures that cost nothing: people mistype, and services start with an old password.
const FREE: u32 = 3;
/// What the first one after that costs; each further one costs twice the one before.
const FIRST_DELAY: Duration = Duration::from_millis(200);
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// After this long without a failure an address is like any other.
const FORGET: Duration = Duration::from_secs(900);
/// How many attempts of a slowed address may wait; they hold connections meanwhile.
const MAX_WAITING: usize = 4;
/// Addresses that are remembered.
const MAX_HOSTS: usize = 8192;

/// The attempts of all addresses.
#[derive(Debug, Default)]
pub struct Throttle {
    lanes: Mutex<HashMap<Origin, Arc<Lane>>>,
}

/// The attempts of one address.
#[derive(Debug)]
struct Lane {
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
    record: Mutex<Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    failures: u32,
    /// Of the last failure, or of the lane's beginning.
    since: Instant,
}

/// The right to make one attempt; while it is held no other of this address is made.
#[derive(Debug)]
pub struct Turn {
    lane: Arc<Lane>,
    _permit: OwnedSemaphorePermit,
}

/// The address has enough attempts waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// When it may be worth to try again.
    pub retry_after: Duration,
}

impl Throttle {
    /// Whether nothing has failed from there lately.
    pub fn is_clean(&self, origin: Origin) -> bool {
        let lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        lanes.get(&host(origin)).is_none_or(|lane| lane.failures() == 0)
    }

    /// Waits until the address may make an attempt.
    pub async fn turn(&self, origin: Origin) -> Result<Turn, TooMany> {
        let lane = self.lane(host(origin));
        let waiting = Waiting::new(&lane);
        lane.check_queue()?;
        // Never closed, so an error cannot happen; it would refuse.
        let permit = lane.turn.clone().acquire_owned().await.map_err(|_| lane.too_many())?;
        // Those before may have failed since.
        lane.check_queue()?;
        tokio::time::sleep_until(lane.not_before()).await;
        drop(waiting);
        Ok(Turn { lane, _permit: permit })
    }

    fn lane(&self, host: Origin) -> Arc<Lane> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        if lanes.len() >= MAX_HOSTS && !lanes.contains_key(&host) {
            forget_half(&mut lanes);
        }
        lanes.entry(host).or_insert_with(|| Arc::new(Lane::new())).clone()
    }
}

/// Half at once, the older ones: one at a time, each new address would cost a look at all. Lanes in
/// use stay: two for one address would be twice its share.
fn forget_half(lanes: &mut HashMap<Origin, Arc<Lane>>) {
    let mut ages: Vec<Instant> = lanes.values().map(|lane| lane.record().since).collect();
    let middle = ages.len() / 2;
    let (_, middle, _) = ages.select_nth_unstable(middle);
    let middle = *middle;
    lanes.retain(|_, lane| Arc::strong_count(lane) > 1 || lane.record().since > middle);
}

/// What counts as one address: an IPv4 address, an IPv6 network of 64 bits (a host has all of it),
/// or a user of this host.
fn host(origin: Origin) -> Origin {
    match origin {
        Origin::Ip(address) => Origin::Ip(match address.to_canonical() {
            IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
            v4 => v4,
        }),
        user => user,
    }
}

impl Turn {
    /// The attempt was wrong.
    pub fn failed(self) {
        let failures = self.lane.failures().saturating_add(1);
        *self.lane.record.lock().unwrap_or_else(PoisonError::into_inner) =
            Record { failures, since: Instant::now() };
    }
}

impl Lane {
    fn new() -> Self {
        let record = Record { failures: 0, since: Instant::now() };
        Self { turn: Arc::new(Semaphore::new(1)), waiting: AtomicUsize::new(0), record: Mutex::new(record) }
    }

    fn record(&self) -> Record {
        *self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failures(&self) -> u32 {
        let record = self.record();
        if record.since.elapsed() < FORGET { record.failures } else { 0 }
    }

    fn delay(&self) -> Duration {
        match self.failures().checked_sub(FREE) {
            None => Duration::ZERO,
            Some(steps) => LONGEST_DELAY.min(FIRST_DELAY * 2u32.saturating_pow(steps.min(16))),
        }
    }

    fn not_before(&self) -> Instant {
        self.record().since + self.delay()
    }

    fn check_queue(&self) -> Result<(), TooMany> {
        let is_slowed = !self.delay().is_zero();
        if is_slowed && self.waiting.load(Ordering::Relaxed) > MAX_WAITING {
            return Err(self.too_many());
        }
        Ok(())
    }

    fn too_many(&self) -> TooMany {
        TooMany { retry_after: self.delay() * u32::try_from(MAX_WAITING).unwrap_or(1) }
    }
}

/// Counted as long as it lives, however the wait ends.
struct Waiting(Arc<Lane>);

impl Waiting {
    fn new(lane: &Arc<Lane>) -> Self {
        lane.waiting.fetch_add(1, Ordering::Relaxed);
        Self(lane.clone())
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(address: &str) -> Origin {
        Origin::Ip(address.parse().unwrap())
    }

    async fn seconds<T>(future: impl Future<Output = T>) -> (f64, T) {
        let start = Instant::now();
        let result = future.await;
        (start.elapsed().as_secs_f64(), result)
    }

    #[test]
    fn an_address_is_what_one_host_has() {
        let one = |a, b| host(from(a)) == host(from(b));
        assert!(one("2001:db8:1:2::1", "2001:db8:1:2:ffff::9") && !one("2001:db8:1:2::1", "2001:db8:1:3::1"));
        assert!(one("::ffff:192.0.2.1", "192.0.2.1") && !one("192.0.2.1", "192.0.2.2"));
    }

    #[tokio::test(start_paused = true)]
    async fn delays_grow_and_end_and_are_the_addresss_own() {
        let throttle = Throttle::default();
        let (bad, good) = (from("192.0.2.1"), from("192.0.2.2"));
        let mut waited = Vec::new();
        for _ in 0..12 {
            let (time, turn) = seconds(throttle.turn(bad)).await;
            waited.push((time * 10.0).round() / 10.0);
            turn.unwrap().failed();
        }
        assert_eq!(waited, [0.0, 0.0, 0.0, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0, 10.0, 10.0]);
        assert!(!throttle.is_clean(bad) && throttle.is_clean(good));
        let (time, turn) = seconds(throttle.turn(good)).await;
        assert!(time == 0.0 && turn.is_ok());
        // A right password waits once, and the next not at all.
        let (time, turn) = seconds(throttle.turn(bad)).await;
        assert!(time > 9.0);
        drop(turn);
        assert_eq!(seconds(throttle.turn(bad)).await.0, 0.0);
        tokio::time::advance(FORGET).await;
        assert!(throttle.is_clean(bad));
    }

    #[tokio::test(start_paused = true)]
    async fn few_may_wait() {
        let throttle = Arc::new(Throttle::default());
        let bad = from("2001:db8::1");
        for _ in 0..FREE + 1 {
            throttle.turn(bad).await.unwrap().failed();
        }
        let attempts = (0..20).map(|_| {
            let throttle = throttle.clone();
            tokio::spawn(async move { throttle.turn(bad).await.map(Turn::failed) })
        });
        let ends = futures_util::future::join_all(attempts).await;
        let made = ends.iter().filter(|end| end.as_ref().unwrap().is_ok()).count();
        assert_eq!(made, MAX_WAITING);
        // Whoever gives up waiting makes room.
        let (one, many) = (throttle.turn(bad), throttle.turn(from("2001:db8:9::1")));
        assert!(one.await.is_ok() && many.await.is_ok());
        let given_up = tokio::time::timeout(Duration::from_millis(1), throttle.turn(bad));
        throttle.turn(bad).await.unwrap().failed();
        assert!(given_up.await.is_err());
        assert_eq!(throttle.lane(host(bad)).waiting.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let throttle = Throttle::default();
        let held = throttle.turn(from("192.0.2.1")).await.unwrap();
        for n in 0..2 * MAX_HOSTS as u32 {
            tokio::time::advance(Duration::from_micros(1)).await;
            let address = IpAddr::V4((0x0a00_0000 + n).into());
            throttle.turn(Origin::Ip(address)).await.unwrap().failed();
        }
        let kept = throttle.lanes.lock().unwrap().len();
        assert!(kept <= MAX_HOSTS && kept > MAX_HOSTS / 4, "{kept}");
        held.failed();
        assert!(!throttle.is_clean(from("192.0.2.1")), "its lane was kept while it was in use");
    }
}
