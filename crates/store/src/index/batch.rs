//! What a run of consecutive records adds to the index.

use bergulir_chain::merkle::Subtree;
use bergulir_chain::tiles::{LEVELS, TILE_HEIGHT};
use bergulir_chain::{Hash, LogSize, Position};

use super::IndexError;
use super::table::TableId;
use crate::log::Head;

/// The longest trail value, in bytes. A block must hold one with room to spare.
pub const MAX_TRAIL_VALUE_BYTES: usize = 4096;

/// One addition: where it is found, and which bytes it carries.
#[derive(Clone, Copy, Debug)]
pub(super) struct Addition {
    pub(super) key: u128,
    pub(super) position: u64,
    /// Where its value begins and ends in the batch's bytes; empty for keys without values.
    pub(super) value: (usize, usize),
}

/// What the records from one log size to another add to the index, in the order of the log.
///
/// Buffers are kept by [`begin`](Self::begin), so one batch can be filled again and again.
///
/// ```
/// use bergulir_chain::merkle::{Prefixes, Tree};
/// use bergulir_chain::{Hash, LogSize, Position};
/// use bergulir_store::index::IndexBatch;
///
/// let mut tree = Tree::new(Prefixes::RFC_6962);
/// let mut batch = IndexBatch::new(LogSize::EMPTY);
/// for record in 0..2 {
///     batch.request_id(Position::new(record), &[1; 16]);
///     batch.trail(Position::new(record), 42, b"balance 100")?;
///     let record_hash = Hash::from_bytes([8; 32]);
///     tree.push_hash_with(record_hash, |subtree, root| batch.completed(subtree, root));
/// }
/// assert_eq!(batch.to(), LogSize::new(2));
/// # Ok::<(), bergulir_store::index::IndexError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct IndexBatch {
    from: LogSize,
    additions: [Vec<Addition>; TableId::COUNT],
    values: Vec<u8>,
    /// What the records add to each level of the tiles; to the lowest one, their own hashes.
    hashes: [Vec<Hash>; LEVELS as usize],
}

impl IndexBatch {
    /// An empty batch of the records from this log size on.
    pub fn new(from: LogSize) -> Self {
        Self { from, ..Self::default() }
    }

    /// Empties the batch and begins again at this log size, keeping the buffers.
    pub fn begin(&mut self, from: LogSize) {
        self.from = from;
        self.additions.iter_mut().for_each(Vec::clear);
        self.values.clear();
        self.hashes.iter_mut().for_each(Vec::clear);
    }

    /// The log size before the first record of the batch.
    pub fn from(&self) -> LogSize {
        self.from
    }

    /// The log size after the last record that the batch covers.
    pub fn to(&self) -> LogSize {
        LogSize::new(self.from.get() + self.hashes[0].len() as u64)
    }

    /// The record at `position` carries this request id.
    pub fn request_id(&mut self, position: Position, id: &[u8; 16]) {
        self.add(TableId::RequestIds, u128::from_be_bytes(*id), position, &[]);
    }

    /// The record at `position` names the bank reference with this fingerprint. Any number of
    /// records may name the same one.
    pub fn bank_reference(&mut self, position: Position, fingerprint: &[u8; 16]) {
        self.add(TableId::BankReferences, u128::from_be_bytes(*fingerprint), position, &[]);
    }

    /// The record at `position` leaves `value` in the trail of `owner`. A second value of the same
    /// owner at the same position replaces the first.
    ///
    /// Fails if the value is longer than [`MAX_TRAIL_VALUE_BYTES`].
    pub fn trail(
        &mut self,
        position: Position,
        owner: u32,
        value: &[u8],
    ) -> Result<(), IndexError> {
        if value.len() > MAX_TRAIL_VALUE_BYTES {
            return Err(IndexError::TrailValueTooLong {
                bytes: value.len(),
                most: MAX_TRAIL_VALUE_BYTES,
            });
        }
        self.add(TableId::Trails, u128::from(owner), position, value);
        Ok(())
    }

    /// A record of the batch completes this subtree of the log's tree, which has this root: to be
    /// told of each, in the order in which the tree tells it. A record itself is a subtree, of
    /// level 0, and is covered by the batch from then on, also if it adds nothing else. Subtrees
    /// whose roots no tile holds are passed over.
    pub fn completed(&mut self, subtree: Subtree, root: Hash) {
        if subtree.level.is_multiple_of(TILE_HEIGHT)
            && let Some(row) = self.hashes.get_mut(usize::from(subtree.level / TILE_HEIGHT))
        {
            row.push(root);
        }
    }

    /// The end of the log that the index stands at once the batch is applied. The hash of a batch
    /// that covers no record is never looked at.
    pub(super) fn head(&self) -> Head {
        let hash = self.hashes[0].last().copied().unwrap_or(Hash::ZERO);
        Head { size: self.to(), hash }
    }

    /// What the batch adds to the tiles, level by level.
    pub(super) const fn hashes(&self) -> &[Vec<Hash>; LEVELS as usize] {
        &self.hashes
    }

    #[cfg(test)]
    pub(super) const fn hashes_mut(&mut self) -> &mut [Vec<Hash>; LEVELS as usize] {
        &mut self.hashes
    }

    pub(super) fn additions(&self, table: TableId) -> &[Addition] {
        &self.additions[table.index()]
    }

    pub(super) fn value(&self, addition: &Addition) -> &[u8] {
        &self.values[addition.value.0..addition.value.1]
    }

    /// Every addition lies within the records covered, and in the order of the log; and the tiles
    /// get as many hashes as the records complete.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        let to = self.to();
        for additions in &self.additions {
            let mut least = self.from.get();
            for addition in additions {
                if addition.position < least || addition.position >= to.get() {
                    return Err(IndexError::OutOfOrder {
                        position: Position::new(addition.position),
                        from: self.from,
                        to,
                    });
                }
                least = addition.position;
            }
        }
        for (level, given) in (0..LEVELS).zip(&self.hashes) {
            let complete = |size: LogSize| size.get() >> (level * TILE_HEIGHT);
            let (given, expected) = (given.len() as u64, complete(to) - complete(self.from));
            if given != expected {
                return Err(IndexError::TileHashes { level, given, expected });
            }
        }
        Ok(())
    }

    fn add(&mut self, table: TableId, key: u128, position: Position, value: &[u8]) {
        let start = self.values.len();
        self.values.extend_from_slice(value);
        self.additions[table.index()].push(Addition {
            key,
            position: position.get(),
            value: (start, self.values.len()),
        });
    }
}
