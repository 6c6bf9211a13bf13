//! One segment file of a log, and the marks by which a position in it is found.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bergulir_chain::frame::{END_BYTES, HEADER_BYTES};
use bergulir_chain::{Hash, Position, SegmentHeader, record, segment};

use super::kept_marks::KeptMarks;
use super::medium::MediumFile;
use super::single;
use super::steps::Steps;
use super::walk::FrameWalk;
use crate::log::ReadError;
use crate::records::Scattered;

/// Between two marks lie at least this many bytes, and at most one frame more.
pub(super) const MARK_BYTES: u64 = 64 << 10;

/// After a walk over so many bytes the marks found are there for others.
const SHARED_BYTES: u64 = 1 << 20;

/// An open segment.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) header: SegmentHeader,
    pub(super) path: PathBuf,
    pub(super) file: Box<dyn MediumFile>,
    /// Never held while the file is read: the one thread that writes comes here too.
    marks: Mutex<Marks>,
}

/// Where some of a segment's frames begin, in order, as far as it was walked over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Marks {
    pub(super) places: Vec<Mark>,
    /// Where some of the records in those frames begin.
    pub(super) steps: Steps,
    /// Where the first frame begins that was not walked over.
    pub(super) reached: Mark,
    /// All frames were walked over, and the next segment goes on where this one ends.
    pub(super) whole: bool,
    pub(super) source: Source,
}

/// Where a frame or a record begins: its first position, and its place in the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) first: Position,
    pub(super) offset: u64,
}

/// Where marks are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// There are none: nobody has looked yet whether some are kept.
    Unknown,
    /// They were kept in a file.
    Kept,
    /// The frames were seen.
    Seen,
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
    /// Of a segment none of whose frames was seen yet.
    pub(super) fn none(header: SegmentHeader, source: Source) -> Self {
        let reached = Mark { first: header.first, offset: segment::HEADER_BYTES as u64 };
        let places = Vec::new();
        Self { places, steps: Steps::default(), reached, whole: false, source }
    }

    /// Of the newest segment of a log, which takes note of each frame.
    pub(super) fn of_newest(header: SegmentHeader) -> Self {
        Self { whole: true, ..Self::none(header, Source::Seen) }
    }

    /// Takes note of the frame at `at`. It is marked if it is far enough from the mark before.
    pub(super) fn pass(&mut self, at: Mark, records: u32, body: &[u8]) {
        let far = self.places.last().is_none_or(|mark| at.offset - mark.offset >= MARK_BYTES);
        if far {
            self.places.push(at);
        }
        self.steps.pass(at, records, body);
        self.reached = Mark {
            first: Position::new(at.first.get() + u64::from(records)),
            offset: at.offset + (HEADER_BYTES + body.len() + END_BYTES) as u64,
        };
    }

    fn before(&self, position: Position) -> Option<Mark> {
        let after = self.places.partition_point(|mark| mark.first <= position);
        self.places[..after].last().copied()
    }

    /// Takes in what a walk found that went on where these marks reached to. Another walk may have
    /// been faster.
    fn take_in(&mut self, found: Self) {
        let news = found.places.into_iter().filter(|mark| mark.offset >= self.reached.offset);
        if found.reached.offset > self.reached.offset {
            self.places.extend(news);
            self.steps.take_in(&found.steps, self.reached.offset);
            self.reached = found.reached;
        }
        self.whole |= found.whole;
    }
}

impl Segment {
    pub(super) fn new(
        header: SegmentHeader,
        path: PathBuf,
        file: Box<dyn MediumFile>,
        marks: Marks,
    ) -> Self {
        Self { header, path, file, marks: Mutex::new(marks) }
    }

    fn marks(&self) -> MutexGuard<'_, Marks> {
        self.marks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cfg(test)]
    pub(super) fn all_marks(&self) -> Marks {
        self.marks().clone()
    }

    /// Takes note of a frame that was appended.
    pub(super) fn pass(&self, at: Mark, records: u32, body: &[u8]) {
        self.marks().pass(at, records, body);
    }

    /// Records whose positions ascend, without their frames: those before the first that cannot be had
    /// so. Why not, reading its frame tells.
    pub(super) fn singles(
        &self,
        positions: &[Position],
        extent: Extent,
        kept: Option<&KeptMarks>,
        found: &mut Scattered,
    ) {
        self.recall(extent, kept);
        let stretches: Vec<_> = {
            let marks = self.marks();
            let Mark { first, offset } = marks.reached;
            let walked_over = positions.iter().take_while(|position| **position < first);
            walked_over
                .map_while(|position| marks.steps.stretch(*position, offset, extent.end))
                .collect()
        };
        let (mut stretches, mut positions) = (&stretches[..], positions);
        while let Some((stretch, count)) = single::together(stretches) {
            let (some, rest) = positions.split_at(count);
            let shown = single::read(&*self.file, stretch, |bytes| {
                let show = |position, hash, record: &[u8]| found.take_in(position, hash, record);
                Some(single::find(bytes, stretch.step, some, extent, show))
            });
            if shown != Some(count) {
                return;
            }
            (stretches, positions) = (&stretches[count..], rest);
        }
    }

    /// Keeps the marks of this segment, which is closed and was walked over.
    pub(super) fn keep_marks(&self, extent: Extent, kept: Option<&KeptMarks>) {
        if let Some(kept) = kept {
            let marks = self.marks().clone();
            kept.keep(self.header, extent, &marks);
        }
    }

    /// True if all frames are marked, and the next segment is known to go on where this one ends.
    pub(super) fn is_whole(&self) -> bool {
        self.marks().whole
    }

    /// A walk over the frames from the one that holds `position`.
    ///
    /// Of a segment that was there before the log was opened, the kept marks are taken, or the
    /// frame headers before `position` are walked over, from where others have come to. Nobody
    /// waits for another's walk.
    pub(super) fn walk_from(
        &self,
        position: Position,
        extent: Extent,
        kept: Option<&KeptMarks>,
    ) -> Result<FrameWalk<'_>, ReadError> {
        self.recall(extent, kept);
        loop {
            self.mark_to(position, extent, kept)?;
            let (mark, source) = {
                let marks = self.marks();
                (marks.before(position), marks.source)
            };
            let walk = mark.map_or_else(|| self.walk(extent.end), |mark| self.at(mark, extent.end));
            match to_frame_of(walk, position) {
                // Whether the frame or the mark is wrong: what was kept must not make it worse.
                Err(ReadError::Corrupt { .. }) if source == Source::Kept => {
                    *self.marks() = Marks::none(self.header, Source::Seen);
                }
                walk => return walk,
            }
        }
    }

    /// Takes the marks that are kept of this segment, the first time, if they fit.
    fn recall(&self, extent: Extent, kept: Option<&KeptMarks>) {
        if self.marks().source != Source::Unknown {
            return;
        }
        let found = kept.and_then(|kept| kept.read(self.header, extent));
        let found = found.filter(|found| self.leads_to_the_end(found, extent));
        let mut marks = self.marks();
        if marks.source == Source::Unknown {
            *marks = found.unwrap_or_else(|| Marks::none(self.header, Source::Seen));
        }
    }

    /// Whether the last mark leads to the end of the segment, and the next one goes on there.
    fn leads_to_the_end(&self, marks: &Marks, extent: Extent) -> bool {
        let Some(last) = marks.places.last() else { return false };
        let mut walk = self.at(*last, extent.end);
        loop {
            match is_last(&mut walk, extent) {
                Ok(true) => return true,
                Ok(false) if walk.skip().is_ok() => {}
                Ok(false) | Err(_) => return false,
            }
        }
    }

    /// Walks over the frame headers that were not seen yet, up to the frame that holds `position`.
    /// At the last frame it is checked that the next segment goes on there.
    pub(super) fn mark_to(
        &self,
        position: Position,
        extent: Extent,
        kept: Option<&KeptMarks>,
    ) -> Result<(), ReadError> {
        let (mut reached, mut whole) = {
            let marks = self.marks();
            (marks.reached, marks.whole)
        };
        let mut walk = self.at(reached, extent.end).with_long_steps();
        while !whole && reached.first <= position {
            if walk.offset() != reached.offset {
                walk = self.at(reached, extent.end).with_long_steps();
            }
            let found = step(&mut walk, position, extent)?;
            let mut marks = self.marks();
            let was_whole = marks.whole;
            marks.take_in(found);
            (reached, whole) = (marks.reached, marks.whole);
            drop(marks);
            if whole && !was_whole {
                self.keep_marks(extent, kept);
            }
        }
        Ok(())
    }

    fn at(&self, mark: Mark, end: u64) -> FrameWalk<'_> {
        FrameWalk::new(self, mark.first, mark.offset, end)
    }

    /// A walk over the frames from the first.
    pub(super) fn walk(&self, end: u64) -> FrameWalk<'_> {
        FrameWalk::new(self, self.header.first, segment::HEADER_BYTES as u64, end)
    }

    /// The path and a byte in the file, for a message.
    pub(super) fn place(&self, offset: u64) -> String {
        place(&self.path, offset)
    }
}

/// Walks on over some frames, at most to the one that holds `position`.
fn step(walk: &mut FrameWalk<'_>, position: Position, extent: Extent) -> Result<Marks, ReadError> {
    let begin = walk.mark();
    let mut found = Marks {
        places: Vec::new(),
        steps: Steps::default(),
        reached: begin,
        whole: false,
        source: Source::Seen,
    };
    while !found.whole && walk.next() <= position && walk.offset() - begin.offset < SHARED_BYTES {
        let at = walk.mark();
        found.whole = is_last(walk, extent)?;
        let records = walk.header()?.records;
        found.pass(at, records, walk.unchecked_body()?);
        walk.skip()?;
    }
    Ok(found)
}

/// Whether a walk stands at the last frame, after which the next segment goes on.
///
/// # Errors
/// If the segment ends, and the next one does not go on there.
fn is_last(walk: &mut FrameWalk<'_>, extent: Extent) -> Result<bool, ReadError> {
    if !walk.is_near_end(extent)? {
        return Ok(false);
    }
    if !walk.at_end() {
        let header = walk.header()?;
        let hash = walk.frame()?.records().last().map(record::hash);
        if header.next() == extent.next && hash == Some(extent.hash) {
            return Ok(true);
        }
        walk.skip()?;
    }
    Err(walk.corrupt(format!(
        "the segment ends here, but the next one goes on at position {} after the record \
         with the hash {}: one of them was replaced, or one in between is missing",
        extent.next, extent.hash
    )))
}

/// Takes a walk on to the frame that holds a position.
fn to_frame_of(mut walk: FrameWalk<'_>, position: Position) -> Result<FrameWalk<'_>, ReadError> {
    while walk.header()?.next() <= position {
        walk.skip()?;
    }
    Ok(walk)
}

/// A byte in a file, for a message.
pub(super) fn place(path: &Path, offset: u64) -> String {
    format!("{}, byte {offset}", path.display())
}
