//! The offline verifier: it reads the log of a ledger as bytes and checks everything that can be
//! checked without trusting whoever wrote it. Frames and their sums, positions, the hash chain,
//! time order and whole batches; then every decision is made again from the bytes, money is
//! counted in two ways at every position, and every seal is compared with what the records give.
//!
//! [`Depth::ChainOnly`] leaves the decisions, the money and the seals out.
//!
//! It reads only, takes no lock, and works on a data directory whether or not a server runs on it:
//! where a log ends is settled once, at the start.
//!
//! The checkpoints beside a log are held against it: the root over its records, the signature of
//! the key that its records name, the cosignatures of witnesses. A [`Trust`] brings what does not
//! come with the log: keys, a policy, a checkpoint of an earlier visit. Without any checkpoint,
//! whole frames cut off the end do not show; each report says [what was checked](Checked) and
//! [what was not](NotChecked).

mod balances;
mod bundle;
mod claims;
mod counts;
mod diagnosis;
mod export;
mod fetch;
mod find;
mod links;
mod past;
mod reader;
mod reason;
mod report;
mod scope;
mod sightings;
mod survey;
mod tail;
mod trust;
mod verifier;
mod window;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bergulir_domain::LedgerId;
use thiserror::Error;

pub use balances::Imbalance;
pub use bundle::{Kind, ManifestError};
pub use export::{BundleWriter, ExportError, Exported, Part, TilesWriter, export};
pub use reason::Reason;
pub use report::{
    AccountReport, Continued, Finding, FundReport, LedgerReport, PassedOver, Place, Totals,
    Unproven, Verdict, Verification, WhyPassedOver,
};
pub use scope::{Checked, NotChecked};
pub use trust::{CheckpointSource, SignatureFault, Trust};

use verifier::Start;

/// What to verify, and how.
#[derive(Debug, Clone)]
pub struct Options {
    /// Only this ledger of a data directory. Of a ledger's own folder: the name that its log must
    /// have. Absent: every ledger there is.
    pub ledger: Option<LedgerId>,
    /// How long the end of a log must stand still before an unfinished frame there counts as torn:
    /// a server that is running may be writing it.
    pub patience: Duration,
    /// How far to look into the records.
    pub depth: Depth,
    /// Whom to trust, and what the auditor saw before.
    pub trust: Trust,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            ledger: None,
            patience: Duration::from_millis(500),
            depth: Depth::default(),
            trust: Trust::default(),
        }
    }
}

/// How far a verification looks into the records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Depth {
    /// Every decision is made again.
    #[default]
    Rules,
    /// Only how the records hang together: frames, the chain, time, whole batches, the tree, and
    /// what checkpoints and witnesses say about it. That nothing was altered since it was signed
    /// shows; that the rules were kept does not. Takes a fraction of the time and little memory.
    ChainOnly,
}

/// How far a verification is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress<'a> {
    /// The folder of the log that is read.
    pub folder: &'a Path,
    /// What is being done.
    pub stage: Stage,
    /// How much of it is done, in the unit of the stage.
    pub done: u64,
    /// How much there is.
    pub total: u64,
}

/// A part of a verification.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The files are looked through for frames and seals; in bytes.
    Survey,
    /// Every record is checked, and decided again if that is asked for; in records.
    Verify,
    /// Records are written elsewhere; in records.
    Export,
}

/// Nothing could be verified.
#[derive(Debug, Error)]
pub enum CannotTell {
    /// The path is neither a data directory nor a ledger's folder nor a log.
    #[error(
        "{} holds no log: give a data directory (with ledgers/ in it), one ledger's folder (with \
         log/ in it) or a log folder (with .seg files in it)",
        path.display()
    )]
    NoLog {
        /// The path that was given.
        path: PathBuf,
    },
    /// The data directory has no ledger of that name, or none at all.
    #[error(
        "{} holds no ledger{}{}", path.display(), named(ledger.as_ref()), listed(passed_over)
    )]
    NoLedger {
        /// The path that was given.
        path: PathBuf,
        /// The ledger that was asked for.
        ledger: Option<LedgerId>,
        /// What lies there and is none.
        passed_over: Vec<PassedOver>,
    },
    /// A checkpoint to compare with was given, and several ledgers.
    #[error(
        "the checkpoint seen earlier is of one ledger, and there are {ledgers} here: say which one \
         (--ledger)"
    )]
    WhichLedger {
        /// How many there are.
        ledgers: usize,
    },
    /// The operating system failed.
    #[error("could not read {}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

fn named(ledger: Option<&LedgerId>) -> String {
    ledger.map_or_else(String::new, |ledger| format!(" {ledger}"))
}

fn listed(passed_over: &[PassedOver]) -> String {
    let listed: Vec<String> = passed_over.iter().map(PassedOver::to_string).collect();
    if listed.is_empty() { String::new() } else { format!("; passed over: {}", listed.join(", ")) }
}

/// Verifies what is at `path`: a bundle (with a file `bundle`), a data directory (with `ledgers/`),
/// the folder of one ledger (with `log/`), or a log folder itself (with `.seg` files). One report a ledger, in the
/// order of their names; `progress` is called now and then on the way.
///
/// A log that is damaged, forged, torn or cannot be read is a [`Finding`] of its report. In a data
/// directory, what is not a ledger or was never fully created is only [named](PassedOver).
///
/// # Errors
/// If there is no log at all.
pub fn verify(
    path: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<Verification, CannotTell> {
    if path.join(bundle::MANIFEST).is_file() {
        let ledgers = vec![bundle::verify(path, options, progress)];
        return Ok(Verification { ledgers, passed_over: Vec::new() });
    }
    let found = find::log_folders(path, options.ledger.as_ref())?;
    if options.trust.since.is_some() && found.logs.len() > 1 {
        return Err(CannotTell::WhichLedger { ledgers: found.logs.len() });
    }
    let mut ledgers = Vec::new();
    let mut passed_over = found.passed_over;
    for log in &found.logs {
        let report = verifier::verify(Start::of(log, options), options, progress);
        if found.is_data_directory && report.finding.is_unborn() {
            let folder = log.path.parent().unwrap_or(&log.path).to_owned();
            passed_over.push(PassedOver { path: folder, why: WhyPassedOver::NoRecord });
        } else {
            ledgers.push(report);
        }
    }
    if ledgers.is_empty() {
        let (path, ledger) = (path.to_owned(), options.ledger);
        return Err(CannotTell::NoLedger { path, ledger, passed_over });
    }
    passed_over.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Verification { ledgers, passed_over })
}
