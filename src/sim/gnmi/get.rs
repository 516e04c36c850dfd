//! Get: what of the datastores the paths select, as JSON (gNMI specification 3.3).

use serde_json::{Map, Value as Json};
use tonic::Status;
use yang5::data::{Data, DataFormat, DataNodeRef, DataPrinterFlags};
use yang5::schema::{SchemaNode, SchemaNodeKind};

use super::path::{absolute, resolve};
use super::spec::{GnmiSpec, Prefixes};
use super::value::takes;
use super::{broken, native, timestamp};
use crate::gnmi::{
    DataType, Encoding, GetRequest, GetResponse, Notification, Path, PathElem, TypedValue, Update, Value,
};
use crate::sim::store::Store;
use crate::sim::tree::{Tree, is_implicit};

/// Which nodes an answer has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    All,
    State,
}

/// One notification a path of the request.
pub(super) fn get(store: &Store, spec: &GnmiSpec, request: &GetRequest) -> Result<GetResponse, Status> {
    let encoding = Encoding::try_from(request.encoding)
        .map_err(|_| Status::invalid_argument("no encoding has this number"))?;
    takes(spec, encoding)?;
    let data_type = DataType::try_from(request.data_type)
        .map_err(|_| Status::invalid_argument("no type of data has this number"))?;
    if spec.quirks.all_only && data_type != DataType::All {
        return Err(Status::unimplemented(format!("type {data_type:?} is not supported")));
    }
    let with_state;
    let (tree, wanted) = match data_type {
        DataType::Config => (&store.running, Wanted::All),
        _ => {
            with_state = store.with_state().map_err(broken)?;
            let wanted = if data_type == DataType::All { Wanted::All } else { Wanted::State };
            (&with_state, wanted)
        }
    };
    let reader = Reader { spec, encoding, wanted };
    let root = [Path::default()];
    let paths = if request.path.is_empty() { &root[..] } else { &request.path[..] };
    let mut notification = Vec::new();
    for path in paths {
        let prefix = request.prefix.as_ref();
        if let Some(origin) = native::origin(&store.documents, prefix, path) {
            let value = native::get(&store.documents[origin], prefix, path)?;
            let value = value.ok_or_else(|| Status::not_found(format!("{} has no data", path.text())))?;
            let update = vec![Update { path: Some(path.clone()), ..reader.update(Vec::new(), &value) }];
            let prefix = request.prefix.clone();
            notification.push(Notification {
                timestamp: timestamp(spec),
                prefix,
                update,
                ..Notification::default()
            });
            continue;
        }
        let elems = absolute(prefix, path, spec.quirks.origin_required && !request.path.is_empty())?;
        let update = reader.updates(tree, &elems)?;
        if update.is_empty() {
            return Err(Status::not_found(format!("{} has no data", path.text())));
        }
        // The target of the request comes back (2.2.2.1).
        let target = prefix.map(|prefix| prefix.target.clone()).filter(|target| !target.is_empty());
        let prefix = target.map(|target| Path { target, ..Path::default() });
        let timestamp = timestamp(spec);
        notification.push(Notification { timestamp, prefix, update, ..Notification::default() });
    }
    Ok(GetResponse { notification, ..GetResponse::default() })
}

/// What commands print, each under its own words.
pub(super) fn printed(
    store: &mut Store,
    spec: &GnmiSpec,
    request: &GetRequest,
) -> Result<GetResponse, Status> {
    let cli = store.cli.as_mut().ok_or_else(|| Status::unimplemented("origin cli is not known here"))?;
    if request.encoding() != Encoding::Ascii {
        return Err(Status::unimplemented("of a command line only ASCII is simulated"));
    }
    let mut notification = Vec::new();
    for path in &request.path {
        let [command] = path.elem.as_slice() else {
            return Err(Status::invalid_argument("a command is one element"));
        };
        let text = cli.show(&command.name).map_err(Status::invalid_argument)?;
        let val = Some(TypedValue { value: Some(Value::Ascii(text)) });
        let update = vec![Update { path: Some(path.clone()), val, ..Update::default() }];
        notification.push(Notification { timestamp: timestamp(spec), update, ..Notification::default() });
    }
    Ok(GetResponse { notification, ..GetResponse::default() })
}

struct Reader<'s> {
    spec: &'s GnmiSpec,
    encoding: Encoding,
    wanted: Wanted,
}

impl Reader<'_> {
    fn updates(&self, tree: &Tree, elems: &[PathElem]) -> Result<Vec<Update>, Status> {
        let place = resolve(tree.schema().context(), elems)?;
        let found: Vec<DataNodeRef<'_>> = match &place.node {
            None => tree.first().into_iter().flat_map(|first| first.inclusive_siblings()).collect(),
            Some(_) => tree.select(&place.path).map_err(broken)?,
        };
        let mut values = Vec::new();
        match place.node.as_ref().map(SchemaNode::kind) {
            kind if self.spec.quirks.per_leaf || kind == Some(SchemaNodeKind::LeafList) => {
                found.iter().try_for_each(|node| self.leaves(node, &mut values))?;
            }
            None => values.extend(self.object(found.into_iter(), None)?.map(|value| (Vec::new(), value))),
            Some(_) => {
                for node in &found {
                    values.extend(self.value(node, None)?.map(|value| (elems_of(node), value)));
                }
            }
        }
        Ok(values.into_iter().map(|(elems, value)| self.update(elems, &value)).collect())
    }

    fn update(&self, elem: Vec<PathElem>, value: &Json) -> Update {
        let text = value.to_string().into_bytes();
        let value = if self.encoding == Encoding::Json { Value::Json(text) } else { Value::JsonIetf(text) };
        Update {
            path: Some(Path { elem, ..Path::default() }),
            val: Some(TypedValue { value: Some(value) }),
            ..Update::default()
        }
    }

    /// Every leaf by itself, the values of a leaf-list together.
    fn leaves(&self, node: &DataNodeRef<'_>, values: &mut Vec<(Vec<PathElem>, Json)>) -> Result<(), Status> {
        match node.schema().kind() {
            _ if is_implicit(node) => {}
            SchemaNodeKind::Leaf | SchemaNodeKind::LeafList if !self.takes(node) => {}
            SchemaNodeKind::Leaf => values.push((elems_of(node), leaf_value(node)?)),
            SchemaNodeKind::LeafList => {
                let (elems, value) = (elems_of(node), leaf_value(node)?);
                match values.last_mut() {
                    Some((last, Json::Array(others))) if *last == elems => others.push(value),
                    _ => values.push((elems, Json::Array(vec![value]))),
                }
            }
            _ => node.children().try_for_each(|child| self.leaves(&child, values))?,
        }
        Ok(())
    }

    fn takes(&self, leaf: &DataNodeRef<'_>) -> bool {
        self.wanted == Wanted::All || !leaf.schema().is_config()
    }

    /// A node's value; `None` where nothing of it is wanted. `module` is that of the node above, if
    /// that is part of the value.
    fn value(&self, node: &DataNodeRef<'_>, module: Option<&str>) -> Result<Option<Json>, Status> {
        if is_implicit(node) {
            return Ok(None);
        }
        match node.schema().kind() {
            SchemaNodeKind::Leaf | SchemaNodeKind::LeafList => {
                self.takes(node).then(|| leaf_value(node)).transpose()
            }
            SchemaNodeKind::List => {
                let Some(Json::Object(mut members)) = self.object(node.children(), module)? else {
                    return Ok(None);
                };
                // State without its keys would say nothing.
                for key in node.list_keys() {
                    members.insert(self.name(&key, module), leaf_value(&key)?);
                }
                Ok(Some(Json::Object(members)))
            }
            SchemaNodeKind::Container => {
                let value = self.object(node.children(), module)?;
                let is_presence = !node.schema().is_np_container() && self.takes(node);
                Ok(value.or_else(|| is_presence.then(|| Json::Object(Map::new()))))
            }
            _ => Ok(None),
        }
    }

    /// `None` where no child has a value.
    fn object<'a>(
        &self,
        children: impl Iterator<Item = DataNodeRef<'a>>,
        above: Option<&str>,
    ) -> Result<Option<Json>, Status> {
        let mut members = Map::new();
        for child in children {
            let schema = child.schema();
            let module = schema.module();
            let Some(value) = self.value(&child, Some(module.name()))? else { continue };
            let name = self.name(&child, above);
            if matches!(schema.kind(), SchemaNodeKind::List | SchemaNodeKind::LeafList) {
                if let Json::Array(values) = members.entry(name).or_insert_with(|| Json::Array(Vec::new())) {
                    values.push(value);
                }
            } else {
                members.insert(name, value);
            }
        }
        Ok((!members.is_empty()).then_some(Json::Object(members)))
    }

    /// A member's name: with its module at the top and where that changes (RFC 7951 4).
    fn name(&self, node: &DataNodeRef<'_>, above: Option<&str>) -> String {
        let schema = node.schema();
        let module = schema.module();
        let is_bare = above == Some(module.name()) || self.spec.quirks.prefixes == Prefixes::Absent;
        if is_bare { schema.name().to_owned() } else { format!("{}:{}", module.name(), schema.name()) }
    }
}

/// A leaf as libyang writes it.
fn leaf_value(leaf: &DataNodeRef<'_>) -> Result<Json, Status> {
    let text = leaf.print_string(DataFormat::JSON, DataPrinterFlags::SHRINK).map_err(broken)?;
    let printed: Map<String, Json> = serde_json::from_str(&text).map_err(broken)?;
    let value = printed.into_iter().next().map(|(_, value)| value).unwrap_or_default();
    match value {
        Json::Array(values) if leaf.schema().kind() == SchemaNodeKind::LeafList => {
            Ok(values.into_iter().next().unwrap_or_default())
        }
        value => Ok(value),
    }
}

/// Where a node is, modules' names left out as OpenConfig's paths have it.
fn elems_of(node: &DataNodeRef<'_>) -> Vec<PathElem> {
    let mut elems: Vec<PathElem> = node.inclusive_ancestors().map(|node| elem_of(&node)).collect();
    elems.reverse();
    elems
}

fn elem_of(node: &DataNodeRef<'_>) -> PathElem {
    let key = match node.schema().kind() {
        SchemaNodeKind::List => node
            .list_keys()
            .map(|key| (key.schema().name().to_owned(), key.value_canonical().unwrap_or_default()))
            .collect(),
        _ => std::collections::HashMap::new(),
    };
    PathElem { name: node.schema().name().to_owned(), key }
}
