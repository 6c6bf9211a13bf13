//! Snapshots: whole states of the ledger at some log size, so that a start need not replay the
//! log from its first record.

use bergulir_chain::LogSize;

use super::blocks::{Blocks, Kind, MAX_BODY_BYTES, Place, SEAL_BYTES, Section, ShelfWriter};
use super::run::pieces;
use super::{Index, IndexError, held};

/// How many snapshots are kept.
pub const KEPT_SNAPSHOTS: usize = 2;

const ROW_BYTES: usize = 28;

/// What the list says of one snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct SnapshotRow {
    size: u64,
    /// The number of its shelf.
    snapshot: u64,
    bytes: u64,
    crc: u32,
}

/// The snapshots, in the order of their log sizes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Snapshots {
    rows: Vec<SnapshotRow>,
}

impl Snapshots {
    pub(super) fn store(&self, blocks: &Blocks) -> Result<(), IndexError> {
        let mut value = vec![0; SEAL_BYTES];
        for row in &self.rows {
            for number in [row.size, row.snapshot, row.bytes] {
                value.extend_from_slice(&number.to_le_bytes());
            }
            value.extend_from_slice(&row.crc.to_le_bytes());
        }
        blocks.root().put(Place::Snapshots, &mut value)?;
        blocks.flush()
    }

    pub(super) fn load(blocks: &Blocks) -> Result<Self, IndexError> {
        let body = blocks.root().get(Place::Snapshots)?;
        let rows = pieces::<ROW_BYTES>(&body)?
            .iter()
            .filter_map(|row| {
                let long = |at: usize| Some(u64::from_le_bytes(*row[at..].first_chunk()?));
                Some(SnapshotRow {
                    size: long(0)?,
                    snapshot: long(8)?,
                    bytes: long(16)?,
                    crc: u32::from_le_bytes(*row.last_chunk()?),
                })
            })
            .collect::<Vec<_>>();
        if !rows.is_sorted_by(|one, next| one.size < next.size) {
            return Err(IndexError::damaged("the list of snapshots is out of order"));
        }
        Ok(Self { rows })
    }

    pub(super) fn remove_garbage(&self, blocks: &Blocks) -> Result<usize, IndexError> {
        blocks.remove_unknown(Kind::Snapshot, |snapshot| {
            self.rows.iter().any(|row| row.snapshot == snapshot)
        })
    }
}

impl Index {
    /// Keeps the bytes of a state after `size` records; durable on return. Of more than
    /// [`KEPT_SNAPSHOTS`] the ones of the smallest logs are removed. A snapshot of the same size
    /// is replaced.
    pub fn put_snapshot(&self, size: LogSize, bytes: &[u8]) -> Result<(), IndexError> {
        let mut snapshots = held(&self.snapshots);
        let used = snapshots.rows.iter().map(|row| row.snapshot + 1).max().unwrap_or_default();
        let row = SnapshotRow {
            size: size.get(),
            snapshot: used,
            bytes: bytes.len() as u64,
            crc: crc32fast::hash(bytes),
        };
        // Left over from an attempt that failed: the number is given out again.
        snapshots.remove_garbage(&self.blocks)?;
        let mut shelf = ShelfWriter::new(self.blocks.shelf(Kind::Snapshot, row.snapshot)?);
        for piece in bytes.chunks(MAX_BODY_BYTES) {
            let mut value = vec![0; SEAL_BYTES];
            value.extend_from_slice(piece);
            shelf.push(Section::Records, &mut value)?;
        }
        self.blocks.flush()?;

        let mut next = snapshots.clone();
        next.rows.retain(|kept| kept.size != row.size);
        next.rows.push(row);
        next.rows.sort_by_key(|row| row.size);
        let surplus = next.rows.len().saturating_sub(KEPT_SNAPSHOTS);
        next.rows.drain(..surplus);
        next.store(&self.blocks)?;
        *snapshots = next;
        snapshots.remove_garbage(&self.blocks).map(|_| ())
    }

    /// The log sizes of the snapshots, the largest last.
    pub fn snapshots(&self) -> Vec<LogSize> {
        held(&self.snapshots).rows.iter().map(|row| LogSize::new(row.size)).collect()
    }

    /// The bytes of the snapshot of this log size, or `None` if there is none.
    ///
    /// A damaged one is an error; an older one may still be whole.
    pub fn snapshot(&self, size: LogSize) -> Result<Option<Vec<u8>>, IndexError> {
        // Held while reading: a snapshot must not be removed half-way.
        let snapshots = held(&self.snapshots);
        let Some(row) = snapshots.rows.iter().find(|row| row.size == size.get()) else {
            return Ok(None);
        };
        let pieces = row.bytes.div_ceil(MAX_BODY_BYTES as u64);
        let shelf = self.blocks.shelf(Kind::Snapshot, row.snapshot)?;
        let mut bytes = Vec::new();
        for number in 0..u32::try_from(pieces).unwrap_or(u32::MAX) {
            bytes.extend_from_slice(&shelf.get(Place::Part(Section::Records, number))?);
        }
        if bytes.len() as u64 != row.bytes || crc32fast::hash(&bytes) != row.crc {
            return Err(IndexError::damaged(format!(
                "the snapshot of {size} records is not whole"
            )));
        }
        Ok(Some(bytes))
    }
}
