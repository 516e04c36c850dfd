//! HTTP/1.1: one path, one verb, callers who are who they say, bounded bodies, and an orderly end.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http_body_util::BodyExt;
use hyper::body::Body as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixSocket};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, error, info, warn};

use crate::access::Principal;
use crate::metrics;
use crate::quote::quoted;
use crate::rpc::auth::{Authenticator, Denied, Origin, Peer};
use crate::rpc::in_place::InPlace;
use crate::rpc::{self, Engine};
use crate::tls::io_words;

/// What one caller may take of the service.
#[derive(Clone, Debug)]
pub struct RpcLimits {
    /// Octets of a request's body.
    pub body_bytes: usize,
    /// How long a body may take to arrive.
    pub body_time: Duration,
    /// Calls at work at one time; more wait their turn.
    pub calls: u32,
    /// Connections open at one time; more wait to be accepted. Without a bound they would take the
    /// file descriptors that undoing a change needs.
    pub connections: usize,
    /// How long a connection may take to bring a request's head, idle time before it included.
    pub head_time: Duration,
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self {
            body_bytes: 1 << 20,
            body_time: Duration::from_secs(10),
            calls: 4096,
            connections: 4096,
            head_time: Duration::from_secs(120),
        }
    }
}

/// A bound socket, not yet served.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// The longest head of a request: whoever may connect could otherwise fill the memory without a name.
const HEAD_BYTES: usize = 64 << 10;
/// How long a caller may take to read its answer while the service stops.
const ANSWER_TIME: Duration = Duration::from_secs(1);
const TOO_LARGE: (StatusCode, &str) = (StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large");
const STOPPING: (StatusCode, &str) = (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping");
/// How long a refused request's body is read on, and not kept, before the refusal is sent: a client
/// that is not read from sees a reset connection instead of the answer.
const DISCARD_TIME: Duration = Duration::from_secs(1);

struct Service {
    engine: Arc<dyn Engine>,
    authenticator: Arc<Authenticator>,
    limits: RpcLimits,
    calls: Arc<Semaphore>,
}

/// Binds a unix socket that only its owner and group can use. A socket left behind by a process that
/// is gone is replaced; one that is served, and a file that is no socket, are errors.
pub fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is no socket"));
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            _ => return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    let socket = UnixSocket::new_stream()?;
    socket.bind(path)?;
    // Nobody can connect before it listens, so there is no moment with wider permissions.
    fs::set_permissions(path, fs::Permissions::from_mode(0o660))?;
    socket.listen(1024)
}

/// Why a request is not taken: what is answered, and what only the log is told.
struct Refused {
    status: StatusCode,
    message: &'static str,
    headers: Vec<(HeaderName, HeaderValue)>,
    why: Option<String>,
    user: Option<String>,
}

/// Serves calls of callers that `authenticator` lets in until `shutdown`, then stops accepting and
/// returns when every call that began has ended. A request that is still arriving then has
/// [`RpcLimits::body_time`] left.
pub async fn serve(
    mut listener: Listener,
    engine: Arc<dyn Engine>,
    authenticator: Arc<Authenticator>,
    limits: RpcLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let calls = Arc::new(Semaphore::new(limits.calls as usize));
    let service = Service { engine, authenticator, limits: limits.clone(), calls: calls.clone() };
    let service = Arc::new(service);
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(HEAD_BYTES);
    tokio::select! {
        () = shutdown => {}
        closed = accept(&mut listener, &places, |stream, name, origin, place| {
            let (service, http, watcher) = (service.clone(), http.clone(), graceful.watcher());
            tokio::spawn(async move {
                if let Some((stream, peer)) = welcome(&service.authenticator, stream, name, origin).await {
                    let peer = Arc::new(peer);
                    let answer = service_fn(move |request| {
                        let (service, peer) = (service.clone(), peer.clone());
                        async move { Ok::<_, Infallible>(receive(service, peer, request).await) }
                    });
                    let connection = http.serve_connection(TokioIo::new(stream), answer);
                    if let Err(error) = InPlace::new(watcher.watch(connection)).await {
                        debug!("a connection broke off: {error}");
                    }
                }
                drop(place);
            });
        }) => closed?,
    }
    drop(listener);
    // Idle connections close at once, others after their answer; one that never ends its request, or
    // never takes its answer, must not hold the process.
    let patience = async {
        tokio::time::sleep(limits.body_time).await;
        let idle = calls.acquire_many(limits.calls).await;
        drop(idle);
        tokio::time::sleep(ANSWER_TIME).await;
    };
    tokio::select! {
        () = graceful.shutdown() => {}
        () = patience => {}
    }
    // A caller that hung up has no connection any more, but what it asked for still runs.
    calls.acquire_many(limits.calls).await.map(drop).map_err(io::Error::other)
}

/// Accepts for ever, never more than there are places.
async fn accept(
    listener: &mut Listener,
    places: &Arc<Semaphore>,
    serve: impl Fn(Box<dyn Stream>, String, Origin, OwnedSemaphorePermit),
) -> io::Result<()> {
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, name, origin) = listener.accept().await;
        serve(stream, name, origin, place);
    }
}

/// What comes before HTTP: the caller's network, and TLS. None: sent away.
async fn welcome(
    authenticator: &Authenticator,
    stream: Box<dyn Stream>,
    name: String,
    origin: Origin,
) -> Option<(Box<dyn Stream>, Peer)> {
    let policy = authenticator.policy();
    if !policy.admits(origin) {
        warn!(peer = name, "connection refused: its network is not one of `networks`");
        return None;
    }
    let (stream, certificate): (Box<dyn Stream>, _) = match &policy.tls {
        None => (stream, None),
        Some(tls) => match tls.accept(stream).await {
            Ok((stream, certificate)) => (Box::new(stream), certificate),
            Err(error) => {
                warn!(peer = name, "connection refused: no TLS: {}", io_words(&error));
                return None;
            }
        },
    };
    Some((stream, Peer { name, origin, certificate, policy }))
}

async fn receive(service: Arc<Service>, peer: Arc<Peer>, request: Request<Incoming>) -> Response {
    match call(service, &peer, request).await {
        Ok(Some(answer)) => json_response(StatusCode::OK, &answer),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err(refused) => {
            refused.log(&peer.name);
            let code = refused.status.as_u16();
            metrics::refused(code);
            let answer = json!({ "error": { "code": code, "message": refused.message } });
            let mut response = json_response(refused.status, &answer);
            for (name, value) in refused.headers {
                response.headers_mut().append(name, value);
            }
            response
        }
    }
}

async fn call(
    service: Arc<Service>,
    peer: &Peer,
    request: Request<Incoming>,
) -> Result<Option<Value>, Refused> {
    let (head, body) = request.into_parts();
    // Who asks, before anything of what is asked is kept.
    let limit = service.limits.body_bytes;
    let admitted = match service.engine.is_stopping() {
        true => Err(STOPPING.into()),
        false => admit(&service.authenticator, peer, &head, body.size_hint().lower(), limit).await,
    };
    let principal = match admitted {
        Ok(principal) => Arc::new(principal),
        Err(refused) => {
            // Whoever waits to be told to go on has not sent it yet.
            if !head.headers.contains_key(header::EXPECT) {
                // However far it comes: what matters is the answer that follows.
                drop(tokio::time::timeout(DISCARD_TIME, discard(body, limit.saturating_mul(16))).await);
            }
            return Err(refused);
        }
    };
    let arriving = read(body, limit);
    let body = tokio::time::timeout(service.limits.body_time, arriving)
        .await
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time"))??;
    let permit = service.calls.clone().acquire_owned().await.map_err(|_| STOPPING)?;
    let peer = peer.name.clone();
    let work = async move {
        let answer = rpc::answer(body, &peer, &principal, &service.engine).await;
        drop(permit);
        answer
    };
    ToItsEnd(Some(AssertUnwindSafe(work).catch_unwind().boxed())).await.map_err(|_| {
        error!("a request was not answered: working on it panicked");
        Refused::from((StatusCode::INTERNAL_SERVER_ERROR, "the service failed"))
    })
}

/// Work that goes on when nobody waits for it any more: a caller that hangs up must not stop a change
/// halfway. Only then does it need a task of its own, which is slower than being polled in place.
struct ToItsEnd<T: Send + 'static>(Option<BoxFuture<'static, T>>);

impl<T: Send + 'static> Future for ToItsEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let Some(work) = &mut self.0 else { return Poll::Pending };
        let ended = work.poll_unpin(context);
        if ended.is_ready() {
            self.0 = None;
        }
        ended
    }
}

impl<T: Send + 'static> Drop for ToItsEnd<T> {
    fn drop(&mut self) {
        // Without a runtime there is nothing left to work with.
        if let (Some(work), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(work);
        }
    }
}

/// Judges a request by its head, which may say how long the body will be.
async fn admit(
    authenticator: &Authenticator,
    peer: &Peer,
    head: &Parts,
    length: u64,
    limit: usize,
) -> Result<Principal, Refused> {
    if head.method != Method::POST {
        let refused = Refused::from((StatusCode::METHOD_NOT_ALLOWED, "Only POST method can be used"));
        return Err(refused.with(header::ALLOW, HeaderValue::from_static("POST")));
    }
    if head.uri.path() != "/" {
        return Err((StatusCode::NOT_FOUND, "calls are sent to /").into());
    }
    // A page in a browser on this host could post here without asking anyone. Browsers say so.
    if head.headers.contains_key(header::ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "calls from web pages are refused").into());
    }
    // The connection may be older than the networks that count now.
    if !authenticator.policy().admits(peer.origin) {
        let refused = Refused::from((StatusCode::FORBIDDEN, "calls from this network are refused"));
        return Err(refused.with(header::CONNECTION, HeaderValue::from_static("close")));
    }
    let principal = authenticator.authenticate(head, peer).await?;
    if usize::try_from(length).is_ok_and(|length| length <= limit) {
        Ok(principal)
    } else {
        Err(TOO_LARGE.into())
    }
}

/// Reads a body of at most `limit` octets. One that is longer is read on for a while.
async fn read(mut body: Incoming, limit: usize) -> Result<Vec<u8>, Refused> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the request's body broke off"))?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > limit {
            drop(bytes);
            discard(body, limit.saturating_mul(16)).await;
            return Err(TOO_LARGE.into());
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes)
}

/// Reads on without keeping anything, at most `limit` octets.
async fn discard(mut body: Incoming, limit: usize) {
    let mut length = 0;
    while let Some(Ok(frame)) = body.frame().await {
        length += frame.data_ref().map_or(0, |data| data.len());
        if length > limit {
            break;
        }
    }
}

impl Refused {
    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// One line a refusal; a caller who has shown nothing yet may only be asking what to show.
    fn log(&self, peer: &str) {
        let Self { status, message, why, user, .. } = self;
        let (code, user, why) = (status.as_u16(), user.as_deref().map(quoted), why.as_deref());
        match (*status, why) {
            (StatusCode::UNAUTHORIZED, None) => info!(peer, code, "request refused: {message}"),
            (_, Some(why)) => warn!(peer, code, user, "request refused: {why}"),
            _ => warn!(peer, code, "request refused: {message}"),
        }
    }
}

impl From<(StatusCode, &'static str)> for Refused {
    fn from((status, message): (StatusCode, &'static str)) -> Self {
        Self { status, message, headers: Vec::new(), why: None, user: None }
    }
}

impl From<Denied> for Refused {
    fn from(denied: Denied) -> Self {
        // Whoever has shown nothing yet may only be asking what to show.
        if !matches!(denied, Denied::Missing { .. }) {
            metrics::auth_failed();
        }
        let (status, message, why, user, challenges) = match denied {
            Denied::Missing { challenges } => {
                (StatusCode::UNAUTHORIZED, "authentication is required", None, None, challenges)
            }
            // Not which of them: a guesser would learn who is a user.
            Denied::Wrong { why, user, challenges } => {
                let message = "user and password are not right";
                (StatusCode::UNAUTHORIZED, message, Some(why.to_string()), user, challenges)
            }
            Denied::Certificate { names, why } => {
                (StatusCode::FORBIDDEN, why, Some(why.to_owned()), names.into_iter().next(), Vec::new())
            }
            Denied::TooMany { retry_after } => {
                let message = "too many wrong passwords from this address";
                let after = HeaderValue::from(retry_after.as_secs().max(1));
                let refused = Self::from((StatusCode::TOO_MANY_REQUESTS, message));
                return refused.with(header::RETRY_AFTER, after);
            }
        };
        let headers = challenges.into_iter().map(|challenge| (header::WWW_AUTHENTICATE, challenge)).collect();
        Self { status, message, headers, why, user }
    }
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The two kinds of socket as one stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    /// The next connection, and who is at its other end: `127.0.0.1:40312`, or `uid=0` on a unix socket.
    async fn accept(&mut self) -> (Box<dyn Stream>, String, Origin) {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = axum::serve::Listener::accept(listener).await;
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%address, "answers may be delayed: {error}");
                }
                (Box::new(stream), address.to_string(), Origin::Ip(address.ip()))
            }
            Self::Unix(listener) => {
                let (stream, _) = axum::serve::Listener::accept(listener).await;
                let (peer, uid) = match stream.peer_cred() {
                    Ok(credentials) => (format!("uid={}", credentials.uid()), Some(credentials.uid())),
                    Err(error) => (format!("unix ({error})"), None),
                };
                (Box::new(stream), peer, Origin::User(uid))
            }
        }
    }
}
