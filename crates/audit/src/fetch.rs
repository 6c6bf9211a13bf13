//! Single records from anywhere in a log, by the marks of its survey.

use std::io;

use bergulir_chain::frame::{END_BYTES, FrameHeader, HEADER_BYTES};
use bergulir_chain::{Hash, Position, Record, SegmentHeader, body::LENGTH_BYTES, segment};
use thiserror::Error;

use crate::report::Place;
use crate::survey::Survey;
use crate::window::Window;

/// Bytes read at once: the distance of marks.
const STEP_BYTES: usize = 64 << 10;

/// Fetches records. Nothing is checked here: what is fetched was verified when the verifier came
/// by, or is only asked what hash it names.
#[derive(Debug)]
pub(crate) struct Fetch<'a> {
    survey: &'a Survey,
    /// The segment that was read last.
    open: Option<(usize, Window)>,
}

/// A record cannot be fetched.
#[derive(Debug, Error)]
pub(crate) enum FetchError {
    #[error("could not read {file}: {source}")]
    Io { file: String, source: io::Error },
    #[error("the record at position {0} is not where it was: the log changed while it was read")]
    Changed(Position),
    #[error("the record at position {0} is looked up and not in the bundle")]
    NotInBundle(Position),
}

/// Where a record's bytes are in its file.
#[derive(Debug, Clone, Copy)]
struct Found {
    segment: usize,
    offset: u64,
    length: usize,
}

impl<'a> Fetch<'a> {
    pub(crate) fn new(survey: &'a Survey) -> Fetch<'a> {
        Fetch { survey, open: None }
    }

    /// The bytes of a record; `None` if the survey did not find it.
    pub(crate) fn record(&mut self, position: Position) -> Result<Option<&[u8]>, FetchError> {
        let Some(found) = self.find(position)? else {
            return Ok(None);
        };
        let bytes = self.bytes(found.segment, found.offset, found.length)?;
        let bytes = bytes.get(..found.length);
        Ok(Some(bytes.ok_or(FetchError::Changed(position))?))
    }

    /// Where a record is; `None` if the survey did not find it, or it cannot be read.
    pub(crate) fn place(&mut self, position: Position) -> Option<Place> {
        let found = self.find(position).ok()??;
        Some(Place { file: self.survey.segments[found.segment].path.clone(), offset: found.offset })
    }

    /// The hash that what follows a position names as that of its record: the next record, or the
    /// header of an empty next segment.
    pub(crate) fn named_after(&mut self, position: Position) -> Option<Hash> {
        let next = position.next();
        if let Ok(Some(bytes)) = self.record(next) {
            return Some(Record::parse(bytes).ok()?.previous);
        }
        let mut segments = self.survey.segments.iter();
        let index = segments.position(|segment| segment.first == next)?;
        let bytes = self.bytes(index, 0, segment::HEADER_BYTES).ok()?;
        Some(SegmentHeader::parse(bytes).ok()?.previous)
    }

    fn find(&mut self, position: Position) -> Result<Option<Found>, FetchError> {
        if position.get() >= self.survey.end {
            return Ok(None);
        }
        let marks = &self.survey.marks;
        let after = marks.partition_point(|mark| mark.position <= position.get());
        let Some(mark) = marks[..after].last().copied() else {
            return Ok(None);
        };
        let changed = || FetchError::Changed(position);
        let (mut offset, mut left) = (mark.offset, mark.left);
        let mut at = mark.position;
        loop {
            if left == 0 {
                offset += END_BYTES as u64;
                let bytes = self.bytes(mark.segment, offset, HEADER_BYTES)?;
                let header = FrameHeader::parse(bytes).map_err(|_| changed())?;
                left = header.records;
                offset += HEADER_BYTES as u64;
            }
            let bytes = self.bytes(mark.segment, offset, LENGTH_BYTES)?;
            let length = bytes.first_chunk().ok_or_else(changed)?;
            let length = usize::from(u16::from_be_bytes(*length));
            offset += LENGTH_BYTES as u64;
            if at == position.get() {
                return Ok(Some(Found { segment: mark.segment, offset, length }));
            }
            offset += length as u64;
            at += 1;
            left -= 1;
        }
    }

    fn bytes(&mut self, segment: usize, offset: u64, needed: usize) -> Result<&[u8], FetchError> {
        let file = &self.survey.segments[segment];
        let io = |source| FetchError::Io { file: file.path.display().to_string(), source };
        if self.open.as_ref().is_none_or(|(open, _)| *open != segment) {
            let window = Window::open(&file.path, STEP_BYTES).map_err(io)?;
            self.open = Some((segment, window));
        }
        let (_, window) = self.open.as_mut().expect("it was just opened");
        window.bytes(offset, needed, file.end).map_err(io)
    }
}
