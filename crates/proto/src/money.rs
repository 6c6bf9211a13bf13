//! `google.type.Money` and minor units, exactly, both ways.

use bergulir_domain::money::{AmountError, Currency};
use bergulir_domain::{Amount, Money};
use rust_decimal::Decimal;
use thiserror::Error;

use crate::pb;

const NANOS_PER_UNIT: i32 = 1_000_000_000;

/// Why a `google.type.Money` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum MoneyError {
    /// Another currency than the ledger's.
    #[error("must be {expected}, the ledger's currency")]
    Currency {
        /// The code of the ledger's currency.
        expected: &'static str,
    },
    /// The nanos are a whole unit or more.
    #[error("must be from -999999999 to 999999999")]
    NanosOutOfRange,
    /// The nanos have another sign than the units.
    #[error("must have the sign of units")]
    SignsDiffer,
    /// The number is not an amount of the ledger.
    #[error(transparent)]
    Amount(#[from] AmountError),
}

impl MoneyError {
    /// The field of `google.type.Money` that is wrong; `None`: the number as a whole.
    pub const fn field(&self) -> Option<&'static str> {
        match self {
            MoneyError::Currency { .. } => Some("currency_code"),
            MoneyError::NanosOutOfRange
            | MoneyError::SignsDiffer
            | MoneyError::Amount(AmountError::TooPrecise { .. }) => Some("nanos"),
            MoneyError::Amount(_) => None,
        }
    }
}

#[inline]
pub(crate) const fn nanos_per_minor(currency: Currency) -> i32 {
    NANOS_PER_UNIT / 10_i32.pow(currency.decimals())
}

#[inline]
pub(crate) const fn minor_per_unit(currency: Currency) -> i64 {
    10_i64.pow(currency.decimals())
}

/// So many minor units as the wire has them; negative ones too, as balances may be.
pub fn money_to_wire(minor: i64, currency: Currency) -> pb::Money {
    let nanos = minor % minor_per_unit(currency) * i64::from(nanos_per_minor(currency));
    pb::Money {
        currency_code: currency.code().to_owned(),
        units: minor / minor_per_unit(currency),
        nanos: i32::try_from(nanos).expect("less than 10^9 after the remainder"),
    }
}

/// The minor units of money on the wire, of any sign and size that fits.
pub fn minor_from_wire(money: &pb::Money, currency: Currency) -> Result<i64, MoneyError> {
    if money.currency_code != currency.code() {
        return Err(MoneyError::Currency { expected: currency.code() });
    }
    if !(1 - NANOS_PER_UNIT..NANOS_PER_UNIT).contains(&money.nanos) {
        return Err(MoneyError::NanosOutOfRange);
    }
    if i64::from(money.nanos.signum()) * money.units.signum() < 0 {
        return Err(MoneyError::SignsDiffer);
    }
    if money.nanos % nanos_per_minor(currency) != 0 {
        return Err(AmountError::TooPrecise { decimals: currency.decimals() }.into());
    }
    let units = i128::from(money.units) * i128::from(minor_per_unit(currency));
    let minor = units + i128::from(money.nanos / nanos_per_minor(currency));
    i64::try_from(minor).map_err(|_| {
        if minor < 0 { AmountError::Negative.into() } else { AmountError::TooLarge.into() }
    })
}

/// Money on the wire as an amount: more than zero, within the limit of one amount.
pub fn amount_from_wire(money: &pb::Money, currency: Currency) -> Result<Amount, MoneyError> {
    Ok(Amount::from_minor(minor_from_wire(money, currency)?)?)
}

/// Money on the wire as a part of a payment: zero or more, within the limit of one amount.
pub fn part_from_wire(money: &pb::Money, currency: Currency) -> Result<Money, MoneyError> {
    Ok(Money::from_minor(minor_from_wire(money, currency)?)?)
}

/// Money on the wire as a decimal with all decimals of the currency, to show it.
pub fn decimal_from_wire(money: &pb::Money, currency: Currency) -> Result<Decimal, MoneyError> {
    minor_from_wire(money, currency)
        .map(|minor| bergulir_domain::money::to_decimal(minor, currency))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const IDR: Currency = Currency::Idr;

    fn idr(units: i64, nanos: i32) -> pb::Money {
        pb::Money { currency_code: "IDR".to_owned(), units, nanos }
    }

    #[test]
    fn money_has_the_ledgers_currency() {
        for code in ["USD", "", "idr"] {
            let money = pb::Money { currency_code: code.to_owned(), units: 1, nanos: 0 };
            let refused = Err(MoneyError::Currency { expected: "IDR" });
            assert_eq!(amount_from_wire(&money, IDR), refused, "{code:?}");
        }
    }

    #[test]
    fn money_has_at_most_two_decimals() {
        assert_eq!(amount_from_wire(&idr(1, 500_000_000), IDR).map(Amount::minor), Ok(150));
        assert_eq!(amount_from_wire(&idr(0, 10_000_000), IDR).map(Amount::minor), Ok(1));
        let refused = Err(MoneyError::Amount(AmountError::TooPrecise { decimals: 2 }));
        assert_eq!(amount_from_wire(&idr(1, 1_000_000), IDR), refused);
        assert_eq!(amount_from_wire(&idr(0, 1), IDR), refused);
    }

    #[test]
    fn units_and_nanos_agree_in_sign() {
        assert_eq!(minor_from_wire(&idr(1, -10_000_000), IDR), Err(MoneyError::SignsDiffer));
        assert_eq!(minor_from_wire(&idr(-1, 10_000_000), IDR), Err(MoneyError::SignsDiffer));
        assert_eq!(minor_from_wire(&idr(0, -10_000_000), IDR), Ok(-1));
        assert_eq!(minor_from_wire(&idr(0, 1_000_000_000), IDR), Err(MoneyError::NanosOutOfRange));
        assert_eq!(minor_from_wire(&idr(0, i32::MIN), IDR), Err(MoneyError::NanosOutOfRange));
    }

    #[test]
    fn an_amount_is_more_than_zero_and_bounded() {
        let refused = |money, why: AmountError| {
            assert_eq!(amount_from_wire(&money, IDR), Err(MoneyError::Amount(why)), "{money:?}");
        };
        refused(idr(0, 0), AmountError::Zero);
        refused(idr(-1, 0), AmountError::Negative);
        refused(idr(i64::MIN, -990_000_000), AmountError::Negative);
        refused(idr(i64::MAX, 990_000_000), AmountError::TooLarge);
        refused(idr(1_000_000_000_000_000, 10_000_000), AmountError::TooLarge);
        assert!(amount_from_wire(&idr(1_000_000_000_000_000, 0), IDR).is_ok());
        assert_eq!(part_from_wire(&idr(0, 0), IDR), Ok(Money::ZERO));
    }

    #[test]
    fn money_is_shown_with_all_its_decimals() {
        let shown = decimal_from_wire(&idr(-3, -500_000_000), IDR).map(|d| d.to_string());
        assert_eq!(shown.as_deref(), Ok("-3.50"));
    }

    proptest! {
        #[test]
        fn minor_units_come_back_from_the_wire(minor: i64) {
            prop_assert_eq!(minor_from_wire(&money_to_wire(minor, IDR), IDR), Ok(minor));
        }
    }
}
