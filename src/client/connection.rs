//! HTTP/1.1 over kept-alive connections. Whatever fails is told apart by one question: had the
//! request left?

use std::error::Error as _;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{AlertDescription, ClientConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::error::ClientError;
use super::place::{Origin, Place};
use crate::tls::io_words;

/// Connections to one service or, after a redirect, to several.
pub struct Connections {
    tls: Option<Arc<ClientConfig>>,
    idle: Mutex<Vec<Idle>>,
}

/// What a service answered; the body is complete.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

type Sender = SendRequest<Full<Bytes>>;

struct Idle {
    origin: Origin,
    sender: Sender,
    since: Instant,
}

/// How long a host may take to accept a connection, and TLS to be agreed on.
const CONNECT_TIME: Duration = Duration::from_secs(20);

/// Well below the idle time after which services close: a request must not cross their goodbye.
const IDLE_TIME: Duration = Duration::from_secs(30);

/// How long a connection may take to be ready for the next request before it is given up.
const SETTLE_TIME: Duration = Duration::from_secs(1);

/// Idle connections that are kept.
const MAX_IDLE: usize = 64;

impl Connections {
    pub fn new(tls: Option<Arc<ClientConfig>>) -> Self {
        Self { tls, idle: Mutex::default() }
    }

    /// Sends one request, once, and reads its answer of at most `max` octets.
    pub async fn exchange(
        &self,
        place: &Place,
        request: Request<Full<Bytes>>,
        deadline: Instant,
        max: usize,
    ) -> Result<Answer, ClientError> {
        let (mut sender, response) = self.send(place, request, deadline).await?;
        let (head, body) = response.into_parts();
        let body = match timeout_at(deadline, read(body, max)).await {
            Ok(Ok(body)) => body,
            Ok(Err(Unread::Longer)) => {
                let why = format!("the answer is longer than {max} octets");
                return Err(ClientError::Malformed { to: place.to_string(), why });
            }
            Ok(Err(Unread::BrokenOff(error))) => {
                return Err(lost(place, format!("the answer broke off: {}", causes(&error))));
            }
            Err(_) => return Err(lost(place, "the answer was not complete in time".to_owned())),
        };
        let until = deadline.min(Instant::now() + SETTLE_TIME);
        if let Ok(Ok(())) = timeout_at(until, sender.ready()).await {
            self.keep(place.origin.clone(), sender);
        }
        Ok(Answer { status: head.status, headers: head.headers, body })
    }

    /// The answer's head. A request goes out a second time only if hyper hands it back, which it does
    /// when the connection was closed before it began to write it.
    async fn send(
        &self,
        place: &Place,
        mut request: Request<Full<Bytes>>,
        deadline: Instant,
    ) -> Result<(Sender, Response<Incoming>), ClientError> {
        loop {
            let kept = self.take(&place.origin);
            let is_kept = kept.is_some();
            let mut sender = match kept {
                Some(sender) => sender,
                None => self.connect(place, deadline).await?,
            };
            let answer = timeout_at(deadline, sender.try_send_request(request)).await;
            let mut failure = match answer {
                Ok(Ok(response)) => return Ok((sender, response)),
                Ok(Err(failure)) => failure,
                Err(_) => return Err(lost(place, "no answer in time".to_owned())),
            };
            match failure.take_message() {
                Some(unsent) if is_kept => request = unsent,
                Some(_) => return Err(not_sent(place, causes(failure.error()))),
                None if refused_certificate(failure.error()) => {
                    return Err(not_sent(place, causes(failure.error())));
                }
                None => return Err(lost(place, format!("no answer: {}", causes(failure.error())))),
            }
        }
    }

    async fn connect(&self, place: &Place, deadline: Instant) -> Result<Sender, ClientError> {
        let until = deadline.min(Instant::now() + CONNECT_TIME);
        let connected = timeout_at(until, async {
            match &place.origin {
                Origin::Unix(path) => begin(UnixStream::connect(path).await?).await,
                Origin::Http { host, port } => begin(tcp(host, *port).await?).await,
                Origin::Https { host, port } => {
                    let tls = self.tls.clone().ok_or_else(|| io::Error::other("TLS is not set up"))?;
                    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                    let stream = tcp(host, *port).await?;
                    begin(TlsConnector::from(tls).connect(name, stream).await?).await
                }
            }
        });
        match connected.await {
            Ok(Ok(sender)) => Ok(sender),
            Ok(Err(error)) => Err(not_sent(place, io_words(&error))),
            Err(_) => Err(not_sent(place, "no connection in time".to_owned())),
        }
    }

    fn take(&self, origin: &Origin) -> Option<Sender> {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.retain(|idle| !idle.sender.is_closed() && idle.since.elapsed() < IDLE_TIME);
        let found = idle.iter().rposition(|idle| idle.origin == *origin)?;
        Some(idle.swap_remove(found).sender)
    }

    fn keep(&self, origin: Origin, sender: Sender) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < MAX_IDLE {
            idle.push(Idle { origin, sender, since: Instant::now() });
        }
    }
}

async fn tcp(host: &str, port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect((host, port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

async fn begin(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> io::Result<Sender> {
    let (sender, connection) = handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with its sender; how it ends is seen in the answer.
    tokio::spawn(async move { connection.await.ok() });
    Ok(sender)
}

enum Unread {
    Longer,
    BrokenOff(hyper::Error),
}

async fn read(mut body: Incoming, max: usize) -> Result<Bytes, Unread> {
    if body.size_hint().lower() > max as u64 {
        return Err(Unread::Longer);
    }
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(Unread::BrokenOff)?;
        let Some(data) = frame.data_ref() else { continue };
        if bytes.len() + data.len() > max {
            return Err(Unread::Longer);
        }
        bytes.extend_from_slice(data);
    }
    Ok(bytes.into())
}

/// Whether the peer ended the handshake because of our certificate. In TLS 1.3 that is seen only
/// after the first bytes are on their way; a peer that did not end the handshake has not read them.
fn refused_certificate(error: &hyper::Error) -> bool {
    let error = error.source().and_then(|source| source.downcast_ref::<io::Error>());
    let error = error.and_then(io::Error::get_ref).and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let Some(rustls::Error::AlertReceived(alert)) = error else { return false };
    matches!(
        alert,
        AlertDescription::CertificateRequired
            | AlertDescription::BadCertificate
            | AlertDescription::UnsupportedCertificate
            | AlertDescription::CertificateRevoked
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::UnknownCA
            | AlertDescription::AccessDenied
            | AlertDescription::DecryptError
            | AlertDescription::HandshakeFailure
    )
}

/// hyper keeps the reason in the source.
fn causes(error: &hyper::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn lost(place: &Place, why: String) -> ClientError {
    ClientError::Lost { to: place.to_string(), why }
}

fn not_sent(place: &Place, why: String) -> ClientError {
    ClientError::NotSent { to: place.to_string(), why }
}
