//! Ironic's own API, over its unix socket.

use std::path::PathBuf;

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::UnixStream;

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
        let stream = UnixStream::connect(&self.socket).await?;
        let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
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

    /// The same, and it must be answered with success.
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
