//! `bergulir backup`: the ledgers of a running server, or of a data directory, into a folder.

mod source;
mod verify;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use bergulir_chain::Timestamp;
use bergulir_chain::note::VerifierKey;
use bergulir_domain::LedgerId;
use bergulir_store::backup::{BackupError, BackupFolder, Manifest};
use clap::Args;
use serde_json::{Value, json};

use crate::client::ClientArgs;
use crate::failure::Failure;
use crate::output::{self, Page, count};
use crate::progress::Bar;
use crate::witness;
pub(crate) use verify::{chosen_of, keys_of, verified};

use source::{Ledger, Source, Trouble};

/// Back up the ledgers of a running server into a folder
///
/// The first run copies everything, each later one into the same folder only what is new. Everything
/// is checked on the way against the ledger's signed checkpoint; a server that does not lead on from
/// what the folder has is refused, and the folder stays as it is. A run that was cut short is gone on
/// with by the next. The private keys of the ledgers are not copied: keep them by another way.
///
/// Ends with 0: all is backed up; 1: a ledger was refused, or with --verify the backup is damaged;
/// 2: something could not be read or written.
///
/// Examples:
///   bergulir backup /mnt/backup --address 127.0.0.1:7447
///   bergulir backup /mnt/backup tangerang serang
///   bergulir backup /mnt/backup --data ./data
///   bergulir backup /mnt/backup --verify --key KEY
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct BackupArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// The folder of the backup: a path where nothing is, or an earlier backup
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
    /// Only these ledgers [default: all]
    #[arg(value_name = "LEDGER", value_parser = bergulir_proto::name::ledger_id)]
    ledgers: Vec<LedgerId>,
    /// Read the files of this data directory, up to the newest checkpoints; a server may be using it
    /// [default: ask the server at --address]
    #[arg(long, value_name = "DIR", conflicts_with = "verify")]
    data: Option<PathBuf>,
    /// Copy nothing: check what the folder has, as `audit verify` does, and say how old it is
    #[arg(long)]
    verify: bool,
    /// With --verify, check only how the records hang together, and decide nothing again
    #[arg(long, requires = "verify")]
    chain_only: bool,
    /// With --verify, a log's key that you know, as NAME+ID+BASE64; may be given again
    #[arg(long = "key", value_name = "VERIFIER_KEY", value_parser = witness::log_key, requires = "verify")]
    keys: Vec<VerifierKey>,
}

impl BackupArgs {
    /// The ledgers that were named; none: all.
    fn chosen(&self) -> Result<Vec<LedgerId>, Failure> {
        let mut chosen = self.ledgers.clone();
        chosen.extend(self.client.ledger_id()?);
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }
}

/// What became of one ledger.
struct Done {
    manifest: Manifest,
    /// How many records the backup had before.
    before: u64,
    bytes: u64,
    elapsed: Duration,
}

pub(crate) fn run(args: &BackupArgs, json: bool) -> Result<(), Failure> {
    let chosen = args.chosen()?;
    if args.verify {
        return verify::run(&args.folder, &chosen, &args.keys, args.chain_only, json);
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::CouldNotTell(format!("no threads could be started: {error}")))?;
    runtime.block_on(copy_all(args, &chosen, json))
}

async fn copy_all(args: &BackupArgs, chosen: &[LedgerId], json: bool) -> Result<(), Failure> {
    let source = match &args.data {
        Some(data) => {
            is_elsewhere(&args.folder, data)?;
            Source::Folder(data.clone())
        }
        None => Source::server(&args.client, json).await?,
    };
    let ledgers = pick(source.ledgers().await?, chosen, &source)?;
    let backup = BackupFolder::write_to(&args.folder).map_err(failed)?;
    let (mut refused, mut could_not) = (Vec::new(), Vec::new());
    let all = ledgers.len();
    for ledger in ledgers {
        let name = ledger.name.clone();
        if let Some(why) = ledger.left_out() {
            show_left_out(&name, why, json)?;
            continue;
        }
        let mut bar = Bar::patient();
        let copied = copy_one(&source, &backup, ledger, &mut bar).await;
        bar.done();
        match copied {
            Ok(done) => show(&args.folder, &done, json)?,
            Err(trouble) => {
                let failure = trouble.failure();
                show_failed(&name, &failure, json);
                let list = match failure.exit_code() {
                    crate::exit::REFUSED => &mut refused,
                    _ => &mut could_not,
                };
                list.push(name);
            }
        }
    }
    if chosen.is_empty() {
        show_gone(&backup, &source, json).await?;
    } else if !json {
        let names: Vec<String> = chosen.iter().map(ToString::to_string).collect();
        output::line(format_args!(
            "Hanya / Only the ledgers that were named: {}",
            names.join(", ")
        ))?;
    }
    let failed: Vec<String> = refused.iter().chain(&could_not).cloned().collect();
    let said =
        format!("{} of {all} ledgers were not backed up: {}", failed.len(), failed.join(", "));
    match (refused.is_empty(), could_not.is_empty()) {
        (true, true) => Ok(()),
        (false, true) => Err(Failure::Input(said)),
        (_, false) => Err(Failure::CouldNotTell(said)),
    }
}

/// The ledgers that were named, or all.
fn pick(found: Vec<Ledger>, chosen: &[LedgerId], source: &Source) -> Result<Vec<Ledger>, Failure> {
    if let Some(missing) = chosen.iter().find(|id| found.iter().all(|one| one.name != id.as_str()))
    {
        return Err(Failure::Input(format!("there is no ledger {missing} {source}")));
    }
    let ledgers: Vec<Ledger> = found
        .into_iter()
        .filter(|one| chosen.is_empty() || chosen.iter().any(|id| one.name == id.as_str()))
        .collect();
    if ledgers.is_empty() {
        return Err(Failure::Input(format!("there is no ledger {source}")));
    }
    Ok(ledgers)
}

/// A backup in the data directory would be lost with it.
fn is_elsewhere(folder: &Path, data: &Path) -> Result<(), Failure> {
    let whole = |path: &Path| std::path::absolute(path).ok();
    let real = data.canonicalize().ok();
    // What is not there yet has no real path; what is above it has.
    let there = folder.ancestors().find_map(|above| above.canonicalize().ok());
    let inside = there.zip(real).is_some_and(|(there, data)| there.starts_with(data))
        || whole(folder).zip(whole(data)).is_some_and(|(folder, data)| folder.starts_with(data));
    if inside {
        return Err(Failure::Input(format!(
            "{} is inside {}, with which it would be lost: give a folder elsewhere, best on another \
             machine",
            folder.display(),
            data.display()
        )));
    }
    Ok(())
}

async fn copy_one(
    source: &Source,
    backup: &BackupFolder,
    ledger: Ledger,
    bar: &mut Bar,
) -> Result<Done, Trouble> {
    let began = Instant::now();
    let mut run = backup.begin(&ledger.name)?;
    let before = run.before().map_or(0, |before| before.head.size.get());
    let what = format!("{}: menyalin / copying (records)", ledger.name);
    let mut told = |done, total| bar.tell(&what, done, total);
    let mut copied = source.copy(&ledger, &mut run, &mut told).await;
    if copied.as_ref().is_err_and(Trouble::is_of_another_history) && run.has_rest() {
        // What a run that was cut short has left may be of what was rolled back since: that which is
        // whole decides.
        run.drop_rest()?;
        copied = source.copy(&ledger, &mut run, &mut told).await;
    }
    copied?;
    let bytes = run.copied();
    let manifest = run.finish(now())?;
    Ok(Done { manifest, before, bytes, elapsed: began.elapsed() })
}

/// The time by the clock of this machine.
fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_micros(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// An instant for people and programs.
pub(crate) fn instant(at: Timestamp) -> String {
    output::instant(Some(&bergulir_proto::timestamp_to_wire(
        bergulir_domain::Timestamp::from_micros(at.as_micros()),
    )))
}

/// How long ago something was, in whole seconds.
pub(crate) fn age(at: Timestamp) -> u64 {
    let micros = now().as_micros().saturating_sub(at.as_micros());
    u64::try_from(micros / 1_000_000).unwrap_or(0)
}

/// A time that passed, for people.
pub(crate) fn lasted(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// What a manifest says, for programs.
pub(crate) fn facts_of(manifest: &Manifest) -> Value {
    json!({
        "ledger": manifest.ledger,
        "origin": manifest.stated().map(|stated| stated.origin.to_string()),
        "records": manifest.head.size.get(),
        "head_hash": manifest.head.hash.to_string(),
        "checkpoint": manifest.checkpoint.as_ref().map(|_| manifest.covered().get()),
        "continued": manifest.continued.is_some(),
        "bytes": manifest.bytes(),
        "segments": manifest.segments.len(),
        "last_recorded_at": instant(manifest.recorded_at),
        "taken_at": instant(manifest.taken_at),
    })
}

/// The same for people.
pub(crate) fn lines_of(manifest: &Manifest) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("Catatan / Records", count(manifest.head.size.get())),
        ("Hash terakhir / Head hash", manifest.head.hash.to_string()),
    ];
    let covered = manifest.covered();
    match (&manifest.checkpoint, manifest.continued.is_some()) {
        (Some(_), _) if covered == manifest.head.size => {
            lines.push(("Titik periksa / Checkpoint", "covers all of them".to_owned()));
        }
        (Some(_), _) => lines.push((
            "Titik periksa / Checkpoint",
            format!("covers {} of them: nothing vouches for the rest yet", count(covered.get())),
        )),
        (None, _) => lines.push(("Titik periksa / Checkpoint", "-".to_owned())),
    }
    if manifest.continued.is_some() {
        lines.push((
            "Dilanjutkan / Continued",
            "it goes on as another ledger, and takes no writes".to_owned(),
        ));
    }
    let (recorded, taken) = (manifest.recorded_at, manifest.taken_at);
    lines.push((
        "Catatan terakhir / Last record",
        format!("{} ({} ago)", instant(recorded), lasted(age(recorded))),
    ));
    lines.push(("Dibuat / Taken", format!("{} ({} ago)", instant(taken), lasted(age(taken)))));
    lines
}

fn show(folder: &Path, done: &Done, json: bool) -> Result<(), Failure> {
    let Done { manifest, before, bytes, elapsed } = done;
    let new = manifest.head.size.get() - before;
    if json {
        let mut told = facts_of(manifest);
        told["status"] = json!("backed_up");
        told["path"] = json!(folder.display().to_string());
        told["new_records"] = json!(new);
        told["new_bytes"] = json!(bytes);
        told["elapsed_seconds"] = json!(elapsed.as_secs_f64());
        return output::line(told);
    }
    let mut lines =
        vec![("Baru / New records", format!("{} ({} bytes)", count(new), count(*bytes)))];
    lines.extend(lines_of(manifest));
    let mut page = Page::default();
    page.facts(&format!("Dicadangkan / Backed up: {}", manifest.ledger), &lines);
    page.print()
}

fn show_left_out(ledger: &str, why: &str, json: bool) -> Result<(), Failure> {
    if json {
        return output::line(json!({"ledger": ledger, "status": "left_out", "why": why}));
    }
    output::line(format_args!("Dilewati / Left out: {ledger}: {why}"))
}

fn show_failed(ledger: &str, failure: &Failure, json: bool) {
    if json {
        failure.report(true);
    } else {
        eprint!("{ledger}: ");
        failure.report(false);
    }
}

/// Says which ledgers of the backup are no longer where it is made from. They stay.
async fn show_gone(backup: &BackupFolder, source: &Source, json: bool) -> Result<(), Failure> {
    let found = source.ledgers().await?;
    for name in backup.ledgers().map_err(failed)? {
        if found.iter().all(|one| one.name != name) {
            show_left_out(&name, &format!("it is not {source}; the backup of it stays"), json)?;
        }
    }
    Ok(())
}

/// What is wrong with what was given is 1, what could not be read or written 2.
pub(crate) fn failed(error: BackupError) -> Failure {
    if error.is_refusal() { Failure::Input(error.to_string()) } else { Failure::could_not(error) }
}
