//! The files of a log as they are, read beside whoever writes it: for copies.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bergulir_chain::{FrameHeader, LogSize, Position, SegmentHeader, segment as format};

use super::segment::place;
use crate::log::ReadError;

/// Bytes of a piece, unless its first frame is longer.
const PIECE_BYTES: usize = 1 << 20;

/// A place between the frames of a log, and where in its files that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The position of the next record.
    pub next: Position,
    /// The first position of the segment that the frame before it is in.
    pub segment: Position,
    /// Where in the file of that segment the frame before it ends.
    pub offset: u64,
}

impl Place {
    /// Before the first record.
    pub const START: Self =
        Self { next: Position::ZERO, segment: Position::ZERO, offset: format::HEADER_BYTES as u64 };
}

/// Whole frames of one segment, one after another, as they are in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The first position of the segment.
    pub segment: Position,
    /// Where in its file the bytes are.
    pub offset: u64,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A walk over the frames of a log from some place on, as far as records are known to be durable.
/// Only the headers of frames are checked here: whoever takes the bytes checks the rest.
#[derive(Debug)]
pub struct Pieces {
    folder: PathBuf,
    place: Place,
    end: LogSize,
    open: Option<(File, PathBuf)>,
}

impl Pieces {
    /// The frames from a place on, up to the one that holds the last of so many records. What the
    /// log holds after that is not looked at.
    pub fn new(folder: &Path, place: Place, end: LogSize) -> Self {
        Self { folder: folder.to_owned(), place, end, open: None }
    }

    /// Where the next piece begins.
    pub fn place(&self) -> Place {
        self.place
    }

    /// The next piece; `None` when all the records are read.
    ///
    /// # Errors
    /// If the frame that comes next does not begin at the place, or cannot be read.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, ReadError> {
        if !self.end.holds(self.place.next) {
            return Ok(None);
        }
        let Place { next, segment, offset } = self.place;
        match self.frames()? {
            Ok((bytes, after)) => {
                self.place = Place { next: after, segment, offset: offset + bytes.len() as u64 };
                Ok(Some(Piece { segment, offset, bytes }))
            }
            Err(why) => {
                // The segment ends here, if another one goes on.
                let path = self.folder.join(format::file_name(next));
                if next == segment || !path.exists() {
                    let (_, path) = self.file()?;
                    let place = place(path, offset);
                    return Err(ReadError::Corrupt { position: next, place, why });
                }
                self.open = None;
                self.place = Place { segment: next, ..Place { next, ..Place::START } };
                self.next_piece()
            }
        }
    }

    /// The frames at the place, and the position after them; or why there is none.
    fn frames(&mut self) -> Result<Result<(Vec<u8>, Position), String>, ReadError> {
        let Place { next, offset, .. } = self.place;
        let end = self.end;
        let (file, path) = self.file()?;
        let io = |source| ReadError::Io { position: next, place: place(path, offset), source };
        let mut bytes = vec![0; PIECE_BYTES];
        let mut there = read_at(file, &mut bytes, offset).map_err(io)?;
        let (mut length, mut after) = (0, next);
        while end.holds(after) {
            let ahead = &bytes[length..there];
            let header = match FrameHeader::parse(ahead) {
                Ok(header) if header.first == after => header,
                Ok(header) if length == 0 => {
                    return Ok(Err(format!("the frame there begins at position {}", header.first)));
                }
                Err(error) if length == 0 => return Ok(Err(error.to_string())),
                Ok(_) | Err(_) => break,
            };
            let needed = header.frame_length();
            if ahead.len() < needed {
                if length > 0 {
                    break;
                }
                bytes.resize(needed, 0);
                there = read_at(file, &mut bytes, offset).map_err(io)?;
                if there < needed {
                    return Ok(Err(format!(
                        "the frame needs {needed} bytes, but the file ends before"
                    )));
                }
            }
            length += needed;
            after = header.next();
        }
        bytes.truncate(length);
        Ok(Ok((bytes, after)))
    }

    /// The file of the segment.
    fn file(&mut self) -> Result<&(File, PathBuf), ReadError> {
        if self.open.is_none() {
            let Place { next, segment, .. } = self.place;
            let path = self.folder.join(format::file_name(segment));
            let place = path.display().to_string();
            let io = |source| ReadError::Io { position: next, place: place.clone(), source };
            let file = File::open(&path).map_err(io)?;
            let mut header = [0; format::HEADER_BYTES];
            let there = read_at(&file, &mut header, 0).map_err(io)?;
            let why = match SegmentHeader::parse(&header[..there]) {
                Ok(header) if header.first == segment => None,
                Ok(header) => Some(format!("the segment says that it begins at {}", header.first)),
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                return Err(ReadError::Corrupt { position: segment, place, why });
            }
            self.open = Some((file, path));
        }
        Ok(self.open.as_ref().expect("it was just opened"))
    }
}

/// Fills as much of `bytes` as the file has from `offset` on, and says how much that is.
fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
    let mut there = 0;
    while there < bytes.len() {
        match file.read_at(&mut bytes[there..], offset + there as u64) {
            Ok(0) => break,
            Ok(read) => there += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(there)
}

/// Where the frame ends that holds the last of so many records: more than that many records if a
/// checkpoint was signed inside of a frame.
///
/// # Errors
/// If there is no such frame, or it cannot be read.
pub fn end_of_frame(folder: &Path, size: LogSize) -> Result<LogSize, ReadError> {
    let Some(last) = size.last() else { return Ok(size) };
    let io = |source| ReadError::Io { position: last, place: folder.display().to_string(), source };
    let mut segment = Position::ZERO;
    for file in std::fs::read_dir(folder).map_err(io)? {
        let name = file.map_err(io)?.file_name();
        if let Some(first) = name.to_str().and_then(format::parse_file_name)
            && first <= last
        {
            segment = segment.max(first);
        }
    }
    let place = Place { next: segment, segment, ..Place::START };
    let mut pieces = Pieces::new(folder, place, size);
    while pieces.next_piece()?.is_some() {}
    Ok(LogSize::new(pieces.place().next.get()))
}
