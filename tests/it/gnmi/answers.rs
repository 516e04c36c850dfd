//! Answers that are wrong in themselves, from a target that means well otherwise: between it and Mercury
//! stands a proxy that changes them. What is told to have come of a change is true all the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use futures_util::StreamExt as _;
use mercury::gnmi::rpc::g_n_m_i_client::gNMIClient;
use mercury::gnmi::rpc::g_n_m_i_server::{gNMI, gNMIServer};
use mercury::gnmi::{
    CapabilityRequest, CapabilityResponse, Encoding, GetRequest, GetResponse, SetRequest, SetResponse,
    SubscribeRequest, SubscribeResponse, TypedValue, Update, Value,
};
use mercury::sim::SwitchSpec;
use mercury::sim::gnmi::{CommitExtension, GnmiQuirks, GnmiSpec};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Server};
use tonic::{Request, Response, Status, Streaming};

use super::{login, start};
use crate::matrix::is_in;
use crate::service::{Site, update};

/// What becomes of one answer on its way.
#[derive(Clone, Copy)]
enum Lie {
    Capabilities(fn(&mut CapabilityResponse)),
    /// Of each Get.
    Get(fn(&mut GetResponse)),
    /// Of the Get that reads back, and no other.
    ReadBack(fn(&mut GetResponse)),
    /// Of the Set that changes something.
    Set(fn(&mut SetResponse)),
}

struct Between {
    target: gNMIClient<Channel>,
    lie: Lie,
    /// Gets that came, from the Set on that changed something.
    reads: AtomicU32,
    has_set: AtomicU32,
}

#[tonic::async_trait]
impl gNMI for Between {
    type SubscribeStream = futures_util::stream::Empty<Result<SubscribeResponse, Status>>;

    async fn capabilities(
        &self,
        request: Request<CapabilityRequest>,
    ) -> Result<Response<CapabilityResponse>, Status> {
        let mut answer = self.target.clone().capabilities(request).await?;
        if let Lie::Capabilities(change) = self.lie {
            change(answer.get_mut());
        }
        Ok(answer)
    }

    async fn get(&self, request: Request<GetRequest>) -> Result<Response<GetResponse>, Status> {
        let mut answer = self.target.clone().get(request).await?;
        let is_back =
            self.has_set.load(Ordering::SeqCst) > 0 && self.reads.fetch_add(1, Ordering::SeqCst) == 0;
        match self.lie {
            Lie::Get(change) => change(answer.get_mut()),
            Lie::ReadBack(change) if is_back => change(answer.get_mut()),
            _ => {}
        }
        Ok(answer)
    }

    async fn set(&self, request: Request<SetRequest>) -> Result<Response<SetResponse>, Status> {
        let changes = !request.get_ref().update.is_empty();
        let mut answer = self.target.clone().set(request).await?;
        if changes {
            self.has_set.fetch_add(1, Ordering::SeqCst);
            if let Lie::Set(change) = self.lie {
                change(answer.get_mut());
            }
        }
        Ok(answer)
    }

    async fn subscribe(
        &self,
        _: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("no telemetry"))
    }
}

/// The port of a proxy to `target`.
async fn between(target: u16, lie: Lie) -> u16 {
    let target = gNMIClient::connect(format!("http://127.0.0.1:{target}")).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let proxy = Between { target, lie, reads: AtomicU32::new(0), has_set: AtomicU32::new(0) };
    let server = Server::builder().add_service(gNMIServer::from_arc(Arc::new(proxy)));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    port
}

/// How it ends: applied, or as before with the phase of the failure.
type End = Result<(), &'static str>;

struct Row {
    name: &'static str,
    lie: Lie,
    /// With a timer, and without.
    ends: [End; 2],
    says: &'static str,
}

const fn row(name: &'static str, lie: Lie, ends: [End; 2], says: &'static str) -> Row {
    Row { name, lie, ends, says }
}

/// Nothing was sent that changes anything.
const UNREAD: [End; 2] = [Err("lock"); 2];
/// Whether it stands was read once more where it was lost; with a timer it is taken back.
const UNVERIFIED: [End; 2] = [Err("verify"), Ok(())];
const FINE: [End; 2] = [Ok(()); 2];

/// Each update of an answer.
fn each(answer: &mut GetResponse, change: impl FnMut(&mut Update)) {
    answer.notification.iter_mut().flat_map(|notification| &mut notification.update).for_each(change);
}

fn put(update: &mut Update, value: Option<Value>) {
    update.val = Some(TypedValue { value });
}

fn elems(update: &mut Update) -> &mut Vec<mercury::gnmi::PathElem> {
    &mut update.path.get_or_insert_default().elem
}

fn broken_json(answer: &mut GetResponse) {
    each(answer, |update| {
        put(update, Some(Value::JsonIetf(b"{\"openconfig-interfaces:config\": ".to_vec())))
    });
}

fn other_type(answer: &mut GetResponse) {
    each(answer, |update| put(update, Some(Value::Bytes(vec![1, 2, 3]))));
}

fn no_value(answer: &mut GetResponse) {
    each(answer, |update| put(update, None));
}

fn a_number(answer: &mut GetResponse) {
    each(answer, |update| put(update, Some(Value::Uint(7))));
}

fn no_path(answer: &mut GetResponse) {
    each(answer, |update| update.path = None);
}

fn no_keys(answer: &mut GetResponse) {
    each(answer, |update| elems(update).iter_mut().for_each(|elem| elem.key.clear()));
}

/// The whole entry: its keys are in the body.
fn no_last_key(answer: &mut GetResponse) {
    each(answer, |update| elems(update).iter_mut().last().into_iter().for_each(|elem| elem.key.clear()));
}

/// A leaf of an entry that is not named.
fn a_leaf_without_keys(answer: &mut GetResponse) {
    no_keys(answer);
    each(answer, |update| {
        for name in ["config", "description"] {
            elems(update).push(mercury::gnmi::PathElem { name: name.to_owned(), ..Default::default() });
        }
        put(update, Some(Value::String("x".to_owned())));
    });
}

/// Paths from what was asked for on.
fn relative(answer: &mut GetResponse) {
    each(answer, |update| {
        let elems = elems(update);
        elems.drain(..elems.len() - 1);
    });
}

/// Paths that say again what the prefix has said.
fn twice(answer: &mut GetResponse) {
    for notification in &mut answer.notification {
        notification.prefix = notification.update.first().and_then(|update| update.path.clone());
    }
}

fn elsewhere(answer: &mut GetResponse) {
    each(answer, |update| update.path = Some("/components/component[name=fan1]".parse().unwrap()));
}

fn with_vlan(answer: &mut GetResponse, vlan: &str) {
    let text = format!(
        r#"{{"openconfig-interfaces:name": "eth1", "openconfig-if-ethernet:ethernet": {{
            "openconfig-vlan:switched-vlan": {{"config": {{"interface-mode": "ACCESS", "access-vlan": {vlan}}}}}}}}}"#
    );
    each(answer, |update| {
        if elems(update).iter().any(|elem| elem.name == "interface") {
            put(update, Some(Value::JsonIetf(text.clone().into_bytes())));
        }
    });
}

fn no_vlan(answer: &mut GetResponse) {
    with_vlan(answer, "9999");
}

fn an_object(answer: &mut GetResponse) {
    with_vlan(answer, r#"{"id": 100}"#);
}

/// The wrong one, and it is a good answer otherwise.
fn other_vlan(answer: &mut GetResponse) {
    with_vlan(answer, "119");
}

fn endless(answer: &mut GetResponse) {
    each(answer, |update| put(update, Some(Value::JsonIetf(vec![b' '; 65 << 20]))));
}

fn seconds(answer: &mut GetResponse) {
    answer.notification.iter_mut().for_each(|notification| notification.timestamp /= 1_000_000_000);
}

fn no_encodings(answer: &mut CapabilityResponse) {
    answer.supported_encodings.clear();
}

fn other_encodings(answer: &mut CapabilityResponse) {
    answer.supported_encodings = vec![Encoding::Proto.into(), 77];
}

fn nothing_said(answer: &mut SetResponse) {
    *answer = SetResponse::default();
}

fn no_paths(answer: &mut SetResponse) {
    answer.timestamp /= 1_000_000_000;
    for result in &mut answer.response {
        (result.path, result.op) = (None, 77);
    }
}

const ROWS: &[Row] = &[
    row("no encodings", Lie::Capabilities(no_encodings), [Err("connect"); 2], "does not offer JSON_IETF"),
    row(
        "other encodings",
        Lie::Capabilities(other_encodings),
        [Err("connect"); 2],
        "does not offer JSON_IETF",
    ),
    row("broken JSON", Lie::Get(broken_json), UNREAD, "no JSON"),
    row("a value of another type", Lie::Get(other_type), UNREAD, "an encoding that was not asked for"),
    row("no value", Lie::Get(no_value), UNREAD, "no value"),
    row("a number for an entry", Lie::Get(a_number), UNREAD, "malformed message"),
    row("no path", Lie::Get(no_path), UNREAD, "malformed message: /: "),
    row("a leaf without keys", Lie::Get(a_leaf_without_keys), UNREAD, "nothing there was asked for"),
    row("relative paths", Lie::Get(relative), UNREAD, "nothing there was asked for"),
    row("paths that repeat the prefix", Lie::Get(twice), UNREAD, "nothing of it is in the modules"),
    row("answers to something else", Lie::Get(elsewhere), UNREAD, "nothing there was asked for"),
    row("a VLAN that is none", Lie::Get(no_vlan), UNREAD, "9999"),
    row("an object for a VLAN", Lie::Get(an_object), UNREAD, "access-vlan"),
    row("a very long answer", Lie::Get(endless), UNREAD, "message length too large"),
    row("seconds", Lie::Get(seconds), FINE, ""),
    row("an entry's keys in its body only", Lie::Get(no_last_key), FINE, ""),
    row("no keys", Lie::Get(no_keys), UNREAD, "nothing there was asked for"),
    row("broken JSON, read back", Lie::ReadBack(broken_json), UNVERIFIED, "no JSON"),
    row("no path, read back", Lie::ReadBack(no_path), UNVERIFIED, "malformed message: /: "),
    row("a very long answer, read back", Lie::ReadBack(endless), UNVERIFIED, "message length too large"),
    row("another VLAN, read back", Lie::ReadBack(other_vlan), [Err("verify"); 2], "does not hold it"),
    row("a Set without a result", Lie::Set(nothing_said), FINE, ""),
    row("results without paths", Lie::Set(no_paths), FINE, ""),
];

/// Asks for a change; where it does not end as the row says, why.
async fn problem(row: &Row, is_timed: bool) -> String {
    let commit = if is_timed { CommitExtension::Supported } else { CommitExtension::Unimplemented };
    let quirks = GnmiQuirks { commit, ..GnmiQuirks::default() };
    let switch = start(GnmiSpec { quirks, ..GnmiSpec::default() }, SwitchSpec::default()).await;
    let before = switch.running_xml();
    let port = between(super::port(&switch), row.lie).await;
    let lines = format!("{}[device.gnmi]\nport = {port}\nplaintext = true\n", login());
    let site = Site::new().limits("request_timeout = \"8s\"\nlock_wait = \"2s\"\n").device("leaf1", &lines);
    let service = site.serve().await;
    let answer = service.call("update_port", update("eth1", "access", 100, &[])).await;
    let told = format!("{answer:?}");
    let end = row.ends[usize::from(!is_timed)];
    let is_right = match (&answer, end) {
        (Ok(_), Ok(())) => is_in(&switch.running_xml(), "eth1", 100),
        (Err(failure), Err(phase)) => {
            let outcome = &failure.data["devices"][0]["outcome"];
            outcome["result"] == "rolled_back" && outcome["phase"] == phase && switch.running_xml() == before
        }
        _ => false,
    };
    let left = format!("{}{}", site.journal(), if switch.pending_commit() { "a pending commit" } else { "" });
    let says = end.is_ok() || told.contains(row.says);
    if is_right && says && left.is_empty() {
        return String::new();
    }
    format!("{}, with a timer {is_timed}: {told}; left: {left}; {}", row.name, switch.running_xml() == before)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_wrong_answers_get() {
    let cells = ROWS.iter().flat_map(|row| [(row, true), (row, false)]);
    let problems = futures_util::stream::iter(cells).map(|(row, is_timed)| problem(row, is_timed));
    let problems: Vec<String> = problems.buffer_unordered(4).collect().await;
    let wrong: Vec<&String> = problems.iter().filter(|problem| !problem.is_empty()).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{wrong:#?}", wrong.len(), problems.len());
}

/// Advertised, and refused when it is used: that is the target's word, and nothing was changed.
#[tokio::test]
async fn an_encoding_that_is_refused() {
    let quirks = GnmiQuirks { refused_encodings: vec![Encoding::JsonIetf], ..GnmiQuirks::default() };
    let switch = start(GnmiSpec { quirks, ..GnmiSpec::default() }, SwitchSpec::default()).await;
    let site = Site::new().device("leaf1", &super::plaintext(&switch));
    let service = site.serve().await;
    let failure = service.call("update_port", update("eth1", "access", 100, &[])).await.unwrap_err();
    assert!(failure.message.contains("failed in phase lock: the device refused: UNIMPLEMENTED"), "{failure}");
    assert_eq!((switch.commits(), site.journal()), (0, String::new()));
}
