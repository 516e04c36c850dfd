//! A configuration without a schema, as XML, in the place of OpenConfig's: a vendor's own model. An entry of
//! a list is told by the `name` that it begins with, as in Junos.

use super::edit::Operation;
use super::error::RpcError;
use super::xml::{Element, escape};

/// What a switch of a vendor's own model has at first.
#[derive(Clone, Debug, Default)]
pub struct NativeSpec {
    /// XML, the top-level nodes side by side.
    pub config: String,
    /// Names of the leaf-lists.
    pub leaf_lists: Vec<String>,
    /// What the operation attribute is in: empty where it has no prefix.
    pub operation_namespace: String,
}

/// The datastores.
pub(super) struct Native {
    spec: NativeSpec,
    pub running: Node,
    /// While it has changes; otherwise it is what running is.
    pub candidate: Option<Node>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Node {
    ns: String,
    name: String,
    text: String,
    children: Vec<Node>,
}

impl Native {
    pub fn new(spec: &NativeSpec) -> Result<Self, String> {
        let config = Element::parse(&format!("<config>{}</config>", spec.config));
        let running = Node::of(&config.map_err(|error| error.to_string())?);
        Ok(Self { spec: spec.clone(), running, candidate: None })
    }

    /// What the candidate, or running, holds of a filter's children; all without a filter.
    pub fn select(&self, of_candidate: bool, filter: Option<&Element>) -> String {
        let root = self.candidate.as_ref().filter(|_| of_candidate).unwrap_or(&self.running);
        let mut xml = String::new();
        match filter {
            None => root.children.iter().for_each(|child| child.print("", &mut xml)),
            Some(filter) => {
                let chosen = root.children.iter().filter_map(|child| {
                    let named: Vec<_> = filter.children.iter().filter(|f| f.name == child.name).collect();
                    child.chosen(&named)
                });
                chosen.for_each(|child| child.print("", &mut xml));
            }
        }
        xml
    }

    /// edit-config of the candidate, all or nothing.
    pub fn edit(&mut self, config: &Element, default: Operation) -> Result<(), RpcError> {
        let mut work = self.candidate.as_ref().unwrap_or(&self.running).clone();
        for child in &config.children {
            self.apply(&mut work, child, default)?;
        }
        if work != *self.candidate.as_ref().unwrap_or(&self.running) {
            self.candidate = Some(work);
        }
        Ok(())
    }

    fn apply(&self, parent: &mut Node, edit: &Element, inherited: Operation) -> Result<(), RpcError> {
        let mut operation = inherited;
        for attribute in &edit.attributes {
            let known = (attribute.name == "operation" && attribute.ns == self.spec.operation_namespace)
                .then(|| Operation::parse(&attribute.value));
            operation = known.flatten().ok_or_else(|| {
                let error = RpcError::data("unknown-attribute", "no such attribute");
                error.info("bad-attribute", &attribute.name).info("bad-element", &edit.name)
            })?;
        }
        let is_value = self.spec.leaf_lists.contains(&edit.name);
        let key = name_of(edit);
        let at = parent.children.iter().position(|child| {
            child.name == edit.name
                && (!is_value || edit.text.is_empty() || child.text == edit.text)
                && (key.is_none() || child.key() == key)
        });
        match (operation, at) {
            (Operation::Create, Some(_)) => {
                return Err(
                    RpcError::data("data-exists", "it is there already").info("bad-element", &edit.name)
                );
            }
            (Operation::Delete | Operation::None, None) => {
                let error = RpcError::data("data-missing", "statement not found");
                return Err(error.info("bad-element", &edit.name));
            }
            (Operation::Remove, None) => return Ok(()),
            (Operation::Delete | Operation::Remove, Some(at)) => {
                parent.children.remove(at);
                if is_value && edit.text.is_empty() {
                    parent.children.retain(|child| child.name != edit.name);
                }
                return Ok(());
            }
            (Operation::Replace, Some(at)) => drop(parent.children.remove(at)),
            _ => {}
        }
        let at = at.filter(|_| operation != Operation::Replace).unwrap_or_else(|| {
            parent.children.push(Node { ns: edit.ns.clone(), name: edit.name.clone(), ..Node::default() });
            parent.children.len() - 1
        });
        let node = &mut parent.children[at];
        if edit.children.is_empty() {
            node.text.clone_from(&edit.text);
        }
        edit.children.iter().try_for_each(|child| self.apply(node, child, operation))
    }
}

/// The name that an element begins with, if it begins with one.
fn name_of(element: &Element) -> Option<&str> {
    let first = element.children.first().filter(|first| first.name == "name")?;
    Some(first.text.as_str())
}

impl Node {
    fn of(element: &Element) -> Self {
        let text = if element.children.is_empty() { element.text.clone() } else { String::new() };
        let children = element.children.iter().map(Self::of).collect();
        Self { ns: element.ns.clone(), name: element.name.clone(), text, children }
    }

    fn key(&self) -> Option<&str> {
        let first = self.children.first().filter(|first| first.name == "name")?;
        Some(first.text.as_str())
    }

    /// Subtree filtering (RFC 6241 6) by filters that all name this node. An element of any namespace fits:
    /// such devices look at names.
    fn chosen(&self, filters: &[&Element]) -> Option<Self> {
        let mut wanted: Vec<&Element> = Vec::new();
        for filter in filters {
            let is_match = |f: &&Element| f.children.is_empty() && !f.text.trim().is_empty();
            let holds = |f: &Element| {
                self.children.iter().any(|child| child.name == f.name && child.text == f.text.trim())
            };
            if !filter.children.iter().filter(is_match).all(holds) {
                continue;
            }
            if filter.children.iter().all(|f| is_match(&f)) {
                return Some(self.clone());
            }
            wanted.extend(&filter.children);
        }
        let children = self.children.iter().filter_map(|child| {
            let named: Vec<_> = wanted.iter().copied().filter(|f| f.name == child.name).collect();
            if child.name == "name" { Some(child.clone()) } else { child.chosen(&named) }
        });
        let children: Vec<Self> = children.collect();
        let is_found = children.iter().any(|child| child.name != "name");
        is_found.then(|| Self { children, ..self.clone() })
    }

    fn print(&self, above: &str, xml: &mut String) {
        let Self { ns, name, .. } = self;
        let declared = if ns == above { String::new() } else { format!(" xmlns=\"{}\"", escape(ns)) };
        *xml += &format!("<{name}{declared}>{}", escape(&self.text));
        self.children.iter().for_each(|child| child.print(ns, xml));
        *xml += &format!("</{name}>");
    }
}
