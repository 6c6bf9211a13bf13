//! A log as files, with the bytes open to whoever wants to change them.

use std::fs;
use std::ops::Range;
use std::path::Path;

use bergulir_chain::{FrameBuilder, Hash, Position, Record, SegmentHeader, body, record, segment};

use crate::ledger::{Draft, chained};

/// A log: segments of frames of records.
#[derive(Clone)]
pub(crate) struct Log {
    pub(crate) segments: Vec<Vec<Vec<Vec<u8>>>>,
}

/// How records are laid out; an atomic batch stays in one frame.
#[derive(Clone, Copy)]
pub(crate) struct Layout {
    pub(crate) records_in_frame: usize,
    pub(crate) frames_in_segment: usize,
}

/// A few records a frame, a few frames a segment.
pub(crate) const SMALL: Layout = Layout { records_in_frame: 3, frames_in_segment: 5 };

/// One segment file.
#[derive(Clone)]
pub(crate) struct SegmentFile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
    /// The frames of it.
    pub(crate) frames: Vec<Range<usize>>,
    /// For each byte the position that damage to it is damage to.
    pub(crate) owners: Vec<u64>,
}

impl Log {
    pub(crate) fn of(drafts: &[Draft], layout: Layout) -> Log {
        let mut frames: Vec<Vec<Vec<u8>>> = Vec::new();
        let mut open = false;
        for bytes in chained(drafts) {
            let following = Record::parse(&bytes).unwrap().following;
            match frames.last_mut() {
                Some(frame) if open => frame.push(bytes),
                _ => frames.push(vec![bytes]),
            }
            let length = frames.last().map_or(0, Vec::len);
            open = following > 0 || length < layout.records_in_frame;
        }
        let segments = frames.chunks(layout.frames_in_segment);
        Log { segments: segments.map(<[_]>::to_vec).collect() }
    }

    /// Takes a record out.
    pub(crate) fn remove(&mut self, position: u64) -> Vec<u8> {
        let (segment, frame, place) = self.place(position);
        let frames = &mut self.segments[segment];
        let removed = frames[frame].remove(place);
        frames.retain(|frame| !frame.is_empty());
        self.segments.retain(|frames| !frames.is_empty());
        removed
    }

    /// Puts a record before the one at a position, into its frame.
    pub(crate) fn insert(&mut self, position: u64, bytes: Vec<u8>) {
        let (segment, frame, place) = self.place(position);
        self.segments[segment][frame].insert(place, bytes);
    }

    pub(crate) fn record(&mut self, position: u64) -> &mut Vec<u8> {
        let (segment, frame, place) = self.place(position);
        &mut self.segments[segment][frame][place]
    }

    fn place(&self, position: u64) -> (usize, usize, usize) {
        let mut left = usize::try_from(position).unwrap();
        for (s, frames) in self.segments.iter().enumerate() {
            for (f, frame) in frames.iter().enumerate() {
                if left < frame.len() {
                    return (s, f, left);
                }
                left -= frame.len();
            }
        }
        panic!("no record at {position}");
    }

    /// The files, with every sum right.
    pub(crate) fn files(&self) -> Vec<SegmentFile> {
        let mut position = 0;
        let mut previous = Hash::ZERO;
        let mut files = Vec::new();
        for frames in &self.segments {
            let first = Position::new(position);
            let mut file = SegmentFile {
                name: segment::file_name(first),
                bytes: SegmentHeader { first, previous }.encode().to_vec(),
                frames: Vec::new(),
                owners: vec![position; segment::HEADER_BYTES],
            };
            for records in frames {
                file.push(position, records);
                position += records.len() as u64;
                previous = records.last().map_or(previous, |bytes| record::hash(bytes));
            }
            files.push(file);
        }
        files
    }

    /// Writes the files into a folder.
    pub(crate) fn write(&self, folder: &Path) {
        write(folder, &self.files());
    }
}

impl SegmentFile {
    /// Appends a frame of these records.
    pub(crate) fn push(&mut self, first: u64, records: &[Vec<u8>]) {
        let mut bytes = Vec::new();
        for record in records {
            body::push_encoded(&mut bytes, record);
        }
        let start = self.bytes.len();
        let count = u32::try_from(records.len()).unwrap();
        let mut builder = FrameBuilder::new();
        let frame = builder.build(Position::new(first), count, &bytes, start as u64);
        self.bytes.extend_from_slice(frame.unwrap());
        self.frames.push(start..self.bytes.len());
        self.owners.resize(start + bergulir_chain::frame::HEADER_BYTES, first);
        for (position, record) in (first..).zip(records) {
            let end = self.owners.len() + body::LENGTH_BYTES + record.len();
            self.owners.resize(end, position);
        }
        // The end mark stands behind the last record.
        self.owners.resize(self.bytes.len(), first + u64::from(count) - 1);
    }
}

pub(crate) fn write(folder: &Path, files: &[SegmentFile]) {
    fs::create_dir_all(folder).unwrap();
    for file in files {
        fs::write(folder.join(&file.name), &file.bytes).unwrap();
    }
}
