//! Many sorted sources read as one.

use std::sync::Arc;

use super::IndexError;
use super::columns::{Numbers, Row};
use super::memtable::{Memtable, Order};
use super::numbers::MAX_NUMBERS;
use super::run::{Run, RunCursor, WholeBlock};
use super::table::Contents;

#[derive(Debug)]
enum Source {
    Run(RunCursor),
    Memory { table: Arc<Memtable>, order: Vec<u64>, at: usize, numbers: Box<Numbers> },
}

impl Source {
    #[inline]
    fn at(&self) -> Option<(u64, u64)> {
        match self {
            Self::Run(cursor) => cursor.at(),
            Self::Memory { table, order, at, .. } => order.get(*at).map(|sorted| table.at(*sorted)),
        }
    }

    fn row(&mut self) -> Row<'_> {
        match self {
            Self::Run(cursor) => cursor.row(),
            Self::Memory { table, order, at, numbers } => {
                order.get(*at).map_or(Row::EMPTY, |sorted| table.row(*sorted, numbers))
            }
        }
    }

    #[inline]
    fn advance(&mut self) -> Result<(), IndexError> {
        match self {
            Self::Run(cursor) => cursor.advance(),
            Self::Memory { at, .. } => {
                *at += 1;
                Ok(())
            }
        }
    }
}

/// What a source past its last record has for a key: more than any.
const PAST: u64 = u64::MAX;

/// The records of several sources in the order of keys and positions. No record is in two; the
/// sources cover stretches of the log one after another, so of equal keys the earlier source is
/// first.
#[derive(Debug)]
pub(super) struct Sorted {
    sources: Vec<Source>,
    keys: Vec<u64>,
    /// The least key, and the first source that is at it.
    next: (u64, usize),
}

impl Sorted {
    pub(super) fn of_runs(runs: &[Arc<Run>]) -> Result<Self, IndexError> {
        let sources = runs
            .iter()
            .map(|run| RunCursor::new(Arc::clone(run)).map(Source::Run))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self::new(sources))
    }

    pub(super) fn of_contents(contents: &Contents) -> Result<Self, IndexError> {
        let mut sorted = Self::of_runs(&contents.runs)?;
        sorted.sources.extend(contents.memtables.iter().map(|table| {
            let mut order = Order::default();
            table.sorted(&mut order);
            let numbers = Box::new([0; MAX_NUMBERS]);
            Source::Memory { order: order.words, table: Arc::clone(table), at: 0, numbers }
        }));
        Ok(Self::new(sorted.sources))
    }

    /// Shows the block that the next record begins, if no record of another source comes before its
    /// last one, and goes past it; false, and nothing is shown, if there is none such.
    #[inline]
    pub(super) fn next_block(
        &mut self,
        show: impl FnOnce(&WholeBlock<'_>) -> Result<(), IndexError>,
    ) -> Result<bool, IndexError> {
        let (least, number) = self.next;
        let Some(Source::Run(cursor)) = self.sources.get_mut(number).filter(|_| least != PAST)
        else {
            return Ok(false);
        };
        let Some(block) = cursor.whole_block() else { return Ok(false) };
        // Of the same key, those of a later source come later.
        let mut others = self.keys.iter().enumerate().filter(|(other, _)| *other != number);
        let is_alone = others.all(|(other, key)| {
            *key > block.last_key || (*key == block.last_key && other > number)
        });
        if !is_alone {
            return Ok(false);
        }
        show(&block)?;
        cursor.advance_block()?;
        let key = cursor.at().map_or(PAST, |(key, _)| key);
        self.went_on(number, key);
        Ok(true)
    }

    /// Shows the next record; false if there is none left.
    #[inline]
    pub(super) fn next(
        &mut self,
        visit: impl FnOnce(u64, u64, Row<'_>) -> Result<(), IndexError>,
    ) -> Result<bool, IndexError> {
        let (least, number) = self.next;
        let Some(source) = self.sources.get_mut(number).filter(|_| least != PAST) else {
            return Ok(false);
        };
        if let Some((key, position)) = source.at() {
            visit(key, position, source.row())?;
        }
        source.advance()?;
        let key = source.at().map_or(PAST, |(key, _)| key);
        self.went_on(number, key);
        Ok(true)
    }

    /// A source is at this key now.
    #[inline]
    fn went_on(&mut self, number: usize, key: u64) {
        self.keys[number] = key;
        // Few sources: a scan of their keys is as fast as a heap.
        let mut next = (PAST, 0);
        for (at, key) in self.keys.iter().enumerate() {
            if *key < next.0 {
                next = (*key, at);
            }
        }
        self.next = next;
    }

    fn new(sources: Vec<Source>) -> Self {
        let keys: Vec<u64> =
            sources.iter().map(|source| source.at().map_or(PAST, |(key, _)| key)).collect();
        let mut sorted = Self { sources, keys, next: (PAST, 0) };
        if let Some(first) = sorted.keys.first().copied() {
            sorted.went_on(0, first);
        }
        sorted
    }
}
