//! What a load is made of: accounts with loans, and an endless mix of disbursements and repayments
//! for a share of them. Everything is made from numbers, so that it costs little.

use bergulir_domain::Date;
use bergulir_domain::money::MAX_AMOUNT_MINOR;
use bergulir_proto::pb::command::Kind;
use bergulir_proto::{date_to_wire, money_to_wire, pb};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::parse::CURRENCY;

/// The only fund of a load.
pub(crate) const FUND: &str = "bench";
const BANK: &str = "BENCH";
/// The first tranche of every loan was so many days ago.
const FIRST_TRANCHE_DAYS_AGO: i64 = 20;
/// Value dates lie within so many days from the first tranche on.
const VALUE_DAYS: u64 = 10;
/// A tranche is Rp1,000 to Rp1,499, with sen.
const SMALLEST_TRANCHE_MINOR: i64 = 100_000;
const LARGEST_TRANCHE_MINOR: i64 = 149_999;
/// Villages of a made-up district, and districts of a made-up regency.
const VILLAGES: usize = 1_000;
const DISTRICTS: usize = 99;

/// Of a thousand commands so many are sent twice, and so many break a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shares {
    pub(crate) retries: u64,
    pub(crate) refusals: u64,
}

/// How large the loans are, so that they last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Size {
    /// How many accounts, each with one loan.
    pub(crate) accounts: usize,
    /// The principal of each loan, in minor units.
    pub(crate) principal: i64,
    /// The day of the first tranche of each.
    pub(crate) first_day: Date,
}

impl Size {
    /// Room for at least so many events.
    pub(crate) fn for_events(events: u64, accounts: usize, now: OffsetDateTime) -> Size {
        let accounts_wide = accounts.max(1) as u64;
        // Every other event of an account is a tranche, and workers need not keep step.
        let tranches = events / accounts_wide + 16;
        let wanted = tranches.saturating_mul(LARGEST_TRANCHE_MINOR.unsigned_abs());
        let most = MAX_AMOUNT_MINOR.unsigned_abs() / accounts_wide;
        Size {
            accounts,
            principal: i64::try_from(wanted.min(most)).unwrap_or(MAX_AMOUNT_MINOR),
            first_day: now.date() - Duration::days(FIRST_TRANCHE_DAYS_AGO),
        }
    }

    /// What the fund needs, in minor units.
    pub(crate) fn total(&self) -> i64 {
        let accounts = i64::try_from(self.accounts).unwrap_or(i64::MAX);
        self.principal.saturating_mul(accounts).min(MAX_AMOUNT_MINOR)
    }

    fn day(&self, days: u64) -> pb::Date {
        let days = i64::try_from(days).unwrap_or(0);
        date_to_wire(self.first_day + Duration::days(days))
    }
}

fn idr(minor: i64) -> pb::Money {
    money_to_wire(minor, CURRENCY)
}

fn bank(reference: String) -> pb::BankReference {
    pb::BankReference { bank: BANK.to_owned(), reference, line: None }
}

fn loan(account: usize) -> String {
    format!("l-{account}")
}

/// The ledger of a load.
pub(crate) fn open_ledger(ledger: &str) -> pb::OpenLedger {
    pb::OpenLedger {
        origin: format!("bench.bergulir.example/{ledger}"),
        verifier_key: None,
        region: String::new(),
        currency_code: CURRENCY.code().to_owned(),
        utc_offset_minutes: Some(0),
        rules_version: 1,
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
        value_date: Some(size.day(0)),
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

/// What a command of the mix must lead to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Expected {
    /// A new record.
    New(Money),
    /// The receipt that was given before.
    Duplicate,
    /// A refusal.
    Refused,
}

/// What a command moves, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Money {
    pub(crate) disbursed: i64,
    pub(crate) principal: i64,
    pub(crate) interest: i64,
}

impl Money {
    pub(crate) fn add(&mut self, other: Money) {
        self.disbursed += other.disbursed;
        self.principal += other.principal;
        self.interest += other.interest;
    }
}

/// An endless mix for every `step`th account from `first` on.
#[derive(Debug, Clone)]
pub(crate) struct Mix {
    size: Size,
    shares: Shares,
    first: usize,
    step: usize,
    account: usize,
    round: u64,
    made: u64,
    tranche: i64,
    last: Option<pb::BatchItem>,
}

impl Mix {
    pub(crate) fn new(size: Size, shares: Shares, first: usize, step: usize) -> Mix {
        Mix {
            size,
            shares,
            first,
            step,
            account: first,
            round: 0,
            // Staggered, so that a short load of many workers has its share of both too.
            made: (first * 1_000 / step.max(1)) as u64,
            tranche: SMALLEST_TRANCHE_MINOR,
            last: None,
        }
    }

    /// The next command, and what it must lead to.
    pub(crate) fn command(&mut self) -> (pb::BatchItem, Expected) {
        self.made += 1;
        let turn = self.made % 1_000;
        if turn < self.shares.retries
            && let Some(last) = &self.last
        {
            return (last.clone(), Expected::Duplicate);
        }
        if turn >= 1_000 - self.shares.refusals {
            return (self.too_much(), Expected::Refused);
        }
        let (kind, money) =
            if self.round.is_multiple_of(2) { self.disburse() } else { self.repay() };
        self.account += self.step;
        if self.account >= self.size.accounts {
            self.account = self.first;
            self.round += 1;
        }
        let item = item(kind);
        if self.shares.retries > 0 && turn + self.shares.refusals + 1 == 1_000 {
            self.last = Some(item.clone());
        }
        (item, Expected::New(money))
    }

    fn reference(&self) -> pb::BankReference {
        bank(format!("{}-{}", self.first, self.made))
    }

    fn value_date(&self) -> pb::Date {
        // The first tranche is the earliest.
        self.size.day(self.round / 2 % VALUE_DAYS)
    }

    fn disburse(&mut self) -> (Kind, Money) {
        let span = LARGEST_TRANCHE_MINOR - SMALLEST_TRANCHE_MINOR + 1;
        self.tranche = SMALLEST_TRANCHE_MINOR + i64::try_from(self.made).unwrap_or(0) % span;
        let kind = Kind::Disburse(pb::Disburse {
            loan: loan(self.account),
            amount: Some(idr(self.tranche)),
            bank_reference: Some(self.reference()),
            value_date: Some(self.value_date()),
        });
        let money = Money { disbursed: self.tranche, ..Money::default() };
        (kind, money)
    }

    /// Half of the smallest tranche at the most, so that it is owed whichever tranche came before.
    fn repay(&mut self) -> (Kind, Money) {
        let varied = i64::try_from(self.made % 1_000).unwrap_or(0);
        let principal = SMALLEST_TRANCHE_MINOR / 2 - varied;
        let interest = 100 + varied;
        let kind = Kind::Repay(pb::Repay {
            loan: loan(self.account),
            amount: Some(idr(principal + interest)),
            principal: Some(idr(principal)),
            interest: Some(idr(interest)),
            late_fee: None,
            bank_reference: Some(self.reference()),
            value_date: Some(self.value_date()),
        });
        let money = Money { principal, interest, ..Money::default() };
        (kind, money)
    }

    /// More than the whole loan.
    fn too_much(&self) -> pb::BatchItem {
        item(Kind::Disburse(pb::Disburse {
            loan: loan(self.account),
            amount: Some(idr(self.size.principal.saturating_add(1).min(MAX_AMOUNT_MINOR))),
            bank_reference: Some(self.reference()),
            value_date: Some(self.size.day(VALUE_DAYS)),
        }))
    }
}

fn item(kind: Kind) -> pb::BatchItem {
    pb::BatchItem {
        request_id: Uuid::now_v7().to_string(),
        command: Some(pb::Command { kind: Some(kind) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(accounts: usize) -> Size {
        Size::for_events(10_000, accounts, OffsetDateTime::UNIX_EPOCH)
    }

    #[test]
    fn a_mix_stays_on_its_own_accounts_and_within_every_loan() {
        let size = size(7);
        let shares = Shares { retries: 0, refusals: 0 };
        let mut mix = Mix::new(size, shares, 1, 3);
        let mut owed = [0_i64; 7];
        let mut paid_out = [0_i64; 7];
        for _ in 0..10_000 {
            let (item, expected) = mix.command();
            let Expected::New(money) = expected else {
                panic!("{expected:?}");
            };
            let loan = match item.command.unwrap().kind.unwrap() {
                Kind::Disburse(disburse) => disburse.loan,
                Kind::Repay(repay) => repay.loan,
                other => panic!("{other:?}"),
            };
            let account: usize = loan[2..].parse().unwrap();
            assert!([1, 4].contains(&account));
            owed[account] += money.disbursed - money.principal;
            paid_out[account] += money.disbursed;
            assert!(owed[account] >= 0);
        }
        assert!(size.total() <= MAX_AMOUNT_MINOR);
        assert!(Size::for_events(u64::MAX, 84_000, OffsetDateTime::UNIX_EPOCH).total() > 0);
        assert!(paid_out.iter().all(|paid| *paid <= size.principal * 4));
    }

    #[test]
    fn a_share_of_the_mix_is_sent_twice_or_refused() {
        let shares = Shares { retries: 5, refusals: 7 };
        let mut mix = Mix::new(size(3), shares, 0, 1);
        let mut ids = std::collections::BTreeSet::new();
        let (mut new, mut duplicates, mut refused) = (0, 0, 0);
        for _ in 0..10_000 {
            let (item, expected) = mix.command();
            let fresh = ids.insert(item.request_id);
            match expected {
                Expected::New(_) => new += 1,
                Expected::Duplicate => {
                    duplicates += 1;
                    assert!(!fresh);
                }
                Expected::Refused => refused += 1,
            }
        }
        assert_eq!(refused, 70);
        assert!((40..=50).contains(&duplicates), "{duplicates}");
        assert_eq!(new + duplicates + refused, 10_000);
    }
}
