//! The two events that nearly every record holds, straight from and to their bytes. What is said
//! here in other words than [`read`](super::read) and [`write`](super::write) must be the same;
//! tests compare them.

use bergulir_domain::command::{BankReference, Disburse, Repay};
use bergulir_domain::event::Repaid;
use bergulir_domain::{Amount, Date, Event, Money};

use crate::in_order::{
    BYTES, InOrder, NotInOrder, VARINT, put_id, put_message, put_number, put_text, tag,
};
use crate::moment::{date_from_days, date_to_days};

const DISBURSED: u8 = tag(1, BYTES);
const REPAID: u8 = tag(2, BYTES);

/// The event, if it is a frequent one and the bytes are just what is written for it. `None` says
/// nothing: the slow way finds out what the bytes are.
#[inline]
pub(super) fn decode(bytes: &[u8]) -> Option<Event> {
    let mut event = InOrder(bytes);
    match *bytes.first()? {
        DISBURSED => {
            let mut m = event.message(1)?;
            let (loan, amount) = (m.id(1)?, m.amount(2)?);
            let (bank_reference, value_date) = (m.bank_reference(3)?, m.date(4)?);
            if !(m.is_empty() && event.is_empty()) {
                return None;
            }
            Some(Event::Disbursed(Disburse { loan, amount, bank_reference, value_date }))
        }
        REPAID => {
            let mut m = event.message(2)?;
            let (loan, amount) = (m.id(1)?, m.amount(2)?);
            let [principal, interest, late_fee] =
                [m.part(3).ok()?, m.part(4).ok()?, m.part(5).ok()?];
            let (bank_reference, value_date) = (m.bank_reference(6)?, m.date(7)?);
            let relend_income = m.flag(8)?;
            if !(m.is_empty() && event.is_empty()) {
                return None;
            }
            let command =
                Repay { loan, amount, principal, interest, late_fee, bank_reference, value_date };
            Some(Event::Repaid(Repaid { command, relend_income }))
        }
        _ => None,
    }
}

/// Numbers as stored events have them.
impl InOrder<'_> {
    fn amount(&mut self, field: u8) -> Option<Amount> {
        if !self.has(field, VARINT) {
            return None;
        }
        Amount::from_minor(i64::try_from(self.varint()?).ok()?).ok()
    }

    /// Absent is absent, and zero is zero.
    fn part(&mut self, field: u8) -> Result<Option<Money>, NotInOrder> {
        if !self.has(field, VARINT) {
            return Ok(None);
        }
        let minor = self.varint().and_then(|number| i64::try_from(number).ok());
        minor.and_then(|minor| Money::from_minor(minor).ok()).map(Some).ok_or(NotInOrder)
    }

    /// Zero is never written.
    fn date(&mut self, field: u8) -> Option<Date> {
        if !self.has(field, VARINT) {
            return date_from_days(0);
        }
        match u32::try_from(self.varint()?).ok()? {
            0 => None,
            zigzag => date_from_days((zigzag >> 1).cast_signed() ^ -(zigzag & 1).cast_signed()),
        }
    }

    /// False is never written.
    fn flag(&mut self, field: u8) -> Option<bool> {
        if !self.has(field, VARINT) {
            return Some(false);
        }
        (self.varint()? == 1).then_some(true)
    }
}

/// Appends the bytes of an event if it is a frequent one, and says whether it did.
pub(super) fn encode(event: &Event, out: &mut Vec<u8>) -> bool {
    match event {
        Event::Disbursed(e) => put_message(DISBURSED, out, |out| {
            put_id(1, &e.loan, out);
            put_number(2, amount_number(e.amount), out);
            put_bank_reference(3, &e.bank_reference, out);
            put_date(4, e.value_date, out);
        }),
        Event::Repaid(Repaid { command: e, relend_income }) => put_message(REPAID, out, |out| {
            put_id(1, &e.loan, out);
            put_number(2, amount_number(e.amount), out);
            for (field, part) in (3..).zip([e.principal, e.interest, e.late_fee]) {
                if let Some(part) = part {
                    put_number(field, part.minor().cast_unsigned(), out);
                }
            }
            put_bank_reference(6, &e.bank_reference, out);
            put_date(7, e.value_date, out);
            if *relend_income {
                put_number(8, 1, out);
            }
        }),
        _ => return false,
    }
    true
}

fn amount_number(amount: Amount) -> u64 {
    amount.minor().cast_unsigned()
}

/// The number of a date with its sign in the lowest bit.
fn date_number(date: Date) -> u64 {
    let days = date_to_days(date);
    u64::from((days << 1 ^ days >> 31).cast_unsigned())
}

fn put_date(field: u8, date: Date, out: &mut Vec<u8>) {
    match date_number(date) {
        0 => {}
        number => put_number(field, number, out),
    }
}

fn put_bank_reference(field: u8, reference: &BankReference, out: &mut Vec<u8>) {
    put_message(tag(field, BYTES), out, |out| {
        put_text(1, &reference.bank, out);
        put_text(2, &reference.reference, out);
        if let Some(line) = reference.line {
            put_number(3, line.into(), out);
        }
    });
}
