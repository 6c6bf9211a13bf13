//! The marks of closed segments, kept in files of their own: who looks for one position of an old
//! segment would have to walk over up to a quarter of a GiB otherwise.
//!
//! They are a help and nothing more. What is damaged, or of another segment, is not taken; what is
//! wrong all the same is found at the frame to which it leads. So they are written without a sync.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bergulir_chain::{Position, SegmentHeader};
use tracing::debug;

use super::medium::{Medium, write_whole};
use super::segment::{Extent, Mark, Marks, Source};
use super::steps::Steps;

#[cfg(test)]
mod fuzz_tests;

const MAGIC: &[u8; 8] = b"BGMARKS3";

/// Magic, first position, end, next position, hash of the last record.
const HEAD_BYTES: usize = 64;
/// After that, how many marks follow; then come the steps.
const COUNT_BYTES: usize = 8;
const MARK_BYTES: usize = 16;
const CRC_BYTES: usize = 4;

/// A segment of 256 MiB has 4,096 marks at most and 262,144 steps, which take some 900 KiB together.
const MOST_BYTES: u64 = 4 << 20;

/// Where the marks of a log's closed segments are kept.
#[derive(Debug)]
pub(super) struct KeptMarks {
    medium: Arc<dyn Medium>,
    folder: PathBuf,
}

impl KeptMarks {
    pub(super) fn new(medium: Arc<dyn Medium>, folder: PathBuf) -> Self {
        Self { medium, folder }
    }

    fn path(&self, header: SegmentHeader) -> PathBuf {
        self.folder.join(format!("{:020}.marks", header.first.get()))
    }

    /// The marks that were kept of the segment with these bounds.
    pub(super) fn read(&self, header: SegmentHeader, extent: Extent) -> Option<Marks> {
        let bytes = self.bytes(&self.path(header)).ok()?;
        let (summed, crc) = bytes.split_last_chunk::<CRC_BYTES>()?;
        let rest = summed.strip_prefix(&head(header, extent))?;
        if crc32fast::hash(summed).to_le_bytes() != *crc {
            return None;
        }
        let (count, rest) = rest.split_first_chunk::<COUNT_BYTES>()?;
        let marks = usize::try_from(u64::from_le_bytes(*count)).ok()?.checked_mul(MARK_BYTES)?;
        let (marks, steps) = rest.split_at_checked(marks)?;
        let (marks, []) = marks.as_chunks::<MARK_BYTES>() else { return None };
        let reached = Mark { first: extent.next, offset: extent.end };
        Some(Marks {
            places: marks.iter().filter_map(|mark| read_mark(mark)).collect(),
            steps: Steps::unpacked(steps)?,
            reached,
            whole: true,
            source: Source::Kept,
        })
    }

    fn bytes(&self, path: &Path) -> io::Result<Vec<u8>> {
        let file = self.medium.open(path)?;
        let length = file.length()?;
        if length > MOST_BYTES {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
        file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }

    /// Keeps the marks of a closed segment. Where that fails, the next who needs them walks.
    pub(super) fn keep(&self, header: SegmentHeader, extent: Extent, marks: &Marks) {
        let mut bytes = Vec::new();
        bytes.extend_from_slice(&head(header, extent));
        bytes.extend_from_slice(&(marks.places.len() as u64).to_le_bytes());
        for mark in &marks.places {
            push_mark(&mut bytes, *mark);
        }
        bytes.extend_from_slice(marks.steps.packed());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        if let Err(error) = self.write(&self.path(header), &bytes) {
            debug!(folder = %self.folder.display(), %error, "the marks of a segment are not kept");
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let file = match self.medium.create(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                self.medium.create_folder(&self.folder)?;
                self.medium.create(path)?
            }
            file => file?,
        };
        write_whole(&*file, bytes, 0)
    }
}

fn head(header: SegmentHeader, extent: Extent) -> [u8; HEAD_BYTES] {
    let mut head = [0; HEAD_BYTES];
    let numbers = [header.first.get(), extent.end, extent.next.get()];
    head[..8].copy_from_slice(MAGIC);
    for (place, number) in head[8..32].chunks_exact_mut(8).zip(numbers) {
        place.copy_from_slice(&number.to_le_bytes());
    }
    head[32..].copy_from_slice(extent.hash.as_bytes());
    head
}

fn push_mark(bytes: &mut Vec<u8>, Mark { first, offset }: Mark) {
    bytes.extend_from_slice(&first.get().to_le_bytes());
    bytes.extend_from_slice(&offset.to_le_bytes());
}

fn read_mark(mark: &[u8]) -> Option<Mark> {
    let (first, rest) = mark.split_first_chunk()?;
    let first = Position::new(u64::from_le_bytes(*first));
    Some(Mark { first, offset: u64::from_le_bytes(*rest.first_chunk()?) })
}
