//! Records in memory, column by column: what a batch brings, and what a memtable holds.

/// What a line of a trail says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Row<'a> {
    pub(super) tag: u8,
    pub(super) numbers: &'a [i64],
}

/// What a line of a trail says: a tag, whose meaning is the caller's, and numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    /// What was given as the tag.
    pub tag: u8,
    /// The numbers.
    pub numbers: Vec<i64>,
}

impl From<Row<'_>> for Line {
    fn from(row: Row<'_>) -> Self {
        Self { tag: row.tag, numbers: row.numbers.to_vec() }
    }
}

/// Where a row lies, and its tag.
#[derive(Clone, Copy, Debug)]
struct RowAt {
    start: u32,
    tag: u8,
    count: u8,
}

/// Records in the order of the log. Those of trails have rows, the others none.
#[derive(Clone, Debug, Default)]
pub(super) struct Columns {
    keys: Vec<u64>,
    positions: Vec<u64>,
    rows: Vec<RowAt>,
    numbers: Vec<i64>,
}

impl Columns {
    pub(super) fn clear(&mut self) {
        self.keys.clear();
        self.positions.clear();
        self.rows.clear();
        self.numbers.clear();
    }

    pub(super) fn reserve(&mut self, records: usize) {
        self.keys.reserve(records);
        self.positions.reserve(records);
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn keys(&self) -> &[u64] {
        &self.keys
    }

    /// In the order of the log.
    pub(super) fn positions(&self) -> &[u64] {
        &self.positions
    }

    /// True for the lines of trails.
    pub(super) const fn has_rows(&self) -> bool {
        !self.rows.is_empty()
    }

    pub(super) fn row(&self, record: usize) -> Row<'_> {
        let Some(RowAt { start, tag, count }) = self.rows.get(record) else {
            return Row::default();
        };
        let start = *start as usize;
        Row { tag: *tag, numbers: &self.numbers[start..start + usize::from(*count)] }
    }

    #[inline]
    pub(super) fn push_key(&mut self, key: u64, position: u64) {
        self.keys.push(key);
        self.positions.push(position);
    }

    /// Adds a row, in the place of the one that the same key has at this position.
    pub(super) fn push_row(&mut self, key: u64, position: u64, row: Row<'_>) {
        let start = u32::try_from(self.numbers.len()).expect("written out long before 2^32");
        let count = u8::try_from(row.numbers.len()).expect("a batch takes no longer row");
        let row_at = RowAt { start, tag: row.tag, count };
        self.numbers.extend_from_slice(row.numbers);
        let mut before = self.keys.len();
        while before > 0 && self.positions[before - 1] == position {
            before -= 1;
            if self.keys[before] == key {
                self.rows[before] = row_at;
                return;
            }
        }
        self.push_key(key, position);
        self.rows.push(row_at);
    }

    /// Adds all records of other columns, which come after these.
    pub(super) fn extend(&mut self, other: &Self) {
        let past = u32::try_from(self.numbers.len()).expect("written out long before 2^32");
        self.keys.extend_from_slice(&other.keys);
        self.positions.extend_from_slice(&other.positions);
        self.numbers.extend_from_slice(&other.numbers);
        self.rows.extend(other.rows.iter().map(|row| RowAt { start: row.start + past, ..*row }));
    }

    /// The bytes that the records take.
    pub(super) fn filled_bytes(&self) -> usize {
        self.keys.len() * 2 * size_of::<u64>()
            + self.rows.len() * size_of::<RowAt>()
            + self.numbers.len() * size_of::<i64>()
    }

    /// The memory that the columns take, in bytes, with the room that they keep.
    pub(super) fn resident_bytes(&self) -> usize {
        (self.keys.capacity() + self.positions.capacity() + self.numbers.capacity())
            * size_of::<u64>()
            + self.rows.capacity() * size_of::<RowAt>()
    }
}
