//! `bergulir bench`: loads a real server and checks what it did.

mod load;
mod plan;
mod server;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use bergulir_audit::Verdict;
use bergulir_domain::LedgerId;
use bergulir_engine::LEDGERS_FOLDER;
use bergulir_proto::{minor_from_wire, pb};
use clap::{Args, ValueEnum};
use serde::Serialize;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::bench::load::{Sending, Tally, Until};
use crate::bench::plan::{FUND, Mix, Shares, Size};
use crate::bench::server::{Server, folder_bytes};
use crate::desk::{Desk, Person, first, new_id, refused};
use crate::failure::Failure;
use crate::output::{self, Page, count};
use crate::parse::CURRENCY;
use crate::{audit, progress};

/// Load a real server through gRPC, and check what it did
///
/// The load is a mix of disbursements and repayments over many accounts, with request ids, values
/// and bank references of their own. Afterwards the totals are compared with what was counted, and
/// the log is verified.
///
/// Examples:
///   bergulir bench --mode batch --events 1000000 --accounts 84000
///   bergulir bench --mode unary --in-flight 64 --connections 4 --seconds 10
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BenchArgs {
    /// How commands are sent
    #[arg(long, default_value = "batch")]
    mode: Mode,
    /// How many commands are sent in all [default: 100000, or no limit with --seconds]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// How many commands go in a batch
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    batch: usize,
    /// How many requests are under way at a time [default: 4 batches, 64 single commands]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    in_flight: Option<usize>,
    /// How many connections they share [default: 1 for batches, 4 for single commands]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000)
    )]
    connections: Option<usize>,
    /// How many accounts, each with a loan
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    accounts: usize,
    /// Stop after so many seconds
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
    /// Of a thousand commands so many are sent again with the same request id
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(0..=400)
    )]
    retries_per_mille: u64,
    /// Of a thousand commands so many break a rule
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(0..=400)
    )]
    refusals_per_mille: u64,
    /// A server that runs already, such as 127.0.0.1:7447; a new ledger is opened on it
    /// [default: one of its own, on a fresh directory]
    #[arg(long)]
    address: Option<SocketAddr>,
}

/// How commands are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One command a call
    Unary,
    /// Many commands a call
    Batch,
}

/// What was measured. What cannot be known of a server elsewhere is null.
#[derive(Debug, Serialize)]
struct Measured {
    mode: &'static str,
    events: u64,
    seconds: f64,
    events_per_second: f64,
    events_per_second_caught_up: f64,
    p50_us: u32,
    p99_us: u32,
    p999_us: u32,
    server_cpu_seconds: Option<f64>,
    server_rss_bytes: Option<u64>,
    log_bytes: Option<u64>,
    index_bytes: Option<u64>,
    bytes_per_event: Option<f64>,
    totals_match: bool,
    verified: Option<bool>,
    refused: u64,
    duplicates_answered: u64,
    accounts: usize,
    batch: Option<usize>,
    in_flight: usize,
    connections: usize,
}

/// The first line of numbers: what came back, and how long it took.
struct Loaded {
    tally: Tally,
    answered: Duration,
    caught_up: Duration,
    totals_match: bool,
}

pub(crate) async fn run(args: BenchArgs, json: bool) -> Result<(), Failure> {
    let batches = args.mode == Mode::Batch;
    let in_flight = args.in_flight.unwrap_or(if batches { 4 } else { 64 });
    let connections = args.connections.unwrap_or(if batches { 1 } else { 4 });
    if args.accounts < in_flight {
        return Err(Failure::Usage(format!(
            "--accounts {} is less than --in-flight {in_flight}: each request in flight has \
             accounts of its own, so that the order of its commands is certain",
            args.accounts
        )));
    }
    let mut server = match args.address {
        Some(_) => None,
        None => Some(Server::start()?),
    };
    let address = match (&server, args.address) {
        (Some(server), _) => server.address(),
        (None, Some(address)) => address,
        (None, None) => return Err(Failure::Usage("--address is missing".to_owned())),
    };
    let ledger = format!("bench-{}", &Uuid::new_v4().simple().to_string()[..12]);
    let mut desks = Vec::with_capacity(connections);
    for _ in 0..connections {
        desks.push(Desk::at(address, &ledger).await?);
    }
    let events = match (args.events, args.seconds) {
        (Some(events), _) => events,
        (None, Some(_)) => u64::MAX,
        (None, None) => 100_000,
    };
    let size = Size::for_events(events, args.accounts, OffsetDateTime::now_utc());
    Box::pin(prepare(&desks[0], &ledger, &size)).await?;
    let shares = Shares { retries: args.retries_per_mille, refusals: args.refusals_per_mille };
    let mixes = (0..in_flight).map(|worker| Mix::new(size, shares, worker, in_flight));
    let sending = if batches { Sending::Batches(args.batch) } else { Sending::Unary };
    let cpu_before = server.as_ref().and_then(Server::cpu_seconds);
    let log = server.as_ref().map(|server| log_folder(server.data(), &ledger));
    let loaded = load(&desks, mixes.collect(), sending, events, args.seconds).await?;
    let cpu_after = server.as_ref().and_then(Server::cpu_seconds);
    let server_rss_bytes = server.as_ref().and_then(Server::resident_bytes);
    drop(desks);

    let tally = &loaded.tally;
    let mut measured = Measured {
        mode: if batches { "batch" } else { "unary" },
        events: tally.events,
        seconds: loaded.answered.as_secs_f64(),
        events_per_second: rate(tally.events, loaded.answered),
        events_per_second_caught_up: rate(tally.events, loaded.caught_up),
        p50_us: tally.per_mille(500),
        p99_us: tally.per_mille(990),
        p999_us: tally.per_mille(999),
        server_cpu_seconds: cpu_after.zip(cpu_before).map(|(after, before)| after - before),
        server_rss_bytes,
        log_bytes: None,
        index_bytes: None,
        bytes_per_event: None,
        totals_match: loaded.totals_match,
        verified: None,
        refused: tally.refused,
        duplicates_answered: tally.duplicates,
        accounts: args.accounts,
        batch: batches.then_some(args.batch),
        in_flight,
        connections,
    };
    if let (Some(server), Some(log)) = (&mut server, log) {
        server.stop()?;
        let bytes = folder_bytes(&log);
        measured.log_bytes = Some(bytes);
        measured.index_bytes = Some(folder_bytes(&log.with_file_name("index")));
        let (valid, records) = verify(server.data(), &ledger).await?;
        measured.bytes_per_event = Some(ratio(bytes, records));
        measured.verified = Some(valid && loaded.totals_match);
    }
    show(&measured, json)?;
    if loaded.totals_match && measured.verified != Some(false) {
        Ok(())
    } else {
        Err(Failure::Invalid)
    }
}

fn log_folder(data: &Path, ledger: &str) -> std::path::PathBuf {
    data.join(LEDGERS_FOLDER).join(ledger).join("log")
}

/// Opens the ledger, the fund, and every account with its loan.
async fn prepare(desk: &Desk, ledger: &str, size: &Size) -> Result<(), Failure> {
    let mut commands = desk.commands();
    let open = pb::OpenLedgerRequest {
        ledger: desk.ledger(),
        request_id: new_id(),
        open_ledger: Some(plan::open_ledger(ledger)),
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
    let bar = progress::bar(size.accounts as u64 * 6);
    bar.set_message("preparing accounts");
    let groups = accounts.clone().map(|account| plan::open_account(account, size));
    desk.send(Person::Maker, groups, &bar).await?;
    let groups = accounts.map(|account| vec![plan::approve_loan(account)]);
    desk.send(Person::Checker, groups, &bar).await?;
    bar.finish_and_clear();
    Ok(())
}

/// Runs the load, waits until every projection has caught up, and compares the totals.
async fn load(
    desks: &[Desk],
    mixes: Vec<Mix>,
    sending: Sending,
    events: u64,
    seconds: Option<u64>,
) -> Result<Loaded, Failure> {
    let bar = if events == u64::MAX { progress::bar(0) } else { progress::bar(events) };
    bar.set_message("loading");
    let began = Instant::now();
    let until = Until { events, at: seconds.map(|seconds| began + Duration::from_secs(seconds)) };
    let tally = load::run(desks, mixes, sending, until, &bar).await?;
    let answered = began.elapsed();
    bar.finish_and_clear();
    let desk = &desks[0];
    // The trail comes from the index, the balances from the state: both have every record then.
    let request = pb::ListTrailRequest {
        parent: format!("{}/funds/{FUND}", desk.ledger()),
        page_size: 1,
        min_position: Some(tally.last_position),
        ..pb::ListTrailRequest::default()
    };
    let mut queries = desk.queries();
    let answer = queries.list_trail(Desk::from(Person::Maker, request));
    answer.await.map_err(|status| refused(&status))?;
    let caught_up = began.elapsed();
    let fund = desk.fund(FUND).await?;
    let minor =
        |money: Option<&pb::Money>| money.and_then(|money| minor_from_wire(money, CURRENCY).ok());
    let money = tally.money;
    let totals_match = minor(fund.principal_receivable.as_ref())
        == Some(money.disbursed - money.principal)
        && minor(fund.interest_income.as_ref()) == Some(money.interest);
    Ok(Loaded { tally, answered, caught_up, totals_match })
}

/// Whether the log is valid, and how many records it has.
async fn verify(data: &Path, ledger: &str) -> Result<(bool, u64), Failure> {
    let ledger = LedgerId::new(ledger).map_err(Failure::could_not)?;
    let data = data.to_owned();
    let found = tokio::task::spawn_blocking(move || audit::verify(&data, Some(ledger)))
        .await
        .map_err(Failure::could_not)?
        .map_err(Failure::could_not)?;
    let records = found.ledgers.iter().map(|report| report.records.get()).sum();
    let valid = found.ledgers.iter().all(|report| report.finding.verdict() == Verdict::Valid);
    Ok((valid, records))
}

fn rate(events: u64, took: Duration) -> f64 {
    float(events) / took.as_secs_f64().max(f64::EPSILON)
}

fn ratio(of: u64, to: u64) -> f64 {
    float(of) / float(to).max(1.0)
}

/// A count as a float, for a rate; exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown with a few digits, and no count reaches 2^53"
)]
fn float(count: u64) -> f64 {
    count as f64
}

fn show(measured: &Measured, json: bool) -> Result<(), Failure> {
    if json {
        let line = serde_json::to_string(measured)
            .expect("a struct of texts and finite numbers is always JSON");
        return output::line(line);
    }
    let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
    let mut page = Page::default();
    page.facts(
        &format!("bench: {}", measured.mode),
        &[
            ("events", count(measured.events)),
            ("seconds", format!("{:.2}", measured.seconds)),
            ("events a second", format!("{:.0}", measured.events_per_second)),
            ("events a second, caught up", format!("{:.0}", measured.events_per_second_caught_up)),
            ("p50, µs", measured.p50_us.to_string()),
            ("p99, µs", measured.p99_us.to_string()),
            ("p99.9, µs", measured.p999_us.to_string()),
            (
                "server, CPU seconds",
                optional(measured.server_cpu_seconds.map(|cpu| format!("{cpu:.2}"))),
            ),
            ("server, memory, bytes", optional(measured.server_rss_bytes.map(count))),
            ("log, bytes", optional(measured.log_bytes.map(count))),
            ("index, bytes", optional(measured.index_bytes.map(count))),
            (
                "bytes a record",
                optional(measured.bytes_per_event.map(|bytes| format!("{bytes:.1}"))),
            ),
            ("refused, as expected", count(measured.refused)),
            ("duplicates, as expected", count(measured.duplicates_answered)),
            ("totals match", measured.totals_match.to_string()),
            ("verified", optional(measured.verified.map(|yes| yes.to_string()))),
        ],
    );
    page.print()
}
