//! Every directory of `tests/golden/rpc` is one request: the body as sent, what the engine was asked
//! (`call.txt`; none: it must not be asked), what it answers (`engine.json`), and the answer. With
//! `UPDATE_GOLDEN=1` what is expected is written anew.

use std::fmt::Write;
use std::fs;

use mercury::report::{Call, Target};
use mercury::rpc::RpcLimits;
use serde_json::{json, to_string};

use super::fake::{Fake, Server};
use crate::golden::{Differences, cases};

#[tokio::test]
async fn requests_are_answered_as_recorded() {
    let mut differences = Differences::default();
    for case in cases("rpc") {
        let script = fs::read(case.join("engine.json")).ok();
        let script =
            script.map(|text| serde_json::from_slice(&text).unwrap_or_else(|e| panic!("{case:?}: {e}")));
        let engine = Fake::new(script, None);
        let server = Server::start(engine.clone(), RpcLimits::default()).await;
        let request = fs::read(case.join("request.json")).unwrap();
        let (status, body) = server.connect().await.post(request).await;
        let answer = json!({ "status": status.as_u16(), "body": body });
        let answer = serde_json::to_string_pretty(&answer).unwrap() + "\n";
        let mut calls: String = engine.calls.lock().unwrap().iter().map(in_words).collect();
        for request in engine.observed.lock().unwrap().iter() {
            let intent = to_string(&request.intent).unwrap();
            writeln!(calls, "observed: {}\n  {intent}", request.device.name).unwrap();
        }
        differences.compare(&case.join("response.json"), &answer);
        differences.compare(&case.join("call.txt"), &calls);
    }
    differences.none();
}

fn in_words(call: &Call) -> String {
    let mut caller = call.caller.clone();
    assert!(caller.peer.starts_with("127.0.0.1:"));
    caller.peer = "127.0.0.1".to_owned();
    let mut words = format!("dry_run: {}\ncaller: {}\n", call.dry_run, to_string(&caller).unwrap());
    for target in &call.targets {
        let Target { device, physical_network, level, intent } = target;
        writeln!(words, "target: {device:?}, {physical_network:?}, level {level}").unwrap();
        writeln!(words, "  {}", to_string(intent).unwrap()).unwrap();
    }
    words
}
