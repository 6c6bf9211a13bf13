//! Reading a file piece by piece, with what was read last at hand.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

/// A file, and the bytes of it that were read last.
#[derive(Debug)]
pub(crate) struct Window {
    file: File,
    /// How much is read at once.
    step: usize,
    /// Where in the file the buffer begins.
    start: u64,
    buffer: Vec<u8>,
}

impl Window {
    pub(crate) fn open(path: &Path, step: usize) -> io::Result<Window> {
        Ok(Window { file: File::open(path)?, step, start: 0, buffer: Vec::new() })
    }

    /// The length of the file now.
    pub(crate) fn length(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// Forgets what was read, so that it is read again.
    pub(crate) fn forget(&mut self) {
        self.buffer.clear();
    }

    /// The bytes from `offset` on: at least `needed` of them, unless `end` or the end of the file
    /// comes before.
    pub(crate) fn bytes(&mut self, offset: u64, needed: usize, end: u64) -> io::Result<&[u8]> {
        let left = usize::try_from(end.saturating_sub(offset)).unwrap_or(usize::MAX);
        let needed = needed.min(left);
        let there = offset
            .checked_sub(self.start)
            .and_then(|passed| usize::try_from(passed).ok())
            .filter(|passed| passed.checked_add(needed).is_some_and(|to| to <= self.buffer.len()));
        let passed = if let Some(passed) = there {
            passed
        } else {
            self.buffer.clear();
            self.start = offset;
            let most = needed.max(self.step).min(left);
            append(&mut self.file, offset, most, &mut self.buffer)?;
            0
        };
        let bytes = &self.buffer[passed..];
        Ok(&bytes[..bytes.len().min(left)])
    }
}

/// Appends up to `most` bytes of a file from `offset` on; fewer only if the file ends before.
pub(crate) fn append(
    file: &mut File,
    offset: u64,
    most: usize,
    out: &mut Vec<u8>,
) -> io::Result<()> {
    file.seek(SeekFrom::Start(offset))?;
    file.by_ref().take(most as u64).read_to_end(out)?;
    Ok(())
}
