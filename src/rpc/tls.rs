//! TLS for callers: our certificate, and theirs where the operator asks for one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, version};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer as _;

/// How long a handshake may take.
pub const HANDSHAKE_TIME: Duration = Duration::from_secs(10);

/// One configuration of TLS.
#[derive(Clone)]
pub struct Tls {
    acceptor: TlsAcceptor,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

/// The oldest version of TLS that callers may speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MinVersion {
    Tls12,
    #[default]
    Tls13,
}

/// Whose certificates are believed, and whether a caller may come without one.
#[derive(Debug)]
pub struct ClientCa {
    pub roots: RootCertStore,
    pub optional: bool,
}

/// A certificate that a caller has proven to be its own.
#[derive(Clone, Debug)]
pub struct ClientCertificate {
    /// The subject's common name and the DNS names.
    pub names: Vec<String>,
    chain: Vec<CertificateDer<'static>>,
    /// Seconds since 1970.
    ends: i64,
}

impl Tls {
    /// Checks that certificate and key belong together.
    pub fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
        clients: Option<ClientCa>,
        least: MinVersion,
    ) -> Result<Self, String> {
        let provider = Arc::new(ring::default_provider());
        let versions: &[_] = match least {
            MinVersion::Tls13 => &[&version::TLS13],
            MinVersion::Tls12 => &[&version::TLS13, &version::TLS12],
        };
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(versions)
            .map_err(|error| error.to_string())?;
        let verifier = clients.map(|ca| {
            let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(ca.roots), provider);
            let builder = if ca.optional { builder.allow_unauthenticated() } else { builder };
            builder.build().map_err(|error| error.to_string())
        });
        let verifier = verifier.transpose()?;
        let builder = match &verifier {
            Some(verifier) => builder.with_client_cert_verifier(verifier.clone()),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => "is not the certificate of `key`".to_owned(),
            error => error.to_string(),
        })?;
        // curl's Digest does not survive HTTP/2, and nothing here gains from it.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), verifier })
    }

    /// The handshake, within [`HANDSHAKE_TIME`], and the caller's certificate if it showed one.
    pub async fn accept<S>(&self, stream: S) -> io::Result<(TlsStream<S>, Option<ClientCertificate>)>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let shaken = tokio::time::timeout(HANDSHAKE_TIME, self.acceptor.accept(stream)).await;
        let stream = shaken.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        let chain = stream.get_ref().1.peer_certificates().map(<[_]>::to_vec);
        let certificate = chain.map(ClientCertificate::new).transpose().map_err(io::Error::other)?;
        Ok((stream, certificate))
    }

    /// Whether a certificate shown earlier, perhaps to another configuration, is good now.
    pub fn still_trusts(&self, certificate: &ClientCertificate) -> bool {
        let Some((first, others)) = certificate.chain.split_first() else { return false };
        let verified = |verifier: &Arc<dyn ClientCertVerifier>| {
            verifier.verify_client_cert(first, others, UnixTime::now()).is_ok()
        };
        self.verifier.as_ref().is_some_and(verified)
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tls(client certificates: {})", self.verifier.is_some())
    }
}

impl ClientCertificate {
    fn new(chain: Vec<CertificateDer<'static>>) -> Result<Self, String> {
        let first = chain.first().ok_or("an empty certificate chain")?;
        let (_, certificate) = X509Certificate::from_der(first).map_err(|error| error.to_string())?;
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        let alternatives = certificate.subject_alternative_name().map_err(|error| error.to_string())?;
        let alternatives = alternatives.iter().flat_map(|names| &names.value.general_names);
        let dns = alternatives.filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(*name),
            _ => None,
        });
        let mut names: Vec<String> = common.chain(dns).map(str::to_owned).collect();
        names.dedup();
        let ends = certificate.validity().not_after.timestamp();
        Ok(Self { names, chain, ends })
    }

    /// Whether its time is over; a connection may live longer than a certificate.
    pub fn has_ended(&self) -> bool {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::MAX);
        i64::try_from(now.as_secs()).unwrap_or(i64::MAX) > self.ends
    }
}
