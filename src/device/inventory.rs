//! The inventory: the devices of `devices.toml`, and finding one by what a caller calls it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretString;

use crate::config::reader::{Item, Table, check_mode, hint, open_regular};
use crate::device::credentials::{self, CredentialPolicy, KeyFiles, credential, enable_secret, public_key};
use crate::device::ids::{device_name, host};
use crate::device::profile::port_names;
use crate::device::{
    Credential, DatapathId, Device, Endpoint, GnmiEndpoint, HostKey, Inventory, Mac, OnDetach,
    PhysicalNetwork, PortPattern, Profile, Profiles, Save, host_and_port,
};
use crate::vlan::VlanSet;

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
    pub stp_edge: Option<bool>,
    pub bpdu_guard: Option<bool>,
    pub sessions: Option<usize>,
    pub known_hosts: Option<PathBuf>,
}

/// Passwords that stand in an inventory of another format itself; ours has files for them.
#[derive(Default)]
pub(crate) struct Inline {
    pub password: Option<SecretString>,
    pub enable_secret: Option<SecretString>,
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
            // A device's own has its `host_key` beside it, and is read with that.
            known_hosts: None,
            manage_vlans: table.get("manage_vlans").and_then(|item| item.boolean()),
            protected_vlans: table.get("protected_vlans").and_then(vlans),
            stp_edge: table.get("stp_edge").and_then(|item| item.boolean()),
            bpdu_guard: table.get("bpdu_guard").and_then(|item| item.boolean()),
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
    pub key_files: KeyFiles,
}

impl Context<'_> {
    /// Adds all devices of a file. What is wrong with any is recorded, so the result counts only
    /// if nothing was.
    pub(crate) fn read_devices(&self, root: &Table, taken: &mut Taken, inventory: &mut Inventory) {
        root.tables("device", |table| {
            if let Some(device) = self.read_device(table, taken, Inline::default()) {
                inventory.devices.insert(device.name.clone(), Arc::new(device));
            }
        });
    }

    pub(crate) fn read_device(&self, table: &Table, taken: &mut Taken, inline: Inline) -> Option<Device> {
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
        let datapath_id = table.get("datapath_id").and_then(|item| {
            let id: DatapathId = item.parse()?;
            taken.claim(&item, format!("datapath id {id}"));
            Some(id)
        });
        let hostnames = table.get("hostnames").and_then(|item| {
            let names = item.list(|item| Some((item.read(host)?, item.clone())))?;
            for (name, item) in &names {
                taken.claim(item, format!("host name {name}"));
            }
            Some(names.into_iter().map(|(name, _)| name))
        });
        let profile = table.required("profile").and_then(|item| item.read(|name| self.profiles.get(name)));
        let endpoint = self.read_endpoint(table, profile.as_deref(), taken, inline);

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
        // All keys are asked for before the first that is missing ends it.
        let (frozen, port_names) =
            (table.get("frozen").and_then(|item| item.filled_text()), port_names(table));
        let profile = profile?;
        let mut protected_ports = own.protected_ports.or(defaults.protected_ports).unwrap_or_default();
        if profile.port_names_ignore_case {
            for pattern in &mut protected_ports {
                match pattern.ignoring_case() {
                    Ok(ignoring) => *pattern = ignoring,
                    Err(why) => table.refuse("protected_ports", why),
                }
            }
        }
        let allowed_ports = own.allowed_ports.or(defaults.allowed_ports);
        let has_uplinks = own.trunk_ports.as_ref().is_some_and(|ports| !ports.is_empty());
        let trunk_ports = own.trunk_ports.or(defaults.trunk_ports).unwrap_or_default();
        let is_unread = profile.speaks_all().any(|speaks| speaks.not_read().is_some());
        let protects = !protected_ports.is_empty() || !trunk_ports.is_empty();
        if is_unread && protects && allowed_ports.is_none() {
            table.refuse(
                "profile",
                "nothing is read by it, so that another name of a protected port or of an uplink would not be \
                 noticed: allowed_ports must list the ports",
            );
        }
        // Said of one device it must be possible; said of all it counts where it is.
        let wish = |key: &'static str, own: Option<bool>, default: Option<bool>, can: bool| {
            if own == Some(true) && !can {
                let why = "has no words for it; take it out, or say it in [inventory] for those that have";
                table.refuse(key, format_args!("profile \"{}\" {why}", profile.name));
            }
            own.or(default).unwrap_or_default() && can
        };
        let manage_vlans = own.manage_vlans.or(defaults.manage_vlans).unwrap_or_default();
        if has_uplinks && manage_vlans && profile.speaks.not_read().is_some() {
            let why =
                "never tells what its uplinks carry, so no network can be added: not with `manage_vlans`";
            table.refuse("trunk_ports", format_args!("profile \"{}\" {why}", profile.name));
        }
        let (can_edge, can_guard) = profile.spanning_tree();
        let stp_edge = wish("stp_edge", own.stp_edge, defaults.stp_edge, can_edge);
        let bpdu_guard = wish("bpdu_guard", own.bpdu_guard, defaults.bpdu_guard, can_guard);
        Some(Device {
            name: name?,
            mac_address,
            datapath_id,
            hostnames: hostnames.into_iter().flatten().collect(),
            endpoint: endpoint?,
            sessions: own.sessions.or(defaults.sessions).or(profile.sessions()),
            profile,
            allowed_vlans: allowed_vlans?,
            idle_vlans,
            allowed_ports,
            protected_ports,
            port_names,
            on_detach,
            create_missing_vlans: own
                .create_missing_vlans
                .or(defaults.create_missing_vlans)
                .unwrap_or_default(),
            save: own.save.or(defaults.save).unwrap_or(Save::Each),
            trunk_ports,
            physical_networks: own.physical_networks.or(defaults.physical_networks).unwrap_or_default(),
            manage_vlans,
            protected_vlans: own.protected_vlans.or(defaults.protected_vlans).unwrap_or_default(),
            stp_edge,
            bpdu_guard,
            frozen,
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

    fn read_endpoint(
        &self,
        table: &Table,
        profile: Option<&Profile>,
        taken: &mut Taken,
        inline: Inline,
    ) -> Option<Endpoint> {
        let address = table.required("address").and_then(|item| Some((item.read(host)?, item)));
        let (by_ssh, by_gnmi) = profile.map_or((true, false), Profile::reached_by);
        let is_written = table.get("gnmi").is_some();
        if is_written && !by_gnmi && profile.is_some() {
            table.refuse("gnmi", "its profile does not speak gNMI");
        }
        if by_gnmi && !by_ssh && !is_written {
            table.refuse("gnmi", "missing; its profile speaks gNMI, so [device.gnmi] says how it is reached");
        }
        let gnmi = table.table("gnmi", |table| GnmiEndpoint::read(table, self.credentials));
        let has = |transport: &str| {
            profile.is_some_and(|profile| profile.speaks_all().any(|speaks| speaks.transport() == transport))
        };
        let port = match table.get("port") {
            Some(item) if !by_ssh => {
                item.refuse("its profile speaks gNMI alone, whose port is in [device.gnmi]");
                None
            }
            Some(item) => item.integer(1..=65_535).and_then(|port| u16::try_from(port).ok()),
            None if by_ssh => Some(if profile.is_none() || has("netconf") { 830 } else { 22 }),
            None => gnmi.as_ref().map(|gnmi| gnmi.port),
        };
        let has_both = has("netconf") && has("cli");
        let cli_port = match table.get("cli_port") {
            Some(item) if !has_both && profile.is_some() => {
                item.refuse("its profile does not have both NETCONF and a command line; give `port`");
                None
            }
            Some(item) => item.integer(1..=65_535).and_then(|port| u16::try_from(port).ok()),
            None => has_both.then_some(22),
        };
        // TLS may say all there is to say of who we are.
        let needs_login = by_ssh || !gnmi.as_ref().is_none_or(|gnmi| gnmi.shows_certificate);
        // Whatever way leads to it: under two names it would be changed by two at a time.
        let ports = BTreeSet::from([port, cli_port, gnmi.as_ref().map(|gnmi| gnmi.port)]);
        if let Some((host, item)) = &address {
            for port in ports.into_iter().flatten() {
                taken.claim(item, format!("endpoint {}", host_and_port(host, port)));
            }
        }
        let username = match table.get("username") {
            None if !needs_login => Some(String::new()),
            _ => table.required("username").and_then(|item| item.filled_text()),
        };
        let mut credential_from = String::new();
        let login = match inline.password {
            Some(_) if self.credentials == CredentialPolicy::Skip => Some(Credential::NotLoaded),
            Some(password) => Some(Credential::Password(password)),
            None if !needs_login && credentials::LOGIN.iter().all(|key| table.get(key).is_none()) => {
                Some(Credential::Certificate)
            }
            None => {
                let named = table.one_among(&credentials::LOGIN);
                if let Some(item) = named.as_ref().filter(|item| !by_ssh && item.name.starts_with("key_")) {
                    item.refuse("gNMI takes no SSH key; give a password, or [device.gnmi] a certificate");
                }
                named.and_then(|item| {
                    let (login, from) = credential(&item, self.credentials, &self.key_files)?;
                    credential_from = from;
                    Some(login)
                })
            }
        };
        let asked = table.at_most_one_among(&credentials::ENABLE);
        let asked = asked.and_then(|item| enable_secret(&item, self.credentials)).flatten();
        let host_key = match table.at_most_one_among(&["known_hosts", "host_key"]) {
            Some(item) => self.host_key(&item),
            None if !by_ssh => Some(HostKey::None),
            None => {
                let default = self.defaults.known_hosts.clone().map(HostKey::KnownHosts);
                let given = table.get("known_hosts").or(table.get("host_key")).is_some();
                if default.is_none() && !given {
                    table.refuse(
                        "known_hosts",
                        "missing here and in [inventory]; give `known_hosts` or `host_key`",
                    );
                }
                default
            }
        };
        let (address, _) = address?;
        Some(Endpoint {
            address,
            port: port?,
            username: username?,
            credential: login?,
            credential_from,
            enable_secret: inline.enable_secret.or(asked),
            host_key: host_key?,
            cli_port,
            gnmi,
        })
    }

    fn host_key(&self, item: &Item) -> Option<HostKey> {
        match item.name {
            "host_key" => item.read(public_key).map(HostKey::Pinned),
            _ => known_hosts(item, self.credentials).map(HostKey::KnownHosts),
        }
    }
}

/// The path of a `known_hosts` file, which only people who may decide whom to trust can change.
pub(crate) fn known_hosts(item: &Item, credentials: CredentialPolicy) -> Option<PathBuf> {
    let path = item.path()?;
    if credentials == CredentialPolicy::Read
        && let Err(why) = open_regular(&path).and_then(|file| check_mode(&file, 0o002))
    {
        item.refuse(format_args!("{}: {why}", path.display()));
    }
    Some(path)
}

/// What only one device may have, and where it was first seen.
#[derive(Default)]
pub(crate) struct Taken {
    /// The number of the file, and the place in it.
    seen: BTreeMap<String, (usize, usize)>,
    /// Each file and where its lines end: thousands of claims must not count them thousands of times.
    files: Vec<(PathBuf, Vec<usize>)>,
}

impl Taken {
    fn claim(&mut self, item: &Item, what: String) {
        let (file, text, at) = item.place();
        if self.files.last().is_none_or(|(last, _)| last != file) {
            let ends = text.match_indices('\n').map(|(end, _)| end).collect();
            self.files.push((file.to_owned(), ends));
        }
        let number = self.files.len() - 1;
        match self.seen.get(&what) {
            Some((first, at)) => {
                let (other, ends) = &self.files[*first];
                let line = ends.partition_point(|end| end < at) + 1;
                if other == file {
                    item.refuse(format_args!("{what} is already taken at line {line}"));
                } else {
                    item.refuse(format_args!("{what} is already taken at {}:{line}", other.display()));
                }
            }
            None => {
                self.seen.insert(what, (number, at));
            }
        }
    }
}
