//! Whom the client believes, and what it shows of itself.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use mercury::client::Identity;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use serde_json::json;
use tempfile::TempDir;
use tokio_rustls::TlsAcceptor;

use super::peer::{Act, Peer, result};
use super::*;

/// A certificate authority with all that it issued, in a private directory.
pub struct Authority {
    dir: TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let dir = TempDir::with_prefix("authority-").expect("a temporary directory");
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // Two authorities of one name would be taken for each other until a signature does not fit.
        params.distinguished_name.push(DnType::CommonName, dir.path().display().to_string());
        let certificate = params.self_signed(&key).expect("a certificate");
        fs::write(dir.path().join("ca.pem"), certificate.pem()).expect("the directory is ours");
        Self { dir, issuer: Issuer::new(params, key) }
    }

    pub fn file(&self) -> PathBuf {
        self.dir.path().join("ca.pem")
    }

    /// Options that believe this authority alone.
    pub fn options(&self) -> Options {
        Options { ca_file: Some(self.file()), ..Options::default() }
    }

    /// A certificate for one name or address, good for all times or until 2020.
    pub fn issue(&self, name: &str, expired: bool) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, name);
        if expired {
            params.not_after = date_time_ymd(2020, 1, 1);
        }
        self.sign(params)
    }

    /// A CA's certificate, for a server to show.
    fn issue_authority(&self, name: &str) -> Identity {
        let mut params = CertificateParams::new([name.to_owned()]).expect("a name");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Identity {
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.issuer).expect("a certificate");
        let number = fs::read_dir(self.dir.path()).expect("the directory is ours").count();
        let identity = Identity {
            certificate_file: self.dir.path().join(format!("{number}.pem")),
            key_file: self.dir.path().join(format!("{number}.key")),
        };
        fs::write(&identity.certificate_file, certificate.pem()).expect("the directory is ours");
        fs::write(&identity.key_file, key.serialize_pem()).expect("the directory is ours");
        set_mode(&identity.key_file, 0o600);
        identity
    }

    /// The server's side of TLS; with `callers`, only for those whom that authority knows.
    fn acceptor(
        &self,
        certificate: &Identity,
        callers: Option<&Authority>,
        versions: &[&'static SupportedProtocolVersion],
    ) -> TlsAcceptor {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_protocol_versions(versions).expect("versions");
        let builder = match callers {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate_of(&authority.file())).expect("a CA");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
                builder.with_client_cert_verifier(verifier.expect("a CA"))
            }
        };
        let chain = vec![certificate_of(&certificate.certificate_file)];
        let key = PrivateKeyDer::from_pem_file(&certificate.key_file).expect("a key");
        TlsAcceptor::from(Arc::new(builder.with_single_cert(chain, key).expect("a certificate")))
    }
}

fn certificate_of(file: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(file).expect("a certificate")
}

pub fn set_mode(file: &Path, mode: u32) {
    fs::set_permissions(file, fs::Permissions::from_mode(mode)).expect("the file is ours");
}

fn one_answer() -> Vec<Vec<Act>> {
    vec![vec![result(json!("encrypted"))]]
}

fn https(peer: &Peer) -> String {
    format!("https://{}", peer.address)
}

#[tokio::test]
async fn a_certificate_must_come_from_the_named_authority_for_this_host_and_be_valid() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let good = authority.issue("127.0.0.1", false);
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let peer = Peer::start_with(Some(authority.acceptor(&good, None, versions)), one_answer()).await;
        assert_eq!(call(&with(&https(&peer), authority.options())).await.unwrap(), "encrypted");
    }
    let bad = [
        (stranger.issue("127.0.0.1", false), authority.options(), "no CA that is believed has signed it"),
        (authority.issue("leaf1.example", false), authority.options(), "not valid for name"),
        (authority.issue("127.0.0.1", true), authority.options(), "expired"),
        // The system knows nothing of the tests' authority.
        (authority.issue("127.0.0.1", false), Options::default(), "no CA that is believed has signed it"),
        (authority.issue_authority("127.0.0.1"), authority.options(), "it is a CA's own (as openssl makes"),
    ];
    for (certificate, options, why) in bad {
        let acceptor = authority.acceptor(&certificate, None, rustls::ALL_VERSIONS);
        let peer = Peer::start_with(Some(acceptor), one_answer()).await;
        let client = match Client::new(&https(&peer), options) {
            Ok(client) => client,
            // A system without any CA.
            Err(error) => {
                assert!(error.to_string().contains("CA certificates"), "{error}");
                continue;
            }
        };
        let error = fails(&client).await;
        assert!(matches!(&error, ClientError::NotSent { .. }), "{error:?}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(peer.seen().len(), 0);
    }
}

#[tokio::test]
async fn a_client_certificate_is_shown_and_its_refusal_is_no_lost_call() {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let server = authority.issue("127.0.0.1", false);
    let as_whom = |identity| Options { identity, ..authority.options() };
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let acceptor = || authority.acceptor(&server, Some(&authority), versions);
        let peer = Peer::start_with(Some(acceptor()), one_answer()).await;
        let known = as_whom(Some(authority.issue("ironic", false)));
        assert_eq!(call(&with(&https(&peer), known)).await.unwrap(), "encrypted");
        for identity in [None, Some(stranger.issue("ironic", false)), Some(authority.issue("late", true))] {
            let peer = Peer::start_with(Some(acceptor()), one_answer()).await;
            let error = fails(&with(&https(&peer), as_whom(identity))).await;
            assert!(matches!(&error, ClientError::NotSent { .. }), "{versions:?}: {error:?}");
            assert_eq!(peer.seen().len(), 0);
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named() {
    let authority = Authority::new();
    let (one, other) = (authority.issue("one", false), authority.issue("other", false));
    let nothing = authority.file().with_file_name("nothing.pem");
    fs::write(&nothing, "nothing").unwrap();
    set_mode(&nothing, 0o600);
    let missing = authority.file().with_file_name("missing.pem");
    let ca = |ca_file: &Path| Options { ca_file: Some(ca_file.to_owned()), ..Options::default() };
    let identity = |certificate_file: &Path, key_file: &Path| Options {
        identity: Some(Identity {
            certificate_file: certificate_file.to_owned(),
            key_file: key_file.to_owned(),
        }),
        ..authority.options()
    };
    let open_key = authority.issue("open", false);
    set_mode(&open_key.key_file, 0o644);
    for (options, named, why) in [
        (ca(&missing), &missing, "No such file"),
        (ca(&nothing), &nothing, "no certificate"),
        (identity(&nothing, &one.key_file), &nothing, "no certificate"),
        (identity(&one.certificate_file, &missing), &missing, "no such file"),
        (identity(&one.certificate_file, &nothing), &nothing, "private key"),
        (identity(&one.certificate_file, &other.key_file), &other.key_file, "not the one of the certificate"),
        (identity(&open_key.certificate_file, &open_key.key_file), &open_key.key_file, "chmod 600"),
    ] {
        let error = Client::new("https://h", options).err().expect("an error").to_string();
        assert!(error.starts_with(&named.display().to_string()), "{error}");
        assert!(error.to_lowercase().contains(&why.to_lowercase()), "{error}");
    }
    let error = Client::new("http://h", authority.options()).err().expect("an error");
    assert!(error.to_string().contains("https:// only"), "{error}");
}
