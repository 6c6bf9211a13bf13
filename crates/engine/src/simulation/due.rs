//! What random steps hardly come to: what could be done as things stand, so that proposals are approved
//! and what follows from them is reached; and what cannot, so that each rule refuses something.

use super::commands::{bank, id, propose_bank_account, propose_reversal, repay};
use super::run::Run;
use super::steps::{Ask, Bank, PRINCIPALS, Step, Wait};
use bergulir_domain::command::{self as c, Command};
use bergulir_domain::rejection::AccountStatus;
use bergulir_domain::state::Subject;
use bergulir_domain::{Event, PrincipalId};

impl Run {
    /// A step that could be taken as things stand: mostly one that somebody waits for.
    pub(super) fn due(&mut self) -> Option<Step> {
        let state = &self.machine.as_ref().unwrap().writer.state;
        let mut due = Vec::new();
        for (_, proposal) in state.proposals().iter() {
            let approval = match proposal.subject {
                Subject::Loan(_) => {
                    due.extend([Ask::ApproveLoan; 3]);
                    due.extend([Ask::RefuseLoan, Ask::WithdrawLoan]);
                    continue;
                }
                Subject::AllocationWithdrawal { .. } => Ask::ApproveWithdrawal,
                Subject::Reversal { .. } => Ask::ApproveReversal,
                Subject::BankAccountChange { .. } => Ask::ApproveBank,
                Subject::PeriodClose { .. } => Ask::ApproveClose,
                Subject::Disbursement { .. } => Ask::ApprovePayment,
                Subject::WriteOff { .. } => Ask::ApproveWriteOff,
                Subject::Restructuring { .. } => Ask::ApproveRestructuring,
            };
            due.extend([approval; 6]);
            if approval == Ask::ApproveBank {
                // The money would go to the account that is given up.
                due.extend([Ask::ProposePayment; 9]);
            }
            due.extend([Ask::RefuseProposal, Ask::WithdrawProposal]);
        }
        for (_, account) in state.accounts().iter() {
            if account.status == AccountStatus::Suspended {
                due.push(Ask::Resume);
            }
        }
        for (_, loan) in state.loans().iter() {
            let Some(active) = loan.active() else { continue };
            if active.balances().outstanding() > 0 {
                due.extend([Ask::Repay, Ask::ProposeWriteOff, Ask::Restructure]);
            }
            if active.balances().recoverable() > 0 {
                due.extend([Ask::Recover; 3]);
            }
        }
        let ask = *due.get(self.among(due.len().max(1)))?;
        let mut pick = || u8::try_from(self.chance.below(240)).unwrap();
        // Neither a name that is not there nor a time that is over is picked.
        let pick = [pick() & 0xf7, pick() & 0xf7, pick(), 64 + pick() % 128];
        let by = self.among(3);
        Some(Step { ask, by, wait: Wait::Nothing, pick, bank: Bank::Fresh, dated: 0 })
    }

    fn any(&mut self, below: u64) -> u8 {
        u8::try_from(self.chance.below(below)).unwrap()
    }

    /// A step that the rules refuse, mostly. What each number picks stands in `steps.rs`.
    pub(super) fn mistake(&mut self) -> Step {
        let (a, b) = (self.any(2), self.any(200));
        let (ask, pick, dated) = match self.chance.below(32) {
            0 => (Ask::RotateKey, [5 * a, 1, 0, 0], 0),
            1 => (Ask::AdoptRules, [3, 0, 0, 0], 0),
            2 => (Ask::RotateKey, [a, 0, 0, 0], 0),
            3 | 4 => (Ask::ChangeTerms, [a, b, 0, 100], 0),
            5 | 6 => (Ask::ChangeTerms, [a, b, 100, 201], 52),
            7 => (Ask::ChangeTerms, [a, b, 128, 101], 0),
            8 | 9 => (Ask::OpenFund, [a, b, 0, 1], 0),
            10 | 11 => (Ask::Restructure, [a, b, 100, 200], 58),
            12 | 13 => (Ask::Register, [3, 3, 0, 200], 0),
            14 | 15 => (Ask::Register, [4, 4, 100, 0], 0),
            16 | 17 => (Ask::ProposeReversal, [b % 12, 250, 0, 200], 0),
            18 => (Ask::ProposeClose, [a, b, 0, 230], 0),
            19 | 20 => (Ask::Appoint, [1 + a, 0, 1, 0], 0),
            21 => (Ask::Appoint, [1 + a, a, 2 + a, 0], 0),
            22 | 23 => (Ask::Confirm, [1 + a, b, 40, 200], 0),
            24 => (Ask::ProposeBank, [a, b, 250, 200], 0),
            25 => (Ask::ProposeBank, [1 + a, b, 0, 203], 0),
            26 | 27 => (Ask::Allocate, [a, b, 0, 200], 58),
            28 => (Ask::OpenAccount, [1 + a, 3, 0, 64], 0),
            29 | 30 => (Ask::Disburse, [a, b, 0, 200], 0),
            _ => (Ask::OpenAccount, [3 + a, 3, 210, 65], 0),
        };
        let by = self.among(3);
        Step { ask, by, wait: Wait::Nothing, pick, bank: Bank::Fresh, dated }
    }

    /// What has become impossible by what was recorded, if there is anything.
    pub(super) fn in_vain(&mut self) -> Option<(PrincipalId, Command)> {
        let state = &self.machine.as_ref().unwrap().writer.state;
        let mut vain = Vec::new();
        for (header, event) in &self.events {
            let reversal = || Command::ProposeReversal(propose_reversal(header.position));
            match event {
                Event::Reversed(_) => vain.push(reversal()),
                Event::WrittenOff(written_off) => {
                    let index = state.loans().find(&written_off.loan);
                    let loan = index.and_then(|index| state.loans().get(index).active());
                    if loan.is_some_and(|active| active.balances().recovered > 0) {
                        vain.push(reversal());
                    }
                }
                _ => {}
            }
        }
        for (_, loan) in state.loans().iter() {
            if loan.active().is_some_and(|active| active.balances().claim_has_ended()) {
                self.fresh += 1;
                let bank_reference = bank(&format!("V-{}", self.fresh));
                let ended = c::Repay { bank_reference, ..repay(loan.id.as_str(), [0, 0, 1]) };
                vain.push(Command::Repay(ended));
            }
        }
        for (_, proposal) in state.proposals().iter() {
            let Subject::BankAccountChange { account, bank_account } = &proposal.subject else {
                continue;
            };
            let account = state.accounts().get(*account);
            let fund = state.funds().get(account.fund).id;
            let second = propose_bank_account(account.id.as_str(), "2");
            let second = c::ProposeBankAccountChange { fund, ..second };
            vain.push(Command::ProposeBankAccountChange(second));
            let other = if account.id == id("a1") { "a2" } else { "a1" };
            vain.push(Command::ProposeBankAccountChange(c::ProposeBankAccountChange {
                fund,
                bank_account: bank_account.clone(),
                ..propose_bank_account(other, "1")
            }));
        }
        let place = self.among(vain.len().max(1));
        let command = vain.into_iter().nth(place)?;
        Some((id(PRINCIPALS[self.among(3)]), command))
    }
}
