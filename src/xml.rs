//! Data nodes as XML (RFC 7950 7): elements grow along paths and are printed, two spaces a level,
//! keys first, each with the namespace of its module. With operations it is an edit-config's content.

use std::fmt::{Arguments, Write};
use std::sync::Arc;

use crate::path::{Path, Step};
use crate::slice::{Operation, Slice, Value};

const NETCONF: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// Trees side by side.
#[derive(Default)]
pub struct Forest<'a> {
    roots: Vec<Element<'a>>,
    has_operations: bool,
}

/// One element on the way to, or at, a node.
struct Element<'a> {
    step: &'a Arc<Step>,
    operation: Option<Operation>,
    value: Option<&'a str>,
    children: Vec<Element<'a>>,
}

/// A node whose module nobody knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModule {
    pub module: String,
    pub name: String,
}

impl<'a> Forest<'a> {
    /// Adds one node: a leaf or one member of a leaf-list with its value, or a node as a whole.
    ///
    /// # Errors
    /// Why it does not fit what was added before it.
    pub fn add(
        &mut self,
        path: &'a Path,
        operation: Option<Operation>,
        value: Option<&'a str>,
    ) -> Result<(), &'static str> {
        let (last, way) = path.steps().split_last().ok_or("it has no target")?;
        self.has_operations |= operation.is_some();
        let level = self.below(way)?;
        if level.iter().any(|e| e.step == last && e.value.is_none()) {
            return Err("the same node is already changed");
        }
        level.push(Element { step: last, operation, value, children: Vec::new() });
        Ok(())
    }

    /// What stands, or will stand, under the element that `way` leads to.
    fn below(&mut self, way: &'a [Arc<Step>]) -> Result<&mut Vec<Element<'a>>, &'static str> {
        let mut level = &mut self.roots;
        for step in way {
            // From the back: what is added in the order of paths is found at once.
            let at = match level.iter().rposition(|e| e.step == step && e.value.is_none()) {
                Some(at) if level[at].operation == Some(Operation::Remove) => {
                    return Err("an entry above it is removed");
                }
                Some(at) => at,
                None => {
                    level.push(Element { step, operation: None, value: None, children: Vec::new() });
                    level.len() - 1
                }
            };
            level = &mut level[at].children;
        }
        Ok(level)
    }

    /// Everything that a slice configures; what is a default is left out.
    pub fn of(slice: &'a Slice) -> Self {
        let mut forest = Self::default();
        for (path, value) in slice.iter() {
            let added = match (value, path.steps().split_last()) {
                (Value::Default(_), _) => Ok(()),
                // An entry's element carries its key already.
                (_, Some((_, entry))) if path.is_key() => forest.below(entry).map(drop),
                (Value::Leaf(value), _) => forest.add(path, None, Some(value)),
                (Value::Set(members), _) => {
                    members.iter().try_for_each(|member| forest.add(path, None, Some(member)))
                }
            };
            debug_assert_eq!(added, Ok(()), "a slice has each path once, and only leaves");
        }
        forest
    }

    /// Empty for no trees. `namespace` maps a module to its URI.
    ///
    /// # Errors
    /// A module without a namespace.
    pub fn print<'n>(&self, namespace: impl Fn(&str) -> Option<&'n str>) -> Result<String, UnknownModule> {
        let mut xml = String::new();
        let netconf = if self.has_operations { format!(" xmlns:nc=\"{NETCONF}\"") } else { String::new() };
        for root in &self.roots {
            root.print(&mut xml, 0, "", &netconf, &namespace)?;
        }
        Ok(xml)
    }
}

impl Element<'_> {
    fn print<'n>(
        &self,
        xml: &mut String,
        depth: usize,
        parent_module: &str,
        declarations: &str,
        namespace: &impl Fn(&str) -> Option<&'n str>,
    ) -> Result<(), UnknownModule> {
        let Step { module, name, keys } = self.step.as_ref();
        let indent = "  ".repeat(depth);
        // Writing to a String cannot fail.
        let mut put = |text: Arguments| xml.write_fmt(text).unwrap_or_default();
        put(format_args!("{indent}<{name}"));
        if module != parent_module {
            let unknown = || UnknownModule { module: module.clone(), name: name.clone() };
            let uri = namespace(module).ok_or_else(unknown)?;
            put(format_args!(" xmlns=\"{}\"", escape(uri)));
        }
        put(format_args!("{declarations}"));
        if let Some(operation) = self.operation {
            let operation = match operation {
                Operation::Create => "create",
                Operation::Merge => "merge",
                Operation::Remove => "remove",
            };
            put(format_args!(" nc:operation=\"{operation}\""));
        }
        let is_leaf = keys.is_empty() && self.children.is_empty();
        match self.value {
            Some(value) => {
                put(format_args!("{}>{}</{name}>\n", identity_namespace(value, namespace), escape(value)));
                return Ok(());
            }
            None if is_leaf => {
                put(format_args!("/>\n"));
                return Ok(());
            }
            None => put(format_args!(">\n")),
        }
        for (key, value) in keys {
            put(format_args!("{indent}  <{key}>{}</{key}>\n", escape(value)));
        }
        for child in &self.children {
            child.print(xml, depth + 1, module, "", namespace)?;
        }
        xml.write_fmt(format_args!("{indent}</{name}>\n")).unwrap_or_default();
        Ok(())
    }
}

/// An identity is written `module:name`; in XML its prefix has to be declared (RFC 7950 9.10.3).
fn identity_namespace<'n>(value: &str, namespace: &impl Fn(&str) -> Option<&'n str>) -> String {
    match value.split_once(':').and_then(|(module, _)| Some((module, namespace(module)?))) {
        Some((module, uri)) => format!(" xmlns:{module}=\"{}\"", escape(uri)),
        None => String::new(),
    }
}

/// As text; a carriage return would reach the device as a line feed (XML 1.0, 2.11).
pub(crate) fn escape(text: &str) -> String {
    quick_xml::escape::escape(text).replace('\r', "&#13;")
}
