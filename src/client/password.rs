//! Where a password may come from. A command line is not among it: every process of a host can read that.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use super::error::ClientError;
use crate::device::credentials::{self, private_text};

/// From a file of one line that only its owner can read.
pub fn from_file(path: &Path) -> Result<SecretString, ClientError> {
    private_text(path).and_then(credentials::password).map_err(|why| setup(path.display().to_string(), why))
}

/// From an environment variable.
pub fn from_env(variable: &str) -> Result<SecretString, ClientError> {
    let value = std::env::var(variable);
    // An error of `var` shows the value.
    value
        .map_err(|_| "is not set, or not UTF-8".to_owned())
        .and_then(credentials::password)
        .map_err(|why| setup(format!("the environment variable {variable}"), why))
}

/// From a credential that systemd passes to a unit (`LoadCredential=`).
pub fn from_systemd(name: &str) -> Result<SecretString, ClientError> {
    let what = format!("the systemd credential {name}");
    let dir = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let dir = dir.ok_or_else(|| setup(what.clone(), "$CREDENTIALS_DIRECTORY is not set".to_owned()))?;
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(setup(what, "it is a name, not a path".to_owned()));
    }
    private_text(&dir.join(name)).and_then(credentials::password).map_err(|why| setup(what, why))
}

fn setup(what: String, why: String) -> ClientError {
    ClientError::Setup { what, why }
}
