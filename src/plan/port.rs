//! A port in OpenConfig's model: what it should hold, and in which order it is safe to change.

use std::collections::BTreeMap;

use crate::device::{Device, OnDetach};
use crate::guard::{EntryScope, PortScope, Scope};
use crate::intent::{Attach, Description, Detach, Intent, PortName, PortVlans, Request};
use crate::openconfig::{
    Interface, NETWORK_INSTANCES, PortState, StpEdge, StpPort, SwitchedVlan, port_of, table_entry,
};
use crate::path::Path;
use crate::plan::target::Target;
use crate::plan::{PlanError, Risk};
use crate::slice::{Edit, Operation, Slice, Value};
use crate::vlan::{VlanId, VlanSet};

/// What a change of a port touches: the interface, what the spanning tree has of it where that is
/// asked for or could get lost, and of the VLAN table only what matters.
pub fn reads(request: &Request, port: &PortName) -> Vec<Path> {
    let mut paths = vec![Interface::entry(port.as_str())];
    if request.sets_spanning_tree() || request.device.profile.stp_with_vlans() {
        paths.push(StpPort::new(port.as_str()).entry);
    }
    if let Some(instance) = request.device.profile.network_instance() {
        paths.push(instance.child("config").child("name"));
        // Only that they exist: their names and the rest are others' to change at any time.
        paths.extend(request.writable_vlans().iter().flat_map(|vlan| {
            let entry = table_entry(&instance, vlan);
            [entry.child("config").child("vlan-id"), entry.child("vlan-id")]
        }));
    }
    paths.sort();
    paths
}

/// The port in the VLANs it should be in.
pub fn attach(request: &Request, attach: &Attach, before: &Slice) -> Result<Target, PlanError> {
    let (mut target, interface, vlans) = Target::of_port(request, &attach.port, before)?;
    target.attach(attach, &request.device, &interface, &vlans);
    target.spanning_tree(&attach.port, &request.device);
    target.note_risks(true, &interface, &vlans, before);
    refuse_open_trunk(&attach.port, &vlans, &target.after).map(|()| target)
}

/// The port isolated.
pub fn detach(request: &Request, detach: &Detach, before: &Slice) -> Result<Target, PlanError> {
    let (mut target, interface, vlans) = Target::of_port(request, &detach.port, before)?;
    target.detach(detach, &request.device, &interface, &vlans);
    let is_blind = request.device.profile.speaks.not_read().is_some();
    if is_blind && target.after.leaf(&vlans.mode).is_none() {
        target.risks.push(Risk::KeepsVlans);
    }
    if request.clears_spanning_tree() {
        StpPort::new(detach.port.as_str()).clear(&mut target.after);
    }
    target.note_risks(false, &interface, &vlans, before);
    refuse_open_trunk(&detach.port, &vlans, &target.after).map(|()| target)
}

/// What a request may do to its port, and to the VLANs that the port needs.
pub fn scope(request: &Request, port: &PortName, before: &Slice, target: &Target) -> Scope {
    let created = |entry: &Path| !before.has_entry(entry) && target.after.has_entry(entry);
    let kind = &request.device.profile.openconfig.interface_type;
    let port_scope = PortScope {
        vlans: request.writable_vlans(),
        leaves: request.writable_leaves(),
        creates: created(&Interface::entry(port.as_str())).then(|| kind.clone()),
        creates_stp: created(&StpPort::new(port.as_str()).entry),
        ..PortScope::default()
    };
    let ensured = EntryScope { creates: true, shared: true, ..EntryScope::default() };
    let entries = target.shared.iter().filter(|entry| created(entry));
    Scope {
        ports: BTreeMap::from([(port.to_string(), port_scope)]),
        vlan_entries: entries.map(|entry| (entry.clone(), ensured.clone())).collect(),
        protected: request.device.protected_ports.clone(),
        running: before.clone(),
        wanted: Slice::default(),
    }
}

impl Target {
    /// The interface is there, and so are its VLANs; what is on it has not changed yet.
    fn of_port(
        request: &Request,
        port: &PortName,
        before: &Slice,
    ) -> Result<(Self, Interface, SwitchedVlan), PlanError> {
        let interface = Interface::new(port.as_str());
        if let Some(lag) = before.leaf(&interface.aggregate_id) {
            let (port, lag) = (port.to_string(), lag.to_owned());
            return Err(PlanError::LagMember { parameter: request.names.port, port, lag });
        }
        let mut target = Self::new(before);
        target.ensure_vlans(request, before)?;
        if !before.has_entry(&interface.entry) {
            if !request.device.profile.openconfig.creates_interfaces {
                let (port, device) = (port.to_string(), request.device.name.clone());
                return Err(PlanError::NoSuchPort { parameter: request.names.port, port, device });
            }
            target.create(port, &interface, &request.device);
        }
        let vlans = interface.switched_vlan(before);
        Ok((target, interface, vlans))
    }

    fn create(&mut self, port: &PortName, interface: &Interface, device: &Device) {
        self.risks.push(Risk::CreatesInterface { port: port.to_string() });
        let (after, port) = (&mut self.after, port.as_str());
        after.set_leaf(interface.entry.child("name"), port);
        after.set_leaf(interface.name.clone(), port);
        after.set_leaf(interface.kind.clone(), &device.profile.openconfig.interface_type);
        // A device that reports its defaults as configured must not seem to have added one.
        after.set(interface.enabled.clone(), Value::Default("true".to_owned()));
    }

    fn ensure_vlans(&mut self, request: &Request, before: &Slice) -> Result<(), PlanError> {
        let device = &request.device;
        let Some(instance) = device.profile.network_instance() else { return Ok(()) };
        // Not every system takes it well to be told twice that there is a VLAN.
        let is_blind = device.profile.speaks.not_read().is_some();
        let visible = before.value(&instance.child("config").child("name")).is_some() && !is_blind;
        let missing = |vlan: &VlanId| !before.has_entry(&table_entry(&instance, *vlan));
        let missing: VlanSet = request.writable_vlans().iter().filter(missing).collect();
        let Some(first) = missing.iter().next() else { return Ok(()) };
        if !visible {
            // The system does not show the table (many do not implement this part of OpenConfig);
            // whether the VLAN exists cannot be told, so it is said and not guessed.
            self.risks.push(Risk::VlanTableNotSeen { vlans: missing });
            return Ok(());
        }
        if !device.create_missing_vlans && matches!(request.intent, Intent::Detach(_)) {
            // Refusing would leave the tenant on the port. In a VLAN that is not there it is alone.
            self.risks.push(Risk::VlanMissing { vlans: missing });
            return Ok(());
        }
        if !device.create_missing_vlans {
            return Err(PlanError::VlanMissing {
                parameter: request.origin_of(first),
                vlans: missing,
                device: device.name.clone(),
            });
        }
        for vlan in missing.iter() {
            let entry = table_entry(&instance, vlan);
            let id = vlan.to_string();
            self.after.set_leaf(entry.child("vlan-id"), &id);
            self.after.set_leaf(entry.child("config").child("vlan-id"), &id);
            self.shared.push(entry);
        }
        self.risks.push(Risk::CreatesVlans { vlans: missing });
        Ok(())
    }

    fn attach(&mut self, attach: &Attach, device: &Device, interface: &Interface, vlans: &SwitchedVlan) {
        match &attach.vlans {
            PortVlans::Access { vlan } => self.access(*vlan, vlans),
            PortVlans::Trunk { native, tagged } => {
                let habits = &device.profile.openconfig;
                let mut list = tagged.clone();
                // A trunk without a list carries every VLAN, so native alone is listed too.
                if habits.native_in_trunk_vlans || tagged.is_empty() {
                    native.iter().for_each(|vlan| list.insert(*vlan));
                }
                self.after.set_leaf(vlans.mode.clone(), "TRUNK");
                match native {
                    Some(vlan) => self.after.set_leaf(vlans.native.clone(), &vlan.to_string()),
                    None => self.after.unset(&vlans.native),
                }
                self.after.unset(&vlans.access);
                self.trunk_list(&list, &vlans.trunk);
            }
        }
        match &attach.description {
            Some(description) if device.profile.has_description() => {
                self.after.set_leaf(interface.description.clone(), description.as_str());
            }
            Some(_) => self.risks.push(Risk::NoDescription),
            None => {}
        }
        match attach.mtu {
            Some(mtu) if device.profile.has_mtu() => {
                self.after.set_leaf(interface.mtu.clone(), &mtu.to_string());
            }
            // It is the network's, which every call of Neutron names.
            Some(mtu) => self.risks.push(Risk::NoMtu { mtu }),
            None => {}
        }
        let disabled_by_us = device.on_detach == OnDetach::Disable;
        if let Some(enabled) = attach.enabled.or(disabled_by_us.then_some(true)) {
            self.enable(enabled, interface, device);
        }
    }

    /// What the operator wants of every port with a server behind it.
    fn spanning_tree(&mut self, port: &PortName, device: &Device) {
        let stp = StpPort::new(port.as_str());
        for (wanted, path, value) in [
            (device.stp_edge, &stp.edge, StpEdge::Enable.identity()),
            (device.bpdu_guard, &stp.bpdu_guard, "true"),
        ] {
            if !wanted || self.after.leaf(path) == Some(value) {
                continue;
            }
            stp.ensure(port.as_str(), &mut self.after);
            self.after.set_leaf(path.clone(), value);
            if *path == stp.bpdu_guard {
                self.risks.push(Risk::GuardsBpdus);
            }
        }
    }

    fn detach(&mut self, detach: &Detach, device: &Device, interface: &Interface, vlans: &SwitchedVlan) {
        match (detach.default_vlan, device.on_detach) {
            (Some(vlan), _) | (None, OnDetach::Quarantine(vlan)) => self.access(vlan, vlans),
            (None, OnDetach::Disable) => {
                self.enable(false, interface, device);
                for path in [&vlans.mode, &vlans.access, &vlans.native, &vlans.trunk] {
                    self.after.unset(path);
                }
            }
        }
        if self.after.leaf(&interface.description).is_some_and(Description::is_ours) {
            self.after.unset(&interface.description);
        }
    }

    fn access(&mut self, vlan: VlanId, vlans: &SwitchedVlan) {
        self.after.set_leaf(vlans.mode.clone(), "ACCESS");
        self.after.set_leaf(vlans.access.clone(), &vlan.to_string());
        self.after.unset(&vlans.native);
        self.after.unset(&vlans.trunk);
    }

    /// On an interface that runs, `enabled` left unset is true already; where nothing can be read it may be
    /// set to anything.
    fn enable(&mut self, enabled: bool, interface: &Interface, device: &Device) {
        let is_read = device.profile.speaks.not_read().is_none();
        let is_unset = self.after.leaf(&interface.enabled).is_none() && is_read;
        if !(enabled && is_unset) {
            self.after.set_leaf(interface.enabled.clone(), if enabled { "true" } else { "false" });
        }
    }

    fn note_risks(&mut self, attaches: bool, interface: &Interface, vlans: &SwitchedVlan, before: &Slice) {
        if let (true, None) = (before.leaf(&vlans.mode) == Some("TRUNK"), before.value(&vlans.trunk)) {
            self.risks.push(Risk::WasTrunkOfAll);
        }
        let gone = carried(before, vlans);
        let stays = carried(&self.after, vlans);
        let leaves: VlanSet = gone.iter().filter(|vlan| !stays.contains(*vlan)).collect();
        if !leaves.is_empty() {
            self.risks.push(Risk::LeavesVlans { vlans: leaves });
        }
        let (was, will) = (before.leaf(&interface.enabled), self.after.leaf(&interface.enabled));
        match (was, will) {
            (Some("false"), Some("false")) if attaches => self.risks.push(Risk::PortStaysDown),
            (Some("false"), _) | (_, None | Some("true")) => {}
            _ => self.risks.push(Risk::PortGoesDown),
        }
        if let Some(mtu) =
            self.after.leaf(&interface.mtu).filter(|mtu| before.leaf(&interface.mtu) != Some(mtu))
        {
            self.risks.push(Risk::SetsMtu { mtu: mtu.to_owned() });
        }
        if let (Some(old), Some(new)) =
            (before.leaf(&interface.description), self.after.leaf(&interface.description))
            && old != new
            && !Description::is_ours(old)
        {
            self.risks.push(Risk::OverwritesDescription { old: old.to_owned() });
        }
    }
}

/// Every VLAN a port is explicitly in.
fn carried(slice: &Slice, vlans: &SwitchedVlan) -> VlanSet {
    let single = [&vlans.access, &vlans.native].into_iter().filter_map(|path| slice.leaf(path)?.parse().ok());
    single.chain(slice.vlans(&vlans.trunk).unwrap_or_default().iter()).collect()
}

/// A port of a slice in words: `TRUNK native 100 list 200-210 (down)`.
pub fn describe(slice: &Slice, port: &str) -> String {
    let interface = Interface::new(port);
    if !slice.has_entry(&interface.entry) {
        return "not configured".to_owned();
    }
    let vlans = interface.switched_vlan(slice);
    let mut words = vec![slice.leaf(&vlans.mode).unwrap_or("no VLAN mode").to_owned()];
    if let Some(vlan) = slice.leaf(&vlans.access) {
        words.push(vlan.to_owned());
    }
    if let Some(vlan) = slice.leaf(&vlans.native) {
        words.push(format!("native {vlan}"));
    }
    match PortState::of(slice, port).and_then(|state| state.vlans) {
        Some(list) if list.is_empty() => words.push("of no VLAN".to_owned()),
        // Not "tagged": the native VLAN may be in it.
        Some(list) => words.push(format!("list {list}")),
        None if slice.leaf(&vlans.mode) == Some("TRUNK") => words.push("of every VLAN".to_owned()),
        None => {}
    }
    if slice.leaf(&interface.enabled) == Some("false") {
        words.push("(down)".to_owned());
    }
    words.join(" ")
}

/// Puts edits in an order in which no state in between is wider than both ends: a port that goes
/// down goes first, a list is explicit before the mode makes it count, a trunk stops being one
/// before its list goes, a port that comes up comes last. Devices that apply an edit as one do not
/// care; the others are why.
pub fn narrow_before_widen(edits: &mut [Edit], after: &Slice) {
    let mut trunks: BTreeMap<String, bool> = BTreeMap::new();
    edits.sort_by_cached_key(|edit| rank(edit, after, &mut trunks));
}

fn rank(edit: &Edit, after: &Slice, trunks: &mut BTreeMap<String, bool>) -> u8 {
    if edit.target.steps().first().is_some_and(|step| NETWORK_INSTANCES.ends_with(&step.name)) {
        return 0;
    }
    let removes = edit.operation == Operation::Remove;
    let port = port_of(&edit.target).unwrap_or_default();
    let becomes_trunk = *trunks.entry(port.to_owned()).or_insert_with(|| {
        let vlans = Interface::new(port).switched_vlan(after);
        after.leaf(&vlans.mode) == Some("TRUNK")
    });
    match (edit.target.name(), becomes_trunk) {
        ("interface" | "name" | "type", _) => 0,
        ("enabled", _) if edit.value.as_deref() == Some("false") => 1,
        ("trunk-vlans", true) => 3 + u8::from(removes),
        ("native-vlan", true) => 5,
        ("interface-mode", true) => 6,
        ("access-vlan", true) => 7,
        ("access-vlan", false) => 3,
        ("interface-mode", false) => 4,
        ("native-vlan", false) => 5,
        ("trunk-vlans", false) => 6,
        ("enabled", _) => 9,
        // With `enabled`, because a payload has one `config`: before it, a port would come up early.
        _ => 8,
    }
}

/// Refuses a state in which a port is a trunk with an unset list: that carries every VLAN.
fn refuse_open_trunk(port: &PortName, vlans: &SwitchedVlan, after: &Slice) -> Result<(), PlanError> {
    let open =
        after.leaf(&vlans.mode) == Some("TRUNK") && after.vlans(&vlans.trunk).is_none_or(|l| l.is_empty());
    if open { Err(PlanError::OpenTrunk { port: port.to_string() }) } else { Ok(()) }
}
