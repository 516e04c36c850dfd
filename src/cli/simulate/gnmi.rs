//! The gNMI target of a simulated switch, as its words on the command line say.

use std::path::{Path, PathBuf};

use secrecy::SecretString;

use crate::gnmi::Encoding;
use crate::sim::gnmi::{BodyKeys, CommitExtension, GnmiQuirks, GnmiSpec, GnmiTls, Prefixes, code};

/// The files of its TLS.
#[derive(Debug, clap::Args)]
pub(super) struct TlsArgs {
    /// Certificate of the gNMI targets, then those between it and the authority, PEM; without it
    /// they speak plaintext
    #[arg(long, value_name = "FILE", requires = "gnmi_key")]
    gnmi_cert: Option<PathBuf>,
    /// Its key, PEM
    #[arg(long, value_name = "FILE", requires = "gnmi_cert")]
    gnmi_key: Option<PathBuf>,
    /// Authority of the clients, PEM: they all need a certificate then
    #[arg(long, value_name = "FILE", requires = "gnmi_cert")]
    gnmi_client_ca: Option<PathBuf>,
}

impl TlsArgs {
    /// The files' content.
    pub fn read(&self, read: impl Fn(&Path) -> anyhow::Result<String>) -> anyhow::Result<Option<GnmiTls>> {
        let (Some(certificate), Some(key)) = (&self.gnmi_cert, &self.gnmi_key) else { return Ok(None) };
        Ok(Some(GnmiTls {
            certificate: read(certificate)?,
            key: SecretString::from(read(key)?),
            client_ca: self.gnmi_client_ca.as_deref().map(read).transpose()?,
        }))
    }
}

/// Takes `gnmi=PORT` or a habit, `gnmi-...`; `None` where it is not understood.
pub(super) fn word(target: &mut Option<GnmiSpec>, key: &str, value: &str) -> Option<()> {
    if key == "gnmi" {
        target.get_or_insert_default().port = value.parse().ok()?;
        return Some(());
    }
    habit(&mut target.get_or_insert_default().quirks, key.strip_prefix("gnmi-")?, value)
}

fn habit(quirks: &mut GnmiQuirks, key: &str, value: &str) -> Option<()> {
    match (key, value) {
        ("refuses", "json") => quirks.refused_encodings.push(Encoding::Json),
        ("refuses", "json_ietf") => quirks.refused_encodings.push(Encoding::JsonIetf),
        ("commit", "ignored") => quirks.commit = CommitExtension::Ignored,
        ("commit", "unimplemented") => quirks.commit = CommitExtension::Unimplemented,
        ("keeps-failed-commit", "") => quirks.keeps_failed_commit = true,
        ("fails-after-applying", name) => quirks.fails_after_applying = Some(code(name)?),
        ("applies-nothing", "") => quirks.applies_nothing = true,
        ("no-results", "") => quirks.no_results = true,
        ("no-result-paths", "") => quirks.no_result_paths = true,
        ("seconds", "") => quirks.seconds = true,
        ("body-keys", "required") => quirks.body_keys = BodyKeys::Required,
        ("body-keys", "refused") => quirks.body_keys = BodyKeys::Refused,
        ("all-only", "") => quirks.all_only = true,
        ("no-leaf-list-arrays", "") => quirks.no_leaf_list_arrays = true,
        ("per-leaf", "") => quirks.per_leaf = true,
        ("prefixes", "required") => quirks.prefixes = Prefixes::Required,
        ("prefixes", "absent") => quirks.prefixes = Prefixes::Absent,
        ("unlisted", name) => quirks.unlisted.push(name.to_owned()),
        ("origin-required", "") => quirks.origin_required = true,
        _ => return None,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    #[test]
    fn words() {
        let mut target = None;
        for (key, value) in [
            ("gnmi", "9339"),
            ("gnmi-commit", "ignored"),
            ("gnmi-fails-after-applying", "unknown"),
            ("gnmi-per-leaf", ""),
        ] {
            assert_eq!(word(&mut target, key, value), Some(()), "{key}");
        }
        let target = target.unwrap();
        assert_eq!((target.port, target.quirks.commit), (9339, CommitExtension::Ignored));
        assert_eq!(target.quirks.fails_after_applying, Some(Code::Unknown));
        assert!(target.quirks.per_leaf && !target.quirks.seconds);
        for (key, value) in [
            ("gnmi", "x"),
            ("gnmi-per-leaf", "yes"),
            ("gnmi-nope", ""),
            ("gnmi-fails-after-applying", "nope"),
        ] {
            assert_eq!(word(&mut None, key, value), None, "{key}={value}");
        }
    }
}
