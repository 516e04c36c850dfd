//! One output, line by line.

use super::{Row, Rows, ports};
use crate::device::language::{ReadRule, TextRule};
use crate::vlan::{VlanId, VlanSet};

/// Knows what the lines before said.
pub(super) struct TextReader<'r, 't> {
    rows: &'r mut Rows,
    rule: &'t ReadRule,
    state: Option<&'t str>,
    /// What the last line with a group `section` had there.
    section: Option<String>,
    /// Which rows the lines are about.
    keys: Vec<Row>,
}

impl<'r, 't> TextReader<'r, 't> {
    pub(super) fn new(rows: &'r mut Rows, rule: &'t ReadRule) -> Self {
        Self { rows, rule, state: None, section: None, keys: Vec::new() }
    }

    pub(super) fn rows(&mut self) -> &mut Rows {
        self.rows
    }

    pub(super) fn is_in_section(&self) -> bool {
        self.state.is_some()
    }

    /// The ports that the lines are about.
    pub(super) fn ports(&self) -> Vec<String> {
        self.keys.iter().filter_map(|key| key.get("port")?.clone()).collect()
    }

    /// Whether a rule fits the line.
    pub(super) fn line(&mut self, rules: &'t [TextRule], line: &str) -> Result<bool, String> {
        let in_state = |rule: &&TextRule| rule.state.is_none() || rule.state.as_deref() == self.state;
        let fitting = |rule: &'t TextRule| Some((rule, rule.pattern.captures(line)?));
        let Some((rule, captures)) = rules.iter().filter(in_state).find_map(fitting) else {
            return Ok(false);
        };
        self.section = captures.name("section").map(|name| name.as_str().to_owned()).or(self.section.take());
        let groups =
            rule.pattern.capture_names().flatten().filter(|name| !["section", "ports"].contains(name));
        let found =
            groups.filter_map(|name| Some((name.to_owned(), captures.name(name)?.as_str().to_owned())));
        let found: Vec<(String, String)> = found.collect();
        let (key, found): (Vec<_>, Vec<_>) =
            found.into_iter().partition(|(name, _)| name == "port" || name == "vlan");
        let constant = |(name, value): (&String, &String)| match (value.as_str(), &self.section) {
            ("$section", Some(section)) => Ok((name.clone(), section.clone())),
            ("$section", None) => Err("it stands in no section".to_owned()),
            (value, _) => Ok((name.clone(), value.to_owned())),
        };
        let constants = rule.set.iter().map(constant).collect::<Result<Vec<_>, _>>()?;
        let values: Vec<(String, String)> = found.into_iter().chain(constants).collect();
        let listed = captures.name("ports").map(|ports| ports::listed(ports.as_str())).transpose()?;
        let port = |port| Row::from([("port".to_owned(), Some(port))]);
        match listed {
            Some(ports) if !values.is_empty() => {
                for name in ports {
                    self.fill(&port(name), &values, rule)?;
                }
            }
            listed => {
                match listed {
                    Some(ports) => self.keys = ports.into_iter().map(port).collect(),
                    None if key.is_empty() => {}
                    None => self.keys = keys(key)?,
                }
                for key in self.keys.clone() {
                    self.fill(&key, &values, rule)?;
                }
            }
        }
        self.rows.hidden.extend(self.ports().into_iter().filter(|_| rule.hides));
        if let Some(next) = &rule.next {
            self.state = Some(next);
            if next == "start" {
                self.keys.clear();
                self.state = None;
            }
        }
        Ok(true)
    }

    /// Puts values into the row with this key.
    fn fill(&mut self, key: &Row, values: &[(String, String)], rule: &TextRule) -> Result<(), String> {
        let row = self.rows.begin(self.rule, key)?;
        row.extend(key.clone());
        for (name, value) in values {
            match row.get_mut(name) {
                Some(Some(old)) if rule.appends && !key.contains_key(name) => {
                    old.push(',');
                    old.push_str(value);
                }
                _ => drop(row.insert(name.clone(), Some(value.clone()))),
            }
        }
        Ok(())
    }
}

/// The rows that a line begins: one of a list of VLANs each.
fn keys(named: Vec<(String, String)>) -> Result<Vec<Row>, String> {
    let key: Row = named.into_iter().map(|(name, value)| (name, Some(value))).collect();
    match key.get("vlan").and_then(Option::as_deref) {
        Some(list) if !key.contains_key("port") => {
            let list = VlanSet::parse_list(list).map_err(|error| error.to_string())?;
            let row = |vlan: VlanId| Row::from([("vlan".to_owned(), Some(vlan.to_string()))]);
            Ok(list.iter().map(row).collect())
        }
        _ => Ok(vec![key]),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::Wanted;
    use super::*;
    use crate::device::Profiles;
    use crate::openconfig::PortState;

    #[test]
    fn neighbours_of_one_type_stand_in_one_line() {
        let profile = Profiles::default().get("mellanox_mlnxos").unwrap();
        let language = profile.speaks.language().unwrap();
        let names = ["Eth1/1", "Eth1/2", "Eth1/3", "Eth1/4", "Mpo8"];
        let table = names.map(|name| {
            format!(r#""{name}": {{"Mode": "access", "Access vlan": "1", "Allowed vlans": ""}}"#)
        });
        let table = format!("{{{}}}", table.join(","));
        let read = |lines: &str, ports: Option<&str>| {
            let mut rows = Rows::default();
            rows.read(&language.reads[0], &table).unwrap();
            rows.read(&language.reads[2], lines)?;
            let ports = ports.map(|port| BTreeSet::from([port.to_owned()]));
            rows.meaning(&Wanted { ports, table: false, tree: true }, &profile, language)
        };
        let known = |lines: &str| {
            let slice = read(lines, None)?;
            let edge = |name: &str| PortState::of(&slice, name).unwrap().stp_edge.map(|edge| edge.as_str());
            let ports =
                ["ethernet 1/1", "ethernet 1/2", "ethernet 1/3", "ethernet 1/4", "mlag-port-channel 8"];
            Ok::<_, String>(ports.map(edge))
        };
        let lines = "   spanning-tree port type edge default\n   spanning-tree port type edge bpduguard default\n   \
                     interface ethernet 1/1-1/2 spanning-tree port type edge\n   \
                     interface ethernet 1/3 spanning-tree port type normal\n   \
                     interface mlag-port-channel 7-8 spanning-tree port type network\n   \
                     interface ethernet 1/4 spanning-tree guard root\n";
        assert_eq!(known(lines), Ok([Some("true"), Some("true"), Some("auto"), None, Some("false")]));
        assert_eq!(known(""), Ok([None; 5]));
        // A type that nobody knows is that port's alone.
        let other = "   interface ethernet 1/1-1/2 spanning-tree port type host\n";
        let why = read(other, Some("ethernet 1/2")).unwrap_err();
        assert!(why.contains("ethernet 1/2: cannot be read: its spanning-tree port type is `host`"), "{why}");
        assert!(read(other, Some("ethernet 1/3")).is_ok());
        let why = known("   interface ethernet 1/1,1/3 spanning-tree port type edge\n").unwrap_err();
        assert!(why.contains("cannot be read"), "{why}");
        let wrong = known("   interface ethernet 1/4-1/1 spanning-tree port type edge\n").unwrap_err();
        assert!(wrong.contains("no range of ports"), "{wrong}");
    }

    /// What an undo could not say again is not taken for nothing; where nobody asked, it is nobody's matter.
    #[test]
    fn a_type_that_has_no_word_here_matters_where_the_tree_is_asked_about() {
        for (name, port, section) in [
            ("cisco_nxos", "Ethernet1/1", "  switchport access vlan 100\n  spanning-tree port type network"),
            ("cisco_nxos", "Ethernet1/1", "  spanning-tree port type normal"),
            ("cisco_ios", "GigabitEthernet0/1", " switchport mode access\n spanning-tree portfast disable"),
            ("arista_eos", "Ethernet1", "   spanning-tree portfast network"),
            ("dell_force10", "TenGigabitEthernet 0/1", " spanning-tree rstp edge-port bpdufilter"),
        ] {
            let profile = Profiles::default().get(name).unwrap();
            let language = profile.speaks.language().unwrap();
            let section = format!("interface {port}\n{section}\n");
            let outputs = match name {
                "dell_force10" => vec![format!("Name: {port}\nU       100\n"), section],
                _ => vec![section],
            };
            let read = |tree| {
                let mut rows = Rows::default();
                for (rule, output) in language.reads.iter().zip(&outputs) {
                    rows.read(rule, output)?;
                }
                let ports = Some(BTreeSet::from([port.to_owned()]));
                rows.meaning(&Wanted { ports, table: false, tree }, &profile, language)
            };
            let state = read(false).map(|slice| PortState::of(&slice, port).map(|state| state.stp_edge));
            assert_eq!(state, Ok(Some(None)), "{name}: {section}", section = outputs.concat());
            let why = read(true).unwrap_err();
            assert!(why.contains("is neither true, false nor auto"), "{name}: {why}");
        }
    }

    #[test]
    fn what_people_write_of_the_spanning_tree_is_no_type_of_a_port() {
        let profile = Profiles::default().get("mellanox_mlnxos").unwrap();
        let language = profile.speaks.language().unwrap();
        let lines = "   interface ethernet 1/9 description \"no spanning-tree port type set here\"\n   \
                     interface ethernet 1/1 spanning-tree port type edge\n";
        let mut rows = Rows::default();
        rows.read(&language.reads[2], lines).unwrap();
        assert_eq!(rows.ports["ethernet 1/1"]["tree"].as_deref(), Some("edge"));
        assert!(
            rows.read(&language.reads[2], "   no interface ethernet 1/1 spanning-tree port type\n").is_err()
        );
    }
}
