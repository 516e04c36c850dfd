//! A switch that is reached only through the port that is being attached.

use super::*;

/// The port of leaf1, and behind it a port of leaf2.
fn family() -> Call {
    let mut call = attach(&[("leaf1", "eth1"), ("leaf2", "eth1")], 100);
    call.targets[1].level = 1;
    call
}

async fn lab(personality: Personality) -> Lab {
    let specs = vec![spec("leaf1", personality), spec("leaf2", personality)];
    Lab::with(specs, Wire::Behind, BUDGET, LOCK_WAIT).await
}

#[tokio::test(start_paused = true)]
async fn a_child_is_changed_through_its_parents_new_port() {
    for personality in Personality::ALL {
        let lab = lab(personality).await;
        // As equals the two have no order, and leaf2 is not there yet.
        let mut equals = family();
        equals.targets[1].level = 0;
        let change = lab.engine.change(equals).await.unwrap();
        assert_eq!(change.outcome, "rolled_back", "{personality:?}");

        let change = lab.engine.change(family()).await.unwrap();
        assert_eq!(change.outcome, "applied", "{personality:?}: {change:?}");
        for leaf in ["leaf1", "leaf2"] {
            assert!(is_in(&lab.switch(leaf).running_xml(), "eth1", 100), "{personality:?} {leaf}");
        }
        assert_eq!(lab.leftovers().await, "");
    }
}

/// Its undo may need a new session, and that needs the parent's port.
#[tokio::test(start_paused = true)]
async fn a_child_is_undone_before_its_parent() {
    for personality in Personality::ALL {
        for what in [What::Reject(single::REJECT.to_owned()), What::DropBefore, What::DropAfter] {
            let cell = format!("{} {what:?}", personality.name());
            let lab = lab(personality).await;
            let before = [lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()];
            // Where there is no timer, a commit that took effect stays: nobody lost anything.
            let has_timer = single::is_timed(personality);
            if !has_timer && single::has_effect(&what) {
                continue;
            }
            lab.switch("leaf2").inject(FaultSpec {
                rpc: single::commit(personality).to_owned(),
                nth: Nth::Only(1),
                what,
            });
            let change = lab.engine.change(family()).await.unwrap();
            assert_eq!(change.outcome, "rolled_back", "{cell}: {change:?}");
            assert_eq!([lab.leaf1().running_xml(), lab.switch("leaf2").running_xml()], before, "{cell}");
            assert_eq!(lab.leftovers().await, "", "{cell}");
        }
    }
}
