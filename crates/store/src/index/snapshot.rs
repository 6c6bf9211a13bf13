//! Snapshots: whole states of the ledger at some log size, so that a start need not replay the
//! log from its first record.

use std::sync::{Arc, Weak};

use bergulir_chain::LogSize;

use super::blocks::{
    Blocks, Kind, MAX_BODY_BYTES, MAX_VALUE_BYTES, Place, SEAL_BYTES, Section, ShelfWriter,
};
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

/// The snapshots.
#[derive(Clone, Debug, Default)]
pub(super) struct Snapshots {
    /// In the order of their log sizes.
    rows: Vec<SnapshotRow>,
    /// The numbers of the shelves that are being written, as long as somebody does.
    drafts: Vec<(u64, Weak<()>)>,
}

/// A snapshot that is being written. Dropped, it is as if it had never been.
#[derive(Debug)]
pub struct SnapshotDraft {
    number: u64,
    shelf: ShelfWriter,
    /// The value that is not full yet: room for its checksum, and what came last.
    rest: Vec<u8>,
    bytes: u64,
    crc: crc32fast::Hasher,
    _alive: Arc<()>,
}

impl SnapshotDraft {
    /// Writes the next bytes.
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<(), IndexError> {
        self.crc.update(bytes);
        self.bytes += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = MAX_VALUE_BYTES - self.rest.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.rest.extend_from_slice(now);
            bytes = later;
            if self.rest.len() == MAX_VALUE_BYTES {
                self.put()?;
            }
        }
        Ok(())
    }

    /// Puts what came last on the shelf.
    fn put(&mut self) -> Result<(), IndexError> {
        if self.rest.len() > SEAL_BYTES {
            self.shelf.push(Section::Records, &mut self.rest)?;
            self.rest.truncate(SEAL_BYTES);
        }
        Ok(())
    }
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
        Ok(Self { rows, drafts: Vec::new() })
    }

    pub(super) fn remove_garbage(&mut self, blocks: &Blocks) -> Result<usize, IndexError> {
        let Self { rows, drafts } = self;
        drafts.retain(|(_, draft)| draft.strong_count() > 0);
        blocks.remove_unknown(Kind::Snapshot, |snapshot| {
            rows.iter().any(|row| row.snapshot == snapshot)
                || drafts.iter().any(|(number, _)| *number == snapshot)
        })
    }

    /// The number of a new shelf.
    fn next_number(&self) -> u64 {
        let kept = self.rows.iter().map(|row| row.snapshot);
        let used = kept.chain(self.drafts.iter().map(|(number, _)| *number)).max();
        used.map_or(0, |used| used + 1)
    }
}

impl Index {
    /// Begins a snapshot: its bytes go onto a shelf as they come, so that a large state is never in
    /// memory twice. It is none of the index's until it is [kept](Index::keep_snapshot).
    pub fn begin_snapshot(&self) -> Result<SnapshotDraft, IndexError> {
        let mut snapshots = held(&self.snapshots);
        // Left over from attempts that failed or were given up.
        snapshots.remove_garbage(&self.blocks)?;
        let number = snapshots.next_number();
        let shelf = ShelfWriter::new(self.blocks.shelf(Kind::Snapshot, number)?);
        let alive = Arc::new(());
        snapshots.drafts.push((number, Arc::downgrade(&alive)));
        let (rest, crc) = (vec![0; SEAL_BYTES], crc32fast::Hasher::new());
        Ok(SnapshotDraft { number, shelf, rest, bytes: 0, crc, _alive: alive })
    }

    /// Keeps a snapshot of the state after `size` records, all of whose bytes were written; durable
    /// on return. Of more than [`KEPT_SNAPSHOTS`] the ones of the smallest logs are removed. One of
    /// the same size is replaced.
    pub fn keep_snapshot(&self, size: LogSize, mut draft: SnapshotDraft) -> Result<(), IndexError> {
        draft.put()?;
        let mut snapshots = held(&self.snapshots);
        self.blocks.flush()?;
        let row = SnapshotRow {
            size: size.get(),
            snapshot: draft.number,
            bytes: draft.bytes,
            crc: draft.crc.clone().finalize(),
        };
        let mut next = snapshots.clone();
        next.rows.retain(|kept| kept.size != row.size);
        next.rows.push(row);
        next.rows.sort_by_key(|row| row.size);
        let surplus = next.rows.len().saturating_sub(KEPT_SNAPSHOTS);
        next.rows.drain(..surplus);
        next.store(&self.blocks)?;
        *snapshots = next;
        drop(draft);
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
