//! What is whole of a log that may be damaged: read only, nothing is repaired.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use bergulir_chain::tail::{self, Tail};
use bergulir_chain::{ChainCursor, Frame, LogSize, Position, SegmentHeader, segment as format};

use super::open::OpenError;
use super::segment::{Marks, Segment, Source};
use crate::log::{Head, ReadError};

/// The records of a log up to the first damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Salvage {
    /// The head of what is whole. No batch is cut by it.
    pub head: Head,
    /// What comes after.
    pub end: LogEnd,
}

/// What follows the whole records of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogEnd {
    /// Nothing.
    Whole,
    /// A frame that a crash tore; it was never acknowledged.
    Torn,
    /// Something that no crash leaves.
    Damaged {
        /// The file and where in it the damage lies.
        place: String,
        /// What is wrong there.
        why: String,
    },
}

/// Why the walk goes no further.
enum Stop<E> {
    Damaged { place: String, why: String },
    Failed(E),
}

impl<E: From<OpenError>> Stop<E> {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Stop<E> {
        Stop::Failed(OpenError::Io { action, path: path.to_owned(), source }.into())
    }
}

impl<E: From<OpenError>> From<ReadError> for Stop<E> {
    fn from(error: ReadError) -> Stop<E> {
        match error {
            ReadError::Corrupt { place, why, .. } => Stop::Damaged { place, why },
            other => Stop::Failed(OpenError::from(other).into()),
        }
    }
}

/// Hands over every frame of the log in a folder, each checked against its CRC and the chain, up to
/// the first damage. `take` is also told how many bytes of how many were read. Changes nothing.
///
/// # Errors
/// If the disk fails, or `take` does. Damage is none.
pub fn salvage<E: From<OpenError>>(
    folder: &Path,
    take: &mut dyn FnMut(&Frame<'_>, u64, u64) -> Result<(), E>,
) -> Result<Salvage, E> {
    let mut cursor = ChainCursor::origin();
    let walked = walk(folder, &mut cursor, take);
    let head = Head { size: LogSize::new(cursor.next().get()), hash: cursor.previous() };
    let end = match walked {
        Ok(end) => end,
        Err(Stop::Damaged { place, why }) => LogEnd::Damaged { place, why },
        Err(Stop::Failed(error)) => return Err(error),
    };
    Ok(Salvage { head, end })
}

fn walk<E: From<OpenError>>(
    folder: &Path,
    cursor: &mut ChainCursor,
    take: &mut dyn FnMut(&Frame<'_>, u64, u64) -> Result<(), E>,
) -> Result<LogEnd, Stop<E>> {
    let (firsts, misnamed) = list(folder).map_err(|error| Stop::io("list", folder, error))?;
    let mut segments = Vec::new();
    for first in firsts {
        let path = folder.join(format::file_name(first));
        let length = fs::metadata(&path).map_err(|error| Stop::io("read", &path, error))?.len();
        segments.push((first, path, length));
    }
    let total = segments.iter().map(|(_, _, length)| length).sum();
    let (mut before, mut end) = (0, LogEnd::Whole);
    let newest = segments.len().saturating_sub(1);
    for (number, (first, path, length)) in segments.into_iter().enumerate() {
        let segment = open(first, &path, length, cursor)?;
        end = frames(&segment, length, number == newest, cursor, &mut |frame, offset| {
            take(frame, before + offset, total)
        })?;
        before += length;
    }
    match misnamed {
        // It could be the next segment.
        Some(name) => Err(Stop::Damaged {
            place: folder.join(name).display().to_string(),
            why: "a segment is not named so: was it renamed?".to_owned(),
        }),
        None => Ok(end),
    }
}

/// The first positions of the segments, in order; and a file that ends like one and is none.
fn list(folder: &Path) -> io::Result<(Vec<Position>, Option<String>)> {
    let (mut firsts, mut misnamed) = (Vec::new(), None);
    for file in fs::read_dir(folder)? {
        let name = file?.file_name().to_string_lossy().into_owned();
        match format::parse_file_name(&name) {
            Some(first) => firsts.push(first),
            None if name.ends_with(format::SUFFIX) => misnamed = Some(name),
            None => {}
        }
    }
    firsts.sort_unstable();
    Ok((firsts, misnamed))
}

/// Opens the segment that must come next.
fn open<E: From<OpenError>>(
    first: Position,
    path: &Path,
    length: u64,
    cursor: &ChainCursor,
) -> Result<Segment, Stop<E>> {
    use super::medium::MediumFile as _;
    let file = File::open(path).map_err(|error| Stop::io("open", path, error))?;
    let read = format::HEADER_BYTES.min(usize::try_from(length).unwrap_or(usize::MAX));
    let mut bytes = vec![0; read];
    file.read_exact_at(&mut bytes, 0).map_err(|error| Stop::io("read", path, error))?;
    let damaged = |why: String| Stop::Damaged { place: path.display().to_string(), why };
    let header = SegmentHeader::parse(&bytes).map_err(|error| damaged(error.to_string()))?;
    let due = SegmentHeader { first: cursor.next(), previous: cursor.previous() };
    if header != due || first != due.first {
        return Err(damaged(format!(
            "the records before it end before position {}, and the segment does not go on from there",
            due.first
        )));
    }
    Ok(Segment::new(header, path.to_owned(), Box::new(file), Marks::none(header, Source::Unknown)))
}

/// Walks over the frames of a segment.
fn frames<E: From<OpenError>>(
    segment: &Segment,
    length: u64,
    is_newest: bool,
    cursor: &mut ChainCursor,
    take: &mut dyn FnMut(&Frame<'_>, u64) -> Result<(), E>,
) -> Result<LogEnd, Stop<E>> {
    let mut walk = segment.walk(length).with_long_steps();
    while !walk.at_end() {
        let offset = walk.offset();
        let frame = match walk.frame() {
            Ok(frame) => frame,
            Err(ReadError::Corrupt { place, why, .. }) => {
                return rest(segment, offset, length, is_newest, (place, why));
            }
            Err(error) => return Err(error.into()),
        };
        let mut next = *cursor;
        for record in frame.records() {
            next.check(record).map(drop).map_err(|error| damaged(segment, offset, &error.fault))?;
        }
        next.ends_batch().map_err(|error| damaged(segment, offset, &error.fault))?;
        take(&frame, offset).map_err(Stop::Failed)?;
        *cursor = next;
        walk.skip()?;
    }
    Ok(LogEnd::Whole)
}

fn damaged<E>(segment: &Segment, offset: u64, why: &dyn ToString) -> Stop<E> {
    Stop::Damaged { place: segment.place(offset), why: why.to_string() }
}

/// What the bytes are that follow the last whole frame of a segment.
fn rest<E: From<OpenError>>(
    segment: &Segment,
    offset: u64,
    length: u64,
    is_newest: bool,
    (place, why): (String, String),
) -> Result<LogEnd, Stop<E>> {
    let bytes = usize::try_from(length - offset);
    let mut rest = vec![0; bytes.map_err(|_| damaged(segment, offset, &"too long to look at"))?];
    let read = segment.file.read_exact_at(&mut rest, offset);
    read.map_err(|error| Stop::io("read", &segment.path, error))?;
    match tail::judge(&rest, offset) {
        // Zeros can follow in any segment that was written ahead.
        Ok(Tail::Clean) => Ok(LogEnd::Whole),
        Ok(Tail::Torn(_)) if is_newest => Ok(LogEnd::Torn),
        Ok(Tail::Torn(_)) => Err(Stop::Damaged { place, why }),
        Err(fault) => Err(damaged(segment, offset, &fault)),
    }
}
