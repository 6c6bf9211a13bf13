//! `bergulir bench`: loads a real server and checks what it did.

mod args;
mod check;
mod connection;
mod encode;
mod load;
mod measured;
mod mix;
mod plan;
mod query;
mod read_back;
mod server;
mod skim;
mod tally;

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bergulir_proto::pb;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::bench::args::{Mode, Shape};
use crate::bench::connection::Connection;
use crate::bench::load::{Lane, Until, Worker};
use crate::bench::measured::{Measured, rate, ratio};
use crate::bench::mix::{Mix, Money, Shares};
use crate::bench::plan::Size;
use crate::bench::query::{Asking, Queried};
use crate::bench::server::{Server, own_cpu_seconds};
use crate::bench::tally::Tally;
use crate::desk::{Desk, Person, first, new_id};
use crate::failure::Failure;
use crate::progress;

pub(crate) use crate::bench::args::BenchArgs;

pub(crate) async fn run(args: BenchArgs, json: bool) -> Result<(), Failure> {
    let shape = args.shape()?;
    let mut server = match args.address {
        Some(_) => None,
        None => Some(Server::start()?),
    };
    let address = match (&server, args.address) {
        (Some(server), _) => server.address(),
        (None, Some(address)) => address,
        (None, None) => return Err(Failure::Usage("--address is missing".to_owned())),
    };
    let names = ledgers(args.ledgers);
    let accounts = args.accounts / args.ledgers;
    let events = shape.events / args.ledgers as u64;
    let size = Size::for_events(events, accounts, OffsetDateTime::now_utc());
    let desk = Desk::at(address, &names[0]).await?;
    let desks: Vec<Desk> = names.iter().map(|name| desk.of(name)).collect();
    prepare(&desks, &names, &size).await?;
    let shares = Shares { retries: args.retries_per_mille, refusals: args.refusals_per_mille };
    let mut workers = workers(address, &shape, &desks, size, shares).await?;

    let server_cpu = || server.as_ref().and_then(Server::cpu_seconds);
    let cpu_before = (server_cpu(), own_cpu_seconds());
    let loaded = load(&args, &shape, &desks, &mut workers, accounts).await?;
    let cpu_after = (server_cpu(), own_cpu_seconds());
    let used = |after: Option<f64>, before: Option<f64>| Some(after? - before?);
    let server_rss_bytes = server.as_ref().and_then(Server::resident_bytes);
    let records = check::records(&desks).await?;
    let totals_match = check::totals_match(&desks, &money(&workers, args.ledgers)).await?;
    let read_back =
        if args.no_verify { None } else { Some(read_back::run(address, &desks).await?) };
    drop((workers, desks, desk));

    let Loaded { tally, events, answered, caught_up, queried } = loaded;
    let mut measured = Measured {
        mode: args.mode.name(),
        events,
        seconds: answered.as_secs_f64(),
        events_per_second: rate(events, answered),
        events_per_second_caught_up: rate(events, caught_up),
        p50_us: tally.per_mille(500),
        p99_us: tally.per_mille(990),
        p999_us: tally.per_mille(999),
        server_cpu_seconds: used(cpu_after.0, cpu_before.0),
        server_rss_bytes,
        client_cpu_seconds: used(cpu_after.1, cpu_before.1),
        log_bytes: None,
        index_bytes: None,
        bytes_per_event: None,
        totals_match,
        records_read_per_second: read_back.map(|read| rate(read.records, read.took)),
        read_back_whole: read_back.map(|read| read.is_whole),
        verified: None,
        refused: tally.refused,
        duplicates_answered: tally.duplicates,
        accounts: args.accounts,
        ledgers: args.ledgers,
        batch: (args.mode != Mode::Unary).then_some(args.batch),
        in_flight: shape.in_flight,
        connections: shape.connections,
        streams: (args.mode == Mode::Stream).then_some(shape.workers),
        queried,
    };
    if let Some(server) = &mut server {
        server.stop().await?;
        let (log, index) = check::bytes(server.data(), &names);
        measured.log_bytes = Some(log);
        measured.index_bytes = Some(index);
        measured.bytes_per_event = Some(ratio(log, records));
        if !args.no_verify {
            measured.verified = Some(check::verified(server.data(), &names).await? && totals_match);
        }
    }
    measured.show(json)?;
    if measured.is_right() { Ok(()) } else { Err(Failure::Invalid) }
}

/// The names of so many new ledgers.
fn ledgers(count: usize) -> Vec<String> {
    let run = &Uuid::new_v4().simple().to_string()[..12];
    (0..count).map(|ledger| format!("bench-{run}-{ledger}")).collect()
}

/// Opens the ledgers, their funds, and every account with its loan.
async fn prepare(desks: &[Desk], names: &[String], size: &Size) -> Result<(), Failure> {
    let bar = progress::bar(desks.len() as u64 * size.accounts as u64 * 6);
    bar.set_message("preparing accounts");
    for (desk, name) in desks.iter().zip(names) {
        let mut commands = desk.commands();
        let open = pb::OpenLedgerRequest {
            ledger: desk.ledger(),
            request_id: new_id(),
            open_ledger: Some(plan::open_ledger(name)),
            ..pb::OpenLedgerRequest::default()
        };
        let request = Desk::from(Person::Maker, open);
        first(commands.open_ledger(request), |answer| answer.receipt).await?;
        let fund = pb::OpenFundRequest {
            ledger: desk.ledger(),
            request_id: new_id(),
            open_fund: Some(plan::open_fund(size)),
            ..pb::OpenFundRequest::default()
        };
        let request = Desk::from(Person::Maker, fund);
        first(commands.open_fund(request), |answer| answer.receipt).await?;
        let allocate = pb::AllocateFundRequest {
            ledger: desk.ledger(),
            request_id: new_id(),
            allocate_fund: Some(plan::allocate(size)),
            ..pb::AllocateFundRequest::default()
        };
        let request = Desk::from(Person::Maker, allocate);
        first(commands.allocate_fund(request), |answer| answer.receipt).await?;
        let accounts = 0..size.accounts;
        let groups = accounts.clone().map(|account| plan::open_account(account, size));
        desk.send(Person::Maker, groups, &bar).await?;
        let groups = accounts.map(|account| vec![plan::approve_loan(account)]);
        desk.send(Person::Checker, groups, &bar).await?;
    }
    bar.finish_and_clear();
    check::caught_up(desks).await
}

/// Those who send, each with accounts of its own, so that the order of its commands is certain.
async fn workers(
    address: SocketAddr,
    shape: &Shape,
    desks: &[Desk],
    size: Size,
    shares: Shares,
) -> Result<Vec<Worker>, Failure> {
    let mut connections = Vec::with_capacity(shape.connections);
    for _ in 0..shape.connections {
        connections.push(Connection::open(address).await?);
    }
    let workers = (0..shape.workers).map(|worker| {
        let lanes = lanes(worker, shape.workers, desks.len());
        let lanes = lanes.into_iter().map(|(ledger, first, step)| Lane {
            mix: Mix::new(size, shares, first, step),
            ledger,
            name: desks[ledger].ledger().into(),
        });
        Worker::new(connections[worker % connections.len()].clone(), lanes.collect())
    });
    Ok(workers.collect())
}

/// What one of so many workers does: the ledgers, and of each every how manieth account from which
/// on.
fn lanes(worker: usize, workers: usize, ledgers: usize) -> Vec<(usize, usize, usize)> {
    if ledgers >= workers {
        return (worker..ledgers).step_by(workers).map(|ledger| (ledger, 0, 1)).collect();
    }
    let ledger = worker % ledgers;
    let sharing = (workers - ledger).div_ceil(ledgers);
    vec![(ledger, worker / ledgers, sharing)]
}

/// What was moved in each ledger.
fn money(workers: &[Worker], ledgers: usize) -> Vec<Money> {
    let mut all = vec![Money::default(); ledgers];
    for (ledger, money) in workers.iter().flat_map(Worker::money) {
        all[ledger].add(money);
    }
    all
}

/// What a load came to.
struct Loaded {
    tally: Tally,
    events: u64,
    answered: Duration,
    caught_up: Duration,
    queried: Option<Queried>,
}

/// Runs the load, and waits until everything has caught up.
async fn load(
    args: &BenchArgs,
    shape: &Shape,
    desks: &[Desk],
    workers: &mut Vec<Worker>,
    accounts: usize,
) -> Result<Loaded, Failure> {
    let bar = progress::bar(if shape.events == u64::MAX { 0 } else { shape.events });
    let loaded = if args.mode == Mode::Query {
        let asking = Asking {
            time: shape.query_time,
            before: shape.before_queries,
            load_percent: args.load_share,
            questions: args.ask.clone(),
            per_second: args.queries_per_second,
            accounts,
        };
        let answered = query::run(desks, workers, shape.sending, asking, &bar).await?;
        let ended = Instant::now();
        check::caught_up(desks).await?;
        Loaded {
            events: answered.events,
            answered: answered.took,
            caught_up: answered.took + ended.elapsed(),
            queried: Some(answered.queried),
            tally: answered.tally,
        }
    } else {
        bar.set_message("loading");
        let after = args.seconds.map(Duration::from_secs);
        let until = Until { events: shape.events, after, pace: None };
        let began = Instant::now();
        let (tally, answered) = load::run(workers, shape.sending, until, &bar).await?;
        check::caught_up(desks).await?;
        let caught_up = began.elapsed();
        Loaded { events: tally.events, tally, answered, caught_up, queried: None }
    };
    bar.finish_and_clear();
    Ok(loaded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_account_belongs_to_one_worker() {
        for (workers, ledgers, accounts) in
            [(4, 1, 9), (1, 3, 5), (5, 2, 7), (4, 100, 2), (3, 3, 4)]
        {
            let mut owners = vec![vec![0; accounts]; ledgers];
            for worker in 0..workers {
                for (ledger, first, step) in lanes(worker, workers, ledgers) {
                    for owner in owners[ledger].iter_mut().skip(first).step_by(step) {
                        *owner += 1;
                    }
                }
            }
            assert!(owners.iter().flatten().all(|owner| *owner == 1), "{workers} {ledgers}");
        }
    }
}
