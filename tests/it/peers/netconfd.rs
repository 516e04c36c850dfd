//! Debian's netconfd (yuma123) behind an sshd of our own: a real switch's management plane.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::process::{Process, command, poll_pause};
use super::proxy::{Proxy, Rule};
use super::raw_client::{RawClient, ssh};
use super::sshd::Sshd;
use super::{openconfig_dir, patiently, python, script};

/// Which datastores the server has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Candidate and running, with confirmed commit by persist-id.
    Candidate,
    /// Writable running and startup, no candidate, no timer.
    RunningStartup,
}

/// What to start. Its default modules are those of OpenConfig that netconfd can load.
pub struct Options {
    pub shape: Shape,
    /// Where to look for modules before netconfd's own directory.
    pub yang: Vec<PathBuf>,
    /// Modules to load, by name.
    pub modules: Vec<String>,
}

/// A running server. Dropping it kills it.
pub struct Netconfd {
    pub port: u16,
    pub username: String,
    /// The private key that may log in.
    pub key: PathBuf,
    /// A known_hosts file with the server's key.
    pub known_hosts: PathBuf,
    options: Options,
    proxied: bool,
    // Dropped in this order: the servers before the directory they use.
    sshd: Sshd,
    netconfd: Option<Process>,
    dir: TempDir,
}

const MODULES: [&str; 7] = [
    "openconfig-vlan-types",
    "openconfig-if-types",
    "openconfig-interfaces",
    "openconfig-if-ethernet",
    "openconfig-if-aggregate",
    "openconfig-vlan",
    "openconfig-if-ip",
];
const SUBSYSTEM: &str = "netconf";
/// The same without the proxy, for [`RawClient`].
const DIRECT: &str = "netconf-direct";
const EMPTY: &str = "<config xmlns=\"urn:ietf:params:xml:ns:netconf:base:1.0\"/>\n";

impl Options {
    pub fn new(shape: Shape) -> Self {
        Self { shape, yang: vec![openconfig_dir()], modules: MODULES.map(str::to_owned).to_vec() }
    }
}

impl Netconfd {
    /// Starts a server with OpenConfig's own modules and an empty configuration.
    pub async fn start(shape: Shape) -> Self {
        Self::start_with(Options::new(shape)).await
    }

    pub async fn start_with(options: Options) -> Self {
        Self::prepare(options, false).boot().await
    }

    /// Puts the proxy in front, which follows `rules`.
    pub async fn start_with_proxy(shape: Shape, rules: Vec<Rule>) -> (Self, Proxy) {
        Self::start_behind_proxy(Options::new(shape), rules).await
    }

    pub async fn start_behind_proxy(options: Options, rules: Vec<Rule>) -> (Self, Proxy) {
        let server = Self::prepare(options, true);
        let proxy = Proxy::listen(&server.path("proxy.sock"), rules);
        (server.boot().await, proxy)
    }

    /// The server's private directory: `netconfd.log`, `sshd.log`, `home/startup-cfg.xml`.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// A session of someone else, past the proxy.
    pub async fn connect(&self) -> RawClient {
        let mut ssh = ssh(self.port, &self.known_hosts);
        // The default key exchange costs more time than all the rest of a session.
        ssh.args([
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
            "-o",
            "KexAlgorithms=curve25519-sha256",
        ]);
        ssh.arg("-i").arg(&self.key);
        RawClient::open(ssh, &self.username, DIRECT).await
    }

    /// What a subtree filter selects of a datastore, as read by OpenSSH's client.
    pub async fn get_config(&self, store: &str, filter: &str) -> String {
        self.connect().await.get_config(store, filter).await
    }

    /// All of running.
    pub async fn running_xml(&self) -> String {
        self.get_config("running", "").await
    }

    /// Power loss: the server and all its sessions are gone, connections are refused.
    pub fn kill_server(&mut self) {
        self.sshd.kill();
        self.netconfd = None;
    }

    /// Starts again, on the same port with the same keys, from the startup configuration.
    pub async fn restart(&mut self) {
        self.kill_server();
        assert!(self.try_boot().await, "port {} was taken meanwhile", self.port);
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Makes keys and files.
    fn prepare(options: Options, proxied: bool) -> Self {
        let dir = TempDir::with_prefix("netconfd-").expect("a temporary directory");
        let home = dir.path().join("home");
        fs::create_dir(&home).expect("the directory is ours");
        fs::write(home.join("startup-cfg.xml"), EMPTY).expect("the directory is ours");
        let sshd = Sshd::prepare(dir.path());
        Self {
            port: 0,
            username: Sshd::username(),
            key: sshd.key(),
            known_hosts: sshd.known_hosts(),
            options,
            proxied,
            sshd,
            netconfd: None,
            dir,
        }
    }

    /// Starts on a port that is free.
    async fn boot(mut self) -> Self {
        loop {
            self.sshd.choose_port();
            self.port = self.sshd.port;
            if self.try_boot().await {
                return self;
            }
        }
    }

    /// False if the port was taken.
    async fn try_boot(&mut self) -> bool {
        self.netconfd = Some(self.spawn_netconfd());
        self.sshd.spawn(&self.subsystems());
        patiently("netconfd and sshd to be ready", self.ready()).await
    }

    /// Nobody tells when it listens, so it is asked again and again.
    async fn ready(&mut self) -> bool {
        if !self.sshd.listens().await {
            return false;
        }
        let socket = self.path("ncx.sock");
        while UnixStream::connect(&socket).is_err() {
            if self.netconfd.as_mut().is_some_and(|netconfd| netconfd.ended().is_some()) {
                panic!("netconfd ended: {}{}", self.log("netconfd.out"), self.log("netconfd.log"));
            }
            poll_pause().await;
        }
        true
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn subsystems(&self) -> String {
        let dir = self.dir.path().display();
        let direct = format!("/usr/sbin/netconf-subsystem --ncxserver-sockname={}@{dir}/ncx.sock", self.port);
        let proxied = format!(
            "{} -I -S {} {dir}/proxy.sock {direct}",
            python().display(),
            script("netconf_proxy.py").display()
        );
        let subsystem = if self.proxied { &proxied } else { &direct };
        format!("Subsystem {SUBSYSTEM} {subsystem}\nSubsystem {DIRECT} {direct}\n")
    }

    fn spawn_netconfd(&self) -> Process {
        let dir = self.dir.path().display();
        let socket = self.path("ncx.sock");
        if socket.exists() {
            fs::remove_file(&socket).expect("the directory is ours");
        }
        let output = File::create(self.path("netconfd.out")).expect("the directory is ours");
        let target: &[&str] = match self.options.shape {
            Shape::Candidate => &["--target=candidate"],
            Shape::RunningStartup => &["--target=running", "--with-startup=true"],
        };
        let search: Vec<String> = self.options.yang.iter().map(|path| path.display().to_string()).collect();
        let mut netconfd = command("/usr/sbin/netconfd");
        netconfd
            .args(target)
            .arg(format!("--ncxserver-sockname={}", socket.display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--superuser={}", self.username))
            .arg(format!("--startup={dir}/home/startup-cfg.xml"))
            .arg(format!("--modpath={}:/usr/share/yuma/modules", search.join(":")))
            .arg(format!("--log={dir}/netconfd.log"))
            .args(self.options.modules.iter().map(|module| format!("--module={module}")))
            .env("HOME", self.path("home"))
            .current_dir(self.path("home"))
            .stderr(output.try_clone().expect("a file"))
            .stdout(output);
        Process::spawn(&mut netconfd)
    }
}
