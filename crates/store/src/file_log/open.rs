//! Opening a log: what a crash may have left is repaired, everything else that is bad is refused.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bergulir_chain::tail::{self, Tail};
use bergulir_chain::{ChainCursor, Hash, LogSize, Position, SegmentHeader, segment as format};
use thiserror::Error;
use tracing::{info, warn};

use super::medium::{Medium, MediumFile, write_whole};
use super::segment::{Marks, Segment, Source, place};
use crate::log::{Head, ReadError};

/// How the name of a segment ends while it is being made.
const UNFINISHED: &str = ".seg.new";

/// What opening a log found and did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// The head of the log.
    pub head: Head,
    /// The number of segment files.
    pub segments: usize,
    /// The torn frame that was cut off, if there was one. It was never acknowledged.
    pub cut: Option<Cut>,
}

/// A torn frame that was cut off the end of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The position of its first record.
    pub position: Position,
    /// The segment file that it was in.
    pub file: PathBuf,
    /// Where it began in that file.
    pub offset: u64,
    /// How many bytes of it were there, without zeros at the end.
    pub bytes: u64,
    /// Where they are kept.
    pub kept_in: PathBuf,
}

/// Why a log was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// The log is damaged, and no crash leaves such damage: nothing was changed.
    #[error(
        "the log is damaged at position {position} ({place}): {why}; nothing was changed, restore \
         the log from a backup"
    )]
    Corrupt {
        /// The first position that is damaged.
        position: Position,
        /// The file and where in it the damage lies.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// The disk failed.
    #[error("could not {action} {}", path.display())]
    Io {
        /// What failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl From<ReadError> for OpenError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Corrupt { position, place, why } => Self::Corrupt { position, place, why },
            ReadError::Io { place, source, .. } => {
                Self::Io { action: "read", path: place.into(), source }
            }
            ReadError::BeyondHead { from, size } => Self::Corrupt {
                position: from,
                place: String::new(),
                why: format!("past the end of the log, which holds {size} records"),
            },
        }
    }
}

/// An open log's parts.
pub(super) struct Opened {
    pub(super) recovery: Recovery,
    /// The closed segments with their lengths.
    pub(super) closed: Vec<(Arc<Segment>, u64)>,
    pub(super) newest: Arc<Segment>,
    /// Where the next frame of the newest segment goes.
    pub(super) end: u64,
}

/// Opens the log in a folder, or starts one.
pub(super) fn open(medium: &dyn Medium, folder: &Path) -> Result<Opened, OpenError> {
    medium.create_folder(folder).map_err(io_error("create", folder))?;
    let mut closed = Vec::new();
    for first in list(medium, folder)? {
        closed.push(open_segment(medium, folder, first)?);
    }
    check_row(&closed)?;
    let (newest, cut) = match closed.pop() {
        Some((newest, length)) => recover(medium, folder, newest, length)?,
        None => (
            begin(medium, folder, SegmentHeader { first: Position::ZERO, previous: Hash::ZERO })?,
            None,
        ),
    };
    // Whatever a crash or a failed sync left of the folder's names is durable from here on.
    medium.sync_folder(folder).map_err(io_error("sync", folder))?;
    let head = newest.head;
    let recovery = Recovery { head, segments: closed.len() + 1, cut };
    info!(
        folder = %folder.display(), records = head.size.get(), head = %head.hash,
        segments = recovery.segments, "log opened"
    );
    let closed = closed.into_iter().map(|(segment, length)| (Arc::new(segment), length)).collect();
    Ok(Opened { recovery, closed, newest: Arc::new(newest.segment), end: newest.end })
}

/// The first positions of the segments in a folder, in order. Removes what was left unfinished.
fn list(medium: &dyn Medium, folder: &Path) -> Result<Vec<Position>, OpenError> {
    let mut firsts = Vec::new();
    for name in medium.names(folder).map_err(io_error("list", folder))? {
        let path = folder.join(&name);
        if let Some(first) = format::parse_file_name(&name) {
            firsts.push(first);
        } else if name.ends_with(UNFINISHED) {
            medium.remove(&path).map_err(io_error("remove", &path))?;
        } else if name.ends_with(format::SUFFIX) {
            // Passing over it could hide that records are missing.
            return Err(OpenError::Corrupt {
                position: Position::ZERO,
                place: path.display().to_string(),
                why: "a segment is not named so: was it renamed?".to_owned(),
            });
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn open_segment(
    medium: &dyn Medium,
    folder: &Path,
    first: Position,
) -> Result<(Segment, u64), OpenError> {
    let path = folder.join(format::file_name(first));
    let file = medium.open(&path).map_err(io_error("open", &path))?;
    let length = file.length().map_err(io_error("read", &path))?;
    let mut bytes =
        vec![0; format::HEADER_BYTES.min(usize::try_from(length).unwrap_or(usize::MAX))];
    file.read_exact_at(&mut bytes, 0).map_err(io_error("read", &path))?;
    let corrupt = |why: String| OpenError::Corrupt { position: first, place: place(&path, 0), why };
    let header = SegmentHeader::parse(&bytes).map_err(|error| corrupt(error.to_string()))?;
    if header.first != first {
        return Err(corrupt(format!("its header says that it begins at {}", header.first)));
    }
    Ok((Segment::new(header, path, file, Marks::none(header, Source::Unknown)), length))
}

/// Checks what can be seen without reading the segments: that the row begins with position 0, and
/// that each but the newest holds something. That each goes on where the one before it ends is
/// checked when that one is read.
fn check_row(segments: &[(Segment, u64)]) -> Result<(), OpenError> {
    if let Some((oldest, _)) = segments.first() {
        let SegmentHeader { first, previous } = oldest.header;
        if first != Position::ZERO || previous != Hash::ZERO {
            return Err(OpenError::Corrupt {
                position: Position::ZERO,
                place: oldest.place(0),
                why: "the oldest segment does not begin the ledger: its first file is missing"
                    .to_owned(),
            });
        }
    }
    for (segment, length) in segments.iter().rev().skip(1) {
        if *length <= format::HEADER_BYTES as u64 {
            return Err(OpenError::Corrupt {
                position: segment.header.first,
                place: segment.place(*length),
                why: "the segment is empty, but others follow it".to_owned(),
            });
        }
    }
    Ok(())
}

/// The newest segment, ready to be appended to.
struct Newest {
    segment: Segment,
    end: u64,
    head: Head,
}

/// Walks over all of the newest segment, cuts off a torn frame, and makes the rest durable again.
fn recover(
    medium: &dyn Medium,
    folder: &Path,
    mut segment: Segment,
    length: u64,
) -> Result<(Newest, Option<Cut>), OpenError> {
    let scan = scan(&segment, length)?;
    let cut =
        if scan.end < length { cut_tail(medium, folder, &segment, &scan, length)? } else { None };
    let Some(last) = scan.last_frame else {
        // The crash came between making the segment and the first frame in it. If it was a failed
        // sync of the folder, what the folder shows now may not be on the disk: make it anew.
        let newest = begin(medium, folder, segment.header)?;
        return Ok((newest, cut));
    };
    rewrite(&*segment.file, last, scan.end).map_err(io_error("write again", &segment.path))?;
    segment = Segment::new(segment.header, segment.path, segment.file, scan.marks);
    let head = Head { size: LogSize::new(scan.cursor.next().get()), hash: scan.cursor.previous() };
    Ok((Newest { segment, end: scan.end, head }, cut))
}

/// What a walk over the newest segment found.
struct Scan {
    cursor: ChainCursor,
    marks: Marks,
    /// Where the last undamaged frame begins.
    last_frame: Option<u64>,
    /// Where it ends.
    end: u64,
}

/// Walks over the undamaged frames and checks the chain through them.
fn scan(segment: &Segment, length: u64) -> Result<Scan, OpenError> {
    let SegmentHeader { first, previous } = segment.header;
    let mut cursor = ChainCursor::resume(first, previous);
    let mut marks = Marks::of_newest(segment.header);
    let mut last_frame = None;
    let mut walk = segment.walk(length).with_long_steps();
    while !walk.at_end() {
        let (at, offset) = (walk.mark(), walk.offset());
        let frame = match walk.frame() {
            Ok(frame) => frame,
            // Torn or damaged: the tail tells.
            Err(ReadError::Corrupt { .. }) => break,
            Err(error) => return Err(error.into()),
        };
        for record in frame.records() {
            cursor.check(record).map_err(|error| OpenError::Corrupt {
                position: error.position,
                place: segment.place(offset),
                why: error.fault.to_string(),
            })?;
        }
        cursor.ends_batch().map_err(|error| OpenError::Corrupt {
            position: error.position,
            place: segment.place(offset),
            why: error.fault.to_string(),
        })?;
        last_frame = Some(offset);
        let records = frame.header().records;
        marks.pass(at, records, walk.unchecked_body()?);
        walk.skip()?;
    }
    Ok(Scan { cursor, marks, last_frame, end: walk.offset() })
}

/// Cuts off what follows the last undamaged frame, if a crash can have left it.
fn cut_tail(
    medium: &dyn Medium,
    folder: &Path,
    segment: &Segment,
    scan: &Scan,
    length: u64,
) -> Result<Option<Cut>, OpenError> {
    let position = scan.cursor.next();
    let corrupt =
        |why: String| OpenError::Corrupt { position, place: segment.place(scan.end), why };
    let too_long = |_| corrupt("more follows than this machine can look at".to_owned());
    let mut rest = vec![0; usize::try_from(length - scan.end).map_err(too_long)?];
    segment.file.read_exact_at(&mut rest, scan.end).map_err(io_error("read", &segment.path))?;
    let tail = tail::judge(&rest, scan.end).map_err(|fault| corrupt(fault.to_string()))?;
    let cut = match tail {
        Tail::Clean => None,
        Tail::Torn(_) => {
            let written = rest.iter().rposition(|&byte| byte != 0).map_or(0, |last| last + 1);
            let kept_in = keep_aside(medium, folder, position, &rest[..written])?;
            warn!(
                %position, file = %segment.path.display(), offset = scan.end, bytes = written,
                kept_in = %kept_in.display(),
                "a torn frame was cut off the end of the log; it was never acknowledged"
            );
            Some(Cut {
                position,
                file: segment.path.clone(),
                offset: scan.end,
                bytes: written as u64,
                kept_in,
            })
        }
    };
    segment.file.truncate(scan.end).map_err(io_error("cut", &segment.path))?;
    Ok(cut)
}

/// Puts cut bytes into a file of their own, durably, under a name that is free.
fn keep_aside(
    medium: &dyn Medium,
    folder: &Path,
    position: Position,
    bytes: &[u8],
) -> Result<PathBuf, OpenError> {
    let taken = medium.names(folder).map_err(io_error("list", folder))?;
    let name = (0..=taken.len())
        .map(|nth| format!("cut-{:020}-{nth}.bin", position.get()))
        .find(|name| !taken.contains(name))
        .expect("one more name was tried than are taken");
    let path = folder.join(name);
    let file = medium.create(&path).map_err(io_error("create", &path))?;
    write_whole(&*file, bytes, 0).map_err(io_error("write", &path))?;
    file.sync().map_err(io_error("sync", &path))?;
    medium.sync_folder(folder).map_err(io_error("sync", folder))?;
    Ok(path)
}

/// Writes the last frame once more, as it is, and syncs it. If its first sync failed, the page
/// cache shows it although it is not on the disk; after this it is.
fn rewrite(file: &dyn MediumFile, offset: u64, end: u64) -> io::Result<()> {
    let length = usize::try_from(end - offset).map_err(io::Error::other)?;
    let mut frame = vec![0; length];
    file.read_exact_at(&mut frame, offset)?;
    write_whole(file, &frame, offset)?;
    file.sync()
}

/// A new newest segment.
fn begin(medium: &dyn Medium, folder: &Path, header: SegmentHeader) -> Result<Newest, OpenError> {
    let segment = create_segment(medium, folder, header).map_err(|source| {
        let path = folder.join(format::file_name(header.first));
        OpenError::Io { action: "create", path, source }
    })?;
    let head = Head { size: LogSize::new(header.first.get()), hash: header.previous };
    Ok(Newest { segment, end: format::HEADER_BYTES as u64, head })
}

/// Makes a segment without frames, durably. It gets its name once its header is on the disk, so a
/// crash leaves no segment with half a header.
pub(super) fn create_segment(
    medium: &dyn Medium,
    folder: &Path,
    header: SegmentHeader,
) -> io::Result<Segment> {
    let path = folder.join(format::file_name(header.first));
    let unfinished = path.with_extension(&UNFINISHED[1..]);
    let file = medium.create(&unfinished)?;
    write_whole(&*file, &header.encode(), 0)?;
    file.sync()?;
    medium.rename(&unfinished, &path)?;
    medium.sync_folder(folder)?;
    Ok(Segment::new(header, path, file, Marks::of_newest(header)))
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { action, path, source }
}
