//! A language that a system is configured in: what may be written, what each line of it does, and how
//! what is read gets its meaning. What carries it is told elsewhere: a command line, gNMI, NETCONF.

pub(in crate::device) mod read;
mod state;
mod templates;
mod xml;

use std::collections::BTreeMap;
use std::sync::Arc;

use regex::Regex;

use crate::openconfig::PortState;
use crate::schema::Schema;
pub use state::{StateField, StateHabits};
pub use templates::{Expression, TemplateError, TemplateSources, Templates};
pub use xml::XmlShape;

/// What a profile says of one language, in data.
#[derive(Clone, Debug)]
pub struct Language {
    /// What values may look like here, whole.
    pub values: ValuePatterns,
    pub templates: Templates,
    /// What each line that the templates may write does. An edit of a model is a line, too.
    pub lines: Vec<LineRule>,
    pub reads: Vec<ReadRule>,
    /// What the fields that were read mean, by the name of the model's field.
    pub port_meaning: BTreeMap<PortField, Expression>,
    /// Whether the port that was read is none that could be set: it is as if it were not there.
    pub port_hidden: Option<Expression>,
    /// Each says why what was read of a port has no meaning here; none or nothing: it has.
    pub port_unread: Vec<Expression>,
    pub vlan_name: Option<Expression>,
    /// Whether a port keeps what it has for the mode that it is not in.
    pub keeps_other_mode: bool,
    /// A port's mode is what its members say: a trunk has tagged ones, and what is untagged there is its
    /// native VLAN; else it is the access VLAN.
    pub mode_by_members: bool,
    /// What is in force on a port where nothing is configured.
    pub in_force: PortState,
    pub state: StateHabits,
    /// The modules of the model that it is a language of, which its edits are checked with; none: nobody
    /// gave them, and only the form of edits is checked.
    pub modules: Option<Arc<Schema>>,
    /// How the model is XML; empty where nothing of it is.
    pub xml: XmlShape,
    /// Whether the VLANs of an access port and those of a trunk are one list, and the mode says what it is.
    pub one_list: bool,
    /// Whether what the spanning tree knows of a port goes with the last of its VLANs.
    pub stp_with_vlans: bool,
}

/// Patterns that a value must fit as a whole before it is written into a line.
#[derive(Clone, Debug)]
pub struct ValuePatterns {
    pub port: Regex,
    pub description: Regex,
    pub vlan_name: Regex,
}

/// A field of [`PortState`], or of what else is read of a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PortField {
    Mode,
    Access,
    Native,
    Vlans,
    Description,
    Enabled,
    Mtu,
    StpEdge,
    BpduGuard,
    /// The LAG that it is a member of.
    Lag,
}

/// One kind of line, and what it does to the port or VLAN that it names or stands under.
#[derive(Clone, Debug)]
pub struct LineRule {
    /// Where it stands, `file:line`.
    pub place: String,
    /// Fits the whole line. Groups: `port`, `vlan` and `name` of the table's entry, and the fields
    /// `mode`, `access`, `native`, `vlans`, `add`, `remove`, `description`, `mtu`. Where a line names its
    /// VLAN twice the second is `vlan_again`, and no other.
    pub pattern: Regex,
    /// Fields that it gives a value that does not stand in it.
    pub set: BTreeMap<PortField, SetTo>,
    pub unset: Vec<PortField>,
    /// The description stands in it as a JSON string, the list of VLANs as an array of them.
    pub is_json: bool,
    /// The VLAN named goes from the table.
    pub deletes_vlan: bool,
    /// The section that was entered ends.
    pub leaves: bool,
    /// It begins a section of which no line is written: the next must leave it.
    pub opens: bool,
    /// It stands only in the section of an entry of the VLAN table.
    pub in_vlan: bool,
    /// Lines that stand before it, without which it does not do what it says: `$port` and `$vlan` are
    /// what it has there.
    pub needs: Vec<String>,
}

/// A value that a line gives without naming it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetTo {
    Text(String),
    /// The VLAN whose section the line stands in.
    ThisVlan,
}

/// One command, or node of a model, whose output is read, and how.
#[derive(Clone, Debug)]
pub struct ReadRule {
    /// Where it stands, `file:line`.
    pub place: String,
    /// A template, of the node's path if it is no command; `port` where it is asked once a port, else `ports` (none: every port) and `vlans`.
    pub command: Expression,
    pub each_port: bool,
    /// It tells of the VLAN table, not of ports.
    pub of_table: bool,
    /// It tells of the spanning tree alone, and is read where that is asked for.
    pub of_spanning_tree: bool,
    /// It adds to what another says of a port, and does not say that the port is there.
    pub only_adds: bool,
    /// Asked instead where every port is wanted.
    pub all: Option<Expression>,
    pub format: Format,
}

/// How output becomes rows.
#[derive(Clone, Debug)]
pub enum Format {
    /// Line by line.
    Text { rules: Vec<TextRule>, unread: Option<Regex> },
    /// `rows` gives a list of `output` (of a map its keys: `output | items` gives pairs); the others are
    /// fields of `row`, one of them `port` or `vlan`.
    /// With `appends` a field that is there already gets the new value behind a comma.
    Json { rows: Expression, fields: BTreeMap<String, Expression>, appends: bool },
}

/// What one kind of line of output says.
#[derive(Clone, Debug)]
pub struct TextRule {
    /// Where it stands, `file:line`.
    pub place: String,
    /// Only in this state; none: in every.
    pub state: Option<String>,
    /// Named groups are fields of the row; `port` or `vlan` begin one, a list of VLANs one each. With
    /// `ports`, a list with ranges, the line is about each of them; where it says nothing else, what
    /// follows is.
    pub pattern: Regex,
    /// `$section` is what the last line with a group `section` had there.
    pub set: BTreeMap<String, String>,
    /// A field that is there already gets the new value behind a comma.
    pub appends: bool,
    /// The port of the row is none that could be set: it is as if it were not there.
    pub hides: bool,
    pub next: Option<String>,
}

impl Language {
    /// The rule that says what a line does: the first that fits.
    pub fn line_rule(&self, line: &str) -> Option<&LineRule> {
        self.lines.iter().find(|rule| rule.pattern.is_match(line))
    }

    /// Whether a line changes something by itself, and does not only say what others are about. One of which
    /// nothing is said may do what no request is about.
    pub fn acts(&self, line: &str) -> bool {
        self.line_rule(line).is_none_or(|rule| {
            let names: Vec<&str> = rule.pattern.capture_names().flatten().collect();
            !rule.set.is_empty()
                || !rule.unset.is_empty()
                || rule.deletes_vlan
                || names.iter().any(|name| *name != "port")
                || (names.is_empty() && !rule.leaves)
        })
    }

    /// Whether any line can say a field: what no line says cannot be changed.
    pub fn has_word_for(&self, field: PortField) -> bool {
        self.lines.iter().any(|rule| rule.says(field))
    }

    /// Whether a port is in a mode only by the VLANs that it has: no line gives it one without a VLAN.
    pub fn has_mode_by_vlans(&self) -> bool {
        let names = |rule: &LineRule, name| rule.pattern.capture_names().flatten().any(|known| known == name);
        let gives = |rule: &&LineRule| rule.set.contains_key(&PortField::Mode) || names(rule, "mode");
        self.lines.iter().filter(gives).all(|rule| names(rule, "vlan"))
    }
}

impl LineRule {
    /// Whether it says a field, gives it or takes it away.
    pub fn says(&self, field: PortField) -> bool {
        self.set.contains_key(&field)
            || self.unset.contains(&field)
            || self.pattern.capture_names().flatten().any(|name| name == field.name())
    }
}

impl ReadRule {
    /// The fields that rows may get from it.
    pub fn fields(&self) -> Vec<&str> {
        match &self.format {
            Format::Json { fields, .. } => fields.keys().map(String::as_str).collect(),
            Format::Text { rules, .. } => rules
                .iter()
                .flat_map(|rule| {
                    rule.pattern.capture_names().flatten().chain(rule.set.keys().map(String::as_str))
                })
                .collect(),
        }
    }
}

impl PortField {
    /// Every field, by the name that profiles use.
    pub const ALL: [(&'static str, Self); 10] = [
        ("mode", Self::Mode),
        ("access", Self::Access),
        ("native", Self::Native),
        ("vlans", Self::Vlans),
        ("description", Self::Description),
        ("enabled", Self::Enabled),
        ("mtu", Self::Mtu),
        ("stp_edge", Self::StpEdge),
        ("bpdu_guard", Self::BpduGuard),
        ("lag", Self::Lag),
    ];

    /// As profiles call it.
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, field)| *field == self).map_or("", |(name, _)| name)
    }

    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|(known, _)| *known == name).map(|(_, field)| field)
    }
}
