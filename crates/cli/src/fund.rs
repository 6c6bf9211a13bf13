//! `bergulir fund`: opens funds, sets their terms, puts money in and takes it out.

use bergulir_domain::text::{Name, Reason, Reference};
use bergulir_domain::{Amount, Date, FundId, Money};
use bergulir_proto::{date_to_wire, pb};
use clap::{Args, Subcommand};

use crate::choices::{FundKind, Method, Part, Readiness, Source};
use crate::client::{Client, ClientArgs, FreshArgs, PageArgs, WriteArgs, ask, list, post};
use crate::failure::Failure;
use crate::papers::{BookingArgs, ExpiryArgs, ProposedArgs, amount, part};
use crate::parse;

/// Open funds, set their terms, allocate money and withdraw it, close their books
#[derive(Debug, Args)]
pub(crate) struct FundArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: FundCommand,
}

#[derive(Debug, Subcommand)]
enum FundCommand {
    /// Open a fund with its terms
    ///
    /// Example:
    ///   bergulir fund open dana-2026 --name "Dana Bergulir 2026" --opening-date 2026-01-02 \
    ///     --ceiling 3000000000 --rate 5 --method declining --tenor-months 36 --grace-months 3
    #[command(verbatim_doc_comment)]
    Open {
        #[command(flatten)]
        write: WriteArgs,
        /// The new fund
        #[arg(value_parser = parse::checked::<FundId>)]
        fund: String,
        /// Its name for people
        #[arg(long, value_parser = parse::checked::<Name>)]
        name: String,
        /// The day from which it exists: in the past or today
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
        opening_date: Date,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// Change a fund's terms from a day on
    ChangeTerms {
        #[command(flatten)]
        write: WriteArgs,
        /// The fund
        #[arg(value_parser = parse::checked::<FundId>)]
        fund: String,
        /// The first day of the new terms: today or later
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
        effective_from: Date,
        /// The decree or decision that changed them
        #[arg(long, value_parser = parse::checked::<Reference>)]
        reference: String,
        #[command(flatten)]
        terms: TermsArgs,
    },
    /// Put money into a fund (alokasi)
    Allocate {
        #[command(flatten)]
        write: WriteArgs,
        /// The fund
        #[arg(value_parser = parse::checked::<FundId>)]
        fund: String,
        /// How much, such as 5800000000
        #[arg(long, value_parser = parse::amount)]
        amount: Amount,
        /// Where it comes from
        #[arg(long)]
        source: Source,
        /// The decree or budget document
        #[arg(long, value_parser = parse::checked::<Reference>)]
        reference: String,
        #[command(flatten)]
        booking: BookingArgs,
    },
    /// Propose to take money of an allocation out of the fund
    ProposeWithdrawal {
        #[command(flatten)]
        write: WriteArgs,
        /// The fund
        #[arg(value_parser = parse::checked::<FundId>)]
        fund: String,
        /// The position of the record that allocated it
        #[arg(long, value_name = "POSITION", value_parser = parse::whole)]
        allocation: u64,
        /// How much of it goes back
        #[arg(long, value_parser = parse::amount)]
        amount: Amount,
        /// Why
        #[arg(long, value_parser = parse::checked::<Reason>)]
        reason: String,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed withdrawal; by another person than its maker
    ApproveWithdrawal {
        #[command(flatten)]
        of: ProposedArgs,
        #[command(flatten)]
        booking: BookingArgs,
    },
    /// Propose to close a fund's books through a day (usulan tutup buku)
    ///
    /// Example:
    ///   bergulir fund propose-close dana-2026 --through 2026-12-31 --reference "LAP 12/2026"
    #[command(verbatim_doc_comment)]
    ProposeClose {
        #[command(flatten)]
        write: WriteArgs,
        /// The fund
        #[arg(value_parser = parse::checked::<FundId>)]
        fund: String,
        /// The last day of the period: before today, after the last closed one
        #[arg(long, value_name = "YYYY-MM-DD", value_parser = parse::date)]
        through: Date,
        /// The report that was made of it
        #[arg(long, value_parser = parse::checked::<Reference>)]
        reference: String,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed close, for good; by another person than its maker
    ApproveClose(ProposedArgs),
    /// Show one fund with its terms and its money
    Show {
        #[command(flatten)]
        fresh: FreshArgs,
        /// The fund
        #[arg(value_parser = parse::checked::<FundId>)]
        fund: String,
    },
    /// List the funds of a ledger
    List {
        #[command(flatten)]
        page: PageArgs,
    },
}

/// What a fund gives and under which terms.
#[derive(Debug, Clone, Args)]
struct TermsArgs {
    /// What it gives
    #[arg(long, help_heading = "Terms", default_value = "loan")]
    kind: FundKind,
    /// The most that one cooperative may have
    #[arg(long, help_heading = "Terms", value_name = "AMOUNT", value_parser = parse::amount)]
    ceiling: Amount,
    /// What must be confirmed before an account opens, separated by commas
    #[arg(long, help_heading = "Terms", value_name = "ITEM", value_delimiter = ',')]
    require: Vec<Readiness>,
    /// How many days a proposal waits for its second person [default: 30]
    #[arg(long, help_heading = "Terms", value_name = "DAYS")]
    proposal_validity_days: Option<u32>,
    /// A disbursement of more than this needs a second person; 0: each does [default: none does]
    #[arg(long, help_heading = "Terms", value_name = "AMOUNT", value_parser = parse::part)]
    disbursement_approval_above: Option<Money>,
    /// Interest in percent a year, such as 5 or 6.25
    #[arg(
        long,
        help_heading = "Terms",
        value_name = "PERCENT",
        value_parser = parse::rate,
        required_if_eq("kind", "loan")
    )]
    rate: Option<String>,
    /// How interest is counted
    #[arg(long, help_heading = "Terms", required_if_eq("kind", "loan"))]
    method: Option<Method>,
    /// Months from disbursement to the last instalment, grace included
    #[arg(long, help_heading = "Terms", value_name = "MONTHS", required_if_eq("kind", "loan"))]
    tenor_months: Option<u32>,
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
    /// Interest and late fees that come in may be lent again
    #[arg(long, help_heading = "Terms")]
    relend_income: bool,
}

impl TermsArgs {
    fn terms(&self) -> pb::Terms {
        let loan = match self.kind {
            FundKind::Grant => None,
            FundKind::Loan => Some(pb::LoanTerms {
                rate_percent: self.rate.clone().unwrap_or_default(),
                method: self.method.map_or(0, Method::wire),
                tenor_months: self.tenor_months.unwrap_or_default(),
                grace_months: self.grace_months,
                grace_bears_interest: self.grace_bears_interest,
                repayment_order: self.repayment_order.iter().map(|part| part.wire()).collect(),
                relend_income: self.relend_income,
            }),
        };
        pb::Terms {
            kind: self.kind.wire(),
            ceiling: Some(amount(self.ceiling)),
            required_readiness: self.require.iter().map(|item| item.wire()).collect(),
            proposal_validity_days: self.proposal_validity_days,
            disbursement_approval_above: self.disbursement_approval_above.map(part),
            loan,
        }
    }
}

pub(crate) async fn run(args: FundArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        FundCommand::Open { write, fund, name, opening_date, terms } => {
            let command = pb::OpenFund {
                fund,
                display_name: name,
                opening_date: Some(date_to_wire(opening_date)),
                terms: Some(terms.terms()),
            };
            post!(client, write, open_fund, OpenFundRequest { open_fund: command })
        }
        FundCommand::ChangeTerms { write, fund, effective_from, reference, terms } => {
            let command = pb::ChangeTerms {
                fund,
                effective_from: Some(date_to_wire(effective_from)),
                terms: Some(terms.terms()),
                reference,
            };
            post!(client, write, change_terms, ChangeTermsRequest { change_terms: command })
        }
        FundCommand::Allocate { write, fund, amount: allocated, source, reference, booking } => {
            let command = pb::AllocateFund {
                fund,
                amount: Some(amount(allocated)),
                source: source.wire(),
                reference,
                bank_reference: Some(booking.reference()),
                value_date: Some(booking.value_date()),
            };
            post!(client, write, allocate_fund, AllocateFundRequest { allocate_fund: command })
        }
        FundCommand::ProposeWithdrawal {
            write,
            fund,
            allocation,
            amount: withdrawn,
            reason,
            expiry,
        } => {
            let command = pb::ProposeAllocationWithdrawal {
                fund,
                allocation,
                amount: Some(amount(withdrawn)),
                reason,
                expires_at: expiry.instant(),
            };
            post!(
                client,
                write,
                propose_allocation_withdrawal,
                ProposeAllocationWithdrawalRequest { propose_allocation_withdrawal: command }
            )
        }
        FundCommand::ApproveWithdrawal { of, booking } => {
            let command = pb::ApproveAllocationWithdrawal {
                proposal: of.proposal,
                bank_reference: Some(booking.reference()),
                value_date: Some(booking.value_date()),
            };
            post!(
                client,
                of.write,
                approve_allocation_withdrawal,
                ApproveAllocationWithdrawalRequest { approve_allocation_withdrawal: command }
            )
        }
        FundCommand::ProposeClose { write, fund, through, reference, expiry } => {
            let command = pb::ProposePeriodClose {
                fund,
                through: Some(date_to_wire(through)),
                reference,
                expires_at: expiry.instant(),
            };
            post!(
                client,
                write,
                propose_period_close,
                ProposePeriodCloseRequest { propose_period_close: command }
            )
        }
        FundCommand::ApproveClose(args) => {
            let command = pb::ApprovePeriodClose { proposal: args.proposal };
            post!(
                client,
                args.write,
                approve_period_close,
                ApprovePeriodCloseRequest { approve_period_close: command }
            )
        }
        FundCommand::Show { fresh, fund } => {
            let request = pb::GetFundRequest {
                name: client.name(&format!("funds/{fund}"))?,
                min_position: fresh.min_position,
            };
            ask!(client, queries, get_fund, request)
        }
        FundCommand::List { page } => {
            let parent = client.ledger()?;
            list!(client, page, list_funds, ListFundsRequest { parent: parent })
        }
    }
}
