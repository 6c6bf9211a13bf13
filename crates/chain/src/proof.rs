//! Proofs that a record is in a log, as a text that others can check too (C2SP `tlog-proof`).

use alloc::vec::Vec;
use core::fmt;

use thiserror::Error;

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::lines::{hashes, line};
use crate::merkle::{MAX_PATH_HASHES, Prefixes, ProofError, verify_inclusion};
use crate::note::{KeyName, Note, NoteError, VerifierKey};
use crate::{Hash, Position, base64, decimal};

/// The first line of each.
pub const HEADER: &str = "c2sp.org/tlog-proof@v1";

/// How the name of a file with one ends.
pub const SUFFIX: &str = ".tlog-proof";

/// The most bytes beside a proof: the record itself has room.
pub const MAX_EXTRA_BYTES: usize = crate::MAX_RECORD_BYTES;

/// A record's place, the path from there to the root, and the checkpoint with that root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogProof {
    /// Bytes beside the proof, for example the record itself. The proof does not cover them.
    pub extra: Option<Vec<u8>>,
    /// The place of the record.
    pub position: Position,
    /// The path from its sibling up to the root.
    pub path: Vec<Hash>,
    /// The signed checkpoint, with all that cosigned it.
    pub checkpoint: Note,
}

/// Why bytes are not such a proof.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum LogProofError {
    /// The first line is another.
    #[error("the proof does not begin with {HEADER}")]
    Header,
    /// The extra line is not Base 64 of 1 to 65,535 bytes.
    #[error("the extra line of the proof is not right")]
    Extra,
    /// There is no index line.
    #[error("the proof does not say the index of its record")]
    Index,
    /// A line of the path is not a hash, or there are too many, or no blank line ends it.
    #[error("the hashes of the proof are not right")]
    Path,
    /// The checkpoint is not a note.
    #[error("the checkpoint in the proof: {0}")]
    Note(#[from] NoteError),
}

/// Why a record may not be in the log.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum InclusionError {
    /// The checkpoint is not to be believed.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The record does not follow from the proof.
    #[error(transparent)]
    Proof(#[from] ProofError),
}

impl LogProof {
    /// Checks that the record with this hash is in the log, and says with which checkpoint. Whether
    /// enough witnesses cosigned that, a [`Policy`](crate::policy::Policy) says.
    ///
    /// # Errors
    /// If the checkpoint is not of this log or not signed by it, or the record does not follow.
    pub fn verify<'k>(
        &self,
        record: Hash,
        origin: &KeyName,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Checkpoint, InclusionError> {
        let checkpoint = Checkpoint::open(&self.checkpoint, origin, keys)?;
        let (head, place) = (checkpoint.head(), self.position.get());
        verify_inclusion(Prefixes::RFC_6962, head, place, record, &self.path)?;
        Ok(checkpoint)
    }

    /// Reads a proof.
    ///
    /// # Errors
    /// If it is none. For each proof there is one byte string only.
    pub fn parse(bytes: &[u8]) -> Result<Self, LogProofError> {
        let mut rest = bytes;
        let header = line(&mut rest).filter(|&line| line == HEADER);
        header.ok_or(LogProofError::Header)?;
        let mut next = line(&mut rest).ok_or(LogProofError::Index)?;
        let mut extra = None;
        if let Some(coded) = next.strip_prefix("extra ") {
            let bytes = base64::decode(coded).ok_or(LogProofError::Extra)?;
            if bytes.is_empty() || bytes.len() > MAX_EXTRA_BYTES {
                return Err(LogProofError::Extra);
            }
            extra = Some(bytes);
            next = line(&mut rest).ok_or(LogProofError::Index)?;
        }
        let index = next.strip_prefix("index ").and_then(decimal::parse);
        let position = Position::new(index.ok_or(LogProofError::Index)?);
        let path = hashes(&mut rest, MAX_PATH_HASHES).ok_or(LogProofError::Path)?;
        Ok(Self { extra, position, path, checkpoint: Note::parse(rest)? })
    }
}

impl fmt::Display for LogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = self.extra.as_ref().filter(|extra| !extra.is_empty()) {
            writeln!(f, "extra {}", base64::encode(extra))?;
        }
        writeln!(f, "index {}", self.position)?;
        for hash in &self.path {
            writeln!(f, "{}", base64::encode(hash.as_bytes()))?;
        }
        write!(f, "\n{}", self.checkpoint)
    }
}
