//! What the operator wants of the spanning tree on ports with servers. With OpenConfig's own module of it
//! netconfd ends in an assertion, so it has ours.

use super::*;
use crate::peers::{Peer, require};
use crate::service::{Site, and, attach, detach};

const STP: &str = "http://openconfig.net/yang/spanning-tree";

/// The leaves of a port in the spanning tree; empty: it is not in it.
async fn tree(operator: &mut Operator, port: &str) -> String {
    let data = operator.running().await;
    let entry = Regex::new(&format!(r"(?s)<stp\s.*?<interface>\s*<name>{port}</name>(.*?)</interface>"))
        .expect("an expression");
    let Some(entry) = entry.captures(&data) else { return String::new() };
    let leaf = Regex::new(r"<(edge-port|bpdu-guard)[^>]*>([^<]*)<").expect("an expression");
    let leaves = leaf.captures_iter(&entry[1]).map(|leaf| {
        let value = leaf[2].rsplit(':').next().unwrap_or_default().to_owned();
        format!("{}={value}", &leaf[1])
    });
    let mut leaves: Vec<String> = leaves.collect();
    leaves.sort();
    leaves.join(" ")
}

#[tokio::test]
async fn an_attach_tells_the_spanning_tree_and_takes_it_back_with_the_rest() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let mut options = Options::new(shape);
        options.yang = vec![std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("yang")];
        options.modules.retain(|module| module != "openconfig-if-ip");
        options.modules.push("openconfig-spanning-tree".to_owned());
        let server = Netconfd::start_with(options).await;
        let mut operator = Operator::of(&server, shape).await;
        let untouched = operator.running().await;
        // The profile says that it has the model; this server's lacks a VLAN table, which is a risk.
        let lines = "profile = \"netconf_openconfig\"\nallowed_vlans = \"100-199\"\nstp_edge = true\nbpdu_guard = true\n";
        let service = Site::with(&server, lines).serve().await;
        let wanted = "bpdu-guard=true edge-port=EDGE_ENABLE";

        let dry = call(&service, "attach_port", &and(attach("eth1", 100, &[]), "dry_run", true)).await;
        let risks = dry["devices"][0]["risks"].to_string();
        assert!(risks.contains("a bridge behind the port takes it down"), "{risks}");
        let change = call(&service, "attach_port", &attach("eth1", 100, &[])).await;
        assert_eq!(change["devices"][0]["payload"], dry["devices"][0]["payload"]);
        assert_eq!(tree(&mut operator, "eth1").await, wanted);
        let again = call(&service, "attach_port", &attach("eth1", 100, &[])).await;
        assert_eq!(again["outcome"], "unchanged", "{again}");
        operator.apply_inverse(&change).await;
        assert_eq!((tree(&mut operator, "eth1").await, operator.port("eth1").await), Default::default());
        assert!(!operator.running().await.contains("eth1"), "{untouched}");

        // What somebody set otherwise is changed, and comes back with the inverse.
        let theirs = format!(
            "<stp xmlns=\"{STP}\"><interfaces><interface><name>eth2</name><config><name>eth2</name>\
             <edge-port xmlns:t=\"{STP}/types\">t:EDGE_AUTO</edge-port></config></interface></interfaces></stp>"
        );
        operator.apply(&(ethernet("eth2", "", "") + &theirs)).await;
        let change = call(&service, "attach_port", &attach("eth2", 100, &[])).await;
        assert_eq!(tree(&mut operator, "eth2").await, wanted);
        operator.apply_inverse(&change).await;
        assert_eq!(tree(&mut operator, "eth2").await, "edge-port=EDGE_AUTO");

        // A detach leaves what the spanning tree knows.
        call(&service, "attach_port", &attach("eth1", 100, &[])).await;
        call(&service, "detach_port", &detach("eth1")).await;
        assert_eq!(tree(&mut operator, "eth1").await, wanted);
        operator.assert_at_rest().await;
    }
}
