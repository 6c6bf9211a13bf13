//! Dates and instants: of the domain, of the wire, and of stored events.

use bergulir_domain::moment::UNIX_EPOCH_JULIAN_DAY;
use bergulir_domain::{Date, Timestamp};
use thiserror::Error;

use crate::pb;

const MICROS_PER_SECOND: i64 = 1_000_000;
const NANOS_PER_MICRO: i32 = 1_000;
/// 0001-01-01T00:00:00Z to 9999-12-31T23:59:59Z, as `google.protobuf.Timestamp` allows.
const SECONDS: core::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

/// Why a date or an instant of the wire is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum MomentError {
    /// A date without a year, a month or a day, or one that no calendar has.
    #[error("must be a day of the calendar with year, month and day, from year 1 to 9999")]
    NoSuchDay,
    /// An instant outside the years 1 to 9999, or with nanoseconds outside 0 to 999,999,999.
    #[error("must be an instant from year 1 to 9999, with nanos from 0 to 999999999")]
    NoSuchInstant,
    /// An instant finer than a microsecond.
    #[error("must be whole microseconds: nanos must be a multiple of 1000")]
    TooPrecise,
}

/// A date as the wire has it.
pub fn date_to_wire(date: Date) -> pb::Date {
    pb::Date {
        year: date.year(),
        month: i32::from(u8::from(date.month())),
        day: i32::from(date.day()),
    }
}

/// A date from the wire; the year from 1 to 9999.
pub fn date_from_wire(date: &pb::Date) -> Result<Date, MomentError> {
    let month = u8::try_from(date.month).ok().and_then(|month| time::Month::try_from(month).ok());
    let (Some(month), Ok(day), 1..=9999) = (month, u8::try_from(date.day), date.year) else {
        return Err(MomentError::NoSuchDay);
    };
    Date::from_calendar_date(date.year, month, day).map_err(|_| MomentError::NoSuchDay)
}

/// An instant as the wire has it.
pub fn timestamp_to_wire(at: Timestamp) -> pb::Timestamp {
    let micros = at.as_micros();
    let nanos = micros.rem_euclid(MICROS_PER_SECOND) * i64::from(NANOS_PER_MICRO);
    pb::Timestamp {
        seconds: micros.div_euclid(MICROS_PER_SECOND),
        nanos: i32::try_from(nanos).expect("less than 10^9 after the remainder"),
    }
}

/// An instant from the wire: whole microseconds within the years 1 to 9999.
pub fn timestamp_from_wire(at: &pb::Timestamp) -> Result<Timestamp, MomentError> {
    if !SECONDS.contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return Err(MomentError::NoSuchInstant);
    }
    if at.nanos % NANOS_PER_MICRO != 0 {
        return Err(MomentError::TooPrecise);
    }
    let micros = at.seconds * MICROS_PER_SECOND + i64::from(at.nanos / NANOS_PER_MICRO);
    Ok(Timestamp::from_micros(micros))
}

/// A date as an event stores it: days since 1970-01-01.
pub(crate) const fn date_to_days(date: Date) -> i32 {
    date.to_julian_day() - UNIX_EPOCH_JULIAN_DAY
}

/// A date from an event; `None` if no calendar has it.
pub(crate) fn date_from_days(days: i32) -> Option<Date> {
    Date::from_julian_day(days.checked_add(UNIX_EPOCH_JULIAN_DAY)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(year: i32, month: i32, day: i32) -> Result<Date, MomentError> {
        date_from_wire(&pb::Date { year, month, day })
    }

    #[test]
    fn a_date_is_a_whole_day_of_the_calendar() {
        assert!(date(2028, 2, 29).is_ok());
        for (year, month, day) in [
            (2027, 2, 29),
            (2026, 0, 1),
            (2026, 1, 0),
            (2026, 13, 1),
            (0, 1, 1),
            (-1, 1, 1),
            (10_000, 1, 1),
            (2026, i32::MAX, i32::MIN),
            (2026, 257, 1),
        ] {
            assert_eq!(date(year, month, day), Err(MomentError::NoSuchDay), "{year}-{month}-{day}");
        }
    }

    #[test]
    fn days_are_counted_from_1970() {
        assert_eq!(date(1970, 1, 1).map(date_to_days), Ok(0));
        assert_eq!(date(1969, 12, 31).map(date_to_days), Ok(-1));
        assert_eq!(date_from_days(20_454), date(2026, 1, 1).ok());
        assert_eq!(date_from_days(i32::MAX), None);
        assert_eq!(date_from_days(i32::MIN), None);
    }

    #[test]
    fn an_instant_is_whole_microseconds() {
        let instant = |seconds, nanos| timestamp_from_wire(&pb::Timestamp { seconds, nanos });
        assert_eq!(instant(1, 5_000), Ok(Timestamp::from_micros(1_000_005)));
        assert_eq!(instant(-1, 999_999_000), Ok(Timestamp::from_micros(-1)));
        assert_eq!(instant(1, 5_001), Err(MomentError::TooPrecise));
        assert_eq!(instant(1, -1_000), Err(MomentError::NoSuchInstant));
        assert_eq!(instant(1, 1_000_000_000), Err(MomentError::NoSuchInstant));
        assert_eq!(instant(i64::MAX, 0), Err(MomentError::NoSuchInstant));
        assert_eq!(instant(i64::MIN, 0), Err(MomentError::NoSuchInstant));
        for micros in [-1, 0, 1, -62_135_596_800_000_000, 253_402_300_799_999_999] {
            let at = Timestamp::from_micros(micros);
            assert_eq!(timestamp_from_wire(&timestamp_to_wire(at)), Ok(at));
        }
    }
}
