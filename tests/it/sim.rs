//! The simulator: held against netconfd through ncclient, and its faults one by one.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use mercury::schema::Schema;
use mercury::sim::{FaultSpec, Personality, Quirks, Switch, SwitchSpec, What};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::time::{Instant, sleep, timeout};

use crate::peers::{Netconfd, Peer, Shape, mercury_bin, python, require};

const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
const OK: &str = "<ok/>";
const COMMIT: &str = "<commit/>";
const TIMED: &str = "<commit><confirmed/><confirm-timeout>60</confirm-timeout><persist>x</persist></commit>";

#[tokio::test]
async fn ncclient_sees_no_difference_to_netconfd() {
    if !require(&[Peer::Ncclient, Peer::Netconfd, Peer::OpenConfig]) {
        return;
    }
    let netconfd = Netconfd::start(Shape::Candidate).await;
    let public = std::fs::read_to_string(netconfd.key.with_extension("pub")).unwrap();
    let switch = start(SwitchSpec {
        username: netconfd.username.clone(),
        authorized_key: Some(public),
        ports: Vec::new(),
        ..spec(Personality::CandidatePersist)
    })
    .await;
    let run = |port: u16| exchange(port, &netconfd.username, &netconfd.key);
    let (simulated, real) = tokio::join!(run(switch.addr().port()), run(netconfd.port));
    assert_eq!(simulated, real);
    assert!(real.ends_with("close: ok\n"), "{real}");
}

/// What the script prints about the server at this port.
async fn exchange(port: u16, user: &str, key: &Path) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/ncclient_exchange.py");
    let run = tokio::process::Command::new(python())
        .arg(script)
        .args([&port.to_string(), user])
        .arg(key)
        .kill_on_drop(true)
        .output();
    let output = timeout(Duration::from_secs(120), run).await.expect("the exchange ends").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{out}{err}");
    out.into_owned()
}

#[test]
fn the_command_says_where_it_listens_and_ends_on_a_signal() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let state = dir.path().join("state");
    let first = simulate(&password, &state, rustix::process::Signal::TERM);
    let names: Vec<&str> = first.lines().filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(names, ["leaf1", "leaf2"]);
    assert!(first.lines().all(|line| line.contains(" 127.0.0.1:") && line.contains(" ssh-ed25519 AAAA")));
    let gnmi: Vec<bool> = first.lines().map(|line| line.contains(" gnmi=127.0.0.1:")).collect();
    assert_eq!(gnmi, [true, false]);
    let keys = |lines: &str| -> Vec<String> {
        lines.lines().filter_map(|line| line.split(' ').nth(3)).map(str::to_owned).collect()
    };
    let second = simulate(&password, &state, rustix::process::Signal::INT);
    assert_eq!(keys(&first), keys(&second), "the host keys are kept");
}

/// Starts `mercury simulate`, ends it with a signal as soon as it has said where it listens, and
/// gives what it said.
fn simulate(password: &Path, state: &PathBuf, end: rustix::process::Signal) -> String {
    use std::io::{BufRead as _, BufReader};

    let mut child = Command::new(mercury_bin())
        .args(["simulate", "--switch", "name=leaf1,ports=eth1..eth4,vlans=100-110,gnmi=0"])
        .args(["--switch", "name=leaf2,personality=running", "--fault", "leaf2:lock:close"])
        .arg("--password-file")
        .arg(password)
        .arg("--state-dir")
        .arg(state)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let said: String = lines.by_ref().take(2).map(|line| line.unwrap() + "\n").collect();
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), end).unwrap();
    assert!(child.wait().unwrap().success());
    said
}

#[tokio::test(start_paused = true)]
async fn both_framings() {
    for (server, client) in [(true, true), (true, false), (false, true)] {
        let quirks = Quirks { base_1_0: !server, ..Quirks::default() };
        let switch = start(SwitchSpec { quirks, ..spec(Personality::CandidatePersist) }).await;
        let mut session = Session::open(&switch, client).await;
        assert_eq!(session.chunked, server && client);
        assert!(session.rpc("<get-config><source><running/></source></get-config>").await.contains("eth1"));
    }
}

#[tokio::test(start_paused = true)]
async fn answers_carry_the_attributes_of_their_rpc() {
    let switch = start(spec(Personality::CandidatePersist)).await;
    let mut session = Session::open(&switch, true).await;
    let prefixed =
        format!("<n:rpc xmlns:n='{BASE}' xmlns:x='urn:x' message-id='a&lt;b' x:y=\"'\"><n:get/></n:rpc>");
    session.send(&prefixed).await;
    let reply = session.receive().await.unwrap();
    assert!(reply.contains(" message-id=\"a&lt;b\"") && reply.contains("\"urn:x\""), "{reply}");
    session.send(&format!("<rpc xmlns='{BASE}'><get/></rpc>")).await;
    let reply = session.receive().await.unwrap();
    assert!(reply.contains("missing-attribute") && reply.contains("message-id"), "{reply}");
    session.send("<rpc>").await;
    assert!(session.receive().await.unwrap().contains("malformed-message"));
    assert_eq!(session.receive().await, None, "then it closes");
    assert_eq!(switch.sessions(), 0);
}

/// What a fault leaves: whether the commit took effect, and what the client sees of it.
#[tokio::test(start_paused = true)]
async fn each_fault_of_a_commit() {
    enum Sees {
        Text(&'static str),
        End,
        Silence,
    }
    use Sees::{End, Silence, Text};
    let cases = [
        (What::Reject("in-use".into()), false, Text("<error-tag>in-use<"), false),
        (What::DropBefore, false, End, false),
        (What::DropAfter, true, End, false),
        (What::HangBefore, false, Silence, false),
        (What::HangAfter, true, Silence, false),
        (What::Close, true, Text(OK), true),
        (What::Malformed, true, Text("#12x"), false),
        (What::Doctype, true, Text("<!DOCTYPE"), false),
        (What::NotXml, true, Text("% busy"), false),
        (What::Delay(Duration::from_secs(5)), true, Text(OK), false),
    ];
    for (what, effect, sees, closes) in cases {
        let switch = start(spec(Personality::CandidatePersist)).await;
        switch.inject(FaultSpec::once("commit", what.clone()));
        let mut session = Session::open(&switch, true).await;
        assert!(session.rpc(&mtu(9000)).await.contains(OK));
        session.send_rpc(COMMIT).await;
        let got = timeout(Duration::from_secs(60), session.raw()).await;
        match sees {
            Text(part) => assert!(got.unwrap().contains(part), "{what:?}"),
            End => assert_eq!(got.unwrap(), "", "{what:?}"),
            Silence => assert!(got.is_err(), "{what:?}"),
        }
        if closes {
            assert_eq!(session.raw().await, "", "{what:?}");
        }
        assert_eq!(switch.running_xml().contains("9000"), effect, "{what:?}");
        assert_eq!(switch.commits(), u64::from(effect), "{what:?}");
        drop(session);
        sleep(Duration::from_millis(1)).await;
        assert_eq!(switch.sessions(), 0, "{what:?}");
        let mut session = Session::open(&switch, true).await;
        assert!(session.rpc(COMMIT).await.contains(OK), "only the first one: {what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn faults_find_hellos_and_kinds_of_commit() {
    let switch = start(spec(Personality::CandidatePersist)).await;
    switch.inject("hello@2:not-xml".parse().unwrap());
    switch.inject("confirmed-commit:reject=resource-denied".parse().unwrap());
    switch.inject("confirm:reject=partial-operation".parse().unwrap());
    let mut session = Session::open(&switch, true).await;
    let mut other = Session::connect(&switch);
    assert!(other.receive().await.unwrap().contains("% busy"));
    assert!(session.rpc(TIMED).await.contains("resource-denied"));
    assert!(session.rpc(COMMIT).await.contains(OK));
    assert!(session.rpc(TIMED).await.contains(OK));
    assert!(session.rpc("<commit><persist-id>x</persist-id></commit>").await.contains("partial-operation"));
    assert!(switch.pending_commit());
    switch.inject(FaultSpec::every("any", What::DropBefore));
    switch.clear_faults();
    assert!(session.rpc("<commit><persist-id>x</persist-id></commit>").await.contains(OK));
    let log: Vec<String> = switch.log().into_iter().filter(|l| l.session == 1).map(|l| l.rpc).collect();
    assert_eq!(log, ["hello", "confirmed-commit", "commit", "confirmed-commit", "confirm", "confirm"]);
}

#[tokio::test(start_paused = true)]
async fn a_timer_runs_out() {
    let switch = start(spec(Personality::CandidatePersist)).await;
    let before = switch.running_xml();
    let mut session = Session::open(&switch, true).await;
    session.rpc(&mtu(9000)).await;
    assert!(switch.candidate_is_dirty());
    assert!(session.rpc(TIMED).await.contains(OK));
    drop(session);
    sleep(Duration::from_secs(59)).await;
    assert!(switch.pending_commit() && switch.running_xml() != before);
    sleep(Duration::from_secs(1)).await;
    assert!(!switch.pending_commit() && switch.running_xml() == before);
}

#[tokio::test(start_paused = true)]
async fn locks_end_with_their_session() {
    let switch = start(spec(Personality::CandidatePersist)).await;
    let mut one = Session::open(&switch, true).await;
    let mut two = Session::open(&switch, false).await;
    assert!(one.rpc("<lock><target><candidate/></target></lock>").await.contains(OK));
    assert!(one.rpc(&mtu(9000)).await.contains(OK));
    assert_eq!(switch.locks().get("candidate"), Some(&1));
    assert!(two.rpc("<kill-session><session-id>1</session-id></kill-session>").await.contains(OK));
    assert_eq!(one.receive().await, None);
    assert!(switch.locks().is_empty() && !switch.candidate_is_dirty());
    two.send_rpc("<close-session/>").await;
    assert!(two.receive().await.unwrap().contains(OK));
    assert_eq!(two.receive().await, None);
}

#[tokio::test(start_paused = true)]
async fn latency_and_shutdown() {
    let latency = Duration::from_millis(250);
    let switch = start(SwitchSpec { latency, ..spec(Personality::Running) }).await;
    let mut session = Session::open(&switch, true).await;
    let begin = Instant::now();
    session.rpc("<get/>").await;
    assert!((latency..latency * 2).contains(&begin.elapsed()));
    switch.shutdown();
    assert_eq!(session.receive().await, None);
}

fn spec(personality: Personality) -> SwitchSpec {
    SwitchSpec { personality, ports: vec!["eth1".into()], vlans: vec![100], ..SwitchSpec::default() }
}

async fn start(spec: SwitchSpec) -> Switch {
    let schema: Arc<Schema> = Schema::builtin().unwrap();
    mercury::sim::start(spec, schema, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// An edit of eth1's MTU.
fn mtu(mtu: u16) -> String {
    format!(
        "<edit-config><target><candidate/></target><config>\
         <interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface><name>eth1</name>\
         <config><mtu>{mtu}</mtu></config></interface></interfaces></config></edit-config>"
    )
}

/// The client's end of a session without SSH, with no more sense than needed.
pub struct Session {
    stream: DuplexStream,
    chunked: bool,
    buffer: String,
}

impl Session {
    fn connect(switch: &Switch) -> Self {
        let (ours, theirs) = tokio::io::duplex(64 * 1024);
        switch.serve_stream(theirs);
        Self { stream: ours, chunked: false, buffer: String::new() }
    }

    /// Both hellos, ours with base:1.1 if it may.
    pub async fn open(switch: &Switch, base_1_1: bool) -> Self {
        let mut session = Self::connect(switch);
        let hello = session.receive().await.expect("a hello");
        let offer = if base_1_1 { "<capability>urn:ietf:params:netconf:base:1.1</capability>" } else { "" };
        session
            .send(&format!(
                "<hello xmlns='{BASE}'><capabilities>\
                 <capability>urn:ietf:params:netconf:base:1.0</capability>{offer}</capabilities></hello>"
            ))
            .await;
        session.chunked = base_1_1 && hello.contains("netconf:base:1.1<");
        session
    }

    pub async fn rpc(&mut self, operation: &str) -> String {
        self.send_rpc(operation).await;
        self.receive().await.expect("an answer")
    }

    async fn send_rpc(&mut self, operation: &str) {
        self.send(&format!("<rpc xmlns='{BASE}' message-id='1'>{operation}</rpc>")).await;
    }

    async fn send(&mut self, message: &str) {
        let framed = match self.chunked {
            true => format!("\n#{}\n{message}\n##\n", message.len()),
            false => format!("{message}]]>]]>"),
        };
        self.stream.write_all(framed.as_bytes()).await.unwrap();
    }

    /// The next message with its framing; `None` at the end.
    async fn receive(&mut self) -> Option<String> {
        let end = if self.chunked { "\n##\n" } else { "]]>]]>" };
        loop {
            if let Some(at) = self.buffer.find(end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            let more = self.raw().await;
            if more.is_empty() {
                return None;
            }
            self.buffer += &more;
        }
    }

    /// Whatever comes next, empty at the end.
    async fn raw(&mut self) -> String {
        let mut bytes = vec![0; 64 * 1024];
        let count = self.stream.read(&mut bytes).await.unwrap();
        String::from_utf8_lossy(&bytes[..count]).into_owned()
    }
}
