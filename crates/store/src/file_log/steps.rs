//! Where single records begin inside of frames, noted every KiB or so.
//!
//! Nothing rests on the notes: what they lead to is taken only if it has the hash that is named.

use bergulir_chain::frame::HEADER_BYTES;
use bergulir_chain::{Position, RecordSlices, body, record};

use super::segment::Mark;
use crate::varint::{put_varint, take_varint};

/// Between two steps lie at least this many bytes, and at most a record and a header more.
const STEP_BYTES: u64 = 1 << 10;

/// What lies between two steps at most: those bytes, and the longest record with what is around it.
const MOST_BYTES: u64 = STEP_BYTES + (64 << 10) + 128;

/// Of so many steps one is kept as it is, from which the others are counted.
const ANCHORED: usize = 16;

/// Where some of a segment's records begin, in order.
///
/// A log of 10,000,000 records has a million steps, so each is kept as what it is more than the one
/// before: some three bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Steps {
    anchors: Vec<Anchor>,
    /// Of each step, as varints: how many bytes after the one before, or after the beginning of the
    /// file; twice how many records, plus one if it is not known from the one before how many are
    /// left; and that.
    packed: Vec<u8>,
    count: usize,
    last: Step,
}

/// A step as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Anchor {
    step: Step,
    /// Where the one after it is.
    next: u32,
}

/// Where a record begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
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
    /// Steps that were kept as [`packed`](Self::packed); `None` if they cannot be any.
    pub(super) fn unpacked(packed: &[u8]) -> Option<Self> {
        let mut steps = Self::default();
        let mut from = packed;
        while !from.is_empty() {
            let step = steps.last.next(&mut from)?;
            steps.push(step);
        }
        Some(steps)
    }

    /// The bytes by which they are kept.
    pub(super) fn packed(&self) -> &[u8] {
        &self.packed
    }

    /// Takes note of a frame at `at` that has so many records.
    pub(super) fn pass(&mut self, at: Mark, mut left: u32, body: &[u8]) {
        let Mark { first: mut position, mut offset } = at;
        offset += HEADER_BYTES as u64;
        let mut next = if self.count == 0 { 0 } else { self.last.at.offset + STEP_BYTES };
        for record in RecordSlices::new(body) {
            if offset >= next {
                self.push(Step { at: Mark { first: position, offset }, left });
                next = offset + STEP_BYTES;
            }
            position = position.next();
            offset += (body::LENGTH_BYTES + record.len()) as u64;
            left = left.saturating_sub(1);
        }
    }

    /// Takes in those that are after a place in the file.
    pub(super) fn take_in(&mut self, found: &Self, after: u64) {
        let mut from = &found.packed[..];
        let mut step = Step::default();
        while let Some(next) = step.next(&mut from) {
            step = next;
            if step.at.offset >= after {
                self.push(step);
            }
        }
    }

    /// Adds a step. One that does not come after the last is none.
    fn push(&mut self, step: Step) {
        let last = self.last.at;
        let bytes = step.at.offset.checked_sub(last.offset);
        let records = step.at.first.get().checked_sub(last.first.get());
        let (Some(bytes), Some(records @ 0..=RECORDS)) = (bytes, records) else { return };
        if self.count > 0 && (bytes == 0 || records == 0) {
            return;
        }
        let is_known = self.last.left_after(records) == Some(step.left);
        put_varint(bytes, &mut self.packed);
        put_varint(records << 1 | u64::from(!is_known), &mut self.packed);
        if !is_known {
            put_varint(step.left.into(), &mut self.packed);
        }
        if self.count.is_multiple_of(ANCHORED) {
            // A segment has far fewer bytes than would take so many steps.
            let next = u32::try_from(self.packed.len()).unwrap_or(u32::MAX);
            self.anchors.push(Anchor { step, next });
        }
        self.count += 1;
        self.last = step;
    }

    /// What is to be read for a record that lies before `reached`, to where the segment was walked
    /// over; its durable bytes end at `end`.
    pub(super) fn stretch(&self, position: Position, reached: u64, end: u64) -> Option<Stretch> {
        let after = self.anchors.partition_point(|anchor| anchor.step.at.first <= position);
        let anchor = self.anchors.get(after.checked_sub(1)?)?;
        let mut step = anchor.step;
        let mut from = self.packed.get(anchor.next as usize..)?;
        let mut next = step.next(&mut from);
        while let Some(later) = next.filter(|next| next.at.first <= position) {
            step = later;
            next = step.next(&mut from);
        }
        // The next record may be the one of the next step, or the first of another frame.
        let next = next.map_or(reached + HEADER_BYTES as u64, |next| next.at.offset);
        let end = end.min(next + (body::LENGTH_BYTES + record::LINK_BYTES) as u64);
        let length = end.checked_sub(step.at.offset)?;
        (length <= MOST_BYTES).then_some(Stretch { step, end })
    }
}

/// So many records, twice, are still a number.
const RECORDS: u64 = u64::MAX >> 1;

impl Step {
    /// The step after this one, taken off the front of what is packed.
    fn next(&self, from: &mut &[u8]) -> Option<Step> {
        let (bytes, records) = (take_varint(from)?, take_varint(from)?);
        let (records, is_known) = (records >> 1, records & 1 == 0);
        let left = if is_known {
            self.left_after(records)?
        } else {
            u32::try_from(take_varint(from)?).ok()?
        };
        let first = Position::new(self.at.first.get().checked_add(records)?);
        let offset = self.at.offset.checked_add(bytes)?;
        Some(Step { at: Mark { first, offset }, left })
    }

    /// How many records its frame still holds after so many.
    fn left_after(&self, records: u64) -> Option<u32> {
        let left = self.left.checked_sub(u32::try_from(records).ok()?)?;
        (left > 0).then_some(left)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mark(first: u64, offset: u64) -> Mark {
        Mark { first: Position::new(first), offset }
    }

    proptest! {
        #[test]
        fn each_record_lies_between_the_steps_that_are_found_for_it(
            first in prop_oneof![Just(0), any::<u32>().prop_map(u64::from)],
            frames in prop::collection::vec(
                prop::collection::vec(prop_oneof![9 => 78..300_usize, 1 => 300..3_000_usize], 1..60),
                1..12,
            ),
        ) {
            let mut steps = Steps::default();
            let (mut at, mut places) = (mark(first, 64), Vec::new());
            for frame in &frames {
                let mut bytes = Vec::new();
                let mut offset = at.offset + HEADER_BYTES as u64;
                let count = u32::try_from(frame.len()).unwrap();
                for (record, left) in frame.iter().zip((1..=count).rev()) {
                    body::push_encoded(&mut bytes, &vec![1; *record]);
                    places.push((offset, left));
                    offset += (body::LENGTH_BYTES + record) as u64;
                }
                steps.pass(at, count, &bytes);
                at = mark(at.first.get() + u64::from(count), offset + 8);
            }
            let end = at.offset;
            prop_assert_eq!(Steps::unpacked(steps.packed()), Some(steps.clone()));
            let mut other = Steps::default();
            other.take_in(&steps, 0);
            prop_assert_eq!(&other, &steps);

            for (position, (offset, _)) in (first..).zip(&places) {
                let found = steps.stretch(Position::new(position), end, u64::MAX).unwrap();
                prop_assert!((found.step.at.offset..found.end).contains(offset));
                // A step begins where a record does, and says how many its frame still holds.
                let begins = usize::try_from(found.step.at.first.get() - first).unwrap();
                prop_assert_eq!((found.step.at.offset, found.step.left), places[begins]);
                prop_assert!(begins <= usize::try_from(position - first).unwrap());
                let between = &places[begins..=usize::try_from(position - first).unwrap()];
                let before = between.last().unwrap().0 - found.step.at.offset;
                prop_assert!(before < STEP_BYTES, "{} bytes before the record", before);
            }
            if first > 0 {
                prop_assert_eq!(steps.stretch(Position::new(first - 1), end, u64::MAX), None);
            }
        }

        #[test]
        fn bytes_that_are_no_steps_do_no_harm(
            bytes in prop::collection::vec(prop_oneof![0..4_u8, any::<u8>()], 0..200),
            position in any::<u64>(),
        ) {
            if let Some(steps) = Steps::unpacked(&bytes) {
                let _ = steps.stretch(Position::new(position), 1 << 20, 1 << 20);
            }
        }
    }
}
