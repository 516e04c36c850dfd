//! The fault matrix: every phase, every way it can fail, every kind of promise.

use super::*;

pub const REJECT: &str = "operation-failed";

fn ways() -> impl Iterator<Item = What> {
    main_ways().into_iter().chain([What::Close, What::Doctype, What::NotXml])
}

/// The ways that end differently from each other.
pub fn main_ways() -> [What; 6] {
    [
        What::Reject(REJECT.to_owned()),
        What::DropBefore,
        What::DropAfter,
        What::HangBefore,
        What::HangAfter,
        What::Malformed,
    ]
}

/// Whether the switch did what the message asked before things went wrong.
pub fn has_effect(what: &What) -> bool {
    !matches!(what, What::Reject(_) | What::DropBefore | What::HangBefore)
}

pub fn is_timed(personality: Personality) -> bool {
    use Personality::{AnyCommit, CandidatePersist, CandidateSession};
    matches!(personality, CandidatePersist | CandidateSession | AnyCommit)
}

/// The rpc that makes a change run.
pub fn commit(personality: Personality) -> &'static str {
    match personality {
        Personality::CandidatePlain => "commit",
        Personality::Running | Personality::RunningStartup => "edit-config",
        _ => "confirmed-commit",
    }
}

/// The rpcs of one attach in order, with the phase they belong to.
pub fn steps(personality: Personality) -> Vec<(&'static str, u32, Phase)> {
    let start = [("lock", 1, Phase::Lock), ("get-config", 1, Phase::Lock)];
    let rest: &[_] = match personality {
        Personality::CandidatePersist | Personality::CandidateSession | Personality::AnyCommit => &[
            ("edit-config", 1, Phase::Stage),
            ("confirmed-commit", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("confirm", 1, Phase::Confirm),
            ("unlock", 1, Phase::Unlock),
        ],
        Personality::CandidatePlain => &[
            ("edit-config", 1, Phase::Stage),
            ("commit", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("unlock", 1, Phase::Unlock),
        ],
        Personality::Running => &[
            ("edit-config", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("unlock", 1, Phase::Unlock),
        ],
        Personality::RunningStartup => &[
            ("edit-config", 1, Phase::Commit),
            ("get-config", 2, Phase::Verify),
            ("copy-config", 1, Phase::Save),
            ("unlock", 1, Phase::Unlock),
        ],
    };
    start.iter().chain(rest).copied().collect()
}

/// How each cell must end.
pub fn expected(personality: Personality, rpc: &str, phase: Phase, what: &What) -> End {
    if *what == What::Close {
        // A connection that closes behind a good answer fails whatever is sent next.
        let steps = steps(personality);
        let own = steps.iter().position(|step| step.0 == rpc && step.2 == phase);
        return match steps.get(own.unwrap_or_default() + 1) {
            // Nothing of these had been sent yet.
            Some((_, _, phase @ (Phase::Lock | Phase::Confirm))) => End::RolledBack(*phase),
            Some((next, _, phase)) => expected(personality, next, *phase, &What::DropBefore),
            None => End::Applied,
        };
    }
    let is_timed = is_timed(personality);
    let rejected = matches!(what, What::Reject(_));
    match phase {
        Phase::Lock | Phase::Stage => End::RolledBack(phase),
        Phase::Unlock => End::Applied,
        // A commit for good that took effect is found by reading back.
        Phase::Commit if !is_timed && has_effect(what) => End::Applied,
        Phase::Commit => End::RolledBack(Phase::Commit),
        Phase::Verify if !is_timed && !rejected => End::Applied,
        Phase::Verify => End::RolledBack(Phase::Verify),
        Phase::Confirm if has_effect(what) => End::Applied,
        // It was verified: whoever knows the id, or any commit, may still confirm it.
        Phase::Confirm if !rejected && personality != Personality::CandidateSession => End::Applied,
        Phase::Confirm => End::RolledBack(Phase::Confirm),
        Phase::Save if has_effect(what) => End::Applied,
        Phase::Save => End::RolledBack(Phase::Save),
        other => panic!("no such phase in the matrix: {other}"),
    }
}

#[tokio::test(start_paused = true)]
async fn every_phase_fails_in_every_way_on_every_kind_of_switch() {
    let mut wrong = Wrong::default();
    for asked in [Asked::Attach, Asked::AddNetwork, Asked::DeleteNetwork] {
        for personality in Personality::ALL {
            let clean = Lab::new(vec![asked.spec(personality)]).await;
            clean.engine.change(asked.call()).await.unwrap();
            let after = clean.leaf1().running_xml();
            for (rpc, nth, phase) in steps(personality) {
                for what in ways() {
                    let cell = format!("{asked:?} {} {rpc}@{nth} {what:?}", personality.name());
                    wrong.cell(&cell, &problem(asked, &after, personality, rpc, nth, phase, what).await);
                }
            }
        }
    }
    wrong.none();
}

/// What is asked of the switch while something fails.
#[derive(Clone, Copy, Debug)]
enum Asked {
    Attach,
    AddNetwork,
    DeleteNetwork,
}

impl Asked {
    fn call(self) -> Call {
        let vlan = VlanId::new(150).unwrap();
        match self {
            Self::Attach => attach(&[("leaf1", "eth1")], 100),
            Self::AddNetwork => networks::call(&["leaf1"], Intent::AddNetwork { vlan }),
            Self::DeleteNetwork => networks::call(&["leaf1"], Intent::DeleteNetwork { vlan, force: false }),
        }
    }

    fn spec(self, personality: Personality) -> SwitchSpec {
        match self {
            Self::Attach => spec("leaf1", personality),
            Self::AddNetwork => networks::spec("leaf1", personality, &[10, 101]),
            Self::DeleteNetwork => networks::spec("leaf1", personality, &[10, 101, 150]),
        }
    }
}

async fn problem(
    asked: Asked,
    after: &str,
    personality: Personality,
    rpc: &str,
    nth: u32,
    phase: Phase,
    what: What,
) -> String {
    let lab = Lab::new(vec![asked.spec(personality)]).await;
    let switch = lab.leaf1();
    let before = switch.running_xml();
    // A lock that is refused once is tried again, so here it is refused throughout.
    let throughout = phase == Phase::Lock && matches!(what, What::Reject(_));
    let nth = if throughout { Nth::Every } else { Nth::Only(nth) };
    switch.inject(FaultSpec { rpc: rpc.to_owned(), nth, what: what.clone() });
    let change = lab.engine.change(asked.call()).await.unwrap();
    let running = switch.running_xml();
    let expected = expected(personality, rpc, phase, &what);
    let is_exact = running == if expected == End::Applied { after } else { &before };
    if end_of(&change, 0) != Some(expected) || !is_exact {
        return format!("{:?}, expected {expected:?}, exact {is_exact}", change.devices[0].outcome);
    }
    if personality == Personality::RunningStartup && switch.startup_xml() != running {
        return "startup is not running".to_owned();
    }
    let left = lab.leftovers().await;
    if !left.is_empty() {
        return left;
    }
    // The next change finds nothing in its way.
    switch.clear_faults();
    let next = lab.attach(&[("leaf1", "eth2")], 101).await;
    if next.outcome == "applied" { left } else { format!("the next change: {next:?}") }
}
