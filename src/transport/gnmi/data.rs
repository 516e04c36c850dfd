//! What notifications say, in the words of the modules.

use serde_json::Value as Json;

use crate::gnmi::{Notification, Path, TypedValue, Update, Value};
use crate::path::{Path as DataPath, Step};
use crate::schema::Schema;
use crate::slice::Slice;

/// The configuration, or with `state` all data, that notifications hold. What the modules do not
/// define is left out.
///
/// # Errors
/// Why it cannot be understood.
pub(super) fn read(
    notifications: &[Notification],
    state: bool,
    within: &[DataPath],
    schema: &Schema,
) -> Result<Slice, String> {
    let mut leaves = Vec::new();
    let mut first = None;
    for notification in notifications {
        for update in &notification.update {
            let path = &update.path;
            let mut steps = notification.prefix.as_ref().map(Path::steps).unwrap_or_default();
            steps.extend(path.as_ref().map(Path::steps).unwrap_or_default());
            let place = || path.clone().unwrap_or_default().text();
            let value = value(update).map_err(|why| format!("{}: {why}", place()))?;
            if wraps(&steps, &value) {
                steps.pop();
            }
            let is_known = steps.is_empty() || schema.resolve(&steps).is_ok();
            let is_ours = is_known || within.iter().any(|asked| is_below(&steps, asked));
            if !is_ours || lacks_keys(&steps, within) {
                return Err(format!("{}: nothing there was asked for", place()));
            }
            // What is not known is a node of a model that is not ours.
            if is_known {
                let found = schema.json_leaves(&steps, &value, false);
                leaves.extend(found.map_err(|error| error.to_string())?);
            }
            first.get_or_insert_with(place);
        }
    }
    // An entry says its keys at least. What is not understood must not be taken for no data.
    if let (Some(place), true) = (first, leaves.is_empty()) {
        return Err(format!("{place}: nothing of it is in the modules"));
    }
    leaves.retain(|(path, _)| within.iter().any(|root| path.is_within(root)));
    schema.understand(&leaves, state).map(|slice| slice.within(within)).map_err(|error| error.to_string())
}

/// Whether levels are below a path that was asked for, as they are called.
fn is_below(steps: &[Step], asked: &DataPath) -> bool {
    steps.len() >= asked.steps().len()
        && asked.steps().iter().zip(steps).all(|(asked, step)| {
            let has = |key: &(String, String)| step.keys.contains(key);
            step.name == asked.name && asked.keys.iter().all(has)
        })
}

/// Whether levels lead through a list that was asked for without saying which entry.
fn lacks_keys(steps: &[Step], within: &[DataPath]) -> bool {
    let inner = steps.split_last().map(|(_, inner)| inner).unwrap_or_default();
    within.iter().any(|asked| {
        let levels = inner.iter().zip(asked.steps());
        let mut same = levels.take_while(|(step, asked)| step.name == asked.name);
        same.any(|(step, asked)| step.keys.is_empty() && !asked.keys.is_empty())
    })
}

/// Some targets say of a node not what is in it, but an object with it.
fn wraps(steps: &[Step], value: &Json) -> bool {
    let (Some(last), Json::Object(members)) = (steps.last(), value) else { return false };
    let mut names = members.keys().map(|name| name.rsplit(':').next());
    names.next() == Some(Some(&last.name)) && names.next().is_none()
}

/// What an update says, as JSON.
pub(super) fn value(update: &Update) -> Result<Json, String> {
    let value = update.val.as_ref().and_then(|val| val.value.as_ref());
    json(value.ok_or("no value")?)
}

/// A value in whichever way it is encoded, as JSON.
fn json(value: &Value) -> Result<Json, String> {
    let no_json = |_| "no JSON".to_owned();
    Ok(match value {
        Value::JsonIetf(text) | Value::Json(text) => serde_json::from_slice(text).map_err(no_json)?,
        Value::String(text) | Value::Ascii(text) => Json::String(text.clone()),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Bool(truth) => (*truth).into(),
        Value::LeafList(list) => {
            let values = list.element.iter().map(|TypedValue { value }| match value {
                Some(value) => json(value),
                None => Err("an empty value in a list".to_owned()),
            });
            Json::Array(values.collect::<Result<_, _>>()?)
        }
        // Nothing that is asked for is of these types.
        Value::Bytes(_) | Value::Float(_) | Value::Double(_) | Value::Decimal(_) | Value::ProtoBytes(_) => {
            return Err("an encoding that was not asked for".to_owned());
        }
    })
}
