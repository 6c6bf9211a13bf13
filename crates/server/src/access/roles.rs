//! Who may do what: roles, and the grants that give them.

use bergulir_domain::{FundId, LedgerId, PrincipalId};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::ops::BitOr;
use std::str::FromStr;
use std::sync::Arc;
use thiserror::Error;

/// What somebody may do in a ledger, or in some of its funds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Proposes and records: everything that moves money or changes who there is, but no approval.
    Maker,
    /// Approves and refuses what makers proposed.
    Checker,
    /// Reads everything and writes nothing.
    Auditor,
    /// Opens ledgers, seals, backs up, changes keys and rules; no money.
    Operator,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 4] = [Role::Maker, Role::Checker, Role::Auditor, Role::Operator];

    /// As it is written in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Role::Maker => "maker",
            Role::Checker => "checker",
            Role::Auditor => "auditor",
            Role::Operator => "operator",
        }
    }
}

impl FromStr for Role {
    type Err = GrantError;
    fn from_str(text: &str) -> Result<Role, GrantError> {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == text);
        role.ok_or_else(|| GrantError::Role { found: text.to_owned() })
    }
}

/// A set of roles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Roles(u8);

impl Roles {
    pub(crate) const NONE: Roles = Roles(0);
    pub(crate) const MAKER: Roles = Roles::of(Role::Maker);
    pub(crate) const CHECKER: Roles = Roles::of(Role::Checker);
    pub(crate) const AUDITOR: Roles = Roles::of(Role::Auditor);
    pub(crate) const OPERATOR: Roles = Roles::of(Role::Operator);
    pub(crate) const ALL: Roles = Roles(0b1111);

    const fn of(role: Role) -> Roles {
        Roles(1 << role as u8)
    }

    pub(crate) const fn and(self, others: Roles) -> Roles {
        Roles(self.0 | others.0)
    }

    /// Whether one of them is among the others.
    pub(crate) const fn meet(self, others: Roles) -> bool {
        self.0 & others.0 != 0
    }
}

impl BitOr for Roles {
    type Output = Roles;
    fn bitor(self, others: Roles) -> Roles {
        self.and(others)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let roles = Role::ALL.into_iter().filter(|role| self.meet(Roles::of(*role)));
        let roles: Vec<&str> = roles.map(Role::as_str).collect();
        f.write_str(&roles.join(", "))
    }
}

/// Roles of one principal in one ledger or all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// Who.
    pub principal: PrincipalId,
    /// In which ledger; `None` for all, those that are opened later too.
    pub ledger: Option<LedgerId>,
    /// Which roles; at least one.
    pub roles: BTreeSet<Role>,
    /// In which funds of it; `None` for the whole ledger.
    pub funds: Option<BTreeSet<FundId>>,
}

/// Why grants cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum GrantError {
    /// There is no such role.
    #[error("there is no role {found:?}: it must be maker, checker, auditor or operator")]
    Role {
        /// What was given.
        found: String,
    },
    /// A grant of nothing.
    #[error("the grant of {principal} gives no role: name one, or take the grant away")]
    NoRole {
        /// Whose grant.
        principal: PrincipalId,
    },
    /// A grant for no fund.
    #[error(
        "the grant of {principal} is limited to no fund at all: name funds, or take the limit away"
    )]
    NoFund {
        /// Whose grant.
        principal: PrincipalId,
    },
    /// A role that a fund cannot limit.
    #[error(
        "the grant of {principal} limits an operator to funds, but an operator acts on whole ledgers"
    )]
    OperatorOfFund {
        /// Whose grant.
        principal: PrincipalId,
    },
    /// Nobody can be the server.
    #[error("the principal \"system\" is the server's own and cannot be granted anything")]
    System,
    /// Two names that whoever gives them out may take for one.
    #[error(
        "{} and {} differ in nothing but capitals or a dot or stroke at the end: if that is one \
         person, she could approve what she proposed. Grant to one of the two names",
        names[0],
        names[1]
    )]
    Alike {
        /// The two.
        names: Box<[PrincipalId; 2]>,
    },
}

/// All grants. What they do not give is denied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants(HashMap<PrincipalId, Arc<Granted>>);

impl Grants {
    /// Takes grants together; those of one principal add up.
    ///
    /// # Errors
    /// If one of them means nothing.
    pub fn new(grants: impl IntoIterator<Item = Grant>) -> Result<Grants, GrantError> {
        let mut all: HashMap<PrincipalId, Granted> = HashMap::new();
        for Grant { principal, ledger, roles, funds } in grants {
            if principal.as_str().eq_ignore_ascii_case(PrincipalId::SYSTEM) {
                return Err(GrantError::System);
            }
            let given = roles.iter().fold(Roles::NONE, |all, role| all | Roles::of(*role));
            if given == Roles::NONE {
                return Err(GrantError::NoRole { principal });
            }
            let granted = all.entry(principal).or_default();
            let held = match ledger {
                Some(ledger) => granted.ledgers.entry(ledger).or_default(),
                None => &mut granted.all,
            };
            match funds {
                None => held.whole = held.whole | given,
                Some(funds) if funds.is_empty() => return Err(GrantError::NoFund { principal }),
                Some(_) if given.meet(Roles::OPERATOR) => {
                    return Err(GrantError::OperatorOfFund { principal });
                }
                Some(funds) => {
                    for fund in funds {
                        let of_fund = held.funds.entry(fund).or_default();
                        *of_fund = *of_fund | given;
                    }
                }
            }
        }
        let mut names: Vec<PrincipalId> = all.keys().copied().collect();
        names.sort_unstable();
        let mut by_shape = HashMap::new();
        for other in names {
            let shape = other.as_str().trim_end_matches(['.', '/']).to_ascii_lowercase();
            if let Some(one) = by_shape.insert(shape, other) {
                return Err(GrantError::Alike { names: Box::new([one, other]) });
            }
        }
        Ok(Grants(all.into_iter().map(|(who, granted)| (who, Arc::new(granted))).collect()))
    }

    /// Whose rights are not the same under the others, by name.
    pub(super) fn other_than(&self, others: &Grants) -> Vec<PrincipalId> {
        let all: BTreeSet<PrincipalId> = self.0.keys().chain(others.0.keys()).copied().collect();
        let differs = |who: &PrincipalId| self.0.get(who) != others.0.get(who);
        all.into_iter().filter(differs).collect()
    }

    /// What somebody was granted; `None`: nothing.
    pub(crate) fn of(&self, principal: PrincipalId) -> Option<Arc<Granted>> {
        self.0.get(&principal).map(Arc::clone)
    }
}

/// What one principal was granted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Granted {
    /// In every ledger.
    all: Held,
    ledgers: HashMap<LedgerId, Held>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Held {
    whole: Roles,
    funds: BTreeMap<FundId, Roles>,
}

impl Held {
    fn anywhere(&self) -> Roles {
        self.funds.values().fold(self.whole, |all, roles| all | *roles)
    }
}

impl Granted {
    /// The roles in a whole ledger.
    pub(crate) fn whole(&self, ledger: LedgerId) -> Roles {
        self.all.whole | self.ledgers.get(&ledger).map_or(Roles::NONE, |held| held.whole)
    }

    /// The roles in one fund of a ledger.
    pub(crate) fn fund(&self, ledger: LedgerId, fund: FundId) -> Roles {
        let of = |held: &Held| held.funds.get(&fund).copied().unwrap_or_default();
        let here = self.ledgers.get(&ledger).map_or(Roles::NONE, of);
        self.whole(ledger) | of(&self.all) | here
    }

    /// The roles in a ledger or in any of its funds.
    pub(crate) fn within(&self, ledger: LedgerId) -> Roles {
        self.all.anywhere() | self.ledgers.get(&ledger).map_or(Roles::NONE, Held::anywhere)
    }

    /// The roles in any ledger.
    pub(crate) fn anywhere(&self) -> Roles {
        self.ledgers.values().fold(self.all.anywhere(), |all, held| all | held.anywhere())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// "maker checker @ kab : dana" or "auditor @ *".
    pub(crate) fn grant(principal: &str, text: &str) -> Grant {
        let (roles, place) = text.split_once(" @ ").unwrap();
        let (ledger, funds) = match place.split_once(" : ") {
            Some((ledger, funds)) => (ledger, Some(funds)),
            None => (place, None),
        };
        Grant {
            principal: PrincipalId::new(principal).unwrap(),
            ledger: (ledger != "*").then(|| LedgerId::new(ledger).unwrap()),
            roles: roles.split_whitespace().map(|role| role.parse().unwrap()).collect(),
            funds: funds.map(|funds| {
                funds.split_whitespace().map(|fund| FundId::new(fund).unwrap()).collect()
            }),
        }
    }

    #[test]
    fn grants_of_one_principal_add_up_and_nobody_else_has_any() {
        let grants = Grants::new([
            grant("a", "maker @ kab : dana"),
            grant("a", "checker @ kab : dana sosial"),
            grant("a", "auditor @ *"),
            grant("b", "operator @ kota"),
        ])
        .unwrap();
        let id = |text| LedgerId::new(text).unwrap();
        let fund = |text| FundId::new(text).unwrap();
        let a = grants.of(PrincipalId::new("a").unwrap()).unwrap();
        assert_eq!(a.whole(id("kab")), Roles::AUDITOR);
        assert_eq!(a.fund(id("kab"), fund("sosial")), Roles::AUDITOR | Roles::CHECKER);
        assert_eq!(a.fund(id("kab"), fund("dana")), Roles::AUDITOR | Roles::CHECKER | Roles::MAKER);
        assert_eq!(a.fund(id("kab"), fund("other")), Roles::AUDITOR);
        assert_eq!(a.fund(id("kota"), fund("dana")), Roles::AUDITOR);
        assert!(a.within(id("kab")).meet(Roles::MAKER));
        assert!(!a.within(id("kota")).meet(Roles::MAKER));
        let b = grants.of(PrincipalId::new("b").unwrap()).unwrap();
        assert_eq!(b.anywhere(), Roles::OPERATOR);
        assert_eq!(b.within(id("kab")), Roles::NONE);
        assert!(grants.of(PrincipalId::new("c").unwrap()).is_none());
    }

    #[test]
    fn a_grant_that_means_nothing_is_refused() {
        let refused = |grant| Grants::new([grant]).unwrap_err();
        let principal = PrincipalId::new("a").unwrap();
        let whole = grant("a", "maker @ kab");
        let none = Grant { roles: BTreeSet::new(), ..whole.clone() };
        assert_eq!(refused(none), GrantError::NoRole { principal });
        let nowhere = Grant { funds: Some(BTreeSet::new()), ..whole };
        assert_eq!(refused(nowhere), GrantError::NoFund { principal });
        let operator = grant("a", "operator @ kab : dana");
        assert_eq!(refused(operator), GrantError::OperatorOfFund { principal });
        assert_eq!(refused(grant("system", "auditor @ *")), GrantError::System);
        assert_eq!(refused(grant("SYSTEM", "auditor @ *")), GrantError::System);
        assert!("Maker".parse::<Role>().is_err());
    }

    #[test]
    fn two_spellings_of_one_name_are_not_two_people() {
        let both = |one, other| {
            Grants::new([grant(one, "maker @ kab"), grant(other, "checker @ kab")]).map(|_| ())
        };
        for (one, other) in [
            ("Ani", "ani"),
            ("ani@Example.go.id", "ani@example.go.id"),
            ("ani.example.go.id", "ani.example.go.id."),
            ("https://id.example/ani", "https://id.example/ani/"),
        ] {
            assert!(matches!(both(one, other), Err(GrantError::Alike { .. })), "{one} {other}");
        }
        // Grants of one name add up, as before.
        assert_eq!(both("ani", "ani"), Ok(()));
        assert_eq!(both("ani", "budi"), Ok(()));
    }
}
