//! Configuration as JSON (RFC 7951), and as targets write it who do not keep to it: names without
//! their module, numbers as text and text as numbers.

use serde_json::{Map, Value};
use yang5::context::Context;
use yang5::data::{Data as _, DataFormat, DataPrinterFlags, DataTree};
use yang5::schema::{SchemaNode, SchemaNodeKind};

use super::{SchemaError, Violation, ffi, wrong};
use crate::path::{Path, Step};

/// Deeper than any data that is asked for.
const MAX_DEPTH: usize = 64;

/// The node that levels lead to; a level without a module is in whichever has the name.
///
/// # Errors
/// No module has it, or several have.
pub(super) fn resolve(context: &Context, steps: &[Step]) -> Result<Path, SchemaError> {
    find(context, steps).map(|(path, _)| path)
}

/// What JSON at a node says of the leaves at and below it: of a leaf-list each value by itself. What
/// the modules do not define is an error, or passed over.
pub(super) fn leaves(
    context: &Context,
    at: &[Step],
    value: &Value,
    strict: bool,
) -> Result<Vec<(Path, String)>, SchemaError> {
    let mut walk = Walk { strict, found: Vec::new() };
    if at.is_empty() {
        let Value::Object(members) = value else { return Err(wrong("/", "no JSON object")) };
        for (name, value) in members {
            match child(top(context), name).map_err(|why| wrong(name, why))? {
                Some(node) => walk.node(&node, &below(&Path::default(), &node), value, 0)?,
                None => walk.unknown(name)?,
            }
        }
        return Ok(walk.found);
    }
    let (path, node) = find(context, at)?;
    for (level, step) in path.steps().iter().enumerate() {
        let entry = path.ancestor(level + 1);
        walk.found.extend(step.keys.iter().map(|(key, value)| (entry.child(key), value.clone())));
    }
    walk.node(&node, &path, value, 0)?;
    Ok(walk.found)
}

fn find<'a>(context: &'a Context, steps: &[Step]) -> Result<(Path, SchemaNode<'a>), SchemaError> {
    let mut path = Path::default();
    let mut node: Option<SchemaNode<'a>> = None;
    for step in steps {
        let name = match step.module.as_str() {
            "" => step.name.clone(),
            module => format!("{module}:{}", step.name),
        };
        let place = || format!("{path}/{name}");
        let found = match &node {
            None => child(top(context), &name),
            Some(node) => child(node.all_children(), &name),
        };
        let found = found.map_err(|why| wrong(&place(), why))?;
        let found = found.ok_or_else(|| wrong(&place(), "the modules have no such node"))?;
        let keys: Vec<String> = found.list_keys().map(|key| key.name().to_owned()).collect();
        if step.keys.iter().any(|(key, _)| !keys.contains(key)) {
            return Err(wrong(&place(), "a key that the list does not have"));
        }
        path = below(&path, &found);
        for key in &keys {
            if let Some((_, value)) = step.keys.iter().find(|(name, _)| name == key) {
                path.add_key(key, value);
            }
        }
        node = Some(found);
    }
    match node {
        Some(node) => Ok((path, node)),
        None => Err(wrong("/", "it names no node")),
    }
}

fn top(context: &Context) -> impl Iterator<Item = SchemaNode<'_>> {
    context.modules(true).flat_map(|module| module.data())
}

fn below(path: &Path, node: &SchemaNode<'_>) -> Path {
    path.child(&format!("{}:{}", node.module().name(), node.name()))
}

/// The one node of this name, which may say the module.
fn child<'a>(
    nodes: impl Iterator<Item = SchemaNode<'a>>,
    name: &str,
) -> Result<Option<SchemaNode<'a>>, &'static str> {
    let (module, name) = name.split_once(':').map_or((None, name), |(module, name)| (Some(module), name));
    let fits = |node: &SchemaNode<'a>| {
        node.name() == name && module.is_none_or(|module| node.module().name() == module)
    };
    let mut fitting = nodes.filter(fits);
    match (fitting.next(), fitting.next()) {
        (_, Some(_)) => Err("several modules have this name"),
        (node, None) => Ok(node),
    }
}

/// What was found so far.
struct Walk {
    strict: bool,
    found: Vec<(Path, String)>,
}

impl Walk {
    fn unknown(&self, place: &str) -> Result<(), SchemaError> {
        if self.strict { Err(wrong(place, "the modules have no such node")) } else { Ok(()) }
    }

    fn node(
        &mut self,
        node: &SchemaNode<'_>,
        path: &Path,
        value: &Value,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let fail = |why| Err(wrong(&path.to_string(), why));
        if depth > MAX_DEPTH {
            return fail("too deep");
        }
        match (node.kind(), value) {
            (SchemaNodeKind::Container, Value::Object(members)) => self.members(node, path, members, depth),
            (SchemaNodeKind::List, Value::Object(members)) => self.entry(node, path, members, depth),
            (SchemaNodeKind::List, Value::Array(entries)) => entries.iter().try_for_each(|one| match one {
                Value::Object(members) => self.entry(node, path, members, depth),
                _ => fail("a list entry that is no object"),
            }),
            (SchemaNodeKind::LeafList, Value::Array(values)) => {
                values.iter().try_for_each(|value| self.value(path, value))
            }
            (SchemaNodeKind::Leaf | SchemaNodeKind::LeafList, value) => self.value(path, value),
            (SchemaNodeKind::Container | SchemaNodeKind::List, _) => fail("no object"),
            _ => self.unknown(&path.to_string()),
        }
    }

    fn value(&mut self, path: &Path, value: &Value) -> Result<(), SchemaError> {
        let text = scalar(value).ok_or_else(|| wrong(&path.to_string(), "no plain value"))?;
        self.found.push((path.clone(), text));
        Ok(())
    }

    /// A list entry, whose keys stand in it, in the path, or in both alike.
    fn entry(
        &mut self,
        node: &SchemaNode<'_>,
        path: &Path,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        let mut path = path.clone();
        let known = path.steps().last().map(|step| step.keys.clone()).unwrap_or_default();
        for key in node.list_keys().filter(|key| !known.iter().any(|(name, _)| name == key.name())) {
            let is_key = |(member, _): &(&String, &Value)| member.rsplit(':').next() == Some(key.name());
            let value = members.iter().find(is_key).and_then(|(_, value)| scalar(value));
            let value = value.ok_or_else(|| wrong(&path.to_string(), "an entry without its key"))?;
            path.add_key(key.name(), &value);
        }
        // Also where the entry has nothing else in it.
        let keys = path.steps().last().map(|step| step.keys.clone()).unwrap_or_default();
        self.found.extend(keys.into_iter().map(|(key, value)| (path.child(&key), value)));
        self.members(node, &path, members, depth)
    }

    fn members(
        &mut self,
        node: &SchemaNode<'_>,
        path: &Path,
        members: &Map<String, Value>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        // Annotations (RFC 7952) say nothing of the configuration.
        for (name, value) in members {
            if !self.strict && name.starts_with('@') {
                continue;
            }
            let place = || format!("{path}/{name}");
            match child(node.all_children(), name).map_err(|why| wrong(&place(), why))? {
                Some(child) => self.node(&child, &below(path, &child), value, depth + 1)?,
                None => self.unknown(&place())?,
            }
        }
        Ok(())
    }
}

/// A value as its text; the `[null]` of type empty is an empty one.
fn scalar(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Array(values) if matches!(values.as_slice(), [Value::Null]) => Some(String::new()),
        _ => None,
    }
}

/// A tree as libyang prints it, each value in the JSON type of its YANG type.
pub(super) fn print(context: &Context, tree: &DataTree<'_>) -> Result<Value, SchemaError> {
    let flags = DataPrinterFlags::WITH_SIBLINGS | DataPrinterFlags::SHRINK;
    let (text, reports) = ffi::with_reports(context, || tree.print_string(DataFormat::JSON, flags));
    let fail = |why: &str| SchemaError::Library { message: why.to_owned() };
    match text {
        Ok(text) if text.trim().is_empty() => Ok(Value::Object(Map::new())),
        Ok(text) => serde_json::from_str(&text).map_err(|_| fail("libyang printed no JSON")),
        Err(_) => {
            let why = reports.into_iter().next().map(Violation::from);
            Err(fail(&why.map(|why| why.to_string()).unwrap_or_default()))
        }
    }
}
