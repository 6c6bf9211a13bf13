//! The results of a batch, and the answer to a payment, written as bytes.

use bergulir_chain::Timestamp;
use bergulir_domain::id::{Id, MAX_ID_BYTES};
use bergulir_domain::money::Currency;
use bergulir_domain::state::{AccountBalances, FundBalances, Loan, LoanBalances};
use bergulir_domain::{AccountId, FundId, LedgerId, LoanId};
use bytes::Bytes;
use prost::Message as _;

use super::balances::{of_account, of_fund, of_loan};
use super::batch_bytes::PaymentAnswer;
use super::framed::{Framed, HEAD_BYTES};
use super::write::loan_terms_to_wire;
use crate::enums::WireEnum as _;
use crate::in_order::{BYTES, SHORT, VARINT, put_number, short_varint, tag};
use crate::money::{minor_per_unit, nanos_per_minor};
use crate::pb;
use crate::record::recorded_at_to_wire;

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

/// Answers to batches, one behind the other, each written result by result.
#[derive(Debug)]
pub struct Results {
    answers: Framed,
    /// Where a receipt is written first: a `Vec` would look for room at each byte.
    receipt: Box<[u8; MAX_RECEIPT_BYTES]>,
}

impl Results {
    /// With room for so many answers of so many results in all.
    pub fn with_room(answers: usize, results: usize) -> Results {
        let bytes = answers * (HEAD_BYTES + MAX_LOG_SIZE_BYTES) + results * ROOM;
        Results { answers: Framed::with_room(bytes), receipt: Box::new([0; MAX_RECEIPT_BYTES]) }
    }

    /// Begins an answer.
    pub fn begin(&mut self) {
        self.answers.begin();
    }

    /// Adds that a command was recorded.
    pub fn receipt(&mut self, ledger: LedgerId, receipt: &BatchReceipt<'_>, currency: Currency) {
        let mut out = Written::into(&mut self.receipt[..]);
        out.nested(RESULTS, |out| {
            out.nested(RECEIPT, |out| {
                out.number(1, receipt.position);
                out.hash(2, receipt.record_hash);
                out.number(3, receipt.duplicate.into());
                out.nested(4, |out| balances(ledger, receipt, currency, out));
            });
        });
        let length = out.length;
        self.answers.out().extend_from_slice(&self.receipt[..length]);
    }

    /// Adds that a command would be recorded.
    pub fn validated(&mut self) {
        let validated = [tag(RESULTS, BYTES), 2, tag(RECEIPT, BYTES), 0];
        self.answers.out().extend_from_slice(&validated);
    }

    /// Adds that a command was refused.
    pub fn error(&mut self, error: pb::CommandError) {
        let outcome = Some(pb::batch_item_result::Outcome::Error(error));
        let results = vec![pb::BatchItemResult { outcome }];
        let result = pb::SubmitBatchResponse { results, log_size: 0 };
        result.encode(self.answers.out()).expect("a Vec has room");
    }

    /// Ends an answer with the number of records in the log.
    pub fn end(&mut self, log_size: u64) {
        if log_size > 0 {
            put_number(LOG_SIZE, log_size, self.answers.out());
        }
        self.answers.end();
    }

    /// The answers that have ended.
    #[must_use]
    pub fn finish(self) -> Bytes {
        self.answers.finish()
    }
}

/// The answer to one payment: what `DisburseResponse` and `RepayResponse` say, which have one form.
/// `loan` is the loan that was paid, and shown with the balances of the receipt. `None` if it is not
/// approved, or the receipt has not all three balances: then the typed message says it.
pub fn payment(
    ledger: LedgerId,
    receipt: &BatchReceipt<'_>,
    recorded_at: Timestamp,
    loan: &Loan,
    currency: Currency,
) -> Option<PaymentAnswer> {
    let active = loan.active()?;
    let (fund, account) = (receipt.fund?, receipt.account?);
    let (id, principal, balances) = receipt.loan?;
    let balances = balances.filter(|_| id == loan.id)?;
    let recorded_at = recorded_at_to_wire(recorded_at);
    let mut bytes = [0; MAX_PAYMENT_BYTES];
    let mut out = Written::into(&mut bytes);
    out.nested(1, |out| {
        out.number(1, receipt.position);
        out.hash(2, receipt.record_hash);
        out.number(3, receipt.position.wrapping_add(1));
        out.number(4, receipt.duplicate.into());
        out.nested(5, |out| {
            out.number(1, recorded_at.seconds.cast_unsigned());
            out.number(2, i64::from(recorded_at.nanos).cast_unsigned());
        });
    });
    out.nested(2, |out| self::balances(ledger, receipt, currency, out));
    out.nested(3, |out| {
        let mut name = Name::default();
        name.push(b"ledgers/", &ledger);
        name.push(b"/funds/", &fund.0);
        name.push(b"/accounts/", &account.0);
        name.push(b"/loans/", &id);
        out.name(&name);
        let status = balances.status(principal).to_wire();
        out.number(2, i64::from(status).cast_unsigned());
        out.named(3, &name, of_loan(principal, Some(balances)), currency);
        out.message(4, &loan_terms_to_wire(&active.approval.terms));
        out.text(5, loan.contract_reference.as_bytes());
        out.text(6, loan.chair.as_bytes());
        out.text(7, loan.treasurer.as_bytes());
        out.text(8, loan.maker.as_bytes());
        out.number(9, loan.proposed_at.get());
        out.text(10, active.approval.checker.as_bytes());
    });
    let length = out.length;
    Some(PaymentAnswer::from(bytes[..length].to_vec()))
}

/// About what a result takes, with all balances.
const ROOM: usize = 768;
/// A tag and a number.
const MAX_LOG_SIZE_BYTES: usize = 11;
/// `SubmitBatchResponse.results`, `SubmitBatchResponse.log_size`, `BatchItemResult.receipt`.
const RESULTS: u8 = 1;
const LOG_SIZE: u8 = 2;
const RECEIPT: u8 = 1;

fn balances(
    ledger: LedgerId,
    receipt: &BatchReceipt<'_>,
    currency: Currency,
    out: &mut Written<'_>,
) {
    // The name of a fund begins the names of its accounts, and theirs begin those of their loans.
    let mut name = Name::default();
    name.push(b"ledgers/", &ledger);
    if let Some((fund, balances)) = &receipt.fund {
        name.push(b"/funds/", fund);
        out.named(1, &name, of_fund(balances), currency);
    }
    if let Some((account, balances)) = &receipt.account {
        name.push(b"/accounts/", account);
        out.named(2, &name, of_account(balances), currency);
    }
    if let Some((loan, principal, balances)) = &receipt.loan {
        name.push(b"/loans/", loan);
        out.named(3, &name, of_loan(*principal, *balances), currency);
    }
}

/// A resource name that grows. Pieces of a known length are copied faster than as many bytes as there
/// are, so there is room behind it for what is copied too much.
struct Name {
    bytes: [u8; NAME_PIECES * NAME_PIECE_BYTES],
    length: usize,
}

/// Four ids, and what stands before each.
const MAX_NAME_BYTES: usize = 4 * MAX_ID_BYTES + "ledgers//funds//accounts//loans/".len();
const NAME_PIECE_BYTES: usize = MAX_ID_BYTES;
const NAME_PIECES: usize = MAX_NAME_BYTES.div_ceil(NAME_PIECE_BYTES) + 1;

impl Default for Name {
    fn default() -> Name {
        Name { bytes: [0; NAME_PIECES * NAME_PIECE_BYTES], length: 0 }
    }
}

impl Name {
    fn push<const N: usize, K>(&mut self, kind: &[u8; N], id: &Id<K>) {
        self.put_ahead(kind);
        self.length += N;
        let (bytes, length) = id.padded();
        self.put_ahead(bytes);
        self.length += usize::from(length);
    }

    fn put_ahead<const N: usize>(&mut self, bytes: &[u8; N]) {
        let room = self.bytes[self.length..].first_chunk_mut();
        *room.expect("there is room for the longest name") = *bytes;
    }
}

/// A receipt at its longest: three names, 33 amounts, 29 bytes each; and the rest, with what is
/// written beyond a short amount.
const MAX_RECEIPT_BYTES: usize = 3 * (MAX_NAME_BYTES + 8) + 33 * MAX_MONEY_BYTES + 64;
/// Tag and length, five bytes of currency, and twice a tag and a number.
pub(super) const MAX_MONEY_BYTES: usize = 2 + 5 + 2 * 11;

/// What money with units is written into: its beginning, and two numbers with what they are written
/// beyond.
const MONEY_AHEAD: usize = 8 + 8 + 8;

/// The answer to a payment at its longest: a receipt, the name of the loan twice more, ten amounts,
/// a reference, four people, and the terms and all numbers.
const MAX_PAYMENT_BYTES: usize =
    MAX_RECEIPT_BYTES + 2 * MAX_NAME_BYTES + 10 * MAX_MONEY_BYTES + 5 * (MAX_ID_BYTES + 2) + 256;

/// For each number of minor units beyond whole ones the field of nanos that says it, in the form of
/// [`short_varint`]: nothing for none.
fn nanos_fields(currency: Currency) -> &'static [(u64, usize); 100] {
    static IDR: [(u64, usize); 100] = fields(Currency::Idr);
    const fn fields<const N: usize>(currency: Currency) -> [(u64, usize); N] {
        let mut fields = [(0, 0); N];
        let mut minor = 1;
        while minor < N {
            let nanos = minor as u64 * nanos_per_minor(currency).unsigned_abs() as u64;
            let (number, length) = short_varint(nanos);
            fields[minor] = (number << 8 | tag(3, VARINT) as u64, 1 + length);
            minor += 1;
        }
        fields
    }
    match currency {
        Currency::Idr => &IDR,
    }
}

/// Eight bytes, the first one lowest: one store.
fn put_word(room: &mut [u8; MONEY_AHEAD], at: usize, word: u64) {
    let place = room[at..].first_chunk_mut();
    *place.expect("money has at most two numbers of eight bytes") = word.to_le_bytes();
}

/// The three letters of a currency.
fn currency_code(currency: Currency) -> [u8; 3] {
    *currency.code().as_bytes().first_chunk().expect("a code of ISO 4217 has three letters")
}

/// Fields, one after another, in bytes that have room for them.
pub(super) struct Written<'a> {
    bytes: &'a mut [u8],
    length: usize,
}

impl<'a> Written<'a> {
    pub(super) fn into(bytes: &'a mut [u8]) -> Written<'a> {
        Written { bytes, length: 0 }
    }

    /// What was written.
    pub(super) fn finish(self) -> &'a [u8] {
        let Written { bytes, length } = self;
        &bytes[..length]
    }

    fn put<const N: usize>(&mut self, bytes: [u8; N]) {
        self.put_ahead(bytes);
        self.length += N;
    }

    /// Bytes of which only the first ones may stay. One store, where copying a slice may be a call.
    fn put_ahead<const N: usize>(&mut self, bytes: [u8; N]) {
        let room = self.bytes[self.length..].first_chunk_mut();
        *room.expect("there is room for the longest answer") = bytes;
    }

    pub(super) fn varint(&mut self, value: u64) {
        if value < SHORT {
            let (bytes, length) = short_varint(value);
            self.put_ahead(bytes.to_le_bytes());
            self.length += length;
        } else {
            let mut rest = value;
            while rest >= 0x80 {
                self.put([rest.to_le_bytes()[0] | 0x80]);
                rest >>= 7;
            }
            self.put([rest.to_le_bytes()[0]]);
        }
    }

    /// A number; zero is left out.
    pub(super) fn number(&mut self, field: u8, value: u64) {
        if value != 0 {
            self.present(field, value);
        }
    }

    /// A number that is there, zero or not.
    pub(super) fn present(&mut self, field: u8, value: u64) {
        self.put([tag(field, VARINT)]);
        self.varint(value);
    }

    pub(super) fn hash(&mut self, field: u8, hash: &[u8; 32]) {
        self.put([tag(field, BYTES), 32]);
        self.put(*hash);
    }

    pub(super) fn text(&mut self, field: u8, text: &[u8]) {
        self.put([tag(field, BYTES)]);
        self.varint(text.len() as u64);
        self.bytes[self.length..self.length + text.len()].copy_from_slice(text);
        self.length += text.len();
    }

    /// The name of a resource, the first field of its message.
    fn name(&mut self, name: &Name) {
        self.put([tag(1, BYTES)]);
        self.varint(name.length as u64);
        let end = self.length + name.length;
        let (pieces, _) = name.bytes.as_chunks::<NAME_PIECE_BYTES>();
        for piece in &pieces[..name.length.div_ceil(NAME_PIECE_BYTES)] {
            self.put_ahead(*piece);
            self.length += piece.len();
        }
        self.length = end;
    }

    /// Money is most of a receipt: what is the same in all of it is put in one piece, and so is each of
    /// its numbers.
    pub(super) fn money(&mut self, field: u8, minor: i64, currency: Currency) {
        let [a, b, c] = currency_code(currency);
        let none = [tag(field, BYTES), 5, tag(1, BYTES), 3, a, b, c];
        if minor == 0 {
            return self.put(none);
        }
        let per_unit = minor_per_unit(currency);
        if let Ok(minor) = u64::try_from(minor)
            && (per_unit.cast_unsigned()..SHORT).contains(&minor)
        {
            return self.positive(field, minor, currency);
        }
        let length_at = self.length + 1;
        self.put(none);
        self.number(2, (minor / per_unit).cast_unsigned());
        let nanos = minor % per_unit * i64::from(nanos_per_minor(currency));
        self.number(3, nanos.cast_unsigned());
        self.bytes[length_at] = (self.length - length_at - 1).to_le_bytes()[0];
    }

    /// Money of one unit at least.
    fn positive(&mut self, field: u8, minor: u64, currency: Currency) {
        let room = &mut self.bytes[self.length..];
        let room: &mut [u8; MONEY_AHEAD] =
            room.first_chunk_mut().expect("there is room for the longest answer");
        let per_unit = minor_per_unit(currency).cast_unsigned();
        let (number, length) = short_varint(minor / per_unit);
        put_word(room, 8, number);
        let [rest, ..] = (minor % per_unit).to_le_bytes();
        let (nanos, nanos_length) = nanos_fields(currency)[usize::from(rest)];
        put_word(room, 8 + length, nanos);
        let end = 8 + length + nanos_length;
        let [a, b, c] = currency_code(currency);
        let begin = [tag(field, BYTES), 0, tag(1, BYTES), 3, a, b, c, tag(2, VARINT)];
        put_word(room, 0, u64::from_le_bytes(begin) | (end as u64 - 2) << 8);
        self.length += end;
    }

    /// A short message.
    fn message(&mut self, field: u8, message: &impl prost::Message) {
        self.nested(field, |out| {
            let mut room = &mut out.bytes[out.length..];
            message.encode(&mut room).expect("there is room for the longest answer");
            out.length += message.encoded_len();
        });
    }

    /// A message of a name, and of money in the fields from 2 on; what of the second is zero is left
    /// out.
    fn named<const N: usize, const M: usize>(
        &mut self,
        field: u8,
        name: &Name,
        amounts: ([i64; N], [i64; M]),
        currency: Currency,
    ) {
        self.nested(field, |out| {
            out.name(name);
            out.amounts(amounts, currency);
        });
    }

    /// Money in the fields from 2 on; what of the second is zero is left out.
    pub(super) fn amounts<const N: usize, const M: usize>(
        &mut self,
        (always, if_any): ([i64; N], [i64; M]),
        currency: Currency,
    ) {
        let mut fields = 2..;
        for (minor, field) in always.into_iter().zip(fields.by_ref()) {
            self.money(field, minor, currency);
        }
        for (minor, field) in if_any.into_iter().zip(fields).filter(|(minor, _)| *minor != 0) {
            self.money(field, minor, currency);
        }
    }

    /// A message whose length is known once it is written: two bytes are left for it, as most take.
    pub(super) fn nested(&mut self, field: u8, write: impl FnOnce(&mut Self)) {
        self.put([tag(field, BYTES), 0, 0]);
        let start = self.length;
        write(self);
        let length = self.length - start;
        let [low, high] = u16::try_from(length).expect("a receipt is short").to_le_bytes();
        if length < 0x80 {
            self.bytes.copy_within(start..self.length, start - 1);
            self.length -= 1;
            self.bytes[start - 2] = low;
        } else {
            self.bytes[start - 2] = low | 0x80;
            self.bytes[start - 1] = high << 1 | low >> 7;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::money::money_to_wire;

    #[test]
    fn money_is_written_as_the_typed_message_says_it() {
        let around = |bit: u32| [(1_i64 << bit) - 1, 1 << bit, (1 << bit) + 1];
        let minors = (0..62).flat_map(around).flat_map(|minor| [minor, minor / 99 * 100, -minor]);
        for minor in minors.chain([0, -1, -100, i64::MAX, i64::MIN]).chain(98..302) {
            let mut bytes = [0; 100];
            let mut out = Written { bytes: &mut bytes, length: 0 };
            out.money(5, minor, Currency::Idr);
            let written = out.length;
            let mut expected = Vec::new();
            let typed = money_to_wire(minor, Currency::Idr);
            prost::encoding::message::encode(5, &typed, &mut expected);
            assert_eq!(bytes[..written], expected, "{minor}");
        }
    }

    #[test]
    fn a_number_is_written_as_a_varint() {
        let around = |bit: u32| [(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1, 0x5555_5555 << bit];
        for value in (0..64).flat_map(around).chain([u64::MAX]) {
            let mut bytes = [0; 20];
            let mut out = Written::into(&mut bytes);
            out.varint(value);
            let written = out.length;
            let mut expected = Vec::new();
            prost::encoding::encode_varint(value, &mut expected);
            assert_eq!(bytes[..written], expected, "{value:x}");
        }
    }

    #[test]
    fn a_message_within_another_begins_with_its_length() {
        for length in 0..400 {
            let mut expected = vec![tag(1, BYTES)];
            prost::encoding::encode_varint(length, &mut expected);
            expected.extend((0..length).map(|_| 7));
            let mut bytes = [0; 500];
            let mut out = Written::into(&mut bytes);
            out.nested(1, |out| (0..length).for_each(|_| out.put([7])));
            let written = out.length;
            assert_eq!(bytes[..written], expected, "{length}");
        }
    }
}
