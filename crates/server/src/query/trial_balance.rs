//! The trial balance: every book of a fund on its side, and both sides the same.

use super::moment::Moment;
use crate::access::Pass;
use crate::refusal::{not_found, read_status};
use crate::resources::{View, money};
use crate::services::{Services, parse};
use bergulir_domain::postings::{Book, Books};
use bergulir_domain::rejection::Resource;
use bergulir_domain::state::FundIndex;
use bergulir_engine::Owner;
use bergulir_proto::name::{BooksName, FundName};
use bergulir_proto::{WireEnum, pb};
use tonic::Status;

pub(super) async fn get_trial_balance(
    services: &Services,
    pass: &Pass,
    request: pb::GetTrialBalanceRequest,
) -> Result<pb::GetTrialBalanceResponse, Status> {
    let name: BooksName = parse("name", &request.name)?;
    let (ledger, scope) = services.ledger(
        pass,
        match name {
            BooksName::Ledger(ledger) => ledger,
            BooksName::Fund(name) => name.ledger,
        },
    )?;
    match name {
        // With some of its funds left out it would be another one.
        BooksName::Ledger(_) => scope.whole()?,
        BooksName::Fund(name) => scope.fund(name.fund)?,
    }
    let moment = Moment::from(request.as_of);
    let at = moment.position(&ledger, request.min_position).await?;
    let look = |view: &View<'_>| {
        let mut funds: Vec<(FundName, FundIndex, Books)> = Vec::new();
        match name {
            BooksName::Fund(name) => {
                let index = view.find_fund(name.fund)?;
                funds.push((name, index, view.state.funds().get(index).balances.books));
            }
            BooksName::Ledger(_) => {
                let all = view.state.funds().iter();
                funds.extend(
                    all.map(|(index, fund)| (view.fund_name(index), index, fund.balances.books)),
                );
                funds.sort_unstable_by_key(|(name, ..)| name.fund);
            }
        }
        Ok(funds)
    };
    let (funds, now) = services.look(&ledger, request.min_position, look).await?;
    let mut response = pb::GetTrialBalanceResponse {
        funds: Vec::with_capacity(funds.len()),
        as_of_position: at.map_or(now, bergulir_chain::Position::get),
    };
    for (fund, index, mut books) in funds {
        if let Some(at) = at {
            let found = ledger.balances_at(Owner::Fund(index), at).await;
            let found = found.map_err(|refused| read_status(&refused))?;
            match (found.and_then(|(_, then)| then.balances.fund), name) {
                (Some(balances), _) => books = balances.books,
                // Not opened by then: it has no line among all funds, and does not exist by itself.
                (None, BooksName::Ledger(_)) => continue,
                (None, BooksName::Fund(name)) => {
                    return Err(not_found(Resource::Fund(name.fund)));
                }
            }
        }
        response.funds.push(of_fund(fund, &books));
    }
    Ok(response)
}

fn of_fund(fund: FundName, books: &Books) -> pb::FundTrialBalance {
    let (mut total_debit, mut total_credit) = (0_i64, 0_i64);
    let lines = Book::ALL.map(|book| {
        let balance = books.balance(book);
        let (debit, credit) = (balance.max(0), balance.min(0).saturating_neg());
        // Each side is at most what was ever allocated and earned, which the rules keep in range.
        total_debit = total_debit.saturating_add(debit);
        total_credit = total_credit.saturating_add(credit);
        pb::TrialBalanceLine { book: book.to_wire(), debit: money(debit), credit: money(credit) }
    });
    pb::FundTrialBalance {
        fund: fund.to_string(),
        lines: lines.to_vec(),
        total_debit: money(total_debit),
        total_credit: money(total_credit),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_domain::postings::JournalEntry;

    #[test]
    fn both_sides_of_a_trial_balance_are_the_same() {
        let entry = JournalEntry::of(Book::Cash, Book::Capital, 500)
            .and(Book::PrincipalReceivable, Book::Cash, 200)
            .and(Book::Cash, Book::InterestIncome, 7);
        let books = Books::default().with(&entry).unwrap();
        let name: FundName = "ledgers/l/funds/f".parse().unwrap();
        let shown = of_fund(name, &books);
        assert_eq!(shown.total_debit, money(507));
        assert_eq!(shown.total_credit, money(507));
        let cash = &shown.lines[Book::Cash as usize];
        assert_eq!((cash.debit.clone(), cash.credit.clone()), (money(307), money(0)));
        let capital = &shown.lines[Book::Capital as usize];
        assert_eq!((capital.debit.clone(), capital.credit.clone()), (money(0), money(500)));
    }
}
