//! `bergulir repay`: a borrower paid.

use bergulir_domain::money::Money;
use bergulir_domain::{Amount, LoanId};
use bergulir_proto::pb;
use clap::Args;

use crate::client::{Client, ClientArgs, WriteArgs, post};
use crate::failure::Failure;
use crate::papers::{BookingArgs, amount, part};
use crate::parse;

/// Record a payment of a borrower (angsuran), in parts that sum to it
///
/// Example:
///   bergulir repay loan-1 --amount 3484848 --to-principal 3030303 --to-interest 454545 \
///     --bank BJB --bank-reference TRF-0002 --value-date 2026-07-16
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct RepayArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(flatten)]
    write: WriteArgs,
    /// The loan
    #[arg(value_parser = parse::checked::<LoanId>)]
    loan: String,
    /// The whole payment
    #[arg(long, value_parser = parse::amount)]
    amount: Amount,
    /// What lowers the outstanding principal (pokok)
    #[arg(long, visible_alias = "pokok", value_name = "AMOUNT", value_parser = parse::part)]
    to_principal: Option<Money>,
    /// What pays interest (jasa)
    #[arg(long, visible_alias = "jasa", value_name = "AMOUNT", value_parser = parse::part)]
    to_interest: Option<Money>,
    /// What pays late fees (denda)
    #[arg(long, visible_alias = "denda", value_name = "AMOUNT", value_parser = parse::part)]
    to_late_fee: Option<Money>,
    #[command(flatten)]
    booking: BookingArgs,
}

pub(crate) async fn run(args: RepayArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let command = pb::Repay {
        loan: args.loan,
        amount: Some(amount(args.amount)),
        principal: args.to_principal.map(part),
        interest: args.to_interest.map(part),
        late_fee: args.to_late_fee.map(part),
        bank_reference: Some(args.booking.reference()),
        value_date: Some(args.booking.value_date()),
    };
    post!(client, args.write, repay, RepayRequest { repay: command })
}
