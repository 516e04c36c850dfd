//! A certificate authority of a test's own.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use mercury::sim::gnmi::GnmiTls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tempfile::TempDir;

/// An authority with all that it issued, in one directory.
pub struct Authority {
    dir: PathBuf,
    issuer: CertifiedIssuer<'static, KeyPair>,
    /// Removed with it.
    _own: Option<TempDir>,
}

impl Authority {
    /// One in a private directory of its own.
    pub fn new() -> Self {
        let own = TempDir::with_prefix("authority-").expect("a temporary directory");
        let authority = Self::at(own.path());
        Self { _own: Some(own), ..authority }
    }

    /// One that writes into a directory of somebody else's.
    pub fn at(dir: &Path) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be taken for each other until a signature does not fit.
        params.distinguished_name.push(DnType::CommonName, dir.display().to_string());
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("a certificate");
        fs::write(dir.join("ca.pem"), issuer.pem()).expect("the directory is ours");
        Self { dir: dir.to_owned(), issuer, _own: None }
    }

    /// Its own certificate.
    pub fn file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// A certificate for a name or an address, and its key, which only we can read.
    pub fn issue(&self, name: &str) -> [PathBuf; 2] {
        self.sign(name, CertificateParams::new([name.to_owned()]).expect("a name"))
    }

    /// The same, out of date.
    pub fn issue_expired(&self, name: &str) -> [PathBuf; 2] {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(&format!("{name}-expired"), params)
    }

    /// A CA's own certificate, as openssl makes a self-signed one, for a server to show.
    pub fn issue_authority(&self, name: &str) -> [PathBuf; 2] {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        self.sign(&format!("{name}-ca"), params)
    }

    fn sign(&self, file: &str, params: CertificateParams) -> [PathBuf; 2] {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let files = ["pem", "key"].map(|end| self.dir.join(format!("{file}.{end}")));
        fs::write(&files[0], certificate.pem()).expect("the directory is ours");
        fs::write(&files[1], key.serialize_pem()).expect("the directory is ours");
        fs::set_permissions(&files[1], Permissions::from_mode(0o600)).expect("the file is ours");
        files
    }

    /// What a gNMI target on 127.0.0.1 shows of itself; with `clients`, it lets in whom they certified.
    pub fn target(&self, clients: Option<&Self>) -> GnmiTls {
        let read = |file: &Path| fs::read_to_string(file).expect("the file is ours");
        let [certificate, key] = self.issue("127.0.0.1");
        let client_ca = clients.map(|clients| read(&clients.file()));
        GnmiTls { certificate: read(&certificate), key: read(&key).into(), client_ca }
    }
}
