//! Every scenario through a profile's templates: what is not written, what is written and not known,
//! and what is known and never written.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use regex::Regex;

use super::Finding;
use super::scenarios::{Scenario, crossed, scenarios};
use crate::device::language::{Format, PortField, ReadRule, Templates};
use crate::device::{Language, Profile, TemplateError};
use crate::guard::{self, ScopeError};
use crate::plan::PlanError;
use crate::render::RenderError;
use crate::schema::Schema;

/// What ports are called here and there.
const PORTS: [&str; 18] = [
    "eth1",
    "eth1/1",
    "Ethernet1",
    "Ethernet1/1",
    "GigabitEthernet1/0/1",
    "GigabitEthernet0/1",
    "ge-0/0/1",
    "swp1",
    "1",
    "1/1",
    "1/1/1",
    "A1",
    "port1",
    "10GE1/0/1",
    "TenGigabitEthernet 1/1",
    "ethernet-1/1",
    "GigabitEthernet0/0/0/1",
    "g1",
];

/// The most that is told of one profile: more have few causes.
const MOST: usize = 20;

/// And of changes that it does not write in full.
const MOST_HALF_WRITTEN: usize = 4;

const NOT_WRITTEN: &str = "the template writes no line for it, or none of `lines` says what it does";

/// A port name that this system could have; none: it names its ports otherwise.
pub fn port_like(language: &Language) -> Option<&'static str> {
    PORTS.into_iter().find(|port| language.values.port.is_match(port))
}

/// Tries everything with this port. `file` is the profile's.
pub(super) fn trial(
    file: &Path,
    port: &str,
    profile: &Arc<Profile>,
    language: &Language,
    schema: &Schema,
) -> Vec<Finding> {
    let file = file.display().to_string();
    let mut findings: Vec<Finding> = Vec::new();
    if profile.openconfig.network_instance.is_some() && !language.templates.has("vlan.j2") {
        let what =
            "openconfig.network_instance names a VLAN table, and there is no template vlan.j2".to_owned();
        findings.push(Finding::error(&file, what, Some("write it, or leave network_instance out")));
    }
    let planned = match scenarios(port, profile) {
        Ok(planned) => planned,
        Err(error) => return vec![Finding::error(&file, error.to_string(), None)],
    };
    let mut lines: BTreeSet<String> = BTreeSet::new();
    let mut half_written = 0;
    // What fails from where it usually begins would fail in the same way from everywhere.
    for scenarios in [&planned, &crossed(&planned)] {
        for scenario in scenarios {
            let written = scenario.write(port, profile, schema);
            let canonical = [&written.lines, &written.back].map(|text| guard::lines(text, profile));
            let all = || canonical.iter().flat_map(|text| text.lines());
            let Some(error) = &written.error else {
                lines.extend(all().map(str::to_owned));
                continue;
            };
            let is_line = |text: &str| all().any(|line| line == text);
            let finding = failed(&file, scenario, error, &language.templates, &is_line);
            let is_half =
                matches!(error, PlanError::Scope(ScopeError::Outside { path, .. }) if !is_line(path));
            half_written += usize::from(is_half);
            let is_old = findings.iter().any(|old| cause(old) == cause(&finding));
            let is_enough = findings.len() >= MOST || (is_half && half_written > MOST_HALF_WRITTEN);
            if !is_old && !is_enough {
                findings.push(finding);
            }
        }
        if !findings.is_empty() {
            break;
        }
    }
    // What is not written because of a mistake is not needless.
    if findings.is_empty() {
        findings.extend(needless(&file, language, &lines));
    }
    findings.extend(dead(language));
    findings.extend(unread(profile, language));
    findings.extend(never_fit(language));
    findings
}

/// What two findings with one cause have in common: numbers come from the change.
fn cause(finding: &Finding) -> (&str, String) {
    (&finding.place, finding.what.chars().filter(|c| !c.is_ascii_digit()).collect())
}

fn failed(
    file: &str,
    scenario: &Scenario,
    error: &PlanError,
    templates: &Templates,
    is_line: &dyn Fn(&str) -> bool,
) -> Finding {
    let finding = match error {
        PlanError::Render(RenderError::Template(TemplateError { place, why })) => {
            Finding::error(place, why.clone(), Some("see devices/examples/templates for what templates get"))
        }
        PlanError::Render(error @ RenderError::Value { what, .. }) => {
            let hint = match *what {
                "port name" => "the port that the transcript reads must fit",
                _ => "what Ironic writes must fit, or every attach is refused",
            };
            Finding::error(file, format!("values: {error}"), Some(hint))
        }
        PlanError::Scope(ScopeError::Outside { path, why }) if is_line(path) => {
            let hint = "the template should not write it here, or none of `lines` says what it does";
            let hint = match why.as_str() {
                why if why.contains("does not know") => {
                    "say in `lines` what it does, or take it out of the template"
                }
                why if why.starts_with("the lines leave") => NOT_WRITTEN,
                why if why.contains("stands under no") => {
                    "the line that begins its section is missing, or what ends the section before has no `leaves`"
                }
                why if why.contains("is neither") => "give the field in `lines` a value that it can have",
                _ => hint,
            };
            let place = template_line(templates, path);
            Finding::error(place.as_deref().unwrap_or(file), format!("`{path}`: {why}"), Some(hint))
        }
        PlanError::Scope(ScopeError::Outside { path, why }) => {
            let name = if path.starts_with("VLAN") { "vlan.j2" } else { "port.j2" };
            let texts = templates.texts();
            let place = texts.iter().find(|(known, ..)| known == name).map(|(_, place, _)| place.as_str());
            Finding::error(place.unwrap_or(file), format!("{path}: {why}"), Some(NOT_WRITTEN))
        }
        other => Finding::error(file, other.to_string(), None),
    };
    Finding { during: Some(scenario.name.clone()), ..finding }
}

/// Lines of templates that are never written, because no rule says an MTU.
fn dead(language: &Language) -> Vec<Finding> {
    if language.has_word_for(PortField::Mtu) {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (_, place, text) in language.templates.texts() {
        let lines = (1..).zip(text.lines()).filter(|(_, line)| line.contains("after.mtu"));
        findings.extend(lines.map(|(line, _)| {
            Finding::warning(
                &format!("{place}:{line}"),
                "none of `lines` has an `mtu`, so it is never asked for".to_owned(),
                Some("say what the line does, or take it out of the template"),
            )
        }));
    }
    findings
}

/// Fields that lines say and nothing reads: a change of one would never be seen, and taken back.
fn unread(profile: &Profile, language: &Language) -> Vec<Finding> {
    if profile.speaks.not_read().is_some() {
        return Vec::new();
    }
    let read: BTreeSet<&str> = language.reads.iter().flat_map(ReadRule::fields).collect();
    let is_read =
        |name: &str, field: &PortField| read.contains(name) || language.port_meaning.contains_key(field);
    let unread = PortField::ALL.into_iter().filter(|(name, field)| !is_read(name, field));
    unread
        .filter_map(|(name, field)| {
            let rule = language.lines.iter().find(|rule| rule.says(field))?;
            Some(Finding::error(
                &rule.place,
                format!("it says {name}, and nothing reads it: a change of it would be taken back"),
                Some("name a group so in the rules of `reads`, or say in `port` what it is"),
            ))
        })
        .collect()
}

/// Rules of lines that no template writes. Those of another profile that this one is like are its own matter.
fn needless(file: &str, language: &Language, lines: &BTreeSet<String>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let is_own = |place: &str| place.rsplit_once(':').is_some_and(|(of, _)| of == file);
    for rule in language.lines.iter().filter(|rule| is_own(&rule.place)) {
        let mut fitting = lines.iter().filter(|line| rule.pattern.is_match(line)).peekable();
        let first = |line: &String| language.line_rule(line).map(|rule| rule.place.clone());
        let Some(line) = fitting.peek().copied() else {
            let what = "no template writes a line that this fits".to_owned();
            findings.push(Finding::warning(
                &rule.place,
                what,
                Some("take it out: what is not known is refused"),
            ));
            continue;
        };
        // Where a line stands is not known here.
        let is_elsewhere =
            |line: &String| language.line_rule(line).is_some_and(|first| first.in_vlan != rule.in_vlan);
        if fitting.all(|line| first(line).as_ref() != Some(&rule.place) && !is_elsewhere(line)) {
            let before = first(line).unwrap_or_default();
            let what = format!("never comes to its turn: `{line}` fits the rule at {before} first");
            findings.push(Finding::error(
                &rule.place,
                what,
                Some("put the narrower rule before the wider one"),
            ));
        }
    }
    findings
}

/// Rules that are there twice, so that the second never has its turn.
fn never_fit(language: &Language) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut tell = |place: &str, before: &str| {
        let what = format!("never comes to its turn: the rule at {before} fits the same");
        findings.push(Finding::error(place, what, Some("take one of them out")));
    };
    for (n, rule) in language.lines.iter().enumerate() {
        let same = language.lines[..n].iter().find(|other| other.pattern.as_str() == rule.pattern.as_str());
        same.into_iter().for_each(|other| tell(&rule.place, &other.place));
    }
    for read in language.reads.iter().chain(&language.state.reads) {
        let Format::Text { rules, .. } = &read.format else { continue };
        for (n, rule) in rules.iter().enumerate() {
            let same = rules[..n].iter().find(|other| {
                let is_in_state = other.state.is_none() || other.state == rule.state;
                is_in_state && other.pattern.as_str() == rule.pattern.as_str()
            });
            same.into_iter().for_each(|other| tell(&rule.place, &other.place));
        }
    }
    findings
}

/// The line of a template that wrote this, `file:line`: the one with the most in common.
fn template_line(templates: &Templates, line: &str) -> Option<String> {
    let mut best: Option<(usize, String)> = None;
    for (_, place, text) in templates.texts() {
        for (n, source) in text.lines().enumerate() {
            let Some((fixed, pattern)) = pattern_of(source) else { continue };
            if pattern.is_match(line) && best.as_ref().is_none_or(|(most, _)| fixed > *most) {
                best = Some((fixed, format!("{place}:{}", n + 1)));
            }
        }
    }
    best.map(|(_, place)| place)
}

/// What a template's line can become, and how many of its characters stand fast; none: no line at all.
fn pattern_of(source: &str) -> Option<(usize, Regex)> {
    let (mut pattern, mut fixed, mut rest) = (String::from("^"), 0, source.trim());
    while let Some(at) = rest.find("{{").into_iter().chain(rest.find("{%")).chain(rest.find("{#")).min() {
        let (before, tag) = rest.split_at(at);
        let end = match &tag[..2] {
            "{{" => "}}",
            "{%" => "%}",
            _ => "#}",
        };
        let (inside, after) = tag.split_once(end)?;
        pattern += &regex::escape(before);
        fixed += before.len();
        if end == "}}" {
            // What stands in quotes is as good as fixed.
            fixed += inside.split('"').skip(1).step_by(2).filter(|text| literal_in(text)).count();
            pattern += ".*";
        }
        rest = after;
    }
    pattern += &regex::escape(rest);
    pattern.push('$');
    fixed += rest.len();
    let has_text = fixed > 0;
    Regex::new(&pattern).ok().filter(|_| has_text).map(|pattern| (fixed, pattern))
}

fn literal_in(text: &str) -> bool {
    text.chars().any(char::is_alphabetic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_line_of_a_template_can_become() {
        let (fixed, pattern) = pattern_of("{% if x %}vlan {{ vlan }}{% endif %}").unwrap();
        assert!(fixed == 5 && pattern.is_match("vlan 100") && !pattern.is_match("no vlan 100"));
        assert!(
            pattern_of("{% if x %}").is_none()
                && pattern_of("{{ x }}").is_none()
                && pattern_of("{{ x").is_none()
        );
    }
}
