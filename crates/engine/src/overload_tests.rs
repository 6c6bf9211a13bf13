//! More work than the disk takes: what is accepted is answered in time, the rest is refused at once, and
//! nothing of it is recorded. The same is shown of the real server on a slow disk by the acceptance tests,
//! where such a disk can be had; here it is everywhere.

use crate::clock::{Clock, SystemClock};
use crate::fault_tests::{caller, opened, refusal, register, shared, submit};
use crate::inbox::Patience;
use crate::ledger::{Ledger, LedgerOptions, Shared};
use crate::submission::{Answer, Refusal, Terms, Work};
use crate::threads::Workers;
use bergulir_chain::Position;
use bergulir_domain::Timestamp;
use bergulir_store::{
    AppendError, EventLog, Group, Head, MemoryLog, ReadError, ReadLimit, Records,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const QUEUE: usize = 8;
/// What a sync takes. Much more than the scheduler of a busy machine does.
const SYNC: Duration = Duration::from_millis(60);

/// A log whose appends take a while.
#[derive(Default)]
struct Slow {
    inner: MemoryLog,
    micros: AtomicU64,
}

impl Slow {
    fn takes(&self, time: Duration) {
        self.micros.store(u64::try_from(time.as_micros()).unwrap(), Ordering::SeqCst);
    }
}

impl EventLog for Slow {
    fn head(&self) -> Head {
        self.inner.head()
    }
    fn read(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadError> {
        self.inner.read(from, limit)
    }
    fn append(&self, expected: Head, group: &Group) -> Result<Head, AppendError> {
        std::thread::sleep(Duration::from_micros(self.micros.load(Ordering::SeqCst)));
        self.inner.append(expected, group)
    }
}

fn small(folder: &Path, clock: Arc<dyn Clock>) -> Shared {
    let options = LedgerOptions { queue: QUEUE, ..LedgerOptions::default() };
    Shared { options, ..shared(folder, clock) }
}

fn start(folder: &Path) -> (Arc<Slow>, Arc<Ledger>) {
    let slow = Arc::<Slow>::default();
    let log: Arc<dyn EventLog> = Arc::<Slow>::clone(&slow);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let opened = opened(folder, &log, &*clock);
    let ledger = Ledger::start("pilot".parse().unwrap(), folder, opened, small(folder, clock));
    (slow, Arc::new(ledger))
}

/// The highest of a share of what was measured, in thousandths.
fn quantile(mut all: Vec<Duration>, thousandths: usize) -> Duration {
    all.sort_unstable();
    all[(all.len() * thousandths / 1_000).min(all.len() - 1)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_times_what_the_disk_takes_is_accepted_in_time_or_refused_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (slow, ledger) = start(folder.path());
    slow.takes(SYNC);
    // The queue is emptied once in two syncs; ten times that is offered, whoever is answered.
    let offered = 20 * QUEUE;
    let mut crowd = JoinSet::new();
    for n in 1..=offered {
        let ledger = Arc::clone(&ledger);
        crowd.spawn(async move {
            let sent = Instant::now();
            let answer = submit(&ledger, register(u32::try_from(n).unwrap())).await;
            (answer, sent.elapsed())
        });
        tokio::time::sleep(2 * SYNC / u32::try_from(10 * QUEUE).unwrap()).await;
    }
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for (answer, took) in crowd.join_all().await {
        match answer {
            Answer::Items(_) => accepted.push(took),
            Answer::Refused { refusal: Refusal::QueueFull { retry_after }, .. } => {
                assert!(retry_after >= Duration::from_millis(50), "{retry_after:?}");
                refused += 1;
            }
            Answer::Refused { refusal, .. } => panic!("{refusal}"),
        }
    }
    let count = accepted.len();
    assert_eq!(ledger.head().size.get(), 1 + count as u64, "what was refused took no effect");
    assert!(count >= QUEUE, "{count}");
    assert!(refused >= offered / 2, "only {refused} of {offered} were refused");
    assert!(ledger.meter().pushed_back.load(Ordering::SeqCst) >= refused as u64);
    // The group that is being written, and its own; a busy machine takes its share.
    let late = quantile(accepted, 990);
    assert!(late < 6 * SYNC + Duration::from_millis(500), "{late:?}");

    // It is over: work is taken at once.
    slow.takes(Duration::ZERO);
    let began = Instant::now();
    while let Answer::Refused { refusal, .. } = submit(&ledger, register(900)).await {
        assert!(matches!(refusal, Refusal::QueueFull { .. }), "{refusal}");
        assert!(began.elapsed() < Duration::from_secs(60), "nothing is taken any more");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    let waiting = ledger.waiting();
    assert_eq!((waiting.work, waiting.commands, waiting.age), (0, 0, Duration::ZERO));
}

/// What was decided waits for the disk, and is not forgotten when the queue is full.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_has_its_room_until_it_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (slow, ledger) = start(folder.path());
    slow.takes(Duration::from_secs(1));
    let mut answers = Vec::new();
    for n in 1..=QUEUE {
        let work = Work::Single(register(u32::try_from(n).unwrap()));
        let queued = ledger.inbox.submit(caller(), work, Terms::PLAIN, Patience::Limited);
        answers.push(queued.unwrap());
        // The writer takes each long before the first of them is durable.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let waiting = ledger.waiting();
    assert_eq!((waiting.work, waiting.commands), (QUEUE, QUEUE));
    assert!(waiting.age >= Duration::from_millis(50), "{waiting:?}");
    let refused = refusal(submit(&ledger, register(900)).await);
    assert!(matches!(refused, Refusal::QueueFull { .. }), "{refused}");
    slow.takes(Duration::ZERO);
    for answer in answers {
        assert!(matches!(answer.await.unwrap(), Answer::Items(_)));
    }
    // Who is answered finds room for the next.
    assert!(matches!(submit(&ledger, register(901)).await, Answer::Items(_)));
}

/// A clock that the test sets.
#[derive(Default)]
struct Set(AtomicU64);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(1_772_420_400_000_000 + i64::try_from(self.micros()).unwrap())
    }
    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.micros())
    }
}

impl Set {
    fn micros(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
}

#[test]
fn work_whose_turn_comes_late_is_refused_unless_its_caller_may_wait() {
    let folder = tempfile::tempdir().unwrap();
    let log: Arc<dyn EventLog> = Arc::<Slow>::default();
    let clock = Arc::<Set>::default();
    let opened = opened(folder.path(), &log, &*clock);
    let shared = small(folder.path(), Arc::<Set>::clone(&clock));
    let longest = shared.options.longest_wait;
    let (ledger, workers) =
        Ledger::assemble("pilot".parse().unwrap(), folder.path(), opened, shared);
    // Nothing runs by itself.
    let Workers { writer: (mut writer, messages), .. } = workers;
    let send = |n, patience| {
        let work = Work::Single(register(n));
        ledger.inbox.submit(caller(), work, Terms::PLAIN, patience).unwrap()
    };
    let mut late = send(1, Patience::Limited);
    let mut patient = send(2, Patience::Endless);
    clock.0.fetch_add(1, Ordering::SeqCst);
    let mut in_time = send(3, Patience::Limited);
    clock.0.fetch_add(u64::try_from(longest.as_micros()).unwrap(), Ordering::SeqCst);
    assert!(ledger.waiting().age > longest);
    writer.drain(messages.try_recv().unwrap(), &messages, || true);

    match late.try_recv().unwrap() {
        Answer::Refused { refusal: Refusal::WaitedTooLong { waited, retry_after }, .. } => {
            assert!(waited > longest);
            assert_eq!(retry_after, Duration::from_secs(1));
        }
        other => panic!("{other:?}"),
    }
    // The others are decided, and wait for the disk.
    assert!(patient.try_recv().is_err() && in_time.try_recv().is_err());
    assert_eq!(writer.state.size(), 3);
    assert_eq!(ledger.waiting().work, 2);
    assert_eq!(ledger.meter().waited_too_long.load(Ordering::SeqCst), 1);
    assert_eq!(ledger.meter().turn_micros.counted().count(), 3);
}
