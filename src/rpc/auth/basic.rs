//! HTTP Basic (RFC 7617) against an Apache htpasswd file of bcrypt entries.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use secrecy::{ExposeSecret as _, SecretString};
use tokio::sync::Semaphore;

use super::file::{Wrong, entries};
use super::{Failure, Key};

/// bcrypt looks at no more octets than these: longer passwords that begin alike would all be right.
const MAX_PASSWORD: usize = 72;
/// A check at cost 15 takes seconds; above, whoever may ask for checks would own the processor.
const COSTS: std::ops::RangeInclusive<u32> = 4..=15;
/// How long a password that was right is not computed again.
const REMEMBERED: Duration = Duration::from_secs(60);
/// How many of them.
const MAX_REMEMBERED: usize = 1024;

/// The users of one version of a file.
#[derive(Default)]
pub struct Htpasswd {
    users: BTreeMap<String, Hash>,
    /// What was right, as a keyed hash of user and password, and since when. It ends with this
    /// version of the file.
    remembered: Mutex<HashMap<[u8; 32], Instant>>,
}

/// One bcrypt entry.
#[derive(Clone)]
struct Hash(Arc<str>);

/// A name and a password as they came.
pub struct Credentials {
    pub user: String,
    password: SecretString,
}

impl Htpasswd {
    /// Reads `user:$2y$...` lines.
    pub fn parse(text: &str) -> Result<Self, Wrong> {
        let mut users = BTreeMap::new();
        for (index, line) in entries(text) {
            let wrong = |why: &str| Wrong::at(index, why);
            let (user, hash) =
                line.split_once(':').ok_or_else(|| wrong("expected a user, a colon and a hash"))?;
            if user.is_empty() || user.chars().any(char::is_control) {
                return Err(wrong("a user's name is empty or has control characters"));
            }
            let hash = Hash::new(hash).map_err(|why| wrong(&why))?;
            if users.insert(user.to_owned(), hash).is_some() {
                return Err(wrong("this user was there before"));
            }
        }
        if users.is_empty() {
            return Err(Wrong { line: None, why: "has no users".to_owned() });
        }
        Ok(Self { users, remembered: Mutex::default() })
    }

    /// Whether they were found right not long ago.
    pub fn remembers(&self, given: &Credentials, key: &Key) -> bool {
        let remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        remembered.get(&given.fingerprint(key)).is_some_and(|since| since.elapsed() < REMEMBERED)
    }

    /// Computes whether they are right, on a thread for such work, when `places` has one.
    pub async fn check(
        self: Arc<Self>,
        given: Credentials,
        key: &Key,
        places: &Arc<Semaphore>,
    ) -> Result<(), Failure> {
        let fingerprint = given.fingerprint(key);
        let place = places.clone().acquire_owned().await.map_err(|_| Failure::Broken)?;
        let key = key.clone();
        let work = tokio::task::spawn_blocking(move || {
            let result = self.compare(&given, &key, verify);
            // Held to the end, also when the caller has hung up meanwhile.
            drop(place);
            result.map(|()| self.remember(fingerprint))
        });
        work.await.unwrap_or(Err(Failure::Broken))
    }

    /// One verification whoever is named: for a user who is not there, the hash of one who is takes
    /// the time. Which one depends on the name alone, so that also costs that differ tell nothing.
    fn compare(
        &self,
        given: &Credentials,
        key: &Key,
        verify: impl FnOnce(&SecretString, &Hash) -> bool,
    ) -> Result<(), Failure> {
        let known = self.users.get(&given.user);
        let hash = known.or_else(|| {
            let [first, second, ..] = key.hash(&[b"stand-in", given.user.as_bytes()]);
            let at = usize::from(u16::from_be_bytes([first, second])) % self.users.len().max(1);
            self.users.values().nth(at)
        });
        let right = hash.is_some_and(|hash| verify(&given.password, hash));
        match (known, right) {
            (None, _) => Err(Failure::UnknownUser),
            (Some(_), false) => Err(Failure::WrongPassword),
            (Some(_), true) => Ok(()),
        }
    }

    fn remember(&self, fingerprint: [u8; 32]) {
        let mut remembered = self.remembered.lock().unwrap_or_else(PoisonError::into_inner);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.retain(|_, since| since.elapsed() < REMEMBERED);
        }
        if remembered.len() < MAX_REMEMBERED {
            remembered.insert(fingerprint, Instant::now());
        }
    }
}

fn verify(password: &SecretString, hash: &Hash) -> bool {
    bcrypt::verify(password.expose_secret(), &hash.0).unwrap_or(false)
}

impl Hash {
    fn new(text: &str) -> Result<Self, String> {
        let is_bcrypt = ["$2a$", "$2b$", "$2y$"].iter().any(|kind| text.starts_with(kind));
        if !is_bcrypt {
            return Err("not a bcrypt hash ($2y$...); make one with htpasswd -B".to_owned());
        }
        let parts: bcrypt::HashParts = text.parse().map_err(|_| "not a complete bcrypt hash".to_owned())?;
        let (cost, least, most) = (parts.get_cost(), COSTS.start(), COSTS.end());
        if !COSTS.contains(&cost) {
            return Err(format!("a bcrypt cost of {cost}; {least} to {most} are allowed"));
        }
        Ok(Self(text.into()))
    }
}

impl Credentials {
    /// Reads what follows `Basic `. What RFC 7617 forbids, and what bcrypt would not look at, is
    /// refused: an attempt, and a wrong one.
    pub fn read(encoded: &str) -> Result<Self, Failure> {
        let octets = BASE64_STANDARD.decode(encoded.trim()).map_err(|_| Failure::Malformed)?;
        let text = String::from_utf8(octets).map_err(|_| Failure::Malformed)?;
        let (user, password) = text.split_once(':').ok_or(Failure::Malformed)?;
        if text.chars().any(char::is_control) {
            return Err(Failure::Malformed);
        }
        if password.len() > MAX_PASSWORD {
            return Err(Failure::TooLong);
        }
        Ok(Self { user: user.to_owned(), password: password.to_owned().into() })
    }

    fn fingerprint(&self, key: &Key) -> [u8; 32] {
        key.hash(&[b"remembered", self.user.as_bytes(), self.password.expose_secret().as_bytes()])
    }
}

impl fmt::Debug for Htpasswd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htpasswd({} users)", self.users.len())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    // The password is "secret".
    fn line(user: &str, cost: u32) -> String {
        format!("{user}:{}\n", bcrypt::hash("secret", cost).unwrap())
    }

    fn given(user: &str, password: &str) -> Result<Credentials, Failure> {
        Credentials::read(&BASE64_STANDARD.encode(format!("{user}:{password}")))
    }

    fn cost(hash: &Hash) -> u32 {
        hash.0.parse::<bcrypt::HashParts>().unwrap().get_cost()
    }

    #[test]
    fn only_bcrypt_entries_are_users() {
        assert_eq!(Htpasswd::parse(&format!("# a comment\n\n{}", line("ironic", 4))).unwrap().users.len(), 1);
        let hash = line("x", 4);
        let hash = hash.strip_prefix("x:").unwrap().trim_end();
        for (text, line, why) in [
            ("ironic:{SHA}5en6G6MezRroT3XKqkdPOmY/BfQ=", 1, "not a bcrypt hash"),
            ("\nironic:$apr1$x$y", 2, "not a bcrypt hash"),
            ("ironic:secret", 1, "not a bcrypt hash"),
            ("ironic:$2y$05$abc", 1, "not a complete bcrypt hash"),
            ("ironic", 1, "a colon"),
            (&format!(":{hash}"), 1, "name is empty"),
            (&format!("a:{hash}\na:{hash}"), 2, "was there before"),
            (&format!("a:{}", hash.replacen("$04$", "$20$", 1)), 1, "a bcrypt cost of 20"),
        ] {
            let wrong = Htpasswd::parse(text).unwrap_err();
            assert_eq!(wrong.line, Some(line), "{text}");
            assert!(wrong.why.contains(why) && !wrong.why.contains("secret"), "{text}: {wrong}");
        }
        assert_eq!(Htpasswd::parse("# nobody\n").unwrap_err().line, None);
    }

    #[test]
    fn an_unknown_user_costs_what_a_wrong_password_costs() {
        let users = Htpasswd::parse(&(line("a", 5) + &line("b", 5) + &line("c", 5))).unwrap();
        let key = Key::new().unwrap();
        let attempt = |user: &str, password: &str| {
            let costs = Cell::new(Vec::new());
            let result = users.compare(&given(user, password).unwrap(), &key, |password, hash| {
                costs.set(costs.take().into_iter().chain([cost(hash)]).collect());
                verify(password, hash)
            });
            (result, costs.take())
        };
        assert_eq!(attempt("b", "secret"), (Ok(()), vec![5]));
        assert_eq!(attempt("b", "Secret"), (Err(Failure::WrongPassword), vec![5]));
        // Also with the password of whoever takes its place.
        for user in ["nobody", "B", ""] {
            assert_eq!(attempt(user, "secret"), (Err(Failure::UnknownUser), vec![5]));
        }
    }

    #[test]
    fn an_unknown_user_always_costs_the_same() {
        let users = Htpasswd::parse(&(line("a", 4) + &line("b", 5))).unwrap();
        let key = Key::new().unwrap();
        let of = |user: &str| {
            let found = Cell::new(0);
            let verify = |_: &SecretString, hash: &Hash| {
                found.set(cost(hash));
                false
            };
            users.compare(&given(user, "x").unwrap(), &key, verify).unwrap_err();
            found.get()
        };
        let names: Vec<String> = (0..64).map(|n| format!("nobody{n}")).collect();
        let costs: Vec<u32> = names.iter().map(|name| of(name)).collect();
        assert!(costs.contains(&4) && costs.contains(&5));
        assert_eq!(names.iter().map(|name| of(name)).collect::<Vec<_>>(), costs);
    }

    #[test]
    fn what_bcrypt_does_not_look_at_is_refused() {
        let read = |user: &str, password: &str| given(user, password).map(drop);
        assert_eq!(read("ironic", &"p".repeat(72)), Ok(()));
        assert_eq!(read("ironic", &"p".repeat(73)), Err(Failure::TooLong));
        assert_eq!(read("ironic", &"p".repeat(100)), Err(Failure::TooLong));
        assert_eq!(read("ironic", "a:b"), Ok(()));
        for (user, password) in [("ironic", "sec\0ret"), ("iro\nnic", "secret"), ("ironic", "\u{7f}")] {
            assert_eq!(read(user, password), Err(Failure::Malformed));
        }
        for encoded in ["", "!!!", "aXJvbmlj", "/////w=="] {
            assert_eq!(Credentials::read(encoded).map(drop), Err(Failure::Malformed), "{encoded}");
        }
    }

    #[tokio::test]
    async fn what_was_right_is_remembered_and_nothing_else() {
        let users = Arc::new(Htpasswd::parse(&line("ironic", 4)).unwrap());
        let (key, places) = (Key::new().unwrap(), Arc::new(Semaphore::new(1)));
        let check =
            |user: &str, password: &str| users.clone().check(given(user, password).unwrap(), &key, &places);
        let remembers = |user: &str, password: &str| users.remembers(&given(user, password).unwrap(), &key);
        assert_eq!(check("ironic", "wrong").await, Err(Failure::WrongPassword));
        assert!(!remembers("ironic", "wrong") && !remembers("ironic", "secret"));
        assert_eq!(check("ironic", "secret").await, Ok(()));
        assert!(remembers("ironic", "secret"));
        assert!(!remembers("ironic", "wrong") && !remembers("ironics", "ecret"));
        // Neither password nor hash is shown.
        assert_eq!(format!("{users:?}"), "Htpasswd(1 users)");
    }
}
