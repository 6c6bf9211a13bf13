//! What the one writer of a ledger does for each command besides bytes: it decides, and applies.

mod support;

use std::hint::black_box;

use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{Command, Context, Event, Header, decide, evolve};
use bergulir_proto::decode_event;
use bergulir_proto::replay::header;
use criterion::{BatchSize, Criterion, Throughput};

use support::{Ledger, SIZES, Unused};

/// Commands a round.
const COMMANDS: usize = 16_384;

fn main() {
    let mut criterion = Criterion::default().sample_size(20).configure_from_args();
    let mut group = criterion.benchmark_group("decide");
    group.throughput(Throughput::Elements(COMMANDS as u64));
    for accounts in SIZES {
        let mut ledger = Ledger::of(accounts);
        let before = ledger.state().clone();
        let Header { recorded_at: time, principal, .. } = ledger.next_header();
        let context = Context { time, principal, lookups: &Unused, near: None };
        let commands = ledger.commands(COMMANDS);
        let one = |command| black_box(decide(&before, command, &context)).is_ok();
        group.bench_function(format!("decide/{accounts}"), |bencher| {
            bencher.iter(|| commands.iter().all(one));
        });
        group.bench_function(format!("look ahead, decide/{accounts}"), |bencher| {
            bencher.iter(|| {
                commands.chunks(LOOK_AHEAD).all(|next| {
                    before.look_ahead(next.iter().filter_map(Command::paid_loan));
                    next.iter().all(one)
                })
            });
        });

        ledger.submit(&commands);
        let records = ledger.records();
        let applied: Vec<(Header, Event)> = records.iter().map(|record| read(record)).collect();
        group.bench_function(format!("evolve/{accounts}"), |bencher| {
            let apply = |state: &mut _| {
                for (header, event) in &applied {
                    black_box(evolve(state, header, event));
                }
            };
            bencher.iter_batched_ref(|| before.clone(), apply, BatchSize::PerIteration);
        });
    }
    group.finish();
    criterion.final_summary();
}

fn read(record: &[u8]) -> (Header, Event) {
    let record = bergulir_chain::Record::parse(record).expect("a record");
    (header(&record).expect("a header"), decode_event(record.event).expect("an event"))
}
