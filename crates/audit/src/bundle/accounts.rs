//! The balances of a cooperative's accounts, with the records that made them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bergulir_chain::decimal;
use bergulir_chain::note::VerifierKey;
use bergulir_domain::{CooperativeId, Event};
use bergulir_proto::balance_proof::{BalanceProof, SUFFIX};
use bergulir_proto::balances::{BalanceKey, Leaf};
use bergulir_proto::statement::Statement;

use super::cooperative::{SealedBy, Seen};
use super::open::{Fault, Opened};
use super::{BALANCES, balance_file, statement_file};
use crate::claims::read_small;
use crate::find;
use crate::reason::Reason;
use crate::report::AccountReport;

/// The most bytes of a proof of balances: two leaves with paths, a record, a note.
const MAX_PROOF_BYTES: u64 = 1 << 20;

/// The most bytes of a statement: some millions of lines.
const MAX_STATEMENT_BYTES: u64 = 64 << 20;

/// A view, as far as its records were read.
pub(super) struct View<'a> {
    pub(super) folder: &'a Path,
    pub(super) opened: &'a Opened,
    pub(super) cooperative: CooperativeId,
    /// The keys of the log.
    pub(super) keys: &'a [VerifierKey],
    pub(super) seen: &'a BTreeMap<u64, Seen>,
    pub(super) seal: SealedBy,
}

/// The balances of the view.
#[derive(Default)]
pub(super) struct Shown {
    /// In the order of fund and account.
    pub(super) accounts: Vec<AccountReport>,
    /// The records of their statements.
    pub(super) statements: BTreeSet<u64>,
}

impl View<'_> {
    /// Proves each account's balances.
    pub(super) fn accounts(&self) -> Result<Shown, Fault> {
        let folder = self.folder.join(BALANCES);
        let mut shown = Shown::default();
        if !folder.exists() {
            return Ok(shown);
        }
        let mut names: BTreeSet<String> = find::names(&folder)?.into_iter().collect();
        let number = names.iter().filter(|name| name.ends_with(SUFFIX)).count();
        let mut last: Option<BalanceKey> = None;
        for number in 0..number {
            let file = balance_file(number);
            for file in [&file, &statement_file(number)] {
                names.remove(file.rsplit('/').next().unwrap_or(file));
            }
            let damaged = |why: &dyn ToString| Fault::damaged(&file, why);
            let bytes = read_small(&self.folder.join(&file), MAX_PROOF_BYTES)?;
            let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
            let proof = BalanceProof::parse(&bytes).map_err(|error| damaged(&error))?;
            if proof.seal.checkpoint != self.opened.note {
                return Err(damaged(&"it is a proof to another checkpoint"));
            }
            let at = proof.seal.position;
            let proved = proof.verify(&self.opened.checkpoint.origin, self.keys);
            let proved = proved.map_err(|error| {
                let error = Box::new(error);
                Fault::Bad(at, Reason::BalanceNotProved { file: file.clone(), error })
            })?;
            let Some(Leaf::Account { fund, account, balances, statement }) = proved.leaf else {
                return Err(damaged(&"it is not of an account that there is"));
            };
            if at != self.seal.at {
                return Err(damaged(&"it is of another seal than the one among the records"));
            }
            let key = BalanceKey::Account(fund, account);
            if last.is_some_and(|before| before >= key) {
                return Err(damaged(&"its account is out of order"));
            }
            last = Some(key);
            let positions = self.statement(number, key, statement)?;
            shown.statements.extend(positions);
            let records = statement.records;
            shown.accounts.push(AccountReport { fund, account, balances, records });
        }
        match names.pop_first() {
            Some(stray) => {
                let why = "numbers go from 0000 on without a gap, a proof and a statement each";
                Err(Fault::damaged(&format!("{BALANCES}/{stray}"), &why))
            }
            None => Ok(shown),
        }
    }

    /// Whether the records that a statement names are those that the leaf counts, and the first
    /// opens the account for the cooperative; their positions.
    fn statement(
        &self,
        number: usize,
        key: BalanceKey,
        stated: Statement,
    ) -> Result<Vec<u64>, Fault> {
        let SealedBy { at: sealed_at, through } = self.seal;
        let file = statement_file(number);
        let damaged = |why: &dyn ToString| Fault::damaged(&file, why);
        let bytes = read_small(&self.folder.join(&file), MAX_STATEMENT_BYTES)?;
        let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
        let mut positions: Vec<u64> = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            let position = line.and_then(decimal::parse);
            let position = position.ok_or_else(|| damaged(&"a line is not a position"))?;
            if positions.last().is_some_and(|last| *last >= position) || position > through.get() {
                return Err(damaged(&"its positions do not ascend to what the seal covers"));
            }
            positions.push(position);
        }
        let mut found = Statement::default();
        for position in &positions {
            let seen = self.seen.get(position);
            let why = format!("the record at position {position} is not among the records");
            found.add(seen.ok_or_else(|| damaged(&why))?.hash);
        }
        if found != stated {
            let (given, counted) = (found.records, stated.records);
            let whose = key.to_string();
            return Err(Fault::Bad(sealed_at, Reason::StatementForged { whose, given, counted }));
        }
        let first = positions.first().and_then(|position| self.seen.get(position));
        match first.map(|seen| &seen.event) {
            Some(Event::AccountOpened(opened))
                if opened.cooperative == self.cooperative
                    && BalanceKey::Account(opened.fund, opened.account) == key =>
            {
                Ok(positions)
            }
            _ => Err(damaged(&"its first record does not open that account for the cooperative")),
        }
    }
}
