//! Single records, each with the proof that it is in the log.

use bergulir_chain::merkle::Subtree;
use bergulir_chain::proof::LogProof;
use bergulir_chain::{Hash, Position};

use super::ExportError;
use super::folder::NewFolder;
use super::picked::Picked;
use super::source::Source;
use crate::bundle::{RECORDS, record_file};

/// The records, and the hashes that their proofs need, taken while the log passes by.
pub(super) struct Proven<'w> {
    /// Their positions, ascending.
    wanted: &'w [u64],
    records: Vec<Vec<u8>>,
    picked: Picked,
}

impl<'w> Proven<'w> {
    pub(super) fn plan(size: u64, wanted: &'w [u64]) -> Result<Proven<'w>, ExportError> {
        let mut picked = Picked::new(size);
        for position in wanted {
            picked.want_inclusion(*position)?;
        }
        Ok(Proven { wanted, records: Vec::new(), picked })
    }

    /// Keeps a record if it is wanted.
    pub(super) fn record(&mut self, position: u64, bytes: &[u8]) {
        if self.wanted.get(self.records.len()) == Some(&position) {
            self.records.push(bytes.to_vec());
        }
    }

    /// Takes a hash of the tree if it is needed.
    pub(super) fn see(&mut self, subtree: Subtree, hash: Hash) {
        self.picked.see(subtree, hash);
    }

    /// The proof of one of them.
    pub(super) fn proof(
        &mut self,
        source: &Source<'_>,
        place: usize,
    ) -> Result<LogProof, ExportError> {
        let (Some(position), Some(record)) = (self.wanted.get(place), self.records.get(place))
        else {
            return Err(ExportError::log(source.checkpoint.size.get(), &"a record is missing"));
        };
        Ok(LogProof {
            extra: Some(record.clone()),
            position: Position::new(*position),
            path: self.picked.inclusion(*position)?,
            checkpoint: source.note.clone(),
        })
    }

    /// Writes them all.
    pub(super) fn write(
        mut self,
        source: &Source<'_>,
        folder: &NewFolder,
    ) -> Result<(), ExportError> {
        if self.wanted.is_empty() {
            return Ok(());
        }
        folder.folder(RECORDS)?;
        for place in 0..self.wanted.len() {
            let proof = self.proof(source, place)?;
            let name = record_file(proof.position);
            folder.write(&name, proof.to_string().as_bytes())?;
        }
        Ok(())
    }
}
