//! The client library against peers made by hand, against lighttpd, and against the service.

mod answers;
mod behind_lighttpd;
mod command;
mod digest;
mod peer;
mod tls;
mod with_service;

use std::time::Duration;

use mercury::client::{Auth, Client, ClientError, Options};
use serde_json::{Value, json};

const PASSWORD: &str = "correct horse";

fn client(url: &str) -> Client {
    with(url, Options::default())
}

fn with(url: &str, options: Options) -> Client {
    Client::new(url, options).unwrap_or_else(|error| panic!("{error}"))
}

fn impatient(url: &str) -> Client {
    with(url, Options { timeout: Duration::from_millis(200), ..Options::default() })
}

fn basic() -> Options {
    Options {
        auth: Auth::Basic { user: "ironic".to_owned(), password: PASSWORD.into() },
        ..Options::default()
    }
}

fn digest() -> Options {
    Options {
        auth: Auth::Digest { user: "ironic".to_owned(), password: PASSWORD.into() },
        ..Options::default()
    }
}

async fn call(client: &Client) -> Result<Value, ClientError> {
    client.call("reset_port", json!({ "port_name": "eth1" })).await
}

/// The error of a call that fails.
async fn fails(client: &Client) -> ClientError {
    match call(client).await {
        Err(error) => error,
        Ok(result) => panic!("it succeeds: {result}"),
    }
}
