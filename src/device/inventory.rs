//! The inventory: the devices of `devices.toml`, and finding one by what a caller calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::config::reader::{Item, Table, hint};
use crate::device::credentials::{CredentialPolicy, credential, open_regular, public_key};
use crate::device::profile::Profiles;
use crate::device::{
    Device, Endpoint, HostKey, Inventory, Mac, OnDetach, PhysicalNetwork, PortPattern, Profile, Save,
    host_and_port, safe_name,
};
use crate::vlan::VlanSet;

impl Inventory {
    /// The device with this switch id (its MAC address in any notation, or its name), else the one
    /// with the name `switch_info`. None as well when the two name different devices: a caller
    /// who contradicts himself must not get either.
    pub fn find(&self, switch_id: Option<&str>, switch_info: Option<&str>) -> Option<&Arc<Device>> {
        let by_id = switch_id.and_then(|id| match id.parse::<Mac>() {
            Ok(mac) => self.devices.values().find(|device| device.mac_address == Some(mac)),
            Err(_) => self.devices.get(id),
        });
        let by_info = switch_info.and_then(|name| self.devices.get(name));
        match (by_id, by_info) {
            (Some(one), Some(other)) if one.name != other.name => None,
            (one, other) => one.or(other),
        }
    }
}

/// What a device may leave to `[inventory]`; none: said nowhere so far.
#[derive(Clone, Debug, Default)]
pub struct Defaults {
    pub allowed_vlans: Option<VlanSet>,
    pub idle_vlans: Option<VlanSet>,
    pub allowed_ports: Option<Vec<PortPattern>>,
    pub protected_ports: Option<Vec<PortPattern>>,
    pub on_detach: Option<OnDetach>,
    pub create_missing_vlans: Option<bool>,
    pub save: Option<Save>,
    pub trunk_ports: Option<Vec<String>>,
    pub physical_networks: Option<BTreeSet<String>>,
    pub manage_vlans: Option<bool>,
    pub protected_vlans: Option<VlanSet>,
    pub sessions: Option<usize>,
}

impl Defaults {
    pub(crate) fn read(table: &Table) -> Self {
        let vlans = |item: Item| {
            item.read(|text| {
                text.parse::<VlanSet>().map_err(|why| format!("\"{text}\" is no VLAN list: {why}"))
            })
        };
        let ports = |item: Item| item.list(Item::parse::<PortPattern>);
        let names = |item: Item| item.list(Item::filled_text);
        Self {
            allowed_vlans: table.get("allowed_vlans").and_then(vlans),
            idle_vlans: table.get("idle_vlans").and_then(vlans),
            allowed_ports: table.get("allowed_ports").and_then(ports),
            protected_ports: table.get("protected_ports").and_then(ports),
            on_detach: table.get("on_detach").and_then(|item| item.parse()),
            create_missing_vlans: table.get("create_missing_vlans").and_then(|item| item.boolean()),
            save: table
                .get("save")
                .and_then(|item| item.choice(&[("each", Save::Each), ("never", Save::Never)])),
            trunk_ports: table.get("trunk_ports").and_then(names),
            physical_networks: table.get("physical_networks").and_then(names).map(BTreeSet::from_iter),
            manage_vlans: table.get("manage_vlans").and_then(|item| item.boolean()),
            protected_vlans: table.get("protected_vlans").and_then(vlans),
            sessions: table
                .get("sessions")
                .and_then(|item| item.integer(1..=64))
                .and_then(|n| usize::try_from(n).ok()),
        }
    }
}

/// Whether a VLAN list is written in the table but is not one.
pub(crate) fn doubtful(table: &Table, read: &Defaults) -> bool {
    table.get("allowed_vlans").is_some() && read.allowed_vlans.is_none()
        || table.get("idle_vlans").is_some() && read.idle_vlans.is_none()
}

/// What reading a device needs besides its table.
pub(crate) struct Context<'a> {
    pub defaults: &'a Defaults,
    /// A VLAN list among the defaults is written but could not be read: what follows from its
    /// absence is not the operator's mistake.
    pub doubtful: bool,
    pub profiles: &'a Profiles,
    /// The physical networks there are; none: not known, so any name is taken.
    pub physical_networks: Option<&'a BTreeMap<String, PhysicalNetwork>>,
    pub credentials: CredentialPolicy,
}

impl Context<'_> {
    /// Reads all devices of a file. What is wrong with any is recorded, so the result counts only
    /// if nothing was.
    pub(crate) fn read_devices(&self, root: &Table) -> Inventory {
        let mut inventory = Inventory::default();
        let mut taken = Taken::default();
        root.tables("device", |table| {
            if let Some(device) = self.read_device(table, &mut taken) {
                inventory.devices.insert(device.name.clone(), Arc::new(device));
            }
        });
        inventory
    }

    fn read_device(&self, table: &Table, taken: &mut Taken) -> Option<Device> {
        let name = table.required("name").and_then(|item| {
            let name = item.read(device_name)?;
            taken.claim(&item, format!("name `{name}`"));
            Some(name)
        });
        let mac_address = table.get("mac_address").and_then(|item| {
            let mac: Mac = item.parse()?;
            taken.claim(&item, format!("MAC address {mac}"));
            Some(mac)
        });
        let profile = table.required("profile").and_then(|item| item.read(|name| self.profile(name)));
        let endpoint = self.read_endpoint(table, taken);

        let own = Defaults::read(table);
        if own.physical_networks.is_some() {
            self.check_physical_networks(table);
        }
        let doubtful = self.doubtful || doubtful(table, &own);
        let defaults = self.defaults.clone();
        if table.get("allowed_vlans").is_none() && defaults.allowed_vlans.is_none() && !self.doubtful {
            table.refuse(
                "allowed_vlans",
                "missing here and in [inventory]; list what may be used, \"1-4094\" allows every VLAN",
            );
        }
        let allowed_vlans = own.allowed_vlans.or(defaults.allowed_vlans);
        let idle_vlans = own.idle_vlans.or(defaults.idle_vlans).unwrap_or_default();
        let on_detach = own.on_detach.or(defaults.on_detach).unwrap_or(OnDetach::Disable);
        if let (OnDetach::Quarantine(vlan), Some(allowed)) = (on_detach, &allowed_vlans)
            && !allowed.contains(vlan)
            && !idle_vlans.contains(vlan)
            && !doubtful
        {
            let reason = format_args!("VLAN {vlan} is neither in idle_vlans nor in allowed_vlans");
            table.refuse("on_detach", reason);
        }
        Some(Device {
            name: name?,
            mac_address,
            endpoint: endpoint?,
            profile: profile?,
            allowed_vlans: allowed_vlans?,
            idle_vlans,
            allowed_ports: own.allowed_ports.or(defaults.allowed_ports),
            protected_ports: own.protected_ports.or(defaults.protected_ports).unwrap_or_default(),
            on_detach,
            create_missing_vlans: own
                .create_missing_vlans
                .or(defaults.create_missing_vlans)
                .unwrap_or_default(),
            save: own.save.or(defaults.save).unwrap_or(Save::Each),
            trunk_ports: own.trunk_ports.or(defaults.trunk_ports).unwrap_or_default(),
            physical_networks: own.physical_networks.or(defaults.physical_networks).unwrap_or_default(),
            manage_vlans: own.manage_vlans.or(defaults.manage_vlans).unwrap_or_default(),
            protected_vlans: own.protected_vlans.or(defaults.protected_vlans).unwrap_or_default(),
            frozen: table.get("frozen").and_then(|item| item.filled_text()),
            sessions: own.sessions.or(defaults.sessions),
        })
    }

    /// A name with a typing error in it would leave the device out of its network without a word.
    pub(crate) fn check_physical_networks(&self, table: &Table) {
        let Some(known) = self.physical_networks else { return };
        let Some(item) = table.get("physical_networks") else { return };
        item.list(|name| {
            let text = name.text()?;
            if !known.contains_key(text) {
                let hint = hint(text, known.keys().map(String::as_str));
                name.refuse(format_args!("no [[physical_network]] has the name \"{text}\"{hint}"));
            }
            Some(())
        });
    }

    fn read_endpoint(&self, table: &Table, taken: &mut Taken) -> Option<Endpoint> {
        let address = table.required("address").and_then(|item| Some((item.read(host)?, item)));
        let port = match table.get("port") {
            None => Some(830),
            Some(item) => item.integer(1..=65_535).and_then(|port| u16::try_from(port).ok()),
        };
        if let (Some((host, item)), Some(port)) = (&address, port) {
            taken.claim(item, format!("endpoint {}", host_and_port(host, port)));
        }
        let username = table.required("username").and_then(|item| item.filled_text());
        let credential =
            table.one_of("key_file", "password_file").and_then(|item| credential(&item, self.credentials));
        let host_key = table.one_of("known_hosts", "host_key").and_then(|item| self.host_key(&item));
        let (address, _) = address?;
        Some(Endpoint {
            address,
            port: port?,
            username: username?,
            credential: credential?,
            host_key: host_key?,
        })
    }

    fn host_key(&self, item: &Item) -> Option<HostKey> {
        if item.name == "host_key" {
            return item.read(public_key).map(HostKey::Pinned);
        }
        let path = item.path()?;
        if self.credentials == CredentialPolicy::Read
            && let Err(why) = open_regular(&path)
        {
            item.refuse(format_args!("{}: {why}", path.display()));
            return None;
        }
        Some(HostKey::KnownHosts(path))
    }

    fn profile(&self, name: &str) -> Result<Arc<Profile>, String> {
        self.profiles.get(name).cloned().ok_or_else(|| {
            let known: Vec<&str> = self.profiles.keys().map(String::as_str).collect();
            let hint = hint(name, known.iter().copied());
            format!("unknown profile \"{name}\"{hint} (known: {})", known.join(", "))
        })
    }
}

/// What only one device may have, and the line it was first seen on.
#[derive(Default)]
struct Taken(BTreeMap<String, usize>);

impl Taken {
    fn claim(&mut self, item: &Item, what: String) {
        match self.0.get(&what) {
            Some(line) => item.refuse(format_args!("{what} is already taken at line {line}")),
            None => {
                self.0.insert(what, item.line());
            }
        }
    }
}

fn device_name(text: &str) -> Result<String, String> {
    if text.parse::<Mac>().is_ok() {
        // `Inventory::find` would never get to it.
        return Err(format!("\"{text}\" is a MAC address; put it into mac_address and choose a name"));
    }
    safe_name(text)
}

/// A host name in lower case, or an IP address in its one canonical form without brackets.
fn host(text: &str) -> Result<String, String> {
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>()
        && (bare.is_none() || address.is_ipv6())
    {
        return Ok(address.to_canonical().to_string());
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && !label.starts_with('-')
            && label.chars().all(|c| c.is_ascii_alphanumeric() || ['-', '_'].contains(&c))
    };
    // A last label of digits only is a mistyped IPv4 address (RFC 3696, section 2).
    let number = text.rsplit('.').next().is_some_and(|last| last.bytes().all(|byte| byte.is_ascii_digit()));
    if text.len() > 253 || number || !text.split('.').all(label) {
        return Err(format!("\"{text}\" is neither a host name nor an IP address"));
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_have_one_form() {
        for (text, canonical) in [
            ("127.0.0.1", "127.0.0.1"),
            ("[2001:DB8::0:1]", "2001:db8::1"),
            ("::1", "::1"),
            ("::ffff:10.0.0.1", "10.0.0.1"),
            ("Leaf1.Example.net", "leaf1.example.net"),
        ] {
            assert_eq!(host(text).as_deref(), Ok(canonical));
        }
        for bad in
            ["", ".", "a..b", "leaf1.", "10.0.0", "10.0.0.256", "[10.0.0.1]", "[::1", "a b", "-a", "a:830"]
        {
            assert!(host(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn names_can_be_file_names() {
        for good in ["leaf1", "Leaf_1.rack-2", "_x"] {
            assert!(device_name(good).is_ok(), "{good}");
        }
        for bad in
            ["", ".", "..", ".leaf", "-leaf", "a/b", "a b", "ä", "a\0", "00:1c:73:aa:bb:01", "001c73aabb01"]
        {
            assert!(device_name(bad).is_err(), "{bad}");
        }
    }
}
