//! A file that is written once, in order: where the system lets it, past the cache of files, if it is
//! not read soon. What nobody reads would take memory there from the log and the index, and memory
//! that the system did not use before is dear, in a virtual machine above all.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What goes past the cache begins in memory, and in the file, at a multiple of so many bytes.
const ALIGNED: usize = 4 << 10;

/// So many bytes are written at once.
const PIECE: usize = if cfg!(test) { 2 * ALIGNED } else { 1 << 20 };

/// When something that is written is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NextRead {
    /// It is best in the cache of files.
    Soon,
    /// Perhaps never.
    Later,
}

/// The file, and what of it is not written yet.
#[derive(Debug)]
pub(super) struct WrittenOnce {
    file: File,
    past_cache: bool,
    /// So many bytes of it are written.
    bytes: u64,
    buffer: Vec<u8>,
    /// Where the piece begins in the buffer.
    begin: usize,
}

impl WrittenOnce {
    /// Creates the file, or empties it.
    pub(super) fn create(path: &Path, next_read: NextRead) -> io::Result<Self> {
        let options = options_past_cache().filter(|_| next_read == NextRead::Later);
        let (file, past_cache) = match options.map(|options| options.open(path)) {
            Some(Ok(file)) => (file, true),
            // The file system knows no other way than by the cache.
            Some(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => {
                (File::create(path)?, false)
            }
            Some(Err(error)) => return Err(error),
            None => (File::create(path)?, false),
        };
        let mut buffer: Vec<u8> = Vec::with_capacity(PIECE + ALIGNED);
        let begin = buffer.as_ptr().align_offset(ALIGNED).min(ALIGNED);
        buffer.resize(begin, 0);
        Ok(Self { file, past_cache, bytes: 0, buffer, begin })
    }

    /// Adds bytes at the end. They may be written later.
    pub(super) fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        loop {
            let room = self.begin + PIECE - self.buffer.len();
            let Some((now, rest)) = bytes.split_at_checked(room) else {
                self.buffer.extend_from_slice(bytes);
                return Ok(());
            };
            self.buffer.extend_from_slice(now);
            self.write_buffer()?;
            bytes = rest;
        }
    }

    /// Writes what is left, and has all of it reach the disk.
    pub(super) fn finish(&mut self) -> io::Result<()> {
        // Its length is any.
        self.go_by_cache()?;
        self.write_buffer()?;
        self.file.sync_all()
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        let piece = &self.buffer[self.begin..];
        match self.file.write_all_at(piece, self.bytes) {
            // Some file systems only say so now.
            Err(error) if self.past_cache && error.kind() == io::ErrorKind::InvalidInput => {
                self.go_by_cache()?;
                return self.write_buffer();
            }
            written => written?,
        }
        self.bytes += piece.len() as u64;
        self.buffer.truncate(self.begin);
        Ok(())
    }
}

#[cfg(target_os = "linux")]
fn options_past_cache() -> Option<OpenOptions> {
    use rustix::fs::OFlags;
    use std::os::unix::fs::OpenOptionsExt as _;

    let flags = i32::try_from(OFlags::DIRECT.bits()).ok()?;
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).custom_flags(flags);
    Some(options)
}

#[cfg(target_os = "linux")]
impl WrittenOnce {
    fn go_by_cache(&mut self) -> io::Result<()> {
        use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

        if std::mem::take(&mut self.past_cache) {
            let flags = fcntl_getfl(&self.file)?;
            fcntl_setfl(&self.file, flags - OFlags::DIRECT)?;
        }
        Ok(())
    }
}

#[cfg(not(target_os = "linux"))]
const fn options_past_cache() -> Option<OpenOptions> {
    None
}

#[cfg(not(target_os = "linux"))]
impl WrittenOnce {
    fn go_by_cache(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a file holds into which these pieces were written.
    fn written(
        pieces: &[Vec<u8>],
        next_read: NextRead,
        prepare: impl Fn(&mut WrittenOnce),
    ) -> Vec<u8> {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        std::fs::write(&path, "what was there before").unwrap();
        let mut file = WrittenOnce::create(&path, next_read).unwrap();
        prepare(&mut file);
        for piece in pieces {
            file.write(piece).unwrap();
        }
        file.finish().unwrap();
        std::fs::read(&path).unwrap()
    }

    proptest! {
        /// Whatever the pieces are cut like, past the cache and by it.
        #[test]
        fn a_file_holds_what_was_written(
            lengths in prop::collection::vec(0..3 * PIECE, 0..5),
        ) {
            let pieces: Vec<Vec<u8>> = (1..).zip(lengths).map(|(fill, len)| vec![fill; len]).collect();
            for next_read in [NextRead::Soon, NextRead::Later] {
                prop_assert_eq!(written(&pieces, next_read, |_| ()), pieces.concat());
            }
        }
    }

    /// A file system that refuses what is not aligned as it wants it: this one, once the piece begins
    /// where it must not.
    #[test]
    fn a_piece_that_cannot_go_past_the_cache_goes_by_it() {
        let pieces = [vec![1; 3 * PIECE], vec![2; PIECE / 2]];
        let misplace = |file: &mut WrittenOnce| {
            file.begin += 1;
            file.buffer.push(0);
        };
        assert_eq!(written(&pieces, NextRead::Later, misplace), pieces.concat());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_read_soon_goes_by_the_cache_and_all_else_past_it_where_it_can() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("file");
        let goes_past = |next_read| {
            let file = WrittenOnce::create(&path, next_read).unwrap();
            let flags = rustix::fs::fcntl_getfl(&file.file).unwrap();
            flags.contains(rustix::fs::OFlags::DIRECT)
        };
        let it_can = options_past_cache().unwrap().open(&path).is_ok();
        assert!(!goes_past(NextRead::Soon));
        assert_eq!(goes_past(NextRead::Later), it_can);
    }
}
