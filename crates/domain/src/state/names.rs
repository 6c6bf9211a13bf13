//! What many rows hold, such as the names of people: each is in memory once.

use crate::id::PrincipalId;
use crate::terms::LoanTerms;
use alloc::sync::Arc;
use core::fmt;
use core::hash::{BuildHasher, Hash};
use hashbrown::{DefaultHashBuilder, HashTable};

/// A principal or an officer as a row holds it: at the cost of a pointer. A few officers of the
/// fund stand in every loan, and those of a cooperative in each of its own.
pub type SharedName = Arc<PrincipalId>;

/// How a loan was approved. Few people approve loans, under few terms: rows share it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Approval {
    /// Who approved it.
    pub checker: PrincipalId,
    /// The terms of the day on which it was approved.
    pub terms: LoanTerms,
}

/// Every value that rows hold, and maybe some that none holds any more. Nothing can see which.
#[derive(Clone)]
pub(super) struct Common<T> {
    all: HashTable<Arc<T>>,
    hasher: DefaultHashBuilder,
}

impl<T> Default for Common<T> {
    fn default() -> Self {
        Common { all: HashTable::new(), hasher: DefaultHashBuilder::default() }
    }
}

impl<T> fmt::Debug for Common<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common").finish_non_exhaustive()
    }
}

impl<T: Hash + Eq> Common<T> {
    /// The one that all rows share of a value.
    pub(super) fn share(&mut self, value: T) -> Arc<T> {
        let Common { all, hasher } = self;
        let hash = hasher.hash_one(&value);
        if let Some(shared) = all.find(hash, |shared| **shared == value) {
            return Arc::clone(shared);
        }
        let hash_of = |shared: &Arc<T>| hasher.hash_one(&**shared);
        if all.len() == all.capacity() {
            // Before it grows: those of former officers, and of batches that were refused, go. If
            // few went it grows all the same, so that the next look at all of them is far away.
            all.retain(|shared| Arc::strong_count(shared) > 1);
            if all.len() > all.capacity() / 2 {
                all.reserve(all.len(), hash_of);
            }
        }
        let shared = Arc::new(value);
        all.insert_unique(hash, Arc::clone(&shared), hash_of);
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;
    use alloc::vec::Vec;

    fn name(number: usize) -> PrincipalId {
        PrincipalId::new(&format!("officer.{number}")).unwrap()
    }

    #[test]
    fn a_name_is_there_once_however_many_hold_it() {
        let mut names = Common::default();
        let held: Vec<SharedName> = (0..300).map(|n| names.share(name(n % 100))).collect();
        assert_eq!(names.all.len(), 100);
        for (n, shared) in held.iter().enumerate() {
            assert_eq!(**shared, name(n % 100));
            assert!(SharedName::ptr_eq(shared, &held[n % 100]));
        }
    }

    #[test]
    fn names_that_nobody_holds_do_not_add_up() {
        let mut names = Common::default();
        let held = names.share(name(0));
        for n in 1..10_000 {
            names.share(name(n));
        }
        assert!(names.all.capacity() < 10, "{}", names.all.capacity());
        assert!(SharedName::ptr_eq(&held, &names.share(name(0))));
    }
}
