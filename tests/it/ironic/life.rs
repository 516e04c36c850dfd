//! What Ironic does with a node while nothing goes wrong.

use serde_json::json;

use super::agent::STEP;
use super::node::{IDLE, Node, Place};
use super::switch::Vlans;
use crate::peers::{Peer, require};

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
        let mut waited = node.to(target, more, end, place).await;
        waited.dedup();
        assert_eq!(waited.join(","), waits, "{target}");
    }
    node.delete().await;
}

#[tokio::test]
async fn a_node_lives_on_netconfd() {
    if require(&[Peer::Ironic, Peer::Netconfd]) {
        tokio::join!(life("candidate"), life("startup"));
    }
}
