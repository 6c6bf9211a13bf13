//! The bytes of a replica: what a seal's state digest is over, and what a start goes on from.

use bergulir_chain::merkle::{Prefixes, Tree, TreeError};
use bergulir_chain::{ChainCursor, Hash};
use bergulir_domain::State;
use bergulir_domain::state::encoding::DecodeError;
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::Replica;
use crate::statement::Statement;

/// The version of the snapshot encoding, its first byte.
const SNAPSHOT_VERSION: u8 = 1;

/// About so many bytes of a snapshot are made at once.
pub(super) const PIECE_BYTES: usize = 64 << 10;

impl Replica {
    /// The bytes that a seal's state digest is over, from which [`Replica::restore`] goes on.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write_snapshot(&mut out, &mut |_| ());
        out
    }

    /// Gives the bytes of the snapshot piece by piece, and at the end their [`digest`].
    ///
    /// Its memory does not grow with the state.
    pub fn snapshot_in_pieces(&self, mut give: impl FnMut(&[u8])) -> Hash {
        let mut digest = Sha256::new();
        let mut piece = |piece: &[u8]| {
            digest.update(piece);
            give(piece);
        };
        let mut out = Vec::new();
        self.write_snapshot(&mut out, &mut |out| {
            if out.len() >= PIECE_BYTES {
                piece(out);
                out.clear();
            }
        });
        piece(&out);
        Hash::from_bytes(digest.finalize().into())
    }

    /// Appends the snapshot to `out`; `more` may take out what is in it on the way.
    fn write_snapshot(&self, out: &mut Vec<u8>, more: &mut impl FnMut(&mut Vec<u8>)) {
        self.put_before_accounts(out);
        more(out);
        let accounts = self.state.accounts().iter().map(|(index, _)| self.account_statement(index));
        put_statements(accounts, out);
        more(out);
        self.state.encode_in_pieces(out, more);
    }

    /// What stands before the statements of accounts.
    pub(super) fn put_before_accounts(&self, out: &mut Vec<u8>) {
        out.push(SNAPSHOT_VERSION);
        out.extend_from_slice(self.head_hash().as_bytes());
        put_length(self.tree.subtrees().len(), out);
        for peak in self.tree.subtrees() {
            out.extend_from_slice(peak.as_bytes());
        }
        out.extend_from_slice(&self.recorded_at.as_micros().to_le_bytes());
        let funds = self.state.funds().iter().map(|(index, _)| self.fund_statement(index));
        put_statements(funds, out);
    }

    /// The replica of a snapshot. Trust it only if its [`digest`] is the one of a seal.
    ///
    /// # Errors
    /// If the bytes are not a snapshot.
    pub fn restore(bytes: &[u8]) -> Result<Replica, SnapshotError> {
        let from = &mut &*bytes;
        let [version] = take(from)?;
        if version != SNAPSHOT_VERSION {
            return Err(SnapshotError::Version(version));
        }
        let hash = Hash::from_bytes(take(from)?);
        let peaks = (0..u32::from_le_bytes(take(from)?))
            .map(|_| take(from).map(Hash::from_bytes))
            .collect::<Result<_, _>>()?;
        let recorded_at = bergulir_chain::Timestamp::from_micros(i64::from_le_bytes(take(from)?));
        let funds = take_statements(from)?;
        let accounts = take_statements(from)?;
        let state = State::decode(from)?;
        let next = bergulir_chain::Position::new(state.size());
        let cursor = ChainCursor::resume(next, hash);
        let tree = Tree::resume(Prefixes::RFC_6962, state.size(), peaks)?;
        if funds.len() != state.funds().len() || accounts.len() != state.accounts().len() {
            return Err(SnapshotError::Statements);
        }
        Ok(Replica { state, cursor, recorded_at, tree, funds, accounts })
    }
}

/// Why bytes are not a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum SnapshotError {
    /// They end too early.
    #[error("the snapshot ends too early")]
    Short,
    /// They are of another version.
    #[error("version {0} of the snapshot is not known here")]
    Version(u8),
    /// The tree over the records has not the parts that one of this size has.
    #[error("the snapshot's tree does not fit its state: {0}")]
    Tree(#[from] TreeError),
    /// The statements do not belong to the state.
    #[error("the snapshot's statements do not fit its state")]
    Statements,
    /// The state cannot be decoded.
    #[error("the snapshot's state cannot be read: {0}")]
    State(#[from] DecodeError),
}

/// SHA-256 of a snapshot: the state digest of its seal.
pub fn digest(snapshot: &[u8]) -> Hash {
    Hash::from_bytes(Sha256::digest(snapshot).into())
}

pub(super) fn put_length(length: usize, out: &mut Vec<u8>) {
    let length = u32::try_from(length).expect("a state has fewer than 2^32 rows of anything");
    out.extend_from_slice(&length.to_le_bytes());
}

fn put_statements(statements: impl ExactSizeIterator<Item = Statement>, out: &mut Vec<u8>) {
    put_length(statements.len(), out);
    for statement in statements {
        statement.encode(out);
    }
}

fn take_statements(from: &mut &[u8]) -> Result<Vec<Statement>, SnapshotError> {
    (0..u32::from_le_bytes(take(from)?))
        .map(|_| Statement::take(from).ok_or(SnapshotError::Short))
        .collect()
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], SnapshotError> {
    let (head, rest) = from.split_first_chunk().ok_or(SnapshotError::Short)?;
    *from = rest;
    Ok(*head)
}
