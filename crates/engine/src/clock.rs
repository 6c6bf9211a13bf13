//! Time comes in through one door.

use bergulir_domain::Timestamp;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the clock may be set back or leap ahead of the monotonic clock before writes stop: a
/// wrong clock must not get into the log for ever.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// Tells the time.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// A clock that nobody sets.
    fn monotonic(&self) -> Duration;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// The clock of the machine, from now on.
    pub fn new() -> SystemClock {
        SystemClock { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> SystemClock {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let micros = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_micros()).unwrap_or(i64::MAX),
            Err(before) => i64::try_from(before.duration().as_micros()).map_or(i64::MIN, |n| -n),
        };
        Timestamp::from_micros(micros)
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Gives each group of records its time: that of the clock, but never before the last one.
#[derive(Debug)]
pub(crate) struct Stamper {
    last: Timestamp,
    /// What clock and monotonic clock said together when they were last found in step.
    in_step: (Timestamp, Duration),
}

/// Why no time can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClockSuspect {
    #[error(
        "the clock was set back by {seconds} s: set it right, or restart the server if it is right"
    )]
    SetBack { seconds: i64 },
    #[error(
        "the clock leapt ahead by {seconds} s: set it right, or restart the server if it is right"
    )]
    LeaptAhead { seconds: i64 },
}

impl Stamper {
    /// Goes on after the last record.
    pub(crate) fn new(last: Timestamp, clock: &dyn Clock) -> Stamper {
        Stamper { last, in_step: (clock.now(), clock.monotonic()) }
    }

    /// The time of the next group of records.
    pub(crate) fn stamp(&mut self, clock: &dyn Clock) -> Result<Timestamp, ClockSuspect> {
        let (now, monotonic) = (clock.now(), clock.monotonic());
        let (then, then_monotonic) = self.in_step;
        let passed = i64::try_from((monotonic.saturating_sub(then_monotonic)).as_micros());
        let expected = then.as_micros().saturating_add(passed.unwrap_or(i64::MAX));
        let ahead = now.as_micros().saturating_sub(expected);
        let tolerance = i64::try_from(CLOCK_TOLERANCE.as_micros()).unwrap_or(i64::MAX);
        let behind_log = self.last.as_micros().saturating_sub(now.as_micros());
        if ahead > tolerance {
            return Err(ClockSuspect::LeaptAhead { seconds: ahead / 1_000_000 });
        }
        if behind_log > tolerance || ahead < -tolerance {
            return Err(ClockSuspect::SetBack { seconds: behind_log.max(-ahead) / 1_000_000 });
        }
        self.in_step = (now, monotonic);
        self.last = self.last.max(now);
        Ok(self.last)
    }

    /// From now on no stamp is at or before `instant`: a question as of it was answered.
    pub(crate) fn pass(&mut self, instant: Timestamp) {
        let after = Timestamp::from_micros(instant.as_micros().saturating_add(1));
        self.last = self.last.max(after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Mutex;

    struct Fake(Mutex<(i64, u64)>);

    impl Fake {
        fn set(&self, now_s: i64, monotonic_s: u64) {
            *self.0.lock().unwrap() = (now_s * 1_000_000, monotonic_s);
        }
    }

    impl Clock for Fake {
        fn now(&self) -> Timestamp {
            Timestamp::from_micros(self.0.lock().unwrap().0)
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }
    }

    fn micros(result: Result<Timestamp, ClockSuspect>) -> i64 {
        result.unwrap().as_micros()
    }

    #[test]
    fn a_small_step_back_holds_the_stamps() {
        let clock = Fake(Mutex::new((1_000_000_000, 0)));
        let mut stamper = Stamper::new(Timestamp::MIN, &clock);
        assert_eq!(micros(stamper.stamp(&clock)), 1_000_000_000);
        clock.set(990, 1);
        assert_eq!(micros(stamper.stamp(&clock)), 1_000_000_000);
    }

    #[test]
    fn a_large_step_either_way_stops_writes() {
        let clock = Fake(Mutex::new((10_000_000_000, 0)));
        let mut stamper = Stamper::new(Timestamp::MIN, &clock);
        stamper.stamp(&clock).unwrap();
        clock.set(10_000 - 400, 1);
        assert!(matches!(stamper.stamp(&clock), Err(ClockSuspect::SetBack { .. })));
        clock.set(10_000 + 400, 2);
        assert!(matches!(stamper.stamp(&clock), Err(ClockSuspect::LeaptAhead { .. })));
        clock.set(10_000 + 3, 3);
        assert_eq!(micros(stamper.stamp(&clock)), 10_003_000_000);
    }

    #[test]
    fn no_stamp_is_at_or_before_an_instant_that_was_asked_about() {
        let clock = Fake(Mutex::new((1_000_000_000, 0)));
        let mut stamper = Stamper::new(Timestamp::MIN, &clock);
        stamper.pass(Timestamp::from_micros(1_000_000_000));
        assert_eq!(micros(stamper.stamp(&clock)), 1_000_000_001);
    }
}
