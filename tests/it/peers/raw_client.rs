//! A NETCONF session over OpenSSH's client, with nothing of Mercury in it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{ChildStdin, ChildStdout};

use super::patiently;
use super::process::{Process, command};

const END: &str = "]]>]]>";
const NUDGE: &str = "<get-config><source><running/></source><filter/></get-config>";
const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

/// A session, in the framing that the server's hello allows. Dropping it cuts the connection
/// without a goodbye.
pub struct RawClient {
    stdin: ChildStdin,
    stdout: ChildStdout,
    received: Vec<u8>,
    hello: String,
    chunked: bool,
    last_id: u32,
    _ssh: Process,
}

/// The `ssh` command up to its options; the caller adds how to log in, then [`RawClient::open`].
pub fn ssh(port: u16, known_hosts: &Path) -> Command {
    let mut ssh = command("ssh");
    ssh.args(["-F", "none", "-o", "LogLevel=ERROR", "-o", "StrictHostKeyChecking=yes"])
        .args(["-o", "GlobalKnownHostsFile=none", "-o"])
        .arg(format!("UserKnownHostsFile={}", known_hosts.display()))
        .args(["-p", &port.to_string()]);
    ssh
}

impl RawClient {
    /// Opens `subsystem` of `username`@127.0.0.1 and exchanges hellos.
    pub async fn open(mut ssh: Command, username: &str, subsystem: &str) -> Self {
        ssh.args(["-s", &format!("{username}@127.0.0.1"), subsystem]);
        ssh.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Process::spawn(&mut ssh);
        let stdin = process.child().stdin.take().expect("stdin is piped");
        let stdout = process.child().stdout.take().expect("stdout is piped");
        let mut client = Self {
            stdin: ChildStdin::from_std(stdin).expect("a pipe"),
            stdout: ChildStdout::from_std(stdout).expect("a pipe"),
            received: Vec::new(),
            hello: String::new(),
            chunked: false,
            last_id: 0,
            _ssh: process,
        };
        let capability = |version| format!("<capability>urn:ietf:params:netconf:base:{version}</capability>");
        let capabilities = format!("<capabilities>{}{}</capabilities>", capability("1.0"), capability("1.1"));
        client.send(&format!("<hello xmlns=\"{BASE}\">{capabilities}</hello>")).await;
        client.hello = patiently("a hello", client.receive()).await;
        client.chunked = client.hello.contains("urn:ietf:params:netconf:base:1.1");
        client
    }

    /// The server's hello.
    pub fn hello(&self) -> &str {
        &self.hello
    }

    /// Sends one operation (the element inside `<rpc>`) and gives the whole reply.
    pub async fn rpc(&mut self, operation: &str) -> String {
        self.last_id += 1;
        let id = self.last_id.to_string();
        self.send_rpc(&id, operation).await;
        patiently("an rpc-reply", self.reply(&id)).await
    }

    /// Sends one operation that must be answered with `<ok/>`.
    pub async fn ok(&mut self, operation: &str) {
        let reply = self.rpc(operation).await;
        assert!(reply.contains("<ok/>"), "{operation} was answered with {reply}");
    }

    /// Merges `config` (the elements inside `<config>`) into a datastore.
    pub async fn edit(&mut self, store: &str, config: &str) {
        let target = format!("<target><{store}/></target>");
        self.ok(&format!("<edit-config>{target}<config>{config}</config></edit-config>")).await;
    }

    /// Reads what a subtree filter selects; the empty filter selects all.
    pub async fn get_config(&mut self, store: &str, filter: &str) -> String {
        let filter = if filter.is_empty() { String::new() } else { format!("<filter>{filter}</filter>") };
        self.rpc(&format!("<get-config><source><{store}/></source>{filter}</get-config>")).await
    }

    async fn send_rpc(&mut self, id: &str, operation: &str) {
        self.send(&format!("<rpc xmlns=\"{BASE}\" message-id=\"{id}\">{operation}</rpc>")).await;
    }

    async fn send(&mut self, message: &str) {
        let framed = match self.chunked {
            true => format!("\n#{}\n{message}\n##\n", message.len()),
            false => format!("{message}{END}"),
        };
        self.stdin.write_all(framed.as_bytes()).await.expect("the session is open");
    }

    async fn reply(&mut self, id: &str) -> String {
        loop {
            match tokio::time::timeout(Duration::from_millis(200), self.receive()).await {
                Ok(reply) if reply.contains("message-id=\"nudge\"") => {}
                Ok(reply) => {
                    assert!(
                        reply.contains(&format!("message-id=\"{id}\"")),
                        "not the reply to {id}: {reply}"
                    );
                    return reply;
                }
                // netconfd does not look at an rpc that arrived in one piece with the hello
                // until more arrives.
                Err(_) if id == "1" => self.send_rpc("nudge", NUDGE).await,
                Err(_) => {}
            }
        }
    }

    /// The next message. Nothing is lost when the future is dropped half-way.
    async fn receive(&mut self) -> String {
        loop {
            let found = if self.chunked { chunked(&self.received) } else { until_end(&self.received) };
            if let Some((length, content)) = found {
                self.received.drain(..length);
                return String::from_utf8(content).expect("UTF-8");
            }
            let read = self.stdout.read_buf(&mut self.received).await.expect("the session is open");
            assert!(
                read > 0,
                "the server closed the session after {:?}",
                String::from_utf8_lossy(&self.received)
            );
        }
    }
}

/// The length and content of the message in RFC 6242 4.3's framing at the start of `data`, if
/// all of it is there.
fn until_end(data: &[u8]) -> Option<(usize, Vec<u8>)> {
    let at = data.windows(END.len()).position(|bytes| bytes == END.as_bytes())?;
    Some((at + END.len(), data[..at].to_vec()))
}

/// The same in RFC 6242 4.2's framing.
fn chunked(data: &[u8]) -> Option<(usize, Vec<u8>)> {
    let (mut at, mut content) = (0, Vec::new());
    loop {
        let rest = data[at..].strip_prefix(b"\n#").or_else(|| {
            assert!(data.len() < at + 2, "not a chunk: {:?}", String::from_utf8_lossy(&data[at..]));
            None
        })?;
        let line = rest.iter().position(|byte| *byte == b'\n')?;
        let size = std::str::from_utf8(&rest[..line]).expect("a chunk's size is ASCII");
        at += 2 + line + 1;
        if size == "#" {
            return Some((at, content));
        }
        let size: usize = size.parse().expect("a chunk's size is a number");
        content.extend_from_slice(data.get(at..at + size)?);
        at += size;
    }
}
