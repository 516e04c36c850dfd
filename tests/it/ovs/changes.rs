//! Mercury changes a switch that forwards, and machines on its ports see what that means.

use serde_json::json;

use super::*;
use crate::peers::{BRIDGE, OpenVswitch, Peer, require};
use crate::service::{and, attach, detach, reset, update};

/// What an uplink sends all the time: the machines' VLANs, others', and untagged.
const NOISE: [u16; 7] = [100, 101, 110, 111, 112, 150, 300];

#[tokio::test]
async fn at_no_moment_does_a_machine_see_a_vlan_that_is_not_its_own() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "uplink"]).await;
    let (machine, uplink) = (switch.host("sv1").await, switch.host("uplink").await);
    let service = site(&switch, "").serve().await;
    let _noise = uplink.flood(&NOISE.map(Some));
    let steps = [
        ("reset_port", reset("sv1", 100), isolated(), vec![]),
        ("update_port", update("sv1", "access", 100, &[]), access(100), vec![100]),
        ("update_port", update("sv1", "access", 101, &[]), access(101), vec![101]),
        (
            "update_port",
            update("sv1", "trunk", Value::Null, &[110, 112]),
            trunk(None, &[110, 112]),
            vec![110, 112],
        ),
        (
            "attach_port",
            attach("sv1", 101, &[110, 111, 112]),
            trunk(Some(101), &[110, 111, 112]),
            vec![101, 110, 111, 112],
        ),
        ("attach_port", attach("sv1", 100, &[111]), trunk(Some(100), &[111]), vec![100, 111]),
        ("update_port", update("sv1", "access", 150, &[]), access(150), vec![150]),
        ("detach_port", detach("sv1"), isolated(), vec![]),
        ("update_port", update("sv1", "hybrid", 100, &[112]), trunk(Some(100), &[112]), vec![100, 112]),
        ("reset_port", and(reset("sv1", 100), "default_vlan", 199), access(199), vec![]),
        ("detach_port", detach("sv1"), isolated(), vec![]),
    ];
    // It begins as a trunk of every VLAN.
    let mut had: BTreeSet<u16> = NOISE.into();
    for (method, params, port, carried) in steps {
        let sniffer = machine.sniff();
        applied(&service, method, params.clone()).await;
        assert_eq!(switch.port("sv1"), port, "{method} {params}");
        let has: BTreeSet<u16> = carried.into_iter().collect();
        for vlan in &has {
            sniffer.wait_for(&format!("VLAN {vlan}"), |frame| frame.sent == Some(*vlan)).await;
        }
        let seen = sniffer.vlans_seen().await;
        assert!(seen.is_subset(&had.union(&has).copied().collect()), "{method} {params}: saw {seen:?}");
        switch.settle();
        let sniffer = machine.sniff();
        let commands = switch.commands().len();
        // The same again changes nothing, and nothing else comes.
        applied(&service, method, params.clone()).await;
        let again = switch.commands().split_off(commands);
        assert!(again.iter().all(|command| !command.contains(" set ")), "{method} {params}: {again:?}");
        let seen = sniffer.vlans_seen().await;
        assert!(seen.is_subset(&has), "{method} {params}: saw {seen:?}, has {has:?}");
        had = has;
    }
}

#[tokio::test]
async fn a_check_tells_what_the_kernel_says_of_the_link() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1"]).await;
    let service = site(&switch, "").serve().await;
    let said = async |admin: &str, oper: &str| {
        let params =
            json!({ "switch_id": "leaf1", "port_name": "sv1", "mode": "access", "native_vlan": 100 });
        let check = applied(&service, "check_port", params).await;
        let port = &check["devices"][0];
        assert_eq!((&port["admin_status"], &port["oper_status"]), (&admin.into(), &oper.into()), "{check}");
        let octets = ["in_octets", "out_octets"].map(|name| port[name].as_str().unwrap().parse::<u64>());
        assert!(octets.iter().all(Result::is_ok), "{check}");
    };
    applied(&service, "update_port", update("sv1", "access", 100, &[])).await;
    // The other end of its cable is there, and down.
    said("UP", "LOWER_LAYER_DOWN").await;
    let _machine = switch.host("sv1").await;
    said("UP", "UP").await;
    applied(&service, "detach_port", detach("sv1")).await;
    said("DOWN", "DOWN").await;
}

#[tokio::test]
async fn what_is_asked_shows_in_the_answer_and_can_be_taken_back() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "sv2"]).await;
    let service = site(&switch, "").serve().await;
    let was = switch.port("sv1");
    let asked = and(update("sv1", "access", 100, &[]), "dry_run", true);
    let dry = applied(&service, "update_port", asked).await;
    assert_eq!(switch.port("sv1"), was);
    let lines = dry["devices"][0]["payload"].as_str().unwrap();
    assert!(lines.starts_with("ovs-vsctl set port sv1 vlan_mode=access tag=100 'trunks=[]'\n"), "{lines}");
    let inverse = dry["devices"][0]["inverse"].as_str().unwrap();
    assert!(inverse.starts_with("ovs-vsctl set port sv1 'vlan_mode=[]' 'tag=[]' 'trunks=[]'\n"), "{inverse}");
    let risks = dry["devices"][0]["risks"].to_string();
    assert!(risks.contains("trunk of every VLAN") && risks.contains("no confirmed commit"), "{risks}");

    let quoted = "it's \"$(reboot)\" `x` \\ ; | & <b> ü";
    let asked = and(update("sv1", "access", 100, &[]), "description", quoted);
    applied(&service, "update_port", asked).await;
    assert_eq!(switch.port("sv1"), access(100));
    let kept = switch.vsctl(&["get", "port", "sv1", "external_ids:description"]);
    assert_eq!(serde_json::from_str::<String>(kept.trim()).unwrap(), quoted);
    for line in inverse.lines() {
        assert_eq!(switch.ssh(line).await.status, Some(0), "{line}");
    }
    assert_eq!(switch.port("sv1"), was);
    assert_eq!(switch.port("sv2"), was);

    let missing = service.call("update_port", update("sv9", "access", 100, &[])).await.unwrap_err();
    assert_eq!(missing.code, 400, "{missing:?}");
    assert!(missing.message.contains("leaf1 has no port sv9"), "{missing:?}");
    for port in ["sv1; reboot", "$(reboot)", "sv1 -- set port sv2 tag=1", "--all", "x'"] {
        let refused = service.call("update_port", update(port, "access", 100, &[])).await.unwrap_err();
        assert!(refused.message.contains("port"), "{refused:?}");
    }
    let commands = json!(switch.commands()).to_string();
    assert!(!commands.contains("sv1; reboot") && !commands.contains("-- set port sv2"), "{commands}");
}

#[tokio::test]
async fn a_port_is_told_that_it_is_an_edge_and_nothing_else_of_its_settings_changes() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "sv2"]).await;
    // It would take half a minute to forward, and does not find out by itself that no bridge is there.
    switch.vsctl(&["set", "port", "sv1", "other_config:rstp-path-cost=2000"]);
    for port in ["sv1", "sv2"] {
        switch.vsctl(&["set", "port", port, "other_config:rstp-port-auto-edge=false"]);
    }
    switch.vsctl(&["set", "bridge", BRIDGE, "rstp_enable=true", "other_config:rstp-forward-delay=30"]);
    let settings = |port: &str| switch.vsctl(&["get", "port", port, "other_config"]).trim().to_owned();
    let was = settings("sv1");
    assert_eq!(was, r#"{rstp-path-cost="2000", rstp-port-auto-edge="false"}"#);
    let _machines = (switch.host("sv1").await, switch.host("sv2").await);
    let service = site(&switch, "stp_edge = true\n").serve().await;

    let asked = and(update("sv1", "access", 100, &[]), "dry_run", true);
    let dry = applied(&service, "update_port", asked).await;
    let inverse = dry["devices"][0]["inverse"].as_str().unwrap();
    assert!(inverse.contains("remove port sv1 other_config rstp-port-admin-edge"), "{inverse}");
    assert_eq!(settings("sv1"), was);
    let other = settings("sv2");
    let edge = r#"{rstp-path-cost="2000", rstp-port-admin-edge="true", rstp-port-auto-edge="false"}"#;
    applied(&service, "update_port", update("sv1", "access", 100, &[])).await;
    assert_eq!((settings("sv1").as_str(), settings("sv2")), (edge, other.clone()));
    let commands = switch.commands().len();
    applied(&service, "update_port", update("sv1", "access", 100, &[])).await;
    let again = switch.commands().split_off(commands);
    assert!(again.iter().all(|command| !command.contains(" set ")), "{again:?}");

    // It counts from when the link comes up, as it does at an attach.
    applied(&service, "detach_port", detach("sv1")).await;
    assert_eq!(settings("sv1"), edge);
    switch.vsctl(&["--timeout=20", "wait-until", "interface", "sv1", "admin_state=down"]);
    applied(&service, "update_port", update("sv1", "access", 100, &[])).await;
    switch.vsctl(&["--timeout=20", "wait-until", "port", "sv1", "rstp_status:rstp_port_state=Forwarding"]);
    assert_ne!(switch.vsctl(&["get", "port", "sv2", "rstp_status:rstp_port_state"]).trim(), "Forwarding");

    for line in inverse.lines() {
        assert_eq!(switch.ssh(line).await.status, Some(0), "{line}");
    }
    assert_eq!((settings("sv1"), settings("sv2")), (was, other));
    // What waits for RSTP is said, too.
    switch.vsctl(&["set", "bridge", BRIDGE, "rstp_enable=false"]);
    applied(&service, "update_port", update("sv1", "access", 100, &[])).await;
    assert_eq!(settings("sv1"), edge);
}
