//! edit-config (RFC 6241 7.2) on a libyang tree.

use std::sync::Arc;

use yang5::context::Context;
use yang5::iter::IterSchemaFlags;
use yang5::schema::{DataValueType, SchemaNode, SchemaNodeKind};

use super::Quirks;
use super::error::RpcError;
use super::tree::{Tree, predicate};
use super::xml::{BASE, Element};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operation {
    Merge,
    Replace,
    Create,
    Delete,
    Remove,
    /// Only as default-operation: what is named must be there already.
    None,
}

impl Operation {
    /// The values of the `operation` attribute.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "merge" => Some(Self::Merge),
            "replace" => Some(Self::Replace),
            "create" => Some(Self::Create),
            "delete" => Some(Self::Delete),
            "remove" => Some(Self::Remove),
            _ => None,
        }
    }

    /// The values of default-operation.
    pub fn parse_default(text: &str) -> Option<Self> {
        match text {
            "merge" => Some(Self::Merge),
            "replace" => Some(Self::Replace),
            "none" => Some(Self::None),
            _ => None,
        }
    }
}

/// Applies the children of `config` one after the other and stops at the first error; what was
/// applied before it stays in `tree`. Also says whether anything has changed.
pub(super) fn apply(
    tree: &mut Tree,
    config: &Element,
    default: Operation,
    quirks: &Quirks,
) -> (bool, Result<(), RpcError>) {
    let schema = Arc::clone(tree.schema());
    let changed = default == Operation::Replace;
    if changed {
        *tree = Tree::empty(&schema);
    }
    let mut editor = Editor { tree, context: schema.context(), quirks, changed };
    let result = config.children.iter().try_for_each(|child| editor.node(child, None, "", default));
    (editor.changed, result)
}

struct Editor<'a> {
    tree: &'a mut Tree,
    context: &'a Context,
    quirks: &'a Quirks,
    changed: bool,
}

impl Editor<'_> {
    /// One element below `parent`, whose data path is `above`.
    fn node(
        &mut self,
        element: &Element,
        parent: Option<&SchemaNode<'_>>,
        above: &str,
        inherited: Operation,
    ) -> Result<(), RpcError> {
        let node = resolve(self.context, element, parent, above)?;
        let mut path = match parent {
            Some(parent) if parent.module() == node.module() => format!("{above}/{}", node.name()),
            _ => format!("{above}/{}:{}", node.module().name(), node.name()),
        };
        if !node.is_config() {
            return Err(self.error("access-denied", "it is not configuration", &path));
        }
        let value = value_text(self.context, element, &node);
        match node.kind() {
            SchemaNodeKind::LeafList => path += &self.predicate(".", &value, &path)?,
            SchemaNodeKind::List => path += &self.keys(element, &node, &path)?,
            SchemaNodeKind::Leaf | SchemaNodeKind::Container => {}
            _ => {
                return Err(self.error(
                    "operation-not-supported",
                    "only YANG data nodes are simulated",
                    &path,
                ));
            }
        }

        if node.kind() == SchemaNodeKind::Leaf && self.quirks.ignore.as_deref() == Some(node.name()) {
            return Ok(());
        }
        let operation = operation(self.context, element, &path)?.unwrap_or(inherited);
        let there = self.tree.holds(&path);
        match operation {
            Operation::Create if there => {
                return Err(self.error("data-exists", "it is there already", &path));
            }
            // A container without presence and without content counts as missing: real servers
            // read RFC 6241 7.2 so, and it is the harder case for a client.
            Operation::Delete | Operation::Remove | Operation::None if !there => {
                self.check_predicate(&path)?;
                let error = self.error("data-missing", "it is not there", &path);
                return if operation == Operation::Remove { Ok(()) } else { Err(error) };
            }
            Operation::Delete | Operation::Remove => return self.remove(&path),
            Operation::Replace if there => self.remove(&path)?,
            _ => {}
        }
        match node.kind() {
            SchemaNodeKind::Leaf | SchemaNodeKind::LeafList => {
                if operation != Operation::None {
                    self.refuse(node.name(), &value, &path)?;
                    self.set(&path, (node.kind() == SchemaNodeKind::Leaf).then_some(&value))?;
                }
                Ok(())
            }
            _ => {
                if operation != Operation::None && !node.is_np_container() {
                    self.set(&path, None)?;
                }
                element.children.iter().try_for_each(|child| self.child(child, &node, &path, operation))
            }
        }
    }

    /// A child of a container or list entry; keys are there already.
    fn child(
        &mut self,
        child: &Element,
        parent: &SchemaNode<'_>,
        above: &str,
        inherited: Operation,
    ) -> Result<(), RpcError> {
        if !parent.list_keys().any(|key| is_named(&key, child)) {
            return self.node(child, Some(parent), above, inherited);
        }
        match operation(self.context, child, above)? {
            Some(Operation::Delete | Operation::Remove) => {
                Err(self.error("access-denied", "a key cannot be taken away", above))
            }
            _ if inherited == Operation::None => Ok(()),
            _ => self.refuse(&child.name, &child.text, above),
        }
    }

    /// The predicates that name a list entry.
    fn keys(&self, element: &Element, list: &SchemaNode<'_>, path: &str) -> Result<String, RpcError> {
        let mut predicates = String::new();
        for key in list.list_keys() {
            let given = element.children.iter().find(|child| is_named(&key, child)).ok_or_else(|| {
                self.error("missing-element", "a key of the list is missing", path)
                    .info("bad-element", key.name())
            })?;
            predicates += &self.predicate(key.name(), &value_text(self.context, given, &key), path)?;
        }
        Ok(predicates)
    }

    fn predicate(&self, name: &str, value: &str, path: &str) -> Result<String, RpcError> {
        predicate(name, value)
            .ok_or_else(|| self.error("invalid-value", "both kinds of quotes in one value", path))
    }

    /// A node that is not there may be so because its key or value is of the wrong type.
    fn check_predicate(&self, path: &str) -> Result<(), RpcError> {
        if path.ends_with(']') {
            let set = Tree::empty(self.tree.schema()).set(path, None);
            set.map_err(|error| self.error("invalid-value", &error.to_string(), path))?;
        }
        Ok(())
    }

    fn set(&mut self, path: &str, value: Option<&String>) -> Result<(), RpcError> {
        let set = self.tree.set(path, value.map(String::as_str));
        self.changed |= set.map_err(|error| self.error("invalid-value", &error.to_string(), path))?;
        Ok(())
    }

    fn remove(&mut self, path: &str) -> Result<(), RpcError> {
        self.changed = true;
        self.tree.remove(path).map_err(|error| self.error("operation-failed", &error.to_string(), path))
    }

    fn refuse(&self, name: &str, value: &str, path: &str) -> Result<(), RpcError> {
        match refusal(self.quirks, name, value) {
            Some(message) => Err(self.error("operation-failed", &message, path)),
            None => Ok(()),
        }
    }

    fn error(&self, tag: &str, message: &str, path: &str) -> RpcError {
        let error = RpcError::data(tag, message);
        if self.quirks.no_error_path { error } else { error.at(self.context, path) }
    }
}

/// What a switch that refuses a VLAN says of a leaf that brings it.
pub(super) fn refusal(quirks: &Quirks, name: &str, value: &str) -> Option<String> {
    let vlan = quirks.refuse.filter(|vlan| VLAN_NODES.contains(&name) && covers(value, *vlan))?;
    Some(format!("VLAN {vlan} is not available on this switch"))
}

/// OpenConfig's nodes that hold a VLAN, or a range of them.
const VLAN_NODES: [&str; 4] = ["vlan-id", "access-vlan", "native-vlan", "trunk-vlans"];

/// Whether `100` or `100..200` has the VLAN in it.
fn covers(value: &str, vlan: u16) -> bool {
    let (first, last) = value.trim().split_once("..").unwrap_or((value.trim(), value.trim()));
    matches!((first.parse::<u16>(), last.parse::<u16>()), (Ok(first), Ok(last)) if (first..=last).contains(&vlan))
}

fn is_named(node: &SchemaNode<'_>, element: &Element) -> bool {
    node.name() == element.name && node.module().namespace() == element.ns
}

/// The schema node that an element instantiates.
fn resolve<'a>(
    context: &'a Context,
    element: &Element,
    parent: Option<&SchemaNode<'a>>,
    above: &str,
) -> Result<SchemaNode<'a>, RpcError> {
    let Some(module) = context.get_module_implemented_ns(&element.ns) else {
        let error = RpcError::data("unknown-namespace", "no module has this namespace").at(context, above);
        return Err(error.info("bad-element", &element.name).info("bad-namespace", &element.ns));
    };
    let found = match parent {
        Some(parent) => parent.children2(IterSchemaFlags::empty()).find(|node| is_named(node, element)),
        None => module.data().find(|node| is_named(node, element)),
    };
    found.ok_or_else(|| {
        let error = RpcError::data("unknown-element", "the schema has no such node").at(context, above);
        error.info("bad-element", &element.name)
    })
}

/// The operation attribute (RFC 6241 7.2). Any other attribute is refused: one without its prefix
/// would otherwise be silently a merge.
fn operation(context: &Context, element: &Element, path: &str) -> Result<Option<Operation>, RpcError> {
    let mut operation = None;
    for attribute in &element.attributes {
        if (attribute.ns.as_str(), attribute.name.as_str()) == (BASE, "operation") {
            operation = Some(Operation::parse(&attribute.value).ok_or_else(|| {
                let error = RpcError::data("bad-attribute", "no such operation").at(context, path);
                error.info("bad-attribute", "operation").info("bad-element", &element.name)
            })?);
        } else {
            let error = RpcError::data("unknown-attribute", "no such attribute").at(context, path);
            return Err(error.info("bad-attribute", &attribute.name).info("bad-element", &element.name));
        }
    }
    Ok(operation)
}

/// A leaf's text as libyang's JSON form takes it: identities carry a module's name where XML has a
/// prefix (RFC 7951 6.8), and only strings keep white space around them.
pub(super) fn value_text(context: &Context, element: &Element, node: &SchemaNode<'_>) -> String {
    let Some(leaf_type) = node.leaf_type() else { return String::new() };
    let mut base = leaf_type.base_type();
    if base == DataValueType::LeafRef
        && let Some(real) = leaf_type.leafref_real_type()
    {
        base = real.base_type();
    }
    let text = if base == DataValueType::String { element.text.as_str() } else { element.text.trim() };
    if !matches!(base, DataValueType::IdentityRef | DataValueType::Union) {
        return text.to_owned();
    }
    let (prefix, name) = text.split_once(':').unwrap_or(("", text));
    let module = element.namespace_of(prefix).and_then(|ns| context.get_module_implemented_ns(ns));
    match module {
        Some(module) if base == DataValueType::IdentityRef || !prefix.is_empty() => {
            format!("{}:{name}", module.name())
        }
        _ => text.to_owned(),
    }
}
