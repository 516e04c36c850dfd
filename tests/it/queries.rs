//! Questions asked of simulated switches through JSON-RPC: what is answered, and that nothing is ever
//! locked, edited or committed for it.

use std::sync::Arc;
use std::time::Duration;

use mercury::access::Principal;
use mercury::rpc::{self, Engine};
use mercury::sim::{FaultSpec, What};
use serde_json::{Value, json};

use crate::matrix::{Kind, Lab, spec};
use crate::service::{and, attach, reset, update};

/// The result, or the error object.
async fn ask(lab: &Lab, method: &str, params: Value) -> Result<Value, Value> {
    let engine: Arc<dyn Engine> = lab.engine.clone();
    let request = json!({ "jsonrpc": "2.0", "method": method, "params": params, "id": 1 }).to_string();
    let mut answer =
        rpc::answer(request.into_bytes(), "test", &Arc::new(Principal::Local), &engine).await.unwrap();
    match answer["error"].take() {
        Value::Null => Ok(answer["result"].take()),
        error => Err(error),
    }
}

/// The only port of a check.
async fn check(lab: &Lab, params: &Value) -> Value {
    let answer = ask(lab, "check_port", params.clone()).await.unwrap();
    assert_eq!(answer["matches"], answer["devices"][0]["matches"], "{answer}");
    answer["devices"][0].clone()
}

/// What is asked of leaf1 by one call.
async fn rpcs_of(lab: &Lab, method: &str, params: Value) -> (Result<Value, Value>, Vec<String>) {
    let before = lab.leaf1().log().len();
    let answer = ask(lab, method, params).await;
    (answer, lab.leaf1().log().split_off(before).into_iter().map(|message| message.rpc).collect())
}

#[tokio::test(start_paused = true)]
async fn a_check_compares_with_what_runs_and_what_is_reported() {
    for kind in Kind::ALL {
        let mut switch = spec("leaf1", kind);
        switch.quirks.no_link = vec!["eth2".to_owned()];
        switch.quirks.octets = 1500;
        let lab = Lab::new(vec![switch]).await;
        let params = attach("eth1", 100, &[101, 102]);
        let port = check(&lab, &params).await;
        assert_eq!((&port["matches"], &port["before"]), (&json!(false), &json!("no VLAN mode")), "{port}");
        ask(&lab, "attach_port", params.clone()).await.unwrap();
        let (running, commits) = (lab.leaf1().running_xml(), lab.leaf1().commits());

        let (answer, rpcs) = rpcs_of(&lab, "check_port", params.clone()).await;
        let state = if kind.is_gnmi() { kind.read() } else { "get" };
        assert_eq!(rpcs, [kind.read(), state], "on the session that is open");
        let expected = json!({ "matches": true, "devices": [{
            "device": "leaf1", "port": "eth1", "matches": true, "diff": "", "reason": null, "risks": [],
            "before": "TRUNK native 100 list 101-102", "after": "TRUNK native 100 list 101-102",
            "admin_status": "UP", "oper_status": "UP", "in_octets": "1500", "out_octets": "1500",
            "vlans": { "100": "ACTIVE", "101": "ACTIVE", "102": "ACTIVE" },
        }] });
        assert_eq!(answer.unwrap(), expected);

        // Nobody asks whether the port is up when only its configuration is compared.
        ask(&lab, "attach_port", attach("eth2", 103, &[])).await.unwrap();
        let port = check(&lab, &attach("eth2", 103, &[])).await;
        assert_eq!(
            (&port["matches"], &port["admin_status"], &port["oper_status"]),
            (&json!(true), &json!("UP"), &json!("DOWN"))
        );
        // The same port in Ironic's words, and in other VLANs, one of which is not there.
        let port = check(&lab, &update("eth2", "access", 103, &[])).await;
        assert_eq!(port["matches"], json!(false), "another description: {port}");
        let port = check(&lab, &update("eth2", "hybrid", 103, &[104, 199])).await;
        assert_eq!(
            (&port["before"], &port["after"]),
            (&json!("ACCESS 103"), &json!("TRUNK native 103 list 104,199"))
        );
        assert_eq!(port["vlans"], json!({ "103": "ACTIVE", "104": "ACTIVE", "199": "missing" }));
        assert!(port["diff"].as_str().unwrap().contains("+          <interface-mode>TRUNK"), "{port}");
        let port = check(&lab, &attach("eth9", 100, &[])).await;
        assert_eq!(
            (&port["before"], &port["oper_status"]),
            (&json!("not configured"), &Value::Null),
            "{kind:?}"
        );
        assert_eq!(lab.leaf1().commits(), commits + 1, "only the attach of eth2");
        assert_ne!(lab.leaf1().running_xml(), running);
        assert_eq!(lab.leftovers().await, "");
    }
}

#[tokio::test(start_paused = true)]
async fn state_that_is_not_offered_is_not_known() {
    let lab = Lab::one(Kind::CandidatePersist).await;
    ask(&lab, "attach_port", attach("eth1", 100, &[])).await.unwrap();
    lab.leaf1().inject(FaultSpec::every("get", What::Reject("operation-not-supported".to_owned())));
    let port = check(&lab, &attach("eth1", 100, &[])).await;
    assert_eq!(port["matches"], json!(true));
    assert_eq!((&port["oper_status"], &port["vlans"]), (&Value::Null, &json!({ "100": null })));
    let live = and(attach("eth1", 100, &[]), "live", true);
    assert_eq!(ask(&lab, "is_link_valid", live).await, Ok(json!(true)), "it is configured");
}

#[tokio::test(start_paused = true)]
async fn a_switch_that_does_not_answer_is_an_error_and_no_answer() {
    let lab = Lab::one(Kind::CandidatePersist).await;
    let live = and(attach("eth1", 100, &[]), "live", true);
    for (rpc, what) in [
        ("hello", What::DropBefore),
        ("get-config", What::HangBefore),
        ("get-config", What::Reject("access-denied".to_owned())),
        ("get", What::DropBefore),
    ] {
        lab.leaf1().inject(FaultSpec::every(rpc, what.clone()));
        for (method, params) in [("check_port", attach("eth1", 100, &[])), ("is_link_valid", live.clone())] {
            let error = ask(&lab, method, params).await.unwrap_err();
            assert_eq!(error["code"], json!(500), "{rpc} {what:?}: {error}");
            assert_eq!(error["data"]["class"], json!("ironic.common.exception.NetworkError"));
            assert!(error["message"].as_str().unwrap().starts_with("leaf1: "), "{error}");
        }
        lab.leaf1().clear_faults();
        assert_eq!(ask(&lab, "is_link_valid", live.clone()).await, Ok(json!(true)), "{rpc} {what:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ended_while_idle_is_replaced() {
    let lab = Lab::one(Kind::CandidatePersist).await;
    let params = attach("eth1", 100, &[]);
    check(&lab, &params).await;
    lab.leaf1().inject(FaultSpec::once("get-config", What::DropBefore));
    let (answer, rpcs) = rpcs_of(&lab, "check_port", params).await;
    assert_eq!(answer.unwrap()["matches"], json!(false));
    assert_eq!(rpcs.iter().filter(|rpc| *rpc == "hello").count(), 1, "{rpcs:?}");
}

#[tokio::test(start_paused = true)]
async fn links_are_looked_for_on_all_switches() {
    let lab = Lab::new(["leaf1", "leaf2"].map(|name| spec(name, Kind::Running)).to_vec()).await;
    let link = |switch: &str, port: &str| json!({ "switch_id": switch, "port_id": port });
    let ask_for = |links: Value, live: bool| {
        let port = json!({ "id": "p", "binding:vnic_type": "baremetal",
            "binding:profile": { "local_link_information": links } });
        ask(&lab, "is_link_valid", json!({ "port": port, "live": live, "explain": true }))
    };
    let good = json!([link("leaf1", "eth1"), link("leaf2", "eth4")]);
    assert_eq!(ask_for(good, true).await, Ok(json!({ "supported": true, "reason": null })));
    let bad = json!([link("leaf1", "eth1"), link("leaf2", "eth5")]);
    let expected = json!({ "supported": false, "reason": "leaf2 shows no port eth5" });
    assert_eq!(ask_for(bad.clone(), true).await, Ok(expected));
    assert_eq!(ask_for(bad, false).await, Ok(json!({ "supported": true, "reason": null })));
    for (name, switch) in &lab.switches {
        let asked: Vec<String> = switch.log().into_iter().map(|message| message.rpc).collect();
        assert_eq!(asked, ["hello", "get-config", "get", "get-config", "get"], "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn many_links_of_one_switch_are_read_at_once() {
    let lab = Lab::one(Kind::CandidatePersist).await;
    let links: Vec<Value> =
        (1..=64).map(|n| json!({ "switch_id": "leaf1", "port_id": format!("eth{n}") })).collect();
    let port = json!({ "id": "p", "binding:profile": { "local_link_information": links } });
    let (answer, rpcs) =
        rpcs_of(&lab, "is_link_valid", json!({ "port": port, "live": true, "explain": true })).await;
    assert_eq!(rpcs, ["hello", "get-config", "get"]);
    let reason = answer.unwrap()["reason"].as_str().unwrap().to_owned();
    assert!(reason.starts_with("leaf1 shows no port eth5; ") && reason.ends_with("port eth64"), "{reason}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_a_dry_run() {
    let lab = Lab::one(Kind::CandidatePersist).await;
    for (method, params) in [
        ("attach_port", attach("eth1", 100, &[101])),
        ("update_port", update("eth1", "access", 100, &[])),
        ("reset_port", reset("eth1", 100)),
    ] {
        let planned = json!({ "method": method, "params": params });
        let (planned, rpcs) = rpcs_of(&lab, "plan", planned).await;
        assert!(rpcs.iter().all(|rpc| ["hello", "get-config", "get"].contains(&rpc.as_str())), "{rpcs:?}");
        let planned = planned.unwrap();
        assert_eq!(planned["outcome"], json!("planned"));
        assert_eq!(Ok(planned), ask(&lab, method, and(params, "dry_run", true)).await);
    }
    assert_eq!(lab.leaf1().commits(), 0);
}

/// Who is cut off from a port with a link is told to who reviews that.
#[tokio::test(start_paused = true)]
async fn a_plan_tells_that_somebody_is_there() {
    for kind in Kind::ALL {
        let mut switch = spec("leaf1", kind);
        switch.quirks.no_link = vec!["eth2".to_owned()];
        switch.quirks.octets = 1500;
        let lab = Lab::new(vec![switch]).await;
        let there = "the port's link is up: somebody is connected to it, 1500 octets were received and 1500 sent so far";
        for (port, is_up) in [("eth1", true), ("eth2", false)] {
            let risks = async |method, params| {
                let planned = ask(&lab, method, and(params, "dry_run", true)).await.unwrap();
                planned["devices"][0]["risks"].as_array().unwrap().clone()
            };
            assert!(
                !risks("attach_port", attach(port, 100, &[])).await.contains(&json!(there)),
                "it had no VLAN"
            );
            ask(&lab, "attach_port", attach(port, 100, &[])).await.unwrap();
            for (method, params) in
                [("attach_port", attach(port, 101, &[])), ("reset_port", reset(port, 100))]
            {
                let told = risks(method, params).await;
                assert_eq!(told.contains(&json!(there)), is_up, "{method} {port}: {told:?}");
            }
        }
    }
}

/// Somebody at the switch, or another controller, holds all locks.
#[tokio::test(start_paused = true)]
async fn locks_of_others_do_not_matter() {
    let lab = Lab::one(Kind::CandidatePersist).await;
    lab.leaf1().inject(FaultSpec::every("lock", What::Reject("lock-denied".to_owned())));
    let params = attach("eth1", 100, &[]);
    let asked = tokio::time::timeout(Duration::from_secs(1), check(&lab, &params));
    assert_eq!(asked.await.expect("nothing is waited for")["matches"], json!(false));
}
