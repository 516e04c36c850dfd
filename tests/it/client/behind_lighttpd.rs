//! The client against Basic, Digest and certificates as somebody else understands them: lighttpd,
//! in front of the real service.

use std::fs;
use std::path::Path;

use hex::encode as hex;
use md5::Md5;
use sha2::{Digest, Sha256};

use super::tls::Authority;
use super::*;
use crate::peers::{Lighttpd, Peer, require};
use crate::service::{Site, attach, detach};

/// What is hard to put into a header, and what is hard to hash.
const HARD: &str = r#"a "quoted", \back: slash = é"#;

async fn attaches(client: &Client, port: &str) {
    let answer = client.call("attach_port", attach(port, 100, &[])).await;
    let answer = answer.unwrap_or_else(|error| panic!("{error}"));
    assert!(answer["outcome"] == "applied" || answer["outcome"] == "unchanged", "{answer}");
}

async fn is_refused(url: &str, options: Options) {
    let answer = with(url, options).call("detach_port", detach("eth1")).await;
    let is_refused =
        matches!(&answer, Err(ClientError::Status { status: 401, .. } | ClientError::Unasked { .. }));
    assert!(is_refused, "{url}: {answer:?}");
}

fn as_user(user: &str, password: &str, is_digest: bool) -> Options {
    let (user, password) = (user.to_owned(), password.into());
    let auth = if is_digest { Auth::Digest { user, password } } else { Auth::Basic { user, password } };
    Options { auth, ..Options::default() }
}

#[tokio::test]
async fn digest_and_basic_are_what_others_take_them_for() {
    if !require(&[Peer::Lighttpd]) {
        return;
    }
    let (site, switch) = Site::simulated().await;
    let service = site.serve().await;
    let require = |path: &str, method: &str, algorithm: &str| {
        format!(
            "$HTTP[\"url\"] =^ \"{path}\" {{ auth.require = (\"\" => (\"method\" => \"{method}\", \
             \"algorithm\" => \"{algorithm}\", \"realm\" => \"networking\", \"require\" => \"valid-user\")) }}\n"
        )
    };
    let lines = require("/sha256/", "digest", "SHA-256")
        + &require("/md5/", "digest", "MD5")
        + &require("/both/", "digest", "MD5|SHA-256")
        + "auth.backend = \"htdigest\"\nauth.backend.htdigest.userfile = \"{dir}/htdigest\"\n\
           auth.backend.plain.userfile = \"{dir}/plain\"\n\
           $HTTP[\"url\"] =^ \"/basic/\" { auth.backend = \"plain\" }\n"
        + &require("/basic/", "basic", "");
    let users = [("ironic", PASSWORD), ("other", HARD)];
    let (mut htdigest, mut plain) = (String::new(), String::new());
    for (user, password) in users {
        let a1 = format!("{user}:networking:{password}");
        for hash in [hex(Sha256::digest(&a1)), hex(Md5::digest(&a1))] {
            htdigest += &format!("{user}:networking:{hash}\n");
        }
        plain += &format!("{user}:{password}\n");
    }
    let server =
        Lighttpd::start(&service.process.address, &lines, &[("htdigest", htdigest), ("plain", plain)]).await;
    for (path, is_digest) in [("sha256", true), ("md5", true), ("both", true), ("basic", false)] {
        let url = format!("http://127.0.0.1:{}/{path}/", server.port);
        for (user, password) in users {
            attaches(&with(&url, as_user(user, password, is_digest)), "eth1").await;
            is_refused(&url, as_user(user, "wrong", is_digest)).await;
        }
        is_refused(&url, as_user("nobody", PASSWORD, is_digest)).await;
        is_refused(&url, as_user("ironic", PASSWORD, !is_digest)).await;
        is_refused(&url, Options::default()).await;
        // One nonce for many calls, and for calls at the same time.
        let client = with(&url, as_user("ironic", PASSWORD, is_digest));
        for _ in 0..3 {
            tokio::join!(attaches(&client, "eth1"), attaches(&client, "eth2"));
        }
    }
    assert_eq!(switch.commits(), 2);
}

#[tokio::test]
async fn openssl_takes_our_certificate() {
    if !require(&[Peer::Lighttpd]) {
        return;
    }
    let (site, switch) = Site::simulated().await;
    let service = site.serve().await;
    let (authority, stranger) = (Authority::new(), Authority::new());
    let certificate = authority.issue("127.0.0.1", false);
    let read = |path: &Path| fs::read_to_string(path).expect("just written");
    let files = [
        ("server.pem", read(&certificate.certificate_file) + &read(&certificate.key_file)),
        ("ca.pem", read(&authority.file())),
    ];
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let lines = format!(
            "ssl.engine = \"enable\"\nssl.pemfile = \"{{dir}}/server.pem\"\n\
             ssl.openssl.ssl-conf-cmd = (\"MinProtocol\" => \"{protocol}\", \"MaxProtocol\" => \"{protocol}\")\n\
             ssl.verifyclient.activate = \"enable\"\nssl.verifyclient.enforce = \"enable\"\n\
             ssl.verifyclient.ca-file = \"{{dir}}/ca.pem\"\n"
        );
        let server = Lighttpd::start(&service.process.address, &lines, &files).await;
        let url = format!("https://127.0.0.1:{}", server.port);
        let show = |identity| Options { identity, ..authority.options() };
        attaches(&with(&url, show(Some(authority.issue("ironic", false)))), "eth1").await;
        for identity in [None, Some(stranger.issue("ironic", false)), Some(authority.issue("ironic", true))] {
            let error = fails(&with(&url, show(identity))).await;
            assert!(matches!(&error, ClientError::NotSent { .. }), "{protocol}: {error:?}\n{}", server.log());
        }
    }
    assert_eq!(switch.commits(), 1);
}
