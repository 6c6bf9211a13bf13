//! What the end of a log file is after a crash: clean, torn, or damaged.
//!
//! A frame is written only after the one before it is durable. So at most the last frame of the
//! newest segment can be torn, and nothing but zeros, written ahead, can follow it. Everything
//! else that is bad was durable once, and was damaged: it must not be cut away.

use crate::Frame;
use crate::frame::{FrameError, FrameFault, FrameHeader, MAGIC, is_zero};

/// What follows the last undamaged frame of the newest segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// Nothing, or zeros that were written ahead.
    Clean,
    /// A frame that a crash tore. It was never acknowledged, and may be cut.
    Torn(Tear),
}

/// How a frame is torn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tear {
    /// The file ends inside it.
    EndsInside,
    /// A 512-byte piece of it, from this byte of the file on, was never written.
    ZeroPiece {
        /// Where in the file the zeros begin.
        at: u64,
    },
}

/// Judges what follows the last undamaged frame of the newest segment, up to the end of the file.
/// `rest` begins at `file_offset`, and the frame that belongs there is not at its start.
///
/// # Errors
/// If it is neither clean nor torn, but damaged.
pub fn judge(rest: &[u8], file_offset: u64) -> Result<Tail, FrameFault> {
    if is_zero(rest) {
        return Ok(Tail::Clean);
    }
    match Frame::parse(rest, file_offset) {
        Err(FrameError::Incomplete { .. }) => Ok(Tail::Torn(Tear::EndsInside)),
        Err(FrameError::ZeroPiece { at, length }) => {
            let is_last = match length {
                Some(length) => is_zero(&rest[length..]),
                None => !holds_header(&rest[1..]),
            };
            if is_last {
                Ok(Tail::Torn(Tear::ZeroPiece { at }))
            } else {
                Err(FrameFault::TornInside)
            }
        }
        Err(FrameError::Corrupt(fault)) => Err(fault),
        Ok(frame) => Err(FrameFault::OutOfPlace { first: frame.first() }),
    }
}

/// True if an undamaged frame header begins anywhere in `bytes`. A frame whose header is torn
/// does not say where it ends; that no other frame follows shows that it was the last.
fn holds_header(bytes: &[u8]) -> bool {
    (0..bytes.len())
        .filter(|&start| bytes[start..].starts_with(&MAGIC))
        .any(|start| FrameHeader::parse(&bytes[start..]).is_ok())
}
