//! `mercury probe`: what devices really offer, each transport of their profile tried by itself, and
//! which one a change would take.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use futures_util::StreamExt as _;
use futures_util::stream;
use serde::Serialize;
use tokio::time::Instant;

use crate::config::{self, item::parse_duration};
use crate::device::{Device, Inventory};
use crate::report::printable;
use crate::transport::{self, Connect, Fault, Promises, Verdict, reason, ways};

/// Which devices, and how to print what they offer.
#[derive(Args)]
pub struct ProbeArgs {
    /// Names or ids of devices; none: all of the inventory.
    devices: Vec<String>,
    /// The configuration file.
    #[arg(long, default_value = "/etc/mercury/mercury.toml")]
    config: PathBuf,
    /// One line of JSON a device.
    #[arg(long)]
    json: bool,
    /// How many devices are asked at a time.
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=256))]
    at_once: u16,
    /// How long each transport of a device may take.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = parse_duration)]
    timeout: Duration,
}

/// What one device offers.
#[derive(Debug, Serialize)]
struct Probed {
    device: String,
    profile: String,
    /// The transport that a change would take; none: there is none that could be.
    chosen: Option<&'static str>,
    why: String,
    transports: Vec<Offered>,
}

/// One transport of its profile.
#[derive(Debug, Serialize)]
struct Offered {
    transport: &'static str,
    /// What a session over it is; none: it did not open, or cannot be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    promises: Option<Promises>,
    /// Of the modules that are needed, those that the device lists, with their revisions.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<String, String>,
    /// What else it lists, in its own words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    capabilities: Vec<String>,
    /// Why it is not used.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<String>,
}

/// Asks and prints, each device as soon as it has answered. Exit 1 if one has no transport to offer.
pub async fn run(args: ProbeArgs) -> Result<ExitCode> {
    let inventory = config::load(&args.config)?.inventory;
    let devices = named(&inventory, &args.devices)?;
    let (all, mut done, mut failed) = (devices.len(), 0, 0);
    let shows_progress = all > 1 && std::io::stderr().is_terminal();
    let at_once = usize::from(args.at_once);
    let mut answers =
        stream::iter(devices).map(|device| probe(device, args.timeout)).buffer_unordered(at_once);
    while let Some(probed) = answers.next().await {
        done += 1;
        failed += usize::from(probed.chosen.is_none());
        let text = match args.json {
            true => serde_json::to_string(&probed).context("an answer that is no JSON")? + "\n",
            false => text(&probed),
        };
        if shows_progress {
            eprint!("\r\x1b[K");
        }
        super::print(&text)?;
        if shows_progress && done < all {
            eprint!("{done} of {all} devices");
        }
    }
    if failed > 0 && !args.json {
        eprintln!("{failed} of {all} devices would refuse a change");
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn named(inventory: &Inventory, names: &[String]) -> Result<Vec<Arc<Device>>> {
    if names.is_empty() {
        return Ok(inventory.devices.values().cloned().collect());
    }
    let find = |name: &String| {
        let found = inventory.find(Some(name), None).cloned();
        found.with_context(|| format!("no device of the inventory is called `{name}`"))
    };
    names.iter().map(find).collect()
}

/// Tries every way, also those behind the one that a change would take.
async fn probe(device: Arc<Device>, timeout: Duration) -> Probed {
    let connect: Connect = Arc::new(transport::connector);
    let ways = ways(&device);
    let (mut transports, mut passed, mut chosen, mut why) = (Vec::new(), Vec::new(), None, None);
    for way in &ways {
        let name = way.profile.speaks.transport();
        let tried = transport::open(way, &connect, Instant::now() + timeout).await;
        let verdict = tried.verdict(ways.len() == 1);
        let mut offered = Offered {
            transport: name,
            session: None,
            promises: None,
            models: BTreeMap::new(),
            capabilities: Vec::new(),
            refused: None,
        };
        match tried.opened {
            Ok(mut session) => {
                let offers = session.offers();
                offered.session = Some(session.describe());
                offered.promises = Some(session.promises().clone());
                offered.models = offers.of(way.profile.speaks.modules());
                offered.capabilities = offers.capabilities;
                session.close().await;
            }
            Err(Fault::NotSent(cause)) => offered.refused = Some(cause.to_string()),
            Err(fault) => offered.refused = Some(fault.to_string()),
        }
        match verdict {
            Verdict::Take if why.is_none() => (chosen, why) = (Some(name), Some(reason(&ways, &passed))),
            Verdict::Take => {}
            Verdict::Pass(because) => {
                passed.push(format!("{name}: {because}"));
                offered.refused = Some(because);
            }
            Verdict::Stop => {
                let refused = offered.refused.clone().unwrap_or_default();
                let told = [passed.as_slice(), &[format!("{name}: {refused}")]].concat().join("; ");
                why = why.or(Some(told));
            }
        }
        transports.push(offered);
    }
    let why = why.unwrap_or_else(|| passed.join("; "));
    Probed { device: device.name.clone(), profile: device.profile.name.clone(), chosen, why, transports }
}

fn text(probed: &Probed) -> String {
    let mut text = format!("{} ({})\n", probed.device, probed.profile);
    for offered in &probed.transports {
        let is_chosen = probed.chosen == Some(offered.transport);
        let mark = if is_chosen { "*" } else { " " };
        let what = match (&offered.session, &offered.refused) {
            (Some(session), None) => session.clone(),
            (Some(session), Some(why)) => format!("{session}; {why}"),
            (None, why) => format!("{}: {}", offered.transport, why.as_deref().unwrap_or("nothing")),
        };
        text += &format!("  {mark} {what}\n");
        let models =
            offered.models.iter().map(|(name, version)| format!("{name} {version}").trim_end().to_owned());
        let models: Vec<String> = models.collect();
        if !models.is_empty() {
            text += &format!("      {}\n", models.join(", "));
        }
    }
    match (probed.chosen, probed.why.as_str()) {
        (Some(_), "") => {}
        (Some(chosen), why) => text += &format!("  a change goes over {chosen}: {why}\n"),
        (None, why) => text += &format!("  a change would be refused: {why}\n"),
    }
    printable(&text)
}
