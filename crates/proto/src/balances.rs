//! The balance tree: a Merkle tree with a leaf for each fund and each account, sorted by name, whose
//! root a seal binds into the log. From it single balances can be proved, and that there are none.

mod leaf;
#[cfg(test)]
mod tests;

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

use bergulir_chain::Hash;
use bergulir_chain::merkle::{Absence, Levels, Member, Prefixes, Tree, TreeHead};
use bergulir_domain::state::{AccountIndex, FundIndex};
use bergulir_domain::{AccountId, FundId};
use thiserror::Error;

pub use leaf::{Leaf, LeafError};

use crate::replay::Replica;

/// The prefixes of the balance tree; other than those of the tree over records.
pub const BALANCE_TREE: Prefixes = Prefixes { leaf: &[0x02], node: &[0x03] };

/// Whose balances. Sorted as the tree is: each fund, and after it its accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BalanceKey {
    /// A fund.
    Fund(FundId),
    /// An account of a fund.
    Account(FundId, AccountId),
}

impl BalanceKey {
    fn parts(&self) -> (FundId, Option<AccountId>) {
        match self {
            Self::Fund(fund) => (*fund, None),
            Self::Account(fund, account) => (*fund, Some(*account)),
        }
    }
}

impl Ord for BalanceKey {
    fn cmp(&self, other: &Self) -> Ordering {
        self.parts().cmp(&other.parts())
    }
}

impl PartialOrd for BalanceKey {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for BalanceKey {
    /// `fund FUND` or `account FUND ACCOUNT`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fund(fund) => write!(f, "fund {fund}"),
            Self::Account(fund, account) => write!(f, "account {fund} {account}"),
        }
    }
}

/// A text does not say whose balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("must be: fund FUND, or: account FUND ACCOUNT")]
pub struct BalanceKeyError;

impl FromStr for BalanceKey {
    type Err = BalanceKeyError;

    /// Reads exactly what `Display` writes.
    fn from_str(text: &str) -> Result<Self, BalanceKeyError> {
        let key = || match text.split_once(' ')? {
            ("fund", fund) => Some(Self::Fund(fund.parse().ok()?)),
            ("account", names) => {
                let (fund, account) = names.split_once(' ')?;
                Some(Self::Account(fund.parse().ok()?, account.parse().ok()?))
            }
            _ => None,
        };
        key().ok_or(BalanceKeyError)
    }
}

/// Where the leaf of a key comes from.
#[derive(Clone, Copy)]
enum Row {
    Fund(FundIndex),
    Account(AccountIndex),
}

/// Gives the bytes of each leaf, in the order of the tree.
fn each_leaf(replica: &Replica, mut give: impl FnMut(&[u8])) {
    let state = replica.state();
    let funds = state.funds().iter().map(|(index, fund)| {
        let key = BalanceKey::Fund(fund.id);
        (key, Row::Fund(index))
    });
    let accounts = state.accounts().iter().map(|(index, account)| {
        let fund = state.funds().get(account.fund).id;
        (BalanceKey::Account(fund, account.id), Row::Account(index))
    });
    let mut rows: Vec<(BalanceKey, Row)> = funds.chain(accounts).collect();
    rows.sort_unstable_by_key(|(key, _)| *key);
    let mut bytes = Vec::new();
    for (key, row) in rows {
        let leaf = match (key, row) {
            (BalanceKey::Fund(fund), Row::Fund(index)) => Leaf::Fund {
                fund,
                balances: state.funds().get(index).balances,
                statement: replica.fund_statement(index),
            },
            (BalanceKey::Account(fund, account), Row::Account(index)) => Leaf::Account {
                fund,
                account,
                balances: state.accounts().get(index).balances,
                statement: replica.account_statement(index),
            },
            (BalanceKey::Fund(_), Row::Account(_)) | (BalanceKey::Account(..), Row::Fund(_)) => {
                unreachable!("each key was made with a row of its kind")
            }
        };
        bytes.clear();
        leaf.encode(&mut bytes);
        give(&bytes);
    }
}

/// The root of the balance tree of a replica, without keeping the tree.
pub(crate) fn root(replica: &Replica) -> Hash {
    let mut tree = Tree::new(BALANCE_TREE);
    each_leaf(replica, |leaf| tree.push(leaf));
    tree.root()
}

/// The balance tree of a replica as it was at some record: about 250 bytes a leaf.
#[derive(Debug, Clone)]
pub struct BalanceTree {
    levels: Levels,
    /// All leaves, one after another.
    bytes: Vec<u8>,
    /// Where each leaf ends in `bytes`.
    ends: Vec<usize>,
}

/// What the tree has of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalanceAnswer {
    /// Its leaf.
    Present(Member),
    /// Nothing, and the leaves between which it would stand.
    Absent(Absence),
}

impl BalanceTree {
    /// The tree of no balances.
    pub(crate) fn empty() -> BalanceTree {
        BalanceTree { levels: Levels::new(BALANCE_TREE), bytes: Vec::new(), ends: Vec::new() }
    }

    /// Adds the leaf that stands behind all others.
    pub(crate) fn push(&mut self, leaf: &[u8]) {
        self.levels.push(leaf);
        self.bytes.extend_from_slice(leaf);
        self.ends.push(self.bytes.len());
    }

    /// The tree of the balances as they are.
    pub fn of(replica: &Replica) -> BalanceTree {
        let mut tree = BalanceTree::empty();
        each_leaf(replica, |leaf| tree.push(leaf));
        tree
    }

    /// The root: what a seal says.
    pub fn root(&self) -> Hash {
        self.head().root
    }

    /// The number of leaves and the root.
    pub fn head(&self) -> TreeHead {
        self.levels.head()
    }

    /// The bytes of each leaf, in order.
    pub fn leaves(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.ends.len()).map(|number| self.leaf(number))
    }

    fn leaf(&self, number: usize) -> &[u8] {
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }

    /// Proves what the tree has of a key.
    pub fn prove(&self, key: &BalanceKey) -> BalanceAnswer {
        const OURS: &str = "the tree was made of such leaves";
        let key_at = |number| Leaf::key_of(self.leaf(number)).expect(OURS);
        let (mut low, mut high) = (0, self.ends.len());
        while low < high {
            let middle = low.midpoint(high);
            if key_at(middle) < *key { low = middle + 1 } else { high = middle }
        }
        let place = low as u64;
        let bytes = |number| Some(self.leaf(usize::try_from(number).ok()?).to_vec());
        if low < self.ends.len() && key_at(low) == *key {
            let path = self.levels.inclusion(place).expect(OURS);
            return BalanceAnswer::Present(Member {
                index: place,
                leaf: self.leaf(low).to_vec(),
                path,
            });
        }
        BalanceAnswer::Absent(Absence::between(&self.levels, place, bytes).expect(OURS))
    }
}
