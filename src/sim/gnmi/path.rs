//! From gNMI's paths to the schema and to libyang's data paths.

use std::collections::HashMap;

use tonic::Status;
use yang5::context::Context;
use yang5::iter::IterSchemaFlags;
use yang5::schema::{SchemaNode, SchemaNodeKind};

use super::super::tree::predicate;
use crate::gnmi::{Path, PathElem};

/// A node of the schema, or the root, and its instance.
pub(super) struct Place<'a> {
    /// `None` is the root.
    pub node: Option<SchemaNode<'a>>,
    /// The data path in libyang's JSON form; empty for the root. A list or leaf-list at its end that
    /// no key or value follows means all instances.
    pub path: String,
    /// The entries on the way, this one included.
    pub entries: Vec<Entry>,
}

/// A list entry that a path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub path: String,
    pub keys: Vec<(String, String)>,
}

impl Place<'_> {
    /// The keys that the end of the path gives; `None` where it is no single list entry.
    pub fn own_keys(&self) -> Option<&[(String, String)]> {
        self.entries.last().filter(|entry| entry.path == self.path).map(|entry| &entry.keys[..])
    }
}

/// The absolute path: the prefix, then the path (gNMI specification 2.4.1). One of them may have an
/// origin.
pub(super) fn absolute(
    prefix: Option<&Path>,
    path: &Path,
    origin_required: bool,
) -> Result<Vec<PathElem>, Status> {
    let outer = prefix.map(|prefix| prefix.origin.as_str()).unwrap_or_default();
    if !path.target.is_empty() {
        return Err(Status::invalid_argument("a target stands in the prefix only"));
    }
    let origin = match (outer, path.origin.as_str()) {
        ("", origin) | (origin, "") => origin,
        _ => return Err(Status::invalid_argument("prefix and path both have an origin")),
    };
    match origin {
        "" if origin_required => return Err(Status::invalid_argument("the path needs an origin")),
        "" | "openconfig" => {}
        other => return Err(Status::unimplemented(format!("origin {other} is not known here"))),
    }
    let outer = prefix.map(|prefix| &prefix.elem[..]).unwrap_or_default();
    Ok(outer.iter().chain(&path.elem).cloned().collect())
}

/// Finds what a path names.
pub(super) fn resolve<'a>(context: &'a Context, elems: &[PathElem]) -> Result<Place<'a>, Status> {
    let mut place = Place { node: None, path: String::new(), entries: Vec::new() };
    for (number, elem) in elems.iter().enumerate() {
        if elem.name == "*" || elem.name == "..." {
            return Err(Status::unimplemented("wildcards are not simulated"));
        }
        let node = child(context, place.node.as_ref(), &elem.name)?;
        place.path = below(&place.path, place.node.as_ref(), &node);
        match node.kind() {
            SchemaNodeKind::List if elem.key.is_empty() && number + 1 == elems.len() => {}
            SchemaNodeKind::List => {
                let keys = keys(&node, &elem.key, &place.path)?;
                for (name, value) in &keys {
                    place.path += &quoted(name, value)?;
                }
                place.entries.push(Entry { path: place.path.clone(), keys });
            }
            _ if !elem.key.is_empty() => {
                return Err(Status::invalid_argument(format!("{} is no list and has no keys", place.path)));
            }
            _ => {}
        }
        place.node = Some(node);
    }
    Ok(place)
}

fn keys(
    list: &SchemaNode<'_>,
    given: &HashMap<String, String>,
    path: &str,
) -> Result<Vec<(String, String)>, Status> {
    if given.values().any(|value| value == "*") {
        return Err(Status::unimplemented("wildcards are not simulated"));
    }
    let mut keys = Vec::new();
    for key in list.list_keys() {
        let name = key.name();
        let value = given
            .get(name)
            .ok_or_else(|| Status::invalid_argument(format!("{path} lacks its key {name}")))?;
        keys.push((name.to_owned(), value.clone()));
    }
    match given.keys().find(|name| keys.iter().all(|(key, _)| key != *name)) {
        Some(name) => Err(Status::invalid_argument(format!("{path} has no key {name}"))),
        None => Ok(keys),
    }
}

/// The node that a level of a path or a member of an object names, with its module or without.
pub(super) fn child<'a>(
    context: &'a Context,
    parent: Option<&SchemaNode<'a>>,
    name: &str,
) -> Result<SchemaNode<'a>, Status> {
    let (module, local) = name.split_once(':').map_or((None, name), |(module, local)| (Some(module), local));
    let fits = |node: &SchemaNode<'_>| {
        node.name() == local && module.is_none_or(|module| node.module().name() == module)
    };
    let mut found: Vec<SchemaNode<'a>> = match parent {
        Some(parent) => parent.children2(IterSchemaFlags::empty()).filter(fits).collect(),
        None => {
            let modules = context.modules(true).filter(|module| module.is_implemented());
            modules.flat_map(|module| module.data()).filter(fits).collect()
        }
    };
    // The parent's own first, at the top OpenConfig's: that is the origin.
    found.sort_by_key(|node| match parent {
        Some(parent) => node.module() != parent.module(),
        None => !node.module().name().starts_with("openconfig-"),
    });
    let place = parent.map_or_else(|| "/".to_owned(), |parent| parent.name().to_owned());
    let node = found.into_iter().next();
    node.ok_or_else(|| Status::invalid_argument(format!("the model has no {name} in {place}")))
}

/// The data path of a child, without key or value.
pub(super) fn below(above: &str, parent: Option<&SchemaNode<'_>>, node: &SchemaNode<'_>) -> String {
    match parent {
        Some(parent) if parent.module() == node.module() => format!("{above}/{}", node.name()),
        _ => format!("{above}/{}:{}", node.module().name(), node.name()),
    }
}

/// A predicate of a data path.
pub(super) fn quoted(name: &str, value: &str) -> Result<String, Status> {
    // The binding panics at a NUL.
    predicate(name, value)
        .filter(|_| !value.contains('\0'))
        .ok_or_else(|| Status::invalid_argument(format!("{name} has a value that is not simulated")))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use tonic::Code;

    use super::*;
    use crate::schema::Schema;

    static SCHEMA: LazyLock<std::sync::Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

    fn found(path: &str) -> Result<String, Code> {
        let elems = absolute(None, &path.parse().unwrap(), false).map_err(|status| status.code())?;
        resolve(SCHEMA.context(), &elems).map(|place| place.path).map_err(|status| status.code())
    }

    #[test]
    fn paths() {
        for (path, expected) in [
            ("/", ""),
            ("/interfaces", "/openconfig-interfaces:interfaces"),
            ("openconfig:/openconfig-interfaces:interfaces", "/openconfig-interfaces:interfaces"),
            ("/interfaces/interface", "/openconfig-interfaces:interfaces/interface"),
            (
                "/interfaces/interface[name=et'1]/ethernet/switched-vlan/config/access-vlan",
                "/openconfig-interfaces:interfaces/interface[name=\"et'1\"]/openconfig-if-ethernet:ethernet\
                 /openconfig-vlan:switched-vlan/config/access-vlan",
            ),
        ] {
            assert_eq!(found(path).as_deref(), Ok(expected));
        }
        for (path, code) in [
            ("/nope", Code::InvalidArgument),
            ("/openconfig-vlan:interfaces", Code::InvalidArgument),
            ("/interfaces/interface/config", Code::InvalidArgument),
            ("/interfaces[name=x]", Code::InvalidArgument),
            ("/interfaces/interface[nope=x]", Code::InvalidArgument),
            ("/interfaces/interface[name='\"]", Code::InvalidArgument),
            ("/interfaces/interface[name=*]", Code::Unimplemented),
            ("/interfaces/*", Code::Unimplemented),
            ("native:/interfaces", Code::Unimplemented),
        ] {
            assert_eq!(found(path), Err(code), "{path}");
        }
    }

    #[test]
    fn prefixes_and_origins() {
        let [prefix, path]: [Path; 2] = ["openconfig:/interfaces", "/interface"].map(|p| p.parse().unwrap());
        let elems = absolute(Some(&prefix), &path, true).unwrap();
        assert_eq!(resolve(SCHEMA.context(), &elems).unwrap().path, found("/interfaces/interface").unwrap());
        let twice = absolute(Some(&prefix), &prefix, false).unwrap_err();
        assert_eq!(twice.code(), Code::InvalidArgument);
        assert_eq!(absolute(None, &path, true).unwrap_err().code(), Code::InvalidArgument);
        let targeted = Path { target: "x".into(), ..path };
        assert_eq!(absolute(None, &targeted, false).unwrap_err().code(), Code::InvalidArgument);
    }
}
