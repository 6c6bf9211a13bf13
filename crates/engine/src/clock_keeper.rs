//! Looks at the clock all the time, so that health tells of a clock that is not believed before anybody
//! writes, and takes what an operator says of it: from a file in the data directory, which only who has
//! that directory can put there.

use crate::clock::{CLOCK_TOLERANCE, Clock, ClockWatch};
use crate::ledgers::Ledgers;
use crate::node::Slot;
use bergulir_domain::{PrincipalId, Timestamp};
use bergulir_store::replace_file_durably;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use std::convert::Infallible;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How often the clock is looked at: less often, and many small steps would look like a large one.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(1);

/// In the data directory: an operator says that the clock is right.
const ACCEPTED_FILE: &str = "clock-accepted";

const VERSION: &str = "bergulir-clock 1";

/// Says that the clock of this machine is right, to the server that runs on a data directory, or to the
/// next one that starts there within five minutes. Gives what the clock says.
///
/// # Errors
/// If the directory cannot be written to.
pub fn accept_clock(
    data: &Path,
    principal: PrincipalId,
    clock: &dyn Clock,
) -> io::Result<Timestamp> {
    let now = clock.now();
    let text = format!("{VERSION}\nat {}\nby {principal}\n", now.as_micros());
    replace_file_durably(&data.join(ACCEPTED_FILE), text.as_bytes())?;
    Ok(now)
}

/// Whether a server has taken what [`accept_clock`] says.
pub fn clock_was_taken(data: &Path) -> bool {
    !data.join(ACCEPTED_FILE).exists()
}

/// What an operator says of the clock, once it is taken away; `None` if nobody says anything.
fn take(file: &Path) -> Option<Result<(Timestamp, String), String>> {
    let text = match std::fs::read_to_string(file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(error.to_string())),
    };
    let parsed = parse(&text).ok_or_else(|| "it is not what was written there".to_owned());
    // What cannot be taken away is not taken: it would hold for ever.
    Some(std::fs::remove_file(file).map_err(|error| error.to_string()).and(parsed))
}

pub(crate) fn parse(text: &str) -> Option<(Timestamp, String)> {
    let mut lines = text.lines();
    lines.next().filter(|line| *line == VERSION)?;
    let at = lines.next()?.strip_prefix("at ")?.parse().ok()?;
    let by: PrincipalId = lines.next()?.strip_prefix("by ")?.parse().ok()?;
    Some((Timestamp::from_micros(at), by.to_string()))
}

/// The thread that looks at the clock.
pub(crate) struct ClockKeeper {
    running: Mutex<Option<Sender<Infallible>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl ClockKeeper {
    /// Looks at the clock for the ledgers of a node, for the first time at once.
    pub(crate) fn start(ledgers: Arc<Ledgers>, data: &Path) -> ClockKeeper {
        let mut looking = Looking { ledgers, accepted: data.join(ACCEPTED_FILE), warned: false };
        looking.look();
        let (running, stopped) = bounded(0);
        let thread = std::thread::Builder::new()
            .name("clock".to_owned())
            .spawn(move || looking.run(&stopped))
            .expect("the system can start a thread");
        let thread = Mutex::new(Some(thread));
        ClockKeeper { running: Mutex::new(Some(running)), thread }
    }

    /// Ends it. Blocks.
    pub(crate) fn stop(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that looks at the clock panicked");
        }
    }
}

impl Drop for ClockKeeper {
    fn drop(&mut self) {
        self.stop();
    }
}

struct Looking {
    ledgers: Arc<Ledgers>,
    accepted: PathBuf,
    /// Whether it was told that the file cannot be read or taken away.
    warned: bool,
}

impl Looking {
    fn run(mut self, stopped: &Receiver<Infallible>) {
        let pause = self.ledgers.basis.pauses.clock;
        while stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout) {
            self.look();
        }
    }

    fn look(&mut self) {
        match take(&self.accepted) {
            Some(Ok((at, by))) => self.accept(at, &by),
            Some(Err(why)) => {
                if !std::mem::replace(&mut self.warned, true) {
                    let file = self.accepted.display();
                    tracing::error!(%file, why, "what an operator says of the clock cannot be used");
                }
            }
            None => self.warned = false,
        }
        // Also where no ledger is open: small steps must not add up.
        let _ = self.ledgers.watch_of_clock().now();
        for (_, slot) in self.ledgers.all() {
            if let Slot::Open(ledger) = slot {
                ledger.look_at_clock();
            }
        }
    }

    fn accept(&self, at: Timestamp, by: &str) {
        let watch: &ClockWatch = self.ledgers.watch_of_clock();
        let apart = watch.clock().now().as_micros().abs_diff(at.as_micros());
        let suspect = watch.now().err().map(|suspect| suspect.to_string()).unwrap_or_default();
        if u128::from(apart) > CLOCK_TOLERANCE.as_micros() {
            let apart_s = apart / 1_000_000;
            tracing::error!(
                by,
                apart_s,
                suspect,
                "an operator accepted the clock as it was at another time: say it again, if it is right"
            );
            return;
        }
        let mut last = Timestamp::MIN;
        for (_, slot) in self.ledgers.all() {
            if let Slot::Open(ledger) = slot {
                last = last.max(ledger.last_stamp());
            }
        }
        watch.accept(last);
        tracing::warn!(
            by,
            clock_us = at.as_micros(),
            suspect,
            "an operator says that the clock is right"
        );
    }
}
