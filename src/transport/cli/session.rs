//! Which commands make up which flight (see [`Session`]).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use minijinja::{Value, context};
use tokio::time::{Instant, timeout_at};

use super::flight;
use super::shell::{Output, Shell};
use crate::device::cli::{ShellHabits, TimerHabits};
use crate::device::language::{Expression, ReadRule};
use crate::device::{CliHabits, Device};
use crate::render::Payload;
use crate::slice::Slice;
use crate::transport::rows::{Rows, Wanted};
use crate::transport::{
    Cause, Commit, Committed, DeviceError, Fault, Observed, Promises, ReadSet, Session, Store, Timed, shown,
};

/// Longest command, in bytes, that several lines are joined to.
const LONGEST: usize = 32 << 10;
/// Lines of what one command said that are told to people.
const MOST_SAID: usize = 8;

/// A session on a command line.
pub struct CliSession {
    shell: Box<dyn Shell>,
    device: Arc<Device>,
    habits: Arc<CliHabits>,
    promises: Promises,
    /// Lines that wait for the commit, where there is no candidate.
    held: Option<String>,
    /// The change whose candidate we are in.
    staged: Option<String>,
    /// What was said to lines of a change that were taken.
    said: Vec<String>,
}

impl CliSession {
    /// `shell` is logged in and at rest.
    pub fn over(shell: Box<dyn Shell>, device: Arc<Device>, habits: Arc<CliHabits>) -> Self {
        let staging = habits.staging.as_ref();
        let promises = Promises {
            candidate: staging.is_some(),
            timed: staging.and_then(|staging| staging.timer.as_ref()).map_or(Timed::None, |timer| timer.kind),
            atomic: staging.is_some(),
            // What keeps others out begins with the edit: until then they may change what was read.
            locks: false,
            startup: !habits.save.is_empty(),
            reads_startup: false,
            keeps: true,
        };
        Self { shell, device, habits, promises, held: None, staged: None, said: Vec::new() }
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
        let (rules, commands): (Vec<_>, Vec<_>) =
            wanted.commands(&habits.language).map_err(|why| not_sent(&why))?.into_iter().unzip();
        // Within a candidate some systems show what is in it, and not what runs.
        self.shell.leave_configuration(deadline).await?;
        let (texts, ended) = self.flight(&commands, deadline).await;
        ended?;
        self.understood(&wanted, reads, rules.into_iter().zip(&commands).zip(&texts))
    }

    /// What ports report of themselves; nothing where the profile does not say how they are asked.
    async fn reported(&mut self, state: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        let wanted = Wanted::of(&state.paths);
        let habits = self.habits.clone();
        let (rules, commands): (Vec<_>, Vec<_>) =
            wanted.state_commands(&habits.language).map_err(|why| not_sent(&why))?.into_iter().unzip();
        let (texts, ended) = self.flight(&commands, deadline).await;
        ended?;
        let mut rows = Rows::default();
        for ((rule, command), text) in rules.into_iter().zip(&commands).zip(&texts) {
            rows.read(rule, text).map_err(|why| unreadable(command, &why))?;
        }
        let slice = rows.reported(&wanted, &self.device.profile, &habits.language);
        slice.map_err(|why| unreadable("what ports report", &why))
    }

    /// What was printed, as a slice.
    fn understood<'t>(
        &self,
        wanted: &Wanted,
        reads: &ReadSet,
        printed: impl Iterator<Item = ((&'t ReadRule, &'t String), &'t String)>,
    ) -> Result<Slice, Fault> {
        if self.habits.not_read.is_some() {
            return Ok(Slice::default());
        }
        let mut rows = Rows::default();
        for ((rule, command), text) in printed {
            rows.read(rule, text).map_err(|why| unreadable(command, &why))?;
        }
        let slice = rows.meaning(wanted, &self.device.profile, &self.habits.language);
        let slice = slice.map_err(|why| unreadable("what it shows", &why))?;
        Ok(slice.within(&reads.paths))
    }

    /// Commands in order, up to the first that fails: what each printed that succeeded. They go out as
    /// one where the device can run them so.
    async fn flight(&mut self, commands: &[String], deadline: Instant) -> (Vec<String>, Result<(), Fault>) {
        let habits = self.habits.clone();
        let mut texts = Vec::new();
        let Some(together) = habits.together.as_ref().filter(|_| commands.len() > 1) else {
            for command in commands {
                match self.command(command, deadline).await {
                    Ok(output) => texts.push(output.text),
                    Err(fault) => return (texts, Err(fault)),
                }
            }
            return (texts, Ok(()));
        };
        let patience =
            habits.command_timeout.saturating_mul(u32::try_from(commands.len()).unwrap_or(u32::MAX));
        let command = flight::as_one(commands, together);
        let output = match self.shell.run(&command, deadline.min(Instant::now() + patience)).await {
            Ok(output) => output,
            Err(fault) => return (texts, Err(fault)),
        };
        let refused = refusal(&habits, &command, &output);
        texts = flight::apart(&output, together, refused.is_some());
        let ended = match refused {
            Some(error) => {
                let path = commands.get(texts.len()).cloned();
                Err(Fault::Rejected(vec![DeviceError { path, ..error }]))
            }
            None if texts.len() == commands.len() => Ok(()),
            None => {
                texts.clear();
                Err(unreadable(&command, "what its commands printed cannot be told apart"))
            }
        };
        (texts, ended)
    }

    /// `[send, read back]`: the reads stand behind the last of the commands that change something.
    async fn send_and_look(&mut self, reads: &ReadSet, deadline: Instant) -> Committed {
        let alike = |fault: Fault| Committed { commit: Err(fault.clone()), running: Err(fault) };
        let wanted = Wanted::of(&reads.paths);
        let habits = self.habits.clone();
        let look = wanted.commands(&habits.language).map_err(|why| not_sent(&why));
        let lines = self.held.take().ok_or_else(|| not_sent("nothing is staged"));
        let ((rules, looks), lines) = match (look, lines) {
            (Ok(look), Ok(lines)) => (look.into_iter().unzip::<_, _, Vec<_>, Vec<_>>(), lines),
            (Err(fault), _) | (_, Err(fault)) => return alike(fault),
        };
        let mut commands = joined(&lines, &habits);
        let last = commands.pop();
        let sent = commands.len();
        let mut commit = self.in_order(commands, deadline).await;
        if commit.is_ok() {
            let flight: Vec<String> = last.iter().chain(&looks).cloned().collect();
            let (texts, ended) = self.flight(&flight, deadline).await;
            if !texts.is_empty() || ended.is_ok() {
                let (first, printed) = texts.split_at(texts.len().min(usize::from(last.is_some())));
                self.said.extend(first.iter().filter_map(|text| told("", text)));
                let printed = rules.into_iter().zip(&looks).zip(printed);
                let running = ended.and_then(|()| self.understood(&wanted, reads, printed));
                return Committed { commit: Ok(()), running };
            }
            commit = ended.map_err(|fault| match fault {
                Fault::NotSent(cause) if sent > 0 => Fault::Lost(cause),
                fault => fault,
            });
        }
        let running = match &commit {
            Err(fault @ (Fault::Lost(_) | Fault::NotSent(_))) => Err(fault.clone()),
            _ => self.look(reads, deadline).await,
        };
        Committed { commit, running }
    }

    /// Runs commands of the profile.
    async fn commands(
        &mut self,
        commands: &[Expression],
        of: &Value,
        deadline: Instant,
    ) -> Result<(), Fault> {
        let text = |command: &Expression| command.fact(of).map_err(|error| not_sent(&error.to_string()));
        let commands: Result<Vec<Option<String>>, Fault> = commands.iter().map(text).collect();
        self.in_order(commands?.into_iter().flatten(), deadline).await
    }

    /// Gives lines where lines are taken.
    async fn lines(&mut self, lines: &str, deadline: Instant) -> Result<(), Fault> {
        let (lines, is_strict) = (joined(lines, &self.habits), self.habits.not_read.is_some());
        self.each(lines, is_strict, deadline).await
    }

    /// Several commands, up to the first that fails. Not sent is only a flight of which nothing was.
    async fn in_order(
        &mut self,
        commands: impl IntoIterator<Item = String> + Send,
        deadline: Instant,
    ) -> Result<(), Fault> {
        self.each(commands.into_iter().collect(), false, deadline).await
    }

    /// The same; strictly, what a command says that is not known is a refusal.
    async fn each(&mut self, commands: Vec<String>, is_strict: bool, deadline: Instant) -> Result<(), Fault> {
        for (n, command) in commands.iter().enumerate() {
            match self.command(command, deadline).await {
                Ok(output) => match unexpected(&self.habits, command, &output).filter(|_| is_strict) {
                    Some(error) => return Err(Fault::Rejected(vec![error])),
                    None => self.said.extend(told(&output.errors, &output.text)),
                },
                Err(Fault::NotSent(cause)) if n > 0 => return Err(Fault::Lost(cause)),
                Err(fault) => return Err(fault),
            }
        }
        Ok(())
    }

    /// Gives lines that take effect at once. Whatever becomes of them, configuration mode is left.
    async fn send(&mut self, deadline: Instant) -> Result<(), Fault> {
        let lines = self.held.take().ok_or_else(|| not_sent("nothing is staged"))?;
        self.shell.enter_configuration(deadline).await?;
        let mut sent = self.lines(&lines, deadline).await;
        if sent.is_ok() && self.habits.not_read.is_some() {
            sent = self.leave_unread(deadline).await;
        }
        self.leave(deadline).await;
        sent
    }

    /// The last that a system says of its lines is what it says when configuration mode is left.
    async fn leave_unread(&mut self, deadline: Instant) -> Result<(), Fault> {
        let habits = self.habits.clone();
        let left = match (self.shell.leave_configuration(deadline).await, &habits.shell) {
            (Ok(output), ShellHabits::Terminal(terminal)) => {
                let command = terminal.leave.as_deref().unwrap_or_default();
                refusal(&habits, command, &output).or_else(|| unexpected(&habits, command, &output))
            }
            (Ok(_), ShellHabits::Exec) => None,
            // The lines were.
            (Err(Fault::NotSent(cause)), _) => return Err(Fault::Lost(cause)),
            (Err(fault), _) => return Err(fault),
        };
        left.map_or(Ok(()), |error| Err(Fault::Rejected(vec![error])))
    }

    /// A shell that does not come back from configuration mode is of no more use.
    async fn leave(&mut self, deadline: Instant) {
        if self.shell.is_open()
            && let Err(fault) = self.shell.leave_configuration(deadline).await
        {
            tracing::warn!(device = self.device.name, %fault, "configuration mode not left; closing the session");
            self.shell.close().await;
        }
    }

    /// Enters the candidate of a change.
    async fn enter(&mut self, id: &str, deadline: Instant) -> Result<(), Fault> {
        let habits = self.habits.clone();
        let Some(staging) = &habits.staging else { return Err(not_sent("the device has no candidate")) };
        // What is refused may have been entered.
        self.staged = Some(id.to_owned());
        self.commands(&staging.enter, &context! { id }, deadline).await
    }

    /// Makes the candidate run. With a candidate that nobody staged, nothing is committed but what
    /// pending commit there is.
    async fn commit_staged(&mut self, how: &Commit, deadline: Instant) -> Result<(), Fault> {
        let habits = self.habits.clone();
        let Some(staging) = &habits.staging else { return Err(not_sent("the device has no candidate")) };
        let (commands, time) = match (how, &staging.timer) {
            (Commit::Plain, _) => (&staging.commit, Duration::ZERO),
            (Commit::Timed { timeout, .. }, Some(timer)) => (&timer.commit, *timeout),
            (Commit::Timed { .. }, None) => return Err(not_sent("the device has no commit timer")),
        };
        if self.staged.is_none() {
            self.enter("mercury", deadline).await?;
        }
        let id = self.staged.clone().unwrap_or_default();
        let committed = self.commands(commands, &timing(&id, time), deadline).await;
        match &committed {
            Ok(()) => {
                self.staged = None;
                self.leave(deadline).await;
            }
            // What runs can be read only outside of what was refused.
            Err(Fault::Rejected(_)) => {
                if let Err(fault) = self.release(true, deadline).await {
                    tracing::warn!(device = self.device.name, %fault, "a refused candidate not thrown away");
                }
            }
            Err(_) => {}
        }
        committed
    }

    /// Commands about a commit that is pending.
    async fn about_pending(
        &mut self,
        id: &str,
        pick: fn(&TimerHabits) -> &[Expression],
        deadline: Instant,
    ) -> Result<(), Fault> {
        let habits = self.habits.clone();
        let timer = habits.staging.as_ref().and_then(|staging| staging.timer.as_ref());
        let Some(timer) = timer else { return Err(not_sent("the device has no commit timer")) };
        let done = self.commands(pick(timer), &context! { id }, deadline).await;
        self.leave(deadline).await;
        done
    }
}

/// What the commands of a timed commit are made of.
fn timing(id: &str, time: Duration) -> Value {
    let seconds = time.as_secs();
    let minutes = seconds.div_ceil(60);
    let clock = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    context! { id, seconds, minutes, clock }
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
        let shell = match self.habits.shell {
            ShellHabits::Exec => "command by command",
            ShellHabits::Terminal(_) => "terminal",
        };
        let store = if self.promises.candidate { "candidate" } else { "running" };
        let confirm = match self.promises.timed {
            Timed::None => "no commit timer",
            Timed::SessionBound => "confirm by this session",
            Timed::AnyCommit => "confirm by any commit",
            Timed::Persist => "confirm by name",
        };
        format!("cli ({shell}, {store}, {confirm})")
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
        state: &ReadSet,
        deadline: Instant,
    ) -> Result<Observed, Fault> {
        let running = self.look(running, deadline).await?;
        Ok(Observed { running, state: self.reported(state, deadline).await })
    }

    async fn begin(&mut self, reads: &ReadSet, deadline: Instant) -> Result<Slice, Fault> {
        self.look(reads, deadline).await
    }

    async fn stage(&mut self, payload: &Payload, id: &str, deadline: Instant) -> Result<(), Fault> {
        let Payload::Cli(lines) = payload else {
            return Err(not_sent("the payload is for another transport"));
        };
        self.said.clear();
        if !self.promises.candidate {
            self.held = Some(lines.clone());
            return Ok(());
        }
        self.enter(id, deadline).await?;
        self.lines(lines, deadline).await
    }

    async fn commit(&mut self, how: &Commit, reads: &ReadSet, deadline: Instant) -> Committed {
        if self.habits.together.is_some() && !self.promises.candidate && *how == Commit::Plain {
            return self.send_and_look(reads, deadline).await;
        }
        let commit = match how {
            how if self.promises.candidate => self.commit_staged(how, deadline).await,
            Commit::Plain => self.send(deadline).await,
            Commit::Timed { .. } => Err(not_sent("the device has no commit timer")),
        };
        let running = match &commit {
            Err(fault @ (Fault::Lost(_) | Fault::NotSent(_))) => Err(fault.clone()),
            _ => self.look(reads, deadline).await,
        };
        Committed { commit, running }
    }

    fn said(&mut self) -> String {
        shown(&std::mem::take(&mut self.said).join("; "))
    }

    async fn confirm(&mut self, id: &str, _: bool, deadline: Instant) -> Result<(), Fault> {
        self.about_pending(id, |timer| &timer.confirm, deadline).await
    }

    async fn cancel(&mut self, id: &str, deadline: Instant) -> Result<(), Fault> {
        self.about_pending(id, |timer| &timer.cancel, deadline).await
    }

    async fn save(&mut self, deadline: Instant) -> Result<(), Fault> {
        self.in_order(self.habits.save.clone(), deadline).await
    }

    async fn release(&mut self, discard_ours: bool, deadline: Instant) -> Result<(), Fault> {
        self.held = None;
        let habits = self.habits.clone();
        if let (Some(staging), Some(id), true) = (&habits.staging, self.staged.take(), discard_ours) {
            let discarded = self.commands(&staging.discard, &context! { id }, deadline).await;
            if let Err(fault) = discarded {
                // With the session goes what it has staged.
                self.shell.close().await;
                return Err(fault);
            }
        }
        self.leave(deadline).await;
        Ok(())
    }

    async fn close(&mut self) {
        // A device that does not let go is not waited for.
        timeout_at(Instant::now() + Duration::from_secs(1), self.shell.close()).await.ok();
    }
}

/// Why a command was refused: a status, or a line that the profile knows as a refusal.
pub(crate) fn refusal(habits: &CliHabits, command: &str, output: &Output) -> Option<DeviceError> {
    let lines = output.errors.lines().chain(output.text.lines());
    let said: Vec<&str> = lines.filter(|line| !line.trim().is_empty()).collect();
    let is_refusal = |line: &&str| habits.refusals.iter().any(|refusal| refusal.is_match(line));
    let refused: Vec<&str> = said.iter().copied().filter(is_refusal).collect();
    let failed = output.status.is_some_and(|status| status != 0);
    if refused.is_empty() && !failed {
        return None;
    }
    // What stands beside the line that says no is often why.
    let told = if refused.is_empty() || said.len() <= MOST_SAID { &said } else { &refused };
    let message = told.iter().map(|line| line.trim()).collect::<Vec<_>>().join("; ");
    let app_tag = output.status.filter(|status| *status != 0).map(|status| format!("exit status {status}"));
    Some(DeviceError { app_tag, ..failed_operation(command, message) })
}

/// Why a line was not taken by a system that cannot be asked: it said something that nobody knows.
pub(crate) fn unexpected(habits: &CliHabits, line: &str, output: &Output) -> Option<DeviceError> {
    let not_read = habits.not_read.as_ref()?;
    let is_known = |said: &&str| not_read.taken.iter().any(|taken| taken.is_match(said));
    let said = output.errors.lines().chain(output.text.lines()).filter(|said| !said.trim().is_empty());
    let unknown: Vec<&str> = said.filter(|said| !is_known(said)).take(MOST_SAID).collect();
    (!unknown.is_empty()).then(|| failed_operation(line, unknown.join("; ")))
}

fn failed_operation(command: &str, message: String) -> DeviceError {
    DeviceError {
        error_type: "application".to_owned(),
        tag: "operation-failed".to_owned(),
        severity: "error".to_owned(),
        app_tag: None,
        path: Some(command.to_owned()),
        message: Some(message).filter(|message| !message.is_empty()),
        info: None,
    }
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

/// What was printed by a command that was taken, in one line.
fn told(errors: &str, text: &str) -> Option<String> {
    let lines = errors.lines().chain(text.lines()).map(str::trim).filter(|line| !line.is_empty());
    let said = lines.take(MOST_SAID).collect::<Vec<_>>().join("; ");
    (!said.is_empty()).then(|| shown(&said))
}

fn unreadable(command: &str, why: &str) -> Fault {
    Fault::Lost(Cause::Malformed(shown(&format!("{command}: {why}"))))
}

fn not_sent(why: &str) -> Fault {
    Fault::NotSent(Cause::Unsupported(why.to_owned()))
}
