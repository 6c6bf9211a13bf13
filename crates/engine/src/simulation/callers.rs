//! Callers: what they ask, once or again, how, and that they give up.

use super::commands::{ORIGIN, id};
use super::groups::{Asked, What};
use super::machine::{KEYS, key};
use super::run::Run;
use super::steps::{Ask, HOUR, PRINCIPALS, Step, Wait, beginning};
use super::{Pair, Records, Seen};
use crate::inbox::Patience;
use crate::submission::{Caller, Refusal, Request, RequestId, Terms, Work};
use bergulir_chain::{Authentication, LogSize};
use bergulir_domain::command::RotateKey;
use bergulir_domain::text::Text;
use bergulir_domain::{Command, PrincipalId, State, Timestamp};
use std::time::{Duration, Instant};

impl Run {
    fn caller(by: PrincipalId) -> Caller {
        Caller { principal: by, authentication: Authentication::Stated }
    }

    /// A caller asks for something: new, or once more.
    pub(super) fn ask(&mut self) {
        let (by, work) = if let Some((by, command)) = self.left.front().cloned() {
            // The beginning has to be accepted, so its order is kept and nothing fails meanwhile.
            if !self.queue.is_empty() || self.machine().persister.lost.is_some() {
                return self.write();
            }
            if self.unanswered() >= self.site.ledger.queue {
                self.hand_over();
                return self.answer();
            }
            self.left.pop_front();
            (id(by), Work::Single(self.request(command)))
        } else if self.one_in(30)
            && let Some(part) = self.part_of_batch()
        {
            part
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
        let (caller, patience) = (Run::caller(by), Patience::Limited);
        let submitted = self.machine().ledger.inbox.submit(caller, work.clone(), terms, patience);
        match submitted {
            Ok(reply) => {
                let number = self.sent.len() as u64;
                self.say(|| format!("{number}: {by} asks {work:?} {terms:?}"));
                let what = What::Work(by, work, terms);
                let at = self.site.clock.both().1;
                self.queue.push_back(Asked { number, at, what, reply: Some(reply) });
            }
            Err(Refusal::QueueFull { .. }) => {
                let most = self.site.ledger.queue;
                assert!(self.unanswered() == most || self.queue.len() == most);
                self.counts.one("queue full");
            }
            Err(refusal) => panic!("{refusal}"),
        }
        // From here on anything may fail: the beginning is durable.
        if is_beginning && self.left.is_empty() {
            self.rest();
        }
    }

    /// Pieces of work that wait for the writer, for the disk, or for their answer.
    fn unanswered(&self) -> usize {
        let flying = self.flying.iter().flat_map(|flying| &flying.waiting);
        let decided = flying.chain(&self.growing).map(|waiting| &waiting.asked);
        let is_work = |asked: &&Asked| !matches!(asked.what, What::Fence(_));
        decided.chain(&self.queue).filter(is_work).count()
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
            if self.one_in(20)
                && let Some((by, command)) = self.in_vain()
            {
                let request = self.request(command);
                chosen.push((by, request));
                continue;
            }
            let due = match self.chance.below(12) {
                0..4 => self.due(),
                4 => Some(self.mistake()),
                _ => None,
            };
            let Some(step) = due.or_else(|| self.steps.pop_front()) else { break };
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

    pub(super) fn command(&mut self, step: &Step) -> (PrincipalId, Command) {
        let clock = Timestamp::from_micros(self.site.clock.both().0);
        let mut pair = Pair {
            ledger: Seen {
                state: State::clone(&self.machine().writer.state),
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
            2 => {
                let mut all = requests(&work);
                work = Work::Single(all.swap_remove(self.among(all.len())));
            }
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

    /// The end of a batch that was recorded, without what came before: its last command alone, or its
    /// last ones as a batch. That is not what was sent then.
    fn part_of_batch(&mut self) -> Option<(PrincipalId, Work)> {
        let records = &self.oracle.records;
        let ends = |at: &usize| records[*at].following == 0 && records[at - 1].following > 0;
        let ends: Vec<usize> = (1..records.len()).filter(ends).collect();
        let last = ends[self.among(ends.len().max(1)).min(ends.len().checked_sub(1)?)];
        let records = &self.oracle.records;
        let by = records[last].by;
        let second = last.checked_sub(2).is_some_and(|before| records[before].following == 2);
        let request = |at: usize| records[at].request.clone();
        let work = match self.chance.below(3) {
            0 if second => Work::Atomic(vec![request(last - 1), request(last)]),
            1 => Work::Atomic(vec![request(last)]),
            _ => Work::Single(request(last)),
        };
        self.counts.one("part of a batch");
        Some((by, work))
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

    pub(super) fn give_up(&mut self) {
        let flying = self.flying.iter_mut().flat_map(|flying| &mut flying.waiting);
        let decided = flying.chain(&mut self.growing).map(|waiting| &mut waiting.asked);
        let mut all: Vec<&mut Asked> = decided.chain(&mut self.queue).collect();
        if !all.is_empty() && self.left.is_empty() {
            let place = usize::try_from(self.chance.below(all.len() as u64)).unwrap();
            all[place].reply = None;
        }
    }
}

pub(super) fn request_id(number: u64) -> RequestId {
    let mut id = [0xa5; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

pub(super) fn requests(work: &Work) -> Vec<Request> {
    match work {
        Work::Single(request) => vec![request.clone()],
        Work::Atomic(requests) | Work::Independent(requests) => requests.clone(),
    }
}

pub(super) fn first(work: &Work) -> &Request {
    match work {
        Work::Single(request) => request,
        Work::Atomic(requests) | Work::Independent(requests) => &requests[0],
    }
}

pub(super) fn first_mut(work: &mut Work) -> &mut Request {
    match work {
        Work::Single(request) => request,
        Work::Atomic(requests) | Work::Independent(requests) => &mut requests[0],
    }
}
