//! `bergulir restructuring`: a loan gets new terms, by two people.

use bergulir_domain::text::{Reason, Reference};
use bergulir_domain::{Date, LoanId};
use bergulir_proto::{date_to_wire, pb};
use clap::{Args, Subcommand};

use crate::choices::{Method, Part};
use crate::client::{Client, ClientArgs, WriteArgs, post};
use crate::failure::Failure;
use crate::papers::{EvidenceArgs, ExpiryArgs};
use crate::parse;

/// Give what is outstanding of a loan new terms (restrukturisasi)
///
/// One person proposes with the addendum to the contract, another approves; `proposal refuse` and
/// `proposal withdraw` end a proposal.
#[derive(Debug, Args)]
pub(crate) struct RestructuringArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: RestructuringCommand,
}

#[derive(Debug, Subcommand)]
enum RestructuringCommand {
    /// Propose new terms (usulan restrukturisasi)
    ///
    /// Example:
    ///   bergulir restructuring propose loan-1 --effective-from 2026-07-01 --rate 4 \
    ///     --method declining --tenor-months 48 --grace-months 6 --addendum ADD-1 \
    ///     --reason "harvest failed" --evidence addenda/1 --evidence-digest HEX
    #[command(verbatim_doc_comment)]
    Propose(Box<ProposeArgs>),
    /// Approve proposed terms; by another person than their maker
    Approve {
        #[command(flatten)]
        write: WriteArgs,
        /// The position of the record of the proposal
        #[arg(value_parser = parse::whole)]
        proposal: u64,
    },
}

/// Proposed terms.
#[derive(Debug, Clone, Args)]
struct ProposeArgs {
    #[command(flatten)]
    write: WriteArgs,
    /// The loan
    #[arg(value_parser = parse::checked::<LoanId>)]
    loan: String,
    /// The day from which they hold; tenor and grace are counted from it
    #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
    effective_from: Date,
    #[command(flatten)]
    terms: NewTermsArgs,
    /// The addendum to the contract
    #[arg(long, value_name = "REFERENCE", value_parser = parse::checked::<Reference>)]
    addendum: String,
    /// Why
    #[arg(long, value_parser = parse::checked::<Reason>)]
    reason: String,
    #[command(flatten)]
    evidence: EvidenceArgs,
    #[command(flatten)]
    expiry: ExpiryArgs,
}

/// The terms from then on.
#[derive(Debug, Clone, Args)]
struct NewTermsArgs {
    /// Interest in percent a year, such as 5 or 6.25
    #[arg(long, help_heading = "Terms", value_name = "PERCENT", value_parser = parse::rate)]
    rate: String,
    /// How interest is counted
    #[arg(long, help_heading = "Terms")]
    method: Method,
    /// Months to the last instalment, grace included
    #[arg(long, help_heading = "Terms", value_name = "MONTHS")]
    tenor_months: u32,
    /// Months at the start in which nothing is due
    #[arg(long, help_heading = "Terms", value_name = "MONTHS", default_value_t = 0)]
    grace_months: u32,
    /// The grace months bear interest
    #[arg(long, help_heading = "Terms")]
    grace_bears_interest: bool,
    /// In which order a payment is settled, separated by commas
    /// [default: late-fee,interest,principal]
    #[arg(long, help_heading = "Terms", value_name = "PART", value_delimiter = ',')]
    repayment_order: Vec<Part>,
}

impl NewTermsArgs {
    fn terms(self) -> pb::LoanTerms {
        pb::LoanTerms {
            rate_percent: self.rate,
            method: self.method.wire(),
            tenor_months: self.tenor_months,
            grace_months: self.grace_months,
            grace_bears_interest: self.grace_bears_interest,
            repayment_order: self.repayment_order.iter().map(|part| part.wire()).collect(),
            // The fund's terms say it.
            relend_income: false,
        }
    }
}

pub(crate) async fn run(args: RestructuringArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        RestructuringCommand::Propose(args) => {
            let ProposeArgs {
                write,
                loan,
                effective_from,
                terms,
                addendum,
                reason,
                evidence,
                expiry,
            } = *args;
            let command = pb::ProposeRestructuring {
                loan,
                effective_from: Some(date_to_wire(effective_from)),
                terms: Some(terms.terms()),
                addendum_reference: addendum,
                reason,
                evidence: evidence.evidence(),
                expires_at: expiry.instant(),
            };
            post!(
                client,
                write,
                propose_restructuring,
                ProposeRestructuringRequest { propose_restructuring: command }
            )
        }
        RestructuringCommand::Approve { write, proposal } => {
            let command = pb::ApproveRestructuring { proposal };
            post!(
                client,
                write,
                approve_restructuring,
                ApproveRestructuringRequest { approve_restructuring: command }
            )
        }
    }
}
