//! Checking frames one after another: their sums, the chain, whole batches, the tree.

use std::collections::BTreeMap;

use bergulir_chain::merkle::{Prefixes, Tree, TreeHead};
use bergulir_chain::{ChainCursor, Frame, Hash, LogSize, Timestamp};

use super::manifest::Manifest;
use crate::log::Head;

/// Where a walk over the frames of a log stands, and the roots that it is to remember on the way.
#[derive(Clone, Debug)]
pub(super) struct Check {
    cursor: ChainCursor,
    tree: Tree,
    recorded_at: Timestamp,
    /// The roots at some sizes, once the tree has come there.
    roots: BTreeMap<u64, Option<Hash>>,
}

impl Check {
    /// Before the first record.
    pub(super) fn from_the_start() -> Check {
        Check {
            cursor: ChainCursor::origin(),
            tree: Tree::new(Prefixes::RFC_6962),
            recorded_at: Timestamp::MIN,
            roots: BTreeMap::new(),
        }
    }

    /// Where a manifest ends.
    pub(super) fn after(manifest: &Manifest) -> Check {
        let Head { size, hash } = manifest.head;
        Check {
            cursor: ChainCursor::resume(size.next_position(), hash),
            tree: manifest.tree().expect("it was checked when the manifest was read"),
            recorded_at: manifest.recorded_at,
            roots: BTreeMap::new(),
        }
    }

    pub(super) fn head(&self) -> Head {
        Head { size: LogSize::new(self.tree.size()), hash: self.cursor.previous() }
    }

    pub(super) fn recorded_at(&self) -> Timestamp {
        self.recorded_at
    }

    pub(super) fn subtrees(&self) -> &[Hash] {
        self.tree.subtrees()
    }

    /// Has the root over so many records remembered, which must not be passed yet.
    pub(super) fn watch(&mut self, size: LogSize) {
        let here = self.tree.size() == size.get();
        self.roots.insert(size.get(), here.then(|| self.tree.root()));
    }

    /// The root over so many records, if it was to be remembered and the walk has come there.
    pub(super) fn root(&self, size: LogSize) -> Option<Hash> {
        self.roots.get(&size.get()).copied().flatten()
    }

    /// The size and the root here.
    pub(super) fn tree_head(&self) -> TreeHead {
        self.tree.head()
    }

    /// Takes in the next frame, or says what is wrong with it; then it stays where it was.
    pub(super) fn take(&mut self, frame: &Frame<'_>) -> Result<(), String> {
        let mut cursor = self.cursor;
        let mut hashes = Vec::with_capacity(frame.header().records as usize);
        let mut recorded_at = self.recorded_at;
        for bytes in frame.records() {
            let (record, hash) = cursor.check(bytes).map_err(|error| error.fault.to_string())?;
            if record.recorded_at < recorded_at {
                return Err(format!(
                    "recorded at {}, but the record before it at {recorded_at}: time ran backwards",
                    record.recorded_at
                ));
            }
            recorded_at = record.recorded_at;
            hashes.push(hash);
        }
        cursor.ends_batch().map_err(|error| error.fault.to_string())?;
        for hash in hashes {
            self.tree.push_hash(hash);
            if let Some(root) = self.roots.get_mut(&self.tree.size()) {
                *root = Some(self.tree.root());
            }
        }
        (self.cursor, self.recorded_at) = (cursor, recorded_at);
        Ok(())
    }
}
