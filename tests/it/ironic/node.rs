//! A bare-metal node in Ironic, whose ramdisk we play.

use std::collections::BTreeMap;
use std::time::Duration;

use hyper::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::OwnedRwLockReadGuard;
use tokio::time::{Instant, sleep};

use super::agent::Agent;
use super::lab::Lab;
use super::switch::{Look, Switch, Vlans};

/// The networks of tests/peers/ironic.conf.
pub const CLEANING: u16 = 101;
pub const PROVISIONING: u16 = 102;
pub const RESCUING: u16 = 103;
pub const INSPECTION: u16 = 104;
pub const SERVICING: u16 = 105;
pub const IDLE: Vlans = Vlans::Idle(106);

/// How long a transition may take.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often the agent says that it runs.
const HEARTBEAT: Duration = Duration::from_millis(300);

/// A node with its ports, all plugged into one switch.
pub struct Node {
    pub uuid: String,
    lab: &'static Lab,
    _calm: Option<OwnedRwLockReadGuard<()>>,
    pub switch: &'static Switch,
    look: Look,
    agent: Agent,
    /// What the agent of this boot was given; Ironic forgets it when it powers a node off.
    token: Option<String>,
    pub ports: Vec<Port>,
    /// The network of a state in which the agent runs.
    pub networks: BTreeMap<&'static str, Vlans>,
}

pub struct Port {
    /// Empty: there is none any more.
    pub uuid: String,
    pub name: String,
    /// Its `extra.switchport`: where it is while the node is in use.
    pub switchport: Value,
}

/// Where all ports of a node are supposed to be.
#[derive(Clone, Debug)]
pub enum Place {
    All(Vlans),
    /// Each where its `switchport` says.
    Tenant,
    /// In the order of the node's ports.
    Each(Vec<Vlans>),
}

impl Node {
    /// Creates one with fields besides the usual ones.
    pub async fn new(switch: &'static str, fields: Value) -> Self {
        let calm = Lab::get().calm.clone().read_owned().await;
        Self { _calm: Some(calm), ..Self::alone(switch, fields).await }
    }

    /// The same by somebody who holds the lab's calm alone.
    pub async fn alone(switch: &'static str, fields: Value) -> Self {
        let lab = Lab::get();
        let switch = lab.switch(switch);
        let agent = Agent::start().await;
        let mut body = json!({
            "driver": "fake-hardware",
            "instance_info": {
                "image_source": format!("{}/image.raw", agent.url), "image_disk_format": "raw", "root_gb": 1,
                "image_os_hash_algo": "sha256", "image_os_hash_value": "0".repeat(64),
            },
        });
        for (name, value) in fields.as_object().expect("fields") {
            body[name] = value.clone();
        }
        let node = lab.ironic.call(Method::POST, "nodes", body).await;
        let access = |vlan| Vlans::Access(vlan);
        let networks = BTreeMap::from([
            ("clean wait", access(CLEANING)),
            ("wait call-back", access(PROVISIONING)),
            ("rescue wait", access(RESCUING)),
            ("inspect wait", access(INSPECTION)),
            ("service wait", access(SERVICING)),
        ]);
        let uuid = node["uuid"].as_str().expect("a uuid").to_owned();
        let look = switch.look().await;
        Self { uuid, lab, _calm: None, switch, look, agent, token: None, ports: Vec::new(), networks }
    }

    /// Plugs one more port in; `switchport` may be null.
    pub async fn plug(&mut self, name: &str, switchport: Value) {
        let switch_id = self.switch.mac_address.clone();
        self.plug_as(&switch_id, name, switchport).await;
    }

    /// The same with another name for the switch.
    pub async fn plug_as(&mut self, switch_id: &str, name: &str, switchport: Value) {
        self.switch.plug(name);
        let extra = if switchport.is_null() { json!({}) } else { json!({ "switchport": switchport }) };
        // Another for each port of each switch.
        let number: u8 = name.trim_start_matches("eth").parse().expect("a port");
        let address = format!("52:54:00:00:{}:{number:02x}", &self.switch.mac_address[15..]);
        let port = json!({
            "node_uuid": self.uuid, "address": address, "pxe_enabled": switchport["mode"] == "access",
            "local_link_connection": { "switch_id": switch_id, "port_id": name },
            "extra": extra,
        });
        let port = self.lab.ironic.call(Method::POST, "ports", port).await;
        let uuid = port["uuid"].as_str().expect("a uuid").to_owned();
        self.ports.push(Port { uuid, name: name.to_owned(), switchport });
    }

    /// Asks for a transition, plays the agent until the node is in `end`, and looks at the switch then
    /// and whenever Ironic waits for the agent. Gives the states of waiting that it looked in.
    pub async fn to(&mut self, target: &str, more: Value, end: &str, place: Place) -> Vec<String> {
        self.start(target, more).await;
        let waits = self.until(end).await;
        self.assert_at(place).await;
        waits
    }

    /// Asks for a transition.
    pub async fn start(&mut self, target: &str, mut body: Value) {
        self.token = None;
        body["target"] = json!(target);
        self.ask(Method::PUT, "states/provision", body).await;
    }

    /// Plays the agent until the node is in `end`, or waits for the agent in it. Gives the states of
    /// waiting in which the switch was looked at.
    pub async fn until(&mut self, end: &str) -> Vec<String> {
        let (started, mut waits) = (Instant::now(), Vec::new());
        let (mut looked, mut said) = (Value::Null, None::<Instant>);
        loop {
            let node = self.get().await;
            let state = node["provision_state"].as_str().expect("a state");
            let failed = state.ends_with("failed") || state == "error";
            let free = node["reservation"].is_null();
            if free
                && state == end
                && !self.networks.contains_key(end)
                && (failed || node["target_provision_state"].is_null())
            {
                return waits;
            }
            assert!(
                !(free && failed) && started.elapsed() < PATIENCE,
                "on the way to {end}: {state}: {}",
                self.story(&node)
            );
            if let Some(network) = self.networks.get(state).filter(|_| free) {
                if looked != node["provision_updated_at"] {
                    let difference = self.difference(Place::All(network.clone())).await;
                    // What it was told before may just have been done, and the network left.
                    let again = self.get().await;
                    if ["provision_state", "reservation", "provision_updated_at"]
                        .iter()
                        .any(|field| again[*field] != node[*field])
                    {
                        continue;
                    }
                    assert!(difference.is_empty(), "in {state}: {difference:#?}{}", self.story(&node));
                    looked = node["provision_updated_at"].clone();
                    if waits.last().is_none_or(|last| last != state) {
                        waits.push(state.to_owned());
                    }
                    said = None;
                }
                if state == end {
                    return waits;
                }
                if said.is_none_or(|said| said.elapsed() > HEARTBEAT) {
                    self.say(state).await;
                    said = Some(Instant::now());
                }
            }
            // Nobody tells when Ironic is done.
            sleep(Duration::from_millis(30)).await;
        }
    }

    /// What the agent says when it runs.
    async fn say(&mut self, state: &str) {
        if state == "inspect wait" {
            let path = format!("continue_inspection?node_uuid={}", self.uuid);
            self.lab.ironic.call(Method::POST, &path, self.inventory().await).await;
            return;
        }
        if self.token.is_none() {
            let path = format!("lookup?node_uuid={}", self.uuid);
            let Ok((StatusCode::OK, found)) = self.lab.ironic.ask(Method::GET, &path, &Value::Null).await
            else {
                return;
            };
            self.token = found["config"]["agent_token"].as_str().map(str::to_owned);
            self.agent.boot();
        }
        let body = json!({
            "callback_url": self.agent.url, "agent_version": "11.0.0", "agent_token": self.token,
        });
        let path = format!("heartbeat/{}", self.uuid);
        let answer = self.lab.ironic.ask(Method::POST, &path, &body).await.expect("an answer");
        // A token of an earlier boot.
        if answer.0 == StatusCode::BAD_REQUEST {
            self.token = None;
        }
    }

    /// What the agent found, as far as Ironic wants to know it.
    async fn inventory(&self) -> Value {
        let ports = self.lab.ironic.get(&format!("ports/detail?node={}", self.uuid)).await;
        let interfaces: Vec<Value> = ports["ports"]
            .as_array()
            .expect("ports")
            .iter()
            .map(|port| json!({ "name": port["uuid"], "mac_address": port["address"], "has_carrier": true }))
            .collect();
        json!({ "inventory": {
            "boot": { "current_boot_mode": "uefi", "pxe_interface": interfaces[0]["mac_address"] },
            "cpu": { "count": 1, "architecture": "x86_64" }, "memory": { "physical_mb": 1024 },
            "disks": [], "interfaces": interfaces,
        } })
    }

    /// A question about the node, or an order, that has nothing to do with transitions.
    pub async fn ask(&self, method: Method, path: &str, body: Value) -> Value {
        self.lab.ironic.call(method, &format!("nodes/{}/{path}", self.uuid), body).await
    }

    /// A file that Ironic can fetch.
    pub fn image(&self) -> String {
        format!("{}/image.raw", self.agent.url)
    }

    pub async fn get(&self) -> Value {
        self.lab.ironic.get(&format!("nodes/{}", self.uuid)).await
    }

    /// The node is in `end`, a failed state, and says why in words of Mercury, and of no other.
    pub async fn assert_failed(&self, words: &[&str]) {
        let node = self.get().await;
        let why = node["last_error"].as_str().unwrap_or_default();
        let said = words.iter().all(|word| why.contains(word));
        assert!(said && !why.contains("Unexpected"), "{words:?} are not in {}", self.story(&node));
    }

    /// Sets a field of the node: `/driver_info/cleaning_network`.
    pub async fn set(&self, path: &str, value: Value) {
        let body = json!([{ "op": "add", "path": path, "value": value }]);
        self.lab.ironic.call(Method::PATCH, &format!("nodes/{}", self.uuid), body).await;
    }

    /// Changes a port's `switchport`, null removes it; the error is what Ironic says.
    pub async fn set_switchport(&mut self, port: usize, switchport: Value) -> Result<(), String> {
        let extra = if switchport.is_null() { json!({}) } else { json!({ "switchport": switchport }) };
        self.patch_port(port, "/extra", extra).await?;
        self.ports[port].switchport = switchport;
        Ok(())
    }

    /// Plugs a port into another of the switch; the one that it leaves has to stay idle.
    pub async fn replug(&mut self, port: usize, name: &str) -> Result<(), String> {
        self.switch.plug(name);
        let link = json!({ "switch_id": self.switch.mac_address, "port_id": name });
        self.patch_port(port, "/local_link_connection", link).await?;
        let left = std::mem::replace(&mut self.ports[port].name, name.to_owned());
        self.ports.push(Port { uuid: String::new(), name: left, switchport: Value::Null });
        Ok(())
    }

    async fn patch_port(&self, port: usize, path: &str, value: Value) -> Result<(), String> {
        let body = json!([{ "op": "replace", "path": path, "value": value }]);
        let port = format!("ports/{}", self.ports[port].uuid);
        match self.lab.ironic.ask(Method::PATCH, &port, &body).await.expect("an answer") {
            (StatusCode::OK, _) => Ok(()),
            (_, answer) => Err(answer.to_string()),
        }
    }

    pub async fn delete(self) {
        self.lab.ironic.call(Method::DELETE, &format!("nodes/{}", self.uuid), Value::Null).await;
    }

    pub async fn assert_at(&mut self, place: Place) {
        let difference = self.difference(place.clone()).await;
        if !difference.is_empty() {
            let node = self.get().await;
            panic!("{} is not {place:?}: {difference:#?}{}", node["provision_state"], self.story(&node));
        }
    }

    async fn difference(&mut self, place: Place) -> Vec<String> {
        let port = |(number, port): (usize, &Port)| {
            let vlans = match &place {
                _ if port.uuid.is_empty() => IDLE,
                Place::All(vlans) => vlans.clone(),
                Place::Tenant => tenant(&port.switchport),
                Place::Each(all) => all[number].clone(),
            };
            (port.name.clone(), format!("Ironic Port {}", port.uuid), vlans)
        };
        let ports: Vec<_> = self.ports.iter().enumerate().map(port).collect();
        self.switch.difference(&mut self.look, &ports).await
    }

    /// What led to it, as Ironic and Mercury tell it.
    fn story(&self, node: &Value) -> String {
        let mercury = self.lab.mercury.log_about(self.switch.name);
        format!(
            "\n--- last_error: {}\n--- Mercury on {}:\n{}\n--- Ironic:\n{}",
            node["last_error"],
            self.switch.name,
            mercury[mercury.len().saturating_sub(12)..].join("\n"),
            self.lab.log_about(&self.uuid)
        )
    }
}

/// What a `switchport` asks for.
fn tenant(switchport: &Value) -> Vlans {
    let vlan = |value: &Value| value.as_u64().and_then(|vlan| u16::try_from(vlan).ok());
    let native = vlan(&switchport["native_vlan"]);
    match (switchport["allowed_vlans"].as_array(), native) {
        (None, Some(native)) => Vlans::Access(native),
        (None, None) => Vlans::Untouched,
        (Some(list), _) => Vlans::Trunk(native, list.iter().filter_map(vlan).collect()),
    }
}
