//! Many sorted sources read as one.

use std::sync::Arc;

use super::IndexError;
use super::memtable::Memtable;
use super::run::{Run, RunCursor};
use super::table::Contents;

#[derive(Debug)]
enum Source {
    Run(RunCursor),
    Memory { table: Arc<Memtable>, order: Vec<u32>, at: usize },
}

impl Source {
    fn at(&self) -> Option<(u128, u64)> {
        match self {
            Self::Run(cursor) => cursor.at(),
            Self::Memory { table, order, at } => order.get(*at).map(|slot| {
                let (key, position, _) = table.record(*slot);
                (key, position)
            }),
        }
    }

    fn value(&self) -> &[u8] {
        match self {
            Self::Run(cursor) => cursor.value(),
            Self::Memory { table, order, at } => {
                order.get(*at).map_or(&[], |slot| table.record(*slot).2)
            }
        }
    }

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

/// The records of several sources in the order of keys and positions. No record is in two.
#[derive(Debug)]
pub(super) struct Sorted {
    sources: Vec<Source>,
    heads: Vec<Option<(u128, u64)>>,
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
        sorted.sources.extend(contents.memtables.iter().map(|table| Source::Memory {
            order: table.sorted(),
            table: Arc::clone(table),
            at: 0,
        }));
        Ok(Self::new(sorted.sources))
    }

    /// Shows the next record; false if there is none left.
    pub(super) fn next(
        &mut self,
        visit: impl FnOnce(u128, u64, &[u8]) -> Result<(), IndexError>,
    ) -> Result<bool, IndexError> {
        // Few sources: a scan of their heads is as fast as a heap.
        let heads = self.heads.iter().enumerate();
        let least = heads.filter_map(|(number, head)| head.map(|head| (head, number))).min();
        let Some(((key, position), number)) = least else {
            return Ok(false);
        };
        let source = &mut self.sources[number];
        visit(key, position, source.value())?;
        source.advance()?;
        self.heads[number] = source.at();
        Ok(true)
    }

    fn new(sources: Vec<Source>) -> Self {
        let heads = sources.iter().map(Source::at).collect();
        Self { sources, heads }
    }
}
