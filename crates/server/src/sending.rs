//! The body of an answer on its way to its caller, in pieces: so it is seen whether the caller reads,
//! and little of it lies where nobody can take it back.

use crate::access::Pass;
use crate::limits::{ANSWER_PIECE_BYTES, ANSWER_TAIL_BYTES};
use crate::quotas::Place;
use crate::telemetry::Measured;
use crate::underway::Underway;
use bergulir_proto::wire::BatchAnswer;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::codegen::http::{self, HeaderMap};
use tonic::{Response, Status};
use tonic_types::StatusExt as _;

/// The one message of an answer, ready to be sent. The answer has an empty message, in whose place it
/// goes: what is long would be copied otherwise.
#[derive(Clone)]
struct Ready(Bytes);

/// The answer to a call, if it has one message. It is whole once it went through [`Sending`].
pub(crate) fn one_message(message: BatchAnswer) -> Response<BatchAnswer> {
    let bytes = message.into_bytes();
    if bytes.len() <= ANSWER_TAIL_BYTES {
        return Response::new(BatchAnswer::from(bytes));
    }
    let mut answer = Response::new(BatchAnswer::default());
    answer.extensions_mut().insert(Ready(bytes));
    answer
}

/// What gRPC says before a message: that it is not compressed, and its length.
fn head(message: &Bytes) -> Option<Bytes> {
    let mut head = vec![0];
    head.extend_from_slice(&u32::try_from(message.len()).ok()?.to_be_bytes());
    Some(head.into())
}

/// An answer that holds the place of its call, and its own memory, until it is sent.
pub(crate) struct Sending {
    body: tonic::body::Body,
    /// Its message, if it has but one that is ready.
    ready: Option<Bytes>,
    of: Arc<Underway>,
    measured: Arc<Measured>,
    _place: Option<Place>,
    /// What of the last frame is not sent yet.
    rest: Bytes,
    /// What it holds for it.
    held: usize,
    /// Ready when the caller may not have more of it.
    lost: Option<Lost>,
}

type Lost = Pin<Box<dyn Future<Output = Status> + Send>>;

impl Sending {
    pub(crate) fn of(
        answer: http::Response<tonic::body::Body>,
        of: Arc<Underway>,
        measured: Arc<Measured>,
        place: Option<Place>,
        pass: Option<Pass>,
    ) -> http::Response<Sending> {
        let lost: Option<Lost> = match pass {
            Some(pass) => Some(Box::pin(pass.lost())),
            None => None,
        };
        let mut answer = answer;
        let ready = answer.extensions_mut().remove().map(|Ready(message)| message);
        let (rest, held) = (Bytes::new(), 0);
        answer.map(|body| Sending { body, ready, of, measured, _place: place, rest, held, lost })
    }

    /// Ends the answer with that status. Nothing is begun that is not sent whole.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.body = tonic::body::Body::empty();
        self.lost = None;
        self.of.sends(true);
        let reason = status.get_details_error_info().map(|info| info.reason);
        self.measured.refused.count(reason.as_deref().unwrap_or("PROTOCOL"));
        let mut trailers = HeaderMap::new();
        // Fails for a message that is no header; ours are text.
        let _ = status.add_header(&mut trailers);
        Frame::trailers(trailers)
    }

    /// The next piece. HTTP/2 takes one whole as soon as the caller has room for its first byte, and the
    /// last one is taken only when those before it have left: so the last one is short.
    fn piece(&mut self) -> Frame<Bytes> {
        let left = self.rest.len();
        let bytes = if left <= ANSWER_TAIL_BYTES {
            left
        } else {
            ANSWER_PIECE_BYTES.min(left - ANSWER_TAIL_BYTES)
        };
        Frame::data(self.rest.split_to(bytes))
    }

    /// What is to be sent in pieces.
    fn hold(&mut self, bytes: Bytes) {
        self.held = bytes.len();
        self.of.hold(bytes.len());
        self.rest = bytes;
    }

    fn give_back(&mut self) {
        if self.held > 0 {
            self.of.give_back(std::mem::take(&mut self.held));
        }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let sending = &mut *self;
        // It is asked for more when what it gave last was taken.
        if !sending.rest.is_empty() {
            sending.of.sends(true);
            return Poll::Ready(Some(Ok(sending.piece())));
        }
        sending.give_back();
        let Poll::Ready(next) = Pin::new(&mut sending.body).poll_frame(context) else {
            sending.of.sends(false);
            let lost = sending.lost.as_mut().map(|lost| lost.as_mut().poll(context));
            return match lost {
                Some(Poll::Ready(status)) => Poll::Ready(Some(Ok(sending.end(&status)))),
                Some(Poll::Pending) | None => Poll::Pending,
            };
        };
        sending.of.sends(next.is_some());
        Poll::Ready(next.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(empty) if sending.ready.is_some() => {
                    let message = sending.ready.take().unwrap_or_default();
                    let head = head(&message).unwrap_or(empty);
                    sending.hold(message);
                    Frame::data(head)
                }
                Ok(data) if data.len() > ANSWER_TAIL_BYTES => {
                    sending.hold(data);
                    sending.piece()
                }
                Ok(data) => Frame::data(data),
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.give_back();
        if self.of.is_unread() {
            self.measured.refused.count("ANSWER_NOT_READ");
            tracing::debug!("a call ended whose caller did not read its answer");
        }
    }
}
