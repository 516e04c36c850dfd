//! What the operator wrote about devices: profiles (an operating system), the inventory (each
//! device, its limits) and credentials.

pub mod cli;
pub mod credentials;
mod habits;
mod ids;
pub mod inventory;
pub mod language;
mod ports;
mod profile;
mod profiles;
mod terminal;
mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;

use crate::openconfig::NETWORK_INSTANCES;
use crate::path::Path;
use crate::vlan::{VlanError, VlanId, VlanSet};
pub use cli::{CliHabits, NotRead};
pub use habits::{
    GnmiEncoding, GnmiHabits, KeyLeaf, Model, NetconfHabits, OpenConfigHabits, Speaks, SshHabits, Timed,
};
pub(crate) use ids::safe_name;
pub use ids::{DatapathId, Index, Mac};
use language::PortField;
pub use language::{Language, TemplateError};
pub use ports::{PortPattern, PortRefused, PortRename};
pub use profiles::Profiles;
pub use terminal::{LoginQuestions, Question, Setup, TerminalHabits};

/// Data about one operating system, read from `devices/<name>.toml`.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: String,
    pub description: String,
    /// What other inventories call this system, as their device type.
    pub aliases: BTreeSet<String>,
    /// How LLDP's names for ports become the configuration's; the first that fits.
    pub port_names: Vec<PortRename>,
    /// Whether two port names that differ in case only are one port.
    pub port_names_ignore_case: bool,
    pub openconfig: OpenConfigHabits,
    /// How its connections are kept.
    pub ssh: SshHabits,
    /// How it is configured; where there are several ways, the first.
    pub speaks: Speaks,
    /// The other ways, in the order in which they are tried.
    pub others: Vec<Way>,
}

/// A transport, and how its connections are kept.
#[derive(Clone, Debug)]
pub struct Way {
    pub speaks: Speaks,
    pub ssh: SshHabits,
}

impl Device {
    /// A device of this profile that allows everything and is nowhere: for plans that need no inventory.
    pub fn stand_in(profile: Arc<Profile>) -> Self {
        Self {
            name: "switch".to_owned(),
            mac_address: None,
            datapath_id: None,
            hostnames: BTreeSet::new(),
            endpoint: Endpoint {
                address: "127.0.0.1".to_owned(),
                port: 830,
                username: "admin".to_owned(),
                credential: Credential::NotLoaded,
                credential_from: String::new(),
                enable_secret: None,
                host_key: HostKey::None,
                cli_port: None,
                gnmi: None,
            },
            profile,
            allowed_vlans: VlanSet::all(),
            idle_vlans: VlanSet::default(),
            allowed_ports: None,
            protected_ports: Vec::new(),
            port_names: Vec::new(),
            on_detach: OnDetach::Disable,
            create_missing_vlans: false,
            save: Save::Each,
            trunk_ports: Vec::new(),
            physical_networks: BTreeSet::new(),
            manage_vlans: true,
            stp_edge: false,
            bpdu_guard: false,
            protected_vlans: VlanSet::default(),
            frozen: None,
            sessions: None,
        }
    }
}

impl Profile {
    /// What it speaks, in the order in which it is tried.
    pub fn speaks_all(&self) -> impl Iterator<Item = &Speaks> {
        std::iter::once(&self.speaks).chain(self.others.iter().map(|way| &way.speaks))
    }

    /// A profile for each way, which has no other.
    pub fn ways(self: &Arc<Self>) -> Vec<Arc<Self>> {
        if self.others.is_empty() {
            return vec![self.clone()];
        }
        let first = Way { speaks: self.speaks.clone(), ssh: self.ssh.clone() };
        let alone =
            |way: Way| Self { speaks: way.speaks, ssh: way.ssh, others: Vec::new(), ..(**self).clone() };
        std::iter::once(first).chain(self.others.iter().cloned()).map(|way| Arc::new(alone(way))).collect()
    }

    /// The most sessions at a time that all of its ways have room for; none: no limit.
    pub fn sessions(&self) -> Option<usize> {
        std::iter::once(&self.ssh)
            .chain(self.others.iter().map(|way| &way.ssh))
            .filter_map(|ssh| ssh.sessions)
            .min()
    }

    /// Where the VLAN table is; none: the system has no such table.
    pub fn network_instance(&self) -> Option<Path> {
        let name = self.openconfig.network_instance.as_deref()?;
        Some(Path::default().child(NETWORK_INSTANCES).entry("network-instance", "name", name))
    }

    /// Whether it can be told that a port is an STP edge, and to guard it from BPDUs, in every way.
    pub fn spanning_tree(&self) -> (bool, bool) {
        let has = |field| {
            self.speaks_all().all(|speaks| match speaks.language() {
                None => self.openconfig.spanning_tree,
                Some(language) => language.has_word_for(field),
            })
        };
        (has(PortField::StpEdge), has(PortField::BpduGuard))
    }

    /// Whether what the spanning tree knows of a port goes with the last of its VLANs.
    pub fn stp_with_vlans(&self) -> bool {
        self.speaks.language().is_some_and(|language| language.stp_with_vlans)
    }

    /// Whether a port has an MTU of its own.
    pub fn has_mtu(&self) -> bool {
        self.speaks.language().is_none_or(|language| language.has_word_for(PortField::Mtu))
    }

    /// Whether it can be told what a port is called.
    pub fn has_description(&self) -> bool {
        self.speaks.language().is_none_or(|language| language.has_word_for(PortField::Description))
    }

    /// Whether it may be reached by SSH, and whether by gNMI.
    pub fn reached_by(&self) -> (bool, bool) {
        let is_gnmi = |speaks: &Speaks| matches!(speaks, Speaks::Gnmi(_));
        (!self.speaks_all().all(is_gnmi), self.speaks_all().any(is_gnmi))
    }

    /// How it speaks NETCONF; none: it does not.
    pub fn netconf(&self) -> Option<&NetconfHabits> {
        match &self.speaks {
            Speaks::Netconf(habits) => Some(habits),
            Speaks::Gnmi(_) | Speaks::Cli(_) => None,
        }
    }

    /// How long a commit's timer is at first, where it can be lengthened; none: as long as the call has.
    pub fn commit_timer(&self) -> Option<Duration> {
        match &self.speaks {
            Speaks::Gnmi(habits) => habits.commit_timer,
            Speaks::Netconf(_) | Speaks::Cli(_) => None,
        }
    }

    /// The unit in which the device counts a confirm timer.
    pub fn timer_granularity(&self) -> Duration {
        match &self.speaks {
            Speaks::Netconf(habits) => habits.timer_granularity,
            Speaks::Gnmi(habits) => habits.timer_granularity,
            Speaks::Cli(habits) => habits
                .staging
                .as_ref()
                .and_then(|s| s.timer.as_ref())
                .map_or(Duration::from_secs(1), |timer| timer.granularity),
        }
    }
}

/// Every device and the limits put on it.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// By name.
    pub devices: BTreeMap<String, Arc<Device>>,
    /// ML2's physical networks, by name.
    pub physical_networks: BTreeMap<String, PhysicalNetwork>,
    /// What has no effect here: of an inventory of another format with file and line, and wishes for all devices
    /// that some have no words for.
    pub remarks: Vec<String>,
    /// The names of profiles that `[inventory.profiles]` gives device types of other inventories.
    pub device_types: BTreeMap<String, String>,
    /// Made when it is first asked for, and right as long as the devices stay as they are then.
    pub index: Index,
}

/// A physical network in ML2's sense: switches that carry the same VLANs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PhysicalNetwork {
    /// The VLAN that carries its flat network; none: flat segments are refused.
    pub flat_vlan: Option<VlanId>,
}

/// One device: where it is, how to log in, what may be done to it.
#[derive(Clone, Debug)]
pub struct Device {
    pub name: String,
    pub mac_address: Option<Mac>,
    pub datapath_id: Option<DatapathId>,
    /// The smart NICs that it stands for: their hosts' names, in lower case.
    pub hostnames: BTreeSet<String>,
    pub endpoint: Endpoint,
    pub profile: Arc<Profile>,
    pub allowed_vlans: VlanSet,
    /// VLANs allowed as `default_vlan` besides `allowed_vlans`.
    pub idle_vlans: VlanSet,
    /// None: every port that is not protected. An empty list: no port.
    pub allowed_ports: Option<Vec<PortPattern>>,
    /// Ports that stay as they are whatever `allowed_ports` says.
    pub protected_ports: Vec<PortPattern>,
    /// As the profile's, and tried before them.
    pub port_names: Vec<PortRename>,
    pub on_detach: OnDetach,
    /// Whether an attach may create a VLAN that the switch's table lacks.
    pub create_missing_vlans: bool,
    pub save: Save,
    /// Uplinks, by their exact names: a network that is added or deleted is added to or taken from them.
    pub trunk_ports: Vec<String>,
    /// The physical networks that this device is part of.
    pub physical_networks: BTreeSet<String>,
    /// Whether networks may be added and deleted here at all.
    pub manage_vlans: bool,
    /// An attach tells the spanning tree that a server is behind the port; a detach leaves that, unless it
    /// goes with the VLANs.
    pub stp_edge: bool,
    /// An attach guards the port from BPDUs; a detach does as above.
    pub bpdu_guard: bool,
    /// VLANs that adding or deleting a network never creates, changes or deletes.
    pub protected_vlans: VlanSet,
    /// Why it is frozen for maintenance: nothing is attached, but still detached. None: it is not.
    pub frozen: Option<String>,
    /// The most sessions that may be open at a time; none: no limit of its own.
    pub sessions: Option<usize>,
}

/// How to reach a device and be sure that it is the one.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Host name or IP literal, without brackets.
    pub address: String,
    pub port: u16,
    pub username: String,
    pub credential: Credential,
    /// Where the credential was read: a file, a variable, a credential of systemd. Empty: not known.
    pub credential_from: String,
    /// What a command line asks for before it takes configuration; NETCONF never asks.
    pub enable_secret: Option<SecretString>,
    pub host_key: HostKey,
    /// Where its command line is, if `port` is that of its NETCONF.
    pub cli_port: Option<u16>,
    /// Where and how it is reached by gNMI; none: not at all.
    pub gnmi: Option<GnmiEndpoint>,
}

impl Endpoint {
    /// Where to look when a login is refused, to be added to why it was: `; our key is from FILE`.
    pub fn told_credential(&self) -> String {
        let kind = match self.credential {
            Credential::Key(_) => "key",
            Credential::Password(_) => "password",
            Credential::Certificate | Credential::NotLoaded => return String::new(),
        };
        match self.credential_from.as_str() {
            "" => String::new(),
            from => format!("; our {kind} is from {from}"),
        }
    }
}

/// How to reach a device by gNMI.
#[derive(Clone, Debug)]
pub struct GnmiEndpoint {
    pub port: u16,
    pub security: Security,
    /// Whether we show a certificate of our own, which may be all that is needed to log in.
    pub shows_certificate: bool,
}

/// What keeps others from listening and from answering.
#[derive(Clone, Debug)]
pub enum Security {
    /// Nothing.
    Plaintext,
    /// The certificate is checked for `server_name`; none: for the address.
    Tls { config: TlsSettings, server_name: Option<String> },
    /// Left unread because the inventory was loaded to plan offline; no session can be opened.
    NotLoaded,
}

/// Whom to believe and what to show, our private key among it: nothing of it can be printed.
#[derive(Clone)]
pub struct TlsSettings(pub Arc<rustls::ClientConfig>);

impl fmt::Debug for TlsSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TlsSettings")
    }
}

/// What proves who we are. Values cannot be printed.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A private key that `russh::keys::decode_secret_key` reads, as text, unencrypted.
    Key(SecretString),
    Password(SecretString),
    /// The certificate that we show in TLS, and nothing else.
    Certificate,
    /// Left unread because the inventory was loaded to plan offline; no session can be opened.
    NotLoaded,
}

/// What proves who the device is.
#[derive(Clone, Debug)]
pub enum HostKey {
    /// An OpenSSH known_hosts file.
    KnownHosts(PathBuf),
    /// One public key, `ssh-ed25519 AAAA...`.
    Pinned(String),
    /// None is on record, since it is not reached by SSH.
    None,
}

/// What a detach leaves when no default VLAN is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDetach {
    /// Administratively down, no VLAN; attach enables the port again.
    Disable,
    /// An access port of this VLAN.
    Quarantine(VlanId),
}

/// Whether a change is saved to the startup datastore.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Save {
    /// As part of the transaction; a failure undoes the change.
    Each,
    Never,
}

/// Why a text is not one of the words of this module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    #[error("`{0}` is not a MAC address")]
    Mac(String),
    #[error("`{0}` is not a datapath id")]
    DatapathId(String),
    #[error("a port name must not be empty")]
    EmptyPort,
    #[error("not a regular expression: {0}")]
    Regex(String),
    #[error("the pattern has no group `{0}`; write ${{1}} where a letter or digit follows")]
    Group(String),
    #[error("expected \"disable\" or \"quarantine:VLAN\", found \"{0}\"")]
    OnDetach(String),
    #[error(transparent)]
    Vlan(#[from] VlanError),
}

impl Endpoint {
    /// Where the command line is.
    pub fn of_cli(&self) -> Self {
        Self { port: self.cli_port.unwrap_or(self.port), ..self.clone() }
    }
}

/// `address:port`, an IPv6 address in brackets. Equal for two ways of writing one endpoint.
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&host_and_port(&self.address, self.port))
    }
}

pub(crate) fn host_and_port(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

impl FromStr for OnDetach {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        match text.split_once(':') {
            None if text == "disable" => Ok(Self::Disable),
            Some(("quarantine", vlan)) => Ok(Self::Quarantine(vlan.parse()?)),
            _ => Err(WordError::OnDetach(text.to_owned())),
        }
    }
}

impl fmt::Display for OnDetach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disable => f.write_str("disable"),
            Self::Quarantine(vlan) => write!(f, "quarantine:{vlan}"),
        }
    }
}

/// A device that allows everything, for tests of what comes after the inventory.
#[cfg(test)]
pub(crate) fn sample(name: &str) -> Device {
    let profile = Profiles::default().get("netconf_openconfig").unwrap();
    Device { name: name.to_owned(), ..Device::stand_in(profile) }
}

/// A profile of the site's own, `site_os`, from its text.
#[cfg(test)]
pub(crate) fn own_profile(text: &str) -> std::sync::Arc<Profile> {
    let own = tempfile::tempdir().unwrap();
    std::fs::write(own.path().join("site_os.toml"), text).unwrap();
    let problems = crate::config::reader::Problems::default();
    let profiles = Profiles::read(Some(own.path()), None, &problems);
    problems.finish(Some(profiles)).unwrap().get("site_os").unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn on_detach_reads_what_it_prints() {
        for text in ["disable", "quarantine:999"] {
            assert_eq!(text.parse::<OnDetach>().unwrap().to_string(), text);
        }
        for bad in ["", "Disable", "quarantine", "quarantine:", "quarantine:4095", "disable:1"] {
            assert!(bad.parse::<OnDetach>().is_err(), "{bad}");
        }
    }
}
