//! The fault matrix: every phase, every way it can fail, every kind of promise.

use super::*;

/// By gNMI it is ABORTED.
pub const REJECT: &str = "operation-failed";

/// What gRPC says where nobody knows what was done.
const BROKEN: [&str; 6] =
    ["internal", "unknown", "cancelled", "unavailable", "deadline-exceeded", "data-loss"];

fn ways(kind: Kind) -> impl Iterator<Item = What> {
    let more = match kind.is_gnmi() {
        false => vec![What::Close, What::Doctype, What::NotXml],
        true => {
            let late = Duration::from_secs(5);
            let mut more = vec![What::NotXml, What::Delay(late), What::RejectAfter(REJECT.to_owned())];
            for code in BROKEN {
                more.extend([What::Reject(code.to_owned()), What::RejectAfter(code.to_owned())]);
            }
            more
        }
    };
    main_ways().into_iter().chain([What::BreakOff]).chain(more)
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

/// Whether the switch says no, whatever it did.
fn is_refused(what: &What) -> bool {
    matches!(what, What::Reject(word) | What::RejectAfter(word) if !BROKEN.contains(&word.as_str()))
}

/// Whether the switch did what the message asked before things went wrong.
pub fn has_effect(what: &What) -> bool {
    !matches!(what, What::Reject(_) | What::DropBefore | What::HangBefore)
}

/// How each cell must end.
pub fn expected(kind: Kind, rpc: &str, phase: Phase, what: &What) -> End {
    if *what == What::Close {
        // A connection that closes behind a good answer fails whatever is sent next.
        let steps = kind.steps();
        let own = steps.iter().position(|step| step.0 == rpc && step.2 == phase);
        return match steps.get(own.unwrap_or_default() + 1) {
            // Nothing of these had been sent yet.
            Some((_, _, phase @ (Phase::Lock | Phase::Confirm))) => End::RolledBack(*phase),
            Some((next, _, phase)) => expected(kind, next, *phase, &What::DropBefore),
            None => End::Applied,
        };
    }
    if matches!(what, What::Delay(_)) {
        return End::Applied;
    }
    let is_timed = kind.is_timed();
    let rejected = is_refused(what);
    match phase {
        // A target that refuses it has no commit extension.
        Phase::Connect if rejected && rpc == kind.cancel() => End::Applied,
        Phase::Connect => End::RolledBack(phase),
        Phase::Lock | Phase::Stage => End::RolledBack(phase),
        Phase::Unlock => End::Applied,
        // A commit for good that took effect is found by reading back.
        Phase::Commit if !is_timed && !rejected && has_effect(what) => End::Applied,
        // No lock puts an end to what was sent: it may come after it was looked for.
        Phase::Commit if !rejected && !has_effect(what) && kind.locked().is_empty() => End::Unknown,
        Phase::Commit => End::RolledBack(Phase::Commit),
        Phase::Verify if !is_timed && !rejected => End::Applied,
        Phase::Verify => End::RolledBack(Phase::Verify),
        Phase::Confirm if !rejected && has_effect(what) => End::Applied,
        // It was verified: whoever knows the id, or any commit, may still confirm it.
        Phase::Confirm if !rejected && kind != Kind::CandidateSession => End::Applied,
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
        for kind in Kind::ALL {
            let clean = Lab::new(vec![asked.spec(kind)]).await;
            clean.engine.change(asked.call()).await.unwrap();
            let after = clean.leaf1().running_xml();
            for (rpc, nth, phase) in kind.steps() {
                // What is not there may have to be asked for piece by piece; reading back is the last.
                let reads = || clean.leaf1().log().iter().filter(|logged| logged.rpc == rpc).count() as u32;
                let nth = if phase == Phase::Verify { reads() } else { nth };
                for what in ways(kind) {
                    let cell = format!("{asked:?} {} {rpc}@{nth} {what:?}", kind.name());
                    wrong.cell(&cell, &problem(asked, &after, kind, rpc, nth, phase, what).await);
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

    fn spec(self, kind: Kind) -> SwitchSpec {
        match self {
            Self::Attach => spec("leaf1", kind),
            Self::AddNetwork => networks::spec("leaf1", kind, &[10, 101]),
            Self::DeleteNetwork => networks::spec("leaf1", kind, &[10, 101, 150]),
        }
    }
}

async fn problem(
    asked: Asked,
    after: &str,
    kind: Kind,
    rpc: &str,
    nth: u32,
    phase: Phase,
    what: What,
) -> String {
    let lab = Lab::new(vec![asked.spec(kind)]).await;
    let switch = lab.leaf1();
    let before = switch.running_xml();
    // A lock that is refused once is tried again, so here it is refused throughout.
    let throughout = phase == Phase::Lock && is_refused(&what);
    let nth = if throughout { Nth::Every } else { Nth::Only(nth) };
    switch.inject(FaultSpec { rpc: rpc.to_owned(), nth, what: what.clone() });
    let change = lab.engine.change(asked.call()).await.unwrap();
    let running = switch.running_xml();
    let expected = expected(kind, rpc, phase, &what);
    let is_exact = running == if expected == End::Applied { after } else { &before };
    if end_of(&change, 0) != Some(expected) || !is_exact {
        return format!("{:?}, expected {expected:?}, exact {is_exact}", change.devices[0].outcome);
    }
    if kind == Kind::RunningStartup && switch.startup_xml() != running {
        return "startup is not running".to_owned();
    }
    let left = lab.wrongly_left(expected).await;
    if !left.is_empty() {
        return left;
    }
    // The next change finds nothing in its way.
    switch.clear_faults();
    let next = lab.attach(&[("leaf1", "eth2")], 101).await;
    match next.outcome {
        "applied" => lab.leftovers().await,
        _ => format!("the next change: {next:?}"),
    }
}
