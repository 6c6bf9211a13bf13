//! The command line of Bergulir: a file per command.

mod account;
mod answers;
mod audit;
mod backup;
mod balance;
mod batch;
mod bench;
mod choices;
mod client;
mod clock;
mod completions;
mod config;
mod continuation;
mod coop;
mod demo;
mod desk;
mod disburse;
mod disbursement;
mod exit;
mod failure;
mod fund;
#[cfg(test)]
mod fuzz_tests;
mod index;
mod key;
mod ledger;
mod lists;
mod loan;
mod log;
mod output;
mod papers;
mod parse;
mod progress;
mod proof;
mod repay;
mod restore;
mod restructuring;
mod reversal;
mod serve;
mod show;
mod status;
mod trail;
mod witness;
mod words;
mod write_off;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::failure::Failure;

/// A revolving-fund ledger that proves itself
#[derive(Debug, Parser)]
#[command(name = "bergulir", version, after_help = exit::HELP)]
pub(crate) struct Cli {
    /// Print JSON, one object a line, for programs
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::DemoArgs),
    Serve(serve::ServeArgs),
    Config(config::ConfigArgs),
    Status(status::StatusArgs),
    Audit(audit::AuditArgs),
    Backup(backup::BackupArgs),
    Restore(restore::RestoreArgs),
    Index(index::IndexArgs),
    Clock(clock::ClockArgs),
    Bench(bench::BenchArgs),
    Key(key::KeyArgs),
    Ledger(ledger::LedgerArgs),
    Fund(fund::FundArgs),
    Coop(coop::CoopArgs),
    Account(account::AccountArgs),
    Loan(loan::LoanArgs),
    Disburse(disburse::DisburseArgs),
    Grant(disburse::GrantArgs),
    Disbursement(disbursement::DisbursementArgs),
    Return(disburse::ReturnArgs),
    Repay(repay::RepayArgs),
    WriteOff(write_off::WriteOffArgs),
    Restructuring(restructuring::RestructuringArgs),
    Reversal(reversal::ReversalArgs),
    Proposal(reversal::ProposalArgs),
    Batch(batch::BatchArgs),
    Balance(balance::BalanceArgs),
    TrialBalance(balance::TrialBalanceArgs),
    Trail(trail::TrailArgs),
    Log(log::LogArgs),
    Proof(proof::ProofArgs),
    Completions(completions::CompletionsArgs),
}

/// The whole command line.
pub(crate) fn command() -> clap::Command {
    taking_negative_numbers(Cli::command())
}

/// A negative number is a value, and not an option that nobody knows: so it is refused with what
/// is wrong with it.
fn taking_negative_numbers(command: clap::Command) -> clap::Command {
    let command = command.mut_args(|arg| {
        let takes = arg.get_action().takes_values();
        if takes { arg.allow_negative_numbers(true) } else { arg }
    });
    command.mut_subcommands(taking_negative_numbers)
}

/// Reads the command line, does what it says, and tells how it went.
pub fn run() -> ExitCode {
    keep_private();
    let cli = Cli::from_arg_matches(&command().get_matches()).unwrap_or_else(|error| error.exit());
    let json = cli.json;
    match dispatch(cli) {
        Ok(()) => exit::code(exit::DONE),
        Err(failure) => {
            failure.report(json);
            exit::code(failure.exit_code())
        }
    }
}

/// Files and folders that are made are for their owner alone: they hold everyone's money, or keys. Who
/// hands one on says so.
fn keep_private() {
    #[cfg(unix)]
    rustix::process::umask(rustix::fs::Mode::RWXG | rustix::fs::Mode::RWXO);
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let json = cli.json;
    match cli.command {
        Command::Demo(args) => runtime()?.block_on(demo::run(args, json)),
        Command::Serve(args) => serve::run(&args),
        Command::Config(args) => config::run(args, json),
        Command::Status(args) => runtime()?.block_on(status::run(args, json)),
        Command::Audit(args) => audit::run(args, json),
        Command::Index(args) => index::run(args, json),
        Command::Clock(args) => clock::run(args, json),
        Command::Bench(args) => one_thread()?.block_on(bench::run(args, json)),
        Command::Completions(args) => completions::run(&args),
        Command::Backup(args) => backup::run(&args, json),
        Command::Restore(args) => restore::run(&args, json),
        Command::Key(args) => key::run(args, json),
        Command::Ledger(args) => ledger::run(args, json),
        Command::Fund(args) => runtime()?.block_on(fund::run(args, json)),
        Command::Coop(args) => runtime()?.block_on(coop::run(args, json)),
        Command::Account(args) => runtime()?.block_on(account::run(args, json)),
        Command::Loan(args) => runtime()?.block_on(loan::run(args, json)),
        Command::Disburse(args) => runtime()?.block_on(disburse::disburse(args, json)),
        Command::Grant(args) => runtime()?.block_on(disburse::grant(args, json)),
        Command::Disbursement(args) => runtime()?.block_on(disbursement::run(args, json)),
        Command::Return(args) => runtime()?.block_on(disburse::take_back(args, json)),
        Command::Repay(args) => runtime()?.block_on(repay::run(args, json)),
        Command::WriteOff(args) => runtime()?.block_on(write_off::run(args, json)),
        Command::Restructuring(args) => runtime()?.block_on(restructuring::run(args, json)),
        Command::Reversal(args) => runtime()?.block_on(reversal::run(args, json)),
        Command::Proposal(args) => runtime()?.block_on(reversal::proposal(args, json)),
        Command::Batch(args) => runtime()?.block_on(batch::run(args, json)),
        Command::Balance(args) => runtime()?.block_on(balance::run(args, json)),
        Command::TrialBalance(args) => runtime()?.block_on(balance::trial(args, json)),
        Command::Trail(args) => runtime()?.block_on(trail::run(args, json)),
        Command::Log(args) => runtime()?.block_on(log::run(args, json)),
        Command::Proof(args) => proof::run(args, json),
    }
}

/// The threads that wait for servers and files.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::CouldNotTell(format!("no threads could be started: {error}")))
}

/// A runtime for a server: its threads are half as many as the processors, since those of the ledgers
/// have as much to do. With two on two processors a single command took a fifth more of their time,
/// and a quarter fewer came through: the threads woke and pushed each other.
pub(crate) fn server_runtime() -> Result<tokio::runtime::Runtime, Failure> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads((processors / 2).max(1))
        .enable_all()
        .build()
        .map_err(|error| Failure::CouldNotTell(format!("no threads could be started: {error}")))
}

/// A thread that waits for servers, where more would take processor time from them.
fn one_thread() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::CouldNotTell(format!("no runtime could be started: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        command().debug_assert();
    }

    #[test]
    fn a_negative_number_is_refused_for_what_it_is() {
        let said = |line: &str| {
            let refused = command().try_get_matches_from(line.split(' ')).unwrap_err();
            refused.to_string()
        };
        let booking = "--bank BJB --bank-reference T --value-date 2026-03-16";
        for (line, expected) in [
            ("disburse l --amount -5", "must not be negative"),
            ("disburse l --amount -5.50", "must not be negative"),
            ("disburse l --amount 0", "must be more than zero"),
            ("repay l --amount 5 --to-interest -1", "must not be negative"),
            ("reversal propose -7 --reason x", "must not be negative"),
            ("log record -1", "must not be negative"),
            ("log records --from -1", "must not be negative"),
            ("balance funds/f --as-of-position -1", "must not be negative"),
            ("balance dana", "(funds/dana?)"),
            ("fund show f --ledger ..", "must begin with a letter or a digit"),
            ("audit verify x --ledger -", "must begin with a letter or a digit"),
            ("index digest --data x --ledger .x", "must begin with a letter or a digit"),
        ] {
            let all =
                format!("bergulir {line} {}", if line.contains("--amount") { booking } else { "" });
            let said = said(all.trim_end());
            assert!(said.contains(expected), "{line}: {said}");
        }
    }
}
