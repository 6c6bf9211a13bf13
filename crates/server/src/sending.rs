//! The body of an answer on its way to its caller, in pieces: so it is seen whether the caller reads,
//! and little of it lies where nobody can take it back.

use crate::access::Pass;
use crate::limits::{ANSWER_PIECE_BYTES, ANSWER_TAIL_BYTES};
use crate::quotas::Place;
use crate::telemetry::Measured;
use crate::underway::Underway;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::Status;
use tonic::codegen::http::HeaderMap;
use tonic_types::StatusExt as _;

/// An answer that holds the place of its call, and its own memory, until it is sent.
pub(crate) struct Sending {
    body: tonic::body::Body,
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
    pub(crate) fn new(
        body: tonic::body::Body,
        of: Arc<Underway>,
        measured: Arc<Measured>,
        place: Option<Place>,
        pass: Option<Pass>,
    ) -> Sending {
        let lost: Option<Lost> = match pass {
            Some(pass) => Some(Box::pin(pass.lost())),
            None => None,
        };
        Sending { body, of, measured, _place: place, rest: Bytes::new(), held: 0, lost }
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
                Ok(data) if data.len() > ANSWER_TAIL_BYTES => {
                    sending.held = data.len();
                    sending.of.hold(data.len());
                    sending.rest = data;
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
