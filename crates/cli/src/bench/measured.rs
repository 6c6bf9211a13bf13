//! What a bench says in the end: a line of JSON for programs, a table for people.

use std::time::Duration;

use serde::Serialize;

use super::query::Queried;
use crate::failure::Failure;
use crate::output::{self, Page, count};

/// What was measured. What cannot be known of a server elsewhere is null.
#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) mode: &'static str,
    /// New records of the load.
    pub(crate) events: u64,
    /// How long it took until all were answered.
    pub(crate) seconds: f64,
    pub(crate) events_per_second: f64,
    /// Until balances, trails and the index reflected all of them.
    pub(crate) events_per_second_caught_up: f64,
    /// Of a request: a call, a batch, a message of a stream, a query.
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) p999_us: u32,
    /// Processor time of the server during the load.
    pub(crate) server_cpu_seconds: Option<f64>,
    pub(crate) server_rss_bytes: Option<u64>,
    /// Processor time of this process during the load.
    pub(crate) client_cpu_seconds: Option<f64>,
    pub(crate) log_bytes: Option<u64>,
    pub(crate) index_bytes: Option<u64>,
    /// Bytes of the log for each of its records.
    pub(crate) bytes_per_event: Option<f64>,
    /// Whether the balances of every ledger are those that the load counted.
    pub(crate) totals_match: bool,
    /// How fast `ReadRecords` gave all records back afterwards; null if it was not asked.
    pub(crate) records_read_per_second: Option<f64>,
    /// Whether all came, each leading to the next.
    pub(crate) read_back_whole: Option<bool>,
    /// Whether the totals match and every log was found valid; null if no log was looked at.
    pub(crate) verified: Option<bool>,
    pub(crate) refused: u64,
    pub(crate) duplicates_answered: u64,
    pub(crate) accounts: usize,
    pub(crate) ledgers: usize,
    pub(crate) batch: Option<usize>,
    pub(crate) in_flight: usize,
    pub(crate) connections: usize,
    pub(crate) streams: Option<usize>,
    /// Of the queries, in that mode.
    #[serde(flatten)]
    pub(crate) queried: Option<Queried>,
}

impl Measured {
    /// Whether nothing was found wrong.
    pub(crate) fn is_right(&self) -> bool {
        self.totals_match && self.read_back_whole != Some(false) && self.verified != Some(false)
    }

    pub(crate) fn show(&self, json: bool) -> Result<(), Failure> {
        if json {
            let line = serde_json::to_string(self)
                .expect("a struct of texts and finite numbers is always JSON");
            return output::line(line);
        }
        let optional = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        let cpu = |seconds: Option<f64>| optional(seconds.map(|cpu| format!("{cpu:.2}")));
        let read = self.records_read_per_second.map(|rate| format!("{rate:.0}"));
        let per_record = self.bytes_per_event.map(|bytes| format!("{bytes:.1}"));
        let mut page = Page::default();
        page.facts(
            &format!("bench: {}", self.mode),
            &[
                ("events", count(self.events)),
                ("seconds", format!("{:.2}", self.seconds)),
                ("events a second", format!("{:.0}", self.events_per_second)),
                ("events a second, caught up", format!("{:.0}", self.events_per_second_caught_up)),
                ("p50, µs", self.p50_us.to_string()),
                ("p99, µs", self.p99_us.to_string()),
                ("p99.9, µs", self.p999_us.to_string()),
                ("server, CPU seconds", cpu(self.server_cpu_seconds)),
                ("client, CPU seconds", cpu(self.client_cpu_seconds)),
                ("server, memory, bytes", optional(self.server_rss_bytes.map(count))),
                ("log, bytes", optional(self.log_bytes.map(count))),
                ("index, bytes", optional(self.index_bytes.map(count))),
                ("bytes a record", optional(per_record)),
                ("refused, as expected", count(self.refused)),
                ("duplicates, as expected", count(self.duplicates_answered)),
                ("totals match", self.totals_match.to_string()),
                ("records read back a second", optional(read)),
                ("read back whole", optional(self.read_back_whole.map(|yes| yes.to_string()))),
                ("verified", optional(self.verified.map(|yes| yes.to_string()))),
            ],
        );
        if let Some(queried) = &self.queried {
            page.facts("queries", &queried.facts());
        }
        page.print()
    }
}

/// So many in that time, by the second.
pub(crate) fn rate(events: u64, took: Duration) -> f64 {
    float(events) / took.as_secs_f64().max(f64::EPSILON)
}

/// How many bytes there are for each record.
pub(crate) fn ratio(of: u64, to: u64) -> f64 {
    float(of) / float(to).max(1.0)
}

/// A count as a float, for a rate; exact up to 2^53.
#[expect(
    clippy::cast_precision_loss,
    reason = "a rate is shown with a few digits, and no count reaches 2^53"
)]
pub(crate) fn float(count: u64) -> f64 {
    count as f64
}
