//! Somebody else on the same switch: with a lock, with an edit, with a commit of their own.

use tokio::task::JoinHandle;

use super::raw::Raw;
use super::*;

/// How long a lock may be waited for, the first hello included.
const WAIT: Duration = LOCK_WAIT.saturating_add(Duration::from_millis(50));

/// A switch that ignores half of every change, so that each is undone; and between our commit and
/// our undo there are five seconds.
async fn lab_with_a_pause(kind: Kind) -> Lab {
    let mut spec = spec("leaf1", kind);
    spec.quirks.ignore = Some("access-vlan".to_owned());
    let lab = Lab::new(vec![spec]).await;
    pause_before(&lab, kind.undo());
    lab
}

/// What the undo begins with comes late.
fn pause_before(lab: &Lab, (rpc, nth): (&str, u32)) {
    let what = What::Delay(Duration::from_secs(5));
    lab.leaf1().inject(FaultSpec { rpc: rpc.to_owned(), nth: Nth::Only(nth), what });
}

fn start(lab: &Lab) -> JoinHandle<Change> {
    let (engine, call) = (lab.engine.clone(), attach(&[("leaf1", "eth1")], 100));
    tokio::spawn(async move { engine.change(call).await.unwrap() })
}

/// Waits until the undo begins, then describes a port of somebody else's choice.
async fn interfere(lab: &Lab, kind: Kind, (rpc, nth): (&str, u32), port: &str) {
    seen(lab.leaf1(), rpc, nth as usize).await;
    Raw::open(lab.leaf1()).await.describe_for_good(kind, port, "theirs").await;
}

fn theirs(running: &str, port: &str) -> bool {
    let entry = running.split(&format!("<interface><name>{port}</name>")).nth(1).unwrap_or_default();
    entry.split("</interface>").next().is_some_and(|entry| entry.contains("<description>theirs<"))
}

#[tokio::test(start_paused = true)]
async fn the_same_port_is_changed_before_we_undo() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        let lab = lab_with_a_pause(kind).await;
        let change = start(&lab);
        interfere(&lab, kind, kind.undo(), "eth1").await;
        let between = lab.leaf1().running_xml();
        let change = change.await.unwrap();
        let cause = match &change.devices[0].outcome {
            Some(Outcome::Unknown { phase: Phase::Verify, cause }) => cause.clone(),
            other => format!("ended as {other:?}"),
        };
        let running = lab.leaf1().running_xml();
        let left = lab.leftovers().await;
        // The next change is not held up by it.
        let next = lab.attach(&[("leaf1", "eth2")], 101).await;
        let problem = if !cause.contains("[name='eth1']/config/description") {
            cause
        } else if running != between || !theirs(&running, "eth1") {
            format!("running is {}", differences(&running, &between))
        } else if end_of(&next, 0) != Some(End::RolledBack(Phase::Verify)) {
            format!("the next change: {next:?}")
        } else {
            left
        };
        wrong.cell(kind.name(), &problem);
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn another_port_is_changed_before_we_undo() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        let lab = lab_with_a_pause(kind).await;
        let expected = Lab::one(kind).await;
        Raw::open(expected.leaf1()).await.describe_for_good(kind, "eth2", "theirs").await;
        let change = start(&lab);
        interfere(&lab, kind, kind.undo(), "eth2").await;
        let change = change.await.unwrap();
        let running = lab.leaf1().running_xml();
        let problem = if end_of(&change, 0) != Some(End::RolledBack(Phase::Verify)) {
            format!("{:?}", change.devices[0].outcome)
        } else if running != expected.leaf1().running_xml() {
            format!("running is {}", differences(&running, &expected.leaf1().running_xml()))
        } else {
            lab.leftovers().await
        };
        wrong.cell(kind.name(), &problem);
    }
    wrong.none();
}

/// Our session goes, and with it our locks, right after the commit; before we are back, somebody
/// else has changed another port. A change that stands is kept, and so is theirs.
#[tokio::test(start_paused = true)]
async fn another_port_is_changed_before_we_settle() {
    let mut wrong = Wrong::default();
    for kind in [Kind::CandidatePlain, Kind::Running, Kind::RunningStartup, Kind::GnmiPlain] {
        let lab = Lab::one(kind).await;
        lab.leaf1().inject(FaultSpec::once(kind.commit(), What::DropAfter));
        // What was asked behind the commit never came.
        let settle = if kind.is_gnmi() { (kind.read(), 2) } else { kind.undo() };
        pause_before(&lab, settle);
        let change = start(&lab);
        interfere(&lab, kind, settle, "eth2").await;
        let change = change.await.unwrap();
        let running = lab.leaf1().running_xml();
        let problem = if end_of(&change, 0) != Some(End::Applied) {
            format!("{:?}", change.devices[0].outcome)
        } else if !is_in(&running, "eth1", 100) || !theirs(&running, "eth2") {
            running
        } else {
            lab.leftovers().await
        };
        wrong.cell(kind.name(), &problem);
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for() {
    for kind in Kind::ALL {
        for datastore in kind.locked() {
            let lab = Lab::one(kind).await;
            let mut other = Raw::open(lab.leaf1()).await;
            other.lock(datastore).await;
            let change = start(&lab);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(!change.is_finished());
            other.unlock(datastore).await;
            let change = change.await.unwrap();
            assert_eq!(change.outcome, "applied", "{} {datastore}: {change:?}", kind.name());
            assert_eq!(lab.leftovers().await, "", "{} {datastore}", kind.name());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_stays_is_told_with_its_holder() {
    for kind in Kind::ALL {
        for datastore in kind.locked() {
            let cell = format!("{} {datastore}", kind.name());
            let lab = Lab::one(kind).await;
            // A number that nothing else in the message can be.
            for _ in 0..776 {
                drop(Raw::open(lab.leaf1()).await);
            }
            let mut other = Raw::open(lab.leaf1()).await;
            other.lock(datastore).await;
            let before = lab.leaf1().running_xml();
            let started = Instant::now();
            let change = lab.attach(&[("leaf1", "eth1")], 100).await;
            assert!(started.elapsed() <= WAIT, "{cell}: {:?}", started.elapsed());
            assert_eq!(end_of(&change, 0), Some(End::RolledBack(Phase::Lock)), "{cell}: {change:?}");
            let outcome = change.devices[0].outcome.as_ref().unwrap().to_string();
            assert!(outcome.contains("777"), "{cell}: {outcome}");
            assert_eq!(lab.leaf1().running_xml(), before, "{cell}");
            // Only theirs, and theirs still.
            assert_eq!(lab.leaf1().locks(), BTreeMap::from([(*datastore, 777)]), "{cell}");
            assert_eq!(lab.journals(), "", "{cell}");
            other.unlock(datastore).await;
            assert_eq!(lab.attach(&[("leaf1", "eth1")], 100).await.outcome, "applied", "{cell}");
        }
    }
}

/// Running of a switch with a candidate is not locked by us, so a lock of running alone shows at
/// the commit. Nothing of theirs or ours is left in the way.
#[tokio::test(start_paused = true)]
async fn a_lock_of_running_alone_is_waited_for_and_told_at_the_commit() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.has_candidate()) {
        let name = kind.name();
        let lab = Lab::one(kind).await;
        let before = lab.leaf1().running_xml();
        let mut other = Raw::open(lab.leaf1()).await;
        other.lock("running").await;
        let started = Instant::now();
        let change = lab.attach(&[("leaf1", "eth1")], 100).await;
        assert!(
            started.elapsed() > WAIT / 2 && started.elapsed() <= WAIT * 2,
            "{name}: {:?}",
            started.elapsed()
        );
        assert_eq!(end_of(&change, 0), Some(End::RolledBack(Phase::Commit)), "{name}: {change:?}");
        let told = format!("{:?}", change.devices[0].outcome);
        assert!(told.contains("<session-id") && told.contains(">1</session-id>"), "{name}: {told}");
        assert_eq!(lab.leaf1().running_xml(), before, "{name}");
        assert_eq!(lab.leaf1().locks(), BTreeMap::from([("running", 1)]), "{name}");
        other.unlock("running").await;
        assert_eq!(lab.leftovers().await, "", "{name}");
        assert_eq!(lab.attach(&[("leaf1", "eth1")], 100).await.outcome, "applied", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dirty_candidate_is_left_alone() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.has_candidate()) {
        let name = kind.name();
        let lab = Lab::one(kind).await;
        let before = lab.leaf1().running_xml();
        let mut other = Raw::open(lab.leaf1()).await;
        other.describe(kind, "eth3", "theirs").await;
        let started = Instant::now();
        let change = lab.attach(&[("leaf1", "eth1")], 100).await;
        assert!(started.elapsed() <= WAIT, "{name}: {:?}", started.elapsed());
        assert_eq!(end_of(&change, 0), Some(End::RolledBack(Phase::Lock)), "{name}: {change:?}");
        assert_eq!(lab.leaf1().running_xml(), before, "{name}");
        let candidate = other.rpc("<get-config><source><candidate/></source></get-config>").await;
        assert!(theirs(&candidate, "eth3") && !is_in(&candidate, "eth1", 100), "{name}: {candidate}");
        other.ok("<commit/>").await;
        assert!(theirs(&lab.leaf1().running_xml(), "eth3"), "{name}");
        assert_eq!(lab.attach(&[("leaf1", "eth1")], 100).await.outcome, "applied", "{name}");
        assert_eq!(lab.leftovers().await, "", "{name}");
    }
}

/// Where any commit confirms, ours would confirm theirs, and nothing in NETCONF shows that it is
/// there: such switches are left out here.
#[tokio::test(start_paused = true)]
async fn a_pending_commit_of_somebody_else_is_left_alone() {
    for (kind, persist) in [
        (Kind::CandidatePersist, "<persist>theirs</persist>"),
        (Kind::CandidatePersist, ""),
        (Kind::CandidateSession, ""),
    ] {
        let cell = format!("{} {persist}", kind.name());
        let lab = Lab::one(kind).await;
        let mut other = Raw::open(lab.leaf1()).await;
        other.describe(kind, "eth3", "theirs").await;
        other
            .ok(&format!("<commit><confirmed/><confirm-timeout>40</confirm-timeout>{persist}</commit>"))
            .await;
        let pending = lab.leaf1().running_xml();
        let change = lab.attach(&[("leaf1", "eth1")], 100).await;
        assert_eq!(end_of(&change, 0), Some(End::RolledBack(Phase::Lock)), "{cell}: {change:?}");
        assert_eq!(lab.leaf1().running_xml(), pending, "{cell}");
        assert!(lab.leaf1().pending_commit() && lab.leaf1().locks().is_empty(), "{cell}");
        assert_eq!(lab.journals(), "", "{cell}");
        // When it has run out, their change is gone and ours can come.
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(lab.attach(&[("leaf1", "eth1")], 100).await.outcome, "applied", "{cell}");
        assert!(!theirs(&lab.leaf1().running_xml(), "eth3"), "{cell}");
        assert_eq!(lab.leftovers().await, "", "{cell}");
    }
}
