//! The checkpointer: the one thread of a ledger that signs. It signs the newest published head, at
//! most once a second while records arrive, when somebody asks, and when the ledger stops. A
//! checkpoint is on disk before anybody sees it.

use crate::anchor::Anchor;
use crate::checkpoints::{Checkpoints, LogKey, SignedCheckpoint, log_keys, log_name};
use crate::health::Health;
use crate::keyring::Keyring;
use crate::open::{index_without_paths, log_without_paths};
use crate::proofs::ProofRefusal;
use crate::tree::{Tree, TreeError};
use bergulir_chain::LogSize;
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::merkle::TreeHead;
use bergulir_chain::note::Note;
use bergulir_domain::LedgerId;
use bergulir_proto::replay::Replica;
use bergulir_store::EventLog;
use bergulir_store::index::Index;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// While records arrive, a checkpoint is signed so often.
const EVERY: Duration = Duration::from_secs(1);

/// The key folder is searched for a key that is missing once in so many attempts.
const LOOK_EVERY: u32 = 30;

/// How often it is looked whether the index has what the published state has.
const INDEX_PAUSE: Duration = Duration::from_millis(1);

/// What a request for a checkpoint is answered with.
pub(crate) type Signed = Result<Arc<SignedCheckpoint>, ProofRefusal>;

/// Somebody asks for a checkpoint that covers so many records, all of them published.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) covering: LogSize,
    pub(crate) reply: oneshot::Sender<Signed>,
}

pub(crate) struct Checkpointer {
    pub(crate) ledger: LedgerId,
    pub(crate) published: Arc<RwLock<Replica>>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: Arc<Index>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) health: Arc<Health>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) anchors: Arc<[Anchor]>,
    /// Tells those who submit checkpoints to witnesses that there is a new one.
    pub(crate) witnesses: Option<Sender<()>>,
    /// Whether it was told that nothing can be signed.
    pub(crate) warned: bool,
    /// How often that was tried since it last could be.
    pub(crate) attempts: u32,
}

impl Checkpointer {
    /// Runs until every sender of requests is gone; a last checkpoint is signed then, so whoever
    /// stops the ledger lets the projections finish before.
    pub(crate) fn run(mut self, requests: &Receiver<Request>) {
        let mut next = Instant::now();
        loop {
            match requests.recv_deadline(next) {
                Ok(request) => {
                    // Who asked meanwhile is answered with the same one.
                    let waiting: Vec<_> =
                        std::iter::once(request).chain(requests.try_iter()).collect();
                    for Request { covering, reply } in waiting {
                        // Whoever asked may have gone away.
                        let _ = reply.send(self.covering(covering));
                    }
                }
                Err(RecvTimeoutError::Timeout) => {
                    self.keep_up();
                    next = Instant::now() + EVERY;
                }
                Err(RecvTimeoutError::Disconnected) => {
                    self.keep_up();
                    return;
                }
            }
        }
    }

    fn covering(&mut self, size: LogSize) -> Signed {
        match self.checkpoints.newest() {
            Some(newest) if newest.checkpoint.size >= size => Ok(newest),
            Some(_) | None => self.sign(true),
        }
    }

    /// Signs what came since the newest checkpoint, and tells what keeps it from that. Anchors that
    /// are new, or that failed, get the newest one.
    pub(crate) fn keep_up(&mut self) {
        let refusal = self.sign(self.attempts.is_multiple_of(LOOK_EVERY)).err();
        self.attempts = if refusal.is_some() { self.attempts.wrapping_add(1) } else { 0 };
        if self.health.failure().is_none()
            && let Some(newest) = self.checkpoints.newest()
        {
            let behind = self.anchors.iter().filter(|anchor| anchor.is_behind());
            behind.for_each(|anchor| anchor.write(&newest.note));
        }
        match refusal {
            None => {
                if std::mem::take(&mut self.warned) {
                    tracing::info!(ledger = %self.ledger, "checkpoints are signed again");
                }
            }
            // The ledger's status tells.
            Some(ProofRefusal::ReadOnly { .. }) => {}
            Some(refusal) if !self.warned => {
                self.warned = true;
                let keys = self.keyring.folder().display();
                tracing::warn!(ledger = %self.ledger, %refusal, %keys, "nothing is signed");
            }
            Some(_) => {}
        }
    }

    /// Signs the published head, unless that was done. If `look` says so, keys are looked for that
    /// were not there at start.
    fn sign(&self, look: bool) -> Signed {
        let newest = self.checkpoints.newest();
        let (head, keys, origin) = {
            let replica = self.published.read().unwrap_or_else(PoisonError::into_inner);
            debug_assert!(replica.ends_batch(), "batches are published whole");
            let size = replica.tree().size();
            if let Some(newest) = newest.as_ref().filter(|n| n.checkpoint.size.get() == size) {
                return Ok(Arc::clone(newest));
            }
            (replica.tree().head(), log_keys(replica.state()), log_name(replica.state()))
        };
        if let Some(why) = self.health.failure() {
            return Err(ProofRefusal::ReadOnly { why });
        }
        let no_key = |why: &str| ProofRefusal::NoKey { why: why.to_owned() };
        let origin = origin.ok_or_else(|| no_key("the ledger's origin cannot name a key"))?;
        self.wait_for_the_index(head)?;
        if let Some(newest) = &newest {
            self.check_extends(newest.checkpoint.head(), head)?;
        }
        let checkpoint = Checkpoint { origin, size: LogSize::new(head.size), root: head.root };
        let note = sign_with(&checkpoint, &keys, &self.keyring, look)?;
        let stored = self.checkpoints.put(SignedCheckpoint { checkpoint, note });
        let signed = stored.map_err(|e| ProofRefusal::NotStored { why: e.to_string() })?;
        for anchor in self.anchors.iter() {
            anchor.write(&signed.note);
        }
        if let Some(witnesses) = &self.witnesses {
            // Full: they know already that there is something new.
            let _ = witnesses.try_send(());
        }
        Ok(signed)
    }

    /// The published state is a step ahead of the index for a moment; proofs to a checkpoint must
    /// not have to wait.
    fn wait_for_the_index(&self, head: TreeHead) -> Result<(), ProofRefusal> {
        while self.index.applied().get() < head.size {
            if let Some(why) = self.health.failure() {
                return Err(ProofRefusal::ReadOnly { why });
            }
            std::thread::sleep(INDEX_PAUSE);
        }
        Ok(())
    }

    /// Two histories are never signed, not even by a fault of this program or of the memory.
    fn check_extends(&self, old: TreeHead, new: TreeHead) -> Result<(), ProofRefusal> {
        let tree = Tree { log: self.log.as_ref(), index: &self.index };
        let why = match tree.extension(old.size, new) {
            Ok((found, _)) if found == old => return Ok(()),
            Ok((found, _)) => {
                let why = format!(
                    "the tree at {} records has the root {}, and {} was signed: nothing more is. \
                     Restart the server, which checks the log",
                    old.size, found.root, old.root
                );
                self.health.fail(why.clone());
                why
            }
            Err(TreeError::Log(error)) => {
                self.health.log_failed(&error);
                return Err(ProofRefusal::Log(log_without_paths(error)));
            }
            Err(TreeError::Index(error)) => {
                self.health.index_failed(&error);
                index_without_paths(&error)
            }
        };
        Err(ProofRefusal::ReadOnly { why })
    }
}

/// Signs with the key in force, and with each earlier one that is still here: those who know only
/// an old key find a signature that they can check.
pub(crate) fn sign_with(
    checkpoint: &Checkpoint,
    keys: &[LogKey],
    keyring: &Keyring,
    look: bool,
) -> Result<Note, ProofRefusal> {
    let Some((in_force, earlier)) = keys.split_last() else {
        let why = "the ledger names no key: name one with `bergulir key rotate`".to_owned();
        return Err(ProofRefusal::NoKey { why });
    };
    let key = keyring.signer(&in_force.key, look).ok_or_else(|| ProofRefusal::NoKey {
        why: format!(
            "the private key of {} ({}) is not in the server's key folder: put its file there",
            in_force.key.name(),
            in_force.key.id()
        ),
    })?;
    let no_key = |why: &dyn std::fmt::Display| ProofRefusal::NoKey { why: why.to_string() };
    let mut note = checkpoint.sign(&key).map_err(|error| no_key(&error))?;
    let text = checkpoint.text();
    for earlier in earlier {
        if let Some(key) = keyring.signer(&earlier.key, false) {
            note.add(key.sign(&text)).map_err(|error| no_key(&error))?;
        }
    }
    Ok(note)
}
