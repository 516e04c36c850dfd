//! Processes that end in the middle, ours and the switch's, and processes side by side.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use futures_util::future::join_all;

use super::faults::{AFTER, BEFORE, Bench};
use super::*;
use crate::peers::{Action, Peer, Rule, require};
use crate::service::{Site, attach, update};

impl Bench {
    /// Kills the service when that message of an attach is on its way; gives what ran before.
    async fn die(&mut self, rpc: &'static str, action: Action) -> String {
        let before = self.operator.running().await;
        let event = if action == Action::HoldReply { Event::reply(rpc) } else { Event::request(rpc) };
        let earlier = self.proxy.events().into_iter().filter(|one| *one == event).count();
        self.proxy.add(Rule::new(rpc, action));
        let call = self.service.start_call("attach_port", attach("eth1", 100, &[]));
        self.proxy.wait_for_nth(event, earlier + 1).await;
        call.abort();
        self.service.process.kill();
        before
    }
}

#[tokio::test]
async fn a_service_that_is_killed_leaves_what_the_next_start_finishes() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let cases = [
        (Shape::Candidate, "edit-config", Action::HoldReply, BEFORE),
        (Shape::Candidate, "confirmed-commit", Action::HoldRequest, BEFORE),
        (Shape::Candidate, "confirmed-commit", Action::HoldReply, BEFORE),
        (Shape::Candidate, "confirm", Action::HoldRequest, BEFORE),
        (Shape::Candidate, "confirm", Action::HoldReply, AFTER),
        (Shape::RunningStartup, "edit-config", Action::HoldRequest, BEFORE),
        (Shape::RunningStartup, "edit-config", Action::HoldReply, BEFORE),
        (Shape::RunningStartup, "copy-config", Action::HoldRequest, AFTER),
        (Shape::RunningStartup, "copy-config", Action::HoldReply, AFTER),
    ];
    join_all(cases.map(|(shape, rpc, action, ends)| async move {
        let what = format!("{shape:?} {rpc} {action:?}");
        let mut bench = Bench::new(shape, "").await;
        let before = bench.die(rpc, action).await;
        let journal = bench.site.journal();
        assert!(journal.contains("\"eth1\"") || journal.contains("'eth1'"), "{what}: {journal}");
        for file in fs::read_dir(bench.site.path("locks")).expect("the directory is there") {
            let mode = file.and_then(|file| file.metadata()).expect("a file").permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{what}");
        }
        if rpc == "confirm" && ends == BEFORE {
            // The device has it, and waits.
            assert_eq!(bench.operator.port("eth1").await, AFTER, "{what}");
        }
        let mut next = bench.site.serve().await;
        next.process.wait_for_output("an interrupted change").await;
        assert_eq!(bench.operator.port("eth1").await, ends, "{what}");
        if ends == BEFORE {
            assert_eq!(bench.operator.running().await, before, "{what}");
        }
        let outcome = if ends == BEFORE { "rolled_back" } else { "applied" };
        let told = |event: &Value| {
            event["outcome"] == outcome && event["requests"] == "req-1" && event["device"] == "leaf1"
        };
        assert!(next.log().iter().any(told), "{what}");
        // The next call finds nothing left to finish.
        call(&next, "attach_port", &attach("eth2", 101, &[])).await;
        assert_eq!(bench.site.journal(), "", "{what}");
        bench.operator.assert_at_rest().await;
    }))
    .await;
}

#[tokio::test]
async fn a_switch_whose_service_is_gone_reverts_by_itself() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let mut bench = Bench::new(Shape::Candidate, "request_timeout = \"2s\"\nlock_wait = \"1s\"\n").await;
    let before = bench.die("confirm", Action::HoldRequest).await;
    assert_eq!(bench.operator.port("eth1").await, AFTER);
    // The timer outlives the two seconds by the device's granularity, rounded up.
    becomes(&mut bench.operator, &before, Duration::from_secs(8)).await;
    bench.operator.assert_at_rest().await;
    // What is left of it is only ours.
    assert_ne!(bench.site.journal(), "");
    bench.site.without_limits();
    let next = bench.site.serve().await;
    call(&next, "attach_port", &attach("eth2", 101, &[])).await;
    assert_eq!(bench.site.journal(), "");
    assert_eq!(bench.operator.port("eth1").await, BEFORE);
}

#[tokio::test]
async fn what_a_killed_process_left_is_finished_by_another_that_uses_the_switch() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let mut bench = Bench::new(shape, "").await;
        // It has started before and has a session already.
        let other = bench.site.serve().await;
        call(&other, "attach_port", &attach("eth2", 101, &[])).await;
        match shape {
            Shape::Candidate => bench.die("confirm", Action::HoldRequest).await,
            Shape::RunningStartup => bench.die("edit-config", Action::HoldReply).await,
        };
        assert_eq!(bench.operator.port("eth1").await, AFTER);
        call(&other, "attach_port", &attach("eth3", 102, &[])).await;
        assert_eq!(bench.operator.port("eth1").await, BEFORE);
        assert_eq!(
            bench.operator.port("eth3").await,
            "access-vlan=102 description=NEUTRON interface-mode=ACCESS"
        );
        assert!(other.process.output().contains("an interrupted change was taken back"));
        assert_eq!(bench.site.journal(), "");
        bench.operator.assert_at_rest().await;
    }
}

#[tokio::test]
async fn a_confirm_that_cannot_be_sent_in_time_is_told_as_not_known() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let mut bench = Bench::new(Shape::Candidate, "request_timeout = \"2s\"\nlock_wait = \"1s\"\n").await;
    let before = bench.operator.running().await;
    bench.proxy.add(Rule::new("confirm", Action::HoldRequest));
    let answer = bench.service.start_call("attach_port", attach("eth1", 100, &[]));
    bench.proxy.wait_for(Event::request("confirm")).await;
    // From now on no new session comes through.
    (1..100).for_each(|nth| bench.proxy.add(Rule::new("hello", Action::DropRequest).nth(nth)));
    let failure = answer.await.expect("no panic").expect_err("nobody can know");
    assert_eq!((failure.class(), failure.phase(), failure.outcome()), ("NetworkError", "confirm", "unknown"));
    assert!(failure.message.contains("NOT KNOWN"), "{failure:?}");
    becomes(&mut bench.operator, &before, Duration::from_secs(8)).await;
    bench.proxy.clear();
    bench.site.without_limits();
    let patient = bench.site.serve().await;
    call(&patient, "attach_port", &attach("eth2", 101, &[])).await;
    assert!(patient.process.output().contains("an interrupted change was taken back"));
    assert_eq!(bench.operator.port("eth1").await, BEFORE);
    assert_eq!(bench.site.journal(), "");
    bench.operator.assert_at_rest().await;
}

#[tokio::test]
async fn a_switch_that_loses_its_power_is_as_before_or_as_asked() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let cases = [
        (Shape::Candidate, "edit-config", Some("stage")),
        (Shape::Candidate, "confirmed-commit", Some("commit")),
        (Shape::Candidate, "confirm", None),
        (Shape::RunningStartup, "edit-config", Some("commit")),
        (Shape::RunningStartup, "copy-config", None),
    ];
    join_all(cases.map(|(shape, rpc, fails_in)| async move {
        let what = format!("{shape:?} {rpc}");
        let mut bench = Bench::new(shape, "request_timeout = \"9s\"\nlock_wait = \"1s\"\n").await;
        let before = bench.operator.running().await;
        bench.proxy.add(Rule::new(rpc, Action::HoldReply));
        let answer = bench.service.start_call("attach_port", attach("eth1", 100, &[]));
        bench.proxy.wait_for(Event::reply(rpc)).await;
        bench.server.restart().await;
        bench.operator = Operator::of(&bench.server, shape).await;
        match (fails_in, answer.await.expect("no panic")) {
            (None, Ok(change)) => {
                assert_eq!(change["outcome"], "applied", "{what}");
                assert_eq!(bench.operator.port("eth1").await, AFTER, "{what}");
            }
            (Some(phase), Err(failure)) => {
                assert_eq!(
                    (failure.phase(), failure.outcome()),
                    (phase, "rolled_back"),
                    "{what}: {failure:?}"
                );
                assert_eq!(bench.operator.running().await, before, "{what}");
            }
            (_, answer) => panic!("{what}: {answer:?}"),
        }
        bench.operator.assert_at_rest().await;
        assert_eq!(bench.site.journal(), "", "{what}");
    }))
    .await;
}

#[tokio::test]
async fn a_switch_that_stays_away_is_settled_when_it_is_back() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    join_all(BOTH.map(|shape| async move {
        let mut bench = Bench::new(shape, "request_timeout = \"5s\"\nlock_wait = \"1s\"\n").await;
        let rpc = if shape == Shape::Candidate { "confirmed-commit" } else { "edit-config" };
        let before = bench.operator.running().await;
        bench.proxy.add(Rule::new(rpc, Action::HoldReply));
        let answer = bench.service.start_call("attach_port", attach("eth1", 100, &[]));
        bench.proxy.wait_for(Event::reply(rpc)).await;
        bench.server.kill_server();
        let failure = answer.await.expect("no panic").expect_err("nobody can know");
        assert_eq!((failure.phase(), failure.outcome()), ("commit", "unknown"), "{failure:?}");
        assert_ne!(bench.site.journal(), "");
        // Still away: nothing new is begun.
        let failure =
            bench.service.call("attach_port", attach("eth2", 100, &[])).await.expect_err("it is away");
        assert_eq!((failure.phase(), failure.outcome()), ("recover", "unknown"), "{failure:?}");
        assert_ne!(bench.site.journal(), "");
        bench.server.restart().await;
        bench.operator = Operator::of(&bench.server, shape).await;
        assert_eq!(bench.operator.running().await, before);
        call(&bench.service, "attach_port", &attach("eth2", 100, &[])).await;
        assert_eq!(bench.operator.port("eth1").await, BEFORE);
        assert_eq!(bench.site.journal(), "");
        bench.operator.assert_at_rest().await;
    }))
    .await;
}

#[tokio::test]
async fn two_services_share_a_switch() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let server = Netconfd::start(shape).await;
        let mut operator = Operator::of(&server, shape).await;
        // Of one host, and of two that know nothing of each other's lock files.
        let (here, there) = (Site::of(&server), Site::of(&server));
        let services = [here.serve().await, here.serve().await, there.serve().await];
        let mut calls = Vec::new();
        for (number, service) in services.iter().enumerate() {
            let number = number as u16;
            for n in 0..4 {
                calls.push(
                    service.start_call(
                        "attach_port",
                        attach(&format!("own{number}{n}"), 100 + number, &[110 + n]),
                    ),
                );
            }
            // All want this one, each something else.
            calls.push(service.start_call("attach_port", attach("eth1", 120 + number, &[])));
            calls.push(
                service.start_call("update_port", update("eth1", "hybrid", 130 + number, &[140 + number])),
            );
        }
        for answer in join_all(calls).await {
            answer.expect("no panic").expect("all end well");
        }
        for number in 0..3 {
            for n in 0..4 {
                let expected = format!(
                    "description=NEUTRON interface-mode=TRUNK native-vlan={} trunk-vlans={}",
                    100 + number,
                    110 + n
                );
                assert_eq!(operator.port(&format!("own{number}{n}")).await, expected);
            }
        }
        let wanted: BTreeSet<String> = (0..3)
            .flat_map(|n| {
                [
                    format!("access-vlan={} description=NEUTRON interface-mode=ACCESS", 120 + n),
                    format!(
                        "description=IRONIC interface-mode=TRUNK native-vlan={} trunk-vlans={}",
                        130 + n,
                        140 + n
                    ),
                ]
            })
            .collect();
        let port = operator.port("eth1").await;
        assert!(wanted.contains(&port), "torn: {port}");
        operator.assert_at_rest().await;
        assert_eq!(here.journal() + &there.journal(), "");
    }
}

#[tokio::test]
async fn a_lock_file_that_another_process_holds_is_waited_for_and_then_named() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let mut bench = Bench::new(Shape::Candidate, "request_timeout = \"6s\"\nlock_wait = \"1s\"\n").await;
    let other = bench.site.serve().await;
    bench.proxy.add(Rule::new("edit-config", Action::HoldReply));
    let held = bench.service.start_call("attach_port", attach("eth1", 100, &[]));
    bench.proxy.wait_for(Event::reply("edit-config")).await;
    let failure = other.call("attach_port", attach("eth2", 101, &[])).await.expect_err("it is held");
    assert_eq!(
        (failure.class(), failure.phase(), failure.outcome()),
        ("NetworkError", "queue", "rolled_back")
    );
    assert!(failure.message.contains("locked by another process on this host"), "{failure:?}");
    // Whoever asked may go: what runs is brought to its end. So does the end of the service.
    held.abort();
    assert!(held.await.is_err_and(|why| why.is_cancelled()));
    let (ended, ()) = tokio::join!(bench.service.process.terminate(), async { bench.proxy.release() });
    assert!(ended.success());
    assert_eq!(bench.operator.port("eth1").await, AFTER);
    call(&other, "attach_port", &attach("eth2", 101, &[])).await;
    bench.operator.assert_at_rest().await;
    assert_eq!(bench.site.journal(), "");
}
