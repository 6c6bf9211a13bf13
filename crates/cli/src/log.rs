//! `bergulir log`: the records as they are stored and hashed.

use bergulir_proto::pb;
use clap::{Args, Subcommand};
use tonic::{Status, Streaming};

use crate::client::{Client, ClientArgs, ask};
use crate::failure::Failure;
use crate::output::{self, hex, instant};
use crate::{parse, words};

/// Read the log: its head, one record, a range, or everything as it comes
#[derive(Debug, Args)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    client: ClientArgs,
    #[command(subcommand)]
    command: LogCommand,
}

#[derive(Debug, Subcommand)]
enum LogCommand {
    /// How long the log is, and the hash of its last record
    Head,
    /// Show one record
    Record {
        /// Its place
        #[arg(value_parser = parse::whole)]
        position: u64,
    },
    /// Show a range of records, to the head as it is now
    Records {
        /// The first one
        #[arg(long, default_value_t = 0, value_name = "POSITION", value_parser = parse::whole)]
        from: u64,
        /// How many at most
        #[arg(long, value_name = "N", value_parser = parse::whole)]
        limit: Option<u64>,
        /// Only position, hash and bytes
        #[arg(long)]
        verbatim: bool,
    },
    /// Show every record from a position on, and then each new one; stop with Ctrl-C
    Subscribe {
        /// The first one [default: the next that is recorded]
        #[arg(long, value_name = "POSITION", value_parser = parse::whole)]
        from: Option<u64>,
        /// Only position, hash and bytes
        #[arg(long)]
        verbatim: bool,
        /// Only records that concern this fund: funds/F; may be given again
        #[arg(long = "fund", value_name = "NAME", value_parser = parse::fund)]
        funds: Vec<String>,
        /// Only records that concern this account: funds/F/accounts/A; may be given again
        #[arg(long = "account", value_name = "NAME", value_parser = parse::account)]
        accounts: Vec<String>,
        /// Only records that concern this cooperative: cooperatives/C; may be given again
        #[arg(long = "coop", value_name = "NAME", value_parser = parse::cooperative)]
        cooperatives: Vec<String>,
        /// Only events of this kind, such as disbursed; may be given again
        #[arg(long = "kind")]
        kinds: Vec<String>,
    },
}

pub(crate) async fn run(args: LogArgs, json: bool) -> Result<(), Failure> {
    let client = Client::connect(&args.client, json).await?;
    let ledger = client.ledger()?;
    match args.command {
        LogCommand::Head => ask!(client, log, get_head, pb::GetHeadRequest { ledger }),
        LogCommand::Record { position } => {
            let request = pb::GetRecordRequest { ledger, position };
            ask!(client, log, get_record, request)
        }
        LogCommand::Records { from, limit, verbatim } => {
            let request = client.stream(pb::ReadRecordsRequest {
                ledger,
                from_position: from,
                limit,
                verbatim_only: verbatim,
            });
            let answer = client.log().read_records(request).await;
            let mut messages = messages(answer)?;
            while let Some(message) = next(&mut messages).await? {
                show(&message.records, json)?;
            }
            Ok(())
        }
        LogCommand::Subscribe { from, verbatim, funds, accounts, cooperatives, kinds } => {
            let full = |names: Vec<String>| -> Result<Vec<String>, Failure> {
                names.iter().map(|name| client.name(name)).collect()
            };
            let request = client.stream(pb::SubscribeRequest {
                ledger,
                from_position: from,
                filter: Some(pb::RecordFilter {
                    funds: full(funds)?,
                    accounts: full(accounts)?,
                    cooperatives: full(cooperatives)?,
                    kinds,
                }),
                verbatim_only: verbatim,
            });
            let answer = client.log().subscribe(request).await;
            let mut messages = messages(answer)?;
            while let Some(message) = next(&mut messages).await? {
                show(&message.records, json)?;
            }
            Ok(())
        }
    }
}

fn messages<M>(
    answer: Result<tonic::Response<Streaming<M>>, Status>,
) -> Result<Streaming<M>, Failure> {
    answer.map(tonic::Response::into_inner).map_err(|status| Failure::of_query(&status))
}

async fn next<M>(messages: &mut Streaming<M>) -> Result<Option<M>, Failure> {
    messages.message().await.map_err(|status| Failure::of_query(&status))
}

/// One line a record.
fn show(records: &[pb::Record], json: bool) -> Result<(), Failure> {
    for record in records {
        if json {
            output::line(output::json("Record", record))?;
        } else {
            output::line(line(record))?;
        }
    }
    Ok(())
}

fn line(record: &pb::Record) -> String {
    let hash = hex(&record.record_hash);
    if record.principal.is_empty() {
        return format!("{:>10} {hash} {}", record.position, hex(&record.record));
    }
    format!(
        "{:>10} {} {} {} {}",
        record.position,
        hash.get(..16).unwrap_or(&hash),
        instant(record.recorded_at.as_ref()),
        record.principal,
        words::event(record.event.as_ref()),
    )
}
