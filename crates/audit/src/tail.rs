//! Where a log ends, settled once: a server that is running may be writing just there.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use bergulir_chain::frame::{FrameHeader, HEADER_BYTES, PIECE_BYTES};
use bergulir_chain::tail::{Tail, judge};
use bergulir_chain::{Frame, FrameError, Position};

use crate::window::Window;

/// How long to wait before looking again.
const PAUSE: Duration = Duration::from_millis(10);

/// A log whose end never stands still is judged after this many times the patience.
const MOST_PATIENCE: u32 = 20;

/// What follows the last undamaged frame of the newest segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Nothing, or zeros.
    Clean,
    /// A frame of so many bytes that was just being written.
    Whole { length: u64 },
    /// A frame of which only this many bytes are there.
    Torn { bytes: u64 },
    /// Neither: it was damaged.
    Damaged,
}

/// Judges what is in the newest segment from `offset` on, where the frame at `position` must be.
/// What is not whole must stand still for as long as `patience` before it is called bad.
pub(crate) fn settle(
    window: &mut Window,
    offset: u64,
    position: Position,
    patience: Duration,
) -> io::Result<End> {
    let began = Instant::now();
    let mut still_since = began;
    let mut rest = read_rest(window, offset)?;
    loop {
        let end = judged(&rest, offset, position);
        let gave_up = still_since.elapsed() >= patience
            || began.elapsed() >= patience.saturating_mul(MOST_PATIENCE);
        if gave_up || matches!(end, End::Clean | End::Whole { .. }) {
            return Ok(end);
        }
        thread::sleep(PAUSE);
        let again = read_rest(window, offset)?;
        if again != rest {
            still_since = Instant::now();
            rest = again;
        }
    }
}

fn judged(rest: &[u8], offset: u64, position: Position) -> End {
    if let Ok(frame) = Frame::parse(rest, offset)
        && frame.first() == position
    {
        let length = frame.length() as u64;
        return End::Whole { length };
    }
    match judge(rest, offset) {
        Ok(Tail::Clean) => End::Clean,
        Ok(Tail::Torn(_)) => {
            let bytes = rest.iter().rposition(|byte| *byte != 0);
            let bytes = bytes.map_or(0, |last| last as u64 + 1);
            End::Torn { bytes }
        }
        Err(_) => End::Damaged,
    }
}

/// The bytes from `offset` to the end of the file, but of the zeros at the end only what its
/// judgement needs: a segment may be zero-filled far ahead.
fn read_rest(window: &mut Window, offset: u64) -> io::Result<Vec<u8>> {
    window.forget();
    let length = window.length()?;
    let header = window.bytes(offset, HEADER_BYTES, length)?;
    let needed = match FrameHeader::parse(header) {
        Ok(header) => header.frame_length(),
        Err(FrameError::Incomplete { needed }) => needed,
        Err(_) => HEADER_BYTES,
    };
    let needed = (needed + PIECE_BYTES) as u64;
    let end = last_written(window, offset, length)?.max(length.min(offset + needed));
    let wanted = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
    Ok(window.bytes(offset, wanted, end)?.to_vec())
}

/// The end of the last byte that is not zero, at or after `offset`.
pub(crate) fn last_written(window: &mut Window, offset: u64, end: u64) -> io::Result<u64> {
    let mut last = offset;
    let mut at = offset;
    while at < end {
        let bytes = window.bytes(at, 1, end)?;
        if bytes.is_empty() {
            break;
        }
        if let Some(place) = bytes.iter().rposition(|byte| *byte != 0) {
            last = at + place as u64 + 1;
        }
        at += bytes.len() as u64;
    }
    Ok(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_a_clean_end_and_the_start_of_a_frame_is_torn() {
        let position = Position::ZERO;
        assert_eq!(judged(&[], 64, position), End::Clean);
        assert_eq!(judged(&[0; 2000], 64, position), End::Clean);
        assert_eq!(judged(b"BGFR", 64, position), End::Torn { bytes: 4 });
        assert_eq!(judged(&[1; 2000], 64, position), End::Damaged);
        let mut hole = vec![0; 2000];
        hole[..4].copy_from_slice(b"BGFR");
        assert_eq!(judged(&hole, 1024 - 4, position), End::Torn { bytes: 4 });
    }
}
