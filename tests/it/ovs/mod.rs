//! Open vSwitch on a Linux host: a switch that forwards, with machines on its ports.

mod changes;
mod faults;
mod fixture;

use std::collections::BTreeSet;

use serde_json::Value;

use crate::peers::{OpenVswitch, Port};
use crate::service::{Service, Site};

/// A site with the switch as `leaf1`; VLANs 100 to 199 are allowed on it.
fn site(switch: &OpenVswitch, lines: &str) -> Site {
    let login = format!(
        "address = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\nkey_file = \"{}\"\nknown_hosts = \"{}\"\n\
         profile = \"ovs_linux\"\nallowed_vlans = \"100-199\"\nprotected_ports = [\"uplink\"]\n",
        switch.port,
        switch.username,
        switch.key.display(),
        switch.known_hosts.display()
    );
    Site::new().device("leaf1", &(login + lines))
}

/// What a call that must succeed answers.
async fn applied(service: &Service, method: &str, params: Value) -> Value {
    match service.call(method, params.clone()).await {
        Ok(answer) => answer,
        Err(failure) => panic!("{method} {params}: {failure:?}"),
    }
}

fn access(vlan: u16) -> Port {
    Port { vlan_mode: Some("access".into()), tag: Some(vlan), trunks: BTreeSet::new(), admin_up: true }
}

/// A port that carries nothing.
fn isolated() -> Port {
    Port { admin_up: false, ..access(4095) }
}

fn trunk(native: Option<u16>, trunks: &[u16]) -> Port {
    let vlan_mode = if native.is_some() { "native-untagged" } else { "trunk" };
    Port {
        vlan_mode: Some(vlan_mode.to_owned()),
        tag: native,
        trunks: trunks.iter().copied().collect(),
        admin_up: true,
    }
}
