//! Subtree filtering (RFC 6241 6): containment, selection and content match.

use yang5::context::Context;
use yang5::data::{Data, DataFormat, DataNodeRef, DataPrinterFlags};
use yang5::schema::SchemaNodeKind;

use super::edit::value_text;
use super::tree::{Tree, is_implicit};
use super::xml::{Element, escape};

/// What of a node goes into the answer.
enum Selected<'a> {
    All,
    Some(Vec<(DataNodeRef<'a>, Selected<'a>)>),
}

/// The content of `<data>` that the children of `<filter>` select. Keys come with every entry.
pub(super) fn select(tree: &Tree, filters: &[Element]) -> Result<String, yang5::Error> {
    let context = tree.schema().context();
    let mut out = String::new();
    for node in tree.first().iter().flat_map(DataNodeRef::inclusive_siblings) {
        let named: Vec<&Element> = filters.iter().filter(|filter| names(filter, &node)).collect();
        if let Some(selected) = within(context, &node, &named) {
            write(&mut out, &node, &selected, "")?;
        }
    }
    Ok(out)
}

/// What `filters`, which all name `node`, select of it.
fn within<'a>(context: &Context, node: &DataNodeRef<'a>, filters: &[&Element]) -> Option<Selected<'a>> {
    if filters.is_empty() || is_implicit(node) {
        return None;
    }
    if is_leaf(node) {
        let matches = |filter: &&Element| filter.text.trim().is_empty() || has_value(context, node, filter);
        return filters.iter().any(matches).then_some(Selected::All);
    }
    let mut wanted: Vec<&Element> = Vec::new();
    for filter in filters {
        let is_match = |child: &&Element| child.children.is_empty() && !child.text.trim().is_empty();
        let holds = |test: &Element| {
            node.children()
                .any(|child| names(test, &child) && is_leaf(&child) && has_value(context, &child, test))
        };
        if !filter.children.iter().filter(is_match).all(holds) {
            continue;
        }
        // A selection node, or content matches alone: all of it (RFC 6241 6.2.4 and 6.2.5).
        if filter.children.iter().all(|child| is_match(&child)) {
            return Some(Selected::All);
        }
        wanted.extend(&filter.children);
    }
    let mut children = Vec::new();
    let mut found = false;
    for child in node.children() {
        let named: Vec<&Element> = wanted.iter().copied().filter(|filter| names(filter, &child)).collect();
        if let Some(selected) = within(context, &child, &named) {
            found = true;
            children.push((child, selected));
        } else if child.schema().is_list_key() {
            children.push((child, Selected::All));
        }
    }
    found.then_some(Selected::Some(children))
}

/// An element in no namespace matches in any (RFC 6241 6.2.1).
fn names(filter: &Element, node: &DataNodeRef<'_>) -> bool {
    let schema = node.schema();
    filter.name == schema.name() && (filter.ns.is_empty() || filter.ns == schema.module().namespace())
}

fn is_leaf(node: &DataNodeRef<'_>) -> bool {
    matches!(node.schema().kind(), SchemaNodeKind::Leaf | SchemaNodeKind::LeafList)
}

fn has_value(context: &Context, node: &DataNodeRef<'_>, filter: &Element) -> bool {
    let wanted = value_text(context, filter, &node.schema());
    node.value_canonical().is_some_and(|value| value == wanted || value == wanted.trim())
}

fn write(
    out: &mut String,
    node: &DataNodeRef<'_>,
    selected: &Selected<'_>,
    above: &str,
) -> Result<(), yang5::Error> {
    match selected {
        Selected::All => *out += &node.print_string(DataFormat::XML, DataPrinterFlags::SHRINK)?,
        Selected::Some(children) => {
            let schema = node.schema();
            let (name, module) = (schema.name(), schema.module());
            let ns = module.namespace();
            *out += &match ns == above {
                true => format!("<{name}>"),
                false => format!("<{name} xmlns=\"{}\">", escape(ns)),
            };
            for (child, selected) in children {
                write(out, child, selected, ns)?;
            }
            *out += &format!("</{name}>");
        }
    }
    Ok(())
}
