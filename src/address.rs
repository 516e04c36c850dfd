//! The devices and ports that a call names, and whether the operator allows what it asks of each.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::device::Device;
use crate::intent::{Caller, PortName, Request, Subject};
use crate::report::{self, Call, Refusal};
use crate::world::World;

/// The device that is meant, if there is one and the caller may call this method on it.
pub fn device<'w>(
    names: &report::DeviceNames,
    parameter: &'static str,
    caller: &Caller,
    world: &'w World,
) -> Result<&'w Arc<Device>, Refusal> {
    let device = names.find_in(&world.inventory);
    let unknown = || Refusal::UnknownDevice { parameter, id: names.first().to_owned() };
    let device = device.ok_or_else(unknown)?;
    let Caller { principal, method, .. } = caller;
    if !world.access.allows(principal, method, &device.name) {
        let what = format!("{method} on {}", device.name);
        return Err(Refusal::Denied { who: principal.clone(), what });
    }
    Ok(device)
}

/// A target and its device, not yet held against the operator's limits.
pub fn addressed(call: &Call, target: &report::Target, world: &World) -> Result<Request, Refusal> {
    let device = device(&target.device, call.names.device, &call.caller, world)?.clone();
    Ok(Request {
        intent: target
            .intent
            .on_port(|port| PortName::new(&device.port_name(port.as_str()), call.names.port))?,
        device,
        physical_network: target.physical_network.clone(),
        caller: call.caller.clone(),
        names: call.names,
        level: target.level,
    })
}

/// A target of a call as the operator allows it.
pub fn request(call: &Call, target: &report::Target, world: &World) -> Result<Request, Refusal> {
    let request = addressed(call, target, world)?;
    request.check()?;
    match request.held_back() {
        Some(reason) if !call.dry_run => {
            Err(Refusal::Frozen { device: request.device.name.clone(), reason: reason.to_owned() })
        }
        _ => Ok(request),
    }
}

/// The devices that a call names, and whether the operator allows what it asks of each.
pub fn requests(call: &Call, world: &World) -> Result<Vec<Request>, Refusal> {
    let requests = call.targets.iter().map(|target| request(call, target, world));
    let requests: Vec<Request> = requests.collect::<Result<_, Refusal>>()?;
    if requests.len() < 2 {
        return Ok(requests);
    }
    // Two ways to name one switch end here; two intents for one port have no order.
    let mut seen = BTreeSet::new();
    match requests.iter().find(|request| !seen.insert((request.device.name.clone(), request.key()))) {
        Some(request) => {
            let device = request.device.name.clone();
            Err(match request.intent.subject() {
                Subject::Port(port) => Refusal::PortTwice { parameter: call.names.port, device, port },
                Subject::Vlan(_) => Refusal::DeviceTwice { parameter: call.names.device, device },
            })
        }
        None => Ok(requests),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::access::{Access, Pattern, Principal, Rule};
    use crate::device::sample;
    use crate::intent::{Detach, Intent};
    use crate::plan::tests::SCHEMA;

    fn world() -> World {
        let mut leaf1 = sample("leaf1");
        leaf1.mac_address = "00:1c:73:aa:bb:01".parse().ok();
        let devices = [leaf1, sample("leaf2")].map(|device| (device.name.clone(), Arc::new(device)));
        World {
            access: Default::default(),
            inventory: crate::device::Inventory { devices: devices.into(), ..Default::default() },
            schema: SCHEMA.clone(),
            locks_dir: std::path::PathBuf::new(),
            request_timeout: Duration::from_secs(60),
            lock_wait: Duration::from_secs(10),
            queue_per_device: 1,
        }
    }

    #[test]
    fn rules_are_about_devices_however_they_are_called() {
        let patterns = |text: &str| vec![Pattern::new(text).unwrap()];
        let rule = Rule {
            users: patterns("ironic"),
            certificates: Vec::new(),
            methods: patterns("detach_port"),
            devices: patterns("leaf2"),
        };
        let world = World { access: Access::Rules(vec![rule]), ..world() };
        let ask = |user: &str, method: &str, switch: &str| {
            let port = PortName::new("eth1", "p").unwrap();
            let intent = Intent::Detach(Detach { port, default_vlan: None });
            let device = report::DeviceNames::switch(switch);
            let targets = vec![report::Target { device, physical_network: None, level: 0, intent }];
            let principal = Arc::new(Principal::User(user.to_owned()));
            let caller = Caller { principal, method: method.to_owned(), ..Caller::default() };
            let names = &crate::rpc::ports::NAMES;
            let call = Call { targets, caller, names, dry_run: true, detailed: true };
            requests(&call, &world).map(drop).map_err(|refusal| refusal.to_string())
        };
        assert_eq!(ask("ironic", "detach_port", "leaf2"), Ok(()));
        let denied = |user: &str, method: &str| Err(format!("user `{user}` may not call {method} on leaf1"));
        assert_eq!(ask("ironic", "detach_port", "leaf1"), denied("ironic", "detach_port"));
        assert_eq!(ask("ironic", "detach_port", "001c.73aa.bb01"), denied("ironic", "detach_port"));
        assert!(
            ask("ironic", "attach_port", "leaf2").is_err() && ask("other", "detach_port", "leaf2").is_err()
        );
        assert!(ask("ironic", "detach_port", "leaf9").unwrap_err().contains("no device"));
    }

    #[test]
    fn a_port_is_renamed_before_it_is_checked() {
        let mut world = world();
        let mut leaf1 = sample("leaf1");
        leaf1.port_names = vec![crate::device::PortRename::new("^Eth([0-9])", "Ethernet$1").unwrap()];
        leaf1.protected_ports = vec!["Ethernet9".parse().unwrap()];
        let mut profile = leaf1.profile.as_ref().clone();
        profile.port_names_ignore_case = true;
        leaf1.profile = profile.into();
        world.inventory.devices.insert("leaf1".to_owned(), Arc::new(leaf1));
        let ask = |ports: &[&str]| {
            let target = |port: &&str| report::Target {
                device: report::DeviceNames::switch("leaf1"),
                physical_network: None,
                level: 0,
                intent: Intent::Detach(Detach {
                    port: PortName::new(port, "p").unwrap(),
                    default_vlan: None,
                }),
            };
            let targets = ports.iter().map(target).collect();
            let call = Call {
                targets,
                caller: Default::default(),
                names: &crate::rpc::ports::NAMES,
                dry_run: true,
                detailed: true,
            };
            let ports = |requests: Vec<Request>| requests[0].intent.subject().to_string();
            requests(&call, &world).map(ports).map_err(|error| error.to_string())
        };
        assert_eq!(ask(&["Eth1"]).as_deref(), Ok("Ethernet1"));
        assert!(ask(&["Eth9"]).unwrap_err().contains("port `Ethernet9` of leaf1 is protected"));
        assert!(ask(&["Eth1", "ETHERNET1"]).unwrap_err().contains("is named twice"));
        assert_eq!(ask(&["Eth1", "Eth2"]).as_deref(), Ok("Ethernet1"));
    }

    #[test]
    fn a_port_is_named_once_however_its_switch_is_called() {
        let target = |switch_id: Option<&str>, switch_info: Option<&str>, port: &str| report::Target {
            device: report::DeviceNames {
                switch_id: switch_id.map(str::to_owned),
                switch_info: switch_info.map(str::to_owned),
                hostname: None,
            },
            physical_network: None,
            level: 0,
            intent: Intent::Detach(Detach { port: PortName::new(port, "p").unwrap(), default_vlan: None }),
        };
        let by_mac = target(Some("001c.73aa.bb01"), None, "eth1");
        let ask = |other| {
            let targets = vec![by_mac.clone(), other];
            let call = Call {
                targets,
                caller: Default::default(),
                names: &crate::rpc::ports::NAMES,
                dry_run: true,
                detailed: true,
            };
            requests(&call, &world()).map(|requests| requests.len())
        };
        for same in [
            target(Some("leaf1"), None, "eth1"),
            target(None, Some("leaf1"), "eth1"),
            target(Some("00-1C-73-AA-BB-01"), Some("leaf1"), "eth1"),
        ] {
            let error = ask(same).unwrap_err().to_string();
            assert!(error.ends_with("port_id: port eth1 of leaf1 is named twice"), "{error}");
        }
        assert_eq!(ask(target(Some("leaf1"), None, "eth2")).unwrap(), 2);
        assert_eq!(ask(target(Some("leaf2"), None, "eth1")).unwrap(), 2);
    }
}
