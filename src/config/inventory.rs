//! `[inventory]` and `[[physical_network]]` of `mercury.toml`, and the devices that they lead to.

use std::collections::BTreeMap;

use super::reader::{Item, Problems, Table, read_file};
use crate::device::credentials::{CredentialPolicy, open_regular};
use crate::device::inventory::{Context, Defaults, doubtful};
use crate::device::profile::Profiles;
use crate::device::{Inventory, PhysicalNetwork};
use crate::vlan::VlanId;

/// Physical networks stand here and not beside the devices: each exists once, however many files
/// of devices there are.
pub(super) fn read(
    root: &Table,
    profiles: &Profiles,
    credentials: CredentialPolicy,
    problems: &Problems,
) -> Option<Inventory> {
    let physical_networks = read_physical_networks(root);
    let inventory = root.required_table("inventory", |table| {
        let defaults = Defaults::read(table);
        let context = Context {
            doubtful: doubtful(table, &defaults),
            defaults: &defaults,
            profiles,
            physical_networks: Some(&physical_networks),
            credentials,
        };
        if defaults.physical_networks.is_some() {
            context.check_physical_networks(table);
        }
        let item = table.required("devices")?;
        let devices = item.path()?;
        if let Err(why) = open_regular(&devices) {
            item.refuse(format_args!("{}: {why}", devices.display()));
            return None;
        }
        read_file(&devices, problems, |root| Some(context.read_devices(root)))
    });
    Some(Inventory { physical_networks, ..inventory? })
}

fn read_physical_networks(root: &Table) -> BTreeMap<String, PhysicalNetwork> {
    let mut networks = BTreeMap::new();
    root.tables("physical_network", |table| {
        let name = table.required("name").and_then(|item| Some((item.filled_text()?, item)));
        let flat_vlan = table.get("flat_vlan").and_then(|item| vlan(&item));
        let Some((name, item)) = name else { return };
        if networks.contains_key(&name) {
            item.refuse(format_args!("\"{name}\" is already described"));
        }
        networks.insert(name, PhysicalNetwork { flat_vlan });
    });
    networks
}

fn vlan(item: &Item) -> Option<VlanId> {
    let id = item.integer(1..=4094)?;
    VlanId::new(id.into()).ok()
}
