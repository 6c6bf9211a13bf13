//! Collects what is wrong with a request while it is read.

use core::fmt::Display;
use core::str::FromStr;

use bergulir_chain::LogSize;
use bergulir_domain::moment::{Date, Position, Timestamp};
use bergulir_domain::money::Currency;
use bergulir_domain::{Amount, LedgerId, Money};
use uuid::Uuid;

use super::InvalidFields;
use crate::enums::WireEnum;
use crate::moment::{date_from_wire, timestamp_from_wire};
use crate::money::{MoneyError, amount_from_wire, part_from_wire};
use crate::{name, pb};

/// The text of a UUID with its hyphens; other forms of the same UUID are not taken, so that one
/// id looks the same in every log.
pub(super) const UUID_CHARACTERS: usize = 36;

/// What is wrong with a field has been written down.
#[derive(Debug, Clone, Copy)]
pub(super) struct Refused;

/// A value, or what is wrong with it has been written down.
pub(super) type Read<T> = Result<T, Refused>;

/// Reads fields.
pub(super) struct Fields {
    pub(super) currency: Currency,
    /// Each under the path from where the reading stands now.
    found: Vec<pb::FieldViolation>,
}

impl Fields {
    pub(super) fn new(currency: Currency) -> Fields {
        Fields { currency, found: Vec::new() }
    }

    /// What was read, if nothing is wrong.
    pub(super) fn finish<T>(self, value: Read<T>) -> Result<T, InvalidFields> {
        match value {
            Ok(value) if self.found.is_empty() => Ok(value),
            _ => Err(InvalidFields(self.found)),
        }
    }

    /// How much was found wrong so far.
    pub(super) fn found(&self) -> usize {
        self.found.len()
    }

    /// Takes over what was found wrong so far.
    pub(super) fn take_found(&mut self) -> Vec<pb::FieldViolation> {
        core::mem::take(&mut self.found)
    }

    /// Writes down what is wrong with a field.
    pub(super) fn refuse(&mut self, field: &str, description: impl Display) -> Refused {
        let (field, description) = (field.to_owned(), description.to_string());
        self.found.push(pb::FieldViolation { field, description });
        Refused
    }

    /// Reads within a field, or within an element of one such as `items[3]`.
    pub(super) fn within<T>(
        &mut self,
        field: impl Display,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> T {
        let before = self.found.len();
        let value = read(self);
        // Only here is the path written: nearly always nothing is wrong.
        for violation in self.found.iter_mut().skip(before) {
            let dot = if violation.field.is_empty() { "" } else { "." };
            violation.field = format!("{field}{dot}{}", violation.field);
        }
        value
    }

    fn take<T, E: Display>(&mut self, field: &str, value: Result<T, E>) -> Read<T> {
        value.map_err(|error| self.refuse(field, error))
    }

    /// A message that must be there.
    pub(super) fn present<T>(&mut self, field: &str, value: Option<T>) -> Read<T> {
        value.ok_or_else(|| self.refuse(field, "must be set"))
    }

    pub(super) fn parse<T: FromStr<Err: Display>>(&mut self, field: &str, text: &str) -> Read<T> {
        self.take(field, text.parse())
    }

    /// `None` is a field that was left out.
    pub(super) fn optional<T: FromStr<Err: Display>>(
        &mut self,
        field: &str,
        text: Option<&str>,
    ) -> Read<Option<T>> {
        match text {
            None => Ok(None),
            Some(text) => self.parse(field, text).map(Some),
        }
    }

    pub(super) fn choice<T: WireEnum>(&mut self, field: &str, number: i32) -> Read<T> {
        T::from_wire(number).ok_or_else(|| self.refuse(field, Choice(number)))
    }

    pub(super) fn amount(&mut self, field: &str, money: Option<&pb::Money>) -> Read<Amount> {
        let money = self.present(field, money)?;
        let amount = amount_from_wire(money, self.currency);
        self.money(field, amount)
    }

    /// A part of a payment, which may be zero or absent.
    pub(super) fn part(&mut self, field: &str, money: Option<&pb::Money>) -> Read<Option<Money>> {
        let Some(money) = money else { return Ok(None) };
        let part = part_from_wire(money, self.currency);
        self.money(field, part).map(Some)
    }

    fn money<T>(&mut self, field: &str, value: Result<T, MoneyError>) -> Read<T> {
        value.map_err(|error| {
            self.within(field, |f| f.refuse(error.field().unwrap_or_default(), &error))
        })
    }

    pub(super) fn date(&mut self, field: &str, date: Option<&pb::Date>) -> Read<Date> {
        let date = self.present(field, date)?;
        self.take(field, date_from_wire(date))
    }

    pub(super) fn timestamp(
        &mut self,
        field: &str,
        at: Option<&pb::Timestamp>,
    ) -> Read<Option<Timestamp>> {
        match at {
            None => Ok(None),
            Some(at) => self.take(field, timestamp_from_wire(at)).map(Some),
        }
    }

    /// The position of a record that a command names. Zero is what a caller sends who forgot it,
    /// and it opened the ledger, which no command is about.
    pub(super) fn position(&mut self, field: &str, position: u64) -> Read<Position> {
        if position == 0 {
            return Err(
                self.refuse(field, "must be the position of a record, which is never 0 here")
            );
        }
        Ok(Position::new(position))
    }

    pub(super) fn version(&mut self, field: &str, version: u32) -> Read<u32> {
        if version == 0 {
            return Err(self.refuse(field, "must be a version, from 1"));
        }
        Ok(version)
    }

    pub(super) fn digest(&mut self, field: &str, bytes: &[u8]) -> Read<[u8; 32]> {
        let refused = format_args!("must be 32 bytes, and has {}", bytes.len());
        bytes.try_into().map_err(|_| self.refuse(field, refused))
    }

    pub(super) fn u16(&mut self, field: &str, number: u32) -> Read<u16> {
        let refused = format_args!("must be at most {}", u16::MAX);
        u16::try_from(number).map_err(|_| self.refuse(field, refused))
    }

    pub(super) fn request_id(&mut self, text: &str) -> Read<Uuid> {
        let id = (text.len() == UUID_CHARACTERS).then(|| Uuid::try_parse(text).ok()).flatten();
        match id {
            Some(id) if !id.is_nil() => Ok(id),
            Some(_) => Err(self.refuse("request_id", "must not be the nil UUID")),
            None => Err(self.refuse(
                "request_id",
                "must be a UUID such as 0190a8f0-6f2a-7c3b-8d4e-5f60718293a4, new for each \
                 command and the same for its retries",
            )),
        }
    }

    pub(super) fn ledger(&mut self, name: &str) -> Read<LedgerId> {
        self.take("ledger", name::ledger(name))
    }

    pub(super) fn log_size(expected: Option<u64>) -> Option<LogSize> {
        expected.map(LogSize::new)
    }
}

/// Why a number is not a choice.
struct Choice(i32);

impl Display for Choice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self.0 {
            0 => f.write_str("must be specified"),
            other => write!(f, "has no meaning for {other}"),
        }
    }
}
