//! Answers that are no gRPC, or gRPC with something else inside.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Bytes, Frame};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderValue};
use hyper::{Request, Response};
use tonic::body::Body;
use tonic::codegen::Service;
use tonic::server::NamedService;

/// What stands in the place of an answer. A handler leaves it in the extensions of its response.
#[derive(Clone, Copy, Debug)]
pub(super) enum InPlace {
    /// A message that no protobuf decoder takes, and then OK.
    Malformed,
    /// What a proxy says of a server that does not answer it.
    Page,
    /// The beginning of a message, and then the stream is reset (RFC 9113 6.4).
    Half,
}

/// A service that answers as [`InPlace`] says.
#[derive(Clone)]
pub(super) struct Mangled<S>(pub S);

impl<S: NamedService> NamedService for Mangled<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Mangled<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let answer = self.0.call(request);
        answer
            .map(|answer| answer.map(|answer| answer.extensions().get().map(replace).unwrap_or(answer)))
            .boxed()
    }
}

fn replace(answer: &InPlace) -> Response<Body> {
    let (content_type, body) = match answer {
        InPlace::Malformed => {
            let mut trailers = HeaderMap::new();
            trailers.insert("grpc-status", HeaderValue::from_static("0"));
            // Not compressed, two bytes: a field of the reserved wire type 7.
            let message = Full::new(Bytes::from_static(&[0, 0, 0, 0, 2, 0x0f, 0xff]));
            let message = message.with_trailers(async { Some(Ok(trailers)) });
            ("application/grpc", Body::new(message))
        }
        InPlace::Half => {
            let half = [
                Ok(Frame::data(Bytes::from_static(&[0, 0, 0, 0, 2, 0x0f]))),
                Err(std::io::Error::other("broken off on purpose")),
            ];
            ("application/grpc", Body::new(StreamBody::new(futures_util::stream::iter(half))))
        }
        InPlace::Page => {
            let page = Full::new(Bytes::from_static(b"<html><h1>503 Service Unavailable</h1></html>"));
            ("text/html", Body::new(page))
        }
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if matches!(answer, InPlace::Page) {
        *response.status_mut() = hyper::StatusCode::SERVICE_UNAVAILABLE;
    }
    response
}
