//! What the wire may bring: bodies that are no calls, floods, and callers who never finish.

use std::fs::File;
use std::time::Duration;

use hyper::StatusCode;
use mercury::rpc::RpcLimits;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::fake::{Fake, Server};
use super::place::{Authority, Place, curl};
use super::reset_port;
use crate::peers::{Address, Peer, Serve, require};

#[tokio::test]
async fn what_is_no_call_is_answered_and_never_carried_out() {
    let engine = Fake::new(None, None);
    let server = Server::start(engine.clone(), RpcLimits::default()).await;
    let mut client = server.connect().await;
    let call = reset_port(Some("1"));
    let with = |from: &str, to: &str| {
        let changed = call.replacen(from, to, 1);
        assert_ne!(changed, call, "{from}");
        changed.into_bytes()
    };
    let bad_utf8 = || {
        let mut body = call.clone().into_bytes();
        let at = call.find("eth1").unwrap();
        body[at] = 0xff;
        body
    };
    let deep = |text: &str| text.repeat(100_000).into_bytes();
    for (body, code) in [
        (Vec::new(), -32700),
        (b"x".to_vec(), -32700),
        (b"\0".to_vec(), -32700),
        (deep("["), -32700),
        (deep("{\"a\":"), -32700),
        (with("100", &format!("{}100", "[".repeat(200))), -32700),
        (bad_utf8(), -32700),
        (with("eth1", "\\ud800"), -32700),
        (format!("\u{feff}{call}").into_bytes(), -32700),
        (format!("{call}{call}").into_bytes(), -32700),
        (with("100", "NaN"), -32700),
        (with("100", "Infinity"), -32700),
        (with("100", "1e400"), -32700),
        (with("100", "0100"), -32700),
        (with("\"native_vlan\":100", "\"native_vlan\":100,\"native_vlan\":101"), -32700),
        (with("\"method\":", "\"method\":\"update_port\",\"method\":"), -32700),
        (format!("[{call}]").into_bytes(), -32600),
        (b"[]".to_vec(), -32600),
        (b"\"x\"".to_vec(), -32600),
        (with("\"2.0\"", "2.0"), -32600),
        (with("\"reset_port\"", "\"__init__\""), -32601),
        (with("\"reset_port\"", "\"\""), -32601),
        (with("native_vlan", "native_vlan\u{202e}"), -32602),
        (with("{}", "null"), -32602),
        (with("100", "123456789012345678901234567890"), 400),
        (with("100", "1e2"), 400),
        (with("100", "-0"), 400),
        (with("100", "4294967396"), 400),
        (with("eth1", "eth1\\u0000"), 400),
    ] {
        let shown = String::from_utf8_lossy(&body[..body.len().min(300)]).into_owned();
        let (status, answer) = client.post(body).await;
        assert_eq!((status, &answer["error"]["code"]), (StatusCode::OK, &json!(code)), "{shown}: {answer}");
        assert_eq!(answer["jsonrpc"], "2.0");
        let has_class = answer["error"]["data"]["class"].is_string();
        assert_eq!(has_class, code == 400, "{shown}: {answer}");
    }
    assert!(engine.calls.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_id_comes_back_as_it_was() {
    let server = Server::start(Fake::new(None, None), RpcLimits::default()).await;
    let mut client = server.connect().await;
    let long = "x".repeat(200_000);
    for id in [
        json!("req-1"),
        json!(""),
        json!(long),
        json!("\u{0}\u{202e}é"),
        json!(0),
        json!(-7),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1.5),
        json!(true),
        Value::Null,
        json!([1, [2]]),
        json!({ "a": null }),
    ] {
        let mut call: Value = serde_json::from_str(&reset_port(None)).unwrap();
        call["id"] = id.clone();
        let (status, answer) = client.post(call.to_string()).await;
        assert_eq!((status, &answer["id"]), (StatusCode::OK, &id));
        assert_eq!(answer["result"]["status"], "reset");
        call["method"] = json!(7);
        assert_eq!(client.post(call.to_string()).await.1["id"], id, "also with an error");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_harms_nobody() {
    let server = Server::start(Fake::new(None, None), RpcLimits::default()).await;
    let endless = format!("POST / HTTP/1.1\r\nhost: m\r\nx: {}\r\n\r\n", "x".repeat(1 << 20));
    // More than any call needs, and what thousands may send before they say who they are.
    let long =
        format!("POST / HTTP/1.1\r\nhost: m\r\ncontent-length: 2\r\nx: {}\r\n\r\n{{}}", "x".repeat(200_000));
    let many = format!("POST / HTTP/1.1\r\nhost: m\r\n{}\r\n", "x: y\r\n".repeat(1000));
    for garbage in [
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03",
        "GET /\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: m\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "POST / HTTP/1.1\r\nhost: m\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: m\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        &endless,
        &long,
        &many,
    ] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        // It may hang up before it has read all of this.
        stream.write_all(garbage.as_bytes()).await.ok();
        stream.shutdown().await.ok();
        let mut answer = Vec::new();
        let ended = timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
        assert!(ended.is_ok(), "{garbage:.40}");
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{garbage:.40}");
    }
    assert_eq!(server.connect().await.post(reset_port(Some("1"))).await.0, StatusCode::OK);
}

#[tokio::test]
async fn a_flood_takes_no_memory() {
    if !require(&[Peer::Curl]) {
        return;
    }
    let place = Place::new();
    place.load("[rpc]\nlisten = \"127.0.0.1:0\"\nauth = \"none\"\n").unwrap();
    let mut service = Serve::start(&place.path("mercury.toml")).await.unwrap();
    let Address::Http(address) = &service.address else { panic!("it listens elsewhere") };
    let url = format!("http://{address}/");
    let before = service.peak_memory();
    let file = place.path("flood");
    File::create(&file).unwrap().set_len(100 << 20).unwrap();
    let data = format!("@{}", file.display());
    let told = curl(&url, &data, &[]).await;
    assert_eq!((told.status, &told.body["error"]["code"]), (413, &json!(413)), "{told:?}");
    for arguments in
        [&["--header", "Expect:"][..], &["--header", "Expect:", "--header", "Transfer-Encoding: chunked"]]
    {
        // The answer may be lost on who does not listen, but there is nothing else.
        let flooded = curl(&url, &data, arguments).await;
        assert!([0, 413].contains(&flooded.status), "{flooded:?}");
    }
    let after = service.peak_memory();
    assert!(after < before + 40_000, "{before} KiB before, {after} KiB after");
    assert_eq!(curl(&url, "{", &[]).await.body["error"]["code"], -32700);
}

#[tokio::test(start_paused = true)]
async fn a_handshake_has_its_time() {
    let place = Place::new();
    place.server_certificate(&Authority::new("ours"));
    let (server, _) =
        place.serve("auth = \"none\"\n[rpc.tls]\ncertificate = \"server.pem\"\nkey = \"server.key\"\n").await;
    for half in [&b""[..], b"\x16\x03\x01"] {
        let mut stream = TcpStream::connect(server.address).await.unwrap();
        stream.write_all(half).await.unwrap();
        // The clock is paused: it goes on to the end of the handshake's time.
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap_or(0), 0);
    }
}
