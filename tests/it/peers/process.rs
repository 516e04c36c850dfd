//! Child processes that leave nothing behind.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// A running program and all it started; dropping it kills them all and waits for it.
pub struct Process {
    child: Child,
}

/// A command for a program that the kernel kills when the thread that spawns it ends, so that a
/// test run that is itself killed leaves nothing. Start peers on the test's own thread, then.
pub fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--"]).arg(program).stdin(Stdio::null());
    command
}

impl Process {
    pub fn spawn(command: &mut Command) -> Self {
        Self { child: command.spawn().unwrap_or_else(|why| panic!("cannot start {command:?}: {why}")) }
    }

    /// The pipes asked for in the command.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a child can be waited for")
    }

    /// Waits until it ends by itself.
    pub async fn wait(&mut self) -> ExitStatus {
        super::patiently("a process to end", async {
            loop {
                match self.ended() {
                    Some(status) => return status,
                    None => poll_pause().await,
                }
            }
        })
        .await
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        send(self.child.id(), signal);
    }

    /// Kills it and its descendants, and waits for it.
    pub fn kill(&mut self) {
        if self.child.try_wait().is_ok_and(|status| status.is_some()) {
            return;
        }
        // Stopped first, so that it starts no more while we look for what it has started.
        // sshd's children begin sessions of their own: a process group would not hold them.
        self.signal(Signal::STOP);
        for pid in descendants(self.child.id()) {
            send(pid, Signal::KILL);
        }
        self.signal(Signal::KILL);
        if let Err(why) = self.child.wait() {
            eprintln!("cannot wait for process {}: {why}", self.child.id());
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The pause between two looks at something that another program does without telling.
pub async fn poll_pause() {
    tokio::time::sleep(Duration::from_millis(5)).await;
}

fn send(pid: u32, signal: Signal) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    // It may have ended a moment ago, which is as good.
    if let Err(why) = kill_process(pid, signal)
        && why != rustix::io::Errno::SRCH
    {
        eprintln!("cannot signal process {pid:?}: {why}");
    }
}

/// Everything below `root` in the process tree, parents before children.
fn descendants(root: u32) -> Vec<u32> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").expect("/proc is there").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        // "pid (any name) state parent ...": the name may hold anything, even a parenthesis.
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else { continue };
        let parent = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse().ok());
        if let Some(parent) = parent {
            children.entry(parent).or_default().push(pid);
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(pid) = found.get(next) {
        found.extend(children.remove(pid).unwrap_or_default());
        next += 1;
    }
    found.split_off(1)
}
