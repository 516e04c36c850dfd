//! Between slices, device XML and libyang's trees, which never leave a function of this file.

use std::sync::Arc;

use yang5::context::Context;
use yang5::data::{DataFormat, DataNodeRef, DataParserFlags, DataTree, DataValidationFlags};
use yang5::schema::SchemaNodeKind;

use super::ffi::{self, Report};
use super::{SchemaError, Violation, envelope, wrong};
use crate::path::{Path, Step};
use crate::slice::{Slice, Value};

pub(super) fn exists(context: &Context, path: &Path) -> bool {
    let levels: Vec<_> = path.steps().iter().map(|step| Step::plain(&step.module, &step.name)).collect();
    let text = Path::default().below(&levels).to_string();
    !text.is_empty() && is_text(&text) && ffi::with_reports(context, || context.find_path(&text).is_ok()).0
}

/// Which nodes of the data count.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Config,
    ConfigAndState,
}

pub(super) fn read(context: &Context, data: &str, kind: Kind) -> Result<Slice, SchemaError> {
    if !is_text(data) {
        return Err(wrong("", "a control character that XML does not allow"));
    }
    let content = envelope::content(data).map_err(|why| wrong("", &format!("not a NETCONF reply: {why}")))?;
    let (tree, reports) = ffi::with_reports(context, || {
        // Parsing only: a part of a configuration need not be valid by itself.
        let flags = DataParserFlags::NO_VALIDATION;
        DataTree::parse_string(context, content, DataFormat::XML, flags, DataValidationFlags::empty())
    });
    let tree = tree.map_err(|_| SchemaError::Data(first(reports)))?;
    collect_all(context, &tree, kind)
}

fn collect_all(context: &Context, tree: &DataTree<'_>, kind: Kind) -> Result<Slice, SchemaError> {
    let mut slice = Slice::default();
    let Some(top) = tree.reference() else { return Ok(slice) };
    for node in top.inclusive_siblings() {
        let (added, reports) = ffi::with_reports(context, || ffi::add_defaults(&node));
        if !added {
            return Err(SchemaError::Data(first(reports)));
        }
        collect(&node, kind, &mut Vec::new(), &mut slice)?;
    }
    Ok(slice)
}

/// Copies what is at and below `node` into the slice. `levels` lead to the parent.
fn collect(
    node: &DataNodeRef<'_>,
    kind: Kind,
    levels: &mut Vec<Arc<Step>>,
    slice: &mut Slice,
) -> Result<(), SchemaError> {
    let schema = node.schema();
    // Only state may have lists without keys, and then nothing tells their entries apart.
    let is_keyless = schema.kind() == SchemaNodeKind::List && schema.list_keys().next().is_none();
    if kind == Kind::Config && !schema.is_config() || is_keyless {
        return Ok(());
    }
    let mut step = Step::plain(schema.module().name(), schema.name());
    if schema.kind() == SchemaNodeKind::List {
        let key = |key: DataNodeRef<'_>| {
            (key.schema().name().to_owned(), key.value_canonical().unwrap_or_default())
        };
        Arc::make_mut(&mut step).keys.extend(node.list_keys().map(key));
    }
    levels.push(step);
    match schema.kind() {
        SchemaNodeKind::Leaf => add_leaf(node, Path::default().below(levels), slice)?,
        SchemaNodeKind::LeafList if !ffi::is_implied(node) => {
            let path = Path::default().below(levels);
            slice.add_member(path, node.value_canonical().unwrap_or_default());
        }
        SchemaNodeKind::Container | SchemaNodeKind::List => {
            for child in node.children() {
                collect(&child, kind, levels, slice)?;
            }
        }
        _ => {}
    }
    levels.pop();
    Ok(())
}

/// A device may spread one entry over several elements. What one of them configures is not a
/// default because another leaves it out, and two of them must not disagree.
fn add_leaf(node: &DataNodeRef<'_>, path: Path, slice: &mut Slice) -> Result<(), SchemaError> {
    let value = node.value_canonical().unwrap_or_default();
    let known = slice.value(&path);
    if ffi::is_implied(node) {
        let in_entry = path.steps().iter().any(|step| !step.keys.is_empty());
        if known.is_none() && in_entry {
            slice.set(path, Value::Default(value));
        }
        return Ok(());
    }
    if let Some(Value::Leaf(other)) = known
        && *other != value
    {
        return Err(wrong(&path.to_string(), &format!("given twice, as `{other}` and as `{value}`")));
    }
    slice.set(path, Value::Leaf(value));
    Ok(())
}

/// Values as given, in canonical form and with the defaults of the entries they are in; every leaf that
/// stands in them is given once.
pub(super) fn understand(
    context: &Context,
    leaves: &[(Path, String)],
    kind: Kind,
) -> Result<Slice, SchemaError> {
    let mut tree = DataTree::new(context);
    for (path, value) in leaves {
        add(context, &mut tree, path, value).map_err(SchemaError::Data)?;
    }
    collect_all(context, &tree, kind)
}

/// What a slice configures, as JSON.
pub(super) fn to_json(context: &Context, slice: &Slice) -> Result<serde_json::Value, SchemaError> {
    let configured = slice.iter().filter(|(_, value)| !matches!(value, Value::Default(_)));
    let configured = configured.map(|(path, value)| (path.clone(), value.clone())).collect();
    let (tree, violations) = build(context, &configured);
    match violations.into_iter().next() {
        Some(violation) => Err(SchemaError::Data(violation)),
        None => super::json::print(context, &tree),
    }
}

pub(super) fn validate(context: &Context, slice: &Slice) -> Result<(), Vec<Violation>> {
    let (mut tree, mut violations) = build(context, slice);
    if tree.reference().is_some() {
        let (checked, reports) = ffi::with_reports(context, || {
            // Only modules with data: what nobody touches need not be complete.
            let all = DataValidationFlags::from_bits_retain(yang5::ffi::LYD_VALIDATE_MULTI_ERROR);
            tree.validate(DataValidationFlags::NO_STATE | DataValidationFlags::PRESENT | all)
        });
        if checked.is_err() {
            violations.extend(or_no_reason(reports));
        }
    }
    if violations.is_empty() { Ok(()) } else { Err(violations) }
}

/// A tree of everything in force, and all that could not become part of it.
fn build<'a>(context: &'a Context, slice: &Slice) -> (DataTree<'a>, Vec<Violation>) {
    let mut tree = DataTree::new(context);
    let mut violations = Vec::new();
    for (path, value) in slice.iter() {
        match value {
            // Some are a device's own, and conditions depend on them.
            Value::Default(value) | Value::Leaf(value) => {
                violations.extend(add(context, &mut tree, path, value).err())
            }
            Value::Set(members) => {
                for member in members {
                    violations.extend(add(context, &mut tree, path, member).err());
                }
            }
        }
    }
    (tree, violations)
}

fn add(context: &Context, tree: &mut DataTree<'_>, path: &Path, value: &str) -> Result<(), Violation> {
    let text = path.to_string();
    let fail = |message: &str| Err(Violation::new(&text, message));
    if !is_text(&text) || !is_text(value) {
        return fail("a control character");
    }
    let keys = || path.steps().iter().flat_map(|step| &step.keys);
    if keys().any(|(_, key)| key.contains('\'') && key.contains('"')) {
        return fail("a key with both kinds of quotes");
    }
    if path.is_key() {
        let entry = path.steps().iter().rev().nth(1).map_or(&[][..], |step| &step.keys);
        if entry.iter().any(|(key, of_entry)| key == path.name() && of_entry != value) {
            return fail("the key differs from its list entry");
        }
    }
    let (added, reports) = ffi::with_reports(context, || tree.new_path(&text, Some(value), false).map(drop));
    match added {
        Ok(()) => Ok(()),
        Err(_) => Err(Violation { path: text, ..first(reports) }),
    }
}

/// Whether a text has no control characters but tab and line ends (`yang-char`, RFC 7950 14).
fn is_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 || matches!(byte, b'\t' | b'\n' | b'\r'))
}

fn first(reports: Vec<Report>) -> Violation {
    or_no_reason(reports).swap_remove(0)
}

/// What libyang reported; at least one, because it failed.
fn or_no_reason(reports: Vec<Report>) -> Vec<Violation> {
    if reports.is_empty() {
        return vec![Violation::new("", "libyang gives no reason")];
    }
    reports.into_iter().map(Violation::from).collect()
}

impl Violation {
    pub(super) fn new(path: &str, message: &str) -> Self {
        Self { path: path.to_owned(), message: message.to_owned(), app_tag: None }
    }
}

impl From<Report> for Violation {
    fn from(report: Report) -> Self {
        // Some messages have several lines.
        let mut message = report.message.split_whitespace().collect::<Vec<_>>().join(" ");
        let path = report.data_path.or(report.schema_path).unwrap_or_default();
        if let Some(line) = report.line.filter(|_| path.is_empty()) {
            message.push_str(&format!(" (line {line})"));
        }
        Self { path, message, app_tag: report.app_tag }
    }
}
