//! Why a ledger is not continued.

use crate::anchor::AnchorError;
use crate::keyring::KeyError;
use crate::open::OpenError;
use crate::projector::describe;
use crate::tree::TreeError;
use bergulir_chain::LogSize;
use bergulir_domain::ledger::{Origin, OriginError};
use bergulir_domain::{LedgerId, Rejection};
use bergulir_store::index::IndexError;
use bergulir_store::layout::{CONTINUED_FILE, LEDGERS_FOLDER};
use bergulir_store::{AppendError, GroupError, LockError};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a ledger is not continued. Nothing of it was changed.
#[derive(Debug, Error)]
pub enum ContinuationError {
    /// Another process uses the data directory.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A private key cannot be used.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// An anchor cannot be used.
    #[error(transparent)]
    Anchor(#[from] AnchorError),
    /// There is no such ledger.
    #[error("there is no ledger {ledger} in the data directory")]
    NoLedger {
        /// Its name.
        ledger: LedgerId,
    },
    /// Something has the new name already.
    #[error("there is a ledger {ledger} already: choose another name to go on under")]
    NameTaken {
        /// The name.
        ledger: LedgerId,
    },
    /// The ledger was continued already.
    #[error(
        "{ledger} goes on as {successor}, under the origin {}: a ledger is continued once",
        origin.as_str()
    )]
    ContinuedBefore {
        /// The old ledger.
        ledger: LedgerId,
        /// As what it goes on.
        successor: LedgerId,
        /// The origin of that.
        origin: Origin,
    },
    /// The mark of the ledger cannot be read.
    #[error("the file {CONTINUED_FILE} of {ledger} cannot be read ({why}): restore it")]
    Mark {
        /// The ledger.
        ledger: LedgerId,
        /// Why.
        why: String,
    },
    /// The ledger was continued, and what it goes on as is not there.
    #[error(
        "{ledger} goes on as {successor}, and that is not here as it was left: restore \
         {LEDGERS_FOLDER}/{successor}"
    )]
    SuccessorGone {
        /// The old ledger.
        ledger: LedgerId,
        /// As what it goes on.
        successor: LedgerId,
    },
    /// Another ledger of the data directory has the same records.
    #[error(
        "{other} has the same records as {ledger}: one of them is a copy or the continuation of the \
         other, and two histories would be signed"
    )]
    SameRecords {
        /// The old ledger.
        ledger: LedgerId,
        /// The other one.
        other: LedgerId,
    },
    /// The log is another ledger's.
    #[error("the folder of ledger {ledger} holds the log of ledger {found}: move it back")]
    OtherLedger {
        /// The name of the folder.
        ledger: LedgerId,
        /// The name in the log.
        found: LedgerId,
    },
    /// Not a single record is whole.
    #[error("not one record of {ledger} is whole: there is nothing to go on from")]
    NothingSurvives {
        /// The ledger.
        ledger: LedgerId,
    },
    /// Nothing shows that anything was lost.
    #[error(
        "nothing shows that {ledger} lost anything: its log of {records} records is whole and leads \
         to every checkpoint that is known of it. Give what shows a loss (--anchor, --checkpoint), \
         or say --without-evidence"
    )]
    NoEvidence {
        /// The ledger.
        ledger: LedgerId,
        /// How many records it has.
        records: LogSize,
    },
    /// A checkpoint that was given is not the old ledger's.
    #[error("{name} is not a checkpoint of this ledger: {why}")]
    ForeignCheckpoint {
        /// Its name.
        name: String,
        /// Why.
        why: String,
    },
    /// The new origin is none.
    #[error("the new name does not make an origin: {0}; say which (--origin)")]
    Origin(#[from] OriginError),
    /// A rule refuses it.
    #[error(transparent)]
    Refused(#[from] Rejection),
    /// The old log cannot be read, or the new one not be written.
    #[error(transparent)]
    Log(#[from] bergulir_store::OpenError),
    /// A record is whole, and not what the ledger would have written: it was forged, or newer
    /// software wrote it.
    #[error("{0}")]
    Replay(OpenError),
    /// The records cannot be copied.
    #[error("the records cannot be copied: {}", describe(.0))]
    Append(#[from] AppendError),
    /// A record cannot be copied.
    #[error("a record cannot be copied: {0}")]
    Record(#[from] GroupError),
    /// The index by which records are looked up fails.
    #[error("the records cannot be looked up: {}", describe(.0))]
    Index(#[from] IndexError),
    /// A file or folder cannot be used.
    #[error("could not use {}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl From<TreeError> for ContinuationError {
    fn from(error: TreeError) -> ContinuationError {
        match error {
            TreeError::Log(error) => ContinuationError::Replay(error.into()),
            TreeError::Index(error) => ContinuationError::Index(error),
        }
    }
}

impl ContinuationError {
    pub(super) fn io(path: &Path, source: io::Error) -> ContinuationError {
        ContinuationError::Io { path: path.to_owned(), source }
    }

    /// Whether what was asked for is at fault, and not the machine or its files.
    pub fn is_refusal(&self) -> bool {
        use ContinuationError as E;
        match self {
            E::NoLedger { .. }
            | E::NameTaken { .. }
            | E::ContinuedBefore { .. }
            | E::SuccessorGone { .. }
            | E::SameRecords { .. }
            | E::OtherLedger { .. }
            | E::NothingSurvives { .. }
            | E::NoEvidence { .. }
            | E::ForeignCheckpoint { .. }
            | E::Origin(_)
            | E::Refused(_) => true,
            E::Lock(_)
            | E::Key(_)
            | E::Anchor(_)
            | E::Mark { .. }
            | E::Log(_)
            | E::Replay(_)
            | E::Append(_)
            | E::Record(_)
            | E::Index(_)
            | E::Io { .. } => false,
        }
    }
}
