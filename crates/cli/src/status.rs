//! `bergulir status`: how a server and its ledgers are.

use bergulir_proto::pb;
use clap::Args;
use serde_json::{Value, json};
use tonic::Code;

use crate::client::{Client, ClientArgs};
use crate::failure::Failure;
use crate::output::{self, Page, count};

/// Show how a server and its ledgers are
///
/// For each ledger: whether it takes commands and if not, why; its records; how many of them balances,
/// trails and the index do not reflect yet; and how many no signed checkpoint covers yet. Exit code 0: all
/// take commands; 1: some do not; 2: no server answers.
///
/// Example:
///   bergulir status --address 127.0.0.1:7447
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    client: ClientArgs,
}

/// One ledger.
struct Standing {
    ledger: String,
    records: u64,
    /// Records that are not projected yet; `None` if nothing can be asked of it.
    behind: Option<u64>,
    /// Records that the newest checkpoint does not cover; `None` if there is no checkpoint.
    unsigned: Option<u64>,
    /// The same of the newest that enough witnesses stand for; `None` if there is none.
    unwitnessed: Option<u64>,
    recorded_at: Option<String>,
    read_only: Option<String>,
}

pub(crate) async fn run(args: StatusArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let mut ledgers = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = pb::ListLedgersRequest { page_size: 1_000, page_token };
        let answer = client.queries().list_ledgers(client.question(request)).await;
        let answer = answer.map_err(|status| Failure::of_query(&status))?.into_inner();
        for ledger in answer.ledgers {
            if args.client.ledger.as_ref().is_none_or(|id| ledger.name == format!("ledgers/{id}")) {
                ledgers.push(standing(&client, ledger).await?);
            }
        }
        page_token = answer.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if let (true, Some(id)) = (ledgers.is_empty(), &args.client.ledger) {
        return Err(Failure::Input(format!("the server has no ledger {id}")));
    }
    if json {
        let all = ledgers.iter().map(as_json).collect::<Value>();
        let serving = ledgers.iter().all(|ledger| ledger.read_only.is_none());
        output::line(json!({"serving": serving, "ledgers": all}))?;
    } else {
        show(&ledgers)?;
    }
    if ledgers.iter().all(|ledger| ledger.read_only.is_none()) {
        Ok(())
    } else {
        Err(Failure::Invalid)
    }
}

async fn standing(client: &Client, ledger: pb::Ledger) -> Result<Standing, Failure> {
    let mut standing = Standing {
        ledger: ledger.name.clone(),
        records: ledger.log_size,
        behind: None,
        unsigned: None,
        unwitnessed: None,
        recorded_at: ledger.head_recorded_at.as_ref().map(ToString::to_string),
        read_only: ledger.read_only_reason,
    };
    let request = pb::GetHeadRequest { ledger: ledger.name.clone() };
    match client.log().get_head(client.question(request)).await {
        Ok(head) => {
            let head = head.into_inner();
            standing.records = head.log_size;
            standing.behind = Some(head.log_size.saturating_sub(head.projected_size));
        }
        // It is not open, which was said.
        Err(_) if standing.read_only.is_some() => return Ok(standing),
        Err(status) => return Err(Failure::of_query(&status)),
    }
    let request = pb::GetCheckpointRequest { ledger: ledger.name, ..Default::default() };
    match client.log().get_checkpoint(client.question(request)).await {
        Ok(answer) => {
            let answer = answer.into_inner();
            let uncovered = |checkpoint: Option<pb::Checkpoint>| {
                Some(standing.records.saturating_sub(checkpoint?.log_size))
            };
            standing.unsigned = uncovered(answer.checkpoint);
            standing.unwitnessed = uncovered(answer.witnessed);
        }
        // There is none, for want of a key; or it is read-only and signs nothing.
        Err(status) if status.code() == Code::FailedPrecondition => {}
        Err(_) if standing.read_only.is_some() => {}
        Err(status) => return Err(Failure::of_query(&status)),
    }
    Ok(standing)
}

fn as_json(standing: &Standing) -> Value {
    json!({
        "ledger": standing.ledger,
        "takesCommands": standing.read_only.is_none(),
        "readOnlyReason": standing.read_only,
        "records": standing.records,
        "recordsNotProjected": standing.behind,
        "recordsNotSigned": standing.unsigned,
        "recordsNotWitnessed": standing.unwitnessed,
        "lastRecordedAt": standing.recorded_at,
    })
}

fn show(ledgers: &[Standing]) -> Result<(), Failure> {
    let mut page = Page::default();
    let number = |number: Option<u64>| number.map_or_else(|| "-".to_owned(), count);
    let rows = ledgers.iter().map(|standing| {
        vec![
            standing.ledger.clone(),
            if standing.read_only.is_none() { "takes commands" } else { "READ-ONLY" }.to_owned(),
            count(standing.records),
            number(standing.behind),
            number(standing.unsigned),
            number(standing.unwitnessed),
        ]
    });
    let header = ["ledger", "state", "records", "not projected", "not signed", "not witnessed"];
    page.rows(&header, 2, rows);
    for standing in ledgers {
        if let Some(why) = &standing.read_only {
            page.line(format_args!("{} is read-only: {why}", standing.ledger));
        }
    }
    page.print()
}
