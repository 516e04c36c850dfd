//! What a caller wants of a port or of a network's VLAN, vendor-neutral and in OpenConfig's words, and whether the
//! operator's limits allow it. Nothing here knows what the device runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::access::Principal;
use crate::device::{Device, OnDetach, PortRefused, Profile};
use crate::openconfig::StpEdge;
use crate::vlan::{VlanId, VlanSet};

/// What should hold on one device afterwards.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Intent {
    /// The complete desired state of a port's VLANs; what is `None` is left alone.
    Attach(Attach),
    Detach(Detach),
    /// A network's VLAN is in the device's table and on its uplinks.
    AddNetwork {
        vlan: VlanId,
    },
    /// It is neither.
    DeleteNetwork {
        vlan: VlanId,
        /// Also if ports still use it.
        force: bool,
    },
}

/// What a change is about.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Subject {
    Port(PortName),
    Vlan(VlanId),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port(port) => write!(f, "{port}"),
            Self::Vlan(vlan) => write!(f, "VLAN {vlan}"),
        }
    }
}

/// Put a port into VLANs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Attach {
    pub port: PortName,
    pub vlans: PortVlans,
    pub description: Option<Description>,
    /// Octets, as OpenConfig's `config/mtu`.
    pub mtu: Option<u16>,
    pub enabled: Option<bool>,
    /// Ironic's idle network: named so that it can be checked; an attach replaces all VLANs anyway.
    pub default_vlan: Option<VlanId>,
}

/// Isolate a port: afterwards it holds exactly `default_vlan`, or what the device's `on_detach` says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Detach {
    pub port: PortName,
    pub default_vlan: Option<VlanId>,
}

/// OpenConfig's interface-mode with the VLANs that belong to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PortVlans {
    Access {
        vlan: VlanId,
    },
    /// A native VLAN, a tagged list, or both; Ironic's `hybrid` is a trunk with both.
    Trunk {
        native: Option<VlanId>,
        tagged: VlanSet,
    },
}

/// An interface name as the configuration spells it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct PortName(String);

/// A port description that is safe to send.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description(String);

/// What each value of the intent is called in the caller's vocabulary, so that an error names
/// the parameter the caller wrote.
#[derive(Debug, PartialEq, Eq)]
pub struct ParameterNames {
    pub device: &'static str,
    pub port: &'static str,
    pub vlan: &'static str,
    pub tagged: &'static str,
    pub default_vlan: &'static str,
    pub description: &'static str,
    pub physical_network: &'static str,
}

/// Who asked and why. What the caller says about that is for the log; only `principal` decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Caller {
    pub request_id: String,
    pub user: Option<String>,
    pub roles: Vec<String>,
    pub peer: String,
    /// Who it was proven to be.
    #[serde(skip)]
    pub principal: Arc<Principal>,
    /// The method called.
    #[serde(skip)]
    pub method: String,
}

/// One change asked of one port, or one VLAN, of one device.
#[derive(Clone, Debug)]
pub struct Request {
    pub intent: Intent,
    pub device: Arc<Device>,
    /// Where the caller wants it.
    pub physical_network: Option<String>,
    pub caller: Caller,
    pub names: &'static ParameterNames,
    /// Carried out after every lower level holds: a child is reached through its parent's port.
    pub level: u8,
}

/// Why an intent is refused before any device is contacted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntentError {
    #[error("{parameter}: a text of {length} characters; 1 to {limit} are allowed")]
    Length { parameter: &'static str, length: usize, limit: usize },
    #[error("{parameter}: control character U+{code:04X} at position {position}")]
    ControlCharacter { parameter: &'static str, code: u32, position: usize },
    #[error("{parameter}: U+{code:04X} at position {position} is not a character")]
    NotACharacter { parameter: &'static str, code: u32, position: usize },
    #[error("{parameter}: a name that begins or ends with white space")]
    Blank { parameter: &'static str },
    #[error("{parameter}: a name with both kinds of quotes cannot be written as a path")]
    Quotes { parameter: &'static str },
    #[error("{parameter}: {why}")]
    Port { parameter: &'static str, why: PortRefused },
    #[error("{parameter}: VLAN {vlan} is not allowed on {device} (allowed: {allowed})")]
    VlanNotAllowed { parameter: &'static str, vlan: VlanId, device: String, allowed: String },
    #[error("{parameter}: VLAN {vlan} is protected on {device}")]
    VlanProtected { parameter: &'static str, vlan: VlanId, device: String },
    #[error("{parameter}: the VLANs of {device} are not managed here (manage_vlans is not set)")]
    VlansNotManaged { parameter: &'static str, device: String },
    #[error("{parameter}: {device} is not part of physical network `{network}`")]
    OtherNetwork { parameter: &'static str, device: String, network: String },
    #[error("{parameter}: a trunk needs a native VLAN, a list of tagged VLANs, or both")]
    EmptyTrunk { parameter: &'static str },
}

const NAME_LIMIT: usize = 255;

/// How the descriptions begin that Ironic sends (`Ironic Port <uuid>`) and that we write.
const OUR_DESCRIPTIONS: [&str; 2] = ["Ironic Port ", "Neutron Port "];

fn text(text: &str, parameter: &'static str) -> Result<String, IntentError> {
    let length = text.chars().count();
    if !(1..=NAME_LIMIT).contains(&length) {
        return Err(IntentError::Length { parameter, length, limit: NAME_LIMIT });
    }
    for (position, c) in (1..).zip(text.chars()) {
        let code = u32::from(c);
        if c.is_control() {
            return Err(IntentError::ControlCharacter { parameter, code, position });
        }
        // RFC 7950 14, yang-char: XML with one of these is not XML.
        if code & 0xfffe == 0xfffe || (0xfdd0..=0xfdef).contains(&code) {
            return Err(IntentError::NotACharacter { parameter, code, position });
        }
    }
    Ok(text.to_owned())
}

impl PortName {
    /// 1 to 255 characters, no control characters, not both kinds of quotes, no white space around
    /// it: a device may ignore that (RFC 6241 6.2.5), and then ` eth48` is `eth48`, which our limits
    /// would not have seen.
    pub fn new(name: &str, parameter: &'static str) -> Result<Self, IntentError> {
        if name.contains('\'') && name.contains('"') {
            return Err(IntentError::Quotes { parameter });
        }
        let name = text(name, parameter)?;
        if name.trim() != name {
            return Err(IntentError::Blank { parameter });
        }
        Ok(Self(name))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Description {
    /// 1 to 255 characters, no control characters.
    pub fn new(description: &str, parameter: &'static str) -> Result<Self, IntentError> {
        text(description, parameter).map(Self)
    }

    /// What `attach_port` writes for a Neutron port.
    pub fn of_neutron_port(id: &str, parameter: &'static str) -> Result<Self, IntentError> {
        Self::new(&format!("Neutron Port {id}"), parameter)
    }

    /// Whether a description found on a switch is one that an attach wrote. Nothing is stored,
    /// so it is told by its form: our prefix and a UUID.
    pub fn is_ours(found: &str) -> bool {
        OUR_DESCRIPTIONS.iter().filter_map(|prefix| found.strip_prefix(prefix)).any(|id| {
            id.len() == 36
                && id.char_indices().all(|(at, c)| match at {
                    8 | 13 | 18 | 23 => c == '-',
                    _ => c.is_ascii_hexdigit(),
                })
        })
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Intent {
    pub fn subject(&self) -> Subject {
        match self {
            Intent::Attach(attach) => Subject::Port(attach.port.clone()),
            Intent::Detach(detach) => Subject::Port(detach.port.clone()),
            Intent::AddNetwork { vlan } | Intent::DeleteNetwork { vlan, .. } => Subject::Vlan(*vlan),
        }
    }

    /// The same for the port that `rename` makes of this one's.
    pub fn on_port<E>(&self, rename: impl FnOnce(&PortName) -> Result<PortName, E>) -> Result<Self, E> {
        let mut intent = self.clone();
        if let Intent::Attach(Attach { port, .. }) | Intent::Detach(Detach { port, .. }) = &mut intent {
            *port = rename(port)?;
        }
        Ok(intent)
    }

    /// The word for logs and messages.
    pub fn verb(&self) -> &'static str {
        match self {
            Intent::Attach(_) => "attach",
            Intent::Detach(_) => "detach",
            Intent::AddNetwork { .. } => "add network",
            Intent::DeleteNetwork { .. } => "delete network",
        }
    }
}

impl PortVlans {
    /// Every VLAN that the port will carry.
    pub fn all(&self) -> VlanSet {
        match self {
            PortVlans::Access { vlan } => VlanSet::from_iter([*vlan]),
            PortVlans::Trunk { native, tagged } => tagged.iter().chain(*native).collect(),
        }
    }
}

impl Request {
    /// What it is about, equal for two spellings of one port; for comparing only.
    pub fn key(&self) -> Subject {
        match self.intent.subject() {
            Subject::Port(port) => Subject::Port(PortName(self.device.port_key(port.as_str()))),
            vlan => vlan,
        }
    }

    /// Asks it of the device as it is spoken to.
    pub fn adopt(&mut self, profile: &Arc<Profile>) {
        if !Arc::ptr_eq(&self.device.profile, profile) {
            self.device = Arc::new(Device { profile: profile.clone(), ..(*self.device).clone() });
        }
    }

    /// The operator's limits: physical network, port, VLANs that would be added. VLANs being removed
    /// are never looked at, or a shrunk list would leave a tenant in.
    pub fn check(&self) -> Result<(), IntentError> {
        let names = self.names;
        let networks = &self.device.physical_networks;
        if let Some(network) = &self.physical_network
            && !networks.is_empty()
            && !networks.contains(network)
        {
            let (parameter, device) = (names.physical_network, self.device.name.clone());
            return Err(IntentError::OtherNetwork { parameter, device, network: network.clone() });
        }
        if let Subject::Port(port) = self.intent.subject() {
            self.device
                .may_touch(port.as_str())
                .map_err(|why| IntentError::Port { parameter: names.port, why })?;
        }
        match &self.intent {
            Intent::Attach(attach) => {
                match &attach.vlans {
                    PortVlans::Access { vlan } => self.allowed(names.vlan, *vlan)?,
                    PortVlans::Trunk { native: None, tagged } if tagged.is_empty() => {
                        return Err(IntentError::EmptyTrunk { parameter: names.tagged });
                    }
                    PortVlans::Trunk { native, tagged } => {
                        native.map_or(Ok(()), |vlan| self.allowed(names.vlan, vlan))?;
                        tagged.iter().try_for_each(|vlan| self.allowed(names.tagged, vlan))?;
                    }
                }
                Ok(())
            }
            Intent::Detach(detach) => {
                detach.default_vlan.map_or(Ok(()), |vlan| self.allowed_idle(names.default_vlan, vlan))
            }
            Intent::AddNetwork { vlan } => {
                self.manageable(*vlan)?;
                self.allowed_idle(names.vlan, *vlan)
            }
            Intent::DeleteNetwork { vlan, .. } => self.manageable(*vlan),
        }
    }

    /// Why this request may not be carried out while its device is under maintenance. What only takes
    /// away may.
    pub fn held_back(&self) -> Option<&str> {
        match &self.intent {
            Intent::Attach(_) | Intent::AddNetwork { .. } => self.device.frozen.as_deref(),
            Intent::Detach(_) | Intent::DeleteNetwork { .. } => None,
        }
    }

    /// Whether calls may create and delete this VLAN at all.
    fn manageable(&self, vlan: VlanId) -> Result<(), IntentError> {
        let device = self.device.name.clone();
        if !self.device.manage_vlans {
            return Err(IntentError::VlansNotManaged { parameter: self.names.device, device });
        }
        if self.device.protected_vlans.contains(vlan) {
            return Err(IntentError::VlanProtected { parameter: self.names.vlan, vlan, device });
        }
        Ok(())
    }

    /// The VLANs that this request may write on its port, or on the uplinks.
    pub fn writable_vlans(&self) -> VlanSet {
        match &self.intent {
            Intent::Attach(attach) => attach.vlans.all(),
            Intent::Detach(detach) => {
                let quarantine = match self.device.on_detach {
                    OnDetach::Quarantine(vlan) => Some(vlan),
                    OnDetach::Disable => None,
                };
                detach.default_vlan.or(quarantine).into_iter().collect()
            }
            Intent::AddNetwork { vlan } => VlanSet::from_iter([*vlan]),
            Intent::DeleteNetwork { .. } => VlanSet::default(),
        }
    }

    /// What the caller calls the value that brought this VLAN; a quarantine VLAN is the operator's.
    pub fn origin_of(&self, vlan: VlanId) -> &'static str {
        match &self.intent {
            Intent::Attach(Attach { vlans: PortVlans::Trunk { native, .. }, .. })
                if *native != Some(vlan) =>
            {
                self.names.tagged
            }
            Intent::Attach(_) | Intent::AddNetwork { .. } | Intent::DeleteNetwork { .. } => self.names.vlan,
            Intent::Detach(Detach { default_vlan: Some(_), .. }) => self.names.default_vlan,
            Intent::Detach(_) => "on_detach",
        }
    }

    /// Whether the operator's wishes about the spanning tree are part of it.
    pub fn sets_spanning_tree(&self) -> bool {
        matches!(self.intent, Intent::Attach(_)) && (self.device.stp_edge || self.device.bpdu_guard)
    }

    /// Whether it takes from the port what the spanning tree knows of it: all of its VLANs go.
    pub fn clears_spanning_tree(&self) -> bool {
        matches!(self.intent, Intent::Detach(_))
            && self.writable_vlans().is_empty()
            && self.device.profile.stp_with_vlans()
    }

    /// The other leaves that this request may change, by OpenConfig's name, each with the only value
    /// it may be given; none: it may only be removed.
    pub fn writable_leaves(&self) -> BTreeMap<String, Option<String>> {
        let mut leaves = BTreeMap::new();
        let mut may = |leaf: &str, value: Option<String>| leaves.insert(leaf.to_owned(), value);
        match &self.intent {
            Intent::Attach(attach) => {
                let mode = match &attach.vlans {
                    PortVlans::Access { .. } => "ACCESS",
                    PortVlans::Trunk { .. } => "TRUNK",
                };
                may("interface-mode", Some(mode.to_owned()));
                if let Some(description) = &attach.description {
                    may("description", Some(description.as_str().to_owned()));
                }
                if let Some(mtu) = attach.mtu {
                    may("mtu", Some(mtu.to_string()));
                }
                if self.device.stp_edge {
                    may("edge-port", Some(StpEdge::Enable.identity().to_owned()));
                }
                if self.device.bpdu_guard {
                    may("bpdu-guard", Some("true".to_owned()));
                }
                // A port that our own detach disabled is enabled again.
                let enables = self.device.on_detach == OnDetach::Disable;
                if let Some(enabled) = attach.enabled.or(enables.then_some(true)) {
                    may("enabled", Some(enabled.to_string()));
                }
            }
            Intent::Detach(_) => {
                may("description", None);
                if self.writable_vlans().is_empty() {
                    may("interface-mode", None);
                    may("enabled", Some("false".to_owned()));
                    if self.clears_spanning_tree() {
                        may("edge-port", None);
                        may("bpdu-guard", None);
                    }
                } else {
                    may("interface-mode", Some("ACCESS".to_owned()));
                }
            }
            // On uplinks only the list changes.
            Intent::AddNetwork { .. } | Intent::DeleteNetwork { .. } => {}
        }
        leaves
    }

    fn allowed(&self, parameter: &'static str, vlan: VlanId) -> Result<(), IntentError> {
        // In Ironic's idle states the native VLAN is the idle network's, so an idle VLAN named
        // as both is what the operator already allowed.
        let idle = matches!(&self.intent, Intent::Attach(a) if a.default_vlan == Some(vlan))
            && self.device.idle_vlans.contains(vlan);
        if idle || self.device.allowed_vlans.contains(vlan) {
            Ok(())
        } else {
            Err(self.refused(parameter, vlan, &self.device.allowed_vlans))
        }
    }

    fn allowed_idle(&self, parameter: &'static str, vlan: VlanId) -> Result<(), IntentError> {
        let allowed: VlanSet =
            self.device.allowed_vlans.iter().chain(self.device.idle_vlans.iter()).collect();
        if allowed.contains(vlan) { Ok(()) } else { Err(self.refused(parameter, vlan, &allowed)) }
    }

    fn refused(&self, parameter: &'static str, vlan: VlanId, allowed: &VlanSet) -> IntentError {
        let allowed = match allowed.to_string() {
            none if none.is_empty() => "none".to_owned(),
            some => some,
        };
        IntentError::VlanNotAllowed { parameter, vlan, device: self.device.name.clone(), allowed }
    }
}

#[cfg(test)]
mod tests;
