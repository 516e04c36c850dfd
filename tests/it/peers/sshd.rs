//! An OpenSSH server of our own on the loopback, for the user who runs the tests.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use tokio::net::TcpStream;

use super::process::{Process, command, poll_pause};

/// Its keys and, when spawned, the server. Dropping it kills it and its sessions.
pub struct Sshd {
    pub port: u16,
    dir: PathBuf,
    process: Option<Process>,
}

impl Sshd {
    /// Makes the keys, in a private directory. Nothing runs yet.
    pub fn prepare(dir: &Path) -> Self {
        for name in ["hostkey", "id_ed25519"] {
            output(
                Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(dir.join(name)),
            );
        }
        // sshd, when root, insists on the directory that a boot script would have made.
        if rustix::process::getuid().is_root() {
            fs::create_dir_all("/run/sshd").expect("root makes directories");
        }
        Self { port: 0, dir: dir.to_owned(), process: None }
    }

    /// Who may log in.
    pub fn username() -> String {
        output(Command::new("id").arg("-un"))
    }

    /// The private key that may log in.
    pub fn key(&self) -> PathBuf {
        self.dir.join("id_ed25519")
    }

    /// A file with the server's key, once it has been spawned.
    pub fn known_hosts(&self) -> PathBuf {
        self.dir.join("known_hosts")
    }

    /// Takes a port that is free now; whether it still is later, [`Self::listens`] says.
    pub fn choose_port(&mut self) {
        let probe = TcpListener::bind("127.0.0.1:0").expect("a free port");
        self.port = probe.local_addr().expect("bound").port();
    }

    /// Starts it with `lines` of configuration for what is behind it.
    pub fn spawn(&mut self, lines: &str) {
        let host_key = fs::read_to_string(self.dir.join("hostkey.pub")).expect("made by ssh-keygen");
        let known_host = format!("[127.0.0.1]:{} {host_key}", self.port);
        fs::write(self.known_hosts(), known_host).expect("the directory is ours");
        let config = self.dir.join("sshd_config");
        fs::write(&config, self.config() + lines).expect("the directory is ours");
        let log = File::create(self.dir.join("sshd.log")).expect("the directory is ours");
        let mut sshd = command("/usr/sbin/sshd");
        sshd.args(["-D", "-e", "-f"]).arg(config).stderr(log);
        self.process = Some(Process::spawn(&mut sshd));
    }

    /// Waits until it listens; false if the port was taken. Nobody tells, so it is asked again and
    /// again.
    pub async fn listens(&mut self) -> bool {
        loop {
            let log = fs::read_to_string(self.dir.join("sshd.log")).unwrap_or_default();
            if self.process.as_mut().is_none_or(|sshd| sshd.ended().is_some()) {
                assert!(log.contains("in use"), "sshd ended: {log}");
                return false;
            }
            // Somebody else's port would answer as well; ours says so.
            if log.contains("Server listening") && TcpStream::connect(("127.0.0.1", self.port)).await.is_ok()
            {
                return true;
            }
            poll_pause().await;
        }
    }

    /// It and all its sessions are gone, connections are refused.
    pub fn kill(&mut self) {
        self.process = None;
    }

    fn config(&self) -> String {
        let dir = self.dir.display();
        // SHLVL keeps bash from reading the user's .bashrc, which may take long or say something.
        format!(
            "ListenAddress 127.0.0.1\nPort {}\nHostKey {dir}/hostkey\nPidFile none\n\
             AuthorizedKeysFile {dir}/id_ed25519.pub\nStrictModes no\nUsePAM no\n\
             PermitRootLogin prohibit-password\nPasswordAuthentication no\n\
             KbdInteractiveAuthentication no\nUseDNS no\nMaxStartups 100\nMaxSessions 50\n\
             SetEnv SHLVL=1\n",
            self.port
        )
    }
}

/// What a command prints, which must succeed.
pub fn output(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|why| panic!("cannot run {command:?}: {why}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8").trim().to_owned()
}
