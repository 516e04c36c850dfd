//! Inventories that were written for others. Each becomes the settings of our own: read as they
//! stand, or printed as TOML. Both are made of the same [`Imported`], so both mean the same.

pub mod compare;
pub mod ini;
pub mod ironic;
pub mod ngs;
pub mod switches;
mod take;
pub mod write;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::config::reader::{ConfigErrors, Problems, Source, Table, file_text, lend_made};
use crate::device::credentials::{CredentialPolicy, KeyFiles};
use crate::device::inventory::{Context, Defaults, Inline, Taken};
use crate::device::{Device, Profiles};
use ini::{Ini, Section};
use write::Written;

/// One device, in the words of `devices.toml`.
pub struct Imported {
    pub name: String,
    /// The section that it comes from.
    pub section: String,
    /// Where the device begins in the file that it comes from, in bytes.
    pub span: Range<usize>,
    /// Empty where there is none.
    pub device_type: String,
    pub settings: Vec<Setting>,
    pub password: Option<SecretString>,
    pub enable_secret: Option<SecretString>,
    /// Why its device type leads to no profile; the profile is then called as the type is. Empty: it
    /// has no device type, and that is reported.
    pub no_profile: Option<String>,
    pub remarks: Vec<Remark>,
}

/// One key and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    pub key: &'static str,
    /// As TOML spells it.
    pub literal: String,
    /// Where it comes from, in bytes.
    pub span: Range<usize>,
}

/// An option that does not become a setting. Its value is not kept: it might be a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remark {
    pub option: String,
    pub span: Range<usize>,
    pub why: &'static str,
    /// Whether things are different without it.
    pub lost: bool,
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `switches.conf` of Ironic's networking service.
    Switches,
    /// networking-generic-switch.
    Ngs,
    /// `ironic.conf`.
    Ironic,
}

/// What each section whose name begins so stands for.
fn devices(source: Source, prefix: &str, device: impl Fn(&Section, &str) -> Imported) -> Vec<Imported> {
    let ini = Ini::read(source);
    let sections =
        ini.sections.iter().filter_map(|section| Some((section, section.name.strip_prefix(prefix)?)));
    let devices: Vec<Imported> = sections.map(|(section, name)| device(section, name)).collect();
    if devices.is_empty() {
        source.problems.about_file(source.file, format_args!("has no section [{prefix}NAME]"));
    }
    devices
}

/// Turns a file into ours; all that is wrong in it is found before it is given up.
pub fn import(kind: Kind, file: &Path, types: &DeviceTypes) -> Result<Written, ConfigErrors> {
    let problems = Problems::default();
    let text = file_text(file, 0o002).map_err(|why| problems.about_file(file, why)).ok();
    let written = text.map(|text| {
        let source = Source { file, text: &text, problems: &problems };
        let devices = match kind {
            Kind::Switches => switches::import(source, types),
            Kind::Ngs => ngs::import(source, types),
            Kind::Ironic => {
                types.refuse_unused(&[], source);
                return ironic::read(source).written(file);
            }
        };
        types.refuse_unused(&devices, source);
        // Nothing is written that would not be read.
        read(&devices, source, types.profiles, &Defaults::default());
        write::devices(&devices, source)
    });
    problems.finish(written)
}

/// The devices as the service would have them if everything were allowed that is limited nowhere.
/// Where there is no profile, one stands for it.
pub(crate) fn read(
    devices: &[Imported],
    source: Source,
    profiles: &Profiles,
    defaults: &Defaults,
) -> Vec<Option<Device>> {
    let defaults = Defaults {
        allowed_vlans: defaults.allowed_vlans.clone().or("1-4094".parse().ok()),
        known_hosts: Some(PathBuf::new()),
        ..defaults.clone()
    };
    let context = Context {
        defaults: &defaults,
        doubtful: false,
        profiles,
        physical_networks: None,
        credentials: CredentialPolicy::Skip,
        key_files: KeyFiles::default(),
    };
    let mut taken = Taken::default();
    devices.iter().map(|device| device.read(source, &context, &mut taken)).collect()
}

/// From the device types of other inventories to profiles.
pub struct DeviceTypes<'a> {
    pub profiles: &'a Profiles,
    /// What the operator chose, by device type, with or without `netmiko_`; it beats names and aliases.
    pub chosen: BTreeMap<String, String>,
}

impl DeviceTypes<'_> {
    /// The name of the profile for a device type, or why there is none.
    pub fn profile(&self, device_type: &str) -> Result<String, String> {
        if let Some((_, chosen)) = self.choice(device_type) {
            return Ok(chosen.clone());
        }
        let bare = bare(device_type);
        if let Some(name) = [device_type, bare].into_iter().find(|name| self.profiles.contains(name)) {
            return Ok(name.to_owned());
        }
        let fits = |profile: &&str| {
            let aliases = self.profiles.aliases(profile);
            aliases.contains(device_type) || aliases.contains(bare)
        };
        let known: Vec<&str> = self.profiles.names().collect();
        let shown = device_type.escape_debug();
        match known.iter().copied().filter(fits).collect::<Vec<_>>().as_slice() {
            [profile] => Ok((*profile).to_owned()),
            [] => Err(format!(
                "no profile is called {}, or is for device type \"{shown}\"; name one in [inventory.profiles] \
                 (known: {})",
                bare.escape_debug(),
                known.join(", ")
            )),
            several => Err(format!(
                "the profiles {} are all for device type \"{shown}\"; choose in [inventory.profiles]",
                several.join(", ")
            )),
        }
    }

    /// What was chosen for a device type, and by which name of it.
    fn choice(&self, device_type: &str) -> Option<(&String, &String)> {
        self.chosen.get_key_value(device_type).or_else(|| self.chosen.get_key_value(bare(device_type)))
    }

    /// Reports choices that no device has a use for: they are misspelt, or for another file.
    fn refuse_unused(&self, devices: &[Imported], source: Source) {
        let there: BTreeSet<&str> = devices.iter().map(|device| device.device_type.as_str()).collect();
        let used: BTreeSet<&String> =
            there.iter().filter_map(|there| self.choice(there)).map(|(name, _)| name).collect();
        let there: Vec<&str> = there.into_iter().filter(|there| !there.is_empty()).collect();
        let there = if there.is_empty() { "none".to_owned() } else { there.join(", ") };
        for (device_type, profile) in self.chosen.iter().filter(|(name, _)| !used.contains(name)) {
            let why = format_args!(
                "\"{}\" is to be profile {}, but no device has that device_type (there: {})",
                device_type.escape_debug(),
                profile.escape_debug(),
                there.escape_debug()
            );
            source.problems.about_file(source.file, why);
        }
    }
}

/// `netmiko_OS` is OS, driven by the library of that name.
fn bare(device_type: &str) -> &str {
    device_type.strip_prefix("netmiko_").unwrap_or(device_type)
}

impl Imported {
    /// Whether nothing had to be left out that makes a difference.
    pub fn is_complete(&self) -> bool {
        self.no_profile.is_none() && !self.remarks.iter().any(|remark| remark.lost)
    }

    /// The setting of this key, as TOML spells it.
    pub fn literal(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.key == key).map(|setting| setting.literal.as_str())
    }

    /// The device that it is. What is wrong with a setting is reported where it comes from. Where
    /// there is no profile, one stands for it, so that the rest is looked at.
    pub(crate) fn read(&self, source: Source, context: &Context, taken: &mut Taken) -> Option<Device> {
        let any = context.profiles.names().next().map(literal);
        let profile = any.as_deref().filter(|_| self.no_profile.is_some());
        self.lend(source, profile, |table| context.read_device(table, taken, self.inline()))
    }

    /// Lends the settings as the table that they would be in `devices.toml`, maybe with another profile.
    fn lend<T>(
        &self,
        source: Source,
        profile: Option<&str>,
        read: impl FnOnce(&Table) -> Option<T>,
    ) -> Option<T> {
        let mut tree = DeTable::new();
        let name = literal(self.name.as_str());
        let named = Setting { key: "name", literal: name, span: self.span.clone() };
        for Setting { key, literal, span } in self.settings.iter().chain([&named]) {
            let literal = profile.filter(|_| *key == "profile").unwrap_or(literal);
            match DeValue::parse(literal) {
                Ok(value) => tree.insert(
                    Spanned::new(span.clone(), (*key).into()),
                    Spanned::new(span.clone(), moved(value.into_inner(), span)),
                ),
                Err(error) => {
                    source.report(span.clone(), (*key).to_owned(), error.message());
                    None
                }
            };
        }
        let label = format!("[{}] ", self.section.escape_debug());
        lend_made(source, label, self.span.clone(), &tree, read)
    }

    fn inline(&self) -> Inline {
        Inline { password: self.password.clone(), enable_secret: self.enable_secret.clone() }
    }
}

/// The same value, all of it standing at `span`.
fn moved<'a>(value: DeValue<'a>, span: &Range<usize>) -> DeValue<'a> {
    let place = |value: Spanned<DeValue<'a>>| Spanned::new(span.clone(), moved(value.into_inner(), span));
    match value {
        DeValue::Array(elements) => DeValue::Array(elements.into_iter().map(place).collect()),
        DeValue::Table(entries) => DeValue::Table(
            entries
                .into_iter()
                .map(|(key, value)| (Spanned::new(span.clone(), key.into_inner()), place(value)))
                .collect(),
        ),
        other => other,
    }
}

/// A value as TOML spells it.
fn literal(value: impl Into<toml::Value>) -> String {
    value.into().to_string()
}

/// `FILE:LINE`.
pub(crate) fn place(source: Source, span: &Range<usize>) -> String {
    format!("{}:{}", source.file.display(), source.place(span.start).0)
}

/// A path as the file that names it means it, from wherever the result is read.
fn absolute(file: &Path, path: &str) -> String {
    let joined = file.parent().unwrap_or(Path::new("")).join(path);
    match std::path::absolute(joined).ok().and_then(|path| path.to_str().map(str::to_owned)) {
        Some(absolute) => absolute,
        None => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;
