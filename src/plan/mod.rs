//! From an intent and what the device runs to everything there is to know about the change:
//! edits, differences, inverse, risks. Pure: a dry-run is this and nothing more.

mod network;
mod port;
pub mod risk;
mod target;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use risk::Risk;
use target::Target;

use crate::device::{Device, NotRead, Profile};
use crate::guard::{EntryScope, PortScope, Scope, ScopeError, guard};
use crate::intent::{Caller, Intent, Request, Subject};
use crate::openconfig::{Interface, Mode, PortState, port_of};
use crate::path::Path;
use crate::render::{self, Payload, RenderError};
use crate::schema::{Schema, Violation};
use crate::slice::{Edit, Slice, Value, changes};
use crate::vlan::{VlanId, VlanSet};
use crate::world::Withdrawn;

/// Why no plan can be made. Nothing was sent.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    #[error("{parameter}: port {port} is a member of {lag}; its VLANs belong to the LAG")]
    LagMember { parameter: &'static str, port: String, lag: String },
    #[error(
        "{parameter}: VLAN {vlans} is not in the VLAN table of {device}; create it there, or set create_missing_vlans"
    )]
    VlanMissing { parameter: &'static str, vlans: VlanSet, device: String },
    #[error("{parameter}: VLAN {vlan} is in use on {device}: {users}; `force` deletes it all the same")]
    VlanInUse { parameter: &'static str, vlan: VlanId, device: String, users: String },
    #[error("trunk_ports: {port} cannot be used: {why}")]
    Uplink { port: String, why: &'static str },
    #[error("the switch shows no VLAN table, so no VLAN can be created or deleted in it")]
    NoVlanTable,
    #[error("{parameter}: whether VLAN {vlan} is in use on {device} cannot be read: {why}")]
    UseNotRead { parameter: &'static str, vlan: VlanId, device: String, why: String },
    #[error("{parameter}: {device} has no port {port}")]
    NoSuchPort { parameter: &'static str, port: String, device: String },
    #[error("port {port} would become a trunk of every VLAN")]
    OpenTrunk { port: String },
    #[error("the result is not valid: {}", list(.0))]
    Invalid(Vec<Violation>),
    #[error(transparent)]
    Render(#[from] RenderError),
    /// The plan reaches outside what was asked: a defect of a model or template, caught.
    #[error(transparent)]
    Scope(#[from] ScopeError),
    /// A reload tightened what the operator allows while the request waited.
    #[error(transparent)]
    Withdrawn(#[from] Withdrawn),
}

fn list(violations: &[Violation]) -> String {
    violations.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// One change of one port, complete and immutable. It leaves no choice open.
#[derive(Clone, Debug, Serialize)]
pub struct Plan {
    pub device: String,
    pub intent: Intent,
    pub caller: Caller,
    /// The subtrees this change reads.
    #[serde(skip)]
    pub reads: Vec<Path>,
    /// Nobody knows what they held: the change is made from nothing, compared with nothing, and cannot
    /// be taken back.
    #[serde(skip)]
    pub is_blind: bool,
    /// What they held.
    pub before: Slice,
    pub after: Slice,
    pub edits: Vec<Edit>,
    /// What undoing restores: `before`, and what is shared stays as `after` has it.
    #[serde(skip)]
    pub restored: Slice,
    pub risks: Vec<Risk>,
    #[serde(skip)]
    pub scope: Scope,
    /// SHA-256 over the device's name, the edits and the slice they were made from.
    pub digest: String,
}

impl Plan {
    /// Whether the device already is as asked.
    pub fn is_empty(&self) -> bool {
        self.edits.is_empty()
    }

    /// The edits that take the device back, as long as it still holds `after`.
    pub fn inverse(&self) -> Vec<Edit> {
        if self.is_blind {
            return Vec::new();
        }
        let mut inverse = changes(&self.after, &self.restored);
        port::narrow_before_widen(&mut inverse, &self.restored);
        inverse
    }

    /// What it is about before and after, in words.
    pub fn summary(&self) -> (String, String) {
        let subject = self.intent.subject();
        let before = match self.is_blind {
            true => "not known".to_owned(),
            false => describe(&subject, &self.before),
        };
        let after = match self.is_empty() {
            true => before.clone(),
            false if self.risks.contains(&Risk::KeepsVlans) => "VLANs not known (down)".to_owned(),
            false => describe(&subject, &self.after),
        };
        (before, after)
    }
}

/// What a slice says of a port or a VLAN, in words.
pub fn describe(subject: &Subject, slice: &Slice) -> String {
    match subject {
        Subject::Port(port) => port::describe(slice, port.as_str()),
        Subject::Vlan(vlan) => network::describe(slice, *vlan),
    }
}

/// What a slice says of a port, in words: `TRUNK native 100 list 200-210 (down)`.
pub fn describe_port(slice: &Slice, port: &str) -> String {
    port::describe(slice, port)
}

/// What must be read to plan this request: what it touches, and what it depends on.
pub fn consulted(request: &Request) -> Vec<Path> {
    let mut paths = reads(request);
    if let Intent::DeleteNetwork { .. } = request.intent {
        let all = network::reads_for_use();
        paths.retain(|path| !path.is_within(&all));
        paths.push(all);
        paths.sort();
    }
    paths
}

fn reads(request: &Request) -> Vec<Path> {
    match request.intent.subject() {
        Subject::Port(port) => port::reads(request, &port),
        Subject::Vlan(vlan) => network::reads(&request.device, vlan),
    }
}

/// What the device should hold afterwards. `running` is all that was consulted.
fn target(request: &Request, before: &Slice, running: &Slice) -> Result<Target, PlanError> {
    let device = &request.device;
    match &request.intent {
        Intent::Attach(attach) => port::attach(request, attach, before),
        Intent::Detach(detach) => port::detach(request, detach, before),
        Intent::AddNetwork { vlan } => network::add(device, *vlan, before),
        Intent::DeleteNetwork { vlan, force } => {
            network::delete(device, *vlan, *force, before, running, request.names.vlan)
        }
    }
}

fn scope(request: &Request, before: &Slice, target: &Target) -> Scope {
    match request.intent.subject() {
        Subject::Port(port) => port::scope(request, &port, before, target),
        Subject::Vlan(vlan) => network::scope(&request.device, vlan, before, &target.after),
    }
}

/// Plans one request against what was read. `running` may hold more than this request needs.
pub fn plan(request: &Request, running: &Slice, schema: &Schema) -> Result<Plan, PlanError> {
    let reads = reads(request);
    let not_read = request.device.profile.speaks.not_read();
    let before = match not_read {
        Some(_) => unread(request),
        None => running.within(&reads),
    };
    let mut target = target(request, &before, running)?;
    let mut edits = changes(&before, &target.after);
    port::narrow_before_widen(&mut edits, &target.after);
    let mut restored = before.clone();
    restored.absorb(&target.after.within(&target.shared));
    let scope = scope(request, &before, &target);
    if !edits.is_empty() {
        schema.validate(&target.after).map_err(PlanError::Invalid)?;
        if request.device.profile.speaks.checks_form_only() {
            target.risks.push(Risk::FormOnly);
        }
    }
    target.risks.extend(not_read.map(|NotRead { why, .. }| Risk::NotVerified { why: why.clone() }));
    Ok(Plan {
        device: request.device.name.clone(),
        intent: request.intent.clone(),
        caller: request.caller.clone(),
        digest: digest(&request.device.name, &edits, &before),
        reads,
        is_blind: not_read.is_some(),
        before,
        after: target.after,
        edits,
        restored,
        risks: target.risks,
        scope,
    })
}

/// What a change begins with where nothing can be read: the port is taken to be there, and so is the VLAN
/// table; what they hold is not known, so that everything is said.
fn unread(request: &Request) -> Slice {
    let (mut slice, profile) = (Slice::default(), &request.device.profile);
    if let Subject::Port(port) = request.intent.subject() {
        let kind = &profile.openconfig.interface_type;
        PortState::default().write(port.as_str(), kind, &PortState::default(), &mut slice);
    }
    if let (Some(instance), Some(name)) = (profile.network_instance(), &profile.openconfig.network_instance) {
        slice.set_leaf(instance.child("config").child("name"), name);
    }
    slice
}

fn digest(device: &str, edits: &[Edit], before: &Slice) -> String {
    let mut hash = Sha256::new();
    hash.update(format!("{device}\0"));
    for edit in edits {
        hash.update(format!("{:?}\0{}\0{:?}\0", edit.operation, edit.target, edit.value));
    }
    hash.update(before.digest());
    hex(hash)
}

/// Several plans for one device, made from one reading, as one change. Their ports are disjoint.
#[derive(Clone, Debug)]
pub struct Batch {
    pub payload: Payload,
    pub inverse: Payload,
    pub way_back: WayBack,
    /// Over the plans' digests.
    pub digest: String,
}

/// All that is needed to tell whether a change is on a device, and to take it back.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WayBack {
    /// What to read to compare; sorted.
    pub reads: BTreeSet<Path>,
    pub before: Slice,
    pub after: Slice,
    /// `before`, and what is shared as `after` has it.
    pub restored: Slice,
    /// What may be written on the way back.
    pub ports: BTreeMap<String, PortScope>,
    #[serde(default)]
    pub vlan_entries: BTreeMap<Path, EntryScope>,
    /// What ports are between two lines, there or back, and what could not be told otherwise to be on
    /// the way; one port in each.
    #[serde(default)]
    pub between: Vec<Slice>,
    /// A list that loses a value is taken away and written anew.
    #[serde(default)]
    pub rewrites_lists: bool,
    /// There is no way back: what was there before was never known.
    #[serde(default)]
    pub is_blind: bool,
}

impl Batch {
    /// Merges the plans, renders both directions and guards both. Empty plans add nothing.
    pub fn new(plans: &[&Plan], device: &Device, schema: &Schema) -> Result<Self, PlanError> {
        let mut edits: Vec<Edit> = Vec::new();
        let mut scope = Scope { protected: device.protected_ports.clone(), ..Scope::default() };
        let mut hash = Sha256::new();
        let (mut before, mut after, mut restored) = (Slice::default(), Slice::default(), Slice::default());
        let mut reads = BTreeSet::new();
        for plan in plans {
            reads.extend(plan.reads.iter().cloned());
            before.absorb(&plan.before);
            after.absorb(&plan.after);
            restored.absorb(&plan.restored);
            scope.ports.extend(plan.scope.ports.clone());
            scope.vlan_entries.extend(plan.scope.vlan_entries.clone());
            scope.running.absorb(&plan.before);
            hash.update(&plan.digest);
            // Two plans may both ensure one VLAN; it is created once.
            let new = |edit: &&Edit| !plan.scope.is_shared(&edit.target) || !edits.contains(edit);
            let new: Vec<Edit> = plan.edits.iter().filter(new).cloned().collect();
            edits.extend(new);
        }
        scope.wanted = after.clone();
        let payload = render::payload(&edits, &before, &after, &device.profile, schema)?;
        let there = guard(&payload, &scope, &device.profile, schema)?;
        let (ports, vlan_entries) = (scope.inverted(&before), scope.inverted_entries(&before));
        let between = Vec::new();
        let rewrites_lists = matches!(payload, Payload::Gnmi(_));
        let is_blind = plans.iter().any(|plan| plan.is_blind);
        let mut way_back = WayBack {
            reads,
            before,
            after,
            restored,
            ports,
            vlan_entries,
            between,
            rewrites_lists,
            is_blind,
        };
        if is_blind {
            let inverse = Payload::Cli(String::new());
            return Ok(Self { payload, inverse, way_back, digest: hex(hash) });
        }
        let (inverse, back) = way_back.followed_from(&way_back.after, &device.profile, schema)?;
        there.into_iter().chain(back).for_each(|step| way_back.pass(step));
        Ok(Self { payload, inverse, way_back, digest: hex(hash) })
    }
}

impl WayBack {
    /// The guarded payload that takes the device from `running` to what was there before. A port that
    /// was protected only after our change began is put back all the same: what is on it is ours.
    pub fn undo_from(
        &self,
        running: &Slice,
        profile: &Profile,
        schema: &Schema,
    ) -> Result<Payload, PlanError> {
        self.followed_from(running, profile, schema).map(|(payload, _)| payload)
    }

    /// The same with what ports are on the way.
    fn followed_from(
        &self,
        running: &Slice,
        profile: &Profile,
        schema: &Schema,
    ) -> Result<(Payload, Vec<Slice>), PlanError> {
        let mut edits = changes(running, &self.restored);
        port::narrow_before_widen(&mut edits, &self.restored);
        let scope = Scope {
            ports: self.ports.clone(),
            vlan_entries: self.vlan_entries.clone(),
            protected: Vec::new(),
            running: running.clone(),
            wanted: self.restored.clone(),
        };
        let payload = render::payload(&edits, running, &self.restored, profile, schema)?;
        let between = guard(&payload, &scope, profile, schema)?;
        Ok((payload, between))
    }

    /// The touched paths that hold neither what they held before nor what they should hold now, nor
    /// anything between: others changed them. None: the device is somewhere on the way.
    pub fn off_the_way(&self, running: &Slice) -> Vec<Path> {
        let mut off = self.off_the_ends(running, &self.restored, &self.after);
        let between = |port: &str| {
            let now = PortState::of(running, port).map(as_shown);
            self.between.iter().any(|step| now.is_some() && PortState::of(step, port).map(as_shown) == now)
        };
        off.retain(|path| !port_of(path).is_some_and(between));
        off
    }

    fn off_the_ends(&self, running: &Slice, restored: &Slice, after: &Slice) -> Vec<Path> {
        let not_after = running.differences(after);
        let mut off = running.differences(restored);
        off.retain(|path| not_after.contains(path) && !self.is_half_way(running, path));
        off
    }

    /// Notes what a port is on the way, unless its ends tell.
    fn pass(&mut self, step: Slice) {
        let port = step.iter().find_map(|(path, _)| port_of(path));
        let entries = [port.map(Interface::entry).unwrap_or_default()];
        let (restored, after) = (self.restored.within(&entries), self.after.within(&entries));
        if !self.between.contains(&step) && !self.off_the_ends(&step, &restored, &after).is_empty() {
            self.between.push(step);
        }
    }

    /// Whether a list of VLANs holds what both ends have in common and nothing that neither has: a
    /// device that stops at the first error may have taken a part of it.
    fn is_half_way(&self, running: &Slice, path: &Path) -> bool {
        let vlans = |slice: &Slice| match slice.value(path) {
            None => Some(VlanSet::default()),
            Some(_) => slice.vlans(path),
        };
        let (Some(now), Some(before), Some(after)) =
            (vlans(running), vlans(&self.restored), vlans(&self.after))
        else {
            return false;
        };
        // A value that goes takes along what it has in common with one that is yet to come; a list that is
        // written anew goes whole.
        let going: VlanSet = match (self.restored.value(path), self.after.value(path)) {
            (Some(Value::Set(old)), Some(Value::Set(new))) if self.rewrites_lists && !old.is_subset(new) => {
                before.clone()
            }
            (Some(Value::Set(old)), Some(Value::Set(new))) => {
                let gone = old.difference(new).filter_map(|m| VlanSet::parse_openconfig_member(m).ok());
                gone.flat_map(|vlans| vlans.iter().collect::<Vec<_>>()).collect()
            }
            _ => VlanSet::default(),
        };
        now.iter().all(|vlan| before.contains(vlan) || after.contains(vlan))
            && before.iter().all(|vlan| now.contains(vlan) || !after.contains(vlan) || going.contains(vlan))
    }

    /// `running` with ports that others took away as they were before: where ports are not ours to
    /// create, what was on one is gone with it, and nothing is left to take back.
    pub fn but_for_gone(&self, mut running: Slice, profile: &Profile) -> Slice {
        if profile.openconfig.creates_interfaces {
            return running;
        }
        for port in self.ports.keys() {
            let entry = Interface::entry(port);
            if !running.has_entry(&entry) {
                running.absorb(&self.restored.within(&[entry]));
            }
        }
        running
    }

    /// Whether the change is off the device. What is shared may be there or not.
    pub fn is_undone(&self, running: &Slice) -> bool {
        running.same_as(&self.before) || running.same_as(&self.restored)
    }
}

/// What every device shows of it: some keep nothing for the mode that a port is not in, and some know
/// members of VLANs and no modes, so that a trunk of a native VLAN alone is an access port.
fn as_shown(state: PortState) -> PortState {
    let list = state.vlans.filter(|list| !list.is_empty());
    match (state.mode, &list) {
        (Some(Mode::Trunk), Some(_)) => PortState { access: None, vlans: list, ..state },
        (Some(Mode::Trunk), None) => PortState {
            mode: state.native.map(|_| Mode::Access),
            access: state.native,
            native: None,
            vlans: None,
            ..state
        },
        _ => PortState { native: None, vlans: None, ..state },
    }
}

fn hex(hash: Sha256) -> String {
    hex::encode(hash.finalize())
}

#[cfg(test)]
pub(crate) mod tests;
