//! Who is calling, and whether they are let in: the networks that may connect, passwords, client
//! certificates, and what failure costs. What they may do then is [`crate::access`]'s.

pub mod basic;
pub mod digest;
pub mod file;
pub mod nonce;
pub mod throttle;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use hmac::{Hmac, KeyInit as _, Mac as _};
use ipnet::IpNet;
use sha2::Sha256;
use tokio::sync::Semaphore;

use crate::access::{Pattern, Principal, matches};
use crate::rpc::tls::{ClientCertificate, Tls};
use basic::{Credentials, Htpasswd};
use digest::Htdigest;
use file::UserFile;
use nonce::Nonces;
use throttle::{Throttle, TooMany, Turn};

/// What the operator says about callers, in `[rpc]`.
#[derive(Clone, Debug)]
pub struct Policy {
    /// None: every network.
    pub networks: Option<Vec<IpNet>>,
    pub tls: Option<Tls>,
    /// None: nobody is asked who they are.
    pub methods: Option<Methods>,
}

/// The ways to prove who one is; one that succeeds is enough.
#[derive(Clone, Debug, Default)]
pub struct Methods {
    /// Letters, digits and spaces, so that it needs no escapes.
    pub realm: String,
    pub basic: Option<Arc<UserFile<Htpasswd>>>,
    pub digest: Option<Arc<UserFile<Htdigest>>>,
    /// The names of client certificates that are let in.
    pub certificates: Option<Vec<Pattern>>,
}

/// Lets callers in. What failed before outlives a reload.
pub struct Authenticator {
    policy: ArcSwap<Policy>,
    throttle: Throttle,
    nonces: Nonces,
    key: Key,
    /// Places for password hashing.
    hashing: Arc<Semaphore>,
}

/// The other end of a connection.
#[derive(Debug)]
pub struct Peer {
    /// `127.0.0.1:40312`, or `uid=0` on a unix socket.
    pub name: String,
    pub origin: Origin,
    pub certificate: Option<ClientCertificate>,
    /// The policy that the connection was accepted under.
    pub policy: Arc<Policy>,
}

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Origin {
    Ip(IpAddr),
    /// A user of this host, over a unix socket, by number if the system told it.
    User(Option<u32>),
}

/// Why an attempt to prove who one is was wrong; for the log, never for the caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the Authorization header cannot be read")]
    Malformed,
    #[error("this way to authenticate is not offered")]
    NotOffered,
    #[error("for another realm")]
    WrongRealm,
    #[error("for another URI than the request's")]
    WrongUri,
    #[error("an answer that was sent before")]
    Replayed,
    /// All is right but the nonce: an old one, or one of an earlier process.
    #[error("a nonce that is over")]
    Stale,
    #[error("no such user")]
    UnknownUser,
    #[error("wrong password")]
    WrongPassword,
    #[error("a password longer than 72 bytes, of which bcrypt would see the beginning")]
    TooLong,
    #[error("the check itself failed")]
    Broken,
}

/// Why a caller is not let in.
#[derive(Debug)]
pub enum Denied {
    /// Nothing was shown that could be wrong.
    Missing {
        challenges: Vec<HeaderValue>,
    },
    /// What was shown is wrong.
    Wrong {
        why: Failure,
        user: Option<String>,
        challenges: Vec<HeaderValue>,
    },
    /// A good certificate, of somebody who is not expected.
    Certificate {
        names: Vec<String>,
        why: &'static str,
    },
    TooMany {
        retry_after: Duration,
    },
}

/// A key that nobody else has and that dies with the process.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Policy {
    /// Everybody may connect, and nobody is asked who they are.
    pub fn open() -> Self {
        Self { networks: None, tls: None, methods: None }
    }

    /// Nobody may connect.
    pub fn closed() -> Self {
        Self { networks: Some(Vec::new()), tls: None, methods: Some(Methods::default()) }
    }

    /// Whether a caller from there may connect. Who may use a unix socket is the file system's matter.
    pub fn admits(&self, origin: Origin) -> bool {
        match (&self.networks, origin) {
            (Some(networks), Origin::Ip(address)) => {
                let address = address.to_canonical();
                networks.iter().any(|network| network.contains(&address))
            }
            _ => true,
        }
    }
}

impl Authenticator {
    /// An error: the system has no random numbers.
    pub fn new(policy: Policy) -> Result<Self, getrandom::Error> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let key = Key::new()?;
        Ok(Self {
            policy: ArcSwap::from_pointee(policy),
            throttle: Throttle::default(),
            nonces: Nonces::new(key.clone(), Instant::now()),
            key,
            // Changing switches needs a processor too.
            hashing: Arc::new(Semaphore::new(cores.div_ceil(2))),
        })
    }

    /// From now on another policy is in force, also on connections that are open.
    pub fn reload(&self, policy: Policy) {
        self.policy.store(Arc::new(policy));
    }

    /// The policy in force.
    pub fn policy(&self) -> Arc<Policy> {
        self.policy.load_full()
    }

    /// Who sends the request with this head.
    pub async fn authenticate(&self, head: &Parts, peer: &Peer) -> Result<Principal, Denied> {
        let policy = self.policy();
        let Some(methods) = &policy.methods else { return Ok(Principal::Local) };
        let mut given = head.headers.get_all(header::AUTHORIZATION).iter();
        match (given.next(), given.next()) {
            // Whoever shows a password as well is known by it.
            (Some(given), None) if methods.takes_passwords() => {
                self.by_password(given, head, methods, peer.origin).await
            }
            (Some(_), Some(_)) if methods.takes_passwords() => {
                self.fail(Failure::Malformed, None, methods, peer.origin).await
            }
            _ => methods.by_certificate(peer, &policy, &self.nonces),
        }
    }

    async fn by_password(
        &self,
        given: &HeaderValue,
        head: &Parts,
        methods: &Methods,
        origin: Origin,
    ) -> Result<Principal, Denied> {
        let Ok(given) = given.to_str() else {
            return self.fail(Failure::Malformed, None, methods, origin).await;
        };
        let (scheme, rest) = given.split_once(' ').unwrap_or((given, ""));
        match (scheme.to_ascii_lowercase().as_str(), &methods.basic, &methods.digest) {
            ("basic", Some(file), _) => self.by_basic(rest, &file.users(), methods, origin).await,
            ("digest", _, Some(file)) => {
                let turn = self.throttle.turn(origin).await?;
                let result = file.users().check(given, head, &methods.realm, &self.nonces, Instant::now());
                result.map(Principal::User).map_err(|(why, user)| self.failed(turn, why, user, methods))
            }
            _ => self.fail(Failure::NotOffered, None, methods, origin).await,
        }
    }

    async fn by_basic(
        &self,
        encoded: &str,
        users: &Arc<Htpasswd>,
        methods: &Methods,
        origin: Origin,
    ) -> Result<Principal, Denied> {
        let given = match Credentials::read(encoded) {
            Ok(given) => given,
            Err(why) => return self.fail(why, None, methods, origin).await,
        };
        let user = given.user.clone();
        // Not for an address that guesses: what is remembered is no quicker way to try.
        if self.throttle.is_clean(origin) && users.remembers(&given, &self.key) {
            return Ok(Principal::User(user));
        }
        let turn = self.throttle.turn(origin).await?;
        // The one before in the queue may have been the same.
        if users.remembers(&given, &self.key) {
            return Ok(Principal::User(user));
        }
        match users.clone().check(given, &self.key, &self.hashing).await {
            Ok(()) => Ok(Principal::User(user)),
            Err(why) => Err(self.failed(turn, why, Some(user), methods)),
        }
    }

    async fn fail(
        &self,
        why: Failure,
        user: Option<String>,
        methods: &Methods,
        origin: Origin,
    ) -> Result<Principal, Denied> {
        let turn = self.throttle.turn(origin).await?;
        Err(self.failed(turn, why, user, methods))
    }

    fn failed(&self, turn: Turn, why: Failure, user: Option<String>, methods: &Methods) -> Denied {
        // What broke here, and an old nonce with the right password, is no guess.
        if !matches!(why, Failure::Broken | Failure::Stale) {
            turn.failed();
        }
        let challenges = methods.challenges(&self.nonces, why == Failure::Stale);
        Denied::Wrong { why, user, challenges }
    }
}

impl Methods {
    fn takes_passwords(&self) -> bool {
        self.basic.is_some() || self.digest.is_some()
    }

    fn by_certificate(
        &self,
        peer: &Peer,
        policy: &Arc<Policy>,
        nonces: &Nonces,
    ) -> Result<Principal, Denied> {
        let (Some(expected), Some(certificate)) = (&self.certificates, &peer.certificate) else {
            return Err(Denied::Missing { challenges: self.challenges(nonces, false) });
        };
        let denied = |why| Err(Denied::Certificate { names: certificate.names.clone(), why });
        if certificate.has_ended() {
            return denied("the client certificate has expired");
        }
        let is_trusted = Arc::ptr_eq(policy, &peer.policy)
            || policy.tls.as_ref().is_some_and(|tls| tls.still_trusts(certificate));
        if !is_trusted {
            return denied("the client certificate is not trusted any more");
        }
        if !certificate.names.iter().any(|name| matches(expected, name)) {
            return denied("the client certificate is not for a name that is allowed");
        }
        Ok(Principal::Certificate(certificate.names.clone()))
    }

    /// What a 401 offers, the strongest first.
    fn challenges(&self, nonces: &Nonces, stale: bool) -> Vec<HeaderValue> {
        let mut challenges = Vec::new();
        if let Some(file) = &self.digest {
            match nonces.issue(Instant::now()) {
                Ok(nonce) => challenges.extend(file.users().challenges(&self.realm, &nonce, stale)),
                Err(error) => tracing::error!("no nonce can be made: {error}"),
            }
        }
        challenges.extend(self.basic.as_ref().map(|_| format!("Basic realm=\"{}\"", self.realm)));
        challenges.iter().filter_map(|challenge| HeaderValue::from_str(challenge).ok()).collect()
    }
}

impl From<TooMany> for Denied {
    fn from(TooMany { retry_after }: TooMany) -> Self {
        Self::TooMany { retry_after }
    }
}

impl Key {
    /// A new one.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut octets = [0; 64];
        getrandom::fill(&mut octets)?;
        Ok(Self(Hmac::new(&octets.into())))
    }

    /// A keyed hash over the parts, told apart.
    pub fn hash(&self, parts: &[&[u8]]) -> [u8; 32] {
        let mut hmac = self.0.clone();
        for part in parts {
            hmac.update(&part.len().to_be_bytes());
            hmac.update(part);
        }
        hmac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}
