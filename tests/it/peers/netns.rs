//! Network namespaces without names: each ends with the process that made it, however that ends,
//! and takes the links in it along.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use super::process::{Process, command};

/// A network namespace with nothing in it but its loopback.
pub struct Namespace {
    pid: u32,
    _process: Process,
}

impl Namespace {
    pub fn new() -> Self {
        let mut holder = command("unshare");
        holder.args(["--net", "sh", "-c", "echo here; exec sleep infinity"]).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut holder);
        let mut line = String::new();
        let stdout = process.child().stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("UTF-8");
        assert_eq!(line, "here\n", "no network namespace can be made");
        Self { pid: process.child().id(), _process: process }
    }

    /// A process in it.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// A command for a program that runs in it; see [`command`].
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut entered = command("nsenter");
        entered.arg(format!("--net=/proc/{}/ns/net", self.pid)).arg("--").arg(program);
        entered
    }
}

/// Whether this user and this kernel can make them.
pub fn possible() -> bool {
    let made = Command::new("unshare").args(["--net", "true"]).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}
