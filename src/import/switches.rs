//! `switches.conf` of Ironic's own networking service: `[switch:NAME]` sections.

use std::path::Path;
use std::sync::Arc;

use super::ini::Section;
use super::take::Take;
use super::{DeviceTypes, Imported, Remark, devices, place};
use crate::config::reader::{Problems, Source, check_mode, file_text, hint, open_regular};
use crate::device::Inventory;
use crate::device::credentials::CredentialPolicy;
use crate::device::inventory::{Context, Taken};

const PREFIX: &str = "switch:";

/// Every option that upstream translates.
const OPTIONS: [&str; 12] = [
    "driver_type",
    "device_type",
    "address",
    "port",
    "username",
    "password",
    "key_file",
    "enable_secret",
    "mac_address",
    "allowed_vlans",
    "native_vlan",
    "persist",
];

/// The only upstream driver that configures switches; its name stands in `driver_type`.
const DRIVER: &str = "generic-switch";

/// Adds the devices of `file` to the inventory, as if `devices.toml` described them.
pub(crate) fn read(
    file: &Path,
    types: &DeviceTypes,
    context: &Context,
    taken: &mut Taken,
    inventory: &mut Inventory,
    problems: &Problems,
) {
    let Ok(text) = file_text(file, 0o002).map_err(|why| problems.about_file(file, why)) else { return };
    let source = Source { file, text: &text, problems };
    let devices = import(source, types);
    let secret = |device: &Imported| device.password.is_some() || device.enable_secret.is_some();
    // Less strict than with a file that holds nothing else: upstream's is its group's to read.
    if context.credentials == CredentialPolicy::Read
        && devices.iter().any(secret)
        && let Err(why) = open_regular(file).and_then(|file| check_mode(&file, 0o027))
    {
        problems.about_file(file, format_args!("it holds passwords, and its {why}"));
    }
    for device in devices {
        if let Some(why) = device.no_profile.as_ref().filter(|why| !why.is_empty()) {
            let at = device.settings.iter().find(|setting| setting.key == "profile");
            let span = at.map_or(&device.span, |setting| &setting.span);
            source.report(span.clone(), format!("[{}] device_type", device.section.escape_debug()), why);
        }
        for remark in &device.remarks {
            let key = format!("[{}] {}", device.section.escape_debug(), remark.option.escape_debug());
            let near = hint(&remark.option, OPTIONS.into_iter());
            // Upstream ignores what it does not know; but a limit with a typing error in it is no limit.
            if remark.lost && !OPTIONS.contains(&remark.option.as_str()) && !near.is_empty() {
                source.report(remark.span.clone(), key, format_args!("unknown option{near}"));
            } else {
                inventory.remarks.push(format!("{}: {key}: {}", place(source, &remark.span), remark.why));
            }
        }
        if let Some(device) = device.read(source, context, taken) {
            inventory.devices.insert(device.name.clone(), Arc::new(device));
        }
    }
}

/// The devices of the file that `source` is the text of.
pub(crate) fn import(source: Source, types: &DeviceTypes) -> Vec<Imported> {
    devices(source, PREFIX, |section, name| device(source, section, name, types))
}

fn device(source: Source, section: &Section, name: &str, types: &DeviceTypes) -> Imported {
    let mut take = Take::new(source, section, name);
    if let Some(driver) = take.required("driver_type")
        && driver.value != DRIVER
    {
        let value = driver.value.escape_debug();
        take.refuse(driver, format_args!("\"{value}\" is another driver's; only {DRIVER} is understood"));
    }
    take.device_type(types);
    take.text("address", "address");
    take.number("port", "port");
    take.text("username", "username");
    take.login("key_file");
    take.enable_secret("enable_secret");
    take.switch_id("mac_address");
    // An empty list means to upstream that nothing is said here; `[inventory]` has to, then.
    if let Some((entry, vlans)) = take.list("allowed_vlans").filter(|(_, vlans)| !vlans.is_empty()) {
        take.set("allowed_vlans", vlans.join(","), &entry.span);
    }
    if let Some((entry, saves)) = take.truth("persist") {
        take.set("save", if saves { "each" } else { "never" }, &entry.span);
    }
    let (mut imported, left) = take.finish();
    for entry in left {
        let (why, lost) = match entry.key.as_str() {
            "native_vlan" => (
                "upstream passes it on to nothing; on_detach = \"quarantine:VLAN\" leaves ports in a VLAN",
                false,
            ),
            _ => ("upstream has no such option", true),
        };
        imported.remarks.push(Remark { option: entry.key.clone(), span: entry.span.clone(), why, lost });
    }
    imported
}
