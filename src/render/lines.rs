//! Edits as lines of the profile's language, written by the profile's templates: one for a port, one for an
//! entry of the VLAN table. Each gets what is there and what shall be there.

use std::collections::{BTreeMap, BTreeSet};

use minijinja::value::Serde;
use minijinja::{Value, context};
use regex::Regex;
use serde::Serialize;

use crate::device::language::PortField;
use crate::device::{Language, Profile};
use crate::openconfig::{Interface, Mode, PortState, StpEdge, port_of, table_entry_of};
use crate::path::Path;
use crate::render::RenderError;
use crate::slice::{Edit, Operation, Slice};
use crate::vlan::{VlanId, VlanSet};

/// A line with only this in a template ends a phase: what stands before it goes out for every port
/// before what stands behind it goes out for any.
const PHASE: &str = "---";

const NO_WORD: &str = "the command line has no word for it";

/// A port as templates see it.
#[derive(Debug, Default, Serialize)]
struct PortView<'a> {
    mode: Option<Mode>,
    access: Option<u16>,
    native: Option<u16>,
    vlans: Option<Vec<u16>>,
    description: Option<&'a str>,
    enabled: Option<bool>,
    mtu: Option<u16>,
    stp_edge: Option<&'static str>,
    bpdu_guard: Option<bool>,
}

/// The lines that take a device from one slice to another; empty for no edits.
pub fn render(
    edits: &[Edit],
    from: &Slice,
    to: &Slice,
    profile: &Profile,
    language: &Language,
) -> Result<String, RenderError> {
    let mut ports: BTreeSet<&str> = BTreeSet::new();
    let mut entries: BTreeMap<VlanId, &Path> = BTreeMap::new();
    for edit in edits {
        if let Some((vlan, _)) = table_entry_of(&edit.target) {
            entries.insert(vlan, &edit.target);
        } else if let Some(port) = port_of(&edit.target) {
            let is_whole = edit.operation != Operation::Merge && edit.target.steps().len() == 2;
            if is_whole {
                let target = edit.target.to_string();
                return Err(RenderError::Conflict { target, why: "a command line creates no interfaces" });
            }
            ports.insert(port);
        } else {
            let target = edit.target.to_string();
            return Err(RenderError::Conflict { target, why: NO_WORD });
        }
    }
    let (mut created, mut deleted) = (Phases::default(), Phases::default());
    for (vlan, target) in entries {
        let entry = table_entry_of(target).map(|(_, entry)| entry).unwrap_or_default();
        let (before, after) = (name_in(from, &entry, vlan), name_in(to, &entry, vlan));
        for name in [&before, &after].into_iter().flatten() {
            check(&language.values.vlan_name, name, "name of a VLAN")?;
        }
        let phases = if after.is_some() { &mut created } else { &mut deleted };
        let (before, after) = (before.map(named), after.map(named));
        phases.add(&language.templates.render("vlan.j2", context! { vlan => vlan.as_u16(), before, after })?);
    }
    let mut changed = Phases::default();
    for port in ports {
        check(&language.values.port, port, "port name")?;
        let (before, after) = (PortState::of(from, port), PortState::of(to, port));
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        for description in [&before.description, &after.description].into_iter().flatten() {
            // What was there before may go, whatever it is.
            if before.description != after.description && after.description.as_ref() == Some(description) {
                check(&language.values.description, description, "description")?;
            }
        }
        if before.mtu != after.mtu && !language.has_word_for(PortField::Mtu) {
            let target = Interface::new(port).mtu.to_string();
            return Err(RenderError::Conflict { target, why: NO_WORD });
        }
        let context = context! {
            port,
            before => Value::from(Serde(view(&before))),
            after => Value::from(Serde(view(&after))),
            added => listed(&after.vlans, &before.vlans),
            removed => listed(&before.vlans, &after.vlans),
            in_force => Value::from(Serde(view(&language.in_force))),
            native_in_list => profile.openconfig.native_in_trunk_vlans,
        };
        changed.add(&language.templates.render("port.j2", context)?);
    }
    // A VLAN is there before a port is in it, and goes after the last has left it.
    Ok([created, changed, deleted].map(|phases| phases.text()).concat())
}

fn view(state: &PortState) -> PortView<'_> {
    PortView {
        mode: state.mode,
        access: state.access.map(VlanId::as_u16),
        native: state.native.map(VlanId::as_u16),
        vlans: state.vlans.as_ref().map(ids),
        description: state.description.as_deref(),
        enabled: state.enabled,
        mtu: state.mtu,
        stp_edge: state.stp_edge.map(StpEdge::as_str),
        bpdu_guard: state.bpdu_guard,
    }
}

fn ids(list: &VlanSet) -> Vec<u16> {
    list.iter().map(VlanId::as_u16).collect()
}

/// What is in one list and not in the other.
fn listed(list: &Option<VlanSet>, other: &Option<VlanSet>) -> Vec<u16> {
    let is_new = |vlan: &VlanId| other.as_ref().is_none_or(|other| !other.contains(*vlan));
    list.iter().flat_map(VlanSet::iter).filter(is_new).map(VlanId::as_u16).collect()
}

fn named(name: String) -> Value {
    context! { name }
}

/// The name of a VLAN that is there; one without a name has the one that IOS would give it.
fn name_in(slice: &Slice, entry: &Path, vlan: VlanId) -> Option<String> {
    let name = || slice.leaf(&entry.child("config").child("name")).map(str::to_owned);
    slice.has_entry(entry).then(|| name().unwrap_or_else(|| format!("VLAN{:04}", vlan.as_u16())))
}

fn check(pattern: &Regex, value: &str, what: &'static str) -> Result<(), RenderError> {
    let ends_line = |c: char| c.is_control() || matches!(c, '\u{2028}' | '\u{2029}');
    match pattern.is_match(value) && !value.chars().any(ends_line) {
        true => Ok(()),
        false => Err(RenderError::Value { what, value: value.to_owned(), pattern: pattern.to_string() }),
    }
}

/// Lines by phase.
#[derive(Default)]
struct Phases(Vec<String>);

impl Phases {
    fn add(&mut self, rendered: &str) {
        let mut phase = 0;
        for line in rendered.lines().map(str::trim).filter(|line| !line.is_empty()) {
            if line == PHASE {
                phase += 1;
                continue;
            }
            self.0.resize(self.0.len().max(phase + 1), String::new());
            self.0[phase].push_str(line);
            self.0[phase].push('\n');
        }
    }

    fn text(self) -> String {
        self.0.concat()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::sync::{Arc, LazyLock};

    use proptest::prelude::*;

    use super::*;
    use crate::device::{Device, Profiles, Speaks, sample};
    use crate::intent::{Attach, Intent, PortName, PortVlans};
    use crate::lint::port_like;
    use crate::lint::scenarios::running;
    use crate::plan::tests::{SCHEMA, any_intent, any_list, any_vlan, request, vlan};
    use crate::plan::{Batch, PlanError, plan};
    use crate::slice::Value as Node;

    /// Every device type that is configured on a command line, and says what it holds.
    static DEVICES: LazyLock<Vec<(Device, Arc<Language>)>> = LazyLock::new(|| devices(true));

    /// Every one that never does.
    static UNREAD: LazyLock<Vec<(Device, Arc<Language>)>> = LazyLock::new(|| devices(false));

    fn devices(is_read: bool) -> Vec<(Device, Arc<Language>)> {
        let profiles = Profiles::default();
        let device = |profile: Arc<Profile>| match &profile.speaks {
            Speaks::Cli(habits) if habits.not_read.is_none() == is_read => {
                let (stp_edge, bpdu_guard) = profile.spanning_tree();
                let device = Device { profile: profile.clone(), stp_edge, bpdu_guard, ..sample("leaf1") };
                Some((device, habits.language.clone()))
            }
            _ => None,
        };
        profiles.names().map(|name| profiles.get(name).unwrap()).filter_map(device).collect()
    }

    fn any_edge() -> impl Strategy<Value = Option<StpEdge>> {
        prop_oneof![
            Just(None),
            Just(Some(StpEdge::Enable)),
            Just(Some(StpEdge::Auto)),
            Just(Some(StpEdge::Disable))
        ]
    }

    pub(crate) fn any_state() -> impl Strategy<Value = PortState> {
        let mode = prop::option::of(prop_oneof![Just(Mode::Access), Just(Mode::Trunk)]);
        let list = prop::option::of(prop_oneof![9 => any_list(), 1 => Just(VlanSet::default())]);
        let rest = (prop::option::of("[a-z][a-z ]{0,9}[a-z]"), prop::option::of(any::<bool>()));
        let vlans = (prop::option::of(any_vlan()), prop::option::of(any_vlan()), list);
        let tree = (any_edge(), prop::option::of(any::<bool>()));
        let state =
            |(mode, (access, native, vlans), (description, enabled), (stp_edge, bpdu_guard))| PortState {
                mode,
                access,
                native,
                vlans,
                description,
                enabled,
                mtu: Some(1500),
                stp_edge,
                bpdu_guard,
            };
        (mode, vlans, rest, tree).prop_map(state)
    }

    /// The guard follows what makes a VLAN and what takes it back, where the table can be read.
    #[test]
    fn every_profile_makes_a_vlan() {
        for (device, language) in DEVICES.iter() {
            if device.profile.openconfig.network_instance.is_none() {
                continue;
            }
            let instance = device.profile.network_instance().unwrap();
            let name = device.profile.openconfig.network_instance.clone().unwrap();
            let mut before = Slice::default();
            before.set(instance.child("config").child("name"), Node::Leaf(name));
            let request = request(Intent::AddNetwork { vlan: vlan(101) }, device.clone());
            let plan = plan(&request, &before, &SCHEMA).unwrap();
            let name = &device.profile.name;
            let batch = Batch::new(&[&plan], device, &SCHEMA);
            let batch = batch.unwrap_or_else(|error| panic!("{name}: {error}"));
            let lines = batch.payload.text();
            let fits = |line: &str| language.lines.iter().any(|rule| rule.pattern.is_match(line));
            assert!(lines.contains("101") && lines.lines().all(fits), "{name}: {lines}");
        }
    }

    /// Some systems have one MTU for the whole switch, and no line of a port for it.
    #[test]
    fn an_mtu_is_refused_where_no_line_says_one() {
        let (device, language) =
            DEVICES.iter().find(|(device, _)| device.profile.name == "cisco_ios").unwrap();
        let mut language = Language::clone(language);
        language.lines.retain(|rule| !rule.pattern.as_str().contains("mtu"));
        assert!(!language.has_word_for(PortField::Mtu) && language.has_word_for(PortField::Enabled));
        let Intent::Attach(attach) = crate::plan::tests::attach(PortVlans::Access { vlan: vlan(100) }) else {
            panic!("it attaches")
        };
        for (mtu, is_refused) in [(Some(9000), true), (None, false)] {
            let request = request(Intent::Attach(Attach { mtu, ..attach.clone() }), device.clone());
            let before = running(&PortState::default(), "eth1", &device.profile);
            let plan = plan(&request, &before, &SCHEMA).unwrap();
            let written = render(&plan.edits, &plan.before, &plan.after, &device.profile, &language);
            assert_eq!(matches!(written, Err(RenderError::Conflict { why: NO_WORD, .. })), is_refused);
        }
    }

    /// Neutron names an MTU with every network: a switch that has one for all ports is no reason to refuse.
    #[test]
    fn where_a_port_has_no_mtu_the_networks_is_a_risk() {
        let (device, language) =
            DEVICES.iter().find(|(device, _)| device.profile.name == "brocade_fastiron").unwrap();
        let port = port_like(language).unwrap();
        let mut intent = crate::plan::tests::attach(PortVlans::Access { vlan: vlan(101) });
        if let Intent::Attach(attach) = &mut intent {
            (attach.port, attach.mtu) = (PortName::new(port, "port").unwrap(), Some(9000));
        }
        let before = running(&PortState::default(), port, &device.profile);
        let plan = plan(&request(intent, device.clone()), &before, &SCHEMA).unwrap();
        assert!(plan.risks.contains(&crate::plan::Risk::NoMtu { mtu: 9000 }), "{:?}", plan.risks);
        let batch = Batch::new(&[&plan], device, &SCHEMA).unwrap();
        assert!(batch.payload.text().contains("101") && !batch.payload.text().contains("9000"));
    }

    /// The VLAN that is in force anyway is as good as any other.
    #[test]
    fn every_profile_takes_vlan_1() {
        for (device, language) in DEVICES.iter() {
            let port = port_like(language).unwrap();
            let access = PortState { mode: Some(Mode::Access), ..PortState::default() };
            for before in [PortState::default(), access] {
                let intent = crate::plan::tests::attach(PortVlans::Access { vlan: vlan(1) });
                let intent = intent.on_port(|_| PortName::new(port, "port")).unwrap();
                let before = running(&before, port, &device.profile);
                let plan = plan(&request(intent, device.clone()), &before, &SCHEMA).unwrap();
                let written = Batch::new(&[&plan], device, &SCHEMA).map(drop);
                assert_eq!(written.map_err(|error| error.to_string()), Ok(()), "{}", device.profile.name);
            }
        }
    }

    /// What the spanning tree knows stays at a detach, and is read and put back where it goes with the VLANs.
    #[test]
    fn a_detach_leaves_the_spanning_tree_what_the_system_keeps() {
        let told = |(device, _): &&(Device, Arc<Language>)| device.stp_edge;
        for (device, language) in DEVICES.iter().filter(told) {
            let (port, name) = (port_like(language).unwrap(), &device.profile.name);
            let before = PortState {
                mode: Some(Mode::Access),
                access: Some(vlan(100)),
                stp_edge: Some(StpEdge::Enable),
                bpdu_guard: device.bpdu_guard.then_some(true),
                ..PortState::default()
            };
            let before = running(&before, port, &device.profile);
            let intent = crate::plan::tests::detach(None).on_port(|_| PortName::new(port, "port")).unwrap();
            let plan = plan(&request(intent, device.clone()), &before, &SCHEMA).unwrap();
            let batch =
                Batch::new(&[&plan], device, &SCHEMA).unwrap_or_else(|error| panic!("{name}: {error}"));
            let tree =
                |slice| PortState::of(slice, port).map(|state| (state.stp_edge, state.bpdu_guard)).unwrap();
            let known = (Some(StpEdge::Enable), device.bpdu_guard.then_some(true));
            // Where it stays it is not even looked at.
            let was = if language.stp_with_vlans { known } else { Default::default() };
            assert_eq!(
                (tree(&plan.before), tree(&plan.after), tree(&plan.restored)),
                (was, Default::default(), was),
                "{name}"
            );
            let says = |text: &str| ["edge", "bpdu", "portfast"].iter().any(|word| text.contains(word));
            assert!(!says(batch.payload.text()), "{name}: {}", batch.payload.text());
            assert_eq!(
                says(batch.inverse.text()),
                language.stp_with_vlans,
                "{name}: {}",
                batch.inverse.text()
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        /// Where nothing is read every line is written, whatever a reading would say, and none takes back.
        #[test]
        fn what_is_not_read_is_written_whole(before in any_state(), intent in any_intent()) {
            for (device, language) in UNREAD.iter() {
                let port = port_like(language).unwrap();
                let intent = intent.clone().on_port(|_| PortName::new(port, "port")).unwrap();
                let request = request(intent.clone(), device.clone());
                let written = [Slice::default(), running(&before, port, &device.profile)].map(|running| {
                    let plan = plan(&request, &running, &SCHEMA).unwrap();
                    assert!(plan.is_blind && !plan.is_empty() && plan.inverse().is_empty());
                    Batch::new(&[&plan], device, &SCHEMA)
                });
                let [Ok(one), Ok(other)] = &written else {
                    prop_assert!(false, "{}: {written:?}", device.profile.name);
                    return Ok(());
                };
                prop_assert_eq!(one.payload.text(), other.payload.text());
                prop_assert!(!one.payload.text().is_empty() && one.inverse.text().is_empty());
            }
        }

        /// The guard follows what each profile's templates write, there and back, from any state.
        #[test]
        fn every_profile_comes_to_what_is_planned(before in any_state(), intent in any_intent()) {
            for (device, language) in DEVICES.iter() {
                let port = port_like(language).unwrap();
                let before = running(&before, port, &device.profile);
                let intent = intent.on_port(|_| PortName::new(port, "port")).unwrap();
                let request = request(intent.clone(), device.clone());
                let plan = plan(&request, &before, &SCHEMA).unwrap();
                match Batch::new(&[&plan], device, &SCHEMA) {
                    Ok(batch) => {
                        prop_assert_eq!(plan.is_empty(), batch.payload.text().is_empty());
                        // A device that stops in between is taken back from there.
                        for step in &batch.way_back.between {
                            let stopped = PortState::of(step, port).unwrap();
                            let stopped = running(&stopped, port, &device.profile);
                            let off = batch.way_back.off_the_way(&stopped);
                            let off: Vec<_> = off.iter().filter(|path| port_of(path).is_some()).collect();
                            prop_assert!(off.is_empty(), "{}: {off:?}\n{stopped:?}\n{step:?}", device.profile.name);
                            let back = batch.way_back.undo_from(&stopped, &device.profile, &SCHEMA);
                            prop_assert!(back.is_ok(), "{}: {back:?}\n{step:?}", device.profile.name);
                        }
                    }
                    // What cannot be written is refused, not bent.
                    Err(PlanError::Render(RenderError::Value { what: "description", value, .. })) => {
                        let wanted = matches!(&intent, Intent::Attach(attach)
                            if attach.description.as_ref().is_some_and(|text| text.as_str() == value));
                        prop_assert!(wanted, "{}: {value:?}", device.profile.name);
                    }
                    Err(PlanError::Render(RenderError::Conflict { why: NO_WORD, .. })) => {
                        let wanted = matches!(&intent, Intent::Attach(attach) if attach.mtu.is_some());
                        prop_assert!(wanted && !language.has_word_for(PortField::Mtu), "{}", device.profile.name);
                    }
                    Err(error) => {
                        let text = render(&plan.edits, &plan.before, &plan.after, &device.profile, language);
                        prop_assert!(false, "{}: {error}\n{}\n{}", device.profile.name,
                            text.unwrap_or_default(),
                            render(&plan.inverse(), &plan.after, &plan.restored, &device.profile, language).unwrap_or_default());
                    }
                }
            }
        }
    }
}
