//! One run over one ledger: from what the backup has to what the log has now.

use std::path::{Path, PathBuf};

use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::Note;
use bergulir_chain::{Hash, LogSize, Position, Timestamp};

use super::BackupError;
use super::copy::LogCopy;
use super::manifest::Manifest;
use crate::file_log::Place;
use crate::folder::create_folder_durably;
use crate::layout::{CHECKPOINT_FILE, CONTINUED_FILE, LOG_FOLDER, WITNESSED_FILE};
use crate::small_file::replace_file_durably;

/// What a ledger has to be backed up.
#[derive(Clone, Debug, Default)]
pub struct Offer {
    /// How many durable records, to the end of a frame.
    pub size: LogSize,
    /// The hash of the record before the place at which the backup ends, if that can be told.
    pub previous: Option<Hash>,
    /// The newest checkpoint of the log.
    pub checkpoint: Option<Note>,
    /// The newest that enough witnesses cosigned.
    pub witnessed: Option<Note>,
    /// The mark of a ledger that goes on as another one.
    pub continued: Option<Vec<u8>>,
}

/// A run over one ledger.
#[derive(Debug)]
pub struct Run {
    folder: PathBuf,
    ledger: String,
    before: Option<Manifest>,
    copy: LogCopy,
    offer: Offer,
    /// The bytes that were written, and those of a run before that was cut short.
    began: u64,
}

impl Run {
    pub(super) fn begin(folder: &Path, ledger: &str) -> Result<Run, BackupError> {
        create_folder_durably(folder)
            .map_err(|error| BackupError::io("make the folder", folder, error))?;
        let before = Manifest::read(folder)?;
        let copy = LogCopy::resume(&folder.join(LOG_FOLDER), before.as_ref())?;
        let began = bytes(&copy);
        let (folder, ledger) = (folder.to_owned(), ledger.to_owned());
        Ok(Run { folder, ledger, before, copy, offer: Offer::default(), began })
    }

    /// Where the backup ends, what was left of a run that was cut short included.
    pub fn place(&self) -> Place {
        self.copy.place()
    }

    /// The manifest as it was.
    pub fn before(&self) -> Option<&Manifest> {
        self.before.as_ref()
    }

    /// How many bytes of the log were copied.
    pub fn copied(&self) -> u64 {
        bytes(&self.copy).saturating_sub(self.began)
    }

    /// How many records the copy has by now.
    pub fn records(&self) -> LogSize {
        self.copy.head().size
    }

    /// Whether there is more than the manifest says: the rest of a run that was cut short.
    pub fn has_rest(&self) -> bool {
        self.copy.head().size > self.kept()
    }

    /// Forgets that rest.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn drop_rest(&mut self) -> Result<(), BackupError> {
        self.copy.rewind(self.before.as_ref())?;
        self.began = bytes(&self.copy);
        Ok(())
    }

    fn kept(&self) -> LogSize {
        self.before.as_ref().map_or(LogSize::EMPTY, |before| before.head.size)
    }

    /// Compares what the ledger has with what the backup has, before anything is copied.
    ///
    /// # Errors
    /// If it does not go on from there.
    pub fn accept(&mut self, offer: Offer) -> Result<(), BackupError> {
        let here = self.copy.head();
        let stated = |note: &Option<Note>| {
            note.as_ref().map(|note| Checkpoint::parse_unverified(note.text())).transpose()
        };
        let (newest, witnessed) = (stated(&offer.checkpoint)?, stated(&offer.witnessed)?);
        let before = self.before.as_ref().and_then(Manifest::stated);
        if let (Some(kept), Some(found)) = (&before, &newest)
            && kept.origin != found.origin
        {
            let (kept, found) = (kept.origin.clone(), found.origin.clone());
            return Err(BackupError::OtherLedger { kept, found });
        }
        if offer.size < here.size {
            return Err(BackupError::Behind { kept: here.size, found: offer.size });
        }
        if let Some(found) = offer.previous.filter(|found| *found != here.hash) {
            let why =
                format!("the record before has the hash {} here, and {found} there", here.hash);
            return Err(BackupError::OtherHistory { kept: here.size, why });
        }
        if newest.is_none() && before.is_none() && offer.continued.is_none() {
            return Err(BackupError::NoCheckpoint);
        }
        let ahead = |stated: &&Checkpoint| stated.size >= here.size;
        for stated in newest.iter().chain(&witnessed).filter(ahead) {
            self.copy.watch(stated.size);
        }
        self.offer = offer;
        Ok(())
    }

    /// Takes bytes of the log's files, in order.
    ///
    /// # Errors
    /// As [`LogCopy::write`]; or if they are of another history.
    pub fn write(
        &mut self,
        segment: Position,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), BackupError> {
        let begins_here = self.copied() == 0;
        let kept = self.copy.head().size;
        self.copy.write(segment, offset, bytes).map_err(|error| match error {
            // The first one that does not fit, of bytes that are sound by themselves.
            BackupError::Damaged { why, is_whole: true, .. }
                if begins_here && !kept.is_empty() && self.copy.head().size == kept =>
            {
                BackupError::OtherHistory { kept, why }
            }
            other => other,
        })
    }

    /// Ends the run: everything is durable, and then the manifest says so. Gives it.
    ///
    /// # Errors
    /// If not everything came, if it is not what was signed, or the disk fails. The backup is then
    /// what it was before.
    pub fn finish(mut self, taken_at: Timestamp) -> Result<Manifest, BackupError> {
        let found = self.copy.head().size;
        if found < self.offer.size {
            return Err(BackupError::CutShort { expected: self.offer.size, found });
        }
        let before = self.before.as_ref();
        let checkpoint = self.newer(
            self.offer.checkpoint.as_ref(),
            before.and_then(|before| before.checkpoint.as_ref()),
        );
        let witnessed = self.newer(
            self.offer.witnessed.as_ref(),
            before.and_then(|before| before.witnessed.as_ref()),
        );
        let (checkpoint, witnessed) = match (checkpoint, witnessed) {
            (Ok(checkpoint), Ok(witnessed)) => (checkpoint, witnessed),
            (Err(error), _) | (_, Err(error)) => {
                self.drop_rest()?;
                return Err(error);
            }
        };
        self.copy.sync()?;
        let manifest = Manifest {
            ledger: self.ledger,
            head: self.copy.head(),
            recorded_at: self.copy.recorded_at(),
            taken_at,
            segments: self.copy.segments().to_vec(),
            subtrees: self.copy.subtrees().to_vec(),
            checkpoint,
            witnessed,
            continued: self.offer.continued.or_else(|| before.and_then(|b| b.continued.clone())),
        };
        manifest.write(&self.folder)?;
        manifest.write_small_files(&self.folder)?;
        Ok(manifest)
    }

    /// Of a checkpoint that was offered and the one that the backup has, the newer one, if the records
    /// are those that it states.
    fn newer(
        &self,
        offered: Option<&Note>,
        kept: Option<&Note>,
    ) -> Result<Option<Note>, BackupError> {
        let Some(note) = offered else { return Ok(kept.cloned()) };
        let stated = Checkpoint::parse_unverified(note.text())?.head();
        match self.copy.root(LogSize::new(stated.size)) {
            Some(found) if found == stated.root => Ok(Some(note.clone())),
            Some(found) => Err(BackupError::Disagree { stated, found }),
            // It is older than what the backup had, which was checked against a newer one, or it is of
            // more records than a ledger has that goes on as another one.
            None => Ok(kept.cloned()),
        }
    }
}

impl Manifest {
    /// The small files of the ledger, by name.
    pub(super) fn small_files(&self) -> Vec<(&'static str, Vec<u8>)> {
        let note = |note: &Note| note.to_string().into_bytes();
        [
            (CHECKPOINT_FILE, self.checkpoint.as_ref().map(note)),
            (WITNESSED_FILE, self.witnessed.as_ref().map(note)),
            (CONTINUED_FILE, self.continued.clone()),
        ]
        .into_iter()
        .filter_map(|(name, bytes)| Some((name, bytes?)))
        .collect()
    }

    /// Writes them beside the log.
    ///
    /// # Errors
    /// If the disk fails.
    pub fn write_small_files(&self, folder: &Path) -> Result<(), BackupError> {
        for (name, bytes) in self.small_files() {
            let path = folder.join(name);
            replace_file_durably(&path, &bytes)
                .map_err(|error| BackupError::io("write", &path, error))?;
        }
        Ok(())
    }
}

fn bytes(copy: &LogCopy) -> u64 {
    copy.segments().iter().map(|segment| segment.bytes).sum()
}
