//! `bergulir ledger`: opens, reads and continues ledgers.

use bergulir_domain::ledger::{RULES_VERSIONS, Region};
use bergulir_domain::text::VerifierKey;
use bergulir_proto::pb;
use clap::{Args, Subcommand};

use crate::client::{Client, ClientArgs, FreshArgs, PageArgs, WriteArgs, ask, post};
use crate::continuation::{self, ContinueArgs};
use crate::failure::Failure;
use crate::{output, parse};

/// Open and read ledgers
#[derive(Debug, Args)]
pub(crate) struct LedgerArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, Subcommand)]
enum LedgerCommand {
    #[command(flatten)]
    Served(ServedCommand),
    /// After a loss, go on with the records that survive, as a new ledger under another origin
    ///
    /// With no server running on --data. The old ledger is kept as it is, for reading; the new one
    /// has its records, balances, request ids and bank references, and one record more, which says
    /// what was lost. For when the newest log cannot be restored.
    ///
    /// Example:
    ///   bergulir ledger continue --data ./data --ledger tangerang --as tangerang-2 \
    ///     --anchor /mnt/anchor --principal petugas-1
    #[command(verbatim_doc_comment)]
    Continue(ContinueArgs),
}

/// What is asked of a server.
#[derive(Debug, Subcommand)]
enum ServedCommand {
    /// Open the ledger that --ledger names
    ///
    /// Example:
    ///   bergulir ledger open --ledger tangerang --principal petugas-1 \
    ///     --origin ledger.example.go.id/tangerang --region 36.03
    #[command(verbatim_doc_comment)]
    Open {
        #[command(flatten)]
        write: WriteArgs,
        /// Its name everywhere, for ever: a URL without a scheme
        #[arg(long, value_parser = parse::origin)]
        origin: String,
        /// The key that checkpoints are checked with
        #[arg(long, value_parser = parse::checked::<VerifierKey>)]
        verifier_key: Option<String>,
        /// The region whose villages it serves, such as 36.03 [default: the nation]
        #[arg(
            long,
            default_value = "",
            hide_default_value = true,
            value_parser = parse::checked::<Region>
        )]
        region: String,
        /// The currency of all its money
        #[arg(long, default_value = "IDR")]
        currency: String,
        /// Where an instant becomes a date: minutes east of UTC; 420 is WIB
        #[arg(long, default_value_t = 420, allow_negative_numbers = true)]
        utc_offset_minutes: i32,
        /// The rules in force
        #[arg(long, default_value_t = *RULES_VERSIONS.end())]
        rules_version: u32,
    },
    /// Switch to newer rules
    AdoptRules {
        #[command(flatten)]
        write: WriteArgs,
        /// The version to switch to
        version: u32,
    },
    /// Bind all balances and the whole state into the chain now
    Seal,
    /// Show one ledger
    Show {
        #[command(flatten)]
        fresh: FreshArgs,
        /// The ledger [default: the one of --ledger]
        #[arg(value_parser = parse::ledger)]
        id: Option<String>,
    },
    /// List the ledgers of the node
    List {
        #[command(flatten)]
        page: PageArgs,
    },
}

pub(crate) fn run(args: LedgerArgs, json: bool) -> Result<(), Failure> {
    let LedgerArgs { client, command } = args;
    match command {
        LedgerCommand::Continue(args) => {
            continuation::run(args, client.ledger.as_deref(), client.principal.as_deref(), json)
        }
        LedgerCommand::Served(command) => {
            crate::runtime()?.block_on(ask_server(&client, command, json))
        }
    }
}

async fn ask_server(
    client: &ClientArgs,
    command: ServedCommand,
    json: bool,
) -> Result<(), Failure> {
    let client = Client::connect(client, json).await?;
    match command {
        ServedCommand::Open {
            write,
            origin,
            verifier_key,
            region,
            currency,
            utc_offset_minutes,
            rules_version,
        } => {
            let command = pb::OpenLedger {
                origin,
                verifier_key,
                region,
                currency_code: currency,
                utc_offset_minutes: Some(utc_offset_minutes),
                rules_version,
            };
            post!(client, write, open_ledger, OpenLedgerRequest { open_ledger: command })
        }
        ServedCommand::AdoptRules { write, version } => {
            let command = pb::AdoptRules { version };
            post!(client, write, adopt_rules, AdoptRulesRequest { adopt_rules: command })
        }
        ServedCommand::Seal => {
            let ledger = client.ledger()?;
            let request = client.command(pb::CreateSealRequest { ledger })?;
            client.answer_query(client.commands().create_seal(request)).await
        }
        ServedCommand::Show { fresh, id } => {
            let name = match id {
                Some(id) => format!("ledgers/{id}"),
                None => client.ledger()?,
            };
            let request = pb::GetLedgerRequest { name, min_position: fresh.min_position };
            ask!(client, queries, get_ledger, request)
        }
        ServedCommand::List { page } => list(&client, &page).await,
    }
}

async fn list(client: &Client, page: &PageArgs) -> Result<(), Failure> {
    let mut token = page.page_token.clone();
    loop {
        let request = client
            .question(pb::ListLedgersRequest { page_size: page.size(), page_token: token.clone() });
        let answer = client
            .queries()
            .list_ledgers(request)
            .await
            .map_err(|status| Failure::of_query(&status))?
            .into_inner();
        token.clone_from(&answer.next_page_token);
        output::answer(&answer, client.json)?;
        if token.is_empty() || !page.all() {
            return Ok(());
        }
    }
}
