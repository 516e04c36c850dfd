//! ncclient, the Python library that most tools use, doing the same rpcs.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

use crate::attach::Target;
use crate::peers;

/// A Python process that waits for orders.
pub struct Ncclient {
    python: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Ncclient {
    /// Starts Python; nothing is connected yet.
    pub fn start(target: &Target) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/bench/ncclient_attach.py");
        let mut python = Command::new(peers::python())
            .arg("-I")
            .arg(script)
            .args([&target.port.to_string(), &target.username])
            .arg(&target.key)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("Python is installed");
        let stdin = python.stdin.take().expect("stdin is piped");
        let stdout = BufReader::new(python.stdout.take().expect("stdout is piped"));
        Self { python, stdin, stdout }
    }

    /// Opens a session, after closing the one before.
    pub fn connect(&mut self) {
        self.order(&json!({}));
    }

    pub fn attach(&mut self, edit: &str, filter: &str) {
        self.order(&json!({ "edit": edit, "filter": filter }));
    }

    fn order(&mut self, order: &Value) {
        writeln!(self.stdin, "{order}").expect("Python waits for orders");
        let mut answer = String::new();
        self.stdout.read_line(&mut answer).expect("UTF-8");
        assert_eq!(answer, "done\n", "ncclient failed");
    }
}

impl Drop for Ncclient {
    fn drop(&mut self) {
        if let Err(why) = self.python.kill().and_then(|()| self.python.wait()) {
            eprintln!("Python cannot be ended: {why}");
        }
    }
}
