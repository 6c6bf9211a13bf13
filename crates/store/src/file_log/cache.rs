//! The frames that were read last, kept so that their records need not be checked one read at a
//! time.
//!
//! A frame has one CRC over all its records, so reading one of 10,000 costs as much as reading all.
//! Whoever reads a batch record by record, as a retry of it does, would pay that 10,000 times.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bergulir_chain::frame::{END_BYTES, HEADER_BYTES};
use bergulir_chain::{FrameHeader, Position, RecordSlices, body};

/// The most frames that are kept. Looking through them takes less than a microsecond.
const MOST_FRAMES: usize = 64;

/// The most bytes that are kept, but always the frame that was read last: the longest has 16 MiB.
const MOST_BYTES: usize = 8 << 20;

/// The records of a frame whose CRC was right when it was read.
#[derive(Debug)]
pub(super) struct CachedFrame {
    first: Position,
    /// What was read of the file to get the frame.
    bytes: Vec<u8>,
    /// Where in `bytes` each record begins.
    starts: Vec<u32>,
    /// Where in `bytes` the last record ends.
    end: usize,
}

impl CachedFrame {
    /// Of a frame that was checked and begins at `start` of `bytes`, which are kept as they are.
    pub(super) fn of(header: FrameHeader, bytes: Vec<u8>, start: usize) -> Self {
        let end = start + header.frame_length() - END_BYTES;
        let mut at = start + HEADER_BYTES;
        let mut starts = Vec::with_capacity(header.records as usize);
        for record in RecordSlices::new(&bytes[at..end]) {
            at += body::LENGTH_BYTES;
            starts.push(u32::try_from(at).expect("it was read at once, two frames at most"));
            at += record.len();
        }
        Self { first: header.first, bytes, starts, end }
    }

    fn index_of(&self, position: Position) -> Option<usize> {
        let index = usize::try_from(position.get().checked_sub(self.first.get())?).ok()?;
        (index < self.starts.len()).then_some(index)
    }

    /// The records from a position to the end of the frame; none if it is not in the frame.
    pub(super) fn records_from(&self, position: Position) -> impl Iterator<Item = &[u8]> {
        let rest = match self.index_of(position) {
            Some(index) => &self.bytes[self.starts[index] as usize - body::LENGTH_BYTES..self.end],
            None => &[],
        };
        RecordSlices::new(rest)
    }

    fn bytes(&self) -> usize {
        self.bytes.capacity() + self.starts.capacity() * size_of::<u32>()
    }
}

/// A few frames, the one that was read last in front.
#[derive(Debug, Default)]
pub(super) struct FrameCache {
    frames: Mutex<VecDeque<Arc<CachedFrame>>>,
}

impl FrameCache {
    /// The frame that holds a position, if it is kept.
    pub(super) fn holding(&self, position: Position) -> Option<Arc<CachedFrame>> {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        let at = frames.iter().position(|frame| frame.index_of(position).is_some())?;
        let frame = frames.remove(at)?;
        frames.push_front(Arc::clone(&frame));
        Some(frame)
    }

    /// Keeps a durable frame, and lets go of those that were not read for longest.
    pub(super) fn keep(&self, frame: CachedFrame) {
        let mut frames = self.frames.lock().unwrap_or_else(PoisonError::into_inner);
        // Two readers may have read it at once.
        frames.retain(|kept| kept.first != frame.first);
        frames.push_front(Arc::new(frame));
        let mut bytes = 0;
        let fitting = frames.iter().take(MOST_FRAMES).take_while(|frame| {
            bytes += frame.bytes();
            bytes <= MOST_BYTES
        });
        let fitting = fitting.count();
        frames.truncate(fitting.max(1));
    }
}

#[cfg(test)]
mod tests {
    use bergulir_chain::frame::MAX_BODY_BYTES;
    use bergulir_chain::{Frame, FrameBuilder};

    use super::*;

    fn frame(first: u64, records: &[Vec<u8>]) -> CachedFrame {
        let mut bytes = Vec::new();
        for record in records {
            body::push_encoded(&mut bytes, record);
        }
        let mut builder = FrameBuilder::new();
        let count = u32::try_from(records.len()).unwrap();
        let bytes = builder.build(Position::new(first), count, &bytes, 0).unwrap();
        let header = Frame::parse(bytes, 0).unwrap().header();
        let around = [b"before", bytes, b"after"].concat();
        CachedFrame::of(header, around, b"before".len())
    }

    #[test]
    fn each_record_is_found_at_its_position() {
        let records = [vec![1; 3], vec![2; 70], vec![3], vec![4; 5]];
        let frame = frame(7, &records);
        for (index, position) in (7..=12).enumerate() {
            let expected = records.get(index..).unwrap_or_default();
            assert!(frame.records_from(Position::new(position)).eq(expected), "{position}");
        }
        assert_eq!(frame.records_from(Position::new(6)).count(), 0);
    }

    #[test]
    fn the_frames_that_were_read_last_are_kept() {
        let cache = FrameCache::default();
        let most = MOST_FRAMES as u64;
        (0..most).for_each(|first| cache.keep(frame(first, &[vec![1]])));
        assert!(cache.holding(Position::ZERO).is_some());
        cache.keep(frame(most, &[vec![1]]));
        let gone = (0..=most).filter(|&first| cache.holding(Position::new(first)).is_none());
        assert_eq!(gone.collect::<Vec<_>>(), [1]);
        cache.keep(frame(most, &[vec![1]]));
        assert_eq!(cache.frames.lock().unwrap().len(), MOST_FRAMES, "none is kept twice");
    }

    #[test]
    fn what_is_kept_takes_bounded_memory_or_is_the_last_frame() {
        let record = vec![1; 1_022];
        let longest = vec![record; MAX_BODY_BYTES / 1_024];
        let cache = FrameCache::default();
        for first in 0..3 {
            let frame = frame(first * 1_000_000, &longest);
            assert_eq!(frame.starts.len(), longest.len());
            cache.keep(frame);
            assert_eq!(cache.frames.lock().unwrap().len(), 1, "one of them is more than the rest");
            assert!(cache.holding(Position::new(first * 1_000_000)).is_some());
        }
        for first in 3..20 {
            cache.keep(frame(first * 1_000_000, &longest[..1_000]));
            let bytes: usize = cache.frames.lock().unwrap().iter().map(|frame| frame.bytes()).sum();
            assert!((1_000_000..=MOST_BYTES).contains(&bytes), "{bytes}");
            assert!(cache.holding(Position::new(first * 1_000_000)).is_some());
        }
    }
}
