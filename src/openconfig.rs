//! Where things are in OpenConfig's model: the nodes that Mercury reads or writes.

use crate::device::Device;
use crate::path::Path;
use crate::slice::Slice;
use crate::vlan::VlanId;

/// The list of interfaces stands here.
pub const INTERFACES: &str = "openconfig-interfaces:interfaces";
/// The VLAN table is in one of these.
pub const NETWORK_INSTANCES: &str = "openconfig-network-instance:network-instances";
const LAG_TYPE: &str = "iana-if-type:ieee8023adLag";

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
        let entry = Self::entry(port);
        let config = entry.child("config");
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
        SwitchedVlan::under(&match before.leaf(&self.kind) {
            Some(LAG_TYPE) => self.entry.child("openconfig-if-aggregate:aggregation"),
            _ => self.entry.child("openconfig-if-ethernet:ethernet"),
        })
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
