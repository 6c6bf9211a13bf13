//! What a decision looks up in the records before it, built from the log itself.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use bergulir_chain::Record;
use bergulir_domain::command::BankReference;
use bergulir_domain::decide::{LookupFailed, Lookups};
use bergulir_domain::{Event, Position};
use bergulir_proto::decode_event;

use crate::fetch::{Fetch, FetchError};
use crate::sightings::{Full, Sightings};
use crate::survey::Survey;

/// The records that were verified so far.
#[derive(Debug)]
pub(crate) struct Past<'a> {
    /// The first of them that is there.
    first: u64,
    /// The position after the last of them.
    size: u64,
    /// Records from before the first one that is there.
    earlier: BTreeMap<u64, Event>,
    /// Those of them that were not looked up yet.
    unasked: RefCell<BTreeSet<u64>>,
    references: Sightings,
    fetch: RefCell<Fetch<'a>>,
    /// Why the last look-up failed, if one did.
    failure: RefCell<Option<FetchError>>,
}

impl<'a> Past<'a> {
    pub(crate) fn new(survey: &'a Survey, earlier: BTreeMap<u64, Event>) -> Past<'a> {
        Past {
            unasked: RefCell::new(earlier.keys().copied().collect()),
            earlier,
            first: survey.first,
            size: survey.first,
            references: Sightings::new(survey.records()),
            fetch: RefCell::new(Fetch::new(survey)),
            failure: RefCell::default(),
        }
    }

    /// Reads where the bank references of these events are looked for; see
    /// [`Sightings::look_ahead`].
    pub(crate) fn look_ahead<'e>(&self, events: impl Iterator<Item = &'e Event>) {
        for reference in events.filter_map(Event::bank_reference) {
            self.references.look_ahead(self.references.hash(&key(reference)));
        }
    }

    /// Takes in the next record.
    pub(crate) fn push(&mut self, event: &Event) -> Result<(), Full> {
        if let Some(reference) = event.bank_reference() {
            let hash = self.references.hash(&key(reference));
            self.references.insert(hash, self.size)?;
        }
        self.size += 1;
        Ok(())
    }

    /// Why a look-up failed.
    pub(crate) fn failure(&self) -> Option<FetchError> {
        self.failure.take()
    }

    /// The first record from before that nothing looked up.
    pub(crate) fn unasked(&self) -> Option<bergulir_chain::Position> {
        self.unasked.borrow().first().copied().map(bergulir_chain::Position::new)
    }

    /// The event of a record that is there.
    fn event(&self, position: u64) -> Result<Event, LookupFailed> {
        let at = bergulir_chain::Position::new(position);
        let mut fetch = self.fetch.borrow_mut();
        let event = match fetch.record(at) {
            Ok(Some(bytes)) => event_of(bytes, at),
            Ok(None) if position < self.first => Err(FetchError::NotInBundle(at)),
            Ok(None) => Err(FetchError::Changed(at)),
            Err(error) => Err(error),
        };
        event.map_err(|error| {
            *self.failure.borrow_mut() = Some(error);
            LookupFailed
        })
    }
}

fn event_of(bytes: &[u8], at: bergulir_chain::Position) -> Result<Event, FetchError> {
    let record = Record::parse(bytes).map_err(|_| FetchError::Changed(at))?;
    if record.position != at {
        return Err(FetchError::Changed(at));
    }
    decode_event(record.event).map_err(|_| FetchError::Changed(at))
}

impl Lookups for Past<'_> {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        let hash = self.references.hash(&key(reference));
        let mut used = Vec::new();
        for position in self.references.candidates(hash) {
            let event = self.event(position)?;
            if event.bank_reference().map(key) == Some(key(reference)) {
                used.push(Position::new(position));
            }
        }
        Ok(used)
    }

    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        if position.get() >= self.size {
            return Ok(None);
        }
        if let Some(earlier) = self.earlier.get(&position.get()) {
            self.unasked.borrow_mut().remove(&position.get());
            return Ok(Some(earlier.clone()));
        }
        self.event(position.get()).map(Some)
    }
}

/// What makes two bank references the same: an absent line is line 0.
fn key(reference: &BankReference) -> (&[u8], &[u8], u32) {
    let BankReference { bank, reference, line } = reference;
    (bank.as_bytes(), reference.as_bytes(), line.unwrap_or(0))
}
