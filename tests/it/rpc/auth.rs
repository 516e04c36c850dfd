//! Passwords, shown by clients that nobody here wrote.

use std::time::Duration;

use mercury::access::Principal;
use serde_json::{Value, json};
use tokio::time::timeout;

use super::fake::Server;
use super::place::{Authority, Curl, PASSWORD, Place, curl, htpasswd, md5, sha256};
use super::reset_port;
use crate::peers::{Address, Peer, Serve, python, require, script};

const BASIC: &str = "auth = \"basic\"\nhtpasswd = \"htpasswd\"\n";
const DIGEST: &str = "auth = \"digest\"\nhtdigest = \"htdigest\"\n";

async fn post(server: &Server, arguments: &[&str]) -> Curl {
    curl(&server.url(), &reset_port(Some("1")), arguments).await
}

fn user(password: &str) -> String {
    format!("ironic:{password}")
}

async fn python_client(kind: &str, url: &str, password: &str, ca: Option<&str>) -> Vec<Value> {
    let mut command = tokio::process::Command::new(python());
    command
        .arg(script("http_clients.py"))
        .args([kind, url, "ironic", password])
        .args(ca)
        .env("no_proxy", "*");
    let output = timeout(Duration::from_secs(60), command.output()).await.unwrap().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{kind}: {errors}"))
}

#[tokio::test]
async fn curl_logs_in_with_basic() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let (server, engine) = place.serve(BASIC).await;
    let good = post(&server, &["--user", &user(PASSWORD)]).await;
    assert_eq!((good.status, &good.body["result"]["status"]), (200, &json!("reset")), "{good:?}");
    assert_eq!(engine.callers(), [Principal::User("ironic".to_owned())]);

    let refused = json!({ "error": { "code": 401, "message": "user and password are not right" } });
    for arguments in [["--user", "ironic:wrong"], ["--user", "nobody:x"]] {
        let bad = post(&server, &arguments).await;
        assert_eq!((bad.status, &bad.body), (401, &refused));
        assert!(bad.head.contains("\r\nwww-authenticate: basic realm=\"mercury\"\r\n"), "{}", bad.head);
    }
    let missing = post(&server, &[]).await;
    let message = json!({ "error": { "code": 401, "message": "authentication is required" } });
    assert_eq!((missing.status, missing.body), (401, message));
    // Not offered: it is an attempt all the same.
    assert_eq!(post(&server, &["--oauth2-bearer", "token"]).await.status, 401);
    assert_eq!(engine.callers().len(), 1);
}

#[tokio::test]
async fn curl_logs_in_with_either_digest() {
    if !require(&[Peer::Curl]) {
        return;
    }
    for (file, algorithm) in [
        (sha256("ironic", PASSWORD), "sha-256"),
        (md5("ironic", PASSWORD), "md5"),
        (md5("ironic", PASSWORD) + &sha256("ironic", PASSWORD), "sha-256"),
    ] {
        let place = Place::new();
        place.private("htdigest", &file);
        let (server, engine) = place.serve(DIGEST).await;
        let challenge = post(&server, &[]).await;
        let first = challenge.head.lines().find(|line| line.starts_with("www-authenticate")).unwrap();
        assert!(first.contains(&format!("digest realm=\"mercury\", qop=\"auth\", algorithm={algorithm}")));
        let good = post(&server, &["--digest", "--user", &user(PASSWORD)]).await;
        assert_eq!((good.status, &good.body["result"]["status"]), (200, &json!("reset")), "{good:?}");
        let bad = post(&server, &["--digest", "--user", &user("wrong")]).await;
        assert_eq!((bad.status, &bad.body["error"]["code"]), (401, &json!(401)));
        assert!(!bad.head.contains("stale"));
        assert_eq!(engine.callers(), [Principal::User("ironic".to_owned())]);
    }
}

#[tokio::test]
async fn python_and_keystoneauth_log_in() {
    if !require(&[Peer::PythonHttp]) {
        return;
    }
    let place = Place::new();
    place.server_certificate(&Authority::new("ours"));
    let both = "auth = [\"basic\", \"digest\"]\nhtpasswd = \"htpasswd\"\nhtdigest = \"htdigest\"\n";
    let tls = "[rpc.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
    let (server, engine) = place.serve(&format!("{both}{tls}")).await;
    let ca = place.path("ca.pem").display().to_string();
    let kinds = ["keystoneauth", "basic", "digest"];
    for kind in kinds {
        let answers = python_client(kind, &server.https(), PASSWORD, Some(&ca)).await;
        for answer in &answers {
            assert_eq!(
                (&answer["status"], &answer["body"]["result"]["status"]),
                (&json!(200), &json!("reset"))
            );
        }
    }
    assert_eq!(engine.callers(), vec![Principal::User("ironic".to_owned()); 9]);
    for kind in kinds {
        let (server, _) = place.serve(&format!("{both}{tls}")).await;
        let answers = python_client(kind, &server.https(), "wrong", Some(&ca)).await;
        assert!(
            answers.iter().all(|answer| [json!(401), json!(429)].contains(&answer["status"])),
            "{answers:?}"
        );
        assert_eq!(answers[0]["body"]["error"]["code"], 401);
    }
    assert_eq!(engine.callers().len(), 9);
}

#[tokio::test]
async fn files_of_users_are_read_again() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let (server, _) = place.serve(BASIC).await;
    let status = async |password| post(&server, &["--user", &user(password)]).await.status;
    assert_eq!((status(PASSWORD).await, status("new").await), (200, 401));
    place.private("htpasswd", &htpasswd(&[("ironic", "new")]));
    assert_eq!((status("new").await, status(PASSWORD).await), (200, 401), "also what was remembered ends");
    place.private("htpasswd", "ironic:new\n");
    assert_eq!(status("new").await, 401);
}

#[tokio::test]
async fn an_answer_to_a_digest_is_taken_once() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let (server, engine) = place.serve(DIGEST).await;
    // curl shows what it sent.
    let sent = async |server: &Server| {
        let shown = post(server, &["--digest", "--user", &user(PASSWORD), "--verbose"]).await;
        assert_eq!(shown.status, 200);
        let line =
            shown.errors.lines().find_map(|line| line.strip_prefix("> Authorization: Digest ")).unwrap();
        format!("Authorization: Digest {}", line.trim_end())
    };
    let header = sent(&server).await;
    let replayed = post(&server, &["--header", &header]).await;
    assert_eq!(replayed.status, 401);
    assert!(!replayed.head.contains("stale"));
    // An answer to another process's nonce is right in all but that: the client is told to try again.
    let (other, _) = place.serve(DIGEST).await;
    let foreign = sent(&other).await;
    let stale = post(&server, &["--header", &foreign]).await;
    assert_eq!(stale.status, 401);
    assert!(stale.head.contains("stale=true"), "{}", stale.head);
    let wrong_realm = post(&server, &["--header", &foreign.replace("\"mercury\"", "\"other\"")]).await;
    assert!(wrong_realm.status == 401 && !wrong_realm.head.contains("stale"));
    let other_path = curl(&format!("{}?x", server.url()), "{}", &["--header", &header]).await;
    assert_eq!(other_path.status, 401);
    assert_eq!(engine.callers().len(), 1);
}

#[tokio::test]
async fn passwords_that_bcrypt_would_cut_are_refused() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let longest = "p".repeat(72);
    place.private("htpasswd", &htpasswd(&[("ironic", &longest)]));
    let (server, _) = place.serve(BASIC).await;
    assert_eq!(post(&server, &["--user", &user(&longest)]).await.status, 200);
    assert_eq!(post(&server, &["--user", &user(&"p".repeat(100))]).await.status, 401);
    assert_eq!(post(&server, &["--user", &user(&"p".repeat(71))]).await.status, 401);
}

#[tokio::test]
async fn who_guesses_is_slowed_and_nobody_else() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let (server, _) = place.serve(BASIC).await;
    let wrong = user("wrong");
    let from = |address: &'static str, who: &str| {
        let (url, who) = (server.url(), who.to_owned());
        async move { curl(&url, &reset_port(Some("1")), &["--interface", address, "--user", &who]).await }
    };
    let attempts = futures_util::future::join_all((0..20).map(|_| from("127.0.0.2", &wrong))).await;
    let with = |status| attempts.iter().filter(|attempt| attempt.status == status).count();
    assert!(with(401) >= 3 && with(429) >= 1 && with(401) + with(429) == 20, "{attempts:?}");
    let refused = attempts.iter().find(|attempt| attempt.status == 429).unwrap();
    assert!(refused.head.contains("\r\nretry-after: "), "{}", refused.head);
    assert_eq!(refused.body["error"]["code"], 429);
    assert_eq!(from("127.0.0.1", &user(PASSWORD)).await.status, 200);
    // Slowed, not locked out.
    assert_eq!(from("127.0.0.2", &user(PASSWORD)).await.status, 200);
}

#[tokio::test]
async fn nobody_is_asked_for_a_body_before_a_password() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let (server, _) = place.serve(BASIC).await;
    let long = "x".repeat(3 << 20);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), long).unwrap();
    let data = format!("@{}", file.path().display());
    // curl waits for `100 Continue` before it sends that much.
    let refused = curl(&server.url(), &data, &["--header", "Expect: 100-continue", "--verbose"]).await;
    assert_eq!(refused.status, 401);
    assert!(!refused.errors.contains("100 Continue"), "{}", refused.errors);
    let refused = curl(&server.url(), &data, &["--header", "Expect:"]).await;
    assert_eq!(refused.status, 401, "read on, so that the answer arrives: {refused:?}");
}

#[tokio::test]
async fn rules_say_who_may_do_what() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    place.private("htpasswd", &htpasswd(&[("ironic", PASSWORD), ("reader", PASSWORD)]));
    let rules = "[[access]]\nusers = [\"ironic\"]\nmethods = [\"reset_port\"]\ndevices = [\"*\"]\n\
                 [[access]]\nusers = [\"reader\"]\nmethods = [\"get_switches\"]\ndevices = [\"*\"]\n";
    let (server, engine) = place.serve(&format!("{BASIC}{rules}")).await;
    assert_eq!(post(&server, &["--user", &user(PASSWORD)]).await.body["result"]["status"], "reset");
    let denied = post(&server, &["--user", &format!("reader:{PASSWORD}")]).await;
    let error = json!({
        "code": 403,
        "message": "user `reader` may not call `reset_port`",
        "data": { "class": "ironic.common.exception.NotAuthorized" },
    });
    assert_eq!((denied.status, &denied.body["error"]), (200, &error));
    assert_eq!(engine.callers().len(), 1);
}

#[tokio::test]
async fn only_some_networks_may_connect() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    let (server, _) = place.serve("auth = \"none\"\nnetworks = [\"127.0.0.2/32\", \"10.0.0.0/8\"]\n").await;
    assert_eq!(post(&server, &["--interface", "127.0.0.2"]).await.status, 200);
    let refused = post(&server, &["--interface", "127.0.0.1"]).await;
    assert!(refused.exit != 0 && refused.status == 0, "{refused:?}");
    let (server, _) = place.serve("auth = \"none\"\nnetworks = []\n").await;
    assert_eq!(post(&server, &[]).await.status, 0, "an empty list allows nothing");
}

#[tokio::test]
async fn another_policy_is_in_force_at_once() {
    let place = Place::new();
    let (server, _) = place.serve("auth = \"none\"\n").await;
    let mut open = server.connect().await;
    assert_eq!(open.post("{").await.0, 200);
    let settings = place.load(&format!("[rpc]\nlisten = \"127.0.0.1:0\"\n{BASIC}")).unwrap();
    server.authenticator.reload(settings.rpc.policy);
    assert_eq!(open.post("{").await.0, 401, "also on a connection that was open");
}

#[tokio::test]
async fn every_refusal_is_logged_once_and_without_secrets() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    place.server_certificate(&Authority::new("ours"));
    let both = "auth = [\"basic\", \"digest\"]\nhtpasswd = \"htpasswd\"\nhtdigest = \"htdigest\"\n";
    let tls =
        "networks = [\"127.0.0.1/32\"]\n[rpc.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n";
    place.load(&format!("[rpc]\nlisten = \"127.0.0.1:0\"\n{both}{tls}")).unwrap();
    let mut service = Serve::start(&place.path("mercury.toml")).await.unwrap();
    let Address::Https(address) = service.address.clone() else { panic!("it listens elsewhere") };
    let (url, ca) = (format!("https://{address}/"), place.path("ca.pem").display().to_string());
    let wrong = "hunter2-hunter3";
    let ask = async |arguments: &[&str], body: &str| {
        let all = [&["--cacert", &ca], arguments].concat();
        curl(&url, body, &all).await.status
    };
    let good = user(PASSWORD);
    assert_eq!(ask(&["--user", &user(wrong)], "{}").await, 401);
    assert_eq!(ask(&["--user", &format!("no\u{1b}body:{wrong}")], "{}").await, 401);
    assert_eq!(ask(&["--user", &format!("nobody:{wrong}")], "{}").await, 401);
    assert_eq!(ask(&[], "{}").await, 401);
    assert_eq!(ask(&["--user", &good, "--header", "Origin: http://example.net"], "{}").await, 403);
    assert_eq!(ask(&["--user", &good, "--request", "PUT"], "{}").await, 405);
    assert_eq!(ask(&["--interface", "127.0.0.2"], "{}").await, 0);
    assert_eq!(ask(&["--user", &good], "{").await, 200);
    assert_eq!(ask(&["--user", &good], &reset_port(Some("1"))).await, 200);
    service.terminate().await;
    let log = service.output();
    for (line, times) in [
        ("\"request refused: wrong password\"", 1),
        ("\"request refused: the Authorization header cannot be read\"", 1),
        ("\"request refused: no such user\"", 1),
        ("\"request refused: authentication is required\"", 1),
        ("\"request refused: calls from web pages are refused\"", 1),
        ("\"request refused: Only POST method can be used\"", 1),
        ("\"connection refused: its network is not one of `networks`\"", 1),
        ("\"malformed request\"", 1),
        ("\"outcome\":\"refused\"", 1),
        ("user `ironic`", 2),
        ("\"user\":\"`nobody`\"", 1),
        (wrong, 0),
        (PASSWORD, 0),
        ("Basic ", 0),
    ] {
        assert_eq!(log.matches(line).count(), times, "{line}\n{log}");
    }
}
