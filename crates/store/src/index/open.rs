//! Opening an index, or making a fresh one where the old one cannot be used.

use std::fs::{self, File, TryLockError};
use std::path::Path;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, RwLock};

use bergulir_chain::Hash;
use tracing::warn;

use super::blocks::{Blocks, Kind, Place, SEAL_BYTES, ShelfWriter};
use super::hasher::KeyHasher;
use super::manifest::Manifest;
use super::memtable::MAX_RECORDS;
use super::merge::Merges;
use super::run::Run;
use super::snapshot::{self, Snapshots};
use super::table::{Table, TableId};
use super::tiles::TileRows;
use super::work::Work;
use super::write_out::{Applier, WriteOut};
use super::{Index, IndexError, IndexOptions};

/// The version of everything stored here. Another one means: rebuild.
const FORMAT: u32 = 11;

const MARKER_BYTES: usize = 44;

/// A memtable that is not full takes a batch whole: half of what there can be is for that.
const MAX_MEMTABLE_BYTES: usize = MAX_RECORDS / 2 * size_of::<u64>();

/// sled's files, and where they wait for their removal.
const FOLDER: &str = "sled";
const DISCARDED: &str = "discarded";
const LOCK: &str = "LOCK";

/// An index, and whether it is what was there before.
#[derive(Debug)]
pub struct Opened {
    /// The index. If [`Index::applied_head`] lies on the log, replay the log from there; if not,
    /// it is the index of another history: [`discard`](Index::discard) it.
    pub index: Index,
    /// Why the index is empty now, in words for an operator; `None` if the old one was taken on.
    pub fresh_because: Option<String>,
}

impl Index {
    /// Opens the index in this folder. One that is missing, of another format or ledger, damaged,
    /// or that sled will not open is removed and made fresh.
    ///
    /// Fails only if a fresh one cannot be made either, if the index is already open, or for want of
    /// room.
    pub fn open(folder: &Path, options: &IndexOptions) -> Result<Opened, IndexError> {
        let lock = lock(folder)?;
        let sled_folder = folder.join(FOLDER);
        let reason = if sled_folder.exists() {
            match Parts::load(folder, options) {
                Ok(parts) => {
                    let index = parts.into_index(options, lock);
                    return Ok(Opened { index, fresh_because: None });
                }
                Err(error @ IndexError::InUse { .. }) => return Err(error),
                Err(error) if error.is_for_want_of_room() => return Err(error),
                Err(error) => {
                    let reason = reason(&error);
                    warn!(folder = %folder.display(), %reason, "the index is made anew");
                    reason
                }
            }
        } else {
            "there was no index".to_owned()
        };
        discard_unlocked(folder)?;
        let parts = Parts::create(folder, options)?;
        Ok(Opened { index: parts.into_index(options, lock), fresh_because: Some(reason) })
    }

    /// Removes the index in this folder, if there is one; the next open makes a fresh one.
    pub fn discard(folder: &Path) -> Result<(), IndexError> {
        let _lock = lock(folder)?;
        discard_unlocked(folder)
    }
}

fn reason(error: &IndexError) -> String {
    match error {
        IndexError::Sled { doing, source } => format!("{doing} failed: {source}"),
        IndexError::Damaged { what } => what.clone(),
        other => other.to_string(),
    }
}

fn lock(folder: &Path) -> Result<File, IndexError> {
    fs::create_dir_all(folder).map_err(io_error("creating", folder))?;
    let path = folder.join(LOCK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(io_error("opening", &path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(IndexError::InUse { path: folder.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error("locking", &path)(source)),
    }
}

/// Removes the snapshots, and then sled's folder, which is moved away before: threads of a sled that
/// failed to open may still write, and must not find the fresh files.
fn discard_unlocked(folder: &Path) -> Result<(), IndexError> {
    let discarded = folder.join(DISCARDED);
    let remove = || {
        if discarded.exists() { fs::remove_dir_all(&discarded) } else { Ok(()) }
    };
    remove().map_err(io_error("removing", &discarded))?;
    let snapshots = folder.join(snapshot::FOLDER);
    if snapshots.exists() {
        fs::remove_dir_all(&snapshots).map_err(io_error("removing", &snapshots))?;
    }
    let sled_folder = folder.join(FOLDER);
    if sled_folder.exists() {
        fs::rename(&sled_folder, &discarded).map_err(io_error("moving away", &sled_folder))?;
    }
    remove().map_err(io_error("removing", &discarded))
}

fn io_error(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> IndexError {
    let path = path.to_owned();
    move |source| IndexError::Io { doing, path, source }
}

/// What is read before an index can be used.
struct Parts {
    blocks: Blocks,
    hasher: KeyHasher,
    manifest: Manifest,
    runs: [Vec<Arc<Run>>; TableId::COUNT],
    tiles: (TileRows, ShelfWriter),
    snapshots: Snapshots,
}

impl Parts {
    fn create(folder: &Path, options: &IndexOptions) -> Result<Self, IndexError> {
        let blocks = Blocks::open(&folder.join(FOLDER), options.cache_bytes)?;
        let manifest = Manifest::default();
        manifest.store(&blocks)?;
        let snapshots = Snapshots::open(folder, options.identity)?;
        let tiles = TileRows::load(&blocks, manifest.applied.size)?;
        // Last: an index without a marker is not taken for one.
        let mut marker = vec![0; SEAL_BYTES];
        marker.extend_from_slice(&FORMAT.to_le_bytes());
        marker.extend_from_slice(options.identity.as_bytes());
        marker.extend_from_slice(&options.hash_seed.to_le_bytes());
        blocks.root().put(Place::Marker, &mut marker)?;
        blocks.flush()?;
        let hasher = KeyHasher::new(options.hash_seed);
        Ok(Self { blocks, hasher, manifest, runs: Default::default(), tiles, snapshots })
    }

    fn load(folder: &Path, options: &IndexOptions) -> Result<Self, IndexError> {
        let blocks = Blocks::open(&folder.join(FOLDER), options.cache_bytes)?;
        let seed = read_marker(&blocks, options.identity)?;
        let manifest = Manifest::load(&blocks)?;
        let snapshots = Snapshots::open(folder, options.identity)?;

        // What no manifest names was being written, or removed, when the index was last closed.
        let runs = blocks.remove_unknown(Kind::Run, |run| manifest.is_live(run))?;
        if runs > 0 {
            blocks.flush()?;
        }

        let mut tables: [Vec<Arc<Run>>; TableId::COUNT] = Default::default();
        for table in TableId::ALL {
            for row in manifest.runs(table) {
                tables[table.index()].push(Arc::new(Run::load(&blocks, *row)?));
            }
        }
        let tiles = TileRows::load(&blocks, manifest.applied.size)?;
        let hasher = KeyHasher::new(seed);
        Ok(Self { blocks, hasher, manifest, runs: tables, tiles, snapshots })
    }

    fn into_index(self, options: &IndexOptions, lock: File) -> Index {
        let room = options.memtable_records.clamp(1, MAX_RECORDS / 4);
        let mut runs = self.runs;
        let tables = TableId::ALL
            .map(|table| Table::new(table, room, std::mem::take(&mut runs[table.index()])));
        let applied = self.manifest.applied;
        let (tile_rows, tile_writer) = self.tiles;
        Index {
            blocks: self.blocks,
            hasher: self.hasher,
            tables,
            tile_rows,
            applied: RwLock::new(applied),
            written: AtomicU64::new(applied.size.get()),
            applier: Mutex::new(Applier::new(applied.size)),
            write_out: Mutex::new(WriteOut::new(tile_writer)),
            manifest: Mutex::new(self.manifest),
            merges: Mutex::new(Merges::default()),
            snapshots: Mutex::new(self.snapshots),
            memtable_records: room,
            memtable_bytes: options.memtable_bytes.min(MAX_MEMTABLE_BYTES),
            merge_width: options.merge_width.max(2),
            inline: options.inline,
            work: Work::default(),
            _lock: lock,
        }
    }
}

/// Checks format and identity, and returns the seed of the hashes.
fn read_marker(blocks: &Blocks, identity: Hash) -> Result<u64, IndexError> {
    let marker = blocks.root().get(Place::Marker)?;
    let format = marker.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
    if format != Some(FORMAT) || marker.len() != MARKER_BYTES {
        return Err(IndexError::damaged(format!(
            "the index has format {format:?}, this program writes {FORMAT}"
        )));
    }
    if marker[4..36] != *identity.as_bytes() {
        return Err(IndexError::damaged("the index belongs to another ledger"));
    }
    let seed = marker.last_chunk().map(|bytes| u64::from_le_bytes(*bytes));
    seed.ok_or_else(|| IndexError::damaged("the marker is too short"))
}
