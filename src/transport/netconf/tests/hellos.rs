use super::*;
use crate::transport::{Cause, Session, Store};

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

#[tokio::test(start_paused = true)]
async fn a_first_rpc_that_stuck_behind_the_hello_is_pushed() {
    let (mut session, mut peer) = candidate().await;
    let reads = reads();
    let (read, nudge) = tokio::join!(session.read(Store::Running, &reads, soon()), async {
        let mut rpcs = peer.take(1).await;
        rpcs.extend(peer.take(1).await);
        for rpc in &rpcs {
            peer.say(&reply_to(rpc, DATA)).await;
        }
        rpcs.remove(1)
    });
    assert!(read.unwrap().has_entry(&reads.paths[0]));
    assert!(nudge.contains("message-id=\"0\"") && nudge.contains("<get-config>"), "{nudge}");
    // Once: from now on a late reply is only late.
    let (read, _) = tokio::join!(session.read(Store::Running, &reads, soon()), async {
        let rpcs = peer.take(1).await;
        tokio::time::sleep(Duration::from_secs(5)).await;
        peer.say(&reply_to(&rpcs[0], DATA)).await;
    });
    read.unwrap();
    assert!(session.is_open());
}
