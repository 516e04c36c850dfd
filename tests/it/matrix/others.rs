//! Somebody else on the same switch: with a lock, with an edit, with a commit of their own.

use tokio::task::JoinHandle;

use super::raw::{Raw, has_candidate};
use super::*;

/// How long a lock may be waited for, the first hello included.
const WAIT: Duration = LOCK_WAIT.saturating_add(Duration::from_millis(50));

/// A switch that ignores half of every change, so that each is undone; and between our commit and
/// our undo there are five seconds.
async fn lab_with_a_pause(personality: Personality) -> Lab {
    let mut spec = spec("leaf1", personality);
    spec.quirks.ignore = Some("access-vlan".to_owned());
    let lab = Lab::new(vec![spec]).await;
    pause_before_undo(&lab, personality);
    lab
}

/// The datastores that a session of ours locks.
fn locked(personality: Personality) -> &'static [&'static str] {
    match personality {
        Personality::RunningStartup => &["running", "startup"],
        Personality::Running => &["running"],
        // Running changes by commits only, and the candidate's lock keeps those of others out.
        _ => &["candidate"],
    }
}

/// The first lock of the second time that we lock comes late.
fn pause_before_undo(lab: &Lab, personality: Personality) {
    let (rpc, nth) = ("lock".to_owned(), Nth::Only(locked(personality).len() as u32 + 1));
    lab.leaf1().inject(FaultSpec { rpc, nth, what: What::Delay(Duration::from_secs(5)) });
}

fn start(lab: &Lab) -> JoinHandle<Change> {
    let (engine, call) = (lab.engine.clone(), attach(&[("leaf1", "eth1")], 100));
    tokio::spawn(async move { engine.change(call).await.unwrap() })
}

/// Waits until the undo asks for its first lock, then describes a port of somebody else's choice.
async fn interfere(lab: &Lab, personality: Personality, port: &str) {
    seen(lab.leaf1(), "lock", locked(personality).len() + 1).await;
    Raw::open(lab.leaf1()).await.describe_for_good(personality, port, "theirs").await;
}

fn theirs(running: &str, port: &str) -> bool {
    let entry = running.split(&format!("<interface><name>{port}</name>")).nth(1).unwrap_or_default();
    entry.split("</interface>").next().is_some_and(|entry| entry.contains("<description>theirs<"))
}

#[tokio::test(start_paused = true)]
async fn the_same_port_is_changed_before_we_undo() {
    let mut wrong = Wrong::default();
    for personality in Personality::ALL {
        let lab = lab_with_a_pause(personality).await;
        let change = start(&lab);
        interfere(&lab, personality, "eth1").await;
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
        wrong.cell(personality.name(), &problem);
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn another_port_is_changed_before_we_undo() {
    let mut wrong = Wrong::default();
    for personality in Personality::ALL {
        let lab = lab_with_a_pause(personality).await;
        let expected = Lab::one(personality).await;
        Raw::open(expected.leaf1()).await.describe_for_good(personality, "eth2", "theirs").await;
        let change = start(&lab);
        interfere(&lab, personality, "eth2").await;
        let change = change.await.unwrap();
        let running = lab.leaf1().running_xml();
        let problem = if end_of(&change, 0) != Some(End::RolledBack(Phase::Verify)) {
            format!("{:?}", change.devices[0].outcome)
        } else if running != expected.leaf1().running_xml() {
            format!("running is {}", differences(&running, &expected.leaf1().running_xml()))
        } else {
            lab.leftovers().await
        };
        wrong.cell(personality.name(), &problem);
    }
    wrong.none();
}

/// Our session goes, and with it our locks, right after the commit; before we are back, somebody
/// else has changed another port. A change that stands is kept, and so is theirs.
#[tokio::test(start_paused = true)]
async fn another_port_is_changed_before_we_settle() {
    let mut wrong = Wrong::default();
    for personality in [Personality::CandidatePlain, Personality::Running, Personality::RunningStartup] {
        let lab = Lab::one(personality).await;
        let commit = if has_candidate(personality) { "commit" } else { "edit-config" };
        lab.leaf1().inject(FaultSpec::once(commit, What::DropAfter));
        pause_before_undo(&lab, personality);
        let change = start(&lab);
        interfere(&lab, personality, "eth2").await;
        let change = change.await.unwrap();
        let running = lab.leaf1().running_xml();
        let problem = if end_of(&change, 0) != Some(End::Applied) {
            format!("{:?}", change.devices[0].outcome)
        } else if !is_in(&running, "eth1", 100) || !theirs(&running, "eth2") {
            running
        } else {
            lab.leftovers().await
        };
        wrong.cell(personality.name(), &problem);
    }
    wrong.none();
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for() {
    for personality in Personality::ALL {
        for datastore in locked(personality) {
            let lab = Lab::one(personality).await;
            let mut other = Raw::open(lab.leaf1()).await;
            other.lock(datastore).await;
            let change = start(&lab);
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert!(!change.is_finished());
            other.unlock(datastore).await;
            let change = change.await.unwrap();
            assert_eq!(change.outcome, "applied", "{} {datastore}: {change:?}", personality.name());
            assert_eq!(lab.leftovers().await, "", "{} {datastore}", personality.name());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_stays_is_told_with_its_holder() {
    for personality in Personality::ALL {
        for datastore in locked(personality) {
            let cell = format!("{} {datastore}", personality.name());
            let lab = Lab::one(personality).await;
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
    for personality in Personality::ALL.into_iter().filter(|personality| has_candidate(*personality)) {
        let name = personality.name();
        let lab = Lab::one(personality).await;
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
    for personality in Personality::ALL.into_iter().filter(|personality| has_candidate(*personality)) {
        let name = personality.name();
        let lab = Lab::one(personality).await;
        let before = lab.leaf1().running_xml();
        let mut other = Raw::open(lab.leaf1()).await;
        other.describe(personality, "eth3", "theirs").await;
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
    for (personality, persist) in [
        (Personality::CandidatePersist, "<persist>theirs</persist>"),
        (Personality::CandidatePersist, ""),
        (Personality::CandidateSession, ""),
    ] {
        let cell = format!("{} {persist}", personality.name());
        let lab = Lab::one(personality).await;
        let mut other = Raw::open(lab.leaf1()).await;
        other.describe(personality, "eth3", "theirs").await;
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
