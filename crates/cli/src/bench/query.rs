//! Questions put to a server while a writer loads it with a share of what it can take: how long
//! they take, and what the writer loses by them.

use std::time::{Duration, Instant};

use bergulir_proto::pb;
use bergulir_proto::pb::get_balance_request::AsOf;
use indicatif::ProgressBar;
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::args::Question;
use super::load::{self, Sending, Until, Worker};
use super::measured::rate;
use super::plan::FUND;
use super::tally::{Tally, per_mille};
use crate::desk::{Desk, Person, refused};
use crate::failure::Failure;
use crate::output::count;

/// The burst that finds out what the writer can take lasts so long at most.
const BURST: Duration = Duration::from_secs(3);
/// A question costs so little that few who ask are enough.
const READERS: u32 = 4;
/// The lines of a page of a trail.
const PAGE: i32 = 100;
const KINDS: usize = 5;
const ALL: [Question; KINDS] = [
    Question::Balance,
    Question::BalanceAsOf,
    Question::Trail,
    Question::InclusionProof,
    Question::BalanceProof,
];

/// How to ask.
#[derive(Debug, Clone)]
pub(crate) struct Asking {
    /// How long, with questions and without.
    pub(crate) time: Duration,
    /// How many commands before that; `None`: as many as a short burst takes.
    pub(crate) before: Option<u64>,
    /// The load, in hundredths of what the writer can take.
    pub(crate) load_percent: u32,
    /// What; if nothing is said, everything.
    pub(crate) questions: Vec<Question>,
    /// Questions a second, of all kinds together.
    pub(crate) per_second: u32,
    /// How many accounts each ledger has.
    pub(crate) accounts: usize,
}

/// What was found out about questions.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Queried {
    queries: u64,
    queries_per_second: f64,
    balance_p50_us: u32,
    balance_p99_us: u32,
    balance_as_of_p50_us: u32,
    balance_as_of_p99_us: u32,
    trail_p50_us: u32,
    trail_p99_us: u32,
    inclusion_proof_p50_us: u32,
    inclusion_proof_p99_us: u32,
    balance_proof_p50_us: u32,
    balance_proof_p99_us: u32,
    /// The load that was asked for, as a share of the top rate.
    load_share: f64,
    /// What the writer takes when nobody asks and nothing holds it back.
    top_events_per_second: f64,
    /// Under the load, when nobody asks.
    alone_events_per_second: f64,
    /// The share of that which is lost by questions; negative if none is.
    writer_lost: f64,
    /// Of a batch of the writer, while questions are asked.
    writer_p50_us: u32,
    writer_p99_us: u32,
}

impl Queried {
    pub(crate) fn facts(&self) -> Vec<(&'static str, String)> {
        let both = |p50: u32, p99: u32| format!("{p50} / {p99}");
        vec![
            ("questions", count(self.queries)),
            ("questions a second", format!("{:.0}", self.queries_per_second)),
            ("balance, p50 / p99, µs", both(self.balance_p50_us, self.balance_p99_us)),
            ("balance as of the past", both(self.balance_as_of_p50_us, self.balance_as_of_p99_us)),
            ("page of a trail", both(self.trail_p50_us, self.trail_p99_us)),
            ("inclusion proof", both(self.inclusion_proof_p50_us, self.inclusion_proof_p99_us)),
            ("balance proof", both(self.balance_proof_p50_us, self.balance_proof_p99_us)),
            ("writer, batch", both(self.writer_p50_us, self.writer_p99_us)),
            ("writer, top events a second", format!("{:.0}", self.top_events_per_second)),
            (
                "writer, at that share of it",
                format!("{:.0} ({:.0} %)", self.alone_events_per_second, self.load_share * 100.0),
            ),
            ("writer, lost by questions", format!("{:.1} %", self.writer_lost * 100.0)),
        ]
    }
}

/// What a load with questions comes to.
pub(crate) struct Answered {
    pub(crate) queried: Queried,
    /// Of all parts of the load together; the latencies are those of the questions.
    pub(crate) tally: Tally,
    /// New records while questions were asked, and how long that was.
    pub(crate) events: u64,
    pub(crate) took: Duration,
}

/// Loads the server, first as fast as it goes, then with a share of that, then with questions too.
pub(crate) async fn run(
    desks: &[Desk],
    workers: &mut Vec<Worker>,
    sending: Sending,
    asking: Asking,
    bar: &ProgressBar,
) -> Result<Answered, Failure> {
    let begin = positions(desks).await?;
    let until = |after, pace| Until { events: u64::MAX, after: Some(after), pace };
    bar.set_message("finding the top rate");
    let burst = match asking.before {
        Some(events) => Until { events, after: None, pace: None },
        None => until(asking.time.min(BURST), None),
    };
    let (mut tally, took) = load::run(workers, sending, burst, bar).await?;
    let top = rate(tally.events, took);
    let load_share = f64::from(asking.load_percent) / 100.0;
    let pace = until(asking.time, Some(top * load_share));
    bar.set_message("loading");
    let (alone, took) = load::run(workers, sending, pace, bar).await?;
    let alone_rate = rate(alone.events, took);

    let end = positions(desks).await?;
    for desk in desks {
        let seal = pb::CreateSealRequest { ledger: desk.ledger() };
        let mut commands = desk.commands();
        let sealed = commands.create_seal(Desk::from(Person::Maker, seal)).await;
        sealed.map_err(|status| refused(&status))?;
    }
    bar.set_message("asking under load");
    let mut readers = JoinSet::new();
    for seed in 0..READERS {
        let places = desks.iter().zip(&begin).zip(&end);
        let places = places.map(|((desk, begin), end)| (desk.clone(), *begin, *end));
        let asking = asking.clone();
        let reader =
            Reader { places: places.collect(), asking, number: seed, state: u64::from(seed) };
        readers.spawn(reader.read());
    }
    let (mut both, took) = load::run(workers, sending, pace, bar).await?;
    let mut latencies: [Vec<u32>; KINDS] = Default::default();
    while let Some(read) = readers.join_next().await {
        let read = read.map_err(Failure::could_not)??;
        for (all, one) in latencies.iter_mut().zip(read) {
            all.extend(one);
        }
    }
    for kind in &mut latencies {
        kind.sort_unstable();
    }
    let of = |kind: usize, share| per_mille(&latencies[kind], share);
    let queries = latencies.iter().map(Vec::len).sum::<usize>() as u64;
    let events = both.events;
    let queried = Queried {
        queries,
        queries_per_second: rate(queries, took),
        balance_p50_us: of(0, 500),
        balance_p99_us: of(0, 990),
        balance_as_of_p50_us: of(1, 500),
        balance_as_of_p99_us: of(1, 990),
        trail_p50_us: of(2, 500),
        trail_p99_us: of(2, 990),
        inclusion_proof_p50_us: of(3, 500),
        inclusion_proof_p99_us: of(3, 990),
        balance_proof_p50_us: of(4, 500),
        balance_proof_p99_us: of(4, 990),
        load_share,
        top_events_per_second: top,
        alone_events_per_second: alone_rate,
        writer_lost: 1.0 - rate(events, took) / alone_rate,
        writer_p50_us: both.per_mille(500),
        writer_p99_us: both.per_mille(990),
    };
    both.latencies.clear();
    tally.latencies = latencies.concat();
    tally.latencies.sort_unstable();
    for part in [alone, both] {
        tally.events += part.events;
        tally.refused += part.refused;
        tally.duplicates += part.duplicates;
    }
    Ok(Answered { queried, tally, events, took })
}

/// How many records each ledger has.
async fn positions(desks: &[Desk]) -> Result<Vec<u64>, Failure> {
    let mut sizes = Vec::with_capacity(desks.len());
    for desk in desks {
        sizes.push(desk.head().await?.log_size);
    }
    Ok(sizes)
}

/// One who asks.
struct Reader {
    /// The ledgers, and the positions that are asked about.
    places: Vec<(Desk, u64, u64)>,
    asking: Asking,
    number: u32,
    state: u64,
}

impl Reader {
    /// Asks until the time is over; how long each question of each kind took, in microseconds. Readers
    /// take turns: together they would ask the same four times at once, and then nothing.
    async fn read(mut self) -> Result<[Vec<u32>; KINDS], Failure> {
        let ends = Instant::now() + self.asking.time;
        let pause = Duration::from_secs(1) * READERS / self.asking.per_second.max(1);
        let first = Instant::now() + pause * self.number / READERS;
        let mut next = tokio::time::interval_at(first.into(), pause);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut latencies: [Vec<u32>; KINDS] = Default::default();
        let asked = self.asking.questions.clone();
        let asked = if asked.is_empty() { ALL.to_vec() } else { asked };
        for question in asked.into_iter().cycle().skip(self.number as usize) {
            next.tick().await;
            if Instant::now() >= ends {
                break;
            }
            let began = Instant::now();
            self.ask(question).await?;
            let took = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
            latencies[question as usize].push(took);
        }
        Ok(latencies)
    }

    /// A number below that one, each time another.
    fn choose(&mut self, below: u64) -> u64 {
        self.state = self.state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
        (self.state >> 32) % below.max(1)
    }

    async fn ask(&mut self, question: Question) -> Result<(), Failure> {
        let place = usize::try_from(self.choose(self.places.len() as u64)).unwrap_or(0);
        let (desk, begin, end) = self.places[place].clone();
        let account = self.choose(self.asking.accounts as u64);
        let name = format!("{}/funds/{FUND}/accounts/a-{account}", desk.ledger());
        let position = begin + self.choose(end - begin);
        let answered = match question {
            Question::Balance | Question::BalanceAsOf => {
                let past = question == Question::BalanceAsOf;
                let as_of = past.then_some(AsOf::AsOfPosition(position));
                let request = pb::GetBalanceRequest { name, min_position: None, as_of };
                desk.queries().get_balance(Desk::from(Person::Maker, request)).await.map(drop)
            }
            Question::Trail => {
                let request = pb::ListTrailRequest {
                    parent: name,
                    page_size: PAGE,
                    ..pb::ListTrailRequest::default()
                };
                desk.queries().list_trail(Desk::from(Person::Maker, request)).await.map(drop)
            }
            Question::InclusionProof => {
                let ledger = desk.ledger();
                let request = pb::GetInclusionProofRequest { ledger, position, log_size: None };
                let request = Desk::from(Person::Maker, request);
                desk.log().get_inclusion_proof(request).await.map(drop)
            }
            Question::BalanceProof => {
                let request = pb::GetBalanceProofRequest { name, fresh: false };
                desk.log().get_balance_proof(Desk::from(Person::Maker, request)).await.map(drop)
            }
        };
        answered.map_err(|status| refused(&status))
    }
}
