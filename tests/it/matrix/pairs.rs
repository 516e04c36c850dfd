//! One change over two switches: both are as planned, or both as before; and where that cannot be
//! known, it is said of the switch that it is true of.

use futures_util::future::join;
use mercury::report::Refusal;

use super::single::expected;
use super::*;

const BOTH: [(&str, &str); 2] = [("leaf1", "eth1"), ("leaf2", "eth1")];

async fn pair(one: Kind, other: Kind) -> Lab {
    Lab::new(vec![spec("leaf1", one), spec("leaf2", other)]).await
}

fn running(lab: &Lab) -> [String; 2] {
    ["leaf1", "leaf2"].map(|name| lab.switch(name).running_xml())
}

/// Where the two switches are not at the same end, or something is left, what.
async fn torn(lab: &Lab, before: &[String; 2], end: End) -> String {
    let now = running(lab);
    let mut problem = String::new();
    for (name, (now, before)) in ["leaf1", "leaf2"].iter().zip(now.iter().zip(before)) {
        let is_right = if end == End::Applied { is_in(now, "eth1", 100) } else { now == before };
        if !is_right {
            problem += &format!("{name} is {}. ", differences(now, before));
        }
        let startup = lab.switch(name).startup_xml();
        if !startup.is_empty() && startup != *now {
            problem += &format!("{name} starts up with {}. ", differences(&startup, now));
        }
    }
    problem + &lab.wrongly_left(end).await
}

/// Both end as the failing one would end alone. Only where that is found to stand, and the other
/// one was not done yet, both go back.
fn together(alone: End, phase: Phase, partner: Kind) -> End {
    let partner_is_done = match phase {
        Phase::Commit | Phase::Verify => false,
        Phase::Confirm => partner != Kind::RunningStartup,
        _ => true,
    };
    if alone == End::Applied && !partner_is_done { End::RolledBack(phase) } else { alone }
}

/// One of the switches fails in one step of its own.
async fn problem(
    [one, other]: [Kind; 2],
    failing: &str,
    (rpc, nth, phase): (&str, u32, Phase),
    what: What,
) -> String {
    let lab = pair(one, other).await;
    let before = running(&lab);
    let kind = if failing == "leaf1" { one } else { other };
    let throughout = phase == Phase::Lock && matches!(what, What::Reject(_));
    let nth = if throughout { Nth::Every } else { Nth::Only(nth) };
    lab.switch(failing).inject(FaultSpec { rpc: rpc.to_owned(), nth, what: what.clone() });
    let started = Instant::now();
    let change = lab.attach(&BOTH, 100).await;
    if started.elapsed() > BUDGET {
        return format!("it took {:?}", started.elapsed());
    }
    let partner = if failing == "leaf1" { other } else { one };
    let end = match (phase, &what) {
        // Sessions are open before any switch is held; one that is gone by then is opened anew.
        (Phase::Lock, What::DropBefore | What::DropAfter | What::Malformed) => End::Applied,
        _ => together(expected(kind, rpc, phase, &what), phase, partner),
    };
    // What is not known of one is known of the other.
    let partners = if end == End::Unknown { End::RolledBack(phase) } else { end };
    let ends = if failing == "leaf1" { [end, partners] } else { [partners, end] };
    if [end_of(&change, 0), end_of(&change, 1)] != ends.map(Some) {
        let outcomes = change.devices.iter().map(|device| &device.outcome).collect::<Vec<_>>();
        return format!("{outcomes:?}, expected {end:?}");
    }
    let problem = torn(&lab, &before, end).await;
    lab.switch(failing).clear_faults();
    let next = lab.attach(&[("leaf1", "eth2"), ("leaf2", "eth2")], 101).await;
    if next.outcome == "applied" { problem } else { format!("{problem}; the next change: {next:?}") }
}

async fn every_step(pairs: &[[Kind; 2]]) {
    let mut wrong = Wrong::default();
    for pair in pairs {
        for (failing, kind) in [("leaf1", pair[0]), ("leaf2", pair[1])] {
            for step in kind.steps() {
                for what in single::main_ways() {
                    let names = pair.map(Kind::name);
                    let cell = format!("{names:?} {failing} {}@{} {what:?}", step.0, step.1);
                    wrong.cell(&cell, &problem(*pair, failing, step, what).await);
                }
            }
        }
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn two_of_a_kind() {
    every_step(&Kind::ALL.map(|kind| [kind; 2])).await;
}

#[tokio::test(start_paused = true)]
async fn two_of_different_kinds() {
    use Kind::{
        CandidatePersist, CandidatePlain, CandidateSession, Gnmi, GnmiPlain, Running, RunningStartup,
    };
    every_step(&[
        [CandidatePersist, CandidateSession],
        [CandidatePersist, Running],
        [CandidateSession, RunningStartup],
        [CandidatePlain, RunningStartup],
        [Gnmi, CandidatePersist],
        [RunningStartup, Gnmi],
        [CandidateSession, GnmiPlain],
    ])
    .await;
}

/// One of the two accepts the change and does not hold it.
#[tokio::test(start_paused = true)]
async fn one_of_the_two_does_not_hold_it() {
    let mut wrong = Wrong::default();
    for one in Kind::ALL {
        for other in Kind::ALL {
            for failing in 0..2 {
                let mut specs = vec![spec("leaf1", one), spec("leaf2", other)];
                specs[failing].quirks.ignore = Some("access-vlan".to_owned());
                let lab = Lab::new(specs).await;
                let before = running(&lab);
                let change = lab.attach(&BOTH, 100).await;
                let end = End::RolledBack(Phase::Verify);
                let problem = match [end_of(&change, 0), end_of(&change, 1)] == [Some(end); 2] {
                    true => torn(&lab, &before, end).await,
                    false => format!("{change:?}"),
                };
                wrong.cell(&format!("{} {} {failing}", one.name(), other.name()), &problem);
            }
        }
    }
    wrong.none();
}

/// From some step on the second switch is gone. What is known of the first one is told as known,
/// and when the second one is back, both are where they belong together.
#[tokio::test(start_paused = true)]
async fn the_second_one_is_never_seen_again() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        let reference = pair(kind, kind).await;
        reference.attach(&BOTH, 100).await;
        let steps: Vec<String> =
            reference.switch("leaf2").log().into_iter().map(|logged| logged.rpc).collect();
        for last in 0..steps.len() {
            for what in [What::HangBefore, What::DropBefore] {
                let cell = format!("{} until {}#{last}, then {what:?}", kind.name(), steps[last]);
                wrong.cell(&cell, &gone(kind, &steps, last, what).await);
            }
        }
    }
    wrong.none();
}

async fn gone(kind: Kind, steps: &[String], last: usize, what: What) -> String {
    let mut specs = vec![spec("leaf1", kind), spec("leaf2", kind)];
    specs[1].latency = Duration::from_millis(10);
    let mut lab = Lab::new(specs).await;
    let before = running(&lab);
    let (engine, call) = (lab.engine.clone(), attach(&BOTH, 100));
    let started = Instant::now();
    let change = tokio::spawn(async move { engine.change(call).await.unwrap() });
    while lab.switch("leaf2").log().len() <= last {
        assert!(!change.is_finished(), "it ended before");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    for rpc in ["any", kind.hello()] {
        lab.switch("leaf2").inject(FaultSpec::every(rpc, what.clone()));
    }
    let change = change.await.unwrap();
    if started.elapsed() > BUDGET {
        return format!("it took {:?}", started.elapsed());
    }
    let position = |rpc: &str| steps.iter().position(|step| step == rpc).unwrap();
    let done = steps.iter().rposition(|step| step == kind.last()).unwrap();
    let expected = if kind.is_gnmi() && last == 0 {
        [End::RolledBack(Phase::Connect); 2]
    } else if last < position(kind.read()) {
        [End::RolledBack(Phase::Lock); 2]
    } else if last >= done {
        [End::Applied; 2]
    } else {
        let phase = match end_of(&change, 0) {
            Some(End::RolledBack(phase)) => phase,
            _ => return format!("the first: {:?}", change.devices[0].outcome),
        };
        [End::RolledBack(phase), End::Unknown]
    };
    if [end_of(&change, 0), end_of(&change, 1)] != expected.map(Some) {
        let outcomes = change.devices.iter().map(|device| &device.outcome).collect::<Vec<_>>();
        return format!("{outcomes:?}, expected {expected:?}");
    }
    lab.switch("leaf2").clear_faults();
    lab.restart();
    lab.engine.recover().await;
    torn(&lab, &before, expected[0]).await
}

/// A switch that cannot be reached at all: nothing is changed on the other.
#[tokio::test(start_paused = true)]
async fn one_of_the_two_cannot_be_reached() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        for failing in ["leaf1", "leaf2"] {
            for what in [What::DropBefore, What::HangBefore, What::Malformed] {
                let lab = pair(kind, kind).await;
                let before = running(&lab);
                lab.switch(failing).inject(FaultSpec::every(kind.hello(), what.clone()));
                let change = lab.attach(&BOTH, 100).await;
                let end = End::RolledBack(Phase::Connect);
                let problem = match [end_of(&change, 0), end_of(&change, 1)] == [Some(end); 2] {
                    true => torn(&lab, &before, end).await,
                    false => format!("{change:?}"),
                };
                let touched = BOTH.iter().any(|(name, _)| {
                    lab.switch(name).log().iter().any(|logged| {
                        // Of what is by gNMI, one looks for the commit extension.
                        ![kind.hello(), "lock", "unlock", kind.read(), "gnmi-cancel"]
                            .contains(&logged.rpc.as_str())
                    })
                });
                let problem = if touched { format!("something was sent. {problem}") } else { problem };
                wrong.cell(&format!("{} {failing} {what:?}", kind.name()), &problem);
            }
        }
    }
    wrong.none();
}

/// Two calls that name the same switches the other way round.
#[tokio::test(start_paused = true)]
async fn opposite_changes_at_once_both_end() {
    for kind in Kind::ALL {
        let lab = pair(kind, kind).await;
        let there = lab.engine.change(attach(&[("leaf1", "eth1"), ("leaf2", "eth1")], 100));
        let back = lab.engine.change(attach(&[("leaf2", "eth2"), ("leaf1", "eth2")], 101));
        let started = Instant::now();
        let (there, back) = join(there, back).await;
        assert_eq!((there.unwrap().outcome, back.unwrap().outcome), ("applied", "applied"));
        assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        for running in running(&lab) {
            assert!(is_in(&running, "eth1", 100) && is_in(&running, "eth2", 101));
        }
        assert_eq!(lab.leftovers().await, "");
    }
}

/// A switch that is stuck keeps those it was to change with, and their other callers, no longer than a
/// lock is waited for; one that cannot be reached not at all.
#[tokio::test(start_paused = true)]
async fn a_stuck_partner_keeps_nobody_waiting() {
    for kind in Kind::ALL {
        let a_lock = LOCK_WAIT + Duration::from_secs(1);
        for (rpc, at_most) in [(kind.hello(), Duration::from_secs(1)), (kind.begin(), a_lock)] {
            let lab = pair(kind, kind).await;
            lab.switch("leaf2").inject(FaultSpec::every(rpc, What::HangBefore));
            let (engine, both) = (lab.engine.clone(), attach(&BOTH, 100));
            let bond = tokio::spawn(async move { engine.change(both).await });
            seen(lab.switch("leaf2"), rpc, 1).await;
            let started = Instant::now();
            let alone = lab.attach(&[("leaf1", "eth2")], 101).await;
            assert_eq!(alone.outcome, "applied", "{rpc} {kind:?}");
            assert!(started.elapsed() < at_most, "{rpc} {kind:?}: {:?}", started.elapsed());
            let bond = bond.await.unwrap().unwrap();
            assert_eq!(bond.outcome, "rolled_back", "{rpc} {kind:?}: {bond:?}");
            assert!(!is_in(&lab.leaf1().running_xml(), "eth1", 100));
        }
    }
}

/// Who asks for more than may wait for a stuck switch is told so at once.
#[tokio::test(start_paused = true)]
async fn bonds_wait_in_bounded_queues() {
    let ports: Vec<String> = (1..=80).map(|n| format!("eth{n}")).collect();
    let wide = |name| SwitchSpec { ports: ports.clone(), ..spec(name, Kind::CandidatePersist) };
    let lab = Lab::new(vec![wide("leaf1"), wide("leaf2")]).await;
    lab.switch("leaf2").inject(FaultSpec::every("hello", What::HangBefore));
    let bonds = ports.iter().map(|port| lab.engine.change(attach(&[("leaf1", port), ("leaf2", port)], 100)));
    let bonds = futures_util::future::join_all(bonds).await;
    let is_busy = |end: &&Result<Change, Refusal>| matches!(end, Err(Refusal::Busy { .. }));
    assert_eq!(bonds.iter().filter(is_busy).count(), 80 - 64, "{bonds:?}");
    assert!(bonds.iter().flatten().all(|change| change.outcome == "rolled_back"));
    assert_eq!(lab.leaf1().commits(), 0);
}
