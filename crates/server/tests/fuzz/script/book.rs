//! What a script knows of its ledger: what was answered, and nothing that it worked out itself.

use super::line::ODD;
use bergulir_proto::pb;
use bergulir_proto::pb::command::Kind;

#[derive(Debug, Clone)]
pub(super) struct Fund {
    pub(super) id: String,
    pub(super) gives: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Cooperative {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) chair: String,
    pub(super) treasurer: String,
}

#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) fund: String,
    pub(super) cooperative: String,
    pub(super) is_open: bool,
    pub(super) is_suspended: bool,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Loan {
    pub(super) id: String,
    pub(super) maker: String,
    pub(super) is_pending: bool,
    /// In units of money: to pay out, to pay back, and to recover.
    pub(super) undisbursed: i64,
    pub(super) outstanding: i64,
    pub(super) recoverable: i64,
}

/// What waits for a second person.
#[derive(Debug, Clone)]
pub(super) struct Proposal {
    pub(super) position: u64,
    pub(super) command: &'static str,
    pub(super) maker: String,
}

/// All of it; the newest is the last of each.
#[derive(Debug, Default)]
pub(super) struct Book {
    pub(super) rules: u32,
    pub(super) funds: Vec<Fund>,
    pub(super) cooperatives: Vec<Cooperative>,
    pub(super) accounts: Vec<Account>,
    pub(super) loans: Vec<Loan>,
    pub(super) proposals: Vec<Proposal>,
    pub(super) allocations: Vec<(u64, String)>,
    pub(super) payouts: Vec<u64>,
    /// Records of money, which can be reversed.
    pub(super) money: Vec<u64>,
    pub(super) closes: u32,
    /// What was made so far; names new things.
    pub(super) made: u32,
}

/// Of those that fit the one that is so many before the newest; of all if none fits, or if the number is high.
pub(super) fn choose<T>(of: &[T], number: usize, fits: impl Fn(&T) -> bool) -> Option<&T> {
    let fitting: Vec<&T> = of.iter().filter(|one| number >= ODD - 40 || fits(one)).collect();
    if fitting.is_empty() {
        return of.last();
    }
    Some(fitting[fitting.len() - 1 - number % fitting.len()])
}

impl Book {
    /// Takes in that a command was recorded.
    pub(super) fn learn(
        &mut self,
        kind: &Kind,
        position: u64,
        maker: &str,
        balances: Option<&pb::Balances>,
    ) {
        let propose = |book: &mut Book, command| {
            book.proposals.push(Proposal { position, command, maker: maker.to_owned() });
        };
        match kind {
            Kind::OpenLedger(command) => self.rules = command.rules_version,
            Kind::AdoptRules(command) => self.rules = command.version,
            Kind::OpenFund(command) => {
                let kind = command.terms.as_ref().map_or(0, |terms| terms.kind);
                let gives = kind == i32::from(pb::FundKind::Grant);
                self.funds.push(Fund { id: command.fund.clone(), gives });
            }
            Kind::RotateKey(_) | Kind::ChangeTerms(_) | Kind::ConfirmReadiness(_) => {}
            Kind::AllocateFund(command) => {
                self.allocations.push((position, command.fund.clone()));
                self.money.push(position);
            }
            Kind::RegisterCooperative(command) => self.cooperatives.push(Cooperative {
                id: command.cooperative.clone(),
                name: command.registered_name.clone(),
                ..Cooperative::default()
            }),
            Kind::AppointOfficer(command) => {
                let found = self.cooperatives.iter_mut().find(|one| one.id == command.cooperative);
                if let Some(cooperative) = found {
                    match command.office() {
                        pb::Office::Chair => cooperative.chair.clone_from(&command.officer),
                        _ => cooperative.treasurer.clone_from(&command.officer),
                    }
                }
            }
            Kind::OpenAccount(command) => self.accounts.push(Account {
                id: command.account.clone(),
                fund: command.fund.clone(),
                cooperative: command.cooperative.clone(),
                is_open: true,
                is_suspended: false,
            }),
            Kind::SuspendAccount(command) => {
                self.account(&command.fund, &command.account, |account| {
                    account.is_suspended = true;
                });
            }
            Kind::ResumeAccount(command) => {
                self.account(&command.fund, &command.account, |account| {
                    account.is_suspended = false;
                });
            }
            Kind::CloseAccount(command) => {
                self.account(&command.fund, &command.account, |account| account.is_open = false);
            }
            Kind::ProposeLoan(command) => self.loans.push(Loan {
                id: command.loan.clone(),
                maker: maker.to_owned(),
                is_pending: true,
                ..Loan::default()
            }),
            Kind::ApproveLoan(pb::ApproveLoan { loan })
            | Kind::RefuseLoan(pb::RefuseLoan { loan, .. })
            | Kind::WithdrawLoan(pb::WithdrawLoan { loan, .. }) => {
                self.loans
                    .iter_mut()
                    .filter(|one| one.id == *loan)
                    .for_each(|one| one.is_pending = false);
            }
            Kind::Disburse(_) | Kind::DisburseGrant(_) => {
                self.payouts.push(position);
                self.money.push(position);
            }
            Kind::ReturnDisbursement(command) => {
                self.payouts.retain(|payout| *payout != command.disbursement);
                self.money.push(position);
            }
            Kind::Repay(_) | Kind::RecordRecovery(_) => self.money.push(position),
            Kind::ProposeAllocationWithdrawal(_) => propose(self, "Withdrawal"),
            Kind::ProposePeriodClose(_) => propose(self, "PeriodClose"),
            Kind::ProposeBankAccountChange(_) => propose(self, "BankAccountChange"),
            Kind::ProposeDisbursement(_) => propose(self, "Disbursement"),
            Kind::ProposeWriteOff(_) => propose(self, "WriteOff"),
            Kind::ProposeRestructuring(_) => propose(self, "Restructuring"),
            Kind::ProposeReversal(_) => propose(self, "Reversal"),
            Kind::ApproveAllocationWithdrawal(pb::ApproveAllocationWithdrawal {
                proposal, ..
            })
            | Kind::ApproveWriteOff(pb::ApproveWriteOff { proposal, .. }) => {
                self.decided(*proposal);
                self.money.push(position);
            }
            Kind::ApproveDisbursement(command) => {
                self.decided(command.proposal);
                self.payouts.push(position);
                self.money.push(position);
            }
            Kind::ApprovePeriodClose(command) => {
                self.decided(command.proposal);
                self.closes += 1;
            }
            Kind::ApproveBankAccountChange(pb::ApproveBankAccountChange { proposal })
            | Kind::ApproveRestructuring(pb::ApproveRestructuring { proposal })
            | Kind::ApproveReversal(pb::ApproveReversal { proposal })
            | Kind::RefuseProposal(pb::RefuseProposal { proposal, .. })
            | Kind::WithdrawProposal(pb::WithdrawProposal { proposal, .. }) => {
                self.decided(*proposal);
            }
        }
        if let Some(balances) = balances.and_then(|balances| balances.loan.as_ref()) {
            let id = balances.loan.rsplit('/').next().unwrap_or_default();
            let units = |money: &Option<pb::Money>| money.as_ref().map_or(0, |money| money.units);
            if let Some(loan) = self.loans.iter_mut().find(|loan| loan.id == id) {
                loan.undisbursed = units(&balances.undisbursed);
                loan.outstanding = units(&balances.outstanding);
                loan.recoverable = units(&balances.recoverable);
            }
        }
    }

    fn account(&mut self, fund: &str, id: &str, change: impl FnOnce(&mut Account)) {
        let mut accounts = self.accounts.iter_mut();
        if let Some(account) = accounts.find(|account| account.fund == fund && account.id == id) {
            change(account);
        }
    }

    fn decided(&mut self, proposal: u64) {
        self.proposals.retain(|waiting| waiting.position != proposal);
    }
}
