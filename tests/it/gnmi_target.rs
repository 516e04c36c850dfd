//! The simulator's gNMI target: used by clients that nobody here wrote, together with NETCONF, and
//! its faults one by one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use mercury::gnmi::rpc::g_n_m_i_client::gNMIClient;
use mercury::gnmi::{
    Commit, CommitAction, CommitRequest, DataType, Encoding, Extension, ExtensionKind, GetRequest,
    SetRequest, SetResponse, TypedValue, Update, Value,
};
use mercury::schema::Schema;
use mercury::sim::gnmi::{Documents, GnmiQuirks, GnmiSpec, GnmiTls};
use mercury::sim::{FaultSpec, Personality, SimError, Switch, SwitchSpec, What};
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::time::timeout;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use crate::peers::{Authority, Peer, python, require, script};
use crate::sim::Session;

const PASSWORD: &str = "correct horse";

const PYGNMI: &str = "\
version 0.10.0 ['json', 'json_ietf']
models True True
one leaf: [('interfaces/interface[name=eth1]/config/enabled', True)]
the same in JSON: [('interfaces/interface[name=eth1]/config/enabled', True)]
its state: [('interfaces/interface[name=eth1]/state', {'openconfig-interfaces:admin-status': 'UP', 'openconfig-interfaces:counters': {'in-octets': '0', 'out-octets': '0'}, 'openconfig-interfaces:oper-status': 'UP'})]
no such port: NOT_FOUND
no such node: INVALID_ARGUMENT
update: [('UPDATE', 'interfaces/interface[name=eth1]/config')]
update of a leaf: [('UPDATE', 'interfaces/interface[name=eth1]/config/mtu')]
both: [1500, 'x']
a trunk: [('UPDATE', 'interfaces/interface[name=eth1]/ethernet/switched-vlan/config')]
its VLANs: [('interfaces/interface[name=eth1]/ethernet/switched-vlan/config/trunk-vlans', ['200..210', 100])]
replace: [('REPLACE', 'interfaces/interface[name=eth1]/ethernet/switched-vlan/config')]
what is there: [('interfaces/interface[name=eth1]/ethernet/switched-vlan/config', {'openconfig-vlan:access-vlan': 100, 'openconfig-vlan:interface-mode': 'ACCESS'})]
all three: [('DELETE', 'interfaces/interface[name=eth1]/config/mtu'), ('REPLACE', 'interfaces/interface[name=eth1]/config/description'), ('UPDATE', 'interfaces/interface[name=eth1]/config/mtu')]
the order: [9000, 'y']
a value that is not valid: INVALID_ARGUMENT
a configuration that is not valid: ABORTED
all or nothing: [('interfaces/interface[name=eth1]/config/mtu', 9000)]
delete: [('DELETE', 'interfaces/interface[name=eth1]/ethernet')]
it is gone: NOT_FOUND
a wrong password: UNAUTHENTICATED
";

const NATIVE: &str = "\
what is there: [{'list': [{'mode': 'access', 'name': 'a/1'}]}]
an entry: [{'mode': 'access', 'name': 'a/1'}]
a leaf: ['access']
no such entry: NOT_FOUND
update: [('UPDATE', 'top/list[name=a/1]'), ('UPDATE', 'top/list[name=a/1]/more')]
it is merged: [{'mode': 'access', 'more': {'x': 1}, 'name': 'a/1', 'vlan': 100}]
replace: [('REPLACE', 'top/list[name=a/1]/more')]
it is replaced: [{'y': 2}]
a new entry: [('UPDATE', 'top/list[name=b]/mode')]
delete: [('DELETE', 'top/list[name=a/1]/more'), ('DELETE', 'top/list[name=b]')]
what is left: [{'list': [{'mode': 'access', 'name': 'a/1', 'vlan': 100}]}]
two origins: UNIMPLEMENTED
another origin: UNIMPLEMENTED
";

const COMMITS: &str = "\
confirm without a commit: FAILED_PRECONDITION
cancel without a commit: FAILED_PRECONDITION
no id: INVALID_ARGUMENT
plain: ['UPDATE']
commit: ['UPDATE']
another: FAILED_PRECONDITION
a plain one: FAILED_PRECONDITION
confirm with a wrong id: INVALID_ARGUMENT
cancel with a wrong id: INVALID_ARGUMENT
confirm with an operation: INVALID_ARGUMENT
confirm: []
it stays: 9000
confirm again: FAILED_PRECONDITION
commit: ['UPDATE']
it is there: 9100
cancel: []
it is undone: 9000
commit for an hour: ['UPDATE']
it is there: 9200
for a second: []
waiting
its time is over: 9000
confirm: FAILED_PRECONDITION
";

#[tokio::test]
async fn pygnmi_in_plaintext() {
    if !require(&[Peer::PyGnmi]) {
        return;
    }
    let switch = start(GnmiSpec::default()).await;
    assert_eq!(run(&switch, "pygnmi", &[]).await, PYGNMI);
}

#[tokio::test]
async fn pygnmi_over_tls() {
    if !require(&[Peer::PyGnmi]) {
        return;
    }
    let authority = Authority::new();
    let tls = authority.target(None);
    let switch = start(GnmiSpec { tls: Some(tls), ..GnmiSpec::default() }).await;
    // One that never begins its handshake holds nobody up.
    let _silent = tokio::net::TcpStream::connect(switch.gnmi_addr().unwrap()).await.unwrap();
    assert_eq!(run(&switch, "pygnmi", &[&authority.file()]).await, PYGNMI);
}

#[tokio::test]
async fn pygnmi_with_a_certificate_of_its_own() {
    if !require(&[Peer::PyGnmi]) {
        return;
    }
    let (authority, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    let tls = authority.target(Some(&clients));
    let gnmi = GnmiSpec { tls: Some(tls), ..GnmiSpec::default() };
    let [certificate, key] = clients.issue("client");
    let switch = start(gnmi.clone()).await;
    assert_eq!(run(&switch, "pygnmi", &[&authority.file(), &certificate, &key]).await, PYGNMI);

    // The certificate alone, where no password is set.
    let switch = start_as(SwitchSpec { gnmi: Some(gnmi), ..SwitchSpec::default() }).await;
    let out = run(&switch, "login", &[&authority.file(), &certificate, &key]).await;
    assert_eq!(out, "login: 0.10.0\n");
    for identity in [&strangers.issue("client")[..], &[]] {
        let mut files = vec![authority.file()];
        files.extend_from_slice(identity);
        let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
        assert_eq!(run(&switch, "login", &files).await, "login: UNAVAILABLE\n");
    }
    assert_eq!(switch.log().len(), 2, "a stranger gets no further");
}

#[tokio::test]
async fn pygnmi_with_a_model_of_the_vendors_own() {
    if !require(&[Peer::PyGnmi]) {
        return;
    }
    let document = json!({"top": {"list": [{"name": "a/1", "mode": "access"}]}});
    let documents = Documents::from([("native".to_owned(), document)]);
    let switch = start(GnmiSpec { documents, ..GnmiSpec::default() }).await;
    assert_eq!(run(&switch, "native", &[]).await, NATIVE);
    assert_eq!(
        switch.document("native"),
        json!({"top": {"list": [{"name": "a/1", "mode": "access", "vlan": 100}]}})
    );
}

#[tokio::test]
async fn commits_by_the_extension() {
    if !require(&[Peer::PyGnmi]) {
        return;
    }
    let switch = start(GnmiSpec::default()).await;
    assert_eq!(run(&switch, "commits", &[]).await, COMMITS);
    let seen: BTreeSet<String> = switch.log().into_iter().map(|logged| logged.rpc).collect();
    let names = ["cancel", "commit", "confirm", "get", "set", "set-rollback-duration"];
    assert_eq!(seen, names.map(|name| format!("gnmi-{name}")).into());
}

#[tokio::test]
async fn one_switch_by_gnmi_and_netconf() {
    const OC: &str = "http://openconfig.net/yang/interfaces";
    for personality in Personality::ALL {
        let gnmi = Some(GnmiSpec::default());
        let switch = start_as(SwitchSpec { personality, gnmi, ..spec() }).await;
        let mut client = connect(&switch).await;
        let mut session = Session::open(&switch, true).await;
        set(&mut client, mtu(9000)).await.unwrap();
        let get = "<get-config><source><running/></source></get-config>";
        assert!(session.rpc(get).await.contains("<mtu>9000</mtu>"));

        let target = if personality.name().starts_with("running") { "running" } else { "candidate" };
        let edit = format!(
            "<edit-config><target><{target}/></target><config><interfaces xmlns='{OC}'><interface><name>eth1\
             </name><config><mtu>1500</mtu></config></interface></interfaces></config></edit-config>"
        );
        let lock = format!("<lock><target><{target}/></target></lock>");
        assert!(session.rpc(&lock).await.contains("<ok/>"));
        let refused = set(&mut client, mtu(9001)).await.unwrap_err();
        assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
        assert!(session.rpc(&edit).await.contains("<ok/>"));
        if target == "candidate" {
            assert!(session.rpc("<commit/>").await.contains("<ok/>"));
        }
        assert_eq!(read_mtu(&mut client).await, "1500");
        assert!(session.rpc(&lock.replace("lock>", "unlock>")).await.contains("<ok/>"));

        // And each waits for the other's commit.
        set(&mut client, timed(mtu(9002))).await.unwrap();
        assert!(switch.pending_commit());
        let answer = session.rpc(&edit).await;
        assert_eq!(answer.contains("in-use"), target == "running", "{answer}");
        if target == "candidate" {
            assert!(session.rpc("<commit/>").await.contains("in-use"));
            assert!(session.rpc("<discard-changes/>").await.contains("<ok/>"));
        }
        assert!(switch.log().iter().any(|logged| logged.session == 0 && logged.rpc == "gnmi-commit"));
    }
}

/// What a fault leaves: whether the Set took effect, and what the client sees of it.
#[tokio::test]
async fn each_fault_of_a_set() {
    let lost = [Code::Unavailable, Code::Unknown, Code::Internal, Code::Cancelled];
    for (what, effect, codes) in [
        (What::Reject("unavailable".into()), false, &[Code::Unavailable][..]),
        (What::Reject("operation-failed".into()), false, &[Code::Aborted]),
        (What::RejectAfter("internal".into()), true, &[Code::Internal]),
        (What::DropBefore, false, &lost),
        (What::DropAfter, true, &lost),
        (What::Malformed, true, &[Code::Internal, Code::Unknown]),
        (What::NotXml, true, &lost),
        (What::BreakOff, true, &lost),
        (What::Delay(Duration::from_millis(5)), true, &[]),
    ] {
        let switch = start(GnmiSpec::default()).await;
        switch.inject(FaultSpec::once("gnmi-set", what.clone()));
        let mut client = connect(&switch).await;
        match set(&mut client, mtu(9000)).await {
            Ok(_) => assert_eq!(codes, [], "{what:?}"),
            Err(error) => assert!(codes.contains(&error.code()), "{what:?}: {error:?}"),
        }
        assert_eq!(switch.commits() == 1, effect, "{what:?}");
        // And it is the only one.
        set(&mut connect(&switch).await, mtu(1500)).await.unwrap();
    }
}

#[tokio::test]
async fn a_target_that_hangs_ends_with_its_switch() {
    for (what, commits) in [(What::HangBefore, 0), (What::HangAfter, 1)] {
        let switch = start(GnmiSpec::default()).await;
        switch.inject(FaultSpec::once("gnmi-commit", what.clone()));
        let mut client = connect(&switch).await;
        let mut waiting = Box::pin(set(&mut client, timed(mtu(9000))));
        let other = async {
            let mut client = connect(&switch).await;
            while !switch.log().iter().any(|logged| logged.rpc == "gnmi-commit") {
                get(&mut client).await.unwrap();
            }
        };
        tokio::select! {
            answer = &mut waiting => panic!("{what:?}: {answer:?}"),
            () = other => {}
        }
        assert_eq!(switch.commits(), commits, "{what:?}");
        drop(switch);
        timeout(Duration::from_secs(30), waiting).await.expect("the connection ends").unwrap_err();
    }
}

#[tokio::test]
async fn nobody_gets_in_without_a_password() {
    let gnmi = Some(GnmiSpec::default());
    let open = start_as(SwitchSpec { gnmi, ..SwitchSpec::default() }).await;
    let error = get(&mut connect(&open).await).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let switch = start(GnmiSpec::default()).await;
    let error = connect(&switch).await.get(GetRequest::default()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert_eq!(switch.log(), []);
}

#[tokio::test]
async fn no_target_with_a_certificate_that_is_none() {
    let good = Authority::new().target(None);
    for tls in [
        GnmiTls { certificate: "x".into(), ..good.clone() },
        GnmiTls { key: "x".into(), ..good.clone() },
        GnmiTls { client_ca: Some("x".into()), ..good },
    ] {
        let gnmi = GnmiSpec { tls: Some(tls), ..GnmiSpec::default() };
        let spec = SwitchSpec { gnmi: Some(gnmi), ..spec() };
        let started = mercury::sim::start(spec, Schema::builtin().unwrap(), ([127, 0, 0, 1], 0).into()).await;
        assert!(matches!(started, Err(SimError::Tls { .. })));
    }
}

#[tokio::test]
async fn a_habit_over_the_wire() {
    let quirks = GnmiQuirks { no_results: true, ..GnmiQuirks::default() };
    let switch = start(GnmiSpec { quirks, ..GnmiSpec::default() }).await;
    let mut client = connect(&switch).await;
    assert_eq!(set(&mut client, mtu(9000)).await.unwrap().response, []);
    assert_eq!(read_mtu(&mut client).await, "9000");
}

fn spec() -> SwitchSpec {
    SwitchSpec {
        ports: vec!["eth1".into(), "eth2".into()],
        password: Some(PASSWORD.into()),
        ..SwitchSpec::default()
    }
}

async fn start(gnmi: GnmiSpec) -> Switch {
    start_as(SwitchSpec { gnmi: Some(gnmi), ..spec() }).await
}

async fn start_as(spec: SwitchSpec) -> Switch {
    mercury::sim::start(spec, Schema::builtin().unwrap(), ([127, 0, 0, 1], 0).into()).await.unwrap()
}

async fn connect(switch: &Switch) -> gNMIClient<Channel> {
    gNMIClient::connect(format!("http://{}", switch.gnmi_addr().unwrap())).await.unwrap()
}

fn with_login<M>(message: M) -> Request<M> {
    let mut request = Request::new(message);
    for (name, value) in [("username", "admin"), ("password", PASSWORD)] {
        request.metadata_mut().insert(name, value.parse().unwrap());
    }
    request
}

async fn set(client: &mut gNMIClient<Channel>, request: SetRequest) -> Result<SetResponse, Status> {
    client.set(with_login(request)).await.map(tonic::Response::into_inner)
}

/// The update of eth1's MTU.
fn mtu(mtu: u16) -> SetRequest {
    let path = Some("/interfaces/interface[name=eth1]/config/mtu".parse().unwrap());
    let val = Some(TypedValue { value: Some(Value::JsonIetf(mtu.to_string().into_bytes())) });
    SetRequest { update: vec![Update { path, val, ..Update::default() }], ..SetRequest::default() }
}

fn timed(request: SetRequest) -> SetRequest {
    let action = Some(CommitAction::Commit(CommitRequest { rollback_duration: None }));
    let commit = ExtensionKind::Commit(Commit { id: "a".into(), action });
    SetRequest { extension: vec![Extension { kind: Some(commit) }], ..request }
}

/// eth1's MTU as JSON.
async fn read_mtu(client: &mut gNMIClient<Channel>) -> String {
    match get(client).await.unwrap() {
        Value::JsonIetf(text) => {
            let config: serde_json::Value = serde_json::from_slice(&text).unwrap();
            config["openconfig-interfaces:mtu"].to_string()
        }
        other => panic!("{other:?}"),
    }
}

/// eth1's configuration.
async fn get(client: &mut gNMIClient<Channel>) -> Result<Value, Status> {
    let request = GetRequest {
        path: vec!["/interfaces/interface[name=eth1]/config".parse().unwrap()],
        data_type: DataType::Config.into(),
        encoding: Encoding::JsonIetf.into(),
        ..GetRequest::default()
    };
    let mut response = client.get(with_login(request)).await?.into_inner();
    Ok(response.notification.remove(0).update.remove(0).val.unwrap().value.unwrap())
}

/// What the script prints. Where it waits for a timer, that timer is waited for.
async fn run(switch: &Switch, what: &str, files: &[&Path]) -> String {
    let mut child = tokio::process::Command::new(python())
        .arg(script("gnmi_clients.py"))
        .args([what, &switch.gnmi_addr().unwrap().port().to_string(), PASSWORD])
        .args(files)
        .env("no_proxy", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let talk = async {
        let mut out = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            if line == "waiting" {
                switch.timer_over().await;
                stdin.write_all(b"\n").await.unwrap();
            }
            out += &format!("{line}\n");
        }
        out
    };
    let mut err = String::new();
    let both = async { tokio::join!(talk, stderr.read_to_string(&mut err)).0 };
    let out = timeout(Duration::from_secs(120), both).await.expect("the script ends");
    assert!(child.wait().await.unwrap().success(), "{out}{err}");
    out
}
