//! Models of a vendor's own, each a JSON document without a schema under an origin: an update merges, a
//! replace and a delete do what they say. Lists are known by the keys of paths alone; what else is an
//! array is replaced as a whole.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};
use tonic::Status;

use super::spec::GnmiSpec;
use super::value::takes;
use crate::gnmi::{Encoding, GetRequest, Path, PathElem, SetRequest, Update, UpdateOperation, Value};

/// The origin of what is text of a command line.
pub(super) const CLI: &str = "cli";

/// By origin.
pub type Documents = BTreeMap<String, Json>;

/// Whether a Get asks what commands print.
pub(super) fn asks_cli(request: &GetRequest) -> bool {
    request.path.iter().any(|path| path.origin == CLI)
}

/// The origin of a path, if there is a document of it.
pub(super) fn origin<'o>(documents: &'o Documents, prefix: Option<&Path>, path: &Path) -> Option<&'o str> {
    let origins = [prefix.map(|prefix| prefix.origin.as_str()), Some(path.origin.as_str())];
    let known = |origin: &str| documents.get_key_value(origin).map(|(origin, _)| origin.as_str());
    origins.into_iter().flatten().filter(|origin| !origin.is_empty()).find_map(known)
}

/// The origin of all paths of a Set; none: a model with a schema.
pub(super) fn origin_of<'o>(
    documents: &'o Documents,
    request: &SetRequest,
) -> Result<Option<&'o str>, Status> {
    let updates = request.replace.iter().chain(&request.update).filter_map(|update| update.path.as_ref());
    let paths = request.delete.iter().chain(updates);
    let mut origins: Vec<_> = paths.map(|path| origin(documents, request.prefix.as_ref(), path)).collect();
    origins.dedup();
    match origins.as_slice() {
        [] => Ok(None),
        [one] => Ok(*one),
        _ => Err(Status::unimplemented("a Set of more than one origin")),
    }
}

/// What a node has; none: it is not there.
pub(super) fn get(document: &Json, prefix: Option<&Path>, path: &Path) -> Result<Option<Json>, Status> {
    let mut found = document;
    for elem in elems(prefix, path)? {
        let Some(below) = found.get(bare(&elem.name)) else { return Ok(None) };
        found = match (elem.key.is_empty(), below) {
            (true, below) => below,
            (false, Json::Array(entries)) => match entries.iter().find(|entry| is(entry, &elem)) {
                Some(entry) => entry,
                None => return Ok(None),
            },
            (false, _) => return Err(no_list(&elem)),
        };
    }
    Ok(Some(found.clone()))
}

/// The document as a Set makes it, and what became of each operation.
pub(super) fn changed(
    document: &Json,
    spec: &GnmiSpec,
    request: &SetRequest,
) -> Result<(Json, Vec<(Path, UpdateOperation)>), Status> {
    if !request.union_replace.is_empty() {
        return Err(Status::unimplemented("union_replace is not supported"));
    }
    let (mut new, mut done) = (document.clone(), Vec::new());
    let prefix = request.prefix.as_ref();
    for path in &request.delete {
        remove(&mut new, &elems(prefix, path)?)?;
        done.push((path.clone(), UpdateOperation::Delete));
    }
    let replaces = request.replace.iter().map(|update| (update, UpdateOperation::Replace));
    let updates = request.update.iter().map(|update| (update, UpdateOperation::Update));
    for (Update { path, val, .. }, op) in replaces.chain(updates) {
        let path = path.as_ref().ok_or_else(|| Status::invalid_argument("an update without a path"))?;
        let value = match val.as_ref().and_then(|val| val.value.as_ref()) {
            Some(Value::JsonIetf(text)) => takes(spec, Encoding::JsonIetf).map(|()| text)?,
            Some(Value::Json(text)) => takes(spec, Encoding::Json).map(|()| text)?,
            _ => return Err(Status::invalid_argument("a value that is no JSON")),
        };
        let value =
            serde_json::from_slice(value).map_err(|error| Status::invalid_argument(error.to_string()))?;
        let elems = elems(prefix, path)?;
        let node = made(&mut new, &elems)?;
        match op {
            UpdateOperation::Replace => *node = value,
            _ => merge(node, value),
        }
        // Whatever was written into an entry, it stays the one that the path names.
        if let (Some(last), Json::Object(members)) = (elems.last(), node) {
            for (key, value) in &last.key {
                members.entry(key.clone()).or_insert_with(|| Json::String(value.clone()));
            }
        }
        done.push((path.clone(), op));
    }
    Ok((new, done))
}

/// The lines of a Set under the origin `cli`; none: it is none of that.
pub(super) fn lines(request: &SetRequest) -> Result<Option<Vec<&str>>, Status> {
    let is_cli = |update: &Update| update.path.as_ref().is_some_and(|path| path.origin == CLI);
    if !request.update.iter().any(is_cli) {
        return Ok(None);
    }
    if !request.delete.is_empty() || !request.replace.is_empty() || !request.update.iter().all(is_cli) {
        return Err(Status::unimplemented("a Set of more than one origin"));
    }
    fn line(update: &Update) -> Result<&str, Status> {
        match update.val.as_ref().and_then(|val| val.value.as_ref()) {
            Some(Value::Ascii(text)) => Ok(text.as_str()),
            _ => Err(Status::invalid_argument("CLI origin encoding should be ASCII")),
        }
    }
    request.update.iter().map(line).collect::<Result<_, _>>().map(Some)
}

fn elems(prefix: Option<&Path>, path: &Path) -> Result<Vec<PathElem>, Status> {
    let prefix = prefix.iter().flat_map(|prefix| &prefix.elem);
    let elems: Vec<PathElem> = prefix.chain(&path.elem).cloned().collect();
    let is_wild = |elem: &PathElem| ["*", "..."].contains(&elem.name.as_str());
    match elems.iter().any(is_wild) {
        true => Err(Status::unimplemented("wildcards are not simulated")),
        false => Ok(elems),
    }
}

fn bare(name: &str) -> &str {
    name.rsplit(':').next().unwrap_or(name)
}

fn is(entry: &Json, elem: &PathElem) -> bool {
    elem.key.iter().all(|(key, value)| match entry.get(key) {
        Some(Json::String(text)) => text == value,
        Some(Json::Number(number)) => number.to_string().as_str() == value,
        _ => false,
    })
}

fn no_list(elem: &PathElem) -> Status {
    Status::invalid_argument(format!("{} is no list with keys", elem.name))
}

fn remove(document: &mut Json, elems: &[PathElem]) -> Result<(), Status> {
    let Some((last, above)) = elems.split_last() else {
        return Err(Status::invalid_argument("the whole document is not deleted"));
    };
    let mut node = document;
    for elem in above {
        let Some(below) = node.get_mut(bare(&elem.name)) else { return Ok(()) };
        node = match (elem.key.is_empty(), below) {
            (true, below) => below,
            (false, Json::Array(entries)) => match entries.iter_mut().find(|entry| is(entry, elem)) {
                Some(entry) => entry,
                None => return Ok(()),
            },
            (false, _) => return Err(no_list(elem)),
        };
    }
    let Json::Object(members) = node else { return Ok(()) };
    match (last.key.is_empty(), members.get_mut(bare(&last.name))) {
        (_, None) => {}
        (true, Some(_)) => drop(members.remove(bare(&last.name))),
        (false, Some(Json::Array(entries))) => {
            entries.retain(|entry| !is(entry, last));
            if entries.is_empty() {
                members.remove(bare(&last.name));
            }
        }
        (false, Some(_)) => return Err(no_list(last)),
    }
    Ok(())
}

fn made<'n>(document: &'n mut Json, elems: &[PathElem]) -> Result<&'n mut Json, Status> {
    let mut node = document;
    for elem in elems {
        let Json::Object(members) = node else {
            return Err(Status::invalid_argument(format!("{} is below a leaf", elem.name)));
        };
        let below = members.entry(bare(&elem.name)).or_insert(Json::Null);
        if below.is_null() {
            *below = if elem.key.is_empty() { Json::Object(Map::new()) } else { Json::Array(Vec::new()) };
        }
        node = match (elem.key.is_empty(), below) {
            (true, below) => below,
            (false, Json::Array(entries)) => {
                let at = entries.iter().position(|entry| is(entry, elem)).unwrap_or_else(|| {
                    let keys = elem.key.iter().map(|(key, value)| (key.clone(), Json::String(value.clone())));
                    entries.push(Json::Object(keys.collect()));
                    entries.len() - 1
                });
                &mut entries[at]
            }
            (false, _) => return Err(no_list(elem)),
        };
    }
    Ok(node)
}

fn merge(into: &mut Json, from: Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(bare(&name)).or_insert(Json::Null), value);
            }
        }
        (into, Json::Object(from)) => {
            *into = Json::Object(Map::new());
            merge(into, Json::Object(from));
        }
        (into, from) => *into = from,
    }
}
