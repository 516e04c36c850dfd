//! Ironic's own API, over its unix socket.

use std::path::PathBuf;

use axum::Router;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::{UnixSocket, UnixStream};
use tokio::task::spawn_blocking;

/// Calls Ironic, each time over a new connection.
pub struct Api {
    pub socket: PathBuf,
}

impl Api {
    /// Sends a request; the error says why there is no answer.
    pub async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &Value,
    ) -> Result<(StatusCode, Value), Box<dyn std::error::Error>> {
        let (mut sender, connection) = handshake(TokioIo::new(self.connect().await?)).await?;
        // How the connection ends is seen in the answer.
        tokio::spawn(async move { connection.await.ok() });
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder()
            .method(method)
            .uri(format!("/v1/{path}"))
            .header("host", "ironic")
            .header("content-type", "application/json")
            .header("x-openstack-ironic-api-version", "latest")
            .body(Full::new(body))?;
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        let body = answer.into_body().collect().await?.to_bytes();
        let body = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body)? };
        Ok((status, body))
    }

    /// Ironic has room for five callers that it has not come to yet. One more is refused if its socket
    /// does not block, and waits if it does.
    async fn connect(&self) -> Result<UnixStream, Box<dyn std::error::Error>> {
        let socket = self.socket.clone();
        let stream = spawn_blocking(|| std::os::unix::net::UnixStream::connect(socket)).await??;
        stream.set_nonblocking(true)?;
        Ok(UnixStream::from_std(stream)?)
    }

    /// As [`Self::ask`], and it must be answered with success.
    pub async fn call(&self, method: Method, path: &str, body: Value) -> Value {
        let what = format!("{method} {path} {body}");
        let (status, answer) =
            self.ask(method, path, &body).await.unwrap_or_else(|why| panic!("{what}: {why}"));
        assert!(status.is_success(), "{what}: {status} {answer}");
        answer
    }

    pub async fn get(&self, path: &str) -> Value {
        self.call(Method::GET, path, Value::Null).await
    }
}

#[tokio::test]
async fn more_may_ask_at_once_than_there_is_room_for() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let api = Api { socket: dir.path().join("api.sock") };
    let socket = UnixSocket::new_stream().expect("a socket");
    socket.bind(&api.socket).expect("the directory is ours");
    let listener = socket.listen(1).expect("it is bound");
    // It comes to them when all have been started.
    let served = tokio::spawn(axum::serve(listener, Router::new().fallback(async || "{}")).into_future());
    join_all((0..8).map(|_| api.get("nodes"))).await;
    served.abort();
}
