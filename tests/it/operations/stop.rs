//! SIGTERM: nothing new, what runs is finished, and told again, taken back.

use std::time::{Duration, Instant};

use mercury::sim::What;
use rustix::process::Signal;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn the_first_signal_lets_finish_what_runs() {
    let leaf1 = switch("leaf1").await;
    let site = site(&[("leaf1", &leaf1)]);
    let mut service = site.serve().await;
    assert_eq!(ask(&service, "/ready").await, (200, "ready\n".to_owned()));
    lock_out(&leaf1);
    let leased = service.start_call("update_port", update("eth1", "access", 100, &[]));
    sees(&leaf1, "lock", 1).await;
    let queued = service.start_call("update_port", update("eth1", "access", 101, &[]));
    becomes(&service, "mercury_queue_depth{device=\"leaf1\"}", "1").await;
    service.process.signal(Signal::TERM);
    let failure = queued.await.expect("the call ran").expect_err("it was not started");
    assert!(failure.message.contains("stopping; nothing was sent"), "{failure:?}");
    // The listeners still answer.
    let (status, body) = http(service.address(), "POST", "/", "{}").await;
    assert_eq!(status, 503, "{body}");
    assert_eq!(ask(&service, "/ready").await, (503, "stopping\n".to_owned()));
    assert_eq!(ask(&service, "/health").await, (200, "alive\n".to_owned()));
    // A reload now means nothing, and ends nothing.
    service.process.signal(Signal::HUP);
    leaf1.clear_faults();
    leased.await.expect("the call ran").expect("what is leased is finished");
    assert!(is_in(&leaf1, "eth1", 100));
    assert!(service.process.wait().await.success(), "nothing is left");
    assert_eq!(site.journal(), "");
}

#[tokio::test(flavor = "multi_thread")]
async fn told_again_or_out_of_patience_it_takes_back_what_runs() {
    for (limits, signals) in [("", 2), ("stop_timeout = \"1s\"\n", 1)] {
        let leaf1 = switch("leaf1").await;
        let site = site(&[("leaf1", &leaf1)]).limits(limits);
        let mut service = site.serve().await;
        let before = leaf1.running_xml();
        leaf1.inject(FaultSpec::once("confirmed-commit", What::HangAfter));
        let call = service.start_call("update_port", update("eth1", "access", 100, &[]));
        sees(&leaf1, "confirmed-commit", 1).await;
        assert_ne!(site.journal(), "");
        let started = Instant::now();
        service.process.signal(Signal::TERM);
        service.process.wait_for_output("finishing what runs").await;
        for _ in 1..signals {
            service.process.signal(Signal::INT);
        }
        let failure = call.await.expect("the call ran").expect_err("it was taken back");
        assert_eq!(failure.outcome(), "rolled_back", "{failure:?}");
        assert!(failure.message.contains("told to stop at once"), "{failure:?}");
        assert!(service.process.wait().await.success(), "nothing is left");
        assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
        assert_eq!(leaf1.running_xml(), before);
        assert!(!leaf1.pending_commit());
        assert_eq!(site.journal(), "");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_back_is_left_to_the_next_start() {
    let leaf1 = switch("leaf1").await;
    let site = site(&[("leaf1", &leaf1)]);
    let mut service = site.serve().await;
    let before = leaf1.running_xml();
    leaf1.inject(FaultSpec::once("confirmed-commit", What::HangAfter));
    // From now on it answers nobody.
    leaf1.inject("hello@2:hang-before".parse().expect("a fault"));
    let call = service.start_call("update_port", update("eth1", "access", 100, &[]));
    sees(&leaf1, "confirmed-commit", 1).await;
    // It would not be answered.
    call.abort();
    service.process.signal(Signal::TERM);
    service.process.wait_for_output("finishing what runs").await;
    service.process.signal(Signal::TERM);
    service.process.wait_for_output("taking back what runs").await;
    sees(&leaf1, "hello", 2).await;
    service.process.signal(Signal::TERM);
    assert_eq!(service.process.wait().await.code(), Some(1));
    assert_ne!(site.journal(), "");
    leaf1.clear_faults();
    // Under another address nobody would look into that journal.
    let elsewhere = simulated(&leaf1).replace("\"127.0.0.1\"", "\"localhost\"");
    let mut next = site.blank().device("leaf1", &elsewhere).serve().await;
    next.process.wait_for_output("of when it had another address or port").await;
    let no =
        next.call("update_port", update("eth2", "access", 101, &[])).await.expect_err("it is not settled");
    assert!(no.message.contains("a change of it is in "), "{no:?}");
    assert_eq!(next.process.terminate().await.code(), Some(1));
    let site = site.section("[audit]\nfile = \"audit.log\"\n");
    let mut next = site.serve().await;
    next.process.wait_for_output("an interrupted change was taken back").await;
    assert!(next.process.terminate().await.success());
    assert_eq!((leaf1.running_xml(), site.journal()), (before, String::new()));
    // Who reads the audit learns what became of the change that it calls unknown.
    let audit = std::fs::read_to_string(site.path("audit.log")).expect("it is ours");
    let line: serde_json::Value = serde_json::from_str(audit.lines().next().expect("a line")).expect("JSON");
    for (key, value) in [
        ("outcome", "rolled_back"),
        ("action", "recover"),
        ("device", "leaf1"),
        ("port", "eth1"),
        ("request_id", "req-1"),
    ] {
        assert_eq!(line[key], value, "{line}");
    }
}
