//! Edits of a vendor's own model as the content of `<config>` in an edit-config (RFC 6241 7.2) with
//! default-operation `merge`. A merge is told by its leaves, and by nothing else; every other operation is
//! an attribute of its target. What stands above several edits stands there once.

use std::fmt::{Arguments, Write};

use serde_json::Value as Json;

use crate::device::language::XmlShape;
use crate::gnmi::PathElem;
use crate::render::RenderError;
use crate::render::native::{NativeEdit, NativeOperation};
use crate::xml::escape;

const NETCONF: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

const TWICE: &str = "the same node is already changed";

/// Pretty-printed XML, two spaces a level; empty for no edits.
pub fn render(edits: &[NativeEdit], shape: &XmlShape) -> Result<String, RenderError> {
    let mut top = Element { namespace: shape.namespace.clone(), ..Element::default() };
    for edit in edits {
        let added = top.add("", &edit.target.elem, edit, shape);
        added.map_err(|why| RenderError::Conflict { target: edit.target.text(), why })?;
    }
    let mut xml = String::new();
    let has_operations = edits.iter().any(|edit| edit.operation != NativeOperation::Merge);
    let declared = match has_operations && !shape.plain_operations {
        true => format!(" xmlns:nc=\"{NETCONF}\""),
        false => String::new(),
    };
    top.children.iter().for_each(|root| root.print(&mut xml, 0, None, &declared, shape.plain_operations));
    Ok(xml)
}

#[derive(Default)]
struct Element {
    name: String,
    namespace: String,
    keys: Vec<(String, String)>,
    operation: Option<NativeOperation>,
    /// None: it is no leaf.
    text: Option<String>,
    children: Vec<Element>,
}

impl Element {
    /// Adds what an edit does to the node that `rest` leads to from here; `path` is that of this element,
    /// without modules and keys.
    fn add(
        &mut self,
        path: &str,
        rest: &[PathElem],
        edit: &NativeEdit,
        shape: &XmlShape,
    ) -> Result<(), &'static str> {
        let (elem, rest) = rest.split_first().ok_or("it has no target")?;
        let (path, element) = self.named(path, elem, shape)?;
        if !rest.is_empty() {
            return self.entered(element)?.add(&path, rest, edit, shape);
        }
        let operation = (edit.operation != NativeOperation::Merge).then_some(edit.operation);
        let is_list = shape.lists.contains_key(&path);
        match &edit.value {
            None if is_list && element.keys.is_empty() && element.text.is_none() => {
                Err("it takes a whole list away")
            }
            None => self.put(Element { operation, ..element }, is_list),
            Some(_) if element.text.is_some() => Err("a value of a leaf-list is named and given"),
            Some(Json::Array(_)) if is_list && operation.is_some() => Err("it is no single node"),
            Some(value) => self.set(&path, element, operation, value, shape),
        }
    }

    /// Gives the child `element`, whose path is `path`, this value.
    fn set(
        &mut self,
        path: &str,
        element: Element,
        operation: Option<NativeOperation>,
        value: &Json,
        shape: &XmlShape,
    ) -> Result<(), &'static str> {
        match (value, shape.lists.get(path)) {
            (Json::Array(values), Some(keys)) if element.keys.is_empty() => {
                for value in values {
                    let pair = |key: &String| Some((key.clone(), text(value.get(key)?)?));
                    let pairs: Option<Vec<_>> = keys.iter().map(pair).collect();
                    let entry = Element {
                        name: element.name.clone(),
                        namespace: element.namespace.clone(),
                        keys: pairs.ok_or("an entry of a list in it lacks a key")?,
                        ..Element::default()
                    };
                    self.set(path, entry, operation, value, shape)?;
                }
                Ok(())
            }
            (Json::Object(_), Some(keys)) if !keys.is_empty() && element.keys.is_empty() => {
                Err("it names no entry of the list")
            }
            (Json::Object(members), _) => {
                let child = match operation {
                    Some(_) => {
                        self.put(Element { operation, ..element }, false)?;
                        self.children.last_mut().ok_or(TWICE)?
                    }
                    None => self.entered(element)?,
                };
                for (name, value) in members {
                    let elem = PathElem { name: name.clone(), ..PathElem::default() };
                    let is_it = |(key, known): &(String, String)| {
                        key == name && text(value).is_some_and(|text| text == *known)
                    };
                    if child.keys.iter().any(is_it) {
                        continue;
                    }
                    let (path, element) = child.named(path, &elem, shape)?;
                    child.set(&path, element, None, value, shape)?;
                }
                Ok(())
            }
            _ if !element.keys.is_empty() => Err("an entry of a list is no leaf"),
            (value, _) => {
                let text = text(value).ok_or("a value in it is none that XML can have")?;
                self.put(Element { operation, text: Some(text), ..element }, shape.lists.contains_key(path))
            }
        }
    }

    /// What a level of a path names below this element, and the path there.
    fn named(
        &self,
        path: &str,
        elem: &PathElem,
        shape: &XmlShape,
    ) -> Result<(String, Element), &'static str> {
        let (module, name) = elem.name.split_once(':').unwrap_or(("", &elem.name));
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        if !begins || !name.chars().all(is_name) {
            return Err("a name in it is no name of an element");
        }
        let namespace = match module {
            "" => self.namespace.clone(),
            module => {
                shape.namespaces.get(module).ok_or("the profile has no namespace for a module in it")?.clone()
            }
        };
        let path = format!("{path}/{name}");
        let mut element = Element { name: name.to_owned(), namespace, ..Element::default() };
        match shape.lists.get(&path) {
            Some(keys) if keys.is_empty() && elem.key.len() == 1 => {
                element.text = Some(elem.key.get(".").ok_or("a leaf-list has no keys")?.clone());
            }
            Some(keys) if !elem.key.is_empty() => {
                let pair = |key: &String| Some((key.clone(), elem.key.get(key)?.clone()));
                let pairs: Option<Vec<_>> = keys.iter().map(pair).collect();
                let all = pairs.filter(|pairs| pairs.len() == elem.key.len());
                element.keys = all.ok_or("a list in it has other keys")?;
            }
            None if !elem.key.is_empty() => return Err("the profile does not name a list in it"),
            _ => {}
        }
        Ok((path, element))
    }

    /// The child that is only the way to others, made where it is not there.
    fn entered(&mut self, element: Element) -> Result<&mut Element, &'static str> {
        if element.text.is_some() {
            return Err("there is nothing in a leaf");
        }
        let at = match self.children.iter().position(|known| known.is_same(&element)) {
            Some(at) if self.children[at].operation.is_some() => {
                return Err("an edit above it is about all of it");
            }
            Some(at) if self.children[at].text.is_some() => return Err("there is nothing in a leaf"),
            Some(at) => at,
            None => {
                self.children.push(element);
                self.children.len() - 1
            }
        };
        Ok(&mut self.children[at])
    }

    /// Values of a list stand side by side; anything else is there once.
    fn put(&mut self, element: Element, is_list: bool) -> Result<(), &'static str> {
        let is_it = |known: &Element| known.is_same(&element) && (!is_list || known.text == element.text);
        match self.children.iter().any(is_it) {
            true => Err(TWICE),
            false => {
                self.children.push(element);
                Ok(())
            }
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        (&self.name, &self.namespace, &self.keys) == (&other.name, &other.namespace, &other.keys)
    }

    fn print(&self, xml: &mut String, depth: usize, above: Option<&str>, declared: &str, is_plain: bool) {
        let Self { name, namespace, .. } = self;
        let indent = "  ".repeat(depth);
        // Writing to a String cannot fail.
        let mut put = |text: Arguments| xml.write_fmt(text).unwrap_or_default();
        put(format_args!("{indent}<{name}"));
        if above != Some(namespace) {
            put(format_args!(" xmlns=\"{}\"", escape(namespace)));
        }
        put(format_args!("{declared}"));
        if let Some(operation) = self.operation {
            let prefix = if is_plain { "" } else { "nc:" };
            put(format_args!(" {prefix}operation=\"{}\"", operation.as_str()));
        }
        match &self.text {
            Some(text) if !text.is_empty() => return put(format_args!(">{}</{name}>\n", escape(text))),
            _ if self.keys.is_empty() && self.children.is_empty() => return put(format_args!("/>\n")),
            _ => put(format_args!(">\n")),
        }
        for (key, value) in &self.keys {
            put(format_args!("{indent}  <{key}>{}</{key}>\n", escape(value)));
        }
        for child in &self.children {
            child.print(xml, depth + 1, Some(namespace), "", is_plain);
        }
        xml.write_fmt(format_args!("{indent}</{name}>\n")).unwrap_or_default();
    }
}

/// A leaf's value as XML has it: RFC 7951's `[null]` is an empty element.
fn text(value: &Json) -> Option<String> {
    match value {
        Json::String(text) => Some(text.clone()),
        Json::Number(_) | Json::Bool(_) => Some(value.to_string()),
        Json::Array(values) if values.as_slice() == [Json::Null] => Some(String::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::render::native::edits;

    fn shape() -> XmlShape {
        let lists =
            [("/top/list", vec!["name", "id"]), ("/top/list/value", vec![]), ("/top/one", vec!["name"])];
        let owned = |keys: Vec<&str>| keys.into_iter().map(str::to_owned).collect();
        XmlShape {
            namespace: "urn:top".to_owned(),
            namespaces: BTreeMap::from([("more".to_owned(), "urn:more".to_owned())]),
            lists: lists.into_iter().map(|(path, keys)| (path.to_owned(), owned(keys))).collect(),
            plain_operations: false,
        }
    }

    fn rendered(lines: &[(&str, &str, &str)], shape: &XmlShape) -> Result<String, String> {
        let line = |(operation, target, value): &(&str, &str, &str)| {
            let value = if value.is_empty() { String::new() } else { format!(", \"value\": {value}") };
            format!("{{\"operation\": \"{operation}\", \"target\": {target:?}{value}}}\n")
        };
        let edits = edits(&lines.iter().map(line).collect::<String>()).unwrap();
        render(&edits, shape).map_err(|error| error.to_string())
    }

    #[test]
    fn edits_are_elements_with_their_operations() {
        let entry = "/top/list[name=a<b][id=1]";
        let leaf = format!("{entry}/more:x/up");
        let lines = [
            ("merge", leaf.as_str(), "[null]"),
            ("delete", &format!("{entry}/value[.=7]"), ""),
            ("merge", entry, r#"{"value": ["8", 9], "name": "a<b", "text": "x\ry"}"#),
            ("replace", "/top/one[name=n]", r#"{"in": {"y": true}}"#),
            ("remove", "/top/other", ""),
        ];
        let xml = rendered(&lines, &shape()).unwrap();
        assert_eq!(
            xml,
            r#"<top xmlns="urn:top" xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
  <list>
    <name>a&lt;b</name>
    <id>1</id>
    <x xmlns="urn:more">
      <up/>
    </x>
    <value nc:operation="delete">7</value>
    <text>x&#13;y</text>
    <value>8</value>
    <value>9</value>
  </list>
  <one nc:operation="replace">
    <name>n</name>
    <in>
      <y>true</y>
    </in>
  </one>
  <other nc:operation="remove"/>
</top>
"#
        );
        let plain = XmlShape { plain_operations: true, namespace: String::new(), ..shape() };
        assert_eq!(
            rendered(&[("remove", "/top/other", "")], &plain).unwrap(),
            "<top xmlns=\"\">\n  <other operation=\"remove\"/>\n</top>\n"
        );
        assert_eq!(rendered(&[], &shape()), Ok(String::new()));
    }

    #[test]
    fn what_is_no_edit_of_the_model_is_refused() {
        for (wrong, words) in [
            (vec![("delete", "/top/list", "")], "a whole list"),
            (vec![("merge", "/top/list[name=a]/x", "1")], "other keys"),
            (vec![("merge", "/top/list[name=a][id=1][x=2]/x", "1")], "other keys"),
            (vec![("merge", "/top/x[name=a]/y", "1")], "does not name a list"),
            (vec![("merge", "/top/one", r#"{"x": 1}"#)], "names no entry"),
            (vec![("merge", "/top/one[name=a]", "1")], "is no leaf"),
            (vec![("merge", "/top/x", "[1]")], "that XML can have"),
            (vec![("merge", "/top/x y", "1")], "no name of an element"),
            (vec![("merge", "/top/other:x", "1")], "no namespace"),
            (vec![("merge", "/top/x", "1"), ("merge", "/top/x", "2")], "already changed"),
            (vec![("merge", "/top/x", "1"), ("delete", "/top/x", "")], "already changed"),
            (vec![("delete", "/top/x", ""), ("merge", "/top/x/y", "1")], "about all of it"),
            (vec![("merge", "/top/x", "1"), ("merge", "/top/x/y", "1")], "nothing in a leaf"),
            (vec![("replace", "/top/list[name=a][id=1]/value", "[1, 2]")], "no single node"),
        ] {
            let why = rendered(&wrong, &shape()).unwrap_err();
            assert!(why.contains(words), "{wrong:?}: {why}");
        }
    }
}
