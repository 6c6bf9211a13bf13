//! A bundle with the records since a seal.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bergulir_chain::{Hash, Position, record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Event, Position as RecordPosition};
use bergulir_proto::replay::Replica;

use super::extension::Extension;
use super::folder::NewFolder;
use super::log::finish;
use super::pass::pass;
use super::proven::Proven;
use super::segments::Segments;
use super::source::Source;
use super::walk::walk;
use super::{ExportError, Exported};
use crate::Stage;
use crate::bundle::{Kind, LOG, STATE};
use crate::past::Past;

/// Writes it: the records after `through`, or after what the newest seal covers.
pub(super) fn write(
    source: &Source<'_>,
    out: &Path,
    through: Option<Position>,
    extension: Extension,
    progress: &mut dyn FnMut(Stage, u64),
) -> Result<Exported, ExportError> {
    let through = source.seal(through)?.0;
    let from = through.next();
    let folder = NewFolder::create(out)?;
    let Replayed { snapshot, head, asked } = replay(source, from, progress)?;
    folder.write(STATE, &snapshot)?;
    let segments = Segments::new(folder.folder(LOG)?, from, head);
    let wanted: Vec<u64> = asked.into_iter().collect();
    let witnessed = extension.witnessed();
    copy(source, &folder, from, segments, &wanted, extension, progress)?;
    finish(folder, Kind::Range { from }, &source.note, &source.checkpoint, witnessed)
}

/// What is known once every record was decided again.
struct Replayed {
    /// The state before the first record of the range.
    snapshot: Vec<u8>,
    /// The hash of the record before it.
    head: Hash,
    /// The records before it that later ones look up.
    asked: BTreeSet<u64>,
}

/// Decides every record again.
fn replay(
    source: &Source<'_>,
    from: Position,
    progress: &mut dyn FnMut(Stage, u64),
) -> Result<Replayed, ExportError> {
    let mut replica = Replica::default();
    let mut start = None;
    let mut past = Past::new(&source.survey, BTreeMap::new());
    let mut asked = BTreeSet::new();
    walk(source, source.checkpoint.size.get(), &mut |position, bytes| {
        if position == from.get() {
            start = Some((replica.snapshot(), replica.head_hash()));
        }
        let lookups = Watched { past: &past, asked: RefCell::default() };
        let replayed = replica.replay(bytes, &lookups);
        let replayed = replayed.map_err(|error| ExportError::log(position, &error))?;
        if start.is_some() {
            let earlier = lookups.asked.into_inner();
            asked.extend(earlier.into_iter().filter(|asked| *asked < from.get()));
        }
        let pushed = past.push(&replayed.event);
        pushed.map_err(|_| ExportError::log(position, &"the log grew while it was read"))?;
        progress(Stage::Verify, position + 1);
        Ok(())
    })?;
    let (snapshot, head) =
        start.ok_or_else(|| ExportError::log(from.get(), &"the records end before"))?;
    Ok(Replayed { snapshot, head, asked })
}

/// Look-ups that note which records were asked for.
struct Watched<'a, 's> {
    past: &'a Past<'s>,
    asked: RefCell<Vec<u64>>,
}

impl Lookups for Watched<'_, '_> {
    fn bank_reference(
        &self,
        reference: &BankReference,
    ) -> Result<Vec<RecordPosition>, LookupFailed> {
        self.past.bank_reference(reference)
    }
    fn record(&self, position: RecordPosition) -> Result<Option<Event>, LookupFailed> {
        self.asked.borrow_mut().push(position.get());
        self.past.record(position)
    }
}

/// Copies the records from `from` on into segments, and proves the wanted ones to be in the log.
fn copy(
    source: &Source<'_>,
    folder: &NewFolder,
    from: Position,
    mut segments: Segments,
    wanted: &[u64],
    mut extension: Extension,
    progress: &mut dyn FnMut(Stage, u64),
) -> Result<(), ExportError> {
    let mut proven = Proven::plan(source.checkpoint.size.get(), wanted)?;
    pass(source, &mut proven, &mut extension, progress, &mut |position, bytes| {
        if position < from.get() { Ok(record::hash(bytes)) } else { segments.push(bytes) }
    })?;
    segments.finish()?;
    proven.write(source, folder)?;
    extension.write(folder, &source.note)
}
