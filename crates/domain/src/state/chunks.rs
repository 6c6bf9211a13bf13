//! Bytes that only grow at their end, in pieces of one size.

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Bytes to which more are added, a few at a time.
///
/// A ledger has a list of them for each loan, and all grow in step. As a `Vec` each would move to a
/// larger place from time to time, and leave one behind that no other list asks for any more: in all
/// they took two thirds more memory than they had bytes. Chunks of one size stay where they are.
#[derive(Default)]
pub(super) struct Chunks {
    /// The newest, which is never empty; all before it are full.
    newest: Option<Box<Chunk>>,
    length: usize,
}

/// A line of the processor's cache.
#[repr(align(64))]
struct Chunk {
    before: Option<Box<Chunk>>,
    bytes: [u8; CHUNK],
}

/// The bytes of one chunk.
const CHUNK: usize = 56;

impl Chunks {
    /// No bytes.
    pub(super) const NONE: Chunks = Chunks { newest: None, length: 0 };

    /// How many bytes there are.
    pub(super) const fn len(&self) -> usize {
        self.length
    }

    /// Whether there is none.
    pub(super) const fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The last byte.
    pub(super) fn last(&self) -> Option<u8> {
        self.newest.as_ref().map(|chunk| chunk.bytes[(self.length - 1) % CHUNK])
    }

    /// Adds bytes at the end.
    pub(super) fn append(&mut self, mut more: &[u8]) {
        while !more.is_empty() {
            let filled = self.length % CHUNK;
            let (now, later) = more.split_at(more.len().min(CHUNK - filled));
            match &mut self.newest {
                Some(newest) if filled > 0 => {
                    newest.bytes[filled..filled + now.len()].copy_from_slice(now);
                }
                newest => {
                    let mut bytes = [0; CHUNK];
                    bytes[..now.len()].copy_from_slice(now);
                    *newest = Some(Box::new(Chunk { before: newest.take(), bytes }));
                }
            }
            self.length += now.len();
            more = later;
        }
    }

    /// Leaves the first bytes, so many of them at most.
    pub(super) fn truncate(&mut self, length: usize) {
        while self.length > length {
            let begins = (self.length - 1) / CHUNK * CHUNK;
            self.length = begins.max(length);
            if begins >= length {
                self.newest = self.newest.take().and_then(|newest| newest.before);
            }
        }
    }

    /// All of them in one place.
    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut all = vec![0; self.length];
        let mut newest = &self.newest;
        for part in all.chunks_mut(CHUNK).rev() {
            if let Some(chunk) = newest {
                part.copy_from_slice(&chunk.bytes[..part.len()]);
                newest = &chunk.before;
            }
        }
        all
    }
}

/// One by one: a list may have more chunks than the stack has room for calls.
impl Drop for Chunks {
    fn drop(&mut self) {
        while let Some(newest) = self.newest.take() {
            self.newest = newest.before;
        }
    }
}

impl Clone for Chunks {
    fn clone(&self) -> Chunks {
        let mut chunks = Chunks::NONE;
        chunks.append(&self.to_vec());
        chunks
    }
}

impl PartialEq for Chunks {
    fn eq(&self, other: &Chunks) -> bool {
        self.length == other.length && self.to_vec() == other.to_vec()
    }
}

impl Eq for Chunks {}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// As in a plain list, whatever is added and cut off.
        #[test]
        fn what_was_added_is_there_until_it_is_cut_off(
            steps in prop::collection::vec(
                (prop::collection::vec(any::<u8>(), 0..2 * CHUNK + 2), 0..4 * CHUNK),
                0..20,
            ),
        ) {
            let (mut chunks, mut plain) = (Chunks::NONE, Vec::new());
            for (more, length) in steps {
                for whole in [true, false] {
                    if whole {
                        chunks.append(&more);
                        plain.extend_from_slice(&more);
                    } else {
                        chunks.truncate(length);
                        plain.truncate(length);
                    }
                    prop_assert_eq!(chunks.to_vec(), plain.clone());
                    prop_assert_eq!(chunks.len(), plain.len());
                    prop_assert_eq!(chunks.is_empty(), plain.is_empty());
                    prop_assert_eq!(chunks.last(), plain.last().copied());
                    prop_assert_eq!(chunks.clone().to_vec(), plain.clone());
                    prop_assert!(chunks == chunks.clone());
                    let mut more = chunks.clone();
                    more.append(&[0]);
                    prop_assert!(chunks != more);
                    more.truncate(plain.len());
                    prop_assert!(chunks == more);
                }
            }
        }
    }

    #[test]
    fn a_chunk_is_a_line_of_the_cache() {
        assert_eq!((size_of::<Chunk>(), align_of::<Chunk>()), (64, 64));
    }

    #[test]
    fn a_list_may_be_as_long_as_memory_allows() {
        let mut chunks = Chunks::NONE;
        chunks.append(&vec![7; 500_000 * CHUNK]);
        let mut copy = chunks.clone();
        assert_eq!(copy.to_vec().len(), 500_000 * CHUNK);
        copy.truncate(1);
        assert!(chunks != copy);
    }
}
