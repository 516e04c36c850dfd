//! Questions. What the configuration answers by itself is worked out of a [`World`]; what only
//! devices can tell is read by [`observe`] and judged by the code that plans changes. Nothing here
//! changes, locks or stages anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::future::join_all;
use serde::Serialize;
use tokio::time::Instant;

use crate::address;
use crate::device::{Device, Inventory, NotRead, Profile};
use crate::intent::{Request, Subject};
use crate::openconfig::{self, Interface, Reported};
use crate::path::Path;
use crate::plan::{self, PlanError, Risk};
use crate::report::{self, Call, Refusal};
use crate::schema::Schema;
use crate::slice::Slice;
use crate::transaction::lease::Live;
use crate::transaction::worker::Workers;
use crate::transaction::{Budget, journal};
use crate::transport::ReadSet;
use crate::vlan::{VlanId, VlanSet};
use crate::world::World;

/// A switch as Ironic's own networking service describes one.
#[derive(Debug, Serialize)]
pub struct SwitchInfo {
    /// What a call may name it by: its MAC address, else its name.
    pub switch_id: String,
    pub device_name: String,
    /// The profile.
    pub device_type: String,
    /// `100,101,102`: one by one, because readers of this form split it at commas only. None: all.
    pub allowed_vlans: Option<String>,
}

/// Whether something can be done, and what stands against it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    pub reasons: Vec<String>,
}

/// What a device runs and reports, as far as it was asked.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    pub running: Slice,
    /// Empty where the device offers none.
    pub state: Slice,
    /// The device's, in the way in which it was asked; none: it was not.
    pub profile: Option<Arc<Profile>>,
    /// Its journal is open.
    pub is_unsettled: bool,
}

/// Ports beside what a caller says of them.
#[derive(Debug, Serialize)]
pub struct Check {
    /// Whether nothing would have to be changed anywhere.
    pub matches: bool,
    pub devices: Vec<CheckedPort>,
}

/// One port beside what a caller says of it.
#[derive(Debug, Serialize)]
pub struct CheckedPort {
    pub device: String,
    pub port: String,
    pub matches: bool,
    /// The port as it is, in words.
    pub before: String,
    /// As the caller says it is; none where no change could make it so, see `reason`.
    pub after: Option<String>,
    /// From the one to the other: unified diff of the configuration, as XML.
    pub diff: String,
    pub reason: Option<String>,
    /// Of this and the next four, what the device does not report is none.
    pub admin_status: Option<String>,
    pub oper_status: Option<String>,
    /// Octets since the device began to count.
    pub in_octets: Option<String>,
    pub out_octets: Option<String>,
    /// The VLANs that the caller names: `ACTIVE`, `SUSPENDED`, `missing` where the switch's table lacks
    /// it, none where it is in the table and no more is known. A VLAN whose table was not seen is left out.
    pub vlans: BTreeMap<VlanId, Option<String>>,
    pub risks: Vec<Risk>,
}

/// These switches, by name.
pub fn switches<'d>(devices: impl IntoIterator<Item = &'d Arc<Device>>) -> BTreeMap<&'d str, SwitchInfo> {
    let info = |device: &Arc<Device>| SwitchInfo {
        switch_id: device.mac_address.map_or_else(|| device.name.clone(), |mac| mac.to_string()),
        device_name: device.name.clone(),
        device_type: device.profile.name.clone(),
        allowed_vlans: (device.allowed_vlans.len() < EVERY_VLAN).then(|| one_by_one(&device.allowed_vlans)),
    };
    devices.into_iter().map(|device| (device.name.as_str(), info(device))).collect()
}

/// How many VLAN ids there are.
const EVERY_VLAN: usize = 4094;

fn one_by_one(vlans: &VlanSet) -> String {
    vlans.iter().map(|vlan| vlan.to_string()).collect::<Vec<_>>().join(",")
}

/// ML2's network types that every one of these devices can take part in.
pub fn network_types<'d>(
    inventory: &Inventory,
    devices: impl IntoIterator<Item = &'d Arc<Device>>,
) -> Vec<&'static str> {
    // A flat network has no id of its own on a switch's access port: it is carried by the VLAN that the
    // operator names for its physical network. A device that is in no such network could only guess.
    let has_flat =
        |name: &String| inventory.physical_networks.get(name).is_some_and(|n| n.flat_vlan.is_some());
    let is_flat = |device: &Device| match device.physical_networks.is_empty() {
        // It says nothing about its networks, so it may be in any.
        true => inventory.physical_networks.keys().any(has_flat),
        false => device.physical_networks.iter().any(has_flat),
    };
    let flat: Vec<bool> = devices.into_iter().map(|device| is_flat(device)).collect();
    match flat.as_slice() {
        [] => Vec::new(),
        all if all.iter().all(|is_flat| *is_flat) => vec!["vlan", "flat"],
        _ => vec!["vlan"],
    }
}

impl Verdict {
    pub fn no(reason: impl ToString) -> Self {
        Self { reasons: vec![reason.to_string()] }
    }

    pub fn is_yes(&self) -> bool {
        self.reasons.is_empty()
    }
}

/// Whether every link of a change could be used for it, as far as the configuration tells: the device
/// is known and part of the physical network, port and VLANs are allowed.
///
/// # Errors
/// The caller may not ask about one of the devices.
pub fn links(call: &Call, world: &World) -> Result<Verdict, Refusal> {
    let mut verdict = Verdict::default();
    for target in &call.targets {
        match address::request(call, target, world) {
            Ok(_) => {}
            Err(denied @ Refusal::Denied { .. }) => return Err(denied),
            Err(refusal) => verdict.reasons.push(refusal.to_string()),
        }
    }
    // What can be wrong with all of them together.
    if let (true, Err(refusal)) = (verdict.is_yes(), address::requests(call, world)) {
        verdict = Verdict::no(refusal);
    }
    Ok(verdict)
}

/// Whether the switches have these ports: configured, or at least reported.
pub fn presence(requests: &[Request], seen: &BTreeMap<String, Seen>) -> Verdict {
    let is_there = |request: &&Request| {
        let interface = interface(request);
        seen.get(&request.device.name).is_some_and(|seen| {
            seen.running.has_entry(&interface.entry)
                || reported(request).paths().iter().any(|path| seen.state.leaf(path).is_some())
        })
    };
    let missing = requests.iter().filter(|request| !is_there(request));
    let reason =
        |request: &Request| format!("{} shows no port {}", request.device.name, request.intent.subject());
    Verdict { reasons: missing.map(reason).collect() }
}

fn reported(request: &Request) -> Reported {
    Reported::new(&request.intent.subject().to_string())
}

/// Questions are about ports.
fn interface(request: &Request) -> Interface {
    Interface::new(&request.intent.subject().to_string())
}

/// Where the table reports whether a VLAN forwards; none: the system has no table.
fn vlan_status(device: &Device, vlan: VlanId) -> Option<Path> {
    let instance = device.profile.network_instance()?;
    Some(openconfig::table_entry(&instance, vlan).child("state").child("status"))
}

/// The state that matters to a request; nothing for what is no port.
pub fn state_of(request: &Request) -> Vec<Path> {
    let Subject::Port(_) = request.intent.subject() else { return Vec::new() };
    let vlans = request.writable_vlans();
    let vlans = vlans.iter().filter_map(|vlan| vlan_status(&request.device, vlan));
    reported(request).paths().into_iter().cloned().chain(vlans).collect()
}

/// Each port against what its request says of it: it matches where the plan is empty.
///
/// # Errors
/// A defect of planning.
pub fn check(requests: &[Request], seen: &BTreeMap<String, Seen>, schema: &Schema) -> Result<Check, Refusal> {
    let nothing = Seen::default();
    let of_device = |request: &Request| seen.get(&request.device.name).unwrap_or(&nothing);
    let devices: Vec<CheckedPort> = requests
        .iter()
        .map(|request| check_port(request, of_device(request), schema))
        .collect::<Result<_, _>>()?;
    Ok(Check { matches: devices.iter().all(|port| port.matches), devices })
}

fn check_port(request: &Request, seen: &Seen, schema: &Schema) -> Result<CheckedPort, Refusal> {
    let (port, reported) = (request.intent.subject().to_string(), reported(request));
    let state = |path: &Path| seen.state.leaf(path).map(str::to_owned);
    let mut checked = CheckedPort {
        device: request.device.name.clone(),
        matches: false,
        before: plan::describe(&request.intent.subject(), &seen.running),
        port,
        after: None,
        diff: String::new(),
        reason: None,
        admin_status: state(&reported.admin_status),
        oper_status: state(&reported.oper_status),
        in_octets: state(&reported.in_octets),
        out_octets: state(&reported.out_octets),
        vlans: vlans(request, seen),
        risks: Vec::new(),
    };
    // A VLAN that the table lacks is a difference to be shown, and no reason to show none.
    let profile = seen.profile.as_ref().unwrap_or(&request.device.profile).clone();
    let with_vlans = Device { create_missing_vlans: true, profile, ..Device::clone(&request.device) };
    let creates = request.device.create_missing_vlans;
    let planned =
        plan::plan(&Request { device: Arc::new(with_vlans), ..request.clone() }, &seen.running, schema);
    match planned {
        Ok(plan) => {
            checked.matches = plan.is_empty();
            checked.after = Some(plan.summary().1);
            checked.diff = report::native_diff(&plan.before, &plan.after, schema)
                .map_err(|error| Refusal::plan(&request.device, error.into()))?;
            let is_told = |risk: &Risk| creates || !matches!(risk, Risk::CreatesVlans { .. });
            checked.risks = plan.risks.into_iter().filter(is_told).collect();
        }
        // The port is something else than the caller says, and cannot become it.
        Err(error @ (PlanError::LagMember { .. } | PlanError::Invalid(_))) => {
            checked.reason = Some(error.to_string());
        }
        Err(error) => return Err(Refusal::plan(&request.device, error)),
    }
    checked.risks.extend(seen.is_unsettled.then_some(Risk::Unsettled));
    Ok(checked)
}

fn vlans(request: &Request, seen: &Seen) -> BTreeMap<VlanId, Option<String>> {
    let Some(instance) = request.device.profile.network_instance() else { return BTreeMap::new() };
    let is_visible = seen.running.value(&instance.child("config").child("name")).is_some();
    let status = |vlan: VlanId| {
        let reported =
            vlan_status(&request.device, vlan).and_then(|path| seen.state.leaf(&path).map(str::to_owned));
        match (reported, seen.running.has_entry(&openconfig::table_entry(&instance, vlan))) {
            (Some(status), _) => Some((vlan, Some(status))),
            (None, true) => Some((vlan, None)),
            (None, false) => is_visible.then(|| (vlan, Some("missing".to_owned()))),
        }
    };
    request.writable_vlans().iter().filter_map(status).collect()
}

/// Reads what each device of these requests runs and reports, one flight a device, without a lock.
pub async fn observe(
    workers: &Workers,
    requests: &[Request],
    world: &Arc<World>,
) -> Result<BTreeMap<String, Seen>, Refusal> {
    let budget = Budget::new(Instant::now(), world.request_timeout, world.lock_wait);
    let mut by_device: BTreeMap<&str, Vec<&Request>> = BTreeMap::new();
    for request in requests {
        by_device.entry(&request.device.name).or_default().push(request);
    }
    let readings = by_device.into_iter().map(|(name, requests)| async move {
        let seen = observe_one(workers, &requests, world, budget.deadline).await?;
        Ok((name.to_owned(), seen))
    });
    // All are waited for: a session given up in the middle of an answer is of no use to the next.
    join_all(readings).await.into_iter().collect()
}

/// Requests of one device.
async fn observe_one(
    workers: &Workers,
    requests: &[&Request],
    world: &Arc<World>,
    deadline: Instant,
) -> Result<Seen, Refusal> {
    let Some(device) = requests.first().map(|request| &request.device) else { return Ok(Seen::default()) };
    let reads = |of: fn(&Request) -> Vec<Path>| {
        let paths: BTreeSet<Path> = requests.iter().flat_map(|request| of(request)).collect();
        ReadSet { paths: paths.into_iter().collect(), schema: world.schema.clone() }
    };
    let (running, state) = (reads(plan::consulted), reads(state_of));
    let unreachable = |why: String| Refusal::Unreachable { device: device.name.clone(), why };
    let Some(mut loan) = workers.lend(device, world.clone(), deadline).await? else {
        return Err(unreachable("it was busy for all the time there was".to_owned()));
    };
    let live = loan.lease.read(&running, &state, deadline).await;
    // A worker that ended meanwhile needs no session.
    drop(loan.back.send(loan.lease.give_back()));
    let Live { running, state, profile, .. } = live.map_err(|fault| unreachable(fault.to_string()))?;
    if let Some(NotRead { why, .. }) = profile.speaks.not_read() {
        return Err(Refusal::NotRead { device: device.name.clone(), why: why.clone() });
    }
    let is_unsettled = journal::is_open(&world.locks_dir, &device.endpoint);
    Ok(Seen { running, state, profile: Some(profile), is_unsettled })
}

#[cfg(test)]
mod tests;
