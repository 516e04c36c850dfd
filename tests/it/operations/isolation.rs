//! One device's trouble stays its own.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mercury::sim::What;

use super::*;
use crate::service::{and, reset};

#[tokio::test(flavor = "multi_thread")]
async fn stuck_switches_delay_nobody_else() {
    let names: Vec<String> = (1..=12).map(|n| format!("stuck{n}")).collect();
    let stuck = join_all(names.iter().map(|name| switch(name))).await;
    let good = switch("good").await;
    let mut switches: Vec<(&str, &Switch)> = names.iter().map(String::as_str).zip(&stuck).collect();
    switches.push(("good", &good));
    let service = site(&switches).limits("request_timeout = \"12s\"\nlock_wait = \"1s\"\n").serve().await;
    let mut calls = Vec::new();
    for (name, switch) in names.iter().zip(&stuck) {
        switch.inject(FaultSpec::every("lock", What::HangBefore));
        for port in ["eth1", "eth2", "eth1"] {
            calls.push(service.start_call("update_port", update_on(name, port, 100)));
        }
    }
    join_all(stuck.iter().map(|switch| sees(switch, "lock", 1))).await;
    let started = Instant::now();
    service.call("update_port", update_on("good", "eth1", 100)).await.expect("this switch is fine");
    let dry = and(update_on("good", "eth2", 100), "dry_run", true);
    service.call("update_port", dry).await.expect("this switch is fine");
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(calls.iter().all(|call| !call.is_finished()), "the others are still stuck");
    for call in calls {
        let failure = call.await.expect("the call ran").expect_err("the switch is stuck");
        assert_eq!((failure.class(), failure.outcome()), ("NetworkError", "rolled_back"), "{failure:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_has_an_end_for_changes_and_for_reads() {
    let leaf1 = switch("leaf1").await;
    lock_out(&leaf1);
    let service = site(&[("leaf1", &leaf1)]).limits("queue_per_device = 2\n").serve().await;
    let first = service.start_call("update_port", update("eth1", "access", 100, &[]));
    sees(&leaf1, "lock", 1).await;
    let second = service.start_call("update_port", update("eth1", "access", 101, &[]));
    becomes(&service, "mercury_queue_depth{device=\"leaf1\"}", "1").await;
    let dry = |port| and(update(port, "access", 102, &[]), "dry_run", true);
    let third = service.start_call("update_port", dry("eth2"));
    becomes(&service, "mercury_queue_depth{device=\"leaf1\"}", "2").await;
    for params in [update("eth3", "access", 103, &[]), dry("eth3")] {
        let failure = service.call("update_port", params).await.expect_err("its queue is full");
        assert_eq!((failure.code, failure.class()), (500, "NetworkError"));
        assert!(failure.message.contains("its queue is full (2 waiting); nothing was sent"), "{failure:?}");
    }
    leaf1.clear_faults();
    for call in [first, second, third] {
        call.await.expect("the call ran").expect("nobody is in its way any more");
    }
    assert!(is_in(&leaf1, "eth1", 101), "the order of arrival");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_runs_after_the_update_that_its_caller_gave_up() {
    let leaf1 = switch("leaf1").await;
    lock_out(&leaf1);
    let service = site(&[("leaf1", &leaf1)]).serve().await;
    let update = service.start_call("update_port", update("eth1", "access", 100, &[]));
    sees(&leaf1, "lock", 1).await;
    update.abort();
    let reset = service.start_call("reset_port", and(reset("eth1", 100), "default_vlan", 105));
    becomes(&service, "mercury_queue_depth{device=\"leaf1\"}", "1").await;
    leaf1.clear_faults();
    reset.await.expect("the call ran").expect("it is isolated");
    assert!(is_in(&leaf1, "eth1", 105));
    // Both were committed, each by itself.
    assert_eq!(leaf1.commits(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_overtakes_a_change_over_two_switches_that_waits_for_one() {
    let (leaf1, leaf2) = (switch("leaf1").await, switch("leaf2").await);
    let switches = [("leaf1", &leaf1), ("leaf2", &leaf2)];
    let service = site(&switches).limits("lock_wait = \"1s\"\n").serve().await;
    leaf2.inject(FaultSpec::once("lock", What::Delay(Duration::from_secs(3))));
    let slow = service.start_call("update_port", update_on("leaf2", "eth4", 100));
    sees(&leaf2, "lock", 1).await;
    let mut params = crate::service::attach("eth1", 100, &[]);
    params["port"]["binding:profile"]["local_link_information"] =
        json!([{ "switch_id": "leaf1", "port_id": "eth1" }, { "switch_id": "leaf2", "port_id": "eth1" }]);
    let both = service.start_call("attach_port", params);
    becomes(&service, "mercury_queue_depth{device=\"leaf2\"}", "1").await;
    // Its caller gives up; it goes on, and lets go of leaf1 again and again meanwhile.
    both.abort();
    let reset = and(reset("eth1", 100), "default_vlan", 105);
    service.call("reset_port", reset).await.expect("it is isolated");
    assert!(is_in(&leaf1, "eth1", 105) && is_in(&leaf2, "eth1", 100), "{}", leaf1.running_xml());
    slow.await.expect("the call ran").expect("it was only slow");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_session_makes_room_for_one_that_is_needed() {
    let (leaf1, leaf2) = (switch("leaf1").await, switch("leaf2").await);
    let switches = [("leaf1", &leaf1), ("leaf2", &leaf2)];
    let limits = "sessions = 1\nrequest_timeout = \"20s\"\n";
    let service = site(&switches).limits(limits).serve().await;
    assert_eq!(metric(&service, "mercury_sessions_limit").await, "1");
    for (name, vlan) in [("leaf1", 100), ("leaf2", 101), ("leaf1", 102)] {
        service.call("update_port", update_on(name, "eth1", vlan)).await.expect("there is room");
        assert_eq!(metric(&service, "mercury_sessions").await, "1");
    }
    // A session that is at work is not idle: it is waited for.
    lock_out(&leaf1);
    let locks = leaf1.log().iter().filter(|message| message.rpc == "lock").count();
    let held = service.start_call("update_port", update_on("leaf1", "eth2", 100));
    sees(&leaf1, "lock", locks + 1).await;
    let waits = service.start_call("update_port", update_on("leaf2", "eth2", 100));
    becomes(&service, "mercury_queue_depth{device=\"leaf2\"}", "0").await;
    assert_eq!((leaf2.sessions(), metric(&service, "mercury_sessions").await.as_str()), (0, "1"));
    leaf1.clear_faults();
    held.await.expect("the call ran").expect("nobody is in its way any more");
    waits.await.expect("the call ran").expect("there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_frozen_switch_takes_no_attach_and_every_detach() {
    let leaf1 = switch("leaf1").await;
    let lines = format!("{}frozen = \"new line card until 14:00\"\n", simulated(&leaf1));
    let service = Site::new().device("leaf1", &lines).serve().await;
    let failure = service.call("update_port", update("eth1", "access", 100, &[])).await;
    let failure = failure.expect_err("it is frozen");
    assert_eq!((failure.code, failure.class()), (500, "NetworkError"));
    assert!(failure.message.contains("leaf1 is frozen: new line card until 14:00"), "{failure:?}");
    assert!(leaf1.log().is_empty(), "it was not contacted");
    let dry = and(update("eth1", "access", 100, &[]), "dry_run", true);
    let plan = service.call("update_port", dry).await.expect("a plan changes nothing");
    let risks = plan["devices"][0]["risks"].to_string();
    assert!(risks.contains("frozen") && risks.contains("new line card"), "{risks}");
    let reset = and(reset("eth1", 100), "default_vlan", 105);
    service.call("reset_port", reset).await.expect("isolating is allowed");
    assert!(is_in(&leaf1, "eth1", 105));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_more_switches_than_there_may_be_sessions_is_refused_at_once() {
    let (leaf1, leaf2) = (switch("leaf1").await, switch("leaf2").await);
    let switches = [("leaf1", &leaf1), ("leaf2", &leaf2)];
    let service = site(&switches).limits("sessions = 1\n").serve().await;
    let mut params = crate::service::attach("eth1", 100, &[]);
    params["port"]["binding:profile"]["local_link_information"] =
        json!([{ "switch_id": "leaf1", "port_id": "eth1" }, { "switch_id": "leaf2", "port_id": "eth1" }]);
    let failure = service.call("attach_port", params).await.expect_err("it can never be carried out");
    assert_eq!((failure.code, failure.class()), (500, "NetworkError"));
    assert!(failure.message.contains("takes 2 sessions at one time, and 1 may be open"), "{failure:?}");
    assert!(leaf1.log().is_empty() && leaf2.log().is_empty(), "neither was contacted");
}
