//! A Set, read as the changes that it makes to what runs. It is all or nothing, so what counts is where
//! it leads: a list that is deleted and written anew loses and gets single values.

use std::collections::{BTreeMap, BTreeSet};

use super::read::Change;
use super::{ScopeError, TRUNK_VLANS};
use crate::gnmi;
use crate::path::{Path, Step};
use crate::render::gnmi::Set;
use crate::render::native::edits_of;
use crate::schema::Schema;
use crate::slice::{Slice, Value};

/// The changes: values that lists get, then everything else, then values that they lose.
pub(super) fn read(
    text: &str,
    origin: &str,
    running: &Slice,
    schema: &Schema,
) -> Result<Vec<Change>, ScopeError> {
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let set: Set = serde_json::from_str(text).map_err(unreadable)?;
    if let Some(update) = set.replace.first() {
        return Err(unreadable(format_args!("{} is replaced", update.path)));
    }
    let mut changes = Vec::new();
    let mut lists: BTreeMap<Path, BTreeSet<String>> = BTreeMap::new();
    for path in &set.delete {
        let path = schema.resolve(&steps(path, origin)?).map_err(unreadable)?;
        match path.name() {
            TRUNK_VLANS => drop(lists.insert(path, BTreeSet::new())),
            _ => changes.push(change(path, "remove", "")),
        }
    }
    for update in &set.update {
        // What no module has would be passed over here, and not by the device.
        let leaves = schema.json_leaves(&steps(&update.path, origin)?, &update.val, true);
        for (path, value) in leaves.map_err(unreadable)? {
            let entry = path.parent().filter(|_| path.is_key());
            match entry {
                // Of those above it only what is in them may have been read.
                Some(entry) if !running.within(std::slice::from_ref(&entry)).is_empty() => {}
                Some(entry) if changes.iter().any(|known| creates(known, &entry)) => {}
                Some(entry) => changes.push(change(entry, "create", "")),
                None if path.name() == TRUNK_VLANS => {
                    let known = || members(running, &path);
                    lists.entry(path.clone()).or_insert_with(known).insert(value);
                }
                None => changes.push(change(path, "merge", &value)),
            }
        }
    }
    let (mut got, mut lost) = (Vec::new(), Vec::new());
    for (path, after) in &lists {
        let before = members(running, path);
        got.extend(after.difference(&before).map(|member| change(path.clone(), "merge", member)));
        lost.extend(before.difference(after).map(|member| change(path.clone(), "remove", member)));
    }
    Ok(got.into_iter().chain(changes).chain(lost).collect())
}

/// The canonical lines of a Set in a native model, in the order in which they are carried out.
pub(super) fn native(text: &str, origin: &str) -> Result<String, ScopeError> {
    let mut lines = String::new();
    if text.is_empty() {
        return Ok(lines);
    }
    let set: Set = serde_json::from_str(text).map_err(unreadable)?;
    for mut edit in edits_of(&set).map_err(unreadable)? {
        if edit.target.origin != origin {
            return Err(unreadable(format_args!("{} is of another origin", edit.target.text())));
        }
        edit.target.origin.clear();
        let names = |elem: &gnmi::PathElem| {
            ["*", "..."].contains(&elem.name.as_str()) || elem.key.values().any(|value| value == "*")
        };
        if edit.target.elem.is_empty() || edit.target.elem.iter().any(names) {
            let (path, why) = (edit.to_string(), "it names more than one node".to_owned());
            return Err(ScopeError::Outside { path, why });
        }
        lines += &format!("{edit}\n");
    }
    Ok(lines)
}

fn members(running: &Slice, path: &Path) -> BTreeSet<String> {
    match running.value(path) {
        Some(Value::Set(members)) => members.clone(),
        _ => BTreeSet::new(),
    }
}

fn creates(change: &Change, entry: &Path) -> bool {
    change.path == *entry && change.operation.as_deref() == Some("create")
}

fn change(path: Path, operation: &str, text: &str) -> Change {
    Change { path, operation: Some(operation.to_owned()), text: text.to_owned(), has_children: false }
}

/// The levels of a path in the model that the origin names, and no other's.
fn steps(path: &str, origin: &str) -> Result<Vec<Step>, ScopeError> {
    let path: gnmi::Path = path.parse().map_err(unreadable)?;
    if path.origin != origin {
        return Err(unreadable(format_args!("{} is of another origin", path.text())));
    }
    Ok(path.steps())
}

fn unreadable(what: impl std::fmt::Display) -> ScopeError {
    ScopeError::Unreadable(what.to_string())
}
