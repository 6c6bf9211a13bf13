//! The newest records: those that the index may not have yet, and where the keys were used that it
//! may not have written out.

use crate::facts::Fingerprint;
use crate::keys::Keys;
use crate::submission::{Balances, RequestId};
use bergulir_chain::{Authentication, Hash};
use bergulir_domain::{Event, Header, Touched};
use std::collections::VecDeque;
use std::sync::Arc;

/// Emptied groups with room for so many records together are kept for the next ones: fresh memory is
/// slow at its first touch.
const SPARE_RECORDS: usize = 16_384;

/// A record on its way: decided, encoded and hashed, and what it left behind.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) header: Header,
    pub(crate) authentication: Authentication,
    pub(crate) request_id: RequestId,
    pub(crate) following: u32,
    pub(crate) hash: Hash,
    pub(crate) event: Event,
    /// The key of the request id.
    pub(crate) id_key: u64,
    /// The bank reference that the event names.
    pub(crate) reference: Option<Reference>,
    pub(crate) touched: Touched,
    pub(crate) balances: Balances,
}

/// A bank reference, in the forms under which it is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) fingerprint: Fingerprint,
    pub(crate) key: u64,
}

/// The records of one group.
pub(crate) type SealedGroup = Arc<Vec<Sealed>>;

/// The newest records, the last of which are a group that still grows.
#[derive(Debug)]
pub(crate) struct Recent {
    first: u64,
    groups: VecDeque<SealedGroup>,
    /// Where the group begins that grows.
    open_from: u64,
    open: Vec<Sealed>,
    spare: Vec<Vec<Sealed>>,
    request_ids: Keys,
    bank_references: Keys,
}

impl Recent {
    /// No records; the next one will be at `first`.
    pub(crate) fn new(first: u64) -> Recent {
        Recent {
            first,
            groups: VecDeque::new(),
            open_from: first,
            open: Vec::new(),
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
        self.open_from + self.open.len() as u64
    }

    pub(crate) fn push(&mut self, sealed: Sealed) {
        let position = self.next();
        debug_assert_eq!(position, sealed.header.position.get());
        self.request_ids.insert(sealed.id_key, position);
        if let Some(Reference { key, .. }) = sealed.reference {
            self.bank_references.insert(key, position);
        }
        self.open.push(sealed);
    }

    pub(crate) fn get(&self, position: u64) -> Option<&Sealed> {
        if position < self.first {
            return None;
        }
        if let Some(place) = position.checked_sub(self.open_from) {
            return self.open.get(usize::try_from(place).ok()?);
        }
        let first = |group: &SealedGroup| group.first().map(|one| one.header.position.get());
        let after = self.groups.partition_point(|group| first(group) <= Some(position));
        let group = self.groups.get(after.checked_sub(1)?)?;
        group.get(usize::try_from(position - first(group)?).ok()?)
    }

    /// Ends the group that grows, and gives it.
    pub(crate) fn close(&mut self) -> SealedGroup {
        let empty = self.spare.pop().unwrap_or_default();
        self.open_from = self.next();
        let group = Arc::new(std::mem::replace(&mut self.open, empty));
        if !group.is_empty() {
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

    /// Drops the records from `position` on, all of the group that grows: their batch was refused.
    pub(crate) fn truncate(&mut self, position: u64) {
        while self.next() > position
            && let Some(sealed) = self.open.pop()
        {
            let position = sealed.header.position.get();
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
            && let Some(last) = group.last().map(|one| one.header.position.get())
            && last < applied
            // Whoever still looks at it is soon done, and its memory is wanted again.
            && let Some(group) = Arc::get_mut(group)
        {
            self.first = last + 1;
            let mut group = std::mem::take(group);
            self.groups.pop_front();
            let kept: usize = self.spare.iter().map(Vec::capacity).sum();
            if kept + group.capacity() <= SPARE_RECORDS {
                group.clear();
                self.spare.push(group);
            }
        }
        // Of the group that grows a batch may be rolled back.
        if self.open.is_empty() {
            self.request_ids.turn(written, self.open_from);
            self.bank_references.turn(written, self.open_from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_domain::{Position, PrincipalId, Timestamp};
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// A record with this request id, that uses this bank reference.
    fn sealed(position: u64, id: u64, reference: Option<u8>) -> Sealed {
        let mut request_id = [0; 16];
        request_id[..8].copy_from_slice(&id.to_le_bytes());
        Sealed {
            header: Header {
                position: Position::new(position),
                recorded_at: Timestamp::from_micros(0),
                principal: PrincipalId::new("maker").unwrap(),
            },
            authentication: Authentication::Stated,
            request_id,
            following: 0,
            hash: Hash::ZERO,
            event: Event::RulesAdopted(bergulir_domain::command::AdoptRules { version: 2 }),
            id_key: id,
            reference: reference
                .map(|number| Reference { fingerprint: [number; 16], key: number.into() }),
            touched: Touched::default(),
            balances: Balances::default(),
        }
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
            let (mut next_id, mut closed, mut indexed, mut written) = (100, first, first, first);
            for step in steps {
                match step {
                    Step::Batch(references, kept) => {
                        let before = recent.next();
                        for reference in &references {
                            recent.push(sealed(recent.next(), next_id, *reference));
                            all.push((next_id, *reference));
                            next_id += 1;
                        }
                        if !kept {
                            recent.truncate(before);
                            let left = all.len() - references.len();
                            for (id, _) in all.drain(left..) {
                                prop_assert_eq!(recent.request_id(id).next(), None);
                            }
                        }
                    }
                    Step::Close => {
                        let group = recent.close();
                        prop_assert_eq!(closed + group.len() as u64, recent.next());
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
                    let (position, wanted) = (position_of(place), sealed(0, *id, None).request_id);
                    let found: Vec<u64> = recent.request_id(*id).collect();
                    prop_assert!(found.is_empty() || recent.may_have_request_id(*id));
                    prop_assert!(found.is_empty() || found == [position]);
                    prop_assert!(position < recent.first_key() || found == [position]);
                    if position >= recent.first() {
                        prop_assert_eq!(recent.get(position).unwrap().request_id, wanted);
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
