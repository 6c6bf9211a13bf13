//! One segment file of a log, and the marks by which a position in it is found.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use bergulir_chain::{Hash, Position, SegmentHeader, record, segment};

use super::medium::MediumFile;
use super::walk::FrameWalk;
use crate::log::ReadError;

/// Between two marks lie at least this many bytes, and at most one frame more.
pub(super) const MARK_BYTES: u64 = 64 << 10;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn MediumFile>,
    /// `None` until the first read, in a segment that was there before the log was opened.
    marks: Mutex<Option<Marks>>,
}

/// Where some of a segment's frames begin, in order.
#[derive(Debug, Default)]
pub(super) struct Marks {
    marks: Vec<Mark>,
}

#[derive(Clone, Copy, Debug)]
struct Mark {
    first: Position,
    offset: u64,
}

/// How far a segment reaches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extent {
    /// The end of its durable bytes in the file.
    pub(super) end: u64,
    /// The position after its last record.
    pub(super) next: Position,
    /// The hash of its last record.
    pub(super) hash: Hash,
}

impl Marks {
    /// Takes note of a frame, if it is far enough from the mark before.
    pub(super) fn pass(&mut self, first: Position, offset: u64) {
        let far = self.marks.last().is_none_or(|mark| offset - mark.offset >= MARK_BYTES);
        if far {
            self.marks.push(Mark { first, offset });
        }
    }

    fn before(&self, position: Position) -> Option<Mark> {
        let after = self.marks.partition_point(|mark| mark.first <= position);
        self.marks[..after].last().copied()
    }
}

impl Segment {
    pub(super) fn new(
        header: SegmentHeader,
        path: PathBuf,
        file: Box<dyn MediumFile>,
        marks: Option<Marks>,
    ) -> Self {
        Self { header, path, file, marks: Mutex::new(marks) }
    }

    /// Takes note of a frame that was appended.
    pub(super) fn pass(&self, first: Position, offset: u64) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(marks) = marks.as_mut() {
            marks.pass(first, offset);
        }
    }

    /// A walk over the frames from the one that holds `position`.
    ///
    /// The first time that a segment is read, all its frame headers are walked over, and it is
    /// checked that the next segment goes on where this one ends.
    pub(super) fn walk_from(
        &self,
        position: Position,
        extent: Extent,
    ) -> Result<FrameWalk<'_>, ReadError> {
        let mark = {
            let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
            let marks = match marks.as_mut() {
                Some(marks) => marks,
                None => marks.insert(self.mark_all(extent)?),
            };
            marks.before(position)
        };
        let mut walk = match mark {
            Some(mark) => FrameWalk::new(self, mark.first, mark.offset, extent.end),
            None => self.walk(extent.end),
        };
        while walk.header()?.next() <= position {
            walk.skip()?;
        }
        Ok(walk)
    }

    /// A walk over the frames from the first.
    pub(super) fn walk(&self, end: u64) -> FrameWalk<'_> {
        FrameWalk::new(self, self.header.first, segment::HEADER_BYTES as u64, end)
    }

    fn mark_all(&self, extent: Extent) -> Result<Marks, ReadError> {
        let mut marks = Marks::default();
        let mut walk = self.walk(extent.end).with_long_steps();
        loop {
            let header = walk.header()?;
            marks.pass(header.first, walk.offset());
            let is_last = walk.offset() + header.frame_length() as u64 >= extent.end;
            if header.next() < extent.next && !is_last {
                walk.skip()?;
                continue;
            }
            let hash = walk.frame()?.records().last().map(record::hash);
            if header.next() == extent.next && hash == Some(extent.hash) {
                return Ok(marks);
            }
            walk.skip()?;
            return Err(walk.corrupt(format!(
                "the segment ends here, but the next one goes on at position {} after the record \
                 with the hash {}: one of them was replaced, or one in between is missing",
                extent.next, extent.hash
            )));
        }
    }

    /// The path and a byte in the file, for a message.
    pub(super) fn place(&self, offset: u64) -> String {
        place(&self.path, offset)
    }
}

/// A byte in a file, for a message.
pub(super) fn place(path: &Path, offset: u64) -> String {
    format!("{}, byte {offset}", path.display())
}
