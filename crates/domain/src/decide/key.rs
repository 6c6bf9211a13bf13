//! The origin of the log and its keys: named in it, each once, a key under the name of its origin.

use crate::command::{ContinueLedger, RotateKey};
use crate::event::Event;
use crate::ledger::Origin;
use crate::rejection::Rejection;
use crate::state::State;
use crate::text::VerifierKey;
use alloc::boxed::Box;

pub(super) fn rotate(state: &State, command: &RotateKey) -> Result<Event, Rejection> {
    let key = &command.verifier_key;
    if let Some(opened) = state.opened() {
        is_named(key, &opened.origin)?;
    }
    match state.keys().find(|(_, named)| *named == key) {
        Some((by, _)) => Err(Rejection::KeyNamedBefore { by }),
        None => Ok(Event::KeyRotated(command.clone())),
    }
}

/// Goes on under another origin. Whether the checkpoint is what it must be, is not the trade's to
/// say: whoever replays the record looks.
pub(super) fn continue_as(state: &State, command: &ContinueLedger) -> Result<Event, Rejection> {
    let ContinueLedger { origin, verifier_key, from_origin, .. } = command;
    if let Some(current) = state.opened().map(|opened| &opened.origin)
        && current != from_origin
    {
        return Err(Rejection::OriginNotCurrent { current: current.clone() });
    }
    // Under a name that it had before, the log has signed another history.
    let had = state.keys().find(|(_, key)| is_named(key, origin).is_ok());
    if origin == from_origin || had.is_some() {
        return Err(Rejection::OriginUsedBefore { origin: origin.clone() });
    }
    // So no key of that name was named before, either.
    is_named(verifier_key, origin)?;
    Ok(Event::LedgerContinued(Box::new(command.clone())))
}

/// A verifier key begins with its name, which ends at the first `+`.
pub(super) fn is_named(key: &VerifierKey, origin: &Origin) -> Result<(), Rejection> {
    match key.as_str().split_once('+') {
        Some((name, _)) if name == origin.as_str() => Ok(()),
        Some(_) | None => Err(Rejection::KeyNotOfOrigin { origin: origin.clone() }),
    }
}
