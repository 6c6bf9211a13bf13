//! Known checkpoints: what is known of a log beside the log itself, so that an older copy of it, or
//! another history, is not gone on from. Known are the newest checkpoints in the ledger's folder
//! and in the anchors; what a witness knows, it is asked for.

use crate::anchor::Anchor;
use crate::checkpoints::{LogKey, SignedCheckpoint};
use crate::tree::{Tree, TreeError};
use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::{KeyName, MAX_NOTE_BYTES, Note, NoteError};
use bergulir_store::file_log::Medium;
use bergulir_store::layout::{CHECKPOINT_FILE, LEDGERS_FOLDER, WITNESSED_FILE};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// What the reason of a ledger begins with that takes no writes since its log is not what a known
/// checkpoint says.
pub const ROLLED_BACK: &str = "ROLLED_BACK";

/// What the reason of a ledger begins with that takes no writes until a file with a checkpoint of it can
/// be read again.
const UNREADABLE: &str = "CHECKPOINT_UNREADABLE";

/// Why a file does not tell which checkpoint is known.
#[derive(Debug, Error)]
pub(crate) enum Unread {
    /// The disk did not give it. It may at another time.
    #[error("{0}")]
    Io(io::Error),
    /// What it holds is no checkpoint.
    #[error("{0}")]
    Damaged(NoteError),
}

/// The checkpoints that were found at start.
#[derive(Debug, Default)]
pub(crate) struct Known {
    /// The newest one, wherever it was found.
    pub(crate) newest: Option<SignedCheckpoint>,
    /// The newest one in the ledger's folder that a quorum cosigned.
    pub(crate) witnessed: Option<SignedCheckpoint>,
    /// Why the ledger must not be written to; `None` if its log leads to all of them.
    pub(crate) trouble: Option<String>,
    /// Why it must not be written to until it was opened again: what it needs could not be read.
    pub(crate) passing: Option<String>,
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
pub(crate) fn check(
    medium: &dyn Medium,
    folder: &Path,
    anchors: &[Anchor],
    log: &Log<'_>,
) -> Result<Known, TreeError> {
    let mut known = Known::default();
    for (source, path) in files(folder, anchors) {
        let found = known.found_in(medium, &source, &path, log)?;
        if path.ends_with(WITNESSED_FILE) {
            known.witnessed = found;
        }
    }
    Ok(known)
}

/// The files that may hold a checkpoint of the ledger in a folder, and what they are called: callers are
/// told these names, and no folders of the server.
fn files(folder: &Path, anchors: &[Anchor]) -> Vec<(String, PathBuf)> {
    let ledger = folder.file_name().unwrap_or_default().to_string_lossy();
    let own = |file| (format!("{LEDGERS_FOLDER}/{ledger}/{file}"), folder.join(file));
    let mut files = vec![own(WITNESSED_FILE), own(CHECKPOINT_FILE)];
    let of_anchors = (1..).zip(anchors);
    files.extend(of_anchors.map(|(n, anchor)| (format!("anchor {n}"), anchor.path().to_owned())));
    files
}

/// Why the known checkpoints of a ledger cannot be compared with its log now, if one of their files
/// cannot be read.
pub(crate) fn unreadable_now(
    medium: &dyn Medium,
    folder: &Path,
    anchors: &[Anchor],
) -> Option<String> {
    files(folder, anchors).iter().find_map(|(source, path)| match read(medium, path) {
        Err(Unread::Io(error)) => Some(unreadable(source, &error)),
        Err(Unread::Damaged(_)) | Ok(_) => None,
    })
}

impl Known {
    /// Takes in the checkpoint of a file, if there is one and the log leads to it.
    fn found_in(
        &mut self,
        medium: &dyn Medium,
        source: &str,
        path: &Path,
        log: &Log<'_>,
    ) -> Result<Option<SignedCheckpoint>, TreeError> {
        let judged = match read(medium, path) {
            Ok(None) => return Ok(None),
            Ok(Some(note)) => judge(source, note, log)?,
            Err(Unread::Damaged(why)) => Err(damaged(source, &why)),
            Err(Unread::Io(error)) => {
                let (origin, file) = (log.origin, path.display());
                tracing::error!(%origin, %file, %error, "a known checkpoint cannot be read");
                self.passing.get_or_insert(unreadable(source, &error));
                return Ok(None);
            }
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
pub(crate) fn read(medium: &dyn Medium, path: &Path) -> Result<Option<Note>, Unread> {
    let bytes = match medium.read(path, MAX_NOTE_BYTES as u64 + 1) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Unread::Io(error)),
    };
    Note::parse(&bytes).map(Some).map_err(Unread::Damaged)
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

fn damaged(source: &str, why: &NoteError) -> String {
    format!(
        "{ROLLED_BACK}: the checkpoint of {source} is damaged ({why}), so nobody knows whether the log \
         is the newest. Restore that file; or, if the log is known to be whole, move it away"
    )
}

fn unreadable(source: &str, error: &io::Error) -> String {
    format!(
        "{UNREADABLE}: the checkpoint of {source} could not be read ({error}), so nobody knows whether \
         the log is the newest"
    )
}
