//! Blocks of either kind: those of ids hold keys and positions, those of trails also lines.

use super::IndexError;
use super::blocks::Body;
use super::columns::Row;
use super::key_block::{KeyBlock, KeyBlockBuilder, begin_value};
use super::trail_block::{TrailBlockBuilder, TrailLines};

/// Collects sorted records until a block is full.
#[derive(Debug)]
pub(super) enum BlockBuilder {
    Keys(KeyBlockBuilder),
    Trails(Box<TrailBlockBuilder>),
}

impl BlockBuilder {
    pub(super) fn first(&self) -> Option<(u64, u64)> {
        match self {
            Self::Keys(builder) => builder.first(),
            Self::Trails(builder) => builder.first(),
        }
    }

    /// Adds a record that sorts after all before it; false if it has no room.
    #[inline]
    pub(super) fn push(&mut self, key: u64, position: u64, row: Row<'_>) -> bool {
        match self {
            Self::Keys(builder) => builder.push(key, position),
            Self::Trails(builder) => builder.push(key, position, row),
        }
    }

    /// Makes the block the value, with room for the checksum; the builder is empty again.
    pub(super) fn finish(&mut self, value: &mut Vec<u8>) {
        begin_value(value);
        match self {
            Self::Keys(builder) => builder.finish(value),
            Self::Trails(builder) => builder.finish(value),
        }
    }
}

/// The records of a block, one after another.
#[derive(Debug)]
pub(super) enum Records {
    Keys { keys: Vec<u64>, positions: Vec<u64>, at: usize },
    Trails(Box<TrailLines>),
}

impl Records {
    /// Those of a block of a run that covers positions beginning at `from`.
    pub(super) fn of(body: Body, from: u64, is_trails: bool) -> Result<Self, IndexError> {
        if is_trails {
            let mut lines = TrailLines::of(body)?;
            lines.next()?;
            return Ok(Self::Trails(Box::new(lines)));
        }
        let (mut keys, mut positions) = (Vec::new(), Vec::new());
        KeyBlock::parse(body, from)?.unpack(&mut keys, &mut positions);
        Ok(Self::Keys { keys, positions, at: 0 })
    }

    /// Key and position of the record.
    #[inline]
    pub(super) fn at(&self) -> (u64, u64) {
        match self {
            Self::Keys { keys, positions, at } => (keys[*at], positions[*at]),
            Self::Trails(lines) => lines.at(),
        }
    }

    pub(super) fn row(&self) -> Row<'_> {
        match self {
            Self::Keys { .. } => Row::EMPTY,
            Self::Trails(lines) => lines.row(),
        }
    }

    /// The block and the number of its records, if its first one is the record and a run of other
    /// positions may take the block over as it is.
    pub(super) fn whole(&self) -> Option<(&Body, u16)> {
        match self {
            Self::Keys { .. } => None,
            Self::Trails(lines) => lines.whole(),
        }
    }

    /// Goes to the next record; false, and no longer to be asked, if there is none.
    #[inline]
    pub(super) fn next(&mut self) -> Result<bool, IndexError> {
        match self {
            Self::Keys { keys, at, .. } => {
                *at += 1;
                Ok(*at < keys.len())
            }
            Self::Trails(lines) => lines.next(),
        }
    }
}
