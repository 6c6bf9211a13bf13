//! From a request to a command, from an event to a record's bytes and their hash, and back; and the
//! answer.

mod support;

use std::hint::black_box;

use bergulir_chain::{ChainCursor, Record, body, record};
use bergulir_domain::money::Currency;
use bergulir_domain::{Command, LedgerId};
use bergulir_proto::wire::{BatchBytes, BatchReceipt, Results};
use bergulir_proto::{command_from_wire, command_to_wire, decode_event, encode_event, pb};
use criterion::{Criterion, Throughput};
use prost::Message;

use support::Ledger;
use uuid::Uuid;

/// Commands a round.
const COMMANDS: usize = 1_024;
/// The ledger they are for.
const NAME: &str = "national";

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("bytes");
    group.throughput(Throughput::Elements(COMMANDS as u64));

    let mut ledger = Ledger::of(1_000);
    let commands = ledger.commands(COMMANDS);
    let to_wire = |command| command_to_wire(command).expect("callers send it").encode_to_vec();
    let requests: Vec<Vec<u8>> = commands.iter().map(to_wire).collect();
    let name = LedgerId::new(NAME).expect("a name");
    group.bench_function("read command", |bencher| {
        bencher.iter(|| {
            for request in &requests {
                let command = pb::Command::decode(request.as_slice()).expect("a message");
                black_box(command_from_wire(name, Currency::Idr, command)).expect("a command");
            }
        });
    });

    let batch = batch(&commands);
    let mut read = Vec::with_capacity(COMMANDS);
    group.bench_function("read batch", |bencher| {
        bencher.iter(|| {
            read.clear();
            let count = batch.append_frequent(NAME, Currency::Idr, COMMANDS, &mut read);
            assert_eq!(black_box(count), Some(COMMANDS));
        });
    });

    ledger.submit(&commands);
    let bytes = ledger.records();
    let records: Vec<Record<'_>> =
        bytes.iter().map(|bytes| Record::parse(bytes).expect("a record")).collect();
    let events: Vec<_> = records.iter().map(|r| decode_event(r.event).expect("one")).collect();
    let mut out = Vec::with_capacity(256);
    group.bench_function("encode event", |bencher| {
        bencher.iter(|| {
            for event in &events {
                out.clear();
                encode_event(event, &mut out);
                black_box(&out);
            }
        });
    });
    group.bench_function("decode event", |bencher| {
        bencher.iter(|| {
            for record in &records {
                black_box(decode_event(record.event)).expect("an event");
            }
        });
    });
    group.bench_function("seal record", |bencher| {
        bencher.iter(|| {
            for record in &records {
                out.clear();
                black_box(body::push_record(&mut out, record)).expect("a record");
            }
        });
    });
    group.bench_function("hash record", |bencher| {
        bencher.iter(|| {
            for bytes in &bytes {
                black_box(record::hash(bytes));
            }
        });
    });
    group.bench_function("check record", |bencher| {
        bencher.iter(|| {
            let mut cursor = ChainCursor::resume(records[0].position, records[0].previous);
            for bytes in &bytes {
                black_box(cursor.check(bytes)).expect("the next record");
            }
        });
    });
    group.bench_function("write receipt", |bencher| {
        let state = ledger.state();
        let (_, fund) = state.funds().iter().next().expect("a fund");
        let (_, account) = state.accounts().iter().next().expect("an account");
        let (_, loan) = state.loans().iter().next().expect("a loan");
        let of_loan = loan.active().map(bergulir_domain::state::ActiveLoan::balances);
        let receipt = BatchReceipt {
            position: 12_345_678,
            record_hash: &[7; 32],
            duplicate: false,
            fund: Some((fund.id, &fund.balances)),
            account: Some((account.id, &account.balances())),
            loan: Some((loan.id, loan.principal.minor(), of_loan.as_ref())),
        };
        bencher.iter(|| {
            let mut results = Results::with_room(1, COMMANDS);
            results.begin();
            for _ in 0..COMMANDS {
                results.receipt(name, black_box(&receipt), Currency::Idr);
            }
            results.end(1);
            results.finish()
        });
    });
    group.finish();
    criterion.final_summary();
}

/// The commands as a batch that takes each by itself.
fn batch(commands: &[Command]) -> BatchBytes {
    let item = |(number, command)| pb::BatchItem {
        request_id: Uuid::from_u128(number).to_string(),
        command: Some(command_to_wire(command).expect("callers send it")),
    };
    let request = pb::SubmitBatchRequest {
        ledger: NAME.to_owned(),
        mode: pb::BatchMode::Independent.into(),
        items: (1..).zip(commands).map(item).collect(),
        ..pb::SubmitBatchRequest::default()
    };
    request.encode_to_vec().into()
}
