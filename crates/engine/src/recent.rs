//! The newest records: those that the index may not have yet, and where the keys were used that it
//! may not have written out.

use crate::facts::Fingerprint;
use crate::keys::Keys;
use crate::submission::{Accepted, Caller, RequestId};
use bergulir_chain::Hash;
use bergulir_domain::{Event, Header, Position, Timestamp};
use std::collections::VecDeque;
use std::sync::Arc;

/// Emptied groups with room for so many records together are kept for the next ones: fresh memory is
/// slow at its first touch.
const SPARE_RECORDS: usize = 16_384;

/// A record on its way: decided, encoded and hashed. What it left behind is in its answer.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) request_id: RequestId,
    pub(crate) following: u32,
    pub(crate) hash: Hash,
    pub(crate) event: Event,
    /// The key of the request id.
    pub(crate) id_key: u64,
    /// The bank reference that the event names.
    pub(crate) reference: Option<Reference>,
}

/// A bank reference, in the forms under which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) key: u64,
}

/// The records of one group.
#[derive(Debug, Default)]
pub(crate) struct SealedGroup {
    first: u64,
    records: Vec<Sealed>,
    pieces: Vec<Piece>,
}

/// What the records have in common that one piece of work made.
#[derive(Debug)]
struct Piece {
    /// Where they begin.
    first: u64,
    caller: Caller,
    recorded_at: Timestamp,
    /// The answer to each of them, which the caller is given too, so that balances are written once;
    /// `None` while the piece is being decided.
    answers: Option<Arc<Vec<Accepted>>>,
}

/// One of the newest records.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest<'a> {
    pub(crate) position: u64,
    pub(crate) sealed: &'a Sealed,
    /// What its caller is answered.
    pub(crate) accepted: &'a Accepted,
    pub(crate) caller: &'a Caller,
    pub(crate) recorded_at: Timestamp,
}

impl Newest<'_> {
    pub(crate) fn header(&self) -> Header {
        let (recorded_at, principal) = (self.recorded_at, self.caller.principal);
        Header { position: Position::new(self.position), recorded_at, principal }
    }
}

impl SealedGroup {
    /// How many records it has.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// All of its records, in order. Nothing of it is being decided.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Newest<'_>> {
        let answers = self.pieces.iter().flat_map(|piece| {
            let answers = piece.answers.iter().flat_map(|answers| answers.iter());
            answers.map(move |accepted| (piece, accepted))
        });
        let records = (self.first..).zip(&self.records);
        records.zip(answers).map(|((position, sealed), (piece, accepted))| {
            let Piece { caller, recorded_at, .. } = piece;
            Newest { position, sealed, accepted, caller, recorded_at: *recorded_at }
        })
    }

    /// A record of it, if it has one there; `growing` are the answers of what is being decided.
    fn get<'a>(&'a self, position: u64, growing: &'a [Accepted]) -> Option<Newest<'a>> {
        let at = |first: u64| usize::try_from(position.checked_sub(first)?).ok();
        let sealed = self.records.get(at(self.first)?)?;
        let after = self.pieces.partition_point(|piece| piece.first <= position);
        let Piece { first, caller, recorded_at, answers } =
            self.pieces.get(after.checked_sub(1)?)?;
        let answers = answers.as_ref().map_or(growing, |answers| answers.as_slice());
        let accepted = answers.get(at(*first)?)?;
        Some(Newest { position, sealed, accepted, caller, recorded_at: *recorded_at })
    }

    /// Where the next record will be.
    fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

/// The newest records, the last of which are a group that still grows.
#[derive(Debug)]
pub(crate) struct Recent {
    first: u64,
    groups: VecDeque<Arc<SealedGroup>>,
    /// The group that grows.
    open: SealedGroup,
    /// The answers to the records of the piece of work that is being decided.
    growing: Vec<Accepted>,
    spare: Vec<SealedGroup>,
    request_ids: Keys,
    bank_references: Keys,
}

impl Recent {
    /// No records; the next one will be at `first`.
    pub(crate) fn new(first: u64) -> Recent {
        Recent {
            first,
            groups: VecDeque::new(),
            open: SealedGroup { first, ..SealedGroup::default() },
            growing: Vec::new(),
            spare: Vec::new(),
            request_ids: Keys::new(first),
            bank_references: Keys::new(first),
        }
    }

    /// The records before it are in the index.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// How many records there are in all: where the next one will be.
    pub(crate) fn next(&self) -> u64 {
        self.open.next()
    }

    /// From here on a piece of work of so many commands is decided.
    pub(crate) fn begin_piece(&mut self, caller: Caller, recorded_at: Timestamp, commands: usize) {
        let first = self.next();
        self.open.pieces.push(Piece { first, caller, recorded_at, answers: None });
        self.growing.reserve_exact(commands);
    }

    /// One more record of the piece of work that is being decided, and what its caller is answered.
    #[inline]
    pub(crate) fn push(&mut self, sealed: Sealed, accepted: Accepted) {
        let position = self.next();
        self.request_ids.insert(sealed.id_key, position);
        if let Some(Reference { key, .. }) = sealed.reference {
            self.bank_references.insert(key, position);
        }
        self.growing.push(accepted);
        self.open.records.push(sealed);
    }

    /// The answers so far to the records of the piece of work that is being decided.
    pub(crate) fn growing(&self) -> &[Accepted] {
        &self.growing
    }

    /// The piece of work is decided: gives the answers to its records.
    pub(crate) fn end_piece(&mut self) -> Arc<Vec<Accepted>> {
        let mut answers = std::mem::take(&mut self.growing);
        // They are kept until the index has the records, and shall take no more room than a few times
        // what those take.
        if 2 * answers.len() < answers.capacity() {
            answers.shrink_to_fit();
        }
        let answers = Arc::new(answers);
        if answers.is_empty() {
            self.open.pieces.pop();
        } else if let Some(piece) = self.open.pieces.last_mut() {
            piece.answers = Some(Arc::clone(&answers));
        }
        answers
    }

    pub(crate) fn get(&self, position: u64) -> Option<Newest<'_>> {
        if position < self.first {
            return None;
        }
        if position >= self.open.first {
            return self.open.get(position, &self.growing);
        }
        let after = self.groups.partition_point(|group| group.first <= position);
        self.groups.get(after.checked_sub(1)?)?.get(position, &[])
    }

    /// Ends the group that grows, and gives it.
    pub(crate) fn close(&mut self) -> Arc<SealedGroup> {
        let empty = self.spare.pop().unwrap_or_default();
        let next = SealedGroup { first: self.next(), ..empty };
        let group = Arc::new(std::mem::replace(&mut self.open, next));
        if group.len() > 0 {
            self.groups.push_back(Arc::clone(&group));
        }
        group
    }

    /// Whether a request id with this key may have been used by the newest records.
    pub(crate) fn may_have_request_id(&self, key: u64) -> bool {
        self.request_ids.may_hold(key)
    }

    /// Whether a bank reference with this key may have been used by the newest records.
    pub(crate) fn may_have_bank_reference(&self, key: u64) -> bool {
        self.bank_references.may_hold(key)
    }

    /// Where a request id with this key may have been used by the newest records.
    pub(crate) fn request_id(&self, key: u64) -> impl Iterator<Item = u64> {
        self.request_ids.positions(key)
    }

    /// Where a bank reference with this key may have been used by the newest records.
    pub(crate) fn bank_reference(&self, key: u64) -> impl Iterator<Item = u64> {
        self.bank_references.positions(key)
    }

    /// The keys of all records from here on are at hand; those of older ones the index has.
    pub(crate) fn first_key(&self) -> u64 {
        self.request_ids.first().max(self.bank_references.first())
    }

    /// Drops the records from `position` on, all of the piece of work that is being decided: it was
    /// refused.
    pub(crate) fn truncate(&mut self, position: u64) {
        while self.next() > position
            && let Some(sealed) = self.open.records.pop()
        {
            self.growing.pop();
            let position = self.next();
            self.request_ids.remove(sealed.id_key, position);
            if let Some(Reference { key, .. }) = sealed.reference {
                self.bank_references.remove(key, position);
            }
        }
    }

    /// Drops the closed groups that lie below `applied`, which the index has, and keys of what it has
    /// written out.
    pub(crate) fn forget(&mut self, applied: u64, written: u64) {
        while let Some(group) = self.groups.front_mut()
            && let next = group.next()
            && next <= applied
            // Whoever still looks at it is soon done, and its memory is wanted again.
            && let Some(group) = Arc::get_mut(group)
        {
            self.first = next;
            let mut group = std::mem::take(group);
            self.groups.pop_front();
            let kept: usize = self.spare.iter().map(|spare| spare.records.capacity()).sum();
            if kept + group.records.capacity() <= SPARE_RECORDS {
                group.records.clear();
                group.pieces.clear();
                self.spare.push(group);
            }
        }
        // Of the group that grows a batch may be rolled back.
        if self.open.records.is_empty() {
            self.request_ids.turn(written, self.open.first);
            self.bank_references.turn(written, self.open.first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::submission::{Balances, Named, Receipt};
    use bergulir_chain::Authentication;
    use bergulir_domain::{PrincipalId, Touched};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A record with this request id, that uses this bank reference.
    fn sealed(id: u64, reference: Option<u8>) -> Sealed {
        let mut request_id = [0; 16];
        request_id[..8].copy_from_slice(&id.to_le_bytes());
        Sealed {
            request_id,
            following: 0,
            hash: Hash::ZERO,
            event: Event::RulesAdopted(bergulir_domain::command::AdoptRules { version: 2 }),
            id_key: id,
            reference: reference
                .map(|number| Reference { fingerprint: [number; 16], key: number.into() }),
        }
    }

    fn accepted(position: u64) -> Accepted {
        let receipt = Receipt {
            position: bergulir_chain::Position::new(position),
            record_hash: Hash::ZERO,
            recorded_at: bergulir_chain::Timestamp::MIN,
            duplicate: false,
        };
        Accepted {
            receipt: Some(receipt),
            touched: Touched::default(),
            named: Named::default(),
            balances: Balances::default(),
        }
    }

    /// When the piece of work that begins there is decided.
    fn time(first: u64) -> Timestamp {
        Timestamp::from_micros(i64::try_from(first).unwrap())
    }

    /// What the writer moves for each event is most of what it waits for (ADR 0046).
    #[test]
    fn little_is_kept_of_a_record_on_its_way() {
        assert_eq!((size_of::<Sealed>(), size_of::<Accepted>()), (272, 464));
    }

    #[derive(Debug, Clone)]
    enum Step {
        /// Records that are kept, or rolled back, each with the bank reference that it uses.
        Batch(Vec<Option<u8>>, bool),
        /// The group is handed on.
        Close,
        /// The index has so many more of what was handed on, and so many more of those written out.
        Index(u64, u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let reference = || prop::option::of(0_u8..6);
        prop_oneof![
            4 => (prop::collection::vec(reference(), 1..6), prop::bool::weighted(0.8))
                .prop_map(|(references, kept)| Step::Batch(references, kept)),
            2 => Just(Step::Close),
            2 => (0_u64..12, 0_u64..12).prop_map(|(more, out)| Step::Index(more, out)),
        ]
    }

    proptest! {
        /// What the index may not have is always found, and nothing is found that was never there:
        /// on that rests that nothing is posted twice.
        #[test]
        fn the_newest_records_and_their_keys_are_found(
            first in 0_u64..3,
            steps in prop::collection::vec(step(), 1..60),
        ) {
            let mut recent = Recent::new(first);
            let mut all: Vec<(u64, Option<u8>)> = Vec::new();
            // Where the piece of work of each record begins.
            let mut begun: Vec<u64> = Vec::new();
            let (mut next_id, mut closed, mut indexed, mut written) = (100, first, first, first);
            for step in steps {
                match step {
                    Step::Batch(references, kept) => {
                        let before = recent.next();
                        let principal = PrincipalId::new("maker").unwrap();
                        let caller = Caller { principal, authentication: Authentication::Stated };
                        // Others of the batch may be refused.
                        recent.begin_piece(caller, time(before), 3 * references.len());
                        for reference in &references {
                            recent.push(sealed(next_id, *reference), accepted(recent.next()));
                            all.push((next_id, *reference));
                            next_id += 1;
                            let newest = recent.next() - 1;
                            prop_assert_eq!(recent.get(newest).unwrap().header().recorded_at, time(before));
                        }
                        if !kept {
                            recent.truncate(before);
                            let left = all.len() - references.len();
                            for (id, _) in all.drain(left..) {
                                prop_assert_eq!(recent.request_id(id).next(), None);
                            }
                        }
                        let answers = recent.end_piece();
                        prop_assert_eq!(answers.len() as u64, recent.next() - before);
                        prop_assert!(answers.capacity() <= 2 * answers.len());
                        begun.extend((before..recent.next()).map(|_| before));
                    }
                    Step::Close => {
                        let group = recent.close();
                        prop_assert_eq!(closed + group.len() as u64, recent.next());
                        let positions: Vec<u64> = group.iter().map(|newest| newest.position).collect();
                        prop_assert_eq!(positions, (closed..recent.next()).collect::<Vec<_>>());
                        closed = recent.next();
                    }
                    Step::Index(more, out) => {
                        indexed = closed.min(indexed + more);
                        written = indexed.min(written + out);
                        recent.forget(indexed, written);
                        prop_assert!(recent.first() <= indexed);
                        prop_assert!(recent.first_key() <= written);
                    }
                }
                let position_of = |place: usize| first + place as u64;
                prop_assert_eq!(recent.next(), position_of(all.len()));
                for (place, (id, _)) in all.iter().enumerate() {
                    let (position, wanted) = (position_of(place), sealed(*id, None).request_id);
                    let found: Vec<u64> = recent.request_id(*id).collect();
                    prop_assert!(found.is_empty() || recent.may_have_request_id(*id));
                    prop_assert!(found.is_empty() || found == [position]);
                    prop_assert!(position < recent.first_key() || found == [position]);
                    if position >= recent.first() {
                        let newest = recent.get(position).unwrap();
                        prop_assert_eq!(newest.sealed.request_id, wanted);
                        prop_assert_eq!(newest.accepted, &accepted(position));
                        prop_assert_eq!(newest.header().position.get(), position);
                        prop_assert_eq!(newest.header().recorded_at, time(begun[place]));
                    } else {
                        prop_assert!(recent.get(position).is_none());
                    }
                }
                for number in 0..6 {
                    let uses = all.iter().enumerate().filter(|(_, (_, of))| *of == Some(number));
                    let uses: BTreeSet<u64> = uses.map(|(place, _)| position_of(place)).collect();
                    let found: BTreeSet<u64> = recent.bank_reference(number.into()).collect();
                    let may_have = recent.may_have_bank_reference(number.into());
                    prop_assert!(found.is_empty() || may_have);
                    prop_assert!(found.is_subset(&uses), "{found:?} of {uses:?}");
                    let newest: BTreeSet<u64> = uses.range(recent.first_key()..).copied().collect();
                    prop_assert!(newest.is_subset(&found), "{newest:?} not all in {found:?}");
                }
            }
        }
    }
}
