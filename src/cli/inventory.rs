//! `mercury inventory import`: the inventories of others, as ours.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, Subcommand, ValueEnum};
use secrecy::ExposeSecret as _;

use crate::config::reader::Problems;
use crate::device::Profiles;
use crate::import::write::Written;
use crate::import::{self, DeviceTypes, Kind};

/// What to do with an inventory.
#[derive(Subcommand)]
pub enum InventoryCommand {
    /// Print as TOML what a file for another service says, with a comment for what has no counterpart.
    /// Exit 0: everything is carried over, 2: something is not (standard error says what), 1: error.
    Import(ImportArgs),
}

/// Which file, and where to.
#[derive(Args)]
pub struct ImportArgs {
    /// What the file is.
    #[arg(long)]
    from: From,
    /// The file.
    file: PathBuf,
    /// Write here, passwords into files of their own (0600), and overwrite nothing. Without it the
    /// TOML is printed and the passwords are left where they are.
    #[arg(long)]
    out: Option<PathBuf>,
    /// The profile for a device type, which may be named without `netmiko_`.
    #[arg(long = "profile", value_name = "TYPE=PROFILE", value_parser = pair)]
    chosen: Vec<(String, String)>,
    /// A directory of profiles, as `[models] profiles`.
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// A directory with a directory of templates a profile, as `[models] templates`.
    #[arg(long)]
    templates: Option<PathBuf>,
}

#[derive(Clone, Copy, ValueEnum)]
enum From {
    /// The inventory of Ironic's networking service: `[switch:NAME]`.
    SwitchesConf,
    /// networking-generic-switch: `[genericswitch:NAME]`.
    Ngs,
    /// Ironic's configuration: what it needs of `[inventory]`.
    IronicConf,
}

/// Imports and prints or writes.
pub fn run(command: InventoryCommand) -> Result<ExitCode> {
    let InventoryCommand::Import(args) = command;
    let (kind, name) = match args.from {
        From::SwitchesConf => (Kind::Switches, "devices.toml"),
        From::Ngs => (Kind::Ngs, "devices.toml"),
        From::IronicConf => (Kind::Ironic, "mercury.toml"),
    };
    let profiles = profiles(args.profiles.as_deref(), args.templates.as_deref())?;
    let types = DeviceTypes { profiles: &profiles, chosen: args.chosen.into_iter().collect() };
    let written = import::import(kind, &args.file, &types)?;
    match &args.out {
        Some(directory) => write(directory, name, &written)?,
        None => {
            super::print(&written.toml)?;
            for (file, _) in &written.secrets {
                eprintln!("{file}: has to be made, mode 0600; --out makes it");
            }
        }
    }
    for line in &written.report {
        eprintln!("{line}");
    }
    Ok(ExitCode::from(if written.complete { 0 } else { 2 }))
}

fn profiles(directory: Option<&Path>, templates: Option<&Path>) -> Result<Profiles> {
    let problems = Problems::default();
    let profiles = Profiles::read(directory, templates, &problems);
    Ok(problems.finish(Some(profiles))?)
}

fn write(directory: &Path, name: &str, written: &Written) -> Result<()> {
    std::fs::create_dir_all(directory).with_context(|| directory.display().to_string())?;
    let secrets = written.secrets.iter().map(|(file, secret)| (file.as_str(), secret.expose_secret(), 0o600));
    let files: Vec<(&str, &str, u32)> = secrets.chain([(name, written.toml.as_str(), 0o644)]).collect();
    for (file, ..) in &files {
        let path = directory.join(file);
        // Looked for first, so that a second import does not stop half-way.
        anyhow::ensure!(path.symlink_metadata().is_err(), "{}: exists; nothing was written", path.display());
    }
    for (file, text, mode) in files {
        let path = directory.join(file);
        let made = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
        made.and_then(|mut made| made.write_all(text.as_bytes()))
            .with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn pair(text: &str) -> Result<(String, String), &'static str> {
    let (device_type, profile) = text.split_once('=').ok_or("expected TYPE=PROFILE")?;
    Ok((device_type.to_owned(), profile.to_owned()))
}
