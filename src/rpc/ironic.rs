//! The methods that Ironic calls, with flat parameters. Results have exactly the keys that its own
//! networking service answers with.

use serde_json::{Value, json};

use crate::intent::{Attach, Caller, Description, Detach, Intent, ParameterNames, PortName, PortVlans};
use crate::quote::quoted;
use crate::report::{Call, DeviceNames, Target};
use crate::rpc::Asked;
use crate::rpc::arguments::{Arguments, Field, Signature};
use crate::rpc::error::RpcError;
use crate::vlan::{VlanId, VlanSet};

/// What Ironic calls the values of an intent.
pub static NAMES: ParameterNames = ParameterNames {
    device: "switch_id",
    port: "port_name",
    vlan: "native_vlan",
    tagged: "allowed_vlans",
    default_vlan: "default_vlan",
    description: "description",
    physical_network: "physical_network",
};

static UPDATE_PORT: Signature = Signature {
    method: "update_port",
    required: &["context", "switch_id", "port_name", "description", "mode", "native_vlan"],
    optional: &["allowed_vlans", "default_vlan", "lag_name", "dry_run"],
};

static RESET_PORT: Signature = Signature {
    method: "reset_port",
    required: &["context", "switch_id", "port_name", "native_vlan"],
    optional: &["allowed_vlans", "default_vlan", "dry_run"],
};

/// Puts a port into VLANs.
pub fn update_port(params: &Value, caller: Caller) -> Result<Asked, RpcError> {
    let arguments = UPDATE_PORT.bind(params)?;
    let value = |name| arguments.field(name).value;
    let switch_id = arguments.field("switch_id").text()?;
    let description = arguments.field("description").parse(Description::new)?;
    let attach = attach(&arguments, Some(description))?;
    let allowed_vlans = match value("allowed_vlans") {
        Value::Null => json!([]),
        list => list.clone(),
    };
    let answer = json!({
        "switch_id": switch_id,
        "port_name": attach.port,
        "description": attach.description,
        "mode": value("mode"),
        "native_vlan": value("native_vlan"),
        "allowed_vlans": allowed_vlans,
        "default_vlan": value("default_vlan"),
        "lag_name": null,
        "status": "configured",
    });
    asked(&arguments, switch_id, Intent::Attach(attach), caller, answer)
}

/// What these values ask of a port.
pub(super) fn attach(arguments: &Arguments, description: Option<Description>) -> Result<Attach, RpcError> {
    let lag_name = arguments.field("lag_name");
    if !lag_name.value.is_null() {
        return Err(lag_name.refuse("LAGs are not supported yet"));
    }
    Ok(Attach {
        port: arguments.field("port_name").parse(PortName::new)?,
        description,
        vlans: port_vlans(arguments)?,
        mtu: None,
        enabled: None,
        default_vlan: arguments.field("default_vlan").optional(Field::vlan)?,
    })
}

/// Isolates a port. The VLANs named are those it should leave; it leaves every other one too, so
/// whether they are allowed is never asked.
pub fn reset_port(params: &Value, caller: Caller) -> Result<Asked, RpcError> {
    let arguments = RESET_PORT.bind(params)?;
    let switch_id = arguments.field("switch_id").text()?;
    let detach = Detach {
        port: arguments.field("port_name").parse(PortName::new)?,
        default_vlan: arguments.field("default_vlan").optional(Field::vlan)?,
    };
    let native_vlan = arguments.field("native_vlan").optional(Field::vlan)?;
    tagged(&arguments)?;
    let answer = json!({
        "switch_id": switch_id,
        "port_name": detach.port,
        "description": "Default port configuration",
        "mode": "access",
        "native_vlan": native_vlan,
        "allowed_vlans": [],
        "default_vlan": detach.default_vlan,
        "status": "reset",
    });
    asked(&arguments, switch_id, Intent::Detach(detach), caller, answer)
}

fn asked(
    arguments: &Arguments,
    switch_id: String,
    intent: Intent,
    caller: Caller,
    answer: Value,
) -> Result<Asked, RpcError> {
    let dry_run = arguments.field("dry_run").optional(Field::flag)?.unwrap_or(false);
    let device = DeviceNames::switch(&switch_id);
    let targets = vec![Target { device, physical_network: None, level: 0, intent }];
    let call = Call { targets, caller, names: &NAMES, dry_run, detailed: dry_run };
    Ok(Asked::Change { call: Box::new(call), answer: (!dry_run).then_some(answer) })
}

pub(super) fn port_vlans(arguments: &Arguments) -> Result<PortVlans, RpcError> {
    let mode = arguments.field("mode");
    let (native, list) = (arguments.field("native_vlan"), arguments.field("allowed_vlans"));
    let tagged = tagged(arguments)?;
    match mode.text()?.as_str() {
        // Upstream would drop the list in silence.
        "access" if !tagged.is_empty() => Err(list.refuse("an access port has no list of tagged VLANs")),
        "access" => Ok(PortVlans::Access { vlan: native.vlan()? }),
        "trunk" => Ok(PortVlans::Trunk { native: native.optional(Field::vlan)?, tagged }),
        "hybrid" if tagged.is_empty() => Err(list.refuse("a hybrid port needs a list of tagged VLANs")),
        "hybrid" => Ok(PortVlans::Trunk { native: Some(native.vlan()?), tagged }),
        other => Err(mode.refuse(&format!("it must be access, trunk or hybrid, not {}", quoted(other)))),
    }
}

fn tagged(arguments: &Arguments) -> Result<VlanSet, RpcError> {
    let list = arguments.field("allowed_vlans").optional(Field::elements)?.unwrap_or_default();
    list.iter().map(Field::vlan).collect::<Result<Vec<VlanId>, _>>().map(VlanSet::from_iter)
}
