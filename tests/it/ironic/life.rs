//! What Ironic does with a node while nothing goes wrong.

use futures_util::future::join_all;
use hyper::Method;
use serde_json::{Value, json};

use super::agent::STEP;
use super::installed;
use super::node::{IDLE, Node, Place};
use super::switch::{REFUSED, Vlans};

/// Every transition, with an access port and a trunk.
async fn life(switch: &'static str) {
    let mut node = Node::new(switch, json!({})).await;
    node.plug("eth1", json!({ "mode": "access", "native_vlan": 200 })).await;
    node.plug("eth2", json!({ "mode": "trunk", "native_vlan": 201, "allowed_vlans": [201, 300, 301] })).await;
    let untouched = || Place::All(Vlans::Untouched);
    let idle = || Place::All(IDLE);
    let clean = json!({ "clean_steps": [{ "interface": "deploy", "step": STEP }] });
    let in_band = json!({ "service_steps": [{ "interface": "deploy", "step": STEP }] });
    let out_of_band = json!({ "service_steps": [{ "interface": "vendor", "step": "log_passthrough" }] });

    node.assert_at(untouched()).await;
    let steps = [
        ("manage", json!({}), "manageable", "", untouched()),
        ("inspect", json!({}), "manageable", "", untouched()),
        ("provide", json!({}), "available", "clean wait", idle()),
        ("active", json!({}), "active", "wait call-back", Place::Tenant),
        ("rescue", json!({ "rescue_password": "password" }), "rescue", "rescue wait", Place::Tenant),
        ("unrescue", json!({}), "active", "", Place::Tenant),
        ("service", in_band, "active", "service wait", Place::Tenant),
        ("service", out_of_band, "active", "", Place::Tenant),
        ("rebuild", json!({}), "active", "wait call-back", Place::Tenant),
        ("deleted", json!({}), "available", "clean wait", idle()),
        ("manage", json!({}), "manageable", "", idle()),
        ("clean", clean, "manageable", "clean wait", idle()),
    ];
    for (target, more, end, waits, place) in steps {
        let waited = node.to(target, more, end, place).await;
        assert_eq!(waited.join(","), waits, "{target}");
        if target == "provide" {
            ask_in_between(&mut node).await;
        }
    }
    node.delete().await;
}

/// What Ironic's users ask for and the switch knows nothing of.
async fn ask_in_between(node: &mut Node) {
    let valid = node.ask(Method::GET, "validate", Value::Null).await;
    assert_eq!(valid["network"]["result"], true, "{valid}");
    node.ask(Method::POST, "vifs", json!({ "id": "vif" })).await;
    node.assert_at(Place::All(IDLE)).await;
    node.ask(Method::DELETE, "vifs/vif", Value::Null).await;
    node.assert_at(Place::All(IDLE)).await;
}

/// On netconfd, and on a switch that is reached over gNMI.
#[tokio::test]
async fn a_node_lives() {
    if installed() {
        tokio::join!(life("candidate"), life("startup"), life("gnmi"));
    }
}

#[tokio::test]
async fn modes_and_networks_of_a_nodes_own() {
    if !installed() {
        return;
    }
    let driver_info = json!({
        "cleaning_network": "hybrid/native_vlan=203/allowed_vlans=307,308",
        // None is native.
        "provisioning_network": "trunk/allowed_vlans=304-306",
    });
    let mut node = Node::new("modes", json!({ "driver_info": driver_info })).await;
    node.plug("eth1", json!({ "mode": "hybrid", "native_vlan": 200, "allowed_vlans": [300, 302] })).await;
    node.plug("eth2", json!({ "mode": "trunk", "native_vlan": 201, "allowed_vlans": [300, 301, 309] })).await;
    // In all networks but the tenant's: that is in a port's switchport.
    node.plug("eth3", json!(null)).await;
    node.networks.insert("clean wait", Vlans::Trunk(Some(203), vec![307, 308]));
    node.networks.insert("wait call-back", Vlans::Trunk(None, vec![304, 305, 306]));
    let used = Place::Each(vec![
        Vlans::Trunk(Some(200), vec![300, 302]),
        Vlans::Trunk(Some(201), vec![300, 301, 309]),
        IDLE,
    ]);
    node.to("manage", json!({}), "manageable", Place::All(Vlans::Untouched)).await;
    node.to("provide", json!({}), "available", Place::All(IDLE)).await;
    let waits = node.to("active", json!({}), "active", used).await;
    assert!(waits.contains(&"wait call-back".to_owned()));
    let waits = node.to("deleted", json!({}), "available", Place::All(IDLE)).await;
    assert_eq!(waits, ["clean wait"]);
    node.delete().await;
}

#[tokio::test]
async fn a_node_is_inspected_in_the_inspection_network() {
    if !installed() {
        return;
    }
    let fields = json!({ "inspect_interface": "agent", "boot_interface": "ipxe" });
    let mut node = Node::new("modes", fields).await;
    let image = json!(node.image());
    node.set("/driver_info", json!({ "deploy_kernel": image, "deploy_ramdisk": image })).await;
    node.plug("eth5", json!({ "mode": "access", "native_vlan": 200 })).await;
    node.to("manage", json!({}), "manageable", Place::All(Vlans::Untouched)).await;
    let waits = node.to("inspect", json!({}), "manageable", Place::All(IDLE)).await;
    assert_eq!(waits, ["inspect wait"]);
    node.delete().await;
}

#[tokio::test]
async fn changed_ports_are_changed_on_the_switch() {
    if !installed() {
        return;
    }
    let mut node = Node::new("patches", json!({})).await;
    node.plug("eth1", json!({ "mode": "access", "native_vlan": 200 })).await;
    node.plug("eth2", json!({ "mode": "trunk", "native_vlan": 201, "allowed_vlans": [300] })).await;
    node.to("manage", json!({}), "manageable", Place::All(Vlans::Untouched)).await;
    // Nobody uses the node: what changes is in the idle network, and known to be Ironic's.
    let access = json!({ "mode": "access", "native_vlan": 202 });
    node.set_switchport(0, access).await.expect("it is changed");
    node.assert_at(Place::Each(vec![Vlans::Access(106), Vlans::Untouched])).await;
    node.to("provide", json!({}), "available", Place::All(IDLE)).await;
    node.to("active", json!({}), "active", Place::Tenant).await;

    let changes = [
        (0, json!({ "mode": "access", "native_vlan": 203 })),
        (1, json!({ "mode": "trunk", "native_vlan": 201, "allowed_vlans": [300, 301, 302] })),
        (1, json!({ "mode": "hybrid", "native_vlan": 204, "allowed_vlans": [309] })),
        (1, json!({ "mode": "access", "native_vlan": 205 })),
        (1, json!({ "mode": "trunk", "native_vlan": 206, "allowed_vlans": [301, 206] })),
    ];
    for (port, switchport) in changes {
        node.set_switchport(port, switchport).await.expect("it is changed");
        node.assert_at(Place::Tenant).await;
    }
    // What the switch refuses, and what the operator does not allow: neither is done.
    for (vlan, why) in [(REFUSED, "refuse"), (500, "not allowed")] {
        let switchport = json!({ "mode": "access", "native_vlan": vlan });
        let said = node.set_switchport(0, switchport).await.expect_err("it is refused");
        assert!(said.contains(&vlan.to_string()) && said.contains(why), "{said}");
        node.assert_at(Place::Tenant).await;
    }
    node.set_switchport(1, json!(null)).await.expect("it is removed");
    node.assert_at(Place::Each(vec![Vlans::Access(203), IDLE])).await;
    let trunk = json!({ "mode": "trunk", "native_vlan": 201, "allowed_vlans": [300] });
    node.set_switchport(1, trunk).await.expect("it is added");
    node.assert_at(Place::Tenant).await;

    // Plugged in elsewhere, which Ironic takes of a node in use only in maintenance.
    node.set("/maintenance", json!(true)).await;
    node.replug(1, "eth3").await.expect("it is moved");
    node.assert_at(Place::Each(vec![Vlans::Access(203), Vlans::Trunk(Some(201), vec![300])])).await;
    node.set("/maintenance", json!(false)).await;
    node.to("deleted", json!({}), "available", Place::All(IDLE)).await;
    node.delete().await;
}

/// Several nodes on one switch, all at once, each port right at every step.
#[tokio::test]
async fn nodes_side_by_side() {
    if !installed() {
        return;
    }
    let lives = (0..5).map(async |number| {
        let mut node = Node::new("crowd", json!({})).await;
        let (access, trunk) = (format!("eth{}", 2 * number + 1), format!("eth{}", 2 * number + 2));
        node.plug(&access, json!({ "mode": "access", "native_vlan": 200 + number })).await;
        let list = [300 + number, 305];
        node.plug(&trunk, json!({ "mode": "trunk", "native_vlan": 204, "allowed_vlans": list })).await;
        node.to("manage", json!({}), "manageable", Place::All(Vlans::Untouched)).await;
        let steps = [
            ("provide", "available", "clean wait", Place::All(IDLE)),
            ("active", "active", "wait call-back", Place::Tenant),
            ("deleted", "available", "clean wait", Place::All(IDLE)),
        ];
        for (target, end, waits, place) in steps {
            assert_eq!(node.to(target, json!({}), end, place).await, [waits], "{target}");
        }
        node.delete().await;
    });
    join_all(lives).await;
}
