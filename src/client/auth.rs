//! HTTP authentication: none, Basic (RFC 7617), Digest (RFC 7616). Certificates are TLS's.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use http_auth::digest::{Algorithm, DigestClient, Qop};
use http_auth::{PasswordParams, parse_challenges};
use hyper::HeaderMap;
use hyper::header::{HeaderValue, WWW_AUTHENTICATE};
use secrecy::{ExposeSecret as _, SecretString};

use super::error::ClientError;

/// Who the caller is, besides the client certificate.
#[derive(Clone, Debug, Default)]
pub enum Auth {
    #[default]
    None,
    /// Sent with every request; over http:// anybody on the way can read it.
    Basic { user: String, password: SecretString },
    /// The password never leaves this process. SHA-256 is preferred to MD5; Basic is never answered.
    Digest { user: String, password: SecretString },
}

/// Answers challenges.
pub struct Authenticator {
    scheme: Scheme,
}

enum Scheme {
    None,
    Basic(HeaderValue),
    Digest {
        user: String,
        password: SecretString,
        /// The last challenge and how often its nonce was used.
        nonce: Mutex<Option<DigestClient>>,
    },
}

impl Authenticator {
    pub fn new(auth: Auth) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Setup { what: "user".to_owned(), why: why.to_owned() };
        let scheme = match auth {
            Auth::None => Scheme::None,
            Auth::Basic { user, .. } | Auth::Digest { user, .. }
                if user.is_empty() || user.chars().any(char::is_control) =>
            {
                return Err(wrong("it is empty or holds a control character"));
            }
            // RFC 7617 2
            Auth::Basic { user, .. } if user.contains(':') => {
                return Err(wrong("a user name with a colon cannot be used with Basic"));
            }
            Auth::Basic { user, password } => {
                let value = http_auth::basic::encode_credentials(&user, password.expose_secret());
                Scheme::Basic(sensitive(&value)?)
            }
            Auth::Digest { user, password } => Scheme::Digest { user, password, nonce: Mutex::new(None) },
        };
        Ok(Self { scheme })
    }

    pub fn is_none(&self) -> bool {
        matches!(self.scheme, Scheme::None)
    }

    /// The `Authorization` of a POST to `target`; none before a challenge where one is needed.
    pub fn header(&self, target: &str) -> Result<Option<HeaderValue>, ClientError> {
        match &self.scheme {
            Scheme::None => Ok(None),
            Scheme::Basic(value) => Ok(Some(value.clone())),
            Scheme::Digest { user, password, nonce } => {
                let mut nonce = nonce.lock().unwrap_or_else(PoisonError::into_inner);
                let Some(client) = nonce.as_mut() else { return Ok(None) };
                let password = password.expose_secret();
                // Without the body: qop is `auth`, never `auth-int`.
                let params =
                    PasswordParams { username: user, password, uri: target, method: "POST", body: None };
                let value = client.respond(&params);
                let value = value.map_err(|why| ClientError::Setup { what: "Digest".to_owned(), why })?;
                sensitive(&value).map(Some)
            }
        }
    }

    /// Takes the challenges of a 401. Whether the request is worth sending again: `answered` says that
    /// it came with the answer to a challenge of this call, which only a stale nonce excuses.
    pub fn challenged(&self, headers: &HeaderMap, answered: bool) -> bool {
        let Scheme::Digest { nonce, .. } = &self.scheme else { return false };
        let challenge = best_challenge(headers);
        let again = challenge.as_ref().is_some_and(|challenge| !answered || challenge.stale());
        *nonce.lock().unwrap_or_else(PoisonError::into_inner) = challenge.filter(|_| again);
        again
    }

    /// The scheme that was used and those that are offered, where it is none of them.
    pub fn unasked(&self, headers: &HeaderMap) -> Option<(&'static str, String)> {
        let used = match self.scheme {
            Scheme::None => return None,
            Scheme::Basic(_) => "Basic",
            Scheme::Digest { .. } => "Digest",
        };
        let mut offered: Vec<&str> = Vec::new();
        for value in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
            offered.extend(parse_challenges(value).ok()?.iter().map(|challenge| challenge.scheme));
        }
        let is_offered = offered.iter().any(|scheme| scheme.eq_ignore_ascii_case(used));
        offered.dedup_by(|a, b| a.eq_ignore_ascii_case(b));
        (!is_offered && !offered.is_empty()).then(|| (used, offered.join(", ")))
    }
}

/// SHA-256 before MD5, and only with `qop`: without it an answer can be replayed.
fn best_challenge(headers: &HeaderMap) -> Option<DigestClient> {
    let mut best: Option<DigestClient> = None;
    for value in headers.get_all(WWW_AUTHENTICATE) {
        let Some(challenges) = value.to_str().ok().and_then(|value| parse_challenges(value).ok()) else {
            continue;
        };
        for client in challenges.iter().filter_map(|challenge| DigestClient::try_from(challenge).ok()) {
            let is_better = best.as_ref().is_none_or(|best| rank(&client) > rank(best));
            if is_better && !client.rfc2069_compat() && client.qop() & Qop::Auth {
                best = Some(client);
            }
        }
    }
    best
}

fn rank(client: &DigestClient) -> u8 {
    match client.algorithm() {
        Algorithm::Md5 => 0,
        _ => 1,
    }
}

fn sensitive(value: &str) -> Result<HeaderValue, ClientError> {
    let mut value = HeaderValue::from_str(value).map_err(|_| ClientError::Setup {
        what: "user".to_owned(),
        why: "it cannot be put into a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok(value)
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.scheme {
            Scheme::None => "None",
            Scheme::Basic(_) => "Basic",
            Scheme::Digest { .. } => "Digest",
        })
    }
}
