//! What an operator's mistakes get, and what correct files mean.
//!
//! Each directory of `tests/golden/config` is a configuration with mistakes and `expected.txt`,
//! what loading it says; `UPDATE_GOLDEN=1` writes the latter. A case is laid over the files of
//! `_base`, which load, in a fresh directory with the credentials of [`make_credentials`].

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mercury::access::Principal;
use mercury::config::{CredentialPolicy, Defaults, Listen, load, load_inventory, load_with};
use mercury::device::{Credential, Device, HostKey, OnDetach, PortRefused, Profiles, Save};
use mercury::rpc::auth::Origin;
use russh::keys::ssh_key::private::Ed25519Keypair;
use russh::keys::ssh_key::{Cipher, Kdf, LineEnding};
use russh::keys::{PrivateKey, PublicKey};
use tempfile::TempDir;

use crate::golden;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn write_with_mode(path: PathBuf, content: &str, mode: u32) {
    fs::write(&path, content).unwrap();
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

fn private_key() -> PrivateKey {
    Ed25519Keypair::from_seed(&[7; 32]).into()
}

/// Good and bad credential files. Made here because git keeps no modes, and no keys should be in it.
fn make_credentials(directory: &Path) {
    let key = private_key();
    let text = key.to_openssh(LineEnding::LF).unwrap();
    write_with_mode(directory.join("id_ed25519"), &text, 0o600);
    write_with_mode(directory.join("id_group_readable"), &text, 0o640);
    write_with_mode(directory.join("id_others_writable"), &text, 0o602);
    write_with_mode(directory.join("id_truncated"), &text[..text.len() / 2], 0o600);
    let kdf = Kdf::Bcrypt { salt: vec![1; 16], rounds: 1 };
    let encrypted = key.encrypt_with(Cipher::Aes256Ctr, kdf, 1, "passphrase").unwrap();
    write_with_mode(directory.join("id_encrypted"), &encrypted.to_openssh(LineEnding::LF).unwrap(), 0o600);
    write_with_mode(directory.join("password"), "hunter2 \n", 0o600);
    write_with_mode(directory.join("password_empty"), "\n", 0o600);
    write_with_mode(directory.join("password_two_lines"), "hunter2\nhunter3\n", 0o600);
    make_callers(directory);
    fs::create_dir(directory.join("a_directory")).unwrap();
    let made = Command::new("mkfifo").arg("-m600").arg(directory.join("a_pipe")).status().unwrap();
    assert!(made.success());
    let public = PublicKey::from(&key).to_openssh().unwrap();
    fs::write(directory.join("known_hosts"), format!("[127.0.0.1]:8830 {public}\n")).unwrap();
}

/// Files of users, and certificates.
fn make_callers(directory: &Path) {
    // Of "hunter2", at the least cost.
    let bcrypt = "$2y$04$Y9SmFuEdoUD1m1FB/bJTVeTFPTYsdEY/kbCcV5jzEWY2Y.vXJqvOC";
    let (md5, sha256) = ("2e".repeat(16), "9c".repeat(32));
    let write = |name: &str, text: &str| write_with_mode(directory.join(name), text, 0o600);
    write("htpasswd", &format!("ironic:{bcrypt}\n"));
    write("htpasswd_md5", &format!("ironic:{bcrypt}\nold:$apr1$hunter$hunterhunterhunter2\n"));
    write_with_mode(directory.join("htpasswd_readable"), &format!("ironic:{bcrypt}\n"), 0o644);
    write("htdigest", &format!("ironic:mercury:{md5}\nironic:mercury:{sha256}\n"));
    write("htdigest_other_realm", &format!("ironic:elsewhere:{md5}\n"));
    write("htdigest_broken", &format!("ironic:mercury:{md5}\nironic:mercury:hunter2\n"));
    let pair = || {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = pair();
    write("server.pem", &certificate);
    write("client-ca.pem", &certificate);
    write("leafs-ca.pem", &certificate);
    write("leaf3.password", "hunter2\n");
    write("server.key", &key);
    write_with_mode(directory.join("server_readable.key"), &key, 0o640);
    write("other.key", &pair().1);
}

pub(crate) fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            fs::create_dir_all(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A private directory with credentials and the files of these directories, later ones on top.
pub(crate) fn lay_out(layers: &[&Path]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    make_credentials(directory.path());
    for layer in layers {
        copy(layer, directory.path());
    }
    // Git keeps no modes, and this file may hold passwords.
    let switches = directory.path().join("switches.conf");
    if switches.exists() {
        fs::set_permissions(switches, Permissions::from_mode(0o640)).unwrap();
    }
    directory
}

pub(crate) fn base() -> PathBuf {
    root().join("tests/golden/config/_base")
}

#[test]
fn mistakes_are_reported_all_at_once() {
    golden::check("config", |case| {
        let directory = lay_out(&[&base(), case]);
        let loaded = load(&directory.path().join("mercury.toml"));
        let errors = loaded.expect_err("a case without a mistake").to_string();
        assert!(!errors.contains("hunter"), "{} shows a password", case.display());
        errors.replace(&format!("{}/", directory.path().display()), "") + "\n"
    });
}

#[test]
fn files_that_are_no_text_are_named() {
    let directory = lay_out(&[&base()]);
    let file = directory.path().join("mercury.toml");
    let missing = load(&directory.path().join("nowhere.toml")).unwrap_err().to_string();
    assert!(missing.ends_with("nowhere.toml: no such file or directory"), "{missing}");
    fs::write(directory.path().join("devices.toml"), b"\xff\xfe").unwrap();
    let binary = load(&file).unwrap_err().to_string();
    assert!(binary.ends_with("devices.toml: is not UTF-8 text"), "{binary}");
}

#[test]
fn a_socket_path_that_the_system_cannot_use_is_refused() {
    let directory = lay_out(&[&base()]);
    let file = directory.path().join("mercury.toml");
    let text = fs::read_to_string(&file).unwrap();
    let long = text.replace("listen = \"127.0.0.1:0\"", &format!("unix = \"{}\"", "s".repeat(108)));
    fs::write(&file, long).unwrap();
    let error = load(&file).unwrap_err().to_string();
    assert!(error.contains("mercury.toml:2:8: rpc.unix: longer than"), "{error}");
}

#[test]
fn the_examples_load() {
    let directory = lay_out(&[&root().join("devices/examples")]);
    let path = directory.path();
    let settings = load(&path.join("mercury.toml")).unwrap();

    assert_eq!(settings.rpc.listen, Listen::Tcp("127.0.0.1:8089".parse().unwrap()));
    assert_eq!(settings.limits, mercury::config::Limits::default());
    assert_eq!(settings.log, mercury::config::Log::default());
    assert_eq!(settings.locks_dir, Path::new("/var/lib/mercury"));
    assert_eq!(settings.schema_dir, None);
    assert_eq!((settings.audit_file, settings.metrics), (None, "127.0.0.1:9273".parse().ok()));

    let leaf1 = &settings.inventory.devices["leaf1"];
    assert_eq!(leaf1.endpoint.to_string(), "127.0.0.1:8830");
    assert_eq!(leaf1.profile.name, "netconf_openconfig");
    assert_eq!(leaf1.profile.ssh.idle_limit, Duration::from_secs(60));
    assert_eq!(leaf1.allowed_vlans.to_string(), "100-199,300");
    assert_eq!(leaf1.on_detach, OnDetach::Quarantine("106".parse().unwrap()));
    assert!(matches!(leaf1.endpoint.credential, Credential::Key(_)));
    assert!(
        matches!(&leaf1.endpoint.host_key, HostKey::KnownHosts(file) if *file == path.join("known_hosts"))
    );

    let leaf2 = &settings.inventory.devices["leaf2"];
    assert_eq!((leaf2.endpoint.port, leaf2.mac_address), (830, None));
    assert_eq!(leaf2.allowed_vlans.to_string(), "100-199", "the inventory's default");
    assert_eq!(
        (leaf2.on_detach, leaf2.save, leaf2.create_missing_vlans),
        (OnDetach::Disable, Save::Each, false)
    );
    assert!(leaf2.allowed_ports.is_none());
}

#[test]
fn the_example_for_other_hosts_loads() {
    let directory = lay_out(&[&root().join("devices/examples")]);
    let settings = load(&directory.path().join("mercury-tls.toml")).unwrap();
    let policy = &settings.rpc.policy;
    assert!(policy.tls.is_some() && policy.networks.as_ref().is_some_and(|networks| networks.len() == 3));
    let methods = policy.methods.as_ref().unwrap();
    assert!(methods.basic.is_some() && methods.digest.is_some() && methods.certificates.is_some());
    let user = |name: &str| Principal::User(name.to_owned());
    assert!(settings.access.allows(&user("ironic"), "update_port", "spine1"));
    assert!(settings.access.allows(&user("operator"), "attach_port", "leaf1"));
    assert!(!settings.access.allows(&user("operator"), "attach_port", "spine1"));
    assert!(!settings.access.allows(&user("ironic"), "attach_port", "leaf1"));
}

#[test]
fn where_credentials_are_not_read_nobody_is_let_in() {
    let directory = lay_out(&[&root().join("devices/examples")]);
    for config in ["mercury.toml", "mercury-tls.toml"] {
        let settings = load_with(&directory.path().join(config), CredentialPolicy::Skip).unwrap();
        let policy = settings.rpc.policy;
        assert!(!policy.admits(Origin::Ip([127, 0, 0, 1].into())) && policy.methods.is_some());
    }
}

#[test]
fn no_secret_is_printed() {
    let directory = lay_out(&[&base()]);
    let devices = directory.path().join("devices.toml");
    let text = fs::read_to_string(&devices).unwrap();
    fs::write(&devices, text.replace("key_file = \"id_ed25519\"", "password_file = \"password\"")).unwrap();
    let settings = load(&directory.path().join("mercury.toml")).unwrap();

    use secrecy::ExposeSecret as _;
    let Credential::Password(password) = &settings.inventory.devices["leaf1"].endpoint.credential else {
        panic!("not a password");
    };
    assert_eq!(password.expose_secret(), "hunter2 ", "only the line end is cut off");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn planning_offline_needs_no_credentials() {
    let directory = lay_out(&[&base()]);
    for file in ["id_ed25519", "known_hosts"] {
        fs::remove_file(directory.path().join(file)).unwrap();
    }
    let config = directory.path().join("mercury.toml");
    let devices = directory.path().join("devices.toml");
    assert!(load(&config).is_err());
    let with = load_with(&config, CredentialPolicy::Skip).unwrap().inventory;
    assert!(matches!(with.devices["leaf1"].endpoint.credential, Credential::NotLoaded));

    // Without mercury.toml there is no default list, and so no VLAN is allowed by accident.
    let profiles = Profiles::default();
    let load = |defaults| load_inventory(&devices, &defaults, &profiles, CredentialPolicy::Skip);
    let error = load(Defaults::default()).unwrap_err().to_string();
    assert!(error.contains("device[0] leaf1: allowed_vlans: missing here and in [inventory]"), "{error}");
    let defaults = Defaults { allowed_vlans: Some("5".parse().unwrap()), ..Defaults::default() };
    assert_eq!(load(defaults).unwrap().devices["leaf1"].allowed_vlans.to_string(), "5");
}

#[test]
fn an_operators_profile_takes_the_place_of_ours() {
    let directory = lay_out(&[&base()]);
    let profiles = directory.path().join("profiles");
    fs::create_dir(&profiles).unwrap();
    let ours = fs::read_to_string(root().join("devices/netconf_openconfig.toml")).unwrap();
    let theirs = ours.replace("confirm = \"auto\"", "confirm = \"session-bound\"");
    fs::write(profiles.join("netconf_openconfig.toml"), &theirs).unwrap();
    fs::write(profiles.join("site_os.toml"), &theirs).unwrap();
    let config = directory.path().join("mercury.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text + "\n[models]\nprofiles = \"profiles\"\n").unwrap();

    let settings = load(&config).unwrap();
    let leaf1 = &settings.inventory.devices["leaf1"];
    assert_eq!(leaf1.profile.netconf().unwrap().confirm, Some(mercury::transport::Timed::SessionBound));
    assert!(settings.profiles.contains("site_os"));
    assert_eq!(settings.profiles.names().count(), Profiles::default().names().count() + 1);
}

#[test]
fn a_device_is_found_by_what_callers_call_it() {
    let directory = lay_out(&[&root().join("devices/examples")]);
    let inventory = load(&directory.path().join("mercury.toml")).unwrap().inventory;
    let find = |id, info| inventory.find(id, info).map(|device| device.name.as_str());
    for id in ["00:1c:73:aa:bb:01", "00-1C-73-AA-BB-01", "001c.73aa.bb01", "001C73AABB01", "leaf1"] {
        assert_eq!(find(Some(id), None), Some("leaf1"), "{id}");
    }
    assert_eq!(find(None, Some("leaf2")), Some("leaf2"));
    assert_eq!(find(Some("00:00:00:00:00:09"), Some("leaf2")), Some("leaf2"), "an unknown MAC says nothing");
    assert_eq!(find(Some("leaf1"), Some("some description")), Some("leaf1"));
    assert_eq!(find(Some("leaf1"), Some("leaf2")), None, "a contradiction");
    assert_eq!(find(Some("Leaf1"), None), None);
    assert_eq!(find(None, None), None);
}

#[test]
fn a_protection_beats_a_permission() {
    let directory = lay_out(&[&base()]);
    let device = |ports: &str| -> Device {
        let file = directory.path().join("devices.toml");
        let text = fs::read_to_string(base().join("devices.toml")).unwrap();
        fs::write(&file, format!("{text}{ports}\n")).unwrap();
        let settings = load(&directory.path().join("mercury.toml")).unwrap();
        settings.inventory.devices["leaf1"].as_ref().clone()
    };
    let protected = |port: &str| Err(PortRefused::Protected { device: "leaf1".into(), port: port.into() });
    let refused = |port: &str| Err(PortRefused::NotAllowed { device: "leaf1".into(), port: port.into() });

    let both = device("allowed_ports = [\"re:eth[0-9]+\"]\nprotected_ports = [\"eth9\"]");
    assert_eq!(both.may_touch("eth1"), Ok(()));
    assert_eq!(both.may_touch("eth9"), protected("eth9"));
    assert_eq!(both.may_touch("veth1"), refused("veth1"));

    let unlisted = device("protected_ports = [\"eth9\"]");
    assert_eq!(unlisted.may_touch("anything"), Ok(()));
    assert_eq!(unlisted.may_touch("eth9"), protected("eth9"));

    assert_eq!(device("allowed_ports = []").may_touch("eth1"), refused("eth1"));
}
