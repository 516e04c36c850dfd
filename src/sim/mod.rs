//! The embedded simulator: switches that speak NETCONF over SSH, and gNMI if they are told to, and in
//! [`cli`] command lines.
//!
//! Datastores, locks, edits and confirmed commits are real, over libyang's own trees and
//! validation. Nothing of Mercury's planning, rendering or client code is used here, framing and
//! messages included, so a mistake shared by both sides cannot hide.
//!
//! * [`start`] gives a [`Switch`] from a [`SwitchSpec`]; [`Personality`] is what it promises.
//! * [`FaultSpec`] is what goes wrong, and when.
//! * From the wire inwards: `ssh`, `session` (over any byte stream) with `frame` and `xml`, `rpc`
//!   (operations), `store` and `commit` (datastores), `edit`, `filter` and `state` on a `tree`.
//! * [`gnmi`] is another way to the same datastores; `native` has a vendor's own model in their place.

pub mod cli;
mod commit;
mod edit;
mod error;
mod fault;
mod filter;
mod frame;
pub mod gnmi;
mod native;
mod rpc;
mod session;
mod spec;
mod ssh;
mod state;
mod store;
mod tree;
mod xml;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use russh::Channel;
use russh::server::Msg;
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use crate::schema::Schema;

pub use fault::{FaultSpec, FaultSpecError, Nth, What, duration};
pub use native::NativeSpec;
pub use spec::{Personality, Quirks, SwitchSpec};
pub use ssh::write_host_key;

use fault::Faults;
use spec::Confirm;
use store::Store;

/// Why a simulated switch does not start.
#[derive(Debug, thiserror::Error)]
pub enum SimError {
    #[error("switch {switch}: its first configuration is not valid: {why}")]
    Startup { switch: String, why: String },
    #[error("switch {switch}: cannot listen on {address}")]
    Bind { switch: String, address: SocketAddr, source: std::io::Error },
    #[error("switch {switch}: {source}")]
    System { switch: String, source: cli::SystemError },
    #[error("switch {switch}: bad key")]
    Key { switch: String, source: russh::keys::ssh_key::Error },
    #[error("switch {switch}: no TLS for gNMI")]
    Tls { switch: String, source: gnmi::TlsError },
}

/// A running switch. It ends when this is dropped.
pub struct Switch {
    shared: Arc<Shared>,
    listener: ssh::Listener,
    gnmi: Option<gnmi::Listener>,
}

/// Whom a switch knows.
struct Login {
    username: String,
    password: Option<SecretString>,
}

/// One message as it arrived, in the order of arrival.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Logged {
    /// The session's number, from 1; 0 by gNMI, which has none.
    pub session: u32,
    /// As in [`FaultSpec::rpc`].
    pub rpc: String,
}

/// Starts a switch and its listeners, SSH's at `bind`; port 0 takes a free one.
pub async fn start(spec: SwitchSpec, schema: Arc<Schema>, bind: SocketAddr) -> Result<Switch, SimError> {
    let mut faults = Faults::default();
    spec.faults.iter().cloned().for_each(|fault| faults.add(fault));
    let shared = Arc::new(Shared {
        capabilities: spec.capabilities(schema.context()),
        latency: spec.latency,
        device: Mutex::new(Device { store: Store::new(&spec, &schema)?, faults, log: Vec::new() }),
    });
    let access = ssh::Access {
        switch: &spec.name,
        username: &spec.username,
        password: spec.password.as_ref(),
        authorized_key: spec.authorized_key.as_deref(),
        host_key: spec.host_key.as_ref(),
    };
    let listener = ssh::listen(access, Arc::new(Netconf(Arc::clone(&shared))), bind).await?;
    let gnmi = match spec.gnmi {
        None => None,
        Some(gnmi) => {
            let address = SocketAddr::new(bind.ip(), gnmi.port);
            let login = Login { username: spec.username, password: spec.password };
            let service = gnmi::Service { shared: Arc::clone(&shared), spec: gnmi, login };
            Some(gnmi::listen(service, &spec.name, address).await?)
        }
    };
    Ok(Switch { shared, listener, gnmi })
}

impl Switch {
    /// Where its SSH server listens.
    pub fn addr(&self) -> SocketAddr {
        self.listener.address
    }

    /// Where its gNMI target listens, if it has one.
    pub fn gnmi_addr(&self) -> Option<SocketAddr> {
        self.gnmi.as_ref().map(|listener| listener.address)
    }

    /// Its public host key, `ssh-ed25519 AAAA...`.
    pub fn host_key(&self) -> &str {
        &self.listener.host_key
    }

    /// Serves one session over any byte stream, without SSH, on a task of its own. The session is
    /// open when this returns.
    pub fn serve_stream<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        tokio::spawn(session::serve(&self.shared, stream));
    }

    /// Serves one gNMI connection over any byte stream, without TLS, on a task of its own. A switch that
    /// is no gNMI target closes it.
    pub fn serve_gnmi_stream<S>(&self, stream: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if let Some(gnmi) = &self.gnmi {
            gnmi.serve_stream(stream);
        }
    }

    /// The running configuration as XML: the top-level nodes, no defaults.
    pub fn running_xml(&self) -> String {
        printed(&self.shared.device().store, store::Datastore::Running)
    }

    /// The running configuration of a switch of a vendor's own model.
    pub fn native_xml(&self) -> String {
        self.shared
            .device()
            .store
            .native
            .as_ref()
            .map(|native| native.select(false, None))
            .unwrap_or_default()
    }

    /// What its gNMI target has under an origin that is a model of its own.
    pub fn document(&self, origin: &str) -> serde_json::Value {
        self.shared.device().store.documents.get(origin).cloned().unwrap_or_default()
    }

    /// The configuration in force on the command line that its gNMI target carries.
    pub fn carried_config(&self) -> String {
        self.shared.device().store.cli.as_ref().map(cli::Carried::running).unwrap_or_default()
    }

    /// The startup configuration, empty where the switch has none.
    pub fn startup_xml(&self) -> String {
        printed(&self.shared.device().store, store::Datastore::Startup)
    }

    /// Whether the candidate has changes that are neither committed nor discarded.
    pub fn candidate_is_dirty(&self) -> bool {
        self.shared.device().store.is_dirty()
    }

    /// Whether a confirmed commit waits for its confirmation.
    pub fn pending_commit(&self) -> bool {
        self.shared.device().store.pending.is_some()
    }

    /// Waits until the timer of the pending commit is over, however often it is set again.
    pub async fn timer_over(&self) {
        loop {
            let deadline = self.shared.device().store.deadline();
            let Some(deadline) = deadline else { return };
            tokio::time::sleep_until(deadline).await;
        }
    }

    /// Locked datastores and the sessions that hold them.
    pub fn locks(&self) -> BTreeMap<&'static str, u32> {
        self.shared.device().store.locks()
    }

    /// How many commits or edits have changed running; undoing by the switch itself does not count.
    pub fn commits(&self) -> u64 {
        self.shared.device().store.commits
    }

    /// How many sessions are open.
    pub fn sessions(&self) -> usize {
        self.shared.device().store.sessions()
    }

    /// Every hello and rpc so far.
    pub fn log(&self) -> Vec<Logged> {
        self.shared.device().log.clone()
    }

    /// Sets one more fault; it counts from now.
    pub fn inject(&self, fault: FaultSpec) {
        self.shared.device().faults.add(fault);
    }

    /// Takes all faults away.
    pub fn clear_faults(&self) {
        self.shared.device().faults.clear();
    }

    /// Ends all sessions and stops listening.
    pub fn shutdown(self) {
        drop(self);
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.shared.device().store.kill_all();
    }
}

fn printed(store: &Store, datastore: store::Datastore) -> String {
    store.tree(datastore).ok().and_then(|tree| tree.xml().ok()).unwrap_or_default()
}

/// NETCONF as the one thing that the SSH server offers (RFC 6242 3).
struct Netconf(Arc<Shared>);

impl ssh::Service for Netconf {
    fn serve(
        &self,
        ask: ssh::Ask,
        channel: Channel<Msg>,
    ) -> Result<BoxFuture<'static, ssh::After>, Channel<Msg>> {
        if !matches!(&ask, ssh::Ask::Subsystem(name) if name == "netconf") {
            return Err(channel);
        }
        let serve = session::serve(&self.0, channel.into_stream());
        Ok(Box::pin(serve.map(|()| ssh::After::Disconnect)))
    }
}

/// What the sessions of one switch have in common.
struct Shared {
    capabilities: Vec<String>,
    latency: Duration,
    device: Mutex<Device>,
}

struct Device {
    store: Store,
    faults: Faults,
    log: Vec<Logged>,
}

impl Shared {
    /// The switch as it is now. Held for one step, never while waiting.
    fn device(&self) -> MutexGuard<'_, Device> {
        let mut device = self.device.lock().unwrap_or_else(PoisonError::into_inner);
        device.store.expire(Instant::now());
        device
    }
}

impl Device {
    /// Notes a message and says what goes wrong with it.
    fn arrive(&mut self, session: u32, rpc: &str) -> Option<What> {
        self.log.push(Logged { session, rpc: rpc.to_owned() });
        self.faults.due(rpc)
    }
}
