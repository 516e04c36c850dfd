//! What notifications say of one node of a vendor's own model, as one JSON document.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::data;
use crate::gnmi::{Notification, Path, PathElem};

/// So many levels may be below the node that was asked for: what handles a document calls itself once a
/// level.
const DEEPEST: usize = 64;

/// What is in the node that was asked for, names without their module; an empty object where it is not
/// there.
///
/// # Errors
/// What cannot be understood, and what nobody asked for: the answer may be about another node then.
pub(super) fn document(notifications: &[Notification], asked: &Path) -> Result<Json, String> {
    let mut root = Json::Object(Map::new());
    let mut lists = Lists::default();
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
            if elems.len() > asked.elem.len() + DEEPEST {
                return Err(format!("{place}: too deep"));
            }
            let same = elems.iter().zip(&asked.elem).all(|(found, asked)| {
                let asked = bare(asked.clone());
                // Without keys every entry of the list was asked for.
                found.name == asked.name && (asked.key.is_empty() || found.key == asked.key)
            });
            if !same || (elems.len() < asked.elem.len() && !value.is_object()) {
                return Err(format!("{place}: nobody asked for that"));
            }
            merge(node(&mut root, &elems, &mut lists)?, value).map_err(|why| format!("{place}: {why}"))?;
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

/// Where the entries of lists are, by the place of the list. An answer may name each entry in a path of
/// its own, and to look for each among all others would take hours.
#[derive(Default)]
struct Lists(BTreeMap<String, List>);

#[derive(Default)]
struct List {
    keys: Vec<String>,
    /// So many entries are known by the values of their keys.
    known: usize,
    at: BTreeMap<Vec<String>, usize>,
}

impl Lists {
    /// Which of `entries`, to which others are only ever added, is meant at `place`.
    fn find(&mut self, place: &str, entries: &[Json], elem: &PathElem) -> Result<Option<usize>, String> {
        let asked: BTreeMap<&String, &String> = elem.key.iter().collect();
        let list = self.0.entry(place.to_owned()).or_default();
        if list.keys.is_empty() {
            list.keys = asked.keys().map(|key| (*key).clone()).collect();
        }
        if !list.keys.iter().eq(asked.keys().copied()) {
            return Err(format!("`{}` has other keys elsewhere", elem.name));
        }
        for (at, entry) in entries.iter().enumerate().skip(list.known) {
            let values = list.keys.iter().map(|key| key_value(entry, key)).collect::<Option<Vec<_>>>();
            if let Some(values) = values {
                list.at.entry(values).or_insert(at);
            }
        }
        list.known = entries.len();
        let values: Vec<String> = asked.into_values().cloned().collect();
        Ok(list.at.get(&values).copied())
    }
}

/// The node at a path, made where it is not there.
fn node<'n>(mut node: &'n mut Json, elems: &[PathElem], lists: &mut Lists) -> Result<&'n mut Json, String> {
    let mut place = String::new();
    for elem in elems {
        let Json::Object(members) = node else { return Err(format!("`{}` is in no object", elem.name)) };
        node = members.entry(elem.name.clone()).or_insert_with(|| match elem.key.is_empty() {
            true => Json::Object(Map::new()),
            false => Json::Array(Vec::new()),
        });
        if !elem.key.is_empty() {
            let Json::Array(entries) = node else { return Err(format!("`{}` is no list", elem.name)) };
            let list = format!("{place}/{}", elem.name);
            let at = lists.find(&list, entries, elem)?.unwrap_or_else(|| {
                let keys = elem.key.iter().map(|(key, value)| (key.clone(), Json::String(value.clone())));
                entries.push(Json::Object(keys.collect()));
                entries.len() - 1
            });
            node = &mut entries[at];
        }
        place += &Path { elem: vec![elem.clone()], ..Path::default() }.text();
    }
    Ok(node)
}

fn is_entry(entry: &Json, elem: &PathElem) -> bool {
    elem.key.iter().all(|(key, value)| key_value(entry, key).as_ref() == Some(value))
}

fn key_value(entry: &Json, key: &str) -> Option<String> {
    match entry.get(key)? {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
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
    fn an_answer_that_is_too_deep_ends() {
        let deep = format!("/top{}", "/x".repeat(200_000));
        assert!(read("/top", "/", &[(&deep, json!({}))]).unwrap_err().ends_with(": too deep"));
        let deep = format!("/top{}", "/x".repeat(60));
        assert!(read("/top", "/", &[(&deep, json!({}))]).is_ok());
    }

    #[test]
    fn many_entries_named_one_by_one_take_no_hours() {
        let paths: Vec<String> = (0..20_000).map(|n| format!("/top/list[name=x{n}]/y")).collect();
        let updates: Vec<_> = paths.iter().chain(&paths).map(|path| (path.as_str(), json!(1))).collect();
        let started = std::time::Instant::now();
        let whole = read("/top", "/", &updates).unwrap();
        assert_eq!(whole["list"].as_array().unwrap().len(), 20_000);
        assert_eq!(whole["list"][77], json!({"name": "x77", "y": 1}));
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
        let other = [("/top/list[name=a]/y", json!(1)), ("/top/list[id=a]/y", json!(1))];
        assert!(read("/top", "/", &other).unwrap_err().contains("has other keys elsewhere"));
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
