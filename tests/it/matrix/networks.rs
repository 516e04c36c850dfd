//! Networks that are added to and deleted from several switches, and their uplinks.

use super::*;

/// A trunk from the start.
pub const UPLINK: &str = "eth9";

/// A switch whose uplink carries some VLANs, which are in its table.
pub fn spec(name: &str, kind: Kind, vlans: &[u16]) -> SwitchSpec {
    let list: String = vlans.iter().map(|vlan| format!("<trunk-vlans>{vlan}</trunk-vlans>")).collect();
    let xml = format!(
        r#"<interfaces xmlns="http://openconfig.net/yang/interfaces"><interface><name>{UPLINK}</name><config>
           <name>{UPLINK}</name><type xmlns:t="urn:ietf:params:xml:ns:yang:iana-if-type">t:ethernetCsmacd</type></config>
           <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
             <switched-vlan xmlns="http://openconfig.net/yang/vlan">
               <config><interface-mode>TRUNK</interface-mode>{list}</config></switched-vlan>
           </ethernet></interface></interfaces>"#
    );
    SwitchSpec { vlans: vlans.to_vec(), startup_xml: Some(xml), ..super::spec(name, kind) }
}

pub fn call(devices: &[&str], intent: Intent) -> Call {
    let target = |device: &&str| Target {
        device: DeviceNames::switch(device),
        physical_network: None,
        level: 0,
        intent: intent.clone(),
    };
    whole(devices.iter().map(target).collect())
}

fn vlan(id: i64) -> VlanId {
    VlanId::new(id).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_network_comes_to_all_switches_and_goes_from_all() {
    for kind in Kind::ALL {
        let lab = Lab::new(vec![spec("leaf1", kind, &[10]), spec("leaf2", kind, &[10, 150])]).await;
        let before = [lab.switch("leaf1").running_xml(), lab.switch("leaf2").running_xml()];
        let add = || call(&["leaf1", "leaf2"], Intent::AddNetwork { vlan: vlan(150) });
        let change = lab.engine.change(add()).await.unwrap();
        // It was on leaf2 already.
        let words: Vec<_> = change.devices.iter().map(|d| d.outcome.as_ref().unwrap().word()).collect();
        assert_eq!(words, ["applied", "unchanged"], "{kind:?}");
        assert_eq!(lab.switch("leaf2").running_xml(), before[1]);
        let running = lab.leaf1().running_xml();
        assert!(running.contains("<trunk-vlans>150</trunk-vlans>"), "{running}");
        assert!(running.contains("<vlan><vlan-id>150</vlan-id>"), "{running}");

        // In use on one of them, it stays on both.
        lab.attach(&[("leaf2", "eth1")], 150).await;
        let with_user = lab.switch("leaf2").running_xml();
        let delete = |force| call(&["leaf1", "leaf2"], Intent::DeleteNetwork { vlan: vlan(150), force });
        let refused = lab.engine.change(delete(false)).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            "leaf2: native_vlan: VLAN 150 is in use on leaf2: eth1; `force` deletes it all the same"
        );
        assert_eq!([lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()], [running, with_user]);

        let change = lab.engine.change(delete(true)).await.unwrap();
        assert_eq!(change.outcome, "applied", "{change:?}");
        assert_eq!(lab.leaf1().running_xml(), before[0]);
        assert!(!lab.switch("leaf2").running_xml().contains("<trunk-vlans>150<"));
        assert_eq!(lab.leftovers().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn what_one_switch_refuses_comes_to_none() {
    for kind in Kind::ALL {
        let lab = Lab::new(vec![spec("leaf1", kind, &[10]), spec("leaf2", kind, &[10])]).await;
        let before = [lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()];
        let fault = FaultSpec {
            rpc: kind.commit().to_owned(),
            nth: Nth::Every,
            what: What::Reject(single::REJECT.to_owned()),
        };
        lab.switch("leaf2").inject(fault);
        let change =
            lab.engine.change(call(&["leaf1", "leaf2"], Intent::AddNetwork { vlan: vlan(150) })).await;
        assert_eq!(change.unwrap().outcome, "rolled_back", "{kind:?}");
        assert_eq!([lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()], before);
        assert_eq!(lab.leftovers().await, "");
    }
}

/// A change of a network waits for the ports before it, and the ports behind it wait for it.
#[tokio::test(start_paused = true)]
async fn ports_and_networks_keep_the_order_of_their_arrival() {
    let lab = Lab::new(vec![spec("leaf1", Kind::CandidatePersist, &[10, 150])]).await;
    let delete = call(&["leaf1"], Intent::DeleteNetwork { vlan: vlan(150), force: false });
    let calls = [attach(&[("leaf1", "eth1")], 150), delete, attach(&[("leaf1", "eth2")], 150)];
    let ends = futures_util::future::join_all(calls.map(|call| lab.engine.change(call))).await;
    assert!(ends[0].is_ok() && ends[2].is_ok(), "{ends:?}");
    let refused = ends[1].as_ref().unwrap_err().to_string();
    assert!(refused.contains("in use on leaf1: eth1;"), "{refused}");
}

/// An uplink whose list has a range that the VLAN is in the middle of.
#[tokio::test(start_paused = true)]
async fn a_vlan_leaves_the_middle_of_a_range_and_comes_back() {
    let mut switch = spec("leaf1", Kind::CandidatePersist, &[100, 105]);
    let xml = switch.startup_xml.take().unwrap();
    switch.startup_xml = Some(xml.replace("<trunk-vlans>105<", "<trunk-vlans>101..110<"));
    let lab = Lab::new(vec![switch]).await;
    let delete = call(&["leaf1"], Intent::DeleteNetwork { vlan: vlan(105), force: false });
    assert_eq!(lab.engine.change(delete).await.unwrap().outcome, "applied");
    let running = lab.leaf1().running_xml();
    assert!(
        running.contains("<trunk-vlans>101..104<") && running.contains("<trunk-vlans>106..110<"),
        "{running}"
    );
    let add = call(&["leaf1"], Intent::AddNetwork { vlan: vlan(105) });
    assert_eq!(lab.engine.change(add).await.unwrap().outcome, "applied");
    assert!(lab.leaf1().running_xml().contains("<trunk-vlans>105<"));
}
