//! A decider keeps of the payments to loans their days alone, and decides as the whole state does.

use crate::commands::{
    approve_reversal, bring_back, day, disburse, grant, id, propose_reversal, repay, rp,
};
use crate::given::{Ledger, Records, given, on};
use crate::programme::{pilot, with_grant_fund};
use bergulir_domain::command::{self as c, BankReference, Command};
use bergulir_domain::decide::LookupFailed;
use bergulir_domain::{
    Context, Decider, Decision, Event, Header, Lookups, Position, Rejection, State,
};

/// Looks up in what the ledger has, but one record.
struct Without<'a>(&'a Records, Position);

impl Lookups for Without<'_> {
    fn bank_reference(&self, reference: &BankReference) -> Result<Vec<Position>, LookupFailed> {
        self.0.bank_reference(reference)
    }
    fn record(&self, position: Position) -> Result<Option<Event>, LookupFailed> {
        if position == self.1 { Err(LookupFailed) } else { self.0.record(position) }
    }
}

fn decide(
    ledger: &Ledger,
    lookups: &dyn Lookups,
    command: &Command,
) -> Result<Decision, Rejection> {
    let context = Context { time: ledger.clock, principal: ledger.principal, lookups, near: None };
    Decider::new(&ledger.state).decide(command, &context)
}

/// What a decider that was made of the ledger as it is would come to by this command.
fn decided(ledger: &Ledger, command: &Command) -> Decider {
    let mut decider = Decider::new(&ledger.state);
    let decision = decide(ledger, &ledger.records, command).unwrap();
    let position = Position::new(ledger.state.size());
    let (recorded_at, principal) = (ledger.clock, ledger.principal);
    decider.evolve(&Header { position, recorded_at, principal }, &decision);
    decider
}

fn earliest(state: &State) -> Option<bergulir_domain::Date> {
    let loan = state.loans().find(&id("l1")).unwrap();
    state.loans().get(loan).active().unwrap().tranches.earliest()
}

fn paid_on(date: &'static str) -> c::Disburse {
    c::Disburse { value_date: day(date), ..disburse("l1", rp(10)) }
}

/// Paid on three days, one of them twice, the earliest neither first nor last.
fn paid() -> Ledger {
    let mut ledger = given(pilot().with_loan("l1", rp(100)));
    for (name, date) in [
        ("second", "2026-02-20"),
        ("first", "2026-02-10"),
        ("first again", "2026-02-10"),
        ("last", "2026-02-27"),
    ] {
        ledger = ledger.when(paid_on(date)).then_ok().named(name);
    }
    ledger
}

#[test]
fn when_the_earliest_payment_comes_back_the_next_one_is_the_earliest() {
    let mut ledger = paid();
    for (name, then) in [
        ("first", Some("2026-02-10")),
        ("last", Some("2026-02-10")),
        ("first again", Some("2026-02-20")),
        ("second", None),
    ] {
        let back = Command::ReturnDisbursement(bring_back(ledger.at(name)));
        assert_eq!(earliest(&decided(&ledger, &back)), then.map(day), "{name}");
        ledger = ledger.when(on(name, bring_back)).then_ok();
        assert_eq!(earliest(&ledger.state), then.map(day), "{name}");
    }
}

#[test]
fn so_it_is_when_payments_are_reversed_and_returns_undone() {
    let ledger = paid().reversed("first").reversed("first again");
    assert_eq!(earliest(&Decider::new(&ledger.state)), Some(day("2026-02-20")));
    let ledger = ledger.when(on("second", bring_back)).then_ok().named("return");
    let ledger = ledger.when(on("return", propose_reversal)).then_ok().named("proposal");
    let ledger = ledger.by("checker");
    assert_eq!(earliest(&Decider::new(&ledger.state)), Some(day("2026-02-27")));
    let approve = Command::ApproveReversal(approve_reversal(ledger.at("proposal")));
    assert_eq!(earliest(&decided(&ledger, &approve)), Some(day("2026-02-20")));
}

#[test]
fn a_payment_that_cannot_be_looked_up_is_not_taken_back() {
    let ledger = paid();
    let first = ledger.at("first");
    let back = Command::ReturnDisbursement(bring_back(first));
    let lookups = Without(&ledger.records, first);
    assert_eq!(decide(&ledger, &lookups, &back).err(), Some(Rejection::LookupFailed));

    let ledger = ledger.when(on("first", propose_reversal)).then_ok().named("proposal");
    let ledger = ledger.by("checker");
    let approve = Command::ApproveReversal(approve_reversal(ledger.at("proposal")));
    let lookups = Without(&ledger.records, first);
    assert_eq!(decide(&ledger, &lookups, &approve).err(), Some(Rejection::LookupFailed));
    assert!(decide(&ledger, &Without(&ledger.records, ledger.at("last")), &approve).is_ok());
}

#[test]
fn nothing_is_looked_up_again_where_no_payment_to_a_loan_is_taken_back() {
    let ledger = paid().when(repay("l1", [1, 0, 0])).then_ok().named("repayment");
    let repaid = ledger.at("repayment");
    let ledger = ledger.when(on("repayment", propose_reversal)).then_ok().named("proposal");
    let ledger = ledger.by("checker");
    let approve = Command::ApproveReversal(approve_reversal(ledger.at("proposal")));
    assert!(decide(&ledger, &Without(&ledger.records, repaid), &approve).is_ok());

    let ledger = with_grant_fund().when(grant("g1", rp(10))).then_ok().named("grant");
    let paid = ledger.at("grant");
    let ledger = ledger.when(on("grant", propose_reversal)).then_ok().named("proposal");
    let ledger = ledger.by("checker");
    let approve = Command::ApproveReversal(approve_reversal(ledger.at("proposal")));
    assert!(decide(&ledger, &Without(&ledger.records, paid), &approve).is_ok());
    let without = decided(&ledger, &approve);
    let mut accounts = without.accounts().iter().map(|(_, account)| account);
    assert!(accounts.all(|account| account.grants().next().is_none()));
}

#[test]
#[should_panic(expected = "is not encoded")]
fn it_has_no_encoding() {
    let mut bytes = Vec::new();
    Decider::new(&paid().state).encode(&mut bytes);
}
