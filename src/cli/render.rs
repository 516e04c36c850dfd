//! `mercury render`: what a change would send to a system, and what would take it back, without any
//! device or inventory.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::{Map, Value, json};

use super::plan::{caller, offline, text};
use super::print;
use crate::config::reader::{ConfigErrors, Problems};
use crate::device::{Device, Inventory, Profile, Profiles};
use crate::intent::{Intent, Subject};
use crate::lint::scenarios::{request, running, written};
use crate::openconfig::{Interface, PortState};
use crate::plan::{Plan, plan};
use crate::report::printable;
use crate::rpc::{self, Asked};
use crate::slice::Slice;
use crate::world::World;

/// What to render, for which system.
#[derive(Args)]
pub struct RenderArgs {
    /// The profile.
    #[arg(long)]
    profile: String,
    /// What is asked, `-` for standard input: a JSON-RPC request, or the parameters of update_port (also
    /// with `mtu` and `enabled`) or of attach_port alone. What tells the switch may be left out.
    #[arg(long)]
    intent: PathBuf,
    /// What the port was asked to be before, in the same form. Without it: up, and nothing set.
    #[arg(long)]
    before: Option<PathBuf>,
    /// As `stp_edge = true` of the device: an attach makes the port an edge of the spanning tree.
    #[arg(long)]
    stp_edge: bool,
    /// As `bpdu_guard = true` of the device: an attach guards the port.
    #[arg(long)]
    bpdu_guard: bool,
    /// Profiles of your own.
    #[arg(long)]
    profiles: Option<PathBuf>,
    /// Templates of your own, a directory a profile.
    #[arg(long)]
    templates: Option<PathBuf>,
}

/// Prints the payload and its inverse. Exit 1: it cannot be written, or the guard refuses it; what was
/// refused is printed all the same.
pub fn run(args: &RenderArgs) -> Result<ExitCode> {
    let problems = Problems::default();
    let profiles = Profiles::read(args.profiles.as_deref(), args.templates.as_deref(), &problems);
    // Of profiles, only the one that was asked for has to be without a mistake.
    let profile = match profiles.get(&args.profile) {
        Ok(profile) => profile,
        Err(why) => match problems.into_found() {
            none if none.is_empty() => bail!(why),
            found => return Err(ConfigErrors(found).into()),
        },
    };
    let world = offline(Inventory::default(), None)?;
    let (stp_edge, bpdu_guard) = (args.stp_edge, args.bpdu_guard);
    let (can_edge, can_guard) = profile.spanning_tree();
    for (flag, is_lacking) in
        [("--stp-edge", stp_edge && !can_edge), ("--bpdu-guard", bpdu_guard && !can_guard)]
    {
        if is_lacking {
            bail!("{flag}: profile \"{}\" has no words for it", profile.name);
        }
    }
    let device = Device { stp_edge, bpdu_guard, ..Device::stand_in(profile) };
    let before = match &args.before {
        Some(file) => {
            let mut slice = Slice::default();
            for plan in plans(file, &Slice::default(), &device, &world)? {
                slice.absorb(&settled(&plan, &device.profile));
            }
            slice
        }
        None => Slice::default(),
    };
    let plans = plans(&args.intent, &before, &device, &world)?;
    let mut out = String::new();
    for plan in &plans {
        let (before, after) = plan.summary();
        out += &format!("{}: {before} -> {after}\n", printable(&plan.intent.subject().to_string()));
    }
    let written = written(&plans.iter().collect::<Vec<_>>(), &device, &world.schema);
    for (title, text) in [("payload", &written.lines), ("inverse", &written.back)] {
        out += &format!("{title}:\n");
        text.lines().for_each(|line| out += &format!("  {}\n", printable(line)));
    }
    print(&out)?;
    match written.error {
        None => Ok(ExitCode::SUCCESS),
        Some(error) => Err(error.into()),
    }
}

/// What a file asks, planned from `before`, or from ports that are there with nothing set.
fn plans(file: &Path, before: &Slice, device: &Device, world: &World) -> Result<Vec<Plan>> {
    let name = file.display().to_string();
    let asked: Value = serde_json::from_str(&text(file)?).with_context(|| name.clone())?;
    let intents = intents(asked, world).with_context(|| name)?;
    let mut plans = Vec::new();
    for intent in intents {
        let Subject::Port(port) = intent.subject() else {
            bail!("a network's VLAN depends on the uplinks of an inventory: use `mercury plan`");
        };
        let running = match before.has_entry(&Interface::entry(port.as_str())) {
            true => before.clone(),
            false => running(&PortState::default(), port.as_str(), &device.profile),
        };
        plans.push(plan(&request(intent, device.clone()), &running, &world.schema)?);
    }
    Ok(plans)
}

/// What the system would show once the plan was carried out.
fn settled(plan: &Plan, profile: &Arc<Profile>) -> Slice {
    let Subject::Port(port) = plan.intent.subject() else { return plan.after.clone() };
    let state = PortState::of(&plan.after, port.as_str()).unwrap_or_default();
    running(&state, port.as_str(), profile)
}

/// The changes that a request, or the parameters of one, ask for.
fn intents(asked: Value, world: &World) -> Result<Vec<Intent>> {
    let Value::Object(mut asked) = asked else { bail!("expected a JSON object") };
    let (method, mut params) = match (asked.remove("method"), asked.remove("params")) {
        (Some(Value::String(method)), Some(Value::Object(params))) => (method, params),
        (None, None) if asked.contains_key("port") => ("attach_port".to_owned(), asked),
        (None, None) => ("update_port".to_owned(), asked),
        _ => bail!("expected `method`, a string, and `params`, an object, or the parameters alone"),
    };
    let is_flat = (method == "update_port" || method == "reset_port") && !params.contains_key("port");
    let more = if is_flat { More::take(&mut params, &method)? } else { More::default() };
    fill(&mut params, "context", json!({}));
    let asked = rpc::understand(&method, &Value::Object(params), caller(), world)?;
    let Asked::Change { call, .. } = asked else { bail!("{method} changes nothing") };
    let intents = call.targets.into_iter().map(|target| more.added_to(target.intent));
    Ok(intents.collect())
}

/// What Ironic's parameters have no word for.
#[derive(Default)]
struct More {
    mtu: Option<u16>,
    enabled: Option<bool>,
    no_description: bool,
}

impl More {
    /// Takes it from the parameters, and adds those that only a service needs.
    fn take(params: &mut Map<String, Value>, method: &str) -> Result<Self> {
        fill(params, "switch_id", json!("switch"));
        fill(params, "native_vlan", Value::Null);
        if method == "reset_port" {
            return Ok(Self::default());
        }
        let no_description = !params.contains_key("description");
        fill(params, "description", json!("none"));
        let mtu = |mtu: Value| {
            let octets = mtu.as_u64().and_then(|mtu| u16::try_from(mtu).ok()).filter(|mtu| *mtu >= 68);
            octets.context("mtu: expected a number from 68 to 65535")
        };
        let enabled = |enabled: Value| enabled.as_bool().context("enabled: expected true or false");
        Ok(Self {
            mtu: params.remove("mtu").map(mtu).transpose()?,
            enabled: params.remove("enabled").map(enabled).transpose()?,
            no_description,
        })
    }

    fn added_to(&self, mut intent: Intent) -> Intent {
        if let Intent::Attach(attach) = &mut intent {
            attach.mtu = attach.mtu.or(self.mtu);
            attach.enabled = attach.enabled.or(self.enabled);
            if self.no_description {
                attach.description = None;
            }
        }
        intent
    }
}

fn fill(params: &mut Map<String, Value>, key: &str, value: Value) {
    params.entry(key).or_insert(value);
}
