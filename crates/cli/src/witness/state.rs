//! What a witness saw last of each log, in files, and its cosignatures.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::{CosignerKey, KeyName, Note, PosixSeconds, Signature, VerifierKey};
use bergulir_chain::witness::{AddCheckpoint, Refusal, Submitted};
use bergulir_store::{DataLock, LockError, replace_file_durably};
use thiserror::Error;

/// A witness. Its folder belongs to it alone while it runs.
pub(super) struct Witness {
    key: CosignerKey,
    /// The keys of the logs, several of one log while one takes over from another.
    trusted: Vec<VerifierKey>,
    logs: BTreeMap<KeyName, Seen>,
    _lock: DataLock,
}

/// One log. The lock is held from comparing to remembering, so that no request overtakes another.
struct Seen {
    newest: Mutex<Option<TreeHead>>,
    file: PathBuf,
}

/// Why the folder of a witness cannot be used.
#[derive(Debug, Error)]
pub(super) enum StateError {
    /// It cannot be locked.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A file cannot be read.
    #[error("could not read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file does not hold what this witness writes there.
    #[error(
        "{} does not hold a checkpoint of {origin} that this witness cosigned or its log signed: \
         restore the file from a copy that is as new. A witness that forgot what it saw needs a \
         new key", path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The log.
        origin: KeyName,
    },
}

/// Why a request got no cosignature.
#[derive(Debug, Error)]
pub(super) enum Unsigned {
    /// The request is refused.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// What was seen could not be written down.
    #[error("what was seen could not be written down: {0}")]
    Unwritten(io::Error),
    /// The clock of this machine is not right.
    #[error("the clock of the witness is before 1970")]
    Clock,
    /// The checkpoint has no room for another signature.
    #[error("the checkpoint has too many signatures")]
    Full,
}

impl Witness {
    /// Takes up where it was, in a folder that is made if it is missing.
    ///
    /// # Errors
    /// If another process uses the folder, or a file in it cannot be read.
    pub(super) fn open(
        folder: &Path,
        key: CosignerKey,
        trusted: Vec<VerifierKey>,
    ) -> Result<Witness, StateError> {
        let lock = DataLock::acquire(folder)?;
        let mut logs = BTreeMap::new();
        for log in &trusted {
            let origin = log.name();
            if !logs.contains_key(origin) {
                let file = folder.join(file_name(origin));
                let newest = Mutex::new(read(&file, origin, &trusted, key.verifier())?);
                logs.insert(origin.clone(), Seen { newest, file });
            }
        }
        Ok(Witness { key, trusted, logs, _lock: lock })
    }

    /// The public key.
    pub(super) fn verifier(&self) -> &VerifierKey {
        self.key.verifier()
    }

    /// Every log that is known, and the size that it was seen at last.
    pub(super) fn logs(&self) -> impl Iterator<Item = (&KeyName, Option<u64>)> {
        self.logs.iter().map(|(origin, seen)| (origin, seen.newest().map(|head| head.size)))
    }

    /// Cosigns a checkpoint that continues what was seen of its log. On return it is on the disk
    /// that it was seen.
    ///
    /// # Errors
    /// If it does not, or it cannot be written down.
    pub(super) fn add(&self, request: &AddCheckpoint) -> Result<Signature, Unsigned> {
        let submitted = Submitted::open(request, &self.trusted)?;
        let origin = submitted.origin().clone();
        let seen = self.logs.get(&origin).ok_or(Refusal::UnknownLog(origin))?;
        // After a panic the head is the one from before, which is right.
        let mut newest = seen.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let checkpoint = submitted.continuing(*newest).inspect_err(|refusal| {
            if let Refusal::Forked { .. } = refusal {
                seen.keep_evidence(&request.checkpoint);
            }
        })?;
        let cosignature = self.key.cosign(&checkpoint, now().ok_or(Unsigned::Clock)?);
        let mut note = request.checkpoint.clone();
        note.add(cosignature.clone()).map_err(|_| Unsigned::Full)?;
        replace_file_durably(&seen.file, note.to_string().as_bytes())
            .map_err(Unsigned::Unwritten)?;
        *newest = Some(checkpoint.head());
        Ok(cosignature)
    }
}

impl Seen {
    fn newest(&self) -> Option<TreeHead> {
        *self.newest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps the first checkpoint that contradicts one of the same size: together they prove to
    /// anyone that the log has two histories.
    fn keep_evidence(&self, contradicting: &Note) {
        let [mut seen, mut forked] = [self.file.clone(), self.file.clone()];
        seen.set_extension("seen");
        forked.set_extension("forked");
        if forked.exists() {
            return;
        }
        let kept = std::fs::read(&self.file)
            .and_then(|bytes| replace_file_durably(&seen, &bytes))
            .and_then(|()| replace_file_durably(&forked, contradicting.to_string().as_bytes()));
        match kept {
            Ok(()) => tracing::warn!(
                "two histories of one log: the proof is in {} and {}",
                seen.display(),
                forked.display()
            ),
            Err(error) => tracing::warn!("the proof of a fork could not be kept: {error}"),
        }
    }
}

/// The head in a file; `None` if there is no file.
fn read(
    path: &Path,
    origin: &KeyName,
    trusted: &[VerifierKey],
    own: &VerifierKey,
) -> Result<Option<TreeHead>, StateError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(StateError::Read { path: path.to_owned(), source }),
    };
    let head = || {
        let note = Note::parse(&bytes).ok()?;
        let checkpoint = Checkpoint::parse_unverified(note.text()).ok()?;
        // The keys of the log, or that of the witness, may be others by now, but not both.
        let signed = note.verify([own]).is_ok() || Checkpoint::open(&note, origin, trusted).is_ok();
        (signed && checkpoint.origin == *origin).then(|| checkpoint.head())
    };
    let damaged = || StateError::Damaged { path: path.to_owned(), origin: origin.clone() };
    head().map(Some).ok_or_else(damaged)
}

/// The name of the file for a log: every byte outside `[A-Za-z0-9.-]` as `%XX`.
fn file_name(origin: &KeyName) -> String {
    let mut name = String::new();
    for byte in origin.as_str().bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name + ".checkpoint"
}

fn now() -> Option<PosixSeconds> {
    PosixSeconds::new(SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs())
}
