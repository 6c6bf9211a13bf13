//! The grants that are in force. They change while the server runs, and each call is answered by those
//! that are there when it comes.

use super::roles::{Granted, Grants};
use bergulir_domain::PrincipalId;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// Who may do what now.
#[derive(Debug)]
pub(crate) struct Rights {
    /// `None` as long as nothing was ever said about that.
    grants: RwLock<Option<Arc<Grants>>>,
    /// How often that changed.
    changes: AtomicU64,
}

impl Rights {
    pub(crate) fn new(grants: Option<Grants>) -> Rights {
        Rights { grants: RwLock::new(grants.map(Arc::new)), changes: AtomicU64::new(0) }
    }

    fn get(&self) -> Option<Arc<Grants>> {
        self.grants.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it was ever said who may do what.
    pub(crate) fn are_set(&self) -> bool {
        self.grants.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What somebody may do; `None`: nothing.
    pub(crate) fn of(&self, principal: PrincipalId) -> Option<Arc<Granted>> {
        self.get()?.of(principal)
    }

    /// How often something changed.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Puts other grants in force, and says whose rights changed. Without any, nobody may do anything,
    /// if there were some before: a file that lost its grants must not open a server to everybody.
    pub(crate) fn set(&self, grants: Option<Grants>) -> Vec<PrincipalId> {
        let mut held = self.grants.write().unwrap_or_else(PoisonError::into_inner);
        let Some(grants) = grants.or_else(|| held.is_some().then(Grants::default)) else {
            return Vec::new();
        };
        let before = held.as_deref().cloned().unwrap_or_default();
        let first = held.is_none();
        let changed = before.other_than(&grants);
        if first || !changed.is_empty() {
            *held = Some(Arc::new(grants));
            self.changes.fetch_add(1, Ordering::Release);
        }
        changed
    }
}

#[cfg(test)]
mod tests {
    use super::super::roles::tests::grant;
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "there may be none at all")]
    fn some(all: &[(&str, &str)]) -> Option<Grants> {
        Some(Grants::new(all.iter().map(|(who, text)| grant(who, text))).unwrap())
    }

    fn names(changed: &[PrincipalId]) -> Vec<&str> {
        changed.iter().map(PrincipalId::as_str).collect()
    }

    #[test]
    fn what_changes_is_known_and_takes_effect() {
        let rights = Rights::new(some(&[("a", "maker @ kab"), ("b", "auditor @ *")]));
        let who = |name| PrincipalId::new(name).unwrap();
        let next = [("a", "maker @ kab : dana"), ("b", "auditor @ *"), ("c", "checker @ kab")];
        assert_eq!(names(&rights.set(some(&next))), ["a", "c"]);
        assert_eq!(rights.changes(), 1);
        assert!(rights.of(who("c")).is_some());
        assert_eq!(rights.set(some(&next)), []);
        assert_eq!(rights.changes(), 1, "what is the same changes nothing");
        assert_eq!(names(&rights.set(some(&next[2..]))), ["a", "b"]);
        assert!(rights.of(who("a")).is_none());
    }

    #[test]
    fn grants_that_are_gone_open_nothing_and_the_first_ones_close_what_was_open() {
        let rights = Rights::new(None);
        assert_eq!(rights.set(None), []);
        assert!(!rights.are_set());
        assert_eq!(names(&rights.set(some(&[("a", "maker @ kab")]))), ["a"]);
        assert!(rights.are_set());
        assert_eq!(names(&rights.set(None)), ["a"]);
        assert!(rights.are_set());
        assert!(rights.of(PrincipalId::new("a").unwrap()).is_none());
        let empty = Rights::new(None);
        assert_eq!(empty.set(some(&[])), []);
        assert!(empty.are_set(), "an empty list grants nothing to anybody");
    }
}
