//! Commands of the pilot. Numbers tie names together: loan `l1` belongs to account `a1` of
//! cooperative `c1`, whose officers are `chair-1` and `treasurer-1`.

use std::fmt::Debug;
use std::str::FromStr;

use bergulir_chain::note::{KeyName, SignerKey};
use bergulir_domain::command::{
    self as c, AllocationSource, BankAccount, BankReference, Command, Evidence,
};
use bergulir_domain::cooperative::{CooperativeKind, Office, ReadinessItem};
use bergulir_domain::event::Repaid;
use bergulir_domain::ledger::Origin;
use bergulir_domain::money::{Currency, Rate};
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::text::Text;
use bergulir_domain::{Amount, Date, Event, Money, Position, UtcOffset};

pub(crate) fn id<T: FromStr<Err: Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub(crate) fn text<const MAX: usize>(text: &str) -> Text<MAX> {
    Text::new(text).unwrap()
}

pub(crate) fn rp(rupiah: i64) -> Amount {
    Amount::from_minor(rupiah * 100).unwrap()
}

/// So many days after 2026-03-02, which is where the tests begin.
pub(crate) fn day(days: i32) -> Date {
    Date::from_julian_day(2_461_102 + days).unwrap()
}

pub(crate) fn bank(reference: &str) -> BankReference {
    BankReference { bank: text("BPD"), reference: text(reference), line: None }
}

/// The name of a log everywhere.
pub(crate) fn origin(ledger: &str) -> String {
    format!("ledger.example.go.id/{ledger}")
}

/// The key that a ledger is opened with.
pub(crate) fn key(ledger: &str) -> SignerKey {
    SignerKey::from_seed(KeyName::new(&origin(ledger)).unwrap(), &[7; 32]).unwrap()
}

pub(crate) fn open_ledger(ledger: &str) -> Command {
    Command::OpenLedger(c::OpenLedger {
        ledger: id(ledger),
        origin: Origin::new(&origin(ledger)).unwrap(),
        verifier_key: Some(text(&key(ledger).verifier().to_string())),
        region: id("36.03"),
        currency: Currency::Idr,
        utc_offset: UtcOffset::JAKARTA,
        rules_version: 1,
    })
}

pub(crate) fn open_fund(fund: &str) -> Command {
    let terms = LoanTerms {
        rate: Rate::from_units(50_000).unwrap(),
        method: InterestMethod::Flat,
        tenor_months: 36,
        grace_months: 3,
        grace_bears_interest: false,
        repayment_order: None,
        relend_income: false,
    };
    open_fund_for(fund, Purpose::Loan(terms))
}

pub(crate) fn open_fund_for(fund: &str, purpose: Purpose) -> Command {
    Command::OpenFund(c::OpenFund {
        fund: id(fund),
        name: text("Dana Bergulir"),
        opening_date: day(-60),
        terms: Terms {
            purpose,
            ceiling: rp(3_000_000_000),
            required_readiness: [ReadinessItem::BankAccount].into_iter().collect(),
            proposal_validity_days: Some(14),
            disbursement_approval_above: None,
        },
    })
}

pub(crate) fn allocate(fund: &str, amount: Amount, reference: &str) -> Command {
    Command::AllocateFund(c::AllocateFund {
        fund: id(fund),
        amount,
        source: AllocationSource::Apbd,
        reference: text("DPA 2026"),
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

fn name(number: u32) -> String {
    format!("Koperasi Desa Merah Putih {number}")
}

pub(crate) fn register(number: u32) -> Command {
    Command::RegisterCooperative(c::RegisterCooperative {
        cooperative: id(&format!("c{number}")),
        village: id(&format!("36.03.{:02}.2{:03}", number / 1000, number % 1000)),
        kind: CooperativeKind::Kdmp,
        name: text(&name(number)),
        cooperative_number: None,
    })
}

pub(crate) fn appoint(number: u32, office: Office) -> Command {
    let officer = match office {
        Office::Chair => format!("chair-{number}"),
        Office::Treasurer => format!("treasurer-{number}"),
    };
    Command::AppointOfficer(c::AppointOfficer {
        cooperative: id(&format!("c{number}")),
        office,
        officer: id(&officer),
        evidence: None,
    })
}

pub(crate) fn confirm(number: u32) -> Command {
    Command::ConfirmReadiness(c::ConfirmReadiness {
        cooperative: id(&format!("c{number}")),
        item: ReadinessItem::BankAccount,
        number: None,
        evidence: Evidence { reference: text("doc/1"), salted_digest: [7; 32] },
    })
}

pub(crate) fn open_account(fund: &str, number: u32) -> Command {
    Command::OpenAccount(c::OpenAccount {
        fund: id(fund),
        account: id(&format!("a{number}")),
        cooperative: id(&format!("c{number}")),
        bank_account: BankAccount { bank: text("BPD"), number: text(&format!("000{number}")) },
        holder: text(&name(number)),
    })
}

pub(crate) fn suspend(number: u32) -> Command {
    Command::SuspendAccount(c::SuspendAccount {
        fund: id("pilot"),
        account: id(&format!("a{number}")),
        reason: text("inspection"),
    })
}

pub(crate) fn propose_loan(loan: &str, number: u32, principal: Amount) -> Command {
    Command::ProposeLoan(c::ProposeLoan {
        fund: id("pilot"),
        account: id(&format!("a{number}")),
        loan: id(loan),
        principal,
        contract_reference: text("SPK 1"),
        chair: id(&format!("chair-{number}")),
        treasurer: id(&format!("treasurer-{number}")),
        expires_at: None,
    })
}

pub(crate) fn approve_loan(loan: &str) -> Command {
    Command::ApproveLoan(c::ApproveLoan { loan: id(loan) })
}

pub(crate) fn disburse(loan: &str, amount: Amount, reference: &str) -> Command {
    Command::Disburse(c::Disburse {
        loan: id(loan),
        amount,
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

pub(crate) fn grant(fund: &str, number: u32, amount: Amount, reference: &str) -> Command {
    Command::DisburseGrant(c::DisburseGrant {
        fund: id(fund),
        account: id(&format!("a{number}")),
        amount,
        reference: text("SK 9"),
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

pub(crate) fn bring_back(disbursement: Position, reference: &str) -> Command {
    Command::ReturnDisbursement(c::ReturnDisbursement {
        disbursement,
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

/// A payment of that principal, interest and late fee, in rupiah.
pub(crate) fn repay(loan: &str, parts: [i64; 3], reference: &str) -> Command {
    let part = |rupiah| (rupiah > 0).then(|| Money::from_minor(rupiah * 100).unwrap());
    let [principal, interest, late_fee] = parts.map(part);
    Command::Repay(c::Repay {
        loan: id(loan),
        amount: rp(parts.iter().sum()),
        principal,
        interest,
        late_fee,
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

pub(crate) fn propose_reversal(reverses: Position) -> Command {
    Command::ProposeReversal(c::ProposeReversal {
        reverses,
        reason: text("wrong"),
        evidence: None,
        expires_at: None,
    })
}

pub(crate) fn approve_reversal(proposal: Position) -> Command {
    Command::ApproveReversal(c::ApproveReversal { proposal })
}

pub(crate) fn propose_withdrawal(allocation: Position, amount: Amount) -> Command {
    Command::ProposeAllocationWithdrawal(c::ProposeAllocationWithdrawal {
        fund: id("pilot"),
        allocation,
        amount,
        reason: text("refocusing"),
        expires_at: None,
    })
}

pub(crate) fn approve_withdrawal(proposal: Position, reference: &str) -> Command {
    Command::ApproveAllocationWithdrawal(c::ApproveAllocationWithdrawal {
        proposal,
        bank_reference: bank(reference),
        value_date: day(0),
    })
}

/// The event that a command becomes, whatever the rules say: for those that a forger wants.
pub(crate) fn event(command: Command) -> Event {
    match command {
        Command::Disburse(c) => Event::Disbursed(c),
        Command::Repay(command) => Event::Repaid(Repaid { command, relend_income: false }),
        Command::OpenAccount(c) => Event::AccountOpened(c),
        Command::RegisterCooperative(c) => Event::CooperativeRegistered(c.into()),
        Command::ConfirmReadiness(c) => Event::ReadinessConfirmed(c),
        Command::RecordRecovery(c) => Event::Recovered(c),
        other => panic!("not needed: {other:?}"),
    }
}
