//! One process a data directory.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::folder::{create_folder, sync_folder};

/// The name of the lock file in a data directory.
pub(crate) const LOCK_FILE: &str = "LOCK";

/// The sole right to a data directory, until dropped or the process ends.
#[derive(Debug)]
pub struct DataLock {
    /// The directory itself: the lock file may be taken away, by somebody who thinks that it was left
    /// behind, and the directory may have other names.
    _directory: File,
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
    #[error(
        "could not lock with {}: see to the disk, to the rights of the folder, and that nothing else has \
         that name", path.display()
    )]
    Io {
        /// The lock file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl DataLock {
    /// Locks a data directory, which is created if it is missing. Its name, where it was created,
    /// and the names in it are durable on return.
    ///
    /// # Errors
    /// If another process has locked it, or the disk fails.
    pub fn acquire(directory: &Path) -> Result<Self, LockError> {
        Self::acquire_with(directory, &sync_folder)
    }

    /// [`acquire`](Self::acquire), with something that makes the names in a folder durable.
    fn acquire_with(
        directory: &Path,
        sync: &dyn Fn(&Path) -> io::Result<()>,
    ) -> Result<Self, LockError> {
        let path = directory.join(LOCK_FILE);
        let io_error = |source| LockError::Io { path: path.clone(), source };
        create_folder(directory, sync).map_err(io_error)?;
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(io_error)?;
        let opened = File::open(directory).map_err(io_error)?;
        for lock in [&opened, &file] {
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => {
                    return Err(LockError::InUse { path: directory.to_owned() });
                }
                Err(TryLockError::Error(source)) => return Err(io_error(source)),
            }
        }
        // Not only for the lock file: a process that died may have left other names not synced.
        sync(directory).map_err(io_error)?;
        Ok(Self { _directory: opened, _file: file })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

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

    #[test]
    fn a_directory_is_locked_by_whatever_name_and_without_its_lock_file_too() {
        let folder = tempfile::tempdir().unwrap();
        let (data, other) = (folder.path().join("data"), folder.path().join("other"));
        let lock = DataLock::acquire(&data).unwrap();
        std::os::unix::fs::symlink("data", &other).unwrap();
        let names = [data.clone(), other, data.join("."), data.join("../data")];
        let in_use =
            |path: &PathBuf| matches!(DataLock::acquire(path), Err(LockError::InUse { .. }));
        assert!(names.iter().all(in_use));
        std::fs::remove_file(data.join(LOCK_FILE)).unwrap();
        assert!(names.iter().all(in_use));
        let moved = folder.path().join("moved");
        std::fs::rename(&data, &moved).unwrap();
        assert!(in_use(&moved));
        drop(lock);
        DataLock::acquire(&moved).unwrap();
    }

    #[test]
    fn a_locked_directory_and_the_names_in_it_are_durable() {
        let above = tempfile::tempdir().unwrap();
        let [new, directory] = ["new", "new/data"].map(|path| above.path().join(path));
        let synced = RefCell::new(Vec::new());
        let sync = |folder: &Path| {
            synced.borrow_mut().push((folder.to_owned(), directory.join(LOCK_FILE).exists()));
            sync_folder(folder)
        };
        drop(DataLock::acquire_with(&directory, &sync).unwrap());
        let above = above.path().to_owned();
        let of_data = (directory.clone(), true);
        assert_eq!(synced.take(), [(above, false), (new, false), of_data.clone()]);
        drop(DataLock::acquire_with(&directory, &sync).unwrap());
        assert_eq!(synced.take(), [of_data]);

        let failing = |_: &Path| Err(io::Error::other("the disk failed"));
        let unsynced = DataLock::acquire_with(&directory, &failing);
        assert!(matches!(unsynced, Err(LockError::Io { .. })));
        DataLock::acquire(&directory).unwrap();
    }
}
