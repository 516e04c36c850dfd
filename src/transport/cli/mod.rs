//! A command line over SSH, as the profile describes it.
//!
//! `session` turns the flights of [`crate::transport::Session`] into commands; `read` turns what they
//! print into a slice. Below them, `shell` is what runs one command at a time and takes all that it
//! prints: on a channel of its own (`exec`).

mod exec;
mod read;
mod session;
mod shell;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::device::{CliHabits, Device};
use crate::transport::{Connector, Fault, Session, ssh};
pub use exec::ExecShell;
use session::CliSession;
pub use shell::{Output, Shell};

/// Opens sessions on one device's command line.
pub struct CliConnector {
    device: Arc<Device>,
    habits: Arc<CliHabits>,
}

impl CliConnector {
    pub fn new(device: Arc<Device>, habits: Arc<CliHabits>) -> Self {
        Self { device, habits }
    }
}

#[async_trait]
impl Connector for CliConnector {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        let Device { endpoint, profile, .. } = &*self.device;
        let connection = ssh::connect(endpoint, &profile.ssh, deadline).await.map_err(Fault::NotSent)?;
        let shell = Box::new(ExecShell::over(connection));
        Ok(Box::new(CliSession::over(shell, self.device.clone(), self.habits.clone())))
    }
}
