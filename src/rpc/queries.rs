//! The methods that change nothing: what there is, what would be possible, what a switch holds, and
//! what any other method would do.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use crate::address;
use crate::device::{Device, Inventory};
use crate::intent::{Caller, Description, Intent, Request};
use crate::query::{self, Seen, Verdict};
use crate::quote::quoted;
use crate::report::{Call, DeviceNames, Refusal, Target};
use crate::rpc::arguments::{Field, Signature};
use crate::rpc::error::RpcError;
use crate::rpc::{Asked, ironic, neutron, ports, understand};
use crate::world::World;

static GET_SWITCHES: Signature = Signature { method: "get_switches", required: &["context"], optional: &[] };

static GET_ALLOWED_NETWORK_TYPES: Signature =
    Signature { method: "get_allowed_network_types", required: &[], optional: &["device", "context"] };

static IS_PORT_SUPPORTED: Signature =
    Signature { method: "is_port_supported", required: &["port"], optional: &["explain", "context"] };

static IS_LINK_VALID: Signature = Signature {
    method: "is_link_valid",
    required: &["port"],
    optional: &["segment", "live", "explain", "context"],
};

/// `check_port` in ML2's words takes what `attach_port` takes.
static CHECK_PORT: Signature = Signature {
    method: "check_port",
    required: &["port", "segment"],
    optional: &["top_segment", "network", "children", "default_vlan", "context"],
};

/// In Ironic's words, what `update_port` takes; a description that is not given may be any.
static CHECK_PORT_FLAT: Signature = Signature {
    method: "check_port",
    required: &["switch_id", "port_name", "mode", "native_vlan"],
    optional: &["description", "allowed_vlans", "default_vlan", "lag_name", "context"],
};

static PLAN: Signature =
    Signature { method: "plan", required: &["method", "params"], optional: &["context"] };

/// A question that only the devices can answer.
#[derive(Debug)]
pub struct Question {
    /// The ports that it is about, each with what the caller says of it.
    pub requests: Vec<Request>,
    about: About,
}

#[derive(Debug)]
enum About {
    Presence { explain: bool },
    Configuration,
}

impl Question {
    /// The answer, from what the devices run and report.
    pub fn answer(&self, seen: &BTreeMap<String, Seen>, world: &World) -> Result<Value, RpcError> {
        match self.about {
            About::Presence { explain } => verdict(&query::presence(&self.requests, seen), explain),
            About::Configuration => to_json(&query::check(&self.requests, seen, &world.schema)?),
        }
    }
}

/// Every switch that the caller may ask about, in the form of Ironic's own networking service.
pub fn get_switches(params: &Value, caller: &Caller, world: &World) -> Result<Asked, RpcError> {
    GET_SWITCHES.bind(params)?;
    known(&query::switches(visible(caller, world)))
}

/// The kinds of network that a device, or every device, can be part of.
pub fn get_allowed_network_types(params: &Value, caller: &Caller, world: &World) -> Result<Asked, RpcError> {
    let arguments = GET_ALLOWED_NETWORK_TYPES.bind(params)?;
    let Some(id) = arguments.field("device").optional(Field::text)? else {
        return known(&query::network_types(&world.inventory, visible(caller, world)));
    };
    let device = address::device(&DeviceNames::switch(&id), "device", caller, world)?;
    known(&query::network_types(&world.inventory, [device]))
}

/// The devices on which the caller may call this method.
fn visible<'w>(caller: &Caller, world: &'w World) -> impl Iterator<Item = &'w Arc<Device>> {
    let may = |device: &&Arc<Device>| world.access.allows(&caller.principal, &caller.method, &device.name);
    world.inventory.devices.values().filter(may)
}

/// Whether ports of this kind are ours to set up.
pub fn is_port_supported(params: &Value) -> Result<Asked, RpcError> {
    let arguments = IS_PORT_SUPPORTED.bind(params)?;
    let explain = arguments.field("explain").optional(Field::flag)?.unwrap_or(false);
    let reason = why_unsupported(&arguments.field("port"))?;
    verdict(&reason.map_or_else(Verdict::default, Verdict::no), explain).map(Asked::Known)
}

/// Whether every link of a port could be put into a segment, or, without one, be used at all.
pub fn is_link_valid(params: &Value, caller: Caller, world: &World) -> Result<Asked, RpcError> {
    let arguments = IS_LINK_VALID.bind(params)?;
    let flag = |name| arguments.field(name).optional(Field::flag).map(Option::unwrap_or_default);
    let (live, explain) = (flag("live")?, flag("explain")?);
    let (port, segment) = (arguments.field("port"), arguments.field("segment"));
    let no = |reason: String| verdict(&Verdict::no(reason), explain).map(Asked::Known);
    let kind = segment.optional(neutron::network_type)?;
    let reason = match &kind {
        None => None,
        Some(kind) => why_no_network(kind, &segment, &world.inventory)?,
    };
    let reason = why_unsupported(&port)?.or(why_no_links(&port)?).or(reason);
    if let Some(reason) = reason {
        return no(reason);
    }
    // As the methods that change something read them, so that they agree.
    let asked = match kind.as_deref() {
        None | Some("unmanaged") => ports::detach_port(&json!({ "port": port.value }), caller)?,
        Some(_) => {
            let params = json!({ "port": port.value, "segment": segment.value });
            ports::attach_port(&params, caller, &world.inventory)?
        }
    };
    let Asked::Change { call, .. } = asked else { return no("there is nothing to do for it".to_owned()) };
    let found = query::links(&call, world)?;
    if !live || !found.is_yes() {
        return verdict(&found, explain).map(Asked::Known);
    }
    let requests = addressed(&call, world)?;
    Ok(Asked::Question(Question { requests, about: About::Presence { explain } }))
}

/// Compares ports with what the caller says of them, in either vocabulary.
pub fn check_port(params: &Value, caller: Caller, world: &World) -> Result<Asked, RpcError> {
    let call = match (params.get("port"), params.get("switch_id")) {
        (None, None) if params.is_object() => {
            let why = "either `port` or `switch_id` is needed".to_owned();
            return Err(RpcError::Arguments { method: CHECK_PORT.method, why });
        }
        (None, _) => check_flat(params, caller)?,
        (Some(_), _) => {
            CHECK_PORT.bind(params)?;
            match ports::attach_port(params, caller, &world.inventory)? {
                Asked::Change { call, .. } => *call,
                // Nothing is said about a port in an unmanaged segment.
                _ => return Ok(Asked::Known(json!({ "matches": true, "devices": [] }))),
            }
        }
    };
    // The limits on changes do not matter: a port that must not be touched may be looked at, and what
    // was allowed yesterday may still be there.
    Ok(Asked::Question(Question { requests: addressed(&call, world)?, about: About::Configuration }))
}

fn check_flat(params: &Value, caller: Caller) -> Result<Call, RpcError> {
    let arguments = CHECK_PORT_FLAT.bind(params)?;
    let switch_id = arguments.field("switch_id").text()?;
    let description = arguments.field("description").optional(|text| text.parse(Description::new))?;
    let intent = Intent::Attach(ironic::attach(&arguments, description)?);
    let device = DeviceNames::switch(&switch_id);
    let targets = vec![Target { device, physical_network: None, level: 0, intent }];
    Ok(Call { targets, caller, names: &ironic::NAMES, dry_run: true, detailed: true })
}

/// What another method would change, without changing it: the same as its `dry_run`.
pub fn plan(params: &Value, caller: Caller, world: &World) -> Result<Asked, RpcError> {
    let arguments = PLAN.bind(params)?;
    let (name, params) = (arguments.field("method"), arguments.field("params"));
    let method = name.text()?;
    let changes_nothing = || name.refuse(&format!("{} is no method that changes something", quoted(&method)));
    if method == PLAN.method {
        return Err(changes_nothing());
    }
    match understand(&method, params.value, caller, world) {
        Ok(Asked::Change { call, .. }) => {
            let call = Box::new(Call { dry_run: true, detailed: true, ..*call });
            Ok(Asked::Change { call, answer: None })
        }
        Ok(Asked::Known(_) | Asked::Question(_)) | Err(RpcError::UnknownMethod { .. }) => {
            Err(changes_nothing())
        }
        other => other,
    }
}

fn addressed(call: &Call, world: &World) -> Result<Vec<Request>, Refusal> {
    call.targets.iter().map(|target| address::addressed(call, target, world)).collect()
}

/// Why this is no port for us; none: it is one.
fn why_unsupported(port: &Field) -> Result<Option<String>, RpcError> {
    if port.value.is_null() {
        return Err(port.refuse("it must be an object"));
    }
    let vnic_type = port.member("binding:vnic_type")?.optional(Field::text)?;
    if let Some(other) = vnic_type.filter(|kind| !["baremetal", "smart-nic"].contains(&kind.as_str())) {
        return Ok(Some(format!("binding:vnic_type is {}, neither baremetal nor smart-nic", quoted(&other))));
    }
    let group = port.member("binding:profile")?.member("local_group_information")?;
    match group.value {
        Value::Null => Ok(None),
        Value::Object(members) if members.values().all(Value::is_null) => Ok(None),
        Value::Object(_) => Ok(Some("LAGs are not supported yet".to_owned())),
        _ => Err(group.refuse("it must be an object")),
    }
}

/// A port may be known before it is known where it is plugged in.
fn why_no_links(port: &Field) -> Result<Option<String>, RpcError> {
    let links = port.member("binding:profile")?.member("local_link_information")?;
    let links = links.optional(Field::elements)?.unwrap_or_default();
    Ok(links.is_empty().then(|| "the port names no link".to_owned()))
}

/// Why no port can be put into this segment; none: it can.
fn why_no_network(kind: &str, segment: &Field, inventory: &Inventory) -> Result<Option<String>, RpcError> {
    Ok(match kind {
        "vlan" | "unmanaged" => None,
        "flat" => {
            let name = neutron::spelled(segment, "physical_network")?.optional(Field::text)?;
            let network = name.as_ref().and_then(|name| inventory.physical_networks.get(name));
            let is_carried = network.is_some_and(|network| network.flat_vlan.is_some());
            (!is_carried).then(|| "the inventory names no flat_vlan for its physical network".to_owned())
        }
        other => Some(format!("networks of type {} are not supported", quoted(other))),
    })
}

/// `true`, `false`, or the same with the reason.
fn verdict(verdict: &Verdict, explain: bool) -> Result<Value, RpcError> {
    if !explain {
        return Ok(json!(verdict.is_yes()));
    }
    let reason = (!verdict.is_yes()).then(|| verdict.reasons.join("; "));
    Ok(json!({ "supported": verdict.is_yes(), "reason": reason }))
}

fn known(answer: &impl Serialize) -> Result<Asked, RpcError> {
    to_json(answer).map(Asked::Known)
}

fn to_json(answer: &impl Serialize) -> Result<Value, RpcError> {
    serde_json::to_value(answer).map_err(|_| RpcError::Broken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Pattern, Principal, Rule};
    use crate::device::sample;
    use crate::plan::tests::SCHEMA;

    /// `guest` may ask about leaf1 and leaf3, of which leaf3 is frozen, and not about leaf2.
    fn ask(method: &str, params: Value) -> Result<Asked, RpcError> {
        let patterns = |texts: &[&str]| texts.iter().map(|text| Pattern::new(text).unwrap()).collect();
        let rule = Rule {
            users: patterns(&["guest"]),
            certificates: Vec::new(),
            methods: patterns(&["*"]),
            devices: patterns(&["leaf1", "leaf3"]),
        };
        let mut leaf3 = sample("leaf3");
        leaf3.frozen = Some("new line card".to_owned());
        let devices = [sample("leaf1"), sample("leaf2"), leaf3];
        let devices = devices.map(|device| (device.name.clone(), Arc::new(device)));
        let world = World {
            access: Access::Rules(vec![rule]),
            inventory: Inventory { devices: devices.into(), ..Inventory::default() },
            schema: SCHEMA.clone(),
            locks_dir: std::path::PathBuf::new(),
            request_timeout: std::time::Duration::from_secs(60),
            lock_wait: std::time::Duration::from_secs(10),
            queue_per_device: 1,
        };
        let principal = Arc::new(Principal::User("guest".to_owned()));
        let caller = Caller { principal, method: method.to_owned(), ..Caller::default() };
        understand(method, &params, caller, &world)
    }

    fn port(switch: &str) -> Value {
        json!({ "id": "p", "binding:profile": {
            "local_link_information": [{ "switch_id": switch, "port_id": "eth1" }] } })
    }

    #[test]
    fn nobody_learns_of_devices_that_are_not_his() {
        let Ok(Asked::Known(switches)) = ask("get_switches", json!({ "context": {} })) else { panic!() };
        assert_eq!(switches.as_object().unwrap().keys().collect::<Vec<_>>(), ["leaf1", "leaf3"]);
        let segment = json!({ "network_type": "vlan", "segmentation_id": 100 });
        let flat = json!({ "switch_id": "leaf2", "port_name": "eth1", "mode": "access", "native_vlan": 100 });
        let lag = json!({ "context": {}, "switch_ids": ["leaf1", "leaf2"], "lag_name": "bond0" });
        for (method, params) in [
            ("get_allowed_network_types", json!({ "device": "leaf2" })),
            ("is_link_valid", json!({ "port": port("leaf2"), "segment": segment, "live": true })),
            ("is_link_valid", json!({ "port": port("leaf2") })),
            ("check_port", json!({ "port": port("leaf2"), "segment": segment })),
            ("check_port", flat),
            ("delete_lag", lag),
        ] {
            let error = ask(method, params).unwrap_err();
            assert_eq!(error.code(), 403, "{method}: {error}");
            assert_eq!(error.to_string(), format!("user `guest` may not call {method} on leaf2"));
        }
    }

    #[test]
    fn a_frozen_device_is_no_place_for_a_link_and_can_be_looked_at() {
        let segment = json!({ "network_type": "vlan", "segmentation_id": 100 });
        let params = json!({ "port": port("leaf3"), "segment": segment, "explain": true, "live": true });
        let Ok(Asked::Known(verdict)) = ask("is_link_valid", params) else { panic!("nobody is asked") };
        let reason = verdict["reason"].as_str().unwrap();
        assert!(verdict["supported"] == false && reason.contains("new line card"), "{verdict}");
        for (method, params) in [
            ("check_port", json!({ "port": port("leaf3"), "segment": segment })),
            ("is_link_valid", json!({ "port": port("leaf3"), "live": true })),
        ] {
            assert!(matches!(ask(method, params), Ok(Asked::Question(_))), "{method}");
        }
    }
}
