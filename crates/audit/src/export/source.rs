//! What is exported from: a log on disk, up to its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bergulir_chain::Position;
use bergulir_chain::checkpoint::{Checkpoint, CheckpointError};
use bergulir_chain::note::Note;
use bergulir_domain::LedgerId;

use super::ExportError;
use super::extension::Extension;
use crate::bundle::{CHECKPOINT, WITNESSED};
use crate::claims::read_if_there;
use crate::find;
use crate::survey::{Survey, survey};

/// A log with its checkpoint.
pub(super) struct Source<'s> {
    pub(super) folder: PathBuf,
    pub(super) survey: Survey,
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
    /// The one that witnesses stand for, if it is of fewer records.
    pub(super) witnessed: Option<Note>,
    /// Set once nothing more is to be written.
    pub(super) stop: &'s AtomicBool,
}

impl<'s> Source<'s> {
    /// The one log at a path.
    pub(super) fn open(
        path: &Path,
        ledger: Option<&LedgerId>,
        patience: Duration,
        progress: &mut dyn FnMut(u64, u64),
        stop: &'s AtomicBool,
    ) -> Result<Source<'s>, ExportError> {
        let found = find::log_folders(path, ledger)?;
        let mut logs = found.logs.into_iter();
        let (Some(log), None) = (logs.next(), logs.next()) else {
            return Err(ExportError::WhichLedger { path: path.to_owned() });
        };
        // Before the log is looked over, which may grow meanwhile.
        let folder = log.beside.unwrap_or_else(|| log.path.clone());
        // The newest one last, so that it is not older than the witnessed one.
        let witnessed = read_if_there(&folder.join(WITNESSED))?;
        let witnessed = witnessed.map(|bytes| parse(&bytes)).transpose();
        let witnessed = witnessed.map_err(|error| ExportError::Witnessed(Box::new(error)))?;
        let bytes = read_if_there(&folder.join(CHECKPOINT))?;
        let bytes = bytes.ok_or_else(|| ExportError::NoCheckpoint { folder: folder.clone() })?;
        let (note, witnessed) = in_order(parse(&bytes)?, witnessed)?;
        let checkpoint = Checkpoint::parse_unverified(note.text())?;
        let survey = survey(&log.path, 0, patience, progress)?;
        Ok(Source { folder: log.path, survey, note, checkpoint, witnessed, stop })
    }

    /// The proofs that the log goes on from older checkpoints.
    pub(super) fn extension(&self, since: Option<&Note>) -> Result<Extension, ExportError> {
        Extension::plan(&self.checkpoint, since, self.witnessed.as_ref())
    }

    /// What a seal that the checkpoint covers is through, and where it is: the newest, or the one
    /// through a position.
    pub(super) fn seal(
        &self,
        through: Option<Position>,
    ) -> Result<(Position, Position), ExportError> {
        let size = self.checkpoint.size;
        let mut seals =
            self.survey.sealed.iter().map(|(t, at)| (Position::new(*t), Position::new(*at)));
        let covered = |seal: &(Position, Position)| size.holds(seal.1);
        let found = match through {
            Some(through) => seals.find(|seal| seal.0 == through && covered(seal)),
            None => seals.rfind(covered),
        };
        found.ok_or(ExportError::NoSeal { through, size })
    }
}

fn parse(bytes: &[u8]) -> Result<Note, ExportError> {
    Ok(Note::parse(bytes).map_err(CheckpointError::from)?)
}

/// Of the newest checkpoint and the newest one that witnesses stand for: the one to export to, and
/// the other if it is of fewer records. Where both are of as many, the witnessed one says more.
pub(super) fn in_order(
    newest: Note,
    witnessed: Option<Note>,
) -> Result<(Note, Option<Note>), ExportError> {
    let Some(witnessed) = witnessed else {
        return Ok((newest, None));
    };
    let [stated, found] =
        [&newest, &witnessed].map(|note| Checkpoint::parse_unverified(note.text()));
    let (stated, found) = (stated?, found?);
    if found.size == stated.size && newest.text() != witnessed.text() {
        let (found, stated) = (found.head(), stated.head());
        return Err(ExportError::Witnessed(Box::new(ExportError::Disagree { found, stated })));
    }
    match (found.size >= stated.size, found.size.is_empty()) {
        (true, _) => Ok((witnessed, None)),
        // No record is vouched for.
        (false, true) => Ok((newest, None)),
        (false, false) => Ok((newest, Some(witnessed))),
    }
}
