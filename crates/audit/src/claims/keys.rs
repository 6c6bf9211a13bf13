//! Who signed a checkpoint: the key in force, and whether somebody vouches for it from elsewhere.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::{KeyName, Note, VerifierKey};
use bergulir_chain::{LogSize, Position};
use bergulir_domain::State;

use crate::trust::{SignatureFault, Trust};

/// The keys that a log names, and its origins.
#[derive(Debug, Default)]
pub(super) struct NamedKeys {
    /// The log's origins, once position 0 was read: each with the position that names it, ascending.
    origins: Vec<(Position, KeyName)>,
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
    /// A record gives the log its origin.
    pub(super) fn opened(&mut self, at: Position, origin: &str) {
        if let Ok(origin) = KeyName::new(origin) {
            self.origins.push((at, origin));
        }
    }

    /// The log begins after records of which this is known. An origin that was given up shows in the
    /// names of its keys; without one, nothing was signed under it.
    pub(super) fn begin(&mut self, state: &State) {
        for (at, key) in state.keys() {
            let at = Position::new(at.get());
            let name = key.as_str().split('+').next().unwrap_or_default();
            if !self.has(name) {
                self.opened(at, name);
            }
            self.push(at, key.as_str());
        }
        if let Some(opened) = state.opened().filter(|opened| !self.has(opened.origin.as_str())) {
            self.opened(Position::ZERO, opened.origin.as_str());
        }
    }

    /// Whether the log ever had that origin.
    pub(super) fn has(&self, origin: &str) -> bool {
        self.origins.iter().any(|(_, had)| had.as_str() == origin)
    }

    /// From which position on the log has that origin, if it ever had it.
    pub(super) fn since(&self, origin: &KeyName) -> Option<Position> {
        self.origins.iter().find(|(_, had)| had == origin).map(|(at, _)| *at)
    }

    /// Where the log gave that origin up, if it had it and did so before it had so many records.
    pub(super) fn ended(&self, origin: &KeyName, size: LogSize) -> Option<Position> {
        let began = self.origins.iter().position(|(_, had)| had == origin)?;
        let (ended, _) = self.origins.get(began + 1)?;
        size.holds(*ended).then_some(*ended)
    }

    /// The origin now.
    pub(super) fn origin(&self) -> Option<&KeyName> {
        self.origins.last().map(|(_, origin)| origin)
    }

    /// The origin after so many records.
    pub(super) fn origin_at(&self, size: LogSize) -> Option<&KeyName> {
        self.origins.iter().rfind(|(at, _)| size.holds(*at)).map(|(_, origin)| origin)
    }

    /// Whether position 0 was read.
    pub(super) fn is_named(&self) -> bool {
        !self.origins.is_empty()
    }

    /// Every key, with the number of records before the one that names it.
    pub(super) fn named(&self) -> impl DoubleEndedIterator<Item = (u64, &str)> {
        self.named.iter().map(|(at, key)| (at.get(), key.as_str()))
    }

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
        let origin = self.origin_at(size).ok_or(SignatureFault::NoKey)?;
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
                // A key of an origin that was given up vouches for nothing any more.
                if given.name() == origin && signed.iter().any(|by| by.key == given) {
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
