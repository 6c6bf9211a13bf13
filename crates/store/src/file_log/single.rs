//! One record, read without the rest of its frame.
//!
//! A frame has one CRC over all its records, and one of 512 records has some 70 kB. Who wants a
//! record here and one there, as a page of a trail does, need not read all that: the record that
//! follows names its hash, which vouches for it as the CRC does.
//!
//! Where records begin inside of frames is known from [`Steps`](super::steps::Steps), taken by those
//! who walk over the frames anyway. Nothing rests on them: what they lead to is taken only if it has the
//! hash that is named and is of that position; if not, whoever reads the whole frame says what is wrong.

use std::cell::RefCell;

use bergulir_chain::frame::{END_BYTES, HEADER_BYTES};
use bergulir_chain::{FrameHeader, Hash, Position, Record, RecordSlices, body, record};

use super::medium::MediumFile;
use super::segment::Extent;
use super::steps::{Step, Stretch};

/// Stretches that touch are read together up to so many bytes.
const TOGETHER_BYTES: u64 = 64 << 10;

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

/// The first of these stretches, and those behind it that are read together with it: how many.
pub(super) fn together(stretches: &[Stretch]) -> Option<(Stretch, usize)> {
    let (mut all, rest) = stretches.split_first().map(|(first, rest)| (*first, rest))?;
    let mut count = 1;
    for next in rest {
        let end = next.end.max(all.end);
        if next.step.at.offset > all.end || end - all.step.at.offset > TOGETHER_BYTES {
            break;
        }
        all.end = end;
        count += 1;
    }
    Some((all, count))
}

/// Finds records, whose positions ascend, in the bytes from a step on. Each is checked by its hash, and
/// shown with it; says how many there were before one that could not be had.
pub(super) fn find<'a>(
    bytes: &'a [u8],
    step: Step,
    positions: &[Position],
    extent: Extent,
    mut show: impl FnMut(Position, Hash, &'a [u8]),
) -> usize {
    let mut walk = Walk { bytes, next: step.at.first, left: step.left };
    let found = positions.iter().map_while(|position| {
        let (record, hash) = walk.find(*position, extent)?;
        show(*position, hash, record);
        Some(())
    });
    found.count()
}

/// A walk over records, from one frame into the next.
struct Walk<'a> {
    bytes: &'a [u8],
    next: Position,
    /// How many records the frame still holds.
    left: u32,
}

impl<'a> Walk<'a> {
    /// Goes on to a record, and past it.
    fn find(&mut self, position: Position, extent: Extent) -> Option<(&'a [u8], Hash)> {
        while self.next < position {
            self.record()?;
        }
        let found = self.record()?;
        let named = if self.next == extent.next { extent.hash } else { self.link()? };
        // The next record vouches for its bytes, and those for its place: a step may be that of another
        // one.
        let is_it = Record::parse(found).is_ok_and(|record| record.position == position);
        (is_it && record::hash(found) == named).then_some((found, named))
    }

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
