//! Funds: the ledger opens, a fund gets terms and money, and money leaves it again.

use crate::commands::{
    OPENING, TODAY, allocate, approve_withdrawal, change_terms, day, disburse, grant_terms, id,
    loan_terms, open_fund, open_ledger, propose_loan, propose_withdrawal, rp, terms,
};
use crate::given::{Ledger, given, on};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::Position;
use bergulir_domain::command as c;
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{Purse, Resource};
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms, TermsError};

#[test]
fn a_ledger_opens_first_and_once() {
    given(Ledger::empty())
        .when(open_fund("pilot", terms()))
        .then_refused(is!(LedgerNotOpen))
        .when(c::OpenLedger { rules_version: 4, ..open_ledger() })
        .then_refused(is!(UnknownRulesVersion { version: 4 }))
        .when(open_ledger())
        .then_ok()
        .when(open_ledger())
        .then_refused(is!(LedgerAlreadyOpen));
}

#[test]
fn only_newer_rules_that_are_known_are_adopted() {
    given(Ledger::empty())
        .when(c::OpenLedger { rules_version: 1, ..open_ledger() })
        .then_ok()
        .when(c::AdoptRules { version: 1 })
        .then_refused(is!(RulesNotNewer { .. }))
        .when(c::AdoptRules { version: 0 })
        .then_refused(is!(UnknownRulesVersion { version: 0 }))
        .when(c::AdoptRules { version: 4 })
        .then_refused(is!(UnknownRulesVersion { version: 4 }))
        .when(c::AdoptRules { version: 2 })
        .then_ok()
        .when(c::AdoptRules { version: 1 })
        .then_refused(is!(RulesNotNewer { .. }));
}

#[test]
fn a_fund_opens_once_and_not_in_the_future() {
    let opening_on =
        |date: &str| c::OpenFund { opening_date: day(date), ..open_fund("other", terms()) };
    given(pilot())
        .when(opening_on("2026-03-03"))
        .then_refused(is!(OpeningDateInFuture { .. }))
        .when(opening_on(TODAY))
        .then_ok()
        .when(opening_on(OPENING))
        .then_refused(is!(AlreadyExists(Resource::Fund(_))));
}

#[test]
fn terms_must_fit_together() {
    let of = |change: fn(&mut LoanTerms)| {
        let mut loan = loan_terms();
        change(&mut loan);
        let purpose = Purpose::Loan(loan);
        let terms = Terms { purpose, ..terms() };
        open_fund("other", terms)
    };
    let no_validity = Terms { proposal_validity_days: Some(0), ..grant_terms() };
    given(pilot())
        .when(of(|loan| loan.tenor_months = 0))
        .then_refused(is!(InvalidTerms(TermsError::Tenor)))
        .when(of(|loan| loan.tenor_months = 601))
        .then_refused(is!(InvalidTerms(TermsError::Tenor)))
        .when(of(|loan| loan.grace_months = 36))
        .then_refused(is!(InvalidTerms(TermsError::Grace)))
        .when(of(|loan| loan.method = InterestMethod::None))
        .then_refused(is!(InvalidTerms(TermsError::MethodWithoutRate)))
        .when(open_fund("other", no_validity))
        .then_refused(is!(InvalidTerms(TermsError::ProposalValidity)))
        .when(change_terms(TODAY, no_validity))
        .then_refused(is!(InvalidTerms(_)))
        .when(of(|loan| loan.grace_months = 35))
        .then_ok();
}

#[test]
fn terms_change_from_today_or_later_and_never_the_kind_of_fund() {
    given(pilot())
        .when(change_terms("2026-03-01", terms()))
        .then_refused(is!(TermsInPast { .. }))
        .when(change_terms(TODAY, grant_terms()))
        .then_refused(is!(FundKindFixed))
        .when(c::ChangeTerms { fund: id("none"), ..change_terms(TODAY, terms()) })
        .then_refused(is!(NotFound(Resource::Fund(_))))
        .when(change_terms(TODAY, terms()))
        .then_ok();
}

#[test]
fn new_terms_hold_from_their_day_on() {
    let ceiling = |rupiah| Terms { ceiling: rp(rupiah), ..terms() };
    given(pilot())
        .when(change_terms("2026-03-20", ceiling(30)))
        .then_ok()
        .when(change_terms("2026-03-10", ceiling(20)))
        .then_ok()
        .when(change_terms("2026-03-10", ceiling(25)))
        .then_ok()
        .when(propose_loan("l1", rp(1_000)))
        .then_ok()
        .today("2026-03-10")
        .when(propose_loan("l2", rp(26)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(propose_loan("l2", rp(25)))
        .then_ok()
        .today("2026-03-20")
        .when(propose_loan("l3", rp(31)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(propose_loan("l3", rp(30)))
        .then_ok();
}

#[test]
fn money_is_allocated_to_a_fund_that_exists() {
    given(pilot())
        .when(allocate("none", rp(1)))
        .then_refused(is!(NotFound(Resource::Fund(_))))
        .when(allocate("pilot", rp(1)))
        .then_ok()
        .available(rp(5_800_000_001));
}

#[test]
fn rule_25_a_cancelled_allocation_cannot_be_lent() {
    given(pilot())
        .when(on("allocation", propose_withdrawal(rp(5_800_000_000))))
        .then_ok()
        .named("cancellation")
        .when(propose_loan("l1", rp(1)))
        .then_refused(is!(InsufficientFunds { has: 0, .. }))
        .by("checker")
        .when(on("cancellation", approve_withdrawal))
        .then_ok()
        .see(|ledger| {
            assert_eq!(ledger.fund().books.amount(Book::Cash), 0);
            assert_eq!(ledger.fund().books.amount(Book::Capital), 0);
        })
        .when(propose_loan("l1", rp(1)))
        .then_refused(is!(InsufficientFunds { has: 0, .. }));
}

#[test]
fn no_more_is_withdrawn_than_was_allocated() {
    given(pilot())
        .when(allocate("pilot", rp(1_000)))
        .then_ok()
        .named("small")
        .when(on("small", propose_withdrawal(rp(1_001))))
        .then_refused(is!(AllocationExceeded { .. }))
        .when(on("small", propose_withdrawal(rp(600))))
        .then_ok()
        .named("first")
        .when(on("small", propose_withdrawal(rp(401))))
        .then_refused(is!(AllocationExceeded { remaining: 40_000, .. }))
        .by("checker")
        .when(on("first", approve_withdrawal))
        .then_ok()
        .when(on("small", propose_withdrawal(rp(401))))
        .then_refused(is!(AllocationExceeded { remaining: 40_000, .. }))
        .when(on("small", propose_withdrawal(rp(400))))
        .then_ok();
}

#[test]
fn what_is_out_or_promised_is_not_withdrawn() {
    let left = |committable| {
        move |ledger: Ledger| {
            given(ledger)
                .when(on("allocation", propose_withdrawal(rp(committable + 1))))
                .then_refused(is!(InsufficientFunds { purse: Purse::Committable, .. }))
                .when(on("allocation", propose_withdrawal(rp(committable))))
                .then_ok()
        }
    };
    let three_billion = rp(3_000_000_000);
    left(2_800_000_000)(pilot().with_disbursed_loan("l1", three_billion));
    left(2_800_000_000)(pilot().with_loan("l1", three_billion));
    left(2_800_000_000)(pilot().when(propose_loan("l1", three_billion)).then_ok());
}

#[test]
fn a_withdrawal_names_an_allocation_of_its_fund() {
    given(pilot())
        .when(open_fund("other", terms()))
        .then_ok()
        .when(allocate("other", rp(1)))
        .then_ok()
        .named("elsewhere")
        .when(on("elsewhere", propose_withdrawal(rp(1))))
        .then_refused(is!(NotFound(Resource::Record(_))))
        .when(propose_withdrawal(rp(1))(Position::new(0)))
        .then_refused(is!(NotFound(Resource::Record(_))));
}

#[test]
fn a_withdrawal_leaves_on_a_day_of_the_fund() {
    let leaves_on = |date: &'static str| {
        on("proposal", move |proposal| c::ApproveAllocationWithdrawal {
            value_date: day(date),
            ..approve_withdrawal(proposal)
        })
    };
    given(pilot())
        .when(on("allocation", propose_withdrawal(rp(1))))
        .then_ok()
        .named("proposal")
        .by("checker")
        .when(leaves_on("2025-12-31"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(leaves_on("2026-03-03"))
        .then_refused(is!(ValueDateOutOfRange { .. }))
        .when(leaves_on(TODAY))
        .then_ok();
}

#[test]
fn funds_do_not_lend_each_others_money() {
    given(pilot())
        .when(open_fund("other", terms()))
        .then_ok()
        .when(c::OpenAccount { fund: id("other"), ..crate::commands::open_account("a1") })
        .then_ok()
        .when(c::ProposeLoan { fund: id("other"), ..propose_loan("l1", rp(1)) })
        .then_refused(is!(InsufficientFunds { has: 0, .. }))
        .with_loan("l1", rp(3_000_000_000))
        .when(disburse("l1", rp(3_000_000_000)))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.fund_of("other").books.amount(Book::Cash), 0));
}
