//! Another operator: a NETCONF session of its own, typed by hand.

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const BASE: &str = "urn:ietf:params:xml:ns:netconf:base:1.0";

pub struct Raw {
    stream: DuplexStream,
    buffer: Vec<u8>,
}

impl Raw {
    pub async fn open(switch: &Switch) -> Self {
        let (stream, theirs) = tokio::io::duplex(1 << 16);
        switch.serve_stream(theirs);
        let mut raw = Self { stream, buffer: Vec::new() };
        raw.receive().await;
        raw.send(&format!(
            "<hello xmlns='{BASE}'><capabilities><capability>urn:ietf:params:netconf:base:1.0</capability>\
             </capabilities></hello>"
        ))
        .await;
        raw
    }

    /// The reply, whatever it says.
    pub async fn rpc(&mut self, operation: &str) -> String {
        self.send(&format!("<rpc message-id='1' xmlns='{BASE}'>{operation}</rpc>")).await;
        self.receive().await
    }

    #[track_caller]
    pub fn ok(&mut self, operation: &str) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let reply = self.rpc(operation).await;
            assert!(reply.contains("<ok/>"), "{caller}: {operation}: {reply}");
        }
    }

    pub async fn lock(&mut self, datastore: &str) {
        self.ok(&format!("<lock><target><{datastore}/></target></lock>")).await;
    }

    pub async fn unlock(&mut self, datastore: &str) {
        self.ok(&format!("<unlock><target><{datastore}/></target></unlock>")).await;
    }

    /// Puts a description on a port, in the candidate where there is one.
    pub async fn describe(&mut self, kind: Kind, port: &str, description: &str) {
        let target = if kind.has_candidate() { "candidate" } else { "running" };
        let edit = format!(
            "<edit-config><target><{target}/></target><config>\
             <interfaces xmlns='http://openconfig.net/yang/interfaces'><interface><name>{port}</name>\
             <config><name>{port}</name><description>{description}</description></config>\
             </interface></interfaces></config></edit-config>"
        );
        self.ok(&edit).await;
    }

    /// Describes a port and makes it run, when nobody else is in the way.
    pub async fn describe_for_good(&mut self, kind: Kind, port: &str, description: &str) {
        self.describe(kind, port, description).await;
        if kind.has_candidate() {
            self.ok("<commit/>").await;
        }
    }

    async fn send(&mut self, message: &str) {
        self.stream.write_all(format!("{message}]]>]]>").as_bytes()).await.unwrap();
    }

    async fn receive(&mut self) -> String {
        loop {
            let text = String::from_utf8_lossy(&self.buffer).into_owned();
            if let Some((message, rest)) = text.split_once("]]>]]>") {
                self.buffer = rest.as_bytes().to_vec();
                return message.to_owned();
            }
            let read = self.stream.read_buf(&mut self.buffer).await.unwrap();
            assert!(read > 0, "the switch closed the session: {text}");
        }
    }
}
