//! Which SSH algorithms a device is offered: today's, and the old ones its profile names.

use russh::client::GexParams;
use russh::keys::{Algorithm, HashAlg, PublicKey};
use russh::{Preferred, cipher, kex, mac};

/// RSA with SHA-1, both as a host key and to log in with.
pub const SSH_RSA: &str = "ssh-rsa";

/// One algorithm that is not offered unless it is named.
enum Old {
    Kex(kex::Name),
    Cipher(cipher::Name),
    Mac(mac::Name),
    SshRsa,
}

const OLD: [(&str, Old); 13] = [
    ("ecdh-sha2-nistp256", Old::Kex(kex::ECDH_SHA2_NISTP256)),
    ("ecdh-sha2-nistp384", Old::Kex(kex::ECDH_SHA2_NISTP384)),
    ("ecdh-sha2-nistp521", Old::Kex(kex::ECDH_SHA2_NISTP521)),
    ("diffie-hellman-group14-sha1", Old::Kex(kex::DH_G14_SHA1)),
    ("diffie-hellman-group-exchange-sha1", Old::Kex(kex::DH_GEX_SHA1)),
    ("diffie-hellman-group1-sha1", Old::Kex(kex::DH_G1_SHA1)),
    (SSH_RSA, Old::SshRsa),
    ("aes128-cbc", Old::Cipher(cipher::AES_128_CBC)),
    ("aes192-cbc", Old::Cipher(cipher::AES_192_CBC)),
    ("aes256-cbc", Old::Cipher(cipher::AES_256_CBC)),
    ("3des-cbc", Old::Cipher(cipher::TRIPLE_DES_CBC)),
    ("hmac-sha1", Old::Mac(mac::HMAC_SHA1)),
    ("hmac-sha1-etm@openssh.com", Old::Mac(mac::HMAC_SHA1_ETM)),
];

/// Whether a profile may name this SSH algorithm in `ssh_algorithms`.
pub fn known_algorithm(name: &str) -> bool {
    OLD.iter().any(|(known, _)| *known == name)
}

/// What to offer: the defaults without SHA-1, then the old algorithms of `named` in their order.
/// Host key types that are `recorded` for the device come first, as the server picks by our
/// order. It fails with a name that is not known.
pub fn preferred(named: &[String], recorded: &[PublicKey]) -> Result<Preferred, String> {
    let mut offer = Preferred::DEFAULT;
    let sha1 = Algorithm::Rsa { hash: None };
    offer.key.to_mut().retain(|algorithm| *algorithm != sha1);
    for name in named {
        let old = OLD.iter().find(|(known, _)| known == name).map(|(_, old)| old);
        match old.ok_or_else(|| format!("SSH algorithm `{name}` is not known"))? {
            Old::Kex(name) => offer.kex.to_mut().push(*name),
            Old::Cipher(name) => offer.cipher.to_mut().push(*name),
            Old::Mac(name) => offer.mac.to_mut().push(*name),
            Old::SshRsa => offer.key.to_mut().push(sha1.clone()),
        }
    }
    let is_recorded = |algorithm: &Algorithm| {
        recorded.iter().any(|key| match key.algorithm() {
            Algorithm::Rsa { .. } => matches!(algorithm, Algorithm::Rsa { .. }),
            exact => exact == *algorithm,
        })
    };
    offer.key.to_mut().sort_by_key(|algorithm| !is_recorded(algorithm));
    Ok(offer)
}

/// The group sizes to ask for: old servers that exchange groups by SHA-1 have no large ones.
pub fn groups(named: &[String]) -> Result<GexParams, russh::Error> {
    if named.iter().any(|name| name == kex::DH_GEX_SHA1.as_ref()) {
        GexParams::new(2048, 2048, 8192)
    } else {
        Ok(GexParams::default())
    }
}

/// How to sign with an RSA key, best first. `server`: what the server said about it, if anything
/// (RFC 8308 3.1); some name more than they take. SHA-1 only where it is named.
pub fn rsa_hashes(server: Option<Option<HashAlg>>, named: &[String]) -> Vec<Option<HashAlg>> {
    let sha2 = server.unwrap_or(Some(HashAlg::Sha256));
    let sha1 = named.iter().any(|name| name == SSH_RSA);
    sha2.map(Some).into_iter().chain(sha1.then_some(None)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| name.to_string()).collect()
    }

    #[test]
    fn sha1_is_offered_only_when_named() {
        let sha1 = Algorithm::Rsa { hash: None };
        assert!(!preferred(&[], &[]).unwrap().key.contains(&sha1));
        let all: Vec<String> = OLD.iter().map(|(name, _)| name.to_string()).collect();
        let offer = preferred(&all, &[]).unwrap();
        assert!(offer.key.contains(&sha1) && offer.kex.contains(&kex::DH_G1_SHA1));
        assert!(offer.cipher.contains(&cipher::TRIPLE_DES_CBC) && offer.mac.contains(&mac::HMAC_SHA1));
        assert!(offer.kex[0] != kex::DH_G1_SHA1);
        assert!(preferred(&named(&["ssh-dss"]), &[]).is_err() && !known_algorithm("ssh-dss"));
        for (name, old) in &OLD {
            let constant = match old {
                Old::Kex(constant) => constant.as_ref(),
                Old::Cipher(constant) => constant.as_ref(),
                Old::Mac(constant) => constant.as_ref(),
                Old::SshRsa => SSH_RSA,
            };
            assert_eq!(*name, constant);
        }
        assert!(groups(&all).is_ok());
    }

    #[test]
    fn the_recorded_host_key_type_comes_first() {
        let key = PublicKey::from_openssh(
            "ecdsa-sha2-nistp384 AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBOjQ18UqdiQKi7H93Nk4f8rhic6tCh5/\
             9Wc1nTJB+TQoe7+64PJpW2FiNhVP5d66sXXJTtIuuMT0AbSF/153NKj4o4xbJlgn0ucW110KyfmmOQ79zZajdr1qXSSQPTM83w==",
        )
        .unwrap();
        assert_eq!(preferred(&[], std::slice::from_ref(&key)).unwrap().key[0], key.algorithm());
    }

    #[test]
    fn rsa_signs_with_the_best_hash_allowed() {
        let old = named(&["ssh-rsa"]);
        assert_eq!(rsa_hashes(Some(Some(HashAlg::Sha512)), &old), [Some(HashAlg::Sha512), None]);
        assert_eq!(rsa_hashes(Some(Some(HashAlg::Sha512)), &[]), [Some(HashAlg::Sha512)]);
        assert_eq!(rsa_hashes(Some(None), &old), [None]);
        assert!(rsa_hashes(Some(None), &[]).is_empty());
        assert_eq!(rsa_hashes(None, &old), [Some(HashAlg::Sha256), None]);
        assert_eq!(rsa_hashes(None, &[]), [Some(HashAlg::Sha256)]);
    }
}
