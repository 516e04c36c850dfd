//! What callers, reviewers and the log read about a change.

mod text;

use std::sync::Arc;

use serde::Serialize;

use crate::access::Principal;
use crate::device::{Device, Inventory};
use crate::intent::{Caller, Intent, IntentError, ParameterNames, PortName, Subject};
use crate::plan::{PlanError, Risk};
use crate::render::RenderError;
use crate::schema::Schema;
use crate::slice::{Edit, Slice};
use crate::transaction::outcome::{Outcome, Timings};

pub use text::{printable, text};

/// One change asked for, over one or several ports, before any device is looked up.
#[derive(Clone, Debug)]
pub struct Call {
    /// One a port; all together are one transaction.
    pub targets: Vec<Target>,
    pub caller: Caller,
    pub names: &'static ParameterNames,
    /// Read, plan, render, guard, and stop.
    pub dry_run: bool,
    /// Whether the caller gets more than the outcome: the diff, the payload and its inverse.
    pub detailed: bool,
}

/// One port or VLAN of a call, and the way its device was named.
#[derive(Clone, Debug)]
pub struct Target {
    pub device: DeviceNames,
    /// ML2's physical network, which the device must then be part of.
    pub physical_network: Option<String>,
    /// What is reached through another target's port belongs to the next level.
    pub level: u8,
    pub intent: Intent,
}

/// What a caller calls a device; they must not contradict each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceNames {
    /// A MAC address in any notation, or the device's name.
    pub switch_id: Option<String>,
    /// The device's name, where the caller gives one beside the id.
    pub switch_info: Option<String>,
    /// The host of a smart NIC.
    pub hostname: Option<String>,
}

impl DeviceNames {
    pub fn switch(id: &str) -> Self {
        Self { switch_id: Some(id.to_owned()), ..Self::default() }
    }

    /// The device that they name, if they name one.
    pub fn find_in<'i>(&self, inventory: &'i Inventory) -> Option<&'i Arc<Device>> {
        let Self { switch_id, switch_info, hostname } = self;
        inventory.find_link(switch_id.as_deref(), switch_info.as_deref(), hostname.as_deref())
    }

    /// The one to show in a message.
    pub fn first(&self) -> &str {
        [&self.switch_id, &self.switch_info, &self.hostname].into_iter().flatten().next().map_or("", |s| s)
    }
}

impl Target {
    /// Switch and port in the caller's words.
    pub fn names(&self) -> (String, String) {
        let names = &self.device;
        let switch = names.switch_id.clone().or_else(|| names.switch_info.clone()).unwrap_or_default();
        (switch, self.intent.subject().to_string())
    }
}

/// What became of a call.
#[derive(Clone, Debug, Serialize)]
pub struct Change {
    /// `planned` for a dry-run; else the worst of the devices' outcomes in one word.
    pub outcome: &'static str,
    pub devices: Vec<DeviceChange>,
}

/// What became of one port, or of one VLAN.
#[derive(Clone, Debug, Serialize)]
pub struct DeviceChange {
    pub device: String,
    /// `port` with its name, or `vlan` with its id.
    #[serde(flatten)]
    pub subject: Subject,
    /// None for a dry-run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
    /// The port, or the VLAN, in words.
    pub before: String,
    pub after: String,
    /// Unified diff of the configuration, as XML.
    pub diff: String,
    pub edits: Vec<Edit>,
    /// The exact payload of this port's change.
    pub payload: String,
    /// The exact payload that takes it back.
    pub inverse: String,
    pub risks: Vec<Risk>,
    /// Which transport and why.
    pub transport: String,
    /// Milliseconds a phase, in the order they ran.
    pub timings: Timings,
    /// Over the device, the edits and the running configuration they were made from.
    pub digest: String,
}

impl DeviceChange {
    /// Nothing is known yet but what it is about.
    pub fn new(device: String, subject: Subject, transport: String) -> Self {
        Self {
            device,
            subject,
            outcome: None,
            before: String::new(),
            after: String::new(),
            diff: String::new(),
            edits: Vec::new(),
            payload: String::new(),
            inverse: String::new(),
            risks: Vec::new(),
            transport,
            timings: Timings::default(),
            digest: String::new(),
        }
    }
}

/// Why a call has no [`Change`]: it was refused, and no device was changed.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("{parameter}: no device `{id}` in the inventory")]
    UnknownDevice { parameter: &'static str, id: String },
    /// Of a method, or of a method on one device.
    #[error("{who} may not call {what}")]
    Denied { who: Arc<Principal>, what: String },
    #[error("{parameter}: port {port} of {device} is named twice")]
    PortTwice { parameter: &'static str, device: String, port: PortName },
    #[error("{parameter}: {device} is named twice")]
    DeviceTwice { parameter: &'static str, device: String },
    #[error(transparent)]
    Intent(#[from] IntentError),
    #[error("{device}: {source}")]
    Plan { device: String, source: PlanError },
    /// By the operator, for maintenance.
    #[error("{device} is frozen: {reason}; nothing was sent")]
    Frozen { device: String, reason: String },
    #[error("{device}: its queue is full ({waiting} waiting); nothing was sent")]
    Busy { device: String, waiting: usize },
    /// A device could not be read for a dry-run, or the deadline passed in the queue.
    #[error("{device}: {why}; nothing was changed")]
    Unreachable { device: String, why: String },
    /// A question that only a reading answers.
    #[error("{device}: what it holds cannot be read: {why}")]
    NotRead { device: String, why: String },
    #[error("the service is stopping; nothing was sent")]
    Stopping,
}

impl Refusal {
    pub fn plan(device: &Device, source: PlanError) -> Self {
        Self::Plan { device: device.name.clone(), source }
    }
}

/// The configuration of what a change touches, before and after, as a unified diff of XML.
pub fn native_diff(before: &Slice, after: &Slice, schema: &Schema) -> Result<String, RenderError> {
    let (before, after) = (schema.to_xml(before)?, schema.to_xml(after)?);
    let diff = similar::TextDiff::from_lines(&before, &after);
    Ok(diff.unified_diff().context_radius(2).header("running", "planned").to_string())
}
