//! The horizon of a ledger: no question as of an instant at or after it was answered yet. It lies on the
//! disk, so that also after a restart no record comes to lie at or before an instant that was answered
//! as of.
//!
//! It is written some time ahead, and renewed before that has passed: hardly any question waits for a
//! sync. See docs/adr/0038-the-horizon-of-answers-is-durable.md.

use crate::ledger::held;
use crate::reads::ReadRefusal;
use bergulir_domain::Timestamp;
use bergulir_store::file_log::Medium;
use bergulir_store::layout::HORIZON_FILE;
use bergulir_store::replace_file_durably_on;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use tokio::runtime::Handle;

/// So far ahead of the clock the horizon is written, in microseconds. After a crash the first records
/// may be stamped so far ahead of the clock.
pub(crate) const AHEAD: i64 = 2_000_000;

/// It is renewed when an instant comes this close to it, while those who ask go on.
const RENEWED_AT: i64 = AHEAD / 2;

/// What is longer was not written here.
const MOST_BYTES: u64 = 256;

const VERSION: &str = "bergulir-horizon 1";

/// What the reason of a ledger begins with that takes no writes since its horizon cannot be read.
const DAMAGED: &str = "HORIZON_DAMAGED";

/// The horizon of one opening of a ledger.
#[derive(Debug)]
pub(crate) struct Horizon {
    medium: Arc<dyn Medium>,
    file: PathBuf,
    /// Where it is written; `None`: where it is asked for.
    runtime: Option<Handle>,
    /// What the file says at least, in microseconds.
    kept: AtomicI64,
    /// One writes it at a time, and the others wait for that.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// Whether the file is another opening's by now.
    closed: Mutex<bool>,
    /// Whether it was told that the file cannot be written.
    warned: AtomicBool,
}

impl Horizon {
    /// Of the ledger in this folder, as it was found there.
    pub(crate) fn new(
        medium: Arc<dyn Medium>,
        folder: &Path,
        found: Timestamp,
        runtime: Option<Handle>,
    ) -> Horizon {
        Horizon {
            medium,
            file: folder.join(HORIZON_FILE),
            runtime,
            kept: AtomicI64::new(found.as_micros()),
            turn: Arc::default(),
            closed: Mutex::new(false),
            warned: AtomicBool::new(false),
        }
    }

    /// Has the horizon lie beyond an instant, durably, before that is answered as of. `now` is what a
    /// clock says that is believed.
    ///
    /// # Errors
    /// If it cannot be written, or the ledger stops.
    pub(crate) async fn pass(
        self: &Arc<Self>,
        instant: Timestamp,
        now: Timestamp,
    ) -> Result<(), ReadRefusal> {
        if self.distance(instant) > RENEWED_AT {
            return Ok(());
        }
        let passed = self.distance(instant) > 0;
        let turn = Arc::clone(&self.turn);
        let turn = match passed.then(|| Arc::clone(&turn).try_lock_owned()) {
            None => turn.lock_owned().await,
            Some(Ok(turn)) => turn,
            // Somebody renews it.
            Some(Err(_)) => return Ok(()),
        };
        if self.distance(instant) > RENEWED_AT {
            return Ok(());
        }
        let beyond = instant.max(now).as_micros().saturating_add(AHEAD);
        let horizon = Arc::clone(self);
        let write = move || {
            let written = horizon.put(beyond);
            drop(turn);
            written
        };
        match &self.runtime {
            None => write(),
            Some(runtime) => {
                let writing = runtime.spawn_blocking(write);
                if passed {
                    return Ok(());
                }
                writing.await.unwrap_or(Err(ReadRefusal::NotFinal))
            }
        }
    }

    /// Brings it back to the last stamp, since no later instant was passed: the next opening need not
    /// hold its stamps. For a ledger whose writer has ended.
    ///
    /// # Errors
    /// If it cannot be written. It may as well stay where it is.
    pub(crate) fn settle(&self, last: Timestamp) -> io::Result<()> {
        let _closed = held(&self.closed);
        if last.as_micros() < self.kept.load(Ordering::Acquire) {
            self.write(last.as_micros())?;
        }
        Ok(())
    }

    fn write(&self, beyond: i64) -> io::Result<()> {
        replace_file_durably_on(self.medium.as_ref(), &self.file, text(beyond).as_bytes())
    }

    /// Writes it no more; what is being written is there first.
    pub(crate) fn close(&self) {
        *held(&self.closed) = true;
    }

    /// How far it lies beyond an instant, in microseconds.
    fn distance(&self, instant: Timestamp) -> i64 {
        self.kept.load(Ordering::Acquire).saturating_sub(instant.as_micros())
    }

    fn put(&self, beyond: i64) -> Result<(), ReadRefusal> {
        let closed = held(&self.closed);
        if *closed {
            return Err(ReadRefusal::NotFinal);
        }
        if beyond <= self.kept.load(Ordering::Acquire) {
            return Ok(());
        }
        match self.write(beyond) {
            Ok(()) => {
                self.kept.store(beyond, Ordering::Release);
                self.warned.store(false, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                if !self.warned.swap(true, Ordering::Relaxed) {
                    let file = self.file.display();
                    tracing::warn!(%file, %error, "questions as of an instant cannot be answered");
                }
                Err(ReadRefusal::NotNoted { why: error.to_string() })
            }
        }
    }
}

/// Why the horizon of a ledger is not known.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// The disk does not give it.
    Io(PathBuf, io::Error),
    /// It is not what was written there; says in words what to do.
    Damaged(String),
}

/// The horizon of the ledger in this folder; the earliest instant if none was written.
pub(crate) fn read(medium: &dyn Medium, folder: &Path) -> Result<Timestamp, Unknown> {
    let file = folder.join(HORIZON_FILE);
    let bytes = match medium.read(&file, MOST_BYTES) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Timestamp::MIN),
        Err(error) => return Err(Unknown::Io(file, error)),
    };
    parse(&bytes).ok_or_else(|| {
        let ledger = folder.file_name().unwrap_or_default().to_string_lossy();
        let why = format!(
            "{DAMAGED}: the file {HORIZON_FILE} of ledger {ledger} is not what was written there, so nobody \
             knows as of which instants questions were answered. If the clock was not set back since the \
             ledger last ran, remove the file and start the server again"
        );
        tracing::error!(file = %file.display(), why, "the horizon is damaged");
        Unknown::Damaged(why)
    })
}

pub(crate) fn text(beyond: i64) -> String {
    let line = format!("{VERSION}\nbefore {beyond}\n");
    let crc = crc32fast::hash(line.as_bytes());
    format!("{line}crc {crc:08x}\n")
}

pub(crate) fn parse(bytes: &[u8]) -> Option<Timestamp> {
    let line = std::str::from_utf8(bytes).ok()?.lines().nth(1)?;
    let beyond: i64 = line.strip_prefix("before ")?.parse().ok()?;
    (text(beyond).as_bytes() == bytes).then_some(Timestamp::from_micros(beyond))
}
