//! What a change leaves on a switch on which nothing goes wrong.

use serde_json::{Value, json};

use super::*;
use crate::peers::{Peer, require};
use crate::service::{Site, and, attach, detach, reset, update};

/// Other people's configuration: beside ours on eth1, and on other ports.
fn foreign() -> String {
    let own = "<hold-time><config><up>500</up></config></hold-time>\
               <ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\">\
               <config><auto-negotiate>false</auto-negotiate></config></ethernet>";
    let trunk = "<interface-mode>TRUNK</interface-mode><native-vlan>7</native-vlan>\
                 <trunk-vlans>7</trunk-vlans><trunk-vlans>2000..2099</trunk-vlans>";
    let ip = "<subinterfaces><subinterface><index>0</index><config><index>0</index></config>\
              <ipv4 xmlns=\"http://openconfig.net/yang/interfaces/ip\"><addresses><address><ip>192.0.2.1</ip>\
              <config><ip>192.0.2.1</ip><prefix-length>24</prefix-length></config></address></addresses></ipv4>\
              </subinterface></subinterfaces>";
    let ports = [
        ethernet("eth1", "", own),
        ethernet("eth7", "<description>uplink</description><mtu>9000</mtu>", &switched(trunk)),
        ethernet("eth8", "<description>router</description>", ip),
    ];
    ports.concat()
}

/// An operator's removal of a node that `what` matches from the start of.
fn without(config: &str, what: &str) -> String {
    let element = what.trim_end_matches(['/', '>']);
    let operation = "xmlns:nc=\"urn:ietf:params:xml:ns:netconf:base:1.0\" nc:operation=\"delete\"";
    config.replacen(what, &format!("{element} {operation}{}", &what[element.len()..]), 1)
}

#[tokio::test]
async fn ports_hold_what_was_asked_and_nothing_else_changes() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let none = Value::Null;
    let list = [119, 120, 121, 122, 130];
    let steps = [
        (
            "update_port",
            update("eth2", "access", 100, &[]),
            "access-vlan=100 description=IRONIC interface-mode=ACCESS",
        ),
        (
            "update_port",
            update("eth2", "access", 101, &[]),
            "access-vlan=101 description=IRONIC interface-mode=ACCESS",
        ),
        // From access to each kind of trunk and back.
        (
            "update_port",
            update("eth2", "trunk", none, &[110, 112]),
            "description=IRONIC interface-mode=TRUNK trunk-vlans=110,112",
        ),
        (
            "attach_port",
            attach("eth2", 102, &[]),
            "access-vlan=102 description=NEUTRON interface-mode=ACCESS",
        ),
        (
            "update_port",
            update("eth2", "trunk", 103, &[]),
            "description=IRONIC interface-mode=TRUNK native-vlan=103 trunk-vlans=103",
        ),
        (
            "update_port",
            update("eth2", "access", 100, &[]),
            "access-vlan=100 description=IRONIC interface-mode=ACCESS",
        ),
        (
            "attach_port",
            attach("eth2", 100, &[120, 121, 122]),
            "description=NEUTRON interface-mode=TRUNK native-vlan=100 trunk-vlans=120..122",
        ),
        // The list grows and shrinks.
        (
            "attach_port",
            attach("eth2", 100, &list),
            "description=NEUTRON interface-mode=TRUNK native-vlan=100 trunk-vlans=119,120..122,130",
        ),
        (
            "attach_port",
            attach("eth2", 100, &[119, 121, 130]),
            "description=NEUTRON interface-mode=TRUNK native-vlan=100 trunk-vlans=119,121,130",
        ),
        (
            "update_port",
            update("eth2", "hybrid", 104, &[130]),
            "description=IRONIC interface-mode=TRUNK native-vlan=104 trunk-vlans=130",
        ),
        ("reset_port", reset("eth2", 104), "enabled=false"),
        // A port with somebody else's leaves keeps them.
        (
            "attach_port",
            attach("eth1", 100, &[]),
            "access-vlan=100 auto-negotiate=false description=NEUTRON interface-mode=ACCESS up=500",
        ),
        ("detach_port", detach("eth1"), "auto-negotiate=false enabled=false up=500"),
    ];
    for shape in BOTH {
        let (server, proxy) = Netconfd::start_with_proxy(shape, vec![]).await;
        let mut operator = Operator::of(&server, shape).await;
        operator.apply(&foreign()).await;
        let untouched = operator.running().await;
        let site = Site::of(&server);
        let service = site.serve().await;
        for (method, params, expected) in &steps {
            let name = if *method == "update_port" || *method == "reset_port" {
                params["port_name"].as_str()
            } else {
                params["port"]["binding:profile"]["local_link_information"][0]["port_id"].as_str()
            };
            let name = name.expect("a port");
            call(&service, method, params).await;
            assert_eq!(operator.port(name).await, *expected, "{method} {params}");
            // The same again sends nothing that changes a switch.
            let before = requests(&proxy, &CHANGING);
            call(&service, method, params).await;
            assert_eq!(requests(&proxy, &CHANGING), before, "{method} {params}");
        }
        operator.assert_at_rest().await;
        assert_eq!(site.journal(), "");
        // Ours taken away again, what is others' is as it was, to the byte.
        operator.apply(&without(&interface("eth2", ""), "<interface>")).await;
        operator.apply(&without(&ethernet("eth1", "<enabled/>", ""), "<enabled/>")).await;
        assert_eq!(operator.running().await, untouched);
    }
}

#[tokio::test]
async fn a_dry_run_says_what_is_sent_and_the_inverse_brings_back_what_was() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    // Somebody's trunk with a range, parts of which stay; an access port; one that is shut; none.
    let trunk = "<interface-mode>TRUNK</interface-mode><native-vlan>7</native-vlan><trunk-vlans>100..110</trunk-vlans>\
                 <trunk-vlans>3</trunk-vlans>";
    let before = [
        ethernet("eth1", "<description>old</description>", &switched(trunk)),
        ethernet(
            "eth2",
            "<mtu>1500</mtu>",
            &switched("<interface-mode>ACCESS</interface-mode><access-vlan>12</access-vlan>"),
        ),
        ethernet("eth3", "<enabled>false</enabled>", ""),
    ]
    .concat();
    let mtu = and(attach("eth2", 100, &[101]), "network", json!({ "mtu": 9000 }));
    let mut shut = attach("eth3", 100, &[]);
    shut["port"]["admin_state_up"] = json!(true);
    let calls = [
        (
            "attach_port",
            attach("eth1", 107, &[105, 106, 107, 108]),
            "description=NEUTRON interface-mode=TRUNK native-vlan=107 trunk-vlans=105..108",
        ),
        (
            "attach_port",
            attach("eth1", 100, &(99..112).filter(|id| *id > 99).collect::<Vec<_>>()),
            "description=NEUTRON interface-mode=TRUNK native-vlan=100 trunk-vlans=100..110,111",
        ),
        (
            "attach_port",
            attach("eth1", 100, &[]),
            "access-vlan=100 description=NEUTRON interface-mode=ACCESS",
        ),
        ("detach_port", detach("eth1"), "description=old enabled=false"),
        (
            "attach_port",
            mtu,
            "description=NEUTRON interface-mode=TRUNK mtu=9000 native-vlan=100 trunk-vlans=101",
        ),
        ("attach_port", shut, "access-vlan=100 description=NEUTRON enabled=true interface-mode=ACCESS"),
        (
            "attach_port",
            attach("eth4", 100, &[]),
            "access-vlan=100 description=NEUTRON interface-mode=ACCESS",
        ),
        ("detach_port", detach("eth4"), "enabled=false"),
    ];
    for shape in BOTH {
        let (server, proxy) = Netconfd::start_with_proxy(shape, vec![]).await;
        let mut operator = Operator::of(&server, shape).await;
        operator.apply(&before).await;
        let untouched = operator.running().await;
        let service = Site::of(&server).serve_at("debug").await;
        for (method, params, expected) in &calls {
            let what = format!("{method} {params}");
            let sent = requests(&proxy, &["lock", "edit-config", "copy-config"]);
            let dry = call(&service, method, &and(params.clone(), "dry_run", true)).await;
            assert_eq!(dry["outcome"], "planned");
            assert_eq!(requests(&proxy, &["lock", "edit-config", "copy-config"]), sent, "{what}");
            assert_eq!(operator.running().await, untouched, "{what}");

            let real = call(&service, method, params).await;
            assert_eq!(real["outcome"], "applied", "{what}");
            let (planned, done) = (&dry["devices"][0], &real["devices"][0]);
            for part in [
                "port",
                "before",
                "after",
                "diff",
                "edits",
                "payload",
                "inverse",
                "risks",
                "transport",
                "digest",
            ] {
                assert_eq!(planned[part], done[part], "{part} of {what}");
            }
            // What went over the wire, to the byte.
            let payload = planned["payload"].as_str().expect("a payload");
            let edit = |event: &Value| {
                event["message"]
                    .as_str()
                    .is_some_and(|sent| sent.contains("<edit-config") && sent.contains(payload))
            };
            assert!(service.log().iter().any(edit), "{what}");
            let name = done["port"].as_str().expect("a port");
            assert_eq!(operator.port(name).await, *expected, "{what}");

            operator.apply_inverse(&real).await;
            assert_eq!(operator.running().await, untouched, "{what}");
        }
        operator.assert_at_rest().await;
    }
}

#[tokio::test]
async fn a_detached_port_is_isolated_as_the_operator_chose() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let lab = "<description>Ironic Port of the old lab</description>";
    let trunk = switched(
        "<interface-mode>TRUNK</interface-mode><native-vlan>7</native-vlan><trunk-vlans>3..5</trunk-vlans>",
    );
    // A trunk without a list carries every VLAN.
    let open = switched("<interface-mode>TRUNK</interface-mode>");
    let uuid = "<description>Neutron Port 0d2b1f6e-3a53-4f3b-9b44-000000000000</description>";
    let cases = [
        // on_detach, default_vlan, what of the port there is before, what of it there is then.
        ("disable", None, "", "description=Ironic Port of the old lab enabled=false"),
        (
            "quarantine:999",
            None,
            "",
            "access-vlan=999 description=Ironic Port of the old lab interface-mode=ACCESS",
        ),
        (
            "disable",
            Some(106),
            "",
            "access-vlan=106 description=Ironic Port of the old lab interface-mode=ACCESS",
        ),
        (
            "quarantine:999",
            Some(120),
            "",
            "access-vlan=120 description=Ironic Port of the old lab interface-mode=ACCESS",
        ),
        ("disable", None, uuid, "enabled=false"),
        ("quarantine:999", None, uuid, "access-vlan=999 interface-mode=ACCESS"),
    ];
    let shape = Shape::RunningStartup;
    let server = Netconfd::start(shape).await;
    let mut operator = Operator::of(&server, shape).await;
    let with = |on_detach: &str| {
        let lines = format!(
            "profile = \"netconfd_openconfig\"\nallowed_vlans = \"100-199\"\nidle_vlans = \"106,999\"\non_detach = \"{on_detach}\"\n"
        );
        Site::with(&server, &lines)
    };
    let (disable, quarantine) = (with("disable").serve().await, with("quarantine:999").serve().await);
    for (number, (on_detach, default_vlan, description, expected)) in cases.into_iter().enumerate() {
        let description = if description.is_empty() { lab } else { description };
        let service = if on_detach == "disable" { &disable } else { &quarantine };
        for (what, vlans) in [("trunk", &trunk), ("open", &open)] {
            let name = format!("{what}{number}");
            operator.apply(&ethernet(&name, description, vlans)).await;
            let answer =
                call(service, "detach_port", &and(detach(&name), "default_vlan", default_vlan)).await;
            assert_eq!(answer["outcome"], "applied");
            assert_eq!(operator.port(&name).await, expected, "{on_detach} {default_vlan:?}");
            // Already detached is unchanged, in the other vocabulary too.
            let answer =
                call(service, "detach_port", &and(detach(&name), "default_vlan", default_vlan)).await;
            assert_eq!(answer["outcome"], "unchanged");
            call(service, "reset_port", &and(reset(&name, 7), "default_vlan", default_vlan)).await;
            assert_eq!(operator.port(&name).await, expected, "{on_detach} {default_vlan:?}");
        }
    }
    // An attach takes a port that a detach has shut up again.
    let name = "trunk0";
    call(&disable, "attach_port", &attach(name, 100, &[])).await;
    assert_eq!(
        operator.port(name).await,
        "access-vlan=100 description=NEUTRON enabled=true interface-mode=ACCESS"
    );
    // With another policy nobody shut it for us, so it is not ours to open.
    operator.apply(&ethernet(name, "<enabled>false</enabled>", "")).await;
    call(&quarantine, "attach_port", &attach(name, 101, &[])).await;
    assert_eq!(
        operator.port(name).await,
        "access-vlan=101 description=NEUTRON enabled=false interface-mode=ACCESS"
    );
    operator.assert_at_rest().await;
}

#[tokio::test]
async fn what_a_call_does_not_name_stays_and_what_it_names_is_set() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let shape = Shape::Candidate;
    let server = Netconfd::start(shape).await;
    let mut operator = Operator::of(&server, shape).await;
    let service = Site::of(&server).serve().await;
    operator
        .apply(&ethernet("eth1", "<description>lab</description><mtu>1500</mtu><enabled>true</enabled>", ""))
        .await;
    let described = and(update("eth1", "access", 100, &[]), "description", "rack 7 <&> \"ten\"");
    call(&service, "update_port", &described).await;
    assert_eq!(
        operator.port("eth1").await,
        "access-vlan=100 description=rack 7 <&> \"ten\" enabled=true interface-mode=ACCESS mtu=1500"
    );
    let mut params = and(attach("eth1", 100, &[]), "network", json!({ "mtu": 9216 }));
    params["port"]["admin_state_up"] = json!(false);
    call(&service, "attach_port", &params).await;
    assert_eq!(
        operator.port("eth1").await,
        "access-vlan=100 description=NEUTRON enabled=false interface-mode=ACCESS mtu=9216"
    );
    params["port"]["admin_state_up"] = json!(true);
    call(&service, "attach_port", &params).await;
    assert_eq!(
        operator.port("eth1").await,
        "access-vlan=100 description=NEUTRON enabled=true interface-mode=ACCESS mtu=9216"
    );
    operator.assert_at_rest().await;
}
