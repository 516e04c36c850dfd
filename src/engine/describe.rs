//! A plan, and what became of it, as reviewers and callers read it.

use crate::device::Profile;
use crate::intent::Request;
use crate::plan::{self, Batch, Plan, PlanError, Risk, risk};
use crate::render;
use crate::report::{self, DeviceChange, Refusal};
use crate::schema::Schema;
use crate::slice::{Edit, Slice};
use crate::transaction::Report;
use crate::transaction::journal;
use crate::transaction::lease::Live;
use crate::transaction::outcome::{Outcome, Timings};
use crate::world::World;

/// A plan as a reviewer reads it, with the payloads that would be sent. Without `live`, `before`
/// was assumed or given.
pub fn planned(
    request: &Request,
    before: &Slice,
    world: &World,
    live: Option<&Live>,
) -> Result<DeviceChange, Refusal> {
    let schema = &world.schema;
    let mut request = request.clone();
    if let Some(live) = live {
        request.adopt(&live.profile);
    }
    let request = &request;
    let plan = plan::plan(request, before, schema).map_err(|e| Refusal::plan(&request.device, e))?;
    let mut risks = plan.risks.clone();
    risks.extend(request.held_back().map(|reason| Risk::Frozen { reason: reason.to_owned() }));
    if journal::is_open(&world.locks_dir, &request.device.endpoint) {
        risks.push(Risk::Unsettled);
    }
    match live {
        Some(live) => {
            risks.extend(risk::of_state(&plan, &live.state));
            risks.extend(risk::of_device(&live.promises, &live.profile));
        }
        None => risks.push(Risk::NotRead),
    }
    let transport = live.map_or("none (offline)".to_owned(), |live| live.transport.clone());
    // As a transaction would send them: guarded.
    Batch::new(&[&plan], &request.device, schema)
        .and_then(|_| device_change(&plan, &request.device.profile, schema, risks, transport))
        .map_err(|e| Refusal::plan(&request.device, e))
}

/// The answer. How it ended is told even where its plan cannot be shown.
pub(super) fn describe(request: &Request, report: Report, schema: &Schema, detailed: bool) -> DeviceChange {
    let (device, subject) = (request.device.name.clone(), request.intent.subject());
    let bare = |transport| DeviceChange::new(device.clone(), subject.clone(), transport);
    let mut change = match &report.plan {
        Some(plan) if detailed => {
            let risks = plan.risks.iter().chain(&report.risks).cloned().collect();
            let profile = report.profile.as_ref().unwrap_or(&request.device.profile);
            let shown = device_change(plan, profile, schema, risks, report.transport.clone());
            shown.unwrap_or_else(|error| {
                tracing::error!(device = request.device.name, %error, "a plan that ran cannot be shown");
                bare(report.transport)
            })
        }
        _ => bare(report.transport),
    };
    change.outcome = Some(report.outcome);
    change.timings = report.timings;
    change
}

fn device_change(
    plan: &Plan,
    profile: &Profile,
    schema: &Schema,
    risks: Vec<Risk>,
    transport: String,
) -> Result<DeviceChange, PlanError> {
    let (before, after) = plan.summary();
    let payload =
        |edits: &[Edit], from: &Slice, to: &Slice| render::payload(edits, from, to, profile, schema);
    Ok(DeviceChange {
        device: plan.device.clone(),
        subject: plan.intent.subject(),
        outcome: None,
        before,
        after,
        diff: report::native_diff(&plan.before, &plan.after, schema)?,
        edits: plan.edits.clone(),
        payload: payload(&plan.edits, &plan.before, &plan.after)?.text().to_owned(),
        inverse: payload(&plan.inverse(), &plan.after, &plan.restored)?.text().to_owned(),
        risks,
        transport,
        timings: Timings::default(),
        digest: plan.digest.clone(),
    })
}

/// The word for the worst of them.
pub(super) fn worst(devices: &[DeviceChange]) -> &'static str {
    let rank = |outcome: &Outcome| match outcome {
        Outcome::Unchanged => 0,
        Outcome::Applied { .. } => 1,
        Outcome::RolledBack { .. } => 2,
        Outcome::Unknown { .. } => 3,
    };
    let outcomes = devices.iter().filter_map(|device| device.outcome.as_ref());
    outcomes.max_by_key(|outcome| rank(outcome)).map_or("unchanged", Outcome::word)
}
