//! Certificates and keys in PEM files.

use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::reader::open_regular;
use crate::device::credentials::private_text;
use crate::tls::words;

/// Longer than any chain, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// The certificates of a PEM file, one at least.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = open_regular(path)?;
    let too_long = file.metadata().map_or(true, |data| data.len() > MAX_FILE);
    if too_long {
        return Err(format!("longer than {MAX_FILE} bytes"));
    }
    let found: Result<Vec<_>, _> =
        CertificateDer::pem_reader_iter(io::BufReader::new(io::Read::take(file, MAX_FILE))).collect();
    match found {
        Ok(found) if found.is_empty() => Err("holds no certificate in PEM form".to_owned()),
        Ok(found) => Ok(found),
        Err(_) => Err("is not a PEM file of certificates".to_owned()),
    }
}

/// The one private key of a PEM file that nobody else can read.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    // The error could quote what it did not understand.
    PrivateKeyDer::from_pem_slice(private_text(path)?.as_bytes())
        .map_err(|_| "does not parse as a private key in PEM form, without a passphrase".to_owned())
}

/// The authorities of a PEM file.
pub fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots
            .add(certificate)
            .map_err(|error| format!("a certificate in it cannot be used: {}", words(&error)))?;
    }
    Ok(roots)
}
