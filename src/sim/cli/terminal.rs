//! A terminal: what is typed is echoed line by line, what is said comes page by page. And commands on
//! channels of their own.

use std::io;
use std::sync::Arc;

use russh::Channel;
use russh::server::Msg;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::time::{Instant, sleep};

use super::fault::CliWhat;
use super::os::Reply;
use super::{CliCommand, Shared};
use crate::sim::ssh::After;

const CTRL_C: u8 = 3;
const BACKSPACE: u8 = 8;
const CTRL_U: u8 = 21;
const CTRL_V: u8 = 22;
const CTRL_Z: u8 = 26;
const DELETE: u8 = 127;

/// Serves one shell until either side ends it.
pub(super) async fn serve<S>(shared: Arc<Shared>, stream: S) -> After
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let session = shared.device().os.open();
    let registered = Registered { shared: Arc::clone(&shared), session };
    let mut terminal =
        Terminal { shared, session, stream, typed: Vec::new(), at: 0, after_return: false, prompt: None };
    if let Err(error) = terminal.run().await {
        tracing::debug!(session, %error, "simulated session ended");
    }
    // The device forgets the session before the peer can see that it is over.
    drop(registered);
    After::Disconnect
}

/// Takes the session off the device however it ends.
struct Registered {
    shared: Arc<Shared>,
    session: u32,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.shared.device().os.close(self.session);
    }
}

struct Terminal<S> {
    shared: Arc<Shared>,
    session: u32,
    stream: S,
    /// Bytes that have come, and how many of them are used.
    typed: Vec<u8>,
    at: usize,
    /// The last byte was `\r`: a `\n` behind it is the same key.
    after_return: bool,
    /// Stands in place of the next prompt.
    prompt: Option<String>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Terminal<S> {
    /// Ends without an error where the device ends it.
    async fn run(&mut self) -> io::Result<()> {
        let banner = self.shared.device().system.banner.clone();
        self.say(&banner).await?;
        loop {
            let (prompt, is_secret) = {
                let device = self.shared.device();
                (device.os.prompt(self.session), device.os.is_secret(self.session))
            };
            let prompt = self.prompt.take().unwrap_or(prompt);
            self.say(&prompt).await?;
            let line = self.line(&prompt, is_secret).await?;
            if !self.command(line, is_secret).await? {
                return self.stream.shutdown().await;
            }
        }
    }

    /// Runs a line with what goes wrong with it; false: the session is over.
    async fn command(&mut self, line: String, is_secret: bool) -> io::Result<bool> {
        let fault = {
            let mut device = self.shared.device();
            if !is_secret && !line.trim().is_empty() {
                device.log.push(CliCommand { session: self.session, line: line.clone() });
            }
            device.faults.due(&line)
        };
        sleep(self.shared.latency).await;
        match &fault {
            Some(CliWhat::Refuse(text)) => {
                self.say(text).await?;
                return Ok(true);
            }
            Some(CliWhat::DropBefore) => return Ok(false),
            Some(CliWhat::HangBefore) => return self.hang().await,
            Some(CliWhat::Delay(time)) => sleep(*time).await,
            Some(CliWhat::Noise(text)) => self.say(text).await?,
            Some(CliWhat::Flood(bytes)) => {
                let line = "flood ".repeat(12) + "\r\n";
                let flood = line.bytes().cycle().take(*bytes).collect::<Vec<_>>();
                self.send(&flood).await?;
            }
            Some(CliWhat::Ask(question)) => {
                self.say(question).await?;
                if self.line("", false).await?.starts_with(['n', 'N']) {
                    return Ok(true);
                }
            }
            Some(CliWhat::First(line)) => {
                self.shared.device().os.enter(self.session, line, Instant::now());
            }
            _ => {}
        }
        let Reply { text, close } = self.shared.device().os.enter(self.session, &line, Instant::now());
        match fault {
            Some(CliWhat::DropAfter) => return Ok(false),
            Some(CliWhat::HangAfter) => return self.hang().await,
            Some(CliWhat::DropInside) => {
                let all = text + &self.shared.device().os.prompt(self.session);
                let middle = (0..=all.len() / 2).rev().find(|at| all.is_char_boundary(*at)).unwrap_or(0);
                self.say(&all[..middle]).await?;
                return Ok(false);
            }
            Some(CliWhat::Prompt(prompt)) => self.prompt = Some(prompt),
            Some(CliWhat::Say(more)) => {
                self.page(&(text + &more)).await?;
                return Ok(!close);
            }
            _ => {}
        }
        self.page(&text).await?;
        Ok(!close)
    }

    /// Says nothing until the peer goes away.
    async fn hang(&mut self) -> io::Result<bool> {
        while self.byte().await.is_ok() {}
        Ok(false)
    }

    /// Reads one line with its echo.
    async fn line(&mut self, prompt: &str, is_secret: bool) -> io::Result<String> {
        let (help_key, columns) = {
            let device = self.shared.device();
            (device.system.help_key, device.os.columns(self.session))
        };
        let width = columns.saturating_sub(prompt.rsplit('\n').next().map_or(0, str::len) + 1);
        let mut line: Vec<u8> = Vec::new();
        let (mut shown, mut echo) = (0_usize, Vec::new());
        loop {
            if !self.shared.device().faults.holds_echo() {
                self.send(&std::mem::take(&mut echo)).await?;
            }
            let byte = self.byte().await?;
            match byte {
                b'\r' | b'\n' | CTRL_Z | CTRL_C => {
                    if byte == CTRL_Z {
                        echo.extend(b"^Z");
                        line = b"end".to_vec();
                    }
                    if byte == CTRL_C {
                        line.clear();
                    }
                    echo.extend(b"\r\n");
                    break;
                }
                BACKSPACE | DELETE => {
                    if line.pop().is_some() && !is_secret {
                        shown = shown.saturating_sub(1);
                        echo.extend(b"\x08 \x08");
                    }
                    continue;
                }
                CTRL_U => {
                    echo.extend(b"\x08 \x08".repeat(shown));
                    (shown, line) = (0, Vec::new());
                    continue;
                }
                b'?' if help_key && !is_secret => {
                    let help = self.shared.device().system.says("help").to_owned();
                    let typed = String::from_utf8_lossy(&line).into_owned();
                    self.say(&format!("?\n{help}{prompt}{typed}")).await?;
                    continue;
                }
                CTRL_V => line.push(self.byte().await?),
                byte if byte < b' ' => continue,
                byte => line.push(byte),
            }
            if is_secret {
                continue;
            }
            echo.extend(line.last());
            shown += 1;
            // A line that is too wide moves to the left behind a `$`.
            if columns > 0 && shown >= width && width > 20 {
                let rest = &line[line.len() - width / 2..];
                echo.extend(b"\x08".repeat(shown));
                echo.push(b'$');
                echo.extend(rest);
                let blank = shown.saturating_sub(rest.len() + 1);
                echo.extend(b" ".repeat(blank));
                echo.extend(b"\x08".repeat(blank));
                shown = rest.len() + 1;
            }
        }
        let line = String::from_utf8_lossy(&line).into_owned();
        let late = self.shared.device().faults.late_echo(&line);
        sleep(late).await;
        self.send(&echo).await?;
        Ok(line)
    }

    /// The next byte that is typed.
    async fn byte(&mut self) -> io::Result<u8> {
        loop {
            if self.at == self.typed.len() {
                self.typed.clear();
                self.at = 0;
                if self.stream.read_buf(&mut self.typed).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
            let byte = self.typed[self.at];
            self.at += 1;
            let same_key = byte == b'\n' && std::mem::take(&mut self.after_return);
            self.after_return = byte == b'\r';
            if !same_key && byte != 0 {
                return Ok(byte);
            }
        }
    }

    /// Says it page by page.
    async fn page(&mut self, text: &str) -> io::Result<()> {
        let (rows, more) = {
            let device = self.shared.device();
            (device.os.rows(self.session), device.system.more.clone())
        };
        let mut left = rows.saturating_sub(1);
        for line in text.split_inclusive('\n') {
            if rows > 0 && left == 0 {
                self.say(&more.prompt).await?;
                let key = self.byte().await?;
                self.send(more.erase.as_bytes()).await?;
                left = match key {
                    b' ' => rows - 1,
                    b'\r' | b'\n' => 1,
                    _ => return Ok(()),
                };
            }
            left = left.saturating_sub(1);
            self.say(line).await?;
        }
        Ok(())
    }

    async fn say(&mut self, text: &str) -> io::Result<()> {
        self.send(text.replace('\n', "\r\n").as_bytes()).await
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }
}

/// Runs one command on a channel of its own.
pub(super) async fn exec(shared: Arc<Shared>, command: String, channel: Channel<Msg>) -> After {
    let fault = {
        let mut device = shared.device();
        device.log.push(CliCommand { session: 0, line: command.clone() });
        device.faults.due(&command)
    };
    sleep(shared.latency).await;
    if let Some(CliWhat::Delay(time)) = &fault {
        sleep(*time).await;
    }
    let mut executed = match &fault {
        Some(CliWhat::DropBefore) => return After::Disconnect,
        Some(CliWhat::HangBefore) => return hang(channel).await,
        Some(CliWhat::Refuse(text)) => {
            super::os::Executed { out: String::new(), err: text.clone(), status: 1 }
        }
        _ => shared.device().os.exec(&command, Instant::now()),
    };
    match fault {
        Some(CliWhat::DropAfter | CliWhat::DropInside) => return After::Disconnect,
        Some(CliWhat::HangAfter) => return hang(channel).await,
        Some(CliWhat::Say(text) | CliWhat::Noise(text)) => executed.out += &text,
        Some(CliWhat::Flood(bytes)) => executed.out.insert_str(0, &"flood\n".repeat(bytes / 6)),
        _ => {}
    }
    let sent = async {
        channel.data(executed.out.as_bytes()).await?;
        channel.extended_data(1, executed.err.as_bytes()).await?;
        channel.exit_status(executed.status).await?;
        channel.eof().await?;
        channel.close().await
    };
    if let Err(error) = sent.await {
        tracing::debug!(%error, "the client of a simulated command is gone");
    }
    After::Keep
}

/// Says nothing until the peer goes away.
async fn hang(mut channel: Channel<Msg>) -> After {
    while channel.wait().await.is_some() {}
    After::Keep
}
