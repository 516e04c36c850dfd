//! A command line over SSH, as the profile describes it.
//!
//! `session` turns the flights of [`crate::transport::Session`] into commands; `flight` makes one of
//! several where that goes; `rows` beside it turns what they print into a slice.
//! Below them, `shell` is what runs one command at a time and takes all that it prints: on a channel of
//! its own (`exec`), or typed at a prompt (`terminal`, after its `login`). Below the latter: `wire`
//! reads and writes, `screen` turns bytes into lines, `echo` and `prompt` tell where an answer begins
//! and ends.

mod echo;
mod exec;
mod flight;
mod login;
mod prompt;
mod screen;
mod session;
mod shell;
mod terminal;
mod wire;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::device::cli::ShellHabits;
use crate::device::{CliHabits, Device, TerminalHabits};
use crate::transport::ssh::{self, Stream};
use crate::transport::{Connector, Fault, Session};
pub use exec::ExecShell;
use session::CliSession;
pub(crate) use session::{refusal, unexpected};
pub use shell::{Output, Shell};
pub use terminal::Terminal;

/// Opens sessions on one device's command line.
pub struct CliConnector {
    device: Arc<Device>,
    habits: Arc<CliHabits>,
}

impl CliConnector {
    pub fn new(device: Arc<Device>, habits: Arc<CliHabits>) -> Self {
        Self { device, habits }
    }

    /// A session on a terminal whose bytes are the stream's. Every fault is [`Fault::NotSent`].
    pub async fn over(
        &self,
        stream: Box<dyn Stream>,
        habits: &Arc<TerminalHabits>,
        deadline: Instant,
    ) -> Result<Box<dyn Session>, Fault> {
        let endpoint = self.device.endpoint.of_cli();
        let refused = |output: &Output| refusal(&self.habits, "", output).is_some();
        let terminal = Terminal::open(stream, habits.clone(), &endpoint, &refused, deadline).await;
        Ok(self.session(terminal.map_err(Fault::NotSent)?))
    }

    fn session(&self, shell: impl Shell + 'static) -> Box<dyn Session> {
        Box::new(CliSession::over(Box::new(shell), self.device.clone(), self.habits.clone()))
    }
}

#[async_trait]
impl Connector for CliConnector {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        let Device { endpoint, profile, .. } = &*self.device;
        let endpoint = &endpoint.of_cli();
        let connection = ssh::connect(endpoint, &profile.ssh, deadline).await.map_err(Fault::NotSent)?;
        match &self.habits.shell {
            ShellHabits::Exec => Ok(self.session(ExecShell::over(connection))),
            ShellHabits::Terminal(habits) => {
                let stream = connection.shell(habits.width, Terminal::HEIGHT, deadline).await;
                self.over(stream.map_err(Fault::NotSent)?, habits, deadline).await
            }
        }
    }
}
