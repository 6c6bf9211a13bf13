//! What the demonstration asks the server to do: the commands of the whole programme.

use bergulir_domain::{Amount, Date};
use bergulir_proto::pb::command::Kind;
use bergulir_proto::{WireEnum as _, date_to_wire, money_to_wire, pb};
use sha2::{Digest as _, Sha256};
use time::{Month, OffsetDateTime, UtcOffset};
use uuid::Uuid;

use super::roster::{Cooperative, Roster};
use crate::parse::CURRENCY;

/// The only fund of the demonstration.
pub(crate) const FUND: &str = "dana-bergulir";
/// The bank of the demonstration.
const BANK: &str = "BANK-CONTOH";
/// Rp100,000,000.
pub(crate) const LOAN_MINOR: i64 = 10_000_000_000;
/// Rp3,000,000,000.
const CEILING_MINOR: i64 = 300_000_000_000;
/// Rp3,030,303: the principal of one of 33 instalments.
pub(crate) const PRINCIPAL_MINOR: i64 = 303_030_300;
/// Rp454,545: the interest of one of 33 instalments.
pub(crate) const INTEREST_MINOR: i64 = 45_454_500;
/// In so many waves the first loans are disbursed.
pub(crate) const WAVES: usize = 3;
/// So many instalments every cooperative repays.
pub(crate) const INSTALMENTS: usize = 3;
/// Grace: the first instalment is due in the month after.
const GRACE_MONTHS: usize = 3;
/// The programme began so many months ago. The last of its money moves eleven months later, so
/// every value date lies in the past.
const BEGAN_MONTHS_AGO: i32 = 12;
/// WIB.
const UTC_OFFSET_HOURS: i8 = 7;

/// The days on which things happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Calendar {
    opening: Date,
}

impl Calendar {
    /// The calendar of a programme that began about a year before now.
    pub(crate) fn before(now: OffsetDateTime) -> Calendar {
        let offset = UtcOffset::from_hms(UTC_OFFSET_HOURS, 0, 0).expect("seven hours is an offset");
        let today = now.to_offset(offset).date();
        Calendar { opening: plus_months(today, -BEGAN_MONTHS_AGO, 1) }
    }

    /// The fund is opened and given money.
    pub(crate) fn opening(self) -> Date {
        self.opening
    }

    /// The tranches of a wave are paid out, the first a month after the opening.
    pub(crate) fn disbursed(self, wave: usize) -> Date {
        plus_months(self.opening, months(1 + wave), 16)
    }

    /// An instalment of a wave is paid, the first in the month after the grace.
    pub(crate) fn repaid(self, wave: usize, instalment: usize) -> Date {
        plus_months(self.opening, months(1 + wave + GRACE_MONTHS + 1 + instalment), 12)
    }

    /// The further loans are paid out, after the last instalment.
    pub(crate) fn lent_again(self) -> Date {
        plus_months(self.repaid(WAVES - 1, INSTALMENTS - 1), 1, 16)
    }
}

fn months(count: usize) -> i32 {
    i32::try_from(count).expect("a few months")
}

/// That day of the month so many months on; the day at most 28.
fn plus_months(date: Date, months: i32, day: u8) -> Date {
    let month = date.year() * 12 + i32::from(u8::from(date.month())) - 1 + months;
    let number = u8::try_from(month.rem_euclid(12) + 1).expect("1 to 12 after the remainder");
    let name = Month::try_from(number).expect("1 to 12");
    Date::from_calendar_date(month.div_euclid(12), name, day)
        .expect("a day up to 28 is in every month")
}

/// The wave of the cooperative in that place: three parts as equal as can be.
pub(crate) fn wave(place: usize, cooperatives: usize) -> usize {
    place * WAVES / cooperatives.max(1)
}

/// The ids and numbers of one cooperative, all made from its village code.
#[derive(Debug, Clone)]
pub(crate) struct Ids {
    code: String,
    digits: String,
}

impl Ids {
    pub(crate) fn of(cooperative: &Cooperative) -> Ids {
        let code = cooperative.village.to_string();
        let digits = code.replace('.', "");
        Ids { code, digits }
    }

    pub(crate) fn cooperative(&self) -> String {
        format!("kop-{}", self.code)
    }

    pub(crate) fn account(&self) -> String {
        format!("rek-{}", self.code)
    }

    /// The first loan is number 1, the further one number 2.
    pub(crate) fn loan(&self, number: u32) -> String {
        format!("pinj-{}-{number}", self.code)
    }

    fn chair(&self) -> String {
        format!("ketua-{}", self.code)
    }

    fn treasurer(&self) -> String {
        format!("bendahara-{}", self.code)
    }

    /// Nomor Induk Koperasi.
    fn cooperative_number(&self) -> String {
        format!("{}0001", self.digits)
    }
}

fn idr(minor: i64) -> pb::Money {
    money_to_wire(minor, CURRENCY)
}

fn bank(reference: String) -> pb::BankReference {
    pb::BankReference { bank: BANK.to_owned(), reference, line: None }
}

fn command(kind: Kind) -> pb::Command {
    pb::Command { kind: Some(kind) }
}

/// The ledger of the programme.
pub(crate) fn open_ledger(ledger: &str, roster: &Roster) -> pb::OpenLedger {
    pb::OpenLedger {
        origin: format!("demo.bergulir.example/{ledger}"),
        verifier_key: None,
        region: roster.region.clone(),
        currency_code: CURRENCY.code().to_owned(),
        utc_offset_minutes: Some(i32::from(UTC_OFFSET_HOURS) * 60),
        rules_version: 3,
    }
}

/// The fund: loans at 5 % a year on the original principal, 36 months, 3 of them grace.
pub(crate) fn open_fund(calendar: Calendar) -> pb::OpenFund {
    pb::OpenFund {
        fund: FUND.to_owned(),
        display_name: "Dana Bergulir Koperasi Merah Putih".to_owned(),
        opening_date: Some(date_to_wire(calendar.opening())),
        terms: Some(pb::Terms {
            kind: pb::FundKind::Loan.into(),
            ceiling: Some(idr(CEILING_MINOR)),
            required_readiness: bergulir_domain::cooperative::ReadinessItem::ALL
                .into_iter()
                .map(bergulir_proto::WireEnum::to_wire)
                .collect(),
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

/// One allocation for all first loans.
pub(crate) fn allocate(total: Amount, calendar: Calendar) -> pb::AllocateFund {
    pb::AllocateFund {
        fund: FUND.to_owned(),
        amount: Some(idr(total.minor())),
        source: pb::AllocationSource::Apbd.into(),
        reference: "SK-DEMO-001".to_owned(),
        bank_reference: Some(bank("SP2D-DEMO-0001".to_owned())),
        value_date: Some(date_to_wire(calendar.opening())),
    }
}

/// Everything up to an open account: in this order, nothing between depends on another
/// cooperative.
pub(crate) fn make_ready(cooperative: &Cooperative) -> Vec<pb::Command> {
    let ids = Ids::of(cooperative);
    let mut commands = vec![command(Kind::RegisterCooperative(pb::RegisterCooperative {
        cooperative: ids.cooperative(),
        village_code: ids.code.clone(),
        kind: cooperative.village.cooperative_kind().to_wire(),
        registered_name: cooperative.name.clone(),
        cooperative_number: Some(ids.cooperative_number()),
    }))];
    for (office, officer) in
        [(pb::Office::Chair, ids.chair()), (pb::Office::Treasurer, ids.treasurer())]
    {
        commands.push(command(Kind::AppointOfficer(pb::AppointOfficer {
            cooperative: ids.cooperative(),
            office: office.into(),
            officer,
            evidence: Some(evidence(&format!("RAT-{}", ids.digits))),
        })));
    }
    for item in bergulir_domain::cooperative::ReadinessItem::ALL {
        commands.push(command(Kind::ConfirmReadiness(confirm(&ids, item))));
    }
    commands.push(command(Kind::OpenAccount(pb::OpenAccount {
        fund: FUND.to_owned(),
        account: ids.account(),
        cooperative: ids.cooperative(),
        bank_account: Some(pb::BankAccount {
            bank: BANK.to_owned(),
            number: format!("00{}", ids.digits),
        }),
        holder: cooperative.name.clone(),
    })));
    commands
}

fn confirm(ids: &Ids, item: bergulir_domain::cooperative::ReadinessItem) -> pb::ConfirmReadiness {
    use bergulir_domain::cooperative::ReadinessItem as Item;
    let digits = &ids.digits;
    let (paper, number) = match item {
        Item::LegalEntity => ("AHU", Some(format!("AHU-{digits}.AH.01.29"))),
        Item::CooperativeNumber => ("NIK", Some(ids.cooperative_number())),
        Item::BusinessNumber => ("NIB", Some(format!("{digits}001"))),
        Item::TaxNumber => ("NPWP", Some(format!("{digits}000001"))),
        Item::BankAccount => ("REK", None),
        Item::BusinessPlan => ("RENCANA", None),
        Item::OfficersTrained => ("LATIH", None),
    };
    pb::ConfirmReadiness {
        cooperative: ids.cooperative(),
        item: item.to_wire(),
        number,
        evidence: Some(evidence(&format!("{paper}-{digits}"))),
    }
}

/// A made-up document with a salted digest, as a real one would have.
fn evidence(reference: &str) -> pb::Evidence {
    let salted = Sha256::new()
        .chain_update(Uuid::new_v4().as_bytes())
        .chain_update(reference.as_bytes())
        .finalize();
    pb::Evidence { reference: reference.to_owned(), salted_digest: salted.to_vec() }
}

/// A loan is proposed.
pub(crate) fn propose(cooperative: &Cooperative, number: u32) -> pb::Command {
    let ids = Ids::of(cooperative);
    command(Kind::ProposeLoan(pb::ProposeLoan {
        fund: FUND.to_owned(),
        account: ids.account(),
        loan: ids.loan(number),
        principal: Some(idr(LOAN_MINOR)),
        contract_reference: format!("SPK-{}-{number}", ids.digits),
        chair: ids.chair(),
        treasurer: ids.treasurer(),
        expires_at: None,
    }))
}

/// A loan is approved.
pub(crate) fn approve(cooperative: &Cooperative, number: u32) -> pb::Command {
    let loan = Ids::of(cooperative).loan(number);
    command(Kind::ApproveLoan(pb::ApproveLoan { loan }))
}

/// A loan is paid out in one tranche.
pub(crate) fn disburse(cooperative: &Cooperative, number: u32, on: Date) -> pb::Command {
    let ids = Ids::of(cooperative);
    command(Kind::Disburse(pb::Disburse {
        loan: ids.loan(number),
        amount: Some(idr(LOAN_MINOR)),
        bank_reference: Some(bank(format!("KLR-{}-{number}", ids.digits))),
        value_date: Some(date_to_wire(on)),
    }))
}

/// An instalment of `payer`, posted to the first loan of `borrower`.
pub(crate) fn repay(
    payer: &Cooperative,
    borrower: &Cooperative,
    instalment: usize,
    on: Date,
) -> pb::Repay {
    pb::Repay {
        loan: Ids::of(borrower).loan(1),
        amount: Some(idr(PRINCIPAL_MINOR + INTEREST_MINOR)),
        principal: Some(idr(PRINCIPAL_MINOR)),
        interest: Some(idr(INTEREST_MINOR)),
        late_fee: None,
        bank_reference: Some(bank(format!("MSK-{}-{}", Ids::of(payer).digits, instalment + 1))),
        value_date: Some(date_to_wire(on)),
    }
}

/// The same as a command of a batch.
pub(crate) fn repay_own(cooperative: &Cooperative, instalment: usize, on: Date) -> pb::Command {
    command(Kind::Repay(repay(cooperative, cooperative, instalment, on)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calendar(year: i32, month: Month, day: u8) -> (Calendar, Date) {
        let today = Date::from_calendar_date(year, month, day).unwrap();
        let now = today.midnight().assume_offset(UtcOffset::from_hms(7, 0, 0).unwrap());
        (Calendar::before(now), today)
    }

    #[test]
    fn everything_happened_in_order_and_in_the_past() {
        for (year, month, day) in
            [(2026, Month::January, 1), (2024, Month::February, 29), (2026, Month::December, 31)]
        {
            let (calendar, today) = calendar(year, month, day);
            for wave in 0..WAVES {
                assert!(calendar.opening() < calendar.disbursed(wave));
                assert!(calendar.disbursed(wave) < calendar.repaid(wave, 0));
                assert!(calendar.repaid(wave, 0) < calendar.repaid(wave, INSTALMENTS - 1));
            }
            assert!(calendar.repaid(WAVES - 1, INSTALMENTS - 1) < calendar.lent_again());
            assert!(calendar.lent_again() < today, "{today}");
        }
        let (calendar, _) = calendar(2026, Month::March, 10);
        assert_eq!(calendar.opening().to_string(), "2025-03-01");
        assert_eq!(calendar.disbursed(0).to_string(), "2025-04-16");
        assert_eq!(calendar.repaid(0, 0).to_string(), "2025-08-12");
        assert_eq!(calendar.lent_again().to_string(), "2026-01-16");
    }

    #[test]
    fn the_waves_are_as_equal_as_can_be() {
        let sizes = |cooperatives: usize| {
            let mut sizes = [0; WAVES];
            for place in 0..cooperatives {
                sizes[wave(place, cooperatives)] += 1;
            }
            sizes
        };
        assert_eq!(sizes(58), [20, 19, 19]);
        assert_eq!(sizes(274), [92, 91, 91]);
        assert_eq!(sizes(1), [1, 0, 0]);
        assert_eq!(sizes(0), [0, 0, 0]);
    }

    #[test]
    fn every_id_is_within_its_limit() {
        let roster = Roster::pilot();
        let ids = Ids::of(&roster.cooperatives[0]);
        assert!(bergulir_domain::LoanId::new(&ids.loan(2)).is_ok());
        assert!(bergulir_domain::CooperativeId::new(&ids.cooperative()).is_ok());
        assert!(bergulir_domain::AccountId::new(&ids.account()).is_ok());
        assert_eq!(make_ready(&roster.cooperatives[0]).len(), 11);
    }
}
