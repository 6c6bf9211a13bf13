//! What a load needs before it begins: a ledger with a fund, and accounts with loans.

use bergulir_domain::Date;
use bergulir_domain::money::MAX_AMOUNT_MINOR;
use bergulir_proto::pb::command::Kind;
use bergulir_proto::{date_to_wire, money_to_wire, pb};
use time::{Duration, OffsetDateTime};

use crate::parse::CURRENCY;

/// The only fund of a load.
pub(crate) const FUND: &str = "bench";
/// A loan is named after its account.
pub(crate) const LOAN_PREFIX: &str = "l-";
pub(crate) const BANK: &str = "BENCH";
/// The first tranche of every loan was so many days ago.
const FIRST_TRANCHE_DAYS_AGO: i64 = 20;
/// Value dates lie within so many days from the first tranche on.
pub(crate) const VALUE_DAYS: u64 = 10;
/// A tranche is Rp1,000 to Rp1,499, with sen.
pub(crate) const SMALLEST_TRANCHE_MINOR: u64 = 100_000;
pub(crate) const LARGEST_TRANCHE_MINOR: u64 = 149_999;
/// Villages of a made-up district, and districts of a made-up regency.
const VILLAGES: usize = 1_000;
const DISTRICTS: usize = 99;

/// How large the loans are, so that they last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many accounts, each with one loan.
    pub(crate) accounts: usize,
    /// The principal of each loan, in minor units.
    pub(crate) principal: u64,
    /// The day of the first tranche of each.
    pub(crate) first_day: Date,
}

impl Size {
    /// Room for at least so many events.
    pub(crate) fn for_events(events: u64, accounts: usize, now: OffsetDateTime) -> Size {
        let accounts_wide = accounts.max(1) as u64;
        // Every other event of an account is a tranche, and workers need not keep step.
        let tranches = events / accounts_wide + 16;
        let wanted = tranches.saturating_mul(LARGEST_TRANCHE_MINOR);
        let most = MAX_AMOUNT_MINOR.unsigned_abs() / accounts_wide;
        Size {
            accounts,
            principal: wanted.min(most),
            first_day: now.date() - Duration::days(FIRST_TRANCHE_DAYS_AGO),
        }
    }

    /// What the fund needs, in minor units.
    pub(crate) fn total(&self) -> u64 {
        self.principal.saturating_mul(self.accounts as u64)
    }

    /// Year, month and day of so many days after the first tranche.
    pub(crate) fn day(&self, days: u64) -> (u16, u8, u8) {
        let days = i64::try_from(days).unwrap_or(0);
        let date = self.first_day + Duration::days(days);
        (u16::try_from(date.year()).unwrap_or(0), date.month().into(), date.day())
    }
}

fn idr(minor: u64) -> pb::Money {
    money_to_wire(i64::try_from(minor).unwrap_or(i64::MAX), CURRENCY)
}

fn bank(reference: String) -> pb::BankReference {
    pb::BankReference { bank: BANK.to_owned(), reference, line: None }
}

fn loan(account: usize) -> String {
    format!("{LOAN_PREFIX}{account}")
}

/// The ledger of a load.
pub(crate) fn open_ledger(ledger: &str) -> pb::OpenLedger {
    pb::OpenLedger {
        origin: format!("bench.bergulir.example/{ledger}"),
        verifier_key: None,
        region: String::new(),
        currency_code: CURRENCY.code().to_owned(),
        utc_offset_minutes: Some(0),
        rules_version: 3,
    }
}

/// The fund of a load.
pub(crate) fn open_fund(size: &Size) -> pb::OpenFund {
    pb::OpenFund {
        fund: FUND.to_owned(),
        display_name: "Bench".to_owned(),
        opening_date: Some(date_to_wire(size.first_day)),
        terms: Some(pb::Terms {
            kind: pb::FundKind::Loan.into(),
            ceiling: Some(idr(size.principal)),
            required_readiness: Vec::new(),
            proposal_validity_days: None,
            disbursement_approval_above: None,
            loan: Some(pb::LoanTerms {
                rate_percent: "5".to_owned(),
                method: pb::InterestMethod::Flat.into(),
                tenor_months: 36,
                grace_months: 3,
                grace_bears_interest: false,
                repayment_order: Vec::new(),
                relend_income: false,
            }),
        }),
    }
}

/// The money of a load.
pub(crate) fn allocate(size: &Size) -> pb::AllocateFund {
    pb::AllocateFund {
        fund: FUND.to_owned(),
        amount: Some(idr(size.total())),
        source: pb::AllocationSource::Other.into(),
        reference: "BENCH".to_owned(),
        bank_reference: Some(bank("ALLOCATION".to_owned())),
        value_date: Some(date_to_wire(size.first_day)),
    }
}

/// Everything of an account up to its proposed loan.
pub(crate) fn open_account(account: usize, size: &Size) -> Vec<pb::Command> {
    let cooperative = format!("c-{account}");
    let name = format!("Koperasi {account}");
    let (district, village) = (account / VILLAGES, account % VILLAGES);
    let (regency, district) = (district / DISTRICTS + 1, district % DISTRICTS + 1);
    let officer = |office: pb::Office, officer: &str| {
        Kind::AppointOfficer(pb::AppointOfficer {
            cooperative: cooperative.clone(),
            office: office.into(),
            officer: officer.to_owned(),
            evidence: None,
        })
    };
    let kinds = [
        Kind::RegisterCooperative(pb::RegisterCooperative {
            cooperative: cooperative.clone(),
            village_code: format!("99.{regency:02}.{district:02}.{}", 2_000 + village),
            kind: pb::CooperativeKind::Kdmp.into(),
            registered_name: name.clone(),
            cooperative_number: None,
        }),
        officer(pb::Office::Chair, "chair"),
        officer(pb::Office::Treasurer, "treasurer"),
        Kind::OpenAccount(pb::OpenAccount {
            fund: FUND.to_owned(),
            account: format!("a-{account}"),
            cooperative: cooperative.clone(),
            bank_account: Some(pb::BankAccount {
                bank: BANK.to_owned(),
                number: format!("{account:010}"),
            }),
            holder: name,
        }),
        Kind::ProposeLoan(pb::ProposeLoan {
            fund: FUND.to_owned(),
            account: format!("a-{account}"),
            loan: loan(account),
            principal: Some(idr(size.principal)),
            contract_reference: format!("K-{account}"),
            chair: "chair".to_owned(),
            treasurer: "treasurer".to_owned(),
            expires_at: None,
        }),
    ];
    kinds.map(|kind| pb::Command { kind: Some(kind) }).into()
}

/// The approval of an account's loan.
pub(crate) fn approve_loan(account: usize) -> pb::Command {
    let approve = pb::ApproveLoan { loan: loan(account) };
    pb::Command { kind: Some(Kind::ApproveLoan(approve)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loans_of_any_load_fit_into_a_fund() {
        for (events, accounts) in [(1, 1), (10_000_000, 84_000), (u64::MAX, 84_000)] {
            let size = Size::for_events(events, accounts, OffsetDateTime::UNIX_EPOCH);
            assert!(size.principal > 0);
            assert!(size.total() <= MAX_AMOUNT_MINOR.unsigned_abs());
        }
    }

    #[test]
    fn value_dates_go_on_from_the_first_tranche() {
        let size = Size::for_events(1, 1, OffsetDateTime::UNIX_EPOCH);
        assert_eq!(size.day(0), (1_969, 12, 12));
        assert_eq!(size.day(9), (1_969, 12, 21));
    }
}
