//! What happens around every call: when it arrived, how it ended, and errors of the protocol in
//! the form that all others have.

use crate::deadline::Deadline;
use crate::identity::PRINCIPAL_KEY;
use crate::limits::MAX_MESSAGE_BYTES;
use bergulir_proto::Described;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use tonic::codegen::http::{HeaderMap, Request, Response};
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field};

/// Puts [`Calls`] around a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CallsLayer;

impl<S> Layer<S> for CallsLayer {
    type Service = Calls<S>;
    fn layer(&self, inner: S) -> Calls<S> {
        Calls(inner)
    }
}

/// A service with what happens around every call.
#[derive(Debug, Clone)]
pub(crate) struct Calls<S>(S);

impl<S, A, B> Service<Request<A>> for Calls<S>
where
    S: Service<Request<A>, Response = Response<B>>,
    S::Future: Send + 'static,
    B: Default,
{
    type Response = Response<B>;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<A>) -> Self::Future {
        let arrived = Instant::now();
        if let Some(deadline) = Deadline::read(request.headers(), arrived) {
            request.extensions_mut().insert(deadline);
        }
        let span = span(&request);
        let answer = self.0.call(request);
        let finished = async move {
            let mut response = answer.await?;
            let status = Status::from_header_map(response.headers());
            if let Some(status) = status.as_ref().and_then(of_the_protocol) {
                response = status.into_http();
            }
            tell(response.headers(), arrived);
            Ok(response)
        };
        Box::pin(finished.instrument(span))
    }
}

/// The ledger is filled in by the service, which reads the request.
fn span<A>(request: &Request<A>) -> Span {
    let principal = request.headers().get(PRINCIPAL_KEY);
    tracing::debug_span!(
        "call",
        method = request.uri().path(),
        principal = principal.and_then(|principal| principal.to_str().ok()),
        ledger = field::Empty,
    )
}

/// Says how a call ended, or for a stream how it began. Trouble of the server is a warning; what a
/// caller did wrong is the caller's own to log.
fn tell(headers: &HeaderMap, arrived: Instant) {
    let status = Status::from_header_map(headers);
    let code = status.as_ref().map_or(Code::Ok, Status::code);
    let micros = u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX);
    match code {
        Code::Internal | Code::DataLoss | Code::Unavailable | Code::Unknown => {
            let why = status.as_ref().map_or("", Status::message);
            tracing::warn!(outcome = ?code, micros, why, "call failed");
        }
        _ => tracing::debug!(outcome = ?code, micros, "call"),
    }
}

/// Our words for what the protocol refuses before a service sees it.
pub(crate) fn of_the_protocol(status: &Status) -> Option<Status> {
    if !status.details().is_empty() {
        return None;
    }
    let (reason, message) = match status.code() {
        // No service of ours answers with this code: the decoder found a message too long.
        Code::OutOfRange => {
            let message = format!(
                "the message is longer than the {MAX_MESSAGE_BYTES} bytes that are taken: send \
                 less in one call"
            );
            ("MESSAGE_TOO_LARGE", message)
        }
        Code::Internal if status.message().starts_with("failed to decode Protobuf message") => {
            let message = format!("the message cannot be read: {}", status.message());
            ("MALFORMED_MESSAGE", message)
        }
        _ => return None,
    };
    Some(Described::new(Code::InvalidArgument, reason, message).status())
}
