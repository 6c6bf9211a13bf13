//! A replica as it was after some record, told piece by piece while the replica itself goes on: a seal
//! speaks for one record, and nobody waits while it is computed.

use std::collections::BTreeMap;

use bergulir_chain::LogSize;
use bergulir_domain::command::Seal;
use bergulir_domain::state::{self, AccountIndex};
use bergulir_domain::{AccountId, FundId, Position};
use sha2::{Digest, Sha256};

use super::Replica;
use super::snapshot::put_length;
use crate::balances::{BalanceTree, Leaf, Leaves};
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
    /// So many statements are told.
    statements_told: usize,
    /// Of each fund its id, and its place in their order.
    funds: Vec<(FundId, usize)>,
    /// The numbers of the leaves that are not in the tree yet, in the order of the tree: of each fund
    /// its own, then those of its accounts.
    order: BTreeMap<(usize, Option<AccountId>), u32>,
    leaves: Leaves,
    /// Once all is told.
    tree: Option<BalanceTree>,
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
        let all = self.state.funds();
        let mut sorted: Vec<FundId> = all.iter().map(|(_, fund)| fund.id).collect();
        sorted.sort_unstable();
        let mut leaves = Leaves::with_room(all.len() + statements.len());
        let mut order = BTreeMap::new();
        let mut funds = Vec::with_capacity(all.len());
        for (index, fund) in all.iter() {
            let place = sorted.partition_point(|id| *id < fund.id);
            let statement = self.fund_statement(index);
            let leaf = Leaf::Fund { fund: fund.id, balances: fund.balances, statement };
            order.insert((place, None), leaves.push(&leaf));
            funds.push((fund.id, place));
        }
        Held {
            size: self.size(),
            before_accounts,
            state,
            state_begins,
            statements,
            statements_told: 0,
            funds,
            order,
            leaves,
            tree: None,
            digest: Sha256::new(),
        }
    }

    /// Appends some more of the snapshot of what is held: `rows` rows at most. Says whether there is
    /// more.
    pub fn tell(&mut self, held: &mut Held, rows: usize, out: &mut Vec<u8>) -> bool {
        let Held { state, statements, statements_told, funds, leaves, order, .. } = held;
        let more = &statements[*statements_told..];
        if !more.is_empty() {
            // They are small.
            let more = &more[..more.len().min(4 * rows)];
            for statement in more {
                statement.encode(out);
            }
            *statements_told += more.len();
            if *statements_told == statements.len() {
                out.append(&mut held.state_begins);
            }
            return true;
        }
        self.state.tell(state, rows, out, |index: AccountIndex, account| {
            let (fund, place) = funds[account.fund.get() as usize];
            let leaf = Leaf::Account {
                fund,
                account: account.id,
                balances: account.balances(),
                statement: statements[index.get() as usize],
            };
            order.insert((place, Some(account.id)), leaves.push(&leaf));
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
        put_length(self.statements.len(), out);
        if self.statements.is_empty() {
            out.append(&mut self.state_begins);
        }
    }

    /// Puts some more leaves of what is told into the balance tree, `leaves` at most. Says whether
    /// there are more.
    pub fn plant(&mut self, leaves: usize) -> bool {
        let Held { order, leaves: untaken, tree, .. } = self;
        let tree = tree.get_or_insert_with(|| BalanceTree::over(core::mem::take(untaken)));
        for _ in 0..leaves {
            let Some((_, number)) = order.pop_first() else { return false };
            tree.push(number);
        }
        !order.is_empty()
    }

    /// Takes the next bytes of the snapshot into its digest.
    pub fn digest(&mut self, bytes: &[u8]) {
        self.digest.update(bytes);
    }

    /// The seal of what was held, as [`Replica::seal`] gives it, and the balance tree that it binds:
    /// once all is told, digested and planted. `None` if nothing was recorded.
    pub fn into_seal(self) -> Option<(Seal, BalanceTree)> {
        let through = Position::new(self.size.last()?.get());
        let tree = self.tree.unwrap_or_else(|| BalanceTree::over(self.leaves));
        let seal = Seal {
            through,
            balance_root: *tree.root().as_bytes(),
            state_digest: self.digest.finalize().into(),
        };
        Some((seal, tree))
    }
}
