//! Vendors' own models over gNMI: what a port lives through, what is undone, and what the guard refuses.

use std::sync::Arc;

use mercury::device::{Profile, Profiles};
use mercury::guard::{Scope, guard};
use mercury::lint::scenarios::scenarios;
use mercury::plan::{Batch, plan};
use mercury::render::Payload;
use mercury::sim::gnmi::{CommitExtension, Documents, GnmiQuirks, GnmiSpec};
use mercury::sim::{FaultSpec, Switch, SwitchSpec};
use serde_json::{Value, json};

use super::{plaintext, start};
use crate::cli_profiles::{SCHEMA, with_ports};
use crate::service::{Service, Site, and, reset, update};

/// A system with a model of its own, as it is simulated.
struct System {
    profile: &'static str,
    origin: &'static str,
    /// Two of its ports.
    ports: [&'static str; 2],
    /// What it has at first: VLANs 100 to 119, and the ports with nothing set.
    document: fn() -> Value,
    quirks: GnmiQuirks,
}

fn systems() -> Vec<System> {
    vec![System {
        profile: "sonic_gnmi",
        origin: "sonic-db",
        ports: ["Ethernet0", "Ethernet4"],
        document: sonic,
        quirks: GnmiQuirks {
            all_only: true,
            commit: CommitExtension::Unimplemented,
            ..GnmiQuirks::default()
        },
    }]
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

impl System {
    async fn start(&self) -> (Switch, Service, Site) {
        let documents = Documents::from([(self.origin.to_owned(), (self.document)())]);
        let gnmi = GnmiSpec { documents, quirks: self.quirks.clone(), ..GnmiSpec::default() };
        let switch = start(gnmi, SwitchSpec::default()).await;
        let lines = plaintext(&switch).replace("gnmi_openconfig", self.profile);
        let site = Site::new().device("leaf1", &lines);
        let service = site.serve().await;
        (switch, service, site)
    }

    /// A life of a port, from access to trunks to nothing.
    fn life(&self) -> Vec<(&'static str, Value)> {
        let port = self.ports[0];
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
        let first = switch.document(system.origin);
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
        assert_ne!(switch.document(system.origin), first);
        assert_eq!(site.journal(), "", "{}", system.profile);
    }
}

/// A port that carries a VLAN in a way that the profile has no word for is not taken for one without.
#[tokio::test]
async fn a_member_in_another_mode_is_no_empty_port() {
    let system = System {
        document: || {
            let mut document = sonic();
            document["CONFIG_DB"]["localhost"]["VLAN_MEMBER"] =
                json!({"Vlan119|Ethernet0": {"tagging_mode": "priority_tagged"}});
            document
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
        let port = system.ports[0];
        for (n, fault) in ["gnmi-set:reject=aborted", "gnmi-set:drop-before"].into_iter().enumerate() {
            let (switch, service, site) = system.start().await;
            service.call("update_port", update(port, "trunk", 101, &[110, 111])).await.unwrap();
            let before = switch.document(system.origin);
            let set =
                if system.quirks.commit == CommitExtension::Supported { "gnmi-commit" } else { "gnmi-set" };
            switch.inject(fault.replace("gnmi-set", set).parse::<FaultSpec>().unwrap());
            let failure = service.call("update_port", update(port, "access", 102, &[])).await.unwrap_err();
            assert_eq!(switch.document(system.origin), before, "{} {n}: {failure:?}", system.profile);
            assert_eq!(site.journal(), "", "{} {n}", system.profile);
        }
        // It says no, and has done it.
        let quirks = GnmiQuirks { fails_after_applying: Some(tonic::Code::Unknown), ..system.quirks.clone() };
        let bad = System { quirks, ..system };
        let (switch, service, _site) = bad.start().await;
        let before = switch.document(bad.origin);
        let answer = service.call("update_port", update(bad.ports[0], "access", 102, &[])).await;
        if answer.is_err() {
            assert_eq!(switch.document(bad.origin), before, "{}", bad.profile);
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
    for (profile, port) in with_ports("native") {
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
                    attacks.push(without);
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
