//! The service as a process: it starts in an order in which nothing is promised too early, takes a
//! new configuration over whole or not at all, and ends without leaving changes half-way.

mod health;
mod log;
mod notify;
mod reload;
mod signals;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sd_notify::NotifyState;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::config::{self, Listen, Settings};
use crate::engine::Engine;
use crate::rpc::{self, Authenticator, Listener, RpcLimits};
use crate::transaction::journal;
use crate::transaction::shared::Level;
use crate::transport;
use crate::transport::Connect;
use health::Health;
use reload::{Fixed, Reloader};
use signals::{Asked, Signals};

/// How long changes that are being taken back have when the service ends at once.
const UNDO_TIME: Duration = Duration::from_secs(10);
/// How long callers have to take their answers when all work is done.
const ANSWER_TIME: Duration = Duration::from_secs(2);
/// How long journals that are being finished hold the end of the service.
const RECOVERY_TIME: Duration = Duration::from_secs(3);
/// File descriptors for everything but connections of callers and work on devices.
const OTHER_FILES: u64 = 128;
/// Each session has a socket and, while something is changed, a lock file.
const FILES_PER_SESSION: u64 = 2;
/// No network needs more at one time, and memory is needed for each.
const MOST_SESSIONS: u64 = 8192;

/// Serves until told to stop.
pub async fn run(config: PathBuf) -> Result<ExitCode> {
    run_with(config, Arc::new(transport::connector)).await
}

/// [`run`] with another way to the devices.
pub async fn run_with(config: PathBuf, connect: Connect) -> Result<ExitCode> {
    // Before anyone can know that we run: by default each of them would end the process.
    let signals = Signals::install()?;
    let settings = config::load(&config)?;
    let log = log::start(&settings)?;
    log::remarks(&settings);
    let loaded = reload::load_models(settings)?;
    let settings = &loaded.settings;
    journal::prepare(&settings.locks_dir)?;
    let files = raise_file_limit();
    let sessions = settings.limits.sessions.unwrap_or_else(|| sessions_for(files));

    // All that can be wrong is known by now.
    let listener = listen(settings).await?;
    let health_listener = match settings.metrics {
        None => None,
        Some(address) => {
            let bound = TcpListener::bind(address).await;
            Some(bound.with_context(|| format!("cannot listen on {address} for metrics"))?)
        }
    };
    let authenticator = Arc::new(Authenticator::new(settings.rpc.policy.clone())?);
    let (fixed, limits) = (Fixed::of(settings), settings.limits);
    let engine = Arc::new(Engine::new(Arc::new(loaded.into_world()), connect, sessions));
    // Beside the service: a device that cannot be reached must not keep the others waiting, and
    // every worker looks into its journal before it changes anything.
    let recovering = engine.clone();
    tokio::spawn(async move { recovering.recover().await });

    if let Some(listener) = health_listener {
        println!("metrics on http://{}", listener.local_addr()?);
        let health = Health { engine: engine.clone(), locks_dir: fixed.locks_dir.clone() };
        tokio::spawn(health::serve(listener, Arc::new(health)));
    }
    let (end, ended) = oneshot::channel();
    println!("listening on {}", address(&listener, &authenticator)?);
    let limits_of_rpc = RpcLimits {
        body_bytes: limits.body_bytes,
        connections: connections_for(files),
        ..RpcLimits::default()
    };
    let server =
        tokio::spawn(rpc::serve(listener, engine.clone(), authenticator.clone(), limits_of_rpc, async {
            // Also when its other end is gone.
            ended.await.unwrap_or_default();
        }));
    notify::keep_watchdog_calm();
    notify::tell(&[NotifyState::Ready]);
    tracing::info!(sessions, devices = engine.world().inventory.devices.len(), "ready");

    let stop_timeout = limits.stop_timeout;
    let reloader = Reloader { config, fixed, log, engine: engine.clone(), authenticator, stop_timeout };
    Running { engine, signals, reloader, server, end }.go().await
}

/// The service between its start and its end.
struct Running {
    engine: Arc<Engine>,
    signals: Signals,
    reloader: Reloader,
    server: JoinHandle<std::io::Result<()>>,
    /// Ends the server.
    end: oneshot::Sender<()>,
}

impl Running {
    async fn go(mut self) -> Result<ExitCode> {
        loop {
            tokio::select! {
                asked = self.signals.next() => match asked {
                    Asked::Reload => self.reloader.reload().await,
                    Asked::Stop => break,
                },
                ended = &mut self.server => {
                    ended.context("serving")?.context("serving")?;
                    anyhow::bail!("the server ended by itself");
                }
            }
        }
        self.stop().await
    }

    /// First nothing new begins, and what runs is finished; told again, or when that takes too long,
    /// what runs is taken back; what cannot be is left to the journal.
    async fn stop(mut self) -> Result<ExitCode> {
        notify::tell(&[NotifyState::Stopping]);
        tracing::info!("stopping: no new calls; finishing what runs");
        self.engine.stop(Level::Drain);
        let patience = self.reloader.stop_timeout;
        let is_done = tokio::select! {
            () = self.engine.idle() => true,
            () = self.signals.stop() => false,
            () = sleep(patience) => false,
        };
        if !is_done {
            tracing::warn!("stopping at once: taking back what runs");
            self.engine.stop(Level::AtOnce);
            tokio::select! {
                () = self.engine.idle() => {}
                () = self.signals.stop() => {}
                () = sleep(UNDO_TIME) => {}
            }
        }
        // The server may be gone already.
        self.end.send(()).unwrap_or_default();
        match timeout(ANSWER_TIME, self.server).await {
            Ok(ended) => ended.context("serving")?.context("serving")?,
            Err(_) => tracing::warn!("some callers did not take their answers"),
        }
        // A journal that is being finished may be a moment away from it; the others wait for the next start.
        if timeout(RECOVERY_TIME, self.engine.recovered()).await.is_err() {
            tracing::warn!("some journals could not be finished in time");
        }
        let is_idle = timeout(Duration::ZERO, self.engine.idle()).await.is_ok();
        let left = journal::left(&self.reloader.fixed.locks_dir);
        for path in &left {
            let path = path.display().to_string();
            tracing::error!(path, "a change is not settled; the next start or the next change finishes it");
        }
        tracing::info!("stopped");
        Ok(if left.is_empty() && is_idle { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

async fn listen(settings: &Settings) -> Result<Listener> {
    Ok(match &settings.rpc.listen {
        Listen::Tcp(address) => {
            let bound = TcpListener::bind(address).await;
            Listener::Tcp(bound.with_context(|| format!("cannot listen on {address}"))?)
        }
        Listen::Unix(path) => {
            let bound = rpc::server::bind_unix(path);
            Listener::Unix(bound.with_context(|| format!("cannot listen on {}", path.display()))?)
        }
    })
}

fn address(listener: &Listener, authenticator: &Authenticator) -> Result<String> {
    let scheme = if authenticator.policy().tls.is_some() { "https" } else { "http" };
    Ok(match listener {
        Listener::Tcp(tcp) => format!("{scheme}://{}", tcp.local_addr()?),
        Listener::Unix(unix) => {
            let address = unix.local_addr()?;
            format!("unix:{}", address.as_pathname().context("a socket without a path")?.display())
        }
    })
}

/// Lets this process open as many files as it may allow itself; says how many that are.
fn raise_file_limit() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, ..limit };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum.unwrap_or(u64::MAX),
        Err(error) => {
            tracing::warn!(%error, "the limit of open files stays as it is");
            limit.current.unwrap_or(u64::MAX)
        }
    }
}

/// How many callers that many files allow: a quarter of them is theirs.
fn connections_for(files: u64) -> usize {
    usize::try_from(files / 4).unwrap_or(usize::MAX).clamp(64, RpcLimits::default().connections)
}

/// How many sessions that many files allow; a few even where there is no room for them.
fn sessions_for(files: u64) -> usize {
    let callers = u64::try_from(connections_for(files)).unwrap_or(u64::MAX);
    let free = files.saturating_sub(callers).saturating_sub(OTHER_FILES);
    usize::try_from((free / FILES_PER_SESSION).clamp(16, MOST_SESSIONS)).unwrap_or(16)
}

#[cfg(test)]
mod tests {
    #[test]
    fn callers_and_sessions_leave_files_for_the_rest() {
        let files = [0, 1024, 4096, 524_288, u64::MAX];
        assert_eq!(files.map(super::connections_for), [64, 256, 1024, 4096, 4096]);
        assert_eq!(files.map(super::sessions_for), [16, 320, 1472, 8192, 8192]);
    }
}
