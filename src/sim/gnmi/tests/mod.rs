//! Get and Set on a store, without a wire.

mod commits;
mod habits;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use serde_json::{Value as Json, json};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::spec::{GnmiQuirks, GnmiSpec};
use super::{get, set};
use crate::gnmi::{
    DataType, Encoding, GetRequest, ScalarArray, SetRequest, SetResponse, TypedValue, Update,
    UpdateOperation, Value,
};
use crate::schema::Schema;
use crate::sim::store::Store;
use crate::sim::{Personality, Quirks, SwitchSpec};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

const ETH1: &str = "/interfaces/interface[name=eth1]";
const MTU: &str = "/interfaces/interface[name=eth1]/config/mtu";
const VLANS: &str = "/interfaces/interface[name=eth1]/ethernet/switched-vlan/config";

struct Bench {
    store: Store,
    spec: GnmiSpec,
    now: Instant,
}

impl Bench {
    fn new(quirks: GnmiQuirks) -> Self {
        Self::of(Personality::CandidatePersist, Quirks::default(), quirks)
    }

    fn of(personality: Personality, habits: Quirks, quirks: GnmiQuirks) -> Self {
        let spec = SwitchSpec {
            personality,
            quirks: habits,
            ports: vec!["eth1".into(), "eth2".into()],
            vlans: vec![100, 101],
            ..SwitchSpec::default()
        };
        let mut store = Store::new(&spec, &SCHEMA).unwrap();
        store.open();
        Self { store, spec: GnmiSpec { quirks, ..GnmiSpec::default() }, now: Instant::now() }
    }

    fn set(&mut self, request: SetRequest) -> Result<SetResponse, Status> {
        self.store.expire(self.now);
        set::set(&mut self.store, &self.spec, &request, self.now)
    }

    #[track_caller]
    fn fails(&mut self, request: SetRequest, code: Code) -> String {
        let before = self.store.running.xml().unwrap();
        let error = self.set(request).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert_eq!(self.store.running.xml().unwrap(), before, "all or nothing");
        error.message().to_owned()
    }

    /// Path and value of every update.
    fn updates(
        &self,
        path: &str,
        data_type: DataType,
        encoding: Encoding,
    ) -> Result<Vec<(String, Json)>, Code> {
        let request = GetRequest {
            path: vec![path.parse().unwrap()],
            data_type: data_type.into(),
            encoding: encoding.into(),
            ..GetRequest::default()
        };
        let response = get::get(&self.store, &self.spec, &request).map_err(|status| status.code())?;
        let updates = response.notification.into_iter().flat_map(|notification| notification.update);
        let json = |update: Update| match update.val.unwrap().value.unwrap() {
            Value::Json(text) | Value::JsonIetf(text) => {
                (update.path.unwrap().text(), serde_json::from_slice(&text).unwrap())
            }
            other => panic!("{other:?}"),
        };
        Ok(updates.map(json).collect())
    }

    /// The configuration below a path, `null` if there is none.
    #[track_caller]
    fn config(&self, path: &str) -> Json {
        match self.updates(path, DataType::Config, Encoding::JsonIetf) {
            Ok(updates) => updates.into_iter().next().unwrap().1,
            Err(Code::NotFound) => Json::Null,
            Err(code) => panic!("{code}"),
        }
    }
}

fn update(path: &str, value: &Json) -> Update {
    typed(path, Value::JsonIetf(value.to_string().into_bytes()))
}

fn typed(path: &str, value: Value) -> Update {
    let val = Some(TypedValue { value: Some(value) });
    Update { path: Some(path.parse().unwrap()), val, ..Update::default() }
}

fn updates(path: &str, value: &Json) -> SetRequest {
    SetRequest { update: vec![update(path, value)], ..SetRequest::default() }
}

fn replaces(path: &str, value: &Json) -> SetRequest {
    SetRequest { replace: vec![update(path, value)], ..SetRequest::default() }
}

fn deletes(path: &str) -> SetRequest {
    SetRequest { delete: vec![path.parse().unwrap()], ..SetRequest::default() }
}

#[test]
fn update_keeps_and_replace_does_not() {
    let mut bench = Bench::new(GnmiQuirks::default());
    bench.set(updates(MTU, &json!(9000))).unwrap();
    bench.set(updates(&format!("{ETH1}/config"), &json!({"description": "x"}))).unwrap();
    let all = json!({
        "openconfig-interfaces:name": "eth1",
        "openconfig-interfaces:type": "iana-if-type:ethernetCsmacd",
        "openconfig-interfaces:mtu": 9000,
        "openconfig-interfaces:description": "x",
        "openconfig-interfaces:enabled": true,
    });
    assert_eq!(bench.config(&format!("{ETH1}/config")), all);
    let some = json!({"name": "eth1", "openconfig-interfaces:type": "iana-if-type:ethernetCsmacd"});
    bench.set(replaces(&format!("{ETH1}/config"), &some)).unwrap();
    assert_eq!(bench.config(MTU), Json::Null);
    bench.set(replaces(ETH1, &json!({"name": "eth1", "config": {"name": "eth1", "mtu": 1500, "type": "iana-if-type:ethernetCsmacd"}}))).unwrap();
    assert_eq!(bench.config(MTU), json!(1500));
    bench.set(deletes(MTU)).unwrap();
    bench.set(deletes(MTU)).unwrap();
    assert_eq!(bench.config(MTU), Json::Null);
    assert_eq!(bench.store.commits, 5, "what changes nothing is no commit");
}

#[test]
fn collections() {
    let mut bench = Bench::new(GnmiQuirks::default());
    let entry =
        |name: &str| json!({"name": name, "config": {"name": name, "type": "iana-if-type:ethernetCsmacd"}});
    bench.set(updates("/interfaces", &json!({"interface": [entry("eth3")]}))).unwrap();
    let names = |bench: &Bench| {
        let found = bench.updates("/interfaces/interface", DataType::Config, Encoding::JsonIetf).unwrap();
        found.into_iter().map(|(path, _)| path).collect::<Vec<_>>()
    };
    assert_eq!(
        names(&bench),
        ["eth1", "eth2", "eth3"].map(|name| format!("/interfaces/interface[name={name}]"))
    );
    bench.set(replaces("/interfaces/interface", &json!([entry("eth4")]))).unwrap();
    assert_eq!(names(&bench), ["/interfaces/interface[name=eth4]"]);
    bench.set(deletes("/interfaces/interface")).unwrap();
    assert_eq!(bench.config("/interfaces"), Json::Null);
    let root = json!({"openconfig-interfaces:interfaces": {"interface": [entry("eth1")]}});
    bench.set(replaces("/", &root)).unwrap();
    assert_eq!(names(&bench).len(), 1);
    assert_eq!(bench.config("/network-instances"), Json::Null);
    bench.fails(replaces("/interfaces/interface", &json!([{"config": {}}])), Code::InvalidArgument);
}

#[test]
fn leaf_lists() {
    let mut bench = Bench::new(GnmiQuirks::default());
    let trunk = |vlans: Json| json!({"interface-mode": "TRUNK", "trunk-vlans": vlans});
    bench.set(updates(VLANS, &trunk(json!([100, "200..210"])))).unwrap();
    let list = format!("{VLANS}/trunk-vlans");
    assert_eq!(bench.config(&list), json!(["200..210", 100]));
    bench.set(updates(&list, &json!([101]))).unwrap();
    assert_eq!(bench.config(&list), json!(["200..210", 100, 101]), "an update takes nothing away");
    bench.set(replaces(&list, &json!([300]))).unwrap();
    assert_eq!(bench.config(&list), json!([300]));
    let scalars = ["400", "500"].map(|vlan| TypedValue { value: Some(Value::String(vlan.into())) });
    let array = typed(&list, Value::LeafList(ScalarArray { element: scalars.to_vec() }));
    bench.set(SetRequest { replace: vec![array], ..SetRequest::default() }).unwrap();
    assert_eq!(bench.config(&list), json!([400, 500]));
    bench.set(deletes(&list)).unwrap();
    assert_eq!(bench.config(&list), Json::Null);
    let mut bench = Bench::new(GnmiQuirks { no_leaf_list_arrays: true, ..GnmiQuirks::default() });
    bench.fails(updates(&list, &json!([100])), Code::InvalidArgument);
    bench.set(updates(VLANS, &trunk(json!([100])))).unwrap();
}

#[test]
fn scalars_and_json() {
    let mut bench = Bench::new(GnmiQuirks::default());
    let scalar = |path: &str, value| SetRequest { update: vec![typed(path, value)], ..SetRequest::default() };
    bench.set(scalar(MTU, Value::Uint(9000))).unwrap();
    bench.set(scalar(&format!("{ETH1}/config/enabled"), Value::Bool(false))).unwrap();
    bench.set(scalar(MTU, Value::Json(b"9001".to_vec()))).unwrap();
    assert_eq!(bench.config(MTU), json!(9001));
    assert_eq!(bench.config(&format!("{ETH1}/config/enabled")), json!(false));
    for (path, value, code) in [
        (MTU, Value::Ascii("9000".into()), Code::Unimplemented),
        (MTU, Value::String("x".into()), Code::InvalidArgument),
        (MTU, Value::Json(b"{".to_vec()), Code::InvalidArgument),
        (MTU, Value::Json(b"\"9000\"".to_vec()), Code::InvalidArgument),
        (MTU, Value::Json(b"null".to_vec()), Code::InvalidArgument),
        (ETH1, Value::String("x".into()), Code::InvalidArgument),
    ] {
        bench.fails(scalar(path, value), code);
    }
    let nul = json!({"description": "a\u{0}b"});
    bench.fails(updates(&format!("{ETH1}/config"), &nul), Code::InvalidArgument);
}

#[test]
fn order_and_results() {
    let mut bench = Bench::new(GnmiQuirks::default());
    let request = SetRequest {
        prefix: Some("openconfig:/interfaces".parse().unwrap()),
        update: vec![update("/interface[name=eth1]/config/mtu", &json!(1500))],
        replace: vec![update("/interface[name=eth1]/config/description", &json!("x"))],
        delete: vec!["/interface[name=eth1]/config/mtu".parse().unwrap()],
        ..SetRequest::default()
    };
    let response = bench.set(request.clone()).unwrap();
    let operations: Vec<i32> = response.response.iter().map(|result| result.op).collect();
    let expected = [UpdateOperation::Delete, UpdateOperation::Replace, UpdateOperation::Update];
    assert_eq!(operations, expected.map(i32::from));
    let paths: Vec<String> =
        response.response.iter().map(|result| result.path.as_ref().unwrap().text()).collect();
    assert_eq!(paths[1], "/interface[name=eth1]/config/description");
    assert_eq!(bench.config(MTU), json!(1500), "the update comes last");
    assert!(response.timestamp > 1_000_000_000_000_000_000);

    let mut bench = Bench::new(GnmiQuirks { no_result_paths: true, seconds: true, ..GnmiQuirks::default() });
    let response = bench.set(request.clone()).unwrap();
    assert!(response.response.len() == 3 && response.response.iter().all(|result| result.path.is_none()));
    assert!(response.timestamp < 100_000_000_000);
    let mut bench = Bench::new(GnmiQuirks { no_results: true, ..GnmiQuirks::default() });
    assert_eq!(bench.set(request).unwrap().response, []);
    assert_eq!(bench.config(MTU), json!(1500));
}

#[test]
fn all_or_nothing() {
    let mut bench = Bench::of(
        Personality::CandidatePersist,
        Quirks { refuse: Some(666), ..Quirks::default() },
        GnmiQuirks::default(),
    );
    let mut request = updates(MTU, &json!(9000));
    for (path, value, code) in [
        (format!("{ETH1}/config/mtu"), json!(70000), Code::InvalidArgument),
        (format!("{ETH1}/config/nope"), json!(1), Code::InvalidArgument),
        (format!("{ETH1}/config"), json!({"name": "eth2"}), Code::Aborted),
        (format!("{ETH1}/name"), json!("eth2"), Code::InvalidArgument),
        (format!("{ETH1}/state/mtu"), json!(1), Code::InvalidArgument),
        (ETH1.to_owned(), json!({"name": "eth2"}), Code::InvalidArgument),
        (VLANS.to_owned(), json!({"interface-mode": "ACCESS", "access-vlan": 666}), Code::Aborted),
        ("/interfaces/interface[name=eth9]".to_owned(), json!({"config": {"name": "eth8"}}), Code::Aborted),
    ] {
        request.update.truncate(1);
        request.update.push(update(&path, &value));
        bench.fails(request.clone(), code);
    }
    bench.fails(replaces(ETH1, &json!({})), Code::InvalidArgument);
    bench.fails(deletes(&format!("{ETH1}/name")), Code::InvalidArgument);
    assert_eq!(bench.store.commits, 0);
}

#[test]
fn kinds_of_data() {
    let bench = Bench::new(GnmiQuirks::default());
    let get = |path: &str, data_type| bench.updates(path, data_type, Encoding::JsonIetf);
    let up = json!({
        "openconfig-interfaces:admin-status": "UP",
        "openconfig-interfaces:oper-status": "UP",
        "openconfig-interfaces:counters": { "in-octets": "0", "out-octets": "0" },
    });
    for data_type in [DataType::All, DataType::State, DataType::Operational] {
        assert_eq!(get(&format!("{ETH1}/state"), data_type).unwrap()[0].1, up);
    }
    assert_eq!(get(&format!("{ETH1}/state"), DataType::Config), Err(Code::NotFound));
    assert_eq!(get(&format!("{ETH1}/config"), DataType::State), Err(Code::NotFound));
    let (path, state) = get(ETH1, DataType::State).unwrap().remove(0);
    assert_eq!(path, ETH1);
    assert_eq!(state["openconfig-interfaces:name"], "eth1", "with its keys");
    assert_eq!(state["openconfig-interfaces:config"], Json::Null);
    let root = get("/", DataType::Config).unwrap().remove(0).1;
    assert_eq!(root["openconfig-interfaces:interfaces"]["interface"][1]["name"], "eth2");
    assert_eq!(get("/interfaces/interface[name=eth9]", DataType::All), Err(Code::NotFound));
    assert_eq!(get("/interfaces/nope", DataType::All), Err(Code::InvalidArgument));
    assert_eq!(get("cli:/", DataType::All), Err(Code::Unimplemented));
    let proto = bench.updates("/interfaces", DataType::All, Encoding::Proto);
    assert_eq!(proto, Err(Code::Unimplemented));
}
