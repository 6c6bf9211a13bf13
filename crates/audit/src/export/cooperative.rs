//! A bundle with one cooperative's records, their proofs, and the proofs of its balances.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use bergulir_chain::record;
use bergulir_domain::state::AccountIndex;
use bergulir_domain::{CooperativeId, Event, State, Touched};
use bergulir_proto::balance_proof::BalanceProof;
use bergulir_proto::balances::{BalanceAnswer, BalanceKey, BalanceTree};
use bergulir_proto::replay::Replica;

use super::extension::Extension;
use super::folder::NewFolder;
use super::log::finish;
use super::pass::pass;
use super::proven::Proven;
use super::source::Source;
use super::walk::walk;
use super::{ExportError, Exported};
use crate::Stage;
use crate::bundle::{BALANCES, Kind, balance_file, statement_file};
use crate::past::Past;

/// Writes it, with the balances of the newest seal that the checkpoint covers.
pub(super) fn write(
    source: &Source<'_>,
    out: &Path,
    cooperative: CooperativeId,
    mut extension: Extension,
    progress: &mut dyn FnMut(Stage, u64),
) -> Result<Exported, ExportError> {
    let (through, sealed_at) = source.seal(None)?;
    let folder = NewFolder::create(out)?;
    let mut view = View {
        cooperative,
        through: through.get(),
        is_registered: false,
        positions: BTreeSet::from([0, sealed_at.get()]),
        statements: BTreeMap::new(),
        balances: Vec::new(),
        leaves: 0,
    };
    view.collect(source, progress)?;
    let wanted: Vec<u64> = view.positions.iter().copied().collect();
    let mut proven = Proven::plan(source.checkpoint.size.get(), &wanted)?;
    pass(source, &mut proven, &mut extension, progress, &mut |_, bytes| Ok(record::hash(bytes)))?;
    let place = wanted.binary_search(&sealed_at.get()).unwrap_or_default();
    let seal = proven.proof(source, place)?;
    if !view.balances.is_empty() {
        folder.folder(BALANCES)?;
    }
    for (number, (key, answer)) in view.balances.into_iter().enumerate() {
        let proof = BalanceProof::new(key, view.leaves, answer, seal.clone());
        folder.write(&balance_file(number), proof.to_string().as_bytes())?;
        let mut lines = String::new();
        for position in view.statements.get(&key).into_iter().flatten() {
            let _ = writeln!(lines, "{position}");
        }
        folder.write(&statement_file(number), lines.as_bytes())?;
    }
    proven.write(source, &folder)?;
    let witnessed = extension.witnessed();
    extension.write(&folder, &source.note)?;
    finish(folder, Kind::Cooperative { cooperative }, &source.note, &source.checkpoint, witnessed)
}

/// What concerns the cooperative.
struct View {
    cooperative: CooperativeId,
    /// What the seal covers.
    through: u64,
    is_registered: bool,
    /// The records.
    positions: BTreeSet<u64>,
    /// Those of each account that the seal covers.
    statements: BTreeMap<BalanceKey, Vec<u64>>,
    /// The leaves of its accounts in the balance tree, in their order.
    balances: Vec<(BalanceKey, BalanceAnswer)>,
    /// How many leaves that has.
    leaves: u64,
}

impl View {
    /// Decides every record again, and notes what concerns the cooperative.
    fn collect(
        &mut self,
        source: &Source<'_>,
        progress: &mut dyn FnMut(Stage, u64),
    ) -> Result<(), ExportError> {
        let mut replica = Replica::default();
        let mut past = Past::new(&source.survey, BTreeMap::new());
        walk(source, source.checkpoint.size.get(), &mut |position, bytes| {
            let replayed = replica.replay(bytes, &past);
            let replayed = replayed.map_err(|error| ExportError::log(position, &error))?;
            if matches!(replayed.event, Event::KeyRotated(_) | Event::LedgerContinued(_)) {
                self.positions.insert(position);
            }
            let (event, touched) = (replayed.event, replayed.touched);
            self.take(position, replica.state(), &touched);
            let pushed = past.push(&event);
            pushed.map_err(|_| ExportError::log(position, &"the log grew while it was read"))?;
            if position == self.through {
                self.prove(&replica);
            }
            progress(Stage::Verify, position + 1);
            Ok(())
        })?;
        if self.is_registered {
            Ok(())
        } else {
            Err(ExportError::NoCooperative { cooperative: self.cooperative })
        }
    }

    fn take(&mut self, position: u64, state: &State, touched: &Touched) {
        if let Some(cooperative) = touched.cooperative
            && state.cooperatives().get(cooperative).id() == self.cooperative
        {
            self.is_registered = true;
            self.positions.insert(position);
        }
        if let Some(account) = touched.account
            && let Some(key) = self.own(state, account)
        {
            self.positions.insert(position);
            if position <= self.through {
                self.statements.entry(key).or_default().push(position);
            }
        }
    }

    /// The name of an account, if it is the cooperative's.
    fn own(&self, state: &State, index: AccountIndex) -> Option<BalanceKey> {
        let account = state.accounts().get(index);
        let is_own = state.cooperatives().get(account.cooperative).id() == self.cooperative;
        is_own.then(|| BalanceKey::Account(state.funds().get(account.fund).id, account.id))
    }

    /// Proves the balances of its accounts as they are now.
    fn prove(&mut self, replica: &Replica) {
        let state = replica.state();
        let tree = BalanceTree::of(replica);
        let accounts = state.accounts().iter().filter_map(|(index, _)| self.own(state, index));
        let mut accounts: Vec<BalanceKey> = accounts.collect();
        accounts.sort_unstable();
        self.leaves = tree.head().size;
        self.balances = accounts.into_iter().map(|key| (key, tree.prove(&key))).collect();
    }
}
