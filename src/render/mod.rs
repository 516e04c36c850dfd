//! Edits to the exact bytes a device is sent. Pure.

pub mod netconf;

use serde::{Deserialize, Serialize};

/// What goes to the device; closed on purpose, the compiler finds every place that must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "content")]
pub enum Payload {
    /// The content of `<config>` in an edit-config with default-operation `none` (RFC 6241 7.2):
    /// pretty-printed XML, two spaces a level, one tree a top-level container.
    Netconf(String),
}
