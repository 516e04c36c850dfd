//! What real targets do otherwise.

use super::commits::{CANCEL, CONFIRM, follow, timed};
use super::*;
use crate::sim::gnmi::spec::{BodyKeys, CommitExtension, Prefixes};
use crate::sim::store::Datastore;

#[test]
fn habits_of_commits() {
    let invalid = || updates(&format!("{ETH1}/config/name"), &json!("eth2"));
    let mut bench = Bench::new(GnmiQuirks { keeps_failed_commit: true, ..GnmiQuirks::default() });
    bench.fails(timed("a", 60, invalid()), Code::Aborted);
    bench.fails(updates(MTU, &json!(9000)), Code::FailedPrecondition);
    bench.set(follow(CANCEL, "a")).unwrap();
    bench.store.lock(1, Datastore::Running).unwrap();
    bench.fails(timed("a", 60, invalid()), Code::FailedPrecondition);
    assert!(bench.store.pending.is_none(), "it was never tried");
    bench.store.unlock(1, Datastore::Running).unwrap();
    bench.set(updates(MTU, &json!(9000))).unwrap();

    let ignored = CommitExtension::Ignored;
    let mut bench = Bench::new(GnmiQuirks { commit: ignored, ..GnmiQuirks::default() });
    bench.set(timed("a", 60, updates(MTU, &json!(9000)))).unwrap();
    assert!(bench.store.pending.is_none());
    bench.set(follow(CANCEL, "a")).unwrap();
    assert_eq!(bench.config(MTU), json!(9000));

    let none = CommitExtension::Unimplemented;
    let mut bench = Bench::new(GnmiQuirks { commit: none, ..GnmiQuirks::default() });
    bench.fails(timed("a", 60, updates(MTU, &json!(9000))), Code::Unimplemented);
    bench.fails(follow(CONFIRM, "a"), Code::Unimplemented);
    bench.set(updates(MTU, &json!(9000))).unwrap();
}

#[test]
fn answers_that_are_not_true() {
    let quirks = GnmiQuirks { fails_after_applying: Some(Code::Unknown), ..GnmiQuirks::default() };
    let mut bench = Bench::new(quirks);
    assert_eq!(bench.set(timed("a", 60, updates(MTU, &json!(9000)))).unwrap_err().code(), Code::Unknown);
    assert_eq!(bench.config(MTU), json!(9000));
    bench.set(follow(CONFIRM, "a")).unwrap();

    let mut bench = Bench::new(GnmiQuirks { applies_nothing: true, ..GnmiQuirks::default() });
    assert_eq!(bench.set(timed("a", 60, updates(MTU, &json!(9000)))).unwrap().response.len(), 1);
    assert_eq!(bench.config(MTU), Json::Null);
    assert!(bench.store.pending.is_none());
}

#[test]
fn habits_of_values() {
    let body = |keyed: bool| {
        let config = json!({"openconfig-interfaces:config": {"description": "x"}});
        let mut body = config.as_object().unwrap().clone();
        if keyed {
            body.insert("openconfig-interfaces:name".into(), json!("eth1"));
        }
        updates(ETH1, &Json::Object(body))
    };
    let mut bench = Bench::new(GnmiQuirks { body_keys: BodyKeys::Required, ..GnmiQuirks::default() });
    bench.fails(body(false), Code::InvalidArgument);
    bench.set(body(true)).unwrap();
    let mut bench = Bench::new(GnmiQuirks { body_keys: BodyKeys::Refused, ..GnmiQuirks::default() });
    assert!(bench.fails(body(true), Code::InvalidArgument).starts_with("Duplicate instance"));
    bench.set(body(false)).unwrap();

    let config = format!("{ETH1}/config");
    let (bare, prefixed) = (json!({"mtu": 9000}), json!({"openconfig-interfaces:mtu": 9000}));
    let mut bench = Bench::new(GnmiQuirks { prefixes: Prefixes::Required, ..GnmiQuirks::default() });
    bench.fails(updates(&config, &bare), Code::InvalidArgument);
    bench.set(updates(&config, &prefixed)).unwrap();
    let inner = json!({"openconfig-vlan:switched-vlan": {"config": {"interface-mode": "ACCESS"}}});
    bench.set(updates(&format!("{ETH1}/ethernet"), &inner)).unwrap();
    let mut bench = Bench::new(GnmiQuirks { prefixes: Prefixes::Absent, ..GnmiQuirks::default() });
    bench.fails(updates(&config, &prefixed), Code::InvalidArgument);
    bench.set(updates(&config, &bare)).unwrap();
    assert_eq!(bench.config(&config)["mtu"], 9000);
}

#[test]
fn habits_of_get() {
    let bench = Bench::new(GnmiQuirks { all_only: true, ..GnmiQuirks::default() });
    let get = |data_type| bench.updates(ETH1, data_type, Encoding::JsonIetf);
    assert_eq!(get(DataType::Config), Err(Code::Unimplemented));
    assert!(get(DataType::All).is_ok());

    let quirks = GnmiQuirks { refused_encodings: vec![Encoding::JsonIetf], ..GnmiQuirks::default() };
    let mut bench = Bench::new(quirks);
    bench.fails(updates(MTU, &json!(9000)), Code::Unimplemented);
    assert_eq!(bench.updates(ETH1, DataType::All, Encoding::JsonIetf), Err(Code::Unimplemented));
    assert!(bench.updates(ETH1, DataType::All, Encoding::Json).is_ok());

    let bench = Bench::new(GnmiQuirks { per_leaf: true, ..GnmiQuirks::default() });
    let leaves = bench.updates(ETH1, DataType::Config, Encoding::JsonIetf).unwrap();
    assert!(leaves.contains(&(format!("{ETH1}/config/enabled"), json!(true))), "{leaves:?}");
    assert_eq!(leaves.len(), 4, "{leaves:?}");
    let mut bench = Bench::new(GnmiQuirks { per_leaf: true, ..GnmiQuirks::default() });
    bench.set(updates(VLANS, &json!({"interface-mode": "TRUNK", "trunk-vlans": [100, 101]}))).unwrap();
    for path in [VLANS, &format!("{VLANS}/trunk-vlans")] {
        let leaves = bench.updates(path, DataType::Config, Encoding::JsonIetf).unwrap();
        assert!(leaves.contains(&(format!("{VLANS}/trunk-vlans"), json!([100, 101]))), "{leaves:?}");
    }

    let mut bench = Bench::new(GnmiQuirks { origin_required: true, ..GnmiQuirks::default() });
    bench.fails(updates(MTU, &json!(9000)), Code::InvalidArgument);
    let request = SetRequest { prefix: Some("openconfig:/".parse().unwrap()), ..updates(MTU, &json!(9000)) };
    bench.set(request).unwrap();
}
