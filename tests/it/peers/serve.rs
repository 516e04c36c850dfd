//! `mercury serve` as a process.

use std::fmt;
use std::io::{BufRead as _, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::thread;

use rustix::process::Signal;
use tokio::sync::watch;

use super::process::{Process, command};
use super::{mercury_bin, patiently};

/// Where a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// `127.0.0.1:PORT`
    Http(String),
    /// The same over TLS.
    Https(String),
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A service that listens. Dropping it kills it.
pub struct Serve {
    pub address: Address,
    process: Process,
    output: watch::Receiver<String>,
}

impl Serve {
    /// Starts `mercury serve --config CONFIG` and waits until it listens; the error is all that
    /// it wrote before it ended instead.
    pub async fn start(config: &Path) -> Result<Self, String> {
        let mut serve = command(mercury_bin());
        serve.arg("serve").arg("--config").arg(config);
        Self::start_command(&mut serve).await
    }

    /// The same with a command made with other arguments or environment.
    pub async fn start_command(serve: &mut Command) -> Result<Self, String> {
        let mut process = Process::spawn(serve.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let (sender, mut output) = watch::channel(String::new());
        let sender = Arc::new(sender);
        // Read to the end, always: a full pipe would stop the service.
        drain(process.child().stdout.take().expect("stdout is piped"), sender.clone());
        drain(process.child().stderr.take().expect("stderr is piped"), sender);
        let ready =
            patiently("mercury serve to listen", output.wait_for(|text| address(text).is_some())).await;
        match ready.ok().and_then(|text| address(&text)) {
            Some(address) => Ok(Self { address, process, output }),
            None => Err(output.borrow().clone()),
        }
    }

    /// All it has written so far, to stdout and stderr.
    pub fn output(&self) -> String {
        self.output.borrow().clone()
    }

    /// Waits until it has written `text`.
    pub async fn wait_for_output(&mut self, text: &str) {
        let found =
            patiently(&format!("output with {text:?}"), self.output.wait_for(|all| all.contains(text))).await;
        assert!(found.is_ok(), "the service ended without {text:?}");
    }

    /// The most memory that it has had resident, in KiB.
    pub fn peak_memory(&mut self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.child().id()));
        let status = status.expect("the process is there");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("a peak");
        peak.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// SIGKILL, and waits for the end.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end.
    pub async fn wait(&mut self) -> ExitStatus {
        self.process.wait().await
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> ExitStatus {
        self.process.signal(Signal::TERM);
        self.process.wait().await
    }
}

fn address(output: &str) -> Option<Address> {
    output.lines().find_map(|line| {
        let listening = line.strip_prefix("listening on ")?;
        let (scheme, rest) = listening.split_once(':')?;
        let tcp = rest.trim_start_matches('/').to_owned();
        match scheme {
            "http" => Some(Address::Http(tcp)),
            "https" => Some(Address::Https(tcp)),
            "unix" => Some(Address::Unix(rest.into())),
            _ => None,
        }
    })
}

fn drain(pipe: impl Read + Send + 'static, output: Arc<watch::Sender<String>>) {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            output.send_modify(|text| {
                text.push_str(&line);
                text.push('\n');
            });
        }
    });
}
