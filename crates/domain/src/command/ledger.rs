//! The ledger itself: its names, its rules, its keys, its seals.

use crate::id::LedgerId;
use crate::ledger::{Origin, Region};
use crate::moment::{Position, UtcOffset};
use crate::money::Currency;
use crate::text::{SignedNote, VerifierKey};

/// Opens the ledger: position 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenLedger {
    /// The ledger's name on its node.
    pub ledger: LedgerId,
    /// The ledger's name everywhere, for ever; the chain binds every later record to it.
    pub origin: Origin,
    /// The key that checkpoints are checked with, as a C2SP verifier key. Absent: none yet.
    pub verifier_key: Option<VerifierKey>,
    /// The region whose villages it serves.
    pub region: Region,
    /// The currency of all its money.
    pub currency: Currency,
    /// Where an instant becomes a date.
    pub utc_offset: UtcOffset,
    /// The rules in force from position 0.
    pub rules_version: u32,
}

/// Switches to newer rules from here on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AdoptRules {
    /// The version to switch to, above the one in force.
    pub version: u32,
}

/// Names the key that signs the log's checkpoints from here on, in place of the one before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotateKey {
    /// The key, as a C2SP verifier key whose name is the origin; each is named once in a log.
    pub verifier_key: VerifierKey,
}

/// Goes on, after a loss, with the records that survived, under another origin. It is not asked of a
/// server: an operator does it to a log that no server has open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContinueLedger {
    /// The ledger's name on its node from here on.
    pub ledger: LedgerId,
    /// The ledger's name everywhere from here on; the log never had it before.
    pub origin: Origin,
    /// The key that checkpoints are checked with from here on, as a C2SP verifier key whose name is
    /// the new origin. Those of before sign no more.
    pub verifier_key: VerifierKey,
    /// The origin until here.
    pub from_origin: Origin,
    /// The newest checkpoint of that origin that the log does not lead to; if it leads to all that
    /// are known, the newest of them. Absent: none is known.
    pub last_known: Option<LastKnown>,
}

/// The newest that is known of a log that suffered a loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LastKnown {
    /// The signed checkpoint, byte for byte.
    pub checkpoint: SignedNote,
    /// The log has as many records as the checkpoint covers, or more, and they are not those: two
    /// histories were recorded under one origin.
    pub forked: bool,
}

/// Binds all balances and the whole state at a position into the chain; made by the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seal {
    /// The last record that the seal covers; it ends its batch.
    pub through: Position,
    /// Merkle root over every account and every fund's books.
    pub balance_root: [u8; 32],
    /// SHA-256 of the canonical encoding of the state.
    pub state_digest: [u8; 32],
}
