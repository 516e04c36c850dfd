//! Why a request is answered with an error, and the one place where that becomes a code and one of
//! the classes that Ironic's client understands.

use serde_json::{Value, json};

use crate::intent::Subject;
use crate::plan::PlanError;
use crate::report::{Change, DeviceChange, Refusal};
use crate::transaction::outcome::Outcome;
use crate::world::Withdrawn;

/// Why a request is answered with an error.
#[derive(Debug, thiserror::Error)]
pub enum RpcError {
    #[error("parse error: {why}")]
    Parse { why: String },
    #[error("invalid request: {why}")]
    InvalidRequest { why: &'static str },
    #[error("unknown method {method}")]
    UnknownMethod { method: String },
    /// The parameters' names, not their values.
    #[error("{method}: {why}")]
    Arguments { method: &'static str, why: String },
    /// A value of a wrong type, out of range, or not supported.
    #[error("{parameter}: {why}")]
    Value { parameter: String, why: String },
    #[error(transparent)]
    Refused(Box<Refusal>),
    /// Carried out, and not as asked.
    #[error("{}", worst_first(.0).iter().map(|failed| sentence(failed)).collect::<Vec<_>>().join("; "))]
    Failed(Change),
    /// A defect of the service.
    #[error("the service failed while it worked on this; what the switch holds now is NOT KNOWN")]
    Broken,
    /// The same, of a question.
    #[error("the service failed while it worked on this; nothing was changed")]
    Unanswered,
}

const INVALID_VALUE: &str = "InvalidParameterValue";
const NO_SWITCH: &str = "SwitchNotFound";
const NETWORK: &str = "NetworkError";
const DENIED: &str = "NotAuthorized";

impl RpcError {
    /// The code of the error object.
    pub fn code(&self) -> i64 {
        self.classify().0
    }

    /// The error object of the answer.
    pub fn to_json(&self) -> Value {
        let (code, class) = self.classify();
        let mut error = json!({ "code": code, "message": self.to_string() });
        if let Some(class) = class {
            let mut data = self.details();
            data["class"] = json!(format!("ironic.common.exception.{class}"));
            error["data"] = data;
        }
        error
    }

    fn classify(&self) -> (i64, Option<&'static str>) {
        match self {
            Self::Parse { .. } => (-32700, None),
            Self::InvalidRequest { .. } => (-32600, None),
            Self::UnknownMethod { .. } => (-32601, None),
            Self::Arguments { .. } => (-32602, None),
            Self::Value { .. } => (400, Some(INVALID_VALUE)),
            Self::Refused(refusal) => classify_refusal(refusal),
            Self::Failed(_) | Self::Broken | Self::Unanswered => (500, Some(NETWORK)),
        }
    }

    /// What a program may want of the error; the message says all of it.
    fn details(&self) -> Value {
        match self {
            Self::Failed(change) => {
                let devices: Vec<Value> = change.devices.iter().map(device_details).collect();
                let mut details = json!({ "outcome": change.outcome, "devices": devices });
                if let Some(Outcome::RolledBack { phase, .. } | Outcome::Unknown { phase, .. }) =
                    worst_first(change).first().and_then(|device| device.outcome.as_ref())
                {
                    details["phase"] = json!(phase);
                }
                details
            }
            Self::Broken => json!({ "outcome": "unknown" }),
            _ => json!({}),
        }
    }
}

impl From<Refusal> for RpcError {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

fn classify_refusal(refusal: &Refusal) -> (i64, Option<&'static str>) {
    match refusal {
        Refusal::UnknownDevice { .. } => (404, Some(NO_SWITCH)),
        Refusal::Denied { .. } => (403, Some(DENIED)),
        Refusal::Intent(_) | Refusal::PortTwice { .. } | Refusal::DeviceTwice { .. } => {
            (400, Some(INVALID_VALUE))
        }
        Refusal::Plan { source, .. } => match source {
            PlanError::Withdrawn(Withdrawn::Frozen { .. }) => (500, Some(NETWORK)),
            PlanError::Withdrawn(Withdrawn::Denied { .. }) => (403, Some(DENIED)),
            PlanError::LagMember { .. }
            | PlanError::NoSuchPort { .. }
            | PlanError::VlanMissing { .. }
            | PlanError::VlanInUse { .. }
            | PlanError::UseNotRead { .. }
            | PlanError::Withdrawn(_) => (400, Some(INVALID_VALUE)),
            PlanError::OpenTrunk { .. }
            | PlanError::Uplink { .. }
            | PlanError::NoVlanTable
            | PlanError::Invalid(_)
            | PlanError::Render(_)
            | PlanError::Scope(_) => (500, Some(NETWORK)),
        },
        Refusal::Frozen { .. }
        | Refusal::Busy { .. }
        | Refusal::Unreachable { .. }
        | Refusal::NotRead { .. }
        | Refusal::Stopping => (500, Some(NETWORK)),
    }
}

/// The ports' changes, what is not known before what was undone before what went well.
fn worst_first(change: &Change) -> Vec<&DeviceChange> {
    let mut devices: Vec<&DeviceChange> = change.devices.iter().collect();
    devices.sort_by_key(|device| match device.outcome {
        Some(Outcome::Unknown { .. }) => 0,
        Some(Outcome::RolledBack { .. }) => 1,
        _ => 2,
    });
    devices
}

fn sentence(change: &DeviceChange) -> String {
    let DeviceChange { device, subject, outcome, .. } = change;
    match outcome {
        Some(outcome) => format!("{device} {subject}: {outcome}"),
        None => format!("{device} {subject}: planned"),
    }
}

fn device_details(change: &DeviceChange) -> Value {
    let mut details = json!({ "device": change.device, "outcome": change.outcome });
    match &change.subject {
        Subject::Port(port) => details["port"] = json!(port),
        Subject::Vlan(vlan) => details["vlan"] = json!(vlan),
    }
    details
}
