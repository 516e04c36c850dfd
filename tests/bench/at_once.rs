//! The service with devices that answer at once: all of Mercury but NETCONF and SSH, and no device's
//! time. It runs in a process of its own: `bench serve CONFIG`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use mercury::openconfig::Interface;
use mercury::path::Path;
use mercury::render::Payload;
use mercury::schema::Schema;
use mercury::service;
use mercury::slice::Slice;
use mercury::transport::{
    Commit, Committed, Connector, Fault, Observed, Promises, ReadSet, Session, Store, Timed,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

use crate::attach::VLANS;

/// The program that is started as `bench serve CONFIG`.
pub fn serve(config: PathBuf) -> ExitCode {
    let connect = Arc::new(|_: &_| Arc::new(AtOnce::default()) as Arc<dyn Connector>);
    let runtime = Runtime::new().expect("a runtime");
    let ended = runtime.block_on(service::run_with(config, connect));
    ended.unwrap_or_else(|error| panic!("{error:#}"))
}

/// A switch whose ports are known when they are first asked for: up, described, and in the first VLAN.
#[derive(Clone, Default)]
struct AtOnce(Arc<Mutex<Slice>>);

#[derive(Clone)]
struct Opened {
    switch: AtOnce,
    staged: Vec<(Path, String)>,
}

static PROMISES: Promises = Promises {
    candidate: true,
    timed: Timed::Persist,
    atomic: true,
    locks: true,
    startup: false,
    reads_startup: false,
    keeps: true,
};

#[async_trait]
impl Connector for AtOnce {
    async fn open(&self, _: Instant) -> Result<Box<dyn Session>, Fault> {
        Ok(Box::new(Opened { switch: self.clone(), staged: Vec::new() }))
    }
}

impl AtOnce {
    fn read(&self, reads: &ReadSet) -> Slice {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if running.is_empty() {
            *running = first_configuration(&reads.schema);
        }
        running.within(&reads.paths)
    }

    fn write(&self, changes: &mut Vec<(Path, String)>) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (path, value) in changes.drain(..) {
            running.set_leaf(path, &value);
        }
    }
}

/// As many ports as there are clients, each as a call of [`VLANS`]`[0]` leaves it.
fn first_configuration(schema: &Schema) -> Slice {
    let interfaces: String = (1..=64)
        .map(|n| {
            format!(
                r#"<interface><name>eth{n}</name>
                   <config><name>eth{n}</name><type xmlns:t="urn:ietf:params:xml:ns:yang:iana-if-type">t:ethernetCsmacd</type>
                     <enabled>true</enabled></config>
                   <ethernet xmlns="http://openconfig.net/yang/interfaces/ethernet">
                     <switched-vlan xmlns="http://openconfig.net/yang/vlan">
                       <config><interface-mode>ACCESS</interface-mode><access-vlan>{}</access-vlan></config>
                     </switched-vlan></ethernet></interface>"#,
                VLANS[0]
            )
        })
        .collect();
    let vlan = |vlan: u16| {
        format!("<vlan><vlan-id>{vlan}</vlan-id><config><vlan-id>{vlan}</vlan-id></config></vlan>")
    };
    let xml = format!(
        r#"<interfaces xmlns="http://openconfig.net/yang/interfaces">{interfaces}</interfaces>
           <network-instances xmlns="http://openconfig.net/yang/network-instance"><network-instance>
             <name>default</name><config><name>default</name></config><vlans>{}</vlans></network-instance></network-instances>"#,
        VLANS.map(vlan).concat()
    );
    schema.read_xml(&xml).expect("the subset has it")
}

/// What an edit of this benchmark sets: a port's VLAN and its description.
fn changes(payload: &str) -> Vec<(Path, String)> {
    let text = |entry: &str, element: &str| {
        let (_, rest) = entry.split_once(&format!("<{element}"))?;
        let (value, _) = rest.split_once('>')?.1.split_once('<')?;
        Some(value.to_owned())
    };
    let mut changes = Vec::new();
    for entry in payload.split("<interface>").skip(1) {
        let port = Interface::new(&text(entry, "name").expect("an entry has its key"));
        let vlan = port.switched_vlan(&Slice::default()).access;
        changes.extend(text(entry, "access-vlan").map(|value| (vlan, value)));
        changes.extend(text(entry, "description").map(|value| (port.description, value)));
    }
    changes
}

#[async_trait]
impl Session for Opened {
    fn promises(&self) -> &Promises {
        &PROMISES
    }

    fn is_open(&self) -> bool {
        true
    }

    fn describe(&self) -> String {
        "none: a device that answers at once".to_owned()
    }

    async fn read(&mut self, _: Store, reads: &ReadSet, _: Instant) -> Result<Slice, Fault> {
        Ok(self.switch.read(reads))
    }

    async fn observe(&mut self, running: &ReadSet, _: &ReadSet, _: Instant) -> Result<Observed, Fault> {
        Ok(Observed { running: self.switch.read(running), state: Ok(Slice::default()) })
    }

    async fn begin(&mut self, reads: &ReadSet, _: Instant) -> Result<Slice, Fault> {
        Ok(self.switch.read(reads))
    }

    async fn stage(&mut self, payload: &Payload, _: &str, _: Instant) -> Result<(), Fault> {
        self.staged = changes(payload.text());
        Ok(())
    }

    async fn commit(&mut self, _: &Commit, reads: &ReadSet, _: Instant) -> Committed {
        self.switch.write(&mut self.staged);
        Committed { commit: Ok(()), running: Ok(self.switch.read(reads)) }
    }

    async fn confirm(&mut self, _: &str, _: bool, _: Instant) -> Result<(), Fault> {
        Ok(())
    }

    async fn cancel(&mut self, _: &str, _: Instant) -> Result<(), Fault> {
        Ok(())
    }

    async fn save(&mut self, _: Instant) -> Result<(), Fault> {
        Ok(())
    }

    async fn release(&mut self, _: bool, _: Instant) -> Result<(), Fault> {
        Ok(())
    }

    async fn close(&mut self) {}
}
