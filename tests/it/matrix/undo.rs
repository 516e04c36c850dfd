//! Undo under fire: a first fault that forces the undo, and a second in each step of that undo.

use super::single::{REJECT, expected};
use super::*;

/// What forces the undo, and how the change is to end all the same.
struct First {
    /// None: the switch accepts the change and does not hold it.
    fault: Option<FaultSpec>,
    end: End,
}

impl First {
    fn name(&self) -> String {
        match &self.fault {
            Some(fault) => format!("{}@{:?} {:?}", fault.rpc, fault.nth, fault.what),
            None => "mismatch".to_owned(),
        }
    }

    async fn lab(&self, kind: Kind) -> Lab {
        let mut spec = spec("leaf1", kind);
        spec.quirks.ignore = self.fault.is_none().then(|| "access-vlan".to_owned());
        let lab = Lab::new(vec![spec]).await;
        self.fault.iter().for_each(|fault| lab.leaf1().inject(fault.clone()));
        lab
    }

    /// The steps of the undo when nothing else fails: rpcs, and the how-manieth of its name each is.
    async fn undo(&self, kind: Kind) -> Vec<(String, u32)> {
        let lab = self.lab(kind).await;
        lab.attach(&[("leaf1", "eth1")], 100).await;
        let mut seen = BTreeMap::new();
        let mut steps = Vec::new();
        for logged in lab.leaf1().log() {
            let nth = seen.entry(logged.rpc.clone()).or_insert(0);
            *nth += 1;
            steps.push((logged.rpc, *nth));
        }
        let failing = match &self.fault {
            Some(FaultSpec { rpc, nth: Nth::Only(nth), .. }) => (rpc.clone(), *nth),
            _ => (kind.read().to_owned(), 2),
        };
        let at = steps.iter().position(|step| *step == failing).unwrap();
        steps.split_off(at + 1)
    }
}

fn firsts(kind: Kind) -> Vec<First> {
    let mut firsts = vec![First { fault: None, end: End::RolledBack(Phase::Verify) }];
    for (rpc, nth, phase) in kind.steps() {
        let reject = What::Reject(REJECT.to_owned());
        let whats = match phase {
            Phase::Commit | Phase::Verify | Phase::Confirm | Phase::Save => {
                vec![reject, What::DropBefore, What::DropAfter]
            }
            Phase::Stage => vec![reject],
            _ => continue,
        };
        firsts.extend(whats.into_iter().map(|what| First {
            end: expected(kind, rpc, phase, &what),
            fault: Some(FaultSpec { rpc: rpc.to_owned(), nth: Nth::Only(nth), what }),
        }));
    }
    firsts
}

async fn under_fire(kind: Kind) {
    let mut wrong = Wrong::default();
    for first in firsts(kind) {
        for (rpc, nth) in first.undo(kind).await {
            for what in single::main_ways() {
                let cell = format!("{} {}, then {rpc}@{nth} {what:?}", kind.name(), first.name());
                let second = FaultSpec { rpc: rpc.clone(), nth: Nth::Only(nth), what };
                wrong.cell(&cell, &problem(kind, &first, second).await);
            }
        }
    }
    wrong.none();
}

async fn problem(kind: Kind, first: &First, second: FaultSpec) -> String {
    let lab = first.lab(kind).await;
    let switch = lab.leaf1();
    let before = switch.running_xml();
    // A cancel whose answer is lost, too, leaves nothing that would show that the commit was ever there.
    let is_commit_lost = first.fault.as_ref().is_some_and(|fault| {
        fault.rpc == kind.commit() && matches!(fault.what, What::DropBefore | What::DropAfter)
    });
    let is_cancel_lost = (second.rpc.as_str(), second.nth) == (kind.cancel(), Nth::Only(3))
        && single::has_effect(&second.what)
        && !matches!(second.what, What::Reject(_) | What::RejectAfter(_));
    let end = match kind == Kind::Gnmi && is_commit_lost && is_cancel_lost {
        true => End::Unknown,
        false => first.end,
    };
    switch.inject(second);
    let started = Instant::now();
    let change = lab.attach(&[("leaf1", "eth1")], 100).await;
    let running = switch.running_xml();
    let is_exact = match end {
        End::Applied => is_in(&running, "eth1", 100),
        _ => running == before,
    };
    if end_of(&change, 0) != Some(end) || !is_exact {
        let outcome = &change.devices[0].outcome;
        return format!("{outcome:?}, expected {:?}, exact {is_exact}", end);
    }
    if started.elapsed() > BUDGET {
        return format!("it took {:?}", started.elapsed());
    }
    if kind == Kind::RunningStartup && switch.startup_xml() != running {
        return "startup is not running".to_owned();
    }
    let left = lab.wrongly_left(end).await;
    if !left.is_empty() {
        return left;
    }
    switch.clear_faults();
    let next = lab.attach(&[("leaf1", "eth2")], 101).await;
    // Where the switch ignores VLANs, nothing can be applied.
    if first.fault.is_none() || next.outcome == "applied" { left } else { format!("the next: {next:?}") }
}

#[tokio::test(start_paused = true)]
async fn candidate_persist() {
    under_fire(Kind::CandidatePersist).await;
}

#[tokio::test(start_paused = true)]
async fn candidate_session() {
    under_fire(Kind::CandidateSession).await;
}

#[tokio::test(start_paused = true)]
async fn candidate_plain() {
    under_fire(Kind::CandidatePlain).await;
}

#[tokio::test(start_paused = true)]
async fn any_commit() {
    under_fire(Kind::AnyCommit).await;
}

#[tokio::test(start_paused = true)]
async fn gnmi() {
    under_fire(Kind::Gnmi).await;
}

#[tokio::test(start_paused = true)]
async fn gnmi_plain() {
    under_fire(Kind::GnmiPlain).await;
}

#[tokio::test(start_paused = true)]
async fn running() {
    under_fire(Kind::Running).await;
}

#[tokio::test(start_paused = true)]
async fn running_startup() {
    under_fire(Kind::RunningStartup).await;
}
