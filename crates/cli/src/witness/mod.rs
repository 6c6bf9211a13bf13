//! `bergulir audit witness`: remembers how far it saw each log and cosigns only what continues it.

mod http;
mod state;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bergulir_chain::note::{Algorithm, KeyError, VerifierKey};
use bergulir_chain::policy::Policy;
use bergulir_store::key_file;
use clap::Args;

use crate::failure::Failure;
use crate::key;
use crate::serve::{log_to_stderr, stop_signal};
use state::Witness;

/// Cosign the checkpoints of logs that only grow
///
/// Takes checkpoints after C2SP tlog-witness at `POST /add-checkpoint`, remembers the newest one of
/// each log that it knows, and cosigns only what continues that: so a log that shows others another
/// history is found out. `GET /` says its verifier key and what it saw last. Prints `listening on
/// ADDRESS` when it is ready. Stops on Ctrl-C or SIGTERM.
///
/// Its folder is its memory: whoever loses it must take a new key too.
///
/// Example:
///   bergulir key new --witness --name auditor.example/w1 --out witness.key
///   bergulir audit witness --key witness.key --state ./seen --log "$(bergulir key show log.key)"
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct WitnessArgs {
    /// The witness's private key, as made by `key new --witness`
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The folder where it keeps what it saw; made if it is missing
    #[arg(long, value_name = "DIR")]
    state: PathBuf,
    /// Where to listen: a loopback address; port 0 takes any that is free
    #[arg(long, default_value = "127.0.0.1:7449", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// The verifier key of a log to witness; may be given again
    #[arg(long, value_name = "VKEY", value_parser = log_key, required_unless_present = "policy")]
    log: Vec<VerifierKey>,
    /// A policy whose logs to witness
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// A verifier key of a log.
pub(crate) fn log_key(text: &str) -> Result<VerifierKey, KeyError> {
    let key: VerifierKey = text.parse()?;
    match key.algorithm() {
        Algorithm::Ed25519 => Ok(key),
        given @ Algorithm::CosignatureV1 => {
            Err(KeyError::Algorithm { expected: Algorithm::Ed25519, given })
        }
    }
}

/// Reads a policy. One that is missing and one that is wrong are alike: nothing can be said by it.
pub(crate) fn policy(path: &Path) -> Result<Policy, Failure> {
    let name = path.display();
    let bytes = std::fs::read(path)
        .map_err(|error| Failure::CouldNotTell(format!("could not read {name}: {error}")))?;
    Policy::parse(&bytes)
        .map_err(|error| Failure::CouldNotTell(format!("the policy {name}: {error}")))
}

pub(crate) fn run(args: WitnessArgs) -> Result<(), Failure> {
    let WitnessArgs { key, state, listen, log: mut logs, policy: file } = args;
    if !listen.ip().to_canonical().is_loopback() {
        return Err(Failure::Usage(format!(
            "--listen {listen} can be reached from other machines, and there is no encryption yet: \
             listen on a loopback address such as 127.0.0.1:7449, behind a proxy if others are to \
             reach it"
        )));
    }
    if let Some(file) = file {
        logs.extend(policy(&file)?.logs().iter().map(|log| log.key.clone()));
    }
    if logs.is_empty() {
        let why = "the policy names no log: there is nothing to witness";
        return Err(Failure::CouldNotTell(why.to_owned()));
    }
    let key = key_file::read_cosigner(&key).map_err(key::failed)?;
    log_to_stderr("info");
    let witness = Arc::new(Witness::open(&state, key, logs).map_err(Failure::could_not)?);
    crate::runtime()?.block_on(async { http::serve(witness, listen, stop_signal()?).await })
}
