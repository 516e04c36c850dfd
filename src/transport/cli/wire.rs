//! A stream of bytes to a terminal, open until something went wrong with it.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::task::unconstrained;
use tokio::time::timeout;

use crate::transport::Cause;
use crate::transport::ssh::Stream;

/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);
const READ_SIZE: usize = 32 << 10;
/// What a device may say without being asked before it is no device to talk to.
const MOST_UNASKED: usize = 1 << 20;

pub(super) struct Wire {
    /// None: it is closed, for the reason in `closed`.
    stream: Option<Box<dyn Stream>>,
    closed: Cause,
    /// An exchange began and did not come to its end: its caller went away in between.
    pub(super) busy: bool,
    /// What came since the last exchange.
    unasked: Vec<u8>,
}

impl Wire {
    pub(super) fn new(stream: Box<dyn Stream>) -> Self {
        let closed = Cause::Closed("it was never opened".to_owned());
        Self { stream: Some(stream), closed, busy: false, unasked: Vec::new() }
    }

    /// Why it is closed.
    pub(super) fn closed(&self) -> Cause {
        self.closed.clone()
    }

    /// Closes at once.
    pub(super) fn fail(&mut self, cause: Cause) {
        if self.stream.take().is_some() {
            self.closed = cause;
        }
    }

    /// Whether another exchange can begin; notices when the peer has closed meanwhile.
    pub(super) fn is_open(&mut self) -> bool {
        if std::mem::take(&mut self.busy) {
            self.fail(Cause::Closed("an exchange was given up half-way".to_owned()));
        }
        let mut unasked = std::mem::take(&mut self.unasked);
        let mut piece = [0; 1024];
        while self.stream.is_some() && unasked.len() <= MOST_UNASKED {
            match self.ready(&mut piece) {
                None => break,
                Some(Ok(length)) => unasked.extend_from_slice(&piece[..length]),
                Some(Err(cause)) => self.fail(cause),
            }
        }
        if unasked.len() > MOST_UNASKED {
            self.fail(Cause::Malformed("the device spoke on and on without being asked".to_owned()));
        }
        self.unasked = unasked;
        self.stream.is_some()
    }

    /// What came since the last exchange, which is no answer to the next.
    pub(super) fn take_unasked(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.unasked)
    }

    /// What can be read without waiting; none: nothing.
    fn ready(&mut self, piece: &mut [u8]) -> Option<Result<usize, Cause>> {
        let again = Arc::new(Again::default());
        let waker = Waker::from(again.clone());
        let Some(stream) = &mut self.stream else { return Some(Err(self.closed.clone())) };
        let mut piece = ReadBuf::new(piece);
        // Not tokio's turn to say that it has been long enough: we would ask for ever.
        let mut read =
            pin!(unconstrained(poll_fn(|context| Pin::new(&mut *stream).poll_read(context, &mut piece))));
        let read = loop {
            match read.as_mut().poll(&mut Context::from_waker(&waker)) {
                Poll::Pending if again.0.swap(false, Ordering::Relaxed) => {}
                Poll::Pending => return None,
                Poll::Ready(read) => break read,
            }
        };
        Some(match read {
            Err(error) => Err(Cause::Closed(error.to_string())),
            Ok(()) if piece.filled().is_empty() => Err(peer_closed()),
            Ok(()) => Ok(piece.filled().len()),
        })
    }

    /// Waits for something, and takes all that is there by then: the last line is what it is only
    /// with nothing behind it.
    pub(super) async fn read(
        &mut self,
        mut take: impl FnMut(&[u8]) -> Result<(), Cause>,
    ) -> Result<(), Cause> {
        let Some(stream) = &mut self.stream else { return Err(self.closed.clone()) };
        let mut buffer = vec![0; READ_SIZE];
        let mut read = stream.read(&mut buffer).await.map_err(|error| Cause::Closed(error.to_string()))?;
        if read == 0 {
            return Err(peer_closed());
        }
        loop {
            take(&buffer[..read])?;
            match self.ready(&mut buffer) {
                Some(more) => read = more?,
                None => return Ok(()),
            }
        }
    }

    /// Writes all of `bytes`; `sent` counts what the stream has taken, also when this fails.
    pub(super) async fn write(&mut self, bytes: &[u8], sent: &mut usize) -> Result<(), Cause> {
        let Some(stream) = &mut self.stream else { return Err(self.closed.clone()) };
        let closed = |error: std::io::Error| Cause::Closed(error.to_string());
        let mut rest = bytes;
        while !rest.is_empty() {
            let taken = poll_fn(|context| Pin::new(&mut *stream).poll_write(context, rest)).await;
            match taken.map_err(closed)? {
                0 => return Err(peer_closed()),
                taken => {
                    *sent += taken;
                    rest = &rest[taken..];
                }
            }
        }
        stream.flush().await.map_err(closed)
    }

    /// Tells the peer that no more comes, and closes.
    pub(super) async fn close(&mut self) {
        if let Some(stream) = &mut self.stream {
            let ended = timeout(GOODBYE, stream.shutdown()).await;
            tracing::debug!(?ended, "stream ended");
        }
        self.fail(Cause::Closed("we closed it".to_owned()));
    }
}

/// Tells that a stream wants to be polled once more, though it had nothing: it passed over
/// something that is no data, and its end may be next.
#[derive(Default)]
struct Again(AtomicBool);

impl Wake for Again {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn peer_closed() -> Cause {
    Cause::Closed("the device closed it".to_owned())
}
