//! Inventories of others, and what `mercury check-config` says.
//!
//! Each directory of `tests/golden/import` and `tests/golden/check_config` is a directory in which
//! `mercury inventory import` or `mercury check-config` runs with the arguments of `args`, one a line.
//! `expected.txt` has the command, all that it prints, its exit code and the files that it made;
//! `UPDATE_GOLDEN=1` writes it. No password may be in it but in a file that is its owner's alone.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use mercury::config::{Settings, load};
use mercury::device::{Credential, Profiles};
use mercury::import::{DeviceTypes, Kind, import};
use proptest::prelude::*;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use crate::config::{base, copy, lay_out, write_with_mode};
use crate::golden;

fn mercury<S: AsRef<std::ffi::OsStr>>(directory: &Path, args: &[S]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_mercury")).args(args).current_dir(directory).output().unwrap()
}

/// Every file below a directory, by its path.
fn files(directory: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            found.extend(files(&entry.path()));
        } else {
            found.insert(entry.path());
        }
    }
    found
}

fn transcript(directory: &Path, command: &[&str]) -> String {
    let args = fs::read_to_string(directory.join("args")).unwrap();
    let args: Vec<&str> = command.iter().copied().chain(args.lines()).collect();
    let before = files(directory);
    let output = mercury(directory, &args);
    let (out, err) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    let code = output.status.code().unwrap();
    let mut text = format!("$ mercury {}\n{out}{err}exit {code}\n", args.join(" "));
    assert!(!text.contains("hunter"), "a password is shown: {text}");
    for made in files(directory).difference(&before) {
        let mode = fs::metadata(made).unwrap().permissions().mode() & 0o777;
        let content = fs::read_to_string(made).unwrap();
        assert_eq!(content.contains("hunter"), mode == 0o600, "{}: {content}", made.display());
        text += &format!("--- {}, {mode:04o}\n{}\n", made.display(), content.trim_end());
    }
    text.replace(&format!("{}/", directory.display()), "")
}

fn check(kind: &str, command: &[&str], directory: impl Fn(&Path) -> TempDir) {
    golden::check(kind, |case| transcript(directory(case).path(), command));
}

#[test]
fn inventories_are_imported_as_recorded() {
    check("import", &["inventory", "import"], |case| {
        let directory = tempfile::tempdir().unwrap();
        copy(case, directory.path());
        directory
    });
}

#[test]
fn configurations_are_checked_as_recorded() {
    check("check_config", &["check-config"], |case| lay_out(&[case]));
}

/// The README's own lines, on a switch of the type that they name.
#[test]
fn the_readmes_import_works_as_printed() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(checkout.join("README.md")).unwrap().replace("\\\n", "");
    let line =
        readme.lines().find_map(|line| line.strip_prefix("mercury inventory import --from ngs ")).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    std::os::unix::fs::symlink(checkout.join("devices"), path.join("devices")).unwrap();
    let switch = |device_type| {
        format!(
            "[genericswitch:leaf1]\ndevice_type = {device_type}\nip = 10.0.0.1\nusername = admin\n\
             key_file = /keys/leaf1\nngs_allowed_vlans = 100\n"
        )
    };
    let import = |options: &[&str]| {
        let args = ["inventory", "import", "--from", "ngs"];
        let output = mercury(path, &args.iter().chain(options).collect::<Vec<_>>());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let file = "ml2_conf_genericswitch.ini";
    fs::write(path.join(file), switch("netmiko_dell_os10")).unwrap();
    let (code, out, err) = import(&line.split_whitespace().collect::<Vec<_>>());
    assert!(code == Some(0) && out.contains("profile = \"site_os\""), "{out}{err}");
    // A profile that cannot do without its templates.
    let own = ["--profiles", "devices/examples/profiles", "--templates", "devices/examples/templates"];
    fs::write(path.join(file), switch("site_cli")).unwrap();
    let (code, out, err) = import(&[&[file], &own[..]].concat());
    assert!(code == Some(0) && out.contains("profile = \"site_cli\""), "{out}{err}");
    assert_eq!(import(&[&[file], &own[..2]].concat()).0, Some(1));

    fs::write(path.join(file), switch("netmiko_cisco_ios")).unwrap();
    let (code, out, err) = import(&[file, "--profile", "cisco_ios=arista_eos"]);
    assert!(code == Some(0) && out.contains("profile = \"arista_eos\""), "{out}{err}");
    let (code, out, err) = import(&[file, "--profile", "bla=arista_eos"]);
    let why =
        "\"bla\" is to be profile arista_eos, but no device has that device_type (there: netmiko_cisco_ios)";
    assert!(code == Some(1) && out.is_empty() && err.contains(why), "{out}{err}");
}

#[test]
fn an_import_overwrites_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/import/switches_out");
    copy(&golden, directory.path());
    fs::write(directory.path().join("leaf1.enable"), "mine").unwrap();
    let args = ["inventory", "import", "--from", "switches-conf", "switches.conf", "--out", "."];
    let output = mercury(directory.path(), &args);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("leaf1.enable: exists; nothing was written"), "{error}");
    assert!(
        !directory.path().join("devices.toml").exists() && !directory.path().join("leaf1.password").exists()
    );
    // Also not what a link leads to that leads nowhere yet; secrets are written first.
    fs::remove_file(directory.path().join("leaf1.enable")).unwrap();
    std::os::unix::fs::symlink("elsewhere", directory.path().join("devices.toml")).unwrap();
    let output = mercury(directory.path(), &args);
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("devices.toml: exists; nothing was written"), "{error}");
    assert!(["elsewhere", "leaf1.password"].iter().all(|name| !directory.path().join(name).exists()));
}

const SWITCHES: &str = r#"
[rpc]
listen = "127.0.0.1:0"
auth = "none"
[inventory]
INVENTORY
allowed_vlans = "1-4094"
known_hosts = "known_hosts"
[locks]
dir = "locks"
"#;

/// The settings of a directory whose inventory is what `keys` says.
fn settings(directory: &Path, keys: &str) -> Settings {
    let file = directory.join("mercury.toml");
    fs::write(&file, SWITCHES.replace("INVENTORY", keys)).unwrap();
    load(&file).unwrap_or_else(|errors| panic!("{errors}"))
}

/// All that is known of the devices, with what is never printed.
fn everything(settings: &Settings) -> (String, BTreeMap<String, Vec<String>>) {
    let secrets = settings.inventory.devices.iter().map(|(name, device)| {
        let login = match &device.endpoint.credential {
            Credential::Password(secret) | Credential::Key(secret) => secret.expose_secret().to_owned(),
            Credential::Certificate | Credential::NotLoaded => panic!("{name}: no credential"),
        };
        let enable = device.endpoint.enable_secret.iter().map(|secret| secret.expose_secret().to_owned());
        (name.clone(), [login].into_iter().chain(enable).collect())
    });
    // Where a secret was read differs, and is nothing of the device's.
    let devices = format!("{:#?}", settings.inventory.devices);
    let devices = devices.lines().filter(|line| !line.trim_start().starts_with("credential_from"));
    (devices.collect::<Vec<_>>().join("\n"), secrets.collect())
}

fn section() -> impl Strategy<Value = String> {
    let secret = "[!-~][ -~]{0,12}[!-~]";
    let login = prop_oneof![
        secret.prop_map(|password| format!("password = {password}")),
        Just("key_file = id_ed25519".to_owned()),
        secret.prop_map(|password| format!("key_file: id_ed25519\npassword = {password}")),
    ];
    let option = |line: BoxedStrategy<String>| prop::option::of(line).prop_map(Option::unwrap_or_default);
    let vlans = prop::collection::vec((1..2000u16, 0..2000u16), 0..5).prop_map(|ranges| {
        let member = |(first, more): &(u16, u16)| match more {
            0 => format!(" {first}"),
            more => format!("{first}-{}", first + more),
        };
        format!("allowed_vlans = {}", ranges.iter().map(member).collect::<Vec<_>>().join(","))
    });
    let persist = prop::sample::select(vec!["true", "False", "1", "no", "ON"]);
    (
        login,
        option((1..=65_535u16).prop_map(|port| format!("port = {port}")).boxed()),
        option(secret.prop_map(|secret| format!("enable_secret = {secret}")).boxed()),
        option(vlans.boxed()),
        option(persist.prop_map(|persist| format!("persist = {persist}")).boxed()),
        prop::sample::select(vec!["admin", "a b", "ü", "\"quoted\"", "'"]),
    )
        .prop_map(|(login, port, enable, vlans, persist, username)| {
            [login, port, enable, vlans, persist, format!("username = {username}")].join("\n")
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Reading `switches.conf` as it stands, and importing it and reading that, give one inventory.
    #[test]
    fn an_import_means_what_the_file_means(sections in prop::collection::vec(section(), 1..5)) {
        let directory = lay_out(&[]);
        let path = directory.path();
        let text: String = sections.iter().enumerate().map(|(n, section)| {
            format!(
                "[switch:leaf{n}]\ndriver_type = generic-switch\ndevice_type = netconf_openconfig\n\
                 address = 10.0.0.{n}\nmac_address = 00:1C:73:aa:bb:{n:02}\n{section}\n\n"
            )
        }).collect();
        write_with_mode(path.join("switches.conf"), &text, 0o640);

        let profiles = Profiles::default();
        let types = DeviceTypes { profiles: &profiles, chosen: BTreeMap::new() };
        // What neither form can stand for is refused by both.
        let imported = import(Kind::Switches, &path.join("switches.conf"), &types);
        let keys = "switches_conf = \"switches.conf\"";
        let file = path.join("mercury.toml");
        fs::write(&file, SWITCHES.replace("INVENTORY", keys)).unwrap();
        prop_assert_eq!(load(&file).is_err(), imported.is_err());
        let Ok(imported) = imported else { return Ok(()) };

        for (name, secret) in &imported.secrets {
            let shown = imported.toml.clone() + &imported.report.join("\n");
            let secret = secret.expose_secret();
            prop_assert!(secret.len() < 6 || !shown.contains(secret), "{name}");
            write_with_mode(path.join(name), secret, 0o600);
        }
        fs::write(path.join("devices.toml"), &imported.toml).unwrap();
        let direct = everything(&settings(path, keys));
        let through = everything(&settings(path, "devices = \"devices.toml\""));
        prop_assert_eq!(direct, through);
    }
}

/// Upstream's files, and one line about host keys: what is imported starts, and differs in nothing.
#[test]
fn upstreams_configuration_becomes_ours() {
    let directory = lay_out(&[]);
    let path = directory.path();
    let switches = "[switch:leaf1]\ndriver_type = generic-switch\ndevice_type = netconf_openconfig\n\
                    address = 127.0.0.1\nport = 8830\nusername = admin\npassword = hunter2\n\
                    mac_address = 00:1c:73:aa:bb:01\npersist = true\n";
    write_with_mode(path.join("switches.conf"), switches, 0o640);
    let hash = "ironic:$2y$05$abcdefghijklmnopqrstuuHLk6Hjg3uGlKJN/W.dgbFQ6h4kNoK4S\n";
    write_with_mode(path.join("htpasswd"), hash, 0o600);
    let here = path.display();
    let conf = format!(
        "[DEFAULT]\nauth_strategy = http_basic\n[ironic_networking_json_rpc]\nhost_ip = localhost\nport = 6190\n\
         http_basic_auth_user_file = {here}/htpasswd\nusername = rpc\npassword = hunter2\n\
         [ironic_networking]\nswitch_config_file = {here}/switches.conf\nallowed_vlans = 100-110\n\
         idle_network = access/native_vlan=106\ncleaning_network = access/native_vlan=107\n"
    );
    fs::write(path.join("ironic.conf"), conf).unwrap();
    let import = ["inventory", "import", "--from", "ironic-conf", "ironic.conf", "--out", "."];
    let output = mercury(path, &import);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let file = path.join("mercury.toml");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("# known_hosts", "known_hosts")).unwrap();
    let output = mercury(path, &["check-config", "--config", "mercury.toml", "--compare", "ironic.conf"]);
    let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && shown.contains("compared with ironic.conf: 0 differences"), "{shown}");
    assert!(shown.contains("listens on 127.0.0.1:6190, asks for basic"), "{shown}");
}

#[test]
fn credentials_come_from_the_environment_and_from_systemd() {
    let directory = lay_out(&[&base()]);
    let path = directory.path();
    let devices = path.join("devices.toml");
    let text = fs::read_to_string(&devices).unwrap();
    let key = fs::read_to_string(path.join("id_ed25519")).unwrap();
    let credentials = path.join("credentials");
    fs::create_dir(&credentials).unwrap();
    write_with_mode(credentials.join("leaf1"), "hunter2\n", 0o440);
    write_with_mode(credentials.join("leaf1-key"), &key, 0o400);
    write_with_mode(credentials.join("open"), "hunter2", 0o444);
    let check = |line: &str| {
        fs::write(&devices, text.replace("key_file = \"id_ed25519\"", line)).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_mercury"))
            .args(["check-config", "--config", "mercury.toml"])
            .current_dir(path)
            .env("LEAF1_PASSWORD", "hunter2")
            .env("LEAF1_KEY", &key)
            .env("LEAF1_EMPTY", "")
            .env("CREDENTIALS_DIRECTORY", &credentials)
            .output()
            .unwrap();
        let shown = String::from_utf8(output.stderr).unwrap() + &String::from_utf8(output.stdout).unwrap();
        assert!(!shown.contains("hunter") && !shown.contains("PRIVATE"), "{shown}");
        (output.status.success(), shown)
    };
    for good in [
        "password_env = \"LEAF1_PASSWORD\"",
        "key_env = \"LEAF1_KEY\"",
        "password_credential = \"leaf1\"",
        "key_credential = \"leaf1-key\"",
        "key_file = \"id_ed25519\"\nenable_secret_env = \"LEAF1_PASSWORD\"",
    ] {
        let (good_enough, shown) = check(good);
        assert!(good_enough, "{good}: {shown}");
    }
    for (bad, why) in [
        ("password_env = \"LEAF1_EMPTY\"", "environment variable LEAF1_EMPTY: is empty"),
        (
            "key_env = \"LEAF1_PASSWORD\"",
            "environment variable LEAF1_PASSWORD: does not parse as a private key",
        ),
        ("password_credential = \"nowhere\"", "credential nowhere: no such file or directory"),
        ("password_credential = \"open\"", "credential open: mode 0444 gives others access"),
    ] {
        let (good, shown) = check(bad);
        assert!(!good && shown.contains(why), "{bad}: {shown}");
    }
}

#[test]
fn what_everybody_can_change_is_refused() {
    for file in ["mercury.toml", "devices.toml", "known_hosts", "switches.conf", "profiles/site.toml"] {
        let golden = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = lay_out(&[&base(), &golden.join("tests/golden/check_config/compare_same")]);
        let path = directory.path();
        fs::copy(base().join("devices.toml"), path.join("devices.toml")).unwrap();
        fs::create_dir(path.join("profiles")).unwrap();
        fs::copy(golden.join("devices/netconf_openconfig.toml"), path.join("profiles/site.toml")).unwrap();
        let keys = "devices = \"devices.toml\"\nswitches_conf = \"switches.conf\"";
        let config = path.join("mercury.toml");
        let text = SWITCHES.replace("INVENTORY", keys) + "[models]\nprofiles = \"profiles\"\n";
        fs::write(&config, text).unwrap();
        load(&config).unwrap_or_else(|errors| panic!("{errors}"));
        let refused = path.join(file);
        let mode = fs::metadata(&refused).unwrap().permissions().mode() & 0o777;
        fs::set_permissions(&refused, Permissions::from_mode(mode | 0o002)).unwrap();
        let errors = load(&config).unwrap_err().to_string();
        assert!(
            errors.contains(&format!("{}: mode {:04o} ", refused.display(), mode | 2)),
            "{file}: {errors}"
        );
    }
}

#[test]
fn a_file_with_passwords_is_not_for_others() {
    let directory =
        lay_out(&[&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/check_config/compare_same")]);
    let file = directory.path().join("switches.conf");
    let config = directory.path().join("mercury.toml");
    for (mode, good) in [(0o600, true), (0o640, true), (0o644, false), (0o660, false), (0o601, false)] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert_eq!(load(&config).is_ok(), good, "{mode:o}");
    }
    // Without passwords there is nothing to hide.
    let text = fs::read_to_string(&file).unwrap().replace("password = hunter2", "key_file = id_ed25519");
    write_with_mode(file, &text, 0o644);
    load(&config).unwrap_or_else(|errors| panic!("{errors}"));
}

#[test]
fn a_link_names_one_device_or_none() {
    let directory = lay_out(&[&base()]);
    let devices = directory.path().join("devices.toml");
    let device = |n: u8, more: &str| {
        format!(
            "[[device]]\nname = \"leaf{n}\"\naddress = \"10.0.0.{n}\"\nprofile = \"netconf_openconfig\"\n\
             username = \"admin\"\nkey_file = \"id_ed25519\"\nknown_hosts = \"known_hosts\"\n{more}\n"
        )
    };
    let ids = "mac_address = \"00:1c:73:aa:bb:01\"\ndatapath_id = \"0x0007001c73aabb01\"";
    let hosts = "hostnames = [\"node7.Example.net\", \"node8\"]";
    fs::write(&devices, device(1, ids) + &device(2, hosts)).unwrap();
    let inventory = load(&directory.path().join("mercury.toml")).unwrap().inventory;
    let find = |id, info, host| inventory.find_link(id, info, host).map(|device| device.name.as_str());
    for id in ["0007001c73aabb01", "0x0007001C73AABB01", "00:07:00:1c:73:aa:bb:01"] {
        assert_eq!(find(Some(id), None, None), Some("leaf1"), "{id}");
    }
    assert_eq!(find(Some("0000001c73aabb01"), None, None), None, "its lower half alone says nothing");
    assert_eq!(find(None, None, Some("NODE7.example.net")), Some("leaf2"));
    assert_eq!(find(Some("leaf2"), None, Some("node8")), Some("leaf2"));
    assert_eq!(find(Some("leaf1"), None, Some("node8")), None, "a contradiction");
    assert_eq!(find(None, Some("leaf1"), Some("node8")), None, "a contradiction");
    assert_eq!(find(Some("leaf1"), Some("leaf1"), Some("elsewhere")), Some("leaf1"));
    assert_eq!(find(None, None, Some("leaf1")), None, "a device's name is no host name");
}
