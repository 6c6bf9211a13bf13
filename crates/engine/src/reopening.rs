//! Ledgers that failed in a way that passes are opened again, by one thread of the node: their disk
//! was full or failed, their index is damaged, one of their threads died. It is done as at a start, and
//! tried again and again. What an operator has to see to is left alone.

use crate::clock_keeper::LOOK_EVERY;
use crate::ledger::Ledger;
use crate::ledgers::{Found, Ledgers};
use crate::node::Slot;
use crate::open::{OpenError, with_sources};
use bergulir_domain::LedgerId;
use bergulir_store::file_log::Medium;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// When it is tried to open a ledger again, and when the clock is looked at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pauses {
    /// So long after it failed; after each attempt that does not help the next one comes twice as late.
    pub(crate) first: Duration,
    /// The longest that an attempt is put off.
    pub(crate) longest: Duration,
    /// A ledger that fails again within this time was not cured: the attempts go on where they were.
    pub(crate) steady_after: Duration,
    /// How often the clock is looked at.
    pub(crate) clock: Duration,
}

impl Pauses {
    pub(crate) const USUAL: Pauses = Pauses {
        first: Duration::from_secs(1),
        longest: Duration::from_secs(30),
        steady_after: Duration::from_secs(60),
        clock: LOOK_EVERY,
    };
}

/// So much room a disk must have before a ledger is opened again: with hardly any it would fail again at
/// once, and each attempt may take a replay.
const ROOM_BYTES: u64 = 16 << 20;

/// The room is tried out by writing pieces of this length.
const PIECE_BYTES: usize = 1 << 20;

/// In the folder of a ledger: what is written there to see whether there is room, and removed.
pub(crate) const ROOM_FILE: &str = "room.probe";

enum Call {
    /// This ledger failed.
    Failed(LedgerId),
    Stop,
}

/// The way to who opens ledgers again.
#[derive(Debug, Clone)]
pub(crate) struct Alarms(Sender<Call>);

/// What is called there.
pub(crate) struct Calls(Receiver<Call>);

/// The two ends of the way.
pub(crate) fn alarms() -> (Alarms, Calls) {
    let (sender, receiver) = unbounded();
    (Alarms(sender), Calls(receiver))
}

impl Alarms {
    /// The alarm of one ledger.
    pub(crate) fn of(self, ledger: LedgerId) -> Alarm {
        Alarm { alarms: self, ledger }
    }
}

/// The alarm of one ledger.
#[derive(Debug)]
pub(crate) struct Alarm {
    alarms: Alarms,
    ledger: LedgerId,
}

impl Alarm {
    /// The ledger failed in a way that passes.
    pub(crate) fn sound(&self) {
        // If nobody listens, the node stops.
        let _ = self.alarms.0.send(Call::Failed(self.ledger));
    }
}

/// The thread that opens ledgers again.
pub(crate) struct Reopener {
    alarms: Alarms,
    stopping: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Reopener {
    /// Starts it for the ledgers of a node.
    pub(crate) fn start(ledgers: Arc<Ledgers>, calls: Calls) -> Reopener {
        let alarms = ledgers.alarms.clone();
        let stopping = Arc::new(AtomicBool::new(false));
        let attempts =
            Attempts { ledgers, stopping: Arc::clone(&stopping), waiting: BTreeMap::new() };
        let thread = std::thread::Builder::new()
            .name("reopener".to_owned())
            .spawn(move || attempts.run(&calls.0))
            .expect("the system can start a thread");
        Reopener { alarms, stopping, thread: Mutex::new(Some(thread)) }
    }

    /// Ends it; an attempt that is under way is broken off. Blocks.
    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // If it is gone, that is as well.
        let _ = self.alarms.0.send(Call::Stop);
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && thread.join().is_err()
        {
            tracing::error!("the thread that opens ledgers again panicked");
        }
    }
}

impl Drop for Reopener {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What is known of the attempts at one ledger.
struct Attempt {
    /// When the next one is due; `None` if the last one helped.
    due: Option<Instant>,
    /// How long the next one is put off.
    pause: Duration,
    /// When the last one ended.
    last: Option<Instant>,
    /// What was told of the last one that did not help.
    told: Option<String>,
}

struct Attempts {
    ledgers: Arc<Ledgers>,
    stopping: Arc<AtomicBool>,
    waiting: BTreeMap<LedgerId, Attempt>,
}

impl Attempts {
    fn run(mut self, calls: &Receiver<Call>) {
        loop {
            let next = self.waiting.values().filter_map(|attempt| attempt.due).min();
            let call = match next {
                Some(next) => calls.recv_deadline(next),
                None => calls.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match call {
                Ok(Call::Failed(id)) => self.schedule(id, Instant::now()),
                Err(RecvTimeoutError::Timeout) => self.attempt(),
                Ok(Call::Stop) | Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn schedule(&mut self, id: LedgerId, now: Instant) {
        let Pauses { first, longest, steady_after, .. } = self.ledgers.basis.pauses;
        let none = Attempt { due: None, pause: first, last: None, told: None };
        let attempt = self.waiting.entry(id).or_insert(none);
        if attempt.due.is_some() {
            return;
        }
        match attempt.last {
            Some(last) if now.duration_since(last) < steady_after => {}
            Some(_) | None => attempt.pause = first,
        }
        attempt.due = Some(now + attempt.pause);
        attempt.pause = (attempt.pause * 2).min(longest);
    }

    /// Opens those again that are due, together, as a start does.
    fn attempt(&mut self) {
        let (now, mut found, mut before) = (Instant::now(), Vec::new(), BTreeMap::new());
        let is_due = |attempt: &Attempt| attempt.due.is_some_and(|due| due <= now);
        let due: Vec<LedgerId> =
            self.waiting.iter().filter(|(_, attempt)| is_due(attempt)).map(|(id, _)| *id).collect();
        for id in due {
            let open = match self.ledgers.get(id) {
                Some(Slot::Open(ledger)) if ledger.can_be_cured() => Some(ledger),
                Some(Slot::Broken(error)) if error.passes() => None,
                // Something worse was found, or it is as it should be.
                Some(_) | None => {
                    self.waiting.remove(&id);
                    continue;
                }
            };
            let read = self.read(id, open.as_deref());
            before.insert(id, open);
            found.push((id, read));
        }
        self.ledgers.retire(&mut found);
        self.ledgers.ask_witnesses(&mut found);
        for (id, read) in found {
            if self.is_stopping() {
                return;
            }
            self.conclude((id, read), before.remove(&id).flatten().as_deref());
        }
    }

    fn conclude(&mut self, (id, read): Found, before: Option<&Ledger>) {
        let Some(attempt) = self.waiting.get_mut(&id) else { return };
        attempt.due = None;
        attempt.last = Some(Instant::now());
        let read = match read {
            // Worse was found meanwhile.
            _ if before.is_some_and(|before| !before.can_be_cured()) => return,
            Ok(None) if before.is_some() => Err(OpenError::Emptied { folder: id }),
            Err(error) if error.passes() => {
                let why = with_sources(&error);
                if attempt.told.as_ref() == Some(&why) {
                    tracing::debug!(ledger = %id, why, "the ledger cannot be opened again yet");
                } else {
                    tracing::warn!(ledger = %id, why, "the ledger cannot be opened again yet");
                    attempt.told = Some(why);
                }
                return self.schedule(id, Instant::now());
            }
            read => read,
        };
        attempt.told = None;
        if let Ok(Some(read)) = &read {
            let records = read.opened.log.head().size.get();
            let known = &read.opened.known;
            match known.trouble.as_ref().or(known.passing.as_ref()) {
                None => tracing::info!(ledger = %id, records, "the ledger was opened again"),
                Some(why) => tracing::error!(ledger = %id, records, why, "it was opened again"),
            }
        }
        self.ledgers.put(id, read);
    }

    fn read(
        &self,
        id: LedgerId,
        before: Option<&Ledger>,
    ) -> Result<Option<crate::ledgers::Read>, OpenError> {
        let go_on = |_, _| {
            if self.is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let probe = self.ledgers.folder.join(id.as_str()).join(ROOM_FILE);
        check_room(self.ledgers.basis.medium.as_ref(), &probe)
            .map_err(|source| OpenError::NoRoom { source })?;
        if let Some(before) = before {
            self.ledgers.check_beside(id, before)?;
        }
        // A panic was told where it happened; the next attempt may fare better.
        let read = || self.ledgers.read(id, before, &go_on);
        catch_unwind(AssertUnwindSafe(read)).unwrap_or(Err(OpenError::BrokenOff))
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }
}

/// Checks that the disk takes writes and has room for some.
fn check_room(medium: &dyn Medium, probe: &Path) -> io::Result<()> {
    let piece = vec![0x5a; PIECE_BYTES];
    let write = || {
        let file = medium.create(probe)?;
        let mut at = 0;
        while at < ROOM_BYTES {
            match file.write_at(&piece, at)? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => at += written as u64,
            }
        }
        file.sync()
    };
    let written = write();
    // If it cannot be removed, the next one begins with it.
    let _ = medium.remove(probe);
    written
}
