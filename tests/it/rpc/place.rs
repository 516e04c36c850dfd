//! What an operator keeps for callers: certificates and files of users, and a server that was
//! configured with them; and curl, to call it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mercury::config::{self, ConfigErrors, Settings};
use mercury::pem;
use mercury::rpc::RpcLimits;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, date_time_ymd,
};
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::fake::{Client, Fake, Server};

pub const PASSWORD: &str = "open sesame";
pub const REALM: &str = "mercury";

/// A directory with files; those with secrets are 0600.
pub struct Place(TempDir);

/// An authority whose certificates end when told.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

/// What curl printed.
#[derive(Debug)]
pub struct Curl {
    /// Of the process; 0 when there was an answer.
    pub exit: i32,
    pub status: u16,
    /// Of the last answer, in lower case.
    pub head: String,
    pub body: Value,
    pub errors: String,
}

impl Place {
    /// One with a user `ironic` in both files.
    pub fn new() -> Self {
        let place = Self(TempDir::with_prefix("mercury-").unwrap());
        place.private("htpasswd", &htpasswd(&[("ironic", PASSWORD)]));
        place.private("htdigest", &format!("{}{}", sha256("ironic", PASSWORD), md5("ironic", PASSWORD)));
        place
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Writes a file that only its owner can read, as a new file.
    pub fn private(&self, name: &str, text: &str) {
        let new = self.path("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, Permissions::from_mode(0o600)).unwrap();
        fs::rename(new, self.path(name)).unwrap();
    }

    /// Certificate and key of a server on 127.0.0.1, `server.pem` and `server.key`.
    pub fn server_certificate(&self, authority: &Authority) {
        self.certificate("server", authority, "localhost", &["localhost", "127.0.0.1"], 2200);
        self.private("ca.pem", &authority.pem);
    }

    /// `NAME.pem` and `NAME.key` with this common name and these names besides, until a year begins.
    pub fn certificate(&self, name: &str, authority: &Authority, common: &str, names: &[&str], until: i32) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = named(common);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &authority.issuer).unwrap();
        self.private(&format!("{name}.pem"), &certificate.pem());
        self.private(&format!("{name}.key"), &key.serialize_pem());
    }

    /// What a configuration with this `[rpc]`, and perhaps `[[access]]`, means.
    pub fn load(&self, rpc: &str) -> Result<Settings, ConfigErrors> {
        let text = format!(
            "{rpc}\n[inventory]\ndevices = \"devices.toml\"\nallowed_vlans = \"100-199\"\n\
             [locks]\ndir = \"locks\"\n[log]\nformat = \"json\"\n"
        );
        fs::write(self.path("mercury.toml"), text).unwrap();
        fs::write(self.path("devices.toml"), "").unwrap();
        config::load(&self.path("mercury.toml"))
    }

    /// A server with this `[rpc]` besides where it listens, in front of an engine that records.
    pub async fn serve(&self, rpc: &str) -> (Server, Arc<Fake>) {
        let settings = self.load(&format!("[rpc]\nlisten = \"127.0.0.1:0\"\n{rpc}")).unwrap();
        let engine = Fake::with_access(settings.access);
        (Server::start_with(engine.clone(), settings.rpc.policy, RpcLimits::default()).await, engine)
    }
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name = named(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Writes its certificate.
    pub fn write(&self, path: &Path) {
        fs::write(path, &self.pem).unwrap();
    }
}

fn named(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

/// Lines of an htpasswd file at the least cost.
pub fn htpasswd(users: &[(&str, &str)]) -> String {
    users.iter().map(|(user, password)| format!("{user}:{}\n", bcrypt::hash(password, 4).unwrap())).collect()
}

/// A line of an htdigest file.
pub fn sha256(user: &str, password: &str) -> String {
    format!("{user}:{REALM}:{}\n", hex::encode(Sha256::digest(format!("{user}:{REALM}:{password}"))))
}

/// A line as Apache's htdigest writes it.
pub fn md5(user: &str, password: &str) -> String {
    format!("{user}:{REALM}:{}\n", hex::encode(md5::Md5::digest(format!("{user}:{REALM}:{password}"))))
}

/// Posts `body` with further arguments.
pub async fn curl(url: &str, body: &str, arguments: &[&str]) -> Curl {
    let output = tokio::process::Command::new("/usr/bin/curl")
        .args(["--silent", "--show-error", "--include", "--max-time", "60", "--noproxy", "*"])
        .args(["--header", "Content-Type: application/json", "--data-binary", body])
        .args(arguments)
        .arg(url)
        .env_clear()
        .output()
        .await
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // The last answer of several.
    let start = text.rfind("HTTP/1.1 ").unwrap_or(0);
    let (head, body) = text[start..].split_once("\r\n\r\n").unwrap_or_default();
    Curl {
        exit: output.status.code().unwrap(),
        status: head.get(9..12).map_or(0, |status| status.parse().unwrap()),
        head: head.to_lowercase(),
        body: serde_json::from_str(body).unwrap_or_default(),
        errors: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Server {
    /// A kept-alive connection over TLS with the certificate `NAME.pem`.
    pub async fn connect_tls(&self, place: &Place, name: &str) -> Client {
        let mut roots = RootCertStore::empty();
        let certificates = |name: &str| pem::certificates(&place.path(&format!("{name}.pem"))).unwrap();
        certificates("ca").into_iter().for_each(|authority| roots.add(authority).unwrap());
        let key = pem::private_key(&place.path(&format!("{name}.key"))).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates(name), key)
            .unwrap();
        let stream = TcpStream::connect(self.address).await.unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        let server = ServerName::try_from("127.0.0.1").unwrap();
        Client::over(connector.connect(server, stream).await.unwrap()).await
    }

    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    pub fn https(&self) -> String {
        format!("https://{}/", self.address)
    }
}
