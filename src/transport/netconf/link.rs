//! One NETCONF exchange over a byte stream: hellos, then flights of rpcs and their replies.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use super::framing::{Decoder, Framing};
use super::message::{Hello, Reply};
use super::rpc::{self, Answer, Rpc};
use crate::transport::ssh::Stream;
use crate::transport::{Cause, Fault, join, shown};

/// Tells that a stream wants to be polled once more, though it had nothing: it passed over
/// something that is no data, and its end may be next.
#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Least time between our hello and our first rpc: netconfd 2.13 does not look at an rpc that came
/// in one piece with the hello until more comes.
const HELLO_GAP: Duration = Duration::from_millis(10);
/// How long the first reply may take before we send more, in case the two met on their way.
const NUDGE_AFTER: Duration = Duration::from_millis(250);
/// The message-id of that; those of flights count from 1.
const NUDGE_ID: &str = "0";
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);
const READ_SIZE: usize = 32 << 10;

/// The reply to one rpc of a flight: its data, empty where the reply is only `<ok/>`.
pub type Outcome = Result<String, Fault>;

/// An exchange that is open until something went wrong with it.
pub struct Link {
    /// None: it is closed, for the reason in `closed`.
    stream: Option<Box<dyn Stream>>,
    closed: Cause,
    decoder: Decoder,
    framing: Framing,
    last_id: u64,
    /// A flight began and did not come to its end: its caller went away in between.
    in_flight: bool,
    /// The server has replied to something.
    answered: bool,
    /// The reply to our nudge is still to come.
    nudged: bool,
}

impl Link {
    /// Exchanges hellos. Framing by chunks follows when both sides speak base:1.1.
    pub async fn open(stream: Box<dyn Stream>, deadline: Instant) -> Result<(Self, Hello), Cause> {
        let mut link = Self {
            stream: Some(stream),
            closed: Cause::Closed("it was never opened".to_owned()),
            decoder: Decoder::new(Framing::EndOfMessage),
            framing: Framing::EndOfMessage,
            last_id: 0,
            in_flight: false,
            answered: false,
            nudged: false,
        };
        let exchange = async {
            let mut bytes = Vec::new();
            Framing::EndOfMessage.encode(&rpc::hello(), &mut bytes).map_err(malformed)?;
            let mut sent = 0;
            link.write(&bytes, &mut sent).await?;
            let gap = Instant::now() + HELLO_GAP;
            let message = link.receive().await?;
            let hello = Hello::parse(&message)
                .map_err(|error| malformed(format!("the hello is unusable: {error}")))?;
            sleep_until(gap).await;
            Ok(hello)
        };
        let hello =
            timeout_at(deadline, exchange).await.unwrap_or(Err(Cause::Deadline("waiting for the hello")))?;
        if hello.offers("base:1.1") {
            link.framing = Framing::Chunked;
            link.decoder.switch(Framing::Chunked);
        } else if !hello.offers("base:1.0") {
            return Err(malformed("the hello offers no base protocol"));
        }
        Ok((link, hello))
    }

    /// Sends `rpcs` in one write and takes the replies, in the order of `rpcs`. After a fault that
    /// is not a refusal nothing can be sent any more.
    pub async fn flight(&mut self, rpcs: &[Rpc], deadline: Instant, doing: &'static str) -> Vec<Outcome> {
        let not_sent = |cause: Cause| rpcs.iter().map(|_| Err(Fault::NotSent(cause.clone()))).collect();
        if !self.is_open() {
            return not_sent(self.closed.clone());
        }
        if Instant::now() >= deadline {
            return not_sent(Cause::Deadline(doing));
        }
        let first_id = self.last_id + 1;
        let mut bytes = Vec::new();
        for rpc in rpcs {
            self.last_id += 1;
            let message = rpc.message(&self.last_id.to_string());
            tracing::debug!(%message, "sending");
            if let Err(error) = self.framing.encode(&message, &mut bytes) {
                return not_sent(malformed(error));
            }
        }

        self.in_flight = true;
        let mut sent = 0;
        let mut outcomes: Vec<Option<Outcome>> = rpcs.iter().map(|_| None).collect();
        let exchange = async {
            self.write(&bytes, &mut sent).await?;
            while self.nudged || outcomes.iter().any(Option::is_none) {
                let reply = self.reply().await?;
                if self.nudged && reply.message_id.as_deref() == Some(NUDGE_ID) {
                    self.nudged = false;
                    continue;
                }
                let (at, outcome) = judge(reply, first_id, rpcs)?;
                match &mut outcomes[at] {
                    slot @ None => *slot = Some(outcome),
                    Some(_) => return Err(malformed("an rpc is answered twice")),
                }
            }
            Ok(())
        };
        let result = timeout_at(deadline, exchange).await.unwrap_or(Err(Cause::Deadline(doing)));
        self.in_flight = false;
        let Err(cause) = result else { return outcomes.into_iter().flatten().collect() };
        self.fail(cause.clone());
        let missing = if sent == 0 { Fault::NotSent(cause) } else { Fault::Lost(cause) };
        outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|| Err(missing.clone()))).collect()
    }

    /// Whether another flight can be sent; notices when the peer has closed meanwhile.
    pub fn is_open(&mut self) -> bool {
        if self.in_flight {
            self.in_flight = false;
            self.fail(Cause::Closed("an exchange was given up half-way".to_owned()));
        }
        let again = Arc::new(Again::default());
        let waker = Waker::from(again.clone());
        while let Some(stream) = &mut self.stream {
            let mut piece = [0; 1024];
            let mut piece = ReadBuf::new(&mut piece);
            match Pin::new(stream).poll_read(&mut Context::from_waker(&waker), &mut piece) {
                Poll::Pending if again.0.swap(false, Ordering::Relaxed) => {}
                Poll::Pending => break,
                Poll::Ready(Err(error)) => self.fail(Cause::Closed(error.to_string())),
                Poll::Ready(Ok(())) if piece.filled().is_empty() => self.fail(peer_closed()),
                Poll::Ready(Ok(())) => self.decoder.buffer().extend_from_slice(piece.filled()),
            }
        }
        if self.stream.is_some() && !self.decoder.is_idle() {
            self.fail(malformed("the device spoke without being asked"));
        }
        self.stream.is_some()
    }

    /// Closes at once: the server frees the locks of a session that is gone.
    pub fn fail(&mut self, cause: Cause) {
        if self.stream.take().is_some() {
            self.closed = cause;
        }
    }

    /// Says goodbye (RFC 6241 7.8) and closes.
    pub async fn close(&mut self) {
        if self.is_open() {
            let deadline = Instant::now() + GOODBYE;
            let goodbye = self.flight(&[Rpc::close_session()], deadline, "closing the session").await;
            tracing::debug!(?goodbye, "session closed");
        }
        if let Some(stream) = &mut self.stream {
            let ended = timeout(GOODBYE, stream.shutdown()).await;
            tracing::debug!(?ended, "stream ended");
        }
        self.fail(Cause::Closed("we closed it".to_owned()));
    }

    /// Writes all of `bytes`; `sent` counts what the stream has taken, also when this fails.
    async fn write(&mut self, bytes: &[u8], sent: &mut usize) -> Result<(), Cause> {
        let stream = self.stream.as_mut().ok_or_else(|| self.closed.clone())?;
        let closed = |error: std::io::Error| Cause::Closed(error.to_string());
        while *sent < bytes.len() {
            let taken = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, &bytes[*sent..])).await;
            match taken.map_err(closed)? {
                0 => return Err(peer_closed()),
                taken => *sent += taken,
            }
        }
        stream.flush().await.map_err(closed)
    }

    async fn receive(&mut self) -> Result<Vec<u8>, Cause> {
        loop {
            if let Some(message) = self.decoder.next().map_err(malformed)? {
                return Ok(message);
            }
            let stream = self.stream.as_mut().ok_or_else(|| self.closed.clone())?;
            let buffer = self.decoder.buffer();
            buffer.reserve(READ_SIZE);
            match stream.read_buf(buffer).await {
                Ok(0) => return Err(peer_closed()),
                Ok(_) => {}
                Err(error) => return Err(Cause::Closed(error.to_string())),
            }
        }
    }

    /// Sends a read of nothing: only a read may go behind an rpc that is not answered.
    async fn nudge(&mut self) -> Result<(), Cause> {
        tracing::debug!("no reply yet, sending one more rpc");
        let mut bytes = Vec::new();
        self.framing.encode(&Rpc::nudge().message(NUDGE_ID), &mut bytes).map_err(malformed)?;
        self.nudged = true;
        self.write(&bytes, &mut 0).await
    }

    async fn reply(&mut self) -> Result<Reply, Cause> {
        let message = if self.answered || self.nudged {
            self.receive().await?
        } else {
            match timeout(NUDGE_AFTER, self.receive()).await {
                Ok(message) => message?,
                Err(_) => {
                    self.nudge().await?;
                    self.receive().await?
                }
            }
        };
        self.answered = true;
        tracing::debug!(message = %String::from_utf8_lossy(&message), "received");
        Reply::parse(&message).map_err(|error| malformed(format!("a reply is unusable: {error}")))
    }
}

/// Which rpc of the flight a reply is for, and what it says.
fn judge(reply: Reply, first_id: u64, rpcs: &[Rpc]) -> Result<(usize, Outcome), Cause> {
    let Some(id) = &reply.message_id else {
        return Err(malformed(format!("a reply has no message-id ({})", join(&reply.errors))));
    };
    let at = (0..rpcs.len()).zip(first_id..).find(|(_, sent)| sent.to_string() == *id);
    let Some((at, _)) = at else {
        return Err(malformed(format!("a reply has the unknown message-id `{id}`")));
    };
    for warning in &reply.warnings {
        tracing::warn!(%warning, "the device warns");
    }
    if !reply.errors.is_empty() {
        return Ok((at, Err(Fault::Rejected(reply.errors))));
    }
    // Some servers answer an rpc that only had warnings with the warnings alone.
    let ok = reply.ok || !reply.warnings.is_empty();
    let data = if rpcs[at].answer == Answer::Schema { reply.schema } else { reply.data };
    match (rpcs[at].answer, data) {
        (Answer::Data | Answer::Schema, Some(data)) => Ok((at, Ok(data))),
        (Answer::Ok, _) if ok => Ok((at, Ok(String::new()))),
        (Answer::Data | Answer::Schema, None) => Err(malformed("a reply has no <data>")),
        (Answer::Ok, _) => Err(malformed("a reply has neither <ok> nor <rpc-error>")),
    }
}

fn malformed(why: impl ToString) -> Cause {
    Cause::Malformed(shown(&why.to_string()))
}

fn peer_closed() -> Cause {
    Cause::Closed("the device closed it".to_owned())
}
