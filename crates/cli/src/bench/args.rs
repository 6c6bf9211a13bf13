//! What a bench is told, and the load that follows from it.

use std::net::SocketAddr;
use std::time::Duration;

use clap::{Args, ValueEnum};

use super::load::Sending;
use crate::failure::Failure;

/// Commands if nothing else is said.
const EVENTS: u64 = 100_000;
/// Messages of a stream with fewer commands count as short: more of them are kept under way.
const SHORT: usize = 100;
/// Short messages under way.
const SHORT_IN_FLIGHT: usize = 1_024;
/// Seconds that questions are asked.
const QUERY_SECONDS: u64 = 5;

/// Load a real server through gRPC, and check what it did
///
/// The load is a mix of disbursements and repayments over many accounts, with request ids, values
/// and bank references of their own. Of it a share is sent twice, and a share breaks a rule; every
/// answer is checked. Afterwards the totals are compared with what was counted, and the log is
/// verified. Rates are given until the last answer, and until balances, trails and the index
/// reflect everything.
///
/// With --mode query a writer sends batches, first --events as fast as it goes, then at --load-share
/// of that, then the same while questions are asked: balances now and in the past, pages of trails,
/// inclusion and balance proofs.
///
/// Examples:
///   bergulir bench --mode batch --events 10000000 --accounts 84000
///   bergulir bench --mode stream --batch 1 --seconds 10
///   bergulir bench --mode unary --in-flight 64 --connections 4 --seconds 10
///   bergulir bench --mode query --accounts 84000 --seconds 10
///   bergulir bench --mode query --accounts 84000 --events 10000000 --load-share 1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BenchArgs {
    /// How commands are sent
    #[arg(long, default_value = "batch")]
    pub(crate) mode: Mode,
    /// How many commands are sent in all [default: 100000, or no limit with --seconds]; with --mode
    /// query: how many before questions are asked [default there: 3 seconds of them]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// How many commands go in a batch, or in a message of a stream
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    pub(crate) batch: usize,
    /// How many requests are under way at a time [default: 4 batches, 64 single commands; of
    /// streams 2 messages each, 1024 in all if they are short]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=10_000)
    )]
    in_flight: Option<usize>,
    /// How many connections they share [default: 1, 4 for single commands]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000)
    )]
    connections: Option<usize>,
    /// How many streams, with --mode stream [default: 4, or one for each ledger if that is more]
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=256)
    )]
    streams: Option<usize>,
    /// How many accounts in all, each with a loan
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000_000)
    )]
    pub(crate) accounts: usize,
    /// How many ledgers the load is spread over
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1,
        value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1_000)
    )]
    pub(crate) ledgers: usize,
    /// Stop after so many seconds; with --mode query, ask for so long [default there: 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    pub(crate) seconds: Option<u64>,
    /// Of a thousand commands so many are sent again with the same request id
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(0..=400)
    )]
    pub(crate) retries_per_mille: u64,
    /// Of a thousand commands so many break a rule
    #[arg(
        long,
        value_name = "N",
        default_value_t = 5,
        value_parser = clap::value_parser!(u64).range(0..=400)
    )]
    pub(crate) refusals_per_mille: u64,
    /// With --mode query: the load, in percent of what the writer takes at the most
    #[arg(
        long,
        value_name = "PERCENT",
        default_value_t = 50,
        value_parser = clap::value_parser!(u32).range(1..=100)
    )]
    pub(crate) load_share: u32,
    /// With --mode query: how many questions a second, of all kinds together
    #[arg(
        long,
        value_name = "N",
        default_value_t = 1_000,
        value_parser = clap::value_parser!(u32).range(1..=100_000)
    )]
    pub(crate) queries_per_second: u32,
    /// With --mode query: which questions, such as balance,trail; the figures of others are 0
    /// [default: all]
    #[arg(long, value_name = "QUESTION", value_delimiter = ',')]
    pub(crate) ask: Vec<Question>,
    /// Do not read the records back and verify the log afterwards; `read_back_whole` and `verified`
    /// are null then
    #[arg(long)]
    pub(crate) no_verify: bool,
    /// A server that runs already, such as 127.0.0.1:7447; new ledgers are opened on it, and its
    /// log is not verified [default: one of its own, on a fresh directory]
    #[arg(long)]
    pub(crate) address: Option<SocketAddr>,
}

/// What is asked of a server under load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Question {
    /// The balances of an account
    Balance,
    /// The same as of a position in the past
    BalanceAsOf,
    /// A page of an account's trail
    Trail,
    /// The proof that a record is in the log
    InclusionProof,
    /// The proof of the balances of an account
    BalanceProof,
}

/// How commands are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mode {
    /// One command a call
    Unary,
    /// Many commands a call
    Batch,
    /// Message after message without waiting for answers
    Stream,
    /// Batches, and questions beside them
    Query,
}

impl Mode {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Mode::Unary => "unary",
            Mode::Batch => "batch",
            Mode::Stream => "stream",
            Mode::Query => "query",
        }
    }
}

/// The load that is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) sending: Sending,
    /// How many commands in all; `u64::MAX` if the time decides.
    pub(crate) events: u64,
    /// How many send: a request or a stream each.
    pub(crate) workers: usize,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    /// How long to ask.
    pub(crate) query_time: Duration,
    /// How many commands there are before that, if it is said.
    pub(crate) before_queries: Option<u64>,
}

impl BenchArgs {
    /// The load, if it can be had.
    pub(crate) fn shape(&self) -> Result<Shape, Failure> {
        let usage = |message: String| Err(Failure::Usage(message));
        let streams = self.streams.unwrap_or(self.ledgers.max(4));
        let in_flight = self.in_flight.unwrap_or(match self.mode {
            Mode::Unary => 64,
            Mode::Batch | Mode::Query => 4,
            Mode::Stream if self.batch < SHORT => SHORT_IN_FLIGHT,
            Mode::Stream => streams * 2,
        });
        let (sending, workers) = match self.mode {
            Mode::Unary => (Sending::Unary, in_flight),
            Mode::Batch | Mode::Query => (Sending::Batches(self.batch), in_flight),
            Mode::Stream => {
                let under_way = in_flight.div_ceil(streams);
                (Sending::Streams { commands: self.batch, under_way }, streams)
            }
        };
        let events = match (self.events, self.seconds) {
            _ if self.mode == Mode::Query => u64::MAX,
            (Some(events), _) => events,
            (None, None) => EVENTS,
            (None, Some(_)) => u64::MAX,
        };
        if self.mode != Mode::Stream && self.streams.is_some() {
            return usage("--streams goes with --mode stream".to_owned());
        }
        if self.mode == Mode::Stream && streams < self.ledgers {
            return usage(format!(
                "--streams {streams} is less than --ledgers {}: a stream goes to one ledger",
                self.ledgers
            ));
        }
        let sharing = workers.div_ceil(self.ledgers);
        if self.accounts / self.ledgers < sharing {
            return usage(format!(
                "--accounts {} is less than {sharing} for each ledger: each request or stream \
                 under way has accounts of its own, so that the order of its commands is certain",
                self.accounts
            ));
        }
        Ok(Shape {
            sending,
            events,
            workers,
            in_flight,
            connections: self.connections.unwrap_or(if self.mode == Mode::Unary { 4 } else { 1 }),
            query_time: Duration::from_secs(self.seconds.unwrap_or(QUERY_SECONDS)),
            before_queries: self.events.filter(|_| self.mode == Mode::Query),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        bench: BenchArgs,
    }

    fn shape(line: &str) -> Result<Shape, String> {
        let line = std::iter::once("bench").chain(line.split_whitespace());
        let bench = Line::try_parse_from(line).map_err(|error| error.to_string())?.bench;
        bench.shape().map_err(|failure| failure.to_string())
    }

    #[test]
    fn what_is_not_said_fits_the_mode() {
        let unary = shape("--mode unary").unwrap();
        assert_eq!((unary.workers, unary.connections, unary.events), (64, 4, EVENTS));
        let batch = shape("--seconds 3").unwrap();
        assert_eq!((batch.workers, batch.connections, batch.events), (4, 1, u64::MAX));
        let long = shape("--mode stream").unwrap();
        assert_eq!(long.sending, Sending::Streams { commands: 1_000, under_way: 2 });
        let short = shape("--mode stream --batch 1 --ledgers 8").unwrap();
        assert_eq!(short.sending, Sending::Streams { commands: 1, under_way: 128 });
        assert_eq!(short.workers, 8);
        let query = shape("--mode query").unwrap();
        assert_eq!((query.query_time, query.before_queries), (Duration::from_secs(5), None));
        let query = shape("--mode query --events 7").unwrap();
        assert_eq!((query.events, query.before_queries), (u64::MAX, Some(7)));
    }

    #[test]
    fn a_load_that_cannot_be_is_refused() {
        for (line, said) in [
            ("--streams 3", "goes with --mode stream"),
            ("--mode stream --streams 2 --ledgers 3", "one ledger"),
            ("--mode unary --accounts 63", "accounts of its own"),
            ("--accounts 10 --ledgers 11", "accounts of its own"),
        ] {
            let refused = shape(line).unwrap_err();
            assert!(refused.contains(said), "{line}: {refused}");
        }
    }
}
