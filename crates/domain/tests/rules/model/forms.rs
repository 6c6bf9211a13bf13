//! Commands that are wrong by themselves, whatever the ledger holds.

use super::verdict::unless;
use super::{Model, Verdict, Why};
use bergulir_domain::command::{ConfirmReadiness, RegisterCooperative};
use bergulir_domain::cooperative::{CooperativeKind, ReadinessItem};
use bergulir_domain::money::Rate;
use bergulir_domain::terms::{InterestMethod, LoanTerms, Purpose, Terms};

/// The village lies in the region of the ledger, and its code tells the kind of its cooperative.
pub(super) fn village(c: &RegisterCooperative) -> Verdict {
    let code = c.village.to_string();
    let kind = match code.rsplit('.').next().and_then(|group| group.chars().next()) {
        Some('1') => CooperativeKind::Kkmp,
        _ => CooperativeKind::Kdmp,
    };
    unless(code.starts_with("36.03.") && c.kind == kind, Why::Village)
}

pub(super) fn terms(terms: &Terms) -> Verdict {
    let days = terms.proposal_validity_days.unwrap_or(1);
    let loan = match &terms.purpose {
        Purpose::Loan(loan) => loan_terms(loan),
        Purpose::Grant => Verdict::new(),
    };
    unless(days > 0, Why::Terms).into_iter().chain(loan).collect()
}

/// A month to repay in is left, and whoever asks no interest states no rate.
pub(super) fn loan_terms(terms: &LoanTerms) -> Verdict {
    let free = terms.method == InterestMethod::None;
    let no_rate = Rate::from_units(0).unwrap() == terms.rate;
    unless(terms.grace_months < terms.tenor_months && (!free || no_rate), Why::Terms)
}

impl Model {
    /// An item has the number that its registry gives, or none if there is no registry.
    pub(super) fn number(&self, c: &ConfirmReadiness) -> Verdict {
        let digits = |lengths: &[usize]| {
            let number = c.number.as_ref().map_or("", |number| number.as_str());
            lengths.contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit())
        };
        let registered = self.cooperatives.get(&c.cooperative).and_then(|it| it.number.as_ref());
        let is_right = match c.item {
            ReadinessItem::LegalEntity => c.number.is_some(),
            ReadinessItem::CooperativeNumber => {
                c.number.is_some()
                    && registered.is_none_or(|number| Some(number) == c.number.as_ref())
            }
            ReadinessItem::BusinessNumber => digits(&[13]),
            ReadinessItem::TaxNumber => digits(&[15, 16]),
            ReadinessItem::BankAccount
            | ReadinessItem::BusinessPlan
            | ReadinessItem::OfficersTrained => c.number.is_none(),
        };
        unless(is_right, Why::Number)
    }
}
