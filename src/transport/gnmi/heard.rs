//! What a peer says first: an HTTP/2 server its settings (RFC 9113 3.4), and who says something else is
//! no gNMI target, which the errors of HTTP/2 tell nobody.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// As much as is kept of it, in bytes.
const MOST: usize = 60;

/// The type of a frame of settings, which is the fourth byte of a frame.
const SETTINGS: u8 = 4;

/// What came from a peer.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    first: Vec<u8>,
    /// How the stream broke: with TLS 1.3 a certificate of ours is refused after it was all agreed on.
    error: Option<String>,
}

impl Heard {
    /// `stream`, listened to.
    pub fn on<S>(&self, stream: S) -> Listened<S> {
        Listened { stream, heard: self.clone() }
    }

    /// What it speaks instead of HTTP/2, or says at its end, in words; `None`: nothing else was heard.
    pub fn instead(&self) -> Option<String> {
        let said = self.said();
        match said.first.as_slice() {
            // An alert or a handshake of any version (RFC 8446 5.1).
            [0x15 | 0x16, 3, ..] => Some("it speaks TLS".to_owned()),
            [_, _, _, SETTINGS, ..] | [] => said.error.clone(),
            other => {
                let text = String::from_utf8_lossy(other);
                let line = text.lines().next().unwrap_or_default();
                Some(format!("it speaks no HTTP/2, so it is no gNMI target; it says `{line}`"))
            }
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A stream whose first bytes are kept.
pub(super) struct Listened<S> {
    stream: S,
    heard: Heard,
}

impl<S: AsyncRead + Unpin> AsyncRead for Listened<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let mut said = self.heard.said();
        let new = &buffer.filled()[before..];
        let room = MOST - said.first.len();
        said.first.extend_from_slice(&new[..new.len().min(room)]);
        if let Poll::Ready(Err(error)) = &read {
            said.error = Some(error.to_string());
        }
        drop(said);
        read
    }
}

/// A peer that hangs up has said why before: that is read, so what cannot be written to it any more is no
/// error. That it arrived was never known.
impl<S: AsyncWrite + Unpin> AsyncWrite for Listened<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes).map(|written| written.or(Ok(bytes.len())))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx).map(|flushed| flushed.or(Ok(())))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_http2() {
        let heard = |bytes: &[u8]| {
            let said = Said { first: bytes.to_vec(), error: None };
            Heard(Arc::new(Mutex::new(said))).instead()
        };
        assert_eq!(heard(b""), None);
        assert_eq!(heard(b"\0\0\x12\x04\0\0\0\0\0"), None);
        assert_eq!(heard(b"\x15\x03\x03\0\x02\x02\x46").unwrap(), "it speaks TLS");
        assert!(heard(b"SSH-2.0-x\r\nmore").unwrap().ends_with("it says `SSH-2.0-x`"));
        assert!(heard(b"abc").unwrap().ends_with("it says `abc`"));
    }
}
