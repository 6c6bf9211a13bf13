//! Passing a whole log by for what a bundle proves of it.

use bergulir_chain::Hash;
use bergulir_chain::merkle::{Prefixes, Tree};

use super::ExportError;
use super::extension::Extension;
use super::log::agree;
use super::proven::Proven;
use super::source::Source;
use super::walk::walk;
use crate::Stage;

/// Gives the hash of a record by its position and bytes, and does with it what there is to do.
pub(super) type HashRecord<'a> = dyn FnMut(u64, &[u8]) -> Result<Hash, ExportError> + 'a;

/// Lets every record pass, keeps what the proofs need, and compares the root with the checkpoint's.
pub(super) fn pass(
    source: &Source<'_>,
    proven: &mut Proven<'_>,
    extension: &mut Extension,
    progress: &mut dyn FnMut(Stage, u64),
    hash: &mut HashRecord<'_>,
) -> Result<(), ExportError> {
    let mut tree = Tree::new(Prefixes::RFC_6962);
    walk(source, source.checkpoint.size.get(), &mut |position, bytes| {
        let record = hash(position, bytes)?;
        proven.record(position, bytes);
        tree.push_hash_with(record, |subtree, hash| {
            extension.see(subtree, hash);
            proven.see(subtree, hash);
        });
        extension.grown(bytes, &tree)?;
        progress(Stage::Export, position + 1);
        Ok(())
    })?;
    agree(&tree, &source.checkpoint)
}
