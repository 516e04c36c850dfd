//! Reading what a device sent, where it takes long enough to be in the way of other devices.

use tokio::task::spawn_blocking;
use tokio::time::{Instant, timeout_at};

use super::{Cause, shown};

/// What an answer of `size` bytes means. To read many ports takes time that other devices must not wait
/// for, and nobody longer than until the deadline; up to `at_once` it is read quicker than another thread
/// is woken.
pub(super) async fn meaning<T: Send + 'static>(
    size: usize,
    at_once: usize,
    read: impl FnOnce() -> Result<T, String> + Send + 'static,
    deadline: Instant,
) -> Result<T, Cause> {
    let found = if size <= at_once {
        read()
    } else {
        match timeout_at(deadline, spawn_blocking(read)).await {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => return Err(Cause::Malformed(format!("reading it failed: {error}"))),
            Err(_) => return Err(Cause::Deadline("reading what the device sent")),
        }
    };
    found.map_err(|why| Cause::Malformed(shown(&why)))
}
