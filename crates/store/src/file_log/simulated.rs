//! A disk with a volatile cache, to cut the power of.
//!
//! What was not synced survives a cut by chance, 512 bytes at a time; names that were not synced
//! survive all or none. A sync that fails drops what it should have made durable: until the power
//! is cut it can still be seen, but later syncs pass over it, as on Linux.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use bergulir_chain::frame::PIECE_BYTES;

use super::medium::{Medium, MediumFile};

/// Chance from a seed, the same on every machine.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `bound`.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// A write or sync fails, once.
    Fails,
    /// A write takes half of its bytes, once; a sync fails.
    Short,
    /// Nothing is done any more until the power is back.
    PowerGoes,
}

#[derive(Debug, Default)]
struct State {
    files: Vec<FileState>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// The names that will be made durable by the next sync of the folder.
    dirty_names: BTreeSet<PathBuf>,
    fault: Option<(u64, Fault)>,
    powerless: bool,
    steps: u64,
    bytes_read: usize,
    /// The read that comes after so many others fails, once.
    read_fault: Option<u64>,
    unread: bool,
}

#[derive(Clone, Debug, Default)]
struct FileState {
    bytes: Vec<u8>,
    durable: Vec<u8>,
    /// The pieces that differ between the two and will be written by the next sync.
    dirty: BTreeSet<usize>,
}

/// A disk whose power can be cut.
#[derive(Clone, Debug, Default)]
pub(super) struct SimulatedDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct SimulatedFile {
    state: Arc<Mutex<State>>,
    file: usize,
}

/// What a step may do.
enum Permit {
    Whole,
    Half,
}

impl State {
    /// Counts a write or sync, and lets the planned fault happen.
    fn step(&mut self) -> io::Result<Permit> {
        if self.powerless {
            return Err(io::Error::other("the power is gone"));
        }
        self.steps += 1;
        match self.fault {
            Some((at, fault)) if at == self.steps => match fault {
                Fault::Fails => Err(io::Error::other("the disk failed")),
                Fault::Short => Ok(Permit::Half),
                Fault::PowerGoes => {
                    self.powerless = true;
                    Err(io::Error::other("the power is gone"))
                }
            },
            _ => Ok(Permit::Whole),
        }
    }

    /// Gives a name to a file, or takes it away.
    fn name(&mut self, path: &Path, file: Option<usize>) {
        match file {
            Some(file) => self.names.insert(path.to_owned(), file),
            None => self.names.remove(path),
        };
        self.dirty_names.insert(path.to_owned());
    }

    /// Counts a read, and lets the planned fault happen.
    fn read_step(&mut self) -> io::Result<()> {
        let left = self.read_fault.take();
        self.read_fault = left.and_then(|left| left.checked_sub(1));
        if left == Some(0) {
            self.unread = true;
            return Err(io::Error::other("the disk does not give it"));
        }
        Ok(())
    }

    /// The names in a folder that are not durable.
    fn take_dirty_names(&mut self, folder: &Path) -> BTreeSet<PathBuf> {
        let inside = |path: &PathBuf| path.parent() == Some(folder);
        let (taken, left) = std::mem::take(&mut self.dirty_names).into_iter().partition(inside);
        self.dirty_names = left;
        taken
    }

    fn keep_names(&mut self, dirty: BTreeSet<PathBuf>) {
        for path in dirty {
            match self.names.get(&path) {
                Some(&file) => self.durable_names.insert(path, file),
                None => self.durable_names.remove(&path),
            };
        }
    }

    fn named(&self, file: &Path) -> io::Result<usize> {
        self.names.get(file).copied().ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

impl FileState {
    fn survive(&mut self, chance: &mut Chance) {
        let mut after = self.durable.clone();
        let (shorter, longer) = (self.durable.len().min(self.bytes.len()), self.bytes.len());
        let length = match chance.below(3) {
            0 => self.durable.len(),
            1 => longer,
            _ => shorter + usize::try_from(chance.below((longer - shorter + 1) as u64)).unwrap(),
        };
        after.resize(length, 0);
        for &piece in &self.dirty {
            let (start, end) = (piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
            let end = end.min(after.len()).min(self.bytes.len());
            if chance.below(2) == 0 && start < end {
                after[start..end].copy_from_slice(&self.bytes[start..end]);
            }
        }
        *self = Self { bytes: after.clone(), durable: after, dirty: BTreeSet::new() };
    }
}

impl SimulatedDisk {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Plans a fault for the write or sync that comes after so many others.
    pub(super) fn plan(&self, after: u64, fault: Fault) {
        let mut state = self.state();
        state.fault = Some((state.steps + 1 + after, fault));
    }

    /// How many bytes were read until now.
    pub(super) fn bytes_read(&self) -> usize {
        self.state().bytes_read
    }

    /// Plans that the read after so many others fails.
    pub(super) fn plan_read(&self, after: u64) {
        self.state().read_fault = Some(after);
    }

    /// Plans no more; says whether a read failed since it was planned.
    pub(super) fn reads_again(&self) -> bool {
        let mut state = self.state();
        state.read_fault = None;
        std::mem::take(&mut state.unread)
    }

    /// Cuts the power, and brings it back.
    pub(super) fn cut_power(&self, chance: &mut Chance) {
        let mut state = self.state();
        state.powerless = false;
        state.fault = None;
        for file in &mut state.files {
            file.survive(chance);
        }
        let dirty = std::mem::take(&mut state.dirty_names);
        if chance.below(2) == 0 {
            state.keep_names(dirty);
        }
        state.names = state.durable_names.clone();
    }
}

impl Medium for SimulatedDisk {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.state();
        let inside = state.names.keys().filter_map(|path| path.strip_prefix(folder).ok());
        Ok(inside.map(|name| name.display().to_string()).collect())
    }

    fn create(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        let mut state = self.state();
        state.step()?;
        let index = state.files.len();
        state.files.push(FileState::default());
        state.name(file, Some(index));
        Ok(Box::new(SimulatedFile { state: self.state.clone(), file: index }))
    }

    fn create_new(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        if self.state().names.contains_key(file) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        self.create(file)
    }

    fn open(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        let file = self.state().named(file)?;
        Ok(Box::new(SimulatedFile { state: self.state.clone(), file }))
    }

    fn read(&self, file: &Path, most: u64) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let file = state.named(file)?;
        state.read_step()?;
        let bytes = &state.files[file].bytes;
        let most = usize::try_from(most).unwrap().min(bytes.len());
        Ok(bytes[..most].to_vec())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        let file = state.named(from)?;
        state.name(from, None);
        state.name(to, Some(file));
        Ok(())
    }

    fn remove(&self, file: &Path) -> io::Result<()> {
        let mut state = self.state();
        state.step()?;
        state.named(file)?;
        state.name(file, None);
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut state = self.state();
        let permit = state.step();
        if state.powerless {
            return Err(io::Error::other("the power is gone"));
        }
        let dirty = state.take_dirty_names(folder);
        if let Ok(Permit::Whole) = permit {
            state.keep_names(dirty);
            return Ok(());
        }
        Err(io::Error::other("the disk failed"))
    }
}

impl SimulatedFile {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }
}

impl MediumFile for SimulatedFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.state().files[self.file].bytes.len() as u64)
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.state();
        state.read_step()?;
        state.bytes_read += bytes.len();
        let there = state.files[self.file].bytes.get(offset..offset + bytes.len());
        bytes.copy_from_slice(there.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap();
        let mut state = self.state();
        let taken = match state.step()? {
            Permit::Whole => bytes.len(),
            Permit::Half => bytes.len() / 2,
        };
        let file = &mut state.files[self.file];
        let end = offset + taken;
        let length = file.bytes.len().max(end);
        file.bytes.resize(length, 0);
        file.bytes[offset..end].copy_from_slice(&bytes[..taken]);
        file.dirty.extend(offset / PIECE_BYTES..end.div_ceil(PIECE_BYTES));
        Ok(taken)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let length = usize::try_from(length).unwrap();
        let mut state = self.state();
        state.step()?;
        let file = &mut state.files[self.file];
        file.bytes.truncate(length);
        file.dirty.insert(length / PIECE_BYTES);
        drop(state);
        self.sync()
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        let permit = state.step();
        if state.powerless {
            return Err(io::Error::other("the power is gone"));
        }
        let file = &mut state.files[self.file];
        let dirty = std::mem::take(&mut file.dirty);
        if !matches!(permit, Ok(Permit::Whole)) {
            return Err(io::Error::other("the disk failed"));
        }
        file.durable.resize(file.bytes.len(), 0);
        for piece in dirty {
            let (start, end) = (piece * PIECE_BYTES, (piece + 1) * PIECE_BYTES);
            let end = end.min(file.bytes.len());
            if start < end {
                file.durable[start..end].copy_from_slice(&file.bytes[start..end]);
            }
        }
        Ok(())
    }
}
