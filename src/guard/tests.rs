use proptest::prelude::*;

use super::*;
use crate::device::sample;
use crate::plan::tests::{SCHEMA, any_intent, any_running, request};
use crate::plan::{Batch, plan};

/// All that a payload may do: a description, a list that grows and shrinks, a mode, a new VLAN.
const PAYLOAD: &str = r#"<interfaces xmlns="http://openconfig.net/yang/interfaces" xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
  <interface>
    <name>eth1</name>
    <config>
      <description nc:operation="merge">R&amp;D</description>
    </config>
    <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
      <switched-vlan xmlns="http://openconfig.net/yang/vlan">
        <config>
          <trunk-vlans nc:operation="merge">101..105</trunk-vlans>
          <trunk-vlans nc:operation="remove">7..9</trunk-vlans>
          <native-vlan nc:operation="merge">100</native-vlan>
          <interface-mode nc:operation="merge">TRUNK</interface-mode>
          <access-vlan nc:operation="remove"/>
        </config>
      </switched-vlan>
    </ethernet>
  </interface>
</interfaces>
<network-instances xmlns="http://openconfig.net/yang/network-instance" xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
  <network-instance>
    <name>default</name>
    <vlans>
      <vlan nc:operation="create">
        <vlan-id>100</vlan-id>
        <config>
          <vlan-id nc:operation="merge">100</vlan-id>
        </config>
      </vlan>
    </vlans>
  </network-instance>
</network-instances>
"#;

fn scope() -> Scope {
    let leaves = [("interface-mode", "TRUNK"), ("description", "R&D")];
    let leaves = leaves.map(|(leaf, value)| (leaf.to_owned(), Some(value.to_owned())));
    let port = PortScope { vlans: "100-110".parse().unwrap(), leaves: leaves.into(), ..PortScope::default() };
    let ports = ["eth1", "eth48"].map(|name| (name.to_owned(), port.clone()));
    let table = "/openconfig-network-instance:network-instances/network-instance[name='default']/vlans";
    Scope {
        ports: ports.into(),
        vlan_entries: BTreeMap::from([(
            Path::parse(table).unwrap().entry("vlan", "vlan-id", "100"),
            EntryScope { creates: true, shared: true, ..EntryScope::default() },
        )]),
        protected: vec!["eth48".parse().unwrap()],
        running: Slice::default(),
        wanted: Slice::default(),
    }
}

fn judge(xml: &str, scope: &Scope) -> Result<(), ScopeError> {
    guard(&Payload::Netconf(xml.to_owned()), scope, &sample("leaf1").profile, &SCHEMA).map(drop)
}

/// Each case replaces one text of [`PAYLOAD`] by another and names a part of the answer.
fn refused(cases: &[(&str, &str, &str)]) {
    assert_eq!(judge(PAYLOAD, &scope()), Ok(()));
    for (from, to, why) in cases {
        assert!(PAYLOAD.contains(from), "{from} is not there");
        let attack = PAYLOAD.replacen(from, to, 1);
        match judge(&attack, &scope()) {
            Ok(()) => panic!("passed: {to}"),
            Err(error) => assert!(error.to_string().contains(why), "{to}\n  got: {error}\n  not: {why}"),
        }
    }
}

#[test]
fn only_the_ports_asked_for() {
    refused(&[
        ("<name>eth1</name>", "<name>eth2</name>", "port eth2 was not asked for"),
        ("<name>eth1</name>", "<name>eth48</name>", "port eth48 is protected"),
        ("<name>eth1</name>", "<name>Eth1</name>", "port Eth1 was not asked for"),
        ("<name>eth1</name>", "<name> eth1</name>", "port  eth1 was not asked for"),
        ("<name>eth1</name>", "<name>eth1\n</name>", "port eth1\n was not asked for"),
        ("<name>eth1</name>", "<name>eth1\u{200b}</name>", "was not asked for"),
        ("<name>eth1</name>", "<name>eth&#50;</name>", "port eth2 was not asked for"),
        ("<name>eth1</name>", "<name>eth1&#x30;</name>", "port eth10 was not asked for"),
        ("<name>eth1</name>", "<name/>", "port  was not asked for"),
        ("<name>eth1</name>", "", "does not begin with its key"),
        ("<name>eth1</name>", "<name>eth1</name><name>eth2</name>", "has a second key"),
        ("<name>eth1</name>", "<name><x/></name>", "is a key with elements in it"),
        (
            "<name>eth1</name>",
            "<name xmlns=\"http://openconfig.net/yang/vlan\">eth1</name>",
            "does not begin with its key",
        ),
        ("<name>eth1</name>", "<name nc:operation=\"merge\">eth1</name>", "does not begin with its key"),
        ("<name>eth1</name>\n    <config>", "<config><name>eth1</name>", "does not begin with its key"),
        ("  </interface>", "<name>eth2</name></interface>", "has a second key"),
        ("  </interface>", "</interface><interface><name>eth2</name></interface>", "port eth2"),
        ("  </interface>", "</interface><interface><name>eth1</name></interface>", "not ours to change"),
        ("  </interface>", "</interface><interface/>", "has no key"),
        ("  </interface>", "<interface><name>eth1</name></interface></interface>", "nothing there"),
    ]);
    let entity = PAYLOAD.replace("<name>eth1</name>", "<name>&#101;th1</name>");
    assert_eq!(judge(&entity, &scope()), Ok(()), "another spelling of the same name");
}

#[test]
fn only_operations_that_a_plan_has() {
    let merge = r#"<description nc:operation="merge">"#;
    for operation in ["replace", "delete", "create", "Merge", "merge ", "", "&#109;erge", "none"] {
        let other = merge.replace("merge", operation);
        refused(&[(merge, &other, "is never used here")]);
    }
    for container in ["<interfaces ", "<interface>", "<config>", "<ethernet ", "<switched-vlan ", "<vlans>"] {
        let (name, end) = container.split_at(container.len() - 1);
        for operation in ["merge", "create", "remove", "replace", "delete"] {
            let other = format!("{name} nc:operation=\"{operation}\"{end}");
            refused(&[(container, &other, "reaches outside")]);
        }
    }
    refused(&[
        (merge, "<description>", "without an operation"),
        (merge, r#"<description nc:operation="remove">"#, "this value was not asked for"),
        (merge, r#"<description operation="merge">"#, "attribute operation is never used"),
        (merge, r#"<description nc:Operation="merge">"#, "attribute nc:Operation is never used"),
        (merge, r#"<description nc:operation="merge" operation="delete">"#, "attribute operation is never"),
        (
            merge,
            r#"<description xmlns:x="urn:ietf:params:xml:ns:netconf:base:1.0" nc:operation="merge" x:operation="delete">"#,
            "a second operation",
        ),
        (merge, r#"<description nc:operation="merge" nc:operation="delete">"#, "cannot be read back"),
        (merge, r#"<description xmlns:nc="urn:x" nc:operation="merge">"#, "prefix nc stands for something"),
        (merge, r#"<description xmlns:x="urn:x" x:operation="merge">"#, "prefix x stands for something"),
        (merge, r#"<description x:operation="merge">"#, "attribute x:operation is never used"),
        (
            merge,
            r#"<description xmlns:openconfig-vlan="http://openconfig.net/yang/vlan" openconfig-vlan:operation="merge">"#,
            "attribute openconfig-vlan:operation is never used",
        ),
        (merge, r#"<description nc:operation="merge" nc:insert="first">"#, "attribute nc:insert is never"),
        (merge, r#"<description nc:operation="merge" xml:lang="en">"#, "attribute xml:lang is never used"),
        (
            merge,
            r#"<description xmlns:iana-if-type="urn:ietf:params:xml:ns:netconf:base:1.0" nc:operation="merge">"#,
            "prefix iana-if-type stands for something else",
        ),
        (
            r#"<vlan nc:operation="create">"#,
            r#"<vlan nc:operation="remove">"#,
            "not what was asked of the VLAN",
        ),
        (r#"<vlan-id nc:operation="merge">"#, "<vlan-id>", "not what was asked of the VLAN"),
        (
            r#"<vlan-id nc:operation="merge">"#,
            r#"<vlan-id nc:operation="remove">"#,
            "not what was asked of the VLAN",
        ),
    ]);
    let other_prefix = PAYLOAD.replace("nc:operation", "a:operation").replace("xmlns:nc", "xmlns:a");
    assert_eq!(judge(&other_prefix, &scope()), Ok(()), "a prefix is only a prefix");
}

#[test]
fn an_interface_is_created_or_removed_only_where_the_change_may() {
    let create = PAYLOAD
        .replace("<interface>", r#"<interface nc:operation="create">"#)
        .replace("<config>\n      <desc", r#"<config><name nc:operation="merge">eth1</name><type nc:operation="merge" xmlns:iana-if-type="urn:ietf:params:xml:ns:yang:iana-if-type">iana-if-type:ethernetCsmacd</type><desc"#);
    let mut may = scope();
    assert!(judge(&create, &may).is_err());
    may.ports.get_mut("eth1").unwrap().creates = Some("iana-if-type:ethernetCsmacd".to_owned());
    assert_eq!(judge(&create, &may), Ok(()));
    for (from, to) in [
        ("\"merge\">eth1</name>", "\"merge\">eth2</name>"),
        ("\"merge\">eth1</name>", "\"remove\">eth1</name>"),
        ("iana-if-type:ethernetCsmacd<", "iana-if-type:ieee8023adLag<"),
        ("<interface nc:operation=\"create\">", "<interface nc:operation=\"remove\">"),
    ] {
        assert!(create.contains(from));
        assert!(judge(&create.replace(from, to), &may).is_err(), "{to}");
    }

    let start = PAYLOAD.find("    <config>").unwrap();
    let end = PAYLOAD.find("  </interface>").unwrap();
    let remove = PAYLOAD
        .replace(&PAYLOAD[start..end], "")
        .replace("<interface>", r#"<interface nc:operation="remove">"#);
    assert!(judge(&remove, &may).is_err());
    may.ports.get_mut("eth1").unwrap().removes = true;
    assert_eq!(judge(&remove, &may), Ok(()));
    let with_more = remove.replace("</name>\n  </interface>", "</name><config/></interface>");
    assert!(with_more != remove && judge(&with_more, &may).is_err());
}

#[test]
fn only_the_leaves_and_values_asked_for() {
    let description = r#"<description nc:operation="merge">R&amp;D</description>"#;
    let also = |leaf: &str| format!("{description}{leaf}");
    refused(&[
        (description, &also(r#"<mtu nc:operation="merge">9000</mtu>"#), "this leaf was not asked for"),
        (description, &also(r#"<mtu nc:operation="remove"/>"#), "this leaf was not asked for"),
        (description, &also(r#"<enabled nc:operation="merge">false</enabled>"#), "this leaf was not"),
        (description, &also(r#"<name nc:operation="merge">eth1</name>"#), "only written when it is created"),
        (description, &also(r#"<type nc:operation="remove"/>"#), "only written when it is created"),
        (description, &also(r#"<loopback-mode nc:operation="merge">true</loopback-mode>"#), "nothing there"),
        (description, &also("<enabled/>"), "without an operation"),
        (description, &also("<empty/>"), "nothing there was asked for"),
        (description, "", "nothing there was asked for"),
        (description, r#"<description nc:operation="merge">R&amp;D </description>"#, "this value was not"),
        (description, r#"<description nc:operation="merge"/>"#, "this value was not asked for"),
        (description, r#"<description nc:operation="merge"><x/></description>"#, "nothing there"),
        (description, r#"<access-vlan nc:operation="merge">100</access-vlan>"#, "nothing there was asked"),
        (">TRUNK<", ">ACCESS<", "this value was not asked for"),
        (">TRUNK<", "> TRUNK<", "this value was not asked for"),
        (
            r#"<interface-mode nc:operation="merge">TRUNK</interface-mode>"#,
            r#"<interface-mode nc:operation="remove"/><description nc:operation="merge">R&amp;D</description>"#,
            "nothing there was asked for",
        ),
        ("<ethernet xmlns", "<aggregation xmlns", "cannot be read back"),
        ("</ethernet>", "</ethernet><subinterfaces/>", "nothing there was asked for"),
        (
            "</network-instances>\n",
            "</network-instances><x xmlns=\"http://openconfig.net/yang/vlan\"/>",
            "nothing",
        ),
        (
            "</network-instances>\n",
            "</network-instances><interfaces xmlns=\"http://openconfig.net/yang/interfaces\"/>",
            "nothing",
        ),
        ("</network-instances>\n", "</network-instances><x xmlns=\"urn:x\"/>", "no module that is known"),
        ("</network-instances>\n", "</network-instances><x/>", "no module that is known"),
        ("<interfaces xmlns=", "<interfaces xmlns:a=", "cannot be read back"),
        (
            "http://openconfig.net/yang/interfaces\"",
            "http://openconfig.net/yang/interface&#115;\"",
            "no module",
        ),
        ("http://openconfig.net/yang/vlan\"", "http://openconfig.net/yang/interfaces\"", "nothing there"),
    ]);
}

#[test]
fn only_the_vlans_asked_for() {
    let list = r#"<trunk-vlans nc:operation="merge">101..105</trunk-vlans>"#;
    for (vlans, why) in [
        ("101..111", "VLAN 111 is not one"),
        ("99..101", "VLAN 99 is not one"),
        ("1..4094", "VLAN 1 is not one"),
        ("200", "VLAN 200 is not one"),
        ("4095", "outside 1 to 4094"),
        ("0", "not in plain decimal"),
        // Octal: 101 to a reader of YANG.
        ("0145", "not in plain decimal"),
        ("101..0151", "not in plain decimal"),
        ("0x65", "not in plain decimal"),
        (" 101", "not in plain decimal"),
        ("101 ..105", "not in plain decimal"),
        ("101\n", "not in plain decimal"),
        ("101-105", "not in plain decimal"),
        ("101,105", "not in plain decimal"),
        ("+101", "not in plain decimal"),
        ("١٠١", "not in plain decimal"),
        ("*", "not in plain decimal"),
        ("101..105..4000", "is not a VLAN id"),
        ("105..101", "ends before it begins"),
        ("..", "is not a VLAN id"),
    ] {
        refused(&[(list, &list.replace("101..105", vlans), why)]);
    }
    refused(&[
        (">100</native-vlan>", ">99</native-vlan>", "VLAN 99 is not one"),
        (">100</native-vlan>", ">0144</native-vlan>", "not in plain decimal"),
        (">100</native-vlan>", ">10&#49;1</native-vlan>", "VLAN 1011 is not one"),
        (r#""remove"/>"#, r#""merge">99</access-vlan>"#, "VLAN 99 is not one"),
        (
            r#"<trunk-vlans nc:operation="remove">7..9</trunk-vlans>"#,
            r#"<trunk-vlans nc:operation="remove"/>"#,
            "value by value",
        ),
        (
            r#"<trunk-vlans nc:operation="remove">7..9</trunk-vlans>"#,
            "<trunk-vlans nc:operation=\"remove\">\u{a0}</trunk-vlans>",
            "value by value",
        ),
        ("<vlan-id>100</vlan-id>", "<vlan-id>101</vlan-id>", "this VLAN's entry was not asked for"),
        ("<vlan-id>100</vlan-id>", "<vlan-id>0100</vlan-id>", "this VLAN's entry was not asked for"),
        ("<vlan-id>100</vlan-id>", "", "does not begin with its key"),
        (
            ">100</vlan-id>\n        </config>",
            ">101</vlan-id>\n        </config>",
            "not what was asked of the VLAN",
        ),
        ("<name>default</name>", "<name>tenant</name>", "this VLAN's entry was not asked for"),
        ("<name>default</name>", "<name>default</name><name>tenant</name>", "has a second key"),
        (
            "</vlan>",
            r#"<members xmlns="http://openconfig.net/yang/vlan"/></vlan>"#,
            "not what was asked of the VLAN",
        ),
        ("</vlans>", r#"<vlan nc:operation="create"><vlan-id>101</vlan-id></vlan></vlans>"#, "not asked for"),
        ("</vlans>", "</vlans><config><type nc:operation=\"remove\"/></config>", "nothing there was asked"),
    ]);
}

#[test]
fn no_port_becomes_a_trunk_of_every_vlan() {
    let list = r#"<trunk-vlans nc:operation="merge">101..105</trunk-vlans>"#;
    let mode = r#"<interface-mode nc:operation="merge">TRUNK</interface-mode>"#;
    refused(&[
        (list, "", "would carry every VLAN"),
        (list, &list.replace("merge", "remove"), "would carry every VLAN"),
        (list, mode, "would carry every VLAN"),
        (mode, &format!("{mode}{}", list.replace("merge", "remove")), "would carry every VLAN"),
    ]);
    let without_list = PAYLOAD.replace(list, "");
    let mut scope = scope();
    let config = "/openconfig-interfaces:interfaces/interface[name='eth1']/openconfig-if-ethernet:ethernet/openconfig-vlan:switched-vlan/config";
    let config = Path::parse(config).unwrap();
    scope.running.add_member(config.child("trunk-vlans"), "102".to_owned());
    scope.running.add_member(config.child("trunk-vlans"), "7..9".to_owned());
    assert_eq!(judge(&without_list, &scope), Ok(()), "there is a list already");
    scope.running = Slice::from_iter([(config.child("interface-mode"), Value::Leaf("TRUNK".to_owned()))]);
    assert_eq!(judge(PAYLOAD, &scope), Ok(()), "it was open and is closed");
    assert!(judge(&without_list, &scope).is_err(), "it was open and stays open");
    scope.ports.get_mut("eth1").unwrap().opens = true;
    assert_eq!(judge(&without_list, &scope), Ok(()), "back to what it was");
}

#[test]
fn nothing_that_a_device_may_read_otherwise() {
    let start = "<interfaces ";
    refused(&[
        (start, "<?xml version=\"1.0\"?><interfaces ", "neither element nor text"),
        (start, "<!DOCTYPE x [<!ENTITY e \"eth1\">]><interfaces ", "neither element nor text"),
        (start, "<!-- --><interfaces ", "neither element nor text"),
        (start, "x<interfaces ", "text outside every element"),
        (start, "<?pi?><interfaces ", "neither element nor text"),
        (">eth1<", "><![CDATA[eth1]]><", "`]]>`"),
        (">eth1<", ">eth1<!-- --><", "neither element nor text"),
        (">eth1<", ">eth<?x?>1<", "neither element nor text"),
        (">eth1<", ">&e;<", "cannot be read back"),
        (">eth1<", ">&#0;eth1<", "cannot be read back"),
        (">R&amp;D<", ">]]>]]><", "`]]>`"),
        ("    <config>", "x<config>", "has text between its elements"),
        ("  </interface>", "&#32;x</interface>", "has text between its elements"),
        ("  </interface>", "\u{a0}</interface>", "has text between its elements"),
        ("</switched-vlan>", "x</switched-vlan>", "has text between its elements"),
        ("</interfaces>", "", "neither element nor text"),
        ("</interfaces>", "</interfaces></interfaces>", "cannot be read back"),
        ("</config>", "</other>", "cannot be read back"),
        ("</ethernet>", "</ethernet", "cannot be read back"),
    ]);
    let deep = format!("<config>{}{}", "<config>".repeat(100_000), "</config>".repeat(100_000));
    refused(&[("<config>", &deep, "levels deep")]);
}

/// A leaf that is in no request of [`any_intent`], wherever it stands.
const STRANGER: &str = r#"<loopback-mode nc:operation="merge">true</loopback-mode>"#;

proptest! {
    #[test]
    fn what_a_plan_renders_passes_and_no_single_change_of_it_does(
        before in any_running(), intent in any_intent(), at in any::<prop::sample::Index>(),
        operation in prop::sample::select(vec!["delete", "replace", "create", "", "none", "merge", "remove"]),
    ) {
        let request = request(intent, sample("leaf1"));
        let plan = plan(&request, &before, &SCHEMA).unwrap();
        prop_assume!(!plan.is_empty());
        let batch = Batch::new(&[&plan], &request.device, &SCHEMA).unwrap();
        let back = Scope { ports: batch.way_back.ports.clone(), running: plan.after.clone(), ..Scope::default() };
        for (payload, scope) in [(&batch.payload, &plan.scope), (&batch.inverse, &back)] {
            let xml = payload.text();
            prop_assert_eq!(judge(xml, scope), Ok(()));
            let lines: Vec<&str> = xml.lines().collect();
            let changed = |n: usize, line: &str| {
                let mut lines = lines.clone();
                lines[n] = line;
                lines.join("\n")
            };
            prop_assert!(judge(&xml.replace("<name>eth1<", "<name>eth10<"), scope).is_err());

            let n = at.index(lines.len());
            let more = changed(n, &format!("{}{STRANGER}", lines[n]));
            prop_assert!(judge(&more, scope).is_err(), "{}", more);

            let edits: Vec<usize> = (0..lines.len()).filter(|n| lines[*n].contains("operation=")).collect();
            let n = edits[at.index(edits.len())];
            let old = lines[n].split('"').find(|word| ["merge", "remove", "create"].contains(word)).unwrap();
            prop_assume!(old != operation);
            let other = changed(n, &lines[n].replacen(&format!("\"{old}\""), &format!("\"{operation}\""), 1));
            // VLANs that go are never looked at, and which of those asked for stays is not the guard's to say.
            let is_vlan = lines[n].contains("-vlan") && ["merge", "remove"].contains(&operation);
            prop_assert!(is_vlan || judge(&other, scope).is_err(), "{}", other);

            let outside = (1..=4094).find(|id| !scope.ports["eth1"].vlans.contains(VlanId::new(*id).unwrap()));
            let sets_vlan = |n: &usize| lines[*n].contains("-vlan") && lines[*n].contains("\"merge\"");
            if let (Some(n), Some(outside)) = (edits.iter().copied().find(sets_vlan), outside) {
                let (head, tail) = (lines[n].find('>').unwrap(), lines[n].find("</").unwrap());
                let other = changed(n, &format!("{}>{outside}{}", &lines[n][..head], &lines[n][tail..]));
                prop_assert!(judge(&other, scope).is_err(), "{}", other);
            }
        }
    }

    #[test]
    fn noise_is_refused_and_never_panics(noise in "[<>&;/!\\[\\]a-c \"'=?:\u{e9}-]{0,80}") {
        prop_assume!(!noise.trim().is_empty());
        prop_assert!(judge(&noise, &scope()).is_err());
        prop_assert!(judge(&PAYLOAD.replacen("eth1", &noise, 1), &scope()).is_err());
    }
}

#[test]
fn of_the_spanning_tree_only_what_was_asked_for() {
    const TREE: &str = r#"<stp xmlns="http://openconfig.net/yang/spanning-tree" xmlns:nc="urn:ietf:params:xml:ns:netconf:base:1.0">
  <interfaces>
    <interface nc:operation="create">
      <name>eth1</name>
      <config>
        <name nc:operation="merge">eth1</name>
        <bpdu-guard nc:operation="merge">true</bpdu-guard>
      </config>
    </interface>
  </interfaces>
</stp>
"#;
    let mut asked = scope();
    let port = asked.ports.get_mut("eth1").unwrap();
    port.creates_stp = true;
    port.leaves.insert("bpdu-guard".to_owned(), Some("true".to_owned()));
    assert_eq!(judge(TREE, &asked), Ok(()));
    assert!(judge(TREE, &scope()).is_err());
    for (from, to, why) in [
        ("<name>eth1</name>", "<name>eth2</name>", "port eth2 was not asked for"),
        ("<name>eth1</name>", "<name>eth48</name>", "port eth48 is protected"),
        ("<name>eth1</name>", "", "does not begin with its key"),
        ("\"create\"", "\"replace\"", "not what was asked of the spanning tree"),
        ("\"create\"", "\"remove\"", "not what was asked of the spanning tree"),
        ("\"merge\">eth1<", "\"merge\">eth2<", "not what was asked of the spanning tree"),
        (">true<", ">false<", "this value was not asked for"),
        ("bpdu-guard nc:operation=\"merge\"", "bpdu-guard", "without an operation"),
    ] {
        let error = judge(&TREE.replacen(from, to, 1), &asked).unwrap_err().to_string();
        assert!(error.contains(why), "{to}: {error}");
    }
    let edge = "<edge-port nc:operation=\"remove\"/></config>";
    let error = judge(&TREE.replacen("</config>", edge, 1), &asked).unwrap_err().to_string();
    assert!(error.contains("this leaf was not asked for"), "{error}");
}
