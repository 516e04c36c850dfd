//! edit-config, validation and filters.

use super::*;

#[test]
fn operations_and_their_errors() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let description = "<description>a</description>";
    let path = "/oc-if:interfaces/oc-if:interface[oc-if:name='eth1']/oc-if:config/oc-if:description<";
    bench.fails(1, &port("candidate", "none", description, ""), "data-missing", &[path, "xmlns:oc-if="]);
    bench.ok(1, &port("candidate", "none", "<description nc:operation='create'>a</description>", ""));
    bench.ok(1, &port("candidate", "none", "<description/>", ""));
    bench.fails(
        1,
        &port("candidate", "merge", "<description nc:operation='create'>b</description>", ""),
        "data-exists",
        &[path],
    );
    bench.ok(1, &port("candidate", "merge", "<description nc:operation='delete'/>", ""));
    bench.fails(
        1,
        &port("candidate", "merge", "<description nc:operation='delete'/>", ""),
        "data-missing",
        &[path],
    );
    bench.ok(1, &port("candidate", "merge", "<description nc:operation='remove'/>", ""));
    bench.ok(1, "<discard-changes/>");
    bench.ok(1, &port("candidate", "merge", "<enabled>true</enabled>", ""));
    assert!(!bench.is_dirty(), "it says what is there already");

    let bad = [
        ("<nope/>", "unknown-element", "<bad-element>nope</bad-element>"),
        ("<x xmlns='urn:nope'/>", "unknown-namespace", "<bad-namespace>urn:nope</bad-namespace>"),
        ("<mtu>70000</mtu>", "invalid-value", "oc-if:mtu<"),
        ("<type>nope</type>", "invalid-value", "oc-if:type<"),
        ("<mtu nc:operation='bogus'>1500</mtu>", "bad-attribute", "<bad-element>mtu</bad-element>"),
        ("<mtu operation='delete'/>", "unknown-attribute", "<bad-attribute>operation</bad-attribute>"),
    ];
    for (config, tag, part) in bad {
        bench.fails(1, &port("candidate", "merge", config, ""), tag, &[part]);
    }
    let entry = |operation: &str, content: &str| {
        edit("candidate", "merge", &format!("<interface nc:operation='{operation}'>{content}</interface>"))
    };
    bench.fails(1, &entry("merge", "<config/>"), "missing-element", &["<bad-element>name<"]);
    bench.fails(1, &entry("create", "<name>eth1</name>"), "data-exists", &["interface[oc-if:name='eth1']<"]);
    bench.fails(1, &entry("delete", "<name>eth9</name>"), "data-missing", &["interface[oc-if:name='eth9']<"]);
    bench.fails(1, &entry("merge", "<name nc:operation='delete'>eth1</name>"), "access-denied", &[]);
    bench.ok(1, &entry("remove", "<name>eth9</name>"));
    bench.fails(1, &edit("running", "merge", ""), "operation-not-supported", &[]);
    bench.fails(1, &edit("startup", "merge", ""), "operation-not-supported", &[]);
    bench.fails(1, "<get-schema/>", "operation-not-supported", &[]);
    bench.fails(1, "<edit-config><target/></edit-config>", "bad-element", &[]);
    bench.fails(1, "<lock/>", "missing-element", &["<bad-element>target<"]);
}

#[test]
fn defaults_count_as_absent() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    bench.ok(1, &port("candidate", "merge", "<enabled nc:operation='delete'/>", ""));
    bench.ok(1, COMMIT);
    assert_eq!(bench.running().matches("<enabled>").count(), 1);
    bench.fails(1, &port("candidate", "merge", "<enabled nc:operation='delete'/>", ""), "data-missing", &[]);
    let create = port("candidate", "merge", "<enabled nc:operation='create'>true</enabled>", "");
    bench.ok(1, &create);
    bench.fails(1, &create, "data-exists", &[]);
    bench.ok(1, COMMIT);
    assert_eq!(bench.running().matches("<enabled>true<").count(), 2);
}

#[test]
fn an_empty_container_counts_as_missing() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let below = format!(
        "<ethernet {ETH}><switched-vlan {VLAN}><config><access-vlan nc:operation='merge'>100</access-vlan></config></switched-vlan></ethernet>"
    );
    let strict = edit("candidate", "none", &format!("<interface><name>eth1</name>{below}</interface>"));
    bench.fails(1, &strict, "data-missing", &["oc-eth:ethernet<"]);
    bench.ok(1, &port("candidate", "none", "", ACCESS));
    bench.ok(1, &strict);
    let remove = ACCESS.replace("<interface-mode>", "<interface-mode nc:operation='remove'>");
    let remove = remove.replace("<access-vlan>", "<access-vlan nc:operation='remove'>");
    bench.ok(1, &port("candidate", "none", "", &remove));
    bench.fails(1, &strict, "data-missing", &["oc-eth:ethernet<"]);
}

#[test]
fn leaf_lists_and_replace() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let trunk = "<interface-mode>TRUNK</interface-mode><trunk-vlans>100</trunk-vlans><trunk-vlans>200..210</trunk-vlans>";
    bench.ok(1, &port("candidate", "merge", "", trunk));
    bench.ok(1, COMMIT);
    let has =
        |bench: &Bench, vlan: &str| bench.running().contains(&format!("<trunk-vlans>{vlan}</trunk-vlans>"));
    assert!(has(&bench, "100") && has(&bench, "200..210"), "{}", bench.running());
    let one = |operation: &str, value: &str| {
        port(
            "candidate",
            "merge",
            "",
            &format!("<trunk-vlans nc:operation='{operation}'>{value}</trunk-vlans>"),
        )
    };
    bench.fails(1, &one("create", "100"), "data-exists", &["oc-vlan:trunk-vlans[.='100']<"]);
    bench.fails(1, &one("delete", "101"), "data-missing", &[]);
    bench.fails(1, &one("remove", "5000"), "invalid-value", &[]);
    bench.fails(1, &one("merge", "x"), "invalid-value", &[]);
    bench.ok(1, &one("delete", "200..210"));
    bench.ok(1, COMMIT);
    assert!(has(&bench, "100") && !has(&bench, "200..210"));

    let replace = "<interface nc:operation='replace'><name>eth1</name><config><name>eth1</name>\
        <type xmlns:i='urn:ietf:params:xml:ns:yang:iana-if-type'>i:ethernetCsmacd</type></config></interface>";
    bench.ok(1, &edit("candidate", "merge", replace));
    bench.ok(1, COMMIT);
    assert!(!bench.running().contains("trunk-vlans") && bench.running().contains("eth2"));
    bench.ok(1, &edit("candidate", "replace", ""));
    bench.ok(1, COMMIT);
    assert_eq!(bench.running(), "");
}

#[test]
fn whole_validation_comes_with_the_commit() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let wrong = "<interface-mode>TRUNK</interface-mode><access-vlan>100</access-vlan>";
    bench.ok(1, &port("candidate", "merge", "", wrong));
    let before = bench.running();
    bench.fails(1, COMMIT, "unknown-element", &["oc-vlan:access-vlan<"]);
    bench.fails(1, "<validate><source><candidate/></source></validate>", "unknown-element", &[]);
    assert_eq!(bench.running(), before);
    assert!(bench.is_dirty(), "a failed commit keeps the candidate");
    bench.ok(1, "<discard-changes/>");
    bench.ok(
        1,
        &edit(
            "candidate",
            "merge",
            "<interface><name>eth3</name><config><name>eth4</name></config></interface>",
        ),
    );
    bench.fails(1, COMMIT, "data-missing", &["instance-required"]);
    bench.ok(1, "<discard-changes/>");
    // What was there goes when its `when` becomes false (RFC 7950 8.2.1).
    bench.ok(1, &port("candidate", "merge", "", ACCESS));
    bench.ok(1, COMMIT);
    bench.ok(1, &port("candidate", "merge", "", "<interface-mode>TRUNK</interface-mode>"));
    bench.ok(1, COMMIT);
    assert!(!bench.running().contains("access-vlan"));
}

#[test]
fn quirks() {
    let wrong = "<interface-mode>TRUNK</interface-mode><access-vlan>100</access-vlan>";
    let mut bench =
        Bench::new(Personality::CandidatePersist, Quirks { prune_when: true, ..Quirks::default() });
    bench.ok(1, &port("candidate", "merge", "", wrong));
    bench.ok(1, COMMIT);
    assert!(bench.running().contains("TRUNK") && !bench.running().contains("access-vlan"));

    let mut bench =
        Bench::new(Personality::CandidatePersist, Quirks { refuse: Some(666), ..Quirks::default() });
    for vlan in ["<access-vlan>666</access-vlan>", "<trunk-vlans>600..700</trunk-vlans>"] {
        bench.fails(1, &port("candidate", "merge", "", vlan), "operation-failed", &["VLAN 666"]);
    }
    bench.ok(1, &port("candidate", "merge", "<mtu>666</mtu>", ACCESS));

    let ignore = Quirks { ignore: Some("access-vlan".into()), no_error_path: true, ..Quirks::default() };
    let mut bench = Bench::new(Personality::CandidatePersist, ignore);
    bench.ok(1, &port("candidate", "merge", "", ACCESS));
    bench.ok(1, COMMIT);
    assert!(bench.running().contains("ACCESS") && !bench.running().contains("access-vlan"));
    let error = bench.rpc(1, &port("candidate", "merge", "<mtu nc:operation='delete'/>", "")).unwrap_err();
    assert!(error.contains("data-missing") && !error.contains("error-path"), "{error}");

    let torn = port("running", "merge", "<mtu>9000</mtu><description nc:operation='delete'/>", "");
    let rollback = "</target><error-option>rollback-on-error</error-option>";
    let mut bench = Bench::new(Personality::Running, Quirks { partial: true, ..Quirks::default() });
    bench.fails(1, &torn.replace("</target>", rollback), "invalid-value", &["error-option"]);
    bench.fails(1, &torn, "data-missing", &[]);
    assert!(bench.running().contains("9000"));
    let mut bench = Bench::new(Personality::Running, Quirks::default());
    bench.fails(1, &torn.replace("</target>", rollback), "data-missing", &[]);
    assert!(!bench.running().contains("9000"));
    assert_eq!(bench.store.commits, 0);
}

#[test]
fn subtree_filters() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    bench.ok(1, &port("candidate", "merge", "<mtu>9000</mtu>", ACCESS));
    bench.ok(1, COMMIT);
    let mut read = |filter: &str| {
        let filter = format!("<filter type='subtree'>{filter}</filter>");
        bench.ok(2, &format!("<get-config><source><running/></source>{filter}</get-config>"))
    };
    let of_port = |filter: &str| format!("<interfaces {OC}><interface>{filter}</interface></interfaces>");
    assert_eq!(read(""), "");
    assert_eq!(read("<interfaces xmlns='urn:other'/>"), "");
    assert_eq!(read("<interfaces xmlns=''/>"), read(&format!("<interfaces {OC}/>")));
    assert_eq!(read(&of_port("<name>eth9</name>")), "");
    assert_eq!(
        read(&of_port("<name/>")),
        format!(
            "<interfaces {OC}><interface><name {OC}>eth1</name></interface><interface><name {OC}>eth2</name></interface></interfaces>"
        )
    );
    assert_eq!(
        read(&of_port("<name>eth1</name><config><mtu/></config>")),
        format!(
            "<interfaces {OC}><interface><name {OC}>eth1</name><config><mtu {OC}>9000</mtu></config></interface></interfaces>"
        )
    );
    let whole = read(&of_port("<name> eth1 </name>"));
    assert!(whole.contains("access-vlan") && whole.contains("<enabled>") && !whole.contains("eth2"));
    let both = read(&format!(
        "<interfaces {OC}><interface><name>eth1</name><ethernet {ETH}/></interface><interface><name>eth2</name></interface></interfaces>"
    ));
    assert!(
        both.contains("access-vlan") && !both.contains("9000") && both.contains("<name>eth2</name><config>")
    );
    let typed = "<config><type xmlns:p='urn:ietf:params:xml:ns:yang:iana-if-type'>p:ethernetCsmacd</type><name/></config>";
    let typed = read(&of_port(typed));
    assert!(typed.contains("eth1") && typed.contains("eth2") && !typed.contains("9000"), "{typed}");
    assert!(Element::parse(&format!("<x>{both}{typed}</x>")).is_ok());
}

#[test]
fn state_is_what_running_makes_of_the_ports() {
    let quirks = Quirks { no_link: vec!["eth2".into()], octets: 64, ..Quirks::default() };
    let mut bench = Bench::new(Personality::CandidatePersist, quirks);
    let get = |filter: &str| format!("<get><filter type='subtree'>{filter}</filter></get>");
    let of_port = |name: &str| {
        get(&format!("<interfaces {OC}><interface><name>{name}</name><state/></interface></interfaces>"))
    };
    let state = |name: &str, admin: &str, oper: &str| {
        let octets = if oper == "UP" { 64 } else { 0 };
        format!(
            "<interfaces {OC}><interface><name {OC}>{name}</name><state {OC}><admin-status>{admin}</admin-status>\
             <oper-status>{oper}</oper-status><counters><in-octets>{octets}</in-octets>\
             <out-octets>{octets}</out-octets></counters></state></interface></interfaces>"
        )
    };
    assert_eq!(bench.ok(1, &of_port("eth1")), state("eth1", "UP", "UP"));
    assert_eq!(bench.ok(1, &of_port("eth2")), state("eth2", "UP", "DOWN"));
    assert_eq!(bench.ok(1, &of_port("eth9")), "");
    bench.ok(1, &port("candidate", "merge", "<enabled>false</enabled>", ""));
    assert_eq!(bench.ok(1, &of_port("eth1")), state("eth1", "UP", "UP"), "only running counts");
    bench.ok(1, COMMIT);
    assert_eq!(bench.ok(1, &of_port("eth1")), state("eth1", "DOWN", "DOWN"));

    let vlans = "<network-instances xmlns='http://openconfig.net/yang/network-instance'><network-instance>\
        <vlans><vlan><vlan-id>101</vlan-id><state><status/></state></vlan></vlans></network-instance></network-instances>";
    let table = bench.ok(1, &get(vlans));
    assert!(table.contains("<status xmlns=") && table.contains(">ACTIVE</status>") && !table.contains("100"));
    let both = bench.ok(1, "<get/>");
    assert!(both.contains("<oper-status>") && both.contains("<config>"));
    assert!(!bench.ok(1, "<get-config><source><running/></source></get-config>").contains("<state"));
    let edit = edit(
        "candidate",
        "merge",
        "<interface><name>eth1</name><state><oper-status>UP</oper-status></state></interface>",
    );
    bench.fails(1, &edit, "access-denied", &["state"]);
}
