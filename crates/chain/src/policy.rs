//! Whom to trust, after C2SP `tlog-policy`: which logs, which witnesses, and how many of them.

mod parse;

use alloc::string::String;
use alloc::vec::Vec;

use thiserror::Error;

pub use parse::{Fault, MAX_DEFINITIONS, MAX_POLICY_BYTES, PolicyError};

use crate::checkpoint::{Checkpoint, CheckpointError};
use crate::note::{Note, PosixSeconds, VerifierKey, VerifyError};

/// A log that is trusted to sign checkpoints.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Its key; the key's name is its origin.
    pub key: VerifierKey,
    /// Where it can be reached, in a form that the reader knows.
    pub url: Option<String>,
}

/// A witness that is trusted to cosign only what continues all that it saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Witness {
    /// What it is called in the policy.
    pub name: String,
    /// Its key.
    pub key: VerifierKey,
    /// Where it takes checkpoints, in a form that the reader knows.
    pub url: Option<String>,
}

/// A witness or a group, by its number among them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Member {
    Witness(usize),
    Group(usize),
}

/// Stands for a checkpoint if enough of its members do.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Group {
    threshold: usize,
    /// Groups among them come before this one.
    members: Vec<Member>,
}

/// Who has to stand for a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quorum {
    /// No witness is asked for.
    Nobody,
    /// This one.
    Of(Member),
}

/// Which checkpoints to believe: signed by a log of these, and cosigned by a quorum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    quorum: Quorum,
}

/// A witness that cosigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cosigned<'p> {
    /// The witness.
    pub witness: &'p Witness,
    /// When it did.
    pub time: PosixSeconds,
}

/// A checkpoint that a policy accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted<'p> {
    /// What it says.
    pub checkpoint: Checkpoint,
    /// The log that signed it.
    pub log: &'p Log,
    /// The witnesses that cosigned it, more than the quorum perhaps.
    pub cosigned: Vec<Cosigned<'p>>,
}

/// Why a policy does not accept a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// The policy names no log of this origin.
    #[error("the policy does not name the log {0}")]
    UnknownLog(String),
    /// It is not a checkpoint, or its log did not sign it.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A cosignature is of a known witness, and is not right.
    #[error(transparent)]
    Forged(VerifyError),
    /// Too few witnesses cosigned.
    #[error("{cosigned} of the policy's {witnesses} witnesses cosigned: that is no quorum")]
    NoQuorum {
        /// How many did.
        cosigned: usize,
        /// How many there are.
        witnesses: usize,
    },
}

impl Policy {
    /// The logs, in order. There may be none, where the log is known otherwise.
    pub fn logs(&self) -> &[Log] {
        &self.logs
    }

    /// The witnesses, in order.
    pub fn witnesses(&self) -> &[Witness] {
        &self.witnesses
    }

    /// True if a quorum asks for some witness.
    pub const fn wants_witnesses(&self) -> bool {
        matches!(self.quorum, Quorum::Of(_))
    }

    /// Accepts a checkpoint that a log of the policy signed and a quorum cosigned.
    ///
    /// # Errors
    /// If either is missing.
    pub fn accept(&self, note: &Note) -> Result<Accepted<'_>, Refusal> {
        let origin = Checkpoint::parse_unverified(note.text())?.origin;
        let of_origin = || self.logs.iter().filter(|log| *log.key.name() == origin);
        if of_origin().next().is_none() {
            return Err(Refusal::UnknownLog(origin.as_str().into()));
        }
        let checkpoint = Checkpoint::open(note, &origin, of_origin().map(|log| &log.key))?;
        let signed = |log: &&Log| note.signatures().iter().any(|given| log.key.is_of(given));
        let log = of_origin().find(signed).ok_or(CheckpointError::from(VerifyError::NoKnownKey))?;
        Ok(Accepted { checkpoint, log, cosigned: self.witnessed(note)? })
    }

    /// The witnesses that cosigned a note, if they are a quorum. Which log signed it is not asked.
    ///
    /// # Errors
    /// If they are none, or a cosignature is forged.
    pub fn witnessed(&self, note: &Note) -> Result<Vec<Cosigned<'_>>, Refusal> {
        let keys = self.witnesses.iter().map(|witness| &witness.key);
        let signed = match note.verify(keys) {
            Ok(signed) => signed,
            Err(VerifyError::NoKnownKey) => Vec::new(),
            Err(forged) => return Err(Refusal::Forged(forged)),
        };
        let cosigned: Vec<Option<PosixSeconds>> = self
            .witnesses
            .iter()
            .map(|witness| signed.iter().find(|signed| *signed.key == witness.key)?.time)
            .collect();
        let mut groups: Vec<bool> = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let stand = group.members.iter().filter(|member| stands(**member, &cosigned, &groups));
            let enough = stand.count() >= group.threshold;
            groups.push(enough);
        }
        let by = self.witnesses.iter().zip(&cosigned);
        let by: Vec<_> =
            by.filter_map(|(witness, time)| Some(Cosigned { witness, time: (*time)? })).collect();
        let enough = match self.quorum {
            Quorum::Nobody => true,
            Quorum::Of(member) => stands(member, &cosigned, &groups),
        };
        if enough {
            Ok(by)
        } else {
            Err(Refusal::NoQuorum { cosigned: by.len(), witnesses: self.witnesses.len() })
        }
    }
}

fn stands(member: Member, cosigned: &[Option<PosixSeconds>], groups: &[bool]) -> bool {
    match member {
        Member::Witness(number) => cosigned[number].is_some(),
        Member::Group(number) => groups[number],
    }
}
