//! A configuration of sections and lines, and what it looks like.

use std::collections::{BTreeMap, BTreeSet};

use super::ports::{Natural, Ports};
use super::system::{Fixed, LineRule, SectionRule, System, fill};
use super::vlans;

/// By the number of its rule, and by its name.
pub(super) type Key = (usize, Natural);

/// A section's lines, by the number of their rules.
pub(super) type Lines = BTreeMap<usize, Line>;

/// Everything that is configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Config {
    /// Lines in no section.
    pub lines: Lines,
    pub sections: BTreeMap<Key, Lines>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Line {
    Text(String),
    Vlans(BTreeSet<u16>),
}

impl Config {
    /// With the sections that are always there.
    pub fn new(system: &System, ports: &Ports) -> Self {
        let mut config = Self::default();
        for (number, rule) in system.sections.iter().enumerate() {
            let names: Vec<String> = match &rule.fixed {
                Fixed::None => Vec::new(),
                Fixed::Ports => ports.names().map(str::to_owned).collect(),
                Fixed::Vlans(list) => {
                    vlans::parse(list).unwrap_or_default().iter().map(u16::to_string).collect()
                }
            };
            config.sections.extend(names.into_iter().map(|name| ((number, Natural(name)), Lines::new())));
        }
        config
    }

    /// As the device shows all of it, without what goes before and after.
    pub fn text(&self, system: &System, variants: &BTreeSet<String>) -> String {
        let mut text = String::new();
        let separate = |text: &mut String| {
            if system.show.separator {
                text.push_str("!\n")
            }
        };
        for (rule, line) in &self.lines {
            text.push_str(&line.text(&system.lines[*rule], system));
        }
        if !self.lines.is_empty() {
            separate(&mut text);
        }
        for (number, rule) in system.sections.iter().enumerate() {
            if rule.hidden_by.as_ref().is_some_and(|variant| variants.contains(variant)) {
                continue;
            }
            let mut bare = BTreeSet::new();
            for ((_, name), lines) in self.sections.iter().filter(|((own, _), _)| *own == number) {
                let is_fixed_vlan = matches!(&rule.fixed, Fixed::Vlans(list) if is_in(list, &name.0));
                if is_fixed_vlan && lines.is_empty() {
                    continue;
                }
                if rule.merged && lines.is_empty() {
                    bare.extend(name.0.parse::<u16>());
                    continue;
                }
                text.push_str(&section_text(rule, &name.0, lines, system));
                separate(&mut text);
            }
            if !bare.is_empty() {
                let name = vlans::text(&bare, system.show.pair_is_range);
                text.push_str(&section_text(rule, &name, &Lines::new(), system));
                separate(&mut text);
            }
        }
        text
    }

    /// One section.
    pub fn section_text(&self, key: &Key, system: &System) -> Option<String> {
        let lines = self.sections.get(key)?;
        Some(section_text(&system.sections[key.0], &key.1.0, lines, system))
    }

    /// The table of VLANs, in the columns of the industry.
    pub fn vlan_table(&self, system: &System) -> String {
        let width = system.show.vlan_width;
        let mut table = format!("{:width$} {:32} {:9} Ports\n", "VLAN", "Name", "Status");
        table += &format!("{0:-<width$} {0:-<32} {0:-<9} {0:-<31}\n", "");
        for vlan in self.vlans(system) {
            let ports: Vec<String> = self.ports_in(vlan, system).map(|port| Ports::short(&port)).collect();
            let status = if (1002..=1005).contains(&vlan) { "act/unsup" } else { "active" };
            let mut rows = ports.chunks(4).map(|four| four.join(", "));
            let name = self.vlan_name(vlan, system);
            table += &format!("{vlan:<width$} {name:32} {status:9} {}\n", rows.next().unwrap_or_default());
            rows.for_each(|row| table += &format!("{:1$}{row}\n", "", width + 44));
        }
        table
    }

    pub fn vlans(&self, system: &System) -> BTreeSet<u16> {
        let Some(rule) = number_of(system, "vlan") else { return BTreeSet::new() };
        self.sections
            .keys()
            .filter(|(own, _)| *own == rule)
            .filter_map(|(_, name)| name.0.parse().ok())
            .collect()
    }

    fn vlan_name(&self, vlan: u16, system: &System) -> String {
        let own = || {
            let lines = self.sections.get(&(number_of(system, "vlan")?, Natural(vlan.to_string())))?;
            lines.values().find_map(|line| match line {
                Line::Text(text) => text.strip_prefix("name ").map(str::to_owned),
                Line::Vlans(_) => None,
            })
        };
        let known = |vlan| match vlan {
            1 => "default".to_owned(),
            1002 => "fddi-default".to_owned(),
            1003 => "token-ring-default".to_owned(),
            1004 => "fddinet-default".to_owned(),
            1005 => "trnet-default".to_owned(),
            _ => format!("VLAN{vlan:04}"),
        };
        own().unwrap_or_else(|| known(vlan))
    }

    /// The ports that the table of VLANs shows in this one.
    fn ports_in<'a>(&'a self, vlan: u16, system: &'a System) -> impl Iterator<Item = String> + 'a {
        let rule = number_of(system, "interface");
        let has = move |lines: &Lines, wanted: &str| {
            lines.values().any(|line| matches!(line, Line::Text(text) if text == wanted))
        };
        let number = |lines: &Lines, before: &str| {
            let own = lines.values().find_map(|line| match line {
                Line::Text(text) => text.strip_prefix(before).and_then(|vlan| vlan.parse().ok()),
                Line::Vlans(_) => None,
            });
            own.unwrap_or(1)
        };
        let is_in = move |lines: &Lines| match has(lines, "switchport mode trunk") {
            true if !system.show.trunks_in_table => false,
            true => {
                let allowed = lines.values().find_map(|line| match line {
                    Line::Vlans(allowed) => Some(allowed.contains(&vlan)),
                    Line::Text(_) => None,
                });
                allowed.unwrap_or(true)
            }
            false => number(lines, "switchport access vlan ") == vlan,
        };
        let ports = self.sections.iter().filter(move |((own, _), lines)| Some(*own) == rule && is_in(lines));
        ports.map(|((_, name), _)| name.0.clone())
    }
}

fn number_of(system: &System, section: &str) -> Option<usize> {
    system.sections.iter().position(|rule| rule.name == section)
}

/// Whether a list of VLANs holds this one.
pub(super) fn is_in(list: &str, vlan: &str) -> bool {
    let list = vlans::parse(list).unwrap_or_default();
    vlan.parse().is_ok_and(|vlan| list.contains(&vlan))
}

fn section_text(rule: &SectionRule, name: &str, lines: &Lines, system: &System) -> String {
    let mut text = fill(&rule.header, &[("name".to_owned(), name.to_owned())].into());
    text.push('\n');
    for (number, line) in lines {
        for shown in line.text(&system.lines[*number], system).lines() {
            text += &format!("{}{shown}\n", system.show.indent);
        }
    }
    text
}

impl Line {
    /// One line, or more where a list is too long for one.
    fn text(&self, rule: &LineRule, system: &System) -> String {
        let list = match self {
            Self::Text(text) => return format!("{text}\n"),
            Self::Vlans(set) if set.is_empty() => "none".to_owned(),
            Self::Vlans(set) => vlans::text(set, system.show.pair_is_range),
        };
        let line = |list: &str| rule.set.replace("{list}", list);
        let Some(most) = system.show.wrap else { return line(&list) + "\n" };
        let mut lines: Vec<String> = Vec::new();
        for part in list.split(',') {
            match lines.last_mut() {
                Some(last) if last.len() + part.len() < most => *last += &format!(",{part}"),
                Some(_) => lines.push(line(&format!("add {part}"))),
                None => lines.push(line(part)),
            }
        }
        lines.join("\n") + "\n"
    }
}
