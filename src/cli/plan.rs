//! `mercury plan`: what a call would do, offline or against the live device, with exactly the code
//! that the service runs.

use std::path::{Path as FilePath, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use tokio::time::Instant;

use crate::access::Access;
use crate::address;
use crate::config::{self, CredentialPolicy, Defaults};
use crate::device::{Inventory, Profiles};
use crate::engine;
use crate::intent::{
    Attach, Caller, Description, Detach, Intent, ParameterNames, PortName, PortVlans, Request, Subject,
};
use crate::openconfig;
use crate::plan;
use crate::query;
use crate::report::{self, Call, Change, DeviceNames, Target};
use crate::rpc::{self, Asked};
use crate::schema::Schema;
use crate::slice::{Slice, Value};
use crate::transaction::lease::Live;
use crate::transport::{self, Connect, ReadSet};
use crate::vlan::{VlanId, VlanSet};
use crate::world::World;

/// What to plan, for which inventory, against which running state.
#[derive(Args)]
pub struct PlanArgs {
    /// A file with a JSON-RPC request as the service takes it, `-` for standard input; or use the flags.
    call: Option<PathBuf>,
    /// The service's configuration.
    #[arg(long, required_unless_present = "devices", conflicts_with = "devices")]
    config: Option<PathBuf>,
    /// An inventory alone.
    #[arg(long)]
    devices: Option<PathBuf>,
    /// A directory of YANG modules in place of the built-in subset.
    #[arg(long)]
    yang: Option<PathBuf>,
    /// Read the running configuration from the device.
    #[arg(long, conflicts_with = "running")]
    live: bool,
    /// A file with the running configuration (XML, the content of a NETCONF `<data>`). Without it
    /// and without --live the port is taken to exist, up and in no VLAN.
    #[arg(long)]
    running: Option<PathBuf>,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    flags: Flags,
}

#[derive(Args)]
#[group(id = "flags", conflicts_with = "call", multiple = true)]
struct Flags {
    /// The switch: its name or MAC address.
    #[arg(long, requires = "port")]
    switch: Option<String>,
    /// The port on the switch.
    #[arg(long, requires = "switch")]
    port: Option<String>,
    /// Attach as an access port of this VLAN.
    #[arg(long, conflicts_with_all = ["trunk", "native", "detach"])]
    access: Option<i64>,
    /// Attach as a trunk of these tagged VLANs, `100-110,200`.
    #[arg(long, conflicts_with = "detach")]
    trunk: Option<String>,
    /// The trunk's native VLAN.
    #[arg(long, conflicts_with = "detach")]
    native: Option<i64>,
    /// Detach.
    #[arg(long)]
    detach: bool,
    /// The VLAN to leave on a detached port.
    #[arg(long)]
    default_vlan: Option<i64>,
    #[arg(long, conflicts_with = "detach")]
    description: Option<String>,
    /// Octets, as the switch counts them.
    #[arg(long, conflicts_with = "detach", value_parser = clap::value_parser!(u16).range(68..))]
    mtu: Option<u16>,
    #[arg(long, conflicts_with = "detach")]
    enabled: Option<bool>,
}

static NAMES: ParameterNames = ParameterNames {
    device: "--switch",
    port: "--port",
    vlan: "--access or --native",
    tagged: "--trunk",
    default_vlan: "--default-vlan",
    description: "--description",
    physical_network: "physical_network",
};

/// Plans and prints; the exit code says whether there is anything to change.
pub async fn run(args: PlanArgs) -> Result<ExitCode> {
    let world = args.world()?;
    let call = match &args.call {
        Some(file) => call_from(file, &world)?,
        None => args.flags.call()?,
    };
    let mut devices = Vec::new();
    for request in address::requests(&call, &world)? {
        let change = match args.live {
            true => {
                let live = read(&request, &world).await?;
                engine::planned(&request, &live.running, &world, Some(&live))?
            }
            false => engine::planned(&request, &args.assumed(&request, &world.schema)?, &world, None)?,
        };
        devices.push(change);
    }
    let change = Change { outcome: "planned", devices };
    let has_changes = change.devices.iter().any(|device| !device.edits.is_empty());
    if args.json {
        super::print(&(serde_json::to_string_pretty(&change)? + "\n"))?;
    } else {
        let text = report::text(&serde_json::to_value(&change)?);
        let text = text.context("this plan cannot be shown as text; --json can")?;
        super::print(&report::printable(&text))?;
    }
    Ok(ExitCode::from(if has_changes { 2 } else { 0 }))
}

/// A world for plans that nobody waits for. `yang`: modules in place of the built-in subset.
pub(super) fn offline(inventory: Inventory, yang: Option<&FilePath>) -> Result<World> {
    let schema = match yang {
        Some(dir) => Schema::from_dir(dir)?,
        None => Schema::builtin()?,
    };
    let limits = config::Limits::default();
    Ok(World {
        inventory,
        // Whoever can read the configuration and run this is asked nothing.
        access: Access::default(),
        schema,
        locks_dir: PathBuf::new(),
        request_timeout: limits.request_timeout,
        lock_wait: limits.lock_wait,
        queue_per_device: limits.queue_per_device,
    })
}

impl PlanArgs {
    fn world(&self) -> Result<World> {
        // A reviewer has no keys; only a live plan logs in.
        let policy = if self.live { CredentialPolicy::Read } else { CredentialPolicy::Skip };
        let (inventory, schema_dir): (Inventory, Option<PathBuf>) = match (&self.config, &self.devices) {
            (Some(config), _) => {
                let settings = config::load_with(config, policy)?;
                (settings.inventory, settings.schema_dir)
            }
            (None, Some(devices)) => {
                (config::load_inventory(devices, &Defaults::default(), &Profiles::default(), policy)?, None)
            }
            (None, None) => bail!("--config or --devices is needed"),
        };
        offline(inventory, self.yang.as_deref().or(schema_dir.as_deref()))
    }

    fn assumed(&self, request: &Request, schema: &Schema) -> Result<Slice> {
        if let Some(file) = &self.running {
            return schema.read_xml(&text(file)?).with_context(|| name(file));
        }
        let Subject::Port(port) = request.intent.subject() else {
            bail!("what becomes of a VLAN depends on what every port runs: use --live or --running");
        };
        let port = port.as_str();
        let interface = openconfig::Interface::new(port);
        let leaf = |path, value: &str| (path, Value::Leaf(value.to_owned()));
        let kind = &request.device.profile.openconfig.interface_type;
        Ok(Slice::from_iter([
            leaf(interface.entry.child("name"), port),
            leaf(interface.name, port),
            leaf(interface.kind, kind),
            (interface.enabled, Value::Default("true".to_owned())),
        ]))
    }
}

impl Flags {
    fn call(&self) -> Result<Call> {
        let (Some(switch), Some(port)) = (&self.switch, &self.port) else {
            bail!(
                "give a JSON-RPC request as a file, or --switch and --port with --access, --trunk or --detach"
            )
        };
        let vlan = |flag: &str, id: Option<i64>| {
            id.map(|id| VlanId::new(id).with_context(|| flag.to_owned())).transpose()
        };
        let port = PortName::new(port, NAMES.port)?;
        let default_vlan = vlan("--default-vlan", self.default_vlan)?;
        let (access, native) = (vlan("--access", self.access)?, vlan("--native", self.native)?);
        let tagged: Option<VlanSet> =
            self.trunk.as_ref().map(|list| list.parse().context("--trunk")).transpose()?;
        let vlans = match (self.detach, access, tagged, native) {
            (true, ..) => None,
            (false, Some(vlan), None, None) => Some(PortVlans::Access { vlan }),
            (false, None, None, None) => bail!("--access, --trunk, --native or --detach is needed"),
            (false, _, tagged, native) => {
                Some(PortVlans::Trunk { native, tagged: tagged.unwrap_or_default() })
            }
        };
        let description = self.description.as_ref().map(|text| Description::new(text, NAMES.description));
        let intent = match vlans {
            None => Intent::Detach(Detach { port, default_vlan }),
            Some(vlans) => Intent::Attach(Attach {
                port,
                vlans,
                description: description.transpose()?,
                mtu: self.mtu,
                enabled: self.enabled,
                default_vlan,
            }),
        };
        let device = DeviceNames::switch(switch);
        let target = Target { device, physical_network: None, level: 0, intent };
        Ok(Call { targets: vec![target], caller: caller(), names: &NAMES, dry_run: true, detailed: true })
    }
}

fn call_from(file: &FilePath, world: &World) -> Result<Call> {
    let request = text(file)?;
    let envelope = rpc::envelope::Envelope::open(request.as_bytes())
        .map_err(|(_, error)| error)
        .with_context(|| name(file))?;
    match rpc::understand(&envelope.method, &envelope.params, caller(), world)? {
        Asked::Change { call, .. } => Ok(*call),
        Asked::Nothing { why } => {
            let call =
                Call { targets: Vec::new(), caller: caller(), names: &NAMES, dry_run: true, detailed: true };
            eprintln!("nothing to do: {why}");
            Ok(call)
        }
        Asked::Known(_) | Asked::Question(_) => bail!("{}: {} changes nothing", name(file), envelope.method),
    }
}

pub(super) fn caller() -> Caller {
    Caller { peer: "command line".to_owned(), ..Caller::default() }
}

pub(super) fn text(file: &FilePath) -> Result<String> {
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin())
    } else {
        std::fs::read_to_string(file)
    };
    text.with_context(|| name(file))
}

fn name(file: &FilePath) -> String {
    if file.as_os_str() == "-" { "standard input".to_owned() } else { file.display().to_string() }
}

async fn read(request: &Request, world: &World) -> Result<Live> {
    let deadline = Instant::now() + Duration::from_secs(30);
    let device = &request.device.name;
    let connect: Connect = Arc::new(transport::connector);
    let chosen = transport::choose(&transport::ways(&request.device), &connect, deadline).await;
    let mut chosen = chosen.with_context(|| device.clone())?;
    let reads = |paths| ReadSet { paths, schema: world.schema.clone() };
    let (running, state) = (reads(plan::consulted(request)), reads(query::state_of(request)));
    let live = Live::look(&mut chosen, &running, &state, deadline).await;
    chosen.session.close().await;
    live.with_context(|| device.clone())
}
