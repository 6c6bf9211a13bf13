//! What signed checkpoints claim about a log, held against the log as it is read.

mod continuation;
mod keys;
mod scope;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{fs, io};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, ProofError, TreeHead, older_root, verify_consistency};
use bergulir_chain::note::{MAX_NOTE_BYTES, Note};
use bergulir_chain::policy::{Cosigned, Refusal};
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{Hash, LogSize, Position};
use bergulir_domain::State;

use crate::reason::Reason;
use crate::report::Unproven;
use crate::trust::{CheckpointSource, Trust};
use crate::{CannotTell, bundle};
use keys::{NamedKeys, Signer, Vouched};

/// The file with the newest checkpoint, in the folder of a ledger or a bundle.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The file with the newest checkpoint that a quorum of witnesses cosigned.
pub(crate) const WITNESSED: &str = "checkpoint.witnessed";

/// What a checkpoint says.
#[derive(Debug, Clone)]
struct Claim {
    which: CheckpointSource,
    note: Note,
    checkpoint: Checkpoint,
}

/// A checkpoint that the log agrees with.
#[derive(Debug, Clone)]
struct Agreed {
    which: CheckpointSource,
    size: LogSize,
    signer: Signer,
    /// Who cosigned, if that is a quorum of the policy.
    witnesses: Option<Vec<String>>,
    /// Why it is no quorum.
    refusal: Option<Refusal>,
}

/// A checkpoint that a record names which continues the log under another origin, and which covers no
/// more records than came before.
#[derive(Debug)]
struct Named {
    /// The record.
    at: u64,
    head: TreeHead,
}

/// The checkpoints of one log, from the smallest on.
#[derive(Debug)]
pub(crate) struct Claims<'t> {
    trust: &'t Trust,
    /// Those still to come, the next one last.
    waiting: Vec<Claim>,
    agreed: Vec<Agreed>,
    /// Why one is none.
    damaged: Option<Reason>,
    keys: NamedKeys,
    /// A proof that came with the log: that its checkpoint goes on from one of so many records.
    extension: Option<Extension>,
    /// What records name, those still to come, the next one last.
    named: Vec<Named>,
    /// By the record that names it: whether the records are those of the checkpoint.
    compared: BTreeMap<u64, bool>,
    /// The older checkpoint, if it is of so few records that the log had another origin then.
    early: Option<Claim>,
    /// Why nothing can be told by the older checkpoint, if it is so.
    aside: Option<Unproven>,
}

/// A proof that came with the log, to its checkpoint.
#[derive(Debug)]
struct Extension {
    proof: AddCheckpoint,
    newer: TreeHead,
}

impl Extension {
    /// Holds it against the root over the records that it is from.
    fn check(&self, root: Hash) -> Result<(), Reason> {
        let older = TreeHead { size: self.proof.old.get(), root };
        verify_consistency(Prefixes::RFC_6962, older, self.newer, &self.proof.proof).map_err(
            |error| Reason::BundleDamaged {
                file: bundle::EXTENSION.to_owned(),
                why: error.to_string(),
            },
        )
    }
}

/// What is wrong, and at which position.
pub(crate) type Contradiction = (Position, Reason);

impl<'t> Claims<'t> {
    /// No checkpoint at all.
    pub(crate) fn none(trust: &'t Trust) -> Claims<'t> {
        Claims {
            trust,
            waiting: Vec::new(),
            agreed: Vec::new(),
            damaged: None,
            keys: NamedKeys::default(),
            extension: None,
            named: Vec::new(),
            compared: BTreeMap::new(),
            early: None,
            aside: None,
        }
    }

    /// Takes in a proof that came with the log, to its checkpoint of this head; if what it leads
    /// from is unknown, it is held against that checkpoint alone.
    pub(crate) fn extended(
        &mut self,
        proof: AddCheckpoint,
        newer: TreeHead,
    ) -> Result<(), ProofError> {
        older_root(Prefixes::RFC_6962, proof.old.get(), newer, &proof.proof)?;
        self.extension = Some(Extension { proof, newer });
        Ok(())
    }

    /// The log begins after so many records, of which this is known.
    pub(crate) fn begin(&mut self, state: &State) -> Result<(), Contradiction> {
        self.keys.begin(state);
        self.reach_all(state.size())
    }

    /// Takes the checkpoint that single records were proved to, as far as the log's signature goes:
    /// there is no tree to hold it against.
    pub(crate) fn vouch(&mut self, checkpoint: &Checkpoint) -> Result<(), Contradiction> {
        self.reach_all(checkpoint.size.get())?;
        self.check(checkpoint.head())
    }

    /// Holds the checkpoints of fewer records against the proof that came with the log.
    fn reach_all(&mut self, size: u64) -> Result<(), Contradiction> {
        while let Some(claim) = self.waiting.pop_if(|claim| claim.checkpoint.size.get() < size) {
            let at = claim.checkpoint.size.last().unwrap_or_default();
            if let Some(claim) = self.of_this_origin(claim)? {
                self.reach(&claim).map_err(|reason| (at, reason))?;
            }
        }
        Ok(())
    }

    /// Holds a checkpoint from before the first record against the proof that came with the log,
    /// if it has one from there.
    fn reach(&mut self, claim: &Claim) -> Result<(), Reason> {
        let Claim { which, note, checkpoint } = claim;
        let (which, size) = (*which, checkpoint.size);
        let Some(signer) = self.signer(which, note, size)? else {
            return Ok(());
        };
        if which == CheckpointSource::Witnessed {
            // That the log goes on from there was proved when the bundle was opened.
            let agreed = self.cosigned(which, size, signer, note)?;
            self.agreed.push(agreed);
            return Ok(());
        }
        let proof = self.extension.as_ref().filter(|extension| extension.proof.old == size);
        let Some(Extension { proof, newer }) = proof else {
            self.aside = Some(Unproven::NoExtension { old: size });
            return Ok(());
        };
        verify_consistency(Prefixes::RFC_6962, checkpoint.head(), *newer, &proof.proof)
            .map_err(|error| Reason::NotExtended { size, error })?;
        self.agreed.push(Agreed { which, size, signer, witnesses: None, refusal: None });
        Ok(())
    }

    /// Those in a folder, if there is one, and the one that the auditor brings.
    ///
    /// To be read before the log is looked over: a server that runs makes larger ones.
    pub(crate) fn read(folder: Option<&Path>, trust: &'t Trust) -> Result<Claims<'t>, CannotTell> {
        let mut claims = Claims::none(trust);
        if let Some(folder) = folder {
            let files =
                [(CHECKPOINT, CheckpointSource::Newest), (WITNESSED, CheckpointSource::Witnessed)];
            for (name, which) in files {
                if let Some(bytes) = read_if_there(&folder.join(name))? {
                    claims.add(which, &bytes);
                }
            }
        }
        if let Some(note) = &trust.since {
            claims.add_note(CheckpointSource::Older, note.clone());
        }
        claims.waiting.sort_by_key(|claim| std::cmp::Reverse(claim.checkpoint.size));
        Ok(claims)
    }

    fn add(&mut self, which: CheckpointSource, bytes: &[u8]) {
        match Note::parse(bytes) {
            Ok(note) => self.add_note(which, note),
            Err(error) => {
                let error = error.into();
                self.damaged = Some(Reason::CheckpointDamaged { which, error });
            }
        }
    }

    fn add_note(&mut self, which: CheckpointSource, note: Note) {
        match Checkpoint::parse_unverified(note.text()) {
            Ok(checkpoint) => self.waiting.push(Claim { which, note, checkpoint }),
            Err(error) if which == CheckpointSource::Older => {
                self.aside = Some(Unproven::SinceDamaged { error });
            }
            Err(error) => self.damaged = Some(Reason::CheckpointDamaged { which, error }),
        }
    }

    /// Position 0 names the log.
    pub(crate) fn opened(&mut self, origin: &str) {
        self.keys.opened(Position::ZERO, origin);
    }

    /// A record names a key.
    pub(crate) fn key_named(&mut self, at: Position, key: &str) {
        self.keys.push(at, key);
    }

    /// Whether a checkpoint is of so many records, or a proof leads from there.
    pub(crate) fn is_due(&self, size: LogSize) -> bool {
        self.is_claimed(size) || self.is_extended(size) || self.is_named(size)
    }

    fn is_claimed(&self, size: LogSize) -> bool {
        self.waiting.last().is_some_and(|claim| claim.checkpoint.size == size)
    }

    fn is_extended(&self, size: LogSize) -> bool {
        self.extension.as_ref().is_some_and(|extension| extension.proof.old == size)
    }

    /// Holds the checkpoints of this size against the tree.
    pub(crate) fn check(&mut self, head: TreeHead) -> Result<(), Contradiction> {
        let size = LogSize::new(head.size);
        let at = size.last().unwrap_or_default();
        self.compare(head);
        if let Some(extension) = self.extension.as_ref().filter(|_| self.is_extended(size)) {
            extension.check(head.root).map_err(|reason| (at, reason))?;
        }
        while self.is_claimed(size) {
            let Some(claim) = self.waiting.pop() else {
                break;
            };
            let Some(claim) = self.of_this_origin(claim)? else {
                continue;
            };
            let agreed = self.agree(&claim, head).map_err(|reason| (at, reason))?;
            self.agreed.extend(agreed);
        }
        Ok(())
    }

    fn agree(&mut self, claim: &Claim, head: TreeHead) -> Result<Option<Agreed>, Reason> {
        let Claim { which, note, checkpoint } = claim;
        let (which, size) = (*which, checkpoint.size);
        let Some(signer) = self.signer(which, note, size)? else {
            return Ok(None);
        };
        if checkpoint.root != head.root {
            let (stated, found) = (checkpoint.root, head.root);
            let from = self.agreed.last().map_or(LogSize::EMPTY, |agreed| agreed.size);
            let from = from.next_position();
            return Err(Reason::CheckpointRoot { which, size, from, stated, found });
        }
        self.cosigned(which, size, signer, note).map(Some)
    }

    /// What the policy makes of a checkpoint of so many records that the log agrees with.
    fn cosigned(
        &self,
        which: CheckpointSource,
        size: LogSize,
        signer: Signer,
        note: &Note,
    ) -> Result<Agreed, Reason> {
        let mut agreed = Agreed { which, size, signer, witnesses: None, refusal: None };
        if let Some(policy) = &self.trust.policy {
            match policy.witnessed(note) {
                Ok(cosigned) => agreed.witnesses = Some(names(&cosigned)),
                Err(Refusal::Forged(error)) if which != CheckpointSource::Older => {
                    return Err(Reason::CosignatureForged { which, size, error });
                }
                Err(refusal) => agreed.refusal = Some(refusal),
            }
        }
        Ok(agreed)
    }

    /// Who signed a checkpoint of so many records. One that the auditor brought, and that the log
    /// did not sign, says nothing about the log: it is set aside.
    fn signer(
        &mut self,
        which: CheckpointSource,
        note: &Note,
        size: LogSize,
    ) -> Result<Option<Signer>, Reason> {
        match self.keys.signer(note, size, self.trust) {
            Ok(signer) => Ok(Some(signer)),
            Err(fault) => {
                let fault = Box::new(fault);
                if which == CheckpointSource::Older {
                    self.aside = Some(Unproven::SinceNotSigned { size, fault });
                    return Ok(None);
                }
                Err(Reason::CheckpointSignature { which, size, fault })
            }
        }
    }

    /// What is wrong at the end of a log of so many records.
    pub(crate) fn end(&mut self, size: LogSize) -> Result<(), Contradiction> {
        let at = size.next_position();
        while let Some(claim) = self.waiting.pop() {
            let Some(Claim { which, note, checkpoint }) = self.of_this_origin(claim)? else {
                continue;
            };
            let size = checkpoint.size;
            if which != CheckpointSource::Older || self.signs_beyond(&note, size) {
                return Err((at, Reason::RecordsMissing { which, size }));
            }
        }
        if let Some(reason) = &self.damaged {
            return Err((at, reason.clone()));
        }
        self.early()?;
        self.newest_is_of_this_origin()?;
        self.keys_are_known()
    }

    /// Whether the log signed a checkpoint that the auditor brought, of more records than there are.
    fn signs_beyond(&mut self, note: &Note, size: LogSize) -> bool {
        matches!(self.signer(CheckpointSource::Older, note, size), Ok(Some(_)))
    }

    /// Whether the log names one of the keys given, if any are and it has come so far.
    fn keys_are_known(&self) -> Result<(), Contradiction> {
        if !self.trust.has_keys() || !self.keys.is_named() {
            return Ok(());
        }
        let is_known = self.newest().map_or_else(
            || self.keys.name_one_of(self.trust),
            |newest| !matches!(newest.signer.vouched, Vouched::NotNamed),
        );
        if is_known {
            return Ok(());
        }
        let (at, named) = self.keys.first().unwrap_or((Position::ZERO, "(none)"));
        Err((at, Reason::KeyNotTrusted { named: named.to_owned() }))
    }

    /// What was asked for and cannot be shown.
    pub(crate) fn unproven(&self) -> Option<Unproven> {
        let Some(newest) = self.newest() else {
            let asked = self.trust.has_keys() || self.trust.policy.is_some();
            return asked.then_some(Unproven::NoCheckpoint).or_else(|| self.aside.clone());
        };
        if let Vouched::Silent { key, at } = &newest.signer.vouched {
            let Agreed { size, signer, .. } = newest;
            return Some(Unproven::KeySilent {
                size: *size,
                given: key.clone(),
                given_at: *at,
                signer: Box::new(signer.key.clone()),
                signer_at: signer.at,
            });
        }
        if let Some(aside) = &self.aside {
            return Some(aside.clone());
        }
        if !self.trust.wants_witnesses() || self.witnessed().is_some() {
            return None;
        }
        newest.refusal.clone().map(|refusal| Unproven::NoQuorum { size: newest.size, refusal })
    }

    /// The largest checkpoint of the log's own.
    fn newest(&self) -> Option<&Agreed> {
        self.agreed.iter().rfind(|agreed| agreed.which != CheckpointSource::Older)
    }

    /// The largest one that a quorum cosigned.
    fn witnessed(&self) -> Option<(&Agreed, &[String])> {
        let witnessed = |agreed: &Agreed| agreed.witnesses.is_some();
        let found = self.agreed.iter().rfind(|agreed| witnessed(agreed))?;
        Some((found, found.witnesses.as_deref()?))
    }
}

fn names(cosigned: &[Cosigned<'_>]) -> Vec<String> {
    cosigned.iter().map(|cosigned| cosigned.witness.name.clone()).collect()
}

/// The bytes of a small file; `None` if it is not there.
pub(crate) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>, CannotTell> {
    read_small(path, MAX_NOTE_BYTES as u64)
}

/// The bytes of a file of at most so many, or one more than that; `None` if it is not there.
pub(crate) fn read_small(path: &Path, most: u64) -> Result<Option<Vec<u8>>, CannotTell> {
    use io::Read as _;
    let failed = |source| CannotTell::Io { path: PathBuf::from(path), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Some(bytes))
}
