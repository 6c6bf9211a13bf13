//! Anchors: folders outside the data directory, on another disk or a share, that keep the newest
//! checkpoint of each ledger, so that an older copy of the data directory is not taken for the
//! newest.

use bergulir_chain::note::Note;
use bergulir_store::file_log::Medium;
use bergulir_store::replace_file_durably_on;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;

/// Why a folder cannot be an anchor.
#[derive(Debug, Error)]
pub enum AnchorError {
    /// It is not there, or cannot be written to.
    #[error(
        "the anchor {} cannot be used: {source}. It must be a folder that is there and that this \
         process may write to; without it a restored old copy would not be noticed",
        path.display()
    )]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It lies in the data directory.
    #[error(
        "the anchor {} lies in the data directory, with which it would be lost or restored: choose \
         a folder elsewhere, best on another disk", path.display()
    )]
    Inside {
        /// The folder.
        path: PathBuf,
    },
}

/// Checks that a folder can be an anchor of this data directory.
///
/// # Errors
/// If it is not there, cannot be written to, or lies in the data directory.
pub fn check(folder: &Path, data: &Path) -> Result<(), AnchorError> {
    let unusable = |source| AnchorError::Unusable { path: folder.to_owned(), source };
    let found = folder.canonicalize().map_err(unusable)?;
    if data.canonicalize().is_ok_and(|data| found.starts_with(data)) {
        return Err(AnchorError::Inside { path: folder.to_owned() });
    }
    // Only writing tells whether it can be written to.
    let probe = folder.join(format!(".bergulir-{}.probe", std::process::id()));
    std::fs::write(&probe, b"").map_err(unusable)?;
    std::fs::remove_file(&probe).map_err(unusable)
}

/// The file of one ledger in an anchor.
#[derive(Debug)]
pub(crate) struct Anchor {
    medium: Arc<dyn Medium>,
    path: PathBuf,
    last: Mutex<Last>,
}

/// What became of the newest checkpoint.
#[derive(Debug, Default, Clone)]
struct Last {
    written: bool,
    failure: Option<String>,
}

/// What became of the last checkpoint that was to be written to an anchor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AnchorStatus {
    /// The file.
    pub path: PathBuf,
    /// Why it could not be written; `None` if it was.
    pub failure: Option<String>,
}

impl Anchor {
    /// The file of the log with this origin.
    pub(crate) fn of(medium: Arc<dyn Medium>, folder: &Path, origin: &str) -> Anchor {
        let path = folder.join(format!("{}.checkpoint", file_name(origin)));
        Anchor { medium, path, last: Mutex::default() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a checkpoint. A failure is kept, and told in the log once.
    pub(crate) fn write(&self, note: &Note) {
        let note = note.to_string();
        let written = replace_file_durably_on(self.medium.as_ref(), &self.path, note.as_bytes());
        let mut last = self.last();
        last.written = written.is_ok();
        match written {
            Ok(()) => {
                if last.failure.take().is_some() {
                    tracing::info!(anchor = %self.path.display(), "the anchor is written again");
                }
            }
            Err(error) => {
                if last.failure.is_none() {
                    tracing::error!(
                        anchor = %self.path.display(), %error,
                        "the anchor cannot be written: see to it, a later start relies on it"
                    );
                }
                last.failure = Some(error.to_string());
            }
        }
    }

    /// Whether it may not have the newest checkpoint: since the start, or since a failure.
    pub(crate) fn is_behind(&self) -> bool {
        !self.last().written
    }

    pub(crate) fn status(&self) -> AnchorStatus {
        AnchorStatus { path: self.path.clone(), failure: self.last().failure.clone() }
    }

    fn last(&self) -> MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The files of one log in all anchors.
pub(crate) fn files(medium: &Arc<dyn Medium>, folders: &[PathBuf], origin: &str) -> Arc<[Anchor]> {
    folders.iter().map(|folder| Anchor::of(Arc::clone(medium), folder, origin)).collect()
}

/// An origin as the name of a file: every byte that is not a letter, digit, `.` or `-` as `%XX`.
fn file_name(origin: &str) -> String {
    let mut name = String::with_capacity(origin.len());
    for byte in origin.bytes() {
        if byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-' {
            name.push(char::from(byte));
        } else {
            let _ = write!(name, "%{byte:02X}");
        }
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_store::file_log::Disk;

    #[test]
    fn the_name_of_the_file_is_the_origin() {
        let anchor =
            Anchor::of(Arc::new(Disk), Path::new("/mnt/anchor"), "ledger.example.go.id/dana-1");
        let expected = Path::new("/mnt/anchor/ledger.example.go.id%2Fdana-1.checkpoint");
        assert_eq!(anchor.path(), expected);
    }

    #[test]
    fn an_anchor_is_there_can_be_written_to_and_lies_elsewhere() {
        let (data, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        check(elsewhere.path(), data.path()).unwrap();
        assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0);
        let missing = check(&elsewhere.path().join("missing"), data.path());
        assert!(matches!(missing, Err(AnchorError::Unusable { .. })));
        let file = elsewhere.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(matches!(check(&file, data.path()), Err(AnchorError::Unusable { .. })));
        for inside in [data.path().to_owned(), data.path().join("anchor")] {
            std::fs::create_dir_all(&inside).unwrap();
            assert!(matches!(check(&inside, data.path()), Err(AnchorError::Inside { .. })));
        }
    }
}
