//! A replica as it was after some record, told piece by piece while the replica itself goes on: a seal
//! speaks for one record, and nobody waits while it is computed.

use std::collections::BTreeMap;

use bergulir_chain::LogSize;
use bergulir_domain::command::Seal;
use bergulir_domain::state::{self, AccountIndex, FundIndex};
use bergulir_domain::{FundId, Position};
use sha2::{Digest, Sha256};

use super::Replica;
use super::snapshot::put_statements;
use crate::balances::{BalanceKey, BalanceTree, Leaf};
use crate::statement::Statement;

/// A replica that is held as it was, and what was told of it.
///
/// All the bytes that [`begin`](Held::begin) and then [`Replica::tell`] append are the
/// [snapshot](Replica::snapshot) of that replica. Given to [`digest`](Held::digest), and the balances
/// [planted](Held::plant), they make its seal.
#[derive(Debug)]
pub struct Held {
    size: LogSize,
    before_accounts: Vec<u8>,
    state: state::Held,
    /// The beginning of the state.
    state_begins: Vec<u8>,
    statements: Vec<Statement>,
    funds: Vec<FundId>,
    /// The leaves that are not in the tree yet.
    leaves: BTreeMap<BalanceKey, Leaf>,
    tree: BalanceTree,
    digest: Sha256,
}

impl Replica {
    /// Holds the replica as it is now, for its snapshot and its balances. Takes a few milliseconds for
    /// 100,000 accounts; what takes longer is done in pieces by [`tell`](Replica::tell). What was held
    /// before is let go.
    pub fn hold(&mut self) -> Held {
        let (mut before_accounts, mut state_begins) = (Vec::new(), Vec::new());
        self.put_before_accounts(&mut before_accounts);
        let state = self.state.hold(&mut state_begins);
        let mut statements = self.accounts.clone();
        statements.resize(self.state.accounts().len(), Statement::default());
        let leaf = |(index, fund): (FundIndex, &state::Fund)| Leaf::Fund {
            fund: fund.id,
            balances: fund.balances,
            statement: self.fund_statement(index),
        };
        let leaves = self.state.funds().iter().map(leaf);
        Held {
            size: self.size(),
            before_accounts,
            state,
            state_begins,
            statements,
            funds: self.state.funds().iter().map(|(_, fund)| fund.id).collect(),
            leaves: leaves.map(|leaf| (leaf.key(), leaf)).collect(),
            tree: BalanceTree::empty(),
            digest: Sha256::new(),
        }
    }

    /// Appends some more of the snapshot of what is held: `rows` rows at most. Says whether there is
    /// more.
    pub fn tell(&mut self, held: &mut Held, rows: usize, out: &mut Vec<u8>) -> bool {
        let Held { state, statements, funds, leaves, .. } = held;
        self.state.tell(state, rows, out, |index: AccountIndex, account| {
            let leaf = Leaf::Account {
                fund: funds[account.fund.get() as usize],
                account: account.id,
                balances: account.balances,
                statement: statements[index.get() as usize],
            };
            leaves.insert(leaf.key(), leaf);
        })
    }

    /// Holds nothing any more: what was held is not wanted.
    pub fn let_go(&mut self) {
        self.state.let_go();
    }
}

impl Held {
    /// How many records led to what is held.
    pub fn size(&self) -> LogSize {
        self.size
    }

    /// Appends the beginning of the snapshot; once, before anything is told.
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.before_accounts);
        put_statements(self.statements.iter().copied(), out);
        out.append(&mut self.state_begins);
    }

    /// Puts some more leaves of what is told into the balance tree, `leaves` at most. Says whether
    /// there are more.
    pub fn plant(&mut self, leaves: usize) -> bool {
        let mut bytes = Vec::new();
        for _ in 0..leaves {
            let Some((_, leaf)) = self.leaves.pop_first() else { return false };
            bytes.clear();
            leaf.encode(&mut bytes);
            self.tree.push(&bytes);
        }
        !self.leaves.is_empty()
    }

    /// Takes the next bytes of the snapshot into its digest.
    pub fn digest(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The seal of what was held, as [`Replica::seal`] gives it, and the balance tree that it binds:
    /// once all is told, digested and planted. `None` if nothing was recorded.
    pub fn into_seal(self) -> Option<(Seal, BalanceTree)> {
        let seal = Seal {
            through: Position::new(self.size.last()?.get()),
            balance_root: *self.tree.root().as_bytes(),
            state_digest: self.digest.finalize().into(),
        };
        Some((seal, self.tree))
    }
}
