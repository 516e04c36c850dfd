//! Mercury over gNMI on simulated targets, which share nothing with it but the messages. That the
//! simulator is a target to others too is shown in `gnmi_target`.

mod answers;
mod changes;
mod choice;
mod native;
mod peers;

use mercury::schema::Schema;
use mercury::sim::gnmi::GnmiSpec;
use mercury::sim::{self, Switch, SwitchSpec};

/// A switch with ports eth1 and eth2 and VLANs 100 to 119, spoken to both ways with a password.
pub async fn start(gnmi: GnmiSpec, spec: SwitchSpec) -> Switch {
    let spec = SwitchSpec {
        ports: ["eth1", "eth2"].map(str::to_owned).to_vec(),
        vlans: (100..120).collect(),
        password: Some("secret".to_owned().into()),
        gnmi: Some(gnmi),
        ..spec
    };
    let schema = Schema::builtin().unwrap();
    sim::start(spec, schema, ([127, 0, 0, 1], 0).into()).await.unwrap()
}

/// The device's lines for its gNMI side, without TLS.
pub fn plaintext(switch: &Switch) -> String {
    format!("{}[device.gnmi]\nport = {}\nplaintext = true\n", login(), port(switch))
}

/// The device's lines but for its gNMI side.
pub fn login() -> &'static str {
    "address = \"127.0.0.1\"\nusername = \"admin\"\npassword_file = \"secret\"\nprofile = \"gnmi_openconfig\"\n\
     allowed_vlans = \"100-199\"\ncreate_missing_vlans = true\n"
}

pub fn port(switch: &Switch) -> u16 {
    switch.gnmi_addr().unwrap().port()
}
