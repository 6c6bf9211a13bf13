//! Many sorted sources read as one.

use std::sync::Arc;

use super::IndexError;
use super::columns::Row;
use super::memtable::{Memtable, Order};
use super::run::{Run, RunCursor};
use super::table::Contents;

#[derive(Debug)]
enum Source {
    Run(RunCursor),
    Memory { table: Arc<Memtable>, order: Vec<u64>, at: usize },
}

impl Source {
    #[inline]
    fn at(&self) -> Option<(u64, u64)> {
        match self {
            Self::Run(cursor) => cursor.at(),
            Self::Memory { table, order, at } => order.get(*at).map(|sorted| {
                let (key, position, _) = table.record(*sorted);
                (key, position)
            }),
        }
    }

    fn row(&self) -> Row<'_> {
        match self {
            Self::Run(cursor) => cursor.row(),
            Self::Memory { table, order, at } => {
                order.get(*at).map_or_else(Row::default, |sorted| table.record(*sorted).2)
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
            Source::Memory { order: order.words, table: Arc::clone(table), at: 0 }
        }));
        Ok(Self::new(sorted.sources))
    }

    /// Shows the next record; false if there is none left.
    #[inline]
    pub(super) fn next(
        &mut self,
        visit: impl FnOnce(u64, u64, Row<'_>) -> Result<(), IndexError>,
    ) -> Result<bool, IndexError> {
        // Few sources: a scan of their keys is as fast as a heap.
        let (mut least, mut number) = (PAST, 0);
        for (at, key) in self.keys.iter().enumerate() {
            if *key < least {
                (least, number) = (*key, at);
            }
        }
        let Some(source) = self.sources.get_mut(number).filter(|_| least != PAST) else {
            return Ok(false);
        };
        if let Some((key, position)) = source.at() {
            visit(key, position, source.row())?;
        }
        source.advance()?;
        self.keys[number] = source.at().map_or(PAST, |(key, _)| key);
        Ok(true)
    }

    fn new(sources: Vec<Source>) -> Self {
        let keys = sources.iter().map(|source| source.at().map_or(PAST, |(key, _)| key)).collect();
        Self { sources, keys }
    }
}
