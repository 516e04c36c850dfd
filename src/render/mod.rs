//! Edits to the exact bytes a device is sent. Pure.

pub mod gnmi;
mod lines;
pub mod native;
pub mod native_xml;
pub mod netconf;

use serde::{Deserialize, Serialize};

/// What goes to the device; closed on purpose, the compiler finds every place that must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "content")]
pub enum Payload {
    /// The content of `<config>` in an edit-config with default-operation `merge` (RFC 6241 7.2):
    /// pretty-printed XML, two spaces a level, one tree a top-level container. In OpenConfig's words, or
    /// in a vendor's own.
    Netconf(String),
    /// A gNMI Set as JSON: [`gnmi::Set`].
    Gnmi(String),
    /// Commands, one a line, in the order in which they are given in configuration mode.
    Cli(String),
}

use crate::device::{Language, Model, Profile, Speaks, TemplateError};
use crate::render::native::NativeEdit;
use crate::schema::Schema;
use crate::slice::{Edit, Slice};
use crate::xml::UnknownModule;

/// Why edits cannot be rendered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RenderError {
    #[error("module `{module}` of {target} is not in the schema")]
    UnknownModule { module: String, target: String },
    #[error("edit of {target} does not fit the edits around it: {why}")]
    Conflict { target: String, why: &'static str },
    #[error(transparent)]
    Template(#[from] TemplateError),
    #[error("{target} cannot be written as JSON: {why}")]
    Json { target: String, why: String },
    #[error("`{edit}` is not what the modules of its model allow: {why}")]
    Model { edit: String, why: String },
    #[error("{what} {value:?} cannot be written for this system: it does not fit {pattern}")]
    Value { what: &'static str, value: String, pattern: String },
}

impl From<UnknownModule> for RenderError {
    fn from(unknown: UnknownModule) -> Self {
        Self::UnknownModule { module: unknown.module, target: unknown.name }
    }
}

/// Renders edits, which take `from` to `to`, for a system of this profile.
pub fn payload(
    edits: &[Edit],
    from: &Slice,
    to: &Slice,
    profile: &Profile,
    schema: &Schema,
) -> Result<Payload, RenderError> {
    match &profile.speaks {
        Speaks::Netconf(habits) => match &habits.model {
            Model::Native(language) => {
                let edits = native_edits(edits, from, to, profile, language)?;
                native_xml::render(&edits, &language.xml).map(Payload::Netconf)
            }
            Model::OpenConfig | Model::Lines(_) => {
                netconf::render(edits, |module| schema.namespace(module)).map(Payload::Netconf)
            }
        },
        Speaks::Gnmi(habits) => match &habits.model {
            Model::OpenConfig => gnmi::render(edits, from, to, habits, schema).map(Payload::Gnmi),
            Model::Native(language) => {
                let edits = native_edits(edits, from, to, profile, language)?;
                native::set(&edits, habits).map(Payload::Gnmi)
            }
            Model::Lines(language) => lines::render(edits, from, to, profile, language).map(Payload::Cli),
        },
        Speaks::Cli(habits) => lines::render(edits, from, to, profile, &habits.language).map(Payload::Cli),
    }
}

/// What the templates of a vendor's own model write, checked with its modules where there are any.
fn native_edits(
    edits: &[Edit],
    from: &Slice,
    to: &Slice,
    profile: &Profile,
    language: &Language,
) -> Result<Vec<NativeEdit>, RenderError> {
    let edits = native::edits(&lines::render(edits, from, to, profile, language)?)?;
    if let Some(modules) = &language.modules {
        native::check(&edits, modules)?;
    }
    Ok(edits)
}

impl Payload {
    /// The payload as a reviewer reads it.
    pub fn text(&self) -> &str {
        match self {
            Payload::Netconf(text) | Payload::Gnmi(text) | Payload::Cli(text) => text,
        }
    }
}
