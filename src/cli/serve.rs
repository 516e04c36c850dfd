//! `mercury serve`: recover what earlier processes left, then answer calls until told to stop.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context as _, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::config::{self, Listen, Log, LogFormat, Settings};
use crate::engine::Engine;
use crate::rpc::{self, Authenticator, Listener, RpcLimits};
use crate::schema::Schema;
use crate::transaction::journal;
use crate::transport::Connector;
use crate::transport::netconf::NetconfConnector;
use crate::world::World;

/// Where the configuration is.
#[derive(Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(long, default_value = "/etc/mercury/mercury.toml")]
    config: PathBuf,
}

/// Serves until SIGINT or SIGTERM; what runs then is finished.
pub async fn run(args: ServeArgs) -> Result<()> {
    let settings = config::load(&args.config)?;
    start_log(&settings.log);
    let schema = match &settings.schema_dir {
        Some(dir) => Schema::from_dir(dir)?,
        None => Schema::builtin()?,
    };
    journal::prepare(&settings.locks_dir)?;
    let limits = settings.limits;
    let listener = listen(&settings).await?;
    let authenticator = Arc::new(Authenticator::new(settings.rpc.policy)?);
    let world = World {
        inventory: settings.inventory,
        access: settings.access,
        schema,
        locks_dir: settings.locks_dir,
        request_timeout: limits.request_timeout,
        lock_wait: limits.lock_wait,
        queue_per_device: limits.queue_per_device,
    };
    let connect = |device: &Arc<_>| Arc::new(NetconfConnector::new(Arc::clone(device))) as Arc<dyn Connector>;
    let engine = Arc::new(Engine::new(Arc::new(world), Arc::new(connect)));

    // Devices are recovered beside the service: one that cannot be reached must not keep the others
    // waiting, and every worker looks into its journal before it changes anything.
    let recovering = engine.clone();
    let recovery = tokio::spawn(async move { recovering.recover().await });

    println!("listening on {}", address(&listener, &authenticator)?);
    rpc::serve(
        listener,
        engine,
        authenticator,
        RpcLimits { body_bytes: limits.body_bytes, ..RpcLimits::default() },
        stop()?,
    )
    .await
    .context("serving")?;
    recovery.await.context("recovering")
}

async fn listen(settings: &Settings) -> Result<Listener> {
    Ok(match &settings.rpc.listen {
        Listen::Tcp(address) => {
            let bound = tokio::net::TcpListener::bind(address).await;
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

fn stop() -> Result<impl Future<Output = ()> + Send + 'static> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping: finishing what runs");
    })
}

fn start_log(log: &Log) {
    let level = log.level.to_string().to_lowercase();
    // The SSH library's own lines are for its developers.
    let filter = EnvFilter::new(format!("{level},russh=warn"));
    let registry = tracing_subscriber::registry().with(filter);
    match log.format {
        LogFormat::Json => {
            registry
                .with(
                    tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(std::io::stderr),
                )
                .init();
        }
        LogFormat::Human => {
            // Colours are for terminals, not for files and journald.
            let colours = std::io::stderr().is_terminal();
            let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(colours);
            registry.with(layer).init()
        }
    }
}
