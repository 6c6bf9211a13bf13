//! Reading a log from its first byte to its last, ahead of the decisions and in a thread of its
//! own: frames are cut out and their sums checked, records are checked against the chain. If they
//! are to be decided, they are read as well, and request ids are looked for among those of all
//! records before.

use std::fs::File;
use std::io;
use std::mem;
use std::ops::Range;
use std::sync::mpsc::{Receiver, SyncSender};

use bergulir_chain::frame::{END_BYTES, FrameHeader, HEADER_BYTES};
use bergulir_chain::{
    ChainCursor, Frame, FrameError, Hash, Position, Record, RecordSlices, SegmentError,
    SegmentHeader, record, segment,
};
use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{Event, Header};
use bergulir_proto::replay::{Checked, check};

use crate::Depth;
use crate::fetch::{Fetch, FetchError};
use crate::sightings::Sightings;
use crate::survey::Survey;
use crate::window::append;

/// Bytes read at once, at least.
const STEP_BYTES: usize = 1 << 20;

/// What is read, in the order of the log.
#[derive(Debug)]
pub(crate) enum Piece {
    /// A segment begins.
    Segment { index: usize, header: Result<SegmentHeader, SegmentError> },
    /// Frames that lie together.
    Frames(Stretch),
    /// Where the next frame should be, there is none. Nothing is read after it.
    NoFrame { segment: usize, offset: u64, error: FrameError },
    /// Nothing more can be read.
    Failed { why: String },
}

/// A stretch of a segment, cut into frames.
#[derive(Debug, Default)]
pub(crate) struct Stretch {
    pub(crate) segment: usize,
    bytes: Vec<u8>,
    pub(crate) frames: Vec<Span>,
    /// The records of the undamaged frames from the first on, up to one that is not right.
    pub(crate) read: Vec<Read>,
}

/// What was read of a record that continues the chain.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) hash: Hash,
    /// What it says, if that was asked for.
    said: Option<(Header, Event)>,
}

impl Read {
    pub(crate) fn event(&self) -> Option<&Event> {
        self.said.as_ref().map(|(_, event)| event)
    }

    /// With the bytes of the record that this was read from.
    pub(crate) fn of(self, bytes: &[u8]) -> Option<Checked<'_>> {
        let (hash, (header, event)) = (self.hash, self.said?);
        Some(Checked { record: Record::parse(bytes).ok()?, hash, header, event })
    }
}

/// A frame of a stretch whose header is undamaged.
#[derive(Debug, Clone)]
pub(crate) struct Span {
    pub(crate) header: FrameHeader,
    /// Where it begins in its file.
    pub(crate) offset: u64,
    range: Range<usize>,
    /// What is wrong with its body. Nothing is read after it then.
    pub(crate) fault: Option<FrameError>,
    /// The first request id in it that was used before; or why that cannot be told. Nothing is
    /// read after either.
    pub(crate) request_ids: Result<(), RequestIds>,
}

/// What is wrong with the request ids of a frame.
#[derive(Debug, Clone)]
pub(crate) enum RequestIds {
    /// One was used before.
    Repeated { position: Position, first: Position },
    /// The records before cannot be looked at.
    Unknown { why: String },
}

impl From<FetchError> for RequestIds {
    fn from(error: FetchError) -> RequestIds {
        let why = error.to_string();
        RequestIds::Unknown { why }
    }
}

impl Stretch {
    /// The bytes of a frame.
    pub(crate) fn frame(&self, span: &Span) -> &[u8] {
        &self.bytes[span.range.clone()]
    }

    /// The records of a frame, each as its bytes; of a damaged one as far as they can be cut out.
    pub(crate) fn records(&self, span: &Span) -> RecordSlices<'_> {
        let frame = self.frame(span);
        RecordSlices::new(&frame[HEADER_BYTES..frame.len() - END_BYTES])
    }
}

/// Reads a log and hands it over piece by piece; gets the memory of stretches back by `spare`.
pub(crate) struct Reader<'a> {
    survey: &'a Survey,
    /// Those of all records before; `None` if only the chain is read.
    request_ids: Option<Sightings>,
    /// Where the chain goes on; `None` after a record that is not right, which the verifier finds.
    cursor: Option<ChainCursor>,
    fetch: Fetch<'a>,
    pieces: SyncSender<Piece>,
    spare: Receiver<Stretch>,
}

/// Nothing more is to be read.
struct Done;

impl<'a> Reader<'a> {
    /// A reader that goes on after a record of the hash `previous`.
    pub(crate) fn new(
        survey: &'a Survey,
        depth: Depth,
        previous: Hash,
        pieces: SyncSender<Piece>,
        spare: Receiver<Stretch>,
    ) -> Reader<'a> {
        Reader {
            survey,
            request_ids: match depth {
                Depth::Rules => Some(Sightings::new(survey.records())),
                Depth::ChainOnly => None,
            },
            cursor: Some(ChainCursor::resume(Position::new(survey.first), previous)),
            fetch: Fetch::new(survey),
            pieces,
            spare,
        }
    }

    /// Reads to the end of the log, to the first thing that is wrong, or until nobody listens.
    pub(crate) fn run(mut self) {
        for index in 0..self.survey.segments.len() {
            if self.segment(index).is_err() {
                return;
            }
        }
    }

    fn send(&self, piece: Piece) -> Result<(), Done> {
        self.pieces.send(piece).map_err(|_| Done)
    }

    fn failed(&self, index: usize, error: &io::Error) -> Done {
        let file = self.survey.segments[index].path.display();
        let why = format!("could not read {file}: {error}");
        let _ = self.send(Piece::Failed { why });
        Done
    }

    fn segment(&mut self, index: usize) -> Result<(), Done> {
        let segment = &self.survey.segments[index];
        let mut file = File::open(&segment.path).map_err(|error| self.failed(index, &error))?;
        let mut header = Vec::new();
        append(&mut file, 0, segment::HEADER_BYTES, &mut header)
            .map_err(|error| self.failed(index, &error))?;
        let header = SegmentHeader::parse(&header);
        let is_bad = header.is_err();
        self.send(Piece::Segment { index, header })?;
        if is_bad {
            return Err(Done);
        }
        let mut offset = segment::HEADER_BYTES as u64;
        let mut rest = Vec::new();
        let mut needed = HEADER_BYTES;
        while offset < segment.end {
            let mut stretch = self.spare.try_recv().unwrap_or_default();
            stretch.segment = index;
            stretch.frames.clear();
            stretch.read.clear();
            stretch.bytes.clear();
            stretch.bytes.append(&mut rest);
            let from = offset + stretch.bytes.len() as u64;
            let most = needed.max(STEP_BYTES).saturating_sub(stretch.bytes.len());
            let left = usize::try_from(segment.end.saturating_sub(from)).unwrap_or(usize::MAX);
            append(&mut file, from, most.min(left), &mut stretch.bytes)
                .map_err(|error| self.failed(index, &error))?;
            if (stretch.bytes.len() as u64) < segment.end - offset && stretch.bytes.len() < needed {
                let why = "the log became shorter while it was read: verify it again".to_owned();
                let _ = self.send(Piece::Failed { why });
                return Err(Done);
            }
            let cut = self.cut(&mut stretch, offset, segment.end);
            rest.extend_from_slice(&stretch.bytes[cut.length..]);
            offset += cut.length as u64;
            self.send(Piece::Frames(stretch))?;
            match cut.stopped {
                Stopped::Incomplete { needed: more } => needed = more,
                Stopped::Bad => return Err(Done),
                Stopped::NoFrame(error) => {
                    let segment = index;
                    let _ = self.send(Piece::NoFrame { segment, offset, error });
                    return Err(Done);
                }
            }
        }
        Ok(())
    }

    /// Cuts the frames out of a stretch that begins at `offset` of a file that goes on to `end`.
    fn cut(&mut self, stretch: &mut Stretch, offset: u64, end: u64) -> Cut {
        let bytes = mem::take(&mut stretch.bytes);
        let reaches_end = offset + bytes.len() as u64 >= end;
        let mut length = 0;
        let stopped = loop {
            let ahead = &bytes[length..];
            let at = offset + length as u64;
            if ahead.is_empty() {
                break Stopped::Incomplete { needed: HEADER_BYTES };
            }
            let (header, fault) = match Frame::parse(ahead, at) {
                Ok(frame) => (frame.header(), None),
                Err(FrameError::Incomplete { needed }) if !reaches_end => {
                    break Stopped::Incomplete { needed };
                }
                Err(error) => match FrameHeader::parse(ahead) {
                    Ok(header) if header.frame_length() <= ahead.len() => (header, Some(error)),
                    Ok(_) | Err(_) => break Stopped::NoFrame(error),
                },
            };
            let range = length..length + header.frame_length();
            length = range.end;
            let body = &bytes[range.start + HEADER_BYTES..range.end - END_BYTES];
            let request_ids = match fault {
                Some(_) => Ok(()),
                None => self.look_over(header.first, body, &mut stretch.read),
            };
            let is_last = fault.is_some() || request_ids.is_err();
            stretch.frames.push(Span { header, offset: at, range, fault, request_ids });
            if is_last {
                break Stopped::Bad;
            }
        };
        stretch.bytes = bytes;
        Cut { length, stopped }
    }

    /// Follows the chain over the records of a frame, up to one that is not right.
    fn follow(&mut self, body: &[u8], read: &mut Vec<Read>) {
        for bytes in RecordSlices::new(body) {
            let Some(cursor) = &mut self.cursor else {
                return;
            };
            match cursor.check(bytes) {
                Ok((_, hash)) => read.push(Read { hash, said: None }),
                Err(_) => self.cursor = None,
            }
        }
    }

    /// Reads the records of a frame, and looks for their request ids among all before.
    fn look_over(
        &mut self,
        first: Position,
        body: &[u8],
        read: &mut Vec<Read>,
    ) -> Result<(), RequestIds> {
        let Some(request_ids) = &mut self.request_ids else {
            self.follow(body, read);
            return Ok(());
        };
        let mut ahead = RecordSlices::new(body);
        for (position, bytes) in (first.get()..).zip(RecordSlices::new(body)) {
            if (position - first.get()).is_multiple_of(LOOK_AHEAD as u64) {
                let ids = ahead.by_ref().take(LOOK_AHEAD).filter_map(record::request_id);
                ids.for_each(|id| request_ids.look_ahead(request_ids.hash(&id)));
            }
            let record = if let Some(checked) = next(&mut self.cursor, bytes) {
                let Checked { record, hash, header, event } = checked;
                read.push(Read { hash, said: Some((header, event)) });
                record
            } else if let Ok(record) = Record::parse(bytes) {
                record
            } else {
                return Ok(());
            };
            let hash = request_ids.hash(&record.request_id);
            for candidate in request_ids.candidates(hash) {
                let first = Position::new(candidate);
                if request_id_at(&mut self.fetch, first)? == record.request_id {
                    let position = Position::new(position);
                    return Err(RequestIds::Repeated { position, first });
                }
            }
            if request_ids.insert(hash, position).is_err() {
                let why = "the log grew while it was read: verify it again".to_owned();
                return Err(RequestIds::Unknown { why });
            }
        }
        Ok(())
    }
}

/// The next record of the chain; from one that is not right on, there is none.
fn next<'b>(cursor: &mut Option<ChainCursor>, bytes: &'b [u8]) -> Option<Checked<'b>> {
    let checked = check(cursor.as_mut()?, bytes).ok();
    if checked.is_none() {
        *cursor = None;
    }
    checked
}

fn request_id_at(fetch: &mut Fetch<'_>, position: Position) -> Result<[u8; 16], FetchError> {
    let changed = || FetchError::Changed(position);
    let bytes = fetch.record(position)?.ok_or_else(changed)?;
    let record = Record::parse(bytes).map_err(|_| changed())?;
    Ok(record.request_id)
}

/// How much of a stretch was cut into frames, and why no more.
struct Cut {
    length: usize,
    stopped: Stopped,
}

enum Stopped {
    /// The next frame needs so many bytes.
    Incomplete { needed: usize },
    /// Something is wrong with the last frame.
    Bad,
    /// There is no frame.
    NoFrame(FrameError),
}
