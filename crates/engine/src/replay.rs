//! Replaying a log when a ledger is opened: each record is checked, decided again and applied, and
//! the index gets what it lacks. Three threads: one reads and checks ahead, one decides, one feeds
//! the index.

use crate::facts::{Fingerprint, read_record, reference, uses};
use crate::keys::Keys;
use crate::open::OpenError;
use crate::projector::{Added, add_lapsed, add_tiles};
use crate::recent::Reference;
use crate::writer::balances_of;
use bergulir_chain::{ChainCursor, Hash, LogSize, Position, Record};
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{Event, Header};
use bergulir_proto::replay::{Checked, ReplayError, Replayed, Replica, check};
use bergulir_store::index::{Index, IndexBatch, IndexError};
use bergulir_store::{EventLog, ReadLimit, Records};
use crossbeam_channel::{Receiver, Sender, bounded};
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::thread;

/// So many steps of about a megabyte the reader may be ahead, and the index behind.
const AHEAD: usize = 2;

/// Of the records that the index has already, the references of so many are kept at hand: to look
/// them up where the index has them finds themselves, and costs a block.
const MOST_AT_HAND: u64 = 1 << 21;

/// Replays the log from where the replica stands to its head, and feeds the index what it lacks, all
/// of which is written out then. `progress` is told how many records of how many are replayed, and
/// can break it off.
pub(crate) fn replay(
    log: &dyn EventLog,
    index: &Index,
    replica: &mut Replica,
    progress: &dyn Fn(u64, u64) -> ControlFlow<()>,
) -> Result<(), OpenError> {
    let head = log.head().size;
    let cursor = ChainCursor::resume(replica.size().next_position(), replica.head_hash());
    thread::scope(|scope| {
        let (steps, from_reader) = bounded(AHEAD);
        let (batches, to_index) = bounded(AHEAD);
        let (emptied, spare) = bounded(AHEAD + 1);
        scope.spawn(move || read(log, cursor, head, &steps));
        let feeding = scope.spawn(move || feed(index, &to_index, &emptied));
        let first = replica.size().get();
        let mut replaying = Replaying {
            log,
            index,
            replica,
            indexed: index.applied().get(),
            references: Keys::new(first),
            failed: RefCell::default(),
        };
        let mut decided = Ok(());
        for step in from_reader {
            let batch = spare.try_recv().unwrap_or_default();
            match step.and_then(|step| replaying.step(step, batch)) {
                Ok(batch) => {
                    // If the index failed, its thread says so below.
                    if batches.send(batch).is_err() {
                        break;
                    }
                    if progress(replaying.replica.size().get(), head.get()).is_break() {
                        decided = Err(OpenError::BrokenOff);
                        break;
                    }
                }
                Err(error) => {
                    decided = Err(error);
                    break;
                }
            }
        }
        drop(batches);
        let fed = feeding.join().expect("the thread that feeds the index does not panic");
        decided.and(fed.map_err(OpenError::Index))
    })?;
    Ok(index.flush()?)
}

/// What was read of a stretch of the log.
struct Step {
    records: Records,
    read: Vec<(Hash, Header, Event)>,
    /// Why the record after them is not the next one of the log.
    wrong: Option<ReplayError>,
}

/// Reads the log from the cursor on, and checks what needs no state.
fn read(
    log: &dyn EventLog,
    mut cursor: ChainCursor,
    head: LogSize,
    steps: &Sender<Result<Step, OpenError>>,
) {
    while head.holds(cursor.next()) {
        let step = log.read(cursor.next(), ReadLimit::STEP).map_err(OpenError::Read);
        let step = step.map(|records| check_step(records, &mut cursor));
        let is_last = step.as_ref().map_or(true, |step| step.wrong.is_some());
        // If nobody listens, the replay stopped at something before.
        if steps.send(step).is_err() || is_last {
            return;
        }
    }
}

fn check_step(records: Records, cursor: &mut ChainCursor) -> Step {
    let mut read = Vec::new();
    let mut wrong = None;
    for (_, bytes) in &records {
        match check(cursor, bytes) {
            Ok(Checked { hash, header, event, .. }) => read.push((hash, header, event)),
            Err(error) => {
                wrong = Some(error);
                break;
            }
        }
    }
    Step { records, read, wrong }
}

/// Feeds the index batch by batch and merges its runs, or look-ups would have ever more of them to
/// ask; gives the batches' memory back.
fn feed(
    index: &Index,
    batches: &Receiver<IndexBatch>,
    emptied: &Sender<IndexBatch>,
) -> Result<(), IndexError> {
    for batch in batches {
        if batch.to() > index.applied() {
            index.apply(&batch)?;
            while index.work_once()? {}
        }
        // If the replay is done, nobody needs the memory.
        let _ = emptied.try_send(batch);
    }
    Ok(())
}

/// A replay on its way.
struct Replaying<'a> {
    log: &'a dyn EventLog,
    index: &'a Index,
    replica: &'a mut Replica,
    /// How many records the index had when it was opened. Where the replay begins before that, what
    /// the index has of the records from there on is of the future.
    indexed: u64,
    /// Where the bank references were used that the index may not have, or is not asked about.
    references: Keys,
    /// What a look-up failed of: the record that needed it is not to blame.
    failed: RefCell<Option<OpenError>>,
}

impl Replaying<'_> {
    /// Decides and applies what was read; gives what it adds to the index.
    fn step(&mut self, step: Step, mut batch: IndexBatch) -> Result<IndexBatch, OpenError> {
        let Step { records, read, wrong } = step;
        batch.begin(LogSize::new(self.replica.size().get().max(self.indexed)));
        let references = self.references_of(&read)?;
        let mut read = read.into_iter();
        let mut records = records.iter().zip(references);
        while !read.as_slice().is_empty() {
            let ahead = read.as_slice().iter().take(LOOK_AHEAD);
            self.replica.look_ahead(ahead.map(|(.., event)| event));
            for ((hash, header, event), ((position, bytes), reference)) in
                read.by_ref().zip(&mut records).take(LOOK_AHEAD)
            {
                let record = Record::parse(bytes).expect("it was read from these bytes");
                let replayed = self.decide(Checked { record, hash, header, event }, reference)?;
                if let Some(Named { reference, .. }) = reference {
                    self.references.insert(reference.key, position.get());
                }
                if position.get() >= self.indexed {
                    self.add(&replayed, reference, &mut batch)?;
                }
            }
        }
        let next = self.replica.size().get();
        if next > self.indexed {
            self.references.turn(self.index.written().get(), next);
        } else if self.references.young(next) >= MOST_AT_HAND {
            self.references.turn(next, next);
        }
        match wrong {
            Some(error) => Err(error.into()),
            None => Ok(batch),
        }
    }

    fn decide<'r>(
        &mut self,
        checked: Checked<'r>,
        reference: Option<Named>,
    ) -> Result<Replayed<'r>, OpenError> {
        let past = Past {
            log: self.log,
            index: self.index,
            references: &self.references,
            reference,
            size: self.replica.size().get(),
            failed: &self.failed,
        };
        let replayed = self.replica.decide(checked, &past);
        replayed.map_err(|error| self.failed.take().unwrap_or(OpenError::Replay(error)))
    }

    /// The bank references of records, and whether the index may have used each before.
    fn references_of(
        &self,
        read: &[(Hash, Header, Event)],
    ) -> Result<Vec<Option<Named>>, IndexError> {
        let of_event = |(.., event): &(Hash, Header, Event)| {
            let reference = reference(self.index, event.bank_reference()?);
            Some(Named { reference, is_new: true })
        };
        let mut references: Vec<Option<Named>> = read.iter().map(of_event).collect();
        let (places, fingerprints): (Vec<usize>, Vec<Fingerprint>) = references
            .iter()
            .enumerate()
            .filter_map(|(place, named)| Some((place, named.as_ref()?.reference.fingerprint)))
            .unzip();
        let below = Position::new(self.references.first());
        self.index.bank_references_below(below, &fingerprints, |number, _| {
            if let Some(named) = &mut references[places[number]] {
                named.is_new = false;
            }
        })?;
        Ok(references)
    }

    /// What a record adds to the index.
    fn add(
        &self,
        replayed: &Replayed<'_>,
        reference: Option<Named>,
        batch: &mut IndexBatch,
    ) -> Result<(), IndexError> {
        let added = Added {
            position: replayed.record.position,
            request_id: replayed.record.request_id,
            reference: reference.map(|named| named.reference.fingerprint),
            touched: replayed.touched,
            balances: &balances_of(self.replica.state(), replayed.touched),
        };
        added.to(batch)?;
        add_lapsed(batch, self.replica, &replayed.lapsed, replayed.touched)?;
        add_tiles(batch, &replayed.grown);
        Ok(())
    }
}

/// The bank reference that a record uses.
#[derive(Clone, Copy)]
struct Named {
    reference: Reference,
    /// The index has no record that used it before those whose keys are at hand.
    is_new: bool,
}

/// The records before the one that is being decided, all of which are in the log.
struct Past<'a> {
    log: &'a dyn EventLog,
    index: &'a Index,
    references: &'a Keys,
    /// Of the record that is being decided.
    reference: Option<Named>,
    size: u64,
    failed: &'a RefCell<Option<OpenError>>,
}

impl Past<'_> {
    fn failed(&self, error: impl Into<OpenError>) -> LookupFailed {
        *self.failed.borrow_mut() = Some(error.into());
        LookupFailed
    }
}

impl Lookups for Past<'_> {
    fn bank_reference(
        &self,
        named: &BankReference,
    ) -> Result<Vec<bergulir_domain::Position>, LookupFailed> {
        let (forms, is_new) = match self.reference {
            Some(Named { reference, is_new }) => (reference, is_new),
            None => (reference(self.index, named), false),
        };
        let mut positions: Vec<u64> = self.references.positions(forms.key).collect();
        if !is_new {
            let found = self.index.bank_reference(&forms.fingerprint);
            let found = found.map_err(|error| self.failed(error))?;
            positions.extend(found.into_iter().map(Position::get));
        }
        positions.retain(|position| *position < self.size);
        positions.sort_unstable();
        positions.dedup();
        let mut used = Vec::new();
        for position in positions {
            let position = bergulir_domain::Position::new(position);
            let event = self.record(position)?;
            if event.is_some_and(|event| uses(&event, named)) {
                used.push(position);
            }
        }
        Ok(used)
    }

    fn record(&self, position: bergulir_domain::Position) -> Result<Option<Event>, LookupFailed> {
        if position.get() >= self.size {
            return Ok(None);
        }
        Ok(read_record(self.log, position.get(), |error| self.failed(error))?
            .map(|known| known.event))
    }
}
