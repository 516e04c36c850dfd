//! What changes do over gNMI: the same as over NETCONF.

use mercury::sim::SwitchSpec;
use mercury::sim::gnmi::{CommitExtension, GnmiQuirks, GnmiSpec};
use serde_json::Value;

use super::{plaintext, start};
use crate::service::{Service, Site, and, reset, simulated, update};

/// A life of a port, from access to trunks to nothing.
fn life() -> Vec<(&'static str, Value)> {
    vec![
        ("update_port", update("eth1", "access", 100, &[])),
        ("update_port", update("eth1", "access", 101, &[])),
        ("update_port", update("eth1", "trunk", 101, &[110, 111, 112, 115])),
        ("update_port", update("eth1", "trunk", Value::Null, &[110, 112, 113])),
        ("update_port", update("eth1", "trunk", 102, &[112])),
        ("update_port", update("eth1", "access", 150, &[])),
        ("reset_port", reset("eth1", 150)),
        ("update_port", update("eth1", "access", 100, &[])),
        ("reset_port", and(reset("eth1", 100), "default_vlan", 199)),
    ]
}

async fn applied(service: &Service, method: &str, params: &Value) -> Value {
    match service.call(method, params.clone()).await {
        Ok(answer) => answer,
        Err(failure) => panic!("{method} {params}: {failure:?}\n{:#?}", service.log()),
    }
}

#[tokio::test]
async fn a_set_leaves_what_an_edit_config_leaves() {
    let by_gnmi = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let by_netconf = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let gnmi = Site::new().device("leaf1", &plaintext(&by_gnmi)).serve().await;
    let lines = format!("{}create_missing_vlans = true\n", simulated(&by_netconf));
    let netconf = Site::new().device("leaf1", &lines).serve().await;
    for (method, params) in life() {
        applied(&gnmi, method, &params).await;
        applied(&netconf, method, &params).await;
        assert_eq!(by_gnmi.running_xml(), by_netconf.running_xml(), "{method} {params}");
        assert!(!by_gnmi.pending_commit());
        // The same again is no change, and sends none.
        let before = by_gnmi.commits();
        applied(&gnmi, method, &params).await;
        assert_eq!(by_gnmi.commits(), before, "{method} {params}");
    }
}

#[tokio::test]
async fn every_habit_of_targets_is_got_along_with() {
    let quirks = GnmiQuirks::default();
    let commit = |commit| GnmiQuirks { commit, ..quirks.clone() };
    for (name, quirks, profile) in [
        ("no commit extension", commit(CommitExtension::Unimplemented), ""),
        ("one that is ignored", commit(CommitExtension::Ignored), ""),
        ("no results", GnmiQuirks { no_results: true, ..quirks.clone() }, ""),
        ("results without paths", GnmiQuirks { no_result_paths: true, seconds: true, ..quirks.clone() }, ""),
        ("leaf by leaf", GnmiQuirks { per_leaf: true, ..quirks.clone() }, ""),
        ("lists in bodies", GnmiQuirks { no_leaf_list_arrays: true, ..quirks.clone() }, ""),
        ("every type of data", GnmiQuirks { all_only: true, ..quirks.clone() }, "get_all = true\n"),
        ("an origin", GnmiQuirks { origin_required: true, ..quirks.clone() }, "origin = \"openconfig\"\n"),
        (
            "an origin in the prefix",
            GnmiQuirks { origin_required: true, ..quirks.clone() },
            "origin = \"openconfig\"\norigin_in_prefix = true\n",
        ),
        ("plain JSON", quirks.clone(), "encoding = \"json\"\n"),
    ] {
        let switch = start(GnmiSpec { quirks, ..GnmiSpec::default() }, SwitchSpec::default()).await;
        let site = Site::new();
        std::fs::create_dir(site.path("profiles")).unwrap();
        let lines = format!(
            "like = \"gnmi_openconfig\"\ndescription = \"{name}\"\n[gnmi]\nidle_limit = \"1m\"\n{profile}"
        );
        std::fs::write(site.path("profiles/own.toml"), lines).unwrap();
        let lines = plaintext(&switch).replace("gnmi_openconfig", "own");
        let site = site.device("leaf1", &lines).section("[models]\nprofiles = \"profiles\"\n");
        let service = site.serve().await;
        for (method, params) in life() {
            if let Err(failure) = service.call(method, params.clone()).await {
                panic!("{name}: {method} {params}: {failure:?}\n{:#?}", service.log());
            }
        }
        assert_eq!(site.journal(), "", "{name}");
    }
}
