//! Snapshots: whole states of the ledger at some log size, so that a start need not replay the
//! log from its first record.
//!
//! Each is a plain file of its own, written once and in one go: 8 bytes of magic and the identity
//! of the ledger, the state, then the log size, the number of bytes of the state, and a CRC-32 over
//! all before it. Under its name it is whole and durable; what is being written has another one.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use bergulir_chain::{Hash, LogSize};
use tracing::warn;

use super::written_once::{NextRead, WrittenOnce};
use super::{Index, IndexError, held};
use crate::folder::{create_folder_durably, sync_folder};

#[cfg(test)]
mod fuzz_tests;

/// How many snapshots are kept.
pub const KEPT_SNAPSHOTS: usize = 2;

/// The folder of the snapshots in that of the index.
pub(super) const FOLDER: &str = "snapshots";

const KEPT: &str = "snapshot";
const DRAFT: &str = "new";

const MAGIC: &[u8; 8] = b"BGSNAP 1";
const HEAD_BYTES: usize = 40;
const TAIL_BYTES: usize = 20;

/// One that is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    size: LogSize,
    /// Of the file.
    bytes: u64,
}

impl Row {
    /// The bytes of the state.
    const fn state_bytes(self) -> u64 {
        self.bytes - (HEAD_BYTES + TAIL_BYTES) as u64
    }

    /// The checksum in the last bytes of the file, if they say the same of it.
    fn checksum(self, tail: &[u8; TAIL_BYTES]) -> Result<u32, IndexError> {
        let long = |at: usize| tail[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let crc = tail.last_chunk().map(|bytes| u32::from_le_bytes(*bytes));
        let is_same = long(0) == Some(self.size.get()) && long(8) == Some(self.state_bytes());
        crc.filter(|_| is_same).ok_or_else(|| not_whole(self.size))
    }
}

/// The snapshots.
#[derive(Debug)]
pub(super) struct Snapshots {
    folder: PathBuf,
    identity: Hash,
    /// In the order of their log sizes.
    rows: Vec<Row>,
    /// The number of the next draft.
    next_draft: u64,
    /// Those that are kept once the index is written out as far as they go.
    waiting: VecDeque<(LogSize, SnapshotDraft)>,
}

/// A snapshot that is being written. Dropped, it is as if it had never been.
#[derive(Debug)]
pub struct SnapshotDraft {
    path: PathBuf,
    file: WrittenOnce,
    /// Of the state.
    bytes: u64,
    crc: crc32fast::Hasher,
    kept: bool,
}

impl SnapshotDraft {
    /// Writes the next bytes.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.bytes += bytes.len() as u64;
        self.put(bytes)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), IndexError> {
        self.crc.update(bytes);
        self.file.write(bytes).map_err(failed("writing", &self.path))
    }

    /// Ends the file, durably.
    fn finish(&mut self, size: LogSize) -> Result<(), IndexError> {
        let bytes = self.bytes;
        self.put(&size.get().to_le_bytes())?;
        self.put(&bytes.to_le_bytes())?;
        let crc = self.crc.clone().finalize();
        self.put(&crc.to_le_bytes())?;
        self.file.finish().map_err(failed("syncing", &self.path))
    }
}

impl Drop for SnapshotDraft {
    fn drop(&mut self) {
        if !self.kept {
            // Left there, it would be removed at the next open.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Snapshots {
    /// Those in the folder of an index. Removes what a crash has left, and those that are no
    /// snapshots of this ledger; whether the others are whole is seen when they are read.
    pub(super) fn open(index_folder: &Path, identity: Hash) -> Result<Self, IndexError> {
        let folder = index_folder.join(FOLDER);
        create_folder_durably(&folder).map_err(failed("creating", &folder))?;
        let mut snapshots =
            Self { folder, identity, rows: Vec::new(), next_draft: 0, waiting: VecDeque::new() };
        let io = failed("listing", &snapshots.folder);
        let names = fs::read_dir(&snapshots.folder)
            .and_then(|found| found.map(|found| Ok(found?.path())).collect::<io::Result<Vec<_>>>())
            .map_err(io)?;
        for path in names {
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(KEPT) => match snapshots.look_at(&path) {
                    Ok(row) => snapshots.rows.push(row),
                    Err(error) => {
                        warn!(snapshot = %path.display(), %error, "a snapshot is not used");
                        if matches!(error, IndexError::Damaged { .. }) {
                            remove(&path)?;
                        }
                    }
                },
                Some(DRAFT) => remove(&path)?,
                _ => {}
            }
        }
        snapshots.rows.sort_by_key(|row| row.size);
        snapshots.drop_surplus()?;
        Ok(snapshots)
    }

    /// What the beginning and the end of a file say.
    fn look_at(&self, path: &Path) -> Result<Row, IndexError> {
        let (mut file, row) = self.begin_reading(path)?;
        let io = failed("reading", path);
        file.seek(SeekFrom::Start(row.bytes - TAIL_BYTES as u64)).map_err(io)?;
        let tail = read_tail(&mut file, path)?;
        row.checksum(&tail).map(|_| row)
    }

    /// Opens a file behind its head, which must be one of this ledger, as its length and name.
    fn begin_reading(&self, path: &Path) -> Result<(File, Row), IndexError> {
        let mut head = [0; HEAD_BYTES];
        let read = File::open(path).and_then(|mut file| {
            let bytes = file.metadata()?.len();
            file.read_exact(&mut head)?;
            Ok((file, bytes))
        });
        let (file, bytes) = read.map_err(failed("reading", path))?;
        let digits = path.file_stem().and_then(|stem| stem.to_str());
        let size = digits.filter(|digits| digits.len() == 20).and_then(|d| d.parse().ok());
        match size {
            Some(size) if head == self.head() && bytes >= (HEAD_BYTES + TAIL_BYTES) as u64 => {
                Ok((file, Row { size: LogSize::new(size), bytes }))
            }
            _ => Err(IndexError::damaged("the head of a snapshot is not what it must be")),
        }
    }

    fn head(&self) -> [u8; HEAD_BYTES] {
        let mut head = [0; HEAD_BYTES];
        head[..8].copy_from_slice(MAGIC);
        head[8..].copy_from_slice(self.identity.as_bytes());
        head
    }

    fn path(&self, size: LogSize) -> PathBuf {
        self.folder.join(format!("{:020}.{KEPT}", size.get()))
    }

    /// Reads one, and checks all of it.
    fn read(&self, row: Row) -> Result<Vec<u8>, IndexError> {
        let path = self.path(row.size);
        let (mut file, found) = self.begin_reading(&path)?;
        let length = usize::try_from(found.state_bytes()).map_err(|_| not_whole(row.size))?;
        let mut bytes = vec![0; length];
        file.read_exact(&mut bytes).map_err(failed("reading", &path))?;
        let tail = read_tail(&mut file, &path)?;
        let stated = found.checksum(&tail)?;
        let mut crc = crc32fast::Hasher::new();
        crc.update(&self.head());
        crc.update(&bytes);
        crc.update(&tail[..TAIL_BYTES - 4]);
        if crc.finalize() == stated { Ok(bytes) } else { Err(not_whole(row.size)) }
    }

    /// Begins a draft with the head of a snapshot.
    fn begin(&mut self, next_read: NextRead) -> Result<SnapshotDraft, IndexError> {
        let path = self.folder.join(format!("{}.{DRAFT}", self.next_draft));
        self.next_draft += 1;
        let file = WrittenOnce::create(&path, next_read).map_err(failed("creating", &path))?;
        let crc = crc32fast::Hasher::new();
        let mut draft = SnapshotDraft { path, file, bytes: 0, crc, kept: false };
        draft.put(&self.head())?;
        Ok(draft)
    }

    /// Gives a draft its name, and removes those that are surplus then.
    fn keep(&mut self, size: LogSize, draft: &mut SnapshotDraft) -> Result<(), IndexError> {
        let path = self.path(size);
        fs::rename(&draft.path, &path).map_err(failed("renaming", &draft.path))?;
        draft.kept = true;
        sync_folder(&self.folder).map_err(failed("syncing", &self.folder))?;
        let bytes = draft.bytes + (HEAD_BYTES + TAIL_BYTES) as u64;
        self.rows.retain(|row| row.size != size);
        self.rows.push(Row { size, bytes });
        self.rows.sort_by_key(|row| row.size);
        self.drop_surplus()
    }

    /// Removes the ones of the smallest logs.
    fn drop_surplus(&mut self) -> Result<(), IndexError> {
        let surplus = self.rows.len().saturating_sub(KEPT_SNAPSHOTS);
        let surplus: Vec<Row> = self.rows.drain(..surplus).collect();
        surplus.into_iter().try_for_each(|row| remove(&self.path(row.size)))
    }

    /// What they take on disk, in bytes.
    pub(super) fn bytes_on_disk(&self) -> u64 {
        self.rows.iter().map(|row| row.bytes).sum()
    }
}

impl Index {
    /// Begins a snapshot: its bytes go into a file as they come, so that a large state is never in
    /// memory twice. It is none of the index's until it is [kept](Index::keep_snapshot). What is read
    /// later does not go into the system's cache of files, where the file system lets it.
    pub fn begin_snapshot(&self, next_read: NextRead) -> Result<SnapshotDraft, IndexError> {
        held(&self.snapshots).begin(next_read)
    }

    /// Keeps a snapshot of the state after `size` records, all of which are applied and all of whose
    /// bytes were written: durably, once the index itself is written out as far, by the next
    /// [work](Index::work_once) or [flush](Index::flush). A snapshot beyond that is of no use to a
    /// start. Of more than [`KEPT_SNAPSHOTS`] the ones of the smallest logs are removed. One of the
    /// same size is replaced.
    pub fn keep_snapshot(&self, size: LogSize, draft: SnapshotDraft) -> Result<(), IndexError> {
        held(&self.snapshots).waiting.push_back((size, draft));
        if self.inline {
            while self.keep_one_snapshot()? {}
        } else {
            self.work.announce();
        }
        Ok(())
    }

    /// Keeps the first of the snapshots that wait; says whether one did.
    pub(super) fn keep_one_snapshot(&self) -> Result<bool, IndexError> {
        let Some((size, mut draft)) = held(&self.snapshots).waiting.pop_front() else {
            return Ok(false);
        };
        self.write_out_through(size)?;
        let kept = draft.finish(size).and_then(|()| held(&self.snapshots).keep(size, &mut draft));
        if let Err(error) = kept {
            // It only shortens a start, and what failed it is no harm to anything else.
            warn!(%size, error = describe(&error), "a snapshot could not be kept: see to the disk");
        }
        Ok(true)
    }

    /// The log sizes of the snapshots, the largest last.
    pub fn snapshots(&self) -> Vec<LogSize> {
        held(&self.snapshots).rows.iter().map(|row| row.size).collect()
    }

    /// The bytes of the snapshot of this log size, or `None` if there is none.
    ///
    /// A damaged one is an error, and is there no more; an older one may still be whole.
    pub fn snapshot(&self, size: LogSize) -> Result<Option<Vec<u8>>, IndexError> {
        // Held while reading: a snapshot must not be removed before it was opened.
        let mut snapshots = held(&self.snapshots);
        let Some(row) = snapshots.rows.iter().copied().find(|row| row.size == size) else {
            return Ok(None);
        };
        let read = snapshots.read(row);
        if matches!(read, Err(IndexError::Damaged { .. })) {
            snapshots.rows.retain(|kept| *kept != row);
            remove(&snapshots.path(size))?;
        }
        read.map(Some)
    }
}

fn read_tail(file: &mut File, path: &Path) -> Result<[u8; TAIL_BYTES], IndexError> {
    let mut tail = [0; TAIL_BYTES];
    file.read_exact(&mut tail).map_err(failed("reading", path))?;
    Ok(tail)
}

fn not_whole(size: LogSize) -> IndexError {
    IndexError::damaged(format!("the snapshot of {size} records is not whole"))
}

fn remove(path: &Path) -> Result<(), IndexError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(failed("removing", path)(error))
        }
        _ => Ok(()),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> IndexError {
    let path = path.to_owned();
    move |source| match source.kind() {
        // The file is shorter than it was.
        io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound if doing == "reading" => {
            let name = path.file_name().unwrap_or_default();
            IndexError::damaged(format!("{} ends too early", name.display()))
        }
        _ => IndexError::Io { doing, path, source },
    }
}

fn describe(error: &IndexError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
