//! Who changed what, when, why and how: one JSON line for every change of a port, and for every
//! change that was refused. A line that cannot be written is counted, and changes nothing else.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime as _, SystemTime};

use crate::intent::{Caller, Intent, Request};
use crate::metrics;
use crate::plan::Plan;
use crate::transaction::Report;
use crate::transaction::outcome::{Outcome, Phase, Saved, Timings, milliseconds};
use crate::transaction::shared::Ended;

/// The log's target for these lines.
pub const TARGET: &str = "mercury::audit";

/// Where the lines go besides the log.
static SINK: Mutex<Option<Sink>> = Mutex::new(None);

/// A place for JSON lines.
#[derive(Debug)]
pub enum Sink {
    Stderr,
    /// Appended to. After a write that failed the next begins on a line of its own.
    File {
        file: File,
        is_torn: bool,
    },
}

#[derive(Default, Serialize)]
struct Line<'a> {
    timestamp: String,
    target: &'static str,
    outcome: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    roles: &'a [String],
    peer: &'a str,
    /// Who it was proven to be.
    principal: String,
    method: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    port: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    action: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    transport: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    phases: Option<&'a Timings>,
    /// From the request's arrival to its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    took_ms: Option<f64>,
    /// Changes that went out in the same commit.
    #[serde(skip_serializing_if = "Option::is_none")]
    group: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    digest: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    saved: Option<Saved>,
    /// False where a change was applied to a switch that never tells what it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    verified: Option<bool>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    risks: Vec<String>,
    /// Where it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<Phase>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<&'a str>,
}

impl Sink {
    /// Opens a file to append to; a new one is readable by its owner only.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Self::File { file, is_torn: false })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        match self {
            Self::Stderr => io::stderr().lock().write_all(line),
            Self::File { file, is_torn } => {
                if *is_torn {
                    file.write_all(b"\n")?;
                }
                *is_torn = true;
                file.write_all(line)?;
                *is_torn = false;
                Ok(())
            }
        }
    }
}

/// Puts a sink in the place of the present one.
pub fn install(sink: Sink) {
    *SINK.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
}

/// The change of one port, or of a network on one device, ended `took` after it arrived.
pub fn record(request: &Request, report: &Report, took: Duration) {
    let counted = match &report.outcome {
        Outcome::Applied { verified: false, .. } => "applied_not_verified",
        outcome => outcome.word(),
    };
    metrics::ended(counted, &report.timings);
    let subject = request.intent.subject().to_string();
    let summary = report.plan.as_ref().map(Plan::summary);
    let (before, after) = summary.unwrap_or_else(|| ("not read".to_owned(), "not planned".to_owned()));
    let (phase, cause) = match &report.outcome {
        Outcome::RolledBack { phase, cause, .. } | Outcome::Unknown { phase, cause } => {
            (Some(*phase), Some(cause.as_str()))
        }
        Outcome::Unchanged | Outcome::Applied { .. } => (None, None),
    };
    let risks = report.plan.iter().flat_map(|plan| &plan.risks).chain(&report.risks);
    emit(Line {
        outcome: report.outcome.word(),
        device: Some(&request.device.name),
        port: Some(&subject),
        action: Some(request.intent.verb()),
        description: match &request.intent {
            Intent::Attach(attach) => attach.description.as_ref().map(|text| text.as_str()),
            _ => None,
        },
        before: Some(before),
        after: Some(after),
        transport: Some(&report.transport),
        phases: Some(&report.timings),
        took_ms: Some(milliseconds(took)),
        group: Some(report.group),
        digest: report.plan.as_ref().map(|plan| plan.digest.as_str()),
        saved: match &report.outcome {
            Outcome::Applied { saved, .. } => Some(*saved),
            _ => None,
        },
        verified: match &report.outcome {
            Outcome::Applied { verified, .. } => Some(*verified),
            _ => None,
        },
        risks: risks.map(ToString::to_string).collect(),
        phase,
        cause,
        ..Line::of(&request.caller)
    });
}

/// A change that was interrupted, by a crash or by a switch that went away, has come to its end.
pub fn settled(ended: &Ended) {
    let Ended { record, outcome, why } = ended;
    let request_ids = record.request_ids.join(",");
    let caller = Caller { request_id: request_ids, ..Caller::default() };
    let ports = record.way_back.ports.keys().map(String::as_str);
    let ports: Vec<Option<&str>> = ports.map(Some).collect();
    for port in if ports.is_empty() { &[None][..] } else { &ports } {
        emit(Line {
            outcome,
            device: Some(&record.device),
            port: *port,
            action: Some("recover"),
            transport: Some(&record.transport),
            digest: Some(&record.digest),
            cause: Some(why),
            ..Line::of(&caller)
        });
    }
}

/// A change was not even tried: the caller may not, or what it asks is wrong or not allowed. `ports`
/// are switches and ports as the caller named them, if it came so far; each gets a line.
pub fn refused(caller: &Caller, ports: &[(String, String)], code: i64, why: &str) {
    unplanned("refused", caller, ports, code, why);
}

/// The service failed while it worked on a change: what the switches hold is not known.
pub fn broken(caller: &Caller, ports: &[(String, String)], code: i64, why: &str) {
    unplanned("unknown", caller, ports, code, why);
}

fn unplanned(outcome: &'static str, caller: &Caller, ports: &[(String, String)], code: i64, why: &str) {
    metrics::ended(outcome, &Timings::default());
    let line = || Line { outcome, code: Some(code), cause: Some(why), ..Line::of(caller) };
    if ports.is_empty() {
        emit(line());
    }
    for (device, port) in ports {
        emit(Line { device: Some(device), port: Some(port), ..line() });
    }
}

impl<'a> Line<'a> {
    fn of(caller: &'a Caller) -> Self {
        let mut timestamp = String::new();
        // RFC 3339, in UTC. Writing into a string does not fail.
        SystemTime.format_time(&mut Writer::new(&mut timestamp)).unwrap_or_default();
        Self {
            timestamp,
            target: TARGET,
            request_id: &caller.request_id,
            user: caller.user.as_deref(),
            roles: &caller.roles,
            peer: &caller.peer,
            principal: caller.principal.to_string(),
            method: &caller.method,
            ..Self::default()
        }
    }
}

fn emit(line: Line) {
    let mut sink = SINK.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sink) = &mut *sink {
        let written = serde_json::to_vec(&line).map_err(io::Error::from).and_then(|mut json| {
            json.push(b'\n');
            sink.write(&json)
        });
        if let Err(error) = written {
            metrics::audit_failed();
            tracing::error!(%error, request_id = line.request_id, "a line of the audit is lost");
        }
    }
    drop(sink);
    macro_rules! event {
        ($level:ident) => {
            tracing::$level!(
                target: TARGET,
                request_id = line.request_id,
                user = line.user,
                roles = line.roles.join(","),
                peer = line.peer,
                principal = line.principal,
                method = line.method,
                device = line.device,
                port = line.port,
                action = line.action,
                description = line.description,
                before = line.before,
                after = line.after,
                transport = line.transport,
                phases = line.phases.map(tracing::field::display),
                took_ms = line.took_ms,
                group = line.group,
                digest = line.digest,
                outcome = line.outcome,
                saved = line.saved.map(tracing::field::display),
                verified = line.verified,
                risks = (!line.risks.is_empty()).then(|| line.risks.join("; ")),
                phase = line.phase.map(tracing::field::display),
                code = line.code,
                cause = line.cause,
            )
        };
    }
    match line.outcome {
        "unknown" => event!(error),
        "rolled_back" | "refused" => event!(warn),
        _ => event!(info),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_file_is_private_and_appended_to() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        for line in [b"1\n", b"2\n"] {
            Sink::open(&path).unwrap().write(line).unwrap();
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "1\n2\n");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_line_after_a_failed_one_is_its_own() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        std::fs::write(&path, "{\"half").unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        Sink::File { file, is_torn: true }.write(b"{}\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "{\"half\n{}\n");
        let full = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut sink = Sink::File { file: full, is_torn: false };
        assert!(sink.write(b"{}\n").is_err());
        assert!(matches!(sink, Sink::File { is_torn: true, .. }));
    }
}
