//! What a ledger has to be backed up: of one that runs, and of one in a data directory that a server
//! may be using.

use crate::known::{self, ROLLED_BACK};
use crate::ledger::Ledger;
use crate::proofs::ProofRefusal;
use bergulir_chain::note::Note;
use bergulir_chain::{LogSize, Position, record};
use bergulir_domain::LedgerId;
use bergulir_store::file_log::{Disk, end_of_frame};
use bergulir_store::layout::{
    CHECKPOINT_FILE, CONTINUED_FILE, LEDGERS_FOLDER, LOG_FOLDER, WITNESSED_FILE,
};
use bergulir_store::{OpenError, ReadError, ReadLimit, salvage};
use std::io;
use std::path::{Path, PathBuf};
use thiserror::Error;

pub use bergulir_store::backup::Offer;
pub use bergulir_store::file_log::{Piece, Pieces, Place};

/// A checkpoint that was signed inside of a frame, as happens under load, is asked for again so often
/// until one is at the end of a frame: it covers all that is copied then.
const ATTEMPTS: u32 = 5;

/// Why a ledger has nothing to be backed up.
#[derive(Debug, Error)]
pub enum NoOffer {
    /// Its log is not the newest that is known.
    #[error("{why}. A backup of it could not be told from a backup of the true log: back that up")]
    RolledBack {
        /// Why it takes no writes.
        why: String,
    },
    /// Its log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// Its log cannot be looked through.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// A small file of the ledger cannot be read.
    #[error("could not read {}: {why}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The thread that read failed.
    #[error("reading the log failed: {0}")]
    Panicked(#[from] tokio::task::JoinError),
}

impl Ledger {
    /// What there is to be backed up from a place on: everything that is durable now, under a
    /// checkpoint that covers it. If none can be signed, the newest that there is covers less.
    ///
    /// # Errors
    /// If the log is not the newest that is known, or cannot be read.
    pub async fn offer_backup(&self, place: Place) -> Result<Offer, NoOffer> {
        let folder = self.checkpoints.folder().to_owned();
        let continued = mark(&folder)?;
        if let Some(why) = self.health.failure()
            && why.starts_with(ROLLED_BACK)
            && continued.is_none()
        {
            return Err(NoOffer::RolledBack { why });
        }
        let log = self.log_folder();
        let (mut size, mut newest) = (self.head().size, self.checkpoints.newest());
        for _ in 0..ATTEMPTS {
            let durable = self.head().size;
            match self.checkpoint(Some(durable)).await {
                Ok(signed) => {
                    let covered = signed.checkpoint.size;
                    let log = log.clone();
                    let ends = move || end_of_frame(&log, covered);
                    size = tokio::task::spawn_blocking(ends).await??;
                    newest = Some(signed);
                    if size == covered {
                        break;
                    }
                }
                Err(ProofRefusal::Log(error)) => return Err(error.into()),
                // Nobody signs: what is durable is worth a backup all the same.
                Err(_) => {
                    size = durable;
                    break;
                }
            }
        }
        let witnessed = self.checkpoints.witnessed();
        Ok(Offer {
            size,
            previous: self.hash_before(place.next)?,
            checkpoint: newest.map(|signed| signed.note.clone()),
            witnessed: witnessed.map(|signed| signed.note.clone()),
            continued,
        })
    }

    /// The folder of its log.
    pub fn log_folder(&self) -> PathBuf {
        self.checkpoints.folder().join(LOG_FOLDER)
    }

    /// The hash of the record before a position, if there is one.
    fn hash_before(&self, next: Position) -> Result<Option<bergulir_chain::Hash>, ReadError> {
        let size = self.log.head().size;
        let Some(last) = LogSize::new(next.get()).last().filter(|last| size.holds(*last)) else {
            return Ok(None);
        };
        let records = self.log.read(last, ReadLimit::ONE)?;
        Ok(records.iter().next().map(|(_, bytes)| record::hash(bytes)))
    }
}

/// What the ledger in a folder has to be backed up, beside a server that may be running: what its
/// newest checkpoint covers.
///
/// # Errors
/// If the log is shorter than that, damaged, or cannot be read.
pub fn offer_of_folder(folder: &Path) -> Result<Offer, NoOffer> {
    let read = |file: &str| {
        let path = folder.join(file);
        known::read(&Disk, &path).map_err(|why| NoOffer::File { path, why: why.to_string() })
    };
    let continued = mark(folder)?;
    let witnessed = read(WITNESSED_FILE)?;
    let log = folder.join(LOG_FOLDER);
    if continued.is_some() {
        // Its checkpoint may be of records that are lost: the record that continues it names that.
        let found = salvage::<OpenError>(&log, &mut |_, _, _| Ok(()))?;
        return Ok(Offer { size: found.head.size, continued, ..Offer::default() });
    }
    let mut checkpoint = read(CHECKPOINT_FILE)?;
    let mut size = LogSize::EMPTY;
    for attempt in 0..ATTEMPTS {
        if attempt > 0 {
            // While records come, there is another one every second.
            std::thread::sleep(std::time::Duration::from_millis(300));
            checkpoint = read(CHECKPOINT_FILE)?;
        }
        let Some(covered) = checkpoint.as_ref().and_then(size_of) else { break };
        size = end_of_frame(&log, covered)?;
        if size == covered {
            break;
        }
    }
    Ok(Offer { size, previous: None, checkpoint, witnessed, continued })
}

fn size_of(note: &Note) -> Option<LogSize> {
    let stated = bergulir_chain::checkpoint::Checkpoint::parse_unverified(note.text()).ok()?;
    Some(stated.size)
}

/// The mark of a ledger that goes on as another one.
fn mark(folder: &Path) -> Result<Option<Vec<u8>>, NoOffer> {
    let path = folder.join(CONTINUED_FILE);
    match std::fs::read(&path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(NoOffer::File { path, why: error.to_string() }),
    }
}

/// The ledgers of a data directory, by name, and their folders. One whose creation was cut short has
/// no log yet, and is left out.
///
/// # Errors
/// If the directory cannot be read.
pub fn ledgers_of(data: &Path) -> io::Result<Vec<(LedgerId, PathBuf)>> {
    let mut found = Vec::new();
    for folder in std::fs::read_dir(data.join(LEDGERS_FOLDER))? {
        let folder = folder?;
        let id = folder.file_name().to_str().and_then(|name| LedgerId::new(name).ok());
        if let Some(id) = id.filter(|_| folder.path().join(LOG_FOLDER).is_dir()) {
            found.push((id, folder.path()));
        }
    }
    found.sort_by_key(|(id, _)| *id);
    Ok(found)
}
