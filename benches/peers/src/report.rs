//! What all turns came to: medians, and ratios.

use std::fmt;
use std::time::Duration;

use serde::Serialize;

use crate::events::BYTES;
use crate::load::Measured;
use crate::system::{Load, Missing, System};

const OWN: &str = "bergulir";

/// One of those that are compared.
#[derive(Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    title: &'static str,
    version: Option<String>,
    checks: &'static str,
    pub missing: Option<Missing>,
    pub failed: Option<String>,
    loads: Vec<Loaded>,
}

#[derive(Debug, Serialize)]
struct Loaded {
    load: Load,
    setting: String,
    /// Of all rounds.
    median: Option<Median>,
    /// How many times as many events a second Bergulir takes: the median of the rounds' ratios.
    bergulir_is: Option<f64>,
    rounds: Vec<Measured>,
    /// What a sync of 4 KiB took just before each of these rounds.
    sync_us: Vec<u64>,
}

#[derive(Debug, Clone, Copy, Serialize)]
struct Median {
    events_per_second: f64,
    p50_us: f64,
    p99_us: f64,
    sync_us: f64,
}

impl Row {
    pub fn new(system: &dyn System, loads: &[Load]) -> Row {
        let (version, missing) = match system.find() {
            Ok(version) => (Some(version), None),
            Err(missing) => (None, Some(missing)),
        };
        let loads = loads.iter().map(|load| Loaded {
            load: *load,
            setting: system.setting(*load),
            median: None,
            bergulir_is: None,
            rounds: Vec::new(),
            sync_us: Vec::new(),
        });
        Row {
            name: system.name(),
            title: system.title(),
            version,
            checks: system.checks(),
            missing,
            failed: None,
            loads: loads.collect(),
        }
    }

    pub fn can_run(&self) -> bool {
        self.missing.is_none() && self.failed.is_none()
    }

    pub fn take(&mut self, load: Load, measured: Measured, sync_us: u64) {
        if let Some(loaded) = self.loads.iter_mut().find(|loaded| loaded.load == load) {
            loaded.rounds.push(measured);
            loaded.sync_us.push(sync_us);
        }
    }

    fn of(&self, load: Load) -> Option<&Loaded> {
        self.loads.iter().find(|loaded| loaded.load == load)
    }

    fn rate(&self, load: Load) -> Option<f64> {
        Some(self.of(load)?.median?.events_per_second)
    }
}

/// The fastest of the peers: the one that Bergulir compares worst with, where both ran.
#[derive(Debug, Serialize)]
struct Best {
    load: Load,
    name: &'static str,
    bergulir_is: Option<f64>,
}

#[derive(Debug, Serialize)]
pub struct Report {
    seconds: u64,
    rounds: u32,
    event_bytes: usize,
    cores: usize,
    /// How many wanted to run, over the last minute, before the first turn and after the last.
    load_average_before: Option<f64>,
    load_average_after: Option<f64>,
    best: Vec<Best>,
    systems: Vec<Row>,
}

impl Report {
    pub fn new(
        mut rows: Vec<Row>,
        loads: &[Load],
        time: Duration,
        rounds: u32,
        before: Option<f64>,
    ) -> Report {
        for load in loads {
            let own = rows.iter().find(|row| row.name == OWN).and_then(|row| row.of(*load));
            let own: Vec<f64> = own.iter().flat_map(|own| rates(&own.rounds)).collect();
            for loaded in rows.iter_mut().flat_map(|row| &mut row.loads) {
                if loaded.load == *load {
                    loaded.sum_up(&own);
                }
            }
        }
        Report {
            seconds: time.as_secs(),
            rounds,
            event_bytes: BYTES,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            load_average_before: before,
            load_average_after: load_average(),
            best: loads.iter().filter_map(|load| best(&rows, *load)).collect(),
            systems: rows,
        }
    }

    pub fn has_failed(&self) -> bool {
        self.systems.iter().any(|row| row.failed.is_some())
    }
}

impl Loaded {
    fn sum_up(&mut self, own: &[f64]) {
        let of = |what: fn(&Measured) -> f64| median(self.rounds.iter().map(what).collect());
        self.median = of(Measured::events_per_second).and_then(|events_per_second| {
            Some(Median {
                events_per_second,
                p50_us: of(|round| as_float(round.p50_us))?,
                p99_us: of(|round| as_float(round.p99_us))?,
                sync_us: median(self.sync_us.iter().copied().map(as_float).collect())?,
            })
        });
        let theirs = rates(&self.rounds);
        self.bergulir_is =
            median(own.iter().zip(theirs).map(|(own, theirs)| own / theirs).collect());
    }
}

fn rates(rounds: &[Measured]) -> Vec<f64> {
    rounds.iter().map(Measured::events_per_second).collect()
}

fn best(rows: &[Row], load: Load) -> Option<Best> {
    let peers = rows.iter().filter(|row| row.name != OWN && row.rate(load).is_some());
    // Ratios of one round hold better than rates of different moments.
    let slower = |row: &Row| match row.of(load).and_then(|loaded| loaded.bergulir_is) {
        Some(ratio) => ratio,
        None => -row.rate(load).unwrap_or(0.0),
    };
    let row = peers.min_by(|one, other| slower(one).total_cmp(&slower(other)))?;
    Some(Best { load, name: row.title, bergulir_is: row.of(load)?.bergulir_is })
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { f64::midpoint(values[middle - 1], upper) })
}

#[expect(clippy::cast_precision_loss, reason = "no request takes 2^53 microseconds")]
fn as_float(micros: u64) -> f64 {
    micros as f64
}

/// How many wanted to run over the last minute; `None` where the system does not tell.
pub fn load_average() -> Option<f64> {
    std::fs::read_to_string("/proc/loadavg").ok()?.split(' ').next()?.parse().ok()
}

/// A rate for people: `1,234,567`.
pub fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn times(ratio: Option<f64>) -> String {
    ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"))
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let average =
            |value: Option<f64>| value.map_or_else(|| "?".to_owned(), |v| format!("{v:.1}"));
        writeln!(
            f,
            "rounds: {}, of {} s; events of {} bytes; {} cores, load average {} before and {} after",
            self.rounds,
            self.seconds,
            self.event_bytes,
            self.cores,
            average(self.load_average_before),
            average(self.load_average_after),
        )?;
        for load in Load::ALL {
            self.table(f, load)?;
        }
        writeln!(
            f,
            "\n\"Bergulir is\" so many times as fast: the median of the rounds' ratios. \"sync\" is what \
             4 KiB took just before each turn.\n\nWhat each checks and keeps",
        )?;
        for row in &self.systems {
            let version = row.version.as_deref().unwrap_or("missing");
            writeln!(f, "  {} ({version}): {}", row.title, row.checks)?;
        }
        for row in &self.systems {
            if let Some(missing) = &row.missing {
                writeln!(f, "missing: {missing}")?;
            }
            if let Some(failed) = &row.failed {
                writeln!(f, "failed: {}: {failed}", row.title)?;
            }
        }
        Ok(())
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>, load: Load) -> fmt::Result {
        let measured = self.systems.iter().filter_map(|row| {
            let loaded = row.of(load)?;
            Some((row, loaded, loaded.median?))
        });
        let mut measured = measured.peekable();
        if measured.peek().is_none() {
            return Ok(());
        }
        writeln!(f, "\n{}", load.title())?;
        writeln!(
            f,
            "  {:<22}{:>12}{:>10}{:>10}{:>13}{:>9}   how",
            "", "events/s", "p50 ms", "p99 ms", "Bergulir is", "sync ms",
        )?;
        for (row, loaded, median) in measured {
            writeln!(
                f,
                "  {:<22}{:>12}{:>10.1}{:>10.1}{:>13}{:>9.2}   {}",
                row.title,
                thousands(median.events_per_second),
                median.p50_us / 1_000.0,
                median.p99_us / 1_000.0,
                times(loaded.bergulir_is),
                median.sync_us / 1_000.0,
                loaded.setting,
            )?;
        }
        if let Some(best) = self.best.iter().find(|best| best.load == load) {
            write!(f, "  The best of them is {}", best.name)?;
            if let Some(ratio) = best.bergulir_is {
                write!(f, "; Bergulir is {ratio:.2} of it")?;
            }
            writeln!(f, ".")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_thousands() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
        assert_eq!(thousands(1_234_567.4), "1,234,567");
        assert_eq!(thousands(999.6), "1,000");
        assert_eq!(thousands(12.0), "12");
    }

    fn row(name: &'static str, rate: f64, bergulir_is: Option<f64>) -> Row {
        let median =
            Some(Median { events_per_second: rate, p50_us: 0.0, p99_us: 0.0, sync_us: 0.0 });
        let loaded = Loaded {
            load: Load::Batch,
            setting: String::new(),
            median,
            bergulir_is,
            rounds: Vec::new(),
            sync_us: Vec::new(),
        };
        Row {
            name,
            title: name,
            version: None,
            checks: "",
            missing: None,
            failed: None,
            loads: vec![loaded],
        }
    }

    #[test]
    fn the_best_is_the_one_with_the_lowest_ratio_else_with_the_highest_rate() {
        let own = || row(OWN, 900.0, Some(1.0));
        let rows = [own(), row("a", 100.0, Some(0.6)), row("b", 90.0, Some(0.5))];
        assert_eq!(best(&rows, Load::Batch).map(|best| best.name), Some("b"));
        let rows = [row("a", 100.0, None), row("b", 90.0, None)];
        assert_eq!(best(&rows, Load::Batch).map(|best| best.name), Some("a"));
        assert!(best(&[own()], Load::Batch).is_none());
        assert!(best(&rows, Load::Single).is_none());
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds_ratios() {
        let round = |events| Measured { events, seconds: 1.0, p50_us: 10, p99_us: 20 };
        let mut loaded = Loaded {
            load: Load::Batch,
            setting: String::new(),
            median: None,
            bergulir_is: None,
            rounds: vec![round(10), round(100), round(50)],
            sync_us: vec![1, 2, 3],
        };
        // Ratios of 2, 0.5 and 4.
        loaded.sum_up(&[20.0, 50.0, 200.0]);
        assert_eq!(loaded.bergulir_is, Some(2.0));
        assert_eq!(loaded.median.map(|median| median.p99_us), Some(20.0));
    }
}
