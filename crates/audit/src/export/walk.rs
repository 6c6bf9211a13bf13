//! Passing the records of a log on, from its first.

use std::sync::atomic::Ordering;

use bergulir_chain::frame::{FrameHeader, HEADER_BYTES};
use bergulir_chain::{Frame, FrameError, Position, segment};

use super::ExportError;
use super::source::Source;
use crate::window::Window;

/// Bytes read at once.
const STEP_BYTES: usize = 1 << 20;

/// Takes in a record by its position and bytes.
pub(super) type TakeRecord<'a> = dyn FnMut(u64, &[u8]) -> Result<(), ExportError> + 'a;

/// Hands the bytes of every record before `end` over, in order. Only frames and their sums are
/// checked here; the callee checks the records.
pub(super) fn walk(
    source: &Source<'_>,
    end: u64,
    record: &mut TakeRecord<'_>,
) -> Result<(), ExportError> {
    let survey = &source.survey;
    let mut next = survey.first;
    for file in &survey.segments {
        let io = |error| ExportError::io(&file.path, error);
        let mut window = Window::open(&file.path, STEP_BYTES).map_err(io)?;
        let mut offset = segment::HEADER_BYTES as u64;
        while offset < file.end && next < end {
            if source.stop.load(Ordering::Relaxed) {
                return Err(ExportError::Stopped);
            }
            let bad = |error: FrameError| ExportError::log(next, &error);
            let bytes = window.bytes(offset, HEADER_BYTES, file.end).map_err(io)?;
            let length = FrameHeader::parse(bytes).map_err(bad)?.frame_length();
            let bytes = window.bytes(offset, length, file.end).map_err(io)?;
            let frame = Frame::parse(bytes, offset).map_err(bad)?;
            if frame.first() != Position::new(next) {
                let why = format!("the frame there begins at position {}", frame.first());
                return Err(ExportError::log(next, &why));
            }
            for bytes in frame.records() {
                if next == end {
                    return Ok(());
                }
                record(next, bytes)?;
                next += 1;
            }
            offset += length as u64;
        }
    }
    if next < end {
        return Err(ExportError::log(next, &"the records end before"));
    }
    Ok(())
}
