//! How the nodes of a model are XML, for NETCONF: what no text of it tells.

use std::collections::BTreeMap;

use crate::config::reader::{Item, Table};

/// Namespaces, lists and their keys. Names are told apart by what is before their colon, their module,
/// which stands only where it is another than that of the node above.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct XmlShape {
    /// The namespace of nodes at the top whose names say no module; empty: none.
    pub namespace: String,
    /// Namespaces of modules.
    pub namespaces: BTreeMap<String, String>,
    /// What there may be several of, by its path (names without module and keys), with the keys of an
    /// entry in the order in which they are written; a leaf-list has none.
    pub lists: BTreeMap<String, Vec<String>>,
    /// Whether the attribute `operation` is written without a prefix, not as RFC 6241 7.2 has it.
    pub plain_operations: bool,
}

impl XmlShape {
    pub(in crate::device) fn read(table: &Table) -> Option<Self> {
        let namespace = table.get("namespace").and_then(|item| item.filled_text());
        let text = |(name, item): (String, Item)| Some((name, item.filled_text()?));
        let namespaces = table.entries("namespaces").into_iter().filter_map(text).collect();
        let list = |(path, item): (String, Item)| match is_path(&path) {
            true => Some((path, item.list(Item::filled_text)?)),
            false => {
                item.refuse(format_args!("`{path}` is no path of names without module and keys"));
                None
            }
        };
        let lists = table.entries("lists").into_iter().filter_map(list).collect();
        let plain_operations = table.get("plain_operations").and_then(|item| item.boolean());
        Some(Self {
            namespace: namespace.unwrap_or_default(),
            namespaces,
            lists,
            plain_operations: plain_operations.unwrap_or_default(),
        })
    }
}

fn is_path(text: &str) -> bool {
    let mut names = text.split('/');
    names.next() == Some("")
        && text.len() > 1
        && names.all(|name| !name.is_empty() && !name.contains([':', '[']))
}
