//! Two people: what one proposes, another decides; or its maker takes it back; or time does.

use crate::commands::{
    approve_loan, approve_reversal, approve_withdrawal, change_terms, disburse, loan_terms,
    propose_loan, propose_reversal, propose_withdrawal, refuse_loan, refuse_proposal, repay, rp,
    terms, withdraw_loan, withdraw_proposal,
};
use crate::given::{Ledger, given, on, ten_o_clock};
use crate::is;
use crate::programme::pilot;
use bergulir_domain::command as c;
use bergulir_domain::moment::MICROS_PER_DAY;
use bergulir_domain::rejection::LoanStatus;
use bergulir_domain::state::LoanState;
use bergulir_domain::terms::{LoanTerms, Purpose, Terms};
use bergulir_domain::{Position, Timestamp};

fn with_pending_loan() -> Ledger {
    pilot().when(propose_loan("l1", rp(100_000_000))).then_ok()
}

fn with_pending_withdrawal() -> Ledger {
    pilot().when(on("allocation", propose_withdrawal(rp(100_000_000)))).then_ok().named("proposal")
}

fn with_pending_reversal() -> Ledger {
    pilot()
        .with_disbursed_loan("l1", rp(100_000_000))
        .when(repay("l1", [100_000_000, 0, 0]))
        .then_ok()
        .named("repayment")
        .when(on("repayment", propose_reversal))
        .then_ok()
        .named("proposal")
}

#[test]
fn rule_19_the_maker_of_a_loan_is_not_its_checker() {
    given(with_pending_loan())
        .when(approve_loan("l1"))
        .then_refused(is!(SamePerson { .. }))
        .when(refuse_loan("l1"))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(approve_loan("l1"))
        .then_ok()
        .see(|ledger| {
            let loan = ledger.loan("l1");
            assert_eq!(loan.maker.as_str(), "maker");
            assert_eq!(loan.active().unwrap().approval.checker.as_str(), "checker");
        });
}

#[test]
fn rule_19_the_maker_of_a_withdrawal_is_not_its_checker() {
    given(with_pending_withdrawal())
        .when(on("proposal", approve_withdrawal))
        .then_refused(is!(SamePerson { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(on("proposal", approve_withdrawal))
        .then_ok();
}

#[test]
fn rule_19_the_maker_of_a_reversal_is_not_its_checker() {
    given(with_pending_reversal())
        .when(on("proposal", approve_reversal))
        .then_refused(is!(SamePerson { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(SamePerson { .. }))
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_ok();
}

#[test]
fn only_its_maker_takes_a_proposal_back() {
    given(with_pending_loan())
        .by("checker")
        .when(withdraw_loan("l1"))
        .then_refused(is!(NotMaker { .. }))
        .by("maker")
        .when(withdraw_loan("l1"))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Withdrawn));
    for ledger in [with_pending_withdrawal(), with_pending_reversal()] {
        given(ledger)
            .by("checker")
            .when(on("proposal", withdraw_proposal))
            .then_refused(is!(NotMaker { .. }))
            .by("maker")
            .when(on("proposal", withdraw_proposal))
            .then_ok();
    }
}

#[test]
fn a_proposal_reserves_what_it_would_use_until_it_is_decided() {
    let committable = |ledger: &Ledger| ledger.fund().committable();
    for ledger in [with_pending_withdrawal(), with_pending_reversal()] {
        let pending = committable(&ledger);
        given(ledger.clone())
            .when(on("proposal", withdraw_proposal))
            .then_ok()
            .committable(pending + 10_000_000_000);
        given(ledger.clone())
            .by("checker")
            .when(on("proposal", refuse_proposal))
            .then_ok()
            .committable(pending + 10_000_000_000);
        assert_eq!(pending, 570_000_000_000);
    }
    given(with_pending_loan())
        .committable(570_000_000_000)
        .when(withdraw_loan("l1"))
        .then_ok()
        .committable(580_000_000_000);
    given(with_pending_loan())
        .by("checker")
        .when(refuse_loan("l1"))
        .then_ok()
        .committable(580_000_000_000)
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Refused));
}

#[test]
fn what_was_decided_is_not_decided_again() {
    let decide_again = |ledger: Ledger| {
        given(ledger)
            .by("checker")
            .when(approve_loan("l1"))
            .then_refused(is!(LoanNotPending { .. }))
            .when(refuse_loan("l1"))
            .then_refused(is!(LoanNotPending { .. }))
            .by("maker")
            .when(withdraw_loan("l1"))
            .then_refused(is!(LoanNotPending { .. }));
    };
    let pending = with_pending_loan();
    decide_again(pending.clone().by("checker").when(approve_loan("l1")).then_ok());
    decide_again(pending.clone().by("checker").when(refuse_loan("l1")).then_ok());
    decide_again(pending.when(withdraw_loan("l1")).then_ok());

    for ledger in [with_pending_withdrawal(), with_pending_reversal()] {
        given(ledger)
            .by("checker")
            .when(on("proposal", refuse_proposal))
            .then_ok()
            .when(on("proposal", refuse_proposal))
            .then_refused(is!(ProposalNotPending { .. }))
            .when(on("proposal", approve_withdrawal))
            .then_refused(is!(ProposalNotPending { .. }))
            .when(on("proposal", approve_reversal))
            .then_refused(is!(ProposalNotPending { .. }))
            .by("maker")
            .when(on("proposal", withdraw_proposal))
            .then_refused(is!(ProposalNotPending { .. }));
    }
}

#[test]
fn each_proposal_goes_by_its_own_commands() {
    given(with_pending_loan().named("proposal"))
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(on("proposal", approve_withdrawal))
        .then_refused(is!(ProposalNotPending { .. }))
        .when(on("proposal", refuse_proposal))
        .then_refused(is!(ProposalNotPending { .. }))
        .by("maker")
        .when(on("proposal", withdraw_proposal))
        .then_refused(is!(ProposalNotPending { .. }));
    given(with_pending_withdrawal())
        .by("checker")
        .when(on("proposal", approve_reversal))
        .then_refused(is!(ProposalNotPending { .. }));
    given(with_pending_reversal())
        .by("checker")
        .when(on("proposal", approve_withdrawal))
        .then_refused(is!(ProposalNotPending { .. }));
    given(pilot())
        .when(approve_reversal(Position::new(1_000_000)))
        .then_refused(is!(ProposalNotPending { .. }));
}

#[test]
fn a_loan_lapses_at_the_very_instant_that_it_names() {
    let expires_at = ten_o_clock("2026-03-05");
    let just_before = Timestamp::from_micros(expires_at.as_micros() - 1);
    let pending = pilot()
        .when(c::ProposeLoan {
            expires_at: Some(expires_at),
            ..propose_loan("l1", rp(100_000_000))
        })
        .then_ok();
    given(pending.clone()).now(just_before).by("checker").when(approve_loan("l1")).then_ok();
    given(pending)
        .now(expires_at)
        .by("checker")
        .when(approve_loan("l1"))
        .then_refused(is!(LoanNotPending { status: LoanStatus::Expired, .. }))
        .by("maker")
        .when(withdraw_loan("l1"))
        .then_refused(is!(LoanNotPending { .. }))
        .committable(580_000_000_000)
        .when(propose_loan("l1b", rp(3_000_000_000)))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.loan("l1").status(), LoanStatus::Expired));
}

#[test]
fn withdrawals_and_reversals_lapse_too_and_time_alone_releases_what_they_reserved() {
    for ledger in [with_pending_withdrawal(), with_pending_reversal()] {
        let expires_at = ledger.state.proposals().iter().next().unwrap().1.expires_at;
        given(ledger.clone())
            .now(Timestamp::from_micros(expires_at.as_micros() - 1))
            .by("checker")
            .when(on("proposal", refuse_proposal))
            .then_ok();
        given(ledger)
            .now(expires_at)
            .by("checker")
            .when(on("proposal", refuse_proposal))
            .then_refused(is!(ProposalNotPending { .. }))
            .committable(580_000_000_000);
    }
}

#[test]
fn a_record_whose_reversal_lapsed_can_be_reversed() {
    given(with_pending_reversal())
        .when(on("repayment", propose_reversal))
        .then_refused(is!(ReversalPending { .. }))
        .today("2026-03-20")
        .reversed("repayment");
}

#[test]
fn a_proposal_lapses_after_the_validity_of_the_terms_unless_it_says_when() {
    let pending = with_pending_loan();
    let asked_at = pending.records.0.last().unwrap().0.recorded_at;
    let LoanState::Pending { expires_at } = pending.loan("l1").state else {
        panic!("it is pending")
    };
    assert_eq!(expires_at.as_micros() - asked_at.as_micros(), 14 * MICROS_PER_DAY);
    let no_validity = Terms { proposal_validity_days: None, ..terms() };
    given(pilot())
        .when(change_terms("2026-03-02", no_validity))
        .then_ok()
        .when(propose_loan("l1", rp(1)))
        .then_ok()
        .see(|ledger| {
            let (_, proposal) = ledger.state.proposals().iter().next().unwrap();
            let asked_at = ledger.records.0.last().unwrap().0.recorded_at;
            assert_eq!(proposal.expires_at, asked_at.plus_days(30));
        });
}

#[test]
fn a_proposal_cannot_have_lapsed_already() {
    let ledger = pilot();
    let now = ledger.clock;
    let lapses_at =
        |instant| c::ProposeLoan { expires_at: Some(instant), ..propose_loan("l1", rp(1)) };
    given(ledger)
        .when(lapses_at(now))
        .then_refused(is!(ExpiryOutOfRange { .. }))
        .when(c::ProposeAllocationWithdrawal {
            expires_at: Some(now),
            ..propose_withdrawal(rp(1))(Position::new(2))
        })
        .then_refused(is!(ExpiryOutOfRange { .. }))
        .when(c::ProposeReversal { expires_at: Some(now), ..propose_reversal(Position::new(2)) })
        .then_refused(is!(ExpiryOutOfRange { .. }))
        .when(lapses_at(Timestamp::from_micros(now.as_micros() + 1)))
        .then_ok();
}

#[test]
fn what_was_approved_does_not_lapse() {
    given(with_pending_loan())
        .by("checker")
        .when(approve_loan("l1"))
        .then_ok()
        .today("2027-03-02")
        .when(disburse("l1", rp(100_000_000)))
        .then_ok();
}

#[test]
fn a_loan_keeps_the_terms_of_the_day_of_its_approval() {
    let dearer = LoanTerms { tenor_months: 48, ..loan_terms() };
    let dearer_fund = Terms { purpose: Purpose::Loan(dearer), ..terms() };
    let snapshot = |ledger: &Ledger, loan: &str| ledger.loan(loan).active().unwrap().approval.terms;
    given(with_pending_loan())
        .when(change_terms("2026-03-10", dearer_fund))
        .then_ok()
        .when(propose_loan("l2", rp(100_000_000)))
        .then_ok()
        .by("checker")
        .when(approve_loan("l1"))
        .then_ok()
        .today("2026-03-10")
        .when(approve_loan("l2"))
        .then_ok()
        .see(|ledger| {
            assert_eq!(snapshot(ledger, "l1"), loan_terms());
            assert_eq!(snapshot(ledger, "l2"), dearer);
        });
}
