//! The newest checkpoints of a ledger: in memory for those who ask, and in its folder.

use crate::ledger::held;
use bergulir_chain::Position;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{KeyName, Note, VerifierKey};
use bergulir_domain::State;
use bergulir_store::file_log::Medium;
use bergulir_store::layout::{CHECKPOINT_FILE, WITNESSED_FILE};
use bergulir_store::replace_file_durably_on;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::SystemTime;
use tokio::sync::watch;

/// A checkpoint and the note that it was signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// What it states.
    pub checkpoint: Checkpoint,
    /// The signed note, with the cosignatures that came so far.
    pub note: Note,
}

/// The newest checkpoints of one ledger.
#[derive(Debug)]
pub(crate) struct Checkpoints {
    medium: Arc<dyn Medium>,
    folder: PathBuf,
    newest: watch::Sender<Option<Arc<SignedCheckpoint>>>,
    witnessed: RwLock<Option<Arc<SignedCheckpoint>>>,
    signed_at: Mutex<Option<SystemTime>>,
}

impl Checkpoints {
    /// Those of the ledger in this folder, as they were found there.
    pub(crate) fn new(
        medium: Arc<dyn Medium>,
        folder: &Path,
        newest: Option<SignedCheckpoint>,
        witnessed: Option<SignedCheckpoint>,
    ) -> Checkpoints {
        // What was signed before this start: its file says when, as well as anything does.
        let file = std::fs::metadata(folder.join(CHECKPOINT_FILE));
        let signed_at = file.and_then(|file| file.modified()).ok().filter(|_| newest.is_some());
        Checkpoints {
            medium,
            signed_at: Mutex::new(signed_at),
            folder: folder.to_owned(),
            newest: watch::Sender::new(newest.map(Arc::new)),
            witnessed: RwLock::new(witnessed.map(Arc::new)),
        }
    }

    /// The folder of the ledger.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn newest(&self) -> Option<Arc<SignedCheckpoint>> {
        self.newest.borrow().clone()
    }

    pub(crate) fn signed_at(&self) -> Option<SystemTime> {
        *held(&self.signed_at)
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Option<Arc<SignedCheckpoint>>> {
        self.newest.subscribe()
    }

    pub(crate) fn witnessed(&self) -> Option<Arc<SignedCheckpoint>> {
        self.witnessed.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Writes a new checkpoint to its file and then lets it be seen.
    pub(crate) fn put(&self, signed: SignedCheckpoint) -> std::io::Result<Arc<SignedCheckpoint>> {
        let bytes = signed.note.to_string();
        self.write(CHECKPOINT_FILE, &bytes)?;
        let signed = Arc::new(signed);
        *held(&self.signed_at) = Some(SystemTime::now());
        self.newest.send_replace(Some(Arc::clone(&signed)));
        Ok(signed)
    }

    fn write(&self, file: &str, note: &str) -> std::io::Result<()> {
        replace_file_durably_on(self.medium.as_ref(), &self.folder.join(file), note.as_bytes())
    }

    /// The note of the newest one has got more signatures, if it is still that one.
    pub(crate) fn cosigned(&self, signed: &Arc<SignedCheckpoint>) {
        self.newest.send_if_modified(|newest| {
            let same = newest.as_ref().is_some_and(|held| held.checkpoint == signed.checkpoint);
            if same {
                *newest = Some(Arc::clone(signed));
            }
            same
        });
    }

    /// A quorum cosigned this one: writes it to its file and lets it be seen.
    pub(crate) fn put_witnessed(&self, signed: Arc<SignedCheckpoint>) -> std::io::Result<()> {
        let bytes = signed.note.to_string();
        self.write(WITNESSED_FILE, &bytes)?;
        *self.witnessed.write().unwrap_or_else(PoisonError::into_inner) = Some(signed);
        Ok(())
    }
}

/// A key that the log names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogKey {
    /// Where it is named: checkpoints of logs that have this record are signed by it, until the
    /// next one is named.
    pub(crate) named_at: Position,
    pub(crate) key: VerifierKey,
}

/// The keys that a log names under the origin that it has now, in order; the last one is in force.
/// Those of an origin that it gave up do not sign for it.
pub(crate) fn log_keys(state: &State) -> Vec<LogKey> {
    // What cannot be read as a key was refused on its way into the log.
    let parse =
        |(named_at, key): (bergulir_domain::Position, &bergulir_domain::text::VerifierKey)| {
            Some(LogKey {
                named_at: Position::new(named_at.get()),
                key: key.as_str().parse().ok()?,
            })
        };
    let origin = log_name(state);
    let own = |key: &LogKey| Some(key.key.name()) == origin.as_ref();
    state.keys().filter_map(parse).filter(own).collect()
}

/// The name under which a log signs: its origin.
pub(crate) fn log_name(state: &State) -> Option<KeyName> {
    KeyName::new(state.opened()?.origin.as_str()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_chain::note::SignerKey;
    use bergulir_chain::{Hash, LogSize};
    use bergulir_store::file_log::Disk;

    fn signed(size: u64) -> SignedCheckpoint {
        let origin = KeyName::new("example.org/a").unwrap();
        let key = SignerKey::from_seed(origin.clone(), &[1; 32]).unwrap();
        let checkpoint = Checkpoint { origin, size: LogSize::new(size), root: Hash::ZERO };
        let note = checkpoint.sign(&key).unwrap();
        SignedCheckpoint { checkpoint, note }
    }

    #[test]
    fn a_cosignature_that_comes_late_does_not_set_the_newest_back() {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(Arc::new(Disk), folder.path(), None, None);
        let older = checkpoints.put(signed(1)).unwrap();
        let newer = checkpoints.put(signed(2)).unwrap();
        checkpoints.cosigned(&older);
        assert_eq!(checkpoints.newest(), Some(newer));
    }
}
