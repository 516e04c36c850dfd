//! An edit-config's content in a vendor's own model, read as the lines that a profile's patterns know.
//! What a device might take otherwise than it looks is an error.

use std::collections::{BTreeMap, BTreeSet};

use quick_xml::events::BytesStart;
use quick_xml::name::{NamespaceResolver, ResolveResult};
use serde_json::{Map, Value as Json};

use super::ScopeError;
use super::read::{Elements, NETCONF, is_blank, unreadable, walk};
use crate::device::language::XmlShape;
use crate::gnmi::{Path, PathElem};
use crate::render::native::{NativeEdit, NativeOperation};

/// No path that is ever written is half as deep.
const MAX_DEPTH: usize = 32;

/// One element, with its module where that is another than its parent's.
struct Element {
    name: String,
    namespace: String,
    /// Names without module and keys.
    path: String,
    operation: Option<NativeOperation>,
    text: String,
    children: Vec<Element>,
}

/// The canonical lines, in the order of the document: a merge has a line for each leaf that it gives, any
/// other operation one.
pub(super) fn lines(xml: &str, shape: &XmlShape) -> Result<String, ScopeError> {
    let mut lines = String::new();
    let roots = parse(xml, shape)?;
    distinct(&roots, shape)?;
    for root in &roots {
        root.follow(&Path::default(), shape, &mut lines)?;
    }
    Ok(lines)
}

fn parse(xml: &str, shape: &XmlShape) -> Result<Vec<Element>, ScopeError> {
    let mut tree = Tree { open: Vec::new(), roots: Vec::new(), shape };
    walk(xml, &mut tree)?;
    Ok(tree.roots)
}

struct Tree<'s> {
    open: Vec<Element>,
    roots: Vec<Element>,
    shape: &'s XmlShape,
}

impl Elements for Tree<'_> {
    fn open(&mut self, start: &BytesStart, resolver: &NamespaceResolver) -> Result<(), ScopeError> {
        self.open.push(element(start, resolver, self.open.last(), self.shape)?);
        match self.open.len() > MAX_DEPTH {
            true => Err(unreadable(format!("it is more than {MAX_DEPTH} levels deep"))),
            false => Ok(()),
        }
    }

    fn text(&mut self) -> Option<&mut String> {
        self.open.last_mut().map(|element| &mut element.text)
    }

    fn close(&mut self) -> Result<(), ScopeError> {
        let Some(closed) = self.open.pop() else { return Ok(()) };
        self.open.last_mut().map_or(&mut self.roots, |parent| &mut parent.children).push(closed);
        Ok(())
    }
}

fn element(
    start: &BytesStart,
    resolver: &NamespaceResolver,
    parent: Option<&Element>,
    shape: &XmlShape,
) -> Result<Element, ScopeError> {
    let local = start.local_name().into_inner().to_owned();
    let namespace = match resolver.resolve_element(start.name()).0 {
        ResolveResult::Bound(uri) => uri.0.to_owned(),
        ResolveResult::Unbound => String::new(),
        ResolveResult::Unknown(_) => {
            return Err(unreadable(format!("element {local} has an unknown prefix")));
        }
    };
    let name = if namespace == parent.map_or(&shape.namespace, |parent| &parent.namespace).as_str() {
        local.clone()
    } else {
        let module = shape.namespaces.iter().find(|(_, known)| **known == namespace);
        let (module, _) = module
            .ok_or_else(|| unreadable(format!("element {local} is in no namespace that is known here")))?;
        format!("{module}:{local}")
    };
    let path = format!("{}/{local}", parent.map_or("", |parent| &parent.path));
    let operation = operation(start, resolver, shape)?;
    Ok(Element { name, namespace, path, operation, text: String::new(), children: Vec::new() })
}

/// The attribute of RFC 6241 7.2, in the form in which the device takes it. Declarations are the only
/// other attributes.
fn operation(
    start: &BytesStart,
    resolver: &NamespaceResolver,
    shape: &XmlShape,
) -> Result<Option<NativeOperation>, ScopeError> {
    let mut operation = None;
    for attribute in start.attributes() {
        let attribute = attribute.map_err(unreadable)?;
        if attribute.key.as_namespace_binding().is_some() {
            continue;
        }
        let name = attribute.key.into_inner();
        let (namespace, local) = resolver.resolve_attribute(attribute.key);
        let is_ours = match namespace {
            ResolveResult::Bound(uri) => !shape.plain_operations && uri.0 == NETCONF,
            ResolveResult::Unbound => shape.plain_operations,
            ResolveResult::Unknown(_) => false,
        };
        if !is_ours || local.into_inner() != "operation" || operation.is_some() {
            return Err(unreadable(format!("attribute {name} is never used so")));
        }
        operation = Some(match &*attribute.value {
            "create" => NativeOperation::Create,
            "replace" => NativeOperation::Replace,
            "delete" => NativeOperation::Delete,
            "remove" => NativeOperation::Remove,
            // A merge says nothing.
            other => return Err(unreadable(format!("operation {other} is never used here"))),
        });
    }
    Ok(operation)
}

impl Element {
    /// Adds the lines of what it does; `above` is the target that its parent is.
    fn follow(&self, above: &Path, shape: &XmlShape, lines: &mut String) -> Result<(), ScopeError> {
        let mut target = above.clone();
        let (keys, below) = self.keys(shape)?;
        let is_list = shape.lists.contains_key(&self.path);
        let key = keys.into_iter().collect();
        target.elem.push(PathElem { name: self.name.clone(), key });
        let mut put = |edit: NativeEdit| {
            let names = |elem: &PathElem| elem.key.values().any(|value| value == "*");
            if edit.target.elem.iter().any(names) {
                let (path, why) = (edit.to_string(), "it names more than one node".to_owned());
                return Err(ScopeError::Outside { path, why });
            }
            *lines += &format!("{edit}\n");
            Ok(())
        };
        let is_entry = !target.elem.last().is_none_or(|elem| elem.key.is_empty());
        match self.operation {
            None if below.is_empty() && !is_entry => {
                let value = Some(Json::String(self.text.clone()));
                put(NativeEdit { operation: NativeOperation::Merge, target, value })
            }
            None if below.is_empty() => {
                let value = Some(Json::Object(Map::new()));
                put(NativeEdit { operation: NativeOperation::Merge, target, value })
            }
            None => below.iter().try_for_each(|child| child.follow(&target, shape, lines)),
            Some(operation) if operation.takes_away() => {
                if !below.is_empty() || (!is_blank(&self.text) && !is_list && !is_entry) {
                    return Err(unreadable(format!("{} goes, and there is something in it", target.text())));
                }
                if let (true, false, Some(elem)) = (is_list, is_entry, target.elem.last_mut()) {
                    elem.key.insert(".".to_owned(), self.text.clone());
                }
                put(NativeEdit { operation, target, value: None })
            }
            Some(operation) => put(NativeEdit { operation, target, value: Some(self.value(below, shape)?) }),
        }
    }

    /// The keys of an entry of a list, which it begins with, and what follows them.
    fn keys(&self, shape: &XmlShape) -> Result<(BTreeMap<String, String>, &[Element]), ScopeError> {
        if !self.children.is_empty() && !is_blank(&self.text) {
            return Err(unreadable(format!("there is text between the elements of {}", self.path)));
        }
        let names = shape.lists.get(&self.path).map(Vec::as_slice).unwrap_or_default();
        let mut keys = BTreeMap::new();
        for (n, name) in names.iter().enumerate() {
            let key = self.children.get(n).filter(|key| {
                key.name == *name
                    && key.operation.is_none()
                    && key.children.is_empty()
                    && !key.text.is_empty()
            });
            let key = key.ok_or_else(|| unreadable(format!("{} does not begin with its keys", self.path)))?;
            keys.insert(name.clone(), key.text.clone());
        }
        let below = self.children.get(names.len()..).unwrap_or_default();
        // A device may take the last of two.
        if below.iter().any(|child| names.iter().any(|name| child.path.ends_with(&format!("/{name}")))) {
            return Err(unreadable(format!("{} has a second key", self.path)));
        }
        distinct(below, shape)?;
        Ok((keys, below))
    }

    /// What it is given, `below` of it.
    fn value(&self, below: &[Element], shape: &XmlShape) -> Result<Json, ScopeError> {
        if self.children.is_empty() {
            return Ok(Json::String(self.text.clone()));
        }
        let mut members = Map::new();
        for child in below {
            if child.operation.is_some() {
                return Err(unreadable(format!("{} has an operation within another", child.path)));
            }
            child.keys(shape)?;
            let value = child.value(&child.children, shape)?;
            let is_list = shape.lists.contains_key(&child.path);
            match members.get_mut(&child.name) {
                Some(Json::Array(values)) if is_list => values.push(value),
                Some(_) => return Err(twice(child)),
                None if is_list => drop(members.insert(child.name.clone(), Json::Array(vec![value]))),
                None => drop(members.insert(child.name.clone(), value)),
            }
        }
        Ok(Json::Object(members))
    }
}

/// Nothing is told twice, of which a device may take either: only different entries and values of a list
/// stand side by side.
fn distinct(siblings: &[Element], shape: &XmlShape) -> Result<(), ScopeError> {
    let mut known = BTreeSet::new();
    for element in siblings {
        let values: Vec<&str> = match shape.lists.get(&element.path) {
            None => Vec::new(),
            Some(keys) if keys.is_empty() => vec![&element.text],
            Some(keys) => element.children.iter().take(keys.len()).map(|key| key.text.as_str()).collect(),
        };
        if !known.insert((&element.name, values)) {
            return Err(twice(element));
        }
    }
    Ok(())
}

fn twice(element: &Element) -> ScopeError {
    unreadable(format!("{} is there twice", element.path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(plain_operations: bool) -> XmlShape {
        let list =
            |path: &str, keys: &[&str]| (path.to_owned(), keys.iter().map(|key| key.to_string()).collect());
        XmlShape {
            namespace: "urn:top".to_owned(),
            namespaces: [("more".to_owned(), "urn:more".to_owned())].into(),
            lists: [list("/top/list", &["name"]), list("/top/list/value", &[])].into(),
            plain_operations,
        }
    }

    fn read(inside: &str) -> Result<String, String> {
        let xml = format!("<top xmlns='urn:top' xmlns:nc='{NETCONF}'>{inside}</top>");
        lines(&xml, &shape(false)).map_err(|error| error.to_string())
    }

    #[test]
    fn every_change_has_its_line() {
        let entry = "<list><name>a&lt;</name><value>1</value><value nc:operation='delete'>2</value>\
                     <x xmlns='urn:more'><up/></x></list>";
        let others = "<list nc:operation='replace'><name>b</name><value>3</value><y>\n<z>4</z>\n</y></list>\
                      <list><name>c</name></list><w nc:operation='remove'/><list nc:operation='create'><name>d</name></list>";
        assert_eq!(
            read(&format!("\n{entry}\n{others}")).unwrap(),
            "merge /top/list[name=a<]/value \"1\"\n\
             delete /top/list[name=a<]/value[.=2]\n\
             merge /top/list[name=a<]/more:x/up \"\"\n\
             replace /top/list[name=b] {\"value\":[\"3\"],\"y\":{\"z\":\"4\"}}\n\
             merge /top/list[name=c] {}\n\
             remove /top/w\n\
             create /top/list[name=d] {}\n"
        );
        assert_eq!(lines("", &shape(false)), Ok(String::new()));
        let plain = "<top xmlns='urn:top'><w operation='remove'/></top>";
        assert_eq!(lines(plain, &shape(true)).unwrap(), "remove /top/w\n");
        assert!(lines(plain, &shape(false)).is_err());
        let qualified = plain.replace("operation", &format!("xmlns:n='{NETCONF}' n:operation"));
        assert!(lines(&qualified, &shape(true)).is_err() && lines(&qualified, &shape(false)).is_ok());
    }

    #[test]
    fn what_a_device_might_take_otherwise_is_refused() {
        for (wrong, words) in [
            ("<list><value>1</value><name>a</name></list>", "does not begin with its keys"),
            ("<list nc:operation='delete'/>", "does not begin with its keys"),
            ("<list><name/></list>", "does not begin with its keys"),
            ("<list><name nc:operation='delete'>a</name></list>", "does not begin with its keys"),
            ("<list><name>a</name><name>b</name></list>", "a second key"),
            ("<list><name>a</name><m:name xmlns:m='urn:more'>b</m:name></list>", "a second key"),
            ("<list nc:operation='delete'><name>a</name><value>1</value></list>", "there is something in it"),
            ("<w nc:operation='remove'>1</w>", "there is something in it"),
            ("<w nc:operation='merge'/>", "is never used here"),
            ("<w nc:operation='none'/>", "is never used here"),
            ("<w operation='delete'/>", "is never used so"),
            ("<w nc:insert='first'/>", "is never used so"),
            ("<w xmlns='urn:other'/>", "no namespace that is known here"),
            ("<w xmlns=''/>", "no namespace that is known here"),
            ("<w><x>1</x>text</w>", "text between the elements"),
            // To a device this is no white space.
            ("<w><x>1</x>\u{a0}</w>", "text between the elements"),
            ("<w nc:operation='remove'>\u{a0}</w>", "there is something in it"),
            ("<w nc:operation='replace'><x nc:operation='delete'/></w>", "an operation within another"),
            ("<w nc:operation='replace'><x/><x/></w>", "is there twice"),
            ("<w>1</w><w>1</w>", "is there twice"),
            ("<w><x/></w><w><y/></w>", "is there twice"),
            ("<list><name>a</name><value>1</value><value>1</value></list>", "is there twice"),
            ("<list><name>a</name><x/></list><list><name>a</name><y/></list>", "is there twice"),
            ("<list><name>*</name><value>1</value></list>", "names more than one node"),
            ("<!-- x --><w/>", "neither element nor text"),
            ("<w>]]></w>", "`]]>` in it"),
            ("<w>&x;</w>", "cannot be read back"),
            ("<w>", "cannot be read back"),
        ] {
            let why = read(wrong).unwrap_err();
            assert!(why.contains(words), "{wrong}: {why}");
        }
        assert!(read(&("<w>".repeat(40) + &"</w>".repeat(40))).is_err());
    }
}
