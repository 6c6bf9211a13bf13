//! What a run of consecutive records adds to the index.

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
/// use bergulir_chain::{Hash, LogSize, Position};
/// use bergulir_store::index::IndexBatch;
///
/// let mut batch = IndexBatch::new(LogSize::new(7));
/// batch.request_id(Position::new(7), &[1; 16]);
/// batch.trail(Position::new(8), 42, b"balance 100")?;
/// let hash_of_record_8 = Hash::from_bytes([8; 32]);
/// batch.cover(LogSize::new(9), hash_of_record_8); // records 7 and 8
/// # Ok::<(), bergulir_store::index::IndexError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct IndexBatch {
    from: LogSize,
    /// The end of the log as the last covered record left it.
    to: Head,
    additions: [Vec<Addition>; TableId::COUNT],
    values: Vec<u8>,
}

impl IndexBatch {
    /// An empty batch of the records from this log size on.
    pub fn new(from: LogSize) -> Self {
        Self { from, to: uncovered(from), ..Self::default() }
    }

    /// Empties the batch and begins again at this log size, keeping the buffers.
    pub fn begin(&mut self, from: LogSize) {
        self.from = from;
        self.to = uncovered(from);
        self.additions.iter_mut().for_each(Vec::clear);
        self.values.clear();
    }

    /// The log size before the first record of the batch.
    pub fn from(&self) -> LogSize {
        self.from
    }

    /// The log size after the last record that the batch covers.
    pub fn to(&self) -> LogSize {
        self.to.size
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

    /// The batch covers all records below `to`, also those that add nothing; `head` is the hash of
    /// the last of them, by which an index is told from that of another history.
    ///
    /// Covering less than before changes nothing.
    pub fn cover(&mut self, to: LogSize, head: Hash) {
        if to > self.to.size {
            self.to = Head { size: to, hash: head };
        }
    }

    /// The end of the log that the index stands at once the batch is applied.
    pub(super) fn head(&self) -> Head {
        self.to
    }

    pub(super) fn additions(&self, table: TableId) -> &[Addition] {
        &self.additions[table.index()]
    }

    pub(super) fn value(&self, addition: &Addition) -> &[u8] {
        &self.values[addition.value.0..addition.value.1]
    }

    /// Every addition lies within the records covered, and in the order of the log.
    pub(super) fn check(&self) -> Result<(), IndexError> {
        for additions in &self.additions {
            let mut least = self.from.get();
            for addition in additions {
                if addition.position < least || addition.position >= self.to.size.get() {
                    return Err(IndexError::OutOfOrder {
                        position: Position::new(addition.position),
                        from: self.from,
                        to: self.to.size,
                    });
                }
                least = addition.position;
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

/// The end of a batch that covers no record yet: its hash is never looked at.
fn uncovered(from: LogSize) -> Head {
    Head { size: from, hash: Hash::ZERO }
}
