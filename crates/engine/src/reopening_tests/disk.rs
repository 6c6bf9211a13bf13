//! A disk that fails for a while.

use crate::reopening::ROOM_FILE;
use bergulir_store::file_log::{Disk, Medium, MediumFile};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

pub(super) const ENOSPC: i32 = 28;
pub(super) const EIO: i32 = 5;

/// What a disk refuses, with an error of the system; 0: nothing.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) writes: AtomicU32,
    pub(super) syncs: AtomicU32,
    pub(super) reads: AtomicU32,
    /// How often it was tried out whether there is room.
    pub(super) probes: AtomicU64,
}

impl Faults {
    fn check(fault: &AtomicU32) -> io::Result<()> {
        match fault.load(Ordering::SeqCst) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(i32::try_from(code).unwrap())),
        }
    }

    pub(super) fn set(fault: &AtomicU32, code: i32) {
        fault.store(u32::try_from(code).unwrap(), Ordering::SeqCst);
    }

    pub(super) fn heal(&self) {
        for fault in [&self.writes, &self.syncs, &self.reads] {
            Self::set(fault, 0);
        }
    }
}

/// A disk that fails as it is told to.
#[derive(Debug)]
pub(super) struct Flaky(pub(super) Arc<Faults>);

#[derive(Debug)]
struct FlakyFile(Arc<Faults>, Box<dyn MediumFile>);

impl Flaky {
    fn file(&self, file: Box<dyn MediumFile>) -> Box<dyn MediumFile> {
        Box::new(FlakyFile(Arc::clone(&self.0), file))
    }
}

impl Medium for Flaky {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.create_folder(folder)
    }
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Faults::check(&self.0.reads)?;
        Disk.names(folder)
    }
    fn create(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        if file.ends_with(ROOM_FILE) {
            self.0.probes.fetch_add(1, Ordering::SeqCst);
        }
        Faults::check(&self.0.writes)?;
        Ok(self.file(Disk.create(file)?))
    }
    fn create_new(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        Faults::check(&self.0.writes)?;
        Ok(self.file(Disk.create_new(file)?))
    }
    fn open(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        Ok(self.file(Disk.open(file)?))
    }
    fn read(&self, file: &Path, most: u64) -> io::Result<Vec<u8>> {
        Faults::check(&self.0.reads)?;
        Disk.read(file, most)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        Disk.remove(file)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Faults::check(&self.0.syncs)?;
        Disk.sync_folder(folder)
    }
}

impl MediumFile for FlakyFile {
    fn length(&self) -> io::Result<u64> {
        self.1.length()
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        Faults::check(&self.0.reads)?;
        self.1.read_exact_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if let Err(full) = Faults::check(&self.0.writes) {
            // A full disk takes a part first.
            let part = self.1.write_at(&bytes[..bytes.len() / 2], offset)?;
            return if part > 0 { Ok(part) } else { Err(full) };
        }
        self.1.write_at(bytes, offset)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.1.truncate(length)
    }
    fn sync(&self) -> io::Result<()> {
        Faults::check(&self.0.syncs)?;
        self.1.sync()
    }
}
