//! Commands typed at a prompt.
//!
//! There is no end of an answer but the prompt, so a prompt counts only when it is known to be the
//! one behind the answer: behind the echo of the command, or, where there is none, when an empty
//! line brings the same prompt once more. Nothing waits for the device to fall silent.

use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use super::echo::end_of_echo;
use super::prompt::Prompt;
use super::screen::Screen;
use super::shell::{MOST, Output, Shell, check};
use super::wire::Wire;
use crate::device::TerminalHabits;
use crate::transport::{Cause, DeviceError, Fault, shown};

/// How much of an answer is looked through for its echo.
const MOST_ECHO: usize = 64 << 10;

/// A device's command line on a terminal. [`Terminal::open`] logs in.
pub struct Terminal {
    pub(super) habits: Arc<TerminalHabits>,
    /// Polled also by [`Shell::is_open`], which only has a shared reference.
    pub(super) wire: RefCell<Wire>,
    pub(super) prompt: Prompt,
    /// Whether a command was ever echoed.
    pub(super) echoes: bool,
}

/// One command and what came after it.
struct Exchange<'c> {
    command: &'c str,
    /// What to tell when it is asked for; none: it has been told, or there is none.
    secret: Option<&'c SecretString>,
    asked_for_secret: usize,
    screen: Screen,
    /// All that came, as long as the echo is not found; none: it was, or there is none.
    raw: Option<Vec<u8>>,
    echoed: bool,
    /// An empty line went out to see whether the prompt is one.
    doubted: bool,
    /// Which questions were answered.
    spent: Vec<bool>,
    /// How many lines there were when a key was pressed: once a line is enough.
    pressed: Option<usize>,
    received: usize,
}

/// What to do about the last line.
enum Next {
    Wait,
    Ready,
    Press(&'static str),
    Answer(String),
    Secret,
}

impl Terminal {
    /// Rows to ask for: more than any answer of a device that pages whatever it is told.
    pub const HEIGHT: u32 = 1000;

    /// The prompt it stands at, without what surrounds it.
    pub fn prompt(&self) -> &str {
        self.prompt.text()
    }

    /// Whether it stands in a configuration mode.
    pub fn is_configuring(&self) -> bool {
        self.habits.configuring.as_ref().is_some_and(|pattern| pattern.is_match(self.prompt.mode()))
    }

    /// Whether it stands in a mode that may configure.
    pub fn is_privileged(&self) -> bool {
        self.habits.privileged.as_ref().is_none_or(|pattern| pattern.is_match(self.prompt.mode()))
    }

    /// Enters the configuration mode, where there is one. `Rejected`: the device stayed where it was.
    pub async fn enter_configuration(&mut self, deadline: Instant) -> Result<(), Fault> {
        let habits = self.habits.clone();
        match &habits.configure {
            Some(configure) if !self.is_configuring() => {
                self.change_mode(configure, true, deadline).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Leaves the configuration mode, from wherever in it; what was said to that.
    pub async fn leave_configuration(&mut self, deadline: Instant) -> Result<Output, Fault> {
        let habits = self.habits.clone();
        match &habits.leave {
            Some(leave) if self.is_configuring() => self.change_mode(leave, false, deadline).await,
            _ => Ok(Output::default()),
        }
    }

    async fn change_mode(
        &mut self,
        command: &str,
        configuring: bool,
        deadline: Instant,
    ) -> Result<Output, Fault> {
        let output = self.run(command, deadline).await?;
        if self.is_configuring() == configuring {
            return Ok(output);
        }
        let message =
            format!("after `{command}` it stands at {}: {}", self.prompt.mode(), output.text.trim());
        Err(Fault::Rejected(vec![DeviceError {
            error_type: "application".to_owned(),
            tag: "operation-failed".to_owned(),
            severity: "error".to_owned(),
            path: Some(command.to_owned()),
            message: Some(message),
            ..DeviceError::default()
        }]))
    }

    /// Types a line and takes what comes until the prompt; `secret` is told once if it is asked for.
    pub(super) async fn converse(
        &mut self,
        command: &str,
        secret: Option<&SecretString>,
        deadline: Instant,
    ) -> Result<Output, Fault> {
        let wire = self.wire.get_mut();
        if !wire.is_open() {
            return Err(Fault::NotSent(wire.closed()));
        }
        if Instant::now() >= deadline {
            return Err(Fault::NotSent(Cause::Deadline("running a command")));
        }
        let unasked = wire.take_unasked();
        if !unasked.is_empty() {
            tracing::debug!(said = %shown(&String::from_utf8_lossy(&unasked)), "the device spoke without being asked");
        }
        wire.busy = true;
        let mut sent = 0;
        let mut exchange = Exchange::new(command, secret, &self.habits);
        let result = match timeout_at(deadline, self.exchange(&mut exchange, &mut sent)).await {
            Ok(result) => result,
            Err(_) if sent == 0 => Err(Cause::Deadline("sending a command")),
            Err(_) => Err(Cause::NoPrompt(exchange.last_line())),
        };
        let wire = self.wire.get_mut();
        wire.busy = false;
        if let Err(cause) = result {
            wire.fail(cause.clone());
            return Err(if sent == 0 { Fault::NotSent(cause) } else { Fault::Lost(cause) });
        }
        let garbled = exchange.screen.garbled();
        Ok(Output {
            text: exchange.screen.complete().to_owned(),
            errors: String::new(),
            status: None,
            garbled,
        })
    }

    async fn exchange(&mut self, exchange: &mut Exchange<'_>, sent: &mut usize) -> Result<(), Cause> {
        let habits = self.habits.clone();
        let wire = self.wire.get_mut();
        wire.write(format!("{}{}", exchange.command, habits.enter).as_bytes(), sent).await?;
        loop {
            let prompt = self.prompt.text();
            wire.read(|bytes| exchange.feed(bytes, prompt)).await?;
            self.echoes |= exchange.echoed;
            let keys = match exchange.next(&habits, &self.prompt, self.echoes) {
                Next::Wait => continue,
                Next::Ready => break,
                Next::Press(keys) => keys.to_owned(),
                Next::Answer(answer) => format!("{answer}{}", habits.enter),
                Next::Secret => match exchange.secret.take() {
                    Some(secret) => format!("{}{}", secret.expose_secret(), habits.enter),
                    None => return Err(refusal(exchange.asked_for_secret)),
                },
            };
            wire.write(keys.as_bytes(), sent).await?;
            if !self.prompt.echoes_enter() && keys.ends_with(habits.enter) {
                exchange.screen.end_line();
            }
        }
        let line = exchange.screen.line().unwrap_or_default();
        self.prompt.moved(&line, exchange.screen.heading());
        Ok(())
    }
}

fn refusal(asked: usize) -> Cause {
    Cause::Enable(match asked {
        0 | 1 => "it asks for a secret, and the device has none in the inventory".to_owned(),
        _ => "it does not take our secret".to_owned(),
    })
}

impl<'c> Exchange<'c> {
    fn new(command: &'c str, secret: Option<&'c SecretString>, habits: &TerminalHabits) -> Self {
        Self {
            command,
            secret,
            asked_for_secret: 0,
            screen: Screen::below(habits.above.clone()),
            raw: Some(Vec::new()),
            echoed: false,
            doubted: false,
            spent: vec![false; habits.questions.len()],
            pressed: None,
            received: 0,
        }
    }

    fn feed(&mut self, bytes: &[u8], prompt: &str) -> Result<(), Cause> {
        self.received += bytes.len();
        self.screen.feed(bytes);
        if let Some(raw) = &mut self.raw {
            raw.extend_from_slice(bytes);
            if let Some(end) = end_of_echo(raw, self.command, prompt) {
                self.screen.restart(&raw[end..]);
                self.echoed = true;
                self.raw = None;
            } else if raw.len() > MOST_ECHO {
                self.raw = None;
            }
        }
        if self.received > MOST || self.screen.size() > 2 * MOST {
            return Err(Cause::Malformed(format!("a command printed more than {MOST} bytes")));
        }
        Ok(())
    }

    fn next(&mut self, habits: &TerminalHabits, prompt: &Prompt, echoes: bool) -> Next {
        let Some(line) = self.screen.line() else { return Next::Wait };
        let first = self.screen.complete().is_empty();
        if line.trim().is_empty() || (first && !self.echoed && prompt.echoes_enter()) {
            return Next::Wait;
        }
        let lines = self.screen.complete().len();
        let line = if first { line.trim_start() } else { &line };
        if prompt.is(line, habits) {
            if !self.screen.is_headed() {
                return Next::Wait;
            }
            if self.echoed {
                return Next::Ready;
            }
            // Nothing stands where the echo should be, so it is still to come.
            let typed = self.screen.complete().lines().next().unwrap_or_default().trim();
            if echoes && (typed.is_empty() || prompt.is(typed, habits)) {
                return Next::Wait;
            }
            if !self.doubted {
                self.doubted = true;
                return Next::Press(habits.enter);
            }
            if self.screen.last_complete().is_some_and(|last| last.trim() == line.trim()) {
                self.screen.drop_last_complete();
                return Next::Ready;
            }
            return Next::Wait;
        }
        if self.pressed == Some(lines) {
            return Next::Wait;
        }
        if pages(habits, line) {
            self.pressed = Some(lines);
            self.screen.paged();
            return Next::Press(" ");
        }
        let asks_for_secret = habits.secret_question.as_ref().is_some_and(|pattern| pattern.is_match(line));
        if asks_for_secret && habits.enable.as_deref() == Some(self.command) {
            self.pressed = Some(lines);
            self.asked_for_secret += 1;
            return Next::Secret;
        }
        let mut questions = habits.questions.iter().zip(&mut self.spent);
        let asked = questions.find(|(question, spent)| {
            !**spent && question.after.is_match(self.command) && question.pattern.is_match(line)
        });
        let Some((question, spent)) = asked else { return Next::Wait };
        *spent = true;
        self.pressed = Some(lines);
        Next::Answer(question.answer.clone())
    }

    /// What it stands at, for people.
    fn last_line(&self) -> String {
        let line = self.screen.line().unwrap_or_default();
        shown(if line.trim().is_empty() { self.screen.last_complete().unwrap_or_default() } else { &line })
    }
}

/// Whether the device waits for a key before it goes on.
pub(super) fn pages(habits: &TerminalHabits, line: &str) -> bool {
    let found = habits.pager.as_ref().and_then(|pattern| pattern.find(line));
    found.is_some_and(|found| line[found.end()..].trim().is_empty())
}

#[async_trait]
impl Shell for Terminal {
    async fn run(&mut self, command: &str, deadline: Instant) -> Result<Output, Fault> {
        check(command)?;
        tracing::debug!(command, prompt = self.prompt(), "running");
        let output = self.converse(command, None, deadline).await;
        tracing::debug!(?output, prompt = self.prompt(), "ran");
        output
    }

    async fn enter_configuration(&mut self, deadline: Instant) -> Result<(), Fault> {
        Terminal::enter_configuration(self, deadline).await
    }

    async fn leave_configuration(&mut self, deadline: Instant) -> Result<Output, Fault> {
        Terminal::leave_configuration(self, deadline).await
    }

    fn is_open(&self) -> bool {
        self.wire.borrow_mut().is_open()
    }

    async fn close(&mut self) {
        self.wire.get_mut().close().await;
    }
}
