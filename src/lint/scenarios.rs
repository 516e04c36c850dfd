//! What every system has to be able to write: changes of one port, and of a VLAN, from a given state.
//! Each goes through plan, render and guard, there and back.

use std::sync::Arc;

use crate::device::language::{LineRule, PortField, SetTo};
use crate::device::{Device, OnDetach, Profile};
use crate::intent::{Attach, Caller, Description, Detach, Intent, IntentError, PortName, PortVlans, Request};
use crate::openconfig::{Mode, PortState, StpEdge, table_entry};
use crate::plan::{Batch, Plan, PlanError, plan};
use crate::render::{self, Payload};
use crate::rpc::ironic::NAMES;
use crate::schema::Schema;
use crate::slice::Slice;
use crate::vlan::{VlanId, VlanSet};

/// One change, and what it begins with.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What it is about, for people.
    pub name: String,
    before: PortState,
    /// The VLAN table before; none: it is not looked at.
    table: Option<VlanSet>,
    intent: Intent,
    on_detach: OnDetach,
    /// The operator wants what the system can tell its spanning tree.
    spanning_tree: bool,
}

/// What a scenario comes to on one system.
pub struct Written {
    /// The lines, or as much as could be rendered.
    pub lines: String,
    /// Those that take it back.
    pub back: String,
    /// None: the guard has followed both.
    pub error: Option<PlanError>,
}

/// What Ironic writes on a port.
const DESCRIPTION: &str = "Ironic Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d";

/// The scenarios for a port of this name.
///
/// # Errors
/// A name that no request may have.
pub fn scenarios(port: &str, profile: &Profile) -> Result<Vec<Scenario>, IntentError> {
    let name = PortName::new(port, "port")?;
    let own = Description::new(DESCRIPTION, "description")?;
    let say = |text: &str| Description::new(text, "description");
    let (other, blank) = (say("rack 7 unit 12")?, PortState::default());
    let attach = |vlans: PortVlans| Attach {
        port: name.clone(),
        vlans,
        description: None,
        mtu: None,
        enabled: None,
        default_vlan: None,
    };
    let access = |id| attach(PortVlans::Access { vlan: vlan(id) });
    let trunk = |native: Option<u16>, tagged: &[u16]| {
        attach(PortVlans::Trunk { native: native.map(vlan), tagged: set(tagged) })
    };
    let on_access =
        |id| PortState { mode: Some(Mode::Access), access: Some(vlan(id)), ..PortState::default() };
    let on_trunk = |native: Option<u16>, tagged: &[u16]| PortState {
        mode: Some(Mode::Trunk),
        native: native.map(vlan),
        vlans: Some(listed(native, tagged, profile)),
        ..PortState::default()
    };
    let (small, large): (&[u16], &[u16]) = (&[110, 111, 112, 120], &[110, 111, 112, 113, 120, 130]);
    // More runs than a line may have.
    let long: Vec<u16> = (0..45).map(|n| 200 + 2 * n).collect();
    let ours = PortState { description: Some(DESCRIPTION.to_owned()), ..on_access(100) };
    let theirs = PortState { description: Some("rack 7 unit 12".to_owned()), ..on_access(100) };
    let is_down = PortState { enabled: Some(false), ..PortState::default() };
    let mtu = PortState { mtu: Some(1500), ..on_access(100) };
    let described =
        |description: &Description| Attach { description: Some(description.clone()), ..access(100) };

    let on_port = |name: &str, before: &PortState, attach: Attach| {
        Scenario::new(name, before.clone(), Intent::Attach(attach))
    };
    let off_port = |label: &str, before: PortState, default: Option<u16>| {
        let detach = Detach { port: name.clone(), default_vlan: default.map(vlan) };
        Scenario::new(label, before, Intent::Detach(detach))
    };
    let quarantine = |scenario: Scenario| Scenario { on_detach: OnDetach::Quarantine(vlan(999)), ..scenario };
    let mut all = vec![
        on_port("nothing set -> access 100", &blank, access(100)),
        on_port("access 100 -> access 101", &on_access(100), access(101)),
        on_port(
            "access 100 -> trunk native 100, tagged 110-112,120",
            &on_access(100),
            trunk(Some(100), small),
        ),
        on_port("the trunk grows to 110-113,120,130", &on_trunk(Some(100), small), trunk(Some(100), large)),
        on_port("the trunk shrinks to 110,120", &on_trunk(Some(100), small), trunk(Some(100), &[110, 120])),
        on_port("native 100 -> native 101", &on_trunk(Some(100), small), trunk(Some(101), small)),
        on_port("native 100 -> no native VLAN", &on_trunk(Some(100), small), trunk(None, small)),
        on_port("nothing set -> trunk of 45 VLANs", &blank, trunk(None, &long)),
        on_port("trunk -> access 100", &on_trunk(Some(101), small), access(100)),
        off_port("access 100 -> detached, port down", on_access(100), None),
        off_port("trunk -> detached, port down", on_trunk(Some(100), small), None),
        quarantine(off_port("trunk -> detached, quarantine 999", on_trunk(Some(100), small), None)),
        off_port("access 100 with Ironic's description -> detached, port down", ours.clone(), None),
        on_port("port down, nothing set -> access 100", &is_down, access(100)),
        on_port("description set", &on_access(100), described(&own)),
        on_port("description changed", &theirs, described(&own)),
        on_port("description changed back", &ours, described(&other)),
    ];
    if profile.has_mtu() {
        all.push(on_port("mtu 1500 -> 9000", &mtu, Attach { mtu: Some(9000), ..access(100) }));
    }
    all.push(on_port("port disabled", &on_access(100), Attach { enabled: Some(false), ..access(100) }));
    if may_have_no_mtu(profile) {
        all.push(on_port("mtu set to 9000", &on_access(100), Attach { mtu: Some(9000), ..access(100) }));
    }
    let (edge, guard) = profile.spanning_tree();
    if edge {
        let to = access(100);
        all.push(Scenario { spanning_tree: true, ..on_port("told the spanning tree", &on_access(100), to) });
        let known = PortState {
            stp_edge: Some(StpEdge::Enable),
            bpdu_guard: guard.then_some(true),
            ..on_access(100)
        };
        let to = trunk(Some(101), small);
        all.push(Scenario { spanning_tree: true, ..on_port("the spanning tree knows", &known, to) });
        for (edge, label) in
            [(StpEdge::Auto, "an edge in access mode only"), (StpEdge::Disable, "told to be no edge")]
        {
            if has_word(profile, PortField::StpEdge, edge.as_str()) {
                let known = PortState { stp_edge: Some(edge), ..on_access(100) };
                let to = trunk(Some(101), small);
                all.push(Scenario { spanning_tree: true, ..on_port(label, &known, to) });
            }
        }
    }
    let network = |label: &str, list: &[u16], table: &[u16], intent| Scenario {
        table: Some(set(table)),
        ..Scenario::new(label, on_trunk(None, list), intent)
    };
    let gone = Intent::DeleteNetwork { vlan: vlan(130), force: false };
    let added = Intent::AddNetwork { vlan: vlan(130) };
    // What nobody can read has no uplinks, loses no VLAN, and is given none for a port.
    if profile.speaks.not_read().is_some() {
        all.extend(
            profile
                .openconfig
                .network_instance
                .iter()
                .map(|_| network("VLAN 130 added", &[], &[], added.clone())),
        );
        return Ok(all);
    }
    all.push(network("VLAN 130 added, uplink", small, &[100], added));
    all.push(network("VLAN 130 deleted, uplink", large, &[100, 130], gone));
    if profile.openconfig.network_instance.is_some() {
        let created =
            Scenario { table: Some(set(&[1])), ..on_port("access 100, created for it", &blank, access(100)) };
        all.push(created);
    }
    Ok(all)
}

/// Every change of these scenarios from every state that one of them begins with or leaves.
pub fn crossed(scenarios: &[Scenario]) -> Vec<Scenario> {
    let of_port = |scenario: &&Scenario| scenario.table.is_none();
    let mut states: Vec<PortState> = Vec::new();
    for scenario in scenarios.iter().filter(of_port) {
        if !states.contains(&scenario.before) {
            states.push(scenario.before.clone());
        }
    }
    let every = PortState { mode: Some(Mode::Trunk), ..PortState::default() };
    // What a system without a mode of its own keeps is not settled by the mode.
    let both = PortState { access: Some(vlan(100)), native: Some(vlan(101)), ..every.clone() };
    let none = PortState { vlans: Some(VlanSet::default()), ..every.clone() };
    let unguarded = PortState { stp_edge: Some(StpEdge::Disable), bpdu_guard: Some(false), ..both.clone() };
    states.extend([every, both, none, unguarded]);
    let pairs = scenarios.iter().filter(of_port).flat_map(|scenario| {
        states.iter().map(move |before| Scenario {
            name: format!("{}, from a port with {}", scenario.name, words(before)),
            before: before.clone(),
            ..scenario.clone()
        })
    });
    pairs.collect()
}

impl Scenario {
    fn new(name: &str, before: PortState, intent: Intent) -> Self {
        Self {
            name: name.to_owned(),
            before,
            table: None,
            intent,
            on_detach: OnDetach::Disable,
            spanning_tree: false,
        }
    }

    /// The request, and what the device runs.
    pub fn request(&self, port: &str, profile: &Arc<Profile>) -> (Request, Slice) {
        let is_of_table = matches!(self.intent, Intent::AddNetwork { .. } | Intent::DeleteNetwork { .. })
            && profile.speaks.not_read().is_none();
        let (edge, guard) = profile.spanning_tree();
        let device = Device {
            on_detach: self.on_detach,
            stp_edge: self.spanning_tree && edge,
            bpdu_guard: self.spanning_tree && guard,
            trunk_ports: if is_of_table { vec![port.to_owned()] } else { Vec::new() },
            create_missing_vlans: self.table.is_some(),
            ..Device::stand_in(profile.clone())
        };
        let mut before = running(&self.before, port, profile);
        if let (Some(vlans), Some(instance)) = (&self.table, profile.network_instance()) {
            let name = profile.openconfig.network_instance.clone().unwrap_or_default();
            before.set_leaf(instance.child("config").child("name"), &name);
            for vlan in vlans.iter() {
                let (entry, id) = (table_entry(&instance, vlan), vlan.to_string());
                before.set_leaf(entry.child("vlan-id"), &id);
                before.set_leaf(entry.child("config").child("vlan-id"), &id);
                before.set_leaf(entry.child("config").child("name"), &format!("VLAN{:04}", vlan.as_u16()));
            }
        }
        (request(self.intent.clone(), device), before)
    }

    /// Plans, renders and guards it.
    pub fn write(&self, port: &str, profile: &Arc<Profile>, schema: &Schema) -> Written {
        let (request, before) = self.request(port, profile);
        match plan(&request, &before, schema) {
            Ok(plan) => written(&[&plan], &request.device, schema),
            Err(error) => Written { lines: String::new(), back: String::new(), error: Some(error) },
        }
    }
}

/// The payloads of plans for one device, guarded.
pub fn written(plans: &[&Plan], device: &Device, schema: &Schema) -> Written {
    let text = |payload: &Payload| payload.text().to_owned();
    match Batch::new(plans, device, schema) {
        Ok(batch) => Written { lines: text(&batch.payload), back: text(&batch.inverse), error: None },
        Err(error) => {
            // What was refused is shown all the same: it has to be mended.
            let (mut lines, mut back) = (String::new(), String::new());
            for plan in plans {
                let there = render::payload(&plan.edits, &plan.before, &plan.after, &device.profile, schema);
                lines += there.as_ref().map_or("", Payload::text);
                let inverse = plan.inverse();
                let again = render::payload(&inverse, &plan.after, &plan.restored, &device.profile, schema);
                back += again.as_ref().map_or("", Payload::text);
            }
            Written { lines, back, error: Some(error) }
        }
    }
}

/// A request by nobody, of a device that allows everything.
pub fn request(intent: Intent, device: Device) -> Request {
    let (device, caller) = (Arc::new(device), Caller::default());
    Request { intent, device, physical_network: None, caller, names: &NAMES, level: 0 }
}

/// What a system of this profile shows where a port is in this state.
pub fn running(state: &PortState, port: &str, profile: &Profile) -> Slice {
    let mut state = state.clone();
    let mut in_force = PortState::default();
    if let Some(language) = profile.speaks.language() {
        in_force = language.in_force.clone();
        // A system that is always told whether a port is up always says so.
        state.enabled = state.enabled.or(in_force.enabled.is_none().then_some(true));
        // And so does one on which no line takes an MTU away; one without lines for it never does.
        state.mtu = state.mtu.or((!may_have_no_mtu(profile)).then_some(1500)).filter(|_| profile.has_mtu());
        let (edge, guard) = profile.spanning_tree();
        state.stp_edge =
            state.stp_edge.filter(|is| edge && has_word(profile, PortField::StpEdge, is.as_str()));
        let says_so = |is: &bool| has_word(profile, PortField::BpduGuard, &is.to_string());
        state.bpdu_guard = state.bpdu_guard.filter(|is| guard && says_so(is));
        // Most systems keep nothing for the mode that a port is not in.
        if !language.keeps_other_mode {
            if state.mode != Some(Mode::Trunk) {
                (state.native, state.vlans) = (None, None);
            }
            if state.mode != Some(Mode::Access) {
                state.access = None;
            }
            state.vlans = state.vlans.filter(|list| !list.is_empty());
            let has_none = state.access.is_none() && state.vlans.is_none();
            if has_none && language.has_mode_by_vlans() {
                (state.mode, state.native) = (None, None);
            }
        }
        let has_vlans = match state.mode {
            Some(Mode::Access) => state.access.is_some(),
            mode => mode.is_some(),
        };
        if language.stp_with_vlans && !has_vlans {
            (state.stp_edge, state.bpdu_guard) = (None, None);
        }
    }
    let mut slice = Slice::default();
    state.write(port, &profile.openconfig.interface_type, &in_force, &mut slice);
    slice
}

/// Whether a line of the profile gives a field this value without naming it.
fn has_word(profile: &Profile, field: PortField, word: &str) -> bool {
    let Some(language) = profile.speaks.language() else { return false };
    let says = |(known, to): (&PortField, &SetTo)| {
        *known == field && matches!(to, SetTo::Text(text) if text == word)
    };
    language.lines.iter().any(|rule| rule.set.iter().any(says))
}

/// A state in words.
fn words(state: &PortState) -> String {
    let mut words = vec![state.mode.map_or("no mode".to_owned(), |mode| mode.as_str().to_ascii_lowercase())];
    words.extend(state.access.map(|vlan| format!("access {vlan}")));
    words.extend(state.native.map(|vlan| format!("native {vlan}")));
    words.extend(state.vlans.as_ref().map(|list| format!("vlans {list}")));
    words.extend(state.description.as_ref().map(|text| format!("description {text:?}")));
    words.extend(state.mtu.map(|mtu| format!("mtu {mtu}")));
    words.extend(state.stp_edge.map(|edge| format!("STP edge {}", edge.as_str())));
    words.extend(state.bpdu_guard.map(|guard| format!("BPDU guard {guard}")));
    words.extend(state.enabled.map(|enabled| format!("enabled {enabled}")));
    words.join(", ")
}

/// Whether a line of the profile takes an MTU away: other systems always show one.
fn may_have_no_mtu(profile: &Profile) -> bool {
    let unsets = |rule: &LineRule| rule.unset.contains(&PortField::Mtu);
    profile.speaks.language().is_none_or(|language| language.lines.iter().any(unsets))
}

fn listed(native: Option<u16>, tagged: &[u16], profile: &Profile) -> VlanSet {
    let native = native.filter(|_| profile.openconfig.native_in_trunk_vlans);
    tagged.iter().copied().chain(native).map(vlan).collect()
}

fn set(ids: &[u16]) -> VlanSet {
    ids.iter().copied().map(vlan).collect()
}

fn vlan(id: u16) -> VlanId {
    VlanId::known(id)
}

/// What every scenario comes to on one system, and what takes it back, as a reviewer reads it.
pub fn changes(port: &str, profile: &Arc<Profile>, schema: &Schema) -> Result<String, IntentError> {
    let mut text = String::new();
    for scenario in scenarios(port, profile)? {
        let written = scenario.write(port, profile, schema);
        for (title, lines) in [(scenario.name.as_str(), &written.lines), ("back", &written.back)] {
            let end = if lines.is_empty() || lines.ends_with('\n') { "" } else { "\n" };
            text += &format!("# {title}\n{lines}{end}");
        }
        if let Some(error) = written.error {
            text += &format!("REFUSED: {error}\n");
        }
        text.push('\n');
    }
    Ok(text)
}
