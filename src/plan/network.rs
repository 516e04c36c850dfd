//! A network's VLAN on one device: its entry in the VLAN table, and its place on the uplinks.

use std::collections::BTreeMap;

use crate::device::{Device, NotRead};
use crate::guard::{EntryScope, PortScope, Scope};
use crate::openconfig::{INTERFACES, Interface, port_of, table_entry};
use crate::path::Path;
use crate::plan::target::Target;
use crate::plan::{PlanError, Risk};
use crate::slice::{Slice, Value};
use crate::vlan::{VlanId, VlanSet};

/// What a network change touches.
pub fn reads(device: &Device, vlan: VlanId) -> Vec<Path> {
    let uplinks = device.trunk_ports.iter().map(|port| Interface::entry(port));
    let table = device
        .profile
        .network_instance()
        .into_iter()
        .flat_map(|instance| [instance.child("config").child("name"), table_entry(&instance, vlan)]);
    let mut paths: Vec<Path> = uplinks.chain(table).collect();
    paths.sort();
    paths
}

/// Every interface: each of them may use the VLAN that is to go.
pub fn reads_for_use() -> Path {
    Path::default().child(INTERFACES)
}

/// The VLAN in the table and on every uplink.
pub fn add(device: &Device, vlan: VlanId, before: &Slice) -> Result<Target, PlanError> {
    let mut target = Target::new(before);
    if let Some(entry) = entry_in_table(device, vlan, before)?
        && !before.has_entry(&entry)
    {
        let id = vlan.to_string();
        target.after.set_leaf(entry.child("vlan-id"), &id);
        target.after.set_leaf(entry.child("config").child("vlan-id"), &id);
    }
    on_uplinks(device, before, &mut target, |list| list.iter().chain([vlan]).collect())?;
    Ok(target)
}

/// The VLAN nowhere. `running` is everything that may use it.
pub fn delete(
    device: &Device,
    vlan: VlanId,
    force: bool,
    before: &Slice,
    running: &Slice,
    parameter: &'static str,
) -> Result<Target, PlanError> {
    if let Some(NotRead { why, .. }) = device.profile.speaks.not_read() {
        let (device, why) = (device.name.clone(), why.clone());
        return Err(PlanError::UseNotRead { parameter, vlan, device, why });
    }
    let mut target = Target::new(before);
    let entry = entry_in_table(device, vlan, before)?;
    let name = entry.as_ref().and_then(|entry| before.leaf(&entry.child("config").child("name")));
    let users = users(running, vlan, name, &device.trunk_ports);
    if !users.is_empty() {
        let (users, device) = (users.join(", "), device.name.clone());
        if !force {
            return Err(PlanError::VlanInUse { parameter, vlan, device, users });
        }
        target.risks.push(Risk::VlanInUse { vlan, users });
    }
    if let Some(entry) = entry {
        let inside = before.within(std::slice::from_ref(&entry));
        inside.iter().for_each(|(path, _)| target.after.unset(path));
    }
    on_uplinks(device, before, &mut target, |list| list.iter().filter(|other| *other != vlan).collect())?;
    Ok(target)
}

/// Gives the uplinks the lists that `wanted` makes of theirs.
fn on_uplinks(
    device: &Device,
    before: &Slice,
    target: &mut Target,
    wanted: impl Fn(&VlanSet) -> VlanSet,
) -> Result<(), PlanError> {
    for port in &device.trunk_ports {
        if device.profile.speaks.not_read().is_some() {
            return Err(unusable(port, "its list of VLANs cannot be read"));
        }
        let path = uplink(port, before)?;
        match before.vlans(&path) {
            Some(list) => match wanted(&list) {
                same if same == list => {}
                none if none.is_empty() => {
                    return Err(unusable(port, "without this VLAN it would carry every VLAN"));
                }
                wanted => target.trunk_list(&wanted, &path),
            },
            None if before.value(&path).is_none() => {
                target.risks.push(Risk::UplinkOfAll { port: port.clone() });
            }
            None => return Err(unusable(port, "its list of VLANs holds something else")),
        }
    }
    Ok(())
}

/// Where the VLAN stands in the table; none: this system has no table.
fn entry_in_table(device: &Device, vlan: VlanId, before: &Slice) -> Result<Option<Path>, PlanError> {
    let Some(instance) = device.profile.network_instance() else { return Ok(None) };
    if before.value(&instance.child("config").child("name")).is_none() {
        return Err(PlanError::NoVlanTable);
    }
    Ok(Some(table_entry(&instance, vlan)))
}

/// The list of an uplink, which is a trunk already.
fn uplink(port: &str, before: &Slice) -> Result<Path, PlanError> {
    let interface = Interface::new(port);
    if !before.has_entry(&interface.entry) {
        return Err(unusable(port, "it is not in the running configuration"));
    }
    if before.leaf(&interface.aggregate_id).is_some() {
        return Err(unusable(port, "it is a member of a LAG, which has the VLANs"));
    }
    let vlans = interface.switched_vlan(before);
    match before.leaf(&vlans.mode) {
        Some("TRUNK") => Ok(vlans.trunk),
        _ => Err(unusable(port, "it is no trunk; configure it as one with a list of VLANs on the switch")),
    }
}

fn unusable(port: &str, why: &'static str) -> PlanError {
    PlanError::Uplink { port: port.to_owned(), why }
}

/// What has the VLAN as access, native or explicitly tagged VLAN, or routes it, besides the uplinks.
/// Those that route may say its `name` instead.
fn users(running: &Slice, vlan: VlanId, vlan_name: Option<&str>, uplinks: &[String]) -> Vec<String> {
    let mut users: Vec<String> = Vec::new();
    for (path, value) in running.iter() {
        let Some(name) = port_of(path) else { continue };
        let is_vlan = |text: &String| text.parse() == Ok(vlan);
        let uses = match (path.name(), value) {
            ("native-vlan", Value::Leaf(id)) => is_vlan(id),
            ("access-vlan", Value::Leaf(id)) => is_vlan(id),
            ("vlan", Value::Leaf(id)) => is_vlan(id) || vlan_name == Some(id),
            ("trunk-vlans", Value::Set(_)) => running.vlans(path).is_some_and(|list| list.contains(vlan)),
            _ => false,
        };
        let is_list_of_uplink = path.name() == "trunk-vlans" && uplinks.iter().any(|uplink| uplink == name);
        if uses && !is_list_of_uplink && users.last().is_none_or(|last| last != name) {
            users.push(name.to_owned());
        }
    }
    users
}

/// Only the VLAN's entry and its place in the uplinks' lists.
pub fn scope(device: &Device, vlan: VlanId, before: &Slice, after: &Slice) -> Scope {
    let port = |port: &String| {
        let path = Interface::new(port).switched_vlan(before).trunk;
        let list = |slice: &Slice| slice.vlans(&path).unwrap_or_default();
        let (was, will): (VlanSet, VlanSet) = (list(before), list(after));
        let keeps = was.iter().filter(|other| *other != vlan || will.contains(vlan)).collect();
        (port.clone(), PortScope { vlans: will, keeps: Some(keeps), ..PortScope::default() })
    };
    let entry = device.profile.network_instance().map(|instance| table_entry(&instance, vlan));
    let entry = entry.map(|entry| {
        let (was, will) = (before.has_entry(&entry), after.has_entry(&entry));
        let scope = EntryScope { creates: !was && will, removes: was && !will, ..EntryScope::default() };
        (entry, scope)
    });
    Scope {
        ports: device.trunk_ports.iter().map(port).collect(),
        vlan_entries: entry.into_iter().collect::<BTreeMap<_, _>>(),
        protected: device.protected_ports.clone(),
        running: before.clone(),
        wanted: Slice::default(),
    }
}

/// A VLAN of a slice in words: `in the table, on eth49 eth50`.
pub fn describe(slice: &Slice, vlan: VlanId) -> String {
    let id = vlan.to_string();
    let mut in_table = false;
    let mut ports = Vec::new();
    for (path, _) in slice.iter() {
        let steps = path.steps();
        let is_entry =
            |n: usize, key: &str| steps.get(n).is_some_and(|s| s.keys.iter().any(|(_, v)| v == key));
        in_table |= path.is_key() && is_entry(3, &id);
        if path.name() == "trunk-vlans" && slice.vlans(path).is_some_and(|list| list.contains(vlan)) {
            ports.extend(steps.get(1).and_then(|step| step.keys.first()).map(|(_, name)| name.as_str()));
        }
    }
    let table = if in_table { "in the table" } else { "not in the table" };
    if ports.is_empty() { table.to_owned() } else { format!("{table}, on {}", ports.join(" ")) }
}
