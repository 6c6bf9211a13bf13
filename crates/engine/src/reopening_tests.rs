//! Disks that fail for a while: the ledger takes writes again by itself, and nothing was acknowledged
//! that is not there.

use crate::clock::{Clock, SystemClock};
use crate::fault_tests::{caller, refusal, register, submit};
use crate::health::Status;
use crate::ledger::{Ledger, LedgerOptions};
use crate::ledgers::Basis;
use crate::node::{Node, Slot};
use crate::open::{CONDEMNED_INDEX, OpenError};
use crate::proofs::ProofRefusal;
use crate::reads::ReadRefusal;
use crate::reopening::{Pauses, ROOM_FILE};
use crate::submission::{Answer, Refusal, Request, Terms};
use crate::trail::Owner;
use bergulir_chain::{LogSize, Position, Record};
use bergulir_domain::command::OpenLedger;
use bergulir_domain::ledger::{Origin, Region};
use bergulir_domain::money::Currency;
use bergulir_domain::{Command, LedgerId, UtcOffset};
use bergulir_store::ReadLimit;
use bergulir_store::file_log::{Disk, Medium, MediumFile};
use bergulir_store::index::{Direction, IndexError};
use bergulir_store::layout::CONTINUED_FILE;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Long enough for a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(60);

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// What a disk refuses, with an error of the system; 0: nothing.
#[derive(Debug, Default)]
struct Faults {
    writes: AtomicU32,
    syncs: AtomicU32,
    reads: AtomicU32,
    /// How often it was tried out whether there is room.
    probes: AtomicU64,
}

impl Faults {
    fn check(fault: &AtomicU32) -> io::Result<()> {
        match fault.load(Ordering::SeqCst) {
            0 => Ok(()),
            code => Err(io::Error::from_raw_os_error(i32::try_from(code).unwrap())),
        }
    }

    fn set(fault: &AtomicU32, code: i32) {
        fault.store(u32::try_from(code).unwrap(), Ordering::SeqCst);
    }

    fn heal(&self) {
        for fault in [&self.writes, &self.syncs, &self.reads] {
            Self::set(fault, 0);
        }
    }
}

/// A disk that fails as it is told to.
#[derive(Debug)]
struct Flaky(Arc<Faults>);

#[derive(Debug)]
struct FlakyFile(Arc<Faults>, Box<dyn MediumFile>);

impl Flaky {
    fn file(&self, file: Box<dyn MediumFile>) -> Box<dyn MediumFile> {
        Box::new(FlakyFile(Arc::clone(&self.0), file))
    }
}

impl Medium for Flaky {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        Disk.create_folder(folder)
    }
    fn names(&self, folder: &Path) -> io::Result<Vec<String>> {
        Faults::check(&self.0.reads)?;
        Disk.names(folder)
    }
    fn create(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        if file.ends_with(ROOM_FILE) {
            self.0.probes.fetch_add(1, Ordering::SeqCst);
        }
        Faults::check(&self.0.writes)?;
        Ok(self.file(Disk.create(file)?))
    }
    fn open(&self, file: &Path) -> io::Result<Box<dyn MediumFile>> {
        Ok(self.file(Disk.open(file)?))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        Disk.rename(from, to)
    }
    fn remove(&self, file: &Path) -> io::Result<()> {
        Disk.remove(file)
    }
    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        Faults::check(&self.0.syncs)?;
        Disk.sync_folder(folder)
    }
}

impl MediumFile for FlakyFile {
    fn length(&self) -> io::Result<u64> {
        self.1.length()
    }
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        Faults::check(&self.0.reads)?;
        self.1.read_exact_at(bytes, offset)
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        if let Err(full) = Faults::check(&self.0.writes) {
            // A full disk takes a part first.
            let part = self.1.write_at(&bytes[..bytes.len() / 2], offset)?;
            return if part > 0 { Ok(part) } else { Err(full) };
        }
        self.1.write_at(bytes, offset)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.1.truncate(length)
    }
    fn sync(&self) -> io::Result<()> {
        Faults::check(&self.0.syncs)?;
        self.1.sync()
    }
}

/// A node with a ledger on a disk that fails as it is told to.
struct Place {
    node: Arc<Node>,
    faults: Arc<Faults>,
    folder: PathBuf,
}

fn id() -> LedgerId {
    "pilot".parse().unwrap()
}

impl Place {
    async fn new(folder: &Path) -> Place {
        Place::with_clock(folder, Arc::new(SystemClock::new())).await
    }

    async fn with_clock(folder: &Path, clock: Arc<dyn Clock>) -> Place {
        let place = Place::open(folder, clock, Arc::default());
        let command = Command::OpenLedger(OpenLedger {
            ledger: id(),
            origin: Origin::new("ledger.example.go.id/pilot").unwrap(),
            verifier_key: None,
            region: Region::NATION,
            currency: Currency::Idr,
            utc_offset: UtcOffset::JAKARTA,
            rules_version: 1,
        });
        let request = Request { request_id: [9; 16], command };
        let answer = place.node.create(id(), caller(), request, Terms::PLAIN).await;
        assert!(matches!(answer, Answer::Items(_)), "{answer:?}");
        place
    }

    fn open(folder: &Path, clock: Arc<dyn Clock>, faults: Arc<Faults>) -> Place {
        let pauses = Pauses {
            first: Duration::from_millis(20),
            longest: Duration::from_millis(100),
            steady_after: Duration::from_secs(60),
            clock: Duration::from_millis(10),
        };
        let medium = Arc::new(Flaky(Arc::clone(&faults)));
        let basis = Basis { medium, clock, pauses };
        let node = Node::open_on(basis, folder, LedgerOptions::default().into(), &|_, _, _| {});
        Place { node: Arc::new(node.unwrap()), faults, folder: folder.to_owned() }
    }

    fn ledger(&self) -> Arc<Ledger> {
        match self.node.ledger(id()) {
            Some(Slot::Open(ledger)) => ledger,
            Some(Slot::Broken(error)) => panic!("{error}"),
            None => panic!("there is no ledger"),
        }
    }

    fn ledger_folder(&self) -> PathBuf {
        self.folder.join("ledgers/pilot")
    }

    /// Waits until another opening is in the place of this one.
    async fn reopened(&self, before: &Arc<Ledger>) -> Arc<Ledger> {
        until(|| !Arc::ptr_eq(&self.ledger(), before)).await;
        self.ledger()
    }

    async fn attempts(&self, count: u64) {
        let begun = self.faults.probes.load(Ordering::SeqCst);
        until(|| self.faults.probes.load(Ordering::SeqCst) >= begun + count).await;
    }

    async fn stop(self) {
        tokio::task::spawn_blocking(move || self.node.stop()).await.unwrap();
    }
}

async fn until(what: impl Fn() -> bool) {
    let began = Instant::now();
    while !what() {
        assert!(began.elapsed() < PATIENCE, "it did not come to that");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn why(ledger: &Ledger) -> String {
    match &*ledger.status().borrow() {
        Status::ReadOnly { why } => why.clone(),
        status => panic!("{status:?}"),
    }
}

fn receipt(answer: Answer) -> crate::Receipt {
    match answer {
        Answer::Items(mut items) => items.pop().unwrap().unwrap().receipt.unwrap(),
        Answer::Refused { refusal, .. } => panic!("{refusal}"),
    }
}

async fn cooperatives(ledger: &Ledger) -> Result<usize, ReadRefusal> {
    ledger.read(None, |state, _| state.cooperatives().len()).await
}

/// The request ids of all records from position 1 on.
fn request_ids(ledger: &Ledger) -> Vec<[u8; 16]> {
    let (mut ids, mut at) = (Vec::new(), Position::new(1));
    while ledger.head().size.holds(at) {
        let records = ledger.records(at, ReadLimit::STEP).unwrap();
        ids.extend(records.iter().map(|(_, bytes)| Record::parse(bytes).unwrap().request_id));
        at = records.next();
    }
    ids
}

#[tokio::test(flavor = "multi_thread")]
async fn when_a_full_disk_has_room_again_the_ledger_takes_writes_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    let first = receipt(submit(&before, register(1)).await);
    let mut head = before.watch_head();
    head.mark_unchanged();
    Faults::set(&place.faults.writes, ENOSPC);

    let refused = refusal(submit(&before, register(2)).await);
    assert!(matches!(refused, Refusal::OutcomeUnknown { .. }), "{refused:?}");
    // It is tried and tried, and as long as there is no room everything can be read.
    place.attempts(3).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    assert!(why(&before).contains("opens the ledger again by itself"), "{}", why(&before));
    assert_eq!(cooperatives(&before).await.unwrap(), 1);
    let first_one = before.glance(|state| state.cooperatives().find(&"c1".parse().unwrap()));
    let owners = [Owner::Cooperative(first_one.unwrap())];
    let trail = before.trail(&owners, Position::ZERO..Position::new(9), 9, Direction::OldestFirst);
    assert_eq!(trail.await.unwrap().len(), 1);
    before.inclusion_proof(Position::new(1), LogSize::new(2)).unwrap();
    assert!(!head.has_changed().unwrap(), "who follows it waits");

    place.faults.heal();
    let after = place.reopened(&before).await;
    assert_eq!(*after.status().borrow(), Status::Serving);
    let second = receipt(submit(&after, register(2)).await);
    assert_eq!((second.position, second.duplicate), (first.position.next(), false));
    let again = receipt(submit(&after, register(1)).await);
    assert_eq!((again.record_hash, again.duplicate), (first.record_hash, true));

    // Whoever holds the old one is told, and its state is gone.
    assert!(matches!(refusal(submit(&before, register(3)).await), Refusal::Reopening));
    assert!(matches!(cooperatives(&before).await, Err(ReadRefusal::Reopening)));
    let read = before.records(Position::ZERO, ReadLimit::ONE);
    assert!(matches!(read, Err(ReadRefusal::Reopening)));
    let proof = before.inclusion_proof(Position::new(1), LogSize::new(2));
    assert!(matches!(proof, Err(ProofRefusal::Reopening)));
    assert!(head.changed().await.is_err(), "who followed it is told that it ended");
    assert_eq!(before.glance(|state| state.cooperatives().len()), 0);
    assert!(!place.ledger_folder().join(ROOM_FILE).exists());
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_failed_sync_left_in_the_log_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    Faults::set(&place.faults.syncs, EIO);
    let refused = refusal(submit(&before, register(1)).await);
    assert!(matches!(refused, Refusal::OutcomeUnknown { .. }), "{refused:?}");
    assert_eq!(before.head().size.get(), 1);
    place.attempts(2).await;
    place.faults.heal();
    let after = place.reopened(&before).await;
    assert_eq!(after.head().size.get(), 2, "its bytes were written, and synced at last");
    let known = receipt(submit(&after, register(1)).await);
    assert_eq!((known.position.get(), known.duplicate), (1, true));
    assert_eq!(request_ids(&after), [register(1).request_id]);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_damaged_is_made_anew_without_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    receipt(submit(&before, register(1)).await);
    before.health.index_failed(&IndexError::Damaged { what: "a block".to_owned() });
    let after = place.reopened(&before).await;
    assert!(!place.ledger_folder().join(CONDEMNED_INDEX).exists());
    assert_eq!(after.replayed_at_open(), 2);
    assert!(receipt(submit(&after, register(1)).await).duplicate);
    receipt(submit(&after, register(2)).await);
    place.stop().await;
}

/// A clock that panics in the writer as long as it is told to.
struct Bomb(AtomicBool, SystemClock);

impl Clock for Bomb {
    fn now(&self) -> bergulir_domain::Timestamp {
        let writer = std::thread::current().name() == Some("writer");
        assert!(!(writer && self.0.load(Ordering::SeqCst)), "a bug of ours");
        self.1.now()
    }
    fn monotonic(&self) -> Duration {
        self.1.monotonic()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_of_which_a_thread_died_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = Arc::new(Bomb(AtomicBool::new(false), SystemClock::new()));
    let place = Place::with_clock(folder.path(), Arc::<Bomb>::clone(&bomb) as _).await;
    let before = place.ledger();
    bomb.0.store(true, Ordering::SeqCst);
    let refused = refusal(submit(&before, register(1)).await);
    assert!(matches!(refused, Refusal::OutcomeUnknown { .. }), "{refused:?}");
    bomb.0.store(false, Ordering::SeqCst);
    let after = place.reopened(&before).await;
    assert!(!receipt(submit(&after, register(1)).await).duplicate);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_has_to_see_to_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    before.health.fail_for_now("as if the disk were full");
    before.health.fail("CHAIN_BROKEN at position 1".to_owned());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    assert!(why(&before).starts_with("CHAIN_BROKEN"));
    assert_eq!(place.faults.probes.load(Ordering::SeqCst), 0);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_lost_what_was_acknowledged_is_not_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    let before = place.ledger();
    let log = place.ledger_folder().join("log/00000000000000000000.seg");
    let shorter = std::fs::read(&log).unwrap();
    receipt(submit(&before, register(1)).await);
    Faults::set(&place.faults.writes, ENOSPC);
    refusal(submit(&before, register(2)).await);
    // No checkpoint tells, and the index, made anew, does not either.
    std::fs::write(&log, &shorter).unwrap();
    before.health.index_failed(&IndexError::Damaged { what: "a block".to_owned() });
    std::fs::write(place.ledger_folder().join(CONDEMNED_INDEX), "").unwrap();
    place.faults.heal();
    let after = place.reopened(&before).await;
    assert!(
        why(&after).starts_with("ROLLED_BACK: this server knows of 2 records"),
        "{}",
        why(&after)
    );
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ledger_that_the_disk_does_not_give_at_a_start_is_opened_when_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    receipt(submit(&place.ledger(), register(1)).await);
    let faults = Arc::clone(&place.faults);
    place.stop().await;

    Faults::set(&faults.reads, EIO);
    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), faults);
    let Some(Slot::Broken(error)) = place.node.ledger(id()) else { panic!("it is open") };
    assert!(matches!(&*error, OpenError::Log(_)), "{error}");
    // The log of the server names folders, what callers are told does not.
    let folder_of_server = folder.path().display().to_string();
    assert!(error.to_string().contains(&folder_of_server), "{error}");
    assert!(!error.without_paths().contains(&folder_of_server), "{}", error.without_paths());
    place.attempts(2).await;
    place.faults.heal();
    let is_open = || matches!(place.node.ledger(id()), Some(Slot::Open(_)));
    until(is_open).await;
    assert!(receipt(submit(&place.ledger(), register(1)).await).duplicate);
    place.stop().await;

    // Damage does not pass.
    let log = folder.path().join("ledgers/pilot/log/00000000000000000000.seg");
    let mut bytes = std::fs::read(&log).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&log, bytes).unwrap();
    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), Arc::default());
    let Some(Slot::Broken(error)) = place.node.ledger(id()) else { panic!("it is open") };
    assert!(error.to_string().contains(&folder_of_server), "{error}");
    assert!(!error.without_paths().contains(&folder_of_server), "{}", error.without_paths());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(place.faults.probes.load(Ordering::SeqCst), 0);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_stops_while_a_disk_fails_and_opens_nothing_after() {
    let folder = tempfile::tempdir().unwrap();
    let place = Place::new(folder.path()).await;
    Faults::set(&place.faults.writes, ENOSPC);
    refusal(submit(&place.ledger(), register(1)).await);
    place.attempts(1).await;
    let (ledger, faults, node) =
        (place.ledger(), Arc::clone(&place.faults), Arc::clone(&place.node));
    place.stop().await;
    faults.heal();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let Some(Slot::Open(after)) = node.ledger(id()) else { panic!("it is not open") };
    assert!(Arc::ptr_eq(&ledger, &after));
    assert!(matches!(refusal(submit(&ledger, register(2)).await), Refusal::ReadOnly { .. }));
}

/// How many times the disk fails in the test with a crowd; `BERGULIR_FAULT_ROUNDS` sets more.
fn rounds() -> u32 {
    std::env::var("BERGULIR_FAULT_ROUNDS").map_or(4, |rounds| rounds.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn however_often_a_disk_fails_what_is_acknowledged_is_there_once() {
    let folder = tempfile::tempdir().unwrap();
    let place = Arc::new(Place::new(folder.path()).await);
    let done = Arc::new(AtomicBool::new(false));
    let acknowledged: Arc<Mutex<Vec<(u32, crate::Receipt)>>> = Arc::default();
    let mut crowd = tokio::task::JoinSet::new();
    for one in 0..8_u32 {
        let (place, done) = (Arc::clone(&place), Arc::clone(&done));
        let acknowledged = Arc::clone(&acknowledged);
        crowd.spawn(async move {
            for n in (one * 100..one * 100 + 100).chain((1_000 + one * 1_000)..) {
                if done.load(Ordering::SeqCst) {
                    return;
                }
                // Until it is answered, as a caller does.
                loop {
                    match submit(&place.ledger(), register_any(n)).await {
                        Answer::Items(mut items) => {
                            let receipt = items.pop().unwrap().unwrap().receipt.unwrap();
                            acknowledged.lock().unwrap().push((n, receipt));
                            break;
                        }
                        Answer::Refused { .. } => {
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                    }
                }
            }
        });
    }
    for round in 0..rounds() {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (fault, code) = match round % 2 {
            0 => (&place.faults.writes, ENOSPC),
            _ => (&place.faults.syncs, EIO),
        };
        let before = place.ledger();
        Faults::set(fault, code);
        until(|| before.health.failure().is_some()).await;
        place.faults.heal();
        place.reopened(&before).await;
    }
    done.store(true, Ordering::SeqCst);
    crowd.join_all().await;
    let ledger = place.ledger();
    let ids = request_ids(&ledger);
    let acknowledged = acknowledged.lock().unwrap();
    for (n, receipt) in acknowledged.iter() {
        let at = usize::try_from(receipt.position.get()).unwrap() - 1;
        assert_eq!(ids[at], register_any(*n).request_id);
        let found = ledger.records(receipt.position, ReadLimit::ONE).unwrap();
        let (_, bytes) = found.iter().next().unwrap();
        assert_eq!(bergulir_chain::record::hash(bytes), receipt.record_hash);
    }
    let mut once = ids.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), ids.len(), "one is there twice");
    assert_eq!(ids.len(), acknowledged.len(), "all were asked for until they were answered");
}

/// Like [`register`], for more of them than villages have numbers.
fn register_any(n: u32) -> Request {
    let mut request = register(n % 1_000);
    request.request_id = u128::from(n + 1).to_be_bytes();
    if let Command::RegisterCooperative(register) = &mut request.command {
        register.cooperative = format!("c{n}").parse().unwrap();
        register.village =
            format!("36.{:02}.{:02}.2{:03}", 1 + n / 90_000, 1 + n / 1_000 % 90, n % 1_000)
                .parse()
                .unwrap();
    }
    request
}

/// What a node needs beside the logs of two ledgers, of one of them at a time.
async fn two_ledgers(folder: &Path) -> Place {
    let place = Place::open(folder, Arc::new(SystemClock::new()), Arc::default());
    for (number, name) in [(1, "pilot"), (2, "other")] {
        let ledger: LedgerId = name.parse().unwrap();
        let origin = Origin::new(&format!("ledger.example.go.id/{name}")).unwrap();
        let key = place.node.verifier_key(&origin, ledger).unwrap();
        let command = Command::OpenLedger(OpenLedger {
            ledger,
            origin,
            verifier_key: Some(key.to_string().parse().unwrap()),
            region: Region::NATION,
            currency: Currency::Idr,
            utc_offset: UtcOffset::JAKARTA,
            rules_version: 1,
        });
        let request = Request { request_id: [number; 16], command };
        let answer = place.node.create(ledger, caller(), request, Terms::PLAIN).await;
        assert!(matches!(answer, Answer::Items(_)), "{answer:?}");
    }
    receipt(submit(&place.ledger(), register(1)).await);
    place
}

/// Moves a file away while no node runs, has something else done in its place, and starts. The ledger
/// takes no writes for the reason that begins with `kind`, is read all the same, and the other one goes
/// on; when the file is back, so does this one.
async fn unreadable_at_a_start(file: &str, instead: impl Fn(&Path), kind: &str) {
    let folder = tempfile::tempdir().unwrap();
    two_ledgers(folder.path()).await.stop().await;
    let (path, aside) = (folder.path().join(file), folder.path().join("aside"));
    std::fs::rename(&path, &aside).unwrap();
    instead(&path);

    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), Arc::default());
    let before = place.ledger();
    let told = why(&before);
    assert!(told.starts_with(kind), "{told}");
    let name = file.rsplit('/').next().unwrap();
    assert!(told.contains(name) && !told.contains(folder.path().to_str().unwrap()), "{told}");
    let refused = refusal(submit(&before, register(2)).await);
    assert!(matches!(refused, Refusal::ReadOnly { .. }), "{refused:?}");
    let Some(Slot::Open(other)) = place.node.ledger("other".parse().unwrap()) else {
        panic!("the other ledger is not open")
    };
    receipt(submit(&other, register(2)).await);
    // However often it is tried: nothing of what can be read is closed for it.
    place.attempts(3).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    assert_eq!(cooperatives(&before).await.unwrap(), 1);
    let c1 = before.glance(|state| state.cooperatives().find(&"c1".parse().unwrap())).unwrap();
    let owners = [Owner::Cooperative(c1)];
    let trail = before.trail(&owners, Position::ZERO..Position::new(9), 9, Direction::NewestFirst);
    assert_eq!(trail.await.unwrap().len(), 1);

    let _ = std::fs::remove_dir(&path).or_else(|_| std::fs::remove_file(&path));
    std::fs::rename(&aside, &path).unwrap();
    let after = place.reopened(&before).await;
    assert_eq!(*after.status().borrow(), Status::Serving);
    assert_eq!(receipt(submit(&after, register(2)).await).position, Position::new(2));
    place.stop().await;
}

/// What cannot be read, whoever asks.
fn a_folder(path: &Path) {
    std::fs::create_dir(path).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_checkpoint_that_the_disk_does_not_give_is_read_error_and_no_rollback() {
    unreadable_at_a_start("ledgers/pilot/checkpoint", a_folder, "CHECKPOINT_UNREADABLE").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_file_that_cannot_be_used_stops_its_ledger_alone() {
    let garbage = |path: &Path| std::fs::write(path, "garbage").unwrap();
    unreadable_at_a_start("keys/pilot.key", garbage, "KEY_UNUSABLE").await;
    unreadable_at_a_start("keys/pilot.key", a_folder, "KEY_UNUSABLE").await;
}

/// That it goes on as another one is not believed of a mark that nobody could read, nor is it passed over.
#[tokio::test(flavor = "multi_thread")]
async fn a_mark_that_the_disk_does_not_give_keeps_writes_waiting() {
    let folder = tempfile::tempdir().unwrap();
    two_ledgers(folder.path()).await.stop().await;
    let mark = folder.path().join("ledgers/pilot").join(CONTINUED_FILE);
    a_folder(&mark);
    let place = Place::open(folder.path(), Arc::new(SystemClock::new()), Arc::default());
    let before = place.ledger();
    assert!(why(&before).starts_with("MARK_UNREADABLE"), "{}", why(&before));
    place.attempts(2).await;
    assert!(Arc::ptr_eq(&place.ledger(), &before));
    std::fs::remove_dir(&mark).unwrap();
    let after = place.reopened(&before).await;
    receipt(submit(&after, register(2)).await);
    place.stop().await;
}
