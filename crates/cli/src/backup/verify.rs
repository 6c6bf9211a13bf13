//! `bergulir backup --verify`: what a backup holds, how old it is, and whether it is sound.

use std::path::Path;

use bergulir_audit::{Depth, LedgerReport, Options, Trust, Verdict};
use bergulir_chain::note::VerifierKey;
use bergulir_domain::LedgerId;
use bergulir_store::backup::{BackupError, BackupFolder, KeptLedger};
use serde_json::json;

use super::{age, facts_of, failed, lines_of};
use crate::audit::{finding, verify_with};
use crate::failure::Failure;
use crate::output::{self, Page};

pub(super) fn run(
    folder: &Path,
    chosen: &[LedgerId],
    keys: &[VerifierKey],
    chain_only: bool,
    json: bool,
) -> Result<(), Failure> {
    let backup = BackupFolder::read(folder).map_err(failed)?;
    let ledgers = chosen_of(&backup, folder, chosen).map_err(failed)?;
    let (mut refused, mut could_not) = (Vec::new(), Vec::new());
    for name in &ledgers {
        let depth = if chain_only { Depth::ChainOnly } else { Depth::Rules };
        let checked = backup.ledger(name).map_err(failed).and_then(|kept| {
            let of_it = keys_of(&kept, keys, ledgers.len())?;
            let trust = Trust { keys: of_it, ..Trust::default() };
            let report = check(&kept, depth, trust)?;
            show(&kept, &report, json)
        });
        if let Err(failure) = checked {
            if !json {
                eprint!("{name}: ");
            }
            failure.report(json);
            match failure.exit_code() {
                crate::exit::REFUSED => refused.push(name.clone()),
                _ => could_not.push(name.clone()),
            }
        }
    }
    match (refused.is_empty(), could_not.is_empty()) {
        (true, true) => Ok(()),
        (false, _) => Err(Failure::Input(format!("the backup is damaged: {}", refused.join(", ")))),
        (true, false) => Err(Failure::CouldNotTell(format!(
            "it could not be told whether the backup is sound: {}",
            could_not.join(", ")
        ))),
    }
}

/// The ledgers of a backup that were named, or all.
pub(crate) fn chosen_of(
    backup: &BackupFolder,
    folder: &Path,
    chosen: &[LedgerId],
) -> Result<Vec<String>, BackupError> {
    let found = backup.ledgers()?;
    let none = |ledger: Option<&LedgerId>| BackupError::NoLedger {
        path: folder.to_owned(),
        ledger: ledger.map(ToString::to_string),
    };
    if chosen.is_empty() {
        return if found.is_empty() { Err(none(None)) } else { Ok(found) };
    }
    match chosen.iter().find(|id| found.iter().all(|name| name != id.as_str())) {
        Some(missing) => Err(none(Some(missing))),
        None => Ok(chosen.iter().map(ToString::to_string).collect()),
    }
}

/// Those keys that can be the ledger's: of one ledger all of them, since it may have had other names.
pub(crate) fn keys_of(
    kept: &KeptLedger,
    keys: &[VerifierKey],
    ledgers: usize,
) -> Result<Vec<VerifierKey>, Failure> {
    let Some(stated) = kept.manifest.stated() else { return Ok(Vec::new()) };
    let own: Vec<VerifierKey> = if ledgers == 1 {
        keys.to_vec()
    } else {
        keys.iter().filter(|key| *key.name() == stated.origin).cloned().collect()
    };
    if own.is_empty() && !keys.is_empty() {
        return Err(Failure::Usage(format!(
            "there is no --key of the ledger {}, whose origin is {}: give one for each ledger, or name \
             the ledgers",
            kept.manifest.ledger, stated.origin
        )));
    }
    Ok(own)
}

/// Verifies a ledger of a backup.
fn check(kept: &KeptLedger, depth: Depth, trust: Trust) -> Result<LedgerReport, Failure> {
    if kept.has_rest().map_err(failed)? {
        // What lies behind may be the rest of a run, or this may be another file.
        kept.check_log().map_err(failed)?;
        return Err(Failure::CouldNotTell(format!(
            "the last run was cut short: run `bergulir backup` again, which goes on from there, and \
             verify then. {} records are whole, and can be restored",
            kept.manifest.head.size
        )));
    }
    kept.check_small_files().map_err(failed)?;
    verified(&kept.folder, kept, depth, trust)
}

/// Verifies the log of a ledger in some folder, which must be what a manifest says.
pub(crate) fn verified(
    folder: &Path,
    kept: &KeptLedger,
    depth: Depth,
    trust: Trust,
) -> Result<LedgerReport, Failure> {
    let ledger = bergulir_proto::name::ledger_id(&kept.manifest.ledger).ok();
    let options = Options { ledger, depth, trust, ..Options::default() };
    let found = verify_with(folder, &options).map_err(Failure::could_not)?;
    let Some(report) = found.ledgers.into_iter().next() else {
        return Err(Failure::CouldNotTell(format!("{} holds no ledger", folder.display())));
    };
    let said = || format!("ledger {}: {}", kept.manifest.ledger, finding(&report.finding));
    match report.finding.verdict() {
        Verdict::Invalid => return Err(Failure::Input(said())),
        Verdict::CannotTell => return Err(Failure::CouldNotTell(said())),
        Verdict::Valid => {}
    }
    if (report.records, report.head_hash) != (kept.manifest.head.size, kept.manifest.head.hash) {
        return Err(Failure::Input(format!(
            "the log has {} records and ends with {}, and the manifest says {} and {}: it was changed \
             after the backup",
            report.records, report.head_hash, kept.manifest.head.size, kept.manifest.head.hash
        )));
    }
    Ok(report)
}

fn show(kept: &KeptLedger, report: &LedgerReport, json: bool) -> Result<(), Failure> {
    let manifest = &kept.manifest;
    if json {
        let mut told = facts_of(manifest);
        told["status"] = json!("sound");
        told["age_seconds"] = json!(age(manifest.taken_at));
        told["last_record_age_seconds"] = json!(age(manifest.recorded_at));
        told["not_checked"] = report.not_checked.iter().map(|one| json!(one.to_string())).collect();
        return output::line(told);
    }
    let mut page = Page::default();
    page.facts(&format!("Utuh / Sound: {}", manifest.ledger), &lines_of(manifest));
    if !report.not_checked.is_empty() {
        page.line("Tidak diperiksa / Not checked:");
        for one in &report.not_checked {
            page.line(format_args!("  - {one}"));
        }
    }
    page.print()
}
