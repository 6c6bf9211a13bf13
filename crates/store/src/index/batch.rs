//! What a run of consecutive records adds to the index.

use bergulir_chain::merkle::Subtree;
use bergulir_chain::tiles::TILE_HEIGHT;
use bergulir_chain::{Hash, LogSize, Position};

use super::IndexError;
use super::columns::Columns;
use super::memtable::MAX_RECORDS;
use super::numbers::MAX_NUMBERS;
use super::table::TableId;
use super::tiles::{KEPT_LEVELS, kept_levels};
use crate::log::Head;

/// The most numbers of a line of a trail.
pub const MAX_LINE_NUMBERS: usize = MAX_NUMBERS;

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
///     batch.trail(Position::new(record), 42, 1, &[100, -7])?;
///     let record_hash = Hash::from_bytes([8; 32]);
///     tree.push_hash_with(record_hash, |subtree, root| batch.completed(subtree, root));
/// }
/// assert_eq!(batch.to(), LogSize::new(2));
/// # Ok::<(), bergulir_store::index::IndexError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct IndexBatch {
    from: LogSize,
    request_ids: Vec<(u128, u64)>,
    bank_references: Vec<(u128, u64)>,
    trails: Columns,
    /// How many records the batch covers.
    records: u64,
    /// The hash of the last one.
    last: Hash,
    /// What they add to each level of tiles that is kept.
    hashes: [Vec<Hash>; KEPT_LEVELS],
}

impl IndexBatch {
    /// An empty batch of the records from this log size on.
    pub fn new(from: LogSize) -> Self {
        Self { from, ..Self::default() }
    }

    /// Empties the batch and begins again at this log size, keeping the buffers.
    pub fn begin(&mut self, from: LogSize) {
        self.from = from;
        self.request_ids.clear();
        self.bank_references.clear();
        self.trails.clear();
        self.records = 0;
        self.last = Hash::ZERO;
        self.hashes.iter_mut().for_each(Vec::clear);
    }

    /// The log size before the first record of the batch.
    pub fn from(&self) -> LogSize {
        self.from
    }

    /// The log size after the last record that the batch covers.
    pub fn to(&self) -> LogSize {
        LogSize::new(self.from.get() + self.records)
    }

    /// The record at `position` carries this request id.
    pub fn request_id(&mut self, position: Position, id: &[u8; 16]) {
        self.request_ids.push((u128::from_be_bytes(*id), position.get()));
    }

    /// The record at `position` names the bank reference with this fingerprint. Any number of
    /// records may name the same one.
    pub fn bank_reference(&mut self, position: Position, fingerprint: &[u8; 16]) {
        self.bank_references.push((u128::from_be_bytes(*fingerprint), position.get()));
    }

    /// The record at `position` leaves a line in the trail of `owner`: numbers of which few change
    /// from one line of the owner to the next, and a tag that tells what they are. A second line of
    /// the same owner at the same position replaces the first.
    ///
    /// Fails if there are more than [`MAX_LINE_NUMBERS`].
    pub fn trail(
        &mut self,
        position: Position,
        owner: u32,
        tag: u8,
        numbers: &[i64],
    ) -> Result<(), IndexError> {
        if numbers.len() > MAX_LINE_NUMBERS {
            let (numbers, most) = (numbers.len(), MAX_LINE_NUMBERS);
            return Err(IndexError::LineTooLong { numbers, most });
        }
        self.trails.push(owner, position.get(), tag, numbers);
        Ok(())
    }

    /// A record of the batch completes this subtree of the log's tree, which has this root: to be
    /// told of each, in the order in which the tree tells it. A record itself is a subtree, of
    /// level 0, and is covered by the batch from then on, also if it adds nothing else. Subtrees
    /// whose roots no tile of the index holds are passed over.
    pub fn completed(&mut self, subtree: Subtree, root: Hash) {
        if subtree.level == 0 {
            self.records += 1;
            self.last = root;
        } else if subtree.level.is_multiple_of(TILE_HEIGHT)
            && let Some(row) = self.hashes.get_mut(usize::from(subtree.level / TILE_HEIGHT) - 1)
        {
            row.push(root);
        }
    }

    /// The end of the log that the index stands at once the batch is applied. The hash of a batch
    /// that covers no record is never looked at.
    pub(super) fn head(&self) -> Head {
        Head { size: self.to(), hash: self.last }
    }

    /// What the batch adds to the tiles, level by level of those that are kept.
    pub(super) const fn hashes(&self) -> &[Vec<Hash>; KEPT_LEVELS] {
        &self.hashes
    }

    #[cfg(test)]
    pub(super) const fn hashes_mut(&mut self) -> &mut [Vec<Hash>; KEPT_LEVELS] {
        &mut self.hashes
    }

    /// The ids that the batch adds to a table, with their positions.
    pub(super) fn ids(&self, table: TableId) -> &[(u128, u64)] {
        match table {
            TableId::RequestIds => &self.request_ids,
            TableId::BankReferences => &self.bank_references,
            TableId::Trails => &[],
        }
    }

    pub(super) const fn trails(&self) -> &Columns {
        &self.trails
    }

    /// Every addition lies within the records covered, and in the order of the log; and the tiles
    /// get as many hashes as the records complete.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        let to = self.to();
        let records = usize::try_from(self.records).unwrap_or(usize::MAX);
        if records > MAX_RECORDS / 2 {
            return Err(IndexError::BatchTooLarge { additions: records, most: MAX_RECORDS / 2 });
        }
        for ids in [&self.request_ids, &self.bank_references] {
            self.check_order(ids.iter().map(|(_, position)| *position))?;
        }
        self.check_order(self.trails.positions())?;
        let (additions, most) = (self.trails.words(), MAX_RECORDS / 2);
        if additions > most {
            return Err(IndexError::BatchTooLarge { additions, most });
        }
        for (level, given) in kept_levels().zip(&self.hashes) {
            let complete = |size: LogSize| size.get() >> (level * TILE_HEIGHT);
            let (given, expected) = (given.len() as u64, complete(to) - complete(self.from));
            if given != expected {
                return Err(IndexError::TileHashes { level, given, expected });
            }
        }
        Ok(())
    }

    fn check_order(&self, positions: impl ExactSizeIterator<Item = u64>) -> Result<(), IndexError> {
        let (from, to, additions) = (self.from, self.to(), positions.len());
        if additions > MAX_RECORDS / 2 {
            return Err(IndexError::BatchTooLarge { additions, most: MAX_RECORDS / 2 });
        }
        let mut least = from.get();
        for position in positions {
            if position < least || position >= to.get() {
                let position = Position::new(position);
                return Err(IndexError::OutOfOrder { position, from, to });
            }
            least = position;
        }
        Ok(())
    }
}
