//! The specification's methods, in ML2's words: a Neutron port as its binding left it, and the
//! segment it is bound to.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::device::{Inventory, Mac};
use crate::intent::{Attach, Caller, Description, Detach, Intent, ParameterNames, PortName, PortVlans};
use crate::report::{Call, Target};
use crate::rpc::Asked;
use crate::rpc::arguments::{Arguments, Field, Signature};
use crate::rpc::error::{RpcError, quoted};
use crate::vlan::{VlanId, VlanSet};

/// What ML2 calls the values of an intent.
pub static NAMES: ParameterNames = ParameterNames {
    device: "port.binding:profile.local_link_information[].switch_id",
    port: "port.binding:profile.local_link_information[].port_id",
    vlan: "segment.segmentation_id",
    tagged: "port.trunk_details.sub_ports[].segmentation_id",
    default_vlan: "default_vlan",
    description: "port.id",
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

/// RFC 791's least, and all that an `mtu` leaf can hold.
const MTU: (i64, i64) = (68, u16::MAX as i64);

/// Most links of one call: they are planned under their switches' locks, and a body could name thousands.
const MAX_LINKS: usize = 64;

/// One physical link of a port.
struct Link {
    switch_id: Option<String>,
    switch_info: Option<String>,
    port: PortName,
}

/// Puts every link of a port into the segment's VLAN and its sub-ports' VLANs.
pub fn attach_port(params: &Value, caller: Caller, inventory: &Inventory) -> Result<Asked, RpcError> {
    let arguments = ATTACH_PORT.bind(params)?;
    let default_vlan = arguments.field("default_vlan").optional(Field::vlan)?;
    if arguments.field("children").optional(Field::elements)?.is_some_and(|list| !list.is_empty()) {
        return Err(arguments.field("children").refuse("child ports are not supported yet"));
    }
    let (port, segment) = (arguments.field("port"), arguments.field("segment"));
    let Some(vlan) = segment_vlan(&segment, inventory)? else { return Ok(UNMANAGED) };
    top_segment(&arguments.field("top_segment"), vlan)?;
    let mtu = arguments.field("network").member("mtu")?.optional(|mtu| mtu.integer(MTU.0, MTU.1))?;
    let description = port.member("id")?.parse(Description::of_neutron_port)?;
    let enabled = port.member("admin_state_up")?.optional(Field::flag)?;
    let vlans = port_vlans(&port, vlan)?;
    let intent = |port| {
        Intent::Attach(Attach {
            port,
            vlans: vlans.clone(),
            description: Some(description.clone()),
            mtu: mtu.and_then(|mtu| u16::try_from(mtu).ok()),
            enabled,
            default_vlan,
        })
    };
    asked(&arguments, links(&port)?, intent, caller)
}

/// Isolates every link of a port. What it was bound to does not matter, only that it was managed.
pub fn detach_port(params: &Value, caller: Caller) -> Result<Asked, RpcError> {
    let arguments = DETACH_PORT.bind(params)?;
    let default_vlan = arguments.field("default_vlan").optional(Field::vlan)?;
    if let Some("unmanaged") = arguments.field("segment").optional(network_type)?.as_deref() {
        return Ok(UNMANAGED);
    }
    let links = links(&arguments.field("port"))?;
    asked(&arguments, links, |port| Intent::Detach(Detach { port, default_vlan }), caller)
}

const UNMANAGED: Asked = Asked::Nothing { why: "the segment is unmanaged" };

fn asked(
    arguments: &Arguments,
    links: Vec<Link>,
    intent: impl Fn(PortName) -> Intent,
    caller: Caller,
) -> Result<Asked, RpcError> {
    let dry_run = arguments.field("dry_run").optional(Field::flag)?.unwrap_or(false);
    let target = |link: Link| Target {
        switch_id: link.switch_id,
        switch_info: link.switch_info,
        intent: intent(link.port),
    };
    let targets = links.into_iter().map(target).collect();
    Ok(Asked::Change { call: Call { targets, caller, names: &NAMES, dry_run, detailed: true }, answer: None })
}

/// An attribute of a segment, which may also be spelled as networks do: `provider:network_type`.
pub(super) fn spelled<'v>(segment: &Field<'v>, key: &str) -> Result<Field<'v>, RpcError> {
    let (plain, provider) = (segment.member(key)?, segment.member(&format!("provider:{key}"))?);
    if provider.value.is_null() {
        return Ok(plain);
    }
    if !plain.value.is_null() && plain.value != provider.value {
        return Err(provider.refuse(&format!("it differs from {}", plain.name)));
    }
    Ok(provider)
}

pub(super) fn network_type(segment: &Field) -> Result<String, RpcError> {
    spelled(segment, "network_type")?.text()
}

/// The VLAN that a segment stands for; none: it is unmanaged.
fn segment_vlan(segment: &Field, inventory: &Inventory) -> Result<Option<VlanId>, RpcError> {
    let physical_network = spelled(segment, "physical_network")?;
    let name = physical_network.optional(Field::text)?;
    match network_type(segment)?.as_str() {
        "vlan" => spelled(segment, "segmentation_id")?.vlan().map(Some),
        "unmanaged" => Ok(None),
        // Never what the switch falls back to: that is VLAN 1, which is everyone's.
        "flat" => {
            let network = name.as_ref().and_then(|name| inventory.physical_networks.get(name));
            let vlan = network.and_then(|network| network.flat_vlan);
            let why = "the inventory names no flat_vlan for this physical network";
            vlan.map(Some).ok_or_else(|| physical_network.refuse(why))
        }
        other => {
            let field = spelled(segment, "network_type")?;
            Err(match other {
                "vxlan" => field.refuse("networks of type vxlan are not supported yet"),
                other => {
                    field.refuse(&format!("it must be vlan, flat, vxlan or unmanaged, not {}", quoted(other)))
                }
            })
        }
    }
}

/// ML2 names a top segment also where there is no hierarchy; then it is the segment itself.
fn top_segment(top: &Field, vlan: VlanId) -> Result<(), RpcError> {
    if top.value.is_null() {
        return Ok(());
    }
    if network_type(top)? == "vlan" && spelled(top, "segmentation_id")?.vlan()? == vlan {
        return Ok(());
    }
    Err(top.refuse("hierarchical binding is not supported yet"))
}

/// A port with sub-ports is a trunk whose native VLAN is its own segment's.
fn port_vlans(port: &Field, segment: VlanId) -> Result<PortVlans, RpcError> {
    let sub_ports = port.member("trunk_details")?.member("sub_ports")?.optional(Field::elements)?;
    let tagged: VlanSet = sub_ports
        .unwrap_or_default()
        .iter()
        .map(|sub_port| sub_port.member("segmentation_id")?.vlan())
        .collect::<Result<Vec<_>, _>>()?
        .into_iter()
        .collect();
    Ok(if tagged.is_empty() {
        PortVlans::Access { vlan: segment }
    } else {
        PortVlans::Trunk { native: Some(segment), tagged }
    })
}

/// The links of a bare-metal port, each of them another port of a switch.
fn links(port: &Field) -> Result<Vec<Link>, RpcError> {
    let vnic_type = port.member("binding:vnic_type")?;
    match vnic_type.optional(Field::text)?.as_deref() {
        None | Some("baremetal") => {}
        Some("smart-nic") => return Err(vnic_type.refuse("smart NICs are not supported yet")),
        Some(other) => return Err(vnic_type.refuse(&format!("it must be baremetal, not {}", quoted(other)))),
    }
    let profile = port.member("binding:profile")?;
    let group = profile.member("local_group_information")?;
    match group.value {
        Value::Null => {}
        Value::Object(members) if members.values().all(Value::is_null) => {}
        _ => return Err(group.refuse("LAGs are not supported yet")),
    }
    let information = profile.member("local_link_information")?;
    let mut seen = BTreeSet::new();
    let mut links = Vec::new();
    let fields = information.elements()?;
    if fields.len() > MAX_LINKS {
        return Err(information.refuse(&format!("it names {} links; {MAX_LINKS} are the most", fields.len())));
    }
    for field in fields {
        let link = link(&field)?;
        if !seen.insert((link.switch(), link.port.clone())) {
            return Err(field
                .member("port_id")?
                .refuse("an earlier link names the same port of the same switch"));
        }
        links.push(link);
    }
    if links.is_empty() {
        return Err(information.refuse("it names no link"));
    }
    Ok(links)
}

fn link(field: &Field) -> Result<Link, RpcError> {
    // Ironic stores an empty switch_info where none was given.
    let info = field.member("switch_info")?;
    let switch_info = if info.value == "" { None } else { info.optional(Field::text)? };
    let id = field.member("switch_id")?;
    let switch_id = if switch_info.is_none() { Some(id.text()?) } else { id.optional(Field::text)? };
    Ok(Link { switch_id, switch_info, port: field.member("port_id")?.parse(PortName::new)? })
}

impl Link {
    /// The switch as far as it can be told from its names alone.
    fn switch(&self) -> (Option<Mac>, Option<String>) {
        let name = self.switch_id.as_ref().or(self.switch_info.as_ref());
        match name.and_then(|name| name.parse().ok()) {
            Some(mac) => (Some(mac), None),
            None => (None, name.cloned()),
        }
    }
}
