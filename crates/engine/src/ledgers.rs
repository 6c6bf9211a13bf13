//! The ledgers of a node by their names, and what each of them is opened with.

use crate::anchor;
use crate::checkpoints::{SignedCheckpoint, log_keys, log_name};
use crate::clock::{Clock, ClockWatch};
use crate::continued;
use crate::keyring::Keyring;
use crate::known;
use crate::ledger::{Ledger, Shared};
use crate::node::{NodeOptions, Slot};
use crate::open::{self, OpenError, Opened};
use crate::reopening::{Alarms, Pauses};
use crate::witness::Client;
use crate::witnesses::{START_LIMIT, Witnesses};
use bergulir_domain::ledger::Origin;
use bergulir_domain::{LedgerId, State};
use bergulir_store::file_log::Medium;
use bergulir_store::{EventLog, FileLog, Head, Recovery};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;

/// What a node rests on; tests have their own.
pub(crate) struct Basis {
    /// What the logs lie on.
    pub(crate) medium: Arc<dyn Medium>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) pauses: Pauses,
}

/// The ledgers of a node.
pub(crate) struct Ledgers {
    /// Where their folders are.
    pub(crate) folder: PathBuf,
    pub(crate) basis: Basis,
    pub(crate) options: NodeOptions,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) witnesses: Vec<Arc<Client>>,
    pub(crate) alarms: Alarms,
    watch: Arc<ClockWatch>,
    slots: Mutex<BTreeMap<LedgerId, Slot>>,
    changed: watch::Sender<()>,
}

/// A ledger that was read and does not run yet.
pub(crate) struct Read {
    pub(crate) folder: PathBuf,
    pub(crate) opened: Opened,
    witnesses: Option<Arc<Witnesses>>,
}

/// What was read under the name of a ledger; `None` if its log has no record yet.
pub(crate) type Found = (LedgerId, Result<Option<Read>, OpenError>);

impl Ledgers {
    /// None yet.
    pub(crate) fn new(
        folder: PathBuf,
        basis: Basis,
        options: NodeOptions,
        keyring: Arc<Keyring>,
        witnesses: Vec<Arc<Client>>,
        alarms: Alarms,
    ) -> Ledgers {
        let (slots, changed) = (Mutex::default(), watch::Sender::new(()));
        let watch = Arc::new(ClockWatch::new(Arc::clone(&basis.clock), options.longest_rest));
        Ledgers { folder, basis, options, keyring, witnesses, alarms, watch, slots, changed }
    }

    pub(crate) fn get(&self, id: LedgerId) -> Option<Slot> {
        self.held().get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<(LedgerId, Slot)> {
        self.held().iter().map(|(id, slot)| (*id, slot.clone())).collect()
    }

    /// The clock, and whether it is believed.
    pub(crate) fn watch_of_clock(&self) -> &Arc<ClockWatch> {
        &self.watch
    }

    /// Tells of each ledger that is put in its place.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The ledger that has this origin, or had it.
    pub(crate) fn with_origin(&self, origin: &Origin) -> Option<LedgerId> {
        let has = |slot: &Slot| match slot {
            Slot::Open(ledger) => ledger.had_origin(origin),
            // Nobody can tell; its key is not used either.
            Slot::Broken(_) => false,
        };
        self.held().iter().find(|(_, slot)| has(slot)).map(|(id, _)| *id)
    }

    /// Puts what was read under a name in its place: a ledger then runs. What was there before ends,
    /// for whoever still holds it. If it could not be opened for a reason that passes, that is tried
    /// again.
    pub(crate) fn put(&self, id: LedgerId, read: Result<Option<Read>, OpenError>) {
        let slot = match read {
            Ok(Some(read)) => Some(Slot::Open(Arc::new(self.start(id, read)))),
            // Its creation was cut short before anything was acknowledged.
            Ok(None) => None,
            Err(error) => {
                let why = open::with_sources(&error);
                tracing::error!(ledger = %id, error = why, "the ledger cannot be opened");
                if error.passes() {
                    self.alarms.clone().of(id).sound();
                }
                Some(Slot::Broken(Arc::new(error)))
            }
        };
        let before = match slot {
            Some(slot) => self.held().insert(id, slot),
            None => self.held().remove(&id),
        };
        if let Some(Slot::Open(before)) = before {
            before.replace();
        }
        self.changed.send_replace(());
    }

    /// Reads a ledger. If it is open, it is `before`: its threads end and its index is closed, as soon
    /// as its log is known to be one that can be written to.
    pub(crate) fn read(
        &self,
        id: LedgerId,
        before: Option<&Ledger>,
        progress: &dyn Fn(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<Read>, OpenError> {
        // Whatever can be read of a ledger that goes on as another one, it takes no writes.
        let retired = continued::retired(&self.folder.join(id.as_str()));
        let mut read = self.read_log(id, before, progress);
        let why = match retired {
            Ok(None) => return read,
            Ok(Some(why)) => why,
            Err(why) => {
                if let Ok(Some(read)) = &mut read {
                    read.opened.known.passing.get_or_insert(why);
                }
                return read;
            }
        };
        match read {
            Ok(Some(mut read)) => {
                read.opened.known.trouble = Some(why);
                Ok(Some(read))
            }
            Ok(None) => Ok(None),
            Err(error) => Err(OpenError::Continued { why, source: Box::new(error) }),
        }
    }

    /// Why the key of a ledger is missed, if it is.
    fn missed_key(&self, state: &State) -> Option<String> {
        let in_force = log_keys(state).pop()?;
        self.keyring.missed(&in_force.key)
    }

    /// Checks that what a ledger needs beside its log can be had, before the opening of it that there
    /// is is ended for another one.
    pub(crate) fn check_beside(&self, id: LedgerId, before: &Ledger) -> Result<(), OpenError> {
        before.check_unread()?;
        let folder = self.folder.join(id.as_str());
        let (origin, missed) = before.glance(|state| (log_name(state), self.missed_key(state)));
        let medium = &self.basis.medium;
        let anchors =
            origin.map(|origin| anchor::files(medium, &self.options.anchors, origin.as_str()));
        let why = continued::retired(&folder)
            .err()
            .or_else(|| {
                let anchors = anchors.as_deref().unwrap_or_default();
                known::unreadable_now(medium.as_ref(), &folder, anchors)
            })
            .or(missed);
        why.map_or(Ok(()), |why| Err(OpenError::Beside { why }))
    }

    /// Opens the log in the folder of a ledger.
    pub(crate) fn open_log(&self, folder: &Path) -> Result<(FileLog, Recovery), OpenError> {
        open::open_log(&self.basis.medium, folder, self.options.ledger.segment_bytes)
    }

    fn read_log(
        &self,
        id: LedgerId,
        before: Option<&Ledger>,
        progress: &dyn Fn(u64, u64) -> ControlFlow<()>,
    ) -> Result<Option<Read>, OpenError> {
        let folder = self.folder.join(id.as_str());
        if let Some(before) = before {
            before.halt();
        }
        let (log, _) = self.open_log(&folder)?;
        if let Some(before) = before
            && !before.close_index(&|| progress(0, 0).is_break())
        {
            return Err(OpenError::BrokenOff);
        }
        if log.head().size.get() == 0 {
            return open::check_never_opened(&folder).map(|()| None);
        }
        let log: Arc<dyn EventLog> = Arc::new(log);
        let policy = self.options.policy.as_ref();
        let witnesses = policy.and_then(|policy| Witnesses::of(policy, &self.witnesses));
        let (medium, anchors) = (&self.basis.medium, &self.options.anchors);
        let mut opened = open::open(medium, &folder, id, &log, anchors, open::options, progress)?;
        // Whom the policy trusts by now is asked, not whom it trusted then.
        let policy = policy.filter(|policy| policy.wants_witnesses());
        let stands =
            |signed: &SignedCheckpoint| policy.is_some_and(|it| it.witnessed(&signed.note).is_ok());
        opened.known.witnessed = opened.known.witnessed.filter(stands);
        if let Some(why) = self.missed_key(opened.replica.state()) {
            tracing::error!(ledger = %id, why, "the ledger misses its key");
            opened.known.passing.get_or_insert(why);
        }
        if let Some(before) = before
            && let Some(why) = forgotten(before.head(), log.as_ref())?
        {
            opened.known.trouble.get_or_insert(why);
        }
        Ok(Some(Read { folder, opened, witnesses }))
    }

    /// Asks all witnesses what they know of all ledgers. One that is silent delays the start once.
    pub(crate) fn ask_witnesses(&self, found: &mut [Found]) {
        let until = Instant::now() + START_LIMIT;
        std::thread::scope(|scope| {
            for (_, read) in found {
                scope.spawn(move || {
                    let Ok(Some(Read { folder, opened, witnesses: Some(witnesses) })) = read else {
                        return;
                    };
                    let asked = open::ask(witnesses, opened, &self.keyring, folder, until);
                    if let Err(error) = asked {
                        *read = Err(error);
                    }
                });
            }
        });
    }

    /// Of two ledgers of which one goes on from the other, the other one takes no writes, also if its
    /// mark was lost, as after a restore of its folder alone.
    pub(crate) fn retire(&self, found: &mut [Found]) {
        let mut successors = BTreeMap::new();
        let mut succeeds = |id: LedgerId, state: &State| {
            let Some(origin) = state.opened().map(|opened| &opened.origin) else { return };
            for past in past_origins(state) {
                successors.insert(past, (id, origin.clone()));
            }
        };
        for (id, slot) in self.all() {
            if let Slot::Open(ledger) = slot {
                ledger.glance(|state| succeeds(id, state));
            }
        }
        for (id, read) in found.iter() {
            let Ok(Some(Read { opened, .. })) = read else { continue };
            succeeds(*id, opened.replica.state());
        }
        for (id, read) in found {
            let Ok(Some(Read { opened, .. })) = read else { continue };
            let origin = opened.replica.state().opened().map(|opened| opened.origin.as_str());
            if let Some((successor, origin)) = origin.and_then(|origin| successors.get(origin))
                && successor != id
            {
                opened.known.trouble.get_or_insert(continued::goes_on(*successor, origin, None));
            }
        }
    }

    fn start(&self, id: LedgerId, read: Read) -> Ledger {
        let Read { folder, opened, witnesses } = read;
        let shared = Shared {
            watch: Arc::clone(&self.watch),
            options: self.options.ledger,
            keyring: Arc::clone(&self.keyring),
            witnesses,
            runtime: self.options.runtime.clone(),
            request_ids: Arc::new(|| *uuid::Uuid::new_v4().as_bytes()),
            alarms: Some(self.alarms.clone()),
        };
        Ledger::start(id, &folder, opened, shared)
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<LedgerId, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Says in words what is wrong with a log that is opened again and does not lead on from what this
/// server has acknowledged of it.
fn forgotten(acknowledged: Head, log: &dyn EventLog) -> Result<Option<String>, OpenError> {
    let size = log.head().size;
    if acknowledged.size > size {
        return Ok(Some(known::too_short("this server", acknowledged.size, size)));
    }
    let found = open::hash_before(log, acknowledged.size)?;
    let other = found != acknowledged.hash;
    Ok(other.then(|| known::other_record(acknowledged.size)))
}

/// The origins that a ledger had before, under which something can have been signed.
fn past_origins(state: &State) -> impl Iterator<Item = String> {
    let origin = state.opened().map(|opened| opened.origin.as_str());
    let names = state.keys().filter_map(|(_, key)| Some(key.as_str().split_once('+')?.0));
    names.filter(move |name| Some(*name) != origin).map(str::to_owned)
}
