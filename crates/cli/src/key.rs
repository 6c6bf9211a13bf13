//! `bergulir key`: the private keys of logs and witnesses, in files of their own.

use std::path::{Path, PathBuf};

use bergulir_chain::note::{CosignerKey, KEY_BYTES, KeyError, KeyName, SignerKey, VerifierKey};
use bergulir_proto::pb;
use bergulir_store::key_file::{self, KeyFileError};
use clap::{Args, Subcommand};
use serde_json::json;
use zeroize::Zeroizing;

use crate::client::{Client, ClientArgs, WriteArgs, post};
use crate::failure::Failure;
use crate::witness::log_key;
use crate::{output, parse};

/// Make, show and rotate the keys that sign logs
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    #[command(subcommand)]
    command: KeyCommand,
}

#[derive(Debug, Subcommand)]
enum KeyCommand {
    /// Make a private key, in a new file that only you can read, and print its verifier key
    ///
    /// Whoever has the file can sign as that log or witness. Keep a copy where nobody else comes.
    ///
    /// Examples:
    ///   bergulir key new --origin ledger.example.go.id/tangerang --out tangerang.key
    ///   bergulir key new --witness --name auditor.example/w1 --out witness.key
    #[command(verbatim_doc_comment)]
    New {
        /// A key for a witness, which cosigns the checkpoints of logs
        #[arg(long)]
        witness: bool,
        /// The name of the key: the log's origin, or the witness's name, a URL without a scheme
        #[arg(long, visible_alias = "name", value_name = "NAME")]
        origin: KeyName,
        /// The file to make
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Have a ledger's checkpoints signed by another key from now on
    ///
    /// The server must hold the private key: put the file into its key folder first. Verifiers
    /// follow the change from the log itself.
    ///
    /// Example:
    ///   bergulir key rotate tangerang --key new.key --principal petugas-1
    #[command(verbatim_doc_comment)]
    Rotate(Box<RotateArgs>),
    /// Print the verifier key of a private key: what others need to check its signatures
    Show {
        /// The file
        file: PathBuf,
    },
}

/// Which ledger gets which key.
#[derive(Debug, Args)]
struct RotateArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// The ledger
    #[arg(value_name = "LEDGER", value_parser = parse::ledger)]
    id: String,
    /// The new private key; only its verifier key is sent
    #[arg(long, value_name = "FILE", required_unless_present = "verifier_key")]
    key: Option<PathBuf>,
    /// The new verifier key
    #[arg(long, value_name = "VKEY", conflicts_with = "key", value_parser = log_key)]
    verifier_key: Option<VerifierKey>,
}

pub(crate) fn run(args: KeyArgs, json: bool) -> Result<(), Failure> {
    match args.command {
        KeyCommand::New { witness, origin, out } => {
            let seed = seed()?;
            let key = if witness {
                let key = CosignerKey::from_seed(origin, &seed).map_err(Failure::could_not)?;
                key_file::create_cosigner(&out, &key).map_err(failed)?;
                key.verifier().clone()
            } else {
                parse::origin(origin.as_str())
                    .map_err(|why| Failure::Usage(format!("--origin {origin}: {why}")))?;
                let key = SignerKey::from_seed(origin, &seed).map_err(Failure::could_not)?;
                key_file::create_signer(&out, &key).map_err(failed)?;
                key.verifier().clone()
            };
            show(&key, &out, json)
        }
        KeyCommand::Rotate(args) => crate::runtime()?.block_on(rotate(*args, json)),
        KeyCommand::Show { file } => show(&verifier(&file)?, &file, json),
    }
}

async fn rotate(args: RotateArgs, json: bool) -> Result<(), Failure> {
    let RotateArgs { client, write, id, key, verifier_key } = args;
    let key = match (verifier_key, key) {
        (Some(key), _) => key,
        (None, Some(file)) => key_file::read_signer(&file).map_err(failed)?.verifier().clone(),
        (None, None) => return Err(Failure::Usage("say --key or --verifier-key".to_owned())),
    };
    let client = Client::connect(&client.about(id), json).await?;
    let command = pb::RotateKey { verifier_key: key.to_string() };
    post!(client, write, rotate_key, RotateKeyRequest { rotate_key: command })
}

/// 32 random bytes: a private key.
fn seed() -> Result<Zeroizing<[u8; KEY_BYTES]>, Failure> {
    let mut seed = Zeroizing::new([0; KEY_BYTES]);
    getrandom::fill(&mut *seed)
        .map_err(|error| Failure::CouldNotTell(format!("there are no random bytes: {error}")))?;
    Ok(seed)
}

/// The public key of a private one, of a log or of a witness.
fn verifier(file: &Path) -> Result<VerifierKey, Failure> {
    let key = match key_file::read_signer(file) {
        Ok(key) => Ok(key.verifier().clone()),
        Err(KeyFileError::Key { source: KeyError::Algorithm { .. }, .. }) => {
            key_file::read_cosigner(file).map(|key| key.verifier().clone())
        }
        Err(error) => Err(error),
    };
    key.map_err(failed)
}

/// A key file that cannot be used, missing or not; or one that is there and would be overwritten.
pub(crate) fn failed(error: KeyFileError) -> Failure {
    match error {
        KeyFileError::Exists { .. } => Failure::Input(error.to_string()),
        unusable => Failure::CouldNotTell(unusable.to_string()),
    }
}

/// The verifier key alone on its line, so that it can be passed on as it is.
fn show(key: &VerifierKey, file: &Path, json: bool) -> Result<(), Failure> {
    if json {
        return output::line(json!({
            "file": file.display().to_string(),
            "name": key.name().as_str(),
            "id": key.id().to_string(),
            "type": key.algorithm().to_string(),
            "verifier_key": key.to_string(),
        }));
    }
    output::line(key)
}
