//! One connection: TCP, TLS, HTTP/2. It is never made anew behind a session's back.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::CertificateError;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Uri};
use tower::service_fn;

use crate::device::{Endpoint, GnmiEndpoint, Security, host_and_port};
use crate::tls;
use crate::transport::Cause;
use crate::transport::ssh::Stream;

/// How long a peer that is asked whether it is there may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connects, with TLS if the inventory has it.
pub(super) async fn connect(
    endpoint: &Endpoint,
    gnmi: &GnmiEndpoint,
    deadline: Instant,
) -> Result<Box<dyn Stream>, Cause> {
    let address = host_and_port(&endpoint.address, gnmi.port);
    let fail = |why: String| Cause::Connect { address: address.clone(), why };
    let tcp = timeout_at(deadline, TcpStream::connect((endpoint.address.as_str(), gnmi.port)));
    let absent = |why: String| Cause::Absent { address: address.clone(), why };
    let tcp = tcp.await.map_err(|_| Cause::Deadline("connecting"))?.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => absent(error.to_string()),
        _ => fail(error.to_string()),
    })?;
    tcp.set_nodelay(true).map_err(|error| fail(error.to_string()))?;
    match &gnmi.security {
        Security::Plaintext => Ok(Box::new(tcp)),
        Security::Tls { config, server_name } => {
            let name = server_name.as_deref().unwrap_or(&endpoint.address).to_owned();
            let name = ServerName::try_from(name).map_err(|error| fail(format!("TLS: {error}")))?;
            let tls = timeout_at(deadline, TlsConnector::from(config.0.clone()).connect(name, tcp)).await;
            let tls = tls
                .map_err(|_| Cause::Deadline("agreeing on TLS"))?
                .map_err(|error| fail(tls_words(&error)))?;
            if tls.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err(absent("it speaks TLS and no HTTP/2, so it is no gNMI target".to_owned()));
            }
            Ok(Box::new(tls))
        }
        Security::NotLoaded => Err(fail("its certificates were not loaded".to_owned())),
    }
}

/// Agrees on HTTP/2.
pub(super) async fn over(
    stream: Box<dyn Stream>,
    endpoint: &Endpoint,
    gnmi: &GnmiEndpoint,
    keepalive: Option<Duration>,
    deadline: Instant,
) -> Result<Channel, Cause> {
    let address = host_and_port(&endpoint.address, gnmi.port);
    let fail = |why: String| Cause::Connect { address: address.clone(), why };
    let scheme = if matches!(gnmi.security, Security::Plaintext) { "http" } else { "https" };
    let uri = format!("{scheme}://{address}").parse::<Uri>().map_err(|error| fail(error.to_string()))?;
    let mut builder = tonic::transport::Endpoint::from(uri);
    if let Some(interval) = keepalive {
        let builder_with = builder.http2_keep_alive_interval(interval).keep_alive_while_idle(true);
        builder = builder_with.keep_alive_timeout(PATIENCE);
    }
    let once = Arc::new(Mutex::new(Some(stream)));
    let taken = service_fn(move |_: Uri| {
        let stream = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let gone = || io::Error::new(io::ErrorKind::NotConnected, "the connection is closed");
        std::future::ready(stream.map(TokioIo::new).ok_or_else(gone))
    });
    let channel = timeout_at(deadline, builder.connect_with_connector(taken)).await;
    let channel = channel.map_err(|_| Cause::Deadline("agreeing on HTTP/2"))?;
    channel.map_err(|error| fail(causes(&error)))
}

/// Why TLS did not come about. What rustls says of certificates names none of our keys.
fn tls_words(error: &io::Error) -> String {
    let hint = match tls::of(error) {
        Some(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer)) => {
            "; its certificate is signed by none that `ca` holds"
        }
        _ if tls::is_authoritys_own(error) => "; `fingerprint` in place of `ca` pins it",
        _ => "",
    };
    format!("TLS: {}{hint}", tls::io_words(error))
}

/// An error with all that it says of where it came from.
pub(super) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let why = error.to_string();
        if !text.contains(&why) {
            text += &format!(": {why}");
        }
        source = error.source();
    }
    text
}
