//! The mark in the folder of a ledger that goes on as another one: it takes no writes any more.

use bergulir_chain::{Hash, LogSize};
use bergulir_domain::LedgerId;
use bergulir_domain::ledger::Origin;
use bergulir_store::layout::CONTINUED_FILE;
use std::fmt;
use std::io;
use std::path::Path;
use thiserror::Error;

/// What the reason of a ledger begins with that takes no writes since it goes on as another one.
pub const CONTINUED: &str = "CONTINUED";

const VERSION: &str = "bergulir-continued 1";

/// As what a ledger goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The ledger that goes on.
    pub(crate) ledger: LedgerId,
    /// Its origin.
    pub(crate) origin: Origin,
    /// How many records it has of this one.
    pub(crate) size: LogSize,
    /// The hash of the record that continues them.
    pub(crate) record: Hash,
}

/// Why a mark cannot be read.
#[derive(Debug, Error)]
pub(crate) enum MarkError {
    /// The disk did not give it. It may at another time.
    #[error("{0}")]
    Io(io::Error),
    /// It is no mark.
    #[error("it is not what was written there")]
    Damaged,
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Mark { ledger, origin, size, record } = self;
        let origin = origin.as_str();
        write!(f, "{VERSION}\nledger {ledger}\norigin {origin}\nsize {size}\nrecord {record}\n")
    }
}

impl Mark {
    /// The mark in the folder of a ledger, if there is one.
    ///
    /// # Errors
    /// If there is one that cannot be read. It marks all the same.
    pub(crate) fn read(folder: &Path) -> Result<Option<Mark>, MarkError> {
        let bytes = match std::fs::read(folder.join(CONTINUED_FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(MarkError::Io(error)),
        };
        let mark = std::str::from_utf8(&bytes).ok().and_then(Mark::parse);
        mark.map(Some).ok_or(MarkError::Damaged)
    }

    pub(crate) fn parse(text: &str) -> Option<Mark> {
        let mut lines = text.lines();
        lines.next().filter(|line| *line == VERSION)?;
        let mut word = |name| lines.next()?.strip_prefix(name)?.strip_prefix(' ');
        let mark = Mark {
            ledger: word("ledger")?.parse().ok()?,
            origin: Origin::new(word("origin")?).ok()?,
            size: LogSize::new(word("size")?.parse().ok()?),
            record: word("record")?.parse().ok()?,
        };
        (mark.to_string() == text).then_some(mark)
    }
}

/// Why the ledger in a folder takes no writes, in words, if it goes on as another one.
///
/// # Errors
/// In words, if that cannot be told now since the disk does not give the mark.
pub(crate) fn retired(folder: &Path) -> Result<Option<String>, String> {
    match Mark::read(folder) {
        Ok(None) => Ok(None),
        Ok(Some(mark)) => Ok(Some(goes_on(mark.ledger, &mark.origin, Some(mark.size)))),
        Err(why @ MarkError::Damaged) => Ok(Some(format!(
            "{CONTINUED}: the file {CONTINUED_FILE} of this ledger says that it goes on as another \
             one, and cannot be read ({why}): restore that file"
        ))),
        Err(MarkError::Io(error)) => Err(format!(
            "MARK_UNREADABLE: the file {CONTINUED_FILE} of this ledger could not be read ({error}), which \
             says as what it goes on"
        )),
    }
}

/// Says as what a ledger goes on.
pub(crate) fn goes_on(ledger: LedgerId, origin: &Origin, size: Option<LogSize>) -> String {
    let from = size.map_or_else(String::new, |size| format!(" from position {size} on"));
    format!(
        "{CONTINUED}: this ledger goes on as ledgers/{ledger}, under the origin {}{from}. It is kept \
         for reading and takes no writes any more: write to that one",
        origin.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_has_one_text_and_marks_also_if_it_cannot_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(CONTINUED_FILE);
        assert_eq!(Mark::read(folder.path()).unwrap(), None);
        assert_eq!(retired(folder.path()), Ok(None));
        let mark = Mark {
            ledger: "pilot-2".parse().unwrap(),
            origin: Origin::new("ledger.example.go.id/pilot-2").unwrap(),
            size: LogSize::new(7),
            record: Hash::from_bytes([9; 32]),
        };
        let text = mark.to_string();
        std::fs::write(&path, &text).unwrap();
        assert_eq!(Mark::read(folder.path()).unwrap(), Some(mark));
        let why = || retired(folder.path()).unwrap().unwrap();
        assert!(why().contains("ledgers/pilot-2"));
        std::fs::write(&path, [0xff]).unwrap();
        assert!(why().starts_with(CONTINUED));
        for end in 0..text.len() {
            std::fs::write(&path, &text[..end]).unwrap();
            Mark::read(folder.path()).unwrap_err();
            assert!(why().starts_with(CONTINUED));
        }
    }
}
