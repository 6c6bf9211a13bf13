//! Whom a command concerned, by name: taken from the state in a moment, turned into text later.

use crate::resources::{View, account_balances, fund_balances, loan_balances};
use bergulir_domain::{Command, Touched};
use bergulir_engine::Balances;
use bergulir_proto::name::{AccountName, FundName, LoanName};
use bergulir_proto::pb;

/// The fund, the account and the loan that a command concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Concerned {
    fund: Option<FundName>,
    account: Option<AccountName>,
    /// With its principal in minor units.
    loan: Option<(LoanName, i64)>,
}

impl Concerned {
    pub(crate) fn new(view: &View<'_>, touched: Touched) -> Concerned {
        Concerned {
            fund: touched.fund.map(|index| view.fund_name(index)),
            account: touched.account.map(|index| view.account_name(index)),
            loan: touched.loan.map(|index| {
                let principal = view.state.loans().get(index).principal.minor();
                (view.loan_name(index), principal)
            }),
        }
    }

    /// The balances under their names.
    pub(crate) fn balances(&self, balances: &Balances) -> pb::Balances {
        pb::Balances {
            fund: self
                .fund
                .zip(balances.fund)
                .map(|(name, balances)| fund_balances(name, &balances)),
            account: self
                .account
                .zip(balances.account)
                .map(|(name, balances)| account_balances(name, &balances)),
            loan: self
                .loan
                .map(|(name, principal)| loan_balances(name, principal, balances.loan.as_ref())),
        }
    }
}

/// Whom a command that was only validated concerned, of those who are there: not what it would
/// have made.
pub(crate) fn there_already(command: &Command, touched: Touched) -> Touched {
    match command {
        Command::OpenFund(_) => Touched { fund: None, ..touched },
        Command::RegisterCooperative(_) => Touched { cooperative: None, ..touched },
        Command::OpenAccount(_) => Touched { account: None, ..touched },
        Command::ProposeLoan(_) => Touched { loan: None, ..touched },
        Command::OpenLedger(_)
        | Command::AdoptRules(_)
        | Command::RotateKey(_)
        | Command::ContinueLedger(_)
        | Command::ChangeTerms(_)
        | Command::AllocateFund(_)
        | Command::ProposeAllocationWithdrawal(_)
        | Command::ApproveAllocationWithdrawal(_)
        | Command::ProposePeriodClose(_)
        | Command::ApprovePeriodClose(_)
        | Command::AppointOfficer(_)
        | Command::ConfirmReadiness(_)
        | Command::SuspendAccount(_)
        | Command::ResumeAccount(_)
        | Command::CloseAccount(_)
        | Command::ProposeBankAccountChange(_)
        | Command::ApproveBankAccountChange(_)
        | Command::ApproveLoan(_)
        | Command::RefuseLoan(_)
        | Command::WithdrawLoan(_)
        | Command::Disburse(_)
        | Command::DisburseGrant(_)
        | Command::ProposeDisbursement(_)
        | Command::ApproveDisbursement(_)
        | Command::ReturnDisbursement(_)
        | Command::Repay(_)
        | Command::ProposeWriteOff(_)
        | Command::ApproveWriteOff(_)
        | Command::RecordRecovery(_)
        | Command::ProposeRestructuring(_)
        | Command::ApproveRestructuring(_)
        | Command::ProposeReversal(_)
        | Command::ApproveReversal(_)
        | Command::RefuseProposal(_)
        | Command::WithdrawProposal(_)
        | Command::Seal(_) => touched,
    }
}
