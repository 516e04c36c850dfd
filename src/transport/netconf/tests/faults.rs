use super::*;
use crate::transport::{Cause, Commit, Session, Store};

/// Every method that has a flight of its own.
const METHODS: [&str; 8] = ["read", "begin", "stage", "commit", "confirm", "cancel", "save", "release"];

/// A session of which every method sends something.
async fn ready() -> (NetconfSession, Peer) {
    let mut capabilities = CANDIDATE.to_vec();
    capabilities.push("startup:1.0");
    let (mut session, mut peer) = connected("1.1", &capabilities, None, 1 << 16).await;
    let reads = reads();
    tokio::join!(session.begin(&reads, soon()), peer.answer([OK, OK, OK, DATA])).0.unwrap();
    (session, peer)
}

async fn call(session: &mut NetconfSession, method: &str, deadline: Instant) -> Result<(), Fault> {
    let reads = reads();
    match method {
        "read" => session.read(Store::Running, &reads, deadline).await.map(drop),
        "begin" => session.begin(&reads, deadline).await.map(drop),
        "stage" => session.stage(edit(), "id-1", deadline).await,
        "commit" => {
            let committed = session.commit(&Commit::Plain, &reads, deadline).await;
            assert_eq!(committed.commit.as_ref().err(), committed.running.as_ref().err());
            committed.commit
        }
        "confirm" => session.confirm("p", true, deadline).await,
        "cancel" => session.cancel("p", deadline).await,
        "save" => session.save(deadline).await,
        _ => session.release(true, deadline).await,
    }
}

/// What a peer can do instead of answering. The first rpc of the flight is given.
const MISDEEDS: [&str; 10] = [
    "close",
    "half",
    "hang",
    "noise",
    "doctype",
    "empty",
    "unknown id",
    "no id",
    "bad chunk",
    "notification",
];

async fn misbehave(peer: &mut Peer, misdeed: &str) {
    let mut bytes = vec![0; 1 << 16];
    let length = peer.io.read(&mut bytes).await.unwrap();
    let rpc = String::from_utf8_lossy(&bytes[..length]).into_owned();
    let good = reply_to(&rpc, OK);
    match misdeed {
        "close" | "hang" => {}
        "half" => peer.io.write_all(format!("\n#{}\n{}", good.len(), &good[..20]).as_bytes()).await.unwrap(),
        "noise" => peer.say("not xml").await,
        "doctype" => peer.say(&format!("<!DOCTYPE a>{good}")).await,
        "empty" => peer.say(&reply_to(&rpc, "")).await,
        "unknown id" => peer.say(&good.replace("message-id=\"", "message-id=\"9")).await,
        "no id" => peer.say(&good.replace("message-id", "message-no")).await,
        "bad chunk" => peer.io.write_all(b"\n#01\n").await.unwrap(),
        _ => peer.say("<notification xmlns=\"urn:ietf:params:xml:ns:netconf:notification:1.0\"/>").await,
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_answer_is_lost_and_ends_the_session() {
    for method in METHODS {
        for misdeed in MISDEEDS {
            let (mut session, mut peer) = ready().await;
            let deadline = soon();
            let device = async {
                misbehave(&mut peer, misdeed).await;
                (misdeed == "hang").then_some(peer)
            };
            let (result, _hung) = tokio::join!(call(&mut session, method, deadline), device);
            let fits = match (misdeed, &result) {
                ("close" | "half", Err(Fault::Lost(Cause::Closed(_)))) => true,
                ("hang", Err(Fault::Lost(Cause::Deadline(_)))) => Instant::now() >= deadline,
                ("close" | "half" | "hang", _) => false,
                (_, result) => matches!(result, Err(Fault::Lost(Cause::Malformed(_)))),
            };
            assert!(fits, "{method}, {misdeed}: {result:?}");
            assert!(!session.is_open(), "{method}, {misdeed}");
            let again = call(&mut session, method, soon()).await;
            // Locks are gone with the session, so there may be nothing to release.
            let refused = matches!(again, Err(Fault::NotSent(_)));
            assert!(refused || method == "release", "{method}, {misdeed}: {again:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_to_a_peer_that_has_closed_or_when_it_is_too_late() {
    for method in METHODS {
        let (mut session, peer) = ready().await;
        let late = call(&mut session, method, Instant::now()).await;
        assert!(matches!(late, Err(Fault::NotSent(Cause::Deadline(_)))), "{method}: {late:?}");
        assert!(session.is_open(), "{method}");
        drop(peer);
        let closed = call(&mut session, method, soon()).await;
        let refused = matches!(closed, Err(Fault::NotSent(Cause::Closed(_))));
        assert!(refused || method == "release", "{method}: {closed:?}");
        assert!(!session.is_open(), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_got_nothing_or_a_part() {
    // The pipe takes nothing of the flight: the peer never read the hello's last bytes.
    let (mut session, peer) = connected("1.1", &CANDIDATE, None, 64).await;
    let part = call(&mut session, "stage", soon()).await;
    assert!(matches!(part, Err(Fault::Lost(Cause::Deadline(_)))), "{part:?}");
    drop(peer);
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn answers_that_came_before_the_end_count() {
    for (misdeed, cause) in [("close", "session closed"), ("noise", "malformed"), ("hang", "deadline")] {
        let (mut session, mut peer) = ready().await;
        let reads = reads();
        let device = async {
            let rpcs = peer.take(2).await;
            peer.say(&reply_to(&rpcs[0], OK)).await;
            if misdeed == "noise" {
                peer.say("<").await;
            }
            (misdeed != "close").then_some(peer)
        };
        let (committed, _peer) = tokio::join!(session.commit(&Commit::Plain, &reads, soon()), device);
        assert_eq!(committed.commit, Ok(()), "{misdeed}");
        let lost = committed.running.unwrap_err();
        assert!(matches!(lost, Fault::Lost(_)) && lost.to_string().contains(cause), "{misdeed}: {lost}");
        assert!(!session.is_open(), "{misdeed}");
    }
}

#[tokio::test(start_paused = true)]
async fn data_that_the_schema_refuses_is_no_answer() {
    let (mut session, mut peer) = ready().await;
    let reads = reads();
    let wrong = DATA.replace("9000", "many");
    let (committed, _) =
        tokio::join!(session.commit(&Commit::Plain, &reads, soon()), peer.answer([OK, &wrong]));
    assert_eq!(committed.commit, Ok(()));
    assert!(matches!(committed.running, Err(Fault::Lost(Cause::Malformed(_)))), "{:?}", committed.running);
    assert!(!session.is_open());

    let (mut session, mut peer) = candidate().await;
    let (begun, _) = tokio::join!(session.begin(&reads, soon()), peer.answer([OK, OK, &wrong]));
    assert!(matches!(begun, Err(Fault::Lost(Cause::Malformed(_)))), "{begun:?}");
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn an_answer_without_data_is_no_answer_to_a_read() {
    let (mut session, mut peer) = ready().await;
    let reads = reads();
    let (read, _) = tokio::join!(session.read(Store::Running, &reads, soon()), peer.answer([OK]));
    assert!(matches!(read, Err(Fault::Lost(Cause::Malformed(_)))), "{read:?}");

    let (mut session, mut peer) = ready().await;
    let (staged, _) = tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([DATA]));
    assert!(matches!(staged, Err(Fault::Lost(Cause::Malformed(_)))), "{staged:?}");
}

#[tokio::test(start_paused = true)]
async fn a_flight_given_up_half_way_ends_the_session() {
    for method in METHODS {
        let (mut session, mut peer) = ready().await;
        tokio::select! {
            result = call(&mut session, method, soon()) => panic!("{method}: {result:?}"),
            _ = async { peer.io.read(&mut [0; 64]).await } => {}
        }
        assert!(!session.is_open(), "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_session_notices_what_its_peer_does() {
    let (session, peer) = candidate().await;
    assert!(session.is_open());
    drop(peer);
    assert!(!session.is_open());

    let (mut session, mut peer) = candidate().await;
    peer.io.write_all(b"\n#5\nhel").await.unwrap();
    assert!(!session.is_open());
    assert!(matches!(call(&mut session, "read", soon()).await, Err(Fault::NotSent(Cause::Malformed(_)))));

    // Line ends between messages are nothing in the old framing.
    let (session, mut peer) = connected("1.0", &CANDIDATE, None, 1 << 16).await;
    peer.io.write_all(b"\r\n").await.unwrap();
    assert!(session.is_open());
    peer.io.write_all(b"<rpc-reply/>]]>]]>").await.unwrap();
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_payload_cannot_end_its_message() {
    let (mut session, _peer) = connected("1.0", &CANDIDATE, None, 1 << 16).await;
    let staged = session.stage(&Payload::Netconf("a]]>]]>b".to_owned()), "id-1", soon()).await;
    assert!(matches!(staged, Err(Fault::NotSent(Cause::Malformed(_)))), "{staged:?}");
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_goodbye_is_said_and_not_waited_for() {
    let (mut session, mut peer) = candidate().await;
    let start = Instant::now();
    let ((), rpcs) = tokio::join!(session.close(), peer.take(1));
    assert!(rpcs[0].contains("<close-session/>"));
    assert!(start.elapsed() < Duration::from_secs(2) && !session.is_open());
    session.close().await;
}
