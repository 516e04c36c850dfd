//! What becomes of Ironic's node, and of the switch, when something goes wrong behind Mercury; and
//! that both are right again when it is mended.

use serde_json::json;

use super::installed;
use super::lab::Lab;
use super::node::{IDLE, Node, PROVISIONING, Place};
use super::switch::{REFUSED, Vlans};

fn untouched() -> Place {
    Place::All(Vlans::Untouched)
}

fn idle() -> Place {
    Place::All(IDLE)
}

/// A node that is cleaned and in the idle network, with an access port.
async fn available(switch: &'static str, port: &str) -> Node {
    let mut node = Node::new(switch, json!({})).await;
    node.plug(port, json!({ "mode": "access", "native_vlan": 200 })).await;
    node.to("manage", json!({}), "manageable", untouched()).await;
    node.to("provide", json!({}), "available", idle()).await;
    node
}

#[tokio::test]
async fn a_switch_that_nobody_knows() {
    if !installed() {
        return;
    }
    let mut node = Node::new("refusing", json!({})).await;
    node.plug_as("00:1c:73:00:00:ff", "eth1", json!({ "mode": "access", "native_vlan": 200 })).await;
    node.to("manage", json!({}), "manageable", untouched()).await;
    node.to("provide", json!({}), "clean failed", untouched()).await;
    node.assert_failed(&["00:1c:73:00:00:ff"]).await;
}

#[tokio::test]
async fn a_vlan_that_is_refused_while_cleaning() {
    if !installed() {
        return;
    }
    let mut node = Node::new("refusing", json!({})).await;
    node.plug("eth2", json!({ "mode": "access", "native_vlan": 200 })).await;
    node.to("manage", json!({}), "manageable", untouched()).await;
    // By the switch, and by its operator. Ironic then takes the port out of the cleaning network.
    for (vlan, words) in [(REFUSED, "refuse"), (500, "not allowed")] {
        node.set("/driver_info/cleaning_network", json!(format!("access/native_vlan={vlan}"))).await;
        node.to("provide", json!({}), "clean failed", idle()).await;
        node.assert_failed(&[words, &vlan.to_string()]).await;
        node.set("/maintenance", json!(false)).await;
        node.to("manage", json!({}), "manageable", idle()).await;
    }
    node.set("/driver_info", json!({})).await;
    assert_eq!(node.to("provide", json!({}), "available", idle()).await, ["clean wait"]);
    node.delete().await;
}

async fn is_refused_while_deploying(switch: &'static str) {
    let mut node = available(switch, "eth3").await;
    node.set_switchport(0, json!({ "mode": "access", "native_vlan": REFUSED })).await.expect("not in use");
    let waits = node.to("active", json!({}), "deploy failed", idle()).await;
    assert_eq!(waits, ["wait call-back"]);
    node.assert_failed(&["refuse", "209", "the switch is as before, read back"]).await;
    node.set_switchport(0, json!({ "mode": "access", "native_vlan": 201 })).await.expect("not in use");
    let waits = node.to("active", json!({}), "active", Place::Tenant).await;
    assert_eq!(waits, ["wait call-back"]);
    node.to("deleted", json!({}), "available", idle()).await;
    node.delete().await;
}

/// By NETCONF, and by gNMI.
#[tokio::test]
async fn a_vlan_that_is_refused_while_deploying() {
    if installed() {
        tokio::join!(is_refused_while_deploying("refusing"), is_refused_while_deploying("gnmi"));
    }
}

#[tokio::test]
async fn a_vlan_that_is_refused_while_rescuing() {
    if !installed() {
        return;
    }
    let mut node = available("refusing", "eth4").await;
    node.to("active", json!({}), "active", Place::Tenant).await;
    node.set("/driver_info/rescuing_network", json!(format!("access/native_vlan={REFUSED}"))).await;
    let rescue = json!({ "rescue_password": "password" });
    node.to("rescue", rescue.clone(), "rescue failed", idle()).await;
    node.assert_failed(&["refuse", "209", "the switch is as before, read back"]).await;
    node.set("/driver_info", json!({})).await;
    assert_eq!(node.to("rescue", rescue, "rescue", Place::Tenant).await, ["rescue wait"]);
    node.to("unrescue", json!({}), "active", Place::Tenant).await;
    node.to("deleted", json!({}), "available", idle()).await;
    node.delete().await;
}

/// `commit` is what the switch calls a commit with a timer.
async fn hangs(switch: &'static str, commit: &str) {
    let mut node = available(switch, "eth1").await;
    // It is done, and nobody is told.
    node.switch.inject(&format!("{commit}:hang-after"));
    node.to("active", json!({}), "deploy failed", idle()).await;
    node.assert_failed(&[switch, "the switch is as before, read back"]).await;
    // Not a word any more.
    node.switch.inject("any@every:hang-before");
    node.to("active", json!({}), "deploy failed", idle()).await;
    node.assert_failed(&[
        switch,
        "no answer: deadline passed",
        "the switch is as before, nothing was changed",
    ])
    .await;
    node.switch.clear_faults();
    let waits = node.to("active", json!({}), "active", Place::Tenant).await;
    assert_eq!(waits, ["wait call-back"]);
    node.to("deleted", json!({}), "available", idle()).await;
    node.delete().await;
}

#[tokio::test]
async fn a_switch_that_hangs() {
    if installed() {
        tokio::join!(hangs("hanging", "confirmed-commit"), hangs("gnmi-hanging", "gnmi-commit"));
    }
}

async fn dies_and_comes_back(switch: &'static str) {
    let mut node = available(switch, "eth1").await;
    node.start("active", json!({})).await;
    node.until("wait call-back").await;
    node.switch.power_off();
    node.until("deploy failed").await;
    node.assert_failed(&[switch, "cannot connect", "the switch is as before"]).await;
    node.switch.power_on().await;
    // What it held when its power was lost.
    node.assert_at(Place::All(Vlans::Access(PROVISIONING))).await;
    let waits = node.to("active", json!({}), "active", Place::Tenant).await;
    assert_eq!(waits, ["wait call-back"]);

    node.switch.power_off();
    node.start("deleted", json!({})).await;
    node.until("error").await;
    node.assert_failed(&[switch, "cannot connect", "the switch is as before"]).await;
    node.switch.power_on().await;
    node.assert_at(Place::Tenant).await;
    node.to("deleted", json!({}), "available", idle()).await;
    node.delete().await;
}

#[tokio::test]
async fn a_switch_that_dies_and_comes_back() {
    if installed() {
        tokio::join!(dies_and_comes_back("dying"), dies_and_comes_back("gnmi-dying"));
    }
}

#[tokio::test]
async fn a_mercury_that_is_killed_and_started_again() {
    if !installed() {
        return;
    }
    let lab = Lab::get();
    let _alone = lab.calm.write().await;
    let mut node = Node::alone("patches", json!({})).await;
    node.plug("eth9", json!({ "mode": "trunk", "native_vlan": 200, "allowed_vlans": [300] })).await;
    node.to("manage", json!({}), "manageable", untouched()).await;
    node.to("provide", json!({}), "available", idle()).await;
    node.start("active", json!({})).await;
    node.until("wait call-back").await;
    lab.mercury.kill();
    node.until("deploy failed").await;
    node.assert_at(Place::All(Vlans::Access(PROVISIONING))).await;
    lab.mercury.restart().await;
    assert_eq!(node.to("active", json!({}), "active", Place::Tenant).await, ["wait call-back"]);
    // With nothing in between: Ironic's connection was to the one that is gone.
    lab.mercury.kill();
    lab.mercury.restart().await;
    node.to("deleted", json!({}), "available", idle()).await;
    node.delete().await;
}
