//! Funds, loans and proposals, as the state keeps them.

use super::names::{Approval, SharedName};
use super::rare::Rare;
use super::recorded::Row;
use super::standing::Standing;
use super::tranches::TranchesMark;
use super::{AccountIndex, FundIndex, LoanIndex};
use crate::command::{BankAccount, WriteOffKind};
use crate::event::{Paid, Undoes};
use crate::id::{FundId, LoanId, PrincipalId};
use crate::moment::{Date, Position, Timestamp};
use crate::money::Amount;
use crate::postings::{Book, Books};
use crate::rejection::LoanStatus;
use crate::terms::{LoanTerms, Terms};
use crate::text::{Name, Reference};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

/// A fund.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fund {
    /// Its id.
    pub id: FundId,
    /// Its name for people.
    pub name: Name,
    /// No value date lies before it.
    pub opening_date: Date,
    /// Terms and the day from which they hold, days ascending; the first is the opening date.
    pub terms: Vec<(Date, Terms)>,
    /// What it has and what is promised.
    pub balances: FundBalances,
    /// What was allocated, by record; a reversed allocation is gone from here.
    pub allocations: BTreeMap<Position, Allocation>,
}

impl Fund {
    /// The terms in force on a day.
    pub fn terms_on(&self, day: Date) -> &Terms {
        let after = self.terms.partition_point(|(from, _)| *from <= day);
        &self.terms[after.saturating_sub(1)].1
    }
}

impl Row for Fund {
    type Key = FundId;
    type Trait = ();
    type Paid = ();
    fn key(&self) -> FundId {
        self.id
    }
    fn distinctive(&self) -> Option<&()> {
        None
    }
    fn paid(&self) {}
    fn before(&self, (): &()) -> Self {
        self.clone()
    }
}

/// The numbers of a fund, in minor units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FundBalances {
    /// Its books.
    pub books: Books,
    /// Income that came in and may not be lent.
    pub income_apart: i64,
    /// Approved and not yet disbursed.
    pub committed: i64,
    /// Reserved by what is pending.
    pub reserved: i64,
}

impl FundBalances {
    /// What may be disbursed: cash without income kept apart and without suspense.
    pub const fn available(&self) -> i64 {
        self.books.balance(Book::Cash) - self.income_apart - self.books.amount(Book::Suspense)
    }
    /// What may be promised: what is available and not promised already.
    pub const fn committable(&self) -> i64 {
        self.available() - self.committed - self.reserved
    }
}

/// Money that was put into a fund by one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allocation {
    /// How much.
    pub amount: Amount,
    /// How much of it was taken out again.
    pub withdrawn: i64,
    /// How much of it pending withdrawals would take.
    pub reserved: i64,
}

impl Allocation {
    /// What can still be taken out of it.
    pub const fn remaining(&self) -> i64 {
        self.amount.minor() - self.withdrawn - self.reserved
    }
}

/// A loan.
///
/// The order in memory is the one below, from the start of a cache line on: what a payment reads
/// and changes is in the first two lines.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Loan {
    /// Its id.
    pub id: LoanId,
    /// Who borrows.
    pub account: AccountIndex,
    /// How much was proposed.
    pub principal: Amount,
    /// Where it stands.
    pub state: LoanState,
    /// The contract.
    pub contract_reference: Reference,
    /// The chair who signed.
    pub chair: SharedName,
    /// The treasurer who signed.
    pub treasurer: SharedName,
    /// Who proposed it.
    pub maker: SharedName,
    /// The record that proposed it.
    pub proposed_at: Position,
}

impl Row for Loan {
    type Key = LoanId;
    type Trait = ();
    type Paid = Option<PaidLoan>;
    fn key(&self) -> LoanId {
        self.id
    }
    fn distinctive(&self) -> Option<&()> {
        None
    }
    fn paid(&self) -> Option<PaidLoan> {
        let active = self.active()?;
        let (balances, reserved) = (active.balances(), active.reserved());
        Some(PaidLoan { balances, reserved, tranches: active.tranches.mark() })
    }
    fn before(&self, paid: &Option<PaidLoan>) -> Loan {
        let mut loan = self.clone();
        if let (Some(paid), LoanState::Approved(active)) = (paid, &mut loan.state) {
            active.change(|all, reserved| (*all, *reserved) = (paid.balances, paid.reserved));
            if let Some(mark) = &paid.tranches {
                active.tranches.cut(mark);
            }
        }
        loan
    }
}

/// What payments to and from an approved loan may change of it.
#[derive(Debug, Clone)]
pub struct PaidLoan {
    balances: LoanBalances,
    reserved: i64,
    /// Tranches are added, and none is taken away.
    tranches: Option<TranchesMark>,
}

/// Where a loan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoanState {
    /// It waits for a second person until that instant.
    Pending {
        /// From this instant on it has lapsed.
        expires_at: Timestamp,
    },
    /// Refused by a second person.
    Refused,
    /// Taken back by its maker.
    Withdrawn,
    /// Nobody decided in time.
    Expired,
    /// Approved: it may be disbursed and repaid.
    Approved(ActiveLoan),
}

/// A loan that was approved. Its order in memory is the one below, see [`Loan`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct ActiveLoan {
    /// Of its numbers those that most loans have, in the order of [`LoanBalances`].
    usual: [i64; 4],
    /// The rest of them, and the headroom that pending corrections would use.
    rare: Rare<[i64; 4]>,
    /// The tranches that were paid out and stand.
    pub tranches: Standing,
    /// Who approved it, under which terms.
    pub approval: Arc<Approval>,
}

impl ActiveLoan {
    /// A loan of which nothing is paid yet.
    pub fn new(approval: Arc<Approval>, tranches: Standing) -> ActiveLoan {
        ActiveLoan { usual: [0; 4], rare: Rare::default(), tranches, approval }
    }

    /// Its numbers.
    #[inline]
    pub fn balances(&self) -> LoanBalances {
        let [disbursed, principal_repaid, interest_paid, late_fees_paid] = self.usual;
        let [written_off, claim_ended, recovered, _] = self.rare_numbers();
        LoanBalances {
            disbursed,
            principal_repaid,
            interest_paid,
            late_fees_paid,
            written_off,
            claim_ended,
            recovered,
        }
    }

    /// Headroom that pending corrections would use.
    #[inline]
    pub fn reserved(&self) -> i64 {
        let [.., reserved] = self.rare_numbers();
        reserved
    }

    #[inline]
    fn rare_numbers(&self) -> [i64; 4] {
        self.rare.get().copied().unwrap_or_default()
    }

    /// Changes its numbers and what is reserved.
    #[inline]
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut LoanBalances, &mut i64)) {
        let (mut balances, mut reserved) = (self.balances(), self.reserved());
        change(&mut balances, &mut reserved);
        let LoanBalances {
            disbursed,
            principal_repaid,
            interest_paid,
            late_fees_paid,
            written_off,
            claim_ended,
            recovered,
        } = balances;
        self.usual = [disbursed, principal_repaid, interest_paid, late_fees_paid];
        let rare = [written_off, claim_ended, recovered, reserved];
        if self.rare_numbers() != rare {
            self.rare.change(|numbers| *numbers = rare);
        }
    }
}

/// The numbers of an approved loan, in minor units, net of returns and reversals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LoanBalances {
    /// Paid out.
    pub disbursed: i64,
    /// Principal that came back.
    pub principal_repaid: i64,
    /// Interest that came in.
    pub interest_paid: i64,
    /// Late fees that came in.
    pub late_fees_paid: i64,
    /// Principal that was written off.
    pub written_off: i64,
    /// What of that is a claim no more, by absolute write-offs.
    pub claim_ended: i64,
    /// What came back of what was written off.
    pub recovered: i64,
}

impl LoanBalances {
    /// The principal that is owed, and on the books.
    pub const fn outstanding(&self) -> i64 {
        self.disbursed - self.principal_repaid - self.written_off
    }
    /// What was written off and may still come back.
    pub const fn recoverable(&self) -> i64 {
        self.written_off - self.claim_ended - self.recovered
    }
    /// Whether an absolute write-off ended all that was left of the claim.
    pub const fn claim_has_ended(&self) -> bool {
        self.claim_ended > 0 && self.outstanding() == 0 && self.recoverable() == 0
    }
    /// Where an approved loan of that principal stands with them, for people.
    pub const fn status(&self, principal: i64) -> LoanStatus {
        if self.written_off > 0 && self.outstanding() == 0 {
            LoanStatus::WrittenOff
        } else if self.disbursed < principal {
            LoanStatus::Approved
        } else if self.outstanding() > 0 {
            LoanStatus::Disbursed
        } else {
            LoanStatus::Settled
        }
    }
}

impl Loan {
    /// The loan as approved, if it was.
    pub const fn active(&self) -> Option<&ActiveLoan> {
        match &self.state {
            LoanState::Approved(active) => Some(active),
            LoanState::Pending { .. }
            | LoanState::Refused
            | LoanState::Withdrawn
            | LoanState::Expired => None,
        }
    }
    /// What may still be paid out.
    pub fn undisbursed(&self) -> i64 {
        self.active().map_or(0, |active| {
            self.principal.minor() - active.balances().disbursed - active.reserved()
        })
    }
    /// Where it stands, for people.
    pub fn status(&self) -> LoanStatus {
        match &self.state {
            LoanState::Pending { .. } => LoanStatus::Pending,
            LoanState::Refused => LoanStatus::Refused,
            LoanState::Withdrawn => LoanStatus::Withdrawn,
            LoanState::Expired => LoanStatus::Expired,
            LoanState::Approved(active) => active.balances().status(self.principal.minor()),
        }
    }
}

/// What undid a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Undone {
    /// The bank sent the money back, by that record. The bank reference stays used.
    Returned(Position),
    /// A reversal, by that record. The bank reference is free again.
    Reversed(Position),
}

impl Undone {
    /// The record that undid it.
    pub const fn by(self) -> Position {
        match self {
            Undone::Returned(by) | Undone::Reversed(by) => by,
        }
    }
}

/// Something that waits for a second person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    /// Who proposed it, and so may not decide on it.
    pub maker: PrincipalId,
    /// From this instant on it has lapsed.
    pub expires_at: Timestamp,
    /// What it would do.
    pub subject: Subject,
    /// What it keeps free for itself.
    pub reservation: Reservation,
}

/// What a proposal would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subject {
    /// Lend.
    Loan(LoanIndex),
    /// Take money of an allocation out of its fund.
    AllocationWithdrawal {
        /// The fund.
        fund: FundIndex,
        /// The record that allocated it.
        allocation: Position,
        /// How much.
        amount: Amount,
    },
    /// Undo a record.
    Reversal {
        /// The record.
        reverses: Position,
        /// What it did.
        undoes: Undoes,
    },
    /// Tie an account to another bank account.
    BankAccountChange {
        /// The account.
        account: AccountIndex,
        /// The bank account from then on.
        bank_account: BankAccount,
    },
    /// Close a fund's books.
    PeriodClose {
        /// The fund.
        fund: FundIndex,
        /// The last day of the period.
        through: Date,
    },
    /// Write principal off.
    WriteOff {
        /// The loan.
        loan: LoanIndex,
        /// Whether the claim stays.
        kind: WriteOffKind,
        /// How much.
        amount: Amount,
    },
    /// Give a loan new terms.
    Restructuring {
        /// The loan.
        loan: LoanIndex,
        /// The day from which they hold.
        effective_from: Date,
        /// The terms.
        terms: LoanTerms,
    },
    /// Pay out a tranche or a grant.
    Disbursement {
        /// What for.
        paid: Paid,
        /// How much.
        amount: Amount,
    },
}

/// Something of which at most one pending proposal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Claim {
    /// A record that is to be undone.
    Record(Position),
    /// The bank account of an account.
    BankAccountOf(AccountIndex),
    /// The next period of a fund.
    PeriodOf(FundIndex),
    /// What is outstanding of a loan.
    WriteOffOf(LoanIndex),
    /// The terms of a loan.
    RestructuringOf(LoanIndex),
}

impl Subject {
    /// What no other proposal may be about while this one is pending.
    pub(super) const fn claim(&self) -> Option<Claim> {
        match self {
            Subject::Reversal { reverses, .. } => Some(Claim::Record(*reverses)),
            Subject::BankAccountChange { account, .. } => Some(Claim::BankAccountOf(*account)),
            Subject::PeriodClose { fund, .. } => Some(Claim::PeriodOf(*fund)),
            Subject::WriteOff { loan, .. } => Some(Claim::WriteOffOf(*loan)),
            Subject::Restructuring { loan, .. } => Some(Claim::RestructuringOf(*loan)),
            Subject::Loan(_)
            | Subject::AllocationWithdrawal { .. }
            | Subject::Disbursement { .. } => None,
        }
    }
}

/// What a pending proposal keeps free, so that nothing else can use it first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reservation {
    /// The fund.
    pub fund: FundIndex,
    /// Of what the fund may promise.
    pub committable: i64,
    /// Of one allocation of the fund.
    pub allocation: Option<(Position, i64)>,
    /// Of an account's room under the ceiling.
    pub ceiling: Option<(AccountIndex, i64)>,
    /// Of what a loan may still be paid.
    pub headroom: Option<(LoanIndex, i64)>,
}

impl Reservation {
    /// Of what a fund may promise, and nothing else.
    pub const fn of(fund: FundIndex, committable: i64) -> Reservation {
        Reservation { fund, committable, allocation: None, ceiling: None, headroom: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Rate;
    use crate::state::{Account, Cooperative};
    use crate::terms::InterestMethod;
    use core::mem::offset_of;
    use proptest::prelude::*;

    /// A nation's ledger has a row of each for every village, twice: decided on and published.
    #[test]
    fn rows_are_small_and_what_a_payment_needs_is_together() {
        let sizes = [size_of::<Loan>(), size_of::<Account>(), size_of::<Cooperative>()];
        assert_eq!(sizes, [192, 128, 80]);
        assert!(
            offset_of!(Loan, state) + size_of::<LoanState>() <= 128 + size_of::<Arc<Approval>>()
        );
    }

    proptest! {
        #[test]
        fn a_loan_keeps_its_numbers(
            steps in prop::collection::vec(prop::array::uniform8(any_number()), 0..8),
        ) {
            let new = || {
                let terms = LoanTerms {
                    rate: Rate::from_units(0).unwrap(),
                    method: InterestMethod::None,
                    tenor_months: 12,
                    grace_months: 0,
                    grace_bears_interest: false,
                    repayment_order: None,
                    relend_income: false,
                };
                let checker = PrincipalId::new("checker").unwrap();
                ActiveLoan::new(Arc::new(Approval { checker, terms }), Standing::default())
            };
            let mut packed = new();
            for [a, b, c, d, e, f, g, kept] in steps {
                let plain = LoanBalances {
                    disbursed: a,
                    principal_repaid: b,
                    interest_paid: c,
                    late_fees_paid: d,
                    written_off: e,
                    claim_ended: f,
                    recovered: g,
                };
                packed.change(|balances, reserved| (*balances, *reserved) = (plain, kept));
                prop_assert_eq!((packed.balances(), packed.reserved()), (plain, kept));
                // However it came to have them, the same is the same, and what is rare is not kept.
                let mut anew = new();
                anew.change(|balances, reserved| (*balances, *reserved) = (plain, kept));
                prop_assert_eq!(&anew, &packed);
                prop_assert_eq!(packed.rare.get().is_some(), [e, f, g, kept] != [0; 4]);
            }
        }
    }

    fn any_number() -> impl Strategy<Value = i64> {
        prop_oneof![4 => Just(0), 1 => any::<i64>()]
    }
}
