//! Whether a host key is the device's.

use std::path::Path;

use russh::keys::ssh_key::KnownHosts;
use russh::keys::ssh_key::known_hosts::Marker;
use russh::keys::{HashAlg, PublicKey, known_hosts::known_host_keys_path};

use crate::device::{Endpoint, HostKey};

/// The keys on record for one device.
#[derive(Debug)]
pub struct Trusted {
    /// With where each is written.
    keys: Vec<(String, PublicKey)>,
    revoked: Vec<PublicKey>,
    source: String,
}

impl Trusted {
    /// Reads what the operator recorded. Blocking: it reads a file. It fails with the reason when
    /// the record cannot be read; a record without the device is read well and trusts nothing.
    pub fn load(endpoint: &Endpoint) -> Result<Self, String> {
        match &endpoint.host_key {
            HostKey::Pinned(text) => {
                let key = PublicKey::from_openssh(text.trim())
                    .map_err(|error| format!("the pinned host key is not a public key: {error}"))?;
                let source = "the pinned host key".to_owned();
                Ok(Self { keys: vec![(source.clone(), key)], revoked: Vec::new(), source })
            }
            HostKey::None => {
                let source = "no host key is on record".to_owned();
                Ok(Self { keys: Vec::new(), revoked: Vec::new(), source })
            }
            HostKey::KnownHosts(path) => Self::known_hosts(path, &endpoint.address, endpoint.port),
        }
    }

    fn known_hosts(path: &Path, address: &str, port: u16) -> Result<Self, String> {
        let source = path.display().to_string();
        let unreadable = |error: &dyn std::fmt::Display| format!("{source} cannot be read: {error}");
        // A file that is not there must not look like one without the device.
        let text = std::fs::read_to_string(path).map_err(|error| unreadable(&error))?;
        let revoked = KnownHosts::new(&text)
            .filter_map(Result::ok)
            .filter(|entry| entry.marker() == Some(&Marker::Revoked))
            .map(|entry| entry.public_key().clone())
            .collect();
        let keys = known_host_keys_path(address, port, path).map_err(|error| unreadable(&error))?;
        let keys = keys.into_iter().map(|(line, key)| (format!("{source}:{line}"), key)).collect();
        Ok(Self { keys, revoked, source })
    }

    /// The recorded keys.
    pub fn keys(&self) -> Vec<PublicKey> {
        self.keys.iter().map(|(_, key)| key.clone()).collect()
    }

    /// Whether `shown` is on record; else why it is refused.
    pub fn check(&self, shown: &PublicKey) -> Result<(), String> {
        let name = format!("{} {}", shown.algorithm(), shown.fingerprint(HashAlg::Sha256));
        let same = |key: &PublicKey| key.key_data() == shown.key_data();
        if self.revoked.iter().any(same) {
            return Err(format!("{name} is revoked in {}", self.source));
        }
        if self.keys.iter().any(|(_, key)| same(key)) {
            return Ok(());
        }
        match self.keys.first() {
            Some((place, key)) => Err(format!(
                "it shows {name}, but {place} records {} {}",
                key.algorithm(),
                key.fingerprint(HashAlg::Sha256)
            )),
            None => Err(format!("{name} is not recorded in {}", self.source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use secrecy::SecretString;

    use super::*;
    use crate::device::Credential;

    const ED25519: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGUpdzWqG7bK8f9StyJX4i/w7oSsu5TVGnlQTXmeAkXe";
    const OTHER: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJdD7y3aLq454yWBdwLWbieU1ebz9/cu7/QEXn9OIeZJ";
    /// `[127.0.0.1]:830`, hashed by ssh-keygen.
    const HASHED: &str = "|1|VWfV81neTxDHWRqenuYlrCOp0JI=|JilV13vowLB38vDFCZ0iyGLc/ic=";

    fn trusted(record: &str, port: u16) -> Trusted {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), record).unwrap();
        Trusted::load(&endpoint(HostKey::KnownHosts(file.path().to_owned()), port)).unwrap()
    }

    fn endpoint(host_key: HostKey, port: u16) -> Endpoint {
        Endpoint {
            address: "127.0.0.1".to_owned(),
            port,
            username: "u".to_owned(),
            credential: Credential::Password(SecretString::from("secret")),
            credential_from: String::new(),
            enable_secret: None,
            host_key,
            cli_port: None,
            gnmi: None,
        }
    }

    #[test]
    fn known_hosts_plain_hashed_with_port_and_revoked() {
        let shown = PublicKey::from_openssh(ED25519).unwrap();
        let accepts = |record: String, port| trusted(&record, port).check(&shown).is_ok();
        assert!(accepts(format!("127.0.0.1 {ED25519}\n"), 22));
        assert!(accepts(format!("# c\n\nh,[127.0.0.1]:830 {ED25519} comment\n"), 830));
        assert!(accepts(format!("{HASHED} {ED25519}"), 830));
        assert!(!accepts(format!("{HASHED} {ED25519}"), 831));
        assert!(!accepts(format!("127.0.0.1 {ED25519}\n"), 830));
        assert!(!accepts(String::new(), 830));
        assert!(!accepts(format!("[127.0.0.1]:830 {ED25519}\n@revoked * {ED25519}\n"), 830));
        assert!(accepts(format!("[127.0.0.1]:830 {OTHER}\n[127.0.0.1]:830 {ED25519}\n"), 830));
        let changed = trusted(&format!("[127.0.0.1]:830 {OTHER}\n"), 830).check(&shown).unwrap_err();
        assert!(changed.contains(":1 records ssh-ed25519 SHA256:"), "{changed}");
    }

    #[test]
    fn pinned_and_unreadable() {
        let shown = PublicKey::from_openssh(ED25519).unwrap();
        let pinned = |text: &str| Trusted::load(&endpoint(HostKey::Pinned(text.to_owned()), 830));
        assert!(pinned(&format!("{ED25519} a comment")).unwrap().check(&shown).is_ok());
        assert!(pinned(OTHER).unwrap().check(&shown).is_err());
        assert!(pinned("ssh-ed25519 nonsense").is_err());
        assert!(Trusted::load(&endpoint(HostKey::KnownHosts("/nowhere".into()), 830)).is_err());
    }
}
