//! Edits as one gNMI Set (specification 3.4), written as a reviewer reads it: JSON, paths as text.
//!
//! A leaf is written in the body of its container and deleted by its own path. A list of values that
//! loses one is deleted and, in the same Set, written anew: a Set does its deletes before its updates,
//! all or nothing, and few targets can delete one value.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::device::{GnmiEncoding, GnmiHabits, KeyLeaf};
use crate::gnmi;
use crate::path::{Path, Step};
use crate::render::RenderError;
use crate::schema::Schema;
use crate::slice::{Edit, Operation, Slice, Value};

/// A SetRequest but for its prefix and extensions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Set {
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub delete: Vec<String>,
    /// Only of a native model: no container and no list of OpenConfig is ever replaced.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub replace: Vec<Update>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub update: Vec<Update>,
}

impl Set {
    /// Pretty-printed; empty for no edits.
    pub(super) fn text(&self) -> Result<String, RenderError> {
        if *self == Self::default() {
            return Ok(String::new());
        }
        serde_json::to_string_pretty(self)
            .map_err(|error| RenderError::Json { target: "/".to_owned(), why: error.to_string() })
    }
}

/// A path, and the body that is merged into what is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Update {
    pub path: String,
    pub val: Json,
}

/// Pretty-printed JSON; empty for no edits.
pub fn render(
    edits: &[Edit],
    from: &Slice,
    to: &Slice,
    habits: &GnmiHabits,
    schema: &Schema,
) -> Result<String, RenderError> {
    let conflict = |edit: &Edit, why| RenderError::Conflict { target: edit.target.to_string(), why };
    let created: BTreeSet<&Path> = of(edits, Operation::Create).map(|edit| &edit.target).collect();
    let mut delete: BTreeSet<&Path> = BTreeSet::new();
    let mut bodies: BTreeMap<Path, Slice> = BTreeMap::new();
    for edit in edits {
        let target = &edit.target;
        let is_list = matches!(from.value(target).or(to.value(target)), Some(Value::Set(_)));
        if let Operation::Remove = edit.operation {
            delete.insert(target);
            if !is_list {
                continue;
            }
        }
        let entry = created.iter().copied().find(|entry| target.is_within(entry));
        let container = match (entry, target.parent()) {
            (Some(entry), _) => (*entry).clone(),
            (None, Some(parent)) => parent,
            (None, None) => return Err(conflict(edit, "it has no target")),
        };
        let value = match (&edit.value, to.value(target)) {
            _ if edit.operation == Operation::Create => None,
            // The whole list: a target may add to what is there, or take what it gets for all of it.
            (_, Some(list @ Value::Set(_))) => Some(list.clone()),
            (_, None) if is_list => continue,
            (Some(value), _) => Some(Value::Leaf(value.clone())),
            (None, _) => return Err(conflict(edit, "a leaf without a value")),
        };
        let body = bodies.entry(container).or_default();
        for (level, step) in target.steps().iter().enumerate() {
            let above = target.ancestor(level + 1);
            step.keys.iter().for_each(|(key, value)| body.set_leaf(above.child(key), value));
        }
        value.into_iter().for_each(|value| body.set(target.clone(), value));
    }
    let mut set = Set::default();
    set.delete.extend(delete.iter().map(|path| text(path, habits)));
    for (container, body) in &bodies {
        let all = schema
            .to_json(body)
            .map_err(|error| RenderError::Json { target: container.to_string(), why: error.to_string() })?;
        set.update.push(update(container, all, created.contains(container), habits).ok_or_else(|| {
            RenderError::Json { target: container.to_string(), why: "libyang left it out".to_owned() }
        })?);
    }
    set.text()
}

fn of(edits: &[Edit], operation: Operation) -> impl Iterator<Item = &Edit> {
    edits.iter().filter(move |edit| edit.operation == operation)
}

/// The body that stands at `path` in the JSON of the whole configuration.
fn update(path: &Path, mut all: Json, is_new: bool, habits: &GnmiHabits) -> Option<Update> {
    let mut module = "";
    for step in path.steps() {
        all = take(all, step, module)?;
        module = &step.module;
    }
    let mut place = text(path, habits);
    if is_new {
        let (last, parent) = (path.steps().last()?, path.parent()?);
        match habits.key_leaf {
            KeyLeaf::Parent => {
                place = text(&parent, habits);
                let name = qualified(&last.module, &last.name);
                let entry = Json::Array(vec![all]);
                return Some(Update {
                    path: place,
                    val: body(Map::from_iter([(name, entry)]).into(), "", habits),
                });
            }
            KeyLeaf::Entry => {}
            KeyLeaf::Path => {
                let members = all.as_object_mut()?;
                members
                    .retain(|name, _| !last.keys.iter().any(|(key, _)| name.rsplit(':').next() == Some(key)));
            }
        }
    }
    Some(Update { path: place, val: body(all, module, habits) })
}

/// What is under one step; of a list its only entry.
fn take(json: Json, step: &Step, parent: &str) -> Option<Json> {
    let Json::Object(mut members) = json else { return None };
    let name = if step.module == parent { step.name.clone() } else { qualified(&step.module, &step.name) };
    match members.remove(&name)? {
        Json::Array(mut entries) if entries.len() == 1 => entries.pop(),
        Json::Array(_) => None,
        other => Some(other),
    }
}

fn qualified(module: &str, name: &str) -> String {
    format!("{module}:{name}")
}

/// The members on top say their module (RFC 7951 4); in plain JSON none does.
fn body(json: Json, module: &str, habits: &GnmiHabits) -> Json {
    match (habits.encoding, json) {
        (GnmiEncoding::Json, json) => plain(json),
        (GnmiEncoding::JsonIetf, Json::Object(members)) => {
            let name = |name: String| if name.contains(':') { name } else { qualified(module, &name) };
            Json::Object(members.into_iter().map(|(key, value)| (name(key), value)).collect())
        }
        (GnmiEncoding::JsonIetf, json) => json,
    }
}

fn plain(json: Json) -> Json {
    let name = |name: &str| name.rsplit(':').next().unwrap_or_default().to_owned();
    match json {
        Json::Object(members) => {
            members.into_iter().map(|(key, value)| (name(&key), plain(value))).collect::<Map<_, _>>().into()
        }
        Json::Array(values) => values.into_iter().map(plain).collect(),
        json => json,
    }
}

/// A path as this system takes it.
pub(crate) fn path(path: &Path, habits: &GnmiHabits) -> gnmi::Path {
    let mut module = "";
    let mut elem = Vec::new();
    for step in path.steps() {
        let says = habits.module_names && step.module != module;
        let name = if says { qualified(&step.module, &step.name) } else { step.name.clone() };
        elem.push(gnmi::PathElem { name, key: step.keys.iter().cloned().collect() });
        module = &step.module;
    }
    gnmi::Path { origin: habits.origin_of_paths().to_owned(), elem, target: String::new() }
}

fn text(of: &Path, habits: &GnmiHabits) -> String {
    path(of, habits).text()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::{prop_assert, prop_assert_eq, proptest};

    use super::*;
    use crate::device::{Device, Profile, Profiles, Speaks, sample};
    use crate::lint::scenarios::running;
    use crate::openconfig::PortState;
    use crate::plan::tests::{SCHEMA, any_intent, request};
    use crate::plan::{Batch, PlanError, plan};
    use crate::render::Payload;
    use crate::render::lines::tests::any_state;

    fn habits(profile: &Profile) -> Arc<GnmiHabits> {
        let Speaks::Gnmi(habits) = &profile.speaks else { panic!("it speaks gNMI") };
        habits.clone()
    }

    fn device(habits: GnmiHabits) -> Device {
        let mut profile = (*Profiles::default().get("gnmi_openconfig").unwrap()).clone();
        profile.speaks = Speaks::Gnmi(Arc::new(habits));
        Device { profile: Arc::new(profile), ..sample("leaf1") }
    }

    /// What a target makes of a Set: it deletes, then merges; a body's lists are added to.
    fn applied(running: &Slice, payload: &Payload) -> Slice {
        let Payload::Gnmi(text) = payload else { panic!("it is a Set") };
        if text.is_empty() {
            return running.clone();
        }
        let set: Set = serde_json::from_str(text).unwrap();
        let resolve = |text: &str| SCHEMA.resolve(&text.parse::<gnmi::Path>().unwrap().steps()).unwrap();
        let gone: Vec<Path> = set.delete.iter().map(|path| resolve(path)).collect();
        let stays = |path: &Path| !gone.iter().any(|gone| path.is_within(gone));
        let mut leaves: Vec<(Path, String)> = Vec::new();
        for (path, value) in running.iter().filter(|(path, _)| stays(path)) {
            match value {
                Value::Default(_) => {}
                Value::Leaf(value) => leaves.push((path.clone(), value.clone())),
                Value::Set(members) => leaves.extend(members.iter().map(|m| (path.clone(), m.clone()))),
            }
        }
        for update in &set.update {
            let steps = update.path.parse::<gnmi::Path>().unwrap().steps();
            leaves.extend(SCHEMA.json_leaves(&steps, &update.val, true).unwrap());
        }
        SCHEMA.understand(&leaves, false).unwrap()
    }

    proptest! {
        /// Whatever a port is and whatever is asked of it, the Set leads there, its inverse leads back,
        /// and the guard sees nothing but what was asked: in every way to write it.
        #[test]
        fn a_set_leads_where_the_plan_does(state in any_state(), intent in any_intent(), way in 0usize..6) {
            let base = habits(&Profiles::default().get("gnmi_openconfig").unwrap());
            let encoding = [GnmiEncoding::JsonIetf, GnmiEncoding::Json][way % 2];
            let key_leaf = [KeyLeaf::Parent, KeyLeaf::Entry, KeyLeaf::Path][way % 3];
            let device = device(GnmiHabits { encoding, key_leaf, module_names: way % 2 == 0, ..(*base).clone() });
            let request = request(intent, device.clone());
            let port = request.intent.subject().to_string();
            let state = PortState { vlans: state.vlans.filter(|list| !list.is_empty()), ..state };
            let before = running(&state, &port, &device.profile);
            let plan = match plan(&request, &before, &SCHEMA) {
                Err(PlanError::VlanMissing { .. } | PlanError::OpenTrunk { .. } | PlanError::Invalid(_)) => return Ok(()),
                plan => plan.unwrap(),
            };
            let batch = Batch::new(&[&plan], &device, &SCHEMA).unwrap();
            let there = applied(&plan.before, &batch.payload).within(&plan.reads);
            prop_assert!(there.same_as(&plan.after), "{}\n{:?}", batch.payload.text(), there.differences(&plan.after));
            let back = applied(&plan.after, &batch.inverse).within(&plan.reads);
            prop_assert!(back.same_as(&plan.before), "{}\n{:?}", batch.inverse.text(), back.differences(&plan.before));
            prop_assert_eq!(batch.payload.text().is_empty(), plan.is_empty());
            prop_assert!(!batch.payload.text().contains("replace"));
        }
    }
}
