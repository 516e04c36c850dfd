use std::collections::BTreeSet;
use std::path::Path;

use super::*;

/// The sections and keys that a file shows, whether in force or commented out.
fn shown(text: &str) -> BTreeSet<String> {
    let mut section = String::new();
    let mut keys = BTreeSet::new();
    for line in text.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(header) = line.strip_prefix('[') {
            let name = header.trim_start_matches('[').split(']').next().unwrap();
            keys.insert(name.to_owned());
            section = format!("{name}.");
        } else if let Some((key, _)) = line.split_once(" = ")
            && key.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        {
            keys.insert(format!("{section}{key}"));
        }
    }
    keys
}

/// A key that no example shows is not documented; one that only the examples know is a lie.
#[test]
fn the_examples_show_every_key_and_no_other() {
    let devices = Path::new(env!("CARGO_MANIFEST_DIR")).join("devices");
    let problems = Problems::default();
    for example in ["examples/mercury.toml", "examples/mercury-tls.toml"] {
        let settings = read_settings(&devices.join(example), CredentialPolicy::Skip, &problems);
        assert!(settings.is_some(), "{example}");
    }
    // The profiles of the binary are read only where a device needs them.
    Profiles::read(Some(&devices), None, &problems);
    let mut asked = problems.asked.borrow().clone();
    problems.finish(Some(())).unwrap();

    let files = [
        "examples/mercury.toml",
        "examples/mercury-tls.toml",
        "examples/devices.toml",
        "examples/profiles/site_choice.toml",
        "examples/profiles/site_os.toml",
        "examples/profiles/site_cli.toml",
        "examples/profiles/site_gnmi.toml",
        "examples/profiles/site_model.toml",
        "examples/profiles/site_unread.toml",
        "examples/profiles/site_xml.toml",
        "netconf_openconfig.toml",
    ];
    let mut shown: BTreeSet<String> =
        files.iter().flat_map(|file| shown(&std::fs::read_to_string(devices.join(file)).unwrap())).collect();
    // They have the keys of `cli.lines` and `cli.reads`, and the words of a port's state; `model` has those
    // of `cli`.
    let alike = ["cli.own_lines.", "cli.state.", "cli.state_port."];
    for keys in [&mut shown, &mut asked] {
        let own = |key: String| key.strip_prefix("model").map(|rest| format!("cli{rest}")).unwrap_or(key);
        *keys = std::mem::take(keys).into_iter().map(own).collect();
        keys.retain(|key| !alike.iter().any(|prefix| key.starts_with(prefix)));
    }
    assert_eq!(shown, asked);
}
