//! A profile that lists several transports: which one is taken, why, and when none is.

use std::process::Stdio;
use std::time::{Duration, Instant};

use mercury::sim::gnmi::{GnmiQuirks, GnmiSpec};
use mercury::sim::{FaultSpec, Personality, Quirks, Switch, SwitchSpec};
use serde_json::Value;
use tokio::net::{TcpListener, TcpSocket};

use super::start;
use crate::matrix::seen;
use crate::peers::{Authority, mercury_bin};
use crate::service::{Service, Site, and, reset, simulated, update};

const BOTH: &str = "netconf_openconfig\"\n";

/// The lines of a device whose profile lists both.
fn both(switch: &Switch) -> String {
    let gnmi = format!("[device.gnmi]\nport = {}\nplaintext = true\n", super::port(switch));
    format!("{}{gnmi}", netconf(switch))
}

/// The same, with a word of NETCONF's side alone.
fn netconf(switch: &Switch) -> String {
    simulated(switch).replace(BOTH, "openconfig\"\n")
}

async fn planned(service: &Service) -> Value {
    let plan = and(update("eth1", "access", 100, &[]), "dry_run", true);
    let answer = service.call("update_port", plan).await.unwrap_or_else(|no| panic!("{no:?}"));
    answer["devices"][0].clone()
}

fn transport(plan: &Value) -> &str {
    plan["transport"].as_str().unwrap()
}

/// A module that the hello does not list.
fn unlisted() -> Vec<String> {
    vec!["openconfig-vlan".to_owned()]
}

#[tokio::test]
async fn the_first_that_the_device_offers() {
    let hides =
        SwitchSpec { quirks: Quirks { unlisted: unlisted(), ..Quirks::default() }, ..SwitchSpec::default() };
    for (name, spec, is_closed, expected) in [
        ("both", SwitchSpec::default(), false, ["netconf (candidate", "; the first of netconf, gnmi"]),
        ("no NETCONF", SwitchSpec::default(), true, ["gnmi 0.10.0", "; not netconf: cannot connect to "]),
        (
            "another model",
            hides,
            false,
            ["gnmi 0.10.0", "; not netconf: it lists its models, and not openconfig-vlan"],
        ),
    ] {
        let switch = start(GnmiSpec::default(), spec).await;
        // Bound and not listened to: nobody else is there meanwhile.
        let closed = TcpSocket::new_v4().unwrap();
        closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
        let port = |port: u16| format!("\nport = {port}\nusername");
        let mut lines = both(&switch);
        if is_closed {
            lines = lines.replace(&port(switch.addr().port()), &port(closed.local_addr().unwrap().port()));
        }
        let site = Site::new().device("leaf1", &lines);
        let service = site.serve().await;
        let plan = planned(&service).await;
        let told = transport(&plan);
        assert!(told.starts_with(expected[0]) && told.contains(expected[1]), "{name}: {told}");
        let by_gnmi = expected[0].starts_with("gnmi");
        assert_eq!(plan["payload"].as_str().unwrap().starts_with('{'), by_gnmi, "{name}: {plan:#}");
        for (method, params) in [
            ("update_port", update("eth1", "access", 100, &[])),
            ("update_port", update("eth1", "trunk", 101, &[110, 111])),
            ("reset_port", reset("eth1", 101)),
        ] {
            service.call(method, params).await.unwrap_or_else(|no| panic!("{name}: {no:?}"));
        }
        let log = service.log();
        let applied: Vec<&Value> = log.iter().filter(|event| event["transport"].is_string()).collect();
        assert!(!applied.is_empty(), "{name}: {log:#?}");
        for event in applied {
            let told = event["transport"].as_str().unwrap();
            assert!(told.starts_with(expected[0]) && told.contains(expected[1]), "{name}: {told}");
        }
        assert_eq!(site.journal(), "", "{name}");
    }
}

/// Nobody speaks there, also where TLS is to be spoken first.
#[tokio::test]
async fn silence_is_passed_over() {
    let switch = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let (mute, authority) = (TcpListener::bind("127.0.0.1:0").await.unwrap(), Authority::new());
    let security = format!("ca = {:?}\n", authority.file());
    for security in ["plaintext = true\n", &security] {
        let gnmi = format!("[device.gnmi]\nport = {}\n{security}", mute.local_addr().unwrap().port());
        let lines = netconf(&switch).replace("\"openconfig\"", "\"own\"") + &gnmi;
        let site = Site::new().limits("request_timeout = \"4s\"\nlock_wait = \"1s\"\n");
        let site = site.device("leaf1", &lines).section("[models]\nprofiles = \"profiles\"\n");
        std::fs::create_dir(site.path("profiles")).unwrap();
        let text = "like = \"openconfig\"\ndescription = \"Own\"\ntransports = [\"gnmi\", \"netconf\"]\n";
        std::fs::write(site.path("profiles/own.toml"), text).unwrap();
        let plan = planned(&site.serve().await).await;
        let told = transport(&plan);
        assert!(
            told.starts_with("netconf (") && told.contains("; not gnmi: deadline passed while "),
            "{told}"
        );
    }
}

#[tokio::test]
async fn nothing_is_tried_behind_a_refusal() {
    let switch = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let other = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let before = switch.running_xml();
    let wrong_key = both(&switch).replace(switch.host_key(), other.host_key());
    let wrong_password = both(&switch).replace("\"secret\"", "\"wrong\"");
    for (lines, said) in [(wrong_key, "host key of"), (wrong_password, "refused the login of user `admin`")] {
        let site = Site::new().device("leaf1", &lines);
        std::fs::copy(site.path("secret"), site.path("wrong")).unwrap();
        std::fs::write(site.path("wrong"), "wrong\n").unwrap();
        let service = site.serve().await;
        let no = service.call("update_port", update("eth1", "access", 100, &[])).await.unwrap_err();
        assert!(no.message.contains(said), "{no:?}");
    }
    assert_eq!(switch.running_xml(), before);
}

#[tokio::test]
async fn none_is_left() {
    let spec =
        SwitchSpec { quirks: Quirks { unlisted: unlisted(), ..Quirks::default() }, ..SwitchSpec::default() };
    let quirks = GnmiQuirks { unlisted: unlisted(), ..GnmiQuirks::default() };
    let switch = start(GnmiSpec { quirks, ..GnmiSpec::default() }, spec).await;
    for (lines, last) in [
        (both(&switch), "gnmi: it lists its models, and not openconfig-vlan"),
        (netconf(&switch), "gnmi: unsupported: the device has no [device.gnmi] in the inventory"),
    ] {
        let service = Site::new().device("leaf1", &lines).serve().await;
        let no = service.call("update_port", update("eth1", "access", 100, &[])).await.unwrap_err();
        let first = "netconf: it lists its models, and not openconfig-vlan; ";
        assert!(no.message.contains(&format!("{first}{last}")), "{no:?}");
    }
}

/// What one transport left pending is settled by it, whatever the profile would take first by then.
#[tokio::test]
async fn what_was_begun_is_ended_the_same_way() {
    let faults = vec!["gnmi-confirm:hang-before".parse::<FaultSpec>().unwrap()];
    let switch = start(GnmiSpec::default(), SwitchSpec { faults, ..SwitchSpec::default() }).await;
    let lines = both(&switch).replace("\"openconfig\"", "\"own\"");
    let site = Site::new().device("leaf1", &lines).section("[models]\nprofiles = \"profiles\"\n");
    std::fs::create_dir(site.path("profiles")).unwrap();
    let profile = |order: &str| {
        let text = format!("like = \"openconfig\"\ndescription = \"Own\"\ntransports = [{order}]\n");
        std::fs::write(site.path("profiles/own.toml"), text).unwrap();
    };
    profile("\"gnmi\", \"netconf\"");
    let service = site.serve().await;
    let call = service.start_call("update_port", update("eth1", "access", 100, &[]));
    seen(&switch, "gnmi-confirm", 1).await;
    drop(service);
    drop(call);
    assert!(switch.pending_commit());
    assert!(site.journal().contains("\"transport\":\"gnmi\""), "{}", site.journal());

    let by_then = switch.log().len();
    profile("\"netconf\", \"gnmi\"");
    let service = site.serve().await;
    let plan = planned(&service).await;
    assert!(transport(&plan).starts_with("netconf"), "{plan:#}");
    service.call("update_port", update("eth2", "access", 101, &[])).await.unwrap();
    assert!(!switch.pending_commit());
    let log = switch.log().into_iter().skip(by_then);
    assert!(log.clone().any(|logged| logged.rpc == "gnmi-get"), "{:?}", log.collect::<Vec<_>>());
    assert_eq!(site.journal(), "");
}

/// Where that transport is listed no more, nothing is begun before the timer that it left has run out, and
/// then nobody is asked to cancel it who cannot.
#[tokio::test]
async fn what_was_begun_by_a_way_that_is_gone() {
    let faults = vec!["gnmi-confirm:hang-before".parse::<FaultSpec>().unwrap()];
    let spec = SwitchSpec { faults, personality: Personality::RunningStartup, ..SwitchSpec::default() };
    let switch = start(GnmiSpec::default(), spec).await;
    let before = switch.running_xml();
    let site = |lines: &str| {
        Site::new().limits("request_timeout = \"3s\"\nlock_wait = \"1s\"\n").device("leaf1", lines)
    };
    let first = site(&both(&switch).replace("\"openconfig\"", "\"own\""));
    let first = first.section("[models]\nprofiles = \"profiles\"\n");
    std::fs::create_dir(first.path("profiles")).unwrap();
    let own = "like = \"openconfig\"\ndescription = \"Own\"\ntransports = [\"gnmi\", \"netconf\"]\n";
    std::fs::write(first.path("profiles/own.toml"), own).unwrap();
    let service = first.serve().await;
    let call = service.start_call("update_port", update("eth1", "access", 100, &[]));
    seen(&switch, "gnmi-confirm", 1).await;
    drop(service);
    drop(call);
    assert!(switch.pending_commit());

    let second = site(&simulated(&switch));
    std::fs::create_dir(second.path("locks")).unwrap();
    for file in std::fs::read_dir(first.path("locks")).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), second.path("locks").join(file.file_name())).unwrap();
    }
    let service = second.serve().await;
    let no = service.call("update_port", update("eth2", "access", 101, &[])).await.unwrap_err();
    assert!(no.message.contains("its timer runs for"), "{no:?}");
    while switch.pending_commit() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(switch.running_xml(), before);
    let given_up = Instant::now() + Duration::from_secs(20);
    while let Err(no) = service.call("update_port", update("eth2", "access", 101, &[])).await {
        assert!(no.message.contains("its timer runs for") && Instant::now() < given_up, "{no:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(second.journal(), "");
}

#[tokio::test]
async fn probing_tells_what_each_offers() {
    let first = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let spec =
        SwitchSpec { quirks: Quirks { unlisted: unlisted(), ..Quirks::default() }, ..SwitchSpec::default() };
    let second = start(GnmiSpec::default(), spec).await;
    let third = start(GnmiSpec::default(), SwitchSpec::default()).await;
    let wrong_key = both(&third).replace(third.host_key(), first.host_key());
    let site = Site::new().device("leaf1", &both(&first)).device("leaf2", &both(&second));
    let site = site.device("leaf3", &wrong_key);
    let config = site.write("info");
    let probe = async |arguments: &[&str]| {
        let mut command = tokio::process::Command::new(mercury_bin());
        command.arg("probe").arg("--config").arg(&config).args(arguments).kill_on_drop(true);
        let ended = command.output().await.unwrap();
        (
            ended.status.code(),
            String::from_utf8(ended.stdout).unwrap(),
            String::from_utf8(ended.stderr).unwrap(),
        )
    };

    let (code, out, _) = probe(&["--json"]).await;
    assert_eq!(code, Some(1), "{out}");
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |name: &str| lines.iter().find(|line| line["device"] == name).unwrap();
    let (one, two, three) = (of("leaf1"), of("leaf2"), of("leaf3"));
    assert_eq!((&one["chosen"], &one["why"]), (&"netconf".into(), &"the first of netconf, gnmi".into()));
    assert_eq!(one["transports"][0]["promises"]["timed"], "persist");
    assert_eq!(one["transports"][0]["models"], one["transports"][1]["models"]);
    assert!(one["transports"][1]["models"]["openconfig-vlan"].is_string(), "{one:#}");
    assert_eq!(one["transports"][1]["capabilities"], serde_json::json!(["JSON_IETF", "JSON"]));
    assert_eq!(two["chosen"], "gnmi");
    assert_eq!(two["transports"][0]["refused"], "it lists its models, and not openconfig-vlan");
    assert_eq!(three["chosen"], Value::Null);
    assert!(three["why"].as_str().unwrap().starts_with("netconf: host key of"), "{three:#}");
    assert!(!out.contains("secret"), "{out}");

    let (code, out, err) = probe(&["leaf2"]).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("leaf2 (openconfig)\n    netconf (candidate"), "{out}");
    assert!(out.contains("\n  * gnmi 0.10.0 (JSON_IETF, confirm by commit id)\n"), "{out}");
    assert!(out.contains("  a change goes over gnmi: not netconf: it lists its models"), "{out}");
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = tokio::process::Command::new(mercury_bin());
    command.args(["probe", "leaf2", "--config"]).arg(&config).stdout(full).kill_on_drop(true);
    let ended = command.stderr(Stdio::piped()).spawn().unwrap().wait_with_output().await.unwrap();
    let err = String::from_utf8(ended.stderr).unwrap();
    assert!(ended.status.code() == Some(1) && err.starts_with("mercury: No space left"), "{err}");
    let (code, _, err) = probe(&["leaf9"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("no device of the inventory is called `leaf9`"), "{err}");
}
