use bergulir_chain::note::{CosignerKey, KeyName};
use bergulir_domain::money::Currency;
use bergulir_domain::{Command, LedgerId, Money};
use proptest::prelude::*;

use super::*;
use crate::pb::command::Kind;
use crate::samples::{a_disbursement, a_repayment, command, verifier_key};
use crate::status::MAX_VIOLATIONS;

pub(super) const ID: &str = "0190a8f0-6f2a-7c3b-8d4e-5f60718293a4";

pub(super) fn kab() -> LedgerId {
    LedgerId::new("kab").unwrap()
}

fn wire(command: &Command) -> Kind {
    command_to_wire(command).unwrap().kind.unwrap()
}

pub(super) fn disburse() -> pb::Disburse {
    match wire(&Command::Disburse(a_disbursement())) {
        Kind::Disburse(message) => message,
        other => panic!("{other:?}"),
    }
}

fn open_fund() -> pb::OpenFund {
    pb::OpenFund {
        fund: "dana".to_owned(),
        display_name: "Dana Bergulir".to_owned(),
        opening_date: Some(pb::Date { year: 2026, month: 1, day: 2 }),
        terms: Some(pb::Terms {
            kind: pb::FundKind::Loan as i32,
            ceiling: Some(idr(3_000_000_000, 0)),
            required_readiness: vec![1, 5],
            proposal_validity_days: None,
            disbursement_approval_above: None,
            loan: Some(pb::LoanTerms {
                rate_percent: "5".to_owned(),
                method: pb::InterestMethod::Flat as i32,
                tenor_months: 36,
                grace_months: 3,
                ..pb::LoanTerms::default()
            }),
        }),
    }
}

fn request() -> pb::DisburseRequest {
    pb::DisburseRequest {
        ledger: "ledgers/kab".to_owned(),
        request_id: ID.to_owned(),
        validate_only: false,
        expected_position: Some(9),
        disburse: Some(disburse()),
    }
}

fn idr(units: i64, nanos: i32) -> pb::Money {
    pb::Money { currency_code: "IDR".to_owned(), units, nanos }
}

pub(super) fn fields(invalid: InvalidFields) -> Vec<String> {
    invalid.0.into_iter().map(|violation| violation.field).collect()
}

fn wrong(kind: Kind) -> Vec<String> {
    let command = pb::Command { kind: Some(kind) };
    command_from_wire(kab(), Currency::Idr, command).map_or_else(fields, |_| Vec::new())
}

fn wrong_request(change: impl FnOnce(&mut pb::DisburseRequest)) -> Vec<String> {
    let mut request = request();
    change(&mut request);
    Envelope::read(request, Currency::Idr).map_or_else(fields, |_| Vec::new())
}

fn wrong_disburse(change: impl FnOnce(&mut pb::Disburse)) -> Vec<String> {
    let mut message = disburse();
    change(&mut message);
    wrong(Kind::Disburse(message))
}

fn wrong_terms(change: impl FnOnce(&mut pb::Terms)) -> Vec<String> {
    let mut message = open_fund();
    change(message.terms.as_mut().unwrap());
    wrong(Kind::OpenFund(message))
}

fn wrong_loan_terms(change: impl FnOnce(&mut pb::LoanTerms)) -> Vec<String> {
    wrong_terms(|terms| change(terms.loan.as_mut().unwrap()))
}

#[test]
fn a_good_request_is_taken_as_it_is() {
    let envelope = Envelope::read(request(), Currency::Idr).unwrap();
    assert_eq!(envelope.ledger, kab());
    assert_eq!(envelope.request_id.to_string(), ID);
    assert_eq!(envelope.expected, Some(bergulir_chain::LogSize::new(9)));
    assert_eq!(envelope.command, Command::Disburse(a_disbursement()));
    assert_eq!(wrong(Kind::OpenFund(open_fund())), [""; 0]);
}

#[test]
fn every_wrong_field_is_named_not_only_the_first() {
    let found = wrong_request(|request| {
        request.ledger = "kab".to_owned();
        request.request_id.clear();
        request.disburse = Some(pb::Disburse::default());
    });
    assert_eq!(
        found,
        [
            "ledger",
            "request_id",
            "disburse.loan",
            "disburse.amount",
            "disburse.bank_reference",
            "disburse.value_date",
        ]
    );
}

#[test]
fn a_request_without_its_command_is_refused() {
    assert_eq!(wrong_request(|request| request.disburse = None), ["disburse"]);
}

#[test]
fn a_request_id_is_a_uuid_with_hyphens_and_not_nil() {
    for text in [
        "",
        "1",
        "00000000-0000-0000-0000-000000000000",
        "0190a8f06f2a7c3b8d4e5f60718293a4",
        "{0190a8f0-6f2a-7c3b-8d4e-5f60718293a4}",
        "urn:uuid:0190a8f0-6f2a-7c3b-8d4e-5f60718293a4",
        "0190a8f0-6f2a-7c3b-8d4e-5f60718293ag",
    ] {
        assert_eq!(wrong_request(|r| r.request_id = text.to_owned()), ["request_id"], "{text}");
    }
    assert_eq!(wrong_request(|r| r.request_id = ID.to_uppercase()), [""; 0]);
}

#[test]
fn wrong_money_is_named_to_its_part() {
    let amount = |money| wrong_disburse(|m| m.amount = money);
    assert_eq!(amount(None), ["disburse.amount"]);
    assert_eq!(amount(Some(idr(0, 0))), ["disburse.amount"]);
    assert_eq!(amount(Some(idr(-1, 0))), ["disburse.amount"]);
    assert_eq!(amount(Some(idr(i64::MAX, 0))), ["disburse.amount"]);
    assert_eq!(amount(Some(idr(i64::MIN, 0))), ["disburse.amount"]);
    assert_eq!(amount(Some(idr(1, 1_000_000))), ["disburse.amount.nanos"]);
    assert_eq!(amount(Some(idr(1, -10_000_000))), ["disburse.amount.nanos"]);
    assert_eq!(amount(Some(idr(1, i32::MAX))), ["disburse.amount.nanos"]);
    let usd = pb::Money { currency_code: "USD".to_owned(), units: 1, nanos: 0 };
    assert_eq!(amount(Some(usd)), ["disburse.amount.currency_code"]);
    assert_eq!(amount(Some(pb::Money::default())), ["disburse.amount.currency_code"]);
}

#[test]
fn a_part_of_a_payment_may_be_zero_or_absent_but_not_negative() {
    let repay = |change: fn(&mut pb::Repay)| {
        let Kind::Repay(mut message) = wire(&Command::Repay(a_repayment())) else {
            unreachable!("a repayment");
        };
        change(&mut message);
        command_from_wire(kab(), Currency::Idr, pb::Command { kind: Some(Kind::Repay(message)) })
    };
    let parts = |command| match command {
        Ok(Command::Repay(c)) => (c.principal, c.late_fee),
        other => panic!("{other:?}"),
    };
    let absent = parts(repay(|m| m.principal = None));
    assert_eq!(absent, (None, Some(Money::ZERO)));
    let negative = repay(|m| m.late_fee = Some(idr(-1, 0))).map_err(fields);
    assert_eq!(negative, Err(vec!["repay.late_fee".to_owned()]));
}

#[test]
fn ids_texts_and_dates_are_checked() {
    assert_eq!(wrong_disburse(|m| m.loan = "L1".to_owned()), ["disburse.loan"]);
    assert_eq!(wrong_disburse(|m| m.loan = "l".repeat(33)), ["disburse.loan"]);
    let reference = |text: &str| {
        wrong_disburse(|m| m.bank_reference.as_mut().unwrap().reference = text.to_owned())
    };
    for text in ["", " a", "a\n", &"a".repeat(65)] {
        assert_eq!(reference(text), ["disburse.bank_reference.reference"], "{text:?}");
    }
    let date = |date| wrong_disburse(|m| m.value_date = date);
    assert_eq!(date(None), ["disburse.value_date"]);
    let day = pb::Date { year: 2027, month: 2, day: 29 };
    assert_eq!(date(Some(day)), ["disburse.value_date"]);
}

#[test]
fn a_position_zero_is_one_that_was_forgotten() {
    let approve = pb::ApproveReversal { proposal: 0 };
    assert_eq!(wrong(Kind::ApproveReversal(approve)), ["approve_reversal.proposal"]);
}

#[test]
fn a_choice_must_be_made_among_those_that_there_are() {
    for number in [0, 3, -1] {
        let appoint = pb::AppointOfficer {
            cooperative: "c".to_owned(),
            office: number,
            officer: "O1".to_owned(),
            evidence: None,
        };
        assert_eq!(wrong(Kind::AppointOfficer(appoint)), ["appoint_officer.office"]);
    }
}

#[test]
fn a_salted_digest_has_32_bytes() {
    let confirm = pb::ConfirmReadiness {
        cooperative: "c".to_owned(),
        item: pb::ReadinessItem::BusinessPlan as i32,
        number: None,
        evidence: Some(pb::Evidence { reference: "R".to_owned(), salted_digest: vec![0; 31] }),
    };
    let field = "confirm_readiness.evidence.salted_digest";
    assert_eq!(wrong(Kind::ConfirmReadiness(confirm)), [field]);
}

#[test]
fn terms_fit_their_kind_and_each_other() {
    let terms = "open_fund.terms";
    let field = |name: &str| vec![format!("{terms}.{name}")];
    assert_eq!(wrong_terms(|t| t.kind = 0), field("kind"));
    assert_eq!(wrong_terms(|t| t.kind = 9), field("kind"));
    assert_eq!(wrong_terms(|t| t.loan = None), field("loan"));
    assert_eq!(wrong_terms(|t| t.kind = pb::FundKind::Grant as i32), field("loan"));
    assert_eq!(wrong_terms(|t| t.ceiling = None), field("ceiling"));
    assert_eq!(wrong_terms(|t| t.required_readiness = vec![1, 8]), field("required_readiness[1]"));
    assert_eq!(wrong_terms(|t| t.required_readiness = vec![1, 1]), field("required_readiness[1]"));
    let endless = wrong_terms(|t| t.required_readiness = vec![0; 1 << 20]);
    assert_eq!(endless.len(), MAX_VIOLATIONS + 1, "what is not shown is not written down");
    for days in [0, 367, 65_536 + 1] {
        let found = wrong_terms(|t| t.proposal_validity_days = Some(days));
        assert_eq!(found, field("proposal_validity_days"), "{days}");
    }
    for rate in ["", "5%", "-1", "+5", "1_0", "101", "0.00001", "five", "1e1", "5,5"] {
        let found = wrong_loan_terms(|t| t.rate_percent = rate.to_owned());
        assert_eq!(found, field("loan.rate_percent"), "{rate:?}");
    }
    let endless = wrong_loan_terms(|t| t.rate_percent = "0".repeat(4 << 20));
    assert_eq!(endless, field("loan.rate_percent"), "as long as a message may be");
    assert_eq!(wrong_loan_terms(|t| t.method = 0), field("loan.method"));
    assert_eq!(wrong_loan_terms(|t| t.method = 1), field("loan.method"), "a rate without a method");
    assert_eq!(wrong_loan_terms(|t| t.tenor_months = 0), field("loan.tenor_months"));
    assert_eq!(wrong_loan_terms(|t| t.tenor_months = 65_537), field("loan.tenor_months"));
    assert_eq!(wrong_loan_terms(|t| t.grace_months = 36), field("loan.grace_months"));
    for order in [vec![1, 2], vec![1, 2, 2], vec![1, 2, 4], vec![1, 2, 3, 1]] {
        let found = wrong_loan_terms(|t| t.repayment_order.clone_from(&order));
        assert_eq!(found, field("loan.repayment_order"), "{order:?}");
    }
}

#[test]
fn a_wrong_term_says_its_name_once() {
    let mut open = open_fund();
    let loan = open.terms.as_mut().unwrap().loan.as_mut().unwrap();
    loan.grace_months = loan.tenor_months;
    let command = pb::Command { kind: Some(Kind::OpenFund(open)) };
    let refused = command_from_wire(kab(), Currency::Idr, command).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "open_fund.terms.loan.grace_months must be less than tenor_months"
    );
}

#[test]
fn a_ledger_is_opened_with_everything_stated() {
    let found = wrong(Kind::OpenLedger(pb::OpenLedger {
        region: "36.3".to_owned(),
        verifier_key: Some(String::new()),
        ..pb::OpenLedger::default()
    }));
    let field = |name: &str| format!("open_ledger.{name}");
    assert_eq!(
        found,
        [
            "origin",
            "verifier_key",
            "region",
            "currency_code",
            "utc_offset_minutes",
            "rules_version",
        ]
        .map(field)
    );
}

#[test]
fn a_key_of_the_log_is_one_of_its_kind_and_name() {
    let wrong_key = |key: String| wrong(Kind::RotateKey(pb::RotateKey { verifier_key: key }));
    let good = verifier_key("a.id/kab", [1; 32]).to_string();
    let rotate =
        |key| pb::Command { kind: Some(Kind::RotateKey(pb::RotateKey { verifier_key: key })) };
    assert!(command_from_wire(kab(), Currency::Idr, rotate(good.clone())).is_ok());
    let name = KeyName::new("a.id/kab").unwrap();
    let witness = CosignerKey::from_seed(name, &[1; 32]).unwrap();
    let other_id = good.replace("a.id/kab+", "a.id/kab2+");
    for key in [String::new(), "a.id/kab".to_owned(), other_id, witness.verifier().to_string()] {
        assert_eq!(wrong_key(key.clone()), ["rotate_key.verifier_key"], "{key}");
    }

    let open = |origin: &str| {
        wrong(Kind::OpenLedger(pb::OpenLedger {
            origin: origin.to_owned(),
            verifier_key: Some(good.clone()),
            currency_code: "IDR".to_owned(),
            utc_offset_minutes: Some(420),
            // What is wrong in any case, so that the rest shows.
            rules_version: 0,
            ..pb::OpenLedger::default()
        }))
    };
    assert_eq!(open("a.id/kab"), ["open_ledger.rules_version"]);
    assert_eq!(open("a.id/kota"), ["open_ledger.verifier_key", "open_ledger.rules_version"]);
}

#[test]
fn a_command_of_no_kind_is_refused() {
    let found = command_from_wire(kab(), Currency::Idr, pb::Command { kind: None }).map_err(fields);
    assert_eq!(found, Err(vec![String::new()]));
}

proptest! {
    #[test]
    fn every_command_comes_back_from_the_wire(command in command()) {
        let ledger = match &command {
            Command::OpenLedger(c) => c.ledger,
            _ => kab(),
        };
        let message = command_to_wire(&command).unwrap();
        prop_assert_eq!(command_from_wire(ledger, Currency::Idr, message), Ok(command));
    }
}
