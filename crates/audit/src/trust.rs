//! Whom a verifier trusts, and what it saw before.

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::note::{Note, VerifierKey};
use bergulir_chain::policy::Policy;

/// What a verifier brings along. A log can only be held against what did not come with it.
#[derive(Debug, Clone, Default)]
pub struct Trust {
    /// Keys of logs. If there is one, here or in the policy, one of them that the log names must
    /// have signed its checkpoint, beside the key in force.
    pub keys: Vec<VerifierKey>,
    /// Which witnesses have to have cosigned the log's checkpoint.
    pub policy: Option<Policy>,
    /// A checkpoint of an earlier visit: the log must be an extension of what it was then.
    pub since: Option<Note>,
}

impl Trust {
    /// The keys of logs, those of the policy among them.
    pub(crate) fn log_keys(&self) -> impl Iterator<Item = &VerifierKey> {
        let logs = self.policy.iter().flat_map(Policy::logs);
        self.keys.iter().chain(logs.map(|log| &log.key))
    }

    /// Whether any key of a log is trusted beforehand.
    pub(crate) fn has_keys(&self) -> bool {
        self.log_keys().next().is_some()
    }

    /// Whether a quorum of witnesses is asked for.
    pub(crate) fn wants_witnesses(&self) -> bool {
        self.policy.as_ref().is_some_and(Policy::wants_witnesses)
    }
}

/// Where a checkpoint comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckpointSource {
    /// The newest of the log: the file `checkpoint`.
    Newest,
    /// The newest that a quorum of witnesses cosigned: the file `checkpoint.witnessed`.
    Witnessed,
    /// What the auditor saw earlier.
    Older,
}

impl std::fmt::Display for CheckpointSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            CheckpointSource::Newest => "the log's checkpoint",
            CheckpointSource::Witnessed => "the log's witnessed checkpoint",
            CheckpointSource::Older => "the checkpoint seen earlier",
        })
    }
}

/// Why a log does not stand behind a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureFault {
    /// The key in force did not sign, or the checkpoint was altered.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// None of the records that it covers names a key.
    #[error("none of the records that it covers names a key that could sign for the log")]
    NoKey,
    /// The key that the log names cannot be read.
    #[error("the key named at position {position} cannot be read: {named}")]
    UnusableKey {
        /// Where it is named.
        position: bergulir_chain::Position,
        /// As it stands there.
        named: String,
    },
}
