//! What TLS says of certificates, in words. The library has only names for some of it.

use std::io;

use rustls::{CertificateError, Error};

/// Why TLS did not come about, or why a certificate cannot be used.
pub fn words(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(why) => format!("invalid peer certificate: {}", of_certificate(why)),
        Error::InconsistentKeys(_) => "the key is not the one of the certificate".to_owned(),
        other => other.to_string(),
    }
}

/// [`words`], where what is read and written hides what TLS says.
pub fn io_words(error: &io::Error) -> String {
    of(error).map_or_else(|| error.to_string(), words)
}

/// Whether it is refused for being a CA's own, as a self-signed one of openssl is.
pub fn is_authoritys_own(error: &io::Error) -> bool {
    let Some(Error::InvalidCertificate(CertificateError::Other(other))) = of(error) else { return false };
    matches!(other.0.downcast_ref(), Some(webpki::Error::CaUsedAsEndEntity))
}

/// What TLS says in it.
pub fn of(error: &io::Error) -> Option<&Error> {
    error.get_ref()?.downcast_ref()
}

fn of_certificate(why: &CertificateError) -> String {
    let words = match why {
        CertificateError::BadEncoding => "it cannot be read",
        CertificateError::Expired => "it has expired",
        CertificateError::NotValidYet => "it is not valid yet",
        CertificateError::Revoked => "it is revoked",
        CertificateError::UnhandledCriticalExtension => "it has a critical extension that is not known",
        CertificateError::UnknownIssuer => "no CA that is believed has signed it",
        CertificateError::BadSignature => "its signature is wrong",
        CertificateError::UnsupportedSignatureAlgorithmContext { .. }
        | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "it is signed by an algorithm that is not taken"
        }
        CertificateError::InvalidPurpose => "it is for another purpose",
        CertificateError::Other(other) => match other.0.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::CaUsedAsEndEntity) => {
                "it is a CA's own (as openssl makes a self-signed one), which cannot stand for a server or a caller"
            }
            Some(webpki::Error::EndEntityUsedAsCa) => "what has signed it is no CA's certificate",
            Some(webpki::Error::UnsupportedCertVersion) => "it is not of X.509 version 3",
            _ => return other.to_string(),
        },
        other => return other.to_string(),
    };
    words.to_owned()
}
