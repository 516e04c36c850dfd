//! Open vSwitch behind an sshd of our own, with machines on its ports: a real switch that forwards.
//!
//! Its daemons run in a network namespace of their own and forward in user space, so the kernel
//! needs no module for it. What comes over SSH runs as root in that namespace.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::host::Host;
use super::netns::Namespace;
use super::process::{Process, command, poll_pause};
use super::proxy::{Proxy, Rule};
use super::raw_client::ssh;
use super::sshd::{Sshd, output};
use super::{PATIENCE, patiently, python, script};

pub const BRIDGE: &str = "br0";
pub const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// How many frames of each port may wait to be forwarded: 32 a turn of its main loop.
const TURNS: usize = 4;

/// A running switch. Dropping it kills it.
pub struct OpenVswitch {
    pub port: u16,
    pub username: String,
    /// The private key that may log in.
    pub key: PathBuf,
    /// A known_hosts file with the server's key.
    pub known_hosts: PathBuf,
    ports: Vec<String>,
    // Dropped in this order: the programs before the namespace and the directory they use.
    sshd: Sshd,
    _daemons: [Process; 2],
    namespace: Namespace,
    dir: TempDir,
}

/// A port as the switch says it: `vlan_mode`, `tag` and `trunks` of the database, the link's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    pub vlan_mode: Option<String>,
    pub tag: Option<u16>,
    pub trunks: BTreeSet<u16>,
    pub admin_up: bool,
}

/// What a command over SSH came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ran {
    pub status: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl OpenVswitch {
    /// Starts one whose bridge [`BRIDGE`] has `ports`, each up, with nothing set, which makes it a
    /// trunk of every VLAN. Nothing is plugged in until [`Self::host`] is asked.
    pub async fn start(ports: &[&str]) -> Self {
        let dir = TempDir::with_prefix("ovs-").expect("a temporary directory");
        let namespace = Namespace::new();
        let wires = ports.iter().enumerate().map(|(n, port)| {
            let far = wire(n);
            format!("link add {port} type veth peer name {far}\nlink set {port} up\n")
        });
        fs::write(dir.path().join("links"), wires.collect::<String>()).expect("the directory is ours");
        output(namespace.command("ip").arg("-batch").arg(dir.path().join("links")));

        let database = dir.path().join("conf.db");
        output(ovs(dir.path(), Command::new("ovsdb-tool")).arg("create").arg(&database).arg(SCHEMA));
        let socket = format!("unix:{}", dir.path().join("db.sock").display());
        let mut ovsdb = ovs(dir.path(), namespace.command("/usr/sbin/ovsdb-server"));
        ovsdb.arg(&database).arg(format!("--remote=p{socket}")).arg("--unixctl=ovsdb.ctl");
        let ovsdb = daemon(dir.path(), "ovsdb", ovsdb);
        patiently("ovsdb-server to listen", until_it_listens(&dir.path().join("db.sock"))).await;
        vsctl(dir.path(), &["--no-wait", "init"]);
        let mut vswitchd = ovs(dir.path(), namespace.command("ovs-vswitchd"));
        vswitchd.arg(socket).args(["--disable-system", "--unixctl=vswitchd.ctl"]);
        let vswitchd = daemon(dir.path(), "vswitchd", vswitchd);
        let mut bridge = vec!["add-br", BRIDGE, "--", "set", "bridge", BRIDGE, "datapath_type=netdev"];
        bridge.extend(ports.iter().flat_map(|port| ["--", "add-port", BRIDGE, port]));
        // It waits until ovs-vswitchd has done so.
        vsctl(dir.path(), &bridge);

        let sshd = Sshd::prepare(dir.path());
        let mut switch = Self {
            port: 0,
            username: Sshd::username(),
            key: sshd.key(),
            known_hosts: sshd.known_hosts(),
            ports: ports.iter().map(|&port| port.to_owned()).collect(),
            sshd,
            _daemons: [vswitchd, ovsdb],
            namespace,
            dir,
        };
        switch.write_session();
        loop {
            switch.sshd.choose_port();
            switch.port = switch.sshd.port;
            if switch.listen().await {
                return switch;
            }
        }
    }

    /// The switch's private directory: `vswitchd.log`, `ovsdb.log`, `sshd.log`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Plugs a machine into a port, for as long as it is kept.
    pub async fn host(&self, port: &str) -> Host {
        let at = self.ports.iter().position(|name| name == port);
        let far = wire(at.unwrap_or_else(|| panic!("the switch has no port {port}")));
        Host::start(port, &self.namespace, &far, self.dir().join("vswitchd.ctl")).await
    }

    /// Runs `ovs-vsctl`, which must succeed, and gives what it prints.
    pub fn vsctl(&self, arguments: &[&str]) -> String {
        vsctl(self.dir(), arguments)
    }

    /// Runs `ip` where the ports are.
    pub fn ip(&self, arguments: &[&str]) -> String {
        output(self.namespace.command("ip").args(arguments))
    }

    /// A port as it is now.
    pub fn port(&self, name: &str) -> Port {
        let columns = ["--format=json", "--columns=vlan_mode,tag,trunks", "list", "port", name];
        let table: Value = serde_json::from_str(&self.vsctl(&columns)).expect("JSON");
        let row = &table["data"][0];
        // A value that is missing is the empty set; a set of one is that one.
        let trunks = match row[2].as_array() {
            Some(set) => set[1].as_array().expect("a set").iter().map(vlan).collect(),
            None => BTreeSet::from([vlan(&row[2])]),
        };
        let links: Value = serde_json::from_str(&self.ip(&["-json", "link", "show", name])).expect("JSON");
        Port {
            vlan_mode: row[0].as_str().map(str::to_owned),
            tag: row[1].is_u64().then(|| vlan(&row[1])),
            trunks,
            admin_up: links[0]["flags"].as_array().expect("flags").contains(&"UP".into()),
        }
    }

    /// Waits until what was configured forwards, and what was sent until now has been forwarded.
    /// `ovs-vsctl` itself returns a little before the frames in flight follow it.
    pub fn settle(&self) {
        settle(&self.dir().join("vswitchd.ctl"));
    }

    /// Runs a command line through OpenSSH's client.
    pub async fn ssh(&self, command_line: &str) -> Ran {
        let mut client = ssh(self.port, &self.known_hosts);
        client.args(["-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"]);
        client.args(["-o", "KexAlgorithms=curve25519-sha256", "-i"]).arg(&self.key);
        client.arg(format!("{}@127.0.0.1", self.username)).arg(command_line);
        let ran = tokio::process::Command::from(client).kill_on_drop(true).output();
        let ran = patiently(command_line, ran).await.expect("ssh is installed");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        Ran { status: ran.status.code(), stdout: text(ran.stdout), stderr: text(ran.stderr) }
    }

    /// The command lines that have come over SSH, in the order in which they began.
    pub fn commands(&self) -> Vec<String> {
        let log = fs::read_to_string(self.dir().join("commands")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    /// Puts a proxy in front of the commands to come, which follows `rules`, until it is dropped.
    /// It does not hold the shell of a session without a command.
    pub fn proxy(&self, rules: Vec<Rule>) -> Proxy {
        Proxy::listen(&self.dir().join("proxy.sock"), rules)
    }

    /// Its management is gone: all sessions end and connections are refused. It forwards on.
    pub fn kill_sshd(&mut self) {
        self.sshd.kill();
    }

    /// Starts sshd again, on the same port with the same keys.
    pub async fn restart_sshd(&mut self) {
        self.kill_sshd();
        assert!(self.listen().await, "port {} was taken meanwhile", self.port);
    }

    /// False if the port was taken.
    async fn listen(&mut self) -> bool {
        let session = self.dir().join("session");
        self.sshd.spawn(&format!("ForceCommand {}\n", session.display()));
        patiently("sshd to listen", self.sshd.listens()).await
    }

    /// The program that takes each command to where the switch is.
    fn write_session(&self) {
        let dir = self.dir().display();
        let enter = format!("nsenter --net=/proc/{}/ns/net --", self.namespace.pid());
        let proxy = format!("{} -I -S {}", python().display(), script("command_proxy.py").display());
        let text = format!(
            "#!/bin/sh\nexport PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n\
             export OVS_RUNDIR={dir} PS1='\\u@switch:\\w\\$ '\n\
             [ -n \"$SSH_ORIGINAL_COMMAND\" ] || exec {enter} bash --norc\n\
             printf '%s\\n' \"$SSH_ORIGINAL_COMMAND\" >>{dir}/commands\n\
             [ ! -S {dir}/proxy.sock ] || proxy='{proxy} {dir}/proxy.sock'\n\
             exec $proxy {enter} sh -c \"$SSH_ORIGINAL_COMMAND\"\n"
        );
        let path = self.dir().join("session");
        fs::write(&path, text).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("the file is ours");
    }
}

/// The name of the far end of the nth port's wire, while nobody has it.
fn wire(n: usize) -> String {
    format!("wire{n}")
}

fn vlan(value: &Value) -> u16 {
    value.as_u64().and_then(|vlan| vlan.try_into().ok()).unwrap_or_else(|| panic!("{value} is no VLAN"))
}

/// Open vSwitch's programs take their sockets from there.
fn ovs(dir: &Path, mut command: Command) -> Command {
    command.env("OVS_RUNDIR", dir).env("OVS_SYSCONFDIR", dir);
    command
}

fn vsctl(dir: &Path, arguments: &[&str]) -> String {
    let timeout = format!("--timeout={}", PATIENCE.as_secs());
    output(ovs(dir, command("ovs-vsctl")).arg(timeout).args(arguments))
}

fn daemon(dir: &Path, name: &str, mut command: Command) -> Process {
    let log = File::create(dir.join(format!("{name}.log"))).expect("the directory is ours");
    Process::spawn(command.stderr(log))
}

async fn until_it_listens(socket: &Path) {
    while UnixStream::connect(socket).is_err() {
        poll_pause().await;
    }
}

/// See [`OpenVswitch::settle`]. `control` is the socket of ovs-vswitchd's.
pub fn settle(control: &Path) {
    // Else it forwards as it remembers to until it has looked through all that it remembers.
    ask(control, "revalidator/purge");
    drain(control);
}

/// Waits until what was sent until now has been forwarded.
pub fn drain(control: &Path) {
    // Its main loop forwards, then takes new connections: between two answers it has forwarded.
    for _ in 0..=TURNS {
        ask(control, "version");
    }
}

/// What `ovs-appctl` does: JSON-RPC, one call a connection.
fn ask(control: &Path, method: &str) {
    let call = || -> std::io::Result<Value> {
        let mut stream = UnixStream::connect(control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, r#"{{"id":0,"method":"{method}","params":[]}}"#)?;
        let mut answer = Vec::new();
        loop {
            let mut chunk = [0; 1024];
            let length = stream.read(&mut chunk)?;
            answer.extend(chunk.iter().take(length));
            if length == 0 || serde_json::from_slice::<Value>(&answer).is_ok() {
                return Ok(serde_json::from_slice(&answer)?);
            }
        }
    };
    let answer = call().unwrap_or_else(|why| panic!("ovs-vswitchd does not answer {method}: {why}"));
    assert!(answer["error"].is_null(), "{method}: {answer}");
}
