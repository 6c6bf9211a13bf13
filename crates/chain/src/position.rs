//! Where a record is, and how many there are.

use core::fmt;

/// The place of a record in its ledger's log: zero-based and gapless.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position(u64);

impl Position {
    /// The place of the first record.
    pub const ZERO: Self = Self(0);

    /// The place with this zero-based number.
    pub const fn new(position: u64) -> Self {
        Self(position)
    }

    /// The zero-based number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The place right after this one. Stays at `u64::MAX`, which no log reaches.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }

    /// The size of a log whose last record is this one.
    pub const fn size_through(self) -> LogSize {
        LogSize(self.0.saturating_add(1))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The number of records in a log. Not a position: the last record of a log of size 5 is at 4.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogSize(u64);

impl LogSize {
    /// The size of a log without records.
    pub const EMPTY: Self = Self(0);

    /// A log of this many records.
    pub const fn new(records: u64) -> Self {
        Self(records)
    }

    /// The number of records.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// True if there is no record.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The place of the last record, or `None` in an empty log.
    pub const fn last(self) -> Option<Position> {
        match self.0.checked_sub(1) {
            Some(last) => Some(Position(last)),
            None => None,
        }
    }

    /// The place of the record that will be appended next.
    pub const fn next_position(self) -> Position {
        Position(self.0)
    }

    /// True if a log of this size holds a record at `position`.
    pub const fn holds(self, position: Position) -> bool {
        position.0 < self.0
    }
}

impl fmt::Display for LogSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_and_the_last_position_differ_by_one() {
        assert_eq!(LogSize::EMPTY.last(), None);
        assert_eq!(LogSize::new(5).last(), Some(Position::new(4)));
        assert_eq!(Position::new(4).size_through(), LogSize::new(5));
        assert_eq!(LogSize::new(5).next_position(), Position::new(5));
        assert!(LogSize::new(5).holds(Position::new(4)));
        assert!(!LogSize::new(5).holds(Position::new(5)));
    }
}
