//! The sled index: everything about a ledger that can be rebuilt from its log.
//!
//! A small packed log-structured merge tree. Additions are first in memory, where trails see them at
//! once, then in sorted runs of blocks of about 7 kB, which are sled's values (one value
//! for some 350 records: single small puts cost 6 µs each and more). A manifest names the live
//! runs and the log size that they cover; it is written only after their blocks are durable.
//!
//! Invariants:
//! - sled is never trusted. Every value carries a checksum over its bytes and its place; every
//!   fence repeats the one of its block. What is wrong is [`IndexError::Damaged`], and the caller
//!   rebuilds. An index that will not open is made fresh by [`Index::open`].
//! - After a crash the index stands at its last manifest; the log is replayed from
//!   [`Index::applied`]. Every manifest ends where a batch ended, so the hash of its last record is
//!   known: [`Index::applied_head`] tells whether it is on this log, or on one that was cut or
//!   restored since.
//! - No lock that a look-up takes is held while sled reads, writes or syncs.
//! - Runs of one table cover stretches of the log that do not overlap, older ones first.
//! - The tiles that a log size asks for are on disk, or in memory, before `applied` says so.
//!
//! A lock is taken only while holding ones before it in this order: applier, what is written out,
//! merges, manifest, the view of a table, the levels of the tiles or what is applied. Snapshots have a lock of their own;
//! they are plain files beside sled's.

mod batch;
mod block;
mod blocks;
mod columns;
mod digest;
mod error;
mod filter;
mod hasher;
mod key_block;
mod manifest;
mod memtable;
mod merge;
mod numbers;
mod open;
mod run;
mod snapshot;
mod sorted;
mod table;
#[cfg(test)]
mod tests;
mod tiles;
mod trail_block;
mod work;
mod write_out;
mod written_once;

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};

use bergulir_chain::{Hash, LogSize, Position};

pub use batch::{IndexBatch, MAX_LINE_NUMBERS};
pub use columns::Line;
pub use error::IndexError;
pub use open::Opened;
pub use snapshot::{KEPT_SNAPSHOTS, SnapshotDraft};
pub use table::Direction;
pub use written_once::NextRead;

use blocks::Blocks;
use hasher::KeyHasher;
use manifest::Manifest;
use merge::Merges;
use snapshot::Snapshots;
use table::{Table, TableId};
use tiles::TileRows;
use work::Work;
use write_out::{Applier, WriteOut};

use crate::log::Head;

/// How an index is opened.
#[derive(Clone, Debug)]
pub struct IndexOptions {
    /// The hash of the ledger's record 0: an index of another ledger is not taken on.
    pub identity: Hash,
    /// What sled may keep in memory, in bytes.
    pub cache_bytes: u64,
    /// The memtables are written out when they cover this many records of the log, at most
    /// 16 million. A batch goes into them whole, so a longer one passes it.
    pub memtable_records: usize,
    /// The memtables are written out when the additions in one take this many bytes.
    pub memtable_bytes: usize,
    /// How many runs of a level are merged into one of the next, at least 2.
    pub merge_width: usize,
    /// Whether [`Index::apply`] also writes out, merges and keeps snapshots. If not, something must
    /// call [`Index::work_once`] whenever there is [work](Index::wait_for_work).
    pub inline: bool,
    /// Seeds the hashes of a fresh index. Callers of the ledger must not be able to guess it:
    /// who can, can choose ids that make look-ups slow.
    pub hash_seed: u64,
}

impl IndexOptions {
    /// The usual options for the ledger whose record 0 has this hash, with a random seed.
    pub fn new(identity: Hash) -> Self {
        Self {
            identity,
            cache_bytes: 1 << 20,
            memtable_records: 65_536,
            memtable_bytes: 32 << 20,
            merge_width: 8,
            inline: true,
            hash_seed: RandomState::new().hash_one(identity.as_bytes()),
        }
    }
}

/// The index of one ledger. All methods take `&self`: any number of threads look up while one
/// applies and another does the [work](Index::work_once) that follows.
#[derive(Debug)]
pub struct Index {
    blocks: Blocks,
    hasher: KeyHasher,
    tables: [Table; TableId::COUNT],
    tile_rows: TileRows,
    applied: RwLock<Head>,
    written: AtomicU64,
    applier: Mutex<Applier>,
    write_out: Mutex<WriteOut>,
    manifest: Mutex<Manifest>,
    merges: Mutex<Merges>,
    snapshots: Mutex<Snapshots>,
    memtable_records: usize,
    memtable_bytes: usize,
    merge_width: usize,
    inline: bool,
    work: Work,
    /// Last, so that it is let go after sled is closed.
    _lock: File,
}

/// What one table of the index takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableStats {
    /// The number of sorted runs.
    pub runs: usize,
    /// Records in the runs.
    pub records_in_runs: u64,
    /// Records that are only in memory.
    pub records_in_memory: u64,
    /// The memory of the memtables, in bytes, with the room they keep.
    pub memtable_bytes: usize,
    /// The memory of filters and fences, in bytes.
    pub filter_bytes: usize,
}

/// What the index holds and takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexStats {
    /// Records below this log size are indexed.
    pub applied: LogSize,
    /// Records below this log size are indexed on disk as well.
    pub written: LogSize,
    /// Request ids.
    pub request_ids: TableStats,
    /// Bank references.
    pub bank_references: TableStats,
    /// Trails.
    pub trails: TableStats,
    /// What the files take on disk, in bytes.
    pub disk_bytes: u64,
}

impl Index {
    /// Records below this log size are indexed: apply the log from here.
    pub fn applied(&self) -> LogSize {
        self.applied_to().size
    }

    /// [`applied`](Self::applied), and the hash of the last record below it ([`Hash::ZERO`] if
    /// there is none), both of one moment. If the log has another record there, the index belongs
    /// to another history and is to be discarded.
    pub fn applied_head(&self) -> (LogSize, Hash) {
        let Head { size, hash } = self.applied_to();
        (size, hash)
    }

    fn applied_to(&self) -> Head {
        *self.applied.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records below this log size are written out: request ids and bank references are found
    /// there. Whoever needs those of newer records keeps them until then.
    pub fn written(&self) -> LogSize {
        LogSize::new(self.written.load(Ordering::Acquire))
    }

    /// The short form under which an id is kept; different ids may share one.
    pub fn key(&self, id: &[u8; 16]) -> u64 {
        self.hasher.key(u128::from_be_bytes(*id))
    }

    /// Where records are, of those that are [written](Self::written) out, that may carry this
    /// request id, ascending; mostly none is. All others surely do not carry it.
    ///
    /// A hit is to be confirmed against its record: different ids may share a short key.
    pub fn request_id(&self, id: &[u8; 16]) -> Result<Vec<Position>, IndexError> {
        self.positions_of(TableId::RequestIds, id)
    }

    /// Where records are that may name the bank reference with this fingerprint: as with
    /// [`request_id`](Self::request_id).
    pub fn bank_reference(&self, fingerprint: &[u8; 16]) -> Result<Vec<Position>, IndexError> {
        self.positions_of(TableId::BankReferences, fingerprint)
    }

    /// A short form of texts and a number, under which records can be indexed that name them. It is
    /// this index's own: callers of the ledger cannot choose texts that share one.
    pub fn fingerprint<const N: usize>(&self, texts: [&[u8]; N], number: u64) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&self.hasher.fingerprint(&texts, number).to_be_bytes());
        bytes
    }

    /// [`request_id`](Self::request_id) for the [keys](Self::key) of many ids at once, which costs a
    /// fraction: `found` is called with the number of each id that some record may carry, and with
    /// the positions.
    pub fn request_ids(
        &self,
        keys: &[u64],
        found: impl FnMut(usize, &[u64]),
    ) -> Result<(), IndexError> {
        self.table(TableId::RequestIds).positions(keys, u64::MAX, found)
    }

    /// [`bank_reference`](Self::bank_reference) for the [keys](Self::key) of many fingerprints at
    /// once, as [`request_ids`](Self::request_ids) does it.
    pub fn bank_references(
        &self,
        keys: &[u64],
        found: impl FnMut(usize, &[u64]),
    ) -> Result<(), IndexError> {
        self.table(TableId::BankReferences).positions(keys, u64::MAX, found)
    }

    /// [`bank_references`](Self::bank_references) of records below a position, which costs less if
    /// the index reaches far beyond it.
    pub fn bank_references_below(
        &self,
        below: Position,
        fingerprints: &[[u8; 16]],
        found: impl FnMut(usize, &[u64]),
    ) -> Result<(), IndexError> {
        let keys: Vec<u64> = fingerprints.iter().map(|print| self.key(print)).collect();
        self.table(TableId::BankReferences).positions(&keys, below.get(), found)
    }

    fn positions_of(&self, table: TableId, id: &[u8; 16]) -> Result<Vec<Position>, IndexError> {
        let key = self.key(id);
        let mut all = Vec::new();
        self.table(table).positions(&[key], u64::MAX, |_, positions| {
            all.extend(positions.iter().copied().map(Position::new));
        })?;
        Ok(all)
    }

    /// At most `limit` lines of an owner's trail at positions within the range, from the end that
    /// `direction` names.
    pub fn trail(
        &self,
        owner: u32,
        positions: Range<Position>,
        limit: usize,
        direction: Direction,
    ) -> Result<Vec<(Position, Line)>, IndexError> {
        let positions = positions.start.get()..positions.end.get();
        let trails = self.table(TableId::Trails);
        trails.range(u64::from(owner), &positions, limit, direction)
    }

    /// The last line of an owner's trail at or before a position, or `None` if there is none.
    pub fn trail_at(
        &self,
        owner: u32,
        at: Position,
    ) -> Result<Option<(Position, Line)>, IndexError> {
        let positions = Position::ZERO..at.next();
        Ok(self.trail(owner, positions, 1, Direction::NewestFirst)?.pop())
    }

    /// What the index holds and takes at this moment.
    pub fn stats(&self) -> Result<IndexStats, IndexError> {
        let written = held(&self.manifest).applied.size;
        let [request_ids, bank_references, trails] = &self.tables;
        Ok(IndexStats {
            applied: self.applied(),
            written,
            request_ids: request_ids.stats(),
            bank_references: bank_references.stats(),
            trails: trails.stats(),
            disk_bytes: self.blocks.bytes_on_disk()? + held(&self.snapshots).bytes_on_disk(),
        })
    }

    fn table(&self, table: TableId) -> &Table {
        &self.tables[table.index()]
    }
}

/// Takes a lock. After a panic of another thread the state behind it is still whole: every change
/// is made in memory only after sled has taken it.
fn held<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
