//! What Ironic's own configuration says about its networking service: where it listens, which
//! inventory it reads, and the VLANs that its networks need.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use super::ini::{Entry, Ini};
use super::write::Written;
use super::{literal, place};
use crate::config::reader::Source;
use crate::device::host_and_port;
use crate::vlan::VlanSet;

/// The options of one state's network.
const NETWORKS: [&str; 6] = [
    "idle_network",
    "cleaning_network",
    "provisioning_network",
    "rescuing_network",
    "inspection_network",
    "servicing_network",
];
const SECTION: &str = "ironic_networking";
const RPC: &str = "ironic_networking_json_rpc";

/// What Mercury has to allow and where Ironic will call. No `Debug`: a file of Ironic's holds passwords.
pub struct IronicConf {
    /// None: every VLAN is allowed.
    pub allowed_vlans: Option<VlanSet>,
    /// The VLANs of each network, by the option that names it.
    pub networks: BTreeMap<&'static str, VlanSet>,
    pub switch_config_file: Option<String>,
    pub rpc: Rpc,
    /// What has no counterpart: the option, its place, and why.
    pub remarks: Vec<(String, String)>,
}

/// The options of `[ironic_networking_json_rpc]` about the service's side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rpc {
    pub host: String,
    pub port: u16,
    pub unix_socket: Option<String>,
    /// `noauth`, `http_basic` or `keystone`.
    pub auth_strategy: String,
    /// None: Ironic's default.
    pub user_file: Option<String>,
    pub tls: Option<Tls>,
    /// Whether those who call use TLS, where that is said.
    pub client_tls: Option<bool>,
}

/// The service's certificate, and the lowest version it speaks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    pub cert_file: Option<String>,
    pub key_file: Option<String>,
    pub minimum_version: String,
}

/// Reads the text of `source`; what is wrong in it is reported there.
pub(crate) fn read(source: Source) -> IronicConf {
    let ini = Ini::read(source);
    let option = |section, key| ini.value(section, key).filter(|entry| !entry.value.is_empty());
    let text = |section, key| option(section, key).map(|entry| entry.value.clone());
    let vlans = |entry: &Entry, list: &str| match vlan_list(list) {
        Ok(vlans) => Some(vlans),
        Err(why) => {
            source.report(entry.span.clone(), entry.key.clone(), why);
            None
        }
    };
    let network = |key: &'static str| {
        let entry = option(SECTION, key)?;
        match network_vlans(&entry.value) {
            Ok(vlans) => Some((key, vlans)),
            Err(why) => {
                source.report(entry.span.clone(), entry.key.clone(), why);
                None
            }
        }
    };
    IronicConf {
        // Given and empty means none, unlike in a switch's section.
        allowed_vlans: ini.value(SECTION, "allowed_vlans").and_then(|entry| vlans(entry, &entry.value)),
        networks: NETWORKS.into_iter().filter_map(network).collect(),
        switch_config_file: text(SECTION, "switch_config_file"),
        rpc: rpc(source, &ini),
        remarks: remarks(source, &ini),
    }
}

fn rpc(source: Source, ini: &Ini) -> Rpc {
    let option = |section, key| ini.value(section, key).filter(|entry| !entry.value.is_empty());
    let text = |key| option(RPC, key).map(|entry| entry.value.clone());
    let port = option(RPC, "port").map(|entry| {
        entry
            .value
            .parse()
            .map_err(|_| source.report(entry.span.clone(), entry.key.clone(), "not a port number"))
    });
    let auth = option(RPC, "auth_strategy").or(option("DEFAULT", "auth_strategy"));
    let is_true =
        |entry: &Entry| ["1", "t", "true", "on", "y", "yes"].contains(&entry.value.to_lowercase().as_str());
    let tls = option(RPC, "use_ssl").filter(|entry| is_true(entry)).map(|_| Tls {
        cert_file: text("cert_file"),
        key_file: text("key_file"),
        minimum_version: text("server_tls_minimum_version")
            .or(text("tls_minimum_version"))
            .unwrap_or_else(|| "1.3".to_owned()),
    });
    Rpc {
        host: text("host_ip").unwrap_or_else(|| "::".to_owned()),
        port: port.and_then(Result::ok).unwrap_or(8089),
        unix_socket: text("unix_socket"),
        auth_strategy: auth.map_or_else(|| "keystone".to_owned(), |entry| entry.value.clone()),
        user_file: text("http_basic_auth_user_file"),
        tls,
        client_tls: option(RPC, "client_use_ssl").map(is_true),
    }
}

fn remarks(source: Source, ini: &Ini) -> Vec<(String, String)> {
    let entries = |name: &str| {
        let section = ini.sections.iter().find(|section| section.name == name);
        section.map_or(&[][..], |section| &section.options)
    };
    let remark = |entry: &Entry| {
        let why = match entry.key.as_str() {
            "allowed_vlans" | "switch_config_file" | "driver_config_dir" => return None,
            key if NETWORKS.contains(&key) => return None,
            "rpc_transport" if entry.value == "json-rpc" => return None,
            "rpc_transport" => "only json-rpc is spoken",
            "enabled_switch_drivers" if entry.value == "generic-switch" => return None,
            "enabled_switch_drivers" => "only generic-switch is understood",
            _ => "Ironic 39.0.0 has no such option",
        };
        Some((
            entry.key.clone(),
            format!("{}: {}: {why}", place(source, &entry.span), entry.key.escape_debug()),
        ))
    };
    let comment = |entry: &&Entry| entry.value.contains(" #") || entry.value.contains("\t#");
    let with_comment = |entry: &Entry| {
        let why = "a comment after a value is part of it";
        (entry.key.clone(), format!("{}: {}: {why}", place(source, &entry.span), entry.key.escape_debug()))
    };
    let commented = entries(SECTION).iter().chain(entries(RPC)).filter(comment).map(with_comment);
    entries(SECTION).iter().filter_map(remark).chain(commented).collect()
}

/// `100,102-104`; also `[]`, as Ironic's manual spells the empty list.
fn vlan_list(text: &str) -> Result<VlanSet, String> {
    let members = text.trim();
    let members = if members == "[]" { "" } else { members };
    let members: Vec<&str> = members.split(',').map(str::trim).filter(|member| !member.is_empty()).collect();
    members.join(",").parse().map_err(|why| format!("\"{}\" is no VLAN list: {why}", text.escape_debug()))
}

/// `access/native_vlan=5` or `trunk/native_vlan=5/allowed_vlans=6,8-9`.
fn network_vlans(text: &str) -> Result<VlanSet, String> {
    let wrong = || {
        let text = text.escape_debug();
        format!("expected MODE/native_vlan=VLAN[/allowed_vlans=VLANS], found \"{text}\"")
    };
    let mut parts = text.split('/').map(str::trim);
    if !parts.next().is_some_and(|mode| ["access", "trunk", "hybrid"].contains(&mode)) {
        return Err(wrong());
    }
    let mut vlans: Vec<VlanSet> = Vec::new();
    for part in parts {
        match part.split_once('=').map(|(key, value)| (key.trim(), value.trim())) {
            Some(("native_vlan" | "allowed_vlans", value)) => vlans.push(vlan_list(value)?),
            Some(_) => {}
            None => return Err(wrong()),
        }
    }
    match vlans.iter().flat_map(VlanSet::iter).collect::<VlanSet>() {
        none if none.is_empty() => Err(wrong()),
        vlans => Ok(vlans),
    }
}

impl Rpc {
    /// Where it listens, as text.
    pub fn listen(&self) -> String {
        match &self.unix_socket {
            Some(path) => format!("unix:{path}"),
            None => host_and_port(self.address().unwrap_or(&self.host), self.port),
        }
    }

    /// Our word for its `auth_strategy`; none: there is none.
    pub fn auth(&self) -> Option<&'static str> {
        match self.auth_strategy.as_str() {
            "noauth" => Some("none"),
            "http_basic" => Some("basic"),
            _ => None,
        }
    }

    /// The host, if it is an address or stands for one.
    fn address(&self) -> Option<&str> {
        match self.host.as_str() {
            "localhost" => Some("127.0.0.1"),
            host => host.parse::<IpAddr>().is_ok().then_some(host),
        }
    }

    /// `[rpc]`, and what has no counterpart.
    fn toml(&self) -> (String, Vec<String>) {
        let (mut toml, mut lost) = ("[rpc]\n".to_owned(), Vec::new());
        let mut line = |key: &str, value: &str| toml += &format!("{key} = {}\n", literal(value));
        match (&self.unix_socket, self.address()) {
            (Some(path), _) => line("unix", path),
            (None, Some(_)) => line("listen", &self.listen()),
            (None, None) => {
                lost.push(format!("host_ip: {}: `listen` needs an address", self.host.escape_debug()))
            }
        }
        match self.auth() {
            Some(word) => line("auth", word),
            None => {
                lost.push(format!("auth_strategy: {}: not spoken here", self.auth_strategy.escape_debug()))
            }
        }
        if self.auth() == Some("basic") {
            line("htpasswd", self.user_file.as_deref().unwrap_or("/etc/ironic/htpasswd-json-rpc"));
        }
        if let Some(tls) = &self.tls {
            toml += "\n[rpc.tls]\n";
            let mut line = |key: &str, value: &str| toml += &format!("{key} = {}\n", literal(value));
            for (key, option, file) in
                [("certificate", "cert_file", &tls.cert_file), ("key", "key_file", &tls.key_file)]
            {
                match file {
                    Some(file) => line(key, file),
                    None => lost.push(format!("{option}: missing; [rpc.tls] {key} has to name one")),
                }
            }
            line("min_version", &tls.minimum_version);
        }
        (toml, lost)
    }
}

impl IronicConf {
    /// The VLANs of all networks but the idle one.
    pub fn used(&self) -> VlanSet {
        let used = self.networks.iter().filter(|(network, _)| **network != "idle_network");
        used.flat_map(|(_, vlans)| vlans.iter()).collect()
    }

    /// `mercury.toml` as it has to be for this Ironic.
    pub(crate) fn written(&self, file: &Path) -> Written {
        let from = file.display();
        let (rpc, lost) = self.rpc.toml();
        let mut toml =
            format!("# Imported from {from}: what mercury.toml needs of it.\n\n{rpc}\n[inventory]\n");
        let mut report: Vec<String> = lost.iter().map(|lost| format!("{from}: {lost}")).collect();
        match &self.switch_config_file {
            Some(path) => toml += &format!("switches_conf = {}\n", literal(path.as_str())),
            None => toml += "# devices = \"devices.toml\"\n",
        }
        toml += "# known_hosts = \"known_hosts\"    # upstream does not check host keys; here they have to be known\n";
        match &self.allowed_vlans {
            Some(vlans) => {
                toml += &format!("allowed_vlans = \"{vlans}\"\n");
                let missing: VlanSet = self.used().iter().filter(|vlan| !vlans.contains(*vlan)).collect();
                if !missing.is_empty() {
                    report.push(format!(
                        "{from}: allowed_vlans lacks {missing}, which Ironic's own networks need"
                    ));
                }
            }
            None => {
                toml += "# Upstream allows every VLAN. These are the networks of Ironic's states; the tenants' VLANs,\n";
                toml += "# which stand in the ports' extra.switchport, have to be added.\n";
                toml += &format!("allowed_vlans = \"{}\"\n", self.used());
                report.push(format!(
                    "{from}: allowed_vlans: every VLAN is allowed there; here the tenants' have to be added"
                ));
            }
        }
        if let Some(idle) = self.networks.get("idle_network") {
            toml += &format!("idle_vlans = \"{idle}\"\n");
        }
        toml += "\n[locks]\ndir = \"/var/lib/mercury\"\n";
        let complete = self.allowed_vlans.is_some() && self.remarks.is_empty() && lost.is_empty();
        report.extend(self.remarks.iter().map(|(_, remark)| remark.clone()));
        Written { toml, secrets: Vec::new(), report, complete }
    }
}
