//! One line of a configuration, and what becomes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::grammar::{Matched, Pattern, Values, parse};
use super::ports::{Natural, Ports};
use super::sections::{Config, Key, Line, Lines, is_in};
use super::system::{Fixed, LineRule, System, fill};
use super::vlans;

/// Knows what every line means.
pub(super) struct Editor {
    system: Arc<System>,
    lines: Vec<(Pattern, Meaning)>,
    sections: Vec<(Pattern, Meaning)>,
}

/// What a pattern does with the rule of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meaning {
    rule: usize,
    does: Does,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Set,
    /// `no`.
    Unset,
    /// `default`.
    Reset,
    List(Change),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    To,
    Add,
    Remove,
    Except,
    None,
    All,
}

/// The sections that a session is in: one, or one for each VLAN of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Within {
    pub rule: usize,
    pub keys: Vec<Key>,
    /// As prompts show it.
    pub typed: String,
    /// Sections that are not in force before the mode is left.
    pub staged: BTreeMap<Key, Lines>,
}

/// What a line did.
#[derive(Debug, Default)]
pub(super) struct Edited {
    pub says: String,
    /// Where the session is now; none: in no section.
    pub within: Option<Within>,
    /// It is where it was before.
    pub stays: bool,
}

impl Editor {
    pub fn new(system: Arc<System>) -> Self {
        let mut lines = Vec::new();
        for (rule, line) in system.lines.iter().enumerate() {
            for syntax in &line.syntax {
                let mut add = |pattern: Pattern, does| lines.push((pattern, Meaning { rule, does }));
                add(syntax.after("no"), Does::Unset);
                add(syntax.words().after("no"), Does::Unset);
                add(syntax.after("default"), Does::Reset);
                add(syntax.words().after("default"), Does::Reset);
                if !line.list {
                    add(syntax.clone(), Does::Set);
                    continue;
                }
                add(syntax.clone(), Does::List(Change::To));
                for (word, change) in
                    [("add", Change::Add), ("remove", Change::Remove), ("except", Change::Except)]
                {
                    add(syntax.before_last(word), Does::List(change));
                }
                add(syntax.words().then("none"), Does::List(Change::None));
                add(syntax.words().then("all"), Does::List(Change::All));
            }
        }
        let mut sections = Vec::new();
        for (rule, section) in system.sections.iter().enumerate() {
            sections.push((section.syntax.clone(), Meaning { rule, does: Does::Set }));
            sections.push((section.syntax.after("no"), Meaning { rule, does: Does::Unset }));
            sections.push((section.syntax.after("default"), Meaning { rule, does: Does::Reset }));
        }
        Self { system, lines, sections }
    }

    /// # Errors
    /// The line is none that the configuration takes here.
    pub fn edit(
        &self,
        config: &mut Config,
        within: Option<&Within>,
        line: &str,
        ports: &Ports,
        variants: &BTreeSet<String>,
    ) -> Result<Edited, Matched<()>> {
        let section = within.map(|within| self.system.sections[within.rule].name.as_str());
        let of = |section: Option<&str>| {
            let section = section.map(str::to_owned);
            let here =
                move |(_, meaning): &&(Pattern, Meaning)| self.system.lines[meaning.rule].section == section;
            self.lines.iter().filter(here).map(|(pattern, meaning)| (pattern, *meaning))
        };
        let mut failed = Matched::Invalid(0);
        if section.is_some() {
            match parse(of(section), line, ports) {
                Matched::Found(meaning, values) => {
                    return Ok(self.line(config, within, meaning, &values, variants));
                }
                Matched::Invalid(at) => failed = Matched::Invalid(at),
                Matched::Incomplete => return Err(Matched::Incomplete),
                Matched::Ambiguous => return Err(Matched::Ambiguous),
                Matched::BadVlans(at) => return Err(Matched::BadVlans(at)),
            }
        }
        let is_section = |(pattern, meaning): &(Pattern, Meaning)| (pattern.clone(), (*meaning, true));
        let sections: Vec<_> = self.sections.iter().map(is_section).collect();
        let lines: Vec<_> = of(None).map(|(pattern, meaning)| (pattern.clone(), (meaning, false))).collect();
        match parse(sections.iter().chain(&lines).map(|(pattern, of)| (pattern, *of)), line, ports) {
            Matched::Found((meaning, true), values) => self.section(config, meaning, &values),
            Matched::Found((meaning, false), values) => {
                Ok(Edited { stays: false, ..self.line(config, None, meaning, &values, variants) })
            }
            Matched::Invalid(at) => match failed {
                Matched::Invalid(other) => Err(Matched::Invalid(at.max(other))),
                failed => Err(failed),
            },
            Matched::Incomplete => Err(Matched::Incomplete),
            Matched::Ambiguous => Err(Matched::Ambiguous),
            Matched::BadVlans(at) => Err(Matched::BadVlans(at)),
        }
    }

    fn section(&self, config: &mut Config, meaning: Meaning, values: &Values) -> Result<Edited, Matched<()>> {
        let rule = &self.system.sections[meaning.rule];
        let typed = values.get(&rule.by).cloned().unwrap_or_default();
        let names: Vec<String> = match vlans::parse(&typed) {
            Some(list) => list.iter().map(u16::to_string).collect(),
            None => vec![typed.clone()],
        };
        let keys: Vec<Key> = names.into_iter().map(|name| (meaning.rule, Natural(name))).collect();
        if meaning.does == Does::Set {
            let lines = |key: &Key| config.sections.get(key).cloned().unwrap_or_default();
            let mut staged: BTreeMap<Key, Lines> = keys.iter().map(|key| (key.clone(), lines(key))).collect();
            if !rule.deferred {
                config.sections.append(&mut staged);
            }
            let short = if rule.fixed == Fixed::Ports { Ports::short(&typed) } else { typed };
            let within = Within { rule: meaning.rule, keys, typed: short, staged };
            return Ok(Edited { within: Some(within), ..Edited::default() });
        }
        for key in &keys {
            let (is_fixed, occasion) = match &rule.fixed {
                Fixed::None => (false, ""),
                Fixed::Ports => (true, "fixed-port"),
                Fixed::Vlans(list) => (is_in(list, &key.1.0), "fixed-vlan"),
            };
            if is_fixed {
                let values = [("name".to_owned(), key.1.0.clone())].into();
                return Ok(Edited { says: fill(self.system.says(occasion), &values), ..Edited::default() });
            }
            config.sections.remove(key);
        }
        Ok(Edited::default())
    }

    fn line(
        &self,
        config: &mut Config,
        within: Option<&Within>,
        meaning: Meaning,
        values: &Values,
        variants: &BTreeSet<String>,
    ) -> Edited {
        let rule = &self.system.lines[meaning.rule];
        let mut edited = Edited { within: within.cloned(), stays: true, ..Edited::default() };
        // A word that was not given is not there.
        let is_given =
            |word: &&str| !word.starts_with('{') || values.contains_key(word.trim_matches(['{', '}']));
        let words: Vec<&str> = rule.set.split(' ').filter(is_given).collect();
        let text = fill(&words.join(" "), values);
        let Some(within) = &mut edited.within else {
            change(&mut config.lines, rule, meaning, &text, values);
            return edited;
        };
        for key in within.keys.clone() {
            if let Fixed::Vlans(list) = &self.system.sections[key.0].fixed
                && is_in(list, &key.1.0)
            {
                let values = [("name".to_owned(), key.1.0.clone())].into();
                edited.says = fill(self.system.says("fixed-vlan-line"), &values);
                return edited;
            }
            let lines = match within.staged.get_mut(&key) {
                Some(lines) => lines,
                None => config.sections.entry(key).or_default(),
            };
            let needed = rule.needs.as_ref().filter(|needs| text == needs.of).filter(|needs| {
                let there = lines.values().any(|line| *line == Line::Text(needs.line.clone()));
                !there && needs.variant.as_ref().is_none_or(|variant| variants.contains(variant))
            });
            if let (Some(needs), Does::Set) = (needed, meaning.does) {
                edited.says.clone_from(&needs.says);
                return edited;
            }
            change(lines, rule, meaning, &text, values);
        }
        if meaning.does == Does::Set {
            let name = within.keys.first().map_or(String::new(), |key| key.1.0.clone());
            edited.says = fill(&rule.says, &[("name".to_owned(), name)].into());
        }
        let made = rule.makes_vlan.as_ref().filter(|_| meaning.does == Does::Set);
        if let (Some(vlan), Some(rule)) = (
            made.and_then(|name| values.get(name)),
            self.system.sections.iter().position(|rule| rule.name == "vlan"),
        ) && let std::collections::btree_map::Entry::Vacant(entry) =
            config.sections.entry((rule, Natural(vlan.clone())))
        {
            entry.insert(Lines::new());
            edited.says += &fill(self.system.says("vlan-made"), values);
        }
        edited
    }
}

fn change(lines: &mut Lines, rule: &LineRule, meaning: Meaning, text: &str, values: &Values) {
    let contrary = Line::Text(rule.contrary.clone());
    let new = match meaning.does {
        Does::Set => (text != rule.default).then(|| Line::Text(text.to_owned())),
        Does::Unset => (!rule.contrary.is_empty()).then_some(contrary),
        Does::Reset => None,
        Does::List(change) => {
            let now = match lines.get(&meaning.rule) {
                Some(Line::Vlans(set)) => set.clone(),
                _ => vlans::all(),
            };
            let given = values.get("vlans").and_then(|list| vlans::parse(list)).unwrap_or_default();
            let set: BTreeSet<u16> = match change {
                Change::To => given,
                Change::Add => now.union(&given).copied().collect(),
                Change::Remove => now.difference(&given).copied().collect(),
                Change::Except => vlans::all().difference(&given).copied().collect(),
                Change::None => BTreeSet::new(),
                Change::All => vlans::all(),
            };
            (set != vlans::all()).then_some(Line::Vlans(set))
        }
    };
    match new {
        Some(line) => lines.insert(meaning.rule, line),
        None => lines.remove(&meaning.rule),
    };
}
