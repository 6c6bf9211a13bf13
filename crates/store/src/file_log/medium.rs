//! The file operations that a log rests on, in one narrow place.
//!
//! So a test can put a disk underneath that fails, or that loses what was not synced.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::folder;

/// Where folders and files are.
pub trait Medium: Debug + Send + Sync {
    /// Creates a folder, and the folders above it that are missing, durably.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// The names of the files in a folder.
    ///
    /// # Errors
    /// What the operating system says.
    fn names(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Creates an empty file, or empties it.
    ///
    /// # Errors
    /// What the operating system says.
    fn create(&self, file: &Path) -> io::Result<Box<dyn MediumFile>>;

    /// Creates an empty file where there is nothing, not even a link.
    ///
    /// # Errors
    /// What the operating system says.
    fn create_new(&self, file: &Path) -> io::Result<Box<dyn MediumFile>>;

    /// Opens a file to read and write.
    ///
    /// # Errors
    /// What the operating system says.
    fn open(&self, file: &Path) -> io::Result<Box<dyn MediumFile>>;

    /// The bytes of a small file, no more than `most` of them.
    ///
    /// # Errors
    /// What the operating system says.
    fn read(&self, file: &Path, most: u64) -> io::Result<Vec<u8>>;

    /// Gives a file another name in its folder; replaces the file that had it.
    ///
    /// # Errors
    /// What the operating system says.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// What the operating system says.
    fn remove(&self, file: &Path) -> io::Result<()>;

    /// Makes the names in a folder durable.
    ///
    /// # Errors
    /// What the operating system says. Never try again: the next answer may be wrong.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// An open file.
pub trait MediumFile: Debug + Send + Sync {
    /// Its length in bytes.
    ///
    /// # Errors
    /// What the operating system says.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from the file at `offset`.
    ///
    /// # Errors
    /// What the operating system says; `UnexpectedEof` if the file ends before.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Writes once at `offset` and says how many bytes were taken.
    ///
    /// # Errors
    /// What the operating system says.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;

    /// Cuts the file to a length, durably.
    ///
    /// # Errors
    /// What the operating system says.
    fn truncate(&self, length: u64) -> io::Result<()>;

    /// Makes the bytes durable, and as much about the file as is needed to read them.
    ///
    /// # Errors
    /// What the operating system says. Never try again: the next answer may be wrong.
    fn sync(&self) -> io::Result<()>;
}

/// Writes all of `bytes`; a short write is an error.
pub(crate) fn write_whole(file: &dyn MediumFile, bytes: &[u8], offset: u64) -> io::Result<()> {
    let written = file.write_at(bytes, offset)?;
    if written == bytes.len() {
        Ok(())
    } else {
        let message = format!("only {written} of {} bytes were written", bytes.len());
        Err(io::Error::new(io::ErrorKind::WriteZero, message))
    }
}

/// The file system of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Medium for Disk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        folder::create_folder_durably(folder)
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        fs::read_dir(folder)?.map(|file| Ok(file?.file_name().to_string_lossy().into())).collect()
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(file)?;
        Ok(Box::new(file))
    }

    fn create_new(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).create_new(true).open(file)?))
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(file)?))
    }

    fn read(&self, file: &Path, most: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        File::open(file)?.take(most).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        fs::remove_file(file)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        folder::sync_folder(folder)
    }
}

impl MediumFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        FileExt::read_exact_at(self, bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)?;
        // Not `sync_data`: that the file is shorter must not be lost either.
        self.sync_all()
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
