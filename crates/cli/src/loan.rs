//! `bergulir loan`: proposes loans, and approves, refuses and withdraws them.

use bergulir_domain::id::OfficerId;
use bergulir_domain::text::{Reason, Reference};
use bergulir_domain::{AccountId, Amount, FundId, LoanId};
use bergulir_proto::pb;
use clap::{Args, Subcommand};

use crate::choices::LoanState;
use crate::client::{Client, ClientArgs, FreshArgs, PageArgs, WriteArgs, ask, list, post};
use crate::failure::Failure;
use crate::papers::{ExpiryArgs, amount};
use crate::parse;

/// Propose loans; approve, refuse and withdraw them
#[derive(Debug, Args)]
pub(crate) struct LoanArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: LoanCommand,
}

#[derive(Debug, Subcommand)]
enum LoanCommand {
    /// Propose a loan to an open account
    ///
    /// Example:
    ///   bergulir loan propose loan-1 --fund dana-2026 --account acct-1 --amount 100000000 \
    ///     --contract SPK-001 --chair ketua-1 --treasurer bendahara-1
    #[command(verbatim_doc_comment)]
    Propose {
        #[command(flatten)]
        write: WriteArgs,
        /// The new loan; its id is unique in the ledger
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
        /// The fund that lends
        #[arg(long, value_parser = parse::checked::<FundId>)]
        fund: String,
        /// The account that borrows
        #[arg(long, value_parser = parse::checked::<AccountId>)]
        account: String,
        /// How much, such as 100000000
        #[arg(long, value_parser = parse::amount)]
        amount: Amount,
        /// The contract
        #[arg(long, value_name = "REFERENCE", value_parser = parse::checked::<Reference>)]
        contract: String,
        /// The chair who signs, in office now
        #[arg(long, value_parser = parse::checked::<OfficerId>)]
        chair: String,
        /// The treasurer who signs, in office now
        #[arg(long, value_parser = parse::checked::<OfficerId>)]
        treasurer: String,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed loan; by another person than its maker
    Approve {
        #[command(flatten)]
        write: WriteArgs,
        /// The loan
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
    },
    /// Refuse a proposed loan; by another person than its maker
    Refuse {
        #[command(flatten)]
        write: WriteArgs,
        /// The loan
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
        /// Why
        #[arg(long, value_parser = parse::checked::<Reason>)]
        reason: String,
    },
    /// Take a proposed loan back; by its maker
    Withdraw {
        #[command(flatten)]
        write: WriteArgs,
        /// The loan
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
        /// Why
        #[arg(long, value_parser = parse::checked::<Reason>)]
        reason: String,
    },
    /// Show one loan
    Show {
        #[command(flatten)]
        fresh: FreshArgs,
        /// The loan
        #[arg(value_parser = parse::checked::<LoanId>)]
        loan: String,
    },
    /// List the loans of a fund or an account
    List {
        #[command(flatten)]
        page: PageArgs,
        /// The fund
        #[arg(long, value_parser = parse::checked::<FundId>)]
        fund: String,
        /// Only loans of this account
        #[arg(long, value_parser = parse::checked::<AccountId>)]
        account: Option<String>,
        /// Only loans in this state
        #[arg(long)]
        state: Option<LoanState>,
    },
}

pub(crate) async fn run(args: LoanArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        LoanCommand::Propose {
            write,
            loan,
            fund,
            account,
            amount: principal,
            contract,
            chair,
            treasurer,
            expiry,
        } => {
            let command = pb::ProposeLoan {
                fund,
                account,
                loan,
                principal: Some(amount(principal)),
                contract_reference: contract,
                chair,
                treasurer,
                expires_at: expiry.instant(),
            };
            post!(client, write, propose_loan, ProposeLoanRequest { propose_loan: command })
        }
        LoanCommand::Approve { write, loan } => {
            let command = pb::ApproveLoan { loan };
            post!(client, write, approve_loan, ApproveLoanRequest { approve_loan: command })
        }
        LoanCommand::Refuse { write, loan, reason } => {
            let command = pb::RefuseLoan { loan, reason };
            post!(client, write, refuse_loan, RefuseLoanRequest { refuse_loan: command })
        }
        LoanCommand::Withdraw { write, loan, reason } => {
            let command = pb::WithdrawLoan { loan, reason };
            post!(client, write, withdraw_loan, WithdrawLoanRequest { withdraw_loan: command })
        }
        LoanCommand::Show { fresh, loan } => {
            let request = pb::GetLoanRequest {
                name: client.name(&format!("loans/{loan}"))?,
                min_position: fresh.min_position,
            };
            ask!(client, queries, get_loan, request)
        }
        LoanCommand::List { page, fund, account, state } => {
            let parent = client.name(&match account {
                Some(account) => format!("funds/{fund}/accounts/{account}"),
                None => format!("funds/{fund}"),
            })?;
            let state = state.map_or(0, LoanState::wire);
            list!(client, page, list_loans, ListLoansRequest { parent: parent, state: state })
        }
    }
}
