//! The folder of a backup: a mark, and a folder for each ledger.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::BackupError;
use super::manifest::Manifest;
use super::run::Run;
use crate::folder::create_folder_durably;
use crate::layout::{LEDGERS_FOLDER, LOG_FOLDER};
use crate::lock::{DataLock, LOCK_FILE};
use crate::small_file::{read_own_file, replace_file_durably, unfinished};

/// The file that marks a folder as a backup.
pub const BACKUP_FILE: &str = "bergulir-backup";

/// What it begins with.
pub(super) const MARK: &str = "bergulir-backup 1";

/// The rest of it, for who finds the folder one day.
const FOR_PEOPLE: &str = "
This folder is a backup of ledgers. Nothing may write to it but `bergulir backup`.

  bergulir backup THIS-FOLDER --verify     says how old it is, and whether it is sound
  bergulir restore THIS-FOLDER --data DIR  makes a data directory of it

The private keys of the ledgers are not in here, and are needed to go on signing.
";

/// A backup.
#[derive(Debug)]
pub struct BackupFolder {
    path: PathBuf,
    _lock: Option<DataLock>,
}

/// A ledger in a backup, as far as it is whole.
#[derive(Clone, Debug)]
pub struct KeptLedger {
    /// Its folder in the backup.
    pub folder: PathBuf,
    /// What is whole.
    pub manifest: Manifest,
}

impl BackupFolder {
    /// Opens a backup to write to, or begins one where nothing is. Nobody else can meanwhile.
    ///
    /// # Errors
    /// If there is something else, somebody else writes to it, or the disk fails.
    pub fn write_to(path: &Path) -> Result<BackupFolder, BackupError> {
        let mark = path.join(BACKUP_FILE);
        if !mark.exists() && holds_something(path)? {
            return Err(BackupError::InTheWay { path: path.to_owned() });
        }
        let lock = DataLock::acquire(path)?;
        if mark.exists() {
            check_mark(&mark)?;
        } else {
            replace_file_durably(&mark, format!("{MARK}\n{FOR_PEOPLE}").as_bytes())
                .map_err(|error| BackupError::io("write", &mark, error))?;
        }
        let ledgers = path.join(LEDGERS_FOLDER);
        create_folder_durably(&ledgers)
            .map_err(|error| BackupError::io("make the folder", &ledgers, error))?;
        Ok(BackupFolder { path: path.to_owned(), _lock: Some(lock) })
    }

    /// Opens a backup to read.
    ///
    /// # Errors
    /// If there is none.
    pub fn read(path: &Path) -> Result<BackupFolder, BackupError> {
        let mark = path.join(BACKUP_FILE);
        if !mark.exists() {
            return Err(BackupError::NoBackup { path: path.to_owned() });
        }
        check_mark(&mark)?;
        Ok(BackupFolder { path: path.to_owned(), _lock: None })
    }

    /// The names of the ledgers in it, in order; whole or not.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn ledgers(&self) -> Result<Vec<String>, BackupError> {
        let folder = self.path.join(LEDGERS_FOLDER);
        let failed = |error| BackupError::io("list", &folder, error);
        let mut names = Vec::new();
        for found in fs::read_dir(&folder).map_err(failed)? {
            let name = found.map_err(failed)?.file_name();
            names.push(name.to_string_lossy().into_owned());
        }
        names.sort();
        Ok(names)
    }

    /// The folder of a ledger.
    pub fn folder_of(&self, ledger: &str) -> PathBuf {
        self.path.join(LEDGERS_FOLDER).join(ledger)
    }

    /// What is whole of a ledger.
    ///
    /// # Errors
    /// If there is no such ledger, nothing of it is whole, or its manifest is damaged.
    pub fn ledger(&self, ledger: &str) -> Result<KeptLedger, BackupError> {
        let folder = self.folder_of(ledger);
        if !folder.is_dir() {
            let (path, ledger) = (self.path.clone(), Some(ledger.to_owned()));
            return Err(BackupError::NoLedger { path, ledger });
        }
        match Manifest::read(&folder)? {
            Some(manifest) => Ok(KeptLedger { folder, manifest }),
            None => Err(BackupError::Unfinished { path: folder }),
        }
    }

    /// Begins a run over a ledger.
    ///
    /// # Errors
    /// If what is there of it is damaged, or the disk fails.
    pub fn begin(&self, ledger: &str) -> Result<Run, BackupError> {
        Run::begin(&self.folder_of(ledger), ledger)
    }
}

impl KeptLedger {
    /// The folder of its log.
    pub fn log(&self) -> PathBuf {
        self.folder.join(LOG_FOLDER)
    }

    /// Checks that the small files beside the log are those of the manifest.
    ///
    /// # Errors
    /// If one is missing, is another one, or cannot be read.
    pub fn check_small_files(&self) -> Result<(), BackupError> {
        for (name, bytes) in self.manifest.small_files() {
            let path = self.folder.join(name);
            match read_own_file(&path) {
                Ok(found) if found == bytes => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(BackupError::io("read", &path, error));
                }
                Ok(_) | Err(_) => return Err(BackupError::SmallFile { path }),
            }
        }
        Ok(())
    }

    /// Whether more lies there than is whole: a run was cut short after that.
    ///
    /// # Errors
    /// If the folder cannot be read, or a file is shorter than it has to be.
    pub fn has_rest(&self) -> Result<bool, BackupError> {
        super::copy::has_rest(&self.log(), &self.manifest)
    }

    /// Checks that what the manifest says is whole is so, also if more lies behind it.
    ///
    /// # Errors
    /// If it is damaged, or another log's, or cannot be read; the segment is named.
    pub fn check_log(&self) -> Result<(), BackupError> {
        super::copy::check_log(&self.log(), &self.manifest)
    }
}

/// Whether a folder is there and holds anything but a lock and a mark that was being written: what a
/// first run leaves that was cut short at its very beginning.
fn holds_something(path: &Path) -> Result<bool, BackupError> {
    let failed = |error| BackupError::io("list", path, error);
    let unfinished = unfinished(&path.join(BACKUP_FILE));
    match fs::read_dir(path) {
        Ok(found) => {
            for one in found {
                let name = one.map_err(failed)?.file_name();
                if name != LOCK_FILE && Some(&*name) != unfinished.file_name() {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(failed(error)),
    }
}

fn check_mark(mark: &Path) -> Result<(), BackupError> {
    let text = read_own_file(mark).map_err(|error| BackupError::io("read", mark, error))?;
    if text.split(|byte| *byte == b'\n').next() == Some(MARK.as_bytes()) {
        Ok(())
    } else {
        Err(BackupError::OtherVersion { path: mark.to_owned() })
    }
}
