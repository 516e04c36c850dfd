//! `[inventory]` and `[[physical_network]]` of `mercury.toml`, and the devices that they lead to.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::reader::{Item, Problems, Table, open_regular, read_file, toml_files};
use crate::device::credentials::{CredentialPolicy, KeyFiles};
use crate::device::inventory::{Context, Defaults, Taken, doubtful, known_hosts};
use crate::device::{Inventory, PhysicalNetwork, Profile, Profiles};
use crate::import::{DeviceTypes, switches};
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
    let mut inventory = root.required_table("inventory", |table| {
        let mut defaults = Defaults::read(table);
        let hosts = table.get("known_hosts");
        defaults.known_hosts = hosts.as_ref().and_then(|item| known_hosts(item, credentials));
        let context = Context {
            doubtful: doubtful(table, &defaults),
            defaults: &defaults,
            profiles,
            physical_networks: Some(&physical_networks),
            credentials,
            key_files: KeyFiles::default(),
        };
        if defaults.physical_networks.is_some() {
            context.check_physical_networks(table);
        }
        let (mut inventory, mut taken) = (Inventory::default(), Taken::default());
        let devices = table.get("devices");
        if let Some(item) = &devices {
            read_files(item, &context, &mut taken, &mut inventory, problems);
        }
        let switches_conf = table.get("switches_conf");
        let entries = table.entries("profiles").into_iter();
        inventory.device_types = entries
            .filter_map(|(device_type, item)| {
                let profile = item.read(|name| profiles.get(name))?;
                Some((device_type, profile.name.clone()))
            })
            .collect();
        if let Some(path) = switches_conf.as_ref().and_then(|item| existing(item, item.path()?)) {
            let types = DeviceTypes { profiles, chosen: inventory.device_types.clone() };
            switches::read(&path, &types, &context, &mut taken, &mut inventory, problems);
        }
        if devices.is_none() && switches_conf.is_none() {
            table.refuse("devices", "missing; give `devices`, `switches_conf` or both");
        }
        inventory.remarks.extend(untold(&defaults, &inventory));
        Some(inventory)
    })?;
    inventory.physical_networks = physical_networks;
    Some(inventory)
}

/// What is said for all of the spanning tree, and which devices have no words for it.
fn untold(defaults: &Defaults, inventory: &Inventory) -> Vec<String> {
    let remark = |key: &str, is_wanted: Option<bool>, has_words: fn(&Profile) -> bool| {
        let lacking = inventory.devices.values().filter(|device| !has_words(&device.profile));
        let mut profiles: BTreeMap<&str, usize> = BTreeMap::new();
        lacking.for_each(|device| *profiles.entry(&device.profile.name).or_default() += 1);
        let named = profiles.iter().map(|(name, count)| format!("{name} (devices: {count})"));
        let named = named.collect::<Vec<_>>().join(", ");
        (is_wanted == Some(true) && !profiles.is_empty())
            .then(|| format!("[inventory] {key}: no words for it in {named}"))
    };
    let edge = remark("stp_edge", defaults.stp_edge, |profile| profile.spanning_tree().0);
    let guard = remark("bpdu_guard", defaults.bpdu_guard, |profile| profile.spanning_tree().1);
    edge.into_iter().chain(guard).collect()
}

/// One file, or all `*.toml` of a directory.
fn read_files(
    item: &Item,
    context: &Context,
    taken: &mut Taken,
    inventory: &mut Inventory,
    problems: &Problems,
) {
    let Some(path) = item.path() else { return };
    let files = if path.is_dir() {
        let files = toml_files(&path, problems);
        if files.is_empty() {
            item.refuse(format_args!("{}: no file in it ends in .toml", path.display()));
        }
        files
    } else {
        existing(item, path).into_iter().collect()
    };
    for file in files {
        read_file(&file, problems, |root| {
            context.read_devices(root, taken, inventory);
            Some(())
        });
    }
}

fn existing(item: &Item, path: PathBuf) -> Option<PathBuf> {
    match open_regular(&path) {
        Ok(_) => Some(path),
        Err(why) => {
            item.refuse(format_args!("{}: {why}", path.display()));
            None
        }
    }
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
