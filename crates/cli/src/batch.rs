//! `bergulir batch`: many commands at once, from a file.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use bergulir_proto::pb;
use clap::Args;
use prost::Message as _;
use prost_reflect::DynamicMessage;
use uuid::Uuid;

use crate::choices::BatchMode;
use crate::client::{Client, ClientArgs};
use crate::failure::Failure;
use crate::{output, parse};

/// Send commands from a file, all or nothing or each by itself
///
/// One JSON object a line, in the JSON form of `BatchItem`, for example
///   {"command":{"approveLoan":{"loan":"loan-1"}}}
/// A line without a `requestId` gets a new one; state your own to be able to send the file again.
#[derive(Debug, Args)]
pub(crate) struct BatchArgs {
    #[command(flatten)]
    client: ClientArgs,
    /// All or nothing, or each by itself
    #[arg(long)]
    mode: BatchMode,
    /// Refuse unless the log has exactly this many records; atomic only
    #[arg(long, value_name = "RECORDS", value_parser = parse::whole)]
    expected_position: Option<u64>,
    /// Let the server decide, and record nothing; atomic only
    #[arg(long)]
    validate_only: bool,
    /// The file, or - for the standard input
    file: PathBuf,
}

pub(crate) async fn run(args: BatchArgs, json: bool) -> Result<(), Failure> {
    let text = read(&args.file)?;
    let items = parse(&text, &args.file)?;
    let client = Client::connect(&args.client, json).await?;
    let first = items.first().map(|item| item.request_id.clone());
    let request = client.command(pb::SubmitBatchRequest {
        ledger: client.ledger()?,
        mode: args.mode.wire(),
        expected_position: args.expected_position,
        validate_only: args.validate_only,
        items,
    })?;
    let answer = client
        .commands()
        .submit_batch(request)
        .await
        .map_err(|status| Failure::of_command(&status, first.as_deref().unwrap_or_default()))?
        .into_inner();
    output::answer(&answer, json)?;
    let refused = |result: &&pb::BatchItemResult| {
        matches!(result.outcome, Some(pb::batch_item_result::Outcome::Error(_)))
    };
    match answer.results.iter().filter(refused).count() {
        0 => Ok(()),
        refused => Err(Failure::Input(format!(
            "{refused} of {} commands were refused; the others are recorded",
            answer.results.len()
        ))),
    }
}

fn read(file: &Path) -> Result<String, Failure> {
    let text = if file.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(file)
    };
    text.map_err(|error| Failure::Input(format!("could not read {}: {error}", file.display())))
}

/// The commands of a text, one a line.
pub(crate) fn parse(text: &str, file: &Path) -> Result<Vec<pb::BatchItem>, Failure> {
    let mut items = Vec::new();
    for (number, line) in (1_u64..).zip(text.lines()) {
        if line.trim().is_empty() {
            continue;
        }
        let wrong = |error: &dyn std::fmt::Display| {
            Failure::Input(format!("{}:{number}: {error}", file.display()))
        };
        let mut json = serde_json::Deserializer::from_str(line);
        let dynamic = DynamicMessage::deserialize(output::descriptor("BatchItem"), &mut json)
            .and_then(|message| json.end().map(|()| message))
            .map_err(|error| wrong(&error))?;
        let mut item = pb::BatchItem::decode(dynamic.encode_to_vec().as_slice())
            .map_err(|error| wrong(&error))?;
        if item.request_id.is_empty() {
            item.request_id = Uuid::now_v7().to_string();
        }
        items.push(item);
    }
    Ok(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_a_command_a_line() {
        let text = "{\"command\":{\"approveLoan\":{\"loan\":\"l-1\"}}}\n\n\
                    {\"requestId\":\"x\",\"command\":{\"disburse\":{\"loan\":\"l-1\",\
                    \"amount\":{\"currencyCode\":\"IDR\",\"units\":\"100\"}}}}";
        let items = parse(text, Path::new("f")).unwrap();
        assert_eq!(items.len(), 2);
        assert_eq!(items[0].request_id.len(), 36);
        assert_eq!(items[1].request_id, "x");
    }

    #[test]
    fn a_wrong_line_is_named() {
        for text in ["{}\n{\"comand\":{}}", "{}\nnonsense", "{}\n{} {}"] {
            let failure = parse(text, Path::new("batch.jsonl")).unwrap_err();
            assert!(failure.to_string().starts_with("batch.jsonl:2: "), "{failure}");
        }
    }
}
