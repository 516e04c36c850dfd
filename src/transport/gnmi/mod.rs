//! gNMI over HTTP/2, with TLS of our own (specification 0.10).
//!
//! From the outside in: `session` knows which calls make up which flight; `call` makes one call and
//! tells what its status means; `channel` is the connection, `heard` what a peer says that is no target.
//! Pure: `data` (what notifications say), `document` (the same of a model of the vendor's own), `request` (a
//! payload as a SetRequest).

mod call;
mod channel;
mod data;
mod document;
mod heard;
mod request;
mod session;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::device::{Device, GnmiHabits};
use crate::transport::{Connector, Fault, Session};

pub use session::GnmiSession;

/// Opens gNMI sessions to one device.
pub struct GnmiConnector {
    device: Arc<Device>,
    habits: Arc<GnmiHabits>,
}

impl GnmiConnector {
    pub fn new(device: Arc<Device>, habits: Arc<GnmiHabits>) -> Self {
        Self { device, habits }
    }
}

#[async_trait]
impl Connector for GnmiConnector {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        let session = GnmiSession::open(&self.device, self.habits.clone(), deadline).await?;
        tracing::debug!(device = %self.device.name, via = %session.describe(), "session opened");
        Ok(Box::new(session))
    }
}
