//! How a ledger stops and is opened again.

use super::checks;
use super::run::Run;
use super::simulated::Fault;
use crate::open::OpenError;
use crate::projector;
use bergulir_chain::LogSize;
use bergulir_domain::{Command, Event, Header, Timestamp};
use bergulir_store::ReadError;
use tokio::sync::oneshot;

impl Run {
    /// The ledger stops as it should, and is opened again.
    pub(super) fn stop(&mut self) {
        self.rest();
        if self.one_in(2) {
            let (reply, mut seal) = oneshot::channel();
            let machine = self.machine.as_mut().unwrap();
            machine.projector.take(projector::Message::Seal(reply)).unwrap();
            while machine.projector.is_sealing() {
                machine.projector.seal_on();
            }
            let seal = seal.try_recv().unwrap().unwrap();
            let answer = machine.ledger.inbox.record_seal(seal.clone()).unwrap();
            self.push_seal(seal, Some(answer));
            self.rest();
        }
        let machine = self.machine();
        machine.writer.index.flush().unwrap();
        self.sign();
        let machine = self.machine();
        let last = machine.ledger.last_stamp();
        let settled = machine.ledger.horizon.settle(last);
        // Where it could not be written, now or before, it may be further ahead.
        if self.planned.is_none() {
            settled.unwrap();
            self.horizon = self.horizon.min(last.as_micros());
        }
        self.counts.one("clean stop");
        self.say(|| "a clean stop".to_owned());
        self.forget();
        self.reopen();
    }

    /// Nothing is left of the process.
    pub(super) fn forget(&mut self) {
        self.questions.clear();
        self.queue.clear();
        self.growing.clear();
        self.flying = None;
        self.machine = None;
    }

    pub(super) fn reopen(&mut self) {
        let may_fail = self.faulty && self.left.is_empty() && self.planned.is_none();
        if may_fail && self.one_in(8) {
            let fault = [Fault::Fails, Fault::Short, Fault::PowerGoes][self.among(3)];
            let after = self.chance.below(8);
            self.site.disk.plan(after, fault);
            self.planned = Some(fault);
        }
        let machine = loop {
            self.unreadable(6, 40);
            let opened = self.site.open();
            let unread = self.readable();
            match opened {
                Ok(machine) => break machine,
                Err(
                    OpenError::Log(bergulir_store::OpenError::Io { .. })
                    | OpenError::Read(ReadError::Io { .. })
                    | OpenError::Io { .. }
                    | OpenError::Beside { .. },
                ) if self.planned.is_some() || unread => {
                    self.counts.one(if unread { "start could not read" } else { "start failed" });
                    if self.planned.is_some() {
                        self.cut();
                    }
                }
                Err(error) => panic!("{error}"),
            }
        };
        let size = usize::try_from(machine.log.head().size.get()).unwrap();
        self.say(|| format!("opened with {size} records"));
        assert!(
            size == self.durable || Some(size) == self.unsure,
            "{size} records are there, {} are durable, or {:?}",
            self.durable,
            self.unsure
        );
        if self.unsure.is_some() {
            let survived = Some(size) == self.unsure;
            let what = if survived { "unknown group survived" } else { "unknown group lost" };
            self.counts.one(what);
        }
        (self.durable, self.unsure) = (size, None);
        self.events.truncate(size);
        // No record comes to lie at or before an instant that was answered as of, whatever the clock
        // says now; and none far beyond the last one of those.
        let stamp = machine.ledger.last_stamp();
        assert!(self.finals.iter().all(|(instant, _)| *instant < stamp), "not final: {stamp:?}");
        let most = self.oracle.records[size - 1].at.max(self.horizon);
        assert!(stamp.as_micros() <= most, "{stamp:?}, and {most} at most");
        // A checkpoint that somebody has seen is known again.
        let known =
            machine.ledger.watch_checkpoint().borrow().as_ref().map(|it| it.checkpoint.size);
        let signed = self.watchers.checkpoints.last().map_or(0, |(size, _)| *size as u64);
        assert!(
            known.map_or(0, LogSize::get) >= signed,
            "{known:?} are known, {signed} were signed"
        );
        self.oracle.reopen(size, stamp.as_micros(), self.site.clock.both());
        checks::log(machine.log.as_ref(), &self.oracle, &self.acknowledged, &self.watchers);
        if self.events.is_empty() {
            let open =
                Event::LedgerOpened(Box::new(match &self.oracle.records[0].request.command {
                    Command::OpenLedger(open) => open.clone(),
                    _ => unreachable!("the first record opens the ledger"),
                }));
            let header = Header {
                position: bergulir_domain::Position::new(0),
                recorded_at: Timestamp::from_micros(self.oracle.records[0].at),
                principal: self.oracle.records[0].by,
            };
            self.events.push((header, open));
        }
        if self.one_in(4) {
            machine.scrub();
            assert_eq!(machine.writer.health.failure(), None);
        }
        // What it begins with is what the records come to, whatever a snapshot said.
        self.oracle.records[size - 1].after.compare(&machine.writer.state);
        self.machine = Some(machine);
    }
}
