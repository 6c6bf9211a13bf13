//! The commands of a small programme.

use bergulir_domain::command::{
    AllocateFund, AllocationSource, BankReference, OpenFund, OpenLedger,
};
use bergulir_domain::cooperative::ReadinessSet;
use bergulir_domain::ledger::{Origin, Region};
use bergulir_domain::money::{Currency, Rate};
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};
use bergulir_domain::text::Text;
use bergulir_domain::{Amount, Command, Date, UtcOffset};

pub fn text<const MAX: usize>(s: &str) -> Text<MAX> {
    Text::new(s).unwrap()
}

pub fn rp(rupiah: i64) -> Amount {
    Amount::from_minor(rupiah * 100).unwrap()
}

/// A day of January 2020, which lies in the past wherever this runs.
pub fn january(day: u8) -> Date {
    Date::from_calendar_date(2020, time::Month::January, day).unwrap()
}

pub fn open_ledger() -> Command {
    Command::OpenLedger(OpenLedger {
        ledger: "pilot".parse().unwrap(),
        origin: Origin::new("ledger.example.go.id/pilot").unwrap(),
        verifier_key: None,
        region: Region::NATION,
        currency: Currency::Idr,
        utc_offset: UtcOffset::JAKARTA,
        rules_version: 3,
    })
}

pub fn open_fund() -> Command {
    Command::OpenFund(OpenFund {
        fund: "f".parse().unwrap(),
        name: text("Dana Bergulir"),
        opening_date: january(2),
        terms: Terms {
            purpose: Purpose::Loan(LoanTerms {
                rate: Rate::from_units(50_000).unwrap(),
                method: InterestMethod::Flat,
                tenor_months: 36,
                grace_months: 3,
                grace_bears_interest: false,
                repayment_order: None,
                relend_income: false,
            }),
            ceiling: rp(3_000_000_000),
            required_readiness: ReadinessSet::EMPTY,
            proposal_validity_days: None,
            disbursement_approval_above: None,
        },
    })
}

pub fn allocate(rupiah: i64, reference: &str) -> Command {
    Command::AllocateFund(AllocateFund {
        fund: "f".parse().unwrap(),
        amount: rp(rupiah),
        source: AllocationSource::Apbd,
        reference: text("SK-1"),
        bank_reference: BankReference {
            bank: text("BANK"),
            reference: text(reference),
            line: None,
        },
        value_date: january(5),
    })
}
