//! What an event of the past posted, asked of any later state: where the event names a proposal
//! that is long closed, its record says what it was.

use crate::records::Reader;
use bergulir_chain::Position;
use bergulir_domain::journal::journal;
use bergulir_domain::postings::{Book, JournalEntry};
use bergulir_domain::{Event, State};
use std::collections::BTreeMap;
use tonic::Status;

/// The record that an event refers to and does not say itself what it was.
fn named(event: &Event) -> Option<u64> {
    match event {
        Event::AllocationWithdrawn(e) => Some(e.proposal.get()),
        Event::Reversed(e) => Some(e.proposal.get()),
        _ => None,
    }
}

/// Reads the earlier records that an event's postings follow from. Each names an earlier one, so
/// there is an end.
pub(super) fn earlier(
    event: &Event,
    reader: &mut Reader<'_>,
    found: &mut BTreeMap<u64, Event>,
) -> Result<(), Status> {
    let mut next = named(event);
    while let Some(position) = next {
        let event = reader.event(Position::new(position))?;
        next = match &event {
            Event::ReversalProposed(e) => Some(e.command.reverses.get()),
            other => named(other),
        };
        found.insert(position, event);
    }
    Ok(())
}

/// What an event posted; `None` if it moved no money.
pub(super) fn postings(
    state: &State,
    event: &Event,
    earlier: &BTreeMap<u64, Event>,
) -> Option<JournalEntry> {
    match event {
        Event::AllocationWithdrawn(e) => match earlier.get(&e.proposal.get())? {
            Event::AllocationWithdrawalProposed(proposed) => {
                let minor = proposed.command.amount.minor();
                Some(JournalEntry::of(Book::Capital, Book::Cash, minor))
            }
            _ => None,
        },
        Event::Reversed(_) => {
            let reversed = earlier.get(&reverses(event, earlier)?)?;
            postings(state, reversed, earlier).map(|entry| -entry)
        }
        other => journal(state, other).map(|(_, entry)| entry),
    }
}

/// The record that an event reverses or returns.
pub(super) fn reverses(event: &Event, earlier: &BTreeMap<u64, Event>) -> Option<u64> {
    match event {
        Event::DisbursementReturned(e) => Some(e.command.disbursement.get()),
        Event::Reversed(e) => match earlier.get(&e.proposal.get())? {
            Event::ReversalProposed(proposed) => Some(proposed.command.reverses.get()),
            _ => None,
        },
        _ => None,
    }
}
