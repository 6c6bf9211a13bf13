//! Time comes in through one door, which a wrong clock does not pass: what it stamps stays in the log for
//! ever.

use bergulir_domain::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// How far the clock may be set back or leap ahead of the monotonic clock before writes stop: a
/// wrong clock must not get into the log for ever.
pub const CLOCK_TOLERANCE: Duration = Duration::from_secs(5 * 60);

/// The longest time between the last record of a node and its start, if nothing else is said: an office
/// may rest.
pub const LONGEST_REST: Duration = Duration::from_secs(31 * 86_400);

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

/// The clock of a node, and whether it can be believed: it is held against the monotonic clock, and at a
/// start against the newest records.
pub(crate) struct ClockWatch {
    clock: Arc<dyn Clock>,
    longest_rest: Duration,
    seen: Mutex<Seen>,
}

struct Seen {
    /// What clock and monotonic clock said together when they were last found in step.
    in_step: (Timestamp, Duration),
    /// The last records of the ledgers at the start, if the clock fits none of them: then nobody can
    /// say yet what it should be in step with.
    doubted_by: Vec<Timestamp>,
    /// Stamps as late as this may be ahead of the clock: an operator has said that the clock is right.
    held_to: Timestamp,
}

/// Why no time can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ClockSuspect {
    #[error("CLOCK_SUSPECT: the clock was set back by {seconds} s. {DO}")]
    SetBack { seconds: i64 },
    #[error("CLOCK_SUSPECT: the clock leapt ahead by {seconds} s. {DO}")]
    LeaptAhead { seconds: i64 },
    #[error("CLOCK_SUSPECT: the clock is {seconds} s behind the last record. {DO}")]
    Behind { seconds: i64 },
    #[error(
        "CLOCK_SUSPECT: at the start the clock was far ahead: {days} days after the last record. {DO}"
    )]
    Rested { days: i64 },
}

/// What to do then.
const DO: &str = "Set the clock right, and writes go on by themselves; if it is right, say so on the \
                  server: `bergulir clock accept`";

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// From an instant to another one, in microseconds.
fn since(earlier: Timestamp, later: Timestamp) -> i64 {
    later.as_micros().saturating_sub(earlier.as_micros())
}

impl ClockWatch {
    /// Watches a clock from now on. At a start, the last record of a node must not lie further back
    /// than the longest rest.
    pub(crate) fn new(clock: Arc<dyn Clock>, longest_rest: Duration) -> ClockWatch {
        let in_step = (clock.now(), clock.monotonic());
        let seen = Seen { in_step, doubted_by: Vec::new(), held_to: Timestamp::MIN };
        ClockWatch { clock, longest_rest, seen: Mutex::new(seen) }
    }

    /// The node starts with ledgers whose last records are of these times.
    pub(crate) fn begin(&self, last: Vec<Timestamp>) {
        let now = self.clock.now();
        if !last.iter().any(|last| self.fits(*last, now)) {
            self.held().doubted_by = last;
        }
    }

    /// Whether a clock that says so can be right, if the last record is of that time.
    fn fits(&self, last: Timestamp, now: Timestamp) -> bool {
        (-micros(CLOCK_TOLERANCE)..=micros(self.longest_rest)).contains(&since(last, now))
    }

    /// The time, if it can be believed.
    pub(crate) fn now(&self) -> Result<Timestamp, ClockSuspect> {
        let mut seen = self.held();
        let (now, monotonic) = (self.clock.now(), self.clock.monotonic());
        if !seen.doubted_by.is_empty() {
            seen.in_step = (now, monotonic);
            if !seen.doubted_by.iter().any(|last| self.fits(*last, now)) {
                return Err(doubt(&seen.doubted_by, now));
            }
            seen.doubted_by.clear();
        }
        let (then, then_monotonic) = seen.in_step;
        let ahead =
            since(then, now).saturating_sub(micros(monotonic.saturating_sub(then_monotonic)));
        if ahead > micros(CLOCK_TOLERANCE) {
            return Err(ClockSuspect::LeaptAhead { seconds: ahead / 1_000_000 });
        }
        if ahead < -micros(CLOCK_TOLERANCE) {
            return Err(ClockSuspect::SetBack { seconds: -ahead / 1_000_000 });
        }
        seen.in_step = (now, monotonic);
        Ok(now)
    }

    /// An operator says that the clock is right. Stamps that are ahead of it now are held, no later than
    /// the given one.
    pub(crate) fn accept(&self, last: Timestamp) {
        let mut seen = self.held();
        seen.in_step = (self.clock.now(), self.clock.monotonic());
        seen.doubted_by.clear();
        seen.held_to = last;
    }

    /// The clock, believed or not.
    pub(crate) fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    fn held(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with a clock that fits none of these times.
fn doubt(last: &[Timestamp], now: Timestamp) -> ClockSuspect {
    let past = last.iter().map(|last| since(*last, now)).filter(|since| *since >= 0).min();
    let behind = last.iter().map(|last| since(now, *last)).min().unwrap_or_default();
    match past {
        Some(rested) => ClockSuspect::Rested { days: rested / 86_400_000_000 },
        None => ClockSuspect::Behind { seconds: behind / 1_000_000 },
    }
}

/// Gives each group of records of a ledger its time: that of the clock, but never before the last one.
pub(crate) struct Stamper {
    watch: Arc<ClockWatch>,
    last: Mutex<Timestamp>,
}

impl Stamper {
    /// Goes on from the last record, or the last instant that may have been answered as of.
    pub(crate) fn new(last: Timestamp, watch: Arc<ClockWatch>) -> Stamper {
        Stamper { watch, last: Mutex::new(last) }
    }

    /// What the clock says, if a time can be given now.
    pub(crate) fn check(&self) -> Result<Timestamp, ClockSuspect> {
        self.now(*self.held())
    }

    /// The time of the next group of records.
    pub(crate) fn stamp(&self) -> Result<Timestamp, ClockSuspect> {
        let mut last = self.held();
        *last = (*last).max(self.now(*last)?);
        Ok(*last)
    }

    /// From now on no stamp is at or before `instant`: a question as of it was answered. Not if the
    /// clock is not believed: then the instant may lie in the future.
    pub(crate) fn pass(&self, instant: Timestamp) -> Result<(), ClockSuspect> {
        let mut last = self.held();
        self.now(*last)?;
        let after = Timestamp::from_micros(instant.as_micros().saturating_add(1));
        *last = (*last).max(after);
        Ok(())
    }

    /// The newest stamp.
    pub(crate) fn last(&self) -> Timestamp {
        *self.held()
    }

    fn now(&self, last: Timestamp) -> Result<Timestamp, ClockSuspect> {
        let now = self.watch.now()?;
        let behind = since(now, last);
        if behind > micros(CLOCK_TOLERANCE) && last > self.watch.held().held_to {
            return Err(ClockSuspect::Behind { seconds: behind / 1_000_000 });
        }
        Ok(now)
    }

    fn held(&self) -> MutexGuard<'_, Timestamp> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 86_400;
    const REST: Duration = Duration::from_secs(31 * 86_400);

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

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    /// A node that starts at that time with ledgers whose last records are of these.
    fn start(now_s: i64, last: &[i64]) -> (Arc<Fake>, Arc<ClockWatch>, Stamper) {
        let fake = Arc::new(Fake(Mutex::new((now_s * 1_000_000, 0))));
        let watch = Arc::new(ClockWatch::new(Arc::<Fake>::clone(&fake) as _, REST));
        watch.begin(last.iter().map(|last| at(*last)).collect());
        let last = last.first().map_or(Timestamp::MIN, |last| at(*last));
        let stamper = Stamper::new(last, Arc::clone(&watch));
        (fake, watch, stamper)
    }

    #[test]
    fn a_small_step_back_holds_the_stamps() {
        let (fake, _, stamper) = start(1_000, &[]);
        assert_eq!(stamper.stamp(), Ok(at(1_000)));
        fake.set(990, 1);
        assert_eq!(stamper.stamp(), Ok(at(1_000)));
    }

    #[test]
    fn a_large_step_either_way_stops_writes_until_the_clock_is_right_again() {
        let (fake, _, stamper) = start(10_000, &[]);
        stamper.stamp().unwrap();
        fake.set(10_000 - 400, 1);
        assert_eq!(stamper.stamp(), Err(ClockSuspect::SetBack { seconds: 401 }));
        fake.set(10_000 + 400, 2);
        assert_eq!(stamper.stamp(), Err(ClockSuspect::LeaptAhead { seconds: 398 }));
        assert!(
            stamper.pass(at(10_200)).is_err(),
            "no instant is passed that may be in the future"
        );
        fake.set(10_000 + 3, 3);
        assert_eq!(stamper.stamp(), Ok(at(10_003)));
    }

    #[test]
    fn a_leap_or_a_step_back_that_an_operator_confirms_is_gone_on_from() {
        let (fake, watch, stamper) = start(10_000, &[]);
        stamper.stamp().unwrap();
        fake.set(20_000, 1);
        assert!(stamper.stamp().is_err());
        watch.accept(stamper.last());
        assert_eq!(stamper.stamp(), Ok(at(20_000)));
        fake.set(12_000, 2);
        assert!(stamper.stamp().is_err());
        watch.accept(stamper.last());
        assert_eq!(stamper.stamp(), Ok(at(20_000)), "the stamps are held until the clock is there");
        fake.set(20_001, 8_003);
        assert_eq!(stamper.stamp(), Ok(at(20_001)));
    }

    #[test]
    fn slewing_and_small_steps_never_add_up_to_a_leap() {
        let (fake, _, stamper) = start(0, &[]);
        for day in 1..=365_i64 {
            // Four minutes a day, and a leap second now and then.
            fake.set(day * (DAY + 240), u64::try_from(day * DAY).unwrap());
            stamper.check().unwrap();
        }
    }

    #[test]
    fn at_a_start_a_long_rest_or_a_step_back_stops_writes_until_the_clock_fits() {
        let (fake, _, stamper) = start(100 * DAY, &[60 * DAY]);
        assert_eq!(stamper.stamp(), Err(ClockSuspect::Rested { days: 40 }));
        // Set right: what it was before is no measure.
        fake.set(60 * DAY + 50, 5);
        assert_eq!(stamper.stamp(), Ok(at(60 * DAY + 50)));
        fake.set(61 * DAY, 6);
        assert!(
            matches!(stamper.stamp(), Err(ClockSuspect::LeaptAhead { .. })),
            "from here on it is"
        );

        let (fake, _, stamper) = start(0, &[60 * DAY]);
        assert_eq!(stamper.stamp(), Err(ClockSuspect::Behind { seconds: 60 * DAY }));
        fake.set(60 * DAY - 299, 5);
        assert_eq!(stamper.stamp(), Ok(at(60 * DAY)));
        assert_eq!(start(91 * DAY, &[60 * DAY]).2.stamp(), Ok(at(91 * DAY)), "an office may rest");
    }

    #[test]
    fn a_long_rest_is_confirmed_by_an_operator_or_by_a_ledger_that_had_none() {
        let (_, watch, stamper) = start(100 * DAY, &[60 * DAY]);
        assert!(stamper.check().is_err());
        watch.accept(stamper.last());
        assert_eq!(stamper.stamp(), Ok(at(100 * DAY)));
        assert_eq!(start(100 * DAY, &[10 * DAY, 99 * DAY]).2.stamp(), Ok(at(100 * DAY)));
        // A ledger with a time in the future stops by itself, and no other.
        let (_, _, stamper) = start(100 * DAY, &[300 * DAY, 99 * DAY]);
        assert!(matches!(stamper.stamp(), Err(ClockSuspect::Behind { .. })));
        let (_, _, stamper) = start(100 * DAY, &[99 * DAY, 300 * DAY]);
        assert_eq!(stamper.stamp(), Ok(at(100 * DAY)));
    }

    #[test]
    fn no_stamp_is_at_or_before_an_instant_that_was_asked_about() {
        let (_, _, stamper) = start(1_000, &[]);
        stamper.pass(at(1_000)).unwrap();
        assert_eq!(stamper.stamp().unwrap().as_micros(), 1_000_000_001);
    }
}
