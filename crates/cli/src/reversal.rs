//! `bergulir reversal` and `proposal`: corrections, which need a second person.

use bergulir_domain::text::Reason;
use bergulir_proto::pb;
use clap::{Args, Subcommand};

use crate::client::{Client, ClientArgs, PageArgs, WriteArgs, list, post};
use crate::failure::Failure;
use crate::papers::{EvidenceArgs, ExpiryArgs, ProposedArgs};
use crate::parse;

/// Undo a wrong money event: one person proposes, another approves
#[derive(Debug, Args)]
pub(crate) struct ReversalArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: ReversalCommand,
}

#[derive(Debug, Subcommand)]
enum ReversalCommand {
    /// Propose to undo the money event at a position
    ///
    /// Example:
    ///   bergulir reversal propose 1234 --reason "posted to the wrong cooperative"
    #[command(verbatim_doc_comment)]
    Propose {
        #[command(flatten)]
        write: WriteArgs,
        /// The position of the record to undo
        #[arg(value_parser = parse::whole)]
        position: u64,
        /// Why
        #[arg(long, value_parser = parse::checked::<Reason>)]
        reason: String,
        #[command(flatten)]
        evidence: EvidenceArgs,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed reversal; by another person than its maker
    Approve(ProposedArgs),
}

/// List, refuse and withdraw what waits for a second person, loans apart
#[derive(Debug, Args)]
pub(crate) struct ProposalArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: ProposalCommand,
}

#[derive(Debug, Subcommand)]
enum ProposalCommand {
    /// List what waits: withdrawals, closes, disbursements, bank accounts, reversals
    List {
        #[command(flatten)]
        page: PageArgs,
    },
    /// Refuse what is proposed; by another person than its maker
    Refuse(DecisionArgs),
    /// Take what is proposed back; by its maker
    Withdraw(DecisionArgs),
}

/// A proposal and a reason.
#[derive(Debug, Clone, Args)]
struct DecisionArgs {
    #[command(flatten)]
    of: ProposedArgs,
    /// Why
    #[arg(long, value_parser = parse::checked::<Reason>)]
    reason: String,
}

pub(crate) async fn run(args: ReversalArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        ReversalCommand::Propose { write, position, reason, evidence, expiry } => {
            let command = pb::ProposeReversal {
                reverses: position,
                reason,
                evidence: evidence.evidence(),
                expires_at: expiry.instant(),
            };
            post!(
                client,
                write,
                propose_reversal,
                ProposeReversalRequest { propose_reversal: command }
            )
        }
        ReversalCommand::Approve(args) => {
            let command = pb::ApproveReversal { proposal: args.proposal };
            post!(
                client,
                args.write,
                approve_reversal,
                ApproveReversalRequest { approve_reversal: command }
            )
        }
    }
}

pub(crate) async fn proposal(args: ProposalArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        ProposalCommand::List { page } => {
            let parent = client.ledger()?;
            list!(client, page, list_proposals, ListProposalsRequest { parent: parent })
        }
        ProposalCommand::Refuse(args) => {
            let command = pb::RefuseProposal { proposal: args.of.proposal, reason: args.reason };
            post!(
                client,
                args.of.write,
                refuse_proposal,
                RefuseProposalRequest { refuse_proposal: command }
            )
        }
        ProposalCommand::Withdraw(args) => {
            let command = pb::WithdrawProposal { proposal: args.of.proposal, reason: args.reason };
            post!(
                client,
                args.of.write,
                withdraw_proposal,
                WithdrawProposalRequest { withdraw_proposal: command }
            )
        }
    }
}
