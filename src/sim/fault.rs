//! Faults that a switch commits on purpose, and when.

use std::str::FromStr;
use std::time::Duration;

/// One fault: at which message, and what then. As text `commit:drop-after`,
/// `edit-config@2:reject=invalid-value`, `any@every:delay=20ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FaultSpec {
    /// An rpc's name, or `hello`, `any`, `confirmed-commit` (a commit that starts or extends a
    /// timer) or `confirm` (a commit without a timer while one is pending). By gNMI
    /// `gnmi-capabilities`, `gnmi-get`, `gnmi-set`, or with the commit extension `gnmi-commit`,
    /// `gnmi-confirm`, `gnmi-cancel` or `gnmi-set-rollback-duration`.
    pub rpc: String,
    pub nth: Nth,
    pub what: What,
}

/// What a fault may be at.
const MESSAGES: [&str; 25] = [
    "any",
    "hello",
    "get",
    "get-config",
    "get-schema",
    "edit-config",
    "copy-config",
    "delete-config",
    "lock",
    "unlock",
    "validate",
    "commit",
    "confirmed-commit",
    "confirm",
    "cancel-commit",
    "discard-changes",
    "close-session",
    "kill-session",
    "gnmi-capabilities",
    "gnmi-get",
    "gnmi-set",
    "gnmi-commit",
    "gnmi-confirm",
    "gnmi-cancel",
    "gnmi-set-rollback-duration",
];

/// Which occurrence, counted over all sessions from the moment the fault is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nth {
    /// The first is 1.
    Only(u32),
    Every,
}

/// What goes wrong. By gNMI there are neither [`What::Close`] nor [`What::Doctype`]: all goes well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// No effect; an rpc-error with this error-tag. A hello is not sent, the connection closes. By
    /// gNMI the gRPC status of this name, ABORTED if it is none.
    Reject(String),
    /// The effect, and an answer as to [`What::Reject`].
    RejectAfter(String),
    /// No effect, no answer, the connection closes.
    DropBefore,
    /// The effect, no answer, the connection closes.
    DropAfter,
    /// No effect, no answer; the session stays open and says nothing more.
    HangBefore,
    /// The effect, no answer; the session stays open and says nothing more.
    HangAfter,
    /// The effect and the answer, then the connection closes.
    Close,
    /// The effect; the answer breaks off, and the connection closes, by gNMI only the stream.
    BreakOff,
    /// The effect; the answer has a broken chunk header, or broken XML in base:1.0 framing; by gNMI
    /// it is no protobuf.
    Malformed,
    /// The effect; the answer has a document type declaration.
    Doctype,
    /// The effect; the answer is well framed and no XML; by gNMI it is a web page.
    NotXml,
    /// Effect and answer come this much later.
    Delay(Duration),
}

/// A text that names no fault.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a fault: {why}")]
pub struct FaultSpecError {
    text: String,
    why: String,
}

impl FaultSpecError {
    pub(super) fn new(text: &str, why: &str) -> Self {
        Self { text: text.to_owned(), why: why.to_owned() }
    }
}

impl FaultSpec {
    /// The first occurrence of `rpc`.
    pub fn once(rpc: &str, what: What) -> Self {
        Self { rpc: rpc.to_owned(), nth: Nth::Only(1), what }
    }

    /// Each occurrence of `rpc`.
    pub fn every(rpc: &str, what: What) -> Self {
        Self { rpc: rpc.to_owned(), nth: Nth::Every, what }
    }
}

const KINDS: &str = "reject[=TAG], reject-after[=TAG], drop-before, drop-after, hang-before, hang-after, close, \
                     break-off, malformed, doctype, not-xml, delay=TIME";

impl FromStr for FaultSpec {
    type Err = FaultSpecError;

    fn from_str(text: &str) -> Result<Self, FaultSpecError> {
        let fail = |why: &str| FaultSpecError::new(text, why);
        let (when, what) = text.split_once(':').ok_or_else(|| fail("write `rpc:what`"))?;
        let (rpc, nth) = match when.split_once('@') {
            None => (when, Nth::Only(1)),
            Some((rpc, "every")) => (rpc, Nth::Every),
            Some((rpc, nth)) => {
                let nth = nth.parse().ok().filter(|nth| *nth > 0);
                (rpc, Nth::Only(nth.ok_or_else(|| fail("after `@` comes a number from 1, or `every`"))?))
            }
        };
        if !MESSAGES.contains(&rpc) {
            return Err(fail(&format!("no message is called `{rpc}`, only {}", MESSAGES.join(", "))));
        }
        let what = match what.split_once('=').unwrap_or((what, "")) {
            ("reject", "") => What::Reject("operation-failed".to_owned()),
            ("reject", tag) => What::Reject(tag.to_owned()),
            ("reject-after", "") => What::RejectAfter("operation-failed".to_owned()),
            ("reject-after", tag) => What::RejectAfter(tag.to_owned()),
            ("delay", time) => What::Delay(duration(time).ok_or_else(|| fail("write `delay=20ms`"))?),
            ("drop-before", "") => What::DropBefore,
            ("drop-after", "") => What::DropAfter,
            ("hang-before", "") => What::HangBefore,
            ("hang-after", "") => What::HangAfter,
            ("close", "") => What::Close,
            ("break-off", "") => What::BreakOff,
            ("malformed", "") => What::Malformed,
            ("doctype", "") => What::Doctype,
            ("not-xml", "") => What::NotXml,
            _ => return Err(fail(&format!("after the name comes one of {KINDS}"))),
        };
        Ok(Self { rpc: rpc.to_owned(), nth, what })
    }
}

/// `20ms`, `500us`, `2s`.
pub fn duration(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let number = digits.parse().ok()?;
    match unit {
        "us" => Some(Duration::from_micros(number)),
        "ms" => Some(Duration::from_millis(number)),
        "s" => Some(Duration::from_secs(number)),
        _ => None,
    }
}

/// The faults of one switch with what they have counted so far.
#[derive(Default)]
pub(super) struct Faults(Vec<(FaultSpec, u32)>);

impl Faults {
    pub fn add(&mut self, fault: FaultSpec) {
        self.0.push((fault, 0));
    }

    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// What a message that just arrived runs into. Every fault counts it; the first one due wins.
    pub fn due(&mut self, rpc: &str) -> Option<What> {
        let mut due = None;
        for (fault, seen) in &mut self.0 {
            // A session cannot begin without hello: `any` means any rpc.
            if fault.rpc != rpc && (fault.rpc != "any" || rpc == "hello") {
                continue;
            }
            *seen += 1;
            let now = match fault.nth {
                Nth::Every => true,
                Nth::Only(nth) => nth == *seen,
            };
            if now && due.is_none() {
                due = Some(fault.what.clone());
            }
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        assert_eq!("commit:drop-after".parse(), Ok(FaultSpec::once("commit", What::DropAfter)));
        assert_eq!(
            "any@every:delay=500us".parse(),
            Ok(FaultSpec::every("any", What::Delay(Duration::from_micros(500))))
        );
        assert_eq!(
            "gnmi-set:reject-after=internal".parse(),
            Ok(FaultSpec::once("gnmi-set", What::RejectAfter("internal".into())))
        );
        assert_eq!(
            "lock@3:reject=in-use".parse(),
            Ok(FaultSpec { rpc: "lock".into(), nth: Nth::Only(3), what: What::Reject("in-use".into()) })
        );
        for bad in [
            "",
            "commit",
            ":close",
            "comit:close",
            "commit@0:close",
            "commit@x:close",
            "commit:boom",
            "commit:delay=5",
        ] {
            assert!(bad.parse::<FaultSpec>().is_err(), "{bad}");
        }
    }

    #[test]
    fn occurrences() {
        let mut faults = Faults::default();
        faults.add("lock@2:close".parse().unwrap());
        faults.add("any@3:malformed".parse().unwrap());
        let got = ["hello", "lock", "lock", "commit", "lock"].map(|rpc| faults.due(rpc));
        assert_eq!(got, [None, None, Some(What::Close), Some(What::Malformed), None]);
    }
}
