//! The proof that a log only grew since an older checkpoint.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::Subtree;
use bergulir_chain::note::Note;
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{Hash, LogSize};

use super::ExportError;
use super::folder::NewFolder;
use super::picked::Picked;
use crate::bundle::EXTENSION;

/// The proof, while the tree grows that it needs hashes of; or none, if none was asked for.
#[derive(Debug)]
pub(super) struct Extension {
    old: Option<LogSize>,
    picked: Picked,
}

impl Extension {
    pub(super) fn plan(
        checkpoint: &Checkpoint,
        since: Option<&Note>,
    ) -> Result<Extension, ExportError> {
        let mut picked = Picked::new(checkpoint.size.get());
        let Some(since) = since else {
            return Ok(Extension { old: None, picked });
        };
        let since = Checkpoint::parse_unverified(since.text())?;
        if since.origin != checkpoint.origin {
            let (expected, found) = (checkpoint.origin.to_string(), since.origin.to_string());
            return Err(ExportError::OtherLog { expected, found });
        }
        if since.size > checkpoint.size {
            let (old, new) = (since.size, checkpoint.size);
            return Err(ExportError::Shrank { old, new });
        }
        picked.want_consistency(since.size.get())?;
        Ok(Extension { old: Some(since.size), picked })
    }

    pub(super) fn see(&mut self, subtree: Subtree, hash: Hash) {
        self.picked.see(subtree, hash);
    }

    /// Writes it into a bundle of that checkpoint.
    pub(super) fn write(mut self, folder: &NewFolder, note: &Note) -> Result<(), ExportError> {
        let Some(old) = self.old else {
            return Ok(());
        };
        let proof = self.picked.consistency(old.get())?;
        let request = AddCheckpoint { old, proof, checkpoint: note.clone() };
        folder.write(EXTENSION, request.to_string().as_bytes())
    }
}
