//! SIGHUP: whole or not at all.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mercury::sim::What;
use rustix::process::Signal;
use tokio::task::JoinHandle;

use super::*;
use crate::service::Answer;

async fn reload(service: &mut Service, site: &Site, expect: &str) {
    site.write("info");
    service.process.signal(Signal::HUP);
    service.process.wait_for_output(expect).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_configuration_takes_the_old_ones_place() {
    let (leaf1, leaf2) = (switch("leaf1").await, switch("leaf2").await);
    let before = site(&[("leaf1", &leaf1)]);
    let mut service = before.serve().await;
    service.call("update_port", update_on("leaf1", "eth1", 100)).await.expect("leaf1 is there");
    let failure = service.call("update_port", update_on("leaf2", "eth1", 100)).await;
    assert_eq!(failure.expect_err("it is not there yet").code, 404);
    let after = before.blank().device("leaf2", &simulated(&leaf2)).section("[audit]\nfile = \"audit.log\"\n");
    let after = after.limits("body_bytes = 2000\nsessions = 7\n");
    reload(&mut service, &after, "configuration reloaded").await;
    service.call("update_port", update_on("leaf2", "eth1", 100)).await.expect("it is there");
    let failure = service.call("update_port", update_on("leaf1", "eth1", 101)).await;
    assert_eq!(failure.expect_err("it is gone").code, 404);
    assert!(is_in(&leaf1, "eth1", 100) && is_in(&leaf2, "eth1", 100));
    assert_eq!(metric(&service, "mercury_config_generation").await, "2");
    assert_eq!(metric(&service, "mercury_reload_failures_total").await, "0");
    // What stays as it was is named.
    let warned: Vec<Value> = service.log().iter().map(|event| event["key"].clone()).collect();
    for key in ["[metrics] listen", "[limits] sessions", "[limits] body_bytes"] {
        assert!(warned.contains(&json!(key)), "{key}: {warned:?}");
    }
    let audit = fs::read_to_string(after.path("audit.log")).expect("it was opened");
    assert_eq!(audit.matches("leaf2").count(), 1, "{audit}");
    // A file that was moved away is not written to any more.
    fs::rename(after.path("audit.log"), after.path("audit.1")).expect("the file is ours");
    service.process.signal(Signal::HUP);
    becomes(&service, "mercury_config_generation", "3").await;
    service.call("update_port", update_on("leaf2", "eth1", 101)).await.expect("it is there");
    let [old, new] =
        ["audit.1", "audit.log"].map(|name| fs::read_to_string(after.path(name)).expect("a file"));
    assert_eq!((old, new.matches("leaf2").count()), (audit, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_configuration_with_mistakes_changes_nothing_and_every_mistake_is_told() {
    let leaf1 = switch("leaf1").await;
    let before = site(&[("leaf1", &leaf1)]);
    let mut service = before.serve().await;
    let after = before.blank().limits("request_timeout = \"1d\"\nqueues = 3\n");
    reload(&mut service, &after, "limits.queues").await;
    becomes(&service, "mercury_reload_failures_total", "1").await;
    let log = service.log();
    let told =
        |key: &str| log.iter().any(|event| event["mistake"].as_str().is_some_and(|text| text.contains(key)));
    assert!(told("limits.request_timeout: ") && told("limits.queues: unknown key"), "{log:?}");
    assert_eq!(metric(&service, "mercury_config_generation").await, "1");
    service.call("update_port", update_on("leaf1", "eth1", 100)).await.expect("leaf1 is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tightened_protection_holds_for_what_already_waits() {
    let other = switch("other").await;
    for (lines, why) in [
        ("protected_ports = [\"eth1\"]\n", "port `eth1` of leaf1 is protected"),
        ("allowed_ports = [\"eth2\"]\n", "not among its allowed ports"),
        ("allowed_vlans = \"101\"\n", "VLAN 100 is not allowed on leaf1"),
        ("frozen = \"until 14:00\"\n", "leaf1 is frozen: until 14:00"),
        ("removed", "leaf1 is not in the inventory any more"),
        ("moved", "leaf1 is at 127.0.0.1:"),
    ] {
        let leaf1 = switch("leaf1").await;
        let before = site(&[("leaf1", &leaf1)]);
        let mut service = before.serve().await;
        lock_out(&leaf1);
        let call = service.start_call("update_port", update_on("leaf1", "eth1", 100));
        sees(&leaf1, "lock", 1).await;
        let after = match lines {
            "removed" => before.blank(),
            "moved" => before.blank().device("leaf1", &simulated(&other)),
            lines => {
                let lines = match lines.starts_with("allowed_vlans") {
                    true => simulated(&leaf1).replace("allowed_vlans = \"100-199\"\n", lines),
                    false => simulated(&leaf1) + lines,
                };
                before.blank().device("leaf1", &lines)
            }
        };
        reload(&mut service, &after, "configuration reloaded").await;
        leaf1.clear_faults();
        let failure = call.await.expect("the call ran").expect_err("it is protected now");
        assert!(failure.message.contains(why), "{lines}: {failure:?}");
        assert!(matches!(failure.class(), "InvalidParameterValue" | "NetworkError"), "{failure:?}");
        assert_eq!(leaf1.commits(), 0, "{lines}");
        assert_eq!(before.journal(), "", "{lines}");
    }
}

/// A switch that holds a change of eth1 and does not say so, what its service was written from, the
/// service, and the call that waits.
async fn under_way() -> (Switch, Site, Service, JoinHandle<Answer>) {
    let leaf1 = switch("leaf1").await;
    let before = site(&[("leaf1", &leaf1)]).limits("request_timeout = \"6s\"\nlock_wait = \"1s\"\n");
    let service = before.serve().await;
    leaf1.inject(FaultSpec::once("confirm", What::HangAfter));
    let call = service.start_call("update_port", update_on("leaf1", "eth1", 100));
    sees(&leaf1, "confirm", 1).await;
    (leaf1, before, service, call)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_under_way_ends_as_it_began() {
    let (leaf1, before, mut service, call) = under_way().await;
    let lines = simulated(&leaf1) + "protected_ports = [\"eth1\"]\n";
    reload(&mut service, &before.blank().device("leaf1", &lines), "configuration reloaded").await;
    call.await.expect("the call ran").expect("its change was already on the switch");
    assert!(is_in(&leaf1, "eth1", 100));
}

/// Both addresses may lead to the same switch: two changes of it at once would not know of each other.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_address_waits_for_what_is_under_way_at_the_old_one() {
    let (leaf1, before, mut service, call) = under_way().await;
    let elsewhere = simulated(&leaf1).replace("\"127.0.0.1\"", "\"localhost\"");
    reload(&mut service, &before.blank().device("leaf1", &elsewhere), "configuration reloaded").await;
    let early = service.call("update_port", update_on("leaf1", "eth2", 101)).await.expect_err("it is early");
    assert!(early.message.contains("from when it had another address or port"), "{early:?}");
    call.await.expect("the call ran").expect("its change was already on the switch");
    service.call("update_port", update_on("leaf1", "eth2", 101)).await.expect("nothing is open any more");
    assert!(is_in(&leaf1, "eth1", 100) && is_in(&leaf1, "eth2", 101));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_come_in_is_reloaded_but_not_where() {
    let before = site(&[]);
    let mut service = before.serve().await;
    let post =
        async |service: &Service, who: &str| http_as(who, service.address(), "POST", "/", "{}").await.0;
    assert_eq!(post(&service, "").await, 200);
    let password = bcrypt::hash("secret", 4).expect("a hash");
    fs::write(before.path("htpasswd"), format!("ada:{password}\n")).expect("the directory is ours");
    fs::set_permissions(before.path("htpasswd"), fs::Permissions::from_mode(0o600))
        .expect("the file is ours");
    let listen = "listen = \"127.0.0.1:0\"\n";
    let basic = before.blank().rpc(&format!("{listen}auth = \"basic\"\nhtpasswd = \"htpasswd\"\n"));
    reload(&mut service, &basic, "configuration reloaded").await;
    let (right, wrong) = ("Basic YWRhOnNlY3JldA==", "Basic YWRhOndyb25n");
    assert_eq!((post(&service, "").await, post(&service, right).await), (401, 200));
    assert_eq!(metric(&service, "mercury_auth_failures_total").await, "0");
    assert_eq!(post(&service, wrong).await, 401);
    assert_eq!(metric(&service, "mercury_auth_failures_total").await, "1");
    assert_eq!(metric(&service, "mercury_http_refusals_total{status=\"401\"}").await, "2");
    // What may be open on another address must not open this one.
    let moved = before.blank().rpc("listen = \"127.0.0.2:0\"\nauth = \"none\"\n");
    reload(&mut service, &moved, "only a restart can change it").await;
    assert_eq!(post(&service, "").await, 401);
    assert_eq!(metric(&service, "mercury_reload_failures_total").await, "1");
}
