//! Records as they are read from a log.

use bergulir_chain::{Hash, Position, RecordSlices, body};

use crate::log::ReadLimit;

/// Whole consecutive records, owned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Records {
    first: Position,
    count: usize,
    body: Vec<u8>,
}

impl Records {
    pub(crate) fn starting_at(first: Position) -> Self {
        Self { first, count: 0, body: Vec::new() }
    }

    /// True if the limit allows another record, however short.
    pub(crate) fn has_room(&self, limit: ReadLimit) -> bool {
        self.count == 0 || (self.count < limit.max_records && self.bytes() < limit.max_bytes)
    }

    /// Takes the record in if the limit allows it, and says whether it did. A first record is
    /// always taken.
    pub(crate) fn take_in(&mut self, record: &[u8], limit: ReadLimit) -> bool {
        let bytes = self.bytes() + record.len();
        if self.count > 0 && (self.count >= limit.max_records || bytes > limit.max_bytes) {
            return false;
        }
        body::push_encoded(&mut self.body, record);
        self.count += 1;
        true
    }

    /// Bytes of the records without their lengths.
    fn bytes(&self) -> usize {
        self.body.len() - self.count * body::LENGTH_BYTES
    }

    /// The position of the first record, or where it would be.
    pub fn first(&self) -> Position {
        self.first
    }

    /// The position after the last record: where to read on.
    pub fn next(&self) -> Position {
        Position::new(self.first.get() + self.count as u64)
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True if there are no records.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The records with their positions, in order.
    pub fn iter(&self) -> Iter<'_> {
        Iter { position: self.first, slices: RecordSlices::new(&self.body) }
    }
}

impl<'a> IntoIterator for &'a Records {
    type Item = (Position, &'a [u8]);
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The records of a [`Records`] with their positions.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    position: Position,
    slices: RecordSlices<'a>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = (Position, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let record = self.slices.next()?;
        let position = self.position;
        self.position = position.next();
        Some((position, record))
    }
}

/// Single records from here and there, owned, each with its hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scattered {
    places: Vec<(Position, Hash)>,
    body: Vec<u8>,
}

/// About what a record takes.
const ROOM: usize = 192;

impl Scattered {
    pub(crate) fn with_room(records: usize) -> Self {
        let (places, body) = (Vec::with_capacity(records), Vec::with_capacity(records * ROOM));
        Self { places, body }
    }

    pub(crate) fn take_in(&mut self, position: Position, hash: Hash, record: &[u8]) {
        self.places.push((position, hash));
        body::push_encoded(&mut self.body, record);
    }

    /// The number of records.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// True if there are no records.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The records with their positions and hashes, in the order in which they were asked for.
    pub fn iter(&self) -> impl Iterator<Item = (Position, Hash, &[u8])> {
        let records = RecordSlices::new(&self.body);
        let places = self.places.iter();
        places.zip(records).map(|((position, hash), record)| (*position, *hash, record))
    }
}
