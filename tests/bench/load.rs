//! Clients: JSON-RPC over kept-alive HTTP connections, and many of them at once.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::ops::Range;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::table::Samples;

/// A connection that asks one thing after the other.
pub struct Connection {
    address: String,
    stream: TcpStream,
    buffer: Vec<u8>,
    /// How often the service had hung up where [`Connection::ask`] began.
    reopened: usize,
}

/// What several clients saw.
#[derive(Clone, Default)]
pub struct Load {
    pub samples: Samples,
    /// From the first request to the last answer.
    pub took: Duration,
    /// How often the service hung up between two calls.
    pub reopened: usize,
}

impl Connection {
    /// Connects to `127.0.0.1:PORT`, which must listen.
    pub fn open(address: &str) -> Self {
        Self::try_open(address).expect("the service listens")
    }

    pub fn try_open(address: &str) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { address: address.to_owned(), stream, buffer: vec![0; 1 << 20], reopened: 0 })
    }

    /// Sends what [`request`] made.
    pub fn send(&mut self, request: &[u8]) {
        self.stream.write_all(request).expect("the service listens");
    }

    /// The body of the next answer.
    pub fn receive(&mut self) -> &str {
        let body = self.try_receive().expect("the service answers");
        std::str::from_utf8(&self.buffer[body]).expect("UTF-8")
    }

    /// The answer to a request. If the service has hung up since the last one, over a new connection, as
    /// Ironic's client does it.
    pub fn ask(&mut self, request: &[u8]) -> &str {
        let mut answered = self.stream.write_all(request).and_then(|()| self.try_receive());
        if answered.is_err() {
            let reopened = self.reopened + 1;
            *self = Self { reopened, ..Self::open(&self.address) };
            answered = self.stream.write_all(request).and_then(|()| self.try_receive());
        }
        let body = answered.expect("the service answers over a new connection");
        std::str::from_utf8(&self.buffer[body]).expect("UTF-8")
    }

    /// Where the body of the next answer is.
    fn try_receive(&mut self) -> io::Result<Range<usize>> {
        let mut length = 0;
        loop {
            let more = self.stream.read(&mut self.buffer[length..])?;
            if more == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            length += more;
            if let Some(start) = body(&self.buffer[..length]) {
                return Ok(start..length);
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
            let answer = connection.ask(request);
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
        (samples, connection.reopened)
    };
    thread::scope(|scope| {
        let clients: Vec<_> = clients.iter().map(|requests| scope.spawn(|| client(requests))).collect();
        start.wait();
        let started = Instant::now();
        let mut load = Load::default();
        for client in clients {
            let (samples, reopened) = client.join().expect("the client works");
            load.samples.extend(samples);
            load.reopened += reopened;
        }
        Load { took: started.elapsed(), ..load }
    })
}

impl Load {
    /// Adds another turn.
    pub fn extend(&mut self, turn: Load) {
        self.samples.extend(turn.samples);
        self.took += turn.took;
        self.reopened += turn.reopened;
    }

    /// Answers in a second.
    pub fn rate(&self) -> f64 {
        self.samples.len() as f64 / self.took.as_secs_f64()
    }
}
