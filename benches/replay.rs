//! What an auditor does for each record, and the server when it opens a ledger or follows it.

mod support;

use std::hint::black_box;

use bergulir_chain::{ChainCursor, Position};
use bergulir_domain::state::LOOK_AHEAD;
use bergulir_proto::replay::{Checked, Replica, check};
use criterion::{BatchSize, Criterion, Throughput};

use support::{Ledger, SIZES, Unused};

/// Records a round.
const RECORDS: usize = 16_384;

fn main() {
    let mut criterion = Criterion::default().sample_size(10).configure_from_args();
    let mut group = criterion.benchmark_group("replay");
    group.throughput(Throughput::Elements(RECORDS as u64));
    for accounts in SIZES {
        let mut ledger = Ledger::of(accounts);
        let before = ledger.replica.clone();
        let commands = ledger.commands(RECORDS);
        ledger.submit(&commands);
        let records = ledger.records();
        let mut run = |name: &str, replay: &dyn Fn(&mut Replica)| {
            group.bench_function(format!("{name}/{accounts}"), |bencher| {
                bencher.iter_batched_ref(|| before.clone(), replay, BatchSize::PerIteration);
            });
        };
        run("replay", &|replica| {
            for record in &records {
                black_box(replica.replay(record, &Unused)).expect("the next record");
            }
        });
        run("look ahead, replay", &|replica| {
            let mut cursor = after(replica);
            for next in records.chunks(LOOK_AHEAD) {
                let next = checked(&mut cursor, next);
                replica.look_ahead(next.iter().map(|checked| &checked.event));
                for checked in next {
                    black_box(replica.decide(checked, &Unused)).expect("the next record");
                }
            }
        });
        let checked = checked(&mut after(&before), &records);
        run("follow", &|replica| {
            for Checked { record, hash, header, event } in &checked {
                black_box(replica.follow(record, *hash, header, event, None));
            }
        });
    }
    group.finish();
    criterion.final_summary();
}

fn after(replica: &Replica) -> ChainCursor {
    ChainCursor::resume(Position::new(replica.size().get()), replica.head_hash())
}

fn checked<'a>(cursor: &mut ChainCursor, records: &[&'a [u8]]) -> Vec<Checked<'a>> {
    records.iter().map(|record| check(cursor, record).expect("the next record")).collect()
}
