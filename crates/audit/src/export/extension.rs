//! The proofs that a log only grew since older checkpoints.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Subtree, Tree};
use bergulir_chain::note::{Note, VerifierKey};
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{Hash, LogSize, Position, Record};
use bergulir_domain::Event;
use bergulir_domain::ledger::Origin;
use bergulir_proto::{decode_event, names_the_log};

use super::ExportError;
use super::folder::NewFolder;
use super::picked::Picked;
use crate::SignatureFault;
use crate::bundle::{EXTENSION, WITNESSED, WITNESSED_EXTENSION};

/// The proofs, while the tree grows that they need hashes of; or none, if none was asked for.
#[derive(Debug)]
pub(super) struct Extension {
    olds: Vec<Old>,
    /// The origin that the records name last.
    origin: Option<Origin>,
    /// The key that they name last.
    key: Option<(Position, String)>,
    picked: Picked,
}

/// An older checkpoint, which the log must stand behind.
#[derive(Debug)]
struct Old {
    which: Which,
    note: Note,
    checkpoint: Checkpoint,
}

/// Whose checkpoint it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The auditor kept it.
    Since,
    /// Witnesses stand for it, and the bundle has it.
    Witnessed,
}

impl Extension {
    /// From the checkpoint that the auditor kept, and from the one that witnesses stand for, of
    /// fewer records than this one.
    pub(super) fn plan(
        checkpoint: &Checkpoint,
        since: Option<&Note>,
        witnessed: Option<&Note>,
    ) -> Result<Extension, ExportError> {
        let picked = Picked::new(checkpoint.size.get());
        let mut extension = Extension { olds: Vec::new(), origin: None, key: None, picked };
        for (which, note) in [(Which::Since, since), (Which::Witnessed, witnessed)] {
            if let Some(note) = note {
                extension.want(which, note, checkpoint).map_err(|error| which.error(error))?;
            }
        }
        Ok(extension)
    }

    fn want(&mut self, which: Which, note: &Note, newest: &Checkpoint) -> Result<(), ExportError> {
        let checkpoint = Checkpoint::parse_unverified(note.text())?;
        if checkpoint.size > newest.size {
            let (old, new) = (checkpoint.size, newest.size);
            return Err(ExportError::Shrank { old, new });
        }
        if checkpoint.size.is_empty() {
            return Err(not_signed(&checkpoint, SignatureFault::NoKey));
        }
        self.picked.want_consistency(checkpoint.size.get())?;
        self.olds.push(Old { which, note: note.clone(), checkpoint });
        Ok(())
    }

    /// How many records witnesses stand for, if they stand for fewer than all.
    pub(super) fn witnessed(&self) -> Option<LogSize> {
        let witnessed = self.olds.iter().find(|old| old.which == Which::Witnessed);
        witnessed.map(|old| old.checkpoint.size)
    }

    pub(super) fn see(&mut self, subtree: Subtree, hash: Hash) {
        self.picked.see(subtree, hash);
    }

    /// Takes in the record with which the tree has just grown: those up to an older checkpoint
    /// say whose signature it must have, and give its root.
    pub(super) fn grown(&mut self, record: &[u8], tree: &Tree) -> Result<(), ExportError> {
        let size = tree.size();
        if self.olds.iter().all(|old| old.checkpoint.size.get() < size) {
            return Ok(());
        }
        let bad = |error: &dyn std::fmt::Display| ExportError::log(size - 1, error);
        let record = Record::parse(record).map_err(|error| bad(&error))?;
        if names_the_log(record.event) {
            let named = match decode_event(record.event).map_err(|error| bad(&error))? {
                Event::LedgerOpened(opened) => {
                    self.origin = Some(opened.origin);
                    opened.verifier_key
                }
                Event::LedgerContinued(continued) => {
                    self.origin = Some(continued.origin);
                    Some(continued.verifier_key)
                }
                Event::KeyRotated(rotated) => Some(rotated.verifier_key),
                _ => None,
            };
            if let Some(key) = named {
                self.key = Some((record.position, key.as_str().to_owned()));
            }
        }
        let due = self.olds.iter().filter(|old| old.checkpoint.size.get() == size);
        due.map(|old| (old.which, self.check(old, tree)))
            .try_for_each(|(which, checked)| checked.map_err(|error| which.error(error)))
    }

    /// Whether the log signed it, and is what it says.
    fn check(&self, old: &Old, tree: &Tree) -> Result<(), ExportError> {
        let Old { note, checkpoint, .. } = old;
        let then = self.origin.as_ref().map_or("", Origin::as_str);
        if then != checkpoint.origin.as_str() {
            // Of another log; or of an origin that this one has not had with so many records.
            let (expected, found) = (then.to_owned(), checkpoint.origin.to_string());
            return Err(ExportError::OtherLog { expected, found });
        }
        let signed = || {
            let (position, named) = self.key.as_ref().ok_or(SignatureFault::NoKey)?;
            let (position, named) = (*position, named.clone());
            let key: VerifierKey = named
                .parse()
                .map_err(|_| SignatureFault::UnusableKey { position, named: named.clone() })?;
            Checkpoint::open(note, &checkpoint.origin, [&key])?;
            Ok(())
        };
        signed().map_err(|fault| not_signed(checkpoint, fault))?;
        if tree.root() == checkpoint.root {
            return Ok(());
        }
        let (size, stated, found) = (checkpoint.size, checkpoint.root, tree.root());
        Err(ExportError::Rewritten { size, stated, found })
    }

    /// Writes them into a bundle of that checkpoint.
    pub(super) fn write(mut self, folder: &NewFolder, note: &Note) -> Result<(), ExportError> {
        for Old { which, note: older, checkpoint } in self.olds {
            let old = checkpoint.size;
            let proof = self.picked.consistency(old.get())?;
            let request = AddCheckpoint { old, proof, checkpoint: note.clone() };
            let file = match which {
                Which::Since => EXTENSION,
                Which::Witnessed => {
                    folder.write(WITNESSED, older.to_string().as_bytes())?;
                    WITNESSED_EXTENSION
                }
            };
            folder.write(file, request.to_string().as_bytes())?;
        }
        Ok(())
    }
}

impl Which {
    fn error(self, error: ExportError) -> ExportError {
        match self {
            Which::Since => error,
            Which::Witnessed => ExportError::Witnessed(Box::new(error)),
        }
    }
}

fn not_signed(older: &Checkpoint, fault: SignatureFault) -> ExportError {
    ExportError::SinceNotSigned { size: older.size, fault: Box::new(fault) }
}
