//! How many commands a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A bucket of tokens, one a command, that fills at an even pace. It is one number, the moment when
/// the bucket will be full again, so that who takes from it neither waits nor needs a lock (the
/// "generic cell rate algorithm").
#[derive(Debug)]
pub(super) struct Rate {
    /// How many come a second.
    pub(super) per_second: u64,
    /// Nanoseconds until one more is there.
    each: u64,
    /// Nanoseconds until an empty bucket is full.
    full: u64,
    /// When it was made.
    made: Instant,
    /// When it will be full again, in nanoseconds since then.
    full_at: AtomicU64,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    /// A full bucket: of `burst`, or of what comes in a second.
    pub(super) fn new(per_second: u64, burst: Option<u64>, now: Instant) -> Rate {
        let per_second = per_second.max(1);
        let each = (SECOND / per_second).max(1);
        let full = burst.unwrap_or(per_second).max(1).saturating_mul(each).min(u64::MAX / 4);
        Rate { per_second, each, full, made: now, full_at: AtomicU64::new(0) }
    }

    /// Takes so many, or says after how long they will be there. More than a bucket holds are taken
    /// from a full one, and are missing later: a batch is not split.
    pub(super) fn take(&self, commands: u64, now: Instant) -> Result<(), Duration> {
        let now = self.since(now);
        let cost = commands.saturating_mul(self.each);
        let needed = cost.min(self.full);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let from = full_at.max(now);
            let missing = (from - now).saturating_add(needed).saturating_sub(self.full);
            if missing > 0 {
                return Err(Duration::from_nanos(missing));
            }
            let then = from.saturating_add(cost);
            let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
            match self.full_at.compare_exchange_weak(full_at, then, order, failed) {
                Ok(_) => return Ok(()),
                Err(other) => full_at = other,
            }
        }
    }

    /// Gives back what was taken for nothing.
    pub(super) fn give_back(&self, commands: u64) {
        self.full_at.fetch_sub(commands.saturating_mul(self.each), Ordering::Relaxed);
    }

    /// Whether nothing is missing.
    pub(super) fn is_full(&self, now: Instant) -> bool {
        self.full_at.load(Ordering::Relaxed) <= self.since(now)
    }

    fn since(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.made).as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);

    #[test]
    fn a_burst_is_there_at_once_and_the_rest_comes_evenly() {
        let begin = Instant::now();
        let rate = Rate::new(1_000, Some(3), begin);
        for _ in 0..3 {
            assert_eq!(rate.take(1, begin), Ok(()));
        }
        assert_eq!(rate.take(1, begin), Err(MILLI));
        assert_eq!(rate.take(2, begin), Err(2 * MILLI));
        assert_eq!(rate.take(1, begin + MILLI), Ok(()));
        assert_eq!(rate.take(1, begin + MILLI), Err(MILLI));
        // However long nothing was asked for, there is no more than a bucket.
        let later = begin + Duration::from_secs(60);
        assert!(rate.is_full(later));
        assert_eq!(rate.take(3, later), Ok(()));
        assert_eq!(rate.take(1, later), Err(MILLI));
        assert!(!rate.is_full(later));
    }

    #[test]
    fn what_is_more_than_a_bucket_is_taken_from_a_full_one_and_missing_later() {
        let begin = Instant::now();
        let rate = Rate::new(1_000, Some(10), begin);
        assert_eq!(rate.take(1, begin), Ok(()));
        assert_eq!(rate.take(100, begin), Err(MILLI));
        let full = begin + MILLI;
        assert_eq!(rate.take(100, full), Ok(()));
        assert_eq!(rate.take(1, full), Err(91 * MILLI));
        assert_eq!(rate.take(1, full + 91 * MILLI), Ok(()));
    }

    #[test]
    fn what_is_given_back_can_be_taken() {
        let begin = Instant::now();
        let rate = Rate::new(10, Some(2), begin);
        assert_eq!(rate.take(2, begin), Ok(()));
        rate.give_back(2);
        assert_eq!(rate.take(2, begin), Ok(()));
    }

    #[test]
    fn the_largest_numbers_wait_long_and_break_nothing() {
        let begin = Instant::now();
        let rate = Rate::new(1, Some(u64::MAX), begin);
        assert_eq!(rate.take(u64::MAX, begin), Ok(()));
        assert!(rate.take(1, begin).is_err());
        assert_eq!(Rate::new(u64::MAX, None, begin).take(1, begin), Ok(()));
    }
}
