//! One run: a seeded scheduler that has one part after the other take a step, or something fail.

use super::commands::{ORIGIN, id};
use super::machine::{KEYS, Machine, Site, key};
use super::oracle::{Expected, Item, No, Oracle, Recorded, Stamps};
use super::reads::{Found, Of, Question, last_at};
use super::simulated::{Chance, Fault};
use super::steps::{Ask, HOUR, PRINCIPALS, Step, Wait, beginning, steps};
use super::{Model, Pair, Records, Seen, checks};
use crate::open::OpenError;
use crate::projector;
use crate::submission::{Accepted, Answer, Caller, Refusal, Request, RequestId, Terms, Work};
use crate::trail::Owner;
use crate::writer::Bundle;
use bergulir_chain::{Authentication, LogSize, Position};
use bergulir_domain::command::{RotateKey, Seal};
use bergulir_domain::text::Text;
use bergulir_domain::{Command, Event, Header, PrincipalId, Timestamp};
use bergulir_store::ReadError;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How often things happened.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }
    pub(super) fn add(&mut self, other: &Counts) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }
    pub(super) fn check_all_happened(&self) {
        let never: Vec<_> = ALL.iter().filter(|what| !self.0.contains_key(*what)).collect();
        assert!(never.is_empty() || self.0["seeds"] < 100, "never happened: {never:?}");
    }
}

/// What has to happen in some hundred runs.
const ALL: [&str; 34] = [
    "acknowledged",
    "refused by a rule",
    "conflict",
    "repeated in one batch",
    "head moved",
    "deadline passed",
    "key not held",
    "key rotated",
    "read-only",
    "outcome unknown",
    "answered again",
    "answered again, atomic",
    "validated",
    "atomic batch",
    "independent batch",
    "queue full",
    "nobody waits",
    "pushed ahead of a sync",
    "sealed",
    "append failed",
    "power cut",
    "process died",
    "unknown group survived",
    "unknown group lost",
    "start failed",
    "clean stop",
    "index lost",
    "index behind",
    "index torn",
    "clock set wrong",
    "read",
    "read as of an instant",
    "read as of a position",
    "signed",
];

/// A piece of work, or a fence, on its way to the writer.
struct Asked {
    number: u64,
    what: What,
    /// `None` once the caller gave up.
    reply: Option<oneshot::Receiver<Answer>>,
}

enum What {
    Work(PrincipalId, Work, Terms),
    /// Of the server itself.
    Seal(Request),
    Fence(Timestamp),
}

/// Decided, and not answered.
struct Waiting {
    asked: Asked,
    expected: Expected,
}

/// A group on its way to the disk.
struct Flying {
    bundle: Bundle,
    waiting: Vec<Waiting>,
    size: usize,
    appended: bool,
}

pub(super) struct Run {
    chance: Chance,
    loud: bool,
    site: Site,
    machine: Option<Machine>,
    oracle: Oracle,
    events: Vec<(Header, Event)>,
    left: VecDeque<(&'static str, Command)>,
    steps: VecDeque<Step>,
    sent: Vec<(PrincipalId, Work)>,
    queue: VecDeque<Asked>,
    growing: Vec<Waiting>,
    flying: Option<Flying>,
    questions: Vec<Question>,
    /// So many records are durable; if an append failed, it may also be so many.
    durable: usize,
    unsure: Option<usize>,
    acknowledged: BTreeMap<u64, Accepted>,
    /// What was answered as of an instant, which is final.
    finals: Vec<(Timestamp, Option<u64>)>,
    fresh: u32,
    next: u64,
    faulty: bool,
    planned: Option<Fault>,
    counts: Counts,
}

impl Run {
    pub(super) fn new(seed: u64, loud: bool) -> Run {
        let mut chance = Chance::seeded(seed);
        let site = Site::new(&mut chance);
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_be_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
        let mut runner = TestRunner::new_with_rng(Config::default(), rng);
        let steps = steps().new_tree(&mut runner).unwrap().current();
        let at = site.clock.both();
        let first = Request { request_id: request_id(0), command: open(&site) };
        let by: PrincipalId = id("ani");
        let mut now = Model::default();
        now.pass_time(Timestamp::from_micros(at.0));
        now.apply(by, &first.command);
        now.keys.push((0, key(0).verifier().to_string()));
        let after = Rc::new(now.clone());
        let recorded = Recorded { by, request: first, following: 0, at: at.0, after };
        let held = (0..KEYS - 1).map(|n| key(n).verifier().to_string()).collect();
        let stamps = Stamps::new(at.0, at);
        let records = vec![recorded];
        let mut counts = Counts::default();
        counts.one("seeds");
        let faulty = chance.below(5) > 0;
        let mut run = Run {
            chance,
            loud,
            machine: None,
            oracle: Oracle { records, now, stamps, held, read_only: false },
            site,
            events: Vec::new(),
            left: beginning().into(),
            steps: steps.into(),
            sent: Vec::new(),
            queue: VecDeque::new(),
            growing: Vec::new(),
            flying: None,
            questions: Vec::new(),
            durable: 1,
            unsure: None,
            acknowledged: BTreeMap::new(),
            finals: Vec::new(),
            fresh: 0,
            next: 1,
            faulty,
            planned: None,
            counts,
        };
        run.reopen();
        run
    }

    fn machine(&mut self) -> &mut Machine {
        self.machine.as_mut().unwrap()
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.loud {
            println!("{}", what());
        }
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.chance.below(n) == 0
    }

    fn among(&mut self, n: usize) -> usize {
        usize::try_from(self.chance.below(n as u64)).unwrap()
    }

    /// Does all of it, and checks what is left behind.
    pub(super) fn whole(mut self) -> Counts {
        while !self.left.is_empty() || !self.steps.is_empty() {
            self.step();
        }
        self.site.clock.set_wrong(0);
        self.rest();
        let machine = self.machine.take().unwrap();
        checks::log(machine.log.as_ref(), &self.oracle, &self.acknowledged);
        for (instant, answered) in &self.finals {
            assert_eq!(last_at(&self.oracle, self.durable as u64, *instant), *answered, "final");
        }
        self.questions.clear();
        self.site.disk.cut_power(&mut self.chance);
        checks::end(&self.site, machine);
        self.counts
    }

    fn step(&mut self) {
        let lost = self.machine().persister.lost.is_some();
        if lost && self.one_in(4) {
            return self.crash();
        }
        match self.chance.below(200) {
            0..60 => self.ask(),
            60..100 => self.write(),
            100..130 => self.hand_over(),
            130..150 => self.answer(),
            150..172 => self.project(),
            172..180 => {
                self.machine().writer.index.work_once().unwrap();
            }
            180..188 => self.question(),
            188..190 => self.sign(),
            190..192 => self.give_up(),
            192 => self.keep_index(),
            193 if self.faulty => self.set_clock(),
            194..197 if self.faulty => self.crash(),
            197 => self.stop(),
            198 => self.machine().writer.index.flush().unwrap(),
            _ => self.poll(),
        }
    }

    fn caller(by: PrincipalId) -> Caller {
        Caller { principal: by, authentication: Authentication::Stated }
    }

    /// A caller asks for something: new, or once more.
    fn ask(&mut self) {
        let (by, work) = if let Some((by, command)) = self.left.front().cloned() {
            // The beginning has to be accepted, so its order is kept and nothing fails meanwhile.
            if !self.queue.is_empty() || self.machine().persister.lost.is_some() {
                return self.write();
            }
            self.left.pop_front();
            (id(by), Work::Single(self.request(command)))
        } else if !self.sent.is_empty() && self.one_in(4) {
            self.again()
        } else {
            let Some((by, work)) = self.new_work() else { return };
            (by, work)
        };
        // The server lets no caller have the name `system`; the rules refuse it all but seals.
        let seals = requests(&work).iter().any(|r| matches!(r.command, Command::Seal(_)));
        let by = if seals && by.as_str() == PrincipalId::SYSTEM { id(PRINCIPALS[0]) } else { by };
        let is_beginning = self.sent.len() < beginning().len();
        let terms = if is_beginning { Terms::PLAIN } else { self.terms(&work) };
        self.sent.push((by, work.clone()));
        let submitted = self.machine().ledger.inbox.submit(Run::caller(by), work.clone(), terms);
        match submitted {
            Ok(reply) => {
                let number = self.sent.len() as u64;
                self.say(|| format!("{number}: {by} asks {work:?} {terms:?}"));
                let what = What::Work(by, work, terms);
                self.queue.push_back(Asked { number, what, reply: Some(reply) });
            }
            Err(Refusal::QueueFull { .. }) => {
                assert_eq!(self.queue.len(), self.site.ledger.queue);
                self.counts.one("queue full");
            }
            Err(refusal) => panic!("{refusal}"),
        }
        // From here on anything may fail: the beginning is durable.
        if is_beginning && self.left.is_empty() {
            self.rest();
        }
    }

    fn request(&mut self, command: Command) -> Request {
        self.next += 1;
        Request { request_id: request_id(self.next), command }
    }

    fn new_work(&mut self) -> Option<(PrincipalId, Work)> {
        let wanted = match self.chance.below(10) {
            0..7 => 1,
            _ => 2 + self.among(3),
        };
        let mut chosen: Vec<(PrincipalId, Request)> = Vec::new();
        while chosen.len() < wanted {
            let Some(step) = self.steps.pop_front() else { break };
            let wait = match step.wait {
                Wait::Nothing => i64::try_from(self.chance.below(2_000_000)).unwrap(),
                Wait::HalfADay => 12 * HOUR,
                Wait::Days(days) => i64::from(days) * 24 * HOUR,
            };
            self.site.clock.pass(wait);
            // Only `continue_ledger` records this one, and no caller can ask for it.
            if step.ask == Ask::Continue {
                continue;
            }
            let (by, command) = self.command(&step);
            let request = self.request(command);
            chosen.push((by, request));
        }
        let by = chosen.first()?.0;
        let mut requests: Vec<Request> = chosen.into_iter().map(|(_, request)| request).collect();
        if requests.len() > 1 && self.one_in(20) {
            requests[1].request_id = requests[0].request_id;
        }
        let work = match requests.len() {
            1 if self.chance.below(10) > 0 => Work::Single(requests.pop()?),
            _ if self.one_in(2) => Work::Atomic(requests),
            _ => Work::Independent(requests),
        };
        Some((by, work))
    }

    fn command(&mut self, step: &Step) -> (PrincipalId, Command) {
        let clock = Timestamp::from_micros(self.site.clock.both().0);
        let mut pair = Pair {
            ledger: Seen {
                state: self.machine().writer.state.clone(),
                records: Records(std::mem::take(&mut self.events)),
                clock,
            },
            model: self.oracle.now.clone(),
            fresh: self.fresh,
        };
        let mut command = pair.command(step);
        // Seals of the name `system` are the server's alone.
        let by = match step.ask {
            Ask::Seal => PRINCIPALS[step.by % 3],
            _ => pair.actor(step, &command),
        };
        self.fresh = pair.fresh;
        self.events = pair.ledger.records.0;
        if let Command::RotateKey(RotateKey { verifier_key }) = &mut command
            && verifier_key.as_str().starts_with(&format!("{ORIGIN}+"))
        {
            let number = step.pick[0] % KEYS;
            *verifier_key = Text::new(&key(number).verifier().to_string()).unwrap();
        }
        (id(by), command)
    }

    /// What was sent before, mostly as it was.
    fn again(&mut self) -> (PrincipalId, Work) {
        let place = self.among(self.sent.len());
        let (mut by, mut work) = self.sent[place].clone();
        match self.chance.below(12) {
            0 => by = id(PRINCIPALS[self.among(3)]),
            1 => {
                let other = self.among(self.sent.len());
                let command = first(&self.sent[other].1).command.clone();
                first_mut(&mut work).command = command;
            }
            2 => work = Work::Single(first(&work).clone()),
            3 => {
                let mut all = requests(&work);
                let other = self.among(self.sent.len());
                all.push(first(&self.sent[other].1).clone());
                work = Work::Atomic(all);
            }
            4 => work = Work::Independent(requests(&work)),
            _ => {}
        }
        (by, work)
    }

    fn terms(&mut self, work: &Work) -> Terms {
        let mut terms = Terms::PLAIN;
        match self.chance.below(20) {
            0 => terms.deadline = Instant::now().checked_sub(Duration::from_millis(1)),
            1 => terms.deadline = Some(Instant::now() + Duration::from_secs(86_400)),
            _ => {}
        }
        if matches!(work, Work::Independent(_)) {
            return terms;
        }
        let size = self.machine().writer.state.size();
        match self.chance.below(16) {
            0 => terms.validate_only = true,
            1 => terms.expected_position = Some(LogSize::new(size)),
            2 => terms.expected_position = Some(LogSize::new(size.saturating_sub(1))),
            _ => {}
        }
        terms
    }

    /// The writer decides all that waits.
    fn write(&mut self) {
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
        machine.write();
        assert!(machine.messages.is_empty());
        let size = machine.writer.state.size();
        for position in self.events.len() as u64..size {
            let sealed = machine.writer.recent.get(position).unwrap();
            self.events.push((sealed.header, sealed.event.clone()));
        }
        for (mut asked, waits) in taken.into_iter().zip(waiting) {
            let expected = match &asked.what {
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
                Expected::Refused(No::ReadOnly | No::Late) => {
                    if let Some(reply) = &mut asked.reply {
                        self.oracle.check(&expected, &reply.try_recv().unwrap());
                    }
                }
                _ => self.growing.push(Waiting { asked, expected }),
            }
        }
        assert_eq!(size, self.oracle.records.len() as u64);
    }

    fn count(&mut self, asked: &Asked, expected: &Expected) {
        self.say(|| {
            let size = self.oracle.records.len();
            format!("  {} is decided, {size} records then: {expected:?}", asked.number)
        });
        let atomic = matches!(&asked.what, What::Work(_, Work::Atomic(_), _));
        let no = |no: &No| match no {
            No::Rules(_) => "refused by a rule",
            No::Conflict => "conflict",
            No::RepeatedId => "repeated in one batch",
            No::HeadMoved => "head moved",
            No::Late => "deadline passed",
            No::KeyNotHeld => "key not held",
            No::ReadOnly => "read-only",
        };
        match expected {
            Expected::Items(items) => {
                if let What::Work(_, Work::Independent(_), _) = asked.what {
                    self.counts.one("independent batch");
                }
                for item in items {
                    self.counts.one(match item {
                        Item::At { duplicate: true, .. } if atomic => "answered again, atomic",
                        Item::At { duplicate: true, .. } => "answered again",
                        Item::At { .. } if atomic => "atomic batch",
                        Item::At { position, .. } => {
                            let record = &self.oracle.records[usize::try_from(*position).unwrap()];
                            match record.request.command {
                                Command::RotateKey(_) => "key rotated",
                                Command::Seal(_) => "sealed",
                                _ => "accepted",
                            }
                        }
                        Item::Would(_) => "validated",
                        Item::No(why) => no(why),
                    });
                }
            }
            Expected::Refused(why) => self.counts.one(no(why)),
            Expected::Nothing => self.counts.one("nobody waits"),
            Expected::Passed => {}
        }
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
    fn hand_over(&mut self) {
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

    fn append(&mut self) {
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
    fn answer(&mut self) {
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

    fn project(&mut self) {
        self.machine().project();
        self.take_notice();
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

    fn push_seal(&mut self, seal: Seal, reply: Option<oneshot::Receiver<Answer>>) {
        self.say(|| format!("the server asks for a seal through {}", seal.through));
        let request_id = self.site.newest_seal_id();
        let what = What::Seal(Request { request_id, command: Command::Seal(seal) });
        self.queue.push_back(Asked { number: 0, what, reply });
    }

    fn question(&mut self) {
        let now = self.site.clock.both().0;
        let machine = self.machine.as_ref().unwrap();
        let ledger = &machine.ledger;
        let size = ledger.head().size;
        let full = machine.messages.len() >= self.site.ledger.queue;
        let question = match self.chance.below(3) {
            0 => Question::now(ledger),
            1 if !full => {
                let before = 1 + self.chance.below(100_000_000) * self.chance.below(2);
                let instant = Timestamp::from_micros(now - i64::try_from(before).unwrap());
                let mut question = Question::at(ledger, instant);
                let found = question.poll();
                if self.machine().messages.len() > self.queue.len() {
                    let what = What::Fence(instant);
                    self.queue.push_back(Asked { number: 0, what, reply: None });
                }
                if let Some(found) = found {
                    return self.found(&question, &found);
                }
                question
            }
            _ => {
                let state = &machine.writer.state;
                let at = Position::new(self.chance.below(size.get()));
                if ledger.check_as_of(at).is_err() {
                    return;
                }
                let funds = state.funds().iter().map(|(n, f)| (Owner::Fund(n), Of::Fund(f.id)));
                let accounts = state.accounts().iter().map(|(n, a)| {
                    (Owner::Account(n), Of::Account(state.funds().get(a.fund).id, a.id))
                });
                let owners: Vec<_> = funds.chain(accounts).collect();
                if owners.is_empty() {
                    return;
                }
                let place = usize::try_from(self.chance.below(owners.len() as u64)).unwrap();
                Question::past(ledger, owners[place].0, owners[place].1, at)
            }
        };
        self.questions.push(question);
        self.poll();
    }

    fn poll(&mut self) {
        for mut question in std::mem::take(&mut self.questions) {
            match question.poll() {
                Some(found) => self.found(&question, &found),
                None => self.questions.push(question),
            }
        }
    }

    fn found(&mut self, question: &Question, found: &Found) {
        let now = Timestamp::from_micros(self.site.clock.both().0);
        let durable = self.machine().log.head().size.get();
        question.check(found, &self.oracle, durable, now);
        match found {
            Found::Now { .. } => self.counts.one("read"),
            Found::At { instant, position: Ok(position) } => {
                self.finals.push((*instant, position.map(Position::get)));
                self.counts.one("read as of an instant");
            }
            Found::At { .. } => {}
            Found::Past { .. } => self.counts.one("read as of a position"),
        }
    }

    fn sign(&mut self) {
        let machine = self.machine.as_mut().unwrap();
        machine.checkpointer.keep_up();
        let newest = machine.ledger.watch_checkpoint().borrow().clone();
        if let Some(signed) = newest {
            let size = signed.checkpoint.size.get();
            assert!(size <= self.durable as u64, "signed {size} of {}", self.durable);
            self.counts.one("signed");
        }
    }

    fn give_up(&mut self) {
        let flying = self.flying.iter_mut().flat_map(|flying| &mut flying.waiting);
        let decided = flying.chain(&mut self.growing).map(|waiting| &mut waiting.asked);
        let mut all: Vec<&mut Asked> = decided.chain(&mut self.queue).collect();
        if !all.is_empty() && self.left.is_empty() {
            let place = usize::try_from(self.chance.below(all.len() as u64)).unwrap();
            all[place].reply = None;
        }
    }

    /// Sometimes right again, sometimes a little wrong, sometimes far off.
    fn set_clock(&mut self) {
        if !self.left.is_empty() {
            return;
        }
        let far = i64::try_from(self.chance.below(1_200_000_000)).unwrap() - 600_000_000;
        let by = match self.chance.below(3) {
            0 => 0,
            1 => far / 4,
            _ => far,
        };
        self.site.clock.set_wrong(by);
        self.counts.one("clock set wrong");
        self.say(|| format!("the clock is wrong by {by} us"));
    }

    /// The index as it is now, for a crash that brings it back.
    fn keep_index(&mut self) {
        let copy = self.site.path("kept-index");
        let _ = std::fs::remove_dir_all(&copy);
        copy_folder(&self.site.index_folder(), &copy);
    }

    /// All that was begun is finished.
    fn rest(&mut self) {
        for _ in 0..1_000 {
            self.write();
            self.hand_over();
            self.answer();
            self.project();
            self.poll();
            if self.machine().persister.lost.is_some() {
                self.crash();
            }
            let machine = self.machine();
            if machine.writer.bundle.waiters.is_empty()
                && machine.messages.is_empty()
                && machine.published.is_empty()
                && !machine.projector.is_sealing()
            {
                while machine.writer.index.work_once().unwrap() {}
                return;
            }
        }
        panic!("the ledger does not come to rest");
    }

    /// The ledger stops as it should, and is opened again.
    fn stop(&mut self) {
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
        machine.checkpointer.keep_up();
        self.counts.one("clean stop");
        self.say(|| "a clean stop".to_owned());
        self.forget();
        self.reopen();
    }

    /// Nothing is left of the process.
    fn forget(&mut self) {
        self.questions.clear();
        self.queue.clear();
        self.growing.clear();
        self.flying = None;
        self.machine = None;
    }

    fn crash(&mut self) {
        if !self.left.is_empty() {
            return;
        }
        self.forget();
        if self.planned == Some(Fault::PowerGoes) || self.one_in(2) {
            self.counts.one("power cut");
            self.say(|| "the power goes".to_owned());
            self.cut();
        } else {
            self.counts.one("process died");
            self.say(|| "the process dies".to_owned());
        }
        self.harm_index();
        self.reopen();
    }

    fn cut(&mut self) {
        self.site.disk.cut_power(&mut self.chance);
        self.planned = None;
    }

    fn harm_index(&mut self) {
        let (folder, copy) = (self.site.index_folder(), self.site.path("kept-index"));
        match self.chance.below(8) {
            0 => {
                let _ = std::fs::remove_dir_all(&folder);
                self.counts.one("index lost");
            }
            1 if copy.exists() => {
                std::fs::remove_dir_all(&folder).unwrap();
                copy_folder(&copy, &folder);
                self.counts.one("index behind");
            }
            2 => {
                let mut files = Vec::new();
                list_files(&folder, &mut files);
                let place = self.among(files.len());
                let mut bytes = std::fs::read(&files[place]).unwrap();
                let at = self.among(bytes.len().max(1));
                if self.one_in(2) {
                    bytes.truncate(at);
                } else {
                    bytes[at..].iter_mut().take(600).for_each(|byte| *byte = 0);
                }
                std::fs::write(&files[place], bytes).unwrap();
                self.counts.one("index torn");
            }
            _ => {}
        }
    }

    fn reopen(&mut self) {
        let may_fail = self.faulty && self.left.is_empty() && self.planned.is_none();
        if may_fail && self.one_in(8) {
            let fault = [Fault::Fails, Fault::Short, Fault::PowerGoes][self.among(3)];
            let after = self.chance.below(8);
            self.site.disk.plan(after, fault);
            self.planned = Some(fault);
        }
        let machine = loop {
            match self.site.open() {
                Ok(machine) => break machine,
                Err(
                    OpenError::Log(bergulir_store::OpenError::Io { .. })
                    | OpenError::Read(ReadError::Io { .. }),
                ) if self.planned.is_some() => {
                    self.counts.one("start failed");
                    self.cut();
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
        self.oracle.reopen(size, self.site.clock.both());
        self.events.truncate(size);
        // A clock that is set back while nothing runs may come by an instant again that no record
        // has passed: see the ADR.
        let last = Timestamp::from_micros(self.oracle.records[size - 1].at);
        self.finals.retain(|(instant, _)| *instant < last);
        checks::log(machine.log.as_ref(), &self.oracle, &self.acknowledged);
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
        self.machine = Some(machine);
    }
}

fn open(site: &Site) -> Command {
    Command::OpenLedger(site.create(request_id(0)))
}

fn request_id(number: u64) -> RequestId {
    let mut id = [0xa5; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

fn requests(work: &Work) -> Vec<Request> {
    match work {
        Work::Single(request) => vec![request.clone()],
        Work::Atomic(requests) | Work::Independent(requests) => requests.clone(),
    }
}

fn first(work: &Work) -> &Request {
    match work {
        Work::Single(request) => request,
        Work::Atomic(requests) | Work::Independent(requests) => &requests[0],
    }
}

fn first_mut(work: &mut Work) -> &mut Request {
    match work {
        Work::Single(request) => request,
        Work::Atomic(requests) | Work::Independent(requests) => &mut requests[0],
    }
}

fn copy_folder(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for found in std::fs::read_dir(from).unwrap() {
        let found = found.unwrap();
        let to = to.join(found.file_name());
        if found.path().is_dir() {
            copy_folder(&found.path(), &to);
        } else {
            std::fs::copy(found.path(), to).unwrap();
        }
    }
}

fn list_files(folder: &std::path::Path, files: &mut Vec<std::path::PathBuf>) {
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).collect();
    found.sort();
    for path in found {
        if path.is_dir() {
            list_files(&path, files);
        } else {
            files.push(path);
        }
    }
}
