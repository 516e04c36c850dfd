//! Configuration: `mercury.toml`, and through it the devices and the profiles. Loading finds
//! every mistake in every file before it gives up, and a start with a mistake does not happen.

mod inventory;
pub(crate) mod item;
pub mod reader;
mod rpc;

#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::access::Access;
pub use crate::device::credentials::CredentialPolicy;
use crate::device::credentials::KeyFiles;
pub use crate::device::inventory::Defaults;
use crate::device::inventory::{Context, Taken};
use crate::device::{Inventory, Profiles};
pub use reader::{ConfigError, ConfigErrors};
use reader::{Item, Problems, Table, read_file};
pub use rpc::{Listen, Rpc};

/// All that `mercury.toml` and the files it names say.
#[derive(Clone, Debug)]
pub struct Settings {
    pub rpc: Rpc,
    /// Who may do what.
    pub access: Access,
    /// Where lock files are; the service creates it, mode 0700, when it is missing.
    pub locks_dir: PathBuf,
    pub limits: Limits,
    pub log: Log,
    /// A file for the audit's lines, besides the log; none: they go to stderr.
    pub audit_file: Option<PathBuf>,
    /// Where metrics and health are asked for, always a loopback address.
    pub metrics: Option<SocketAddr>,
    pub inventory: Inventory,
    pub profiles: Profiles,
    /// YANG modules that take the built-in subset's place.
    pub schema_dir: Option<PathBuf>,
}

/// How much one caller may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How long a request may take, waiting for its turn included.
    pub request_timeout: Duration,
    /// How many requests may wait for one device.
    pub queue_per_device: usize,
    /// The longest request body, in bytes.
    pub body_bytes: usize,
    /// How long to wait for a device that somebody else has locked.
    pub lock_wait: Duration,
    /// How many sessions to devices may be open at a time; none: what file descriptors allow.
    pub sessions: Option<usize>,
    /// How long a stop waits for what runs before that is taken back.
    pub stop_timeout: Duration,
}

/// What is logged, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: tracing::Level,
}

/// One line for people, or one JSON object, an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Human,
    Json,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_timeout: Duration::from_secs(60),
            queue_per_device: 64,
            body_bytes: 1_048_576,
            lock_wait: Duration::from_secs(10),
            sessions: None,
            stop_timeout: Duration::from_secs(90),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self { format: LogFormat::Human, level: tracing::Level::INFO }
    }
}

/// Ironic waits 120 s for an answer; ours must come before.
const MAX_REQUEST_TIMEOUT: Duration = Duration::from_secs(110);

/// Longer than anything that can run.
const MAX_STOP_TIMEOUT: Duration = Duration::from_secs(600);

/// Reads `mercury.toml` and everything it names, credentials included.
pub fn load(file: &Path) -> Result<Settings, ConfigErrors> {
    load_with(file, CredentialPolicy::Read)
}

/// [`load`] with a choice about credential files.
pub fn load_with(file: &Path, credentials: CredentialPolicy) -> Result<Settings, ConfigErrors> {
    let problems = Problems::default();
    let settings = read_settings(file, credentials, &problems);
    problems.finish(settings)
}

/// Reads `devices.toml` alone; `defaults` stands for what `[inventory]` would say.
pub fn load_inventory(
    devices: &Path,
    defaults: &Defaults,
    profiles: &Profiles,
    credentials: CredentialPolicy,
) -> Result<Inventory, ConfigErrors> {
    let problems = Problems::default();
    let key_files = KeyFiles::default();
    let context =
        Context { defaults, doubtful: false, profiles, physical_networks: None, credentials, key_files };
    let inventory = read_file(devices, &problems, |root| {
        let mut inventory = Inventory::default();
        context.read_devices(root, &mut Taken::default(), &mut inventory);
        Some(inventory)
    });
    problems.finish(inventory)
}

fn read_settings(file: &Path, credentials: CredentialPolicy, problems: &Problems) -> Option<Settings> {
    read_file(file, problems, |root| {
        let rpc = root.required_table("rpc", |table| rpc::read(table, credentials, problems));
        let access = rpc::read_access(root, rpc.as_ref());
        let locks_dir = root.required_table("locks", |locks| locks.required("dir")?.path());
        let limits = root.table("limits", read_limits).unwrap_or_default();
        let log = root.table("log", read_log).unwrap_or_default();
        let audit_file = root.table("audit", |audit| audit.get("file")?.path());
        let metrics = root.table("metrics", read_metrics);
        let models = root.table("models", |models| {
            let yang = models.get("yang").and_then(|item| item.directory());
            let profiles = models.get("profiles").and_then(|item| item.directory());
            let templates = models.get("templates").and_then(|item| item.directory());
            Some((yang, profiles, templates))
        });
        let (schema_dir, profiles_dir, templates_dir) = models.unwrap_or_default();
        let profiles = Profiles::read(profiles_dir.as_deref(), templates_dir.as_deref(), problems);
        let inventory = inventory::read(root, &profiles, credentials, problems);
        Some(Settings {
            rpc: rpc?,
            access: access?,
            locks_dir: locks_dir?,
            limits,
            log,
            audit_file,
            metrics,
            inventory: inventory?,
            profiles,
            schema_dir,
        })
    })
}

fn read_limits(table: &Table) -> Option<Limits> {
    let second = Duration::from_secs(1);
    let default = Limits::default();
    let count = |key, bounds| {
        table.get(key).and_then(|item: Item| item.integer(bounds)).and_then(|n| usize::try_from(n).ok())
    };
    let time = |key, bounds| table.get(key).and_then(|item: Item| item.duration(bounds));
    let limits = Limits {
        request_timeout: time("request_timeout", second..=MAX_REQUEST_TIMEOUT)
            .unwrap_or(default.request_timeout),
        queue_per_device: count("queue_per_device", 1..=65_536).unwrap_or(default.queue_per_device),
        body_bytes: count("body_bytes", 1024..=67_108_864).unwrap_or(default.body_bytes),
        lock_wait: time("lock_wait", Duration::ZERO..=MAX_REQUEST_TIMEOUT).unwrap_or(default.lock_wait),
        sessions: count("sessions", 1..=65_536),
        stop_timeout: time("stop_timeout", second..=MAX_STOP_TIMEOUT).unwrap_or(default.stop_timeout),
    };
    if table.get("lock_wait").is_some() && limits.lock_wait >= limits.request_timeout {
        table.refuse(
            "lock_wait",
            format_args!("{:?} is not below request_timeout, {:?}", limits.lock_wait, limits.request_timeout),
        );
    }
    Some(limits)
}

/// Who can read the metrics knows every switch's name: not for the network.
fn read_metrics(table: &Table) -> Option<SocketAddr> {
    table.required("listen")?.read(|text| {
        let wrong = |_| format!("expected ADDRESS:PORT such as \"127.0.0.1:9273\", found \"{text}\"");
        let address: SocketAddr = text.parse().map_err(wrong)?;
        if address.ip().to_canonical().is_loopback() {
            Ok(address)
        } else {
            Err(format!("{address} is not a loopback address"))
        }
    })
}

fn read_log(table: &Table) -> Option<Log> {
    use tracing::Level;
    let default = Log::default();
    let format = table
        .get("format")
        .and_then(|item| item.choice(&[("human", LogFormat::Human), ("json", LogFormat::Json)]));
    let level = table.get("level").and_then(|item| {
        item.choice(&[
            ("error", Level::ERROR),
            ("warn", Level::WARN),
            ("info", Level::INFO),
            ("debug", Level::DEBUG),
            ("trace", Level::TRACE),
        ])
    });
    Some(Log { format: format.unwrap_or(default.format), level: level.unwrap_or(default.level) })
}
