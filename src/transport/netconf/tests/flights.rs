use proptest::prelude::*;

use super::*;
use crate::transport::{Commit, DeviceError, Session, Store};

/// The operations of a flight, in short.
fn names(rpcs: &[String]) -> Vec<String> {
    let inner = |rpc: &String| {
        let content = rpc.split_once("<rpc ").unwrap().1.split_once('>').unwrap().1;
        content.strip_suffix("</rpc>").unwrap().split("<filter").next().unwrap().to_owned()
    };
    rpcs.iter().map(inner).collect()
}

/// The four flights over a pipe that holds `width` bytes; gives what the peer read.
async fn four_flights(base: &str, width: usize) -> Vec<Vec<String>> {
    let (mut session, mut peer) = connected(base, &CANDIDATE, None, width).await;
    let reads = reads();
    let mtu = reads.paths[0].child("config").child("mtu");
    let mut seen = Vec::new();
    let (before, rpcs) = tokio::join!(session.begin(&reads, soon()), peer.answer([OK, OK, DATA]));
    assert_eq!(before.unwrap().leaf(&mtu), Some("9000"));
    seen.push(rpcs);
    let (staged, rpcs) = tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([OK]));
    staged.unwrap();
    seen.push(rpcs);
    let how = Commit::Timed { timeout: Duration::from_secs(30), persist_id: "id-1".to_owned() };
    let (committed, rpcs) = tokio::join!(session.commit(&how, &reads, soon()), peer.answer([OK, DATA]));
    committed.commit.unwrap();
    assert_eq!(committed.running.unwrap().leaf(&mtu), Some("9000"));
    seen.push(rpcs);
    let (confirmed, rpcs) = tokio::join!(session.confirm("id-1", true, soon()), peer.answer([OK, OK, OK]));
    confirmed.unwrap();
    seen.push(rpcs);
    // Nothing is dirty or locked any more, so nothing is sent.
    session.release(true, soon()).await.unwrap();
    assert!(session.is_open());
    seen
}

#[tokio::test(start_paused = true)]
async fn attach_in_four_flights() {
    let seen = four_flights("1.1", 1 << 16).await;
    let flights: Vec<Vec<String>> = seen.iter().map(|rpcs| names(rpcs)).collect();
    assert_eq!(
        flights,
        [
            vec![
                "<lock><target><candidate/></target></lock>",
                "<lock><target><running/></target></lock>",
                "<get-config><source><running/></source>",
            ],
            vec![
                "<edit-config><target><candidate/></target><default-operation>merge</default-operation>\
                 <error-option>rollback-on-error</error-option><config><interfaces xmlns=\"urn:x\"/></config></edit-config>",
            ],
            vec![
                "<commit><confirmed/><confirm-timeout>30</confirm-timeout><persist>id-1</persist></commit>",
                "<get-config><source><running/></source>",
            ],
            vec![
                "<commit><persist-id>id-1</persist-id></commit>",
                "<unlock><target><running/></target></unlock>",
                "<unlock><target><candidate/></target></unlock>",
            ],
        ]
    );
    let filter = "<filter type=\"subtree\"><interfaces xmlns=\"http://openconfig.net/yang/interfaces\">\
                  <interface><name>eth1</name></interface></interfaces></filter>";
    assert!(seen[0][2].contains(filter), "{}", seen[0][2]);
}

#[tokio::test(start_paused = true)]
async fn a_flight_is_one_write() {
    let (mut session, mut peer) = candidate().await;
    let reads = reads();
    let begin = session.begin(&reads, soon());
    let once = async {
        let mut bytes = vec![0; 1 << 16];
        let length = peer.io.read(&mut bytes).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&bytes[..length]).matches("</rpc>\n##\n").count(), 3);
    };
    tokio::select! { _ = begin => panic!("nobody answered"), () = once => {} }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn any_width_of_the_pipe_and_both_framings(width in 1_usize..400, chunked: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(four_flights(if chunked { "1.1" } else { "1.0" }, width));
    }
}

#[tokio::test(start_paused = true)]
async fn a_refused_lock_lets_the_others_go() {
    let (mut session, mut peer) = candidate().await;
    let reads = reads();
    let (begun, rpcs) = tokio::join!(session.begin(&reads, soon()), async {
        peer.answer([OK, DENIED, DATA]).await;
        peer.answer([OK]).await
    });
    let expected = DeviceError {
        error_type: "protocol".into(),
        tag: "lock-denied".into(),
        severity: "error".into(),
        message: Some("held".into()),
        info: Some("<session-id>7</session-id>".into()),
        ..DeviceError::default()
    };
    assert_eq!(begun, Err(Fault::Rejected(vec![expected])));
    assert_eq!(names(&rpcs), ["<unlock><target><candidate/></target></unlock>"]);
    assert!(session.is_open());

    // The first lock is refused and the second is not.
    let (begun, rpcs) = tokio::join!(session.begin(&reads, soon()), async {
        peer.answer([DENIED, OK, DATA]).await;
        peer.answer([OK]).await
    });
    assert_eq!(rejected_tag(&begun.unwrap_err()), "lock-denied");
    assert_eq!(names(&rpcs), ["<unlock><target><running/></target></unlock>"]);

    // A refused read lets both go.
    let (begun, rpcs) = tokio::join!(session.begin(&reads, soon()), async {
        peer.answer([OK, OK, DENIED]).await;
        peer.answer([OK, OK]).await
    });
    assert_eq!(rejected_tag(&begun.unwrap_err()), "lock-denied");
    assert_eq!(rpcs.len(), 2);

    // A lock that cannot be let go ends the session.
    let (begun, _) = tokio::join!(session.begin(&reads, soon()), async {
        peer.answer([OK, DENIED, DATA]).await;
        peer.answer([DENIED]).await
    });
    assert_eq!(rejected_tag(&begun.unwrap_err()), "lock-denied");
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn only_what_is_ours_is_discarded() {
    let (mut session, mut peer) = candidate().await;
    let reads = reads();
    tokio::join!(session.begin(&reads, soon()), peer.answer([OK, OK, DATA])).0.unwrap();
    // A refused edit may have left something.
    let (staged, _) = tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([DENIED]));
    assert_eq!(rejected_tag(&staged.unwrap_err()), "lock-denied");
    let answers = async { (peer.answer([OK]).await, peer.answer([OK, OK]).await) };
    let (released, (first, then)) = tokio::join!(session.release(true, soon()), answers);
    released.unwrap();
    assert_eq!(names(&first), ["<discard-changes/>"]);
    assert!(names(&then).iter().all(|name| name.starts_with("<unlock>")), "{then:?}");

    // After a cancelled commit the candidate may still hold the edit.
    tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([OK])).0.unwrap();
    let how = Commit::Timed { timeout: Duration::from_secs(1), persist_id: "p".to_owned() };
    tokio::join!(session.commit(&how, &reads, soon()), peer.answer([OK, DATA])).0.commit.unwrap();
    let (cancelled, rpcs) = tokio::join!(session.cancel("p", soon()), peer.answer([OK]));
    cancelled.unwrap();
    assert_eq!(names(&rpcs), ["<cancel-commit><persist-id>p</persist-id></cancel-commit>"]);
    session.release(false, soon()).await.unwrap();
    tokio::join!(session.release(true, soon()), peer.answer([OK])).0.unwrap();

    // After a plain commit there is nothing.
    tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([OK])).0.unwrap();
    let (committed, rpcs) =
        tokio::join!(session.commit(&Commit::Plain, &reads, soon()), peer.answer([OK, DATA]));
    committed.commit.unwrap();
    assert_eq!(names(&rpcs)[0], "<commit/>");
    session.release(true, soon()).await.unwrap();

    // An edit that cannot be discarded is never unlocked.
    tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([OK])).0.unwrap();
    let released = tokio::join!(session.release(true, soon()), peer.answer([DENIED])).0;
    assert_eq!(rejected_tag(&released.unwrap_err()), "lock-denied");
    assert!(!session.is_open());
}

#[tokio::test(start_paused = true)]
async fn without_a_candidate_the_commit_is_the_edit() {
    let (mut session, mut peer) = running().await;
    let reads = reads();
    assert_eq!(session.describe(), "netconf (writable-running, no commit timer)");
    let (begun, rpcs) = tokio::join!(session.begin(&reads, soon()), peer.answer([OK, OK, DATA]));
    begun.unwrap();
    assert_eq!(
        names(&rpcs)[..2],
        ["<lock><target><running/></target></lock>", "<lock><target><startup/></target></lock>"]
    );
    assert!(matches!(session.commit(&Commit::Plain, &reads, soon()).await.commit, Err(Fault::NotSent(_))));
    session.stage(edit(), "id-1", soon()).await.unwrap();
    let timed = Commit::Timed { timeout: Duration::from_secs(1), persist_id: "p".to_owned() };
    assert!(matches!(session.commit(&timed, &reads, soon()).await.commit, Err(Fault::NotSent(_))));
    let (committed, rpcs) =
        tokio::join!(session.commit(&Commit::Plain, &reads, soon()), peer.answer([DENIED, DATA]));
    assert_eq!(rejected_tag(&committed.commit.unwrap_err()), "lock-denied");
    committed.running.unwrap();
    assert_eq!(
        names(&rpcs)[0],
        "<edit-config><target><running/></target><default-operation>merge</default-operation>\
         <error-option>rollback-on-error</error-option><config><interfaces xmlns=\"urn:x\"/></config></edit-config>"
    );
    let (saved, rpcs) = tokio::join!(session.save(soon()), peer.answer([OK]));
    saved.unwrap();
    assert_eq!(
        names(&rpcs),
        ["<copy-config><target><startup/></target><source><running/></source></copy-config>"]
    );
    let (released, rpcs) = tokio::join!(session.release(true, soon()), peer.answer([OK, OK]));
    released.unwrap();
    assert_eq!(
        names(&rpcs),
        ["<unlock><target><startup/></target></unlock>", "<unlock><target><running/></target></unlock>"]
    );
    let (read, rpcs) = tokio::join!(session.read(Store::Startup, &reads, soon()), peer.answer([DATA]));
    read.unwrap();
    assert!(names(&rpcs)[0].contains("<source><startup/>"));
    assert!(matches!(session.confirm("p", true, soon()).await, Err(Fault::NotSent(_))));
    assert!(matches!(session.cancel("p", soon()).await, Err(Fault::NotSent(_))));
    assert!(session.is_open());
}

#[tokio::test(start_paused = true)]
async fn a_session_bound_confirm_names_no_id() {
    let (mut session, mut peer) =
        connected("1.0", &["candidate:1.0", "confirmed-commit:1.0"], None, 1 << 16).await;
    assert_eq!(session.describe(), "netconf (candidate, confirm by this session)");
    let reads = reads();
    let (begun, rpcs) = tokio::join!(session.begin(&reads, soon()), peer.answer([OK, DATA]));
    begun.unwrap();
    // Running cannot be written but by commits, so it is not locked.
    assert_eq!(names(&rpcs)[0], "<lock><target><candidate/></target></lock>");
    let how = Commit::Timed { timeout: Duration::from_millis(1500), persist_id: "p".to_owned() };
    let (committed, rpcs) = tokio::join!(session.commit(&how, &reads, soon()), peer.answer([OK, DATA]));
    committed.commit.unwrap();
    assert_eq!(names(&rpcs)[0], "<commit><confirmed/><confirm-timeout>2</confirm-timeout></commit>");
    let (confirmed, rpcs) = tokio::join!(session.confirm("p", false, soon()), peer.answer([OK]));
    confirmed.unwrap();
    assert_eq!(names(&rpcs), ["<commit/>"]);
    // confirmed-commit:1.0 has no cancel-commit.
    assert!(matches!(session.cancel("p", soon()).await, Err(Fault::NotSent(_))));
    assert!(matches!(session.save(soon()).await, Err(Fault::NotSent(_))));
    assert!(matches!(session.read(Store::Startup, &reads, soon()).await, Err(Fault::NotSent(_))));
}

#[tokio::test(start_paused = true)]
async fn warnings_are_no_errors_and_replies_may_come_in_any_order() {
    let (mut session, mut peer) = candidate().await;
    let warned = DENIED.replace(">error<", ">warning<");
    let both = format!("{warned}<ok/>");
    for reply in [&warned, &both] {
        tokio::join!(session.stage(edit(), "id-1", soon()), peer.answer([reply])).0.unwrap();
    }
    let reads = reads();
    let (begun, ()) = tokio::join!(session.begin(&reads, soon()), async {
        let rpcs = peer.take(3).await;
        for (rpc, reply) in rpcs.iter().zip([OK, OK, DATA]).rev() {
            peer.say(&reply_to(rpc, reply)).await;
        }
    });
    begun.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_a_device_sends_beyond_the_filter_is_pruned() {
    let (mut session, mut peer) = candidate().await;
    let reads = reads();
    let more = DATA.replace("</interfaces>", "<interface><name>eth2</name></interface></interfaces>");
    let (read, _) = tokio::join!(session.read(Store::Running, &reads, soon()), peer.answer([&more]));
    let read = read.unwrap();
    assert!(read.has_entry(&reads.paths[0]));
    assert!(read.iter().all(|(path, _)| path.is_within(&reads.paths[0])));
}

#[tokio::test(start_paused = true)]
async fn observing_is_one_flight_of_two_reads() {
    const STATE: &str = "<data><interfaces xmlns=\"http://openconfig.net/yang/interfaces\"><interface><name>eth1</name>\
        <state><oper-status>UP</oper-status></state></interface></interfaces></data>";
    let (mut session, mut peer) = candidate().await;
    let reads = reads();
    let status = reads.paths[0].child("state").child("oper-status");
    let state = ReadSet { paths: vec![status.clone()], ..reads.clone() };
    let (seen, rpcs) = tokio::join!(session.observe(&reads, &state, soon()), peer.answer([DATA, STATE]));
    let seen = seen.unwrap();
    assert_eq!(seen.running.leaf(&reads.paths[0].child("config").child("mtu")), Some("9000"));
    let found = seen.state.unwrap();
    assert_eq!((found.leaf(&status), found.iter().count()), (Some("UP"), 1));
    assert_eq!(names(&rpcs), ["<get-config><source><running/></source>", "<get>"]);
    assert!(rpcs[1].contains("<name>eth1</name><state><oper-status></oper-status></state>"), "{}", rpcs[1]);

    // What a device reports of itself decides nothing: no answer, or one that is no OpenConfig, harms
    // neither the configuration read beside it nor the session.
    let odd = STATE.replace(">UP<", ">SLEEPY<");
    for (reply, is_refused) in [(DENIED, true), (&odd, false)] {
        let (seen, _) = tokio::join!(session.observe(&reads, &state, soon()), peer.answer([DATA, reply]));
        let fault = seen.unwrap().state.unwrap_err();
        assert_eq!(matches!(fault, Fault::Rejected(_)), is_refused, "{fault}");
        assert!(session.is_open());
    }
    let (seen, _) = tokio::join!(session.observe(&reads, &state, soon()), peer.answer([DENIED, STATE]));
    assert_eq!(rejected_tag(&seen.unwrap_err()), "lock-denied");
}
