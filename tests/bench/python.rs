//! A Python process that waits for orders, one line of JSON each, and says when each is done.

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::Value;

use crate::peers;

/// Ends when this is dropped.
pub struct Python {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Python {
    /// Starts a script of this directory.
    pub fn start<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench").join(script);
        let mut process = Command::new(peers::python())
            .arg("-I")
            .arg(script)
            .args(arguments)
            .env("no_proxy", "127.0.0.1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is installed");
        let stdin = process.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(process.stdout.take().expect("stdout is piped"));
        Self { process, stdin, stdout }
    }

    /// Comes back when it is done.
    pub fn order(&mut self, order: &Value) {
        writeln!(self.stdin, "{order}").expect("Python waits for orders");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("UTF-8");
        assert_eq!(answer, "done\n", "Python failed");
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        if let Err(why) = self.process.kill().and_then(|()| self.process.wait()) {
            eprintln!("Python cannot be ended: {why}");
        }
    }
}
