use super::*;
use crate::transport::{Cause, Session};

/// What opening a session over these first words of the peer gives.
async fn open(words: &str, then_close: bool) -> Result<NetconfSession, Fault> {
    let (ours, mut io) = duplex(1 << 16);
    io.write_all(words.as_bytes()).await.unwrap();
    let peer = (!then_close).then_some(io);
    let session = NetconfSession::over(Box::new(ours), &habits(None), soon()).await;
    drop(peer);
    session
}

#[tokio::test(start_paused = true)]
async fn hellos_that_are_refused() {
    let good = hello("1.1", &CANDIDATE);
    for bad in [
        good.replace(BASE, "urn:other"),
        good.replace("<session-id>4</session-id>", ""),
        good.replace("<session-id>4<", "<session-id>0<"),
        good.replace("netconf:base:1.1", "netconf:base:2.0"),
        format!("<!DOCTYPE hello>{good}"),
        "Welcome!\r\n]]>]]>".to_owned(),
        "<rpc-reply/>]]>]]>".to_owned(),
    ] {
        let fault = open(&bad, false).await.err().unwrap();
        assert!(matches!(fault, Fault::NotSent(Cause::Malformed(_))), "{bad}: {fault}");
    }
    let fault = open(&hello("1.1", &["startup:1.0"]), false).await.err().unwrap();
    assert!(matches!(fault, Fault::NotSent(Cause::Unsupported(_))), "{fault}");
    let fault = open(&good[..40], true).await.err().unwrap();
    assert!(matches!(fault, Fault::NotSent(Cause::Closed(_))), "{fault}");
    let fault = open(&good[..40], false).await.err().unwrap();
    assert!(matches!(fault, Fault::NotSent(Cause::Deadline(_))), "{fault}");
}

#[tokio::test(start_paused = true)]
async fn the_first_rpc_keeps_away_from_the_hello() {
    let (ours, mut io) = duplex(1 << 16);
    io.write_all(hello("1.1", &CANDIDATE).as_bytes()).await.unwrap();
    let start = Instant::now();
    let session = NetconfSession::over(Box::new(ours), &habits(None), soon()).await.unwrap();
    assert!(start.elapsed() >= Duration::from_millis(10));
    assert_eq!(session.session_id(), 4);
    assert_eq!(session.describe(), "netconf (candidate, confirm by persist-id)");
    assert!(session.promises().atomic);
}
