//! The newest records: those that the index may not have yet, and where their keys were used.

use crate::facts::Fingerprint;
use crate::submission::{Balances, RequestId};
use bergulir_chain::{Authentication, Hash};
use bergulir_domain::{Event, Header, Touched};
use hashbrown::HashMap;
use std::collections::VecDeque;
use std::sync::Arc;

/// A generation of keys is closed once it has so many records.
const GENERATION: u64 = 65_536;
/// So many emptied groups are kept for the next ones: fresh memory is slow at its first touch.
const SPARE_GROUPS: usize = 4;

/// A record on its way: decided, encoded and hashed, and what it left behind.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) header: Header,
    pub(crate) authentication: Authentication,
    pub(crate) request_id: RequestId,
    pub(crate) following: u32,
    pub(crate) previous: Hash,
    pub(crate) hash: Hash,
    pub(crate) event: Event,
    /// Of the bank reference that the event names.
    pub(crate) reference: Option<Fingerprint>,
    pub(crate) touched: Touched,
    pub(crate) balances: Balances,
}

/// The records of one group.
pub(crate) type SealedGroup = Arc<Vec<Sealed>>;

/// The newest records, the last of which are a group that still grows.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    first: u64,
    groups: VecDeque<SealedGroup>,
    /// Where the group begins that grows.
    open_from: u64,
    open: Vec<Sealed>,
    spare: Vec<Vec<Sealed>>,
    keys: Keys,
}

impl Recent {
    /// No records; the next one will be at `first`.
    pub(crate) fn new(first: u64) -> Recent {
        Recent { first, open_from: first, ..Recent::default() }
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
        self.keys.insert(&sealed, position);
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

    /// Where this request id was used by one of these records, or by one before them.
    pub(crate) fn request_id(&self, id: &RequestId) -> Option<u64> {
        self.keys.request_id(id)
    }

    /// Where this bank reference was used by these records, the newest first; by some before them
    /// too.
    pub(crate) fn bank_reference(&self, reference: &Fingerprint) -> impl Iterator<Item = u64> {
        self.keys.bank_reference(reference)
    }

    /// Drops the records from `position` on, all of the group that grows: their batch was refused.
    pub(crate) fn truncate(&mut self, position: u64) {
        while self.next() > position
            && let Some(sealed) = self.open.pop()
        {
            self.keys.remove(&sealed);
        }
    }

    /// Drops the closed groups that lie below `position`: the index has them.
    pub(crate) fn forget_below(&mut self, position: u64) {
        while let Some(group) = self.groups.front()
            && let Some(last) = group.last().map(|one| one.header.position.get())
            && last < position
        {
            self.first = last + 1;
            if let Some(group) = self.groups.pop_front()
                && self.spare.len() < SPARE_GROUPS
                && let Ok(mut group) = Arc::try_unwrap(group)
            {
                group.clear();
                self.spare.push(group);
            }
        }
        self.keys.turn(self.first, self.next());
    }
}

/// Where the newest request ids and bank references were used. In two generations: the older one is
/// emptied at once when the index has all of it, which costs less than key by key.
#[derive(Debug, Default)]
struct Keys {
    young: Generation,
    old: Generation,
    /// Where the young generation begins.
    young_from: u64,
    /// Which record used the bank reference of a record before it, if one of these did.
    earlier: HashMap<u64, u64>,
}

#[derive(Debug, Default)]
struct Generation {
    request_ids: HashMap<RequestId, u64>,
    /// The last record that used it.
    bank_references: HashMap<Fingerprint, u64>,
}

impl Keys {
    fn insert(&mut self, sealed: &Sealed, position: u64) {
        self.young.request_ids.insert(sealed.request_id, position);
        if let Some(reference) = sealed.reference {
            let before = self.young.bank_references.insert(reference, position);
            let before = before.or_else(|| self.old.bank_references.get(&reference).copied());
            if let Some(before) = before {
                self.earlier.insert(position, before);
            }
        }
    }

    fn remove(&mut self, sealed: &Sealed) {
        self.young.request_ids.remove(&sealed.request_id);
        if let Some(reference) = sealed.reference {
            match self.earlier.remove(&sealed.header.position.get()) {
                Some(before) => self.young.bank_references.insert(reference, before),
                None => self.young.bank_references.remove(&reference),
            };
        }
    }

    fn request_id(&self, id: &RequestId) -> Option<u64> {
        let generations = [&self.young, &self.old];
        generations.into_iter().find_map(|keys| keys.request_ids.get(id)).copied()
    }

    fn bank_reference(&self, reference: &Fingerprint) -> impl Iterator<Item = u64> {
        let generations = [&self.young, &self.old];
        let last = generations.into_iter().find_map(|keys| keys.bank_references.get(reference));
        std::iter::successors(last.copied(), |position| self.earlier.get(position).copied())
    }

    /// Closes the young generation if it is large and the index has all of the old one.
    fn turn(&mut self, indexed: u64, next: u64) {
        if next - self.young_from < GENERATION || indexed < self.young_from {
            return;
        }
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.request_ids.clear();
        self.young.bank_references.clear();
        let dropped_below = std::mem::replace(&mut self.young_from, next);
        self.earlier.retain(|position, _| *position >= dropped_below);
    }
}
