//! `mercury serve` as Ironic reaches it: over TLS, with a user's password.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use tokio::runtime::Handle;

use super::switch::Switch;
use crate::peers::{Address, Authority, Serve};

/// How long a call may take: a switch that hangs costs a test as much.
const REQUEST_TIMEOUT: &str = "8s";
const USER: &str = "ironic";
const PASSWORD: &str = "correct horse";

/// The service with its configuration. It can be stopped and started again in the same place.
pub struct Mercury {
    dir: PathBuf,
    port: u16,
    process: Mutex<Serve>,
    lab: Handle,
}

impl Mercury {
    /// Starts it with these switches. All files are in `dir`, those of the authority too.
    pub async fn start(switches: &[Switch], authority: &Authority, dir: &Path) -> Self {
        let devices: String = switches
            .iter()
            .map(|switch| format!("[[device]]\nname = \"{}\"\n{}\n", switch.name, switch.inventory(dir)))
            .collect();
        write(&dir.join("devices.toml"), &devices);
        let password = bcrypt::hash(PASSWORD, 10).expect("a password that bcrypt takes");
        write(&dir.join("htpasswd"), &format!("{USER}:{password}\n"));
        authority.issue("127.0.0.1");
        let process = serve(dir.to_owned(), 0).await;
        let port = match &process.address {
            Address::Https(address) => address.rsplit_once(':').and_then(|(_, port)| port.parse().ok()),
            other => panic!("it listens on {other:?}"),
        };
        let port = port.expect("an address with a port");
        Self { dir: dir.to_owned(), port, process: Mutex::new(process), lab: Handle::current() }
    }

    /// What an operator writes into Ironic's configuration to let it call this one.
    pub fn client_configuration(&self) -> String {
        format!(
            "[ironic_networking_json_rpc]\nhost_ip = 127.0.0.1\nport = {}\nclient_use_ssl = true\n\
             cafile = {}\nauth_strategy = http_basic\nusername = {USER}\npassword = {PASSWORD}\n",
            self.port,
            self.dir.join("ca.pem").display(),
        )
    }

    /// The events logged about a device since the last start.
    pub fn log_about(&self, device: &str) -> Vec<String> {
        let output = self.process().output();
        let events = output.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        events.filter(|event| event["device"] == device).map(|event| event.to_string()).collect()
    }

    /// It is gone at once.
    pub fn kill(&self) {
        self.process().kill();
    }

    /// It is there again.
    pub async fn restart(&self) {
        let serve = self.lab.spawn(serve(self.dir.clone(), self.port)).await.expect("no panic");
        *self.process() = serve;
    }

    fn process(&self) -> MutexGuard<'_, Serve> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Port 0 is a free one.
async fn serve(dir: PathBuf, port: u16) -> Serve {
    let config = dir.join("mercury.toml");
    let text = format!(
        "[rpc]\nlisten = \"127.0.0.1:{port}\"\nauth = \"basic\"\nhtpasswd = \"htpasswd\"\n\
         [rpc.tls]\ncertificate = \"127.0.0.1.pem\"\nkey = \"127.0.0.1.key\"\n\
         [inventory]\ndevices = \"devices.toml\"\nallowed_vlans = \"101-105,200-209,300-309\"\n\
         idle_vlans = \"106\"\nprotected_ports = [\"eth48\"]\n[locks]\ndir = \"locks\"\n\
         [limits]\nrequest_timeout = \"{REQUEST_TIMEOUT}\"\n[log]\nformat = \"json\"\n"
    );
    write(&config, &text);
    Serve::start(&config).await.unwrap_or_else(|why| panic!("no service: {why}"))
}

/// Writes a file that only we can read.
pub fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("the directory is ours");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("the file is ours");
}
