//! The records that are made durable together.

use bergulir_chain::{ChainCursor, ChainError, Hash, LogSize, Record, RecordError, RecordSlices};
use bergulir_chain::{body, frame};
use thiserror::Error;

use crate::log::{Head, Refusal};

/// Encoded records that continue one head, gapless and chained: they become one frame and are
/// appended whole or not at all.
///
/// Buffers are kept from one [`begin`](Self::begin) to the next.
#[derive(Debug)]
pub struct Group {
    base: Head,
    cursor: ChainCursor,
    records: u32,
    body: Vec<u8>,
}

/// Why a record cannot be part of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum GroupError {
    /// The record does not continue the group.
    #[error("the record does not continue the group: {0}")]
    Chain(#[from] ChainError),
    /// The record cannot become bytes.
    #[error("the record cannot be encoded: {0}")]
    Record(#[from] RecordError),
}

/// Where a group stood at some moment.
#[derive(Clone, Copy, Debug)]
pub struct GroupMark {
    cursor: ChainCursor,
    records: u32,
    bytes: usize,
}

impl Group {
    /// An empty group on this head.
    pub fn new(base: Head) -> Self {
        Self {
            base,
            cursor: ChainCursor::resume(base.size.next_position(), base.hash),
            records: 0,
            body: Vec::new(),
        }
    }

    /// Empties the group and sets it on another head; its memory is kept.
    pub fn begin(&mut self, base: Head) {
        let mut body = std::mem::take(&mut self.body);
        body.clear();
        *self = Self { body, ..Self::new(base) };
    }

    /// Encodes a record onto the end of the group and returns its hash.
    ///
    /// # Errors
    /// If it does not continue the group or cannot be encoded; the group is unchanged then.
    pub fn push(&mut self, record: &Record<'_>) -> Result<Hash, GroupError> {
        self.push_with(record, |body| body.extend_from_slice(record.event))
    }

    /// As [`push`](Self::push), with the event that `put_event` appends instead of the record's own.
    ///
    /// # Errors
    /// As [`push`](Self::push).
    pub fn push_with(
        &mut self,
        record: &Record<'_>,
        put_event: impl FnOnce(&mut Vec<u8>),
    ) -> Result<Hash, GroupError> {
        self.cursor.agrees(record)?;
        let hash = body::push_record_with(&mut self.body, record, put_event)?;
        self.cursor.step(record, hash);
        self.records += 1;
        Ok(hash)
    }

    /// Where the group stands now, to come back to by [`Group::roll_back`].
    pub fn mark(&self) -> GroupMark {
        GroupMark { cursor: self.cursor, records: self.records, bytes: self.body.len() }
    }

    /// Drops the records since the mark, which is one of this group's own.
    pub fn roll_back(&mut self, mark: GroupMark) {
        self.cursor = mark.cursor;
        self.records = mark.records;
        self.body.truncate(mark.bytes);
    }

    /// The head that the group continues.
    pub fn base(&self) -> Head {
        self.base
    }

    /// The head of the log once the group is in it.
    pub fn head(&self) -> Head {
        Head {
            size: LogSize::new(self.base.size.get() + u64::from(self.records)),
            hash: self.cursor.previous(),
        }
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.records as usize
    }

    /// True if there are no records.
    pub fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// The records as the body of a frame: each with its length before it.
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The records in their order.
    pub fn iter(&self) -> RecordSlices<'_> {
        RecordSlices::new(&self.body)
    }

    /// What every log checks before it takes a group.
    ///
    /// # Errors
    /// If no log may take it on this head.
    pub(crate) fn acceptable_on(&self, expected: Head) -> Result<(), Refusal> {
        if self.base != expected {
            return Err(Refusal::OtherBase { base: self.base });
        }
        if self.is_empty() {
            return Err(Refusal::Empty);
        }
        if self.cursor.following() > 0 {
            return Err(Refusal::BatchUnfinished { missing: self.cursor.following() });
        }
        if self.body.len() > frame::MAX_BODY_BYTES {
            return Err(Refusal::TooLarge { bytes: self.body.len(), most: frame::MAX_BODY_BYTES });
        }
        Ok(())
    }
}

impl<'a> IntoIterator for &'a Group {
    type Item = &'a [u8];
    type IntoIter = RecordSlices<'a>;

    fn into_iter(self) -> RecordSlices<'a> {
        self.iter()
    }
}
