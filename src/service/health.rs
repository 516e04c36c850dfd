//! Metrics and health, on a loopback address of their own: neither needs a caller's rights, nor may
//! it take a caller's place.

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use axum::http::{Method, Request, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::engine::Engine;
use crate::metrics::{self, Now};
use crate::rpc::Engine as _;
use crate::transaction::journal;

/// Connections at a time; more wait.
const CONNECTIONS: usize = 16;
/// How long a connection may be idle or take to send its request.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is asked here.
pub struct Health {
    pub engine: Arc<Engine>,
    pub locks_dir: PathBuf,
}

/// Serves until the process ends.
pub async fn serve(mut listener: TcpListener, health: Arc<Health>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    while let Ok(place) = places.clone().acquire_owned().await {
        // Waits and tries again where accepting fails.
        let (stream, _) = axum::serve::Listener::accept(&mut listener).await;
        let health = health.clone();
        let answer = service_fn(move |request| {
            let health = health.clone();
            async move { Ok::<_, Infallible>(answer(&health, &request)) }
        });
        let connection = http.serve_connection(TokioIo::new(stream), answer);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection for metrics broke off: {error}");
            }
            drop(place);
        });
    }
}

fn answer(health: &Health, request: &Request<Incoming>) -> Response {
    if request.method() != Method::GET {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET")]).into_response();
    }
    match request.uri().path() {
        "/health" => "alive\n".into_response(),
        "/ready" if health.engine.is_stopping() => {
            (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response()
        }
        "/ready" => "ready\n".into_response(),
        "/metrics" => match metrics::render(&health.now()) {
            Ok(text) => ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response(),
            Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        },
        _ => (StatusCode::NOT_FOUND, "/metrics, /health or /ready\n").into_response(),
    }
}

impl Health {
    fn now(&self) -> Now {
        Now {
            waiting: self.engine.waiting(),
            sessions: self.engine.sessions().in_use(),
            sessions_limit: self.engine.sessions().limit(),
            journals: journal::count_open(&self.locks_dir),
            generation: self.engine.generation(),
            is_ready: !self.engine.is_stopping(),
        }
    }
}
