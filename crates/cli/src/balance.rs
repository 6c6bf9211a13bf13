//! `bergulir balance` and `trial-balance`: what there is, now or at an earlier moment, and proofs.

use std::path::PathBuf;

use bergulir_domain::FundId;
use bergulir_proto::pb;
use clap::{Args, Subcommand};

use crate::client::{Client, ClientArgs, FreshArgs, MomentArgs, ask};
use crate::failure::Failure;
use crate::parse;

/// Show balances of funds, accounts and loans, now or at an earlier moment
///
/// Example:
///   bergulir balance funds/dana-2026 funds/dana-2026/accounts/acct-1 loans/loan-1
#[derive(Debug, Args)]
#[command(verbatim_doc_comment, args_conflicts_with_subcommands = true)]
#[command(subcommand_negates_reqs = true)]
pub(crate) struct BalanceArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: Option<BalanceCommand>,
    #[command(flatten)]
    fresh: FreshArgs,
    #[command(flatten)]
    moment: MomentArgs,
    /// What: funds/F, funds/F/accounts/A or loans/L
    #[arg(required = true, value_name = "NAME", value_parser = parse::owner)]
    names: Vec<String>,
}

#[derive(Debug, Subcommand)]
enum BalanceCommand {
    /// Prove the balances of a fund or an account as they were when the ledger was last sealed, or
    /// that there was none of that name
    ///
    /// Example:
    ///   bergulir balance proof funds/dana-2026/accounts/acct-1 --fresh --principal petugas-1 \
    ///     --out acct-1.balance-proof
    ///   bergulir proof verify acct-1.balance-proof --key VKEY
    #[command(verbatim_doc_comment)]
    Proof {
        /// Whose: funds/F or funds/F/accounts/A
        #[arg(value_name = "NAME", value_parser = parse::lender)]
        name: String,
        /// Seal the ledger first, so that the proof speaks of the balances as they are now; this
        /// records a seal, and so needs --principal
        #[arg(long)]
        fresh: bool,
        /// Write the proof to this file
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

/// Show the trial balance (neraca saldo) of a fund, or of every fund
#[derive(Debug, Args)]
pub(crate) struct TrialBalanceArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    fresh: FreshArgs,
    #[command(flatten)]
    moment: MomentArgs,
    /// Only this fund
    #[arg(value_parser = parse::checked::<FundId>)]
    fund: Option<String>,
}

pub(crate) async fn run(args: BalanceArgs, json: bool) -> Result<(), Failure> {
    use pb::batch_get_balances_request::AsOf as OfMany;
    use pb::get_balance_request::AsOf as OfOne;
    let client = Client::connect(&args.client, json).await?;
    if let Some(BalanceCommand::Proof { name, fresh, out }) = args.command {
        let request = pb::GetBalanceProofRequest { name: client.name(&name)?, fresh };
        let mut log = client.log();
        // A fresh one takes a seal, which is a record.
        let request = if fresh { client.command(request)? } else { client.question(request) };
        let answer = log.get_balance_proof(request);
        let proof = |answer: &pb::GetBalanceProofResponse| Ok(answer.proof.clone());
        return client.answer_into(out.as_deref(), answer, proof).await;
    }
    let (position, recorded) = (args.moment.as_of_position, args.moment.recorded());
    let min_position = args.fresh.min_position;
    if let [name] = args.names.as_slice() {
        let request = pb::GetBalanceRequest {
            name: client.name(name)?,
            min_position,
            as_of: position.map(OfOne::AsOfPosition).or(recorded.map(OfOne::AsOfRecorded)),
        };
        return ask!(client, queries, get_balance, request);
    }
    let names = args.names.iter().map(|name| client.name(name));
    let request = pb::BatchGetBalancesRequest {
        names: names.collect::<Result<_, _>>()?,
        parent: client.ledger()?,
        min_position,
        as_of: position.map(OfMany::AsOfPosition).or(recorded.map(OfMany::AsOfRecorded)),
    };
    ask!(client, queries, batch_get_balances, request)
}

pub(crate) async fn trial(args: TrialBalanceArgs, json: bool) -> Result<(), Failure> {
    use pb::get_trial_balance_request::AsOf;
    let client = Client::connect(&args.client, json).await?;
    let name = match &args.fund {
        Some(fund) => client.name(&format!("funds/{fund}"))?,
        None => client.ledger()?,
    };
    let recorded = args.moment.recorded();
    let request = pb::GetTrialBalanceRequest {
        name,
        min_position: args.fresh.min_position,
        as_of: (args.moment.as_of_position)
            .map(AsOf::AsOfPosition)
            .or(recorded.map(AsOf::AsOfRecorded)),
    };
    ask!(client, queries, get_trial_balance, request)
}
