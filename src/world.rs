//! Everything a request is judged by: one immutable value, so that no request sees two
//! configurations.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::access::{Access, Principal};
use crate::device::{Device, Inventory};
use crate::intent::{Caller, IntentError, Request, Subject};
use crate::schema::Schema;

/// Inventory, models and limits of one generation.
pub struct World {
    pub inventory: Inventory,
    /// Who may do what.
    pub access: Access,
    pub schema: Arc<Schema>,
    pub locks_dir: PathBuf,
    /// The caller's answer comes within this, the queue included.
    pub request_timeout: Duration,
    /// How long a lock that someone else holds is waited for.
    pub lock_wait: Duration,
    /// Requests that may wait for one device.
    pub queue_per_device: usize,
}

/// Why a request that was allowed when it came is not any more. Nothing was sent that changes a device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Withdrawn {
    #[error("the configuration was reloaded meanwhile, and {device} is not in the inventory any more")]
    Removed { device: String },
    #[error("the configuration was reloaded meanwhile, and {device} is at {endpoint} now")]
    Moved { device: String, endpoint: String },
    #[error("the configuration was reloaded meanwhile, and {device} is frozen: {reason}")]
    Frozen { device: String, reason: String },
    #[error("the configuration was reloaded meanwhile, and {who} may not call {method} on {device} any more")]
    Denied { who: Arc<Principal>, method: String, device: String },
    #[error(
        "the configuration was reloaded meanwhile, and {port} of {device} is no trunk port any more, or protected"
    )]
    Uplink { device: String, port: String },
    #[error("the configuration was reloaded meanwhile: {0}")]
    Limits(#[from] IntentError),
}

impl World {
    /// Whether a request of an earlier world may still be carried out under this one. It creates no
    /// VLAN that this one would have be there.
    pub fn still_allows(&self, request: &mut Request) -> Result<(), Withdrawn> {
        let name = &request.device.name;
        let device =
            self.inventory.devices.get(name).ok_or_else(|| Withdrawn::Removed { device: name.clone() })?;
        let endpoint = device.endpoint.to_string();
        if endpoint != request.device.endpoint.to_string() {
            return Err(Withdrawn::Moved { device: name.clone(), endpoint });
        }
        let Caller { principal, method, .. } = &request.caller;
        if !self.access.allows(principal, method, name) {
            let (who, method, device) = (principal.clone(), method.clone(), name.clone());
            return Err(Withdrawn::Denied { who, method, device });
        }
        let now = Request { device: device.clone(), ..request.clone() };
        if let Some(reason) = now.held_back() {
            return Err(Withdrawn::Frozen { device: name.clone(), reason: reason.to_owned() });
        }
        if let Subject::Vlan(_) = request.intent.subject() {
            // It is written to those that were its uplinks when it came.
            let is_withdrawn = |port: &&String| {
                !device.trunk_ports.contains(*port)
                    || device.protected_ports.iter().any(|pattern| pattern.matches(port))
            };
            if let Some(port) = request.device.trunk_ports.iter().find(is_withdrawn) {
                return Err(Withdrawn::Uplink { device: name.clone(), port: port.clone() });
            }
        }
        now.check()?;
        if request.device.create_missing_vlans && !device.create_missing_vlans {
            let narrowed = Device { create_missing_vlans: false, ..Device::clone(&request.device) };
            request.device = Arc::new(narrowed);
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::device::sample;
    use crate::intent::{Intent, PortVlans};
    use crate::plan::PlanError;
    use crate::plan::tests::{self as plan, SCHEMA};
    use crate::vlan::VlanId;

    pub(crate) fn world(device: Device) -> World {
        World {
            access: Access::Unlimited,
            inventory: Inventory {
                devices: [(device.name.clone(), Arc::new(device))].into(),
                ..Inventory::default()
            },
            schema: SCHEMA.clone(),
            locks_dir: PathBuf::new(),
            request_timeout: Duration::from_secs(60),
            lock_wait: Duration::from_secs(10),
            queue_per_device: 1,
        }
    }

    #[test]
    fn a_network_that_waits_is_held_against_the_newest_uplinks() {
        let leaf1 = |uplinks: &[&str], protected: &[&str]| Device {
            trunk_ports: uplinks.iter().map(|port| (*port).to_owned()).collect(),
            protected_ports: protected.iter().map(|port| port.parse().unwrap()).collect(),
            ..sample("leaf1")
        };
        let vlan = VlanId::new(100).unwrap();
        for intent in [Intent::AddNetwork { vlan }, Intent::DeleteNetwork { vlan, force: true }] {
            let request = Request {
                intent,
                device: Arc::new(leaf1(&["eth49", "eth50"], &[])),
                physical_network: None,
                caller: Caller::default(),
                names: &crate::rpc::ports::NETWORK_NAMES,
                level: 0,
            };
            let now =
                |device| world(device).still_allows(&mut request.clone()).map_err(|why| why.to_string());
            assert_eq!(now(leaf1(&["eth50", "eth49", "eth51"], &["eth1"])), Ok(()));
            for tightened in [leaf1(&["eth49"], &[]), leaf1(&["eth49", "eth50"], &["re:eth50"])] {
                let why = now(tightened).unwrap_err();
                assert!(why.contains("eth50 of leaf1 is no trunk port any more, or protected"), "{why}");
            }
        }
    }
    #[test]
    fn what_waits_is_held_against_the_newest_physical_networks() {
        let leaf1 = |networks: &[&str]| Device {
            physical_networks: networks.iter().map(ToString::to_string).collect(),
            ..sample("leaf1")
        };
        let mut request = plan::request(plan::detach(None), leaf1(&["physnet1", "physnet2"]));
        request.physical_network = Some("physnet2".to_owned());
        let mut now =
            |networks| world(leaf1(networks)).still_allows(&mut request).map_err(|why| why.to_string());
        assert_eq!((now(&["physnet2"]), now(&[])), (Ok(()), Ok(())));
        let why = now(&["physnet1"]).unwrap_err();
        assert!(why.contains("reloaded") && why.contains("not part of physical network `physnet2`"), "{why}");
    }

    #[test]
    fn what_waits_creates_no_vlan_that_must_be_there_now() {
        let leaf1 = |create_missing_vlans| Device { create_missing_vlans, ..sample("leaf1") };
        let table = r#"<network-instances xmlns="http://openconfig.net/yang/network-instance">
            <network-instance><name>default</name><config><name>default</name></config></network-instance>
            </network-instances>"#;
        let running = SCHEMA.read_xml(table).unwrap();
        let intent = plan::attach(PortVlans::Access { vlan: plan::vlan(100) });
        for is_on in [true, false] {
            let mut request = plan::request(intent.clone(), leaf1(true));
            assert_eq!(world(leaf1(is_on)).still_allows(&mut request), Ok(()));
            match crate::plan::plan(&request, &running, &SCHEMA) {
                Err(PlanError::VlanMissing { .. }) => assert!(!is_on),
                planned => assert!(is_on && planned.is_ok_and(|plan| !plan.is_empty())),
            }
            // What was not allowed when it came is not allowed by a later permission.
            let mut request = plan::request(intent.clone(), leaf1(false));
            assert_eq!(world(leaf1(is_on)).still_allows(&mut request), Ok(()));
            assert!(!request.device.create_missing_vlans);
        }
    }
}
