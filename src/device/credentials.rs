//! Keys and passwords: from files that nobody but their owner can read, from the environment, or
//! from systemd. Nothing of their content is ever shown.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use russh::keys::{self, PublicKey, decode_secret_key};
use secrecy::SecretString;

use crate::config::reader::{Item, check_mode, describe, open_regular};
use crate::device::{Credential, safe_name};

/// Whether credentials are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialPolicy {
    /// Read and checked: for work on devices.
    Read,
    /// Not even looked for: who plans offline has no keys.
    Skip,
}

/// The keys of a device's table of which one says how to log in.
pub(crate) const LOGIN: [&str; 6] =
    ["key_file", "password_file", "key_env", "password_env", "key_credential", "password_credential"];
/// The keys of which one may say what a command line asks for.
pub(crate) const ENABLE: [&str; 3] = ["enable_secret_file", "enable_secret_env", "enable_secret_credential"];

/// Longer than any key or password that SSH can use, in bytes.
const MAX_SECRET: u64 = 65_536;

/// The key files that one load has read: thousands of devices may share one, and to parse a key takes
/// longer than all else there is to read of a device.
#[derive(Default)]
pub(crate) struct KeyFiles(RefCell<HashMap<PathBuf, SecretString>>);

/// Reads the credential that the item, one of [`LOGIN`], names, and says where it is.
pub(crate) fn credential(
    item: &Item,
    policy: CredentialPolicy,
    read: &KeyFiles,
) -> Option<(Credential, String)> {
    let is_key = item.name.starts_with("key_");
    let place = Place::read(item)?;
    let key_file = if let Place::File(file) = &place
        && is_key
    {
        Some(file)
    } else {
        None
    };
    if let Some(known) = key_file.and_then(|file| read.0.borrow().get(file).cloned()) {
        return Some((Credential::Key(known), place.to_string()));
    }
    let parse =
        |text| if is_key { key(text).map(Credential::Key) } else { password(text).map(Credential::Password) };
    let found = secret(item, &place, policy, parse)?.unwrap_or(Credential::NotLoaded);
    if let (Some(file), Credential::Key(key)) = (key_file, &found) {
        read.0.borrow_mut().insert(file.clone(), key.clone());
    }
    Some((found, place.to_string()))
}

/// Reads the password that the item, one of [`ENABLE`], names; none inside: it was not to be read.
pub(crate) fn enable_secret(item: &Item, policy: CredentialPolicy) -> Option<Option<SecretString>> {
    secret(item, &Place::read(item)?, policy, password)
}

fn secret<T>(
    item: &Item,
    place: &Place,
    policy: CredentialPolicy,
    read: impl FnOnce(String) -> Result<T, String>,
) -> Option<Option<T>> {
    if policy == CredentialPolicy::Skip {
        return Some(None);
    }
    match place.text().and_then(read) {
        Ok(secret) => Some(Some(secret)),
        Err(why) => {
            item.refuse(format_args!("{place}: {why}"));
            None
        }
    }
}

/// Where a secret is.
pub(crate) enum Place {
    File(PathBuf),
    /// An environment variable.
    Variable(String),
    /// A file that systemd made for this service, and for it alone.
    Credential(String),
}

impl Place {
    fn read(item: &Item) -> Option<Self> {
        if item.name.ends_with("_env") {
            item.filled_text().map(Self::Variable)
        } else if item.name.ends_with("_credential") {
            item.read(safe_name).map(Self::Credential)
        } else {
            item.path().map(Self::File)
        }
    }

    pub(crate) fn text(&self) -> Result<String, String> {
        match self {
            Self::File(path) => private_text(path),
            // Not `var`, whose error would show the value.
            Self::Variable(name) => match std::env::var_os(name) {
                Some(value) => value.into_string().map_err(|_| "is not UTF-8 text".to_owned()),
                None => Err("is not set".to_owned()),
            },
            Self::Credential(name) => {
                let directory = std::env::var_os("CREDENTIALS_DIRECTORY")
                    .ok_or("CREDENTIALS_DIRECTORY is not set; systemd does it for LoadCredential=")?;
                // The group bits may stand for the access list that systemd grants the service by.
                bounded_text(&Path::new(&directory).join(name), 0o007)
            }
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Variable(name) => write!(f, "environment variable {}", name.escape_debug()),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}

/// Checks one public key, `ssh-ed25519 AAAA...`.
pub(crate) fn public_key(text: &str) -> Result<String, &'static str> {
    match PublicKey::from_openssh(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(_) => Err("is not a public key such as \"ssh-ed25519 AAAA...\""),
    }
}

/// The text of a file that nobody but its owner can read.
pub(crate) fn private_text(path: &Path) -> Result<String, String> {
    bounded_text(path, 0o077)
}

fn bounded_text(path: &Path, forbidden: u32) -> Result<String, String> {
    let file = open_regular(path)?;
    check_mode(&file, forbidden)?;
    if file.metadata().map_err(|error| describe(&error))?.len() > MAX_SECRET {
        return Err(format!("longer than {MAX_SECRET} bytes"));
    }
    let mut text = String::new();
    file.take(MAX_SECRET).read_to_string(&mut text).map_err(|error| describe(&error))?;
    Ok(text)
}

fn key(text: String) -> Result<SecretString, String> {
    match decode_secret_key(&text, None) {
        Ok(key) if !key.is_encrypted() => Ok(text.into()),
        Ok(_) | Err(keys::Error::KeyIsEncrypted) => {
            Err("the key is encrypted; Mercury cannot ask for a passphrase".to_owned())
        }
        Err(_) => Err("does not parse as a private key".to_owned()),
    }
}

/// A password, of which a file holds one line.
pub(crate) fn password(mut text: String) -> Result<SecretString, String> {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must hold one line without control characters".to_owned());
    }
    Ok(text.into())
}
