//! Accounts, as the state keeps them.

use super::rare::Rare;
use super::recorded::Row;
use super::tranches::{RareTranches, Tranche};
use super::{CooperativeIndex, FundIndex};
use crate::command::BankAccount;
use crate::id::AccountId;
use crate::moment::Position;
use crate::rejection::AccountStatus;
use crate::text::TextPair;

/// A cooperative's account in a fund.
///
/// It is two lines of the processor's cache: with a nation's accounts it comes from far away.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct Account {
    /// Its fund.
    pub fund: FundIndex,
    /// Open, suspended or closed.
    pub status: AccountStatus,
    /// Of its balances those that most accounts have, in the order of [`AccountBalances`].
    usual: [i64; 6],
    rare: Rare<RareOfAccount>,
    /// Its id.
    pub id: AccountId,
    /// Whose it is.
    pub cooperative: CooperativeIndex,
    opened_with: BankAccountKept,
}

/// A bank account as a row holds it.
type BankAccountKept = TextPair<16, 40>;

/// What few accounts have.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct RareOfAccount {
    /// The rest of its balances.
    numbers: [i64; 3],
    /// The grants that were paid to it and stand.
    grants: RareTranches,
}

impl Account {
    pub(crate) fn new(
        id: AccountId,
        fund: FundIndex,
        cooperative: CooperativeIndex,
        first_bank_account: &BankAccount,
    ) -> Account {
        Account {
            fund,
            status: AccountStatus::Open,
            usual: [0; 6],
            rare: Rare::default(),
            id,
            cooperative,
            opened_with: Account::kept(first_bank_account),
        }
    }

    /// What it owes and what it may yet get.
    #[inline]
    pub fn balances(&self) -> AccountBalances {
        let [pending, committed, disbursed, principal_repaid, interest_paid, late_fees_paid] =
            self.usual;
        let [granted, written_off, recovered] = self.rare.get().map_or([0; 3], |rare| rare.numbers);
        AccountBalances {
            pending,
            committed,
            disbursed,
            principal_repaid,
            interest_paid,
            late_fees_paid,
            granted,
            written_off,
            recovered,
        }
    }

    /// Changes what it owes and what it may yet get.
    #[inline]
    pub(crate) fn change_balances(&mut self, change: impl FnOnce(&mut AccountBalances)) {
        let mut balances = self.balances();
        change(&mut balances);
        let AccountBalances {
            pending,
            committed,
            disbursed,
            principal_repaid,
            interest_paid,
            late_fees_paid,
            granted,
            written_off,
            recovered,
        } = balances;
        self.usual =
            [pending, committed, disbursed, principal_repaid, interest_paid, late_fees_paid];
        let numbers = [granted, written_off, recovered];
        if self.rare.get().map_or([0; 3], |rare| rare.numbers) != numbers {
            self.rare.change(|rare| rare.numbers = numbers);
        }
    }

    /// The grants that were paid to it and stand.
    pub fn grants(&self) -> impl Iterator<Item = Tranche> {
        self.rare.get().into_iter().flat_map(|rare| rare.grants.iter())
    }

    pub(super) fn rare_grants(&self) -> Option<&RareTranches> {
        self.rare.get().map(|rare| &rare.grants)
    }

    pub(super) fn set_grants(&mut self, grants: RareTranches) {
        self.rare.change(|rare| rare.grants = grants);
    }

    pub(crate) fn add_grant(&mut self, grant: Tranche) {
        self.rare.change(|rare| rare.grants.push(grant));
    }

    /// Takes the grant of that record away, if it is there.
    pub(crate) fn remove_grant(&mut self, position: Position) {
        self.rare.change(|rare| rare.grants.remove(position));
    }

    /// The bank account that it was opened with. What it is tied to now,
    /// [`State::bank_account`](super::State::bank_account) says.
    pub fn first_bank_account(&self) -> BankAccount {
        let (bank, number) = self.opened_with.texts();
        BankAccount { bank, number }
    }

    /// A bank account as rows are found by it.
    pub(super) fn kept(BankAccount { bank, number }: &BankAccount) -> BankAccountKept {
        TextPair::new(bank, number)
    }
}

impl Row for Account {
    type Key = (FundIndex, AccountId);
    type Trait = BankAccountKept;
    /// All but grants, which are rare.
    type Paid = AccountBalances;
    fn key(&self) -> Self::Key {
        (self.fund, self.id)
    }
    fn distinctive(&self) -> Option<&BankAccountKept> {
        Some(&self.opened_with)
    }
    fn paid(&self) -> AccountBalances {
        self.balances()
    }
    fn before(&self, paid: &AccountBalances) -> Account {
        let mut before = self.clone();
        before.change_balances(|balances| *balances = *paid);
        before
    }
}

/// The numbers of an account, in minor units, net of returns and reversals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AccountBalances {
    /// Reserved under its ceiling by what is pending.
    pub pending: i64,
    /// Approved and not yet disbursed.
    pub committed: i64,
    /// Loan principal paid out to it.
    pub disbursed: i64,
    /// Principal that it repaid.
    pub principal_repaid: i64,
    /// Interest that it paid.
    pub interest_paid: i64,
    /// Late fees that it paid.
    pub late_fees_paid: i64,
    /// Grants paid out to it.
    pub granted: i64,
    /// Principal that was written off.
    pub written_off: i64,
    /// What came back of that.
    pub recovered: i64,
}

impl AccountBalances {
    /// The principal that it owes.
    pub const fn outstanding(&self) -> i64 {
        self.disbursed - self.principal_repaid - self.written_off
    }
    /// What counts against the ceiling per cooperative.
    pub const fn exposure(&self) -> i64 {
        self.outstanding() + self.committed + self.pending + self.granted
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::Amount;
    use crate::state::Index;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    fn account() -> Account {
        let bank_account =
            BankAccount { bank: "BPD".parse().unwrap(), number: "0077".parse().unwrap() };
        let id = AccountId::new("a1").unwrap();
        Account::new(id, Index::new(3), Index::new(4), &bank_account)
    }

    fn balances([usual, rare]: [i64; 2]) -> AccountBalances {
        let mut next = usual;
        let mut more = || {
            next = next.wrapping_mul(7);
            next
        };
        AccountBalances {
            pending: more(),
            committed: more(),
            disbursed: more(),
            principal_repaid: more(),
            interest_paid: more(),
            late_fees_paid: more(),
            granted: rare,
            written_off: rare / 2,
            recovered: rare / 4,
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Change([i64; 2]),
        Grant(u64),
        TakeBack(u64),
    }

    fn any_step() -> impl Strategy<Value = Step> {
        let number = || prop_oneof![Just(0), Just(1), any::<i64>()];
        prop_oneof![
            [number(), number()].prop_map(Step::Change),
            (0..4_u64).prop_map(Step::Grant),
            (0..4_u64).prop_map(Step::TakeBack),
        ]
    }

    proptest! {
        #[test]
        fn an_account_keeps_its_numbers_and_grants(
            steps in prop::collection::vec(any_step(), 0..12),
        ) {
            let (mut packed, mut plain) = (account(), AccountBalances::default());
            let mut grants: Vec<Tranche> = Vec::new();
            for step in steps {
                let before = packed.clone();
                match step {
                    Step::Change(to) => {
                        plain = balances(to);
                        packed.change_balances(|balances| *balances = plain);
                        prop_assert_eq!(packed.before(&before.paid()), before);
                    }
                    Step::Grant(position) => {
                        let grant = Tranche {
                            position: Position::new(position),
                            value_date: crate::Date::MIN,
                            amount: Amount::from_minor(5).unwrap(),
                        };
                        grants.push(grant);
                        packed.add_grant(grant);
                    }
                    Step::TakeBack(position) => {
                        grants.retain(|grant| grant.position.get() != position);
                        packed.remove_grant(Position::new(position));
                    }
                }
                prop_assert_eq!(packed.balances(), plain);
                prop_assert_eq!(packed.grants().collect::<Vec<_>>(), grants.clone());
                // However it came to have them, the same is the same, and what is rare is not kept.
                let mut anew = account();
                anew.set_grants(grants.iter().copied().collect());
                anew.change_balances(|balances| *balances = plain);
                prop_assert_eq!(&anew, &packed);
                let has_rare = [plain.granted, plain.written_off, plain.recovered] != [0; 3];
                prop_assert_eq!(packed.rare.get().is_some(), has_rare || !grants.is_empty());
            }
        }
    }
}
