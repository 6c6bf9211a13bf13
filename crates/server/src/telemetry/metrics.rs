//! Everything that is counted, as text that Prometheus reads. Labels are names of ledgers, methods,
//! codes, reasons, anchors and witnesses: never of callers, requests or what the money is for.

use super::Measured;
use super::process::{Process, disk};
use crate::services::Services;
use bergulir_domain::LedgerId;
use bergulir_engine::meter::{Counted, Histogram};
use bergulir_engine::{Ledger, Slot};
use bergulir_proto::status::code_name;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use std::fmt::{self, Error};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::UNIX_EPOCH;

const NO_LABELS: [(&str, &str); 0] = [];

/// What is shown at one moment.
pub(super) struct Exposition {
    pub(super) measured: Arc<Measured>,
    /// `None` while the ledgers are being opened.
    pub(super) services: Option<Services>,
}

impl fmt::Debug for Exposition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exposition").finish_non_exhaustive()
    }
}

impl Collector for Exposition {
    fn encode(&self, encoder: DescriptorEncoder) -> Result<(), Error> {
        let mut text = Text(encoder);
        self.process(&mut text)?;
        self.calls(&mut text)?;
        if let Some(services) = &self.services {
            streams(services, &mut text)?;
            ledgers(services, &mut text)?;
        }
        Ok(())
    }
}

impl Exposition {
    fn process(&self, text: &mut Text<'_>) -> Result<(), Error> {
        let build = [("version", env!("CARGO_PKG_VERSION"))];
        text.gauges("bergulir_build_info", "The version that runs", [(build, 1_u64)])?;
        let ready = self.services.as_ref().is_some_and(|services| services.health.is_ready());
        text.gauge("bergulir_ready", "Whether it takes commands", u64::from(ready))?;
        let process = Process::now();
        if let Some(seconds) = process.cpu_seconds {
            let help = "Processor time of the process";
            text.counters("process_cpu_seconds", help, [(NO_LABELS, seconds)])?;
        }
        for (name, help, value) in [
            ("process_resident_memory_bytes", "Memory of the process", process.resident_bytes),
            ("process_open_fds", "Files and connections that it has open", process.open_files),
            ("process_max_fds", "How many it may have open", process.most_files),
            ("process_threads", "Its threads", process.threads),
        ] {
            if let Some(value) = value {
                text.gauge(name, help, value)?;
            }
        }
        Ok(())
    }

    fn calls(&self, text: &mut Text<'_>) -> Result<(), Error> {
        let methods = self.measured.calls.methods();
        let help = "How long calls took until they were answered, or for streams until they began";
        let took = methods.iter().flat_map(|method| {
            let labels = |code| [("method", method.name.as_str()), ("code", code_name(code))];
            method.codes().map(move |(code, histogram)| (labels(code), histogram))
        });
        text.seconds("bergulir_call_seconds", help, took)?;
        let in_flight = methods.iter().filter_map(|method| {
            let now = method.in_flight.load(Ordering::Relaxed);
            // A method that was never called has no line.
            let called = now > 0 || method.codes().next().is_some();
            called.then_some(([("method", method.name.as_str())], now as u64))
        });
        text.gauges("bergulir_calls_in_flight", "Calls that are under way", in_flight)?;
        let refused = self.measured.refused.counted();
        let refused = refused.iter().map(|(reason, count)| ([("reason", reason.as_str())], *count));
        let help = "Calls, and items and messages of batches and streams, that were refused";
        text.counters("bergulir_refused", help, refused)?;
        let connections = self.measured.connections.load(Ordering::Relaxed);
        text.gauge("bergulir_connections", "Connections of callers", connections as u64)?;
        let files = self.measured.files.get().into_iter().flatten();
        let wrong = files
            .map(|(name, wrong)| ([("files", *name)], u64::from(wrong.load(Ordering::Relaxed))));
        let help =
            "1 if files of that kind changed and are wrong, so that the old ones stay in force";
        text.gauges("bergulir_files_wrong", help, wrong)
    }
}

fn streams(services: &Services, text: &mut Text<'_>) -> Result<(), Error> {
    let [records, commands] = services.quotas.open_streams().map(|open| open as u64);
    let open = [([("of", "records")], records), ([("of", "commands")], commands)];
    text.gauges("bergulir_streams", "Streams that are open", open)?;
    let help = "Bytes of messages on their way in or worked on, and of answers not taken yet";
    text.gauge("bergulir_message_bytes", help, services.quotas.memory.held() as u64)
}

/// What can be said of a ledger in one number.
type OfLedger = fn(&Ledger) -> Option<u64>;

fn ledgers(services: &Services, text: &mut Text<'_>) -> Result<(), Error> {
    if let Some((free, all)) = disk(services.node.folder()) {
        text.gauge("bergulir_data_free_bytes", "What is free on the disk of the data", free)?;
        text.gauge("bergulir_data_size_bytes", "The size of the disk of the data", all)?;
    }
    let ledgers = services.node.ledgers();
    let read_only = ledgers.iter().map(|(id, slot)| {
        let why = match slot {
            Slot::Open(ledger) => ledger.status().borrow().why().map(|why| kind_of(why).to_owned()),
            Slot::Broken(_) => Some("NOT_OPEN".to_owned()),
        };
        let read_only = u64::from(why.is_some());
        ([("ledger", id.to_string()), ("why", why.unwrap_or_default())], read_only)
    });
    let help = "1 if the ledger takes no commands, and why";
    text.gauges("bergulir_ledger_read_only", help, read_only)?;

    let open: Vec<(&LedgerId, &Ledger)> = ledgers
        .iter()
        .filter_map(|(id, slot)| match slot {
            Slot::Open(ledger) => Some((id, &**ledger)),
            Slot::Broken(_) => None,
        })
        .collect();
    let each = |value: OfLedger| {
        open.iter()
            .filter_map(move |(id, ledger)| Some(([("ledger", id.as_str())], value(ledger)?)))
    };
    let gauges: [(&str, &str, OfLedger); 6] = [
        ("bergulir_head_records", "Durable records", |ledger| Some(ledger.head().size.get())),
        (
            "bergulir_projected_records",
            "Records that balances, trails and the index reflect",
            |l| Some(l.projected_size().get()),
        ),
        ("bergulir_queue_work", "Pieces of work that wait for their answer", |ledger| {
            Some(ledger.waiting().work as u64)
        }),
        ("bergulir_queue_commands", "The commands in them", |ledger| {
            Some(ledger.waiting().commands as u64)
        }),
        ("bergulir_checkpoint_records", "Records that the newest checkpoint covers", |ledger| {
            Some(ledger.watch_checkpoint().borrow().as_ref()?.checkpoint.size.get())
        }),
        ("bergulir_checkpoint_timestamp_seconds", "When it was signed, in Unix time", |ledger| {
            Some(ledger.checkpointed_at()?.duration_since(UNIX_EPOCH).ok()?.as_secs())
        }),
    ];
    for (name, help, value) in gauges {
        text.gauges(name, help, each(value))?;
    }
    let limit = services.queue_limit() as u64;
    let help = "Pieces of work of a ledger that may wait for their answer";
    text.gauge("bergulir_queue_limit", help, limit)?;
    let age = open
        .iter()
        .map(|(id, ledger)| ([("ledger", id.as_str())], ledger.waiting().age.as_secs_f64()));
    let help = "No work waits for its answer for longer than this";
    text.gauges("bergulir_queue_age_seconds", help, age)?;
    let pushed_back = open.iter().flat_map(|(id, ledger)| {
        let meter = ledger.meter();
        let counted = [("FULL", &meter.pushed_back), ("LATE", &meter.waited_too_long)];
        counted.map(|(why, count)| {
            ([("ledger", id.as_str()), ("why", why)], count.load(Ordering::Relaxed))
        })
    });
    let help = "Pieces of work that were pushed back: the queue was full, or their turn came late";
    text.counters("bergulir_pushed_back", help, pushed_back)?;

    let meters = |histogram: fn(&Ledger) -> &Histogram| {
        open.iter().map(move |(id, ledger)| ([("ledger", id.as_str())], histogram(ledger)))
    };
    let help = "How long work waited for its turn";
    text.seconds("bergulir_turn_seconds", help, meters(|l| &l.meter().turn_micros))?;
    let help = "How long it took to write and sync a group of records";
    text.seconds("bergulir_append_seconds", help, meters(|l| &l.meter().append_micros))?;
    let help = "How many records were written and synced together";
    text.sizes("bergulir_group_records", help, meters(|l| &l.meter().group_records))?;

    let anchors = open.iter().flat_map(|(id, ledger)| {
        let anchors = ledger.anchors().into_iter().zip(1..);
        anchors.map(move |(anchor, n): (_, u64)| (id, n.to_string(), anchor.failure.is_some()))
    });
    let anchors: Vec<_> = anchors.collect();
    let failed = anchors.iter().map(|(id, anchor, failed)| {
        ([("ledger", id.as_str()), ("anchor", anchor)], u64::from(*failed))
    });
    let help = "1 if the newest checkpoint could not be written to the anchor of that number";
    text.gauges("bergulir_anchor_failed", help, failed)?;
    witnesses(&open, text)
}

fn witnesses(open: &[(&LedgerId, &Ledger)], text: &mut Text<'_>) -> Result<(), Error> {
    let witnesses: Vec<_> = open
        .iter()
        .flat_map(|(id, ledger)| ledger.witnesses().into_iter().map(move |witness| (id, witness)))
        .collect();
    let each = |value: fn(&bergulir_engine::WitnessStatus) -> u64| {
        witnesses.iter().map(move |(id, witness)| {
            ([("ledger", id.as_str()), ("witness", witness.name.as_str())], value(witness))
        })
    };
    let help = "1 if the witness did not cosign what it was sent last";
    let failed = each(|witness| u64::from(witness.failure.is_some()));
    text.gauges("bergulir_witness_failed", help, failed)?;
    let help = "Records of the log that the witness saw last";
    text.gauges("bergulir_witness_records", help, each(|witness| witness.known.get()))
}

/// The name that a reason begins with, if it has one: what follows is for people.
fn kind_of(why: &str) -> &str {
    let first = why.split([' ', ':', ',']).next().unwrap_or_default();
    let is_name = first.len() > 1 && first.bytes().all(|b| b.is_ascii_uppercase() || b == b'_');
    if is_name { first } else { "FAILED" }
}

/// What is written so far.
struct Text<'a>(DescriptorEncoder<'a>);

impl Text<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        self.gauges(name, help, [(NO_LABELS, value)])
    }

    fn gauges<L: EncodeLabelSet, V: EncodeGaugeValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        values
            .into_iter()
            .try_for_each(|(labels, value)| metric.encode_family(&labels)?.encode_gauge(&value))
    }

    fn counters<L: EncodeLabelSet, V: EncodeCounterValue>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = (L, V)>,
    ) -> Result<(), Error> {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        values.into_iter().try_for_each(|(labels, value)| {
            metric.encode_family(&labels)?.encode_counter::<NoLabelSet, V, u64>(&value, None)
        })
    }

    /// Histograms of microseconds, as seconds.
    fn seconds<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> Result<(), Error> {
        self.histograms(name, help, 1e6, histograms)
    }

    fn sizes<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        histograms: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> Result<(), Error> {
        self.histograms(name, help, 1.0, histograms)
    }

    fn histograms<'h, L: EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        unit: f64,
        histograms: impl IntoIterator<Item = (L, &'h Histogram)>,
    ) -> Result<(), Error> {
        #[expect(clippy::cast_precision_loss, reason = "what is shown needs no more digits")]
        let scaled = |value: u64| value as f64 / unit;
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histograms.into_iter().try_for_each(|(labels, histogram)| {
            let counted: Counted = histogram.counted();
            let ranges = counted.ranges.iter();
            let buckets: Vec<(f64, u64)> =
                ranges.map(|(end, count)| (end.map_or(f64::INFINITY, scaled), *count)).collect();
            let mut one = metric.encode_family(&labels)?;
            let (sum, count) = (scaled(counted.sum), counted.count());
            one.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_known_by_the_name_that_it_begins_with() {
        assert_eq!(kind_of("CHAIN_BROKEN at 7: it is damaged"), "CHAIN_BROKEN");
        assert_eq!(kind_of("ROLLED_BACK: the log is shorter"), "ROLLED_BACK");
        assert_eq!(kind_of("I/O error; restart the server"), "FAILED");
        assert_eq!(kind_of("A write failed"), "FAILED");
        assert_eq!(kind_of(""), "FAILED");
    }
}
