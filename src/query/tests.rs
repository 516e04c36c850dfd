use super::*;
use crate::device::{PhysicalNetwork, sample};
use crate::intent::{Attach, Caller, Intent, PortName, PortVlans};
use crate::plan::tests::SCHEMA;

fn inventory(devices: Vec<Device>, networks: &[(&str, Option<i64>)]) -> Inventory {
    let network = |(name, vlan): &(&str, Option<i64>)| {
        let flat_vlan = vlan.map(|vlan| VlanId::new(vlan).unwrap());
        ((*name).to_owned(), PhysicalNetwork { flat_vlan })
    };
    Inventory {
        devices: devices.into_iter().map(|device| (device.name.clone(), Arc::new(device))).collect(),
        physical_networks: networks.iter().map(network).collect(),
        ..Inventory::default()
    }
}

fn in_networks(name: &str, networks: &[&str]) -> Device {
    Device { physical_networks: networks.iter().map(ToString::to_string).collect(), ..sample(name) }
}

#[test]
fn flat_networks_need_a_vlan_of_the_operators() {
    let types = |devices: Vec<Device>, networks| {
        let inventory = inventory(devices, networks);
        network_types(&inventory, inventory.devices.values())
    };
    let (both, vlan) = (vec!["vlan", "flat"], vec!["vlan"]);
    let networks = &[("a", Some(100)), ("b", None)][..];
    assert_eq!(types(vec![in_networks("leaf1", &["a", "b"])], networks), both);
    assert_eq!(types(vec![in_networks("leaf1", &["b"])], networks), vlan);
    assert_eq!(types(vec![in_networks("leaf1", &[])], networks), both, "it may be in any");
    assert_eq!(types(vec![in_networks("leaf1", &[])], &[("b", None)]), vlan);
    assert_eq!(types(vec![in_networks("leaf1", &["a"]), in_networks("leaf2", &["b"])], networks), vlan);
    assert_eq!(types(Vec::new(), networks), Vec::<&str>::new());
}

#[test]
fn all_vlans_are_told_as_no_list() {
    let mut some = sample("leaf1");
    some.allowed_vlans = "7,100-102".parse().unwrap();
    some.mac_address = "001c.73aa.bb01".parse().ok();
    let mut none = sample("leaf2");
    none.allowed_vlans = VlanSet::default();
    let inventory = inventory(vec![some, none, sample("leaf3")], &[]);
    let switches = switches(inventory.devices.values());
    let told = |name: &str| (switches[name].switch_id.as_str(), switches[name].allowed_vlans.as_deref());
    assert_eq!(told("leaf1"), ("00:1c:73:aa:bb:01", Some("7,100,101,102")));
    assert_eq!(told("leaf2"), ("leaf2", Some("")));
    assert_eq!(told("leaf3"), ("leaf3", None));
}

const TABLE: &str = r#"<network-instances xmlns="http://openconfig.net/yang/network-instance"><network-instance>
    <name>default</name><config><name>default</name></config><vlans>
    <vlan><vlan-id>100</vlan-id><config><vlan-id>100</vlan-id></config></vlan>
    <vlan><vlan-id>101</vlan-id><config><vlan-id>101</vlan-id></config><state><status>SUSPENDED</status></state></vlan>
    </vlans></network-instance></network-instances>"#;

/// A port that is to be a trunk of 100 to 102.
fn trunk() -> Request {
    Request {
        intent: Intent::Attach(Attach {
            port: PortName::new("eth1", "port").unwrap(),
            vlans: PortVlans::Trunk { native: None, tagged: "100-102".parse().unwrap() },
            description: None,
            mtu: None,
            enabled: None,
            default_vlan: None,
        }),
        device: Arc::new(sample("leaf1")),
        physical_network: None,
        caller: Caller::default(),
        names: &crate::rpc::ironic::NAMES,
        level: 0,
    }
}

fn checked(xml: &str) -> CheckedPort {
    let seen = Seen {
        is_unsettled: false,
        running: SCHEMA.read_xml(xml).unwrap(),
        state: SCHEMA.read_state(xml).unwrap(),
        profile: None,
    };
    let check = check(&[trunk()], &BTreeMap::from([("leaf1".to_owned(), seen)]), &SCHEMA).unwrap();
    check.devices.into_iter().next().unwrap()
}

#[test]
fn what_a_device_does_not_tell_is_not_invented() {
    let vlans = |xml: &str| {
        let vlans = checked(xml).vlans.into_iter();
        vlans.map(|(vlan, word)| (vlan.as_u16(), word)).collect::<Vec<_>>()
    };
    let told = |word: &str| Some(word.to_owned());
    assert_eq!(vlans(TABLE), [(100, None), (101, told("SUSPENDED")), (102, told("missing"))]);
    // No table in sight: whether a VLAN is missing cannot be told.
    assert_eq!(vlans(""), []);
    let port = checked(TABLE);
    assert_eq!((port.oper_status, port.admin_status), (None, None));
    assert_eq!((port.matches, port.before.as_str()), (false, "not configured"));
    assert_eq!(port.after.as_deref(), Some("TRUNK list 100-102"));
    assert!(port.diff.contains("+          <vlan-id>102</vlan-id>"), "{}", port.diff);
    // Nothing is created, so it is no risk.
    assert!(port.risks.iter().all(|risk| !matches!(risk, Risk::CreatesVlans { .. })), "{:?}", port.risks);
}

#[test]
fn a_port_is_there_if_it_is_configured_or_reported() {
    let port = |below: &str| {
        format!(
            r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>{below}</interface></interfaces>"#
        )
    };
    let is_there = |running: &str, state: &str| {
        let seen = Seen {
            is_unsettled: false,
            running: SCHEMA.read_xml(running).unwrap(),
            state: SCHEMA.read_state(state).unwrap(),
            profile: None,
        };
        presence(&[trunk()], &BTreeMap::from([("leaf1".to_owned(), seen)])).is_yes()
    };
    assert!(is_there(&port("<config><name>eth1</name></config>"), ""));
    assert!(is_there("", &port("<state><oper-status>NOT_PRESENT</oper-status></state>")));
    assert!(!is_there(&port("").replace("eth1", "eth10"), ""));
    assert!(!is_there("", ""));
    assert_eq!(presence(&[trunk()], &BTreeMap::new()).reasons, ["leaf1 shows no port eth1"]);
}
