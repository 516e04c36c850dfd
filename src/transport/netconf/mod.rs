//! NETCONF over SSH (RFC 6241, RFC 6242).
//!
//! From the outside in: `link` exchanges hellos and carries flights of rpcs over any byte stream;
//! `session` knows which rpcs make up which flight. Below them, pure: `framing` (bytes to
//! messages), `native` (a vendor's own model as documents), `message` (what servers say, read by `xml`), `rpc` (what we say), `promises` (what
//! a hello means).

mod framing;
mod link;
mod message;
mod native;
mod promises;
mod rpc;
mod session;
mod xml;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::device::{Device, NetconfHabits};
use crate::transport::{Connector, Fault, Session, ssh};

pub(crate) use native::told;
pub use session::NetconfSession;

/// Opens NETCONF sessions to one device.
pub struct NetconfConnector {
    device: Arc<Device>,
    habits: NetconfHabits,
}

impl NetconfConnector {
    pub fn new(device: Arc<Device>, habits: NetconfHabits) -> Self {
        Self { device, habits }
    }
}

#[async_trait]
impl Connector for NetconfConnector {
    async fn open(&self, deadline: Instant) -> Result<Box<dyn Session>, Fault> {
        let Device { endpoint, profile, .. } = &*self.device;
        let connection = ssh::connect(endpoint, &profile.ssh, deadline).await.map_err(Fault::NotSent)?;
        let stream = connection.subsystem("netconf", deadline).await.map_err(Fault::NotSent)?;
        let session = NetconfSession::over(stream, &self.habits, deadline).await?.for_profile(profile);
        tracing::debug!(device = %self.device.name, session_id = session.session_id(), via = %session.describe(), "session opened");
        Ok(Box::new(session))
    }
}
