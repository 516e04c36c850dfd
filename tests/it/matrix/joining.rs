//! Changes that come while their switch is locked and read for another: they go out with it.

use mercury::report::Refusal;
use mercury::transaction::shared::Level;
use tokio::task::JoinHandle;

use super::*;

type Answer = Result<Change, Refusal>;

/// How long an answer is held back; short enough that the switch is not thought to be stuck.
const SHUT: Duration = Duration::from_millis(50);

fn named(port: &str, vlan: i64) -> Call {
    let mut call = attach(&[("leaf1", port)], vlan);
    call.caller.request_id = format!("req-{port}-{vlan}");
    call
}

fn spawn(lab: &Lab, call: Call) -> JoinHandle<Answer> {
    let engine = lab.engine.clone();
    tokio::spawn(async move { engine.change(call).await })
}

fn wide(kind: Kind) -> SwitchSpec {
    SwitchSpec { ports: (1..=48).map(|n| format!("eth{n}")).collect(), ..spec("leaf1", kind) }
}

/// The `nth` of these rpcs from now is answered late.
fn shut(lab: &Lab, rpc: &str, nth: u32) {
    lab.leaf1().inject(FaultSpec { rpc: rpc.to_owned(), nth: Nth::Only(nth), what: What::Delay(SHUT) });
}

/// Waits until that many of these rpcs have come since the log was `from` long.
async fn seen_since(lab: &Lab, from: usize, rpc: &str, times: usize) {
    let before = lab.leaf1().log()[..from].iter().filter(|logged| logged.rpc == rpc).count();
    seen(lab.leaf1(), rpc, before + times).await;
}

/// A change, and those that come while the switch is locked for it.
async fn during_the_lock(kind: Kind, lab: &Lab, first: Call, late: Vec<Call>) -> Vec<Answer> {
    let from = lab.leaf1().log().len();
    shut(lab, kind.begin(), 1);
    let mut answers = vec![spawn(lab, first)];
    seen_since(lab, from, kind.begin(), 1).await;
    answers.extend(late.into_iter().map(|call| spawn(lab, call)));
    let mut ended = Vec::new();
    for answer in answers {
        ended.push(answer.await.unwrap());
    }
    ended
}

/// Those who went out together have one history.
fn timings(answer: &Answer) -> String {
    answer.as_ref().map(|change| format!("{:?}", change.devices[0].timings)).unwrap_or_default()
}

fn end(answer: &Answer) -> Option<End> {
    end_of(answer.as_ref().ok()?, 0)
}

#[tokio::test(start_paused = true)]
async fn who_comes_during_the_lock_goes_out_with_it() {
    for kind in Kind::ALL {
        let name = kind.name();
        let lab = Lab::new(vec![wide(kind)]).await;
        // What the second reading finds is what they are planned from.
        assert_eq!(lab.attach(&[("leaf1", "eth48")], 109).await.outcome, "applied");
        let (from, commits) = (lab.leaf1().log().len(), lab.leaf1().commits());
        let commit = kind.commit();
        shut(&lab, commit, 1);
        let journal = async {
            seen_since(&lab, from, commit, 1).await;
            lab.journals()
        };
        let late = (2..=48).map(|n| named(&format!("eth{n}"), 100 + n % 8)).collect();
        let (answers, journal) = tokio::join!(during_the_lock(kind, &lab, named("eth1", 101), late), journal);
        let running = lab.leaf1().running_xml();
        for (n, answer) in (1..).zip(&answers) {
            assert_eq!(end(answer), Some(End::Applied), "{name} eth{n}: {answer:?}");
            assert!(is_in(&running, &format!("eth{n}"), 100 + n % 8), "{name} eth{n}");
            assert_eq!(timings(answer), timings(&answers[0]), "{name} eth{n}");
            let listed = journal.matches(&format!("\"req-eth{n}-{}\"", 100 + n % 8)).count();
            assert_eq!(listed, 1, "{name} eth{n}: {journal}");
        }
        let last = &answers[47].as_ref().unwrap().devices[0];
        assert_eq!((&*last.before, &*last.after), ("ACCESS 109", "ACCESS 100"));
        assert_eq!(lab.leaf1().commits() - commits, 1, "{name}");
        let reads = lab.leaf1().log()[from..].iter().filter(|logged| logged.rpc == kind.read()).count();
        assert_eq!(reads, 3, "{name}: under the lock, of the late ones, and back");
        assert_eq!(lab.leftovers().await, "", "{name}");
    }
}

/// While the late ones are read others may come, and while those are, too: then it goes on.
#[tokio::test(start_paused = true)]
async fn a_flood_does_not_keep_the_first_waiting() {
    for kind in Kind::ALL {
        let name = kind.name();
        let lab = Lab::new(vec![wide(kind)]).await;
        (1..=4).for_each(|nth| shut(&lab, kind.read(), nth));
        let mut answers = Vec::new();
        for nth in 1..=4 {
            answers.push(spawn(&lab, named(&format!("eth{nth}"), 100)));
            seen(lab.leaf1(), kind.read(), nth).await;
        }
        let mut ended = Vec::new();
        for answer in answers {
            ended.push(answer.await.unwrap());
        }
        assert!(ended.iter().all(|answer| end(answer) == Some(End::Applied)), "{name}: {ended:?}");
        let together: Vec<bool> = ended.iter().map(|answer| timings(answer) == timings(&ended[0])).collect();
        assert_eq!(together, [true, true, true, false], "{name}");
        assert_eq!(lab.leaf1().commits(), 2, "{name}");
        assert_eq!(lab.leftovers().await, "", "{name}");
    }
}

/// The same port, another configuration, and what is behind something else wait their turn.
#[tokio::test(start_paused = true)]
async fn who_may_not_join_waits_for_the_next() {
    for kind in Kind::ALL {
        let name = kind.name();
        // The same port.
        let lab = Lab::new(vec![wide(kind)]).await;
        let late = vec![named("eth1", 102), named("eth2", 102), named("eth1", 103), named("eth2", 104)];
        let answers = during_the_lock(kind, &lab, named("eth1", 101), late).await;
        let before = |n: usize| answers[n].as_ref().unwrap().devices[0].before.clone();
        assert!(answers.iter().all(|answer| end(answer) == Some(End::Applied)), "{name}: {answers:?}");
        assert_eq!(
            [0, 1, 2, 3, 4].map(before),
            ["no VLAN mode", "ACCESS 101", "no VLAN mode", "ACCESS 102", "ACCESS 102"],
            "{name}"
        );
        assert_eq!(timings(&answers[2]), timings(&answers[0]), "{name}");
        assert_eq!(lab.leaf1().commits(), 3, "{name}");
        assert_eq!(lab.leftovers().await, "", "{name}");

        // Another configuration, with who asks for its port behind it.
        let lab = Lab::new(vec![wide(kind)]).await;
        shut(&lab, kind.begin(), 1);
        let old = lab.engine.world();
        let first = spawn(&lab, named("eth1", 101));
        seen(lab.leaf1(), kind.begin(), 1).await;
        let mut late = Vec::new();
        for (port, vlan, is_new) in [("eth2", 102, true), ("eth2", 103, false), ("eth3", 103, false)] {
            let world = if is_new { lab.another_world() } else { old.clone() };
            let (engine, call) = (lab.engine.clone(), named(port, vlan));
            late.push(tokio::spawn(async move { engine.change_in(call, world).await }));
        }
        let first = first.await.unwrap();
        let mut ended = Vec::new();
        for answer in late {
            ended.push(answer.await.unwrap());
        }
        assert!(ended.iter().all(|answer| end(answer) == Some(End::Applied)), "{name}: {ended:?}");
        let together: Vec<bool> = ended.iter().map(|answer| timings(answer) == timings(&first)).collect();
        assert_eq!(together, [false, false, true], "{name}");
        assert!(is_in(&lab.leaf1().running_xml(), "eth2", 103), "{name}: the last asked wins");
        assert_eq!(lab.leftovers().await, "", "{name}");

        // Nobody overtakes a reader.
        let lab = Lab::new(vec![wide(kind)]).await;
        let mut dry = named("eth3", 103);
        dry.dry_run = true;
        let late = vec![named("eth2", 102), dry, named("eth3", 104)];
        let answers = during_the_lock(kind, &lab, named("eth1", 101), late).await;
        assert_eq!(timings(&answers[1]), timings(&answers[0]), "{name}");
        assert_eq!(answers[2].as_ref().unwrap().devices[0].before, "no VLAN mode", "{name}");
        assert_eq!(end(&answers[3]), Some(End::Applied), "{name}");
        assert_eq!(lab.leaf1().commits(), 2, "{name}");
        assert_eq!(lab.leftovers().await, "", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_one_that_is_refused_harms_nobody() {
    for kind in Kind::ALL {
        let name = kind.name();
        let mut spec = wide(kind);
        spec.quirks.refuse = Some(110);
        let lab = Lab::new(vec![spec]).await;
        // One that the switch refuses, one that cannot be planned.
        let late = vec![named("eth2", 102), named("eth3", 110), named("eth4", 199)];
        let answers = during_the_lock(kind, &lab, named("eth1", 101), late).await;
        let ends: Vec<_> = answers.iter().map(end).collect();
        assert_eq!(ends[..2], [Some(End::Applied), Some(End::Applied)], "{name}: {answers:?}");
        let refused = Some(End::RolledBack(Phase::Stage));
        assert!(ends[2] == refused || ends[2] == Some(End::RolledBack(Phase::Commit)), "{name}: {answers:?}");
        assert!(matches!(&answers[3], Err(Refusal::Plan { .. })), "{name}: {answers:?}");
        let running = lab.leaf1().running_xml();
        assert!(is_in(&running, "eth1", 101) && is_in(&running, "eth2", 102), "{name}");
        assert_eq!(lab.leftovers().await, "", "{name}");
    }
}

/// The reading for the late ones goes wrong: the first goes without them, and they after it.
#[tokio::test(start_paused = true)]
async fn a_second_reading_that_fails_takes_nobody_with_it() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        for what in [
            What::Reject("access-denied".to_owned()),
            What::DropBefore,
            What::DropAfter,
            What::HangBefore,
            What::Malformed,
            What::NotXml,
        ] {
            let lab = Lab::new(vec![wide(kind)]).await;
            let cell = format!("{} {what:?}", kind.name());
            lab.leaf1().inject(FaultSpec { rpc: kind.read().to_owned(), nth: Nth::Only(2), what });
            let late = vec![named("eth2", 102), named("eth3", 103)];
            let started = Instant::now();
            let answers = during_the_lock(kind, &lab, named("eth1", 101), late).await;
            assert!(started.elapsed() <= BUDGET, "{cell}");
            let running = lab.leaf1().running_xml();
            let mut problem = String::new();
            for (n, answer) in (1..).zip(&answers) {
                if end(answer) != Some(End::Applied) || !is_in(&running, &format!("eth{n}"), 100 + n) {
                    problem += &format!("eth{n}: {answer:?}. ");
                }
            }
            let commits = lab.leaf1().commits();
            if commits != 2 {
                problem += &format!("{commits} commits. ");
            }
            wrong.cell(&cell, &(problem + &lab.leftovers().await));
        }
    }
    wrong.none();
}

/// What stops the service while the late ones are read stops them with the first, before any change.
#[tokio::test(start_paused = true)]
async fn the_end_of_the_service_finds_them_together() {
    for kind in Kind::ALL {
        for level in [Level::Drain, Level::AtOnce] {
            let name = format!("{} {level:?}", kind.name());
            let lab = Lab::new(vec![wide(kind)]).await;
            shut(&lab, kind.read(), 2);
            let stop = async {
                seen(lab.leaf1(), kind.read(), 2).await;
                lab.engine.stop(level);
            };
            let late = vec![named("eth2", 102)];
            let (answers, ()) = tokio::join!(during_the_lock(kind, &lab, named("eth1", 101), late), stop);
            let expected = match level {
                Level::AtOnce => End::RolledBack(Phase::Lock),
                _ => End::Applied,
            };
            let ends: Vec<_> = answers.iter().map(end).collect();
            assert_eq!(ends, [Some(expected), Some(expected)], "{name}: {answers:?}");
            assert_eq!(is_in(&lab.leaf1().running_xml(), "eth2", 102), level == Level::Drain, "{name}");
            assert_eq!(lab.leftovers().await, "", "{name}");
        }
    }
}
