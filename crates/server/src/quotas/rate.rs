//! How many commands a second.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// A bucket of tokens, one a command, that fills at an even pace. It is one number, the moment when
/// the bucket will be full again, so that who takes from it neither waits nor needs a lock (the
/// "generic cell rate algorithm").
#[derive(Debug)]
pub(super) struct Rate {
    /// How many come a second; 0: any number.
    per_second: AtomicU64,
    /// Nanoseconds until one more is there.
    each: AtomicU64,
    /// Nanoseconds until an empty bucket is full.
    full: AtomicU64,
    /// When it was made.
    made: Instant,
    /// When it will be full again, in nanoseconds since then.
    full_at: AtomicU64,
}

const SECOND: u64 = 1_000_000_000;

impl Rate {
    /// A full bucket: of `burst`, or of what comes in a second. With 0 a second there is no limit.
    pub(super) fn new(per_second: u64, burst: Option<u64>, now: Instant) -> Rate {
        let [per, each, full, full_at] = std::array::from_fn(|_| AtomicU64::new(0));
        let rate = Rate { per_second: per, each, full, made: now, full_at };
        rate.set(per_second, burst);
        rate
    }

    /// Makes it another one, which begins with a full bucket; one that is the same stays as it is. Who
    /// takes from it meanwhile may take by half of each.
    pub(super) fn set(&self, per_second: u64, burst: Option<u64>) {
        let each = (SECOND / per_second.max(1)).max(1);
        let full = burst.unwrap_or(per_second).max(1).saturating_mul(each).min(u64::MAX / 4);
        if self.per_second() == per_second && self.full.load(Ordering::Relaxed) == full {
            return;
        }
        self.each.store(each, Ordering::Relaxed);
        self.full.store(full, Ordering::Relaxed);
        self.full_at.store(0, Ordering::Relaxed);
        self.per_second.store(per_second, Ordering::Relaxed);
    }

    /// How many come a second; 0: any number.
    pub(super) fn per_second(&self) -> u64 {
        self.per_second.load(Ordering::Relaxed)
    }

    /// Takes so many, or says after how long they will be there. More than a bucket holds are taken
    /// from a full one, and are missing later: a batch is not split.
    pub(super) fn take(&self, commands: u64, now: Instant) -> Result<(), Duration> {
        if self.per_second() == 0 {
            return Ok(());
        }
        let now = self.since(now);
        let full = self.full.load(Ordering::Relaxed);
        let cost = commands.saturating_mul(self.each.load(Ordering::Relaxed));
        let needed = cost.min(full);
        let mut full_at = self.full_at.load(Ordering::Relaxed);
        loop {
            let from = full_at.max(now);
            let missing = (from - now).saturating_add(needed).saturating_sub(full);
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
        let given = commands.saturating_mul(self.each.load(Ordering::Relaxed));
        // It may have become another one in between.
        let less = |full_at: u64| Some(full_at.saturating_sub(given));
        let _ = self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
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
    fn a_rate_that_changes_begins_anew_and_one_that_does_not_goes_on() {
        let begin = Instant::now();
        let rate = Rate::new(1, Some(1), begin);
        assert_eq!(rate.take(100, begin), Ok(()));
        rate.set(1, Some(1));
        assert_eq!(rate.take(1, begin), Err(Duration::from_secs(100)));
        rate.set(1_000, Some(2));
        assert_eq!(rate.take(2, begin), Ok(()));
        assert_eq!(rate.take(1, begin), Err(MILLI));
        rate.set(0, None);
        assert_eq!(rate.take(u64::MAX, begin), Ok(()));
        assert!(rate.is_full(begin));
        rate.set(1_000, None);
        assert_eq!(rate.take(1_000, begin), Ok(()));
        assert!(rate.take(1, begin).is_err());
        // What was taken of the old one and comes back to the new one breaks nothing.
        rate.set(1, None);
        rate.give_back(1_000);
        assert_eq!(rate.take(1, begin), Ok(()));
        assert_eq!(rate.take(1, begin), Err(Duration::from_secs(1)));
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
