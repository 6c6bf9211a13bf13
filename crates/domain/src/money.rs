//! Exact money. Inside, an amount is a whole number of minor units (sen) in an `i64`; at the edges
//! it is a [`Decimal`]. No float ever, tests included.

use core::fmt;
use rust_decimal::Decimal;

/// The most that one amount may be: 10^15 rupiah, forty times what Rp3 billion for every
/// cooperative of the nation comes to. It keeps any sum of a few amounts far from `i64::MAX`.
pub const MAX_AMOUNT_MINOR: i64 = 100_000_000_000_000_000;

/// A currency of ISO 4217 that the ledger keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Currency {
    /// Indonesian rupiah; two decimals by ISO 4217.
    Idr,
}

impl Currency {
    /// The currency of that ISO 4217 code, if the ledger keeps it.
    pub fn from_code(code: &str) -> Option<Currency> {
        (code == "IDR").then_some(Currency::Idr)
    }
    /// The ISO 4217 code.
    #[inline]
    pub const fn code(self) -> &'static str {
        match self {
            Currency::Idr => "IDR",
        }
    }
    /// How many decimals an amount has.
    #[inline]
    pub const fn decimals(self) -> u32 {
        match self {
            Currency::Idr => 2,
        }
    }
}

/// Why a number is not an amount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AmountError {
    /// Zero where an amount is needed.
    #[error("must be more than zero")]
    Zero,
    /// Less than zero.
    #[error("must not be negative")]
    Negative,
    /// More than [`MAX_AMOUNT_MINOR`].
    #[error("must be at most 1000000000000000.00")]
    TooLarge,
    /// More decimals than the currency has.
    #[error("must have at most {decimals} decimals")]
    TooPrecise {
        /// The decimals of the currency.
        decimals: u32,
    },
}

/// A positive amount in minor units: 1 to [`MAX_AMOUNT_MINOR`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Amount(i64);

impl Amount {
    /// An amount of that many minor units.
    pub fn from_minor(minor: i64) -> Result<Amount, AmountError> {
        match Money::from_minor(minor)? {
            Money(0) => Err(AmountError::Zero),
            Money(minor) => Ok(Amount(minor)),
        }
    }
    /// An amount of so many units of the currency, such as `100000000.00` rupiah.
    pub fn from_decimal(value: Decimal, currency: Currency) -> Result<Amount, AmountError> {
        Amount::from_minor(Money::from_decimal(value, currency)?.minor())
    }
    /// Minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }
    /// The amount in units of the currency, with its decimals.
    pub fn to_decimal(self, currency: Currency) -> Decimal {
        to_decimal(self.0, currency)
    }
}

/// An amount that may be zero, in minor units: 0 to [`MAX_AMOUNT_MINOR`]. A part of a payment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Money(i64);

impl Money {
    /// Nothing.
    pub const ZERO: Money = Money(0);

    /// Money of that many minor units.
    pub fn from_minor(minor: i64) -> Result<Money, AmountError> {
        match minor {
            ..0 => Err(AmountError::Negative),
            0..=MAX_AMOUNT_MINOR => Ok(Money(minor)),
            _ => Err(AmountError::TooLarge),
        }
    }
    /// Money of so many units of the currency.
    pub fn from_decimal(value: Decimal, currency: Currency) -> Result<Money, AmountError> {
        let decimals = currency.decimals();
        if value.is_sign_negative() && !value.is_zero() {
            return Err(AmountError::Negative);
        }
        let mut scaled = value.normalize();
        if scaled.scale() > decimals {
            return Err(AmountError::TooPrecise { decimals });
        }
        if scaled > Decimal::from(MAX_AMOUNT_MINOR) {
            return Err(AmountError::TooLarge);
        }
        scaled.rescale(decimals);
        i64::try_from(scaled.mantissa()).map_or(Err(AmountError::TooLarge), Money::from_minor)
    }
    /// Minor units.
    pub const fn minor(self) -> i64 {
        self.0
    }
}

/// So many minor units in units of the currency, with all its decimals (`1.50`, never `1.5`).
pub fn to_decimal(minor: i64, currency: Currency) -> Decimal {
    Decimal::new(minor, currency.decimals())
}

impl From<Amount> for Money {
    fn from(amount: Amount) -> Money {
        Money(amount.0)
    }
}

/// A yearly rate in percent, such as `5`: 0 to 100, at most four decimals. Inside, it is a whole
/// number of ten-thousandths: every loan has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u32);

/// Why a number is not a rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a yearly percentage from 0 to 100 with at most four decimals, such as 5 or 6.25")]
pub struct RateError;

impl Rate {
    /// The most decimals of a rate.
    pub const DECIMALS: u32 = 4;
    /// A hundred percent.
    const MAX_UNITS: u32 = 1_000_000;

    /// A rate of that many percent a year.
    pub fn from_percent(percent: Decimal) -> Result<Rate, RateError> {
        let mut scaled = percent.normalize();
        let inside = scaled >= Decimal::ZERO && scaled <= Decimal::ONE_HUNDRED;
        if !inside || scaled.scale() > Self::DECIMALS {
            return Err(RateError);
        }
        scaled.rescale(Self::DECIMALS);
        u32::try_from(scaled.mantissa()).map_or(Err(RateError), Rate::from_units)
    }
    /// Percent a year, without zeros at the end: `5`, never `5.0000`.
    pub fn percent(self) -> Decimal {
        Decimal::new(i64::from(self.0), Self::DECIMALS).normalize()
    }
    /// The rate in ten-thousandths of a percent, a whole number: its form in events.
    pub const fn to_units(self) -> u32 {
        self.0
    }
    /// The rate of so many ten-thousandths of a percent.
    pub fn from_units(units: u32) -> Result<Rate, RateError> {
        (units <= Self::MAX_UNITS).then_some(Rate(units)).ok_or(RateError)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.percent().fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;
    use core::str::FromStr;

    fn amount(text: &str) -> Result<i64, AmountError> {
        Amount::from_decimal(Decimal::from_str(text).unwrap(), Currency::Idr).map(Amount::minor)
    }

    #[test]
    fn an_amount_is_positive_exact_and_bounded() {
        assert_eq!(amount("3030303"), Ok(303_030_300));
        assert_eq!(amount("0.01"), Ok(1));
        assert_eq!(amount("1.500"), Ok(150));
        assert_eq!(amount("1000000000000000.00"), Ok(MAX_AMOUNT_MINOR));
        assert_eq!(amount("0"), Err(AmountError::Zero));
        assert_eq!(amount("-0.01"), Err(AmountError::Negative));
        assert_eq!(amount("0.001"), Err(AmountError::TooPrecise { decimals: 2 }));
        assert_eq!(amount("1000000000000000.01"), Err(AmountError::TooLarge));
        assert_eq!(amount("79228162514264337593543950335"), Err(AmountError::TooLarge));
        assert_eq!(Amount::from_minor(i64::MAX), Err(AmountError::TooLarge));
        assert_eq!(Amount::from_minor(i64::MIN), Err(AmountError::Negative));
    }

    #[test]
    fn money_prints_with_all_its_decimals() {
        assert_eq!(to_decimal(150, Currency::Idr).to_string(), "1.50");
        assert_eq!(to_decimal(-7, Currency::Idr).to_string(), "-0.07");
        assert_eq!(to_decimal(0, Currency::Idr).to_string(), "0.00");
    }

    #[test]
    fn a_rate_is_a_yearly_percentage() {
        let rate = |text| Rate::from_percent(Decimal::from_str(text).unwrap());
        assert_eq!(rate("5.00").unwrap().to_units(), 50_000);
        assert_eq!(Rate::from_units(50_000), rate("5"));
        assert_eq!(rate("6.250").unwrap().to_string(), "6.25");
        assert_eq!(rate("5.0000").unwrap().to_string(), "5");
        assert_eq!(Rate::from_units(1_000_000), rate("100"));
        assert_eq!(Rate::from_units(1_000_001), Err(RateError));
        assert_eq!(rate("100.0001"), Err(RateError));
        assert_eq!(rate("-1"), Err(RateError));
        assert_eq!(rate("0.00001"), Err(RateError));
    }
}
