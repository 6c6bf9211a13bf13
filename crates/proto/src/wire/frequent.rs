//! The two commands that nearly every item of a batch holds, straight from its bytes. What this
//! reads, the typed messages of [`pb`](crate::pb) read as the same; tests compare them.

use bergulir_domain::command::{Disburse, Repay};
use bergulir_domain::money::Currency;
use bergulir_domain::{Amount, Command, Date, Money};
use uuid::Uuid;

use super::batch::Request;
use super::fields::UUID_CHARACTERS;
use crate::in_order::{InOrder, NotInOrder, VARINT};
use crate::moment::date_from_wire;
use crate::money::{minor_per_unit, nanos_per_minor};
use crate::pb;

/// The keys of `Command.disburse` and `Command.repay`: fields 19 and 22, bytes behind a length.
const DISBURSE: [u8; 2] = [0x9a, 0x01];
const REPAY: [u8; 2] = [0xb2, 0x01];

/// The date that was read last, with its bytes: most commands of a batch are of one day.
pub(super) type LastDate<'a> = Option<(&'a [u8], Date)>;

/// The command of an item, if it is a frequent one, right, and written in order. `None` says
/// nothing.
pub(super) fn read<'a>(
    item: &'a [u8],
    currency: Currency,
    last_date: &mut LastDate<'a>,
) -> Option<Request> {
    let mut item = InOrder(item);
    let id = item.bytes(1).filter(|id| id.len() == UUID_CHARACTERS)?;
    let request_id = Uuid::try_parse_ascii(id).ok().filter(|id| !id.is_nil())?;
    let mut command = item.message(2)?;
    let key = *command.0.first_chunk()?;
    command.0 = &command.0[key.len()..];
    let mut m = Wire { fields: InOrder(command.length_delimited()?), currency, last_date };
    if !(command.is_empty() && item.is_empty()) {
        return None;
    }
    let command = match key {
        DISBURSE => Command::Disburse(Disburse {
            loan: m.fields.id(1)?,
            amount: m.amount(2)?,
            bank_reference: m.fields.bank_reference(3)?,
            value_date: m.date(4)?,
        }),
        REPAY => Command::Repay(Repay {
            loan: m.fields.id(1)?,
            amount: m.amount(2)?,
            principal: m.part(3).ok()?,
            interest: m.part(4).ok()?,
            late_fee: m.part(5).ok()?,
            bank_reference: m.fields.bank_reference(6)?,
            value_date: m.date(7)?,
        }),
        _ => return None,
    };
    if !m.fields.is_empty() {
        return None;
    }
    Some(Request { request_id: request_id.into_bytes(), command })
}

/// A command whose money is of this currency.
struct Wire<'a, 'b> {
    fields: InOrder<'a>,
    currency: Currency,
    last_date: &'b mut LastDate<'a>,
}

impl Wire<'_, '_> {
    #[inline]
    fn amount(&mut self, field: u8) -> Option<Amount> {
        Amount::from_minor(self.minor(field)?).ok()
    }

    /// Absent is absent, and zero is zero.
    #[inline]
    fn part(&mut self, field: u8) -> Result<Option<Money>, NotInOrder> {
        if !self.fields.begins(field) {
            return Ok(None);
        }
        let minor = self.minor(field).ok_or(NotInOrder)?;
        Money::from_minor(minor).map(Some).map_err(|_| NotInOrder)
    }

    /// Minor units that are not negative.
    #[inline]
    fn minor(&mut self, field: u8) -> Option<i64> {
        let currency = self.currency;
        let mut m = self.fields.message(field)?;
        if m.bytes(1)? != currency.code().as_bytes() {
            return None;
        }
        let (units, nanos) = (m.number(2)?, m.number(3)?);
        let (units, nanos) = (i64::try_from(units).ok()?, i32::try_from(nanos).ok()?);
        let of_minor = nanos_per_minor(currency);
        if !m.is_empty() || nanos >= 1_000_000_000 || nanos % of_minor != 0 {
            return None;
        }
        units.checked_mul(minor_per_unit(currency))?.checked_add(i64::from(nanos / of_minor))
    }

    fn date(&mut self, field: u8) -> Option<Date> {
        let mut m = self.fields.message(field)?;
        let bytes = m.0;
        if let Some((last, date)) = *self.last_date
            && last == bytes
        {
            return Some(date);
        }
        let mut number = |field| i32::try_from(m.number(field)?).ok();
        let date = pb::Date { year: number(1)?, month: number(2)?, day: number(3)? };
        let date = m.is_empty().then(|| date_from_wire(&date).ok())??;
        *self.last_date = Some((bytes, date));
        Some(date)
    }
}

impl InOrder<'_> {
    /// Whether this field, bytes behind their length, comes next.
    #[inline]
    fn begins(&self, field: u8) -> bool {
        self.0.first() == Some(&crate::in_order::tag(field, crate::in_order::BYTES))
    }

    /// A number; zero if it is not there.
    #[inline]
    fn number(&mut self, field: u8) -> Option<u64> {
        if self.has(field, VARINT) { self.varint() } else { Some(0) }
    }
}
