//! The two collections that a state is made of. Both can be marked and rolled back, so that an
//! atomic batch is decided on the state itself and dropped whole if one of its commands is refused.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use core::marker::PhantomData;
use hashbrown::{DefaultHashBuilder, HashMap, HashTable};

/// The place of a row in its table, dense from zero in the order in which rows were added. The
/// order is the log's, so an index means the same on every machine.
pub struct Index<T>(u32, PhantomData<fn() -> T>);

impl<T> Index<T> {
    /// The `n`-th row.
    pub const fn new(n: u32) -> Index<T> {
        Index(n, PhantomData)
    }
    /// The number itself.
    pub const fn get(self) -> u32 {
        self.0
    }
    const fn at(self) -> usize {
        self.0 as usize
    }
}

impl<T> Clone for Index<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Index<T> {}
impl<T> PartialEq for Index<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}
impl<T> Eq for Index<T> {}
impl<T> PartialOrd for Index<T> {
    fn partial_cmp(&self, other: &Self) -> Option<core::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl<T> Ord for Index<T> {
    fn cmp(&self, other: &Self) -> core::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}
impl<T> Hash for Index<T> {
    fn hash<H: core::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}
impl<T> fmt::Debug for Index<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// A row that knows the key it is found by.
pub trait Row {
    /// What a row is found by.
    type Key: Eq + Hash + Clone;
    /// What it is found by besides, which rows may share; `()` if there is nothing.
    type Trait: Eq + Hash;
    /// What a payment may change of it; `()` if payments leave it alone.
    type Paid: Clone + fmt::Debug;
    /// The row's own key; it never changes.
    fn key(&self) -> Self::Key;
    /// What it is found by besides; it never changes.
    fn distinctive(&self) -> Option<&Self::Trait>;
    /// What a payment may change, as it is now.
    fn paid(&self) -> Self::Paid;
    /// The row as it was when [`paid`](Row::paid) gave that, if only payments changed it since.
    #[must_use]
    fn before(&self, paid: &Self::Paid) -> Self;
}

/// Rows in the order in which they were added, found by index or key.
///
/// The map behind the keys is unordered, and stays in here: nothing can see its order. It has only
/// the number of each row, five bytes a row, so that it stays in the processor's cache; the key is
/// compared in the row, which whoever looks for it reads next.
#[derive(Clone)]
pub struct Table<T: Row> {
    rows: Vec<T>,
    by_key: HashTable<u32>,
    /// The first row with each trait.
    by_trait: HashTable<u32>,
    hasher: DefaultHashBuilder,
    mark: Option<TableMark<T>>,
    held: Option<HeldRows<T>>,
}

/// The rows that were there when the table was held.
#[derive(Debug, Clone)]
struct HeldRows<T: Row> {
    length: usize,
    /// So many of them are told.
    told: usize,
    /// For each row where in `kept` it is as it was, counted from 1; 0 if it is as it was itself.
    places: Vec<u32>,
    kept: Vec<Kept<T>>,
    /// The places of those that are told.
    free: Vec<u32>,
}

/// A row as it was. Between two tellings nearly every row of a busy ledger changes, and nearly always
/// by payments: of those little is kept.
#[derive(Debug, Clone)]
enum Kept<T: Row> {
    Paid(T::Paid),
    Whole(Box<T>),
}

impl<T: Row + Clone> HeldRows<T> {
    fn new(length: usize) -> Self {
        let (kept, free) = Default::default();
        HeldRows { length, told: 0, places: vec![0; length], kept, free }
    }

    /// Keeps a row that is going to change, if it is still to be told.
    fn keep(&mut self, at: usize, row: &T, by_payment: bool) {
        if !(self.told..self.length).contains(&at) {
            return;
        }
        let place = self.places[at];
        if place > 0 {
            let kept = &mut self.kept[place as usize - 1];
            if let (Kept::Paid(paid), false) = (&*kept, by_payment) {
                *kept = Kept::Whole(Box::new(row.before(paid)));
            }
            return;
        }
        let kept =
            if by_payment { Kept::Paid(row.paid()) } else { Kept::Whole(Box::new(row.clone())) };
        self.places[at] = if let Some(place) = self.free.pop() {
            self.kept[place as usize - 1] = kept;
            place
        } else {
            self.kept.push(kept);
            to_u32(self.kept.len())
        };
    }

    /// Shows the next row as it was.
    fn tell(&mut self, rows: &[T], show: &mut impl FnMut(Index<T>, &T)) {
        let (at, row) = (self.told, &rows[self.told]);
        self.told += 1;
        let index = Index::new(to_u32(at));
        let place = self.places[at];
        if place == 0 {
            return show(index, row);
        }
        self.free.push(place);
        match &self.kept[place as usize - 1] {
            Kept::Paid(paid) => show(index, &row.before(paid)),
            Kept::Whole(row) => show(index, row),
        }
    }
}

#[derive(Debug, Clone)]
struct TableMark<T> {
    length: usize,
    /// Each row as it was at the mark, once, however often it changed since: a row may be large,
    /// such as a fund with all its allocations.
    before: HashMap<usize, T>,
}

/// Without the hasher, which is another one in each process, and what is held, which is of the past.
impl<T: Row<Key: fmt::Debug> + fmt::Debug> fmt::Debug for Table<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table { rows, by_key, by_trait: _, mark, held: _, hasher: _ } = self;
        let keys: BTreeMap<u32, _> =
            by_key.iter().map(|n| (*n, rows.get(*n as usize).map(Row::key))).collect();
        f.debug_struct("Table")
            .field("rows", rows)
            .field("by_key", &keys)
            .field("mark", mark)
            .finish_non_exhaustive()
    }
}

impl<T: Row> Default for Table<T> {
    fn default() -> Self {
        let hasher = DefaultHashBuilder::default();
        let (by_key, by_trait) = Default::default();
        Table { rows: Vec::new(), by_key, by_trait, hasher, mark: None, held: None }
    }
}

impl<T: Row + Clone> Table<T> {
    /// The row of that key.
    pub fn find(&self, key: &T::Key) -> Option<Index<T>> {
        let is_of_key = |n: &u32| self.rows[*n as usize].key() == *key;
        self.by_key.find(self.hasher.hash_one(key), is_of_key).map(|n| Index::new(*n))
    }
    /// As [`find`](Self::find), for whoever knows where it most likely is.
    pub(crate) fn find_near(&self, key: &T::Key, near: Option<Index<T>>) -> Option<Index<T>> {
        let row = near.and_then(|near| self.rows.get(near.at()));
        if row.is_some_and(|row| row.key() == *key) { near } else { self.find(key) }
    }
    /// The first row with that trait.
    pub(crate) fn find_first(&self, with: &T::Trait) -> Option<Index<T>> {
        let has_it = |n: &u32| self.rows[*n as usize].distinctive() == Some(with);
        self.by_trait.find(self.hasher.hash_one(Some(with)), has_it).map(|n| Index::new(*n))
    }
    /// Most likely the row of that key, if there is one, without a look at the row itself.
    pub(super) fn guess(&self, key: &T::Key) -> Option<Index<T>> {
        self.by_key.iter_hash(self.hasher.hash_one(key)).next().map(|n| Index::new(*n))
    }
    /// The row at an index that this table gave out.
    pub fn get(&self, index: Index<T>) -> &T {
        &self.rows[index.at()]
    }
    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }
    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
    /// Every row, in the order in which they were added.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = (Index<T>, &T)> + ExactSizeIterator {
        self.rows.iter().enumerate().map(|(n, row)| (Index::new(to_u32(n)), row))
    }

    /// The row, to be changed in whatever is not its key.
    pub(crate) fn get_mut(&mut self, index: Index<T>) -> &mut T {
        self.changing(index, false)
    }

    /// The row, to be changed in nothing but what [`Row::paid`] gives.
    pub(crate) fn get_paid(&mut self, index: Index<T>) -> &mut T {
        self.changing(index, true)
    }

    fn changing(&mut self, index: Index<T>, by_payment: bool) -> &mut T {
        let row = &mut self.rows[index.at()];
        if let Some(mark) = &mut self.mark
            && index.at() < mark.length
        {
            mark.before.entry(index.at()).or_insert_with(|| row.clone());
        }
        if let Some(held) = &mut self.held {
            held.keep(index.at(), row, by_payment);
        }
        row
    }

    /// Keeps the rows as they are now, each until it is told.
    pub(super) fn hold(&mut self) {
        self.held = Some(HeldRows::new(self.rows.len()));
    }

    /// How many rows are held, if none of them is told yet.
    pub(super) fn untold(&self) -> Option<usize> {
        self.held.as_ref().filter(|held| held.told == 0).map(|held| held.length)
    }

    /// Shows the next row that is held, and says that one was left.
    pub(super) fn tell(&mut self, show: &mut impl FnMut(Index<T>, &T)) -> bool {
        let untold = self.held.as_mut().filter(|held| held.told < held.length);
        let Some(held) = untold else {
            self.held = None;
            return false;
        };
        held.tell(&self.rows, show);
        true
    }

    /// Holds no rows any more.
    pub(super) fn let_go(&mut self) {
        self.held = None;
    }

    /// A copy of it as it is now, of each row as `copy` makes that: with the same keys. It is neither
    /// marked nor held.
    pub(super) fn copied(&self, copy: impl FnMut(&T) -> T) -> Table<T> {
        Table {
            rows: self.rows.iter().map(copy).collect(),
            by_key: self.by_key.clone(),
            by_trait: self.by_trait.clone(),
            hasher: self.hasher.clone(),
            mark: None,
            held: None,
        }
    }

    /// Changes each row in what is not its key, mark or not.
    pub(super) fn each_mut(&mut self, change: impl FnMut(&mut T)) {
        self.rows.iter_mut().for_each(change);
    }

    pub(crate) fn push(&mut self, row: T) -> Index<T> {
        let key = row.key();
        assert!(self.find(&key).is_none(), "decide lets no key be used twice");
        let is_first = row.distinctive().map(|own| self.find_first(own).is_none());
        let index = to_u32(self.rows.len());
        self.rows.push(row);
        let Table { rows, by_key, by_trait, hasher, .. } = self;
        let hash_of = |n: &u32| hasher.hash_one(rows[*n as usize].key());
        by_key.insert_unique(hasher.hash_one(key), index, hash_of);
        if is_first == Some(true) {
            let hash_of = |n: &u32| hasher.hash_one(rows[*n as usize].distinctive());
            by_trait.insert_unique(hash_of(&index), index, hash_of);
        }
        Index::new(index)
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("a ledger has fewer than 2^32 accounts and loans")
}

/// An ordered map.
#[derive(Debug, Clone)]
pub struct Register<K, V> {
    map: BTreeMap<K, V>,
    before: Option<Vec<(K, Option<V>)>>,
}

impl<K, V> Default for Register<K, V> {
    fn default() -> Self {
        Register { map: BTreeMap::new(), before: None }
    }
}

impl<K: Ord + Clone, V: Clone> Register<K, V> {
    /// The value of that key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.map.get(key)
    }
    /// Everything, in the order of the keys.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&K, &V)> {
        self.map.iter()
    }
    /// The first key and its value.
    pub fn first(&self) -> Option<(&K, &V)> {
        self.map.first_key_value()
    }
    /// Everything from that key on, in the order of the keys.
    pub(super) fn from(&self, key: K) -> impl Iterator<Item = (&K, &V)> {
        self.map.range(key..)
    }
    /// The first key from that one on, and its value.
    pub(super) fn at_or_after(&self, key: &K) -> Option<(&K, &V)> {
        self.map.range(key..).next()
    }
    /// How many keys there are.
    pub fn len(&self) -> usize {
        self.map.len()
    }
    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.map.is_empty()
    }

    pub(crate) fn insert(&mut self, key: K, value: V) {
        let old = self.map.insert(key.clone(), value);
        if let Some(before) = &mut self.before {
            before.push((key, old));
        }
    }
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        let old = self.map.remove(key);
        if let (Some(before), Some(old)) = (&mut self.before, &old) {
            before.push((key.clone(), Some(old.clone())));
        }
        old
    }
}

/// A collection that can be marked and rolled back.
pub(super) trait Recorded {
    fn mark(&mut self);
    fn keep(&mut self);
    fn roll_back(&mut self);
}

impl<T: Row + Clone> Recorded for Table<T> {
    fn mark(&mut self) {
        self.mark = Some(TableMark { length: self.rows.len(), before: HashMap::new() });
    }
    fn keep(&mut self) {
        self.mark = None;
    }
    fn roll_back(&mut self) {
        let Some(mark) = self.mark.take() else { return };
        for (n, row) in self.rows.drain(mark.length..).enumerate() {
            let number = to_u32(mark.length + n);
            let hash = self.hasher.hash_one(row.key());
            if let Ok(found) = self.by_key.find_entry(hash, |n| *n == number) {
                found.remove();
            }
            let hash = self.hasher.hash_one(row.distinctive());
            if let Ok(found) = self.by_trait.find_entry(hash, |n| *n == number) {
                found.remove();
            }
        }
        for (at, row) in mark.before {
            self.rows[at] = row;
        }
    }
}

impl<K: Ord + Clone, V: Clone> Recorded for Register<K, V> {
    fn mark(&mut self) {
        self.before = Some(Vec::new());
    }
    fn keep(&mut self) {
        self.before = None;
    }
    fn roll_back(&mut self) {
        for (key, old) in self.before.take().into_iter().flatten().rev() {
            match old {
                Some(value) => self.map.insert(key, value),
                None => self.map.remove(&key),
            };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, PartialEq)]
    struct Plot {
        number: u8,
        owner: Option<u8>,
        paid: u32,
    }

    impl Row for Plot {
        type Key = u8;
        type Trait = u8;
        type Paid = u32;
        fn key(&self) -> u8 {
            self.number
        }
        fn distinctive(&self) -> Option<&u8> {
            self.owner.as_ref()
        }
        fn paid(&self) -> u32 {
            self.paid
        }
        fn before(&self, paid: &u32) -> Plot {
            Plot { paid: *paid, ..self.clone() }
        }
    }

    fn plot(number: u8, owner: Option<u8>) -> Plot {
        Plot { number, owner, paid: 0 }
    }

    #[test]
    fn a_row_is_found_by_its_key_whatever_was_guessed() {
        let mut plots = Table::default();
        let [first, second] = [3, 4].map(|number| plots.push(plot(number, None)));
        for near in [None, Some(first), Some(second), Some(Index::new(9))] {
            assert_eq!(plots.find_near(&3, near), Some(first), "{near:?}");
            assert_eq!(plots.find_near(&4, near), Some(second), "{near:?}");
            assert_eq!(plots.find_near(&5, near), None, "{near:?}");
        }
    }

    #[test]
    fn the_first_row_with_a_trait_is_found_and_goes_with_what_is_rolled_back() {
        let mut plots = Table::default();
        let add = |plots: &mut Table<Plot>, owner| {
            let number = u8::try_from(plots.len()).unwrap();
            plots.push(plot(number, owner))
        };
        let of_7 = add(&mut plots, Some(7));
        add(&mut plots, None);
        add(&mut plots, Some(7));
        plots.mark();
        let of_8 = add(&mut plots, Some(8));
        add(&mut plots, Some(7));
        assert_eq!((plots.find_first(&7), plots.find_first(&8)), (Some(of_7), Some(of_8)));
        plots.roll_back();
        assert_eq!((plots.find_first(&7), plots.find_first(&8)), (Some(of_7), None));
        assert_eq!((plots.by_key.len(), plots.by_trait.len()), (3, 1));
    }

    #[test]
    fn what_is_held_is_told_as_it_was_and_kept_no_longer() {
        let mut plots = Table::default();
        for number in 0..4 {
            plots.push(plot(number, Some(number)));
        }
        let sell = |plots: &mut Table<Plot>, number, owner| {
            plots.get_mut(Index::new(number)).owner = owner;
        };
        let tell = |plots: &mut Table<Plot>, most| {
            let mut owners = Vec::new();
            for _ in 0..most {
                plots.tell(&mut |_, plot| owners.push(plot.owner));
            }
            owners
        };
        plots.hold();
        assert_eq!(plots.untold(), Some(4));
        sell(&mut plots, 1, None);
        sell(&mut plots, 1, Some(9));
        plots.push(plot(4, None));
        assert_eq!(tell(&mut plots, 2), [Some(0), Some(1)]);
        // What is told is not kept again; what is new was not held.
        for number in [0, 3, 4] {
            sell(&mut plots, number, Some(8));
        }
        let held = plots.held.as_ref().unwrap();
        assert_eq!(
            (held.kept.len(), held.free.len()),
            (1, 0),
            "the room of what is told is used again"
        );
        assert_eq!(tell(&mut plots, 3), [Some(2), Some(3)]);
        assert!(plots.held.is_none());

        plots.hold();
        sell(&mut plots, 0, None);
        plots.let_go();
        assert_eq!(tell(&mut plots, 9), []);
    }

    #[test]
    fn of_what_payments_change_little_is_kept_until_something_else_changes() {
        let mut plots = Table::default();
        for number in 0..3 {
            plots.push(plot(number, Some(number)));
        }
        plots.get_paid(Index::new(0)).paid = 5;
        plots.hold();
        for _ in 0..2 {
            plots.get_paid(Index::new(0)).paid += 1;
            plots.get_paid(Index::new(1)).paid += 1;
        }
        let is_small = |kept: &Kept<Plot>| matches!(kept, Kept::Paid(_));
        assert!(plots.held.as_ref().unwrap().kept.iter().all(is_small));
        for number in [1, 2] {
            plots.get_mut(Index::new(number)).owner = None;
            plots.get_paid(Index::new(number)).paid += 1;
        }
        let mut told = Vec::new();
        while plots.tell(&mut |_, plot| told.push((plot.owner, plot.paid))) {}
        assert_eq!(told, [(Some(0), 5), (Some(1), 0), (Some(2), 0)]);
    }
}
