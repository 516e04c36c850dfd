//! Sessions to devices. A method of [`Session`] is one flight: what may be sent without waiting
//! for an answer in between, and no more. Sessions are verbs without policy; what to do when
//! one fails is decided in [`crate::transaction`].

mod aside;
mod choice;
pub mod cli;
pub mod gnmi;
pub mod netconf;
mod rows;
pub mod ssh;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

pub use crate::device::Timed;
use crate::device::{Device, Speaks};
use crate::path::Path;
use crate::render::Payload;
use crate::schema::Schema;
use crate::slice::Slice;
pub(crate) use choice::told;
pub use choice::{Chosen, Connect, Tried, Verdict, choose, open, reason, ways};
use cli::CliConnector;
use gnmi::GnmiConnector;
use netconf::NetconfConnector;
pub(crate) use rows::{reported, understood};

/// What the device at the other end of an open session can do, from its own hello.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promises {
    /// A candidate datastore (RFC 6241 8.3). Without it edits go to running.
    pub candidate: bool,
    pub timed: Timed,
    /// One edit is all or nothing: a candidate, or rollback-on-error (RFC 6241 8.5).
    pub atomic: bool,
    /// The device can keep other sessions out while we work.
    pub locks: bool,
    /// Running must be copied to a startup datastore to survive a reboot (RFC 6241 8.7).
    pub startup: bool,
    /// What that datastore holds can be read.
    pub reads_startup: bool,
    /// What runs survives a reboot: by itself, or once it is in startup.
    pub keeps: bool,
}

/// One rpc-error, all seven fields of RFC 6241 4.3, in the device's own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceError {
    pub error_type: String,
    pub tag: String,
    pub severity: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub app_tag: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// The content of error-info as XML text, without the element itself.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub info: Option<String>,
}

/// Why a flight did not do what it should. Told apart because each is undone differently.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The device answered no. What it holds is known.
    #[error("the device refused: {}", join(.0))]
    Rejected(Vec<DeviceError>),
    /// Nothing of this flight reached the device.
    #[error("not sent: {0}")]
    NotSent(Cause),
    /// Sent, and no answer that can be trusted came. The device may or may not have acted.
    #[error("no answer: {0}")]
    Lost(Cause),
}

/// What went wrong below the protocol.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Cause {
    #[error("cannot connect to {address}: {why}")]
    Connect { address: String, why: String },
    /// Nothing listens there, or what does speaks another protocol.
    #[error("cannot connect to {address}: {why}")]
    Absent { address: String, why: String },
    /// The host key is unknown or is not the one recorded.
    #[error("host key of {address} refused: {why}")]
    HostKey { address: String, why: String },
    #[error("{address} refused the login of user `{user}` ({offered})")]
    Login { address: String, user: String, offered: String },
    #[error("deadline passed while {0}")]
    Deadline(&'static str),
    #[error("session closed: {0}")]
    Closed(String),
    /// The peer sent something that is not what the protocol allows.
    #[error("malformed message: {0}")]
    Malformed(String),
    /// A command line did not come back to its prompt; what its last line says.
    #[error("deadline passed before the prompt came back; the last line is `{0}`")]
    NoPrompt(String),
    /// A command line did not let us configure.
    #[error("enable refused: {0}")]
    Enable(String),
    /// None of the ways that its profile lists could be taken; why not, each by its name.
    #[error("{0}")]
    NoWay(String),
    /// The device offers too little for what is asked of it.
    #[error("unsupported: {0}")]
    Unsupported(String),
}

/// What a device lists of itself when a session begins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offers {
    /// Modules and their revisions or versions, which may be empty; none: it lists no modules.
    pub models: BTreeMap<String, String>,
    /// Those are not all: the others stand in its YANG library (RFC 8526).
    pub has_more: bool,
    /// Everything else that it lists, in its own words.
    pub capabilities: Vec<String>,
}

/// What to read: subtrees, and the schema that gives the answer its meaning.
#[derive(Clone)]
pub struct ReadSet {
    /// Absolute paths; each selects the node and all below it. Sorted, none inside another.
    pub paths: Vec<Path>,
    pub schema: Arc<Schema>,
}

/// Which datastore to read (RFC 6241 5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    Running,
    Startup,
}

/// How to commit. For a device without a candidate, committing is sending the held payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// For good.
    Plain,
    /// The device undoes it after `timeout` (whole seconds) unless confirmed. `persist_id` is
    /// sent only where [`Promises::timed`] is [`Timed::Persist`].
    Timed { timeout: Duration, persist_id: String },
}

/// The two answers of the flight [commit, read back].
#[derive(Debug)]
pub struct Committed {
    pub commit: Result<(), Fault>,
    pub running: Result<Slice, Fault>,
}

/// The two answers of the flight [read running, read state].
#[derive(Debug)]
pub struct Observed {
    pub running: Slice,
    /// Devices need not offer it.
    pub state: Result<Slice, Fault>,
}

/// An open session to one device. Every method returns by `deadline`; a method that times out or
/// loses its answer leaves the session unusable ([`Session::is_open`] is false).
#[async_trait]
pub trait Session: Send {
    fn promises(&self) -> &Promises;

    /// False when the peer closed, or an answer was lost: open another.
    fn is_open(&self) -> bool;

    /// Transport and why it was chosen, for the log: `netconf (candidate, confirm by persist-id)`.
    fn describe(&self) -> String;

    /// What the device listed of itself.
    fn offers(&self) -> Offers {
        Offers::default()
    }

    /// Reads without locking.
    async fn read(&mut self, store: Store, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault>;

    /// [read running, read state] without locking. What of `state` the device does not report is not
    /// in the answer: no default stands in for it.
    async fn observe(
        &mut self,
        running: &ReadSet,
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Observed, Fault>;

    /// [lock, read running]. Locks candidate (if any), running (unless it changes only by commits
    /// of the candidate) and startup (if any), in that order. On a fault no lock of ours is left
    /// as long as the session lives.
    async fn begin(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault>;

    /// `[edit]` into the candidate, which may be named by the id that the commit's timer will have.
    /// Without a candidate the payload is only held.
    async fn stage(&mut self, payload: &Payload, id: &str, deadline: Instant) -> Result<(), Fault>;

    /// [commit, read running back].
    async fn commit(&mut self, how: &Commit, reads: &ReadSet, deadline: Instant) -> Committed;

    /// What the device said of itself to lines of the last commit that it took, for people: empty
    /// where it only says yes or no.
    fn said(&mut self) -> String {
        String::new()
    }

    /// `[confirm, unlock]`, or `[confirm]` alone when a save must follow under the lock.
    async fn confirm(&mut self, persist_id: &str, then_unlock: bool, deadline: Instant) -> Result<(), Fault>;

    /// Cancels a pending timed commit (RFC 6241 8.4.4.1) whoever made it, if it has this id.
    async fn cancel(&mut self, persist_id: &str, deadline: Instant) -> Result<(), Fault>;

    /// The pending timed commit of this id waits so much longer for its confirm, from now on (whole seconds).
    async fn prolong(&mut self, id: &str, timeout: Duration, deadline: Instant) -> Result<(), Fault> {
        let _ = (id, timeout, deadline);
        Err(Fault::NotSent(Cause::Unsupported("a pending commit's timer is set over gNMI only".to_owned())))
    }

    /// Whether the commit may be pending still whose confirm or cancel was refused so. Where it keeps
    /// others from a lock, the lock tells.
    fn may_be_pending(&self, _refusal: &[DeviceError]) -> bool {
        false
    }

    /// [copy running to startup].
    async fn save(&mut self, deadline: Instant) -> Result<(), Fault>;

    /// [discard if we staged something and `discard_ours`, unlock all we hold].
    async fn release(&mut self, discard_ours: bool, deadline: Instant) -> Result<(), Fault>;

    /// The text of one of the device's YANG modules, which no one has checked.
    async fn module(
        &mut self,
        name: &str,
        revision: Option<&str>,
        deadline: Instant,
    ) -> Result<String, Fault> {
        let _ = (name, revision, deadline);
        Err(Fault::NotSent(Cause::Unsupported("models are told over NETCONF only (get-schema)".to_owned())))
    }

    /// Says goodbye (close-session) without waiting long; errors do not matter any more.
    async fn close(&mut self);
}

/// Opens sessions to one device.
#[async_trait]
pub trait Connector: Send + Sync {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault>;
}

/// The way to a device that its profile tells.
pub fn connector(device: &Arc<Device>) -> Arc<dyn Connector> {
    match &device.profile.speaks {
        Speaks::Netconf(habits) => Arc::new(NetconfConnector::new(device.clone(), habits.clone())),
        Speaks::Gnmi(habits) => Arc::new(GnmiConnector::new(device.clone(), habits.clone())),
        Speaks::Cli(habits) => Arc::new(CliConnector::new(device.clone(), habits.clone())),
    }
}

impl fmt::Display for DeviceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", shown(&self.tag))?;
        if let Some(message) = &self.message {
            write!(f, ": {}", shown(message))?;
        }
        if let Some(path) = &self.path {
            write!(f, " (at {})", shown(path))?;
        }
        if let Some(app_tag) = &self.app_tag {
            write!(f, " [{}]", shown(app_tag))?;
        }
        if let Some(info) = &self.info {
            write!(f, " {}", shown(info))?;
        }
        Ok(())
    }
}

impl Fault {
    /// Whether a refusal says that another session's lock or pending commit is in the way
    /// (RFC 6241 appendix A), so that the same may be asked again.
    pub fn is_in_use(errors: &[DeviceError]) -> bool {
        errors.iter().any(|error| error.tag == "in-use")
    }
}

fn join(errors: &[DeviceError]) -> String {
    const MOST: usize = 10;
    let mut all: Vec<String> = errors.iter().take(MOST).map(ToString::to_string).collect();
    if errors.len() > MOST {
        all.push(format!("and {} more", errors.len() - MOST));
    }
    all.join("; ")
}

/// What a device says as it may stand in a log and in an answer: it cannot begin a line of its own,
/// and it comes to an end.
fn shown(text: &str) -> String {
    const MOST: usize = 1000;
    let mut shown = String::new();
    for (n, c) in text.chars().enumerate() {
        match c {
            _ if n == MOST => {
                shown.push_str("...");
                break;
            }
            c if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}') => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_device_says_stays_on_one_line_and_ends() {
        let message = format!("no\n2026-01-01 INFO applied\u{1b}[0m\u{2028}{}", "x".repeat(5000));
        let error = DeviceError { tag: "bad".to_owned(), message: Some(message), ..DeviceError::default() };
        let text = error.to_string();
        assert!(text.starts_with(r"bad: no\n2026-01-01 INFO applied\u{1b}[0m\u{2028}xxx"), "{text}");
        assert!(text.ends_with("x...") && text.len() < 1100);
        let many = Fault::Rejected(vec![error; 500_000]).to_string();
        assert!(many.ends_with("; and 499990 more") && many.len() < 12_000);
    }
}
