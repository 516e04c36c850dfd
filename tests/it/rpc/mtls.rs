//! TLS, and callers who show a certificate.

use mercury::access::Principal;

use super::fake::Server;
use super::place::{Authority, Curl, PASSWORD, Place, curl};
use super::reset_port;
use crate::peers::{Peer, require};

const TLS: &str = "[rpc.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
const MTLS: &str =
    "client_ca = \"client-ca.pem\"\nclient_names = [\"conductor\", \"re:c[0-9].example.org\"]\n";

/// A place with a server's certificate, and clients' of an authority of theirs.
fn place() -> (Place, Authority) {
    let place = Place::new();
    place.server_certificate(&Authority::new("ours"));
    let clients = Authority::new("theirs");
    clients.write(&place.path("client-ca.pem"));
    place.certificate("conductor", &clients, "conductor", &[], 2200);
    place.certificate("c1", &clients, "x", &["c1.example.org"], 2200);
    place.certificate("stranger", &clients, "stranger", &["c1.example.org.evil"], 2200);
    place.certificate("expired", &clients, "conductor", &[], 2024);
    place.certificate("forged", &Authority::new("theirs"), "conductor", &[], 2200);
    (place, clients)
}

async fn post(server: &Server, place: &Place, client: Option<&str>, arguments: &[&str]) -> Curl {
    let path = |name: String| place.path(&name).display().to_string();
    let ca = path("ca.pem".to_owned());
    let files = client.map(|name| (path(format!("{name}.pem")), path(format!("{name}.key"))));
    let mut all = vec!["--cacert", &ca];
    if let Some((certificate, key)) = &files {
        all.extend(["--cert", certificate, "--key", key]);
    }
    all.extend(arguments);
    curl(&server.https(), &reset_port(Some("1")), &all).await
}

#[tokio::test]
async fn tls_is_of_today_unless_told_otherwise() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let (place, _) = place();
    let (server, _) = place.serve(&format!("auth = \"none\"\n{TLS}")).await;
    assert_eq!(post(&server, &place, None, &[]).await.status, 200);
    assert_eq!(post(&server, &place, None, &["--tlsv1.2", "--tls-max", "1.2"]).await.exit, 35);
    // Only HTTP/1.1 is spoken, whatever is offered.
    let offered = post(&server, &place, None, &["--http2", "--verbose"]).await;
    assert!(offered.status == 200 && offered.errors.contains("ALPN: server accepted http/1.1"));
    assert_ne!(curl(&server.url(), "{}", &[]).await.exit, 0, "without TLS there is nothing");
    let wrong = place.path("client-ca.pem").display().to_string();
    assert_eq!(curl(&server.https(), "{}", &["--cacert", &wrong]).await.exit, 60);

    let (old, _) = place.serve(&format!("auth = \"none\"\n{TLS}min_version = \"1.2\"\n")).await;
    assert_eq!(post(&old, &place, None, &["--tlsv1.2", "--tls-max", "1.2"]).await.status, 200);
    assert_eq!(post(&old, &place, None, &["--tlsv1.3"]).await.status, 200);
    assert_eq!(post(&old, &place, None, &["--tlsv1.0", "--tls-max", "1.1"]).await.exit, 35);
}

#[tokio::test]
async fn certificates_of_expected_names_are_let_in() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let (place, _) = place();
    let (server, engine) = place.serve(&format!("auth = \"mtls\"\n{TLS}{MTLS}")).await;
    for client in ["conductor", "c1"] {
        let answer = post(&server, &place, Some(client), &[]).await;
        assert_eq!(answer.status, 200, "{client}: {answer:?}");
    }
    let names =
        |names: &[&str]| Principal::Certificate(names.iter().map(|name| (*name).to_owned()).collect());
    assert_eq!(engine.callers(), [names(&["conductor"]), names(&["x", "c1.example.org"])]);

    let stranger = post(&server, &place, Some("stranger"), &[]).await;
    assert_eq!((stranger.status, &stranger.body["error"]["code"]), (403, &403.into()));
    for client in [Some("expired"), Some("forged"), None] {
        let refused = post(&server, &place, client, &[]).await;
        assert!(refused.exit != 0 && refused.status == 0, "{client:?}: {refused:?}");
    }
    assert_eq!(engine.calls.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn a_password_or_a_certificate_is_enough() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let (place, _) = place();
    let both = "auth = [\"mtls\", \"basic\"]\nhtpasswd = \"htpasswd\"\n";
    let (server, engine) = place.serve(&format!("{both}{TLS}{MTLS}")).await;
    let user = format!("ironic:{PASSWORD}");
    let status = async |client, arguments: &[&str]| post(&server, &place, client, arguments).await.status;
    assert_eq!(status(None, &["--user", &user]).await, 200);
    assert_eq!(status(Some("conductor"), &[]).await, 200);
    assert_eq!(status(Some("stranger"), &["--user", &user]).await, 200);
    assert_eq!(
        status(Some("conductor"), &["--user", "ironic:wrong"]).await,
        401,
        "what is shown must be right"
    );
    assert_eq!(status(Some("stranger"), &[]).await, 403);
    assert_eq!(status(None, &[]).await, 401);
    let user = Principal::User("ironic".to_owned());
    let certificate = Principal::Certificate(vec!["conductor".to_owned()]);
    assert_eq!(engine.callers(), [user.clone(), certificate, user]);
}

#[tokio::test]
async fn rules_name_certificates() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let (place, _) = place();
    let rules = "[[access]]\ncertificates = [\"c1.example.org\"]\nmethods = [\"*\"]\ndevices = [\"*\"]\n";
    let (server, _) = place.serve(&format!("auth = \"mtls\"\n{TLS}{MTLS}{rules}")).await;
    assert!(post(&server, &place, Some("c1"), &[]).await.body["result"].is_object());
    let denied = post(&server, &place, Some("conductor"), &[]).await;
    assert_eq!((denied.status, &denied.body["error"]["code"]), (200, &403.into()));
}

#[tokio::test]
async fn a_reload_is_felt_by_connections_that_are_open() {
    let (place, _) = place();
    let rpc = |names: &str, ca: &str| {
        let listen = "[rpc]\nlisten = \"127.0.0.1:0\"\nauth = \"mtls\"\n";
        let settings = place.load(&format!("{listen}{TLS}client_ca = \"{ca}\"\nclient_names = {names}\n"));
        settings.unwrap().rpc.policy
    };
    let (server, _) = place.serve(&format!("auth = \"mtls\"\n{TLS}{MTLS}")).await;
    let mut open = server.connect_tls(&place, "conductor").await;
    assert_eq!(open.post("{").await.0, 200);
    server.authenticator.reload(rpc("[\"*\"]", "client-ca.pem"));
    assert_eq!(open.post("{").await.0, 200);
    server.authenticator.reload(rpc("[\"c1\"]", "client-ca.pem"));
    assert_eq!(open.post("{").await.0, 403);
    server.authenticator.reload(rpc("[\"*\"]", "ca.pem"));
    assert_eq!(open.post("{").await.0, 403, "its authority is not believed any more");
    server.authenticator.reload(rpc("[\"*\"]", "client-ca.pem"));
    assert_eq!(open.post("{").await.0, 200);
    server.authenticator.reload(rpc("[]", "client-ca.pem"));
    assert_eq!(open.post("{").await.0, 403);
}

#[tokio::test]
async fn networks_are_looked_at_again_on_connections_that_are_open() {
    let place = Place::new();
    let rpc = |networks: &str| {
        let text = format!("[rpc]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\nnetworks = {networks}\n");
        place.load(&text).unwrap().rpc.policy
    };
    let (server, _) = place.serve("auth = \"none\"\nnetworks = [\"127.0.0.0/8\"]\n").await;
    let mut open = server.connect().await;
    assert_eq!(open.post("{").await.0, 200);
    server.authenticator.reload(rpc("[\"192.0.2.0/24\"]"));
    assert_eq!(open.post("{").await.0, 403);
}
