//! One call, and what became of it: a target that answers no has said so; one whose answer is lost, or
//! says that something broke, may have done what was asked (gRPC status codes).

use std::future::Future;

use tokio::time::{Instant, timeout_at};
use tonic::{Code, Request, Response, Status, TimeoutExpired};

use super::channel::causes;
use crate::transport::{Cause, DeviceError, Fault};

/// How a call ended that brought no answer of use.
#[derive(Debug)]
pub(super) enum Failed {
    /// The target's answer is no, in these words.
    No(Status),
    /// Whether it did anything is not known.
    Open(Cause),
}

/// Makes the call, which the target also hears the deadline of.
pub(super) async fn call<M, R, F>(
    message: M,
    login: &Login,
    deadline: Instant,
    doing: &'static str,
    send: impl FnOnce(Request<M>) -> F,
) -> Result<R, Failed>
where
    F: Future<Output = Result<Response<R>, Status>>,
{
    let mut request = Request::new(message);
    request.set_timeout(deadline.saturating_duration_since(Instant::now()));
    if let Some((user, password)) = login {
        request.metadata_mut().insert("username", user.clone());
        request.metadata_mut().insert("password", password.clone());
    }
    match timeout_at(deadline, send(request)).await {
        Err(_) => Err(Failed::Open(Cause::Deadline(doing))),
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) if is_no(&status) => Err(Failed::No(status)),
        Ok(Err(status)) if is_late(&status) => Err(Failed::Open(Cause::Deadline(doing))),
        Ok(Err(status)) => Err(Failed::Open(Cause::Closed(words(&status)))),
    }
}

/// What goes with every call.
pub(super) type Login = Option<(tonic::metadata::AsciiMetadataValue, tonic::metadata::AsciiMetadataValue)>;

/// Whether tonic gave up at the deadline that it sent along, a moment before we do; it calls that a
/// cancelled call.
fn is_late(status: &Status) -> bool {
    let mut causes = std::iter::successors(std::error::Error::source(status), |error| error.source());
    causes.any(|error| error.is::<TimeoutExpired>())
}

/// Whether a status is the target's own and final word. What tonic made of a broken connection has a
/// source, and so has no say; nor has OUT_OF_RANGE, which it makes of an answer that is too long.
fn is_no(status: &Status) -> bool {
    use Code::{
        Aborted, AlreadyExists, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied,
        ResourceExhausted, Unauthenticated, Unimplemented,
    };
    let is_final = matches!(
        status.code(),
        InvalidArgument
            | NotFound
            | AlreadyExists
            | PermissionDenied
            | ResourceExhausted
            | FailedPrecondition
            | Aborted
            | Unimplemented
            | Unauthenticated
    );
    is_final && std::error::Error::source(status).is_none()
}

fn words(status: &Status) -> String {
    let name = name(status.code());
    match std::error::Error::source(status) {
        Some(source) => format!("{name}: {}: {}", status.message(), causes(source)),
        None => format!("{name}: {}", status.message()),
    }
}

/// A code as the specification spells it, `INVALID_ARGUMENT`.
pub(super) fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

impl From<Failed> for Fault {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::No(status) => Fault::Rejected(vec![DeviceError {
                error_type: "gnmi".to_owned(),
                tag: name(status.code()).to_owned(),
                severity: "error".to_owned(),
                message: Some(status.message().to_owned()),
                ..DeviceError::default()
            }]),
            Failed::Open(cause) => Fault::Lost(cause),
        }
    }
}
