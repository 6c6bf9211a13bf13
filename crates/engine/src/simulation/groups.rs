//! The way of what was asked: the writer decides it, its group goes to the disk, its callers are
//! answered, the projections follow.

use super::commands::id;
use super::machine::Machine;
use super::oracle::{Expected, No, Waits};
use super::reads::onlook;
use super::run::Run;
use super::simulated::Fault;
use crate::submission::{Answer, Refusal, Request, Terms, Work};
use crate::writer::{Bundle, Waiter};
use bergulir_domain::command::Seal;
use bergulir_domain::{Command, PrincipalId, Rejection, Timestamp};
use std::sync::Arc;
use tokio::sync::oneshot;

/// A piece of work, or a fence, on its way to the writer.
pub(super) struct Asked {
    pub(super) number: u64,
    /// When it was asked, by the clock that nobody sets.
    pub(super) at: i64,
    pub(super) what: What,
    /// `None` once the caller gave up.
    pub(super) reply: Option<oneshot::Receiver<Answer>>,
}

pub(super) enum What {
    Work(PrincipalId, Work, Terms),
    /// Of the server itself.
    Seal(Request),
    Fence(Timestamp),
}

/// Decided, and not answered.
pub(super) struct Waiting {
    pub(super) asked: Asked,
    pub(super) expected: Expected,
}

/// A group on its way to the disk.
pub(super) struct Flying {
    pub(super) bundle: Bundle,
    pub(super) waiting: Vec<Waiting>,
    pub(super) size: usize,
    pub(super) appended: bool,
}

impl Run {
    /// The writer decides all that waits.
    pub(super) fn write(&mut self) {
        self.oracle.read_only = self.machine().writer.health.failure().is_some();
        assert!(!self.oracle.read_only || self.machine().persister.lost.is_some());
        let clock = self.site.clock.both();
        let taken: Vec<Asked> = self.queue.drain(..).collect();
        if self.machine().writer.bundle.decided > 0 && self.flying.is_some() && !taken.is_empty() {
            self.counts.one("pushed ahead of a sync");
        }
        let kept = |machine: &Machine, seal: &Seal| {
            let mut pending = machine.projector.pending.iter();
            pending.any(|pending| pending.seal == *seal && pending.answer.is_some())
        };
        let waits = |machine: &Machine, asked: &Asked| match &asked.what {
            What::Seal(Request { command: Command::Seal(seal), .. }) if asked.reply.is_none() => {
                kept(machine, seal)
            }
            _ => asked.reply.is_some(),
        };
        let machine = self.machine.as_mut().unwrap();
        let waiting: Vec<bool> = taken.iter().map(|asked| waits(machine, asked)).collect();
        let before = machine.writer.bundle.waiters.len();
        // Only with one piece of work it is plain which was not read for.
        if let [Asked { what: What::Work(_, Work::Single(_) | Work::Atomic(_), _), .. }] =
            &taken[..]
        {
            self.unreadable(6, 3);
        }
        self.machine().write();
        let unread = self.readable();
        let machine = self.machine.as_mut().unwrap();
        let unread = unread
            && machine.writer.bundle.waiters[before..].iter().any(|waiter| {
                let Waiter::Answer(_, Answer::Refused { refusal, .. }, _) = waiter else {
                    return false;
                };
                *refusal == Refusal::Rule(Rejection::LookupFailed)
            });
        assert!(machine.messages.is_empty());
        let size = machine.writer.state.size();
        for position in self.events.len() as u64..size {
            let sealed = machine.writer.recent.get(position).unwrap();
            self.events.push((sealed.header, sealed.event.clone()));
        }
        let longest = self.site.ledger.longest_wait.as_micros();
        let longest = i64::try_from(longest).unwrap_or(i64::MAX);
        for (mut asked, waits) in taken.into_iter().zip(waiting) {
            let waits = match asked.what {
                What::Work(..) if waits && clock.1 - asked.at > longest => Waits::TooLong,
                _ if waits => Waits::Yes,
                _ => Waits::No,
            };
            let expected = match &asked.what {
                What::Work(..) if unread => self.oracle.unread(clock),
                What::Work(by, work, terms) => self.oracle.take(*by, work, *terms, waits, clock),
                What::Seal(request) => {
                    let (by, work) = (id(PrincipalId::SYSTEM), Work::Single(request.clone()));
                    self.oracle.take(by, &work, Terms::PLAIN, waits, clock)
                }
                What::Fence(instant) => self.oracle.fence(*instant, clock),
            };
            self.count(&asked, &expected);
            match &expected {
                Expected::Nothing => {}
                // No state stands behind these, so they need not wait for one to be durable.
                Expected::Refused(No::ReadOnly | No::Late | No::WaitedTooLong) => {
                    if let Some(reply) = &mut asked.reply {
                        self.oracle.check(&expected, &reply.try_recv().unwrap());
                    }
                }
                _ => self.growing.push(Waiting { asked, expected }),
            }
        }
        assert_eq!(size, self.oracle.records.len() as u64);
    }
    /// Nobody is told before the group is durable.
    fn nobody_is_told<'a>(waiting: impl Iterator<Item = &'a mut Waiting>) {
        for Waiting { asked, .. } in waiting {
            if let Some(reply) = &mut asked.reply {
                let told = reply.try_recv();
                assert!(told.is_err(), "{} was told too early: {told:?}", asked.number);
            }
        }
    }

    /// The group that grew goes to the disk.
    pub(super) fn hand_over(&mut self) {
        let machine = self.machine.as_mut().unwrap();
        if self.flying.is_some() {
            return self.append();
        }
        if machine.writer.bundle.waiters.is_empty() {
            return;
        }
        let Some(spare) = machine.spare.take() else { return };
        let bundle = machine.writer.close(spare);
        let waiting = std::mem::take(&mut self.growing);
        let size = self.oracle.records.len();
        self.flying = Some(Flying { bundle, waiting, size, appended: false });
    }

    pub(super) fn append(&mut self) {
        if self.flying.as_ref().is_none_or(|flying| flying.appended) {
            return;
        }
        if self.faulty && self.left.is_empty() && self.planned.is_none() && self.one_in(10) {
            let fault = [Fault::Fails, Fault::Short, Fault::PowerGoes][self.among(3)];
            let after = self.chance.below(5);
            self.site.disk.plan(after, fault);
            self.planned = Some(fault);
            self.say(|| format!("{fault:?} after {after} steps of the disk"));
        }
        let machine = self.machine.as_mut().unwrap();
        let Some(flying) = &mut self.flying else { return };
        Run::nobody_is_told(flying.waiting.iter_mut().chain(&mut self.growing));
        let lost_before = machine.persister.lost.is_some();
        machine.persister.append(&flying.bundle);
        flying.appended = true;
        let size = flying.size;
        if machine.persister.lost.is_none() {
            self.durable = size;
        } else if !lost_before {
            self.unsure = Some(size);
            self.counts.one("append failed");
        }
        self.say(|| format!("a group up to {size} is written, durable are {}", self.durable));
    }

    /// The group's callers are answered.
    pub(super) fn answer(&mut self) {
        self.append();
        let Some(mut flying) = self.flying.take() else { return };
        let machine = self.machine.as_mut().unwrap();
        machine.persister.answer(&mut flying.bundle);
        machine.spare = Some(flying.bundle);
        let lost = machine.persister.lost.is_some();
        assert_eq!(machine.ledger.head().size.get(), self.durable as u64);
        Run::nobody_is_told(self.growing.iter_mut());
        for Waiting { mut asked, expected } in flying.waiting {
            let Some(reply) = &mut asked.reply else { continue };
            let answer = reply.try_recv().expect("who waits is answered with the group");
            if lost {
                self.check_lost(&expected, &answer);
                continue;
            }
            self.oracle.check(&expected, &answer);
            self.count_reasons(&answer);
            self.keep(&answer);
        }
    }

    fn check_lost(&mut self, expected: &Expected, answer: &Answer) {
        let Answer::Refused { refusal, .. } = answer else {
            panic!("the group was not written, and a caller was told {answer:?}");
        };
        match expected {
            Expected::Items(_) => assert!(matches!(refusal, Refusal::OutcomeUnknown { .. })),
            _ => assert!(matches!(refusal, Refusal::ReadOnly { .. })),
        }
        self.counts.one("outcome unknown");
    }

    /// What was acknowledged stays so for ever.
    fn keep(&mut self, answer: &Answer) {
        let Answer::Items(items) = answer else { return };
        for accepted in items.iter().flatten() {
            let Some(receipt) = &accepted.receipt else { continue };
            self.counts.one("acknowledged");
            let first = self.acknowledged.entry(receipt.position.get()).or_insert(accepted.clone());
            let first_receipt = first.receipt.as_ref().unwrap();
            assert_eq!(first_receipt.record_hash, receipt.record_hash);
            assert_eq!((first.balances, first.touched), (accepted.balances, accepted.touched));
        }
    }

    /// The projector follows. Whoever reads meanwhile, between two steps of it, sees whole batches, and
    /// nothing that is not durable.
    pub(super) fn project(&mut self) {
        let looks = self.one_in(2);
        let now = Timestamp::from_micros(self.site.clock.both().0);
        let Run { machine, oracle, counts, durable, .. } = self;
        let machine = machine.as_mut().unwrap();
        let ledger = Arc::clone(&machine.ledger);
        machine.project(&mut || {
            if looks {
                onlook(&ledger, oracle, *durable as u64, now);
                counts.one("looked on");
            }
        });
        self.take_notice();
    }

    /// Before the process ends, somebody looks at what it shows: all of what was published, and none of
    /// what could not be written.
    pub(super) fn look_once_more(&mut self) {
        while !self.machine().published.is_empty() {
            self.project();
        }
        let now = Timestamp::from_micros(self.site.clock.both().0);
        let machine = self.machine.as_ref().unwrap();
        assert!(machine.ledger.head().size.get() <= self.durable as u64);
        onlook(&machine.ledger, &self.oracle, self.durable as u64, now);
        self.counts.one("looked once more");
    }

    /// The server may have asked something of itself, or a reader for a fence.
    fn take_notice(&mut self) {
        let machine = self.machine.as_mut().unwrap();
        if machine.messages.len() == self.queue.len() {
            return;
        }
        assert_eq!(machine.messages.len(), self.queue.len() + 1);
        let seal = machine.projector.pending.last().unwrap().seal.clone();
        self.push_seal(seal, None);
    }

    pub(super) fn push_seal(&mut self, seal: Seal, reply: Option<oneshot::Receiver<Answer>>) {
        self.say(|| format!("the server asks for a seal through {}", seal.through));
        let request_id = self.site.newest_seal_id();
        let what = What::Seal(Request { request_id, command: Command::Seal(seal) });
        self.queue.push_back(Asked { number: 0, at: 0, what, reply });
    }
}
