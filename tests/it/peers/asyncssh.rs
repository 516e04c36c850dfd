//! An SSH server with the logins and algorithms that OpenSSH's, run by a user, cannot show.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tempfile::TempDir;

use super::process::{Process, command};
use super::raw_client::{RawClient, ssh};
use super::{python, script};

/// The one kind of login that the server takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    Password,
    KeyboardInteractive,
    /// Everybody is let in, and asked on the terminal of a switch.
    Terminal,
}

/// A running server whose `netconf` subsystem has a candidate, no timer, and nothing in it.
pub struct AsyncSsh {
    pub port: u16,
    pub username: String,
    pub password: String,
    /// The server's public key, `ssh-... AAAA...`.
    pub host_key: String,
    pub known_hosts: PathBuf,
    old: bool,
    _process: Process,
    dir: TempDir,
}

#[derive(Deserialize)]
struct Ready {
    port: u16,
    host_key: String,
}

impl AsyncSsh {
    /// With `old` it knows only diffie-hellman-group14-sha1, ssh-rsa, aes128-cbc and hmac-sha1.
    pub fn start(login: Login, old: bool) -> Self {
        let dir = TempDir::with_prefix("asyncssh-").expect("a temporary directory");
        let (username, password) = ("operator".to_owned(), "correct horse".to_owned());
        let kind = match login {
            Login::Password => "password",
            Login::KeyboardInteractive => "keyboard-interactive",
            Login::Terminal => "terminal",
        };
        let mut server = command(python());
        server.args(["-I", "-W", "ignore"]).arg(script("asyncssh_server.py"));
        server.args([kind, &username, &password]).args(old.then_some("--old")).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut server);
        let mut line = String::new();
        let mut stdout = BufReader::new(process.child().stdout.take().expect("stdout is piped"));
        stdout.read_line(&mut line).expect("UTF-8");
        let Ready { port, host_key } = serde_json::from_str(&line).expect("the server says where it listens");
        let known_hosts = dir.path().join("known_hosts");
        fs::write(&known_hosts, format!("[127.0.0.1]:{port} {host_key}\n")).expect("the directory is ours");
        Self { port, username, password, host_key, known_hosts, old, _process: process, dir }
    }

    /// A session through OpenSSH's client.
    pub async fn connect(&self) -> RawClient {
        let mut ssh = ssh(self.port, &self.known_hosts);
        if self.old {
            ssh.args(["-o", "KexAlgorithms=diffie-hellman-group14-sha1", "-o", "HostKeyAlgorithms=ssh-rsa"]);
            ssh.args(["-o", "Ciphers=aes128-cbc", "-o", "MACs=hmac-sha1"]);
        }
        ssh.env("SSH_ASKPASS", self.askpass(self.dir.path())).env("SSH_ASKPASS_REQUIRE", "force");
        RawClient::open(ssh, &self.username, "netconf").await
    }

    /// A program that tells ssh the password.
    fn askpass(&self, dir: &Path) -> PathBuf {
        let path = dir.join("askpass");
        fs::write(&path, format!("#!/bin/sh\necho '{}'\n", self.password)).expect("the directory is ours");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).expect("the file is ours");
        path
    }
}
