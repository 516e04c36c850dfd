//! Taking the options of one INI section, one by one, until those are left that nobody asked for.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use secrecy::SecretString;

use super::ini::{Entry, Section};
use super::{DeviceTypes, Imported, Remark, Setting, absolute, literal};
use crate::config::reader::Source;
use crate::device::credentials::password;
use crate::device::{DatapathId, Mac, Profile};

/// The options that are left, and what became of the others.
pub(super) struct Take<'a> {
    source: Source<'a>,
    section: &'a Section,
    left: BTreeMap<&'a str, &'a Entry>,
    imported: Imported,
}

impl<'a> Take<'a> {
    /// `name` is the section's name without what comes before the colon.
    pub(super) fn new(source: Source<'a>, section: &'a Section, name: &str) -> Self {
        let imported = Imported {
            name: name.to_owned(),
            section: section.name.clone(),
            span: section.span.clone(),
            device_type: String::new(),
            settings: Vec::new(),
            password: None,
            enable_secret: None,
            no_profile: None,
            remarks: Vec::new(),
        };
        let mut take = Self { source, section, left: BTreeMap::new(), imported };
        for entry in &section.options {
            if take.left.insert(&entry.key, entry).is_some() {
                take.refuse(entry, "is given twice");
            }
        }
        take
    }

    /// The option, if it is there and not empty.
    pub(super) fn option(&mut self, key: &str) -> Option<&'a Entry> {
        self.left.remove(key).filter(|entry| !entry.value.is_empty())
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.left.contains_key(key)
    }

    /// Where the section begins.
    pub(super) fn span(&self) -> Range<usize> {
        self.section.span.clone()
    }

    pub(super) fn required(&mut self, key: &'static str) -> Option<&'a Entry> {
        let found = self.option(key);
        if found.is_none() {
            let key = format!("[{}] {key}", self.section.name.escape_debug());
            self.source.report(self.section.span.clone(), key, "missing");
        }
        found
    }

    pub(super) fn refuse(&self, entry: &Entry, why: impl std::fmt::Display) {
        let key = format!("[{}] {}", self.section.name.escape_debug(), entry.key.escape_debug());
        self.source.report(entry.span.clone(), key, why);
    }

    pub(super) fn set(&mut self, key: &'static str, value: impl Into<toml::Value>, span: &Range<usize>) {
        self.imported.settings.push(Setting { key, literal: literal(value), span: span.clone() });
    }

    /// An option that is not carried over.
    pub(super) fn remark(&mut self, entry: &Entry, why: &'static str, lost: bool) {
        let (option, span) = (entry.key.clone(), entry.span.clone());
        self.imported.remarks.push(Remark { option, span, why, lost });
    }

    /// An option whose text is taken as it stands.
    pub(super) fn text(&mut self, option: &str, key: &'static str) {
        if let Some(entry) = self.option(option) {
            self.set(key, entry.value.as_str(), &entry.span);
        }
    }

    pub(super) fn number(&mut self, option: &str, key: &'static str) {
        let Some(entry) = self.option(option) else { return };
        match entry.value.parse::<u32>() {
            Ok(number) => self.set(key, number, &entry.span),
            Err(_) => self.refuse(entry, format_args!("\"{}\" is not a number", entry.value.escape_debug())),
        }
    }

    /// One of oslo's words for true and false.
    pub(super) fn truth(&mut self, option: &str) -> Option<(&'a Entry, bool)> {
        let entry = self.option(option)?;
        match entry.value.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "on" | "y" | "yes" => Some((entry, true)),
            "0" | "f" | "false" | "off" | "n" | "no" => Some((entry, false)),
            _ => {
                let value = entry.value.escape_debug();
                self.refuse(entry, format_args!("\"{value}\" is neither true nor false"));
                None
            }
        }
    }

    /// The elements of a list with commas, the empty ones left out.
    pub(super) fn list(&mut self, option: &str) -> Option<(&'a Entry, Vec<&'a str>)> {
        let entry = self.left.remove(option)?;
        Some((entry, entry.value.split(',').map(str::trim).filter(|element| !element.is_empty()).collect()))
    }

    /// A password. Never shown, not even when it is wrong.
    fn password(&self, entry: &Entry) -> Option<SecretString> {
        match password(entry.value.clone()) {
            Ok(secret) => Some(secret),
            Err(why) => {
                self.refuse(entry, why);
                None
            }
        }
    }

    /// How to log in: a key file, else a password. Upstream offers the key first, too.
    pub(super) fn login(&mut self, key_file: &'static str) {
        let (key, password) = (self.option(key_file), self.option("password"));
        let secret = password.and_then(|entry| self.password(entry));
        match (key, password) {
            (Some(key), beside) => {
                self.set("key_file", absolute(self.source.file, &key.value), &key.span);
                if let Some(beside) = beside {
                    self.remark(beside, "the key file is used, and must have no passphrase", true);
                }
            }
            (None, Some(_)) => self.imported.password = secret,
            (None, None) => {
                // Nothing comes of it, but other mistakes are still to be found.
                self.imported.password = Some(SecretString::default());
                let key = format!("[{}] password", self.section.name.escape_debug());
                let why = format_args!("missing; give `password` or `{key_file}`");
                self.source.report(self.section.span.clone(), key, why);
            }
        }
    }

    pub(super) fn enable_secret(&mut self, option: &str) {
        self.imported.enable_secret = self.option(option).and_then(|entry| self.password(entry));
    }

    /// What callers send as `switch_id`.
    pub(super) fn switch_id(&mut self, option: &str) {
        let Some(entry) = self.option(option) else { return };
        let value = entry.value.as_str();
        // Upstream compares texts, so that a datapath id in this place works, too.
        let key = match (value.parse::<Mac>(), value.parse::<DatapathId>()) {
            (Err(_), Ok(_)) => "datapath_id",
            _ => "mac_address",
        };
        self.set(key, value, &entry.span);
    }

    /// The profile that [`Take::device_type`] led to; none: there is none.
    pub(super) fn profile(&self, types: &DeviceTypes) -> Option<Arc<Profile>> {
        types.profiles.get(self.imported.literal("profile")?.trim_matches('"')).ok()
    }

    pub(super) fn device_type(&mut self, types: &DeviceTypes) {
        let Some(entry) = self.required("device_type") else {
            self.imported.no_profile = Some(String::new());
            self.set("profile", "", &self.span());
            return;
        };
        self.imported.device_type.clone_from(&entry.value);
        let profile = types.profile(&entry.value).unwrap_or_else(|why| {
            self.imported.no_profile = Some(why);
            entry.value.clone()
        });
        self.set("profile", profile, &entry.span);
    }

    /// The device, and the options that nobody asked for.
    pub(super) fn finish(self) -> (Imported, Vec<&'a Entry>) {
        // As they stand in the file.
        let left = self.section.options.iter();
        let left =
            left.filter(|entry| self.left.get(entry.key.as_str()).is_some_and(|e| std::ptr::eq(*e, *entry)));
        (self.imported, left.collect())
    }
}
