//! Vendors' own models over gNMI: what a port lives through, what is undone, and what the guard refuses.

use std::sync::Arc;

use mercury::device::{Model, Profile, Profiles, Speaks};
use mercury::gnmi::Encoding;
use mercury::guard::{Scope, guard};
use mercury::lint::scenarios::scenarios;
use mercury::plan::{Batch, plan};
use mercury::render::Payload;
use mercury::sim::cli::CliSpec;
use mercury::sim::gnmi::{CommitExtension, Documents, GnmiQuirks, GnmiSpec};
use mercury::sim::{FaultSpec, Switch, SwitchSpec};
use serde_json::{Value, json};

use super::{plaintext, start};
use crate::cli_profiles::{SCHEMA, with_ports};
use crate::service::{Service, Site, and, reset, update};

/// A system with a model of its own, as it is simulated.
struct System {
    profile: &'static str,
    port: &'static str,
    has: Has,
    quirks: GnmiQuirks,
}

/// What it has at first: VLANs 100 to 119, and ports with nothing set.
enum Has {
    Document {
        origin: &'static str,
        of: fn() -> Value,
    },
    /// A command line of this system.
    Lines(&'static str),
}

fn systems() -> Vec<System> {
    let without_commits = GnmiQuirks { commit: CommitExtension::Unimplemented, ..GnmiQuirks::default() };
    vec![
        System {
            profile: "sonic_gnmi",
            port: "Ethernet0",
            has: Has::Document { origin: "sonic-db", of: sonic },
            quirks: GnmiQuirks { all_only: true, ..without_commits.clone() },
        },
        System {
            profile: "cisco_nxos_gnmi",
            port: "eth1/1",
            has: Has::Document { origin: "device", of: nxos },
            quirks: GnmiQuirks { refused_encodings: vec![Encoding::JsonIetf], ..GnmiQuirks::default() },
        },
        System {
            profile: "nokia_srl_gnmi",
            port: "ethernet-1/1",
            has: Has::Document { origin: "native", of: srl },
            quirks: GnmiQuirks::default(),
        },
        System {
            profile: "arista_eos_gnmi",
            port: "Ethernet1",
            has: Has::Lines("arista_eos"),
            quirks: without_commits,
        },
    ]
}

fn sonic() -> Value {
    let port = json!({"alias": "etp1", "lanes": "1", "mtu": "9100", "admin_status": "up"});
    let vlans = (100..120).map(|vlan| (format!("Vlan{vlan}"), json!({"vlanid": vlan.to_string()})));
    json!({"CONFIG_DB": {"localhost": {
        "PORT": {"Ethernet0": port, "Ethernet4": port},
        "VLAN": vlans.collect::<serde_json::Map<_, _>>(),
        "VLAN_MEMBER": {"Vlan119|Ethernet4": {"tagging_mode": "untagged"}},
    }}})
}

fn nxos() -> Value {
    let port = |name: &str| {
        json!({"id": name, "layer": "Layer2", "mode": "access", "accessVlan": "vlan-1", "nativeVlan": "vlan-1",
               "trunkVlans": "1-4094", "adminSt": "up", "mtu": 1500, "descr": "", "userCfgdFlags": ""})
    };
    let vlans: Vec<Value> =
        (100..120).map(|vlan| json!({"fabEncap": format!("vlan-{vlan}"), "name": ""})).collect();
    json!({"System": {
        "intf-items": {"phys-items": {"PhysIf-list": [port("eth1/1"), port("eth1/2")]}},
        "bd-items": {"bd-items": {"BD-list": vlans}},
    }})
}

fn srl() -> Value {
    let bridges: Vec<Value> =
        (100..120).map(|vlan| json!({"name": format!("mac-vrf-{vlan}"), "type": "mac-vrf"})).collect();
    json!({
        "interface": [{"name": "ethernet-1/1", "admin-state": "enable"}, {"name": "ethernet-1/2"}],
        "network-instance": bridges,
    })
}

impl System {
    async fn start(&self) -> (Switch, Service, Site) {
        let switch = self.simulate().await;
        let lines = plaintext(&switch).replace("gnmi_openconfig", self.profile);
        let site = Site::new().device("leaf1", &lines);
        let service = site.serve().await;
        (switch, service, site)
    }

    async fn simulate(&self) -> Switch {
        let mut gnmi = GnmiSpec { quirks: self.quirks.clone(), ..GnmiSpec::default() };
        match &self.has {
            Has::Document { origin, of } => gnmi.documents = Documents::from([(origin.to_string(), of())]),
            Has::Lines(system) => {
                let config = "vlan 100-119\n".to_owned();
                gnmi.cli = Some(CliSpec { config, ..CliSpec::new(system) });
                gnmi.encodings.push(Encoding::Ascii);
            }
        }
        start(gnmi, SwitchSpec::default()).await
    }

    /// All that is set on it.
    fn holds(&self, switch: &Switch) -> String {
        match &self.has {
            Has::Document { origin, .. } => switch.document(origin).to_string(),
            Has::Lines(_) => switch.carried_config(),
        }
    }

    /// A life of a port, from access to trunks to nothing.
    fn life(&self) -> Vec<(&'static str, Value)> {
        let port = self.port;
        vec![
            ("update_port", update(port, "access", 100, &[])),
            ("update_port", update(port, "access", 101, &[])),
            ("update_port", update(port, "trunk", 101, &[110, 111, 112, 115])),
            ("update_port", update(port, "trunk", Value::Null, &[110, 112, 113])),
            ("update_port", update(port, "trunk", 102, &[112])),
            ("update_port", update(port, "trunk", 112, &[102])),
            ("update_port", update(port, "access", 150, &[])),
            ("reset_port", reset(port, 150)),
            ("update_port", update(port, "access", 100, &[])),
            ("reset_port", and(reset(port, 100), "default_vlan", 199)),
        ]
    }
}

#[tokio::test]
async fn a_port_lives_in_a_model_of_the_vendor() {
    for system in systems() {
        let (switch, service, site) = system.start().await;
        let first = system.holds(&switch);
        for (method, params) in system.life() {
            if let Err(failure) = service.call(method, params.clone()).await {
                panic!("{}: {method} {params}: {failure:?}\n{:#?}", system.profile, service.log());
            }
            assert!(!switch.pending_commit());
            // The same again is no change, and sends none.
            let before = switch.commits();
            let again = service.call(method, params.clone()).await.unwrap();
            assert_eq!(switch.commits(), before, "{}: {method} {params}: {again}", system.profile);
        }
        assert_ne!(system.holds(&switch), first);
        assert_eq!(site.journal(), "", "{}", system.profile);
    }
}

/// A port that carries a VLAN in a way that the profile has no word for is not taken for one without.
#[tokio::test]
async fn a_member_in_another_mode_is_no_empty_port() {
    let system = System {
        has: Has::Document {
            origin: "sonic-db",
            of: || {
                let mut document = sonic();
                document["CONFIG_DB"]["localhost"]["VLAN_MEMBER"] =
                    json!({"Vlan119|Ethernet0": {"tagging_mode": "priority_tagged"}});
                document
            },
        },
        ..systems().remove(0)
    };
    let (switch, service, _site) = system.start().await;
    for (method, params) in
        [("reset_port", reset("Ethernet0", 119)), ("update_port", update("Ethernet0", "access", 100, &[]))]
    {
        let no = service.call(method, params).await.unwrap_err();
        assert!(no.message.contains("port Ethernet0: cannot be read: Vlan119|Ethernet0"), "{no:?}");
    }
    assert_eq!(switch.commits(), 0);
    service.call("update_port", update("Ethernet4", "access", 100, &[])).await.unwrap();
}

/// What is set on a port is there as the vendor has it, and nobody else's is touched.
#[tokio::test]
async fn what_is_written_is_what_the_vendor_has() {
    let system = &systems()[0];
    let (switch, service, _site) = system.start().await;
    service.call("update_port", update("Ethernet0", "trunk", 101, &[110, 150])).await.unwrap();
    let database = &switch.document("sonic-db")["CONFIG_DB"]["localhost"];
    assert_eq!(
        database["VLAN_MEMBER"],
        json!({
            "Vlan119|Ethernet4": {"tagging_mode": "untagged"},
            "Vlan101|Ethernet0": {"tagging_mode": "untagged"},
            "Vlan110|Ethernet0": {"tagging_mode": "tagged"},
            "Vlan150|Ethernet0": {"tagging_mode": "tagged"},
        })
    );
    assert_eq!(database["VLAN"]["Vlan150"], json!({"vlanid": "150"}));
    assert_eq!(database["PORT"]["Ethernet0"]["lanes"], "1");
}

/// A change that goes wrong is undone, or nothing was sent: as it was before.
#[tokio::test]
async fn a_change_that_fails_is_undone() {
    for system in systems() {
        let port = system.port;
        for (n, fault) in ["gnmi-set:reject=aborted", "gnmi-set:drop-before"].into_iter().enumerate() {
            let (switch, service, site) = system.start().await;
            service.call("update_port", update(port, "trunk", 101, &[110, 111])).await.unwrap();
            let before = system.holds(&switch);
            let set =
                if system.quirks.commit == CommitExtension::Supported { "gnmi-commit" } else { "gnmi-set" };
            switch.inject(fault.replace("gnmi-set", set).parse::<FaultSpec>().unwrap());
            let failure = service.call("update_port", update(port, "access", 102, &[])).await.unwrap_err();
            assert_eq!(system.holds(&switch), before, "{} {n}: {failure:?}", system.profile);
            // What was lost may still come: that is not forgotten.
            let is_lost = n == 1;
            assert_eq!(site.journal().is_empty(), !is_lost, "{} {n}", system.profile);
            let told = if is_lost { "unknown" } else { "rolled_back" };
            assert_eq!(failure.outcome(), told, "{} {n}: {failure:?}", system.profile);
        }
        // It says no, and has done it.
        let quirks = GnmiQuirks { fails_after_applying: Some(tonic::Code::Unknown), ..system.quirks.clone() };
        let bad = System { quirks, ..system };
        let (switch, service, _site) = bad.start().await;
        let before = bad.holds(&switch);
        let answer = service.call("update_port", update(bad.port, "access", 102, &[])).await;
        if answer.is_err() {
            assert_eq!(bad.holds(&switch), before, "{}", bad.profile);
        }
    }
}

fn planned(profile: &Arc<Profile>, port: &str, name: &str) -> (Scope, Value) {
    let all = scenarios(port, profile).unwrap();
    let scenario = all.into_iter().find(|scenario| scenario.name.starts_with(name)).unwrap();
    let (request, before) = scenario.request(port, profile);
    let plan = plan(&request, &before, &SCHEMA).unwrap();
    let payload = Batch::new(&[&plan], &request.device, &SCHEMA).unwrap().payload;
    let scope = Scope { wanted: plan.after.clone(), ..plan.scope.clone() };
    (scope, serde_json::from_str(payload.text()).unwrap())
}

fn judge(profile: &Profile, scope: &Scope, set: &Value) -> Result<(), String> {
    let payload = Payload::Gnmi(set.to_string());
    guard(&payload, scope, profile, &SCHEMA).map(drop).map_err(|error| error.to_string())
}

/// Every operation of a Set in turn: left out, of another port, of another VLAN, above itself, and as a
/// replace; and operations that nobody asked for.
#[test]
fn a_set_that_reaches_further_is_refused() {
    let told_in_edits = |profile: &Profile| matches!(&profile.speaks, Speaks::Gnmi(habits) if matches!(habits.model, Model::Native(_)));
    for (profile, port) in with_ports("native").into_iter().filter(|(profile, _)| told_in_edits(profile)) {
        let other = port.replace(|c: char| c.is_ascii_digit(), "7") + "7";
        for name in
            ["access 100 -> trunk native 100", "trunk -> access 100", "VLAN 130 added", "description set"]
        {
            let (scope, set) = planned(&profile, &port, name);
            assert_eq!(judge(&profile, &scope, &set), Ok(()), "{}: {name}", profile.name);
            let mut attacks: Vec<Value> = vec![json!({})];
            for kind in ["delete", "replace", "update"] {
                let count = set.get(kind).and_then(Value::as_array).map_or(0, Vec::len);
                for n in 0..count {
                    let mut with = |change: &dyn Fn(&mut Value)| {
                        let mut bad = set.clone();
                        change(&mut bad[kind][n]);
                        attacks.push(bad);
                    };
                    let path = |one: &Value| one.get("path").unwrap_or(one).as_str().unwrap().to_owned();
                    let to = |one: &mut Value, path: String| match one.get_mut("path") {
                        Some(place) => *place = path.into(),
                        None => *one = path.into(),
                    };
                    with(&|one| to(one, path(one).replace(&port, &other)));
                    with(&|one| to(one, path(one).rsplit_once('/').unwrap().0.to_owned()));
                    with(&|one| to(one, path(one).replace(&port, "*")));
                    with(&|one| to(one, format!("{}/x", path(one))));
                    with(&|one| {
                        to(
                            one,
                            path(one).split_once(':').map_or("x:/a".to_owned(), |(_, path)| path.to_owned()),
                        )
                    });
                    let mut without = set.clone();
                    without[kind].as_array_mut().unwrap().remove(n);
                    // On SR Linux a member and its subinterface each take the VLAN away.
                    if profile.name != "nokia_srl_gnmi" {
                        attacks.push(without);
                    }
                    if kind == "update" {
                        let mut replaced = set.clone();
                        let one = replaced[kind].as_array_mut().unwrap().remove(n);
                        replaced["replace"] = json!([one]);
                        attacks.push(replaced);
                        let mut gone = set.clone();
                        gone["delete"] = json!([path(&set[kind][n])]);
                        gone[kind].as_array_mut().unwrap().remove(n);
                        attacks.push(gone);
                    }
                }
            }
            for attack in attacks.into_iter().filter(|attack| *attack != set) {
                let refused = judge(&profile, &scope, &attack);
                assert!(refused.is_err(), "{}: {name}:\n{attack:#}\n{set:#}", profile.name);
            }
            let protected = Scope { protected: vec![port.parse().unwrap()], ..scope };
            assert!(name.starts_with("VLAN") || judge(&profile, &protected, &set).is_err());
        }
    }
}

#[test]
fn a_set_in_openconfigs_words_replaces_nothing() {
    let profile = Profiles::default().get("gnmi_openconfig").unwrap();
    let set = json!({"replace": [{"path": "/interfaces", "val": {}}]});
    assert!(judge(&profile, &Scope::default(), &set).unwrap_err().contains("is replaced"));
}

/// An operator has the modules of the model, some of them without a leaf that is to be written.
#[tokio::test]
async fn edits_are_checked_with_the_modules_that_are_there() {
    const FORM_ONLY: &str = "checked for their form only";
    let system = systems().into_iter().find(|system| system.profile == "cisco_nxos_gnmi").unwrap();
    let switch = system.simulate().await;
    let trunk = || and(update(system.port, "trunk", 101, &[110, 111]), "dry_run", true);
    let (all, too_few) = ("leaf trunkVlans { type string; }", "");
    for (leaf, refused) in [(None, false), (Some(all), false), (Some(too_few), true)] {
        let site = Site::new();
        std::fs::create_dir_all(site.path("profiles/yang")).unwrap();
        let mut profile = "like = \"cisco_nxos_gnmi\"\ndescription = \"Ours\"\n".to_owned();
        if let Some(leaf) = leaf {
            let port = format!(
                "key id; leaf id {{ type string; }} leaf mode {{ type string; }} leaf nativeVlan {{ type string; }} \
                 leaf descr {{ type string; }} {leaf}"
            );
            let module = format!(
                "module device {{ namespace \"urn:device\"; prefix d; container System {{ container intf-items {{ \
                 container phys-items {{ list PhysIf-list {{ {port} }} }} }} }} }}"
            );
            std::fs::write(site.path("profiles/yang/device.yang"), module).unwrap();
            profile += "[model]\nyang = \"yang\"\n";
        }
        std::fs::write(site.path("profiles/own.toml"), profile).unwrap();
        let lines = plaintext(&switch).replace("gnmi_openconfig", "own");
        let site = site.device("leaf1", &lines).section("[models]\nprofiles = \"profiles\"\n");
        let answer = site.serve().await.call("update_port", trunk()).await;
        match answer {
            Ok(answer) => {
                assert!(!refused, "{answer}");
                assert_eq!(answer.to_string().contains(FORM_ONLY), leaf.is_none(), "{answer:#}");
            }
            Err(failure) => {
                let words = format!("{failure:?}");
                assert!(refused && words.contains("not what the modules of its model allow"), "{words}");
            }
        }
    }
}
