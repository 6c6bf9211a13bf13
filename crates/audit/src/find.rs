//! Where the logs are.

use std::path::{Path, PathBuf};
use std::{fs, io};

use bergulir_chain::segment;
use bergulir_domain::LedgerId;

use crate::claims::CHECKPOINT;
use crate::{CannotTell, PassedOver, WhyPassedOver};

/// The folder of the ledgers, in a data directory.
pub(crate) const LEDGERS: &str = "ledgers";

/// The file that a server locks, in a data directory.
pub(crate) const LOCK: &str = "LOCK";

/// The folder of the index, beside that of the log.
const INDEX: &str = "index";

/// The folder of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFolder {
    pub(crate) path: PathBuf,
    /// The name that position 0 must give the ledger, if anything says so.
    pub(crate) ledger: Option<String>,
    /// The folder in which checkpoints lie beside the log.
    pub(crate) beside: Option<PathBuf>,
    /// Whether an index lay beside the log before the log was read. It is made only after the
    /// first record is durable, so a log without records has lost them.
    pub(crate) has_index: bool,
}

/// What there is at a path.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// The logs, in the order of their ledgers' names.
    pub(crate) logs: Vec<LogFolder>,
    /// What lies among the ledgers of a data directory and is none.
    pub(crate) passed_over: Vec<PassedOver>,
    /// Whether a log without records is the rest of a creation that was cut short, to be passed
    /// over as well.
    pub(crate) is_data_directory: bool,
}

impl Found {
    fn one(log: LogFolder) -> Found {
        Found { logs: vec![log], ..Found::default() }
    }
}

/// The logs at a path.
pub(crate) fn log_folders(path: &Path, wanted: Option<&LedgerId>) -> Result<Found, CannotTell> {
    let ledgers = path.join(LEDGERS);
    if ledgers.is_dir() {
        return of_data_directory(&ledgers, wanted);
    }
    let ledger = wanted.map(LedgerId::to_string);
    let log = path.join("log");
    if log.is_dir() {
        let (beside, has_index) = (Some(path.to_owned()), is_there(&path.join(INDEX)));
        return Ok(Found::one(LogFolder { path: log, ledger, beside, has_index }));
    }
    let names = names(path)?;
    if names.iter().any(|name| name.ends_with(segment::SUFFIX)) {
        let path = path.to_owned();
        return Ok(Found::one(LogFolder { path, ledger, beside: None, has_index: false }));
    }
    Err(CannotTell::NoLog { path: path.to_owned() })
}

fn of_data_directory(ledgers: &Path, wanted: Option<&LedgerId>) -> Result<Found, CannotTell> {
    let mut found = Found { is_data_directory: true, ..Found::default() };
    let mut names = names(ledgers)?;
    names.retain(|name| wanted.is_none_or(|wanted| wanted.as_str() == name));
    names.sort();
    for name in names {
        let folder = ledgers.join(&name);
        match look_into(&folder, name)? {
            Ok(log) => found.logs.push(log),
            Err(why) => found.passed_over.push(PassedOver { path: folder, why }),
        }
    }
    Ok(found)
}

/// The log of what lies among the ledgers, or why it is none.
fn look_into(folder: &Path, name: String) -> Result<Result<LogFolder, WhyPassedOver>, CannotTell> {
    if LedgerId::new(&name).is_err() {
        return Ok(Err(WhyPassedOver::Name));
    }
    let io = |source| CannotTell::Io { path: folder.to_owned(), source };
    if !fs::metadata(folder).map_err(io)?.is_dir() {
        return Ok(Err(WhyPassedOver::NoFolder));
    }
    // The index first: whoever creates the ledger just now makes it last.
    let has_index = is_there(&folder.join(INDEX));
    let path = folder.join("log");
    if !has_index && !is_there(&path) && !is_there(&folder.join(CHECKPOINT)) {
        return Ok(Err(WhyPassedOver::NoLog));
    }
    let beside = Some(folder.to_owned());
    Ok(Ok(LogFolder { path, ledger: Some(name), beside, has_index }))
}

/// Whether something lies at a path. What cannot be looked at is there: it must not pass for
/// something that never was.
fn is_there(path: &Path) -> bool {
    match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => error.kind() != io::ErrorKind::NotFound,
    }
}

/// The names in a folder, as text; bytes that are not text are replaced.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, CannotTell> {
    let io = |source| CannotTell::Io { path: folder.to_owned(), source };
    fs::read_dir(folder)
        .map_err(io)?
        .map(|found| Ok(found.map_err(io)?.file_name().to_string_lossy().into_owned()))
        .collect()
}
