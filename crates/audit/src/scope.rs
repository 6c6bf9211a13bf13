//! What a verification looked at, and what it could not see.

use bergulir_chain::{LogSize, Position};
use std::fmt;

/// Something that was checked and is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Checked {
    /// Frames and their sums, positions, the hash chain, time order and whole batches.
    Chain {
        /// How many records.
        records: u64,
    },
    /// Every decision was made again and every request id looked for, and money was counted in two
    /// ways.
    Decisions {
        /// How many records.
        records: u64,
    },
    /// Seals are what the records give.
    Seals {
        /// How many.
        seals: u64,
    },
    /// The root over the record hashes is that of the checkpoint.
    Root {
        /// The size of the checkpoint.
        size: LogSize,
    },
    /// The key in force signed the checkpoint.
    Signature {
        /// The key, as `NAME+ID`.
        key: String,
    },
    /// A key that was trusted beforehand, and that the log names, signed the checkpoint.
    TrustedKey,
    /// A quorum of the policy's witnesses cosigned.
    Witnesses {
        /// The size of the checkpoint.
        size: LogSize,
        /// Who, as the policy calls them.
        witnesses: Vec<String>,
    },
    /// The log is an extension of what it was at an earlier visit.
    Extension {
        /// Its size then.
        from: LogSize,
    },
    /// The state from which the records go on is that of a seal among them.
    State {
        /// The last record before them.
        through: Position,
    },
    /// Single records are in the log.
    Inclusion {
        /// How many.
        records: u64,
    },
    /// Balances of accounts are those of a seal.
    Balances {
        /// How many accounts.
        accounts: u64,
        /// The last record that the seal covers.
        through: Position,
    },
    /// The records of the accounts are all there are, up to the seal.
    Statements {
        /// How many, over all accounts.
        records: u64,
    },
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Checked::Chain { records } => {
                write!(f, "form, hash chain, time order and whole batches of {records} records")
            }
            Checked::Decisions { records } => write!(
                f,
                "{records} decisions made again under the rules then in force, and every balance"
            ),
            Checked::Seals { seals } => write!(f, "{seals} seals, against what the records give"),
            Checked::Root { size } => {
                write!(f, "the root over the first {size} records, against the checkpoint")
            }
            Checked::Signature { key } => write!(f, "the signature of {key} on the checkpoint"),
            Checked::TrustedKey => {
                f.write_str("that a key given, which the log names, signed the checkpoint")
            }
            Checked::Witnesses { size, witnesses } => write!(
                f,
                "cosignatures of {} on the checkpoint of {size} records: a quorum of the policy",
                witnesses.join(", ")
            ),
            Checked::Extension { from } => {
                write!(f, "that the log only grew since it had {from} records")
            }
            Checked::State { through } => {
                write!(f, "the state after position {through}, against a seal among the records")
            }
            Checked::Inclusion { records } => {
                write!(f, "that {records} single records are in the log, against the checkpoint")
            }
            Checked::Balances { accounts, through } => write!(
                f,
                "the balances of {accounts} accounts after position {through}, against a seal"
            ),
            Checked::Statements { records } => write!(
                f,
                "that the {records} records of these accounts are all there were up to the seal"
            ),
        }
    }
}

/// Something that could not be checked with what was given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotChecked {
    /// There is no checkpoint: whole frames cut off the end of the log would not show, nor a log
    /// made anew from the start.
    NoCheckpoint,
    /// Records after those that the checkpoint covers.
    BeyondCheckpoint {
        /// The first of them.
        from: Position,
    },
    /// The log's key is only what the log itself names.
    KeyAsNamed,
    /// No policy says whose cosignatures count.
    Witnesses,
    /// Records after those that a quorum of witnesses vouches for.
    Unwitnessed {
        /// The first of them.
        from: Position,
    },
    /// No older checkpoint was given to compare with.
    Extension,
    /// Request ids and bank references of the records before these were not looked at.
    EarlierUses {
        /// The first record that was verified.
        from: Position,
    },
    /// The records before these were not decided again.
    EarlierDecisions {
        /// The first record that was verified.
        from: Position,
    },
    /// Whether the records before one that continues the log are those of the checkpoint that it names.
    LastKnown {
        /// The record.
        at: Position,
    },
    /// Whether the log's key was given up for another since.
    LaterKeys,
    /// Whether the rules were kept: that takes everybody's records.
    Decisions,
    /// Whether the rules were kept: only the chain was asked for.
    Rules,
    /// Whether the cooperative has accounts that are not shown.
    OtherAccounts,
    /// Any balances: no account of the cooperative is shown.
    Money,
    /// Whether the cooperative's registration, officers and readiness are all there.
    Standing,
    /// Whether records of the cooperative after those that the seal covers are all there.
    AfterSeal {
        /// The last record that the seal covers.
        through: Position,
    },
}

impl fmt::Display for NotChecked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotChecked::NoCheckpoint => f.write_str(
                "whether records are missing at the end, or the whole log was made anew: there is \
                 no checkpoint",
            ),
            NotChecked::BeyondCheckpoint { from } => write!(
                f,
                "whether records are missing at the end, or those from position {from} on were \
                 made anew: the checkpoint does not cover them"
            ),
            NotChecked::KeyAsNamed => f.write_str(
                "whether the log's key is the operator's: it is as the log itself names it; give \
                 the key that you know (--key)",
            ),
            NotChecked::Witnesses => {
                f.write_str("cosignatures of witnesses: say whose count (--policy)")
            }
            NotChecked::Unwitnessed { from } => write!(
                f,
                "whether others were shown the same log from position {from} on: only the log's own \
                 key vouches for that, no quorum of witnesses has cosigned it yet"
            ),
            NotChecked::Extension => f.write_str(
                "whether the log goes on from what you saw last time: give that checkpoint \
                 (--since)",
            ),
            NotChecked::EarlierUses { from } => write!(
                f,
                "whether request ids and bank references were used before position {from}"
            ),
            NotChecked::EarlierDecisions { from } => write!(
                f,
                "whether the records before position {from} kept the rules: their result is as a \
                 seal states it"
            ),
            NotChecked::LastKnown { at } => write!(
                f,
                "whether the records before position {at} are those of the checkpoint that it names: \
                 that takes all of them"
            ),
            NotChecked::LaterKeys => f.write_str(
                "whether the log took another key in a record that was left out of this view: the \
                 key in force may then be another than the last one named here, which signed",
            ),
            NotChecked::Decisions => f.write_str(
                "whether the rules were kept: that takes the records of the whole ledger",
            ),
            NotChecked::Rules => f.write_str(
                "whether the rules were kept, request ids used once, balances and seals right: no \
                 decision was made again, for only the chain was asked for",
            ),
            NotChecked::OtherAccounts => {
                f.write_str("whether the cooperative has accounts that are not shown here")
            }
            NotChecked::Money => {
                f.write_str("any money: this view shows no account, and so no balances")
            }
            NotChecked::Standing => f.write_str(
                "whether the records of its registration, officers and readiness are all there: no \
                 statement counts them",
            ),
            NotChecked::AfterSeal { through } => write!(
                f,
                "whether the records that concern it after position {through} are all there: what \
                 is complete ends with the seal, which covers no later ones"
            ),
        }
    }
}
