//! What a simulated operating system is: data, from `systems/<name>.toml`.

use std::collections::{BTreeMap, BTreeSet};

use include_dir::{Dir, include_dir};
use serde::Deserialize;

use super::SystemError;
use super::grammar::Pattern;

static BUILTIN: Dir = include_dir!("$CARGO_MANIFEST_DIR/src/sim/cli/systems");

/// How the configuration of a system is shaped, and with it its command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Style {
    /// Sections of lines that take effect one by one.
    Sections,
    /// Statements in a candidate.
    Statements,
    /// Commands of a Linux host.
    Linux,
}

/// One operating system.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct System {
    pub style: Style,
    pub hostname: String,
    /// Before the first prompt.
    #[serde(default)]
    pub banner: String,
    /// Lines a screen until a command says otherwise; 0: no paging.
    pub rows: usize,
    /// Columns a line until a command says otherwise.
    pub columns: usize,
    pub more: More,
    /// Whether `?` asks for help wherever it is typed, also in the middle of a line.
    #[serde(default)]
    pub help_key: bool,
    /// Whether who is not asked for an enable secret begins in mode `enable`.
    #[serde(default)]
    pub begins_enabled: bool,
    /// By mode.
    #[serde(default)]
    pub prompts: BTreeMap<String, String>,
    /// Prompts in configuration modes keep this many characters of the name of the host.
    pub prompt_name: Option<usize>,
    /// What it says, by occasion.
    pub texts: BTreeMap<String, String>,
    /// The types of ports, by their full names.
    #[serde(default)]
    pub port_types: Vec<String>,
    /// The ports that it has unless others are asked for.
    pub ports: Vec<String>,
    #[serde(default, rename = "command")]
    pub commands: Vec<Command>,
    #[serde(default, rename = "section")]
    pub sections: Vec<SectionRule>,
    #[serde(default, rename = "line")]
    pub lines: Vec<LineRule>,
    #[serde(default)]
    pub show: Show,
    /// The statements of a system of this style.
    #[serde(default)]
    pub statements: Vec<String>,
    /// The names in statements that have more than one value.
    #[serde(default)]
    pub lists: Vec<String>,
    /// Its first configuration, in commands.
    #[serde(default)]
    pub first: Vec<String>,
    /// What only some devices do; the others do without.
    #[serde(default)]
    pub variants: BTreeSet<String>,
}

/// The pager.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct More {
    pub prompt: String,
    /// Sent to take the prompt away again.
    pub erase: String,
}

/// A command outside of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Command {
    pub modes: Vec<String>,
    pub syntax: Vec<Pattern>,
    pub does: Action,
    /// What it says when it has done so.
    #[serde(default)]
    pub says: String,
}

/// What a command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Action {
    /// Says something.
    Say,
    Enable,
    Disable,
    Logout,
    Rows,
    Columns,
    Configure,
    /// Enters or makes a configuration session.
    Session,
    SessionCommit,
    SessionCommitTimer,
    SessionAbort,
    SessionDiffs,
    SessionShow,
    Sessions,
    /// Out of the section, or out of the configuration.
    Exit,
    /// Out of the configuration.
    End,
    DefaultPort,
    Running,
    /// One section of running, by its port.
    RunningPort,
    /// What a port reports, or every port.
    Links,
    /// The sections of running whose first line holds this word.
    RunningSection,
    Startup,
    VlanTable,
    /// Saves.
    Save,
    /// Saves after a question for the name of the file.
    SaveAsking,
}

/// A kind of section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SectionRule {
    pub name: String,
    pub syntax: Pattern,
    pub mode: String,
    /// Its first line; `{name}` is the section's own name.
    pub header: String,
    /// The value of the syntax that names it: one section each where it is a list of VLANs.
    pub by: String,
    /// Sections that are always there and never deleted: the ports, or these VLANs.
    #[serde(default)]
    pub fixed: Fixed,
    /// Nothing of it is in force before its mode is left.
    #[serde(default)]
    pub deferred: bool,
    /// Sections without lines share a first line.
    #[serde(default)]
    pub merged: bool,
    /// Not part of running while the device has this variant.
    pub hidden_by: Option<String>,
}

/// Sections that are always there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Fixed {
    #[default]
    None,
    Ports,
    Vlans(String),
}

/// A line of the configuration. Each rule holds at most one line of a section.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LineRule {
    /// The section that it is in; none: in none.
    #[serde(rename = "in")]
    pub section: Option<String>,
    pub syntax: Vec<Pattern>,
    /// How it is shown, with the values of the syntax.
    pub set: String,
    /// It holds a list of VLANs, `{list}`, which `add`, `remove`, `except`, `none` and `all` change.
    #[serde(default)]
    pub list: bool,
    /// What is in force without the line, so it is not shown.
    #[serde(default)]
    pub default: String,
    /// How its contrary is shown, where that is not the absence of the line.
    #[serde(default)]
    pub contrary: String,
    /// The VLAN in this value is made if it is not there.
    pub makes_vlan: Option<String>,
    /// What has to be there first.
    pub needs: Option<Needs>,
    #[serde(default)]
    pub says: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Needs {
    /// This line, of those that the rule holds,
    pub of: String,
    /// needs this one in the same section,
    pub line: String,
    /// where the device has this variant.
    pub variant: Option<String>,
    pub says: String,
}

/// How the configuration is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Show {
    /// `{bytes}`: the length of what follows.
    pub before: String,
    pub after: String,
    /// `Building configuration...` and the like, for one section.
    pub before_part: String,
    pub after_part: String,
    pub indent: String,
    /// A `!` between sections.
    pub separator: bool,
    /// Lists longer than this many columns go on in a line with `add`.
    pub wrap: Option<usize>,
    /// Two neighbours in a list are a range.
    pub pair_is_range: bool,
    /// Width of the number in the table of VLANs.
    pub vlan_width: usize,
    /// The table of VLANs names the ports that are trunks, too.
    pub trunks_in_table: bool,
}

impl System {
    /// The names of all built-in systems.
    pub fn names() -> Vec<&'static str> {
        let mut names: Vec<_> =
            BUILTIN.files().filter_map(|file| file.path().file_stem()?.to_str()).collect();
        names.sort_unstable();
        names
    }

    pub fn builtin(name: &str) -> Result<Self, SystemError> {
        let text = BUILTIN.get_file(format!("{name}.toml")).and_then(include_dir::File::contents_utf8);
        let text = text.ok_or_else(|| {
            SystemError(format!("`{name}` is no system: take one of {}", Self::names().join(", ")))
        })?;
        toml::from_str(text).map_err(|error| SystemError(format!("{name}: {error}")))
    }

    /// Whether its commands can name such a port: by a type and a number, if it has types.
    pub fn has_type_of(&self, port: &str) -> bool {
        let number = port.find(|c: char| c.is_ascii_digit());
        let kind = number.map(|at| &port[..at]);
        self.port_types.is_empty() || self.port_types.iter().any(|own| Some(own.as_str()) == kind)
    }

    /// What it says on an occasion; nothing where the data does not say.
    pub fn says(&self, occasion: &str) -> &str {
        self.texts.get(occasion).map_or("", String::as_str)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(serde::de::Error::custom)
    }
}

/// Puts values into a text: `{name}`.
pub(super) fn fill(text: &str, values: &BTreeMap<String, String>) -> String {
    values.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_readable() {
        assert!(!System::names().is_empty());
        for name in System::names() {
            let system = System::builtin(name).unwrap();
            for line in &system.lines {
                let known = |name: &String| system.sections.iter().any(|section| section.name == *name);
                assert!(line.section.as_ref().is_none_or(known), "{name}: {line:?}");
            }
        }
    }
}
