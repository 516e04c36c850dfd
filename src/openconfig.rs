//! Where things are in OpenConfig's model: the nodes that Mercury reads or writes.

use std::sync::LazyLock;

use crate::device::Device;
use crate::path::Path;
use crate::slice::Slice;
use crate::vlan::VlanId;

/// The list of interfaces stands here.
pub const INTERFACES: &str = "openconfig-interfaces:interfaces";
/// The VLAN table is in one of these.
pub const NETWORK_INSTANCES: &str = "openconfig-network-instance:network-instances";
const LAG_TYPE: &str = "iana-if-type:ieee8023adLag";

/// What stands on the way to these nodes, and they themselves, by module.
pub(crate) const LEVELS: [(&str, &[&str]); 5] = [
    ("openconfig-interfaces", &["interfaces", "config", "name", "type", "enabled", "description", "mtu"]),
    ("openconfig-if-ethernet", &["ethernet", "config"]),
    ("openconfig-if-aggregate", &["aggregation", "aggregate-id"]),
    (
        "openconfig-vlan",
        &["switched-vlan", "config", "interface-mode", "access-vlan", "native-vlan", "trunk-vlans"],
    ),
    ("openconfig-network-instance", &["network-instances", "config", "name", "vlans", "vlan-id"]),
];

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

/// `switched-vlan/config` under `ethernet` or `aggregation`.
pub struct SwitchedVlan {
    pub mode: Path,
    pub access: Path,
    pub native: Path,
    pub trunk: Path,
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

/// The network instance that holds the VLAN table, or none when the system has no such table.
pub(crate) fn network_instance(device: &Device) -> Option<Path> {
    let name = device.profile.openconfig.network_instance.as_deref()?;
    Some(Path::default().child(NETWORK_INSTANCES).entry("network-instance", "name", name))
}

pub(crate) fn table_entry(instance: &Path, vlan: VlanId) -> Path {
    instance.child("vlans").entry("vlan", "vlan-id", &vlan.to_string())
}
