//! HTTP/1.1: one path, one verb, bounded bodies, and an orderly end.

use std::convert::Infallible;
use std::fs;
use std::future::Future;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixSocket};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{debug, error, warn};

use crate::rpc::{self, Engine};

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
            calls: 1024,
            connections: 512,
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

/// How long a caller may take to read its answer while the service stops.
const ANSWER_TIME: Duration = Duration::from_secs(1);

struct Service {
    engine: Arc<dyn Engine>,
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

/// Serves calls until `shutdown`, then stops accepting and returns when every call that began has
/// ended. A request that is still arriving then has [`RpcLimits::body_time`] left.
pub async fn serve(
    mut listener: Listener,
    engine: Arc<dyn Engine>,
    limits: RpcLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let calls = Arc::new(Semaphore::new(limits.calls as usize));
    let service = Arc::new(Service { engine, limits: limits.clone(), calls: calls.clone() });
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(limits.connections));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time);
    tokio::select! {
        () = shutdown => {}
        closed = accept(&mut listener, &places, |stream, peer, place| {
            let service = service.clone();
            let answer = service_fn(move |request| {
                let (service, peer) = (service.clone(), peer.clone());
                async move { Ok::<_, Infallible>(receive(service, &peer, request).await) }
            });
            let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), answer));
            tokio::spawn(async move {
                if let Err(error) = connection.await {
                    debug!("a connection broke off: {error}");
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
    serve: impl Fn(Box<dyn Stream>, String, OwnedSemaphorePermit),
) -> io::Result<()> {
    loop {
        let place = places.clone().acquire_owned().await.map_err(io::Error::other)?;
        let (stream, peer) = listener.accept().await;
        serve(stream, peer, place);
    }
}

async fn receive(service: Arc<Service>, peer: &str, request: Request<Incoming>) -> Response {
    match call(service, peer, request).await {
        Ok(Some(answer)) => json_response(StatusCode::OK, &answer),
        Ok(None) => StatusCode::NO_CONTENT.into_response(),
        Err((status, message)) => {
            warn!(peer, code = status.as_u16(), "request refused: {message}");
            let answer = json!({ "error": { "code": status.as_u16(), "message": message } });
            let mut response = json_response(status, &answer);
            if status == StatusCode::METHOD_NOT_ALLOWED {
                response.headers_mut().insert(header::ALLOW, HeaderValue::from_static("POST"));
            }
            response
        }
    }
}

async fn call(
    service: Arc<Service>,
    peer: &str,
    request: Request<Incoming>,
) -> Result<Option<Value>, (StatusCode, &'static str)> {
    if request.method() != Method::POST {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "Only POST method can be used"));
    }
    if request.uri().path() != "/" {
        return Err((StatusCode::NOT_FOUND, "calls are sent to /"));
    }
    // A page in a browser on this host could post here without asking anyone. Browsers say so.
    if request.headers().contains_key(header::ORIGIN) {
        return Err((StatusCode::FORBIDDEN, "calls from web pages are refused"));
    }
    let stopping = (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping");
    if service.engine.is_stopping() {
        return Err(stopping);
    }
    let arriving = read(request.into_body(), service.limits.body_bytes);
    let body = tokio::time::timeout(service.limits.body_time, arriving)
        .await
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time"))??;
    let permit = service.calls.clone().acquire_owned().await.map_err(|_| stopping)?;
    let peer = peer.to_owned();
    // On its own task: a caller that hangs up must not stop a change halfway.
    let task = tokio::spawn(async move {
        let answer = rpc::answer(body, &peer, &service.engine).await;
        drop(permit);
        answer
    });
    task.await.map_err(|failure| {
        error!("a request was not answered: {failure}");
        (StatusCode::INTERNAL_SERVER_ERROR, "the service failed")
    })
}

/// Reads a body of at most `limit` octets. One that is longer is read on for a while, and not kept:
/// a client that is not read from sees a reset connection instead of the answer.
async fn read(mut body: Incoming, limit: usize) -> Result<Vec<u8>, (StatusCode, &'static str)> {
    let mut bytes = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| (StatusCode::BAD_REQUEST, "the request's body broke off"))?;
        let Some(data) = frame.data_ref() else { continue };
        length += data.len();
        if length <= limit {
            bytes.extend_from_slice(data);
        } else if length > limit.saturating_mul(16) {
            break;
        }
    }
    if length > limit {
        return Err((StatusCode::PAYLOAD_TOO_LARGE, "the request's body is too large"));
    }
    Ok(bytes)
}

fn json_response(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

/// The two kinds of socket as one stream.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

impl Listener {
    /// The next connection, and who is at its other end: `127.0.0.1:40312`, or `uid=0` on a unix socket.
    async fn accept(&mut self) -> (Box<dyn Stream>, String) {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = axum::serve::Listener::accept(listener).await;
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%address, "answers may be delayed: {error}");
                }
                (Box::new(stream), address.to_string())
            }
            Self::Unix(listener) => {
                let (stream, _) = axum::serve::Listener::accept(listener).await;
                let peer = match stream.peer_cred() {
                    Ok(credentials) => format!("uid={}", credentials.uid()),
                    Err(error) => format!("unix ({error})"),
                };
                (Box::new(stream), peer)
            }
        }
    }
}
