//! The bytes of a ledger's log, and what they prove: records, the frames and segments that hold
//! them, the hash chain through them, Merkle trees and their proofs, and what C2SP makes of those:
//! tiles, signed notes, checkpoints, cosignatures, witnesses, policies and proofs as text.
//!
//! Everything here is pure: it takes bytes and returns bytes or findings. Keys, seeds and times
//! come in as arguments. `docs/format.md` describes each layout byte by byte; golden vectors under
//! `tests/` pin them.

#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

pub mod base64;
pub mod body;
mod bytes;
pub mod checkpoint;
pub mod decimal;
pub mod frame;
mod hash;
mod lines;
pub mod merkle;
pub mod note;
pub mod policy;
mod position;
pub mod proof;
pub mod record;
pub mod segment;
pub mod tail;
pub mod tiles;
mod timestamp;
pub mod walk;
pub mod witness;

pub use body::RecordSlices;
pub use frame::{Frame, FrameBuilder, FrameError, FrameFault, FrameHeader};
pub use hash::{Hash, ParseHashError};
pub use position::{LogSize, Position};
pub use record::{Authentication, MAX_RECORD_BYTES, Record, RecordError};
pub use segment::{SegmentError, SegmentHeader};
pub use timestamp::Timestamp;
pub use walk::{ChainCursor, ChainError, ChainFault};
