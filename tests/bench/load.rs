//! Clients: JSON-RPC over kept-alive HTTP connections, and many of them at once.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::table::Samples;

/// A connection that asks one thing after the other.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What several clients saw.
#[derive(Clone, Default)]
pub struct Load {
    pub samples: Samples,
    /// From the first request to the last answer.
    pub took: Duration,
}

impl Connection {
    /// Connects to `127.0.0.1:PORT`, which must listen.
    pub fn open(address: &str) -> Self {
        Self::try_open(address).expect("the service listens")
    }

    pub fn try_open(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: vec![0; 1 << 20] })
    }

    /// Sends what [`request`] made.
    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the service listens");
    }

    /// The body of the next answer.
    pub fn receive(&mut self) -> &str {
        let mut length = 0;
        loop {
            let more = self.stream.read(&mut self.buffer[length..]).expect("the service answers");
            assert!(more > 0, "the service hung up");
            length += more;
            if let Some(start) = body(&self.buffer[..length]) {
                return std::str::from_utf8(&self.buffer[start..length]).expect("UTF-8");
            }
        }
    }
}

/// Where the body of an answer begins, when all of it is there.
fn body(answer: &[u8]) -> Option<usize> {
    let start = answer.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let mut head = std::str::from_utf8(&answer[..start]).ok()?.lines();
    let length: usize = head.find_map(|line| {
        let (name, length) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| length.trim().parse().ok())?
    })?;
    (answer.len() == start + length).then_some(start)
}

/// A request as Ironic's client sends it; `authorization` is the value of that header.
pub fn request(call: &Value, authorization: Option<&str>) -> Vec<u8> {
    let body = call.to_string();
    let who = authorization.map_or("X-Auth-Token: notused".to_owned(), |who| format!("Authorization: {who}"));
    let request = format!(
        "POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: python-requests/2.32\r\nAccept-Encoding: gzip, deflate\r\n\
         Accept: */*\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n{who}\r\nContent-Length: {}\r\n\r\n\
         {body}",
        body.len()
    );
    request.into_bytes()
}

/// One client for each list of requests; each makes them in turn, one after the other, for as long as
/// `time`, after the last of them once. Every answer must hold `expected`.
pub fn run(address: &str, clients: &[Vec<Vec<u8>>], time: Duration, expected: &str) -> Load {
    let start = Barrier::new(clients.len() + 1);
    let client = |requests: &[Vec<u8>]| {
        let mut connection = Connection::open(address);
        let mut ask = |request: &[u8]| {
            connection.send(request);
            let answer = connection.receive();
            assert!(answer.contains(expected), "{answer}");
        };
        let mut samples = Samples::default();
        if let Some(last) = requests.last() {
            ask(last);
        }
        start.wait();
        let end = Instant::now() + time;
        for request in requests.iter().cycle().take_while(|_| Instant::now() < end) {
            samples.time(|| ask(request));
        }
        samples
    };
    thread::scope(|scope| {
        let clients: Vec<_> = clients.iter().map(|requests| scope.spawn(|| client(requests))).collect();
        start.wait();
        let started = Instant::now();
        let mut samples = Samples::default();
        for client in clients {
            samples.extend(client.join().expect("the client works"));
        }
        Load { samples, took: started.elapsed() }
    })
}

impl Load {
    /// Adds another turn.
    pub fn extend(&mut self, turn: Load) {
        self.samples.extend(turn.samples);
        self.took += turn.took;
    }

    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.samples.len() as f64 / self.took.as_secs_f64()
    }
}
