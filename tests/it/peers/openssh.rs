//! OpenSSH's server alone: commands on channels of their own, or one program for every session.

use std::path::PathBuf;

use tempfile::TempDir;

use super::patiently;
use super::sshd::Sshd;

/// A running server. Dropping it kills it.
pub struct OpenSsh {
    pub port: u16,
    pub username: String,
    /// The private key that may log in.
    pub key: PathBuf,
    /// A known_hosts file with the server's key.
    pub known_hosts: PathBuf,
    // Dropped in this order: the server before the directory it uses.
    _sshd: Sshd,
    _dir: TempDir,
}

impl OpenSsh {
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
        let mut sshd = Sshd::prepare(dir.path());
        let lines = format!("PrintMotd no\nPrintLastLog no\n{more}");
        loop {
            sshd.choose_port();
            sshd.spawn(&lines);
            if patiently("sshd to be ready", sshd.listens()).await {
                break;
            }
        }
        Self {
            port: sshd.port,
            username: Sshd::username(),
            key: sshd.key(),
            known_hosts: sshd.known_hosts(),
            _sshd: sshd,
            _dir: dir,
        }
    }
}
