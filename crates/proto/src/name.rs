//! Resource names after AIP-122: parsed from requests, and written into answers.

use core::fmt;
use core::str::FromStr;

use bergulir_domain::id::{Id, IdError};
use bergulir_domain::{AccountId, CooperativeId, FundId, LedgerId, LoanId};
use thiserror::Error;

/// Why a text is not the name of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NameError {
    /// The text has another form.
    #[error("must have the form {form}")]
    Form {
        /// The form that is asked for.
        form: &'static str,
    },
    /// An id within the name is none.
    #[error("must have the form {form}, but an id in it {error}")]
    Id {
        /// The form that is asked for.
        form: &'static str,
        /// What is wrong with the id.
        error: IdError,
    },
    /// The id of the ledger begins with another character than a letter or a digit.
    #[error("must have the form {form}, but {}", LedgerIdError::Beginning)]
    LedgerBeginning {
        /// The form that is asked for.
        form: &'static str,
    },
}

/// Why a text is not the id of a ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum LedgerIdError {
    /// It is no id at all.
    #[error(transparent)]
    Id(#[from] IdError),
    /// It begins with a dot or a hyphen.
    #[error("a ledger's id must begin with a letter or a digit")]
    Beginning,
}

const LEDGER: &str = "ledgers/{ledger}";
const FUND: &str = "ledgers/{ledger}/funds/{fund}";
const COOPERATIVE: &str = "ledgers/{ledger}/cooperatives/{cooperative}";
const ACCOUNT: &str = "ledgers/{ledger}/funds/{fund}/accounts/{account}";
const LOAN: &str = "ledgers/{ledger}/funds/{fund}/accounts/{account}/loans/{loan} or \
                    ledgers/{ledger}/loans/{loan}";
const OWNER: &str = "ledgers/{ledger}/funds/{fund}, .../accounts/{account} or .../loans/{loan}";
const TRAIL: &str = "ledgers/{ledger}/funds/{fund}, .../accounts/{account}, .../loans/{loan} or \
                     ledgers/{ledger}/cooperatives/{cooperative}";
const LENDER: &str = "ledgers/{ledger}/funds/{fund} or .../accounts/{account}";
const BOOKS: &str = "ledgers/{ledger} or ledgers/{ledger}/funds/{fund}";

/// The segments of a name, at most eight of them.
fn segments<'a>(text: &'a str, form: &'static str) -> Result<Vec<&'a str>, NameError> {
    let segments: Vec<&str> = text.splitn(9, '/').collect();
    if segments.len() > 8 { Err(NameError::Form { form }) } else { Ok(segments) }
}

fn id<K>(text: &str, form: &'static str) -> Result<Id<K>, NameError> {
    Id::new(text).map_err(|error| NameError::Id { form, error })
}

/// The id of a ledger. A ledger's folder has the ledger's id as its name, so an id like `..`, which
/// means another place, or `.x`, which is not shown, is none.
pub fn ledger_id(text: &str) -> Result<LedgerId, LedgerIdError> {
    if text.starts_with(['.', '-']) {
        return Err(LedgerIdError::Beginning);
    }
    Ok(Id::new(text)?)
}

/// The id of the ledger in a name.
fn within_ledger(text: &str, form: &'static str) -> Result<LedgerId, NameError> {
    ledger_id(text).map_err(|error| match error {
        LedgerIdError::Id(error) => NameError::Id { form, error },
        LedgerIdError::Beginning => NameError::LedgerBeginning { form },
    })
}

/// The ledger of `ledgers/{ledger}`.
pub fn ledger(name: &str) -> Result<LedgerId, NameError> {
    match segments(name, LEDGER)?[..] {
        ["ledgers", ledger] => within_ledger(ledger, LEDGER),
        _ => Err(NameError::Form { form: LEDGER }),
    }
}

/// `ledgers/{ledger}`.
pub fn ledger_name(ledger: LedgerId) -> String {
    format!("ledgers/{ledger}")
}

/// The ledger that a name of any kind lies in: to find the ledger before all else is checked.
pub fn ledger_of(name: &str) -> Result<LedgerId, NameError> {
    match segments(name, LEDGER)?[..] {
        ["ledgers", ledger, ..] => within_ledger(ledger, LEDGER),
        _ => Err(NameError::Form { form: LEDGER }),
    }
}

/// `ledgers/{ledger}/funds/{fund}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FundName {
    /// The ledger.
    pub ledger: LedgerId,
    /// The fund.
    pub fund: FundId,
}

/// `ledgers/{ledger}/cooperatives/{cooperative}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CooperativeName {
    /// The ledger.
    pub ledger: LedgerId,
    /// The cooperative.
    pub cooperative: CooperativeId,
}

/// `ledgers/{ledger}/funds/{fund}/accounts/{account}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AccountName {
    /// The ledger.
    pub ledger: LedgerId,
    /// The fund.
    pub fund: FundId,
    /// The account.
    pub account: AccountId,
}

/// `ledgers/{ledger}/funds/{fund}/accounts/{account}/loans/{loan}` or, as an input only,
/// `ledgers/{ledger}/loans/{loan}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LoanName {
    /// The ledger.
    pub ledger: LedgerId,
    /// The fund and the account, if the name says them. A loan of another account than the one
    /// that is said does not exist under that name.
    pub account: Option<(FundId, AccountId)>,
    /// The loan.
    pub loan: LoanId,
}

impl fmt::Display for FundName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledgers/{}/funds/{}", self.ledger, self.fund)
    }
}

impl fmt::Display for CooperativeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledgers/{}/cooperatives/{}", self.ledger, self.cooperative)
    }
}

impl fmt::Display for AccountName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledgers/{}/funds/{}/accounts/{}", self.ledger, self.fund, self.account)
    }
}

impl fmt::Display for LoanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledgers/{}", self.ledger)?;
        if let Some((fund, account)) = self.account {
            write!(f, "/funds/{fund}/accounts/{account}")?;
        }
        write!(f, "/loans/{}", self.loan)
    }
}

impl FromStr for FundName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<FundName, NameError> {
        match segments(name, FUND)?[..] {
            ["ledgers", ledger, "funds", fund] => {
                Ok(FundName { ledger: within_ledger(ledger, FUND)?, fund: id(fund, FUND)? })
            }
            _ => Err(NameError::Form { form: FUND }),
        }
    }
}

impl FromStr for CooperativeName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<CooperativeName, NameError> {
        match segments(name, COOPERATIVE)?[..] {
            ["ledgers", ledger, "cooperatives", cooperative] => Ok(CooperativeName {
                ledger: within_ledger(ledger, COOPERATIVE)?,
                cooperative: id(cooperative, COOPERATIVE)?,
            }),
            _ => Err(NameError::Form { form: COOPERATIVE }),
        }
    }
}

impl FromStr for AccountName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<AccountName, NameError> {
        match segments(name, ACCOUNT)?[..] {
            ["ledgers", ledger, "funds", fund, "accounts", account] => Ok(AccountName {
                ledger: within_ledger(ledger, ACCOUNT)?,
                fund: id(fund, ACCOUNT)?,
                account: id(account, ACCOUNT)?,
            }),
            _ => Err(NameError::Form { form: ACCOUNT }),
        }
    }
}

impl FromStr for LoanName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<LoanName, NameError> {
        match segments(name, LOAN)?[..] {
            ["ledgers", ledger, "loans", loan] => Ok(LoanName {
                ledger: within_ledger(ledger, LOAN)?,
                account: None,
                loan: id(loan, LOAN)?,
            }),
            ["ledgers", ledger, "funds", fund, "accounts", account, "loans", loan] => {
                Ok(LoanName {
                    ledger: within_ledger(ledger, LOAN)?,
                    account: Some((id(fund, LOAN)?, id(account, LOAN)?)),
                    loan: id(loan, LOAN)?,
                })
            }
            _ => Err(NameError::Form { form: LOAN }),
        }
    }
}

/// What has balances and a trail: a fund, an account or a loan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OwnerName {
    /// A fund.
    Fund(FundName),
    /// An account.
    Account(AccountName),
    /// A loan.
    Loan(LoanName),
}

impl OwnerName {
    /// The ledger that it lies in.
    pub const fn ledger(&self) -> LedgerId {
        match self {
            OwnerName::Fund(name) => name.ledger,
            OwnerName::Account(name) => name.ledger,
            OwnerName::Loan(name) => name.ledger,
        }
    }
}

impl FromStr for OwnerName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<OwnerName, NameError> {
        match segments(name, OWNER)?[..] {
            [_, _, "funds", _] => name.parse().map(OwnerName::Fund),
            [_, _, "funds", _, "accounts", _] => name.parse().map(OwnerName::Account),
            [.., "loans", _] => name.parse().map(OwnerName::Loan),
            _ => Err(NameError::Form { form: OWNER }),
        }
    }
}

/// What has a trail: a fund, an account, a loan or a cooperative.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TrailName {
    /// A fund, an account or a loan.
    Owner(OwnerName),
    /// A cooperative.
    Cooperative(CooperativeName),
}

impl TrailName {
    /// The ledger that it lies in.
    pub const fn ledger(&self) -> LedgerId {
        match self {
            TrailName::Owner(name) => name.ledger(),
            TrailName::Cooperative(name) => name.ledger,
        }
    }
}

impl FromStr for TrailName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<TrailName, NameError> {
        match segments(name, TRAIL)?[..] {
            [_, _, "cooperatives", _] => name.parse().map(TrailName::Cooperative),
            [_, _, "funds", ..] | [_, _, "loans", _] => name.parse().map(TrailName::Owner),
            _ => Err(NameError::Form { form: TRAIL }),
        }
    }
}

/// What has loans: a fund or an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LenderName {
    /// A fund.
    Fund(FundName),
    /// An account.
    Account(AccountName),
}

impl FromStr for LenderName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<LenderName, NameError> {
        match segments(name, LENDER)?[..] {
            [_, _, "funds", _] => name.parse().map(LenderName::Fund),
            [_, _, "funds", _, "accounts", _] => name.parse().map(LenderName::Account),
            _ => Err(NameError::Form { form: LENDER }),
        }
    }
}

/// What has a trial balance: every fund of a ledger, or one fund.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BooksName {
    /// Every fund of a ledger.
    Ledger(LedgerId),
    /// One fund.
    Fund(FundName),
}

impl FromStr for BooksName {
    type Err = NameError;
    fn from_str(name: &str) -> Result<BooksName, NameError> {
        match segments(name, BOOKS)?[..] {
            [_, _] => ledger(name).map(BooksName::Ledger),
            [_, _, "funds", _] => name.parse().map(BooksName::Fund),
            _ => Err(NameError::Form { form: BOOKS }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_comes_back_from_its_text() {
        for text in [
            "ledgers/kab/funds/dana",
            "ledgers/kab/funds/dana/accounts/a-1",
            "ledgers/kab/funds/dana/accounts/a-1/loans/l.1",
            "ledgers/kab/loans/l.1",
        ] {
            let name = match text.parse::<OwnerName>().unwrap() {
                OwnerName::Fund(name) => name.to_string(),
                OwnerName::Account(name) => name.to_string(),
                OwnerName::Loan(name) => name.to_string(),
            };
            assert_eq!(name, text);
        }
        let name: CooperativeName = "ledgers/kab/cooperatives/c".parse().unwrap();
        assert_eq!(name.to_string(), "ledgers/kab/cooperatives/c");
        assert_eq!(ledger("ledgers/kab").map(ledger_name).as_deref(), Ok("ledgers/kab"));
    }

    #[test]
    fn a_cooperative_has_a_trail_and_no_balance() {
        let name = "ledgers/kab/cooperatives/c";
        assert!(matches!(name.parse(), Ok(TrailName::Cooperative(_))));
        assert!(name.parse::<OwnerName>().is_err());
        let name = "ledgers/kab/funds/f/accounts/a/loans/l";
        assert!(matches!(name.parse(), Ok(TrailName::Owner(OwnerName::Loan(_)))));
        for name in ["ledgers/kab", "ledgers/kab/cooperatives", "ledgers/kab/funds/f/x/y"] {
            assert!(name.parse::<TrailName>().is_err(), "{name}");
        }
    }

    #[test]
    fn a_name_of_another_form_is_refused() {
        for text in [
            "",
            "kab",
            "ledgers",
            "/ledgers/kab",
            "ledgers/kab/",
            "ledgers/kab/funds",
            "Ledgers/kab",
            "ledgers/kab/funds/f/accounts/a/loans/l/x/y/z",
        ] {
            assert_eq!(ledger(text), Err(NameError::Form { form: LEDGER }), "{text:?}");
        }
        for text in ["ledgers/kab", "ledgers/kab/cooperatives/c", "funds/f", "x/k/funds/f"] {
            assert!(text.parse::<OwnerName>().is_err(), "{text:?}");
            assert!(text.parse::<LenderName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_ledgers_id_begins_with_a_letter_or_a_digit() {
        for id in [".", "..", ".kab", "-", "-kab"] {
            assert_eq!(ledger_id(id), Err(LedgerIdError::Beginning), "{id}");
            let name = format!("ledgers/{id}");
            let refused = Err(NameError::LedgerBeginning { form: LEDGER });
            assert_eq!(ledger(&name), refused);
            assert_eq!(ledger_of(&format!("{name}/funds/f")), refused);
            assert!(matches!(name.parse::<BooksName>(), Err(NameError::LedgerBeginning { .. })));
            for below in ["funds/f", "funds/f/accounts/a", "loans/l", "cooperatives/c"] {
                let name = format!("{name}/{below}");
                let refused = name.parse::<TrailName>();
                assert!(matches!(refused, Err(NameError::LedgerBeginning { .. })), "{name}");
            }
            for below in ["funds/f", "funds/f/accounts/a"] {
                let refused = format!("{name}/{below}").parse::<LenderName>();
                assert!(matches!(refused, Err(NameError::LedgerBeginning { .. })), "{name}");
            }
            let refused = format!("{name}/funds/f/accounts/a/loans/l").parse::<LoanName>();
            assert!(matches!(refused, Err(NameError::LedgerBeginning { .. })), "{name}");
        }
        assert!(ledger("ledgers/kab-1.2").is_ok());
        assert!(ledger("ledgers/36.03").is_ok());
        // It is the name of no folder.
        assert!("ledgers/kab/funds/.f".parse::<FundName>().is_ok());
    }

    #[test]
    fn an_id_within_a_name_follows_the_rules_of_ids() {
        for text in ["ledgers/Kab/funds/f", "ledgers//funds/f", "ledgers/kab/funds/a_b"] {
            assert!(matches!(text.parse::<FundName>(), Err(NameError::Id { .. })), "{text:?}");
        }
    }
}
