//! The body of an answer on its way to its caller, in pieces: so it is seen whether the caller reads,
//! and little of it lies where nobody can take it back.

use crate::access::Pass;
use crate::limits::{ANSWER_PIECE_BYTES, ANSWER_TAIL_BYTES};
use crate::quotas::Place;
use crate::telemetry::Measured;
use crate::underway::Underway;
use bergulir_proto::wire::BatchAnswer;
use futures::StreamExt as _;
use futures::stream::{self, BoxStream};
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use tonic::codegen::http::{self, HeaderMap};
use tonic::{Response, Status};
use tonic_types::StatusExt as _;

/// The one message of an answer behind its head, ready to be sent. The answer has an empty message, in
/// whose place it goes: it would be copied otherwise.
#[derive(Clone)]
struct Ready(Bytes);

/// The answer to a call that has one message, given behind its head. It is whole once it went through
/// [`Sending`].
pub(crate) fn one_message<M: Default>(message: Bytes) -> Response<M> {
    let mut answer = Response::new(M::default());
    answer.extensions_mut().insert(Ready(message));
    answer
}

/// Messages as they come, side by side and each behind its head, and how they end.
pub(crate) type Messages = BoxStream<'static, Result<Bytes, Status>>;

/// The same of a call that has many messages, which go before an empty stream; taken when it is sent.
#[derive(Clone)]
struct ReadyOnes(Arc<Mutex<Option<Messages>>>);

/// The answer to a call that has many messages. It is whole once it went through [`Sending`].
pub(crate) fn many_messages(
    messages: Messages,
) -> Response<BoxStream<'static, Result<BatchAnswer, Status>>> {
    let mut answer = Response::new(stream::empty().boxed());
    answer.extensions_mut().insert(ReadyOnes(Arc::new(Mutex::new(Some(messages)))));
    answer
}

/// An answer that holds the place of its call, and its own memory, until it is sent.
pub(crate) struct Sending {
    body: tonic::body::Body,
    /// Its message, if it has but one that is ready.
    ready: Option<Bytes>,
    /// Its messages, if they come ready; the body is but their end.
    messages: Option<Messages>,
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
        let messages = answer.extensions_mut().remove().and_then(|ReadyOnes(messages)| {
            messages.lock().unwrap_or_else(PoisonError::into_inner).take()
        });
        answer.map(|body| Sending {
            body,
            ready,
            messages,
            of,
            measured,
            _place: place,
            rest: Bytes::new(),
            held: 0,
            lost,
        })
    }

    /// What the body gives next: before it, the messages that come ready.
    fn next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(messages) = &mut self.messages {
            match ready!(messages.poll_next_unpin(context)) {
                Some(Ok(messages)) => return Poll::Ready(Some(Ok(Frame::data(messages)))),
                Some(Err(status)) => return Poll::Ready(Some(Ok(self.end(&status)))),
                None => self.messages = None,
            }
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    /// Ends the answer, since its caller may not have more of it.
    fn lose(&mut self, status: &Status) -> Frame<Bytes> {
        self.of.sends(true);
        let reason = status.get_details_error_info().map(|info| info.reason);
        self.measured.refused.count(reason.as_deref().unwrap_or("PROTOCOL"));
        self.end(status)
    }

    /// Ends the answer with that status. Nothing is begun that is not sent whole.
    fn end(&mut self, status: &Status) -> Frame<Bytes> {
        self.body = tonic::body::Body::empty();
        self.messages = None;
        self.lost = None;
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
        let Poll::Ready(next) = sending.next(context) else {
            sending.of.sends(false);
            let lost = sending.lost.as_mut().map(|lost| lost.as_mut().poll(context));
            return match lost {
                Some(Poll::Ready(status)) => Poll::Ready(Some(Ok(sending.lose(&status)))),
                Some(Poll::Pending) | None => Poll::Pending,
            };
        };
        sending.of.sends(next.is_some());
        Poll::Ready(next.map(|frame| {
            frame.map(|frame| match frame.into_data() {
                Ok(data) => {
                    let data = sending.ready.take().unwrap_or(data);
                    if data.len() <= ANSWER_TAIL_BYTES {
                        return Frame::data(data);
                    }
                    sending.hold(data);
                    sending.piece()
                }
                Err(trailers) => trailers,
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.messages.is_none() && self.body.is_end_stream()
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
