//! The part of a device's configuration that a change touches, as an owned map of path to value.
//!
//! Everything that compares, applies or undoes a change is written here, once, for every
//! transport: [`changes`] turns any state into any other, so a plan is `changes(before, after)`
//! and its inverse is `changes(after, before)`.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::ops::Bound;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use crate::path::Path;
use crate::vlan::VlanSet;

/// What one data node holds. Values are in libyang's canonical form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// A leaf that is configured.
    Leaf(String),
    /// A leaf that is not configured and in force with its schema default. It equals the same
    /// value configured, and it is never sent or deleted.
    Default(String),
    /// A leaf-list as the device spells its values (`100..102` stays one value: a deletion has
    /// to name it so).
    Set(BTreeSet<String>),
}

/// Path to value; keys of list entries are leaves of it, so an entry exists when its key does. Copies
/// share what they hold until one of them is changed: most plans leave a device as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slice(Arc<BTreeMap<Path, Value>>);

/// RFC 6241 7.2 and RFC 8072 2.5: what to do at one target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Operation {
    /// Make a list entry that must not exist yet. Leaves inside follow as their own edits.
    Create,
    /// Set a leaf, or add one leaf-list value.
    Merge,
    /// Take a leaf, a leaf-list value, or a list entry that we created, away if it is there.
    Remove,
}

/// One delta at a leaf, a leaf-list value, or a list entry that a plan creates; never a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Edit {
    pub operation: Operation,
    pub target: Path,
    /// The leaf's value or the leaf-list's one value; none for a leaf removed and for list entries.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub value: Option<String>,
}

impl Slice {
    pub fn value(&self, path: &Path) -> Option<&Value> {
        self.0.get(path)
    }

    /// The value in force at a leaf: configured or default.
    pub fn leaf(&self, path: &Path) -> Option<&str> {
        match self.0.get(path)? {
            Value::Leaf(value) | Value::Default(value) => Some(value),
            Value::Set(_) => None,
        }
    }

    /// The VLANs of a leaf-list in OpenConfig's spelling, ranges expanded. `None`: it is unset,
    /// or holds something that is no VLAN.
    pub fn vlans(&self, path: &Path) -> Option<VlanSet> {
        match self.0.get(path)? {
            Value::Set(members) => expand(members),
            _ => None,
        }
    }

    /// Whether the list entry at `path` exists.
    pub fn has_entry(&self, path: &Path) -> bool {
        let keys = path.steps().last().map_or(&[][..], |step| &step.keys);
        !keys.is_empty() && keys.iter().all(|(key, _)| self.0.contains_key(&path.child(key)))
    }

    pub fn set(&mut self, path: Path, value: Value) {
        self.own().insert(path, value);
    }

    fn own(&mut self) -> &mut BTreeMap<Path, Value> {
        Arc::make_mut(&mut self.0)
    }

    /// Sets a leaf; the same value already in force stays as it is.
    pub fn set_leaf(&mut self, path: Path, value: &str) {
        if self.leaf(&path) != Some(value) {
            self.set(path, Value::Leaf(value.to_owned()));
        }
    }

    /// Adds one value of a leaf-list.
    pub fn add_member(&mut self, path: Path, member: String) {
        match self.own().get_mut(&path) {
            Some(Value::Set(members)) => {
                members.insert(member);
            }
            _ => self.set(path, Value::Set(BTreeSet::from([member]))),
        }
    }

    pub fn unset(&mut self, path: &Path) {
        if self.0.contains_key(path) {
            self.own().remove(path);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (&Path, &Value)> {
        self.0.iter()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Only what lies within one of `roots`.
    pub fn within(&self, roots: &[Path]) -> Self {
        let within = |root| {
            // In the order of paths, what lies within a root stands right behind it.
            let from_root = self.0.range::<Path, _>((Bound::Included(root), Bound::Unbounded));
            from_root.take_while(move |(path, _)| path.is_within(root))
        };
        let inside = roots.iter().flat_map(within);
        inside.map(|(path, value)| (path.clone(), value.clone())).collect()
    }

    /// Adds everything of `other`; its values win.
    pub fn absorb(&mut self, other: &Slice) {
        if self.is_empty() {
            self.clone_from(other);
        } else if !other.is_empty() {
            self.own().extend(other.iter().map(|(path, value)| (path.clone(), value.clone())));
        }
    }

    /// Whether both mean the same configuration: a default equals the same value configured and
    /// VLAN ranges equal their members.
    pub fn same_as(&self, other: &Slice) -> bool {
        self.differences(other).is_empty()
    }

    /// The paths at which the two do not mean the same.
    pub fn differences(&self, other: &Slice) -> Vec<Path> {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Vec::new();
        }
        let paths: BTreeSet<&Path> = self.0.keys().chain(other.0.keys()).collect();
        paths.into_iter().filter(|path| !equal(self.0.get(path), other.0.get(path))).cloned().collect()
    }

    /// SHA-256 over the canonical content, in hexadecimal.
    pub fn digest(&self) -> String {
        let mut hash = Sha256::new();
        let mut text = String::new();
        for (path, value) in self.iter() {
            let Some(value) = canonical(value) else { continue };
            text.clear();
            // Writing to a String cannot fail.
            write!(text, "{path}\0{value}\0").unwrap_or_default();
            hash.update(&text);
        }
        hex::encode(hash.finalize())
    }
}

impl Serialize for Slice {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.as_ref().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Slice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        BTreeMap::deserialize(deserializer).map(|nodes| Self(Arc::new(nodes)))
    }
}

impl FromIterator<(Path, Value)> for Slice {
    fn from_iter<I: IntoIterator<Item = (Path, Value)>>(nodes: I) -> Self {
        Self(Arc::new(nodes.into_iter().collect()))
    }
}

fn expand(members: &BTreeSet<String>) -> Option<VlanSet> {
    let mut all = VlanSet::default();
    for member in members {
        for id in VlanSet::parse_openconfig_member(member).ok()?.iter() {
            all.insert(id);
        }
    }
    Some(all)
}

fn canonical(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::Leaf(value) | Value::Default(value) => Some(value.into()),
        Value::Set(members) if members.is_empty() => None,
        Value::Set(members) => Some(match expand(members) {
            Some(vlans) => vlans.to_string().into(),
            None => members.iter().cloned().collect::<Vec<_>>().join("\u{1f}").into(),
        }),
    }
}

fn equal(one: Option<&Value>, other: Option<&Value>) -> bool {
    match (one, other) {
        // An entry that a plan creates names no defaults; read back it shows them.
        (None, Some(Value::Default(_))) | (Some(Value::Default(_)), None) => true,
        _ => one == other || one.and_then(canonical) == other.and_then(canonical),
    }
}

/// The edits that turn `from` into `to`, in tree order. Nothing is sent for what already means
/// the same, so `changes(x, x)` is empty for any spelling of x.
pub fn changes(from: &Slice, to: &Slice) -> Vec<Edit> {
    let mut edits = Vec::new();
    // Most often: the device already is as asked.
    if from == to {
        return edits;
    }
    let mut removed: Option<Path> = None;
    let paths: BTreeSet<&Path> = from.0.keys().chain(to.0.keys()).collect();
    // Entries first: the key leaf sorts after siblings such as `config`, so entries are found
    // from every path's ancestors.
    let mut seen_entries = BTreeSet::new();
    for path in paths {
        if removed.as_ref().is_some_and(|entry| path.is_within(entry)) {
            continue;
        }
        for entry in entries_above(path) {
            if seen_entries.contains(&entry) {
                continue;
            }
            match (from.has_entry(&entry), to.has_entry(&entry)) {
                (false, true) => {
                    edits.push(Edit { operation: Operation::Create, target: entry.clone(), value: None })
                }
                (true, false) => {
                    edits.push(Edit { operation: Operation::Remove, target: entry.clone(), value: None });
                    removed = Some(entry.clone());
                    seen_entries.insert(entry);
                    break;
                }
                _ => {}
            }
            seen_entries.insert(entry);
        }
        if removed.as_ref().is_some_and(|entry| path.is_within(entry)) || path.is_key() {
            continue;
        }
        let (old, new) = (from.0.get(path), to.0.get(path));
        if !equal(old, new) {
            edits.extend(change_at(path, old, new));
        }
    }
    edits
}

fn entries_above(path: &Path) -> Vec<Path> {
    let levels = (1..).zip(path.steps());
    let entries = levels.filter(|(_, step)| !step.keys.is_empty());
    entries.map(|(level, _)| path.ancestor(level)).collect()
}

fn change_at(path: &Path, old: Option<&Value>, new: Option<&Value>) -> Vec<Edit> {
    let edit =
        |operation, value: Option<&String>| Edit { operation, target: path.clone(), value: value.cloned() };
    let empty = BTreeSet::new();
    let members = |value: Option<&Value>| match value {
        Some(Value::Set(members)) => members.clone(),
        _ => empty.clone(),
    };
    match (old, new) {
        (_, Some(Value::Leaf(value))) => vec![edit(Operation::Merge, Some(value))],
        // The default comes back when what was configured goes.
        (Some(Value::Leaf(_)), Some(Value::Default(_)) | None) => vec![edit(Operation::Remove, None)],
        (_, Some(Value::Set(_))) | (Some(Value::Set(_)), _) => {
            let (old, new) = (members(old), members(new));
            let gone = old.difference(&new).map(|m| edit(Operation::Remove, Some(m)));
            let added = new.difference(&old).map(|m| edit(Operation::Merge, Some(m)));
            gone.chain(added).collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest};

    use super::*;
    use crate::plan::tests::apply;

    fn path(text: &str) -> Path {
        Path::parse(text).unwrap()
    }

    fn set(members: &[&str]) -> Value {
        Value::Set(members.iter().map(|m| m.to_string()).collect())
    }

    #[test]
    fn ranges_and_defaults_compare_by_meaning() {
        let vlans = path("/m:l[k='x']/v");
        let a = Slice::from_iter([(vlans.clone(), set(&["1..3", "7"]))]);
        let b = Slice::from_iter([(vlans, set(&["1", "2", "3", "7"]))]);
        assert!(a.same_as(&b) && a.digest() == b.digest() && changes(&a, &b).is_empty());
        let leaf = path("/m:l[k='x']/enabled");
        let configured = Slice::from_iter([(leaf.clone(), Value::Leaf("true".into()))]);
        let implied = Slice::from_iter([(leaf, Value::Default("true".into()))]);
        assert!(configured.same_as(&implied) && changes(&configured, &implied).is_empty());
    }

    #[test]
    fn entries_are_created_before_and_removed_with_their_leaves() {
        let entry = path("/m:l[k='x']");
        let after = Slice::from_iter([
            (entry.child("k"), Value::Leaf("x".into())),
            (entry.child("config").child("a"), Value::Leaf("1".into())),
        ]);
        let edits = changes(&Slice::default(), &after);
        assert_eq!(edits[0], Edit { operation: Operation::Create, target: entry.clone(), value: None });
        assert_eq!(edits.len(), 2);
        let back = changes(&after, &Slice::default());
        assert_eq!(back, [Edit { operation: Operation::Remove, target: entry, value: None }]);
    }

    const ENTRIES: [&str; 2] = ["/m:l[k='x']", "/m:l[k='y']"];

    /// Two entries that may be there, each with what a port may have.
    fn any_slice() -> impl Strategy<Value = Slice> {
        let enabled = prop_oneof![
            Just(None),
            Just(Some(Value::Default("true".into()))),
            any::<bool>().prop_map(|on| Some(Value::Leaf(on.to_string()))),
        ];
        let runs = prop::collection::vec((1u16..60, 0u16..9), 0..4);
        let entry = (prop::option::of("[a-c]"), enabled, runs);
        let entries = [prop::option::of(entry.clone()), prop::option::of(entry)];
        entries.prop_map(|entries| {
            let mut slice = Slice::default();
            for (entry, content) in ENTRIES.iter().zip(entries) {
                let Some((text, enabled, runs)) = content else { continue };
                let entry = path(entry);
                slice.set(entry.child("k"), Value::Leaf(entry.steps()[0].keys[0].1.clone()));
                let leaves = [("description", text.map(Value::Leaf)), ("enabled", enabled)];
                for (leaf, value) in leaves {
                    value.into_iter().for_each(|value| slice.set(entry.child(leaf), value));
                }
                for (first, more) in runs {
                    slice.add_member(entry.child("trunk-vlans"), format!("{first}..{}", first + more));
                }
            }
            slice
        })
    }

    /// The same in other words: ranges one by one, what is configured as default and the other way.
    fn in_other_words(slice: &Slice) -> Slice {
        let say = |(path, value): (&Path, &Value)| {
            let value = match value {
                Value::Leaf(text) if path.name() == "enabled" => Value::Default(text.clone()),
                Value::Default(text) => Value::Leaf(text.clone()),
                Value::Set(members) => {
                    Value::Set(expand(members).unwrap().iter().map(|vlan| vlan.to_string()).collect())
                }
                other => other.clone(),
            };
            (path.clone(), value)
        };
        slice.iter().map(say).collect()
    }

    proptest! {
        #[test]
        fn the_same_in_other_words_is_no_change(slice in any_slice()) {
            for same in [slice.clone(), in_other_words(&slice)] {
                prop_assert!(slice.same_as(&same) && same.same_as(&slice));
                prop_assert_eq!(changes(&slice, &same), []);
                prop_assert_eq!(changes(&same, &slice), []);
                prop_assert_eq!(slice.digest(), same.digest());
            }
        }

        #[test]
        fn changes_lead_from_any_state_to_any_other(from in any_slice(), to in any_slice()) {
            let edits = changes(&from, &to);
            prop_assert_eq!(edits.is_empty(), from.same_as(&to));
            prop_assert_eq!(from.differences(&to), to.differences(&from));
            prop_assert!(apply(&from, &edits).same_as(&to), "{:?}", edits);
            for edit in &edits {
                let is_entry = ENTRIES.contains(&edit.target.to_string().as_str());
                prop_assert_eq!(is_entry, edit.target.name() == "l", "a container: {:?}", edit);
                prop_assert!(edit.target.name() != "trunk-vlans" || edit.value.is_some(), "a whole list");
            }
        }

        #[test]
        fn the_journal_keeps_every_slice(slice in any_slice()) {
            let text = serde_json::to_string(&slice).unwrap();
            prop_assert_eq!(serde_json::from_str::<Slice>(&text).unwrap(), slice);
        }
    }
}
