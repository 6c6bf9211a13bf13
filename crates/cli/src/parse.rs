//! Reads what people type: amounts, dates, ids and digests. Everything here is checked before
//! anything is sent.

use std::fmt::Display;
use std::str::FromStr;

use bergulir_domain::id::{FundKind, Id};
use bergulir_domain::ledger::Origin;
use bergulir_domain::money::{Currency, Money, Rate};
use bergulir_domain::{Amount, Date, Timestamp};
use bergulir_proto::name::{
    self, AccountName, CooperativeName, FundName, LenderName, OwnerName, TrailName,
};
use rust_decimal::Decimal;
use time::format_description::well_known::Rfc3339;
use time::{Month, OffsetDateTime};

/// The currency of every ledger so far.
pub(crate) const CURRENCY: Currency = Currency::Idr;

/// The most digits before the point that are worth reading: 10^15 has sixteen.
const MAX_WHOLE_DIGITS: usize = 16;

const AMOUNT_FORM: &str = "must be digits with at most two decimals after a point, and no thousands separators, such as \
     100000000 or 100000000.50";

/// More than zero, as an exact decimal.
pub(crate) fn amount(text: &str) -> Result<Amount, String> {
    Amount::from_decimal(decimal(text)?, CURRENCY).map_err(|error| error.to_string())
}

/// Zero or more, as an exact decimal.
pub(crate) fn part(text: &str) -> Result<Money, String> {
    Money::from_decimal(decimal(text)?, CURRENCY).map_err(|error| error.to_string())
}

/// The most characters of a decimal: the library that reads it goes deeper with each digit.
const MAX_CHARACTERS: usize = 64;

/// An exact decimal of few digits. `100.000` is refused, because in Indonesia it means a hundred
/// thousand.
fn decimal(text: &str) -> Result<Decimal, String> {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, decimals) = match unsigned.split_once('.') {
        Some((whole, decimals)) => (whole, Some(decimals)),
        None => (unsigned, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if text.len() > MAX_CHARACTERS
        || !digits(whole)
        || decimals.is_some_and(|decimals| !digits(decimals) || decimals.len() > 2)
    {
        return Err(AMOUNT_FORM.to_owned());
    }
    if unsigned.len() < text.len() {
        return Err("must not be negative".to_owned());
    }
    if whole.trim_start_matches('0').len() > MAX_WHOLE_DIGITS {
        return Err("must be at most 1000000000000000.00".to_owned());
    }
    Decimal::from_str_exact(text).map_err(|_| AMOUNT_FORM.to_owned())
}

/// A yearly percentage, such as `5` or `6.25`; kept as it was typed.
pub(crate) fn rate(text: &str) -> Result<String, String> {
    let form = || bergulir_domain::money::RateError.to_string();
    let shape =
        text.len() <= MAX_CHARACTERS && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let percent = shape.then(|| Decimal::from_str_exact(text).ok()).flatten().ok_or_else(form)?;
    Rate::from_percent(percent).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A day of the calendar, such as `2026-03-16`.
pub(crate) fn date(text: &str) -> Result<Date, String> {
    let form = || "must be a day of the calendar as YYYY-MM-DD, such as 2026-03-16".to_owned();
    let mut groups = text.split('-');
    let mut group = |length: usize| {
        let digits = groups.next().filter(|group| group.len() == length)?;
        let all = digits.bytes().all(|b| b.is_ascii_digit());
        all.then(|| digits.parse::<u16>().ok()).flatten()
    };
    let (year, month, day) = (group(4), group(2), group(2));
    let (Some(year), Some(month), Some(day), None) = (year, month, day, groups.next()) else {
        return Err(form());
    };
    let narrow = |number: u16| u8::try_from(number).map_err(|_| form());
    let month = Month::try_from(narrow(month)?).map_err(|_| form())?;
    if year == 0 {
        return Err(form());
    }
    Date::from_calendar_date(i32::from(year), month, narrow(day)?).map_err(|_| form())
}

/// An instant after RFC 3339, whole microseconds.
pub(crate) fn instant(text: &str) -> Result<Timestamp, String> {
    let form = || {
        "must be an instant as 2026-03-16T09:30:00+07:00, with at most six decimals of a second"
            .to_owned()
    };
    let at = OffsetDateTime::parse(text, &Rfc3339).map_err(|_| form())?;
    let nanos = at.unix_timestamp_nanos();
    if nanos % 1_000 != 0 {
        return Err(form());
    }
    let micros = i64::try_from(nanos / 1_000).map_err(|_| form())?;
    Ok(Timestamp::from_micros(micros))
}

/// 32 bytes as 64 hexadecimal digits.
pub(crate) fn digest(text: &str) -> Result<[u8; 32], String> {
    let form = "must be 64 hexadecimal digits: a SHA-256";
    let hash = bergulir_chain::Hash::from_str(text).map_err(|_| form.to_owned())?;
    Ok(*hash.as_bytes())
}

/// A ledger's origin; kept as it was typed.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    Origin::new(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A ledger's id; kept as it was typed.
pub(crate) fn ledger(text: &str) -> Result<String, String> {
    name::ledger_id(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

/// A name within the ledger, such as `funds/dana`, or a full one; kept as it was typed.
fn named<N: FromStr>(text: &str, forms: &[&str]) -> Result<String, String> {
    if text.parse::<N>().is_ok() || format!("ledgers/any/{text}").parse::<N>().is_ok() {
        return Ok(text.to_owned());
    }
    // What a bare id most likely means.
    let meant = match forms {
        [first, ..] if Id::<FundKind>::new(text).is_ok() => {
            let kind = first.split('/').next().unwrap_or(first);
            format!(" ({kind}/{text}?)")
        }
        _ => String::new(),
    };
    Err(format!("must be a name of the form {}{meant}", forms.join(" or ")))
}

/// What has balances: a fund, an account or a loan.
pub(crate) fn owner(text: &str) -> Result<String, String> {
    named::<OwnerName>(text, &["funds/F", "funds/F/accounts/A", "loans/L"])
}

/// What lends or borrows: a fund or an account.
pub(crate) fn lender(text: &str) -> Result<String, String> {
    named::<LenderName>(text, &["funds/F", "funds/F/accounts/A"])
}

/// What has a trail: a fund, an account, a loan or a cooperative.
pub(crate) fn trail(text: &str) -> Result<String, String> {
    let forms = ["funds/F", "funds/F/accounts/A", "loans/L", "cooperatives/C"];
    named::<TrailName>(text, &forms)
}

/// A fund by its name.
pub(crate) fn fund(text: &str) -> Result<String, String> {
    named::<FundName>(text, &["funds/F"])
}

/// An account by its name.
pub(crate) fn account(text: &str) -> Result<String, String> {
    named::<AccountName>(text, &["funds/F/accounts/A"])
}

/// A cooperative by its name.
pub(crate) fn cooperative(text: &str) -> Result<String, String> {
    named::<CooperativeName>(text, &["cooperatives/C"])
}

/// A position, or a number of records: zero or more.
pub(crate) fn whole(text: &str) -> Result<u64, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().map_err(|_| format!("must be at most {}", u64::MAX));
    }
    match text.strip_prefix('-') {
        Some(rest) if whole(rest).is_ok() => Err("must not be negative".to_owned()),
        Some(_) | None => Err("must be a whole number, without separators".to_owned()),
    }
}

/// Anything of the domain that says itself what is wrong with a text; kept as it was typed.
pub(crate) fn checked<T>(text: &str) -> Result<String, String>
where
    T: FromStr,
    T::Err: Display,
{
    T::from_str(text).map_err(|error| error.to_string())?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_is_typed_as_an_exact_decimal() {
        let minor = |text| amount(text).map(Amount::minor);
        assert_eq!(minor("100000000"), Ok(10_000_000_000));
        assert_eq!(minor("100000000.50"), Ok(10_000_000_050));
        assert_eq!(minor("0.5"), Ok(50));
        assert_eq!(minor("0001"), Ok(100));
        assert_eq!(minor("1000000000000000"), Ok(100_000_000_000_000_000));
    }

    #[test]
    fn text_separators_and_huge_numbers_are_refused_with_what_to_type() {
        for text in [
            "",
            "abc",
            "1e6",
            "1_000",
            "100,000",
            "100.000",
            "1.000.000",
            "1.",
            ".5",
            "+1",
            " 1",
            "Rp1",
            "NaN",
            "0x10",
            "1.001",
            "١",
            "--1",
            "-",
        ] {
            assert_eq!(amount(text), Err(AMOUNT_FORM.to_owned()), "{text:?}");
        }
        let huge = format!("1{}", "0".repeat(30));
        for text in [huge.as_str(), "99999999999999999999999999999999.99"] {
            assert_eq!(amount(text), Err("must be at most 1000000000000000.00".to_owned()));
        }
        assert_eq!(
            amount("1000000000000000.01"),
            Err("must be at most 1000000000000000.00".to_owned())
        );
        assert_eq!(amount("-1"), Err("must not be negative".to_owned()));
        assert_eq!(amount("0"), Err("must be more than zero".to_owned()));
        assert_eq!(part("0.00").map(Money::minor), Ok(0));
        assert_eq!(part("-0.01"), Err("must not be negative".to_owned()));
    }

    #[test]
    fn a_date_is_a_day_of_the_calendar() {
        assert_eq!(date("2024-02-29").unwrap().to_string(), "2024-02-29");
        for text in [
            "2026-02-29",
            "2026-2-9",
            "16-03-2026",
            "2026-03-16T00:00:00Z",
            "0000-01-01",
            "today",
            "2026-13-01",
            "2026-03-00",
            "+026-01-01",
            "2026-03-16-01",
            "",
        ] {
            assert!(date(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn an_instant_is_whole_microseconds_with_its_offset() {
        let micros = |text| instant(text).map(Timestamp::as_micros);
        assert_eq!(micros("1970-01-01T07:00:01+07:00"), Ok(1_000_000));
        assert_eq!(micros("1970-01-01T00:00:00.000001Z"), Ok(1));
        assert!(micros("1970-01-01T00:00:00.0000001Z").is_err());
        assert!(micros("2026-03-16").is_err());
    }

    #[test]
    fn a_name_is_one_within_the_ledger_or_a_full_one() {
        for text in ["funds/dana", "funds/dana/accounts/a", "loans/l", "ledgers/kab/funds/dana"] {
            assert_eq!(owner(text), Ok(text.to_owned()));
            assert_eq!(trail(text), Ok(text.to_owned()));
        }
        let wanted = "must be a name of the form funds/F or funds/F/accounts/A or loans/L";
        assert_eq!(owner("dana"), Err(format!("{wanted} (funds/dana?)")));
        assert_eq!(owner("cooperatives/c"), Err(wanted.to_owned()));
        assert_eq!(owner("ledgers/../funds/dana"), Err(wanted.to_owned()));
        assert!(trail("cooperatives/c").is_ok());
        assert!(cooperative("c-1").unwrap_err().ends_with("(cooperatives/c-1?)"));
        assert!(fund("funds/dana").is_ok() && account("funds/dana").is_err());
    }

    #[test]
    fn a_ledger_is_not_named_like_another_place() {
        assert_eq!(ledger("kab.36-03"), Ok("kab.36-03".to_owned()));
        for text in ["..", ".", ".kab", "-"] {
            let why = "a ledger's id must begin with a letter or a digit";
            assert_eq!(ledger(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn a_position_is_a_whole_number() {
        assert_eq!(whole("0"), Ok(0));
        assert_eq!(whole("18446744073709551615"), Ok(u64::MAX));
        assert_eq!(whole("-1"), Err("must not be negative".to_owned()));
        assert!(whole("18446744073709551616").unwrap_err().starts_with("must be at most"));
        for text in ["", "-", "+1", "1.0", "1_000", "x", "--1"] {
            assert!(whole(text).unwrap_err().starts_with("must be a whole number"), "{text}");
        }
    }

    #[test]
    fn digits_without_end_are_refused() {
        for endless in ["0".repeat(1 << 20), format!("0.{}", "0".repeat(1 << 20))] {
            assert!(amount(&endless).is_err());
            assert!(part(&endless).is_err());
            assert!(rate(&endless).is_err());
        }
    }

    #[test]
    fn a_rate_and_a_digest_have_their_form() {
        assert_eq!(rate("6.25"), Ok("6.25".to_owned()));
        for text in ["", "-1", "101", "5%", "0.00001", "1_0"] {
            assert!(rate(text).is_err(), "{text:?}");
        }
        assert_eq!(digest(&"0f".repeat(32)).unwrap(), [0x0f; 32]);
        assert!(digest("0f").is_err());
    }
}
