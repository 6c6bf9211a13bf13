//! What a ledger counts of its own work: plain atomics, written where the work is done and read by
//! whoever shows them. Nothing here waits, allocates or knows how it is shown.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How often values fell into each of a few ranges.
#[derive(Debug)]
pub struct Histogram {
    /// The upper ends of the ranges, each included, ascending; the last range has no end.
    bounds: &'static [u64],
    counts: Box<[AtomicU64]>,
    sum: AtomicU64,
}

/// What a histogram held at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counted {
    /// Each upper end, and how many values were in that range; the last, without end, is `None`.
    pub ranges: Vec<(Option<u64>, u64)>,
    /// The sum of all values.
    pub sum: u64,
}

impl Counted {
    /// How many values there were.
    pub fn count(&self) -> u64 {
        self.ranges.iter().map(|(_, count)| count).sum()
    }
}

impl Histogram {
    /// One with these upper ends, ascending.
    pub fn new(bounds: &'static [u64]) -> Histogram {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Histogram { bounds, counts, sum: AtomicU64::new(0) }
    }

    /// Counts one value.
    pub fn record(&self, value: u64) {
        let range = self.bounds.iter().position(|bound| value <= *bound);
        self.counts[range.unwrap_or(self.bounds.len())].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Counts one duration, in microseconds.
    pub fn record_micros(&self, duration: Duration) {
        self.record(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
    }

    /// What it holds now. While others count, the sum may be a value behind or ahead.
    pub fn counted(&self) -> Counted {
        let bounds = self.bounds.iter().map(|bound| Some(*bound)).chain([None]);
        let counts = self.counts.iter().map(|count| count.load(Ordering::Relaxed));
        Counted { ranges: bounds.zip(counts).collect(), sum: self.sum.load(Ordering::Relaxed) }
    }
}

/// Upper ends for durations, in microseconds: 100 µs to 10 s.
pub const MICROS: &[u64] = &[
    100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000,
    1_000_000, 2_500_000, 10_000_000,
];
/// Upper ends for how much is done at once.
pub const SIZES: &[u64] = &[1, 4, 16, 64, 256, 1_024, 4_096, 16_384, 65_536];

/// What one ledger counts.
#[derive(Debug)]
pub struct Meter {
    /// How long it took to write and sync each group, in microseconds.
    pub append_micros: Histogram,
    /// How many records each group had.
    pub group_records: Histogram,
    /// How long each piece of work waited for its turn, in microseconds.
    pub turn_micros: Histogram,
    /// Pieces of work that were refused because too much waited.
    pub pushed_back: AtomicU64,
    /// Pieces of work that were refused because their turn came too late.
    pub waited_too_long: AtomicU64,
}

impl Default for Meter {
    fn default() -> Meter {
        Meter {
            append_micros: Histogram::new(MICROS),
            group_records: Histogram::new(SIZES),
            turn_micros: Histogram::new(MICROS),
            pushed_back: AtomicU64::new(0),
            waited_too_long: AtomicU64::new(0),
        }
    }
}

/// What waits for an answer from a ledger: in the queue of the writer, decided, or being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Pieces of work.
    pub work: usize,
    /// The commands in them.
    pub commands: usize,
    /// None of it has waited longer than this.
    pub age: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_counts_in_the_first_range_that_it_does_not_exceed() {
        let histogram = Histogram::new(&[10, 20]);
        for value in [0, 10, 11, 20, 21, u64::from(u32::MAX)] {
            histogram.record(value);
        }
        let counted = histogram.counted();
        assert_eq!(counted.ranges, [(Some(10), 2), (Some(20), 2), (None, 2)]);
        assert_eq!(counted.sum, 62 + u64::from(u32::MAX));
        assert_eq!(counted.count(), 6);
    }
}
