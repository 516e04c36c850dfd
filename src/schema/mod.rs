//! What the devices' configuration may look like: YANG modules, held by libyang.
//!
//! No libyang tree leaves this module. What comes in is a [`Slice`] or a device's XML, what goes
//! out is a [`Slice`], XML or a list of [`Violation`]s; all of it owned.

mod envelope;
mod ffi;
mod json;
mod source;
mod tree;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use include_dir::{Dir, include_dir};
use serde::Serialize;
use yang5::context::Context;

use crate::path::{Path, Step};
use crate::slice::Slice;
use crate::xml::{Forest, UnknownModule};
use source::Source;
pub(crate) use source::{imports, statement};

/// The subset in `yang/`, part of the binary.
static BUILTIN: Dir = include_dir!("$CARGO_MANIFEST_DIR/yang");

/// Why modules could not be loaded, or data not be understood.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("cannot read {}: {source}", path.display())]
    Unreadable { path: PathBuf, source: io::Error },
    #[error("{} holds no YANG module", dir.display())]
    NoModules { dir: PathBuf },
    #[error("{}{}: {message}", file.display(), at(*line))]
    Module { file: PathBuf, line: Option<u64>, message: String },
    #[error("libyang: {message}")]
    Library { message: String },
    /// The data is no well-formed XML, or a node in it is not what the modules say.
    #[error("{0}")]
    Data(Violation),
}

/// One thing in a configuration that the modules do not allow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Violation {
    /// The data path; empty where there is none, as in XML that is not well-formed.
    pub path: String,
    pub message: String,
    /// The error-app-tag of RFC 7950 15, such as `must-violation` or `instance-required`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_tag: Option<String>,
}

/// A set of YANG modules. Immutable and shared between threads.
#[derive(Debug)]
pub struct Schema {
    context: Context,
    namespaces: BTreeMap<String, String>,
    modules: BTreeMap<String, String>,
}

/// Data that cannot be read, or means nothing, at this path.
fn wrong(path: &str, message: &str) -> SchemaError {
    SchemaError::Data(Violation::new(path, message))
}

impl Schema {
    /// The subset that is part of the binary.
    ///
    /// # Errors
    /// Only if the subset itself is broken.
    pub fn builtin() -> Result<Arc<Self>, SchemaError> {
        let modules = BUILTIN.files().filter(|file| file.path().extension().is_some_and(|end| end == "yang"));
        let sources: Result<Vec<_>, _> =
            modules.map(|file| Source::new(file.path(), file.contents_utf8().unwrap_or_default())).collect();
        Self::load(&sources?)
    }

    /// Every module in the `.yang` files of an operator's directory, in place of the subset.
    ///
    /// # Errors
    /// Names the file, and the line where libyang knows it.
    pub fn from_dir(dir: &FilePath) -> Result<Arc<Self>, SchemaError> {
        Self::load(&source::read_dir(dir)?)
    }

    fn load(sources: &[Source]) -> Result<Arc<Self>, SchemaError> {
        let context = source::compile(sources)?;
        let mut namespaces = BTreeMap::new();
        let mut modules = BTreeMap::new();
        for module in context.modules(false) {
            namespaces.insert(module.name().to_owned(), module.namespace().to_owned());
            modules.insert(module.namespace().to_owned(), module.name().to_owned());
        }
        Ok(Arc::new(Self { context, namespaces, modules }))
    }

    /// The XML namespace of a module.
    pub fn namespace(&self, module: &str) -> Option<&str> {
        self.namespaces.get(module).map(String::as_str)
    }

    /// The module with this XML namespace.
    pub fn module_of(&self, namespace: &str) -> Option<&str> {
        self.modules.get(namespace).map(String::as_str)
    }

    /// Whether the modules define a node at this path; keys do not matter.
    pub fn has(&self, path: &Path) -> bool {
        tree::exists(&self.context, path)
    }

    /// Reads what a device sent: the `<data>` of a NETCONF reply (RFC 6241 7.1), or what is in it.
    ///
    /// Nodes that the modules do not define, and state, are left out. The data may be partial:
    /// only types are checked. Leaves with a default that the device left out inside an existing
    /// list entry are [`crate::slice::Value::Default`], whether or not they were asked for.
    ///
    /// # Errors
    /// XML that is not well-formed, a DOCTYPE, a value that does not fit its type, an entry
    /// without its keys, a leaf given twice with different values.
    pub fn read_xml(&self, data: &str) -> Result<Slice, SchemaError> {
        tree::read(&self.context, data, tree::Kind::Config)
    }

    /// [`Schema::read_xml`] with state. State that the device did not report is not there: it has no
    /// defaults, and lists without keys are left out.
    ///
    /// # Errors
    /// As [`Schema::read_xml`].
    pub fn read_state(&self, data: &str) -> Result<Slice, SchemaError> {
        tree::read(&self.context, data, tree::Kind::ConfigAndState)
    }

    /// The node that levels lead to. A level with an empty module is in whichever module has the name.
    ///
    /// # Errors
    /// No module has such a node, or several have.
    pub fn resolve(&self, steps: &[Step]) -> Result<Path, SchemaError> {
        json::resolve(&self.context, steps)
    }

    /// What JSON (RFC 7951, read leniently) at a node says of the leaves at and below it, the keys of
    /// entries among them: of a leaf-list each value by itself. No levels: the object is that of the
    /// whole configuration. Nodes that the modules do not define are left out, or if `strict` refused.
    ///
    /// # Errors
    /// The levels lead nowhere, an entry without its key, an object where a value belongs.
    pub fn json_leaves(
        &self,
        at: &[Step],
        value: &serde_json::Value,
        strict: bool,
    ) -> Result<Vec<(Path, String)>, SchemaError> {
        json::leaves(&self.context, at, value, strict)
    }

    /// Leaves as a device gave them, in canonical form, with the defaults in force in their entries: what
    /// [`Schema::read_xml`] does for XML. With `state` also what is no configuration.
    ///
    /// # Errors
    /// A value that does not fit its type, a key that differs from its entry's.
    pub fn understand(&self, leaves: &[(Path, String)], state: bool) -> Result<Slice, SchemaError> {
        let kind = if state { tree::Kind::ConfigAndState } else { tree::Kind::Config };
        tree::understand(&self.context, leaves, kind)
    }

    /// The configuration as JSON (RFC 7951), defaults left out.
    ///
    /// # Errors
    /// A value that does not fit its type.
    pub fn to_json(&self, slice: &Slice) -> Result<serde_json::Value, SchemaError> {
        tree::to_json(&self.context, slice)
    }

    /// Checks a whole configuration, or a part with all that its conditions and references need.
    ///
    /// # Errors
    /// Everything that is wrong, not only the first. A value whose `when` is false is wrong.
    pub fn validate(&self, slice: &Slice) -> Result<(), Vec<Violation>> {
        tree::validate(&self.context, slice)
    }

    /// The configuration as XML, two spaces a level, defaults left out. Only printed, not checked.
    ///
    /// # Errors
    /// A path in a module that is not there.
    pub fn to_xml(&self, slice: &Slice) -> Result<String, UnknownModule> {
        Forest::of(slice).print(|module| self.namespace(module))
    }

    /// The libyang context, for stores that hold trees of their own.
    pub fn context(&self) -> &Context {
        &self.context
    }
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

fn at(line: Option<u64>) -> String {
    line.map(|line| format!(":{line}")).unwrap_or_default()
}

#[cfg(test)]
mod tests;
