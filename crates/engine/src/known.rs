//! Known checkpoints: what is known of a log beside the log itself, so that an older copy of it, or
//! another history, is not gone on from. Known are the newest checkpoints in the ledger's folder
//! and in the anchors; what a witness knows, it is asked for.

use crate::anchor::Anchor;
use crate::checkpoints::{LogKey, SignedCheckpoint};
use crate::tree::{Tree, TreeError};
use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::{KeyName, MAX_NOTE_BYTES, Note};
use bergulir_store::layout::{CHECKPOINT_FILE, LEDGERS_FOLDER, WITNESSED_FILE};
use std::io::Read as _;
use std::path::Path;

/// What the reason of a ledger begins with that takes no writes since its log is not what a known
/// checkpoint says.
pub const ROLLED_BACK: &str = "ROLLED_BACK";

/// The checkpoints that were found at start.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The newest one, wherever it was found.
    pub(crate) newest: Option<SignedCheckpoint>,
    /// The newest one in the ledger's folder that a quorum cosigned.
    pub(crate) witnessed: Option<SignedCheckpoint>,
    /// Why the ledger must not be written to; `None` if its log leads to all of them.
    pub(crate) trouble: Option<String>,
}

/// A log that is opened, as far as checkpoints are compared with it.
pub(crate) struct Log<'a> {
    pub(crate) origin: &'a KeyName,
    pub(crate) keys: &'a [LogKey],
    /// Its tree, as replayed.
    pub(crate) head: TreeHead,
    /// The same, as it is proved from.
    pub(crate) tree: Tree<'a>,
}

/// Reads the known checkpoints and compares each with the log.
///
/// # Errors
/// If the tiles of the index are damaged, so that nothing can be said before it is made anew; or if
/// the log is.
pub(crate) fn check(folder: &Path, anchors: &[Anchor], log: &Log<'_>) -> Result<Known, TreeError> {
    let mut known = Known::default();
    // Callers are told these names, and no folders of the server.
    let ledger = folder.file_name().unwrap_or_default().to_string_lossy();
    let own = |file| format!("{LEDGERS_FOLDER}/{ledger}/{file}");
    known.witnessed = known.found_in(&own(WITNESSED_FILE), &folder.join(WITNESSED_FILE), log)?;
    known.found_in(&own(CHECKPOINT_FILE), &folder.join(CHECKPOINT_FILE), log)?;
    for (number, anchor) in (1..).zip(anchors) {
        known.found_in(&format!("anchor {number}"), anchor.path(), log)?;
    }
    Ok(known)
}

impl Known {
    /// Takes in the checkpoint of a file, if there is one and the log leads to it.
    fn found_in(
        &mut self,
        source: &str,
        path: &Path,
        log: &Log<'_>,
    ) -> Result<Option<SignedCheckpoint>, TreeError> {
        let judged = match read(path) {
            Ok(None) => return Ok(None),
            Ok(Some(note)) => judge(source, note, log)?,
            Err(why) => Err(unreadable(source, &why)),
        };
        match judged {
            Ok(signed) => {
                // Of two of one size the first one, which may be cosigned.
                let size = signed.checkpoint.size;
                if self.newest.as_ref().is_none_or(|newest| newest.checkpoint.size < size) {
                    self.newest = Some(signed.clone());
                }
                Ok(Some(signed))
            }
            Err(why) => {
                let (origin, file) = (log.origin, path.display());
                tracing::error!(%origin, %file, why, "the log is not the one that is known");
                self.trouble.get_or_insert(why);
                Ok(None)
            }
        }
    }
}

/// The note in a file; `None` if there is no such file.
pub(crate) fn read(path: &Path) -> Result<Option<Note>, String> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    let mut bytes = Vec::new();
    let most = MAX_NOTE_BYTES as u64 + 1;
    file.take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Note::parse(&bytes).map(Some).map_err(|error| error.to_string())
}

/// Compares one known checkpoint with the log; says in words what does not fit.
fn judge(
    source: &str,
    note: Note,
    log: &Log<'_>,
) -> Result<Result<SignedCheckpoint, String>, TreeError> {
    let keys = log.keys.iter().map(|named| &named.key);
    let checkpoint = match Checkpoint::open(&note, log.origin, keys) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return Ok(Err(foreign(source, log.origin, &error.to_string()))),
    };
    let fits = fits(source, checkpoint.head(), log)?;
    Ok(fits.map(|()| SignedCheckpoint { checkpoint, note }))
}

/// Compares a head of the log that somebody knows with the log; says in words if it is another.
fn fits(source: &str, known: TreeHead, log: &Log<'_>) -> Result<Result<(), String>, TreeError> {
    if known.size > log.head.size {
        return Ok(Err(too_short(source, LogSize::new(known.size), LogSize::new(log.head.size))));
    }
    let (own, _) = log.tree.extension(known.size, log.head)?;
    Ok(if own.root == known.root { Ok(()) } else { Err(other_history(source, own, known)) })
}

/// The log has fewer records than somebody knows of.
pub(crate) fn too_short(source: &str, known: LogSize, size: LogSize) -> String {
    format!(
        "{ROLLED_BACK}: {source} knows of {known} records of this ledger, and its log has {size}: \
         the newest ones are gone, as after the restore of an old copy. Restore the newest copy of \
         the log; if there is none, stop the server and go on as a new ledger: `bergulir ledger \
         continue`"
    )
}

/// The log has another record than one that was acknowledged: the last of so many.
pub(crate) fn other_record(size: LogSize) -> String {
    format!(
        "{ROLLED_BACK}: the record before position {size} is another one than this server has \
         acknowledged. Restore the newest copy of the log; if there is none, stop the server and go on \
         as a new ledger: `bergulir ledger continue`"
    )
}

fn other_history(source: &str, own: TreeHead, known: TreeHead) -> String {
    format!(
        "{ROLLED_BACK}: at {} records {source} knows the root {}, and this log has {}: it is \
         another history. Restore the log that leads to the known one; if it is lost, stop the server \
         and go on as a new ledger: `bergulir ledger continue`",
        known.size, known.root, own.root
    )
}

fn foreign(source: &str, origin: &KeyName, why: &str) -> String {
    format!(
        "{ROLLED_BACK}: what {source} holds is not a checkpoint that a key of this log signed \
         ({why}): another log of the origin {origin} is known there, and the file is not written \
         over. Restore that log, or move the file away if it was put there by mistake"
    )
}

fn unreadable(source: &str, why: &str) -> String {
    format!(
        "{ROLLED_BACK}: the checkpoint of {source} cannot be read ({why}), so nobody knows whether \
         the log is the newest. Restore that file; or, if the log is known to be whole, move it away"
    )
}
