//! Trails: which records concern a fund, a cooperative or an account, and the balances right after
//! each, so that a balance as of any past position is one look-up.

use crate::submission::Balances;
use bergulir_domain::postings::Books;
use bergulir_domain::state::{
    AccountBalances, AccountIndex, CooperativeIndex, FundBalances, FundIndex, LoanBalances,
    LoanIndex,
};
use bergulir_store::index::Line;

/// Whose trail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A fund's.
    Fund(FundIndex),
    /// A cooperative's own, without those of its accounts.
    Cooperative(CooperativeIndex),
    /// An account's, its loans included.
    Account(AccountIndex),
}

impl Owner {
    /// The number under which the index keeps the trail. Two bits tell the kind: a ledger has
    /// fewer than 2^30 of each.
    pub(crate) fn key(self) -> u32 {
        match self {
            Owner::Account(index) => index.get(),
            Owner::Cooperative(index) => 0x4000_0000 | index.get(),
            Owner::Fund(index) => 0x8000_0000 | index.get(),
        }
    }
}

/// What a trail says of one record besides its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// The loan that the record concerned, with its balances if it is approved.
    pub loan: Option<LoanIndex>,
    /// The balances right after the record.
    pub balances: Balances,
    /// The record does not concern the owner: proposals of its that had lapsed were released by
    /// then, which the balances show.
    pub lapsed: bool,
}

const FUND: u8 = 1;
const ACCOUNT: u8 = 2;
const LOAN: u8 = 4;
const LOAN_BALANCES: u8 = 8;
const LAPSED: u8 = 16;

const BOOKS: usize = 9;
const FUND_NUMBERS: usize = BOOKS + 3;
const ACCOUNT_NUMBERS: usize = 17;

impl Running {
    /// What a fund's trail keeps: a tag and numbers.
    pub(crate) fn of_fund(balances: &FundBalances) -> (u8, [i64; FUND_NUMBERS]) {
        let mut numbers = [0; FUND_NUMBERS];
        let (books, own) = numbers.split_at_mut(BOOKS);
        books.copy_from_slice(balances.books.balances());
        own.copy_from_slice(&[balances.income_apart, balances.committed, balances.reserved]);
        (FUND, numbers)
    }

    /// What an account's trail keeps. Numbers that are not there are zero, which takes no bytes.
    pub(crate) fn of_account(
        account: &AccountBalances,
        loan: Option<LoanIndex>,
        loan_balances: Option<&LoanBalances>,
    ) -> (u8, [i64; ACCOUNT_NUMBERS]) {
        let loan_tag = if loan.is_some() { LOAN } else { 0 };
        let balances_tag = if loan_balances.is_some() { LOAN_BALANCES } else { 0 };
        let (a, l) = (account, loan_balances.copied().unwrap_or_default());
        let numbers = [
            a.pending,
            a.committed,
            a.disbursed,
            a.principal_repaid,
            a.interest_paid,
            a.late_fees_paid,
            a.granted,
            loan.map_or(0, |loan| i64::from(loan.get())),
            l.disbursed,
            l.principal_repaid,
            l.interest_paid,
            l.late_fees_paid,
            a.written_off,
            a.recovered,
            l.written_off,
            l.claim_ended,
            l.recovered,
        ];
        (ACCOUNT | loan_tag | balances_tag, numbers)
    }

    /// Marks the line of an owner whom the record itself does not concern.
    pub(crate) const fn lapsed(tag: u8) -> u8 {
        tag | LAPSED
    }

    /// Reads what [`Running::of_fund`] or [`Running::of_account`] made; `None` if it is damaged. No
    /// numbers are no balances: what a cooperative's own trail keeps.
    pub(crate) fn read(line: &Line) -> Option<Running> {
        let tag = line.tag;
        let mut running = Running { lapsed: tag & LAPSED != 0, ..Running::default() };
        match tag & (FUND | ACCOUNT) {
            0 if line.numbers.is_empty() => {}
            FUND => {
                let numbers: &[i64; FUND_NUMBERS] = line.numbers.as_slice().try_into().ok()?;
                let (books, own) = numbers.split_first_chunk::<BOOKS>()?;
                let [income_apart, committed, reserved] = *own.first_chunk()?;
                let books = Books::new(*books)?;
                running.balances.fund =
                    Some(FundBalances { books, income_apart, committed, reserved });
            }
            ACCOUNT => {
                let numbers: &[i64; ACCOUNT_NUMBERS] = line.numbers.as_slice().try_into().ok()?;
                let (of_account, more) = numbers.split_first_chunk::<7>()?;
                let (of_loan, given_up) = more.split_first_chunk::<5>()?;
                let [pending, committed, disbursed, principal_repaid, interest_paid, ..] =
                    *of_account;
                let [.., late_fees_paid, granted] = *of_account;
                let [loan, paid @ ..] = *of_loan;
                let [written_off, recovered, losses @ ..] = *given_up.first_chunk::<5>()?;
                running.balances.account = Some(AccountBalances {
                    pending,
                    committed,
                    disbursed,
                    principal_repaid,
                    interest_paid,
                    late_fees_paid,
                    granted,
                    written_off,
                    recovered,
                });
                if tag & LOAN != 0 {
                    running.loan = Some(LoanIndex::new(u32::try_from(loan).ok()?));
                }
                if tag & LOAN_BALANCES != 0 {
                    running.balances.loan = Some(LoanBalances {
                        disbursed: paid[0],
                        principal_repaid: paid[1],
                        interest_paid: paid[2],
                        late_fees_paid: paid[3],
                        written_off: losses[0],
                        claim_ended: losses[1],
                        recovered: losses[2],
                    });
                }
            }
            _ => return None,
        }
        Some(running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_domain::postings::{Book, JournalEntry};

    fn line<const COUNT: usize>((tag, numbers): (u8, [i64; COUNT])) -> Line {
        Line { tag, numbers: numbers.to_vec() }
    }

    #[test]
    fn what_a_trail_keeps_reads_back() {
        let entry = JournalEntry::of(Book::Cash, Book::Capital, 580_000_000_000);
        let fund = FundBalances {
            books: Books::default().with(&entry).unwrap(),
            income_apart: 7,
            committed: i64::MAX,
            reserved: 9,
        };
        let mut kept = line(Running::of_fund(&fund));
        assert_eq!(Running::read(&kept).unwrap().balances.fund, Some(fund));
        kept.tag = Running::lapsed(kept.tag);
        assert!(Running::read(&kept).unwrap().lapsed);

        let account = AccountBalances {
            pending: 1,
            committed: 2,
            disbursed: 3,
            principal_repaid: 4,
            interest_paid: 5,
            late_fees_paid: -6,
            granted: i64::MAX,
            written_off: 10,
            recovered: 11,
        };
        let loan = LoanBalances {
            disbursed: 7,
            principal_repaid: 8,
            interest_paid: 9,
            late_fees_paid: -1,
            written_off: 12,
            claim_ended: 13,
            recovered: 14,
        };
        let index = LoanIndex::new(300);
        let kept = line(Running::of_account(&account, Some(index), Some(&loan)));
        let running = Running::read(&kept).unwrap();
        assert_eq!(running.loan, Some(index));
        assert_eq!(running.balances.account, Some(account));
        assert_eq!(running.balances.loan, Some(loan));
        let kept = line(Running::of_account(&account, None, None));
        let running = Running::read(&kept).unwrap();
        assert_eq!((running.loan, running.balances.loan), (None, None));
    }

    #[test]
    fn what_is_no_line_of_a_trail_is_refused() {
        assert_eq!(Running::read(&Line::default()), Some(Running::default()));
        for (tag, count) in [(0, 1), (FUND, 11), (ACCOUNT, 0), (FUND | ACCOUNT, 12)] {
            assert_eq!(Running::read(&Line { tag, numbers: vec![0; count] }), None);
        }
    }
}
