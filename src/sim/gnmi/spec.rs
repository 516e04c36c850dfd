//! What a simulated gNMI target is, and what real ones do besides the specification.

use std::time::Duration;

use secrecy::SecretString;
use tonic::Code;

use super::native::Documents;
use crate::gnmi::Encoding;
use crate::sim::cli::CliSpec;

/// The gNMI side of a switch. Whoever has the switch's password may use it; without a password,
/// whoever has a certificate of [`GnmiTls::client_ca`]; without either, nobody.
#[derive(Clone, Debug)]
pub struct GnmiSpec {
    /// On the address of the SSH server; 0 takes a free one.
    pub port: u16,
    /// Without it the connection is plaintext.
    pub tls: Option<GnmiTls>,
    /// What Capabilities says. JSON and JSON_IETF are carried out.
    pub encodings: Vec<Encoding>,
    /// Undoes a commit whose request names no time.
    pub rollback: Duration,
    pub quirks: GnmiQuirks,
    /// What it has of models of its own, by their origin.
    pub documents: Documents,
    /// The command line under the origin `cli`, one with configuration sessions.
    pub cli: Option<CliSpec>,
}

impl Default for GnmiSpec {
    /// A free port, plaintext, both JSON encodings, as the specification has it.
    fn default() -> Self {
        Self {
            port: 0,
            tls: None,
            encodings: vec![Encoding::JsonIetf, Encoding::Json],
            rollback: Duration::from_secs(600),
            quirks: GnmiQuirks::default(),
            documents: Documents::new(),
            cli: None,
        }
    }
}

/// How a target shows itself and whom it lets in. All of it PEM.
#[derive(Clone, Debug)]
pub struct GnmiTls {
    /// Its certificate, then those between it and the authority.
    pub certificate: String,
    pub key: SecretString,
    /// The authority of the clients, who all need a certificate then.
    pub client_ca: Option<String>,
}

/// Habits of real targets that the specification does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GnmiQuirks {
    /// Advertised, and refused with UNIMPLEMENTED.
    pub refused_encodings: Vec<Encoding>,
    pub commit: CommitExtension,
    /// A commit that is not valid stays pending until it is cancelled, and changes nothing.
    pub keeps_failed_commit: bool,
    /// Carries a Set out and answers with this error.
    pub fails_after_applying: Option<Code>,
    /// Checks a Set, answers OK and does not carry it out.
    pub applies_nothing: bool,
    /// Answers a Set without one result.
    pub no_results: bool,
    /// Does not say which path a result is about.
    pub no_result_paths: bool,
    /// Timestamps are seconds.
    pub seconds: bool,
    pub body_keys: BodyKeys,
    /// Get takes no type but ALL; others are UNIMPLEMENTED.
    pub all_only: bool,
    /// Takes leaf-lists in the body of their container only.
    pub no_leaf_list_arrays: bool,
    /// Answers a Get leaf by leaf.
    pub per_leaf: bool,
    pub prefixes: Prefixes,
    /// A path without origin is not valid.
    pub origin_required: bool,
    /// Modules that it has and does not list in its Capabilities.
    pub unlisted: Vec<String>,
}

/// What a target makes of the commit-confirmed extension. It never advertises it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CommitExtension {
    #[default]
    Supported,
    /// Answers OK; a Set with it is a plain one.
    Ignored,
    Unimplemented,
}

/// Keys in the body of a list entry that the path names already.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BodyKeys {
    #[default]
    Optional,
    Required,
    Refused,
}

/// Modules' names before the members of a JSON object.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Prefixes {
    /// Given as RFC 7951 4 asks, and not asked for where one module only can be meant.
    #[default]
    Any,
    /// Also asked for, at the top of a value and where the module changes.
    Required,
    /// Neither given nor taken.
    Absent,
}

/// A gRPC status by its name: `unavailable`, `failed-precondition`, `INVALID_ARGUMENT`.
pub fn code(name: &str) -> Option<Code> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_'], "");
    (1..=16).map(Code::from_i32).find(|code| plain(&format!("{code:?}")) == plain(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes() {
        assert_eq!(code("unavailable"), Some(Code::Unavailable));
        assert_eq!(code("failed-precondition"), Some(Code::FailedPrecondition));
        assert_eq!(code("INVALID_ARGUMENT"), Some(Code::InvalidArgument));
        assert_eq!(code("operation-failed"), None);
    }
}
