//! The last look before anything is sent: the rendered payload is parsed again and every change in
//! it must lie inside what was asked. It shares nothing with the code that rendered it, so a wrong
//! template, model or merge is caught here. What it does not know it refuses.

mod gnmi;
mod lines;
mod native_xml;
mod read;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::device::{Model, NetconfHabits, PortPattern, Profile, Speaks};
use crate::openconfig::{Interface, StpPort};
use crate::path::{Path, Step};
use crate::render::Payload;
use crate::schema::Schema;
use crate::slice::{Slice, Value};
use crate::vlan::{VlanId, VlanSet};
use lines::Taken;
use read::{Change, read};

/// What a payload may touch.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// By interface name; no other interface may appear.
    pub ports: BTreeMap<String, PortScope>,
    /// Entries of the VLAN table; no other may appear.
    pub vlan_entries: BTreeMap<Path, EntryScope>,
    /// Refused even if a port of that name is in `ports`.
    pub protected: Vec<PortPattern>,
    /// What the payload is applied to: tells whether a port would be a trunk without a list.
    pub running: Slice,
    /// What it shall come to: lines of a command line are followed all the way there.
    pub wanted: Slice,
}

/// What may happen to one port.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PortScope {
    /// VLANs that may be put on it. Removing is always allowed.
    pub vlans: VlanSet,
    /// The other leaves that may change, by name, each with the only value it may be given; none: it
    /// may only be removed.
    pub leaves: BTreeMap<String, Option<String>>,
    /// Whether the interface's list entry may be created, then with this `type`.
    pub creates: Option<String>,
    /// Whether it may be removed again, because this change created it.
    pub removes: bool,
    /// The same two for the port's entry in the spanning tree.
    #[serde(default)]
    pub creates_stp: bool,
    #[serde(default)]
    pub removes_stp: bool,
    /// Whether it may become a trunk without a list, which carries every VLAN: only because it was
    /// one before.
    pub opens: bool,
    /// An uplink: of its VLANs only the list may change, and these stay in it. None: any VLAN may go.
    #[serde(default)]
    pub keeps: Option<VlanSet>,
}

/// What may happen to one entry of the VLAN table.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct EntryScope {
    pub creates: bool,
    pub removes: bool,
    /// Whether several requests may ensure it at once; then it is never taken back.
    pub shared: bool,
    /// What stands in the `config` of a created entry besides its id.
    pub leaves: BTreeMap<String, String>,
}

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("the payload reaches outside the request at {path}: {why}")]
    Outside { path: String, why: String },
    #[error("the payload cannot be read back: {0}")]
    Unreadable(String),
}

const MODE: &str = "interface-mode";
const TRUNK_VLANS: &str = "trunk-vlans";

impl Scope {
    /// Whether a path belongs to what several requests may ensure at once.
    pub fn is_shared(&self, path: &Path) -> bool {
        self.vlan_entries.iter().any(|(entry, scope)| scope.shared && path.is_within(entry))
    }

    /// The ports' scope on the way back: what was on a port may return to that port, and an
    /// interface that was created may go.
    pub fn inverted(&self, before: &Slice) -> BTreeMap<String, PortScope> {
        let inverted = |(name, port): (&String, &PortScope)| {
            let interface = Interface::new(name);
            let (vlans, stp) = (interface.switched_vlan(before), StpPort::new(name));
            let of_stp =
                [&stp.edge, &stp.bpdu_guard].into_iter().filter(|leaf| port.leaves.contains_key(leaf.name()));
            let leaves = [&vlans.mode, &interface.enabled, &interface.description, &interface.mtu];
            let was = |leaf: &Path| (leaf.name().to_owned(), before.leaf(leaf).map(str::to_owned));
            let was_there = before.within(&[interface.entry]);
            let scope = PortScope {
                vlans: was_there.iter().flat_map(|(path, value)| vlans_of(path, value)).collect(),
                leaves: leaves.into_iter().chain(of_stp).map(was).collect(),
                creates: None,
                removes: port.creates.is_some(),
                creates_stp: false,
                removes_stp: port.creates_stp,
                opens: is_open(before.leaf(&vlans.mode), before.value(&vlans.trunk)),
                keeps: port.keeps.as_ref().map(|_| before.vlans(&vlans.trunk).unwrap_or_default()),
            };
            (name.clone(), scope)
        };
        self.ports.iter().map(inverted).collect()
    }

    /// The entries' scope on the way back: what was created may go, what was removed may return as it
    /// was, and what is shared stays.
    pub fn inverted_entries(&self, before: &Slice) -> BTreeMap<Path, EntryScope> {
        let inverted = |(entry, scope): (&Path, &EntryScope)| {
            let config = entry.child("config");
            let was_there = before.within(std::slice::from_ref(&config));
            let leaf = |(path, value): (&Path, &Value)| match value {
                Value::Leaf(value) => Some((path.name().to_owned(), value.clone())),
                _ => None,
            };
            let scope = EntryScope {
                creates: scope.removes,
                removes: scope.creates,
                shared: false,
                leaves: was_there.iter().filter_map(leaf).collect(),
            };
            (entry.clone(), scope)
        };
        self.vlan_entries.iter().filter(|(_, scope)| !scope.shared).map(inverted).collect()
    }
}

fn vlans_of(path: &Path, value: &Value) -> Vec<VlanId> {
    let members: Vec<&str> = match (path.name(), value) {
        ("access-vlan" | "native-vlan", Value::Leaf(value)) => vec![value],
        (TRUNK_VLANS, Value::Set(members)) => members.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let sets = members.into_iter().filter_map(|member| VlanSet::parse_openconfig_member(member).ok());
    sets.flat_map(|set| set.iter().collect::<Vec<_>>()).collect()
}

/// Whether a port is a trunk without a list.
fn is_open(mode: Option<&str>, list: Option<&Value>) -> bool {
    mode == Some("TRUNK") && !matches!(list, Some(Value::Set(members)) if !members.is_empty())
}

/// Checks that every change of `payload` is within `scope`, and that no port is or becomes, between
/// two of them, a trunk of every VLAN. What ports are on the way there, one in each slice: where the
/// payload is lines, of which each takes effect by itself.
pub fn guard(
    payload: &Payload,
    scope: &Scope,
    profile: &Profile,
    schema: &Schema,
) -> Result<Vec<Slice>, ScopeError> {
    let changes = match (payload, &profile.speaks) {
        (Payload::Netconf(xml), Speaks::Netconf(habits)) => match &habits.model {
            Model::OpenConfig => read(xml, schema)?,
            Model::Native(language) => {
                let lines = native_xml::lines(xml, &language.xml)?;
                return lines::follow(&lines, scope, language, Taken::AtOnce);
            }
            Model::Lines(_) => return Err(another_language()),
        },
        (Payload::Gnmi(set), Speaks::Gnmi(habits)) => match &habits.model {
            Model::OpenConfig => gnmi::read(set, habits.origin_of_paths(), &scope.running, schema)?,
            Model::Native(language) => {
                let lines = gnmi::native(set, habits.origin_of_paths())?;
                return lines::follow(&lines, scope, language, Taken::AtOnce);
            }
            Model::Lines(_) => return Err(another_language()),
        },
        (Payload::Cli(lines), Speaks::Gnmi(habits)) => match &habits.model {
            Model::Lines(language) => return lines::follow(lines, scope, language, Taken::AtOnce),
            Model::OpenConfig | Model::Native(_) => return Err(another_language()),
        },
        (Payload::Cli(lines), Speaks::Cli(habits)) => {
            let taken = if habits.not_read.is_some() { Taken::Unseen } else { Taken::OneByOne };
            return lines::follow(lines, scope, &habits.language, taken);
        }
        _ => return Err(another_language()),
    };
    let outside = |path: &Path, why| ScopeError::Outside { path: path.to_string(), why };
    changes.iter().try_for_each(|change| check(change, scope).map_err(|why| outside(&change.path, why)))?;
    follow_lists(&changes, scope).map_err(|(path, why)| outside(path, why.to_owned()))?;
    Ok(Vec::new())
}

/// The lines of a payload's text that a profile's patterns know: of edits of a native model the canonical
/// ones, else the text as it is.
pub fn lines(text: &str, profile: &Profile) -> String {
    let lines = match &profile.speaks {
        Speaks::Gnmi(habits) if matches!(habits.model, Model::Native(_)) => {
            gnmi::native(text, habits.origin_of_paths()).ok()
        }
        Speaks::Netconf(NetconfHabits { model: Model::Native(language), .. }) => {
            native_xml::lines(text, &language.xml).ok()
        }
        _ => None,
    };
    lines.unwrap_or_else(|| text.to_owned())
}

fn another_language() -> ScopeError {
    ScopeError::Unreadable("it is in another language than the device's".to_owned())
}

fn check(change: &Change, scope: &Scope) -> Result<(), String> {
    let steps: Vec<(&str, &str)> =
        change.path.steps().iter().map(|s| (s.module.as_str(), s.name.as_str())).collect();
    let asked = |level: usize| {
        let name = key(&change.path.steps()[level], "name").ok_or("the interface has no name")?;
        let port = scope.ports.get(name).ok_or_else(|| format!("port {name} was not asked for"))?;
        match scope.protected.iter().any(|pattern| pattern.matches(name)) {
            true => Err(format!("port {name} is protected")),
            false => Ok((name, port)),
        }
    };
    match steps.as_slice() {
        [("openconfig-interfaces", "interfaces"), ("openconfig-interfaces", "interface"), below @ ..] => {
            let (name, port) = asked(1)?;
            check_interface(change, below, name, port)
        }
        [(STP, "stp"), (STP, "interfaces"), (STP, "interface"), below @ ..] => {
            let (name, port) = asked(2)?;
            check_spanning_tree(change, below, name, port)
        }
        [(NI, "network-instances"), (NI, "network-instance"), (NI, "vlans"), (NI, "vlan"), below @ ..] => {
            let entry = change.path.ancestor(4);
            let Some(scope) = scope.vlan_entries.get(&entry) else {
                return Err("this VLAN's entry was not asked for".to_owned());
            };
            let id = key(&entry.steps()[3], "vlan-id").unwrap_or_default();
            let text = change.text.as_str();
            match (below, change.operation.as_deref()) {
                ([], Some("create")) if scope.creates => Ok(()),
                ([], Some("remove")) if scope.removes && !change.has_children => Ok(()),
                ([(NI, "config"), (NI, "vlan-id")], Some("merge")) if scope.creates && text == id => Ok(()),
                ([(NI, "config"), (NI, leaf)], Some("merge"))
                    if scope.creates && scope.leaves.get(*leaf).is_some_and(|value| value == text) =>
                {
                    Ok(())
                }
                _ => Err("this is not what was asked of the VLAN's entry".to_owned()),
            }
        }
        _ => Err("nothing there was asked for".to_owned()),
    }
}

const NI: &str = "openconfig-network-instance";
const STP: &str = "openconfig-spanning-tree";

fn check_spanning_tree(
    change: &Change,
    below: &[(&str, &str)],
    name: &str,
    port: &PortScope,
) -> Result<(), String> {
    match (below, change.operation.as_deref()) {
        ([], Some("create")) if port.creates_stp => Ok(()),
        ([], Some("remove")) if port.removes_stp && !change.has_children => Ok(()),
        ([(STP, "config"), (STP, "name")], Some("merge")) if port.creates_stp && change.text == name => {
            Ok(())
        }
        ([(STP, "config"), (STP, leaf @ ("edge-port" | "bpdu-guard"))], _) => {
            check_leaf(leaf, is_removal(change)?, &change.text, port)
        }
        _ => Err("this is not what was asked of the spanning tree".to_owned()),
    }
}

fn check_leaf(leaf: &str, is_removal: bool, text: &str, port: &PortScope) -> Result<(), String> {
    match port.leaves.get(leaf) {
        None => Err("this leaf was not asked for".to_owned()),
        Some(_) if is_removal && text.is_empty() => Ok(()),
        Some(Some(value)) if !is_removal && text == value => Ok(()),
        Some(_) => Err("this value was not asked for".to_owned()),
    }
}

/// Whether a leaf goes or is written; nothing else is ever done to one.
fn is_removal(change: &Change) -> Result<bool, String> {
    match change.operation.as_deref() {
        _ if change.has_children => Err("it has elements in it".to_owned()),
        Some("merge") => Ok(false),
        Some("remove") => Ok(true),
        Some(other) => Err(format!("operation `{other}` is never used here")),
        None => Err("a node is named without an operation of its own".to_owned()),
    }
}

fn check_interface(
    change: &Change,
    below: &[(&str, &str)],
    name: &str,
    port: &PortScope,
) -> Result<(), String> {
    const IF: &str = "openconfig-interfaces";
    const ETHERNET: (&str, &str) = ("openconfig-if-ethernet", "ethernet");
    const AGGREGATION: (&str, &str) = ("openconfig-if-aggregate", "aggregation");
    const SWITCHED: (&str, &str) = ("openconfig-vlan", "switched-vlan");
    const CONFIG: (&str, &str) = ("openconfig-vlan", "config");
    let leaf = match below {
        [] => {
            return match change.operation.as_deref() {
                Some("create") if port.creates.is_some() => Ok(()),
                Some("remove") if port.removes && !change.has_children => Ok(()),
                _ => Err("the interface as a whole is not ours to change".to_owned()),
            };
        }
        [(IF, "config"), (IF, leaf @ ("name" | "type" | "enabled" | "description" | "mtu"))] => *leaf,
        [
            ETHERNET | AGGREGATION,
            SWITCHED,
            CONFIG,
            ("openconfig-vlan", leaf @ (MODE | "access-vlan" | "native-vlan" | TRUNK_VLANS)),
        ] => *leaf,
        _ => return Err("nothing there was asked for".to_owned()),
    };
    let is_removal = is_removal(change)?;
    let text = change.text.as_str();
    match leaf {
        "access-vlan" | "native-vlan" if port.keeps.is_some() => {
            Err("of an uplink only the list of VLANs is changed".to_owned())
        }
        TRUNK_VLANS if is_removal && text.trim().is_empty() => {
            Err("a list is changed value by value".to_owned())
        }
        "access-vlan" | "native-vlan" | TRUNK_VLANS if is_removal => Ok(()),
        "access-vlan" | "native-vlan" | TRUNK_VLANS => {
            let vlans = read_vlans(text)?;
            match vlans.iter().find(|vlan| !port.vlans.contains(*vlan)) {
                Some(vlan) => Err(format!("VLAN {vlan} is not one this port may get")),
                None => Ok(()),
            }
        }
        "name" | "type" => match &port.creates {
            Some(kind) if !is_removal && text == if leaf == "name" { name } else { kind } => Ok(()),
            _ => Err("an interface's name and type are only written when it is created".to_owned()),
        },
        _ => check_leaf(leaf, is_removal, text, port),
    }
}

/// A VLAN or a range in plain decimal. YANG also knows `0144`, which is 100 (RFC 7950 9.2.1).
fn read_vlans(text: &str) -> Result<VlanSet, String> {
    let is_plain = |part: &str| !part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit());
    if !text.split("..").all(is_plain) {
        return Err("a VLAN that is not in plain decimal".to_owned());
    }
    VlanSet::parse_openconfig_member(text).map_err(|error| error.to_string())
}

/// Follows the lists of VLANs through the payload, in its order: where a port that was none becomes
/// a trunk without a list or is left one, and where an uplink loses a VLAN that it keeps.
fn follow_lists<'c>(changes: &'c [Change], scope: &Scope) -> Result<(), (&'c Path, &'static str)> {
    const OPEN: &str = "the port would carry every VLAN here";
    let mut ports: BTreeMap<Path, SwitchPort> = BTreeMap::new();
    for change in changes {
        let is_removal = change.operation.as_deref() == Some("remove");
        let is_mode = change.path.name() == MODE;
        if !is_mode && change.path.name() != TRUNK_VLANS {
            continue;
        }
        let Some(parent) = change.path.parent() else { continue };
        let port =
            ports.entry(parent.clone()).or_insert_with(|| SwitchPort::of(&parent, scope, &change.path));
        let was_open = port.is_open();
        match (is_mode, is_removal) {
            (true, _) => port.mode = (!is_removal).then(|| change.text.clone()),
            (false, false) => drop(port.list.insert(change.text.clone())),
            (false, true) => drop(port.list.remove(&change.text)),
        }
        port.last = &change.path;
        if port.is_open() && !was_open && !port.may_open {
            return Err((&change.path, OPEN));
        }
    }
    for port in ports.values() {
        if port.is_open() && !port.may_open {
            return Err((port.last, OPEN));
        }
        let Some(keeps) = &port.keeps else { continue };
        let list: VlanSet = port
            .list
            .iter()
            .filter_map(|member| read_vlans(member).ok())
            .flat_map(|set| set.iter().collect::<Vec<_>>())
            .collect();
        if keeps.iter().any(|vlan| !list.contains(vlan)) {
            return Err((port.last, "the uplink would lose a VLAN that was not named"));
        }
    }
    Ok(())
}

/// `switched-vlan/config` of a port while the payload is followed.
struct SwitchPort<'c> {
    mode: Option<String>,
    list: BTreeSet<String>,
    may_open: bool,
    keeps: Option<VlanSet>,
    last: &'c Path,
}

impl<'c> SwitchPort<'c> {
    fn of(config: &Path, scope: &Scope, first: &'c Path) -> Self {
        let name = config.steps().get(1).and_then(|entry| key(entry, "name"));
        let port = name.and_then(|name| scope.ports.get(name));
        let list = match scope.running.value(&config.child(TRUNK_VLANS)) {
            Some(Value::Set(members)) => members.clone(),
            _ => BTreeSet::new(),
        };
        Self {
            mode: scope.running.leaf(&config.child(MODE)).map(str::to_owned),
            list,
            may_open: port.is_some_and(|port| port.opens),
            keeps: port.and_then(|port| port.keeps.clone()),
            last: first,
        }
    }

    fn is_open(&self) -> bool {
        self.mode.as_deref() == Some("TRUNK") && self.list.is_empty()
    }
}

fn key<'s>(step: &'s Step, name: &str) -> Option<&'s str> {
    step.keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests;
