//! sled as a shelf of sealed values: nothing is believed before its checksum is right.

use std::any::Any;
use std::fs::File;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::IndexError;
use super::tiles::KEPT_LEVELS;

/// The largest value put into sled, in bytes.
///
/// A sled leaf holds up to 17 values before it is split, and one over 128 KiB goes to a blob file,
/// which sled never syncs: 18 values of this size still fit. In memory sled puts a count of eight bytes
/// before each: the two together are a size that allocators keep a class for, at seven eighths of 8 KiB.
pub(super) const MAX_VALUE_BYTES: usize = 7_160;

/// The bytes of a value that its checksum takes.
pub(super) const SEAL_BYTES: usize = 4;

/// The longest body of a value, in bytes.
pub(super) const MAX_BODY_BYTES: usize = MAX_VALUE_BYTES - SEAL_BYTES;

/// How often a page is looked at when a value is read from it.
///
/// sled spreads its pages over 256 parts of its cache, and goes through a part only at every 64th look
/// at a page of it: before, no page leaves, whatever the cache may hold. A page that was read for one
/// value takes up to 126 KB for that one look, and all of them took more than 100 MB.
const LOOKS: usize = 8;

/// How long an earlier handle in this process may take to let go of sled's file.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// Where a value lies on a shelf.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Format, identity and seed of the index.
    Marker,
    /// The live runs and the log size that they cover.
    Manifest,
    /// One of many values of a kind.
    Part(Section, u32),
}

/// What the numbered values of a shelf are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Blocks of records.
    Records,
    /// Where the blocks of a run begin.
    Fences,
    /// The filter of a run.
    Filter,
    /// The rows of hashes of one level of tiles, from 1 on.
    Tiles(u8),
}

/// The sections of a run; then those of the tiles, one a level.
const SECTIONS: usize = 3 + KEPT_LEVELS;

impl Section {
    const fn index(self) -> usize {
        match self {
            Self::Records => 0,
            Self::Fences => 1,
            Self::Filter => 2,
            Self::Tiles(level) => 2 + level as usize,
        }
    }
}

impl Place {
    /// Its key in sled, where each value has so many keys.
    fn key(self, spacing: u32) -> [u8; 5] {
        let (kind, number) = match self {
            Self::Marker => (b'm', 0),
            Self::Manifest => (b'm', 1),
            Self::Part(Section::Records, number) => (b'r', number),
            Self::Part(Section::Fences, number) => (b's', number),
            Self::Part(Section::Filter, number) => (b't', number),
            Self::Part(Section::Tiles(level), number) => (b'0' + level, number),
        };
        let [a, b, c, d] = number.saturating_mul(spacing).to_be_bytes();
        [kind, a, b, c, d]
    }
}

/// What a shelf of its own is kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Run,
    /// There is one, with the number 0.
    Tiles,
}

impl Kind {
    const fn prefix(self) -> u8 {
        match self {
            Self::Run => b'R',
            Self::Tiles => b'T',
        }
    }

    fn name(self, number: u64) -> [u8; 9] {
        let mut name = [self.prefix(); 9];
        name[1..].copy_from_slice(&number.to_be_bytes());
        name
    }
}

/// The body of a value whose checksum was right.
#[derive(Clone, Debug)]
pub(super) struct Body {
    value: sled::IVec,
    crc: u32,
}

impl Body {
    /// The checksum over place and body.
    pub(super) const fn crc(&self) -> u32 {
        self.crc
    }

    /// A body that was never stored: the first four bytes stand for its checksum.
    #[cfg(test)]
    pub(super) fn of(value: &[u8]) -> Self {
        let value = sled::IVec::from(value);
        Self { value, crc: 0 }
    }
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.value[SEAL_BYTES..]
    }
}

/// A sled tree of sealed values. Each run has its own, so that removing it frees
/// whole pages; removing value by value writes the rest of each page once more.
#[derive(Debug)]
pub(super) struct Shelf {
    tree: sled::Tree,
    /// How many keys of sled each value has. It lies under the first, and nothing under the others.
    spacing: u32,
}

impl Shelf {
    /// The same shelf with so many keys of sled for each value. A page of sled has 8 to 16 keys, and is
    /// read as a whole: so who reads one value reads fewer of the others.
    pub(super) fn spaced(self, spacing: u32) -> Self {
        Self { spacing, ..self }
    }

    fn key(&self, place: Place) -> [u8; 5] {
        place.key(self.spacing)
    }

    /// Seals and stores a body: the first four bytes of `value` are left free for the checksum.
    /// Returns the checksum.
    pub(super) fn put(&self, place: Place, value: &mut [u8]) -> Result<u32, IndexError> {
        debug_assert!(value.len() >= SEAL_BYTES, "the checksum has a place");
        let crc = self.seal(place, &value[SEAL_BYTES..]);
        value[..SEAL_BYTES].copy_from_slice(&crc.to_le_bytes());
        guarded("writing a block", || self.tree.insert(self.key(place), &*value))?;
        Ok(crc)
    }

    /// Reads a value, or `None` if there is none.
    pub(super) fn find(&self, place: Place) -> Result<Option<Body>, IndexError> {
        let key = self.key(place);
        let Some(value) = guarded("reading a block", || self.tree.get(key))? else {
            return Ok(None);
        };
        for _ in 1..LOOKS {
            guarded("reading a block", || self.tree.contains_key(key))?;
        }
        let stored = value.first_chunk::<SEAL_BYTES>().copied().map(u32::from_le_bytes);
        match stored {
            Some(crc) if crc == self.seal(place, &value[SEAL_BYTES..]) => {
                Ok(Some(Body { value, crc }))
            }
            _ => Err(IndexError::damaged(format!("the checksum of {place:?} is wrong"))),
        }
    }

    /// Reads a value that must be there.
    pub(super) fn get(&self, place: Place) -> Result<Body, IndexError> {
        self.find(place)?.ok_or_else(|| IndexError::damaged(format!("{place:?} is missing")))
    }

    /// The checksum covers tree and key too: a right value in a wrong place is damage.
    fn seal(&self, place: Place, body: &[u8]) -> u32 {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(&self.tree.name());
        hasher.update(&self.key(place));
        hasher.update(body);
        hasher.finalize()
    }

    #[cfg(test)]
    pub(super) fn remove(&self, place: Place) {
        self.tree.remove(self.key(place)).unwrap().expect("the value is there");
    }

    /// Changes one byte of a stored value, as a bad disk would.
    #[cfg(test)]
    pub(super) fn flip_byte(&self, place: Place, at: usize) {
        let mut value =
            self.tree.get(self.key(place)).unwrap().expect("the value is there").to_vec();
        let at = at % value.len();
        value[at] ^= 0x10;
        self.tree.insert(self.key(place), value).unwrap();
    }
}

/// Fills a shelf with numbered values, in the order of their numbers.
///
/// sled writes a page anew when it is split and after every ten changes. Filled in order, each
/// value of 7 kB would be written three times over. So small placeholders go ahead: the pages are
/// split while they are small, and the values that then take their places are written once.
#[derive(Debug)]
pub(super) struct ShelfWriter {
    shelf: Shelf,
    next: [u32; SECTIONS],
    /// How many keys of each section have a value or a placeholder.
    prepared: [u32; SECTIONS],
}

/// So many placeholders lie ahead of the key of the value that is written: more than the half of a page that
/// a split writes anew.
const AHEAD: u32 = 32;

impl ShelfWriter {
    pub(super) fn new(shelf: Shelf) -> Self {
        Self { shelf, next: [0; SECTIONS], prepared: [0; SECTIONS] }
    }

    /// The next value of a section gets this number. One that is there already stays until then.
    pub(super) fn go_on_at(&mut self, section: Section, number: u32) {
        self.next[section.index()] = number;
        let prepared = &mut self.prepared[section.index()];
        *prepared = (*prepared).max((number + 1) * self.shelf.spacing);
    }

    /// Seals and stores the next value of a section; returns the checksum.
    pub(super) fn push(&mut self, section: Section, value: &mut [u8]) -> Result<u32, IndexError> {
        let number = self.next[section.index()];
        let prepared = &mut self.prepared[section.index()];
        let key = number * self.shelf.spacing;
        if *prepared < key + AHEAD {
            for ahead in *prepared..key + 2 * AHEAD {
                let key = Place::Part(section, ahead).key(1);
                guarded("preparing a block", || self.shelf.tree.insert(key, &[]))?;
            }
            *prepared = key + 2 * AHEAD;
        }
        self.next[section.index()] += 1;
        self.shelf.put(Place::Part(section, number), value)
    }

    /// The number of values written to a section.
    pub(super) const fn count(&self, section: Section) -> u32 {
        self.next[section.index()]
    }

    /// The shelf, filled.
    pub(super) fn finish(self) -> Shelf {
        self.shelf
    }
}

/// The shelves of one index in sled.
#[derive(Debug)]
pub(super) struct Blocks {
    db: sled::Db,
    root: Shelf,
    /// sled's own file, for the `fdatasync` that its flush leaves out.
    file: File,
}

impl Blocks {
    /// Opens or creates the folder. A panic of sled, which damaged files can cause, is an error.
    pub(super) fn open(folder: &Path, cache_bytes: u64) -> Result<Self, IndexError> {
        let config = sled::Config::new()
            .path(folder)
            .cache_capacity(cache_bytes)
            .flush_every_ms(None)
            .mode(sled::Mode::HighThroughput);
        let started = Instant::now();
        let db = loop {
            match guarded("opening sled", || config.open()) {
                Err(IndexError::Sled { source: sled::Error::Io(source), .. })
                    if source.to_string().starts_with("could not acquire lock") =>
                {
                    // The folder is locked by us: only a handle that is being dropped can hold it.
                    if started.elapsed() > RELEASE_PATIENCE {
                        return Err(IndexError::InUse { path: folder.to_owned() });
                    }
                    thread::sleep(Duration::from_millis(10));
                }
                other => break other?,
            }
        };
        let path = folder.join("db");
        let file = File::open(&path).map_err(|source| IndexError::Io {
            doing: "opening",
            path,
            source,
        })?;
        let root = Shelf { tree: db.deref().clone(), spacing: 1 };
        Ok(Self { db, root, file })
    }

    /// The shelf of what is there once.
    pub(super) const fn root(&self) -> &Shelf {
        &self.root
    }

    /// The shelf of a run or of the tiles, made if it is not there.
    pub(super) fn shelf(&self, kind: Kind, number: u64) -> Result<Shelf, IndexError> {
        let tree = guarded("opening a shelf", || self.db.open_tree(kind.name(number)))?;
        Ok(Shelf { tree, spacing: 1 })
    }

    /// Removes the shelf of a run with all that is on it. Nobody may read it any more.
    pub(super) fn remove_shelf(&self, kind: Kind, number: u64) -> Result<(), IndexError> {
        guarded("removing a shelf", || self.db.drop_tree(kind.name(number))).map(|_| ())
    }

    /// Removes all shelves of a kind whose numbers `live` does not know; says how many.
    pub(super) fn remove_unknown(
        &self,
        kind: Kind,
        live: impl Fn(u64) -> bool,
    ) -> Result<usize, IndexError> {
        let mut removed = 0;
        for name in self.db.tree_names() {
            let Some((prefix, number)) = name.split_first_chunk() else {
                continue;
            };
            let number = number.first_chunk().map(|bytes| u64::from_be_bytes(*bytes));
            if *prefix == [kind.prefix()]
                && let Some(number) = number
                && !live(number)
            {
                self.remove_shelf(kind, number)?;
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Returns only when everything written before is on stable storage.
    ///
    /// sled's flush alone asks the kernel to start writing and no more (measured: 6 of 6 simulated
    /// power cuts lost what it had flushed), so its file is synced as well. Without the order that
    /// this gives, a manifest could outlive the blocks that it names.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        guarded("flushing", || self.db.flush())?;
        self.file
            .sync_data()
            .map_err(|source| IndexError::Sled { doing: "syncing", source: source.into() })
    }

    /// What the files take on disk, in bytes.
    pub(super) fn bytes_on_disk(&self) -> Result<u64, IndexError> {
        guarded("measuring", || self.db.size_on_disk())
    }

    /// The number of shelves, the root and sled's own default tree not counted.
    #[cfg(test)]
    pub(super) fn shelves(&self, kind: Kind) -> usize {
        let names = self.db.tree_names();
        names.iter().filter(|name| name.len() == 9 && name[0] == kind.prefix()).count()
    }
}

/// Runs a call into sled, which can panic on damaged files, and makes an error of either failure.
fn guarded<T>(
    doing: &'static str,
    call: impl FnOnce() -> sled::Result<T>,
) -> Result<T, IndexError> {
    // Unwind safety: after a panic the caller gets an error that says to rebuild, and nothing of
    // sled's state is believed without its checksum.
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(source)) => Err(IndexError::Sled { doing, source }),
        Err(panic) => Err(IndexError::damaged(format!(
            "sled panicked while {doing}: {}",
            panic_text(panic.as_ref())
        ))),
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
}
