//! Key and password files. They must be regular files that nobody but their owner can read, and
//! nothing of their content is ever shown.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use russh::keys::{self, PublicKey, decode_secret_key};
use secrecy::SecretString;

use crate::config::reader::{Item, describe};
use crate::device::Credential;

/// Whether credential files are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialPolicy {
    /// Read and checked: for work on devices.
    Read,
    /// Not even looked for: who plans offline has no keys.
    Skip,
}

/// Longer than any key or password that SSH can use, in bytes.
const MAX_SECRET: u64 = 65_536;

/// Reads the credential that the item, `key_file` or `password_file`, names.
pub(crate) fn credential(item: &Item, policy: CredentialPolicy) -> Option<Credential> {
    let path = item.path()?;
    if policy == CredentialPolicy::Skip {
        return Some(Credential::NotLoaded);
    }
    let read = private_text(&path).and_then(|text| match item.name {
        "password_file" => password(text).map(Credential::Password),
        _ => key(text).map(Credential::Key),
    });
    match read {
        Ok(credential) => Some(credential),
        Err(why) => {
            item.refuse(format_args!("{}: {why}", path.display()));
            None
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

/// Opens a regular file for reading.
pub(crate) fn open_regular(path: &Path) -> Result<File, String> {
    // Looked at before it is opened: opening a named pipe would wait for its other end.
    let found = std::fs::metadata(path).map_err(|error| describe(&error))?;
    if !found.is_file() {
        return Err("is not a regular file".to_owned());
    }
    File::open(path).map_err(|error| describe(&error))
}

/// The text of a file that nobody but its owner can read.
pub(crate) fn private_text(path: &Path) -> Result<String, String> {
    let file = open_regular(path)?;
    // Of what was opened: the name may lead to another file by now.
    let found = file.metadata().map_err(|error| describe(&error))?;
    let mode = found.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(format!("mode {mode:04o} gives others access; it takes a chmod 600"));
    }
    if found.len() > MAX_SECRET {
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

fn password(mut text: String) -> Result<SecretString, String> {
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    if text.is_empty() {
        return Err("is empty".to_owned());
    }
    if text.chars().any(char::is_control) {
        return Err("must hold one line without control characters".to_owned());
    }
    Ok(text.into())
}
