//! The newest additions to one table, in memory until they are written out as a run.

use std::ops::{ControlFlow, Range};

use hashbrown::HashTable;

use super::filter::KeyHasher;
use super::table::Direction;

/// Where a slot with an empty value says that it lies: past every arena.
const NO_VALUE: usize = usize::MAX;

/// One addition. Its value lies in the arena, after two bytes of length.
#[derive(Clone, Copy, Debug)]
struct Slot {
    key: u128,
    position: u64,
    value_at: usize,
}

/// The slots of one key, in the order of their positions. Nearly all keys have one.
#[derive(Clone, Debug)]
enum Slots {
    One(u32),
    Many(Vec<u32>),
}

impl Slots {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(slot) => std::slice::from_ref(slot),
            Self::Many(slots) => slots,
        }
    }

    fn push(&mut self, slot: u32) {
        match self {
            Self::One(first) => *self = Self::Many(vec![*first, slot]),
            Self::Many(slots) => slots.push(slot),
        }
    }
}

/// Additions in the order of the log, found by key.
#[derive(Clone, Debug)]
pub(super) struct Memtable {
    hasher: KeyHasher,
    slots: Vec<Slot>,
    keys: HashTable<(u128, Slots)>,
    arena: Vec<u8>,
}

impl Memtable {
    /// An empty table with room for this many additions: growing would stall those who look
    /// something up meanwhile.
    pub(super) fn with_room(hasher: KeyHasher, additions: usize) -> Self {
        Self {
            hasher,
            slots: Vec::with_capacity(additions),
            keys: HashTable::with_capacity(additions),
            arena: Vec::new(),
        }
    }

    /// Empties the table and keeps its memory.
    pub(super) fn clear(&mut self) {
        self.slots.clear();
        self.keys.clear();
        self.arena.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The bytes that additions and their values take.
    pub(super) fn filled_bytes(&self) -> usize {
        self.slots.len() * size_of::<Slot>() + self.arena.len()
    }

    /// The memory that the table takes, in bytes, with the room that it keeps.
    pub(super) fn resident_bytes(&self) -> usize {
        self.slots.capacity() * size_of::<Slot>()
            + self.keys.allocation_size()
            + self.arena.capacity()
    }

    /// Adds a record, whose position is not below any earlier one. A second value of the same key
    /// at the same position replaces the first.
    pub(super) fn insert(&mut self, key: u128, position: u64, value: &[u8]) {
        let value_at = if value.is_empty() { NO_VALUE } else { self.arena.len() };
        if !value.is_empty() {
            let length = u16::try_from(value.len()).expect("a batch takes no longer value");
            self.arena.extend_from_slice(&length.to_le_bytes());
            self.arena.extend_from_slice(value);
        }
        let slot = Slot { key, position, value_at };
        let number = u32::try_from(self.slots.len()).expect("written out long before 2^32");
        let hash = self.hasher.hash(key);
        if let Some((_, of_key)) = self.keys.find_mut(hash, |found| found.0 == key) {
            if let Some(last) = of_key.as_slice().last()
                && let Some(last) = self.slots.get_mut(*last as usize)
                && last.position == position
            {
                *last = slot;
                return;
            }
            of_key.push(number);
        } else {
            let hasher = self.hasher;
            self.keys
                .insert_unique(hash, (key, Slots::One(number)), |stored| hasher.hash(stored.0));
        }
        self.slots.push(slot);
    }

    /// Shows the records of one key in a range of positions, until told to stop.
    pub(super) fn visit(
        &self,
        key: u128,
        hash: u64,
        positions: &Range<u64>,
        direction: Direction,
        mut visit: impl FnMut(u64, &[u8]) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let Some((_, slots)) = self.keys.find(hash, |found| found.0 == key) else {
            return ControlFlow::Continue(());
        };
        let slots = slots.as_slice();
        let before = |bound| slots.partition_point(|slot| self.slot(*slot).position < bound);
        direction.over(before(positions.start)..before(positions.end), |at| {
            let slot = self.slot(slots[at]);
            visit(slot.position, self.value(slot))
        })
    }

    /// Shows every record in the order of keys and positions, until the visitor fails.
    pub(super) fn visit_sorted<E>(
        &self,
        mut visit: impl FnMut(u128, u64, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.sorted().into_iter().try_for_each(|slot| {
            let slot = self.slot(slot);
            visit(slot.key, slot.position, self.value(slot))
        })
    }

    /// The numbers of all slots in the order of keys and positions.
    pub(super) fn sorted(&self) -> Vec<u32> {
        // Slots are in the order of positions: that of the numbers is the order within a key. Keys
        // are copied, since comparing them in place costs a cache miss each.
        let mut order: Vec<(u128, u32)> = self.slots.iter().map(|slot| slot.key).zip(0..).collect();
        order.sort_unstable();
        order.into_iter().map(|(_, number)| number).collect()
    }

    /// Key, position and value of a slot.
    pub(super) fn record(&self, slot: u32) -> (u128, u64, &[u8]) {
        let slot = self.slot(slot);
        (slot.key, slot.position, self.value(slot))
    }

    fn slot(&self, number: u32) -> &Slot {
        &self.slots[number as usize]
    }

    fn value(&self, slot: &Slot) -> &[u8] {
        let Some(stored) = self.arena.get(slot.value_at..) else {
            return &[];
        };
        let Some((length, stored)) = stored.split_first_chunk() else {
            return &[];
        };
        &stored[..usize::from(u16::from_le_bytes(*length))]
    }
}
