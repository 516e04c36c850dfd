//! What notifications say of one node of a vendor's own model, as one JSON document.

use serde_json::{Map, Value as Json};

use super::data;
use crate::gnmi::{Notification, Path, PathElem};

/// What is in the node that was asked for, names without their module; an empty object where it is not
/// there.
///
/// # Errors
/// What cannot be understood, and what nobody asked for: the answer may be about another node then.
pub(super) fn document(notifications: &[Notification], asked: &Path) -> Result<Json, String> {
    let mut root = Json::Object(Map::new());
    for notification in notifications {
        for update in &notification.update {
            let prefix = notification.prefix.iter().chain(&update.path);
            let mut elems: Vec<PathElem> = prefix.flat_map(|path| path.elem.clone()).map(bare).collect();
            let place = Path { elem: elems.clone(), ..Path::default() }.text();
            let value = data::value(update).and_then(plain).map_err(|why| format!("{place}: {why}"))?;
            // Some say of a node not what is in it, but an object with it.
            if let (Some(last), Json::Object(members)) = (elems.last(), &value)
                && members.len() == 1
                && members.contains_key(&last.name)
            {
                elems.pop();
            }
            let same = elems.iter().zip(&asked.elem).all(|(found, asked)| {
                let asked = bare(asked.clone());
                // Without keys every entry of the list was asked for.
                found.name == asked.name && (asked.key.is_empty() || found.key == asked.key)
            });
            if !same || (elems.len() < asked.elem.len() && !value.is_object()) {
                return Err(format!("{place}: nobody asked for that"));
            }
            merge(node(&mut root, &elems)?, value).map_err(|why| format!("{place}: {why}"))?;
        }
    }
    let mut found = root;
    for elem in &asked.elem {
        found = match take(found, &bare(elem.clone())) {
            Some(found) => found,
            None => return Ok(Json::Object(Map::new())),
        };
    }
    Ok(found)
}

/// What a command printed.
///
/// # Errors
/// An answer that is no text, or not one.
pub(super) fn printed(notifications: &[Notification]) -> Result<String, String> {
    let mut updates = notifications.iter().flat_map(|notification| &notification.update);
    match (updates.next().map(data::value).transpose()?, updates.next()) {
        (Some(Json::String(text)), None) => Ok(text),
        _ => Err("it is not one text".to_owned()),
    }
}

fn bare(elem: PathElem) -> PathElem {
    let name = elem.name.rsplit(':').next().unwrap_or_default().to_owned();
    let key =
        |(name, value): (String, String)| (name.rsplit(':').next().unwrap_or_default().to_owned(), value);
    PathElem { name, key: elem.key.into_iter().map(key).collect() }
}

/// Names without their module.
fn plain(json: Json) -> Result<Json, String> {
    match json {
        Json::Object(members) => {
            let mut plainly = Map::new();
            for (name, value) in members {
                let bare = name.rsplit(':').next().unwrap_or_default().to_owned();
                if plainly.insert(bare, plain(value)?).is_some() {
                    return Err(format!("`{name}` is there twice, of two modules"));
                }
            }
            Ok(Json::Object(plainly))
        }
        Json::Array(values) => values.into_iter().map(plain).collect(),
        json => Ok(json),
    }
}

/// The node at a path, made where it is not there.
fn node<'n>(mut node: &'n mut Json, elems: &[PathElem]) -> Result<&'n mut Json, String> {
    for elem in elems {
        let Json::Object(members) = node else { return Err(format!("`{}` is in no object", elem.name)) };
        node = members.entry(elem.name.clone()).or_insert_with(|| match elem.key.is_empty() {
            true => Json::Object(Map::new()),
            false => Json::Array(Vec::new()),
        });
        if !elem.key.is_empty() {
            let Json::Array(entries) = node else { return Err(format!("`{}` is no list", elem.name)) };
            let at = entries.iter().position(|entry| is_entry(entry, elem)).unwrap_or_else(|| {
                let keys = elem.key.iter().map(|(key, value)| (key.clone(), Json::String(value.clone())));
                entries.push(Json::Object(keys.collect()));
                entries.len() - 1
            });
            node = &mut entries[at];
        }
    }
    Ok(node)
}

fn is_entry(entry: &Json, elem: &PathElem) -> bool {
    elem.key.iter().all(|(key, value)| match entry.get(key) {
        Some(Json::String(text)) => text == value,
        Some(Json::Number(number)) => number.to_string().as_str() == value,
        _ => false,
    })
}

fn take(json: Json, elem: &PathElem) -> Option<Json> {
    let Json::Object(mut members) = json else { return None };
    match (members.remove(&elem.name)?, elem.key.is_empty()) {
        (found, true) => Some(found),
        (Json::Array(entries), false) => entries.into_iter().find(|entry| is_entry(entry, elem)),
        (_, false) => None,
    }
}

/// Lays what an update says over what others said.
fn merge(into: &mut Json, from: Json) -> Result<(), String> {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                match into.get_mut(&name) {
                    Some(known) => merge(known, value)?,
                    None => drop(into.insert(name, value)),
                }
            }
            Ok(())
        }
        (Json::Array(into), Json::Array(from)) => {
            into.extend(from);
            Ok(())
        }
        (into @ Json::Object(_), from) if into.as_object().is_some_and(Map::is_empty) => {
            *into = from;
            Ok(())
        }
        (into, from) if *into == from => Ok(()),
        _ => Err("it is told twice, each time otherwise".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::gnmi::{TypedValue, Update, Value};

    fn read(asked: &str, prefix: &str, updates: &[(&str, Json)]) -> Result<Json, String> {
        let update = |(path, value): &(&str, Json)| Update {
            path: Some(path.parse().unwrap()),
            val: Some(TypedValue { value: Some(Value::JsonIetf(value.to_string().into_bytes())) }),
            duplicates: 0,
        };
        let update = updates.iter().map(update).collect();
        let prefix = Some(prefix.parse().unwrap());
        document(&[Notification { prefix, update, ..Notification::default() }], &asked.parse().unwrap())
    }

    #[test]
    fn however_an_answer_is_cut_it_is_one_document() {
        let whole = json!({"list": [{"name": "a", "x": {"y": 1, "z": "2"}}]});
        for (prefix, updates) in [
            ("/", vec![("/top", json!({"m:list": [{"name": "a", "x": {"y": 1, "n:z": "2"}}]}))]),
            ("/", vec![("/", json!({"m:top": {"list": [{"name": "a", "x": {"y": 1, "z": "2"}}]}}))]),
            ("/m:top", vec![("/list[name=a]/x/y", json!(1)), ("/list[name=a]/x/z", json!("2"))]),
            (
                "/",
                vec![
                    ("/top", json!({"top": {"list": [{"name": "a", "x": {"y": 1}}]}})),
                    ("/top/list[name=a]", json!({"x": {"z": "2"}})),
                ],
            ),
        ] {
            assert_eq!(read("/top", prefix, &updates), Ok(whole.clone()), "{prefix} {updates:?}");
        }
        assert_eq!(
            read("/m:top/list[name=a]/x", "/", &[("/top", whole.clone())]),
            Ok(json!({"y": 1, "z": "2"}))
        );
        let entries = [("/list[name=a]/x", json!(1)), ("/list[name=b]/x", json!(2))];
        let both = json!([{"name": "a", "x": 1}, {"name": "b", "x": 2}]);
        assert_eq!(read("/list", "/", &entries), Ok(both));
        assert_eq!(read("/top/list[name=b]", "/", &[("/top", whole)]), Ok(json!({})));
        assert_eq!(read("/top", "/", &[]), Ok(json!({})));
    }

    #[test]
    fn what_nobody_asked_for_is_no_answer() {
        for (path, value) in [
            ("/other", json!({})),
            ("/top/list[name=b]/x", json!(1)),
            ("/", json!(1)),
            ("/top/list[name=a]", json!({"m:x": 1, "n:x": 2})),
        ] {
            assert!(read("/top/list[name=a]", "/", &[(path, value.clone())]).is_err(), "{path} {value}");
        }
        let twice = [("/top/x", json!(1)), ("/top/x", json!(2))];
        assert!(read("/top", "/", &twice).is_err());
    }
}
