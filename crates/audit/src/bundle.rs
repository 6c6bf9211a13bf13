//! Audit bundles: folders with all that a verifier needs. `docs/format.md` describes them.

mod accounts;
mod concern;
mod contents;
mod cooperative;
mod manifest;
mod open;
mod proofs;

pub use manifest::{Kind, ManifestError};
pub(crate) use manifest::{MANIFEST, Manifest};
pub(crate) use open::verify;

use bergulir_chain::Position;
use bergulir_chain::proof;
use bergulir_proto::balance_proof;

pub(crate) use crate::claims::{CHECKPOINT, WITNESSED};

/// The folder of the segments.
pub(crate) const LOG: &str = "log";
/// The snapshot from which a range goes on.
pub(crate) const STATE: &str = "state";
/// The folder of single records.
pub(crate) const RECORDS: &str = "records";
/// The proof that the log goes on from an older checkpoint.
pub(crate) const EXTENSION: &str = "extension";

/// The proof that the log goes on from the checkpoint that witnesses stand for.
pub(crate) const WITNESSED_EXTENSION: &str = "extension.witnessed";

/// The folder of balances.
pub(crate) const BALANCES: &str = "balances";

/// The name of the file with the proof of the balances of an account.
pub(crate) fn balance_file(number: usize) -> String {
    format!("{BALANCES}/{number:04}{}", balance_proof::SUFFIX)
}

/// The name of the file with the positions of the records of an account.
pub(crate) fn statement_file(number: usize) -> String {
    format!("{BALANCES}/{number:04}.statement")
}

/// The name of the file with a record and its proof.
pub(crate) fn record_file(position: Position) -> String {
    format!("{RECORDS}/{:020}{}", position.get(), proof::SUFFIX)
}
