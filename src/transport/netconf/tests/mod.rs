//! Sessions against a scripted peer at the other end of a pipe.

mod faults;
mod flights;
mod hellos;

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;

use super::framing::{Decoder, Framing};
use super::session::NetconfSession;
use super::xml::BASE;
use crate::device::{Model, NetconfHabits};
use crate::path::Path;
use crate::render::Payload;
use crate::schema::Schema;
use crate::transport::{Fault, ReadSet, Timed};

const CANDIDATE: [&str; 5] = [
    "candidate:1.0",
    "writable-running:1.0",
    "confirmed-commit:1.0",
    "confirmed-commit:1.1",
    "rollback-on-error:1.0",
];
const RUNNING: [&str; 3] = ["writable-running:1.0", "rollback-on-error:1.0", "startup:1.0"];
const OK: &str = "<ok/>";
const DENIED: &str = "<rpc-error><error-type>protocol</error-type><error-tag>lock-denied</error-tag>\
    <error-severity>error</error-severity><error-message>held</error-message>\
    <error-info><session-id>7</session-id></error-info></rpc-error>";
const DATA: &str = "<data><interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface><name>eth1</name>\
    <config><name>eth1</name><mtu>9000</mtu></config></interface></interfaces></data>";

/// The device's side: it reads rpcs and says what a test tells it.
struct Peer {
    io: DuplexStream,
    decoder: Decoder,
    framing: Framing,
}

fn habits(confirm: Option<Timed>) -> NetconfHabits {
    NetconfHabits { confirm, timer_granularity: Duration::from_secs(1), model: Model::OpenConfig }
}

fn hello(base: &str, capabilities: &[&str]) -> String {
    let list: String = capabilities
        .iter()
        .map(|name| format!("<capability>urn:ietf:params:netconf:capability:{name}</capability>"))
        .collect();
    format!(
        "<hello xmlns=\"{BASE}\"><capabilities><capability>urn:ietf:params:netconf:base:{base}</capability>{list}\
         </capabilities><session-id>4</session-id></hello>]]>]]>"
    )
}

/// A session and its peer after the hellos. `width`: how many bytes the pipe holds.
async fn connected(
    base: &str,
    capabilities: &[&str],
    confirm: Option<Timed>,
    width: usize,
) -> (NetconfSession, Peer) {
    let (ours, io) = duplex(width);
    let habits = habits(confirm);
    let (session, peer) = tokio::join!(NetconfSession::over(Box::new(ours), &habits, soon()), async {
        let framing = if base == "1.1" { Framing::Chunked } else { Framing::EndOfMessage };
        let mut peer = Peer { io, decoder: Decoder::new(Framing::EndOfMessage), framing };
        assert!(peer.take(1).await[0].contains("base:1.1</capability>"));
        peer.io.write_all(hello(base, capabilities).as_bytes()).await.unwrap();
        peer.decoder.switch(framing);
        peer
    });
    (session.unwrap(), peer)
}

async fn candidate() -> (NetconfSession, Peer) {
    connected("1.1", &CANDIDATE, None, 1 << 16).await
}

async fn running() -> (NetconfSession, Peer) {
    connected("1.1", &RUNNING, None, 1 << 16).await
}

impl Peer {
    /// Reads `count` messages; there must be no more.
    async fn take(&mut self, count: usize) -> Vec<String> {
        let mut messages = Vec::new();
        loop {
            while let Some(message) = self.decoder.next().unwrap() {
                messages.push(String::from_utf8(message).unwrap());
            }
            if messages.len() >= count {
                assert_eq!(messages.len(), count, "{messages:?}");
                assert!(self.decoder.is_idle());
                return messages;
            }
            assert_ne!(self.io.read_buf(self.decoder.buffer()).await.unwrap(), 0);
        }
    }

    /// Takes one rpc per reply and answers each.
    async fn answer<const N: usize>(&mut self, replies: [&str; N]) -> Vec<String> {
        let rpcs = self.take(N).await;
        for (rpc, reply) in rpcs.iter().zip(replies) {
            self.say(&reply_to(rpc, reply)).await;
        }
        rpcs
    }

    async fn say(&mut self, message: &str) {
        let mut bytes = Vec::new();
        self.framing.encode(message, &mut bytes).unwrap();
        self.io.write_all(&bytes).await.unwrap();
    }
}

fn reply_to(rpc: &str, content: &str) -> String {
    let id = rpc.split("message-id=\"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    format!("<rpc-reply xmlns=\"{BASE}\" message-id=\"{id}\">{content}</rpc-reply>")
}

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(30)
}

fn reads() -> ReadSet {
    static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());
    let path = Path::parse("/openconfig-interfaces:interfaces/interface[name='eth1']").unwrap();
    ReadSet { paths: vec![path], schema: SCHEMA.clone() }
}

fn edit() -> &'static Payload {
    static EDIT: LazyLock<Payload> =
        LazyLock::new(|| Payload::Netconf("<interfaces xmlns=\"urn:x\"/>".to_owned()));
    &EDIT
}

fn rejected_tag(fault: &Fault) -> &str {
    match fault {
        Fault::Rejected(errors) => &errors[0].tag,
        fault => panic!("{fault}"),
    }
}
