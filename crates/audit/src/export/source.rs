//! What is exported from: a log on disk, up to its checkpoint.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bergulir_chain::Position;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::Note;
use bergulir_domain::LedgerId;

use super::ExportError;
use crate::claims::{CHECKPOINT, read_if_there};
use crate::find;
use crate::survey::{Survey, survey};

/// A log with its checkpoint.
pub(super) struct Source<'s> {
    pub(super) folder: PathBuf,
    pub(super) survey: Survey,
    pub(super) note: Note,
    pub(super) checkpoint: Checkpoint,
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
        let bytes = read_if_there(&folder.join(CHECKPOINT))?;
        let bytes = bytes.ok_or_else(|| ExportError::NoCheckpoint { folder: folder.clone() })?;
        let note =
            Note::parse(&bytes).map_err(bergulir_chain::checkpoint::CheckpointError::from)?;
        let checkpoint = Checkpoint::parse_unverified(note.text())?;
        let survey = survey(&log.path, 0, patience, progress)?;
        Ok(Source { folder: log.path, survey, note, checkpoint, stop })
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
