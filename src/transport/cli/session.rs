//! Which commands make up which flight (see [`Session`]).

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::{Instant, timeout_at};

use super::read::{Rows, Wanted};
use super::shell::{Output, Shell};
use crate::device::{CliHabits, Device};
use crate::render::Payload;
use crate::slice::Slice;
use crate::transport::{
    Cause, Commit, Committed, DeviceError, Fault, Observed, Promises, ReadSet, Session, Store, Timed, shown,
};

/// Longest command, in bytes, that several lines are joined to.
const LONGEST: usize = 32 << 10;

/// A session on a command line.
pub struct CliSession {
    shell: Box<dyn Shell>,
    device: Arc<Device>,
    habits: Arc<CliHabits>,
    promises: Promises,
    /// Lines that wait for the commit.
    held: Option<String>,
}

impl CliSession {
    /// `shell` is logged in and at rest.
    pub fn over(shell: Box<dyn Shell>, device: Arc<Device>, habits: Arc<CliHabits>) -> Self {
        let promises = Promises {
            candidate: false,
            timed: Timed::None,
            atomic: false,
            locks: false,
            startup: !habits.save.is_empty(),
        };
        Self { shell, device, habits, promises, held: None }
    }

    /// Runs one command that must succeed. A refusal is the device's own words.
    async fn command(&mut self, command: &str, deadline: Instant) -> Result<Output, Fault> {
        let until = deadline.min(Instant::now() + self.habits.command_timeout);
        let output = self.shell.run(command, until).await?;
        match refusal(&self.habits, command, &output) {
            None => Ok(output),
            Some(error) => Err(Fault::Rejected(vec![error])),
        }
    }

    async fn look(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        let wanted = Wanted::of(&reads.paths);
        let habits = self.habits.clone();
        let commands = wanted.commands(&habits).map_err(|why| not_sent(&why))?;
        let mut rows = Rows::default();
        for (rule, command) in commands {
            let output = self.command(&command, deadline).await?;
            rows.read(rule, &output.text).map_err(|why| unreadable(&command, &why))?;
        }
        let slice = rows.meaning(&wanted, &self.device.profile, &habits);
        let slice = slice.map_err(|why| unreadable("what it shows", &why))?;
        Ok(slice.within(&reads.paths))
    }

    async fn send(&mut self, deadline: Instant) -> Result<(), Fault> {
        let lines = self.held.take().ok_or_else(|| not_sent("nothing is staged"))?;
        for command in joined(&lines, &self.habits) {
            self.command(&command, deadline).await?;
        }
        Ok(())
    }
}

#[async_trait]
impl Session for CliSession {
    fn promises(&self) -> &Promises {
        &self.promises
    }

    fn is_open(&self) -> bool {
        self.shell.is_open()
    }

    fn describe(&self) -> String {
        "cli (ssh exec, no commit timer)".to_owned()
    }

    async fn read(&mut self, store: Store, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        match store {
            Store::Running => self.look(reads, deadline).await,
            Store::Startup => Err(not_sent("what is saved cannot be read on a command line")),
        }
    }

    async fn observe(
        &mut self,
        running: &ReadSet,
        _: &ReadSet,
        deadline: Instant,
    ) -> Result<Observed, Fault> {
        let running = self.look(running, deadline).await?;
        Ok(Observed { running, state: Err(not_sent("the profile does not say how state is read")) })
    }

    async fn begin(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        self.look(reads, deadline).await
    }

    async fn stage(&mut self, payload: &Payload, _: Instant) -> Result<(), Fault> {
        let Payload::Cli(lines) = payload else {
            return Err(not_sent("the payload is for another transport"));
        };
        self.held = Some(lines.clone());
        Ok(())
    }

    async fn commit(&mut self, how: &Commit, reads: &ReadSet, deadline: Instant) -> Committed {
        let commit = match how {
            Commit::Plain => self.send(deadline).await,
            Commit::Timed { .. } => Err(not_sent("the device has no commit timer")),
        };
        let running = match &commit {
            Err(fault @ (Fault::Lost(_) | Fault::NotSent(_))) => Err(fault.clone()),
            _ => self.look(reads, deadline).await,
        };
        Committed { commit, running }
    }

    async fn confirm(&mut self, _: &str, _: bool, _: Instant) -> Result<(), Fault> {
        Err(not_sent("the device has no commit timer"))
    }

    async fn cancel(&mut self, _: &str, _: Instant) -> Result<(), Fault> {
        Err(not_sent("the device cannot cancel a commit"))
    }

    async fn save(&mut self, deadline: Instant) -> Result<(), Fault> {
        for command in self.habits.clone().save.iter() {
            self.command(command, deadline).await?;
        }
        Ok(())
    }

    async fn release(&mut self, _: bool, _: Instant) -> Result<(), Fault> {
        self.held = None;
        Ok(())
    }

    async fn close(&mut self) {
        // A device that does not let go is not waited for.
        timeout_at(Instant::now() + std::time::Duration::from_secs(1), self.shell.close()).await.ok();
    }
}

/// Why a command was refused: a status, or a line that the profile knows as a refusal.
fn refusal(habits: &CliHabits, command: &str, output: &Output) -> Option<DeviceError> {
    let said = || output.errors.lines().chain(output.text.lines());
    let refused: Vec<&str> =
        said().filter(|line| habits.refusals.iter().any(|refusal| refusal.is_match(line))).collect();
    let failed = output.status.is_some_and(|status| status != 0);
    if refused.is_empty() && !failed {
        return None;
    }
    let message = match refused.is_empty() {
        true => said().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("; "),
        false => refused.join("; "),
    };
    Some(DeviceError {
        error_type: "application".to_owned(),
        tag: "operation-failed".to_owned(),
        severity: "error".to_owned(),
        app_tag: output.status.filter(|status| *status != 0).map(|status| format!("exit status {status}")),
        path: Some(command.to_owned()),
        message: Some(message).filter(|message| !message.is_empty()),
        info: None,
    })
}

/// The commands that the lines become: neighbours that begin with a word that joins go out as one.
fn joined(lines: &str, habits: &CliHabits) -> Vec<String> {
    let mut commands: Vec<String> = Vec::new();
    let mut last = None;
    for line in lines.lines() {
        let word = line.split(' ').next().filter(|word| habits.joined.iter().any(|joined| joined == word));
        match (commands.last_mut(), word) {
            (Some(command), Some(word)) if last == Some(word) && command.len() + line.len() < LONGEST => {
                command.push_str(" --");
                command.push_str(&line[word.len()..]);
            }
            _ => commands.push(line.to_owned()),
        }
        last = word;
    }
    let Some(chain) = &habits.chain else { return commands };
    let mut chained: Vec<String> = Vec::new();
    for command in commands {
        match chained.last_mut() {
            Some(last) if last.len() + command.len() < LONGEST => {
                last.push_str(chain);
                last.push_str(&command);
            }
            _ => chained.push(command),
        }
    }
    chained
}

fn unreadable(command: &str, why: &str) -> Fault {
    Fault::Lost(Cause::Malformed(shown(&format!("{command}: {why}"))))
}

fn not_sent(why: &str) -> Fault {
    Fault::NotSent(Cause::Unsupported(why.to_owned()))
}
