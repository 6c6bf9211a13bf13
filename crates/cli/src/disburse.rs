//! `bergulir disburse`, `grant` and `return`: money goes out, or comes back from the bank.

use bergulir_proto::pb;
use clap::Args;

use crate::client::{Client, ClientArgs, WriteArgs, post};
use crate::failure::Failure;
use crate::papers::{BookingArgs, GiftArgs, TrancheArgs, amount};
use crate::parse;

/// Pay out a tranche of an approved loan (pencairan)
///
/// Example:
///   bergulir disburse loan-1 --amount 100000000 --bank BJB --bank-reference TRF-0001 \
///     --value-date 2026-03-16
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct DisburseArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    tranche: TrancheArgs,
    #[command(flatten)]
    booking: BookingArgs,
}

/// Pay out a grant (hibah), which creates no receivable
#[derive(Debug, Args)]
pub(crate) struct GrantArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    write: WriteArgs,
    #[command(flatten)]
    gift: GiftArgs,
    #[command(flatten)]
    booking: BookingArgs,
}

/// Record that the bank sent a disbursement or a grant back, whole
#[derive(Debug, Args)]
pub(crate) struct ReturnArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// The position of the record of the tranche or grant
    #[arg(value_parser = parse::whole)]
    disbursement: u64,
    #[command(flatten)]
    booking: BookingArgs,
}

pub(crate) async fn disburse(args: DisburseArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let command = pb::Disburse {
        loan: args.tranche.loan,
        amount: Some(amount(args.tranche.amount)),
        bank_reference: Some(args.booking.reference()),
        value_date: Some(args.booking.value_date()),
    };
    post!(client, args.write, disburse, DisburseRequest { disburse: command })
}

pub(crate) async fn grant(args: GrantArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let command = pb::DisburseGrant {
        fund: args.gift.fund,
        account: args.gift.account,
        amount: Some(amount(args.gift.amount)),
        reference: args.gift.reference,
        bank_reference: Some(args.booking.reference()),
        value_date: Some(args.booking.value_date()),
    };
    post!(client, args.write, disburse_grant, DisburseGrantRequest { disburse_grant: command })
}

pub(crate) async fn take_back(args: ReturnArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let command = pb::ReturnDisbursement {
        disbursement: args.disbursement,
        bank_reference: Some(args.booking.reference()),
        value_date: Some(args.booking.value_date()),
    };
    post!(
        client,
        args.write,
        return_disbursement,
        ReturnDisbursementRequest { return_disbursement: command }
    )
}
