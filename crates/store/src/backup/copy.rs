//! The copy of a log: frames go in as they are in its files, are checked, and come to lie in the same
//! files here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use bergulir_chain::merkle::TreeHead;
use bergulir_chain::{
    Frame, FrameError, Hash, LogSize, Position, SegmentHeader, Timestamp, segment as format,
};

use super::BackupError;
use super::check::Check;
use super::manifest::{Manifest, SegmentFile};
use crate::file_log::{Pieces, Place};
use crate::folder::{create_folder_durably, sync_folder};
use crate::log::Head;
use crate::small_file::NO_FILE;

/// Bytes read at once of what a run that was cut short has left.
const STEP_BYTES: usize = 1 << 20;

/// Why the next frame is not taken.
struct Fault {
    why: String,
    /// It is a whole frame, and does not follow the record before.
    is_whole: bool,
}

/// A log that is copied into a folder.
#[derive(Debug)]
pub struct LogCopy {
    folder: PathBuf,
    check: Check,
    segments: Vec<SegmentFile>,
    /// The file of the last segment.
    file: Option<File>,
    /// The beginning of a frame whose rest has not come yet.
    pending: Vec<u8>,
}

impl LogCopy {
    /// Goes on with a copy, or begins one: what lies behind the manifest is checked and taken too as
    /// far as it is whole, and cut off after that.
    ///
    /// # Errors
    /// If a file is not what the manifest says, or the disk fails.
    pub fn resume(folder: &Path, manifest: Option<&Manifest>) -> Result<LogCopy, BackupError> {
        create_folder_durably(folder)
            .map_err(|error| BackupError::io("make the folder", folder, error))?;
        let mut copy = LogCopy {
            folder: folder.to_owned(),
            check: manifest.map_or_else(Check::from_the_start, Check::after),
            segments: manifest.map_or_else(Vec::new, |manifest| manifest.segments.clone()),
            file: None,
            pending: Vec::new(),
        };
        let found = list(folder, manifest)?;
        if let Some(last) = copy.segments.last().copied() {
            let path = copy.path(last.first);
            let file = OpenOptions::new().read(true).append(true).open(&path);
            copy.file = Some(file.map_err(|error| BackupError::io("open", &path, error))?);
            copy.take_what_is_left()?;
        }
        let behind = found.into_iter().filter(|first| copy_ends_before(manifest, *first));
        for first in behind {
            if !copy.take_segment(first)? {
                break;
            }
        }
        copy.cut_off()?;
        Ok(copy)
    }

    /// Forgets everything that lies behind the manifest, and cuts it off.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn rewind(&mut self, manifest: Option<&Manifest>) -> Result<(), BackupError> {
        self.pending.clear();
        self.check = manifest.map_or_else(Check::from_the_start, Check::after);
        self.segments = manifest.map_or_else(Vec::new, |manifest| manifest.segments.clone());
        self.file = None;
        if let Some(last) = self.segments.last() {
            let path = self.path(last.first);
            let file = OpenOptions::new().read(true).append(true).open(&path);
            self.file = Some(file.map_err(|error| BackupError::io("open", &path, error))?);
        }
        self.cut_off()
    }

    /// Where the copy ends.
    pub fn place(&self) -> Place {
        let next = self.check.head().size.next_position();
        let end = |last: &SegmentFile| Place { next, segment: last.first, offset: last.bytes };
        self.segments.last().map_or(Place::START, end)
    }

    /// The last record of the copy.
    pub fn head(&self) -> Head {
        self.check.head()
    }

    /// The tree over the records of the copy.
    pub fn tree_head(&self) -> TreeHead {
        self.check.tree_head()
    }

    /// When the last record of the copy was recorded.
    pub fn recorded_at(&self) -> Timestamp {
        self.check.recorded_at()
    }

    /// The segments of the copy.
    pub fn segments(&self) -> &[SegmentFile] {
        &self.segments
    }

    /// The roots of the complete subtrees of the tree over the records.
    pub fn subtrees(&self) -> &[Hash] {
        self.check.subtrees()
    }

    /// Has the root over so many records remembered, which the copy must not have passed yet.
    pub fn watch(&mut self, size: LogSize) {
        self.check.watch(size);
    }

    /// The root over so many records, if it was to be remembered and the copy has come there.
    pub fn root(&self, size: LogSize) -> Option<Hash> {
        self.check.root(size)
    }

    /// Takes bytes of the log's files that follow what was taken before: frames, or pieces of them.
    ///
    /// # Errors
    /// If they do not follow, are damaged, or the disk fails. What was whole before stays.
    pub fn write(
        &mut self,
        segment: Position,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), BackupError> {
        let due = self.place();
        let due_offset = due.offset + self.pending.len() as u64;
        let begins = segment == due.next && offset == Place::START.offset;
        let is_next = self.pending.is_empty() && begins && segment != due.segment;
        if is_next || (self.segments.is_empty() && segment == due.segment && begins) {
            self.begin_segment()?;
        } else if (segment, offset) != (due.segment, due_offset) {
            return Err(BackupError::OtherFiles {
                segment,
                offset,
                kept_segment: due.segment,
                kept_offset: due_offset,
            });
        }
        let mut pending = std::mem::take(&mut self.pending);
        pending.extend_from_slice(bytes);
        let at = self.place().offset;
        let (length, fault) = self.take(&pending);
        let path = self.path(segment);
        let file = self.file.as_mut().expect("a segment was begun");
        file.write_all(&pending[..length])
            .map_err(|error| BackupError::io("write", &path, error))?;
        match fault {
            None => {
                pending.drain(..length);
                self.pending = pending;
                Ok(())
            }
            Some(Fault { why, is_whole }) => Err(BackupError::Damaged {
                position: self.place().next,
                place: format!("{}, byte {}", format::file_name(segment), at + length as u64),
                why,
                is_whole,
            }),
        }
    }

    /// Makes everything durable that was taken.
    ///
    /// # Errors
    /// If a frame is not whole yet, or the disk fails.
    pub fn sync(&mut self) -> Result<(), BackupError> {
        if !self.pending.is_empty() {
            let found = self.head().size;
            let expected = LogSize::new(found.get() + 1);
            return Err(BackupError::CutShort { expected, found });
        }
        self.sync_segment()?;
        sync_folder(&self.folder)
            .map_err(|error| BackupError::io("make durable", &self.folder, error))
    }

    /// Checks the whole frames at the start of `bytes`, which belong at the end of the last segment.
    /// Gives how many bytes they have, and what is wrong with the next one, unless its rest is missing.
    fn take(&mut self, bytes: &[u8]) -> (usize, Option<Fault>) {
        let last = self.segments.last_mut().expect("a segment was begun");
        let begin = last.bytes;
        let mut length = 0;
        let fault = loop {
            let rest = &bytes[length..];
            let frame = match Frame::parse(rest, begin + length as u64) {
                Ok(frame) => frame,
                Err(FrameError::Incomplete { .. }) => break None,
                Err(error) => break Some(Fault { why: error.to_string(), is_whole: false }),
            };
            if let Err(why) = self.check.take(&frame) {
                break Some(Fault { why, is_whole: true });
            }
            length += frame.length();
        };
        last.bytes += length as u64;
        (length, fault)
    }

    /// Begins the segment that comes next.
    fn begin_segment(&mut self) -> Result<(), BackupError> {
        self.sync_segment()?;
        let Head { size, hash } = self.check.head();
        let header = SegmentHeader { first: size.next_position(), previous: hash };
        let path = self.path(header.first);
        let io = |error| BackupError::io("write", &path, error);
        let mut file = File::create_new(&path).map_err(io)?;
        file.write_all(&header.encode()).map_err(io)?;
        self.file = Some(file);
        self.segments.push(SegmentFile { first: header.first, bytes: Place::START.offset });
        Ok(())
    }

    fn sync_segment(&self) -> Result<(), BackupError> {
        let (Some(file), Some(last)) = (&self.file, self.segments.last()) else { return Ok(()) };
        file.sync_all()
            .map_err(|error| BackupError::io("make durable", &self.path(last.first), error))
    }

    fn path(&self, first: Position) -> PathBuf {
        self.folder.join(format::file_name(first))
    }

    /// Takes the frames that lie in the last segment behind what is known to be whole.
    fn take_what_is_left(&mut self) -> Result<(), BackupError> {
        let Some(last) = self.segments.last().copied() else { return Ok(()) };
        let path = self.path(last.first);
        let read_failed = |error| BackupError::io("read", &path, error);
        let mut file = File::open(&path).map_err(read_failed)?;
        file.seek(SeekFrom::Start(last.bytes)).map_err(read_failed)?;
        let (mut pending, mut step) = (Vec::new(), vec![0; STEP_BYTES]);
        loop {
            let read = match file.read(&mut step) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(read_failed(error)),
            };
            pending.extend_from_slice(&step[..read]);
            let (length, fault) = self.take(&pending);
            if fault.is_some() {
                return Ok(());
            }
            pending.drain(..length);
        }
    }

    /// Takes the segment that begins here, if it is the next one; false if its header is not whole.
    fn take_segment(&mut self, first: Position) -> Result<bool, BackupError> {
        let Head { size, hash } = self.check.head();
        let due = SegmentHeader { first: size.next_position(), previous: hash };
        let path = self.path(first);
        let mut bytes = Vec::new();
        let mut file = File::open(&path).map_err(|error| BackupError::io("open", &path, error))?;
        io::Read::by_ref(&mut file)
            .take(format::HEADER_BYTES as u64)
            .read_to_end(&mut bytes)
            .map_err(|error| BackupError::io("read", &path, error))?;
        if first != due.first || bytes != due.encode() {
            return Ok(false);
        }
        self.sync_segment()?;
        let file = OpenOptions::new().read(true).append(true).open(&path);
        self.file = Some(file.map_err(|error| BackupError::io("open", &path, error))?);
        self.segments.push(SegmentFile { first, bytes: Place::START.offset });
        self.take_what_is_left()?;
        Ok(true)
    }

    /// Cuts off what lies behind the copy: the rest of the last segment, and later ones.
    fn cut_off(&mut self) -> Result<(), BackupError> {
        if let (Some(file), Some(last)) = (&self.file, self.segments.last()) {
            let path = self.path(last.first);
            let cut = |file: &File| {
                if file.metadata()?.len() > last.bytes {
                    file.set_len(last.bytes)?;
                }
                Ok(())
            };
            cut(file).map_err(|error| BackupError::io("cut", &path, error))?;
        }
        let last = self.segments.last().map(|last| last.first);
        for first in segments(&self.folder)? {
            if last.is_none_or(|last| first > last) {
                let path = self.path(first);
                fs::remove_file(&path).map_err(|error| BackupError::io("remove", &path, error))?;
            }
        }
        Ok(())
    }
}

fn copy_ends_before(manifest: Option<&Manifest>, first: Position) -> bool {
    let last = manifest.and_then(|manifest| manifest.segments.last());
    last.is_none_or(|last| first > last.first)
}

/// The first positions of the segments in a folder, in order.
fn segments(folder: &Path) -> Result<Vec<Position>, BackupError> {
    let failed = |error| BackupError::io("list", folder, error);
    let mut firsts = Vec::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let file = file.map_err(failed)?;
        let name = file.file_name();
        let Some(first) = name.to_str().and_then(format::parse_file_name) else { continue };
        if !file.file_type().map_err(failed)?.is_file() {
            return Err(BackupError::File { path: file.path(), why: NO_FILE.to_owned() });
        }
        firsts.push(first);
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// The segments in a folder, which must be those of the manifest and no others in between, each as
/// long as it says; only the last one can be longer.
fn list(folder: &Path, manifest: Option<&Manifest>) -> Result<Vec<Position>, BackupError> {
    let found = segments(folder)?;
    let Some(manifest) = manifest else { return Ok(found) };
    let newest = manifest.segments.last().map(|last| last.first);
    for SegmentFile { first, bytes } in &manifest.segments {
        let path = folder.join(format::file_name(*first));
        let wrong = |why: String| BackupError::File { path: path.clone(), why };
        let length = match fs::metadata(&path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(wrong("the file is missing".to_owned()));
            }
            Err(error) => return Err(BackupError::io("read", &path, error)),
        };
        if length < *bytes || (length > *bytes && newest != Some(*first)) {
            return Err(wrong(format!(
                "it has {length} bytes, and had {bytes} when it was written"
            )));
        }
    }
    let known = |first: &Position| manifest.segments.iter().any(|known| known.first == *first);
    let stranger =
        found.iter().find(|first| newest.is_some_and(|last| **first < last) && !known(first));
    match stranger {
        Some(first) => Err(BackupError::File {
            path: folder.join(format::file_name(*first)),
            why: "it is not one of the backup's: was it put there from another one?".to_owned(),
        }),
        None => Ok(found),
    }
}

/// Whether more lies in a folder than the manifest says is whole.
pub(super) fn has_rest(folder: &Path, manifest: &Manifest) -> Result<bool, BackupError> {
    let found = list(folder, Some(manifest))?;
    let Some(last) = manifest.segments.last() else { return Ok(!found.is_empty()) };
    let path = folder.join(format::file_name(last.first));
    let length = fs::metadata(&path).map_err(|error| BackupError::io("read", &path, error))?.len();
    Ok(length > last.bytes || found.last().is_some_and(|newest| *newest > last.first))
}

/// Copies what a manifest says is whole from one folder of a log into another one, which is new, and
/// checks it on the way. `watched` are the sizes at which the roots are to be remembered; `told` hears
/// how many bytes were copied.
///
/// # Errors
/// If it is not what the manifest says, or a disk fails.
pub fn copy_log(
    from: &Path,
    to: &Path,
    manifest: &Manifest,
    watched: &[LogSize],
    told: &mut dyn FnMut(u64),
) -> Result<LogCopy, BackupError> {
    list(from, Some(manifest))?;
    let mut copy = LogCopy::resume(to, None)?;
    for size in watched {
        copy.watch(*size);
    }
    let mut pieces = Pieces::new(from, Place::START, manifest.head.size);
    let mut done = 0;
    while let Some(piece) = pieces.next_piece()? {
        copy.write(piece.segment, piece.offset, &piece.bytes)?;
        done += piece.bytes.len() as u64;
        told(done);
    }
    copy.sync()?;
    let is_whole = copy.head() == manifest.head
        && copy.segments() == manifest.segments
        && copy.subtrees() == manifest.subtrees;
    if !is_whole {
        return Err(BackupError::File {
            path: from.to_owned(),
            why: format!(
                "its records are not those that the manifest names: they end with the hash {} at {}, \
                 and the manifest says {} at {}",
                copy.head().hash,
                copy.head().size,
                manifest.head.hash,
                manifest.head.size
            ),
        });
    }
    Ok(copy)
}

/// Reads what a manifest says is whole, whatever lies behind it, and checks that it is.
pub(super) fn check_log(folder: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    list(folder, Some(manifest))?;
    let mut check = Check::from_the_start();
    let mut pieces = Pieces::new(folder, Place::START, manifest.head.size);
    while let Some(piece) = pieces.next_piece()? {
        let mut at = 0;
        while at < piece.bytes.len() {
            let offset = piece.offset + at as u64;
            let frame = Frame::parse(&piece.bytes[at..], offset).map_err(|error| error.to_string());
            let taken = frame.and_then(|frame| check.take(&frame).map(|()| frame.length()));
            at += taken.map_err(|why| BackupError::File {
                path: folder.join(format::file_name(piece.segment)),
                why: format!(
                    "at position {}, byte {offset}: {why}",
                    check.head().size.next_position()
                ),
            })?;
        }
    }
    let end = pieces.place();
    let ends = SegmentFile { first: end.segment, bytes: end.offset };
    let is_whole = check.head() == manifest.head
        && check.subtrees() == manifest.subtrees
        && manifest.segments.last().is_none_or(|last| *last == ends);
    if is_whole {
        return Ok(());
    }
    Err(BackupError::File {
        path: folder.join(format::file_name(end.segment)),
        why: format!(
            "its records are not those that the manifest names: they end with the hash {} at {}, and the \
             manifest says {} at {}",
            check.head().hash,
            check.head().size,
            manifest.head.hash,
            manifest.head.size
        ),
    })
}
