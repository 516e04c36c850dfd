//! What takes no device: loading the models, and plan, render and guard.

use std::path::Path;

use mercury::config;
use mercury::device::Device;
use mercury::intent::{Attach, Caller, Description, Intent, ParameterNames, PortName, PortVlans, Request};
use mercury::plan::{Batch, Plan, plan};
use mercury::schema::Schema;
use mercury::slice::Slice;
use mercury::vlan::VlanId;
use std::sync::Arc;

use crate::table::{Samples, Table};

const MANY: usize = 512;

static NAMES: ParameterNames = ParameterNames {
    device: "switch_id",
    port: "port_id",
    vlan: "segmentation_id",
    tagged: "sub_ports",
    default_vlan: "default_vlan",
    description: "id",
    physical_network: "physical_network",
};

/// `config`: a mercury.toml with one device.
pub fn measure(table: &mut Table, config: &Path) {
    let mut samples = Samples::default();
    for _ in 0..50 {
        samples.time(Schema::builtin).expect("the subset is sound");
    }
    table.row("load the built-in YANG modules", &samples);

    let schema = Schema::builtin().expect("the subset is sound");
    let settings = config::load(config).unwrap_or_else(|errors| panic!("{errors}"));
    let device = settings.inventory.find(Some("leaf1"), None).expect("it is in the file").clone();
    for (ports, times) in [(1, 2000), (MANY, 20)] {
        let xml = running(ports);
        let mut reading = Samples::default();
        let mut planning = Samples::default();
        for _ in 0..times {
            let before = reading.time(|| schema.read_xml(&xml)).expect("valid");
            let requests: Vec<Request> = (1..=ports).map(|n| attach(&device, n)).collect();
            planning.time(|| plan_all(&requests, &before, &device, &schema));
        }
        let what = if ports == 1 { "1 port".to_owned() } else { format!("{ports} ports as one change") };
        table.row(format!("read running from XML, {what}"), &reading);
        table.row(format!("plan + render + guard, {what}"), &planning);
    }
}

/// What a transaction does between reading and sending: both directions rendered and guarded.
fn plan_all(requests: &[Request], before: &Slice, device: &Device, schema: &Schema) -> Batch {
    let plans: Vec<Plan> =
        requests.iter().map(|request| plan(request, before, schema).expect("it can be planned")).collect();
    Batch::new(&plans.iter().collect::<Vec<_>>(), device, schema).expect("within its scope")
}

fn attach(device: &Arc<Device>, n: usize) -> Request {
    let port = PortName::new(&format!("eth{n}"), "port_id").expect("a name");
    let vlans = PortVlans::Access { vlan: VlanId::new(101).expect("a VLAN") };
    let description = Description::of_neutron_port("0d2b1f6e-3a53-4f3b-9b44-8f4f4d1d2c11", "id").ok();
    let intent =
        Intent::Attach(Attach { port, vlans, description, mtu: None, enabled: None, default_vlan: None });
    Request {
        intent,
        device: device.clone(),
        physical_network: None,
        caller: Caller::default(),
        names: &NAMES,
        level: 0,
    }
}

/// Ports in VLAN 100, as a switch would tell it.
fn running(ports: usize) -> String {
    let interface = |n: usize| {
        format!(
            r#"<interface><name>eth{n}</name>
               <config><name>eth{n}</name><type xmlns:t="urn:ietf:params:xml:ns:yang:iana-if-type">t:ethernetCsmacd</type>
                 <enabled>true</enabled></config>
               <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
                 <switched-vlan xmlns="http://openconfig.net/yang/vlan">
                   <config><interface-mode>ACCESS</interface-mode><access-vlan>100</access-vlan></config>
                 </switched-vlan></ethernet></interface>"#
        )
    };
    let interfaces: String = (1..=ports).map(interface).collect();
    format!(r#"<interfaces xmlns="http://openconfig.net/yang/interfaces">{interfaces}</interfaces>"#)
}
