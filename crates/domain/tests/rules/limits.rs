//! The largest numbers: refused, never wrapped.

use crate::commands::{
    allocate, approve_loan, approve_reversal, approve_withdrawal, bring_back, disburse, id, part,
    propose_loan, propose_reversal, propose_withdrawal, repay, rp, terms,
};
use crate::given::{Ledger, given, on, ten_o_clock};
use crate::is;
use crate::programme::programme;
use bergulir_domain::command as c;
use bergulir_domain::money::MAX_AMOUNT_MINOR;
use bergulir_domain::postings::Book;
use bergulir_domain::terms::Terms;
use bergulir_domain::{Amount, Money, Timestamp};

/// Rp10^15, the most that one amount may be; 92 of them fit into an `i64` of minor units.
fn most() -> Amount {
    Amount::from_minor(MAX_AMOUNT_MINOR).unwrap()
}

fn minor(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

/// One cooperative under a ceiling of [`most`].
fn roomy() -> Ledger {
    let roomy = Terms { ceiling: most(), ..terms() };
    programme(roomy, 1)
}

/// Fills a fund up to the largest balance.
fn filled(mut ledger: Ledger, fund: &str) -> Ledger {
    loop {
        let room = i64::MAX - ledger.fund_of(fund).books.amount(Book::Capital);
        let Ok(amount) = Amount::from_minor(room.min(MAX_AMOUNT_MINOR)) else {
            return ledger;
        };
        ledger = ledger.when(allocate(fund, amount)).then_ok();
    }
}

#[test]
fn a_fund_holds_no_more_than_the_largest_number() {
    given(filled(roomy(), "pilot"))
        .when(allocate("pilot", minor(1)))
        .then_refused(is!(BalanceLimitExceeded))
        .when(allocate("pilot", most()))
        .then_refused(is!(BalanceLimitExceeded))
        .committable(i64::MAX);
}

#[test]
fn every_book_can_be_shown_on_the_side_on_which_it_grows() {
    // Capital is a credit: −2^63 would fit, and the amount that people read, 2^63, would not.
    let lent = filled(roomy(), "pilot").with_disbursed_loan("l1", rp(1));
    given(lent)
        .when(allocate("pilot", minor(1)))
        .then_refused(is!(BalanceLimitExceeded))
        .see(|ledger| assert_eq!(ledger.fund().books.amount(Book::Capital), i64::MAX));
}

#[test]
fn interest_and_late_fees_do_not_wrap() {
    let paid = |interest: Option<Money>, late_fee| c::Repay {
        amount: most(),
        principal: None,
        interest,
        late_fee,
        ..repay("l1", [1, 0, 0])
    };
    let all = Some(part(MAX_AMOUNT_MINOR / 100));
    for parts in [(all, None), (None, all)] {
        let mut ledger = roomy().with_disbursed_loan("l1", rp(1));
        for _ in 0..92 {
            ledger = ledger.when(paid(parts.0, parts.1)).then_ok();
        }
        given(ledger).when(paid(parts.0, parts.1)).then_refused(is!(BalanceLimitExceeded));
    }
}

#[test]
fn what_an_account_got_in_all_its_time_does_not_wrap() {
    let mut ledger = roomy().when(allocate("pilot", most())).then_ok();
    let rounds = i64::MAX / MAX_AMOUNT_MINOR;
    for round in 0..=rounds {
        let loan = format!("round-{round}");
        ledger = ledger
            .when(c::ProposeLoan { loan: id(&loan), ..propose_loan("l1", most()) })
            .then_ok()
            .by("checker")
            .when(approve_loan(&loan))
            .then_ok()
            .by("maker");
        let answer = ledger.when(disburse(&loan, most()));
        if round == rounds {
            answer.then_refused(is!(BalanceLimitExceeded));
            return;
        }
        ledger = answer
            .then_ok()
            .when(c::Repay {
                amount: most(),
                principal: Some(most().into()),
                ..repay(&loan, [1, 0, 0])
            })
            .then_ok();
    }
}

#[test]
fn money_does_not_come_back_into_a_fund_that_is_full() {
    given(filled(roomy(), "pilot").with_disbursed_loan("l1", rp(10)))
        .when(on("l1", propose_reversal))
        .then_ok()
        .named("proposal")
        .when(repay("l1", [0, 10, 0]))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.fund().books.amount(Book::Cash), i64::MAX))
        .when(on("l1", bring_back))
        .then_refused(is!(BalanceLimitExceeded))
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_refused(is!(BalanceLimitExceeded));
}

#[test]
fn a_withdrawal_is_not_reversed_into_a_fund_that_is_full() {
    let withdrawn = roomy()
        .when(on("allocation", propose_withdrawal(rp(10))))
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(on("proposal", approve_withdrawal))
        .then_ok()
        .named("withdrawal");
    given(filled(withdrawn, "pilot"))
        .when(on("withdrawal", propose_reversal))
        .then_refused(is!(BalanceLimitExceeded));
}

#[test]
fn a_proposal_waits_366_days_at_most() {
    let asking = |micros: i64| c::ProposeLoan {
        expires_at: Some(Timestamp::from_micros(micros)),
        ..propose_loan("l1", rp(1))
    };
    let now = ten_o_clock("2027-03-02");
    let latest = now.plus_days(366).as_micros();
    given(roomy())
        .now(now)
        .when(asking(latest + 1))
        .then_refused(is!(ExpiryOutOfRange { .. }))
        .when(asking(i64::MAX))
        .then_refused(is!(ExpiryOutOfRange { .. }))
        .when(asking(latest))
        .then_ok();
}
