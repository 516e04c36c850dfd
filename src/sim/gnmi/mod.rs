//! The gNMI side of a switch, over the same datastores as its NETCONF side (gNMI specification 0.10,
//! gnmi-commit-confirmed.md). It shares the wire messages with Mercury's client and nothing else.
//!
//! `server` (connections, TLS) -> `service` (who may, faults) -> `get` and `set` -> `path`, `value`,
//! `edit` -> the store, or `native` for models that have no schema here. [`GnmiQuirks`] is what real targets do besides the specification.

mod answer;
mod edit;
mod get;
mod native;
mod path;
mod server;
mod service;
mod set;
mod spec;
mod tls;
mod value;

#[cfg(test)]
mod tests;

use std::time::{SystemTime, UNIX_EPOCH};

use tonic::Status;

pub use native::Documents;
pub use spec::{BodyKeys, CommitExtension, GnmiQuirks, GnmiSpec, GnmiTls, Prefixes, code};

pub use tls::TlsError;

pub(super) use server::{Listener, listen};
pub(super) use service::Service;

/// What libyang cannot do for reasons other than the data.
fn broken(error: impl ToString) -> Status {
    Status::internal(error.to_string())
}

/// Now, in nanoseconds unless a quirk has it otherwise.
fn timestamp(spec: &GnmiSpec) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = if spec.quirks.seconds { u128::from(now.as_secs()) } else { now.as_nanos() };
    i64::try_from(now).unwrap_or(i64::MAX)
}
