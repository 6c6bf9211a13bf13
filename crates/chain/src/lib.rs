//! The bytes of a ledger's log, and what they prove: records, the frames and segments that hold
//! them, the hash chain through them, and Merkle trees.
//!
//! Everything here is pure: it takes bytes and returns bytes or findings. `docs/format.md`
//! describes each layout byte by byte; golden vectors under `tests/` pin them.

#![no_std]
#![deny(clippy::float_arithmetic)]

extern crate alloc;

pub mod body;
mod bytes;
mod decimal;
pub mod frame;
mod hash;
pub mod merkle;
mod position;
pub mod record;
pub mod segment;
pub mod tail;
pub mod tiles;
mod timestamp;
pub mod walk;

pub use body::RecordSlices;
pub use frame::{Frame, FrameBuilder, FrameError, FrameFault, FrameHeader};
pub use hash::{Hash, ParseHashError};
pub use position::{LogSize, Position};
pub use record::{Authentication, MAX_RECORD_BYTES, Record, RecordError};
pub use segment::{SegmentError, SegmentHeader};
pub use timestamp::Timestamp;
pub use walk::{ChainCursor, ChainError, ChainFault};
