//! A client for the service: JSON-RPC 2.0 over HTTP, HTTPS or a unix socket.
//!
//! ```no_run
//! # async fn example() -> Result<(), mercury::client::ClientError> {
//! use mercury::client::{Client, Options};
//! use serde_json::json;
//!
//! let client = Client::new("unix:/run/mercury/mercury.sock", Options::default())?;
//! let params = json!({ "switch_id": "leaf1", "port_name": "eth1", "native_vlan": 100 });
//! match client.call("reset_port", params).await {
//!     Ok(result) => println!("{result}"),
//!     Err(error) if error.is_outcome_unknown() => println!("look at the port: {error}"),
//!     Err(error) => println!("nothing was changed, or it was taken back: {error}"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A call is sent once. It is sent again only where the first one provably was not carried out: after a
//! connection that was closed before a byte left, a challenge, or a redirect. No proxy is used.

mod auth;
mod connection;
mod envelope;
mod error;
pub mod password;
mod place;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper::{Request, StatusCode};
use serde_json::Value;
use tokio::time::Instant;

use auth::Authenticator;
use connection::{Answer, Connections};
use place::{Origin, Place};

pub use auth::Auth;
pub use error::{ClientError, RpcFailure};

/// How to call.
#[derive(Clone, Debug)]
pub struct Options {
    pub auth: Auth,
    /// Certificates (PEM) of the CAs to believe, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// For mutual TLS; may come together with `auth`.
    pub identity: Option<Identity>,
    /// For one call, from connecting to the last octet of the answer.
    pub timeout: Duration,
    /// Octets of an answer's body.
    pub max_answer: usize,
}

/// A client certificate with its chain, and its key (PEM; the key readable by its owner alone).
#[derive(Clone, Debug)]
pub struct Identity {
    pub certificate_file: PathBuf,
    pub key_file: PathBuf,
}

impl Default for Options {
    /// No authentication, the system's CAs, 120 s as Ironic's own client, 16 MiB.
    fn default() -> Self {
        Self {
            auth: Auth::None,
            ca_file: None,
            identity: None,
            timeout: Duration::from_secs(120),
            max_answer: 16 << 20,
        }
    }
}

/// Calls one service. Calls may run at the same time; each then has a connection of its own.
pub struct Client {
    place: Place,
    authenticator: Authenticator,
    has_identity: bool,
    connections: Connections,
    timeout: Duration,
    max_answer: usize,
}

/// Redirects of one call that are followed.
const MAX_REDIRECTS: usize = 5;

/// Of one call; only a server that never stops calling its nonces stale gets there.
const MAX_CHALLENGES: usize = 3;

impl Client {
    /// Checks `url` (`http://HOST:PORT`, `https://HOST:PORT` or `unix:/PATH`) and reads the files that
    /// the options name. Nothing is contacted. The error is [`ClientError::Setup`].
    pub fn new(url: &str, options: Options) -> Result<Self, ClientError> {
        let place = Place::parse(url).map_err(|why| ClientError::Setup { what: "url".to_owned(), why })?;
        let is_tls = matches!(place.origin, Origin::Https { .. });
        if !is_tls && (options.ca_file.is_some() || options.identity.is_some()) {
            let why = "certificates are for https:// only".to_owned();
            return Err(ClientError::Setup { what: "url".to_owned(), why });
        }
        let tls = if is_tls { Some(tls::config(&options)?) } else { None };
        Ok(Self {
            place,
            authenticator: Authenticator::new(options.auth)?,
            has_identity: options.identity.is_some(),
            connections: Connections::new(tls),
            timeout: options.timeout,
            max_answer: options.max_answer,
        })
    }

    /// Calls a method with named parameters and gives its result. `params.context` is made if there is
    /// none, and its `request_id`, under which the service logs the call. Who drops the future gives up
    /// the answer, not what was sent.
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, ClientError> {
        let deadline = Instant::now() + self.timeout;
        let envelope = envelope::close(method, params)?;
        let body = Bytes::from(envelope.body);
        let mut place = self.place.clone();
        let (mut redirects, mut challenges) = (0, 0);
        loop {
            let request = self.request(&place, body.clone())?;
            let answer = self.connections.exchange(&place, request, deadline, self.max_answer).await?;
            match answer.status {
                StatusCode::OK => return envelope::open(&answer.body, &envelope.id, &place.to_string()),
                StatusCode::UNAUTHORIZED
                    if challenges < MAX_CHALLENGES
                        && self.authenticator.challenged(&answer.headers, challenges > 0) =>
                {
                    challenges += 1;
                }
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
                    if redirects < MAX_REDIRECTS =>
                {
                    place = self.follow(&place, &answer)?;
                    redirects += 1;
                }
                StatusCode::UNAUTHORIZED => {
                    return Err(match self.authenticator.unasked(&answer.headers) {
                        Some((used, offered)) => {
                            ClientError::Unasked { to: place.to_string(), used, offered }
                        }
                        None => refused(&place, &answer),
                    });
                }
                _ => return Err(refused(&place, &answer)),
            }
        }
    }

    fn request(&self, place: &Place, body: Bytes) -> Result<Request<Full<Bytes>>, ClientError> {
        let mut request = Request::post(&place.target)
            .header(HOST, place.origin.host_header())
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "application/json")
            .header(USER_AGENT, concat!("mercury/", env!("CARGO_PKG_VERSION")))
            .body(Full::new(body))
            .map_err(|error| ClientError::Setup { what: "url".to_owned(), why: error.to_string() })?;
        if let Some(value) = self.authenticator.header(&place.target)? {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        Ok(request)
    }

    /// Where a redirect leads. Another host is followed only by a caller that has no credentials, and
    /// never out of TLS.
    fn follow(&self, from: &Place, answer: &Answer) -> Result<Place, ClientError> {
        let stop = |why: &str| {
            let message = format!("a redirect that is not followed: {why}");
            ClientError::Status { to: from.to_string(), status: answer.status.as_u16(), message }
        };
        let location = answer.headers.get(LOCATION).and_then(|value| value.to_str().ok());
        let to = from.join(location.ok_or_else(|| stop("it does not say where to"))?);
        let to = to.map_err(|why| stop(&why))?;
        if to.origin == from.origin {
            return Ok(to);
        }
        if self.has_identity || !self.authenticator.is_none() {
            return Err(stop(&format!("credentials are not sent to another host, {to}")));
        }
        match (&from.origin, &to.origin) {
            (Origin::Http { .. }, Origin::Http { .. }) | (Origin::Https { .. }, Origin::Https { .. }) => {
                Ok(to)
            }
            _ => Err(stop(&format!("it leads to another kind of address, {to}"))),
        }
    }
}

/// An HTTP status in place of an answer: 2xx is none of JSON-RPC's either, the others are refusals.
fn refused(place: &Place, answer: &Answer) -> ClientError {
    let (to, status) = (place.to_string(), answer.status);
    if status.is_success() {
        return ClientError::Malformed {
            to,
            why: format!("HTTP {} is no answer to a call", status.as_u16()),
        };
    }
    // The service explains itself as {"error": {"message"}}; others are quoted by their status only.
    let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let said = body["error"]["message"].as_str().or(status.canonical_reason()).unwrap_or("no reason given");
    ClientError::Status { to, status: status.as_u16(), message: said.to_owned() }
}
