//! The channels of a connection (RFC 4254 5, 6).

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use russh::client::Msg;
use russh::{Channel, ChannelMsg, ChannelStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout_at};

use super::{Connection, Stream, Wire};
use crate::transport::{Cause, Fault, shown};

/// What to tell the device about our terminal: every network system knows this one.
const TERMINAL: &str = "vt100";

/// What a command wrote and how it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Executed {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    /// None: the device did not tell.
    pub status: Option<u32>,
}

impl Connection {
    /// False when the connection is lost: open another.
    pub fn is_open(&self) -> bool {
        !self.wire.handle.is_closed()
    }

    /// Opens a subsystem (RFC 4254 6.5).
    pub async fn subsystem(&self, name: &str, deadline: Instant) -> Result<Box<dyn Stream>, Cause> {
        let opening = async {
            let mut channel = self.channel().await?;
            channel.request_subsystem(true, name).await.map_err(|error| self.failed(error))?;
            self.granted(&mut channel, &format!("{name} subsystem")).await?;
            Ok(self.stream(channel))
        };
        timeout_at(deadline, opening).await.unwrap_or(Err(Cause::Deadline("opening a subsystem")))
    }

    /// Opens a shell on a terminal of `width` and `height` characters (RFC 4254 6.2, 6.5).
    pub async fn shell(&self, width: u32, height: u32, deadline: Instant) -> Result<Box<dyn Stream>, Cause> {
        let opening = async {
            let mut channel = self.channel().await?;
            let failed = |error| self.failed(error);
            channel.request_pty(true, TERMINAL, width, height, 0, 0, &[]).await.map_err(failed)?;
            self.granted(&mut channel, "terminal").await?;
            channel.request_shell(true).await.map_err(failed)?;
            self.granted(&mut channel, "shell").await?;
            Ok(self.stream(channel))
        };
        timeout_at(deadline, opening).await.unwrap_or(Err(Cause::Deadline("opening a shell")))
    }

    /// Runs one command on a channel of its own, to its end. More than `limit` bytes are too much.
    pub async fn exec(&self, command: &str, limit: usize, deadline: Instant) -> Result<Executed, Fault> {
        let mut sent = false;
        let running = async {
            let mut channel = self.channel().await.map_err(Fault::NotSent)?;
            channel.exec(true, command).await.map_err(|error| Fault::NotSent(self.failed(error)))?;
            sent = true;
            self.finish(&mut channel, limit).await
        };
        match timeout_at(deadline, running).await {
            Ok(result) => result,
            Err(_) if sent => Err(Fault::Lost(Cause::Deadline("running a command"))),
            Err(_) => Err(Fault::NotSent(Cause::Deadline("opening a channel"))),
        }
    }

    /// Takes all that a command writes. It is complete with the end of its output and its status,
    /// in whichever order they come, or when the device closes the channel after one of them.
    async fn finish(&self, channel: &mut Channel<Msg>, limit: usize) -> Result<Executed, Fault> {
        let closed = |why: &str| Fault::Lost(Cause::Closed(why.to_owned()));
        let mut executed = Executed::default();
        let mut ended = false;
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Data { data }) => executed.stdout.extend_from_slice(&data),
                Some(ChannelMsg::ExtendedData { data, .. }) => executed.stderr.extend_from_slice(&data),
                Some(ChannelMsg::Failure) => {
                    let why = "the device runs no commands without a terminal".to_owned();
                    return Err(Fault::NotSent(Cause::Unsupported(why)));
                }
                Some(ChannelMsg::ExitSignal { signal_name, error_message, .. }) => {
                    let why = format!("the command ended by signal {signal_name:?}: {error_message}");
                    return Err(closed(&shown(&why)));
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => executed.status = Some(exit_status),
                Some(ChannelMsg::Eof) => ended = true,
                Some(ChannelMsg::Close) if ended || executed.status.is_some() => return Ok(executed),
                Some(ChannelMsg::Close) => {
                    return Err(closed("the command ended without an end of its output"));
                }
                None => return Err(closed("the connection was lost while a command ran")),
                Some(_) => {}
            }
            if executed.stdout.len() + executed.stderr.len() > limit {
                return Err(Fault::Lost(Cause::Malformed(format!(
                    "a command wrote more than {limit} bytes"
                ))));
            }
            if ended && executed.status.is_some() {
                // Some servers wait for us. It fails where the connection ended meanwhile.
                channel.close().await.ok();
                return Ok(executed);
            }
        }
    }

    async fn channel(&self) -> Result<Channel<Msg>, Cause> {
        self.wire.handle.channel_open_session().await.map_err(|error| self.failed(error))
    }

    /// Waits for the answer to a request.
    async fn granted(&self, channel: &mut Channel<Msg>, what: &str) -> Result<(), Cause> {
        loop {
            match channel.wait().await {
                Some(ChannelMsg::Success) => return Ok(()),
                Some(ChannelMsg::WindowAdjusted { .. }) => {}
                Some(ChannelMsg::Failure) => {
                    return Err(Cause::Unsupported(format!("the device has no {what}")));
                }
                _ => return Err(self.failed(format!("the {what} did not open"))),
            }
        }
    }

    fn stream(&self, channel: Channel<Msg>) -> Box<dyn Stream> {
        Box::new(SshStream { channel: channel.into_stream(), _wire: self.wire.clone() })
    }

    fn failed(&self, why: impl ToString) -> Cause {
        Cause::Connect { address: self.address.clone(), why: why.to_string() }
    }
}

/// A channel with what has to live as long.
struct SshStream {
    channel: ChannelStream<Msg>,
    _wire: Arc<Wire>,
}

impl AsyncRead for SshStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.channel).poll_read(context, buffer)
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.channel).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.channel).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.channel).poll_shutdown(context)
    }
}
