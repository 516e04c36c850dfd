//! Edits to the exact bytes a device is sent. Pure.

pub mod netconf;

use serde::{Deserialize, Serialize};

/// What goes to the device; closed on purpose, the compiler finds every place that must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "content")]
pub enum Payload {
    /// The content of `<config>` in an edit-config with default-operation `merge` (RFC 6241 7.2):
    /// pretty-printed XML, two spaces a level, one tree a top-level container.
    Netconf(String),
}

use crate::schema::Schema;
use crate::slice::Edit;
use crate::xml::UnknownModule;

/// Why edits cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("module `{module}` of {target} is not in the schema")]
    UnknownModule { module: String, target: String },
    #[error("edit of {target} does not fit the edits around it: {why}")]
    Conflict { target: String, why: &'static str },
}

impl From<UnknownModule> for RenderError {
    fn from(unknown: UnknownModule) -> Self {
        Self::UnknownModule { module: unknown.module, target: unknown.name }
    }
}

/// Renders edits for a device that speaks NETCONF.
pub fn payload(edits: &[Edit], schema: &Schema) -> Result<Payload, RenderError> {
    netconf::render(edits, |module| schema.namespace(module)).map(Payload::Netconf)
}

impl Payload {
    /// The payload as a reviewer reads it.
    pub fn text(&self) -> &str {
        match self {
            Payload::Netconf(xml) => xml,
        }
    }
}
