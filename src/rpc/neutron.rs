//! Neutron's objects as ML2 passes them: a port with its binding, a segment. Unknown keys in them are
//! others' and are not looked at.

use serde_json::Value;

use crate::device::Inventory;
use crate::intent::{PortName, PortVlans};
use crate::quote::quoted;
use crate::report::DeviceNames;
use crate::rpc::arguments::Field;
use crate::rpc::error::RpcError;
use crate::vlan::{VlanId, VlanSet};

/// Most links of one call: they are planned under their switches' locks, and a body could name thousands.
pub(super) const MAX_LINKS: usize = 64;

/// One physical link of a port.
#[derive(Clone)]
pub(super) struct Link {
    pub device: DeviceNames,
    pub port: PortName,
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

/// What a segment stands for on a switch.
pub(super) struct Segment {
    /// None: it is unmanaged, and switches are left alone.
    pub vlan: Option<VlanId>,
    pub physical_network: Option<String>,
}

pub(super) fn segment(segment: &Field, inventory: &Inventory) -> Result<Segment, RpcError> {
    let physical_network = spelled(segment, "physical_network")?;
    let name = physical_network.optional(Field::text)?;
    let kind = spelled(segment, "network_type")?;
    let vlan = match kind.text()?.as_str() {
        "vlan" => Some(spelled(segment, "segmentation_id")?.vlan()?),
        "unmanaged" => None,
        // Never what the switch falls back to: that is VLAN 1, which is everyone's.
        "flat" => {
            let network = name.as_ref().and_then(|name| inventory.physical_networks.get(name));
            let vlan = network.and_then(|network| network.flat_vlan);
            let why = "the inventory names no flat_vlan for this physical network";
            Some(vlan.ok_or_else(|| physical_network.refuse(why))?)
        }
        "vxlan" => return Err(kind.refuse("networks of type vxlan are not supported yet")),
        other => {
            let why = format!("it must be vlan, flat, vxlan or unmanaged, not {}", quoted(other));
            return Err(kind.refuse(&why));
        }
    };
    Ok(Segment { vlan, physical_network: name })
}

/// ML2 names a top segment also where there is no hierarchy; then it is the segment itself.
pub(super) fn top_segment(top: &Field, vlan: VlanId) -> Result<(), RpcError> {
    if top.value.is_null() {
        return Ok(());
    }
    if network_type(top)? == "vlan" && spelled(top, "segmentation_id")?.vlan()? == vlan {
        return Ok(());
    }
    Err(top.refuse("hierarchical binding is not supported yet"))
}

/// A port with sub-ports is a trunk whose native VLAN is its own segment's.
pub(super) fn port_vlans(port: &Field, segment: VlanId) -> Result<PortVlans, RpcError> {
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

/// The links of a bare-metal port or a smart NIC, each of them another port of a switch.
pub(super) fn links(port: &Field) -> Result<Vec<Link>, RpcError> {
    let vnic_type = port.member("binding:vnic_type")?;
    let is_smart_nic = match vnic_type.optional(Field::text)?.as_deref() {
        None | Some("baremetal") => false,
        Some("smart-nic") => true,
        Some(other) => {
            let why = format!("it must be baremetal or smart-nic, not {}", quoted(other));
            return Err(vnic_type.refuse(&why));
        }
    };
    let profile = port.member("binding:profile")?;
    let group = profile.member("local_group_information")?;
    match group.value {
        Value::Null => {}
        Value::Object(members) if members.values().all(Value::is_null) => {}
        _ => return Err(group.refuse("LAGs are not supported yet")),
    }
    let information = profile.member("local_link_information")?;
    let fields = information.elements()?;
    if fields.is_empty() {
        return Err(information.refuse("it names no link"));
    }
    if fields.len() > MAX_LINKS {
        return Err(information.refuse(&format!("it names {} links; {MAX_LINKS} are the most", fields.len())));
    }
    fields.iter().map(|field| link(field, is_smart_nic)).collect()
}

fn link(field: &Field, is_smart_nic: bool) -> Result<Link, RpcError> {
    let name = |key| -> Result<Option<String>, RpcError> {
        let name = field.member(key)?;
        // Ironic stores an empty switch_info where none was given.
        if name.value == "" { Ok(None) } else { name.optional(Field::text) }
    };
    let device = DeviceNames {
        switch_id: name("switch_id")?,
        switch_info: name("switch_info")?,
        // Of any other port it is the server's own name, and no switch's.
        hostname: if is_smart_nic { name("hostname")? } else { None },
    };
    if device == DeviceNames::default() {
        field.member("switch_id")?.text()?;
    }
    Ok(Link { device, port: field.member("port_id")?.parse(PortName::new)? })
}
