//! The same rpcs driven by hand: OpenSSH's client, and no more code than it takes.

use std::io::{Read as _, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::attach::Target;

const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";
const PERSIST: &str = "by-hand";

/// A session over `ssh -s`. Dropping it kills the client.
pub struct Hand {
    ssh: Child,
    stdin: ChildStdin,
    stdout: ChildStdout,
    last_id: u32,
}

impl Hand {
    /// Connects and exchanges hellos.
    pub fn open(target: &Target) -> Self {
        let mut ssh = Command::new("ssh");
        ssh.args(["-F", "none", "-o", "LogLevel=ERROR", "-o", "BatchMode=yes", "-o", "IdentitiesOnly=yes"])
            .args(["-o", "GlobalKnownHostsFile=none", "-o", "StrictHostKeyChecking=yes"])
            .args(["-o", &format!("UserKnownHostsFile={}", target.known_hosts.display())])
            // What russh agrees on; OpenSSH's own first choice takes 10 ms longer.
            .args(["-o", "KexAlgorithms=curve25519-sha256", "-p", &target.port.to_string(), "-i"])
            .arg(&target.key)
            .args(["-s", &format!("{}@127.0.0.1", target.username), "netconf"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut ssh = ssh.spawn().expect("ssh is installed");
        let stdin = ssh.stdin.take().expect("stdin is piped");
        let stdout = ssh.stdout.take().expect("stdout is piped");
        let mut hand = Self { ssh, stdin, stdout, last_id: 0 };
        let capability = |version| format!("<capability>urn:ietf:params:netconf:base:{version}</capability>");
        let hello = format!(
            "<hello xmlns=\"{BASE}\"><capabilities>{}{}</capabilities></hello>]]>]]>",
            capability("1.0"),
            capability("1.1")
        );
        hand.write(&hello);
        hand.read_until("]]>]]>", 1);
        // netconfd stops reading when hello and rpc come at once.
        std::thread::sleep(Duration::from_millis(10));
        hand
    }

    /// The four flights of a verified change; `expected` must be read back.
    pub fn attach(&mut self, edit: &str, filter: &str, expected: &str) {
        let read = format!(
            "<get-config><source><running/></source><filter type=\"subtree\">{filter}</filter></get-config>"
        );
        let lock = |store| format!("<lock><target><{store}/></target></lock>");
        let unlock = |store| format!("<unlock><target><{store}/></target></unlock>");
        self.flight(&[lock("candidate"), lock("running"), read.clone()]);
        self.flight(&[format!(
            "<edit-config><target><candidate/></target><config>{edit}</config></edit-config>"
        )]);
        let commit = format!(
            "<commit><confirmed/><confirm-timeout>61</confirm-timeout><persist>{PERSIST}</persist></commit>"
        );
        let running = self.flight(&[commit, read]);
        assert!(running.contains(expected), "{expected} is not in {running}");
        let confirm = format!("<commit><persist-id>{PERSIST}</persist-id></commit>");
        self.flight(&[confirm, unlock("running"), unlock("candidate")]);
    }

    /// Sends all operations in one write and takes the replies.
    fn flight(&mut self, operations: &[String]) -> String {
        let mut flight = String::new();
        for operation in operations {
            self.last_id += 1;
            let rpc = format!("<rpc xmlns=\"{BASE}\" message-id=\"{}\">{operation}</rpc>", self.last_id);
            flight.push_str(&format!("\n#{}\n{rpc}\n##\n", rpc.len()));
        }
        self.write(&flight);
        let replies = self.read_until("\n##\n", operations.len());
        assert!(!replies.contains("rpc-error"), "{operations:?} was answered with {replies}");
        replies
    }

    fn write(&mut self, text: &str) {
        self.stdin.write_all(text.as_bytes()).expect("the session is open");
    }

    /// Reads until `end` has come `times`; no reply has it inside.
    fn read_until(&mut self, end: &str, times: usize) -> String {
        let mut received = Vec::new();
        let mut piece = [0; 32 << 10];
        loop {
            let length = self.stdout.read(&mut piece).expect("the session is open");
            received.extend_from_slice(&piece[..length]);
            let text = std::str::from_utf8(&received).unwrap_or_default();
            assert!(length > 0, "the server closed the session after {text:?}");
            if text.matches(end).count() == times {
                return text.to_owned();
            }
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if let Err(why) = self.ssh.kill().and_then(|()| self.ssh.wait()) {
            eprintln!("ssh cannot be ended: {why}");
        }
    }
}
