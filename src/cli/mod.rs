//! The command line: each subcommand is one file.

pub mod call;
pub mod check_config;
pub mod demo;
pub mod inventory;
pub mod lint;
pub mod plan;
pub mod probe;
pub mod render;
pub mod schema;
pub mod serve;
pub mod simulate;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Sets up the network around bare-metal servers: plans, verifies and applies port changes on switches.
#[derive(Parser)]
#[command(name = "mercury", version)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Answer JSON-RPC calls and change switches.
    Serve(serve::ServeArgs),
    /// Show what a call would do: diff, payload, inverse, risks. Exit 0: nothing, 2: changes, 1: error.
    Plan(Box<plan::PlanArgs>),
    /// Show what devices offer, and which transport a change would take. Exit 1: one offers nothing of use.
    Probe(probe::ProbeArgs),
    /// Get a device's own YANG modules, for a person to review.
    #[command(subcommand)]
    Schema(schema::SchemaCommand),
    /// Turn the inventories of others into ours.
    #[command(subcommand)]
    Inventory(inventory::InventoryCommand),
    /// Find every mistake in the configuration. Exit 0: none, 2: differs from what it is compared with, 1: error.
    CheckConfig(check_config::CheckConfigArgs),
    /// Find every mistake in profiles, templates and transcripts. Exit 0: none, 1: at least one.
    Lint(lint::LintArgs),
    /// Show what a change would send to a system, and what would take it back, without any device.
    Render(render::RenderArgs),
    /// Call a running service. Exit 0: done, 1: refused or failed, 3: whether it was carried out is not known.
    Call(Box<call::CallArgs>),
    /// Run simulated switches (NETCONF, gNMI or command lines) until interrupted.
    Simulate(simulate::SimulateArgs),
    /// Show the whole flow on simulated switches. Exit 0: every step held.
    Demo,
}

/// Runs one command line; errors are printed and exit with 1.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Clap would exit with 2, which here means "there are changes".
            let code = if error.use_stderr() { ExitCode::FAILURE } else { ExitCode::SUCCESS };
            return error.print().map_or(ExitCode::FAILURE, |()| code);
        }
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("mercury: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Serve(args) => serve::run(args).await,
            Command::Plan(args) => plan::run(*args).await,
            Command::Probe(args) => probe::run(args).await,
            Command::Schema(command) => schema::run(command).await,
            Command::Inventory(command) => inventory::run(command),
            Command::CheckConfig(args) => check_config::run(&args),
            Command::Lint(args) => lint::run(&args),
            Command::Render(args) => render::run(&args),
            Command::Call(args) => call::run(*args).await,
            Command::Simulate(args) => simulate::run(args).await.map(|()| ExitCode::SUCCESS),
            Command::Demo => demo::run().await.map(|()| ExitCode::SUCCESS),
        }
    });
    // What still hangs in a thread, such as a look-up of a host name, must not hold the process.
    runtime.shutdown_background();
    ended.unwrap_or_else(|error| {
        eprintln!("mercury: {}", chain(&error));
        ExitCode::FAILURE
    })
}

/// Writes to standard output. Who reads it may stop reading: the exit code tells what was done all the same.
fn print(text: &str) -> std::io::Result<()> {
    use std::io::{ErrorKind, Write as _};
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}

/// An error and its causes; many of ours already end with their cause.
fn chain(error: &anyhow::Error) -> String {
    let causes = error.chain().skip(1).map(ToString::to_string);
    causes.fold(
        error.to_string(),
        |text, cause| {
            if text.ends_with(&cause) { text } else { format!("{text}: {cause}") }
        },
    )
}
