//! What the one writer of a ledger does for each command besides bytes: it decides, and applies.

mod support;

use std::hint::black_box;

use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{Command, Context, Decider, Decision, Event, Header};
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
        let before = Decider::new(ledger.state());
        let Header { recorded_at: time, principal, .. } = ledger.next_header();
        let context = Context { time, principal, lookups: &Unused, near: None };
        let commands = ledger.commands(COMMANDS);
        let one = |command| black_box(before.decide(command, &context)).is_ok();
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
        let mut decider = before.clone();
        let mut again = |record| {
            let (header, event) = read(record);
            let Header { recorded_at: time, principal, .. } = header;
            let context = Context { time, principal, lookups: &Unused, near: None };
            let decision = decider.decide(&event.command(), &context).expect("it was accepted");
            decider.evolve(&header, &decision);
            (header, decision)
        };
        let decided: Vec<(Header, Decision)> = records.iter().map(|one| again(one)).collect();
        group.bench_function(format!("evolve/{accounts}"), |bencher| {
            let apply = |state: &mut Decider| {
                for (header, decision) in &decided {
                    black_box(state.evolve(header, decision));
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
