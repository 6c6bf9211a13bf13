//! Proofs of balances: that a fund or an account had these when the ledger was sealed, or that there
//! was none of that name. They need a checkpoint's key to be checked, and nothing else.

#[cfg(test)]
pub(crate) mod tests;
mod text;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Absence, AbsenceError, Member, ProofError, TreeHead, verify_absence};
use bergulir_chain::note::{KeyName, VerifierKey};
use bergulir_chain::proof::{InclusionError, LogProof};
use bergulir_chain::{Hash, Position, Record, RecordError, Timestamp, record};
use bergulir_domain::Event;
use bergulir_domain::command::Seal;
use thiserror::Error;

pub use text::{BalanceProofTextError, HEADER, MAX_LEAVES_SHOWN, SUFFIX};

use crate::balances::{BALANCE_TREE, BalanceAnswer, BalanceKey, Leaf, LeafError};
use crate::event::{EventError, decode_event};

/// What the balance tree of a seal has of a key, and the seal's place in the log. Its text is that
/// of `docs/format.md`, "Balance proof as text".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BalanceProof {
    /// Whose balances.
    pub key: BalanceKey,
    /// How many leaves the balance tree has. Whoever made the proof says so; what follows from it
    /// is checked.
    pub leaves: u64,
    /// The leaf of the key; or, if there is none, its neighbours, the lower one first.
    pub shown: Vec<Member>,
    /// That the seal is in the log, with the seal's record as the extra.
    pub seal: LogProof,
}

/// What a proof of balances proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proved {
    /// The checkpoint that the seal was proved to be under. Whether enough witnesses cosigned it, a
    /// [`Policy`](bergulir_chain::policy::Policy) says.
    pub checkpoint: Checkpoint,
    /// The seal: the balances are those after its `through`.
    pub seal: Seal,
    /// Where the seal stands.
    pub sealed_at: Position,
    /// When the seal was recorded.
    pub recorded_at: Timestamp,
    /// The balances; `None`: there was no such fund or account.
    pub leaf: Option<Leaf>,
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BalanceProofError {
    /// The seal's record is not there.
    #[error("the proof does not have the record of the seal")]
    NoRecord,
    /// What is there is not a record.
    #[error("the proof does not have the record of the seal, but something else: {0}")]
    Record(#[from] RecordError),
    /// The record says that it stands elsewhere.
    #[error("the record says that it is at position {stated}, and is proved at {proved}")]
    Position {
        /// The position in the record.
        stated: Position,
        /// The position in the proof.
        proved: Position,
    },
    /// The record is not proved to be in the log.
    #[error("the seal: {0}")]
    Inclusion(#[from] InclusionError),
    /// The event of the record cannot be read.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The record is not a seal.
    #[error("the record at position {0} is not a seal")]
    NotASeal(Position),
    /// A leaf is not one.
    #[error(transparent)]
    Leaf(#[from] LeafError),
    /// The leaf is not in the tree of the seal.
    #[error("the balance leaf: {0}")]
    NotInTree(#[from] ProofError),
    /// It does not follow that there is none.
    #[error("there may yet be such balances: {0}")]
    Absence(#[from] AbsenceError),
    /// There are more leaves than any proof needs.
    #[error("the proof shows {0} leaves, and two are the most that one needs")]
    TooManyLeaves(usize),
}

impl BalanceProof {
    /// Puts a proof together. `seal` has the record as its extra.
    pub fn new(key: BalanceKey, leaves: u64, answer: BalanceAnswer, seal: LogProof) -> Self {
        let shown = match answer {
            BalanceAnswer::Present(member) => vec![member],
            BalanceAnswer::Absent(Absence { before, after }) => {
                before.into_iter().chain(after).collect()
            }
        };
        Self { key, leaves, shown, seal }
    }

    /// Checks the proof with the keys that are trusted to sign for the log.
    ///
    /// # Errors
    /// If the balances, or that there are none, do not follow.
    pub fn verify<'k>(
        &self,
        origin: &KeyName,
        keys: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Proved, BalanceProofError> {
        let bytes = self.seal.extra.as_deref().ok_or(BalanceProofError::NoRecord)?;
        let sealed = Record::parse(bytes)?;
        let (stated, proved) = (sealed.position, self.seal.position);
        if stated != proved {
            return Err(BalanceProofError::Position { stated, proved });
        }
        let checkpoint = self.seal.verify(record::hash(bytes), origin, keys)?;
        let Event::Sealed(seal) = decode_event(sealed.event)? else {
            return Err(BalanceProofError::NotASeal(proved));
        };
        let leaf = self.verify_leaves(Hash::from_bytes(seal.balance_root))?;
        let recorded_at = sealed.recorded_at;
        Ok(Proved { checkpoint, seal, sealed_at: proved, recorded_at, leaf })
    }

    /// The leaf of the key in the tree with this root, or `None` if it has none.
    fn verify_leaves(&self, root: Hash) -> Result<Option<Leaf>, BalanceProofError> {
        let head = TreeHead { size: self.leaves, root };
        let leaves = self.shown.iter().map(|member| Leaf::parse(&member.leaf));
        let leaves = leaves.collect::<Result<Vec<_>, _>>()?;
        if let ([leaf], [member]) = (&*leaves, &*self.shown)
            && leaf.key() == self.key
        {
            member.verify(BALANCE_TREE, head)?;
            return Ok(Some(*leaf));
        }
        let (before, after) = match &*self.shown {
            [] => (None, None),
            [only] if leaves[0].key() < self.key => (Some(only), None),
            [only] => (None, Some(only)),
            [before, after] => (Some(before), Some(after)),
            more => return Err(BalanceProofError::TooManyLeaves(more.len())),
        };
        let absence = Absence { before: before.cloned(), after: after.cloned() };
        verify_absence(BALANCE_TREE, head, &self.key, Leaf::key_of, &absence)?;
        Ok(None)
    }
}
