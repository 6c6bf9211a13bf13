//! The writer: the one thread of a ledger that decides. It drains what waits, stamps the time
//! once, decides and seals each command, and hands the group to the persister whenever that one is
//! free: while one group is being synced, the next one grows.

use crate::asked::{self, Asked};
use crate::clock::{Clock, ClockSuspect, Stamper};
use crate::facts::Facts;
use crate::health::Health;
use crate::inbox::{self, Room};
use crate::keyring::Keyring;
use crate::meter::Meter;
use crate::recent::{Recent, Sealed, SealedGroup};
use crate::submission::{
    Accepted, Answer, Balances, Caller, Named, Receipt, Refusal, Request, Submission, Terms, Work,
};
use bergulir_chain::{LogSize, Record};
use bergulir_domain::state::LOOK_AHEAD;
use bergulir_domain::{
    Context, Decider, Decision, Event, Header, Position, State, Timestamp, Touched,
};
use bergulir_proto::event::encode_event;
use bergulir_store::index::Index;
use bergulir_store::{EventLog, Group, GroupError, Head};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, TryRecvError, select};
use std::collections::HashSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// A group stops growing at so many bytes of records, so that its sync stays short.
pub(crate) const GROUP_BYTES: usize = 4 << 20;
/// A group stops growing at so many commands.
pub(crate) const GROUP_COMMANDS: usize = 65_536;
/// The writer waits while so many records are not in the index yet: their keys stay in memory.
pub(crate) const MAX_UNINDEXED: u64 = 131_072;
/// How often the writer then looks whether the index has caught up.
const INDEX_PAUSE: Duration = Duration::from_millis(5);
/// While a group is being synced, single commands are looked for so often: being woken by each of
/// them costs more than deciding it.
const SYNC_PAUSE: Duration = Duration::from_micros(100);
/// A group of so many commands is handed on as soon as the persister is free, whatever waits: the
/// next one is decided while this one is written.
const ENOUGH_COMMANDS: usize = 512;
/// Work of more commands than this, on average, is decided at once, also while a group is synced.
const FEW_COMMANDS: usize = 16;

/// What the writer takes from its queue.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "work is nearly all that comes")]
pub(crate) enum Message {
    Work(Submission),
    /// Answer once everything decided so far is durable, and let no later record carry this
    /// instant or an earlier one.
    Fence {
        instant: Timestamp,
        reply: oneshot::Sender<()>,
    },
}

/// One group on its way to the disk, and who waits for it.
#[derive(Debug)]
pub(crate) struct Bundle {
    pub(crate) group: Group,
    /// The records of the group; `None` if there are none.
    pub(crate) sealed: Option<SealedGroup>,
    pub(crate) waiters: Vec<Waiter>,
    /// How many commands were decided for it.
    pub(crate) decided: usize,
    /// When the last work for it was queued.
    pub(crate) newest: Duration,
}

/// Who is told once the state that was decided on is durable.
#[derive(Debug)]
pub(crate) enum Waiter {
    Answer(oneshot::Sender<Answer>, Answer, Room),
    Fence(oneshot::Sender<()>),
}

/// Who asks.
#[derive(Clone, Copy)]
pub(crate) struct By<'a> {
    pub(crate) caller: &'a Caller,
    /// The principal as the text that it is, which is not told from its bytes for nothing.
    pub(crate) name: &'a str,
}

impl Bundle {
    pub(crate) fn new(base: Head) -> Bundle {
        Bundle {
            group: Group::new(base),
            sealed: None,
            waiters: Vec::new(),
            decided: 0,
            newest: Duration::ZERO,
        }
    }

    /// Refusals and repeated answers count as well: who waits for one should not wait long.
    fn is_full(&self) -> bool {
        self.group.body().len() >= GROUP_BYTES || self.decided >= GROUP_COMMANDS
    }
}

pub(crate) struct Writer {
    pub(crate) state: Decider,
    pub(crate) recent: Recent,
    pub(crate) stamper: Arc<Stamper>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) index: Arc<Index>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) health: Arc<Health>,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) bundle: Bundle,
    /// The thread that runs it, for the persister to wake.
    pub(crate) thread: Arc<OnceLock<Thread>>,
}

impl Writer {
    /// Runs until every sender of `inbox` is gone and all that was decided is handed over.
    pub(crate) fn run(
        mut self,
        inbox: &Receiver<Message>,
        persister: &Sender<Bundle>,
        idle: &Receiver<Bundle>,
    ) {
        // It runs once.
        let _ = self.thread.set(std::thread::current());
        let mut spare = Some(Bundle::new(self.bundle.group.head()));
        let mut open = true;
        // Whether the last work was little each.
        let mut few = true;
        while open || !self.bundle.waiters.is_empty() {
            if !self.bundle.waiters.is_empty()
                && let Some(next) = spare.take()
                && persister.send(self.close(next)).is_err()
            {
                return;
            }
            if open && self.must_wait_for_the_index() {
                match idle.recv_timeout(INDEX_PAUSE) {
                    Ok(bundle) => spare = Some(bundle),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return,
                }
                continue;
            }
            if !open || self.bundle.is_full() {
                match idle.recv() {
                    Ok(bundle) => spare = Some(bundle),
                    Err(_) => return,
                }
                continue;
            }
            if spare.is_none() && few {
                // The persister unparks: a wait on its channel would first spin, for a tenth of
                // what a single command takes.
                if idle.is_empty() {
                    std::thread::park_timeout(SYNC_PAUSE);
                }
                match idle.try_recv() {
                    Ok(bundle) => spare = Some(bundle),
                    Err(TryRecvError::Empty) => {}
                    Err(TryRecvError::Disconnected) => return,
                }
                if let Ok(message) = inbox.try_recv() {
                    few = self.drain(message, inbox, || spare.is_some() || !idle.is_empty());
                }
                continue;
            }
            select! {
                recv(inbox) -> message => match message {
                    Ok(message) => {
                        few = self.drain(message, inbox, || spare.is_some() || !idle.is_empty());
                    }
                    Err(_) => open = false,
                },
                recv(idle) -> bundle => match bundle {
                    Ok(bundle) => spare = Some(bundle),
                    Err(_) => return,
                },
            }
        }
    }

    /// Ends the group that grows, and gives it; from here on the next one grows.
    pub(crate) fn close(&mut self, mut next: Bundle) -> Bundle {
        next.group.begin(self.bundle.group.head());
        let mut full = std::mem::replace(&mut self.bundle, next);
        full.sealed = (!full.group.is_empty()).then(|| self.recent.close());
        full
    }

    /// Takes what waits as one group, one time for all of it; only enough of it, if the persister
    /// is free. Says whether it was little each.
    pub(crate) fn drain(
        &mut self,
        first: Message,
        inbox: &Receiver<Message>,
        persister_is_free: impl Fn() -> bool,
    ) -> bool {
        let (before, mut messages) = (self.bundle.decided, 0);
        let mut stamp = None;
        let mut waiting = vec![first];
        while !waiting.is_empty() {
            while waiting.len() < LOOK_AHEAD
                && waiting.last().and_then(single).is_some()
                && let Ok(message) = inbox.try_recv()
            {
                waiting.push(message);
            }
            messages += waiting.len();
            let turn = self.clock.monotonic();
            let known = self.look_up(&waiting);
            for (message, known) in waiting.drain(..).zip(known) {
                match message {
                    Message::Work(submission) => {
                        let now = stamp.map_or_else(|| self.stamper.stamp(), Ok);
                        stamp = now.ok();
                        self.take(submission, known, now, turn);
                    }
                    Message::Fence { instant, reply } => {
                        // Dropped, the reply says that nothing is final now.
                        if self.stamper.pass(instant).is_ok() {
                            stamp = None;
                            self.bundle.waiters.push(Waiter::Fence(reply));
                        }
                    }
                }
            }
            let enough = self.bundle.decided >= ENOUGH_COMMANDS && persister_is_free();
            if !enough && !self.bundle.is_full() {
                waiting.extend(inbox.try_recv());
            }
        }
        self.bundle.decided - before <= messages * FEW_COMMANDS
    }

    /// What can be found out together about the single commands that wait.
    fn look_up(&self, waiting: &[Message]) -> Vec<asked::Known> {
        let mut all = Asked::all(waiting.iter().filter_map(single), &self.index);
        self.look_ahead(&mut all);
        let mut all = all.into_iter();
        let mut known = |message| single(message).and_then(|_| Some(all.next()?.known));
        waiting.iter().map(|message| known(message).unwrap_or(asked::Known::NOTHING)).collect()
    }

    /// Whether too many records are not in the index yet: their keys stay in memory.
    pub(crate) fn must_wait_for_the_index(&mut self) -> bool {
        self.recent.forget(self.index.applied().get(), self.index.written().get());
        let unindexed = self.state.size().saturating_sub(self.recent.first());
        unindexed > MAX_UNINDEXED && self.health.failure().is_none()
    }

    fn take(
        &mut self,
        submission: Submission,
        known: asked::Known,
        stamp: Result<Timestamp, ClockSuspect>,
        turn: Duration,
    ) {
        let Submission { caller, work, terms, reply, queued, turn_by, room } = submission;
        self.bundle.newest = queued;
        let waited = turn.saturating_sub(queued);
        self.meter.turn_micros.record_micros(waited);
        if let Some(why) = self.health.failure() {
            refuse(reply, room, Refusal::ReadOnly { why });
            return;
        }
        if terms.deadline.is_some_and(|deadline| deadline <= Instant::now()) {
            refuse(reply, room, Refusal::DeadlineExceeded);
            return;
        }
        // A caller that went away before anything was decided has no claim on the ledger's time.
        if reply.is_closed() {
            return;
        }
        // Those who come now are served in time; who has waited long would make them wait, too.
        if turn_by.is_some_and(|by| by < turn) {
            self.meter.waited_too_long.fetch_add(1, Ordering::Relaxed);
            let retry_after = inbox::retry_after(waited);
            refuse(reply, room, Refusal::WaitedTooLong { waited, retry_after });
            return;
        }
        let now = match stamp {
            Ok(now) => now,
            Err(suspect) => {
                self.health.clock(Some(suspect));
                refuse(reply, room, Refusal::ReadOnly { why: suspect.to_string() });
                return;
            }
        };
        self.bundle.decided += work.commands();
        self.state.advance(now);
        let by = By { caller: &caller, name: caller.principal.as_str() };
        let answer = match work {
            Work::Single(request) => {
                match self.single(by, &Asked { request: &request, known }, &terms, now) {
                    Ok(accepted) => Answer::Items(vec![Ok(accepted)]),
                    Err(refusal) => Answer::Refused { item: None, refusal },
                }
            }
            Work::Independent(requests) => {
                let mut items = Vec::with_capacity(requests.len());
                let mut all = Asked::all(requests.iter(), &self.index);
                for some in all.chunks_mut(LOOK_AHEAD) {
                    self.look_ahead(some);
                    let each = |asked: &Asked<'_>| self.single(by, asked, &Terms::PLAIN, now);
                    items.extend(some.iter().map(each));
                }
                Answer::Items(items)
            }
            Work::Atomic(requests) => self.atomic(by, &requests, &terms, now),
        };
        self.bundle.waiters.push(Waiter::Answer(reply, answer, room));
    }

    /// Reads what the next decisions are going to read, and remembers where it was.
    fn look_ahead(&self, some: &mut [Asked<'_>]) {
        for asked in &mut *some {
            let loan = asked.request.command.paid_loan();
            asked.known.near = loan.and_then(|loan| self.state.guess_loan(loan));
        }
        self.state.look_ahead_at(some.iter().filter_map(|asked| asked.known.near));
    }

    fn single(
        &mut self,
        by: By<'_>,
        asked: &Asked<'_>,
        terms: &Terms,
        now: Timestamp,
    ) -> Result<Accepted, Refusal> {
        if let Some(position) = self.position_of(asked)? {
            self.check_begins_batch(position)?;
            return self.repeat(by, asked.request, position, 0);
        }
        self.check_expected(terms)?;
        if terms.validate_only {
            return self.validate(by, asked, now);
        }
        self.accept(by, asked, 0, now)
    }

    fn atomic(
        &mut self,
        by: By<'_>,
        requests: &[Request],
        terms: &Terms,
        now: Timestamp,
    ) -> Answer {
        let refused = |item: usize, refusal| Answer::Refused { item: Some(item), refusal };
        let mut seen = HashSet::with_capacity(requests.len());
        if let Some(item) = requests.iter().position(|r| !seen.insert(r.request_id)) {
            return refused(item, Refusal::RequestIdRepeated);
        }
        let mut all = Asked::all(requests.iter(), &self.index);
        match self.repeat_atomic(by, &all) {
            Ok(None) => {}
            Ok(Some(accepted)) => return Answer::Items(accepted.into_iter().map(Ok).collect()),
            Err((item, refusal)) => return refused(item, refusal),
        }
        if let Err(refusal) = self.check_expected(terms) {
            return Answer::Refused { item: None, refusal };
        }
        let (group, size) = (self.bundle.group.mark(), self.state.size());
        self.state.mark();
        let mut accepted = Vec::with_capacity(requests.len());
        let mut failed = None;
        for item in 0..all.len() {
            if item % LOOK_AHEAD == 0 {
                let end = all.len().min(item + LOOK_AHEAD);
                self.look_ahead(&mut all[item..end]);
            }
            let asked = &all[item];
            let following = u32::try_from(requests.len() - 1 - item).unwrap_or(u32::MAX);
            match self.accept(by, asked, following, now) {
                Ok(done) => accepted.push(done),
                Err(refusal) => {
                    failed = Some((item, refusal));
                    break;
                }
            }
        }
        if failed.is_none() && !terms.validate_only {
            self.state.keep();
            return Answer::Items(accepted.into_iter().map(Ok).collect());
        }
        self.state.roll_back();
        self.recent.truncate(size);
        self.bundle.group.roll_back(group);
        if let Some((item, refusal)) = failed {
            return refused(item, refusal);
        }
        let validated = |done: Accepted| Ok(Accepted { receipt: None, ..done });
        Answer::Items(accepted.into_iter().map(validated).collect())
    }

    fn check_expected(&self, terms: &Terms) -> Result<(), Refusal> {
        let size = LogSize::new(self.state.size());
        match terms.expected_position {
            Some(expected) if expected != size => Err(Refusal::HeadMoved { expected, size }),
            Some(_) | None => Ok(()),
        }
    }

    /// Decides, and shows what it would leave behind, on a state that is rolled back.
    fn validate(
        &mut self,
        by: By<'_>,
        asked: &Asked<'_>,
        now: Timestamp,
    ) -> Result<Accepted, Refusal> {
        let decision = self.decide(by, asked, now)?;
        self.state.mark();
        let header = self.header(by, now);
        let touched = self.state.evolve(&header, &decision);
        let balances = balances_of(&self.state, touched);
        let named = named(&self.state, touched);
        self.state.roll_back();
        Ok(Accepted { receipt: None, touched, named, balances })
    }

    fn accept(
        &mut self,
        by: By<'_>,
        asked: &Asked<'_>,
        following: u32,
        now: Timestamp,
    ) -> Result<Accepted, Refusal> {
        let decision = self.decide(by, asked, now)?;
        let header = self.header(by, now);
        let previous = self.bundle.group.head().hash;
        let request_id = asked.request.request_id;
        let record = Record {
            position: bergulir_chain::Position::new(header.position.get()),
            previous,
            recorded_at: bergulir_chain::Timestamp::from_micros(now.as_micros()),
            principal: by.name,
            authentication: by.caller.authentication,
            request_id,
            following,
            // Written straight into the group.
            event: &[],
            signature: None,
        };
        let pushed = self.bundle.group.push_with(&record, |out| encode_event(&decision.event, out));
        let hash = match pushed {
            Ok(hash) => hash,
            Err(GroupError::Record(_)) => return Err(Refusal::TooLong),
            Err(GroupError::Chain(error)) => {
                let why = format!("the writer lost its place in the chain: {error}");
                self.health.fail_for_now(&why);
                return Err(Refusal::ReadOnly { why });
            }
        };
        let touched = self.state.evolve(&header, &decision);
        let balances = balances_of(&self.state, touched);
        let receipt = Receipt {
            position: record.position,
            record_hash: hash,
            recorded_at: record.recorded_at,
            duplicate: false,
        };
        self.recent.push(Sealed {
            header,
            authentication: by.caller.authentication,
            request_id,
            following,
            hash,
            event: decision.event,
            id_key: asked.known.id_key,
            reference: asked.known.reference,
            touched,
            balances,
        });
        let named = named(&self.state, touched);
        Ok(Accepted { receipt: Some(receipt), touched, named, balances })
    }

    fn decide(&self, by: By<'_>, asked: &Asked<'_>, now: Timestamp) -> Result<Decision, Refusal> {
        let facts = Facts { known: &asked.known, ..self.facts() };
        let (principal, near) = (by.caller.principal, asked.known.near);
        let context = Context { time: now, principal, lookups: &facts, near };
        let decision = self.state.decide(&asked.request.command, &context)?;
        if let Event::KeyRotated(rotated) = &decision.event {
            self.keyring.require(&rotated.verifier_key)?;
        }
        Ok(decision)
    }

    fn header(&self, by: By<'_>, now: Timestamp) -> Header {
        let position = Position::new(self.state.size());
        Header { position, recorded_at: now, principal: by.caller.principal }
    }

    pub(crate) fn facts(&self) -> Facts<'_> {
        Facts {
            recent: &self.recent,
            known: &asked::Known::NOTHING,
            index: &self.index,
            log: self.log.as_ref(),
            health: Some(&self.health),
        }
    }
}

/// The command, if it comes by itself. Only those are taken together: a group must not grow far
/// beyond its limits.
fn single(message: &Message) -> Option<&Request> {
    match message {
        Message::Work(Submission { work: Work::Single(request), .. }) => Some(request),
        Message::Work(_) | Message::Fence { .. } => None,
    }
}

/// The balances of whom an event concerned.
pub(crate) fn balances_of(state: &State, touched: Touched) -> Balances {
    Balances {
        fund: touched.fund.map(|index| state.funds().get(index).balances),
        account: touched.account.map(|index| state.accounts().get(index).balances()),
        loan: touched.loan.and_then(|index| Some(state.loans().get(index).active()?.balances())),
    }
}

/// The names of whom an event concerned.
pub(crate) fn named(state: &State, touched: Touched) -> Named {
    Named {
        fund: touched.fund.map(|index| state.funds().get(index).id),
        account: touched.account.map(|index| state.accounts().get(index).id),
        loan: touched.loan.map(|index| {
            let loan = state.loans().get(index);
            (loan.id, loan.principal.minor())
        }),
    }
}

fn refuse(reply: oneshot::Sender<Answer>, room: Room, refusal: Refusal) {
    // First: who has an answer finds room for the next.
    drop(room);
    // A caller that went away needs no answer.
    let _ = reply.send(Answer::Refused { item: None, refusal });
}
