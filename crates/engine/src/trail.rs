//! Trails: which records concern a fund, a cooperative or an account, and the balances right after
//! each, so that a balance as of any past position is one look-up.

use crate::submission::Balances;
use bergulir_domain::postings::Books;
use bergulir_domain::state::{
    AccountBalances, AccountIndex, CooperativeIndex, FundBalances, FundIndex, LoanBalances,
    LoanIndex,
};
use prost::encoding::{decode_varint, encode_varint};

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

impl Running {
    /// What a fund's trail keeps.
    pub(crate) fn encode_fund(balances: &FundBalances, out: &mut Vec<u8>) {
        out.push(FUND);
        put_all(balances.books.balances(), out);
        let own = [balances.income_apart, balances.committed, balances.reserved];
        put_all(&own, out);
    }

    /// What an account's trail keeps.
    pub(crate) fn encode_account(
        account: &AccountBalances,
        loan: Option<LoanIndex>,
        loan_balances: Option<&LoanBalances>,
        out: &mut Vec<u8>,
    ) {
        let loan_tag = if loan.is_some() { LOAN } else { 0 };
        let balances_tag = if loan_balances.is_some() { LOAN_BALANCES } else { 0 };
        out.push(ACCOUNT | loan_tag | balances_tag);
        let a = account;
        let own = [
            a.pending,
            a.committed,
            a.disbursed,
            a.principal_repaid,
            a.interest_paid,
            a.late_fees_paid,
            a.granted,
        ];
        put_all(&own, out);
        if let Some(loan) = loan {
            encode_varint(u64::from(loan.get()), out);
        }
        if let Some(l) = loan_balances {
            let own = [l.disbursed, l.principal_repaid, l.interest_paid, l.late_fees_paid];
            put_all(&own, out);
        }
    }

    /// Marks what was written from `start` on as the trace of a lapse.
    pub(crate) fn mark_lapsed(start: usize, out: &mut [u8]) {
        if let Some(tag) = out.get_mut(start) {
            *tag |= LAPSED;
        }
    }

    /// Reads what [`Running::encode_fund`] or [`Running::encode_account`] wrote; `None` if it is
    /// damaged. No bytes are no balances: what a cooperative's own trail keeps.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Running> {
        let from = &mut bytes;
        let mut running = Running::default();
        let Some((tag, rest)) = from.split_first() else {
            return Some(running);
        };
        *from = rest;
        running.lapsed = tag & LAPSED != 0;
        if tag & FUND != 0 {
            let mut books = [0; 9];
            for book in &mut books {
                *book = take(from)?;
            }
            running.balances.fund = Some(FundBalances {
                books: Books::new(books)?,
                income_apart: take(from)?,
                committed: take(from)?,
                reserved: take(from)?,
            });
        }
        if tag & ACCOUNT != 0 {
            running.balances.account = Some(AccountBalances {
                pending: take(from)?,
                committed: take(from)?,
                disbursed: take(from)?,
                principal_repaid: take(from)?,
                interest_paid: take(from)?,
                late_fees_paid: take(from)?,
                granted: take(from)?,
            });
        }
        if tag & LOAN != 0 {
            let index = u32::try_from(decode_varint(from).ok()?).ok()?;
            running.loan = Some(LoanIndex::new(index));
        }
        if tag & LOAN_BALANCES != 0 {
            running.balances.loan = Some(LoanBalances {
                disbursed: take(from)?,
                principal_repaid: take(from)?,
                interest_paid: take(from)?,
                late_fees_paid: take(from)?,
            });
        }
        from.is_empty().then_some(running)
    }
}

fn put_all(numbers: &[i64], out: &mut Vec<u8>) {
    for number in numbers {
        put(*number, out);
    }
}

/// Zigzag, so that a small negative number is short as well.
fn put(number: i64, out: &mut Vec<u8>) {
    encode_varint((number.cast_unsigned() << 1) ^ (number >> 63).cast_unsigned(), out);
}

fn take(from: &mut &[u8]) -> Option<i64> {
    let raw = decode_varint(from).ok()?;
    Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_domain::postings::{Book, JournalEntry};

    #[test]
    fn what_a_trail_keeps_reads_back() {
        let entry = JournalEntry::of(Book::Cash, Book::Capital, 580_000_000_000);
        let fund = FundBalances {
            books: Books::default().with(&entry).unwrap(),
            income_apart: 7,
            committed: i64::MAX,
            reserved: 0,
        };
        let mut bytes = Vec::new();
        Running::encode_fund(&fund, &mut bytes);
        assert_eq!(Running::decode(&bytes).unwrap().balances.fund, Some(fund));

        let account = AccountBalances { disbursed: 5, granted: i64::MAX, ..Default::default() };
        let loan = LoanBalances { late_fees_paid: -1, ..Default::default() };
        let mut bytes = Vec::new();
        let index = LoanIndex::new(300);
        Running::encode_account(&account, Some(index), Some(&loan), &mut bytes);
        let running = Running::decode(&bytes).unwrap();
        assert_eq!(running.loan, Some(index));
        assert_eq!(running.balances.account, Some(account));
        assert_eq!(running.balances.loan, Some(loan));
        for cut in 1..bytes.len() {
            assert_eq!(Running::decode(&bytes[..cut]), None, "cut at {cut}");
        }
    }
}
