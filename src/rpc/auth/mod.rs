//! Who is calling, and whether they are let in: the networks that may connect, passwords, client
//! certificates, and what failure costs. What they may do then is [`crate::access`]'s.

pub mod basic;
pub mod file;
pub mod throttle;

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

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
use file::UserFile;
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
    /// The names of client certificates that are let in.
    pub certificates: Option<Vec<Pattern>>,
}

/// Lets callers in. What failed before outlives a reload.
pub struct Authenticator {
    policy: ArcSwap<Policy>,
    throttle: Throttle,
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
        Ok(Self {
            policy: ArcSwap::from_pointee(policy),
            throttle: Throttle::default(),
            key: Key::new()?,
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
                self.by_password(given, methods, peer.origin).await
            }
            (Some(_), Some(_)) if methods.takes_passwords() => Err(methods.wrong(Failure::Malformed, None)),
            _ => methods.by_certificate(peer, &policy),
        }
    }

    async fn by_password(
        &self,
        given: &HeaderValue,
        methods: &Methods,
        origin: Origin,
    ) -> Result<Principal, Denied> {
        let given = given.to_str().ok().and_then(|text| text.split_once(' '));
        match (given, &methods.basic) {
            (Some((scheme, encoded)), Some(file)) if scheme.eq_ignore_ascii_case("basic") => {
                self.by_basic(encoded, &file.users(), methods, origin).await
            }
            (Some(_), _) => self.fail(Failure::NotOffered, None, methods, origin).await,
            (None, _) => self.fail(Failure::Malformed, None, methods, origin).await,
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
            Err(why) => Err(methods.failed(turn, why, Some(user))),
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
        Err(methods.failed(turn, why, user))
    }
}

impl Methods {
    fn takes_passwords(&self) -> bool {
        self.basic.is_some()
    }

    fn by_certificate(&self, peer: &Peer, policy: &Arc<Policy>) -> Result<Principal, Denied> {
        let (Some(expected), Some(certificate)) = (&self.certificates, &peer.certificate) else {
            return Err(Denied::Missing { challenges: self.challenges() });
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

    fn failed(&self, turn: Turn, why: Failure, user: Option<String>) -> Denied {
        // What broke here is not the caller's fault.
        if why != Failure::Broken {
            turn.failed();
        }
        self.wrong(why, user)
    }

    fn wrong(&self, why: Failure, user: Option<String>) -> Denied {
        Denied::Wrong { why, user, challenges: self.challenges() }
    }

    /// What a 401 offers, the strongest first.
    fn challenges(&self) -> Vec<HeaderValue> {
        let basic = self.basic.as_ref().map(|_| format!("Basic realm=\"{}\"", self.realm));
        basic.iter().filter_map(|challenge| HeaderValue::from_str(challenge).ok()).collect()
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
