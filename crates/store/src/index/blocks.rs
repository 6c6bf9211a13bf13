//! sled as a shelf of sealed values: nothing is believed before its checksum is right.

use std::any::Any;
use std::fs::File;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use super::IndexError;

/// The largest value put into sled, in bytes.
///
/// A sled leaf holds up to 17 values before it is split, and one over 128 KiB goes to a blob file,
/// which sled never syncs: 18 values of this size still fit.
pub(super) const MAX_VALUE_BYTES: usize = 7_200;

/// The bytes of a value that its checksum takes.
pub(super) const SEAL_BYTES: usize = 4;

/// The longest body of a value, in bytes.
pub(super) const MAX_BODY_BYTES: usize = MAX_VALUE_BYTES - SEAL_BYTES;

/// How long an earlier handle in this process may take to let go of sled's file.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// Where a value lies in sled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Format, identity and seed of the index.
    Marker,
    /// The live runs and the log size that they cover.
    Manifest,
    /// The list of snapshots.
    Snapshots,
    /// A part of a run.
    Run {
        run: u64,
        section: Section,
        number: u32,
    },
    /// A piece of a snapshot.
    Snapshot { snapshot: u64, number: u32 },
}

/// The parts of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    Records = 0,
    Fences = 1,
    Filter = 2,
}

const RUN_TAG: u8 = b'r';
const SNAPSHOT_TAG: u8 = b's';

impl Place {
    fn key(self) -> Vec<u8> {
        match self {
            Self::Marker => b"m-marker".to_vec(),
            Self::Manifest => b"m-manifest".to_vec(),
            Self::Snapshots => b"m-snapshots".to_vec(),
            Self::Run {
                run,
                section,
                number,
            } => {
                let mut key = group_key(RUN_TAG, run);
                key.push(section as u8);
                key.extend_from_slice(&number.to_be_bytes());
                key
            }
            Self::Snapshot { snapshot, number } => {
                let mut key = group_key(SNAPSHOT_TAG, snapshot);
                key.extend_from_slice(&number.to_be_bytes());
                key
            }
        }
    }
}

/// Values that belong together, are written together and removed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    Runs,
    Snapshots,
}

impl Group {
    const fn tag(self) -> u8 {
        match self {
            Self::Runs => RUN_TAG,
            Self::Snapshots => SNAPSHOT_TAG,
        }
    }
}

fn group_key(tag: u8, number: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(14);
    key.push(tag);
    key.extend_from_slice(&number.to_be_bytes());
    key
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
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.value[SEAL_BYTES..]
    }
}

/// The values of one index in sled.
#[derive(Debug)]
pub(super) struct Blocks {
    db: sled::Db,
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
                Err(IndexError::Sled {
                    source: sled::Error::Io(source),
                    ..
                }) if source.to_string().starts_with("could not acquire lock") => {
                    // The folder is locked by us: only a handle that is being dropped can hold it.
                    if started.elapsed() > RELEASE_PATIENCE {
                        return Err(IndexError::InUse {
                            path: folder.to_owned(),
                        });
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
        Ok(Self { db, file })
    }

    /// Seals and stores a body: the first four bytes of `value` are left free for the checksum.
    /// Returns the checksum.
    pub(super) fn put(&self, place: Place, mut value: Vec<u8>) -> Result<u32, IndexError> {
        debug_assert!(value.len() >= SEAL_BYTES, "the checksum has a place");
        let key = place.key();
        let crc = seal(&key, &value[SEAL_BYTES..]);
        value[..SEAL_BYTES].copy_from_slice(&crc.to_le_bytes());
        guarded("writing a block", || self.db.insert(&key, value))?;
        Ok(crc)
    }

    /// Reads a value, or `None` if there is none.
    pub(super) fn find(&self, place: Place) -> Result<Option<Body>, IndexError> {
        let key = place.key();
        let Some(value) = guarded("reading a block", || self.db.get(&key))? else {
            return Ok(None);
        };
        let stored = value
            .first_chunk::<SEAL_BYTES>()
            .copied()
            .map(u32::from_le_bytes);
        match stored {
            Some(crc) if crc == seal(&key, &value[SEAL_BYTES..]) => Ok(Some(Body { value, crc })),
            _ => Err(IndexError::damaged(format!(
                "the checksum of {place:?} is wrong"
            ))),
        }
    }

    /// Reads a value that must be there.
    pub(super) fn get(&self, place: Place) -> Result<Body, IndexError> {
        self.find(place)?
            .ok_or_else(|| IndexError::damaged(format!("{place:?} is missing")))
    }

    /// Removes a value, if it is there.
    pub(super) fn remove(&self, place: Place) -> Result<(), IndexError> {
        guarded("removing a block", || self.db.remove(place.key())).map(|_| ())
    }

    /// Returns only when everything written before is on stable storage.
    ///
    /// sled's flush alone asks the kernel to start writing and no more (measured: 6 of 6 simulated
    /// power cuts lost what it had flushed), so its file is synced as well. Without the order that
    /// this gives, a manifest could outlive the blocks that it names.
    pub(super) fn flush(&self) -> Result<(), IndexError> {
        guarded("flushing", || self.db.flush())?;
        self.file.sync_data().map_err(|source| IndexError::Sled {
            doing: "syncing",
            source: source.into(),
        })
    }

    /// Removes all values of the group members that `live` does not know, and says how many
    /// members that were. Steps over live members without reading them.
    pub(super) fn remove_unknown(
        &self,
        group: Group,
        live: impl Fn(u64) -> bool,
    ) -> Result<usize, IndexError> {
        let end = group_key(group.tag() + 1, 0);
        let mut from = group_key(group.tag(), 0);
        let mut removed = 0;
        loop {
            let next = guarded("looking for garbage", || {
                self.db
                    .range(from.clone()..end.clone())
                    .keys()
                    .next()
                    .transpose()
            })?;
            let Some(key) = next else { return Ok(removed) };
            let number = key
                .get(1..)
                .and_then(|rest| rest.first_chunk())
                .map(|bytes| u64::from_be_bytes(*bytes))
                .ok_or_else(|| IndexError::damaged("a key is too short"))?;
            let after = number
                .checked_add(1)
                .map(|number| group_key(group.tag(), number));
            let after = after.unwrap_or_else(|| end.clone());
            if !live(number) {
                guarded("removing garbage", || {
                    for key in self
                        .db
                        .range(group_key(group.tag(), number)..after.clone())
                        .keys()
                    {
                        self.db.remove(key?)?;
                    }
                    Ok(())
                })?;
                removed += 1;
            }
            from = after;
        }
    }

    /// What the files take on disk, in bytes.
    pub(super) fn bytes_on_disk(&self) -> Result<u64, IndexError> {
        guarded("measuring", || self.db.size_on_disk())
    }

    /// Changes one byte of a stored value, past its checksum, as a bad disk would.
    #[cfg(test)]
    pub(super) fn flip_byte(&self, place: Place, at: usize) {
        let key = place.key();
        let mut value = self
            .db
            .get(&key)
            .unwrap()
            .expect("the value is there")
            .to_vec();
        let at = at % value.len();
        value[at] ^= 0x10;
        self.db.insert(&key, value).unwrap();
    }

    #[cfg(test)]
    pub(super) fn values(&self) -> usize {
        self.db.len()
    }
}

/// The checksum covers the place too: a right value in a wrong place is damage.
fn seal(key: &[u8], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(key);
    hasher.update(body);
    hasher.finalize()
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
