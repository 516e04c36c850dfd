//! Attacks on every command line: values that mean to be more than a value, and payloads that a wrong
//! or a changed template could write. Each is refused by a value's pattern or by the guard, and
//! `tests/golden/cli/PROFILE/attacks.txt` says why.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use mercury::device::{Device, Profile};
use mercury::guard::{Scope, guard};
use mercury::intent::{Attach, Description, Intent, PortName, PortVlans};
use mercury::lint::scenarios::{Scenario, request, running, scenarios};
use mercury::openconfig::PortState;
use mercury::plan::{Batch, Plan, plan};
use mercury::render::Payload;
use mercury::slice::Value;

use crate::cli_profiles::{SCHEMA, with_ports};
use crate::golden::Differences;

/// What is put behind a value or a line.
const SUFFIXES: [&str; 21] = [
    "\nreload",
    "\r",
    "\r\nreload",
    "\0",
    "\t",
    "\u{b}reload",
    "\u{1b}[A",
    "\u{7f}",
    "\u{85}reload",
    "\u{2028}reload",
    "\u{2029}reload",
    "; reload",
    " | tee /etc/passwd",
    " && reboot",
    "$(reboot)",
    "`reboot`",
    "' ; reboot; '",
    "\" ; reboot; \"",
    " -- set port other tag=1",
    "\n interface other",
    " ?",
];

/// Whole names of ports.
const PORTS: [&str; 12] = [
    "range eth1-48",
    "eth 1 mtu 9000",
    "all",
    "*",
    "-h",
    "--all",
    "../eth1",
    "eth1,eth2",
    "eth1-eth48",
    "{{ port }}",
    "eth1 unit 0",
    "e\u{301}th1",
];

/// Whole descriptions: what a device would take for a prompt, an error or an end.
const DESCRIPTIONS: [&str; 10] = [
    "switch#",
    "switch(config)#",
    "% Invalid input detected",
    "error: syntax",
    "--More--",
    "!",
    "^C",
    "\"",
    "'",
    "\\",
];

/// Whole names of VLANs.
const VLAN_NAMES: [&str; 6] = ["two words", "a\nreload", "a\r", "a;reload", "a' b", "\u{2028}"];

/// What a number of a VLAN is replaced by.
const VLANS: [&str; 12] =
    ["1-4094", "1..4094", "all", "none", "0100", "0", "4095", "99", "100,99", "100-101", "any", "+100"];

/// Whole lines, `PORT` and `OTHER` stand for names.
const LINES: [&str; 22] = [
    "",
    "!",
    "reload",
    "end",
    "username evil privilege 15 secret evil",
    "interface OTHER",
    "interface range PORT - 48",
    "default interface PORT",
    "interface PORT,OTHER",
    "no switchport trunk allowed vlan",
    "switchport trunk allowed vlan all",
    "switchport trunk allowed vlan add 1-4094",
    "switchport trunk allowed vlan except 100",
    "no switchport",
    "vlan 1-4094",
    "no vlan 1-4094",
    "no vlan 100",
    "vlan 4000",
    "delete interfaces",
    "ovs-vsctl del-br br0",
    "ovs-vsctl set port OTHER tag=100",
    "do write erase",
];

/// Comes to the same: every VLAN goes from the port before those that were planned are given to it.
const HARMLESS: [&str; 1] = ["config vlan member del all "];

/// What was tried, by why it was refused, in sections.
#[derive(Default)]
struct Found {
    text: String,
    reasons: BTreeMap<String, Vec<String>>,
    passed: Vec<String>,
}

impl Found {
    fn refused(&mut self, what: &str, why: &str) {
        assert!(!why.chars().any(char::is_control), "{why:?}");
        self.reasons.entry(why.to_owned()).or_default().push(what.to_owned());
    }

    /// Ends a section.
    fn section(&mut self, title: &str) {
        self.text += &format!("# {title}\n");
        for (why, mut what) in std::mem::take(&mut self.reasons) {
            what.dedup();
            self.text += &format!("{why}:\n");
            self.text += &format!("    {}\n", what.join(" · "));
        }
        self.text.push('\n');
    }
}

#[test]
fn attacks_are_refused_for_the_reasons_recorded() {
    let mut differences = Differences::default();
    let mut passed = Vec::new();
    for (profile, port) in with_ports("cli") {
        let mut found = Found::default();
        ports(&profile, &port, &mut found);
        found.section("names of ports");
        descriptions(&profile, &port, &mut found);
        found.section("descriptions");
        vlan_names(&profile, &port, &mut found);
        found.section("names of VLANs");
        payloads(&profile, &port, &mut found);
        let is_harmful = |what: &&String| !HARMLESS.iter().any(|harmless| what.contains(harmless));
        let harmful = found.passed.iter().filter(is_harmful);
        passed.extend(harmful.map(|what| format!("{}: {what}", profile.name)));
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/cli");
        differences.compare(&root.join(&profile.name).join("attacks.txt"), &found.text);
    }
    assert!(passed.is_empty(), "passed:\n{}", passed.join("\n"));
    differences.none();
}

fn attach(port: &str, description: Option<&str>) -> Result<Intent, String> {
    let refused = |error: mercury::intent::IntentError| error.to_string();
    Ok(Intent::Attach(Attach {
        port: PortName::new(port, "port").map_err(refused)?,
        vlans: PortVlans::Access { vlan: "100".parse().unwrap() },
        description: description
            .map(|text| Description::new(text, "description"))
            .transpose()
            .map_err(refused)?,
        mtu: None,
        enabled: None,
        default_vlan: None,
    }))
}

/// The lines of an attach, if nothing refuses it.
fn written(profile: &Arc<Profile>, port: &str, description: Option<&str>) -> Result<String, String> {
    let request = request(attach(port, description)?, Device::stand_in(profile.clone()));
    let before = running(&PortState::default(), port, profile);
    let plan = plan(&request, &before, &SCHEMA).map_err(|error| error.to_string())?;
    let batch = Batch::new(&[&plan], &request.device, &SCHEMA).map_err(|error| error.to_string())?;
    Ok(batch.payload.text().to_owned())
}

fn ports(profile: &Arc<Profile>, port: &str, found: &mut Found) {
    let suffixed = SUFFIXES.iter().map(|suffix| format!("{port}{suffix}"));
    let long = [format!("{port}{}", "1".repeat(300)), String::new(), format!(" {port}")];
    for name in suffixed.chain(PORTS.map(str::to_owned)).chain(long) {
        let is_word = name.starts_with(|c: char| c.is_ascii_alphanumeric())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_./,".contains(c));
        match written(profile, &name, None) {
            // A word that this system may have as a name harms nobody but itself.
            Ok(_) if is_word => found.refused(&short(&name), "taken as a name"),
            Ok(_) => found.passed.push(format!("port {}", short(&name))),
            Err(why) => found.refused(&short(&name), &without(&why, &name)),
        }
    }
}

/// A description is text: it may hold anything that the system takes for text, in a line of its own.
fn descriptions(profile: &Arc<Profile>, port: &str, found: &mut Found) {
    let plain = written(profile, port, Some("plain")).unwrap();
    let suffixed = SUFFIXES.iter().map(|suffix| format!("plain{suffix}"));
    let long = ["x".repeat(256), "x".repeat(255), "r\u{e9}seau \u{4e2d}".to_owned()];
    for text in suffixed.chain(DESCRIPTIONS.map(str::to_owned)).chain(long) {
        match written(profile, port, Some(&text)) {
            Ok(lines) => {
                let line = lines.lines().find(|line| !plain.contains(*line)).unwrap_or_default();
                found.refused(&short(line), "taken as text");
                if lines.lines().count() != plain.lines().count()
                    || lines.chars().any(|c| c != '\n' && ends_line(c))
                {
                    found.passed.push(format!("description {}", short(&text)));
                }
            }
            Err(why) => found.refused(&short(&text), &without(&why, &text)),
        }
    }
}

fn ends_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// A reason without the value that it names.
fn without(why: &str, value: &str) -> String {
    let why = why.replace(&format!("{value:?}"), "...");
    match why.split_once(" at position ") {
        Some((what, _)) => what.to_owned(),
        None => why,
    }
}

/// A VLAN's name comes from the device: the way back of a deletion would write it.
fn vlan_names(profile: &Arc<Profile>, port: &str, found: &mut Found) {
    // Of one that is not read nothing is known that could be written back.
    if profile.openconfig.network_instance.is_none() || profile.speaks.not_read().is_some() {
        return;
    }
    let scenario = named(profile, port, "VLAN 130 deleted");
    let (request, before) = scenario.request(port, profile);
    let entry =
        |path: &mercury::path::Path| path.to_string().contains("vlan-id='130'") && path.name() == "name";
    let path = before.iter().map(|(path, _)| path.clone()).find(entry).unwrap();
    for name in VLAN_NAMES {
        let mut before = before.clone();
        before.set(path.clone(), Value::Leaf(name.to_owned()));
        let plan = plan(&request, &before, &SCHEMA).unwrap();
        match Batch::new(&[&plan], &request.device, &SCHEMA) {
            Ok(batch) => {
                let line = batch.inverse.text().lines().find(|line| line.contains(name)).unwrap_or_default();
                found.refused(&short(line), "taken as text");
                if name.chars().any(ends_line) {
                    found.passed.push(format!("VLAN name {}", short(name)));
                }
            }
            Err(why) => found.refused(&short(name), &without(&why.to_string(), name)),
        }
    }
}

fn named(profile: &Arc<Profile>, port: &str, name: &str) -> Scenario {
    let all = scenarios(port, profile).unwrap();
    all.into_iter().find(|scenario| scenario.name.starts_with(name)).unwrap()
}

fn planned(profile: &Arc<Profile>, port: &str, scenario: &str) -> (Plan, Scope, String) {
    let (request, before) = named(profile, port, scenario).request(port, profile);
    let plan = plan(&request, &before, &SCHEMA).unwrap();
    let payload = Batch::new(&[&plan], &request.device, &SCHEMA).unwrap().payload.text().to_owned();
    let scope = Scope { wanted: plan.after.clone(), ..plan.scope.clone() };
    (plan, scope, payload)
}

fn payloads(profile: &Arc<Profile>, port: &str, found: &mut Found) {
    let other = other(port);
    for scenario in
        ["access 100 -> trunk native 100", "description set", "VLAN 130 added", "trunk -> access 100"]
    {
        let (_, scope, payload) = planned(profile, port, scenario);
        let judge = |text: String| guard(&Payload::Cli(text), &scope, profile, &SCHEMA);
        judge(payload.clone()).unwrap();
        let lines: Vec<&str> = payload.lines().collect();
        let with = |n: usize, line: &str| {
            let mut lines = lines.clone();
            lines[n] = line;
            lines.join("\n") + "\n"
        };
        let mut attacks: BTreeMap<String, Vec<String>> = BTreeMap::new();
        let mut add = |label: String, payload: String| attacks.entry(label).or_default().push(payload);
        for (n, line) in lines.iter().enumerate() {
            for suffix in SUFFIXES {
                add(format!("{} behind a line", short(suffix)), with(n, &format!("{line}{suffix}")));
            }
            if line.contains(port) {
                add("another port".to_owned(), with(n, &line.replacen(port, &other, 1)));
            }
            for id in ["100", "130"] {
                let words = line.split(|c: char| !c.is_ascii_digit()).filter(|word| *word == id);
                if words.count() == 1 {
                    VLANS.iter().for_each(|vlan| {
                        add(format!("{vlan} in place of a VLAN"), with(n, &line.replacen(id, vlan, 1)));
                    });
                }
            }
        }
        let is_trunk = !scenario.starts_with("access") && !scenario.starts_with("description");
        for line in LINES {
            let line = line.replace("PORT", port).replace("OTHER", &other);
            add(format!("the line {line:?}"), format!("{payload}{line}\n"));
            add(format!("the line {line:?}"), format!("{line}\n{payload}"));
            let inside = [&lines[..1], &[line.as_str()], &lines[1..]].concat().join("\n") + "\n";
            // A port that is no trunk has no list to lose.
            if is_trunk || line != "no switchport trunk allowed vlan" {
                add(format!("the line {line:?}"), inside);
            }
        }
        add("a line of 100 kB".to_owned(), format!("{payload}{}\n", "x".repeat(100_000)));
        add("nothing".to_owned(), String::new());
        for (label, payloads) in attacks {
            let mut reasons = Vec::new();
            for payload in payloads {
                match judge(payload.clone()) {
                    Ok(_) => found.passed.push(format!("{scenario}: {label}:\n{payload}")),
                    Err(mercury::guard::ScopeError::Outside { why, .. }) => reasons.push(why),
                    Err(error) => reasons.push(error.to_string()),
                }
            }
            reasons.sort();
            reasons.dedup();
            reasons.iter().for_each(|why| found.refused(&label, &without(why, "")));
        }
        let protected = Scope { protected: vec![port.parse().unwrap()], ..scope.clone() };
        match guard(&Payload::Cli(payload.clone()), &protected, profile, &SCHEMA) {
            // A VLAN that is put on no uplink is about no port.
            Ok(_) if scope.ports.is_empty() => {}
            Ok(_) => found.passed.push(format!("{scenario}: a protected port")),
            Err(why) => found.refused("a protected port", &why.to_string()),
        }
        found.section(scenario);
    }
    let (_, uplink, _) = planned(profile, port, "VLAN 130 added");
    for scenario in ["the trunk shrinks", "trunk -> access 100", "trunk -> detached, port down"] {
        let (_, _, payload) = planned(profile, port, scenario);
        match guard(&Payload::Cli(payload), &uplink, profile, &SCHEMA) {
            Ok(_) => found.passed.push(format!("an uplink: {scenario}")),
            Err(why) => found.refused(scenario, &why.to_string()),
        }
    }
    found.section("an uplink's VLANs");
}

/// Another port of the same kind.
fn other(port: &str) -> String {
    match port.char_indices().rev().find(|(_, c)| c.is_ascii_digit()) {
        Some((at, digit)) => {
            format!("{}{}", &port[..at], if digit == '7' { "8" } else { "7" }) + &port[at + 1..]
        }
        None => format!("{port}7"),
    }
}

fn short(text: &str) -> String {
    let shown = |c: char| match ends_line(c) {
        true => c.escape_default().collect(),
        false => c.to_string(),
    };
    let all: Vec<String> = text.chars().map(shown).collect();
    if all.len() > 90 { all[..90].concat() + "..." } else { all.concat() }
}
