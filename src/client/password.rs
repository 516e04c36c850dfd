//! Where a password may come from. A command line is not among it: every process of a host can read that.

use std::path::Path;

use secrecy::SecretString;

use super::error::ClientError;
use crate::device::credentials::{self, Place};
use crate::device::safe_name;

/// From a file of one line that only its owner can read.
pub fn from_file(path: &Path) -> Result<SecretString, ClientError> {
    read(Place::File(path.to_owned()))
}

/// From an environment variable.
pub fn from_env(variable: &str) -> Result<SecretString, ClientError> {
    read(Place::Variable(variable.to_owned()))
}

/// From a credential that systemd passes to a unit (`LoadCredential=`).
pub fn from_systemd(name: &str) -> Result<SecretString, ClientError> {
    let name = safe_name(name).map_err(|why| setup("credential", why))?;
    read(Place::Credential(name))
}

fn read(place: Place) -> Result<SecretString, ClientError> {
    place.text().and_then(credentials::password).map_err(|why| setup(place, why))
}

fn setup(what: impl ToString, why: impl ToString) -> ClientError {
    ClientError::Setup { what: what.to_string(), why: why.to_string() }
}
