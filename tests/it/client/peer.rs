//! A peer that does to each connection exactly what the test says, and keeps what it was sent.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;

/// One request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Counted from 0.
    pub connection: usize,
    pub head: String,
    pub body: Value,
}

/// What to do next with a connection.
pub enum Act {
    /// Read a request and write this.
    Say(Box<dyn Fn(&Seen) -> String + Send>),
    /// Read a request and never answer it.
    Hang,
    /// Close. A connection whose acts are done stays open until the other side closes it.
    Close,
}

pub struct Peer {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    closed: Arc<Semaphore>,
}

impl Peer {
    /// The first connection gets the first acts, and so on; one too many is closed at once.
    pub async fn start(connections: Vec<Vec<Act>>) -> Self {
        Self::start_with(None, connections).await
    }

    pub async fn start_with(tls: Option<TlsAcceptor>, connections: Vec<Vec<Act>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, closed) = (Arc::new(Mutex::default()), Arc::new(Semaphore::new(0)));
        let peer = Self { address, seen: Arc::clone(&seen), closed: closed.clone() };
        tokio::spawn(async move {
            for (number, acts) in connections.into_iter().enumerate() {
                let (stream, _) = listener.accept().await.unwrap();
                let (seen, closed, tls) = (seen.clone(), closed.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, number, acts, &seen).await,
                        // A handshake that fails is seen by the client.
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, number, acts, &seen).await
                            }
                        }
                    }
                    closed.add_permits(1);
                });
            }
        });
        peer
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    /// Waits until a connection has been closed.
    pub async fn closed(&self) {
        self.closed.acquire().await.unwrap().forget();
    }
}

impl Seen {
    /// A header's value; empty when there is none.
    pub fn header(&self, name: &str) -> &str {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(found, _)| found.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
            .next_back()
            .unwrap_or("")
    }

    /// What is sent back where all goes well.
    pub fn answer(&self, result: &Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": self.body["id"], "result": result })
    }
}

/// Answers with this result.
pub fn result(result: Value) -> Act {
    Act::Say(Box::new(move |seen| http("200 OK", "", &seen.answer(&result).to_string())))
}

/// Answers with this status, these header lines and this body.
pub fn says(status: &'static str, headers: impl Into<String>, body: &'static str) -> Act {
    let headers = headers.into();
    Act::Say(Box::new(move |_| http(status, &headers, body)))
}

/// Writes this, whatever it is.
pub fn raw(text: impl Into<String>) -> Act {
    let text = text.into();
    Act::Say(Box::new(move |_| text.clone()))
}

pub fn http(status: &str, headers: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len())
}

async fn serve(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    connection: usize,
    acts: Vec<Act>,
    all: &Mutex<Vec<Seen>>,
) {
    for act in acts {
        if matches!(act, Act::Close) {
            // A client that is gone already is as good.
            stream.shutdown().await.ok();
            return;
        }
        let Some(seen) = read(&mut stream, connection).await else { return };
        all.lock().unwrap().push(seen.clone());
        if let Act::Say(what) = act
            && stream.write_all(what(&seen).as_bytes()).await.is_err()
        {
            return;
        }
    }
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).await.ok();
    assert!(rest.is_empty(), "more than it was to be asked: {}", String::from_utf8_lossy(&rest));
}

/// A whole request; none at the end of the stream.
async fn read(stream: &mut (impl AsyncRead + Unpin), connection: usize) -> Option<Seen> {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let mut seen = Seen { connection, head: head.to_owned(), body: Value::Null };
            let length: usize = seen.header("content-length").parse().unwrap();
            if body.len() >= length {
                seen.body = serde_json::from_str(body).unwrap();
                return Some(seen);
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return None,
            Ok(length) => bytes.extend_from_slice(&more[..length]),
        }
    }
}
