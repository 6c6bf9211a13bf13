//! The frame: the records that were made durable together, as one piece of a segment file.
//!
//! A header with its own CRC, a body of records each behind its length, an end mark.
//! `docs/format.md` gives it byte by byte. The body is made in [`body`].
//!
//! A frame is built so that a bad one tells whether a crash tore it, and it may be cut, or whether
//! it was damaged later, and may not: no 512-byte piece of it, as aligned in its file, is all
//! zero, the pieces at its two ends included. Its first and last byte are marks, so only a run of
//! zeros inside a record can make such a piece, and the builder refuses it.
//!
//! [`body`]: crate::body

use alloc::vec::Vec;

use thiserror::Error;

use crate::Position;
use crate::body::{RecordSlices, is_well_formed};
use crate::bytes::{take, take_u8, take_u32, take_u64};

/// Bytes of a frame before its body.
pub const HEADER_BYTES: usize = 32;

/// Bytes of a frame after its body: the end mark.
pub const END_BYTES: usize = 1;

/// The longest body in bytes: an atomic batch of 10,000 records of 1,600 bytes fits.
pub const MAX_BODY_BYTES: usize = 16 << 20;

/// The smallest unit that a disk writes whole or not at all, in bytes.
pub const PIECE_BYTES: usize = 512;

pub(crate) const MAGIC: [u8; 4] = *b"BGFR";
const VERSION: u8 = 1;
const END: u8 = b'E';
/// The header before its own CRC.
const SUMMED_BYTES: usize = HEADER_BYTES - 4;

/// A whole and undamaged frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    header: FrameHeader,
    body: &'a [u8],
}

/// What the header of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The position of the first record.
    pub first: Position,
    /// The number of records: at least one.
    pub records: u32,
    /// Bytes of the body, at most [`MAX_BODY_BYTES`].
    pub body_length: u32,
    /// CRC-32 of the body.
    body_crc: u32,
}

/// Why bytes are not a whole and undamaged frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameError {
    /// The bytes end inside the frame.
    #[error("the frame needs {needed} bytes")]
    Incomplete {
        /// Bytes that the frame needs, as far as is known yet.
        needed: usize,
    },
    /// The frame is bad, and an aligned 512-byte piece of it is all zero: it was not written.
    #[error("the bytes from {at} to the next multiple of 512 are all zero: they were not written")]
    ZeroPiece {
        /// Where in the file the zeros begin.
        at: u64,
        /// Bytes of the whole frame, if its header is undamaged.
        length: Option<usize>,
    },
    /// The frame is bad, and not in a way that a crash leaves behind.
    #[error("{0}")]
    Corrupt(#[from] FrameFault),
}

/// What is wrong with a damaged frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FrameFault {
    /// The bytes do not begin like a frame.
    #[error("no frame begins here")]
    Magic,
    /// The CRC of the header does not match.
    #[error("the header of the frame does not match its CRC")]
    HeaderCrc,
    /// A version that this software does not know.
    #[error("frame version {0} is not known here: read it with newer software")]
    UnknownVersion(u8),
    /// The header says something that no frame says.
    #[error("the header of the frame has a reserved or impossible value")]
    Header,
    /// The CRC of the body does not match.
    #[error("the {records} records of the frame do not match their CRC")]
    BodyCrc {
        /// How many records the frame holds.
        records: u32,
    },
    /// The frame does not end with its mark.
    #[error("the end mark of the frame is missing")]
    EndMark,
    /// The body is not made of as many records as the header says.
    #[error("the frame does not hold the {records} records that its header says")]
    Records {
        /// How many records the header says.
        records: u32,
    },
    /// An undamaged frame, but not the one that belongs here.
    #[error("the frame here begins at position {first}: it is out of its place")]
    OutOfPlace {
        /// The position that it begins at.
        first: Position,
    },
    /// The frame was torn, but it is not the last thing in the file.
    #[error("a piece of the frame was never written, yet the file goes on after it")]
    TornInside,
}

impl FrameHeader {
    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// [`FrameError::Incomplete`] or [`FrameError::Corrupt`]; whether zeros are to blame is not
    /// looked at here.
    pub fn parse(bytes: &[u8]) -> Result<Self, FrameError> {
        let header: &[u8; HEADER_BYTES] =
            bytes.first_chunk().ok_or(FrameError::Incomplete { needed: HEADER_BYTES })?;
        Ok(Self::read(header)?)
    }

    fn read(header: &[u8; HEADER_BYTES]) -> Result<Self, FrameFault> {
        if !header.starts_with(&MAGIC) {
            return Err(FrameFault::Magic);
        }
        let (summed, crc) = header.split_at(SUMMED_BYTES);
        if crc32fast::hash(summed).to_le_bytes() != crc {
            return Err(FrameFault::HeaderCrc);
        }
        Self::fields(&summed[MAGIC.len()..]).unwrap_or(Err(FrameFault::Header))
    }

    fn fields(mut bytes: &[u8]) -> Option<Result<Self, FrameFault>> {
        let bytes = &mut bytes;
        let version = take_u8(bytes)?;
        if version != VERSION {
            return Some(Err(FrameFault::UnknownVersion(version)));
        }
        let reserved = take::<3>(bytes)?;
        let header = Self {
            first: Position::new(take_u64(bytes)?),
            records: take_u32(bytes)?,
            body_length: take_u32(bytes)?,
            body_crc: take_u32(bytes)?,
        };
        let possible = reserved == [0; 3]
            && header.records > 0
            && header.body_length as usize <= MAX_BODY_BYTES
            && header.first.get().checked_add(u64::from(header.records)).is_some();
        possible.then_some(Ok(header))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        out.extend_from_slice(&self.first.get().to_le_bytes());
        out.extend_from_slice(&self.records.to_le_bytes());
        out.extend_from_slice(&self.body_length.to_le_bytes());
        out.extend_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32fast::hash(&out[start..]);
        out.extend_from_slice(&crc.to_le_bytes());
    }

    /// Bytes of the whole frame.
    pub const fn frame_length(&self) -> usize {
        HEADER_BYTES + self.body_length as usize + END_BYTES
    }

    /// The position after the last record.
    pub const fn next(&self) -> Position {
        Position::new(self.first.get() + self.records as u64)
    }
}

impl<'a> Frame<'a> {
    /// Reads the frame at the start of `bytes`, which begin at `file_offset` in their file; bytes
    /// after it are left alone.
    ///
    /// # Errors
    /// If there is no whole and undamaged frame. To tell zeros from damage, `bytes` must reach
    /// [`PIECE_BYTES`] past the header, or to the end of the file.
    pub fn parse(bytes: &'a [u8], file_offset: u64) -> Result<Self, FrameError> {
        let header = match FrameHeader::parse(bytes) {
            Err(FrameError::Corrupt(fault)) => {
                // Past the header the frame's extent is unknown, so look at the pieces that the
                // header touches. They are looked at whole: in an undamaged frame the header's
                // own last bytes may be zero by chance, but not with the body after them.
                let touched = HEADER_BYTES + to_boundary(file_offset + HEADER_BYTES as u64);
                let touched = &bytes[..touched.min(bytes.len())];
                return Err(match first_zero_piece(touched, file_offset) {
                    Some(at) => FrameError::ZeroPiece { at, length: None },
                    None => fault.into(),
                });
            }
            header => header?,
        };
        let length = header.frame_length();
        let frame = bytes.get(..length).ok_or(FrameError::Incomplete { needed: length })?;
        let body = &frame[HEADER_BYTES..length - END_BYTES];
        let fault = if frame[length - 1] != END {
            FrameFault::EndMark
        } else if crc32fast::hash(body) != header.body_crc {
            FrameFault::BodyCrc { records: header.records }
        } else if !is_well_formed(body, header.records) {
            FrameFault::Records { records: header.records }
        } else {
            return Ok(Self { header, body });
        };
        Err(match first_zero_piece(frame, file_offset) {
            Some(at) => FrameError::ZeroPiece { at, length: Some(length) },
            None => fault.into(),
        })
    }

    /// What the header says.
    pub fn header(&self) -> FrameHeader {
        self.header
    }

    /// The position of the first record.
    pub fn first(&self) -> Position {
        self.header.first
    }

    /// The position after the last record.
    pub fn next(&self) -> Position {
        self.header.next()
    }

    /// Bytes of the whole frame.
    pub fn length(&self) -> usize {
        self.header.frame_length()
    }

    /// The bytes of the records, in order.
    pub fn records(&self) -> RecordSlices<'a> {
        RecordSlices::new(self.body)
    }
}

/// Builds frames, one after another in the same memory.
#[derive(Clone, Debug, Default)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
}

/// Why records cannot become a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum BuildError {
    /// The body is longer than [`MAX_BODY_BYTES`].
    #[error("a frame holds at most {MAX_BODY_BYTES} bytes of records, not {0}")]
    TooLarge(usize),
    /// The body is not made of this many records, or of none.
    #[error("the body does not hold {0} records")]
    Records(u32),
    /// An aligned piece would be all zero.
    #[error("the 512 bytes from {0} in the file would be all zero, the mark of a torn write")]
    ZeroPiece(u64),
}

impl FrameBuilder {
    /// A builder without memory yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The frame of a body made in [`body`](crate::body), to be written at `file_offset`.
    ///
    /// # Errors
    /// If the body is too long or does not hold `records` records, or a 512-byte piece of the
    /// frame, as aligned in the file, would be all zero.
    pub fn build(
        &mut self,
        first: Position,
        records: u32,
        body: &[u8],
        file_offset: u64,
    ) -> Result<&[u8], BuildError> {
        let body_length = match u32::try_from(body.len()) {
            Ok(length) if body.len() <= MAX_BODY_BYTES => length,
            _ => return Err(BuildError::TooLarge(body.len())),
        };
        if records == 0 || !is_well_formed(body, records) {
            return Err(BuildError::Records(records));
        }
        self.bytes.clear();
        FrameHeader { first, records, body_length, body_crc: crc32fast::hash(body) }
            .write(&mut self.bytes);
        self.bytes.extend_from_slice(body);
        self.bytes.push(END);
        match first_zero_piece(&self.bytes, file_offset) {
            Some(at) => Err(BuildError::ZeroPiece(at)),
            None => Ok(&self.bytes),
        }
    }
}

/// Where in the file the first piece of `bytes` begins that is all zero. The pieces at the two
/// ends may be shorter than [`PIECE_BYTES`].
fn first_zero_piece(bytes: &[u8], file_offset: u64) -> Option<u64> {
    let mut at = file_offset;
    let mut rest = bytes;
    while !rest.is_empty() {
        let length = match to_boundary(at) {
            0 => PIECE_BYTES,
            length => length,
        };
        let (piece, after) = rest.split_at(length.min(rest.len()));
        if is_zero(piece) {
            return Some(at);
        }
        at += piece.len() as u64;
        rest = after;
    }
    None
}

/// Bytes from this one of a file to the next boundary between pieces; none if it is at one.
fn to_boundary(file_offset: u64) -> usize {
    let distance = file_offset.wrapping_neg() % PIECE_BYTES as u64;
    usize::try_from(distance).expect("it is less than PIECE_BYTES")
}

/// True if every byte is zero.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}
