//! An index in which a trail is damaged, which only a question about it finds out: nobody is told what is
//! not so, and the index is made anew.

use super::place::{Place, receipt, until};
use crate::fault_tests::{refusal, submit};
use crate::health::Status;
use crate::ledger::Ledger;
use crate::open::{INDEX_FOLDER, options};
use crate::reads::ReadRefusal;
use crate::submission::{Refusal, Request};
use crate::trail::Owner;
use bergulir_chain::merkle::{Prefixes, Tree};
use bergulir_chain::{LogSize, Position, record};
use bergulir_domain::command::OpenFund;
use bergulir_domain::cooperative::ReadinessSet;
use bergulir_domain::money::Rate;
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::text::Text;
use bergulir_domain::{Amount, Command, Date, Rejection};
use bergulir_store::ReadLimit;
use bergulir_store::index::{Direction, Index, IndexBatch};
use std::sync::Arc;

/// Where the fund was opened.
const AT: Position = Position::new(1);
const REQUEST_ID: [u8; 16] = [7; 16];
/// The tag of the balances of a fund, which are twelve numbers.
const FUND: u8 = 1;

fn open_fund() -> Request {
    let purpose = Purpose::Loan(LoanTerms {
        rate: Rate::from_units(50_000).unwrap(),
        method: InterestMethod::Flat,
        tenor_months: 36,
        grace_months: 3,
        grace_bears_interest: false,
        repayment_order: None,
        relend_income: false,
    });
    let command = Command::OpenFund(OpenFund {
        fund: "f".parse().unwrap(),
        name: Text::new("Dana Bergulir").unwrap(),
        opening_date: Date::from_ordinal_date(2020, 2).unwrap(),
        terms: Terms {
            purpose,
            ceiling: Amount::from_minor(300_000).unwrap(),
            required_readiness: ReadinessSet::EMPTY,
            proposal_validity_days: None,
            disbursement_approval_above: None,
        },
    });
    Request { request_id: REQUEST_ID, command }
}

fn fund(ledger: &Ledger) -> Owner {
    Owner::Fund(ledger.glance(|state| state.funds().find(&"f".parse().unwrap())).unwrap())
}

/// A ledger with a fund, whose line in the index has a tag that its numbers do not fit.
async fn with_a_damaged_trail(folder: &std::path::Path) -> (Place, Arc<Ledger>) {
    let place = Place::new(folder).await;
    let ledger = place.ledger();
    receipt(submit(&ledger, open_fund()).await);
    ledger.projected_through(ledger.head().size).await.unwrap();
    let owner = fund(&ledger);
    let records = ledger.records(Position::ZERO, ReadLimit::STEP).unwrap();
    let hashes: Vec<_> = records.iter().map(|(_, bytes)| record::hash(bytes)).collect();
    let index = place.ledger_folder().join(INDEX_FOLDER);
    place.stop().await;
    drop(ledger);

    Index::discard(&index).unwrap();
    let index = Index::open(&index, &options(hashes[0])).unwrap().index;
    let mut batch = IndexBatch::new(LogSize::EMPTY);
    batch.request_id(AT, &REQUEST_ID);
    batch.trail(AT, owner.key(), FUND, &[1]).unwrap();
    let mut tree = Tree::new(Prefixes::RFC_6962);
    for hash in hashes {
        tree.push_hash_with(hash, |subtree, root| batch.completed(subtree, root));
    }
    index.apply(&batch).unwrap();
    index.flush().unwrap();
    drop(index);

    let place = Place::open(folder, Arc::new(crate::clock::SystemClock::new()), Arc::default());
    let ledger = place.ledger();
    assert_eq!(*ledger.status().borrow(), Status::Serving);
    (place, ledger)
}

/// Another opening comes, whose index tells the truth.
async fn is_made_anew(place: Place, before: &Arc<Ledger>) {
    let after = place.reopened(before).await;
    until(|| *after.status().borrow() == Status::Serving).await;
    let (at, running) = after.balances_at(fund(&after), AT).await.unwrap().unwrap();
    assert_eq!((at, running.balances.fund.unwrap().committed), (AT, 0));
    assert!(receipt(submit(&after, open_fund()).await).duplicate);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_past_balance_whose_trail_is_damaged_is_refused_and_the_index_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (place, before) = with_a_damaged_trail(folder.path()).await;
    let refused = before.balances_at(fund(&before), AT).await;
    assert!(matches!(refused, Err(ReadRefusal::Projections { .. })), "{refused:?}");
    is_made_anew(place, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trail_that_is_damaged_is_refused_and_the_index_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (place, before) = with_a_damaged_trail(folder.path()).await;
    let all = Position::ZERO..Position::new(9);
    let refused = before.trail(&[fund(&before)], all, 9, Direction::OldestFirst).await;
    assert!(matches!(refused, Err(ReadRefusal::Projections { .. })), "{refused:?}");
    is_made_anew(place, &before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_whose_trail_is_damaged_is_refused_and_the_index_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let (place, before) = with_a_damaged_trail(folder.path()).await;
    let refused = refusal(submit(&before, open_fund()).await);
    assert_eq!(refused, Refusal::Rule(Rejection::LookupFailed));
    is_made_anew(place, &before).await;
}
