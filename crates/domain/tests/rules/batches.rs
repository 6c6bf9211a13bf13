//! Atomic batches: decided on the state itself, kept whole or dropped whole. Seals and the
//! server's own principal.

use crate::commands::{
    approve_loan, approve_reversal, approve_withdrawal, bring_back, change_terms, confirm,
    disburse, grant, open_account, open_fund, open_ledger, propose_loan, propose_reversal,
    propose_withdrawal, register, repay, rp, seal, suspend, terms, withdraw_loan,
};
use crate::given::{Ledger, every_field, given, on};
use crate::is;
use crate::programme::{pilot, with_grant_fund};
use bergulir_domain::cooperative::{Office, ReadinessItem};
use bergulir_domain::{Position, State};

/// Something of everything happens.
fn mixed(ledger: Ledger) -> Ledger {
    ledger
        .by("maker")
        .today("2026-04-20")
        .when(propose_loan("l2", rp(100)))
        .then_ok()
        .when(open_fund("new", terms()))
        .then_ok()
        .when(change_terms("2026-05-01", terms()))
        .then_ok()
        .with_cooperative(4)
        .with_account(4)
        .when(register("c5"))
        .then_ok()
        .when(crate::commands::appoint("c1", Office::Chair, "chair-new"))
        .then_ok()
        .when(confirm("c2", ReadinessItem::BusinessPlan))
        .then_ok()
        .when(repay("l1", [10, 2, 1]))
        .then_ok()
        .named("batch repayment")
        .reversed("batch repayment")
        .when(repay("l1", [10, 2, 1]))
        .then_ok()
        .named("batch repayment 2")
        .when(on("batch repayment 2", propose_reversal))
        .then_ok()
        .when(on("allocation", propose_withdrawal(rp(10))))
        .then_ok()
        .named("batch withdrawal")
        .by("checker")
        .when(on("batch withdrawal", approve_withdrawal))
        .then_ok()
        .when(approve_loan("l2"))
        .then_ok()
        .when(disburse("l2", rp(60)))
        .then_ok()
        .named("batch tranche")
        .when(on("batch tranche", bring_back))
        .then_ok()
        .named("batch return")
        .reversed("batch return")
        .when(grant("g1", rp(1)))
        .then_ok()
        .when(suspend("a3"))
        .then_ok()
        .by("system")
        .when(seal(Position::new(5)))
        .then_ok()
        .by("maker")
}

/// A ledger in which much is pending and will have lapsed when the batch comes.
fn in_use() -> Ledger {
    with_grant_fund()
        .with_disbursed_loan("l1", rp(1_000))
        .when(propose_loan("l3", rp(500)))
        .then_ok()
        .when(on("allocation", propose_withdrawal(rp(70))))
        .then_ok()
        .when(repay("l1", [30, 20, 10]))
        .then_ok()
        .named("repayment")
        .when(on("repayment", propose_reversal))
        .then_ok()
}

#[test]
fn a_batch_that_is_dropped_leaves_the_state_as_it_was() {
    let mut marked = in_use();
    let before = every_field(&marked.state);
    marked.state.mark();
    let mut after = mixed(marked.clone()).state;
    assert_ne!(every_field(&after), before);
    after.roll_back();
    assert_eq!(every_field(&after), before);
}

#[test]
fn a_dropped_batch_does_not_show_in_what_comes_after() {
    let mut dropped = in_use();
    dropped.state.mark();
    dropped.state = mixed(dropped.clone()).state;
    dropped.state.roll_back();
    let [after_drop, straight] = [dropped, in_use()].map(|ledger| mixed(ledger).state);
    assert_eq!(every_field(&after_drop), every_field(&straight));
}

#[test]
fn a_batch_that_is_kept_is_as_if_each_command_came_alone() {
    let mut kept = in_use();
    kept.state.mark();
    let mut kept = mixed(kept);
    kept.state.keep();
    let alone = mixed(in_use()).state;
    assert_eq!(every_field(&kept.state), every_field(&alone));
    kept.state.roll_back();
    assert_eq!(every_field(&kept.state), every_field(&alone), "no mark, no way back");
}

#[test]
fn the_first_record_can_be_dropped_too() {
    let mut ledger = Ledger::empty();
    ledger.state.mark();
    let mut state = ledger.when(open_ledger()).then_ok().state;
    state.roll_back();
    assert_eq!(every_field(&state), every_field(&State::default()));
}

#[test]
fn a_refused_batch_frees_the_names_that_it_took() {
    let mut ledger = pilot();
    ledger.state.mark();
    let mut dropped = ledger
        .clone()
        .with_cooperative(4)
        .with_account(4)
        .when(propose_loan("l4", rp(1)))
        .then_ok()
        .when(withdraw_loan("l4"))
        .then_ok();
    dropped.state.roll_back();
    ledger.state = dropped.state;
    given(ledger).with_cooperative(4).when(open_account("a4")).then_ok().with_loan("l4", rp(1));
}

#[test]
fn replay_from_nothing_gives_the_same_state() {
    let ledger = mixed(in_use());
    assert_eq!(every_field(&ledger.replay()), every_field(&ledger.state));
}

#[test]
fn a_seal_covers_more_than_the_last_one_and_only_what_is_there() {
    let ledger = pilot().by("system");
    let last = Position::new(ledger.state.size() - 1);
    let next = Position::new(ledger.state.size());
    given(ledger)
        .when(seal(next))
        .then_refused(is!(SealOutOfOrder { .. }))
        .when(seal(last))
        .then_ok()
        .see(|ledger| assert_eq!(ledger.state.sealed_through(), Some(last)))
        .when(seal(last))
        .then_refused(is!(SealOutOfOrder { .. }))
        .when(seal(Position::new(0)))
        .then_refused(is!(SealOutOfOrder { .. }))
        .when(seal(next))
        .then_ok();
}

#[test]
fn the_principal_of_the_server_seals_and_does_nothing_else() {
    given(pilot())
        .when(seal(Position::new(0)))
        .then_refused(is!(SystemOnly))
        .when(propose_loan("l1", rp(1)))
        .then_ok()
        .by("system")
        .when(approve_loan("l1"))
        .then_refused(is!(ReservedPrincipal))
        .when(approve_reversal(Position::new(0)))
        .then_refused(is!(ReservedPrincipal));
    given(Ledger::empty())
        .by("system")
        .when(open_ledger())
        .then_refused(is!(ReservedPrincipal))
        .when(seal(Position::new(0)))
        .then_refused(is!(LedgerNotOpen));
}
