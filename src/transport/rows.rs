//! What commands print or nodes of a model hold, as a slice: the profile's rules make rows of it, its
//! expressions say what the rows mean. Pure. What does not fit is an error; nothing is guessed.

mod ports;
mod state;
mod text;

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Serde;
use minijinja::{Value, context};

use crate::device::language::{Expression, Format, PortField, ReadRule};
use crate::device::{Language, Profile};
use crate::openconfig::{INTERFACES, Interface, NETWORK_INSTANCES, PortState, SPANNING_TREE, table_entry};
use crate::path::Path;
use crate::slice::{Slice, Value as Node};
use crate::vlan::VlanId;
pub(crate) use state::reported;
use text::TextReader;

/// What is to be read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(in crate::transport) struct Wanted {
    /// None: every port.
    ports: Option<BTreeSet<String>>,
    /// Whether the VLAN table is part of it.
    table: bool,
    /// Whether what the spanning tree knows of the ports is.
    tree: bool,
}

/// From so many ports on it is quicker to ask once about every port: most systems make the whole
/// configuration before they show a part of it.
const MANY: usize = 4;

/// What was read so far, by port and by VLAN.
#[derive(Debug, Default)]
pub(in crate::transport) struct Rows {
    ports: BTreeMap<String, Row>,
    /// Ports that are there.
    named: BTreeSet<String>,
    /// Of those, the ones that could not be set.
    hidden: BTreeSet<String>,
    /// Those of which a line could not be read.
    unread: BTreeMap<String, String>,
    vlans: BTreeMap<VlanId, Row>,
    /// Some of what tells about ports was not read.
    is_partial: bool,
}

type Row = BTreeMap<String, Option<String>>;

impl Wanted {
    pub(in crate::transport) fn of(paths: &[Path]) -> Self {
        let (mut ports, mut every, mut table, mut tree) = (BTreeSet::new(), false, false, false);
        for path in paths {
            let step = |n: usize| path.steps().get(n);
            let is = |n, name: &str| step(n).is_some_and(|step| name.ends_with(&step.name));
            let port = step(1).and_then(|step| step.keys.first());
            match port {
                _ if is(0, NETWORK_INSTANCES) => table = true,
                Some((_, port)) if is(0, INTERFACES) => drop(ports.replace(port.clone())),
                // Most often the same commands tell it.
                None if is(0, SPANNING_TREE) => {
                    tree = true;
                    ports.extend(step(2).and_then(|step| Some(step.keys.first()?.1.clone())));
                }
                _ => every = true,
            }
        }
        Self { ports: (!every).then_some(ports), table, tree }
    }

    /// The commands that tell it, each with the rule that reads its output.
    pub(in crate::transport) fn commands<'h>(
        &self,
        language: &'h Language,
    ) -> Result<Vec<(&'h ReadRule, String)>, String> {
        self.commands_of(&language.reads, language)
    }

    fn commands_of<'h>(
        &self,
        rules: &'h [ReadRule],
        language: &Language,
    ) -> Result<Vec<(&'h ReadRule, String)>, String> {
        let mut commands = Vec::new();
        for rule in rules {
            let ports = self.ports.as_ref();
            if rule.of_table {
                if self.table {
                    commands.push((rule, text(&rule.command, &context! {})?));
                }
                continue;
            }
            if rule.of_spanning_tree && !self.tree {
                continue;
            }
            match ports {
                Some(ports) if ports.is_empty() => {}
                Some(ports) if rule.each_port && (ports.len() < MANY || rule.all.is_none()) => {
                    for port in ports {
                        check(language, port)?;
                        commands.push((rule, text(&rule.command, &context! { port })?));
                    }
                }
                None if rule.each_port && rule.all.is_none() => {
                    return Err("the profile does not say how every port is read".to_owned());
                }
                Some(ports) if !rule.each_port => {
                    ports.iter().try_for_each(|port| check(language, port))?;
                    commands.push((rule, text(&rule.command, &context! { ports })?));
                }
                _ => {
                    let (all, none) = (rule.all.as_ref(), None::<Vec<String>>);
                    commands.push((rule, text(all.unwrap_or(&rule.command), &context! { ports => none })?));
                }
            }
        }
        Ok(commands)
    }

    /// What this port was asked for as; none: it was not.
    fn called<'n>(&'n self, port: &'n String, profile: &Profile) -> Option<&'n String> {
        let same = |wanted: &&String| match profile.port_names_ignore_case {
            true => wanted.eq_ignore_ascii_case(port),
            false => *wanted == port,
        };
        match &self.ports {
            None => Some(port),
            Some(ports) => ports.iter().find(same),
        }
    }
}

/// A port's name becomes part of a command here, too.
fn check(language: &Language, port: &str) -> Result<(), String> {
    match language.values.port.is_match(port) && !port.chars().any(char::is_control) {
        true => Ok(()),
        false => Err(format!("{port:?} is no name of a port here")),
    }
}

fn text(command: &Expression, context: &Value) -> Result<String, String> {
    let text = command.fact(context).map_err(|error| error.to_string())?;
    text.ok_or_else(|| format!("the command {command:?} is empty"))
}

/// What outputs say, each with the rule that reads it: of this port (none: of every port), and of the
/// VLAN table if one of the rules is about it.
///
/// # Errors
/// What cannot be read, or has no meaning.
pub(crate) fn understood(
    outputs: &[(&ReadRule, &str)],
    port: Option<&str>,
    profile: &Profile,
    language: &Language,
) -> Result<Slice, String> {
    let about_ports = outputs.iter().any(|(rule, _)| !rule.of_table);
    let ports = match port {
        None if about_ports => None,
        port => Some(port.into_iter().map(str::to_owned).collect()),
    };
    let wanted = Wanted { ports, table: outputs.iter().any(|(rule, _)| rule.of_table), tree: true };
    let is_read = |rule: &ReadRule| rule.of_table || outputs.iter().any(|(read, _)| read.place == rule.place);
    let mut rows = Rows { is_partial: !language.reads.iter().all(is_read), ..Rows::default() };
    for (rule, output) in outputs {
        rows.read(rule, output)?;
    }
    rows.meaning(&wanted, profile, language)
}

impl Rows {
    /// Reads what one command printed.
    pub(in crate::transport) fn read(&mut self, rule: &ReadRule, output: &str) -> Result<(), String> {
        match &rule.format {
            Format::Text { rules, unread } => {
                let mut reader = TextReader::new(self, rule);
                for line in output.lines() {
                    let line = line.trim_end();
                    let is_read = reader.line(rules, line)?;
                    if !is_read && unread.as_ref().is_some_and(|unread| unread.is_match(line)) {
                        // In the section of a port that nobody asked about it does not matter.
                        let ports = reader.ports();
                        if ports.is_empty() || !reader.is_in_section() {
                            return Err(cannot_be_read(line));
                        }
                        for port in ports {
                            reader.rows().unread.entry(port).or_insert(line.to_owned());
                        }
                    }
                }
                Ok(())
            }
            Format::Json { .. } => {
                let output =
                    serde_json::from_str(output.trim()).map_err(|error| format!("no JSON: {error}"))?;
                self.read_json(rule, &output)
            }
        }
    }

    /// Reads what a document says.
    pub(in crate::transport) fn read_json(
        &mut self,
        rule: &ReadRule,
        output: &serde_json::Value,
    ) -> Result<(), String> {
        match &rule.format {
            Format::Text { .. } => Err("what is JSON is not read line by line".to_owned()),
            Format::Json { rows, fields, appends } => {
                let output = context! { output => Value::from(Serde(output)) };
                let rows = rows.value(&output).map_err(|error| error.to_string())?;
                let rows = rows.try_iter().map_err(|_| "its rows are no list".to_owned())?;
                for row in rows {
                    let context = context! { row };
                    let field = |expression: &Expression| {
                        expression.fact(&context).map_err(|error| error.to_string())
                    };
                    let mut read = Row::new();
                    for (name, expression) in fields {
                        read.insert(name.clone(), field(expression)?);
                    }
                    let row = self.begin(rule, &read)?;
                    for (name, value) in read {
                        match (row.get_mut(&name), value) {
                            (Some(Some(known)), Some(more)) if *appends && !is_key(&name) => {
                                known.push(',');
                                known.push_str(&more);
                            }
                            (Some(Some(_)), None) if *appends => {}
                            (_, value) => drop(row.insert(name, value)),
                        }
                    }
                }
                Ok(())
            }
        }
    }

    /// The row that `port` or `vlan` of a set of fields begins, or goes on with.
    fn begin(&mut self, rule: &ReadRule, fields: &Row) -> Result<&mut Row, String> {
        let named = |name| fields.get(name).and_then(Option::as_deref);
        match (named("port"), named("vlan")) {
            (Some(port), _) => {
                if !rule.only_adds {
                    self.named.insert(port.to_owned());
                }
                Ok(self.ports.entry(port.to_owned()).or_default())
            }
            (None, Some(vlan)) => {
                let vlan = vlan.parse().map_err(|error| format!("{error}"))?;
                Ok(self.vlans.entry(vlan).or_default())
            }
            (None, None) => Err("a row names neither port nor VLAN".to_owned()),
        }
    }

    /// What the rows say of what was wanted.
    pub(in crate::transport) fn meaning(
        &self,
        wanted: &Wanted,
        profile: &Profile,
        language: &Language,
    ) -> Result<Slice, String> {
        let mut slice = Slice::default();
        let names: BTreeSet<&str> = language.reads.iter().flat_map(ReadRule::fields).collect();
        let is_there = |port: &String| self.named.contains(port) && !self.hidden.contains(port);
        for (port, row) in self.ports.iter().filter(|(port, _)| is_there(port)) {
            let Some(name) = wanted.called(port, profile) else { continue };
            if let Some(line) = self.unread.get(port) {
                return Err(format!("port {name}: {}", cannot_be_read(line)));
            }
            self.port((name, row), &names, wanted, profile, language, &mut slice)
                .map_err(|why| format!("port {name}: {why}"))?;
        }
        if let (true, Some(instance)) = (wanted.table, profile.network_instance()) {
            if language.reads.iter().any(|rule| rule.of_table) {
                let name = profile.openconfig.network_instance.clone().unwrap_or_default();
                slice.set(instance.child("config").child("name"), Node::Leaf(name));
            }
            for (vlan, row) in &self.vlans {
                let (entry, id) = (table_entry(&instance, *vlan), vlan.to_string());
                slice.set_leaf(entry.child("vlan-id"), &id);
                slice.set_leaf(entry.child("config").child("vlan-id"), &id);
                let name = match &language.vlan_name {
                    Some(name) => {
                        name.fact(&context! { row => filled(row, &names) }).map_err(|e| e.to_string())?
                    }
                    None => row.get("name").cloned().flatten(),
                };
                if let Some(name) = name {
                    slice.set_leaf(entry.child("config").child("name"), &name);
                }
            }
        }
        Ok(slice)
    }

    /// What the row of one port says.
    fn port(
        &self,
        (port, row): (&str, &Row),
        names: &BTreeSet<&str>,
        wanted: &Wanted,
        profile: &Profile,
        language: &Language,
        slice: &mut Slice,
    ) -> Result<(), String> {
        let context = context! { row => filled(row, names) };
        let fact = |expression: &Expression| expression.fact(&context).map_err(|error| error.to_string());
        if let Some(hidden) = &language.port_hidden
            && hidden.value(&context).map_err(|error| error.to_string())?.is_true()
        {
            return Ok(());
        }
        // What is told in parts has no meaning before all of them are there.
        for unread in language.port_unread.iter().filter(|_| !self.is_partial) {
            if let Some(why) = fact(unread)? {
                return Err(format!("cannot be read: {why}"));
            }
        }
        let mut state = PortState::default();
        // What nobody asked about need not have a word here.
        let is_wanted = |field| wanted.tree || !matches!(field, PortField::StpEdge | PortField::BpduGuard);
        for (name, field) in PortField::ALL.into_iter().filter(|(_, field)| is_wanted(*field)) {
            let fact = match language.port_meaning.get(&field) {
                Some(expression) => fact(expression)?,
                None => row.get(name).cloned().flatten(),
            };
            match (fact, field) {
                (None, _) => {}
                (Some(lag), PortField::Lag) => slice.set_leaf(Interface::new(port).aggregate_id, &lag),
                (Some(fact), field) => state.set(field, &fact).map_err(|why| format!("{name}: {why}"))?,
            }
        }
        state.write(port, &profile.openconfig.interface_type, &language.in_force, slice);
        Ok(())
    }
}

/// Whether a field says which row it is.
fn is_key(name: &str) -> bool {
    ["port", "vlan"].contains(&name)
}

fn cannot_be_read(line: &str) -> String {
    format!("cannot be read: {line:?}")
}

/// A row with every field that any rule may give, so that a name that no rule gives is a mistake.
fn filled(row: &Row, names: &BTreeSet<&str>) -> Value {
    let mut all: BTreeMap<&str, Option<&str>> = names.iter().map(|name| (*name, None)).collect();
    all.extend(row.iter().map(|(name, value)| (name.as_str(), value.as_deref())));
    Value::from(Serde(all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::{Profiles, own_profile};
    use crate::openconfig::Mode;

    /// What a profile in the binary makes of one command's output about ports.
    fn ports(profile: &str, output: &str) -> Result<Vec<String>, String> {
        let found = Profiles::default().get(profile).unwrap();
        let language = found.speaks.language().unwrap();
        let mut rows = Rows::default();
        rows.read(&language.reads[0], output)?;
        let slice = rows.meaning(&Wanted::default(), &found, language)?;
        let names = slice.iter().filter_map(|(path, _)| path.steps().get(1)?.keys.first());
        Ok(names.map(|(_, name)| name.clone()).collect::<BTreeSet<_>>().into_iter().collect())
    }

    #[test]
    fn what_tells_of_the_spanning_tree_alone_is_asked_where_it_matters() {
        let profile = Profiles::default().get("mellanox_mlnxos").unwrap();
        let language = profile.speaks.language().unwrap();
        let port = "ethernet 1/1";
        let asked = |paths: &[Path]| {
            let commands = Wanted::of(paths).commands(language).unwrap();
            commands.iter().filter(|(_, command)| command.contains("include spanning-tree")).count()
        };
        let paths = [Interface::entry(port), crate::openconfig::StpPort::new(port).entry];
        assert_eq!((asked(&paths[..1]), asked(&paths)), (0, 1));
    }

    #[test]
    fn what_cannot_be_read_matters_where_it_was_asked_about() {
        let profile = Profiles::default().get("cisco_ios").unwrap();
        let language = profile.speaks.language().unwrap();
        let output =
            "interface GigabitEthernet0/1\n switchport mode dynamic auto\ninterface GigabitEthernet0/2\n";
        let asked = |names: &[&str]| {
            let ports = Some(names.iter().map(|name| format!("GigabitEthernet0/{name}")).collect());
            let wanted = Wanted { ports, table: false, tree: true };
            let commands = wanted.commands(language).unwrap();
            let mut rows = Rows::default();
            rows.read(&language.reads[0], output).unwrap();
            let read = rows.meaning(&wanted, &profile, language).map(|slice| slice.is_empty());
            (commands.len(), commands[0].1.clone(), read)
        };
        let (count, command, read) = asked(&["2"]);
        let one = "show running-config interface GigabitEthernet0/2";
        assert_eq!((count, command.as_str(), read), (1, one, Ok(false)));
        let (count, command, read) = asked(&["1", "2", "3", "4"]);
        assert_eq!((count, command.as_str()), (1, "show running-config"));
        let why = read.unwrap_err();
        assert!(why.contains("port GigabitEthernet0/1: cannot be read"), "{why}");
        // Outside of a section nobody knows whose it is.
        assert!(Rows::default().read(&language.reads[0], " switchport mode dynamic auto\n").is_err());
    }

    #[test]
    fn a_port_that_is_hidden_is_not_there() {
        let output =
            "interface Ethernet1\n   no switchport\n   mtu 9214\n!\ninterface Ethernet2\n   shutdown\n";
        assert_eq!(ports("arista_eos", output), Ok(vec!["Ethernet2".to_owned()]));
        assert!(ports("arista_eos", "interface Ethernet1\n   switchport mode dot1q-tunnel\n").is_err());
    }

    #[test]
    fn mstpd_says_what_the_tree_knows_of_a_port_that_another_command_shows() {
        let profile = Profiles::default().get("cumulus_nvue").unwrap();
        let language = profile.speaks.language().unwrap();
        let link = r#"[{"ifname": "swp1", "flags": ["UP"], "mtu": 9216}, {"ifname": "swp2", "flags": [], "mtu": 9216}]"#;
        let vlans = "port    vlan ids\nswp1     10 PVID Egress Untagged\nswp2     10 PVID Egress Untagged\n";
        let detail = |port, edge, guard| {
            format!(
                "br_default:{port} CIST info\n  enabled            yes                     role                 Designated\n  \
                 admin edge port    {edge:<23} auto edge port       yes\n  \
                 bpdu guard port    {guard:<23} bpdu guard error     no\n"
            )
        };
        let tree = detail("swp1", "yes", "yes") + &detail("swp2", "no", "no") + &detail("swp3", "yes", "yes");
        let mut rows = Rows::default();
        let outputs = [link, vlans, &tree];
        assert_eq!(language.reads.len(), outputs.len());
        for (rule, output) in language.reads.iter().zip(outputs) {
            rows.read(rule, output).unwrap();
        }
        let wanted = Wanted { tree: true, ..Wanted::default() };
        let slice = rows.meaning(&wanted, &profile, language).unwrap();
        let known = |port| PortState::of(&slice, port).map(|state| (state.stp_edge, state.bpdu_guard));
        let enabled = (Some(crate::openconfig::StpEdge::Enable), Some(true));
        assert_eq!(["swp1", "swp2", "swp3"].map(known), [Some(enabled), Some((None, None)), None]);
    }

    #[test]
    fn what_a_row_says_may_hide_its_port_or_have_no_meaning() {
        let text = r#"
            like = "sonic"
            [[cli.reads]]
            command = "show ports"
            [[cli.reads.rules]]
            match = '^(?<port>\S+) tag (?<tagged>\d+)$'
            appends = true
            [[cli.reads.rules]]
            match = '^(?<port>\S+) address$'
            set = { routed = "true" }
            [[cli.reads]]
            command = "show members"
            only_adds = true
            [[cli.reads.rules]]
            match = '^(?<port>\S+) member (?<member>\d+)$'
            appends = true
            [cli.port]
            hidden = "row.routed and not row.tagged"
            unread = [
                "'it has VLANs and an address' if row.routed else none",
                "'tags ' ~ row.tagged ~ ' in bridges ' ~ (row.member or 'none') if row.tagged != row.member else none",
            ]
            mode = "'trunk' if row.tagged else none"
            access = "none"
            native = "none"
            vlans = "row.tagged"
            enabled = "none"
            mtu = "none"
            description = "none"
            lag = "none"
        "#;
        let found = own_profile(text);
        let language = found.speaks.language().unwrap();
        let read = |ports: &str, members: &str| {
            let outputs = [(&language.reads[0], ports), (&language.reads[1], members)];
            let slice = understood(&outputs, None, &found, language)?;
            let list =
                |port| PortState::of(&slice, port).map(|state| state.vlans.unwrap_or_default().to_string());
            Ok::<_, String>((list("eth1"), list("eth2")))
        };
        let both = Some("7,9".to_owned());
        assert_eq!(
            read("eth1 tag 7\neth1 tag 9\neth2 address\n", "eth1 member 7\neth1 member 9\n"),
            Ok((both, None))
        );
        for (ports, members, words) in [
            ("eth1 tag 7\n", "", "port eth1: cannot be read: tags 7 in bridges none"),
            ("eth1 tag 7\n", "eth1 member 9\n", "port eth1: cannot be read: tags 7 in bridges 9"),
            (
                "eth1 tag 7\neth1 address\n",
                "eth1 member 7\n",
                "port eth1: cannot be read: it has VLANs and an address",
            ),
        ] {
            assert_eq!(read(ports, members), Err(words.to_owned()));
        }
    }

    #[test]
    fn a_list_of_ports_gives_each_the_vlan_of_its_section() {
        let found = Profiles::default().get("brocade_fastiron").unwrap();
        let language = found.speaks.language().unwrap();
        let member = "GigabitEthernet1/1/2 is up, line protocol is up\n  Member of 2 L2 VLANs, port is tagged, port state is FORWARDING\n";
        let vlans = "vlan 1 name DEFAULT-VLAN by port\n!\nvlan 10 name x by port\n tagged ethe 1/1/1 to 1/1/3 ethe 2/1/1 \n!\nvlan 13 by port\n tagged ethe 1/1/2 \n";
        let read = |vlans| {
            let outputs = [(&language.reads[0], member), (&language.reads[1], vlans)];
            let slice = understood(&outputs, Some("1/1/2"), &found, language)?;
            Ok::<_, String>(
                PortState::of(&slice, "1/1/2").and_then(|state| state.vlans).map(|list| list.to_string()),
            )
        };
        assert_eq!(read(vlans), Ok(Some("10,13".to_owned())));
        assert!(read(" tagged ethe 1/1/2 \n").is_err());
        assert!(read("vlan 10 by port\n tagged ethe 1/1/2 to 2/1/2 \n").is_err());
    }

    #[test]
    fn a_member_in_a_mode_without_a_word_is_no_empty_port() {
        let found = Profiles::default().get("sonic").unwrap();
        let language = found.speaks.language().unwrap();
        let status = "  Ethernet0  0,1,2,3  100G  9100  rs  etp1  access  up  up  QSFP28  N/A\n  \
            Ethernet4  4,5,6,7  100G  9100  rs  etp2  access  up  up  QSFP28  N/A\n";
        let members = "Vlan119  119  Ethernet0  priority_tagged\nVlan100  100  Ethernet4  untagged\n";
        let outputs: Vec<_> = language.reads.iter().zip([status, "", members, ""]).collect();
        let read = |port: &str| understood(&outputs, Some(port), &found, language);
        assert!(read("Ethernet0").unwrap_err().contains("priority_tagged in VLAN 119"));
        assert!(PortState::of(&read("Ethernet4").unwrap(), "Ethernet4").is_some());
    }

    #[test]
    fn lines_under_a_list_are_about_each_of_its_ports_or_vlans() {
        let found = Profiles::default().get("dell_powerconnect").unwrap();
        let language = found.speaks.language().unwrap();
        let ports = "Port      Description\n-------   -----------\ng1        a b\ng2\ng3\n1/e4\nch1\n";
        let read = |port: &str, lines: &str| {
            let outputs = [(&language.reads[0], ports), (&language.reads[1], lines)];
            let slice = understood(&outputs, Some(port), &found, language)?;
            Ok::<_, String>(PortState::of(&slice, port))
        };
        let lines = "interface range ethernet g(1-2),1/e4\nswitchport mode trunk\nexit\n\
            interface ethernet g1\nswitchport trunk native vlan 4\nshutdown\nexit\n\
            interface range ethernet g(1,3)\nswitchport trunk allowed vlan add 6\nexit\n\
            interface range ethernet g(1-2)\nswitchport trunk allowed vlan add 8-9\nexit\n\
            Default settings:\nno shutdown\ninterface vlan 1\n";
        let g1 = read("g1", lines).unwrap().unwrap();
        assert_eq!((g1.mode, g1.native, g1.enabled), (Some(Mode::Trunk), VlanId::new(4).ok(), Some(false)));
        assert_eq!(g1.vlans.unwrap().to_string(), "6,8-9");
        assert_eq!(g1.description.as_deref(), Some("a b"));
        assert_eq!(read("g2", lines).unwrap().unwrap().vlans.unwrap().to_string(), "8-9");
        assert_eq!(read("1/e4", lines).unwrap().unwrap().vlans.unwrap().to_string(), "1");
        // What it keeps for a mode that it is not in says nothing.
        let g3 = read("g3", lines).unwrap().unwrap();
        assert_eq!((g3.mode, g3.vlans), (None, None));
        assert!(read("ch1", lines).unwrap().is_none());
        // One that cannot be read or set is so for each of them, and only for them.
        let general = "interface range ethernet g(1-2)\nswitchport mode general\nexit\n";
        assert!(read("g2", general).unwrap().is_none() && read("g3", general).unwrap().is_some());
        let unread = "interface range ethernet g(1-2)\nswitchport access vlan dynamic\nexit\n";
        assert!(read("g2", unread).unwrap_err().contains("cannot be read") && read("g3", unread).is_ok());
        assert!(read("g3", "interface range ethernet g(1-\n").is_err());
        assert!(read("g3", "switchport access vlan 7\n").is_err());

        let table =
            "vlan database\nvlan 4-5,88\nexit\ninterface vlan 5\nname \"bar code\"\nexit\ninterface vlan 1\n";
        let slice = understood(&[(&language.reads[2], table)], None, &found, language).unwrap();
        let instance = found.network_instance().unwrap();
        let name = |vlan: u16| {
            let entry = table_entry(&instance, VlanId::new(vlan.into()).unwrap());
            slice.has_entry(&entry).then(|| slice.leaf(&entry.child("config").child("name")))
        };
        assert_eq!([1, 4, 5, 88].map(name), [Some(None), Some(None), Some(Some("bar code")), Some(None)]);
        assert_eq!(name(6), None);
        let wrong = understood(&[(&language.reads[2], "vlan database\nvlan 9-4\n")], None, &found, language);
        assert!(wrong.is_err());
    }
}
