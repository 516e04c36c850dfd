//! Locks, commits, startup, and what the end of a session does.

use std::time::Duration;

use super::*;

#[test]
fn running_and_startup() {
    let mut bench = Bench::new(Personality::RunningStartup, Quirks::default());
    let wrong = "<interface-mode>TRUNK</interface-mode><access-vlan>100</access-vlan>";
    bench.fails(1, &port("running", "merge", "", wrong), "unknown-element", &[]);
    bench.ok(1, &port("running", "merge", "", ACCESS));
    assert_eq!(bench.store.commits, 1);
    let read = "<get-config><source><startup/></source></get-config>";
    assert!(!bench.ok(1, read).contains("access-vlan"));
    let save = "<copy-config><target><startup/></target><source><running/></source></copy-config>";
    bench.ok(2, "<lock><target><startup/></target></lock>");
    bench.fails(1, save, "in-use", &[]);
    bench.ok(2, save);
    assert!(bench.ok(1, read).contains("access-vlan"));
    bench.ok(2, "<delete-config><target><startup/></target></delete-config>");
    assert_eq!(bench.ok(1, read), "");
    for operation in
        [COMMIT, "<discard-changes/>", "<lock><target><candidate/></target></lock>", "<cancel-commit/>"]
    {
        bench.fails(1, operation, "operation-not-supported", &[]);
    }
}

#[test]
fn locks_and_the_end_of_sessions() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let lock = |name: &str| format!("<lock><target><{name}/></target></lock>");
    let unlock = "<unlock><target><candidate/></target></unlock>";
    bench.ok(1, &lock("candidate"));
    bench.fails(2, &lock("candidate"), "lock-denied", &["<error-info><session-id>1</session-id>"]);
    bench.fails(1, &lock("candidate"), "lock-denied", &["<session-id>1<"]);
    bench.fails(2, unlock, "operation-failed", &[]);
    bench.ok(1, &port("candidate", "merge", "<mtu>9000</mtu>", ""));
    for operation in [port("candidate", "merge", "", ACCESS), "<discard-changes/>".into(), COMMIT.into()] {
        bench.fails(2, &operation, "in-use", &[]);
    }
    bench.store.close(1);
    assert!(bench.store.locks().is_empty() && !bench.is_dirty());

    bench.ok(2, &port("candidate", "merge", "<mtu>9000</mtu>", ""));
    let (third, _) = bench.store.open();
    bench.fails(third, &lock("candidate"), "resource-denied", &[]);
    bench.fails(2, &lock("candidate"), "resource-denied", &[]);
    bench.store.close(2);
    assert!(bench.is_dirty(), "without a lock the shared candidate stays as it is");
    bench.ok(third, "<discard-changes/>");
    bench.ok(third, &lock("running"));
    let (fourth, _) = bench.store.open();
    bench.fails(fourth, COMMIT, "in-use", &[]);
    bench.fails(fourth, "<kill-session><session-id>77</session-id></kill-session>", "invalid-value", &[]);
    bench.ok(fourth, &format!("<kill-session><session-id>{third}</session-id></kill-session>"));
    assert!(bench.store.locks().is_empty());
}

const TIMED: &str = "<commit><confirmed/><confirm-timeout>60</confirm-timeout></commit>";

fn timed(rest: &str) -> String {
    TIMED.replace("</commit>", &format!("{rest}</commit>"))
}

#[test]
fn a_persistent_confirmed_commit() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let before = bench.running();
    let change = port("candidate", "merge", "", ACCESS);
    bench.ok(1, &change);
    bench.ok(1, &timed("<persist>x</persist>"));
    bench.store.close(1);
    assert!(bench.running() != before && bench.store.pending.is_some());
    bench.fails(2, COMMIT, "in-use", &[]);
    bench.fails(2, "<lock><target><running/></target></lock>", "in-use", &[]);
    bench.fails(2, "<commit><persist-id>y</persist-id></commit>", "invalid-value", &[]);
    bench.fails(2, "<cancel-commit/>", "in-use", &[]);
    bench.fails(2, "<cancel-commit><persist-id>y</persist-id></cancel-commit>", "invalid-value", &[]);
    bench.ok(2, "<commit><persist-id>x</persist-id></commit>");
    bench.fails(2, "<commit><persist-id>x</persist-id></commit>", "invalid-value", &[]);
    bench.fails(2, "<cancel-commit/>", "operation-failed", &[]);
    assert_eq!(bench.store.commits, 1);
    bench.now += Duration::from_secs(61);
    let after = bench.ok(2, "<get-config><source><running/></source></get-config>");
    assert!(after.contains("access-vlan"), "confirmed for good");

    bench.ok(2, &port("candidate", "merge", "<mtu>9000</mtu>", ""));
    bench.ok(2, &timed("<persist>z</persist>"));
    bench.fails(2, COMMIT, "invalid-value", &[]);
    bench.ok(2, "<cancel-commit><persist-id>z</persist-id></cancel-commit>");
    assert_eq!(bench.running(), after);
}

#[test]
fn timers_expire_and_extend() {
    let mut bench = Bench::new(Personality::CandidatePersist, Quirks::default());
    let before = bench.running();
    bench.ok(1, &port("candidate", "merge", "", ACCESS));
    bench.ok(1, &timed("<persist>x</persist>"));
    bench.now += Duration::from_secs(59);
    bench.ok(1, &port("candidate", "merge", "<mtu>9000</mtu>", ""));
    bench.ok(2, &timed("<persist-id>x</persist-id>"));
    bench.now += Duration::from_secs(59);
    bench.fails(1, COMMIT, "in-use", &[]);
    bench.ok(1, &port("candidate", "merge", "<mtu>8000</mtu>", ""));
    bench.now += Duration::from_secs(1);
    bench.ok(1, "<get><filter/></get>");
    assert_eq!(bench.running(), before, "back to what was before the first of them");
    assert!(bench.store.pending.is_none() && !bench.is_dirty());
    for bad in ["0", "-1", "x"] {
        bench.fails(1, &TIMED.replace("60", bad), "invalid-value", &["confirm-timeout"]);
    }
}

#[test]
fn a_lock_can_keep_a_timed_commit() {
    let quirks = Quirks { undo_needs_unlock: true, ..Quirks::default() };
    let mut bench = Bench::new(Personality::CandidatePersist, quirks);
    for locked in [true, false] {
        let before = bench.running();
        bench.ok(1, &port("candidate", "merge", &format!("<description>{locked}</description>"), ""));
        bench.ok(1, &timed("<persist>x</persist>"));
        if locked {
            bench.fails(2, "<lock><target><running/></target></lock>", "in-use", &[]);
            bench.ok(1, "<lock><target><running/></target></lock>");
        }
        bench.ok(1, "<cancel-commit><persist-id>x</persist-id></cancel-commit>");
        assert_eq!(bench.running() != before, locked);
        if locked {
            bench.ok(1, "<unlock><target><running/></target></unlock>");
        }
    }
}

#[test]
fn weaker_confirms() {
    let mut bench = Bench::new(Personality::CandidateSession, Quirks::default());
    let before = bench.running();
    let change = port("candidate", "merge", "", ACCESS);
    bench.ok(1, &change);
    bench.fails(1, &timed("<persist>x</persist>"), "unknown-element", &["<bad-element>persist<"]);
    bench.fails(1, "<cancel-commit/>", "operation-not-supported", &[]);
    bench.ok(1, TIMED);
    bench.fails(2, COMMIT, "in-use", &[]);
    bench.store.close(1);
    assert_eq!(bench.running(), before, "its end undoes it");

    let mut bench = Bench::new(Personality::AnyCommit, Quirks::default());
    bench.ok(1, &change);
    bench.ok(1, TIMED);
    bench.store.close(1);
    assert!(bench.store.pending.is_some());
    bench.ok(2, "<lock><target><running/></target></lock>");
    bench.ok(2, COMMIT);
    assert!(bench.store.pending.is_none() && bench.running() != before);

    let mut bench = Bench::new(Personality::CandidatePlain, Quirks::default());
    bench.fails(1, TIMED, "unknown-element", &["<bad-element>confirmed<"]);
    bench.ok(1, &change);
    bench.ok(1, COMMIT);
}
