//! The log, and the audit beside it.

use std::io::IsTerminal as _;

use anyhow::{Context as _, Result};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Registry, reload};

use crate::audit::{self, Sink};
use crate::config::{LogFormat, Settings};

/// Changes what the log shows while it runs.
pub struct LogHandle(reload::Handle<EnvFilter, Registry>);

impl LogHandle {
    /// Takes over the level, and whether the audit's lines are in the log, too.
    pub fn reload(&self, settings: &Settings) {
        if let Err(error) = self.0.reload(filter(settings)) {
            tracing::error!(%error, "the log stays at its level");
        }
    }
}

/// Starts the log; from here on every line of the audit is written.
pub fn start(settings: &Settings) -> Result<LogHandle> {
    audit::install(audit_sink(settings)?);
    let (filter, handle) = reload::Layer::new(filter(settings));
    let registry = tracing_subscriber::registry().with(filter);
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    match settings.log.format {
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).init(),
        // Colours are for terminals, not for files and journald.
        LogFormat::Human => registry.with(layer.with_ansi(std::io::stderr().is_terminal())).init(),
    }
    Ok(LogHandle(handle))
}

/// Opens what the audit is written to, anew: its file may have been moved away.
pub fn audit_sink(settings: &Settings) -> Result<Sink> {
    match &settings.audit_file {
        None => Ok(Sink::Stderr),
        Some(path) => Sink::open(path).with_context(|| format!("cannot open {}", path.display())),
    }
}

fn filter(settings: &Settings) -> EnvFilter {
    let level = settings.log.level.to_string().to_lowercase();
    // Where the audit's own lines go to stderr, the log does not say the same again.
    let audit = if settings.audit_file.is_none() { "off" } else { level.as_str() };
    // The SSH library's own lines are for its developers.
    EnvFilter::new(format!("{level},russh=warn,{}={audit}", audit::TARGET))
}

/// What inventories say without effect.
pub fn remarks(settings: &Settings) {
    for remark in &settings.inventory.remarks {
        tracing::warn!(remark, "without effect in the inventory");
    }
}
