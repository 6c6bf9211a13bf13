//! Places in the log and moments in time.

use core::fmt;

pub use time::Date;

/// Where a record stands in its ledger: zero-based, without gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The position `n`.
    pub const fn new(n: u64) -> Position {
        Position(n)
    }
    /// The number itself.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Microseconds in a day.
pub const MICROS_PER_DAY: i64 = 86_400_000_000;

/// An instant: microseconds since 1970-01-01T00:00:00Z, without leap seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The earliest instant that can be written.
    pub const MIN: Timestamp = Timestamp(i64::MIN);

    /// The instant `micros` microseconds after the Unix epoch.
    pub const fn from_micros(micros: i64) -> Timestamp {
        Timestamp(micros)
    }
    /// Microseconds since the Unix epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }
    /// The instant that many days later, as far as the type reaches.
    #[must_use]
    pub fn plus_days(self, days: u16) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::from(days) * MICROS_PER_DAY))
    }
    /// The civil date at that instant in a ledger's offset from UTC; `None` past the year 9999.
    pub fn date(self, offset: UtcOffset) -> Option<Date> {
        let local = self.0.checked_add(i64::from(offset.minutes()) * 60_000_000)?;
        let days = i32::try_from(local.div_euclid(MICROS_PER_DAY)).ok()?;
        Date::from_julian_day(days.checked_add(UNIX_EPOCH_JULIAN_DAY)?).ok()
    }
}

/// The Julian day of 1970-01-01, from which dates are counted in events.
pub const UNIX_EPOCH_JULIAN_DAY: i32 = 2_440_588;

/// A ledger's offset from UTC, by which an instant becomes a date: within ±14 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UtcOffset(i16);

impl UtcOffset {
    /// No offset.
    pub const UTC: UtcOffset = UtcOffset(0);
    /// Western Indonesian time, WIB.
    pub const JAKARTA: UtcOffset = UtcOffset(420);

    /// An offset of that many minutes; `None` outside ±840.
    pub fn from_minutes(minutes: i32) -> Option<UtcOffset> {
        i16::try_from(minutes).ok().filter(|m| (-840..=840).contains(m)).map(UtcOffset)
    }
    /// Minutes east of UTC.
    pub const fn minutes(self) -> i16 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use time::Month;

    #[test]
    fn a_date_changes_at_midnight_of_the_ledgers_offset() {
        let before = Timestamp::from_micros(1_772_384_399_999_999); // 2026-03-01T16:59:59.999999Z
        let after = Timestamp::from_micros(before.as_micros() + 1);
        let march = |day| Date::from_calendar_date(2026, Month::March, day).ok();
        assert_eq!(before.date(UtcOffset::JAKARTA), march(1));
        assert_eq!(after.date(UtcOffset::JAKARTA), march(2));
    }
}
