//! The specification's methods, in ML2's words: a Neutron port as its binding left it, and the
//! segment it is bound to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::device::Inventory;
use crate::intent::{Attach, Caller, Description, Detach, Intent, ParameterNames, PortName};
use crate::report::{Call, DeviceNames, Target};
use crate::rpc::Asked;
use crate::rpc::arguments::{Arguments, Field, Signature};
use crate::rpc::error::RpcError;
use crate::rpc::neutron::{Link, MAX_LINKS, links, port_vlans, segment, spelled, top_segment};
use crate::vlan::VlanId;

/// What ML2 calls the values of an intent.
pub static NAMES: ParameterNames = ParameterNames {
    device: "port.binding:profile.local_link_information[].switch_id",
    port: "port.binding:profile.local_link_information[].port_id",
    vlan: "segment.segmentation_id",
    tagged: "port.trunk_details.sub_ports[].segmentation_id",
    default_vlan: "default_vlan",
    description: "port.id",
    physical_network: "segment.physical_network",
};

/// The same for a network.
pub static NETWORK_NAMES: ParameterNames = ParameterNames {
    device: "devices[]",
    vlan: "network.segmentation_id",
    physical_network: "network.physical_network",
    ..NAMES
};

static ATTACH_PORT: Signature = Signature {
    method: "attach_port",
    required: &["port", "segment"],
    optional: &["top_segment", "network", "children", "default_vlan", "dry_run", "context"],
};

static DETACH_PORT: Signature = Signature {
    method: "detach_port",
    required: &["port"],
    optional: &["segment", "default_vlan", "dry_run", "context"],
};

static UPDATE_PORT: Signature = Signature {
    method: "update_port",
    required: &["port", "original", "segment"],
    optional: &["original_segment", "network", "default_vlan", "dry_run", "context"],
};

static ADD_NETWORK: Signature =
    Signature { method: "add_network", required: &["network"], optional: &["devices", "dry_run", "context"] };

static DELETE_NETWORK: Signature = Signature {
    method: "delete_network",
    required: &["network"],
    optional: &["devices", "force", "dry_run", "context"],
};

/// RFC 791's least, and all that an `mtu` leaf can hold.
const MTU: (i64, i64) = (68, u16::MAX as i64);

/// Puts every link of a port into the segment's VLAN and its sub-ports' VLANs, and those of its child
/// ports after them.
pub fn attach_port(params: &Value, caller: Caller, inventory: &Inventory) -> Result<Asked, RpcError> {
    let arguments = ATTACH_PORT.bind(params)?;
    let own = arguments.field("segment");
    let parent = attached(&arguments, &arguments.field("port"), &own, 0, inventory)?;
    let mut targets = parent.unwrap_or_default();
    if let Some(vlan) = segment(&own, inventory)?.vlan {
        top_segment(&arguments.field("top_segment"), vlan)?;
    }
    for child in arguments.field("children").optional(Field::elements)?.unwrap_or_default() {
        child.member("node_uuid")?.optional(Field::text)?;
        let theirs = child.member("segment")?;
        let segment = if theirs.value.is_null() { &own } else { &theirs };
        targets
            .extend(attached(&arguments, &child.member("port")?, segment, 1, inventory)?.unwrap_or_default());
    }
    if targets.is_empty() {
        return Ok(UNMANAGED);
    }
    asked(&arguments, targets, caller)
}

/// Isolates every link of a port. What it was bound to does not matter, only that it was managed.
pub fn detach_port(params: &Value, caller: Caller) -> Result<Asked, RpcError> {
    let arguments = DETACH_PORT.bind(params)?;
    let default_vlan = arguments.field("default_vlan").optional(Field::vlan)?;
    let kind = arguments.field("segment").optional(|segment| spelled(segment, "network_type")?.text())?;
    if kind.as_deref() == Some("unmanaged") {
        return Ok(UNMANAGED);
    }
    let links = links(&arguments.field("port"))?;
    asked(&arguments, links.into_iter().map(|link| detached(link, default_vlan)).collect(), caller)
}

/// Brings every link to the port's new state; a link that the port had and has no more is isolated in
/// the same transaction.
pub fn update_port(params: &Value, caller: Caller, inventory: &Inventory) -> Result<Asked, RpcError> {
    let arguments = UPDATE_PORT.bind(params)?;
    let default_vlan = arguments.field("default_vlan").optional(Field::vlan)?;
    let (port, original) = (arguments.field("port"), arguments.field("original"));
    let new = attached(&arguments, &port, &arguments.field("segment"), 0, inventory)?;
    let before = arguments.field("original_segment").optional(|field| segment(field, inventory))?;
    let was_managed = before.as_ref().is_none_or(|segment| segment.vlan.is_some());
    let old = if was_managed { links_before(&original)? } else { Vec::new() };
    // It may always have been unmanaged.
    let left_alone = if new.is_none() && before.is_none() { links_before(&port)? } else { Vec::new() };
    let mut targets = new.unwrap_or_default();
    // Two ways to name one switch, or one port of it, are one link.
    let place = |names: &DeviceNames, port: &PortName| match names.find_in(inventory) {
        Some(device) => (device.name.clone(), device.port_key(&device.port_name(port.as_str()))),
        None => (names.first().to_owned(), port.to_string()),
    };
    let kept: BTreeSet<(String, String)> = targets
        .iter()
        .filter_map(|target| match &target.intent {
            Intent::Attach(attach) => Some(place(&target.device, &attach.port)),
            _ => None,
        })
        .chain(left_alone.iter().map(|link| place(&link.device, &link.port)))
        .collect();
    let gone = old.into_iter().filter(|link| !kept.contains(&place(&link.device, &link.port)));
    targets.extend(gone.map(|link| detached(link, default_vlan)));
    if targets.is_empty() {
        return Ok(UNMANAGED);
    }
    asked(&arguments, targets, caller)
}

/// Puts a network's VLAN into the table and on the uplinks of the devices named, or of all devices of
/// its physical network.
pub fn add_network(params: &Value, caller: Caller, inventory: &Inventory) -> Result<Asked, RpcError> {
    let arguments = ADD_NETWORK.bind(params)?;
    network_change(&arguments, caller, inventory, |vlan| Intent::AddNetwork { vlan })
}

/// Takes it away from both, unless ports still use it.
pub fn delete_network(params: &Value, caller: Caller, inventory: &Inventory) -> Result<Asked, RpcError> {
    let arguments = DELETE_NETWORK.bind(params)?;
    let force = arguments.field("force").optional(Field::flag)?.unwrap_or(false);
    network_change(&arguments, caller, inventory, |vlan| Intent::DeleteNetwork { vlan, force })
}

const UNMANAGED: Asked = Asked::Nothing { why: "the segment is unmanaged" };

fn network_change(
    arguments: &Arguments,
    caller: Caller,
    inventory: &Inventory,
    intent: impl Fn(VlanId) -> Intent,
) -> Result<Asked, RpcError> {
    let network = arguments.field("network");
    let placed = segment(&network, inventory)?;
    let Some(vlan) = placed.vlan else { return Ok(UNMANAGED) };
    let devices = arguments.field("devices");
    let names: Vec<DeviceNames> = match (devices.optional(Field::elements)?, &placed.physical_network) {
        (Some(names), _) if names.is_empty() => return Err(devices.refuse("it names no device")),
        (Some(names), _) => {
            let names = names.iter().map(|name| Ok(DeviceNames::switch(&name.text()?)));
            names.collect::<Result<_, RpcError>>()?
        }
        (None, None) => {
            return Err(devices.refuse("it is required where the network has no physical_network"));
        }
        (None, Some(physical_network)) => {
            let part = inventory
                .devices
                .values()
                .filter(|device| device.manage_vlans && device.physical_networks.contains(physical_network));
            let names: Vec<DeviceNames> = part.map(|device| DeviceNames::switch(&device.name)).collect();
            if names.is_empty() {
                let field = spelled(&network, "physical_network")?;
                return Err(field.refuse("no device with manage_vlans is part of it"));
            }
            names
        }
    };
    let target = |device| Target {
        device,
        physical_network: placed.physical_network.clone(),
        level: 0,
        intent: intent(vlan),
    };
    let call = change(arguments, names.into_iter().map(target).collect(), caller, &NETWORK_NAMES)?;
    Ok(Asked::Change { call: Box::new(call), answer: None })
}

/// Every link of `port` in the VLANs it should be in; none: its segment is unmanaged.
fn attached(
    arguments: &Arguments,
    port: &Field,
    bound_to: &Field,
    level: u8,
    inventory: &Inventory,
) -> Result<Option<Vec<Target>>, RpcError> {
    let default_vlan = arguments.field("default_vlan").optional(Field::vlan)?;
    let placed = segment(bound_to, inventory)?;
    let Some(vlan) = placed.vlan else { return Ok(None) };
    let mtu = arguments.field("network").member("mtu")?.optional(|mtu| mtu.integer(MTU.0, MTU.1))?;
    let description = port.member("id")?.parse(Description::of_neutron_port)?;
    let enabled = port.member("admin_state_up")?.optional(Field::flag)?;
    let vlans = port_vlans(port, vlan)?;
    let target = |link: Link| Target {
        device: link.device,
        physical_network: placed.physical_network.clone(),
        level,
        intent: Intent::Attach(Attach {
            port: link.port,
            vlans: vlans.clone(),
            description: Some(description.clone()),
            mtu: mtu.and_then(|mtu| u16::try_from(mtu).ok()),
            enabled,
            default_vlan,
        }),
    };
    Ok(Some(links(port)?.into_iter().map(target).collect()))
}

/// The links that a port had; one that was not bound had none.
fn links_before(original: &Field) -> Result<Vec<Link>, RpcError> {
    let links_then = original.member("binding:profile")?.member("local_link_information")?;
    match links_then.value {
        Value::Null => Ok(Vec::new()),
        Value::Array(list) if list.is_empty() => Ok(Vec::new()),
        _ => links(original),
    }
}

fn detached(link: Link, default_vlan: Option<VlanId>) -> Target {
    Target {
        device: link.device,
        physical_network: None,
        level: 0,
        intent: Intent::Detach(Detach { port: link.port, default_vlan }),
    }
}

fn asked(arguments: &Arguments, targets: Vec<Target>, caller: Caller) -> Result<Asked, RpcError> {
    Ok(Asked::Change { call: Box::new(change(arguments, targets, caller, &NAMES)?), answer: None })
}

fn change(
    arguments: &Arguments,
    targets: Vec<Target>,
    caller: Caller,
    names: &'static ParameterNames,
) -> Result<Call, RpcError> {
    let dry_run = arguments.field("dry_run").optional(Field::flag)?.unwrap_or(false);
    if targets.len() > MAX_LINKS && names == &NAMES {
        let why = format!("with its children it names {} links; {MAX_LINKS} are the most", targets.len());
        return Err(arguments.field("port").refuse(&why));
    }
    Ok(Call { targets, caller, names, dry_run, detailed: true })
}
