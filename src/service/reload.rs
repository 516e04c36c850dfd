//! SIGHUP: the configuration is read again, and taken over whole or not at all.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sd_notify::NotifyState;

use super::log::{self, LogHandle};
use super::notify;
use crate::audit::Sink;
use crate::config::{self, Listen, LogFormat, Settings};
use crate::engine::Engine;
use crate::metrics;
use crate::rpc::Authenticator;
use crate::schema::Schema;
use crate::world::World;

/// A configuration without mistakes, and the models it names.
pub struct Loaded {
    pub settings: Settings,
    schema: Arc<Schema>,
}

/// Reads the YANG modules.
pub fn load_models(settings: Settings) -> Result<Loaded> {
    let schema = match &settings.schema_dir {
        Some(dir) => Schema::from_dir(dir)?,
        None => Schema::builtin()?,
    };
    Ok(Loaded { settings, schema })
}

impl Loaded {
    pub fn into_world(self) -> World {
        let limits = self.settings.limits;
        World {
            inventory: self.settings.inventory,
            access: self.settings.access,
            schema: self.schema,
            locks_dir: self.settings.locks_dir,
            request_timeout: limits.request_timeout,
            lock_wait: limits.lock_wait,
            queue_per_device: limits.queue_per_device,
        }
    }
}

/// What only a restart can change.
#[derive(PartialEq)]
pub struct Fixed {
    listen: Listen,
    pub locks_dir: PathBuf,
    metrics: Option<SocketAddr>,
    log_format: LogFormat,
    sessions: Option<usize>,
    body_bytes: usize,
}

impl Fixed {
    pub fn of(settings: &Settings) -> Self {
        Self {
            listen: settings.rpc.listen.clone(),
            locks_dir: settings.locks_dir.clone(),
            metrics: settings.metrics,
            log_format: settings.log.format,
            sessions: settings.limits.sessions,
            body_bytes: settings.limits.body_bytes,
        }
    }

    /// The keys whose new values are not taken over.
    fn changed(&self, new: &Self) -> Vec<&'static str> {
        let keys = [
            ("[locks] dir", self.locks_dir != new.locks_dir),
            ("[metrics] listen", self.metrics != new.metrics),
            ("[log] format", self.log_format != new.log_format),
            ("[limits] sessions", self.sessions != new.sessions),
            ("[limits] body_bytes", self.body_bytes != new.body_bytes),
        ];
        keys.into_iter().filter_map(|(key, is_changed)| is_changed.then_some(key)).collect()
    }
}

/// Takes new configurations over.
pub struct Reloader {
    pub config: PathBuf,
    pub fixed: Fixed,
    pub log: LogHandle,
    pub engine: Arc<Engine>,
    pub authenticator: Arc<Authenticator>,
    pub stop_timeout: Duration,
}

impl Reloader {
    /// What is wrong with the new configuration is logged, and the present one stays.
    pub async fn reload(&mut self) {
        notify::tell_reloading();
        let (config, listen) = (self.config.clone(), self.fixed.listen.clone());
        // Reading files, keys and modules takes long enough to be in the way of calls.
        let prepared = tokio::task::spawn_blocking(move || prepare(&config, &listen)).await;
        match prepared.context("reading the configuration failed").flatten() {
            Ok((loaded, sink)) => self.take_over(loaded, sink),
            Err(error) => {
                metrics::reload_failed();
                let mistakes = format!("{error:#}");
                for mistake in mistakes.lines() {
                    tracing::error!(mistake, "configuration not reloaded, the present one stays");
                }
            }
        }
        notify::tell(&[NotifyState::Ready]);
    }

    /// Nothing in here can fail.
    fn take_over(&mut self, mut loaded: Loaded, sink: Sink) {
        let settings = &mut loaded.settings;
        for key in self.fixed.changed(&Fixed::of(settings)) {
            tracing::warn!(key, "changed, but only a restart can take that over");
        }
        settings.locks_dir.clone_from(&self.fixed.locks_dir);
        self.stop_timeout = settings.limits.stop_timeout;
        self.log.reload(settings);
        log::remarks(settings);
        crate::audit::install(sink);
        // Who may come in, by which certificates and password files. Rules of access are the world's.
        self.authenticator.reload(settings.rpc.policy.clone());
        self.engine.replace(Arc::new(loaded.into_world()));
        let devices = self.engine.world().inventory.devices.len();
        tracing::info!(generation = self.engine.generation(), devices, "configuration reloaded");
        // Journals of devices that have come, and of those that have gone.
        let engine = self.engine.clone();
        tokio::spawn(async move { engine.recover().await });
    }
}

/// All that can go wrong with a new configuration.
fn prepare(config: &Path, listen: &Listen) -> Result<(Loaded, Sink)> {
    let settings = config::load(config)?;
    // Whom a service lets in is judged by where it listens: `auth = "none"` for a new loopback address
    // must not come into force on the old one.
    ensure!(settings.rpc.listen == *listen, "[rpc] listen or unix: only a restart can change it");
    let sink = log::audit_sink(&settings)?;
    Ok((load_models(settings)?, sink))
}
