//! The lines of a payload, one after the other, as the profile says what each does: none may be
//! unknown, reach another port or VLAN, or carry, even in between, a VLAN that the port neither had
//! nor is to have; and together they must come to what was planned.

use std::collections::{BTreeMap, BTreeSet};

use regex::Captures;

use super::{PortScope, Scope, ScopeError};
use crate::device::CliHabits;
use crate::device::cli::{LineRule, PortField, SetTo};
use crate::openconfig::{Interface, Mode, PortState, table_entry_of};
use crate::slice::{Slice, Value};
use crate::vlan::{VlanId, VlanSet};

/// Follows the lines from what runs to what shall run; what a port is behind each line about it.
pub(super) fn follow(lines: &str, scope: &Scope, habits: &CliHabits) -> Result<Vec<Slice>, ScopeError> {
    let mut follower = Follower {
        scope,
        habits,
        ports: scope.ports.keys().map(|port| (port.as_str(), state(&scope.running, port))).collect(),
        entries: entries(&scope.running),
        section: Section::None,
        between: Vec::new(),
    };
    for line in lines.split_terminator('\n') {
        let outside = |why| ScopeError::Outside { path: line.to_owned(), why };
        if line.chars().any(|c| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')) {
            return Err(outside("it holds what a device may take for the end of a line".to_owned()));
        }
        follower.line(line).map_err(outside)?;
    }
    follower.arrived()?;
    Ok(follower.between)
}

fn state(slice: &Slice, port: &str) -> PortState {
    PortState::of(slice, port).unwrap_or_default()
}

/// The VLANs of the table.
fn entries(slice: &Slice) -> BTreeSet<VlanId> {
    slice.iter().filter_map(|(path, _)| table_entry_of(path)).map(|(vlan, _)| vlan).collect()
}

struct Follower<'a> {
    scope: &'a Scope,
    habits: &'a CliHabits,
    ports: BTreeMap<&'a str, PortState>,
    entries: BTreeSet<VlanId>,
    section: Section<'a>,
    between: Vec<Slice>,
}

/// What following lines are about.
enum Section<'a> {
    None,
    Port(&'a str),
    Vlan(VlanId),
}

/// The VLANs that a port carries.
enum Carries {
    All,
    These(VlanSet),
}

impl<'a> Follower<'a> {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let in_vlan = matches!(self.section, Section::Vlan(_));
        let fitting = |rule: &'a LineRule| {
            Some((rule, rule.pattern.captures(line).filter(|_| in_vlan || !rule.in_vlan)?))
        };
        let Some((rule, captures)) = self.habits.lines.iter().find_map(fitting) else {
            return Err("the profile does not know what this line does".to_owned());
        };
        let group = |name: &str| captures.name(name).map(|group| group.as_str());
        if rule.leaves {
            self.section = Section::None;
        }
        let vlan = group("vlan").map(read_vlan).transpose()?;
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
            if this_vlan.is_none() {
                self.section = Section::Port(port);
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

    /// Whether one of the ports has it or is to have it: where a port is made a member in the VLAN's
    /// section, the section is entered before the port has it.
    fn is_held(&self, vlan: VlanId) -> bool {
        let holds = |state: &PortState| {
            [state.access, state.native].contains(&Some(vlan))
                || state.vlans.as_ref().is_some_and(|list| list.contains(vlan))
        };
        let in_one = |slice: &Slice| self.ports.keys().any(|port| holds(&state(slice, port)));
        in_one(&self.scope.running) || in_one(&self.scope.wanted) || self.ports.values().any(holds)
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

    fn port(
        &mut self,
        port: &'a str,
        rule: &LineRule,
        captures: &Captures,
        this_vlan: Option<VlanId>,
    ) -> Result<(), String> {
        let scope = &self.scope.ports[port];
        if self.scope.protected.iter().any(|pattern| pattern.matches(port)) {
            return Err(format!("port {port} is protected"));
        }
        let old = self.ports.get(port).cloned().unwrap_or_default();
        let mut new = old.clone();
        for (name, field) in PortField::ALL {
            let Some(text) = captures.name(name).map(|group| group.as_str()) else { continue };
            match field {
                PortField::Description if rule.is_json => {
                    new.description = Some(serde_json::from_str(text).map_err(|error| error.to_string())?);
                }
                PortField::Access | PortField::Native => new.set(field, &read_vlan(text)?.to_string())?,
                PortField::Vlans => new.set(field, plain(text)?)?,
                _ => new.set(field, text)?,
            }
        }
        for (field, value) in &rule.set {
            match value {
                SetTo::Text(text) => new.set(*field, text)?,
                SetTo::ThisVlan => {
                    let vlan = this_vlan.ok_or("it stands under no VLAN")?;
                    match field {
                        PortField::Vlans => {
                            new.vlans.get_or_insert_default().insert(vlan);
                        }
                        _ => new.set(*field, &vlan.to_string())?,
                    }
                }
            }
        }
        let list = |name| {
            let read = |text: &str| VlanSet::parse_list(plain(text)?).map_err(|error| error.to_string());
            captures.name(name).map(|group| read(group.as_str())).transpose()
        };
        if let Some(add) = list("add")? {
            // A port without any mode carries nothing, so its list begins here.
            if old.mode.or(self.habits.in_force.mode).is_none() {
                new.vlans.get_or_insert_default();
            }
            // To add to a list that is not there narrows nothing.
            let into =
                new.vlans.as_mut().ok_or("a VLAN is added where no list is, which carries every VLAN")?;
            add.iter().for_each(|vlan| into.insert(vlan));
        }
        if let Some(gone) = list("remove")? {
            let from = new.vlans.as_ref().ok_or("a VLAN is taken from a list that is not there")?;
            new.vlans = Some(from.iter().filter(|vlan| !gone.contains(*vlan)).collect());
        }
        rule.unset.iter().for_each(|field| match (field, this_vlan) {
            (PortField::Vlans, Some(vlan)) => {
                let rest = |list: &VlanSet| list.iter().filter(|other| *other != vlan).collect();
                new.vlans = new.vlans.as_ref().map(rest);
            }
            // What is another VLAN stays.
            (PortField::Access, Some(vlan)) if new.access != Some(vlan) => {}
            (PortField::Native, Some(vlan)) if new.native != Some(vlan) => {}
            (PortField::Mode, Some(_)) => {}
            (field, _) => new.unset(*field),
        });
        // The mode goes with the last VLAN.
        let is_empty = new.vlans.as_ref().is_none_or(VlanSet::is_empty);
        if this_vlan.is_some() && rule.unset.contains(&PortField::Mode) && is_empty {
            new.mode = new.mode.filter(|_| new.access.or(new.native).is_some());
        }
        self.judge(port, scope, &old, &new)?;
        if new != old {
            let kind = self.scope.running.leaf(&Interface::new(port).kind).unwrap_or_default();
            let mut slice = Slice::default();
            new.write(port, kind, &self.habits.in_force, &mut slice);
            self.between.push(slice);
        }
        self.ports.insert(port, new);
        Ok(())
    }

    /// One step of a port.
    fn judge(&self, port: &str, scope: &PortScope, old: &PortState, new: &PortState) -> Result<(), String> {
        let gained = gained(old, new);
        if let Some(vlan) = gained.iter().find(|vlan| !scope.vlans.contains(*vlan)) {
            return Err(format!("VLAN {vlan} is not one this port may get"));
        }
        if scope.keeps.is_some() && (old.access, old.native, old.mode) != (new.access, new.native, new.mode) {
            return Err("of an uplink only the list of VLANs is changed".to_owned());
        }
        // On the way back it has yet to get some of what it shall keep.
        let (had, has) = (self.carries(old), self.carries(new));
        let kept = |keeps: &VlanSet| keeps.iter().all(|vlan| has.contains(vlan) || !had.contains(vlan));
        if !scope.keeps.as_ref().is_none_or(kept) {
            return Err("the uplink would lose a VLAN that was not named".to_owned());
        }
        let (was, will) = (state(&self.scope.running, port), state(&self.scope.wanted, port));
        if new.description != old.description
            && new.description.is_some()
            && new.description != will.description
        {
            return Err("this description was not asked for".to_owned());
        }
        if new.mtu != old.mtu && new.mtu != will.mtu {
            return Err("this MTU was not asked for".to_owned());
        }
        if new.stp_edge != old.stp_edge && new.stp_edge != will.stp_edge {
            return Err("this STP edge was not asked for".to_owned());
        }
        if new.bpdu_guard != old.bpdu_guard && new.bpdu_guard != will.bpdu_guard {
            return Err("this BPDU guard was not asked for".to_owned());
        }
        let may = |vlan| self.carries(&was).contains(vlan) || self.carries(&will).contains(vlan);
        match self.carries(new) {
            _ if new.enabled == Some(false) => Ok(()),
            Carries::All if matches!(self.carries(&was), Carries::All) || scope.opens => Ok(()),
            Carries::All => Err("the port would carry every VLAN here".to_owned()),
            Carries::These(list) => match list.iter().find(|vlan| !may(*vlan)) {
                Some(vlan) => {
                    Err(format!("here the port would carry VLAN {vlan}, which it neither had nor gets"))
                }
                None => Ok(()),
            },
        }
    }

    fn carries(&self, state: &PortState) -> Carries {
        let in_force = &self.habits.in_force;
        match state.mode.or(in_force.mode) {
            // Without a mode a port with an access VLAN of its own begins in that.
            None | Some(Mode::Access) => {
                Carries::These(state.access.or(in_force.access).into_iter().collect())
            }
            Some(Mode::Trunk) => match &state.vlans {
                None => Carries::All,
                Some(list) => Carries::These(list.iter().chain(state.native).collect()),
            },
        }
    }

    /// Whether the lines came to what was planned, no less and no more.
    fn arrived(&self) -> Result<(), ScopeError> {
        let (running, wanted) = (&self.scope.running, &self.scope.wanted);
        // Where there need not be a mode, an access port without a VLAN is as good as none.
        let says_mode = |state: &PortState| state.mode != Some(Mode::Access) || state.access.is_some();
        let with_default = |state: &PortState, of: &Self| PortState {
            mode: of
                .habits
                .in_force
                .mode
                .map_or(state.mode.filter(|_| says_mode(state)), |mode| Some(state.mode.unwrap_or(mode))),
            enabled: state.enabled.or(of.habits.in_force.enabled),
            access: state.access.or(of.habits.in_force.access),
            native: state.native.or(of.habits.in_force.native),
            mtu: state.mtu.or(of.habits.in_force.mtu),
            // Where there need not be a mode, an empty list says nothing but in a trunk.
            vlans: state.vlans.clone().filter(|list| {
                !list.is_empty() || of.habits.in_force.mode.is_some() || state.mode == Some(Mode::Trunk)
            }),
            ..state.clone()
        };
        for (port, found) in &self.ports {
            let planned = state(wanted, port);
            let modes = (found.mode, planned.mode);
            let (mut found, mut planned) = (with_default(found, self), with_default(&planned, self));
            if modes.0 == modes.1 {
                (found.mode, planned.mode) = modes;
            }
            if found != planned {
                let why = format!("the lines leave {}", different(&found, &planned));
                return Err(ScopeError::Outside { path: format!("port {port}"), why });
            }
        }
        let planned = entries(wanted);
        let asked = self.scope.vlan_entries.keys().filter_map(table_entry_of).map(|(vlan, _)| vlan);
        match asked.into_iter().find(|vlan| self.entries.contains(vlan) != planned.contains(vlan)) {
            Some(vlan) => {
                let word = if planned.contains(&vlan) { "not created" } else { "not deleted" };
                let why = format!("{word} by these lines ({} were there)", entries(running).len());
                Err(ScopeError::Outside { path: format!("VLAN {vlan}"), why })
            }
            None => Ok(()),
        }
    }
}

impl Carries {
    fn contains(&self, vlan: VlanId) -> bool {
        match self {
            Carries::All => true,
            Carries::These(list) => list.contains(vlan),
        }
    }
}

/// The fields in which two states differ, in words.
fn different(found: &PortState, planned: &PortState) -> String {
    let words = |state: &PortState| {
        let list = |list: &VlanSet| if list.is_empty() { "none".to_owned() } else { list.to_string() };
        [
            ("mode", state.mode.map(|mode| mode.as_str().to_ascii_lowercase())),
            ("access", state.access.map(|vlan| vlan.to_string())),
            ("native", state.native.map(|vlan| vlan.to_string())),
            ("vlans", state.vlans.as_ref().map(list)),
            ("description", state.description.as_ref().map(|text| format!("{text:?}"))),
            ("enabled", state.enabled.map(|enabled| enabled.to_string())),
            ("mtu", state.mtu.map(|mtu| mtu.to_string())),
            ("STP edge", state.stp_edge.map(|edge| edge.as_str().to_owned())),
            ("BPDU guard", state.bpdu_guard.map(|guard| guard.to_string())),
        ]
    };
    let unset = |value: Option<String>| value.unwrap_or_else(|| "unset".to_owned());
    let pairs = words(found).into_iter().zip(words(planned)).filter(|(found, planned)| found != planned);
    let told: Vec<String> = pairs
        .map(|((field, found), (_, planned))| {
            format!("{field} {}, planned is {}", unset(found), unset(planned))
        })
        .collect();
    told.join("; ")
}

/// Every VLAN that a step puts on a port.
fn gained(old: &PortState, new: &PortState) -> VlanSet {
    let single = [(old.access, new.access), (old.native, new.native)];
    let single = single.into_iter().filter(|(old, new)| old != new).filter_map(|(_, new)| new);
    let had = |vlan: &VlanId| old.vlans.as_ref().is_some_and(|list| list.contains(*vlan));
    let listed = new.vlans.iter().flat_map(VlanSet::iter).filter(|vlan| !had(vlan));
    single.chain(listed).collect()
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
    use crate::device::{Profiles, Speaks};
    use crate::guard::EntryScope;
    use crate::openconfig::{network_instance_of, table_entry};

    #[test]
    fn a_vlan_that_is_deleted_by_its_name_is_the_one_that_was_asked_for() {
        let profile = &Profiles::default().get("juniper_junos").unwrap();
        let Speaks::Cli(habits) = &profile.speaks else { panic!("it has a command line") };
        let instance = network_instance_of(profile).unwrap();
        let entry = |id: i64| table_entry(&instance, VlanId::new(id).unwrap());
        let mut scope = Scope::default();
        for (id, name) in [(100, "blue"), (200, "red")] {
            scope.running.set_leaf(entry(id).child("vlan-id"), &id.to_string());
            scope.running.set_leaf(entry(id).child("config").child("name"), name);
        }
        scope.wanted.set_leaf(entry(200).child("vlan-id"), "200");
        scope.vlan_entries.insert(entry(100), EntryScope { removes: true, ..EntryScope::default() });
        assert_eq!(follow("delete vlans blue\n", &scope, habits), Ok(Vec::new()));
        for wrong in ["delete vlans red\n", "delete vlans green\n", ""] {
            assert!(follow(wrong, &scope, habits).is_err(), "{wrong:?}");
        }
    }

    #[test]
    fn the_section_of_a_vlan_that_a_port_is_to_get_may_be_entered() {
        let profile = &Profiles::default().get("cisco_ios").unwrap();
        let Speaks::Cli(habits) = &profile.speaks else { panic!("it has a command line") };
        let mut scope = Scope::default();
        let port = PortScope { vlans: "100".parse().unwrap(), ..PortScope::default() };
        scope.ports.insert("eth1".to_owned(), port);
        let state = PortState { access: Some(VlanId::known(100)), ..PortState::default() };
        state.write("eth1", "iana-if-type:ethernetCsmacd", &habits.in_force, &mut scope.wanted);
        let lines = "interface eth1\nshutdown\nswitchport access vlan 100\nno shutdown\nexit\n";
        assert!(follow(&format!("vlan 100\nexit\n{lines}"), &scope, habits).is_ok());
        assert!(follow(&format!("vlan 101\nexit\n{lines}"), &scope, habits).is_err());
    }
}
