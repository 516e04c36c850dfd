//! Imported devices as `devices.toml`, for a person to read and to go on from.

use std::collections::BTreeSet;

use secrecy::SecretString;

use super::{Imported, Remark, literal, place};
use crate::config::reader::Source;

/// A text for `devices.toml`, and what it refers to.
pub struct Written {
    pub toml: String,
    /// File names beside it, and what has to be in them.
    pub secrets: Vec<(String, SecretString)>,
    /// What a person should know, one line each; none of it is a secret.
    pub report: Vec<String>,
    /// Whether nothing had to be left out that makes a difference.
    pub complete: bool,
}

pub(crate) fn devices(devices: &[Imported], source: Source) -> Written {
    let from = source.file.display();
    let mut written = Written {
        toml: format!("# Imported from {from}.\n"),
        secrets: Vec::new(),
        report: Vec::new(),
        complete: devices.iter().all(Imported::is_complete),
    };
    declare_networks(devices, &mut written);
    for device in devices {
        one(device, source, &mut written);
    }
    written
}

/// Physical networks are declared in the other file.
fn declare_networks(devices: &[Imported], written: &mut Written) {
    let mut names = BTreeSet::new();
    for text in devices.iter().filter_map(|device| device.literal("physical_networks")) {
        let list = text.parse::<toml::Value>().ok();
        let list = list.as_ref().and_then(toml::Value::as_array).cloned().unwrap_or_default();
        names.extend(list.iter().filter_map(toml::Value::as_str).map(str::to_owned));
    }
    if names.is_empty() {
        return;
    }
    let tables =
        names.iter().map(|name| format!("# [[physical_network]]\n# name = {}\n", literal(name.as_str())));
    written.toml +=
        &format!("# mercury.toml has to declare, beside [inventory]:\n{}", tables.collect::<String>());
    let names = names.into_iter().collect::<Vec<_>>().join(", ");
    written.report.push(format!("mercury.toml has to declare [[physical_network]] {names}"));
}

fn one(device: &Imported, source: Source, written: &mut Written) {
    let toml = &mut written.toml;
    let mut line = |text: &str| {
        toml.push_str(text);
        toml.push('\n');
    };
    line("\n[[device]]");
    line(&format!("name = {}", literal(device.name.as_str())));
    for setting in &device.settings {
        line(&format!("{} = {}", setting.key, setting.literal));
    }
    let secrets = [
        ("password_file", "password", &device.password),
        ("enable_secret_file", "enable", &device.enable_secret),
    ];
    for (key, extension, secret) in secrets {
        if let Some(secret) = secret {
            let file = format!("{}.{extension}", device.name);
            line(&format!("{key} = {}", literal(file.as_str())));
            written.secrets.push((file, secret.clone()));
        }
    }
    if device.literal("allowed_vlans").is_none() {
        line("# allowed_vlans: not limited there; without a list here, that of [inventory] counts");
        written.report.push(format!(
            "{}: {} does not say which VLANs are allowed; [inventory] allowed_vlans has to",
            place(source, &device.span),
            device.name.escape_debug(),
        ));
    }
    if let Some(why) = &device.no_profile {
        line("# profile: there is none of this name yet");
        let at = device.settings.iter().find(|setting| setting.key == "profile");
        let span = at.map_or(&device.span, |setting| &setting.span);
        written.report.push(format!(
            "{}: {}: device_type: {why}",
            place(source, span),
            device.name.escape_debug()
        ));
    }
    for Remark { option, span, why, lost } in &device.remarks {
        let option = option.escape_debug();
        let number = source.place(span.start).0;
        line(&format!("# {option} (line {number}): {why}"));
        let word = if *lost { "not carried over" } else { "not needed" };
        let (place, name) = (place(source, span), device.name.escape_debug());
        written.report.push(format!("{place}: {name}: {option}: {word}: {why}"));
    }
}
