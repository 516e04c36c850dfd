//! From a shell that has just opened to a prompt that takes commands: say who we are where it asks,
//! find the prompt, leave the modes of others, become privileged, and set the terminal up.

use std::cell::RefCell;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};

use super::prompt::Prompt;
use super::screen::Screen;
use super::shell::{MOST, Output, Shell as _, check};
use super::terminal::{Terminal, pages};
use super::wire::Wire;
use crate::device::{Credential, Endpoint, TerminalHabits};
use crate::quote::quoted;
use crate::transport::ssh::Stream;
use crate::transport::{Cause, Fault, shown};

/// Whether the device refused a command that printed this.
pub type Refused<'r> = &'r (dyn Fn(&Output) -> bool + Send + Sync);

impl Terminal {
    /// Waits for the prompt, and sets up. What it asks for is told as `endpoint` has it: the user, the
    /// password, the enable secret. `refused` judges the commands of the set-up. Nothing has been changed
    /// when it fails.
    pub async fn open(
        stream: Box<dyn Stream>,
        habits: Arc<TerminalHabits>,
        endpoint: &Endpoint,
        refused: Refused<'_>,
        deadline: Instant,
    ) -> Result<Self, Cause> {
        let mut finder = Finder::new(Wire::new(stream), &habits, endpoint);
        let found = timeout_at(deadline, finder.find()).await;
        let found = found.unwrap_or_else(|_| Err(Cause::NoPrompt(finder.last_line())));
        let prompt = found.map_err(|cause| finder.explained(cause))?;
        tracing::debug!(?prompt, "found the prompt");
        let mut terminal =
            Self { wire: RefCell::new(finder.wire), prompt, echoes: false, habits: habits.clone() };
        terminal
            .leave_configuration(deadline)
            .await
            .map_err(|fault| cause(fault, "leaving a configuration mode"))?;
        if !terminal.is_privileged() {
            terminal.enable(endpoint.enable_secret.as_ref(), deadline).await?;
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
        let hidden = |text: &str| hidden(text, secret);
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

/// What a device says, without what it was told in confidence.
fn hidden(text: &str, secret: Option<&SecretString>) -> String {
    match secret.map(ExposeSecret::expose_secret) {
        Some(secret) if !secret.is_empty() => text.replace(secret, "***"),
        _ => text.to_owned(),
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
    endpoint: &'h Endpoint,
    screen: Screen,
    received: usize,
    spent: Vec<bool>,
    /// What it was told of us.
    told_user: bool,
    told_password: bool,
    /// The question whose line has not ended yet: what stands there is the echo of our answer.
    answering: Option<String>,
    /// The line at which a key was pressed: once is enough.
    pressed: Option<String>,
}

impl<'h> Finder<'h> {
    fn new(wire: Wire, habits: &'h TerminalHabits, endpoint: &'h Endpoint) -> Self {
        Self {
            wire,
            habits,
            endpoint,
            screen: Screen::below(habits.above.clone()),
            received: 0,
            spent: vec![false; habits.questions.len()],
            told_user: false,
            told_password: false,
            answering: None,
            pressed: None,
        }
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
            if self.tell(line).await? || self.is_echo(line) {
                continue;
            }
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

    /// Answers the line if it asks who logs in: each question once, for the next time it is a refusal.
    async fn tell(&mut self, line: &str) -> Result<bool, Cause> {
        let (habits, endpoint) = (self.habits, self.endpoint);
        let Some(login) = &habits.login else { return Ok(false) };
        let (told, answer) = match () {
            () if login.user.is_match(line) => (&mut self.told_user, Some(endpoint.username.as_str())),
            () if login.password.is_match(line) => (&mut self.told_password, password(endpoint)),
            () => return Ok(false),
        };
        if std::mem::replace(told, true) {
            // It may draw the line again while the answer is echoed.
            return match self.answering {
                Some(_) => Ok(true),
                None => Err(self.refused(&format!("its terminal asks {} again", quoted(line)))),
            };
        }
        let Some(answer) = answer else {
            return Err(self.refused("its terminal asks for a password, and the inventory has none"));
        };
        if check(answer).is_err() {
            return Err(self.refused("what its terminal asks for is empty or holds a control character"));
        }
        self.answering = Some(line.to_owned());
        self.screen = Screen::default();
        self.press(&format!("{answer}{}", habits.enter)).await?;
        Ok(true)
    }

    /// Whether a line is what was told, as far as it has been echoed: it may look like a prompt.
    fn is_echo(&self, line: &str) -> bool {
        let told = [Some(self.endpoint.username.as_str()), password(self.endpoint)];
        self.answering.is_some() && told.into_iter().flatten().any(|told| told.starts_with(line))
    }

    fn refused(&self, why: &str) -> Cause {
        let Endpoint { address, port, username, .. } = self.endpoint;
        let said = self.screen.last_complete().map(|line| self.shown(line.trim()));
        let said = said.filter(|said| !said.is_empty()).map(|said| format!(", and said: {said}"));
        Cause::Login {
            address: format!("{address} port {port}"),
            user: username.clone(),
            offered: format!("{why}{}{}", said.unwrap_or_default(), self.endpoint.told_credential()),
        }
    }

    /// A device that closes after it was told our password did not take it.
    fn explained(&self, cause: Cause) -> Cause {
        match cause {
            Cause::Closed(_) if self.told_password => self.refused("it closed after our password"),
            cause => cause,
        }
    }

    async fn read(&mut self) -> Result<(), Cause> {
        let Self { wire, screen, received, answering, .. } = self;
        wire.read(|bytes| {
            *received += bytes.len();
            screen.feed(bytes);
            if answering.is_some() && !screen.complete().is_empty() {
                screen.drop_first_complete();
                *answering = None;
            }
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
        let line = self.answering.clone().or_else(|| self.screen.line()).unwrap_or_default();
        let last = if line.trim().is_empty() { self.screen.last_complete() } else { Some(line.as_str()) };
        self.shown(last.unwrap_or_default())
    }

    fn shown(&self, said: &str) -> String {
        let told = match &self.endpoint.credential {
            Credential::Password(password) if self.told_password => Some(password),
            _ => None,
        };
        shown(&hidden(said, told))
    }
}

fn password(endpoint: &Endpoint) -> Option<&str> {
    match &endpoint.credential {
        Credential::Password(password) => Some(password.expose_secret()),
        Credential::Key(_) | Credential::Certificate | Credential::NotLoaded => None,
    }
}

/// What a line holds twice: the prompt, from a device that does not echo Enter.
fn doubled(line: &str) -> Option<&str> {
    let (one, other) = line.split_at_checked(line.len() / 2)?;
    (!one.is_empty() && one.trim() == other.trim()).then(|| one.trim())
}
