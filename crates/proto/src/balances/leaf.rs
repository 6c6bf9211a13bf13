//! The leaves of the balance tree; described in `docs/format.md`, "Balance root".

use bergulir_domain::id::Id;
use bergulir_domain::postings::Books;
use bergulir_domain::state::{AccountBalances, FundBalances};
use bergulir_domain::{AccountId, FundId};
use thiserror::Error;

use super::BalanceKey;
use crate::statement::Statement;

/// The first byte of a fund's leaf.
const FUND: u8 = 1;
/// The first byte of an account's leaf.
const ACCOUNT: u8 = 2;

/// The balances of a fund or an account, and the statement of the records that made them.
///
/// One that was [parsed](Leaf::parse) says what its bytes say: sums of its numbers can overflow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaf {
    /// A fund.
    Fund {
        /// Its id.
        fund: FundId,
        /// Its balances.
        balances: FundBalances,
        /// The records that concern it.
        statement: Statement,
    },
    /// An account.
    Account {
        /// The id of its fund.
        fund: FundId,
        /// Its id.
        account: AccountId,
        /// Its balances.
        balances: AccountBalances,
        /// The records that concern it.
        statement: Statement,
    },
}

/// Why bytes are not a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LeafError {
    /// They end too early.
    #[error("the balance leaf ends too early")]
    Short,
    /// Bytes follow it.
    #[error("bytes follow the balance leaf")]
    Trailing,
    /// The first byte is another.
    #[error("a balance leaf begins with 1 (a fund) or 2 (an account), not with {0}")]
    Kind(u8),
    /// An id is not one.
    #[error("an id in the balance leaf is not one")]
    Id,
    /// The books do not balance.
    #[error("the books in the balance leaf do not sum to zero")]
    Books,
}

impl Leaf {
    /// Whose it is.
    pub const fn key(&self) -> BalanceKey {
        match self {
            Leaf::Fund { fund, .. } => BalanceKey::Fund(*fund),
            Leaf::Account { fund, account, .. } => BalanceKey::Account(*fund, *account),
        }
    }

    /// The records that concern it, as number and running hash.
    pub const fn statement(&self) -> Statement {
        match self {
            Leaf::Fund { statement, .. } | Leaf::Account { statement, .. } => *statement,
        }
    }

    /// Appends its bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Leaf::Fund { fund, balances: b, .. } => {
                out.push(FUND);
                put_id(*fund, out);
                put_numbers(b.books.balances(), out);
                put_numbers(&[b.income_apart, b.committed, b.reserved], out);
            }
            Leaf::Account { fund, account, balances: b, .. } => {
                out.push(ACCOUNT);
                put_id(*fund, out);
                put_id(*account, out);
                let numbers = [
                    b.pending,
                    b.committed,
                    b.disbursed,
                    b.principal_repaid,
                    b.interest_paid,
                    b.late_fees_paid,
                    b.granted,
                ];
                put_numbers(&numbers, out);
            }
        }
        self.statement().encode(out);
    }

    /// Reads a leaf from exactly its bytes.
    ///
    /// # Errors
    /// If they are none.
    pub fn parse(bytes: &[u8]) -> Result<Leaf, LeafError> {
        let from = &mut &*bytes;
        let leaf = match take_key(from)? {
            BalanceKey::Fund(fund) => {
                let books = Books::new(take_numbers(from)?).ok_or(LeafError::Books)?;
                let [income_apart, committed, reserved] = take_numbers(from)?;
                let balances = FundBalances { books, income_apart, committed, reserved };
                Leaf::Fund { fund, balances, statement: take_statement(from)? }
            }
            BalanceKey::Account(fund, account) => {
                let [
                    pending,
                    committed,
                    disbursed,
                    principal_repaid,
                    interest_paid,
                    late_fees_paid,
                    granted,
                ] = take_numbers(from)?;
                let balances = AccountBalances {
                    pending,
                    committed,
                    disbursed,
                    principal_repaid,
                    interest_paid,
                    late_fees_paid,
                    granted,
                };
                Leaf::Account { fund, account, balances, statement: take_statement(from)? }
            }
        };
        if from.is_empty() { Ok(leaf) } else { Err(LeafError::Trailing) }
    }

    /// Whose leaf these bytes are, without looking at the rest; `None` if they cannot be one.
    pub(crate) fn key_of(mut bytes: &[u8]) -> Option<BalanceKey> {
        take_key(&mut bytes).ok()
    }
}

fn put_id<K>(id: Id<K>, out: &mut Vec<u8>) {
    let id = id.as_str();
    out.push(u8::try_from(id.len()).expect("an id has at most 32 bytes"));
    out.extend_from_slice(id.as_bytes());
}

fn put_numbers(numbers: &[i64], out: &mut Vec<u8>) {
    for number in numbers {
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn take_key(from: &mut &[u8]) -> Result<BalanceKey, LeafError> {
    match take::<1>(from)? {
        [FUND] => Ok(BalanceKey::Fund(take_id(from)?)),
        [ACCOUNT] => Ok(BalanceKey::Account(take_id(from)?, take_id(from)?)),
        [other] => Err(LeafError::Kind(other)),
    }
}

fn take_id<K>(from: &mut &[u8]) -> Result<Id<K>, LeafError> {
    let [length] = take(from)?;
    let (id, rest) = from.split_at_checked(usize::from(length)).ok_or(LeafError::Short)?;
    *from = rest;
    let id = core::str::from_utf8(id).map_err(|_| LeafError::Id)?;
    Id::new(id).map_err(|_| LeafError::Id)
}

fn take_numbers<const N: usize>(from: &mut &[u8]) -> Result<[i64; N], LeafError> {
    let mut numbers = [0; N];
    for number in &mut numbers {
        *number = i64::from_le_bytes(take(from)?);
    }
    Ok(numbers)
}

fn take_statement(from: &mut &[u8]) -> Result<Statement, LeafError> {
    Statement::take(from).ok_or(LeafError::Short)
}

fn take<const N: usize>(from: &mut &[u8]) -> Result<[u8; N], LeafError> {
    let (head, rest) = from.split_first_chunk().ok_or(LeafError::Short)?;
    *from = rest;
    Ok(*head)
}
