//! Reading a language's keys, which stand in the table of what carries it first.

use std::collections::BTreeMap;

use regex::Regex;

use super::{
    Expression, Format, Language, LineRule, PortField, ReadRule, SetTo, StateField, StateHabits,
    TemplateSources, Templates, TextRule, ValuePatterns, XmlShape,
};
use crate::config::reader::{Item, Table};
use crate::device::WordError;
use crate::device::ports::last_line;
use crate::openconfig::PortState;
use crate::vlan::VlanSet;

/// The groups that a line's pattern may have.
const GROUPS: [&str; 12] = [
    "port",
    "vlan",
    "vlan_again",
    "name",
    "mode",
    "access",
    "native",
    "vlans",
    "add",
    "remove",
    "description",
    "mtu",
];

impl Language {
    /// Reads the language's keys of a table. `sources` are the profile's templates.
    pub(crate) fn read(table: &Table, sources: &TemplateSources) -> Option<Self> {
        let templates = match Templates::compile(sources) {
            Ok(templates) if templates.has("port.j2") => Some(templates),
            Ok(_) => refused(table, "lines", "there is no template port.j2 that writes them"),
            Err(error) => refused(table, "lines", error),
        };
        let keeps_other_mode = table.get("keeps_other_mode").and_then(|item| item.boolean());
        let mode_by_members = table.get("mode_by_members").and_then(|item| item.boolean());
        let one_list = table.get("one_list").and_then(|item| item.boolean());
        let stp_with_vlans = table.get("stp_with_vlans").and_then(|item| item.boolean());
        let state = StateHabits::read(table);
        let values = table.required_table("values", ValuePatterns::read);
        let mut lines = Vec::new();
        // The first that fits counts: what a profile adds to the lines of the one that it is like.
        table.tables("own_lines", |table| lines.extend(LineRule::read(table)));
        table.tables("lines", |table| lines.extend(LineRule::read(table)));
        let mut reads = Vec::new();
        table.tables("reads", |table| reads.extend(ReadRule::read(table)));
        let (mut port_meaning, mut port_hidden, mut port_unread) = (BTreeMap::new(), None, None);
        let expression = |item: &Item| item.read(Expression::new);
        for (name, item) in table.entries("port") {
            match name.as_str() {
                "hidden" => port_hidden = expression(&item),
                "unread" => port_unread = item.list(expression),
                name => port_meaning.extend(item.of(field(name)).zip(expression(&item))),
            }
        }
        let vlan_name = table.table("vlan", |table| table.get("name")?.read(Expression::new));
        let mut in_force = PortState::default();
        for (name, item) in table.entries("in_force") {
            let set = |field| Some(item.of(in_force.set(field, item.text()?)));
            item.of(field(&name)).and_then(set);
        }
        Some(Self {
            values: values?,
            templates: templates?,
            lines,
            reads,
            port_meaning,
            port_hidden,
            port_unread: port_unread.unwrap_or_default(),
            vlan_name,
            mode_by_members: mode_by_members.unwrap_or_default(),
            keeps_other_mode: keeps_other_mode.unwrap_or_default(),
            in_force,
            state,
            modules: None,
            xml: XmlShape::default(),
            one_list: one_list.unwrap_or_default(),
            stp_with_vlans: stp_with_vlans.unwrap_or_default(),
        })
    }
}

impl StateHabits {
    fn read(table: &Table) -> Self {
        let mut state = Self::default();
        table.tables("state", |table| match ReadRule::read(table) {
            Some(rule) if rule.of_table => table.refuse("of_table", "only ports are asked for their state"),
            rule => state.reads.extend(rule),
        });
        for (name, item) in table.entries("state_port") {
            state.meaning.extend(item.of(StateField::named(&name)).zip(item.read(Expression::new)));
        }
        // A profile that takes none of the commands of the one that it is like has no fields of theirs.
        if state.reads.is_empty() {
            state.meaning.clear();
        }
        state
    }
}

impl ValuePatterns {
    fn read(table: &Table) -> Option<Self> {
        let port = table.required("port").and_then(|item| item.read(whole));
        let description = table.required("description").and_then(|item| item.read(whole));
        let vlan_name = table.required("vlan_name").and_then(|item| item.read(whole));
        Some(Self { port: port?, description: description?, vlan_name: vlan_name? })
    }
}

impl LineRule {
    fn read(table: &Table) -> Option<Self> {
        let pattern = table.required("match").and_then(|item| item.read(line_pattern));
        let set = table.entries("set").into_iter().filter_map(|(name, item)| {
            let value = match item.text()? {
                "$vlan" => SetTo::ThisVlan,
                value => SetTo::Text(value.to_owned()),
            };
            Some((item.of(field(&name))?, value))
        });
        let set = set.collect();
        let unset = table.get("unset").and_then(|item| item.list(|item| item.read(field)));
        let is_json = table.get("json").and_then(|item| item.boolean());
        let deletes_vlan = table.get("deletes_vlan").and_then(|item| item.boolean());
        let leaves = table.get("leaves").and_then(|item| item.boolean());
        let opens = table.get("opens").and_then(|item| item.boolean());
        let in_vlan = table.get("in_vlan").and_then(|item| item.boolean());
        let needs = table.get("needs").and_then(|item| item.list(Item::filled_text));
        Some(Self {
            place: table.line(),
            pattern: pattern?,
            set,
            unset: unset.unwrap_or_default(),
            is_json: is_json.unwrap_or_default(),
            deletes_vlan: deletes_vlan.unwrap_or_default(),
            leaves: leaves.unwrap_or_default(),
            opens: opens.unwrap_or_default(),
            in_vlan: in_vlan.unwrap_or_default(),
            needs: needs.unwrap_or_default(),
        })
    }
}

impl ReadRule {
    fn read(table: &Table) -> Option<Self> {
        let command = table.one_of("command", "path").and_then(|item| item.read(Expression::text));
        let each_port = table.get("each_port").and_then(|item| item.boolean());
        let of_table = table.get("of_table").and_then(|item| item.boolean());
        let of_spanning_tree = table.get("of_spanning_tree").and_then(|item| item.boolean());
        let only_adds = table.get("only_adds").and_then(|item| item.boolean());
        let all = table.get("all").and_then(|item| item.read(Expression::text));
        let format = match table.get("rows") {
            Some(rows) => {
                let fields = table.entries("fields").into_iter();
                let fields = fields.filter_map(|(name, item)| Some((name, item.read(Expression::new)?)));
                let fields = fields.collect();
                let appends = table.get("appends").and_then(|item| item.boolean()).unwrap_or_default();
                Some(Format::Json { rows: rows.read(Expression::new)?, fields, appends })
            }
            None => {
                let mut rules = Vec::new();
                table.tables("rules", |table| rules.extend(TextRule::read(table)));
                let unread = table.get("unread").and_then(|item| item.read(pattern));
                Some(Format::Text { rules, unread })
            }
        };
        Some(Self {
            place: table.line(),
            command: command?,
            each_port: each_port.unwrap_or_default(),
            of_table: of_table.unwrap_or_default(),
            of_spanning_tree: of_spanning_tree.unwrap_or_default(),
            only_adds: only_adds.unwrap_or_default(),
            all,
            format: format?,
        })
    }
}

impl TextRule {
    fn read(table: &Table) -> Option<Self> {
        let state = table.get("state").and_then(|item| item.filled_text());
        let pattern = table.required("match").and_then(|item| item.read(pattern));
        let set = table.entries("set").into_iter();
        let set: BTreeMap<_, _> =
            set.filter_map(|(name, item)| Some((name, item.text()?.to_owned()))).collect();
        let appends = table.get("appends").and_then(|item| item.boolean());
        let hides = table.get("hides").and_then(|item| item.boolean());
        let next = table.get("next").and_then(|item| item.filled_text());
        let (appends, hides) = (appends.unwrap_or_default(), hides.unwrap_or_default());
        Some(Self { place: table.line(), state, pattern: pattern?, set, appends, hides, next })
    }
}

impl PortState {
    /// Sets one field from a device's or a profile's text for it.
    pub(crate) fn set(&mut self, field: PortField, text: &str) -> Result<(), String> {
        let vlan = || text.parse().map(Some).map_err(|error| format!("{error}"));
        match field {
            PortField::Mode => self.mode = Some(text.parse()?),
            PortField::Access => self.access = vlan()?,
            PortField::Native => self.native = vlan()?,
            PortField::Vlans => self.vlans = list(text)?,
            PortField::Description => self.description = Some(text.to_owned()),
            PortField::Enabled => self.enabled = Some(truth(text)?),
            PortField::Mtu => self.mtu = Some(text.parse().map_err(|_| format!("`{text}` is no MTU"))?),
            PortField::StpEdge => self.stp_edge = Some(text.parse()?),
            PortField::BpduGuard => self.bpdu_guard = Some(truth(text)?),
            PortField::Lag => return Err("a LAG is no setting of its member".to_owned()),
        }
        Ok(())
    }

    pub(crate) fn unset(&mut self, field: PortField) {
        match field {
            PortField::Mode => self.mode = None,
            PortField::Access => self.access = None,
            PortField::Native => self.native = None,
            PortField::Vlans => self.vlans = None,
            PortField::Description => self.description = None,
            PortField::Enabled => self.enabled = None,
            PortField::Mtu => self.mtu = None,
            PortField::StpEdge => self.stp_edge = None,
            PortField::BpduGuard => self.bpdu_guard = None,
            PortField::Lag => {}
        }
    }
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}

/// A trunk's list: every VLAN is as good as no list.
fn list(text: &str) -> Result<Option<VlanSet>, String> {
    match text.to_ascii_lowercase().as_str() {
        "all" => Ok(None),
        "none" => Ok(Some(VlanSet::default())),
        _ => {
            let list = VlanSet::parse_list(text).map_err(|error| error.to_string())?;
            Ok((list.len() < 4094).then_some(list))
        }
    }
}

pub(in crate::device) fn refused<T>(
    table: &Table,
    key: &'static str,
    why: impl std::fmt::Display,
) -> Option<T> {
    table.refuse(key, why);
    None
}

pub(in crate::device) fn pattern(text: &str) -> Result<Regex, WordError> {
    Regex::new(text).map_err(|error| WordError::Regex(last_line(&error.to_string())))
}

fn whole(text: &str) -> Result<Regex, WordError> {
    pattern(&format!("^(?:{text})$"))
}

fn line_pattern(text: &str) -> Result<Regex, String> {
    let pattern = whole(text).map_err(|error| error.to_string())?;
    match pattern.capture_names().flatten().find(|name| !GROUPS.contains(name)) {
        Some(name) => Err(format!("no line has a group `{name}` (known: {})", GROUPS.join(", "))),
        None => Ok(pattern),
    }
}

fn field(name: &str) -> Result<PortField, String> {
    let known = || PortField::ALL.map(|(name, _)| name).join(", ");
    PortField::named(name).ok_or_else(|| format!("unknown field \"{name}\" (known: {})", known()))
}
