//! Backups: the files of logs, copied frame by frame from a running server or a folder, and checked
//! on the way. `docs/format.md` describes the folder.
//!
//! Invariants:
//! - A manifest says how far each ledger of a backup is whole. It is written, whole or not at all,
//!   after what it says is durable; what lies behind that is the rest of a run that was cut short.
//! - What a manifest says is whole is never written over: a log that does not go on from there is
//!   refused.

mod check;
mod copy;
mod folder;
#[cfg(test)]
mod fuzz_tests;
mod manifest;
mod run;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::KeyName;
use bergulir_chain::{Hash, LogSize, Position};
use thiserror::Error;

pub use copy::{LogCopy, copy_log};
pub use folder::{BACKUP_FILE, BackupFolder, KeptLedger};
pub use manifest::{Manifest, SegmentFile};
pub use run::{Offer, Run};

use crate::lock::LockError;
use crate::log::ReadError;

/// Why something was not backed up, or a backup cannot be used.
#[derive(Debug, Error)]
pub enum BackupError {
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
    /// Another process writes to the backup, or it cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// The folder for a new backup is not empty.
    #[error(
        "{} holds other things and is no backup: give a path where nothing is, or an earlier backup",
        path.display()
    )]
    InTheWay {
        /// The folder.
        path: PathBuf,
    },
    /// There is no backup.
    #[error("{} is no backup: there is no file {BACKUP_FILE} in it", path.display())]
    NoBackup {
        /// The folder.
        path: PathBuf,
    },
    /// The marker of a backup is of another version.
    #[error(
        "{} does not say `{}`: it is damaged, or was made by newer software", path.display(),
        folder::MARK
    )]
    OtherVersion {
        /// The file.
        path: PathBuf,
    },
    /// The first run of a ledger was cut short.
    #[error(
        "{} holds no whole backup: the first run was cut short. Run `bergulir backup` again, which \
         goes on from there", path.display()
    )]
    Unfinished {
        /// The folder of the ledger.
        path: PathBuf,
    },
    /// The backup holds no such ledger, or none at all.
    #[error("{} holds no ledger{}", path.display(), ledger.as_ref().map_or_else(String::new, |ledger| format!(" {ledger}")))]
    NoLedger {
        /// The backup.
        path: PathBuf,
        /// The ledger that was asked for.
        ledger: Option<String>,
    },
    /// A manifest is damaged or of another ledger.
    #[error("{}: {why}", path.display())]
    Manifest {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A file of the backup is not what the manifest says.
    #[error("{}: {why}; the backup is damaged: begin a new one, and keep this", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// A small file beside a log is not the one that the manifest has.
    #[error(
        "{} is not what the manifest has of it: the last run was cut short at its very end, or the file \
         was changed. Run `bergulir backup` again, which writes it anew; what is restored comes from the \
         manifest", path.display()
    )]
    SmallFile {
        /// The file.
        path: PathBuf,
    },
    /// The files that are copied cannot be read, or are damaged.
    #[error(transparent)]
    Source(#[from] ReadError),
    /// What is copied is damaged.
    #[error(
        "what is copied is damaged at position {position} ({place}): {why}. Nothing of it is kept"
    )]
    Damaged {
        /// The first position that is damaged.
        position: Position,
        /// The file in which it belongs, and where.
        place: String,
        /// What is wrong.
        why: String,
        /// It is a whole frame, and does not follow the record before.
        is_whole: bool,
    },
    /// The log is shorter than its backup.
    #[error(
        "the backup has {kept} records and the log has {found}: records are gone from the log, as \
         after the restore of an old copy. The backup is left as it is: see what happened to the log, \
         and take another folder if it is right"
    )]
    Behind {
        /// How many records the backup has.
        kept: LogSize,
        /// How many the log has.
        found: LogSize,
    },
    /// The log has another history than its backup.
    #[error(
        "the log does not go on from the backup of {kept} records ({why}): it is another history. \
         The backup is left as it is: see what happened to the log, and take another folder if it is \
         right"
    )]
    OtherHistory {
        /// How many records the backup has.
        kept: LogSize,
        /// What shows it.
        why: String,
    },
    /// The log is another one's of the same name.
    #[error(
        "the backup is of the log {kept}, and this ledger has the log {found}: it is another one of \
         the same name. Take another folder for it"
    )]
    OtherLedger {
        /// The origin of the log in the backup.
        kept: KeyName,
        /// The origin of the other.
        found: KeyName,
    },
    /// The files of the log are cut otherwise than those of the backup.
    #[error(
        "the log goes on in other files than the backup ({} at byte {}, and not {} at byte {}), as \
         after a restore from elsewhere: take another folder",
        bergulir_chain::segment::file_name(*segment), offset,
        bergulir_chain::segment::file_name(*kept_segment), kept_offset
    )]
    OtherFiles {
        /// The segment that was given.
        segment: Position,
        /// Where in it the bytes were.
        offset: u64,
        /// The segment in which the backup ends.
        kept_segment: Position,
        /// Where it ends.
        kept_offset: u64,
    },
    /// Nothing vouches for the records.
    #[error(
        "there is no checkpoint of the ledger: nothing would show later whether the backup is whole. \
         The server makes one as soon as it has the ledger's key"
    )]
    NoCheckpoint,
    /// A checkpoint cannot be read.
    #[error("the checkpoint of the ledger cannot be used: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The records are not those of the checkpoint.
    #[error(
        "the root over {} records is {found}, and the checkpoint of the ledger says {}: they are not \
         the records that were signed. Verify the log: `bergulir audit verify`", stated.size,
        stated.root
    )]
    Disagree {
        /// What the checkpoint says.
        stated: TreeHead,
        /// What the records give.
        found: Hash,
    },
    /// The records end before those that were to come.
    #[error("the records ended at {found}, and {expected} were to come: run it again")]
    CutShort {
        /// How many were to come.
        expected: LogSize,
        /// How many came.
        found: LogSize,
    },
}

impl BackupError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> BackupError {
        BackupError::Io { action, path: path.to_owned(), source }
    }

    /// Whether what the source has does not go on from what the backup has.
    pub fn is_of_another_history(&self) -> bool {
        matches!(
            self,
            BackupError::Behind { .. }
                | BackupError::OtherHistory { .. }
                | BackupError::OtherFiles { .. }
                | BackupError::Disagree { .. }
        )
    }

    /// Whether something is wrong with what was given, and not with a disk or a connection.
    pub fn is_refusal(&self) -> bool {
        !matches!(
            self,
            BackupError::Io { .. }
                | BackupError::Lock(_)
                | BackupError::Source(ReadError::Io { .. })
                | BackupError::NoCheckpoint
                | BackupError::Unfinished { .. }
                | BackupError::SmallFile { .. }
                | BackupError::CutShort { .. }
        )
    }
}
