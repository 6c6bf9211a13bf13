//! What one proposes and another decides on.

use super::super::{Model, Pending, Subject, Verdict, Why};
use super::{all, unless};
use bergulir_domain::command::Command;
use bergulir_domain::{LoanId, Position, PrincipalId, Timestamp};

impl Model {
    pub(super) fn pending_at(&self, at: Position) -> Option<&Pending> {
        self.pending.iter().find(|p| p.at == at.get())
    }

    /// The model as if that proposal had never been made.
    pub(super) fn without(&self, at: Position) -> Model {
        let mut model = self.clone();
        model.pending.retain(|p| p.at != at.get());
        model
    }

    pub(super) fn decides(
        &self,
        by: PrincipalId,
        at: Position,
        verdict: impl FnOnce(Subject) -> Verdict,
    ) -> Verdict {
        match self.pending_at(at) {
            None => Verdict::from([Why::NotPending]),
            Some(p) => all([unless(p.maker != by, Why::SamePerson), verdict(p.subject)]),
        }
    }

    pub(super) fn decides_on_loan(
        &self,
        by: PrincipalId,
        loan: LoanId,
        verdict: impl FnOnce(Position) -> Verdict,
    ) -> Verdict {
        if !self.loans.contains_key(&loan) {
            return Verdict::from([Why::NotFound]);
        }
        let mut pending = self.pending.iter();
        match pending.find(|p| p.subject == Subject::Loan(loan)) {
            None => Verdict::from([Why::NotPending]),
            Some(p) => all([unless(p.maker != by, Why::SamePerson), verdict(Position::new(p.at))]),
        }
    }

    pub(super) fn takes_back_loan(&self, by: PrincipalId, loan: LoanId) -> Verdict {
        if !self.loans.contains_key(&loan) {
            return Verdict::from([Why::NotFound]);
        }
        let mut pending = self.pending.iter();
        match pending.find(|p| p.subject == Subject::Loan(loan)) {
            None => Verdict::from([Why::NotPending]),
            Some(p) => unless(p.maker == by, Why::NotMaker),
        }
    }

    /// A proposal must name a time to come, and what it would use must be there.
    pub(super) fn proposal(
        &self,
        by: PrincipalId,
        expires: Option<Timestamp>,
        command: &Command,
    ) -> Verdict {
        all([
            unless(
                expires.is_none_or(|t| {
                    (self.now + 1..=self.now + 366 * 86_400_000_000).contains(&t.as_micros())
                }),
                Why::Expiry,
            ),
            self.breaks(by, command),
            self.breaks_at_once(by, command),
        ])
    }
}
