//! A ledger that runs step by step, on a disk and by a clock of its own.

use super::commands::{ORIGIN, open_ledger};
use super::medium::Medium;
use super::simulated::{Chance, SimulatedDisk};
use crate::checkpointer::Checkpointer;
use crate::clock::{Clock, ClockWatch, LONGEST_REST};
use crate::inbox::RequestIds;
use crate::keyring::Keyring;
use crate::ledger::{Ledger, LedgerOptions, Shared};
use crate::open::{self, INDEX_FOLDER, OpenError, Opened};
use crate::persister::Persister;
use crate::projector::{self, Projector};
use crate::scrub::{self, Trusted};
use crate::submission::RequestId;
use crate::threads::Workers;
use crate::writer::{self, Bundle, Writer};
use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_chain::{Authentication, Hash, Position, Record};
use bergulir_domain::command::OpenLedger;
use bergulir_domain::text::Text;
use bergulir_domain::{Event, LedgerId, Timestamp};
use bergulir_proto::encode_event;
use bergulir_store::index::IndexOptions;
use bergulir_store::key_file::create_signer;
use bergulir_store::{EventLog, FileLog, FileLogOptions, Group, Head};
use crossbeam_channel::Receiver;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

/// 2026-03-02, ten o'clock in Jakarta.
const BEGINNING: i64 = 1_772_420_400_000_000;

/// The key of the ledger from the beginning, and those that it may go over to; the last is not held.
pub(super) const KEYS: u8 = 6;

/// A clock that goes on only if it is told to, and that can be set wrong.
#[derive(Default)]
pub(super) struct SimClock {
    steady: AtomicI64,
    wrong_by: AtomicI64,
}

impl SimClock {
    pub(super) fn pass(&self, micros: i64) {
        self.steady.fetch_add(micros, Ordering::Relaxed);
    }
    pub(super) fn set_wrong(&self, by: i64) {
        self.wrong_by.store(by, Ordering::Relaxed);
    }
    /// What it says, and what a clock says that nobody sets.
    pub(super) fn both(&self) -> (i64, i64) {
        let steady = self.steady.load(Ordering::Relaxed);
        (BEGINNING + steady + self.wrong_by.load(Ordering::Relaxed), steady)
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(self.both().0)
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(u64::try_from(self.both().1).unwrap())
    }
}

/// What stays when the power goes.
pub(super) struct Site {
    pub(super) disk: SimulatedDisk,
    pub(super) clock: Arc<SimClock>,
    folder: tempfile::TempDir,
    keyring: Arc<Keyring>,
    /// How many ids the server gave to seals.
    seals: Arc<AtomicU64>,
    pub(super) ledger: LedgerOptions,
    log: FileLogOptions,
    /// A folder on another disk than the ledger's, as far as an operator sees it.
    anchors: Vec<PathBuf>,
}

/// The parts of a ledger that runs.
pub(super) struct Machine {
    pub(super) ledger: Arc<Ledger>,
    pub(super) log: Arc<dyn EventLog>,
    pub(super) writer: Writer,
    pub(super) messages: Receiver<writer::Message>,
    pub(super) persister: Persister,
    pub(super) projector: Projector,
    pub(super) published: Receiver<projector::Message>,
    pub(super) checkpointer: Checkpointer,
    pub(super) spare: Option<Bundle>,
    trusted: Trusted,
}

pub(super) fn key(number: u8) -> SignerKey {
    SignerKey::from_seed(KeyName::new(ORIGIN).unwrap(), &[number + 1; 32]).unwrap()
}

fn small_index(identity: Hash) -> IndexOptions {
    IndexOptions {
        memtable_records: 24,
        merge_width: 2,
        cache_bytes: 1 << 20,
        hash_seed: 7,
        ..open::options(identity)
    }
}

impl Site {
    pub(super) fn new(chance: &mut Chance) -> Site {
        // In memory if there is such a folder: what is simulated is the disk of the log.
        let memory = Path::new("/dev/shm");
        let folder =
            if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.unwrap();
        let keys = folder.path().join("keys");
        std::fs::create_dir_all(&keys).unwrap();
        for number in 0..KEYS - 1 {
            create_signer(&keys.join(format!("{number}.key")), &key(number)).unwrap();
        }
        let mut among = |all: &[u64]| all[usize::try_from(chance.below(all.len() as u64)).unwrap()];
        let queue = usize::try_from(among(&[2, 6, 64])).unwrap();
        let ledger = LedgerOptions {
            queue,
            // Some ledgers let nothing wait over night.
            longest_wait: if queue == 6 { Duration::from_secs(3_600) } else { Duration::MAX },
            seal_every: among(&[7, 20, 60, 1 << 20]),
            seal_at_stop: 0,
            ..LedgerOptions::default()
        };
        Site {
            disk: SimulatedDisk::default(),
            clock: Arc::default(),
            keyring: Arc::new(Keyring::open(keys).unwrap()),
            seals: Arc::default(),
            ledger,
            log: FileLogOptions { segment_bytes: among(&[1_000, 4_000, 256 << 20]) },
            anchors: vec![PathBuf::from("anchor")],
            folder,
        }
    }

    pub(super) fn index_folder(&self) -> PathBuf {
        self.folder.path().join("ledger").join(INDEX_FOLDER)
    }

    /// The request id of the newest seal that the server made by itself.
    pub(super) fn newest_seal_id(&self) -> RequestId {
        seal_id(self.seals.load(Ordering::Relaxed))
    }

    /// The folder of the snapshots.
    pub(super) fn snapshots(&self) -> PathBuf {
        self.index_folder().join("snapshots")
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The first record, durable; gives its command.
    pub(super) fn create(&self, request_id: RequestId, rules_version: u32) -> OpenLedger {
        let verifier_key = Text::new(&key(0).verifier().to_string()).unwrap();
        let verifier_key = Some(verifier_key);
        let command = OpenLedger { verifier_key, rules_version, ..open_ledger() };
        let log = self.open_log().unwrap();
        let mut event = Vec::new();
        encode_event(&Event::LedgerOpened(Box::new(command.clone())), &mut event);
        let mut group = Group::new(Head::EMPTY);
        let record = Record {
            position: Position::new(0),
            previous: Hash::ZERO,
            recorded_at: bergulir_chain::Timestamp::from_micros(self.clock.both().0),
            principal: "ani",
            authentication: Authentication::Stated,
            request_id,
            following: 0,
            event: &event,
            signature: None,
        };
        group.push(&record).unwrap();
        log.append(Head::EMPTY, &group).unwrap();
        command
    }

    fn medium(&self) -> Arc<dyn Medium> {
        Arc::new(self.disk.clone())
    }

    /// The ledger's folder: of the operating system for the index, and of the simulated disk for the
    /// small files.
    pub(super) fn ledger_folder(&self) -> PathBuf {
        self.path("ledger")
    }

    fn open_log(&self) -> Result<FileLog, bergulir_store::OpenError> {
        let (log, _) = FileLog::open_on(self.medium(), Path::new("log"), self.log)?;
        Ok(log.keeping_marks_in(PathBuf::from("marks")))
    }

    /// The log, and what it leads to, in this folder.
    pub(super) fn open_in(&self, folder: &Path) -> Result<(Arc<dyn EventLog>, Opened), OpenError> {
        let log: Arc<dyn EventLog> = Arc::new(self.open_log()?);
        let id: LedgerId = "tangerang".parse().unwrap();
        let opened =
            open::open(&self.medium(), folder, id, &log, &self.anchors, small_index, &|_, _| {
                ControlFlow::Continue(())
            })?;
        Ok((log, opened))
    }

    pub(super) fn open(&self) -> Result<Machine, OpenError> {
        let folder = self.ledger_folder();
        std::fs::create_dir_all(&folder).unwrap();
        let (log, opened) = self.open_in(&folder)?;
        assert_eq!(opened.known.trouble, None);
        // The node tries again until the checkpoint can be read.
        if let Some(why) = opened.known.passing {
            return Err(OpenError::Beside { why });
        }
        let trusted = opened.trusted.clone();
        let seals = Arc::clone(&self.seals);
        let request_ids: RequestIds =
            Arc::new(move || seal_id(1 + seals.fetch_add(1, Ordering::Relaxed)));
        let shared = Shared {
            watch: Arc::new(ClockWatch::new(Arc::<SimClock>::clone(&self.clock), LONGEST_REST)),
            options: self.ledger,
            keyring: Arc::clone(&self.keyring),
            witnesses: None,
            runtime: None,
            request_ids,
            alarms: None,
        };
        let id: LedgerId = "tangerang".parse().unwrap();
        let (ledger, workers) = Ledger::assemble(id, &folder, opened, shared);
        let Workers { writer, persister, projector, checkpointer, .. } = workers;
        let spare = Some(Bundle::new(log.head()));
        Ok(Machine {
            ledger: Arc::new(ledger),
            log,
            writer: writer.0,
            messages: writer.1,
            persister,
            projector: projector.0,
            published: projector.1,
            checkpointer: checkpointer.0,
            spare,
            trusted,
        })
    }

    /// The disk as it is now, all of it durable.
    pub(super) fn copy_disk(&self) -> SimulatedDisk {
        let copy = SimulatedDisk::default();
        for folder in [Path::new("log"), &self.ledger_folder(), &self.anchors[0]] {
            copy_files(&self.disk, &copy, folder);
        }
        copy
    }

    /// Another disk takes the place of this one, but the newest files of the anchor are put onto it, and
    /// if `beside` says so, those beside the log.
    pub(super) fn exchange(&mut self, older: SimulatedDisk, beside: bool) -> SimulatedDisk {
        let newest = std::mem::replace(&mut self.disk, older);
        copy_files(&newest, &self.disk, &self.anchors[0]);
        if beside {
            copy_files(&newest, &self.disk, &self.ledger_folder());
        }
        newest
    }

    /// The log as files of the operating system, for the auditor.
    pub(super) fn copy_log(&self, to: &Path) {
        std::fs::create_dir_all(to).unwrap();
        for name in self.disk.names(Path::new("log")).unwrap() {
            let file = self.disk.open(&Path::new("log").join(&name)).unwrap();
            let mut bytes = vec![0; usize::try_from(file.length().unwrap()).unwrap()];
            file.read_exact_at(&mut bytes, 0).unwrap();
            std::fs::write(to.join(name), bytes).unwrap();
        }
    }
}

/// Copies the files of a folder, durably.
fn copy_files(from: &SimulatedDisk, to: &SimulatedDisk, folder: &Path) {
    for name in from.names(folder).unwrap() {
        let path = folder.join(name);
        let bytes = from.read(&path, u64::MAX).unwrap();
        let file = to.create(&path).unwrap();
        file.write_at(&bytes, 0).unwrap();
        file.sync().unwrap();
    }
    to.sync_folder(folder).unwrap();
}

/// The request id of a seal that the server records by itself.
fn seal_id(number: u64) -> RequestId {
    let mut id = [0x5e; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

impl Machine {
    /// Has the writer take all that waits, if anything does.
    pub(super) fn write(&mut self) {
        // Also forgets what the index has.
        assert!(!self.writer.must_wait_for_the_index());
        if let Ok(first) = self.messages.try_recv() {
            self.writer.drain(first, &self.messages, || self.spare.is_some());
        }
    }

    /// Has the projector take what was published next, if anything was, or go on with a seal. An
    /// onlooker reads after each step of it.
    pub(super) fn project(&mut self, onlooker: &mut dyn FnMut()) {
        match self.published.try_recv() {
            Ok(message) => self.projector.take_in_steps(message, onlooker).unwrap(),
            Err(_) => self.projector.seal_on(),
        }
    }

    pub(super) fn scrub(&self) {
        let health = &self.writer.health;
        scrub::run(self.log.as_ref(), &self.trusted, health, &AtomicBool::new(false));
    }
}
