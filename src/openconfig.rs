//! Where things are in OpenConfig's model: the nodes that Mercury reads or writes.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::LazyLock;

use serde::Serialize;

use crate::path::Path;
use crate::slice::{Slice, Value};
use crate::vlan::{VlanId, VlanSet};

/// The list of interfaces stands here.
pub const INTERFACES: &str = "openconfig-interfaces:interfaces";
/// The VLAN table is in one of these.
pub const NETWORK_INSTANCES: &str = "openconfig-network-instance:network-instances";
/// The spanning tree on the ports.
pub const SPANNING_TREE: &str = "openconfig-spanning-tree:stp";
/// The one member of a list that is there and names no VLAN: the model has no word for it, and no list
/// would mean every VLAN.
const NO_VLAN: &str = "none";
const LAG_TYPE: &str = "iana-if-type:ieee8023adLag";

/// Those of an interface as seen from its entry, and from there under `ethernet` and `aggregation`.
static BELOW: LazyLock<(Interface, [SwitchedVlan; 2])> = LazyLock::new(|| {
    let top = Path::default();
    let parents = ["openconfig-if-ethernet:ethernet", "openconfig-if-aggregate:aggregation"];
    (Interface::under(top.clone()), parents.map(|parent| SwitchedVlan::under(&top.child(parent))))
});

/// The nodes of one interface that Mercury reads or writes.
pub struct Interface {
    pub entry: Path,
    pub name: Path,
    pub kind: Path,
    pub enabled: Path,
    pub description: Path,
    pub mtu: Path,
    pub aggregate_id: Path,
}

/// What a port reports of itself.
pub struct Reported {
    pub admin_status: Path,
    pub oper_status: Path,
    /// Octets since some moment that only the device knows.
    pub in_octets: Path,
    pub out_octets: Path,
}

impl Reported {
    pub fn new(port: &str) -> Self {
        let state = Interface::new(port).entry.child("state");
        let counters = state.child("counters");
        Self {
            admin_status: state.child("admin-status"),
            oper_status: state.child("oper-status"),
            in_octets: counters.child("in-octets"),
            out_octets: counters.child("out-octets"),
        }
    }

    pub fn paths(&self) -> [&Path; 4] {
        [&self.admin_status, &self.oper_status, &self.in_octets, &self.out_octets]
    }
}

/// `switched-vlan/config` under `ethernet` or `aggregation`.
pub struct SwitchedVlan {
    pub mode: Path,
    pub access: Path,
    pub native: Path,
    pub trunk: Path,
}

/// What the spanning tree has of one port.
pub struct StpPort {
    pub entry: Path,
    pub name: Path,
    pub edge: Path,
    pub bpdu_guard: Path,
}

impl StpPort {
    pub fn new(port: &str) -> Self {
        let entry = Path::default().child(SPANNING_TREE).child("interfaces").entry("interface", "name", port);
        let config = entry.child("config");
        Self {
            name: config.child("name"),
            edge: config.child("edge-port"),
            bpdu_guard: config.child("bpdu-guard"),
            entry,
        }
    }

    /// The entry with its name, where it is missing.
    pub fn ensure(&self, port: &str, slice: &mut Slice) {
        if !slice.has_entry(&self.entry) {
            slice.set_leaf(self.entry.child("name"), port);
            slice.set_leaf(self.name.clone(), port);
        }
    }

    /// The entry gone.
    pub fn clear(&self, slice: &mut Slice) {
        let key = self.entry.child("name");
        [&key, &self.name, &self.edge, &self.bpdu_guard].into_iter().for_each(|path| slice.unset(path));
    }
}

impl Interface {
    /// The list entry of a port alone.
    pub fn entry(port: &str) -> Path {
        Path::default().child(INTERFACES).entry("interface", "name", port)
    }

    pub fn new(port: &str) -> Self {
        let (below, _) = &*BELOW;
        let entry = Self::entry(port);
        let at = |path: &Path| entry.below(path.steps());
        Self {
            name: at(&below.name),
            kind: at(&below.kind),
            enabled: at(&below.enabled),
            description: at(&below.description),
            mtu: at(&below.mtu),
            aggregate_id: at(&below.aggregate_id),
            entry,
        }
    }

    fn under(entry: Path) -> Self {
        let config = entry.child("openconfig-interfaces:config");
        Self {
            name: config.child("name"),
            kind: config.child("type"),
            enabled: config.child("enabled"),
            description: config.child("description"),
            mtu: config.child("mtu"),
            aggregate_id: entry
                .child("openconfig-if-ethernet:ethernet")
                .child("config")
                .child("openconfig-if-aggregate:aggregate-id"),
            entry,
        }
    }

    /// A LAG carries its VLANs under `aggregation`, every other interface under `ethernet`.
    pub fn switched_vlan(&self, before: &Slice) -> SwitchedVlan {
        let (_, [ethernet, aggregation]) = &*BELOW;
        let below = if before.leaf(&self.kind) == Some(LAG_TYPE) { aggregation } else { ethernet };
        let at = |path: &Path| self.entry.below(path.steps());
        SwitchedVlan {
            mode: at(&below.mode),
            access: at(&below.access),
            native: at(&below.native),
            trunk: at(&below.trunk),
        }
    }
}

impl SwitchedVlan {
    fn under(parent: &Path) -> Self {
        let config = parent.child("openconfig-vlan:switched-vlan").child("config");
        Self {
            mode: config.child("interface-mode"),
            access: config.child("access-vlan"),
            native: config.child("native-vlan"),
            trunk: config.child("trunk-vlans"),
        }
    }
}

/// The port that a path is of.
pub(crate) fn port_of(path: &Path) -> Option<&str> {
    let entry = match path.steps() {
        [root, entry, ..] if INTERFACES.ends_with(&root.name) => entry,
        [root, _, entry, ..] if SPANNING_TREE.ends_with(&root.name) => entry,
        _ => return None,
    };
    entry.keys.first().map(|(_, port)| port.as_str())
}

/// The VLAN and the entry of the table that a path is in.
pub(crate) fn table_entry_of(path: &Path) -> Option<(VlanId, Path)> {
    let entry = path.steps().get(3).filter(|step| step.name == "vlan")?;
    let (_, id) = entry.keys.first()?;
    NETWORK_INSTANCES.ends_with(&path.steps()[0].name).then_some((id.parse().ok()?, path.ancestor(4)))
}

pub(crate) fn table_entry(instance: &Path, vlan: VlanId) -> Path {
    instance.child("vlans").entry("vlan", "vlan-id", &vlan.to_string())
}

/// `interface-mode` of a switch port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    Access,
    Trunk,
}

/// What one port holds, in the model's words. `None`: not configured, whatever is in force then.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortState {
    pub mode: Option<Mode>,
    pub access: Option<VlanId>,
    pub native: Option<VlanId>,
    /// A trunk's list. Empty is a list: of no VLAN.
    pub vlans: Option<VlanSet>,
    pub description: Option<String>,
    pub enabled: Option<bool>,
    pub mtu: Option<u16>,
    pub stp_edge: Option<StpEdge>,
    /// A BPDU that arrives takes it down.
    pub bpdu_guard: Option<bool>,
}

/// Whether the spanning tree lets a port forward at once (`STP_EDGE_PORT`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StpEdge {
    Enable,
    Disable,
    /// The switch decides: by what it hears, or by the port's mode.
    Auto,
}

impl Mode {
    /// As OpenConfig's enumeration spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::Access => "ACCESS",
            Mode::Trunk => "TRUNK",
        }
    }
}

impl FromStr for Mode {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mode =
            [Mode::Access, Mode::Trunk].into_iter().find(|mode| mode.as_str().eq_ignore_ascii_case(text));
        mode.ok_or_else(|| format!("`{text}` is neither access nor trunk"))
    }
}

impl StpEdge {
    const ALL: [Self; 3] = [Self::Enable, Self::Disable, Self::Auto];

    /// As OpenConfig's identities spell it.
    pub fn identity(self) -> &'static str {
        match self {
            Self::Enable => "openconfig-spanning-tree-types:EDGE_ENABLE",
            Self::Disable => "openconfig-spanning-tree-types:EDGE_DISABLE",
            Self::Auto => "openconfig-spanning-tree-types:EDGE_AUTO",
        }
    }

    fn of_identity(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|edge| edge.identity() == text)
    }

    /// As profiles and templates spell it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Enable => "true",
            Self::Disable => "false",
            Self::Auto => "auto",
        }
    }
}

impl FromStr for StpEdge {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let edge = Self::ALL.into_iter().find(|edge| edge.as_str() == text);
        edge.ok_or_else(|| format!("`{text}` is neither true, false nor auto"))
    }
}

impl PortState {
    /// What is configured on a port; `None`: there is no such interface.
    pub fn of(slice: &Slice, port: &str) -> Option<Self> {
        let interface = Interface::new(port);
        let leaf = |path: &Path| match slice.value(path) {
            Some(Value::Leaf(value)) => Some(value.as_str()),
            _ => None,
        };
        let (vlans, stp) = (interface.switched_vlan(slice), StpPort::new(port));
        slice.has_entry(&interface.entry).then(|| Self {
            mode: leaf(&vlans.mode).and_then(|mode| mode.parse().ok()),
            access: leaf(&vlans.access).and_then(|vlan| vlan.parse().ok()),
            native: leaf(&vlans.native).and_then(|vlan| vlan.parse().ok()),
            vlans: match slice.value(&vlans.trunk) {
                Some(Value::Set(members)) if members.contains(NO_VLAN) => Some(VlanSet::default()),
                _ => slice.vlans(&vlans.trunk),
            },
            description: leaf(&interface.description).map(str::to_owned),
            enabled: leaf(&interface.enabled).and_then(|enabled| enabled.parse().ok()),
            mtu: leaf(&interface.mtu).and_then(|mtu| mtu.parse().ok()),
            stp_edge: leaf(&stp.edge).and_then(StpEdge::of_identity),
            bpdu_guard: leaf(&stp.bpdu_guard).and_then(|guard| guard.parse().ok()),
        })
    }

    /// Writes it to a slice as an interface of this kind (`config/type`), with what is in force where it
    /// says nothing.
    pub fn write(&self, port: &str, kind: &str, in_force: &PortState, slice: &mut Slice) {
        let interface = Interface::new(port);
        slice.set_leaf(interface.entry.child("name"), port);
        slice.set_leaf(interface.name.clone(), port);
        slice.set_leaf(interface.kind.clone(), kind);
        let vlans = interface.switched_vlan(slice);
        let mut set = |path: &Path, value: Option<String>, default: Option<String>| {
            if let Some(value) = value.map(Value::Leaf).or(default.map(Value::Default)) {
                slice.set(path.clone(), value);
            }
        };
        let mode = |mode: Option<Mode>| mode.map(|mode| mode.as_str().to_owned());
        let id = |vlan: Option<VlanId>| vlan.map(|vlan| vlan.to_string());
        set(&vlans.mode, mode(self.mode), mode(in_force.mode));
        // What is in force in another mode is not in force.
        let in_mode = |mode| self.mode.or(in_force.mode) == Some(mode);
        set(&vlans.access, id(self.access), id(in_force.access.filter(|_| in_mode(Mode::Access))));
        set(&vlans.native, id(self.native), id(in_force.native.filter(|_| in_mode(Mode::Trunk))));
        set(&interface.description, self.description.clone(), None);
        let enabled = |enabled: Option<bool>| enabled.map(|enabled| enabled.to_string());
        set(&interface.enabled, enabled(self.enabled), enabled(in_force.enabled));
        set(&interface.mtu, self.mtu.map(|mtu| mtu.to_string()), in_force.mtu.map(|mtu| mtu.to_string()));
        if let Some(list) = &self.vlans {
            let member = |(first, last): (VlanId, VlanId)| match first == last {
                true => first.to_string(),
                false => format!("{first}..{last}"),
            };
            let mut members: BTreeSet<String> = list.ranges().iter().copied().map(member).collect();
            if members.is_empty() {
                members.insert(NO_VLAN.to_owned());
            }
            slice.set(vlans.trunk, Value::Set(members));
        }
        let stp = StpPort::new(port);
        let edge = self.stp_edge.map(|edge| edge.identity().to_owned());
        let guard = self.bpdu_guard.map(|guard| guard.to_string());
        for (path, value) in [(&stp.edge, edge), (&stp.bpdu_guard, guard)] {
            if let Some(value) = value {
                stp.ensure(port, slice);
                slice.set_leaf(path.clone(), &value);
            }
        }
    }
}
