//! Where the logs are.

use std::fs;
use std::path::{Path, PathBuf};

use bergulir_chain::segment;
use bergulir_domain::LedgerId;

use crate::CannotTell;

/// The folder of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFolder {
    pub(crate) path: PathBuf,
    /// The name that position 0 must give the ledger, if anything says so.
    pub(crate) ledger: Option<String>,
}

/// The logs at a path, in the order of their ledgers' names.
pub(crate) fn log_folders(
    path: &Path,
    wanted: Option<&LedgerId>,
) -> Result<Vec<LogFolder>, CannotTell> {
    let ledgers = path.join("ledgers");
    if ledgers.is_dir() {
        return of_data_directory(path, &ledgers, wanted);
    }
    let ledger = wanted.map(LedgerId::to_string);
    let log = path.join("log");
    if log.is_dir() {
        return Ok(vec![LogFolder { path: log, ledger }]);
    }
    let names = names(path)?;
    if names.iter().any(|name| name.ends_with(segment::SUFFIX)) {
        let path = path.to_owned();
        return Ok(vec![LogFolder { path, ledger }]);
    }
    Err(CannotTell::NoLog { path: path.to_owned() })
}

fn of_data_directory(
    path: &Path,
    ledgers: &Path,
    wanted: Option<&LedgerId>,
) -> Result<Vec<LogFolder>, CannotTell> {
    let mut found: Vec<LogFolder> = names(ledgers)?
        .into_iter()
        .filter(|name| wanted.is_none_or(|wanted| wanted.as_str() == name))
        .filter(|name| ledgers.join(name).is_dir())
        .map(|name| LogFolder { path: ledgers.join(&name).join("log"), ledger: Some(name) })
        .collect();
    if found.is_empty() {
        return Err(CannotTell::NoLedger { path: path.to_owned(), ledger: wanted.copied() });
    }
    found.sort_by(|a, b| a.ledger.cmp(&b.ledger));
    Ok(found)
}

/// The names in a folder, as text; bytes that are not text are replaced.
pub(crate) fn names(folder: &Path) -> Result<Vec<String>, CannotTell> {
    let io = |source| CannotTell::Io { path: folder.to_owned(), source };
    fs::read_dir(folder)
        .map_err(io)?
        .map(|found| Ok(found.map_err(io)?.file_name().to_string_lossy().into_owned()))
        .collect()
}
