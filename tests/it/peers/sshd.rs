//! OpenSSH's server alone: commands on channels of their own, or one program for every session.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};

use super::process::{Process, command};
use super::{patiently, poll_pause};

/// A running server. Dropping it kills it.
pub struct Sshd {
    pub port: u16,
    pub username: String,
    /// The private key that may log in.
    pub key: PathBuf,
    /// A known_hosts file with the server's key.
    pub known_hosts: PathBuf,
    // Dropped in this order: the server before the directory it uses.
    sshd: Option<Process>,
    dir: TempDir,
}

impl Sshd {
    /// Runs what it is asked for.
    pub async fn start() -> Self {
        Self::start_with("").await
    }

    /// Runs `program` (a line for a shell) whatever it is asked for.
    pub async fn running(program: &str) -> Self {
        Self::start_with(&format!("ForceCommand {program}\n")).await
    }

    async fn start_with(more: &str) -> Self {
        let dir = TempDir::with_prefix("sshd-").expect("a temporary directory");
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
        let mut server = Self {
            port: 0,
            username: output(Command::new("id").arg("-un")),
            key: dir.path().join("id_ed25519"),
            known_hosts: dir.path().join("known_hosts"),
            sshd: None,
            dir,
        };
        while !server.try_boot(more).await {}
        server
    }

    /// False if the port was taken.
    async fn try_boot(&mut self, more: &str) -> bool {
        let probe = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        self.port = probe.local_addr().expect("bound").port();
        drop(probe);
        let dir = self.dir.path();
        let host_key = fs::read_to_string(dir.join("hostkey.pub")).expect("made by ssh-keygen");
        let known_host = format!("[127.0.0.1]:{} {host_key}", self.port);
        fs::write(&self.known_hosts, known_host).expect("the directory is ours");
        let config = format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {dir}/hostkey\nPidFile none\n\
             AuthorizedKeysFile {dir}/id_ed25519.pub\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n\
             UseDNS no\nPrintMotd no\nPrintLastLog no\nSetEnv SHLVL=1\n{more}",
            self.port,
            dir = dir.display()
        );
        fs::write(dir.join("sshd_config"), config).expect("the directory is ours");
        let log = File::create(dir.join("sshd.log")).expect("the directory is ours");
        let mut sshd = command("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(dir.join("sshd_config")).stderr(log);
        let process = self.sshd.insert(Process::spawn(&mut sshd));
        patiently("sshd to be ready", async {
            loop {
                let log = fs::read_to_string(dir.join("sshd.log")).unwrap_or_default();
                if process.ended().is_some() {
                    assert!(log.contains("in use"), "sshd ended: {log}");
                    return false;
                }
                // Somebody else's port would answer as well; ours says so.
                if log.contains("Server listening")
                    && TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
                {
                    return true;
                }
                poll_pause().await;
            }
        })
        .await
    }
}

fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("cannot run {command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}
