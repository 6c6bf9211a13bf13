//! What can go wrong with the index, and what to do about it.

use std::io;
use std::path::PathBuf;

use bergulir_chain::tiles::Tile;
use bergulir_chain::{LogSize, Position};
use thiserror::Error;

/// The system, or this process, has no room for another open file: without a kind in `std`, and the
/// same number on every Unix.
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;

/// Why the index could not do what was asked.
///
/// Nothing of this touches the record of money: an index that fails is made again from the log.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum IndexError {
    /// Another process, or an older handle in this one, has the index open.
    #[error("the index at {path} is already open; close it there first")]
    InUse {
        /// The folder of the index.
        path: PathBuf,
    },
    /// The file system refused something that sled has no part in.
    #[error("{doing} {path} failed; check the disk and the permissions of the data directory")]
    Io {
        /// What was being done, in words that a path can follow.
        doing: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// sled returned an error.
    #[error("the index failed while {doing}; close it and rebuild it from the log")]
    Sled {
        /// What was being done.
        doing: &'static str,
        /// What sled said.
        source: sled::Error,
    },
    /// Something stored is missing or is not what was written.
    #[error("the index is damaged: {what}; close it and rebuild it from the log")]
    Damaged {
        /// What was found.
        what: String,
    },
    /// The batch does not begin where the index stands.
    #[error("the index holds {applied} records, the batch begins at {from}; replay from {applied}")]
    Gap {
        /// The number of records that the index holds.
        applied: LogSize,
        /// Where the batch begins.
        from: LogSize,
    },
    /// An addition lies outside the records that its batch covers, or before an earlier one.
    #[error(
        "an addition at {position} is out of order in a batch of records {from} to {to} \
         (exclusive); add what each record brings in the order of the log"
    )]
    OutOfOrder {
        /// The position of the addition.
        position: Position,
        /// Where the batch begins.
        from: LogSize,
        /// Where the batch ends.
        to: LogSize,
    },
    /// A line of a trail has more numbers than
    /// [`MAX_LINE_NUMBERS`](super::MAX_LINE_NUMBERS).
    #[error("a line of {numbers} numbers is longer than the {most} that one may have")]
    LineTooLong {
        /// How many numbers it has.
        numbers: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// A batch brings more to one table than memory is kept for.
    #[error("a batch adds {additions} words to one table, at most {most} go at once; cut it")]
    BatchTooLarge {
        /// How many words it adds; one for each record or id.
        additions: usize,
        /// The most that are allowed.
        most: usize,
    },
    /// A batch has not the hashes for the tiles that its records complete.
    #[error(
        "the batch has {given} hashes for tiles of level {level}, where its records complete \
         {expected}; add each subtree that the tree tells of"
    )]
    TileHashes {
        /// The level of the tiles.
        level: u8,
        /// How many hashes the batch has.
        given: u64,
        /// How many its records complete.
        expected: u64,
    },
    /// The tree is too small to have this tile.
    #[error("there is no {tile} in the tree of the {applied} records that are indexed")]
    NoTile {
        /// The tile that was asked for.
        tile: Tile,
        /// The number of records that the index holds.
        applied: LogSize,
    },
}

impl IndexError {
    /// True if the index is to be thrown away and rebuilt from the log: close it, call
    /// [`Index::discard`](super::Index::discard), open it anew and replay.
    pub fn calls_for_rebuild(&self) -> bool {
        matches!(self, Self::Sled { .. } | Self::Damaged { .. }) && !self.is_for_want_of_room()
    }

    /// True if the system had no room: on the disk, or for another open file. What is stored is as
    /// it was, and to throw it away would make no room that lasts.
    pub fn is_for_want_of_room(&self) -> bool {
        match self {
            Self::Io { source, .. } | Self::Sled { source: sled::Error::Io(source), .. } => {
                matches!(
                    source.kind(),
                    io::ErrorKind::StorageFull
                        | io::ErrorKind::QuotaExceeded
                        | io::ErrorKind::OutOfMemory
                ) || matches!(source.raw_os_error(), Some(ENFILE | EMFILE))
            }
            _ => false,
        }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged { what: what.into() }
    }
}
