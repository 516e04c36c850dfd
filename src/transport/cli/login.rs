//! From a shell that has just opened to a prompt that takes commands: find the prompt, leave the
//! modes of others, become privileged, and set the terminal up.

use std::cell::RefCell;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use super::prompt::Prompt;
use super::screen::Screen;
use super::shell::{MOST, Output, Shell as _, check};
use super::terminal::{Terminal, pages};
use super::wire::Wire;
use crate::device::TerminalHabits;
use crate::quote::quoted;
use crate::transport::ssh::Stream;
use crate::transport::{Cause, Fault, shown};

/// Whether the device refused a command that printed this.
pub type Refused<'r> = &'r (dyn Fn(&Output) -> bool + Send + Sync);

impl Terminal {
    /// Waits for the prompt, and sets up. `secret` goes to whatever asks for the enable secret.
    /// `refused` judges the commands of the set-up. Nothing has been changed when it fails.
    pub async fn open(
        stream: Box<dyn Stream>,
        habits: Arc<TerminalHabits>,
        secret: Option<&SecretString>,
        refused: Refused<'_>,
        deadline: Instant,
    ) -> Result<Self, Cause> {
        let mut finder = Finder::new(Wire::new(stream), &habits);
        let found = timeout_at(deadline, finder.find()).await;
        let prompt = found.unwrap_or_else(|_| Err(Cause::NoPrompt(finder.last_line())))?;
        tracing::debug!(?prompt, "found the prompt");
        let mut terminal =
            Self { wire: RefCell::new(finder.wire), prompt, echoes: false, habits: habits.clone() };
        terminal
            .leave_configuration(deadline)
            .await
            .map_err(|fault| cause(fault, "leaving a configuration mode"))?;
        if !terminal.is_privileged() {
            terminal.enable(secret, deadline).await?;
        }
        for setup in &habits.setup {
            let doing = format!("setup command {}", quoted(&setup.command));
            let output =
                terminal.run(&setup.command, deadline).await.map_err(|fault| cause(fault, &doing))?;
            if refused(&output) && !setup.optional {
                return Err(Cause::Unsupported(shown(&format!(
                    "{doing} was refused: {}",
                    output.text.trim()
                ))));
            }
        }
        Ok(terminal)
    }

    async fn enable(&mut self, secret: Option<&SecretString>, deadline: Instant) -> Result<(), Cause> {
        let at = self.prompt().to_owned();
        let refused = |why: &str| Err(Cause::Enable(why.to_owned()));
        let habits = self.habits.clone();
        let Some(enable) = &habits.enable else {
            return refused(&format!("{} may not configure, and its profile names no way", quoted(&at)));
        };
        if secret.is_some_and(|secret| check(secret.expose_secret()).is_err()) {
            return refused("the secret is empty or holds a control character");
        }
        let hidden = |text: &str| match secret {
            Some(secret) => text.replace(secret.expose_secret(), "***"),
            None => text.to_owned(),
        };
        match self.converse(enable, secret, deadline).await {
            Ok(_) if self.is_privileged() => Ok(()),
            Ok(output) => refused(&shown(&hidden(output.text.trim()))),
            Err(Fault::NotSent(Cause::NoPrompt(line)) | Fault::Lost(Cause::NoPrompt(line))) => {
                Err(Cause::NoPrompt(hidden(&line)))
            }
            Err(fault) => Err(cause(fault, "enable")),
        }
    }
}

fn cause(fault: Fault, doing: &str) -> Cause {
    match fault {
        Fault::NotSent(cause) | Fault::Lost(cause) => cause,
        refused @ Fault::Rejected(_) => Cause::Unsupported(format!("{doing}: {refused}")),
    }
}

/// Finds the prompt behind whatever is said at the login: the line that an empty line brings again.
struct Finder<'h> {
    wire: Wire,
    habits: &'h TerminalHabits,
    screen: Screen,
    received: usize,
    spent: Vec<bool>,
    /// The line at which a key was pressed: once is enough.
    pressed: Option<String>,
}

impl<'h> Finder<'h> {
    fn new(wire: Wire, habits: &'h TerminalHabits) -> Self {
        let spent = vec![false; habits.questions.len()];
        let screen = Screen::below(habits.above.clone());
        Self { wire, habits, screen, received: 0, spent, pressed: None }
    }

    async fn find(&mut self) -> Result<Prompt, Cause> {
        let first = self.line_like_a_prompt().await?;
        self.press(self.habits.enter).await?;
        let mut candidate = first.clone();
        let echoes_enter = loop {
            let line = self.line_like_a_prompt().await?;
            if let Some(prompt) = doubled(&line) {
                candidate = prompt.to_owned();
                break false;
            }
            if self.screen.last_complete().is_some_and(|last| last.trim() == line) {
                break true;
            }
            candidate = line;
        };
        if candidate == first {
            return Ok(self.prompt(&candidate, echoes_enter));
        }
        // The Enter went out before the prompt was there, so how it was echoed tells nothing.
        self.screen.restart(&[]);
        self.press(self.habits.enter).await?;
        loop {
            if self.line_like_a_prompt().await? == candidate {
                return Ok(self.prompt(&candidate, !self.screen.complete().is_empty()));
            }
        }
    }

    fn prompt(&self, line: &str, echoes_enter: bool) -> Prompt {
        Prompt::new(line, self.screen.heading(), echoes_enter)
    }

    /// Reads until the last line looks like a prompt, or like one and the same once more.
    async fn line_like_a_prompt(&mut self) -> Result<String, Cause> {
        loop {
            self.read().await?;
            let Some(line) = self.screen.line() else { continue };
            let line = line.trim();
            let prompt = |line: &str| self.habits.prompt.is_match(line);
            if self.screen.is_headed() && (prompt(line) || doubled(line).is_some_and(prompt)) {
                return Ok(line.to_owned());
            }
            if line.is_empty() || self.pressed.as_deref() == Some(line) {
                continue;
            }
            self.pressed = None;
            if pages(self.habits, line) {
                self.pressed = Some(line.to_owned());
                self.press(" ").await?;
                continue;
            }
            let mut questions = self.habits.questions.iter().zip(&mut self.spent);
            let asked = questions.find(|(question, spent)| {
                !**spent && question.after.is_match("") && question.pattern.is_match(line)
            });
            if let Some((question, spent)) = asked {
                *spent = true;
                self.pressed = Some(line.to_owned());
                self.press(&format!("{}{}", question.answer, self.habits.enter)).await?;
            }
        }
    }

    async fn read(&mut self) -> Result<(), Cause> {
        let Self { wire, screen, received, .. } = self;
        wire.read(|bytes| {
            *received += bytes.len();
            screen.feed(bytes);
            screen.forget();
            if *received > MOST {
                return Err(Cause::Malformed(format!("more than {MOST} bytes came before a prompt")));
            }
            Ok(())
        })
        .await
    }

    async fn press(&mut self, keys: &str) -> Result<(), Cause> {
        self.wire.write(keys.as_bytes(), &mut 0).await
    }

    /// What it stands at, for people.
    fn last_line(&self) -> String {
        let line = self.screen.line().unwrap_or_default();
        shown(if line.trim().is_empty() { self.screen.last_complete().unwrap_or_default() } else { &line })
    }
}

/// What a line holds twice: the prompt, from a device that does not echo Enter.
fn doubled(line: &str) -> Option<&str> {
    let (one, other) = line.split_at_checked(line.len() / 2)?;
    (!one.is_empty() && one.trim() == other.trim()).then(|| one.trim())
}
