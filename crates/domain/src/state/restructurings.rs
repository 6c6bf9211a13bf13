//! The terms that loans got after their approval. Most keep those that are in their row; what they were
//! restructured to stands beside the rows.

use super::{LoanIndex, State};
use crate::moment::{Date, Position};
use crate::terms::LoanTerms;

/// Terms that a loan got by an addendum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restructuring {
    /// The day from which they hold; of two from one day, the later one does.
    pub effective_from: Date,
    /// The terms.
    pub terms: LoanTerms,
}

impl State {
    /// What a loan was restructured to, and the records that did it, in their order; that is also the
    /// order of the days from which they hold.
    pub fn restructurings_of(
        &self,
        loan: LoanIndex,
    ) -> impl Iterator<Item = (Position, &Restructuring)> {
        let of_loan = self.restructurings.from((loan, Position::new(0)));
        of_loan.take_while(move |((of, _), _)| *of == loan).map(|((_, at), terms)| (*at, terms))
    }

    /// The terms of a loan on a day; `None` if it was not approved.
    pub fn loan_terms(&self, loan: LoanIndex, day: Date) -> Option<&LoanTerms> {
        let begun = self.restructurings_of(loan).filter(|(_, new)| new.effective_from <= day);
        let newest = begun.last().map(|(_, new)| &new.terms);
        newest.or_else(|| self.loans.get(loan).active().map(|active| &active.approval.terms))
    }
}
