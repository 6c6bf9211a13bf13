//! The proof that a log only grew since an older checkpoint.

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Subtree, Tree};
use bergulir_chain::note::{Note, VerifierKey};
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{Hash, Position, Record};
use bergulir_domain::Event;
use bergulir_domain::ledger::Origin;
use bergulir_proto::{decode_event, names_the_log};

use super::ExportError;
use super::folder::NewFolder;
use super::picked::Picked;
use crate::SignatureFault;
use crate::bundle::EXTENSION;

/// The proof, while the tree grows that it needs hashes of; or none, if none was asked for.
#[derive(Debug)]
pub(super) struct Extension {
    old: Option<Old>,
    picked: Picked,
}

/// The older checkpoint, which the log must stand behind.
#[derive(Debug)]
struct Old {
    note: Note,
    checkpoint: Checkpoint,
    /// The origin that the records name last.
    origin: Option<Origin>,
    /// The key that they name last.
    key: Option<(Position, String)>,
}

impl Extension {
    pub(super) fn plan(
        checkpoint: &Checkpoint,
        since: Option<&Note>,
    ) -> Result<Extension, ExportError> {
        let mut picked = Picked::new(checkpoint.size.get());
        let Some(note) = since else {
            return Ok(Extension { old: None, picked });
        };
        let older = Checkpoint::parse_unverified(note.text())?;
        if older.size > checkpoint.size {
            let (old, new) = (older.size, checkpoint.size);
            return Err(ExportError::Shrank { old, new });
        }
        if older.size.is_empty() {
            return Err(not_signed(&older, SignatureFault::NoKey));
        }
        picked.want_consistency(older.size.get())?;
        Ok(Extension {
            old: Some(Old { note: note.clone(), checkpoint: older, origin: None, key: None }),
            picked,
        })
    }

    pub(super) fn see(&mut self, subtree: Subtree, hash: Hash) {
        self.picked.see(subtree, hash);
    }

    /// Takes in the record with which the tree has just grown: those up to the older checkpoint
    /// say whose signature it must have, and give its root.
    pub(super) fn grown(&mut self, record: &[u8], tree: &Tree) -> Result<(), ExportError> {
        let Some(old) = self.old.as_mut().filter(|old| tree.size() <= old.checkpoint.size.get())
        else {
            return Ok(());
        };
        let bad = |error: &dyn std::fmt::Display| ExportError::log(tree.size() - 1, error);
        let record = Record::parse(record).map_err(|error| bad(&error))?;
        if names_the_log(record.event) {
            let named = match decode_event(record.event).map_err(|error| bad(&error))? {
                Event::LedgerOpened(opened) => {
                    old.origin = Some(opened.origin);
                    opened.verifier_key
                }
                Event::LedgerContinued(continued) => {
                    old.origin = Some(continued.origin);
                    Some(continued.verifier_key)
                }
                Event::KeyRotated(rotated) => Some(rotated.verifier_key),
                _ => None,
            };
            if let Some(key) = named {
                old.key = Some((record.position, key.as_str().to_owned()));
            }
        }
        if tree.size() == old.checkpoint.size.get() { old.check(tree) } else { Ok(()) }
    }

    /// Writes it into a bundle of that checkpoint.
    pub(super) fn write(mut self, folder: &NewFolder, note: &Note) -> Result<(), ExportError> {
        let Some(old) = self.old else {
            return Ok(());
        };
        let old = old.checkpoint.size;
        let proof = self.picked.consistency(old.get())?;
        let request = AddCheckpoint { old, proof, checkpoint: note.clone() };
        folder.write(EXTENSION, request.to_string().as_bytes())
    }
}

impl Old {
    /// Whether the log signed it, and is what it says.
    fn check(&self, tree: &Tree) -> Result<(), ExportError> {
        let Old { note, checkpoint, origin, key } = self;
        let then = origin.as_ref().map_or("", Origin::as_str);
        if then != checkpoint.origin.as_str() {
            // Of another log; or of an origin that this one has not had with so many records.
            let (expected, found) = (then.to_owned(), checkpoint.origin.to_string());
            return Err(ExportError::OtherLog { expected, found });
        }
        let signed = || {
            let (position, named) = key.as_ref().ok_or(SignatureFault::NoKey)?;
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
}

fn not_signed(older: &Checkpoint, fault: SignatureFault) -> ExportError {
    ExportError::SinceNotSigned { size: older.size, fault: Box::new(fault) }
}
