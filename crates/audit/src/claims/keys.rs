//! Who signed a checkpoint: the key in force, and whether somebody vouches for it from elsewhere.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{KeyName, Note, VerifierKey};
use bergulir_chain::{LogSize, Position};

use crate::trust::{SignatureFault, Trust};

/// The keys that a log names.
#[derive(Debug, Default)]
pub(super) struct NamedKeys {
    /// The log's origin, once position 0 was read.
    pub(super) origin: Option<KeyName>,
    /// Each with its position, ascending.
    named: Vec<(Position, String)>,
}

/// Who signed a checkpoint.
#[derive(Debug, Clone)]
pub(super) struct Signer {
    /// The key in force.
    pub(super) key: VerifierKey,
    /// The position that names it.
    pub(super) at: Position,
    pub(super) vouched: Vouched,
}

/// What the keys that the auditor gave say of a checkpoint.
#[derive(Debug, Clone)]
pub(super) enum Vouched {
    /// None was given.
    Unasked,
    /// One that the log names signed it.
    Signed,
    /// The log names this one, and it did not sign.
    Silent {
        /// The last of those.
        key: Box<VerifierKey>,
        /// The position that names it.
        at: Position,
    },
    /// The log names none of them.
    NotNamed,
}

impl NamedKeys {
    /// A record names a key.
    pub(super) fn push(&mut self, at: Position, key: &str) {
        self.named.push((at, key.to_owned()));
    }

    /// The first key and its position.
    pub(super) fn first(&self) -> Option<(Position, &str)> {
        self.named.first().map(|(at, key)| (*at, key.as_str()))
    }

    /// Whether one of the keys given is one that the log names.
    pub(super) fn name_one_of(&self, trust: &Trust) -> bool {
        trust.log_keys().any(|given| self.named.iter().any(|(_, key)| *key == given.to_string()))
    }

    /// The key in force after so many records, if it signed.
    pub(super) fn signer(
        &self,
        note: &Note,
        size: LogSize,
        trust: &Trust,
    ) -> Result<Signer, SignatureFault> {
        let until = self.named.partition_point(|(position, _)| size.holds(*position));
        let named = &self.named[..until];
        let (at, text) = named.last().ok_or(SignatureFault::NoKey)?;
        let unusable = || SignatureFault::UnusableKey { position: *at, named: text.clone() };
        let key: VerifierKey = text.parse().map_err(|_| unusable())?;
        let origin = self.origin.as_ref().ok_or(SignatureFault::NoKey)?;
        Checkpoint::open(note, origin, [&key])?;
        // A line of any known key that does not verify spoils the note.
        let known: Vec<VerifierKey> =
            named.iter().filter_map(|(_, key)| key.parse().ok()).collect();
        let signed = note.verify(known.iter().chain(trust.log_keys()));
        let signed = signed.map_err(bergulir_chain::checkpoint::CheckpointError::from)?;
        let vouched = if trust.has_keys() {
            let of_log = |given: &&VerifierKey| {
                let text = given.to_string();
                named.iter().rfind(|(_, key)| *key == text).map(|(at, _)| *at)
            };
            let mut vouched = Vouched::NotNamed;
            for given in trust.log_keys() {
                let Some(at) = of_log(&given) else { continue };
                if signed.iter().any(|by| by.key == given) {
                    vouched = Vouched::Signed;
                    break;
                }
                vouched = Vouched::Silent { key: Box::new(given.clone()), at };
            }
            vouched
        } else {
            Vouched::Unasked
        };
        Ok(Signer { key, at: *at, vouched })
    }
}
