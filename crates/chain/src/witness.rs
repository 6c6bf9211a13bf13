//! What a log sends to a witness and what the witness makes of it, after C2SP `tlog-witness`.
//!
//! A witness remembers one [`TreeHead`] of each log and cosigns only what continues it. It must
//! write the new head down before it answers, and take in one request of a log after another:
//! otherwise an older request could undo a newer one.

use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::lines::{hashes, line};
use crate::merkle::{Prefixes, ProofError, TreeHead, empty_root, verify_consistency};
use crate::note::{KeyName, MAX_NOTE_BYTES, Note, NoteError, Signature, VerifierKey};
use crate::{Hash, LogSize, base64, decimal};

/// Where a witness takes requests, by POST, under its submission prefix.
pub const ADD_CHECKPOINT_PATH: &str = "add-checkpoint";

/// The content type of a refusal that says the size to begin from.
pub const SIZE_CONTENT_TYPE: &str = "text/x.tlog.size";

/// The most hashes of a request.
pub const MAX_PROOF_HASHES: usize = 63;

/// The most bytes of a request: the line with the old size, the hashes, an empty line, a note.
pub const MAX_REQUEST_BYTES: usize = 32 + MAX_PROOF_HASHES * 45 + MAX_NOTE_BYTES;

/// Asks a witness to cosign a checkpoint: the body of the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddCheckpoint {
    /// The size of the log that the witness saw last, 0 if none.
    pub old: LogSize,
    /// The consistency proof from there to the checkpoint.
    pub proof: Vec<Hash>,
    /// The checkpoint, signed by its log.
    pub checkpoint: Note,
}

/// Why bytes are not such a request.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum AddCheckpointError {
    /// The first line does not say the old size.
    #[error("the first line is not 'old', a space and a size")]
    Old,
    /// A line of the proof is not a hash, or there are too many, or no empty line ends it.
    #[error("the proof is not up to {MAX_PROOF_HASHES} lines of Base64 and an empty line")]
    Proof,
    /// The checkpoint is not a note.
    #[error("the checkpoint: {0}")]
    Note(#[from] NoteError),
}

impl AddCheckpoint {
    /// Reads a request.
    ///
    /// # Errors
    /// If it is none. For each request there is one byte string only.
    pub fn parse(bytes: &[u8]) -> Result<Self, AddCheckpointError> {
        let mut rest = bytes;
        let old = line(&mut rest).and_then(|line| line.strip_prefix("old "));
        let old = old.and_then(decimal::parse).ok_or(AddCheckpointError::Old)?;
        let proof = hashes(&mut rest, MAX_PROOF_HASHES).ok_or(AddCheckpointError::Proof)?;
        Ok(Self { old: LogSize::new(old), proof, checkpoint: Note::parse(rest)? })
    }
}

impl fmt::Display for AddCheckpoint {
    /// The whole body: its bytes are the UTF-8 of this.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "old {}", self.old)?;
        for hash in &self.proof {
            writeln!(f, "{}", base64::encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}

/// Why a witness does not cosign.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The request has another form.
    #[error(transparent)]
    Request(#[from] AddCheckpointError),
    /// The note is not a checkpoint.
    #[error(transparent)]
    Checkpoint(CheckpointError),
    /// The request itself states that the log shrank.
    #[error("the old size {old} is larger than the checkpoint's, {size}")]
    OldIsLarger {
        /// The old size.
        old: LogSize,
        /// The size of the checkpoint.
        size: LogSize,
    },
    /// The witness has no key for this log.
    #[error("this witness does not know the log {0}")]
    UnknownLog(KeyName),
    /// None of the known keys of the log signed, or one is made to look so.
    #[error("the log's signature: {0}")]
    Signature(CheckpointError),
    /// The witness saw another size last.
    #[error("this witness saw the log at size {known} last: prove from there")]
    Size {
        /// The size to prove from.
        known: LogSize,
    },
    /// The witness saw another tree of this size: the log has two histories.
    #[error("this witness saw another root at size {size}, {known}: the log was forked")]
    Forked {
        /// The size of both.
        size: LogSize,
        /// The root that it saw.
        known: Hash,
    },
    /// The checkpoint does not continue what the witness saw.
    #[error("the checkpoint does not continue what this witness saw: {0}")]
    Proof(#[from] ProofError),
}

impl Refusal {
    /// The HTTP status that says so.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Request(_) | Self::Checkpoint(_) | Self::OldIsLarger { .. } => 400,
            Self::Signature(_) => 403,
            Self::UnknownLog(_) => 404,
            Self::Size { .. } | Self::Forked { .. } => 409,
            Self::Proof(_) => 422,
        }
    }

    /// The size to prove from next time. If there is one, the answer is nothing but this number and
    /// a newline, of the type [`SIZE_CONTENT_TYPE`].
    pub const fn known_size(&self) -> Option<LogSize> {
        match self {
            Self::Size { known } => Some(*known),
            _ => None,
        }
    }
}

/// A request whose log is known and signed its checkpoint. It is not known yet what it continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submitted<'r> {
    request: &'r AddCheckpoint,
    checkpoint: Checkpoint,
}

impl<'r> Submitted<'r> {
    /// Takes a request if its log is one of those of the `trusted` keys, and signed.
    ///
    /// # Errors
    /// If not.
    pub fn open<'k>(
        request: &'r AddCheckpoint,
        trusted: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Self, Refusal> {
        let stated = Checkpoint::parse_unverified(request.checkpoint.text());
        let origin = stated.map_err(Refusal::Checkpoint)?.origin;
        let keys: Vec<_> = trusted.into_iter().filter(|key| *key.name() == origin).collect();
        if keys.is_empty() {
            return Err(Refusal::UnknownLog(origin));
        }
        let checkpoint =
            Checkpoint::open(&request.checkpoint, &origin, keys).map_err(Refusal::Signature)?;
        let (old, size) = (request.old, checkpoint.size);
        if old > size {
            return Err(Refusal::OldIsLarger { old, size });
        }
        Ok(Self { request, checkpoint })
    }

    /// Which log it is of.
    pub const fn origin(&self) -> &KeyName {
        &self.checkpoint.origin
    }

    /// The checkpoint to cosign, if it continues `known`, the head of this log that the witness saw
    /// last, if any. Its [`head`](Checkpoint::head) has to be written down before it is cosigned.
    ///
    /// # Errors
    /// If it does not.
    pub fn continuing(self, known: Option<TreeHead>) -> Result<Checkpoint, Refusal> {
        let Self { request, checkpoint } = self;
        let known = known.unwrap_or(TreeHead { size: 0, root: empty_root() });
        if known.size != request.old.get() {
            return Err(Refusal::Size { known: LogSize::new(known.size) });
        }
        let head = checkpoint.head();
        if known.size == head.size && known.root != head.root {
            return Err(Refusal::Forked { size: checkpoint.size, known: known.root });
        }
        verify_consistency(Prefixes::RFC_6962, known, head, &request.proof)?;
        Ok(checkpoint)
    }
}

/// Reads the answer of a witness that cosigned: a signature a line. They are not checked yet.
///
/// # Errors
/// If a line is none, or there is none.
pub fn parse_cosignatures(bytes: &[u8]) -> Result<Vec<Signature>, NoteError> {
    if bytes.len() > MAX_NOTE_BYTES {
        return Err(NoteError::TooLarge(bytes.len()));
    }
    let text = core::str::from_utf8(bytes).map_err(|_| NoteError::NotText)?;
    let lines = text.strip_suffix('\n').ok_or(NoteError::Unsigned)?;
    lines.split('\n').map(str::parse).collect()
}
