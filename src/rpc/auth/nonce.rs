//! Nonces that need no memory until they are used well: each carries when it was made and a proof
//! that we made it. How often each was used is kept, so that nothing is taken twice.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::{Failure, Key};

/// How long one may be used.
pub const LIFETIME: Duration = Duration::from_secs(300);
/// Nonces whose use is remembered. Only callers with a right password add to them.
const MAX_NONCES: usize = 4096;
/// How far behind the highest count a caller's parallel requests may arrive.
const WINDOW: u32 = u128::BITS;

/// Makes nonces and knows their use.
#[derive(Debug)]
pub struct Nonces {
    key: Key,
    began: Instant,
    used: Mutex<Used>,
}

/// A nonce of ours, by its age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nonce {
    /// Milliseconds since the beginning.
    made: u64,
    random: u64,
}

#[derive(Debug, Default)]
struct Used {
    counts: BTreeMap<Nonce, Counts>,
    /// Nonces up to this age may have been forgotten, so they are over.
    forgotten: Option<Nonce>,
}

/// The counts that were seen: the highest, and a bit for each below it.
#[derive(Clone, Copy, Debug)]
struct Counts {
    highest: u32,
    seen: u128,
}

impl Nonces {
    pub fn new(key: Key, now: Instant) -> Self {
        Self { key, began: now, used: Mutex::default() }
    }

    /// A new one. An error: the system has no random numbers.
    pub fn issue(&self, now: Instant) -> Result<String, getrandom::Error> {
        Ok(self.write(Nonce { made: self.age(now), random: getrandom::u64()? }))
    }

    /// One of ours that may still be used.
    pub fn read(&self, text: &str, now: Instant) -> Option<Nonce> {
        let octets: [u8; 32] = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (made, rest) = octets.split_first_chunk()?;
        let (random, _) = rest.split_first_chunk()?;
        let nonce = Nonce { made: u64::from_be_bytes(*made), random: u64::from_be_bytes(*random) };
        let is_ours = bool::from(self.write(nonce).as_bytes().ct_eq(text.as_bytes()));
        (is_ours && Duration::from_millis(self.age(now).checked_sub(nonce.made)?) < LIFETIME).then_some(nonce)
    }

    /// Takes the nonce with this count, which must not have been taken before.
    pub fn take(&self, nonce: Nonce, count: u32, now: Instant) -> Result<(), Failure> {
        let mut used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(counts) = used.counts.get_mut(&nonce) {
            return counts.take(count);
        }
        if used.forgotten.is_some_and(|forgotten| nonce <= forgotten) {
            return Err(Failure::Stale);
        }
        let lifetime = u64::try_from(LIFETIME.as_millis()).unwrap_or(u64::MAX);
        let oldest = Nonce { made: self.age(now).saturating_sub(lifetime), random: 0 };
        used.counts = used.counts.split_off(&oldest);
        if used.counts.len() >= MAX_NONCES {
            let oldest = used.counts.pop_first().map(|(nonce, _)| nonce);
            // The oldest may have come after younger ones that are forgotten already.
            used.forgotten = used.forgotten.max(oldest);
        }
        used.counts.insert(nonce, Counts { highest: count, seen: 1 });
        Ok(())
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }

    fn write(&self, nonce: Nonce) -> String {
        let (made, random) = (nonce.made.to_be_bytes(), nonce.random.to_be_bytes());
        let proof = self.key.hash(&[b"nonce", &made, &random]);
        BASE64_URL_SAFE_NO_PAD.encode([&made[..], &random, &proof[..16]].concat())
    }
}

impl Counts {
    fn take(&mut self, count: u32) -> Result<(), Failure> {
        if count > self.highest {
            let ahead = count - self.highest;
            self.seen = self.seen.checked_shl(ahead).unwrap_or(0) | 1;
            self.highest = count;
            return Ok(());
        }
        let behind = self.highest - count;
        if behind >= WINDOW {
            return Err(Failure::Stale);
        }
        if self.seen >> behind & 1 == 1 {
            return Err(Failure::Replayed);
        }
        self.seen |= 1 << behind;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nonces() -> (Nonces, Instant) {
        let now = Instant::now();
        (Nonces::new(Key::new().unwrap(), now), now)
    }

    #[test]
    fn only_ours_are_taken_and_not_for_ever() {
        let (nonces, now) = nonces();
        let text = nonces.issue(now).unwrap();
        assert_ne!(nonces.issue(now).unwrap(), text);
        assert!(nonces.read(&text, now).is_some());
        assert!(nonces.read(&text, now + LIFETIME - Duration::from_millis(1)).is_some());
        assert!(nonces.read(&text, now + LIFETIME).is_none());
        for at in 0..text.len() {
            let other = if &text[at..=at] == "A" { "B" } else { "A" };
            assert!(nonces.read(&(text[..at].to_owned() + other + &text[at + 1..]), now).is_none(), "{at}");
        }
        let (others, _) = self::nonces();
        for foreign in [others.issue(now).unwrap().as_str(), "", "x", "é", &"A".repeat(10_000)] {
            assert!(nonces.read(foreign, now).is_none());
        }
    }

    #[test]
    fn no_count_is_taken_twice() {
        let (nonces, now) = nonces();
        let nonce = nonces.read(&nonces.issue(now).unwrap(), now).unwrap();
        let take = |count| nonces.take(nonce, count, now);
        for count in [1, 2, 4, 3, 100, 99, 1000] {
            assert_eq!(take(count), Ok(()), "{count}");
        }
        assert_eq!(take(1000), Err(Failure::Replayed));
        assert_eq!(take(1000 - WINDOW), Err(Failure::Stale), "too old to know");
        assert_eq!(take(1001 - WINDOW), Ok(()));
        assert_eq!(take(1001 - WINDOW), Err(Failure::Replayed));
        assert_eq!(take(u32::MAX), Ok(()));
        assert_eq!(take(u32::MAX), Err(Failure::Replayed));
        assert_eq!(take(1), Err(Failure::Stale));
    }

    #[test]
    fn what_is_forgotten_is_over() {
        let (nonces, now) = nonces();
        let at = |ms| now + Duration::from_millis(ms);
        let issue = |ms| nonces.read(&nonces.issue(at(ms)).unwrap(), at(ms)).unwrap();
        let first = issue(0);
        nonces.take(first, 1, now).unwrap();
        let unused = issue(0);
        for ms in 1..=MAX_NONCES as u64 {
            nonces.take(issue(ms), 1, at(ms)).unwrap();
        }
        let end = at(MAX_NONCES as u64);
        assert_eq!(nonces.used.lock().unwrap().counts.len(), MAX_NONCES);
        assert_eq!(nonces.take(first, 1, end), Err(Failure::Stale), "it is not new");
        // Which of two of one age was forgotten does not matter: neither is taken twice.
        let taken = nonces.take(unused, 1, end);
        assert!(taken == Err(Failure::Stale) || nonces.take(unused, 1, end) == Err(Failure::Replayed));
        nonces.take(issue(400_000), 1, at(400_000)).unwrap();
        assert_eq!(nonces.used.lock().unwrap().counts.len(), 1, "those whose time is over go");
    }

    #[test]
    fn what_was_forgotten_stays_forgotten() {
        let (nonces, began) = nonces();
        let nonce = |made: u64| Nonce { made, random: 7 };
        let now = began + Duration::from_secs(100);
        let most = u64::try_from(MAX_NONCES).unwrap();
        for made in 1000..1000 + most {
            nonces.take(nonce(made), 1, now).unwrap();
        }
        // The oldest is forgotten for one that is older still, and that one for the next.
        nonces.take(nonce(1), 1, now).unwrap();
        nonces.take(nonce(9000), 1, now).unwrap();
        assert_eq!(nonces.take(nonce(1000), 1, now), Err(Failure::Stale));
    }
}
