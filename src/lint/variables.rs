//! Names in templates and expressions that stand for nothing, in either branch of every `if`.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::Finding;
use crate::device::language::{Expression, Format, ReadRule};
use crate::device::{Language, Profile, Speaks};

/// What port.j2 gets; `before`, `after` and `in_force` are ports.
const PORT: [&str; 7] = ["port", "before", "after", "added", "removed", "in_force", "native_in_list"];
const FIELDS: [&str; 9] =
    ["mode", "access", "native", "vlans", "description", "enabled", "mtu", "stp_edge", "bpdu_guard"];
const VLAN: [&str; 3] = ["vlan", "before", "after"];
/// What minijinja has by itself.
const GLOBALS: [&str; 5] = ["range", "dict", "debug", "namespace", "cycler"];

const PORT_HINT: &str = "port.j2 gets port, added, removed, native_in_list, and before, after and in_force with mode, \
                         access, native, vlans, description, enabled, mtu, stp_edge, bpdu_guard";
const VLAN_HINT: &str = "vlan.j2 gets vlan, and before and after: none, or with a name";
const ROW_HINT: &str = "a row has the groups of the rules' patterns, what they `set`, and `fields`";

/// Every name that is not defined where it is used. `file` is the profile's.
pub(super) fn undefined(file: &Path, profile: &Profile, language: &Language) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, place, text) in language.templates.texts() {
        for variable in language.templates.variables(&name) {
            let (is_known, hint) = match name.as_str() {
                "vlan.j2" => (of_vlan(&variable), VLAN_HINT),
                "port.j2" => (of_port(&variable), PORT_HINT),
                _ => (of_vlan(&variable) || of_port(&variable), PORT_HINT),
            };
            if !is_known {
                let line = line_of(&text, &variable).map(|line| format!(":{line}")).unwrap_or_default();
                findings.push(Finding::error(
                    &format!("{place}{line}"),
                    stands_for_nothing(&variable),
                    Some(hint),
                ));
            }
        }
    }
    let mut check = |place: &str, expression: &Expression, known: &dyn Fn(&str) -> bool, hint| {
        for variable in expression.variables().iter().filter(|name| !is_global(name) && !known(name)) {
            let what = format!("{expression:?}: {}", stands_for_nothing(variable));
            findings.push(Finding::error(place, what, hint));
        }
    };
    for rule in language.reads.iter().chain(&language.state.reads) {
        let ports = |name: &str| name == "ports";
        let command = |name: &str| !rule.of_table && name == if rule.each_port { "port" } else { "ports" };
        let hint = "it gets `port` with each_port, nothing with of_table, else `ports`";
        check(&rule.place, &rule.command, &command, Some(hint));
        if let Some(all) = &rule.all {
            check(&rule.place, all, &ports, Some("it gets `ports`, which is none"));
        }
        if let Format::Json { rows, fields, .. } = &rule.format {
            check(&rule.place, rows, &|name| root(name) == "output", Some("`rows` gets `output`"));
            for expression in fields.values() {
                check(&rule.place, expression, &|name| root(name) == "row", Some("`fields` get `row`"));
            }
        }
    }
    let text = fs::read_to_string(file).unwrap_or_default();
    let place = |expression: &Expression| match line_of(&text, expression.source()) {
        Some(line) => format!("{}:{line}", file.display()),
        None => file.display().to_string(),
    };
    let names: BTreeSet<&str> = language.reads.iter().flat_map(ReadRule::fields).collect();
    let of_port = language.port_meaning.values().chain(&language.port_hidden).chain(&language.port_unread);
    for expression in of_port.chain(&language.vlan_name) {
        check(&place(expression), expression, &|name| of_row(name, &names), Some(ROW_HINT));
    }
    let reported: BTreeSet<&str> = language.state.reads.iter().flat_map(ReadRule::fields).collect();
    for expression in language.state.meaning.values() {
        check(&place(expression), expression, &|name| of_row(name, &reported), Some(ROW_HINT));
    }
    if let Speaks::Cli(habits) = &profile.speaks
        && let Some(staging) = &habits.staging
    {
        let id = |name: &str| name == "id";
        let timed = |name: &str| ["id", "seconds", "minutes", "clock"].contains(&name);
        let timer = staging.timer.as_ref();
        let plain = [&staging.enter, &staging.discard, &staging.commit];
        let plain =
            plain.into_iter().chain(timer.into_iter().flat_map(|timer| [&timer.confirm, &timer.cancel]));
        for expression in plain.flatten() {
            check(&place(expression), expression, &id, Some("it gets `id`"));
        }
        for expression in timer.into_iter().flat_map(|timer| &timer.commit) {
            check(&place(expression), expression, &timed, Some("it gets id, seconds, minutes and clock"));
        }
    }
    findings
}

fn stands_for_nothing(variable: &str) -> String {
    format!("`{variable}` is not defined")
}

fn of_port(name: &str) -> bool {
    match name.split_once('.') {
        _ if is_global(name) => true,
        None => PORT.contains(&name),
        Some(("before" | "after" | "in_force", field)) => FIELDS.contains(&root(field)),
        Some(_) => false,
    }
}

fn of_row(name: &str, fields: &BTreeSet<&str>) -> bool {
    name == "row" || name.strip_prefix("row.").is_some_and(|field| fields.contains(root(field)))
}

fn of_vlan(name: &str) -> bool {
    match name.split_once('.') {
        _ if is_global(name) => true,
        None => VLAN.contains(&name),
        Some(("before" | "after", field)) => field == "name",
        Some(_) => false,
    }
}

fn is_global(name: &str) -> bool {
    GLOBALS.contains(&root(name))
}

fn root(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

/// The first line with this name or text in it, from 1.
fn line_of(text: &str, name: &str) -> Option<usize> {
    text.lines().position(|line| line.contains(name)).map(|n| n + 1)
}
