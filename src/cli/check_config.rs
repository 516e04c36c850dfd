//! `mercury check-config`: every mistake that would keep the service from starting, and how the
//! configuration differs from that of the service it takes the place of.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;

use crate::config::{self, Settings};
use crate::import::compare;
use crate::schema::Schema;

/// What to check, and what to compare it with.
#[derive(Args)]
pub struct CheckConfigArgs {
    /// The configuration file.
    #[arg(long, default_value = "/etc/mercury/mercury.toml")]
    config: PathBuf,
    /// Ironic's configuration: list what differs from it.
    #[arg(long, value_name = "IRONIC_CONF")]
    compare: Option<PathBuf>,
    /// The inventory of Ironic's networking service: compare it as well. Without it, the file that
    /// Ironic's configuration names.
    #[arg(long, value_name = "SWITCHES_CONF", requires = "compare")]
    switches: Option<PathBuf>,
}

/// Loads all that the service loads and prints what it found.
pub fn run(args: &CheckConfigArgs) -> Result<ExitCode> {
    let settings = config::load(&args.config)?;
    match &settings.schema_dir {
        Some(directory) => Schema::from_dir(directory)?,
        None => Schema::builtin()?,
    };
    super::print(&found(&args.config, &settings))?;
    let Some(conf) = &args.compare else { return Ok(ExitCode::SUCCESS) };
    let differences = compare::compare(&settings, conf, args.switches.as_deref())?;
    let mut text =
        format!("compared with {}: {}\n", conf.display(), counted(differences.len(), "difference"));
    for difference in &differences {
        text += &format!("  {difference}\n");
    }
    super::print(&text)?;
    Ok(ExitCode::from(if differences.is_empty() { 0 } else { 2 }))
}

fn found(file: &Path, settings: &Settings) -> String {
    let inventory = &settings.inventory;
    let policy = &settings.rpc.policy;
    let tls = if policy.tls.is_some() { " with TLS" } else { "" };
    let auth = compare::auth(&settings.rpc).join(", ");
    let listen = compare::listen(&settings.rpc);
    let mut text = format!("{}: no mistakes\n  listens on {listen}{tls}, asks for {auth}\n", file.display());
    text += &format!("  {}\n", counted(inventory.devices.len(), "device"));
    for (name, device) in &inventory.devices {
        let ids = [device.mac_address.map(|id| id.to_string()), device.datapath_id.map(|id| id.to_string())];
        let ids: String = ids.into_iter().flatten().map(|id| format!(", {id}")).collect();
        let frozen = if device.frozen.is_some() { ", frozen" } else { "" };
        let vlans = match device.allowed_vlans.to_string() {
            none if none.is_empty() => "no VLAN".to_owned(),
            some => format!("VLANs {some}"),
        };
        text += &format!("    {name}: {}, {}, {vlans}{ids}{frozen}\n", device.endpoint, device.profile.name);
    }
    let profiles: BTreeSet<&str> = inventory.devices.values().map(|d| d.profile.name.as_str()).collect();
    let names: Vec<&str> = profiles.into_iter().collect();
    text += &format!("  {} in use: {}\n", counted(names.len(), "profile"), names.join(", "));
    for remark in &inventory.remarks {
        text += &format!("  without effect: {remark}\n");
    }
    text
}

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
