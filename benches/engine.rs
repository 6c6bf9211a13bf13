//! What the engine takes, without gRPC: batches of disbursements and repayments from the queue to
//! the durable answer, and until the index has them; then what proofs take. A program of its own,
//! since a ledger of the nation's size is loaded for seconds:
//! `cargo bench --bench engine -- [EVENTS] [ACCOUNTS] [BATCH] [PROOFS]`.
//!
//! Processor time is given by thread, because on a busy machine the wall clock says little.

#![expect(clippy::print_stdout, reason = "it is what it is for")]

mod support;

use bergulir_chain::tiles::Tile;
use bergulir_chain::{Authentication, LogSize, Position};
use bergulir_domain::{Command, PrincipalId, Timestamp};
use bergulir_engine::clock::Clock;
use bergulir_engine::{Answer, Caller, Ledger, LedgerOptions, Node, Request, Slot, Terms, Work};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

const IN_FLIGHT: usize = 4;
/// The number of events of which the cost is told at a time.
const TOLD_AFTER: usize = 1_000_000;
/// The number of proofs of each kind, if nothing else is asked for.
const PROOFS: u64 = 10_000;

/// Noon of the day on which all commands of the support happen.
struct Noon(Instant);

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        let passed = i64::try_from(self.monotonic().as_micros()).expect("hours");
        Timestamp::from_micros(support::NOON + passed)
    }
    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

fn caller(name: &str) -> Caller {
    let principal = PrincipalId::new(name).expect("a name");
    Caller { principal, authentication: Authentication::Stated }
}

/// Request ids as callers make them: without order.
struct Ids(u64);

impl Ids {
    fn request(&mut self, command: Command) -> Request {
        self.0 += 1;
        let half = |salt: u64| {
            let mut x = self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ salt;
            x = (x ^ x >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            (x ^ x >> 27).wrapping_mul(0x94d0_49bb_1331_11eb).to_le_bytes()
        };
        let mut request_id = [0; 16];
        request_id[..8].copy_from_slice(&half(1));
        request_id[8..].copy_from_slice(&half(2));
        Request { request_id, command }
    }
}

async fn submit(ledger: &Ledger, by: &str, batch: Vec<Request>) {
    let Answer::Items(items) =
        ledger.submit(caller(by), Work::Independent(batch), Terms::PLAIN).await
    else {
        panic!("refused")
    };
    let refused = items.iter().find_map(|item| item.as_ref().err());
    assert!(refused.is_none(), "{refused:?}");
}

async fn set_up(
    node: &Arc<Node>,
    script: Vec<(&'static str, Command)>,
    ids: &mut Ids,
) -> Arc<Ledger> {
    let mut script = script.into_iter();
    let (by, Command::OpenLedger(mut opening)) = script.next().expect("it begins with it") else {
        panic!("it begins with it")
    };
    let key = node.verifier_key(&opening.origin, opening.ledger).expect("a new key");
    opening.verifier_key = Some(support::text(&key.to_string()));
    let id = opening.ledger;
    let opening = ids.request(Command::OpenLedger(opening));
    node.create(id, caller(by), opening, Terms::PLAIN).await;
    let Some(Slot::Open(ledger)) = node.ledger(id) else { panic!("it was opened") };
    let script: Vec<_> = script.collect();
    // Of many accounts at a time, first what is proposed, then what is approved, then what is paid.
    for script in script.chunks(7 * 1_000) {
        let is_paid = |command: &Command| matches!(command, Command::Disburse(_));
        for (by, paid) in
            [(support::MAKER, false), (support::CHECKER, false), (support::MAKER, true)]
        {
            let turn = script.iter().filter(|(who, what)| *who == by && is_paid(what) == paid);
            let batch = turn.map(|(_, command)| ids.request(command.clone())).collect();
            submit(&ledger, by, batch).await;
        }
    }
    ledger
}

/// The processor time of each thread of this process so far, in microseconds.
fn threads() -> BTreeMap<String, u64> {
    let mut times = BTreeMap::new();
    for task in std::fs::read_dir("/proc/self/task").expect("Linux").flatten() {
        let read = |file| std::fs::read_to_string(task.path().join(file)).unwrap_or_default();
        let name = read("comm").trim().to_owned();
        let nanos = read("schedstat").split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0);
        *times.entry(name).or_default() += nanos / 1_000;
    }
    times
}

fn tell(events: usize, begun: &(Instant, BTreeMap<String, u64>)) {
    let micros = begun.0.elapsed().as_micros().max(1);
    let costs = threads().into_iter().filter_map(|(name, time)| {
        let spent = time - begun.1.get(&name).copied().unwrap_or(0);
        let nanos = spent * 1_000 / events as u64;
        (nanos >= 5).then(|| format!("{name} {nanos}"))
    });
    let costs: Vec<String> = costs.collect();
    let rate = events as u128 * 1_000_000 / micros;
    println!("{events} events, {rate} a second; ns of an event: {}", costs.join(", "));
}

/// What proofs take, each of another record, against the newest checkpoint and against sizes at
/// which the last tile is nearly full.
async fn prove(ledger: &Ledger, proofs: u64) {
    let newest = ledger.checkpoint(Some(ledger.head().size)).await.expect("it is signed");
    let size = newest.checkpoint.size.get();
    let nearly_full = size / 256 * 256 - 1;
    let scattered = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let measure = |what: &str, prove: &dyn Fn(u64)| {
        let mut times: Vec<Duration> = (0..proofs)
            .map(|number| {
                let begun = Instant::now();
                prove(scattered(number));
                begun.elapsed()
            })
            .collect();
        times.sort_unstable();
        let at = |percent: usize| times[times.len() * percent / 100];
        println!("{what}: p50 {:?}, p90 {:?}, p99 {:?}", at(50), at(90), at(99));
    };
    let inclusion = |position: u64, size: u64| {
        let position = Position::new(position % size);
        ledger.inclusion_proof(position, LogSize::new(size)).expect("it is proved");
    };
    measure("inclusion, anywhere", &|n| inclusion(n, size));
    measure("inclusion, of the newest", &|n| inclusion(size - 1 - n % 1_000, size));
    measure("inclusion, in an older log", &|n| inclusion(n, nearly_full));
    measure("consistency", &|n| {
        let from = LogSize::new(n % nearly_full);
        ledger.consistency_proof(from, LogSize::new(nearly_full)).expect("it is proved");
    });
    measure("tile of records", &|n| {
        let tile = Tile { level: 0, index: n % (size / 256), width: 256 };
        ledger.tile(tile).expect("it can be read").expect("it is full");
    });
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse().ok());
    let events: usize = numbers.next().unwrap_or(1_000_000);
    let accounts = numbers.next().unwrap_or(84_000);
    let size = numbers.next().unwrap_or(1_000);
    let proofs = numbers.next().map_or(PROOFS, |asked| asked as u64);

    let folder = tempfile::tempdir().expect("a folder");
    let clock = Arc::new(Noon(Instant::now()));
    let node = Node::open(folder.path(), clock, LedgerOptions::default(), &|_, _, _| {});
    let node = Arc::new(node.expect("an empty folder"));
    let (mut support, script) = support::Ledger::with_script(accounts);
    let mut ids = Ids(0);
    let begun = (Instant::now(), threads());
    let count = script.len();
    let ledger = set_up(&node, script, &mut ids).await;
    tell(count, &begun);

    let mut done = 0;
    while done < events {
        let part = TOLD_AFTER.min(events - done);
        let batches: Vec<Vec<Request>> = (0..part / size)
            .map(|_| support.commands(size).into_iter().map(|c| ids.request(c)).collect())
            .collect();
        let begun = (Instant::now(), threads());
        let mut waiting = tokio::task::JoinSet::new();
        for batch in batches {
            if waiting.len() == IN_FLIGHT {
                waiting.join_next().await;
            }
            let ledger = Arc::clone(&ledger);
            waiting.spawn(async move { submit(&ledger, support::MAKER, batch).await });
        }
        while waiting.join_next().await.is_some() {}
        tell(part, &begun);
        let newest = ledger.head().size.last();
        ledger.read(newest, |_, _| ()).await.expect("the projections follow");
        tell(part, &begun);
        done += part;
    }
    if proofs > 0 {
        prove(&ledger, proofs).await;
    }
    let resident = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    println!("{}", resident.lines().find(|line| line.starts_with("VmRSS")).unwrap_or_default());
    tokio::task::spawn_blocking(move || node.stop()).await.expect("it stops");
}
