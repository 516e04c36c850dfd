//! Simulated command lines over SSH: modes, prompts, errors, paging and a configuration that behaves.
//!
//! * [`start`] gives a [`CliSwitch`] from a [`CliSpec`]; `systems/` says what each system is.
//! * [`CliFault`] is what goes wrong, and when.
//! * From the wire inwards: `terminal` (what is typed and shown), then one `os` for all sessions:
//!   `industry` (modes, with `edit` on `sections`), `junos` (on `statements`) or `sonic`.
//!   `grammar` reads lines, `system` is the data.

mod carried;
mod edit;
mod fault;
mod grammar;
mod industry;
mod junos;
mod os;
mod ports;
mod sections;
mod sonic;
mod statements;
mod system;
mod terminal;
mod vlans;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use russh::Channel;
use russh::server::Msg;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{SimError, ssh};
pub(super) use carried::Carried;
use fault::Faults;
pub use fault::{CliFault, CliWhat};
use industry::Industry;
use junos::Junos;
use os::Os;
use sonic::Sonic;
use system::{Style, System};

/// Everything needed to start a device.
#[derive(Clone, Debug)]
pub struct CliSpec {
    pub name: String,
    /// One of [`systems`].
    pub system: String,
    /// Its own name, in prompts; none: the system's usual one.
    pub hostname: Option<String>,
    /// Said before the first prompt in place of the system's own words.
    pub banner: Option<String>,
    /// None: who logs in is privileged, or need not prove to be.
    pub enable_secret: Option<SecretString>,
    /// Empty: the system's usual ones.
    pub ports: Vec<String>,
    /// Ports that nothing is plugged into; the others have a link as soon as they are up.
    pub no_link: Vec<String>,
    /// Lines of its first configuration, as they would be entered.
    pub config: String,
    /// What only some devices of this system do.
    pub variants: BTreeSet<String>,
    /// Other words for what the system says, by occasion.
    pub texts: BTreeMap<String, String>,
    /// Its timers run this many times as fast.
    pub timer_scale: u32,
    /// Before every command.
    pub latency: Duration,
    pub faults: Vec<CliFault>,
    pub username: String,
    /// Also asked for in keyboard-interactive.
    pub password: Option<SecretString>,
    /// An OpenSSH public key that may log in.
    pub authorized_key: Option<String>,
    /// The private host key in OpenSSH's format; without it a new one is made.
    pub host_key: Option<SecretString>,
}

impl CliSpec {
    /// As delivered. Nobody can log in until a password or a key is given.
    pub fn new(system: &str) -> Self {
        Self {
            name: "switch".to_owned(),
            system: system.to_owned(),
            hostname: None,
            banner: None,
            enable_secret: None,
            ports: Vec::new(),
            no_link: Vec::new(),
            config: String::new(),
            variants: BTreeSet::new(),
            texts: BTreeMap::new(),
            timer_scale: 1,
            latency: Duration::ZERO,
            faults: Vec::new(),
            username: "admin".to_owned(),
            password: None,
            authorized_key: None,
            host_key: None,
        }
    }
}

/// What is wrong with the name or the data of a system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct SystemError(String);

/// The names of all systems.
pub fn systems() -> Vec<&'static str> {
    System::names()
}

/// A running device. It ends when this is dropped.
pub struct CliSwitch {
    shared: Arc<Shared>,
    listener: ssh::Listener,
}

/// One command as it arrived, in the order of arrival. Secrets are not among them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CliCommand {
    /// The session's number, from 1; 0: a channel of its own.
    pub session: u32,
    pub line: String,
}

/// Starts a device and its SSH listener; port 0 takes a free one.
pub async fn start(spec: CliSpec, bind: SocketAddr) -> Result<CliSwitch, SimError> {
    let unknown = |source| SimError::System { switch: spec.name.clone(), source };
    let device = Device::new(&spec).map_err(unknown)?;
    let shared = Arc::new(Shared { latency: spec.latency, device: Mutex::new(device) });
    let access = ssh::Access {
        switch: &spec.name,
        username: &spec.username,
        password: spec.password.as_ref(),
        authorized_key: spec.authorized_key.as_deref(),
        host_key: spec.host_key.as_ref(),
    };
    let listener = ssh::listen(access, Arc::new(Shells(Arc::clone(&shared))), bind).await?;
    Ok(CliSwitch { shared, listener })
}

impl CliSwitch {
    /// Where its SSH server listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.address
    }

    /// Its public host key, `ssh-ed25519 AAAA...`.
    pub fn host_key(&self) -> &str {
        &self.listener.host_key
    }

    /// Serves one shell over any byte stream, without SSH, on a task of its own.
    pub fn serve_stream<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tokio::spawn(terminal::serve(Arc::clone(&self.shared), stream));
    }

    /// The configuration in force, as the device shows it.
    pub fn running_config(&self) -> String {
        self.shared.device().os.running()
    }

    /// What it would start with.
    pub fn startup_config(&self) -> String {
        self.shared.device().os.startup()
    }

    /// Every command so far.
    pub fn commands(&self) -> Vec<CliCommand> {
        self.shared.device().log.clone()
    }

    /// Sets one more fault; it counts from now.
    pub fn fault(&self, fault: CliFault) {
        self.shared.device().faults.add(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.shared.device().faults.clear();
    }

    /// Whether a timed commit waits for its confirmation.
    pub fn pending_commit(&self) -> bool {
        self.shared.device().os.deadline().is_some()
    }

    /// Lets the timer that runs, if one does, run out now.
    pub fn expire(&self) {
        let mut device = self.shared.device();
        if let Some(deadline) = device.os.deadline() {
            device.os.expire(deadline);
        }
    }

    /// Ends all sessions and stops listening.
    pub fn shutdown(self) {
        drop(self);
    }
}

/// What the sessions of one device have in common.
struct Shared {
    latency: Duration,
    device: Mutex<Device>,
}

struct Device {
    system: Arc<System>,
    os: Box<dyn Os>,
    faults: Faults,
    log: Vec<CliCommand>,
}

impl Device {
    fn new(spec: &CliSpec) -> Result<Self, SystemError> {
        let mut system = System::builtin(&spec.system)?;
        if let Some(unknown) = spec.variants.iter().find(|variant| !system.variants.contains(*variant)) {
            return Err(SystemError(format!("`{unknown}` is no variant of {}", spec.system)));
        }
        if let Some(unknown) = spec.texts.keys().find(|occasion| !system.texts.contains_key(*occasion)) {
            return Err(SystemError(format!("{} says nothing on `{unknown}`", spec.system)));
        }
        if let Some(unknown) = spec.ports.iter().find(|port| !system.has_type_of(port)) {
            let types = system.port_types.join(", ");
            return Err(SystemError(format!(
                "{} has no port `{unknown}`: its ports begin with one of {types}",
                spec.system
            )));
        }
        system.texts.extend(spec.texts.clone());
        if let Some(banner) = &spec.banner {
            system.banner.clone_from(banner);
        }
        let system = Arc::new(system);
        let os: Box<dyn Os> = match system.style {
            Style::Sections => Box::new(Industry::new(Arc::clone(&system), spec)),
            Style::Linux => Box::new(Sonic::new(Arc::clone(&system), spec)),
            Style::Statements => Box::new(Junos::new(Arc::clone(&system), spec)),
        };
        let mut faults = Faults::default();
        spec.faults.iter().cloned().for_each(|fault| faults.add(fault));
        Ok(Self { system, os, faults, log: Vec::new() })
    }
}

impl Shared {
    /// The device as it is now. Held for one step, never while waiting.
    fn device(&self) -> MutexGuard<'_, Device> {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        device.os.expire(Instant::now());
        device
    }
}

/// Shells and commands as what the SSH server offers.
struct Shells(Arc<Shared>);

impl ssh::Service for Shells {
    fn serve(
        &self,
        ask: ssh::Ask,
        channel: Channel<Msg>,
    ) -> Result<BoxFuture<'static, ssh::After>, Channel<Msg>> {
        let shared = Arc::clone(&self.0);
        match ask {
            ssh::Ask::Shell => Ok(Box::pin(terminal::serve(shared, channel.into_stream()))),
            ssh::Ask::Exec(command) => Ok(Box::pin(terminal::exec(shared, command, channel))),
            ssh::Ask::Subsystem(_) => Err(channel),
        }
    }
}

/// A device's seconds on our clock.
fn scaled(seconds: u64, scale: u32) -> Duration {
    Duration::from_secs(seconds) / scale.max(1)
}
