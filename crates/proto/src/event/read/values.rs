//! The parts of an event, none of them trusted.

use core::fmt::Display;
use core::str::FromStr;

use bergulir_domain::command as c;
use bergulir_domain::event::{Paid, Undoes};
use bergulir_domain::moment::Position;
use bergulir_domain::{Amount, Date, Money};

use super::Read;
use crate::enums::WireEnum;
use crate::event::EventError;
use crate::moment::date_from_days;
use crate::pb::{self, disbursement_proposed, paid, undoes};

pub(super) fn invalid(field: &'static str, why: &dyn Display) -> EventError {
    EventError::Invalid { field, why: why.to_string() }
}

pub(super) fn present<T>(field: &'static str, value: Option<T>) -> Read<T> {
    value.ok_or(EventError::Missing { field })
}

pub(super) fn parse<T: FromStr<Err: Display>>(field: &'static str, text: &str) -> Read<T> {
    text.parse().map_err(|error| invalid(field, &error))
}

pub(super) fn parse_optional<T: FromStr<Err: Display>>(
    field: &'static str,
    text: Option<&str>,
) -> Read<Option<T>> {
    text.map(|text| parse(field, text)).transpose()
}

pub(super) fn amount(field: &'static str, minor: i64) -> Read<Amount> {
    Amount::from_minor(minor).map_err(|error| invalid(field, &error))
}

pub(super) fn money(field: &'static str, minor: i64) -> Read<Money> {
    Money::from_minor(minor).map_err(|error| invalid(field, &error))
}

pub(super) fn date(field: &'static str, days: i32) -> Read<Date> {
    date_from_days(days).ok_or_else(|| invalid(field, &"is not a day of the calendar"))
}

pub(super) fn enumeration<T: WireEnum>(field: &'static str, number: i32) -> Read<T> {
    T::from_wire(number).ok_or_else(|| invalid(field, &"has a value that is not known here"))
}

pub(super) fn digest(field: &'static str, bytes: &[u8]) -> Read<[u8; 32]> {
    bytes.try_into().map_err(|_| invalid(field, &"must be 32 bytes"))
}

pub(super) fn months(field: &'static str, months: u32) -> Read<u16> {
    u16::try_from(months).map_err(|error| invalid(field, &error))
}

pub(super) fn bank_reference(message: Option<pb::BankReference>) -> Read<c::BankReference> {
    let message = present("bank_reference", message)?;
    Ok(c::BankReference {
        bank: parse("bank_reference.bank", &message.bank)?,
        reference: parse("bank_reference.reference", &message.reference)?,
        line: message.line,
    })
}

pub(super) fn bank_account(message: Option<pb::BankAccount>) -> Read<c::BankAccount> {
    let message = present("bank_account", message)?;
    Ok(c::BankAccount {
        bank: parse("bank_account.bank", &message.bank)?,
        number: parse("bank_account.number", &message.number)?,
    })
}

pub(super) fn evidence(message: &pb::Evidence) -> Read<c::Evidence> {
    Ok(c::Evidence {
        reference: parse("evidence.reference", &message.reference)?,
        salted_digest: digest("evidence.salted_digest", &message.salted_digest)?,
    })
}

pub(super) fn payee(payee: Option<disbursement_proposed::Payee>) -> Read<c::Payee> {
    Ok(match present("payee", payee)? {
        disbursement_proposed::Payee::Loan(loan) => c::Payee::Loan(parse("loan", &loan)?),
        disbursement_proposed::Payee::Grant(grant) => c::Payee::Grant {
            fund: parse("grant.fund", &grant.fund)?,
            account: parse("grant.account", &grant.account)?,
            reference: parse("grant.reference", &grant.reference)?,
        },
    })
}

pub(super) fn paid(message: Option<pb::Paid>) -> Read<Paid> {
    Ok(match present("paid.kind", present("paid", message)?.kind)? {
        paid::Kind::Loan(loan) => Paid::Loan(parse("paid.loan", &loan)?),
        paid::Kind::Grant(grant) => Paid::Grant(
            parse("paid.grant.fund", &grant.fund)?,
            parse("paid.grant.account", &grant.account)?,
        ),
    })
}

pub(super) fn undone(message: Option<pb::Undoes>) -> Read<Undoes> {
    Ok(match present("undoes.kind", present("undoes", message)?.kind)? {
        undoes::Kind::Allocation(m) => Undoes::Allocation {
            fund: parse("undoes.fund", &m.fund)?,
            amount: amount("undoes.amount", m.amount)?,
        },
        undoes::Kind::AllocationWithdrawal(m) => Undoes::AllocationWithdrawal {
            fund: parse("undoes.fund", &m.fund)?,
            allocation: Position::new(m.allocation),
            amount: amount("undoes.amount", m.amount)?,
        },
        undoes::Kind::Disbursement(m) => {
            Undoes::Disbursement { paid: paid(m.paid)?, amount: amount("undoes.amount", m.amount)? }
        }
        undoes::Kind::Return(m) => Undoes::Return {
            disbursement: Position::new(m.disbursement),
            paid: paid(m.paid)?,
            amount: amount("undoes.amount", m.amount)?,
            disbursed_on: date("undoes.disbursed_on", m.disbursed_on)?,
        },
        undoes::Kind::Repayment(m) => Undoes::Repayment {
            loan: parse("undoes.loan", &m.loan)?,
            principal: money("undoes.principal", m.principal)?,
            interest: money("undoes.interest", m.interest)?,
            late_fee: money("undoes.late_fee", m.late_fee)?,
            relend_income: m.relend_income,
        },
        undoes::Kind::WriteOff(m) => Undoes::WriteOff {
            loan: parse("undoes.loan", &m.loan)?,
            kind: enumeration("undoes.kind", m.kind)?,
            amount: amount("undoes.amount", m.amount)?,
            principal: money("undoes.principal", m.principal)?,
        },
        undoes::Kind::Recovery(m) => Undoes::Recovery {
            loan: parse("undoes.loan", &m.loan)?,
            amount: amount("undoes.amount", m.amount)?,
        },
    })
}
