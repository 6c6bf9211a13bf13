//! `bergulir audit`: verifies a log offline, without the server and without trusting it, and takes
//! along what that needs.

mod export;
pub(crate) mod files;
mod stop;
mod verify;

use bergulir_audit::Stage;
use clap::{Args, Subcommand};

use crate::failure::Failure;
use crate::witness::{self, WitnessArgs};
use export::ExportArgs;
use verify::VerifyArgs;

pub(crate) use verify::{finding, show, verify, verify_with};

/// Verify a ledger offline, and take along what that needs
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    #[command(subcommand)]
    command: AuditCommand,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Read a log or a bundle as bytes and check everything again: frames, the chain, the tree,
    /// signatures, every decision, every balance, every seal
    ///
    /// Needs no server, no index and no network, takes no lock, and changes nothing; a server may
    /// run meanwhile. It says what it checked and what it could not. Ends with 0: valid; 1: invalid,
    /// with the first bad position and why; 2: could not tell, as with a torn last frame of a data
    /// directory or too few witnesses.
    ///
    /// Examples:
    ///   bergulir audit verify ./data
    ///   bergulir audit verify ./bundle --key KEY --policy witnesses.txt --since last.checkpoint
    ///   bergulir audit verify ./data --chain-only
    #[command(verbatim_doc_comment)]
    Verify(VerifyArgs),
    /// Write a bundle that an auditor can take along, or the log as static files
    ///
    /// It goes up to the ledger's newest checkpoint, and appears under its name only when it is
    /// whole. `bergulir audit verify` checks it, and so does anyone who read docs/format.md.
    ///
    /// Examples:
    ///   bergulir audit export --data ./data --out ./bundle
    ///   bergulir audit export --address 127.0.0.1:7447 --ledger tangerang --out ./bundle
    ///   bergulir audit export --data ./data --out ./this-month --from-seal --since last.checkpoint
    ///   bergulir audit export --data ./data --out ./sukamaju --cooperative sukamaju
    #[command(verbatim_doc_comment)]
    Export(ExportArgs),
    Witness(WitnessArgs),
}

pub(crate) fn run(args: AuditArgs, json: bool) -> Result<(), Failure> {
    match args.command {
        AuditCommand::Verify(args) => verify::run(&args, json),
        AuditCommand::Export(args) => export::run(&args, json),
        AuditCommand::Witness(args) => witness::run(args),
    }
}

/// What is being done, and in which unit it is told.
fn stage(stage: Stage) -> &'static str {
    match stage {
        Stage::Survey => "mencari / surveying (bytes)",
        Stage::Verify => "memeriksa / verifying (records)",
        Stage::Export => "menulis / writing (records)",
    }
}
