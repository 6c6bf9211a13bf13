//! The name and the header of a segment file.
//!
//! A log is a row of segments, each named by its first position. The header says which chain the
//! segment goes on with, so segments cannot be mixed up unseen.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

use crate::bytes::{take, take_u8, take_u64};
use crate::frame::is_zero;
use crate::{Hash, Position};

/// Bytes of a segment before its first frame.
pub const HEADER_BYTES: usize = 64;

/// How the name of a segment file ends.
pub const SUFFIX: &str = ".seg";

const MAGIC: [u8; 4] = *b"BGSG";
const VERSION: u8 = 1;
const DIGITS: usize = 20;
/// The header before its own CRC.
const SUMMED_BYTES: usize = HEADER_BYTES - 4;

/// What a segment says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The position of its first record.
    pub first: Position,
    /// The hash of the record before that; [`Hash::ZERO`] in the first segment.
    pub previous: Hash,
}

/// Why bytes are not the header of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SegmentError {
    /// There are fewer than [`HEADER_BYTES`].
    #[error("the file is too short for the header of a segment: {0} bytes")]
    Short(usize),
    /// The bytes do not begin like a segment.
    #[error("the file does not begin like a segment")]
    Magic,
    /// The CRC does not match.
    #[error("the header of the segment does not match its CRC")]
    Crc,
    /// A version that this software does not know.
    #[error("segment version {0} is not known here: read it with newer software")]
    UnknownVersion(u8),
    /// A reserved byte is not zero.
    #[error("a reserved byte of the segment's header is not zero")]
    Reserved,
}

impl SegmentHeader {
    /// The bytes of the header.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = Vec::with_capacity(HEADER_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&[VERSION, 0, 0, 0]);
        bytes.extend_from_slice(&self.first.get().to_le_bytes());
        bytes.extend_from_slice(self.previous.as_bytes());
        bytes.resize(SUMMED_BYTES, 0);
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        let mut header = [0; HEADER_BYTES];
        header.copy_from_slice(&bytes);
        header
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// If there is none, or it is damaged.
    pub fn parse(bytes: &[u8]) -> Result<Self, SegmentError> {
        let short = SegmentError::Short(bytes.len());
        let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(short)?;
        if !header.starts_with(&MAGIC) {
            return Err(SegmentError::Magic);
        }
        let (mut summed, crc) = header.split_at(SUMMED_BYTES);
        if crc32fast::hash(summed).to_le_bytes() != crc {
            return Err(SegmentError::Crc);
        }
        let bytes = &mut summed;
        let _magic = take::<4>(bytes).ok_or(short)?;
        let version = take_u8(bytes).ok_or(short)?;
        if version != VERSION {
            return Err(SegmentError::UnknownVersion(version));
        }
        let reserved = take::<3>(bytes).ok_or(short)?;
        let first = Position::new(take_u64(bytes).ok_or(short)?);
        let previous = Hash::from_bytes(take(bytes).ok_or(short)?);
        if is_zero(&reserved) && is_zero(bytes) {
            Ok(Self { first, previous })
        } else {
            Err(SegmentError::Reserved)
        }
    }
}

/// The name of the segment that begins at this position: 20 digits and [`SUFFIX`], so that names
/// sort as positions do.
pub fn file_name(first: Position) -> String {
    format!("{:020}{SUFFIX}", first.get())
}

/// The first position of the segment with this name, or `None` if no segment is named so.
pub fn parse_file_name(name: &str) -> Option<Position> {
    let digits = name.strip_suffix(SUFFIX)?;
    let named = digits.len() == DIGITS && digits.bytes().all(|digit| digit.is_ascii_digit());
    named.then(|| digits.parse().ok().map(Position::new))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_canonical() {
        let first = Position::new(1_234);
        assert_eq!(file_name(first), "00000000000000001234.seg");
        assert_eq!(parse_file_name("00000000000000001234.seg"), Some(first));
        for other in
            ["1234.seg", "0000000000000001234x.seg", "+0000000000000001234.seg", "cut-1.bin", ""]
        {
            assert_eq!(parse_file_name(other), None, "{other}");
        }
        assert_eq!(parse_file_name("99999999999999999999.seg"), None, "past u64");
    }

    #[test]
    fn a_flipped_bit_is_found() {
        let header =
            SegmentHeader { first: Position::new(7), previous: Hash::from_bytes([0xa5; 32]) };
        let bytes = header.encode();
        assert_eq!(SegmentHeader::parse(&bytes), Ok(header));
        for bit in 0..HEADER_BYTES * 8 {
            let mut damaged = bytes;
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(SegmentHeader::parse(&damaged).is_err(), "bit {bit}");
        }
        assert_eq!(SegmentHeader::parse(&bytes[..63]), Err(SegmentError::Short(63)));
    }
}
