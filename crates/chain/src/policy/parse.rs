//! Reading a policy.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use thiserror::Error;

use super::{Group, Log, Member, Policy, Quorum, Witness};
use crate::decimal;
use crate::note::{Algorithm, KeyError, VerifierKey};

/// The most bytes of a policy.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// The most logs of a policy, and the most witnesses, and the most groups. The specification asks
/// for 32 at least.
pub const MAX_DEFINITIONS: usize = 256;

/// Stands for no witness at all; nothing can be called so.
const NONE: &str = "none";

/// Why a text is not a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the policy: {fault}")]
pub struct PolicyError {
    /// Which line, from 1; the last one if something is missing.
    pub line: usize,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a line of a policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Fault {
    /// The policy is too large.
    #[error("the policy has more than {MAX_POLICY_BYTES} bytes")]
    TooLarge,
    /// There are too many logs, witnesses or groups.
    #[error("there are more than {MAX_DEFINITIONS} of these")]
    TooMany,
    /// A control character, or not UTF-8. The specification takes other bytes too; a policy that
    /// people read needs none.
    #[error("a character that cannot be in a policy")]
    Character,
    /// The line begins with another word.
    #[error("a line begins with log, witness, group, quorum or #")]
    Keyword,
    /// A word is missing or too many.
    #[error("too few or too many words")]
    Words,
    /// A key cannot be read.
    #[error("the key: {0}")]
    Key(#[from] KeyError),
    /// The same public key was there before in the same role.
    #[error("the same public key is defined twice")]
    SameKey,
    /// The name is taken, or is `none`.
    #[error("the name {0} is taken")]
    NameTaken(String),
    /// The name was not defined before.
    #[error("the name {0} is not defined above")]
    NameUnknown(String),
    /// The name is a member of a group already.
    #[error("{0} is a member of a group already")]
    MemberTwice(String),
    /// The threshold is not between 1 and the number of members.
    #[error("the threshold is any, all, or a number from 1 to that of the members")]
    Threshold,
    /// There is more than one quorum line.
    #[error("there is a quorum line already")]
    SecondQuorum,
    /// There is no quorum line.
    #[error("there is no quorum line: write 'quorum none' to ask for no witness")]
    NoQuorum,
}

impl Policy {
    /// Reads a policy.
    ///
    /// # Errors
    /// If it is none; says at which line.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyError> {
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(PolicyError { line: 1, fault: Fault::TooLarge });
        }
        let mut draft = Draft::default();
        let mut last = 1;
        for (number, line) in (1..).zip(bytes.split(|&byte| byte == b'\n')) {
            draft.line(line).map_err(|fault| PolicyError { line: number, fault })?;
            last = number;
        }
        let missing = PolicyError { line: last, fault: Fault::NoQuorum };
        let quorum = draft.quorum.ok_or(missing)?;
        let Draft { logs, witnesses, groups, .. } = draft;
        Ok(Self { logs, witnesses, groups, quorum })
    }
}

/// What the lines so far have defined.
#[derive(Default)]
struct Draft {
    logs: Vec<Log>,
    witnesses: Vec<Witness>,
    groups: Vec<Group>,
    names: BTreeMap<String, Member>,
    members: BTreeSet<String>,
    quorum: Option<Quorum>,
}

impl Draft {
    fn line(&mut self, line: &[u8]) -> Result<(), Fault> {
        let line = core::str::from_utf8(line).map_err(|_| Fault::Character)?;
        if line.bytes().any(|byte| (byte < b' ' && byte != b'\t') || byte == 0x7f) {
            return Err(Fault::Character);
        }
        let mut words = line.split([' ', '\t']).filter(|word| !word.is_empty());
        let Some(keyword) = words.next().filter(|word| !word.starts_with('#')) else {
            return Ok(());
        };
        let words: Vec<&str> = words.collect();
        match (keyword, &words[..]) {
            ("log", [key]) => self.log(key, None),
            ("log", [key, url]) => self.log(key, Some(url)),
            ("witness", [name, key]) => self.witness(name, key, None),
            ("witness", [name, key, url]) => self.witness(name, key, Some(url)),
            ("group", [name, threshold, members @ ..]) if !members.is_empty() => {
                self.group(name, threshold, members)
            }
            ("quorum", [name]) => self.quorum(name),
            ("log" | "witness" | "group" | "quorum", _) => Err(Fault::Words),
            _ => Err(Fault::Keyword),
        }
    }

    fn log(&mut self, key: &str, url: Option<&&str>) -> Result<(), Fault> {
        let key = read_key(key, Algorithm::Ed25519)?;
        limit(self.logs.len())?;
        if self.logs.iter().any(|log| log.key.as_bytes() == key.as_bytes()) {
            return Err(Fault::SameKey);
        }
        self.logs.push(Log { key, url: url.map(ToString::to_string) });
        Ok(())
    }

    fn witness(&mut self, name: &str, key: &str, url: Option<&&str>) -> Result<(), Fault> {
        let key = read_key(key, Algorithm::CosignatureV1)?;
        limit(self.witnesses.len())?;
        if self.witnesses.iter().any(|witness| witness.key.as_bytes() == key.as_bytes()) {
            return Err(Fault::SameKey);
        }
        self.define(name, Member::Witness(self.witnesses.len()))?;
        self.witnesses.push(Witness {
            name: name.to_string(),
            key,
            url: url.map(ToString::to_string),
        });
        Ok(())
    }

    fn group(&mut self, name: &str, threshold: &str, names: &[&str]) -> Result<(), Fault> {
        limit(self.groups.len())?;
        let mut members = Vec::with_capacity(names.len());
        for &name in names {
            members.push(self.find(name)?);
            // In one group of all only, so that a witness counts in one way only.
            if !self.members.insert(name.to_string()) {
                return Err(Fault::MemberTwice(name.to_string()));
            }
        }
        let threshold = match threshold {
            "any" => 1,
            "all" => members.len(),
            number => decimal::parse(number)
                .and_then(|number| usize::try_from(number).ok())
                .filter(|number| (1..=members.len()).contains(number))
                .ok_or(Fault::Threshold)?,
        };
        self.define(name, Member::Group(self.groups.len()))?;
        self.groups.push(Group { threshold, members });
        Ok(())
    }

    fn quorum(&mut self, name: &str) -> Result<(), Fault> {
        if self.quorum.is_some() {
            return Err(Fault::SecondQuorum);
        }
        let quorum = if name == NONE { Quorum::Nobody } else { Quorum::Of(self.find(name)?) };
        self.quorum = Some(quorum);
        Ok(())
    }

    fn define(&mut self, name: &str, member: Member) -> Result<(), Fault> {
        if name == NONE || self.names.contains_key(name) {
            return Err(Fault::NameTaken(name.to_string()));
        }
        self.names.insert(name.to_string(), member);
        Ok(())
    }

    fn find(&self, name: &str) -> Result<Member, Fault> {
        self.names.get(name).copied().ok_or_else(|| Fault::NameUnknown(name.to_string()))
    }
}

fn read_key(text: &str, expected: Algorithm) -> Result<VerifierKey, Fault> {
    let key: VerifierKey = text.parse()?;
    let given = key.algorithm();
    if given == expected { Ok(key) } else { Err(KeyError::Algorithm { expected, given }.into()) }
}

fn limit(defined: usize) -> Result<(), Fault> {
    if defined < MAX_DEFINITIONS { Ok(()) } else { Err(Fault::TooMany) }
}
