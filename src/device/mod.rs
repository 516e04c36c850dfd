//! What the operator wrote about devices: profiles (an operating system), the inventory (each
//! device, its limits) and credentials.

pub mod credentials;
pub mod inventory;
pub mod profile;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use regex::Regex;
use secrecy::SecretString;

use crate::transport::Timed;
use crate::vlan::{VlanError, VlanId, VlanSet};

/// Data about one operating system, read from `devices/<name>.toml`.
#[derive(Clone, Debug)]
pub struct Profile {
    pub name: String,
    pub description: String,
    pub openconfig: OpenConfigHabits,
    pub netconf: NetconfHabits,
}

/// How this system uses the OpenConfig model.
#[derive(Clone, Debug)]
pub struct OpenConfigHabits {
    /// The network instance whose VLAN table carries the switch's VLANs; none: it has no table.
    pub network_instance: Option<String>,
    /// `config/type` (an identity with its module) for an interface that has to be created.
    pub interface_type: String,
    /// Whether a trunk's native VLAN must also be in `trunk-vlans`.
    pub native_in_trunk_vlans: bool,
}

/// How this system speaks NETCONF.
#[derive(Clone, Debug)]
pub struct NetconfHabits {
    /// The strongest kind of confirm it may be trusted with; what its hello offers can only lower it.
    /// `None` here means: believe the hello.
    pub confirm: Option<Timed>,
    /// The unit in which it counts the confirm timer.
    pub timer_granularity: Duration,
    /// Pause between sessions kept open and idle; then we close. Zero closes at once.
    pub idle_limit: Duration,
    /// How often to ask an idle peer whether it is there; none: never.
    pub keepalive: Option<Duration>,
    /// SSH algorithm names to offer besides the modern defaults, for old switches.
    pub ssh_algorithms: Vec<String>,
}

/// Every device and the limits put on it.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// By name.
    pub devices: BTreeMap<String, Arc<Device>>,
    /// ML2's physical networks, by name.
    pub physical_networks: BTreeMap<String, PhysicalNetwork>,
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
    pub endpoint: Endpoint,
    pub profile: Arc<Profile>,
    pub allowed_vlans: VlanSet,
    /// VLANs allowed as `default_vlan` besides `allowed_vlans`.
    pub idle_vlans: VlanSet,
    /// None: every port that is not protected. An empty list: no port.
    pub allowed_ports: Option<Vec<PortPattern>>,
    /// Ports that stay as they are whatever `allowed_ports` says.
    pub protected_ports: Vec<PortPattern>,
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
    pub host_key: HostKey,
}

/// What proves who we are. Values cannot be printed.
#[derive(Clone, Debug)]
pub enum Credential {
    /// A private key that `russh::keys::decode_secret_key` reads, as text, unencrypted.
    Key(SecretString),
    Password(SecretString),
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

/// `re:` and a regular expression that must match the whole name, or a name.
#[derive(Clone, Debug)]
pub enum PortPattern {
    Name(String),
    Regex(Regex),
}

/// A MAC address; equal in whatever notation it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mac(pub [u8; 6]);

/// Why a port must not be touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PortRefused {
    #[error("port `{port}` of {device} is protected")]
    Protected { device: String, port: String },
    #[error("port `{port}` of {device} is one of its trunk_ports")]
    Uplink { device: String, port: String },
    #[error("port `{port}` of {device} is not among its allowed ports")]
    NotAllowed { device: String, port: String },
}

/// Why a text is not one of the words of this module.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WordError {
    #[error("`{0}` is not a MAC address")]
    Mac(String),
    #[error("a port name must not be empty")]
    EmptyPort,
    #[error("not a regular expression: {0}")]
    Regex(String),
    #[error("expected \"disable\" or \"quarantine:VLAN\", found \"{0}\"")]
    OnDetach(String),
    #[error(transparent)]
    Vlan(#[from] VlanError),
}

impl Device {
    /// Whether the configuration of `port` may be changed; a protection beats a permission.
    pub fn may_touch(&self, port: &str) -> Result<(), PortRefused> {
        let matched = |patterns: &[PortPattern]| patterns.iter().any(|pattern| pattern.matches(port));
        let (device, port) = (self.name.clone(), port.to_owned());
        if matched(&self.protected_ports) {
            return Err(PortRefused::Protected { device, port });
        }
        if self.trunk_ports.contains(&port) {
            return Err(PortRefused::Uplink { device, port });
        }
        match &self.allowed_ports {
            Some(allowed) if !matched(allowed) => Err(PortRefused::NotAllowed { device, port }),
            _ => Ok(()),
        }
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

impl PortPattern {
    pub fn matches(&self, port: &str) -> bool {
        match self {
            Self::Name(name) => name == port,
            Self::Regex(regex) => regex.is_match(port),
        }
    }
}

impl FromStr for PortPattern {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let Some(pattern) = text.strip_prefix("re:") else {
            return if text.is_empty() { Err(WordError::EmptyPort) } else { Ok(Self::Name(text.to_owned())) };
        };
        // Alone first: `a)|(b` is no expression, but would become one inside the group.
        Regex::new(pattern)
            .and_then(|_| Regex::new(&format!(r"\A(?:{pattern})\z")))
            .map(Self::Regex)
            .map_err(|error| WordError::Regex(last_line(&error.to_string())))
    }
}

/// The reason in regex's drawing of where the mistake is.
fn last_line(text: &str) -> String {
    let line = text.lines().last().unwrap_or_default();
    line.trim().trim_start_matches("error: ").to_owned()
}

impl FromStr for Mac {
    type Err = WordError;

    /// Twelve hexadecimal digits, bare or in equal groups of 2, 4 or 6 between `:`, `-` or `.`.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let wrong = || WordError::Mac(text.to_owned());
        let separator = text.chars().find(|c| [':', '-', '.'].contains(c));
        let groups: Vec<&str> = separator.map_or(vec![text], |separator| text.split(separator).collect());
        let digits = groups.concat();
        let size = digits.len() / groups.len();
        let equal = groups.iter().all(|group| group.len() == size) && [2, 4, 6, 12].contains(&size);
        if !equal || digits.len() != 12 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let value = u64::from_str_radix(&digits, 16).map_err(|_| wrong())?;
        let [_, _, bytes @ ..] = value.to_be_bytes();
        Ok(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

/// A name that can also be a file's: letters, digits, `.`, `_` and `-`, at most 128 of them.
fn safe_name(text: &str) -> Result<String, String> {
    let safe = |c: char| c.is_ascii_alphanumeric() || ['.', '_', '-'].contains(&c);
    if text.is_empty() || text.len() > 128 || text.starts_with(['.', '-']) || !text.chars().all(safe) {
        return Err(format!(
            "\"{}\" is not a usable name: 1 to 128 letters, digits, `.`, `_` and `-`, first a letter, digit or `_`",
            text.escape_debug()
        ));
    }
    Ok(text.to_owned())
}

/// A device that allows everything, for tests of what comes after the inventory.
#[cfg(test)]
pub(crate) fn sample(name: &str) -> Device {
    let profiles = Profile::builtin().unwrap();
    Device {
        name: name.to_owned(),
        mac_address: None,
        endpoint: Endpoint {
            address: "127.0.0.1".to_owned(),
            port: 830,
            username: "admin".to_owned(),
            credential: Credential::NotLoaded,
            host_key: HostKey::Pinned(String::new()),
        },
        profile: profiles["netconf_openconfig"].clone(),
        allowed_vlans: "1-4094".parse().unwrap(),
        idle_vlans: VlanSet::default(),
        allowed_ports: None,
        protected_ports: Vec::new(),
        on_detach: OnDetach::Disable,
        create_missing_vlans: false,
        save: Save::Each,
        trunk_ports: Vec::new(),
        physical_networks: BTreeSet::new(),
        manage_vlans: true,
        protected_vlans: VlanSet::default(),
        frozen: None,
        sessions: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn macs_are_equal_in_any_notation() {
        let mac = Mac([0x00, 0x1c, 0x73, 0xaa, 0xbb, 0x01]);
        for text in [
            "00:1c:73:aa:bb:01",
            "00-1C-73-AA-BB-01",
            "001c.73aa.bb01",
            "001c-73aa-bb01",
            "001c73-aabb01",
            "001C73aabb01",
        ] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        assert_eq!(mac.to_string(), "00:1c:73:aa:bb:01");
        for bad in [
            "",
            "00:1c:73:aa:bb",
            "00:1c:73:aa:bb:01:02",
            "00:1c:73:aa:bb:0g",
            "00:1c-73:aa:bb:01",
            "0:01c:73:aa:bb:01",
            "001c73aabb0",
            "00:1c:73:aa:bb:01\0",
            "éé:1c:73:aa:bb:01",
            "::::::",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_pattern_matches_the_whole_name() {
        let matches = |pattern: &str, port| pattern.parse::<PortPattern>().unwrap().matches(port);
        assert!(matches("eth1", "eth1") && !matches("eth1", "eth10") && !matches("eth.", "eth1"));
        assert!(matches("re:eth[0-9]|lo", "eth1") && matches("re:eth[0-9]|lo", "lo"));
        assert!(!matches("re:eth[0-9]", "eth10") && !matches("re:eth[0-9]", "veth1"));
        assert!(!matches("re:(?m)^eth1$", "eth1\neth2"));
        for bad in ["", "re:[", "re:a)|(b", "re:(?x)a # b"] {
            assert!(bad.parse::<PortPattern>().is_err(), "{bad}");
        }
    }

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
