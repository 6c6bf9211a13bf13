//! `bergulir index`: rebuilds the index of a data directory that no server uses.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use bergulir_chain::{Hash, Position};
use bergulir_domain::LedgerId;
use bergulir_engine::clock::SystemClock;
use bergulir_engine::{LEDGERS_FOLDER, LedgerOptions, Node, ReadLimit, Slot};
use bergulir_store::DataLock;
use bergulir_store::index::{Index, IndexOptions};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::failure::{Failure, with_sources};
use crate::output;
use crate::progress::Bar;

/// The folder of a ledger's index.
const INDEX_FOLDER: &str = "index";

/// Rebuild the index, or say what it holds
///
/// The index holds nothing that is not in the log: it may be deleted at any time.
#[derive(Debug, Args)]
pub(crate) struct IndexArgs {
    #[command(subcommand)]
    command: IndexCommand,
}

#[derive(Debug, Subcommand)]
enum IndexCommand {
    /// Throw the index away, make it anew from the log, and print the digest of its content
    Rebuild(WhichArgs),
    /// Print the digest of the index's content, caught up with the log
    Digest(WhichArgs),
}

/// Which index.
#[derive(Debug, Clone, Args)]
struct WhichArgs {
    /// The data directory, which no server may be using
    #[arg(long, env = "BERGULIR_DATA", value_name = "DIR")]
    data: PathBuf,
    /// Only this ledger
    #[arg(long, value_parser = bergulir_proto::name::ledger_id)]
    ledger: Option<LedgerId>,
}

pub(crate) fn run(args: IndexArgs, json: bool) -> Result<(), Failure> {
    crate::serve::log_to_stderr("warn");
    let (which, discard) = match args.command {
        IndexCommand::Rebuild(which) => (which, true),
        IndexCommand::Digest(which) => (which, false),
    };
    let ledgers = which.data.join(LEDGERS_FOLDER);
    if !ledgers.is_dir() {
        return Err(Failure::Input(format!(
            "{} is not a data directory: it has no {LEDGERS_FOLDER}/",
            which.data.display()
        )));
    }
    if discard {
        let _lock = lock(&which.data)?;
        for folder in index_folders(&ledgers, which.ledger)? {
            Index::discard(&folder).map_err(Failure::could_not)?;
        }
    }
    for (ledger, identity, records) in catch_up(&which.data, which.ledger)? {
        let _lock = lock(&which.data)?;
        let folder = ledgers.join(ledger.as_str()).join(INDEX_FOLDER);
        let opened =
            Index::open(&folder, &IndexOptions::new(identity)).map_err(Failure::could_not)?;
        if opened.index.applied().get() != records {
            return Err(Failure::CouldNotTell(format!(
                "the index of {ledger} reaches {} of {records} records: is a server running?",
                opened.index.applied()
            )));
        }
        let digest = opened.index.content_digest().map_err(Failure::could_not)?;
        if json {
            let digest = digest.to_string();
            let ledger = ledger.as_str();
            output::line(json!({"ledger": ledger, "records": records, "content_digest": digest}))?;
        } else {
            output::line(format_args!("{ledger} {records} {digest}"))?;
        }
    }
    Ok(())
}

/// The index folders of the ledgers that are asked for.
fn index_folders(ledgers: &Path, only: Option<LedgerId>) -> Result<Vec<PathBuf>, Failure> {
    if let Some(ledger) = only {
        let folder = ledgers.join(ledger.as_str());
        return if folder.is_dir() {
            Ok(vec![folder.join(INDEX_FOLDER)])
        } else {
            Err(no_such(ledger))
        };
    }
    let mut folders = Vec::new();
    for folder in std::fs::read_dir(ledgers).map_err(Failure::could_not)? {
        let name = folder.map_err(Failure::could_not)?.file_name();
        if let Some(ledger) = name.to_str().and_then(|name| LedgerId::new(name).ok()) {
            folders.push(ledgers.join(ledger.as_str()).join(INDEX_FOLDER));
        }
    }
    Ok(folders)
}

/// Opens the ledgers, which brings each index up to the head of its log, and stops them again.
/// Gives of each that is asked for its name, the hash of its first record, and its size.
fn catch_up(data: &Path, only: Option<LedgerId>) -> Result<Vec<(LedgerId, Hash, u64)>, Failure> {
    // A seal would make the log longer than it was.
    let options =
        LedgerOptions { seal_every: u64::MAX, seal_at_stop: u64::MAX, ..LedgerOptions::default() };
    let bar = Mutex::new(Bar::patient());
    let node = Node::open(data, Arc::new(SystemClock::new()), options, &|ledger, done, all| {
        let mut bar = bar.lock().unwrap_or_else(PoisonError::into_inner);
        bar.tell(&format!("{ledger}: replaying records"), done, all);
    })
    .map_err(Failure::could_not)?;
    bar.lock().unwrap_or_else(PoisonError::into_inner).done();
    let found = facts(&node, only);
    node.stop();
    found
}

fn facts(node: &Node, only: Option<LedgerId>) -> Result<Vec<(LedgerId, Hash, u64)>, Failure> {
    let mut found = Vec::new();
    for (id, slot) in node.ledgers() {
        if only.is_some_and(|only| only != id) {
            continue;
        }
        let ledger = match slot {
            Slot::Open(ledger) => ledger,
            Slot::Broken(error) => {
                return Err(Failure::CouldNotTell(format!(
                    "ledger {id}: {}",
                    with_sources(&*error)
                )));
            }
        };
        let first = ledger.records(Position::new(0), ReadLimit::ONE).map_err(Failure::could_not)?;
        let identity = first
            .iter()
            .next()
            .map_or(Hash::ZERO, |(_, bytes)| bergulir_chain::record::hash(bytes));
        found.push((id, identity, ledger.head().size.get()));
    }
    match only {
        Some(ledger) if found.is_empty() => Err(no_such(ledger)),
        _ => Ok(found),
    }
}

fn lock(data: &Path) -> Result<DataLock, Failure> {
    DataLock::acquire(data).map_err(Failure::could_not)
}

fn no_such(ledger: LedgerId) -> Failure {
    Failure::Input(format!("there is no ledger {ledger} in the data directory"))
}
