use std::sync::{Arc, LazyLock};

use proptest::prelude::*;

use super::*;
use crate::device::sample;
use crate::intent::{Attach, Description, Detach, PortName, PortVlans};
pub(crate) use crate::lint::scenarios::request;
use crate::slice::{Operation, Value};
use crate::vlan::VlanId;

/// Reading the modules takes longer than planning with them.
pub(crate) static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

pub(crate) fn vlan(id: i64) -> VlanId {
    VlanId::new(id).unwrap()
}

pub(crate) fn attach(vlans: PortVlans) -> Intent {
    let port = PortName::new("eth1", "port_name").unwrap();
    Intent::Attach(Attach { port, vlans, description: None, mtu: None, enabled: None, default_vlan: None })
}

pub(crate) fn detach(default_vlan: Option<VlanId>) -> Intent {
    Intent::Detach(Detach { port: PortName::new("eth1", "port_name").unwrap(), default_vlan })
}

pub(crate) fn running(config: &str, switched: &str) -> Slice {
    let xml = format!(
        r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>
        <config><name>eth1</name><type xmlns:i="urn:ietf:params:xml:ns:yang:iana-if-type">i:ethernetCsmacd</type>{config}</config>
        <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet"><switched-vlan xmlns="http://openconfig.net/yang/vlan"><config>{switched}</config></switched-vlan></ethernet>
        </interface></interfaces>"#
    );
    SCHEMA.read_xml(&xml).unwrap()
}

fn plan_of(intent: Intent, before: &Slice) -> Plan {
    plan(&request(intent, sample("leaf1")), before, &SCHEMA).unwrap()
}

#[test]
fn nothing_is_sent_for_what_is_there() {
    let before = running("", "<interface-mode>ACCESS</interface-mode><access-vlan>100</access-vlan>");
    let plan = plan_of(attach(PortVlans::Access { vlan: vlan(100) }), &before);
    assert!(plan.is_empty() && plan.inverse().is_empty(), "{:?}", plan.edits);
}

#[test]
fn a_trunk_gets_its_list_before_its_mode() {
    let before = running("", "<interface-mode>ACCESS</interface-mode><access-vlan>106</access-vlan>");
    let tagged = "101-103".parse().unwrap();
    let plan = plan_of(attach(PortVlans::Trunk { native: Some(vlan(100)), tagged }), &before);
    let order: Vec<&str> = plan.edits.iter().map(|edit| edit.target.name()).collect();
    assert_eq!(order, ["trunk-vlans", "native-vlan", "interface-mode", "access-vlan"]);
    assert_eq!(plan.edits[0].value.as_deref(), Some("101..103"));
}

#[test]
fn a_native_vlan_alone_is_no_trunk_of_everything() {
    let plan = plan_of(
        attach(PortVlans::Trunk { native: Some(vlan(100)), tagged: VlanSet::default() }),
        &running("", ""),
    );
    let list = plan.edits.iter().find(|edit| edit.target.name() == "trunk-vlans").unwrap();
    assert_eq!(list.value.as_deref(), Some("100"));
}

#[test]
fn detach_isolates_and_clears_only_our_description() {
    let ours = "<description>Ironic Port 5a8ab2ee-94d0-4b0f-a9a2-4b5b0a9a3f6d</description>";
    let trunk = "<interface-mode>TRUNK</interface-mode><native-vlan>100</native-vlan><trunk-vlans>101..110</trunk-vlans>";
    let plan = plan_of(detach(None), &running(ours, trunk));
    assert_eq!(plan.summary().1, "no VLAN mode (down)");
    assert_eq!(plan.edits[0].target.name(), "enabled");
    assert!(plan.edits.iter().any(|edit| edit.target.name() == "description"));
    let plan = plan_of(detach(Some(vlan(106))), &running("<description>uplink</description>", trunk));
    assert_eq!(plan.summary().1, "ACCESS 106");
    assert!(!plan.edits.iter().any(|edit| matches!(edit.target.name(), "description" | "enabled")));
}

#[test]
fn part_of_a_range_is_kept_by_naming_the_range_and_the_rest() {
    let before = running("", "<interface-mode>TRUNK</interface-mode><trunk-vlans>101..110</trunk-vlans>");
    let tagged = "101-105".parse().unwrap();
    let plan = plan_of(attach(PortVlans::Trunk { native: None, tagged }), &before);
    let edits: Vec<_> = plan.edits.iter().map(|e| (e.operation, e.value.as_deref().unwrap())).collect();
    assert_eq!(edits, [(Operation::Merge, "101..105"), (Operation::Remove, "101..110")]);
}

#[test]
fn an_absent_interface_is_created_and_its_inverse_removes_only_it() {
    let device = sample("leaf1");
    let plan = plan_of(attach(PortVlans::Access { vlan: vlan(100) }), &Slice::default());
    assert!(plan.risks.iter().any(|risk| matches!(risk, Risk::CreatesInterface { .. })));
    let batch = Batch::new(&[&plan], &device, &SCHEMA).unwrap();
    assert_eq!(plan.inverse().len(), 1);
    assert!(batch.inverse.text().contains("nc:operation=\"remove\""), "{}", batch.inverse.text());
}

#[test]
fn a_member_of_a_lag_is_refused() {
    let lag = r#"<config><aggregate-id xmlns="http://openconfig.net/yang/interfaces/aggregate">ae1</aggregate-id></config>"#;
    let xml = format!(
        r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>
        <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">{lag}</ethernet></interface></interfaces>"#
    );
    let before = SCHEMA.read_xml(&xml).unwrap();
    let request = request(attach(PortVlans::Access { vlan: vlan(100) }), sample("leaf1"));
    assert!(matches!(plan(&request, &before, &SCHEMA), Err(PlanError::LagMember { .. })));
}

#[test]
fn a_missing_vlan_is_refused_or_created_and_stays() {
    let mut before = running("", "");
    let table = r#"<network-instances xmlns="http://openconfig.net/yang/network-instance"><network-instance>
        <name>default</name><config><name>default</name></config></network-instance></network-instances>"#;
    before.absorb(&SCHEMA.read_xml(table).unwrap());
    let intent = attach(PortVlans::Access { vlan: vlan(100) });
    let mut device = sample("leaf1");
    let refused = plan(&request(intent.clone(), device.clone()), &before, &SCHEMA);
    assert!(matches!(refused, Err(PlanError::VlanMissing { .. })), "{refused:?}");
    device.create_missing_vlans = true;
    let plan = plan(&request(intent, device.clone()), &before, &SCHEMA).unwrap();
    let batch = Batch::new(&[&plan], &device, &SCHEMA).unwrap();
    assert!(batch.payload.text().contains("<vlan nc:operation=\"create\">"), "{}", batch.payload.text());
    assert!(!batch.inverse.text().contains("network-instance"), "{}", batch.inverse.text());
    assert!(batch.way_back.is_undone(&batch.way_back.restored));
}

#[test]
fn what_others_write_on_a_vlan_is_no_part_of_the_change() {
    let instance = "/openconfig-network-instance:network-instances/network-instance[name='default']";
    let reads = consulted(&request(attach(PortVlans::Access { vlan: vlan(100) }), sample("leaf1")));
    let table = r#"<network-instances xmlns="http://openconfig.net/yang/network-instance"><network-instance>
        <name>default</name><config><name>default</name></config><vlans><vlan><vlan-id>100</vlan-id>
        <config><vlan-id>100</vlan-id><name>VLAN0100</name><status>ACTIVE</status></config></vlan></vlans>
        </network-instance></network-instances>"#;
    let read = SCHEMA.read_xml(table).unwrap().within(&reads);
    assert!(read.has_entry(&Path::parse(instance).unwrap().child("vlans").entry("vlan", "vlan-id", "100")));
    assert!(read.iter().all(|(path, _)| ["name", "vlan-id"].contains(&path.name())), "{read:?}");
    assert_eq!(read.iter().filter(|(path, _)| path.name() == "name").count(), 1, "the instance's own");
}

#[test]
fn a_created_interface_may_show_its_defaults() {
    let plan = plan_of(attach(PortVlans::Access { vlan: vlan(100) }), &Slice::default());
    let switched = "<interface-mode>ACCESS</interface-mode><access-vlan>100</access-vlan>";
    for shown in ["", "<enabled>true</enabled>"] {
        assert!(running(shown, switched).same_as(&plan.after), "{shown}");
    }
    assert!(!running("<enabled>false</enabled>", switched).same_as(&plan.after));
}

#[test]
fn a_port_goes_down_before_and_comes_up_after_everything_else() {
    let trunk = "<interface-mode>TRUNK</interface-mode><trunk-vlans>101..110</trunk-vlans>";
    let device = sample("leaf1");
    let down = plan_of(detach(None), &running("<description>x</description>", trunk));
    let Intent::Attach(mut up) = attach(PortVlans::Access { vlan: vlan(100) }) else { unreachable!() };
    up.description = Some(Description::new("y", "description").unwrap());
    let up = plan_of(Intent::Attach(up), &running("<enabled>false</enabled>", ""));
    for (plan, first) in [(down, "enabled"), (up, "description")] {
        let batch = Batch::new(&[&plan], &device, &SCHEMA).unwrap();
        let place = |text: &str, what: &str| text.find(what).unwrap();
        let (payload, inverse) = (batch.payload.text(), batch.inverse.text());
        let comes_up = first == "description";
        assert_eq!(place(payload, "<enabled") > place(payload, "<interface-mode"), comes_up, "{payload}");
        assert_eq!(place(inverse, "<enabled") < place(inverse, "<interface-mode"), comes_up, "{inverse}");
    }
}

/// What RFC 6241 7.2 says an edit does, written apart from `changes`.
pub(crate) fn apply(slice: &Slice, edits: &[Edit]) -> Slice {
    let mut after = slice.clone();
    for edit in edits {
        let is_entry = edit.target.steps().last().is_some_and(|step| !step.keys.is_empty());
        match (edit.operation, is_entry, &edit.value) {
            (Operation::Create, true, None) => {
                let step = edit.target.steps().last().unwrap();
                for (key, value) in &step.keys {
                    after.set(edit.target.child(key), Value::Leaf(value.clone()));
                }
            }
            (Operation::Remove, true, None) => {
                let inside: Vec<Path> =
                    after.iter().map(|(p, _)| p.clone()).filter(|p| p.is_within(&edit.target)).collect();
                inside.iter().for_each(|path| after.unset(path));
            }
            (Operation::Merge, false, Some(value)) if edit.target.name() == "trunk-vlans" => {
                after.add_member(edit.target.clone(), value.clone());
            }
            (Operation::Merge, false, Some(value)) => {
                after.set(edit.target.clone(), Value::Leaf(value.clone()));
            }
            // The schema default comes back.
            (Operation::Remove, false, None) if edit.target.name() == "enabled" => {
                after.set(edit.target.clone(), Value::Default("true".to_owned()));
            }
            (Operation::Remove, false, None) => after.unset(&edit.target),
            (Operation::Remove, false, Some(value)) => {
                let Some(Value::Set(members)) = after.value(&edit.target).cloned() else { continue };
                after.unset(&edit.target);
                for member in members.into_iter().filter(|member| member != value) {
                    after.add_member(edit.target.clone(), member);
                }
            }
            other => panic!("no such edit: {other:?}"),
        }
    }
    after
}

pub(crate) fn any_vlan() -> impl Strategy<Value = VlanId> {
    (1i64..=4094).prop_map(vlan)
}

pub(crate) fn any_list() -> impl Strategy<Value = VlanSet> {
    prop::collection::vec((1i64..4000, 0i64..40), 1..6).prop_map(|runs| {
        runs.into_iter().flat_map(|(first, more)| (first..=first + more).map(vlan)).collect()
    })
}

pub(crate) fn any_intent() -> impl Strategy<Value = Intent> {
    let text = prop::option::of("[a-z<&>\"']{1,12}");
    let trunk = (prop::option::of(any_vlan()), any_list())
        .prop_map(|(native, tagged)| PortVlans::Trunk { native, tagged });
    let vlans = prop_oneof![any_vlan().prop_map(|vlan| PortVlans::Access { vlan }), trunk];
    prop_oneof![
        (vlans, text, prop::option::of(576u16..9200), prop::option::of(any::<bool>())).prop_map(
            |(vlans, text, mtu, enabled)| {
                let mut intent = attach(vlans);
                if let Intent::Attach(attach) = &mut intent {
                    attach.description = text.map(|text| Description::new(&text, "description").unwrap());
                    (attach.mtu, attach.enabled) = (mtu, enabled);
                }
                intent
            }
        ),
        prop::option::of(any_vlan()).prop_map(detach),
    ]
}

pub(crate) fn any_running() -> impl Strategy<Value = Slice> {
    let members = prop::collection::btree_set((1i64..4000, 0i64..9), 0..5).prop_map(|runs| {
        let member = |(first, more): (i64, i64)| {
            let text = if more == 0 { first.to_string() } else { format!("{first}..{}", first + more) };
            format!("<trunk-vlans>{text}</trunk-vlans>")
        };
        runs.into_iter().map(member).collect::<String>()
    });
    let switched = prop_oneof![
        Just(String::new()),
        any_vlan()
            .prop_map(|v| format!("<interface-mode>ACCESS</interface-mode><access-vlan>{v}</access-vlan>")),
        (any_vlan(), members).prop_map(|(v, list)| format!(
            "<interface-mode>TRUNK</interface-mode><native-vlan>{v}</native-vlan>{list}"
        )),
    ];
    let config = prop_oneof![
        Just(""),
        Just("<enabled>false</enabled>"),
        Just("<enabled>true</enabled><mtu>1500</mtu><description> x&#13;&#10;&lt;y </description>")
    ];
    prop_oneof![9 => (config, switched).prop_map(|(config, switched)| running(config, &switched)),
                1 => Just(Slice::default())]
}

proptest! {
    #[test]
    fn plan_then_inverse_is_the_identity(before in any_running(), intent in any_intent()) {
            let device = sample("leaf1");
        let plan = plan(&request(intent.clone(), device.clone()), &before, &SCHEMA).unwrap();
        prop_assert!(apply(&plan.before, &plan.edits).same_as(&plan.after));
        prop_assert!(apply(&plan.after, &plan.inverse()).same_as(&plan.before));
        // Both directions render, and the guard lets them pass.
        Batch::new(&[&plan], &device, &SCHEMA).unwrap();
        let again = super::plan(&request(intent, device), &plan.after, &SCHEMA).unwrap();
        prop_assert!(again.is_empty(), "a second time: {:?}", again.edits);
    }

    /// What a device that stops at its first error may leave.
    #[test]
    fn part_of_a_plan_is_on_the_way_and_can_be_undone(
        before in any_running(),
        intent in any_intent(),
        done in prop::collection::vec(any::<bool>(), 40),
    ) {
        let device = sample("leaf1");
        let plan = plan(&request(intent, device.clone()), &before, &SCHEMA).unwrap();
        let way_back = Batch::new(&[&plan], &device, &SCHEMA).unwrap().way_back;
        // An entry is made before what is in it.
        let is_done = |(edit, done): &(&Edit, bool)| *done || edit.operation == Operation::Create;
        let done = plan.edits.iter().zip(done).filter(is_done);
        let edits: Vec<Edit> = done.map(|(edit, _)| edit.clone()).collect();
        let running = apply(&plan.before, &edits);
        prop_assert!(way_back.off_the_way(&running).is_empty(), "{edits:?}");
        way_back.undo_from(&running, &device.profile, &SCHEMA).unwrap();
        prop_assert!(way_back.is_undone(&apply(&running, &changes(&running, &way_back.restored))));
    }

    /// A VLAN that neither end has is somebody else's.
    #[test]
    fn what_nobody_planned_is_not_on_the_way(
        before in any_running(),
        list in any_list(),
        theirs in any_vlan(),
    ) {
        let device = sample("leaf1");
        let intent = attach(PortVlans::Trunk { native: None, tagged: list.clone() });
        let plan = plan(&request(intent, device.clone()), &before, &SCHEMA).unwrap();
        let way_back = Batch::new(&[&plan], &device, &SCHEMA).unwrap().way_back;
        let path = crate::openconfig::Interface::new("eth1").switched_vlan(&before).trunk;
        let was = before.vlans(&path).unwrap_or_default();
        prop_assume!(!plan.is_empty() && !was.contains(theirs) && !list.contains(theirs));
        let mut running = plan.after.clone();
        running.add_member(path, theirs.to_string());
        prop_assert!(!way_back.off_the_way(&running).is_empty());
    }
}
