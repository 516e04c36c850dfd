//! A change as a reviewer reads it on a terminal.

use serde::Deserialize;
use serde_json::Value;

use crate::transaction::outcome::{Outcome, Phase};

#[derive(Deserialize)]
struct Shown {
    devices: Vec<ShownDevice>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ShownSubject {
    Port(String),
    Vlan(u16),
}

/// A [`DeviceChange`](super::DeviceChange) as JSON has it.
#[derive(Deserialize)]
struct ShownDevice {
    device: String,
    #[serde(flatten)]
    subject: ShownSubject,
    outcome: Option<Outcome>,
    before: String,
    after: String,
    diff: String,
    edits: Vec<Value>,
    payload: String,
    inverse: String,
    risks: Vec<String>,
    transport: String,
    timings: Vec<Took>,
    digest: String,
}

#[derive(Deserialize)]
struct Took {
    phase: Phase,
    ms: f64,
}

/// The text of a [`Change`](super::Change) as its callers receive it; none for any other JSON.
pub fn text(change: &Value) -> Option<String> {
    let shown = Shown::deserialize(change).ok()?;
    Some(shown.devices.iter().map(device).collect())
}

/// What a terminal can be shown: of control characters only ends of lines and tabs are left, since the
/// rest, which a service or a switch may have sent, can rewrite what stands there.
pub fn printable(text: &str) -> String {
    let shown = |c: char| match c {
        '\n' | '\t' => c.to_string(),
        c if c.is_control() => c.escape_default().to_string(),
        c => c.to_string(),
    };
    text.chars().map(shown).collect()
}

fn device(change: &ShownDevice) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&match &change.subject {
        ShownSubject::Port(port) => format!("{} port {port}", change.device),
        ShownSubject::Vlan(vlan) => format!("{} VLAN {vlan}", change.device),
    });
    line(&format!("  before     {}", change.before));
    line(&format!("  after      {}", change.after));
    line(&format!("  transport  {}", change.transport));
    match &change.outcome {
        Some(outcome) => {
            line(&format!("  outcome    {outcome}"));
            if let Outcome::Applied { saved, .. } = outcome {
                line(&format!("  saved      {saved}"));
            }
        }
        None if change.edits.is_empty() => line("  nothing to change"),
        None => {}
    }
    if !change.timings.is_empty() {
        let phases = change.timings.iter().map(|Took { phase, ms }| format!("{phase}={ms:.1}ms"));
        line(&format!("  phases     {}", phases.collect::<Vec<_>>().join(" ")));
    }
    for risk in &change.risks {
        line(&format!("  risk       {risk}"));
    }
    let sections = [("diff", &change.diff), ("payload", &change.payload), ("inverse", &change.inverse)];
    for (title, body) in sections {
        if !body.is_empty() {
            line(&format!("  {title}"));
            body.lines().for_each(|body| line(&format!("    {body}")));
        }
    }
    line(&format!("  digest     {}", change.digest));
    out
}
