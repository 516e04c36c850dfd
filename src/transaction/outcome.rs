//! How a change to one device can end. Nothing else exists.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A step of the transaction, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Waiting for the device's worker and lock file.
    Queue,
    Connect,
    /// Finishing what an earlier process left in the journal.
    Recover,
    /// Locking and reading running.
    Lock,
    Plan,
    /// Writing the journal before the device is changed.
    Journal,
    /// The edit into the candidate.
    Stage,
    /// The commit, timed where the device can.
    Commit,
    /// Comparing running with the plan.
    Verify,
    Confirm,
    Save,
    /// Taking the change back.
    Undo,
    /// Finding out, in a fresh session, what a lost answer meant.
    Settle,
    Unlock,
}

/// How it ended for one device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "result")]
pub enum Outcome {
    /// The device already was as asked; nothing was sent that changes it.
    Unchanged,
    /// Committed, read back and found as planned, confirmed. Not verified is what the switch took without
    /// a word, where it never tells what it holds.
    Applied {
        saved: Saved,
        #[serde(skip_serializing_if = "is_so", default = "so")]
        verified: bool,
    },
    /// The running configuration is as it was before; `phase` is where it failed and `cause` why. Not
    /// compared is what was not sent, or not taken by who never tells what it holds.
    RolledBack {
        phase: Phase,
        cause: String,
        #[serde(skip_serializing_if = "is_so", default = "so")]
        compared: bool,
    },
    /// What the device holds is not known; `cause` says why and where to look.
    Unknown { phase: Phase, cause: String },
}

/// Whether the change survives a reboot of the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Saved {
    /// The device has no separate startup datastore: what is committed is kept.
    WithCommit,
    /// Copied to startup as part of the transaction.
    ToStartup,
    /// The operator's `save = "never"`.
    No,
}

/// How long each phase took, in the order they ran.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timings(pub Vec<(Phase, Duration)>);

fn so() -> bool {
    true
}

fn is_so(said: &bool) -> bool {
    *said
}

impl fmt::Display for Saved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Saved::WithCommit => "with_commit",
            Saved::ToStartup => "to_startup",
            Saved::No => "no",
        })
    }
}

impl Phase {
    /// Whether a failure here leaves the device untouched without anything having to be undone.
    pub fn is_before_change(self) -> bool {
        self <= Phase::Journal
    }

    /// As logs, metrics and messages name it.
    pub fn word(self) -> &'static str {
        match self {
            Phase::Queue => "queue",
            Phase::Connect => "connect",
            Phase::Recover => "recover",
            Phase::Lock => "lock",
            Phase::Plan => "plan",
            Phase::Journal => "journal",
            Phase::Stage => "stage",
            Phase::Commit => "commit",
            Phase::Verify => "verify",
            Phase::Confirm => "confirm",
            Phase::Save => "save",
            Phase::Undo => "undo",
            Phase::Settle => "settle",
            Phase::Unlock => "unlock",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Unchanged => f.write_str("unchanged"),
            Outcome::Applied { verified: true, .. } => f.write_str("applied"),
            Outcome::Applied { verified: false, .. } => f.write_str(
                "applied, not verified: the switch took every line, and what it holds cannot be read",
            ),
            Outcome::RolledBack { phase, cause, compared } if phase.is_before_change() || !compared => {
                write!(f, "failed in phase {phase}: {cause}; the switch is as before, nothing was changed")
            }
            Outcome::RolledBack { phase, cause, .. } => {
                write!(f, "failed in phase {phase}: {cause}; the switch is as before, read back and compared")
            }
            Outcome::Unknown { phase, cause } => {
                write!(f, "failed in phase {phase}: {cause}; what the switch holds now is NOT KNOWN")
            }
        }
    }
}

impl Outcome {
    /// Undone and compared, or never begun.
    pub fn as_before(phase: Phase, cause: String) -> Self {
        Self::RolledBack { phase, cause, compared: true }
    }

    /// One word for logs and callers.
    pub fn word(&self) -> &'static str {
        match self {
            Outcome::Unchanged => "unchanged",
            Outcome::Applied { .. } => "applied",
            Outcome::RolledBack { .. } => "rolled_back",
            Outcome::Unknown { .. } => "unknown",
        }
    }

    pub fn is_success(&self) -> bool {
        matches!(self, Outcome::Unchanged | Outcome::Applied { .. })
    }
}

impl fmt::Display for Timings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, (phase, took)) in self.0.iter().enumerate() {
            let space = if n > 0 { " " } else { "" };
            write!(f, "{space}{phase}={:.1}ms", took.as_secs_f64() * 1e3)?;
        }
        Ok(())
    }
}

impl Serialize for Timings {
    /// `[{"phase": "lock", "ms": 0.8}, ...]`: an object has no order, and a phase may come twice.
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Took {
            phase: Phase,
            ms: f64,
        }
        let took = |(phase, took): &(Phase, Duration)| Took { phase: *phase, ms: milliseconds(*took) };
        serializer.collect_seq(self.0.iter().map(took))
    }
}

/// To a tenth of a millisecond: what is finer is the weather.
pub fn milliseconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timings_keep_their_order_and_are_rounded() {
        let timings = Timings(vec![
            (Phase::Queue, Duration::from_micros(149)),
            (Phase::Commit, Duration::from_micros(12_351)),
            (Phase::Connect, Duration::ZERO),
            (Phase::Commit, Duration::from_secs(1)),
        ]);
        assert_eq!(
            serde_json::to_string(&timings).unwrap(),
            r#"[{"phase":"queue","ms":0.1},{"phase":"commit","ms":12.4},{"phase":"connect","ms":0.0},{"phase":"commit","ms":1000.0}]"#
        );
    }
}
