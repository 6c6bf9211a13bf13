//! Questions to the ledger while it works: what they are answered must be durable, and as the model
//! has it.

use super::model::FundSums;
use super::model::compare::account_sums_of;
use super::oracle::Oracle;
use crate::ledger::Ledger;
use crate::reads::ReadRefusal;
use crate::trail::{Owner, Running};
use bergulir_chain::Position;
use bergulir_domain::{AccountId, FundId, State, Timestamp};
use std::pin::Pin;
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
        let ledger = Arc::clone(ledger);
        Question::new(Arc::clone(&ledger), async move {
            let look = |state: &State, of: crate::reads::AsOf| (Box::new(state.clone()), of.size);
            let (state, size) = ledger.read(None, look).await.unwrap();
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
                let mut model = super::Model::clone(after(*size));
                model.pass_time(now);
                model.compare(state);
            }
            Found::At { instant, position } => match position {
                Ok(position) => {
                    assert_eq!(position.map(Position::get), last_at(oracle, durable, *instant));
                }
                Err(refusal) => assert!(matches!(refusal, ReadRefusal::NotFinal), "{refusal}"),
            },
            Found::Past { of, at, running } => {
                assert!(*at < durable);
                check_past(*of, after(at + 1), running.as_deref());
            }
        }
    }
}

/// The last of so many records at or before an instant.
pub(super) fn last_at(oracle: &Oracle, durable: u64, instant: Timestamp) -> Option<u64> {
    let records = oracle.records.iter().take(usize::try_from(durable).unwrap());
    let before = records.filter(|r| r.at <= instant.as_micros()).count() as u64;
    before.checked_sub(1)
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
