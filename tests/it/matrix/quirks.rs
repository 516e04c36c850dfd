//! Switches with habits: they accept what they do not do, drop what they do not like, or stop in
//! the middle of an edit.

use super::single::REJECT;
use super::*;

/// A port that is a trunk already, and two that are nothing yet.
const TRUNK: &str = "<interfaces xmlns='http://openconfig.net/yang/interfaces'>\
    <interface><name>eth1</name><config><name>eth1</name></config>\
    <ethernet xmlns='http://openconfig.net/yang/interfaces/ethernet'>\
    <switched-vlan xmlns='http://openconfig.net/yang/vlan'><config><interface-mode>TRUNK</interface-mode>\
    <native-vlan>100</native-vlan><trunk-vlans>102..104</trunk-vlans><trunk-vlans>107</trunk-vlans>\
    </config></switched-vlan></ethernet></interface></interfaces>";

pub fn access(vlan: i64) -> PortVlans {
    PortVlans::Access { vlan: VlanId::new(vlan).unwrap() }
}

pub fn trunk(native: Option<i64>, tagged: &str) -> PortVlans {
    let native = native.map(|vlan| VlanId::new(vlan).unwrap());
    PortVlans::Trunk { native, tagged: tagged.parse().unwrap() }
}

/// Running must be as before; where it is not, what is different.
async fn changed(lab: &Lab, before: &str) -> String {
    let running = lab.leaf1().running_xml();
    if running != before {
        return format!("running is {}", differences(&running, before));
    }
    let startup = lab.leaf1().startup_xml();
    if !startup.is_empty() && startup != before {
        return format!("startup is {}", differences(&startup, before));
    }
    lab.leftovers().await
}

/// Attaches eth1; where it does not end in one of `ends` or not exactly as before, why.
async fn rolled_back(lab: &Lab, vlans: &PortVlans, ends: &[Phase]) -> String {
    let before = lab.leaf1().running_xml();
    let change = lab.engine.change(call(&[("leaf1", "eth1")], vlans)).await.unwrap();
    match end_of(&change, 0) {
        Some(End::RolledBack(phase)) if ends.contains(&phase) => changed(lab, &before).await,
        _ => format!("{:?}", change.devices[0].outcome),
    }
}

fn start(is_trunk: bool) -> Option<String> {
    is_trunk.then(|| TRUNK.to_owned())
}

#[tokio::test(start_paused = true)]
async fn what_is_accepted_and_not_done_is_taken_back() {
    let to_access = (access(105), ["access-vlan", "interface-mode"]);
    let to_trunk = (trunk(Some(101), "107,109"), ["native-vlan", "interface-mode"]);
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        for (vlans, leaves) in [&to_access, &to_trunk] {
            for (leaf, prune_when, from_trunk) in leaves.iter().flat_map(|leaf| {
                [(leaf, true, true), (leaf, true, false), (leaf, false, true), (leaf, false, false)]
            }) {
                if from_trunk && vlans == &to_trunk.0 && *leaf == "interface-mode" {
                    // It is a trunk already, so nothing is ignored.
                    continue;
                }
                let mut spec = spec("leaf1", kind);
                spec.startup_xml = start(from_trunk);
                spec.quirks.ignore = Some((*leaf).to_owned());
                spec.quirks.prune_when = prune_when;
                let lab = Lab::new(vec![spec]).await;
                // Without the mode the rest is not valid, so only a switch that prunes accepts it.
                let ends = match prune_when || *leaf != "interface-mode" {
                    true => [Phase::Verify],
                    false => [Phase::Commit],
                };
                let problem = rolled_back(&lab, vlans, &ends).await;
                let name = kind.name();
                let cell = format!(
                    "{name} ignores {leaf}, prunes {prune_when}, from trunk {from_trunk} to {vlans:?}"
                );
                wrong.cell(&cell, &problem);
            }
        }
    }
    wrong.none();
}

/// Without rollback-on-error half of a refused edit stays, in the candidate or in running. What
/// that half did cannot always be read back at once.
#[tokio::test(start_paused = true)]
async fn half_an_edit_is_taken_back() {
    let list = trunk(Some(101), "105,107,109");
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        let phase = if kind.has_candidate() { Phase::Stage } else { Phase::Commit };
        for (refused, vlans) in [(105, &access(105)), (105, &list), (109, &list), (101, &list)] {
            for (from_trunk, is_read_back) in [(true, true), (true, false), (false, true), (false, false)] {
                let mut spec = spec("leaf1", kind);
                spec.startup_xml = start(from_trunk);
                spec.quirks.partial = true;
                spec.quirks.refuse = Some(refused);
                let lab = Lab::new(vec![spec]).await;
                if !is_read_back {
                    let (rpc, nth) = (kind.read().to_owned(), Nth::Only(2));
                    lab.leaf1().inject(FaultSpec { rpc, nth, what: What::DropBefore });
                }
                let problem = rolled_back(&lab, vlans, &[phase]).await;
                let name = kind.name();
                let cell = format!(
                    "{name} from trunk {from_trunk} to {vlans:?}, {refused} refused, read back {is_read_back}"
                );
                wrong.cell(&cell, &problem);
            }
        }
    }
    wrong.none();
}

/// A VLAN of a range that the port has, set once more by half an edit: the port means the same
/// again, though the switch spells it with one member more.
#[tokio::test(start_paused = true)]
async fn half_an_edit_inside_a_range_means_the_same_again() {
    let words = async |lab: &Lab| {
        let mut dry = call(&[("leaf1", "eth1")], &access(100));
        dry.dry_run = true;
        lab.engine.change(dry).await.unwrap().devices[0].before.clone()
    };
    for kind in Kind::ALL {
        let mut spec = spec("leaf1", kind);
        spec.startup_xml = start(true);
        spec.quirks.partial = true;
        spec.quirks.refuse = Some(105);
        let lab = Lab::new(vec![spec]).await;
        let before = words(&lab).await;
        assert!(before.contains("102-104,107"), "{before}");
        let change =
            lab.engine.change(call(&[("leaf1", "eth1")], &trunk(Some(101), "103,105"))).await.unwrap();
        assert!(matches!(end_of(&change, 0), Some(End::RolledBack(_))), "{change:?}");
        assert_eq!(words(&lab).await, before, "{}", kind.name());
        assert_eq!(lab.leftovers().await, "");
    }
}

/// Two ports as one change: the second is refused, so the first goes back too.
#[tokio::test(start_paused = true)]
async fn two_ports_of_one_change_stand_or_fall_together() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        for partial in [true, false] {
            for refused in [100, 105] {
                let mut spec = spec("leaf1", kind);
                spec.quirks.partial = partial;
                spec.quirks.refuse = Some(refused);
                let lab = Lab::new(vec![spec]).await;
                let before = lab.leaf1().running_xml();
                let mut both = call(&[("leaf1", "eth1")], &access(100));
                both.targets.extend(call(&[("leaf1", "eth2")], &access(105)).targets);
                let change = lab.engine.change(both).await.unwrap();
                let ends: Vec<_> = (0..2).map(|at| end_of(&change, at)).collect();
                let problem = match ends[..] {
                    [Some(End::RolledBack(one)), Some(End::RolledBack(other))] if one == other => {
                        changed(&lab, &before).await
                    }
                    _ => format!("{ends:?}"),
                };
                wrong.cell(&format!("{} partial {partial} refused {refused}", kind.name()), &problem);
            }
        }
    }
    wrong.none();
}

/// A switch that refuses the same step of every transaction leaves nothing unknown.
#[tokio::test(start_paused = true)]
async fn one_step_is_refused_every_time() {
    let mut wrong = Wrong::default();
    for kind in Kind::ALL {
        for (rpc, _, phase) in kind.steps() {
            // Without reading nothing is known, and what is done stays done whatever the unlock says.
            let says_nothing = rpc == kind.read() || rpc == "unlock";
            // Where any commit confirms, refusing the confirm is refusing the inverse too. A target that
            // refuses to cancel has no commit extension.
            if says_nothing || kind == Kind::AnyCommit && rpc == "confirm" || rpc == kind.cancel() {
                continue;
            }
            let lab = Lab::one(kind).await;
            lab.leaf1().inject(FaultSpec::every(rpc, What::Reject(REJECT.to_owned())));
            let problem = rolled_back(&lab, &access(100), &[phase]).await;
            wrong.cell(&format!("{} {rpc}", kind.name()), &problem);
        }
    }
    wrong.none();
}

/// netconfd keeps a timed commit, whatever it answers, while running is locked.
#[tokio::test(start_paused = true)]
async fn a_timed_commit_is_taken_back_where_a_lock_would_keep_it() {
    for kind in Kind::ALL.into_iter().filter(|kind| kind.is_timed() && !kind.is_gnmi()) {
        let mut spec = spec("leaf1", kind);
        spec.quirks.undo_needs_unlock = true;
        let lab = Lab::new(vec![spec]).await;
        lab.leaf1().inject(FaultSpec::once("confirm", What::Reject(REJECT.to_owned())));
        assert_eq!(rolled_back(&lab, &access(100), &[Phase::Confirm]).await, "", "{}", kind.name());
    }
}
