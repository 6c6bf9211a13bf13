//! What is made of files, and made again when they change: certificates, keys, lists of keys. Files
//! that are wrong change nothing: what was made of the last good ones stays in force.

use crate::limits::MAX_ACCESS_FILE_BYTES;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// Why nothing can be made of a file.
#[derive(Debug, Error)]
pub enum FileError {
    /// It cannot be read.
    #[error("could not read {}: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// It is far too long.
    #[error("{} is longer than {MAX_ACCESS_FILE_BYTES} bytes: it is something else", path.display())]
    TooLong {
        /// The file.
        path: PathBuf,
    },
    /// It is a private key that everybody on the machine can read.
    #[error("{} is a private key, and others may read it: chmod o-rwx it", path.display())]
    OthersMayRead {
        /// The file.
        path: PathBuf,
    },
    /// It does not hold what it should.
    #[error("{}: {why}", path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong, and what should be there.
        why: String,
    },
}

impl FileError {
    pub(crate) fn wrong(path: &Path, why: &(impl ToString + ?Sized)) -> FileError {
        FileError::Wrong { path: path.to_owned(), why: why.to_string() }
    }
}

/// A file to be read.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Whether nobody but its owner and group may read it.
    pub(crate) private: bool,
}

impl Source {
    pub(crate) fn public(path: &Path) -> Source {
        Source { path: path.to_owned(), private: false }
    }

    pub(crate) fn private(path: &Path) -> Source {
        Source { path: path.to_owned(), private: true }
    }

    fn read(&self) -> Result<Vec<u8>, FileError> {
        let unreadable = |source| FileError::Unreadable { path: self.path.clone(), source };
        let file = std::fs::File::open(&self.path).map_err(unreadable)?;
        #[cfg(unix)]
        if self.private {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = file.metadata().map_err(unreadable)?.permissions().mode();
            if mode & 0o007 != 0 {
                return Err(FileError::OthersMayRead { path: self.path.clone() });
            }
        }
        let mut bytes = Vec::new();
        file.take(MAX_ACCESS_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
        if bytes.len() as u64 > MAX_ACCESS_FILE_BYTES {
            return Err(FileError::TooLong { path: self.path.clone() });
        }
        Ok(bytes)
    }
}

/// What changed is looked at again after so long, and taken if it is still the same.
const SETTLED_AFTER: Duration = Duration::from_millis(50);

type Make<T> = dyn Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync;

/// What was made of some files.
pub(crate) struct Followed<T> {
    what: &'static str,
    sources: Vec<Source>,
    make: Box<Make<T>>,
    current: RwLock<Arc<T>>,
    /// How often that changed.
    changes: AtomicU64,
    /// Tells whether the files are other ones than those that were looked at last.
    seen: Mutex<u64>,
    /// Whether what lies there now is wrong, and so not in force.
    wrong: Arc<AtomicBool>,
}

impl<T: Send + Sync + 'static> Followed<T> {
    /// Reads the files, and makes of their contents, in their order, what is wanted.
    ///
    /// # Errors
    /// If one cannot be read, or holds something else.
    pub(crate) fn new(
        what: &'static str,
        sources: Vec<Source>,
        make: impl Fn(&[Vec<u8>]) -> Result<T, FileError> + Send + Sync + 'static,
    ) -> Result<Followed<T>, FileError> {
        let (seen, contents) = read(&sources);
        let made = make(&contents?)?;
        Ok(Followed {
            what,
            sources,
            make: Box::new(make),
            current: RwLock::new(Arc::new(made)),
            changes: AtomicU64::new(0),
            seen: Mutex::new(seen),
            wrong: Arc::default(),
        })
    }

    /// What is in force.
    pub(crate) fn get(&self) -> Arc<T> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How often what is in force changed: cheaper to ask than for what it is.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// Under which name the files are known, and whether what lies there now is wrong.
    pub(crate) fn watch(&self) -> (&'static str, Arc<AtomicBool>) {
        (self.what, Arc::clone(&self.wrong))
    }

    /// Looks at the files, and takes what they hold if it is new and right. Says in the log what it
    /// found, once for each change. Blocks on the disk.
    pub(crate) fn refresh(&self) {
        let (found, contents) = read(&self.sources);
        {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if *seen == found {
                return;
            }
            // Whoever writes them may be in the middle: half of a file can be right by itself.
            std::thread::sleep(SETTLED_AFTER);
            if read(&self.sources).0 != found {
                return;
            }
            *seen = found;
        }
        match contents.and_then(|contents| (self.make)(&contents)) {
            Ok(made) => {
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(made);
                self.changes.fetch_add(1, Ordering::Release);
                self.wrong.store(false, Ordering::Relaxed);
                tracing::info!("{}: the files changed, and are in force", self.what);
            }
            Err(error) => {
                self.wrong.store(true, Ordering::Relaxed);
                tracing::error!(
                    %error,
                    "{}: the files changed and are wrong: what was read before stays in force",
                    self.what
                );
            }
        }
    }

    /// Looks at the files again and again, and at once when that is asked for, until the server stops.
    pub(crate) async fn follow(
        self: Arc<Self>,
        every: Duration,
        mut asked: watch::Receiver<()>,
        mut stopping: watch::Receiver<bool>,
    ) {
        // They were read a moment ago.
        let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                Ok(()) = asked.changed() => {}
                _ = stopping.wait_for(|stopping| *stopping) => return,
            }
            let followed = Arc::clone(&self);
            // A panic there is logged where it happens; the next look may do better.
            let _ = tokio::task::spawn_blocking(move || followed.refresh()).await;
        }
    }
}

/// The contents of the files, and a number that is another one when they are.
fn read(sources: &[Source]) -> (u64, Result<Vec<Vec<u8>>, FileError>) {
    let mut hasher = DefaultHasher::new();
    let mut all = Ok(Vec::with_capacity(sources.len()));
    for source in sources {
        let read = source.read();
        match &read {
            Ok(bytes) => bytes.hash(&mut hasher),
            Err(error) => error.to_string().hash(&mut hasher),
        }
        all = all.and_then(|mut all: Vec<Vec<u8>>| {
            all.push(read?);
            Ok(all)
        });
    }
    (hasher.finish(), all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(path: &Path) -> Result<Followed<u32>, FileError> {
        let file = path.to_owned();
        Followed::new("a number", vec![Source::public(path)], move |contents| {
            let text = String::from_utf8_lossy(&contents[0]);
            text.parse().map_err(|error| FileError::wrong(&file, &error))
        })
    }

    #[test]
    fn a_wrong_file_changes_nothing_and_a_right_one_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        assert!(matches!(number(&path), Err(FileError::Unreadable { .. })));
        std::fs::write(&path, "seven").unwrap();
        assert!(matches!(number(&path), Err(FileError::Wrong { .. })));
        std::fs::write(&path, "7").unwrap();
        let followed = number(&path).unwrap();
        for (text, expected) in [("eight", 7), ("8", 8)] {
            std::fs::write(&path, text).unwrap();
            followed.refresh();
            assert_eq!(*followed.get(), expected, "{text}");
        }
        std::fs::remove_file(&path).unwrap();
        followed.refresh();
        assert_eq!(*followed.get(), 8);
        std::fs::write(&path, "9").unwrap();
        followed.refresh();
        assert_eq!(*followed.get(), 9);
    }

    #[test]
    fn a_file_that_is_something_else_is_not_read_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("number");
        std::fs::File::create(&path).unwrap().set_len(MAX_ACCESS_FILE_BYTES + 1).unwrap();
        assert!(matches!(number(&path), Err(FileError::TooLong { .. })));
    }

    #[cfg(unix)]
    #[test]
    fn a_private_key_that_others_may_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        std::fs::write(&path, "1").unwrap();
        for (mode, refused) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            let read = Source::private(&path).read();
            assert_eq!(matches!(read, Err(FileError::OthersMayRead { .. })), refused, "{mode:o}");
        }
    }
}
