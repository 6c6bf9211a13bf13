//! Checkpoints, after C2SP `tlog-checkpoint`: how large a log is, and the root over it, signed.

use alloc::format;
use alloc::string::String;

use thiserror::Error;

use crate::merkle::{TreeHead, empty_root};
use crate::note::{Algorithm, KeyName, Note, NoteError, SignerKey, VerifierKey, VerifyError};
use crate::{Hash, LogSize, base64, decimal};

/// What a log states about itself. There are no extension lines: nothing could check them.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Checkpoint {
    /// Which log: the name of its key.
    pub origin: KeyName,
    /// The number of its records.
    pub size: LogSize,
    /// The root of the tree over their hashes.
    pub root: Hash,
}

/// Why a text is not a checkpoint, or one is not to be believed.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CheckpointError {
    /// The text has another form.
    #[error("a checkpoint has three lines: origin, size and root; line {0} is not right")]
    Line(u8),
    /// Something follows the three lines.
    #[error("the checkpoint has extension lines, which our logs never write")]
    Extension,
    /// An empty log has another root than any.
    #[error("the checkpoint is of an empty log, but its root is not that of an empty tree")]
    EmptyRoot,
    /// It is the checkpoint of another log.
    #[error("the checkpoint is of the log {given}, not of {expected}")]
    Origin {
        /// The log asked for.
        expected: KeyName,
        /// The log that the checkpoint is of.
        given: KeyName,
    },
    /// A key of another name was to sign.
    #[error("the key {key} cannot sign for the log {origin}: their names must be equal")]
    Key {
        /// The log.
        origin: KeyName,
        /// The name of the key.
        key: KeyName,
    },
    /// The signatures do not hold.
    #[error(transparent)]
    Signature(#[from] VerifyError),
    /// It is not even a note.
    #[error(transparent)]
    Note(#[from] NoteError),
}

impl Checkpoint {
    /// The size and root, for the proofs of [`merkle`](crate::merkle).
    pub const fn head(&self) -> TreeHead {
        TreeHead { size: self.size.get(), root: self.root }
    }

    /// The text that is signed: three lines.
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, base64::encode(self.root.as_bytes()))
    }

    /// Reads the text of a note that nobody has checked: for finding out whose keys are needed.
    ///
    /// # Errors
    /// If it is not a checkpoint.
    pub fn parse_unverified(text: &str) -> Result<Self, CheckpointError> {
        let mut lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n'));
        let mut line = || lines.next().flatten();
        let origin = line().and_then(|line| KeyName::new(line).ok());
        let origin = origin.ok_or(CheckpointError::Line(1))?;
        let size = line().and_then(decimal::parse).ok_or(CheckpointError::Line(2))?;
        let root = line().and_then(base64::decode_hash).ok_or(CheckpointError::Line(3))?;
        if lines.next().is_some() {
            return Err(CheckpointError::Extension);
        }
        if size == 0 && root != empty_root() {
            return Err(CheckpointError::EmptyRoot);
        }
        Ok(Self { origin, size: LogSize::new(size), root })
    }

    /// The checkpoint as a note signed by the key of the log.
    ///
    /// The caller sees to it that no other history was ever signed.
    ///
    /// # Errors
    /// If the key has another name than the log.
    pub fn sign(&self, key: &SignerKey) -> Result<Note, CheckpointError> {
        let name = key.verifier().name();
        if *name != self.origin {
            let (origin, key) = (self.origin.clone(), name.clone());
            return Err(CheckpointError::Key { origin, key });
        }
        let text = self.text();
        let signature = key.sign(&text);
        Ok(Note::new(text, signature)?)
    }

    /// The checkpoint of a note, if one of the log's keys signed it. A log has several while one
    /// takes over from another. Keys that do not have the log's name are not looked at.
    ///
    /// # Errors
    /// If it is the checkpoint of another log, or the signatures do not hold.
    pub fn open<'k>(
        note: &Note,
        origin: &KeyName,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Self, CheckpointError> {
        let checkpoint = Self::parse_unverified(note.text())?;
        if checkpoint.origin != *origin {
            let (expected, given) = (origin.clone(), checkpoint.origin);
            return Err(CheckpointError::Origin { expected, given });
        }
        let of_the_log =
            |key: &&VerifierKey| key.name() == origin && key.algorithm() == Algorithm::Ed25519;
        note.verify(keys.into_iter().filter(of_the_log))?;
        Ok(checkpoint)
    }
}
