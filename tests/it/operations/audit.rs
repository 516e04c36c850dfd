//! Who changed what, and what is counted.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use mercury::sim::What;

use super::*;
use crate::service::{and, attach, reset};

fn lines(text: &str) -> Vec<Value> {
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_and_every_refusal_is_one_line() {
    let leaf1 = switch("leaf1").await;
    let site = site(&[("leaf1", &leaf1)]).section("[audit]\nfile = \"audit.log\"\n");
    let mut service = site.serve().await;
    let context =
        json!({ "request_id": "req-7", "user": "ada", "roles": ["admin", "member"], "auth_token": "hush" });
    let with_context = |params| and(params, "context", context.clone());
    let caller = &service;
    let call = |params| caller.call("update_port", with_context(params));
    call(update("eth1", "access", 100, &[])).await.expect("it is applied");
    call(update("eth1", "access", 100, &[])).await.expect("it is so already");
    call(update("eth1", "access", 300, &[])).await.expect_err("that VLAN is not allowed");
    call(and(update("eth1", "access", 100, &[]), "switch_id", "leaf9")).await.expect_err("no such switch");
    call(update("eth1", "none", 100, &[])).await.expect_err("no such mode");
    call(and(update("eth1", "access", 101, &[]), "dry_run", true)).await.expect("a plan is no change");
    leaf1.inject(FaultSpec::once("edit-config", What::Reject("invalid-value".to_owned())));
    call(update("eth1", "access", 101, &[])).await.expect_err("the switch refuses it");
    service.call("detach_port", crate::service::detach("eth1")).await.expect("it is applied");

    let path = site.path("audit.log");
    assert_eq!(path.metadata().expect("it is there").permissions().mode() & 0o777, 0o600);
    let text = fs::read_to_string(&path).expect("it is ours");
    assert!(!text.contains("hush") && !text.contains("secret"), "{text}");
    let audit = lines(&text);
    let outcomes: Vec<&str> = audit.iter().filter_map(|line| line["outcome"].as_str()).collect();
    assert_eq!(
        outcomes,
        ["applied", "unchanged", "refused", "refused", "refused", "rolled_back", "applied"],
        "{text}"
    );
    let applied = &audit[0];
    for (key, value) in [
        ("target", json!("mercury::audit")),
        ("request_id", json!("req-7")),
        ("user", json!("ada")),
        ("principal", json!("a local caller")),
        ("method", json!("update_port")),
        ("roles", json!(["admin", "member"])),
        ("device", json!("leaf1")),
        ("port", json!("eth1")),
        ("action", json!("attach")),
        ("saved", json!("with_commit")),
        ("group", json!(1)),
        ("before", json!("no VLAN mode")),
        ("after", json!("ACCESS 100")),
    ] {
        assert_eq!(applied[key], value, "{key}: {text}");
    }
    assert!(applied["description"].as_str().is_some_and(|text| text.starts_with("Ironic Port ")));
    assert!(applied["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:")));
    assert!(applied["transport"].as_str().is_some_and(|transport| transport.starts_with("netconf")));
    assert!(applied["timestamp"].as_str().is_some_and(|time| time.ends_with('Z') && time.contains('T')));
    assert_eq!(applied["digest"].as_str().map(str::len), audit[5]["digest"].as_str().map(str::len));
    let phases: Vec<&str> = applied["phases"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|took| took["phase"].as_str())
        .collect();
    assert_eq!(phases, ["queue", "connect", "lock", "plan", "journal", "stage", "commit", "confirm"]);
    // A tenth of a millisecond is the least.
    assert!(text.split("\"ms\":").skip(1).all(|rest| {
        let number = rest.split(['}', ',']).next().unwrap_or_default();
        number.split_once('.').is_some_and(|(_, decimals)| decimals.len() == 1)
    }));
    assert_eq!((&audit[2]["code"], &audit[2]["port"]), (&json!(400), &json!("eth1")));
    assert!(audit[2]["cause"].as_str().is_some_and(|why| why.contains("VLAN 300 is not allowed")));
    assert_eq!((&audit[3]["code"], &audit[3]["device"]), (&json!(404), &json!("leaf9")));
    assert_eq!((&audit[5]["phase"], audit[5]["cause"].is_string()), (&json!("stage"), true));
    // The log has them, too: once each.
    service.process.wait_for_output("\"action\":\"detach\"").await;
    let logged = service.log().into_iter().filter(|event| event["target"] == "mercury::audit").count();
    assert_eq!(logged, audit.len());

    let count = |name: &'static str| metric(&service, name);
    assert_eq!(count("mercury_outcomes_total{outcome=\"applied\"}").await, "2");
    assert_eq!(count("mercury_outcomes_total{outcome=\"refused\"}").await, "3");
    assert_eq!(count("mercury_outcomes_total{outcome=\"rolled_back\"}").await, "1");
    assert_eq!(count("mercury_calls_total{method=\"update_port\",code=\"400\"}").await, "2");
    assert_eq!(count("mercury_calls_total{method=\"update_port\",code=\"ok\"}").await, "3");
    assert_eq!(count("mercury_phase_seconds_count{phase=\"confirm\"}").await, "2");
    assert_eq!(count("mercury_journals_open").await, "0");
    assert_eq!(count("mercury_ready").await, "1");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_file_the_lines_are_on_stderr_whatever_the_log_shows() {
    let leaf1 = switch("leaf1").await;
    let mut service = site(&[("leaf1", &leaf1)]).serve_at("error").await;
    service.call("update_port", update("eth1", "access", 100, &[])).await.expect("it is applied");
    service.call("reset_port", and(reset("eth1", 100), "default_vlan", 105)).await.expect("it is applied");
    service.process.wait_for_output("\"method\":\"reset_port\"").await;
    let audit: Vec<Value> =
        service.log().into_iter().filter(|event| event["target"] == "mercury::audit").collect();
    assert_eq!(audit[0]["outcome"], "applied");
    assert!(audit[0]["phases"].is_array());
    assert_eq!(audit.len(), 2, "{audit:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_cannot_be_written_changes_no_outcome() {
    let leaf1 = switch("leaf1").await;
    let site = site(&[("leaf1", &leaf1)]).section("[audit]\nfile = \"/dev/full\"\n");
    let mut service = site.serve().await;
    let change = service.call("attach_port", attach("eth1", 100, &[])).await.expect("it is applied");
    assert_eq!(change["outcome"], "applied");
    assert_eq!(metric(&service, "mercury_audit_failures_total").await, "1");
    service.process.wait_for_output("a line of the audit is lost").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_file_that_cannot_be_opened_stops_the_start() {
    let site = site(&[]).section("[audit]\nfile = \"nowhere/audit.log\"\n");
    let config = site.write("info");
    let error = crate::peers::Serve::start(&config).await.map(drop).expect_err("it does not start");
    assert!(error.contains("cannot open") && error.contains("nowhere/audit.log"), "{error}");
    assert!(!error.contains("listening"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_other_listener_answers_three_questions() {
    let service = site(&[]).serve().await;
    assert_eq!(ask(&service, "/health").await.0, 200);
    assert_eq!(ask(&service, "/").await.0, 404);
    let output = service.process.output();
    let address =
        output.lines().find_map(|line| line.strip_prefix("metrics on http://")).expect("it listens");
    assert_eq!(http(address, "POST", "/metrics", "{}").await.0, 405);
    let (_, text) = ask(&service, "/metrics").await;
    assert!(text.ends_with("# EOF\n") && text.contains("# TYPE mercury_ready gauge"), "{text}");
}
