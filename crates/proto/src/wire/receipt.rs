//! The results of a batch, written as bytes.

use bergulir_domain::id::MAX_ID_BYTES;
use bergulir_domain::money::Currency;
use bergulir_domain::state::{AccountBalances, FundBalances, LoanBalances};
use bergulir_domain::{AccountId, FundId, LedgerId, LoanId};
use prost::Message as _;

use super::balances::{of_account, of_fund, of_loan};
use super::batch_bytes::BatchAnswer;
use crate::in_order::{BYTES, VARINT, put_bytes, put_number, tag};
use crate::money::{minor_per_unit, nanos_per_minor};
use crate::pb;

/// Where a command of a batch was recorded, and the balances that it left behind. `None` for whom
/// it did not concern.
#[derive(Debug, Clone, Copy)]
pub struct BatchReceipt<'a> {
    /// The position of its record.
    pub position: u64,
    /// The hash of its record.
    pub record_hash: &'a [u8; 32],
    /// Whether it was answered again.
    pub duplicate: bool,
    /// The fund.
    pub fund: Option<(FundId, &'a FundBalances)>,
    /// The account, of that fund.
    pub account: Option<(AccountId, &'a AccountBalances)>,
    /// The loan, of that account, with its principal in minor units; no balances while it is not
    /// approved.
    pub loan: Option<(LoanId, i64, Option<&'a LoanBalances>)>,
}

/// An answer to a batch, written result by result.
#[derive(Debug)]
pub struct Results(Vec<u8>);

impl Results {
    /// No results, with room for so many.
    pub fn with_room(results: usize) -> Results {
        Results(Vec::with_capacity(results * ROOM))
    }

    /// Adds that a command was recorded.
    pub fn receipt(&mut self, ledger: LedgerId, receipt: &BatchReceipt<'_>, currency: Currency) {
        let out = &mut self.0;
        nested(RESULTS, out, |out| {
            nested(RECEIPT, out, |out| {
                number(1, receipt.position, out);
                put_bytes(2, receipt.record_hash, out);
                number(3, receipt.duplicate.into(), out);
                nested(4, out, |out| balances(ledger, receipt, currency, out));
            });
        });
    }

    /// Adds that a command would be recorded.
    pub fn validated(&mut self) {
        nested(RESULTS, &mut self.0, |out| nested(RECEIPT, out, |_| ()));
    }

    /// Adds that a command was refused.
    pub fn error(&mut self, error: pb::CommandError) {
        let outcome = Some(pb::batch_item_result::Outcome::Error(error));
        let results = vec![pb::BatchItemResult { outcome }];
        let result = pb::SubmitBatchResponse { results, log_size: 0 };
        result.encode(&mut self.0).expect("a Vec has room");
    }

    /// Ends the answer with the number of records in the log.
    #[must_use]
    pub fn finish(mut self, log_size: u64) -> BatchAnswer {
        number(LOG_SIZE, log_size, &mut self.0);
        BatchAnswer::from(self.0)
    }
}

/// About what a result takes, with all balances.
const ROOM: usize = 768;
/// `SubmitBatchResponse.results`, `SubmitBatchResponse.log_size`, `BatchItemResult.receipt`.
const RESULTS: u8 = 1;
const LOG_SIZE: u8 = 2;
const RECEIPT: u8 = 1;

fn balances(ledger: LedgerId, receipt: &BatchReceipt<'_>, currency: Currency, out: &mut Vec<u8>) {
    // The name of a fund begins the names of its accounts, and theirs begin those of their loans.
    let mut name = Name::default();
    name.push(b"ledgers/", ledger.as_bytes());
    if let Some((fund, balances)) = &receipt.fund {
        name.push(b"/funds/", fund.as_bytes());
        named(1, &name, &of_fund(balances), currency, out);
    }
    if let Some((account, balances)) = &receipt.account {
        name.push(b"/accounts/", account.as_bytes());
        named(2, &name, &of_account(balances), currency, out);
    }
    if let Some((loan, principal, balances)) = &receipt.loan {
        name.push(b"/loans/", loan.as_bytes());
        named(3, &name, &of_loan(*principal, *balances), currency, out);
    }
}

/// A resource name that grows.
struct Name {
    bytes: [u8; MAX_NAME_BYTES],
    length: usize,
}

/// Four ids, and what stands before each.
const MAX_NAME_BYTES: usize = 4 * MAX_ID_BYTES + "ledgers//funds//accounts//loans/".len();

impl Default for Name {
    fn default() -> Name {
        Name { bytes: [0; MAX_NAME_BYTES], length: 0 }
    }
}

impl Name {
    fn push(&mut self, kind: &[u8], id: &[u8]) {
        for part in [kind, id] {
            self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
            self.length += part.len();
        }
    }
}

/// A message of a name, and of money in the fields from 2 on.
fn named(field: u8, name: &Name, numbers: &[i64], currency: Currency, out: &mut Vec<u8>) {
    nested(field, out, |out| {
        put_bytes(1, &name.bytes[..name.length], out);
        // Written in place first: a `Vec` would look for room at each byte.
        let mut all = [0; MOST_NUMBERS * MAX_MONEY_BYTES];
        let mut at = 0;
        for (field, minor) in (2..).zip(numbers) {
            at += money(field, *minor, currency, &mut all[at..]);
        }
        out.extend_from_slice(&all[..at]);
    });
}

/// A fund has the most.
const MOST_NUMBERS: usize = 11;
/// Tag and length, five bytes of currency, and twice a tag and a number.
const MAX_MONEY_BYTES: usize = 2 + 5 + 2 * 11;

/// Writes money as a field, and says how many bytes it took.
fn money(field: u8, minor: i64, currency: Currency, out: &mut [u8]) -> usize {
    let units = minor / minor_per_unit(currency);
    let nanos = minor % minor_per_unit(currency) * i64::from(nanos_per_minor(currency));
    let code = currency.code().as_bytes();
    let (code_tag, code_length) = (tag(1, BYTES), code.len().to_le_bytes()[0]);
    out[..4].copy_from_slice(&[tag(field, BYTES), 0, code_tag, code_length]);
    out[4..4 + code.len()].copy_from_slice(code);
    let mut at = 4 + code.len();
    for (field, number) in [(2, units), (3, nanos)] {
        if number != 0 {
            out[at] = tag(field, VARINT);
            at += 1;
            let mut rest = number.cast_unsigned();
            while rest >= 0x80 {
                out[at] = rest.to_le_bytes()[0] | 0x80;
                rest >>= 7;
                at += 1;
            }
            out[at] = rest.to_le_bytes()[0];
            at += 1;
        }
    }
    out[1] = (at - 2).to_le_bytes()[0];
    at
}

/// A number; zero is left out.
fn number(field: u8, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        put_number(field, value, out);
    }
}

/// A message whose length is known once it is written: two bytes are left for it, as most take.
fn nested(field: u8, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[tag(field, BYTES), 0, 0]);
    let start = out.len();
    write(out);
    let length = out.len() - start;
    let [low, high] = u16::try_from(length).expect("names and balances are short").to_le_bytes();
    match length {
        ..0x80 => {
            out.remove(start - 1);
            out[start - 2] = low;
        }
        0x80..0x4000 => {
            out[start - 2] = low | 0x80;
            out[start - 1] = high << 1 | low >> 7;
        }
        _ => unreachable!("a name has at most 200 bytes, a balance 26, and there are 29"),
    }
}
