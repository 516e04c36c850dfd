//! The client and the service's own authentication, over TLS and a simulated switch.

use std::fs;

use hex::encode as hex;
use md5::Md5;
use mercury::sim::Switch;
use sha2::{Digest as _, Sha256};

use super::tls::{Authority, set_mode};
use super::*;
use crate::service::{Service, Site, attach, detach};

/// A service on 127.0.0.1 that knows `ironic` and his password, and its callers' authority.
struct Lab {
    service: Service,
    switch: Switch,
    authority: Authority,
}

impl Lab {
    /// `{ca}` in the lines for `[rpc.tls]` is the authority's certificate.
    async fn start(auth: &str, tls: &str) -> Self {
        let (site, switch) = Site::simulated().await;
        let authority = Authority::new();
        let server = authority.issue("127.0.0.1", false);
        let a1 = format!("ironic:networking:{PASSWORD}");
        let hashes = [hex(Sha256::digest(&a1)), hex(Md5::digest(&a1))];
        let files = [
            ("basic", "htpasswd", format!("ironic:{}\n", bcrypt::hash(PASSWORD, 4).expect("a hash"))),
            ("digest", "htdigest", hashes.map(|hash| format!("ironic:networking:{hash}\n")).concat()),
        ];
        let mut rpc = format!("listen = \"127.0.0.1:0\"\nauth = [{auth}]\nrealm = \"networking\"\n");
        for (_, name, text) in files.iter().filter(|(method, ..)| auth.contains(method)) {
            fs::write(site.path(name), text).expect("the directory is ours");
            set_mode(&site.path(name), 0o600);
            rpc += &format!("{name} = \"{name}\"\n");
        }
        let (certificate, key) = (server.certificate_file.display(), server.key_file.display());
        rpc += &format!("[rpc.tls]\ncertificate = \"{certificate}\"\nkey = \"{key}\"\n{tls}");
        let rpc = rpc.replace("{ca}", &authority.file().display().to_string());
        Self { service: site.rpc(&rpc).serve().await, switch, authority }
    }

    fn url(&self) -> String {
        self.service.process.address.to_string()
    }

    fn client(&self, options: Options) -> Client {
        with(&self.url(), Options { ca_file: Some(self.authority.file()), ..options })
    }

    /// What a caller with these options is told.
    async fn answers(&self, options: Options) -> Result<Value, ClientError> {
        self.client(options).call("attach_port", attach("eth1", 100, &[])).await
    }

    async fn is_refused(&self, options: Options) {
        let answer = self.answers(options).await;
        assert!(matches!(&answer, Err(ClientError::Status { status: 401 | 403, .. })), "{answer:?}");
    }
}

fn wrong(mut options: Options) -> Options {
    if let Auth::Basic { password, .. } | Auth::Digest { password, .. } = &mut options.auth {
        *password = "wrong".into();
    }
    options
}

#[tokio::test]
async fn passwords_open_the_service() {
    for (auth, options) in [
        ("\"basic\"", vec![basic()]),
        ("\"digest\"", vec![digest()]),
        ("\"basic\", \"digest\"", vec![basic(), digest()]),
    ] {
        let lab = Lab::start(auth, "").await;
        for options in options {
            lab.is_refused(wrong(options.clone())).await;
            let result = lab.answers(options.clone()).await.unwrap_or_else(|error| panic!("{auth}: {error}"));
            assert_eq!(result["devices"][0]["port"], "eth1");
            // Many at the same time, with one nonce.
            let client = lab.client(options);
            let calls = (0..20).map(|_| client.call("detach_port", detach("eth2")));
            for answer in futures_util::future::join_all(calls).await {
                answer.unwrap_or_else(|error| panic!("{auth}: {error}"));
            }
        }
        lab.is_refused(Options::default()).await;
        assert_eq!(lab.switch.commits(), 2, "{auth}");
    }
}

#[tokio::test]
async fn certificates_open_the_service() {
    let stranger = Authority::new();
    for version in ["1.2", "1.3"] {
        let tls =
            format!("min_version = \"{version}\"\nclient_ca = \"{{ca}}\"\nclient_names = [\"conductor\"]\n");
        let lab = Lab::start("\"mtls\"", &tls).await;
        let show = |identity| Options { identity, ..Options::default() };
        let known = show(Some(lab.authority.issue("conductor", false)));
        lab.answers(known).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(lab.switch.commits(), 1);
        for identity in [
            None,
            Some(lab.authority.issue("other", false)),
            Some(lab.authority.issue("conductor", true)),
            Some(stranger.issue("conductor", false)),
        ] {
            let error = lab.answers(show(identity)).await.expect_err("it is no caller of ours");
            assert!(!error.is_outcome_unknown(), "{error}");
        }
        assert_eq!(lab.switch.commits(), 1);
    }
}
