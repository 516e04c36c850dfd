//! The switch and the machines do what the tests rely on, with nothing of Mercury in between.

use std::collections::BTreeSet;

use crate::peers::{Action, BRIDGE, Event, OpenVswitch, Peer, Port, Ran, Rule, require};

const VLANS: [u16; 3] = [100, 200, 300];

fn tagged() -> Vec<Option<u16>> {
    VLANS.map(Some).to_vec()
}

fn access(switch: &OpenVswitch, port: &str, vlan: u16) {
    switch.vsctl(&["set", "port", port, "vlan_mode=access", &format!("tag={vlan}")]);
}

#[tokio::test]
async fn machines_reach_each_other_in_one_vlan_and_not_across() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "sv2", "sv3"]).await;
    let (one, two, three) = (switch.host("sv1").await, switch.host("sv2").await, switch.host("sv3").await);
    access(&switch, "sv1", 100);
    access(&switch, "sv2", 100);
    access(&switch, "sv3", 200);
    one.comes_to_reach(&two, None).await;
    assert!(two.reaches(&one, None).await);
    assert!(!one.reaches(&three, None).await);
    // An access port takes no tagged frames, not even of its own VLAN.
    assert!(!one.reaches(&two, Some(100)).await);
    access(&switch, "sv3", 100);
    one.comes_to_reach(&three, None).await;
    assert_eq!(
        switch.port("sv3"),
        Port {
            vlan_mode: Some("access".to_owned()),
            tag: Some(100),
            trunks: BTreeSet::new(),
            admin_up: true
        }
    );
}

#[tokio::test]
async fn a_port_with_nothing_set_is_a_trunk_of_every_vlan() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "uplink"]).await;
    let (machine, uplink) = (switch.host("sv1").await, switch.host("uplink").await);
    let nothing = Port { vlan_mode: None, tag: None, trunks: BTreeSet::new(), admin_up: true };
    assert_eq!(switch.port("sv1"), nothing);
    let _noise = uplink.flood(&tagged());
    let sniffer = machine.sniff();
    for vlan in VLANS {
        sniffer.wait_for("every VLAN", |frame| frame.sent == Some(vlan) && frame.vlan == Some(vlan)).await;
    }
    // The way out of it: only what is listed.
    switch.vsctl(&["set", "port", "sv1", "vlan_mode=trunk", "trunks=100,300"]);
    switch.settle();
    let sniffer = machine.sniff();
    sniffer.wait_for("the last VLAN", |frame| frame.vlan == Some(300)).await;
    assert_eq!(sniffer.vlans_seen().await, BTreeSet::from([100, 300]));
    assert_eq!(switch.port("sv1").trunks, BTreeSet::from([100, 300]));
    // Set back as networking-generic-switch does it.
    switch.vsctl(&["clear", "port", "sv1", "tag", "trunks", "vlan_mode"]);
    assert_eq!(switch.port("sv1"), nothing);
    sniffer.wait_for("a VLAN that nobody gave it", |frame| frame.vlan == Some(200)).await;
}

#[tokio::test]
async fn a_native_vlan_comes_untagged_beside_the_others() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "uplink"]).await;
    let (machine, uplink) = (switch.host("sv1").await, switch.host("uplink").await);
    switch.vsctl(&["set", "port", "sv1", "vlan_mode=native-untagged", "tag=100", "trunks=300"]);
    switch.settle();
    let sniffer = machine.sniff();
    let _noise = uplink.flood(&tagged());
    sniffer.wait_for("the native VLAN", |frame| frame.sent == Some(100) && frame.vlan.is_none()).await;
    sniffer.wait_for("the other VLAN", |frame| frame.vlan == Some(300)).await;
    assert_eq!(sniffer.vlans_seen().await, BTreeSet::from([100, 300]));
    assert!(sniffer.frames().await.iter().all(|frame| frame.from == "uplink" && frame.round.is_some()));
}

#[tokio::test]
async fn a_port_in_no_vlan_that_is_down_hears_and_says_nothing() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "sv2", "uplink", "monitor"]).await;
    let (one, two) = (switch.host("sv1").await, switch.host("sv2").await);
    let (uplink, monitor) = (switch.host("uplink").await, switch.host("monitor").await);
    // Those that are parked in the VLAN that nobody uses find each other there while they are up.
    access(&switch, "sv1", 4095);
    access(&switch, "sv2", 4095);
    one.comes_to_reach(&two, None).await;
    switch.ip(&["link", "set", "sv1", "down"]);
    assert!(!switch.port("sv1").admin_up);
    switch.settle();
    let (heard, said) = (one.sniff(), monitor.sniff());
    let talk = one.flood(&[None, Some(100)]);
    let noise = uplink.flood(&tagged());
    said.wait_for("the noise", |frame| frame.round >= Some(10)).await;
    assert!(!one.reaches(&two, None).await && !two.reaches(&one, None).await);
    drop(noise);
    assert_eq!(heard.frames().await, []);
    assert!(said.frames().await.iter().all(|frame| frame.from != "sv1"));
    // It has talked all the time.
    let parked = two.sniff();
    switch.ip(&["link", "set", "sv1", "up"]);
    parked.wait_for("the talk", |frame| frame.from == "sv1" && frame.sent.is_none()).await;
    drop(talk);
}

#[tokio::test]
async fn a_sniffer_hears_a_vlan_that_is_open_for_a_moment() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1", "uplink"]).await;
    let (machine, uplink) = (switch.host("sv1").await, switch.host("uplink").await);
    access(&switch, "sv1", 100);
    switch.settle();
    let _noise = uplink.flood(&tagged());
    let sniffer = machine.sniff();
    sniffer.wait_for("its own VLAN", |frame| frame.sent == Some(100)).await;
    assert_eq!(sniffer.vlans_seen().await, BTreeSet::from([100]));
    // In one transaction nothing opens.
    let both = ["clear port sv1 tag vlan_mode", "-- set port sv1 vlan_mode=access tag=200"].join(" ");
    switch.vsctl(&both.split(' ').collect::<Vec<_>>());
    sniffer.wait_for("the new VLAN", |frame| frame.sent == Some(200)).await;
    assert_eq!(sniffer.vlans_seen().await, BTreeSet::from([100, 200]));
    // In two steps all does.
    switch.vsctl(&["clear", "port", "sv1", "tag", "vlan_mode"]);
    sniffer.wait_for("another's VLAN", |frame| frame.sent == Some(300)).await;
    access(&switch, "sv1", 100);
    switch.settle();
    let sniffer = machine.sniff();
    sniffer.wait_for("its own VLAN", |frame| frame.sent == Some(100)).await;
    assert_eq!(sniffer.vlans_seen().await, BTreeSet::from([100]));
}

#[tokio::test]
async fn commands_over_ssh_act_on_the_switch() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let mut switch = OpenVswitch::start(&["sv1"]).await;
    let other = OpenVswitch::start(&["sv1"]).await;
    let ok = |stdout: &str| Ran { status: Some(0), stdout: stdout.to_owned(), stderr: String::new() };
    let list = format!("ovs-vsctl list-ports {BRIDGE}");
    assert_eq!(switch.ssh(&list).await, ok("sv1\n"));
    let set = "ovs-vsctl set port sv1 vlan_mode=access tag=100 && ip link set sv1 down";
    assert_eq!(switch.ssh(set).await, ok(""));
    assert_eq!((switch.port("sv1").tag, switch.port("sv1").admin_up), (Some(100), false));
    assert_eq!((other.port("sv1").tag, other.port("sv1").admin_up), (None, true));
    let refused = switch.ssh("ovs-vsctl set port sv9 tag=100").await;
    assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
    assert!(refused.stderr.contains("no row \"sv9\" in table Port"), "{}", refused.stderr);
    assert_eq!(switch.commands(), [&list, set, "ovs-vsctl set port sv9 tag=100"]);
    switch.kill_sshd();
    assert_eq!(switch.ssh("true").await.status, Some(255));
    switch.restart_sshd().await;
    assert_eq!(switch.ssh("ovs-vsctl get port sv1 tag").await, ok("100\n"));
}

#[tokio::test]
async fn the_proxy_loses_or_holds_exactly_the_named_command() {
    if !require(&[Peer::OpenVswitch]) {
        return;
    }
    let switch = OpenVswitch::start(&["sv1"]).await;
    let tag = |vlan: u16| format!("ovs-vsctl set port sv1 tag={vlan}");
    let proxy = switch.proxy(vec![Rule::new("set port", Action::DropRequest)]);
    assert_eq!(switch.ssh(&tag(100)).await.status, Some(255));
    assert_eq!(switch.port("sv1").tag, None);
    proxy.add(Rule::new("set port", Action::DropReply));
    assert_eq!(switch.ssh("ovs-vsctl list-ports br0").await.stdout, "sv1\n");
    assert_eq!(switch.ssh(&tag(200)).await.status, Some(255));
    assert_eq!(switch.port("sv1").tag, Some(200));
    proxy.add(Rule::new("tag=300", Action::HoldReply));
    let set = tag(300);
    let held = switch.ssh(&set);
    let look = async {
        proxy.wait_for(Event::reply("tag=300")).await;
        assert_eq!(switch.port("sv1").tag, Some(300));
        proxy.release();
    };
    let (ran, ()) = tokio::join!(held, look);
    assert_eq!(ran, Ran { status: Some(0), stdout: String::new(), stderr: String::new() });
    // Refused, and so told.
    assert_eq!(switch.ssh("ovs-vsctl set port sv9 tag=1").await.status, Some(1));
    drop(proxy);
    assert_eq!(switch.ssh(&tag(400)).await.status, Some(0));
}
