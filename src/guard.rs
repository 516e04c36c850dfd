//! The last look before anything is sent: the rendered payload is parsed again and every change in
//! it must lie inside what was asked. It shares nothing with the code that rendered it, so a wrong
//! template, model or merge is caught here. What it does not know it refuses.

use std::collections::BTreeMap;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use serde::{Deserialize, Serialize};

use crate::device::PortPattern;
use crate::path::{Path, Step};
use crate::plan::openconfig::Interface;
use crate::render::Payload;
use crate::schema::Schema;
use crate::slice::{Slice, Value};
use crate::vlan::VlanSet;

/// What a payload may touch.
#[derive(Clone, Debug, Default)]
pub struct Scope {
    /// By interface name; no other interface may appear.
    pub ports: BTreeMap<String, PortScope>,
    /// Entries of the VLAN table that may be created; never changed, never removed.
    pub vlan_entries: Vec<Path>,
    /// Refused even if a port of that name is in `ports`.
    pub protected: Vec<PortPattern>,
}

/// What may happen to one port.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PortScope {
    /// VLANs that may be put on it. Removing is always allowed.
    pub vlans: VlanSet,
    /// Whether the interface's list entry may be created.
    pub creates: bool,
    /// Whether it may be removed again, because this change created it.
    pub removes: bool,
}

/// Why a payload is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScopeError {
    #[error("the payload reaches outside the request at {path}: {why}")]
    Outside { path: String, why: String },
    #[error("the payload cannot be read back: {0}")]
    Unreadable(String),
}

impl Scope {
    /// Whether a path belongs to what several requests may ensure at once.
    pub fn is_shared(&self, path: &Path) -> bool {
        self.vlan_entries.iter().any(|entry| path.is_within(entry))
    }

    /// The ports' scope on the way back: VLANs that were on a port may return to that port, and an
    /// interface that was created may go.
    pub fn inverted(&self, before: &Slice) -> BTreeMap<String, PortScope> {
        let inverted = |(name, port): (&String, &PortScope)| {
            let entry = Interface::new(name).entry;
            let was_there = before.within(&[entry]);
            let vlans = was_there.iter().flat_map(|(path, value)| vlans_of(path, value)).collect();
            (name.clone(), PortScope { vlans, creates: false, removes: port.creates })
        };
        self.ports.iter().map(inverted).collect()
    }
}

fn vlans_of(path: &Path, value: &Value) -> Vec<crate::vlan::VlanId> {
    let members: Vec<&str> = match (path.name(), value) {
        ("access-vlan" | "native-vlan", Value::Leaf(value)) => vec![value],
        ("trunk-vlans", Value::Set(members)) => members.iter().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    let sets = members.into_iter().filter_map(|member| VlanSet::parse_openconfig_member(member).ok());
    sets.flat_map(|set| set.iter().collect::<Vec<_>>()).collect()
}

/// One element of the payload with nothing but text in it, or one that carries an operation.
struct Change {
    path: Path,
    operation: Option<String>,
    text: String,
    has_children: bool,
}

/// Checks that every change of `payload` is within `scope`.
pub fn guard(payload: &Payload, scope: &Scope, schema: &Schema) -> Result<(), ScopeError> {
    let Payload::Netconf(xml) = payload;
    let changes = read(xml, |uri| schema.module_of(uri).map(str::to_owned))?;
    changes.iter().try_for_each(|change| {
        check(change, scope).map_err(|why| ScopeError::Outside { path: change.path.to_string(), why })
    })
}

fn check(change: &Change, scope: &Scope) -> Result<(), String> {
    let operation = change.operation.as_deref();
    if let Some(op) = operation
        && !matches!(op, "merge" | "create" | "remove")
    {
        return Err(format!("operation `{op}` is never used"));
    }
    let steps: Vec<(&str, &str)> =
        change.path.steps().iter().map(|s| (s.module.as_str(), s.name.as_str())).collect();
    match steps.as_slice() {
        [("openconfig-interfaces", "interfaces"), ("openconfig-interfaces", "interface"), below @ ..] => {
            let name = key(&change.path.steps()[1], "name").ok_or("the interface has no name")?;
            let port = scope.ports.get(name).ok_or_else(|| format!("port {name} was not asked for"))?;
            if scope.protected.iter().any(|pattern| pattern.matches(name)) {
                return Err(format!("port {name} is protected"));
            }
            check_interface(change, below, operation, port)
        }
        [
            ("openconfig-network-instance", "network-instances"),
            ("openconfig-network-instance", "network-instance"),
            ("openconfig-network-instance", "vlans"),
            ("openconfig-network-instance", "vlan"),
            below @ ..,
        ] => {
            let entry = change.path.ancestor(4);
            if !scope.vlan_entries.contains(&entry) {
                return Err("this VLAN's entry was not asked for".to_owned());
            }
            let id = key(&entry.steps()[3], "vlan-id").unwrap_or_default().to_owned();
            match below {
                [] if operation == Some("create") => Ok(()),
                [(_, "vlan-id")] | [(_, "config"), (_, "vlan-id")] if change.text == id => {
                    no_removal(operation)
                }
                _ => Err("only the entry and its vlan-id are created".to_owned()),
            }
        }
        _ => Err("nothing there was asked for".to_owned()),
    }
}

fn check_interface(
    change: &Change,
    below: &[(&str, &str)],
    operation: Option<&str>,
    port: &PortScope,
) -> Result<(), String> {
    const ETHERNET: (&str, &str) = ("openconfig-if-ethernet", "ethernet");
    const AGGREGATION: (&str, &str) = ("openconfig-if-aggregate", "aggregation");
    const SWITCHED: (&str, &str) = ("openconfig-vlan", "switched-vlan");
    if operation.is_none() && !matches!(below, [(_, "name")]) {
        return Err("a node is named without an operation of its own".to_owned());
    }
    match below {
        [] => match operation {
            Some("create") if port.creates => Ok(()),
            Some("remove") if port.removes && !change.has_children => Ok(()),
            _ => Err("the interface as a whole is not ours to change".to_owned()),
        },
        [("openconfig-interfaces", "name")] => Ok(()),
        [("openconfig-interfaces", "config"), ("openconfig-interfaces", leaf)] => match *leaf {
            "name" | "type" if port.creates => no_removal(operation),
            "enabled" | "description" | "mtu" => Ok(()),
            _ => Err("this leaf was not asked for".to_owned()),
        },
        [ETHERNET | AGGREGATION, SWITCHED, ("openconfig-vlan", "config"), ("openconfig-vlan", leaf)] => {
            match *leaf {
                "interface-mode" => Ok(()),
                "access-vlan" | "native-vlan" | "trunk-vlans" if operation == Some("remove") => {
                    let whole_list = *leaf == "trunk-vlans" && change.text.is_empty();
                    if whole_list { Err("a list is changed value by value".to_owned()) } else { Ok(()) }
                }
                "access-vlan" | "native-vlan" | "trunk-vlans" => {
                    let vlans =
                        VlanSet::parse_openconfig_member(&change.text).map_err(|error| error.to_string())?;
                    match vlans.iter().find(|vlan| !port.vlans.contains(*vlan)) {
                        Some(vlan) => Err(format!("VLAN {vlan} is not one this port may get")),
                        None => Ok(()),
                    }
                }
                _ => Err("this leaf was not asked for".to_owned()),
            }
        }
        _ => Err("nothing there was asked for".to_owned()),
    }
}

fn no_removal(operation: Option<&str>) -> Result<(), String> {
    if operation == Some("remove") { Err("this is never removed".to_owned()) } else { Ok(()) }
}

fn key<'s>(step: &'s Step, name: &str) -> Option<&'s str> {
    step.keys.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

/// Every element that holds text or an operation, with the keys of the entries above it.
fn read(xml: &str, module_of: impl Fn(&str) -> Option<String>) -> Result<Vec<Change>, ScopeError> {
    let unreadable = |what: &dyn std::fmt::Display| ScopeError::Unreadable(what.to_string());
    let mut reader = NsReader::from_str(xml);
    let mut open: Vec<Change> = Vec::new();
    let mut done: Vec<Change> = Vec::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|error| unreadable(&error))?;
        let namespace = match namespace {
            ResolveResult::Bound(uri) => Some(uri.0.to_owned()),
            _ => None,
        };
        match event {
            Event::Start(start) => open_element(&start, namespace, &mut open, &module_of)?,
            Event::Empty(start) => {
                open_element(&start, namespace, &mut open, &module_of)?;
                close_element(&mut open, &mut done);
            }
            Event::End(_) => close_element(&mut open, &mut done),
            Event::Text(text) => {
                let text = text.xml_content(quick_xml::XmlVersion::Implicit1_0).into_owned();
                append(&mut open, &text)?;
            }
            Event::GeneralRef(entity) => {
                let text = format!("&{};", &*entity);
                let text = quick_xml::escape::unescape(&text).map_err(|error| unreadable(&error))?;
                append(&mut open, &text)?;
            }
            Event::Eof if open.is_empty() => return Ok(done),
            _ => return Err(unreadable(&"something that is neither element nor text")),
        }
    }
}

fn open_element(
    start: &BytesStart,
    namespace: Option<String>,
    open: &mut Vec<Change>,
    module_of: &impl Fn(&str) -> Option<String>,
) -> Result<(), ScopeError> {
    let unreadable = |what: String| ScopeError::Unreadable(what);
    let name = start.local_name().into_inner().to_owned();
    let module = namespace
        .as_deref()
        .and_then(module_of)
        .ok_or_else(|| unreadable(format!("element {name} is in no module that is known")))?;
    let mut operation = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|error| unreadable(error.to_string()))?;
        let key = attribute.key.into_inner();
        if key == "xmlns" || key.starts_with("xmlns:") {
            continue;
        }
        if !key.ends_with(":operation") {
            return Err(unreadable(format!("attribute {key} is never used")));
        }
        operation = Some(attribute.value.to_string());
    }
    let mut path = Path::default();
    if let Some(parent) = open.last_mut() {
        parent.has_children = true;
        path = parent.path.clone();
    }
    path.push(Step { module, name, keys: Vec::new() });
    open.push(Change { path, operation, text: String::new(), has_children: false });
    Ok(())
}

fn append(open: &mut [Change], text: &str) -> Result<(), ScopeError> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err(ScopeError::Unreadable("text outside every element".to_owned())),
    }
    Ok(())
}

/// A key leaf names the entry it stands in: the entry's path, and all below it, carry it from then on.
fn close_element(open: &mut Vec<Change>, done: &mut Vec<Change>) {
    let Some(mut element) = open.pop() else { return };
    let is_key = !element.has_children
        && element.operation.is_none()
        && matches!(
            (element.path.name(), open.last().map(|e| e.path.name())),
            ("name", Some("interface" | "network-instance")) | ("vlan-id", Some("vlan"))
        );
    if is_key {
        if let Some(entry) = open.last_mut() {
            entry.path.add_key(element.path.name(), &element.text);
            // Nothing stands before the key of its entry (RFC 7950 7.8.5), so no sibling missed it.
            entry.has_children = false;
        }
        return;
    }
    if element.has_children && element.operation.is_none() {
        return;
    }
    if element.has_children {
        element.text.clear();
    }
    done.push(element);
}
