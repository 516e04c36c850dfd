//! Why a call has no result. What matters to who made it: may it have been carried out?

use serde::Serialize;
use serde_json::Value;

/// Why a call has no result. `to` is the address that was called.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The options, the address or the parameters cannot work; nothing was sent.
    #[error("{what}: {why}")]
    Setup { what: String, why: String },
    /// No connection came about, or it was gone before a byte of the request: nothing was carried out.
    #[error("{to}: not sent: {why}")]
    NotSent { to: String, why: String },
    /// Sent, and no complete answer came. A change may have been carried out, or may still be at work.
    #[error("{to}: {why}; whether it was carried out is NOT KNOWN")]
    Lost { to: String, why: String },
    /// An answer that is not JSON-RPC's, or longer than the limit.
    #[error("{to}: {why}; whether it was carried out is NOT KNOWN")]
    Malformed { to: String, why: String },
    /// HTTP refused or failed; `message` is what the service says of it.
    #[error("{to}: HTTP {status}: {message}")]
    Status { to: String, status: u16, message: String },
    /// The service asks for a user and password in another way than that in which they were to be shown.
    #[error("{to}: HTTP 401: it takes {offered}, and {used} was chosen")]
    Unasked { to: String, used: &'static str, offered: String },
    /// The service answered with an error.
    #[error(transparent)]
    Rpc(#[from] RpcFailure),
}

/// The error object of an answer (JSON-RPC 2.0, 5.1).
#[derive(Clone, Debug, Serialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcFailure {
    pub code: i64,
    pub message: String,
    /// Null where there is none, as in protocol errors.
    pub data: Value,
}

impl ClientError {
    /// Whether a change may have been carried out although there is no result. Then look at the port
    /// before asking again; asking for the same again does no harm.
    pub fn is_outcome_unknown(&self) -> bool {
        match self {
            Self::Setup { .. } | Self::NotSent { .. } | Self::Unasked { .. } => false,
            Self::Lost { .. } | Self::Malformed { .. } => true,
            // All other statuses say that the request went no further (RFC 9110 15).
            Self::Status { status, .. } => {
                !matches!(status, 300..=302 | 307 | 308 | 400..=499 | 501 | 503 | 505)
            }
            Self::Rpc(failure) => failure.outcome() == "unknown",
        }
    }
}

impl RpcFailure {
    /// The last word of the class that Ironic knows, such as `NetworkError`; empty in protocol errors.
    pub fn class(&self) -> &str {
        self.data["class"].as_str().and_then(|class| class.rsplit('.').next()).unwrap_or_default()
    }

    /// `rolled_back` or `unknown`; empty when nothing was begun.
    pub fn outcome(&self) -> &str {
        self.data["outcome"].as_str().unwrap_or_default()
    }

    /// The phase in which a change failed; empty when nothing was begun.
    pub fn phase(&self) -> &str {
        self.data["phase"].as_str().unwrap_or_default()
    }
}
