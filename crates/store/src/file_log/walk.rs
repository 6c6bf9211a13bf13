//! Walking over the frames of a segment.

use std::mem;

use bergulir_chain::frame::{END_BYTES, HEADER_BYTES};
use bergulir_chain::{Frame, FrameError, FrameHeader, Position};

use super::segment::{Extent, Mark, Segment};
use crate::log::ReadError;

/// Bytes read at once: a mark's stretch.
const STEP_BYTES: usize = 64 << 10;

/// Bytes read at once on the way over a whole segment.
const LONG_STEP_BYTES: usize = 1 << 20;

/// A place between the frames of a segment, and the bytes read ahead from there.
#[derive(Debug)]
pub(super) struct FrameWalk<'a> {
    segment: &'a Segment,
    /// The position that the next frame must begin with.
    next: Position,
    /// Where the next frame begins in the file.
    offset: u64,
    /// Where the frames end in the file.
    end: u64,
    /// Bytes read from `offset - passed` on.
    buffer: Vec<u8>,
    /// Bytes of the buffer that are before `offset`.
    passed: usize,
    step: usize,
}

impl<'a> FrameWalk<'a> {
    pub(super) fn new(segment: &'a Segment, next: Position, offset: u64, end: u64) -> Self {
        Self { segment, next, offset, end, buffer: Vec::new(), passed: 0, step: STEP_BYTES }
    }

    pub(super) fn with_long_steps(self) -> Self {
        Self { step: LONG_STEP_BYTES, ..self }
    }

    /// Where the next frame begins in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The position that the next frame begins with.
    pub(super) fn next(&self) -> Position {
        self.next
    }

    /// Where the next frame begins.
    pub(super) fn mark(&self) -> Mark {
        Mark { first: self.next, offset: self.offset }
    }

    /// Whether the segment, which reaches so far, ends here or with the next frame.
    pub(super) fn is_near_end(&mut self, extent: Extent) -> Result<bool, ReadError> {
        if self.at_end() {
            return Ok(true);
        }
        let header = self.header()?;
        let end = self.offset + header.frame_length() as u64;
        Ok(header.next() >= extent.next || end >= extent.end)
    }

    /// True if no bytes are left.
    pub(super) fn at_end(&self) -> bool {
        self.offset >= self.end
    }

    /// The header of the next frame.
    pub(super) fn header(&mut self) -> Result<FrameHeader, ReadError> {
        self.read_ahead(HEADER_BYTES)?;
        let header = FrameHeader::parse(self.ahead()).map_err(|error| self.damaged(error))?;
        if header.first == self.next {
            Ok(header)
        } else {
            let stated = header.first;
            Err(self.corrupt(format!("the frame says that it begins at position {stated}")))
        }
    }

    /// The next frame, checked against its CRC.
    pub(super) fn frame(&mut self) -> Result<Frame<'_>, ReadError> {
        let length = self.header()?.frame_length();
        self.read_ahead(length)?;
        let walk = &*self;
        Frame::parse(walk.ahead(), walk.offset).map_err(|error| walk.damaged(error))
    }

    /// The records of the next frame. They may be damaged.
    pub(super) fn unchecked_body(&mut self) -> Result<&[u8], ReadError> {
        let length = self.header()?.frame_length();
        self.read_ahead(length)?;
        let frame = self.ahead().get(..length).unwrap_or_default();
        Ok(frame.get(HEADER_BYTES..length - END_BYTES).unwrap_or_default())
    }

    /// The bytes that were read, and where in them the next frame begins. To go on, they are read
    /// again.
    pub(super) fn take_ahead(&mut self) -> (Vec<u8>, usize) {
        (mem::take(&mut self.buffer), mem::take(&mut self.passed))
    }

    /// Steps over the next frame.
    pub(super) fn skip(&mut self) -> Result<(), ReadError> {
        let header = self.header()?;
        let length = header.frame_length();
        self.offset += length as u64;
        self.next = header.next();
        self.passed = self.buffer.len().min(self.passed + length);
        Ok(())
    }

    /// The error that the log is damaged at the next frame.
    pub(super) fn corrupt(&self, why: String) -> ReadError {
        ReadError::Corrupt { position: self.next, place: self.segment.place(self.offset), why }
    }

    fn damaged(&self, error: FrameError) -> ReadError {
        self.corrupt(match error {
            FrameError::Incomplete { needed } => {
                format!("the frame needs {needed} bytes, but the file ends before")
            }
            error => error.to_string(),
        })
    }

    fn ahead(&self) -> &[u8] {
        &self.buffer[self.passed..]
    }

    /// Sees to it that `needed` bytes are in the buffer from `offset` on, or all that there are.
    fn read_ahead(&mut self, needed: usize) -> Result<(), ReadError> {
        let there = self.ahead().len();
        let left = usize::try_from(self.end.saturating_sub(self.offset)).unwrap_or(usize::MAX);
        if there >= needed.min(left) {
            return Ok(());
        }
        self.buffer.drain(..self.passed);
        self.passed = 0;
        self.buffer.resize(needed.max(self.step).min(left), 0);
        let from = self.offset + there as u64;
        self.segment.file.read_exact_at(&mut self.buffer[there..], from).map_err(|source| {
            self.buffer.truncate(there);
            ReadError::Io { position: self.next, place: self.segment.place(from), source }
        })
    }
}
