//! What stands in the way: other people at work, a device that says no, one that cannot be reached.

use std::fs;
use std::net::TcpListener;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::peers::{Peer, require};
use crate::service::{Failure, Site, and, attach, login, update};

const QUICK: &str = "request_timeout = \"6s\"\nlock_wait = \"1s\"\n";

/// A call that fails without having changed anything.
async fn refused(service: &Service, method: &str, params: &Value) -> Failure {
    match service.call(method, params.clone()).await {
        Err(failure) => failure,
        Ok(answer) => panic!("{method} {params}: {answer}"),
    }
}

fn session_id(hello: &str) -> &str {
    let (_, from) = hello.split_once("<session-id>").expect("a hello with a session-id");
    from.split_once('<').expect("a whole hello").0
}

#[tokio::test]
async fn a_lock_of_somebody_else_is_waited_for_and_then_named() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for (shape, store, phase, tried) in [
        (Shape::Candidate, "candidate", "lock", "lock"),
        // Not locked there by us: netconfd cannot undo a commit while running is locked.
        (Shape::Candidate, "running", "commit", "confirmed-commit"),
        (Shape::RunningStartup, "running", "lock", "lock"),
        (Shape::RunningStartup, "startup", "lock", "lock"),
    ] {
        let (server, proxy) = Netconfd::start_with_proxy(shape, vec![]).await;
        let mut operator = Operator::of(&server, shape).await;
        let before = operator.running().await;
        let service = Site::of(&server).limits(QUICK).serve().await;
        let lock = format!("<lock><target><{store}/></target></lock>");
        operator.session.ok(&lock).await;
        let started = Instant::now();
        let failure = refused(&service, "update_port", &update("eth1", "access", 100, &[])).await;
        assert!(started.elapsed() < Duration::from_secs(4), "took {:?}", started.elapsed());
        assert_eq!(
            (failure.class(), failure.phase(), failure.outcome()),
            ("NetworkError", phase, "rolled_back")
        );
        let holder = format!("session-id>{}<", session_id(operator.session.hello()));
        assert!(failure.message.contains(&holder), "{holder}: {failure:?}");
        assert!(failure.message.contains("the switch is as before"), "{failure:?}");
        assert_eq!(operator.running().await, before);
        // Released while it is waited for: nobody notices but by the time it took.
        let tries = requests(&proxy, &[tried]);
        let call = service.start_call("attach_port", attach("eth1", 100, &[]));
        proxy.wait_for_nth(Event::request(tried), tries + 1).await;
        operator.session.ok(&lock.replace("lock>", "unlock>")).await;
        assert_eq!(call.await.expect("no panic").expect("it succeeds")["outcome"], "applied");
        operator.assert_at_rest().await;
    }
}

#[tokio::test]
async fn a_candidate_that_somebody_works_on_is_left_exactly_as_it_is() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let shape = Shape::Candidate;
    let server = Netconfd::start(shape).await;
    let mut operator = Operator::of(&server, shape).await;
    let site = Site::of(&server).limits(QUICK);
    let service = site.serve().await;
    call(&service, "attach_port", &attach("eth1", 100, &[])).await;
    operator.session.edit("candidate", &ethernet("eth2", "<description>half done</description>", "")).await;
    let (running, candidate) = (operator.running().await, operator.data("candidate").await);
    let failure = refused(&service, "attach_port", &attach("eth1", 101, &[])).await;
    assert_eq!(
        (failure.class(), failure.phase(), failure.outcome()),
        ("NetworkError", "lock", "rolled_back")
    );
    assert_eq!(operator.running().await, running);
    assert_eq!(operator.data("candidate").await, candidate);
    assert_eq!(site.journal(), "");
    // Their work ends as they want it to, and then ours goes.
    operator.session.ok("<commit/>").await;
    call(&service, "attach_port", &attach("eth1", 101, &[])).await;
    assert_eq!(operator.port("eth2").await, "description=half done");
    operator.assert_at_rest().await;
}

#[tokio::test]
async fn a_device_that_cannot_be_reached_or_trusted_is_left_alone() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let shape = Shape::Candidate;
    let server = Netconfd::start(shape).await;
    let mut operator = Operator::of(&server, shape).await;
    let before = operator.running().await;
    let site = Site::new();
    let file = |name: &str, text: &str| {
        fs::write(site.path(name), text).expect("the directory is ours");
        site.path(name).display().to_string()
    };
    let good = fs::read_to_string(&server.known_hosts).expect("netconfd's own file");
    let made = Command::new("ssh-keygen")
        .args(["-q", "-t", "ed25519", "-N", "", "-f"])
        .arg(site.path("other"))
        .status();
    assert!(made.expect("ssh-keygen runs").success());
    let other = fs::read_to_string(site.path("other.pub")).expect("made by ssh-keygen");
    let (name, _) = good.split_once(' ').expect("a line of a host");
    let changed = file("changed", &format!("{name} {other}"));
    let unknown = file("unknown", "");
    let wrong_key = site.path("other").display().to_string();
    let closed =
        TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port").port();
    let (port, hosts, key) =
        (server.port.to_string(), server.known_hosts.display().to_string(), server.key.display().to_string());
    let cases = [
        ("changed", login(&server).replace(&hosts, &changed), "host key"),
        ("unknown", login(&server).replace(&hosts, &unknown), "host key"),
        ("closed", login(&server).replace(&port, &closed.to_string()), "cannot connect"),
        ("login", login(&server).replace(&key, &wrong_key), "; our key is from /"),
    ];
    for (name, lines, says) in cases {
        // Each is a site of its own: they are one device, which one inventory cannot have twice.
        let lines = format!("{lines}profile = \"netconfd_openconfig\"\nallowed_vlans = \"100-199\"\n");
        let own = Site::new().limits(QUICK).device("leaf1", &lines);
        let service = own.serve().await;
        for (method, params) in
            [("attach_port", attach("eth1", 100, &[])), ("update_port", update("eth1", "access", 100, &[]))]
        {
            let failure = refused(&service, method, &params).await;
            assert_eq!(
                (failure.class(), failure.phase(), failure.outcome()),
                ("NetworkError", "connect", "rolled_back"),
                "{name}"
            );
            assert!(
                failure.message.contains(says) && failure.message.contains("nothing was changed"),
                "{name}: {failure:?}"
            );
            let failure = refused(&service, method, &and(params, "dry_run", true)).await;
            assert!(
                failure.class() == "NetworkError" && failure.message.contains(says),
                "{name}: {failure:?}"
            );
        }
        assert_eq!(own.journal(), "", "{name}");
        assert!(!service.process.output().contains("PRIVATE KEY"), "{name}");
    }
    assert_eq!(operator.running().await, before);
    operator.assert_at_rest().await;
}

#[tokio::test]
async fn what_the_device_refuses_is_told_in_its_own_words() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let (_yang, options) = narrow(shape);
        let server = Netconfd::start_with(options).await;
        let mut operator = Operator::of(&server, shape).await;
        operator.apply(&ethernet("eth1", "<description>lab</description>", "")).await;
        let member = "<ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\"><config>\
                      <aggregate-id xmlns=\"http://openconfig.net/yang/interfaces/aggregate\">lag1</aggregate-id>\
                      </config></ethernet>";
        let lag = "<config><name>lag1</name><type>t:ieee8023adLag</type></config>";
        operator.apply(&interface("lag1", lag)).await;
        operator.apply(&ethernet("eth2", "", member)).await;
        let before = operator.running().await;
        let site = Site::of(&server).limits(QUICK);
        let service = site.serve().await;

        let mtu = |port, mtu: u16| and(attach(port, 100, &[]), "network", json!({ "mtu": mtu }));
        for port in ["eth1", "eth3"] {
            let failure = refused(&service, "attach_port", &mtu(port, 9217)).await;
            let phase = if shape == Shape::Candidate { "stage" } else { "commit" };
            assert_eq!(
                (failure.class(), failure.phase(), failure.outcome()),
                ("NetworkError", phase, "rolled_back")
            );
            assert!(
                failure.message.contains("mtu") && failure.message.contains("invalid-value"),
                "{failure:?}"
            );
            assert!(failure.message.contains("as before, read back and compared"), "{failure:?}");
            assert_eq!(operator.running().await, before);
        }

        let failure = refused(&service, "attach_port", &attach("eth2", 100, &[])).await;
        assert_eq!((failure.code, failure.class()), (400, "InvalidParameterValue"));
        assert!(failure.message.contains("member of lag1"), "{failure:?}");
        assert_eq!(operator.running().await, before);
        operator.assert_at_rest().await;
        assert_eq!(site.journal(), "");

        // Nothing of that is in the way of what comes after; the LAG itself has VLANs as any port.
        call(&service, "attach_port", &mtu("eth1", 9216)).await;
        call(&service, "attach_port", &attach("lag1", 100, &[101])).await;
        assert_eq!(
            operator.port("lag1").await,
            "description=NEUTRON interface-mode=TRUNK native-vlan=100 trunk-vlans=101"
        );
        operator.assert_at_rest().await;
    }
}
