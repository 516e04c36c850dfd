//! A machine on a port of a switch: it sends Ethernet frames, answers those that ask it, and knows
//! each that came.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{ChildStdin, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::netns::Namespace;
use super::openvswitch::{drain, settle};
use super::process::{Process, command, poll_pause};
use super::sshd::output;
use super::{patiently, python, script};

/// A machine. Dropping it removes its end of the wire, and with it the port's: nothing
/// can be plugged in there again.
pub struct Host {
    pub name: String,
    pub mac: String,
    stdin: Mutex<ChildStdin>,
    state: watch::Receiver<State>,
    last_id: AtomicU64,
    /// Of the switch that it is plugged into.
    control: PathBuf,
    _process: Process,
}

/// A frame that a machine received.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Frame {
    /// The machine that sent it, by the name of its port.
    pub from: String,
    /// The tag it came with.
    pub vlan: Option<u16>,
    /// The tag it was sent with.
    pub sent: Option<u16>,
    /// Counts what a flood sends.
    pub round: Option<u64>,
    /// When the kernel had it, in nanoseconds since 1970.
    at: u64,
}

/// What a machine hears from now on. It may be looked at any number of times.
pub struct Sniffer<'a> {
    host: &'a Host,
    since: u64,
}

/// Frames that a machine sends all the time. Dropping it ends that.
pub struct Flood<'a> {
    host: &'a Host,
}

#[derive(Default)]
struct State {
    started: bool,
    mac: Option<String>,
    frames: Vec<Frame>,
    answered: BTreeSet<u64>,
    flushed: u64,
    lost: u64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Started { started: bool },
    Opened { mac: String },
    Frame(Frame),
    Answered { answered: u64 },
    Flushed { flushed: u64, lost: u64 },
}

impl Host {
    /// Takes the link `wire` out of the switch's namespace. `control` is the switch's, to
    /// [`settle`] it.
    pub async fn start(name: &str, switch: &Namespace, wire: &str, control: PathBuf) -> Self {
        let mut machine = command("unshare");
        machine.arg("--net").arg(python()).args(["-I", "-S"]).arg(script("ethernet_host.py")).arg(name);
        let mut process = Process::spawn(machine.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let stdin = process.child().stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(process.child().stdout.take().expect("stdout is piped"));
        let (sender, state) = watch::channel(State::default());
        // A thread, not a task: a test that blocks its runtime must not stop the machine.
        thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or_else(|why| panic!("{line}: {why}"));
                sender.send_modify(|state| state.take(line));
            }
        });
        let pid = process.child().id().to_string();
        let mut host = Self {
            name: name.to_owned(),
            mac: String::new(),
            stdin: Mutex::new(stdin),
            state,
            last_id: AtomicU64::new(0),
            control,
            _process: process,
        };
        host.until("a machine to start", |state| state.started).await;
        output(switch.command("ip").args(["link", "set", wire, "netns", &pid, "name", "eth0"]));
        host.tell(&json!({ "open": "eth0" }));
        host.until("a machine to have its link", |state| state.mac.is_some()).await;
        host.mac = host.state.borrow().mac.clone().unwrap_or_default();
        host
    }

    /// Whether `other` answers, asked in `vlan` or untagged. Quick in both cases: nothing is in
    /// flight any more when it gives up.
    pub async fn reaches(&self, other: &Self, vlan: Option<u16>) -> bool {
        for _ in 0..3 {
            let id = self.next_id();
            self.tell(&json!({ "ask": id, "to": other.name, "tag": vlan }));
            self.flush().await;
            settle(&self.control);
            other.flush().await;
            drain(&self.control);
            self.flush().await;
            if self.state.borrow().answered.contains(&id) {
                return true;
            }
        }
        false
    }

    /// Asks until `other` answers: a link that has come up may take its time.
    pub async fn comes_to_reach(&self, other: &Self, vlan: Option<u16>) {
        let what = format!("{} to reach {} in VLAN {vlan:?}", self.name, other.name);
        patiently(&what, async {
            while !self.reaches(other, vlan).await {
                poll_pause().await;
            }
        })
        .await;
    }

    /// Listens from now on.
    pub fn sniff(&self) -> Sniffer<'_> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock that is set");
        Sniffer { host: self, since: u64::try_from(now.as_nanos()).expect("before the year 2554") }
    }

    /// Sends a frame to everybody in each VLAN of `tags`, and untagged for `None`, every other
    /// millisecond. There is one flood at a time.
    pub fn flood(&self, tags: &[Option<u16>]) -> Flood<'_> {
        self.tell(&json!({ "flood": tags, "pause": 0.002 }));
        Flood { host: self }
    }

    /// Waits until all that has come to the machine is known here.
    async fn flush(&self) {
        let id = self.next_id();
        self.tell(&json!({ "flush": id }));
        self.until("a machine to listen", |state| state.flushed >= id).await;
    }

    async fn until(&self, what: &str, is: impl FnMut(&State) -> bool) {
        let mut state = self.state.clone();
        let met = patiently(what, state.wait_for(is)).await.is_ok();
        assert!(met, "the machine on {} ended", self.name);
    }

    fn tell(&self, order: &Value) {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(stdin, "{order}").unwrap_or_else(|why| panic!("the machine on {} ended: {why}", self.name));
    }

    fn next_id(&self) -> u64 {
        self.last_id.fetch_add(1, Ordering::Relaxed) + 1
    }
}

impl State {
    fn take(&mut self, line: Line) {
        match line {
            Line::Started { started } => self.started = started,
            Line::Opened { mac } => self.mac = Some(mac),
            Line::Frame(frame) => self.frames.push(frame),
            Line::Answered { answered } => {
                self.answered.insert(answered);
            }
            Line::Flushed { flushed, lost } => (self.flushed, self.lost) = (flushed, lost),
        }
    }
}

impl Sniffer<'_> {
    /// All frames until now, also those that the switch still had to forward.
    pub async fn frames(&self) -> Vec<Frame> {
        drain(&self.host.control);
        self.host.flush().await;
        let state = self.host.state.borrow();
        assert_eq!(state.lost, 0, "the machine on {} was too slow to see all", self.host.name);
        state.frames.iter().filter(|frame| frame.at >= self.since).cloned().collect()
    }

    /// The VLANs in which others sent what came, with or without its tag.
    pub async fn vlans_seen(&self) -> BTreeSet<u16> {
        self.frames().await.iter().filter_map(|frame| frame.sent).collect()
    }

    /// Waits for a frame.
    pub async fn wait_for(&self, what: &str, is: impl Fn(&Frame) -> bool) {
        let mut looked_at = 0;
        self.host
            .until(what, |state| {
                let new = state.frames.iter().skip(looked_at);
                looked_at = state.frames.len();
                new.filter(|frame| frame.at >= self.since).any(&is)
            })
            .await;
    }
}

impl Drop for Flood<'_> {
    fn drop(&mut self) {
        // While a test panics, the machine may be gone.
        let mut stdin = self.host.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(why) = writeln!(stdin, r#"{{"flood": [], "pause": 0}}"#) {
            eprintln!("the machine on {} ended: {why}", self.host.name);
        }
    }
}
