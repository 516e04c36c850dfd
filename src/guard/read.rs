//! The payload, read as a suspicious reader would: what a device might take otherwise than it
//! looks is an error.

use std::fmt::Display;

use quick_xml::NsReader;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{NamespaceResolver, PrefixDeclaration, ResolveResult};

use super::ScopeError;
use crate::path::{Path, Step};
use crate::schema::Schema;

pub(super) const NETCONF: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// No path that is ever written is half as deep.
const MAX_DEPTH: usize = 16;

/// The lists whose entries a payload may name, and their keys.
const KEYS: [(&str, &str, &str); 4] = [
    ("openconfig-interfaces", "interface", "name"),
    ("openconfig-network-instance", "network-instance", "name"),
    ("openconfig-network-instance", "vlan", "vlan-id"),
    ("openconfig-spanning-tree", "interface", "name"),
];

/// An element that carries an operation, or has nothing in it.
pub(super) struct Change {
    pub path: Path,
    pub operation: Option<String>,
    pub text: String,
    /// Elements other than the key of an entry.
    pub has_children: bool,
}

/// Takes the elements of a payload one after the other.
pub(super) trait Elements {
    fn open(&mut self, start: &BytesStart, resolver: &NamespaceResolver) -> Result<(), ScopeError>;

    /// Text of the innermost element that is open; none is.
    fn text(&mut self) -> Option<&mut String>;

    fn close(&mut self) -> Result<(), ScopeError>;
}

/// Goes through a payload, in which there is nothing but elements and text.
pub(super) fn walk(xml: &str, elements: &mut impl Elements) -> Result<(), ScopeError> {
    // In base:1.0 framing this could end the message; in XML it is allowed nowhere in text.
    if xml.contains("]]>") {
        return Err(unreadable("`]]>` in it"));
    }
    let mut reader = NsReader::from_str(xml);
    loop {
        match reader.read_event().map_err(unreadable)? {
            Event::Start(start) => elements.open(&start, reader.resolver())?,
            Event::Empty(start) => {
                elements.open(&start, reader.resolver())?;
                elements.close()?;
            }
            Event::End(_) => elements.close()?,
            Event::Text(text) => append(elements, &text.xml_content(quick_xml::XmlVersion::Implicit1_0))?,
            Event::GeneralRef(entity) => {
                let text = format!("&{};", &*entity);
                append(elements, &quick_xml::escape::unescape(&text).map_err(unreadable)?)?;
            }
            Event::Eof if elements.text().is_none() => return Ok(()),
            _ => return Err(unreadable("something that is neither element nor text")),
        }
    }
}

fn append(elements: &mut impl Elements, text: &str) -> Result<(), ScopeError> {
    match elements.text() {
        Some(open) => open.push_str(text),
        None if is_blank(text) => {}
        None => return Err(unreadable("text outside every element")),
    }
    Ok(())
}

/// The changes in the order of the document, an element after what is in it.
pub(super) fn read(xml: &str, schema: &Schema) -> Result<Vec<Change>, ScopeError> {
    let mut changes = Changes { open: Vec::new(), done: Vec::new(), schema };
    walk(xml, &mut changes)?;
    Ok(changes.done)
}

struct Changes<'s> {
    open: Vec<Change>,
    done: Vec<Change>,
    schema: &'s Schema,
}

impl Elements for Changes<'_> {
    fn open(&mut self, start: &BytesStart, resolver: &NamespaceResolver) -> Result<(), ScopeError> {
        open_element(start, resolver, &mut self.open, self.schema)
    }

    fn text(&mut self) -> Option<&mut String> {
        self.open.last_mut().map(|element| &mut element.text)
    }

    fn close(&mut self) -> Result<(), ScopeError> {
        close_element(&mut self.open, &mut self.done)
    }
}

pub(super) fn unreadable(what: impl Display) -> ScopeError {
    ScopeError::Unreadable(what.to_string())
}

fn open_element(
    start: &BytesStart,
    resolver: &NamespaceResolver,
    open: &mut Vec<Change>,
    schema: &Schema,
) -> Result<(), ScopeError> {
    let name = start.local_name().into_inner();
    let module = match resolver.resolve_element(start.name()).0 {
        ResolveResult::Bound(uri) => schema.module_of(uri.0),
        _ => None,
    };
    let module = module.ok_or_else(|| unreadable(format!("element {name} is in no module that is known")))?;
    if open.len() == MAX_DEPTH {
        return Err(unreadable(format!("element {name} is more than {MAX_DEPTH} levels deep")));
    }
    let operation = operation(start, resolver, schema)?;
    let step = Step::plain(module, name);
    let mut path = Path::default();
    if let Some(parent) = open.last_mut() {
        // A device may take the last of two keys, or a sibling before the key for another entry's.
        match (key_of(&parent.path), has_key(&parent.path)) {
            (Some(key), false) if is(&step, key) && operation.is_none() => {}
            (Some(_), false) => {
                return Err(unreadable(format!("{} does not begin with its key", parent.path)));
            }
            (Some(key), true) if is(&step, key) => {
                return Err(unreadable(format!("{} has a second key", parent.path)));
            }
            _ => parent.has_children = true,
        }
        path = parent.path.clone();
    }
    path = path.below(&[step]);
    open.push(Change { path, operation, text: String::new(), has_children: false });
    Ok(())
}

/// The operation attribute of RFC 6241 7.2, told by its namespace. Declarations are the only other
/// attributes, and a prefix that names a module must stand for it: values may use it.
fn operation(
    start: &BytesStart,
    resolver: &NamespaceResolver,
    schema: &Schema,
) -> Result<Option<String>, ScopeError> {
    let mut operation = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(unreadable)?;
        let name = attribute.key.into_inner();
        match attribute.key.as_namespace_binding() {
            Some(PrefixDeclaration::Default) => continue,
            Some(PrefixDeclaration::Named(prefix)) => {
                let is_honest = match schema.namespace(prefix) {
                    Some(uri) => *uri == *attribute.value,
                    None => *attribute.value == *NETCONF,
                };
                if !is_honest {
                    return Err(unreadable(format!("prefix {prefix} stands for something else")));
                }
                continue;
            }
            None => {}
        }
        let (namespace, local) = resolver.resolve_attribute(attribute.key);
        let is_netconf = matches!(namespace, ResolveResult::Bound(uri) if uri.0 == NETCONF);
        if !is_netconf || local.into_inner() != "operation" {
            return Err(unreadable(format!("attribute {name} is never used")));
        }
        if operation.replace(attribute.value.to_string()).is_some() {
            return Err(unreadable(format!("attribute {name} is a second operation")));
        }
    }
    Ok(operation)
}

/// A key leaf names the entry it stands in: the entry's path, and all below it, carry it from then on.
fn close_element(open: &mut Vec<Change>, done: &mut Vec<Change>) -> Result<(), ScopeError> {
    let Some(element) = open.pop() else { return Ok(()) };
    let is_entry = key_of(&element.path).is_some();
    if is_entry && !has_key(&element.path) {
        return Err(unreadable(format!("{} has no key", element.path)));
    }
    if (is_entry || element.has_children) && !is_blank(&element.text) {
        return Err(unreadable(format!("{} has text between its elements", element.path)));
    }
    if let Some(entry) = open.last_mut()
        && key_of(&entry.path).is_some()
        && !has_key(&entry.path)
    {
        if element.has_children {
            return Err(unreadable(format!("{} is a key with elements in it", element.path)));
        }
        entry.path.add_key(element.path.name(), &element.text);
    } else if element.operation.is_some() || !element.has_children {
        done.push(element);
    }
    Ok(())
}

/// The module and the name of the key that entries at this path have.
fn key_of(path: &Path) -> Option<(&'static str, &'static str)> {
    let step = path.steps().last()?;
    let list = KEYS.iter().find(|(module, list, _)| is(step, (module, list)));
    list.map(|(module, _, key)| (*module, *key))
}

fn has_key(path: &Path) -> bool {
    path.steps().last().is_some_and(|step| !step.keys.is_empty())
}

fn is(step: &Step, (module, name): (&str, &str)) -> bool {
    step.module == module && step.name == name
}

/// XML's white space only: any other would be text to a device.
pub(super) fn is_blank(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' ' | b'\t' | b'\n' | b'\r'))
}
