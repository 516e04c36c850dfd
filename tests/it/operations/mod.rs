//! The service as a process, over simulated switches: isolation, reload, end, audit, metrics, systemd.

mod audit;
mod isolation;
mod reload;
mod stop;
mod systemd;

use std::sync::Arc;
use std::sync::LazyLock;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use mercury::schema::Schema;
use mercury::sim::{FaultSpec, Switch, SwitchSpec};
use serde_json::{Value, json};
use tokio::net::TcpStream;

use crate::peers::{patiently, poll_pause};
use crate::service::{Service, Site, simulated, update};

static SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| Schema::builtin().unwrap());

/// A switch with the ports eth1 to eth4 and the VLANs 100 to 110.
async fn switch(name: &str) -> Switch {
    let spec = SwitchSpec {
        name: name.to_owned(),
        ports: (1..=4).map(|n| format!("eth{n}")).collect(),
        vlans: (100..=110).collect(),
        password: Some("secret".into()),
        ..SwitchSpec::default()
    };
    mercury::sim::start(spec, SCHEMA.clone(), ([127, 0, 0, 1], 0).into()).await.expect("a simulated switch")
}

/// A site of these switches with metrics.
fn site(switches: &[(&str, &Switch)]) -> Site {
    let site = Site::new().section("[metrics]\nlisten = \"127.0.0.1:0\"\n");
    switches.iter().fold(site, |site, (name, switch)| site.device(name, &simulated(switch)))
}

/// Parameters of `update_port` for another switch than leaf1.
fn update_on(switch: &str, port: &str, vlan: u16) -> Value {
    let mut params = update(port, "access", vlan, &[]);
    params["switch_id"] = json!(switch);
    params
}

/// Somebody has locked the switch, until `clear_faults`.
fn lock_out(switch: &Switch) {
    switch.inject("lock@every:reject=lock-denied".parse::<FaultSpec>().expect("a fault"));
}

/// Waits until the switch has seen this rpc so many times.
async fn sees(switch: &Switch, rpc: &str, times: usize) {
    let seen = || switch.log().iter().filter(|message| message.rpc == rpc).count();
    patiently(&format!("{times} {rpc}"), async {
        while seen() < times {
            poll_pause().await;
        }
    })
    .await;
}

fn is_in(switch: &Switch, port: &str, vlan: u16) -> bool {
    crate::matrix::is_in(&switch.running_xml(), port, vlan)
}

/// One request, and what came back.
async fn http(address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    http_as("", address, method, path, body).await
}

/// The same with an `Authorization`, if it is not empty.
async fn http_as(who: &str, address: &str, method: &str, path: &str, body: &str) -> (u16, String) {
    let stream = TcpStream::connect(address).await.expect("it listens");
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("it accepts");
    // How the connection ends is seen in the answer.
    tokio::spawn(async move { connection.await.ok() });
    let request = Request::builder().method(method).uri(path).header("host", "mercury");
    let request = if who.is_empty() { request } else { request.header("authorization", who) };
    let request = request.body(Full::new(Bytes::from(body.to_owned()))).expect("a request");
    let answer = patiently("an answer", sender.send_request(request)).await.expect("an answer");
    let status = answer.status().as_u16();
    let body = answer.into_body().collect().await.expect("the whole answer").to_bytes();
    (status, String::from_utf8(body.to_vec()).expect("text"))
}

/// What the other listener answers to a GET.
async fn ask(service: &Service, path: &str) -> (u16, String) {
    let output = service.process.output();
    let address = output.lines().find_map(|line| line.strip_prefix("metrics on http://"));
    http(address.expect("metrics are configured"), "GET", path, "").await
}

/// The value of one metric, as it is written; empty where there is none.
async fn metric(service: &Service, name: &str) -> String {
    let (status, text) = ask(service, "/metrics").await;
    assert_eq!(status, 200);
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.unwrap_or_default().to_owned()
}

/// Waits until a metric has a value.
pub async fn becomes(service: &Service, name: &str, value: &str) {
    patiently(&format!("{name} to become {value}"), async {
        while metric(service, name).await != value {
            poll_pause().await;
        }
    })
    .await;
}
