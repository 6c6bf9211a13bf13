//! Restoring ledgers from a backup into a data directory, which no server uses: each is copied and
//! compared with what is known of it, verified by whoever calls, and only then comes to lie where a
//! server looks.

use crate::anchor::Anchor;
use crate::known;
use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::Note;
use bergulir_domain::LedgerId;
use bergulir_store::backup::{BackupError, KeptLedger, copy_log};
use bergulir_store::file_log::Disk;
use bergulir_store::layout::{CHECKPOINT_FILE, LEDGERS_FOLDER, LOG_FOLDER, RESTORING_FOLDER};
use bergulir_store::{DataLock, LockError, create_folder_durably, replace_file_durably};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use thiserror::Error;

/// What may lie in a data directory into which a ledger is restored.
const EXPECTED: [&str; 5] = ["LOCK", "keys", LEDGERS_FOLDER, RESTORING_FOLDER, "continuing"];

/// Why nothing was restored.
#[derive(Debug, Error)]
pub enum RestoreError {
    /// The directory is in use or cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The backup cannot be used.
    #[error(transparent)]
    Backup(#[from] BackupError),
    /// The directory holds something else.
    #[error(
        "{} is no data directory: there is {name} in it. Give a path where nothing is, or a data \
         directory without these ledgers", path.display()
    )]
    InTheWay {
        /// The directory.
        path: PathBuf,
        /// What lies there.
        name: String,
    },
    /// The ledger is there already.
    #[error(
        "the ledger {ledger} is in {} already, and is not written over: give another directory, or \
         move {} away first", data.display(), folder.display()
    )]
    LedgerThere {
        /// The ledger.
        ledger: String,
        /// The directory.
        data: PathBuf,
        /// The ledger's folder.
        folder: PathBuf,
    },
    /// What is known of a ledger elsewhere cannot be read.
    #[error("{}: {why}: nobody knows whether the backup is the newest", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// A known checkpoint is none.
    #[error("{name}: {source}")]
    NoCheckpoint {
        /// Where it is from.
        name: String,
        /// What is wrong.
        source: CheckpointError,
    },
    /// The operating system failed.
    #[error("could not {action} {}: {source}", path.display())]
    Io {
        /// What failed.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

/// A checkpoint of a ledger that is known outside of the backup.
#[derive(Debug, Clone)]
pub struct KnownNote {
    /// Where it is from, in words.
    pub name: String,
    /// The note.
    pub note: Note,
}

/// How a backup stands to a checkpoint that is known of its ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The records lead to it.
    Leads,
    /// It is of more records: these are missing.
    Behind,
    /// It is of other records.
    Forks,
}

/// A known checkpoint, and how the backup stands to it.
#[derive(Debug, Clone)]
pub struct Judged {
    /// The checkpoint.
    pub known: KnownNote,
    /// What it states.
    pub stated: TreeHead,
    /// How the backup stands to it.
    pub standing: Standing,
}

/// The checkpoints that anchors keep of a log.
///
/// # Errors
/// If an anchor is not there, or what it keeps cannot be read.
pub fn anchored(anchors: &[PathBuf], origin: &str) -> Result<Vec<KnownNote>, RestoreError> {
    let mut found = Vec::new();
    for folder in anchors {
        let unreadable =
            |path: &Path, why: String| RestoreError::Unreadable { path: path.to_owned(), why };
        if !folder.is_dir() {
            return Err(unreadable(folder, "there is no such folder".to_owned()));
        }
        let anchor = Anchor::of(Arc::new(Disk), folder, origin);
        let note = known::read(&Disk, anchor.path())
            .map_err(|why| unreadable(anchor.path(), why.to_string()))?;
        let name = format!("anchor {}", folder.display());
        found.extend(note.map(|note| KnownNote { name, note }));
    }
    Ok(found)
}

/// Ledgers that are being restored into a data directory. What was not accepted is gone when this is
/// dropped.
#[derive(Debug)]
pub struct Restoring {
    data: PathBuf,
    ledgers: Vec<LedgerId>,
    _lock: DataLock,
}

impl Restoring {
    /// Takes the data directory, which is made if it is missing.
    ///
    /// # Errors
    /// If somebody uses it, it holds other things, or one of the ledgers is there.
    pub fn begin(data: &Path, ledgers: &[LedgerId]) -> Result<Restoring, RestoreError> {
        let io = |action, path: &Path, source| RestoreError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        if data.is_dir() {
            for found in fs::read_dir(data).map_err(|error| io("list", data, error))? {
                let name = found.map_err(|error| io("list", data, error))?.file_name();
                let name = name.to_string_lossy().into_owned();
                if !EXPECTED.contains(&name.as_str()) {
                    return Err(RestoreError::InTheWay { path: data.to_owned(), name });
                }
            }
        }
        let lock = DataLock::acquire(data)?;
        for ledger in ledgers {
            let folder = data.join(LEDGERS_FOLDER).join(ledger.as_str());
            if fs::symlink_metadata(&folder).is_ok() {
                let (ledger, data) = (ledger.to_string(), data.to_owned());
                return Err(RestoreError::LedgerThere { ledger, data, folder });
            }
        }
        let restoring = Restoring { data: data.to_owned(), ledgers: ledgers.to_vec(), _lock: lock };
        // What a restore that was cut short has left.
        restoring.clear().map_err(|error| io("remove", &restoring.staged(), error))?;
        Ok(restoring)
    }

    fn staged(&self) -> PathBuf {
        self.data.join(RESTORING_FOLDER)
    }

    /// Where a ledger lies until it is accepted.
    pub fn folder_of(&self, ledger: LedgerId) -> PathBuf {
        self.staged().join(ledger.as_str())
    }

    /// Copies a ledger, checks its frames and its chain, and says how it stands to what is known of
    /// it. `told` hears how many bytes were copied.
    ///
    /// # Errors
    /// If the backup is damaged, a known checkpoint is none, or a disk fails.
    pub fn copy(
        &self,
        kept: &KeptLedger,
        ledger: LedgerId,
        known: Vec<KnownNote>,
        told: &mut dyn FnMut(u64),
    ) -> Result<Vec<Judged>, RestoreError> {
        let mut stated = Vec::new();
        for known in known {
            let read = Checkpoint::parse_unverified(known.note.text());
            let read = read.map_err(|source| RestoreError::NoCheckpoint {
                name: known.name.clone(),
                source,
            })?;
            stated.push((known, read.head()));
        }
        let folder = self.folder_of(ledger);
        let log = folder.join(LOG_FOLDER);
        let sizes: Vec<LogSize> = stated.iter().map(|(_, head)| LogSize::new(head.size)).collect();
        let copy = copy_log(&kept.log(), &log, &kept.manifest, &sizes, told)?;
        kept.manifest.write_small_files(&folder)?;
        let judge = |(known, stated): (KnownNote, TreeHead)| {
            let standing = match copy.root(LogSize::new(stated.size)) {
                Some(root) if root == stated.root => Standing::Leads,
                Some(_) => Standing::Forks,
                None => Standing::Behind,
            };
            Judged { known, stated, standing }
        };
        Ok(stated.into_iter().map(judge).collect())
    }

    /// Puts a checkpoint that the records do not lead to in the place of the ledger's own: so no server
    /// writes to it, and `bergulir ledger continue` knows what is lost.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn retire(&self, ledger: LedgerId, newest: &Note) -> Result<(), RestoreError> {
        let path = self.folder_of(ledger).join(CHECKPOINT_FILE);
        replace_file_durably(&path, newest.to_string().as_bytes())
            .map_err(|source| RestoreError::Io { action: "write", path, source })
    }

    /// Puts the ledgers where a server looks.
    ///
    /// # Errors
    /// If the disk fails. Some may be there then.
    pub fn accept(self) -> Result<(), RestoreError> {
        let io = |action, path: &Path, source| RestoreError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        let (staged, ledgers) = (self.staged(), self.data.join(LEDGERS_FOLDER));
        let sync = |folder: &Path| {
            let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
            synced.map_err(|error| io("make durable", folder, error))
        };
        for ledger in &self.ledgers {
            sync(&self.folder_of(*ledger))?;
        }
        sync(&staged)?;
        // All at once, if there is none yet.
        if fs::remove_dir(&ledgers).is_ok() || !ledgers.exists() {
            fs::rename(&staged, &ledgers).map_err(|error| io("rename", &staged, error))?;
            return sync(&self.data);
        }
        create_folder_durably(&ledgers).map_err(|error| io("make the folder", &ledgers, error))?;
        for ledger in &self.ledgers {
            let (from, to) = (self.folder_of(*ledger), ledgers.join(ledger.as_str()));
            fs::rename(&from, &to).map_err(|error| io("rename", &from, error))?;
        }
        sync(&ledgers)
    }

    fn clear(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.staged()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        }
    }
}

impl Drop for Restoring {
    fn drop(&mut self) {
        // What cannot be removed lies where no server looks, and the next restore begins with it.
        let _ = self.clear();
    }
}
