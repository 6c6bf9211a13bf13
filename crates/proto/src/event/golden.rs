//! Events of rules versions 2 and 3, byte by byte, computed from docs/format.md by another program.

use bergulir_domain::event::{
    BankAccountChanged, DisbursementApproved, Paid, PeriodClosed, Proposed, Restructured,
    ReversalProposed, Undoes, WrittenOff,
};
use bergulir_domain::money::Rate;
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::text::Text;
use bergulir_domain::{Amount, Date, Event, Money, Position, Timestamp, command as c};

use crate::moment::date_from_days;
use crate::{decode_event, encode_event};

fn is_written_as(event: &Event, hexadecimal: &str) {
    let mut bytes = Vec::new();
    encode_event(event, &mut bytes);
    let digits = (0..hexadecimal.len()).step_by(2).map(|at| &hexadecimal[at..at + 2]);
    let stated: Vec<u8> = digits.map(|two| u8::from_str_radix(two, 16).unwrap()).collect();
    assert_eq!(bytes, stated);
    assert_eq!(decode_event(&bytes).as_ref(), Ok(event));
}

fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

fn amount(minor: i64) -> Amount {
    Amount::from_minor(minor).unwrap()
}

fn date(days: i32) -> Date {
    date_from_days(days).unwrap()
}

const AT: Timestamp = Timestamp::from_micros(1_781_000_000_000_000);

fn bank_reference() -> c::BankReference {
    c::BankReference { bank: text("BJB"), reference: text("TRF-9"), line: Some(1) }
}

#[test]
fn a_disbursement_that_waits() {
    let proposed =
        |command| Event::DisbursementProposed(Box::new(Proposed { command, expires_at: AT }));
    let payee = c::Payee::Loan("l1".parse().unwrap());
    let tranche =
        c::ProposeDisbursement { payee, amount: amount(7_000_000_000), expires_at: Some(AT) };
    is_written_as(
        &proposed(tranche),
        "fa011c0a026c3118808cee891a2080a0e182f6f994032880a0e182f6f99403",
    );
    let payee = c::Payee::Grant {
        fund: "hibah".parse().unwrap(),
        account: "a1".parse().unwrap(),
        reference: text("SK 9"),
    };
    let grant = c::ProposeDisbursement { payee, amount: amount(100), expires_at: None };
    is_written_as(
        &proposed(grant),
        "fa011e12110a056869626168120261311a04534b203918642880a0e182f6f99403",
    );
}

#[test]
fn a_disbursement_that_was_approved() {
    let command = c::ApproveDisbursement {
        proposal: Position::new(42),
        bank_reference: bank_reference(),
        value_date: date(20_622),
    };
    let (paid, amount) = (Paid::Loan("l1".parse().unwrap()), amount(7_000_000_000));
    is_written_as(
        &Event::DisbursementApproved(DisbursementApproved { command, paid, amount }),
        "7a22082a120e0a03424a4212055452462d391801189cc20222040a026c3128808cee891a",
    );
}

#[test]
fn terms_that_ask_for_a_second_person() {
    let terms = Terms {
        purpose: Purpose::Grant,
        ceiling: amount(100),
        required_readiness: [].into_iter().collect(),
        proposal_validity_days: None,
        disbursement_approval_above: Some(Money::from_minor(0).unwrap()),
    };
    let opened = c::OpenFund {
        fund: "hibah".parse().unwrap(),
        name: text("Hibah"),
        opening_date: date(20_455),
        terms,
    };
    is_written_as(
        &Event::FundOpened(Box::new(opened)),
        "92011a0a0568696261681205486962616818cebf022206080210643000",
    );
}

#[test]
fn a_bank_account_that_is_changed() {
    let bank_account = c::BankAccount { bank: text("BRI"), number: text("0777") };
    let command = c::ProposeBankAccountChange {
        fund: "dana".parse().unwrap(),
        account: "a1".parse().unwrap(),
        bank_account: bank_account.clone(),
        holder: text("Kop"),
        reason: text("pindah"),
        evidence: c::Evidence { reference: text("SK"), salted_digest: [9; 32] },
        expires_at: None,
    };
    is_written_as(
        &Event::BankAccountChangeProposed(Box::new(Proposed { command, expires_at: AT })),
        "8202550a0464616e61120261311a0b0a0342524912043037373722034b6f702a0670696e64616832260a02534b\
         122009090909090909090909090909090909090909090909090909090909090909094080a0e182f6f99403",
    );
    let changed = BankAccountChanged {
        command: c::ApproveBankAccountChange { proposal: Position::new(42) },
        fund: "dana".parse().unwrap(),
        account: "a1".parse().unwrap(),
        bank_account,
    };
    is_written_as(
        &Event::BankAccountChanged(Box::new(changed)),
        "8a0219082a120464616e611a026131220b0a03425249120430373737",
    );
}

#[test]
fn a_period_that_is_closed() {
    let command = c::ProposePeriodClose {
        fund: "dana".parse().unwrap(),
        through: date(20_453),
        reference: text("LAP 12/2025"),
        expires_at: None,
    };
    is_written_as(
        &Event::PeriodCloseProposed(Box::new(Proposed { command, expires_at: AT })),
        "9202200a0464616e6110cabf021a0b4c41502031322f323032352880a0e182f6f99403",
    );
    let command = c::ApprovePeriodClose { proposal: Position::new(42) };
    let fund = "dana".parse().unwrap();
    is_written_as(
        &Event::PeriodClosed(PeriodClosed { command, fund, through: date(20_453) }),
        "9a020c082a120464616e6118cabf02",
    );
}

#[test]
fn a_write_off() {
    let propose = |kind, minor, expires_at| {
        let command = c::ProposeWriteOff {
            loan: "l1".parse().unwrap(),
            amount: amount(minor),
            kind,
            reason: text("bubar"),
            evidence: c::Evidence { reference: text("SK 7"), salted_digest: [9; 32] },
            expires_at,
        };
        Event::WriteOffProposed(Box::new(Proposed { command, expires_at: AT }))
    };
    is_written_as(
        &propose(c::WriteOffKind::Conditional, 4_000_000_000, None),
        "a202460a026c311080d0acf30e1801220562756261722a280a04534b203712200909090909090909090909090909\
         0909090909090909090909090909090909093880a0e182f6f99403",
    );
    is_written_as(
        &propose(c::WriteOffKind::Absolute, 100, Some(AT)),
        "a2024b0a026c3110641802220562756261722a280a04534b20371220090909090909090909090909090909090909\
         09090909090909090909090909093080a0e182f6f994033880a0e182f6f99403",
    );
    let written_off = |kind, minor, principal| {
        Event::WrittenOff(WrittenOff {
            command: c::ApproveWriteOff { proposal: Position::new(42), value_date: date(20_622) },
            loan: "l1".parse().unwrap(),
            kind,
            amount: amount(minor),
            principal: Money::from_minor(principal).unwrap(),
        })
    };
    is_written_as(
        &written_off(c::WriteOffKind::Conditional, 4_000_000_000, 4_000_000_000),
        "aa0218082a109cc2021a026c312080d0acf30e28013080d0acf30e",
    );
    is_written_as(
        &written_off(c::WriteOffKind::Absolute, 1_500, 0),
        "aa020f082a109cc2021a026c3120dc0b2802",
    );
}

#[test]
fn what_comes_back_of_a_write_off() {
    let recovered = c::RecordRecovery {
        loan: "l1".parse().unwrap(),
        amount: amount(2_500_000_000),
        bank_reference: bank_reference(),
        value_date: date(20_622),
    };
    is_written_as(
        &Event::Recovered(recovered),
        "b2021e0a026c311080f28ba8091a0e0a03424a4212055452462d391801209cc202",
    );
}

#[test]
fn reversals_of_both() {
    let reverse = |at, undoes| {
        let command = c::ProposeReversal {
            reverses: Position::new(at),
            reason: text("salah"),
            evidence: None,
            expires_at: None,
        };
        Event::ReversalProposed(Box::new(ReversalProposed { command, expires_at: AT, undoes }))
    };
    let loan = "l1".parse().unwrap();
    let (kind, principal) = (c::WriteOffKind::Absolute, Money::from_minor(500).unwrap());
    is_written_as(
        &reverse(7, Undoes::WriteOff { loan, kind, amount: amount(1_500), principal }),
        "5a220807120573616c61682880a0e182f6f99403320e320c0a026c31100218dc0b20f403",
    );
    is_written_as(
        &reverse(8, Undoes::Recovery { loan, amount: amount(2_500) }),
        "5a1d0808120573616c61682880a0e182f6f9940332093a070a026c3110c413",
    );
}

#[test]
fn a_loan_that_gets_new_terms() {
    let terms = LoanTerms {
        rate: Rate::from_units(40_000).unwrap(),
        method: InterestMethod::Declining,
        tenor_months: 48,
        grace_months: 6,
        grace_bears_interest: false,
        repayment_order: None,
        relend_income: false,
    };
    let (loan, effective_from) = ("l1".parse().unwrap(), date(20_622));
    let command = c::ProposeRestructuring {
        loan,
        effective_from,
        terms,
        addendum_reference: text("ADD 1"),
        reason: text("gagal panen"),
        evidence: c::Evidence { reference: text("SK 7"), salted_digest: [9; 32] },
        expires_at: None,
    };
    is_written_as(
        &Event::RestructuringProposed(Box::new(Proposed { command, expires_at: AT })),
        "ba025b0a026c31109cc2021a0a08c0b802100318302006220541444420312a0b676167616c2070616e656e32280a\
         04534b2037122009090909090909090909090909090909090909090909090909090909090909094080a0e182f6f9\
         9403",
    );
    let command = c::ApproveRestructuring { proposal: Position::new(42) };
    is_written_as(
        &Event::Restructured(Restructured { command, loan, effective_from, terms }),
        "c20216082a12026c31189cc202220a08c0b802100318302006",
    );
}
