//! One call for several links: on one switch, and on two, they stand or fall together.

use std::time::Duration;

use serde_json::json;

use super::faults::{AFTER, BEFORE, Bench};
use super::*;
use crate::peers::{Action, Peer, Rule, require};
use crate::service::{Failure, Site, and, attach, login};

const PROFILE: &str = "profile = \"netconfd_openconfig\"\nallowed_vlans = \"100-199\"\n";

/// An attach of several links, each a switch and a port.
fn links(links: &[(&str, &str)]) -> Value {
    let mut params = attach(links[0].1, 100, &[]);
    let links: Vec<Value> =
        links.iter().map(|(switch, port)| json!({ "switch_id": switch, "port_id": port })).collect();
    params["port"]["binding:profile"]["local_link_information"] = json!(links);
    params
}

#[tokio::test]
async fn the_links_of_a_port_on_one_switch_are_one_change() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let mut bench = Bench::new(shape, "").await;
        let lag = "<config><name>lag1</name><type>t:ieee8023adLag</type></config>";
        bench.operator.apply(&interface("lag1", lag)).await;
        let member = "<ethernet xmlns=\"http://openconfig.net/yang/interfaces/ethernet\"><config>\
                      <aggregate-id xmlns=\"http://openconfig.net/yang/interfaces/aggregate\">lag1</aggregate-id>\
                      </config></ethernet>";
        bench.operator.apply(&ethernet("eth2", "", member)).await;
        let before = bench.operator.running().await;
        let params = links(&[("leaf1", "eth1"), ("leaf1", "eth2")]);
        let failure = bench.service.call("attach_port", params).await.expect_err("eth2 is in a LAG");
        assert_eq!((failure.code, failure.class()), (400, "InvalidParameterValue"), "{failure:?}");
        assert_eq!(bench.operator.running().await, before);

        let params = links(&[("leaf1", "eth1"), ("leaf1", "eth3")]);
        let edits = requests(&bench.proxy, &["edit-config"]);
        let change = call(&bench.service, "attach_port", &params).await;
        assert_eq!(change["outcome"], "applied");
        assert_eq!(requests(&bench.proxy, &["edit-config"]), edits + 1);
        assert_eq!(bench.operator.port("eth1").await, AFTER);
        assert_ne!(bench.operator.port("eth3").await, "");
        // Each link has its own inverse.
        for device in change["devices"].as_array().expect("an array") {
            bench.operator.apply(device["inverse"].as_str().expect("an inverse")).await;
        }
        assert_eq!(bench.operator.running().await, before);
        bench.operator.assert_at_rest().await;
    }
}

/// Two switches, of which the second takes no mtu above 9216.
struct Pair {
    one: Bench,
    two: Operator,
    proxy: Proxy,
    service: Service,
    site: Site,
    _server: Netconfd,
}

impl Pair {
    async fn new(shape: Shape, limits: &str) -> Self {
        let one = Bench::new(shape, "").await;
        let (_yang, options) = narrow(shape);
        let (server, proxy) = Netconfd::start_behind_proxy(options, vec![]).await;
        let mut two = Operator::of(&server, shape).await;
        let access = switched("<interface-mode>ACCESS</interface-mode><access-vlan>12</access-vlan>");
        two.apply(&ethernet("eth1", "<description>lab</description>", &access)).await;
        let lines = |server| format!("{}{PROFILE}", login(server));
        let site =
            Site::new().limits(limits).device("leaf1", &lines(&one.server)).device("leaf2", &lines(&server));
        Self { service: site.serve().await, one, two, proxy, site, _server: server }
    }

    async fn fails(&mut self, params: Value) -> Failure {
        match self.service.call("attach_port", params).await {
            Err(failure) => failure,
            Ok(answer) => panic!("{answer}"),
        }
    }

    /// Both switches hold this on eth1, and rest.
    async fn assert_both(&mut self, expected: &str) {
        assert_eq!(self.one.operator.port("eth1").await, expected);
        assert_eq!(self.two.port("eth1").await, expected);
        self.one.operator.assert_at_rest().await;
        self.two.assert_at_rest().await;
        assert_eq!(self.site.journal(), "");
    }
}

#[tokio::test]
async fn links_on_two_switches_stand_or_fall_together() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let both = links(&[("leaf2", "eth1"), ("leaf1", "eth1")]);
    for shape in BOTH {
        let mut pair = Pair::new(shape, "request_timeout = \"6s\"\nlock_wait = \"1s\"\n").await;
        // One refuses the edit.
        let failure = pair.fails(and(both.clone(), "network", json!({ "mtu": 9217 }))).await;
        assert_eq!(failure.outcome(), "rolled_back", "{failure:?}");
        pair.assert_both(BEFORE).await;
        // One is locked by somebody else.
        pair.two.session.ok("<lock><target><running/></target></lock>").await;
        if shape == Shape::RunningStartup {
            let failure = pair.fails(both.clone()).await;
            assert_eq!((failure.phase(), failure.outcome()), ("lock", "rolled_back"), "{failure:?}");
        }
        pair.two.session.ok("<unlock><target><running/></target></unlock>").await;
        pair.assert_both(BEFORE).await;
        // The answer of one is lost, before and after it stands.
        if shape == Shape::Candidate {
            pair.proxy.add(Rule::new("confirmed-commit", Action::DropReply));
            let failure = pair.fails(both.clone()).await;
            assert_eq!((failure.phase(), failure.outcome()), ("commit", "rolled_back"), "{failure:?}");
            pair.assert_both(BEFORE).await;
        }
        let last = if shape == Shape::Candidate { "confirm" } else { "copy-config" };
        pair.proxy.add(Rule::new(last, Action::DropReply));
        let change = call(&pair.service, "attach_port", &both).await;
        assert_eq!(change["outcome"], "applied");
        pair.assert_both(AFTER).await;
    }
}

/// What a failure says of one switch: how it ended and why.
fn told<'f>(failure: &'f Failure, switch: &str) -> (&'f str, &'f str) {
    let devices = failure.data["devices"].as_array().expect("an array");
    let device = devices.iter().find(|device| device["device"] == switch).expect("every switch is told of");
    let word = |name: &str| device["outcome"][name].as_str().expect("a word");
    (word("result"), word("cause"))
}

#[tokio::test]
async fn what_one_switch_has_confirmed_is_taken_back_when_the_other_cannot_follow() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    let both = links(&[("leaf1", "eth1"), ("leaf2", "eth1")]);
    // Saved here, and not there.
    let mut pair = Pair::new(Shape::RunningStartup, "request_timeout = \"6s\"\nlock_wait = \"1s\"\n").await;
    pair.proxy.add(Rule::new("copy-config", Action::DropRequest));
    let failure = pair.fails(both.clone()).await;
    assert_eq!((failure.phase(), failure.outcome()), ("save", "rolled_back"), "{failure:?}");
    pair.assert_both(BEFORE).await;

    // Confirmed here, and there nobody gets through until its timer has run out.
    let mut pair = Pair::new(Shape::Candidate, "request_timeout = \"4s\"\nlock_wait = \"1s\"\n").await;
    let before = pair.two.running().await;
    pair.proxy.add(Rule::new("confirm", Action::HoldRequest));
    let answer = pair.service.start_call("attach_port", both.clone());
    pair.proxy.wait_for(Event::request("confirm")).await;
    (1..200).for_each(|nth| pair.proxy.add(Rule::new("hello", Action::DropRequest).nth(nth)));
    let failure = answer.await.expect("no panic").expect_err("nobody can know");
    assert_eq!(failure.outcome(), "unknown");
    assert_eq!(told(&failure, "leaf2").0, "unknown");
    let (outcome, cause) = told(&failure, "leaf1");
    assert!(outcome == "rolled_back" && cause.starts_with("leaf2: "), "{failure:?}");
    assert_eq!(pair.one.operator.port("eth1").await, BEFORE);
    assert_ne!(pair.site.journal(), "");
    becomes(&mut pair.two, &before, Duration::from_secs(10)).await;
    pair.proxy.clear();
    pair.site.without_limits();
    call(&pair.site.serve().await, "attach_port", &both).await;
    pair.assert_both(AFTER).await;
}
