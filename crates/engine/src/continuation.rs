//! Going on after a loss: the records of a ledger that survived become a ledger of another name and
//! origin. Done with no server running.
//!
//! The new ledger is made beside the others, under [`CONTINUING_FOLDER`], where no server looks. Then
//! the old one is marked, and only then the new one gets its place: nothing can be signed for it
//! before the old one takes no more writes. Whatever cuts that short, doing it again finishes it or
//! begins anew.

mod error;
mod evidence;

use crate::anchor;
use crate::clock::Clock;
use crate::continued::Mark;
use crate::keyring::{self, KEYS_FOLDER, Keyring};
use crate::node::Nothing;
use crate::open::{INDEX_FOLDER, options};
use crate::replay::replay;
use crate::tree::Tree;
use bergulir_chain::note::{Note, VerifierKey};
use bergulir_chain::{Authentication, Frame, Hash, LogSize, Position, Record, Timestamp};
use bergulir_domain::command::{Command, ContinueLedger};
use bergulir_domain::ledger::{Origin, OriginError};
use bergulir_domain::{Context, LedgerId, PrincipalId, decide};
use bergulir_proto::event::encode_event;
use bergulir_proto::replay::Replica;
use bergulir_store::index::Index;
use bergulir_store::layout::{CONTINUED_FILE, LEDGERS_FOLDER, LOG_FOLDER};
use bergulir_store::{
    DataLock, EventLog, FileLog, FileLogOptions, Group, GroupError, LogEnd, create_folder_durably,
    replace_file_durably, salvage,
};
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

pub use error::ContinuationError;
pub use evidence::{Fit, KnownCheckpoint};

/// Where a ledger lies in a data directory while it is made from another one.
pub const CONTINUING_FOLDER: &str = "continuing";

/// So many bytes of records are made durable at once while they are copied.
const COPY_BYTES: usize = 4 << 20;

/// What to continue, and as what.
#[derive(Debug, Clone)]
pub struct Continuation {
    /// The ledger that suffered a loss.
    pub ledger: LedgerId,
    /// The ledger that goes on.
    pub successor: LedgerId,
    /// Its origin; absent: that of the old one with the new name as its last part.
    pub origin: Option<Origin>,
    /// The folder of the private keys; absent: [`KEYS_FOLDER`] in the data directory.
    pub keys: Option<PathBuf>,
    /// Folders that keep the newest checkpoint of each ledger.
    pub anchors: Vec<PathBuf>,
    /// Checkpoints of the old one from elsewhere, each with a name for people.
    pub checkpoints: Vec<(String, Note)>,
    /// Who does it.
    pub principal: PrincipalId,
    /// Go on although nothing shows that anything was lost.
    pub without_evidence: bool,
}

/// How far a continuation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContinuationStage {
    /// Records are checked and copied; in bytes.
    Copy,
    /// Each is decided again; in records.
    Replay,
}

/// What was continued as what.
#[derive(Debug, Clone)]
pub struct Continued {
    /// The ledger that goes on.
    pub ledger: LedgerId,
    /// Its origin.
    pub origin: Origin,
    /// How many records of the old one survive: the position of the record that continues them.
    pub records: LogSize,
    /// The hash of that record.
    pub record_hash: Hash,
    /// What else there is to say; absent if it was finished by now that had been cut short.
    pub made: Option<Made>,
}

/// What a continuation found.
#[derive(Debug, Clone)]
pub struct Made {
    /// The origin of the old ledger.
    pub from_origin: Origin,
    /// The key of the new one.
    pub verifier_key: VerifierKey,
    /// What follows the surviving records in the old log.
    pub end: LogEnd,
    /// What is known of the old log.
    pub known: Vec<KnownCheckpoint>,
    /// Which of these the record names.
    pub named: Option<usize>,
}

/// Where everything lies.
struct Places {
    ledgers: PathBuf,
    old: PathBuf,
    new: PathBuf,
    staged: PathBuf,
}

impl Places {
    fn of(data: &Path, asked: &Continuation) -> Places {
        let ledgers = data.join(LEDGERS_FOLDER);
        Places {
            old: ledgers.join(asked.ledger.as_str()),
            new: ledgers.join(asked.successor.as_str()),
            staged: data.join(CONTINUING_FOLDER).join(asked.successor.as_str()),
            ledgers,
        }
    }
}

/// Continues a ledger of a data directory that no server uses, under another name and origin.
///
/// The old ledger stays as it is, but for a mark: it takes no writes any more. If it was continued so
/// before and that was cut short, it is finished.
///
/// # Errors
/// If it cannot be, or nothing shows a loss; the old ledger is as it was then.
pub fn continue_ledger(
    data: &Path,
    asked: &Continuation,
    clock: &dyn Clock,
    progress: &dyn Fn(ContinuationStage, u64, u64),
) -> Result<Continued, ContinuationError> {
    let (ledger, successor) = (asked.ledger, asked.successor);
    let places = Places::of(data, asked);
    if !places.old.is_dir() {
        return Err(ContinuationError::NoLedger { ledger });
    }
    let _lock = DataLock::acquire(data)?;
    for anchor in &asked.anchors {
        anchor::check(anchor, data)?;
    }
    let keys = asked.keys.clone().unwrap_or_else(|| data.join(KEYS_FOLDER));
    keyring::check(&keys)?;
    let keyring = Keyring::open(keys)?;
    match Mark::read(&places.old) {
        Ok(None) => {}
        Ok(Some(mark)) => return finish(&places, asked, &mark),
        Err(why) => return Err(ContinuationError::Mark { ledger, why: why.to_string() }),
    }
    if places.new.exists() {
        return Err(ContinuationError::NameTaken { ledger: successor });
    }
    no_other_has_them(&places, ledger)?;
    clear(&places.staged)?;
    let made = make(&places, asked, &keyring, clock, progress);
    if made.is_err() {
        // Of what failed nothing is left; what cannot be taken away is before the next attempt.
        let _ = clear(&places.staged);
    }
    let made = made?;
    let mark = Mark {
        ledger: successor,
        origin: made.origin.clone(),
        size: made.records,
        record: made.record_hash,
    };
    let path = places.old.join(CONTINUED_FILE);
    replace_file_durably(&path, mark.to_string().as_bytes())
        .map_err(|error| ContinuationError::io(&path, error))?;
    put_in_place(&places)?;
    Ok(made)
}

/// Makes the new ledger where no server looks, durably.
fn make(
    places: &Places,
    asked: &Continuation,
    keyring: &Keyring,
    clock: &dyn Clock,
    progress: &dyn Fn(ContinuationStage, u64, u64),
) -> Result<Continued, ContinuationError> {
    let staged = |source| ContinuationError::io(&places.staged, source);
    create_folder_durably(&places.staged).map_err(staged)?;
    let (log, _) = FileLog::open(&places.staged.join(LOG_FOLDER), FileLogOptions::default())?;
    let end = copy(&places.old.join(LOG_FOLDER), &log, progress)?;
    let records = log.head().size;
    if records.is_empty() {
        return Err(ContinuationError::NothingSurvives { ledger: asked.ledger });
    }
    let index_folder = places.staged.join(INDEX_FOLDER);
    let index = Index::open(&index_folder, &options(log.head().hash))?.index;
    let mut replica = Replica::default();
    let told = |done, all| {
        progress(ContinuationStage::Replay, done, all);
        ControlFlow::Continue(())
    };
    replay(&log, &index, &mut replica, &told).map_err(ContinuationError::Replay)?;
    let opened = replica.state().opened();
    let Some(opened) = opened.filter(|opened| opened.ledger == asked.ledger) else {
        let found = opened.map_or(asked.ledger, |opened| opened.ledger);
        return Err(ContinuationError::OtherLedger { ledger: asked.ledger, found });
    };
    let from_origin = opened.origin.clone();
    let origin = match &asked.origin {
        Some(origin) => origin.clone(),
        None => beside(&from_origin, asked.successor)?,
    };
    let tree = Tree { log: &log, index: &index };
    let known = evidence::known(&places.old, asked, &replica, tree)?;
    let shows_loss = matches!(end, LogEnd::Damaged { .. })
        || known.iter().any(|known| matches!(known.fit, Fit::Behind | Fit::Forks));
    if !shows_loss && !asked.without_evidence {
        return Err(ContinuationError::NoEvidence { ledger: asked.ledger, records });
    }
    let named = evidence::newest(&known);
    let last_known = named.and_then(|named| known[named].for_the_record(&from_origin));
    // Before a key is made for it.
    let mut command = ContinueLedger {
        ledger: asked.successor,
        verifier_key: key_text(origin.as_str(), "+")?,
        origin,
        from_origin: from_origin.clone(),
        last_known,
    };
    let now =
        clock.now().max(bergulir_domain::Timestamp::from_micros(replica.recorded_at().as_micros()));
    let context = Context { time: now, principal: asked.principal, lookups: &Nothing, near: None };
    decide(replica.state(), &Command::ContinueLedger(command.clone()), &context)?;
    let verifier_key = keyring.verifier_key(&command.origin, asked.successor)?;
    command.verifier_key = key_text(&verifier_key.to_string(), "")?;
    let event = decide(replica.state(), &Command::ContinueLedger(command.clone()), &context)?;
    let mut bytes = Vec::new();
    encode_event(&event, &mut bytes);
    let head = log.head();
    let record = Record {
        position: Position::new(head.size.get()),
        previous: head.hash,
        recorded_at: Timestamp::from_micros(now.as_micros()),
        principal: asked.principal.as_str(),
        authentication: Authentication::Stated,
        request_id: *uuid::Uuid::new_v4().as_bytes(),
        following: 0,
        event: &bytes,
        signature: None,
    };
    let mut group = Group::new(head);
    let record_hash = group.push(&record)?;
    // What every reader will check is checked before it is there.
    for bytes in &group {
        let replayed = replica.replay(bytes, &Nothing);
        replayed.map(drop).map_err(|error| ContinuationError::Replay(error.into()))?;
    }
    log.append(head, &group)?;
    drop(index);
    Index::discard(&index_folder)?;
    fs::File::open(&places.staged).and_then(|folder| folder.sync_all()).map_err(staged)?;
    let origin = command.origin;
    let made = Made { from_origin, verifier_key, end, known, named };
    Ok(Continued { ledger: asked.successor, origin, records, record_hash, made: Some(made) })
}

fn key_text(
    text: &str,
    more: &str,
) -> Result<bergulir_domain::text::VerifierKey, ContinuationError> {
    let key = format!("{text}{more}").parse();
    key.map_err(|error| ContinuationError::Origin(OriginError::Text(error)))
}

/// The origin that goes with a new name: the old one with that as its last part.
fn beside(origin: &Origin, name: LedgerId) -> Result<Origin, OriginError> {
    let above = origin.as_str().rsplit_once('/').map_or(origin.as_str(), |(above, _)| above);
    Origin::new(&format!("{above}/{name}"))
}

/// Copies what is whole of a log into a new one; says what follows it.
fn copy(
    from: &Path,
    to: &FileLog,
    progress: &dyn Fn(ContinuationStage, u64, u64),
) -> Result<LogEnd, ContinuationError> {
    let mut group = Group::new(to.head());
    let salvaged = salvage(from, &mut |frame: &Frame<'_>, done, total| {
        if !group.is_empty() && group.body().len() + frame.length() > COPY_BYTES {
            to.append(to.head(), &group)?;
            group.begin(to.head());
            progress(ContinuationStage::Copy, done, total);
        }
        for bytes in frame.records() {
            let record = Record::parse(bytes).map_err(GroupError::Record)?;
            group.push(&record)?;
        }
        Ok::<(), ContinuationError>(())
    })?;
    if !group.is_empty() {
        to.append(to.head(), &group)?;
    }
    Ok(salvaged.end)
}

/// Refuses if another ledger that takes writes has the same first record.
fn no_other_has_them(places: &Places, ledger: LedgerId) -> Result<(), ContinuationError> {
    let io = |source| ContinuationError::io(&places.ledgers, source);
    let first = first_record(&places.old)?;
    for other in fs::read_dir(&places.ledgers).map_err(io)? {
        let name = other.map_err(io)?.file_name();
        let Some(other) = name.to_str().and_then(|name| LedgerId::new(name).ok()) else { continue };
        let folder = places.ledgers.join(other.as_str());
        if other == ledger || !folder.join(LOG_FOLDER).is_dir() || is_marked(&folder) {
            continue;
        }
        if first.is_some() && first_record(&folder)? == first {
            return Err(ContinuationError::SameRecords { ledger, other });
        }
    }
    Ok(())
}

fn is_marked(folder: &Path) -> bool {
    !matches!(Mark::read(folder), Ok(None))
}

/// The hash of the first record of a ledger, if it has a whole one.
fn first_record(folder: &Path) -> Result<Option<Hash>, ContinuationError> {
    enum Found {
        First(Option<Hash>),
        Failed(bergulir_store::OpenError),
    }
    impl From<bergulir_store::OpenError> for Found {
        fn from(error: bergulir_store::OpenError) -> Found {
            Found::Failed(error)
        }
    }
    let found = salvage(&folder.join(LOG_FOLDER), &mut |frame: &Frame<'_>, _, _| {
        Err(Found::First(frame.records().next().map(bergulir_chain::record::hash)))
    });
    match found {
        Ok(_) => Ok(None),
        Err(Found::First(hash)) => Ok(hash),
        Err(Found::Failed(error)) => Err(error.into()),
    }
}

/// Finishes what was cut short after the old ledger was marked.
fn finish(
    places: &Places,
    asked: &Continuation,
    mark: &Mark,
) -> Result<Continued, ContinuationError> {
    let (ledger, successor) = (asked.ledger, mark.ledger);
    let other_origin = asked.origin.as_ref().is_some_and(|origin| *origin != mark.origin);
    if successor != asked.successor || other_origin {
        let origin = mark.origin.clone();
        return Err(ContinuationError::ContinuedBefore { ledger, successor, origin });
    }
    let finished = Continued {
        ledger: successor,
        origin: mark.origin.clone(),
        records: mark.size,
        record_hash: mark.record,
        made: None,
    };
    if places.new.exists() {
        return Ok(finished);
    }
    let gone = ContinuationError::SuccessorGone { ledger, successor };
    if !places.staged.join(LOG_FOLDER).is_dir() {
        return Err(gone);
    }
    let (log, _) = FileLog::open(&places.staged.join(LOG_FOLDER), FileLogOptions::default())?;
    let head = log.head();
    if head.hash != mark.record || head.size.get() != mark.size.get() + 1 {
        return Err(gone);
    }
    drop(log);
    put_in_place(places)?;
    Ok(finished)
}

/// Gives the new ledger its place, durably.
fn put_in_place(places: &Places) -> Result<(), ContinuationError> {
    let above = places.staged.parent().unwrap_or(&places.staged);
    fs::rename(&places.staged, &places.new)
        .map_err(|error| ContinuationError::io(&places.new, error))?;
    for folder in [&*places.ledgers, above] {
        let synced = fs::File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| ContinuationError::io(folder, error))?;
    }
    // Another one may lie there.
    let _ = fs::remove_dir(above);
    Ok(())
}

/// Takes away what an attempt left over that never came to be.
fn clear(staged: &Path) -> Result<(), ContinuationError> {
    let cleared = match fs::remove_dir_all(staged) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    };
    cleared.map_err(|error| ContinuationError::io(staged, error))?;
    if let Some(above) = staged.parent() {
        let _ = fs::remove_dir(above);
    }
    Ok(())
}
