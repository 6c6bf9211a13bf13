//! One record, read without the rest of its frame.
//!
//! A frame has one CRC over all its records, and one of 512 records has some 70 kB. Who wants a
//! record here and one there, as a page of a trail does, need not read all that: the record that
//! follows names its hash, which vouches for it as the CRC does.
//!
//! Where records begin inside of frames is known from [`Steps`], taken by those who walk over the
//! frames anyway. Nothing rests on them: what they lead to is taken only if it has the hash that is
//! named and is of that position; if not, whoever reads the whole frame says what is wrong.

use std::cell::RefCell;

use bergulir_chain::frame::{END_BYTES, HEADER_BYTES};
use bergulir_chain::{FrameHeader, Hash, Position, Record, RecordSlices, body, record};

use super::medium::MediumFile;
use super::segment::{Extent, Mark};

/// Between two steps lie at least this many bytes, and at most a record and a header more.
const STEP_BYTES: u64 = 4 << 10;

/// What lies between two steps at most: those bytes, and the longest record with what is around it.
const MOST_BYTES: u64 = STEP_BYTES + (64 << 10) + 128;

/// Where some of a segment's records begin, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps(Vec<Step>);

/// Where a record begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// The record, and where its length is in the file.
    pub(super) at: Mark,
    /// How many records its frame holds from here on: at least one.
    pub(super) left: u32,
}

/// A piece of a segment's file in which a record lies, and what the next one says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    pub(super) step: Step,
    /// Where the piece ends in the file.
    pub(super) end: u64,
}

impl Stretch {
    pub(super) fn length(&self) -> u64 {
        self.end - self.step.at.offset
    }
}

impl Steps {
    /// Steps that were kept, from the first.
    pub(super) fn kept(steps: Vec<Step>) -> Self {
        Self(steps)
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.0.iter()
    }

    /// Takes note of a frame at `at` that has so many records.
    pub(super) fn pass(&mut self, at: Mark, mut left: u32, body: &[u8]) {
        let Mark { first: mut position, mut offset } = at;
        offset += HEADER_BYTES as u64;
        let mut next = self.0.last().map_or(0, |last| last.at.offset + STEP_BYTES);
        for record in RecordSlices::new(body) {
            if offset >= next {
                self.0.push(Step { at: Mark { first: position, offset }, left });
                next = offset + STEP_BYTES;
            }
            position = position.next();
            offset += (body::LENGTH_BYTES + record.len()) as u64;
            left = left.saturating_sub(1);
        }
    }

    /// Takes in those that are after a place in the file.
    pub(super) fn take_in(&mut self, found: Self, after: u64) {
        self.0.extend(found.0.into_iter().filter(|step| step.at.offset >= after));
    }

    /// What is to be read for a record that lies before `reached`, to where the segment was walked
    /// over; its durable bytes end at `end`.
    pub(super) fn stretch(&self, position: Position, reached: u64, end: u64) -> Option<Stretch> {
        let after = self.0.partition_point(|step| step.at.first <= position);
        let step = *self.0.get(after.checked_sub(1)?)?;
        // The next record may be the one of the next step, or the first of another frame.
        let next = self.0.get(after).map_or(reached + HEADER_BYTES as u64, |next| next.at.offset);
        let end = end.min(next + (body::LENGTH_BYTES + record::LINK_BYTES) as u64);
        let length = end.checked_sub(step.at.offset)?;
        (length <= MOST_BYTES).then_some(Stretch { step, end })
    }
}

thread_local! {
    /// What was read last. Who reads a page of a trail reads a hundred stretches one after another, and
    /// fresh memory would be zeroed first for each.
    static BYTES: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Reads a stretch and shows its bytes; `None` if it cannot be read.
pub(super) fn read<R>(
    file: &dyn MediumFile,
    stretch: Stretch,
    show: impl FnOnce(&[u8]) -> Option<R>,
) -> Option<R> {
    let length = usize::try_from(stretch.length()).ok()?;
    BYTES.with_borrow_mut(|bytes| {
        if bytes.len() < length {
            bytes.resize(length, 0);
        }
        let bytes = &mut bytes[..length];
        file.read_exact_at(bytes, stretch.step.at.offset).ok()?;
        show(bytes)
    })
}

/// Finds a record in the bytes of a [`Stretch`], and checks it by its hash.
pub(super) fn find(bytes: &[u8], step: Step, position: Position, extent: Extent) -> Option<&[u8]> {
    let mut walk = Walk { bytes, next: step.at.first, left: step.left };
    while walk.next < position {
        walk.record()?;
    }
    let found = walk.record()?;
    let named = if walk.next == extent.next { extent.hash } else { walk.link()? };
    // The next record vouches for its bytes, and those for its place: a step may be that of another one.
    let is_it = Record::parse(found).is_ok_and(|record| record.position == position);
    (is_it && record::hash(found) == named).then_some(found)
}

/// A walk over records, from one frame into the next.
struct Walk<'a> {
    bytes: &'a [u8],
    next: Position,
    /// How many records the frame still holds.
    left: u32,
}

impl<'a> Walk<'a> {
    fn record(&mut self) -> Option<&'a [u8]> {
        self.enter()?;
        let mut records = RecordSlices::new(self.bytes);
        let record = records.next()?;
        self.bytes = self.bytes.get(body::LENGTH_BYTES + record.len()..)?;
        self.next = self.next.next();
        self.left -= 1;
        Some(record)
    }

    /// The hash that the next record names, of which not all need be there.
    fn link(&mut self) -> Option<Hash> {
        self.enter()?;
        record::link(self.bytes.get(body::LENGTH_BYTES..)?)
    }

    /// Steps into the next frame, if this one ends here.
    fn enter(&mut self) -> Option<()> {
        if self.left == 0 {
            let frame = self.bytes.get(END_BYTES..)?;
            let header = FrameHeader::parse(frame).ok()?;
            if header.first != self.next {
                return None;
            }
            self.left = header.records;
            self.bytes = frame.get(HEADER_BYTES..)?;
        }
        Some(())
    }
}
