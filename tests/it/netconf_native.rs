//! A vendor's own model over NETCONF: what a port lives through, what is undone, and what the guard refuses.

use std::sync::Arc;

use mercury::device::{Profile, Profiles};
use mercury::guard::{Scope, guard};
use mercury::lint::scenarios::scenarios;
use mercury::plan::{Batch, plan};
use mercury::render::Payload;
use mercury::sim::{FaultSpec, NativeSpec, Personality, Quirks, Switch, SwitchSpec};
use serde_json::{Value, json};

use crate::cli_profiles::SCHEMA;
use crate::peers::{Peer, python, require};
use crate::service::{Service, Site, and, reset, update};

const PROFILE: &str = "juniper_junos_netconf";
const PORT: &str = "ge-0/0/1";

/// A Junos with VLANs 100 to 119: two ports that have nothing, one that has a range, and one of which a
/// part is deactivated.
fn junos() -> SwitchSpec {
    let vlans: String = (100..120)
        .map(|vlan| format!("<vlan><name>V{vlan}</name><vlan-id>{vlan}</vlan-id></vlan>"))
        .collect();
    let port = |name: &str, inside: &str| {
        format!(
            "<interface><name>{name}</name><unit><name>0</name><family><ethernet-switching>{inside}\
             </ethernet-switching></family></unit></interface>"
        )
    };
    let range =
        "<interface-mode>trunk</interface-mode><vlan><members>110-112</members><members>115</members></vlan>";
    let ports = [port(PORT, ""), port("ge-0/0/2", ""), port("ge-0/0/3", range)].concat();
    let native = NativeSpec {
        config: format!(
            "<configuration xmlns=\"http://xml.juniper.net/xnm/1.1/xnm\"><interfaces>{ports}</interfaces>\
             <vlans>{vlans}</vlans></configuration>"
        ),
        leaf_lists: vec!["members".to_owned()],
        operation_namespace: String::new(),
    };
    SwitchSpec {
        personality: Personality::AnyCommit,
        quirks: Quirks { base_1_0: true, ..Quirks::default() },
        password: Some("secret".into()),
        native: Some(native),
        ..SwitchSpec::default()
    }
}

async fn start(spec: SwitchSpec) -> (Switch, Service, Site) {
    let switch = mercury::sim::start(spec, SCHEMA.clone(), ([127, 0, 0, 1], 0).into()).await.unwrap();
    let lines = format!(
        "address = \"127.0.0.1\"\nport = {}\nusername = \"admin\"\npassword_file = \"secret\"\nhost_key = \"{}\"\n\
         profile = \"{PROFILE}\"\nallowed_vlans = \"100-199\"\ncreate_missing_vlans = true\n",
        switch.addr().port(),
        switch.host_key()
    );
    let site = Site::new().device("leaf1", &lines);
    let service = site.serve().await;
    (switch, service, site)
}

/// What the switch has of a port, without its name.
fn port(switch: &Switch, name: &str) -> String {
    let xml = switch.native_xml();
    let (_, after) = xml.split_once(&format!("<interface><name>{name}</name>")).unwrap();
    after.split_once("</interface>").unwrap().0.to_owned()
}

/// Its pieces: the order of elements says nothing.
fn sorted(xml: &str) -> Vec<&str> {
    let mut parts: Vec<&str> = xml.split_inclusive('>').collect();
    parts.sort_unstable();
    parts
}

#[tokio::test]
async fn a_port_lives_in_a_model_of_the_vendor() {
    let (switch, service, site) = start(junos()).await;
    let others = ["ge-0/0/2", "ge-0/0/3"].map(|name| port(&switch, name));
    let switched = |inside: &str| {
        format!(
            "<unit><name>0</name><family><ethernet-switching>{inside}</ethernet-switching></family></unit>"
        )
    };
    let steps = [
        (
            ("update_port", update(PORT, "access", 100, &[])),
            switched("<vlan><members>100</members></vlan><interface-mode>access</interface-mode>"),
        ),
        (
            ("update_port", update(PORT, "access", 101, &[])),
            switched("<interface-mode>access</interface-mode><vlan><members>101</members></vlan>"),
        ),
        (
            ("update_port", update(PORT, "trunk", 101, &[110, 112])),
            switched(
                "<interface-mode>trunk</interface-mode><vlan><members>101</members><members>110</members>\
                 <members>112</members></vlan>",
            ) + "<native-vlan-id>101</native-vlan-id>",
        ),
        (
            ("update_port", update(PORT, "trunk", Value::Null, &[110])),
            switched("<interface-mode>trunk</interface-mode><vlan><members>110</members></vlan>"),
        ),
        (
            ("update_port", update(PORT, "access", 110, &[])),
            switched("<vlan><members>110</members></vlan><interface-mode>access</interface-mode>"),
        ),
        (
            ("update_port", update(PORT, "access", 150, &[])),
            switched("<interface-mode>access</interface-mode><vlan><members>150</members></vlan>"),
        ),
        (("reset_port", reset(PORT, 150)), switched("") + "<disable></disable>"),
        (
            ("update_port", and(update(PORT, "access", 100, &[]), "description", "<b> & c")),
            switched("<vlan><members>100</members></vlan><interface-mode>access</interface-mode>"),
        ),
    ];
    let mut told = String::new();
    for ((method, params), holds) in steps {
        if let Err(failure) = service.call(method, params.clone()).await {
            panic!("{method} {params}: {failure:?}\n{:#?}", service.log());
        }
        // It is none of Ironic's own making, and so a detach leaves it.
        if let Some(text) = params["description"].as_str() {
            let escaped = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            told = format!("<description>{escaped}</description>");
        }
        let holds = holds + &told;
        assert_eq!(
            sorted(&port(&switch, PORT)),
            sorted(&holds),
            "{method} {params}: {}",
            port(&switch, PORT)
        );
        assert!(!switch.pending_commit() && !switch.candidate_is_dirty() && switch.locks().is_empty());
        // The same again is no change, and sends none.
        let (before, log) = (switch.commits(), switch.log().len());
        let again = service.call(method, params.clone()).await.unwrap();
        assert_eq!(switch.commits(), before, "{method} {params}: {again}");
        assert!(switch.log()[log..].iter().all(|message| message.rpc != "edit-config"));
    }
    assert_eq!(others, ["ge-0/0/2", "ge-0/0/3"].map(|name| port(&switch, name)));
    assert!(switch.native_xml().contains("<vlan-id>150</vlan-id>"));
    assert_eq!(site.journal(), "");
}

/// Values that stand in a range cannot go one by one.
#[tokio::test]
async fn a_range_is_left_behind_as_a_whole() {
    let (switch, service, _site) = start(junos()).await;
    service.call("update_port", update("ge-0/0/3", "trunk", Value::Null, &[110, 112, 115])).await.unwrap();
    let holds = port(&switch, "ge-0/0/3");
    assert!(holds.contains("<members>110</members><members>112</members><members>115</members>"), "{holds}");
    let asked = json!({ "switch_id": "leaf1", "port_name": "ge-0/0/3", "mode": "trunk", "native_vlan": null,
                        "allowed_vlans": [110, 112, 115] });
    let checked = service.call("check_port", asked).await.unwrap();
    assert_eq!(checked["matches"], true, "{checked}");
    service.call("reset_port", reset("ge-0/0/3", 110)).await.unwrap();
    assert!(!port(&switch, "ge-0/0/3").contains("members"));
}

/// Refused, or the answer is lost: as it was before, and nothing of ours is left.
#[tokio::test]
async fn a_change_that_fails_is_undone() {
    for fault in [
        "edit-config:reject=invalid-value",
        "confirmed-commit:reject=operation-failed",
        "confirmed-commit:drop-before",
        "confirmed-commit:drop-after",
        "edit-config:drop-after",
        "confirm:reject=operation-failed",
    ] {
        let (switch, service, site) = start(junos()).await;
        service.call("update_port", update(PORT, "trunk", 101, &[110, 111])).await.unwrap();
        let before = switch.native_xml();
        switch.inject(fault.parse::<FaultSpec>().unwrap());
        let answer = service.call("update_port", update(PORT, "access", 102, &[])).await;
        assert!(answer.is_err(), "{fault}: {answer:?}");
        let after = switch.native_xml();
        assert_eq!(sorted(&after), sorted(&before), "{fault}: {answer:?}");
        assert!(!switch.pending_commit() && !switch.candidate_is_dirty(), "{fault}");
        assert_eq!(site.journal(), "", "{fault}");
        service.call("update_port", update(PORT, "access", 102, &[])).await.unwrap();
    }
}

/// A VLAN of the name that a new one would get is another one.
#[tokio::test]
async fn a_vlan_of_the_same_name_stays_what_it_is() {
    let mut spec = junos();
    let native = spec.native.as_mut().unwrap();
    let other = "<vlans><vlan><name>VLAN0150</name><vlan-id>7</vlan-id></vlan>";
    native.config = native.config.replace("<vlans>", other);
    let (switch, service, _site) = start(spec).await;
    let before = switch.native_xml();
    assert!(service.call("update_port", update(PORT, "access", 150, &[])).await.is_err());
    assert_eq!(switch.native_xml(), before);
}

/// What the profile cannot read is not taken for nothing.
#[tokio::test]
async fn what_is_not_understood_is_not_changed() {
    for (inside, words) in [
        ("<vlan><members>V110</members></vlan>", "V110"),
        ("<port-mode>access</port-mode>", "switch without ELS"),
    ] {
        let mut spec = junos();
        let native = spec.native.as_mut().unwrap();
        native.config =
            native.config.replacen("<ethernet-switching></", &format!("<ethernet-switching>{inside}</"), 1);
        let (switch, service, _site) = start(spec).await;
        let no = service.call("update_port", update(PORT, "access", 100, &[])).await.unwrap_err();
        assert!(no.message.contains(words), "{no:?}");
        assert_eq!(switch.commits(), 0);
        service.call("update_port", update("ge-0/0/2", "access", 100, &[])).await.unwrap();
    }
}

fn planned(profile: &Arc<Profile>, name: &str) -> (Scope, String) {
    let all = scenarios(PORT, profile).unwrap();
    let scenario = all.into_iter().find(|scenario| scenario.name.starts_with(name)).unwrap();
    let (request, before) = scenario.request(PORT, profile);
    let plan = plan(&request, &before, &SCHEMA).unwrap();
    let payload = Batch::new(&[&plan], &request.device, &SCHEMA).unwrap().payload;
    let scope = Scope { wanted: plan.after.clone(), ..plan.scope.clone() };
    (scope, payload.text().to_owned())
}

/// Every element of an edit in turn: left out, of another port, of another VLAN, deleted and replaced; and
/// the whole of something.
#[test]
fn an_edit_that_reaches_further_is_refused() {
    let profile = Profiles::default().get(PROFILE).unwrap();
    let judge = |scope: &Scope, xml: &str| {
        guard(&Payload::Netconf(xml.to_owned()), scope, &profile, &SCHEMA).map(drop)
    };
    for name in ["access 100 -> trunk native 100", "trunk -> access 100", "VLAN 130 added", "description set"]
    {
        let (scope, xml) = planned(&profile, name);
        assert_eq!(judge(&scope, &xml), Ok(()), "{name}");
        let mut attacks = vec![String::new()];
        for (n, line) in xml.lines().enumerate() {
            let mut with = |new: String| {
                let other = xml.lines().enumerate().map(|(m, line)| if m == n { new.as_str() } else { line });
                attacks.push(other.collect::<Vec<_>>().join("\n"));
            };
            let trimmed = line.trim_start();
            if trimmed.contains("</") && !trimmed.starts_with("</") {
                if !trimmed.starts_with("<name>") {
                    with(String::new());
                }
                with(format!("{line}{line}"));
                for digit in ["7", "9", "*"] {
                    with(line.replace(|c: char| c.is_ascii_digit(), digit));
                }
                let (open, rest) = line.split_once('>').unwrap();
                for operation in ["delete", "remove", "replace", "create"] {
                    with(format!("{open} operation=\"{operation}\">{rest}"));
                }
            } else if trimmed.starts_with('<') && !trimmed.starts_with("</") && !line.contains("operation=") {
                for operation in ["delete", "remove", "replace", "create"] {
                    let cut = line.find('>').unwrap();
                    let cut = if line.ends_with("/>") { cut - 1 } else { cut };
                    with(format!("{} operation=\"{operation}\"{}", &line[..cut], &line[cut..]));
                }
                with(line.replace("<interface>", "<interfaces>"));
            }
            with(line.replace("xnm/1.1", "xnm/1.2"));
            with(line.replace("operation=\"replace\"", "operation=\"merge\""));
            with(line.replace("operation=\"replace\"", ""));
        }
        for what in ["interfaces", "vlans", "system"] {
            for operation in ["delete", "replace", "remove"] {
                let end = "</configuration>";
                attacks.push(xml.replace(end, &format!("<{what} operation=\"{operation}\"/>{end}")));
            }
        }
        for attack in attacks.into_iter().filter(|attack| attack.trim() != xml.trim()) {
            let refused = judge(&scope, &attack);
            assert!(refused.is_err(), "{name}:\n{attack}\n{xml}");
        }
        let protected = Scope { protected: vec![PORT.parse().unwrap()], ..scope };
        assert!(name.starts_with("VLAN") || judge(&protected, &xml).is_err());
    }
}

/// The simulator's side, as a client that is not ours sees it.
#[tokio::test]
async fn ncclient_changes_it_as_its_users_do() {
    if !require(&[Peer::Ncclient]) {
        return;
    }
    let switch = mercury::sim::start(junos(), SCHEMA.clone(), ([127, 0, 0, 1], 0).into()).await.unwrap();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/ncclient_native.py");
    let run = tokio::process::Command::new(python())
        .args([script, &switch.addr().port().to_string(), PORT])
        .kill_on_drop(true)
        .output();
    let output = run.await.unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    let told: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        told,
        json!({
            "openconfig": false, "candidate": ["101"], "running": [], "committed": ["101"],
            "missing": "data-missing", "locked": "lock-denied", "ports": [PORT],
        })
    );
    assert!(!switch.pending_commit() && port(&switch, PORT).contains("<members>101</members>"));
}
