//! `bergulir ledger continue`: after a loss, with no server running.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use bergulir_chain::LogSize;
use bergulir_domain::ledger::Origin;
use bergulir_domain::{LedgerId, PrincipalId};
use bergulir_engine::clock::SystemClock;
use bergulir_engine::continuation::{
    Continuation, ContinuationError, ContinuationStage, Continued, Fit, KnownCheckpoint, Made,
    continue_ledger,
};
use bergulir_store::LogEnd;
use clap::Args;
use serde_json::{Value, json};

use crate::audit::files;
use crate::failure::Failure;
use crate::output::{self, Page, count};
use crate::parse;
use crate::progress::Bar;

/// What to go on as, and what shows the loss.
#[derive(Debug, Args)]
pub(crate) struct ContinueArgs {
    /// The data directory, which no server may be using
    #[arg(long, env = "BERGULIR_DATA", value_name = "DIR")]
    data: PathBuf,
    /// The new ledger's name on its node
    #[arg(long = "as", value_name = "LEDGER", value_parser = bergulir_proto::name::ledger_id)]
    successor: LedgerId,
    /// Its name everywhere, for ever: a URL without a scheme [default: the old origin with the new
    /// ledger's name as its last part]
    #[arg(long, value_parser = parse::origin)]
    origin: Option<String>,
    /// The folder of the private keys [default: keys in --data]; one is made there if there is none of
    /// the new origin
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,
    /// A folder that keeps the newest checkpoint of each ledger; may be given again
    #[arg(long = "anchor", value_name = "DIR")]
    anchors: Vec<PathBuf>,
    /// A checkpoint of the old ledger from elsewhere: what a witness or an auditor kept; may be given
    /// again
    #[arg(long = "checkpoint", value_name = "FILE")]
    checkpoints: Vec<PathBuf>,
    /// Go on although nothing shows that anything was lost
    #[arg(long)]
    without_evidence: bool,
}

/// Continues the ledger of that name.
pub(crate) fn run(
    args: ContinueArgs,
    ledger: Option<&str>,
    principal: Option<&str>,
    json: bool,
) -> Result<(), Failure> {
    crate::serve::log_to_stderr("warn");
    let missing = |what: &str| Failure::Usage(format!("say {what}"));
    let ledger: LedgerId = ledger
        .and_then(|ledger| ledger.parse().ok())
        .ok_or_else(|| missing("which ledger suffered the loss (--ledger)"))?;
    let principal = principal
        .and_then(|principal| PrincipalId::new(principal).ok())
        .ok_or_else(|| missing("who you are (--principal): the record names you"))?;
    let mut checkpoints = Vec::new();
    for path in &args.checkpoints {
        checkpoints.push((path.display().to_string(), files::checkpoint(path)?));
    }
    let asked = Continuation {
        ledger,
        successor: args.successor,
        // It was checked where the command line was read.
        origin: args.origin.as_deref().and_then(|origin| Origin::new(origin).ok()),
        keys: args.keys,
        anchors: args.anchors,
        checkpoints,
        principal,
        without_evidence: args.without_evidence,
    };
    let bar = Mutex::new(Bar::patient());
    let told = |stage, done, total| {
        let what = match stage {
            ContinuationStage::Copy => "checking and copying the records",
            ContinuationStage::Replay => "deciding each again",
        };
        bar.lock().unwrap_or_else(PoisonError::into_inner).tell(what, done, total);
    };
    let continued = continue_ledger(&args.data, &asked, &SystemClock::new(), &told);
    bar.lock().unwrap_or_else(PoisonError::into_inner).done();
    let continued = continued.map_err(failed)?;
    if json {
        output::line(as_json(ledger, &continued))
    } else {
        let mut page = Page::default();
        show(&mut page, ledger, &continued);
        page.print()
    }
}

fn failed(error: ContinuationError) -> Failure {
    if error.is_refusal() { Failure::Input(error.to_string()) } else { Failure::could_not(error) }
}

/// The records that a checkpoint covers and that are lost: from where, and how many.
fn lost(continued: &Continued, made: &Made) -> Option<(LogSize, u64)> {
    let named = made.named.map(|named| &made.known[named])?;
    let size = named.size.filter(|_| named.fit == Fit::Behind)?;
    Some((continued.records, size.get() - continued.records.get()))
}

fn fit(known: &KnownCheckpoint) -> (&'static str, String) {
    match &known.fit {
        Fit::Leads => ("leads", "cocok / the records lead to it".to_owned()),
        Fit::Behind => ("behind", "catatan kurang / records of it are lost".to_owned()),
        Fit::Forks => ("forks", "riwayat lain / it is of another history".to_owned()),
        Fit::Foreign(why) => ("foreign", format!("bukan dari log ini / not of this log: {why}")),
    }
}

fn as_json(from: LedgerId, continued: &Continued) -> Value {
    let mut told = json!({
        "ledger": continued.ledger.as_str(),
        "origin": continued.origin.as_str(),
        "from_ledger": from.as_str(),
        "position": continued.records.get(),
        "record_hash": continued.record_hash.to_string(),
        "finished": continued.made.is_none(),
    });
    if let Some(made) = &continued.made {
        let damage = match &made.end {
            LogEnd::Whole | LogEnd::Torn => Value::Null,
            LogEnd::Damaged { place, why } => json!({"place": place, "why": why}),
        };
        let known = made.known.iter().map(|known| {
            json!({
                "from": known.name,
                "size": known.size.map(LogSize::get),
                "fit": fit(known).0,
            })
        });
        let lost = lost(continued, made);
        told["from_origin"] = json!(made.from_origin.as_str());
        told["verifier_key"] = json!(made.verifier_key.to_string());
        told["damage"] = damage;
        told["known_checkpoints"] = known.collect();
        told["named_checkpoint"] = json!(made.named.map(|named| made.known[named].name.clone()));
        told["lost_from"] = json!(lost.map(|(from, _)| from.get()));
        told["lost"] = json!(lost.map(|(_, lost)| lost));
    }
    told
}

fn show(page: &mut Page, from: LedgerId, continued: &Continued) {
    let mut facts = vec![
        ("Buku besar baru / New ledger", format!("ledgers/{}", continued.ledger)),
        ("Asal / Origin", continued.origin.as_str().to_owned()),
        ("Catatan selamat / Records that survive", count(continued.records.get())),
    ];
    if let Some(made) = &continued.made {
        if let LogEnd::Damaged { place, why } = &made.end {
            facts.push(("Kerusakan / Damage", format!("{why} ({place})")));
        }
        for known in &made.known {
            let size = known.size.map_or_else(|| "?".to_owned(), |size| count(size.get()));
            let said = format!("{}: {size}, {}", known.name, fit(known).1);
            facts.push(("Titik periksa / Known checkpoint", said));
        }
        let named = made.named.map_or("-", |named| made.known[named].name.as_str());
        facts.push(("Disebut dalam catatan / Named in the record", named.to_owned()));
        if let Some((from, lost)) = lost(continued, made) {
            let last = from.get() + lost - 1;
            let said = format!("{} ({from} - {last})", count(lost));
            facts.push(("Hilang / Lost records, at least", said));
        }
        facts.push(("Kunci / Verifier key", made.verifier_key.to_string()));
    } else {
        facts.push((
            "Diselesaikan / Finished",
            "it was continued before; what was cut short is done now".to_owned(),
        ));
    }
    facts.push(("Catatan / Record", format!("{} {}", continued.records, continued.record_hash)));
    page.facts(&format!("Dilanjutkan / Continued: {from}"), &facts);
    page.line(format_args!(
        "ledgers/{from} is kept for reading and takes no writes any more. Give auditors and witnesses \
         the new verifier key."
    ));
}
