//! What a log of records must do: the narrow waist between the engine and any storage.

use std::io;

use bergulir_chain::{Hash, LogSize, Position, record};
use thiserror::Error;

use crate::group::Group;
use crate::records::{Records, Scattered};

/// The end of a log: how many records it holds, and the hash of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Head {
    /// The number of records.
    pub size: LogSize,
    /// The hash of the last record; [`Hash::ZERO`] while there is none.
    pub hash: Hash,
}

impl Head {
    /// The end of a log without records.
    pub const EMPTY: Self = Self { size: LogSize::EMPTY, hash: Hash::ZERO };
}

/// An append-only log of the records of one ledger.
///
/// One writer, any number of readers, who see durable records only.
pub trait EventLog: Send + Sync {
    /// The end of the durable log.
    fn head(&self) -> Head;

    /// Reads whole consecutive records from `from` on, as many as are there and `limit` allows,
    /// but at least one where there is one. Empty exactly if `from` is the end of the log.
    ///
    /// # Errors
    /// If `from` is past the end, or the records cannot be read or are damaged.
    fn read(&self, from: Position, limit: ReadLimit) -> Result<Records, ReadError>;

    /// Reads single records, whose positions ascend, with their hashes: as many as there are positions.
    ///
    /// # Errors
    /// If one is not in the log, or cannot be read, or is damaged.
    fn read_each(&self, positions: &[Position]) -> Result<Scattered, ReadError> {
        let mut found = Scattered::with_room(positions.len());
        for position in positions {
            let records = self.read(*position, ReadLimit::ONE)?;
            let Some((at, bytes)) = records.iter().next() else {
                return Err(ReadError::BeyondHead { from: *position, size: self.head().size });
            };
            found.take_in(at, record::hash(bytes), bytes);
        }
        Ok(found)
    }

    /// Appends a group, whole or not at all, and returns the new head once it is durable.
    ///
    /// # Errors
    /// [`AppendError::HeadMoved`] and [`AppendError::Refused`] leave the log as it was. After
    /// [`AppendError::Failed`] the outcome is unknown and each later append is
    /// [`AppendError::Poisoned`]; only opening the log again tells what it holds.
    fn append(&self, expected: Head, group: &Group) -> Result<Head, AppendError>;
}

/// How much one read may return.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadLimit {
    /// The most records.
    pub max_records: usize,
    /// The most bytes of records; a first record that is longer is returned all the same.
    pub max_bytes: usize,
}

impl ReadLimit {
    /// A single record.
    pub const ONE: Self = Self { max_records: 1, max_bytes: usize::MAX };

    /// A step of a long walk: about 1 MiB, so that memory stays small and reads long.
    pub const STEP: Self = Self { max_records: usize::MAX, max_bytes: 1 << 20 };

    /// This many records of any length.
    pub const fn records(max_records: usize) -> Self {
        Self { max_records, max_bytes: usize::MAX }
    }
}

/// Why records could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The position is past the end of the log.
    #[error("position {from} is past the end of the log, which holds {size} records")]
    BeyondHead {
        /// Where the read was to begin.
        from: Position,
        /// The size of the durable log.
        size: LogSize,
    },
    /// The log is damaged.
    #[error("the log is damaged at position {position} ({place}): {why}")]
    Corrupt {
        /// The first position that cannot be served.
        position: Position,
        /// Where the damage lies, for example a file and a byte in it.
        place: String,
        /// What is wrong there.
        why: String,
    },
    /// The storage failed.
    #[error("position {position} could not be read ({place})")]
    Io {
        /// The first position that could not be read.
        position: Position,
        /// What was read.
        place: String,
        /// What the operating system said.
        source: io::Error,
    },
}

/// Why a group was not appended, or may not have been.
#[derive(Debug, Error)]
pub enum AppendError {
    /// The log does not end where the caller thought. Nothing was written.
    #[error("the log ends at {} records, not at the expected {}", actual.size, expected.size)]
    HeadMoved {
        /// The head that the caller expected.
        expected: Head,
        /// The head of the log.
        actual: Head,
    },
    /// The log does not take this group. Nothing was written.
    #[error("the group was refused, nothing was written: {0}")]
    Refused(#[from] Refusal),
    /// Writing failed. Whether the group is in the log is unknown until it is opened again.
    #[error("could not {action}: it is unknown whether the group is stored; open the log again")]
    Failed {
        /// What failed.
        action: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
    /// An earlier append failed. This group was not written.
    #[error("the log is read-only since an earlier write failed: open it again")]
    Poisoned,
}

/// What is wrong with a group that is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The group has no records.
    #[error("it has no records")]
    Empty,
    /// The group was built on another head than the expected one.
    #[error("it was built on {} records", base.size)]
    OtherBase {
        /// The head that the group was built on.
        base: Head,
    },
    /// The group ends inside an atomic batch.
    #[error("it ends inside an atomic batch, {missing} of its records are missing")]
    BatchUnfinished {
        /// How many records of the batch are missing.
        missing: u32,
    },
    /// The group is longer than a frame can be.
    #[error("its records take {bytes} bytes, a frame holds at most {most}")]
    TooLarge {
        /// The length of the records, each with its length field.
        bytes: usize,
        /// The most that a frame holds.
        most: usize,
    },
    /// An aligned piece of the frame would be all zero, as only a torn write may look.
    #[error("512 of its bytes in a row are zero, which the log keeps as the mark of a torn write")]
    ZeroPiece,
}
