//! Everything a request is judged by: one immutable value, so that no request sees two
//! configurations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::Access;
use crate::device::Inventory;
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
