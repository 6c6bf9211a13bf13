//! What few rows have.

use alloc::boxed::Box;

/// Something that most rows have nothing of, which is its default: then it takes a pointer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rare<T>(Option<Box<T>>);

impl<T> Default for Rare<T> {
    fn default() -> Self {
        Rare(None)
    }
}

impl<T: Default + PartialEq> Rare<T> {
    /// What it is, if it is not the default.
    #[inline]
    pub(super) fn get(&self) -> Option<&T> {
        self.0.as_deref()
    }

    /// Changes it. Out of line: it is done rarely.
    #[inline(never)]
    pub(super) fn change(&mut self, change: impl FnOnce(&mut T)) {
        if let Some(kept) = &mut self.0 {
            change(kept);
            if **kept == T::default() {
                self.0 = None;
            }
        } else {
            let mut new = T::default();
            change(&mut new);
            self.0 = (new != T::default()).then(|| Box::new(new));
        }
    }
}
