//! TLS as a target has it: its certificate, and of the clients one too where it asks.

use std::sync::Arc;

use secrecy::ExposeSecret as _;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, pem};
use tokio_rustls::rustls::server::{VerifierBuilderError, WebPkiClientVerifier};
use tokio_rustls::rustls::{self, RootCertStore, ServerConfig, crypto::ring};

use super::spec::GnmiTls;

/// What is wrong with a certificate or key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("its PEM cannot be read: {0:?}")]
    Pem(pem::Error),
    #[error("its PEM holds no certificate")]
    NoCertificate,
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    #[error("its authority of clients is of no use")]
    ClientCa(#[from] VerifierBuilderError),
}

impl From<pem::Error> for TlsError {
    fn from(error: pem::Error) -> Self {
        Self::Pem(error)
    }
}

pub(super) fn acceptor(tls: &GnmiTls) -> Result<TlsAcceptor, TlsError> {
    let certificates = |pem: &str| -> Result<Vec<_>, TlsError> {
        let all: Vec<_> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>()?;
        if all.is_empty() { Err(TlsError::NoCertificate) } else { Ok(all) }
    };
    let key = PrivateKeyDer::from_pem_slice(tls.key.expose_secret().as_bytes())?;
    let provider = Arc::new(ring::default_provider());
    let config =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let config = match &tls.client_ca {
        None => config.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            for certificate in certificates(authority)? {
                roots.add(certificate)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
            config.with_client_cert_verifier(verifier.build()?)
        }
    };
    let mut config = config.with_single_cert(certificates(&tls.certificate)?, key)?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
