//! One representative of each row of the matrix over SSH, or gNMI over TCP, and real time: what holds
//! over a stream in memory holds over sockets.

use futures_util::future::join_all;
use futures_util::stream::{self, StreamExt as _};

use super::single::expected;
use super::*;

/// Where nothing waits for it to pass: more than a busy machine needs.
const TIMEOUT: Duration = Duration::from_secs(120);
/// Where a switch hangs. A part of it is left for logging in again and undoing.
const HANGING: Duration = Duration::from_secs(12);
/// What a loaded machine may take besides.
const SLACK: Duration = Duration::from_secs(4);
/// How many of the others are played at once: all together keep a machine busy for seconds.
const AT_ONCE: usize = 8;

async fn problem(kind: Kind, rpc: &str, phase: Phase, what: What) -> String {
    let timeout = if is_hang(&what) { HANGING } else { TIMEOUT };
    // A lock that is refused once is tried again, so here it is refused throughout.
    let throughout = phase == Phase::Lock && matches!(what, What::Reject(_));
    let lock_wait = if throughout { Duration::from_millis(300) } else { timeout / 2 };
    let lab = Lab::with(vec![spec("leaf1", kind)], Wire::Sockets, timeout, lock_wait).await;
    let switch = lab.leaf1();
    let before = switch.running_xml();
    let nth = if throughout { Nth::Every } else { Nth::Only(1) };
    switch.inject(FaultSpec { rpc: rpc.to_owned(), nth, what: what.clone() });
    let started = Instant::now();
    let change = lab.attach(&[("leaf1", "eth1")], 100).await;
    if started.elapsed() > timeout + SLACK {
        return format!("it took {:?}", started.elapsed());
    }
    let end = expected(kind, rpc, phase, &what);
    let running = switch.running_xml();
    let is_exact = match end {
        End::Applied => is_in(&running, "eth1", 100),
        _ => running == before,
    };
    if end_of(&change, 0) != Some(end) || !is_exact {
        return format!("{:?}, expected {end:?}, exact {is_exact}", change.devices[0].outcome);
    }
    let left = lab.wrongly_left(end).await;
    switch.clear_faults();
    let next = lab.attach(&[("leaf1", "eth2")], 101).await;
    if next.outcome == "applied" { left } else { format!("{left}; the next change: {next:?}") }
}

fn is_hang(what: &What) -> bool {
    matches!(what, What::HangBefore | What::HangAfter)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_row() {
    let mut cells = Vec::new();
    for kind in [Kind::CandidatePersist, Kind::RunningStartup, Kind::Gnmi, Kind::GnmiPlain] {
        let of_a_row = |(rpc, nth, phase): &(&str, u32, Phase)| {
            *nth == 1 && *rpc != "get-config" && !matches!(phase, Phase::Connect | Phase::Unlock)
        };
        for (rpc, _, phase) in kind.steps().into_iter().filter(of_a_row) {
            cells.extend(single::main_ways().map(|what| (kind, rpc, phase, what)));
        }
    }
    let mut wrong = Wrong::default();
    // Those that hang only wait.
    let (hanging, others): (Vec<_>, Vec<_>) = cells.into_iter().partition(|(.., what)| is_hang(what));
    let played = |(kind, rpc, phase, what): (Kind, &'static str, Phase, What)| async move {
        let name = format!("{} {rpc} {what:?}", kind.name());
        (name, problem(kind, rpc, phase, what).await)
    };
    let mut all: Vec<_> = stream::iter(others).map(played).buffer_unordered(AT_ONCE).collect().await;
    all.extend(join_all(hanging.into_iter().map(played)).await);
    all.iter().for_each(|(name, problem)| wrong.cell(name, problem));
    wrong.none();
}
