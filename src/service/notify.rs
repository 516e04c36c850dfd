//! What systemd wants to know (`sd_notify`(3)); without it nobody is told anything.

use sd_notify::NotifyState;

/// Tells the service manager, if there is one.
pub fn tell(states: &[NotifyState]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager was not told");
    }
}

/// Says that a reload begins; `Type=notify-reload` wants to know when, too.
pub fn tell_reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => tracing::warn!(%error, "the service manager was not told: no clock"),
    }
}

/// Twice as often as the manager asks, from the runtime that all work runs on: it stops when that does.
pub fn keep_watchdog_calm() {
    let Some(interval) = sd_notify::watchdog_enabled() else { return };
    tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval / 2);
        loop {
            ticks.tick().await;
            tell(&[NotifyState::Watchdog]);
        }
    });
}
