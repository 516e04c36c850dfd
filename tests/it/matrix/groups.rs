//! Many changes at once on one switch: they share commits, and nothing else.

use futures_util::future::join_all;
use mercury::plan::PlanError;
use mercury::report::Refusal;
use tokio::task::JoinHandle;

use super::quirks::{access, trunk};
use super::*;

type Answer = Result<Change, Refusal>;

/// A switch with 48 ports.
fn wide(kind: Kind) -> SwitchSpec {
    SwitchSpec { ports: (1..=48).map(port).collect(), ..spec("leaf1", kind) }
}

fn port(number: usize) -> String {
    format!("eth{number}")
}

fn one(port: &str, vlan: i64) -> Call {
    attach(&[("leaf1", port)], vlan)
}

async fn at_once(lab: &Lab, calls: Vec<Call>) -> Vec<Answer> {
    join_all(calls.into_iter().map(|call| lab.engine.change(call))).await
}

fn spawn(lab: &Lab, call: Call) -> JoinHandle<Answer> {
    let engine = lab.engine.clone();
    tokio::spawn(async move { engine.change(call).await })
}

fn end(answer: &Answer) -> Option<End> {
    end_of(answer.as_ref().ok()?, 0)
}

fn cause(answer: &Answer) -> String {
    match answer.as_ref().map(|change| change.devices[0].outcome.as_ref()) {
        Ok(Some(Outcome::RolledBack { cause, .. } | Outcome::Unknown { cause, .. })) => cause.clone(),
        other => format!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn forty_eight_changes_take_few_commits() {
    for kind in Kind::ALL {
        let lab = Lab::new(vec![wide(kind)]).await;
        let answers = at_once(&lab, (1..=48).map(|n| one(&port(n), 100 + n as i64 % 10)).collect()).await;
        let running = lab.leaf1().running_xml();
        for (number, answer) in (1..).zip(&answers) {
            assert_eq!(end(answer), Some(End::Applied), "{}: {answer:?}", port(number));
            assert!(is_in(&running, &port(number), 100 + number as u16 % 10), "{}", port(number));
            let change = &answer.as_ref().unwrap().devices[0];
            assert!(
                change.subject.to_string() == port(number)
                    && !change.payload.contains(&port(number % 48 + 1))
            );
        }
        let commits = lab.leaf1().commits();
        assert!(commits < 4, "{}: {commits} commits", kind.name());
        assert_eq!(lab.leftovers().await, "", "{}", kind.name());
    }
}

/// Some members are refused, named or not by the switch's error: they fail alone.
#[tokio::test(start_paused = true)]
async fn only_the_refused_members_fail() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        for refused in [&[7][..], &[1, 24, 48], &[1, 2, 3]] {
            for (no_error_path, partial) in [(false, false), (true, false), (true, true)] {
                let mut spec = wide(kind);
                spec.quirks.refuse = Some(110);
                spec.quirks.no_error_path = no_error_path;
                spec.quirks.partial = partial;
                let lab = Lab::new(vec![spec]).await;
                let vlan = |n: usize| if refused.contains(&n) { 110 } else { 100 + n as i64 % 10 };
                let answers = at_once(&lab, (1..=48).map(|n| one(&port(n), vlan(n))).collect()).await;
                let running = lab.leaf1().running_xml();
                let mut problem = String::new();
                for (number, answer) in (1..).zip(&answers) {
                    let is_right = match end(answer) {
                        Some(End::Applied) => {
                            vlan(number) != 110 && is_in(&running, &port(number), vlan(number) as u16)
                        }
                        Some(End::RolledBack(Phase::Stage | Phase::Commit)) => {
                            vlan(number) == 110
                                && !is_in(&running, &port(number), 110)
                                && cause(answer).contains("VLAN 110 is not available")
                        }
                        _ => false,
                    };
                    if !is_right {
                        problem += &format!("{}: {:?} {}. ", port(number), end(answer), cause(answer));
                    }
                }
                problem += &lab.leftovers().await;
                let name = kind.name();
                let cell = format!("{name} {refused:?}, no path {no_error_path}, partial {partial}");
                wrong.cell(&cell, &problem);
            }
        }
    }
    wrong.none();
}

/// A switch that ignores one leaf: who needs it fails, who does not is applied.
#[tokio::test(start_paused = true)]
async fn only_the_members_that_do_not_hold_fail() {
    for kind in Kind::ALL {
        let mut spec = wide(kind);
        spec.quirks.ignore = Some("native-vlan".to_owned());
        let lab = Lab::new(vec![spec]).await;
        let mut calls: Vec<Call> = (1..=12).map(|n| one(&port(n), 100)).collect();
        calls[4] = call(&[("leaf1", "eth5")], &trunk(Some(101), "102"));
        let answers = at_once(&lab, calls).await;
        for (number, answer) in (1..).zip(&answers) {
            let expected = if number == 5 { End::RolledBack(Phase::Verify) } else { End::Applied };
            assert_eq!(end(answer), Some(expected), "{} {}: {answer:?}", kind.name(), port(number));
            assert_eq!(is_in(&lab.leaf1().running_xml(), &port(number), 100), number != 5);
        }
        assert!(cause(&answers[4]).contains("[name='eth5']") && !cause(&answers[4]).contains("'eth4'"));
        assert_eq!(lab.leftovers().await, "", "{}", kind.name());
    }
}

/// A member that cannot be planned, one that changes nothing, and one that is fine.
#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_be_planned_harms_nobody() {
    for kind in Kind::ALL {
        let lab = Lab::new(vec![wide(kind)]).await;
        at_once(&lab, vec![one("eth3", 103)]).await;
        let commits = lab.leaf1().commits();
        let calls = vec![one("eth1", 101), one("eth2", 199), one("eth3", 103), one("eth4", 104)];
        let answers = at_once(&lab, calls).await;
        assert!(
            matches!(&answers[1], Err(Refusal::Plan { source: PlanError::VlanMissing { .. }, .. })),
            "{:?}",
            answers[1]
        );
        assert_eq!(answers[2].as_ref().unwrap().outcome, "unchanged");
        assert_eq!((end(&answers[0]), end(&answers[3])), (Some(End::Applied), Some(End::Applied)));
        let running = lab.leaf1().running_xml();
        assert!(
            is_in(&running, "eth1", 101) && is_in(&running, "eth4", 104) && !is_in(&running, "eth2", 199)
        );
        assert!(lab.leaf1().commits() - commits <= 2);
        assert_eq!(lab.leftovers().await, "", "{}", kind.name());
    }
}

#[tokio::test(start_paused = true)]
async fn the_last_asked_wins_on_one_port() {
    for kind in Kind::ALL {
        for refused in [None, Some(100), Some(101), Some(103)] {
            let mut spec = wide(kind);
            spec.quirks.refuse = refused;
            let lab = Lab::new(vec![spec]).await;
            let asked = [("eth1", 100), ("eth1", 101), ("eth2", 102), ("eth1", 103), ("eth2", 104)];
            let answers = at_once(&lab, asked.map(|(port, vlan)| one(port, vlan)).into()).await;
            let mut holds = BTreeMap::new();
            for ((port, vlan), answer) in asked.into_iter().zip(&answers) {
                if refused == Some(vlan as u16) {
                    assert!(matches!(end(answer), Some(End::RolledBack(_))), "{answer:?}");
                } else {
                    assert_eq!(end(answer), Some(End::Applied), "{port} {vlan}: {answer:?}");
                    // What it says it found is what the one before it left.
                    let before =
                        holds.insert(port, vlan).map_or("no VLAN mode".to_owned(), |v| format!("ACCESS {v}"));
                    let change = &answer.as_ref().unwrap().devices[0];
                    assert_eq!((&change.before, &change.after), (&before, &format!("ACCESS {vlan}")));
                }
            }
            for (port, vlan) in holds {
                assert!(is_in(&lab.leaf1().running_xml(), port, vlan as u16), "{port} {vlan}");
            }
            assert_eq!(lab.leftovers().await, "", "{}", kind.name());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_is_told_at_once() {
    let lab = Lab::new(vec![wide(Kind::CandidatePersist)]).await;
    lab.leaf1().inject(FaultSpec::once("edit-config", What::HangBefore));
    let first = spawn(&lab, one("eth1", 100));
    seen(lab.leaf1(), "edit-config", 1).await;
    // The same port again and again, so that each waits for the one before.
    let waiting: Vec<_> = (0..64).map(|n| spawn(&lab, one("eth2", 100 + n % 10))).collect();
    tokio::time::sleep(Duration::from_millis(1)).await;
    let started = Instant::now();
    let refused = lab.engine.change(one("eth3", 100)).await;
    assert!(matches!(refused, Err(Refusal::Busy { waiting: 64, .. })), "{refused:?}");
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(matches!(end(&first.await.unwrap()), Some(End::RolledBack(Phase::Stage))));
    for answer in waiting {
        assert_eq!(end(&answer.await.unwrap()), Some(End::Applied));
    }
    assert!(!is_in(&lab.leaf1().running_xml(), "eth3", 100));
    assert_eq!(lab.attach(&[("leaf1", "eth3")], 100).await.outcome, "applied");
    assert_eq!(lab.leftovers().await, "");
}

#[tokio::test(start_paused = true)]
async fn what_waits_too_long_is_not_sent() {
    for kind in Kind::ALL {
        let lab = Lab::new(vec![wide(kind)]).await;
        let commit = kind.commit();
        lab.leaf1().inject(FaultSpec::once(commit, What::HangBefore));
        let first = spawn(&lab, one("eth1", 100));
        seen(lab.leaf1(), commit, 1).await;
        for rpc in ["any", kind.hello()] {
            lab.leaf1().inject(FaultSpec::every(rpc, What::HangBefore));
        }
        let started = Instant::now();
        let second = spawn(&lab, one("eth2", 100));
        // This one holds the worker for the rest of the second one's time.
        tokio::time::sleep(Duration::from_secs(20)).await;
        let third = spawn(&lab, one("eth2", 101));
        let first = first.await.unwrap();
        assert_eq!(end(&first), Some(End::Unknown), "{first:?}");
        let second = second.await.unwrap();
        assert!(started.elapsed() <= BUDGET, "{:?}", started.elapsed());
        assert_eq!(end(&second), Some(End::RolledBack(Phase::Queue)), "{second:?}");
        assert!(cause(&second).contains("not sent"), "{second:?}");
        let third = third.await.unwrap();
        assert!(started.elapsed() <= Duration::from_secs(20) + BUDGET, "{:?}", started.elapsed());
        let is_not_sent = end(&third) == Some(End::Unknown) && cause(&third).contains("nothing was sent");
        assert!(is_not_sent || matches!(end(&third), Some(End::RolledBack(_))), "{third:?}");
        lab.leaf1().clear_faults();
        assert_eq!(lab.attach(&[("leaf1", "eth3")], 100).await.outcome, "applied");
        let running = lab.leaf1().running_xml();
        assert!(!is_in(&running, "eth1", 100) && !is_in(&running, "eth2", 100));
        assert_eq!(lab.leftovers().await, "", "{}", kind.name());
    }
}

/// A member whose time is nearly over does not take the others with it.
#[tokio::test(start_paused = true)]
async fn each_member_has_its_own_time() {
    for kind in Kind::ALL.into_iter().filter(|kind| !kind.locked().is_empty()) {
        let name = kind.name();
        let lab = Lab::new(vec![wide(kind)]).await;
        lab.leaf1().inject(FaultSpec::once("lock", What::HangBefore));
        let first = spawn(&lab, one("eth1", 100));
        seen(lab.leaf1(), "lock", 1).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let old = spawn(&lab, one("eth2", 100));
        tokio::time::sleep(Duration::from_secs(38)).await;
        let young = spawn(&lab, one("eth3", 100));
        // When the first one gives up, somebody holds the lock until the old one's time is over.
        let mut other = raw::Raw::open(lab.leaf1()).await;
        let store = if kind.has_candidate() { "candidate" } else { "running" };
        other.lock(store).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        other.unlock(store).await;
        assert_eq!(end(&first.await.unwrap()), Some(End::RolledBack(Phase::Lock)), "{name}");
        assert_eq!(end(&old.await.unwrap()), Some(End::RolledBack(Phase::Lock)), "{name}");
        let young = young.await.unwrap();
        assert_eq!(end(&young), Some(End::Applied), "{name}: {young:?}");
        assert_eq!(lab.leftovers().await, "", "{name}");
    }
}

/// The caller goes away at every step; the change comes to its end all the same.
#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_stops_nothing() {
    for kind in Kind::ALL {
        let mut spec = wide(kind);
        spec.latency = Duration::from_millis(10);
        let reference = Lab::new(vec![spec.clone()]).await;
        reference.attach(&[("leaf1", "eth1")], 100).await;
        let steps = reference.leaf1().log().len();
        for step in 1..=steps {
            for ports in [&[("leaf1", "eth1")][..], &[("leaf1", "eth1"), ("leaf1", "eth2")]] {
                let lab = Lab::new(vec![spec.clone()]).await;
                let (engine, call) = (lab.engine.clone(), attach(ports, 100));
                let caller = tokio::spawn(async move { engine.change(call).await });
                while lab.leaf1().log().len() < step {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                caller.abort();
                assert!(caller.await.is_err_and(|error| error.is_cancelled()), "it ended before");
                // Behind it in the queue.
                let next = lab.attach(&[("leaf1", "eth3")], 101).await;
                assert_eq!(next.outcome, "applied", "{next:?}");
                let cell = format!("{} step {step} {ports:?}", kind.name());
                for (_, port) in ports {
                    assert!(is_in(&lab.leaf1().running_xml(), port, 100), "{cell}");
                }
                assert_eq!(lab.leftovers().await, "", "{cell}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_waits_for_what_is_under_way() {
    for kind in Kind::ALL {
        let mut spec = wide(kind);
        spec.latency = Duration::from_millis(10);
        let lab = Lab::new(vec![spec]).await;
        let first = spawn(&lab, one("eth1", 100));
        seen(lab.leaf1(), kind.stage(), 1).await;
        let mut dry = call(&[("leaf1", "eth1")], &access(101));
        dry.dry_run = true;
        let planned = lab.engine.change(dry.clone()).await.unwrap();
        assert!(first.is_finished());
        assert_eq!(planned.outcome, "planned");
        assert_eq!((&*planned.devices[0].before, &*planned.devices[0].after), ("ACCESS 100", "ACCESS 101"));
        assert!(planned.devices[0].outcome.is_none());
        assert!(is_in(&lab.leaf1().running_xml(), "eth1", 100), "a dry run changes nothing");
        assert_eq!(lab.leftovers().await, "");
        // When the device does not answer, it says so in time.
        for rpc in ["any", kind.hello()] {
            lab.leaf1().inject(FaultSpec::every(rpc, What::HangBefore));
        }
        let started = Instant::now();
        let planned = lab.engine.change(dry).await;
        assert!(matches!(planned, Err(Refusal::Unreachable { .. })), "{planned:?}");
        assert!(started.elapsed() <= BUDGET);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_replaces_a_session_that_ended_while_idle() {
    for kind in Kind::ALL {
        for what in [What::DropBefore, What::DropAfter] {
            let lab = Lab::new(vec![wide(kind)]).await;
            assert_eq!(lab.attach(&[("leaf1", "eth1")], 100).await.outcome, "applied");
            lab.leaf1().inject(FaultSpec::once(kind.read(), what));
            let mut dry = one("eth1", 101);
            dry.dry_run = true;
            assert_eq!(lab.engine.change(dry.clone()).await.unwrap().outcome, "planned");
            // Once, not again and again.
            lab.leaf1().inject(FaultSpec::every(kind.read(), What::DropBefore));
            let planned = lab.engine.change(dry).await;
            assert!(matches!(planned, Err(Refusal::Unreachable { .. })), "{planned:?}");
            let hellos = lab.leaf1().log().iter().filter(|logged| logged.rpc == kind.hello()).count();
            assert_eq!(hellos, 3);
        }
    }
}
