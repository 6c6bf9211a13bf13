//! Payments as protobuf, written straight into the bytes that are sent. A load shares the machine
//! with the server that it measures, so a command must cost it next to nothing; generated messages
//! would cost ten allocations each.

use prost::encoding::encode_varint;

use super::mix::{Move, Payment};
use super::plan::{BANK, LOAN_PREFIX};
use crate::parse::CURRENCY;

/// Before each message of gRPC: not compressed, and its length.
pub(crate) const PREFIX_BYTES: usize = 5;

/// `pb::BatchMode::Independent`.
const INDEPENDENT: u64 = 2;
/// The fields of `pb::Command`.
const DISBURSE: u32 = 19;
const REPAY: u32 = 22;
/// The field of the commands in `pb::SubmitBatchRequest` and `pb::SubmitStreamRequest`.
const ITEMS: u32 = 5;
/// The field of `pb::ReadRecordsRequest`.
const VERBATIM_ONLY: u32 = 4;
/// The field of the command in the request of a single call.
const COMMAND: u32 = 5;

/// Appends one message of gRPC, whose content `body` writes.
pub(crate) fn grpc(out: &mut Vec<u8>, body: impl FnOnce(&mut Vec<u8>)) {
    let at = out.len();
    out.extend_from_slice(&[0; PREFIX_BYTES]);
    body(out);
    let length = u32::try_from(out.len() - at - PREFIX_BYTES).unwrap_or(u32::MAX);
    out[at + 1..at + PREFIX_BYTES].copy_from_slice(&length.to_be_bytes());
}

/// The request for all records of a ledger, as their bytes.
pub(crate) fn read_records(out: &mut Vec<u8>, ledger: &str) {
    text(out, 1, ledger.as_bytes());
    number(out, VERBATIM_ONLY, 1);
}

/// The head of a batch, each command by itself.
pub(crate) fn batch(out: &mut Vec<u8>, ledger: &str) {
    text(out, 1, ledger.as_bytes());
    number(out, 2, INDEPENDENT);
}

/// One command of a batch.
pub(crate) fn item(out: &mut Vec<u8>, payment: &Payment) {
    nested(out, ITEMS, |out| {
        text(out, 1, &payment.request_id);
        nested(out, 2, |out| {
            let field = match payment.moves {
                Move::Disburse { .. } => DISBURSE,
                Move::Repay { .. } => REPAY,
            };
            nested(out, field, |out| content(out, payment));
        });
    });
}

/// The request of a single call.
pub(crate) fn request(out: &mut Vec<u8>, ledger: &str, payment: &Payment) {
    text(out, 1, ledger.as_bytes());
    text(out, 2, &payment.request_id);
    nested(out, COMMAND, |out| content(out, payment));
}

fn content(out: &mut Vec<u8>, payment: &Payment) {
    nested(out, 1, |out| {
        out.extend_from_slice(LOAN_PREFIX.as_bytes());
        digits(out, payment.account as u64);
    });
    let rest = match payment.moves {
        Move::Disburse { amount } => {
            money(out, 2, amount);
            3
        }
        Move::Repay { principal, interest } => {
            money(out, 2, principal + interest);
            money(out, 3, principal);
            money(out, 4, interest);
            6
        }
    };
    nested(out, rest, |out| {
        text(out, 1, BANK.as_bytes());
        nested(out, 2, |out| {
            digits(out, payment.mix);
            out.push(b'-');
            digits(out, payment.made);
        });
    });
    let (year, month, day) = payment.value_date;
    nested(out, rest + 1, |out| {
        number(out, 1, u64::from(year));
        number(out, 2, u64::from(month));
        number(out, 3, u64::from(day));
    });
}

fn money(out: &mut Vec<u8>, field: u32, minor: u64) {
    let minor_a_unit = 10_u64.pow(CURRENCY.decimals());
    let (units, rest) = (minor / minor_a_unit, minor % minor_a_unit);
    nested(out, field, |out| {
        text(out, 1, CURRENCY.code().as_bytes());
        if units > 0 {
            number(out, 2, units);
        }
        if rest > 0 {
            number(out, 3, rest * (1_000_000_000 / minor_a_unit));
        }
    });
}

fn number(out: &mut Vec<u8>, field: u32, value: u64) {
    encode_varint(u64::from(field << 3), out);
    varint(out, value);
}

fn text(out: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    varint(out, u64::from(field << 3 | 2));
    varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn varint(out: &mut Vec<u8>, value: u64) {
    match u8::try_from(value) {
        Ok(byte @ 0..0x80) => out.push(byte),
        _ => encode_varint(value, out),
    }
}

/// Something with a length, which is known once it is written.
fn nested(out: &mut Vec<u8>, field: u32, body: impl FnOnce(&mut Vec<u8>)) {
    varint(out, u64::from(field << 3 | 2));
    let at = out.len();
    out.push(0);
    body(out);
    if let Ok(short @ 0..0x80) = u8::try_from(out.len() - at - 1) {
        out[at] = short;
    } else {
        let mut length = Vec::with_capacity(2);
        encode_varint((out.len() - at - 1) as u64, &mut length);
        out.splice(at..=at, length);
    }
}

fn digits(out: &mut Vec<u8>, mut value: u64) {
    let mut digits = [b'0'; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] += u8::try_from(value % 10).unwrap_or(0);
        value /= 10;
        if value == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use bergulir_proto::pb;
    use bergulir_proto::pb::command::Kind;
    use prost::Message as _;

    fn payment(moves: Move) -> Payment {
        Payment {
            request_id: *b"018f4c1e-7b1a-7c3e-9d55-2a6b1f0e9c01",
            account: 12_345,
            moves,
            mix: 3,
            made: 1_000_000_007,
            value_date: (2_026, 11, 4),
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
    fn idr(units: i64, nanos: i32) -> Option<pb::Money> {
        Some(pb::Money { currency_code: "IDR".to_owned(), units, nanos })
    }

    #[expect(clippy::unnecessary_wraps, reason = "a message field is an Option")]
    fn reference() -> Option<pb::BankReference> {
        let reference = "3-1000000007".to_owned();
        Some(pb::BankReference { bank: BANK.to_owned(), reference, line: None })
    }

    #[test]
    fn a_batch_is_what_a_generated_client_would_send() {
        let repay = Move::Repay { principal: 99_999_999_999_901, interest: 100 };
        let (repay, disburse) = (payment(repay), payment(Move::Disburse { amount: 50 }));
        let mut out = vec![7];
        grpc(&mut out, |out| {
            batch(out, "ledgers/x");
            item(out, &disburse);
            item(out, &repay);
        });
        let length = u32::try_from(out.len() - 6).unwrap();
        assert_eq!(out[1], 0);
        assert_eq!(out[2..6], length.to_be_bytes());
        let read = pb::SubmitBatchRequest::decode(&out[6..]).unwrap();
        let value_date = Some(pb::Date { year: 2_026, month: 11, day: 4 });
        let kinds = [
            Kind::Disburse(pb::Disburse {
                loan: "l-12345".to_owned(),
                amount: idr(0, 500_000_000),
                bank_reference: reference(),
                value_date,
            }),
            Kind::Repay(pb::Repay {
                loan: "l-12345".to_owned(),
                amount: idr(1_000_000_000_000, 10_000_000),
                principal: idr(999_999_999_999, 10_000_000),
                interest: idr(1, 0),
                late_fee: None,
                bank_reference: reference(),
                value_date,
            }),
        ];
        let items = kinds.into_iter().map(|kind| pb::BatchItem {
            request_id: "018f4c1e-7b1a-7c3e-9d55-2a6b1f0e9c01".to_owned(),
            command: Some(pb::Command { kind: Some(kind) }),
        });
        let expected = pb::SubmitBatchRequest {
            ledger: "ledgers/x".to_owned(),
            mode: pb::BatchMode::Independent.into(),
            items: items.collect(),
            ..pb::SubmitBatchRequest::default()
        };
        assert_eq!(read, expected);
        let streamed = pb::SubmitStreamRequest::decode(&out[6..]).unwrap();
        assert_eq!((streamed.items, streamed.mode), (expected.items, expected.mode));
    }

    #[test]
    fn a_single_call_is_too() {
        let mut out = Vec::new();
        request(&mut out, "ledgers/x", &payment(Move::Disburse { amount: 123_450 }));
        let read = pb::DisburseRequest::decode(out.as_slice()).unwrap();
        assert_eq!(read.ledger, "ledgers/x");
        assert_eq!(read.request_id, "018f4c1e-7b1a-7c3e-9d55-2a6b1f0e9c01");
        assert_eq!(read.disburse.unwrap().amount, idr(1_234, 500_000_000));
        out.clear();
        request(&mut out, "ledgers/x", &payment(Move::Repay { principal: 0, interest: 0 }));
        let read = pb::RepayRequest::decode(out.as_slice()).unwrap();
        assert_eq!(read.repay.unwrap().principal, idr(0, 0));
    }

    #[test]
    fn what_is_long_has_a_long_length() {
        let mut out = Vec::new();
        nested(&mut out, 1, |out| out.extend_from_slice(&[5; 300]));
        assert_eq!(out[..3], [10, 0xac, 2]);
        assert_eq!(out.len(), 303);
    }
}
