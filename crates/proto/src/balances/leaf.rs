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
/// The first byte of the leaf of an account of which something was written off or recovered: two more
/// numbers. Others have the leaf that they had before there were write-offs.
const ACCOUNT_WRITTEN_OFF: u8 = 3;

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
    #[error("a balance leaf begins with 1 (a fund), 2 or 3 (an account), not with {0}")]
    Kind(u8),
    /// An id is not one.
    #[error("an id in the balance leaf is not one")]
    Id,
    /// It begins as one of an account of which something was written off, and nothing was.
    #[error("the balance leaf has the longer form, and nothing was written off")]
    NothingWrittenOff,
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
                let written_off = [b.written_off, b.recovered];
                let is_long = written_off != [0, 0];
                out.push(if is_long { ACCOUNT_WRITTEN_OFF } else { ACCOUNT });
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
                if is_long {
                    put_numbers(&written_off, out);
                }
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
        let (kind, key) = take_key(from)?;
        let leaf = match key {
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
                let [written_off, recovered] =
                    if kind == ACCOUNT_WRITTEN_OFF { take_numbers(from)? } else { [0, 0] };
                if kind == ACCOUNT_WRITTEN_OFF && [written_off, recovered] == [0, 0] {
                    return Err(LeafError::NothingWrittenOff);
                }
                let balances = AccountBalances {
                    pending,
                    committed,
                    disbursed,
                    principal_repaid,
                    interest_paid,
                    late_fees_paid,
                    granted,
                    written_off,
                    recovered,
                };
                Leaf::Account { fund, account, balances, statement: take_statement(from)? }
            }
        };
        if from.is_empty() { Ok(leaf) } else { Err(LeafError::Trailing) }
    }

    /// Whose leaf these bytes are, without looking at the rest; `None` if they cannot be one.
    pub(crate) fn key_of(mut bytes: &[u8]) -> Option<BalanceKey> {
        take_key(&mut bytes).ok().map(|(_, key)| key)
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

/// The first byte, and whose leaf it is.
fn take_key(from: &mut &[u8]) -> Result<(u8, BalanceKey), LeafError> {
    let [kind] = take(from)?;
    let key = match kind {
        FUND => BalanceKey::Fund(take_id(from)?),
        ACCOUNT | ACCOUNT_WRITTEN_OFF => BalanceKey::Account(take_id(from)?, take_id(from)?),
        other => return Err(LeafError::Kind(other)),
    };
    Ok((kind, key))
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
