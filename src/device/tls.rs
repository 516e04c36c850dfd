//! How a device is reached by gNMI: whom to believe, and what to show of oneself.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, Error, OtherError, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};

use crate::config::reader::{Item, Table};
use crate::device::credentials::CredentialPolicy;
use crate::device::ids::host;
use crate::device::{GnmiEndpoint, Security, TlsSettings};
use crate::pem;
use crate::tls::words;

/// IANA's port for gNMI.
const PORT: u16 = 9339;

/// Whose certificate is believed.
enum Believed {
    Roots(RootCertStore),
    /// SHA-256 over the certificate in DER.
    Fingerprint([u8; 32]),
}

impl GnmiEndpoint {
    /// Reads `[device.gnmi]`.
    pub(super) fn read(table: &Table, policy: CredentialPolicy) -> Option<Self> {
        let port = match table.get("port") {
            None => Some(PORT),
            Some(item) => item.integer(1..=65_535).and_then(|port| u16::try_from(port).ok()),
        };
        let server_name = table.get("server_name").and_then(|item| item.read(host));
        let identity = (table.get("client_certificate"), table.get("client_key"));
        let shows_certificate = identity.0.is_some();
        let believed = table.one_among(&["ca", "fingerprint", "plaintext"])?;
        let security = match (believed.name, identity) {
            ("plaintext", (None, None)) if believed.boolean()? => Security::Plaintext,
            ("plaintext", _) => {
                believed.refuse(
                    "can only be true, and without a client certificate; for TLS give `ca` or `fingerprint`",
                );
                return None;
            }
            (_, (Some(item), None) | (None, Some(item))) => {
                item.refuse("`client_certificate` and `client_key` go together");
                return None;
            }
            _ if policy == CredentialPolicy::Skip => Security::NotLoaded,
            (_, (certificate, key)) => {
                let config = config(&believed, certificate.zip(key))?;
                Security::Tls { config: TlsSettings(Arc::new(config)), server_name }
            }
        };
        Some(Self { port: port?, security, shows_certificate })
    }
}

fn config(believed: &Item, identity: Option<(Item, Item)>) -> Option<ClientConfig> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone());
    let builder = believed.of(builder.with_safe_default_protocol_versions())?;
    let builder = match Believed::read(believed)? {
        Believed::Roots(roots) => builder.with_root_certificates(roots),
        Believed::Fingerprint(digest) => {
            let verifier = Arc::new(Pinned { digest, provider });
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let chain = file(&certificate, pem::certificates)?;
            let secret = file(&key, pem::private_key)?;
            certificate.of(builder.with_client_auth_cert(chain, secret).map_err(|error| words(&error)))?
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Some(config)
}

fn file<T>(item: &Item, read: fn(&std::path::Path) -> Result<T, String>) -> Option<T> {
    let path = item.path()?;
    item.of(read(&path).map_err(|why| format!("{}: {why}", path.display())))
}

impl Believed {
    fn read(item: &Item) -> Option<Self> {
        match item.name {
            "fingerprint" => item.read(fingerprint).map(Self::Fingerprint),
            _ => file(item, pem::authorities).map(Self::Roots),
        }
    }
}

/// As `openssl x509 -fingerprint -sha256` prints it, the whole line or what is right of the `=`.
fn fingerprint(text: &str) -> Result<[u8; 32], String> {
    let text = text.trim().to_ascii_lowercase();
    let named = ["sha256 fingerprint=", "sha256:"].iter().find_map(|name| text.strip_prefix(name));
    let digits: String = named.unwrap_or(&text).split(':').collect();
    let bytes = hex::decode(digits).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| {
        "expected a certificate's SHA-256 fingerprint, \"sha256:AB:CD:...\" with 32 octets in hexadecimal, or the \
         line that `openssl x509 -fingerprint -sha256` prints"
            .to_owned()
    })
}

/// A certificate that is not the one of the inventory.
#[derive(Debug, thiserror::Error)]
#[error("its fingerprint is sha256:{0}, and not the one given")]
struct OtherFingerprint(String);

/// Believes one certificate, whatever it says and whoever signed it.
#[derive(Debug)]
struct Pinned {
    digest: [u8; 32],
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match Sha256::digest(certificate).as_slice() == self.digest {
            true => Ok(ServerCertVerified::assertion()),
            false => {
                let other = Arc::new(OtherFingerprint(hex::encode(Sha256::digest(certificate))));
                Err(Error::Other(OtherError(other)))
            }
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_as_openssl_prints_it() {
        let plain = "ab".repeat(32);
        let colons = vec!["AB"; 32].join(":");
        for text in [
            plain.clone(),
            colons.clone(),
            format!("sha256:{plain}"),
            format!("SHA256:{colons}"),
            format!("sha256 Fingerprint={colons}"),
            format!("SHA256 Fingerprint={colons}\n"),
        ] {
            assert_eq!(fingerprint(&text), Ok([0xab; 32]), "{text}");
        }
        let other = format!("SHA1 Fingerprint={colons}");
        for bad in ["", "ab", "sha1:ab", &"ab".repeat(31), &"zz".repeat(32), &other] {
            assert!(fingerprint(bad).is_err(), "{bad}");
        }
    }
}
