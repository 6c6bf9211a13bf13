//! Commands as the tests write them: what matters is an argument, the rest has a default that
//! struct update syntax can replace.
//!
//! Numbers tie the names together: loan `l1` (or `l1b`) belongs to account `a1` of cooperative
//! `c1`, whose officers are `chair-1` and `treasurer-1`.

use bergulir_domain::command::{self as c, AllocationSource, BankAccount, BankReference, Evidence};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem, ReadinessSet};
use bergulir_domain::ledger::Origin;
use bergulir_domain::money::{Currency, Rate};
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::text::{Text, VerifierKey};
use bergulir_domain::{Amount, Date, Money, Position, UtcOffset};
use std::fmt::Debug;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

/// The day on which the tests begin, and the value date where none is said.
pub(crate) const TODAY: &str = "2026-03-02";
/// The day on which every fund opened.
pub(crate) const OPENING: &str = "2026-01-01";

pub(crate) fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().expect("a well-formed id")
}

pub(crate) fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).expect("a well-formed text")
}

pub(crate) fn rp(rupiah: i64) -> Amount {
    Amount::from_minor(rupiah * 100).expect("an amount")
}

pub(crate) fn part(rupiah: i64) -> Money {
    Money::from_minor(rupiah * 100).expect("a part of a payment")
}

pub(crate) fn day(text: &str) -> Date {
    let mut numbers = text.split('-').map(|n| n.parse::<u16>().expect("digits"));
    let mut next = || numbers.next().expect("a date such as 2026-03-02");
    let (year, month, day) = (next(), next(), next());
    let month = time::Month::try_from(u8::try_from(month).expect("a month")).expect("a month");
    let day = u8::try_from(day).expect("a day");
    Date::from_calendar_date(i32::from(year), month, day).expect("a date")
}

/// The digits of a name such as `l1b`.
fn number(name: &str) -> String {
    name.chars().filter(char::is_ascii_digit).collect()
}

pub(crate) fn bank(reference: &str) -> BankReference {
    BankReference { bank: text("BPD"), reference: text(reference), line: None }
}

/// A bank reference that no other command of this process has.
pub(crate) fn fresh() -> BankReference {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    bank(&format!("TRX-{}", NEXT.fetch_add(1, Ordering::Relaxed)))
}

pub(crate) fn evidence() -> Evidence {
    Evidence { reference: text("doc/1"), salted_digest: [7; 32] }
}

/// The origin of the ledger.
pub(crate) const ORIGIN: &str = "ledger.example.go.id/tangerang";

/// A verifier key of that name, each number another.
pub(crate) fn verifier_key(name: &str, number: u8) -> VerifierKey {
    text(&format!("{name}+0000000{}+AQ==", number % 10))
}

pub(crate) fn rotate_key(name: &str, number: u8) -> c::RotateKey {
    c::RotateKey { verifier_key: verifier_key(name, number) }
}

/// Goes on from one origin under another, and knows of no checkpoint.
pub(crate) fn continue_as(from: &str, origin: &str, number: u8) -> c::ContinueLedger {
    c::ContinueLedger {
        ledger: id("tangerang-2"),
        origin: Origin::new(origin).expect("an origin"),
        verifier_key: verifier_key(origin, number),
        from_origin: Origin::new(from).expect("an origin"),
        last_known: None,
    }
}

pub(crate) fn open_ledger() -> c::OpenLedger {
    c::OpenLedger {
        ledger: id("tangerang"),
        origin: Origin::new(ORIGIN).expect("an origin"),
        verifier_key: None,
        region: id("36.03"),
        currency: Currency::Idr,
        utc_offset: UtcOffset::JAKARTA,
        rules_version: 3,
    }
}

pub(crate) fn loan_terms() -> LoanTerms {
    LoanTerms {
        rate: Rate::from_units(50_000).expect("5 %"),
        method: InterestMethod::Flat,
        tenor_months: 36,
        grace_months: 3,
        grace_bears_interest: false,
        repayment_order: None,
        relend_income: false,
    }
}

/// The pilot's terms: 5 % a year, 36 months with 3 of grace, at most Rp3,000,000,000 each.
pub(crate) fn terms() -> Terms {
    Terms {
        purpose: Purpose::Loan(loan_terms()),
        ceiling: rp(3_000_000_000),
        required_readiness: [ReadinessItem::BusinessNumber, ReadinessItem::BankAccount]
            .into_iter()
            .collect(),
        proposal_validity_days: Some(14),
        disbursement_approval_above: None,
    }
}

pub(crate) fn grant_terms() -> Terms {
    Terms {
        purpose: Purpose::Grant,
        ceiling: rp(100_000_000),
        required_readiness: ReadinessSet::EMPTY,
        proposal_validity_days: None,
        disbursement_approval_above: None,
    }
}

pub(crate) fn open_fund(fund: &str, terms: Terms) -> c::OpenFund {
    c::OpenFund { fund: id(fund), name: text("Dana Bergulir"), opening_date: day(OPENING), terms }
}

pub(crate) fn change_terms(from: &str, terms: Terms) -> c::ChangeTerms {
    c::ChangeTerms {
        fund: id("pilot"),
        effective_from: day(from),
        terms,
        reference: text("Perbup 12/2026"),
    }
}

pub(crate) fn allocate(fund: &str, amount: Amount) -> c::AllocateFund {
    c::AllocateFund {
        fund: id(fund),
        amount,
        source: AllocationSource::Apbd,
        reference: text("DPA 2026"),
        bank_reference: fresh(),
        value_date: day(TODAY),
    }
}

pub(crate) fn propose_withdrawal(
    amount: Amount,
) -> impl Fn(Position) -> c::ProposeAllocationWithdrawal {
    move |allocation| c::ProposeAllocationWithdrawal {
        fund: id("pilot"),
        allocation,
        amount,
        reason: text("refocusing"),
        expires_at: None,
    }
}

pub(crate) fn approve_withdrawal(proposal: Position) -> c::ApproveAllocationWithdrawal {
    c::ApproveAllocationWithdrawal { proposal, bank_reference: fresh(), value_date: day(TODAY) }
}

pub(crate) fn propose_close(through: &str) -> c::ProposePeriodClose {
    c::ProposePeriodClose {
        fund: id("pilot"),
        through: day(through),
        reference: text("LAP 12/2026"),
        expires_at: None,
    }
}

pub(crate) fn approve_close(proposal: Position) -> c::ApprovePeriodClose {
    c::ApprovePeriodClose { proposal }
}

pub(crate) fn register(cooperative: &str) -> c::RegisterCooperative {
    let number: u16 = number(cooperative).parse().expect("a number");
    c::RegisterCooperative {
        cooperative: id(cooperative),
        village: id(&format!("36.03.01.2{number:03}")),
        kind: CooperativeKind::Kdmp,
        name: text(&format!("Koperasi Desa Merah Putih {number}")),
        cooperative_number: None,
    }
}

pub(crate) fn appoint(cooperative: &str, office: Office, officer: &str) -> c::AppointOfficer {
    c::AppointOfficer { cooperative: id(cooperative), office, officer: id(officer), evidence: None }
}

pub(crate) fn confirm(cooperative: &str, item: ReadinessItem) -> c::ConfirmReadiness {
    c::ConfirmReadiness {
        cooperative: id(cooperative),
        item,
        number: match item {
            ReadinessItem::LegalEntity => Some(text("AHU-0001")),
            ReadinessItem::CooperativeNumber => Some(text("3603010001")),
            ReadinessItem::BusinessNumber => Some(text("0123456789012")),
            ReadinessItem::TaxNumber => Some(text("012345678901234")),
            ReadinessItem::BankAccount
            | ReadinessItem::BusinessPlan
            | ReadinessItem::OfficersTrained => None,
        },
        evidence: evidence(),
    }
}

pub(crate) fn open_account(account: &str) -> c::OpenAccount {
    let number = number(account);
    c::OpenAccount {
        fund: id("pilot"),
        account: id(account),
        cooperative: id(&format!("c{number}")),
        bank_account: BankAccount { bank: text("BPD"), number: text(&format!("000{number}")) },
        holder: text(&format!("Koperasi Desa Merah Putih {number}")),
    }
}

pub(crate) fn suspend(account: &str) -> c::SuspendAccount {
    c::SuspendAccount { fund: id("pilot"), account: id(account), reason: text("inspection") }
}

pub(crate) fn resume(account: &str) -> c::ResumeAccount {
    c::ResumeAccount { fund: id("pilot"), account: id(account), reason: text("inspection over") }
}

pub(crate) fn close(account: &str) -> c::CloseAccount {
    c::CloseAccount { fund: id("pilot"), account: id(account), reason: text("merged") }
}

pub(crate) fn bank_account(number: &str) -> BankAccount {
    BankAccount { bank: text("BPD"), number: text(number) }
}

pub(crate) fn propose_bank_account(account: &str, to: &str) -> c::ProposeBankAccountChange {
    c::ProposeBankAccountChange {
        fund: id("pilot"),
        account: id(account),
        bank_account: bank_account(to),
        holder: open_account(account).holder,
        reason: text("old one closed"),
        evidence: evidence(),
        expires_at: None,
    }
}

pub(crate) fn approve_bank_account(proposal: Position) -> c::ApproveBankAccountChange {
    c::ApproveBankAccountChange { proposal }
}

pub(crate) fn propose_loan(loan: &str, principal: Amount) -> c::ProposeLoan {
    let number = number(loan);
    c::ProposeLoan {
        fund: id("pilot"),
        account: id(&format!("a{number}")),
        loan: id(loan),
        principal,
        contract_reference: text("SPK 1"),
        chair: id(&format!("chair-{number}")),
        treasurer: id(&format!("treasurer-{number}")),
        expires_at: None,
    }
}

pub(crate) fn approve_loan(loan: &str) -> c::ApproveLoan {
    c::ApproveLoan { loan: id(loan) }
}

pub(crate) fn refuse_loan(loan: &str) -> c::RefuseLoan {
    c::RefuseLoan { loan: id(loan), reason: text("plan not convincing") }
}

pub(crate) fn withdraw_loan(loan: &str) -> c::WithdrawLoan {
    c::WithdrawLoan { loan: id(loan), reason: text("typed wrong") }
}

pub(crate) fn disburse(loan: &str, amount: Amount) -> c::Disburse {
    c::Disburse { loan: id(loan), amount, bank_reference: fresh(), value_date: day(TODAY) }
}

pub(crate) fn grant(account: &str, amount: Amount) -> c::DisburseGrant {
    c::DisburseGrant {
        fund: id("hibah"),
        account: id(account),
        amount,
        reference: text("SK 9"),
        bank_reference: fresh(),
        value_date: day(TODAY),
    }
}

pub(crate) fn propose_disbursement(loan: &str, amount: Amount) -> c::ProposeDisbursement {
    c::ProposeDisbursement { payee: c::Payee::Loan(id(loan)), amount, expires_at: None }
}

pub(crate) fn propose_grant(account: &str, amount: Amount) -> c::ProposeDisbursement {
    let (fund, account, reference) = (id("hibah"), id(account), text("SK 9"));
    let payee = c::Payee::Grant { fund, account, reference };
    c::ProposeDisbursement { payee, amount, expires_at: None }
}

pub(crate) fn approve_disbursement(proposal: Position) -> c::ApproveDisbursement {
    c::ApproveDisbursement { proposal, bank_reference: fresh(), value_date: day(TODAY) }
}

pub(crate) fn bring_back(disbursement: Position) -> c::ReturnDisbursement {
    c::ReturnDisbursement { disbursement, bank_reference: fresh(), value_date: day(TODAY) }
}

/// A payment of that principal, interest and late fee.
pub(crate) fn repay(loan: &str, parts: [i64; 3]) -> c::Repay {
    let [principal, interest, late_fee] = parts.map(|n| (n > 0).then(|| part(n)));
    c::Repay {
        loan: id(loan),
        amount: rp(parts.iter().sum()),
        principal,
        interest,
        late_fee,
        bank_reference: fresh(),
        value_date: day(TODAY),
    }
}

pub(crate) fn propose_write_off(loan: &str, amount: Amount) -> c::ProposeWriteOff {
    c::ProposeWriteOff {
        loan: id(loan),
        amount,
        kind: c::WriteOffKind::Conditional,
        reason: text("dissolved"),
        evidence: evidence(),
        expires_at: None,
    }
}

pub(crate) fn approve_write_off(proposal: Position) -> c::ApproveWriteOff {
    c::ApproveWriteOff { proposal, value_date: day(TODAY) }
}

pub(crate) fn recover(loan: &str, amount: Amount) -> c::RecordRecovery {
    c::RecordRecovery { loan: id(loan), amount, bank_reference: fresh(), value_date: day(TODAY) }
}

/// From today on 4 % on what is outstanding, over 48 months of which 6 are grace.
pub(crate) fn propose_restructuring(loan: &str) -> c::ProposeRestructuring {
    c::ProposeRestructuring {
        loan: id(loan),
        effective_from: day(TODAY),
        terms: new_loan_terms(),
        addendum_reference: text("ADD 1"),
        reason: text("harvest failed"),
        evidence: evidence(),
        expires_at: None,
    }
}

pub(crate) fn new_loan_terms() -> LoanTerms {
    LoanTerms {
        rate: Rate::from_units(40_000).expect("4 %"),
        method: InterestMethod::Declining,
        tenor_months: 48,
        grace_months: 6,
        ..loan_terms()
    }
}

pub(crate) fn approve_restructuring(proposal: Position) -> c::ApproveRestructuring {
    c::ApproveRestructuring { proposal }
}

pub(crate) fn propose_reversal(reverses: Position) -> c::ProposeReversal {
    c::ProposeReversal { reverses, reason: text("wrong"), evidence: None, expires_at: None }
}

pub(crate) fn approve_reversal(proposal: Position) -> c::ApproveReversal {
    c::ApproveReversal { proposal }
}

pub(crate) fn refuse_proposal(proposal: Position) -> c::RefuseProposal {
    c::RefuseProposal { proposal, reason: text("not shown") }
}

pub(crate) fn withdraw_proposal(proposal: Position) -> c::WithdrawProposal {
    c::WithdrawProposal { proposal, reason: text("typed wrong") }
}

pub(crate) fn seal(through: Position) -> c::Seal {
    c::Seal { through, balance_root: [1; 32], state_digest: [2; 32] }
}
