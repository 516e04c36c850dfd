//! What waits for one switch goes out together, and one that fails takes nobody with it.

use futures_util::future::join_all;
use serde_json::json;

use super::*;
use crate::peers::{Peer, require};
use crate::service::{Answer, Site, and, attach, update};

const PORTS: usize = 16;

/// Attaches that many ports at once; each gets the VLAN of its number, `spoiled` in a way that the
/// device refuses.
async fn attach_all(service: &Service, spoiled: Option<usize>) -> Vec<Answer> {
    let calls = (0..PORTS).map(|number| {
        let params = attach(&format!("eth{number}"), 100 + number as u16, &[]);
        let mtu = if spoiled == Some(number) { 9217 } else { 9216 };
        service.start_call("attach_port", and(params, "network", json!({ "mtu": mtu })))
    });
    let calls: Vec<_> = calls.collect();
    join_all(calls).await.into_iter().map(|answer| answer.expect("no panic")).collect()
}

#[tokio::test]
async fn changes_that_wait_for_one_switch_go_out_together() {
    if !require(&[Peer::Netconfd]) {
        return;
    }
    for shape in BOTH {
        let (_yang, options) = narrow(shape);
        let (server, proxy) = Netconfd::start_behind_proxy(options, vec![]).await;
        let mut operator = Operator::of(&server, shape).await;
        let site = Site::of(&server);
        let service = site.serve().await;
        let commit = if shape == Shape::Candidate { "confirm" } else { "edit-config" };
        let held = |number: usize| {
            format!("access-vlan={} description=NEUTRON interface-mode=ACCESS mtu=9216", 100 + number)
        };

        for answer in attach_all(&service, None).await {
            assert_eq!(answer.expect("all end well")["outcome"], "applied");
        }
        for number in 0..PORTS {
            assert_eq!(operator.port(&format!("eth{number}")).await, held(number));
        }
        let commits = requests(&proxy, &[commit]);
        assert!(commits <= 4, "{commits} commits for {PORTS} ports");

        // Back to where each has to change again; one of them to what the device refuses.
        let calls: Vec<_> = (0..PORTS)
            .map(|number| {
                service.start_call("update_port", update(&format!("eth{number}"), "access", 199, &[]))
            })
            .collect();
        for answer in join_all(calls).await {
            answer.expect("no panic").expect("all end well");
        }
        let before = operator.port("eth7").await;
        for (number, answer) in attach_all(&service, Some(7)).await.into_iter().enumerate() {
            let port = operator.port(&format!("eth{number}")).await;
            match answer {
                Ok(change) if number != 7 => {
                    assert_eq!((change["outcome"].as_str(), port), (Some("applied"), held(number)))
                }
                Err(failure) if number == 7 => {
                    assert_eq!((failure.class(), failure.outcome()), ("NetworkError", "rolled_back"));
                    assert!(failure.message.contains("invalid-value"), "{failure:?}");
                    assert_eq!(port, before);
                }
                answer => panic!("eth{number}: {answer:?}"),
            }
        }
        operator.assert_at_rest().await;
        assert_eq!(site.journal(), "");
    }
}
