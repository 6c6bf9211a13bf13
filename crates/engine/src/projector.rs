//! The projector: the one thread of a ledger that follows what is durable. It keeps the state that
//! reads see, feeds the index, computes seals and keeps the snapshots that a seal vouches for.

use crate::balance_proofs::{NewestSeal, SealedBalances};
use crate::facts::Fingerprint;
use crate::health::Health;
use crate::recent::{Sealed, SealedGroup};
use crate::sealing::{self, Sealing, no_snapshot};
use crate::submission::{Answer, RequestId};
use crate::trail::{Owner, Running};
use bergulir_chain::{Hash, LogSize, Position, Record};
use bergulir_domain::command::Seal;
use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{Event, Touched};
use bergulir_proto::balances::BalanceTree;
use bergulir_proto::replay::{Grown, Replica};
use bergulir_store::index::{Index, IndexBatch, IndexError, NextRead, SnapshotDraft};
use crossbeam_channel::{Receiver, TryRecvError};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{oneshot, watch};

/// So many records are applied to the published state at a time, so that readers wait little.
const STEP: usize = if cfg!(test) { 2 } else { 1_000 };
/// So many seals may be on their way into the log, each with a snapshot of the whole state that lies
/// beside the index.
const MAX_PENDING_SEALS: usize = 2;

#[derive(Debug)]
pub(crate) enum Message {
    Published(SealedGroup),
    /// Compute a seal through the published head, or one that came after; `None` if nothing is there
    /// to seal.
    Seal(oneshot::Sender<Option<Seal>>),
}

pub(crate) struct Projector {
    pub(crate) published: Arc<RwLock<Replica>>,
    pub(crate) index: Arc<Index>,
    pub(crate) projected: watch::Sender<LogSize>,
    pub(crate) health: Arc<Health>,
    /// A seal is asked for after so many records.
    pub(crate) seal_every: u64,
    /// Asks the writer to record a seal; `None` if the queue did not take it.
    pub(crate) record_seal: Box<dyn Fn(Seal) -> Option<oneshot::Receiver<Answer>> + Send>,
    pub(crate) since_seal: u64,
    /// A period was closed, and no seal begun since.
    pub(crate) period_closed: bool,
    /// The seal that is being computed, and who asked for it; nobody, if it is time for one.
    pub(crate) sealing: Option<(Sealing, Vec<Asker>)>,
    /// Who asked for a seal since that was begun.
    pub(crate) askers: Vec<Asker>,
    /// The seals that were computed, until their records come by.
    pub(crate) pending: Vec<Pending>,
    /// The index failed: what is published is followed without it, so that reads see it until the
    /// ledger is opened again.
    pub(crate) index_lost: bool,
    /// Where the balance tree of the newest seal is kept.
    pub(crate) newest_seal: Arc<NewestSeal>,
    /// What goes into the index next; kept for its memory.
    pub(crate) batch: IndexBatch,
}

/// Who asked for a seal.
pub(crate) type Asker = oneshot::Sender<Option<Seal>>;

/// A seal on its way into the log.
pub(crate) struct Pending {
    pub(crate) seal: Seal,
    /// `None` if it could not be written.
    snapshot: Option<SnapshotDraft>,
    tree: Arc<BalanceTree>,
    /// Kept as long as the seal is wanted: what nobody waits for, the writer leaves.
    pub(crate) answer: Option<oneshot::Receiver<Answer>>,
}

impl Projector {
    /// Runs until the persister and every handle are gone.
    pub(crate) fn run(mut self, messages: &Receiver<Message>) {
        loop {
            let message = if self.is_sealing() {
                messages.try_recv()
            } else {
                messages.recv().map_err(|_| TryRecvError::Disconnected)
            };
            let taken = match message {
                Ok(message) => self.take(message),
                Err(TryRecvError::Empty) => Ok(()),
                Err(TryRecvError::Disconnected) => break,
            };
            if let Err(error) = taken {
                self.health.index_failed(&error);
            }
            self.seal_on();
        }
        if !self.index_lost
            && let Err(error) = self.index.flush()
        {
            // The next start replays what is missing from the log.
            tracing::warn!(error = %describe(&error), "the index could not be written out");
        }
    }

    /// Does what one message asks for, a seal aside, which takes some calls of
    /// [`seal_on`](Self::seal_on). After an error the index is left alone, and the published state goes
    /// on without it.
    pub(crate) fn take(&mut self, message: Message) -> Result<(), IndexError> {
        self.take_in_steps(message, &mut || ())
    }

    /// The same; `onlooker` may read after each step in which records are published.
    pub(crate) fn take_in_steps(
        &mut self,
        message: Message,
        onlooker: &mut dyn FnMut(),
    ) -> Result<(), IndexError> {
        match message {
            Message::Published(sealed) if self.index_lost => {
                self.follow_alone(&sealed);
                Ok(())
            }
            Message::Published(sealed) => self.follow(&sealed, onlooker).inspect_err(|_| {
                self.index_lost = true;
                self.follow_alone(&sealed);
            }),
            Message::Seal(reply) => {
                self.askers.push(reply);
                Ok(())
            }
        }
    }

    /// Follows without the index, from where the published state stands.
    fn follow_alone(&self, sealed: &[Sealed]) {
        for step in steps(sealed) {
            let mut replica = self.published.write().unwrap_or_else(PoisonError::into_inner);
            for one in step {
                if one.header.position.get() >= replica.size().get() {
                    let Sealed { hash, header, event, touched, .. } = one;
                    let record = chain_record(one, replica.head_hash());
                    replica.follow(&record, *hash, header, event, Some(*touched));
                }
            }
        }
    }

    fn follow(&mut self, sealed: &[Sealed], onlooker: &mut dyn FnMut()) -> Result<(), IndexError> {
        // Most groups are of nothing but the trade: they are not looked through once more at the end.
        let mut is_more = false;
        for one in sealed {
            self.keep_balances(one);
            is_more |= matches!(one.event, Event::Sealed(_) | Event::PeriodClosed(_));
        }
        let mut batch = std::mem::take(&mut self.batch);
        for step in steps(sealed) {
            let mut replica = self.published.write().unwrap_or_else(PoisonError::into_inner);
            batch.begin(replica.size());
            // Whatever becomes of the index, readers see whole steps.
            let mut added = Ok(());
            for ahead in step.chunks(LOOK_AHEAD) {
                replica.look_ahead_at(ahead.iter().map(|one| one.touched));
                for one in ahead {
                    let record = chain_record(one, replica.head_hash());
                    let Sealed { hash, header, event, touched, .. } = one;
                    let followed = replica.follow(&record, *hash, header, event, Some(*touched));
                    added = added.and_then(|()| add(&mut batch, one)).and_then(|()| {
                        add_lapsed(&mut batch, &replica, &followed.lapsed, *touched)
                    });
                    add_tiles(&mut batch, &followed.grown);
                }
            }
            drop(replica);
            added?;
            self.index.apply(&batch)?;
            self.projected.send_replace(batch.to());
            onlooker();
        }
        self.batch = batch;
        if !is_more {
            self.since_seal += sealed.len() as u64;
            return Ok(());
        }
        for one in sealed {
            self.since_seal += 1;
            if let Event::Sealed(seal) = &one.event {
                self.since_seal = 0;
                self.keep_snapshot(seal, one.header.position.get())?;
            }
            // What a period was closed with is bound into the chain right away.
            if let Event::PeriodClosed(_) = &one.event {
                self.period_closed = true;
            }
        }
        Ok(())
    }

    /// Whether [`seal_on`](Self::seal_on) has something to do.
    pub(crate) fn is_sealing(&self) -> bool {
        self.sealing.is_some()
            || !self.askers.is_empty()
            || self.period_closed
            || self.since_seal >= self.seal_every
    }

    /// Goes on with the seal that is being computed, for a moment; or begins one, if somebody asks for
    /// it or it is time.
    pub(crate) fn seal_on(&mut self) {
        if self.index_lost {
            return self.give_up_seals();
        }
        if let Some((sealing, _)) = &mut self.sealing {
            if !sealing.go_on(&self.published)
                && let Some((sealing, askers)) = self.sealing.take()
                && let Some(sealed) = sealing.finish()
            {
                self.sealed(sealed, askers);
            }
        } else if self.is_sealing() {
            // One that the full queue does not take comes again after a while, not at once: it is
            // dear to compute.
            let soon = self.seal_every.saturating_sub((self.seal_every / 8).max(1));
            self.since_seal = self.since_seal.min(soon);
            self.period_closed = false;
            let askers = std::mem::take(&mut self.askers);
            // The last one before a stop is asked for, and what starts next reads it.
            let next_read = if askers.is_empty() { NextRead::Later } else { NextRead::Soon };
            match Sealing::begin(&self.published, &self.index, next_read) {
                Some(sealing) => self.sealing = Some((sealing, askers)),
                None => answer(askers, None),
            }
        }
    }

    /// Snapshots go with the index, and seals with the next opening of the ledger.
    fn give_up_seals(&mut self) {
        (self.since_seal, self.period_closed) = (0, false);
        let begun = self.sealing.take().map(|(_, askers)| {
            self.published.write().unwrap_or_else(PoisonError::into_inner).let_go();
            askers
        });
        answer(begun.into_iter().flatten().chain(self.askers.drain(..)), None);
    }

    /// A seal is computed: who asked for it has it recorded, or else this does.
    fn sealed(&mut self, sealed: sealing::Sealed, askers: Vec<Asker>) {
        let sealing::Sealed { seal, snapshot, tree } = sealed;
        let mut pending =
            Pending { seal: seal.clone(), snapshot, tree: Arc::new(tree), answer: None };
        if askers.is_empty() {
            let Some(recorded) = (self.record_seal)(seal) else { return };
            pending.answer = Some(recorded);
            self.since_seal = 0;
        } else {
            answer(askers, Some(&seal));
        }
        self.pending.push(pending);
        let surplus = self.pending.len().saturating_sub(MAX_PENDING_SEALS);
        self.pending.drain(..surplus);
    }

    /// If a record is a seal, balances can be proved from it. First of all, so that whoever sees
    /// the record finds them.
    fn keep_balances(&self, one: &Sealed) {
        if let Event::Sealed(seal) = &one.event
            && let Some(pending) = self.pending.iter().find(|pending| pending.seal == *seal)
        {
            let sealed_at = Position::new(one.header.position.get());
            self.newest_seal.put(SealedBalances::new(Arc::clone(&pending.tree), sealed_at));
        }
    }

    /// The seal is in the log: its snapshot can be trusted, and is kept beside the index.
    fn keep_snapshot(&mut self, seal: &Seal, sealed_at: u64) -> Result<(), IndexError> {
        let found = self.pending.iter().position(|pending| pending.seal == *seal);
        let snapshot = found.and_then(|found| self.pending.swap_remove(found).snapshot);
        // A seal is refused once a later one is recorded.
        self.pending.retain(|pending| pending.seal.through > seal.through);
        let Some(mut snapshot) = snapshot else {
            return Ok(());
        };
        let size = LogSize::new(seal.through.get() + 1);
        if let Err(error) = snapshot.write(&sealed_at.to_le_bytes()) {
            no_snapshot(&error);
            return Ok(());
        }
        self.index.keep_snapshot(size, snapshot)
    }
}

/// Whoever asked may have gone away.
fn answer(askers: impl IntoIterator<Item = Asker>, seal: Option<&Seal>) {
    for asker in askers {
        let _ = asker.send(seal.cloned());
    }
}

/// Cuts records into steps of about [`STEP`], each of which ends where a batch ends: readers must
/// not see half of one.
fn steps(mut sealed: &[Sealed]) -> impl Iterator<Item = &[Sealed]> {
    std::iter::from_fn(move || {
        if sealed.is_empty() {
            return None;
        }
        let from = STEP.min(sealed.len()) - 1;
        let ends = sealed[from..].iter().position(|one| one.following == 0);
        let (step, rest) = sealed.split_at(ends.map_or(sealed.len(), |more| from + more + 1));
        sealed = rest;
        Some(step)
    })
}

/// What one record adds to the index.
fn add(batch: &mut IndexBatch, sealed: &Sealed) -> Result<(), IndexError> {
    let position = Position::new(sealed.header.position.get());
    let added = Added {
        position,
        request_id: sealed.request_id,
        reference: sealed.reference.map(|reference| reference.fingerprint),
        touched: sealed.touched,
        balances: &sealed.balances,
    };
    added.to(batch)
}

/// The balances of those whose proposals had lapsed by the record that was just applied, unless it
/// concerns them itself: as-of balances need them, trails leave them out.
pub(crate) fn add_lapsed(
    batch: &mut IndexBatch,
    replica: &Replica,
    lapsed: &[Touched],
    itself: Touched,
) -> Result<(), IndexError> {
    let Some(position) = replica.size().last() else { return Ok(()) };
    for touched in lapsed {
        if let Some(fund) = touched.fund.filter(|fund| itself.fund != Some(*fund)) {
            let (tag, numbers) = Running::of_fund(&replica.state().funds().get(fund).balances);
            batch.trail(position, Owner::Fund(fund).key(), Running::lapsed(tag), &numbers)?;
        }
        if let Some(account) = touched.account.filter(|account| itself.account != Some(*account)) {
            let balances = replica.state().accounts().get(account).balances();
            let (tag, numbers) = Running::of_account(&balances, None, None);
            batch.trail(position, Owner::Account(account).key(), Running::lapsed(tag), &numbers)?;
        }
    }
    Ok(())
}

/// What a record adds to the tiles, with which the batch covers it.
pub(crate) fn add_tiles(batch: &mut IndexBatch, grown: &Grown) {
    grown.tile_hashes().for_each(|(subtree, root)| batch.completed(subtree, root));
}

/// What one record adds to the index.
pub(crate) struct Added<'a> {
    pub(crate) position: Position,
    pub(crate) request_id: RequestId,
    pub(crate) reference: Option<Fingerprint>,
    pub(crate) touched: Touched,
    pub(crate) balances: &'a crate::submission::Balances,
}

impl Added<'_> {
    pub(crate) fn to(&self, batch: &mut IndexBatch) -> Result<(), IndexError> {
        let Added { position, request_id, reference, touched, balances } = self;
        batch.request_id(*position, request_id);
        if let Some(reference) = reference {
            batch.bank_reference(*position, reference);
        }
        if let (Some(account), Some(own)) = (touched.account, &balances.account) {
            let (tag, numbers) = Running::of_account(own, touched.loan, balances.loan.as_ref());
            batch.trail(*position, Owner::Account(account).key(), tag, &numbers)?;
        }
        if let Some(cooperative) = touched.cooperative {
            batch.trail(*position, Owner::Cooperative(cooperative).key(), 0, &[])?;
        }
        if let (Some(fund), Some(own)) = (touched.fund, &balances.fund) {
            let (tag, numbers) = Running::of_fund(own);
            batch.trail(*position, Owner::Fund(fund).key(), tag, &numbers)?;
        }
        Ok(())
    }
}

/// The record without its event, which the chain's cursor does not look at.
fn chain_record(sealed: &Sealed, previous: Hash) -> Record<'_> {
    Record {
        position: Position::new(sealed.header.position.get()),
        previous,
        recorded_at: bergulir_chain::Timestamp::from_micros(sealed.header.recorded_at.as_micros()),
        principal: sealed.header.principal.as_str(),
        authentication: sealed.authentication,
        request_id: sealed.request_id,
        following: sealed.following,
        event: &[],
        signature: None,
    }
}

pub(crate) fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
