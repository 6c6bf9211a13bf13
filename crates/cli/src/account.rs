//! `bergulir account`: opens the accounts of cooperatives, suspends, resumes and closes them.

use bergulir_domain::text::Reason;
use bergulir_domain::{AccountId, CooperativeId, FundId};
use bergulir_proto::pb;
use clap::{Args, Subcommand};

use crate::choices::AccountState;
use crate::client::{Client, ClientArgs, FreshArgs, PageArgs, WriteArgs, ask, list, post};
use crate::failure::Failure;
use crate::papers::{BankAccountArgs, EvidenceArgs, ExpiryArgs, ProposedArgs};
use crate::parse;

/// Open accounts, suspend, resume and close them, and change their bank accounts
#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: AccountCommand,
}

#[derive(Debug, Subcommand)]
enum AccountCommand {
    /// Open a cooperative's account in a fund
    ///
    /// Example:
    ///   bergulir account open acct-1 --fund dana-2026 --coop coop-1 --bank BJB \
    ///     --bank-account 0012345678 --holder "Koperasi Desa Merah Putih Cangkudu"
    #[command(verbatim_doc_comment)]
    Open {
        #[command(flatten)]
        write: WriteArgs,
        /// The new account
        #[arg(value_parser = parse::checked::<AccountId>)]
        account: String,
        /// The fund
        #[arg(long, value_parser = parse::checked::<FundId>)]
        fund: String,
        /// Whose it is
        #[arg(long, value_name = "COOPERATIVE", value_parser = parse::checked::<CooperativeId>)]
        coop: String,
        #[command(flatten)]
        bank: BankAccountArgs,
    },
    /// Stop loans and disbursements of an account
    Suspend(ReasonedArgs),
    /// Let a suspended account borrow again
    Resume(ReasonedArgs),
    /// Close an account for good; only at zero
    Close(ReasonedArgs),
    /// Propose to tie an open account to another bank account (usulan ganti rekening bank)
    ///
    /// Example:
    ///   bergulir account propose-bank-account acct-1 --fund dana-2026 --bank BJB \
    ///     --bank-account 0087654321 --holder "Koperasi Desa Merah Putih Cangkudu" \
    ///     --reason "old account closed" --evidence letters/7 --evidence-digest HEX
    #[command(verbatim_doc_comment)]
    ProposeBankAccount {
        #[command(flatten)]
        of: ReasonedArgs,
        #[command(flatten)]
        bank: BankAccountArgs,
        #[command(flatten)]
        evidence: EvidenceArgs,
        #[command(flatten)]
        expiry: ExpiryArgs,
    },
    /// Approve a proposed bank account; by another person than its maker
    ApproveBankAccount(ProposedArgs),
    /// Show one account
    Show {
        #[command(flatten)]
        fresh: FreshArgs,
        /// The account
        #[arg(value_parser = parse::checked::<AccountId>)]
        account: String,
        /// The fund
        #[arg(long, value_parser = parse::checked::<FundId>)]
        fund: String,
    },
    /// List the accounts of a fund
    List {
        #[command(flatten)]
        page: PageArgs,
        /// The fund
        #[arg(long, value_parser = parse::checked::<FundId>)]
        fund: String,
        /// Only accounts in this state
        #[arg(long)]
        state: Option<AccountState>,
    },
}

/// An account and a reason.
#[derive(Debug, Clone, Args)]
struct ReasonedArgs {
    #[command(flatten)]
    write: WriteArgs,
    /// The account
    #[arg(value_parser = parse::checked::<AccountId>)]
    account: String,
    /// The fund
    #[arg(long, value_parser = parse::checked::<FundId>)]
    fund: String,
    /// Why
    #[arg(long, value_parser = parse::checked::<Reason>)]
    reason: String,
}

pub(crate) async fn run(args: AccountArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    match args.command {
        AccountCommand::Open { write, account, fund, coop, bank } => {
            let command = pb::OpenAccount {
                fund,
                account,
                cooperative: coop,
                bank_account: Some(bank.account()),
                holder: bank.holder,
            };
            post!(client, write, open_account, OpenAccountRequest { open_account: command })
        }
        AccountCommand::Suspend(args) => {
            let command =
                pb::SuspendAccount { fund: args.fund, account: args.account, reason: args.reason };
            post!(
                client,
                args.write,
                suspend_account,
                SuspendAccountRequest { suspend_account: command }
            )
        }
        AccountCommand::Resume(args) => {
            let command =
                pb::ResumeAccount { fund: args.fund, account: args.account, reason: args.reason };
            post!(
                client,
                args.write,
                resume_account,
                ResumeAccountRequest { resume_account: command }
            )
        }
        AccountCommand::Close(args) => {
            let command =
                pb::CloseAccount { fund: args.fund, account: args.account, reason: args.reason };
            post!(client, args.write, close_account, CloseAccountRequest { close_account: command })
        }
        AccountCommand::ProposeBankAccount { of, bank, evidence, expiry } => {
            let command = pb::ProposeBankAccountChange {
                fund: of.fund,
                account: of.account,
                bank_account: Some(bank.account()),
                holder: bank.holder,
                reason: of.reason,
                evidence: evidence.evidence(),
                expires_at: expiry.instant(),
            };
            post!(
                client,
                of.write,
                propose_bank_account_change,
                ProposeBankAccountChangeRequest { propose_bank_account_change: command }
            )
        }
        AccountCommand::ApproveBankAccount(args) => {
            let command = pb::ApproveBankAccountChange { proposal: args.proposal };
            post!(
                client,
                args.write,
                approve_bank_account_change,
                ApproveBankAccountChangeRequest { approve_bank_account_change: command }
            )
        }
        AccountCommand::Show { fresh, account, fund } => {
            let request = pb::GetAccountRequest {
                name: client.name(&format!("funds/{fund}/accounts/{account}"))?,
                min_position: fresh.min_position,
            };
            ask!(client, queries, get_account, request)
        }
        AccountCommand::List { page, fund, state } => {
            let parent = client.name(&format!("funds/{fund}"))?;
            let state = state.map_or(0, AccountState::wire);
            list!(client, page, list_accounts, ListAccountsRequest { parent: parent, state: state })
        }
    }
}
