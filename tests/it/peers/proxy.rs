//! Decides about the messages that tests/peers/netconf_proxy.py and command_proxy.py ask about.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

use tokio::sync::watch;

use super::patiently;

/// What happens to a message. A session that never hears again from its peer is a hold that is
/// never released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// The request waits in front of the server for [`Proxy::release`].
    HoldRequest,
    /// The request never reaches the server, and the session closes.
    DropRequest,
    /// The server has acted; its reply waits for [`Proxy::release`].
    HoldReply,
    /// The server has acted; its reply is lost and the session closes.
    DropReply,
}

/// Does `action` once, to the nth message of its kind over all sessions since the rule was added.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    rpc: &'static str,
    countdown: usize,
    action: Action,
}

/// A message that came to the proxy, by the name of its operation: `lock`, `edit-config`, ...
/// A commit is `confirmed-commit` when timed and `confirm` when not; besides there is `hello`.
/// Of a command it is the whole command line, and any part of that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    Request(String),
    Reply(String),
}

/// The control of the proxy in front of one netconfd. Dropping it closes the sessions it holds.
pub struct Proxy {
    shared: Arc<Shared>,
    socket: PathBuf,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    events: watch::Sender<Vec<Event>>,
}

struct State {
    rules: Vec<Rule>,
    releases: usize,
    closed: bool,
}

impl Rule {
    /// For the first `rpc` (a name as in [`Event`]) from now on.
    pub fn new(rpc: &'static str, action: Action) -> Self {
        Self { rpc, countdown: 1, action }
    }

    /// For the nth instead, counted from 1.
    pub fn nth(self, nth: usize) -> Self {
        Self { countdown: nth, ..self }
    }
}

impl Event {
    /// The client's message came to the proxy.
    pub fn request(rpc: &str) -> Self {
        Self::Request(rpc.to_owned())
    }

    /// The server's answer to it came to the proxy.
    pub fn reply(rpc: &str) -> Self {
        Self::Reply(rpc.to_owned())
    }

    fn parse(line: &str) -> Option<Self> {
        match line.split_once(' ')? {
            ("request", rpc) => Some(Self::request(rpc)),
            ("reply", rpc) => Some(Self::reply(rpc)),
            _ => None,
        }
    }

    fn matches(&self, rule: &Rule) -> bool {
        match (self, rule.action) {
            (Self::Request(rpc), Action::HoldRequest | Action::DropRequest)
            | (Self::Reply(rpc), Action::HoldReply | Action::DropReply) => is_named(rpc, rule.rpc),
            _ => false,
        }
    }

    fn is(&self, wanted: &Self) -> bool {
        match (self, wanted) {
            (Self::Request(rpc), Self::Request(name)) | (Self::Reply(rpc), Self::Reply(name)) => {
                is_named(rpc, name)
            }
            _ => false,
        }
    }
}

/// An operation has one word, a command line has more.
fn is_named(rpc: &str, name: &str) -> bool {
    rpc == name || rpc.contains(' ') && rpc.contains(name)
}

impl Proxy {
    /// Takes the proxy's questions at a Unix socket made at `socket`.
    pub fn listen(socket: &Path, rules: Vec<Rule>) -> Self {
        let listener = UnixListener::bind(socket).expect("the directory is ours");
        let shared = Arc::new(Shared {
            state: Mutex::new(State { rules, releases: 0, closed: false }),
            changed: Condvar::new(),
            events: watch::Sender::new(Vec::new()),
        });
        // Threads, not tasks: a test that blocks its runtime must not stop the messages.
        let acceptor = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (Ok(stream), shared) = (stream, acceptor.clone()) else { return };
                if shared.lock().closed {
                    return;
                }
                thread::spawn(move || shared.answer(stream));
            }
        });
        Self { shared, socket: socket.to_owned() }
    }

    /// Adds a rule for messages yet to come.
    pub fn add(&self, rule: Rule) {
        self.shared.lock().rules.push(rule);
    }

    /// Forgets the rules that wait for a message yet to come.
    pub fn clear(&self) {
        self.shared.lock().rules.clear();
    }

    /// Waits until such a message has come to the proxy, returning at once if one has already.
    /// A held message is still held then, a dropped one may just be closing its session.
    pub async fn wait_for(&self, event: Event) {
        self.wait_for_nth(event, 1).await;
    }

    /// The same for the nth such message since the start, counted from 1.
    pub async fn wait_for_nth(&self, event: Event, nth: usize) {
        let mut events = self.shared.events.subscribe();
        let came = |seen: &Vec<Event>| seen.iter().filter(|one| one.is(&event)).count() >= nth;
        patiently(&format!("{event:?}"), events.wait_for(came)).await.expect("the sender is ours");
    }

    /// Lets go all messages that are held now.
    pub fn release(&self) {
        self.shared.lock().releases += 1;
        self.shared.changed.notify_all();
    }

    /// All messages of all sessions so far, in the order in which they came.
    pub fn events(&self) -> Vec<Event> {
        self.shared.events.borrow().clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.lock().closed = true;
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then ends.
        drop(UnixStream::connect(&self.socket));
        if let Err(why) = fs::remove_file(&self.socket) {
            eprintln!("cannot remove {}: {why}", self.socket.display());
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics with the lock held")
    }

    /// Answers for one direction of one session until it ends.
    fn answer(&self, stream: UnixStream) {
        let Ok(mut verdicts) = stream.try_clone() else { return };
        for line in BufReader::new(stream).lines() {
            let Some(event) = line.ok().as_deref().and_then(Event::parse) else { return };
            let Some(verdict) = self.decide(event) else { return };
            // The session may have ended meanwhile, as with a killed client.
            if verdicts.write_all(verdict).is_err() {
                return;
            }
        }
    }

    /// What to do with a message; none: the test is over. Waits while the message is held.
    fn decide(&self, event: Event) -> Option<&'static [u8]> {
        let mut state = self.lock();
        let mut action = None;
        for rule in state.rules.iter_mut().filter(|rule| event.matches(rule) && rule.countdown > 0) {
            rule.countdown -= 1;
            if rule.countdown == 0 {
                action = Some(rule.action);
            }
        }
        let releases = state.releases;
        self.events.send_modify(|events| events.push(event));
        match action {
            None => Some(b"pass\n"),
            Some(Action::DropRequest | Action::DropReply) => Some(b"drop\n"),
            Some(Action::HoldRequest | Action::HoldReply) => {
                let held = |state: &mut State| !state.closed && state.releases == releases;
                let state =
                    self.changed.wait_while(state, held).expect("no thread panics with the lock held");
                (!state.closed).then_some(b"pass\n")
            }
        }
    }
}
