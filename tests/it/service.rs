//! A `mercury serve` of a test's own: the files that it reads, and JSON-RPC to it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::Arc;

use mercury::client::{Client, ClientError, Options};
use mercury::schema::Schema;
use mercury::sim::{self, Switch, SwitchSpec};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::peers::{Address, Netconfd, Serve, command, mercury_bin};

/// What an operator would have written, in a private directory. Several services may be started
/// from it; they are then processes of one host, with one directory of locks.
pub struct Site {
    dir: Arc<TempDir>,
    limits: String,
    devices: String,
    sections: String,
    /// The lines of `[rpc]`, and of the tables below it.
    rpc: String,
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

/// `[rpc]` of a site that asks nobody who they are.
const OPEN: &str = "listen = \"127.0.0.1:0\"\nauth = \"none\"\n";

/// A running service. Dropping it kills it; what it logged is shown when the test failed.
pub struct Service {
    pub process: Serve,
    client: Arc<Client>,
    _dir: Arc<TempDir>,
}

pub use mercury::client::RpcFailure as Failure;

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
            rpc: OPEN.to_owned(),
        };
        let secret = site.path("secret");
        fs::write(&secret, "secret\n").expect("the directory is ours");
        fs::set_permissions(secret, fs::Permissions::from_mode(0o600)).expect("the file is ours");
        site
    }

    /// The same place with nothing written in it yet, for another configuration.
    pub fn blank(&self) -> Self {
        Self { dir: self.dir.clone(), ..Self::new() }
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

    /// A site with one device, `leaf1`, that is a simulated switch; VLANs 100 to 199 are allowed on it.
    pub async fn simulated() -> (Self, Switch) {
        let spec = SwitchSpec {
            ports: ["eth1", "eth2"].map(str::to_owned).to_vec(),
            vlans: vec![100, 101, 102],
            password: Some("secret".to_owned().into()),
            ..SwitchSpec::default()
        };
        let schema = Schema::builtin().expect("it is built in");
        let switch = sim::start(spec, schema, ([127, 0, 0, 1], 0).into()).await.expect("a free port");
        let lines = simulated(&switch);
        (Self::new().device("leaf1", &lines), switch)
    }

    /// Adds lines to `[limits]`.
    pub fn limits(mut self, lines: &str) -> Self {
        self.limits += lines;
        self
    }

    /// Other lines for `[rpc]` than those that let in everybody here.
    pub fn rpc(mut self, lines: &str) -> Self {
        self.rpc = lines.to_owned();
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
        let client = Client::new(&process.address.to_string(), Options::default());
        let client = Arc::new(client.unwrap_or_else(|why| panic!("no client: {why}")));
        Service { process, client, _dir: self.dir.clone() }
    }

    /// Writes the files.
    pub fn write(&self, level: &str) -> PathBuf {
        let config = self.path("mercury.toml");
        let text = format!(
            "[rpc]\n{}[inventory]\ndevices = \"devices.toml\"\n\
             [locks]\ndir = \"locks\"\n[limits]\n{}\n[log]\nformat = \"json\"\nlevel = \"{level}\"\n{}",
            self.rpc, self.limits, self.sections
        );
        fs::write(&config, text).expect("the directory is ours");
        fs::write(self.path("devices.toml"), &self.devices).expect("the directory is ours");
        config
    }
}

impl Service {
    pub async fn call(&self, method: &str, params: Value) -> Result<Value, Failure> {
        call(&self.client, method, params).await
    }

    /// A call on a task of its own: the test goes on meanwhile.
    pub fn start_call(&self, method: &'static str, params: Value) -> tokio::task::JoinHandle<Answer> {
        let client = self.client.clone();
        tokio::spawn(async move { call(&client, method, params).await })
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
        let Address::Http(address) = &self.process.address else { panic!("it listens elsewhere") };
        address
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

/// Panics when there is no answer that JSON-RPC allows, or none within Ironic's patience.
async fn call(client: &Client, method: &str, mut params: Value) -> Answer {
    // What the log calls it.
    let request_id = &mut params["context"]["request_id"];
    if request_id.is_null() {
        *request_id = json!("req-1");
    }
    client.call(method, params).await.map_err(|error| match error {
        ClientError::Rpc(failure) => failure,
        other => panic!("{method}: {other}"),
    })
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
