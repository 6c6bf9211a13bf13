//! Cooperatives: who they are, who acts for them, what makes them ready.

use crate::cooperative::{CooperativeKind, Office, ReadinessItem, VillageCode};
use crate::id::{CooperativeId, OfficerId};
use crate::text::{Name, Number, Reference};

/// Registers the cooperative of a village.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegisterCooperative {
    /// The cooperative.
    pub cooperative: CooperativeId,
    /// Its village; one cooperative per village.
    pub village: VillageCode,
    /// Its kind, which must be the one that the village's code tells.
    pub kind: CooperativeKind,
    /// Its registered name, which the holder of its bank account must have.
    pub name: Name,
    /// Nomor Induk Koperasi, the cooperative's own number (never a person's).
    pub cooperative_number: Option<Number>,
}

/// Appoints an officer, in place of the former one if there is one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AppointOfficer {
    /// The cooperative.
    pub cooperative: CooperativeId,
    /// The office.
    pub office: Office,
    /// Who holds it from now on: an opaque id.
    pub officer: OfficerId,
    /// The minutes or the decision.
    pub evidence: Option<Evidence>,
}

/// A reference to a document and a salted digest of it: enough to recognise it, not to read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// Where the document lies.
    pub reference: Reference,
    /// SHA-256 over a salt of at least 16 random bytes kept with the document, then the document.
    /// A plain hash of a 16-digit number can be guessed.
    pub salted_digest: [u8; 32],
}

/// Confirms one readiness item of a cooperative; confirming it again replaces the evidence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfirmReadiness {
    /// The cooperative.
    pub cooperative: CooperativeId,
    /// The item.
    pub item: ReadinessItem,
    /// The number that the registry gave, for the items that have one.
    pub number: Option<Number>,
    /// The document.
    pub evidence: Evidence,
}
