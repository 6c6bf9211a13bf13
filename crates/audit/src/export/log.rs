//! A bundle with every record.

use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::note::Note;
use bergulir_chain::{Hash, LogSize, Position};

use super::extension::Extension;
use super::folder::NewFolder;
use super::segments::Segments;
use super::source::in_order;
use super::{ExportError, Exported};
use crate::bundle::{CHECKPOINT, Kind, LOG, MANIFEST, Manifest};

/// Writes a bundle of the kind `log` from records that come in one by one, from wherever they are.
/// They are checked against the chain and, at the end, against the checkpoint.
#[derive(Debug)]
pub struct BundleWriter {
    folder: NewFolder,
    segments: Segments,
    tree: Tree,
    extension: Extension,
    note: Note,
    checkpoint: Checkpoint,
    /// How many records witnesses stand for, if it is fewer.
    witnessed: Option<LogSize>,
}

impl BundleWriter {
    /// Begins a bundle at a path where nothing is yet: of the records that the newer covers of the
    /// log's newest checkpoint and the newest one that witnesses stand for, with the other if it is
    /// of fewer records; and with the proof that they go on from an older one if that is given.
    ///
    /// # Errors
    /// If something is there, a note is no checkpoint, the two are of as many records and not the
    /// same, or the older one is of more.
    pub fn create(
        out: &Path,
        newest: &Note,
        witnessed: Option<&Note>,
        since: Option<&Note>,
    ) -> Result<BundleWriter, ExportError> {
        let (note, witnessed) = in_order(newest.clone(), witnessed.cloned())?;
        let checkpoint = Checkpoint::parse_unverified(note.text())?;
        let extension = Extension::plan(&checkpoint, since, witnessed.as_ref())?;
        let witnessed = extension.witnessed();
        let folder = NewFolder::create(out)?;
        let segments = Segments::new(folder.folder(LOG)?, Position::ZERO, Hash::ZERO);
        let tree = Tree::new(Prefixes::RFC_6962);
        Ok(BundleWriter { folder, segments, tree, extension, note, checkpoint, witnessed })
    }

    /// The position of the next record.
    pub fn next(&self) -> Position {
        self.segments.next()
    }

    /// How many records the bundle will have.
    pub fn size(&self) -> u64 {
        self.checkpoint.size.get()
    }

    /// Whether all the records are there that the checkpoint covers.
    pub fn is_whole(&self) -> bool {
        self.tree.size() >= self.size()
    }

    /// Takes in the next record.
    ///
    /// # Errors
    /// If it is not the next one of the chain, the older checkpoint is not the log's, or it cannot
    /// be written.
    pub fn push(&mut self, record: &[u8]) -> Result<(), ExportError> {
        let hash = self.segments.push(record)?;
        let extension = &mut self.extension;
        self.tree.push_hash_with(hash, |subtree, hash| extension.see(subtree, hash));
        extension.grown(record, &self.tree)
    }

    /// Ends the bundle and gives it its name.
    ///
    /// # Errors
    /// If the records are not those of the checkpoint, or cannot be written.
    pub fn finish(self) -> Result<Exported, ExportError> {
        let BundleWriter { folder, segments, tree, extension, note, checkpoint, witnessed } = self;
        agree(&tree, &checkpoint)?;
        segments.finish()?;
        extension.write(&folder, &note)?;
        finish(folder, Kind::Log, &note, &checkpoint, witnessed)
    }
}

/// Whether a tree is that of a checkpoint.
pub(super) fn agree(tree: &Tree, checkpoint: &Checkpoint) -> Result<(), ExportError> {
    if tree.head() == checkpoint.head() {
        return Ok(());
    }
    let (found, stated) = (tree.head(), checkpoint.head());
    Err(ExportError::Disagree { found, stated })
}

/// Writes what is in every bundle, and gives it its name.
pub(super) fn finish(
    folder: NewFolder,
    kind: Kind,
    note: &Note,
    checkpoint: &Checkpoint,
    witnessed: Option<LogSize>,
) -> Result<Exported, ExportError> {
    let Checkpoint { origin, size, .. } = checkpoint.clone();
    folder.write(CHECKPOINT, note.to_string().as_bytes())?;
    let manifest = Manifest { kind, origin, size, witnessed };
    folder.write(MANIFEST, manifest.to_string().as_bytes())?;
    let path = folder.finish()?;
    let origin = manifest.origin.to_string();
    Ok(Exported { path, kind: Some(kind), origin, size })
}
