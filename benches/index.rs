//! What the index costs: nanoseconds of CPU a record by part, bytes a record, and what a look-up
//! of an absent key takes. A program of its own, since what counts is a whole life of millions of
//! records with all their merges: `cargo bench --bench index -- 10000000`.

#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    clippy::unnecessary_debug_formatting,
    reason = "made-up numbers, and figures for people"
)]

use std::fs;
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use bergulir_chain::merkle::Subtree;
use bergulir_chain::{Hash, LogSize, Position};
use bergulir_store::index::{Direction, Index, IndexBatch, IndexOptions};

const ACCOUNTS: u64 = 84_000;
const FUND: u32 = 0x8000_0000;
/// What a record takes in the log.
const LOG_BYTES: f64 = 131.0;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let records = words.iter().find_map(|argument| argument.parse().ok()).unwrap_or(500_000);
    let folder = tempfile::tempdir().expect("a folder");
    let mut options = IndexOptions::new(Hash::ZERO);
    options.inline = false;
    let index = Index::open(folder.path(), &options).expect("a fresh index").index;
    let done = AtomicBool::new(false);
    let (mut fill, mut apply, mut worst) = (0, 0, Duration::ZERO);
    let merging = thread::scope(|scope| {
        let named = thread::Builder::new().name("merger".to_owned());
        let merger = named
            .spawn_scoped(scope, || {
                loop {
                    let stop = done.load(Ordering::Acquire);
                    if !index.work_once().expect("it merges") {
                        if stop {
                            return own_cpu();
                        }
                        thread::sleep(Duration::from_millis(50));
                    }
                }
            })
            .expect("it starts");
        let mut ledger = Ledger::default();
        let mut batch = IndexBatch::default();
        while ledger.size < records {
            let before = own_cpu();
            batch.begin(LogSize::new(ledger.size));
            (0..1_000).for_each(|_| ledger.add(&mut batch));
            let filled = own_cpu();
            let started = Instant::now();
            index.apply(&batch).expect("it goes on");
            worst = worst.max(started.elapsed());
            fill += filled - before;
            apply += own_cpu() - filled;
        }
        let before = own_cpu();
        index.flush().expect("it is written out");
        apply += own_cpu() - before;
        done.store(true, Ordering::Release);
        merger.join().expect("it merged")
    });
    let all = whole_cpu();
    let per = |nanos: u64| nanos as f64 / records as f64;
    println!("{records} records");
    println!("fill a batch      {:8.1} ns/record", per(fill));
    println!("apply, write out  {:8.1} ns/record (longest {worst:?})", per(apply));
    println!("merge             {:8.1} ns/record", per(merging));
    println!("other threads     {:8.1} ns/record", per(all.saturating_sub(fill + apply + merging)));
    let stats = index.stats().expect("numbers");
    let bytes = stats.disk_bytes as f64 / records as f64;
    println!("on disk           {bytes:8.1} B/record, {:.2} of the log", bytes / LOG_BYTES);
    let tables = [stats.request_ids, stats.bank_references, stats.trails];
    let memory: usize = tables.iter().map(|table| table.filter_bytes).sum();
    println!("filters, fences   {:8.2} B/record", memory as f64 / records as f64);
    println!("runs              {:?}", tables.map(|table| table.runs));
    println!("{stats:?}");
    if words.iter().any(|argument| argument == "grow") {
        return;
    }
    look_up(&index, records);
    drop(index);
    let started = Instant::now();
    let own = own_cpu();
    let index = Index::open(folder.path(), &options).expect("it opens again").index;
    println!("open again        {:?} ({} µs of CPU)", started.elapsed(), (own_cpu() - own) / 1_000);
    drop(index);
    for file in fs::read_dir(folder.path().join("sled")).expect("files") {
        let file = file.expect("a file");
        println!("{:?} {}", file.file_name(), file.metadata().expect("its length").len());
    }
}

fn look_up(index: &Index, records: u64) {
    let measure = |what: &str, count: u64, one: &mut dyn FnMut(u64)| {
        let mut worst = Duration::ZERO;
        let before = own_cpu();
        for number in 0..count {
            let started = Instant::now();
            one(number);
            worst = worst.max(started.elapsed());
        }
        let nanos = (own_cpu() - before) as f64 / count as f64;
        println!("{what:<17} {nanos:8.1} ns (longest {worst:?})");
    };
    measure("absent id", 1_000_000, &mut |number| {
        let id = scattered(3 * records + number).to_le_bytes();
        black_box(index.request_id(&id).expect("it looks"));
    });
    measure("1,000 absent ids", 1_000, &mut |number| {
        let ids: Vec<u64> = (0..1_000)
            .map(|id| index.key(&scattered(5 * records + 1_000 * number + id).to_le_bytes()))
            .collect();
        index.request_ids(&ids, |_, found| _ = black_box(found)).expect("it looks");
    });
    measure("present id", 10_000, &mut |number| {
        let id = scattered(scattered(number) as u64 % records).to_le_bytes();
        assert!(!black_box(index.request_id(&id).expect("it looks")).is_empty());
    });
    measure("account as of", 3_000, &mut |number| {
        let at = Position::new(scattered(number) as u64 % records);
        black_box(index.trail_at((number * 31 % ACCOUNTS) as u32, at).expect("it looks"));
    });
    measure("fund as of", 3_000, &mut |number| {
        let at = Position::new(scattered(number) as u64 % records);
        assert!(index.trail_at(FUND, at).expect("it looks").is_some());
    });
    measure("page of a trail", 1_000, &mut |number| {
        let all = Position::ZERO..Position::new(records);
        let account = (number * 31 % ACCOUNTS) as u32;
        black_box(index.trail(account, all, 100, Direction::NewestFirst).expect("it looks"));
    });
}

/// What a ledger of one fund would say of its records.
struct Ledger {
    size: u64,
    fund: [i64; 12],
    accounts: Vec<[i64; 12]>,
}

impl Default for Ledger {
    fn default() -> Self {
        let accounts = (0..ACCOUNTS as i64)
            .map(|account| [0, 3_000_000_000, 0, 0, 0, 0, 3_000_000_000, account, 0, 0, 0, 0])
            .collect();
        let mut fund = [0; 12];
        fund[0] = 250_000_000_000_000;
        fund[4] = -250_000_000_000_000;
        fund[10] = 250_000_000_000_000;
        Self { size: 0, fund, accounts }
    }
}

impl Ledger {
    fn add(&mut self, batch: &mut IndexBatch) {
        let number = self.size;
        self.size += 1;
        let position = Position::new(number);
        batch.request_id(position, &scattered(number).to_le_bytes());
        batch.bank_reference(position, &scattered(!number).to_le_bytes());
        let chance = scattered(number) as u64;
        let account = (chance % ACCOUNTS) as usize;
        let own = &mut self.accounts[account];
        let amount = 1_000_000 + (chance >> 20) as i64 % 100_000 * 1_000;
        let interest = amount / 200 + 7;
        if number.is_multiple_of(2) {
            [1, 2, 8].into_iter().zip([-amount, amount, amount]).for_each(|(at, by)| own[at] += by);
            self.fund[0] -= amount;
            self.fund[1] += amount;
            self.fund[10] -= amount;
        } else {
            let changes = [amount, interest, amount, interest];
            [3, 4, 9, 10].into_iter().zip(changes).for_each(|(at, by)| own[at] += by);
            self.fund[0] += amount + interest;
            self.fund[1] -= amount;
            self.fund[5] -= interest;
        }
        batch.trail(position, account as u32, 15, own).expect("it is short");
        batch.trail(position, FUND, 1, &self.fund).expect("it is short");
        for level in 0..=number.trailing_ones() as u8 {
            let mut root = [level; 32];
            root[..16].copy_from_slice(&scattered(number).to_be_bytes());
            let subtree = Subtree { level, index: number >> level };
            batch.completed(subtree, Hash::from_bytes(root));
        }
    }
}

/// Numbers that look random, as ids do.
fn scattered(number: u64) -> u128 {
    let mut spread = [number, !number];
    for half in &mut spread {
        *half = (*half ^ *half >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        *half = (*half ^ *half >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        *half ^= *half >> 31;
    }
    u128::from(spread[0]) << 64 | u128::from(spread[1])
}

/// What this thread has used, in nanoseconds.
fn own_cpu() -> u64 {
    cpu_of("/proc/thread-self/schedstat")
}

/// What all threads have used, those of sled that ended as well: in hundredths of a second.
fn whole_cpu() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(") ").next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<u64>().ok()).sum::<u64>() * 10_000_000
}

fn cpu_of(path: &str) -> u64 {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.split_whitespace().next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0)
}
