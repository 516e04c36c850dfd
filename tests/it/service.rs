//! A `mercury serve` of a test's own: the files that it reads, and JSON-RPC to it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use mercury::sim::Switch;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::peers::{Address, Netconfd, Serve, command, mercury_bin};

/// What an operator would have written, in a private directory. Several services may be started
/// from it; they are then processes of one host, with one directory of locks.
pub struct Site {
    dir: Arc<TempDir>,
    limits: String,
    devices: String,
    sections: String,
}

/// How a simulated switch is reached with the password `secret`, which [`Site::new`] has in a file.
pub fn simulated(switch: &Switch) -> String {
    format!(
        "address = \"127.0.0.1\"\nport = {}\nusername = \"admin\"\npassword_file = \"secret\"\nhost_key = \"{}\"\n\
         profile = \"netconf_openconfig\"\nallowed_vlans = \"100-199\"\n",
        switch.addr().port(),
        switch.host_key()
    )
}

/// A running service. Dropping it kills it; what it logged is shown when the test failed.
pub struct Service {
    pub process: Serve,
    client: Client,
    _dir: Arc<TempDir>,
}

/// Calls a service, each time over a new connection.
#[derive(Clone)]
pub struct Client {
    address: String,
}

/// The error object of an answer.
#[derive(Clone, Debug)]
pub struct Failure {
    pub code: i64,
    pub message: String,
    pub data: Value,
}

/// How a device is reached and logged in to, as `devices.toml` says it.
pub fn login(server: &Netconfd) -> String {
    format!(
        "address = \"127.0.0.1\"\nport = {}\nusername = \"{}\"\nkey_file = \"{}\"\nknown_hosts = \"{}\"\n",
        server.port,
        server.username,
        server.key.display(),
        server.known_hosts.display()
    )
}

impl Site {
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("mercury-").expect("a temporary directory");
        let site = Self {
            dir: Arc::new(dir),
            limits: String::new(),
            devices: String::new(),
            sections: String::new(),
        };
        let secret = site.path("secret");
        fs::write(&secret, "secret\n").expect("the directory is ours");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        site
    }

    /// The same place with nothing written in it yet, for another configuration.
    pub fn blank(&self) -> Self {
        Self { dir: self.dir.clone(), limits: String::new(), devices: String::new(), sections: String::new() }
    }

    /// A site with one device, `leaf1`, that is netconfd with no VLAN table; VLANs 100 to 199 are
    /// allowed on it.
    pub fn of(server: &Netconfd) -> Self {
        Self::with(server, "profile = \"netconfd_openconfig\"\nallowed_vlans = \"100-199\"\n")
    }

    /// The same with other lines for the device.
    pub fn with(server: &Netconfd, lines: &str) -> Self {
        Self::new().device("leaf1", &format!("{}{lines}", login(server)))
    }

    /// Adds lines to `[limits]`.
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits += lines;
        self
    }

    /// Adds a section or several, as they are written.
    pub fn section(mut self, lines: &str) -> Self {
        self.sections += lines;
        self
    }

    /// Adds a device with all that its table holds besides the name.
    pub fn device(mut self, name: &str, lines: &str) -> Self {
        self.devices += &format!("[[device]]\nname = \"{name}\"\n{lines}\n");
        self
    }

    /// From the next start on there are no limits but those built in.
    pub fn without_limits(&mut self) {
        self.limits.clear();
    }

    /// A place for further files.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What the lock files hold, all together: nothing when nothing is open.
    pub fn journal(&self) -> String {
        let files = fs::read_dir(self.path("locks")).expect("the service has made it");
        let read = |file: fs::DirEntry| fs::read_to_string(file.path()).expect("the file is ours");
        files.map(|file| read(file.expect("a file"))).collect()
    }

    /// Writes the files and starts a service that logs JSON.
    pub async fn serve(&self) -> Service {
        self.serve_at("info").await
    }

    /// The same with another level of the log.
    pub async fn serve_at(&self, level: &str) -> Service {
        self.serve_with(level, &[]).await
    }

    /// The same with more in its environment.
    pub async fn serve_with(&self, level: &str, environment: &[(&str, &str)]) -> Service {
        let config = self.write(level);
        let mut serve = command(mercury_bin());
        serve.arg("serve").arg("--config").arg(config).envs(environment.iter().copied());
        let process = Serve::start_command(&mut serve).await;
        let process = process.unwrap_or_else(|why| panic!("no service: {why}"));
        let Address::Http(address) = process.address.clone() else { panic!("it listens elsewhere") };
        Service { process, client: Client { address }, _dir: self.dir.clone() }
    }

    /// Writes the files.
    pub fn write(&self, level: &str) -> PathBuf {
        let config = self.path("mercury.toml");
        let text = format!(
            "[rpc]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n[inventory]\ndevices = \"devices.toml\"\n\
             [locks]\ndir = \"locks\"\n[limits]\n{}\n[log]\nformat = \"json\"\nlevel = \"{level}\"\n{}",
            self.limits, self.sections
        );
        fs::write(&config, text).expect("the directory is ours");
        fs::write(self.path("devices.toml"), &self.devices).expect("the directory is ours");
        config
    }
}

impl Service {
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        self.client.call(method, params).await
    }

    /// A call on a task of its own: the test goes on meanwhile.
    pub fn start_call(&self, method: &'static str, params: Value) -> tokio::task::JoinHandle<Answer> {
        let client = self.client.clone();
        tokio::spawn(async move { client.call(method, params).await })
    }

    /// The events logged so far.
    pub fn log(&self) -> Vec<Value> {
        let output = self.process.output();
        output.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

impl Service {
    /// `127.0.0.1:PORT` where calls are taken.
    pub fn address(&self) -> &str {
        &self.client.address
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the service wrote:\n{}", self.process.output());
        }
    }
}

/// What a call ends with.
pub type Answer = Result<Value, Failure>;

impl Client {
    /// Panics when there is no answer that JSON-RPC allows.
    pub async fn call(&self, method: &str, params: Value) -> Answer {
        let request = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": "req-1" });
        let answer = tokio::time::timeout(Duration::from_secs(120), self.post(request.to_string()));
        let answer = answer.await.expect("an answer within Ironic's patience");
        match (answer.get("result"), answer.get("error")) {
            (Some(result), None) => Ok(result.clone()),
            (None, Some(error)) => Err(Failure {
                code: error["code"].as_i64().expect("a code"),
                message: error["message"].as_str().expect("a message").to_owned(),
                data: error["data"].clone(),
            }),
            _ => panic!("neither a result nor an error: {answer}"),
        }
    }

    async fn post(&self, body: String) -> Value {
        let stream = TcpStream::connect(&self.address).await.expect("the service listens");
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await.expect("the service accepts");
        // How the connection ends is seen in the answer.
        tokio::spawn(async move { connection.await.ok() });
        let request = Request::post("/").header("host", "mercury").body(Full::new(Bytes::from(body)));
        let answer = sender.send_request(request.expect("a request")).await.expect("the service answers");
        let body = answer.into_body().collect().await.expect("the whole answer").to_bytes();
        serde_json::from_slice(&body).expect("JSON")
    }
}

impl Failure {
    /// The last word of the class that Ironic knows.
    pub fn class(&self) -> &str {
        self.data["class"].as_str().and_then(|class| class.rsplit('.').next()).unwrap_or_default()
    }

    /// The phase in which it failed.
    pub fn phase(&self) -> &str {
        self.data["phase"].as_str().unwrap_or_default()
    }

    /// `rolled_back` or `unknown`.
    pub fn outcome(&self) -> &str {
        self.data["outcome"].as_str().unwrap_or_default()
    }
}

/// A Neutron port's id, made of a port's name so that each has its own.
pub fn port_id(port: &str) -> String {
    let digits: String = port.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("0d2b1f6e-3a53-4f3b-9b44-{digits:0>12}")
}

/// Parameters of `attach_port` for one link of `leaf1`: the segment's VLAN, and the sub-ports'.
pub fn attach(port: &str, vlan: u16, sub_ports: &[u16]) -> Value {
    let sub_ports: Vec<Value> = sub_ports.iter().map(|vlan| json!({ "segmentation_id": vlan })).collect();
    let mut port = neutron_port(port);
    port["trunk_details"] = json!({ "sub_ports": sub_ports });
    json!({ "port": port, "segment": { "id": "s1", "network_type": "vlan", "segmentation_id": vlan } })
}

/// Parameters of `detach_port`.
pub fn detach(port: &str) -> Value {
    json!({ "port": neutron_port(port) })
}

fn neutron_port(port: &str) -> Value {
    json!({
        "id": port_id(port),
        "binding:vnic_type": "baremetal",
        "binding:profile": { "local_link_information": [{ "switch_id": "leaf1", "port_id": port }] },
    })
}

/// Parameters of `update_port`.
pub fn update(port: &str, mode: &str, native: impl Into<Value>, tagged: &[u16]) -> Value {
    json!({
        "context": {}, "switch_id": "leaf1", "port_name": port, "mode": mode, "native_vlan": native.into(),
        "allowed_vlans": tagged, "description": format!("Ironic Port {}", port_id(port)),
    })
}

/// Parameters of `reset_port`.
pub fn reset(port: &str, native: u16) -> Value {
    json!({ "context": {}, "switch_id": "leaf1", "port_name": port, "native_vlan": native })
}

/// Parameters with one more, or with another value of one.
pub fn and(mut params: Value, name: &str, value: impl Into<Value>) -> Value {
    params[name] = value.into();
    params
}
