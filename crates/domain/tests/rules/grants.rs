//! Grants: they are paid and create no receivable.

use crate::commands::{
    approve_reversal, bring_back, close, grant, id, open_account, propose_loan, propose_reversal,
    rp, suspend, text,
};
use crate::given::{given, on};
use crate::is;
use crate::programme::with_grant_fund;
use bergulir_domain::command::{self as c, BankAccount};
use bergulir_domain::postings::Book;
use bergulir_domain::rejection::{NeedsFund, Purse};

#[test]
fn rule_25_a_grant_leaves_no_receivable() {
    given(with_grant_fund()).when(grant("g1", rp(100_000_000))).then_ok().see(|ledger| {
        let books = ledger.fund_of("hibah").books;
        assert_eq!(books.amount(Book::PrincipalReceivable), 0);
        assert_eq!(books.amount(Book::GrantExpense), 10_000_000_000);
        assert_eq!(books.amount(Book::Cash), 40_000_000_000);
        assert_eq!(ledger.account("g1").balances().outstanding(), 0);
        assert_eq!(ledger.account("g1").balances().granted, 10_000_000_000);
    });
}

#[test]
fn a_grant_fund_gives_and_a_loan_fund_lends() {
    given(with_grant_fund())
        .when(c::ProposeLoan { fund: id("hibah"), account: id("g1"), ..propose_loan("l1", rp(1)) })
        .then_refused(is!(WrongFundKind { needs: NeedsFund::Loan, .. }))
        .when(c::DisburseGrant { fund: id("pilot"), ..grant("a1", rp(1)) })
        .then_refused(is!(WrongFundKind { needs: NeedsFund::Grant, .. }));
}

#[test]
fn grants_stay_under_the_ceiling_of_the_cooperative() {
    given(with_grant_fund())
        .when(grant("g1", rp(60_000_000)))
        .then_ok()
        .when(grant("g1", rp(40_000_001)))
        .then_refused(is!(CeilingExceeded { .. }))
        .when(grant("g1", rp(40_000_000)))
        .then_ok();
}

#[test]
fn a_second_account_does_not_raise_the_ceiling() {
    let second = c::OpenAccount {
        fund: id("hibah"),
        account: id("g9"),
        bank_account: BankAccount { bank: text("BPD"), number: text("0099") },
        ..open_account("g1")
    };
    given(with_grant_fund())
        .when(grant("g1", rp(60_000_000)))
        .then_ok()
        .when(c::CloseAccount { fund: id("hibah"), ..close("g1") })
        .then_ok()
        .when(second)
        .then_ok()
        .when(grant("g9", rp(40_000_001)))
        .then_refused(is!(CeilingExceeded { in_use: 6_000_000_000, .. }))
        .when(grant("g9", rp(40_000_000)))
        .then_ok();
}

#[test]
fn no_more_is_given_than_there_is() {
    let mut ledger = with_grant_fund();
    for number in 2..=6 {
        let cooperative = if number < 4 { ledger } else { ledger.with_cooperative(number) };
        ledger = cooperative
            .when(c::OpenAccount { fund: id("hibah"), ..open_account(&format!("g{number}")) })
            .then_ok()
            .when(grant(&format!("g{number}"), rp(99_000_000)))
            .then_ok();
    }
    given(ledger)
        .when(grant("g1", rp(5_000_001)))
        .then_refused(is!(InsufficientFunds { purse: Purse::Committable, has: 500_000_000, .. }))
        .when(grant("g1", rp(5_000_000)))
        .then_ok();
}

#[test]
fn a_grant_needs_an_open_account() {
    given(with_grant_fund())
        .when(c::SuspendAccount { fund: id("hibah"), ..suspend("g1") })
        .then_ok()
        .when(grant("g1", rp(1)))
        .then_refused(is!(AccountNotOpen { .. }));
}

#[test]
fn a_grant_that_came_back_may_be_given_again() {
    let before = with_grant_fund().fund_of("hibah");
    given(with_grant_fund())
        .when(grant("g1", rp(100_000_000)))
        .then_ok()
        .named("grant")
        .when(on("grant", bring_back))
        .then_ok()
        .named("return")
        .see(|ledger| assert_eq!(ledger.fund_of("hibah"), before))
        .when(on("grant", bring_back))
        .then_refused(is!(AlreadyUndone { .. }))
        .when(grant("g1", rp(100_000_000)))
        .then_ok()
        .named("second")
        .when(on("return", propose_reversal))
        .then_refused(is!(CeilingExceeded { .. }))
        .reversed("second")
        .see(|ledger| assert_eq!(ledger.fund_of("hibah"), before))
        .reversed("return")
        .see(|ledger| {
            assert_eq!(ledger.account("g1").balances().granted, 10_000_000_000);
            assert_eq!(ledger.account("g1").grants().count(), 1);
        });
}

#[test]
fn a_pending_reversal_of_a_return_reserves_room_for_the_grant() {
    given(with_grant_fund())
        .when(grant("g1", rp(100_000_000)))
        .then_ok()
        .named("grant")
        .when(on("grant", bring_back))
        .then_ok()
        .named("return")
        .when(on("return", propose_reversal))
        .then_ok()
        .named("proposal")
        .when(grant("g1", rp(1)))
        .then_refused(is!(CeilingExceeded { .. }))
        .see(|ledger| assert_eq!(ledger.fund_of("hibah").committable(), 40_000_000_000))
        .when(c::CloseAccount { fund: id("hibah"), ..close("g1") })
        .then_refused(is!(AccountNotEmpty { .. }))
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_ok();
}
