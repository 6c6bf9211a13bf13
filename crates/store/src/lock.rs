//! One process a data directory.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

/// The name of the lock file in a data directory.
const LOCK_FILE: &str = "LOCK";

/// The sole right to a data directory, until dropped or the process ends.
#[derive(Debug)]
pub struct DataLock {
    _file: File,
}

/// Why a data directory could not be locked.
#[derive(Debug, Error)]
pub enum LockError {
    /// Another process has it.
    #[error("{} is in use by another process: stop it, or choose another directory", path.display())]
    InUse {
        /// The data directory.
        path: PathBuf,
    },
    /// The lock file cannot be made or locked.
    #[error("could not lock {}", path.display())]
    Io {
        /// The data directory.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DataLock {
    /// Locks a data directory, which is created if it is missing.
    ///
    /// # Errors
    /// If another process has locked it, or the disk fails.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        let io_error = |source| LockError::Io { path: directory.to_owned(), source };
        fs::create_dir_all(directory).map_err(io_error)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(directory.join(LOCK_FILE))
            .map_err(io_error)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(LockError::InUse { path: directory.to_owned() }),
            Err(TryLockError::Error(source)) => Err(io_error(source)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_one_owner_at_a_time() {
        let above = tempfile::tempdir().unwrap();
        let directory = above.path().join("new");
        let lock = DataLock::acquire(&directory).unwrap();
        assert!(matches!(DataLock::acquire(&directory), Err(LockError::InUse { .. })));
        drop(lock);
        DataLock::acquire(&directory).unwrap();
    }
}
