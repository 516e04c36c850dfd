//! A timer that is shorter than a call may take: the switch is sooner as before when we are gone, and the
//! timer is lengthened while others of the change need it.

use super::crash::{die_after, process};
use super::*;

const SHORT: Duration = Duration::from_secs(10);
const LENGTHEN: &str = "gnmi-set-rollback-duration";

/// Switches with gNMI and the commit extension, whose commits wait so long at first.
async fn lab(names: &[&str], wire: Wire) -> Lab {
    lab_of(names, wire, SHORT).await
}

async fn lab_of(names: &[&str], wire: Wire, timer: Duration) -> Lab {
    timed(names.iter().map(|name| spec(name, Kind::Gnmi)).collect(), wire, timer).await
}

async fn timed(specs: Vec<SwitchSpec>, wire: Wire, timer: Duration) -> Lab {
    Lab::of(specs, wire, BUDGET, LOCK_WAIT, |profile| {
        if let Speaks::Gnmi(habits) = &mut profile.speaks {
            Arc::make_mut(habits).commit_timer = Some(timer);
        }
    })
    .await
}

fn lengthened(switch: &Switch) -> usize {
    switch.log().iter().filter(|logged| logged.rpc == LENGTHEN).count()
}

const BOTH: [(&str, &str); 2] = [("leaf1", "eth1"), ("leaf2", "eth1")];

#[tokio::test(start_paused = true)]
async fn what_nobody_confirms_is_gone_when_the_short_timer_ends() {
    let lab = lab(&["leaf1"], Wire::Memory).await;
    let (switch, engine) = (lab.leaf1(), lab.engine.clone());
    let before = switch.running_xml();
    // It has the change, and is never reached again.
    switch.inject(FaultSpec::once("gnmi-commit", What::DropAfter));
    for nth in 2..200 {
        let nth = Nth::Only(nth);
        switch.inject(FaultSpec { rpc: "gnmi-capabilities".to_owned(), nth, what: What::DropBefore });
    }
    let change = tokio::spawn(async move { engine.change(attach(&[("leaf1", "eth1")], 100)).await.unwrap() });
    seen(switch, "gnmi-commit", 1).await;
    tokio::time::sleep(SHORT - Duration::from_secs(1)).await;
    assert!(switch.pending_commit() && is_in(&switch.running_xml(), "eth1", 100));
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert!(!switch.pending_commit());
    assert_eq!(switch.running_xml(), before);
    assert_eq!(end_of(&change.await.unwrap(), 0), Some(End::Unknown));
}

/// One switch needs longer than the timer of the other, to commit, or to be reached behind it.
#[tokio::test(start_paused = true)]
async fn a_timer_is_lengthened_while_others_need_it() {
    for (wire, slow) in [
        (Wire::Memory, &[("gnmi-commit", 25)][..]),
        (Wire::Behind, &[("gnmi-get", 8), ("gnmi-commit", 8)]),
        (Wire::Behind, &[("gnmi-commit", 25)]),
    ] {
        let lab = lab(&["leaf1", "leaf2"], wire).await;
        for (rpc, seconds) in slow {
            lab.switch("leaf2").inject(FaultSpec::once(rpc, What::Delay(Duration::from_secs(*seconds))));
        }
        let mut call = attach(&BOTH, 100);
        call.targets[1].level = u8::from(wire == Wire::Behind);
        let change = lab.engine.change(call).await.unwrap();
        assert_eq!(change.outcome, "applied", "{slow:?}: {change:?}");
        assert!(lengthened(lab.leaf1()) > 0, "{slow:?}: {:?}", lab.leaf1().log());
        assert_eq!(lab.leftovers().await, "");
    }
}

/// A change of one switch that is quick needs no more messages than with a long timer.
#[tokio::test(start_paused = true)]
async fn a_quick_change_lengthens_nothing() {
    let lab = lab(&["leaf1", "leaf2"], Wire::Memory).await;
    for ports in [&BOTH[..1], &BOTH] {
        assert_eq!(lab.attach(ports, 100).await.outcome, "applied");
    }
    assert_eq!(lengthened(lab.leaf1()) + lengthened(lab.switch("leaf2")), 0);
}

/// A switch that takes long to answer, but less than its timer.
#[tokio::test(start_paused = true)]
async fn a_timer_that_is_half_over_is_lengthened_before_the_confirm() {
    let lab = lab(&["leaf1"], Wire::Memory).await;
    let what = What::Delay(Duration::from_secs(7));
    lab.leaf1().inject(FaultSpec { rpc: "gnmi-get".to_owned(), nth: Nth::Only(2), what });
    assert_eq!(lab.attach(&BOTH[..1], 100).await.outcome, "applied");
    assert_eq!(lengthened(lab.leaf1()), 1);
}

#[tokio::test(start_paused = true)]
async fn a_timer_that_cannot_be_lengthened_takes_all_back() {
    let mut wrong = Wrong::default();
    for wire in [Wire::Memory, Wire::Behind] {
        for what in single::main_ways() {
            let lab = lab(&["leaf1", "leaf2"], wire).await;
            let before = ["leaf1", "leaf2"].map(|name| lab.switch(name).running_xml());
            let late = What::Delay(Duration::from_secs(25));
            lab.switch("leaf2").inject(FaultSpec::once("gnmi-commit", late));
            lab.leaf1().inject(FaultSpec::once(LENGTHEN, what.clone()));
            let mut call = attach(&BOTH, 100);
            call.targets[1].level = u8::from(wire == Wire::Behind);
            let change = lab.engine.change(call).await.unwrap();
            let running = ["leaf1", "leaf2"].map(|name| lab.switch(name).running_xml());
            let problem = match (change.outcome, running == before) {
                ("rolled_back", true) => lab.leftovers().await,
                (outcome, is_before) => format!("{outcome}, as before {is_before}: {change:?}"),
            };
            wrong.cell(&format!("{what:?}"), &problem);
        }
    }
    wrong.none();
}

/// A timer that is nearly as long as a call may take is lengthened once, and its switch is then left in peace.
#[tokio::test(start_paused = true)]
async fn a_timer_is_lengthened_once() {
    let lab = lab_of(&["leaf1", "leaf2"], Wire::Memory, BUDGET - Duration::from_secs(5)).await;
    let late = What::Delay(Duration::from_secs(38));
    lab.switch("leaf2").inject(FaultSpec::once("gnmi-commit", late));
    lab.leaf1().inject(FaultSpec::every(LENGTHEN, What::Delay(Duration::from_millis(10))));
    assert_eq!(lab.attach(&BOTH, 100).await.outcome, "applied");
    assert_eq!(lengthened(lab.leaf1()), 1);
}

/// Several timers that are half over, on switches that take their time: none runs out while another is
/// lengthened.
#[tokio::test(start_paused = true)]
async fn no_timer_runs_out_while_another_is_lengthened() {
    let names = ["leaf1", "leaf2", "leaf3"];
    let lab = lab(&names, Wire::Memory).await;
    for name in names {
        let what = What::Delay(Duration::from_secs(7));
        lab.switch(name).inject(FaultSpec { rpc: "gnmi-get".to_owned(), nth: Nth::Only(2), what });
        lab.switch(name).inject(FaultSpec::once(LENGTHEN, What::Delay(Duration::from_secs(2))));
    }
    let change = lab.attach(&names.map(|name| (name, "eth1")), 100).await;
    assert_eq!(change.outcome, "applied", "{change:?}");
    assert_eq!(lab.leftovers().await, "");
}

/// Told to stop at once while a timer is lengthened, between two levels, or while it is confirmed: what is
/// told of each switch is what it holds, then and when all timers are over.
#[tokio::test(start_paused = true)]
async fn told_to_stop_while_timers_run() {
    let mut wrong = Wrong::default();
    for wire in [Wire::Memory, Wire::Behind] {
        for (name, rpc) in [
            ("leaf1", LENGTHEN),
            ("leaf1", "gnmi-confirm"),
            ("leaf2", "gnmi-commit"),
            ("leaf2", "gnmi-confirm"),
        ] {
            for what in [What::HangBefore, What::HangAfter] {
                let lab = lab(&["leaf1", "leaf2"], wire).await;
                let names = ["leaf1", "leaf2"];
                let before = names.map(|name| lab.switch(name).running_xml());
                let late = What::Delay(Duration::from_secs(7));
                lab.switch("leaf2").inject(FaultSpec {
                    rpc: "gnmi-get".to_owned(),
                    nth: Nth::Only(2),
                    what: late,
                });
                lab.switch(name).inject(FaultSpec::once(rpc, what.clone()));
                let mut call = attach(&BOTH, 100);
                call.targets[1].level = u8::from(wire == Wire::Behind);
                let engine = lab.engine.clone();
                let change = tokio::spawn(async move { engine.change(call).await.unwrap() });
                seen(lab.switch(name), rpc, 1).await;
                lab.engine.stop(mercury::transaction::shared::Level::AtOnce);
                let change = change.await.unwrap();
                let after = sound(&spec("leaf1", Kind::Gnmi), &[("eth1", 100)]).await;
                let now = names.map(|name| lab.switch(name).running_xml());
                tokio::time::sleep(Duration::from_secs(300)).await;
                let later = names.map(|name| lab.switch(name).running_xml());
                let mut problem = String::new();
                // What was sent and never seen may come, until its timer ends.
                let may_come = (name, rpc, &what) == ("leaf2", "gnmi-commit", &What::HangBefore);
                for (at, end) in [end_of(&change, 0), end_of(&change, 1)].into_iter().enumerate() {
                    let expected = match end {
                        Some(End::Unknown) if may_come && at == 1 => &before[at],
                        Some(End::Applied) => &after,
                        Some(End::RolledBack(_)) => &before[at],
                        other => {
                            problem += &format!("{other:?} {:?}. ", change.devices[at].outcome);
                            continue;
                        }
                    };
                    if now[at] != *expected || later[at] != *expected {
                        problem += &format!("{} is told as {end:?}. ", names[at]);
                    }
                }
                let end = if may_come { End::Unknown } else { End::Applied };
                problem += &lab.wrongly_left(end).await;
                wrong.cell(
                    &format!(
                        "{} {name} {rpc} {what:?}",
                        if wire == Wire::Behind { "behind" } else { "beside" }
                    ),
                    &problem,
                );
            }
        }
    }
    wrong.none();
}

/// A switch whose timer is over before a lost confirm is asked again, and that takes long to put back what
/// was: that nothing is pending there is no sign of success.
#[tokio::test(start_paused = true)]
async fn a_switch_that_is_putting_back_what_was_is_not_taken_for_changed() {
    for slow_revert in [45, 55].map(Duration::from_secs) {
        let lab = slow(slow_revert).await;
        let before = lab.leaf1().running_xml();
        lab.leaf1().inject(FaultSpec::once("gnmi-confirm", What::HangBefore));
        let change = lab.attach(&BOTH[..1], 100).await;
        assert!(!matches!(end_of(&change, 0), Some(End::Applied)), "{slow_revert:?}: {change:?}");
        tokio::time::sleep(Duration::from_secs(300)).await;
        assert_eq!(lab.leaf1().running_xml(), before, "{slow_revert:?}");
        assert_eq!(lab.attach(&[("leaf1", "eth2")], 101).await.outcome, "applied");
        assert_eq!(lab.leftovers().await, "");
    }
}

/// The same where nobody is left who knows what was told: the next start waits until it is put back.
#[test]
fn a_switch_that_is_putting_back_what_was_is_waited_for() {
    let first = process();
    let mut lab = first.block_on(slow(Duration::from_secs(20)));
    let before = lab.leaf1().running_xml();
    lab.leaf1().inject(FaultSpec::once("gnmi-confirm", What::HangBefore));
    let confirmed = |lab: &Lab| lab.leaf1().log().iter().any(|logged| logged.rpc == "gnmi-confirm");
    die_after(&lab, first, &BOTH[..1], confirmed);
    lab.restart();
    // Time in the journal is the machine's, which does not run ahead with the switch's.
    let path = lab.journal();
    let journal = std::fs::read_to_string(&path).unwrap();
    let (head, tail) = journal.rsplit_once("\"timer_from\":").unwrap();
    let at: u64 = tail.trim_end_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
    let earlier = at - SHORT.as_secs() - 1;
    std::fs::write(&path, format!("{head}\"timer_from\":{earlier}}}\n")).unwrap();
    process().block_on(async {
        tokio::time::sleep(SHORT + Duration::from_secs(1)).await;
        assert!(is_in(&lab.leaf1().running_xml(), "eth1", 100), "it is putting back by now");
        lab.engine.recover().await;
        assert_eq!(lab.leaf1().running_xml(), before);
        assert_eq!(lab.leftovers().await, "");
    });
}

async fn slow(slow_revert: Duration) -> Lab {
    let mut spec = spec("leaf1", Kind::Gnmi);
    spec.quirks.slow_revert = slow_revert;
    timed(vec![spec], Wire::Memory, SHORT).await
}
