//! `mercury serve`: answer calls until told to stop.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::service;

/// Where the configuration is.
#[derive(Args)]
pub struct ServeArgs {
    /// The configuration file.
    #[arg(long, default_value = "/etc/mercury/mercury.toml")]
    config: PathBuf,
}

/// Serves until SIGINT or SIGTERM. Exit 0: nothing is left open; 1: journals are left, or an error.
pub async fn run(args: ServeArgs) -> Result<ExitCode> {
    service::run(args.config).await
}
