//! Edits of a vendor's own model, as its templates write them: a line of JSON each,
//! `{"operation": "merge", "target": "/System/intf-items/x[id=1]/mode", "value": "trunk"}`. The operations
//! are those of RFC 8072; a target is a path as gNMI's people write it, without an origin.
//!
//! How they go out: [`set`] over gNMI, [`super::native_xml`] over NETCONF.
//!
//! A profile's patterns know an edit by its canonical line: the operation, the target with its keys in
//! the order of their names, and the value as JSON without blanks, its members in the order of theirs.

use std::fmt;

use serde::Deserialize;
use serde_json::Value as Json;

use crate::device::GnmiHabits;
use crate::gnmi;
use crate::render::RenderError;
use crate::render::gnmi::{Set, Update};
use crate::schema::Schema;

/// One edit of a native model.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NativeEdit {
    pub operation: NativeOperation,
    /// Without an origin.
    #[serde(deserialize_with = "path")]
    pub target: gnmi::Path,
    /// None: the operation takes away.
    #[serde(default)]
    pub value: Option<Json>,
}

/// RFC 8072 2.5, but for those about lists that a user orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NativeOperation {
    /// It must not be there.
    Create,
    Merge,
    Replace,
    /// It must be there.
    Delete,
    Remove,
}

impl NativeOperation {
    /// As RFC 8072 spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Merge => "merge",
            Self::Replace => "replace",
            Self::Delete => "delete",
            Self::Remove => "remove",
        }
    }

    /// Whether nothing of its target is left.
    pub fn takes_away(self) -> bool {
        matches!(self, Self::Delete | Self::Remove)
    }
}

fn path<'de, D: serde::Deserializer<'de>>(text: D) -> Result<gnmi::Path, D::Error> {
    String::deserialize(text)?.parse().map_err(serde::de::Error::custom)
}

/// The canonical line.
impl fmt::Display for NativeEdit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.operation.as_str(), self.target.text())?;
        match &self.value {
            Some(value) => write!(f, " {value}"),
            None => Ok(()),
        }
    }
}

/// The edits that templates wrote.
pub fn edits(lines: &str) -> Result<Vec<NativeEdit>, RenderError> {
    let edit = |line: &str| {
        let fail = |why: String| RenderError::Json { target: line.to_owned(), why };
        let edit: NativeEdit = serde_json::from_str(line).map_err(|error| fail(error.to_string()))?;
        let fits = edit.operation.takes_away() == edit.value.is_none();
        match (fits, edit.target.origin.is_empty() && !edit.target.elem.is_empty()) {
            (true, true) => Ok(edit),
            (false, _) if edit.value.is_none() => Err(fail("it has no value".to_owned())),
            (false, _) => Err(fail("what takes away has no value".to_owned())),
            (true, false) => Err(fail("its target is no path of the model".to_owned())),
        }
    };
    lines.lines().map(edit).collect()
}

/// Checks every edit with the modules of its model: its nodes are there, and its values of their types.
pub fn check(edits: &[NativeEdit], modules: &Schema) -> Result<(), RenderError> {
    for edit in edits {
        let steps = edit.target.steps();
        let checked = match &edit.value {
            None => modules.resolve(&steps).map(drop),
            Some(value) => modules
                .json_leaves(&steps, value, true)
                .and_then(|leaves| modules.understand(&leaves, false).map(drop)),
        };
        checked.map_err(|error| RenderError::Model { edit: edit.to_string(), why: error.to_string() })?;
    }
    Ok(())
}

/// Edits as a gNMI Set, which does its deletes first, then replaces, then updates (specification 3.4):
/// in that order they are printed, and each kind in the order of the template. Empty for none.
pub fn set(edits: &[NativeEdit], habits: &GnmiHabits) -> Result<String, RenderError> {
    let mut set = Set::default();
    for NativeEdit { operation, target, value } in edits {
        let path = gnmi::Path { origin: habits.origin_of_paths().to_owned(), ..target.clone() }.text();
        let update = |path| Update { path, val: value.clone().unwrap_or_default() };
        match operation {
            NativeOperation::Delete | NativeOperation::Remove => set.delete.push(path),
            NativeOperation::Replace => set.replace.push(update(path)),
            NativeOperation::Merge => set.update.push(update(path)),
            NativeOperation::Create => {
                let why = "gNMI cannot ask that it is not there yet: `merge` it".to_owned();
                return Err(RenderError::Json { target: path, why });
            }
        }
    }
    set.text()
}

/// The edits of a Set, in the order in which they are carried out.
pub fn edits_of(set: &Set) -> Result<Vec<NativeEdit>, gnmi::PathError> {
    let edit = |operation, path: &str, value| Ok(NativeEdit { operation, target: path.parse()?, value });
    let away = set.delete.iter().map(|path| edit(NativeOperation::Delete, path, None));
    let of = |operation| move |one: &Update| edit(operation, &one.path, Some(one.val.clone()));
    let replaced = set.replace.iter().map(of(NativeOperation::Replace));
    away.chain(replaced).chain(set.update.iter().map(of(NativeOperation::Merge))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edit_has_one_line() {
        let text = r#"{"target": "/a/b[y=2][x=1]", "operation": "merge", "value": {"d": "e f", "c": [1]}}"#;
        let read = edits(text).unwrap();
        assert_eq!(read[0].to_string(), r#"merge /a/b[x=1][y=2] {"c":[1],"d":"e f"}"#);
        for wrong in [
            r#"{"operation": "merge", "target": "/a"}"#,
            r#"{"operation": "delete", "target": "/a", "value": 1}"#,
            r#"{"operation": "merge", "target": "a", "value": 1}"#,
            r#"{"operation": "merge", "target": "x:/a", "value": 1}"#,
            r#"{"operation": "merge", "target": "/", "value": 1}"#,
            r#"{"operation": "move", "target": "/a", "value": 1}"#,
            r#"{"operation": "merge", "target": "/a", "value": 1, "where": "first"}"#,
            r#"{"operation": "merge", "target": "/a", "value": 1} {}"#,
            "",
            "merge /a 1",
        ] {
            assert!(edits(&format!("{wrong}\n")).is_err(), "{wrong}");
        }
        assert_eq!(edits(""), Ok(Vec::new()));
    }

    #[test]
    fn an_edit_is_what_the_modules_allow() {
        let modules = Schema::builtin().unwrap();
        let config = "/interfaces/interface[name=eth1]/config";
        let judge = |operation: &str, target: &str, value: &str| {
            let line = format!(r#"{{"operation": "{operation}", "target": "{config}{target}"{value}}}"#);
            check(&edits(&line).unwrap(), &modules)
        };
        assert_eq!(judge("merge", "/mtu", r#", "value": 9000"#), Ok(()));
        assert_eq!(judge("merge", "", r#", "value": {"mtu": 9000, "description": "x"}"#), Ok(()));
        assert_eq!(judge("delete", "/mtu", ""), Ok(()));
        for (operation, target, value) in [
            ("merge", "/mtu", r#", "value": "much""#),
            ("merge", "/mtuu", r#", "value": 9000"#),
            ("merge", "", r#", "value": {"mtuu": 9000}"#),
            ("delete", "/mtuu", ""),
        ] {
            let why = judge(operation, target, value).unwrap_err().to_string();
            assert!(why.contains("is not what the modules of its model allow"), "{why}");
        }
    }
}
