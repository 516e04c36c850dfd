//! Habits of gNMI targets that make their answers worth little: what a change is told to have come to is
//! what the target holds, and nothing of it is left in the way of the next one.

use mercury::plan::Risk;
use mercury::sim::gnmi::{CommitExtension, GnmiQuirks};
use mercury::transport::{Commit, ReadSet};
use tonic::Code;

use super::raw::Raw;
use super::*;

/// A target of this kind with these habits.
fn target(kind: Kind, habit: impl FnOnce(&mut GnmiQuirks)) -> SwitchSpec {
    let mut spec = spec("leaf1", kind);
    habit(&mut spec.gnmi.as_mut().unwrap().quirks);
    spec
}

/// Attaches eth1; where it does not end so, or something is left, what.
async fn problem(spec: SwitchSpec, vlan: i64, end: End) -> String {
    let lab = Lab::new(vec![spec.clone()]).await;
    let before = lab.leaf1().running_xml();
    let started = Instant::now();
    let change = lab.attach(&[("leaf1", "eth1")], vlan).await;
    let after = match end {
        End::Applied => sound(&plain(spec), &[("eth1", vlan)]).await,
        _ => before,
    };
    let is_exact = lab.leaf1().running_xml() == after;
    if end_of(&change, 0) != Some(end) || !is_exact {
        return format!("{:?}, expected {end:?}, exact {is_exact}", change.devices[0].outcome);
    }
    if started.elapsed() > BUDGET {
        return format!("it took {:?}", started.elapsed());
    }
    lab.leftovers().await
}

/// The same target without its habits.
fn plain(mut spec: SwitchSpec) -> SwitchSpec {
    spec.gnmi.as_mut().unwrap().quirks = GnmiQuirks::default();
    spec
}

const OPEN: [Code; 6] = [
    Code::Internal,
    Code::Unknown,
    Code::Cancelled,
    Code::Unavailable,
    Code::DeadlineExceeded,
    Code::DataLoss,
];

const NO: [Code; 5] = [
    Code::Aborted,
    Code::InvalidArgument,
    Code::FailedPrecondition,
    Code::PermissionDenied,
    Code::ResourceExhausted,
];

#[tokio::test(start_paused = true)]
async fn every_set_is_carried_out_and_answered_with_an_error() {
    let mut wrong = Wrong::default();
    for kind in [Kind::Gnmi, Kind::GnmiPlain] {
        for code in OPEN.into_iter().chain(NO) {
            let spec = target(kind, |quirks| quirks.fails_after_applying = Some(code));
            // Without a timer, what was lost and stands is kept; what was refused goes in any case.
            let end = match kind == Kind::GnmiPlain && OPEN.contains(&code) {
                true => End::Applied,
                false => End::RolledBack(Phase::Commit),
            };
            wrong.cell(&format!("{} {code:?}", kind.name()), &problem(spec, 100, end).await);
        }
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn answers_that_say_nothing_or_what_is_not_so() {
    let mut wrong = Wrong::default();
    for kind in [Kind::Gnmi, Kind::GnmiPlain] {
        let mut cell = async |name: &str, spec, vlan, end| {
            wrong.cell(&format!("{} {name}", kind.name()), &problem(spec, vlan, end).await);
        };
        let lies = target(kind, |quirks| quirks.applies_nothing = true);
        cell("OK and nothing done", lies, 100, End::RolledBack(Phase::Verify)).await;

        let mute = |quirks: &mut GnmiQuirks| quirks.no_results = true;
        cell("no results", target(kind, mute), 100, End::Applied).await;
        let mut both = target(kind, mute);
        both.quirks.ignore = Some("access-vlan".to_owned());
        cell("no results and half done", both, 100, End::RolledBack(Phase::Verify)).await;

        let ignored = target(kind, |quirks| quirks.commit = CommitExtension::Ignored);
        cell("the extension ignored", ignored, 100, End::Applied).await;
        let mut half = target(kind, |quirks| quirks.commit = CommitExtension::Ignored);
        half.quirks.ignore = Some("access-vlan".to_owned());
        cell("the extension ignored and half done", half, 100, End::RolledBack(Phase::Verify)).await;

        for partial in [false, true] {
            let mut keeps = target(kind, |quirks| quirks.keeps_failed_commit = true);
            (keeps.quirks.refuse, keeps.quirks.partial) = (Some(105), partial);
            let name = format!("a refused commit stays pending, partial {partial}");
            cell(&name, keeps, 105, End::RolledBack(Phase::Commit)).await;
        }
    }
    wrong.none();
}

/// A refused commit that stays pending is in nobody's way afterwards, whatever happens to its cancel.
#[tokio::test(start_paused = true)]
async fn a_refused_commit_that_stays_pending_is_cancelled() {
    let mut wrong = Wrong::default();
    for what in single::main_ways() {
        let mut spec = target(Kind::Gnmi, |quirks| quirks.keeps_failed_commit = true);
        spec.quirks.refuse = Some(105);
        let lab = Lab::new(vec![spec]).await;
        lab.leaf1().inject(FaultSpec {
            rpc: "gnmi-cancel".to_owned(),
            nth: Nth::Only(2),
            what: what.clone(),
        });
        let change = lab.attach(&[("leaf1", "eth1")], 105).await;
        let mut problem = match end_of(&change, 0) {
            Some(End::RolledBack(Phase::Commit)) => lab.leftovers().await,
            _ => format!("{change:?}"),
        };
        let next = lab.attach(&[("leaf1", "eth2")], 101).await;
        if next.outcome != "applied" {
            problem += &format!("the next change: {next:?}");
        }
        wrong.cell(&format!("{what:?}"), &problem);
    }
    wrong.none();
}

/// It has the time of its timer, and we have no lock to wait for: ours is refused, and nothing of theirs
/// is touched. That it was pending when our session began does not cost us our own timer.
#[tokio::test(start_paused = true)]
async fn a_pending_commit_of_another_client_is_left_alone() {
    let lab = Lab::one(Kind::Gnmi).await;
    let mut theirs = open(&lab).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    let set =
        r#"{"update":[{"path":"/interfaces/interface[name=eth3]/config","val":{"description":"theirs"}}]}"#;
    theirs.stage(&mercury::render::Payload::Gnmi(set.to_owned()), "theirs", deadline).await.unwrap();
    let timeout = Duration::from_secs(40);
    let how = Commit::Timed { timeout, persist_id: "theirs".to_owned() };
    let reads = ReadSet { paths: Vec::new(), schema: SCHEMA.clone() };
    theirs.commit(&how, &reads, deadline).await.commit.unwrap();
    let pending = lab.leaf1().running_xml();
    assert!(pending.contains("<description>theirs<"), "{pending}");

    let change = lab.attach(&[("leaf1", "eth1")], 100).await;
    assert_eq!(end_of(&change, 0), Some(End::RolledBack(Phase::Commit)), "{change:?}");
    assert!(format!("{change:?}").contains("FAILED_PRECONDITION: a commit waits"), "{change:?}");
    assert!(lab.leaf1().running_xml() == pending && lab.leaf1().pending_commit());
    assert_eq!(lab.journals(), "");
    // When it has run out, their change is gone and ours can come, with its timer.
    tokio::time::sleep(timeout).await;
    assert_eq!(lab.attach(&[("leaf1", "eth1")], 100).await.outcome, "applied");
    let sent: Vec<String> = lab.leaf1().log().into_iter().map(|logged| logged.rpc).collect();
    assert_eq!(sent.iter().filter(|rpc| *rpc == "gnmi-set").count(), 1, "that of the probe: {sent:?}");
    assert_eq!(lab.leftovers().await, "");
}

async fn open(lab: &Lab) -> Box<dyn Session> {
    let device = lab.engine.world().inventory.devices["leaf1"].clone();
    let connector = InMemory { switch: lab.switches["leaf1"].clone(), device, parent: None };
    connector.open(Instant::now() + Duration::from_secs(5)).await.unwrap()
}

/// A refusal of the probe that is not about commits: a login that Capabilities did not ask for is told,
/// anything else is a target without the extension, which its plan says.
#[tokio::test(start_paused = true)]
async fn a_probe_that_is_refused() {
    for (code, end) in [
        ("unauthenticated", End::RolledBack(Phase::Connect)),
        ("permission-denied", End::Applied),
        ("invalid-argument", End::Applied),
        ("unimplemented", End::Applied),
    ] {
        let lab = Lab::one(Kind::Gnmi).await;
        lab.leaf1().inject(FaultSpec::once("gnmi-cancel", What::Reject(code.to_owned())));
        let change = lab.attach(&[("leaf1", "eth1")], 100).await;
        assert_eq!(end_of(&change, 0), Some(end), "{code}: {change:?}");
        let says = format!("{change:?}");
        let expected =
            if end == End::Applied { "no commit timer" } else { "refused the login of user `admin`" };
        assert!(says.contains(expected), "{code}: {says}");
        assert_eq!(lab.leftovers().await, "", "{code}");
    }
}

/// The Set whose answer was lost arrives when everybody has looked already. Nobody was told that it was
/// taken back, and the next who comes takes it back.
#[tokio::test(start_paused = true)]
async fn what_comes_late_is_found_by_the_next() {
    const LATE: &str = "<edit-config><target><running/></target><config>\
        <interfaces xmlns='http://openconfig.net/yang/interfaces'><interface><name>eth1</name>\
        <ethernet xmlns='http://openconfig.net/yang/interfaces/ethernet'>\
        <switched-vlan xmlns='http://openconfig.net/yang/vlan'><config><interface-mode>ACCESS</interface-mode>\
        <access-vlan>100</access-vlan></config></switched-vlan></ethernet></interface></interfaces>\
        </config></edit-config>";
    let kind = Kind::GnmiPlain;
    for is_restarted in [false, true] {
        let mut lab = Lab::one(kind).await;
        lab.leaf1().inject(FaultSpec::once(kind.commit(), What::DropBefore));
        let change = lab.attach(&[("leaf1", "eth1")], 100).await;
        let told = format!("{:?}", change.devices[0].outcome);
        assert_eq!(end_of(&change, 0), Some(End::Unknown), "{told}");
        assert!(told.contains("may still take effect"), "{told}");

        Raw::open(lab.leaf1()).await.ok(LATE).await;
        assert!(is_in(&lab.leaf1().running_xml(), "eth1", 100));
        if is_restarted {
            lab.restart();
        }
        // Who looks before he changes something is told that it may not stay so.
        let looked = Call { dry_run: true, ..attach(&[("leaf1", "eth1")], 100) };
        let looked = lab.engine.change(looked).await.unwrap();
        assert!(looked.devices[0].risks.contains(&Risk::Unsettled), "{looked:?}");
        let next = lab.attach(&[("leaf1", "eth2")], 101).await;
        assert_eq!(end_of(&next, 0), Some(End::Applied), "{next:?}");
        let running = lab.leaf1().running_xml();
        assert!(!is_in(&running, "eth1", 100) && is_in(&running, "eth2", 101), "{running}");
        assert_eq!(lab.leftovers().await, "");
    }
}
