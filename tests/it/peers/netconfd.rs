//! Debian's netconfd (yuma123) behind an sshd of our own: a real switch's management plane.

use std::fs::{self, File};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::process::{Process, command, poll_pause};
use super::proxy::{Proxy, Rule};
use super::raw_client::{RawClient, ssh};
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
    sshd: Option<Process>,
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
        self.sshd = None;
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
        for name in ["hostkey", "id_ed25519"] {
            output(
                Command::new("ssh-keygen")
                    .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                    .arg(dir.path().join(name)),
            );
        }
        // sshd, when root, insists on the directory that a boot script would have made.
        if rustix::process::getuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("root makes directories");
        }
        Self {
            port: 0,
            username: output(Command::new("id").arg("-un")),
            key: dir.path().join("id_ed25519"),
            known_hosts: dir.path().join("known_hosts"),
            options,
            proxied,
            sshd: None,
            netconfd: None,
            dir,
        }
    }

    /// Starts on a port that is free.
    async fn boot(mut self) -> Self {
        loop {
            let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
            self.port = probe.local_addr().expect("bound").port();
            drop(probe);
            if self.try_boot().await {
                return self;
            }
        }
    }

    /// False if the port was taken.
    async fn try_boot(&mut self) -> bool {
        let host_key = fs::read_to_string(self.path("hostkey.pub")).expect("made by ssh-keygen");
        let known_host = format!("[127.0.0.1]:{} {host_key}", self.port);
        fs::write(&self.known_hosts, known_host).expect("the directory is ours");
        fs::write(self.path("sshd_config"), self.sshd_config()).expect("the directory is ours");
        self.netconfd = Some(self.spawn_netconfd());
        let log = File::create(self.path("sshd.log")).expect("the directory is ours");
        let mut sshd = command("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(self.path("sshd_config")).stderr(log);
        self.sshd = Some(Process::spawn(&mut sshd));
        patiently("netconfd and sshd to be ready", self.ready()).await
    }

    /// Nobody tells when the two listen, so both are asked again and again.
    async fn ready(&mut self) -> bool {
        let socket = self.path("ncx.sock");
        loop {
            if self.sshd.as_mut().is_some_and(|sshd| sshd.ended().is_some()) {
                let log = self.log("sshd.log");
                assert!(log.contains("in use"), "sshd ended: {log}");
                return false;
            }
            if self.netconfd.as_mut().is_some_and(|netconfd| netconfd.ended().is_some()) {
                panic!("netconfd ended: {}{}", self.log("netconfd.out"), self.log("netconfd.log"));
            }
            if UnixStream::connect(&socket).is_ok()
                && TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
            {
                // Somebody else's port would answer as well; ours says so.
                if self.log("sshd.log").contains("Server listening") {
                    return true;
                }
            }
            poll_pause().await;
        }
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn sshd_config(&self) -> String {
        let dir = self.dir.path().display();
        let direct = format!("/usr/sbin/netconf-subsystem --ncxserver-sockname={}@{dir}/ncx.sock", self.port);
        let proxied = format!(
            "{} -I -S {} {dir}/proxy.sock {direct}",
            python().display(),
            script("netconf_proxy.py").display()
        );
        let subsystem = if self.proxied { &proxied } else { &direct };
        // SHLVL keeps bash from reading the user's .bashrc, which may take long or say something.
        format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {dir}/hostkey\nPidFile none\n\
             AuthorizedKeysFile {dir}/id_ed25519.pub\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUseDNS no\nMaxStartups 100\nMaxSessions 50\n\
             SetEnv SHLVL=1\nSubsystem {SUBSYSTEM} {subsystem}\nSubsystem {DIRECT} {direct}\n",
            self.port
        )
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

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("cannot run {command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}
