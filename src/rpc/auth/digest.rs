//! HTTP Digest (RFC 7616) with SHA-256 and MD5, `qop=auth`, against an htdigest file.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;

use axum::http::request::Parts;
use http_auth::ParamValue;
use http_auth::parser::ChallengeParser;
use md5::Md5;
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Failure;
use super::file::{Wrong, entries};
use super::nonce::Nonces;

/// The algorithms, the strongest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Algorithm {
    Sha256,
    Md5,
}

/// The users of one version of a file, of one realm.
#[derive(Default)]
pub struct Htdigest {
    /// What RFC 7616 3.4.2 calls H(A1), in hexadecimal: as good as the password.
    secrets: BTreeMap<(String, Algorithm), SecretString>,
}

/// What a caller answers to a challenge.
struct Answer {
    user: String,
    realm: String,
    uri: String,
    algorithm: Algorithm,
    nonce: String,
    /// As written: eight digits.
    count: String,
    cnonce: String,
    response: String,
}

/// Longer than any parameter, in octets.
const MAX_PARAMETER: usize = 512;

impl Algorithm {
    const ALL: [Self; 2] = [Self::Sha256, Self::Md5];

    fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Md5 => "MD5",
        }
    }

    /// The length of its hashes in hexadecimal.
    fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Md5 => 32,
        }
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Sha256 => hex::encode(Sha256::digest(text)),
            Self::Md5 => hex::encode(Md5::digest(text)),
        }
    }
}

impl Htdigest {
    /// Reads the `user:realm:hash` lines of this realm; others are another service's.
    pub fn parse(text: &str, realm: &str) -> Result<Self, Wrong> {
        let mut secrets = BTreeMap::new();
        for (index, line) in entries(text) {
            let wrong = |why: &str| Wrong::at(index, why);
            let parts = line.split_once(':').and_then(|(user, rest)| Some((user, rest.rsplit_once(':')?)));
            let (user, (its_realm, hash)) =
                parts.ok_or_else(|| wrong("expected a user, a realm and a hash, with colons between"))?;
            if user.is_empty() || user.chars().any(char::is_control) {
                return Err(wrong("a user's name is empty or has control characters"));
            }
            let algorithm = Algorithm::ALL.into_iter().find(|algorithm| algorithm.digits() == hash.len());
            let algorithm = algorithm.filter(|_| hash.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let algorithm =
                algorithm.ok_or_else(|| wrong("expected a hash of 32 (MD5) or 64 (SHA-256) digits"))?;
            let secret = SecretString::from(hash.to_ascii_lowercase());
            if its_realm == realm && secrets.insert((user.to_owned(), algorithm), secret).is_some() {
                return Err(wrong("this user was there before, with a hash of this kind"));
            }
        }
        if secrets.is_empty() {
            return Err(Wrong { line: None, why: format!("has no users of realm \"{realm}\"") });
        }
        Ok(Self { secrets })
    }

    /// What to send to a caller who may try: one challenge for each algorithm that anybody has.
    pub fn challenges(&self, realm: &str, nonce: &str, stale: bool) -> Vec<String> {
        let stale = if stale { ", stale=true" } else { "" };
        let used = |algorithm: &Algorithm| self.secrets.keys().any(|(_, its)| its == algorithm);
        let challenge = |algorithm: Algorithm| {
            let name = algorithm.name();
            format!("Digest realm=\"{realm}\", qop=\"auth\", algorithm={name}, nonce=\"{nonce}\"{stale}")
        };
        Algorithm::ALL.into_iter().filter(used).map(challenge).collect()
    }

    /// The user who answered a challenge, in this header of this request. A failure comes with the
    /// name that was given, if it could be read.
    pub fn check(
        &self,
        header: &str,
        head: &Parts,
        realm: &str,
        nonces: &Nonces,
        now: Instant,
    ) -> Result<String, (Failure, Option<String>)> {
        let answer = Answer::read(header).map_err(|why| (why, None))?;
        let result = self.judge(&answer, head, realm, nonces, now);
        result.map(|()| answer.user.clone()).map_err(|why| (why, Some(answer.user)))
    }

    fn judge(
        &self,
        answer: &Answer,
        head: &Parts,
        realm: &str,
        nonces: &Nonces,
        now: Instant,
    ) -> Result<(), Failure> {
        if answer.realm != realm {
            return Err(Failure::WrongRealm);
        }
        let target = head.uri.path_and_query().map_or("", |target| target.as_str());
        if answer.uri != target {
            return Err(Failure::WrongUri);
        }
        let secret = self.secrets.get(&(answer.user.clone(), answer.algorithm));
        // The same work for whoever is not there.
        let nobody = SecretString::from("0".repeat(answer.algorithm.digits()));
        let expected = answer.expected(secret.unwrap_or(&nobody), head.method.as_str());
        let is_right = bool::from(expected.as_bytes().ct_eq(answer.response.to_ascii_lowercase().as_bytes()));
        match (secret, is_right) {
            (None, _) => return Err(Failure::UnknownUser),
            (Some(_), false) => return Err(Failure::WrongPassword),
            (Some(_), true) => {}
        }
        // Only now: whoever has the password is told to use another nonce, nobody else.
        let nonce = nonces.read(&answer.nonce, now).ok_or(Failure::Stale)?;
        let count = u32::from_str_radix(&answer.count, 16).map_err(|_| Failure::Malformed)?;
        nonces.take(nonce, count, now)
    }
}

impl Answer {
    fn read(header: &str) -> Result<Self, Failure> {
        let mut parsed = ChallengeParser::new(header);
        let (Some(Ok(found)), None) = (parsed.next(), parsed.next()) else { return Err(Failure::Malformed) };
        let mut parameters = BTreeMap::new();
        for (name, value) in &found.params {
            let value = ParamValue::to_unescaped(value);
            if value.len() > MAX_PARAMETER || parameters.insert(name.to_ascii_lowercase(), value).is_some() {
                return Err(Failure::Malformed);
            }
        }
        let mut take = |name: &str| parameters.remove(name);
        let algorithm = match take("algorithm") {
            None => Algorithm::Md5,
            Some(name) => {
                let named = |algorithm: &Algorithm| algorithm.name().eq_ignore_ascii_case(&name);
                Algorithm::ALL.into_iter().find(named).ok_or(Failure::NotOffered)?
            }
        };
        let is_offered = take("qop").is_some_and(|qop| qop.eq_ignore_ascii_case("auth"))
            && take("userhash").is_none_or(|hashed| hashed.eq_ignore_ascii_case("false"))
            && take("username*").is_none();
        if !is_offered {
            return Err(Failure::NotOffered);
        }
        let mut required = |name| take(name).filter(|value| !value.is_empty()).ok_or(Failure::Malformed);
        let count = required("nc")?;
        if count.len() != 8 || !count.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Failure::Malformed);
        }
        Ok(Self {
            user: required("username")?,
            realm: required("realm")?,
            uri: required("uri")?,
            algorithm,
            nonce: required("nonce")?,
            count,
            cnonce: required("cnonce")?,
            response: required("response")?,
        })
    }

    /// RFC 7616 3.4.1.
    fn expected(&self, secret: &SecretString, method: &str) -> String {
        let Self { uri, nonce, count, cnonce, .. } = self;
        let request = self.algorithm.hash(&format!("{method}:{uri}"));
        let secret = secret.expose_secret();
        self.algorithm.hash(&format!("{secret}:{nonce}:{count}:{cnonce}:auth:{request}"))
    }
}

impl fmt::Debug for Htdigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Htdigest({} entries)", self.secrets.len())
    }
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::super::Key;
    use super::*;

    const REALM: &str = "http-auth@example.org";

    fn users() -> Htdigest {
        let secret = |algorithm: Algorithm| algorithm.hash(&format!("Mufasa:{REALM}:Circle of Life"));
        let lines = Algorithm::ALL.map(|algorithm| format!("Mufasa:{REALM}:{}\n", secret(algorithm)));
        Htdigest::parse(&lines.concat(), REALM).unwrap()
    }

    /// The example of RFC 7616 3.9.1, which has both algorithms.
    fn example(algorithm: Algorithm) -> Answer {
        let response = match algorithm {
            Algorithm::Sha256 => "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1",
            Algorithm::Md5 => "8ca523f5e9506fed4657c9700eebdbec",
        };
        Answer {
            user: "Mufasa".to_owned(),
            realm: REALM.to_owned(),
            uri: "/dir/index.html".to_owned(),
            algorithm,
            nonce: "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v".to_owned(),
            count: "00000001".to_owned(),
            cnonce: "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ".to_owned(),
            response: response.to_owned(),
        }
    }

    fn header(answer: &Answer) -> String {
        let Answer { user, realm, uri, algorithm, nonce, count, cnonce, response } = answer;
        let name = algorithm.name();
        format!(
            "Digest username=\"{user}\", realm=\"{realm}\", uri=\"{uri}\", algorithm={name}, \
             nonce=\"{nonce}\", nc={count}, cnonce=\"{cnonce}\", qop=auth, response=\"{response}\""
        )
    }

    fn head(method: &str, uri: &str) -> Parts {
        Request::builder().method(method).uri(uri).body(()).unwrap().into_parts().0
    }

    fn signed(nonces: &Nonces, now: Instant, count: u32) -> Answer {
        let nonce = nonces.issue(now).unwrap();
        sign(Answer {
            nonce,
            count: format!("{count:08x}"),
            uri: "/".to_owned(),
            ..example(Algorithm::Sha256)
        })
    }

    fn sign(answer: Answer) -> Answer {
        let secret = answer.algorithm.hash(&format!("Mufasa:{REALM}:Circle of Life")).into();
        Answer { response: answer.expected(&secret, "POST"), ..answer }
    }

    #[test]
    fn the_example_of_the_rfc_holds() {
        let now = Instant::now();
        let nonces = Nonces::new(Key::new().unwrap(), now);
        for algorithm in Algorithm::ALL {
            let answer = Answer::read(&header(&example(algorithm))).unwrap();
            let judge = |head| users().judge(&answer, &head, REALM, &nonces, now);
            // The nonce is not ours: all else was right.
            assert_eq!(judge(head("GET", "/dir/index.html")), Err(Failure::Stale));
            assert_eq!(judge(head("POST", "/dir/index.html")), Err(Failure::WrongPassword));
            assert_eq!(judge(head("GET", "/")), Err(Failure::WrongUri));
        }
    }

    #[test]
    fn an_answer_is_good_once() {
        let now = Instant::now();
        let nonces = Nonces::new(Key::new().unwrap(), now);
        let users = users();
        let check = |answer: &Answer, now| {
            users.check(&header(answer), &head("POST", "/"), REALM, &nonces, now).map_err(|(why, _)| why)
        };
        let answer = signed(&nonces, now, 1);
        assert_eq!(check(&answer, now).as_deref(), Ok("Mufasa"));
        assert_eq!(check(&answer, now), Err(Failure::Replayed));
        let second = sign(Answer { count: "00000002".to_owned(), ..answer });
        assert_eq!(check(&second, now + super::super::nonce::LIFETIME), Err(Failure::Stale));
        assert_eq!(check(&second, now).as_deref(), Ok("Mufasa"));
        // The count is signed too.
        assert_eq!(
            check(&Answer { count: "00000003".to_owned(), ..second }, now),
            Err(Failure::WrongPassword)
        );

        let fresh = || signed(&nonces, now, 1);
        let other = |user: &str| Answer { user: user.to_owned(), ..fresh() };
        assert_eq!(check(&other("Scar"), now), Err(Failure::UnknownUser));
        assert_eq!(check(&Answer { realm: "other".to_owned(), ..fresh() }, now), Err(Failure::WrongRealm));
        assert_eq!(check(&Answer { response: "0".repeat(64), ..fresh() }, now), Err(Failure::WrongPassword));
        assert_eq!(check(&Answer { response: "0".to_owned(), ..fresh() }, now), Err(Failure::WrongPassword));
    }

    #[test]
    fn what_is_not_offered_or_not_readable_is_refused() {
        let good = header(&example(Algorithm::Md5));
        assert!(Answer::read(&good).is_ok());
        let read = |header: String| Answer::read(&header).map(drop);
        for (from, to, why) in [
            ("qop=auth", "qop=auth-int", Failure::NotOffered),
            (", qop=auth", "", Failure::NotOffered),
            ("=MD5", "=MD5-sess", Failure::NotOffered),
            ("=MD5", "=SHA-512-256", Failure::NotOffered),
            (", qop", ", userhash=true, qop", Failure::NotOffered),
            (", qop", ", username*=UTF-8''x, qop", Failure::NotOffered),
            ("nc=00000001", "nc=1", Failure::Malformed),
            ("nc=00000001", "nc=+0000001", Failure::Malformed),
            (", nc=00000001", "", Failure::Malformed),
            (", qop", ", NC=00000002, qop", Failure::Malformed),
            ("Mufasa", "", Failure::Malformed),
            ("Mufasa\"", "Mufasa", Failure::Malformed),
            ("Digest ", "Digest x=1, Digest ", Failure::Malformed),
            ("Mufasa", &"M".repeat(MAX_PARAMETER + 1), Failure::Malformed),
        ] {
            let changed = good.replacen(from, to, 1);
            assert_ne!(changed, good);
            assert_eq!(read(changed), Err(why), "{from} {to}");
        }
        assert_eq!(read(String::new()), Err(Failure::Malformed));
        assert_eq!(read("Digest".to_owned()), Err(Failure::NotOffered));
        assert_eq!(read("Digest ,,,=\"".to_owned()), Err(Failure::Malformed));
    }

    #[test]
    fn files_are_read_for_one_realm() {
        let (md5, sha) = ("0".repeat(32), "A".repeat(64));
        let text = format!("a:r:{md5}\na:r:{sha}\nb:other:{md5}\nc:re:alm:{sha}\n");
        let of = |realm| Htdigest::parse(&text, realm).map(|users| users.secrets.len());
        assert_eq!((of("r"), of("other"), of("re:alm")), (Ok(2), Ok(1), Ok(1)));
        assert!(of("none").unwrap_err().why.contains("\"none\""));
        let challenges = |realm| Htdigest::parse(&text, realm).unwrap().challenges(realm, "n", false);
        assert!(challenges("r")[0].contains("SHA-256") && challenges("r")[1].contains("MD5"));
        assert_eq!(challenges("other"), [r#"Digest realm="other", qop="auth", algorithm=MD5, nonce="n""#]);
        for (line, why) in [
            ("a:r:xyz".to_owned(), "32 (MD5) or 64"),
            (format!("a:r:{}", "g".repeat(32)), "32 (MD5) or 64"),
            (format!("a:{md5}"), "with colons"),
            (format!(":r:{md5}"), "name is empty"),
            (format!("a:r:{md5}\na:r:{md5}"), "was there before"),
        ] {
            let wrong = Htdigest::parse(&line, "r").unwrap_err();
            assert!(wrong.line.is_some() && wrong.why.contains(why), "{line}: {wrong:?}");
        }
    }
}
