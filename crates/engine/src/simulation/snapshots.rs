//! Snapshots that are well-formed and wrong: each checksum holds, and what they say is not what the
//! ledger's seals vouch for. The next start must do without them.

use super::machine::Site;
use super::run::Run;
use bergulir_proto::replay::Replica;
use std::fs;
use std::path::{Path, PathBuf};

/// Magic and the identity of the ledger; behind the state, the position of its seal; then size, length
/// and checksum.
const HEAD: usize = 40;
const SEALED_AT: usize = 8;
const TAIL: usize = 20;

/// A snapshot's file, taken apart.
#[derive(Clone)]
struct Snapshot {
    path: PathBuf,
    size: u64,
    head: Vec<u8>,
    state: Vec<u8>,
    sealed_at: Vec<u8>,
}

impl Snapshot {
    fn read(path: PathBuf) -> Option<Snapshot> {
        let bytes = fs::read(&path).ok()?;
        let (head, rest) = bytes.split_at_checked(HEAD)?;
        let (state, rest) = rest.split_at_checked(rest.len().checked_sub(SEALED_AT + TAIL)?)?;
        let size = path.file_stem()?.to_str()?.parse().ok()?;
        Some(Snapshot {
            size,
            head: head.to_vec(),
            state: state.to_vec(),
            sealed_at: rest[..SEALED_AT].to_vec(),
            path,
        })
    }

    fn write(&self) {
        let mut bytes = [&self.head[..], &self.state, &self.sealed_at].concat();
        bytes.extend_from_slice(&self.size.to_le_bytes());
        bytes.extend_from_slice(&((self.state.len() + SEALED_AT) as u64).to_le_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        fs::write(&self.path, bytes).unwrap();
    }
}

fn all_in(folder: &Path) -> Vec<Snapshot> {
    let Ok(found) = fs::read_dir(folder) else { return Vec::new() };
    let paths = found.map(|file| file.unwrap().path());
    let kept = paths.filter(|path| path.extension().is_some_and(|it| it == "snapshot"));
    let mut all: Vec<Snapshot> = kept.filter_map(Snapshot::read).collect();
    all.sort_by_key(|snapshot| snapshot.size);
    all
}

impl Run {
    /// Puts a snapshot that is not what its seal says in the place of the newest one.
    pub(super) fn falsify_snapshot(&mut self) {
        let mut all = all_in(&self.site.snapshots());
        let Some(newest) = all.pop() else { return };
        let earlier = all.pop().or_else(|| all_in(&self.site.path("kept-index/snapshots")).pop());
        match self.chance.below(4) {
            0 => {
                if let Some(earlier) = earlier.filter(|earlier| earlier.size < newest.size) {
                    Snapshot { state: earlier.state, ..newest }.write();
                    self.counts.one("snapshot of an earlier moment");
                }
            }
            1 => self.write_of_another_ledger(newest),
            _ => {
                if let Some(state) = self.changed(&newest) {
                    Snapshot { state, ..newest }.write();
                    self.counts.one("snapshot with another number");
                }
            }
        }
    }

    /// The same state, but for one bit: one that can be read, of a ledger of the same size.
    fn changed(&mut self, snapshot: &Snapshot) -> Option<Vec<u8>> {
        let mut state = snapshot.state.clone();
        for _ in 0..64 {
            let (at, bit) = (self.among(state.len()), 1 << self.chance.below(8));
            state[at] ^= bit;
            if Replica::restore(&state).is_ok_and(|it| it.size().get() == snapshot.size) {
                return Some(state);
            }
            state[at] ^= bit;
        }
        None
    }

    /// The state of a ledger that was opened at another time, under the name that is its own there.
    fn write_of_another_ledger(&mut self, newest: Snapshot) {
        for other in all_in(&self.site.snapshots()) {
            fs::remove_file(other.path).unwrap();
        }
        let other = Site::new(&mut self.chance);
        other.clock.pass(1);
        other.create([7; 16], 1);
        fs::create_dir_all(other.path("ledger")).unwrap();
        let (_, opened) = other.open_in(&other.path("ledger")).unwrap();
        let (state, size) = (opened.replica.snapshot(), opened.replica.size().get());
        let path = self.site.snapshots().join(format!("{size:020}.snapshot"));
        Snapshot { path, size, state, ..newest }.write();
        self.counts.one("snapshot of another ledger");
    }
}
