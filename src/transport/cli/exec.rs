//! Each command on a channel of its own, as `ssh switch COMMAND` would.

use async_trait::async_trait;
use tokio::time::Instant;

use super::shell::{MOST, Output, Shell, check};
use crate::transport::ssh::Connection;
use crate::transport::{Cause, Fault};

/// Runs commands one after the other on one connection.
pub struct ExecShell {
    /// None: it is closed, for the reason in `closed`.
    connection: Option<Connection>,
    closed: Cause,
    /// A command began and did not come to its end: its caller went away in between.
    running: bool,
}

impl ExecShell {
    /// Nothing is sent before the first command.
    pub fn over(connection: Connection) -> Self {
        let closed = Cause::Closed("the device closed it".to_owned());
        Self { connection: Some(connection), closed, running: false }
    }
}

#[async_trait]
impl Shell for ExecShell {
    async fn run(&mut self, command: &str, deadline: Instant) -> Result<Output, Fault> {
        check(command)?;
        if !self.is_open() {
            self.connection = None;
            return Err(Fault::NotSent(self.closed.clone()));
        }
        let Some(connection) = &self.connection else { return Err(Fault::NotSent(self.closed.clone())) };
        if Instant::now() >= deadline {
            return Err(Fault::NotSent(Cause::Deadline("running a command")));
        }
        tracing::debug!(command, "running");
        self.running = true;
        let executed = connection.exec(command, MOST, deadline).await;
        self.running = false;
        match executed {
            Ok(executed) => {
                let (text, text_garbled) = decoded(executed.stdout);
                let (errors, errors_garbled) = decoded(executed.stderr);
                tracing::debug!(text, errors, status = executed.status, "ran");
                let garbled = text_garbled || errors_garbled;
                Ok(Output { text, errors, status: executed.status, garbled })
            }
            Err(fault) => {
                // The command may still run: end it with its connection.
                self.connection = None;
                if let Fault::NotSent(cause) | Fault::Lost(cause) = &fault {
                    self.closed = cause.clone();
                }
                Err(fault)
            }
        }
    }

    fn is_open(&self) -> bool {
        !self.running && self.connection.as_ref().is_some_and(Connection::is_open)
    }

    async fn close(&mut self) {
        self.connection = None;
        self.closed = Cause::Closed("we closed it".to_owned());
    }
}

/// The text, and whether it held bytes that are no UTF-8.
fn decoded(bytes: Vec<u8>) -> (String, bool) {
    match String::from_utf8(bytes) {
        Ok(text) => (text, false),
        Err(error) => (String::from_utf8_lossy(error.as_bytes()).into_owned(), true),
    }
}
