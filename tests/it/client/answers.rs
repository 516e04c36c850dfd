//! What a caller learns when something goes wrong, and that nothing is ever sent twice that may have
//! been carried out.

use mercury::client::{ClientError, Options};
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};

use super::peer::{Act, Peer, http, raw, result, says};
use super::*;

/// The status that an error names.
fn status(error: &ClientError) -> u16 {
    match error {
        ClientError::Status { status, .. } => *status,
        other => panic!("no status: {other:?}"),
    }
}

fn is_lost(error: &ClientError) -> bool {
    matches!(error, ClientError::Lost { .. }) && error.is_outcome_unknown()
}

#[tokio::test]
async fn a_connection_is_used_again_and_again() {
    let peer = Peer::start(vec![vec![result(json!(1)), says("503 No", "", "{}"), result(json!(3))]]).await;
    let client = client(&peer.url());
    assert_eq!(call(&client).await.unwrap(), 1);
    assert_eq!(status(&fails(&client).await), 503);
    assert_eq!(call(&client).await.unwrap(), 3);
    let seen = peer.seen();
    assert_eq!(seen.len(), 3);
    let first = &seen[0];
    assert!(first.head.starts_with("POST / HTTP/1.1\r\n"), "{}", first.head);
    assert_eq!(first.header("host"), peer.address.to_string());
    assert_eq!(first.header("content-type"), "application/json");
    assert_eq!(first.header("authorization"), "");
    assert_eq!(
        (&first.body["method"], &first.body["params"]["port_name"]),
        (&json!("reset_port"), &json!("eth1"))
    );
    assert_eq!(first.body["id"], first.body["params"]["context"]["request_id"]);
    assert_ne!(first.body["id"], seen[1].body["id"]);
}

#[tokio::test]
async fn calls_at_the_same_time_have_a_connection_each() {
    let peer = Peer::start(vec![vec![result(json!(1))], vec![result(json!(1))]]).await;
    let client = client(&peer.url());
    let (one, other) = tokio::join!(call(&client), call(&client));
    assert_eq!((one.unwrap(), other.unwrap()), (json!(1), json!(1)));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_nothing() {
    let peer = Peer::start(vec![vec![result(json!(1)), Act::Close], vec![result(json!(2))]]).await;
    let witness = Peer::start(vec![vec![result(json!(0))]]).await;
    let client = client(&peer.url());
    assert_eq!(call(&client).await.unwrap(), 1);
    peer.closed().await;
    // Its answer comes after the goodbye of the first one.
    call(&super::client(&witness.url())).await.unwrap();
    assert_eq!(call(&client).await.unwrap(), 2);
    let connections: Vec<usize> = peer.seen().iter().map(|seen| seen.connection).collect();
    assert_eq!(connections, [0, 1]);
    // One that is announced.
    let close =
        |seen: &peer::Seen| http("200 OK", "connection: close\r\n", &seen.answer(&json!(1)).to_string());
    let peer = Peer::start(vec![vec![Act::Say(Box::new(close))], vec![result(json!(2))]]).await;
    let client = super::client(&peer.url());
    assert_eq!((call(&client).await.unwrap(), call(&client).await.unwrap()), (json!(1), json!(2)));
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_lost_and_not_sent_again() {
    // Also on a connection that was good for one answer: who closed it may have read the second call.
    let hang_up = || Act::Say(Box::new(|_| String::new()));
    for (acts, calls) in
        [(vec![hang_up(), Act::Close], 1), (vec![result(json!(1)), hang_up(), Act::Close], 2)]
    {
        let peer = Peer::start(vec![acts, vec![result(json!(2))]]).await;
        let client = client(&peer.url());
        for _ in 1..calls {
            call(&client).await.unwrap();
        }
        let error = fails(&client).await;
        assert!(is_lost(&error), "{error:?}");
        assert_eq!(peer.seen().len(), calls);
        assert!(error.to_string().starts_with(&peer.url()), "{error}");
        assert!(error.to_string().ends_with("NOT KNOWN"), "{error}");
    }
}

#[tokio::test]
async fn an_answer_must_come_in_time_and_whole() {
    let endless = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let half = http("200 OK", "", "0123456789").replace("56789", "");
    for (act, closes) in [
        (Act::Hang, false),
        (raw("HTTP/1.1 200"), false),
        (raw(half.clone()), false),
        (raw(half), true),
        (raw(format!("{endless}5\r\n{{\"jso")), true),
        (raw("SSH-2.0-OpenSSH\r\n\r\n"), true),
    ] {
        let mut acts = vec![act];
        acts.extend(closes.then_some(Act::Close));
        let peer = Peer::start(vec![acts, vec![result(json!(2))]]).await;
        let error = fails(&impatient(&peer.url())).await;
        assert!(is_lost(&error), "{error:?}");
        assert_eq!(peer.seen().len(), 1);
    }
}

#[tokio::test]
async fn an_answer_has_a_limit() {
    let small = |url: &str| with(url, Options { max_answer: 1000, ..Options::default() });
    let chunk = format!("3e8\r\n{}\r\n", "x".repeat(1000));
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    for text in [
        // Not a body of a gigabyte: the promise is enough.
        "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n{".to_owned(),
        format!("{chunked}{chunk}{chunk}"),
    ] {
        let peer = Peer::start(vec![vec![raw(text)]]).await;
        let error = fails(&small(&peer.url())).await;
        assert!(matches!(error, ClientError::Malformed { .. }) && error.is_outcome_unknown(), "{error:?}");
        assert!(error.to_string().contains("longer than 1000 octets"), "{error}");
    }
    let fits = |seen: &peer::Seen| {
        let answer = seen.answer(&json!("")).to_string();
        let filled = seen.answer(&json!("x".repeat(1000 - answer.len()))).to_string();
        http("200 OK", "", &filled)
    };
    let peer = Peer::start(vec![vec![Act::Say(Box::new(fits))]]).await;
    call(&small(&peer.url())).await.unwrap();
}

#[tokio::test]
async fn statuses_say_whether_anything_was_carried_out() {
    for (line, known) in [
        ("400 Bad Request", true),
        ("401 Unauthorized", true),
        ("403 Forbidden", true),
        ("404 Not Found", true),
        ("405 Method Not Allowed", true),
        ("413 Payload Too Large", true),
        ("503 Service Unavailable", true),
        ("303 See Other", false),
        ("500 Internal Server Error", false),
        ("502 Bad Gateway", false),
        ("504 Gateway Timeout", false),
    ] {
        let body = r#"{"error": {"code": 1, "message": "in its own words"}}"#;
        let peer = Peer::start(vec![vec![says(line, "", body), says(line, "", "<html>")]]).await;
        let client = client(&peer.url());
        let (explained, bare) = (fails(&client).await, fails(&client).await);
        let code = &line[..3];
        assert_eq!(explained.to_string(), format!("{}: HTTP {code}: in its own words", peer.url()));
        assert_eq!(bare.to_string(), format!("{}: HTTP {}", peer.url(), line.replacen(' ', ": ", 1)));
        assert_eq!(explained.is_outcome_unknown(), !known, "{line}");
    }
    let peer = Peer::start(vec![vec![raw("HTTP/1.1 204 No Content\r\n\r\n")]]).await;
    let error = fails(&client(&peer.url())).await;
    assert!(matches!(error, ClientError::Malformed { .. }), "{error:?}");
    let peer = Peer::start(vec![vec![says("200 OK", "", "<html>")]]).await;
    let error = fails(&client(&peer.url())).await;
    assert!(matches!(error, ClientError::Malformed { .. }), "{error:?}");
}

#[tokio::test]
async fn without_a_connection_nothing_is_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let free = listener.local_addr().unwrap();
    drop(listener);
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("no.sock");
    let authority = tls::Authority::new();
    for (url, options) in [
        (format!("http://{free}"), Options::default()),
        (format!("https://{free}"), authority.options()),
        (format!("unix:{}", socket.display()), Options::default()),
    ] {
        let error = fails(&with(&url, options)).await;
        assert!(matches!(error, ClientError::NotSent { .. }) && !error.is_outcome_unknown(), "{error:?}");
    }
    // A socket that nobody serves any more.
    drop(UnixListener::bind(&socket).unwrap());
    let error = fails(&client(&format!("unix:{}", socket.display()))).await;
    assert!(error.to_string().contains("refused"), "{error}");
}

#[tokio::test]
async fn redirects_are_followed_with_credentials_only_on_the_same_host() {
    let other = Peer::start(vec![vec![result(json!("other"))]]).await;
    let to_path = || says("307 Temporary Redirect", "location: /v1/?a=b\r\n", "");
    let to_other = || says("307 Temporary Redirect", format!("location: {}\r\n", other.url()), "");

    let peer = Peer::start(vec![vec![to_path(), result(json!("here")), to_other()]]).await;
    let client = with(&peer.url(), basic());
    assert_eq!(call(&client).await.unwrap(), "here");
    let seen = peer.seen();
    assert!(seen[1].head.starts_with("POST /v1/?a=b HTTP/1.1\r\n"), "{}", seen[1].head);
    assert_eq!(seen[0].body, seen[1].body);
    for seen in &seen {
        assert_eq!(seen.header("authorization"), "Basic aXJvbmljOmNvcnJlY3QgaG9yc2U=");
    }

    for credentials in [basic(), digest()] {
        let peer = Peer::start(vec![vec![to_other()]]).await;
        let error = fails(&with(&peer.url(), credentials)).await;
        assert_eq!(status(&error), 307);
        assert!(!error.is_outcome_unknown());
        assert!(error.to_string().contains("credentials are not sent to another host"), "{error}");
    }
    assert_eq!(other.seen().len(), 0);

    // Who has no credentials can lose none.
    let peer = Peer::start(vec![vec![to_other()]]).await;
    assert_eq!(call(&super::client(&peer.url())).await.unwrap(), "other");

    let around = || says("308 Permanent Redirect", "location: /\r\n", "");
    let peer = Peer::start(vec![(0..10).map(|_| around()).collect()]).await;
    assert_eq!(status(&fails(&super::client(&peer.url())).await), 308);
    assert_eq!(peer.seen().len(), 6);
    for location in
        ["", "location: elsewhere\r\n", "location: unix:/run/m.sock\r\n", "location: https://h/\r\n"]
    {
        let peer = Peer::start(vec![vec![says("307 Temporary Redirect", location, "")]]).await;
        assert_eq!(status(&fails(&super::client(&peer.url())).await), 307);
    }
}
