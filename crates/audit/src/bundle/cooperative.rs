//! Verifying one cooperative's view: single records, whom they concern, and with them the balances
//! of its accounts.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use bergulir_chain::note::VerifierKey;
use bergulir_chain::{Hash, LogSize, Position, Record, record};
use bergulir_domain::{CooperativeId, Event};

use super::accounts::{Shown, View};
use super::concern::{Concern, Own};
use super::open::{Fault, Opened, event};
use super::{Kind, RECORDS, proofs, record_file};
use crate::claims::Claims;
use crate::counts::Counts;
use crate::reason::Reason;
use crate::report::{Finding, LedgerReport, Totals};
use crate::verifier::last_known;
use crate::{Checked, NotChecked};

/// One record of the view.
pub(super) struct Seen {
    pub(super) hash: Hash,
    pub(super) event: Event,
    recorded_at: bergulir_chain::Timestamp,
}

/// The seal under which the view stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct SealedBy {
    /// Its position.
    pub(super) at: Position,
    /// The last record that it covers.
    pub(super) through: Position,
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
    claims.opened(ledger.origin.as_str());
    let (mut name, mut origin) = (ledger.ledger, &ledger.origin);
    let mut continued = Vec::new();
    let mut keys: Vec<VerifierKey> = Vec::new();
    let mut counts = Counts::default();
    for (position, seen) in &seen {
        counts.count(&seen.event);
        let at = Position::new(*position);
        if let Event::LedgerContinued(next) = &seen.event {
            continued.push(claims.continued(at, next)?);
            (name, origin) = (next.ledger, &next.origin);
            keys.extend(next.verifier_key.as_str().parse());
        }
        let named = match &seen.event {
            Event::LedgerOpened(ledger) => ledger.verifier_key.as_ref(),
            Event::KeyRotated(rotated) => Some(&rotated.verifier_key),
            _ => None,
        };
        if let Some(key) = named {
            claims.key_named(at, key.as_str());
            keys.extend(key.as_str().parse());
        }
    }
    claims.vouch(&opened.checkpoint)?;
    claims.end(opened.manifest.size)?;
    let seal = seal(&seen)?;
    let view = View { folder, opened, cooperative, keys: &keys, seen: &seen, seal };
    let shown = view.accounts()?;
    whole(cooperative, &seen, seal, &shown)?;

    let mut report = LedgerReport::of_none(folder, Finding::Valid);
    report.finding = claims.unproven().map_or(Finding::Valid, Finding::Unproven);
    report.bundle = Some(Kind::Cooperative { cooperative });
    report.ledger = Some(name);
    report.origin = Some(origin.as_str().to_owned());
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
    let through = seal.through;
    report.checked = vec![Checked::Inclusion { records }];
    report.not_checked = vec![NotChecked::Decisions];
    if shown.accounts.is_empty() {
        report.not_checked.push(NotChecked::Money);
    } else {
        let accounts = shown.accounts.len() as u64;
        let records = shown.statements.len() as u64;
        report.checked.push(Checked::Balances { accounts, through });
        report.checked.push(Checked::Statements { records });
    }
    report.not_checked.extend([
        NotChecked::OtherAccounts,
        NotChecked::Standing,
        NotChecked::AfterSeal { through },
        NotChecked::LaterKeys,
    ]);
    report.not_checked.extend(last_known(&continued));
    report.continued = continued;
    claims.scope(opened.manifest.size, &mut report.checked, &mut report.not_checked);
    // The root is taken from the checkpoint here, and nothing is held against it but proofs.
    report.checked.retain(|checked| !matches!(checked, Checked::Root { .. }));
    report.accounts = shown.accounts;
    report.elapsed = began.elapsed();
    Ok(report)
}

/// The records of the view.
fn records(folder: &Path, opened: &Opened) -> Result<BTreeMap<u64, Seen>, Fault> {
    let mut seen = BTreeMap::new();
    for (position, bytes) in proofs::read(folder, &opened.checkpoint, &opened.note)? {
        let file = record_file(Position::new(position));
        let record = Record::parse(&bytes).map_err(|error| Fault::damaged(&file, &error))?;
        let recorded_at = record.recorded_at;
        let (hash, event) = (record::hash(&bytes), event(position, &bytes)?);
        seen.insert(position, Seen { hash, event, recorded_at });
    }
    Ok(seen)
}

/// The one seal among the records.
fn seal(seen: &BTreeMap<u64, Seen>) -> Result<SealedBy, Fault> {
    let mut found = None;
    for (position, seen) in seen {
        let Event::Sealed(seal) = &seen.event else { continue };
        let (at, through) = (Position::new(*position), Position::new(seal.through.get()));
        if found.is_some() {
            return Err(Fault::damaged(&record_file(at), &"it is a second seal"));
        }
        if through >= at {
            return Err(Fault::damaged(&record_file(at), &"it is a seal of what comes after it"));
        }
        found = Some(SealedBy { at, through });
    }
    found.ok_or_else(|| Fault::damaged(RECORDS, &"none of the records is a seal"))
}

/// Whether what the records speak of is in the view, as far as the seal covers it, and nothing else.
fn whole(
    cooperative: CooperativeId,
    seen: &BTreeMap<u64, Seen>,
    seal: SealedBy,
    shown: &Shown,
) -> Result<(), Fault> {
    let mut own = Own::of(cooperative);
    for (position, seen) in seen {
        let at = Position::new(*position);
        let file = record_file(at);
        match own.take(at, &seen.event) {
            Concern::Log | Concern::Cooperative => {}
            Concern::Account if at > seal.through || shown.statements.contains(position) => {}
            Concern::Account => {
                let opened = own.accounts().iter().find(|(_, opened)| **opened == at);
                let Some((account, _)) = opened else {
                    return Err(Fault::damaged(&file, &"it is in no statement of the accounts"));
                };
                let whose = account.to_string();
                return Err(Fault::Bad(at, Reason::AccountLeftOut { whose }));
            }
            Concern::Others => {
                let why = "it concerns neither the log's keys nor the cooperative nor its accounts";
                return Err(Fault::damaged(&file, &why));
            }
        }
    }
    if own.is_registered() {
        return Ok(());
    }
    let why = format!("the record that registers cooperative {cooperative} is not there");
    Err(Fault::damaged(RECORDS, &why))
}
