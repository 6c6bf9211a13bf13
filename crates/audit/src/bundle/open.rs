//! Verifying a bundle.

use std::collections::BTreeMap;
use std::path::Path;

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::{Prefixes, verify_consistency};
use bergulir_chain::note::Note;
use bergulir_chain::witness::{AddCheckpoint, MAX_REQUEST_BYTES};
use bergulir_chain::{Position, Record};
use bergulir_domain::command::Seal;
use bergulir_domain::{Event, Position as RecordPosition};
use bergulir_proto::decode_event;
use bergulir_proto::replay::{Replica, SnapshotError, digest};

use super::manifest::{MAX_MANIFEST_BYTES, Manifest, ManifestError};
use super::{
    CHECKPOINT, EXTENSION, Kind, LOG, MANIFEST, STATE, WITNESSED, WITNESSED_EXTENSION, contents,
    proofs,
};
use crate::claims::{Claims, Contradiction, read_if_there, read_small};
use crate::find::LogFolder;
use crate::reason::Reason;
use crate::report::{Finding, LedgerReport, Place};
use crate::verifier::{Start, verify as verify_log};
use crate::{CannotTell, Options, Progress};

/// Why a bundle is not verified further.
#[derive(Debug)]
pub(super) enum Fault {
    /// A file of it is not what it must be.
    Damaged { file: String, why: String },
    /// A file cannot be read.
    Unreadable(CannotTell),
    /// What it says is not right.
    Bad(Position, Reason),
    /// It is of a version that is not known here.
    Unknown { why: String },
}

impl From<Contradiction> for Fault {
    fn from((position, reason): Contradiction) -> Fault {
        Fault::Bad(position, reason)
    }
}

impl Fault {
    pub(super) fn damaged(file: &str, why: &dyn ToString) -> Fault {
        Fault::Damaged { file: file.to_owned(), why: why.to_string() }
    }
}

/// A bundle as far as its small files say it.
pub(super) struct Opened {
    pub(super) manifest: Manifest,
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
}

/// Verifies the bundle in a folder.
pub(crate) fn verify(
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> LedgerReport {
    match read(folder, options, progress) {
        Ok(report) => report,
        Err(fault) => {
            let finding = match fault {
                Fault::Damaged { file, why } => Finding::Invalid {
                    position: Position::ZERO,
                    place: Some(Place { file: folder.join(&file), offset: 0 }),
                    reason: Reason::BundleDamaged { file, why },
                },
                Fault::Unreadable(error) => unreadable(error.to_string()),
                Fault::Bad(position, reason) => Finding::Invalid { position, reason, place: None },
                Fault::Unknown { why } => unreadable(why),
            };
            LedgerReport::of_none(folder, finding)
        }
    }
}

fn unreadable(why: String) -> Finding {
    Finding::Unreadable { position: Position::ZERO, why }
}

fn read(
    folder: &Path,
    options: &Options,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<LedgerReport, Fault> {
    let opened = open(folder)?;
    contents::check(folder, &opened.manifest)?;
    witnessed(folder, &opened)?;
    let mut claims = Claims::read(Some(folder), &options.trust)?;
    extension(folder, &opened, &mut claims)?;
    if let Kind::Cooperative { cooperative } = opened.manifest.kind {
        return super::cooperative::verify(folder, &opened, cooperative, claims);
    }
    let log = LogFolder {
        path: folder.join(LOG),
        ledger: options.ledger.map(|ledger| ledger.to_string()),
        beside: None,
        has_index: false,
    };
    let start = Start {
        folder: &log,
        claims: Ok(claims),
        replica: Replica::default(),
        earlier: BTreeMap::new(),
        bundle: Some((opened.manifest.kind, opened.manifest.size)),
        state: None,
    };
    let start = match opened.manifest.kind {
        Kind::Range { from } => range(folder, &opened, from, start)?,
        Kind::Log | Kind::Cooperative { .. } => start,
    };
    Ok(verify_log(start, options, progress))
}

fn open(folder: &Path) -> Result<Opened, Fault> {
    let bytes = read_small(&folder.join(MANIFEST), MAX_MANIFEST_BYTES)?.unwrap_or_default();
    let manifest = Manifest::parse(&bytes).map_err(|error| match error {
        ManifestError::Version if bytes.starts_with(b"bergulir-bundle ") => {
            Fault::Unknown { why: format!("the file {MANIFEST}: {error}") }
        }
        error => Fault::damaged(MANIFEST, &error),
    })?;
    let bytes = read_if_there(&folder.join(CHECKPOINT))?;
    let damaged = |why: &dyn ToString| Fault::damaged(CHECKPOINT, why);
    let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
    let note = Note::parse(&bytes).map_err(|error| damaged(&error))?;
    let checkpoint = Checkpoint::parse_unverified(note.text()).map_err(|error| damaged(&error))?;
    if checkpoint.origin != manifest.origin || checkpoint.size != manifest.size {
        let Manifest { origin, size, .. } = manifest;
        let why = format!("the bundle is of {size} records of {origin}, and the checkpoint is not");
        return Err(damaged(&why));
    }
    Ok(Opened { manifest, note, checkpoint })
}

/// Whether the checkpoint that witnesses stand for is there, if the bundle says so, and the log goes
/// on from it. Whose signatures it has is seen when the keys are known.
fn witnessed(folder: &Path, opened: &Opened) -> Result<(), Fault> {
    let Manifest { origin, witnessed: Some(size), .. } = &opened.manifest else {
        return Ok(());
    };
    let damaged = |why: &dyn ToString| Fault::damaged(WITNESSED, why);
    let bytes = read_if_there(&folder.join(WITNESSED))?;
    let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
    let note = Note::parse(&bytes).map_err(|error| damaged(&error))?;
    let older = Checkpoint::parse_unverified(note.text()).map_err(|error| damaged(&error))?;
    if (&older.origin, older.size) != (origin, *size) {
        return Err(damaged(&format!("it is not of {size} records of {origin}")));
    }
    let damaged = |why: &dyn ToString| Fault::damaged(WITNESSED_EXTENSION, why);
    let bytes = read_small(&folder.join(WITNESSED_EXTENSION), MAX_REQUEST_BYTES as u64)?;
    let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
    let request = AddCheckpoint::parse(&bytes).map_err(|error| damaged(&error))?;
    if request.checkpoint != opened.note || request.old != *size {
        return Err(damaged(&"it does not lead from the witnessed checkpoint to the bundle's"));
    }
    let (old, new) = (older.head(), opened.checkpoint.head());
    verify_consistency(Prefixes::RFC_6962, old, new, &request.proof)
        .map_err(|error| damaged(&error))
}

/// Takes in what the range begins with: the state before it, and records that it looks up.
fn range<'a>(
    folder: &Path,
    opened: &Opened,
    from: Position,
    start: Start<'a>,
) -> Result<Start<'a>, Fault> {
    let damaged = |why: &dyn ToString| Fault::damaged(STATE, why);
    let bytes = read_small(&folder.join(STATE), u64::MAX - 1)?;
    let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
    let replica = Replica::restore(&bytes).map_err(|error| match error {
        SnapshotError::Version(_) => Fault::Unknown { why: format!("the file {STATE}: {error}") },
        error => damaged(&error),
    })?;
    if replica.size().next_position() != from {
        let why = format!("it is the state of {} records, not of {from}", replica.size());
        return Err(damaged(&why));
    }
    let seal = Seal {
        through: RecordPosition::new(from.get().saturating_sub(1)),
        balance_root: *replica.balance_root().as_bytes(),
        state_digest: *digest(&bytes).as_bytes(),
    };
    let records = proofs::read(folder, &opened.checkpoint, &opened.note)?;
    let mut earlier = BTreeMap::new();
    for (position, bytes) in records {
        if position >= from.get() {
            let file = super::record_file(Position::new(position));
            return Err(Fault::damaged(&file, &"it is a record of the range itself"));
        }
        earlier.insert(position, event(position, &bytes)?);
    }
    Ok(Start { replica, earlier, state: Some(seal), ..start })
}

/// The event of a record in a bundle.
pub(super) fn event(position: u64, bytes: &[u8]) -> Result<Event, Fault> {
    let file = super::record_file(Position::new(position));
    let record = Record::parse(bytes).map_err(|error| Fault::damaged(&file, &error))?;
    decode_event(record.event).map_err(|error| Fault::damaged(&file, &error))
}

/// Takes in the proof that the log goes on from an older checkpoint, if there is one, and it is
/// from that which the auditor has.
fn extension(folder: &Path, opened: &Opened, claims: &mut Claims<'_>) -> Result<(), Fault> {
    let Some(bytes) = read_small(&folder.join(EXTENSION), MAX_REQUEST_BYTES as u64)? else {
        return Ok(());
    };
    let damaged = |why: &dyn ToString| Fault::damaged(EXTENSION, why);
    let request = AddCheckpoint::parse(&bytes).map_err(|error| damaged(&error))?;
    if request.checkpoint != opened.note {
        return Err(damaged(&"it is a proof to another checkpoint"));
    }
    claims.extended(request, opened.checkpoint.head()).map_err(|error| damaged(&error))
}
