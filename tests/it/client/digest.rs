//! How challenges are answered; that the answers are right is for [`super::behind_lighttpd`] to show.

use serde_json::json;

use super::peer::{Peer, Seen, result, says};
use super::*;

const SHA: &str = "Digest realm=\"r\", qop=\"auth\", algorithm=SHA-256, nonce=\"sha\"";
const MD5: &str = "Digest realm=\"r\", qop=\"auth\", algorithm=MD5, nonce=\"md5\"";

fn challenge(challenges: &[&str]) -> peer::Act {
    let lines: String =
        challenges.iter().map(|challenge| format!("www-authenticate: {challenge}\r\n")).collect();
    says("401 Unauthorized", lines, r#"{"error": {"code": 401, "message": "Authorization required"}}"#)
}

/// A parameter of a Digest answer, without its quotes.
fn parameter<'s>(seen: &'s Seen, name: &str) -> &'s str {
    let value = seen.header("authorization").strip_prefix("Digest ").expect("a Digest answer");
    let of = value.split(", ").filter_map(|pair| pair.split_once('='));
    of.filter(|(found, _)| *found == name).map(|(_, value)| value.trim_matches('"')).next().unwrap_or("")
}

#[tokio::test]
async fn a_nonce_is_counted_until_it_is_stale() {
    let stale = format!("{}, stale=true", SHA.replace("\"sha\"", "\"new\""));
    let peer = Peer::start(vec![vec![
        challenge(&[SHA]),
        result(json!(1)),
        result(json!(2)),
        challenge(&[&stale]),
        result(json!(3)),
    ]])
    .await;
    let client = with(&peer.url(), digest());
    for expected in 1..=3 {
        assert_eq!(call(&client).await.unwrap(), expected);
    }
    let seen = peer.seen();
    assert_eq!(seen[0].header("authorization"), "");
    let used: Vec<_> =
        seen[1..].iter().map(|seen| (parameter(seen, "nonce"), parameter(seen, "nc"))).collect();
    assert_eq!(used, [("sha", "00000001"), ("sha", "00000002"), ("sha", "00000003"), ("new", "00000001")]);
    let cnonces: std::collections::BTreeSet<&str> =
        seen[1..].iter().map(|seen| parameter(seen, "cnonce")).collect();
    assert_eq!(cnonces.len(), 4);
    for seen in &seen {
        assert!(!format!("{seen:?}").contains(PASSWORD));
    }
}

#[tokio::test]
async fn the_stronger_algorithm_is_taken_and_nothing_weaker_than_digest() {
    for challenges in [vec![MD5, SHA], vec![SHA, MD5], vec!["Basic realm=\"r\"", MD5, SHA]] {
        for joined in [false, true] {
            let line = challenges.join(", ");
            let lines = if joined { vec![line.as_str()] } else { challenges.clone() };
            let peer = Peer::start(vec![vec![challenge(&lines), result(json!(1))]]).await;
            call(&with(&peer.url(), digest())).await.unwrap();
            assert_eq!(parameter(&peer.seen()[1], "algorithm"), "SHA-256", "{lines:?}");
        }
    }
    // Without qop an answer can be replayed; auth-int is not offered; Basic would give the password away.
    for weak in [
        "Basic realm=\"r\"",
        "Digest realm=\"r\", nonce=\"n\"",
        "Digest realm=\"r\", nonce=\"n\", qop=\"auth-int\"",
        "x",
    ] {
        let peer = Peer::start(vec![vec![challenge(&[weak])]]).await;
        let error = fails(&with(&peer.url(), digest())).await;
        let why = match weak.split_once(' ') {
            Some(("Digest", _)) => "HTTP 401: Authorization required",
            Some(_) => "HTTP 401: it takes Basic, and Digest was chosen",
            None => "HTTP 401: it takes x, and Digest was chosen",
        };
        assert!(error.to_string().ends_with(why), "{error}");
        assert_eq!(peer.seen().len(), 1, "{weak}");
    }
}

#[tokio::test]
async fn a_refused_password_is_tried_once() {
    let peer =
        Peer::start(vec![vec![challenge(&[SHA]), challenge(&[SHA]), challenge(&[SHA]), result(json!(1))]])
            .await;
    let client = with(&peer.url(), digest());
    let error = fails(&client).await;
    assert!(error.to_string().contains("HTTP 401") && !error.is_outcome_unknown(), "{error}");
    assert_eq!(peer.seen().len(), 2);
    // The next call begins anew, as if it were the first.
    call(&client).await.unwrap();
    assert_eq!(peer.seen()[2].header("authorization"), "");

    // A peer that calls every nonce stale is not followed for ever.
    let stale = format!("{SHA}, stale=true");
    let peer = Peer::start(vec![(0..9).map(|_| challenge(&[&stale])).collect()]).await;
    fails(&with(&peer.url(), digest())).await;
    assert_eq!(peer.seen().len(), 4);

    // Basic has nothing else to say after a refusal.
    let peer = Peer::start(vec![vec![challenge(&["Basic realm=\"r\"", SHA])]]).await;
    fails(&with(&peer.url(), basic())).await;
    assert_eq!(peer.seen().len(), 1);
}

#[test]
fn users_that_cannot_be_sent_are_refused() {
    let options = |user: &str, is_digest: bool| {
        let (user, password) = (user.to_owned(), PASSWORD.into());
        let auth = if is_digest { Auth::Digest { user, password } } else { Auth::Basic { user, password } };
        Options { auth, ..Options::default() }
    };
    for (user, is_digest) in [("", false), ("", true), ("a:b", false), ("a\nb", false), ("a\r\nb", true)] {
        let refused = Client::new("http://h", options(user, is_digest));
        assert!(matches!(refused, Err(ClientError::Setup { .. })), "{user:?}");
    }
    assert!(!format!("{:?}", options("a", true)).contains(PASSWORD));
}
