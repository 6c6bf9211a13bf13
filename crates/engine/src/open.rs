//! Opening a ledger: the log, the index, and the replay of everything since the last snapshot that
//! a seal vouches for. Each record on the way is checked and decided again.

use crate::anchor::{self, Anchor};
use crate::checkpoints::{log_keys, log_name};
use crate::health::Health;
use crate::horizon::{self, Unknown};
use crate::keyring::Keyring;
use crate::known::{self, Known};
use crate::projector::describe;
use crate::replay::replay;
use crate::scrub::Trusted;
use crate::tree::{Tree, TreeError};
use crate::witnesses::Witnesses;
use bergulir_chain::{Hash, LogSize, Position, Record};
use bergulir_domain::{Event, LedgerId, Timestamp};
use bergulir_proto::event::decode_event;
use bergulir_proto::replay::{ReplayError, Replica, digest};
use bergulir_store::file_log::Medium;
use bergulir_store::index::{Index, IndexError, IndexOptions};
use bergulir_store::layout::{CHECKPOINT_FILE, LOG_FOLDER};
use bergulir_store::{EventLog, FileLog, FileLogOptions, ReadError, ReadLimit, Recovery};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use thiserror::Error;

/// The folder of the index, beside that of the log.
pub(crate) const INDEX_FOLDER: &str = "index";

/// In the folder of the index: where frames begin in the log's segments.
const MARKS_FOLDER: &str = "marks";

/// Beside the index: it was found to be damaged, and is to be made anew.
pub(crate) const CONDEMNED_INDEX: &str = "index-condemned";

/// Why a ledger cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Its log cannot be opened.
    #[error("{0}{advice}", advice = what_to_do_at_open(.0))]
    Log(#[from] bergulir_store::OpenError),
    /// Its log cannot be read.
    #[error("{0}{advice}", advice = what_to_do(.0))]
    Read(#[from] ReadError),
    /// A record is not what the ledger would have written.
    #[error("the log does not hold what this ledger wrote: {0}; restore it from a backup")]
    Replay(#[from] ReplayError),
    /// The index cannot be made.
    #[error("the index cannot be used: {}", describe(.0))]
    Index(#[from] IndexError),
    /// The index has seen records that the log does not have.
    #[error(
        "records are missing from the log: it holds {log}, and the index beside it has seen {index} \
         that were acknowledged; restore the log from a backup (or, if they are lost for good, \
         delete {}: the ledger can be read then, and written to if no checkpoint covers what is \
         lost)", folder.display()
    )]
    RecordsMissing {
        /// How many records the log holds.
        log: LogSize,
        /// How many the index has seen.
        index: LogSize,
        /// The folder of the index.
        folder: PathBuf,
    },
    /// There is a checkpoint of the log, and no log.
    #[error(
        "the log of the ledger is gone, and {} says that there was one: restore the log from a \
         backup, or move the ledger's folder away", checkpoint.display()
    )]
    LogMissing {
        /// The file with the checkpoint.
        checkpoint: PathBuf,
    },
    /// The ledger goes on as another one, and cannot be read any more.
    #[error("{why}; what is kept of it cannot be read: {}", describe(source))]
    Continued {
        /// As what it goes on.
        why: String,
        /// Why it cannot be read.
        source: Box<OpenError>,
    },
    /// The log is another ledger's.
    #[error("the folder of ledger {folder} holds the log of ledger {found}: move it back")]
    OtherLedger {
        /// The name of the folder.
        folder: LedgerId,
        /// The name in the log.
        found: LedgerId,
    },
    /// The server stopped before it was open, or failed while it opened it.
    #[error("the opening of the ledger was broken off")]
    BrokenOff,
    /// The disk does not take what is needed to go on.
    #[error("the disk takes no writes: {source}")]
    NoRoom {
        /// What the operating system said.
        source: std::io::Error,
    },
    /// What the ledger needs beside its log cannot be read.
    #[error("{why}")]
    Beside {
        /// What, and why.
        why: String,
    },
    /// The log of a ledger that was open holds nothing any more.
    #[error("the log of ledger {folder} is empty, and was not: restore it from a backup")]
    Emptied {
        /// The name of the folder.
        folder: LedgerId,
    },
    /// A file or a folder cannot be made, read or written.
    #[error("could not use {} ({source}): see to the disk, and to the rights of it", path.display())]
    Io {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// What to do if the disk does not give the log.
const SEE_TO_THE_DISK: &str = "; see to the disk";

/// What to do about a log that cannot be read.
fn what_to_do(error: &ReadError) -> &'static str {
    match error {
        ReadError::Corrupt { .. } => "; nothing was changed, restore the log from a backup",
        ReadError::Io { .. } | ReadError::BeyondHead { .. } => SEE_TO_THE_DISK,
    }
}

/// What to do about one that cannot be opened, as far as the error does not say so.
fn what_to_do_at_open(error: &bergulir_store::OpenError) -> &'static str {
    match error {
        bergulir_store::OpenError::Corrupt { .. } => "",
        bergulir_store::OpenError::Io { .. } => SEE_TO_THE_DISK,
    }
}

impl From<TreeError> for OpenError {
    fn from(error: TreeError) -> OpenError {
        match error {
            TreeError::Log(error) => OpenError::Read(error),
            TreeError::Index(error) => OpenError::Index(error),
        }
    }
}

impl OpenError {
    /// The first bad position, if the log is damaged.
    pub fn position(&self) -> Option<u64> {
        match self {
            OpenError::Log(bergulir_store::OpenError::Corrupt { position, .. })
            | OpenError::Read(ReadError::Corrupt { position, .. }) => Some(position.get()),
            OpenError::Replay(error) => Some(match error {
                ReplayError::Chain(error) => error.position.get(),
                ReplayError::Event { position, .. }
                | ReplayError::Principal { position, .. }
                | ReplayError::RuleBroken { position, .. }
                | ReplayError::Continuation { position, .. }
                | ReplayError::OtherEvent { position } => position.get(),
            }),
            OpenError::RecordsMissing { log, .. } => Some(log.get()),
            OpenError::LogMissing { .. } | OpenError::Emptied { .. } => Some(0),
            OpenError::Continued { source, .. } => source.position(),
            OpenError::Log(_)
            | OpenError::Read(_)
            | OpenError::Index(_)
            | OpenError::OtherLedger { .. }
            | OpenError::BrokenOff
            | OpenError::NoRoom { .. }
            | OpenError::Beside { .. }
            | OpenError::Io { .. } => None,
        }
    }

    /// What it says and what was behind it, for callers: with the names of files, and without the folders
    /// of the server.
    pub fn without_paths(&self) -> String {
        without_folders(with_sources(self), &self.places())
    }

    /// The paths that are named in it.
    fn places(&self) -> Vec<String> {
        match self {
            OpenError::Log(bergulir_store::OpenError::Corrupt { place, .. })
            | OpenError::Read(ReadError::Corrupt { place, .. } | ReadError::Io { place, .. }) => {
                vec![place.clone()]
            }
            OpenError::Log(bergulir_store::OpenError::Io { path, .. })
            | OpenError::RecordsMissing { folder: path, .. }
            | OpenError::LogMissing { checkpoint: path }
            | OpenError::Io { path, .. }
            | OpenError::Index(IndexError::Io { path, .. } | IndexError::InUse { path }) => {
                vec![path.display().to_string()]
            }
            OpenError::Continued { source, .. } => source.places(),
            OpenError::Read(_)
            | OpenError::Replay(_)
            | OpenError::Index(_)
            | OpenError::OtherLedger { .. }
            | OpenError::BrokenOff
            | OpenError::NoRoom { .. }
            | OpenError::Beside { .. }
            | OpenError::Emptied { .. } => Vec::new(),
        }
    }

    /// Whether it may be otherwise at the next attempt, without anybody having put the ledger in
    /// order: the disk failed, or had no room.
    pub(crate) fn passes(&self) -> bool {
        // A file that ends too early stays as it is.
        let passes = |source: &std::io::Error| source.kind() != std::io::ErrorKind::UnexpectedEof;
        match self {
            OpenError::Log(bergulir_store::OpenError::Io { source, .. })
            | OpenError::Read(ReadError::Io { source, .. })
            | OpenError::Io { source, .. } => passes(source),
            // Made anew at each attempt, if it is damaged.
            OpenError::Index(_)
            | OpenError::BrokenOff
            | OpenError::NoRoom { .. }
            | OpenError::Beside { .. } => true,
            OpenError::Continued { source, .. } => source.passes(),
            OpenError::Log(_)
            | OpenError::Read(_)
            | OpenError::Replay(_)
            | OpenError::RecordsMissing { .. }
            | OpenError::LogMissing { .. }
            | OpenError::Emptied { .. }
            | OpenError::OtherLedger { .. } => false,
        }
    }
}

/// A ledger's parts, ready to run.
pub(crate) struct Opened {
    /// Where the small files beside the log are.
    pub(crate) medium: Arc<dyn Medium>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) replica: Replica,
    /// The records that were not replayed, since a snapshot stands for them.
    pub(crate) trusted: Trusted,
    /// The files of this log in the anchors.
    pub(crate) anchors: Arc<[Anchor]>,
    /// The checkpoints that are known of it.
    pub(crate) known: Known,
    /// No question as of this instant or a later one was answered.
    pub(crate) horizon: Timestamp,
}

impl Opened {
    /// The next stamp is no earlier: that of the last record, or the horizon.
    pub(crate) fn last_stamp(&self) -> Timestamp {
        Timestamp::from_micros(self.replica.recorded_at().as_micros()).max(self.horizon)
    }
}

/// Opens the log of a ledger, whose segments are closed at so many bytes, and says what that took.
pub(crate) fn open_log(
    medium: &Arc<dyn Medium>,
    folder: &Path,
    segment_bytes: u64,
) -> Result<(FileLog, Recovery), OpenError> {
    let (medium, options) = (Arc::clone(medium), FileLogOptions { segment_bytes });
    let (log, recovery) = FileLog::open_on(medium, &folder.join(LOG_FOLDER), options)?;
    if let Some(cut) = &recovery.cut {
        tracing::warn!(
            position = cut.position.get(),
            kept_in = %cut.kept_in.display(),
            "a torn frame was cut off the log; nothing of it had been acknowledged"
        );
    }
    Ok((log.keeping_marks_in(folder.join(INDEX_FOLDER).join(MARKS_FOLDER)), recovery))
}

/// Opens a ledger whose log has at least one record, and compares it with the checkpoints that are
/// known in its folder and in these anchors. `options` says how the index of the ledger is opened whose
/// first record has that hash; `progress` is told how many records of how many are replayed, and can
/// break it off.
pub(crate) fn open(
    medium: &Arc<dyn Medium>,
    folder: &Path,
    id: LedgerId,
    log: &Arc<dyn EventLog>,
    anchors: &[PathBuf],
    options: fn(Hash) -> IndexOptions,
    progress: &dyn Fn(u64, u64) -> ControlFlow<()>,
) -> Result<Opened, OpenError> {
    let condemned = folder.join(CONDEMNED_INDEX);
    if condemned.exists() {
        tracing::warn!(ledger = %id, "the index was found to be damaged and is made anew");
        Index::discard(&folder.join(INDEX_FOLDER))?;
        let io = |source| OpenError::Io { path: condemned.clone(), source };
        std::fs::remove_file(&condemned).map_err(io)?;
    }
    match open_with_index(medium, folder, id, log, anchors, options, progress) {
        // It would not be made anew either.
        Err(OpenError::Index(error)) if error.is_for_want_of_room() => Err(error.into()),
        // What can be rebuilt is not worth an operator's morning; and before the log is called
        // broken, the index must not have misled the decisions.
        Err(error @ (OpenError::Index(_) | OpenError::Replay(_))) => {
            tracing::warn!(error = %describe(&error), "the index is made anew");
            Index::discard(&folder.join(INDEX_FOLDER))?;
            open_with_index(medium, folder, id, log, anchors, options, progress)
        }
        other => other,
    }
}

fn open_with_index(
    medium: &Arc<dyn Medium>,
    folder: &Path,
    id: LedgerId,
    log: &Arc<dyn EventLog>,
    anchors: &[PathBuf],
    options: fn(Hash) -> IndexOptions,
    progress: &dyn Fn(u64, u64) -> ControlFlow<()>,
) -> Result<Opened, OpenError> {
    let identity = hash_before(log.as_ref(), LogSize::new(1))?;
    let opened = Index::open(&folder.join(INDEX_FOLDER), &options(identity))?;
    if let Some(why) = opened.fresh_because {
        tracing::info!(ledger = %id, why, "the index is made from the log");
    }
    let mut index = opened.index;
    let (applied, applied_head) = index.applied_head();
    if applied > log.head().size {
        // Only what was durable is ever indexed: this is no torn write.
        let folder = folder.join(INDEX_FOLDER);
        return Err(OpenError::RecordsMissing { log: log.head().size, index: applied, folder });
    }
    if hash_before(log.as_ref(), applied)? != applied_head {
        tracing::warn!(ledger = %id, "the index is of another history of this ledger: made anew");
        drop(index);
        Index::discard(&folder.join(INDEX_FOLDER))?;
        index = Index::open(&folder.join(INDEX_FOLDER), &options(identity))?.index;
    }
    let index = Arc::new(index);
    let mut replica =
        newest_trusted(log.as_ref(), &index).map(|(replica, _)| replica).unwrap_or_default();
    let trusted = Trusted { hash: replica.head_hash(), tree: replica.tree().clone() };
    replay(log.as_ref(), &index, &mut replica, progress)?;
    let found = replica.state().opened().map(|opened| opened.ledger);
    if let Some(found) = found.filter(|found| *found != id) {
        return Err(OpenError::OtherLedger { folder: id, found });
    }
    let tree = Tree { log: log.as_ref(), index: &index };
    check_tiles(tree, &replica)?;
    let (anchors, mut known) = known(medium, folder, anchors, tree, &replica)?;
    let horizon = match horizon::read(medium.as_ref(), folder) {
        Ok(horizon) => horizon,
        Err(Unknown::Io(path, source)) => return Err(OpenError::Io { path, source }),
        Err(Unknown::Damaged(why)) => {
            known.trouble.get_or_insert(why);
            Timestamp::MIN
        }
    };
    let medium = Arc::clone(medium);
    Ok(Opened { medium, log: Arc::clone(log), index, replica, trusted, anchors, known, horizon })
}

/// Compares the log with the checkpoints that are known of it.
fn known(
    medium: &Arc<dyn Medium>,
    folder: &Path,
    anchors: &[PathBuf],
    tree: Tree<'_>,
    replica: &Replica,
) -> Result<(Arc<[Anchor]>, Known), TreeError> {
    // Without a name that a key can have, nothing was ever signed.
    let Some(origin) = log_name(replica.state()) else { return Ok(Default::default()) };
    let anchors = anchor::files(medium, anchors, origin.as_str());
    let keys = log_keys(replica.state());
    let log = known::Log { origin: &origin, keys: &keys, head: replica.tree().head(), tree };
    let known = known::check(medium.as_ref(), folder, &anchors, &log)?;
    Ok((anchors, known))
}

/// Asks the witnesses until then what they know of a log that was opened, unless it is in trouble
/// already.
pub(crate) fn ask(
    witnesses: &Witnesses,
    opened: &mut Opened,
    keyring: &Keyring,
    folder: &Path,
    until: Instant,
) -> Result<(), OpenError> {
    let replica = &opened.replica;
    let Some(origin) = log_name(replica.state()).filter(|_| opened.known.trouble.is_none()) else {
        return Ok(());
    };
    let (keys, head) = (log_keys(replica.state()), replica.tree().head());
    let tree = Tree { log: opened.log.as_ref(), index: &opened.index };
    let log = known::Log { origin: &origin, keys: &keys, head, tree };
    match witnesses.check(&log, &opened.known, keyring, until) {
        Ok(trouble) => {
            opened.known.trouble = trouble;
            Ok(())
        }
        Err(error) => {
            if let TreeError::Index(error) = &error {
                // The next start makes it anew.
                Health::new(folder.to_owned(), None).index_failed(error);
            }
            Err(error.into())
        }
    }
}

/// Proofs are made from the tiles: they must be of the tree that the records led to.
fn check_tiles(tree: Tree<'_>, replica: &Replica) -> Result<(), TreeError> {
    let (stored, own) = (tree.head(replica.tree().size())?, replica.tree().head());
    if stored == own {
        return Ok(());
    }
    let what = format!("its tiles give the root {}, and the log has {}", stored.root, own.root);
    Err(IndexError::Damaged { what }.into())
}

/// Merging is left to a thread of its own: it may take longer than a reader should wait.
pub(crate) fn options(identity: Hash) -> IndexOptions {
    IndexOptions { inline: false, ..IndexOptions::new(identity) }
}

/// Checks that a ledger without a record never had one: its index and its checkpoint are made only
/// after its first record is durable.
pub(crate) fn check_never_opened(folder: &Path) -> Result<(), OpenError> {
    let checkpoint = folder.join(CHECKPOINT_FILE);
    if checkpoint.exists() {
        return Err(OpenError::LogMissing { checkpoint });
    }
    let folder = folder.join(INDEX_FOLDER);
    if folder.exists() {
        let (log, index) = (LogSize::EMPTY, LogSize::new(1));
        return Err(OpenError::RecordsMissing { log, index, folder });
    }
    Ok(())
}

/// A text in which these paths stand with their last name only.
fn without_folders(mut text: String, places: &[String]) -> String {
    for place in places {
        let name = place.rsplit('/').next().unwrap_or_default();
        text = text.replace(place.as_str(), name);
    }
    text
}

/// An error of the index, for callers.
pub(crate) fn index_without_paths(error: &IndexError) -> String {
    let places = match error {
        IndexError::Io { path, .. } | IndexError::InUse { path } => {
            vec![path.display().to_string()]
        }
        _ => Vec::new(),
    };
    without_folders(describe(error), &places)
}

/// An error of the log with the name of a file, and without the folders of the server: for callers.
pub(crate) fn log_without_paths(mut error: ReadError) -> ReadError {
    if let ReadError::Corrupt { place, .. } | ReadError::Io { place, .. } = &mut error {
        *place = place.rsplit('/').next().unwrap_or_default().to_owned();
    }
    error
}

/// An error with what was behind it, as far as it does not say so itself.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let more = error.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        source = error.source();
    }
    text
}

/// The hash of the last of the first `size` records; zero for none.
pub(crate) fn hash_before(log: &dyn EventLog, size: LogSize) -> Result<Hash, ReadError> {
    let Some(last) = size.last() else { return Ok(Hash::ZERO) };
    let records = log.read(last, ReadLimit::ONE)?;
    let last = records.iter().next();
    Ok(last.map_or(Hash::ZERO, |(_, bytes)| bergulir_chain::record::hash(bytes)))
}

/// The newest snapshot whose digest is that of a seal in the log, and that the index reaches; and
/// where the seal is.
pub(crate) fn newest_trusted(log: &dyn EventLog, index: &Index) -> Option<(Replica, Position)> {
    index.snapshots().into_iter().rev().find_map(|size| {
        if size > index.applied() {
            return None;
        }
        let bytes = index.snapshot(size).ok()??;
        let trusted = trusted(log, size, &bytes);
        if trusted.is_none() {
            tracing::warn!(size = size.get(), "a snapshot is not what its seal says: not used");
        }
        trusted
    })
}

fn trusted(log: &dyn EventLog, size: LogSize, bytes: &[u8]) -> Option<(Replica, Position)> {
    let (snapshot, sealed_at) = bytes.split_last_chunk::<8>()?;
    let sealed_at = Position::new(u64::from_le_bytes(*sealed_at));
    let records = log.read(sealed_at, ReadLimit::ONE).ok()?;
    let (_, bytes) = records.iter().next()?;
    let record = Record::parse(bytes).ok()?;
    let Event::Sealed(seal) = decode_event(record.event).ok()? else {
        return None;
    };
    let vouched =
        seal.through.get() + 1 == size.get() && seal.state_digest == *digest(snapshot).as_bytes();
    let replica = vouched.then(|| Replica::restore(snapshot).ok())??;
    (replica.size() == size).then_some((replica, sealed_at))
}
