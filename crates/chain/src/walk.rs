//! Walking a chain of records, each checked against the one before it.

use thiserror::Error;

use crate::record::{self, Record, RecordError};
use crate::{Hash, Position, Timestamp};

/// Where a walk along a chain stands, and what the next record must agree with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainCursor {
    next: Position,
    previous: Hash,
    last_recorded_at: Timestamp,
    following: u32,
}

/// A record does not continue the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("at position {position}: {fault}")]
pub struct ChainError {
    /// The position that the record was expected at.
    pub position: Position,
    /// What is wrong with it.
    pub fault: ChainFault,
}

/// What is wrong with a record of a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ChainFault {
    /// The bytes are not a record.
    #[error("not a record: {0}")]
    Record(#[from] RecordError),
    /// The record states another position.
    #[error("the record says that it is at position {stated}")]
    Position {
        /// The position in the record.
        stated: Position,
    },
    /// The record does not name the hash of the record before it: one of the two was changed.
    #[error(
        "the record before it has the hash {expected}, but this record names {stated}: \
         one of the two was changed"
    )]
    Previous {
        /// The hash of the record before.
        expected: Hash,
        /// The hash that this record names.
        stated: Hash,
    },
    /// The record is older than the one before it.
    #[error("recorded at {stated}, but the record before it at {last}: time ran backwards")]
    Time {
        /// The time of the record before.
        last: Timestamp,
        /// The time of this record.
        stated: Timestamp,
    },
    /// The record breaks into an atomic batch, or leaves one too early.
    #[error("inside an atomic batch: {expected} records must follow, this record says {stated}")]
    Following {
        /// How many records of the batch must follow.
        expected: u32,
        /// How many this record says.
        stated: u32,
    },
    /// The frame or log ends inside an atomic batch.
    #[error("ends inside an atomic batch: {missing} of its records are missing")]
    BatchUnfinished {
        /// How many records of the batch are missing.
        missing: u32,
    },
}

impl ChainCursor {
    /// At the very start of a ledger: the next record is at position 0.
    pub const fn origin() -> Self {
        Self::resume(Position::ZERO, Hash::ZERO)
    }

    /// Before the record at `next`, where the record before it has the hash `previous` and ends
    /// its batch. The time of the record before is not known, so the first time is taken as it is.
    pub const fn resume(next: Position, previous: Hash) -> Self {
        Self { next, previous, last_recorded_at: Timestamp::MIN, following: 0 }
    }

    /// The position of the next record.
    pub const fn next(&self) -> Position {
        self.next
    }

    /// The hash of the last record walked over: what the next one must name.
    pub const fn previous(&self) -> Hash {
        self.previous
    }

    /// The time of the last record walked over; [`Timestamp::MIN`] if it is not known.
    pub const fn last_recorded_at(&self) -> Timestamp {
        self.last_recorded_at
    }

    /// How many records of an atomic batch are still to come.
    pub const fn following(&self) -> u32 {
        self.following
    }

    /// Checks that `bytes` are the next record, and steps over it.
    ///
    /// # Errors
    /// If it is not; the cursor stays where it was.
    pub fn check<'a>(&mut self, bytes: &'a [u8]) -> Result<(Record<'a>, Hash), ChainError> {
        let record = Record::parse(bytes).map_err(|error| self.fault(error.into()))?;
        self.agrees(&record)?;
        let hash = record::hash(bytes);
        self.step(&record, hash);
        Ok((record, hash))
    }

    /// Checks a record that does not have bytes yet; it may be the next one if this returns.
    ///
    /// # Errors
    /// If it would not continue the chain.
    pub fn agrees(&self, record: &Record<'_>) -> Result<(), ChainError> {
        if record.position != self.next {
            return Err(self.fault(ChainFault::Position { stated: record.position }));
        }
        if record.previous != self.previous {
            return Err(self
                .fault(ChainFault::Previous { expected: self.previous, stated: record.previous }));
        }
        if record.recorded_at < self.last_recorded_at {
            return Err(self.fault(ChainFault::Time {
                last: self.last_recorded_at,
                stated: record.recorded_at,
            }));
        }
        match self.following.checked_sub(1) {
            Some(expected) if expected != record.following => {
                Err(self.fault(ChainFault::Following { expected, stated: record.following }))
            }
            _ => Ok(()),
        }
    }

    /// Steps over a record that [`agrees`](Self::agrees) and whose bytes have this hash.
    pub fn step(&mut self, record: &Record<'_>, hash: Hash) {
        self.next = self.next.next();
        self.previous = hash;
        self.last_recorded_at = record.recorded_at;
        self.following = record.following;
    }

    /// Checks that no atomic batch is open here, as at the end of each frame and of the log.
    ///
    /// # Errors
    /// [`ChainFault::BatchUnfinished`] if one is.
    pub fn ends_batch(&self) -> Result<(), ChainError> {
        match self.following {
            0 => Ok(()),
            missing => Err(self.fault(ChainFault::BatchUnfinished { missing })),
        }
    }

    fn fault(&self, fault: ChainFault) -> ChainError {
        ChainError { position: self.next, fault }
    }
}
