use proptest::prelude::*;

use super::*;
use crate::slice::Value;

const ETH1: &str = "/openconfig-interfaces:interfaces/interface[name='eth1']";

fn port(type_: &str, below: &str) -> String {
    format!(
        r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>
             <config><name>eth1</name>
               <type xmlns:i="urn:ietf:params:xml:ns:yang:iana-if-type">i:{type_}</type></config>{below}
           </interface></interfaces>"#
    )
}

fn trunk(config: &str) -> String {
    let below = format!(
        r#"<ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
             <switched-vlan xmlns="http://openconfig.net/yang/vlan">
               <config><interface-mode>TRUNK</interface-mode>{config}</config></switched-vlan></ethernet>"#
    );
    port("ethernetCsmacd", &below)
}

fn builtin() -> Arc<Schema> {
    Schema::builtin().unwrap()
}

fn path(text: &str) -> Path {
    Path::parse(text).unwrap()
}

fn eth1(below: &str) -> Path {
    path(&format!("{ETH1}{below}"))
}

fn vlan_leaf(name: &str) -> Path {
    eth1("/openconfig-if-ethernet:ethernet/openconfig-vlan:switched-vlan/config").child(name)
}

fn leaf(value: &str) -> Value {
    Value::Leaf(value.to_owned())
}

fn read_error(xml: &str) -> String {
    builtin().read_xml(xml).unwrap_err().to_string()
}

#[test]
fn modules_namespaces_and_paths_are_known() {
    let schema = builtin();
    assert_eq!(schema.namespace("openconfig-vlan"), Some("http://openconfig.net/yang/vlan"));
    assert_eq!(schema.module_of("http://openconfig.net/yang/vlan"), Some("openconfig-vlan"));
    assert_eq!(schema.namespace("nowhere"), None);
    assert!(schema.has(&vlan_leaf("trunk-vlans")) && schema.has(&path(ETH1)));
    assert!(!schema.has(&vlan_leaf("colour")) && !schema.has(&vlan_leaf("a\0b")));
    assert!(!schema.has(&Path::default()));
}

#[test]
fn a_device_is_read_into_canonical_values() {
    let slice = builtin()
        .read_xml(&trunk("<trunk-vlans>100..102</trunk-vlans><trunk-vlans>007</trunk-vlans>"))
        .unwrap();
    let expected: Slice = [
        (eth1("/name"), leaf("eth1")),
        (eth1("/config/name"), leaf("eth1")),
        (eth1("/config/type"), leaf("iana-if-type:ethernetCsmacd")),
        (eth1("/config/enabled"), Value::Default("true".to_owned())),
        (vlan_leaf("interface-mode"), leaf("TRUNK")),
        (vlan_leaf("trunk-vlans"), Value::Set(["7".to_owned(), "100..102".to_owned()].into())),
    ]
    .into_iter()
    .collect();
    assert_eq!(slice, expected);
}

#[test]
fn what_the_modules_do_not_know_and_partial_data_are_fine() {
    let schema = builtin();
    let unknown = r#"<x xmlns="urn:x"><y/></x>
        <interfaces xmlns="http://openconfig.net/yang/interfaces" plain="1" xmlns:w="urn:w" w:z="2">
          <interface><name>eth1</name><hold-time><config><up>1</up></config></hold-time>
          <oc-vlan:odd xmlns:oc-vlan="http://openconfig.net/yang/vlan"/></interface></interfaces>"#;
    let slice = schema.read_xml(unknown).unwrap();
    assert_eq!(slice.value(&eth1("/name")), Some(&leaf("eth1")));
    assert_eq!(slice.value(&eth1("/config/enabled")), Some(&Value::Default("true".to_owned())));
    assert_eq!(slice.iter().count(), 2);
    assert!(schema.read_xml("").unwrap().is_empty());
    // Nothing is in force by default where no entry exists.
    assert!(
        schema.read_xml(r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"/>"#).unwrap().is_empty()
    );
}

#[test]
fn state_is_read_only_where_it_is_asked_for_and_is_never_a_default() {
    let reply = r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>
        <state><oper-status>LOWER_LAYER_DOWN</oper-status><counters/></state></interface></interfaces>"#;
    let oper_status = eth1("/state/oper-status");
    assert_eq!(builtin().read_xml(reply).unwrap().value(&oper_status), None);
    let slice = builtin().read_state(reply).unwrap();
    assert_eq!(slice.value(&oper_status), Some(&leaf("LOWER_LAYER_DOWN")));
    assert_eq!(slice.value(&eth1("/state/admin-status")), None);
    let wrong = reply.replace("LOWER_LAYER_DOWN", "SLEEPY");
    assert!(builtin().read_state(&wrong).unwrap_err().to_string().contains("oper-status"));
    // Configuration that is read with it has its defaults; state has none, not even a schema's own.
    let table = r#"<network-instances xmlns="http://openconfig.net/yang/network-instance"><network-instance>
        <name>x</name><vlans><vlan><vlan-id>7</vlan-id><state><vlan-id>7</vlan-id></state></vlan></vlans>
        </network-instance></network-instances>"#;
    let slice = builtin().read_state(table).unwrap();
    let status: Vec<String> =
        slice.iter().map(|(path, _)| path.to_string()).filter(|path| path.ends_with("/status")).collect();
    assert!(status.len() == 1 && status[0].ends_with("/config/status"), "{status:?}");
}

#[test]
fn the_whole_reply_may_be_given_and_prefixes_may_be_declared_in_it() {
    let reply = r#"<?xml version="1.0" encoding="UTF-8"?>
        <rpc-reply xmlns="urn:ietf:params:xml:ns:netconf:base:1.0" last-modified="2026-11-22T21:01:35Z"
          xmlns:t="urn:ietf:params:xml:ns:yang:iana-if-type"><data xmlns:o="http://openconfig.net/yang/interfaces">
        <o:interfaces><o:interface><o:name
            xmlns:z="urn:z" z:a="b">eth1</o:name><o:config><o:type>t:ieee8023adLag</o:type></o:config>
        </o:interface></o:interfaces></data></rpc-reply>"#;
    let slice = builtin().read_xml(reply).unwrap();
    assert_eq!(slice.leaf(&eth1("/config/type")), Some("iana-if-type:ieee8023adLag"));
    assert!(read_error(&reply.replace("data", "rpc-error")).contains("rpc-error"));
}

#[test]
fn an_entry_in_two_pieces_is_one_entry() {
    let off = r#"<config><enabled>false</enabled></config>"#;
    let piece = |below: &str| {
        format!(
            r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>eth1</name>{below}</interface></interfaces>"#
        )
    };
    for (one, two) in [(off, ""), ("", off), (off, off)] {
        let slice = builtin().read_xml(&format!("{}{}", piece(one), piece(two))).unwrap();
        assert_eq!(slice.value(&eth1("/config/enabled")), Some(&leaf("false")));
    }
    let error = read_error(&format!("{}{}", piece(off), piece(&off.replace("false", "true"))));
    assert!(error.contains("/config/enabled: given twice"), "{error}");
}

#[test]
fn what_cannot_be_read_names_its_path() {
    for (xml, place, reason) in [
        (trunk("<trunk-vlans>5..5000</trunk-vlans>"), "/config/trunk-vlans", "5..5000"),
        (trunk("<native-vlan>0</native-vlan>"), "/config/native-vlan", "range"),
        (port("noSuchType", ""), "[name='eth1']/config/type", "noSuchType"),
        (port("other", "").replacen("<config>", "<config>text", 1), "interface[name='eth1']", "\"config\""),
        (trunk("<native-vlan>1<x/></native-vlan>"), "/config/native-vlan", "Child element"),
        (port("other", "").replacen("<name>eth1</name>", "", 1), "interface", "key"),
    ] {
        let error = read_error(&xml);
        assert!(error.contains(place) && error.contains(reason), "{error}");
    }
    let good = port("other", "");
    for bad in [
        format!("<!DOCTYPE x>{good}"),
        format!("<!DOCTYPE x [<!ENTITY e 'eth1'>]>{}", good.replacen(">eth1<", ">&e;<", 1)),
        good.replacen(">eth1<", ">&e;<", 1),
        good.replacen(">eth1<", ">&#1;<", 1),
        good.replacen(">eth1<", ">\0<", 1),
        good.replacen(">eth1<", ">\u{1b}<", 1),
        good.replacen("<name>", "<nc:name>", 1),
        good.replacen("</config>", "</konfig>", 1),
        good[..good.len() - 3].to_owned(),
        format!("{good}</data>"),
        format!("{good}tail"),
    ] {
        assert!(builtin().read_xml(&bad).is_err(), "{bad}");
    }
}

#[test]
fn everything_wrong_is_reported_at_once() {
    let schema = builtin();
    let mut slice = schema.read_xml(&trunk("<trunk-vlans>7</trunk-vlans>")).unwrap();
    schema.validate(&slice).unwrap();
    slice.set(vlan_leaf("access-vlan"), leaf("5"));
    slice.set(vlan_leaf("native-vlan"), leaf("4095"));
    slice.set(vlan_leaf("colour"), leaf("red"));
    slice.set(
        eth1("/openconfig-if-ethernet:ethernet/config/openconfig-if-aggregate:aggregate-id"),
        leaf("po1"),
    );
    slice.set(path("/openconfig-interfaces:interfaces/interface[name='eth2']/name"), leaf("eth2"));
    slice.set(path("/openconfig-interfaces:interfaces/interface[name='eth2']/config/name"), leaf("eth3"));
    let violations = schema.validate(&slice).unwrap_err();
    for (place, reason, app_tag) in [
        ("/config/access-vlan", "When condition", None),
        ("/config/native-vlan", "range", None),
        ("/config/colour", "Not found node", None),
        ("/openconfig-if-aggregate:aggregate-id", "po1", Some("instance-required")),
        ("[name='eth2']/name", "leafref", Some("instance-required")),
        ("[name='eth2']/config", "\"type\"", None),
    ] {
        let found = violations.iter().any(|violation| {
            violation.path.ends_with(place)
                && violation.message.contains(reason)
                && violation.app_tag.as_deref() == app_tag
        });
        assert!(found, "{place} is missing in {violations:#?}");
    }
    assert_eq!(violations.len(), 6, "{violations:#?}");
}

#[test]
fn settings_of_another_kind_of_interface_are_refused() {
    let schema = builtin();
    let slice = schema.read_xml(&trunk("").replace("i:ethernetCsmacd", "i:ieee8023adLag")).unwrap();
    let violations = schema.validate(&slice).unwrap_err();
    assert!(violations[0].path.ends_with("/openconfig-if-ethernet:ethernet"), "{violations:?}");
    let lag = r#"<aggregation xmlns="http://openconfig.net/yang/interfaces/aggregate">
        <config><lag-type>LACP</lag-type></config></aggregation>"#;
    schema.validate(&schema.read_xml(&port("ieee8023adLag", lag)).unwrap()).unwrap();
    assert!(schema.validate(&schema.read_xml(&port("ethernetCsmacd", lag)).unwrap()).is_err());
}

#[test]
fn control_characters_and_odd_paths_do_not_reach_libyang() {
    let schema = builtin();
    for (path, value) in [
        (eth1("/config/description"), "a\0b"),
        (eth1("/config/description"), "a\u{1b}b"),
        (path("/openconfig-interfaces:interfaces").entry("interface", "name", "a\0b").child("name"), "a"),
        (path("/openconfig-interfaces:interfaces").entry("interface", "name", "'\"").child("name"), "'\""),
        (eth1("/name"), "eth2"),
    ] {
        let slice = Slice::from_iter([(path, leaf(value))]);
        assert_eq!(schema.validate(&slice).unwrap_err().len(), 1);
    }
}

#[test]
fn an_empty_slice_is_valid_and_prints_nothing() {
    let (schema, slice) = (builtin(), Slice::default());
    schema.validate(&slice).unwrap();
    assert_eq!(schema.to_xml(&slice).unwrap(), "");
}

#[test]
fn one_schema_serves_many_threads() {
    let schema = builtin();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let schema = &schema;
            scope.spawn(move || {
                for round in 0..100 {
                    let vlan = 5000 + thread * 1000 + round;
                    let error = schema.read_xml(&trunk(&format!("<native-vlan>{vlan}</native-vlan>")));
                    assert!(error.unwrap_err().to_string().contains(&vlan.to_string()));
                    schema.read_xml(&trunk("<native-vlan>1</native-vlan>")).unwrap();
                }
            });
        }
    });
}

/// A value for `name`, `description` and the like: all that XML and YANG allow.
fn text() -> impl Strategy<Value = String> {
    proptest::string::string_regex("[ -~\u{a0}-\u{2ff}\u{4e00}\u{1f600}\t\n]{1,12}").unwrap()
}

fn key() -> impl Strategy<Value = String> {
    text().prop_filter("one kind of quotes", |key| !(key.contains('\'') && key.contains('"')))
}

prop_compose! {
    fn interface()(
        name in key(),
        lag in any::<bool>(),
        mtu in proptest::option::of(any::<u16>()),
        description in proptest::option::of(text()),
        enabled in proptest::option::of(any::<bool>()),
        access in proptest::option::of(1..=4094u16),
        native in proptest::option::of(1..=4094u16),
        trunk in proptest::collection::btree_set((1..=4094u16, 1..=4094u16), 0..5),
    ) -> Slice {
        let entry = path("/openconfig-interfaces:interfaces").entry("interface", "name", &name);
        let config = entry.child("config");
        let mut slice = Slice::default();
        slice.set(entry.child("name"), leaf(&name));
        slice.set(config.child("name"), leaf(&name));
        let type_ = if lag { "ieee8023adLag" } else { "ethernetCsmacd" };
        slice.set(config.child("type"), leaf(&format!("iana-if-type:{type_}")));
        slice.set(config.child("enabled"), match enabled {
            Some(enabled) => leaf(&enabled.to_string()),
            None => Value::Default("true".to_owned()),
        });
        let mut set = |path: Path, value: Option<String>| if let Some(value) = value {
            slice.set(path, Value::Leaf(value));
        };
        set(config.child("mtu"), mtu.map(|mtu| mtu.to_string()));
        set(config.child("description"), description);
        let top = if lag { "openconfig-if-aggregate:aggregation" } else { "openconfig-if-ethernet:ethernet" };
        let vlans = entry.child(top).child("openconfig-vlan:switched-vlan").child("config");
        if let Some(access) = access {
            set(vlans.child("interface-mode"), Some("ACCESS".to_owned()));
            set(vlans.child("access-vlan"), Some(access.to_string()));
        } else {
            set(vlans.child("interface-mode"), Some("TRUNK".to_owned()));
            set(vlans.child("native-vlan"), native.map(|id| id.to_string()));
            for (first, last) in trunk {
                let member = if first == last { first.to_string() } else { format!("{first}..{last}") };
                slice.add_member(vlans.child("trunk-vlans"), member);
            }
        }
        slice
    }
}

prop_compose! {
    fn vlan()(id in 1..=4094u16, name in proptest::option::of(text()), status in any::<bool>()) -> Slice {
        let instance = path("/openconfig-network-instance:network-instances")
            .entry("network-instance", "name", "default");
        let entry = instance.child("vlans").entry("vlan", "vlan-id", &id.to_string());
        let mut slice = Slice::default();
        slice.set(instance.child("name"), leaf("default"));
        slice.set(instance.child("config").child("name"), leaf("default"));
        slice.set(entry.child("vlan-id"), leaf(&id.to_string()));
        slice.set(entry.child("config").child("vlan-id"), leaf(&id.to_string()));
        if let Some(name) = name {
            slice.set(entry.child("config").child("name"), leaf(&name));
        }
        let status = if status { leaf("SUSPENDED") } else { Value::Default("ACTIVE".to_owned()) };
        slice.set(entry.child("config").child("status"), status);
        slice
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn what_is_printed_reads_back_the_same(
        parts in proptest::collection::vec(prop_oneof![interface(), vlan()], 0..6)
    ) {
        thread_local!(static SCHEMA: Arc<Schema> = builtin());
        let mut slice = Slice::default();
        for part in &parts {
            // Two ports of one name would mix their modes.
            let mixes = |path: &Path| path.steps()[0].name == "interfaces" && slice.value(path).is_some();
            if !part.iter().any(|(path, _)| mixes(path)) {
                slice.absorb(part);
            }
        }
        SCHEMA.with(|schema| {
            prop_assert_eq!(schema.validate(&slice), Ok(()));
            prop_assert_eq!(schema.read_xml(&schema.to_xml(&slice).unwrap()).unwrap(), slice);
            Ok(())
        })?;
    }
}
