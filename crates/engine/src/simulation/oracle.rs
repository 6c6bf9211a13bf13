//! What the answers should be, from the naive model: it decides what was asked in the order in which
//! the writer takes it, looks request ids up in a plain list, and keeps itself as it was after every
//! record.

use super::model::compare::{account_sums_of, loan_sums_of};
use super::model::{FundSums, Model, Verdict, Why};
use crate::clock::CLOCK_TOLERANCE;
use crate::submission::{Accepted, Answer, Refusal, Request, Terms, Work};
use bergulir_domain::{Command, PrincipalId, Rejection, Timestamp};
use std::collections::BTreeSet;
use std::fmt;
use std::rc::Rc;

/// A record as the model has it, and the model right after it.
pub(super) struct Recorded {
    pub(super) by: PrincipalId,
    pub(super) request: Request,
    pub(super) following: u32,
    pub(super) at: i64,
    pub(super) after: Rc<Model>,
}

/// The answer that a piece of work should get.
#[derive(Debug)]
pub(super) enum Expected {
    Items(Vec<Item>),
    /// Refused as a whole.
    Refused(No),
    /// Nobody waits for it any more, so nothing is recorded.
    Nothing,
    /// A fence is passed.
    Passed,
}

pub(super) enum Item {
    /// Recorded at this position, now or before.
    At {
        position: u64,
        duplicate: bool,
    },
    /// It would be accepted, and leave this behind.
    Would(Rc<Model>),
    No(No),
}

#[derive(Debug)]
pub(super) enum No {
    /// One of these rules.
    Rules(Verdict),
    Conflict,
    RepeatedId,
    HeadMoved,
    Late,
    WaitedTooLong,
    KeyNotHeld,
    /// What a decision asks for could not be read.
    Unread,
    /// No writes are taken.
    ReadOnly,
}

impl fmt::Debug for Item {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Item::At { position, duplicate } => write!(f, "at {position}, again: {duplicate}"),
            Item::Would(_) => f.write_str("would be accepted"),
            Item::No(no) => no.fmt(f),
        }
    }
}

/// Whether somebody still waits for an answer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Waits {
    Yes,
    No,
    /// For longer than work may wait for its turn.
    TooLong,
}

/// How the time of records is chosen.
pub(super) struct Stamps {
    last: i64,
    in_step: (i64, i64),
}

impl Stamps {
    /// From the last record on, and what clock and monotonic clock say together.
    pub(super) fn new(last: i64, clock: (i64, i64)) -> Stamps {
        Stamps { last, in_step: clock }
    }

    fn next(&mut self, (now, steady): (i64, i64)) -> Option<i64> {
        let most = i64::try_from(CLOCK_TOLERANCE.as_micros()).unwrap();
        let leapt = (now - self.in_step.0) - (steady - self.in_step.1);
        if leapt.abs() > most {
            return None;
        }
        self.in_step = (now, steady);
        (self.last - now <= most).then(|| self.last.max(now))
    }

    fn take(&mut self, clock: (i64, i64)) -> Option<i64> {
        let next = self.next(clock)?;
        self.last = next;
        Some(next)
    }

    /// Somebody looks whether a time can be given.
    pub(super) fn check(&mut self, clock: (i64, i64)) {
        self.next(clock);
    }

    fn pass(&mut self, instant: Timestamp, clock: (i64, i64)) -> bool {
        let can = self.next(clock).is_some();
        if can {
            self.last = self.last.max(instant.as_micros() + 1);
        }
        can
    }
}

pub(super) struct Oracle {
    /// All that was decided, durable or not.
    pub(super) records: Vec<Recorded>,
    /// As the writer sees it now: time may have gone on since the last record.
    pub(super) now: Model,
    pub(super) stamps: Stamps,
    /// The keys that the ledger can sign with.
    pub(super) held: BTreeSet<String>,
    pub(super) read_only: bool,
}

impl Oracle {
    /// Only so many records were durable, and the ledger was opened again.
    /// The first stamp after is no earlier than `stamp`.
    pub(super) fn reopen(&mut self, size: usize, stamp: i64, clock: (i64, i64)) {
        self.records.truncate(size);
        let last = self.records.last().unwrap();
        self.now = Model::clone(&last.after);
        self.stamps = Stamps::new(stamp, clock);
        self.read_only = false;
    }

    /// A fence is passed, unless no time can be given.
    pub(super) fn fence(&mut self, instant: Timestamp, clock: (i64, i64)) -> Expected {
        if self.stamps.pass(instant, clock) { Expected::Passed } else { Expected::Nothing }
    }

    /// The disk did not give what a decision asked for: time has passed, and nothing else.
    pub(super) fn unread(&mut self, clock: (i64, i64)) -> Expected {
        let at = self.stamps.take(clock).expect("it was to be decided");
        self.now.pass_time(Timestamp::from_micros(at));
        Expected::Refused(No::Unread)
    }

    /// What the writer should answer.
    pub(super) fn take(
        &mut self,
        by: PrincipalId,
        work: &Work,
        terms: Terms,
        waits: Waits,
        clock: (i64, i64),
    ) -> Expected {
        let stamp = self.stamps.take(clock);
        if self.read_only {
            return Expected::Refused(No::ReadOnly);
        }
        // A deadline of a run is past or far away.
        if terms.deadline.is_some_and(|deadline| deadline <= std::time::Instant::now()) {
            return Expected::Refused(No::Late);
        }
        match waits {
            Waits::Yes => {}
            Waits::No => return Expected::Nothing,
            Waits::TooLong => return Expected::Refused(No::WaitedTooLong),
        }
        let Some(at) = stamp else { return Expected::Refused(No::ReadOnly) };
        self.now.pass_time(Timestamp::from_micros(at));
        match work {
            Work::Single(request) => match self.single(by, request, terms, at) {
                Item::No(no) => Expected::Refused(no),
                item => Expected::Items(vec![item]),
            },
            Work::Independent(requests) => {
                let each = |request| self.single(by, request, Terms::PLAIN, at);
                Expected::Items(requests.iter().map(each).collect())
            }
            Work::Atomic(requests) => self.atomic(by, requests, terms, at),
        }
    }

    fn find(&self, request: &Request) -> Option<usize> {
        self.records.iter().position(|r| r.request.request_id == request.request_id)
    }

    fn begins_batch(&self, place: usize) -> bool {
        place == 0 || self.records[place - 1].following == 0
    }

    fn same(&self, place: usize, by: PrincipalId, request: &Request, following: usize) -> bool {
        self.records.get(place).is_some_and(|r| {
            r.by == by && r.request == *request && r.following as usize == following
        })
    }

    fn moved(&self, terms: Terms) -> bool {
        terms.expected_position.is_some_and(|size| size.get() != self.records.len() as u64)
    }

    fn single(&mut self, by: PrincipalId, request: &Request, terms: Terms, at: i64) -> Item {
        if let Some(place) = self.find(request) {
            let again = self.begins_batch(place) && self.same(place, by, request, 0);
            let position = place as u64;
            return if again {
                Item::At { position, duplicate: true }
            } else {
                Item::No(No::Conflict)
            };
        }
        if self.moved(terms) {
            return Item::No(No::HeadMoved);
        }
        if terms.validate_only {
            let before = (self.now.clone(), self.records.len());
            let item = match self.accept(by, request, 0, at) {
                Ok(_) => Item::Would(Rc::clone(&self.records[before.1].after)),
                Err(no) => Item::No(no),
            };
            self.now = before.0;
            self.records.truncate(before.1);
            return item;
        }
        match self.accept(by, request, 0, at) {
            Ok(position) => Item::At { position, duplicate: false },
            Err(no) => Item::No(no),
        }
    }

    fn atomic(&mut self, by: PrincipalId, all: &[Request], terms: Terms, at: i64) -> Expected {
        let ids: BTreeSet<_> = all.iter().map(|r| r.request_id).collect();
        if ids.len() < all.len() {
            return Expected::Refused(No::RepeatedId);
        }
        if all.iter().any(|request| self.find(request).is_some()) {
            let Some(first) = self.find(&all[0]).filter(|first| self.begins_batch(*first)) else {
                return Expected::Refused(No::Conflict);
            };
            let left = |n: usize| all.len() - 1 - n;
            let mut each = all.iter().enumerate();
            if !each.all(|(n, request)| self.same(first + n, by, request, left(n))) {
                return Expected::Refused(No::Conflict);
            }
            let again = |n| Item::At { position: (first + n) as u64, duplicate: true };
            return Expected::Items((0..all.len()).map(again).collect());
        }
        if self.moved(terms) {
            return Expected::Refused(No::HeadMoved);
        }
        let (now, size) = (self.now.clone(), self.records.len());
        let mut items = Vec::new();
        for (n, request) in all.iter().enumerate() {
            let following = u32::try_from(all.len() - 1 - n).unwrap();
            match self.accept(by, request, following, at) {
                Ok(position) => items.push(Item::At { position, duplicate: false }),
                Err(no) => {
                    self.now = now;
                    self.records.truncate(size);
                    return Expected::Refused(no);
                }
            }
        }
        if terms.validate_only {
            let would = |r: &Recorded| Item::Would(Rc::clone(&r.after));
            items = self.records[size..].iter().map(would).collect();
            self.now = now;
            self.records.truncate(size);
        }
        Expected::Items(items)
    }

    fn accept(
        &mut self,
        by: PrincipalId,
        request: &Request,
        following: u32,
        at: i64,
    ) -> Result<u64, No> {
        let broken = self.now.judge(by, &request.command);
        if !broken.is_empty() {
            return Err(No::Rules(broken));
        }
        if let Command::RotateKey(rotate) = &request.command
            && !self.held.contains(rotate.verifier_key.as_str())
        {
            return Err(No::KeyNotHeld);
        }
        self.now.apply(by, &request.command);
        let after = Rc::new(self.now.clone());
        self.records.push(Recorded { by, request: request.clone(), following, at, after });
        Ok(self.records.len() as u64 - 1)
    }

    /// The answer is the one that is expected.
    pub(super) fn check(&self, expected: &Expected, answer: &Answer) {
        match (expected, answer) {
            (Expected::Items(items), Answer::Items(answers)) => {
                assert_eq!(items.len(), answers.len());
                for (item, answer) in items.iter().zip(answers) {
                    self.check_item(item, answer);
                }
            }
            (Expected::Refused(no), Answer::Refused { refusal, .. }) => no.check(refusal),
            (Expected::Items(_), _) => panic!("is accepted by the model, and was {answer:?}"),
            (Expected::Refused(no), _) => panic!("is refused by the model ({no:?}): {answer:?}"),
            (Expected::Nothing | Expected::Passed, _) => panic!("nobody asked: {answer:?}"),
        }
    }

    fn check_item(&self, item: &Item, answer: &Result<Accepted, Refusal>) {
        match (item, answer) {
            (Item::At { position, duplicate }, Ok(accepted)) => {
                let receipt = accepted.receipt.as_ref().unwrap();
                let recorded = &self.records[usize::try_from(*position).unwrap()];
                assert_eq!((receipt.position.get(), receipt.duplicate), (*position, *duplicate));
                assert_eq!(receipt.recorded_at.as_micros(), recorded.at);
                check_balances(accepted, &recorded.after);
            }
            (Item::Would(after), Ok(accepted)) => {
                assert_eq!(accepted.receipt, None);
                check_balances(accepted, after);
            }
            (Item::No(no), Err(refusal)) => no.check(refusal),
            (Item::No(no), Ok(_)) => panic!("is refused by the model ({no:?}): {answer:?}"),
            (_, Err(refusal)) => panic!("is accepted by the model, and was refused: {refusal}"),
        }
    }
}

impl No {
    fn check(&self, refusal: &Refusal) {
        let is = match (self, refusal) {
            (No::Rules(broken), Refusal::Rule(rejection)) => broken.contains(&Why::of(rejection)),
            (No::Conflict, Refusal::RequestIdConflict { .. })
            | (No::RepeatedId, Refusal::RequestIdRepeated)
            | (No::HeadMoved, Refusal::HeadMoved { .. })
            | (No::Late, Refusal::DeadlineExceeded)
            | (No::WaitedTooLong, Refusal::WaitedTooLong { .. })
            | (No::KeyNotHeld, Refusal::KeyNotHeld { .. })
            | (No::Unread, Refusal::Rule(Rejection::LookupFailed))
            | (No::ReadOnly, Refusal::ReadOnly { .. }) => true,
            _ => false,
        };
        assert!(is, "is refused by the model with {self:?}, and was with {refusal:?}");
    }
}

fn check_balances(accepted: &Accepted, after: &Model) {
    let (balances, named) = (&accepted.balances, &accepted.named);
    if let Some(fund) = &balances.fund {
        assert_eq!(FundSums::of(fund), after.fund_sums(named.fund.unwrap()));
    }
    if let Some(account) = &balances.account {
        let account_id = (named.fund.unwrap(), named.account.unwrap());
        assert_eq!(account_sums_of(account), after.account_sums(account_id));
    }
    if let Some(loan) = &balances.loan {
        assert_eq!(loan_sums_of(loan), after.loan_sums(named.loan.unwrap().0));
    }
    assert_eq!(balances.fund.is_some(), named.fund.is_some());
    assert_eq!(balances.account.is_some(), named.account.is_some());
}
