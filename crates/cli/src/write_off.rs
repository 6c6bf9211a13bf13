//! `bergulir write-off`: principal is given up by two people, and what comes back of it.

use bergulir_domain::text::Reason;
use bergulir_domain::{Amount, Date, LoanId};
use bergulir_proto::{date_to_wire, pb};
use clap::{Args, Subcommand};

use crate::choices::WriteOffKind;
use crate::client::{Client, ClientArgs, WriteArgs, post};
use crate::failure::Failure;
use crate::papers::{BookingArgs, EvidenceArgs, ExpiryArgs, amount};
use crate::parse;

/// Write principal off (penghapusan), and record what comes back of it
///
/// One person proposes with the papers, another approves; `proposal refuse` and `proposal withdraw`
/// end a proposal, and `reversal` undoes a write-off or a recovery.
#[derive(Debug, Args)]
pub(crate) struct WriteOffArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: WriteOffCommand,
}

#[derive(Debug, Subcommand)]
enum WriteOffCommand {
    /// Propose to write principal of a loan off (usulan penghapusan)
    ///
    /// Example:
    ///   bergulir write-off propose loan-1 --amount 40000000 --kind conditional \
    ///     --reason "dissolved" --evidence decrees/7 --evidence-digest HEX
    #[command(verbatim_doc_comment)]
    Propose {
        #[command(flatten)]
        write: WriteArgs,
        /// The loan
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
        /// How much
        #[arg(long, value_parser = parse::amount)]
        amount: Amount,
        /// Whether the claim stays
        #[arg(long)]
        kind: WriteOffKind,
        /// Why
        #[arg(long, value_parser = parse::checked::<Reason>)]
        reason: String,
        #[command(flatten)]
        evidence: EvidenceArgs,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed write-off; by another person than its maker
    Approve {
        #[command(flatten)]
        write: WriteArgs,
        /// The position of the record of the proposal
        #[arg(value_parser = parse::whole)]
        proposal: u64,
        /// The day on which it counts: that of the decision
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
        value_date: Date,
    },
    /// Record what came back of what was written off conditionally (penerimaan kembali)
    Recover {
        #[command(flatten)]
        write: WriteArgs,
        /// The loan
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
        /// How much
        #[arg(long, value_parser = parse::amount)]
        amount: Amount,
        #[command(flatten)]
        booking: BookingArgs,
    },
}

pub(crate) async fn run(args: WriteOffArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        WriteOffCommand::Propose { write, loan, amount: much, kind, reason, evidence, expiry } => {
            let command = pb::ProposeWriteOff {
                loan,
                amount: Some(amount(much)),
                kind: kind.wire(),
                reason,
                evidence: evidence.evidence(),
                expires_at: expiry.instant(),
            };
            post!(
                client,
                write,
                propose_write_off,
                ProposeWriteOffRequest { propose_write_off: command }
            )
        }
        WriteOffCommand::Approve { write, proposal, value_date } => {
            let value_date = Some(date_to_wire(value_date));
            let command = pb::ApproveWriteOff { proposal, value_date };
            post!(
                client,
                write,
                approve_write_off,
                ApproveWriteOffRequest { approve_write_off: command }
            )
        }
        WriteOffCommand::Recover { write, loan, amount: much, booking } => {
            let command = pb::RecordRecovery {
                loan,
                amount: Some(amount(much)),
                bank_reference: Some(booking.reference()),
                value_date: Some(booking.value_date()),
            };
            post!(
                client,
                write,
                record_recovery,
                RecordRecoveryRequest { record_recovery: command }
            )
        }
    }
}
