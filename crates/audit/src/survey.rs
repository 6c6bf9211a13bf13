//! The first look over a log: which segments there are, how many records, where they are, and
//! where it ends. It also finds which positions seals cover, so that the state can be compared
//! when it passes them.
//!
//! It decides nothing: it stops at the first thing that is out of place, and leaves that to the
//! verifier, which comes to the same place with everything before it checked.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bergulir_chain::frame::{END_BYTES, FrameHeader, HEADER_BYTES};
use bergulir_chain::{
    Authentication, Frame, Position, Record, RecordSlices, SegmentHeader, body::LENGTH_BYTES,
    record, segment,
};
use bergulir_domain::Event;
use bergulir_domain::command::{ContinueLedger, Seal};
use bergulir_proto::{decode_event, names_the_log};

use crate::tail::{End, last_written, settle};
use crate::window::Window;
use crate::{CannotTell, find};

/// Bytes read at once.
const STEP_BYTES: usize = 1 << 20;

/// One place is kept for so many bytes of the log: a look-up reads on from there.
const MARK_BYTES: u64 = 64 << 10;

/// What a log consists of.
#[derive(Debug, Default)]
pub(crate) struct Survey {
    /// In the order of their names.
    pub(crate) segments: Vec<Segment>,
    /// The position at which the log must begin: 0 but in a part of one.
    pub(crate) first: u64,
    /// The position after the last record that was found.
    pub(crate) end: u64,
    /// How many records there are of a frame after these that does not hold as many as it says.
    partial: u64,
    /// The positions that seals cover, each with that of its first seal.
    pub(crate) sealed: BTreeMap<u64, u64>,
    /// The records that continue the log under another origin, as far as they can be read.
    pub(crate) continued: Vec<(u64, ContinueLedger)>,
    /// Whether something was out of place, so that not all was looked over.
    pub(crate) stopped: bool,
    /// Places of records, in their order.
    pub(crate) marks: Vec<Mark>,
    /// The frame that the log ends inside of.
    pub(crate) torn: Option<Torn>,
    /// Why not all of it could be looked over. What could not is not among the segments.
    pub(crate) failure: Option<String>,
    /// Files that end like segments and are not named as the row of segments needs it.
    pub(crate) misnamed: Vec<String>,
    /// Files that are not part of a log.
    pub(crate) not_read: Vec<String>,
}

/// A segment file.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) first: Position,
    pub(crate) path: PathBuf,
    /// Where its frames end, as far as is known.
    pub(crate) end: u64,
}

/// Where a record is.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) position: u64,
    /// The place of its segment among the segments.
    pub(crate) segment: usize,
    /// Where its length is in the file.
    pub(crate) offset: u64,
    /// How many records of its frame there are from it on, itself among them.
    pub(crate) left: u32,
}

/// A frame that is not whole.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Torn {
    pub(crate) segment: usize,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Why the survey goes no further.
enum Stop {
    /// Something is out of place.
    Here,
    Io(io::Error),
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        Stop::Io(error)
    }
}

/// Looks over the log in a folder, which begins at `first`. `progress` is told how many bytes of
/// how many were seen.
pub(crate) fn survey(
    folder: &Path,
    first: u64,
    patience: Duration,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Survey, CannotTell> {
    let mut survey = Survey { first, end: first, ..list(folder)? };
    let total = survey.segments.iter().map(|segment| segment.end).sum();
    let mut done = 0;
    let mut index = 0;
    while index < survey.segments.len() {
        survey.pass_over_strays(index);
        let seen = done;
        let first = survey.end;
        done += survey.segments[index].end;
        let mut told = |offset: u64| progress(seen + offset, total);
        match survey.segment(index, patience, &mut told) {
            Ok(()) => {}
            Err(Stop::Here) => {
                survey.end += survey.partial;
                survey.stopped = true;
                break;
            }
            Err(Stop::Io(error)) => {
                let path = survey.segments[index].path.display();
                survey.failure = Some(format!("could not read {path}: {error}"));
                survey.segments.truncate(index);
                survey.keep(first);
                break;
            }
        }
        index += 1;
    }
    Ok(survey)
}

/// The segments of a folder with their lengths now; a folder that is not there has none.
fn list(folder: &Path) -> Result<Survey, CannotTell> {
    let mut survey = Survey::default();
    let names = match find::names(folder) {
        // A link that leads nowhere is not an absent folder: the log is elsewhere.
        Err(CannotTell::Io { source, .. })
            if source.kind() == io::ErrorKind::NotFound && !folder.is_symlink() =>
        {
            return Ok(survey);
        }
        names => names?,
    };
    for name in names {
        let path = folder.join(&name);
        if let Some(first) = segment::parse_file_name(&name) {
            let length = path.metadata().map(|file| file.len());
            let end = length.map_err(|source| CannotTell::Io { path: path.clone(), source })?;
            survey.segments.push(Segment { first, path, end });
        } else if name.ends_with(segment::SUFFIX) {
            survey.misnamed.push(name);
        } else if !is_left_over(&name) {
            survey.not_read.push(name);
        }
    }
    survey.segments.sort_by_key(|segment| segment.first);
    survey.misnamed.sort();
    survey.not_read.sort();
    Ok(survey)
}

/// A torn frame that recovery put aside, or a segment that was never finished.
fn is_left_over(name: &str) -> bool {
    let cut = name.strip_prefix("cut-");
    cut.is_some_and(|rest| rest.strip_suffix(".bin").is_some()) || name.ends_with(".seg.new")
}

impl Survey {
    /// Of a log that cannot be looked over.
    pub(crate) fn nothing(first: u64) -> Survey {
        Survey { first, end: first, ..Survey::default() }
    }

    /// How many records were found.
    pub(crate) fn records(&self) -> u64 {
        self.end - self.first
    }

    /// If the segment that must come now is there, takes out those that are named in between:
    /// they belong elsewhere.
    fn pass_over_strays(&mut self, index: usize) {
        let rest = &self.segments[index..];
        let due = |segment: &Segment| segment.first.get() == self.end;
        if let Some(strays) = rest.iter().position(due) {
            let strays = self.segments.drain(index..index + strays);
            let names = strays.map(|stray| segment::file_name(stray.first));
            self.misnamed.extend(names);
        }
    }

    fn segment(
        &mut self,
        index: usize,
        patience: Duration,
        progress: &mut dyn FnMut(u64),
    ) -> Result<(), Stop> {
        let is_newest = index + 1 == self.segments.len();
        let Segment { first, end, .. } = self.segments[index];
        let mut window = Window::open(&self.segments[index].path, STEP_BYTES)?;
        let header = window.bytes(0, segment::HEADER_BYTES, end)?;
        let named = SegmentHeader::parse(header).is_ok_and(|header| header.first == first);
        if !named || first.get() != self.end {
            return Err(Stop::Here);
        }
        let mut offset = segment::HEADER_BYTES as u64;
        let mut last = None;
        loop {
            let records = self.end;
            let Some(next) = self.frame(index, &mut window, offset, end)? else {
                break;
            };
            last = Some(Walked { offset, records });
            offset = next;
            progress(offset);
        }
        if is_newest {
            return self.end(index, &mut window, offset, last, patience);
        }
        if last_written(&mut window, offset, end)? > offset {
            return Err(Stop::Here);
        }
        self.segments[index].end = offset;
        Ok(())
    }

    /// Takes in the frame at `offset`, if it is one as far as its header tells, and says where the
    /// next one begins.
    fn frame(
        &mut self,
        index: usize,
        window: &mut Window,
        offset: u64,
        end: u64,
    ) -> Result<Option<u64>, Stop> {
        let bytes = window.bytes(offset, HEADER_BYTES, end)?;
        let Ok(header) = FrameHeader::parse(bytes) else {
            return Ok(None);
        };
        let length = header.frame_length();
        let next = offset + length as u64;
        if header.first.get() != self.end || next > end {
            return Ok(None);
        }
        let bytes = window.bytes(offset, length, end)?;
        let Some(body) = bytes.get(HEADER_BYTES..length - END_BYTES) else {
            return Ok(None);
        };
        let mut at = offset + HEADER_BYTES as u64;
        let mut left = header.records;
        for record in RecordSlices::new(body).take(header.records as usize) {
            let place = u64::from(header.records - left);
            let mark = Mark { position: self.end + place, segment: index, offset: at, left };
            self.mark(mark);
            if let Some(seal) = seal_of(record) {
                self.sealed.entry(seal.through.get()).or_insert(mark.position);
            }
            if let Some(continued) = continued_of(record) {
                self.continued.push((mark.position, continued));
            }
            at += (LENGTH_BYTES + record.len()) as u64;
            left -= 1;
        }
        // Not what the header says, but what is there is counted: memory is sized by it.
        if left > 0 {
            self.partial = u64::from(header.records - left);
            return Ok(None);
        }
        self.end = header.next().get();
        Ok(Some(next))
    }

    fn mark(&mut self, mark: Mark) {
        let is_near =
            |last: &Mark| last.segment == mark.segment && mark.offset < last.offset + MARK_BYTES;
        if !self.marks.last().is_some_and(is_near) {
            self.marks.push(mark);
        }
    }

    /// Settles where the newest segment ends. The walk stopped at `offset`; `last` is the frame
    /// before it.
    fn end(
        &mut self,
        index: usize,
        window: &mut Window,
        offset: u64,
        last: Option<Walked>,
        patience: Duration,
    ) -> Result<(), Stop> {
        // Only headers were looked at, and the body of the last frame may be torn.
        let (from, records) = match last {
            Some(last) if !is_whole(window, last.offset, offset)? => (last.offset, last.records),
            Some(_) | None => (offset, self.end),
        };
        let end = settle(window, from, Position::new(records), patience)?;
        match end {
            End::Clean => {}
            // It was being written when the walk came by: it is the last one that is verified.
            End::Whole { length } if from == offset => {
                self.keep(records);
                window.forget();
                let next = self.frame(index, window, offset, offset + length)?;
                self.segments[index].end = next.ok_or(Stop::Here)?;
                return Ok(());
            }
            End::Whole { .. } => {
                self.segments[index].end = offset;
                return Ok(());
            }
            End::Torn { bytes } => {
                self.torn = Some(Torn { segment: index, offset: from, bytes });
            }
            End::Damaged => return Err(Stop::Here),
        }
        self.keep(records);
        self.segments[index].end = from;
        Ok(())
    }

    /// Forgets the records from this position on.
    fn keep(&mut self, end: u64) {
        self.end = end;
        self.partial = 0;
        self.marks.retain(|mark| mark.position < end);
        self.continued.retain(|(position, _)| *position < end);
    }
}

/// A frame that was walked over.
#[derive(Clone, Copy)]
struct Walked {
    offset: u64,
    /// How many records come before it.
    records: u64,
}

fn is_whole(window: &mut Window, offset: u64, end: u64) -> io::Result<bool> {
    let length = usize::try_from(end - offset).unwrap_or(usize::MAX);
    let bytes = window.bytes(offset, length, end)?;
    Ok(Frame::parse(bytes, offset).is_ok())
}

/// What a record says, if it is a seal.
pub(crate) fn seal_of(bytes: &[u8]) -> Option<Seal> {
    // Nearly no record is, and every one is asked.
    if record::authentication(bytes) != Some(Authentication::System) {
        return None;
    }
    let record = Record::parse(bytes).ok()?;
    match decode_event(record.event) {
        Ok(Event::Sealed(seal)) => Some(seal),
        Ok(_) | Err(_) => None,
    }
}

/// What a record says, if it continues the log under another origin.
fn continued_of(bytes: &[u8]) -> Option<ContinueLedger> {
    if !names_the_log(record::event(bytes)?) {
        return None;
    }
    match decode_event(Record::parse(bytes).ok()?.event) {
        Ok(Event::LedgerContinued(continued)) => Some(*continued),
        Ok(_) | Err(_) => None,
    }
}
