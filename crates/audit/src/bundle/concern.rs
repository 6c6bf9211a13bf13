//! Whom the records of a cooperative's view concern, told from the records of the view alone.

use std::collections::{BTreeMap, BTreeSet};

use bergulir_chain::Position;
use bergulir_domain::event::{Paid, Undoes};
use bergulir_domain::{AccountId, CooperativeId, Event, FundId, LoanId};
use bergulir_proto::balances::BalanceKey;

/// Whom a record concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concern {
    /// Whoever checks the log: it names the log, its keys, or is a seal.
    Log,
    /// The cooperative, outside of any fund.
    Cooperative,
    /// One of its accounts.
    Account,
    /// Nobody of whom the view is.
    Others,
}

/// What is the cooperative's, as far as the records were taken in.
#[derive(Debug)]
pub(super) struct Own {
    cooperative: CooperativeId,
    is_registered: bool,
    /// Its accounts, and where each was opened.
    accounts: BTreeMap<BalanceKey, Position>,
    loans: BTreeSet<LoanId>,
    /// The records that proposed something about its accounts, loans apart.
    proposals: BTreeSet<u64>,
}

impl Own {
    pub(super) fn of(cooperative: CooperativeId) -> Own {
        Own {
            cooperative,
            is_registered: false,
            accounts: BTreeMap::new(),
            loans: BTreeSet::new(),
            proposals: BTreeSet::new(),
        }
    }

    /// Whether the record that registers the cooperative was among them.
    pub(super) fn is_registered(&self) -> bool {
        self.is_registered
    }

    /// Its accounts, and where each was opened.
    pub(super) fn accounts(&self) -> &BTreeMap<BalanceKey, Position> {
        &self.accounts
    }

    /// Takes in the next record, and says whom it concerns. What it stands on came before it.
    pub(super) fn take(&mut self, position: Position, event: &Event) -> Concern {
        match event {
            Event::LedgerOpened(_) if position == Position::ZERO => Concern::Log,
            Event::KeyRotated(_) | Event::LedgerContinued(_) | Event::Sealed(_) => Concern::Log,
            Event::CooperativeRegistered(e) => {
                self.is_registered |= e.cooperative == self.cooperative;
                self.cooperative(e.cooperative)
            }
            Event::OfficerAppointed(e) => self.cooperative(e.cooperative),
            Event::ReadinessConfirmed(e) => self.cooperative(e.cooperative),
            Event::AccountOpened(e) => {
                if e.cooperative == self.cooperative {
                    self.accounts.insert(BalanceKey::Account(e.fund, e.account), position);
                }
                self.account(e.fund, e.account)
            }
            Event::AccountSuspended(e) => self.account(e.fund, e.account),
            Event::AccountResumed(e) => self.account(e.fund, e.account),
            Event::AccountClosed(e) => self.account(e.fund, e.account),
            Event::BankAccountChangeProposed(e) => {
                let concern = self.account(e.command.fund, e.command.account);
                self.proposed(position, concern)
            }
            Event::BankAccountChanged(e) => self.account(e.fund, e.account),
            Event::GrantDisbursed(e) => self.account(e.fund, e.account),
            Event::LoanProposed(e) => {
                let concern = self.account(e.command.fund, e.command.account);
                if concern == Concern::Account {
                    self.loans.insert(e.command.loan);
                }
                concern
            }
            Event::LoanApproved(e) => self.loan(e.command.loan),
            Event::LoanRefused(e) => self.loan(e.loan),
            Event::LoanWithdrawn(e) => self.loan(e.loan),
            Event::Disbursed(e) => self.loan(e.loan),
            Event::Repaid(e) => self.loan(e.command.loan),
            Event::WriteOffProposed(e) => {
                let concern = self.loan(e.command.loan);
                self.proposed(position, concern)
            }
            Event::WrittenOff(e) => self.loan(e.loan),
            Event::Recovered(e) => self.loan(e.loan),
            Event::RestructuringProposed(e) => {
                let concern = self.loan(e.command.loan);
                self.proposed(position, concern)
            }
            Event::Restructured(e) => self.loan(e.loan),
            Event::DisbursementProposed(e) => {
                let concern = self.paid(e.command.payee.paid());
                self.proposed(position, concern)
            }
            Event::DisbursementApproved(e) => self.paid(e.paid),
            Event::DisbursementReturned(e) => self.paid(e.paid),
            Event::ReversalProposed(e) => {
                let concern = self.undoes(e.undoes);
                self.proposed(position, concern)
            }
            Event::Reversed(e) => self.proposal(e.proposal.get()),
            Event::ProposalRefused(e) => self.proposal(e.proposal.get()),
            Event::ProposalWithdrawn(e) => self.proposal(e.proposal.get()),
            Event::LedgerOpened(_)
            | Event::RulesAdopted(_)
            | Event::FundOpened(_)
            | Event::TermsChanged(_)
            | Event::FundAllocated(_)
            | Event::AllocationWithdrawalProposed(_)
            | Event::AllocationWithdrawn(_)
            | Event::PeriodCloseProposed(_)
            | Event::PeriodClosed(_) => Concern::Others,
        }
    }

    /// What decides on the proposal, or takes it back, concerns whom it concerns.
    fn proposed(&mut self, position: Position, concern: Concern) -> Concern {
        if concern == Concern::Account {
            self.proposals.insert(position.get());
        }
        concern
    }

    fn cooperative(&self, named: CooperativeId) -> Concern {
        if named == self.cooperative { Concern::Cooperative } else { Concern::Others }
    }

    fn account(&self, fund: FundId, account: AccountId) -> Concern {
        account_if(self.accounts.contains_key(&BalanceKey::Account(fund, account)))
    }

    fn loan(&self, loan: LoanId) -> Concern {
        account_if(self.loans.contains(&loan))
    }

    fn proposal(&self, at: u64) -> Concern {
        account_if(self.proposals.contains(&at))
    }

    fn paid(&self, paid: Paid) -> Concern {
        match paid {
            Paid::Loan(loan) => self.loan(loan),
            Paid::Grant(fund, account) => self.account(fund, account),
        }
    }

    fn undoes(&self, undoes: Undoes) -> Concern {
        match undoes {
            Undoes::Disbursement { paid, .. } | Undoes::Return { paid, .. } => self.paid(paid),
            Undoes::Repayment { loan, .. }
            | Undoes::WriteOff { loan, .. }
            | Undoes::Recovery { loan, .. } => self.loan(loan),
            Undoes::Allocation { .. } | Undoes::AllocationWithdrawal { .. } => Concern::Others,
        }
    }
}

fn account_if(is_own: bool) -> Concern {
    if is_own { Concern::Account } else { Concern::Others }
}
