//! What signed checkpoints claim about a log, held against the log as it is read.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, TreeHead, verify_consistency};
use bergulir_chain::note::{KeyName, MAX_NOTE_BYTES, Note, VerifierKey};
use bergulir_chain::policy::{Cosigned, Refusal};
use bergulir_chain::witness::AddCheckpoint;
use bergulir_chain::{LogSize, Position};
use bergulir_domain::State;

use crate::reason::Reason;
use crate::report::Unproven;
use crate::trust::{CheckpointSource, SignatureFault, Trust};
use crate::{CannotTell, Checked, NotChecked};

/// The file with the newest checkpoint, in the folder of a ledger or a bundle.
pub(crate) const CHECKPOINT: &str = "checkpoint";

/// The file with the newest checkpoint that a quorum of witnesses cosigned.
const WITNESSED: &str = "checkpoint.witnessed";

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
    key: VerifierKey,
    /// Who cosigned, if that is a quorum of the policy.
    witnesses: Option<Vec<String>>,
    /// Why it is no quorum.
    refusal: Option<Refusal>,
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
    /// The log's origin, once position 0 was read.
    origin: Option<KeyName>,
    /// The keys that records name, each with its position.
    keys: Vec<(Position, String)>,
    /// A proof that came with the log: that its checkpoint goes on from one of so many records.
    extension: Option<AddCheckpoint>,
    /// The size of the older checkpoint, if the log begins after it and no proof leads there.
    unshown: Option<LogSize>,
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
            origin: None,
            keys: Vec::new(),
            extension: None,
            unshown: None,
        }
    }

    /// Takes in a proof that came with the log, to its checkpoint.
    pub(crate) fn extended(&mut self, proof: AddCheckpoint) {
        self.extension = Some(proof);
    }

    /// The log begins after so many records, of which this is known.
    pub(crate) fn begin(&mut self, state: &State) -> Result<(), Contradiction> {
        if let Some(opened) = state.opened() {
            self.opened(opened.origin.as_str())?;
        }
        for (at, key) in state.keys() {
            self.key_named(Position::new(at.get()), key.as_str())?;
        }
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
            let size = claim.checkpoint.size;
            let at = size.last().unwrap_or_default();
            match self.reach(&claim) {
                Ok(Some(agreed)) => self.agreed.push(agreed),
                Ok(None) => self.unshown = Some(size),
                Err(reason) => return Err((at, reason)),
            }
        }
        Ok(())
    }

    /// Holds a checkpoint from before the first record against the proof that came with the log,
    /// if it has one from there.
    fn reach(&self, claim: &Claim) -> Result<Option<Agreed>, Reason> {
        let Claim { which, note, checkpoint } = claim;
        let (which, size) = (*which, checkpoint.size);
        let signed = self.signer(note, size);
        let key = signed.map_err(|fault| Reason::CheckpointSignature {
            which,
            size,
            fault: Box::new(fault),
        })?;
        let Some(proof) = self.extension.as_ref().filter(|proof| proof.old == size) else {
            return Ok(None);
        };
        let newer = Checkpoint::parse_unverified(proof.checkpoint.text());
        let newer = newer.map_err(|error| Reason::CheckpointDamaged { which, error })?;
        verify_consistency(Prefixes::RFC_6962, checkpoint.head(), newer.head(), &proof.proof)
            .map_err(|error| Reason::NotExtended { size, error })?;
        Ok(Some(Agreed { which, size, key, witnesses: None, refusal: None }))
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
            Err(error) => self.damaged = Some(Reason::CheckpointDamaged { which, error }),
        }
    }

    /// Position 0 names the log.
    pub(crate) fn opened(&mut self, origin: &str) -> Result<(), Contradiction> {
        let Ok(origin) = KeyName::new(origin) else {
            return Ok(());
        };
        let other = self.waiting.iter().find(|claim| claim.checkpoint.origin != origin);
        let other = other.map(|claim| (claim.which, claim.checkpoint.origin.to_string()));
        let expected = origin.to_string();
        self.origin = Some(origin);
        match other {
            Some((which, found)) => {
                let reason = Reason::CheckpointOfOther { which, expected, found };
                Err((Position::ZERO, reason))
            }
            None => Ok(()),
        }
    }

    /// A record names a key.
    pub(crate) fn key_named(&mut self, at: Position, key: &str) -> Result<(), Contradiction> {
        let is_first = self.keys.is_empty();
        self.keys.push((at, key.to_owned()));
        let mut trusted = self.trust.log_keys();
        if is_first && self.trust.has_keys() && !trusted.any(|known| known.to_string() == key) {
            let named = key.to_owned();
            return Err((at, Reason::KeyNotTrusted { named }));
        }
        Ok(())
    }

    /// Whether a checkpoint is of so many records.
    pub(crate) fn is_due(&self, size: LogSize) -> bool {
        self.waiting.last().is_some_and(|claim| claim.checkpoint.size == size)
    }

    /// Holds the checkpoints of this size against the tree.
    pub(crate) fn check(&mut self, head: TreeHead) -> Result<(), Contradiction> {
        let size = LogSize::new(head.size);
        while self.is_due(size) {
            let Some(claim) = self.waiting.pop() else {
                break;
            };
            let at = size.last().unwrap_or_default();
            let agreed = self.agree(&claim, head).map_err(|reason| (at, reason))?;
            self.agreed.push(agreed);
        }
        Ok(())
    }

    fn agree(&self, claim: &Claim, head: TreeHead) -> Result<Agreed, Reason> {
        let Claim { which, note, checkpoint } = claim;
        let (which, size) = (*which, checkpoint.size);
        let key = self.signer(note, size).map_err(|fault| {
            let fault = Box::new(fault);
            Reason::CheckpointSignature { which, size, fault }
        })?;
        if checkpoint.root != head.root {
            let (stated, found) = (checkpoint.root, head.root);
            let from = self.agreed.last().map_or(LogSize::EMPTY, |agreed| agreed.size);
            let from = from.next_position();
            return Err(Reason::CheckpointRoot { which, size, from, stated, found });
        }
        let mut agreed = Agreed { which, size, key, witnesses: None, refusal: None };
        if let Some(policy) = &self.trust.policy {
            match policy.witnessed(note) {
                Ok(cosigned) => agreed.witnesses = Some(names(&cosigned)),
                Err(Refusal::Forged(error)) => {
                    return Err(Reason::CosignatureForged { which, size, error });
                }
                Err(refusal) => agreed.refusal = Some(refusal),
            }
        }
        Ok(agreed)
    }

    /// The key in force after so many records, if it signed.
    fn signer(&self, note: &Note, size: LogSize) -> Result<VerifierKey, SignatureFault> {
        let in_force = self.keys.iter().rfind(|(position, _)| size.holds(*position));
        let (position, named) = in_force.ok_or(SignatureFault::NoKey)?;
        let unusable = || SignatureFault::UnusableKey { position: *position, named: named.clone() };
        let key: VerifierKey = named.parse().map_err(|_| unusable())?;
        let origin = self.origin.as_ref().ok_or(SignatureFault::NoKey)?;
        Checkpoint::open(note, origin, [&key])?;
        Ok(key)
    }

    /// What is wrong at the end of a log of so many records.
    pub(crate) fn end(&self, size: LogSize) -> Result<(), Contradiction> {
        let at = size.next_position();
        if let Some(claim) = self.waiting.last() {
            let (which, size) = (claim.which, claim.checkpoint.size);
            return Err((at, Reason::RecordsMissing { which, size }));
        }
        match &self.damaged {
            Some(reason) => Err((at, reason.clone())),
            None => Ok(()),
        }
    }

    /// What was asked for and cannot be shown.
    pub(crate) fn unproven(&self) -> Option<Unproven> {
        let Some(newest) = self.newest() else {
            let asked = self.trust.has_keys() || self.trust.policy.is_some();
            return asked.then_some(Unproven::NoCheckpoint);
        };
        if let Some(old) = self.unshown {
            return Some(Unproven::NoExtension { old });
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

    /// The size of the newest checkpoint that holds, and who cosigned it or an older one.
    pub(crate) fn summary(&self) -> (Option<LogSize>, Vec<String>) {
        let size = self.newest().map(|agreed| agreed.size);
        let witnesses = self.witnessed().map_or_else(Vec::new, |(_, names)| names.to_vec());
        (size, witnesses)
    }

    /// What the checkpoints let be checked of a log of so many records, and what not.
    pub(crate) fn scope(
        &self,
        size: LogSize,
        checked: &mut Vec<Checked>,
        not_checked: &mut Vec<NotChecked>,
    ) {
        if let Some(newest) = self.newest() {
            let key = format!("{}+{}", newest.key.name(), newest.key.id());
            checked.extend([Checked::Root { size: newest.size }, Checked::Signature { key }]);
            if newest.size < size {
                let from = newest.size.next_position();
                not_checked.push(NotChecked::BeyondCheckpoint { from });
            }
            if self.trust.has_keys() {
                checked.push(Checked::TrustedKey);
            } else {
                not_checked.push(NotChecked::KeyAsNamed);
            }
        } else {
            not_checked.push(NotChecked::NoCheckpoint);
        }
        match self.witnessed() {
            Some((agreed, names)) if self.trust.wants_witnesses() => {
                let witnesses = names.to_vec();
                checked.push(Checked::Witnesses { size: agreed.size, witnesses });
                let newest = self.newest().map_or(size, |newest| newest.size);
                if agreed.size < newest {
                    let from = agreed.size.next_position();
                    not_checked.push(NotChecked::Unwitnessed { from });
                }
            }
            _ => not_checked.push(NotChecked::Witnesses),
        }
        let older = |agreed: &&Agreed| agreed.which == CheckpointSource::Older;
        match self.agreed.iter().find(older) {
            Some(agreed) => checked.push(Checked::Extension { from: agreed.size }),
            None => not_checked.push(NotChecked::Extension),
        }
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
