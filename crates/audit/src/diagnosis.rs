//! Which of two neighbours was changed, where a link of the chain is broken.
//!
//! A record that names another hash than the record before it has was changed itself, or that one
//! was. The record after it tells: it names the hash that this one had when it was written.

use bergulir_chain::{
    ChainFault, Frame, Hash, Position, Record, body::LENGTH_BYTES, frame, record,
};

use crate::fetch::Fetch;
use crate::reason::Reason;

/// The record at `at` names another hash than that of the record before it, which is `expected`.
/// `damaged` is its frame if that does not match its sum, and where the record begins in it.
///
/// Gives the record that was changed, and why.
pub(crate) fn broken_link(
    at: Position,
    bytes: &[u8],
    expected: Hash,
    damaged: Option<(&[u8], usize)>,
    fetch: &mut Fetch<'_>,
) -> (Position, Reason) {
    let stated = Record::parse(bytes).map_or(Hash::ZERO, |record| record.previous);
    let this = (at, Reason::Chain { expected, stated });
    let Some(before) = at.get().checked_sub(1).map(Position::new) else {
        return this;
    };
    let is_before = match (fetch.named_after(at), damaged) {
        (Some(named), _) => named == record::hash(bytes),
        // The last record of all, which nothing vouches for but the sum of its frame: does that
        // match once the record names the right hash?
        (None, Some((frame, start))) => !mended(frame, start, bytes, expected),
        (None, None) => false,
    };
    if !is_before {
        return this;
    }
    let reason = Reason::Changed { found: expected, named: stated };
    (before, reason)
}

/// Whether a frame is undamaged with another hash in the record that begins at `start`; true also
/// where the record is the first of the frame, and the one before it passed another sum.
fn mended(frame: &[u8], start: usize, bytes: &[u8], previous: Hash) -> bool {
    if start == frame::HEADER_BYTES + LENGTH_BYTES {
        return true;
    }
    let Ok(record) = Record::parse(bytes) else {
        return false;
    };
    let mut again = Vec::new();
    let encoded = Record { previous, ..record }.encode(&mut again);
    let mut frame = frame.to_vec();
    let Some(place) = frame.get_mut(start..start + again.len()) else {
        return false;
    };
    place.copy_from_slice(&again);
    encoded.is_ok() && Frame::parse(&frame, 0).is_ok()
}

/// The header of a segment names another hash than that of the record before its first one, at
/// `next`, which is `expected`.
pub(crate) fn broken_segment(
    next: Position,
    stated: Hash,
    expected: Hash,
    fetch: &mut Fetch<'_>,
) -> (Position, Reason) {
    let names = match fetch.record(next) {
        Ok(Some(bytes)) => Record::parse(bytes).ok().map(|record| record.previous),
        Ok(None) | Err(_) => None,
    };
    match next.get().checked_sub(1).map(Position::new) {
        // Header and first record agree, or there is no record: what they name was changed.
        Some(before) if names.is_none_or(|names| names == stated) => {
            let reason = Reason::Changed { found: expected, named: stated };
            (before, reason)
        }
        _ => (next, Reason::SegmentChain { expected, stated }),
    }
}

/// The hash that a broken link should have named, if that is the fault.
pub(crate) fn link(fault: &ChainFault) -> Option<Hash> {
    match fault {
        ChainFault::Previous { expected, .. } => Some(*expected),
        _ => None,
    }
}
