//! The log in files: segments of frames, append-only, one `fdatasync` a group.
//!
//! Invariants:
//! - Frame N+1 is not written before the sync of frame N returned. So at most the last frame of
//!   the newest segment can be torn by a crash.
//! - What is published to readers is durable.
//! - After a failed or short write or a failed sync nothing is written any more; only opening the
//!   log again, which writes the tail anew and syncs it, tells what it holds.
//!
//! `docs/format.md` describes the files byte by byte.

mod cache;
mod files;
mod kept_marks;
mod medium;
mod open;
mod salvage;
mod segment;
#[cfg(test)]
mod simulated;
mod single;
mod steps;
#[cfg(test)]
mod tests;
mod walk;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use bergulir_chain::frame::{BuildError, END_BYTES, HEADER_BYTES, MAX_BODY_BYTES};
use bergulir_chain::{FrameBuilder, Position, SegmentHeader, record, segment as format};

pub use files::{Piece, Pieces, Place, end_of_frame};
pub(crate) use medium::write_whole;
pub use medium::{Disk, Medium, MediumFile};
pub use open::{Cut, OpenError, Recovery};
pub use salvage::{LogEnd, Salvage, salvage};

use crate::group::Group;
use crate::log::{AppendError, EventLog, Head, ReadError, ReadLimit, Refusal};
use crate::records::{Records, Scattered};
use cache::{CachedFrame, FrameCache};
use kept_marks::KeptMarks;
use segment::{Extent, Mark, Segment};

/// Who reads one record, and then another that is at most so much later, is likely to go on.
const NEIGHBOURS: u64 = 64;

/// Far from every position.
const NONE_YET: u64 = u64::MAX / 2;

/// How a file log is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileLogOptions {
    /// A segment is closed before it grows past this many bytes; a frame that alone is longer
    /// gets a segment of its own.
    pub segment_bytes: u64,
}

impl Default for FileLogOptions {
    /// Segments of 256 MiB: copied in a second, and few enough to list.
    fn default() -> Self {
        Self { segment_bytes: 256 << 20 }
    }
}

/// A log in the segment files of one folder.
///
/// The folder must belong to this log alone, and one process at a time may open it:
/// [`DataLock`](crate::DataLock) sees to that for a whole data directory.
#[derive(Debug)]
pub struct FileLog {
    medium: Arc<dyn Medium>,
    folder: PathBuf,
    options: FileLogOptions,
    published: RwLock<Published>,
    writer: Mutex<Writer>,
    cache: FrameCache,
    /// Which single record was read last.
    last_single: AtomicU64,
    kept_marks: Option<KeptMarks>,
}

/// What readers may see: all of it is durable.
#[derive(Debug)]
struct Published {
    head: Head,
    /// The end of the durable bytes in the newest segment.
    end: u64,
    /// From the oldest to the newest, never empty, each with its length in bytes when it was
    /// closed; the newest is not closed.
    segments: Vec<(Arc<Segment>, u64)>,
}

/// What only the appending thread uses.
#[derive(Debug)]
struct Writer {
    /// False from the first byte of a write until its sync returned, and for ever if it did not.
    sound: bool,
    head: Head,
    /// The newest segment, and where its next frame goes.
    segment: Arc<Segment>,
    end: u64,
    frame: FrameBuilder,
}

impl FileLog {
    /// Opens the log in a folder, or starts an empty one there, and repairs what a crash may have
    /// left behind.
    ///
    /// # Errors
    /// If the log is damaged in a way that no crash leaves behind, or the disk fails.
    pub fn open(folder: &Path, options: FileLogOptions) -> Result<(Self, Recovery), OpenError> {
        Self::open_on(Arc::new(Disk), folder, options)
    }

    /// [`open`](Self::open) on another medium than the file system, for example one that fails.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_on(
        medium: Arc<dyn Medium>,
        folder: &Path,
        options: FileLogOptions,
    ) -> Result<(Self, Recovery), OpenError> {
        let opened = open::open(&*medium, folder)?;
        let log = Self {
            medium,
            folder: folder.to_owned(),
            options,
            writer: Mutex::new(Writer {
                sound: true,
                head: opened.recovery.head,
                segment: opened.newest.clone(),
                end: opened.end,
                frame: FrameBuilder::new(),
            }),
            published: RwLock::new(Published {
                head: opened.recovery.head,
                end: opened.end,
                segments: opened.closed.into_iter().chain([(opened.newest, opened.end)]).collect(),
            }),
            cache: FrameCache::default(),
            last_single: AtomicU64::new(NONE_YET),
            kept_marks: None,
        };
        Ok((log, opened.recovery))
    }

    /// Keeps in this folder where frames begin in closed segments, so that a position in one of
    /// them is found without a walk over what lies before it, 256 MiB at most. What lies there can
    /// be deleted at any time.
    #[must_use]
    pub fn keeping_marks_in(mut self, folder: PathBuf) -> Self {
        self.kept_marks = Some(KeptMarks::new(Arc::clone(&self.medium), folder));
        self
    }

    /// The segment that holds a position, and how far it reaches; `None` at the end of the log.
    fn locate(&self, position: Position) -> Result<Option<(Arc<Segment>, Extent)>, ReadError> {
        let published = self.published.read().unwrap_or_else(PoisonError::into_inner);
        let Head { size, hash } = published.head;
        if position == size.next_position() {
            return Ok(None);
        }
        if !size.holds(position) {
            return Err(ReadError::BeyondHead { from: position, size });
        }
        let after =
            published.segments.partition_point(|(segment, _)| segment.header.first <= position);
        let Some((segment, length)) = published.segments[..after].last() else {
            return Err(ReadError::Corrupt {
                position,
                place: self.folder.display().to_string(),
                why: "no segment holds it".to_owned(),
            });
        };
        let extent = match published.segments.get(after) {
            Some((next, _)) => {
                let SegmentHeader { first, previous } = next.header;
                Extent { end: *length, next: first, hash: previous }
            }
            None => Extent { end: published.end, next: size.next_position(), hash },
        };
        Ok(Some((segment.clone(), extent)))
    }

    /// Reads on behind what `records` holds. True if the limit or the end of the log is reached.
    fn read_on(&self, records: &mut Records, limit: ReadLimit) -> Result<bool, ReadError> {
        if let Some(frame) = self.cache.holding(records.next()) {
            let took_all =
                frame.records_from(records.next()).all(|one| records.take_in(one, limit));
            return Ok(!took_all || !records.has_room(limit));
        }
        let Some((segment, extent)) = self.locate(records.next())? else {
            return Ok(true);
        };
        let kept = self.kept_marks.as_ref();
        if limit.max_records == 1 && !self.goes_on_from_the_last(records.next()) {
            let mut single = Scattered::default();
            segment.singles(&[records.next()], extent, kept, &mut single);
            if let Some((_, _, record)) = single.iter().next() {
                records.take_in(record, limit);
                return Ok(true);
            }
        }
        let mut walk = segment.walk_from(records.next(), extent, kept)?;
        let whole = segment.is_whole();
        while walk.next() < extent.next {
            // Before its last frame is served, the segment is known to lead to the next one.
            if !whole && walk.is_near_end(extent)? {
                segment.mark_to(walk.next(), extent, kept)?;
            }
            let frame = walk.frame()?;
            let header = frame.header();
            let before = records.next().get().saturating_sub(frame.first().get());
            let mut rest = frame.records().skip(usize::try_from(before).unwrap_or(usize::MAX));
            let took_all = rest.all(|record| records.take_in(record, limit));
            // Of a frame that was read in part, another part is likely to be read next.
            if before > 0 || !took_all {
                let (bytes, start) = walk.take_ahead();
                self.cache.keep(CachedFrame::of(header, bytes, start));
            }
            // Not seeing that the limit is reached would cost the reading of one more frame.
            if !took_all || !records.has_room(limit) {
                return Ok(true);
            }
            walk.skip()?;
        }
        Ok(false)
    }

    /// Whether a single record comes soon after the one that was read last: who reads on one by one
    /// is better off with the frame.
    fn goes_on_from_the_last(&self, position: Position) -> bool {
        let last = self.last_single.swap(position.get(), Ordering::Relaxed);
        position.get().wrapping_sub(last) <= NEIGHBOURS
    }

    /// Writes the frame of a group and syncs it. Where it fails, the outcome is unknown. Gives the
    /// segment that was closed for it, if one was.
    fn write(
        &self,
        writer: &mut Writer,
        group: &Group,
    ) -> Result<Option<(Arc<Segment>, Extent)>, AppendError> {
        let first = group.base().size.next_position();
        let records = u32::try_from(group.len()).unwrap_or(u32::MAX);
        let length = (HEADER_BYTES + group.body().len() + END_BYTES) as u64;
        let holds_frames = writer.end > format::HEADER_BYTES as u64;
        let rotate = holds_frames && writer.end + length > self.options.segment_bytes;
        let closed = rotate.then(|| {
            let Head { size, hash } = writer.head;
            (
                Arc::clone(&writer.segment),
                Extent { end: writer.end, next: size.next_position(), hash },
            )
        });
        let offset = if rotate { format::HEADER_BYTES as u64 } else { writer.end };
        let Writer { frame, .. } = writer;
        let frame = frame.build(first, records, group.body(), offset).map_err(refusal)?;

        writer.sound = false;
        if rotate {
            let closed_at = writer.end;
            let header = SegmentHeader { first, previous: writer.head.hash };
            let segment = open::create_segment(&*self.medium, &self.folder, header)
                .map_err(|source| failed("create a segment file", source))?;
            writer.segment = Arc::new(segment);
            let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
            if let Some((_, length)) = published.segments.last_mut() {
                *length = closed_at;
            }
            published.segments.push((writer.segment.clone(), offset));
            published.end = offset;
        }
        let file = &*writer.segment.file;
        write_whole(file, frame, offset).map_err(|source| failed("write the group", source))?;
        file.sync().map_err(|source| failed("make the group durable", source))?;
        writer.sound = true;

        writer.head = group.head();
        writer.end = offset + length;
        writer.segment.pass(Mark { first, offset }, records, group.body());
        Ok(closed)
    }

    fn writer(&self) -> Result<MutexGuard<'_, Writer>, AppendError> {
        // A panic in an append leaves its outcome as unknown as a failed write does.
        let writer = self.writer.lock().map_err(|_| AppendError::Poisoned)?;
        if writer.sound { Ok(writer) } else { Err(AppendError::Poisoned) }
    }
}

impl EventLog for FileLog {
    fn head(&self) -> Head {
        self.published.read().unwrap_or_else(PoisonError::into_inner).head
    }

    fn read(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadError> {
        let mut records = Records::starting_at(from);
        loop {
            match self.read_on(&mut records, limit) {
                Ok(false) => {}
                Ok(true) => return Ok(records),
                // What is before the damage is served; the next read begins at the damage.
                Err(_) if !records.is_empty() => return Ok(records),
                Err(error) => return Err(error),
            }
        }
    }

    fn read_each(&self, positions: &[Position]) -> Result<Scattered, ReadError> {
        let mut found = Scattered::with_room(positions.len());
        while let Some(next) = positions.get(found.len()) {
            let Some((segment, extent)) = self.locate(*next)? else {
                return Err(ReadError::BeyondHead { from: *next, size: self.head().size });
            };
            let here = &positions[found.len()..];
            let here = &here[..here.partition_point(|position| *position < extent.next)];
            segment.singles(here, extent, self.kept_marks.as_ref(), &mut found);
            // Where one cannot be had without its frame, the frame says why, or that it can.
            if let Some(next) = positions.get(found.len()).filter(|next| **next < extent.next) {
                let records = self.read(*next, ReadLimit::ONE)?;
                for (position, bytes) in &records {
                    found.take_in(position, record::hash(bytes), bytes);
                }
            }
        }
        Ok(found)
    }

    fn append(&self, expected: Head, group: &Group) -> Result<Head, AppendError> {
        let mut writer = self.writer()?;
        if writer.head != expected {
            return Err(AppendError::HeadMoved { expected, actual: writer.head });
        }
        group.acceptable_on(expected)?;
        let closed = self.write(&mut writer, group)?;
        let mut published = self.published.write().unwrap_or_else(PoisonError::into_inner);
        published.head = writer.head;
        published.end = writer.end;
        drop(published);
        if let Some((segment, extent)) = closed {
            segment.keep_marks(extent, self.kept_marks.as_ref());
        }
        Ok(writer.head)
    }
}

fn failed(action: &'static str, source: std::io::Error) -> AppendError {
    AppendError::Failed { action, source }
}

fn refusal(error: BuildError) -> AppendError {
    AppendError::Refused(match error {
        BuildError::TooLarge(bytes) => Refusal::TooLarge { bytes, most: MAX_BODY_BYTES },
        BuildError::Records(_) => Refusal::Empty,
        BuildError::ZeroPiece(_) => Refusal::ZeroPiece,
    })
}
