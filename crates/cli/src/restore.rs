//! `bergulir restore`: a data directory out of a backup, verified before it is there.

use std::path::PathBuf;

use bergulir_audit::{Depth, LedgerReport, Trust};
use bergulir_chain::checkpoint::Checkpoint;
use bergulir_chain::note::VerifierKey;
use bergulir_domain::LedgerId;
use bergulir_engine::restore::{Judged, KnownNote, RestoreError, Restoring, Standing, anchored};
use bergulir_store::backup::{BackupFolder, KeptLedger};
use clap::Args;
use serde_json::json;

use crate::audit::files;
use crate::backup::{chosen_of, facts_of, failed, keys_of, lines_of, verified};
use crate::failure::Failure;
use crate::output::{self, Page};
use crate::progress::Bar;
use crate::witness;

/// Restore ledgers from a backup into a data directory that no server uses
///
/// Copies the ledgers, verifies everything again, decides each record again, and only then puts them
/// where a server looks. A backup that is older than a checkpoint that is known (--anchor, --since) is
/// refused, with the positions that are missing. The private keys are not in a backup: put them into
/// the key folder before the server starts. The first start makes the index anew.
///
/// Ends with 0: all is restored; 1: refused, nothing was restored; 2: something could not be read or
/// written, nothing was restored.
///
/// Examples:
///   bergulir restore /mnt/backup --data ./data --anchor /mnt/anchor --key KEY
///   bergulir restore /mnt/backup tangerang --data ./data --since last.checkpoint
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RestoreArgs {
    /// The folder of the backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Only these ledgers [default: all]
    #[arg(value_name = "LEDGER", value_parser = bergulir_proto::name::ledger_id)]
    ledgers: Vec<LedgerId>,
    /// The data directory: a path where nothing is, or one that does not have these ledgers
    #[arg(long, env = "BERGULIR_DATA", value_name = "DIR")]
    data: PathBuf,
    /// A log's key that you know, as NAME+ID+BASE64; may be given again. One of them must have signed
    /// the checkpoint [default: the keys that the log names]
    #[arg(long = "key", value_name = "VERIFIER_KEY", value_parser = witness::log_key)]
    keys: Vec<VerifierKey>,
    /// Which witnesses must have cosigned the checkpoint (a C2SP tlog-policy)
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// A checkpoint that somebody kept: the backup must lead to it; may be given again
    #[arg(long, value_name = "CHECKPOINT")]
    since: Vec<PathBuf>,
    /// A folder that keeps the newest checkpoint of each ledger, as for `serve`; may be given again
    #[arg(long = "anchor", value_name = "DIR")]
    anchors: Vec<PathBuf>,
    /// Restore a backup that is older than what is known all the same, for `bergulir ledger continue`:
    /// no server writes to it
    #[arg(long)]
    to_continue: bool,
}

/// A ledger that was copied and verified.
struct Ready {
    kept: KeptLedger,
    judged: Vec<Judged>,
    report: LedgerReport,
}

pub(crate) fn run(args: &RestoreArgs, json: bool) -> Result<(), Failure> {
    let backup = BackupFolder::read(&args.folder).map_err(failed)?;
    let names = chosen_of(&backup, &args.folder, &args.ledgers).map_err(failed)?;
    let mut ledgers = Vec::new();
    for name in &names {
        let kept = backup.ledger(name).map_err(failed)?;
        let id = bergulir_proto::name::ledger_id(name).map_err(|error| {
            Failure::Input(format!(
                "{} is not the folder of a ledger: {error}",
                kept.folder.display()
            ))
        })?;
        ledgers.push((id, kept));
    }
    let mut since = Vec::new();
    for path in &args.since {
        let (name, note) = (path.display().to_string(), files::checkpoint(path)?);
        since.push(KnownNote { name, note });
    }
    let known = known_of(&ledgers, since, args)?;
    let policy = args.policy.as_deref().map(witness::policy).transpose()?;
    let ids: Vec<LedgerId> = ledgers.iter().map(|(id, _)| *id).collect();
    let restoring = Restoring::begin(&args.data, &ids).map_err(not_restored)?;
    let mut ready = Vec::new();
    let all = ledgers.len();
    for ((id, kept), known) in ledgers.into_iter().zip(known) {
        let mut bar = Bar::patient();
        let total = kept.manifest.bytes();
        let what = format!("{id}: menyalin / copying (bytes)");
        let copied = restoring.copy(&kept, id, known, &mut |done| bar.tell(&what, done, total));
        bar.done();
        let judged = copied.map_err(not_restored)?;
        let newest = newest_missing(&judged);
        match (newest, args.to_continue) {
            (Some(missing), false) => return Err(older(&kept, missing)),
            (Some(missing), true) => {
                restoring.retire(id, &missing.known.note).map_err(not_restored)?;
            }
            (None, true) => return Err(nothing_missing(&kept)),
            (None, false) => {}
        }
        let trust = match newest {
            // Its own checkpoint is no longer there to be held against it.
            Some(_) => Trust::default(),
            None if kept.manifest.checkpoint.is_none() => Trust::default(),
            None => Trust {
                keys: keys_of(&kept, &args.keys, all)?,
                policy: policy.clone(),
                since: judged
                    .iter()
                    .max_by_key(|judged| judged.stated.size)
                    .map(|judged| judged.known.note.clone()),
            },
        };
        let folder = if newest.is_some() {
            restoring.folder_of(id).join("log")
        } else {
            restoring.folder_of(id)
        };
        let report = verified(&folder, &kept, Depth::Rules, trust)?;
        ready.push(Ready { kept, judged, report });
    }
    restoring.accept().map_err(not_restored)?;
    ready.iter().try_for_each(|one| show(args, one, json))
}

/// What is known of each ledger: what anchors keep of its log, and what was given.
fn known_of(
    ledgers: &[(LedgerId, KeptLedger)],
    mut since: Vec<KnownNote>,
    args: &RestoreArgs,
) -> Result<Vec<Vec<KnownNote>>, Failure> {
    let mut known = Vec::new();
    for (_, kept) in ledgers {
        // What goes on as another ledger is not gone on from: nothing can be missing.
        let Some(stated) = kept.manifest.stated().filter(|_| kept.manifest.continued.is_none())
        else {
            known.push(Vec::new());
            continue;
        };
        let mut of_it = anchored(&args.anchors, stated.origin.as_str()).map_err(not_restored)?;
        if ledgers.len() == 1 {
            of_it.append(&mut since);
        } else {
            let own = |known: &mut KnownNote| {
                Checkpoint::parse_unverified(known.note.text())
                    .is_ok_and(|checkpoint| checkpoint.origin == stated.origin)
            };
            of_it.extend(since.extract_if(.., own));
        }
        known.push(of_it);
    }
    match since.first() {
        Some(left) => Err(Failure::Input(format!(
            "{} is not a checkpoint of a ledger that is restored: leave it out, or name the ledger",
            left.name
        ))),
        None => Ok(known),
    }
}

/// Of the checkpoints to which the records do not lead, the newest.
fn newest_missing(judged: &[Judged]) -> Option<&Judged> {
    judged
        .iter()
        .filter(|judged| judged.standing != Standing::Leads)
        .max_by_key(|judged| judged.stated.size)
}

fn older(kept: &KeptLedger, missing: &Judged) -> Failure {
    let (ledger, have) = (&kept.manifest.ledger, kept.manifest.head.size.get());
    let (name, size) = (&missing.known.name, missing.stated.size);
    let way_on = format!(
        "Restore a newer backup, or look for the log elsewhere. If what is missing is lost for good, go \
         on as a new ledger: the same command with --to-continue, and then `bergulir ledger continue \
         --data DIR --ledger {ledger} --as NEW`"
    );
    Failure::Input(match missing.standing {
        Standing::Behind => format!(
            "the backup of {ledger} has {have} records, and {name} knows of {size}: the records at \
             positions {have} to {} are missing, and nothing was restored. {way_on}",
            size - 1
        ),
        Standing::Forks | Standing::Leads => format!(
            "the backup of {ledger} is of another history than {name} knows, which at {size} records \
             has the root {}: nothing was restored. {way_on}",
            missing.stated.root
        ),
    })
}

fn nothing_missing(kept: &KeptLedger) -> Failure {
    Failure::Input(format!(
        "nothing shows that records of {} are missing: restore it without --to-continue, or give what \
         is known of it (--anchor, --since)",
        kept.manifest.ledger
    ))
}

fn not_restored(error: RestoreError) -> Failure {
    let refused = match &error {
        RestoreError::Backup(error) => error.is_refusal(),
        RestoreError::Lock(_) | RestoreError::Io { .. } | RestoreError::Unreadable { .. } => false,
        RestoreError::InTheWay { .. }
        | RestoreError::LedgerThere { .. }
        | RestoreError::NoCheckpoint { .. } => true,
    };
    if refused { Failure::Input(error.to_string()) } else { Failure::could_not(error) }
}

fn show(args: &RestoreArgs, ready: &Ready, json: bool) -> Result<(), Failure> {
    let Ready { kept, judged, report } = ready;
    let manifest = &kept.manifest;
    let to_continue = newest_missing(judged).is_some();
    if json {
        let mut told = facts_of(manifest);
        told["status"] = json!(if to_continue { "restored_to_continue" } else { "restored" });
        told["data"] = json!(args.data.display().to_string());
        told["known_checkpoints"] = judged
            .iter()
            .map(|one| {
                let fit = match one.standing {
                    Standing::Leads => "leads",
                    Standing::Behind => "behind",
                    Standing::Forks => "forks",
                };
                json!({"from": one.known.name, "size": one.stated.size, "fit": fit})
            })
            .collect();
        told["not_checked"] = report.not_checked.iter().map(|one| json!(one.to_string())).collect();
        return output::line(told);
    }
    let mut lines = lines_of(manifest);
    for one in judged {
        let said = match one.standing {
            Standing::Leads => "cocok / the records lead to it",
            Standing::Behind => "catatan kurang / records of it are missing",
            Standing::Forks => "riwayat lain / it is of another history",
        };
        lines.push((
            "Titik periksa lain / Known checkpoint",
            format!("{}: {}, {said}", one.known.name, output::count(one.stated.size)),
        ));
    }
    let mut page = Page::default();
    page.facts(&format!("Dipulihkan / Restored: {}", manifest.ledger), &lines);
    if !report.not_checked.is_empty() {
        page.line("Tidak diperiksa / Not checked:");
        for one in &report.not_checked {
            page.line(format_args!("  - {one}"));
        }
    }
    let ledger = &manifest.ledger;
    if to_continue {
        page.line(format_args!(
            "No server writes to it. Go on with: bergulir ledger continue --data {} --ledger {ledger} \
             --as NEW --principal YOU",
            args.data.display()
        ));
    } else if manifest.continued.is_none() {
        page.line("Put the ledger's private key into the key folder before the server starts.");
    }
    page.print()
}
