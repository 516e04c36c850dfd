//! One representative of each row of the matrix over SSH, or gNMI over TCP, and real time: what holds over a stream in
//! memory holds over sockets.

use futures_util::future::join_all;

use super::single::expected;
use super::*;

const TIMEOUT: Duration = Duration::from_secs(4);
/// What a loaded machine may take besides.
const SLACK: Duration = Duration::from_secs(2);

async fn problem(kind: Kind, rpc: &str, phase: Phase, what: What) -> String {
    let lab = Lab::with(vec![spec("leaf1", kind)], Wire::Sockets, TIMEOUT, Duration::from_millis(300)).await;
    let switch = lab.leaf1();
    let before = switch.running_xml();
    // A lock that is refused once is tried again, so here it is refused throughout.
    let throughout = phase == Phase::Lock && matches!(what, What::Reject(_));
    let nth = if throughout { Nth::Every } else { Nth::Only(1) };
    switch.inject(FaultSpec { rpc: rpc.to_owned(), nth, what: what.clone() });
    let started = Instant::now();
    let change = lab.attach(&[("leaf1", "eth1")], 100).await;
    if started.elapsed() > TIMEOUT + SLACK {
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

#[tokio::test(flavor = "multi_thread")]
async fn one_of_each_row() {
    let mut cells = Vec::new();
    for kind in [Kind::CandidatePersist, Kind::RunningStartup, Kind::Gnmi, Kind::GnmiPlain] {
        let of_a_row = |(rpc, nth, phase): &(&str, u32, Phase)| {
            *nth == 1 && *rpc != "get-config" && !matches!(phase, Phase::Connect | Phase::Unlock)
        };
        for (rpc, _, phase) in kind.steps().into_iter().filter(of_a_row) {
            for what in single::main_ways() {
                cells.push(async move {
                    let name = format!("{} {rpc} {what:?}", kind.name());
                    (name, problem(kind, rpc, phase, what).await)
                });
            }
        }
    }
    let mut wrong = Wrong::default();
    join_all(cells).await.iter().for_each(|(name, problem)| wrong.cell(name, problem));
    wrong.none();
}
