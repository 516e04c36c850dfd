//! Ironic's two methods for LAGs: checked like any other, and refused, since there are no LAGs yet.

use serde_json::Value;

use crate::address;
use crate::intent::{Caller, Description, PortName};
use crate::report::DeviceNames;
use crate::rpc::Asked;
use crate::rpc::arguments::{Arguments, Field, Signature};
use crate::rpc::error::RpcError;
use crate::rpc::ironic;
use crate::world::World;

static UPDATE_LAG: Signature = Signature {
    method: "update_lag",
    required: &[
        "context",
        "switch_ids",
        "lag_name",
        "description",
        "mode",
        "native_vlan",
        "aggregation_mode",
    ],
    optional: &["allowed_vlans", "default_vlan", "dry_run"],
};

static DELETE_LAG: Signature = Signature {
    method: "delete_lag",
    required: &["context", "switch_ids", "lag_name"],
    optional: &["dry_run"],
};

/// Most switches of one LAG.
const MAX_SWITCHES: usize = 64;

/// Would put a LAG into VLANs.
pub fn update_lag(params: &Value, caller: &Caller, world: &World) -> Result<Asked, RpcError> {
    let arguments = UPDATE_LAG.bind(params)?;
    let switches = switches(&arguments)?;
    arguments.field("lag_name").parse(PortName::new)?;
    arguments.field("description").parse(Description::new)?;
    ironic::port_vlans(&arguments)?;
    arguments.field("aggregation_mode").text()?;
    arguments.field("default_vlan").optional(Field::vlan)?;
    refuse(&arguments, &switches, caller, world)
}

/// Would take a LAG away.
pub fn delete_lag(params: &Value, caller: &Caller, world: &World) -> Result<Asked, RpcError> {
    let arguments = DELETE_LAG.bind(params)?;
    let switches = switches(&arguments)?;
    arguments.field("lag_name").parse(PortName::new)?;
    refuse(&arguments, &switches, caller, world)
}

fn switches(arguments: &Arguments) -> Result<Vec<String>, RpcError> {
    let field = arguments.field("switch_ids");
    let ids = field.elements()?;
    if !(1..=MAX_SWITCHES).contains(&ids.len()) {
        return Err(field.refuse(&format!("it names {} switches, not 1 to {MAX_SWITCHES}", ids.len())));
    }
    ids.iter().map(Field::text).collect()
}

fn refuse(
    arguments: &Arguments,
    switches: &[String],
    caller: &Caller,
    world: &World,
) -> Result<Asked, RpcError> {
    arguments.field("dry_run").optional(Field::flag)?;
    for id in switches {
        address::device(&DeviceNames::switch(id), "switch_ids", caller, world)?;
    }
    Err(arguments.field("lag_name").refuse("LAGs are not supported yet"))
}
