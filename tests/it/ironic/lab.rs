//! Ironic, Mercury and the switches: started once, for all tests of this process.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::{Arc, OnceLock, mpsc};
use std::thread;
use std::time::Duration;

use hyper::Method;
use mercury::sim::Personality;
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::RwLock;

use super::api::Api;
use super::mercury::{Mercury, write};
use super::switch::Switch;
use crate::peers::{Authority, Peer, Shape, ironic_programs, poll_pause, require, script};

/// What runs until the test process ends.
pub struct Lab {
    pub ironic: Api,
    pub mercury: Mercury,
    /// Held by every node; who stops Mercury holds it alone.
    pub calm: Arc<RwLock<()>>,
    switches: Vec<Switch>,
    dir: PathBuf,
}

/// How long Ironic may take to start: it comes up in 3 seconds on a machine that does nothing else.
const PATIENCE: Duration = Duration::from_secs(90);

impl Lab {
    /// The one of this process.
    pub fn get() -> &'static Self {
        static LAB: OnceLock<Option<Lab>> = OnceLock::new();
        LAB.get_or_init(Self::start).as_ref().expect("the lab starts; why not is told above")
    }

    /// The switch of that name; each belongs to one test.
    pub fn switch(&self, name: &str) -> &Switch {
        self.switches.iter().find(|switch| switch.name == name).expect("a switch of the lab")
    }

    /// The last lines that Ironic logged about something, but for questions that were asked.
    pub fn log_about(&self, what: &str) -> String {
        let log = fs::read_to_string(self.dir.join("ironic.log")).unwrap_or_default();
        let lines: Vec<&str> =
            log.lines().filter(|line| line.contains(what) && !line.contains(" - GET ")).collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// On a thread that never ends: peers die with the thread that started them, and simulated
    /// switches live on its runtime.
    fn start() -> Option<Self> {
        let (sender, receiver) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async move {
                let (lab, ironic) = Self::build().await;
                sender.send(lab).expect("it is waited for");
                std::future::pending::<()>().await;
                // Open until the process ends, in whatever way: so is Ironic.
                drop(ironic);
            });
        });
        receiver.recv().ok()
    }

    async fn build() -> (Self, ChildStdin) {
        let dir = TempDir::with_prefix("ironic-").expect("a temporary directory");
        let simulated = |name, number, personality| Switch::simulated(name, number, personality, dir.path());
        // Of Mercury, of its callers, and of the switches.
        let authority = Authority::at(dir.path());
        let gnmi = |name, number| Switch::gnmi(name, number, &authority, dir.path());
        let mut switches = vec![
            Switch::netconfd("candidate", 1, Shape::Candidate).await,
            Switch::netconfd("startup", 2, Shape::RunningStartup).await,
            simulated("modes", 3, Personality::AnyCommit).await,
            simulated("patches", 4, Personality::RunningStartup).await,
            simulated("crowd", 5, Personality::CandidatePersist).await,
            simulated("refusing", 6, Personality::CandidateSession).await,
            simulated("hanging", 7, Personality::CandidatePersist).await,
            simulated("dying", 8, Personality::CandidatePlain).await,
            gnmi("gnmi", 10).await,
            gnmi("gnmi-hanging", 11).await,
            gnmi("gnmi-dying", 12).await,
        ];
        // Only root can have one.
        if require(&[Peer::OpenVswitch]) {
            switches.push(Switch::open_vswitch("forwarding", 9).await);
        }
        let mercury = Mercury::start(&switches, &authority, dir.path()).await;
        // Where it keeps its things, and how it reaches Mercury; the rest is in tests/peers/ironic.conf.
        let own = format!("[DEFAULT]\nstate_path = {}\n", dir.path().display());
        write(&dir.path().join("ironic.conf"), &(own + &mercury.client_configuration()));
        let mut ironic = spawn(dir.path());
        for dir in switches.iter().filter_map(Switch::dir) {
            writeln!(ironic, "{}", dir.display()).expect("it reads");
        }
        let api = Api { socket: dir.path().join("api.sock") };
        ready(&api, dir.path()).await;
        // ironic.sh removes it.
        let dir = dir.keep();
        (Self { ironic: api, mercury, calm: Arc::default(), switches, dir }, ironic)
    }
}

/// Gives what keeps it running. In a process group of its own: whoever kills ours lets it tidy up.
fn spawn(dir: &Path) -> ChildStdin {
    let output = File::create(dir.join("ironic.sh.out")).expect("the directory is ours");
    let mut ironic = Command::new(script("ironic.sh"));
    ironic.arg(ironic_programs()).arg(script("ironic.conf")).arg(dir).process_group(0);
    let child = ironic.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(output).spawn();
    child.expect("ironic.sh starts").stdin.take().expect("stdin is piped")
}

/// Its socket is there before it answers, and it answers before its conductor is.
async fn ready(api: &Api, dir: &Path) {
    let answers = async {
        while !matches!(
            api.ask(Method::GET, "drivers", &Value::Null).await,
            Ok((_, drivers)) if drivers["drivers"][0]["name"] == "fake-hardware"
        ) {
            poll_pause().await;
        }
    };
    if tokio::time::timeout(PATIENCE, answers).await.is_err() {
        let read = |name| fs::read_to_string(dir.join(name)).unwrap_or_default();
        panic!(
            "Ironic does not start: {}{}{}",
            read("ironic.sh.out"),
            read("ironic.out"),
            read("ironic.log")
        );
    }
}
