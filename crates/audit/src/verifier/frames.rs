//! Verifying segments and frames: what holds the records, and which record does not fit if it is
//! damaged.

use std::vec::Drain;

use bergulir_chain::{
    FrameError, Position, RecordSlices, SegmentError, SegmentHeader, body::LENGTH_BYTES, frame,
};
use bergulir_domain::state::LOOK_AHEAD;

use super::{Stop, Verifier};
use crate::diagnosis::broken_segment;
use crate::fetch::Fetch;
use crate::reader::{Read, RequestIds, Span, Stretch};
use crate::reason::Reason;

impl Verifier<'_> {
    /// A segment goes on exactly where the one before it ended.
    pub(super) fn segment(
        &mut self,
        index: usize,
        header: Result<SegmentHeader, SegmentError>,
    ) -> Result<(), Stop> {
        self.place = Some((index, 0));
        let named = self.survey.segments[index].first;
        let expected = self.next();
        if named != expected {
            let found = named;
            return Err(self.bad(Reason::SegmentGap { expected, found }));
        }
        let header = header.map_err(|error| self.bad(Reason::SegmentHeader(error)))?;
        let stated = header.first;
        if stated != named {
            return Err(self.bad(Reason::SegmentRenamed { named, stated }));
        }
        let head = self.head_hash();
        if header.previous != head {
            let mut fetch = Fetch::new(self.survey);
            let (position, reason) = broken_segment(expected, header.previous, head, &mut fetch);
            return Err(Stop::Bad { position, reason });
        }
        Ok(())
    }

    /// Verifies a frame. `ahead` gives what the reader read of its records and those after it.
    pub(super) fn frame(
        &mut self,
        stretch: &Stretch,
        span: &Span,
        ahead: &mut Drain<'_, Read>,
    ) -> Result<(), Stop> {
        self.place = Some((stretch.segment, span.offset));
        let stated = span.header.first;
        if stated != self.next() {
            return Err(self.bad(Reason::FramePosition { stated }));
        }
        if let Some(fault) = span.fault {
            return Err(self.damaged_frame(stretch, span, fault));
        }
        let repeated = match &span.request_ids {
            Err(RequestIds::Repeated { position, first }) => Some((*position, *first)),
            Err(RequestIds::Unknown { .. }) | Ok(()) => None,
        };
        for (number, bytes) in stretch.records(span).enumerate() {
            if self.links.is_none() && number.is_multiple_of(LOOK_AHEAD) {
                self.look_ahead(ahead.as_slice());
            }
            self.record(bytes, ahead.next(), None)?;
            if let Some((position, first)) = repeated
                && position < self.next()
            {
                let reason = Reason::RequestIdUsed { first };
                return Err(Stop::Bad { position, reason });
            }
        }
        let position = self.next();
        if !self.ends_batch() {
            return Err(self.bad(Reason::BatchCut));
        }
        match &span.request_ids {
            Err(RequestIds::Unknown { why }) => {
                let why = why.clone();
                Err(Stop::Unreadable { position, why })
            }
            Err(RequestIds::Repeated { .. }) | Ok(()) => Ok(()),
        }
    }

    /// Reads what verifying the next records is going to read.
    fn look_ahead(&self, next: &[Read]) {
        let events = next.iter().take(LOOK_AHEAD).filter_map(Read::event);
        let accounts = self.replica.look_ahead(events.clone());
        self.balances.look_ahead(accounts.into_iter().flatten());
        self.past.look_ahead(events);
    }

    /// Finds the record for which a frame does not match its sum.
    fn damaged_frame(&mut self, stretch: &Stretch, span: &Span, fault: FrameError) -> Stop {
        let frame = stretch.frame(span);
        let mut start = frame::HEADER_BYTES + LENGTH_BYTES;
        let mut records: RecordSlices<'_> = stretch.records(span);
        for bytes in records.by_ref().take(span.header.records as usize) {
            if let Err(stop) = self.record(bytes, None, Some((frame, start))) {
                return match stop {
                    Stop::Bad { position, reason } => {
                        let record = Box::new(reason);
                        let reason = Reason::FrameRecord { fault, record };
                        Stop::Bad { position, reason }
                    }
                    Stop::Unreadable { .. } => stop,
                };
            }
            start += bytes.len() + LENGTH_BYTES;
        }
        // Each record was vouched for by the next one. So it is the last one, if it is there.
        let next = self.next();
        let is_whole = next == span.header.next();
        let last = next.get().saturating_sub(u64::from(is_whole));
        let reason = Reason::FrameLast { fault };
        let position = Position::new(last);
        Stop::Bad { position, reason }
    }
}
