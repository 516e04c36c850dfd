//! The JSON-RPC layer over real sockets, in front of an engine that only records.

mod auth;
mod fake;
mod golden;
mod mtls;
mod place;
mod wire;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use hyper::StatusCode;
use mercury::rpc::server::bind_unix;
use mercury::rpc::{Listener, RpcLimits};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use fake::{Client, Fake, Gate, Script, Server, start};

fn reset_port(id: Option<&str>) -> String {
    let mut request = json!({ "jsonrpc": "2.0", "method": "reset_port", "params": {
        "switch_id": "leaf1", "port_name": "eth1", "native_vlan": 100, "context": {}, "rpc.version": "1.0" } });
    if let Some(id) = id {
        request["id"] = json!(id);
    }
    request.to_string()
}

/// Sends a request and leaves the answer to be read.
async fn post_raw(address: SocketAddr, body: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!("POST / HTTP/1.1\r\nhost: mercury\r\ncontent-length: {}\r\n\r\n", body.len());
    stream.write_all((head + body).as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn a_connection_serves_call_after_call() {
    let engine = Fake::new(None, None);
    let server = Server::start(engine.clone(), RpcLimits::default()).await;
    let mut client = server.connect().await;
    // Ironic gives several calls one id; each is carried out.
    for _ in 0..3 {
        let (status, answer) = client.post(reset_port(Some("req-1"))).await;
        assert_eq!(
            (status, &answer["id"], &answer["result"]["status"]),
            (StatusCode::OK, &json!("req-1"), &json!("reset"))
        );
        let (status, answer) = client.post("{").await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::OK, &json!(-32700)));
    }
    assert_eq!(engine.calls.lock().unwrap().len(), 3);
}

#[tokio::test]
async fn only_posts_to_the_root_are_calls() {
    let server = Server::start(Fake::new(None, None), RpcLimits::default()).await;
    let mut client = server.connect().await;
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        let (status, answer) = client.send(method, "/", "").await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(answer, json!({ "error": { "code": 405, "message": "Only POST method can be used" } }));
    }
    let (status, answer) = client.send("POST", "/v1", reset_port(Some("1"))).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::NOT_FOUND, &json!(404)));
}

#[tokio::test]
async fn a_web_page_cannot_call() {
    let engine = Fake::new(None, None);
    let server = Server::start(engine.clone(), RpcLimits::default()).await;
    let (status, answer) = server.connect().await.post_from_page(reset_port(Some("1"))).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::FORBIDDEN, &json!(403)));
    assert!(engine.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_body_has_a_limit_in_size_and_in_time() {
    let body_time = Duration::from_millis(100);
    let engine = Fake::new(None, None);
    let server =
        Server::start(engine.clone(), RpcLimits { body_bytes: 1024, body_time, ..RpcLimits::default() })
            .await;
    let (status, answer) = server.connect().await.post(vec![b' '; 1025]).await;
    assert_eq!((status, &answer["error"]["code"]), (StatusCode::PAYLOAD_TOO_LARGE, &json!(413)));
    let (status, _) = server.connect().await.post(vec![b' '; 15_000]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    let usual = Server::start(engine.clone(), RpcLimits::default()).await;
    let (status, _) = usual.connect().await.post(vec![b' '; 10 << 20]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);

    let mut slow = TcpStream::connect(server.address).await.unwrap();
    slow.write_all(b"POST / HTTP/1.1\r\nhost: mercury\r\ncontent-length: 10\r\n\r\n{").await.unwrap();
    let mut answer = String::new();
    slow.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(engine.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn a_notification_is_carried_out_and_not_answered() {
    let engine = Fake::new(None, None);
    let server = Server::start(engine.clone(), RpcLimits::default()).await;
    let mut client = server.connect().await;
    assert_eq!(client.post(reset_port(None)).await, (StatusCode::NO_CONTENT, Value::Null));
    assert_eq!(engine.calls.lock().unwrap().len(), 1);
    let unknown = r#"{"jsonrpc": "2.0", "method": "nothing"}"#;
    assert_eq!(client.post(unknown).await, (StatusCode::NO_CONTENT, Value::Null));
}

#[tokio::test]
async fn a_caller_that_hangs_up_stops_nothing() {
    let gate = Gate::new();
    let server = Server::start(Fake::new(None, Some(gate.clone())), RpcLimits::default()).await;
    let mut stream = post_raw(server.address, &reset_port(Some("1"))).await;
    gate.entered().await;
    stream.shutdown().await.unwrap();
    // The server has seen it: it closes without an answer.
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    // Stopping now waits for what runs.
    server.stop.send(()).unwrap();
    gate.open.add_permits(1);
    gate.left().await;
    server.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn stopping_answers_what_runs_and_accepts_no_more() {
    let gate = Gate::new();
    let server = Server::start(Fake::new(None, Some(gate.clone())), RpcLimits::default()).await;
    let mut running = post_raw(server.address, &reset_port(Some("1"))).await;
    let _idle = server.connect().await;
    gate.entered().await;
    server.stop.send(()).unwrap();
    gate.open.add_permits(1);
    let mut answer = String::new();
    running.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"reset\""), "{answer}");
    server.served.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}

#[tokio::test]
async fn a_request_that_never_ends_does_not_hold_the_process() {
    let body_time = Duration::from_millis(50);
    let server = Server::start(Fake::new(None, None), RpcLimits { body_time, ..RpcLimits::default() }).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nhos").await.unwrap();
    // Answered after the half request was accepted: connections are taken in order.
    server.connect().await.post("{").await;
    server.stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(20), server.served).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn idle_connections_are_bounded_in_number_and_in_time() {
    let limits = RpcLimits { connections: 2, head_time: Duration::from_millis(200), ..RpcLimits::default() };
    let server = Server::start(Fake::new(None, None), limits).await;
    let mut half = TcpStream::connect(server.address).await.unwrap();
    half.write_all(b"POST / HTTP/1.1\r\nhos").await.unwrap();
    let _idle = TcpStream::connect(server.address).await.unwrap();
    // Both places are taken; this one is served when they have had their time.
    let (status, _) = server.connect().await.post("{").await;
    assert_eq!(status, StatusCode::OK);
    let mut rest = String::new();
    half.read_to_string(&mut rest).await.unwrap();
    assert!(rest.is_empty() || rest.starts_with("HTTP/1.1 408"), "{rest}");
}

#[tokio::test]
async fn a_unix_socket_says_which_user_calls() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mercury.sock");
    let engine = Fake::new(None, None);
    let listener = Listener::Unix(bind_unix(&path).unwrap());
    let (stop, served) = start(listener, engine.clone(), RpcLimits::default());
    let mut client = Client::over(UnixStream::connect(&path).await.unwrap()).await;
    let (status, _) = client.post(reset_port(Some("1"))).await;
    assert_eq!(status, StatusCode::OK);
    let peer = engine.calls.lock().unwrap()[0].caller.peer.clone();
    assert!(peer.strip_prefix("uid=").is_some_and(|uid| uid.parse::<u32>().is_ok()), "{peer}");
    stop.send(()).unwrap();
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_unix_socket_is_taken_over_only_from_the_dead() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("mercury.sock");
    let first = bind_unix(&path).unwrap();
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(bind_unix(&path).unwrap_err().kind(), ErrorKind::AddrInUse);
    drop(first);
    assert!(bind_unix(&path).is_ok());
    let file = directory.path().join("notes.txt");
    std::fs::write(&file, "not ours").unwrap();
    assert_eq!(bind_unix(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(file.exists());
}

#[tokio::test]
async fn a_change_that_broke_off_is_audited_as_not_known() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.log");
    mercury::audit::install(mercury::audit::Sink::open(&path).unwrap());
    let server =
        Server::start(Fake::new(Some(Script::Panic("a defect".to_owned())), None), RpcLimits::default());
    let (_, answer) = server.await.connect().await.post(reset_port(Some("req-broken"))).await;
    assert_eq!(answer["error"]["data"]["outcome"], "unknown");
    // Others write there, too.
    let lines = std::fs::read_to_string(&path).unwrap();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let own: Vec<Value> = lines.filter(|line| line["request_id"] == "req-broken").collect();
    assert_eq!(own.len(), 1, "{own:?}");
    assert_eq!((&own[0]["outcome"], &own[0]["device"]), (&json!("unknown"), &json!("leaf1")));
}
