//! Writing what an auditor takes along: a bundle with every record, with those since a seal, or
//! with one cooperative's; or the log as static files for clients of others.
//!
//! Each is made beside the path that it will have, and appears there only when it is whole.

mod cooperative;
mod extension;
mod folder;
mod log;
mod pass;
mod picked;
mod proven;
mod range;
mod segments;
mod source;
mod tiles;
mod walk;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use bergulir_chain::checkpoint::CheckpointError;
use bergulir_chain::frame::BuildError;
use bergulir_chain::merkle::{ProveError, TreeHead};
use bergulir_chain::note::Note;
use bergulir_chain::{ChainError, Hash, LogSize, Position};
use bergulir_domain::{CooperativeId, LedgerId};
use thiserror::Error;

pub use log::BundleWriter;
pub use tiles::TilesWriter;

use crate::bundle::Kind;
use crate::{CannotTell, Progress, SignatureFault, Stage, find};
use source::Source;
use walk::walk;

/// What to export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Every record, as a bundle.
    Log,
    /// The records since a seal, as a bundle.
    Range {
        /// What the seal is through; absent: the newest one.
        through: Option<Position>,
    },
    /// One cooperative's view, as a bundle.
    Cooperative {
        /// Whose.
        cooperative: CooperativeId,
    },
    /// The log as static files (C2SP `tlog-tiles`).
    Tiles,
}

/// What was exported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exported {
    /// Where it is.
    pub path: PathBuf,
    /// What kind of bundle it is; absent: static files.
    pub kind: Option<Kind>,
    /// The log's origin.
    pub origin: String,
    /// The size of its checkpoint.
    pub size: LogSize,
}

/// Nothing was exported.
#[derive(Debug, Error)]
pub enum ExportError {
    /// Something is at the path already.
    #[error("{} is there already: give a path where nothing is", path.display())]
    Exists {
        /// The path.
        path: PathBuf,
    },
    /// The path is inside of what is exported.
    #[error(
        "{} is inside {}, which is exported and is a server's own: give a path elsewhere",
        out.display(), path.display()
    )]
    Inside {
        /// Where it was to be written.
        out: PathBuf,
        /// What is exported.
        path: PathBuf,
    },
    /// It was stopped on the way.
    #[error("the export was stopped; nothing was written")]
    Stopped,
    /// The path has no last name.
    #[error("{} cannot be the name of a new folder", path.display())]
    Unnamed {
        /// The path.
        path: PathBuf,
    },
    /// There is no log to export from.
    #[error(transparent)]
    Source(#[from] CannotTell),
    /// There is more than one ledger, or none.
    #[error("{} does not hold exactly one ledger: say which one (--ledger)", path.display())]
    WhichLedger {
        /// The path.
        path: PathBuf,
    },
    /// The log has no checkpoint yet.
    #[error("no checkpoint lies in {}: the server makes one as soon as it has a key", folder.display())]
    NoCheckpoint {
        /// The folder in which it should lie.
        folder: PathBuf,
    },
    /// A checkpoint cannot be read.
    #[error("the checkpoint: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// The older checkpoint is of another log.
    #[error(
        "the older checkpoint is of the log {found}; with so many records, this one was {expected}"
    )]
    OtherLog {
        /// The origin that the log had with as many records.
        expected: String,
        /// The log of the older checkpoint.
        found: String,
    },
    /// The older checkpoint is of more records.
    #[error(
        "the older checkpoint is of {old} records, and the log's is of {new}: records are missing, \
         or the log's checkpoint was put back; verify the log"
    )]
    Shrank {
        /// The size of the older one.
        old: LogSize,
        /// The size of the log's.
        new: LogSize,
    },
    /// The older checkpoint is not signed by the log.
    #[error(
        "the older checkpoint, of {size} records, is not signed by the log's key: {fault}. Is it the \
         right file, as you kept it?"
    )]
    SinceNotSigned {
        /// How many records it covers.
        size: LogSize,
        /// Why.
        fault: Box<SignatureFault>,
    },
    /// The log is not what it was at the older checkpoint.
    #[error(
        "the older checkpoint, of {size} records, says the root {stated}, but the records give \
         {found}: the log was rewritten since; verify it with --since"
    )]
    Rewritten {
        /// How many records it covers.
        size: LogSize,
        /// The root that it states.
        stated: Hash,
        /// The root that the records give.
        found: Hash,
    },
    /// No such seal is covered by the checkpoint.
    #[error(
        "the checkpoint, of {size} records, covers no seal{}: have the ledger sealed, and take a \
         newer checkpoint", match through { Some(at) => format!(" through position {at}"), None => String::new() }
    )]
    NoSeal {
        /// What the seal should be through, if that was asked for.
        through: Option<Position>,
        /// The size of the checkpoint.
        size: LogSize,
    },
    /// The ledger has no such cooperative.
    #[error("up to its checkpoint, the ledger has no cooperative {cooperative}")]
    NoCooperative {
        /// Which.
        cooperative: CooperativeId,
    },
    /// It is about the checkpoint that witnesses stand for.
    #[error("the checkpoint that witnesses stand for (checkpoint.witnessed) is taken along; {0}")]
    Witnessed(Box<ExportError>),
    /// A record of the log is not right.
    #[error("at position {position}: {why}. Verify the log: bergulir audit verify")]
    Log {
        /// Where.
        position: Position,
        /// Why.
        why: String,
    },
    /// A record does not continue the chain.
    #[error("{0}. Verify the log: bergulir audit verify")]
    Chain(#[from] ChainError),
    /// The records are not those of the checkpoint.
    #[error(
        "{} records give the root {}, but the checkpoint is of {} records and {}: verify the log",
        found.size, found.root, stated.size, stated.root
    )]
    Disagree {
        /// What the records give.
        found: TreeHead,
        /// What the checkpoint says.
        stated: TreeHead,
    },
    /// Records cannot be made a frame.
    #[error("the records from position {position} on cannot be written: {source}")]
    Frame {
        /// The first of them.
        position: Position,
        /// Why.
        source: BuildError,
    },
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl ExportError {
    fn io(path: &Path, source: io::Error) -> ExportError {
        ExportError::Io { path: path.to_owned(), source }
    }

    fn log(position: u64, why: &dyn std::fmt::Display) -> ExportError {
        ExportError::Log { position: Position::new(position), why: why.to_string() }
    }
}

impl From<ProveError<picked::Missing>> for ExportError {
    fn from(error: ProveError<picked::Missing>) -> ExportError {
        let position = match error {
            ProveError::NotInTree { index, .. } => index,
            ProveError::Shrinks { new, .. } => new,
            ProveError::Source(_) => 0,
        };
        ExportError::log(position, &error)
    }
}

/// Exports from the one log at a path: a data directory (say which `ledger` if there are several),
/// a ledger's folder, or a bundle with every record; all up to the newest checkpoint that lies
/// there. If witnesses stand for an older one, a bundle has that too. With `since`, the proof is added that the log goes on from that older checkpoint, which
/// must be the log's own.
///
/// It reads only, takes no lock, and a server may run meanwhile. Once `stop` is set, what was begun
/// is taken away.
///
/// # Errors
/// If there is no such log or no checkpoint, the log is not right as far as it had to be looked at,
/// something is at `out` already, or `out` is inside of what is exported; [`ExportError::Stopped`]
/// if it was stopped.
pub fn export(
    path: &Path,
    ledger: Option<&LedgerId>,
    part: Part,
    since: Option<&Note>,
    out: &Path,
    progress: &mut dyn FnMut(Progress<'_>),
    stop: &AtomicBool,
) -> Result<Exported, ExportError> {
    apart(path, out)?;
    let mut told = |done, total| {
        progress(Progress { folder: path, stage: Stage::Survey, done, total });
    };
    let patience = Duration::from_millis(500);
    let source = Source::open(path, ledger, patience, &mut told, stop)?;
    let total = source.checkpoint.size.get();
    let mut told = |stage, done: u64| {
        // Telling it costs more than a record.
        if done.is_multiple_of(1024) || done == total {
            progress(Progress { folder: &source.folder, stage, done, total });
        }
    };
    match part {
        Part::Log => {
            let witnessed = source.witnessed.as_ref();
            let mut bundle = BundleWriter::create(out, &source.note, witnessed, since)?;
            walk(&source, total, &mut |position, bytes| {
                told(Stage::Export, position + 1);
                bundle.push(bytes)
            })?;
            bundle.finish()
        }
        Part::Tiles => {
            let mut tiles = TilesWriter::create(out, &source.note)?;
            walk(&source, total, &mut |position, bytes| {
                told(Stage::Export, position + 1);
                tiles.push(bytes)
            })?;
            tiles.finish()
        }
        Part::Range { through } => {
            let extension = source.extension(since)?;
            range::write(&source, out, through, extension, &mut told)
        }
        Part::Cooperative { cooperative } => {
            let extension = source.extension(since)?;
            cooperative::write(&source, out, cooperative, extension, &mut told)
        }
    }
}

/// Refuses to write into what is exported: a data directory, also if only one of its ledgers is.
fn apart(path: &Path, out: &Path) -> Result<(), ExportError> {
    let real = |path: &Path| path.canonicalize().map_err(|error| ExportError::io(path, error));
    let parent = out.parent().filter(|parent| !parent.as_os_str().is_empty());
    // What is not there is reported by whoever needs it.
    let (Ok(inside), Ok(exported)) = (real(parent.unwrap_or(Path::new("."))), real(path)) else {
        return Ok(());
    };
    let is_ledgers = |folder: &&Path| folder.file_name().is_some_and(|name| name == find::LEDGERS);
    let ledgers = exported.ancestors().find(is_ledgers).and_then(Path::parent);
    let whole = ledgers.filter(|data| data.join(find::LOCK).exists()).unwrap_or(&exported);
    if inside.starts_with(whole) {
        let (out, path) = (out.to_owned(), whole.to_owned());
        return Err(ExportError::Inside { out, path });
    }
    Ok(())
}
