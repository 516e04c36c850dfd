//! Everything a request is judged by: one immutable value, so that no request sees two
//! configurations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::{Access, Principal};
use crate::device::Inventory;
use crate::intent::{Caller, IntentError, Request};
use crate::schema::Schema;

/// Inventory, models and limits of one generation.
pub struct World {
    pub inventory: Inventory,
    /// Who may do what.
    pub access: Access,
    pub schema: Arc<Schema>,
    pub locks_dir: PathBuf,
    /// The caller's answer comes within this, the queue included.
    pub request_timeout: Duration,
    /// How long a lock that someone else holds is waited for.
    pub lock_wait: Duration,
    /// Requests that may wait for one device.
    pub queue_per_device: usize,
}

/// Why a request that was allowed when it came is not any more. Nothing was sent that changes a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withdrawn {
    #[error("the configuration was reloaded meanwhile, and {device} is not in the inventory any more")]
    Removed { device: String },
    #[error("the configuration was reloaded meanwhile, and {device} is at {endpoint} now")]
    Moved { device: String, endpoint: String },
    #[error("the configuration was reloaded meanwhile, and {device} is frozen: {reason}")]
    Frozen { device: String, reason: String },
    #[error("the configuration was reloaded meanwhile, and {who} may not call {method} on {device} any more")]
    Denied { who: Arc<Principal>, method: String, device: String },
    #[error("the configuration was reloaded meanwhile: {0}")]
    Limits(#[from] IntentError),
}

impl World {
    /// Whether a request of an earlier world may still be carried out under this one.
    pub fn still_allows(&self, request: &Request) -> Result<(), Withdrawn> {
        let name = &request.device.name;
        let device =
            self.inventory.devices.get(name).ok_or_else(|| Withdrawn::Removed { device: name.clone() })?;
        let endpoint = device.endpoint.to_string();
        if endpoint != request.device.endpoint.to_string() {
            return Err(Withdrawn::Moved { device: name.clone(), endpoint });
        }
        let Caller { principal, method, .. } = &request.caller;
        if !self.access.allows(principal, method, name) {
            let (who, method, device) = (principal.clone(), method.clone(), name.clone());
            return Err(Withdrawn::Denied { who, method, device });
        }
        let now = Request { device: device.clone(), ..request.clone() };
        if let Some(reason) = now.held_back() {
            return Err(Withdrawn::Frozen { device: name.clone(), reason: reason.to_owned() });
        }
        Ok(now.check()?)
    }
}
