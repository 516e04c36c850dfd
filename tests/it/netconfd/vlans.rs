//! A switch with a VLAN table: netconfd with the modules of `yang/`, of which it can load the network
//! instances, as it cannot of OpenConfig's own.

use std::path::Path;

use super::*;
use crate::peers::{Peer, require};
use crate::service::{Site, and, attach, detach, update};

const TABLE: &str = "<network-instances xmlns=\"http://openconfig.net/yang/network-instance\"><network-instance>\
    <name>default</name><config><name>default</name></config><vlans><vlan><vlan-id>100</vlan-id>\
    <config><vlan-id>100</vlan-id></config></vlan></vlans></network-instance></network-instances>";

/// Modules that have a VLAN table.
fn with_table(shape: Shape) -> Options {
    let mut options = Options::new(shape);
    options.yang = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("yang")];
    options.modules.retain(|module| module != "openconfig-if-ip");
    options.modules.push("openconfig-network-instance".to_owned());
    options
}

/// The VLANs in the table.
async fn table(operator: &mut Operator) -> Vec<String> {
    let data = operator.running().await;
    let ids = Regex::new(r"<vlan>\s*<vlan-id>(\d+)</vlan-id>").expect("an expression");
    ids.captures_iter(&data).map(|found| found[1].to_owned()).collect()
}

#[tokio::test]
async fn vlans_are_looked_up_in_the_table_and_created_only_where_that_is_allowed() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let server = Netconfd::start_with(with_table(shape)).await;
        let mut operator = Operator::of(&server, shape).await;
        operator.apply(TABLE).await;
        let untouched = operator.running().await;
        let lines = "profile = \"netconf_openconfig\"\nallowed_vlans = \"100-199\"\nidle_vlans = \"999\"\n";
        let strict = Site::with(&server, lines).serve().await;
        let creates = Site::with(&server, &format!("{lines}create_missing_vlans = true\n")).serve().await;

        // Missing VLANs are all named, and the parameter that they came in.
        let trunk = update("eth1", "hybrid", 100, &[100, 101, 102]);
        let failure = strict.call("update_port", trunk.clone()).await.expect_err("101 and 102 are missing");
        assert_eq!((failure.code, failure.class()), (400, "InvalidParameterValue"));
        assert!(failure.message.contains("allowed_vlans: VLAN 101-102 is not in"), "{failure:?}");
        assert_eq!(operator.running().await, untouched);
        let change = call(&strict, "attach_port", &attach("eth1", 100, &[])).await;
        // netconfd knows of no links: what it does not report stays unknown.
        let held = operator.running().await;
        let check = call(&strict, "check_port", &attach("eth1", 100, &[])).await;
        let port = &check["devices"][0];
        assert_eq!((&check["matches"], &port["oper_status"]), (&true.into(), &Value::Null), "{check}");
        assert_eq!(port["vlans"], serde_json::json!({ "100": null }));
        let check = call(&strict, "check_port", &trunk).await;
        let port = &check["devices"][0];
        assert_eq!(check["matches"], false, "{check}");
        assert_eq!(port["vlans"], serde_json::json!({ "100": null, "101": "missing", "102": "missing" }));
        for (name, is_there) in [("eth1", true), ("eth7", false)] {
            let live = and(attach(name, 100, &[]), "live", true);
            assert_eq!(call(&strict, "is_link_valid", &live).await, is_there, "{name}");
        }
        assert_eq!(operator.running().await, held);
        operator.assert_at_rest().await;
        operator.apply_inverse(&change).await;
        assert_eq!(operator.running().await, untouched);

        // Creating is part of the plan, said as a risk, and no part of the inverse.
        let params = attach("eth1", 100, &[101, 102]);
        let dry = call(&creates, "attach_port", &and(params.clone(), "dry_run", true)).await;
        assert!(dry["devices"][0]["risks"].to_string().contains("101-102"), "{dry}");
        assert_eq!(table(&mut operator).await, ["100"]);
        let change = call(&creates, "attach_port", &params).await;
        assert_eq!(change["devices"][0]["payload"], dry["devices"][0]["payload"]);
        assert_eq!(table(&mut operator).await, ["100", "101", "102"]);
        let held = "description=NEUTRON interface-mode=TRUNK native-vlan=100 trunk-vlans=101..102";
        assert_eq!(operator.port("eth1").await, held);
        operator.apply_inverse(&change).await;
        assert_eq!(operator.port("eth1").await, "");
        assert_eq!(table(&mut operator).await, ["100", "101", "102"]);

        // What is there now does for both, and a detach takes none away.
        call(&strict, "update_port", &trunk).await;
        call(&creates, "detach_port", &detach("eth1")).await;
        assert_eq!(table(&mut operator).await, ["100", "101", "102"]);
        // Two that need the same one do not get into each other's way.
        let both = [attach("eth2", 150, &[151]), attach("eth3", 151, &[150])];
        let calls = both.map(|params| creates.start_call("attach_port", params));
        for call in calls {
            call.await.expect("no panic").expect("both end well");
        }
        assert_eq!(table(&mut operator).await, ["100", "101", "102", "150", "151"]);
        // An idle network whose VLAN is not there isolates all the same; it is created where allowed.
        let idle = and(detach("eth2"), "default_vlan", 999);
        let isolated = call(&strict, "detach_port", &idle).await;
        let risks = isolated["devices"][0]["risks"].to_string();
        assert!(risks.contains("VLAN 999 is not in the switch's table"), "{risks}");
        assert_eq!(operator.port("eth2").await, "access-vlan=999 interface-mode=ACCESS");
        assert!(!table(&mut operator).await.contains(&"999".to_owned()));
        call(&creates, "detach_port", &idle).await;
        assert!(table(&mut operator).await.contains(&"999".to_owned()));
        assert_eq!(operator.port("eth2").await, "access-vlan=999 interface-mode=ACCESS");
        operator.assert_at_rest().await;
    }
}

/// Networks on a switch that is not ours: the table and an uplink, and what stands in the way.
#[tokio::test]
async fn networks_come_and_go_with_their_place_on_the_uplinks() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    const UPLINK: &str = "<interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface><name>eth49</name>\
        <config><name>eth49</name><type xmlns:t=\"urn:ietf:params:xml:ns:yang:iana-if-type\">t:ethernetCsmacd</type>\
        </config><ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\"><switched-vlan \
        xmlns=\"http://openconfig.net/yang/vlan\"><config><interface-mode>TRUNK</interface-mode>\
        <trunk-vlans>10</trunk-vlans><trunk-vlans>20..30</trunk-vlans></config></switched-vlan></ethernet>\
        </interface></interfaces>";
    for shape in BOTH {
        let server = Netconfd::start_with(with_table(shape)).await;
        let mut operator = Operator::of(&server, shape).await;
        operator.apply(TABLE).await;
        operator.apply(UPLINK).await;
        let untouched = operator.running().await;
        let lines = "profile = \"netconf_openconfig\"\nallowed_vlans = \"100-199\"\nidle_vlans = \"999\"\n\
                     trunk_ports = [\"eth49\"]\nmanage_vlans = true\nprotected_vlans = \"199\"\n";
        let service = Site::with(&server, lines).serve().await;
        let network = |vlan: u16| {
            serde_json::json!({
                "network": { "network_type": "vlan", "segmentation_id": vlan }, "devices": ["leaf1"]
            })
        };

        let dry = call(&service, "add_network", &and(network(150), "dry_run", true)).await;
        assert_eq!(operator.running().await, untouched);
        let added = call(&service, "add_network", &network(150)).await;
        assert_eq!(added["outcome"], "applied", "{added}");
        assert_eq!(added["devices"][0]["payload"], dry["devices"][0]["payload"]);
        assert_eq!(table(&mut operator).await, ["100", "150"]);
        let uplink = operator.port("eth49").await;
        assert_eq!(uplink, "interface-mode=TRUNK trunk-vlans=10,150,20..30");
        let again = call(&service, "add_network", &network(150)).await;
        assert_eq!(again["outcome"], "unchanged", "{again}");
        operator.apply_inverse(&added).await;
        assert_eq!(operator.running().await, untouched);

        // In use, it stays; unused, it goes from both places.
        call(&service, "add_network", &network(150)).await;
        call(&service, "attach_port", &attach("eth1", 150, &[])).await;
        let with_user = operator.running().await;
        let failure = service.call("delete_network", network(150)).await.expect_err("eth1 uses it");
        assert_eq!((failure.code, failure.class()), (400, "InvalidParameterValue"));
        assert!(failure.message.contains("VLAN 150 is in use on leaf1: eth1"), "{failure:?}");
        assert_eq!(operator.running().await, with_user);
        let failure = service.call("attach_port", attach("eth49", 150, &[])).await.expect_err("an uplink");
        assert!(failure.message.contains("trunk_ports"), "{failure:?}");
        call(&service, "detach_port", &detach("eth1")).await;
        let deleted = call(&service, "delete_network", &network(150)).await;
        assert_eq!(deleted["outcome"], "applied", "{deleted}");
        assert_eq!(table(&mut operator).await, ["100"]);
        assert_eq!(operator.port("eth49").await, "interface-mode=TRUNK trunk-vlans=10,20..30");
        operator.apply_inverse(&deleted).await;
        assert_eq!(table(&mut operator).await, ["100", "150"]);
    }
}
