//! Data paths as RFC 7951 and libyang print them:
//! `/openconfig-interfaces:interfaces/interface[name='eth1']/config/mtu`.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The levels of OpenConfig that are named over and over, by module.
const LEVELS: [(&str, &[&str]); 6] = [
    ("openconfig-interfaces", &["interfaces", "config", "name", "type", "enabled", "description", "mtu"]),
    ("openconfig-if-ethernet", &["ethernet", "config"]),
    ("openconfig-if-aggregate", &["aggregation", "aggregate-id"]),
    (
        "openconfig-vlan",
        &["switched-vlan", "config", "interface-mode", "access-vlan", "native-vlan", "trunk-vlans"],
    ),
    ("openconfig-network-instance", &["network-instances", "config", "name", "vlans", "vlan-id"]),
    ("openconfig-spanning-tree", &["stp", "interfaces", "config", "name", "edge-port", "bpdu-guard"]),
];

/// The path of one data node. Ordered as a tree: a node sorts before what is below it. Paths are
/// copied far more often than made, so a copy shares everything.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Default)]
pub struct Path(Arc<[Arc<Step>]>);

/// One level of a [`Path`]: the module that defines the node is always resolved, even where
/// the text form leaves it out because it is the parent's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Step {
    pub module: String,
    pub name: String,
    /// List keys in the order of the text, values as the device spells them.
    pub keys: Vec<(String, String)>,
}

/// Each made once.
static SHARED: LazyLock<HashMap<(&str, &str), Arc<Step>>> = LazyLock::new(|| {
    let levels = LEVELS.iter().flat_map(|(module, names)| names.iter().map(|name| (*module, *name)));
    levels.map(|(module, name)| ((module, name), Arc::new(Step::without_keys(module, name)))).collect()
});

/// Why a text is not a data path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a data path: {why}")]
pub struct PathError {
    pub text: String,
    pub why: &'static str,
}

impl Step {
    /// A level without keys, the same one for everybody if it is named often.
    pub fn plain(module: &str, name: &str) -> Arc<Self> {
        let shared = SHARED.get(&(module, name)).cloned();
        shared.unwrap_or_else(|| Arc::new(Self::without_keys(module, name)))
    }

    fn without_keys(module: &str, name: &str) -> Self {
        Self { module: module.to_owned(), name: name.to_owned(), keys: Vec::new() }
    }
}

impl Path {
    pub fn steps(&self) -> &[Arc<Step>] {
        &self.0
    }

    /// The path of a child; `module` is inherited when `name` carries no `module:` prefix.
    pub fn child(&self, name: &str) -> Self {
        let (module, name) = match name.split_once(':') {
            Some((module, name)) => (module, name),
            None => (self.0.last().map_or("", |step| step.module.as_str()), name),
        };
        self.below(&[Step::plain(module, name)])
    }

    /// The path that goes on with these levels.
    pub fn below(&self, steps: &[Arc<Step>]) -> Self {
        Self(self.0.iter().chain(steps).cloned().collect())
    }

    /// The path of a list entry: [`Path::child`] with one key.
    pub fn entry(&self, name: &str, key: &str, value: &str) -> Self {
        let mut path = self.child(name);
        path.add_key(key, value);
        path
    }

    pub fn parent(&self) -> Option<Self> {
        let (_, above) = self.0.split_last()?;
        (!above.is_empty()).then(|| Self(above.into()))
    }

    /// Whether `self` is `ancestor` or lies below it.
    pub fn is_within(&self, ancestor: &Path) -> bool {
        self.0.starts_with(&ancestor.0)
    }

    /// The first `levels` of the path.
    pub fn ancestor(&self, levels: usize) -> Self {
        Self(self.0.iter().take(levels).cloned().collect())
    }

    /// Adds a key to the last level.
    pub fn add_key(&mut self, key: &str, value: &str) {
        if let Some(step) = Arc::make_mut(&mut self.0).last_mut() {
            Arc::make_mut(step).keys.push((key.to_owned(), value.to_owned()));
        }
    }

    pub fn name(&self) -> &str {
        self.0.last().map_or("", |step| step.name.as_str())
    }

    /// Whether this is the key leaf of the list entry above it.
    pub fn is_key(&self) -> bool {
        match self.0.as_ref() {
            [.., entry, leaf] => leaf.keys.is_empty() && entry.keys.iter().any(|(key, _)| *key == leaf.name),
            _ => false,
        }
    }

    /// Reads the text form. Key values are quoted with `'` or `"`.
    pub fn parse(text: &str) -> Result<Self, PathError> {
        let fail = |why| PathError { text: text.to_owned(), why };
        let mut path = Self::default();
        let mut rest = text;
        while !rest.is_empty() {
            rest = rest.strip_prefix('/').ok_or_else(|| fail("a level must begin with `/`"))?;
            let end = rest.find(['/', '[']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            if name.is_empty() || name.ends_with(':') {
                return Err(fail("a level has no name"));
            }
            path = path.child(name);
            rest = after;
            while let Some(inner) = rest.strip_prefix('[') {
                let (key, after) = inner.split_once('=').ok_or_else(|| fail("a key has no `=`"))?;
                let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
                let quote = quote.ok_or_else(|| fail("a key value is not quoted"))?;
                let (value, after) =
                    after[1..].split_once(quote).ok_or_else(|| fail("a key value does not end"))?;
                rest = after.strip_prefix(']').ok_or_else(|| fail("a key does not end with `]`"))?;
                let key = key.rsplit(':').next().unwrap_or(key);
                path.add_key(key, value);
            }
        }
        match path.0.first() {
            None => Err(fail("it is empty")),
            Some(first) if first.module.is_empty() => Err(fail("the first level names no module")),
            Some(_) => Ok(path),
        }
    }
}

impl Ord for Path {
    /// As derived, but levels that are shared are not looked into: a slice compares its paths at every step.
    fn cmp(&self, other: &Self) -> Ordering {
        if Arc::ptr_eq(&self.0, &other.0) {
            return Ordering::Equal;
        }
        let differ = self.0.iter().zip(other.0.iter()).filter(|(one, other)| !Arc::ptr_eq(one, other));
        let first = differ.map(|(one, other)| one.cmp(other)).find(|order| order.is_ne());
        first.unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}

impl PartialOrd for Path {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut module = "";
        for step in self.0.iter() {
            f.write_str("/")?;
            if step.module != module {
                f.write_str(&step.module)?;
                f.write_str(":")?;
            }
            f.write_str(&step.name)?;
            module = &step.module;
            for (key, value) in &step.keys {
                // XPath 1.0 has no escape: the quote that the value does not hold is used.
                let quote = if value.contains('\'') { "\"" } else { "'" };
                for text in ["[", key, "=", quote, value, quote, "]"] {
                    f.write_str(text)?;
                }
            }
        }
        Ok(())
    }
}

impl serde::Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_back() {
        for text in [
            "/openconfig-interfaces:interfaces/interface[name='eth1']/openconfig-if-ethernet:ethernet/openconfig-vlan:switched-vlan/config/access-vlan",
            "/a:x[k='v/w]']/y[l=\"it's\"]/z",
        ] {
            assert_eq!(Path::parse(text).unwrap().to_string(), text);
        }
        for bad in ["", "x", "/x", "/a:", "/a:x[", "/a:x[k]", "/a:x[k=v]", "/a:x[k='v", "/a:x[k='v'y"] {
            assert!(Path::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_order_is_that_of_a_tree_whether_levels_are_shared_or_not() {
        let texts = ["/a:x", "/a:x[k='1']", "/a:x[k='1']/b", "/a:x[k='1']/b/c", "/a:x[k='2']/a", "/b:x"];
        let paths = texts.map(|text| Path::parse(text).unwrap());
        assert!(paths.is_sorted());
        let shared = Path::parse("/a:x[k='1']").unwrap();
        for child in ["b", "c"] {
            let (of_shared, fresh) = (shared.child(child), Path::parse("/a:x[k='1']").unwrap().child(child));
            assert_eq!((of_shared.cmp(&fresh), &of_shared), (Ordering::Equal, &fresh));
            assert!(shared < fresh && of_shared > shared && of_shared < paths[4]);
        }
        assert!(shared.child("b") < shared.child("c"));
    }

    #[test]
    fn keys_and_ancestors() {
        let entry = Path::parse("/a:list[name='x']").unwrap();
        assert!(entry.child("name").is_key() && !entry.child("other").is_key());
        assert!(entry.child("other").is_within(&entry));
        assert!(!entry.is_within(&Path::parse("/a:list[name='xy']").unwrap()));
    }
}
