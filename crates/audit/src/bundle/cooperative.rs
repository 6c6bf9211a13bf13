//! Verifying one cooperative's view: single records, and the balances of its accounts with the
//! records that made them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use bergulir_chain::note::VerifierKey;
use bergulir_chain::{Hash, LogSize, Position, Record, decimal, record};
use bergulir_domain::{CooperativeId, Event};
use bergulir_proto::balance_proof::{BalanceProof, SUFFIX};
use bergulir_proto::balances::{BalanceKey, Leaf};
use bergulir_proto::replay::header;
use bergulir_proto::statement::Statement;

use super::open::{Fault, Opened, event};
use super::{BALANCES, Kind, balance_file, proofs, record_file, statement_file};
use crate::claims::{Claims, read_small};
use crate::counts::Counts;
use crate::reason::Reason;
use crate::report::{AccountReport, Finding, LedgerReport, Totals};
use crate::{Checked, NotChecked, find};

/// The most bytes of a proof of balances: two leaves with paths, a record, a note.
const MAX_PROOF_BYTES: u64 = 1 << 20;

/// The most bytes of a statement: some millions of lines.
const MAX_STATEMENT_BYTES: u64 = 64 << 20;

/// One record of the view.
struct Seen {
    hash: Hash,
    event: Event,
    recorded_at: bergulir_chain::Timestamp,
}

/// Verifies the view in a folder.
pub(super) fn verify(
    folder: &Path,
    opened: &Opened,
    cooperative: CooperativeId,
    mut claims: Claims<'_>,
) -> Result<LedgerReport, Fault> {
    let began = Instant::now();
    let seen = records(folder, opened)?;
    let Some(Event::LedgerOpened(ledger)) = seen.get(&0).map(|seen| &seen.event) else {
        return Err(Fault::damaged(&record_file(Position::ZERO), &"it does not open the ledger"));
    };
    claims.opened(ledger.origin.as_str())?;
    let mut keys: Vec<VerifierKey> = Vec::new();
    let mut counts = Counts::default();
    for (position, seen) in &seen {
        counts.count(&seen.event);
        let named = match &seen.event {
            Event::LedgerOpened(ledger) => ledger.verifier_key.as_ref(),
            Event::KeyRotated(rotated) => Some(&rotated.verifier_key),
            _ => None,
        };
        if let Some(key) = named {
            claims.key_named(Position::new(*position), key.as_str())?;
            keys.extend(key.as_str().parse());
        }
    }
    claims.vouch(&opened.checkpoint)?;
    claims.end(opened.manifest.size)?;
    let view = View { folder, opened, cooperative, keys: &keys, seen: &seen };
    let shown = view.accounts()?;

    let mut report = LedgerReport::of_none(folder, Finding::Valid);
    report.finding = claims.unproven().map_or(Finding::Valid, Finding::Unproven);
    report.bundle = Some(Kind::Cooperative { cooperative });
    report.ledger = Some(ledger.ledger);
    report.origin = Some(ledger.origin.as_str().to_owned());
    report.records = LogSize::new(seen.len() as u64);
    report.tree_size = opened.checkpoint.size;
    report.root_hash = opened.checkpoint.root;
    (report.checkpoint, report.witnesses) = claims.summary();
    report.first_recorded_at = seen.values().next().map(|seen| seen.recorded_at);
    report.last_recorded_at = seen.values().next_back().map(|seen| seen.recorded_at);
    report.events = counts.by_name();
    let balances = shown.accounts.iter().map(|account| &account.balances);
    report.totals = Totals::of_accounts(balances);
    let records = seen.len() as u64;
    report.checked = vec![Checked::Inclusion { records }];
    report.not_checked = vec![NotChecked::Decisions, NotChecked::OtherAccounts];
    if let Some(through) = shown.through {
        let accounts = shown.accounts.len() as u64;
        let records = shown.accounts.iter().map(|account| account.records).sum();
        report.checked.push(Checked::Balances { accounts, through });
        report.checked.push(Checked::Statements { records });
        report.not_checked.push(NotChecked::AfterSeal { through });
    }
    report.not_checked.push(NotChecked::LaterKeys);
    claims.scope(opened.manifest.size, &mut report.checked, &mut report.not_checked);
    // The root is taken from the checkpoint here, and nothing is held against it but proofs.
    report.checked.retain(|checked| !matches!(checked, Checked::Root { .. }));
    report.accounts = shown.accounts;
    report.elapsed = began.elapsed();
    Ok(report)
}

/// The records of the view, each right by itself, and in the order of time.
fn records(folder: &Path, opened: &Opened) -> Result<BTreeMap<u64, Seen>, Fault> {
    let mut seen = BTreeMap::new();
    let mut last = bergulir_chain::Timestamp::MIN;
    for (position, bytes) in proofs::read(folder, &opened.checkpoint, &opened.note)? {
        let file = record_file(Position::new(position));
        let record = Record::parse(&bytes).map_err(|error| Fault::damaged(&file, &error))?;
        let at = Position::new(position);
        header(&record).map_err(|error| Fault::Bad(at, error.into()))?;
        let recorded_at = record.recorded_at;
        if recorded_at < last {
            let fault = bergulir_chain::ChainFault::Time { last, stated: recorded_at };
            return Err(Fault::Bad(at, fault.into()));
        }
        last = recorded_at;
        let (hash, event) = (record::hash(&bytes), event(position, &bytes)?);
        seen.insert(position, Seen { hash, event, recorded_at });
    }
    Ok(seen)
}

struct View<'a> {
    folder: &'a Path,
    opened: &'a Opened,
    cooperative: CooperativeId,
    /// The keys of the log.
    keys: &'a [VerifierKey],
    seen: &'a BTreeMap<u64, Seen>,
}

/// The balances of the view.
#[derive(Default)]
struct Shown {
    accounts: Vec<AccountReport>,
    /// The last record that they include.
    through: Option<Position>,
}

impl View<'_> {
    fn accounts(&self) -> Result<Shown, Fault> {
        let folder = self.folder.join(BALANCES);
        let mut shown = Shown::default();
        if !folder.exists() {
            return Ok(shown);
        }
        let names = find::names(&folder)?;
        let number = names.iter().filter(|name| name.ends_with(SUFFIX)).count();
        let mut last: Option<(BalanceKey, Position)> = None;
        for number in 0..number {
            let file = balance_file(number);
            let damaged = |why: &dyn ToString| Fault::damaged(&file, why);
            let bytes = read_small(&self.folder.join(&file), MAX_PROOF_BYTES)?;
            let bytes = bytes.ok_or_else(|| damaged(&"it is missing"))?;
            let proof = BalanceProof::parse(&bytes).map_err(|error| damaged(&error))?;
            if proof.seal.checkpoint.text() != self.opened.checkpoint.text() {
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
            let key = BalanceKey::Account(fund, account);
            if last.is_some_and(|(before, seal)| before >= key || seal != at) {
                return Err(damaged(&"it is out of order, or of another seal than the others"));
            }
            if !self.seen.contains_key(&at.get()) {
                return Err(damaged(&"its seal is not among the records"));
            }
            last = Some((key, at));
            let through = Position::new(proved.seal.through.get());
            shown.through = Some(through);
            self.statement(number, key, statement, through, at)?;
            let records = statement.records;
            shown.accounts.push(AccountReport { fund, account, balances, records });
        }
        Ok(shown)
    }

    /// Whether the records that a statement names are those that the leaf counts, and the first
    /// opens the account for the cooperative.
    fn statement(
        &self,
        number: usize,
        key: BalanceKey,
        stated: Statement,
        through: Position,
        sealed_at: Position,
    ) -> Result<(), Fault> {
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
                Ok(())
            }
            _ => Err(damaged(&"its first record does not open that account for the cooperative")),
        }
    }
}
