//! A switch that is reached only through the port that is being attached.

use super::*;

/// The port of leaf1, and behind it a port of leaf2.
fn family() -> Call {
    let mut call = attach(&[("leaf1", "eth1"), ("leaf2", "eth1")], 100);
    call.targets[1].level = 1;
    call
}

async fn lab(kind: Kind) -> Lab {
    let specs = vec![spec("leaf1", kind), spec("leaf2", kind)];
    Lab::with(specs, Wire::Behind, BUDGET, LOCK_WAIT).await
}

#[tokio::test(start_paused = true)]
async fn a_child_is_changed_through_its_parents_new_port() {
    for kind in Kind::ALL {
        let lab = lab(kind).await;
        // As equals the two have no order, and leaf2 is not there yet.
        let mut equals = family();
        equals.targets[1].level = 0;
        let change = lab.engine.change(equals).await.unwrap();
        assert_eq!(change.outcome, "rolled_back", "{kind:?}");

        let change = lab.engine.change(family()).await.unwrap();
        assert_eq!(change.outcome, "applied", "{kind:?}: {change:?}");
        for leaf in ["leaf1", "leaf2"] {
            assert!(is_in(&lab.switch(leaf).running_xml(), "eth1", 100), "{kind:?} {leaf}");
        }
        assert_eq!(lab.leftovers().await, "");
    }
}

/// Its undo may need a new session, and that needs the parent's port.
#[tokio::test(start_paused = true)]
async fn a_child_is_undone_before_its_parent() {
    for kind in Kind::ALL {
        for what in [What::Reject(single::REJECT.to_owned()), What::DropBefore, What::DropAfter] {
            let cell = format!("{} {what:?}", kind.name());
            let lab = lab(kind).await;
            let before = [lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()];
            // Where there is no timer, a commit that took effect stays: nobody lost anything.
            let has_timer = kind.is_timed();
            if !has_timer && single::has_effect(&what) {
                continue;
            }
            // And where there is no lock, what was lost may still come.
            let is_lost = kind.locked().is_empty() && what == What::DropBefore;
            let end = if is_lost { End::Unknown } else { End::RolledBack(Phase::Commit) };
            lab.switch("leaf2").inject(FaultSpec { rpc: kind.commit().to_owned(), nth: Nth::Only(1), what });
            let change = lab.engine.change(family()).await.unwrap();
            assert_eq!(end_of(&change, 0), Some(End::RolledBack(Phase::Commit)), "{cell}: {change:?}");
            assert_eq!(end_of(&change, 1), Some(end), "{cell}: {change:?}");
            assert_eq!([lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()], before, "{cell}");
            assert_eq!(lab.wrongly_left(end).await, "", "{cell}");
        }
    }
}

/// A child that cannot be planned is refused, but not in words that hide what its parent was left as.
#[tokio::test(start_paused = true)]
async fn a_refused_child_does_not_hide_that_its_parent_is_not_known() {
    let child = SwitchSpec { vlans: vec![101], ..spec("leaf2", Kind::CandidatePersist) };
    let lab = Lab::new(vec![spec("leaf1", Kind::CandidatePersist), child]).await;
    let refused = lab.engine.change(family()).await.unwrap_err().to_string();
    assert!(refused.contains("VLAN 100 is not in the VLAN table of leaf2"), "{refused}");
    assert_eq!(lab.leftovers().await, "");

    lab.leaf1().inject(FaultSpec::every("cancel-commit", What::HangBefore));
    let change = lab.engine.change(family()).await.expect("what leaf1 holds is not known");
    assert_eq!(change.outcome, "unknown");
    assert_eq!(end_of(&change, 0), Some(End::Unknown));
    assert_eq!(end_of(&change, 1), Some(End::RolledBack(Phase::Plan)));
}

/// Its undo may not take the time that its parent's needs: without a timer nobody else takes that back.
#[tokio::test(start_paused = true)]
async fn a_child_that_hangs_does_not_keep_its_parent_from_being_undone() {
    for kind in Kind::ALL {
        let lab = Lab::new(vec![spec("leaf1", kind), spec("leaf2", kind)]).await;
        let before = lab.leaf1().running_xml();
        lab.switch("leaf2").inject(FaultSpec::every(kind.commit(), What::HangBefore));
        for rpc in ["discard-changes", "unlock", kind.cancel()] {
            lab.switch("leaf2").inject(FaultSpec::every(rpc, What::HangBefore));
        }
        for nth in 2..100 {
            let what = What::HangBefore;
            lab.switch("leaf2").inject(FaultSpec { rpc: kind.begin().to_owned(), nth: Nth::Only(nth), what });
        }
        let started = Instant::now();
        let change = lab.engine.change(family()).await.unwrap();
        let name = kind.name();
        assert!(started.elapsed() <= BUDGET + Duration::from_secs(1), "{name}: {:?}", started.elapsed());
        assert!(matches!(end_of(&change, 0), Some(End::RolledBack(_))), "{name}: {change:?}");
        assert_eq!(lab.leaf1().running_xml(), before, "{name}");
    }
}
