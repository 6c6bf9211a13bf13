//! The balance tree: a Merkle tree with a leaf for each fund and each account, sorted by name, whose
//! root a seal binds into the log. From it single balances can be proved, and that there are none.

mod leaf;
#[cfg(test)]
mod tests;

use core::cmp::Ordering;
use core::convert::Infallible;
use core::fmt;
use core::str::FromStr;

use bergulir_chain::Hash;
use bergulir_chain::merkle::{
    Absence, HashSource, Member, Prefixes, Subtree, Tree, TreeHead, prove_inclusion,
};
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

/// Gives each leaf, in the order of the tree.
fn each_leaf(replica: &Replica, mut give: impl FnMut(&Leaf)) {
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
                balances: state.accounts().get(index).balances(),
                statement: replica.account_statement(index),
            },
            (BalanceKey::Fund(_), Row::Account(_)) | (BalanceKey::Account(..), Row::Fund(_)) => {
                unreachable!("each key was made with a row of its kind")
            }
        };
        give(&leaf);
    }
}

/// The root of the balance tree of a replica, without keeping the tree.
pub(crate) fn root(replica: &Replica) -> Hash {
    let mut tree = Tree::new(BALANCE_TREE);
    let mut bytes = Vec::new();
    each_leaf(replica, |leaf| {
        bytes.clear();
        leaf.encode(&mut bytes);
        tree.push(&bytes);
    });
    tree.root()
}

/// The balance tree of a replica as it was at some record: about 150 bytes a leaf.
#[derive(Debug, Clone)]
pub struct BalanceTree {
    leaves: Leaves,
    /// The number in `leaves` of each leaf, in the order of the tree.
    order: Vec<u32>,
    tree: Tree,
    /// The roots of the complete subtrees of each level from [`KEPT_LEVEL`] on. Those below are made
    /// again from their leaves when a path asks for them.
    rows: Vec<Vec<Hash>>,
}

/// Those of level 0 to 2 are seven of eight hashes; a path that needs one of each hashes seven leaves.
const KEPT_LEVEL: u8 = 3;

/// The bytes of leaves in any order.
#[derive(Debug, Clone, Default)]
pub(crate) struct Leaves {
    /// All leaves, one after another.
    bytes: Vec<u8>,
    /// Where each leaf ends in `bytes`.
    ends: Vec<usize>,
}

impl Leaves {
    /// None, with room for so many without taking memory again, or nearly.
    pub(crate) fn with_room(leaves: usize) -> Leaves {
        Leaves { bytes: Vec::with_capacity(leaves * LEAF_BYTES), ends: Vec::with_capacity(leaves) }
    }

    /// Adds one, and gives its number.
    pub(crate) fn push(&mut self, leaf: &Leaf) -> u32 {
        let number = u32::try_from(self.ends.len());
        leaf.encode(&mut self.bytes);
        self.ends.push(self.bytes.len());
        number.expect("a ledger has fewer than 2^32 funds and accounts")
    }

    fn get(&self, number: u32) -> &[u8] {
        let number = number as usize;
        let start = number.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.bytes[start..self.ends[number]]
    }
}

/// What a leaf takes, if its ids are not long.
const LEAF_BYTES: usize = 136;

/// What the tree has of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BalanceAnswer {
    /// Its leaf.
    Present(Member),
    /// Nothing, and the leaves between which it would stand.
    Absent(Absence),
}

impl BalanceTree {
    /// The tree over leaves of which none has its place yet.
    pub(crate) fn over(leaves: Leaves) -> BalanceTree {
        let order = Vec::with_capacity(leaves.ends.len());
        BalanceTree { leaves, order, tree: Tree::new(BALANCE_TREE), rows: Vec::new() }
    }

    /// Puts the leaf of that number behind all that have their places.
    pub(crate) fn push(&mut self, number: u32) {
        let BalanceTree { leaves, order, tree, rows } = self;
        order.push(number);
        tree.push_hash_with(BALANCE_TREE.leaf_hash(leaves.get(number)), |subtree, root| {
            if let Some(row) = subtree.level.checked_sub(KEPT_LEVEL).map(usize::from) {
                if row == rows.len() {
                    rows.push(Vec::new());
                }
                rows[row].push(root);
            }
        });
    }

    /// The tree of the balances as they are.
    pub fn of(replica: &Replica) -> BalanceTree {
        let state = replica.state();
        let mut leaves = Leaves::with_room(state.funds().len() + state.accounts().len());
        let mut count = 0;
        each_leaf(replica, |leaf| {
            leaves.push(leaf);
            count += 1;
        });
        let mut tree = BalanceTree::over(leaves);
        for number in 0..count {
            tree.push(number);
        }
        tree
    }

    /// The root: what a seal says.
    pub fn root(&self) -> Hash {
        self.head().root
    }

    /// The number of leaves and the root.
    pub fn head(&self) -> TreeHead {
        self.tree.head()
    }

    /// The bytes of each leaf, in order.
    pub fn leaves(&self) -> impl Iterator<Item = &[u8]> {
        self.order.iter().map(|number| self.leaves.get(*number))
    }

    /// The leaf at a place of the tree.
    fn leaf(&self, place: usize) -> &[u8] {
        self.leaves.get(self.order[place])
    }

    /// The leaf at a place with the proof that it is there, or `None` past the last one.
    fn member(&self, index: u64) -> Option<Member> {
        let leaf = self.leaf(usize::try_from(index).ok().filter(|at| *at < self.order.len())?);
        let path = prove_inclusion(BALANCE_TREE, self.tree.size(), index, &mut &*self).ok()?;
        Some(Member { index, leaf: leaf.to_vec(), path })
    }

    /// Proves what the tree has of a key.
    pub fn prove(&self, key: &BalanceKey) -> BalanceAnswer {
        const OURS: &str = "the tree was made of such leaves";
        let key_at = |number| Leaf::key_of(self.leaf(number)).expect(OURS);
        let (mut low, mut high) = (0, self.order.len());
        while low < high {
            let middle = low.midpoint(high);
            if key_at(middle) < *key { low = middle + 1 } else { high = middle }
        }
        let place = low as u64;
        if low < self.order.len() && key_at(low) == *key {
            return BalanceAnswer::Present(self.member(place).expect(OURS));
        }
        let before = place.checked_sub(1).map(|before| self.member(before).expect(OURS));
        BalanceAnswer::Absent(Absence { before, after: self.member(place) })
    }
}

impl HashSource for &BalanceTree {
    type Error = Infallible;

    /// # Panics
    /// If the subtree is not complete.
    fn hash(&mut self, Subtree { level, index }: Subtree) -> Result<Hash, Infallible> {
        let index = usize::try_from(index).expect("the tree is in memory");
        if let Some(row) = level.checked_sub(KEPT_LEVEL) {
            return Ok(self.rows[usize::from(row)][index]);
        }
        let mut tree = Tree::new(BALANCE_TREE);
        for place in index << level..(index + 1) << level {
            tree.push(self.leaf(place));
        }
        Ok(tree.root())
    }
}
