//! The body of a request on its way in. No message begins to come for which there is no memory, and
//! none takes for ever.

use crate::limits::SMALL_MESSAGE_BYTES;
use crate::quotas::{Exceeded, Limit, Whose};
use crate::underway::Underway;
use bergulir_proto::Described;
use hyper::body::{Body, Bytes, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::{Code, Status};

/// What a caller may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sends {
    /// One message.
    One,
    /// Messages, one after the other, for as long as it likes.
    Many,
    /// The same, and each gives its memory back when it is answered.
    Commands,
}

/// The head of a message: whether it is compressed, and its length.
const HEAD_BYTES: usize = 5;

/// The body of a request.
pub(crate) struct Receiving<B = Incoming> {
    body: B,
    of: Arc<Underway>,
    sends: Sends,
    /// The longest message that is taken.
    longest: usize,
    /// What has come and is not handed on yet.
    rest: Bytes,
    /// As much of the head of the next message as has come.
    head: [u8; HEAD_BYTES],
    head_bytes: usize,
    /// What is still to come of a message that has begun.
    missing: usize,
    /// Whether a message has begun already.
    begun: bool,
}

impl<B> Receiving<B> {
    pub(crate) fn new(body: B, of: Arc<Underway>, sends: Sends, longest: usize) -> Receiving<B> {
        Receiving {
            body,
            of,
            sends,
            longest,
            rest: Bytes::new(),
            head: [0; HEAD_BYTES],
            head_bytes: 0,
            missing: 0,
            begun: false,
        }
    }

    /// How many of the bytes that have come may be handed on. With none the call waits for memory that
    /// it holds itself.
    fn allowed(&mut self) -> Result<usize, Status> {
        let mut at = 0;
        while let Some(&byte) = self.rest.get(at) {
            if self.missing > 0 {
                let here = self.missing.min(self.rest.len() - at);
                self.missing -= here;
                at += here;
                if self.missing == 0 {
                    self.of.received();
                }
                continue;
            }
            self.head[self.head_bytes] = byte;
            if self.head_bytes + 1 < HEAD_BYTES {
                self.head_bytes += 1;
                at += 1;
                continue;
            }
            // With the last byte of its head who decodes it makes room for the whole message.
            let [_, length @ ..] = self.head;
            let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            if !self.may_begin(length)? {
                return Ok(at);
            }
            (self.head_bytes, self.missing) = (0, length);
            at += 1;
            if length == 0 {
                self.of.received();
            }
        }
        Ok(at)
    }

    /// Whether a message may come now; if not, what this call holds must be given back first.
    fn may_begin(&mut self, length: usize) -> Result<bool, Status> {
        if self.sends == Sends::One && self.begun {
            let message = "the call takes one message, and another one came";
            return Err(
                Described::new(Code::InvalidArgument, "MALFORMED_MESSAGE", message).status()
            );
        }
        // Who decodes it refuses what is too long. Small messages of calls are bounded by how many calls
        // there may be.
        let small = self.sends == Sends::One && length <= SMALL_MESSAGE_BYTES;
        if !small && length <= self.longest {
            match self.of.take(length) {
                Ok(()) => {}
                Err(_) if self.sends == Sends::Commands && self.of.holds() => return Ok(false),
                Err(exceeded) => return Err(exceeded.status()),
            }
        }
        self.begun = true;
        Ok(true)
    }

    /// Whether the caller owes something: the rest of a message, or of a request.
    fn expects(&self) -> bool {
        self.sends == Sends::One || self.missing > 0 || self.head_bytes > 0
    }

    fn too_slow(&self) -> Status {
        let exceeded = Exceeded {
            limit: Limit::MessageSeconds,
            most: u64::from(self.of.message_seconds()),
            of: Whose::All,
            retry_after: Duration::from_secs(1),
        };
        exceeded.status()
    }
}

impl<B> Body for Receiving<B>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: std::error::Error + Send + Sync + 'static,
{
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let receiving = &mut *self;
        if receiving.rest.is_empty() {
            match Pin::new(&mut receiving.body).poll_frame(context) {
                Poll::Pending if receiving.of.is_slow() => {
                    return Poll::Ready(Some(Err(receiving.too_slow())));
                }
                Poll::Pending => {
                    receiving.of.receives(receiving.expects());
                    return Poll::Pending;
                }
                Poll::Ready(frame) => {
                    receiving.of.receives(false);
                    match frame.map(|frame| frame.map(Frame::into_data)) {
                        None => return Poll::Ready(None),
                        Some(Err(error)) => {
                            let error = Status::from_error(Box::new(error));
                            return Poll::Ready(Some(Err(error)));
                        }
                        Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                        Some(Ok(Ok(data))) if data.is_empty() => {
                            return Poll::Ready(Some(Ok(Frame::data(data))));
                        }
                        Some(Ok(Ok(data))) => receiving.rest = data,
                    }
                }
            }
        }
        Poll::Ready(Some(match receiving.allowed() {
            // Woken when this call gives something back.
            Ok(0) => return Poll::Pending,
            Ok(bytes) => Ok(Frame::data(receiving.rest.split_to(bytes))),
            Err(status) => Err(status),
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
