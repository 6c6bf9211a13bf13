//! The index of a ledger, as those who read use it: it is there until it is closed, so that it can
//! be opened again.

use bergulir_store::index::Index;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// How often it is looked whether the last reader has let go of an index that is to be closed.
const READER_PAUSE: Duration = Duration::from_millis(1);

/// The index, until it is closed.
pub(crate) struct SharedIndex(RwLock<Option<Arc<Index>>>);

impl SharedIndex {
    pub(crate) fn new(index: Arc<Index>) -> SharedIndex {
        SharedIndex(RwLock::new(Some(index)))
    }

    /// For one read; `None` once it is closed.
    pub(crate) fn get(&self) -> Option<Arc<Index>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Closes it once the reads that have begun are done; its files are free then. False if
    /// `give_up` said so before: then it is closed by the last who reads.
    ///
    /// The threads of the ledger must have ended.
    pub(crate) fn close(&self, give_up: &dyn Fn() -> bool) -> bool {
        let taken = self.0.write().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut index) = taken else { return true };
        while let Err(read) = Arc::try_unwrap(index) {
            if give_up() {
                return false;
            }
            index = read;
            std::thread::sleep(READER_PAUSE);
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_chain::Hash;
    use bergulir_store::index::IndexOptions;

    #[test]
    fn an_index_is_closed_when_the_last_read_is_done_and_can_be_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Index::open(folder.path(), &IndexOptions::new(Hash::ZERO));
        let shared = SharedIndex::new(Arc::new(open().unwrap().index));
        let read = shared.get().unwrap();
        assert!(!shared.close(&|| true));
        assert!(shared.get().is_none());
        drop(read);
        let shared = SharedIndex::new(Arc::new(open().unwrap().index));
        assert!(shared.close(&|| false));
        assert!(shared.close(&|| false), "a second time does nothing");
        open().unwrap();
    }
}
