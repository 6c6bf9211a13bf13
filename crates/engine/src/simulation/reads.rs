//! Questions to the ledger while it works: what they are answered must be durable, and as the model
//! has it.

use super::groups::{Asked, What};
use super::model::FundSums;
use super::model::compare::{account_sums_of, loan_sums_of};
use super::oracle::Oracle;
use super::run::Run;
use crate::horizon::AHEAD;
use crate::ledger::Ledger;
use crate::reads::ReadRefusal;
use crate::trail::{Owner, Running};
use bergulir_chain::Position;
use bergulir_domain::{AccountId, FundId, State, Timestamp};
use bergulir_store::ReadError;
use bergulir_store::index::Direction;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// What a question was answered.
pub(super) enum Found {
    Now { state: Box<State>, size: u64 },
    At { instant: Timestamp, position: Result<Option<Position>, ReadRefusal> },
    Past { of: Of, at: u64, running: Option<Box<Running>> },
}

/// Whose balances.
#[derive(Clone, Copy)]
pub(super) enum Of {
    Fund(FundId),
    Account(FundId, AccountId),
}

/// A question that waits for its answer.
pub(super) struct Question {
    answer: Pin<Box<dyn Future<Output = Found>>>,
    /// How many records were durable when it came.
    from: u64,
}

impl Question {
    /// The state as it is now.
    pub(super) fn now(ledger: &Arc<Ledger>) -> Question {
        Question::state(ledger, None)
    }

    /// The state as far as it was followed, from that position on.
    fn since(ledger: &Arc<Ledger>, position: Position) -> Question {
        Question { from: position.get() + 1, ..Question::state(ledger, Some(position)) }
    }

    fn state(ledger: &Arc<Ledger>, min_position: Option<Position>) -> Question {
        let ledger = Arc::clone(ledger);
        Question::new(Arc::clone(&ledger), async move {
            let look = |state: &State, of: crate::reads::AsOf| (Box::new(state.clone()), of.size);
            let (state, size) = ledger.read(min_position, look).await.unwrap();
            Found::Now { state, size: size.get() }
        })
    }

    /// The last record at or before an instant.
    pub(super) fn at(ledger: &Arc<Ledger>, instant: Timestamp) -> Question {
        let ledger = Arc::clone(ledger);
        Question::new(Arc::clone(&ledger), async move {
            Found::At { instant, position: ledger.position_at(instant).await }
        })
    }

    /// The balances as of a position.
    pub(super) fn past(ledger: &Arc<Ledger>, owner: Owner, of: Of, at: Position) -> Question {
        let ledger = Arc::clone(ledger);
        Question::new(Arc::clone(&ledger), async move {
            let found = ledger.balances_at(owner, at).await.unwrap();
            Found::Past { of, at: at.get(), running: found.map(|(_, running)| Box::new(running)) }
        })
    }

    #[expect(clippy::needless_pass_by_value, reason = "it reads better where it is called")]
    fn new(ledger: Arc<Ledger>, answer: impl Future<Output = Found> + 'static) -> Question {
        Question { answer: Box::pin(answer), from: ledger.head().size.get() }
    }

    /// Its answer, if it is there.
    pub(super) fn poll(&mut self) -> Option<Found> {
        match self.answer.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(found) => Some(found),
            Poll::Pending => None,
        }
    }

    /// The answer is right, and rests on nothing that is not durable.
    pub(super) fn check(&self, found: &Found, oracle: &Oracle, durable: u64, now: Timestamp) {
        let after = |size: u64| &oracle.records[usize::try_from(size).unwrap() - 1].after;
        match found {
            Found::Now { state, size } => {
                assert!(
                    (self.from..=durable).contains(size),
                    "of {size}, and {durable} are durable"
                );
                let last = &oracle.records[usize::try_from(*size).unwrap() - 1];
                assert_eq!(last.following, 0, "half a batch is seen, of {size}");
                let mut model = super::Model::clone(after(*size));
                model.pass_time(now);
                model.compare(state);
            }
            Found::At { instant, position } => match position {
                Ok(position) => {
                    assert_eq!(position.map(Position::get), last_at(oracle, durable, *instant));
                }
                Err(
                    ReadRefusal::NotFinal
                    | ReadRefusal::NotNoted { .. }
                    | ReadRefusal::Log(ReadError::Io { .. }),
                ) => {}
                Err(refusal) => panic!("{refusal}"),
            },
            Found::Past { of, at, running } => {
                assert!(*at < durable);
                check_past(*of, after(at + 1), running.as_deref());
            }
        }
    }
}

/// Somebody reads between two steps of the projections: the state, and from the index the balances
/// right after the last record that it has, and the newest line of a trail up to there.
pub(super) fn onlook(ledger: &Arc<Ledger>, oracle: &Oracle, durable: u64, now: Timestamp) {
    let mut question = Question::since(ledger, Position::ZERO);
    let found = question.poll().expect("so far it was followed");
    question.check(&found, oracle, durable, now);
    let Found::Now { state, size } = found else { unreachable!("it asks for the state") };
    assert_eq!(ledger.projected_size().get(), size, "state and index go together");
    // Who finds what is asked for waits for nothing; who does not, for all that is durable.
    let head = ledger.head().size;
    let newest = |_: &State, of: crate::reads::AsOf| if of.size == head { Ok(()) } else { Err(()) };
    let mut found = pin!(ledger.find_as_of(Position::ZERO, newest));
    let found = found.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert_eq!(found.is_ready(), size == head.get(), "of {size} and {head:?}");
    for (owner, of) in owners(&state) {
        let mut question = Question::past(ledger, owner, of, Position::new(size - 1));
        let found = question.poll().expect("so far it was followed");
        question.check(&found, oracle, durable, now);
        let so_far = Position::ZERO..Position::new(size);
        for (at, running) in
            ready(ledger.trail(&[owner], so_far, 1, Direction::NewestFirst)).unwrap()
        {
            check_past(
                of,
                &oracle.records[usize::try_from(at.get()).unwrap()].after,
                Some(&running),
            );
        }
    }
}

/// The last of so many records at or before an instant.
pub(super) fn last_at(oracle: &Oracle, durable: u64, instant: Timestamp) -> Option<u64> {
    let records = oracle.records.iter().take(usize::try_from(durable).unwrap());
    let before = records.filter(|r| r.at <= instant.as_micros()).count() as u64;
    before.checked_sub(1)
}

/// What nobody waits for: at rest all, and else what was followed already.
fn ready<T>(answer: impl Future<Output = T>) -> T {
    match pin!(answer).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(found) => found,
        Poll::Pending => panic!("it waits for what it need not wait for"),
    }
}

/// All whose balances are kept.
fn owners(state: &State) -> Vec<(Owner, Of)> {
    let funds = state.funds().iter().map(|(n, f)| (Owner::Fund(n), Of::Fund(f.id)));
    let accounts = state
        .accounts()
        .iter()
        .map(|(n, a)| (Owner::Account(n), Of::Account(state.funds().get(a.fund).id, a.id)));
    funds.chain(accounts).collect()
}

fn check_past(of: Of, model: &super::Model, running: Option<&Running>) {
    match of {
        Of::Fund(fund) if model.funds.contains_key(&fund) => {
            let balances = running.unwrap().balances.fund.unwrap();
            assert_eq!(FundSums::of(&balances), model.fund_sums(fund));
        }
        Of::Account(fund, account) if model.accounts.contains_key(&(fund, account)) => {
            let balances = running.unwrap().balances.account.unwrap();
            assert_eq!(account_sums_of(&balances), model.account_sums((fund, account)));
        }
        Of::Fund(_) | Of::Account(..) => assert_eq!(running, None),
    }
}

impl Run {
    pub(super) fn question(&mut self) {
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
                self.unreadable(6, 4);
                let found = question.poll();
                let unread = self.readable();
                let is_unread =
                    matches!(found, Some(Found::At { position: Err(ReadRefusal::Log(_)), .. }));
                assert!(unread || !is_unread, "{instant:?} could not be read");
                // With no later record, it takes a fence, and the clock is looked at for that.
                if !is_unread
                    && self.oracle.records[usize::try_from(size.get()).unwrap() - 1].at
                        <= instant.as_micros()
                {
                    self.oracle.stamps.check(self.site.clock.both());
                    self.horizon = self.horizon.max(now + AHEAD);
                }
                if self.machine().messages.len() > self.queue.len() {
                    let what = What::Fence(instant);
                    self.queue.push_back(Asked { number: 0, at: 0, what, reply: None });
                }
                if let Some(found) = found {
                    return self.found(&question, &found);
                }
                question
            }
            _ => {
                let state = &machine.writer.state;
                let at = Position::new(self.chance.below(size.get()));
                let may_be_asked = ledger.check_as_of(at);
                let place = usize::try_from(at.get()).unwrap();
                let is_inside = self.oracle.records[place].following > 0;
                match may_be_asked {
                    Err(ReadRefusal::InsideBatch { .. }) if is_inside => return,
                    may => assert!(may.is_ok() && !is_inside, "{may:?}, of {at}"),
                }
                let owners = owners(state);
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

    /// All that was ever durable is asked about once more, at rest: each balance as of each position.
    pub(super) fn ask_about_all(&mut self) {
        let machine = self.machine.as_ref().unwrap();
        let owners = owners(&machine.writer.state);
        let durable = self.durable as u64;
        let ends = |at: &u64| self.oracle.records[usize::try_from(*at).unwrap()].following == 0;
        for at in (0..durable).filter(ends) {
            for (owner, of) in &owners {
                let mut question = Question::past(&machine.ledger, *owner, *of, Position::new(at));
                let found = question.poll().expect("the projections are at rest");
                question.check(&found, &self.oracle, durable, Timestamp::MIN);
            }
        }
    }

    /// The trail of each owner, at rest: page by page from either end it is the same, each line of it says
    /// what the balances were then, and it has the records that concern the owner, and no others.
    pub(super) fn walk_trails(&mut self) {
        let most = 1 + self.among(5);
        let machine = self.machine.as_ref().unwrap();
        let (ledger, state) = (&machine.ledger, &machine.writer.state);
        let all = Position::ZERO..Position::new(self.durable as u64);
        for (owner, of) in owners(state) {
            let trail = |range, limit, direction| {
                ready(ledger.trail(&[owner], range, limit, direction)).unwrap()
            };
            let whole = trail(all.clone(), self.durable, Direction::OldestFirst);
            let (mut pages, mut left) = (Vec::new(), all.clone());
            while let page = trail(left.clone(), most, Direction::OldestFirst)
                && let Some((last, _)) = page.last()
            {
                left.start = last.next();
                pages.extend(page);
            }
            assert_eq!(pages, whole, "page by page");
            let (mut pages, mut left) = (Vec::new(), all.clone());
            while let page = trail(left.clone(), most, Direction::NewestFirst)
                && let Some((last, _)) = page.last()
            {
                left.end = *last;
                pages.extend(page);
            }
            pages.reverse();
            assert_eq!(pages, whole, "from the other end");
            for (at, running) in &whole {
                let after = &self.oracle.records[usize::try_from(at.get()).unwrap()].after;
                check_past(of, after, Some(running));
                if let (Some(loan), Some(sums)) = (running.loan, &running.balances.loan) {
                    let loan = state.loans().get(loan).id;
                    assert_eq!(loan_sums_of(sums), after.loan_sums(loan), "{loan} at {at}");
                }
            }
            for (at, accepted) in &self.acknowledged {
                let concerned = match owner {
                    Owner::Fund(fund) => accepted.touched.fund == Some(fund),
                    Owner::Account(account) => accepted.touched.account == Some(account),
                    Owner::Cooperative(_) => unreachable!("their balances are not asked for"),
                };
                let is_told = whole.iter().any(|(told, _)| told.get() == *at);
                assert_eq!(is_told, concerned, "{owner:?} at {at}");
            }
        }
    }

    pub(super) fn poll(&mut self) {
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
            Found::At { position: Err(ReadRefusal::NotNoted { .. }), .. } => {
                assert!(self.planned.is_some(), "the horizon could not be written");
                self.counts.one("horizon not written");
            }
            Found::At { position: Err(ReadRefusal::Log(_)), .. } => {
                assert!(self.unread, "a record could not be read");
                self.counts.one("instant not read");
            }
            Found::At { .. } => {}
            Found::Past { .. } => self.counts.one("read as of a position"),
        }
    }
}
