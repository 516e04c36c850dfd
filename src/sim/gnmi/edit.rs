//! From the operations of a Set to edits of a libyang tree.

use serde_json::{Map, Value as Json};
use tonic::Status;
use yang5::context::Context;
use yang5::schema::{SchemaNode, SchemaNodeKind};

use super::path::{Place, below, child, quoted};
use super::spec::{BodyKeys, GnmiQuirks, Prefixes};
use super::value::{Body, text};

/// One change of a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Edit {
    /// Takes away all that this selects, if anything.
    Remove(String),
    /// A list entry, or a container with presence.
    Create {
        path: String,
        keys: Vec<(String, String)>,
    },
    Leaf {
        path: String,
        name: String,
        value: String,
    },
    /// One value of a leaf-list; it is in the path too.
    Listed {
        path: String,
        name: String,
        value: String,
    },
}

/// Whether what a body leaves out goes away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Keep {
    Nothing,
    Rest,
}

/// What deleting a place comes to.
pub(super) fn delete(place: &Place<'_>) -> Result<Vec<Edit>, Status> {
    match &place.node {
        None => return Ok(vec![Edit::Remove("/*".to_owned())]),
        Some(node) if !node.is_config() => return Err(no_config(&place.path)),
        Some(node) if node.is_list_key() => {
            return Err(Status::invalid_argument(format!("{} is a key", place.path)));
        }
        Some(_) => {}
    }
    Ok(vec![Edit::Remove(place.path.clone())])
}

/// What a replace or an update of a place comes to.
pub(super) fn write(
    context: &Context,
    quirks: &GnmiQuirks,
    place: &Place<'_>,
    body: &Body,
    keep: Keep,
) -> Result<Vec<Edit>, Status> {
    let mut writer = Writer { context, quirks, ietf: body.is_ietf(), edits: Vec::new() };
    if place.node.as_ref().is_some_and(|node| !node.is_config()) {
        return Err(no_config(&place.path));
    }
    let is_key = place.node.as_ref().is_some_and(SchemaNode::is_list_key);
    if keep == Keep::Nothing && !is_key && !is_leaf(place.node.as_ref()) {
        let path = if place.path.is_empty() { "/*" } else { &place.path };
        writer.edits.push(Edit::Remove(path.to_owned()));
    }
    for entry in &place.entries {
        writer.edits.push(Edit::Create { path: entry.path.clone(), keys: entry.keys.clone() });
    }
    writer.place(place, body, keep)?;
    Ok(writer.edits)
}

fn is_leaf(node: Option<&SchemaNode<'_>>) -> bool {
    node.is_some_and(|node| node.kind() == SchemaNodeKind::Leaf)
}

fn no_config(path: &str) -> Status {
    Status::invalid_argument(format!("{path} is not configuration"))
}

/// Whether an object is the value itself or inside it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Level {
    Top,
    Inner,
}

struct Writer<'a> {
    context: &'a Context,
    quirks: &'a GnmiQuirks,
    /// Whether numbers and such are written as RFC 7951 has them.
    ietf: bool,
    edits: Vec<Edit>,
}

impl<'a> Writer<'a> {
    fn place(&mut self, place: &Place<'a>, body: &Body, keep: Keep) -> Result<(), Status> {
        let path = &place.path;
        let Some(node) = &place.node else {
            return self.members(None, "", object(body.json("/")?, "/")?, &[], Level::Top);
        };
        match node.kind() {
            SchemaNodeKind::Leaf if node.is_list_key() => {
                let entry =
                    place.entries.last().ok_or_else(|| Status::internal("a key without its entry"))?;
                self.key(node, &entry.keys, &body.scalar(node)?, path)
            }
            SchemaNodeKind::Leaf => self.leaf(node, path, body.scalar(node)?),
            SchemaNodeKind::LeafList => {
                if self.quirks.no_leaf_list_arrays {
                    return Err(Status::invalid_argument(format!(
                        "{path}: cannot parse a list of values here"
                    )));
                }
                let values = body.scalars(node)?;
                values.into_iter().try_for_each(|value| self.listed(node, path, value))
            }
            SchemaNodeKind::List => match place.own_keys() {
                None => self.entries(node, path, body.json(path)?),
                Some(keys) => {
                    let members = object(body.json(path)?, path)?;
                    if keep == Keep::Nothing && members.is_empty() {
                        let message = format!("{path}: a list entry is not replaced by nothing");
                        return Err(Status::invalid_argument(message));
                    }
                    self.body_keys(node, keys, members, path)?;
                    self.members(Some(node), path, members, keys, Level::Top)
                }
            },
            SchemaNodeKind::Container => self.container(node, path, body.json(path)?, Level::Top),
            _ => Err(Status::unimplemented(format!("{path} is not simulated"))),
        }
    }

    /// Whether the body of an entry has the keys that the quirk wants.
    fn body_keys(
        &self,
        list: &SchemaNode<'_>,
        keys: &[(String, String)],
        members: &Map<String, Json>,
        path: &str,
    ) -> Result<(), Status> {
        let given = |key: &str| members.keys().any(|name| local(name) == key);
        match self.quirks.body_keys {
            BodyKeys::Required => match keys.iter().find(|(key, _)| !given(key)) {
                Some((key, _)) => Err(Status::invalid_argument(format!("{path} lacks its key {key}"))),
                None => Ok(()),
            },
            BodyKeys::Refused => match keys.iter().find(|(key, _)| given(key)) {
                Some((key, _)) => {
                    let message = format!("Duplicate instance of \"{key}\" in \"{}\"", list.name());
                    Err(Status::invalid_argument(message))
                }
                None => Ok(()),
            },
            BodyKeys::Optional => Ok(()),
        }
    }

    fn container(
        &mut self,
        node: &SchemaNode<'a>,
        path: &str,
        body: &Json,
        level: Level,
    ) -> Result<(), Status> {
        if !node.is_np_container() {
            self.edits.push(Edit::Create { path: path.to_owned(), keys: Vec::new() });
        }
        self.members(Some(node), path, object(body, path)?, &[], level)
    }

    /// All entries of a list, each with its keys.
    fn entries(&mut self, list: &SchemaNode<'a>, path: &str, body: &Json) -> Result<(), Status> {
        for entry in array(body, path)? {
            let members = object(entry, path)?;
            let (mut keys, mut own) = (Vec::new(), path.to_owned());
            for key in list.list_keys() {
                let given = members.iter().find(|(name, _)| local(name) == key.name());
                let (_, value) = given.ok_or_else(|| {
                    Status::invalid_argument(format!("an entry of {path} lacks its key {}", key.name()))
                })?;
                let value = text(value, &key, self.ietf)?;
                own += &quoted(key.name(), &value)?;
                keys.push((key.name().to_owned(), value));
            }
            self.edits.push(Edit::Create { path: own.clone(), keys: keys.clone() });
            self.members(Some(list), &own, members, &keys, Level::Inner)?;
        }
        Ok(())
    }

    /// What an object holds. `keys` are those of the entry that it is.
    fn members(
        &mut self,
        parent: Option<&SchemaNode<'a>>,
        above: &str,
        members: &Map<String, Json>,
        keys: &[(String, String)],
        level: Level,
    ) -> Result<(), Status> {
        for (name, value) in members {
            let node = child(self.context, parent, name)?;
            let path = below(above, parent, &node);
            let changes = parent.is_none_or(|parent| parent.module() != node.module());
            self.prefix(name, level == Level::Top || changes)?;
            if !node.is_config() {
                return Err(no_config(&path));
            }
            match node.kind() {
                SchemaNodeKind::Leaf if node.is_list_key() => {
                    self.key(&node, keys, &text(value, &node, self.ietf)?, &path)?;
                }
                SchemaNodeKind::Leaf => {
                    let value = text(value, &node, self.ietf)?;
                    self.leaf(&node, &path, value)?;
                }
                SchemaNodeKind::LeafList => {
                    for value in array(value, &path)? {
                        let value = text(value, &node, self.ietf)?;
                        self.listed(&node, &path, value)?;
                    }
                }
                SchemaNodeKind::List => self.entries(&node, &path, value)?,
                SchemaNodeKind::Container => self.container(&node, &path, value, Level::Inner)?,
                _ => return Err(Status::unimplemented(format!("{path} is not simulated"))),
            }
        }
        Ok(())
    }

    fn prefix(&self, name: &str, needed: bool) -> Result<(), Status> {
        match (self.quirks.prefixes, name.contains(':')) {
            (Prefixes::Required, false) if needed => {
                Err(Status::invalid_argument(format!("{name} lacks the name of its module")))
            }
            (Prefixes::Absent, true) => Err(Status::invalid_argument(format!("{name} is no member"))),
            _ => Ok(()),
        }
    }

    fn key(
        &self,
        node: &SchemaNode<'_>,
        keys: &[(String, String)],
        value: &str,
        path: &str,
    ) -> Result<(), Status> {
        match keys.iter().find(|(name, _)| name == node.name()) {
            Some((_, own)) if own == value => Ok(()),
            _ => Err(Status::invalid_argument(format!("{path}: the key of an entry is not changed"))),
        }
    }

    fn leaf(&mut self, node: &SchemaNode<'_>, path: &str, value: String) -> Result<(), Status> {
        if value.contains('\0') {
            return Err(Status::invalid_argument(format!("{path}: no value has a NUL")));
        }
        let (path, name) = (path.to_owned(), node.name().to_owned());
        self.edits.push(Edit::Leaf { path, name, value });
        Ok(())
    }

    fn listed(&mut self, node: &SchemaNode<'_>, path: &str, value: String) -> Result<(), Status> {
        let path = format!("{path}{}", quoted(".", &value)?);
        self.edits.push(Edit::Listed { path, name: node.name().to_owned(), value });
        Ok(())
    }
}

/// A member's name without its module.
fn local(name: &str) -> &str {
    name.split_once(':').map_or(name, |(_, local)| local)
}

fn object<'j>(value: &'j Json, path: &str) -> Result<&'j Map<String, Json>, Status> {
    value.as_object().ok_or_else(|| Status::invalid_argument(format!("{path} takes an object")))
}

fn array<'j>(value: &'j Json, path: &str) -> Result<&'j Vec<Json>, Status> {
    value.as_array().ok_or_else(|| Status::invalid_argument(format!("{path} takes an array")))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, LazyLock};

    use serde_json::json;

    use super::super::path::{absolute, resolve};
    use super::*;
    use crate::schema::Schema;

    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

    const ETH1: &str = "/openconfig-interfaces:interfaces/interface[name='eth1']";

    /// The edits, or the error's message.
    fn edits(path: &str, value: Json, keep: Keep) -> Result<Vec<Edit>, String> {
        let context = SCHEMA.context();
        let place = absolute(None, &path.parse().unwrap(), false).and_then(|elems| resolve(context, &elems));
        let body = Body::Json { value, ietf: true };
        let written = write(context, &GnmiQuirks::default(), &place.unwrap(), &body, keep);
        written.map_err(|status| status.message().to_owned())
    }

    fn create(path: &str, name: &str) -> Edit {
        Edit::Create { path: path.into(), keys: vec![("name".into(), name.into())] }
    }

    fn leaf(path: &str, name: &str, value: &str) -> Edit {
        Edit::Leaf { path: format!("{ETH1}/{path}"), name: name.into(), value: value.into() }
    }

    #[test]
    fn an_update_only_adds() {
        let path = "/interfaces/interface[name=eth1]";
        let body = json!({
            "name": "eth1",
            "config": {"mtu": 9000, "enabled": true},
            "openconfig-if-ethernet:ethernet": {
                "openconfig-vlan:switched-vlan": {"config": {"trunk-vlans": [7, "10..12"]}},
            },
        });
        let trunk = "openconfig-if-ethernet:ethernet/openconfig-vlan:switched-vlan/config/trunk-vlans";
        let listed = |value: &str| Edit::Listed {
            path: format!("{ETH1}/{trunk}[.='{value}']"),
            name: "trunk-vlans".into(),
            value: value.into(),
        };
        let mut expected = vec![
            create(ETH1, "eth1"),
            leaf("config/enabled", "enabled", "true"),
            leaf("config/mtu", "mtu", "9000"),
        ];
        expected.extend(["7", "10..12"].map(listed));
        let mut written = edits(path, body, Keep::Rest).unwrap();
        // JSON has no order.
        written[1..3].sort_by_key(|edit| format!("{edit:?}"));
        assert_eq!(written, expected);
    }

    #[test]
    fn a_replace_takes_away_first() {
        let written = edits("/interfaces/interface[name=eth1]/config", json!({"mtu": 1}), Keep::Nothing);
        let removed = Edit::Remove(format!("{ETH1}/config"));
        assert_eq!(written.unwrap(), [removed, create(ETH1, "eth1"), leaf("config/mtu", "mtu", "1")]);
        let written = edits("/interfaces/interface", json!([{"name": "eth1"}]), Keep::Nothing);
        let removed = Edit::Remove("/openconfig-interfaces:interfaces/interface".into());
        assert_eq!(written.unwrap(), [removed, create(ETH1, "eth1")]);
        assert_eq!(edits("/", json!({}), Keep::Nothing).unwrap(), [Edit::Remove("/*".into())]);
        // A leaf is only set.
        let written = edits("/interfaces/interface[name=eth1]/config/mtu", json!(1), Keep::Nothing);
        assert_eq!(written.unwrap(), [create(ETH1, "eth1"), leaf("config/mtu", "mtu", "1")]);
    }

    #[test]
    fn bodies_of_the_wrong_shape() {
        for (path, body) in [
            ("/", json!([])),
            ("/interfaces", json!("x")),
            ("/interfaces/interface", json!({"name": "eth1"})),
            ("/interfaces/interface", json!([{"config": {}}])),
            ("/interfaces/interface[name=eth1]", json!([{"name": "eth1"}])),
            ("/interfaces/interface[name=eth1]", json!({"name": "eth2"})),
            ("/interfaces/interface[name=eth1]/config", json!({"mtu": "1500"})),
            ("/interfaces/interface[name=eth1]/config", json!({"enabled": "true"})),
            ("/interfaces/interface[name=eth1]/config", json!({"mtu": null})),
            ("/interfaces/interface[name=eth1]/config", json!({"openconfig-vlan:mtu": 1})),
            ("/interfaces/interface[name=eth1]/state", json!({})),
            ("/interfaces/interface[name=eth1]/config/mtu", json!({})),
        ] {
            assert!(edits(path, body.clone(), Keep::Rest).is_err(), "{path} {body}");
        }
    }
}
