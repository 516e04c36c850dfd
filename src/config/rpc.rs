//! `[rpc]` and `[[access]]`: where the service listens, who may connect, who may do what.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::reader::{Item, Problems, Table};
use crate::access::{Access, Pattern, Rule};
use crate::device::credentials::CredentialPolicy;
use crate::pem;
use crate::rpc::auth::basic::Htpasswd;
use crate::rpc::auth::digest::Htdigest;
use crate::rpc::auth::file::{Parse, UserFile};
use crate::rpc::auth::{Methods, Policy};
use crate::rpc::tls::{ClientCa, MinVersion, Tls};

/// Where the service listens and whom it lets in.
#[derive(Clone, Debug)]
pub struct Rpc {
    pub listen: Listen,
    /// Lets nobody in where credentials were not read.
    pub policy: Policy,
}

/// Where the service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Port 0 lets the system choose.
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A word of `auth`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Auth {
    None,
    Basic,
    Digest,
    Mtls,
}

const WORDS: [(&str, Auth); 4] =
    [("none", Auth::None), ("basic", Auth::Basic), ("digest", Auth::Digest), ("mtls", Auth::Mtls)];
const DEFAULT_REALM: &str = "mercury";
/// `sun_path` of unix(7) less the NUL at its end.
const MAX_SOCKET_PATH: usize = 107;

/// Reads `[rpc]`.
pub(super) fn read(table: &Table, credentials: CredentialPolicy, problems: &Problems) -> Option<Rpc> {
    let listen = read_listen(table);
    let auth = read_auth(table);
    if let (Some(listen), Some(auth)) = (&listen, &auth) {
        check_exposure(table, listen, auth);
    }
    let networks = table
        .get("networks")
        .map(|item| item.list(|item| item.read(|text| text.parse().map_err(|_| not_a_network(text)))));
    let reader = Reader { auth: auth.as_deref().unwrap_or_default(), credentials, problems };
    let methods = reader.methods(table);
    let tls = table.get("tls").map(|_| table.table("tls", |tls| reader.tls(tls)));
    if auth.as_ref().is_some_and(|auth| auth.contains(&Auth::Mtls)) && tls.is_none() {
        table.refuse("tls", "missing; \"mtls\" needs [rpc.tls]");
    }
    let (listen, auth) = (listen?, auth?);
    if credentials == CredentialPolicy::Skip {
        return Some(Rpc { listen, policy: Policy::closed() });
    }
    // What is written and wrong must not become what is not written.
    let (networks, (tls, certificates)) = (flip(networks)?, flip(tls)?.unzip());
    let certificates = certificates.flatten();
    let methods = Methods { certificates, ..methods? };
    let methods = (!auth.contains(&Auth::None)).then_some(methods);
    Some(Rpc { listen, policy: Policy { networks, tls, methods } })
}

/// Reads every `[[access]]`, for callers that `[rpc]` lets in.
pub(super) fn read_access(root: &Table, rpc: Option<&Rpc>) -> Option<Access> {
    if root.get("access").is_some() && rpc.is_some_and(|rpc| rpc.policy.methods.is_none()) {
        root.refuse("access", "callers have no names with `auth = \"none\"`: every call would be refused");
    }
    // `access = []` is a list of rules, and it is empty.
    root.get("access").map_or(Some(Access::Unlimited), |_| {
        let mut rules = Some(Vec::new());
        root.tables("access", |table| match (read_rule(table), &mut rules) {
            (Some(rule), Some(rules)) => rules.push(rule),
            _ => rules = None,
        });
        rules.map(Access::Rules)
    })
}

fn read_rule(table: &Table) -> Option<Rule> {
    let patterns = |item: Item| item.list(|item| item.read(Pattern::new));
    let required = |key| table.required(key).and_then(patterns);
    let (methods, devices) = (required("methods"), required("devices"));
    let (users, certificates) = (table.get("users"), table.get("certificates"));
    if users.is_none() && certificates.is_none() {
        table.refuse("users", "missing; give `users`, `certificates` or both");
        return None;
    }
    let callers = |item: Option<Item>| item.map_or(Some(Vec::new()), patterns);
    let (users, certificates) = (callers(users), callers(certificates));
    Some(Rule { users: users?, certificates: certificates?, methods: methods?, devices: devices? })
}

fn read_listen(table: &Table) -> Option<Listen> {
    let item = table.one_of("listen", "unix")?;
    if item.name == "unix" {
        return socket_path(&item);
    }
    item.read(|text| {
        let wrong = |_| format!("expected ADDRESS:PORT such as \"127.0.0.1:8089\", found \"{text}\"");
        text.parse().map(Listen::Tcp).map_err(wrong)
    })
}

/// One word, or several in a list.
fn read_auth(table: &Table) -> Option<Vec<Auth>> {
    let item = table.required("auth")?;
    let word = |item: &Item| item.choice(&WORDS);
    if !item.is_list() {
        return word(&item).map(|word| vec![word]);
    }
    let words = item.list(word)?;
    let twice = words.iter().enumerate().any(|(n, word)| words[..n].contains(word));
    if words.is_empty() || twice || words.len() > 1 && words.contains(&Auth::None) {
        item.refuse("expected one word or several different ones; \"none\" stands alone");
        return None;
    }
    Some(words)
}

/// Nobody unknown and no password over a network that others can listen to.
fn check_exposure(table: &Table, listen: &Listen, auth: &[Auth]) {
    let has_tls = table.get("tls").is_some();
    let plaintext = table.get("allow_plaintext").and_then(|item| item.boolean()).unwrap_or(false);
    let address = match listen {
        Listen::Tcp(address) => address,
        Listen::Unix(_) => {
            for key in ["tls", "networks", "allow_plaintext"] {
                if table.get(key).is_some() {
                    table.refuse(key, "has no meaning for a unix socket");
                }
            }
            return;
        }
    };
    if address.ip().to_canonical().is_loopback() {
        return;
    }
    if auth.contains(&Auth::None) {
        let why = format_args!("\"none\" needs a loopback address or a unix socket, not {address}");
        table.refuse("auth", why);
    } else if !has_tls && !plaintext {
        let why = format_args!(
            "passwords would cross the network of {address} in the clear: add [rpc.tls]; \
             `allow_plaintext = true` accepts that"
        );
        table.refuse("auth", why);
    }
}

/// What reading a part of `[rpc]` needs besides its table.
struct Reader<'a> {
    auth: &'a [Auth],
    credentials: CredentialPolicy,
    problems: &'a Problems,
}

impl Reader<'_> {
    fn methods(&self, table: &Table) -> Option<Methods> {
        let realm = table.get("realm").map_or(Some(DEFAULT_REALM.to_owned()), |item| item.read(realm));
        let basic = self.users(table, "htpasswd", Auth::Basic, Box::new(Htpasswd::parse));
        let of_realm = realm.clone().unwrap_or_default();
        let parse = move |text: &str| Htdigest::parse(text, &of_realm);
        let digest = self.users(table, "htdigest", Auth::Digest, Box::new(parse));
        Some(Methods { realm: realm?, basic: basic?, digest: digest?, certificates: None })
    }

    /// The file of users that one of the methods needs, and no other.
    fn users<T: Default>(
        &self,
        table: &Table,
        key: &'static str,
        method: Auth,
        parse: Parse<T>,
    ) -> Option<Option<Arc<UserFile<T>>>> {
        let Some(item) = self.belongs(table, key, method)? else { return Some(None) };
        let path = item.path()?;
        if self.credentials == CredentialPolicy::Skip {
            return Some(None);
        }
        match UserFile::open(&path, parse) {
            Ok(file) => Some(Some(Arc::new(file))),
            Err(wrong) => {
                match wrong.line {
                    Some(line) => self.problems.about_line(&path, line, wrong),
                    None => item.refuse(format_args!("{}: {wrong}", path.display())),
                }
                None
            }
        }
    }

    fn tls(&self, table: &Table) -> Option<(Tls, Option<Vec<Pattern>>)> {
        let read = |key, read: fn(&std::path::Path) -> _| {
            table.required(key).and_then(|item| self.file(&item, read))
        };
        let chain = read("certificate", pem::certificates);
        let key = table.required("key").and_then(|item| self.file(&item, pem::private_key));
        let least = table.get("min_version").map_or(Some(MinVersion::default()), |item| {
            item.choice(&[("1.2", MinVersion::Tls12), ("1.3", MinVersion::Tls13)])
        });
        let clients = self.belongs(table, "client_ca", Auth::Mtls).and_then(|item| match item {
            None => Some(None),
            Some(item) => self.file(&item, pem::authorities).map(Some),
        });
        let names = self.belongs(table, "client_names", Auth::Mtls).and_then(|item| match item {
            None => Some(None),
            Some(item) => item.list(|item| item.read(Pattern::new)).map(Some),
        });
        let (chain, key, least, clients, names) = (chain?, key?, least?, clients?, names?);
        // Where passwords are taken too, a caller may come without a certificate.
        let clients = clients.map(|roots| ClientCa { roots, optional: self.auth.len() > 1 });
        match Tls::new(chain, key, clients, least) {
            Ok(tls) => Some((tls, names)),
            Err(why) => {
                table.refuse("certificate", why);
                None
            }
        }
    }

    /// A key that must be there with a method and has no meaning without it.
    fn belongs<'t>(&self, table: &Table<'t>, key: &'static str, method: Auth) -> Option<Option<Item<'t>>> {
        let word = WORDS.iter().find(|(_, word)| *word == method).map_or("", |(text, _)| text);
        match (table.get(key), self.auth.contains(&method)) {
            (None, false) => Some(None),
            (Some(item), true) => Some(Some(item)),
            (Some(item), false) => {
                // Whether it belongs is not known while `auth` is wrong.
                if !self.auth.is_empty() {
                    item.refuse(format_args!("has no meaning without \"{word}\" in `auth`"));
                }
                None
            }
            (None, true) => {
                table.refuse(key, format_args!("missing; \"{word}\" in `auth` needs it"));
                None
            }
        }
    }

    fn file<T>(&self, item: &Item, read: impl Fn(&std::path::Path) -> Result<T, String>) -> Option<T> {
        let path = item.path()?;
        if self.credentials == CredentialPolicy::Skip {
            return None;
        }
        match read(&path) {
            Ok(value) => Some(value),
            Err(why) => {
                item.refuse(format_args!("{}: {why}", path.display()));
                None
            }
        }
    }
}

/// Absent is fine, present and wrong is not.
fn flip<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    read.map_or(Some(None), |value| value.map(Some))
}

/// One that needs no escapes in a header and no care in a file of users.
fn realm(text: &str) -> Result<String, &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_.@".contains(c);
    if text.trim() == text && (1..=64).contains(&text.len()) && text.chars().all(is_plain) {
        return Ok(text.to_owned());
    }
    Err("expected 1 to 64 letters, digits, spaces, and characters of `-_.@`")
}

fn not_a_network(text: &str) -> String {
    format!("expected a network such as \"10.0.0.0/8\" or \"2001:db8::/32\", found \"{text}\"")
}

fn socket_path(item: &Item) -> Option<Listen> {
    let path = item.path()?;
    if path.as_os_str().len() > MAX_SOCKET_PATH {
        item.refuse(format_args!("longer than the {MAX_SOCKET_PATH} bytes a socket's path can have"));
        return None;
    }
    Some(Listen::Unix(path))
}
