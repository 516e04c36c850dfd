//! Machines on an Open vSwitch while Ironic takes their node through its life: what they reach and hear,
//! not what a switch says that it does.

use std::collections::BTreeSet;

use serde_json::json;

use super::installed;
use super::node::{CLEANING, IDLE, Node, PROVISIONING, Place};
use super::switch::{UPLINK, Vlans};
use crate::peers::host::Host;
use crate::peers::{OpenVswitch, Peer, require};

/// What the uplink sends all the time: the networks of Ironic's, tenants', and others'.
const NOISE: [u16; 9] = [CLEANING, PROVISIONING, 106, 200, 201, 202, 300, 301, 302];

/// Who looks on, from the uplink and from the ports of one node.
struct Lookout<'a> {
    switch: &'a OpenVswitch,
    machines: &'a [Host; 2],
    uplink: &'a Host,
    /// In which VLANs each machine is.
    has: [BTreeSet<u16>; 2],
}

impl Lookout<'_> {
    /// Takes the node on to `end`. Meanwhile no machine hears anything but what it had, what it has then
    /// and what lies in between; afterwards it hears just what it has then.
    async fn during(&mut self, node: &mut Node, end: &str, between: &[u16], has: [&[u16]; 2]) {
        let has = has.map(|vlans| vlans.iter().copied().collect::<BTreeSet<u16>>());
        let sniffers = self.machines.each_ref().map(Host::sniff);
        node.until(end).await;
        for (n, sniffer) in sniffers.iter().enumerate() {
            for vlan in &has[n] {
                sniffer.wait_for(&format!("VLAN {vlan}"), |frame| frame.sent == Some(*vlan)).await;
            }
            let seen = sniffer.vlans_seen().await;
            let mut may: BTreeSet<u16> = self.has[n].union(&has[n]).copied().collect();
            may.extend(between);
            assert!(seen.is_subset(&may), "{end}: {} saw {seen:?}, not only {may:?}", self.machines[n].name);
        }
        self.switch.settle();
        let sniffers = self.machines.each_ref().map(Host::sniff);
        for (n, sniffer) in sniffers.iter().enumerate() {
            for vlan in &has[n] {
                sniffer.wait_for(&format!("VLAN {vlan}"), |frame| frame.sent == Some(*vlan)).await;
            }
            assert_eq!(sniffer.vlans_seen().await, has[n], "{end}: {}", self.machines[n].name);
        }
        self.has = has;
    }

    /// The machine on the first port answers in this VLAN of the uplink's, and in no other.
    async fn answers_only_in(&self, vlan: u16) {
        self.uplink.comes_to_reach(&self.machines[0], Some(vlan)).await;
        for other in [PROVISIONING, 106, 200, 202].into_iter().filter(|other| *other != vlan) {
            assert!(
                !self.uplink.reaches(&self.machines[0], Some(other)).await,
                "in {other}, not only {vlan}"
            );
        }
    }
}

#[tokio::test]
async fn a_machine_hears_only_the_network_that_its_node_is_in() {
    if !installed() || !require(&[Peer::OpenVswitch]) {
        return;
    }
    let mut node = Node::new("forwarding", json!({})).await;
    let switch = node.switch.forwarding();
    let machines = [switch.host("eth1").await, switch.host("eth2").await];
    let uplink = switch.host(UPLINK).await;
    let _noise = uplink.flood(&NOISE.map(Some));
    node.plug("eth1", json!({ "mode": "access", "native_vlan": 200 })).await;
    node.plug("eth2", json!({ "mode": "trunk", "native_vlan": 201, "allowed_vlans": [300, 301] })).await;
    let has = [(); 2].map(|()| BTreeSet::new());
    let mut lookout = Lookout { switch, machines: &machines, uplink: &uplink, has };

    node.start("manage", json!({})).await;
    lookout.during(&mut node, "manageable", &[], [&[], &[]]).await;
    assert!(!uplink.reaches(&machines[0], Some(200)).await);
    node.start("provide", json!({})).await;
    lookout.during(&mut node, "available", &[CLEANING, 106], [&[106], &[106]]).await;
    node.assert_at(Place::All(IDLE)).await;

    node.start("active", json!({})).await;
    lookout.during(&mut node, "wait call-back", &[], [&[PROVISIONING]; 2]).await;
    lookout.answers_only_in(PROVISIONING).await;
    lookout.during(&mut node, "active", &[106], [&[200], &[201, 300, 301]]).await;
    lookout.answers_only_in(200).await;
    for (vlan, reached) in [(300, true), (301, true), (302, false)] {
        assert_eq!(machines[1].reaches(&uplink, Some(vlan)).await, reached, "{vlan}");
    }
    node.assert_at(Place::Each(vec![Vlans::Access(200), Vlans::Trunk(Some(201), vec![300, 301])])).await;

    node.start("deleted", json!({})).await;
    lookout.during(&mut node, "available", &[CLEANING, 106], [&[106], &[106]]).await;
    lookout.answers_only_in(106).await;
    assert!(!machines[1].reaches(&uplink, Some(300)).await);
    node.assert_at(Place::All(IDLE)).await;
    node.delete().await;
}
