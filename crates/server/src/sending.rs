//! The body of an answer on its way to its caller.

use crate::quotas::Place;
use hyper::body::{Body, Bytes, Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::Status;

/// An answer that holds the place of its call until it is sent.
pub(crate) struct Sending {
    body: tonic::body::Body,
    _place: Option<Place>,
}

impl Sending {
    pub(crate) fn new(body: tonic::body::Body, place: Option<Place>) -> Sending {
        Sending { body, _place: place }
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
