//! The names of people that many rows hold: each is in memory once.

use crate::id::PrincipalId;
use alloc::sync::Arc;
use core::fmt;
use core::hash::BuildHasher;
use hashbrown::{DefaultHashBuilder, HashTable};

/// A principal or an officer as a row holds it: at the cost of a pointer. A few officers of the
/// fund stand in every loan, and those of a cooperative in each of its own.
pub type SharedName = Arc<PrincipalId>;

/// Every name that rows hold, and maybe some that none holds any more. Nothing can see which.
#[derive(Clone, Default)]
pub(super) struct Names {
    all: HashTable<SharedName>,
    hasher: DefaultHashBuilder,
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}

impl Names {
    /// The one that all rows share of a name.
    pub(super) fn share(&mut self, name: PrincipalId) -> SharedName {
        let Names { all, hasher } = self;
        let hash = hasher.hash_one(name);
        if let Some(shared) = all.find(hash, |shared| **shared == name) {
            return SharedName::clone(shared);
        }
        let hash_of = |shared: &SharedName| hasher.hash_one(**shared);
        if all.len() == all.capacity() {
            // Before it grows: those of former officers, and of batches that were refused, go. If
            // few went it grows all the same, so that the next look at all of them is far away.
            all.retain(|shared| SharedName::strong_count(shared) > 1);
            if all.len() > all.capacity() / 2 {
                all.reserve(all.len(), hash_of);
            }
        }
        let shared = SharedName::new(name);
        all.insert_unique(hash, SharedName::clone(&shared), hash_of);
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
        let mut names = Names::default();
        let held: Vec<SharedName> = (0..300).map(|n| names.share(name(n % 100))).collect();
        assert_eq!(names.all.len(), 100);
        for (n, shared) in held.iter().enumerate() {
            assert_eq!(**shared, name(n % 100));
            assert!(SharedName::ptr_eq(shared, &held[n % 100]));
        }
    }

    #[test]
    fn names_that_nobody_holds_do_not_add_up() {
        let mut names = Names::default();
        let held = names.share(name(0));
        for n in 1..10_000 {
            names.share(name(n));
        }
        assert!(names.all.capacity() < 10, "{}", names.all.capacity());
        assert!(SharedName::ptr_eq(&held, &names.share(name(0))));
    }
}
