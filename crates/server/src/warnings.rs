//! Warnings about what strangers do, a few at a time: whoever can cause them must not fill the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// So many warnings at a time.
const AT_ONCE: u32 = 20;
/// After so long there may be as many again.
const PERIOD: Duration = Duration::from_secs(10);

/// Warnings of one kind.
#[derive(Debug, Default)]
pub(crate) struct Warnings(Mutex<Told>);

#[derive(Debug, Default)]
struct Told {
    since: Option<Instant>,
    count: u32,
    untold: u64,
}

impl Warnings {
    /// Whether to warn now; if so, how many warnings were left out since the last one.
    pub(crate) fn next(&self) -> Option<u64> {
        self.at(Instant::now())
    }

    fn at(&self, now: Instant) -> Option<u64> {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if told.since.is_none_or(|since| now.duration_since(since) >= PERIOD) {
            told.since = Some(now);
            told.count = 0;
        }
        if told.count >= AT_ONCE {
            told.untold += 1;
            return None;
        }
        told.count += 1;
        Some(std::mem::take(&mut told.untold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_is_counted() {
        let warnings = Warnings::default();
        let now = Instant::now();
        let told = (0..AT_ONCE + 7).filter(|_| warnings.at(now).is_some()).count();
        assert_eq!(told, AT_ONCE as usize);
        assert_eq!(warnings.at(now + PERIOD), Some(7));
        assert_eq!(warnings.at(now + PERIOD), Some(0));
    }
}
