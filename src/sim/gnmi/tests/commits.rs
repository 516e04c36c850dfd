//! The commit-confirmed extension.

use super::*;
use crate::gnmi::{
    Commit, CommitAction, CommitCancel, CommitConfirm, CommitRequest, Extension, ExtensionKind,
};
use crate::sim::store::Datastore;

pub fn with(action: CommitAction, id: &str, request: SetRequest) -> SetRequest {
    let commit = Commit { id: id.into(), action: Some(action) };
    SetRequest { extension: vec![Extension { kind: Some(ExtensionKind::Commit(commit)) }], ..request }
}

pub fn timed(id: &str, seconds: i64, request: SetRequest) -> SetRequest {
    let rollback_duration = Some(crate::gnmi::Duration { seconds, nanos: 0 });
    with(CommitAction::Commit(CommitRequest { rollback_duration }), id, request)
}

pub fn follow(action: CommitAction, id: &str) -> SetRequest {
    with(action, id, SetRequest::default())
}

pub const CONFIRM: CommitAction = CommitAction::Confirm(CommitConfirm {});
pub const CANCEL: CommitAction = CommitAction::Cancel(CommitCancel {});

#[test]
fn commit_confirm_and_cancel() {
    for personality in Personality::ALL {
        let mut bench = Bench::of(personality, Quirks::default(), GnmiQuirks::default());
        bench.fails(follow(CONFIRM, "a"), Code::FailedPrecondition);
        bench.fails(follow(CANCEL, "a"), Code::FailedPrecondition);
        bench.fails(timed("", 60, updates(MTU, &json!(9000))), Code::InvalidArgument);
        bench.fails(timed("a", -1, updates(MTU, &json!(9000))), Code::InvalidArgument);
        bench.fails(timed("a", 0, updates(MTU, &json!(9000))), Code::InvalidArgument);

        bench.set(timed("a", 60, updates(MTU, &json!(9000)))).unwrap();
        bench.fails(timed("b", 60, updates(MTU, &json!(1500))), Code::FailedPrecondition);
        bench.fails(updates(MTU, &json!(1500)), Code::FailedPrecondition);
        bench.fails(follow(CONFIRM, "b"), Code::InvalidArgument);
        bench.fails(follow(CANCEL, "b"), Code::InvalidArgument);
        bench.fails(with(CONFIRM, "a", updates(MTU, &json!(1500))), Code::InvalidArgument);
        bench.set(follow(CONFIRM, "a")).unwrap();
        bench.now += Duration::from_secs(100);
        bench.set(updates(&format!("{ETH1}/config/description"), &json!("x"))).unwrap();
        assert_eq!(bench.config(MTU), json!(9000));

        bench.set(timed("b", 60, deletes(MTU))).unwrap();
        bench.set(follow(CANCEL, "b")).unwrap();
        assert_eq!(bench.config(MTU), json!(9000));
    }
}

#[test]
fn the_timer() {
    let mut bench = Bench::new(GnmiQuirks::default());
    bench.set(timed("a", 60, updates(MTU, &json!(9000)))).unwrap();
    bench.now += Duration::from_secs(59);
    let longer = CommitRequest { rollback_duration: Some(crate::gnmi::Duration { seconds: 60, nanos: 0 }) };
    bench.set(follow(CommitAction::SetRollbackDuration(longer), "a")).unwrap();
    bench.now += Duration::from_secs(59);
    bench.store.expire(bench.now);
    assert_eq!(bench.config(MTU), json!(9000));
    bench.now += Duration::from_secs(1);
    bench.store.expire(bench.now);
    assert_eq!(bench.config(MTU), Json::Null);
    bench.fails(follow(CONFIRM, "a"), Code::FailedPrecondition);

    let default = CommitAction::Commit(CommitRequest { rollback_duration: None });
    bench.set(with(default, "b", updates(MTU, &json!(9000)))).unwrap();
    assert_eq!(bench.store.deadline(), Some(bench.now + Duration::from_secs(600)));
}

#[test]
fn netconf_is_in_the_way() {
    let mut bench = Bench::new(GnmiQuirks::default());
    for datastore in [Datastore::Running, Datastore::Candidate] {
        bench.store.lock(1, datastore).unwrap();
        bench.fails(updates(MTU, &json!(9000)), Code::FailedPrecondition);
        bench.store.unlock(1, datastore).unwrap();
    }
    bench.set(timed("a", 60, updates(MTU, &json!(9000)))).unwrap();
    assert_eq!(bench.store.lock(1, Datastore::Running).unwrap_err().tag, "in-use");
    let commit = bench.store.commit(1, crate::sim::commit::CommitOptions::default(), bench.now);
    assert_eq!(commit.unwrap_err().tag, "in-use");
    bench.store.cancel(1, Some("a")).unwrap_err();
    bench.set(follow(CONFIRM, "a")).unwrap();
}
