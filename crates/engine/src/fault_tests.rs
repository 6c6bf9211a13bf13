//! A log that fails: nothing is acknowledged falsely, and the ledger says what it is.

use crate::checkpoints::SignedCheckpoint;
use crate::clock::{Clock, ClockWatch, LONGEST_REST, SystemClock};
use crate::health::{Health, Status};
use crate::keyring::Keyring;
use crate::ledger::{Ledger, LedgerOptions, Shared};
use crate::open::{self, Opened};
use crate::proofs::ProofRefusal;
use crate::reads::ReadRefusal;
use crate::scrub::Trusted;
use crate::submission::{Answer, Caller, Refusal, Request, Terms, Work};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_chain::tiles::{Bundle, Tile};
use bergulir_chain::{Authentication, Hash, LogSize, Position, Record};
use bergulir_domain::command::{AdoptRules, OpenLedger, RegisterCooperative};
use bergulir_domain::cooperative::CooperativeKind;
use bergulir_domain::ledger::{Origin, Region};
use bergulir_domain::money::Currency;
use bergulir_domain::text::Text;
use bergulir_domain::{Command, Event, PrincipalId, UtcOffset};
use bergulir_proto::encode_event;
use bergulir_store::file_log::{Disk, Medium};
use bergulir_store::{
    AppendError, EventLog, Group, Head, MemoryLog, ReadError, ReadLimit, Records,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// A log whose appends fail once it is told so, and wait while it is held.
struct Faulty {
    inner: MemoryLog,
    fail: AtomicBool,
    held: AtomicBool,
    /// How many appends have begun.
    begun: AtomicU64,
    /// Reads that reach this position find damage.
    damaged: AtomicU64,
    /// The disk does not give what is damaged.
    unread: AtomicBool,
}

impl EventLog for Faulty {
    fn head(&self) -> Head {
        self.inner.head()
    }
    fn read(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadError> {
        let damaged = Position::new(self.damaged.load(Ordering::SeqCst));
        if from >= damaged {
            if self.unread.load(Ordering::SeqCst) {
                let source = std::io::Error::from_raw_os_error(5);
                let place = "here".to_owned();
                return Err(ReadError::Io { position: damaged, place, source });
            }
            let (place, why) = ("here".to_owned(), "its CRC is wrong".to_owned());
            return Err(ReadError::Corrupt { position: damaged, place, why });
        }
        let left = usize::try_from(damaged.get() - from.get()).unwrap_or(usize::MAX);
        let max_records = limit.max_records.min(left);
        self.inner.read(from, ReadLimit { max_records, ..limit })
    }
    fn append(&self, expected: Head, group: &Group) -> Result<Head, AppendError> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        while self.held.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        if self.fail.load(Ordering::SeqCst) {
            let source = std::io::Error::from_raw_os_error(5);
            return Err(AppendError::Failed { action: "sync the log", source });
        }
        self.inner.append(expected, group)
    }
}

pub(super) fn caller() -> Caller {
    Caller { principal: PrincipalId::new("maker").unwrap(), authentication: Authentication::Stated }
}

pub(super) fn register(n: u32) -> Request {
    let command = Command::RegisterCooperative(RegisterCooperative {
        cooperative: format!("c{n}").parse().unwrap(),
        village: format!("36.03.01.2{n:03}").parse().unwrap(),
        kind: CooperativeKind::Kdmp,
        name: Text::new("KDMP").unwrap(),
        cooperative_number: None,
    });
    Request { request_id: u128::from(n).to_be_bytes(), command }
}

pub(super) fn shared(folder: &std::path::Path, clock: Arc<dyn Clock>) -> Shared {
    let keyring = Arc::new(Keyring::open(folder.join("keys")).unwrap());
    Shared {
        watch: Arc::new(ClockWatch::new(clock, LONGEST_REST)),
        options: LedgerOptions::default(),
        keyring,
        witnesses: None,
        runtime: None,
        request_ids: Arc::new(|| *uuid::Uuid::new_v4().as_bytes()),
        alarms: None,
    }
}

pub(super) fn open_ledger(name: &str) -> OpenLedger {
    OpenLedger {
        ledger: name.parse().unwrap(),
        origin: Origin::new(&format!("ledger.example.go.id/{name}")).unwrap(),
        verifier_key: None,
        region: Region::NATION,
        currency: Currency::Idr,
        utc_offset: UtcOffset::JAKARTA,
        rules_version: 1,
    }
}

/// Opens a ledger in an empty log.
pub(super) fn opened(
    folder: &std::path::Path,
    log: &Arc<dyn EventLog>,
    clock: &dyn Clock,
) -> Opened {
    let opened = Event::LedgerOpened(Box::new(open_ledger("pilot")));
    let mut event = Vec::new();
    encode_event(&opened, &mut event);
    let mut group = Group::new(Head::EMPTY);
    group
        .push(&Record {
            position: Position::new(0),
            previous: Hash::ZERO,
            recorded_at: bergulir_chain::Timestamp::from_micros(clock.now().as_micros()),
            principal: "operator",
            authentication: Authentication::Stated,
            request_id: [9; 16],
            following: 0,
            event: &event,
            signature: None,
        })
        .unwrap();
    log.append(Head::EMPTY, &group).unwrap();
    let id = "pilot".parse().unwrap();
    open::open(&on_disk(), folder, id, log, &[], open::options, &|_, _| ControlFlow::Continue(()))
        .unwrap()
}

fn on_disk() -> Arc<dyn Medium> {
    Arc::new(Disk)
}

fn start(folder: &std::path::Path) -> (Arc<Faulty>, Arc<Ledger>) {
    let faulty = Arc::new(Faulty {
        inner: MemoryLog::default(),
        fail: AtomicBool::new(false),
        held: AtomicBool::new(false),
        begun: AtomicU64::new(0),
        damaged: AtomicU64::new(u64::MAX),
        unread: AtomicBool::new(false),
    });
    let log: Arc<dyn EventLog> = Arc::<Faulty>::clone(&faulty);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = opened(folder, &log, &*clock);
    faulty.begun.store(0, Ordering::SeqCst);
    let id = "pilot".parse().unwrap();
    let ledger = Ledger::start(id, folder, opened, shared(folder, clock));
    (faulty, Arc::new(ledger))
}

pub(super) async fn submit(ledger: &Ledger, request: Request) -> Answer {
    ledger.submit(caller(), Work::Single(request), Terms::PLAIN).await
}

pub(super) fn refusal(answer: Answer) -> Refusal {
    match answer {
        Answer::Refused { refusal, .. } => refusal,
        Answer::Items(items) => panic!("was answered: {items:?}"),
    }
}

/// Has the log hold the group with the first request until the others were sent too and had time
/// to be decided; then lets it go on. All of them are to be refused.
async fn while_held<const N: usize>(
    log: &Faulty,
    ledger: &Arc<Ledger>,
    requests: [Request; N],
) -> Vec<Refusal> {
    log.held.store(true, Ordering::SeqCst);
    let begun = log.begun.load(Ordering::SeqCst);
    let mut sent = Vec::new();
    for request in requests {
        let ledger = Arc::clone(ledger);
        sent.push(tokio::spawn(async move { submit(&ledger, request).await }));
        while log.begun.load(Ordering::SeqCst) == begun {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    // A moment is enough nearly always, and no test fails if it is not.
    tokio::time::sleep(Duration::from_millis(20)).await;
    log.held.store(false, Ordering::SeqCst);
    let mut refusals = Vec::new();
    for answer in sent {
        refusals.push(refusal(answer.await.unwrap()));
    }
    refusals
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_acknowledged_and_the_ledger_is_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    assert!(matches!(submit(&ledger, register(1)).await, Answer::Items(_)));
    log.fail.store(true, Ordering::SeqCst);

    // One in the group that fails, one to be decided on top of it while it is being synced, and a
    // retry of a durable record among them.
    let crowd = while_held(&log, &ledger, [register(2), register(3), register(1)]).await;
    let [first, behind @ ..] = &crowd[..] else { panic!("nobody was answered") };
    assert!(matches!(first, Refusal::OutcomeUnknown { .. }), "{first:?}");
    for refusal in behind {
        let unknown = matches!(refusal, Refusal::OutcomeUnknown { .. } | Refusal::ReadOnly { .. });
        assert!(unknown, "{refusal:?}");
    }
    assert!(matches!(&*ledger.status().borrow(), Status::ReadOnly { .. }));
    assert!(matches!(refusal(submit(&ledger, register(4)).await), Refusal::ReadOnly { .. }));

    // The fault is over: the ledger stays read-only until it is opened again, and reads go on.
    log.fail.store(false, Ordering::SeqCst);
    assert!(matches!(refusal(submit(&ledger, register(5)).await), Refusal::ReadOnly { .. }));
    assert_eq!(log.head().size.get(), 2);
    let cooperatives = ledger.read(None, |state, _| state.cooperatives().len()).await.unwrap();
    assert_eq!(cooperatives, 1);
}

#[tokio::test]
async fn no_refusal_is_answered_before_the_state_it_was_decided_on_is_durable() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    log.fail.store(true, Ordering::SeqCst);
    // The second one is refused only because of the first, which never becomes durable.
    let again = Request { request_id: [77; 16], ..register(2) };
    for refusal in while_held(&log, &ledger, [register(2), again]).await {
        let unknown = matches!(refusal, Refusal::OutcomeUnknown { .. } | Refusal::ReadOnly { .. });
        assert!(unknown, "{refusal:?}");
    }
}

#[tokio::test]
async fn an_unknown_rules_version_is_refused_and_the_ledger_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ledger) = start(folder.path());
    let version = bergulir_domain::ledger::RULES_VERSIONS.end() + 1;
    let command = Command::AdoptRules(AdoptRules { version });
    let answer = submit(&ledger, Request { request_id: [1; 16], command }).await;
    assert!(matches!(refusal(answer), Refusal::Rule(_)));
    assert!(matches!(submit(&ledger, register(1)).await, Answer::Items(_)));
}

#[tokio::test]
async fn the_scrub_makes_a_ledger_read_only_whose_older_records_do_not_chain() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    for n in 1..20 {
        submit(&ledger, register(n)).await;
    }
    let stop = AtomicBool::new(false);
    let mut tree = Tree::new(Prefixes::RFC_6962);
    for (_, record) in &log.read(Position::new(0), ReadLimit::records(20)).unwrap() {
        tree.push_hash(bergulir_chain::record::hash(record));
    }
    let whole = Trusted { hash: log.head().hash, tree };

    let health = Health::new(folder.path().to_owned(), None);
    crate::scrub::run(log.as_ref(), &whole, &health, &stop);
    assert_eq!(health.failure(), None);

    // The snapshot stands for other records than these.
    crate::scrub::run(log.as_ref(), &Trusted { hash: Hash::ZERO, ..whole.clone() }, &health, &stop);
    assert!(health.failure().unwrap().contains("CHAIN_BROKEN at position 19"));

    // Or it hides them behind a forged tree, and a later record restores the chain.
    let health = Health::new(folder.path().to_owned(), None);
    let mut peaks = whole.tree.subtrees().to_vec();
    peaks[0] = Hash::ZERO;
    let tree = Tree::resume(Prefixes::RFC_6962, whole.size(), peaks).unwrap();
    crate::scrub::run(log.as_ref(), &Trusted { tree, ..whole.clone() }, &health, &stop);
    assert!(health.failure().unwrap().contains("CHAIN_BROKEN at position 19"));

    let health = Health::new(folder.path().to_owned(), None);
    log.damaged.store(7, Ordering::SeqCst);
    crate::scrub::run(log.as_ref(), &whole, &health, &stop);
    let why = health.failure().unwrap();
    assert!(why.contains("position 7"), "{why}");
}

#[tokio::test]
async fn what_the_disk_does_not_give_the_scrub_is_a_read_error_and_no_damage() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    for n in 1..10 {
        submit(&ledger, register(n)).await;
    }
    let tree = Tree::new(Prefixes::RFC_6962);
    let mut whole = Trusted { hash: log.head().hash, tree };
    for (_, record) in &log.read(Position::new(0), ReadLimit::records(10)).unwrap() {
        whole.tree.push_hash(bergulir_chain::record::hash(record));
    }
    log.unread.store(true, Ordering::SeqCst);
    log.damaged.store(7, Ordering::SeqCst);
    let (health, stop) = (&ledger.health, AtomicBool::new(false));
    crate::scrub::run_waiting(log.as_ref(), &whole, health, &stop, Duration::from_millis(1));
    let why = health.failure().unwrap();
    assert!(why.starts_with("READ_FAILED position 7 could not be read"), "{why}");
    assert!(health.can_be_cured());
    // To open it again helps once the disk gives that.
    let unread = ledger.check_unread().unwrap_err();
    assert!(matches!(unread, ReadError::Io { position, .. } if position.get() == 7), "{unread}");
    log.damaged.store(u64::MAX, Ordering::SeqCst);
    ledger.check_unread().unwrap();
}

/// A ledger over a log of its own, with this clock.
fn start_with(folder: &std::path::Path, clock: Arc<dyn Clock>) -> (Arc<Faulty>, Arc<Ledger>) {
    let (faulty, _) = start(&folder.join("first"));
    let log: Arc<dyn EventLog> = Arc::<Faulty>::clone(&faulty);
    let (id, folder) = ("pilot".parse().unwrap(), folder.join("second"));
    let opened = open::open(&on_disk(), &folder, id, &log, &[], open::options, &|_, _| {
        ControlFlow::Continue(())
    })
    .unwrap();
    let ledger = Ledger::start(id, &folder, opened, shared(&folder, clock));
    (faulty, Arc::new(ledger))
}

/// An instant that lies in the past by now, and after every record.
async fn just_now() -> bergulir_domain::Timestamp {
    tokio::time::sleep(Duration::from_millis(2)).await;
    bergulir_domain::Timestamp::from_micros(SystemClock::new().now().as_micros() - 1)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_as_of_an_instant_while_a_failed_group_may_yet_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    log.fail.store(true, Ordering::SeqCst);
    assert!(matches!(submit(&ledger, register(1)).await, Answer::Refused { .. }));
    let asked = ledger.position_at(just_now().await).await;
    assert!(matches!(asked, Err(ReadRefusal::NotFinal)), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_as_of_an_instant_while_what_was_decided_before_it_is_on_its_way() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    log.held.store(true, Ordering::SeqCst);
    let slow = Arc::clone(&ledger);
    let sent = tokio::spawn(async move { submit(&slow, register(1)).await });
    while log.begun.load(Ordering::SeqCst) == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let stopping = Arc::clone(&ledger);
    let stopped = tokio::task::spawn_blocking(move || stopping.stop());
    while ledger.inbox.sender().is_some() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let instant = just_now().await;
    let asked = ledger.position_at(instant).await;
    log.held.store(false, Ordering::SeqCst);
    assert!(matches!(sent.await.unwrap(), Answer::Items(_)));
    stopped.await.unwrap();
    assert!(matches!(asked, Err(ReadRefusal::NotFinal)), "{asked:?}");
}

/// A clock that panics in the writer: it stands for any bug of ours.
pub(super) struct Bomb(pub(super) AtomicBool, pub(super) SystemClock);

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
async fn if_the_writer_panics_nobody_waits_for_ever_and_the_ledger_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let bomb = Arc::new(Bomb(AtomicBool::new(false), SystemClock::new()));
    let (_, ledger) = start_with(folder.path(), Arc::<Bomb>::clone(&bomb) as Arc<dyn Clock>);
    for round in 0..10_u32 {
        if round == 5 {
            bomb.0.store(true, Ordering::SeqCst);
        }
        let mut crowd = tokio::task::JoinSet::new();
        for n in 0..50 {
            let ledger = Arc::clone(&ledger);
            let mut request = register(n);
            request.request_id = u128::from(round * 50 + n + 1).to_be_bytes();
            crowd.spawn(async move { submit(&ledger, request).await });
        }
        let answered = tokio::time::timeout(Duration::from_secs(10), crowd.join_all()).await;
        assert!(answered.is_ok(), "round {round}: somebody still waits");
    }
    assert!(matches!(&*ledger.status().borrow(), Status::ReadOnly { .. }));
    assert!(matches!(refusal(submit(&ledger, register(99)).await), Refusal::ReadOnly { .. }));
}

#[tokio::test]
async fn damage_that_a_read_finds_makes_the_ledger_read_only() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    for n in 1..5 {
        submit(&ledger, register(n)).await;
    }
    log.damaged.store(2, Ordering::SeqCst);
    assert!(ledger.records(Position::new(2), ReadLimit::ONE).is_err());
    let refused = refusal(submit(&ledger, register(6)).await);
    let Refusal::ReadOnly { why } = refused else { panic!("{refused}") };
    assert!(why.contains("CHAIN_BROKEN") && why.contains("position 2"), "{why}");
}

#[tokio::test]
async fn damage_that_a_proof_finds_is_that_of_the_log_and_the_index_is_kept() {
    for ask in [
        |ledger: &Ledger| ledger.inclusion_proof(Position::new(1), LogSize::new(5)).map(drop),
        |ledger: &Ledger| ledger.consistency_proof(LogSize::new(1), LogSize::new(5)).map(drop),
        |ledger: &Ledger| ledger.tile(Tile { level: 0, index: 0, width: 5 }).map(drop),
        |ledger: &Ledger| ledger.bundle(Bundle { index: 0, width: 5 }).map(drop),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let (log, ledger) = start(folder.path());
        for n in 1..5 {
            submit(&ledger, register(n)).await;
        }
        ledger.projected_through(LogSize::new(5)).await.unwrap();
        ask(&ledger).unwrap();
        log.damaged.store(3, Ordering::SeqCst);
        let refused = ask(&ledger);
        assert!(matches!(refused, Err(ProofRefusal::Log(_))), "{refused:?}");
        the_log_is_to_blame(folder.path(), &ledger);
    }
}

#[tokio::test]
async fn damage_that_is_found_before_signing_is_that_of_the_log_and_the_index_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let (log, ledger) = start(folder.path());
    for n in 1..5 {
        submit(&ledger, register(n)).await;
    }
    ledger.projected_through(LogSize::new(5)).await.unwrap();
    ledger.checkpoints.put(of_another_history(4)).unwrap();
    log.damaged.store(3, Ordering::SeqCst);
    let refused = ledger.checkpoint(Some(LogSize::new(5))).await;
    assert!(matches!(refused, Err(ProofRefusal::Log(_))), "{refused:?}");
    the_log_is_to_blame(folder.path(), &ledger);
}

/// The ledger is read-only since its log is damaged, and the index is kept.
fn the_log_is_to_blame(folder: &std::path::Path, ledger: &Ledger) {
    let why = ledger.health.failure().expect("it takes no writes");
    assert!(why.contains("CHAIN_BROKEN") && why.contains("position 3"), "{why}");
    assert!(!folder.join(open::CONDEMNED_INDEX).exists());
}

/// A checkpoint of so many records that are not those of the log.
fn of_another_history(size: u64) -> SignedCheckpoint {
    let origin = KeyName::new("ledger.example.go.id/pilot").unwrap();
    let key = SignerKey::from_seed(origin.clone(), &[1; 32]).unwrap();
    let root = Hash::from_bytes([0xee; 32]);
    let checkpoint = Checkpoint { origin, size: LogSize::new(size), root };
    let note = checkpoint.sign(&key).unwrap();
    SignedCheckpoint { checkpoint, note }
}

#[tokio::test]
async fn two_histories_are_never_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ledger) = start(folder.path());
    assert!(matches!(submit(&ledger, register(1)).await, Answer::Items(_)));
    // As if the memory had failed.
    ledger.checkpoints.put(of_another_history(1)).unwrap();
    let refused = ledger.checkpoint(Some(LogSize::new(2))).await;
    assert!(matches!(refused, Err(ProofRefusal::ReadOnly { .. })), "{refused:?}");
    assert!(matches!(*ledger.status().borrow(), Status::ReadOnly { .. }));
    assert_eq!(ledger.checkpoint(None).await.unwrap().checkpoint.size.get(), 1);
}

#[tokio::test]
async fn no_inclusion_is_proved_that_does_not_lead_to_the_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let (_, ledger) = start(folder.path());
    let (first, size) = (Position::new(0), LogSize::new(1));
    ledger.inclusion_proof(first, size).unwrap();
    ledger.checkpoints.put(of_another_history(1)).unwrap();
    let refused = ledger.inclusion_proof(first, size);
    assert!(matches!(refused, Err(ProofRefusal::Projections { .. })), "{refused:?}");
}
