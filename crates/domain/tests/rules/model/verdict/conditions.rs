//! What must be so before a command.

use super::super::{LoanIs, Model, Posting, Status, Subject, Verdict, What, Why};
use super::{all, unless};
use bergulir_domain::command::{BankAccount, BankReference, OpenAccount};
use bergulir_domain::terms::Purpose;
use bergulir_domain::{AccountId, CooperativeId, Date, FundId, LoanId};

impl Model {
    /// The terms leave it to one person to pay so much today.
    pub(super) fn one_may_pay(&self, fund: FundId, amount: i64) -> Verdict {
        let above = self.terms(fund).disbursement_approval_above;
        unless(above.is_none_or(|above| amount <= above.minor()), Why::SecondPerson)
    }

    pub(super) fn nothing_written_off(&self, loan: LoanId) -> Verdict {
        let [.., written_off, _, _] = self.loan_sums(loan);
        unless(written_off == 0, Why::LoanWrittenOff)
    }

    /// An absolute write-off took the last of the claim.
    pub(super) fn is_ended(&self, loan: LoanId) -> bool {
        let [.., ended, _] = self.loan_sums(loan);
        ended > 0 && self.outstanding(loan) + self.recoverable(loan) == 0
    }

    pub(super) fn may_write_off(&self, loan: LoanId, amount: i64, absolute: bool) -> Verdict {
        let claim = if absolute { self.recoverable(loan) } else { 0 };
        unless(amount <= self.outstanding(loan) + claim, Why::WriteOff)
    }

    pub(super) fn may_restructure(&self, loan: LoanId, from: Date) -> Verdict {
        let closed = self.closed.get(&self.loans[&loan].account.0);
        let mut before = self.restructured.iter().filter(|(_, of, ..)| *of == loan);
        let may = self.outstanding(loan) > 0
            && from <= self.today()
            && self.after_first_tranche(loan, from).is_empty()
            && closed.is_none_or(|closed| from > *closed)
            && before.all(|(_, _, earlier, _)| from >= *earlier);
        unless(may, Why::Restructuring)
    }

    pub(super) fn after_first_tranche(&self, loan: LoanId, date: Date) -> Verdict {
        let standing = self.live().filter(|p| p.what == What::Tranche(loan) && self.stands(p));
        let first = standing.map(|p| p.date).min();
        unless(first.is_some_and(|first| date >= first), Why::ValueDate)
    }

    /// Whoever is to be paid is there and may be.
    pub(super) fn may_be_paid(
        &self,
        what: What,
        verdict: impl FnOnce(FundId) -> Verdict,
    ) -> Verdict {
        match what {
            What::Tranche(loan) => self.with_approved(loan, |(fund, account)| {
                all([
                    self.has_status(fund, account, &[Status::Open]),
                    self.nothing_written_off(loan),
                    verdict(fund),
                ])
            }),
            What::Grant((fund, account)) => {
                let status = self.has_status(fund, account, &[Status::Open]);
                if status.contains(&Why::NotFound) {
                    return status;
                }
                let gives = matches!(self.terms(fund).purpose, Purpose::Grant);
                all([status, unless(gives, Why::FundKind), verdict(fund)])
            }
            _ => unreachable!("only these are proposed"),
        }
    }

    pub(super) fn may_have_account(&self, c: &OpenAccount) -> bool {
        let cooperative = &self.cooperatives[&c.cooperative];
        let mut required = self.terms(c.fund).required_readiness.iter();
        let ready = required.all(|item| cooperative.confirmed.contains_key(&item));
        let mut accounts = self.accounts.iter();
        let shared = self.is_anothers(&c.bank_account, c.cooperative);
        let second = accounts.any(|((fund, _), a)| {
            *fund == c.fund && a.cooperative == c.cooperative && a.status != Status::Closed
        });
        ready && c.holder == cooperative.name && !shared && !second
    }

    /// Another cooperative has or had it, or waits for it.
    pub(super) fn is_anothers(&self, bank: &BankAccount, own: CooperativeId) -> bool {
        let had = self.accounts.values().filter(|a| a.banks.contains(bank));
        let waits = self.pending.iter().filter_map(|p| match p.subject {
            Subject::Bank { account, asked } if self.asked[asked] == *bank => {
                Some(&self.accounts[&account])
            }
            _ => None,
        });
        had.chain(waits).any(|a| a.cooperative != own)
    }

    pub(super) fn with_fund(&self, fund: FundId, verdict: impl FnOnce() -> Verdict) -> Verdict {
        if self.funds.contains_key(&fund) { verdict() } else { Verdict::from([Why::NotFound]) }
    }

    pub(super) fn with_cooperative(
        &self,
        id: CooperativeId,
        verdict: impl FnOnce() -> Verdict,
    ) -> Verdict {
        if self.cooperatives.contains_key(&id) { verdict() } else { Verdict::from([Why::NotFound]) }
    }

    pub(super) fn with_approved(
        &self,
        loan: LoanId,
        verdict: impl FnOnce((FundId, AccountId)) -> Verdict,
    ) -> Verdict {
        match self.loans.get(&loan) {
            None => Verdict::from([Why::NotFound]),
            Some(loan) if loan.is != LoanIs::Approved => Verdict::from([Why::LoanNotApproved]),
            Some(loan) => verdict(loan.account),
        }
    }

    pub(super) fn has_status(&self, fund: FundId, account: AccountId, good: &[Status]) -> Verdict {
        match self.accounts.get(&(fund, account)) {
            None => Verdict::from([Why::NotFound]),
            Some(account) => unless(good.contains(&account.status), Why::AccountStatus),
        }
    }

    pub(super) fn may_lend(&self, (fund, account): (FundId, AccountId)) -> Verdict {
        let lends = matches!(self.terms(fund).purpose, Purpose::Loan(_));
        all([unless(lends, Why::FundKind), self.has_status(fund, account, &[Status::Open])])
    }

    /// A closed account is not debited again. What it once got may still come back.
    pub(super) fn may_be_corrected(&self, posting: &Posting) -> Verdict {
        let (What::Return { .. } | What::Repayment(..) | What::WriteOff(..)) = posting.what else {
            return Verdict::new();
        };
        let (fund, account) = self.account_of(posting).unwrap();
        self.has_status(fund, account, &[Status::Open, Status::Suspended])
    }

    pub(super) fn moves_cash(&self, fund: FundId, bank: &BankReference, date: Date) -> Verdict {
        let key = |b: &BankReference| (b.bank.clone(), b.reference.clone(), b.line.unwrap_or(0));
        let mut used = self.live().filter_map(|p| p.bank.as_ref());
        let used = used.any(|used| key(used) == key(bank));
        all([unless(!used, Why::BankReference), self.may_be_dated(fund, date)])
    }

    pub(super) fn may_be_dated(&self, fund: FundId, date: Date) -> Verdict {
        let dates = self.funds[&fund].opening..=self.today();
        let closed = self.closed.get(&fund).is_some_and(|last| date <= *last);
        all([unless(dates.contains(&date), Why::ValueDate), unless(!closed, Why::PeriodClosed)])
    }
}
