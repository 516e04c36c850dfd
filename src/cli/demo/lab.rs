//! What the demo runs on: simulated switches in this process, the files that an operator would
//! write, and the service as a process of its own.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::schema::Schema;
use crate::sim::{self, Personality, Quirks, Switch, SwitchSpec};

/// A switch of the demo and what it promises, in words.
pub struct Leaf {
    pub name: &'static str,
    pub mac: &'static str,
    pub promises: &'static str,
    personality: Personality,
    refuse: Option<u16>,
}

pub const LEAVES: [Leaf; 4] = [
    Leaf {
        name: "leaf1",
        mac: "00:1c:73:00:00:01",
        promises: "candidate; a timed commit that anyone with its id can confirm or cancel",
        personality: Personality::CandidatePersist,
        refuse: None,
    },
    Leaf {
        name: "leaf2",
        mac: "00:1c:73:00:00:02",
        promises: "candidate; a timed commit that is undone when its session ends",
        personality: Personality::CandidateSession,
        refuse: None,
    },
    Leaf {
        name: "leaf3",
        mac: "00:1c:73:00:00:03",
        promises: "no candidate, no timer: edits go straight to running",
        personality: Personality::Running,
        refuse: None,
    },
    Leaf {
        name: "leaf4",
        mac: "00:1c:73:00:00:04",
        promises: "as leaf1, but it refuses VLAN 150",
        personality: Personality::CandidatePersist,
        refuse: Some(150),
    },
];

const SETTINGS: &str = r#"
[rpc]
listen = "127.0.0.1:0"
auth = "none"
[inventory]
devices = "devices.toml"
allowed_vlans = "100-199"
idle_vlans = "999"
allowed_ports = ["re:eth[0-9]+"]
protected_ports = ["eth48"]
on_detach = "disable"
[locks]
dir = "locks"
[limits]
request_timeout = "15s"
lock_wait = "2s"
"#;

/// How long the service may take to start, to answer, or to stop.
const PATIENCE: Duration = Duration::from_secs(20);
const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
/// RFC 6242 4.3.
const END: &str = "]]>]]>";

/// All of it. Dropped, it ends too; the service comes first, so that it is gone before its directory.
pub struct Lab {
    service: Child,
    address: String,
    pub switches: BTreeMap<&'static str, Switch>,
    dir: TempDir,
}

impl Lab {
    /// Starts the switches, writes the files, starts the service and waits until it listens.
    pub async fn start() -> Result<Self> {
        let mut builder = tempfile::Builder::new();
        let dir = builder.prefix("mercury-demo-").permissions(Permissions::from_mode(0o700)).tempdir()?;
        let key = sim::write_host_key(&dir.path().join("id_ed25519"))?;
        let key = russh::keys::PrivateKey::from_openssh(key.expose_secret())?.public_key().to_openssh()?;

        let schema = Schema::builtin()?;
        let mut switches = BTreeMap::new();
        let mut devices = String::new();
        for leaf in &LEAVES {
            let spec = SwitchSpec {
                name: leaf.name.to_owned(),
                personality: leaf.personality,
                quirks: Quirks { refuse: leaf.refuse, ..Quirks::default() },
                ports: ["eth1", "eth2", "eth48"].map(str::to_owned).to_vec(),
                vlans: vec![100, 110, 111, 112, 150, 999],
                authorized_key: Some(key.clone()),
                ..SwitchSpec::default()
            };
            let switch = sim::start(spec, schema.clone(), ([127, 0, 0, 1], 0).into()).await?;
            devices += &device(leaf, &switch);
            switches.insert(leaf.name, switch);
        }
        fs::write(dir.path().join("devices.toml"), devices)?;
        fs::write(dir.path().join("mercury.toml"), SETTINGS)?;
        let (service, address) = serve(dir.path()).await?;
        Ok(Self { service, address, switches, dir })
    }

    /// `http://127.0.0.1:PORT` of the service.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Where its files are.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Sends one JSON-RPC request over HTTP and gives the answer.
    pub async fn call(&self, request: &Value) -> Result<Value> {
        let exchange = async {
            let host = self.address.trim_start_matches("http://");
            let stream = TokioIo::new(TcpStream::connect(host).await?);
            let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
            let connection = tokio::spawn(connection);
            let body = Full::<Bytes>::from(request.to_string());
            let request = hyper::Request::post("/").header("host", host).body(body)?;
            let answer = sender.send_request(request).await?.into_body().collect().await?.to_bytes();
            drop(sender);
            connection.await??;
            anyhow::Ok(serde_json::from_slice(&answer)?)
        };
        timeout(PATIENCE, exchange).await.context("the service does not answer")?
    }

    /// Whether every journal is empty: no transaction is open.
    pub fn journals_are_empty(&self) -> Result<bool> {
        let files = fs::read_dir(self.dir().join("locks"))?;
        let lengths = files.map(|file| file?.metadata().map(|file| file.len()));
        Ok(lengths.collect::<std::io::Result<Vec<u64>>>()?.iter().all(|length| *length == 0))
    }

    /// The last lines that the service logged.
    pub fn log_tail(&self) -> String {
        log_tail(self.dir())
    }

    /// Ends the service as an operator would and waits for it; then everything else goes.
    pub async fn stop(self) -> Result<()> {
        let Self { mut service, dir, .. } = self;
        let id = service.id().and_then(|id| Pid::from_raw(id.try_into().ok()?));
        let ended = async {
            kill_process(id.context("it is gone already")?, Signal::TERM)?;
            let status = timeout(PATIENCE, service.wait()).await.context("it does not stop")??;
            ensure!(status.success(), "{status}");
            Ok(())
        };
        let ended = ended.await.context("stopping the service");
        if ended.is_err() {
            service.kill().await?;
        }
        dir.close().context("removing its directory")?;
        ended
    }
}

fn device(leaf: &Leaf, switch: &Switch) -> String {
    format!(
        r#"
[[device]]
name = "{}"
mac_address = "{}"
address = "{}"
port = {}
profile = "netconf_openconfig"
username = "admin"
key_file = "id_ed25519"
host_key = "{}"
"#,
        leaf.name,
        leaf.mac,
        switch.addr().ip(),
        switch.addr().port(),
        switch.host_key(),
    )
}

/// Starts this same program as the service, with its log in a file.
async fn serve(dir: &Path) -> Result<(Child, String)> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["serve", "--config"]).arg(dir.join("mercury.toml"));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(dir.join("service.log"))?);
    command.kill_on_drop(true);
    // SAFETY: the closure makes one system call between fork and exec, and allocates nothing.
    unsafe {
        // It must not outlive us, even if we are killed.
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    let mut service = command.spawn().context("cannot start the service")?;
    let output = service.stdout.take().context("the service has no output")?;
    let mut line = String::new();
    let mut output = BufReader::new(output);
    timeout(PATIENCE, output.read_line(&mut line)).await.context("the service does not listen")??;
    match line.trim().strip_prefix("listening on ") {
        Some(address) => Ok((service, address.to_owned())),
        None => bail!("the service did not start:\n{}", log_tail(dir)),
    }
}

fn log_tail(dir: &Path) -> String {
    let log = fs::read_to_string(dir.join("service.log")).unwrap_or_else(|error| error.to_string());
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Sends `config` to a switch as one edit of running, with a client of a few lines that shares
/// nothing with the service: hello, edit-config, close-session (RFC 6241), in RFC 6242 4.3's framing.
pub async fn edit_by_hand(switch: &Switch, config: &str) -> Result<()> {
    let (mut ours, theirs) = tokio::io::duplex(1 << 16);
    switch.serve_stream(theirs);
    let messages = [
        format!(
            r#"<hello xmlns="{BASE}"><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability></capabilities></hello>"#
        ),
        format!(
            r#"<rpc xmlns="{BASE}" message-id="1"><edit-config><target><running/></target><error-option>rollback-on-error</error-option><config>{config}</config></edit-config></rpc>"#
        ),
        format!(r#"<rpc xmlns="{BASE}" message-id="2"><close-session/></rpc>"#),
    ];
    for message in messages {
        ours.write_all(format!("{message}{END}").as_bytes()).await?;
    }
    // The switch closes the stream after the last answer.
    let mut answers = String::new();
    timeout(PATIENCE, ours.read_to_string(&mut answers)).await.context("the switch does not answer")??;
    let edited = answers.split(END).find(|answer| answer.contains("message-id=\"1\""));
    match edited {
        Some(answer) if answer.contains("<ok/>") => Ok(()),
        answer => bail!("the switch answered {}", answer.unwrap_or("nothing")),
    }
}
