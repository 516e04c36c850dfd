//! HTTP/1.1: one path, one verb, bounded bodies, and an orderly end.

use std::fs;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixSocket};
use tokio::sync::{Semaphore, oneshot};
use tracing::{error, warn};

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
}

impl Default for RpcLimits {
    fn default() -> Self {
        Self { body_bytes: 1 << 20, body_time: Duration::from_secs(10), calls: 1024 }
    }
}

/// A bound socket, not yet served.
#[derive(Debug)]
pub enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// Who is at the other end: `127.0.0.1:40312`, or `uid=0` on a unix socket.
#[derive(Clone, Debug)]
pub struct Peer(String);

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
    listener: Listener,
    engine: Arc<dyn Engine>,
    limits: RpcLimits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let calls = Arc::new(Semaphore::new(limits.calls as usize));
    let service = Arc::new(Service { engine, limits: limits.clone(), calls: calls.clone() });
    let router = Router::new().fallback(receive).with_state(service);
    let (stopping, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, router.into_make_service_with_connect_info::<Peer>())
        .with_graceful_shutdown(async move {
            shutdown.await;
            drop(stopping);
        });
    // Idle connections close at once, others after their answer; one that never ends its request, or
    // never takes its answer, must not hold the process.
    let (at_work, longest) = (calls.clone(), limits.clone());
    let patience = async move {
        // The sender never sends, it is only dropped.
        stopped.await.ok();
        tokio::time::sleep(longest.body_time).await;
        let idle = at_work.acquire_many(longest.calls).await;
        drop(idle);
        tokio::time::sleep(ANSWER_TIME).await;
    };
    tokio::select! {
        served = server => served?,
        () = patience => {}
    }
    // A caller that hung up has no connection any more, but what it asked for still runs.
    calls.acquire_many(limits.calls).await.map(drop).map_err(io::Error::other)
}

async fn receive(
    State(service): State<Arc<Service>>,
    ConnectInfo(Peer(peer)): ConnectInfo<Peer>,
    request: Request,
) -> Response {
    match call(service, &peer, request).await {
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
    request: Request,
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
    let arriving = read(request.into_body(), service.limits.body_bytes);
    let body = tokio::time::timeout(service.limits.body_time, arriving)
        .await
        .map_err(|_| (StatusCode::REQUEST_TIMEOUT, "the request's body did not arrive in time"))??;
    let stopping = (StatusCode::SERVICE_UNAVAILABLE, "the service is stopping");
    let permit = service.calls.clone().acquire_owned().await.map_err(|_| stopping)?;
    let peer = peer.to_owned();
    // On its own task: a caller that hangs up must not stop a change halfway.
    let task = tokio::spawn(async move {
        let answer = rpc::answer(&body, &peer, &service.engine).await;
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
async fn read(mut body: Body, limit: usize) -> Result<Vec<u8>, (StatusCode, &'static str)> {
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

impl axum::serve::Listener for Listener {
    type Io = Box<dyn Stream>;
    type Addr = Peer;

    async fn accept(&mut self) -> (Self::Io, Peer) {
        match self {
            Self::Tcp(listener) => {
                let (stream, address) = axum::serve::Listener::accept(listener).await;
                if let Err(error) = stream.set_nodelay(true) {
                    warn!(%address, "answers may be delayed: {error}");
                }
                (Box::new(stream), Peer::at(address))
            }
            Self::Unix(listener) => {
                let (stream, _) = axum::serve::Listener::accept(listener).await;
                let peer = match stream.peer_cred() {
                    Ok(credentials) => format!("uid={}", credentials.uid()),
                    Err(error) => format!("unix ({error})"),
                };
                (Box::new(stream), Peer(peer))
            }
        }
    }

    fn local_addr(&self) -> io::Result<Peer> {
        match self {
            Self::Tcp(listener) => listener.local_addr().map(Peer::at),
            Self::Unix(listener) => Ok(Peer(format!("{:?}", listener.local_addr()?))),
        }
    }
}

impl Peer {
    fn at(address: SocketAddr) -> Self {
        Self(address.to_string())
    }
}

impl Connected<IncomingStream<'_, Listener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Listener>) -> Self {
        stream.remote_addr().clone()
    }
}
