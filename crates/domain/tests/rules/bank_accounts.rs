//! The bank account of a cooperative, changed by two people. Since version 2 of the rules.

use crate::commands::{
    approve_bank_account, approve_disbursement, bank_account, close, id, open_account, open_ledger,
    propose_bank_account, propose_disbursement, refuse_proposal, resume, rp, suspend, text,
    withdraw_proposal,
};
use crate::given::{Ledger, encoded, given, on, ten_o_clock};
use crate::is;
use crate::programme::{pilot, with_grant_fund};
use bergulir_domain::command::{self as c, BankAccount};
use bergulir_domain::{Position, State};

fn with_pending() -> Ledger {
    pilot().when(propose_bank_account("a1", "0777")).then_ok().named("proposal")
}

fn with_changed() -> Ledger {
    with_pending().approved("proposal", approve_bank_account)
}

fn tied_to(ledger: &Ledger, account: &str) -> BankAccount {
    let (index, _) = ledger.state.accounts().iter().find(|(_, a)| a.id == id(account)).unwrap();
    ledger.state.bank_account(index)
}

#[test]
fn an_account_is_tied_to_another_bank_account_once_a_second_person_approves() {
    given(with_pending())
        .see(|ledger| assert_eq!(tied_to(ledger, "a1"), bank_account("0001")))
        .by("checker")
        .when(on("proposal", approve_bank_account))
        .then_ok()
        .see(|ledger| assert_eq!(tied_to(ledger, "a1"), bank_account("0777")))
        .when(on("proposal", approve_bank_account))
        .then_refused(is!(ProposalNotPending { .. }));
}

#[test]
fn rule_19_the_maker_of_a_change_is_not_its_checker() {
    given(with_pending())
        .when(on("proposal", approve_bank_account))
        .then_refused(is!(SamePerson { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(on("proposal", withdraw_proposal))
        .then_refused(is!(NotMaker { .. }))
        .when(on("proposal", refuse_proposal))
        .then_ok()
        .see(|ledger| assert_eq!(tied_to(ledger, "a1"), bank_account("0001")));
}

#[test]
fn rule_2_the_holder_is_the_registered_name() {
    let other = c::ProposeBankAccountChange {
        holder: text("Koperasi Desa Merah Putih"),
        ..propose_bank_account("a1", "0777")
    };
    given(pilot()).when(other).then_refused(is!(HolderNameMismatch { .. }));
}

#[test]
fn rule_25_no_bank_account_is_shared_between_cooperatives() {
    let second_opens = c::OpenAccount { bank_account: bank_account("0777"), ..open_account("a4") };
    // While it is pending it is reserved, for a new account as for another change.
    given(with_pending().with_cooperative(4))
        .when(propose_bank_account("a2", "0777"))
        .then_refused(is!(BankAccountReserved { .. }))
        .when(second_opens.clone())
        .then_refused(is!(BankAccountReserved { .. }))
        .when(on("proposal", withdraw_proposal))
        .then_ok()
        .when(second_opens.clone())
        .then_ok();
    // Afterwards the new one is the cooperative's, and the old one goes to nobody else.
    given(with_changed().with_cooperative(4))
        .when(second_opens)
        .then_refused(is!(BankAccountTaken { .. }))
        .when(propose_bank_account("a2", "0777"))
        .then_refused(is!(BankAccountTaken { .. }))
        .when(propose_bank_account("a2", "0001"))
        .then_refused(is!(BankAccountTaken { .. }))
        .when(propose_bank_account("a1", "0002"))
        .then_refused(is!(BankAccountTaken { .. }))
        .when(propose_bank_account("a1", "0001"))
        .then_ok();
}

#[test]
fn a_cooperative_takes_its_new_bank_account_in_every_fund() {
    let in_hibah = c::ProposeBankAccountChange {
        fund: id("hibah"),
        account: id("g1"),
        ..propose_bank_account("a1", "0777")
    };
    given(with_grant_fund())
        .when(propose_bank_account("a1", "0777"))
        .then_ok()
        .named("one")
        .when(in_hibah)
        .then_ok()
        .named("two")
        .by("checker")
        .when(on("one", approve_bank_account))
        .then_ok()
        .when(on("two", approve_bank_account))
        .then_ok()
        .see(|ledger| {
            assert_eq!(
                ["a1", "g1"].map(|a| tied_to(ledger, a)),
                [(); 2].map(|()| bank_account("0777"))
            );
        });
}

#[test]
fn one_change_of_an_account_is_pending_at_a_time_and_none_to_what_it_has() {
    given(with_pending())
        .when(propose_bank_account("a1", "0888"))
        .then_refused(is!(BankAccountChangePending { .. }))
        .when(propose_bank_account("a2", "0002"))
        .then_refused(is!(BankAccountUnchanged { .. }))
        .when(on("proposal", withdraw_proposal))
        .then_ok()
        .when(propose_bank_account("a1", "0888"))
        .then_ok();
    given(with_changed())
        .when(propose_bank_account("a1", "0777"))
        .then_refused(is!(BankAccountUnchanged { .. }));
}

#[test]
fn only_an_open_account_changes_its_bank_account() {
    given(pilot())
        .when(propose_bank_account("a9", "0777"))
        .then_refused(is!(NotFound(..)))
        .when(suspend("a1"))
        .then_ok()
        .when(propose_bank_account("a1", "0777"))
        .then_refused(is!(AccountNotOpen { .. }));
    given(with_pending())
        .when(suspend("a1"))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_bank_account))
        .then_refused(is!(AccountNotOpen { .. }))
        .when(resume("a1"))
        .then_ok()
        .when(on("proposal", approve_bank_account))
        .then_ok();
    given(with_pending())
        .when(close("a1"))
        .then_ok()
        .by("checker")
        .when(on("proposal", approve_bank_account))
        .then_refused(is!(AccountNotOpen { .. }));
}

/// What its maker saw is where the money goes.
#[test]
fn nothing_changes_while_a_disbursement_to_the_account_waits() {
    given(with_pending().with_loan("l1", rp(100)).with_loan("l2", rp(100)))
        .when(propose_disbursement("l2", rp(1)))
        .then_ok()
        .when(propose_disbursement("l1", rp(1)))
        .then_ok()
        .named("payment")
        .by("checker")
        .when(on("proposal", approve_bank_account))
        .then_refused(is!(DisbursementPending { .. }))
        .when(on("payment", approve_disbursement))
        .then_ok()
        .when(on("proposal", approve_bank_account))
        .then_ok();
}

#[test]
fn time_alone_releases_the_number() {
    let lapses = ten_o_clock("2026-03-05");
    let change = c::ProposeBankAccountChange {
        expires_at: Some(lapses),
        ..propose_bank_account("a1", "0777")
    };
    given(pilot())
        .when(change)
        .then_ok()
        .named("proposal")
        .now(lapses)
        .by("checker")
        .when(on("proposal", approve_bank_account))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(propose_bank_account("a2", "0777"))
        .then_ok();
}

#[test]
fn what_was_changed_is_in_the_state() {
    let ledger = with_changed();
    let decoded = State::decode(&encoded(&ledger.state)).unwrap();
    let (index, _) = decoded.accounts().iter().find(|(_, a)| a.id == id("a1")).unwrap();
    assert_eq!(decoded.bank_account(index), bank_account("0777"));
}

#[test]
fn version_1_of_the_rules_changes_no_bank_account() {
    let old = Ledger::empty().when(c::OpenLedger { rules_version: 1, ..open_ledger() }).then_ok();
    given(old)
        .when(propose_bank_account("a1", "0777"))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }))
        .when(approve_bank_account(Position::new(1)))
        .then_refused(is!(RulesTooOld { needed: 2, in_force: 1 }));
}
