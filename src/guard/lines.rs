//! The lines of a payload, one after the other, as the profile says what each does: none may be
//! unknown, reach another port or VLAN, or carry, even in between, a VLAN that the port neither had
//! nor is to have; and together they must come to what was planned.

mod end;
mod port;

use std::collections::{BTreeMap, BTreeSet};

use super::{Scope, ScopeError};
use crate::device::language::{Language, LineRule, PortField};
use crate::openconfig::{Mode, PortState, table_entry_of};
use crate::slice::{Slice, Value};
use crate::vlan::{VlanId, VlanSet};

/// How lines take effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// All or none of them, and nothing between two.
    AtOnce,
    OneByOne,
    /// The same, on a port of which nobody knows what it holds before.
    Unseen,
}

/// Follows the lines from what runs to what shall run; what a port is behind each line about it.
pub(super) fn follow<'a>(
    lines: &'a str,
    scope: &'a Scope,
    language: &'a Language,
    taken: Taken,
) -> Result<Vec<Slice>, ScopeError> {
    let states = |slice: &Slice| -> BTreeMap<&str, PortState> {
        scope.ports.keys().map(|port| (port.as_str(), state(slice, port, language))).collect()
    };
    let mut follower = Follower {
        scope,
        language,
        taken,
        ports: states(&scope.running),
        was: states(&scope.running),
        will: states(&scope.wanted),
        entries: entries(&scope.running),
        section: Section::None,
        open: None,
        told_all: BTreeSet::new(),
        followed: BTreeSet::new(),
        between: Vec::new(),
    };
    for line in lines.split_terminator('\n') {
        let outside = |why| ScopeError::Outside { path: line.to_owned(), why };
        if line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(outside("it holds what a device may take for the end of a line".to_owned()));
        }
        follower.line(line).map_err(outside)?;
        follower.followed.insert(line);
    }
    if let Some(open) = follower.open {
        return Err(ScopeError::Outside { path: open.to_owned(), why: "it is not left".to_owned() });
    }
    follower.arrived()?;
    Ok(follower.between)
}

/// With one list for both modes the VLAN of an access port is what is in the list.
fn state(slice: &Slice, port: &str, language: &Language) -> PortState {
    let state = PortState::of(slice, port).unwrap_or_default();
    match state.mode {
        Some(Mode::Access) | None if language.one_list => {
            let list = state.access.into_iter().collect::<VlanSet>();
            let is_none = state.mode.is_none() && list.is_empty();
            PortState { access: None, vlans: (!is_none).then_some(list), ..state }
        }
        _ => state,
    }
}

fn holds(state: &PortState, vlan: VlanId) -> bool {
    [state.access, state.native].contains(&Some(vlan))
        || state.vlans.as_ref().is_some_and(|list| list.contains(vlan))
}

/// The VLANs of the table.
fn entries(slice: &Slice) -> BTreeSet<VlanId> {
    slice.iter().filter_map(|(path, _)| table_entry_of(path)).map(|(vlan, _)| vlan).collect()
}

struct Follower<'a> {
    scope: &'a Scope,
    language: &'a Language,
    taken: Taken,
    ports: BTreeMap<&'a str, PortState>,
    /// What they are before the first line, and shall be behind the last.
    was: BTreeMap<&'a str, PortState>,
    will: BTreeMap<&'a str, PortState>,
    entries: BTreeSet<VlanId>,
    section: Section<'a>,
    /// The line that began what has to be left next.
    open: Option<&'a str>,
    /// Ports of which a line has said every VLAN of their list.
    told_all: BTreeSet<&'a str>,
    /// The lines so far.
    followed: BTreeSet<&'a str>,
    between: Vec<Slice>,
}

/// What following lines are about.
enum Section<'a> {
    None,
    Port(&'a str),
    Vlan(VlanId),
}

impl<'a> Follower<'a> {
    fn line(&mut self, line: &'a str) -> Result<(), String> {
        let in_vlan = matches!(self.section, Section::Vlan(_));
        let fitting = |rule: &'a LineRule| {
            Some((rule, rule.pattern.captures(line).filter(|_| in_vlan || !rule.in_vlan)?))
        };
        let Some((rule, captures)) = self.language.lines.iter().find_map(fitting) else {
            return Err("the profile does not know what this line does".to_owned());
        };
        let group = |name: &str| captures.name(name).map(|group| group.as_str());
        let here = |line: &String| {
            let port = line.replace("$port", group("port").unwrap_or_default());
            port.replace("$vlan", group("vlan").unwrap_or_default())
        };
        if let Some(missing) = rule.needs.iter().map(here).find(|line| !self.followed.contains(line.as_str()))
        {
            return Err(format!("it needs `{missing}` before it"));
        }
        if let Some(open) = self.open.take().filter(|_| !rule.leaves) {
            return Err(format!("it stands within `{open}`"));
        }
        self.open = rule.opens.then_some(line);
        if rule.leaves {
            self.section = Section::None;
        }
        let vlan = group("vlan").map(read_vlan).transpose()?;
        if let Some(again) = group("vlan_again").filter(|again| group("vlan") != Some(again)) {
            return Err(format!("it names VLAN {again}, too, which is another"));
        }
        // With a port in the line it is the port's VLAN, and nothing of the table.
        if let Some(vlan) = vlan.filter(|_| group("port").is_none()) {
            self.table(vlan, rule, group("name"))?;
        } else if let (true, Some(name)) = (rule.deletes_vlan, group("name")) {
            self.table(self.named(name)?, rule, None)?;
        } else if let Some(name) = group("name") {
            let Section::Vlan(vlan) = self.section else { return Err("there is no VLAN to name".to_owned()) };
            self.name(vlan, name)?;
        }
        let this_vlan = match self.section {
            Section::Vlan(vlan) => Some(vlan),
            _ => vlan,
        };
        if let Some(name) = group("port") {
            let known = self.ports.keys().copied().find(|port| *port == name);
            let port = known.ok_or_else(|| format!("port {name} was not asked for"))?;
            match vlan {
                Some(vlan) if !self.may_name(port, vlan) => {
                    return Err(format!("VLAN {vlan} is none of port {name}"));
                }
                _ if this_vlan.is_none() => self.section = Section::Port(port),
                _ => {}
            }
            return self.port(port, rule, &captures, this_vlan);
        }
        let is_about_port = !rule.set.is_empty()
            || !rule.unset.is_empty()
            || PortField::ALL.iter().any(|(name, _)| group(name).is_some())
            || group("add").or(group("remove")).is_some();
        match self.section {
            Section::Port(port) => self.port(port, rule, &captures, this_vlan),
            _ if is_about_port => Err("it stands under no port".to_owned()),
            _ => Ok(()),
        }
    }

    fn table(&mut self, vlan: VlanId, rule: &LineRule, name: Option<&str>) -> Result<(), String> {
        let scope = self
            .scope
            .vlan_entries
            .iter()
            .find(|(entry, _)| table_entry_of(entry).is_some_and(|(known, _)| known == vlan));
        match (scope, rule.deletes_vlan) {
            (Some((_, scope)), true) if scope.removes => drop(self.entries.remove(&vlan)),
            (_, true) => return Err(format!("VLAN {vlan} is not ours to delete")),
            (Some((_, scope)), false) if scope.creates => drop(self.entries.insert(vlan)),
            // To enter the section of a VLAN that is there changes nothing.
            (_, false) if self.entries.contains(&vlan) || self.is_held(vlan) => {}
            (_, false) => return Err(format!("VLAN {vlan} is not ours to create")),
        }
        self.section = if rule.deletes_vlan || rule.leaves { Section::None } else { Section::Vlan(vlan) };
        name.map_or(Ok(()), |name| self.name(vlan, name))
    }

    /// The VLAN that has this name.
    fn named(&self, name: &str) -> Result<VlanId, String> {
        let is_named = |vlan: &VlanId| {
            let names = self.scope.running.iter().filter_map(|(path, value)| {
                let (_, entry) = table_entry_of(path).filter(|(known, _)| known == vlan)?;
                (*path == entry.child("config").child("name")).then_some(value)
            });
            let given = names.last().cloned();
            // One that we made without a name has the one that it was made with.
            given.unwrap_or_else(|| Value::Leaf(format!("VLAN{:04}", vlan.as_u16())))
                == Value::Leaf(name.to_owned())
        };
        let mut named = self.entries.iter().copied().filter(is_named);
        match (named.next(), named.next()) {
            (Some(vlan), None) => Ok(vlan),
            (None, _) => Err(format!("no VLAN is named {name:?}")),
            (Some(_), Some(_)) => Err(format!("several VLANs are named {name:?}")),
        }
    }

    /// Whether a line may be about this VLAN on this port: it has it, had it, or may get it. What carries
    /// nothing by itself still touches what is there under this name.
    fn may_name(&self, port: &str, vlan: VlanId) -> bool {
        let may_get = self.scope.ports[port].vlans.contains(vlan);
        may_get || holds(&self.was[port], vlan) || holds(&self.will[port], vlan)
    }

    /// Whether one of the ports has it or is to have it: where a port is made a member in the VLAN's
    /// section, the section is entered before the port has it.
    fn is_held(&self, vlan: VlanId) -> bool {
        let all = [&self.was, &self.will, &self.ports];
        all.into_iter().flat_map(BTreeMap::values).any(|state| holds(state, vlan))
    }

    fn name(&self, vlan: VlanId, name: &str) -> Result<(), String> {
        let entries = self.scope.vlan_entries.iter();
        let mut ours = entries.filter(|(entry, scope)| {
            scope.creates && table_entry_of(entry).is_some_and(|(known, _)| known == vlan)
        });
        let wanted = ours.next().map(|(_, scope)| {
            scope.leaves.get("name").cloned().unwrap_or_else(|| format!("VLAN{:04}", vlan.as_u16()))
        });
        match wanted {
            Some(wanted) if wanted == name => Ok(()),
            _ => Err(format!("VLAN {vlan} is not to be named {name:?}")),
        }
    }
}

/// A VLAN in plain decimal.
fn read_vlan(text: &str) -> Result<VlanId, String> {
    plain(text)?.parse().map_err(|error| format!("{error}"))
}

/// A list in which no number begins with a zero, which some systems read as octal.
fn plain(text: &str) -> Result<&str, String> {
    let numbers = text.split(|c: char| !c.is_ascii_digit());
    match numbers.into_iter().any(|number| number.starts_with('0')) {
        true => Err(format!("`{text}` is not in plain decimal")),
        false => Ok(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Profiles, own_profile};
    use crate::guard::{EntryScope, PortScope};
    use crate::lint::port_like;
    use crate::openconfig::table_entry;

    #[test]
    fn a_vlan_that_is_deleted_by_its_name_is_the_one_that_was_asked_for() {
        let profile = &Profiles::default().get("juniper_junos").unwrap();
        let language = profile.speaks.language().unwrap();
        let instance = profile.network_instance().unwrap();
        let entry = |id: i64| table_entry(&instance, VlanId::new(id).unwrap());
        let mut scope = Scope::default();
        for (id, name) in [(100, "blue"), (200, "red")] {
            scope.running.set_leaf(entry(id).child("vlan-id"), &id.to_string());
            scope.running.set_leaf(entry(id).child("config").child("name"), name);
        }
        scope.wanted.set_leaf(entry(200).child("vlan-id"), "200");
        scope.vlan_entries.insert(entry(100), EntryScope { removes: true, ..EntryScope::default() });
        assert_eq!(follow("delete vlans blue\n", &scope, language, Taken::OneByOne), Ok(Vec::new()));
        for wrong in ["delete vlans red\n", "delete vlans green\n", ""] {
            assert!(follow(wrong, &scope, language, Taken::OneByOne).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn a_line_about_a_vlan_of_a_port_names_one_vlan_that_is_the_ports() {
        let text = r#"
            like = "sonic"
            [[cli.lines]]
            match = 'member (?<port>\S+) (?<vlan>\d+) of bridge (?<vlan_again>\d+)'
            set = { mode = "trunk", vlans = "$vlan" }
            needs = ["tag $port $vlan"]
            opens = true
            [[cli.lines]]
            match = 'root'
            leaves = true
            [[cli.lines]]
            match = 'tag (?<port>\S+) (?<vlan>\d+)'
        "#;
        let profile = &own_profile(text);
        let language = profile.speaks.language().unwrap();
        let mut scope = Scope::default();
        let port = PortScope { vlans: "100".parse().unwrap(), ..PortScope::default() };
        scope.ports.insert("eth1".to_owned(), port);
        let list = |list: &str| PortState {
            mode: Some(Mode::Trunk),
            vlans: Some(list.parse().unwrap()),
            ..PortState::default()
        };
        let kind = "iana-if-type:ethernetCsmacd";
        list("7").write("eth1", kind, &language.in_force, &mut scope.running);
        list("7,100").write("eth1", kind, &language.in_force, &mut scope.wanted);
        let lines = "tag eth1 100\nmember eth1 100 of bridge 100\nroot\n";
        assert_eq!(follow(lines, &scope, language, Taken::OneByOne).map(|between| between.len()), Ok(1));
        assert!(follow(&format!("tag eth1 7\n{lines}"), &scope, language, Taken::OneByOne).is_ok());
        for wrong in ["tag eth1 101\n", "member eth1 100 of bridge 101\n", "member eth1 100 of bridge 0100\n"]
        {
            let why = follow(&format!("tag eth1 100\n{wrong}{lines}"), &scope, language, Taken::OneByOne)
                .unwrap_err()
                .to_string();
            assert!(why.contains("VLAN"), "{wrong}: {why}");
        }
        for untagged in ["", "tag eth1 7\n"] {
            let why = follow(
                &format!("{untagged}member eth1 100 of bridge 100\n"),
                &scope,
                language,
                Taken::OneByOne,
            )
            .unwrap_err();
            assert!(why.to_string().contains("it needs `tag eth1 100` before it"), "{why}");
        }
        for (after, words) in
            [("", "it is not left"), ("tag eth1 7\nroot\n", "it stands within `member eth1 100")]
        {
            let lines = format!("tag eth1 100\nmember eth1 100 of bridge 100\n{after}");
            let why = follow(&lines, &scope, language, Taken::OneByOne).unwrap_err().to_string();
            assert!(why.contains(words), "{why}");
        }
    }

    /// Where nobody knows what a port holds, adding to it is right only behind a line that says all of it.
    #[test]
    fn nothing_is_added_to_what_nobody_knows() {
        let kind = "iana-if-type:ethernetCsmacd";
        for (profile, adds, says_all) in [
            (
                "supermicro_smis",
                "switchport trunk allowed vlan add 100",
                "switchport trunk allowed vlan none",
            ),
            ("pluribus", "port-vlan-add port 1 vlans 100", "vlan-port-remove vlan-range all ports 1"),
        ] {
            let profile = &Profiles::default().get(profile).unwrap();
            let language = profile.speaks.language().unwrap();
            let port = port_like(language).unwrap();
            let mut scope = Scope::default();
            let vlans = PortScope { vlans: "100".parse().unwrap(), ..PortScope::default() };
            scope.ports.insert(port.to_owned(), vlans);
            PortState::default().write(port, kind, &language.in_force, &mut scope.running);
            let trunk = PortState {
                mode: Some(Mode::Trunk),
                vlans: Some("100".parse().unwrap()),
                ..PortState::default()
            };
            trunk.write(port, kind, &language.in_force, &mut scope.wanted);
            let is_sectioned = language.line_rule("exit").is_some();
            let lines = |lines: &[&str]| match is_sectioned {
                true => format!("interface {port}\n{}\nswitchport mode trunk\nexit\n", lines.join("\n")),
                false => format!("{}\n", lines.join("\n")),
            };
            assert_eq!(follow(&lines(&[says_all, adds]), &scope, language, Taken::Unseen).map(drop), Ok(()));
            let why = follow(&lines(&[adds]), &scope, language, Taken::Unseen).unwrap_err().to_string();
            assert!(why.contains("added to others that nobody knows"), "{why}");
        }
    }

    /// In which VLAN an access port is that was none before, or that no line has put into one, is not known.
    #[test]
    fn a_port_is_in_no_vlan_that_nobody_knows() {
        let profile = &Profiles::default().get("supermicro_smis").unwrap();
        let language = profile.speaks.language().unwrap();
        let mut scope = Scope::default();
        let vlans = PortScope { vlans: "100".parse().unwrap(), ..PortScope::default() };
        scope.ports.insert("fx-ethernet 0/1".to_owned(), vlans);
        let kind = "iana-if-type:ethernetCsmacd";
        PortState::default().write("fx-ethernet 0/1", kind, &language.in_force, &mut scope.running);
        let access = PortState {
            mode: Some(Mode::Access),
            access: Some(VlanId::known(100)),
            enabled: Some(true),
            ..PortState::default()
        };
        access.write("fx-ethernet 0/1", kind, &language.in_force, &mut scope.wanted);
        let follow = |lines: &[&str]| {
            let lines = format!("interface fx-ethernet 0/1\n{}\nexit\n", lines.join("\n"));
            super::follow(&lines, &scope, language, Taken::Unseen).map(drop)
        };
        let (vlan, mode) = ("switchport access vlan 100", "switchport mode access");
        assert_eq!(follow(&[vlan, mode, "no shutdown"]), Ok(()));
        assert_eq!(follow(&["shutdown", mode, vlan, "no shutdown"]), Ok(()));
        let why = follow(&[mode, vlan, "no shutdown"]).unwrap_err().to_string();
        assert!(why.contains("a VLAN that nobody knows"), "{why}");
    }

    /// A port that is put into a VLAN in the VLAN's own section is added to those it is in.
    #[test]
    fn nothing_is_added_in_the_section_of_a_vlan_to_what_nobody_knows() {
        let text = r#"
            like = "supermicro_smis"
            [[cli.own_lines]]
            match = 'tagged (?<port>\S+)'
            set = { mode = "trunk", vlans = "$vlan" }
            in_vlan = true
            [[cli.own_lines]]
            match = 'clear (?<port>\S+)'
            set = { vlans = "none" }
        "#;
        let profile = &own_profile(text);
        let language = profile.speaks.language().unwrap();
        let mut scope = Scope::default();
        let vlans = PortScope { vlans: "100".parse().unwrap(), ..PortScope::default() };
        scope.ports.insert("eth1".to_owned(), vlans);
        let kind = "iana-if-type:ethernetCsmacd";
        PortState::default().write("eth1", kind, &language.in_force, &mut scope.running);
        let trunk = PortState {
            mode: Some(Mode::Trunk),
            vlans: Some("100".parse().unwrap()),
            ..PortState::default()
        };
        trunk.write("eth1", kind, &language.in_force, &mut scope.wanted);
        let lines = "vlan 100\ntagged eth1\nexit\n";
        assert_eq!(
            follow(&format!("clear eth1\n{lines}"), &scope, language, Taken::Unseen).map(drop),
            Ok(())
        );
        let why = follow(lines, &scope, language, Taken::Unseen).unwrap_err().to_string();
        assert!(why.contains("added to others that nobody knows"), "{why}");
    }

    #[test]
    fn the_section_of_a_vlan_that_a_port_is_to_get_may_be_entered() {
        let profile = &Profiles::default().get("cisco_ios").unwrap();
        let language = profile.speaks.language().unwrap();
        let mut scope = Scope::default();
        let port = PortScope { vlans: "100".parse().unwrap(), ..PortScope::default() };
        scope.ports.insert("eth1".to_owned(), port);
        let state = PortState { access: Some(VlanId::known(100)), ..PortState::default() };
        state.write("eth1", "iana-if-type:ethernetCsmacd", &language.in_force, &mut scope.wanted);
        let lines = "interface eth1\nshutdown\nswitchport access vlan 100\nno shutdown\nexit\n";
        assert!(follow(&format!("vlan 100\nexit\n{lines}"), &scope, language, Taken::OneByOne).is_ok());
        assert!(follow(&format!("vlan 101\nexit\n{lines}"), &scope, language, Taken::OneByOne).is_err());
    }
}
