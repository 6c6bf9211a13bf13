//! What a record that continues a ledger under another origin says of the origin until then.

use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::note::{KeyName, Note, NoteError, VerifierKey};
use bergulir_domain::command::ContinueLedger;
use thiserror::Error;

/// Why the checkpoint that a continuation names is not one of the origin until then.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ContinuationError {
    /// It is no signed note.
    #[error("the checkpoint cannot be read: {0}")]
    Note(#[from] NoteError),
    /// It is no checkpoint of that origin, or the key in force did not sign it.
    #[error("the checkpoint is not one of the origin until then: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// Nothing could have signed it.
    #[error("none of the records that the checkpoint covers names a key that could have signed it")]
    NoKey,
    /// It speaks of two histories, and the log is too short to tell.
    #[error(
        "it says that the records are not those of its checkpoint, which covers {size}: there are \
         {records}, too few to tell"
    )]
    ForkedBeyond {
        /// How many records the checkpoint covers.
        size: LogSize,
        /// How many there are.
        records: LogSize,
    },
}

/// The checkpoint that a continuation of so many records names, if it names one: of the origin until
/// then, and signed by the key in force. `keys` are those that the records name, each with the number
/// of records before it, in their order. Whether the records are those of the checkpoint is not
/// looked at.
///
/// # Errors
/// If it is not such a checkpoint.
pub fn last_known<'k>(
    continued: &ContinueLedger,
    keys: impl DoubleEndedIterator<Item = (u64, &'k str)>,
    records: LogSize,
) -> Result<Option<Checkpoint>, ContinuationError> {
    let Some(known) = &continued.last_known else { return Ok(None) };
    let note = Note::parse(known.checkpoint.as_str().as_bytes())?;
    let checkpoint = checkpoint_of(&note, continued.from_origin.as_str(), keys, records)?;
    if known.forked && checkpoint.size > records {
        let size = checkpoint.size;
        return Err(ContinuationError::ForkedBeyond { size, records });
    }
    Ok(Some(checkpoint))
}

/// The checkpoint of a note, if it is of this origin and signed by the key in force: the last one that
/// the records it covers name or, if it covers more than these, the last one of all.
///
/// # Errors
/// If it is not.
pub fn checkpoint_of<'k>(
    note: &Note,
    origin: &str,
    keys: impl DoubleEndedIterator<Item = (u64, &'k str)>,
    records: LogSize,
) -> Result<Checkpoint, ContinuationError> {
    let size = Checkpoint::parse_unverified(note.text())?.size;
    let covered = size.min(records).get();
    let mut keys = keys.rev();
    let in_force = keys.find(|(before, _)| *before < covered);
    let key: Option<VerifierKey> = in_force.and_then(|(_, key)| key.parse().ok());
    let key = key.ok_or(ContinuationError::NoKey)?;
    let origin = KeyName::new(origin).map_err(|_| ContinuationError::NoKey)?;
    Ok(Checkpoint::open(note, &origin, [&key])?)
}
