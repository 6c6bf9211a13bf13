//! What the state keeps, value by value.

use super::DecodeError;
use super::canonical::{
    Canonical, Reader, canonical_as, canonical_enums, canonical_structs, canonical_texts,
    put_length, put_text, put_text_bytes, take_text,
};
use crate::command::{BankAccount, OpenLedger, RegisterCooperative, WriteOffKind};
use crate::cooperative::{CooperativeKind, ReadinessItem, ReadinessSet};
use crate::event::{Paid, Undoes};
use crate::id::{Id, PrincipalId};
use crate::ledger::Origin;
use crate::moment::{Date, Position, Timestamp, UtcOffset};
use crate::money::{Amount, Currency, Money, Rate};
use crate::postings::Books;
use crate::rejection::AccountStatus;
use crate::state::{
    Account, AccountBalances, ActiveLoan, Allocation, Approval, Confirmations, Cooperative, Fund,
    FundBalances, Head, Loan, LoanBalances, LoanState, Proposal, Reservation, Restructuring,
    Subject, Tranche, Undone,
};
use crate::terms::{InterestMethod, LoanTerms, PaymentPart, Purpose, RepaymentOrder, Terms};
use crate::text::Text;
use alloc::string::ToString;
use alloc::vec::Vec;

canonical_structs! {
    Head { opened, rules_version, size, sealed_through, rotated_keys }
    OpenLedger { ledger, origin, verifier_key, region, currency, utc_offset, rules_version }
    Fund { id, name, opening_date, terms, balances, allocations }
    FundBalances { books, income_apart, committed, reserved }
    Allocation { amount, withdrawn, reserved }
    LoanTerms {
        rate, method, tenor_months, grace_months, grace_bears_interest, repayment_order,
        relend_income,
    }
    RegisterCooperative { cooperative, village, kind, name, cooperative_number }
    Cooperative { registered, chair, treasurer, confirmed, accounts }
    BankAccount { bank, number }
    Tranche { position, value_date, amount }
    Loan { id, account, principal, contract_reference, chair, treasurer, maker, proposed_at, state }
    Approval { checker, terms }
    Proposal { maker, expires_at, subject, reservation }
    Restructuring { effective_from, terms }
    Reservation { fund, committable, allocation, ceiling, headroom }
}

canonical_enums! {
    Currency { 1 => Idr }
    CooperativeKind { 1 => Kdmp, 2 => Kkmp }
    AccountStatus { 1 => Open, 2 => Suspended, 3 => Closed }
    InterestMethod { 1 => None, 2 => Flat, 3 => Declining }
    PaymentPart { 1 => LateFee, 2 => Interest, 3 => Principal }
    Purpose { 1 => Loan(terms), 2 => Grant }
    LoanState { 1 => Pending { expires_at }, 2 => Refused, 3 => Withdrawn, 4 => Expired, 5 => Approved(active) }
    WriteOffKind { 1 => Conditional, 2 => Absolute }
    Undone { 1 => Returned(by), 2 => Reversed(by) }
    Paid { 1 => Loan(loan), 2 => Grant(fund, account) }
    Subject {
        1 => Loan(loan),
        2 => AllocationWithdrawal { fund, allocation, amount },
        3 => Reversal { reverses, undoes },
        4 => Disbursement { paid, amount },
        5 => BankAccountChange { account, bank_account },
        6 => PeriodClose { fund, through },
        7 => WriteOff { loan, kind, amount },
        8 => Restructuring { loan, effective_from, terms },
    }
    Undoes {
        1 => Allocation { fund, amount },
        2 => AllocationWithdrawal { fund, allocation, amount },
        3 => Disbursement { paid, amount },
        4 => Return { disbursement, paid, amount, disbursed_on },
        5 => Repayment { loan, principal, interest, late_fee, relend_income },
        6 => WriteOff { loan, kind, amount, principal },
        7 => Recovery { loan, amount },
    }
}

canonical_as! {
    bool as u8, |b| u8::from(*b), |n| match n { 0 => Some(false), 1 => Some(true), _ => None };
    Position as u64, |p| p.get(), |n| Some(Position::new(n));
    Timestamp as i64, |t| t.as_micros(), |n| Some(Timestamp::from_micros(n));
    Date as i32, |d| d.to_julian_day(), |n| Date::from_julian_day(n).ok();
    UtcOffset as i16, |o| o.minutes(), |n| UtcOffset::from_minutes(i32::from(n));
    Amount as i64, |a| a.minor(), |n| Amount::from_minor(n).ok();
    Money as i64, |m| m.minor(), |n| Money::from_minor(n).ok();
    Rate as u32, |r| r.to_units(), |n| Rate::from_units(n).ok();
    Books as [i64; 9], |b| *b.balances(), |n| Books::new(n);
    Confirmations as [Option<Position>; ReadinessItem::ALL.len()],
        |c| c.positions(), |positions| Confirmations::of(positions);
    ReadinessSet as u8, |s| s.bits(), |n| ReadinessSet::from_bits(n);
    RepaymentOrder as [PaymentPart; 3], |o| o.parts(), |parts| RepaymentOrder::new(&parts).ok();
}

canonical_texts! {
    crate::ledger::Region, |text| text.parse();
    crate::cooperative::VillageCode, |text| text.parse();
}

/// A struct of numbers of which some, those of a later version of the rules, stand at the end of its
/// states.
macro_rules! canonical_numbers {
    ($($type:ident { $($field:ident),* $(,)? })*) => {$(
        impl Canonical for $type {
            fn put(&self, out: &mut Vec<u8>) {
                $(self.$field.put(out);)*
            }
            fn take(from: &mut Reader) -> Result<Self, DecodeError> {
                Ok($type { $($field: Canonical::take(from)?,)* ..$type::default() })
            }
        }
    )*};
}
canonical_numbers! {
    AccountBalances {
        pending, committed, disbursed, principal_repaid, interest_paid, late_fees_paid, granted,
    }
    LoanBalances { disbursed, principal_repaid, interest_paid, late_fees_paid }
}

impl Canonical for ActiveLoan {
    fn put(&self, out: &mut Vec<u8>) {
        self.approval.put(out);
        self.balances().put(out);
        self.reserved().put(out);
        self.tranches.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let approval = Canonical::take(from)?;
        let (balances, reserved) = (LoanBalances::take(from)?, i64::take(from)?);
        let mut active = ActiveLoan::new(approval, Canonical::take(from)?);
        active.change(|all, kept| (*all, *kept) = (balances, reserved));
        Ok(active)
    }
}

impl Canonical for Account {
    fn put(&self, out: &mut Vec<u8>) {
        self.id.put(out);
        self.fund.put(out);
        self.cooperative.put(out);
        self.first_bank_account().put(out);
        self.status.put(out);
        self.balances().put(out);
        match self.rare_grants() {
            Some(grants) => grants.put(out),
            None => put_length(0, out),
        }
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        let (id, fund, cooperative) =
            (Canonical::take(from)?, Canonical::take(from)?, Canonical::take(from)?);
        let first_bank_account = BankAccount::take(from)?;
        let mut account = Account::new(id, fund, cooperative, &first_bank_account);
        account.status = Canonical::take(from)?;
        let balances = AccountBalances::take(from)?;
        account.change_balances(|all| *all = balances);
        account.set_grants(Canonical::take(from)?);
        Ok(account)
    }
}

/// Without what version 2 added to them, which stands at the end of its states.
impl Canonical for Terms {
    fn put(&self, out: &mut Vec<u8>) {
        let Terms { purpose, ceiling, required_readiness, proposal_validity_days, .. } = self;
        purpose.put(out);
        ceiling.put(out);
        required_readiness.put(out);
        proposal_validity_days.put(out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Ok(Terms {
            purpose: Canonical::take(from)?,
            ceiling: Canonical::take(from)?,
            required_readiness: Canonical::take(from)?,
            proposal_validity_days: Canonical::take(from)?,
            disbursement_approval_above: None,
        })
    }
}

impl Canonical for PrincipalId {
    fn put(&self, out: &mut Vec<u8>) {
        put_text_bytes(self.as_bytes(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        PrincipalId::new(take_text(from)?).map_err(|_| DecodeError::Invalid("PrincipalId"))
    }
}

impl<K> Canonical for Id<K> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text_bytes(self.as_bytes(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Id::new(take_text(from)?).map_err(|_| DecodeError::Invalid("id"))
    }
}

impl Canonical for Origin {
    fn put(&self, out: &mut Vec<u8>) {
        put_text(self.as_str(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Origin::new(take_text(from)?).map_err(|_| DecodeError::Invalid("origin"))
    }
}

impl<const MAX: usize> Canonical for Text<MAX> {
    fn put(&self, out: &mut Vec<u8>) {
        put_text_bytes(self.as_bytes(), out);
    }
    fn take(from: &mut Reader) -> Result<Self, DecodeError> {
        Text::new(take_text(from)?).map_err(|_| DecodeError::Invalid("text"))
    }
}
