//! Records written as segments and frames.

use std::path::PathBuf;

use bergulir_chain::{ChainCursor, FrameBuilder, Hash, Position, SegmentHeader, body, segment};

use super::ExportError;
use super::folder::NewFile;

/// A frame is ended at so many bytes of records, as soon as no batch is open.
const FRAME_BYTES: usize = 256 << 10;

/// A segment is ended at so many bytes.
const SEGMENT_BYTES: u64 = 64 << 20;

/// Writes records into a folder, from some position on. Each is checked against the chain.
#[derive(Debug)]
pub(super) struct Segments {
    folder: PathBuf,
    file: Option<NewFile>,
    cursor: ChainCursor,
    /// The frame that is being filled: where it begins, and its records.
    first: Position,
    records: u32,
    body: Vec<u8>,
    builder: FrameBuilder,
    /// The hash before the frame.
    previous: Hash,
}

impl Segments {
    /// Those that go on after a record of the hash `previous`.
    pub(super) fn new(folder: PathBuf, first: Position, previous: Hash) -> Segments {
        Segments {
            folder,
            file: None,
            cursor: ChainCursor::resume(first, previous),
            first,
            records: 0,
            body: Vec::new(),
            builder: FrameBuilder::new(),
            previous,
        }
    }

    /// The position of the next record.
    pub(super) fn next(&self) -> Position {
        self.cursor.next()
    }

    /// Appends the next record, and gives its hash.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<Hash, ExportError> {
        let (record, hash) = self.cursor.check(bytes)?;
        body::push_encoded(&mut self.body, bytes);
        self.records += 1;
        if record.following == 0 && self.body.len() >= FRAME_BYTES {
            self.end_frame()?;
        }
        Ok(hash)
    }

    fn end_frame(&mut self) -> Result<(), ExportError> {
        if self.records == 0 {
            return Ok(());
        }
        if let Some(file) = self.file.take_if(|file| file.length() >= SEGMENT_BYTES) {
            file.finish()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let path = self.folder.join(segment::file_name(self.first));
                let file = none.insert(NewFile::create(path)?);
                let header = SegmentHeader { first: self.first, previous: self.previous };
                file.append(&header.encode())?;
                file
            }
        };
        let position = self.first;
        let frame = self.builder.build(position, self.records, &self.body, file.length());
        file.append(frame.map_err(|source| ExportError::Frame { position, source })?)?;
        self.body.clear();
        self.records = 0;
        self.first = self.cursor.next();
        self.previous = self.cursor.previous();
        Ok(())
    }

    /// Ends the last frame and segment.
    pub(super) fn finish(mut self) -> Result<(), ExportError> {
        self.cursor.ends_batch()?;
        self.end_frame()?;
        match self.file {
            Some(file) => file.finish(),
            None => Ok(()),
        }
    }
}
