//! TLS 1.2 and 1.3 through rustls: whom to believe, and what to show of oneself.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Options;
use super::error::ClientError;
use crate::device::credentials::private_text;
use crate::tls::words;

/// Reads the certificates and the key that the options name. Without a CA file the system's are believed.
pub fn config(options: &Options) -> Result<Arc<ClientConfig>, ClientError> {
    let roots = match &options.ca_file {
        Some(path) => roots_from(path)?,
        None => roots_of_the_system()?,
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| setup("TLS", words(&error)))?
        .with_root_certificates(roots);
    let mut config = match &options.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let chain = certificates(&identity.certificate_file)?;
            let (name, key) = (identity.key_file.display().to_string(), private_text(&identity.key_file));
            let key = key.map_err(|why| ClientError::Setup { what: name.clone(), why })?;
            // The PEM reader's own words may repeat what it read.
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| ClientError::Setup {
                what: name.clone(),
                why: "does not parse as an unencrypted private key in PEM".to_owned(),
            })?;
            builder.with_client_auth_cert(chain, key).map_err(|error| setup(&name, words(&error)))?
        }
    };
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn roots_from(path: &Path) -> Result<RootCertStore, ClientError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| setup(&path.display().to_string(), words(&error)))?;
    }
    Ok(roots)
}

fn roots_of_the_system() -> Result<RootCertStore, ClientError> {
    let found = rustls_native_certs::load_native_certs();
    let mut roots = RootCertStore::empty();
    // Among the system's many, one that cannot be used is nothing to stop for.
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = match found.errors.first() {
            Some(error) => error.to_string(),
            None => "there are none; name a file with the CA's certificate".to_owned(),
        };
        return Err(ClientError::Setup { what: "the system's CA certificates".to_owned(), why });
    }
    Ok(roots)
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, ClientError> {
    let name = path.display().to_string();
    let all = CertificateDer::pem_file_iter(path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match all {
        Ok(all) if all.is_empty() => {
            Err(ClientError::Setup { what: name, why: "holds no certificate in PEM".to_owned() })
        }
        Ok(all) => Ok(all),
        Err(error) => Err(setup(&name, error.to_string())),
    }
}

fn setup(what: &str, why: String) -> ClientError {
    ClientError::Setup { what: what.to_owned(), why }
}
