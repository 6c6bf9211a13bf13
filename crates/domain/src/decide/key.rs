//! The keys of the log: named in it, each once, under the name of its origin.

use crate::command::RotateKey;
use crate::event::Event;
use crate::ledger::Origin;
use crate::rejection::Rejection;
use crate::state::State;
use crate::text::VerifierKey;

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

/// A verifier key begins with its name, which ends at the first `+`.
pub(super) fn is_named(key: &VerifierKey, origin: &Origin) -> Result<(), Rejection> {
    match key.as_str().split_once('+') {
        Some((name, _)) if name == origin.as_str() => Ok(()),
        Some(_) | None => Err(Rejection::KeyNotOfOrigin { origin: origin.clone() }),
    }
}
