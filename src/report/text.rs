//! A change as a reviewer reads it on a terminal.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use crate::transaction::outcome::{Outcome, Phase};

#[derive(Deserialize)]
struct Shown {
    devices: Vec<Port>,
}

/// A [`DeviceChange`](super::DeviceChange) as JSON has it.
#[derive(Deserialize)]
struct Port {
    device: String,
    port: String,
    outcome: Option<Outcome>,
    before: String,
    after: String,
    diff: String,
    edits: Vec<Value>,
    payload: String,
    inverse: String,
    risks: Vec<String>,
    transport: String,
    /// A JSON object has no order; the phases have.
    timings: BTreeMap<Phase, f64>,
    digest: String,
}

/// The text of a [`Change`](super::Change) as its callers receive it; none for any other JSON.
pub fn text(change: &Value) -> Option<String> {
    let shown = Shown::deserialize(change).ok()?;
    Some(shown.devices.iter().map(port).collect())
}

fn port(port: &Port) -> String {
    let mut out = String::new();
    let mut line = |text: &str| {
        out.push_str(text);
        out.push('\n');
    };
    line(&format!("{} port {}", port.device, port.port));
    line(&format!("  before     {}", port.before));
    line(&format!("  after      {}", port.after));
    line(&format!("  transport  {}", port.transport));
    match &port.outcome {
        Some(outcome) => line(&format!("  outcome    {outcome}")),
        None if port.edits.is_empty() => line("  nothing to change"),
        None => {}
    }
    if !port.timings.is_empty() {
        let phases = port.timings.iter().map(|(phase, took)| format!("{phase}={took:.1}ms"));
        line(&format!("  phases     {}", phases.collect::<Vec<_>>().join(" ")));
    }
    for risk in &port.risks {
        line(&format!("  risk       {risk}"));
    }
    let sections = [("diff", &port.diff), ("payload", &port.payload), ("inverse", &port.inverse)];
    for (title, body) in sections {
        if !body.is_empty() {
            line(&format!("  {title}"));
            body.lines().for_each(|body| line(&format!("    {body}")));
        }
    }
    line(&format!("  digest     {}", port.digest));
    out
}
