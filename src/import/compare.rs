//! How our configuration differs from that of Ironic's own networking service.

use std::path::Path;
use std::sync::Arc;

use super::ironic::{self, IronicConf};
use super::{DeviceTypes, Imported, switches};
use crate::config::reader::{ConfigErrors, Problems, Source, file_text};
use crate::config::{Defaults, Listen, Rpc, Settings};
use crate::device::{Device, Inventory, Save, host_and_port};
use crate::vlan::VlanSet;

/// One line a difference. `switches` is the inventory there; none: the one that `conf` names.
pub fn compare(
    settings: &Settings,
    conf: &Path,
    switches: Option<&Path>,
) -> Result<Vec<String>, ConfigErrors> {
    let problems = Problems::default();
    let mut differences = Vec::new();
    if let Ok(text) = file_text(conf, 0).map_err(|why| problems.about_file(conf, why)) {
        let there = ironic::read(Source { file: conf, text: &text, problems: &problems });
        rpc(settings, &there, &mut differences);
        differences.extend(there.remarks.iter().map(|(_, remark)| remark.clone()));
        networks(&settings.inventory, &there, &mut differences);
        let named = there.switch_config_file.as_ref().map(Path::new);
        if let Some(file) = switches.or(named) {
            inventory(settings, &there, file, &problems, &mut differences);
        }
    }
    problems.finish(Some(differences))
}

/// Where it listens, as text.
pub fn listen(rpc: &Rpc) -> String {
    match &rpc.listen {
        Listen::Tcp(address) => host_and_port(&address.ip().to_string(), address.port()),
        Listen::Unix(path) => format!("unix:{}", path.display()),
    }
}

/// What callers may prove themselves with, in the words of `auth`.
pub fn auth(rpc: &Rpc) -> Vec<&'static str> {
    let Some(methods) = &rpc.policy.methods else { return vec!["none"] };
    let words = [
        ("basic", methods.basic.is_some()),
        ("digest", methods.digest.is_some()),
        ("mtls", methods.certificates.is_some()),
    ];
    words.into_iter().filter(|(_, there)| *there).map(|(word, _)| word).collect()
}

fn rpc(settings: &Settings, there: &IronicConf, differences: &mut Vec<String>) {
    let (here, there) = (&settings.rpc, &there.rpc);
    let mut differ = |what: &str, there: &str, here: &str| {
        if there != here {
            differences.push(format!("rpc: {what}: {there} there, {here} here"));
        }
    };
    // Whoever listens everywhere is found by every name.
    let is_found = match &here.listen {
        Listen::Tcp(address) => {
            there.unix_socket.is_none() && address.ip().is_unspecified() && address.port() == there.port
        }
        Listen::Unix(_) => false,
    };
    if !is_found {
        differ("listens on", &there.listen(), &listen(here));
    }
    let words = auth(here);
    let asked = there.auth().unwrap_or(&there.auth_strategy);
    if !words.contains(&asked) {
        differ("asks for", asked, &words.join(", "));
    }
    let basic = here.policy.methods.as_ref().and_then(|methods| methods.basic.as_ref());
    if let ("basic", Some(users), Some(file)) = (asked, basic, &there.user_file) {
        differ("users", file, &users.path().display().to_string());
    }
    let word = |tls: bool| if tls { "yes" } else { "no" };
    let tls = there.client_tls.unwrap_or(there.tls.is_some());
    differ("TLS", word(tls), word(here.policy.tls.is_some()));
}

/// What Ironic will ask for and not get.
fn networks(here: &Inventory, there: &IronicConf, differences: &mut Vec<String>) {
    for (network, vlans) in &there.networks {
        let idle = *network == "idle_network";
        let refused = |device: &Arc<Device>| {
            let allowed =
                |vlan| device.allowed_vlans.contains(vlan) || idle && device.idle_vlans.contains(vlan);
            let missing: VlanSet = vlans.iter().filter(|vlan| !allowed(*vlan)).collect();
            (!missing.is_empty()).then(|| (missing.to_string(), device.name.clone()))
        };
        let mut refused: Vec<(String, String)> = here.devices.values().filter_map(refused).collect();
        refused.sort();
        let lists = if idle { "neither in idle_vlans nor in allowed_vlans" } else { "not in allowed_vlans" };
        for same in refused.chunk_by(|a, b| a.0 == b.0) {
            let devices: Vec<&str> = same.iter().map(|(_, device)| device.as_str()).collect();
            differences.push(format!("{network}: VLAN {} {lists} of {}", same[0].0, devices.join(", ")));
        }
    }
}

fn inventory(
    settings: &Settings,
    conf: &IronicConf,
    file: &Path,
    problems: &Problems,
    differences: &mut Vec<String>,
) {
    let Ok(text) = file_text(file, 0).map_err(|why| problems.about_file(file, why)) else { return };
    let source = Source { file, text: &text, problems };
    let types = DeviceTypes { profiles: &settings.profiles, chosen: settings.inventory.device_types.clone() };
    let there = switches::import(source, &types);
    let defaults = Defaults { allowed_vlans: conf.allowed_vlans.clone(), ..Defaults::default() };
    let devices = super::read(&there, source, &settings.profiles, &defaults);
    for (imported, device) in there.iter().zip(devices) {
        let Some(device) = device else { continue };
        match settings.inventory.devices.get(&device.name) {
            Some(here) => one(here, &device, imported, conf, differences),
            None => differences.push(format!("{}: missing here", device.name)),
        }
    }
    for name in settings.inventory.devices.keys() {
        if !there.iter().any(|imported| imported.name == *name) {
            differences.push(format!("{name}: missing there"));
        }
    }
}

fn one(here: &Device, there: &Device, imported: &Imported, conf: &IronicConf, differences: &mut Vec<String>) {
    let name = &here.name;
    let mut differ = |what: &str, there: String, here: String| {
        if there != here {
            differences.push(format!("{name}: {what}: {there} there, {here} here"));
        }
    };
    let id = |device: &Device| {
        let mac = device.mac_address.map(|mac| mac.to_string());
        mac.or(device.datapath_id.map(|id| id.to_string())).unwrap_or_else(|| "none".to_owned())
    };
    differ("switch id", id(there), id(here));
    // Where its type leads nowhere, any profile stands for it.
    if imported.no_profile.is_none() {
        differ("profile", there.profile.name.clone(), here.profile.name.clone());
    }
    differ("address", there.endpoint.address.clone(), here.endpoint.address.clone());
    if imported.literal("port").is_some() {
        differ("port", there.endpoint.port.to_string(), here.endpoint.port.to_string());
    }
    differ("username", there.endpoint.username.clone(), here.endpoint.username.clone());
    // Upstream saves only where it is told to.
    let saves = imported.literal("save").is_some() && there.save == Save::Each;
    let word = |saves: bool| if saves { "saved" } else { "not saved" }.to_owned();
    differ("a change", word(saves), word(here.save == Save::Each));
    let limited = conf.allowed_vlans.is_some() || imported.literal("allowed_vlans").is_some();
    let vlans = |vlans: &VlanSet| if vlans.is_empty() { "none".to_owned() } else { vlans.to_string() };
    let all = || "every VLAN".to_owned();
    let there_allowed = if limited { vlans(&there.allowed_vlans) } else { all() };
    differ("allowed_vlans", there_allowed, vlans(&here.allowed_vlans));
}
