//! `bergulir disbursement`: money goes out when a second person has approved it.

use bergulir_proto::pb;
use clap::{Args, Subcommand};

use crate::client::{Client, ClientArgs, WriteArgs, post};
use crate::failure::Failure;
use crate::papers::{BookingArgs, ExpiryArgs, GiftArgs, ProposedArgs, TrancheArgs, amount};

/// Pay out by two people: one proposes, another approves once the bank has paid
///
/// `proposal refuse` and `proposal withdraw` end what is not to be paid.
#[derive(Debug, Args)]
pub(crate) struct DisbursementArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: DisbursementCommand,
}

#[derive(Debug, Subcommand)]
enum DisbursementCommand {
    /// Propose a tranche of an approved loan (usulan pencairan)
    ///
    /// Example:
    ///   bergulir disbursement propose loan-1 --amount 100000000
    #[command(verbatim_doc_comment)]
    Propose {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        tranche: TrancheArgs,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Propose a grant (usulan hibah)
    ProposeGrant {
        #[command(flatten)]
        write: WriteArgs,
        #[command(flatten)]
        gift: GiftArgs,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed tranche or grant that the bank paid; by another person than its maker
    Approve {
        #[command(flatten)]
        of: ProposedArgs,
        #[command(flatten)]
        booking: BookingArgs,
    },
}

pub(crate) async fn run(args: DisbursementArgs, json: bool) -> Result<(), Failure> {
    use pb::propose_disbursement::Payee;
    let client = Client::connect(&args.client, json).await?;
    let (write, payee, paid, expiry) = match args.command {
        DisbursementCommand::Propose { write, tranche, expiry } => {
            (write, Payee::Loan(tranche.loan), tranche.amount, expiry)
        }
        DisbursementCommand::ProposeGrant { write, gift, expiry } => {
            let GiftArgs { account, fund, amount, reference } = gift;
            let grant = pb::ProposedGrant { fund, account, reference };
            (write, Payee::Grant(grant), amount, expiry)
        }
        DisbursementCommand::Approve { of, booking } => {
            let command = pb::ApproveDisbursement {
                proposal: of.proposal,
                bank_reference: Some(booking.reference()),
                value_date: Some(booking.value_date()),
            };
            return post!(
                client,
                of.write,
                approve_disbursement,
                ApproveDisbursementRequest { approve_disbursement: command }
            );
        }
    };
    let command = pb::ProposeDisbursement {
        payee: Some(payee),
        amount: Some(amount(paid)),
        expires_at: expiry.instant(),
    };
    post!(
        client,
        write,
        propose_disbursement,
        ProposeDisbursementRequest { propose_disbursement: command }
    )
}
