//! What must still hold once a command has happened to a copy of the model.

use super::super::{Model, Verdict, What, Why};
use super::unless;
use bergulir_domain::command::Command;
use bergulir_domain::{CooperativeId, FundId, PrincipalId};

impl Model {
    /// A reversal must be possible as things stand, not only when it is approved.
    pub(super) fn breaks_at_once(&self, by: PrincipalId, command: &Command) -> Verdict {
        let Command::ProposeReversal(c) = command else {
            return Verdict::new();
        };
        let mut after = self.clone();
        after.apply(by, command);
        let at = c.reverses.get();
        let posting = after.postings.iter_mut().find(|p| p.at == at);
        posting.unwrap().reversed = true;
        after.pending.pop();
        after.broken(self)
    }

    pub(super) fn breaks(&self, by: PrincipalId, command: &Command) -> Verdict {
        self.breaks_from(self, by, command)
    }

    /// What no longer holds once the command has happened.
    pub(super) fn breaks_from(
        &self,
        before: &Model,
        by: PrincipalId,
        command: &Command,
    ) -> Verdict {
        let mut after = self.clone();
        after.apply(by, command);
        after.broken(before)
    }

    pub(super) fn broken(&self, before: &Model) -> Verdict {
        let mut verdict = Verdict::new();
        for fund in self.funds.keys() {
            let sums = self.fund_sums(*fund);
            let committable = sums.available - sums.committed - sums.reserved;
            let enough = sums.cash >= 0 && sums.available >= 0 && committable >= 0;
            verdict.extend(unless(enough, Why::Funds));
            for cooperative in self.cooperatives.keys() {
                let exposure = self.exposure(*fund, *cooperative);
                let within = exposure <= self.terms(*fund).ceiling.minor();
                let more = || exposure > before.exposure(*fund, *cooperative);
                verdict.extend(unless(within || !more(), Why::Ceiling));
            }
        }
        for (id, loan) in &self.loans {
            let [disbursed, repaid, ..] = self.loan_sums(*id);
            let headroom = self.uses().filter_map(|uses| uses.headroom);
            let reserved: i64 = headroom.filter(|(l, _)| l == id).map(|(_, n)| n).sum();
            verdict.extend(unless(disbursed + reserved <= loan.principal, Why::LoanLimit));
            let [.., written_off, ended, recovered] = self.loan_sums(*id);
            verdict.extend(unless(repaid + written_off <= disbursed, Why::Outstanding));
            verdict.extend(unless(ended + recovered <= written_off, Why::WriteOff));
        }
        for posting in &self.postings {
            let What::Allocation(_) = posting.what else {
                continue;
            };
            let withdrawal = What::Withdrawal { allocation: posting.at };
            let withdrawals = self.live().filter(|p| p.what == withdrawal);
            let taken: i64 = withdrawals.map(|p| p.amount).sum();
            let uses = self.uses().filter_map(|uses| uses.allocation);
            let reserved: i64 = uses.filter(|(at, _)| *at == posting.at).map(|(_, n)| n).sum();
            let there = if posting.reversed { 0 } else { posting.amount };
            verdict.extend(unless(taken + reserved <= there, Why::Allocation));
        }
        verdict
    }

    /// What counts against the ceiling of a cooperative.
    pub(super) fn exposure(&self, fund: FundId, cooperative: CooperativeId) -> i64 {
        let accounts = self.accounts.iter();
        accounts
            .filter(|((of, _), a)| *of == fund && a.cooperative == cooperative)
            .flat_map(|(account, _)| self.account_sums(*account))
            .sum()
    }
}
